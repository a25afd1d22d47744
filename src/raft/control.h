// Control records of the metadata log and its snapshots: LeaderChange, KRaftVersion, Voters,
// SnapshotHeader, SnapshotFooter (KIP-595, 630, 853). Built into batches and taken out of them.
// Pure.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "raft/voters.h"
#include "wire/batch.h"

// Each appends one record; the builder's attributes must contain ATTRIBUTE_CONTROL. Message
// versions are what Apache Kafka 4.3 and 4.4 write (0 throughout).
void control_append_leader_change(struct batch_builder *builder, int64_t timestamp_ms,
                                  int32_t leader_id, const struct raft_voters *voters,
                                  const struct raft_voters *granting);
void control_append_kraft_version(struct batch_builder *builder, int64_t timestamp_ms,
                                  int16_t kraft_version);
void control_append_voters(struct batch_builder *builder, int64_t timestamp_ms,
                           const struct raft_voters *voters);
void control_append_snapshot_header(struct batch_builder *builder, int64_t timestamp_ms,
                                    int64_t last_contained_log_timestamp_ms);
void control_append_snapshot_footer(struct batch_builder *builder, int64_t timestamp_ms);

struct control_record {
    enum control_type type;
    union {
        int32_t leader_id;                        // CONTROL_LEADER_CHANGE
        int64_t last_contained_log_timestamp_ms;  // CONTROL_SNAPSHOT_HEADER
        int16_t kraft_version;                    // CONTROL_KRAFT_VERSION
        struct raft_voters
            voters;  // CONTROL_KRAFT_VOTERS; in the arena, strings point into the record
    };
};

// Decodes a record of a control batch. ERR_CORRUPT or ERR_UNSUPPORTED (a type or version that we do
// not know) with a sentence.
MUST_CHECK enum err control_decode(const struct record *record, struct arena *arena,
                                   struct control_record *control, struct message *error);
