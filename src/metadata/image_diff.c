#include "metadata/image_diff.h"

#include "metadata/image_internal.h"

// ---- Topics ----

struct topics_diff {
    void (*changed)(void *context, const struct topic_image *before,
                    const struct topic_image *after);
    void *context;
};

static const struct topic_image *topic_of(const struct tree_node *node) {
    return node == NULL ? NULL : &container_of(node->item, struct topic_item, item)->topic;
}

static void topic_changed(void *context, const struct tree_node *before,
                          const struct tree_node *after) {
    const struct topics_diff *diff = context;
    const struct topic_image *old = topic_of(before);
    const struct topic_image *new = topic_of(after);
    if (old != NULL && new != NULL && !uuid_equal(old->id, new->id)) {
        diff->changed(diff->context, old, NULL);
        old = NULL;
    }
    diff->changed(diff->context, old, new);
}

void image_diff_topics(const struct image *before, const struct image *after,
                       void (*changed)(void *context, const struct topic_image *before,
                                       const struct topic_image *after),
                       void *context) {
    struct topics_diff diff = {changed, context};
    tree_diff(before == NULL ? NULL : before->topics, after == NULL ? NULL : after->topics,
              topic_changed, &diff);
}

void topic_diff_partitions(const struct topic_image *before, const struct topic_image *after,
                           void (*changed)(void *context, int32_t partition,
                                           const struct partition_image *before,
                                           const struct partition_image *after),
                           void *context) {
    int32_t old_count = before == NULL ? 0 : before->partition_count;
    int32_t new_count = after == NULL ? 0 : after->partition_count;
    for (int32_t i = 0; i < MAX(old_count, new_count); i++) {
        const struct partition_image *old = i < old_count ? before->partitions[i] : NULL;
        const struct partition_image *new = i < new_count ? after->partitions[i] : NULL;
        if (old != new) changed(context, i, old, new);
    }
}

// ---- Configs ----

struct configs_diff {
    void (*changed)(void *context, enum config_resource_type type, struct slice resource);
    void *context;
};

static void config_changed(void *context, const struct tree_node *before,
                           const struct tree_node *after) {
    const struct configs_diff *diff = context;
    const struct slice key = (before != NULL ? before : after)->key;
    diff->changed(diff->context, (enum config_resource_type)key.data[0],
                  slice_sub(key, 1, key.size - 1));
}

void image_diff_configs(const struct image *before, const struct image *after,
                        void (*changed)(void *context, enum config_resource_type type,
                                        struct slice resource),
                        void *context) {
    struct configs_diff diff = {changed, context};
    tree_diff(before == NULL ? NULL : before->configs, after == NULL ? NULL : after->configs,
              config_changed, &diff);
}

// ---- Brokers ----

struct brokers_diff {
    void (*changed)(void *context, const struct broker_image *before,
                    const struct broker_image *after);
    void *context;
};

static const struct broker_image *broker_of(const struct tree_node *node) {
    return node == NULL ? NULL : &container_of(node->item, struct broker_item, item)->broker;
}

static void broker_changed(void *context, const struct tree_node *before,
                           const struct tree_node *after) {
    const struct brokers_diff *diff = context;
    diff->changed(diff->context, broker_of(before), broker_of(after));
}

void image_diff_brokers(const struct image *before, const struct image *after,
                        void (*changed)(void *context, const struct broker_image *before,
                                        const struct broker_image *after),
                        void *context) {
    struct brokers_diff diff = {changed, context};
    tree_diff(before == NULL ? NULL : before->brokers, after == NULL ? NULL : after->brokers,
              broker_changed, &diff);
}

// ---- The rest ----

bool image_features_changed(const struct image *before, const struct image *after) {
    if (before == NULL || after == NULL) return before != after;
    return before->metadata_version != after->metadata_version ||
           before->features != after->features;
}

bool image_quotas_changed(const struct image *before, const struct image *after) {
    if (before == NULL || after == NULL) return before != after;
    return before->quotas != after->quotas;
}
