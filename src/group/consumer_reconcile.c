// One step of a member towards the target assignment, after Kafka's CurrentAssignmentBuilder. With
// A what the member has and T its target: it keeps A ∩ T and must give up A \ T first; only when it
// has, it takes the epoch of the target, and of T \ A it gets what nobody has any more. Of T only
// topics count that it subscribes to.
#include <stdlib.h>

#include "group/consumer.h"

// What the member does not speak of, it may still have.
static bool owns_any(const struct reconcile_input *in, const struct partition_list *list) {
    return in->owned == NULL || partition_list_intersects(in->owned, list);
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct uuid));
}

static struct partition_list subscribed_part(const struct reconcile_input *in,
                                             const struct partition_list *list,
                                             struct arena *arena) {
    struct partition_list part = partition_list_new(arena, list->count);
    for (int32_t i = 0, end; i < list->count; i = end) {
        end = partition_list_topic_end(list, i);
        bool is_subscribed = in->topic_count > 0 &&
                             bsearch(&list->items[i].topic, in->topics, (size_t)in->topic_count,
                                     sizeof *in->topics, compare_ids) != NULL;
        for (int32_t k = i; k < end && is_subscribed; k++)
            part.items[part.count++] = list->items[k];
    }
    return part;
}

// The epoch before is known too, since an answer may get lost.
static void set_epoch(struct member_progress *next, int32_t epoch) {
    next->previous_epoch = next->epoch;
    next->epoch = epoch;
}

static struct member_progress next_step(const struct reconcile_input *in, struct arena *arena) {
    const struct member_progress *now = in->now;
    struct partition_list target = subscribed_part(in, in->target, arena);
    struct partition_list kept = partition_list_both(arena, &now->assigned, &target);
    struct partition_list revoking = partition_list_without(arena, &now->assigned, &target);
    struct partition_list wanted = partition_list_without(arena, &target, &now->assigned);
    struct member_progress next = {.epoch = now->epoch,
                                   .previous_epoch = now->previous_epoch,
                                   .state = MEMBER_STABLE,
                                   .assigned = kept};
    if (revoking.count > 0 && owns_any(in, &revoking)) {
        next.state = MEMBER_UNREVOKED_PARTITIONS;
        next.revoking = revoking;
        set_epoch(&next, now->epoch);
        return next;
    }
    struct partition_list free = partition_list_new(arena, wanted.count);
    for (int32_t i = 0; i < wanted.count; i++) {
        const struct group_partition *p = &wanted.items[i];
        bool is_own = partition_list_contains(&now->revoking, p);
        if (!is_own && in->is_owned(in->context, p)) continue;
        free.items[free.count] = *p;
        free.items[free.count++].epoch = in->target_epoch;
    }
    if (free.count < wanted.count) next.state = MEMBER_UNRELEASED_PARTITIONS;
    next.assigned = partition_list_union(arena, &kept, &free);
    set_epoch(&next, in->target_epoch);
    return next;
}

// Partitions of topics that it does not subscribe to any more are given up at once, whatever the
// target says.
static struct member_progress drop_unsubscribed(const struct reconcile_input *in,
                                                struct arena *arena) {
    struct member_progress next = *in->now;
    struct partition_list kept = subscribed_part(in, &next.assigned, arena);
    if (kept.count == next.assigned.count) return next;
    struct partition_list gone = partition_list_without(arena, &next.assigned, &kept);
    struct partition_list revoking = partition_list_union(arena, &next.revoking, &gone);
    next.assigned = kept;
    set_epoch(&next, next.epoch);
    if (!owns_any(in, &revoking)) return next;
    next.revoking = revoking;
    next.state = MEMBER_UNREVOKED_PARTITIONS;
    return next;
}

struct member_progress consumer_reconcile(const struct reconcile_input *in, struct arena *arena) {
    const struct member_progress *now = in->now;
    switch (now->state) {
        case MEMBER_STABLE:
            if (now->epoch != in->target_epoch) return next_step(in, arena);
            return in->subscription_changed ? drop_unsubscribed(in, arena) : *now;
        case MEMBER_UNREVOKED_PARTITIONS:
            // It has to say that it gave up all of them.
            if (owns_any(in, &now->revoking))
                return in->subscription_changed ? drop_unsubscribed(in, arena) : *now;
            return next_step(in, arena);
        case MEMBER_UNRELEASED_PARTITIONS:
            return next_step(in, arena);
    }
    return next_step(in, arena);
}
