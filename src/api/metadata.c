// Metadata: brokers as this listener's clients reach them, and topics with their leaders. Topics
// that are missing are made here when broker and client allow it (auto.create.topics.enable): the
// controller is asked first and the answer shows the new topic, so that the client need not ask
// again.
#include "api/cluster_view.h"
#include "base/map.h"
#include "config/config.h"
#include "metadata/topic_name.h"

// A topic that the request named; once each.
struct wanted_topic {
    struct map_node node;
    struct slice name;  // null when it was asked for by id
    struct uuid id;
    int16_t create_error;
};

struct metadata_work {
    struct wanted_topic *topics;
    int32_t count;
};

// ---- One topic ----

static void fill_partition(const struct api_call *call, const struct partition_image *partition,
                           struct metadata_response_partition *out) {
    const struct image *image = call->node->image;
    out->partition_index = partition->partition;
    out->leader_epoch = partition->leader_epoch;
    out->leader_id = -1;
    if (view_endpoint(call, partition->leader) != NULL) {
        out->leader_id = partition->leader;
    } else if (image_broker(image, partition->leader) == NULL || call->version < 6) {
        out->error_code = ERR_LEADER_NOT_AVAILABLE;
    } else {
        out->error_code = ERR_LISTENER_NOT_FOUND;
    }
    out->replica_nodes = view_ids(call, partition->replicas, partition->replica_count);
    out->replica_nodes_count = partition->replica_count;
    out->isr_nodes = view_ids(call, partition->isr, partition->isr_count);
    out->isr_nodes_count = partition->isr_count;
    view_offline_replicas(call, partition, &out->offline_replicas, &out->offline_replicas_count);
}

// Version 0 knows no offline replicas: those that cannot be reached are left out, with an error.
static int32_t keep_alive(const struct api_call *call, int32_t *ids, int32_t count) {
    int32_t kept = 0;
    for (int32_t i = 0; i < count; i++) {
        if (view_alive_endpoint(call, ids[i]) != NULL) ids[kept++] = ids[i];
    }
    return kept;
}

static void filter_version_0(const struct api_call *call, struct metadata_response_partition *out) {
    int32_t replicas = keep_alive(call, out->replica_nodes, out->replica_nodes_count);
    int32_t isr = keep_alive(call, out->isr_nodes, out->isr_nodes_count);
    bool missing = replicas < out->replica_nodes_count || isr < out->isr_nodes_count;
    if (out->leader_id >= 0 && missing) out->error_code = ERR_REPLICA_NOT_AVAILABLE;
    out->replica_nodes_count = replicas;
    out->isr_nodes_count = isr;
}

static void fill_topic(const struct api_call *call, const struct topic_image *topic,
                       struct metadata_response_topic *out) {
    const struct metadata_request *request = call->request;
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = topic_name_is_internal(topic->name);
    if (call->version >= 8 && request->include_topic_authorized_operations) {
        out->topic_authorized_operations = OPERATIONS_OF_TOPIC;
    }
    out->partitions = metadata_response_partition_new(call->arena, topic->partition_count);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct partition_image *partition = topic_partition(topic, i);
        if (partition == NULL) continue;
        struct metadata_response_partition *p = &out->partitions[out->partitions_count++];
        fill_partition(call, partition, p);
        if (call->version == 0) filter_version_0(call, p);
    }
}

static void fill_missing_topic(const struct api_call *call, const struct wanted_topic *wanted,
                               struct metadata_response_topic *out) {
    const struct metadata_request *request = call->request;
    out->name = wanted->name;
    if (slice_is_null(wanted->name)) {
        out->error_code = ERR_UNKNOWN_TOPIC_ID;
        out->topic_id = wanted->id;
        return;
    }
    out->is_internal = topic_name_is_internal(wanted->name);
    if (call->version >= 8 && request->include_topic_authorized_operations)
        out->topic_authorized_operations = OPERATIONS_OF_TOPIC;
    if (topic_name_check(wanted->name, NULL) != ERR_NONE) {
        out->error_code = ERR_INVALID_TOPIC_EXCEPTION;
    } else {
        out->error_code = wanted->create_error != ERR_NONE
                              ? wanted->create_error
                              : (int16_t)ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
}

// ---- The answer ----

static void fill_brokers(const struct api_call *call, struct metadata_response *response) {
    const struct image *image = call->node->image;
    int32_t count = 0;
    const struct broker_image *b;
    for (b = image_broker_after(image, -1); b != NULL; b = image_broker_after(image, b->id)) {
        count++;
    }
    response->brokers = metadata_response_broker_new(call->arena, count);
    for (b = image_broker_after(image, -1); b != NULL; b = image_broker_after(image, b->id)) {
        const struct endpoint_image *endpoint = view_alive_endpoint(call, b->id);
        if (endpoint == NULL) continue;
        struct metadata_response_broker *out = &response->brokers[response->brokers_count++];
        out->node_id = b->id;
        out->host = endpoint->host;
        out->port = endpoint->port;
        out->rack = b->rack;
    }
    response->cluster_id = call->node->identity->cluster_id;
    response->controller_id = view_controller_id(call);
}

static void fill_all_topics(const struct api_call *call, struct metadata_response *response) {
    const struct image *image = call->node->image;
    response->topics = metadata_response_topic_new(call->arena, image_topic_count(image));
    for (const struct topic_image *topic = image_topic_after(image, SLICE_NULL); topic != NULL;
         topic = image_topic_after(image, topic->name)) {
        fill_topic(call, topic, &response->topics[response->topics_count++]);
    }
}

static const struct topic_image *find_topic(const struct api_call *call,
                                            const struct wanted_topic *wanted) {
    return slice_is_null(wanted->name) ? image_topic_by_id(call->node->image, wanted->id)
                                       : image_topic(call->node->image, wanted->name);
}

static void metadata_answer(struct api_call *call) {
    const struct metadata_request *request = call->request;
    struct metadata_response *response = call->response;
    struct metadata_work *work = call->state;
    fill_brokers(call, response);
    if (call->version >= 8 && call->version <= 10 &&
        request->include_cluster_authorized_operations) {
        response->cluster_authorized_operations = OPERATIONS_OF_CLUSTER;
    }
    if (work == NULL) {
        fill_all_topics(call, response);
        api_reply(call);
        return;
    }
    response->topics = metadata_response_topic_new(call->arena, work->count);
    response->topics_count = work->count;
    for (int32_t i = 0; i < work->count; i++) {
        const struct topic_image *topic = find_topic(call, &work->topics[i]);
        if (topic != NULL) {
            fill_topic(call, topic, &response->topics[i]);
        } else {
            fill_missing_topic(call, &work->topics[i], &response->topics[i]);
        }
    }
    api_reply(call);
}

// ---- Making topics ----

static void metadata_created(struct api_call *call, enum err result, void *response) {
    struct metadata_work *work = call->state;
    const struct create_topics_response *created = response;
    for (int32_t i = 0; i < work->count; i++) {
        struct wanted_topic *wanted = &work->topics[i];
        if (slice_is_null(wanted->name)) continue;
        if (result != ERR_NONE) {
            // Kafka's answer while the controller is on its way; the client asks again.
            wanted->create_error = ERR_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        for (int32_t t = 0; t < created->topics_count; t++) {
            if (slice_equal(created->topics[t].name, wanted->name)) {
                wanted->create_error = created->topics[t].error_code;
            }
        }
    }
    metadata_answer(call);
}

// True when the controller was asked. The topics that brokers keep for themselves are made by their
// coordinators.
static bool create_missing(struct api_call *call, struct metadata_work *work) {
    const struct metadata_request *request = call->request;
    const struct config *config = call->node->config;
    if (!config_bool(config, BROKER_AUTO_CREATE_TOPICS_ENABLE)) return false;
    if (!request->allow_auto_topic_creation) return false;
    struct create_topics_request *create = arena_alloc(call->arena, sizeof *create);
    codec_init(&create_topics_request_codec, create);
    create->topics = create_topics_request_topic_new(call->arena, work->count);
    for (int32_t i = 0; i < work->count; i++) {
        const struct wanted_topic *wanted = &work->topics[i];
        if (slice_is_null(wanted->name) || find_topic(call, wanted) != NULL) continue;
        if (topic_name_check(wanted->name, NULL) != ERR_NONE) continue;
        if (topic_name_is_internal(wanted->name)) continue;
        struct create_topics_request_topic *topic = &create->topics[create->topics_count++];
        topic->name = wanted->name;
        topic->num_partitions = config_int(config, BROKER_NUM_PARTITIONS);
        topic->replication_factor = (int16_t)config_int(config, BROKER_DEFAULT_REPLICATION_FACTOR);
    }
    if (create->topics_count == 0) return false;
    api_ask_controller(call, API_CREATE_TOPICS, api_info_of(API_CREATE_TOPICS)->version_max, create,
                       metadata_created);
    return true;
}

// ---- The request ----

// KIP-516: with any id in the request only ids count; a name given beside an id does not.
static struct metadata_work *collect_wanted(struct api_call *call) {
    const struct metadata_request *request = call->request;
    struct metadata_work *work = arena_zalloc(call->arena, 1, sizeof *work);
    work->topics =
        arena_zalloc(call->arena, (size_t)MAX(request->topics_count, 1), sizeof *work->topics);
    bool by_id = false;
    for (int32_t i = 0; i < request->topics_count; i++) {
        by_id |= !uuid_is_zero(request->topics[i].topic_id);
    }
    struct map seen;
    map_init(&seen, env_random(call->node->env));
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct metadata_request_topic *topic = &request->topics[i];
        if (by_id ? uuid_is_zero(topic->topic_id) : slice_is_null(topic->name)) continue;
        struct slice key =
            by_id ? slice_of(topic->topic_id.bytes, sizeof topic->topic_id.bytes) : topic->name;
        if (map_get(&seen, key) != NULL) continue;
        struct wanted_topic *wanted = &work->topics[work->count++];
        wanted->name = by_id ? SLICE_NULL : topic->name;
        wanted->id = topic->topic_id;
        map_put(&seen, &wanted->node, key);
    }
    map_deinit(&seen);
    return work;
}

static enum err metadata_check(const struct api_call *call, struct message *text) {
    const struct metadata_request *request = call->request;
    if (call->version >= 12) return ERR_NONE;
    for (int32_t i = 0; i < request->topics_count; i++) {
        if (slice_is_null(request->topics[i].name)) {
            message_set(text, "Topic name can not be null for version %d", call->version);
            return ERR_INVALID_REQUEST;
        }
        if (!uuid_is_zero(request->topics[i].topic_id)) {
            message_set(text, "Topic IDs are not supported in requests for version %d",
                        call->version);
            return ERR_INVALID_REQUEST;
        }
    }
    return ERR_NONE;
}

void api_metadata(struct api_call *call) {
    const struct metadata_request *request = call->request;
    struct message text;
    enum err e = metadata_check(call, &text);
    if (e != ERR_NONE) {
        api_reply_error(call, e, &text);
        return;
    }
    bool all = request->topics_count < 0 || (call->version == 0 && request->topics_count == 0);
    struct metadata_work *work = all ? NULL : collect_wanted(call);
    call->state = work;
    if (work != NULL && create_missing(call, work)) return;
    metadata_answer(call);
}
