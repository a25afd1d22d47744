// What changed between two images, in order of key. The cost is that of the difference, not of the
// images: parts that both share are skipped unseen. Every callback gets the old and the new state;
// NULL: it was, or is, not there. Pure.
#pragma once

#include "metadata/image.h"

// A topic deleted and created again under its name comes as removed, then as added.
void image_diff_topics(const struct image *before, const struct image *after,
                       void (*changed)(void *context, const struct topic_image *before,
                                       const struct topic_image *after),
                       void *context);

// The partitions of one changed topic; either may be NULL.
void topic_diff_partitions(const struct topic_image *before, const struct topic_image *after,
                           void (*changed)(void *context, int32_t partition,
                                           const struct partition_image *before,
                                           const struct partition_image *after),
                           void *context);

// Resources of which any key was set, changed or deleted.
void image_diff_configs(const struct image *before, const struct image *after,
                        void (*changed)(void *context, enum config_resource_type type,
                                        struct slice resource),
                        void *context);

void image_diff_brokers(const struct image *before, const struct image *after,
                        void (*changed)(void *context, const struct broker_image *before,
                                        const struct broker_image *after),
                        void *context);

bool image_features_changed(const struct image *before, const struct image *after);
bool image_quotas_changed(const struct image *before, const struct image *after);
