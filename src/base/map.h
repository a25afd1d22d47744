// An intrusive hash map from a slice key to the struct that embeds the node. Open hashing with
// power-of-two buckets; grows step by step is not needed: a rehash moves pointers only. The key's
// bytes belong to the embedding struct and must not change while it is in the map. One owner, not
// thread-safe. Iteration order is that of insertion (a list runs through the nodes), so that runs
// in the simulation repeat.
#pragma once

#include "base/list.h"
#include "base/slice.h"

struct map_node {
    struct map_node *chained;
    struct list order;
    uint64_t hash;
    struct slice key;
};

struct map {
    struct map_node **buckets;
    size_t bucket_count;
    size_t count;
    uint64_t seed;
    struct list order;
};

// `seed` keeps crafted keys from colliding: take it from env_random.
void map_init(struct map *m, uint64_t seed);
// Frees the buckets, not the embedding structs.
void map_deinit(struct map *m);

struct map_node *map_get(const struct map *m, struct slice key);
// The key must not be in the map yet.
void map_put(struct map *m, struct map_node *node, struct slice key);
void map_remove(struct map *m, struct map_node *node);

#define map_for_each(node, m)                                                                      \
    for (struct list *node##_link = (m)->order.next, *node##_after = node##_link->next;            \
         node##_link != &(m)->order; node##_link = node##_after, node##_after = node##_link->next) \
        for (struct map_node *node = container_of(node##_link, struct map_node, order),            \
                             *node##_once = node;                                                  \
             node##_once != NULL; node##_once = NULL)
