// An intrusive binary min-heap: timers, deadlines. A node knows its place, so removal is O(log n).
#pragma once

#include "base/compiler.h"

#define HEAP_NONE SIZE_MAX

struct heap_node {
    size_t index;       // HEAP_NONE when in no heap
    uint64_t key;       // smallest first
    uint64_t sequence;  // ties: insertion order
};

struct heap {
    struct heap_node **nodes;
    size_t count;
    size_t capacity;
    uint64_t sequence;
};

void heap_init(struct heap *h);
void heap_deinit(struct heap *h);
static inline void heap_node_init(struct heap_node *n) {
    n->index = HEAP_NONE;
}
static inline bool heap_contains(const struct heap_node *n) {
    return n->index != HEAP_NONE;
}
void heap_insert(struct heap *h, struct heap_node *n, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *n);
static inline struct heap_node *heap_first(const struct heap *h) {
    return h->count == 0 ? NULL : h->nodes[0];
}
