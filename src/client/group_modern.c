// A consumer as a member of a group of KIP-848. The broker names a target by topic ids; as far as
// their names are known it is reconciled, and the broker is told what the member has then. A target
// that comes meanwhile is next.
#include <stdlib.h>

#include "base/memory.h"
#include "client/group_private.h"

static void reconcile_next(struct group_consumer *g);

static int compare_ids(const void *a, const void *b) {
    const struct id_partition *x = a, *y = b;
    int order = memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof x->topic_id.bytes);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void acknowledge(struct group_consumer *g) {
    struct arena arena;
    arena_init(&arena);
    struct id_partition *has = arena_zalloc(&arena, (size_t)MAX(g->owned_count, 1), sizeof *has);
    for (int32_t i = 0; i < g->owned_count; i++) {
        has[i] = (struct id_partition){g->owned[i].topic_id, g->owned[i].id.partition};
    }
    qsort(has, (size_t)g->owned_count, sizeof *has, compare_ids);
    heartbeat_member_has(g->modern, has, g->owned_count);
    arena_deinit(&arena);
}

static void reconciled(struct group_consumer *g) {
    acknowledge(g);
    reconcile_next(g);
}

static void reconcile_next(struct group_consumer *g) {
    if (!g->has_new_target || g->step != RECONCILE_NONE || g->is_closing) return;
    g->has_new_target = false;
    struct arena arena;
    arena_init(&arena);
    size_t size = (size_t)MAX(g->wanted_id_count, 1);
    struct target_partition *target = arena_zalloc(&arena, size, sizeof *target);
    int32_t count = 0;
    for (int32_t i = 0; i < g->wanted_id_count; i++) {
        struct slice name = group_topic_name(g, g->wanted_ids[i].topic_id);
        if (slice_is_null(name)) continue;  // group_modern_go_on comes when it is known
        target[count++] = (struct target_partition){{name, g->wanted_ids[i].partition},
                                                    g->wanted_ids[i].topic_id};
    }
    group_reconcile(g, target, count, reconciled);
    arena_deinit(&arena);
}

void group_modern_go_on(struct group_consumer *g) {
    g->has_new_target = true;
    reconcile_next(g);
}

static void new_target(void *context, const struct id_partition *partitions, int32_t count) {
    struct group_consumer *g = context;
    g->wanted_ids = memory_realloc(g->wanted_ids, (size_t)MAX(count, 1), sizeof *g->wanted_ids);
    if (count > 0) memcpy(g->wanted_ids, partitions, (size_t)count * sizeof *partitions);
    g->wanted_id_count = count;
    g->has_target = true;
    group_modern_go_on(g);
}

static void subscription(void *context, const struct slice **topics, int32_t *count,
                         struct slice *regex) {
    struct group_consumer *g = context;
    *topics = g->topics;
    *count = g->topic_count;
    *regex = g->expression;
}

static void lost(void *context) {
    struct group_consumer *g = context;
    g->has_target = g->has_new_target = false;
    g->wanted_id_count = 0;
    group_lose_all(g);
}

static void failed(void *context, enum err error, const struct message *text) {
    group_fail(context, error, text);
}

enum err group_modern_start(struct group_consumer *g, struct message *error) {
    struct heartbeat_member_options o = {.group = g->options.group,
                                         .instance_id = g->options.instance_id,
                                         .server_assignor = g->options.server_assignor,
                                         .rebalance_timeout_ms = g->options.rebalance_timeout_ms,
                                         .subscription = subscription,
                                         .target = new_target,
                                         .lost = lost,
                                         .failed = failed,
                                         .context = g};
    enum err e = heartbeat_member_new(g->client, &o, &g->modern, error);
    if (e == ERR_NONE) g->coordinator = heartbeat_member_coordinator(g->modern);
    return e;
}

void group_modern_free(struct group_consumer *g) {
    heartbeat_member_free(g->modern);
    memory_free(g->wanted_ids);
}
