// A coordinator's shard over a partition of an internal topic: loads the partition into a store,
// appends the records of operations as batches, and tells the shard what is durable. The
// coordinators of groups, transactions and share groups are this plus a machine of their own.
//
// Life: partition_log_new when this node leads the partition (LOADING: operations are refused with
// the machine's loading_error); ACTIVE after the load; partition_log_stop when it leads no more.
// All on the partition's reactor.
//
// Batches of open transactions (an offset commit inside one, KIP-98) become part of the store when
// their commit marker comes.
#pragma once

#include "replica/partition.h"
#include "runtime/runtime.h"
#include "runtime/store.h"

struct partition_log;

struct partition_log_options {
    struct env *env;
    struct partition *partition;  // leads, and is online
    // Empty, embedded in the coordinator's shard state: operations get it as their `state`.
    struct store *store;
    void (*loaded)(struct store *store);  // the shard is ACTIVE
    // The log cannot be read or written any more, or a record could not be applied: the shard is
    // INACTIVE for good.
    void (*failed)(void *store, enum err error, struct slice sentence);
};

// Returns owned.
struct partition_log *partition_log_new(const struct partition_log_options *options);
// Ends parked operations with `error`, then frees the log and calls `stopped`, in the same pass but
// never inside this call. The partition may be on its way out.
void partition_log_stop(struct partition_log *log, enum err error,
                        void (*stopped)(struct store *store));
// At once, as in a crash: operations are dropped.
void partition_log_free(struct partition_log *log);
struct runtime_shard *partition_log_shard(struct partition_log *log);
// The partition's leader epoch: that of the coordinator, by which markers are fenced.
int32_t partition_log_epoch(const struct partition_log *log);
// What a failed write means to a coordinator's client: whom to ask, and whether to ask again.
enum err partition_log_client_error(enum err result);
// Keeps the log small until there is a cleaner: when it holds more than eight times the store's
// bytes (and at least a MiB), writes the store again at the tail and moves the log start below it.
// Call it now and then.
void partition_log_shrink(struct partition_log *log);
