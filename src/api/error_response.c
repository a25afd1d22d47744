// Two shapes: an error code at the top of the response, or one in every element that the request
// named. Which API has which is Kafka's history; there is no rule in it.
#include "api/error_response.h"

#include "api/error_response_groups.h"
#include "api/error_response_transactions.h"

// ---- At the top ----

#define NO_TEXT SIZE_MAX
#define AT_TOP(key, name) \
    { key, offsetof(struct name##_response, error_code), NO_TEXT }
#define AT_TOP_WITH_TEXT(key, name)                         \
    {                                                       \
        key, offsetof(struct name##_response, error_code),  \
            offsetof(struct name##_response, error_message) \
    }

static const struct {
    int16_t key;
    size_t code;  // offsets in the response
    size_t text;
} at_top[] = {
    AT_TOP(API_API_VERSIONS, api_versions),
    AT_TOP(API_FETCH, fetch),
    AT_TOP(API_INIT_PRODUCER_ID, init_producer_id),
    AT_TOP(API_ADD_OFFSETS_TO_TXN, add_offsets_to_txn),
    AT_TOP(API_END_TXN, end_txn),
    AT_TOP(API_LIST_TRANSACTIONS, list_transactions),
    AT_TOP(API_METADATA, metadata),
    AT_TOP(API_SYNC_GROUP, sync_group),
    AT_TOP(API_HEARTBEAT, heartbeat),
    AT_TOP(API_LEAVE_GROUP, leave_group),
    AT_TOP(API_LIST_GROUPS, list_groups),
    AT_TOP(API_OFFSET_DELETE, offset_delete),
    AT_TOP(API_DESCRIBE_LOG_DIRS, describe_log_dirs),
    AT_TOP(API_DESCRIBE_QUORUM, describe_quorum),
    AT_TOP(API_LIST_CONFIG_RESOURCES, list_config_resources),
    AT_TOP(API_ALLOCATE_PRODUCER_IDS, allocate_producer_ids),
    AT_TOP(API_ALTER_PARTITION, alter_partition),
    AT_TOP(API_BROKER_REGISTRATION, broker_registration),
    AT_TOP(API_BROKER_HEARTBEAT, broker_heartbeat),
    AT_TOP(API_ASSIGN_REPLICAS_TO_DIRS, assign_replicas_to_dirs),
    AT_TOP_WITH_TEXT(API_CONSUMER_GROUP_HEARTBEAT, consumer_group_heartbeat),
    AT_TOP_WITH_TEXT(API_DESCRIBE_ACLS, describe_acls),
    AT_TOP_WITH_TEXT(API_ALTER_PARTITION_REASSIGNMENTS, alter_partition_reassignments),
    AT_TOP_WITH_TEXT(API_LIST_PARTITION_REASSIGNMENTS, list_partition_reassignments),
    AT_TOP_WITH_TEXT(API_DESCRIBE_CLIENT_QUOTAS, describe_client_quotas),
    AT_TOP_WITH_TEXT(API_UPDATE_FEATURES, update_features),
    AT_TOP_WITH_TEXT(API_DESCRIBE_CLUSTER, describe_cluster),
    AT_TOP_WITH_TEXT(API_UNREGISTER_BROKER, unregister_broker),
    AT_TOP_WITH_TEXT(API_UNREGISTER_CONTROLLER, unregister_controller),
    AT_TOP_WITH_TEXT(API_CONTROLLER_REGISTRATION, controller_registration),
};

static bool fill_top(struct api_call *call, int16_t code, struct slice text) {
    for (size_t i = 0; i < COUNT_OF(at_top); i++) {
        if (at_top[i].key != call->api->key) continue;
        uint8_t *response = call->response;
        memcpy(response + at_top[i].code, &code, sizeof code);
        if (at_top[i].text != NO_TEXT) memcpy(response + at_top[i].text, &text, sizeof text);
        return true;
    }
    return false;
}

// ---- In every partition ----
static void fill_produce(struct api_call *call, int16_t code, struct slice text) {
    const struct produce_request *request = call->request;
    struct produce_response *response = call->response;
    response->responses_count = MAX(request->topic_data_count, 0);
    response->responses = produce_response_response_new(call->arena, response->responses_count);
    for (int32_t t = 0; t < response->responses_count; t++) {
        const struct produce_request_topic_data *from = &request->topic_data[t];
        struct produce_response_response *to = &response->responses[t];
        to->name = from->name;
        to->topic_id = from->topic_id;
        to->partition_responses_count = from->partition_data_count;
        to->partition_responses =
            produce_response_partition_response_new(call->arena, from->partition_data_count);
        for (int32_t p = 0; p < from->partition_data_count; p++) {
            to->partition_responses[p].index = from->partition_data[p].index;
            to->partition_responses[p].error_code = code;
            to->partition_responses[p].error_message = text;
            to->partition_responses[p].base_offset = -1;
        }
    }
}

static void fill_fetch(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct fetch_request *request = call->request;
    struct fetch_response *response = call->response;
    response->responses_count = MAX(request->topics_count, 0);
    response->responses = fetch_response_response_new(call->arena, response->responses_count);
    for (int32_t t = 0; t < response->responses_count; t++) {
        const struct fetch_request_topic *from = &request->topics[t];
        struct fetch_response_response *to = &response->responses[t];
        to->topic = from->topic;
        to->topic_id = from->topic_id;
        to->partitions_count = from->partitions_count;
        to->partitions = fetch_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition;
            to->partitions[p].error_code = code;
            to->partitions[p].high_watermark = -1;
        }
    }
}

static void fill_list_offsets(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct list_offsets_request *request = call->request;
    struct list_offsets_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = list_offsets_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct list_offsets_request_topic *from = &request->topics[t];
        struct list_offsets_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->partitions_count = from->partitions_count;
        to->partitions = list_offsets_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = code;
        }
    }
}

static void fill_delete_records(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct delete_records_request *request = call->request;
    struct delete_records_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = delete_records_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct delete_records_request_topic *from = &request->topics[t];
        struct delete_records_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->partitions_count = from->partitions_count;
        to->partitions = delete_records_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = code;
            to->partitions[p].low_watermark = -1;
        }
    }
}

static void fill_offset_for_leader_epoch(struct api_call *call, int16_t code,
                                         UNUSED struct slice text) {
    const struct offset_for_leader_epoch_request *request = call->request;
    struct offset_for_leader_epoch_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics =
        offset_for_leader_epoch_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct offset_for_leader_epoch_request_topic *from = &request->topics[t];
        struct offset_for_leader_epoch_response_topic *to = &response->topics[t];
        to->topic = from->topic;
        to->partitions_count = from->partitions_count;
        to->partitions =
            offset_for_leader_epoch_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition = from->partitions[p].partition;
            to->partitions[p].error_code = code;
        }
    }
}

static void fill_describe_producers(struct api_call *call, int16_t code, struct slice text) {
    const struct describe_producers_request *request = call->request;
    struct describe_producers_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = describe_producers_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct describe_producers_request_topic *from = &request->topics[t];
        struct describe_producers_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->partitions_count = from->partition_indexes_count;
        to->partitions =
            describe_producers_response_partition_new(call->arena, from->partition_indexes_count);
        for (int32_t p = 0; p < from->partition_indexes_count; p++) {
            to->partitions[p].partition_index = from->partition_indexes[p];
            to->partitions[p].error_code = code;
            to->partitions[p].error_message = text;
        }
    }
}

static void fill_elect_leaders(struct api_call *call, int16_t code, struct slice text) {
    const struct elect_leaders_request *request = call->request;
    struct elect_leaders_response *response = call->response;
    if (call->version >= 1) response->error_code = code;
    response->replica_election_results_count = MAX(request->topic_partitions_count, 0);
    response->replica_election_results = elect_leaders_response_replica_election_result_new(
        call->arena, response->replica_election_results_count);
    for (int32_t t = 0; t < response->replica_election_results_count; t++) {
        const struct elect_leaders_request_topic_partition *from = &request->topic_partitions[t];
        struct elect_leaders_response_replica_election_result *to =
            &response->replica_election_results[t];
        to->topic = from->topic;
        to->partition_result_count = from->partitions_count;
        to->partition_result =
            elect_leaders_response_partition_result_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partition_result[p].partition_id = from->partitions[p];
            to->partition_result[p].error_code = code;
            to->partition_result[p].error_message = text;
        }
    }
}

static void fill_alter_partition_reassignments(struct api_call *call, int16_t code,
                                               struct slice text) {
    const struct alter_partition_reassignments_request *request = call->request;
    struct alter_partition_reassignments_response *response = call->response;
    response->responses_count = MAX(request->topics_count, 0);
    response->responses =
        alter_partition_reassignments_response_response_new(call->arena, response->responses_count);
    for (int32_t t = 0; t < response->responses_count; t++) {
        const struct alter_partition_reassignments_request_topic *from = &request->topics[t];
        struct alter_partition_reassignments_response_response *to = &response->responses[t];
        to->name = from->name;
        to->partitions_count = from->partitions_count;
        to->partitions = alter_partition_reassignments_response_partition_new(
            call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = code;
            to->partitions[p].error_message = text;
        }
    }
}

// ---- In every element ----

static void fill_metadata(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct metadata_request *request = call->request;
    struct metadata_response *response = call->response;
    int32_t count = MAX(request->topics_count, 0);
    response->topics_count = count;
    response->topics = metadata_response_topic_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->topics[i].error_code = code;
        // Before version 12 the response cannot say null.
        struct slice name = request->topics[i].name;
        response->topics[i].name = slice_is_null(name) ? SLICE_EMPTY : name;
        response->topics[i].topic_id = request->topics[i].topic_id;
    }
}

static void fill_create_topics(struct api_call *call, int16_t code, struct slice text) {
    const struct create_topics_request *request = call->request;
    struct create_topics_response *response = call->response;
    int32_t count = MAX(request->topics_count, 0);
    response->topics_count = count;
    response->topics = create_topics_response_topic_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->topics[i].error_code = code;
        response->topics[i].error_message = text;
        response->topics[i].name = request->topics[i].name;
    }
}

static void fill_describe_configs(struct api_call *call, int16_t code, struct slice text) {
    const struct describe_configs_request *request = call->request;
    struct describe_configs_response *response = call->response;
    int32_t count = MAX(request->resources_count, 0);
    response->results_count = count;
    response->results = describe_configs_response_result_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->results[i].error_code = code;
        response->results[i].error_message = text;
        response->results[i].resource_type = request->resources[i].resource_type;
        response->results[i].resource_name = request->resources[i].resource_name;
    }
}

static void fill_alter_configs(struct api_call *call, int16_t code, struct slice text) {
    const struct alter_configs_request *request = call->request;
    struct alter_configs_response *response = call->response;
    int32_t count = MAX(request->resources_count, 0);
    response->responses_count = count;
    response->responses = alter_configs_response_response_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->responses[i].error_code = code;
        response->responses[i].error_message = text;
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
    }
}

static void fill_incremental_alter_configs(struct api_call *call, int16_t code, struct slice text) {
    const struct incremental_alter_configs_request *request = call->request;
    struct incremental_alter_configs_response *response = call->response;
    int32_t count = MAX(request->resources_count, 0);
    response->responses_count = count;
    response->responses = incremental_alter_configs_response_response_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->responses[i].error_code = code;
        response->responses[i].error_message = text;
        response->responses[i].resource_type = request->resources[i].resource_type;
        response->responses[i].resource_name = request->resources[i].resource_name;
    }
}

static void fill_create_partitions(struct api_call *call, int16_t code, struct slice text) {
    const struct create_partitions_request *request = call->request;
    struct create_partitions_response *response = call->response;
    int32_t count = MAX(request->topics_count, 0);
    response->results_count = count;
    response->results = create_partitions_response_result_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->results[i].error_code = code;
        response->results[i].error_message = text;
        response->results[i].name = request->topics[i].name;
    }
}

static void fill_describe_topic_partitions(struct api_call *call, int16_t code,
                                           UNUSED struct slice text) {
    const struct describe_topic_partitions_request *request = call->request;
    struct describe_topic_partitions_response *response = call->response;
    int32_t count = MAX(request->topics_count, 0);
    response->topics_count = count;
    response->topics = describe_topic_partitions_response_topic_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->topics[i].error_code = code;
        response->topics[i].name = request->topics[i].name;
    }
}

static void fill_delete_topics(struct api_call *call, int16_t code, struct slice text) {
    const struct delete_topics_request *request = call->request;
    struct delete_topics_response *response = call->response;
    bool by_state = call->version >= 6;
    int32_t count = by_state ? request->topics_count : request->topic_names_count;
    response->responses_count = count;
    response->responses = delete_topics_response_response_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->responses[i].error_code = code;
        response->responses[i].error_message = text;
        if (by_state) {
            response->responses[i].name = request->topics[i].name;
            response->responses[i].topic_id = request->topics[i].topic_id;
        } else {
            response->responses[i].name = request->topic_names[i];
        }
    }
}

static void fill_alter_client_quotas(struct api_call *call, int16_t code, struct slice text) {
    const struct alter_client_quotas_request *request = call->request;
    struct alter_client_quotas_response *response = call->response;
    response->entries_count = request->entries_count;
    response->entries = alter_client_quotas_response_entry_new(call->arena, request->entries_count);
    for (int32_t i = 0; i < request->entries_count; i++) {
        int32_t count = request->entries[i].entity_count;
        response->entries[i].error_code = code;
        response->entries[i].error_message = text;
        response->entries[i].entity_count = count;
        response->entries[i].entity = alter_client_quotas_response_entity_new(call->arena, count);
        for (int32_t e = 0; e < count; e++) {
            response->entries[i].entity[e].entity_type = request->entries[i].entity[e].entity_type;
            response->entries[i].entity[e].entity_name = request->entries[i].entity[e].entity_name;
        }
    }
}

static const struct {
    int16_t key;
    void (*fill)(struct api_call *call, int16_t code, struct slice text);
} in_elements[] = {
    {API_PRODUCE, fill_produce},
    {API_JOIN_GROUP, fill_join_group},
    {API_OFFSET_COMMIT, fill_offset_commit},
    {API_TXN_OFFSET_COMMIT, fill_txn_offset_commit},
    {API_OFFSET_FETCH, fill_offset_fetch},
    {API_FIND_COORDINATOR, fill_find_coordinator},
    {API_DESCRIBE_GROUPS, fill_describe_groups},
    {API_DELETE_GROUPS, fill_delete_groups},
    {API_CONSUMER_GROUP_DESCRIBE, fill_consumer_group_describe},
    {API_FETCH, fill_fetch},
    {API_LIST_OFFSETS, fill_list_offsets},
    {API_METADATA, fill_metadata},
    {API_CREATE_TOPICS, fill_create_topics},
    {API_DELETE_TOPICS, fill_delete_topics},
    {API_DELETE_RECORDS, fill_delete_records},
    {API_OFFSET_FOR_LEADER_EPOCH, fill_offset_for_leader_epoch},
    {API_DESCRIBE_CONFIGS, fill_describe_configs},
    {API_ALTER_CONFIGS, fill_alter_configs},
    {API_CREATE_PARTITIONS, fill_create_partitions},
    {API_ELECT_LEADERS, fill_elect_leaders},
    {API_INCREMENTAL_ALTER_CONFIGS, fill_incremental_alter_configs},
    {API_ALTER_PARTITION_REASSIGNMENTS, fill_alter_partition_reassignments},
    {API_ALTER_CLIENT_QUOTAS, fill_alter_client_quotas},
    {API_DESCRIBE_PRODUCERS, fill_describe_producers},
    {API_WRITE_TXN_MARKERS, fill_write_txn_markers},
    {API_ADD_PARTITIONS_TO_TXN, fill_add_partitions_to_txn},
    {API_DESCRIBE_TRANSACTIONS, fill_describe_transactions},
    {API_DESCRIBE_TOPIC_PARTITIONS, fill_describe_topic_partitions},
};

bool error_response_fill(struct api_call *call, int16_t code, struct slice text) {
    bool filled = fill_top(call, code, text);
    for (size_t i = 0; i < COUNT_OF(in_elements); i++) {
        if (in_elements[i].key != call->api->key) continue;
        in_elements[i].fill(call, code, text);
        filled = true;
    }
    return filled;
}
