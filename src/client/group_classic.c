// A consumer as a member of a group of the classic protocol. An eager member gives up all
// partitions before it joins; a cooperative one (KIP-429) keeps them, gives up what the new
// assignment took away afterwards, and joins once more so that others may have it. The leader waits
// for the metadata of all members' topics, divides, and asks for a new division when they grow,
// come or go.
#include "base/memory.h"
#include "client/group_private.h"

static bool is_cooperative(const struct group_consumer *g) {
    return assignor_is_cooperative(g->assignors[0]);
}

static struct slice metadata(void *context, struct slice protocol, struct arena *arena) {
    struct group_consumer *g = context;
    enum assignor assignor;
    // The protocols are names of assignors.
    return assignor_parse(protocol, &assignor) ? group_subscription(g, assignor, arena)
                                               : SLICE_EMPTY;
}

// ---- Leading ----

static void release_wanted(struct group_consumer *g) {
    for (int32_t i = 0; i < g->wanted_count; i++)
        client_topic_release(g->client, g->wanted[i]);
    g->wanted_count = 0;
}

static void want_topic(struct group_consumer *g, struct slice name) {
    for (int32_t i = 0; i < g->wanted_count; i++) {
        if (slice_equal(g->wanted[i]->name, name)) return;
    }
    size_t count = (size_t)g->wanted_count + 1;
    g->wanted = memory_realloc(g->wanted, count, sizeof(struct client_topic *));
    g->wanted_sizes = memory_realloc(g->wanted_sizes, count, sizeof *g->wanted_sizes);
    g->wanted_sizes[g->wanted_count] = -1;
    g->wanted[g->wanted_count++] = client_topic_want(g->client, name);
}

static int32_t size_of_topic(const struct client_topic *topic) {
    return topic->error == ERR_NONE ? topic->partition_count : 0;
}

static void hand_round(struct group_consumer *g, struct arena *arena) {
    for (int32_t i = 0; i < g->member_count; i++) {
        struct assignor_member *m = &g->members[i];
        for (int32_t r = 0; r < g->member_count; r++) {
            if (!slice_equal(g->rows[r].id, m->id)) continue;
            g->rows[r].assignment = group_assignment_bytes(m, arena);
        }
    }
}

// Divides when the partitions of all topics are known.
static void divide_if_known(struct group_consumer *g) {
    if (g->rows == NULL) return;
    for (int32_t i = 0; i < g->wanted_count; i++) {
        if (!g->wanted[i]->known) return;
    }
    struct arena *arena = g->assign_arena;
    struct assignor_topic *topics =
        arena_zalloc(arena, (size_t)MAX(g->wanted_count, 1), sizeof *topics);
    for (int32_t i = 0; i < g->wanted_count; i++) {
        g->wanted_sizes[i] = size_of_topic(g->wanted[i]);
        topics[i] = (struct assignor_topic){g->wanted[i]->name, g->wanted_sizes[i]};
    }
    assignor_assign(g->assignor, g->members, g->member_count, topics, g->wanted_count, arena);
    hand_round(g, arena);
    g->rows = NULL;
    group_member_assign_done(g->classic);
}

static void assign(void *context, struct slice protocol, struct group_member_row *rows,
                   int32_t count, struct arena *arena) {
    struct group_consumer *g = context;
    if (!assignor_parse(protocol, &g->assignor)) return;  // one of those that we offered
    g->members = arena_zalloc(arena, (size_t)MAX(count, 1), sizeof *g->members);
    g->member_count = count;
    release_wanted(g);
    for (int32_t i = 0; i < count; i++) {
        struct assignor_member *m = &g->members[i];
        m->id = rows[i].id;
        m->instance_id = rows[i].instance_id;
        // A member whose words make no sense gets nothing; the others are not to suffer.
        if (group_parse_member(g->assignor, rows[i].metadata, arena, m) != ERR_NONE) {
            m->topic_count = m->owned_count = 0;
        }
        for (int32_t t = 0; t < m->topic_count; t++)
            want_topic(g, m->topics[t]);
    }
    g->rows = rows;
    g->assign_arena = arena;
    divide_if_known(g);
}

static void metadata_changed(struct client_listener *listener) {
    struct group_consumer *g = container_of(listener, struct group_consumer, listener);
    divide_if_known(g);
    if (!group_member_is_stable(g->classic) || !group_member_is_leader(g->classic)) return;
    for (int32_t i = 0; i < g->wanted_count; i++) {
        const struct client_topic *t = g->wanted[i];
        if (!t->known || g->wanted_sizes[i] < 0 || g->wanted_sizes[i] == size_of_topic(t)) continue;
        group_member_rejoin(g->classic);
        return;
    }
}

// ---- Giving up, taking ----

// The eager sticky assignor tells the leader what it had.
static void remember_previous(struct group_consumer *g) {
    if (g->owned_count == 0) return;
    arena_reset(&g->previous_arena);
    g->previous = arena_zalloc(&g->previous_arena, (size_t)g->owned_count, sizeof *g->previous);
    g->previous_count = g->owned_count;
    for (int32_t i = 0; i < g->owned_count; i++) {
        g->previous[i] = g->owned[i].id;
        g->previous[i].topic = arena_copy(&g->previous_arena, g->owned[i].id.topic);
    }
}

static void go_on(struct group_consumer *g) {
    group_member_go_on(g->classic);
}

static void rebalancing(void *context) {
    struct group_consumer *g = context;
    if (g->step != RECONCILE_NONE) {
        g->is_rebalance_waiting = true;
    } else if (is_cooperative(g)) {
        go_on(g);
    } else {
        remember_previous(g);
        group_reconcile(g, NULL, 0, go_on);
    }
}

static void reconciled(struct group_consumer *g) {
    // What was given up can be another's only in a new generation.
    bool again = g->has_given_up;
    g->has_given_up = false;
    if (g->is_rebalance_waiting) {
        g->is_rebalance_waiting = false;
        rebalancing(g);
    } else if (again) {
        group_member_rejoin(g->classic);
    }
}

static void assigned(void *context, struct slice protocol, struct slice assignment) {
    struct group_consumer *g = context;
    (void)protocol;
    g->rows = NULL;
    struct arena arena;
    arena_init(&arena);
    struct target_partition *target;
    int32_t count;
    enum err e = group_parse_assignment(assignment, &arena, &target, &count);
    if (e != ERR_NONE) {
        struct message text;
        message_set(&text, "the leader's assignment cannot be read: %s", err_text(e));
        group_fail(g, e, &text);
    } else if (!g->is_closing) {
        int32_t kept = 0;
        for (int32_t i = 0; i < count; i++)
            kept += group_find_owned(g, target[i].id.topic, target[i].id.partition) != NULL;
        g->has_given_up = kept < g->owned_count;
        group_reconcile(g, target, count, reconciled);
    }
    arena_deinit(&arena);
}

static void lost(void *context) {
    struct group_consumer *g = context;
    g->rows = NULL;
    g->has_given_up = false;
    group_lose_all(g);
}

static void failed(void *context, enum err error, const struct message *text) {
    group_fail(context, error, text);
}

// ---- Life ----

enum err group_classic_start(struct group_consumer *g, struct message *error) {
    struct slice names[ASSIGNOR_COUNT];
    int32_t count = MIN(g->options.assignor_count, (int32_t)ASSIGNOR_COUNT);
    for (int32_t i = 0; i < count; i++)
        names[i] = slice_cstring(assignor_name(g->assignors[i]));
    struct group_member_options o = group_member_options_default();
    o.group = g->options.group;
    o.instance_id = g->options.instance_id;
    o.protocol_type = SLICE_LITERAL("consumer");
    o.protocols = names;
    o.protocol_count = count;
    o.session_timeout_ms = g->options.session_timeout_ms;
    o.rebalance_timeout_ms = g->options.rebalance_timeout_ms;
    o.heartbeat_interval_ms = g->options.heartbeat_interval_ms;
    o.is_held = g->pattern != NULL;  // until it is known which topics there are
    o.metadata = metadata;
    o.rebalancing = rebalancing;
    o.assign = assign;
    o.assigned = assigned;
    o.lost = lost;
    o.failed = failed;
    o.context = g;
    enum err e = group_member_new(g->client, &o, &g->classic, error);
    if (e != ERR_NONE) return e;
    g->coordinator = group_member_coordinator(g->classic);
    g->listener.changed = metadata_changed;
    client_listen(g->client, &g->listener);
    return ERR_NONE;
}

void group_classic_free(struct group_consumer *g) {
    if (g->classic == NULL) return;
    release_wanted(g);
    client_unlisten(g->client, &g->listener);
    group_member_free(g->classic);
    memory_free(g->wanted);
    memory_free(g->wanted_sizes);
    arena_deinit(&g->previous_arena);
}

void group_classic_resubscribe(struct group_consumer *g) {
    if (g->classic == NULL || g->is_closing) return;
    // The first join waits for this.
    if (group_member_generation(g->classic) < 0) group_member_go_on(g->classic);
    group_member_rejoin(g->classic);
}
