#include "transaction/transaction.h"

#include <stdlib.h>

#include "base/assert.h"

// ---- States ----

static const char *const names[TRANSACTION_STATE_COUNT] = {
    "Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
    "CompleteCommit", "CompleteAbort", "Dead",          "PrepareEpochFence",
};

const char *transaction_state_name(enum transaction_state state) {
    return names[state];
}

bool transaction_state_parse(struct slice name, enum transaction_state *state) {
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!slice_equal_cstring(name, names[i])) continue;
        *state = (enum transaction_state)i;
        return true;
    }
    return false;
}

#define BIT(state) (1u << TRANSACTION_##state)

// By target: the states that it may be reached from.
static const unsigned edges[TRANSACTION_STATE_COUNT] = {
    [TRANSACTION_EMPTY] = BIT(EMPTY) | BIT(COMPLETE_COMMIT) | BIT(COMPLETE_ABORT),
    [TRANSACTION_ONGOING] = BIT(ONGOING) | BIT(EMPTY) | BIT(COMPLETE_COMMIT) | BIT(COMPLETE_ABORT),
    [TRANSACTION_PREPARE_COMMIT] = BIT(ONGOING),
    [TRANSACTION_PREPARE_ABORT] = BIT(ONGOING) | BIT(PREPARE_EPOCH_FENCE) | BIT(EMPTY) |
                                  BIT(COMPLETE_COMMIT) | BIT(COMPLETE_ABORT),
    [TRANSACTION_COMPLETE_COMMIT] = BIT(PREPARE_COMMIT),
    [TRANSACTION_COMPLETE_ABORT] = BIT(PREPARE_ABORT),
    [TRANSACTION_DEAD] = BIT(EMPTY) | BIT(COMPLETE_ABORT) | BIT(COMPLETE_COMMIT),
    [TRANSACTION_PREPARE_EPOCH_FENCE] = BIT(ONGOING),
};

bool transaction_may_go(enum transaction_state from, enum transaction_state to) {
    return (edges[to] & (1u << from)) != 0;
}

// The one place where a state is left.
static void go(const struct transaction *now, struct transaction *next, enum transaction_state to,
               int64_t now_ms) {
    assert(transaction_may_go(now->state, to));
    next->previous_producer_id = now->producer_id;
    next->state = to;
    next->update_ms = now_ms;
}

static bool bumps_epochs(int16_t version) {
    return version >= 2;
}

static bool is_exhausted(int16_t epoch) {
    return epoch >= TRANSACTION_EPOCH_EXHAUSTED;
}

static bool is_complete(enum transaction_state state) {
    return state == TRANSACTION_COMPLETE_COMMIT || state == TRANSACTION_COMPLETE_ABORT;
}

static bool is_prepared(enum transaction_state state) {
    return state == TRANSACTION_PREPARE_COMMIT || state == TRANSACTION_PREPARE_ABORT;
}

struct transaction transaction_new(int64_t producer_id, int32_t timeout_ms, int64_t now_ms) {
    return (struct transaction){
        .producer_id = producer_id,
        .previous_producer_id = -1,
        .next_producer_id = -1,
        .producer_epoch = -1,
        .last_producer_epoch = -1,
        .timeout_ms = timeout_ms,
        .state = TRANSACTION_EMPTY,
        .start_ms = -1,
        .update_ms = now_ms,
    };
}

// ---- InitProducerId ----

static bool says_who_it_is(const struct transaction_init *init) {
    return init->producer_id != -1;
}

// A producer that names what it has is let in when the id was just made, when it is the one that is
// known, or when it is the one before and its epochs are used up: then it did not hear of its new
// id.
static bool is_known_producer(const struct transaction *now, const struct transaction_init *init) {
    return now->producer_epoch == -1 || init->producer_id == now->producer_id ||
           (init->producer_id == now->previous_producer_id && is_exhausted(init->producer_epoch));
}

bool transaction_start_needs_id(const struct transaction *now,
                                const struct transaction_init *init) {
    bool is_free = now->state == TRANSACTION_EMPTY || is_complete(now->state);
    return is_free && is_exhausted(now->producer_epoch) &&
           (!says_who_it_is(init) || init->producer_epoch == now->producer_epoch);
}

// Whoever has the transaction open is fenced by the new epoch; with TV2 the abort bumps it anyway.
static void fence(const struct transaction *now, struct transaction *next, int16_t server_version,
                  int64_t now_ms) {
    bool bumps = bumps_epochs(server_version);
    if (next->producer_epoch < INT16_MAX) {
        next->last_producer_epoch = bumps ? next->producer_epoch : -1;
        next->producer_epoch++;
    }
    next->client_version = server_version;
    go(now, next, TRANSACTION_PREPARE_ABORT, now_ms);
}

static void begin_anew(const struct transaction *now, struct transaction *next,
                       const struct transaction_init *init) {
    next->timeout_ms = init->timeout_ms;
    next->partitions = NULL;
    next->partition_count = 0;
    next->start_ms = -1;
    go(now, next, TRANSACTION_EMPTY, init->now_ms);
}

enum err transaction_start(const struct transaction *now, const struct transaction_init *init,
                           int64_t fresh_producer_id, struct transaction *next) {
    if (says_who_it_is(init) && !is_known_producer(now, init)) return ERR_PRODUCER_FENCED;
    if (is_prepared(now->state)) return ERR_CONCURRENT_TRANSACTIONS;
    struct transaction out = *now;
    if (now->state == TRANSACTION_ONGOING) {
        fence(now, &out, init->server_version, init->now_ms);
    } else if (transaction_start_needs_id(now, init)) {
        out.producer_id = fresh_producer_id;
        out.producer_epoch = 0;
        out.last_producer_epoch = says_who_it_is(init) ? now->producer_epoch : -1;
        begin_anew(now, &out, init);
    } else if (!says_who_it_is(init) || now->producer_epoch == -1 ||
               init->producer_epoch == now->producer_epoch) {
        out.last_producer_epoch = says_who_it_is(init) ? now->producer_epoch : -1;
        out.producer_epoch++;
        begin_anew(now, &out, init);
    } else if (init->producer_epoch == now->last_producer_epoch) {
        begin_anew(now, &out, init);  // a retry: the same answer again
    } else {
        return ERR_PRODUCER_FENCED;
    }
    *next = out;
    return ERR_NONE;
}

// ---- Partitions ----

static int compare_partitions(const void *a, const void *b) {
    const struct transaction_partition *left = a, *right = b;
    int order = slice_compare(left->topic, right->topic);
    if (order != 0) return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

// Sorts and drops doubles; the new count.
static int32_t sort_partitions(struct transaction_partition *list, int32_t count) {
    if (count == 0) return 0;
    qsort(list, (size_t)count, sizeof *list, compare_partitions);
    int32_t kept = 1;
    for (int32_t i = 1; i < count; i++) {
        if (compare_partitions(&list[kept - 1], &list[i]) != 0) list[kept++] = list[i];
    }
    return kept;
}

static bool holds(const struct transaction *now, const struct transaction_partition *partition) {
    if (now->partition_count == 0) return false;
    return bsearch(partition, now->partitions, (size_t)now->partition_count, sizeof *partition,
                   compare_partitions) != NULL;
}

// With TV2 the answer to an end says who the producer is from then on, and it goes on while markers
// are still under way.
static bool is_ahead(const struct transaction *now, int64_t producer_id, int16_t producer_epoch) {
    if (!is_prepared(now->state) || !bumps_epochs(now->client_version)) return false;
    bool has_new_id = now->next_producer_id != -1;
    return producer_id == (has_new_id ? now->next_producer_id : now->producer_id) &&
           producer_epoch == (has_new_id ? 0 : now->producer_epoch);
}

static enum err check_producer(const struct transaction *now, int64_t producer_id,
                               int16_t producer_epoch) {
    if (is_ahead(now, producer_id, producer_epoch)) return ERR_CONCURRENT_TRANSACTIONS;
    if (now->producer_id != producer_id) return ERR_INVALID_PRODUCER_ID_MAPPING;
    if (now->producer_epoch != producer_epoch) return ERR_PRODUCER_FENCED;
    if (is_prepared(now->state)) return ERR_CONCURRENT_TRANSACTIONS;
    return ERR_NONE;
}

enum err transaction_add(const struct transaction *now, const struct transaction_add *add,
                         struct arena *arena, struct transaction *next, bool *changed) {
    enum err err = check_producer(now, add->producer_id, add->producer_epoch);
    if (err != ERR_NONE) return err;
    bool is_new = now->state != TRANSACTION_ONGOING;
    for (int32_t i = 0; i < add->partition_count; i++)
        is_new |= !holds(now, &add->partitions[i]);
    struct transaction out = *now;
    if (is_new) {
        // What a completed transaction had is not this one's.
        int32_t kept = now->state == TRANSACTION_ONGOING ? now->partition_count : 0;
        size_t capacity = (size_t)kept + (size_t)add->partition_count;
        struct transaction_partition *list = arena_zalloc(arena, capacity, sizeof *list);
        if (kept > 0) memcpy(list, now->partitions, (size_t)kept * sizeof *list);
        if (add->partition_count > 0) {
            memcpy(list + kept, add->partitions, (size_t)add->partition_count * sizeof *list);
        }
        out.partition_count = sort_partitions(list, (int32_t)capacity);
        out.partitions = list;
        if (now->state != TRANSACTION_ONGOING) out.start_ms = add->now_ms;
        out.client_version = add->client_version;
        go(now, &out, TRANSACTION_ONGOING, add->now_ms);
    }
    *next = out;
    *changed = is_new;
    return ERR_NONE;
}

enum err transaction_verify(const struct transaction *now, int64_t producer_id,
                            int16_t producer_epoch, const struct transaction_partition *partition) {
    enum err err = check_producer(now, producer_id, producer_epoch);
    if (err != ERR_NONE) return err;
    bool is_open = now->state == TRANSACTION_ONGOING && holds(now, partition);
    return is_open ? ERR_NONE : ERR_TRANSACTION_ABORTABLE;
}

// ---- EndTxn ----

// With TV2 the epoch grew when the end was prepared, so an equal epoch means the next call and a
// smaller one a retry.
static bool is_retry(const struct transaction *now, const struct transaction_end *end) {
    bool after_bump = now->producer_epoch == end->producer_epoch + 1;
    bool after_new_id = now->previous_producer_id == end->producer_id &&
                        end->producer_epoch == TRANSACTION_EPOCH_EXHAUSTED &&
                        now->producer_epoch == 0;
    return after_bump || after_new_id;
}

static enum err check_end(const struct transaction *now, const struct transaction_end *end) {
    bool bumps = bumps_epochs(end->client_version);
    bool has_new_id = bumps && now->producer_epoch == 0 && is_retry(now, end) &&
                      now->producer_id != end->producer_id;
    if (now->producer_id != end->producer_id && !has_new_id) return ERR_INVALID_PRODUCER_ID_MAPPING;
    bool is_equal = end->producer_epoch == now->producer_epoch;
    bool is_valid;
    if (!bumps)
        is_valid = end->from_client ? is_equal : end->producer_epoch >= now->producer_epoch;
    else if (is_prepared(now->state))
        is_valid = is_retry(now, end);
    else if (is_complete(now->state))
        is_valid = is_retry(now, end) || is_equal;
    else
        is_valid = is_equal;
    return is_valid ? ERR_NONE : ERR_PRODUCER_FENCED;
}

// What the end does in this state: ERR_NONE and whether there is something to write.
static enum err decide_end(const struct transaction *now, const struct transaction_end *end,
                           bool *writes) {
    bool bumps = bumps_epochs(end->client_version);
    bool retries = bumps && is_retry(now, end);
    *writes = false;
    switch (now->state) {
        case TRANSACTION_ONGOING:
            *writes = true;
            return ERR_NONE;
        case TRANSACTION_PREPARE_COMMIT:
            return end->commit ? ERR_CONCURRENT_TRANSACTIONS : ERR_INVALID_TXN_STATE;
        case TRANSACTION_PREPARE_ABORT:
            return end->commit ? ERR_INVALID_TXN_STATE : ERR_CONCURRENT_TRANSACTIONS;
        case TRANSACTION_COMPLETE_COMMIT:
            if (!bumps) return end->commit ? ERR_NONE : ERR_INVALID_TXN_STATE;
            if (end->commit) return retries ? ERR_NONE : ERR_INVALID_TXN_STATE;
            *writes = !retries;  // an abort of a transaction that never began
            return retries ? ERR_INVALID_TXN_STATE : ERR_NONE;
        case TRANSACTION_COMPLETE_ABORT:
            if (end->commit) return ERR_INVALID_TXN_STATE;
            *writes = bumps && !retries;
            return ERR_NONE;
        case TRANSACTION_EMPTY:
            *writes = bumps && !end->commit;
            return *writes ? ERR_NONE : ERR_INVALID_TXN_STATE;
        case TRANSACTION_DEAD:
        case TRANSACTION_PREPARE_EPOCH_FENCE:
            break;
    }
    return ERR_INVALID_TXN_STATE;
}

bool transaction_end_needs_id(const struct transaction *now, const struct transaction_end *end) {
    bool writes;
    return bumps_epochs(end->client_version) && is_exhausted(now->producer_epoch) &&
           check_end(now, end) == ERR_NONE && decide_end(now, end, &writes) == ERR_NONE && writes;
}

enum err transaction_end(const struct transaction *now, const struct transaction_end *end,
                         int64_t fresh_producer_id, struct transaction *next, bool *changed) {
    bool writes;
    if (is_ahead(now, end->producer_id, end->producer_epoch)) return ERR_CONCURRENT_TRANSACTIONS;
    enum err err = check_end(now, end);
    if (err == ERR_NONE) err = decide_end(now, end, &writes);
    if (err != ERR_NONE) return err;
    struct transaction out = *now;
    if (writes) {
        bool bumps = bumps_epochs(end->client_version);
        bool has_begun = now->state == TRANSACTION_ONGOING;
        if (bumps) {
            out.next_producer_id = transaction_end_needs_id(now, end) ? fresh_producer_id : -1;
            out.last_producer_epoch = now->producer_epoch;
            if (now->producer_epoch < INT16_MAX) out.producer_epoch++;
        }
        if (!has_begun) {
            out.start_ms = end->now_ms;
            out.partitions = NULL;
            out.partition_count = 0;
        }
        out.client_version = end->client_version;
        go(now, &out, end->commit ? TRANSACTION_PREPARE_COMMIT : TRANSACTION_PREPARE_ABORT,
           end->now_ms);
    }
    *next = out;
    *changed = writes;
    return ERR_NONE;
}

struct transaction transaction_complete(const struct transaction *now, int64_t now_ms) {
    assert(is_prepared(now->state));
    struct transaction next = *now;
    if (bumps_epochs(now->client_version) && now->next_producer_id != -1) {
        next.producer_id = now->next_producer_id;
        next.producer_epoch = 0;
    }
    next.next_producer_id = -1;
    next.partitions = NULL;
    next.partition_count = 0;
    bool commits = now->state == TRANSACTION_PREPARE_COMMIT;
    go(now, &next, commits ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT, now_ms);
    return next;
}

int16_t transaction_marker_epoch(const struct transaction *prepared) {
    return prepared->producer_epoch;
}

// ---- Time ----

bool transaction_has_timed_out(const struct transaction *now, int64_t now_ms) {
    if (now->state != TRANSACTION_ONGOING || now->timeout_ms == INT32_MAX) return false;
    return now->start_ms + now->timeout_ms < now_ms;
}

struct transaction transaction_time_out(const struct transaction *now, int16_t server_version,
                                        int64_t now_ms) {
    struct transaction next = *now;
    fence(now, &next, server_version, now_ms);
    return next;
}

bool transaction_is_expired(const struct transaction *now, int64_t now_ms, int64_t expiration_ms) {
    if (now->state != TRANSACTION_EMPTY && !is_complete(now->state)) return false;
    return now->update_ms <= now_ms - expiration_ms;
}

// ---- Records ----

void transaction_to_record(const struct transaction *transaction, struct arena *arena,
                           struct transaction_log_value *value) {
    codec_init(&transaction_log_value_codec, value);
    value->producer_id = transaction->producer_id;
    value->previous_producer_id = transaction->previous_producer_id;
    value->next_producer_id = transaction->next_producer_id;
    value->producer_epoch = transaction->producer_epoch;
    value->transaction_timeout_ms = transaction->timeout_ms;
    value->transaction_status = (int8_t)transaction->state;
    value->transaction_last_update_timestamp_ms = transaction->update_ms;
    value->transaction_start_timestamp_ms = transaction->start_ms;
    value->client_transaction_version = transaction->client_version;
    value->transaction_partitions = NULL;
    value->transaction_partitions_count = -1;  // null: none
    if (transaction->state == TRANSACTION_EMPTY) return;
    int32_t count = transaction->partition_count, topics = 0;
    const struct transaction_partition *list = transaction->partitions;
    for (int32_t i = 0; i < count; i++) {
        topics += i == 0 || !slice_equal(list[i].topic, list[i - 1].topic);
    }
    int32_t *numbers = arena_zalloc(arena, (size_t)count, sizeof *numbers);
    struct transaction_log_value_transaction_partition *out =
        transaction_log_value_transaction_partition_new(arena, topics);
    value->transaction_partitions = out;
    value->transaction_partitions_count = topics;
    for (int32_t from = 0, to; from < count; from = to, out++) {
        out->topic = list[from].topic;
        out->partition_ids = numbers + from;
        for (to = from; to < count && slice_equal(list[to].topic, list[from].topic); to++) {
            numbers[to] = list[to].partition;
        }
        out->partition_ids_count = to - from;
    }
}

enum err transaction_of_record(const struct transaction_log_value *value, struct arena *arena,
                               struct transaction *transaction) {
    int8_t state = value->transaction_status;
    if (state < 0 || state > TRANSACTION_DEAD) return ERR_CORRUPT;
    size_t count = 0;
    for (int32_t t = 0; t < value->transaction_partitions_count; t++) {
        count += (size_t)value->transaction_partitions[t].partition_ids_count;
    }
    struct transaction_partition *list = arena_zalloc(arena, count, sizeof *list), *at = list;
    for (int32_t t = 0; t < value->transaction_partitions_count; t++) {
        const struct transaction_log_value_transaction_partition *topic =
            &value->transaction_partitions[t];
        for (int32_t p = 0; p < topic->partition_ids_count; p++) {
            *at++ = (struct transaction_partition){topic->topic, topic->partition_ids[p]};
        }
    }
    *transaction = (struct transaction){
        .producer_id = value->producer_id,
        .previous_producer_id = value->previous_producer_id,
        .next_producer_id = value->next_producer_id,
        .producer_epoch = value->producer_epoch,
        .last_producer_epoch = -1,
        .timeout_ms = value->transaction_timeout_ms,
        .state = (enum transaction_state)state,
        .partitions = list,
        .partition_count = sort_partitions(list, (int32_t)count),
        .start_ms = value->transaction_start_timestamp_ms,
        .update_ms = value->transaction_last_update_timestamp_ms,
        .client_version = value->client_transaction_version,
    };
    return ERR_NONE;
}
