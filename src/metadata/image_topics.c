// Topics and partitions of an image.
//
// A topic is an array of pointers to partitions; each partition is one refcounted block that never
// changes. A change of a partition makes a new block, and a new array when another image sees the
// old one. Topics are in the tree of names; the tree of ids leads to the name.
#include "base/assert.h"
#include "base/memory.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "metadata/topic_name.h"

// ---- Partitions ----

static void partition_ref(const struct partition_image *partition) {
    if (partition == NULL) return;
    container_of(partition, struct partition_item, partition)->references++;
}

static void partition_unref(const struct partition_image *partition) {
    if (partition == NULL) return;
    struct partition_item *item = container_of(partition, struct partition_item, partition);
    if (--item->references == 0) memory_free(item);
}

static const int32_t *copy_ids(int32_t **next, const int32_t *ids, int32_t *count) {
    if (*count <= 0) {
        *count = 0;
        return NULL;
    }
    int32_t *copy = *next;
    memcpy(copy, ids, (size_t)*count * sizeof *ids);
    *next += *count;
    return copy;
}

// One block with a copy of everything that `from` points to. No directories: Kafka's "migrating".
static const struct partition_image *partition_new(const struct partition_image *from,
                                                   int32_t directory_count) {
    struct partition_image p = *from;
    size_t ids = (size_t)MAX(p.replica_count, 0) + (size_t)MAX(p.isr_count, 0) +
                 (size_t)MAX(p.adding_count, 0) + (size_t)MAX(p.removing_count, 0) +
                 (size_t)MAX(p.elr_count, 0) + (size_t)MAX(p.last_known_elr_count, 0);
    size_t uuids = (size_t)MAX(p.replica_count, 0);
    struct partition_item *item =
        memory_alloc(sizeof *item + uuids * sizeof(struct uuid) + ids * sizeof(int32_t));
    struct uuid *directories = (struct uuid *)(item + 1);
    int32_t *next = (int32_t *)(void *)(directories + uuids);
    p.replicas = copy_ids(&next, p.replicas, &p.replica_count);
    p.isr = copy_ids(&next, p.isr, &p.isr_count);
    p.adding_replicas = copy_ids(&next, p.adding_replicas, &p.adding_count);
    p.removing_replicas = copy_ids(&next, p.removing_replicas, &p.removing_count);
    p.elr = copy_ids(&next, p.elr, &p.elr_count);
    p.last_known_elr = copy_ids(&next, p.last_known_elr, &p.last_known_elr_count);
    for (int32_t i = 0; i < p.replica_count; i++) {
        directories[i] = i < directory_count ? p.directories[i] : UUID_DIRECTORY_MIGRATING;
    }
    p.directories = directories;
    item->references = 1;
    item->partition = p;
    return &item->partition;
}

struct metadata_record partition_record_of(const struct partition_image *partition,
                                           struct uuid topic_id, int16_t metadata_version,
                                           struct arena *arena) {
    struct metadata_record record =
        metadata_record_new(METADATA_PARTITION, partition_record_version(metadata_version), arena);
    struct partition_record *p = record.message;
    p->partition_id = partition->partition;
    p->topic_id = topic_id;
    p->replicas = (int32_t *)(uintptr_t)partition->replicas;
    p->replicas_count = partition->replica_count;
    p->isr = (int32_t *)(uintptr_t)partition->isr;
    p->isr_count = partition->isr_count;
    p->removing_replicas = (int32_t *)(uintptr_t)partition->removing_replicas;
    p->removing_replicas_count = partition->removing_count;
    p->adding_replicas = (int32_t *)(uintptr_t)partition->adding_replicas;
    p->adding_replicas_count = partition->adding_count;
    p->leader = partition->leader;
    p->leader_recovery_state = partition->leader_recovery_state;
    p->leader_epoch = partition->leader_epoch;
    p->partition_epoch = partition->partition_epoch;
    if (metadata_version_has_directories(metadata_version)) {
        p->directories = (struct uuid *)(uintptr_t)partition->directories;
        p->directories_count = partition->replica_count;
    }
    if (metadata_version_has_elr(metadata_version)) {
        if (partition->elr_count > 0) {
            p->eligible_leader_replicas = (int32_t *)(uintptr_t)partition->elr;
            p->eligible_leader_replicas_count = partition->elr_count;
        }
        if (partition->last_known_elr_count > 0) {
            p->last_known_elr = (int32_t *)(uintptr_t)partition->last_known_elr;
            p->last_known_elr_count = partition->last_known_elr_count;
        }
    }
    return record;
}

// ---- Topics ----

static void topic_name_free(struct tree_item *item) {
    memory_free(container_of(item, struct topic_name, item));
}

static void topic_free(struct tree_item *item) {
    struct topic_item *topic = container_of(item, struct topic_item, item);
    for (int32_t i = 0; i < topic->topic.partition_count; i++)
        partition_unref(topic->slots[i]);
    memory_free(topic->slots);
    tree_item_unref(&topic->name->item);
    memory_free(topic);
}

static struct topic_item *topic_item_of(const struct topic_image *topic) {
    return container_of(topic, struct topic_item, topic);
}

// The topic as an item that only this image holds.
static struct topic_item *own_topic(struct image *image, const struct topic_image *topic) {
    struct tree_node *node = tree_own(&image->topics, topic->name);
    struct topic_item *old = container_of(node->item, struct topic_item, item);
    if (old->item.references == 1) return old;
    struct topic_item *copy = memory_alloc(sizeof *copy);
    *copy = *old;
    tree_item_init(&copy->item, topic_free);
    tree_item_ref(&copy->name->item);
    copy->slots = memory_alloc((size_t)old->capacity * sizeof *copy->slots);
    for (int32_t i = 0; i < old->topic.partition_count; i++) {
        copy->slots[i] = old->slots[i];
        partition_ref(copy->slots[i]);
    }
    copy->topic.partitions = copy->slots;
    tree_item_unref(node->item);
    node->item = &copy->item;
    return copy;
}

// Takes `partition`.
static void set_partition(struct image *image, const struct topic_image *topic,
                          const struct partition_image *partition) {
    struct topic_item *item = own_topic(image, topic);
    int32_t index = partition->partition;
    if (index >= item->topic.partition_count) {
        int32_t count = index + 1;
        if (count > item->capacity) {
            item->capacity = MAX(count, item->capacity * 2);
            item->slots = memory_realloc(item->slots, (size_t)item->capacity, sizeof *item->slots);
            item->topic.partitions = item->slots;
        }
        for (int32_t i = item->topic.partition_count; i < count; i++)
            item->slots[i] = NULL;
        item->topic.partition_count = count;
    }
    if (item->slots[index] == NULL) image->partition_count++;
    partition_unref(item->slots[index]);
    item->slots[index] = partition;
}

// ---- Names that collide ----

struct collision_item {
    struct tree_item item;
    struct slice key;
    uint8_t bytes[];
};

static void collision_free(struct tree_item *item) {
    memory_free(container_of(item, struct collision_item, item));
}

static bool has_collision_characters(struct slice name) {
    return name.size > 0 &&
           (memchr(name.data, '.', name.size) != NULL || memchr(name.data, '_', name.size) != NULL);
}

// Name with '.' as '_', then NUL. False when no other name can collide with it.
static bool collision_prefix(struct slice name, uint8_t prefix[TOPIC_NAME_MAX + 1]) {
    if (name.size > TOPIC_NAME_MAX || !has_collision_characters(name)) return false;
    for (size_t i = 0; i < name.size; i++) {
        prefix[i] = name.data[i] == '.' ? (uint8_t)'_' : name.data[i];
    }
    prefix[name.size] = 0;
    return true;
}

static void add_collision(struct image *image, struct slice name) {
    uint8_t prefix[TOPIC_NAME_MAX + 1];
    if (!collision_prefix(name, prefix)) return;
    size_t size = 2 * name.size + 1;
    struct collision_item *item = memory_alloc(sizeof *item + size);
    tree_item_init(&item->item, collision_free);
    memcpy(item->bytes, prefix, name.size + 1);
    memcpy(item->bytes + name.size + 1, name.data, name.size);
    item->key = slice_of(item->bytes, size);
    tree_put(&image->collisions, item->key, &item->item);
}

static void remove_collision(struct image *image, struct slice name) {
    uint8_t key[2 * TOPIC_NAME_MAX + 1];
    if (!collision_prefix(name, key)) return;
    memcpy(key + name.size + 1, name.data, name.size);
    tree_remove(&image->collisions, slice_of(key, 2 * name.size + 1));
}

const struct topic_image *image_topic_colliding(const struct image *image, struct slice name) {
    uint8_t bytes[TOPIC_NAME_MAX + 1];
    if (!collision_prefix(name, bytes)) return NULL;
    struct slice prefix = slice_of(bytes, name.size + 1);
    const struct tree_node *node = tree_from(image->collisions, prefix);
    for (; node != NULL && slice_starts_with(node->key, prefix);
         node = tree_after(image->collisions, node->key)) {
        struct slice other = slice_sub(node->key, prefix.size, node->key.size - prefix.size);
        if (!slice_equal(other, name)) return image_topic(image, other);
    }
    return NULL;
}

// ---- Records ----

static const char *text_of(struct uuid id, char text[UUID_TEXT_SIZE]) {
    return uuid_format(id, text);
}

enum err image_apply_topic(struct image *image, const struct topic_record *record,
                           struct message *error) {
    if (image_topic(image, record->name) != NULL ||
        image_topic_by_id(image, record->topic_id) != NULL) {
        char text[UUID_TEXT_SIZE];
        message_set(error, "topic %.*s with id %s is there already", SLICE_PRINT(record->name),
                    text_of(record->topic_id, text));
        return ERR_INVALID;
    }
    struct topic_name *name = memory_alloc(sizeof *name + record->name.size);
    tree_item_init(&name->item, topic_name_free);
    name->id = record->topic_id;
    if (record->name.size > 0) memcpy(name->bytes, record->name.data, record->name.size);
    name->name = slice_of(name->bytes, record->name.size);
    struct topic_item *item = memory_zalloc(1, sizeof *item);
    tree_item_init(&item->item, topic_free);
    item->topic.name = name->name;
    item->topic.id = name->id;
    item->name = name;
    tree_item_ref(&name->item);
    tree_put(&image->topic_ids, slice_of(name->id.bytes, sizeof name->id.bytes), &name->item);
    tree_put(&image->topics, name->name, &item->item);
    add_collision(image, name->name);
    image->topic_count++;
    return ERR_NONE;
}

// The topic of a partition record, or an error.
static enum err find_topic(const struct image *image, struct uuid id, int32_t partition,
                           const struct topic_image **topic, struct message *error) {
    char text[UUID_TEXT_SIZE];
    *topic = image_topic_by_id(image, id);
    if (*topic == NULL) {
        message_set(error, "partition %d of topic id %s: there is no such topic", partition,
                    text_of(id, text));
        return ERR_INVALID;
    }
    // One record is one partition: a number far beyond the others is damage, and would cost memory.
    if (partition < 0 || partition > (*topic)->partition_count + 1000000) {
        message_set(error, "partition %d of topic %.*s cannot be", partition,
                    SLICE_PRINT((*topic)->name));
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err check_directories(int32_t replicas, int32_t directories, struct message *error) {
    if (directories <= 0 || directories == replicas) return ERR_NONE;
    message_set(error, "a partition has %d replicas and %d directories", replicas, directories);
    return ERR_INVALID;
}

enum err image_apply_partition(struct image *image, const struct partition_record *record,
                               struct message *error) {
    const struct topic_image *topic;
    enum err err = find_topic(image, record->topic_id, record->partition_id, &topic, error);
    if (err != ERR_NONE) return err;
    err = check_directories(record->replicas_count, record->directories_count, error);
    if (err != ERR_NONE) return err;
    struct partition_image view = {
        .partition = record->partition_id,
        .leader = record->leader,
        .leader_epoch = record->leader_epoch,
        .partition_epoch = record->partition_epoch,
        .leader_recovery_state = record->leader_recovery_state,
        .replicas = record->replicas,
        .replica_count = record->replicas_count,
        .isr = record->isr,
        .isr_count = record->isr_count,
        .adding_replicas = record->adding_replicas,
        .adding_count = record->adding_replicas_count,
        .removing_replicas = record->removing_replicas,
        .removing_count = record->removing_replicas_count,
        .elr = record->eligible_leader_replicas,
        .elr_count = record->eligible_leader_replicas_count,
        .last_known_elr = record->last_known_elr,
        .last_known_elr_count = record->last_known_elr_count,
        .directories = record->directories,
    };
    set_partition(image, topic, partition_new(&view, record->directories_count));
    return ERR_NONE;
}

void partition_merge(struct partition_image *view, int32_t *directory_count,
                     const struct partition_change_record *record) {
    if (record->replicas_count >= 0) {
        view->replicas = record->replicas;
        view->replica_count = record->replicas_count;
    }
    if (record->directories_count >= 0) {
        view->directories = record->directories;
        *directory_count = record->directories_count;
    }
    if (record->isr_count >= 0) {
        view->isr = record->isr;
        view->isr_count = record->isr_count;
    }
    if (record->removing_replicas_count >= 0) {
        view->removing_replicas = record->removing_replicas;
        view->removing_count = record->removing_replicas_count;
    }
    if (record->adding_replicas_count >= 0) {
        view->adding_replicas = record->adding_replicas;
        view->adding_count = record->adding_replicas_count;
    }
    if (record->eligible_leader_replicas_count >= 0) {
        view->elr = record->eligible_leader_replicas;
        view->elr_count = record->eligible_leader_replicas_count;
    }
    if (record->last_known_elr_count >= 0) {
        view->last_known_elr = record->last_known_elr;
        view->last_known_elr_count = record->last_known_elr_count;
    }
    if (record->leader != PARTITION_LEADER_UNCHANGED) {
        view->leader = record->leader;
        view->leader_epoch++;
    }
    if (record->leader_recovery_state >= 0) {
        view->leader_recovery_state = record->leader_recovery_state;
    }
    view->partition_epoch++;
}

enum err image_apply_partition_change(struct image *image,
                                      const struct partition_change_record *record,
                                      struct message *error) {
    const struct topic_image *topic;
    enum err err = find_topic(image, record->topic_id, record->partition_id, &topic, error);
    if (err != ERR_NONE) return err;
    const struct partition_image *old = topic_partition(topic, record->partition_id);
    if (old == NULL) {
        message_set(error, "partition %d of topic %.*s changes before it is created",
                    record->partition_id, SLICE_PRINT(topic->name));
        return ERR_INVALID;
    }
    if (record->replicas_count >= 0) {
        err = check_directories(record->replicas_count, record->directories_count, error);
        if (err != ERR_NONE) return err;
    }
    if (old->partition_epoch == INT32_MAX || old->leader_epoch == INT32_MAX) {
        message_set(error, "partition %d of topic %.*s has no further epoch", record->partition_id,
                    SLICE_PRINT(topic->name));
        return ERR_INVALID;
    }
    struct partition_image view = *old;
    int32_t directory_count = old->replica_count;
    partition_merge(&view, &directory_count, record);
    set_partition(image, topic, partition_new(&view, directory_count));
    return ERR_NONE;
}

enum err image_apply_remove_topic(struct image *image, const struct remove_topic_record *record,
                                  struct message *error) {
    const struct topic_image *topic = image_topic_by_id(image, record->topic_id);
    if (topic == NULL) {
        char text[UUID_TEXT_SIZE];
        message_set(error, "topic id %s is removed and is not there",
                    text_of(record->topic_id, text));
        return ERR_INVALID;
    }
    for (int32_t i = 0; i < topic->partition_count; i++) {
        if (topic->partitions[i] != NULL) image->partition_count--;
    }
    struct topic_name *name = topic_item_of(topic)->name;
    tree_item_ref(&name->item);
    image_remove_config_resource(image, CONFIG_RESOURCE_TOPIC, name->name);
    remove_collision(image, name->name);
    tree_remove(&image->topics, name->name);
    tree_remove(&image->topic_ids, slice_of(name->id.bytes, sizeof name->id.bytes));
    tree_item_unref(&name->item);
    image->topic_count--;
    return ERR_NONE;
}

static void clear_elr(struct image *image, const struct topic_image *topic) {
    struct slice name = topic->name;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct partition_image *old = topic->partitions[i];
        if (old == NULL || (old->elr_count == 0 && old->last_known_elr_count == 0)) continue;
        if (old->partition_epoch == INT32_MAX) continue;
        struct partition_image view = *old;
        view.elr_count = 0;
        view.last_known_elr_count = 0;
        view.partition_epoch++;
        set_partition(image, topic, partition_new(&view, old->replica_count));
        topic = image_topic(image, name);
    }
}

enum err image_apply_clear_elr(struct image *image, const struct clear_elr_record *record,
                               struct message *error) {
    if (record->topic_name.size > 0) {
        const struct topic_image *topic = image_topic(image, record->topic_name);
        if (topic == NULL) {
            message_set(error,
                        "the eligible leaders of topic %.*s are cleared, and it is not there",
                        SLICE_PRINT(record->topic_name));
            return ERR_INVALID;
        }
        clear_elr(image, topic);
        return ERR_NONE;
    }
    const struct topic_image *topic = image_topic_after(image, SLICE_NULL);
    while (topic != NULL) {
        struct slice name = topic->name;  // lives in the tree of ids
        clear_elr(image, topic);
        topic = image_topic_after(image, name);
    }
    return ERR_NONE;
}

// ---- Reading ----

static const struct topic_image *topic_of(const struct tree_node *node) {
    return node == NULL ? NULL : &container_of(node->item, struct topic_item, item)->topic;
}

const struct topic_image *image_topic(const struct image *image, struct slice name) {
    struct tree_item *item = tree_get(image->topics, name);
    return item == NULL ? NULL : &container_of(item, struct topic_item, item)->topic;
}

const struct topic_image *image_topic_by_id(const struct image *image, struct uuid id) {
    struct tree_item *item = tree_get(image->topic_ids, slice_of(id.bytes, sizeof id.bytes));
    if (item == NULL) return NULL;
    return image_topic(image, container_of(item, struct topic_name, item)->name);
}

int32_t image_topic_count(const struct image *image) {
    return image->topic_count;
}
int64_t image_partition_count(const struct image *image) {
    return image->partition_count;
}

const struct topic_image *image_topic_after(const struct image *image, struct slice name) {
    return topic_of(tree_after(image->topics, name));
}

const struct partition_image *topic_partition(const struct topic_image *topic, int32_t partition) {
    if (partition < 0 || partition >= topic->partition_count) return NULL;
    return topic->partitions[partition];
}
