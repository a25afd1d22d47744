// Shortening a log at its beginning: retention, DeleteRecords, and the deferred deletion of files.
// A deleted segment's files are renamed to
// *.deleted at once and unlinked after file.delete.delay.ms by a job, when nobody reads them any
// more; what a crash leaves is removed at the next start.
#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_internal.h"

// ---- Deferred deletion ----

struct unlink_job {
    struct env_job job;
    struct log *log;
    int32_t count;
    int64_t base_offsets[];
};

static enum err rename_snapshot(struct log *log, int64_t offset) {
    struct string_buffer from, to;
    string_buffer_init(&from);
    string_buffer_init(&to);
    log_snapshot_path(log, offset, &from);
    string_buffer_append(&to, string_buffer_slice(&from));
    string_buffer_append(&to, SLICE_LITERAL(".deleted"));
    enum err err = env_rename(log->env, string_buffer_slice(&from), string_buffer_slice(&to));
    string_buffer_deinit(&from);
    string_buffer_deinit(&to);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static void arm_timer(struct log *log, uint64_t due_ns) {
    if (!env_timer_is_running(&log->delete_timer))
        env_timer_start(log->env, &log->delete_timer, due_ns);
}

enum err log_remove_segments(struct log *log, int32_t from, int32_t count) {
    assert(from >= 0 && from + count <= log->segment_count);
    enum err err = ERR_NONE;
    int32_t removed = 0;
    uint64_t due = env_now_ns(log->env) + (uint64_t)log->config.file_delete_delay_ms * 1000000;
    for (; removed < count && err == ERR_NONE; removed++) {
        struct segment *segment = log->segments[from + removed];
        err = segment_mark_deleted(segment);
        if (err == ERR_NONE) err = rename_snapshot(log, segment->base_offset);
        if (err != ERR_NONE) break;
        struct log_deleted *deleted = memory_zalloc(1, sizeof *deleted);
        deleted->segment = segment;
        deleted->due_ns = due;
        list_append(&log->deleted, &deleted->link);
        log->total_size -= (int64_t)segment->size;
    }
    log->segment_count -= removed;
    memmove(log->segments + from, log->segments + from + removed,
            (size_t)(log->segment_count - from) * sizeof(struct segment *));
    if (removed > 0) {
        log_marks_clear(log);
        log->names_changed = true;
        arm_timer(log, due);
    }
    return err;
}

void log_deleted_clear(struct log *log) {
    for (struct list *link; (link = list_pop(&log->deleted)) != NULL;) {
        struct log_deleted *deleted = container_of(link, struct log_deleted, link);
        deleted->segment->directory = SLICE_NULL;
        segment_unref(deleted->segment);
        memory_free(deleted);
    }
}

static void unlink_run(struct env_job *env_job) {
    struct unlink_job *job = container_of(env_job, struct unlink_job, job);
    struct log *log = job->log;
    struct string_buffer path;
    string_buffer_init(&path);
    for (int32_t i = 0; i < job->count; i++) {
        // What stays is removed at the next start.
        (void)!segment_unlink_deleted(log->env, log->directory, job->base_offsets[i]);
        segment_path(log->directory, job->base_offsets[i], ".snapshot.deleted", &path);
        (void)!env_unlink(log->env, string_buffer_slice(&path));
    }
    string_buffer_deinit(&path);
}

static void unlink_done(struct env_job *env_job) {
    struct unlink_job *job = container_of(env_job, struct unlink_job, job);
    job->log->jobs--;
    memory_free(job);
}

void log_delete_timer_fire(struct env_timer *timer) {
    struct log *log = container_of(timer, struct log, delete_timer);
    uint64_t now = env_now_ns(log->env);
    int32_t waiting = 0;
    list_for_each(link, &log->deleted) waiting++;
    struct unlink_job *job =
        memory_zalloc(1, sizeof *job + (size_t)waiting * sizeof job->base_offsets[0]);
    job->job.run = unlink_run;
    job->job.done = unlink_done;
    job->log = log;
    list_for_each_safe(link, &log->deleted) {
        struct log_deleted *deleted = container_of(link, struct log_deleted, link);
        // A reader still has it: ask again in a while.
        bool is_pinned = deleted->segment->references > 1;
        if (is_pinned && deleted->due_ns <= now) deleted->due_ns = now + 1000000000;
        if (deleted->due_ns > now) {
            arm_timer(log, deleted->due_ns);
            continue;
        }
        list_remove(link);
        job->base_offsets[job->count++] = deleted->segment->base_offset;
        segment_unref(deleted->segment);
        memory_free(deleted);
    }
    if (job->count == 0) {
        memory_free(job);
        return;
    }
    log->jobs++;
    env_job_start(log->env, &job->job);
}

// ---- Retention ----

// How many of the oldest segments lie wholly below the log start.
static int32_t count_below_start(const struct log *log, int64_t high_watermark) {
    int32_t count = 0;
    while (count + 1 < log->segment_count) {
        int64_t next = log->segments[count + 1]->base_offset;
        if (next > log->start_offset || next > high_watermark) break;
        count++;
    }
    return count;
}

static bool may_delete(const struct log *log, int32_t i, int64_t high_watermark) {
    if (log_segment_end(log, i) > high_watermark) return false;
    return i + 1 < log->segment_count ||
           (log->segments[i]->size > 0 && list_is_empty(&log->in_flight));
}

static int32_t count_by_size(const struct log *log, int32_t from, int64_t high_watermark) {
    int32_t count = from;
    int64_t excess = log->total_size - log->config.retention_bytes;
    for (int32_t i = 0; i < from; i++)
        excess -= (int64_t)log->segments[i]->size;
    while (count < log->segment_count && may_delete(log, count, high_watermark)) {
        excess -= (int64_t)log->segments[count]->size;
        if (excess < 0) break;
        count++;
    }
    return count;
}

static int32_t count_by_time(struct log *log, int32_t from, int64_t wall_ms,
                             int64_t high_watermark) {
    int32_t count = from;
    while (count < log->segment_count && may_delete(log, count, high_watermark)) {
        struct segment *segment = log->segments[count];
        if (segment_load_max_timestamp(segment) != ERR_NONE) break;
        // Without any timestamp the segment's age in this process counts.
        int64_t newest = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
        if (wall_ms - newest <= log->config.retention_ms) break;
        count++;
    }
    return count;
}

static void start_at(struct log *log, int64_t offset) {
    if (offset <= log->start_offset) return;
    log->start_offset = offset;
    epoch_cache_truncate_start(&log->epochs, offset);
    log_note_moved(log);
    log_sync_poke(log);
}

int log_apply_retention(struct log *log, int64_t wall_ms, int64_t high_watermark) {
    if (log->has_failed || log->is_rolling_back || log->close_op != NULL || log->segment_count == 0)
        return 0;
    int32_t count = count_below_start(log, high_watermark);
    if (log->config.delete_policy && !log->is_metadata_log) {
        if (log->config.retention_bytes >= 0) count = count_by_size(log, count, high_watermark);
        if (log->config.retention_ms >= 0)
            count = count_by_time(log, count, wall_ms, high_watermark);
    }
    if (count > 0 && count == log->segment_count) {
        // A log always has an active segment.
        log_roll(log);
        if (log->segment_count == count) count--;
    }
    if (count > 0) {
        int64_t start = log->segments[count]->base_offset;
        enum err err = log_remove_segments(log, 0, count);
        if (err != ERR_NONE) log_fail(log, err, "deleting a segment");
        start_at(log, start);
    }
    for (int32_t i = 0; i < log->segment_count; i++)
        segment_close_idle(log->segments[i], i + 1 == log->segment_count);
    return count;
}

enum err log_advance_start(struct log *log, int64_t offset) {
    if (log->has_failed) return ERR_KAFKA_STORAGE_ERROR;
    if (offset > log->written) return ERR_OFFSET_OUT_OF_RANGE;
    start_at(log, offset);
    return ERR_NONE;
}
