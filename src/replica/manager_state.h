// The manager's own state, shared by the files of this folder only.
#pragma once

#include "replica/replica_manager.h"

struct replica_manager {
    struct env *env;
    struct replica_host *host;
    int32_t reactor;
    int32_t reactor_count;
    int32_t node_id;
    struct log_directory *const *directories;
    int32_t directory_count;
    int32_t *directory_partitions;  // per directory: how many partitions of ours
    struct offset_checkpoints *checkpoints;
    const struct config *config;  // NULL until the first apply
    bool is_started;              // the first apply is done

    struct map topics;       // of replica_topic, by id
    struct list partitions;  // of partition
    int32_t partition_count;
    struct replica_apply *apply;  // under way

    struct list retired;  // of partition: deleted, but their logs have operations in flight
    struct env_timer retired_timer;
    struct list deletions;  // storage's: directories that wait for file.delete.delay.ms

    struct env_timer retention_timer;
    int32_t retention_left;  // partitions that this round has still to visit
    struct env_timer expiry_timer;
    struct env_timer checkpoint_timer;
    uint64_t checkpoint_due_ns[OFFSET_CHECKPOINT_COUNT];

    struct replica_stop *stop;  // NULL unless stopping
};

// ---- replica_manager.c, for partition.c ----
void replica_directory_failed(struct replica_manager *manager, int32_t directory, enum err error);
void replica_topic_release(struct replica_topic *topic, struct partition *partition);
// One part of the apply under way has ended.
void replica_apply_part_done(struct replica_manager *manager, bool failed);

// ---- partition_open.c ----
// Opens the partition's log in a job; counts in manager->apply.
void partition_open_start(struct partition *partition, const struct partition_image *image,
                          const struct log_config *settings);
// Deletes the partition and its log's directory: now, or as soon as the log is idle. It is gone for
// everybody else at once; those who wait are told `error`.
void partition_retire(struct partition *partition, enum err error);
// Deletes the retired ones that are idle; true when none is left.
bool partition_retired_finish(struct replica_manager *manager);
void partition_retired_timer(struct env_timer *timer);

// ---- replica_stop.c ----
// The open that a stop waits for has come back.
void replica_stop_opened(struct partition *partition);

// ---- log_settings.c ----
// What the logs of a topic are to do, of the topic's and the node's configuration.
void log_settings_of(const struct config *config, const struct image *image, struct slice topic,
                     struct log_config *settings, int32_t *min_insync_replicas);

// ---- replica_timers.c ----
void replica_timers_init(struct replica_manager *manager);
void replica_timers_start(struct replica_manager *manager);
void replica_timers_stop(struct replica_manager *manager);
// Some partition's offsets moved: they are written to the checkpoints within their intervals.
void replica_offsets_moved(struct replica_manager *manager);
// Hands in the offsets of all partitions for the checkpoints in `mask` (1 << enum
// offset_checkpoint).
void replica_hand_in_offsets(struct replica_manager *manager, uint32_t mask);
