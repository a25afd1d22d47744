// Fetch at the owners of the partitions: checks, slices of the log, warming of cold ones, waiting.
//
// A slice pins its segment. A pin belongs to the owner's reactor, but is released where the answer
// is sent; for another reactor it is wrapped into one that goes home by mailbox.
#include "api/fetch.h"

#include "api/partition_access.h"
#include "base/memory.h"

#define WARM_TRIES 3  // then the row is answered empty and asked for again by the client

// ---- Pins for other reactors ----

struct lent_pin {
    struct pin pin;
    struct pin *owned;
    struct env *owner;
    struct env_message message;
};

static void lent_pin_arrived(struct env_message *message) {
    struct lent_pin *lent = container_of(message, struct lent_pin, message);
    lent->owned->release(lent->owned);
    memory_free(lent);
}

static void lent_pin_release(struct pin *pin) {
    struct lent_pin *lent = container_of(pin, struct lent_pin, pin);
    lent->message = (struct env_message){.deliver = lent_pin_arrived};
    env_post(lent->owner, &lent->message);
}

static void lend_pin(struct fetch_row *row, struct env *owner) {
    struct lent_pin *lent = memory_zalloc(1, sizeof *lent);
    lent->pin.release = lent_pin_release;
    lent->owned = row->slice.pin;
    lent->owner = owner;
    row->slice.pin = &lent->pin;
}

void fetch_row_release(struct fetch_row *row) {
    if (row->slice.pin != NULL) row->slice.pin->release(row->slice.pin);
    row->slice = (struct log_slice){0};
}

// ---- Reading one partition ----

static void report_error(struct fetch_row *row, enum err error) {
    fetch_row_release(row);
    row->row.error = error;
    row->high_watermark = -1;
    row->last_stable_offset = -1;
    row->log_start_offset = -1;
    row->diverging_epoch = -1;
    row->aborted_count = -1;
    row->has_more = false;
}

static int64_t upper_bound_of(const struct fetch *fetch, struct partition *partition) {
    if (env_mutant(fetch->call->node->env, MUTANT_SERVE_BEYOND_HIGH_WATERMARK)) {
        return log_end_written(partition->log);
    }
    bool is_mutant = env_mutant(fetch->call->node->env, MUTANT_TXN_READ_UNDECIDED);
    return fetch->read_committed && !is_mutant ? partition_last_stable_offset(partition)
                                               : partition->high_watermark;
}

// KIP-595: the client's last epoch must not end before its offset here. True: the row is answered.
static bool is_diverging(struct fetch_row *row, struct partition *partition) {
    if (row->target.last_fetched_epoch < 0) return false;
    int32_t epoch;
    int64_t end;
    log_epoch_end(partition->log, row->target.last_fetched_epoch, &epoch, &end);
    if (epoch < 0 || end < 0 || row->target.fetch_offset < log_start_offset(partition->log)) {
        report_error(row, ERR_OFFSET_OUT_OF_RANGE);
        return true;
    }
    if (epoch >= row->target.last_fetched_epoch && end >= row->target.fetch_offset) return false;
    row->diverging_epoch = epoch;
    row->diverging_end = end;
    return true;
}

static enum err read_aborted(struct fetch_row *row, struct partition *partition) {
    if (!fetch_of(row->row.part)->read_committed) return ERR_NONE;
    row->aborted_count = 0;
    bool is_mutant = env_mutant(row->row.part->scatter_part.node->env, MUTANT_TXN_FORGET_ABORTED);
    if (row->slice.size == 0 || is_mutant) return ERR_NONE;
    return log_aborted_transactions(partition->log, row->target.fetch_offset,
                                    row->slice.next_offset, row->row.part->scatter_part.arena,
                                    &row->aborted, &row->aborted_count);
}

// ERR_WOULD_BLOCK: cold. Everything else is in the row.
static enum err read_row(struct fetch_row *row, size_t max_bytes, bool at_least_one) {
    struct fetch *fetch = fetch_of(row->row.part);
    struct node *node = row->row.part->scatter_part.node;
    fetch_row_release(row);
    row->row.error = ERR_NONE;
    row->diverging_epoch = -1;
    row->aborted_count = -1;
    row->has_more = false;
    struct partition *partition;
    enum err err = partition_access(node, row->row.topic_id, row->row.index,
                                    row->target.current_leader_epoch, &partition);
    if (err == ERR_NONE && fetch->is_follower) err = ERR_NOT_LEADER_OR_FOLLOWER;
    if (err != ERR_NONE) {
        report_error(row, err);
        return ERR_NONE;
    }
    row->seen_epoch = partition->leader_epoch;
    row->high_watermark = partition->high_watermark;
    row->last_stable_offset = partition_last_stable_offset(partition);
    row->log_start_offset = log_start_offset(partition->log);
    if (is_diverging(row, partition)) return ERR_NONE;

    size_t partition_max = row->target.max_bytes < 0 ? 0 : (size_t)row->target.max_bytes;
    int64_t upper = upper_bound_of(fetch, partition);
    err = log_read(partition->log, row->target.fetch_offset, MIN(partition_max, max_bytes), upper,
                   at_least_one, &row->slice);
    if (err == ERR_NONE) {
        // Nothing although there is something: it did not fit.
        row->has_more = row->slice.size > 0 ? row->slice.next_offset < upper
                                            : !at_least_one && row->target.fetch_offset < upper;
        err = read_aborted(row, partition);
    }
    if (err == ERR_WOULD_BLOCK) {
        fetch_row_release(row);
    } else if (err != ERR_NONE) {
        report_error(row, err == ERR_IO || err == ERR_CORRUPT ? ERR_KAFKA_STORAGE_ERROR : err);
    } else if (row->slice.size > 0 && node != fetch->call->node) {
        lend_pin(row, node->env);
    }
    return err == ERR_WOULD_BLOCK ? err : ERR_NONE;
}

// ---- All rows of a part, with warming ----

static void read_part(struct fetch_part *part);

static void warm_done(struct log_warm_op *op, enum err result) {
    struct fetch_row *row = container_of(op, struct fetch_row, warm);
    struct fetch_part *part = fetch_part_of(row->row.part);
    if (result != ERR_NONE) row->warm_tries = WARM_TRIES;
    if (--part->warming == 0) read_part(part);
}

// False: it was tried often enough.
static bool warm_row(struct fetch_row *row, size_t max_bytes) {
    struct node *node = row->row.part->scatter_part.node;
    struct partition *partition = replica_find(node->replicas, row->row.topic_id, row->row.index);
    if (partition == NULL || partition->log == NULL || row->warm_tries >= WARM_TRIES) return false;
    row->warm_tries++;
    fetch_part_of(row->row.part)->warming++;
    row->warm.log = partition->log;
    row->warm.offset = row->target.fetch_offset;
    row->warm.max_bytes = MIN(max_bytes, (size_t)MAX(row->target.max_bytes, 0));
    row->warm.done = warm_done;
    log_warm_start(&row->warm);
    return true;
}

// With one part the budget is spent here, in the order of the request; with several, each row
// reports what it could give.
static void read_part(struct fetch_part *part) {
    struct fetch *fetch = fetch_of(&part->part);
    bool is_alone = fetch->rows.part_count == 1;
    size_t left = fetch->max_bytes;
    bool at_least_one = true;
    for (struct partition_row *at = part->part.first; at != NULL; at = at->next) {
        struct fetch_row *row = fetch_row_of(at);
        enum err err = read_row(row, left, at_least_one);
        if (err == ERR_WOULD_BLOCK && warm_row(row, left)) continue;
        if (!is_alone) continue;
        left -= MIN(left, row->slice.size);
        if (row->slice.size > 0) at_least_one = false;
    }
    // What was cold makes the part read again as a whole, so that the order of spending holds.
    if (part->warming == 0) partition_rows_part_done(&part->part);
}

void fetch_read_run(struct partition_rows_part *part) {
    for (struct partition_row *at = part->first; at != NULL; at = at->next) {
        fetch_row_of(at)->warm_tries = 0;
    }
    read_part(fetch_part_of(part));
}

void fetch_cut_run(struct partition_rows_part *part) {
    struct fetch *fetch = fetch_of(part);
    // Cold again: empty this time.
    if (read_row(fetch->cut, fetch->cut_bytes, false) != ERR_NONE) fetch->cut->has_more = true;
    partition_rows_part_done(part);
}

// ---- Waiting ----

static void woken_arrived(struct env_message *message) {
    struct fetch_part *part = container_of(message, struct fetch_part, woken);
    fetch_woken(fetch_of(&part->part));
}

static bool is_at_home(const struct fetch_part *part) {
    return part->part.scatter_part.node == part->part.rows->call->node;
}

static void tell_home(struct fetch_part *part) {
    if (part->is_woken) return;
    part->is_woken = true;
    struct fetch *fetch = fetch_of(&part->part);
    if (is_at_home(part)) {
        fetch_woken(fetch);
        return;
    }
    part->woken = (struct env_message){.deliver = woken_arrived};
    env_post(fetch->call->node->env, &part->woken);
}

static void row_woken(struct fetch_waiter *waiter) {
    struct fetch_row *row = container_of(waiter, struct fetch_row, waiter);
    tell_home(fetch_part_of(row->row.part));
}

bool fetch_is_as_reported(const struct fetch_row *row, struct partition *partition) {
    return partition != NULL && partition_is_leader(partition) &&
           partition->leader_epoch == row->seen_epoch &&
           partition->high_watermark == row->high_watermark &&
           partition_last_stable_offset(partition) == row->last_stable_offset &&
           log_start_offset(partition->log) == row->log_start_offset;
}

void fetch_wait_run(struct partition_rows_part *rows_part) {
    struct fetch_part *part = fetch_part_of(rows_part);
    struct node *node = rows_part->scatter_part.node;
    bool has_moved = false;
    part->is_woken = false;
    for (struct partition_row *at = rows_part->first; at != NULL; at = at->next) {
        struct fetch_row *row = fetch_row_of(at);
        struct partition *partition = replica_find(node->replicas, at->topic_id, at->index);
        fetch_waiter_init(&row->waiter, row_woken);
        if (fetch_is_as_reported(row, partition)) {
            partition_wait_fetch(partition, &row->waiter);
        } else {
            has_moved = true;
        }
    }
    if (has_moved) tell_home(part);
}

static void end_wait(struct fetch_part *part) {
    for (struct partition_row *at = part->part.first; at != NULL; at = at->next) {
        fetch_waiter_cancel(&fetch_row_of(at)->waiter);
    }
    partition_rows_part_done(&part->part);
}

static void cancel_arrived(struct env_message *message) {
    end_wait(container_of(message, struct fetch_part, cancel));
}

void fetch_wait_cancel(struct partition_rows_part *rows_part) {
    struct fetch_part *part = fetch_part_of(rows_part);
    if (is_at_home(part)) {
        end_wait(part);
        return;
    }
    part->cancel = (struct env_message){.deliver = cancel_arrived};
    env_post(rows_part->scatter_part.node->env, &part->cancel);
}
