#include "storage/log_internal.h"

#include "base/assert.h"
#include "base/memory.h"

static struct slice heap_copy(struct slice s) {
    uint8_t *copy = memory_alloc(s.size);
    memcpy(copy, s.data, s.size);
    return slice_of(copy, s.size);
}

static char *partition_name(struct slice topic, int32_t partition) {
    struct string_buffer name;
    string_buffer_init(&name);
    string_buffer_format(&name, "%.*s-%d", SLICE_PRINT(topic), partition);
    return name.text;
}

static void moved_run(struct env_task *task) {
    struct log *log = container_of(task, struct log, moved_task);
    if (log->listener == NULL || log->failure_told) return;
    if (log->has_failed) {
        log->failure_told = true;
        log->listener->failed(log->listener, log->failure);
        return;
    }
    log->listener->moved(log->listener);
}

struct log *log_new(struct env *env, const struct log_options *options) {
    struct log *log = memory_zalloc(1, sizeof *log);
    log->env = env;
    log->directory = heap_copy(options->directory);
    log->topic = heap_copy(options->topic);
    log->name = partition_name(options->topic, options->partition);
    log->partition = options->partition;
    log->topic_id = options->topic_id;
    log->config = options->config;
    log->is_metadata_log = options->is_metadata_log;
    log->begun_epoch = -1;
    epoch_cache_init(&log->epochs);
    producer_table_init(&log->producers, env_random(env));
    list_init(&log->in_flight);
    list_init(&log->finishing);
    list_init(&log->deleted);
    env_task_init(&log->moved_task, moved_run);
    env_timer_init(&log->delete_timer, log_delete_timer_fire);
    log_sync_init(log);
    log_marks_clear(log);
    return log;
}

void log_set_listener(struct log *log, struct log_listener *listener) {
    log->listener = listener;
}

void log_configure(struct log *log, const struct log_config *config) {
    log->config = *config;
    log_sync_poke(log);
}

bool log_is_busy(const struct log *log) {
    return !list_is_empty(&log->in_flight) || log->is_syncing || log->jobs > 0;
}

void log_free(struct log *log) {
    assert(!log_is_busy(log));
    env_defer_cancel(log->env, &log->moved_task);
    env_defer_cancel(log->env, &log->sync_task);
    env_timer_stop(log->env, &log->flush_timer);
    env_timer_stop(log->env, &log->delete_timer);
    for (struct list *link; (link = list_pop(&log->finishing)) != NULL;) {
        log_finish_free(container_of(link, struct log_finish, link));
    }
    log_deleted_clear(log);
    for (int32_t i = 0; i < log->segment_count; i++) {
        log->segments[i]->directory = SLICE_NULL;
        segment_unref(log->segments[i]);
    }
    memory_free(log->segments);
    epoch_cache_deinit(&log->epochs);
    producer_table_deinit(&log->producers);
    while (log->free_undo != NULL) {
        struct producer_undo *undo = log->free_undo;
        log->free_undo = undo->next;
        memory_free(undo);
    }
    memory_free((void *)log->directory.data);
    memory_free((void *)log->topic.data);
    memory_free(log->name);
    memory_free(log);
}

// ---- Segments ----

void log_add_segment(struct log *log, struct segment *segment) {
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity == 0 ? 1 : log->segment_capacity * 2;
        log->segments =
            memory_realloc(log->segments, (size_t)log->segment_capacity, sizeof *log->segments);
    }
    log->segments[log->segment_count++] = segment;
    log->total_size += (int64_t)segment->size;
}

int32_t log_segment_index(const struct log *log, int64_t offset) {
    if (log->segment_count == 0) return -1;
    int32_t low = 0, high = log->segment_count;  // the answer is in [low, high)
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->base_offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t log_segment_end(const struct log *log, int32_t i) {
    return i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : log->assigned;
}

uint64_t log_readable_size(const struct log *log, int32_t i) {
    const struct segment *segment = log->segments[i];
    if (i + 1 < log->segment_count && log->segments[i + 1]->base_offset <= log->written)
        return segment->size;
    return segment->base_offset >= log->written ? 0 : log->written_position;
}

// ---- State ----

int64_t log_start_offset(const struct log *log) {
    return log->start_offset;
}
int64_t log_end_assigned(const struct log *log) {
    return log->assigned;
}
int64_t log_end_written(const struct log *log) {
    return log->written;
}
int64_t log_end_synced(const struct log *log) {
    return log->synced;
}

int64_t log_end_durable(const struct log *log) {
    bool page_cache = log->config.durability == DURABILITY_PAGE_CACHE;
    return page_cache || env_mutant(log->env, MUTANT_ACK_BEFORE_SYNC) ? log->written : log->synced;
}

int64_t log_last_stable_offset(struct log *log, int64_t high_watermark) {
    int64_t stable = producer_table_last_stable(&log->producers, high_watermark);
    // Records below the log start are gone, and with them what was undecided there.
    return MAX(stable, MIN(log->start_offset, high_watermark));
}

int64_t log_size_bytes(const struct log *log) {
    return log->total_size;
}
bool log_has_failed(const struct log *log) {
    return log->has_failed;
}
struct uuid log_topic_id(const struct log *log) {
    return log->topic_id;
}
int32_t log_segment_count(const struct log *log) {
    return log->segment_count;
}

int64_t log_recovery_point(const struct log *log) {
    return log->synced;
}

void log_fail(struct log *log, enum err err, const char *what) {
    if (log->has_failed) return;
    log->has_failed = true;
    log->failure = err;
    log_error(env_logger(log->env), "storage", "%s: %s failed: %s; the log is not trusted any more",
              log->name, what, err_text(err));
    log_note_moved(log);
}

void log_note_moved(struct log *log) {
    env_defer(log->env, &log->moved_task);
}

// ---- Epochs ----

void log_epoch_end(const struct log *log, int32_t epoch, int32_t *found_epoch,
                   int64_t *end_offset) {
    if (epoch >= 0 && epoch == log->begun_epoch) {
        *found_epoch = epoch;
        *end_offset = log->assigned;
        return;
    }
    epoch_cache_end_of(&log->epochs, epoch, log->assigned, found_epoch, end_offset);
}

int32_t log_epoch_of(const struct log *log, int64_t offset) {
    return epoch_cache_of(&log->epochs, offset);
}

int32_t log_last_epoch(const struct log *log) {
    return MAX(epoch_cache_last(&log->epochs), (int32_t)log->begun_epoch);
}

void log_begin_epoch(struct log *log, int32_t epoch) {
    if (epoch > epoch_cache_last(&log->epochs)) log->begun_epoch = epoch;
}

// ---- Marks ----

void log_marks_clear(struct log *log) {
    for (int i = 0; i < LOG_MARKS; i++)
        log->marks[i].offset = -1;
}

void log_mark_put(struct log *log, int64_t offset, const struct segment *segment,
                  uint64_t position) {
    for (int i = 0; i < LOG_MARKS; i++) {
        if (log->marks[i].offset == offset && log->marks[i].segment_base == segment->base_offset)
            return;
    }
    log->marks[log->next_mark++ % LOG_MARKS] =
        (struct log_mark){offset, segment->base_offset, position};
}

bool log_mark_get(const struct log *log, int64_t offset, int64_t segment_base, uint64_t *position) {
    for (int i = 0; i < LOG_MARKS; i++) {
        const struct log_mark *mark = &log->marks[i];
        if (mark->offset == offset && mark->segment_base == segment_base) {
            *position = mark->position;
            return true;
        }
    }
    return false;
}

// ---- Paths ----

void log_path(const struct log *log, const char *name, struct string_buffer *out) {
    string_buffer_clear(out);
    string_buffer_format(out, "%.*s/%s", SLICE_PRINT(log->directory), name);
}

void log_snapshot_path(const struct log *log, int64_t offset, struct string_buffer *out) {
    segment_path(log->directory, offset, ".snapshot", out);
}
