// Error responses of the APIs about groups and their offsets.
#include "api/error_response_groups.h"

void fill_join_group(struct api_call *call, int16_t code, UNUSED struct slice text) {
    struct join_group_response *response = call->response;
    response->error_code = code;
    response->generation_id = -1;
    response->leader = SLICE_EMPTY;
    // Before version 7 the response cannot say null.
    response->protocol_name = call->version >= 7 ? SLICE_NULL : SLICE_EMPTY;
}

void fill_offset_commit(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct offset_commit_request *request = call->request;
    struct offset_commit_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = offset_commit_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct offset_commit_request_topic *from = &request->topics[t];
        struct offset_commit_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->topic_id = from->topic_id;
        to->partitions_count = from->partitions_count;
        to->partitions = offset_commit_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = code;
        }
    }
}

void fill_txn_offset_commit(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct txn_offset_commit_request *request = call->request;
    struct txn_offset_commit_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = txn_offset_commit_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct txn_offset_commit_request_topic *from = &request->topics[t];
        struct txn_offset_commit_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->topic_id = from->topic_id;
        to->partitions_count = from->partitions_count;
        to->partitions =
            txn_offset_commit_response_partition_new(call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->partitions[p].partition_index = from->partitions[p].partition_index;
            to->partitions[p].error_code = code;
        }
    }
}

static void fill_offset_fetch_partitions(struct api_call *call, int16_t code) {
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_response *response = call->response;
    response->topics_count = MAX(request->topics_count, 0);
    response->topics = offset_fetch_response_topic_new(call->arena, response->topics_count);
    for (int32_t t = 0; t < response->topics_count; t++) {
        const struct offset_fetch_request_topic *from = &request->topics[t];
        struct offset_fetch_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->partitions_count = from->partition_indexes_count;
        to->partitions =
            offset_fetch_response_partition_new(call->arena, from->partition_indexes_count);
        for (int32_t p = 0; p < from->partition_indexes_count; p++) {
            to->partitions[p].partition_index = from->partition_indexes[p];
            to->partitions[p].committed_offset = -1;
            to->partitions[p].metadata = SLICE_EMPTY;
            to->partitions[p].error_code = code;
        }
    }
}

// In the partitions (v1), at the top (v2 to v7), in every group (from v8 on).
void fill_offset_fetch(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_response *response = call->response;
    if (call->version < 2) {
        fill_offset_fetch_partitions(call, code);
    } else if (call->version < 8) {
        response->error_code = code;
    } else {
        response->groups_count = MAX(request->groups_count, 0);
        response->groups = offset_fetch_response_group_new(call->arena, response->groups_count);
        for (int32_t i = 0; i < response->groups_count; i++) {
            response->groups[i].group_id = request->groups[i].group_id;
            response->groups[i].error_code = code;
        }
    }
}

void fill_find_coordinator(struct api_call *call, int16_t code, struct slice text) {
    const struct find_coordinator_request *request = call->request;
    struct find_coordinator_response *response = call->response;
    if (call->version < 4) {
        response->error_code = code;
        response->error_message = text;
        response->node_id = response->port = -1;
        response->host = SLICE_EMPTY;
        return;
    }
    int32_t count = MAX(request->coordinator_keys_count, 0);
    response->coordinators_count = count;
    response->coordinators = find_coordinator_response_coordinator_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->coordinators[i].key = request->coordinator_keys[i];
        response->coordinators[i].error_code = code;
        response->coordinators[i].error_message = text;
        response->coordinators[i].node_id = response->coordinators[i].port = -1;
    }
}

void fill_describe_groups(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct describe_groups_request *request = call->request;
    struct describe_groups_response *response = call->response;
    response->groups_count = MAX(request->groups_count, 0);
    response->groups = describe_groups_response_group_new(call->arena, response->groups_count);
    for (int32_t i = 0; i < response->groups_count; i++) {
        response->groups[i].group_id = request->groups[i];
        response->groups[i].error_code = code;
    }
}

void fill_delete_groups(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct delete_groups_request *request = call->request;
    struct delete_groups_response *response = call->response;
    response->results_count = MAX(request->groups_names_count, 0);
    response->results = delete_groups_response_result_new(call->arena, response->results_count);
    for (int32_t i = 0; i < response->results_count; i++) {
        response->results[i].group_id = request->groups_names[i];
        response->results[i].error_code = code;
    }
}

void fill_consumer_group_describe(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct consumer_group_describe_request *request = call->request;
    struct consumer_group_describe_response *response = call->response;
    response->groups_count = MAX(request->group_ids_count, 0);
    response->groups =
        consumer_group_describe_response_group_new(call->arena, response->groups_count);
    for (int32_t i = 0; i < response->groups_count; i++) {
        response->groups[i].group_id = request->group_ids[i];
        response->groups[i].error_code = code;
    }
}
