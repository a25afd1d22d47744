// The small state files of a log directory: offset checkpoints, leader-epoch-checkpoint,
// partition.metadata, meta.properties, .kafka_cleanshutdown, quorum-state is raft's. All are text,
// written as temp + fsync + rename + fsync of the directory. Parsers take bytes and never trust
// them.
#pragma once

#include "base/arena.h"
#include "base/string_buffer.h"
#include "env/env.h"

struct checkpoint_entry {
    struct slice topic;
    int32_t partition;
    int64_t offset;
};

// recovery-point-offset-checkpoint, log-start-offset-checkpoint, replication-offset-checkpoint:
// "0", count, "topic partition offset".
MUST_CHECK enum err checkpoint_parse(struct slice text, struct arena *arena,
                                     struct checkpoint_entry **entries, int32_t *count);
void checkpoint_format(const struct checkpoint_entry *entries, int32_t count,
                       struct string_buffer *out);

// leader-epoch-checkpoint: "0", count, "epoch start_offset".
struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};
MUST_CHECK enum err epoch_checkpoint_parse(struct slice text, struct arena *arena,
                                           struct epoch_entry **entries, int32_t *count);
void epoch_checkpoint_format(const struct epoch_entry *entries, int32_t count,
                             struct string_buffer *out);

// partition.metadata: "version: 0\ntopic_id: <uuid>".
MUST_CHECK enum err partition_metadata_parse(struct slice text, struct uuid *topic_id);
void partition_metadata_format(struct uuid topic_id, struct string_buffer *out);

// meta.properties, version 1.
struct meta_properties {
    struct slice cluster_id;
    int32_t node_id;
    struct uuid directory_id;
    bool has_directory_id;
};
MUST_CHECK enum err meta_properties_parse(struct slice text, struct arena *arena,
                                          struct meta_properties *meta, struct message *error);
void meta_properties_format(const struct meta_properties *meta, struct string_buffer *out);

// .kafka_cleanshutdown: {"version":0,"brokerEpoch":N}
MUST_CHECK enum err clean_shutdown_parse(struct slice text, int64_t *broker_epoch);
void clean_shutdown_format(int64_t broker_epoch, struct string_buffer *out);
