#include "base/heap.h"

#include "base/assert.h"
#include "base/memory.h"

void heap_init(struct heap *h) {
    *h = (struct heap){0};
}

void heap_deinit(struct heap *h) {
    memory_free(h->nodes);
    heap_init(h);
}

static bool before(const struct heap_node *a, const struct heap_node *b) {
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void place(struct heap *h, size_t index, struct heap_node *n) {
    h->nodes[index] = n;
    n->index = index;
}

static void sift_up(struct heap *h, size_t index, struct heap_node *n) {
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!before(n, h->nodes[parent])) break;
        place(h, index, h->nodes[parent]);
        index = parent;
    }
    place(h, index, n);
}

static void sift_down(struct heap *h, size_t index, struct heap_node *n) {
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && before(h->nodes[child + 1], h->nodes[child])) child++;
        if (!before(h->nodes[child], n)) break;
        place(h, index, h->nodes[child]);
        index = child;
    }
    place(h, index, n);
}

void heap_insert(struct heap *h, struct heap_node *n, uint64_t key) {
    assert(!heap_contains(n));
    if (h->count == h->capacity) {
        h->capacity = MAX(h->capacity * 2, (size_t)16);
        h->nodes = memory_realloc(h->nodes, h->capacity, sizeof(struct heap_node *));
    }
    n->key = key;
    n->sequence = h->sequence++;
    sift_up(h, h->count++, n);
}

void heap_remove(struct heap *h, struct heap_node *n) {
    size_t index = n->index;
    assert(index < h->count && h->nodes[index] == n);
    n->index = HEAP_NONE;
    struct heap_node *last = h->nodes[--h->count];
    if (last == n) return;
    if (index > 0 && before(last, h->nodes[(index - 1) / 2])) {
        sift_up(h, index, last);
    } else {
        sift_down(h, index, last);
    }
}
