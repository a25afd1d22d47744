#include "controller/id_list.h"

#include <stdlib.h>
#include <string.h>

bool id_list_contains(struct id_list list, int32_t id) {
    for (int32_t i = 0; i < list.count; i++) {
        if (list.ids[i] == id) return true;
    }
    return false;
}

bool id_list_contains_all(struct id_list list, struct id_list others) {
    for (int32_t i = 0; i < others.count; i++) {
        if (!id_list_contains(list, others.ids[i])) return false;
    }
    return true;
}

bool id_list_equal(struct id_list a, struct id_list b) {
    return a.count == b.count &&
           (a.count == 0 || memcmp(a.ids, b.ids, (size_t)a.count * sizeof *a.ids) == 0);
}

struct id_list id_list_of(int32_t id, struct arena *arena) {
    int32_t *ids = arena_zalloc(arena, 1, sizeof *ids);
    ids[0] = id;
    return (struct id_list){ids, 1};
}

struct id_list id_list_without(struct id_list list, struct id_list others, struct arena *arena) {
    int32_t *ids = arena_zalloc(arena, (size_t)list.count, sizeof *ids);
    int32_t count = 0;
    for (int32_t i = 0; i < list.count; i++) {
        if (!id_list_contains(others, list.ids[i])) ids[count++] = list.ids[i];
    }
    return (struct id_list){ids, count};
}

struct id_list id_list_joined(struct id_list a, struct id_list b, struct arena *arena) {
    int32_t *ids = arena_zalloc(arena, (size_t)(a.count + b.count), sizeof *ids);
    for (int32_t i = 0; i < a.count; i++)
        ids[i] = a.ids[i];
    for (int32_t i = 0; i < b.count; i++)
        ids[a.count + i] = b.ids[i];
    return (struct id_list){ids, a.count + b.count};
}

static int compare_ids(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

struct id_list id_list_sorted(struct id_list list, struct arena *arena) {
    int32_t *ids = arena_zalloc(arena, (size_t)list.count, sizeof *ids);
    if (list.count > 0) memcpy(ids, list.ids, (size_t)list.count * sizeof *ids);
    qsort(ids, (size_t)list.count, sizeof *ids, compare_ids);
    return (struct id_list){ids, list.count};
}
