// The first state of new partitions: replicas with their directories, the ISR, the leader.
#pragma once

#include "controller/partition_change.h"

struct assignment {
    struct id_list replicas;
    struct id_list isr;  // those that are active; the first leads
    const struct uuid *directories;
};

// Replicas that a client chose. `factor` -1: any number of them. ERR_INVALID_REPLICA_ASSIGNMENT
// with Kafka's sentence.
MUST_CHECK enum err assignment_by_hand(struct decision *decision, struct id_list replicas,
                                       int32_t factor, int32_t partition,
                                       struct assignment *assignment, struct message *text);
// The checks of the above that also reassignments need.
MUST_CHECK enum err assignment_check(const struct decision *decision, struct id_list replicas,
                                     int32_t factor, struct message *text);

// `count` partitions by the placer. ERR_INVALID_REPLICATION_FACTOR with Kafka's sentence.
MUST_CHECK enum err assignments_by_placer(struct decision *decision, int32_t count, int32_t factor,
                                          struct assignment **assignments, struct message *text);

// The Partition record that creates it.
struct metadata_record assignment_record(const struct decision *decision, struct uuid topic_id,
                                         int32_t partition, const struct assignment *assignment);
