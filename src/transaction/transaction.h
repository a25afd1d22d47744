// One transactional id as a state machine (KIP-98, KIP-360, KIP-890): what each request and timer
// makes of it. Pure: from the state now and what is asked comes an error, or the state to be
// written. The coordinator writes it to __transaction_state and makes it the state when it has been
// written.
//
//                 add partitions                end                    markers written
//     EMPTY ----------------------> ONGOING ----------> PREPARE_COMMIT -----------> COMPLETE_COMMIT
//       ^ \____ (TV2: abort) ____      |  \___ end ___
//       |                        \     v (fence)      v
//       '-- init --- COMPLETE_* --`-> PREPARE_ABORT ----------> COMPLETE_ABORT
//
// TV1 and TV2 are the two protocols that clients speak. With TV1 a producer's epoch is bumped by
// InitProducerId only; with TV2 (transaction.version 2) by every end of a transaction as well, and
// an abort is allowed when nothing was added.
#pragma once

#include "base/arena.h"
#include "gen/err.h"
#include "gen/rec/transaction.h"

// The values of the log.
enum transaction_state {
    TRANSACTION_EMPTY = 0,
    TRANSACTION_ONGOING = 1,
    TRANSACTION_PREPARE_COMMIT = 2,
    TRANSACTION_PREPARE_ABORT = 3,
    TRANSACTION_COMPLETE_COMMIT = 4,
    TRANSACTION_COMPLETE_ABORT = 5,
    TRANSACTION_DEAD = 6,
    TRANSACTION_PREPARE_EPOCH_FENCE = 7,  // never written
};
#define TRANSACTION_STATE_COUNT 8

// Kafka's name, as ListTransactions shows it ("Ongoing").
const char *transaction_state_name(enum transaction_state state);
bool transaction_state_parse(struct slice name, enum transaction_state *state);
// The edges.
bool transaction_may_go(enum transaction_state from, enum transaction_state to);

struct transaction_partition {
    struct slice topic;
    int32_t partition;
};

struct transaction {
    int64_t producer_id;
    int64_t previous_producer_id;  // -1: none
    int64_t
        next_producer_id;    // -1; else what the end of this transaction gives (epochs are used up)
    int16_t producer_epoch;  // -1: new, never initialised
    int16_t last_producer_epoch;  // -1: none; not written
    int32_t timeout_ms;  // INT32_MAX: a transaction of an outer coordinator, never ends by itself
    enum transaction_state state;
    const struct transaction_partition *partitions;  // sorted by topic and number, no doubles
    int32_t partition_count;
    int64_t start_ms;  // -1: none
    int64_t update_ms;
    int16_t client_version;  // 0, 1, 2: transaction.version of who wrote last
};

// A new id with a fresh producer id.
struct transaction transaction_new(int64_t producer_id, int32_t timeout_ms, int64_t now_ms);

// The last epoch that a client gets; behind it comes a new producer id.
#define TRANSACTION_EPOCH_EXHAUSTED (INT16_MAX - 1)

// ---- InitProducerId ----

struct transaction_init {
    int32_t timeout_ms;
    int64_t producer_id;     // what the producer believes to have; -1: it begins
    int16_t producer_epoch;  // likewise
    int16_t server_version;  // transaction.version
    int64_t now_ms;
};
// Whether transaction_start needs a fresh producer id.
bool transaction_start_needs_id(const struct transaction *now, const struct transaction_init *init);
// ERR_NONE: `next` is to be written. When it is EMPTY, the producer gets its id and epoch; when it
// is PREPARE_ABORT, an open transaction is ended first, and the producer is told
// CONCURRENT_TRANSACTIONS (it asks again). Errors: PRODUCER_FENCED, CONCURRENT_TRANSACTIONS.
MUST_CHECK enum err transaction_start(const struct transaction *now,
                                      const struct transaction_init *init,
                                      int64_t fresh_producer_id, struct transaction *next);

// ---- AddPartitionsToTxn, AddOffsetsToTxn, implicit adds ----

struct transaction_add {
    int64_t producer_id;
    int16_t producer_epoch;
    const struct transaction_partition *partitions;  // any order, doubles allowed
    int32_t partition_count;
    int16_t client_version;
    int64_t now_ms;
};
// ERR_NONE: with `changed` the next state is to be written, without it all partitions are there
// already. The list is from `arena`, names point to where they were. INVALID_PRODUCER_ID_MAPPING,
// PRODUCER_FENCED, CONCURRENT_TRANSACTIONS.
MUST_CHECK enum err transaction_add(const struct transaction *now,
                                    const struct transaction_add *add, struct arena *arena,
                                    struct transaction *next, bool *changed);
// Verify-only (AddPartitionsToTxn between brokers): ERR_NONE when the transaction is open and holds
// the partition, else TRANSACTION_ABORTABLE or the errors above.
MUST_CHECK enum err transaction_verify(const struct transaction *now, int64_t producer_id,
                                       int16_t producer_epoch,
                                       const struct transaction_partition *partition);

// ---- EndTxn ----

struct transaction_end {
    int64_t producer_id;
    int16_t producer_epoch;
    bool commit;
    bool from_client;        // false: the coordinator itself, by a timeout
    int16_t client_version;  // 2: EndTxn 5 and later
    int64_t now_ms;
};
bool transaction_end_needs_id(const struct transaction *now, const struct transaction_end *end);
// ERR_NONE: with `changed` the next state (PREPARE_*) is to be written; without it this is a retry
// of what is done. The producer gets the id and epoch of `next` either way.
// INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS, INVALID_TXN_STATE.
MUST_CHECK enum err transaction_end(const struct transaction *now,
                                    const struct transaction_end *end, int64_t fresh_producer_id,
                                    struct transaction *next, bool *changed);
// All markers are written. The state must be PREPARE_*.
struct transaction transaction_complete(const struct transaction *now, int64_t now_ms);
// The epoch of its markers: with TV2 the new one, by which partitions tell a marker from an older
// one.
int16_t transaction_marker_epoch(const struct transaction *prepared);

// ---- Time ----

bool transaction_has_timed_out(const struct transaction *now, int64_t now_ms);
// Ends an open transaction as InitProducerId does: its producer is fenced, `next` is PREPARE_ABORT.
struct transaction transaction_time_out(const struct transaction *now, int16_t server_version,
                                        int64_t now_ms);
// The id may be forgotten.
bool transaction_is_expired(const struct transaction *now, int64_t now_ms, int64_t expiration_ms);

// ---- Records of __transaction_state ----

// `value` points into the transaction and the arena; version 0 below transaction.version 1, else 1.
void transaction_to_record(const struct transaction *transaction, struct arena *arena,
                           struct transaction_log_value *value);
// ERR_CORRUPT for a state that is none. Sorted partitions from the arena.
MUST_CHECK enum err transaction_of_record(const struct transaction_log_value *value,
                                          struct arena *arena, struct transaction *transaction);
