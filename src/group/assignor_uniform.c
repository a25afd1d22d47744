// The assignor "uniform", after Kafka's two. What is left of the old target stays where it is as
// far as evenness allows, so that an assignment is both even and sticky.
//
// When all members say the same of what they subscribe to, each one's share is known beforehand:
// partitions / members, and the first ones get one more. A member keeps of its old partitions what
// is within its share, everything else goes to those that lack some, in order.
//
// With unequal subscriptions there is no such share. What nobody has goes to the least loaded
// subscriber, topics with the most partitions for each subscriber first. Then topics are balanced
// one after the other: as long as two subscribers of a topic differ by two or more, a partition of
// it moves from a most loaded to a least loaded one. This goes round until nothing moves any more
// (a move for one topic may unbalance another one), or 16 times.
//
// Ties go to the member that comes first and the topic with the lower id.
#include <stdlib.h>

#include "base/bytes.h"
#include "group/assignor.h"

enum { ROUNDS_MAX = 16 };

struct uniform {
    struct assignor_input *input;
    int32_t *sizes;    // partitions of each member
    int32_t **owners;  // of each topic's partitions: index of the member, -1: nobody
};

static void uniform_init(struct uniform *u, struct assignor_input *input, struct arena *arena) {
    u->input = input;
    u->sizes = arena_zalloc(arena, (size_t)input->member_count, sizeof *u->sizes);
    u->owners = arena_zalloc(arena, (size_t)input->topic_count, sizeof *u->owners);
    for (int32_t t = 0; t < input->topic_count; t++) {
        int32_t count = input->topics[t].partition_count;
        u->owners[t] = arena_alloc(arena, (size_t)count * sizeof *u->owners[t]);
        for (int32_t p = 0; p < count; p++)
            u->owners[t][p] = -1;
    }
}

static void give(struct uniform *u, int32_t topic, int32_t partition, int32_t member) {
    int32_t owner = u->owners[topic][partition];
    if (owner >= 0) u->sizes[owner]--;
    u->owners[topic][partition] = member;
    u->sizes[member]++;
}

static int compare_topic_ids(const void *key, const void *topic) {
    return memcmp(((const struct uuid *)key)->bytes,
                  ((const struct assignor_topic *)topic)->id.bytes, sizeof(struct uuid));
}

// -1: nobody subscribes to it.
static int32_t topic_index(const struct assignor_input *input, struct uuid id) {
    const struct assignor_topic *found = bsearch(&id, input->topics, (size_t)input->topic_count,
                                                 sizeof *input->topics, compare_topic_ids);
    return found == NULL ? -1 : (int32_t)(found - input->topics);
}

// A partition of the old target that is still there, and nobody's yet.
static bool may_keep(const struct uniform *u, int32_t topic, int32_t partition) {
    return topic >= 0 && partition >= 0 && partition < u->input->topics[topic].partition_count &&
           u->owners[topic][partition] < 0;
}

static void put_targets(const struct uniform *u, struct arena *arena) {
    struct assignor_input *input = u->input;
    for (int32_t i = 0; i < input->member_count; i++)
        input->members[i].target = partition_list_new(arena, u->sizes[i]);
    for (int32_t t = 0; t < input->topic_count; t++)
        for (int32_t p = 0; p < input->topics[t].partition_count; p++)
            if (u->owners[t][p] >= 0)
                partition_list_add(&input->members[u->owners[t][p]].target, input->topics[t].id, p);
}

// ---- Equal subscriptions ----

struct loose {
    int32_t topic, partition;
};

static int32_t add_unowned(const struct uniform *u, struct loose *loose) {
    int32_t count = 0;
    for (int32_t t = 0; t < u->input->topic_count; t++)
        for (int32_t p = 0; p < u->input->topics[t].partition_count; p++)
            if (u->owners[t][p] < 0) loose[count++] = (struct loose){t, p};
    return count;
}

// Everybody has what it had; what is too much of it comes behind the loose ones, and `lacks` says
// how many a member is to get.
static void set_shares(struct uniform *u, int32_t total, int32_t *lacks, struct loose *loose,
                       int32_t *loose_count) {
    int32_t members = u->input->member_count, extra = total % members;
    for (int32_t i = 0; i < members; i++) {
        const struct partition_list *now = u->input->members[i].now;
        bool has_extra = extra > 0;
        int32_t share = total / members + has_extra;
        for (int32_t k = 0; k < now->count; k++) {
            int32_t t = topic_index(u->input, now->items[k].topic), p = now->items[k].partition;
            if (t < 0 || p >= u->input->topics[t].partition_count || u->owners[t][p] != i) continue;
            if (share > 0) {
                share--;
                continue;
            }
            u->owners[t][p] = -1;
            u->sizes[i]--;
            loose[(*loose_count)++] = (struct loose){t, p};
        }
        // The last members must take the extra ones; before, who lacks one is not given it.
        if (share > 0 && has_extra && members - i > extra) {
            share--;
            has_extra = false;
        }
        extra -= has_extra;
        lacks[i] = share;
    }
}

static void assign_equal(struct assignor_input *input, struct arena *arena) {
    struct uniform u;
    uniform_init(&u, input, arena);
    int32_t total = 0;
    for (int32_t t = 0; t < input->topic_count; t++)
        total += input->topics[t].partition_count;
    for (int32_t i = 0; i < input->member_count; i++) {
        const struct partition_list *now = input->members[i].now;
        for (int32_t k = 0; k < now->count; k++) {
            int32_t t = topic_index(input, now->items[k].topic);
            if (may_keep(&u, t, now->items[k].partition)) give(&u, t, now->items[k].partition, i);
        }
    }
    struct loose *loose = arena_zalloc(arena, (size_t)total, sizeof *loose);
    int32_t *lacks = arena_zalloc(arena, (size_t)input->member_count, sizeof *lacks);
    int32_t count = add_unowned(&u, loose), next = 0;
    set_shares(&u, total, lacks, loose, &count);
    for (int32_t i = 0; i < input->member_count; i++)
        for (; lacks[i] > 0 && next < count; lacks[i]--, next++)
            give(&u, loose[next].topic, loose[next].partition, i);
    put_targets(&u, arena);
}

// ---- Unequal subscriptions ----

struct unequal {
    struct uniform uniform;
    int32_t **subscribers;  // of each topic: indexes of members, rising
    int32_t *subscriber_counts;
    int32_t *sorted;  // topics, in the order in which they are looked at
    // The balancer: the subscribers of one topic, least loaded first, and two ranges of them that
    // have the same number of partitions.
    int32_t *members;
    int32_t member_count;
    int32_t least_end, least_size, next_least;
    int32_t most_start, most_end, most_size, next_most;
    // The partitions of the topic, by owner; of each owner the part that may still move.
    int32_t *partitions;
    int32_t *starts, *ends;
};

// Topic ids as Java compares them: two signed halves.
static int compare_ids(struct uuid a, struct uuid b) {
    for (int half = 0; half < 16; half += 8) {
        int64_t x = (int64_t)load_u64(a.bytes + half), y = (int64_t)load_u64(b.bytes + half);
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

// The most partitions for each subscriber come first; then the fewest subscribers.
static int compare_topics(const void *a, const void *b, void *context) {
    const struct unequal *u = context;
    const struct assignor_topic *topics = u->uniform.input->topics;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int64_t m = u->subscriber_counts[x], n = u->subscriber_counts[y];
    int64_t left = topics[y].partition_count * m, right = topics[x].partition_count * n;
    if (left != right) return left < right ? -1 : 1;
    if (m != n) return m < n ? -1 : 1;
    return compare_ids(topics[x].id, topics[y].id);
}

static int compare_loads(const void *a, const void *b, void *context) {
    const struct unequal *u = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int32_t m = u->uniform.sizes[x], n = u->uniform.sizes[y];
    return m != n ? (m < n ? -1 : 1) : (x > y) - (x < y);
}

static int compare_owners(const void *a, const void *b, void *context) {
    const int32_t *owners = context;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int32_t m = owners[x], n = owners[y];
    return m != n ? (m < n ? -1 : 1) : (x > y) - (x < y);
}

// How far the most loaded subscriber is from the least loaded one.
static int32_t balancer_begin(struct unequal *u, int32_t topic) {
    const int32_t *sizes = u->uniform.sizes;
    int32_t count = u->subscriber_counts[topic];
    u->member_count = count;
    memcpy(u->members, u->subscribers[topic], (size_t)count * sizeof *u->members);
    qsort_r(u->members, (size_t)count, sizeof *u->members, compare_loads, u);
    int32_t least = sizes[u->members[0]], most = sizes[u->members[count - 1]];
    u->least_end = 0;
    u->least_size = least - 1;
    u->next_least = 0;
    u->most_start = u->most_end = count;
    u->most_size = most + 1;
    u->next_most = count - 1;
    return most - least;
}

static int32_t next_least(struct unequal *u) {
    const int32_t *sizes = u->uniform.sizes;
    if (u->next_least >= u->least_end) {
        u->least_size++;
        while (u->least_end < u->member_count && sizes[u->members[u->least_end]] == u->least_size)
            u->least_end++;
        u->next_least = 0;
    }
    return u->members[u->next_least++];
}

// -1: all are excluded.
static int32_t next_most(struct unequal *u) {
    const int32_t *sizes = u->uniform.sizes;
    if (u->next_most < u->most_start) {
        bool is_empty = u->most_end <= u->most_start && u->most_start > 0;
        u->most_size = is_empty ? sizes[u->members[u->most_start - 1]] : u->most_size - 1;
        while (u->most_start > 0 && sizes[u->members[u->most_start - 1]] == u->most_size)
            u->most_start--;
        u->next_most = u->most_end - 1;
    }
    return u->next_most < 0 ? -1 : u->members[u->next_most--];
}

// The one that next_most gave last has nothing of this topic to give up.
static void exclude_most(struct unequal *u) {
    int32_t at = u->next_most + 1, last = --u->most_end;
    int32_t member = u->members[at];
    u->members[at] = u->members[last];
    u->members[last] = member;
}

static bool is_balanced(const struct unequal *u) {
    return u->most_size - u->least_size <= 1;
}

static bool is_subscribed(const struct unequal *u, int32_t topic, int32_t member) {
    int32_t low = 0, high = u->subscriber_counts[topic];
    while (low < high) {
        int32_t middle = low + (high - low) / 2, at = u->subscribers[topic][middle];
        if (at == member) return true;
        if (at < member)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void keep_old(struct unequal *u) {
    const struct assignor_input *input = u->uniform.input;
    for (int32_t i = 0; i < input->member_count; i++) {
        const struct partition_list *now = input->members[i].now;
        for (int32_t k = 0; k < now->count; k++) {
            int32_t t = topic_index(input, now->items[k].topic);
            bool keeps = may_keep(&u->uniform, t, now->items[k].partition);
            if (keeps && is_subscribed(u, t, i)) give(&u->uniform, t, now->items[k].partition, i);
        }
    }
}

static void place_unowned(struct unequal *u) {
    for (int32_t k = 0; k < u->uniform.input->topic_count; k++) {
        int32_t t = u->sorted[k];
        if (u->subscriber_counts[t] == 0) continue;
        balancer_begin(u, t);
        for (int32_t p = 0; p < u->uniform.input->topics[t].partition_count; p++)
            if (u->uniform.owners[t][p] < 0) give(&u->uniform, t, p, next_least(u));
    }
}

// The partitions in order of their owners, and where each owner's begin and end.
static void sort_partitions(struct unequal *u, int32_t topic) {
    int32_t count = u->uniform.input->topics[topic].partition_count;
    int32_t *owners = u->uniform.owners[topic];
    for (int32_t p = 0; p < count; p++)
        u->partitions[p] = p;
    qsort_r(u->partitions, (size_t)count, sizeof *u->partitions, compare_owners, owners);
    for (int32_t i = 0; i < u->member_count; i++)
        u->starts[u->members[i]] = u->ends[u->members[i]] = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t owner = owners[u->partitions[i]];
        if (i == 0 || owners[u->partitions[i - 1]] != owner) u->starts[owner] = i;
        u->ends[owner] = i + 1;
    }
}

// How many partitions moved.
static int32_t balance_topic(struct unequal *u, int32_t topic) {
    int32_t moved = 0;
    if (balancer_begin(u, topic) <= 1) return 0;
    sort_partitions(u, topic);
    while (!is_balanced(u)) {
        int32_t most = next_most(u);
        while (most >= 0 && u->ends[most] <= u->starts[most]) {
            exclude_most(u);
            most = next_most(u);
        }
        if (most < 0) break;
        int32_t partition = u->partitions[--u->ends[most]];
        int32_t least = next_least(u);
        if (is_balanced(u)) break;
        give(&u->uniform, topic, partition, least);
        moved++;
    }
    return moved;
}

static void balance(struct unequal *u) {
    int32_t last_moved = -1;
    for (int32_t round = 0; round < ROUNDS_MAX; round++) {
        for (int32_t k = 0; k < u->uniform.input->topic_count; k++) {
            if (u->subscriber_counts[u->sorted[k]] < 2) continue;
            // Once around without a move.
            if (k == last_moved) return;
            if (balance_topic(u, u->sorted[k]) > 0 || last_moved < 0) last_moved = k;
        }
    }
}

static void find_subscribers(struct unequal *u, struct arena *arena) {
    const struct assignor_input *input = u->uniform.input;
    size_t topics = (size_t)input->topic_count;
    u->subscriber_counts = arena_zalloc(arena, topics, sizeof *u->subscriber_counts);
    u->subscribers = arena_zalloc(arena, topics, sizeof *u->subscribers);
    for (int32_t i = 0; i < input->member_count; i++)
        for (int32_t k = 0; k < input->members[i].topic_count; k++)
            u->subscriber_counts[input->members[i].topics[k]]++;
    for (size_t t = 0; t < topics; t++) {
        u->subscribers[t] =
            arena_alloc(arena, (size_t)u->subscriber_counts[t] * sizeof *u->subscribers[t]);
        u->subscriber_counts[t] = 0;
    }
    for (int32_t i = 0; i < input->member_count; i++)
        for (int32_t k = 0; k < input->members[i].topic_count; k++) {
            int32_t t = input->members[i].topics[k];
            u->subscribers[t][u->subscriber_counts[t]++] = i;
        }
}

static void assign_unequal(struct assignor_input *input, struct arena *arena) {
    struct unequal u = {0};
    uniform_init(&u.uniform, input, arena);
    find_subscribers(&u, arena);
    size_t topics = (size_t)input->topic_count, members = (size_t)input->member_count;
    int32_t partitions_max = 0, used = 0;
    u.sorted = arena_zalloc(arena, topics, sizeof *u.sorted);
    for (int32_t t = 0; t < input->topic_count; t++) {
        u.sorted[used++] = t;
        partitions_max = MAX(partitions_max, input->topics[t].partition_count);
    }
    u.members = arena_zalloc(arena, members, sizeof *u.members);
    u.starts = arena_zalloc(arena, members, sizeof *u.starts);
    u.ends = arena_zalloc(arena, members, sizeof *u.ends);
    u.partitions = arena_zalloc(arena, (size_t)partitions_max, sizeof *u.partitions);
    qsort_r(u.sorted, topics, sizeof *u.sorted, compare_topics, &u);
    keep_old(&u);
    place_unowned(&u);
    balance(&u);
    put_targets(&u.uniform, arena);
}

void assign_uniform(struct assignor_input *input, struct arena *arena) {
    if (input->member_count == 0) return;
    if (input->is_homogeneous) {
        assign_equal(input, arena);
    } else {
        assign_unequal(input, arena);
    }
}
