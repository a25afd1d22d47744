// FindCoordinator, versions 0 to 6: who coordinates a group (key type 0) or a transactional id (1).
// The internal topic behind it is created at the first question. Share groups (2) have no
// coordinator yet: said in the answer.
#include "api/call.h"
#include "api/cluster_view.h"
#include "config/config.h"
#include "group/group.h"
#include "transaction/coordinator.h"
#include "wire/codec.h"

enum { VERSION_BATCH = 4, KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2 };

struct found {
    enum err error;
    const char *text;
    int32_t node_id;
    struct slice host;
    int32_t port;
};

static struct slice topic_of(int8_t type) {
    return type == KEY_GROUP         ? SLICE_LITERAL(GROUP_TOPIC)
           : type == KEY_TRANSACTION ? SLICE_LITERAL(TRANSACTION_TOPIC)
                                     : SLICE_NULL;
}

static struct found find_leader(const struct api_call *call, int8_t type, struct slice key) {
    struct found none = {
        .error = ERR_COORDINATOR_NOT_AVAILABLE, .node_id = -1, .host = SLICE_EMPTY, .port = -1};
    const struct topic_image *topic = image_topic(call->node->image, topic_of(type));
    if (topic == NULL) return none;
    int32_t index = type == KEY_GROUP ? group_partition_of(key, topic->partition_count)
                                      : transaction_partition_of(key, topic->partition_count);
    const struct partition_image *partition = topic_partition(topic, index);
    const struct endpoint_image *endpoint = partition == NULL || partition->leader < 0
                                                ? NULL
                                                : view_alive_endpoint(call, partition->leader);
    if (endpoint == NULL) return none;
    return (struct found){
        .node_id = partition->leader, .host = endpoint->host, .port = endpoint->port};
}

static struct found find(const struct api_call *call, int8_t type, struct slice key) {
    struct found f = {.node_id = -1, .host = SLICE_EMPTY, .port = -1};
    if (!slice_is_null(topic_of(type))) return find_leader(call, type, key);
    f.error = ERR_INVALID_REQUEST;
    if (type == KEY_SHARE) f.text = "Share groups are not supported yet";
    return f;
}

static void answer(struct api_call *call) {
    const struct find_coordinator_request *request = call->request;
    struct find_coordinator_response *response = call->response;
    if (call->version < VERSION_BATCH) {
        struct found f = find(call, request->key_type, request->key);
        response->error_code = err_wire(f.error);
        response->error_message = slice_cstring(f.text != NULL ? f.text : err_text(f.error));
        response->node_id = f.node_id;
        response->host = arena_copy(call->arena, f.host);
        response->port = f.port;
        api_reply(call);
        return;
    }
    response->coordinators_count = request->coordinator_keys_count;
    response->coordinators =
        find_coordinator_response_coordinator_new(call->arena, request->coordinator_keys_count);
    for (int32_t i = 0; i < request->coordinator_keys_count; i++) {
        struct found f = find(call, request->key_type, request->coordinator_keys[i]);
        struct find_coordinator_response_coordinator *c = &response->coordinators[i];
        c->key = request->coordinator_keys[i];
        c->error_code = err_wire(f.error);
        // Where all is well single answers say NONE (the text of no error), batches nothing.
        const char *text = f.text != NULL ? f.text : f.error == ERR_NONE ? "" : err_text(f.error);
        c->error_message = slice_cstring(text);
        c->node_id = f.node_id;
        c->host = arena_copy(call->arena, f.host);
        c->port = f.port;
    }
    api_reply(call);
}

static void created(struct api_call *call, enum err result, void *response) {
    (void)result;  // the answer says what came of it
    (void)response;
    answer(call);
}

static void set_config(struct arena *arena, struct create_topics_request_config *config,
                       const char *name, struct slice value) {
    config->name = slice_cstring(name);
    config->value = arena_copy(arena, value);
}

static void fill_group_topic(struct api_call *call, struct create_topics_request_topic *topic) {
    const struct config *config = call->node->config;
    topic->name = SLICE_LITERAL(GROUP_TOPIC);
    topic->num_partitions = config_int(config, BROKER_OFFSETS_TOPIC_NUM_PARTITIONS);
    topic->replication_factor =
        (int16_t)config_int(config, BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR);
    topic->configs_count = 3;
    topic->configs = create_topics_request_config_new(call->arena, 3);
    set_config(call->arena, &topic->configs[0], "compression.type", SLICE_LITERAL("producer"));
    set_config(call->arena, &topic->configs[1], "cleanup.policy", SLICE_LITERAL("compact"));
    set_config(call->arena, &topic->configs[2], "segment.bytes",
               config_value(config, BROKER_OFFSETS_TOPIC_SEGMENT_BYTES)->text);
}

static void fill_transaction_topic(struct api_call *call,
                                   struct create_topics_request_topic *topic) {
    const struct config *config = call->node->config;
    topic->name = SLICE_LITERAL(TRANSACTION_TOPIC);
    topic->num_partitions = config_int(config, BROKER_TRANSACTION_STATE_LOG_NUM_PARTITIONS);
    topic->replication_factor =
        (int16_t)config_int(config, BROKER_TRANSACTION_STATE_LOG_REPLICATION_FACTOR);
    topic->configs_count = 5;
    topic->configs = create_topics_request_config_new(call->arena, 5);
    set_config(call->arena, &topic->configs[0], "compression.type", SLICE_LITERAL("uncompressed"));
    set_config(call->arena, &topic->configs[1], "cleanup.policy", SLICE_LITERAL("compact"));
    set_config(call->arena, &topic->configs[2], "unclean.leader.election.enable",
               SLICE_LITERAL("false"));
    set_config(call->arena, &topic->configs[3], "min.insync.replicas",
               config_value(config, BROKER_TRANSACTION_STATE_LOG_MIN_ISR)->text);
    set_config(call->arena, &topic->configs[4], "segment.bytes",
               config_value(config, BROKER_TRANSACTION_STATE_LOG_SEGMENT_BYTES)->text);
}

static void create_topic(struct api_call *call, int8_t type) {
    struct create_topics_request *create = arena_alloc(call->arena, sizeof *create);
    codec_init(&create_topics_request_codec, create);
    create->topics_count = 1;
    create->topics = create_topics_request_topic_new(call->arena, 1);
    if (type == KEY_GROUP) {
        fill_group_topic(call, create->topics);
    } else {
        fill_transaction_topic(call, create->topics);
    }
    api_ask_controller(call, API_CREATE_TOPICS, api_info_of(API_CREATE_TOPICS)->version_max, create,
                       created);
}

void api_find_coordinator(struct api_call *call) {
    const struct find_coordinator_request *request = call->request;
    struct slice topic = topic_of(request->key_type);
    if (!slice_is_null(topic) && image_topic(call->node->image, topic) == NULL) {
        create_topic(call, request->key_type);
    } else {
        answer(call);
    }
}
