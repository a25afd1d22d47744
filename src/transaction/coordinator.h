// The transaction coordinator (KIP-98, KIP-890): who holds a transactional id, which partitions its
// open transaction touched, and how it ended. Its state is in the partitions of
// __transaction_state: an id belongs to the partition that Java's hash of it names, and is kept by
// whoever leads that partition, on the reactor that owns it.
//
// An end is decided by one record (PREPARE_COMMIT or PREPARE_ABORT); from then on markers are
// written to the transaction's partitions until all have one, whatever happens in between, and a
// last record says so.
//
// One `struct transaction_coordinator` per reactor, with one shard for each partition that it owns;
// all calls and callbacks are on that reactor.
#pragma once

#include "config/config.h"
#include "metadata/image.h"
#include "replica/replica_manager.h"
#include "runtime/runtime.h"
#include "transaction/transaction.h"

struct transaction_coordinator;

#define TRANSACTION_TOPIC "__transaction_state"
int32_t transaction_partition_of(struct slice transactional_id, int32_t partition_count);

// ---- Markers ----

// One marker on its way to one partition.
struct pending_marker {
    // In; the sender only reads. They stay until `done`.
    struct slice topic;
    int32_t partition;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
    int16_t transaction_version;  // 2: an epoch that is not newer than the partition's is refused
    // Exactly once, on the reactor that sent it, never inside `send`: ERR_NONE when the partition
    // has the marker as durably as acks=all asks for.
    void (*done)(struct pending_marker *marker, enum err result);
    // The sender's own.
    void *sending;
};

// Takes markers to the leaders of their partitions; the coordinator retries what fails.
struct transaction_sender {
    void (*send)(void *context, struct pending_marker *marker);
    void *context;
};

// ---- Life ----

// Returns owned.
struct transaction_coordinator *transaction_coordinator_new(struct env *env,
                                                            struct replica_manager *replicas,
                                                            int32_t node_id,
                                                            struct transaction_sender sender);
// At once, as in a crash; after transaction_coordinator_stop otherwise.
void transaction_coordinator_free(struct transaction_coordinator *coordinator);
// As group_coordinator_retire and group_coordinator_publish.
void transaction_coordinator_retire(struct transaction_coordinator *coordinator,
                                    const struct image *next);
void transaction_coordinator_publish(struct transaction_coordinator *coordinator,
                                     struct image *image, const struct config *config);
// Ends all calls with NOT_COORDINATOR and waits for markers that are under way; `stopped` comes
// when that is done, never inside the call.
void transaction_coordinator_stop(struct transaction_coordinator *coordinator,
                                  void (*stopped)(void *context), void *context);

// For checkers: what each shard holds. Returns how many there are, at most `capacity`.
struct store_fingerprint;
int32_t transaction_coordinator_fingerprints(const struct transaction_coordinator *coordinator,
                                             struct store_fingerprint *fingerprints,
                                             int32_t capacity);

// ---- Calls ----

enum transaction_call_kind {
    TRANSACTION_INIT,      // InitProducerId
    TRANSACTION_ADD,       // AddPartitionsToTxn, AddOffsetsToTxn, a Produce that adds implicitly
    TRANSACTION_VERIFY,    // whether partitions belong to the open transaction
    TRANSACTION_END,       // EndTxn
    TRANSACTION_DESCRIBE,  // DescribeTransactions
    TRANSACTION_LIST,      // ListTransactions: all ids of one partition
};

struct transaction_list_filter {
    const struct slice *states;  // Kafka's names, known ones; 0: all
    int32_t state_count;
    const int64_t *producer_ids;
    int32_t producer_id_count;
    int64_t longer_than_ms;         // -1: any
    const struct pattern *pattern;  // of the whole id; NULL: any
};

struct transaction_listed {
    struct slice transactional_id;
    int64_t producer_id;
    enum transaction_state state;
};

struct transaction_call {
    // In; borrowed until done. Times and the server's version in init, add and end are filled by
    // the coordinator.
    enum transaction_call_kind kind;
    int32_t partition;  // of __transaction_state
    struct slice transactional_id;
    union {
        struct transaction_init init;
        struct transaction_add add;  // TRANSACTION_VERIFY too
        struct transaction_end end;
        struct transaction_list_filter filter;
    };
    int64_t fresh_producer_id;  // -1: none at hand
    struct arena *arena;        // for what is answered

    // Out.
    bool needs_producer_id;  // nothing was done: call again with a fresh_producer_id
    int64_t producer_id;     // TRANSACTION_INIT, TRANSACTION_END
    int16_t producer_epoch;
    enum err *partition_errors;       // TRANSACTION_VERIFY: one per partition
    struct transaction described;     // TRANSACTION_DESCRIBE
    struct transaction_listed *list;  // TRANSACTION_LIST
    int32_t list_count;

    // Exactly once, never inside transaction_call_start. Errors: COORDINATOR_LOAD_IN_PROGRESS,
    // NOT_COORDINATOR, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, CONCURRENT_TRANSACTIONS,
    // INVALID_TXN_STATE, INVALID_TRANSACTION_TIMEOUT, TRANSACTIONAL_ID_NOT_FOUND …
    void (*done)(struct transaction_call *call, enum err result);

    // Private.
    struct transaction_coordinator *coordinator;
    struct runtime_operation operation;
    bool wrote_prepare;       // markers follow
    bool answers_concurrent;  // CONCURRENT_TRANSACTIONS once the records are durable
    struct env_task finish;
    struct list waiting;  // for the end of the transaction before
    uint64_t give_up_ns;
    enum err result;
};
void transaction_call_start(struct transaction_coordinator *coordinator,
                            struct transaction_call *call);
