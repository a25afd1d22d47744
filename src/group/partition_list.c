#include "group/partition_list.h"

#include <stdlib.h>

#include "base/memory.h"

int group_partition_compare(const struct group_partition *a, const struct group_partition *b) {
    int order = memcmp(a->topic.bytes, b->topic.bytes, sizeof a->topic.bytes);
    return order != 0 ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare_items(const void *a, const void *b) {
    return group_partition_compare(a, b);
}

struct partition_list partition_list_new(struct arena *arena, int32_t capacity) {
    return (struct partition_list){
        arena_zalloc(arena, (size_t)capacity, sizeof(struct group_partition)), 0};
}

void partition_list_sort(struct partition_list *list) {
    if (list->count < 2) return;
    qsort(list->items, (size_t)list->count, sizeof *list->items, compare_items);
    int32_t kept = 1;
    for (int32_t i = 1; i < list->count; i++)
        if (compare_items(&list->items[kept - 1], &list->items[i]) != 0)
            list->items[kept++] = list->items[i];
    list->count = kept;
}

bool partition_list_contains(const struct partition_list *list, const struct group_partition *p) {
    return list->count > 0 &&
           bsearch(p, list->items, (size_t)list->count, sizeof *list->items, compare_items) != NULL;
}

const struct group_partition *partition_list_find(const struct partition_list *list,
                                                  struct uuid topic, int32_t partition) {
    struct group_partition wanted = {topic, partition, 0};
    if (list->count == 0) return NULL;
    return bsearch(&wanted, list->items, (size_t)list->count, sizeof wanted, compare_items);
}

bool partition_list_equal(const struct partition_list *a, const struct partition_list *b) {
    if (a->count != b->count) return false;
    for (int32_t i = 0; i < a->count; i++)
        if (compare_items(&a->items[i], &b->items[i]) != 0) return false;
    return true;
}

// Walks both lists once; `wanted` says what goes to `out`: 1 only in a, 2 only in b, 4 in both.
static void merge(const struct partition_list *a, const struct partition_list *b, int wanted,
                  struct partition_list *out) {
    int32_t i = 0, k = 0;
    while (i < a->count || k < b->count) {
        int order = i == a->count   ? 1
                    : k == b->count ? -1
                                    : compare_items(&a->items[i], &b->items[k]);
        const struct group_partition *item = order <= 0 ? &a->items[i] : &b->items[k];
        int kind = order < 0 ? 1 : order > 0 ? 2 : 4;
        if ((wanted & kind) != 0) out->items[out->count++] = *item;
        i += order <= 0;
        k += order >= 0;
    }
}

bool partition_list_intersects(const struct partition_list *a, const struct partition_list *b) {
    for (int32_t i = 0; i < a->count; i++)
        if (partition_list_contains(b, &a->items[i])) return true;
    return false;
}

bool partition_list_is_subset(const struct partition_list *part,
                              const struct partition_list *whole) {
    for (int32_t i = 0; i < part->count; i++)
        if (!partition_list_contains(whole, &part->items[i])) return false;
    return true;
}

struct partition_list partition_list_both(struct arena *arena, const struct partition_list *a,
                                          const struct partition_list *b) {
    struct partition_list out = partition_list_new(arena, MIN(a->count, b->count));
    merge(a, b, 4, &out);
    return out;
}

struct partition_list partition_list_without(struct arena *arena, const struct partition_list *a,
                                             const struct partition_list *b) {
    struct partition_list out = partition_list_new(arena, a->count);
    merge(a, b, 1, &out);
    return out;
}

struct partition_list partition_list_union(struct arena *arena, const struct partition_list *a,
                                           const struct partition_list *b) {
    struct partition_list out = partition_list_new(arena, a->count + b->count);
    merge(a, b, 1 | 2 | 4, &out);
    return out;
}

struct partition_list partition_list_keep(const struct partition_list *list) {
    struct partition_list kept = {memory_alloc((size_t)list->count * sizeof *kept.items),
                                  list->count};
    if (list->count > 0) memcpy(kept.items, list->items, (size_t)list->count * sizeof *kept.items);
    return kept;
}

int32_t partition_list_topic_end(const struct partition_list *list, int32_t from) {
    int32_t end = from;
    while (end < list->count && uuid_equal(list->items[end].topic, list->items[from].topic))
        end++;
    return end;
}

int32_t partition_list_topic_count(const struct partition_list *list) {
    int32_t topics = 0;
    for (int32_t i = 0; i < list->count; i = partition_list_topic_end(list, i))
        topics++;
    return topics;
}
