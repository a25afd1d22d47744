// The leader's side of the metadata log: election, appends, the high watermark, the full disk.
//
// Every append is one batch, written at the end of the pass and synced by the log, which keeps one
// sync in flight: appends of the meantime share the next one (group commit). With one voter the
// high watermark is the synced end, once that covers a record of this leader's own epoch.
//
// A full disk. The log takes a refused batch back, and all batches behind it. They wait in
// `refused`, in order, with their offsets, until the last of them came back; then the reserve is
// released and they are submitted again. Without a reserve they are lost: the listener takes their
// records back and the offsets are given out again.
#include "raft/raft_internal.h"

#include "base/assert.h"
#include "base/memory.h"

#define RESERVE_RETRY_NS (1000ull * 1000 * 1000)

static void free_append(struct raft_append *append) {
    batch_builder_deinit(&append->builder);
    memory_free(append);
}

static void stop_on(struct raft *raft, enum err error, const char *what) {
    struct message sentence;
    message_set(&sentence, "cannot write the metadata log: %s: %s", what, err_text(error));
    raft_fail(raft, error, &sentence);
}

static void append_done(struct log_append_op *op, enum err result) {
    struct raft_append *append = container_of(op, struct raft_append, op);
    struct raft *raft = append->raft;
    list_remove(&append->link);
    if (result == ERR_NO_SPACE && !raft->free_pending && raft->phase != RAFT_FAILED) {
        list_append(&raft->refused, &append->link);
        if (list_is_empty(&raft->appends)) env_defer(raft->env, &raft->retry_task);
        result = ERR_NONE;
    } else {
        free_append(append);
    }
    if (raft_release(raft)) return;
    if (result != ERR_NONE) stop_on(raft, result, "append");
    raft_continue_stop(raft);
}

static enum err submit(struct raft *raft, struct raft_append *append) {
    // Behind refused batches there is no way past them: their offsets come first.
    if (!list_is_empty(&raft->refused)) {
        list_append(&raft->refused, &append->link);
        return ERR_NONE;
    }
    enum err err = log_append_start(raft->log, &append->op);
    if (err != ERR_NONE) return err;
    assert(append->op.base_offset == append->base_offset);
    list_append(&raft->appends, &append->link);
    raft->pending++;
    return ERR_NONE;
}

static struct raft_append *new_append(struct raft *raft, int16_t attributes) {
    struct raft_append *append = memory_zalloc(1, sizeof *append);
    batch_builder_init(&append->builder);
    append->raft = raft;
    append->base_offset = raft->end_offset;
    append->builder.base_offset = raft->end_offset;
    append->builder.leader_epoch = raft->quorum.epoch;
    append->builder.attributes = attributes;
    return append;
}

// Takes `append`. On an error nothing was appended.
static enum err finish_append(struct raft *raft, struct raft_append *append) {
    struct slice bytes;
    int32_t count = append->builder.record_count;
    enum err err = batch_builder_finish(&append->builder, COMPRESSION_NONE, 0, &bytes);
    assert(err == ERR_NONE && bytes.data == append->builder.data);
    append->op = (struct log_append_op){
        .batch = append->builder.data,
        .size = bytes.size,
        .leader_epoch = raft->quorum.epoch,
        .origin = APPEND_RAFT,
        .arena = &raft->load.scratch,
        .done = append_done,
    };
    err = submit(raft, append);
    if (err != ERR_NONE) {
        free_append(append);
        return err;
    }
    raft->end_offset += count;
    raft->log_bytes += (int64_t)bytes.size;
    return ERR_NONE;
}

enum err raft_append(struct raft *raft, const struct slice *values, int32_t count,
                     int64_t *last_offset) {
    if (raft->phase != RAFT_LEADING) return ERR_NOT_CONTROLLER;
    assert(count > 0);
    struct raft_append *append = new_append(raft, 0);
    int64_t now_ms = env_wall_ms(raft->env);
    for (int32_t i = 0; i < count; i++) {
        struct record record = {.timestamp = now_ms, .key = SLICE_NULL, .value = values[i]};
        if (batch_builder_size_with(&append->builder, &record) > RAFT_BATCH_BYTES_MAX) {
            free_append(append);
            return ERR_LIMIT;
        }
        batch_builder_append(&append->builder, &record);
    }
    enum err err = finish_append(raft, append);
    if (err == ERR_NONE) *last_offset = raft->end_offset - 1;
    return err;
}

// ---- Full disk ----

static void reserve_again(struct env_timer *timer) {
    struct raft *raft = container_of(timer, struct raft, reserve_timer);
    if (log_directory_take_reserve(raft->options.directory) == ERR_NONE) {
        raft->disk_full = false;
        log_info(env_logger(raft->env), "raft",
                 "there is room on the disk of the metadata log again");
    } else {
        env_timer_start(raft->env, timer, env_now_ns(raft->env) + RESERVE_RETRY_NS);
    }
}

static void note_full(struct raft *raft) {
    if (!raft->disk_full)
        log_warn(env_logger(raft->env), "raft", "the disk of the metadata log is full: %.*s",
                 SLICE_PRINT(log_directory_path(raft->options.directory)));
    raft->disk_full = true;
    if (!env_timer_is_running(&raft->reserve_timer))
        env_timer_start(raft->env, &raft->reserve_timer, env_now_ns(raft->env) + RESERVE_RETRY_NS);
}

static void lose_refused(struct raft *raft) {
    struct list *first = raft->refused.next;
    int64_t end_offset = container_of(first, struct raft_append, link)->base_offset;
    for (struct list *node; (node = list_pop(&raft->refused)) != NULL;)
        free_append(container_of(node, struct raft_append, link));
    raft->end_offset = end_offset;
    if (end_offset < raft->epoch_records_end)
        stop_on(raft, ERR_NO_SPACE, "the first records of this start do not fit");
    else if (raft->phase != RAFT_FAILED)
        raft->listener->lost(raft->listener, end_offset, ERR_NO_SPACE);
}

static void retry(struct env_task *task) {
    struct raft *raft = container_of(task, struct raft, retry_task);
    if (list_is_empty(&raft->refused) || raft->phase == RAFT_FAILED) return;
    bool released = log_directory_release_reserve(raft->options.directory);
    note_full(raft);
    if (!released) {
        lose_refused(raft);
        raft_continue_stop(raft);
        return;
    }
    struct list again;
    list_init(&again);
    for (struct list *node; (node = list_pop(&raft->refused)) != NULL;)
        list_append(&again, node);
    for (struct list *node; (node = list_pop(&again)) != NULL;) {
        struct raft_append *append = container_of(node, struct raft_append, link);
        enum err err = submit(raft, append);
        if (err == ERR_NONE) continue;
        list_append(&raft->refused, &append->link);
        if (err != ERR_NO_SPACE) stop_on(raft, err, "append");
    }
    if (list_is_empty(&raft->appends) && !list_is_empty(&raft->refused))
        env_defer(raft->env, &raft->retry_task);
}

// ---- Commit ----

static void log_moved(struct log_listener *listener) {
    struct raft *raft = container_of(listener, struct raft, log_listener);
    if (raft->phase != RAFT_LEADING && raft->phase != RAFT_STOPPING) return;
    int64_t end = env_mutant(raft->env, MUTANT_RAFT_REPLY_BEFORE_SYNC) ? log_end_written(raft->log)
                                                                       : log_end_synced(raft->log);
    if (end < raft->epoch_records_end || end <= raft->high_watermark) return;
    raft->high_watermark = end;
    raft->listener->committed(raft->listener, end);
    raft_snapshot_check(raft);
    raft_continue_stop(raft);
}

static void log_failed(struct log_listener *listener, enum err error) {
    struct raft *raft = container_of(listener, struct raft, log_listener);
    stop_on(raft, error, "the disk failed");
}

// ---- Election ----

// Brings this node's own entry of the voter set up to its configuration; false when nothing
// changed.
static bool update_own_voter(struct raft *raft) {
    struct raft_voter *list = arena_zalloc(&raft->memory, (size_t)raft->voters.count, sizeof *list);
    for (int32_t i = 0; i < raft->voters.count; i++) {
        list[i] = raft->voters.voters[i];
        if (list[i].id != raft->quorum.node_id) continue;
        list[i].endpoints = raft->options.endpoints;
        list[i].endpoint_count = raft->options.endpoint_count;
        list[i].kraft_version_min = 0;
        list[i].kraft_version_max = RAFT_KRAFT_DYNAMIC;
    }
    struct raft_voters updated = {list, raft->voters.count};
    bool changed = !raft_voters_equal(&raft->voters, &updated);
    raft->voters = updated;
    return changed;
}

static void append_epoch_records(struct raft *raft) {
    struct raft_append *append = new_append(raft, ATTRIBUTE_CONTROL);
    int64_t now_ms = env_wall_ms(raft->env);
    control_append_leader_change(&append->builder, now_ms, raft->quorum.node_id, &raft->voters,
                                 &raft->voters);
    // KIP-853: a voter set that only the 0-0 checkpoint has goes into the log, and a changed one.
    if (raft->kraft_version >= RAFT_KRAFT_DYNAMIC &&
        (update_own_voter(raft) || raft->voters_offset == RAFT_NO_OFFSET)) {
        control_append_kraft_version(&append->builder, now_ms, raft->kraft_version);
        control_append_voters(&append->builder, now_ms, &raft->voters);
        raft->voters_offset = raft->end_offset + 2;
    }
    enum err err = finish_append(raft, append);
    if (err != ERR_NONE)
        stop_on(raft, err, "append");
    else
        raft->epoch_records_end = raft->end_offset;
}

static enum err check_voters(struct raft *raft, struct message *error) {
    if (raft->kraft_version < RAFT_KRAFT_DYNAMIC) raft->voters = raft->options.static_voters;
    if (raft->voters.count == 0) {
        message_set(error,
                    "no controller is known: set controller.quorum.voters, or format the "
                    "directory with --standalone");
        return ERR_INVALID;
    }
    if (quorum_is_sole_voter(&raft->quorum, &raft->voters)) return ERR_NONE;
    const struct raft_voter *own = raft_voters_find(&raft->voters, raft->quorum.node_id);
    if (own == NULL)
        message_set(error, "node %d is not among the %d voters of the metadata quorum",
                    raft->quorum.node_id, raft->voters.count);
    else if (raft->voters.count > 1)
        message_set(error, "a metadata quorum of %d voters is not supported yet",
                    raft->voters.count);
    else
        message_set(error,
                    "the voter of the metadata quorum is node %d with another directory id than "
                    "that of %.*s/meta.properties",
                    own->id, SLICE_PRINT(log_directory_path(raft->options.directory)));
    return ERR_INVALID;
}

static enum err store_quorum_state(struct raft *raft) {
    int16_t version = raft->kraft_version >= RAFT_KRAFT_DYNAMIC ? 1 : 0;
    struct quorum_state state = quorum_to_state(&raft->quorum, version);
    int32_t *ids = memory_zalloc((size_t)raft->voters.count, sizeof *ids);
    for (int32_t i = 0; i < raft->voters.count; i++)
        ids[i] = raft->voters.voters[i].id;
    struct string_buffer text;
    string_buffer_init(&text);
    quorum_state_format(&state, ids, raft->voters.count, &text);
    enum err err = log_directory_replace_file(
        raft->options.directory, SLICE_LITERAL(METADATA_LOG_NAME "/" QUORUM_STATE_NAME),
        string_buffer_slice(&text));
    string_buffer_deinit(&text);
    memory_free(ids);
    return err;
}

void raft_elect(struct raft *raft) {
    struct message error;
    enum err err = check_voters(raft, &error);
    if (err == ERR_NONE && raft->quorum.epoch == INT32_MAX) {
        message_set(&error, "the leader epoch of the metadata log is at its end");
        err = ERR_LIMIT;
    }
    if (err != ERR_NONE) {
        raft_fail(raft, err, &error);
        return;
    }
    // Nobody to ask: prospective, candidate and leader in one go, and one write of quorum-state.
    quorum_become_prospective(&raft->quorum);
    quorum_become_candidate(&raft->quorum);
    quorum_become_leader(&raft->quorum);
    err = store_quorum_state(raft);
    if (err != ERR_NONE) {
        stop_on(raft, err, QUORUM_STATE_NAME);
        return;
    }
    raft->end_offset = log_end_written(raft->log);
    log_begin_epoch(raft->log, raft->quorum.epoch);
    append_epoch_records(raft);
    if (raft->phase == RAFT_FAILED) return;
    raft->phase = RAFT_LEADING;
    log_info(env_logger(raft->env), "raft", "leader of epoch %d from offset %lld",
             raft->quorum.epoch, (long long)raft->end_offset);
    raft->listener->leader(raft->listener, raft->quorum.epoch, raft->end_offset);
}

void raft_append_init(struct raft *raft) {
    list_init(&raft->appends);
    list_init(&raft->refused);
    env_task_init(&raft->retry_task, retry);
    env_timer_init(&raft->reserve_timer, reserve_again);
    raft->log_listener = (struct log_listener){log_moved, log_failed};
}

void raft_append_deinit(struct raft *raft) {
    env_timer_stop(raft->env, &raft->reserve_timer);
    env_defer_cancel(raft->env, &raft->retry_task);
    for (struct list *node; (node = list_pop(&raft->refused)) != NULL;)
        free_append(container_of(node, struct raft_append, link));
}
