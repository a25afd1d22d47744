// Configs, features, client quotas and the records that are only kept.
#include <stdlib.h>

#include "base/memory.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"

// ---- Configs ----

static void config_free(struct tree_item *item) {
    memory_free(container_of(item, struct config_item, item));
}

static void config_resource_free(struct tree_item *item) {
    struct config_resource_item *resource = container_of(item, struct config_resource_item, item);
    tree_unref(resource->entries);
    memory_free(resource);
}

struct slice config_resource_key(enum config_resource_type type, struct slice name,
                                 struct arena *arena) {
    uint8_t *key = arena_alloc(arena, name.size + 1);
    key[0] = (uint8_t)type;
    if (name.size > 0) memcpy(key + 1, name.data, name.size);
    return slice_of(key, name.size + 1);
}

static struct config_resource_item *find_resource(const struct image *image,
                                                  enum config_resource_type type,
                                                  struct slice name) {
    struct arena arena;
    arena_init(&arena);
    struct tree_item *item = tree_get(image->configs, config_resource_key(type, name, &arena));
    arena_deinit(&arena);
    return item == NULL ? NULL : container_of(item, struct config_resource_item, item);
}

static struct config_resource_item *resource_new(struct slice key) {
    struct config_resource_item *item = memory_alloc(sizeof *item + key.size);
    tree_item_init(&item->item, config_resource_free);
    memcpy(item->bytes, key.data, key.size);
    item->key = slice_of(item->bytes, key.size);
    item->entries = NULL;
    return item;
}

// The resource as an item that only this image holds; made when it is not there.
static struct config_resource_item *own_resource(struct image *image, struct slice key) {
    struct tree_node *node = tree_own(&image->configs, key);
    if (node == NULL) {
        struct config_resource_item *made = resource_new(key);
        tree_put(&image->configs, made->key, &made->item);
        return made;
    }
    struct config_resource_item *old = container_of(node->item, struct config_resource_item, item);
    if (old->item.references == 1) return old;
    struct config_resource_item *copy = resource_new(key);
    copy->entries = tree_ref(old->entries);
    tree_item_unref(node->item);
    node->item = &copy->item;
    node->key = copy->key;
    return copy;
}

static void put_config(struct config_resource_item *resource, struct slice key,
                       struct slice value) {
    struct config_item *item = memory_alloc(sizeof *item + key.size + value.size);
    tree_item_init(&item->item, config_free);
    if (key.size > 0) memcpy(item->bytes, key.data, key.size);
    if (value.size > 0) memcpy(item->bytes + key.size, value.data, value.size);
    item->key = slice_of(item->bytes, key.size);
    item->value = slice_of(item->bytes + key.size, value.size);
    tree_put(&resource->entries, item->key, &item->item);
}

enum err image_apply_config(struct image *image, const struct config_record *record) {
    struct arena arena;
    arena_init(&arena);
    struct slice key = config_resource_key(
        (enum config_resource_type)(uint8_t)record->resource_type, record->resource_name, &arena);
    if (!slice_is_null(record->value)) {
        put_config(own_resource(image, key), record->name, record->value);
    } else if (tree_get(image->configs, key) != NULL) {
        struct config_resource_item *resource = own_resource(image, key);
        tree_remove(&resource->entries, record->name);
        if (resource->entries == NULL) tree_remove(&image->configs, key);
    }
    arena_deinit(&arena);
    return ERR_NONE;
}

void image_remove_config_resource(struct image *image, enum config_resource_type type,
                                  struct slice name) {
    struct arena arena;
    arena_init(&arena);
    tree_remove(&image->configs, config_resource_key(type, name, &arena));
    arena_deinit(&arena);
}

bool image_config(const struct image *image, enum config_resource_type type, struct slice resource,
                  struct slice key, struct slice *value) {
    struct config_resource_item *found = find_resource(image, type, resource);
    struct tree_item *item = found == NULL ? NULL : tree_get(found->entries, key);
    if (item == NULL) return false;
    *value = container_of(item, struct config_item, item)->value;
    return true;
}

bool image_config_after(const struct image *image, enum config_resource_type type,
                        struct slice resource, struct slice key, struct slice *next_key,
                        struct slice *value) {
    struct config_resource_item *found = find_resource(image, type, resource);
    const struct tree_node *node = found == NULL ? NULL : tree_after(found->entries, key);
    if (node == NULL) return false;
    const struct config_item *item = container_of(node->item, struct config_item, item);
    *next_key = item->key;
    *value = item->value;
    return true;
}

bool image_config_resource_after(const struct image *image, enum config_resource_type type,
                                 struct slice resource, struct slice *next) {
    struct arena arena;
    arena_init(&arena);
    struct slice key = config_resource_key(type, resource, &arena);
    const struct tree_node *node =
        slice_is_null(resource) ? tree_from(image->configs, key) : tree_after(image->configs, key);
    arena_deinit(&arena);
    if (node == NULL || node->key.data[0] != (uint8_t)type) return false;
    *next = slice_sub(node->key, 1, node->key.size - 1);
    return true;
}

// ---- Features ----

static void feature_free(struct tree_item *item) {
    memory_free(container_of(item, struct feature_item, item));
}

enum err image_apply_feature_level(struct image *image, const struct feature_level_record *record,
                                   struct message *error) {
    enum feature_id id;
    const struct feature_row *row = feature_find(record->name, &id);
    if (row == NULL || record->feature_level < row->min || record->feature_level > row->max) {
        message_set(error,
                    "feature %.*s is finalised at level %d, which this version of Taccola does not "
                    "support; the data directory was written by a newer version",
                    SLICE_PRINT(record->name), record->feature_level);
        return ERR_INVALID;
    }
    if (id == FEATURE_METADATA_VERSION) {
        image->metadata_version = record->feature_level;
        return ERR_NONE;
    }
    if (id == FEATURE_KRAFT_VERSION) return ERR_NONE;  // raft's own control records say it
    if (record->feature_level == 0) {
        tree_remove(&image->features, record->name);
        return ERR_NONE;
    }
    struct feature_item *item = memory_alloc(sizeof *item + record->name.size);
    tree_item_init(&item->item, feature_free);
    item->level = record->feature_level;
    item->size = record->name.size;
    memcpy(item->name, record->name.data, record->name.size);
    tree_put(&image->features, slice_of(item->name, item->size), &item->item);
    return ERR_NONE;
}

int16_t image_feature(const struct image *image, struct slice name) {
    if (slice_equal_cstring(name, feature_row(FEATURE_METADATA_VERSION)->name)) {
        return image->metadata_version;
    }
    struct tree_item *item = tree_get(image->features, name);
    return item == NULL ? 0 : container_of(item, struct feature_item, item)->level;
}

int16_t image_metadata_version(const struct image *image) {
    return image->metadata_version;
}

bool image_feature_after(const struct image *image, struct slice name, struct slice *next,
                         int16_t *level) {
    struct slice version = slice_cstring(feature_row(FEATURE_METADATA_VERSION)->name);
    const struct tree_node *node = tree_after(image->features, name);
    bool version_is_next = image->metadata_version > 0 && slice_compare(version, name) > 0 &&
                           (node == NULL || slice_compare(version, node->key) < 0);
    if (version_is_next) {
        *next = version;
        *level = image->metadata_version;
        return true;
    }
    if (node == NULL) return false;
    *next = node->key;
    *level = container_of(node->item, struct feature_item, item)->level;
    return true;
}

// ---- Client quotas ----

static void quota_free(struct tree_item *item) {
    memory_free(container_of(item, struct quota_item, item));
}

// Type and name of each entity with their lengths, in order of type, then the key: equal for equal
// entities in any order.
static struct slice quota_key(const struct quota_entity *entities, int32_t count, struct slice key,
                              struct arena *arena) {
    size_t size = key.size;
    for (int32_t i = 0; i < count; i++)
        size += 8 + entities[i].type.size + entities[i].name.size;
    uint8_t *bytes = arena_alloc(arena, size + 1);
    size_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct quota_entity *entity = &entities[i];
        store_u32(bytes + at, (uint32_t)entity->type.size);
        memcpy(bytes + at + 4, entity->type.data, entity->type.size);
        at += 4 + entity->type.size;
        bool is_default = slice_is_null(entity->name);
        store_u32(bytes + at, is_default ? UINT32_MAX : (uint32_t)entity->name.size);
        if (entity->name.size > 0) memcpy(bytes + at + 4, entity->name.data, entity->name.size);
        at += 4 + entity->name.size;
    }
    if (key.size > 0) memcpy(bytes + at, key.data, key.size);
    return slice_of(bytes, at + key.size);
}

static struct slice pack(uint8_t **next, struct slice s) {
    if (slice_is_null(s)) return s;
    struct slice copy = slice_of(*next, s.size);
    if (s.size > 0) memcpy(*next, s.data, s.size);
    *next += s.size;
    return copy;
}

static void put_quota(struct image *image, const struct quota_entity *entities, int32_t count,
                      struct slice key, struct slice quota, double value) {
    size_t size = key.size + quota.size;
    for (int32_t i = 0; i < count; i++)
        size += entities[i].type.size + entities[i].name.size;
    struct quota_item *item =
        memory_alloc(sizeof *item + (size_t)count * sizeof(struct quota_entity) + size);
    tree_item_init(&item->item, quota_free);
    struct quota_entity *copy = (struct quota_entity *)(item + 1);
    uint8_t *next = (uint8_t *)(copy + count);
    for (int32_t i = 0; i < count; i++) {
        copy[i].type = pack(&next, entities[i].type);
        copy[i].name = pack(&next, entities[i].name);
    }
    item->quota = (struct quota_image){copy, count, pack(&next, quota), value};
    item->key = pack(&next, key);
    tree_put(&image->quotas, item->key, &item->item);
}

static int compare_types(const void *a, const void *b) {
    return slice_compare(((const struct quota_entity *)a)->type,
                         ((const struct quota_entity *)b)->type);
}

static void sort_entities(struct quota_entity *entities, int32_t count) {
    qsort(entities, (size_t)count, sizeof *entities, compare_types);
}

enum err image_apply_quota(struct image *image, const struct client_quota_record *record,
                           struct message *error) {
    if (record->entity_count <= 0) {
        message_set(error, "a client quota has no entity");
        return ERR_INVALID;
    }
    struct arena arena;
    arena_init(&arena);
    struct quota_entity *entities =
        arena_zalloc(&arena, (size_t)record->entity_count, sizeof *entities);
    for (int32_t i = 0; i < record->entity_count; i++) {
        entities[i] =
            (struct quota_entity){record->entity[i].entity_type, record->entity[i].entity_name};
    }
    sort_entities(entities, record->entity_count);
    struct slice key = quota_key(entities, record->entity_count, record->key, &arena);
    if (record->remove) {
        tree_remove(&image->quotas, key);
    } else {
        put_quota(image, entities, record->entity_count, key, record->key, record->value);
    }
    arena_deinit(&arena);
    return ERR_NONE;
}

const struct quota_image *image_quota(const struct image *image,
                                      const struct quota_entity *entities, int32_t count,
                                      struct slice key) {
    struct arena arena;
    arena_init(&arena);
    struct quota_entity *sorted = arena_zalloc(&arena, (size_t)count, sizeof *sorted);
    if (count > 0) memcpy(sorted, entities, (size_t)count * sizeof *sorted);
    sort_entities(sorted, count);
    struct tree_item *item = tree_get(image->quotas, quota_key(sorted, count, key, &arena));
    arena_deinit(&arena);
    return item == NULL ? NULL : &container_of(item, struct quota_item, item)->quota;
}

const struct quota_image *image_quota_after(const struct image *image,
                                            const struct quota_image *previous) {
    struct slice key =
        previous == NULL ? SLICE_NULL : container_of(previous, struct quota_item, quota)->key;
    const struct tree_node *node = tree_after(image->quotas, key);
    return node == NULL ? NULL : &container_of(node->item, struct quota_item, item)->quota;
}

int64_t image_next_producer_id(const struct image *image) {
    return MAX(image->next_producer_id, 0);
}

// ---- Kept records ----

static void kept_free(struct tree_item *item) {
    memory_free(container_of(item, struct kept_item, item));
}

static struct slice scram_key(int8_t mechanism, struct slice name, struct arena *arena) {
    return config_resource_key((enum config_resource_type)(uint8_t)mechanism, name, arena);
}

// Where a record is kept, and whether it takes away.
static struct slice kept_key(enum metadata_record_type type, const void *record,
                             enum kept_kind *kind, bool *removes, struct arena *arena) {
    *removes = false;
    switch ((int)type) {
        case METADATA_REMOVE_ACCESS_CONTROL_ENTRY: {
            const struct remove_access_control_entry_record *acl = record;
            *removes = true;
            *kind = KEPT_ACL;
            return slice_of(acl->id.bytes, sizeof acl->id.bytes);
        }
        case METADATA_ACCESS_CONTROL_ENTRY: {
            const struct access_control_entry_record *acl = record;
            *kind = KEPT_ACL;
            return slice_of(acl->id.bytes, sizeof acl->id.bytes);
        }
        case METADATA_REMOVE_USER_SCRAM_CREDENTIAL: {
            const struct remove_user_scram_credential_record *scram = record;
            *removes = true;
            *kind = KEPT_SCRAM;
            return scram_key(scram->mechanism, scram->name, arena);
        }
        case METADATA_USER_SCRAM_CREDENTIAL: {
            const struct user_scram_credential_record *scram = record;
            *kind = KEPT_SCRAM;
            return scram_key(scram->mechanism, scram->name, arena);
        }
        case METADATA_REMOVE_DELEGATION_TOKEN:
            *removes = true;
            *kind = KEPT_TOKEN;
            return ((const struct remove_delegation_token_record *)record)->token_id;
        default:
            *kind = KEPT_TOKEN;
            return ((const struct delegation_token_record *)record)->token_id;
    }
}

enum err image_apply_kept(struct image *image, enum metadata_record_type type, const void *record,
                          struct message *error) {
    struct arena arena;
    arena_init(&arena);
    enum kept_kind kind;
    bool removes;
    enum err err = ERR_NONE;
    struct slice key = kept_key(type, record, &kind, &removes, &arena);
    if (removes) {
        // Kafka removes tokens that are gone already without complaint.
        if (!tree_remove(&image->kept[kind], key) && kind != KEPT_TOKEN) {
            message_set(error, "%s names something that is not there",
                        codec_name(metadata_record_codec((int32_t)type)));
            err = ERR_INVALID;
        }
        goto out;
    }
    struct slice bytes;
    struct metadata_record framed = {type, 0, (void *)(uintptr_t)record};
    err = metadata_record_frame(&framed, &arena, &bytes, error);
    if (err != ERR_NONE) goto out;
    struct kept_item *item = memory_alloc(sizeof *item + key.size + bytes.size);
    tree_item_init(&item->item, kept_free);
    uint8_t *next = item->data;
    item->key = pack(&next, key);
    item->bytes = pack(&next, bytes);
    tree_put(&image->kept[kind], item->key, &item->item);
out:
    arena_deinit(&arena);
    return err;
}

bool image_kept_after(const struct image *image, enum metadata_record_type type, struct slice key,
                      struct slice *next_key, struct slice *bytes) {
    enum kept_kind kind = type == METADATA_ACCESS_CONTROL_ENTRY    ? KEPT_ACL
                          : type == METADATA_USER_SCRAM_CREDENTIAL ? KEPT_SCRAM
                                                                   : KEPT_TOKEN;
    const struct tree_node *node = tree_after(image->kept[kind], key);
    if (node == NULL) return false;
    const struct kept_item *item = container_of(node->item, struct kept_item, item);
    *next_key = item->key;
    *bytes = item->bytes;
    return true;
}
