// A controller's state machine without a log: a request goes to its rule, the records are replayed,
// and after every operation the state must be what a replay of all records from the beginning
// gives.
#pragma once

#include "test/test.h"

#include "base/memory.h"
#include "controller/state.h"
#include "env/env_posix.h"

#define BED_RECORDS_MAX 65536
#define BED_CLUSTER     "AAAAAAAAAAAAAAAAAAAAAA"

struct bed {
    struct env_posix *posix;
    struct config *config;
    struct controller_state state;
    struct arena arena;  // requests, responses, frames: everything until the end
    struct slice *log;
    int32_t log_count;
    int32_t last_count;  // records of the last operation
    struct message error;
};

static inline void bed_apply(struct bed *bed, const struct runtime_result *result) {
    for (int32_t i = 0; i < result->count; i++) {
        const struct runtime_record *record = &result->records[i];
        assert_int_equal(controller_state_replay(&bed->state, record, bed->log_count, 1), ERR_NONE);
        assert_true(bed->log_count < BED_RECORDS_MAX);
        bed->log[bed->log_count++] = arena_copy(&bed->arena, record->value);
    }
    bed->last_count = result->count;
}

static inline void bed_check_replay(struct bed *bed) {
    struct image *image = image_new();
    struct arena arena;
    arena_init(&arena);
    struct message error;
    message_init(&error);
    for (int32_t i = 0; i < bed->log_count; i++) {
        struct metadata_record record;
        assert_int_equal(metadata_record_decode(bed->log[i], &arena, &record, &error), ERR_NONE);
        assert_int_equal(image_apply(&image, record.type, record.message, i, 1, &error), ERR_NONE);
        arena_reset(&arena);
    }
    assert_int_equal(image_hash(image), image_hash(bed->state.image));
    image_unref(image);
    arena_deinit(&arena);
}

// The response is a struct of the API, defaults filled in. An error leaves its sentence in
// bed->error.
static inline enum err bed_call(struct bed *bed, controller_rule *rule, int16_t version,
                                const void *request, const struct codec_struct *type,
                                void *response) {
    struct arena arena;
    arena_init(&arena);
    struct runtime_result result = {.arena = &arena, .next_offset = bed->log_count};
    struct decision decision;
    message_init(&bed->error);
    codec_init(type, response);
    decision_init(&decision, &bed->state, &result, &bed->arena, &bed->error);
    decision.api_version = version;
    uint64_t before = image_hash(bed->state.image);
    enum err err = rule(&decision, request, response);
    assert_int_equal(image_hash(bed->state.image), before);  // rules change nothing
    if (err == ERR_NONE) {
        bed_apply(bed, &result);
    } else {
        bed->last_count = 0;
    }
    arena_deinit(&arena);
    bed_check_replay(bed);
    return err;
}

#define BED_CALL(bed, api, version, request, response) \
    bed_call(bed, rule_##api, version, request, &api##_response_codec, response)

static inline struct uuid bed_uuid(int number) {
    struct uuid id = UUID_ZERO;
    store_i32(id.bytes, 0x40000000 + number);
    return id;
}

static inline void bed_activate(struct bed *bed, int16_t metadata_version) {
    struct slice bootstrap[FEATURE_COUNT];
    int32_t count = 0;
    struct arena arena;
    arena_init(&arena);
    for (int id = 0; id < FEATURE_COUNT; id++) {
        int16_t level = feature_default_level((enum feature_id)id, metadata_version);
        if (level == 0 || id == FEATURE_KRAFT_VERSION) continue;
        struct metadata_record record = metadata_record_new(METADATA_FEATURE_LEVEL, 0, &arena);
        struct feature_level_record *r = record.message;
        r->name = slice_cstring(feature_row((enum feature_id)id)->name);
        r->feature_level = level;
        assert_int_equal(metadata_record_frame(&record, &bed->arena, &bootstrap[count++], NULL),
                         ERR_NONE);
    }
    struct runtime_result result = {.arena = &arena};
    struct decision decision;
    decision_init(&decision, &bed->state, &result, &arena, &bed->error);
    assert_int_equal(rule_activate(&decision, bootstrap, count), ERR_NONE);
    bed_apply(bed, &result);
    arena_deinit(&arena);
    bed->state.kraft_version = 1;
}

static inline struct broker_registration_request bed_registration(struct bed *bed, int32_t id,
                                                                  int incarnation,
                                                                  int64_t previous_epoch) {
    struct broker_registration_request request;
    codec_init(&broker_registration_request_codec, &request);
    request.broker_id = id;
    request.cluster_id = SLICE_LITERAL(BED_CLUSTER);
    request.incarnation_id = bed_uuid(1000 + incarnation);
    request.listeners = broker_registration_request_listener_new(&bed->arena, 1);
    request.listeners_count = 1;
    request.listeners[0].name = SLICE_LITERAL("PLAINTEXT");
    request.listeners[0].host = SLICE_LITERAL("localhost");
    request.listeners[0].port = (uint16_t)(9092 + id);
    request.features = broker_registration_request_feature_new(&bed->arena, FEATURE_COUNT);
    request.features_count = FEATURE_COUNT;
    for (int i = 0; i < FEATURE_COUNT; i++) {
        const struct feature_row *row = feature_row((enum feature_id)i);
        request.features[i].name = slice_cstring(row->name);
        request.features[i].min_supported_version = row->min;
        request.features[i].max_supported_version = row->max;
    }
    request.log_dirs = arena_zalloc(&bed->arena, 1, sizeof *request.log_dirs);
    request.log_dirs[0] = bed_uuid(id);
    request.log_dirs_count = 1;
    request.previous_broker_epoch = previous_epoch;
    return request;
}

static inline int64_t bed_register(struct bed *bed, int32_t id, int incarnation,
                                   int64_t previous_epoch) {
    struct broker_registration_request request =
        bed_registration(bed, id, incarnation, previous_epoch);
    struct broker_registration_response response;
    if (BED_CALL(bed, broker_registration, 4, &request, &response) != ERR_NONE) {
        fail_msg("%s", bed->error.text);
    }
    return response.broker_epoch;
}

static inline struct broker_heartbeat_response bed_heartbeat(struct bed *bed, int32_t id,
                                                             bool want_fence, bool want_shut_down) {
    struct broker_heartbeat_request request;
    struct broker_heartbeat_response response;
    codec_init(&broker_heartbeat_request_codec, &request);
    request.broker_id = id;
    request.broker_epoch = image_broker(bed->state.image, id)->epoch;
    request.current_metadata_offset = bed->log_count;
    request.want_fence = want_fence;
    request.want_shut_down = want_shut_down;
    request.cordoned_log_dirs_count = 0;
    if (BED_CALL(bed, broker_heartbeat, 2, &request, &response) != ERR_NONE) {
        fail_msg("%s", bed->error.text);
    }
    return response;
}

// Brokers 1 … count, registered and unfenced; this node is 1.
static inline struct bed *bed_new(int32_t brokers) {
    struct bed *bed = memory_zalloc(1, sizeof *bed);
    bed->posix = env_posix_new(&(struct env_posix_options){.reactors = 1, .log_level = LOG_ERROR});
    struct message error;
    message_init(&error);
    bed->config = config_new();
    if (config_set(bed->config, SLICE_LITERAL("node.id"), SLICE_LITERAL("1"),
                   CONFIG_SOURCE_STATIC_BROKER, &error) != ERR_NONE) {
        fail_msg("%s", error.text);
    }
    bed->log = memory_zalloc(BED_RECORDS_MAX, sizeof *bed->log);
    arena_init(&bed->arena);
    controller_state_init(&bed->state, env_posix_reactor(bed->posix, 0), bed->config,
                          SLICE_LITERAL(BED_CLUSTER));
    bed->state.node_id = 1;
    bed_activate(bed, METADATA_VERSION_DEFAULT);
    for (int32_t id = 1; id <= brokers; id++) {
        bed_register(bed, id, id, -1);
        bed_heartbeat(bed, id, false, false);
    }
    return bed;
}

static inline void bed_free(struct bed *bed) {
    controller_state_deinit(&bed->state);
    config_free(bed->config);
    arena_deinit(&bed->arena);
    memory_free(bed->log);
    env_posix_free(bed->posix);
    memory_free(bed);
}

// A topic by the placer; fails the test when it is not created.
static inline const struct topic_image *bed_create(struct bed *bed, const char *name,
                                                   int32_t partitions, int16_t factor) {
    struct create_topics_request request;
    struct create_topics_response response;
    codec_init(&create_topics_request_codec, &request);
    request.topics = create_topics_request_topic_new(&bed->arena, 1);
    request.topics_count = 1;
    request.topics[0].name = slice_cstring(name);
    request.topics[0].num_partitions = partitions;
    request.topics[0].replication_factor = factor;
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
    if (response.topics[0].error_code != 0) {
        fail_msg("%.*s", SLICE_PRINT(response.topics[0].error_message));
    }
    return image_topic(bed->state.image, slice_cstring(name));
}
