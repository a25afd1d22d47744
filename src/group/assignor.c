// The two assignors of Kafka's coordinator.
//
// range: for each topic its n subscribers, static members first, get partitions / n each in one
// run; the first partitions % n get one more.
//
// uniform: every partition stays with the member that has it in the old target, if that one still
// is and still subscribes to the topic. What is left goes to the subscriber with the fewest
// partitions. Then partitions move from members to subscribers of the topic that have at least two
// fewer, until there is no such pair: with equal subscriptions all members then differ by one at
// most, and in any case no single move makes it more even. Every move lowers the sum of squares of
// the members' counts, so this ends.
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

// ---- uniform ----

struct uniform {
    struct assignor_input *input;
    struct assignor_member **members;
    int32_t *counts;   // partitions of each member
    int32_t **owners;  // of each topic's partitions: index into members, -1: nobody
};

static int32_t topic_index(const struct assignor_input *input, struct uuid id) {
    int32_t low = 0, high = input->topic_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = memcmp(input->topics[middle].id.bytes, id.bytes, sizeof id.bytes);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static void keep_old(struct uniform *u) {
    for (int32_t i = 0; i < u->input->member_count; i++) {
        const struct assignor_member *m = u->members[i];
        for (int32_t k = 0; k < m->now->count; k++) {
            const struct group_partition *p = &m->now->items[k];
            int32_t t = topic_index(u->input, p->topic);
            if (t < 0 || p->partition >= u->input->topics[t].partition_count) continue;
            if (!is_subscribed(m, t) || u->owners[t][p->partition] >= 0) continue;
            u->owners[t][p->partition] = i;
            u->counts[i]++;
        }
    }
}

// The subscriber with the fewest partitions; -1: nobody subscribes.
static int32_t least_loaded(const struct uniform *u, int32_t topic) {
    int32_t best = -1;
    for (int32_t i = 0; i < u->input->member_count; i++)
        if (is_subscribed(u->members[i], topic) && (best < 0 || u->counts[i] < u->counts[best]))
            best = i;
    return best;
}

static void place(struct uniform *u, int32_t topic, int32_t partition, int32_t member) {
    int32_t owner = u->owners[topic][partition];
    if (owner >= 0) u->counts[owner]--;
    u->owners[topic][partition] = member;
    u->counts[member]++;
}

static void place_unowned(struct uniform *u) {
    for (int32_t t = 0; t < u->input->topic_count; t++)
        for (int32_t p = 0; p < u->input->topics[t].partition_count; p++) {
            int32_t member = u->owners[t][p] >= 0 ? -1 : least_loaded(u, t);
            if (member >= 0) place(u, t, p, member);
        }
}

static bool even_out(struct uniform *u) {
    bool moved = false;
    for (int32_t t = 0; t < u->input->topic_count; t++) {
        int32_t least = least_loaded(u, t);
        // The last ones move, the first ones stay.
        for (int32_t p = u->input->topics[t].partition_count - 1; p >= 0; p--) {
            int32_t owner = u->owners[t][p];
            if (owner < 0 || u->counts[owner] <= u->counts[least] + 1) continue;
            place(u, t, p, least);
            least = least_loaded(u, t);
            moved = true;
        }
    }
    return moved;
}

void assign_uniform(struct assignor_input *input, struct arena *arena) {
    struct uniform u = {.input = input, .members = sorted_members(input, arena)};
    u.counts = arena_zalloc(arena, (size_t)input->member_count, sizeof *u.counts);
    u.owners = arena_zalloc(arena, (size_t)input->topic_count, sizeof *u.owners);
    for (int32_t t = 0; t < input->topic_count; t++) {
        int32_t count = input->topics[t].partition_count;
        u.owners[t] = arena_zalloc(arena, (size_t)count, sizeof *u.owners[t]);
        for (int32_t p = 0; p < count; p++)
            u.owners[t][p] = -1;
    }
    keep_old(&u);
    place_unowned(&u);
    while (even_out(&u)) {
    }
    for (int32_t i = 0; i < input->member_count; i++)
        u.members[i]->target = partition_list_new(arena, u.counts[i]);
    for (int32_t t = 0; t < input->topic_count; t++)
        for (int32_t p = 0; p < input->topics[t].partition_count; p++)
            if (u.owners[t][p] >= 0)
                partition_list_add(&u.members[u.owners[t][p]]->target, input->topics[t].id, p);
}
