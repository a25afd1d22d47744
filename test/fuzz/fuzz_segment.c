// A partition directory of any bytes: it opens or is refused with a sentence; an opened one is read
// from end to end, searched, appended to, closed and opened again. The input: a byte of flags, then
// files as {uint8 which, uint16 size, bytes}; two segments' files and the state files.
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "sim/sim_env.h"
#include "storage/log.h"

#define DIRECTORY "d/t-0"
#define STEPS_MAX 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

static const char *const file_names[] = {
    "00000000000000000000.log",
    "00000000000000000000.index",
    "00000000000000000000.timeindex",
    "00000000000000000000.txnindex",
    "00000000000000000100.log",
    "00000000000000000100.index",
    "00000000000000000100.timeindex",
    "00000000000000000100.snapshot",
    "00000000000000000000.log.swap",
    "leader-epoch-checkpoint",
    "partition.metadata",
    "00000000000000000026.snapshot",
};

static void put_files(struct env *env, struct reader *in) {
    while (reader_left(in) > 3) {
        uint8_t which = reader_u8(in);
        size_t size = MIN((size_t)reader_u16(in), reader_left(in));
        struct slice bytes = reader_bytes(in, size);
        char path[200];
        snprintf(path, sizeof path, "%s/%s", DIRECTORY, file_names[which % COUNT_OF(file_names)]);
        check(env_replace_file(env, slice_cstring(path), bytes) == ERR_NONE);
    }
}

static void append_done(struct log_append_op *op, enum err result) {
    (void)result;
    op->arena = NULL;
}
static void close_done(struct log_close_op *op, enum err result) {
    (void)result;
    op->done = NULL;
}

static void read_all(struct log *log) {
    int64_t offset = log_start_offset(log);
    for (int i = 0; i < STEPS_MAX && offset < log_end_written(log); i++) {
        struct log_slice slice = {0};
        enum err err = log_read(log, offset, 700, INT64_MAX, true, &slice);
        if (err == ERR_WOULD_BLOCK) continue;
        if (err != ERR_NONE || slice.next_offset <= offset) return;
        offset = slice.next_offset;
        log_slice_release(&slice);
    }
}

static void search(struct log *log, struct arena *arena) {
    struct log_timestamp found;
    (void)!log_lookup(log, 1000, INT64_MAX, &found);
    (void)!log_lookup(log, INT64_C(1795442069284), INT64_MAX, &found);
    (void)!log_lookup(log, LOG_LOOKUP_MAX_TIMESTAMP, INT64_MAX, &found);
    struct aborted_transaction *list;
    int32_t count;
    (void)!log_aborted_transactions(log, 0, INT64_MAX, arena, &list, &count);
    check(log_last_stable_offset(log, log_end_written(log)) <= log_end_written(log));
}

static void append_one(struct sim *sim, struct log *log, struct arena *arena) {
    struct batch_builder builder;
    batch_builder_init(&builder);
    struct record record = {.timestamp = 1700000000000, .value = SLICE_LITERAL("v")};
    batch_builder_append(&builder, &record);
    struct slice bytes;
    check(batch_builder_finish(&builder, COMPRESSION_NONE, 0, &bytes) == ERR_NONE);
    struct log_append_op op = {
        .batch = builder.data, .size = bytes.size, .arena = arena, .done = append_done};
    int64_t end = log_end_assigned(log);
    if (log_append_start(log, &op) == ERR_NONE) {
        sim_settle(sim, 1000000000);
        check(op.arena == NULL);
        check(log_end_written(log) == end + 1);
    }
    batch_builder_deinit(&builder);
}

static void use(struct sim *sim, struct env *env, struct log_options *options, bool again) {
    struct message error;
    message_init(&error);
    struct log *log;
    if (log_open(env, options, &log, &error) != ERR_NONE) {
        check(error.text[0] != '\0');
        return;
    }
    check(log_start_offset(log) <= log_end_written(log));
    struct arena arena;
    arena_init(&arena);
    read_all(log);
    search(log, &arena);
    if (again) append_one(sim, log, &arena);
    struct log_close_op close = {.done = close_done};
    log_close_start(log, &close);
    sim_settle(sim, 1000000000);
    check(close.done == NULL);
    options->clean = true;
    options->recovery_point = log_recovery_point(log);
    options->log_start_offset = log_start_offset(log);
    log_free(log);
    arena_deinit(&arena);
    if (again) use(sim, env, options, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 65536) return 0;
    struct sim_options sim_options = {.seed = 1, .log_level = LOG_ERROR};
    struct sim *sim = sim_new(&sim_options);
    struct sim_node_options node_options = {.name = "disk"};
    struct sim_node *node = sim_node_add(sim, &node_options);
    struct env *env = sim_node_env(node, 0);
    check(env_make_directories(env, SLICE_LITERAL(DIRECTORY)) == ERR_NONE);
    struct reader in = reader_of(slice_of(data + 1, size - 1));
    put_files(env, &in);
    struct log_options options = {
        .directory = SLICE_LITERAL(DIRECTORY),
        .topic = SLICE_LITERAL("t"),
        .config = {.segment_bytes = 4000,
                   .segment_ms = INT64_MAX / 2,
                   .segment_index_bytes = 4096,
                   .index_interval_bytes = 300,
                   .retention_ms = -1,
                   .retention_bytes = -1,
                   .max_message_bytes = 1 << 20,
                   .timestamp_before_max_ms = INT64_MAX,
                   .timestamp_after_max_ms = INT64_MAX,
                   .flush_messages = INT64_MAX,
                   .flush_ms = INT64_MAX,
                   .producer_id_expiration_ms = INT64_MAX / 2,
                   .compression_is_producer = true},
        .clean = (data[0] & 1) != 0,
        .recovery_point = data[0] >> 4,
        .log_start_offset = (data[0] & 2) != 0 ? 7 : -1,
    };
    use(sim, env, &options, true);
    sim_free(sim);
    return 0;
}
