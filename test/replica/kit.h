// What the tests of partitions share: a node on the simulated disk with R reactors' managers, and
// the metadata that tells them what to have.
#pragma once

#include "test/test.h"

#include "base/assert.h"
#include "base/memory.h"
#include "gen/messages.h"
#include "metadata/effective_config.h"
#include "replica/replica_manager.h"
#include "sim/sim_env.h"

#define MS           UINT64_C(1000000)
#define S            UINT64_C(1000000000)
#define NODE_ID      1
#define REACTORS_MAX 3

struct kit {
    struct sim *sim;
    struct sim_node *node;
    int32_t reactors;
    struct config *config;
    struct image *image;    // as applied last
    struct image *pending;  // with records added since
    int64_t offset;
    struct arena arena;
    struct batch_builder builder;
    struct log_directory *directory;
    struct offset_checkpoints *checkpoints;
    struct replica_manager *managers[REACTORS_MAX];
    struct replica_stop stops[REACTORS_MAX];
    struct replica_host host;
    int32_t outstanding;
    int32_t failed_partitions;
    enum err directory_error;
    enum err finished;
    struct message error;
};

static inline struct uuid kit_topic_id(int number) {
    struct uuid id = {{9, 9}};
    store_i32(id.bytes + 12, number);
    return id;
}

static inline void kit_record(struct kit *kit, enum metadata_record_type type, const void *record) {
    struct message error;
    message_init(&error);
    if (image_apply(&kit->pending, type, record, kit->offset++, 1, &error) != ERR_NONE) {
        fail_msg("%s", error.text);
    }
}

static inline void kit_partition(struct kit *kit, int number, int32_t partition, int32_t leader,
                                 int32_t epoch) {
    static int32_t ours[] = {NODE_ID}, others[] = {7};
    struct partition_record record;
    codec_init(&partition_record_codec, &record);
    record.topic_id = kit_topic_id(number);
    record.partition_id = partition;
    record.replicas = leader == 7 ? others : ours;
    record.replicas_count = 1;
    record.isr = record.replicas;
    record.isr_count = 1;
    record.leader = leader;
    record.leader_epoch = epoch;
    kit_record(kit, METADATA_PARTITION, &record);
}

static inline void kit_topic(struct kit *kit, const char *name, int number, int32_t partitions) {
    struct topic_record record;
    codec_init(&topic_record_codec, &record);
    record.name = slice_cstring(name);
    record.topic_id = kit_topic_id(number);
    kit_record(kit, METADATA_TOPIC, &record);
    for (int32_t p = 0; p < partitions; p++)
        kit_partition(kit, number, p, NODE_ID, 0);
}

static inline void kit_leader(struct kit *kit, int number, int32_t partition, int32_t leader) {
    struct partition_change_record record;
    codec_init(&partition_change_record_codec, &record);
    record.topic_id = kit_topic_id(number);
    record.partition_id = partition;
    record.leader = leader;
    kit_record(kit, METADATA_PARTITION_CHANGE, &record);
}

static inline void kit_remove_topic(struct kit *kit, int number) {
    struct remove_topic_record record;
    codec_init(&remove_topic_record_codec, &record);
    record.topic_id = kit_topic_id(number);
    kit_record(kit, METADATA_REMOVE_TOPIC, &record);
}

static inline void kit_config(struct kit *kit, const char *topic, const char *key,
                              const char *value) {
    struct config_record record;
    codec_init(&config_record_codec, &record);
    record.resource_type = CONFIG_RESOURCE_TOPIC;
    record.resource_name = slice_cstring(topic);
    record.name = slice_cstring(key);
    record.value = slice_cstring(value);
    kit_record(kit, METADATA_CONFIG, &record);
}

// ---- The node ----

static inline void kit_directory_failed(struct replica_host *host, int32_t directory,
                                        enum err error) {
    struct kit *kit = container_of(host, struct kit, host);
    assert_int_equal(directory, 0);
    kit->directory_error = error;
}

static inline struct env *kit_env(struct kit *kit) {
    return sim_node_env(kit->node, 0);
}

// Memory of the node's parts is taken as the node's, so that a crash frees it.
static inline void kit_boot_inside(void *context) {
    struct kit *kit = context;
    message_init(&kit->error);
    enum err err =
        log_directory_open(kit_env(kit), SLICE_LITERAL("data"), &kit->directory, &kit->error);
    if (err != ERR_NONE) fail_msg("%s", kit->error.text);
    kit->checkpoints = offset_checkpoints_new(kit_env(kit), kit->reactors, &kit->directory, 1);
    for (int32_t i = 0; i < kit->reactors; i++) {
        struct replica_options options = {
            .env = sim_node_env(kit->node, (uint32_t)i),
            .host = &kit->host,
            .reactor = i,
            .reactor_count = kit->reactors,
            .node_id = NODE_ID,
            .directories = &kit->directory,
            .directory_count = 1,
            .checkpoints = kit->checkpoints,
        };
        kit->managers[i] = replica_manager_new(&options);
    }
    err = replica_set_aside_strays(kit_env(kit), &kit->directory, 1, kit->pending, NODE_ID,
                                   &kit->error);
    if (err != ERR_NONE) fail_msg("%s", kit->error.text);
}

struct kit_apply {
    struct replica_apply op;
    struct kit *kit;
};

static inline void kit_apply_done(struct replica_apply *op, int32_t failed) {
    struct kit_apply *apply = container_of(op, struct kit_apply, op);
    apply->kit->outstanding--;
    apply->kit->failed_partitions += failed;
}

static inline void kit_apply_inside(void *context) {
    struct kit_apply *applies = context;
    struct kit *kit = applies[0].kit;
    for (int32_t i = 0; i < kit->reactors; i++) {
        replica_manager_apply(kit->managers[i], kit->image, kit->pending, kit->config,
                              &applies[i].op);
    }
}

// Brings the managers to the image with all records so far.
static inline void kit_apply(struct kit *kit) {
    struct kit_apply applies[REACTORS_MAX];
    for (int i = 0; i < REACTORS_MAX; i++) {
        applies[i] = (struct kit_apply){.op.done = kit_apply_done, .kit = kit};
    }
    kit->outstanding = kit->reactors;
    kit->failed_partitions = 0;
    sim_node_call(kit->node, kit_apply_inside, applies);
    sim_settle(kit->sim, 10 * MS);
    assert_int_equal(kit->outstanding, 0);
    if (kit->image != NULL) image_unref(kit->image);
    kit->image = image_ref(kit->pending);
}

static inline void kit_init(struct kit *kit, int32_t reactors, enum mutant mutant) {
    *kit = (struct kit){.reactors = reactors};
    struct sim_options options = {.seed = 5, .mutant = mutant, .log_level = LOG_DEBUG};
    kit->sim = sim_new(&options);
    struct sim_node_options node = {.name = "node", .reactors = (uint32_t)reactors};
    kit->node = sim_node_add(kit->sim, &node);
    kit->host.directory_failed = kit_directory_failed;
    arena_init(&kit->arena);
    batch_builder_init(&kit->builder);
    kit->config = config_new();
    config_add_standalone_defaults(kit->config);
    assert_int_equal(
        config_add_override(kit->config, SLICE_LITERAL("log.retention.check.interval.ms=1000"),
                            &kit->error),
        ERR_NONE);
    assert_int_equal(config_finish(kit->config, &kit->error), ERR_NONE);
    kit->pending = image_new();
    struct feature_level_record feature;
    codec_init(&feature_level_record_codec, &feature);
    feature.name = SLICE_LITERAL("metadata.version");
    feature.feature_level = 30;
    kit_record(kit, METADATA_FEATURE_LEVEL, &feature);
}

static inline void kit_boot(struct kit *kit) {
    if (kit->image != NULL) image_unref(kit->image);
    kit->image = NULL;
    sim_node_call(kit->node, kit_boot_inside, kit);
    kit_apply(kit);
}

static inline void kit_stop_done(struct replica_stop *stop) {
    stop->outstanding = -1;
}

static inline void kit_stop_inside(void *context) {
    struct kit *kit = context;
    for (int32_t i = 0; i < kit->reactors; i++) {
        kit->stops[i].done = kit_stop_done;
        replica_manager_stop(kit->managers[i], &kit->stops[i]);
    }
}

static inline void kit_finished(void *context, enum err result) {
    ((struct kit *)context)->finished = result;
}

static inline void kit_finish_inside(void *context) {
    struct kit *kit = context;
    kit->finished = ERR_BUSY;
    offset_checkpoints_finish(kit->checkpoints, true, 77, kit_finished, kit);
}

static inline void kit_free_inside(void *context) {
    struct kit *kit = context;
    for (int32_t i = 0; i < kit->reactors; i++)
        replica_manager_free(kit->managers[i]);
    offset_checkpoints_free(kit->checkpoints);
    log_directory_close(kit->directory);
}

static inline void kit_stop(struct kit *kit) {
    sim_node_call(kit->node, kit_stop_inside, kit);
    sim_settle(kit->sim, 10 * MS);
    for (int32_t i = 0; i < kit->reactors; i++)
        assert_int_equal(kit->stops[i].outstanding, -1);
    sim_node_call(kit->node, kit_finish_inside, kit);
    sim_settle(kit->sim, 10 * MS);
    assert_int_equal(kit->finished, ERR_NONE);
    sim_node_call(kit->node, kit_free_inside, kit);
}

static inline void kit_restart(struct kit *kit) {
    kit_stop(kit);
    kit_boot(kit);
}

static inline void kit_crash(struct kit *kit) {
    sim_node_kill(kit->node);
    sim_node_restart(kit->node);
    kit_boot(kit);
}

// Gives the node up where it stands.
static inline void kit_deinit(struct kit *kit) {
    sim_free(kit->sim);
    if (kit->image != NULL) image_unref(kit->image);
    image_unref(kit->pending);
    config_free(kit->config);
    batch_builder_deinit(&kit->builder);
    arena_deinit(&kit->arena);
}

// ---- Partitions ----

static inline struct partition *kit_find(struct kit *kit, int number, int32_t partition) {
    int32_t owner = replica_owner_of(kit_topic_id(number), partition, kit->reactors);
    return replica_find(kit->managers[owner], kit_topic_id(number), partition);
}

static inline bool kit_exists(struct kit *kit, const char *path) {
    struct env_stat stat;
    return env_stat(kit_env(kit), slice_cstring(path), &stat) == ERR_NONE;
}

struct kit_append {
    struct log_append_op op;
    struct partition *partition;
    bool is_started;
    bool is_written;
    enum err result;
};

static inline void kit_append_done(struct log_append_op *op, enum err result) {
    struct kit_append *append = container_of(op, struct kit_append, op);
    append->is_written = true;
    append->result = result;
}

static inline void kit_append_inside(void *context) {
    struct kit_append *append = context;
    append->result = log_append_start(append->partition->log, &append->op);
    append->is_started = append->result == ERR_NONE;
}

// Submits one batch of one record.
static inline void kit_append_start(struct kit *kit, struct partition *partition,
                                    struct kit_append *append) {
    batch_builder_reset(&kit->builder);
    struct record record = {.timestamp = env_wall_ms(kit_env(kit)),
                            .key = SLICE_LITERAL("k"),
                            .value = SLICE_LITERAL("value")};
    batch_builder_append(&kit->builder, &record);
    struct slice bytes;
    assert_int_equal(batch_builder_finish(&kit->builder, COMPRESSION_NONE, 0, &bytes), ERR_NONE);
    bytes = arena_copy(&kit->arena, bytes);
    *append = (struct kit_append){.partition = partition,
                                  .op = {.batch = (uint8_t *)(uintptr_t)bytes.data,
                                         .size = bytes.size,
                                         .leader_epoch = partition->leader_epoch,
                                         .origin = APPEND_CLIENT,
                                         .arena = &kit->arena,
                                         .done = kit_append_done}};
    sim_node_call(kit->node, kit_append_inside, append);
    assert_true(append->is_started);
}

static inline void kit_put(struct kit *kit, int number, int32_t partition, int count) {
    for (int i = 0; i < count; i++) {
        struct kit_append append;
        kit_append_start(kit, kit_find(kit, number, partition), &append);
        sim_settle(kit->sim, 10 * MS);
        assert_true(append.is_written);
        assert_int_equal(append.result, ERR_NONE);
    }
}
