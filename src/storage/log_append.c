// Appending. A batch passes four stations:
//
//   checked    by validate.c and the producer's rules; a duplicate goes no further
//   assigned   it has its offsets; producer state, epochs, indexes count with it; its write is
//   submitted written    the write completed and so did all before it: readers may see it, `done`
//   is called synced     see log_sync.c
//
// Writes of one file complete in order, but a roll puts later batches into another file, so
// completions are taken from the head of the in-flight list only. When one fails, all behind it
// fail with it: they are waited for, and then everything since the written end is taken back,
// newest first (on a full disk), or the log is failed (any other error).
#include <inttypes.h>

#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_internal.h"
#include "storage/validate.h"

// ---- Creating ----

static enum err write_partition_metadata(struct log *log) {
    struct string_buffer path, text;
    string_buffer_init(&path);
    string_buffer_init(&text);
    log_path(log, "partition.metadata", &path);
    partition_metadata_format(log->topic_id, &text);
    // Without a sync here: log_sync.c makes it durable before anything of the log counts as synced.
    struct file *file = NULL;
    enum err err = file_open(log->env, string_buffer_slice(&path), FILE_CREATE, &file);
    if (err == ERR_NONE) err = file_truncate(file, 0);
    if (err == ERR_NONE) err = file_write(file, 0, text.text, text.size);
    file_close(file);
    string_buffer_deinit(&path);
    string_buffer_deinit(&text);
    return err;
}

static int64_t draw_jitter(struct log *log) {
    if (log->config.segment_jitter_ms <= 0) return 0;
    int64_t bound = MIN(log->config.segment_jitter_ms, MAX(log->config.segment_ms, (int64_t)1));
    return (int64_t)(env_random(log->env) % (uint64_t)bound);
}

static enum err add_active(struct log *log) {
    struct segment *segment = segment_new(log->env, log->directory, log->assigned);
    enum err err = segment_open_files(segment, true);
    // An older process may have left files here that never counted.
    if (err == ERR_NONE) err = segment_reset_indexes(segment);
    if (err == ERR_NONE) err = file_truncate(segment->file, 0);
    if (err == ERR_NONE && log->config.preallocate) {
        err = file_allocate(segment->file, (uint64_t)log->config.segment_bytes);
    }
    if (err != ERR_NONE) {
        segment_unref(segment);
        return err;
    }
    segment->hot_from = 0;
    log->names_changed = true;
    log->roll_jitter_ms = draw_jitter(log);
    log_add_segment(log, segment);
    return ERR_NONE;
}

enum err log_create(struct log *log) {
    if (!log->is_created) {
        enum err err = env_make_directory(log->env, log->directory);
        if (err != ERR_NONE && err != ERR_EXISTS) return err;
        log->is_created = true;
        log->names_changed = true;
        log->parent_changed = true;
    }
    // Also into a directory that somebody else made: the formatter makes that of the metadata log.
    if (!log->has_topic_id_file && !uuid_is_zero(log->topic_id)) {
        enum err err = write_partition_metadata(log);
        if (err != ERR_NONE) return err;
        log->has_topic_id_file = true;
        log->names_changed = log->parent_changed = true;
    }
    return log->segment_count > 0 ? ERR_NONE : add_active(log);
}

// ---- Rolling ----

static bool is_time_to_roll(const struct log *log, const struct segment *active,
                            int64_t max_timestamp) {
    if (active->size == 0) return false;
    int64_t limit = log->config.segment_ms - log->roll_jitter_ms;
    if (active->first_timestamp >= 0) return max_timestamp - active->first_timestamp > limit;
    return env_wall_ms(log->env) - active->created_ms > limit;
}

static bool must_roll(const struct log *log, const struct validated_batch *batch) {
    const struct segment *active = log_active(log);
    if (active->size > 0 && active->size + batch->size > (uint64_t)log->config.segment_bytes)
        return true;
    if (is_time_to_roll(log, active, batch->header.max_timestamp)) return true;
    if (!segment_index_has_room(active, log->config.segment_index_bytes)) return active->size > 0;
    int64_t last_offset = log->assigned + batch->header.last_offset_delta;
    return last_offset - active->base_offset > INT32_MAX;
}

enum err log_roll_now(struct log *log) {
    struct segment *old = log_active(log);
    if (old->base_offset == log->assigned) return ERR_NONE;
    enum err err = segment_finish(old);
    if (err == ERR_NONE) err = add_active(log);
    if (err != ERR_NONE) return err;
    log_queue_finish(log, old, log->assigned);
    log_mark_put(log, log->assigned, log_active(log), 0);
    return ERR_NONE;
}

void log_roll(struct log *log) {
    if (log->has_failed || log->is_rolling_back || log_active(log) == NULL) return;
    enum err err = segment_open_files(log_active(log), false);
    if (err == ERR_NONE) err = log_roll_now(log);
    if (err != ERR_NONE && err != ERR_NO_SPACE) log_fail(log, err, "rolling a segment");
    log_sync_poke(log);
}

// ---- Undoing ----

static struct producer_undo *take_undo(struct log *log) {
    struct producer_undo *undo = log->free_undo;
    if (undo == NULL) return memory_alloc(sizeof *undo);
    log->free_undo = undo->next;
    return undo;
}

static void give_undo(struct log *log, struct log_append_op *op) {
    if (op->undo == NULL) return;
    op->undo->next = log->free_undo;
    log->free_undo = op->undo;
    op->undo = NULL;
}

static void undo_producers(struct log *log) {
    for (struct list *link = log->in_flight.previous; link != &log->in_flight;
         link = link->previous) {
        struct log_append_op *op = container_of(link, struct log_append_op, link);
        if (op->undo != NULL) producer_undo_apply(&log->producers, op->producer_id, op->undo);
        give_undo(log, op);
    }
    log->producers.end_offset = log->written;
}

// Cuts the files back to the written end. `first` is the oldest append that is taken back.
static enum err undo_files(struct log *log, const struct log_append_op *first) {
    while (log->segment_count > 1 && log_active(log)->base_offset > log->written) {
        // Rolled since. (One that begins at the written end may stay: it is empty.)
        enum err err = log_remove_segments(log, log->segment_count - 1, 1);
        if (err != ERR_NONE) return err;
    }
    struct segment *active = log_active(log);
    uint64_t size = log->written_position;
    if (active->base_offset == log->written) size = 0;
    log->total_size -= (int64_t)(active->size - size);
    enum err err = segment_truncate(active, log->written, size);
    if (first->segment == active) {
        active->max_timestamp = first->max_timestamp_before;
        active->max_timestamp_offset = first->max_timestamp_offset_before;
        active->bytes_since_index = first->bytes_since_index_before;
    }
    return err;
}

static const struct log_append_op *first_written_op(const struct log *log) {
    list_for_each(link, &log->in_flight) {
        const struct log_append_op *op = container_of(link, struct log_append_op, link);
        if (op->segment != NULL) return op;
    }
    return NULL;
}

static void roll_back(struct log *log) {
    const struct log_append_op *first = first_written_op(log);
    log_cancel_finish(log, log->written);
    undo_producers(log);
    epoch_cache_truncate_end(&log->epochs, log->written);
    log->assigned = log->written;
    log_marks_clear(log);
    enum err err = first == NULL ? ERR_NONE : undo_files(log, first);
    if (err == ERR_NO_SPACE) {
        // Not even cutting worked: the bytes behind the written end are overwritten by the next
        // append or cut by recovery.
        err = ERR_NONE;
    }
    log->is_rolling_back = false;
    if (err != ERR_NONE) log_fail(log, err, "cutting back after a failed write");
}

// ---- Written ----

static void finish_op(struct log *log, struct log_append_op *op, enum err result) {
    list_remove(&op->link);
    give_undo(log, op);
    if (op->segment != NULL) segment_unref(op->segment);
    op->segment = NULL;
    op->done(op, result);
}

static void fail_in_flight(struct log *log, enum err result) {
    for (struct list *link; (link = log->in_flight.next) != &log->in_flight;) {
        finish_op(log, container_of(link, struct log_append_op, link), result);
    }
}

// Takes completions from the head of the list.
static void drain(struct log *log) {
    bool moved = false;
    for (struct list *link; (link = log->in_flight.next) != &log->in_flight;) {
        struct log_append_op *op = container_of(link, struct log_append_op, link);
        if (!op->is_complete || op->result != ERR_NONE || log->is_rolling_back || log->has_failed)
            break;
        if (!op->is_duplicate) {
            log->written = op->last_offset + 1;
            log->written_position = op->write.position + op->size;
            log->is_blocked = false;
            moved = true;
        }
        finish_op(log, op, ERR_NONE);
    }
    if (moved) {
        log_note_moved(log);
        log_sync_poke(log);
    }
    if (!log->is_rolling_back && !log->has_failed) return;
    list_for_each(link, &log->in_flight) {
        if (!container_of(link, struct log_append_op, link)->is_complete) return;
    }
    enum err result = log->has_failed ? ERR_KAFKA_STORAGE_ERROR : ERR_NO_SPACE;
    if (!log->has_failed) roll_back(log);
    fail_in_flight(log, result);
    log_sync_poke(log);
}

static void append_written(struct file_write_op *write, enum err result) {
    struct log_append_op *op = container_of(write, struct log_append_op, write);
    struct log *log = op->log;
    op->is_complete = true;
    op->result = result;
    if (result == ERR_NO_SPACE && !log->is_rolling_back) {
        log_warn(env_logger(log->env), "storage",
                 "%s: the disk is full; appends are refused until there is room", log->name);
        log->is_rolling_back = true;
    } else if (result != ERR_NONE && result != ERR_NO_SPACE) {
        log_fail(log, result, "writing");
    }
    drain(log);
}

static void duplicate_run(struct env_task *task) {
    struct log_append_op *op = container_of(task, struct log_append_op, task);
    op->is_complete = true;
    op->result = ERR_NONE;
    drain(op->log);
}

// ---- Checked ----

// A producer that came from a snapshot may retry what only the log still knows.
static const struct producer_batch *find_duplicate(struct log *log, const struct batch *header) {
    const struct producer_batch *known = producer_find_duplicate(&log->producers, header);
    struct producer *producer = producer_table_find(&log->producers, header->producer_id);
    if (known != NULL || producer == NULL || !producer->state.is_restored) return known;
    struct message ignored;
    enum err err = producer_check(&log->producers, header, log->assigned, log->name, &ignored);
    if (err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER || header->producer_epoch != producer->state.epoch)
        return NULL;
    return log_recall_batches(log, producer) ? producer_find_duplicate(&log->producers, header)
                                             : NULL;
}

static enum err check_guard(const struct log *log, const struct batch *header,
                            const struct log_append_op *op, struct message *error) {
    uint32_t guard;
    if (!op->needs_guard || !batch_is_transactional(header) ||
        log_transaction_is_open(log, header->producer_id, header->producer_epoch, &guard) ||
        guard == op->guard)
        return ERR_NONE;
    message_set(error, "Record was not part of an ongoing transaction");
    return ERR_INVALID_TXN_STATE;
}

static enum err check_producer(struct log *log, const struct validated_batch *batch,
                               struct log_append_op *op) {
    const struct batch *header = &batch->header;
    if (header->producer_id < 0 || op->origin == APPEND_RAFT || op->origin == APPEND_REPLICA)
        return ERR_NONE;
    struct message error;
    message_init(&error);
    enum err err = ERR_NONE;
    if (batch_is_control(header)) {
        struct transaction_marker marker;
        if (!transaction_marker_read(slice_of(batch->bytes, batch->size), &marker))
            return ERR_INVALID_RECORD;
        if (!env_mutant(log->env, MUTANT_TXN_MARKER_ANY_EPOCH))
            err = producer_check_marker(&log->producers, header, marker.coordinator_epoch,
                                        op->transaction_version, log->name, &error);
    } else if (op->origin == APPEND_COORDINATOR) {
        // Offsets inside a transaction have no sequence.
        err = check_guard(log, header, op, &error);
        if (err == ERR_NONE)
            err = producer_check_epoch(&log->producers, header, log->assigned, log->name, &error);
    } else if (op->origin == APPEND_CLIENT && !env_mutant(log->env, MUTANT_FORGET_DUPLICATE)) {
        const struct producer_batch *known = find_duplicate(log, header);
        if (known != NULL) {
            op->is_duplicate = true;
            bool is_mutant = env_mutant(log->env, MUTANT_DUPLICATE_ANSWERS_END);
            op->last_offset = is_mutant ? log->assigned - 1 : known->last_offset;
            op->base_offset = op->last_offset - known->offset_delta;
            // As Apache Kafka answers, also with CreateTime.
            op->log_append_time_ms = known->timestamp;
            return ERR_NONE;
        }
        err = check_guard(log, header, op, &error);
        if (err == ERR_NONE && !env_mutant(log->env, MUTANT_SKIP_SEQUENCE))
            err = producer_check(&log->producers, header, log->assigned, log->name, &error);
    }
    if (err != ERR_NONE && op->arena != NULL)
        op->error_text = arena_copy(op->arena, message_slice(&error));
    return err;
}

static enum err check_room(struct log *log, const struct validated_batch *batch,
                           struct log_append_op *op) {
    if (batch->size <= (size_t)log->config.segment_bytes) return ERR_NONE;
    if (op->origin != APPEND_CLIENT) return ERR_NONE;
    op->error_text = arena_format(
        op->arena,
        "Message batch size is %zu bytes in append to partition %s, which exceeds the maximum "
        "configured segment size of %d.",
        batch->size, log->name, log->config.segment_bytes);
    return ERR_RECORD_LIST_TOO_LARGE;
}

static enum err check_order(const struct log *log, const struct batch *header,
                            enum append_origin origin) {
    if (origin != APPEND_RAFT && origin != APPEND_REPLICA) return ERR_NONE;
    // Replicas of compacted logs have gaps, never steps back.
    if (origin == APPEND_REPLICA)
        return header->base_offset >= log->assigned ? ERR_NONE : ERR_OFFSET_OUT_OF_RANGE;
    return header->base_offset == log->assigned ? ERR_NONE : ERR_OFFSET_OUT_OF_RANGE;
}

// ---- Assigned ----

static void store_header(struct log *log, struct validated_batch *batch, struct log_append_op *op) {
    struct batch *header = &batch->header;
    if (op->origin == APPEND_CLIENT || op->origin == APPEND_COORDINATOR) {
        header->base_offset = log->assigned;
        header->last_offset = log->assigned + header->last_offset_delta;
        header->leader_epoch = op->leader_epoch;
    }
    store_i64(batch->bytes + BATCH_BASE_OFFSET, header->base_offset);
    store_i32(batch->bytes + BATCH_LEADER_EPOCH, header->leader_epoch);
    if (!batch->must_seal) return;
    store_i16(batch->bytes + BATCH_ATTRIBUTES, header->attributes);
    store_i64(batch->bytes + BATCH_MAX_TIMESTAMP, header->max_timestamp);
    batch_seal(batch->bytes, batch->size);
}

static enum err note_producer(struct log *log, const struct validated_batch *batch,
                              struct log_append_op *op) {
    const struct batch *header = &batch->header;
    op->undo = NULL;
    op->producer_id = header->producer_id;
    if (header->producer_id >= 0) {
        struct transaction_marker ignored;
        if (!batch_is_control(header) ||
            transaction_marker_read(slice_of(batch->bytes, batch->size), &ignored)) {
            op->undo = take_undo(log);
            producer_undo_save(&log->producers, header->producer_id, op->undo);
        }
    }
    bool completed;
    enum err err = log_apply_producer(log, header, slice_of(batch->bytes, batch->size),
                                      log_active(log), &completed);
    if (op->undo != NULL) op->undo->completed = completed;
    return err;
}

static void submit(struct log *log, struct validated_batch *batch, struct log_append_op *op) {
    struct segment *active = log_active(log);
    op->batch = batch->bytes;
    op->size = batch->size;
    op->part = slice_of(batch->bytes, batch->size);
    op->segment = active;
    segment_ref(active);
    op->is_complete = false;
    op->result = ERR_NONE;
    op->write = (struct file_write_op){.file = active->file,
                                       .position = active->size,
                                       .parts = &op->part,
                                       .part_count = 1,
                                       .done = append_written};
    active->size += batch->size;
    log->total_size += (int64_t)batch->size;
    log->assigned = op->last_offset + 1;
    list_append(&log->in_flight, &op->link);
    file_write_start(log->env, &op->write);
}

// The active segment, open and with room for the batch.
static enum err prepare_segment(struct log *log, const struct validated_batch *batch) {
    enum err err = log_create(log);
    if (err == ERR_NONE) err = segment_open_files(log_active(log), false);
    if (err == ERR_NONE && must_roll(log, batch)) err = log_roll_now(log);
    return err;
}

static enum err assign(struct log *log, struct validated_batch *batch, struct log_append_op *op) {
    enum err err = prepare_segment(log, batch);
    if (err != ERR_NONE) return err;
    struct segment *active = log_active(log);
    store_header(log, batch, op);
    op->base_offset = batch->header.base_offset;
    op->last_offset = batch->header.last_offset;
    op->max_timestamp_before = active->max_timestamp;
    op->max_timestamp_offset_before = active->max_timestamp_offset;
    op->bytes_since_index_before = active->bytes_since_index;
    err = note_producer(log, batch, op);
    if (err == ERR_NONE) {
        err = segment_note_batch(active, &batch->header, active->size,
                                 log->config.index_interval_bytes);
    }
    if (err == ERR_NO_SPACE && op->undo != NULL) {
        // An abort that did not fit into the transaction index must not be in the log.
        producer_undo_apply(&log->producers, op->producer_id, op->undo);
        log->producers.end_offset = log->assigned;
        give_undo(log, op);
    }
    if (err != ERR_NONE) return err;
    epoch_cache_assign(&log->epochs, batch->header.leader_epoch, batch->header.base_offset);
    if (batch->header.leader_epoch >= log->begun_epoch) log->begun_epoch = -1;
    submit(log, batch, op);
    return ERR_NONE;
}

enum err log_append_start(struct log *log, struct log_append_op *op) {
    op->log = log;
    op->is_duplicate = false;
    op->undo = NULL;
    op->segment = NULL;
    op->error_text = SLICE_NULL;
    op->record_errors = NULL;
    op->record_error_count = 0;
    op->log_append_time_ms = -1;
    list_init(&op->link);
    if (log->has_failed || log->close_op != NULL) return ERR_KAFKA_STORAGE_ERROR;
    if (log->is_rolling_back) return ERR_NO_SPACE;
    struct validated_batch batch;
    enum err err = batch_validate(&log->config, log->env, log->name, op, &batch);
    if (err == ERR_NONE) err = check_order(log, &batch.header, op->origin);
    if (err == ERR_NONE) err = check_room(log, &batch, op);
    if (err == ERR_NONE) err = check_producer(log, &batch, op);
    if (err != ERR_NONE) return err;
    if (op->is_duplicate) {
        op->is_complete = false;
        list_append(&log->in_flight, &op->link);
        env_task_init(&op->task, duplicate_run);
        env_defer(log->env, &op->task);
        return ERR_NONE;
    }
    err = assign(log, &batch, op);
    if (err == ERR_NONE || err == ERR_NO_SPACE || err == ERR_LIMIT) return err;
    log_fail(log, err, "appending");
    return ERR_KAFKA_STORAGE_ERROR;
}
