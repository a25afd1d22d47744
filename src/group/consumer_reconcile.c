// One step of a member towards the target assignment, after Kafka's CurrentAssignmentBuilder. With
// A what the member has and T its target: it keeps A ∩ T and must give up A \ T first; only when it
// has, it takes the epoch of the target, and of T \ A it gets what nobody has any more.
#include "group/consumer.h"

static bool owns_any(const struct reconcile_input *in, const struct partition_list *list) {
    return in->owned == NULL || partition_list_intersects(in->owned, list);
}

static struct member_progress next_step(const struct reconcile_input *in, struct arena *arena) {
    const struct member_progress *now = in->now;
    struct partition_list kept = partition_list_both(arena, &now->assigned, in->target);
    struct partition_list revoking = partition_list_without(arena, &now->assigned, in->target);
    struct partition_list wanted = partition_list_without(arena, in->target, &now->assigned);
    struct member_progress next = {.epoch = now->epoch,
                                   .previous_epoch = now->previous_epoch,
                                   .state = MEMBER_STABLE,
                                   .assigned = kept};
    if (revoking.count > 0 && owns_any(in, &revoking)) {
        next.state = MEMBER_UNREVOKED_PARTITIONS;
        next.revoking = revoking;
        return next;
    }
    struct partition_list free = partition_list_new(arena, wanted.count);
    for (int32_t i = 0; i < wanted.count; i++)
        if (!in->is_taken(in->context, &wanted.items[i]))
            free.items[free.count++] = wanted.items[i];
    if (free.count < wanted.count) next.state = MEMBER_UNRELEASED_PARTITIONS;
    next.assigned = partition_list_union(arena, &kept, &free);
    if (next.epoch != in->target_epoch) {
        next.previous_epoch = now->epoch;
        next.epoch = in->target_epoch;
    }
    return next;
}

// Partitions of topics that it does not subscribe to any more are given up at once, whatever the
// target says.
static struct member_progress drop_unsubscribed(const struct reconcile_input *in,
                                                struct arena *arena) {
    struct member_progress next = *in->now;
    struct partition_list kept = partition_list_new(arena, next.assigned.count);
    for (int32_t i = 0; i < next.assigned.count; i++) {
        const struct group_partition *p = &next.assigned.items[i];
        for (int32_t k = 0; k < in->topic_count; k++)
            if (uuid_equal(in->topics[k], p->topic)) {
                kept.items[kept.count++] = *p;
                break;
            }
    }
    struct partition_list gone = partition_list_without(arena, &next.assigned, &kept);
    if (gone.count == 0) return next;
    next.assigned = kept;
    if (!owns_any(in, &gone)) return next;
    next.revoking = partition_list_union(arena, &next.revoking, &gone);
    next.state = MEMBER_UNREVOKED_PARTITIONS;
    return next;
}

struct member_progress consumer_reconcile(const struct reconcile_input *in, struct arena *arena) {
    const struct member_progress *now = in->now;
    switch (now->state) {
        case MEMBER_STABLE:
            if (now->epoch != in->target_epoch) return next_step(in, arena);
            return in->unsubscribed ? drop_unsubscribed(in, arena) : *now;
        case MEMBER_UNREVOKED_PARTITIONS:
            // It has to say that it gave up all of them.
            if (in->owned == NULL || partition_list_intersects(in->owned, &now->revoking))
                return in->unsubscribed ? drop_unsubscribed(in, arena) : *now;
            return next_step(in, arena);
        case MEMBER_UNRELEASED_PARTITIONS:
            return next_step(in, arena);
    }
    return next_step(in, arena);
}
