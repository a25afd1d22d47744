// One partition's change: from wished replicas, ISR and election to the PartitionChange record that
// the partition needs, if any. Kafka's PartitionChangeBuilder: completes reassignments, keeps the
// eligible leader replicas (KIP-966), elects a leader, bumps the leader epoch where that is due.
#pragma once

#include "controller/id_list.h"
#include "controller/state.h"

enum election {
    ELECTION_ONLINE,     // keep the leader, else the first replica that is in sync
    ELECTION_PREFERRED,  // the first replica, if it is in sync
    ELECTION_UNCLEAN,    // as online, else any replica that is alive
};

struct partition_change {
    // In: filled by partition_change_begin, changed by the caller.
    struct id_list isr;
    struct id_list replicas;
    struct id_list removing;
    struct id_list adding;
    enum election election;
    int8_t recovery_state;
    struct id_list
        unclean_shutdown;  // brokers that lost what they had not synced: no eligible leaders
    int32_t without_leader_broker;  // a broker that may not lead though it is active; -1: none
    int32_t with_leader_broker;     // a broker that may lead though it is fenced still; -1: none
    int32_t directory_broker;       // whose directory becomes `directory`; -1: nobody's
    struct uuid directory;
    // Private.
    struct decision *decision;
    const struct topic_image *topic;
    const struct partition_image *partition;
    int32_t min_isr;
    struct id_list elr;
};

// `min_isr`: of topic_min_isr, so that it is found once for many partitions.
void partition_change_begin(struct partition_change *change, struct decision *decision,
                            const struct topic_image *topic,
                            const struct partition_image *partition, int32_t min_isr);
// False when nothing changes. The record is not added yet.
bool partition_change_finish(struct partition_change *change, struct metadata_record *record);

// min.insync.replicas of a topic, at most its replication factor.
int32_t topic_min_isr(const struct decision *decision, const struct topic_image *topic);
bool topic_elects_uncleanly(const struct decision *decision, const struct topic_image *topic);

// Registered, not fenced, not shutting down.
bool broker_is_active(const struct image *image, int32_t broker_id);
// A directory that the broker registered as online; unassigned and migrating ones are taken to be.
bool broker_has_directory(const struct broker_image *broker, struct uuid directory);
bool partition_is_reassigning(const struct partition_image *partition);
