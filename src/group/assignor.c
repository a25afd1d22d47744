// The assignor "range": for each topic its n subscribers, static members first, get partitions / n
// each in one run; the first partitions % n get one more.
#include "group/assignor.h"

#include <stdlib.h>

assign_function *assignor_find(struct slice name) {
    if (slice_equal_cstring(name, "uniform")) return assign_uniform;
    if (slice_equal_cstring(name, "range")) return assign_range;
    return NULL;
}

static bool is_subscribed(const struct assignor_member *m, int32_t topic) {
    int32_t low = 0, high = m->topic_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (m->topics[middle] == topic) return true;
        if (m->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

// Static members come first, so that a restart of others moves nothing of theirs.
static int compare_members(const void *a, const void *b) {
    const struct assignor_member *x = *(struct assignor_member *const *)a;
    const struct assignor_member *y = *(struct assignor_member *const *)b;
    bool x_static = !slice_is_null(x->instance_id), y_static = !slice_is_null(y->instance_id);
    if (x_static != y_static) return x_static ? -1 : 1;
    return x_static ? slice_compare(x->instance_id, y->instance_id) : slice_compare(x->id, y->id);
}

static struct assignor_member **sorted_members(struct assignor_input *input, struct arena *arena) {
    struct assignor_member **sorted =
        arena_zalloc(arena, (size_t)input->member_count, sizeof *sorted);
    for (int32_t i = 0; i < input->member_count; i++)
        sorted[i] = &input->members[i];
    if (input->member_count > 0)
        qsort(sorted, (size_t)input->member_count, sizeof *sorted, compare_members);
    return sorted;
}

static int32_t count_partitions(const struct assignor_input *input,
                                const struct assignor_member *m) {
    int32_t count = 0;
    for (int32_t i = 0; i < m->topic_count; i++)
        count += input->topics[m->topics[i]].partition_count;
    return count;
}

void assign_range(struct assignor_input *input, struct arena *arena) {
    struct assignor_member **members = sorted_members(input, arena);
    for (int32_t i = 0; i < input->member_count; i++)
        members[i]->target = partition_list_new(arena, count_partitions(input, members[i]));
    for (int32_t t = 0; t < input->topic_count; t++) {
        int32_t subscribers = 0, next = 0, seen = 0;
        for (int32_t i = 0; i < input->member_count; i++)
            subscribers += is_subscribed(members[i], t);
        for (int32_t i = 0; i < input->member_count; i++) {
            if (!is_subscribed(members[i], t)) continue;
            int32_t partitions = input->topics[t].partition_count;
            int32_t share = partitions / subscribers + (seen++ < partitions % subscribers);
            for (int32_t p = 0; p < share; p++)
                partition_list_add(&members[i]->target, input->topics[t].id, next++);
        }
    }
}
