// Making a log durable. One thing is in flight at a time (is_syncing), either
//
//   a files job    on a worker: segments that were rolled (data, indexes, producer snapshot), new
//   names in the directory, partition.metadata,
//                  leader-epoch-checkpoint; or
//   a data sync    of the active segment's file, which many appends share: it covers what was
//   written when it began.
//
// The files job goes first, so that nothing counts as synced whose name, or whose predecessor, a
// power cut could take away. What is due is decided once per pass, after the writes (sync_task). In
// page-cache mode data syncs happen only when asked for: flush.messages, flush.ms, log_sync, close;
// rolled segments are synced in the background in both modes, which moves the recovery point.
#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_internal.h"

struct log_sync_job {
    struct env_job job;
    struct log *log;
    struct list finishing;        // of log_finish, taken from the log
    struct string_buffer epochs;  // leader-epoch-checkpoint
    bool writes_epochs;
    bool syncs_names;
    bool syncs_parent;
    bool is_blocked;  // a state file found the disk full
    enum err result;
};

// ---- Queue of rolled segments ----

void log_finish_free(struct log_finish *finish) {
    if (finish->segment != NULL) segment_unref(finish->segment);
    string_buffer_deinit(&finish->snapshot);
    memory_free(finish);
}

void log_queue_finish(struct log *log, struct segment *segment, int64_t end_offset) {
    struct log_finish *finish = memory_zalloc(1, sizeof *finish);
    finish->segment = segment;
    if (segment != NULL) segment_ref(segment);
    finish->end_offset = end_offset;
    string_buffer_init(&finish->snapshot);
    if (end_offset > MAX(log->producers.snapshot_offset, log->start_offset)) {
        producer_snapshot_format(&log->producers, &finish->snapshot);
        log->producers.snapshot_offset = end_offset;
        log->names_changed = true;
    }
    list_append(&log->finishing, &finish->link);
}

void log_cancel_finish(struct log *log, int64_t offset) {
    list_for_each_safe(link, &log->finishing) {
        struct log_finish *finish = container_of(link, struct log_finish, link);
        if (finish->end_offset <= offset) continue;
        list_remove(link);
        log_finish_free(finish);
        log->producers.snapshot_offset = MIN(log->producers.snapshot_offset, offset);
    }
}

static bool finish_is_due(const struct log *log) {
    if (list_is_empty(&log->finishing)) return false;
    return container_of(log->finishing.next, struct log_finish, link)->end_offset <= log->written;
}

// ---- The files job ----

static enum err write_snapshot(struct log *log, const struct log_finish *finish) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_snapshot_path(log, finish->end_offset, &path);
    struct file *file = NULL;
    enum err err = file_open(log->env, string_buffer_slice(&path), FILE_CREATE, &file);
    if (err == ERR_NONE) err = file_truncate(file, 0);
    if (err == ERR_NONE) err = file_write(file, 0, finish->snapshot.text, finish->snapshot.size);
    if (err == ERR_NONE) err = file_sync(file);
    file_close(file);
    if (err == ERR_NO_SPACE) {
        // Recovery replays from an older one; half of one would be refused for its checksum anyway.
        (void)!env_unlink(log->env, string_buffer_slice(&path));
        err = ERR_NONE;
    }
    string_buffer_deinit(&path);
    return err;
}

static enum err sync_path(struct env *env, struct slice path) {
    struct file *file;
    enum err err = file_open(env, path, FILE_WRITE, &file);
    if (err != ERR_NONE) return err == ERR_NOT_FOUND ? ERR_NONE : err;
    err = file_sync(file);
    file_close(file);
    return err;
}

static enum err write_epochs(struct log *log, const struct string_buffer *text) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_path(log, "leader-epoch-checkpoint", &path);
    enum err err =
        env_replace_file(log->env, string_buffer_slice(&path), string_buffer_slice(text));
    string_buffer_deinit(&path);
    return err;
}

enum err log_write_epochs(struct log *log) {
    struct string_buffer text;
    string_buffer_init(&text);
    epoch_checkpoint_format(log->epochs.entries, log->epochs.count, &text);
    enum err err = write_epochs(log, &text);
    string_buffer_deinit(&text);
    if (err == ERR_NONE) log->epochs.is_changed = false;
    return err;
}

static struct slice parent_of(struct slice path) {
    size_t size = path.size;
    while (size > 0 && path.data[size - 1] != '/')
        size--;
    return size == 0 ? SLICE_LITERAL(".") : slice_sub(path, 0, MAX(size - 1, (size_t)1));
}

enum err log_sync_names(struct log *log, bool is_new) {
    struct string_buffer path;
    string_buffer_init(&path);
    enum err err = ERR_NONE;
    if (is_new) {
        log_path(log, "partition.metadata", &path);
        err = sync_path(log->env, string_buffer_slice(&path));
    }
    if (err == ERR_NONE) err = env_sync_directory(log->env, log->directory);
    if (err == ERR_NONE && is_new) err = env_sync_directory(log->env, parent_of(log->directory));
    string_buffer_deinit(&path);
    return err;
}

// The log's path does not change while a job runs: log_free and log_delete wait for it.
static void files_run(struct env_job *env_job) {
    struct log_sync_job *job = container_of(env_job, struct log_sync_job, job);
    enum err err = ERR_NONE;
    list_for_each(link, &job->finishing) {
        const struct log_finish *finish = container_of(link, struct log_finish, link);
        if (err == ERR_NONE && finish->segment != NULL) err = segment_sync(finish->segment);
        if (err == ERR_NONE && finish->snapshot.size > 0) err = write_snapshot(job->log, finish);
    }
    if (err == ERR_NONE && job->writes_epochs) {
        err = write_epochs(job->log, &job->epochs);
        job->is_blocked = err == ERR_NO_SPACE;
        if (job->is_blocked) err = ERR_NONE;
    }
    if (err == ERR_NONE && job->syncs_names) err = log_sync_names(job->log, job->syncs_parent);
    job->result = err;
}

static void files_done(struct env_job *env_job) {
    struct log_sync_job *job = container_of(env_job, struct log_sync_job, job);
    struct log *log = job->log;
    log->is_syncing = false;
    for (struct list *link; (link = list_pop(&job->finishing)) != NULL;) {
        struct log_finish *finish = container_of(link, struct log_finish, link);
        if (job->result == ERR_NONE && finish->end_offset > log->synced) {
            log->synced = finish->end_offset;
            log_note_moved(log);
        }
        log_finish_free(finish);
    }
    if (job->is_blocked) {
        log->epochs.is_changed = true;
        log->is_blocked = true;
    }
    if (job->result != ERR_NONE) log_fail(log, job->result, "syncing");
    string_buffer_deinit(&job->epochs);
    memory_free(job);
    log_sync_poke(log);
}

static bool files_are_due(const struct log *log) {
    if (!log->is_created) return false;
    return finish_is_due(log) || log->names_changed || (log->epochs.is_changed && !log->is_blocked);
}

static void start_files(struct log *log) {
    struct log_sync_job *job = memory_zalloc(1, sizeof *job);
    job->job.run = files_run;
    job->job.done = files_done;
    job->log = log;
    list_init(&job->finishing);
    while (finish_is_due(log)) {
        list_append(&job->finishing, list_pop(&log->finishing));
    }
    string_buffer_init(&job->epochs);
    if (log->epochs.is_changed) {
        epoch_checkpoint_format(log->epochs.entries, log->epochs.count, &job->epochs);
        job->writes_epochs = true;
        log->epochs.is_changed = false;
    }
    job->syncs_names = log->names_changed;
    job->syncs_parent = log->parent_changed;
    log->names_changed = false;
    log->parent_changed = false;
    log->is_syncing = true;
    env_job_start(log->env, &job->job);
}

// ---- Data syncs ----

static void data_synced(struct file_sync_op *op, enum err result) {
    struct log *log = container_of(op, struct log, sync_op);
    log->is_syncing = false;
    segment_unref(log->sync_segment);
    log->sync_segment = NULL;
    if (result != ERR_NONE) {
        log_fail(log, result, "syncing");
    } else if (log->sync_target > log->synced) {
        log->synced = log->sync_target;
        log_note_moved(log);
    }
    log_sync_poke(log);
}

static bool data_is_due(const struct log *log) {
    if (log->written <= log->synced) return false;
    if (log->config.durability == DURABILITY_FSYNC || log->sync_wanted > log->synced) return true;
    return log->written - log->synced >= log->config.flush_messages;
}

static void start_data(struct log *log) {
    struct segment *active = log_active(log);
    // The active segment may be newer than the written end while a roll's writes are in flight:
    // then its predecessor waits in `finishing`.
    if (!list_is_empty(&log->finishing)) return;
    if (active->file == NULL && segment_open_log(active) != ERR_NONE) {
        log_fail(log, ERR_IO, "opening a segment to sync it");
        return;
    }
    log->sync_target = log->written;
    log->sync_segment = active;
    segment_ref(active);
    if (log->written > active->base_offset)
        log_mark_put(log, log->written, active, log->written_position);
    log->is_syncing = true;
    log->sync_op.file = active->file;
    file_sync_start(log->env, &log->sync_op);
}

static void flush_fire(struct env_timer *timer) {
    struct log *log = container_of(timer, struct log, flush_timer);
    log_sync(log);
}

void log_sync(struct log *log) {
    log->sync_wanted = log->written;
    log_sync_poke(log);
}

// ---- Close ----

static void close_done(struct log *log, enum err result) {
    struct log_close_op *op = log->close_op;
    log->close_op = NULL;
    op->done(op, result);
}

static bool close_needs_work(const struct log *log) {
    const struct segment *active = log_active(log);
    if (active == NULL) return false;
    if (log->written > log->synced ||
        log->written > MAX(log->producers.snapshot_offset, log->start_offset))
        return true;
    return active->offsets.tail_count > 0 || active->times.tail_count > 0;
}

// The last steps of a clean stop, when no other is in flight.
static void close_step(struct log *log) {
    if (!list_is_empty(&log->in_flight)) return;
    if (log->has_failed) {
        close_done(log, ERR_FAILED_DISK);
        return;
    }
    if (!close_needs_work(log)) {
        close_done(log, ERR_NONE);
        return;
    }
    struct segment *active = log_active(log);
    enum err err = segment_open_files(active, true);
    if (err == ERR_NONE) err = segment_finish(active);
    if (err != ERR_NONE) {
        log_fail(log, err, "closing");
        close_done(log, err);
        return;
    }
    log_queue_finish(log, active, log->written);
    start_files(log);
}

void log_close_start(struct log *log, struct log_close_op *op) {
    assert(log->close_op == NULL);
    log->close_op = op;
    log_sync_poke(log);
}

// ---- What is due ----

static void sync_run(struct env_task *task) {
    struct log *log = container_of(task, struct log, sync_task);
    if (log->is_syncing) return;
    if (log->has_failed) {
        if (log->close_op != NULL) close_step(log);
        return;
    }
    if (files_are_due(log)) {
        start_files(log);
    } else if (log->close_op != NULL) {
        close_step(log);
    } else if (data_is_due(log)) {
        start_data(log);
    } else if (log->written > log->synced && log->config.flush_ms < INT64_MAX / 1000000 &&
               !env_timer_is_running(&log->flush_timer)) {
        env_timer_start(log->env, &log->flush_timer,
                        env_now_ns(log->env) + (uint64_t)log->config.flush_ms * 1000000);
    }
}

void log_sync_init(struct log *log) {
    env_task_init(&log->sync_task, sync_run);
    env_timer_init(&log->flush_timer, flush_fire);
    log->sync_op.done = data_synced;
}

void log_sync_poke(struct log *log) {
    env_defer(log->env, &log->sync_task);
}
