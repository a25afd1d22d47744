// The hash of a group's topics that Kafka keeps in its records (KIP-1101): when it changes, the
// group is rebalanced. It must be Kafka's own, or every group would be rebalanced once when a
// directory changes hands.
#pragma once

#include "metadata/image.h"

int64_t topic_hash(const struct image *image, const struct topic_image *topic);
// Of the hashes of all topics in order of their names; 0 when there are none.
int64_t topic_hashes_combine(const int64_t *hashes, int32_t count);
// Over the topics of these names that exist; sorts the names, doubles are allowed.
int64_t topic_names_hash(const struct image *image, struct slice *names, int32_t count,
                         struct arena *arena);
