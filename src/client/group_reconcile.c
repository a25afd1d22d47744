// From what the member has to what it shall have. One reconciliation is under way at a time; it
// goes through these steps, each of which is skipped when there is nothing to wait for:
//
//     partitions that go are read no further
//     YIELD     the user lets go (`revoking`)
//     COMMIT    what was dealt with is committed
//     REVOKED   `revoked`, and the end of the commits that it began
//     `assigned`, reading begins, `then`
//
// Closing is a reconciliation with nothing, too.
#include <stdlib.h>

#include "base/memory.h"
#include "client/group_private.h"

static bool is_target(const struct group_consumer *g, const struct owned_partition *o) {
    for (int32_t i = 0; i < g->target_count; i++) {
        const struct target_partition *t = &g->target[i];
        if (t->id.partition == o->id.partition && uuid_equal(t->topic_id, o->topic_id) &&
            slice_equal(t->id.topic, o->id.topic)) {
            return true;
        }
    }
    return false;
}

static int compare_owned(const void *a, const void *b) {
    const struct owned_partition *x = a, *y = b;
    int order = slice_compare(x->id.topic, y->id.topic);
    return order != 0 ? order
                      : (x->id.partition > y->id.partition) - (x->id.partition < y->id.partition);
}

// Those that leave are taken out; with `lost` the group has forgotten us.
static void take_away(struct group_consumer *g) {
    int32_t count = 0;
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        if (!o->is_leaving) {
            g->owned[count++] = *o;
            continue;
        }
        if (g->last.partition == o->id.partition && slice_equal(g->last.topic, o->id.topic)) {
            g->last.topic = SLICE_NULL;
        }
        if (o->is_reading) consumer_unassign(g->reader, o->id.topic, o->id.partition);
    }
    g->owned_count = count;
}

static void tell_revoked(struct group_consumer *g, bool lost) {
    struct arena arena;
    arena_init(&arena);
    struct topic_partition *gone =
        arena_zalloc(&arena, (size_t)MAX(g->owned_count, 1), sizeof *gone);
    int32_t count = 0;
    for (int32_t i = 0; i < g->owned_count; i++) {
        if (g->owned[i].is_leaving) gone[count++] = g->owned[i].id;
    }
    if (count > 0 && g->options.revoked != NULL) {
        g->options.revoked(g->options.context, gone, count, lost);
    }
    arena_deinit(&arena);
}

// The target becomes what it has; partitions that stay keep their state.
static void take_target(struct group_consumer *g) {
    struct arena arena;
    arena_init(&arena);
    size_t size = (size_t)MAX(g->target_count, 1);
    struct owned_partition *owned = arena_zalloc(&arena, size, sizeof *owned);
    struct topic_partition *added = arena_zalloc(&arena, size, sizeof *added);
    int32_t added_count = 0;
    for (int32_t i = 0; i < g->target_count; i++) {
        const struct target_partition *t = &g->target[i];
        const struct owned_partition *old = group_find_owned(g, t->id.topic, t->id.partition);
        owned[i] = (struct owned_partition){.dealt_with = -1, .committed = -1};
        if (old != NULL) owned[i] = *old;
        owned[i].id.topic = arena_copy(&arena, t->id.topic);
        owned[i].id.partition = t->id.partition;
        owned[i].topic_id = t->topic_id;
        if (old == NULL) added[added_count++] = owned[i].id;
    }
    qsort(owned, (size_t)g->target_count, sizeof *owned, compare_owned);
    arena_deinit(&g->owned_arena);
    g->owned_arena = arena;
    g->owned = owned;
    g->owned_count = g->target_count;
    if (g->options.assigned != NULL && !g->is_closing) {
        g->options.assigned(g->options.context, added, added_count);
    }
}

static void finish(struct group_consumer *g) {
    take_away(g);
    take_target(g);
    g->step = RECONCILE_NONE;
    void (*then)(struct group_consumer *) = g->then;
    if (g->is_closing && then != group_leave) {
        group_reconcile(g, NULL, 0, group_leave);
        return;
    }
    if (!g->is_closing) group_fetch_offsets(g);
    then(g);
    group_wake(g);
}

static void tell(struct group_consumer *g) {
    g->step = RECONCILE_REVOKED;
    tell_revoked(g, false);
    if (!group_is_committing(g)) finish(g);
}

static void begin(struct group_consumer *g) {
    g->step = RECONCILE_COMMIT;
    if (g->options.auto_commit) (void)group_commit_dealt_with(g);
    if (!group_is_committing(g)) tell(g);
}

void group_commits_ended(struct group_consumer *g) {
    if (g->step == RECONCILE_COMMIT) {
        tell(g);
    } else if (g->step == RECONCILE_REVOKED) {
        finish(g);
    }
}

void group_consumer_yield(struct group_consumer *g) {
    if (g->step == RECONCILE_YIELD) begin(g);
}

void group_reconcile(struct group_consumer *g, const struct target_partition *target, int32_t count,
                     void (*then)(struct group_consumer *g)) {
    arena_reset(&g->target_arena);
    g->target = arena_zalloc(&g->target_arena, (size_t)MAX(count, 1), sizeof *g->target);
    g->target_count = count;
    for (int32_t i = 0; i < count; i++) {
        g->target[i] = target[i];
        g->target[i].id.topic = arena_copy(&g->target_arena, target[i].id.topic);
    }
    g->then = then;
    bool takes = false;
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        o->is_leaving = !is_target(g, o);
        if (!o->is_leaving) continue;
        takes = true;
        if (o->is_reading) consumer_pause(g->reader, o->id.topic, o->id.partition, true);
    }
    if (!takes) {
        finish(g);
    } else if (g->options.revoking != NULL && !g->is_closing) {
        g->step = RECONCILE_YIELD;
        g->options.revoking(g->options.context);
    } else {
        begin(g);
    }
}

void group_lose_all(struct group_consumer *g) {
    bool was_closing = g->is_closing && g->step != RECONCILE_NONE;
    g->step = RECONCILE_NONE;
    g->is_rebalance_waiting = false;
    for (int32_t i = 0; i < g->owned_count; i++)
        g->owned[i].is_leaving = true;
    tell_revoked(g, true);
    take_away(g);
    if (was_closing) group_leave(g);
}
