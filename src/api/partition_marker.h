// A marker for one partition, at its owner: an append, or, in a partition of __consumer_offsets, an
// operation of the group coordinator, whose offsets it decides. Both who write markers use it:
// WriteTxnMarkers, and the transaction coordinator of the same node.
#pragma once

#include "api/node.h"
#include "group/group.h"
#include "transaction/marker.h"

struct partition_marker {
    // In.
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
    int16_t version;  // transaction.version of who ended the transaction
    // Exactly once, never inside partition_marker_start.
    void (*done)(struct partition_marker *marker, enum err result);
    // Private.
    struct marker_write write;
    struct group_marker offsets;
    struct env_task refused;
    enum err error;
};

// `arena` is for errors; it and the struct stay until `done`.
void partition_marker_start(struct node *node, struct partition_marker *marker,
                            struct uuid topic_id, int32_t index, struct arena *arena);
