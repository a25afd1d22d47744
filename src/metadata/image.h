// The metadata image: everything that __cluster_metadata says, as of one offset, immutable.
// Applying a record makes a new image that shares all unchanged parts with the old one (persistent
// copy-on-write maps), so keeping an old root for a listing, a snapshot or a rollback costs
// nothing.
//
// One writer (the reactor of the metadata log) applies and publishes; readers on other reactors get
// the new root by mailbox. Nodes replaced by an image are freed when every reader has released
// every older root: image_ref/unref are called by the writer's reactor only; a reader's root is
// lent and goes home by mailbox. All reading functions are pure and may run on any thread that
// holds a root.
#pragma once

#include "base/arena.h"
#include "base/uuid.h"
#include "gen/err.h"
#include "metadata/record.h"

struct image;

struct partition_image {
    int32_t partition;
    int32_t leader;  // -1: none
    int32_t leader_epoch;
    int32_t partition_epoch;
    int8_t leader_recovery_state;
    const int32_t *replicas;
    int32_t replica_count;
    const int32_t *isr;
    int32_t isr_count;
    const int32_t *adding_replicas;
    int32_t adding_count;
    const int32_t *removing_replicas;
    int32_t removing_count;
    const int32_t *elr;
    int32_t elr_count;
    const int32_t *last_known_elr;
    int32_t last_known_elr_count;
    const struct uuid *directories;  // one per replica
};

// In PartitionChange records; a leader that is given, even the same one again, begins a new leader
// epoch.
#define PARTITION_LEADER_UNCHANGED (-2)
#define PARTITION_LEADER_NONE      (-1)

struct topic_image {
    struct slice name;
    struct uuid id;
    int32_t partition_count;
    // Indexed by partition. None is NULL once the records that create a topic were all applied.
    const struct partition_image *const *partitions;
};

struct endpoint_image {
    struct slice name;
    struct slice host;
    uint16_t port;
    int16_t security_protocol;
};

struct feature_range {
    struct slice name;
    int16_t min;
    int16_t max;
};

struct broker_image {
    int32_t id;
    int64_t epoch;
    struct uuid incarnation_id;
    struct slice rack;  // may be null
    bool is_migrating_zk_broker;
    bool fenced;
    bool in_controlled_shutdown;
    const struct endpoint_image *endpoints;
    int32_t endpoint_count;
    const struct feature_range *features;
    int32_t feature_count;
    const struct uuid *directories;
    int32_t directory_count;
    const struct uuid *cordoned_directories;
    int32_t cordoned_count;  // -1: the broker never said
};

struct controller_image {
    int32_t id;
    bool zk_migration_ready;
    struct uuid incarnation_id;
    const struct endpoint_image *endpoints;
    int32_t endpoint_count;
    const struct feature_range *features;
    int32_t feature_count;
};

// Kafka's ConfigResource types.
enum config_resource_type {
    CONFIG_RESOURCE_UNKNOWN = 0,
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4,
    CONFIG_RESOURCE_BROKER_LOGGER = 8,
    CONFIG_RESOURCE_CLIENT_METRICS = 16,
    CONFIG_RESOURCE_GROUP = 32,
};

// The empty image at offset -1. Returns owned (one reference).
struct image *image_new(void);
struct image *image_ref(struct image *image);
void image_unref(struct image *image);

// The offset and epoch of the last record applied.
int64_t image_offset(const struct image *image);
int32_t image_epoch(const struct image *image);

// Applies one record (a struct of gen/rec/metadata.h) and replaces *image by the result. Parts that
// only *image holds are changed in place; parts that another reference sees are copied first, so a
// root kept with image_ref stays as it was. ERR_INVALID with a sentence when the record contradicts
// the image (an unknown topic id …), and *image is unchanged: fatal on a node with the controller
// role.
MUST_CHECK enum err image_apply(struct image **image, enum metadata_record_type type,
                                const void *record, int64_t offset, int32_t epoch,
                                struct message *error);

// What readers may see: the image itself, or inside a metadata transaction (KIP-868) the image at
// its beginning. Borrowed.
struct image *image_stable(struct image *image);
// Offset of the BeginTransaction record of an open metadata transaction; -1: none is open.
int64_t image_transaction_offset(const struct image *image);

// ---- Topics ----
const struct topic_image *image_topic(const struct image *image, struct slice name);
const struct topic_image *image_topic_by_id(const struct image *image, struct uuid id);
int32_t image_topic_count(const struct image *image);
int64_t image_partition_count(const struct image *image);  // of all topics
// A topic whose name differs from `name` only in '.' and '_' (metrics names would collide); NULL:
// none.
const struct topic_image *image_topic_colliding(const struct image *image, struct slice name);
// In order of name; resumable: pass the last name seen (null: from the beginning).
const struct topic_image *image_topic_after(const struct image *image, struct slice name);
const struct partition_image *topic_partition(const struct topic_image *topic,
                                              int32_t partition);  // NULL when outside

// The record that makes this partition, its arrays borrowed from it.
struct metadata_record partition_record_of(const struct partition_image *partition,
                                           struct uuid topic_id, int16_t metadata_version,
                                           struct arena *arena);
// What a partition becomes by a record: changes the view, whose arrays then point into the record
// too. `directory_count` goes with view->directories.
void partition_merge(struct partition_image *view, int32_t *directory_count,
                     const struct partition_change_record *record);

// ---- Cluster ----
const struct broker_image *image_broker(const struct image *image, int32_t id);
const struct broker_image *image_broker_after(const struct image *image,
                                              int32_t id);  // -1: first; NULL: end
const struct controller_image *image_controller(const struct image *image, int32_t id);
const struct controller_image *image_controller_after(const struct image *image, int32_t id);
const struct endpoint_image *broker_endpoint(const struct broker_image *broker,
                                             struct slice listener_name);

// ---- Configs ----
// False when not set. Broker resource "" is the cluster default.
// Slices point into the image.
bool image_config(const struct image *image, enum config_resource_type type, struct slice resource,
                  struct slice key, struct slice *value);
// In order of key; null: from the beginning. False at the end.
bool image_config_after(const struct image *image, enum config_resource_type type,
                        struct slice resource, struct slice key, struct slice *next_key,
                        struct slice *value);
// Resources of a type that have any config, in order of name.
bool image_config_resource_after(const struct image *image, enum config_resource_type type,
                                 struct slice resource, struct slice *next);

// ---- Features ----
int16_t image_feature(const struct image *image, struct slice name);  // 0: not finalised
int16_t image_metadata_version(const struct image *image);            // 0: not yet
bool image_feature_after(const struct image *image, struct slice name, struct slice *next,
                         int16_t *level);

// ---- Client quotas, producer ids ----
struct quota_entity {
    struct slice type;  // "user", "client-id", "ip"
    struct slice name;  // null: the default entity
};
struct quota_image {
    const struct quota_entity *entities;
    int32_t entity_count;
    struct slice key;
    double value;
};
// The entities in any order; NULL when not set.
const struct quota_image *image_quota(const struct image *image,
                                      const struct quota_entity *entities, int32_t count,
                                      struct slice key);
// `previous` NULL: the first. Rows of one entity follow each other.
const struct quota_image *image_quota_after(const struct image *image,
                                            const struct quota_image *previous);
int64_t image_next_producer_id(const struct image *image);

// ---- Records that are only kept ----
// ACLs, SCRAM credentials and delegation tokens, in order of a key of ours: `bytes` is the record
// in Kafka's frame (metadata/record.h). `key` null: the first. False at the end.
bool image_kept_after(const struct image *image, enum metadata_record_type type, struct slice key,
                      struct slice *next_key, struct slice *bytes);

// ---- Snapshots ----
// The records that rebuild this image, in Kafka's order (features first …), at the record versions
// of its metadata.version. Resumable so that a long snapshot runs in slices: `cursor` starts
// zeroed; false at the end. The record's parts live in the image and in the arena.
struct image_cursor {
    int32_t section;
    int32_t index;
    struct slice key;  // points into the image
    struct slice second_key;
};
bool image_next_record(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                       struct metadata_record *record);

// Equal for images of equal content, whatever way they came (live against replayed). Walks
// everything: for tests and checkers.
uint64_t image_hash(const struct image *image);
