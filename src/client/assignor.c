// Range: per topic, in order of members, runs of neighbouring partitions; the first members get one
// more. Roundrobin: all partitions of all topics dealt out in turn. Sticky: everyone keeps what it
// has, what is free goes to those who have least, then partitions move from those who have most
// while that evens out. With equal subscriptions the result differs by one partition at most.
#include "client/assignor.h"

#include <stdlib.h>

static const char *const names[ASSIGNOR_COUNT] = {"range", "roundrobin", "sticky",
                                                  "cooperative-sticky"};

const char *assignor_name(enum assignor assignor) {
    return names[assignor];
}

bool assignor_parse(struct slice name, enum assignor *assignor) {
    for (int i = 0; i < ASSIGNOR_COUNT; i++) {
        if (!slice_equal_cstring(name, names[i])) continue;
        *assignor = (enum assignor)i;
        return true;
    }
    return false;
}

// Static members first, by their instance id; then the others by member id (Kafka's MemberInfo).
static int compare_members(const void *a, const void *b) {
    const struct assignor_member *x = a, *y = b;
    bool x_static = !slice_is_null(x->instance_id), y_static = !slice_is_null(y->instance_id);
    if (x_static && y_static) return slice_compare(x->instance_id, y->instance_id);
    if (x_static != y_static) return x_static ? -1 : 1;
    return slice_compare(x->id, y->id);
}

static int compare_topics(const void *a, const void *b) {
    return slice_compare(((const struct assignor_topic *)a)->name,
                         ((const struct assignor_topic *)b)->name);
}

static bool is_subscribed(const struct assignor_member *member, struct slice topic) {
    for (int32_t i = 0; i < member->topic_count; i++) {
        if (slice_equal(member->topics[i], topic)) return true;
    }
    return false;
}

static void give(struct assignor_member *member, struct slice topic, int32_t partition) {
    member->assigned[member->assigned_count++] = (struct topic_partition){topic, partition};
}

// ---- Range, roundrobin ----

static void assign_range(struct assignor_member *members, int32_t member_count,
                         const struct assignor_topic *topic) {
    int32_t subscribed = 0;
    for (int32_t m = 0; m < member_count; m++)
        subscribed += is_subscribed(&members[m], topic->name);
    if (subscribed == 0) return;
    int32_t share = topic->partition_count / subscribed;
    int32_t more = topic->partition_count % subscribed;
    int32_t next = 0;
    for (int32_t m = 0, place = 0; m < member_count; m++) {
        if (!is_subscribed(&members[m], topic->name)) continue;
        int32_t count = share + (place++ < more ? 1 : 0);
        for (int32_t i = 0; i < count; i++)
            give(&members[m], topic->name, next++);
    }
}

static void assign_round_robin(struct assignor_member *members, int32_t member_count,
                               const struct assignor_topic *topics, int32_t topic_count) {
    int32_t next = 0;
    for (int32_t t = 0; t < topic_count; t++) {
        for (int32_t p = 0; p < topics[t].partition_count; p++) {
            for (int32_t tried = 0; tried < member_count; tried++) {
                struct assignor_member *member = &members[next];
                next = (next + 1) % member_count;
                if (!is_subscribed(member, topics[t].name)) continue;
                give(member, topics[t].name, p);
                break;
            }
        }
    }
}

// ---- Sticky ----

// One partition to be owned.
struct slot {
    struct slice topic;
    int32_t partition;
    int32_t owner;       // index of the member that has it now by the newest claim; -1
    int32_t generation;  // of that claim
    int32_t member;      // who gets it; -1
};

struct sticky {
    struct slot *slots;
    int32_t slot_count;
    int32_t *load;  // partitions of each member
    struct assignor_member *members;
    int32_t member_count;
};

static struct slot *find_slot(struct sticky *s, struct slice topic, int32_t partition) {
    int32_t low = 0, high = s->slot_count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = slice_compare(s->slots[middle].topic, topic);
        if (order == 0) {
            order =
                (s->slots[middle].partition > partition) - (s->slots[middle].partition < partition);
        }
        if (order == 0) return &s->slots[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

// Of two members that claim a partition, the one of the later generation has it; of equals nobody.
static void collect_claims(struct sticky *s) {
    for (int32_t m = 0; m < s->member_count; m++) {
        for (int32_t i = 0; i < s->members[m].owned_count; i++) {
            struct slot *slot =
                find_slot(s, s->members[m].owned[i].topic, s->members[m].owned[i].partition);
            if (slot == NULL || !is_subscribed(&s->members[m], slot->topic)) continue;
            int32_t generation = s->members[m].generation;
            if (slot->generation > generation) continue;
            slot->owner = slot->owner >= 0 && slot->generation == generation ? -1 : m;
            slot->generation = generation;
        }
    }
}

static int32_t least_loaded(const struct sticky *s, struct slice topic) {
    int32_t best = -1;
    for (int32_t m = 0; m < s->member_count; m++) {
        if (!is_subscribed(&s->members[m], topic)) continue;
        if (best < 0 || s->load[m] < s->load[best]) best = m;
    }
    return best;
}

static void take(struct sticky *s, struct slot *slot, int32_t member) {
    if (slot->member >= 0) s->load[slot->member]--;
    slot->member = member;
    if (member >= 0) s->load[member]++;
}

static void balance(struct sticky *s) {
    bool moved = true;
    while (moved) {
        moved = false;
        for (int32_t i = 0; i < s->slot_count; i++) {
            struct slot *slot = &s->slots[i];
            if (slot->member < 0) continue;
            int32_t best = least_loaded(s, slot->topic);
            if (best < 0 || s->load[best] + 1 >= s->load[slot->member]) continue;
            take(s, slot, best);
            moved = true;
        }
    }
}

static void assign_sticky(struct assignor_member *members, int32_t member_count,
                          const struct assignor_topic *topics, int32_t topic_count,
                          bool cooperative, struct arena *arena) {
    struct sticky s = {.members = members, .member_count = member_count};
    size_t total = 0;
    for (int32_t t = 0; t < topic_count; t++)
        total += (size_t)topics[t].partition_count;
    s.slots = arena_zalloc(arena, MAX(total, (size_t)1), sizeof *s.slots);
    s.load = arena_zalloc(arena, (size_t)member_count, sizeof *s.load);
    for (int32_t t = 0; t < topic_count; t++) {
        for (int32_t p = 0; p < topics[t].partition_count; p++) {
            s.slots[s.slot_count++] = (struct slot){topics[t].name, p, -1, INT32_MIN, -1};
        }
    }
    collect_claims(&s);
    for (int32_t i = 0; i < s.slot_count; i++) {
        if (s.slots[i].owner >= 0) take(&s, &s.slots[i], s.slots[i].owner);
    }
    for (int32_t i = 0; i < s.slot_count; i++) {
        if (s.slots[i].member < 0) take(&s, &s.slots[i], least_loaded(&s, s.slots[i].topic));
    }
    balance(&s);
    for (int32_t i = 0; i < s.slot_count; i++) {
        const struct slot *slot = &s.slots[i];
        if (slot->member < 0) continue;
        bool must_be_given_up = cooperative && slot->owner >= 0 && slot->owner != slot->member;
        if (!must_be_given_up) give(&members[slot->member], slot->topic, slot->partition);
    }
}

void assignor_assign(enum assignor assignor, struct assignor_member *members, int32_t member_count,
                     struct assignor_topic *topics, int32_t topic_count, struct arena *arena) {
    if (member_count == 0) return;
    qsort(members, (size_t)member_count, sizeof *members, compare_members);
    qsort(topics, (size_t)topic_count, sizeof *topics, compare_topics);
    size_t total = 0;
    for (int32_t t = 0; t < topic_count; t++)
        total += (size_t)topics[t].partition_count;
    for (int32_t m = 0; m < member_count; m++) {
        members[m].assigned =
            arena_zalloc(arena, MAX(total, (size_t)1), sizeof *members[m].assigned);
        members[m].assigned_count = 0;
    }
    switch (assignor) {
        case ASSIGNOR_RANGE:
            for (int32_t t = 0; t < topic_count; t++)
                assign_range(members, member_count, &topics[t]);
            return;
        case ASSIGNOR_ROUND_ROBIN:
            assign_round_robin(members, member_count, topics, topic_count);
            return;
        default:
            assign_sticky(members, member_count, topics, topic_count,
                          assignor_is_cooperative(assignor), arena);
            return;
    }
}
