// An intrusive doubly linked list. A node belongs to at most one list; it owns nothing.
#pragma once

#include "base/compiler.h"

struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *l) {
    l->next = l->previous = l;
}
static inline bool list_is_empty(const struct list *l) {
    return l->next == l;
}
static inline bool list_is_linked(const struct list *node) {
    return node->next != node;
}

static inline void list_append(struct list *l, struct list *node) {
    node->previous = l->previous;
    node->next = l;
    l->previous->next = node;
    l->previous = node;
}
static inline void list_prepend(struct list *l, struct list *node) {
    node->next = l->next;
    node->previous = l;
    l->next->previous = node;
    l->next = node;
}
// Afterwards the node is linked to itself; removing twice does no harm.
static inline void list_remove(struct list *node) {
    node->next->previous = node->previous;
    node->previous->next = node->next;
    list_init(node);
}
static inline struct list *list_pop(struct list *l) {
    struct list *node = l->next;
    if (node == l) return NULL;
    list_remove(node);
    return node;
}

#define list_for_each(node, l) for (struct list *node = (l)->next; node != (l); node = node->next)
// The current node may be removed inside the loop.
#define list_for_each_safe(node, l)                                             \
    for (struct list *node = (l)->next, *node##_next = node->next; node != (l); \
         node = node##_next, node##_next = node->next)
