// Lists of broker ids: replicas, ISR, eligible leaders. Borrowed, in the order of preference where
// there is one.
#pragma once

#include "base/arena.h"

struct id_list {
    const int32_t *ids;
    int32_t count;
};

bool id_list_contains(struct id_list list, int32_t id);
bool id_list_contains_all(struct id_list list, struct id_list others);
// The same ids in the same order.
bool id_list_equal(struct id_list a, struct id_list b);

// Each in the arena.
struct id_list id_list_of(int32_t id, struct arena *arena);
struct id_list id_list_without(struct id_list list, struct id_list others, struct arena *arena);
struct id_list id_list_joined(struct id_list a, struct id_list b, struct arena *arena);
struct id_list id_list_sorted(struct id_list list, struct arena *arena);
