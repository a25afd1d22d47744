// The partitions of one reactor: which ones this node has, opened, changed and deleted as the
// metadata image says; their periodic work (retention, expiry of producers, checkpoints); their
// clean stop. One `struct replica_manager` per reactor, touched by that reactor only.
//
// A partition belongs to the reactor that replica_owner_of names, on every node and after every
// start. Log directories are shared by all reactors (storage/log_directory.h); what is written into
// their files goes through reactor 0 (replica/offset_checkpoints.h).
#pragma once

#include "base/map.h"
#include "config/config.h"
#include "metadata/image.h"
#include "replica/offset_checkpoints.h"
#include "replica/partition.h"
#include "storage/log_directory.h"

struct replica_manager;

static inline int32_t replica_owner_of(struct uuid topic_id, int32_t partition,
                                       int32_t reactor_count) {
    // Random ids need no mixing; neighbours of a topic go to different reactors.
    uint32_t base = (uint32_t)topic_id.bytes[12] << 24 | (uint32_t)topic_id.bytes[13] << 16 |
                    (uint32_t)topic_id.bytes[14] << 8 | topic_id.bytes[15];
    return (int32_t)((base + (uint32_t)partition) % (uint32_t)reactor_count);
}

// What the broker does for the partitions of a reactor. Borrowed for life; called on the reactor.
struct replica_host {
    // An I/O error: the directory is not to be trusted any more. The broker tells reactor 0's
    // log_directory_fail and every reactor's replica_manager_fail_directory. May come more than
    // once.
    void (*directory_failed)(struct replica_host *host, int32_t directory, enum err error);
    // KIP-858: the metadata did not say in which directory this replica lies; this is where it is.
    // NULL: nobody wants to know.
    void (*directory_chosen)(struct replica_host *host, struct uuid topic_id, int32_t partition,
                             struct uuid directory_id);
};

struct replica_options {
    struct env *env;
    struct replica_host *host;
    int32_t reactor;
    int32_t reactor_count;
    int32_t node_id;
    struct log_directory *const *directories;  // in the order of log.dirs; shared, outlive us
    int32_t directory_count;
    struct offset_checkpoints *checkpoints;  // the node's; lives on reactor 0
};

// Returns owned. Nothing is opened yet.
struct replica_manager *replica_manager_new(const struct replica_options *options);
// After replica_manager_stop, or to give up (a crash of the simulation): logs are freed unflushed.
void replica_manager_free(struct replica_manager *manager);

// ---- Start, metadata ----

// Once at start, before the first apply, blocking, on one reactor for all: deletes -delete
// leftovers and sets aside as -stray every partition directory that this node should not have by
// the image: an unknown topic, a topic id in partition.metadata that is missing or not the
// topic's, a replica set without this node. ERR_EXISTS with a sentence when two log directories
// hold the same partition; ERR_IO.
MUST_CHECK enum err replica_set_aside_strays(struct env *env,
                                             struct log_directory *const *directories,
                                             int32_t directory_count, const struct image *image,
                                             int32_t node_id, struct message *error);

struct replica_apply {
    // The reactor's partitions are as the image says, logs opened. Never inside the call. `failed`
    // counts partitions whose log could not be opened (they are offline; the log has the
    // sentences).
    void (*done)(struct replica_apply *apply, int32_t failed);
    int32_t outstanding;  // private from here on
    int32_t failed;
    struct env_task task;
};

// Brings partitions and their logs' settings from one image to the next. `before` NULL: the first
// image of this process, logs are recovered as far as the last stop asks for. `config` is the
// reactor's current node configuration, kept until the next apply. The images are used inside the
// call only. One apply at a time.
void replica_manager_apply(struct replica_manager *manager, const struct image *before,
                           const struct image *after, const struct config *config,
                           struct replica_apply *apply);

// ---- Finding ----

// What this reactor has of a topic.
struct replica_topic {
    struct map_node by_id;
    struct uuid id;
    struct slice name;              // owned
    struct partition **partitions;  // by partition number; NULL: another reactor's
    int32_t partition_count;        // entries of the array
    int32_t owned;                  // not NULL among them
    int32_t min_insync_replicas;    // min.insync.replicas
};

// NULL when this reactor has none of the topic's partitions.
struct replica_topic *replica_topic_of(const struct replica_manager *manager, struct uuid topic_id);
// NULL when this reactor does not have it.
static inline struct partition *replica_partition_of(const struct replica_topic *topic,
                                                     int32_t partition) {
    bool is_inside = topic != NULL && partition >= 0 && partition < topic->partition_count;
    return is_inside ? topic->partitions[partition] : NULL;
}
static inline struct partition *replica_find(const struct replica_manager *manager,
                                             struct uuid topic_id, int32_t partition) {
    return replica_partition_of(replica_topic_of(manager, topic_id), partition);
}
// Heads a list of struct partition (member `link`).
struct list *replica_partitions(struct replica_manager *manager);
int32_t replica_partition_count(const struct replica_manager *manager);
struct log_directory *replica_directory(const struct replica_manager *manager, int32_t index);
int32_t replica_directory_count(const struct replica_manager *manager);

// Records were deleted on request: the log starts are written to their checkpoint now, not when the
// interval is over, so that a kill does not bring the records back.
void replica_records_deleted(struct replica_manager *manager);

// ---- Failure, stop ----

// Every partition in it goes offline.
void replica_manager_fail_directory(struct replica_manager *manager, int32_t directory);

struct replica_stop {
    void (*done)(struct replica_stop *stop);  // never inside the call
    int32_t outstanding;                      // private from here on
    struct env_task task;
};
// Waiting requests end with NOT_LEADER_OR_FOLLOWER, logs are flushed and closed, and the last
// offsets are handed to the checkpoints. When all reactors have stopped, reactor 0 calls
// offset_checkpoints_finish.
void replica_manager_stop(struct replica_manager *manager, struct replica_stop *stop);
