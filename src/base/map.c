#include "base/map.h"

#include "base/assert.h"
#include "base/memory.h"

enum { BUCKETS_FIRST = 4 };

void map_init(struct map *m, uint64_t seed) {
    *m = (struct map){.seed = seed};
    list_init(&m->order);
}

void map_deinit(struct map *m) {
    memory_free(m->buckets);
    map_init(m, m->seed);
}

static struct map_node **bucket_of(const struct map *m, uint64_t hash) {
    return &m->buckets[hash & (m->bucket_count - 1)];
}

static struct map_node *find(const struct map *m, struct slice key, uint64_t hash) {
    if (m->bucket_count == 0) return NULL;
    struct map_node *n = *bucket_of(m, hash);
    while (n != NULL && !(n->hash == hash && slice_equal(n->key, key)))
        n = n->chained;
    return n;
}

struct map_node *map_get(const struct map *m, struct slice key) {
    return find(m, key, slice_hash(key, m->seed));
}

static void grow(struct map *m) {
    size_t count = m->bucket_count == 0 ? BUCKETS_FIRST : m->bucket_count * 2;
    memory_free(m->buckets);
    m->buckets = memory_zalloc(count, sizeof(struct map_node *));
    m->bucket_count = count;
    list_for_each(link, &m->order) {
        struct map_node *n = container_of(link, struct map_node, order);
        struct map_node **bucket = bucket_of(m, n->hash);
        n->chained = *bucket;
        *bucket = n;
    }
}

void map_put(struct map *m, struct map_node *node, struct slice key) {
    uint64_t hash = slice_hash(key, m->seed);
    assert(find(m, key, hash) == NULL);
    if (m->count == m->bucket_count) grow(m);
    node->hash = hash;
    node->key = key;
    struct map_node **bucket = bucket_of(m, hash);
    node->chained = *bucket;
    *bucket = node;
    list_append(&m->order, &node->order);
    m->count++;
}

void map_remove(struct map *m, struct map_node *node) {
    struct map_node **at = bucket_of(m, node->hash);
    while (*at != node) {
        assert(*at != NULL);
        at = &(*at)->chained;
    }
    *at = node->chained;
    list_remove(&node->order);
    m->count--;
}
