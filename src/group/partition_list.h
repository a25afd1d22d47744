// Sets of partitions as sorted arrays: assignments, and what is given up or wanted of them. Pure;
// memory is from arenas.
#pragma once

#include "base/arena.h"
#include "base/uuid.h"

struct group_partition {
    struct uuid topic;
    int32_t partition;
    // Of a member's own partitions: the target's epoch in which it got this one. Not looked at by
    // comparisons; what is in two lists comes from the first.
    int32_t epoch;
};

struct partition_list {
    struct group_partition *items;  // by topic id, then partition; none twice
    int32_t count;
};

int group_partition_compare(const struct group_partition *a, const struct group_partition *b);

// Room for `capacity` items, empty.
struct partition_list partition_list_new(struct arena *arena, int32_t capacity);
// Behind the last one; sort when all are there.
static inline void partition_list_add(struct partition_list *list, struct uuid topic,
                                      int32_t partition) {
    list->items[list->count++] = (struct group_partition){topic, partition, 0};
}
void partition_list_sort(struct partition_list *list);  // drops what is there twice

bool partition_list_contains(const struct partition_list *list, const struct group_partition *p);
// NULL: not there.
const struct group_partition *partition_list_find(const struct partition_list *list,
                                                  struct uuid topic, int32_t partition);
bool partition_list_equal(const struct partition_list *a, const struct partition_list *b);
bool partition_list_intersects(const struct partition_list *a, const struct partition_list *b);
bool partition_list_is_subset(const struct partition_list *part,
                              const struct partition_list *whole);

struct partition_list partition_list_both(struct arena *arena, const struct partition_list *a,
                                          const struct partition_list *b);
struct partition_list partition_list_without(struct arena *arena, const struct partition_list *a,
                                             const struct partition_list *b);
struct partition_list partition_list_union(struct arena *arena, const struct partition_list *a,
                                           const struct partition_list *b);

// On the heap, for a member's own; free `items` with memory_free.
struct partition_list partition_list_keep(const struct partition_list *list);

// The end (exclusive) of the run of one topic that begins at `from`.
int32_t partition_list_topic_end(const struct partition_list *list, int32_t from);
int32_t partition_list_topic_count(const struct partition_list *list);
