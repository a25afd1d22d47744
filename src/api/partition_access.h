// From a topic id and a number to the partition, at its owner: what every handler of data does
// first.
#pragma once

#include "api/node.h"
#include "replica/replica_manager.h"

// The partition, if this node leads it (in the epoch that the client named, -1: none). Kafka's
// errors: UNKNOWN_TOPIC_OR_PARTITION when the metadata does not have it (any more),
// NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, KAFKA_STORAGE_ERROR.
MUST_CHECK enum err partition_access(const struct node *node, struct uuid topic_id, int32_t index,
                                     int32_t current_leader_epoch, struct partition **partition);
