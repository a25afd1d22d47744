#include "replica/replica_manager.h"

#include "base/assert.h"
#include "base/memory.h"
#include "metadata/image_diff.h"
#include "replica/manager_state.h"

struct replica_manager *replica_manager_new(const struct replica_options *options) {
    struct replica_manager *manager = memory_zalloc(1, sizeof *manager);
    manager->env = options->env;
    manager->host = options->host;
    manager->reactor = options->reactor;
    manager->reactor_count = options->reactor_count;
    manager->node_id = options->node_id;
    manager->directories = options->directories;
    manager->directory_count = options->directory_count;
    manager->directory_partitions =
        memory_zalloc((size_t)options->directory_count, sizeof *manager->directory_partitions);
    manager->checkpoints = options->checkpoints;
    map_init(&manager->topics, env_random(options->env));
    list_init(&manager->partitions);
    list_init(&manager->retired);
    list_init(&manager->deletions);
    replica_timers_init(manager);
    return manager;
}

static void free_partition_and_log(struct partition *partition) {
    partition_fail_waiters(partition, ERR_NOT_LEADER_OR_FOLLOWER);
    if (partition->log != NULL) log_free(partition->log);
    partition_free(partition);
}

static void free_topic(struct replica_manager *manager, struct replica_topic *topic) {
    map_remove(&manager->topics, &topic->by_id);
    memory_free((void *)(uintptr_t)topic->name.data);
    memory_free(topic->partitions);
    memory_free(topic);
}

void replica_manager_free(struct replica_manager *manager) {
    replica_timers_stop(manager);
    list_for_each_safe(link, &manager->partitions) {
        free_partition_and_log(container_of(link, struct partition, link));
    }
    list_for_each_safe(link, &manager->retired) {
        free_partition_and_log(container_of(link, struct partition, link));
    }
    map_for_each(node, &manager->topics) {
        free_topic(manager, container_of(node, struct replica_topic, by_id));
    }
    map_deinit(&manager->topics);
    memory_free(manager->directory_partitions);
    memory_free(manager);
}

// ---- Finding ----

struct replica_topic *replica_topic_of(const struct replica_manager *manager,
                                       struct uuid topic_id) {
    struct map_node *node =
        map_get(&manager->topics, slice_of(topic_id.bytes, sizeof topic_id.bytes));
    return node == NULL ? NULL : container_of(node, struct replica_topic, by_id);
}

struct list *replica_partitions(struct replica_manager *manager) {
    return &manager->partitions;
}

int32_t replica_partition_count(const struct replica_manager *manager) {
    return manager->partition_count;
}

struct log_directory *replica_directory(const struct replica_manager *manager, int32_t index) {
    return manager->directories[index];
}

int32_t replica_directory_count(const struct replica_manager *manager) {
    return manager->directory_count;
}

// ---- Topics ----

static struct replica_topic *topic_of_image(struct replica_manager *manager,
                                            const struct topic_image *image) {
    struct replica_topic *topic = replica_topic_of(manager, image->id);
    if (topic == NULL) {
        topic = memory_zalloc(1, sizeof *topic);
        topic->id = image->id;
        uint8_t *name = memory_alloc(image->name.size);
        memcpy(name, image->name.data, image->name.size);
        topic->name = slice_of(name, image->name.size);
        map_put(&manager->topics, &topic->by_id, slice_of(topic->id.bytes, sizeof topic->id.bytes));
    }
    if (image->partition_count > topic->partition_count) {
        size_t old = (size_t)topic->partition_count, new = (size_t)image->partition_count;
        topic->partitions = memory_realloc(topic->partitions, new, sizeof *topic->partitions);
        memset(topic->partitions + old, 0, (new - old) * sizeof *topic->partitions);
        topic->partition_count = image->partition_count;
    }
    return topic;
}

void replica_topic_release(struct replica_topic *topic, struct partition *partition) {
    topic->partitions[partition->index] = NULL;
    partition->manager->partition_count--;
    partition->manager->directory_partitions[partition->directory]--;
    if (--topic->owned == 0) free_topic(partition->manager, topic);
}

// ---- From image to image ----

struct apply_context {
    struct replica_manager *manager;
    const struct image *after;
    const struct topic_image *topic;  // of `after`; NULL: deleted
    struct uuid topic_id;
    struct log_config settings;
    int32_t min_insync_replicas;
    bool has_settings;
};

static bool is_replica(const struct partition_image *image, int32_t node_id) {
    for (int32_t i = 0; i < image->replica_count; i++) {
        if (image->replicas[i] == node_id) return true;
    }
    return false;
}

static const struct log_config *settings_of(struct apply_context *context) {
    if (!context->has_settings) {
        log_settings_of(context->manager->config, context->after, context->topic->name,
                        &context->settings, &context->min_insync_replicas);
        context->has_settings = true;
    }
    return &context->settings;
}

static void set_leader(struct partition *partition, const struct partition_image *image) {
    partition->isr_count = image->isr_count;
    partition->replica_count = image->replica_count;
    bool leads = image->leader == partition->manager->node_id;
    partition_set_leader(partition, leads, image->leader_epoch);
}

static void create_partition(struct apply_context *context, int32_t index,
                             const struct partition_image *image) {
    struct replica_manager *manager = context->manager;
    const struct log_config *settings = settings_of(context);
    struct replica_topic *topic = topic_of_image(manager, context->topic);
    topic->min_insync_replicas = context->min_insync_replicas;
    struct partition *partition = partition_new(manager, topic, index);
    topic->partitions[index] = partition;
    topic->owned++;
    list_append(&manager->partitions, &partition->link);
    manager->partition_count++;
    set_leader(partition, image);
    partition_open_start(partition, image, settings);
}

static void partition_changed(void *opaque, int32_t index, const struct partition_image *before,
                              const struct partition_image *after) {
    struct apply_context *context = opaque;
    struct replica_manager *manager = context->manager;
    (void)before;
    if (replica_owner_of(context->topic_id, index, manager->reactor_count) != manager->reactor)
        return;
    struct partition *partition = replica_find(manager, context->topic_id, index);
    bool is_ours = after != NULL && is_replica(after, manager->node_id);
    if (!is_ours) {
        if (partition != NULL) {
            enum err error =
                after == NULL ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_NOT_LEADER_OR_FOLLOWER;
            partition_retire(partition, error);
        }
    } else if (partition == NULL) {
        create_partition(context, index, after);
    } else {
        set_leader(partition, after);
    }
}

static void topic_changed(void *opaque, const struct topic_image *before,
                          const struct topic_image *after) {
    struct apply_context *context = opaque;
    context->topic = after;
    context->topic_id = after != NULL ? after->id : before->id;
    context->has_settings = false;
    topic_diff_partitions(before, after, partition_changed, context);
}

static void configure_topic(struct replica_manager *manager, const struct image *image,
                            struct replica_topic *topic) {
    struct log_config settings;
    log_settings_of(manager->config, image, topic->name, &settings, &topic->min_insync_replicas);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *partition = topic->partitions[i];
        if (partition != NULL && partition->state == PARTITION_ONLINE) {
            log_configure(partition->log, &settings);
        }
    }
}

static void config_changed(void *opaque, enum config_resource_type type, struct slice resource) {
    struct apply_context *context = opaque;
    if (type != CONFIG_RESOURCE_TOPIC) return;
    const struct topic_image *image = image_topic(context->after, resource);
    if (image == NULL) return;
    struct replica_topic *topic = replica_topic_of(context->manager, image->id);
    if (topic != NULL) configure_topic(context->manager, context->after, topic);
}

static void apply_finish(struct env_task *task) {
    struct replica_apply *apply = container_of(task, struct replica_apply, task);
    apply->done(apply, apply->failed);
}

static bool was_unclean(const struct replica_manager *manager) {
    int64_t epoch;
    for (int32_t i = 0; i < manager->directory_count; i++) {
        if (!log_directory_was_clean(manager->directories[i], &epoch)) return true;
    }
    return false;
}

void replica_apply_part_done(struct replica_manager *manager, bool failed) {
    struct replica_apply *apply = manager->apply;
    apply->failed += failed;
    if (--apply->outstanding > 0) return;
    manager->apply = NULL;
    if (!manager->is_started) {
        manager->is_started = true;
        if (manager->stop == NULL) replica_timers_start(manager);
        // What was recovered need not be recovered again after the next crash; else the table is
        // only made known.
        replica_hand_in_offsets(manager, was_unclean(manager) ? 1u << OFFSET_RECOVERY_POINT : 0);
    }
    env_defer(manager->env, &apply->task);
}

void replica_manager_apply(struct replica_manager *manager, const struct image *before,
                           const struct image *after, const struct config *config,
                           struct replica_apply *apply) {
    assert(manager->apply == NULL);
    env_task_init(&apply->task, apply_finish);
    apply->outstanding = 1;  // this call itself
    apply->failed = 0;
    manager->apply = apply;
    bool is_config_new = manager->config != config;
    manager->config = config;

    struct image *empty = before == NULL ? image_new() : NULL;
    struct apply_context context = {.manager = manager, .after = after};
    if (before == NULL) before = empty;
    image_diff_topics(before, after, topic_changed, &context);
    if (is_config_new) {
        map_for_each(node, &manager->topics) {
            configure_topic(manager, after, container_of(node, struct replica_topic, by_id));
        }
    } else {
        image_diff_configs(before, after, config_changed, &context);
    }
    if (empty != NULL) image_unref(empty);
    replica_apply_part_done(manager, false);
}

// ---- Failure ----

void replica_directory_failed(struct replica_manager *manager, int32_t directory, enum err error) {
    manager->host->directory_failed(manager->host, directory, error);
}

void replica_manager_fail_directory(struct replica_manager *manager, int32_t directory) {
    list_for_each_safe(link, &manager->partitions) {
        struct partition *partition = container_of(link, struct partition, link);
        if (partition->directory != directory || partition->state == PARTITION_OFFLINE) continue;
        partition->state = PARTITION_OFFLINE;
        partition_fail_waiters(partition, ERR_KAFKA_STORAGE_ERROR);
    }
}
