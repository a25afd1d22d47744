// Snapshots while running (KIP-630). One is wanted when the log grew by
// metadata.log.max.record.bytes.between.snapshots (or by a segment, so that every roll has one)
// since the last, or when records have waited for metadata.log.max.snapshot.interval.ms. The owner
// of the records starts it; they are asked for and written in slices of a millisecond, then a
// worker syncs and renames the file.
//
// What a newer snapshot makes superfluous goes by metadata retention, as in Kafka: while there are
// two or more, the oldest is deleted when log and snapshots together exceed
// metadata.max.retention.bytes or when its last record is older than metadata.max.retention.ms; the
// log then begins where the next snapshot ends.
#include "raft/raft_internal.h"

#define RETRY_NS (60ull * 1000 * 1000 * 1000)

static uint64_t ms_to_ns(int64_t ms) {
    return (uint64_t)ms * 1000 * 1000;
}

// ---- When ----

static void want_snapshot(struct raft *raft) {
    if (raft->snapshot_wanted || raft->snapshotting.op != NULL) return;
    if (raft->phase != RAFT_LEADING) return;
    raft->snapshot_wanted = true;
    raft->listener->snapshot_wanted(raft->listener);
}

static void interval_passed(struct env_timer *timer) {
    struct raft *raft = container_of(timer, struct raft, snapshot_timer);
    if (raft->log_bytes > raft->log_bytes_at_snapshot) want_snapshot(raft);
}

void raft_snapshot_check(struct raft *raft) {
    int64_t bytes = raft->log_bytes - raft->log_bytes_at_snapshot;
    if (bytes >= MIN(raft->options.snapshot_bytes, (int64_t)raft->options.segment_bytes)) {
        want_snapshot(raft);
        return;
    }
    if (bytes == 0 || env_timer_is_running(&raft->snapshot_timer)) return;
    if (raft->options.snapshot_ms <= 0) return;
    env_timer_start(
        raft->env, &raft->snapshot_timer,
        env_now_ns(raft->env) + ms_to_ns(MIN(raft->options.snapshot_ms, raft->options.segment_ms)));
}

// ---- Writing ----

static void finish(struct raft *raft, enum err result) {
    struct raft_snapshotting *s = &raft->snapshotting;
    struct raft_snapshot_op *op = s->op;
    if (s->writer_open) snapshot_writer_close(&s->writer);
    s->writer_open = false;
    s->op = NULL;
    raft->snapshot_wanted = false;
    env_timer_stop(raft->env, &raft->snapshot_timer);
    if (result == ERR_NONE) {
        raft->snapshot = s->id;
        raft->log_bytes_at_snapshot = s->bytes_at_start;
        raft_clean(raft);
        raft_snapshot_check(raft);
    } else {
        log_warn(env_logger(raft->env), "raft", "cannot write the snapshot at offset %lld: %s",
                 (long long)s->id.end_offset, err_text(result));
        env_timer_start(raft->env, &raft->snapshot_timer, env_now_ns(raft->env) + RETRY_NS);
    }
    op->done(op, result);
    // A full disk passes; any other failed write means that the directory cannot be trusted.
    if (result != ERR_NONE && result != ERR_NO_SPACE && raft->phase != RAFT_FAILED) {
        struct message sentence;
        message_set(&sentence, "cannot write a snapshot of the metadata log: %s", err_text(result));
        raft_fail(raft, result, &sentence);
    }
    raft_continue_stop(raft);
}

static void commit_run(struct env_job *job) {
    struct raft_snapshotting *s = container_of(job, struct raft_snapshotting, job);
    s->result = snapshot_writer_commit(&s->writer);
}

static void commit_done(struct env_job *job) {
    struct raft_snapshotting *s = container_of(job, struct raft_snapshotting, job);
    struct raft *raft = container_of(s, struct raft, snapshotting);
    if (raft_release(raft)) return;
    finish(raft, s->result);
}

static void write_slice(struct env_timer *timer) {
    struct raft_snapshotting *s = container_of(timer, struct raft_snapshotting, timer);
    struct raft *raft = container_of(s, struct raft, snapshotting);
    if (raft->phase == RAFT_FAILED) {
        finish(raft, ERR_FAILED_DISK);
        return;
    }
    uint64_t begin = env_clock_ns(raft->env);
    struct slice value;
    while (s->op->next(s->op, &value)) {
        enum err err = snapshot_writer_append(&s->writer, value);
        if (err != ERR_NONE) {
            finish(raft, err);
            return;
        }
        if (env_clock_ns(raft->env) - begin > RAFT_SLICE_NS) {
            env_timer_start(raft->env, timer, env_now_ns(raft->env));
            return;
        }
    }
    s->job = (struct env_job){.run = commit_run, .done = commit_done};
    raft->pending++;
    env_job_start(raft->env, &s->job);
}

// The epoch and the timestamp of the record before `end_offset`, which must end a batch.
static enum err last_record(struct raft *raft, int64_t end_offset, int32_t *epoch,
                            int64_t *timestamp_ms) {
    struct log_slice slice;
    enum err err = log_read(raft->log, end_offset - 1, BATCH_HEADER_SIZE, INT64_MAX, true, &slice);
    if (err != ERR_NONE) return err;
    uint8_t header[BATCH_HEADER_SIZE];
    struct batch batch;
    size_t got;
    err = slice.size == 0 ? ERR_INVALID
                          : file_read(slice.file, slice.position, header, sizeof header, &got);
    if (err == ERR_NONE) err = batch_decode(slice_of(header, got), &batch);
    log_slice_release(&slice);
    if (err != ERR_NONE) return err;
    if (batch.last_offset + 1 != end_offset) return ERR_INVALID;
    *epoch = batch.leader_epoch;
    *timestamp_ms = batch.max_timestamp;
    return ERR_NONE;
}

enum err raft_snapshot_start(struct raft *raft, struct raft_snapshot_op *op) {
    struct raft_snapshotting *s = &raft->snapshotting;
    if (raft->phase != RAFT_LEADING) return ERR_NOT_CONTROLLER;
    if (s->op != NULL) return ERR_BUSY;
    // Between what was replayed at start and the first own record there are only control records.
    int64_t end_offset = MAX(op->end_offset, raft->epoch_records_end);
    if (end_offset > raft->high_watermark) return ERR_INVALID;
    if (end_offset <= raft->snapshot.end_offset) return ERR_EXISTS;
    struct snapshot_id id = {.end_offset = end_offset};
    int64_t timestamp_ms;
    enum err err = last_record(raft, end_offset, &id.epoch, &timestamp_ms);
    if (err != ERR_NONE) return err;
    struct string_buffer name;
    string_buffer_init(&name);
    snapshot_path(SLICE_EMPTY, id, "", &name);
    err = snapshot_writer_open(
        raft->env, raft->log_directory, slice_sub(string_buffer_slice(&name), 1, name.size - 1),
        id.epoch, timestamp_ms, raft->kraft_version,
        raft->kraft_version >= RAFT_KRAFT_DYNAMIC ? &raft->voters : NULL, &s->writer);
    string_buffer_deinit(&name);
    if (err != ERR_NONE) return err;
    s->writer_open = true;
    s->op = op;
    s->id = id;
    s->bytes_at_start = raft->log_bytes;
    op->raft = raft;
    env_timer_start(raft->env, &s->timer, env_now_ns(raft->env));
    return ERR_NONE;
}

int64_t raft_snapshot_end_offset(const struct raft *raft) {
    return raft->snapshot.end_offset;
}

// ---- Cleaning ----

static int64_t snapshot_size(struct raft *raft, struct snapshot_id id, struct arena *arena,
                             struct slice *path) {
    struct string_buffer text;
    string_buffer_init(&text);
    snapshot_path(raft->log_directory, id, "", &text);
    *path = arena_copy(arena, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    struct env_stat stat;
    return env_stat(raft->env, *path, &stat) == ERR_NONE ? (int64_t)stat.size : 0;
}

static bool is_too_old(struct raft *raft, struct slice path, struct arena *arena) {
    if (raft->options.retention_ms < 0) return false;
    struct snapshot_reader reader;
    if (snapshot_reader_open(raft->env, path, arena, &reader, NULL) != ERR_NONE) return true;
    int64_t age_ms = env_wall_ms(raft->env) - reader.last_contained_log_timestamp_ms;
    snapshot_reader_close(&reader);
    return age_ms > raft->options.retention_ms;
}

static bool is_too_large(const struct raft *raft, int64_t snapshot_bytes) {
    int64_t max = raft->options.retention_bytes;
    return max >= 0 && log_size_bytes(raft->log) + snapshot_bytes > max;
}

void raft_clean(struct raft *raft) {
    struct arena arena;
    arena_init(&arena);
    struct snapshot_id *ids;
    int32_t count;
    int64_t total = 0;
    if (snapshot_list(raft->env, raft->log_directory, &arena, &ids, &count) != ERR_NONE) goto out;
    struct slice *paths = arena_zalloc(&arena, (size_t)count, sizeof *paths);
    int64_t *sizes = arena_zalloc(&arena, (size_t)count, sizeof *sizes);
    for (int32_t i = 0; i < count; i++) {
        sizes[i] = snapshot_size(raft, ids[i], &arena, &paths[i]);
        total += sizes[i];
    }
    for (int32_t i = 0; i + 1 < count; i++) {
        if (!is_too_large(raft, total) && !is_too_old(raft, paths[i], &arena)) break;
        // The log first: a log that begins above its newest snapshot could not be read.
        if (ids[i + 1].end_offset > raft->snapshot.end_offset) break;
        if (log_advance_start(raft->log, ids[i + 1].end_offset) != ERR_NONE) break;
        log_apply_retention(raft->log, env_wall_ms(raft->env), raft->high_watermark);
        if (env_unlink(raft->env, paths[i]) != ERR_NONE) break;
        total -= sizes[i];
    }
out:
    arena_deinit(&arena);
}

void raft_snapshot_init(struct raft *raft) {
    env_timer_init(&raft->snapshot_timer, interval_passed);
    env_timer_init(&raft->snapshotting.timer, write_slice);
}

void raft_snapshot_deinit(struct raft *raft) {
    env_timer_stop(raft->env, &raft->snapshot_timer);
    env_timer_stop(raft->env, &raft->snapshotting.timer);
    if (raft->snapshotting.writer_open) snapshot_writer_close(&raft->snapshotting.writer);
    raft->snapshotting.writer_open = false;
}
