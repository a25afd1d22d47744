// The value that counts. Configs are said in many places; the strongest wins: the topic (or group)
// itself, this broker's dynamic configs, the cluster's dynamic default, the node's file, the
// default. The dynamic ones are records, so they are read from the metadata image.
//
// A broker keeps one `struct config` per reactor that has the dynamic broker configs layered in
// (effective_broker_config), made anew when an image changed them. The other functions take the
// node's config with or without these layers. Pure; any thread that holds the image's root.
#pragma once

#include "config/config.h"
#include "metadata/image.h"

// ---- The broker ----

// `base` (without dynamic layers, finished) with the dynamic configs of `image` for this node on
// top; owned. Invalid ones are left out, each with a warning in the result.
struct config *effective_broker_config(const struct config *base, const struct image *image);

// Whether the images differ in dynamic configs of this node or of the cluster default: then it is
// time to make a new one.
bool effective_broker_config_changed(const struct image *before, const struct image *after,
                                     int32_t node_id);

// ---- Topics ----

// A topic's settings as numbers. Cheap to make (one walk over the topic's own configs).
struct topic_settings {
    int32_t
        segment_bytes;  // internal.segment.bytes when set (Kafka's tests use it to go below 1 MiB)
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    int64_t retention_ms;     // -1: for ever
    int64_t retention_bytes;  // -1: no limit
    bool delete_policy;
    bool compact_policy;
    int32_t max_message_bytes;
    int32_t max_decompressed_message_bytes;
    bool log_append_time;
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t file_delete_delay_ms;
    int64_t delete_retention_ms;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    int32_t min_insync_replicas;
    bool unclean_leader_election;
    bool preallocate;
    struct slice compression_type;  // "producer", "uncompressed", "gzip" …; static text
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
};

// `topic` need not exist: then these are the settings that it would get.
void effective_topic_settings(const struct image *image, const struct config *config,
                              struct slice topic, struct topic_settings *settings);

// A single value of a topic: an int, short, long or boolean one as a number.
int64_t effective_topic_long(const struct image *image, const struct config *config,
                             struct slice topic, enum config_key key);

// ---- Groups and client metrics ----

// A number of a group's configs (GROUP_…), held inside the broker's minimum and maximum as Kafka
// does.
int64_t effective_group_long(const struct image *image, const struct config *config,
                             struct slice group, enum config_key key);

// ---- For showing ----

struct effective_synonym {
    struct slice name;
    struct slice value;  // null when sensitive
    enum config_source source;
};

struct effective_entry {
    struct slice name;
    struct slice value;  // null: null, or sensitive
    enum config_source source;
    bool read_only;
    bool sensitive;
    enum config_type type;                     // 0: unknown
    struct slice documentation;                // null: none
    const struct effective_synonym *synonyms;  // strongest first
    int32_t synonym_count;
};

struct effective_entries {
    const struct effective_entry *items;
    int32_t count;
};

// What DescribeConfigs shows of a resource: every public config and what was set beyond them.
// Memory from `arena`, config and image.
struct effective_entries effective_describe_topic(const struct image *image,
                                                  const struct config *config, struct slice topic,
                                                  struct arena *arena);
// This node, or (`cluster_default`) only what is set for all brokers.
struct effective_entries effective_describe_broker(const struct image *image,
                                                   const struct config *config,
                                                   bool cluster_default, struct arena *arena);
struct effective_entries effective_describe_group(const struct image *image,
                                                  const struct config *config, struct slice group,
                                                  struct arena *arena);
struct effective_entries effective_describe_client_metrics(const struct image *image,
                                                           struct slice subscription,
                                                           struct arena *arena);

// What CreateTopics answers about a topic that is being created with these configs: every topic
// config in order of name.
struct config_pair {
    struct slice name;
    struct slice value;  // null: deleted, or not set
};
struct effective_entries effective_new_topic(const struct image *image, const struct config *config,
                                             const struct config_pair *configs, int32_t count,
                                             struct arena *arena);
