// Inside of an image; for the files image*.c only.
#pragma once

#include "metadata/image.h"
#include "metadata/tree.h"

enum kept_kind { KEPT_ACL, KEPT_SCRAM, KEPT_TOKEN, KEPT_COUNT };

struct image {
    uint32_t references;
    int64_t offset;
    int32_t epoch;
    int16_t metadata_version;
    int16_t zk_migration_state;  // -1: never written
    int64_t next_producer_id;    // -1: never written
    int32_t topic_count;
    int64_t partition_count;
    int64_t transaction_offset;      // -1: no metadata transaction is open
    struct image *transaction_base;  // the image before it
    struct tree_node *features;      // name -> feature_item; without metadata.version
    struct tree_node *brokers;       // id, 4 bytes -> broker_item
    struct tree_node *controllers;   // id, 4 bytes -> controller_item
    struct tree_node *topics;        // name -> topic_item
    struct tree_node *topic_ids;     // id, 16 bytes -> topic_name
    struct tree_node *collisions;    // name with '.' as '_', NUL, name -> collision_item
    struct tree_node *configs;       // type byte, name -> config_resource_item
    struct tree_node *quotas;        // entities, quota key -> quota_item
    struct tree_node *kept[KEPT_COUNT];
};

struct topic_name {
    struct tree_item item;
    struct uuid id;
    struct slice name;
    char bytes[];
};

struct partition_item {
    uint32_t references;
    struct partition_image partition;
};

struct topic_item {
    struct tree_item item;
    struct topic_image topic;
    struct topic_name *name;
    const struct partition_image **slots;  // = topic.partitions; NULL where no record came yet
    int32_t capacity;
};

struct feature_item {
    struct tree_item item;
    int16_t level;
    size_t size;
    char name[];
};

struct id_key {
    uint8_t bytes[4];
};

struct broker_item {
    struct tree_item item;
    struct id_key key;
    struct arena arena;
    struct broker_image broker;
};

struct controller_item {
    struct tree_item item;
    struct id_key key;
    struct arena arena;
    struct controller_image controller;
};

struct config_resource_item {
    struct tree_item item;
    struct tree_node *entries;  // key -> config_item
    struct slice key;           // type byte, name
    uint8_t bytes[];
};

struct config_item {
    struct tree_item item;
    struct slice key;
    struct slice value;
    uint8_t bytes[];
};

struct quota_item {
    struct tree_item item;
    struct quota_image quota;
    struct slice key;
};

struct kept_item {
    struct tree_item item;
    struct slice key;
    struct slice bytes;
    uint8_t data[];
};

static inline struct id_key id_key_of(int32_t id) {
    struct id_key key;
    store_i32(key.bytes, id);
    return key;
}
static inline struct slice id_key_slice(const struct id_key *key) {
    return slice_of(key->bytes, sizeof key->bytes);
}

// The record handlers. Each checks everything before it changes anything.
enum err image_apply_topic(struct image *image, const struct topic_record *record,
                           struct message *error);
enum err image_apply_partition(struct image *image, const struct partition_record *record,
                               struct message *error);
enum err image_apply_partition_change(struct image *image,
                                      const struct partition_change_record *record,
                                      struct message *error);
enum err image_apply_remove_topic(struct image *image, const struct remove_topic_record *record,
                                  struct message *error);
enum err image_apply_clear_elr(struct image *image, const struct clear_elr_record *record,
                               struct message *error);
enum err image_apply_cluster(struct image *image, enum metadata_record_type type,
                             const void *record, struct message *error);
enum err image_apply_config(struct image *image, const struct config_record *record);
void image_remove_config_resource(struct image *image, enum config_resource_type type,
                                  struct slice name);
enum err image_apply_feature_level(struct image *image, const struct feature_level_record *record,
                                   struct message *error);
enum err image_apply_quota(struct image *image, const struct client_quota_record *record,
                           struct message *error);
enum err image_apply_kept(struct image *image, enum metadata_record_type type, const void *record,
                          struct message *error);

struct slice config_resource_key(enum config_resource_type type, struct slice name,
                                 struct arena *arena);
