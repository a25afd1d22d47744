// Producers and transactions of a log: how batches change them, and what the other parts ask.
#include "base/memory.h"
#include "storage/log_internal.h"

enum err log_apply_producer(struct log *log, const struct batch *batch, struct slice bytes,
                            struct segment *segment, bool *completed) {
    *completed = false;
    log->producers.end_offset = batch->last_offset + 1;
    if (batch->producer_id < 0) return ERR_NONE;
    struct transaction_marker marker;
    bool is_control = batch_is_control(batch);
    if (is_control && !transaction_marker_read(bytes, &marker)) return ERR_NONE;
    struct completed_transaction transaction;
    *completed =
        producer_table_apply(&log->producers, batch, is_control ? &marker : NULL, &transaction);
    if (!*completed || !transaction.aborted || segment == NULL) return ERR_NONE;
    struct aborted_entry entry = {transaction.producer_id, transaction.first_offset,
                                  transaction.last_offset,
                                  producer_table_stable_after(&log->producers, &transaction)};
    return segment_append_aborted(segment, &entry);
}

void log_producers(const struct log *log, struct arena *arena, struct producer_info **list,
                   int32_t *count) {
    const struct producer_table *table = &log->producers;
    *count = producer_table_count(table);
    *list = arena_zalloc(arena, (size_t)*count, sizeof **list);
    if (*count == 0) return;
    struct producer_info *info = *list;
    map_for_each(node, &table->map) {
        const struct producer_state *state = &container_of(node, struct producer, node)->state;
        *info++ = (struct producer_info){
            .producer_id = state->id,
            .producer_epoch = state->epoch,
            .last_sequence =
                state->batch_count == 0 ? -1 : state->batches[state->batch_count - 1].last_sequence,
            .last_timestamp = state->last_timestamp,
            .coordinator_epoch = state->coordinator_epoch,
            .current_transaction_first_offset = state->transaction_first_offset,
        };
    }
}

void log_expire_producers(struct log *log, int64_t wall_ms) {
    // What is in flight may have to be taken back.
    if (!list_is_empty(&log->in_flight)) return;
    producer_table_expire(&log->producers, wall_ms, log->config.producer_id_expiration_ms);
}

uint64_t log_producer_hash(const struct log *log) {
    return producer_table_hash(&log->producers);
}

// ---- Aborted transactions ----

struct aborted_search {
    int64_t from;
    int64_t to;
    struct arena *arena;
    struct aborted_transaction *list;
    int32_t count;
    int32_t capacity;
};

static void add_found(struct aborted_search *search, const struct aborted_entry *entry) {
    if (search->count == search->capacity) {
        int32_t capacity = MAX(8, search->capacity * 2);
        struct aborted_transaction *grown =
            arena_zalloc(search->arena, (size_t)capacity, sizeof *grown);
        if (search->count > 0) memcpy(grown, search->list, (size_t)search->count * sizeof *grown);
        search->list = grown;
        search->capacity = capacity;
    }
    // Insertion: entries come by marker, the answer goes by first offset.
    int32_t at = search->count++;
    while (at > 0 && search->list[at - 1].first_offset > entry->first_offset) {
        search->list[at] = search->list[at - 1];
        at--;
    }
    search->list[at] = (struct aborted_transaction){entry->producer_id, entry->first_offset};
}

// Sets `complete` when no later segment can hold an abort that overlaps.
static enum err search_segment(struct segment *segment, struct aborted_search *search,
                               bool *complete) {
    if (!segment->has_transactions) return ERR_NONE;
    enum err err = segment_open_transactions(segment, false);
    if (err != ERR_NONE) return err;
    uint32_t count = index_file_count(&segment->transactions);
    for (uint32_t i = 0; i < count; i++) {
        struct aborted_entry entry;
        err = segment_read_aborted(segment, i, READ_NO_WAIT, &entry);
        if (err != ERR_NONE) return err;
        if (entry.last_offset >= search->from && entry.first_offset < search->to)
            add_found(search, &entry);
        if (entry.last_stable_offset >= search->to) {
            *complete = true;
            return ERR_NONE;
        }
    }
    return ERR_NONE;
}

bool log_transaction_is_open(const struct log *log, int64_t producer_id, int16_t producer_epoch,
                             uint32_t *guard) {
    const struct producer *producer = producer_table_find(&log->producers, producer_id);
    *guard = producer == NULL ? 0 : producer->markers;
    return producer != NULL && producer->state.transaction_first_offset >= 0 &&
           producer->state.epoch == producer_epoch;
}

void log_note_beginning(struct log *log, const struct batch *batch, bool from_zero) {
    producer_note_beginning(&log->producers, batch->producer_id, batch->base_sequence, from_zero,
                            env_wall_ms(log->env));
}

enum err log_aborted_transactions(struct log *log, int64_t from, int64_t to, struct arena *arena,
                                  struct aborted_transaction **list, int32_t *count) {
    struct aborted_search search = {.from = from, .to = to, .arena = arena};
    bool complete = false;
    int32_t first = log_segment_index(log, from);
    for (int32_t i = MAX(first, 0); i < log->segment_count && !complete; i++) {
        enum err err = search_segment(log->segments[i], &search, &complete);
        if (err != ERR_NONE) return err;
    }
    *list = search.list;
    *count = search.count;
    return ERR_NONE;
}
