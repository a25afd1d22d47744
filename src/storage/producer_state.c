// Producer state. The rules, as Apache Kafka has them (its sentences too, letter by letter):
//
// - A batch whose epoch and first and last sequence equal one of the producer's last five is a
// duplicate.
// - An unknown producer may begin anywhere (KIP-360: its state may have expired, or its records
// been deleted).
// - A smaller epoch is fenced. A new epoch must begin at sequence 0 and forgets the cached batches.
// - Otherwise the first sequence follows the last one; after 2^31 - 1 comes 0. A producer that is
// known only by a marker (no batch cached)
//   begins at 0.
// - A transaction is open from its first transactional batch to its marker. Meanwhile the producer
// may not write outside of it.
#include "storage/producer_state.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"

void producer_table_init(struct producer_table *table, uint64_t map_seed) {
    *table = (struct producer_table){.map_seed = map_seed, .snapshot_offset = -1};
    list_init(&table->open);
}

static void drop_beginning(struct producer_table *table, struct producer_beginning *b) {
    map_remove(&table->beginnings, &b->node);
    memory_free(b);
}

static void clear_beginnings(struct producer_table *table) {
    if (!table->has_beginnings) return;
    map_for_each(node, &table->beginnings) {
        drop_beginning(table, container_of(node, struct producer_beginning, node));
    }
    map_deinit(&table->beginnings);
    table->has_beginnings = false;
}

void producer_table_clear(struct producer_table *table) {
    if (table->has_map) {
        map_for_each(node, &table->map) {
            map_remove(&table->map, node);
            memory_free(container_of(node, struct producer, node));
        }
        map_deinit(&table->map);
        table->has_map = false;
    }
    clear_beginnings(table);
    list_init(&table->open);
    table->recent = NULL;
    table->completed_count = 0;
}

void producer_table_deinit(struct producer_table *table) {
    producer_table_clear(table);
    memory_free(table->completed);
    table->completed = NULL;
    table->completed_capacity = 0;
}

struct producer *producer_table_find(const struct producer_table *table, int64_t producer_id) {
    if (!table->has_map) return NULL;
    if (table->recent != NULL && table->recent->state.id == producer_id) return table->recent;
    struct map_node *node = map_get(&table->map, slice_of(&producer_id, sizeof producer_id));
    return node == NULL ? NULL : container_of(node, struct producer, node);
}

int32_t producer_table_count(const struct producer_table *table) {
    return table->has_map ? (int32_t)table->map.count : 0;
}

static struct producer_beginning *find_beginning(const struct producer_table *table, int64_t id) {
    if (!table->has_beginnings) return NULL;
    struct map_node *node = map_get(&table->beginnings, slice_of(&id, sizeof id));
    return node == NULL ? NULL : container_of(node, struct producer_beginning, node);
}

void producer_note_beginning(struct producer_table *table, int64_t producer_id, int32_t sequence,
                             bool from_zero, int64_t wall_ms) {
    if (producer_table_find(table, producer_id) != NULL) return;
    struct producer_beginning *b = find_beginning(table, producer_id);
    if (b == NULL) {
        if (!table->has_beginnings) {
            map_init(&table->beginnings, table->map_seed);
            table->has_beginnings = true;
        }
        b = memory_zalloc(1, sizeof *b);
        b->id = producer_id;
        b->lowest_sequence = sequence;
        map_put(&table->beginnings, &b->node, slice_of(&b->id, sizeof b->id));
    }
    b->lowest_sequence = MIN(b->lowest_sequence, sequence);
    b->from_zero = from_zero;
    b->wall_ms = wall_ms;
}

static struct producer *add(struct producer_table *table, int64_t producer_id) {
    struct producer_beginning *beginning = find_beginning(table, producer_id);
    if (beginning != NULL) drop_beginning(table, beginning);
    if (!table->has_map) {
        map_init(&table->map, table->map_seed);
        table->has_map = true;
    }
    struct producer *producer = memory_zalloc(1, sizeof *producer);
    list_init(&producer->open);
    producer->state = (struct producer_state){.id = producer_id,
                                              .last_timestamp = -1,
                                              .transaction_first_offset = -1,
                                              .coordinator_epoch = -1,
                                              .epoch = NO_PRODUCER_EPOCH};
    map_put(&table->map, &producer->node, slice_of(&producer->state.id, sizeof producer->state.id));
    return producer;
}

static void drop(struct producer_table *table, struct producer *producer) {
    if (table->recent == producer) table->recent = NULL;
    list_remove(&producer->open);
    map_remove(&table->map, &producer->node);
    memory_free(producer);
}

// Puts a producer into (or out of) the list of open transactions, sorted by first offset.
static void place_open(struct producer_table *table, struct producer *producer) {
    list_remove(&producer->open);
    int64_t first = producer->state.transaction_first_offset;
    if (first < 0) return;
    struct list *after = table->open.previous;
    while (after != &table->open &&
           container_of(after, struct producer, open)->state.transaction_first_offset > first) {
        after = after->previous;
    }
    list_prepend(after, &producer->open);
}

// ---- Checks ----

const struct producer_batch *producer_find_duplicate(const struct producer_table *table,
                                                     const struct batch *batch) {
    const struct producer *producer = producer_table_find(table, batch->producer_id);
    if (producer == NULL || producer->state.epoch != batch->producer_epoch) return NULL;
    for (int i = 0; i < producer->state.batch_count; i++) {
        const struct producer_batch *known = &producer->state.batches[i];
        if (known->last_sequence == batch_last_sequence(batch) &&
            known->offset_delta == batch->last_offset_delta) {
            return known;
        }
    }
    return NULL;
}

static enum err check_epoch(const struct producer_state *state, const struct batch *batch,
                            int64_t offset, const char *partition, struct message *error) {
    if (batch->producer_epoch >= state->epoch) return ERR_NONE;
    message_set(error,
                "Epoch of producer %" PRId64 " at offset %" PRId64
                " in %s is %d, which is smaller than the last seen epoch %d (TV-1)",
                batch->producer_id, offset, partition, batch->producer_epoch, state->epoch);
    return ERR_INVALID_PRODUCER_EPOCH;
}

enum err producer_check_epoch(const struct producer_table *table, const struct batch *batch,
                              int64_t offset, const char *partition, struct message *error) {
    const struct producer *producer = producer_table_find(table, batch->producer_id);
    if (producer == NULL) return ERR_NONE;
    return check_epoch(&producer->state, batch, offset, partition, error);
}

static enum err check_beginning(const struct producer_table *table, const struct batch *batch,
                                int64_t offset, const char *partition, struct message *error) {
    const struct producer_beginning *b = find_beginning(table, batch->producer_id);
    if (b == NULL || !batch_is_transactional(batch)) return ERR_NONE;
    if (b->from_zero && batch->base_sequence != 0) {
        message_set(error,
                    "Invalid sequence number for producer %" PRId64 " at offset %" PRId64
                    " in partition %s: %d (incoming seq. number). Expected sequence 0 for "
                    "transactions v2 idempotent producer with no existing state.",
                    batch->producer_id, offset, partition, batch->base_sequence);
        return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    if (batch->base_sequence <= b->lowest_sequence) return ERR_NONE;
    message_set(error,
                "Out of order sequence number for producer %" PRId64 " at offset %" PRId64
                " in partition %s: %d (incoming seq. number), %d (earliest seen sequence)",
                batch->producer_id, offset, partition, batch->base_sequence, b->lowest_sequence);
    return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

enum err producer_check(const struct producer_table *table, const struct batch *batch,
                        int64_t offset, const char *partition, struct message *error) {
    const struct producer *producer = producer_table_find(table, batch->producer_id);
    if (producer == NULL) return check_beginning(table, batch, offset, partition, error);
    const struct producer_state *state = &producer->state;
    enum err err = check_epoch(state, batch, offset, partition, error);
    if (err != ERR_NONE) return err;
    if (batch->producer_epoch != state->epoch) {
        if (batch->base_sequence != 0 && state->epoch != NO_PRODUCER_EPOCH) {
            message_set(error,
                        "Invalid sequence number for new epoch of producer %" PRId64
                        "at offset %" PRId64
                        " in partition %s: %d (request epoch), %d (seq. number), %d (current "
                        "producer epoch)",
                        batch->producer_id, offset, partition, batch->producer_epoch,
                        batch->base_sequence, state->epoch);
            return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        }
    } else {
        int32_t last =
            state->batch_count == 0 ? -1 : state->batches[state->batch_count - 1].last_sequence;
        bool follows = (int64_t)last + 1 == batch->base_sequence ||
                       (last == INT32_MAX && batch->base_sequence == 0);
        if (state->epoch != NO_PRODUCER_EPOCH && !follows) {
            message_set(
                error,
                "Out of order sequence number for producer %" PRId64 " at offset %" PRId64
                " in partition %s: %d (incoming seq. number), %d (current end sequence number)",
                batch->producer_id, offset, partition, batch->base_sequence, last);
            return ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        }
    }
    if (state->transaction_first_offset >= 0 && !batch_is_transactional(batch)) {
        message_set(error,
                    "Expected transactional write from producer %" PRId64 " at offset %" PRId64
                    " in partition %s",
                    batch->producer_id, offset, partition);
        return ERR_INVALID_TXN_STATE;
    }
    return ERR_NONE;
}

enum err producer_check_marker(const struct producer_table *table, const struct batch *batch,
                               int32_t coordinator_epoch, int16_t version, const char *partition,
                               struct message *error) {
    const struct producer *producer = producer_table_find(table, batch->producer_id);
    if (producer == NULL) return ERR_NONE;
    bool is_repeated = producer->state.transaction_first_offset < 0;
    int16_t last = producer->state.epoch;
    bool is_strict = version >= 2 && !is_repeated;
    if (batch->producer_epoch < last || (is_strict && batch->producer_epoch == last)) {
        message_set(error,
                    "Epoch of producer %" PRId64 " at offset %" PRId64
                    " in %s is %d, which is %s the last seen epoch %d (TV%d)",
                    batch->producer_id, table->end_offset, partition, batch->producer_epoch,
                    version >= 2 ? "<=" : "<", last, version);
        return ERR_INVALID_PRODUCER_EPOCH;
    }
    if (producer->state.coordinator_epoch > coordinator_epoch) {
        message_set(error,
                    "Invalid coordinator epoch for producerId %" PRId64 " at offset %" PRId64
                    " in partition %s: %d (zombie), %d (current)",
                    batch->producer_id, table->end_offset, partition, coordinator_epoch,
                    producer->state.coordinator_epoch);
        return ERR_TRANSACTION_COORDINATOR_FENCED;
    }
    return ERR_NONE;
}

// ---- Changes ----

bool transaction_marker_read(struct slice batch_bytes, struct transaction_marker *marker) {
    // A control batch is one small uncompressed record: length, attributes, timestamp delta, offset
    // delta, key, value.
    struct reader in = reader_of(batch_bytes);
    reader_bytes(&in, BATCH_HEADER_SIZE);
    reader_varint(&in);
    reader_i8(&in);
    reader_varlong(&in);
    reader_varint(&in);
    int32_t key_size = reader_varint(&in);
    if (in.failed || key_size < 4) return false;
    struct reader key = reader_of(reader_bytes(&in, (size_t)key_size));
    reader_i16(&key);  // version: any, the type's place is the same
    int16_t type = reader_i16(&key);
    if (key.failed || (type != CONTROL_ABORT && type != CONTROL_COMMIT)) return false;
    int32_t value_size = reader_varint(&in);
    if (in.failed || value_size < 6) return false;
    struct reader value = reader_of(reader_bytes(&in, (size_t)value_size));
    reader_i16(&value);
    marker->type = (enum control_type)type;
    marker->coordinator_epoch = reader_i32(&value);
    return !value.failed;
}

static void set_epoch(struct producer_state *state, int16_t epoch) {
    if (state->epoch == epoch) return;
    state->epoch = epoch;
    state->batch_count = 0;
}

static void add_completed(struct producer_table *table,
                          const struct completed_transaction *completed) {
    if (table->completed_count == table->completed_capacity) {
        table->completed_capacity = MAX(4, table->completed_capacity * 2);
        table->completed = memory_realloc(table->completed, (size_t)table->completed_capacity,
                                          sizeof *table->completed);
    }
    table->completed[table->completed_count++] = *completed;
}

bool producer_table_apply(struct producer_table *table, const struct batch *batch,
                          const struct transaction_marker *marker,
                          struct completed_transaction *completed) {
    struct producer *producer = producer_table_find(table, batch->producer_id);
    if (producer == NULL) producer = add(table, batch->producer_id);
    table->recent = producer;
    struct producer_state *state = &producer->state;
    set_epoch(state, batch->producer_epoch);
    if (marker != NULL) {
        int64_t first = state->transaction_first_offset;
        state->coordinator_epoch = marker->coordinator_epoch;
        state->transaction_first_offset = -1;
        producer->markers++;
        // A marker's record carries the time; its header says the same.
        state->last_timestamp = batch->max_timestamp;
        place_open(table, producer);
        if (first < 0) return false;
        *completed = (struct completed_transaction){batch->producer_id, first, batch->last_offset,
                                                    marker->type == CONTROL_ABORT};
        add_completed(table, completed);
        return true;
    }
    if (state->batch_count == PRODUCER_BATCHES_MAX) {
        memmove(state->batches, state->batches + 1,
                sizeof state->batches[0] * (PRODUCER_BATCHES_MAX - 1));
        state->batch_count--;
    }
    state->batches[state->batch_count++] =
        (struct producer_batch){batch->last_offset, batch->max_timestamp,
                                batch_last_sequence(batch), batch->last_offset_delta};
    state->last_timestamp = batch->max_timestamp;
    if (batch_is_transactional(batch) && state->transaction_first_offset < 0) {
        state->transaction_first_offset = batch->base_offset;
        place_open(table, producer);
    }
    return false;
}

int64_t producer_table_stable_after(const struct producer_table *table,
                                    const struct completed_transaction *completed) {
    // The completed one is not in the list any more.
    if (list_is_empty(&table->open)) return completed->last_offset + 1;
    return container_of(table->open.next, struct producer, open)->state.transaction_first_offset;
}

int64_t producer_table_last_stable(struct producer_table *table, int64_t high_watermark) {
    int32_t replicated = 0;
    while (replicated < table->completed_count &&
           table->completed[replicated].last_offset < high_watermark) {
        replicated++;
    }
    if (replicated > 0) {
        table->completed_count -= replicated;
        memmove(table->completed, table->completed + replicated,
                (size_t)table->completed_count * sizeof *table->completed);
    }
    int64_t stable = high_watermark;
    if (!list_is_empty(&table->open)) {
        stable = MIN(
            stable,
            container_of(table->open.next, struct producer, open)->state.transaction_first_offset);
    }
    for (int32_t i = 0; i < table->completed_count; i++) {
        stable = MIN(stable, table->completed[i].first_offset);
    }
    return stable;
}

static bool is_expired(const struct producer_state *state, int64_t wall_ms, int64_t expiration_ms) {
    return state->transaction_first_offset < 0 && state->last_timestamp <= wall_ms - expiration_ms;
}

void producer_table_expire(struct producer_table *table, int64_t wall_ms, int64_t expiration_ms) {
    if (table->has_beginnings) {
        map_for_each(node, &table->beginnings) {
            struct producer_beginning *b = container_of(node, struct producer_beginning, node);
            if (b->wall_ms <= wall_ms - expiration_ms) drop_beginning(table, b);
        }
    }
    if (!table->has_map) return;
    map_for_each(node, &table->map) {
        struct producer *producer = container_of(node, struct producer, node);
        if (is_expired(&producer->state, wall_ms, expiration_ms)) drop(table, producer);
    }
}

uint64_t producer_table_hash(const struct producer_table *table) {
    uint64_t sum = 0;
    if (!table->has_map) return sum;
    map_for_each(node, &table->map) {
        const struct producer_state *s = &container_of(node, struct producer, node)->state;
        int64_t words[8] = {s->id,
                            s->last_timestamp,
                            s->transaction_first_offset,
                            s->coordinator_epoch,
                            s->epoch,
                            -1,
                            -1,
                            -1};
        if (s->batch_count > 0) {
            // Only the last batch: a snapshot keeps no more.
            const struct producer_batch *last = &s->batches[s->batch_count - 1];
            words[5] = last->last_offset;
            words[6] = last->last_sequence;
            words[7] = last->offset_delta;
        }
        sum += slice_hash(slice_of(words, sizeof words), 1);
    }
    return sum;
}

// ---- Undo ----

void producer_undo_save(const struct producer_table *table, int64_t producer_id,
                        struct producer_undo *undo) {
    const struct producer *producer = producer_table_find(table, producer_id);
    undo->existed = producer != NULL;
    undo->completed = false;
    if (producer != NULL) undo->before = producer->state;
}

void producer_undo_apply(struct producer_table *table, int64_t producer_id,
                         const struct producer_undo *undo) {
    struct producer *producer = producer_table_find(table, producer_id);
    assert(producer != NULL);
    if (undo->completed) table->completed_count--;
    if (!undo->existed) {
        const struct producer_batch *first = &producer->state.batches[0];
        bool has_begun =
            producer->state.batch_count > 0 && producer->state.transaction_first_offset >= 0;
        int32_t sequence = first->last_sequence - first->offset_delta;
        int64_t wall_ms = first->timestamp;
        drop(table, producer);
        // What comes behind it is on its way already.
        if (has_begun) producer_note_beginning(table, producer_id, sequence, false, wall_ms);
        return;
    }
    producer->state = undo->before;
    place_open(table, producer);
}

static void load_entry(void *context, const struct producer_state *state) {
    struct producer_table *table = context;
    struct producer *producer = producer_table_find(table, state->id);
    if (producer == NULL) producer = add(table, state->id);
    producer->state = *state;
    place_open(table, producer);
}

enum err producer_table_load(struct producer_table *table, struct slice bytes, int64_t wall_ms,
                             int64_t expiration_ms) {
    producer_table_clear(table);
    enum err err = producer_snapshot_parse(bytes, load_entry, table);
    if (err != ERR_NONE) {
        producer_table_clear(table);
        return err;
    }
    producer_table_expire(table, wall_ms, expiration_ms);
    return ERR_NONE;
}
