// The root of an image: references, dispatch of records, metadata transactions.
//
// Inside a metadata transaction (KIP-868) records are applied as they come, and the image before it
// is held: an abort goes back to it, readers see it until the end.
#include "metadata/image.h"

#include "base/assert.h"
#include "base/memory.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"

#define TREE_COUNT (8 + KEPT_COUNT)

static void trees_of(struct image *image, struct tree_node **trees[TREE_COUNT]) {
    struct tree_node **all[] = {&image->features, &image->brokers,   &image->controllers,
                                &image->topics,   &image->topic_ids, &image->collisions,
                                &image->configs,  &image->quotas};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        trees[i] = all[i];
    for (size_t i = 0; i < KEPT_COUNT; i++)
        trees[COUNT_OF(all) + i] = &image->kept[i];
}

struct image *image_new(void) {
    struct image *image = memory_zalloc(1, sizeof *image);
    image->references = 1;
    image->offset = -1;
    image->zk_migration_state = -1;
    image->next_producer_id = -1;
    image->transaction_offset = -1;
    return image;
}

struct image *image_ref(struct image *image) {
    image->references++;
    return image;
}

void image_unref(struct image *image) {
    if (image == NULL) return;
    assert(image->references > 0);
    if (--image->references > 0) return;
    struct tree_node **trees[TREE_COUNT];
    trees_of(image, trees);
    for (size_t i = 0; i < TREE_COUNT; i++)
        tree_unref(*trees[i]);
    image_unref(image->transaction_base);
    memory_free(image);
}

static struct image *copy_root(const struct image *image) {
    struct image *copy = memory_alloc(sizeof *copy);
    *copy = *image;
    copy->references = 1;
    struct tree_node **trees[TREE_COUNT];
    trees_of(copy, trees);
    for (size_t i = 0; i < TREE_COUNT; i++)
        tree_ref(*trees[i]);
    if (copy->transaction_base != NULL) image_ref(copy->transaction_base);
    return copy;
}

int64_t image_offset(const struct image *image) {
    return image->offset;
}
int32_t image_epoch(const struct image *image) {
    return image->epoch;
}
int64_t image_transaction_offset(const struct image *image) {
    return image->transaction_offset;
}

struct image *image_stable(struct image *image) {
    return image->transaction_base != NULL ? image->transaction_base : image;
}

// ---- Transactions ----

static enum err begin_transaction(struct image **image, int64_t offset, struct message *error) {
    if ((*image)->transaction_base != NULL) {
        message_set(error, "a metadata transaction begins inside the one that began at offset %lld",
                    (long long)(*image)->transaction_offset);
        return ERR_INVALID;
    }
    struct image *inside = copy_root(*image);
    inside->transaction_base = *image;
    inside->transaction_offset = offset;
    *image = inside;
    return ERR_NONE;
}

static enum err end_transaction(struct image *image, struct message *error) {
    if (image->transaction_base == NULL) {
        message_set(error, "a metadata transaction ends that never began");
        return ERR_INVALID;
    }
    image_unref(image->transaction_base);
    image->transaction_base = NULL;
    image->transaction_offset = -1;
    return ERR_NONE;
}

static enum err abort_transaction(struct image **image, struct message *error) {
    if ((*image)->transaction_base == NULL) {
        message_set(error, "a metadata transaction is aborted that never began");
        return ERR_INVALID;
    }
    struct image *base = copy_root((*image)->transaction_base);
    image_unref(*image);
    *image = base;
    return ERR_NONE;
}

// ---- Records ----

static enum err apply_producer_ids(struct image *image, const struct producer_ids_record *record,
                                   struct message *error) {
    if (record->next_producer_id <= image->next_producer_id && image->next_producer_id > 0) {
        message_set(error, "next producer id %lld is not above %lld",
                    (long long)record->next_producer_id, (long long)image->next_producer_id);
        return ERR_INVALID;
    }
    image->next_producer_id = record->next_producer_id;
    return ERR_NONE;
}

static enum err apply_inside(struct image *image, enum metadata_record_type type,
                             const void *record, struct message *error) {
    switch (type) {
        case METADATA_TOPIC:
            return image_apply_topic(image, record, error);
        case METADATA_PARTITION:
            return image_apply_partition(image, record, error);
        case METADATA_PARTITION_CHANGE:
            return image_apply_partition_change(image, record, error);
        case METADATA_REMOVE_TOPIC:
            return image_apply_remove_topic(image, record, error);
        case METADATA_CLEAR_ELR:
            return image_apply_clear_elr(image, record, error);
        case METADATA_REGISTER_BROKER:
        case METADATA_UNREGISTER_BROKER:
        case METADATA_FENCE_BROKER:
        case METADATA_UNFENCE_BROKER:
        case METADATA_BROKER_REGISTRATION_CHANGE:
        case METADATA_REGISTER_CONTROLLER:
        case METADATA_UNREGISTER_CONTROLLER:
            return image_apply_cluster(image, type, record, error);
        case METADATA_CONFIG:
            return image_apply_config(image, record);
        case METADATA_FEATURE_LEVEL:
            return image_apply_feature_level(image, record, error);
        case METADATA_CLIENT_QUOTA:
            return image_apply_quota(image, record, error);
        case METADATA_PRODUCER_IDS:
            return apply_producer_ids(image, record, error);
        case METADATA_ACCESS_CONTROL_ENTRY:
        case METADATA_REMOVE_ACCESS_CONTROL_ENTRY:
        case METADATA_USER_SCRAM_CREDENTIAL:
        case METADATA_REMOVE_USER_SCRAM_CREDENTIAL:
        case METADATA_DELEGATION_TOKEN:
        case METADATA_REMOVE_DELEGATION_TOKEN:
            return image_apply_kept(image, type, record, error);
        case METADATA_ZK_MIGRATION_STATE:
            image->zk_migration_state =
                ((const struct zk_migration_state_record *)record)->zk_migration_state;
            return ERR_NONE;
        case METADATA_NO_OP:
            return ERR_NONE;
        case METADATA_END_TRANSACTION:
            return end_transaction(image, error);
        case METADATA_BEGIN_TRANSACTION:
        case METADATA_ABORT_TRANSACTION:
            break;  // handled by image_apply: they change the root
    }
    message_set(error, "metadata record type %d is not known", (int)type);
    return ERR_INVALID;
}

enum err image_apply(struct image **image, enum metadata_record_type type, const void *record,
                     int64_t offset, int32_t epoch, struct message *error) {
    enum err err;
    if (type == METADATA_BEGIN_TRANSACTION) {
        err = begin_transaction(image, offset, error);
    } else if (type == METADATA_ABORT_TRANSACTION) {
        err = abort_transaction(image, error);
    } else {
        if ((*image)->references > 1) {
            struct image *copy = copy_root(*image);
            err = apply_inside(copy, type, record, error);
            image_unref(err == ERR_NONE ? *image : copy);
            if (err == ERR_NONE) *image = copy;
        } else {
            err = apply_inside(*image, type, record, error);
        }
    }
    if (err != ERR_NONE) return err;
    (*image)->offset = offset;
    (*image)->epoch = epoch;
    return ERR_NONE;
}
