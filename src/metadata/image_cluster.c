// Brokers and controllers of an image. A registration is one item with an arena; every change makes
// a new item.
#include "base/memory.h"
#include "metadata/image_internal.h"

// ---- Items ----

static const struct endpoint_image *copy_endpoints(struct arena *arena,
                                                   const struct endpoint_image *from,
                                                   int32_t count) {
    struct endpoint_image *copy = arena_zalloc(arena, (size_t)count, sizeof *copy);
    for (int32_t i = 0; i < count; i++) {
        copy[i] = from[i];
        copy[i].name = arena_copy(arena, from[i].name);
        copy[i].host = arena_copy(arena, from[i].host);
    }
    return copy;
}

static const struct feature_range *copy_features(struct arena *arena,
                                                 const struct feature_range *from, int32_t count) {
    struct feature_range *copy = arena_zalloc(arena, (size_t)count, sizeof *copy);
    for (int32_t i = 0; i < count; i++) {
        copy[i] = from[i];
        copy[i].name = arena_copy(arena, from[i].name);
    }
    return copy;
}

static const struct uuid *copy_uuids(struct arena *arena, const struct uuid *from, int32_t count) {
    if (count <= 0) return NULL;
    struct uuid *copy = arena_zalloc(arena, (size_t)count, sizeof *copy);
    memcpy(copy, from, (size_t)count * sizeof *copy);
    return copy;
}

static void broker_free(struct tree_item *item) {
    struct broker_item *broker = container_of(item, struct broker_item, item);
    arena_deinit(&broker->arena);
    memory_free(broker);
}

// Puts a copy of everything that `view` points to.
static void put_broker(struct image *image, const struct broker_image *view) {
    struct broker_item *item = memory_zalloc(1, sizeof *item);
    tree_item_init(&item->item, broker_free);
    arena_init(&item->arena);
    item->key = id_key_of(view->id);
    struct broker_image *b = &item->broker;
    *b = *view;
    b->rack = arena_copy(&item->arena, view->rack);
    b->endpoints = copy_endpoints(&item->arena, view->endpoints, view->endpoint_count);
    b->features = copy_features(&item->arena, view->features, view->feature_count);
    b->directories = copy_uuids(&item->arena, view->directories, view->directory_count);
    b->cordoned_directories =
        copy_uuids(&item->arena, view->cordoned_directories, view->cordoned_count);
    tree_put(&image->brokers, id_key_slice(&item->key), &item->item);
}

static void controller_free(struct tree_item *item) {
    struct controller_item *controller = container_of(item, struct controller_item, item);
    arena_deinit(&controller->arena);
    memory_free(controller);
}

// ---- Records ----

static enum err register_broker(struct image *image, const struct register_broker_record *record,
                                struct message *error) {
    if (record->broker_id < 0) {
        message_set(error, "a broker registers with id %d", record->broker_id);
        return ERR_INVALID;
    }
    struct arena arena;
    arena_init(&arena);
    struct endpoint_image *endpoints =
        arena_zalloc(&arena, (size_t)record->end_points_count, sizeof *endpoints);
    for (int32_t i = 0; i < record->end_points_count; i++) {
        const struct register_broker_record_end_point *from = &record->end_points[i];
        endpoints[i] =
            (struct endpoint_image){from->name, from->host, from->port, from->security_protocol};
    }
    struct feature_range *features =
        arena_zalloc(&arena, (size_t)record->features_count, sizeof *features);
    for (int32_t i = 0; i < record->features_count; i++) {
        const struct register_broker_record_feature *from = &record->features[i];
        features[i] = (struct feature_range){from->name, from->min_supported_version,
                                             from->max_supported_version};
    }
    struct broker_image view = {
        .id = record->broker_id,
        .epoch = record->broker_epoch,
        .incarnation_id = record->incarnation_id,
        .rack = record->rack,
        .is_migrating_zk_broker = record->is_migrating_zk_broker,
        .fenced = record->fenced,
        .in_controlled_shutdown = record->in_controlled_shutdown,
        .endpoints = endpoints,
        .endpoint_count = record->end_points_count,
        .features = features,
        .feature_count = record->features_count,
        .directories = record->log_dirs,
        .directory_count = record->log_dirs_count,
        .cordoned_directories = record->cordoned_log_dirs,
        .cordoned_count = record->cordoned_log_dirs_count,
    };
    put_broker(image, &view);
    arena_deinit(&arena);
    return ERR_NONE;
}

static enum err find_broker(const struct image *image, int32_t id, int64_t epoch,
                            const struct broker_image **broker, struct message *error) {
    *broker = image_broker(image, id);
    if (*broker == NULL) {
        message_set(error, "broker %d changes and is not registered", id);
        return ERR_INVALID;
    }
    if ((*broker)->epoch != epoch) {
        message_set(error, "broker %d changes with epoch %lld and is registered with %lld", id,
                    (long long)epoch, (long long)(*broker)->epoch);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err set_fenced(struct image *image, int32_t id, int64_t epoch, bool fenced,
                           struct message *error) {
    const struct broker_image *broker;
    enum err err = find_broker(image, id, epoch, &broker, error);
    if (err != ERR_NONE) return err;
    struct broker_image view = *broker;
    view.fenced = fenced;
    put_broker(image, &view);
    return ERR_NONE;
}

static enum err change_registration(struct image *image,
                                    const struct broker_registration_change_record *record,
                                    struct message *error) {
    const struct broker_image *broker;
    enum err err = find_broker(image, record->broker_id, record->broker_epoch, &broker, error);
    if (err != ERR_NONE) return err;
    if (record->fenced < -1 || record->fenced > 1 || record->in_controlled_shutdown < 0 ||
        record->in_controlled_shutdown > 1) {
        message_set(error, "broker %d changes with fenced %d and inControlledShutdown %d",
                    broker->id, record->fenced, record->in_controlled_shutdown);
        return ERR_INVALID;
    }
    struct broker_image view = *broker;
    if (record->fenced != 0) view.fenced = record->fenced > 0;
    if (record->in_controlled_shutdown != 0) view.in_controlled_shutdown = true;
    if (record->log_dirs_count > 0) {
        view.directories = record->log_dirs;
        view.directory_count = record->log_dirs_count;
    }
    if (record->cordoned_log_dirs_count >= 0) {
        view.cordoned_directories = record->cordoned_log_dirs;
        view.cordoned_count = record->cordoned_log_dirs_count;
    }
    put_broker(image, &view);
    return ERR_NONE;
}

static enum err unregister_broker(struct image *image,
                                  const struct unregister_broker_record *record,
                                  struct message *error) {
    const struct broker_image *broker;
    enum err err = find_broker(image, record->broker_id, record->broker_epoch, &broker, error);
    if (err != ERR_NONE) return err;
    struct id_key key = id_key_of(record->broker_id);
    tree_remove(&image->brokers, id_key_slice(&key));
    return ERR_NONE;
}

static enum err register_controller(struct image *image,
                                    const struct register_controller_record *record,
                                    struct message *error) {
    if (record->controller_id < 0) {
        message_set(error, "a controller registers with id %d", record->controller_id);
        return ERR_INVALID;
    }
    struct controller_item *item = memory_zalloc(1, sizeof *item);
    tree_item_init(&item->item, controller_free);
    arena_init(&item->arena);
    item->key = id_key_of(record->controller_id);
    struct endpoint_image *endpoints =
        arena_zalloc(&item->arena, (size_t)record->end_points_count, sizeof *endpoints);
    for (int32_t i = 0; i < record->end_points_count; i++) {
        const struct register_controller_record_end_point *from = &record->end_points[i];
        endpoints[i] = (struct endpoint_image){arena_copy(&item->arena, from->name),
                                               arena_copy(&item->arena, from->host), from->port,
                                               from->security_protocol};
    }
    struct feature_range *features =
        arena_zalloc(&item->arena, (size_t)record->features_count, sizeof *features);
    for (int32_t i = 0; i < record->features_count; i++) {
        const struct register_controller_record_feature *from = &record->features[i];
        features[i] =
            (struct feature_range){arena_copy(&item->arena, from->name),
                                   from->min_supported_version, from->max_supported_version};
    }
    item->controller = (struct controller_image){
        .id = record->controller_id,
        .zk_migration_ready = record->zk_migration_ready,
        .incarnation_id = record->incarnation_id,
        .endpoints = endpoints,
        .endpoint_count = record->end_points_count,
        .features = features,
        .feature_count = record->features_count,
    };
    tree_put(&image->controllers, id_key_slice(&item->key), &item->item);
    return ERR_NONE;
}

static enum err unregister_controller(struct image *image,
                                      const struct unregister_controller_record *record,
                                      struct message *error) {
    struct id_key key = id_key_of(record->controller_id);
    if (tree_remove(&image->controllers, id_key_slice(&key))) return ERR_NONE;
    message_set(error, "controller %d is unregistered and was not registered",
                record->controller_id);
    return ERR_INVALID;
}

enum err image_apply_cluster(struct image *image, enum metadata_record_type type,
                             const void *record, struct message *error) {
    if (type == METADATA_REGISTER_BROKER) return register_broker(image, record, error);
    if (type == METADATA_UNREGISTER_BROKER) return unregister_broker(image, record, error);
    if (type == METADATA_REGISTER_CONTROLLER) return register_controller(image, record, error);
    if (type == METADATA_UNREGISTER_CONTROLLER) return unregister_controller(image, record, error);
    if (type == METADATA_FENCE_BROKER) {
        const struct fence_broker_record *fence = record;
        return set_fenced(image, fence->id, fence->epoch, true, error);
    }
    if (type == METADATA_UNFENCE_BROKER) {
        const struct unfence_broker_record *unfence = record;
        return set_fenced(image, unfence->id, unfence->epoch, false, error);
    }
    return change_registration(image, record, error);
}

// ---- Reading ----

static const struct broker_image *broker_of(const struct tree_item *item) {
    return item == NULL ? NULL : &container_of(item, struct broker_item, item)->broker;
}

static const struct controller_image *controller_of(const struct tree_item *item) {
    return item == NULL ? NULL : &container_of(item, struct controller_item, item)->controller;
}

// -1 as the key before all: the null slice.
static struct slice after_key(int32_t id, struct id_key *key) {
    if (id < 0) return SLICE_NULL;
    *key = id_key_of(id);
    return id_key_slice(key);
}

const struct broker_image *image_broker(const struct image *image, int32_t id) {
    struct id_key key = id_key_of(id);
    return broker_of(tree_get(image->brokers, id_key_slice(&key)));
}

const struct broker_image *image_broker_after(const struct image *image, int32_t id) {
    struct id_key key;
    const struct tree_node *node = tree_after(image->brokers, after_key(id, &key));
    return node == NULL ? NULL : broker_of(node->item);
}

const struct controller_image *image_controller(const struct image *image, int32_t id) {
    struct id_key key = id_key_of(id);
    return controller_of(tree_get(image->controllers, id_key_slice(&key)));
}

const struct controller_image *image_controller_after(const struct image *image, int32_t id) {
    struct id_key key;
    const struct tree_node *node = tree_after(image->controllers, after_key(id, &key));
    return node == NULL ? NULL : controller_of(node->item);
}

const struct endpoint_image *broker_endpoint(const struct broker_image *broker,
                                             struct slice listener_name) {
    for (int32_t i = 0; i < broker->endpoint_count; i++) {
        if (slice_equal(broker->endpoints[i].name, listener_name)) return &broker->endpoints[i];
    }
    return NULL;
}
