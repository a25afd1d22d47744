// Writing the marker that ends a transaction in one partition (KIP-98): a control batch of one
// record, COMMIT or ABORT, under the producer's id and epoch. On the partition's reactor.
#pragma once

#include "replica/partition.h"

struct marker_write {
    // In.
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
    int16_t version;  // transaction.version of who ended the transaction
    // The marker is as durable as acks=all asks for, or why it is not. Never inside
    // marker_write_start.
    void (*done)(struct marker_write *marker, enum err result);
    // Private.
    struct partition *partition;
    struct batch_builder builder;
    struct log_append_op append;
    struct produce_waiter waiter;
};

// The partition leads. An error means that nothing was written and `done` does not come:
// INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, KAFKA_STORAGE_ERROR. The struct stays
// until `done`; `arena` is for errors.
MUST_CHECK enum err marker_write_start(struct marker_write *marker, struct partition *partition,
                                       int64_t now_ms, struct arena *arena);
