// Taking away the end of a log, all of it, or the log itself. These are rare and block for a few
// file operations, syncs among them: what was cut off must not come back with a power cut. None of
// them runs while an append, a sync or a job is in flight.
#include "base/memory.h"
#include "storage/log_directory.h"
#include "storage/log_internal.h"

static void set_end(struct log *log, int64_t offset) {
    log->assigned = log->written = offset;
    log->synced = MIN(log->synced, offset);
    log->sync_wanted = MIN(log->sync_wanted, offset);
    struct segment *active = log_active(log);
    log->written_position = active == NULL ? 0 : active->size;
    log_marks_clear(log);
}

static void drop_finishing(struct log *log) {
    for (struct list *link; (link = list_pop(&log->finishing)) != NULL;) {
        log_finish_free(container_of(link, struct log_finish, link));
    }
}

enum err log_reset(struct log *log, int64_t offset) {
    if (log->has_failed) return ERR_KAFKA_STORAGE_ERROR;
    if (log_is_busy(log)) return ERR_BUSY;
    drop_finishing(log);
    enum err err = log_remove_segments(log, 0, log->segment_count);
    if (err == ERR_NONE) err = log_drop_snapshots(log, -1);
    if (err != ERR_NONE) {
        log_fail(log, err, "deleting all segments");
        return ERR_KAFKA_STORAGE_ERROR;
    }
    log->start_offset = offset;
    set_end(log, offset);
    log->synced = offset;
    log->begun_epoch = -1;
    epoch_cache_clear(&log->epochs);
    producer_table_clear(&log->producers);
    log->producers.end_offset = log->producers.snapshot_offset = offset;
    // The name of the segment keeps the offset, should the process die before the first append.
    if (log->is_created) err = log_create(log);
    if (err == ERR_NONE && log->is_created) err = env_sync_directory(log->env, log->directory);
    if (err != ERR_NONE && err != ERR_NO_SPACE) log_fail(log, err, "creating a segment");
    log_note_moved(log);
    log_sync_poke(log);
    return err;
}

enum err log_truncate(struct log *log, int64_t offset) {
    if (log->has_failed) return ERR_KAFKA_STORAGE_ERROR;
    if (log_is_busy(log)) return ERR_BUSY;
    if (offset >= log->assigned) return ERR_NONE;
    if (log->segment_count == 0 || offset < log->segments[0]->base_offset)
        return log_reset(log, MAX(offset, 0));
    drop_finishing(log);
    int32_t keep = log_segment_index(log, offset) + 1;
    struct segment *active = log->segments[keep - 1];
    uint64_t position = 0;
    int64_t end = offset;
    bool at_batch;
    enum err err = segment_open_log(active);
    if (err == ERR_NONE)
        err = segment_find(active, offset, active->size, READ_BLOCKING, &position, &end, &at_batch);
    if (err == ERR_NONE) err = log_remove_segments(log, keep, log->segment_count - keep);
    if (err == ERR_NONE) {
        log->total_size -= (int64_t)(active->size - position);
        err = segment_truncate(active, offset, position);
    }
    // A batch goes as a whole.
    end = MIN(end, offset);
    int64_t measured_end;
    if (err == ERR_NONE) err = log_measure_segment(log, active, &measured_end);
    if (err == ERR_NONE) {
        set_end(log, end);
        log->start_offset = MIN(log->start_offset, end);
        epoch_cache_truncate_end(&log->epochs, end);
        err = log_drop_snapshots(log, end);
    }
    if (err == ERR_NONE) err = log_rebuild_producers(log, end);
    if (err == ERR_NONE) err = segment_sync(active);
    if (err == ERR_NONE) err = env_sync_directory(log->env, log->directory);
    if (err != ERR_NONE) {
        log_fail(log, err, "truncating");
        return ERR_KAFKA_STORAGE_ERROR;
    }
    log_note_moved(log);
    log_sync_poke(log);
    return ERR_NONE;
}

// ---- Deleting a log ----

struct log_deletion {
    struct list link;
    struct env *env;
    struct env_timer timer;
    struct env_job job;
    bool is_running;
    struct string_buffer path;
};

static void deletion_free(struct log_deletion *deletion) {
    list_remove(&deletion->link);
    string_buffer_deinit(&deletion->path);
    memory_free(deletion);
}

static void deletion_run(struct env_job *job) {
    struct log_deletion *deletion = container_of(job, struct log_deletion, job);
    // What stays is removed at the next start.
    (void)!env_remove_tree(deletion->env, string_buffer_slice(&deletion->path));
}

static void deletion_done(struct env_job *job) {
    deletion_free(container_of(job, struct log_deletion, job));
}

static void deletion_fire(struct env_timer *timer) {
    struct log_deletion *deletion = container_of(timer, struct log_deletion, timer);
    deletion->is_running = true;
    env_job_start(deletion->env, &deletion->job);
}

static struct slice directory_prefix(struct slice path) {
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return slice_sub(path, 0, size);
}

enum err log_delete(struct log *log, struct list *deletions) {
    if (log_is_busy(log)) return ERR_BUSY;
    if (!log->is_created) {
        log_free(log);
        return ERR_NONE;
    }
    struct log_deletion *deletion = memory_zalloc(1, sizeof *deletion);
    deletion->env = log->env;
    deletion->job.run = deletion_run;
    deletion->job.done = deletion_done;
    env_timer_init(&deletion->timer, deletion_fire);
    string_buffer_init(&deletion->path);
    string_buffer_append(&deletion->path, directory_prefix(log->directory));
    partition_directory_format_suffixed(log->env, log->topic, log->partition,
                                        PARTITION_DIRECTORY_DELETED, &deletion->path);
    list_append(deletions, &deletion->link);
    enum err err = env_rename(log->env, log->directory, string_buffer_slice(&deletion->path));
    if (err != ERR_NONE && err != ERR_NOT_FOUND) {
        deletion_free(deletion);
        return err;
    }
    uint64_t delay_ns = (uint64_t)MAX(log->config.file_delete_delay_ms, (int64_t)0) * 1000000;
    env_timer_start(log->env, &deletion->timer, env_now_ns(log->env) + delay_ns);
    log_free(log);
    return ERR_NONE;
}

bool log_deletions_cancel(struct list *deletions) {
    list_for_each_safe(link, deletions) {
        struct log_deletion *deletion = container_of(link, struct log_deletion, link);
        if (deletion->is_running) continue;
        env_timer_stop(deletion->env, &deletion->timer);
        deletion_free(deletion);
    }
    return list_is_empty(deletions);
}
