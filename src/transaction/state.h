// Private to transaction/: what a shard keeps. The store is the persistent state; `ids` is its
// decoded view plus what is never written (who waits, markers under way).
#pragma once

#include "gen/rec/transaction.h"
#include "runtime/partition_log.h"
#include "transaction/coordinator.h"

struct transaction_coordinator {
    struct env *env;
    struct replica_manager *replicas;
    int32_t node_id;
    struct transaction_sender sender;
    struct image *image;
    const struct config *config;
    struct list shards;        // of transaction_shard
    int32_t markers_underway;  // of all shards, and of those that are gone
    struct env_task stop;
    void (*stopped)(void *context);
    void *context;
};

struct transaction_shard {
    // The operations' state; first, so that a store is found again as its shard.
    struct store store;
    struct list link;
    struct transaction_coordinator *coordinator;
    struct partition_log *log;
    struct uuid topic_id;
    int32_t partition;
    struct map ids;  // of transaction_id
    bool is_loaded;
    bool is_stopping;
    struct runtime_timer timeouts;      // aborts transactions that last too long, shrinks the log
    struct runtime_timer housekeeping;  // forgets unused ids
};

struct transaction_id {
    struct map_node by_id;
    struct slice id;  // behind the struct
    struct transaction_shard *shard;
    struct transaction now;
    struct transaction_partition *partitions;  // now's; owned. NULL: none
    // The epoch before the one that InitProducerId or a TV2 end gave out, for a client that did not
    // hear the answer. Not written: void when `now` has another epoch.
    int16_t given_epoch;
    int16_t epoch_before;
    struct completion *completion;  // markers under way; NULL: none
    struct list waiting;            // of transaction_call, for the completion
    struct runtime_timer patience;  // ends the waiting of the first
};

static inline struct env *transaction_env(const struct transaction_shard *shard) {
    return shard->coordinator->env;
}

struct transaction_id *transaction_find(const struct transaction_shard *shard, struct slice id);
// Frees everything that is not durable: completions go on by themselves until their markers are
// back, but do nothing more.
void transaction_forget(struct transaction_id *id);
// The store's `apply`.
enum err transaction_apply(void *store, struct slice key, struct slice value);
// What `id` becomes; `value` NULL: it is forgotten.
void transaction_add_record(struct runtime_result *result, struct slice id,
                            const struct transaction *next, int16_t server_version);

// operations.c: what a call does. ERR_WOULD_BLOCK: it waits for the end of the transaction before.
enum err transaction_execute(struct transaction_shard *shard, struct transaction_call *call,
                             struct runtime_result *result);
// The server's transaction.version.
int16_t transaction_server_version(const struct transaction_coordinator *coordinator);

// completion.c: when a PREPARE record is durable, or was found by loading.
void transaction_complete_if_prepared(struct transaction_shard *shard, struct transaction_id *id);
void completion_abandon(struct completion *completion);

// coordinator.c
void transaction_wait(struct transaction_id *id, struct transaction_call *call);
// The completion is done (or was replaced): waiting calls run again.
void transaction_wake(struct transaction_id *id);
void transaction_marker_back(struct transaction_coordinator *coordinator);
