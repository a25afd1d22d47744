// What happens to leaders and ISRs when a broker comes, goes or loses a directory. Each function
// adds the records of all partitions that change, and where it says so the record of the broker
// itself.
//
// Partitions whose only replica is on this node are kept out of it: nobody else could lead them, so
// fencing this node for a restart writes nothing about them, and they are led again as soon as it
// is back. (With Kafka every restart writes two records per partition.)
#pragma once

#include "controller/state.h"

// The broker's session ended or it asked for it. Adds the fencing.
void decide_fenced(struct decision *decision, const struct broker_image *broker);
// Adds the unfencing, then leaders for partitions without one.
void decide_unfenced(struct decision *decision, const struct broker_image *broker);
// Adds InControlledShutdown, moves leaderships away.
void decide_controlled_shutdown(struct decision *decision, const struct broker_image *broker);
// A new process of the broker registers: what the old one led and was in sync with. After an
// unclean stop the leader epochs of partitions that only this node has are bumped. `directories`
// are those of the new process.
void decide_restarted(struct decision *decision, int32_t broker_id, bool clean,
                      const struct uuid *directories, int32_t directory_count);
// Without the broker's own record.
void decide_gone(struct decision *decision, int32_t broker_id);
// Partitions of this broker whose directory is among these.
void decide_directories_offline(struct decision *decision, int32_t broker_id,
                                const struct uuid *directories, int32_t directory_count);
// Leads a partition that another broker could lead.
bool leads_movable_partitions(const struct decision *decision, int32_t broker_id);
