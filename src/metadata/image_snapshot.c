// An image turned back into records, in the order of Kafka's MetadataImage.write: features,
// brokers, controllers, topics with their partitions, configs, client quotas, producer ids, ACLs,
// SCRAM credentials, delegation tokens. metadata.version comes first of all: a reader needs it to
// read the others.
//
// The cursor holds the section and the key of the last thing written; keys point into the image, so
// an image that somebody holds can be walked over many passes.
#include "base/assert.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"

enum section {
    SECTION_METADATA_VERSION,
    SECTION_FEATURES,
    SECTION_ZK_MIGRATION,
    SECTION_BROKERS,
    SECTION_CONTROLLERS,
    SECTION_TOPICS,
    SECTION_CONFIGS,
    SECTION_QUOTAS,
    SECTION_PRODUCER_IDS,
    SECTION_ACLS,
    SECTION_SCRAM,
    SECTION_TOKENS,
    SECTION_END,
};

// The record versions to write with; an image without a finalised level is only hashed, never
// stored.
static int16_t version_of(const struct image *image) {
    return image->metadata_version > 0 ? image->metadata_version : METADATA_VERSION_MAX;
}

static struct metadata_record feature_level(struct slice name, int16_t level, struct arena *arena) {
    struct metadata_record record = metadata_record_new(METADATA_FEATURE_LEVEL, 0, arena);
    *(struct feature_level_record *)record.message =
        (struct feature_level_record){.name = name, .feature_level = level};
    return record;
}

static bool next_metadata_version(const struct image *image, struct image_cursor *cursor,
                                  struct arena *arena, struct metadata_record *record) {
    if (cursor->index++ > 0 || image->metadata_version == 0) return false;
    *record = feature_level(slice_cstring(feature_row(FEATURE_METADATA_VERSION)->name),
                            image->metadata_version, arena);
    return true;
}

static bool next_feature(const struct image *image, struct image_cursor *cursor,
                         struct arena *arena, struct metadata_record *record) {
    const struct tree_node *node = tree_after(image->features, cursor->key);
    if (node == NULL) return false;
    cursor->key = node->key;
    *record =
        feature_level(node->key, container_of(node->item, struct feature_item, item)->level, arena);
    return true;
}

static bool next_zk_migration(const struct image *image, struct image_cursor *cursor,
                              struct arena *arena, struct metadata_record *record) {
    if (cursor->index++ > 0 || image->zk_migration_state < 0) return false;
    *record = metadata_record_new(METADATA_ZK_MIGRATION_STATE, 0, arena);
    ((struct zk_migration_state_record *)record->message)->zk_migration_state =
        (int8_t)image->zk_migration_state;
    return true;
}

static bool next_broker(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                        struct metadata_record *record) {
    const struct tree_node *node = tree_after(image->brokers, cursor->key);
    if (node == NULL) return false;
    cursor->key = node->key;
    const struct broker_image *broker = &container_of(node->item, struct broker_item, item)->broker;
    int16_t version = register_broker_record_version(version_of(image));
    *record = metadata_record_new(METADATA_REGISTER_BROKER, version, arena);
    struct register_broker_record *r = record->message;
    r->broker_id = broker->id;
    r->is_migrating_zk_broker = broker->is_migrating_zk_broker && version >= 2;
    r->incarnation_id = broker->incarnation_id;
    r->broker_epoch = broker->epoch;
    r->end_points = register_broker_record_end_point_new(arena, broker->endpoint_count);
    r->end_points_count = broker->endpoint_count;
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        const struct endpoint_image *from = &broker->endpoints[i];
        r->end_points[i] = (struct register_broker_record_end_point){
            from->name, from->host, from->port, from->security_protocol, {0}};
    }
    r->features = register_broker_record_feature_new(arena, broker->feature_count);
    r->features_count = broker->feature_count;
    for (int32_t i = 0; i < broker->feature_count; i++) {
        const struct feature_range *from = &broker->features[i];
        r->features[i] =
            (struct register_broker_record_feature){from->name, from->min, from->max, {0}};
    }
    r->rack = broker->rack;
    r->fenced = broker->fenced;
    r->in_controlled_shutdown = broker->in_controlled_shutdown && version >= 1;
    if (version >= 3) {
        r->log_dirs = (struct uuid *)(uintptr_t)broker->directories;
        r->log_dirs_count = broker->directory_count;
    }
    if (version >= 4) {
        r->cordoned_log_dirs = (struct uuid *)(uintptr_t)broker->cordoned_directories;
        r->cordoned_log_dirs_count = broker->cordoned_count;
    }
    return true;
}

static bool next_controller(const struct image *image, struct image_cursor *cursor,
                            struct arena *arena, struct metadata_record *record) {
    if (!metadata_version_has_controller_registration(version_of(image))) return false;
    const struct tree_node *node = tree_after(image->controllers, cursor->key);
    if (node == NULL) return false;
    cursor->key = node->key;
    const struct controller_image *controller =
        &container_of(node->item, struct controller_item, item)->controller;
    *record = metadata_record_new(METADATA_REGISTER_CONTROLLER, 0, arena);
    struct register_controller_record *r = record->message;
    r->controller_id = controller->id;
    r->incarnation_id = controller->incarnation_id;
    r->zk_migration_ready = controller->zk_migration_ready;
    r->end_points = register_controller_record_end_point_new(arena, controller->endpoint_count);
    r->end_points_count = controller->endpoint_count;
    for (int32_t i = 0; i < controller->endpoint_count; i++) {
        const struct endpoint_image *from = &controller->endpoints[i];
        r->end_points[i] = (struct register_controller_record_end_point){
            from->name, from->host, from->port, from->security_protocol, {0}};
    }
    r->features = register_controller_record_feature_new(arena, controller->feature_count);
    r->features_count = controller->feature_count;
    for (int32_t i = 0; i < controller->feature_count; i++) {
        const struct feature_range *from = &controller->features[i];
        r->features[i] =
            (struct register_controller_record_feature){from->name, from->min, from->max, {0}};
    }
    return true;
}

// cursor->key is the topic whose partitions are being written, cursor->index the next of them.
static bool next_topic(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                       struct metadata_record *record) {
    const struct topic_image *topic =
        slice_is_null(cursor->key) ? NULL : image_topic(image, cursor->key);
    while (topic != NULL && cursor->index < topic->partition_count) {
        const struct partition_image *partition = topic->partitions[cursor->index++];
        if (partition == NULL) continue;
        *record = partition_record_of(partition, topic->id, version_of(image), arena);
        return true;
    }
    topic = image_topic_after(image, cursor->key);
    if (topic == NULL) return false;
    cursor->key = topic->name;
    cursor->index = 0;
    *record = metadata_record_new(METADATA_TOPIC, 0, arena);
    *(struct topic_record *)record->message =
        (struct topic_record){.name = topic->name, .topic_id = topic->id};
    return true;
}

// cursor->key is the resource, cursor->second_key the last config written of it.
static bool next_config(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                        struct metadata_record *record) {
    struct tree_item *item =
        slice_is_null(cursor->key) ? NULL : tree_get(image->configs, cursor->key);
    const struct config_resource_item *resource =
        item == NULL ? NULL : container_of(item, struct config_resource_item, item);
    const struct tree_node *entry =
        resource == NULL ? NULL : tree_after(resource->entries, cursor->second_key);
    if (entry == NULL) {
        const struct tree_node *node = tree_after(image->configs, cursor->key);
        if (node == NULL) return false;
        resource = container_of(node->item, struct config_resource_item, item);
        cursor->key = resource->key;
        entry = tree_after(resource->entries, SLICE_NULL);
        assert(entry != NULL);  // a resource without configs is removed
    }
    const struct config_item *config = container_of(entry->item, struct config_item, item);
    cursor->second_key = config->key;
    *record = metadata_record_new(METADATA_CONFIG, 0, arena);
    *(struct config_record *)record->message = (struct config_record){
        .resource_type = (int8_t)resource->key.data[0],
        .resource_name = slice_sub(resource->key, 1, resource->key.size - 1),
        .name = config->key,
        .value = config->value,
    };
    return true;
}

static bool next_quota(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                       struct metadata_record *record) {
    const struct tree_node *node = tree_after(image->quotas, cursor->key);
    if (node == NULL) return false;
    cursor->key = node->key;
    const struct quota_image *quota = &container_of(node->item, struct quota_item, item)->quota;
    *record = metadata_record_new(METADATA_CLIENT_QUOTA, 0, arena);
    struct client_quota_record *r = record->message;
    r->entity = client_quota_record_entity_new(arena, quota->entity_count);
    r->entity_count = quota->entity_count;
    for (int32_t i = 0; i < quota->entity_count; i++) {
        r->entity[i].entity_type = quota->entities[i].type;
        r->entity[i].entity_name = quota->entities[i].name;
    }
    r->key = quota->key;
    r->value = quota->value;
    return true;
}

static bool next_producer_ids(const struct image *image, struct image_cursor *cursor,
                              struct arena *arena, struct metadata_record *record) {
    if (cursor->index++ > 0 || image->next_producer_id < 0) return false;
    *record = metadata_record_new(METADATA_PRODUCER_IDS, 0, arena);
    struct producer_ids_record *r = record->message;
    r->broker_id = -1;
    r->broker_epoch = -1;
    r->next_producer_id = image->next_producer_id;
    return true;
}

static bool next_kept(const struct image *image, enum kept_kind kind, struct image_cursor *cursor,
                      struct arena *arena, struct metadata_record *record) {
    const struct tree_node *node = tree_after(image->kept[kind], cursor->key);
    if (node == NULL) return false;
    cursor->key = node->key;
    struct slice bytes = container_of(node->item, struct kept_item, item)->bytes;
    enum err err = metadata_record_decode(bytes, arena, record, NULL);
    assert(err == ERR_NONE);  // these are our own bytes
    return true;
}

static bool next_in_section(const struct image *image, struct image_cursor *cursor,
                            struct arena *arena, struct metadata_record *record) {
    switch ((enum section)cursor->section) {
        case SECTION_METADATA_VERSION:
            return next_metadata_version(image, cursor, arena, record);
        case SECTION_FEATURES:
            return next_feature(image, cursor, arena, record);
        case SECTION_ZK_MIGRATION:
            return next_zk_migration(image, cursor, arena, record);
        case SECTION_BROKERS:
            return next_broker(image, cursor, arena, record);
        case SECTION_CONTROLLERS:
            return next_controller(image, cursor, arena, record);
        case SECTION_TOPICS:
            return next_topic(image, cursor, arena, record);
        case SECTION_CONFIGS:
            return next_config(image, cursor, arena, record);
        case SECTION_QUOTAS:
            return next_quota(image, cursor, arena, record);
        case SECTION_PRODUCER_IDS:
            return next_producer_ids(image, cursor, arena, record);
        case SECTION_ACLS:
            return next_kept(image, KEPT_ACL, cursor, arena, record);
        case SECTION_SCRAM:
            return next_kept(image, KEPT_SCRAM, cursor, arena, record);
        case SECTION_TOKENS:
            return next_kept(image, KEPT_TOKEN, cursor, arena, record);
        case SECTION_END:
            break;
    }
    return false;
}

bool image_next_record(const struct image *image, struct image_cursor *cursor, struct arena *arena,
                       struct metadata_record *record) {
    while (cursor->section < SECTION_END) {
        if (next_in_section(image, cursor, arena, record)) return true;
        *cursor = (struct image_cursor){.section = cursor->section + 1};
    }
    return false;
}

uint64_t image_hash(const struct image *image) {
    struct image_cursor cursor = {0};
    struct arena arena;
    arena_init(&arena);
    uint64_t hash = 0;
    struct metadata_record record;
    while (image_next_record(image, &cursor, &arena, &record)) {
        struct slice bytes = SLICE_EMPTY;
        struct message error;
        message_init(&error);
        enum err err = metadata_record_frame(&record, &arena, &bytes, &error);
        if (err != ERR_NONE) fatal("an image does not encode: %s", error.text);
        hash = slice_hash(bytes, hash);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return hash;
}
