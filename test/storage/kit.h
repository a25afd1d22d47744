// What the tests of storage share: a log on the simulated disk, batches to put into it, and steps
// that wait until what was submitted is done.
#pragma once

#include "test/test.h"

#include "base/assert.h"
#include "base/memory.h"
#include "sim/sim_env.h"
#include "storage/log.h"

#define MS            UINT64_C(1000000)
#define S             UINT64_C(1000000000)
#define LOG_DIRECTORY "data/t-0"

struct kit {
    struct sim *sim;
    struct sim_node *node;
    struct env *env;
    struct log *log;
    struct arena arena;
    struct batch_builder builder;
    struct log_options options;
};

static inline struct log_config kit_config(void) {
    return (struct log_config){
        .durability = DURABILITY_FSYNC,
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_C(604800000),
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .retention_ms = INT64_C(604800000),
        .retention_bytes = -1,
        .delete_policy = true,
        .max_message_bytes = 1048588,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .file_delete_delay_ms = 60000,
        .producer_id_expiration_ms = 86400000,
        .compression_is_producer = true,
    };
}

static inline void kit_init(struct kit *kit, uint64_t seed, enum mutant mutant) {
    *kit = (struct kit){0};
    struct sim_options sim_options = {.seed = seed, .mutant = mutant, .log_level = LOG_DEBUG};
    kit->sim = sim_new(&sim_options);
    struct sim_node_options node_options = {.name = "disk"};
    kit->node = sim_node_add(kit->sim, &node_options);
    kit->env = sim_node_env(kit->node, 0);
    arena_init(&kit->arena);
    batch_builder_init(&kit->builder);
    assert_int_equal(env_make_directories(kit->env, SLICE_LITERAL("data")), ERR_NONE);
    assert_int_equal(env_sync_directory(kit->env, SLICE_LITERAL(".")), ERR_NONE);
    kit->options = (struct log_options){
        .directory = SLICE_LITERAL(LOG_DIRECTORY),
        .topic = SLICE_LITERAL("t"),
        .partition = 0,
        .topic_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
        .config = kit_config(),
        .clean = true,
        .log_start_offset = -1,
    };
}

static inline void kit_deinit(struct kit *kit) {
    if (kit->log != NULL) log_free(kit->log);
    arena_deinit(&kit->arena);
    batch_builder_deinit(&kit->builder);
    sim_free(kit->sim);
}

// Runs as the node, so that what is allocated dies with it.
struct kit_open_call {
    struct kit *kit;
    struct message error;
    enum err err;
};

static inline void kit_open_run(void *context) {
    struct kit_open_call *call = context;
    call->err = log_open(call->kit->env, &call->kit->options, &call->kit->log, &call->error);
}

static inline enum err kit_try_open(struct kit *kit) {
    struct kit_open_call call = {.kit = kit};
    message_init(&call.error);
    sim_node_call(kit->node, kit_open_run, &call);
    struct message error = call.error;
    enum err err = call.err;
    if (err != ERR_NONE) {
        kit->log = NULL;
        assert_true(error.text[0] != '\0');
    }
    return err;
}

static inline void kit_open(struct kit *kit) {
    assert_int_equal(kit_try_open(kit), ERR_NONE);
}

// Runs until nothing is pending but timers more than a second away.
static inline void kit_settle(struct kit *kit) {
    sim_settle(kit->sim, S);
}

struct kit_close {
    struct log_close_op op;
    bool is_done;
    enum err result;
};

static inline void kit_close_done(struct log_close_op *op, enum err result) {
    struct kit_close *close = container_of(op, struct kit_close, op);
    close->is_done = true;
    close->result = result;
}

// A clean stop.
static inline void kit_close(struct kit *kit) {
    struct kit_close close = {.op.done = kit_close_done};
    log_close_start(kit->log, &close.op);
    kit_settle(kit);
    assert_true(close.is_done);
    assert_int_equal(close.result, ERR_NONE);
    kit->options.recovery_point = log_recovery_point(kit->log);
    kit->options.log_start_offset = log_start_offset(kit->log);
    kit->options.clean = true;
    log_free(kit->log);
    kit->log = NULL;
}

static inline void kit_reopen(struct kit *kit) {
    kit_close(kit);
    kit_open(kit);
}

// kill -9 or a power cut: the log object goes, as memory does, and the node starts again.
static inline void kit_crash(struct kit *kit, bool power_cut) {
    kit->options.clean = false;
    kit->log = NULL;
    // Parts of it may be the node's.
    arena_deinit(&kit->arena);
    if (power_cut) {
        sim_node_power_cut(kit->node);
    } else {
        sim_node_kill(kit->node);
    }
    sim_node_restart(kit->node);
    kit->env = sim_node_env(kit->node, 0);
}

// ---- Batches ----

struct kit_batch {
    int32_t records;
    int32_t value_size;
    int64_t timestamp;    // of the first record; later ones add 1 each
    int64_t producer_id;  // from 1
    int16_t producer_epoch;
    int32_t sequence;
    int16_t attributes;
    enum compression compression;
    bool no_key;
};

// Zero means the usual: one record, ten bytes, the time now, no producer.
#define KIT_BATCH(...) ((struct kit_batch){__VA_ARGS__})

// In the arena.
static inline struct slice kit_make(struct kit *kit, struct kit_batch spec) {
    struct batch_builder *b = &kit->builder;
    batch_builder_reset(b);
    if (spec.records == 0) spec.records = 1;
    if (spec.value_size == 0) spec.value_size = 10;
    b->producer_id = spec.producer_id > 0 ? spec.producer_id : -1;
    b->producer_epoch = spec.producer_id > 0 ? spec.producer_epoch : -1;
    b->base_sequence = spec.producer_id > 0 ? spec.sequence : -1;
    b->attributes = spec.attributes;
    int64_t timestamp = spec.timestamp == 0 ? env_wall_ms(kit->env) : spec.timestamp;
    for (int32_t i = 0; i < spec.records; i++) {
        uint8_t *value = arena_zalloc(&kit->arena, 1, (size_t)spec.value_size);
        for (int32_t k = 0; k < spec.value_size; k++)
            value[k] = (uint8_t)(i + k * 7);
        struct record record = {.timestamp = timestamp < 0 ? timestamp : timestamp + i,
                                .key = spec.no_key ? SLICE_NULL : SLICE_LITERAL("key"),
                                .value = slice_of(value, (size_t)spec.value_size)};
        batch_builder_append(b, &record);
    }
    struct slice bytes;
    assert_int_equal(batch_builder_finish(b, spec.compression, 0, &bytes), ERR_NONE);
    return arena_copy(&kit->arena, bytes);
}

struct kit_append {
    struct log_append_op op;
    struct kit *kit;
    enum err started;
    bool is_done;
    enum err result;
};

static inline void kit_append_done(struct log_append_op *op, enum err result) {
    struct kit_append *append = container_of(op, struct kit_append, op);
    append->is_done = true;
    append->result = result;
}

static inline void kit_start_run(void *context) {
    struct kit_append *append = context;
    append->started = log_append_start(append->kit->log, &append->op);
}

static inline enum err kit_start_bytes(struct kit *kit, struct kit_append *append,
                                       struct slice bytes, enum append_origin origin,
                                       int32_t epoch) {
    *append = (struct kit_append){.kit = kit,
                                  .op = {.batch = (uint8_t *)(uintptr_t)bytes.data,
                                         .size = bytes.size,
                                         .leader_epoch = epoch,
                                         .origin = origin,
                                         .arena = &kit->arena,
                                         .done = kit_append_done}};
    sim_node_call(kit->node, kit_start_run, append);
    return append->started;
}

static inline enum err kit_start(struct kit *kit, struct kit_append *append,
                                 struct kit_batch spec) {
    return kit_start_bytes(kit, append, kit_make(kit, spec), APPEND_CLIENT, 0);
}

// Appends and waits until written and, in fsync mode, synced. Returns the base offset.
static inline int64_t kit_put(struct kit *kit, struct kit_batch spec) {
    struct kit_append append;
    assert_int_equal(kit_start(kit, &append, spec), ERR_NONE);
    assert_false(append.is_done);
    kit_settle(kit);
    assert_true(append.is_done);
    assert_int_equal(append.result, ERR_NONE);
    return append.op.base_offset;
}

static inline enum err kit_refused(struct kit *kit, struct kit_append *append,
                                   struct kit_batch spec) {
    int64_t end = log_end_assigned(kit->log);
    enum err err = kit_start(kit, append, spec);
    assert_int_not_equal(err, ERR_NONE);
    assert_int_equal(log_end_assigned(kit->log), end);
    return err;
}

// A transaction marker (KIP-98), as the coordinator writes it.
static inline struct slice kit_marker(struct kit *kit, int64_t producer_id, int16_t epoch,
                                      bool commit, int32_t coordinator_epoch) {
    uint8_t key[4] = {0, 0, 0, commit ? 1 : 0};
    uint8_t value[6] = {0,
                        0,
                        (uint8_t)(coordinator_epoch >> 24),
                        (uint8_t)(coordinator_epoch >> 16),
                        (uint8_t)(coordinator_epoch >> 8),
                        (uint8_t)coordinator_epoch};
    struct batch_builder *b = &kit->builder;
    batch_builder_reset(b);
    b->producer_id = producer_id;
    b->producer_epoch = epoch;
    b->attributes = ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL;
    struct record record = {
        .timestamp = env_wall_ms(kit->env), .key = slice_of(key, 4), .value = slice_of(value, 6)};
    batch_builder_append(b, &record);
    struct slice bytes;
    assert_int_equal(batch_builder_finish(b, COMPRESSION_NONE, 0, &bytes), ERR_NONE);
    return arena_copy(&kit->arena, bytes);
}

static inline int64_t kit_end_transaction(struct kit *kit, int64_t producer_id, int16_t epoch,
                                          bool commit) {
    struct kit_append append;
    struct slice bytes = kit_marker(kit, producer_id, epoch, commit, 1);
    assert_int_equal(kit_start_bytes(kit, &append, bytes, APPEND_COORDINATOR, 0), ERR_NONE);
    kit_settle(kit);
    assert_int_equal(append.result, ERR_NONE);
    return append.op.base_offset;
}

// ---- Other calls, as the node ----

enum kit_verb { KIT_ROLL, KIT_ADVANCE_START, KIT_RETENTION, KIT_TRUNCATE, KIT_RESET };

struct kit_call {
    struct kit *kit;
    enum kit_verb verb;
    int64_t a, b;
    enum err err;
    int count;
};

static inline void kit_call_run(void *context) {
    struct kit_call *call = context;
    struct log *log = call->kit->log;
    switch (call->verb) {
        case KIT_ROLL:
            log_roll(log);
            break;
        case KIT_ADVANCE_START:
            call->err = log_advance_start(log, call->a);
            break;
        case KIT_RETENTION:
            call->count = log_apply_retention(log, call->a, call->b);
            break;
        case KIT_TRUNCATE:
            call->err = log_truncate(log, call->a);
            break;
        case KIT_RESET:
            call->err = log_reset(log, call->a);
            break;
    }
}

static inline struct kit_call kit_do(struct kit *kit, enum kit_verb verb, int64_t a, int64_t b) {
    struct kit_call call = {.kit = kit, .verb = verb, .a = a, .b = b};
    sim_node_call(kit->node, kit_call_run, &call);
    return call;
}

static inline int kit_retention(struct kit *kit, int64_t wall_ms, int64_t high_watermark) {
    return kit_do(kit, KIT_RETENTION, wall_ms, high_watermark).count;
}

// ---- Reading ----

struct kit_warm {
    struct log_warm_op op;
    bool is_done;
    enum err result;
};

static inline void kit_warm_done(struct log_warm_op *op, enum err result) {
    struct kit_warm *warm = container_of(op, struct kit_warm, op);
    warm->is_done = true;
    warm->result = result;
}

// log_read, warming what is cold.
static inline enum err kit_read_slice(struct kit *kit, int64_t offset, size_t max_bytes,
                                      int64_t upper_bound, bool at_least_one,
                                      struct log_slice *slice) {
    // The simulated page cache forgets at random.
    for (int tries = 0; tries < 1000; tries++) {
        enum err err = log_read(kit->log, offset, max_bytes, upper_bound, at_least_one, slice);
        if (err != ERR_WOULD_BLOCK) return err;
        struct kit_warm warm = {
            .op = {
                .log = kit->log, .offset = offset, .max_bytes = max_bytes, .done = kit_warm_done}};
        log_warm_start(&warm.op);
        kit_settle(kit);
        assert_true(warm.is_done);
        assert_int_equal(warm.result, ERR_NONE);
    }
    return ERR_WOULD_BLOCK;
}

// The bytes of a slice, in the arena; releases it.
static inline struct slice kit_take(struct kit *kit, struct log_slice *slice) {
    if (slice->size == 0) return SLICE_EMPTY;
    uint8_t *bytes = arena_alloc(&kit->arena, slice->size);
    size_t got;
    assert_int_equal(file_read(slice->file, slice->position, bytes, slice->size, &got), ERR_NONE);
    assert_int_equal(got, slice->size);
    size_t size = slice->size;
    log_slice_release(slice);
    return slice_of(bytes, size);
}

static inline struct slice kit_read(struct kit *kit, int64_t offset, size_t max_bytes) {
    struct log_slice slice;
    assert_int_equal(kit_read_slice(kit, offset, max_bytes, INT64_MAX, true, &slice), ERR_NONE);
    return kit_take(kit, &slice);
}

// Reads everything from `offset` on and checks that batches are whole, valid and in order. Returns
// the number of records.
static inline int64_t kit_count_records(struct kit *kit, int64_t offset) {
    int64_t count = 0;
    while (offset < log_end_written(kit->log)) {
        struct slice bytes = kit_read(kit, offset, 65536);
        assert_true(bytes.size > 0);
        while (bytes.size > 0) {
            struct batch batch;
            assert_int_equal(batch_decode(bytes, &batch), ERR_NONE);
            assert_true(batch.size <= bytes.size);
            assert_true(batch_crc_is_valid(slice_sub(bytes, 0, batch.size)));
            assert_true(batch.last_offset >= offset);
            count += batch.record_count;
            offset = batch.last_offset + 1;
            bytes = slice_sub(bytes, batch.size, bytes.size - batch.size);
        }
    }
    return count;
}

static inline struct log_timestamp kit_lookup(struct kit *kit, int64_t timestamp) {
    struct log_timestamp found;
    assert_int_equal(log_lookup(kit->log, timestamp, INT64_MAX, &found), ERR_NONE);
    return found;
}

static inline const uint8_t *kit_file(struct kit *kit, const char *name, uint64_t *size) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", LOG_DIRECTORY, name);
    return sim_disk_contents(kit->node, path, size);
}
