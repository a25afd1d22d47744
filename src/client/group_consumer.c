// The member's life in a group of the classic protocol.
//
//     JOINING -> (leader: ASSIGNING ->) SYNCING -> STABLE -> … a rebalance: JOINING again
//
// An eager member gives up all partitions before it joins; a cooperative one (KIP-429) keeps them,
// gives up what the new assignment took away afterwards, and joins once more so that others may
// have it. What is given up is committed first. When the group has forgotten the member (a session
// that timed out), everything is gone at once and it joins as a new one.
#include <stdlib.h>

#include "base/memory.h"
#include "client/group_private.h"

#define MS UINT64_C(1000000)

enum { JOIN_GRACE_MS = 5000 };

static void send_join(struct group_consumer *g);
static void send_sync(struct group_consumer *g);

struct group_consumer_options group_consumer_options_default(void) {
    static const enum assignor range = ASSIGNOR_RANGE;
    return (struct group_consumer_options){
        .instance_id = SLICE_NULL,
        .assignors = &range,
        .assignor_count = 1,
        .session_timeout_ms = 45000,
        .rebalance_timeout_ms = 300000,
        .heartbeat_interval_ms = 3000,
        .auto_commit = true,
        .auto_commit_interval_ms = 5000,
        .reset = OFFSET_LATEST,
        .consumer = consumer_options_default(),
    };
}

static bool is_cooperative(const struct group_consumer *g) {
    return assignor_is_cooperative(g->assignors[0]);
}

void group_wake(struct group_consumer *g) {
    void (*ready)(void *) = g->ready;
    g->ready = NULL;
    if (ready != NULL) ready(g->ready_context);
}

void group_fail(struct group_consumer *g, enum err error, const char *what) {
    if (g->state == GROUP_LEAVING || g->state == GROUP_FAILED) return;
    g->state = GROUP_FAILED;
    g->failed_with = error;
    message_set(&g->failure, "group %.*s: %s: %s", SLICE_PRINT(g->options.group), what,
                err_text(error));
    env_timer_stop(g->env, &g->heartbeat_timer);
    group_wake(g);
}

static void set_member_id(struct group_consumer *g, struct slice id) {
    size_t size = MIN(id.size, sizeof g->member_memory);
    if (size > 0) memcpy(g->member_memory, id.data, size);
    g->member_id = slice_of(g->member_memory, size);
}

// ---- What it has ----

static int compare_owned(const void *a, const void *b) {
    const struct owned_partition *x = a, *y = b;
    int order = slice_compare(x->id.topic, y->id.topic);
    return order != 0 ? order
                      : (x->id.partition > y->id.partition) - (x->id.partition < y->id.partition);
}

static bool is_among(const struct topic_partition *list, int32_t count, struct topic_partition id) {
    for (int32_t i = 0; i < count; i++) {
        if (list[i].partition == id.partition && slice_equal(list[i].topic, id.topic)) return true;
    }
    return false;
}

// Replaces what it has by `next`; partitions that stay keep their state. Slices of `next` are
// copied.
static void set_owned(struct group_consumer *g, const struct topic_partition *next, int32_t count) {
    struct arena arena;
    arena_init(&arena);
    struct owned_partition *owned = arena_zalloc(&arena, (size_t)MAX(count, 1), sizeof *owned);
    for (int32_t i = 0; i < count; i++) {
        owned[i] = (struct owned_partition){next[i], false, -1, -1};
        for (int32_t j = 0; j < g->owned_count; j++) {
            const struct owned_partition *o = &g->owned[j];
            if (o->id.partition == next[i].partition && slice_equal(o->id.topic, next[i].topic)) {
                owned[i] = *o;
            }
        }
        owned[i].id.topic = arena_copy(&arena, next[i].topic);
    }
    qsort(owned, (size_t)count, sizeof *owned, compare_owned);
    arena_deinit(&g->owned_arena);
    g->owned_arena = arena;
    g->owned = owned;
    g->owned_count = count;
}

// Takes away every partition that is not in `kept`, and tells.
static void give_up(struct group_consumer *g, const struct topic_partition *kept,
                    int32_t kept_count, bool lost) {
    struct arena arena;
    arena_init(&arena);
    size_t size = (size_t)MAX(g->owned_count, 1);
    struct topic_partition *gone = arena_zalloc(&arena, size, sizeof *gone);
    struct topic_partition *stay = arena_zalloc(&arena, size, sizeof *stay);
    int32_t gone_count = 0, stay_count = 0;
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        if (is_among(kept, kept_count, o->id)) {
            stay[stay_count++] = o->id;
            continue;
        }
        if (o->is_reading) consumer_unassign(g->reader, o->id.topic, o->id.partition);
        gone[gone_count++] = o->id;
    }
    if (gone_count > 0 && g->options.revoked != NULL) {
        g->options.revoked(g->options.context, gone, gone_count, lost);
    }
    if (gone_count > 0) set_owned(g, stay, stay_count);
    arena_deinit(&arena);
}

// ---- Joining ----

static void join_later(struct group_consumer *g, uint32_t tries) {
    g->state = GROUP_JOINING;
    uint64_t wait = tries == 0 ? 0 : client_backoff_ns(g->group_client, tries);
    env_timer_start(g->env, &g->join_timer, env_now_ns(g->env) + wait);
}

static void remember_previous(struct group_consumer *g) {
    if (g->owned_count == 0) return;
    memory_free(g->previous);
    // Names live in the memory of the subscribed topics: what is owned is always one of them.
    g->previous = memory_zalloc((size_t)g->owned_count, sizeof *g->previous);
    g->previous_count = 0;
    for (int32_t i = 0; i < g->owned_count; i++) {
        for (int32_t t = 0; t < g->options.topic_count; t++) {
            if (!slice_equal(g->topics[t], g->owned[i].id.topic)) continue;
            g->previous[g->previous_count++] =
                (struct topic_partition){g->topics[t], g->owned[i].id.partition};
        }
    }
}

static void join_after_commit(struct group_consumer *g) {
    if (g->state != GROUP_JOINING) return;
    if (!is_cooperative(g)) {
        remember_previous(g);
        give_up(g, NULL, 0, false);
    }
    send_join(g);
}

static void join_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, join_timer);
    if (g->state != GROUP_JOINING) return;
    env_timer_stop(g->env, &g->heartbeat_timer);
    bool commits = g->options.auto_commit && g->owned_count > 0 && !is_cooperative(g) &&
                   group_commit_start(g, join_after_commit);
    if (!commits) join_after_commit(g);
}

void group_rejoin(struct group_consumer *g) {
    if (g->state == GROUP_LEAVING || g->state == GROUP_FAILED) return;
    if (g->state == GROUP_JOINING) return;
    if (g->sync_busy) {
        g->rejoin = true;
        return;
    }
    join_later(g, 0);
}

void group_lose(struct group_consumer *g) {
    if (g->state == GROUP_LEAVING || g->state == GROUP_FAILED) return;
    set_member_id(g, SLICE_EMPTY);
    g->generation = -1;
    join_later(g, 1);
    if (g->sync_busy) coordinator_call_cancel(&g->sync);
    give_up(g, NULL, 0, true);
}

static enum err join_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct join_group_response *)call->call.response)->error_code);
}

static void release_wanted(struct group_consumer *g) {
    for (int32_t i = 0; i < g->wanted_count; i++)
        client_topic_release(g->client, g->wanted[i]);
    g->wanted_count = 0;
}

static void want_topic(struct group_consumer *g, struct slice name) {
    for (int32_t i = 0; i < g->wanted_count; i++) {
        if (slice_equal(g->wanted[i]->name, name)) return;
    }
    g->wanted = memory_realloc(g->wanted, (size_t)g->wanted_count + 1, sizeof *g->wanted);
    g->wanted[g->wanted_count++] = client_topic_want(g->client, name);
}

// The leader: divides when the partitions of all topics are known.
static void assign_if_known(struct group_consumer *g) {
    if (g->state != GROUP_ASSIGNING) return;
    for (int32_t i = 0; i < g->wanted_count; i++) {
        if (!g->wanted[i]->known) return;
    }
    struct arena *arena = &g->sync_arena;
    struct assignor_topic *topics =
        arena_zalloc(arena, (size_t)MAX(g->wanted_count, 1), sizeof *topics);
    int32_t count = 0;
    for (int32_t i = 0; i < g->wanted_count; i++) {
        if (g->wanted[i]->error != ERR_NONE) continue;
        topics[count++] =
            (struct assignor_topic){g->wanted[i]->name, g->wanted[i]->partition_count};
    }
    assignor_assign(g->assignor, g->members, g->member_count, topics, count, arena);
    g->wanted_topics =
        memory_realloc(g->wanted_topics, (size_t)MAX(g->wanted_count, 1), sizeof *g->wanted_topics);
    for (int32_t i = 0; i < g->wanted_count; i++) {
        g->wanted_topics[i] = (struct assignor_topic){
            g->wanted[i]->name,
            g->wanted[i]->error == ERR_NONE ? g->wanted[i]->partition_count : 0};
    }
    send_sync(g);
}

static enum err become_leader(struct group_consumer *g, const struct join_group_response *r) {
    struct arena *arena = &g->sync_arena;
    g->members = arena_zalloc(arena, (size_t)MAX(r->members_count, 1), sizeof *g->members);
    g->member_count = 0;
    release_wanted(g);
    for (int32_t i = 0; i < r->members_count; i++) {
        struct assignor_member *m = &g->members[g->member_count++];
        m->id = arena_copy(arena, r->members[i].member_id);
        m->instance_id = arena_copy(arena, r->members[i].group_instance_id);
        // The answer is released soon: what is parsed points into a copy.
        struct slice metadata = arena_copy(arena, r->members[i].metadata);
        enum err e = group_parse_member(g->assignor, metadata, arena, m);
        if (e != ERR_NONE) return e;
        for (int32_t t = 0; t < m->topic_count; t++)
            want_topic(g, m->topics[t]);
    }
    return ERR_NONE;
}

static void joined(struct group_consumer *g, const struct join_group_response *r) {
    set_member_id(g, r->member_id);
    g->generation = r->generation_id;
    if (!assignor_parse(r->protocol_name, &g->assignor)) {
        group_fail(g, ERR_INCONSISTENT_GROUP_PROTOCOL, "the group's assignor is not ours");
        return;
    }
    arena_reset(&g->sync_arena);
    g->members = NULL;
    g->member_count = 0;
    g->is_leader = slice_equal(r->leader, r->member_id);
    env_timer_start(g->env, &g->heartbeat_timer,
                    env_now_ns(g->env) + (uint64_t)g->options.heartbeat_interval_ms * MS);
    if (!g->is_leader || r->skip_assignment) {
        send_sync(g);
        return;
    }
    enum err e = become_leader(g, r);
    if (e != ERR_NONE) {
        group_fail(g, e, "a member's subscription cannot be read");
        return;
    }
    g->state = GROUP_ASSIGNING;
    assign_if_known(g);
}

static void join_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, join);
    g->join_busy = false;
    const struct join_group_response *r = call->call.response;
    if (g->state == GROUP_JOINING && result == ERR_NONE) {
        joined(g, r);
    } else if (g->state == GROUP_JOINING && result == ERR_MEMBER_ID_REQUIRED && r != NULL) {
        set_member_id(g, r->member_id);
        client_call_release(&call->call);
        join_later(g, 0);
        return;
    } else if (g->state == GROUP_JOINING &&
               (result == ERR_UNKNOWN_MEMBER_ID || result == ERR_ILLEGAL_GENERATION)) {
        client_call_release(&call->call);
        group_lose(g);
        return;
    } else if (g->state == GROUP_JOINING && result == ERR_REBALANCE_IN_PROGRESS) {
        join_later(g, 1);
    } else if (g->state == GROUP_JOINING && result != ERR_CANCELLED) {
        group_fail(g, result, "it cannot be joined");
    }
    client_call_release(&call->call);
}

static void join_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, join);
    if (call->version >= 5) g->join_request.group_instance_id = g->options.instance_id;
}

static void send_join(struct group_consumer *g) {
    if (g->join_busy) return;
    arena_reset(&g->join_arena);
    struct join_group_request *r = &g->join_request;
    codec_init(&join_group_request_codec, r);
    r->group_id = g->options.group;
    r->session_timeout_ms = g->options.session_timeout_ms;
    r->rebalance_timeout_ms = g->options.rebalance_timeout_ms;
    r->member_id = arena_copy(&g->join_arena, g->member_id);
    r->protocol_type = SLICE_LITERAL("consumer");
    r->protocols_count = g->options.assignor_count;
    r->protocols = join_group_request_protocol_new(&g->join_arena, r->protocols_count);
    for (int32_t i = 0; i < r->protocols_count; i++) {
        r->protocols[i].name = slice_cstring(assignor_name(g->assignors[i]));
        r->protocols[i].metadata = group_subscription(g, g->assignors[i], &g->join_arena);
    }
    g->join_busy = true;
    uint64_t patience = (uint64_t)(g->options.rebalance_timeout_ms + JOIN_GRACE_MS) * MS;
    g->join = (struct coordinator_call){
        .call = {.api = API_JOIN_GROUP,
                 .version_min = 1,
                 .version_max = INT16_MAX,
                 .message = r,
                 .prepare = join_prepare,
                 .deadline_ns = env_now_ns(g->env) + patience},
        .verdict = join_verdict,
        .done = join_done,
    };
    coordinator_call_start(&g->coordinator, &g->join);
}

// ---- Syncing ----

static void stable(struct group_consumer *g, const struct topic_partition *next, int32_t count) {
    bool took_away = false;
    for (int32_t i = 0; i < g->owned_count; i++)
        took_away |= !is_among(next, count, g->owned[i].id);
    give_up(g, next, count, false);
    struct arena arena;
    arena_init(&arena);
    struct topic_partition *added = arena_zalloc(&arena, (size_t)MAX(count, 1), sizeof *added);
    int32_t added_count = 0;
    for (int32_t i = 0; i < count; i++) {
        bool has = false;
        for (int32_t j = 0; j < g->owned_count; j++) {
            has |= g->owned[j].id.partition == next[i].partition &&
                   slice_equal(g->owned[j].id.topic, next[i].topic);
        }
        if (!has) added[added_count++] = next[i];
    }
    set_owned(g, next, count);
    g->state = GROUP_STABLE;
    if (g->options.assigned != NULL) g->options.assigned(g->options.context, added, added_count);
    arena_deinit(&arena);
    group_fetch_offsets(g);
    // What was given up can be another's only in a new generation.
    if ((took_away && is_cooperative(g)) || g->rejoin) {
        g->rejoin = false;
        group_rejoin(g);
    }
    group_wake(g);
}

static enum err sync_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct sync_group_response *)call->call.response)->error_code);
}

static void take_assignment(struct group_consumer *g, struct slice bytes) {
    struct topic_partition *next;
    int32_t count;
    enum err e = group_parse_assignment(bytes, &g->sync_arena, &next, &count);
    if (e != ERR_NONE) {
        group_fail(g, e, "the assignment cannot be read");
        return;
    }
    stable(g, next, count);
}

// A cooperative member commits before it gives anything up: the assignment waits for that.
static void sync_after_commit(struct group_consumer *g) {
    if (g->state == GROUP_SYNCING && !g->sync_busy) take_assignment(g, g->pending_assignment);
}

static void sync_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, sync);
    g->sync_busy = false;
    if (g->state == GROUP_SYNCING && result == ERR_NONE) {
        const struct sync_group_response *r = call->call.response;
        g->pending_assignment = arena_copy(&g->sync_arena, r->assignment);
        bool commits = g->options.auto_commit && is_cooperative(g) && g->owned_count > 0 &&
                       group_commit_start(g, sync_after_commit);
        if (!commits) sync_after_commit(g);
    } else if (g->state == GROUP_SYNCING && result == ERR_REBALANCE_IN_PROGRESS) {
        join_later(g, 0);
    } else if (g->state == GROUP_SYNCING &&
               (result == ERR_UNKNOWN_MEMBER_ID || result == ERR_ILLEGAL_GENERATION)) {
        client_call_release(&call->call);
        group_lose(g);
        return;
    } else if (g->state == GROUP_SYNCING && result != ERR_CANCELLED) {
        group_fail(g, result, "its assignment cannot be had");
    }
    client_call_release(&call->call);
}

static void sync_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, sync);
    if (call->version >= 3) g->sync_request.group_instance_id = g->options.instance_id;
    if (call->version >= 5) {
        g->sync_request.protocol_type = SLICE_LITERAL("consumer");
        g->sync_request.protocol_name = slice_cstring(assignor_name(g->assignor));
    }
}

static void send_sync(struct group_consumer *g) {
    g->state = GROUP_SYNCING;
    struct sync_group_request *r = &g->sync_request;
    codec_init(&sync_group_request_codec, r);
    r->group_id = g->options.group;
    r->generation_id = g->generation;
    r->member_id = arena_copy(&g->sync_arena, g->member_id);
    r->assignments = sync_group_request_assignment_new(&g->sync_arena, MAX(g->member_count, 1));
    for (int32_t i = 0; i < g->member_count; i++) {
        r->assignments[i].member_id = g->members[i].id;
        r->assignments[i].assignment = group_assignment_bytes(&g->members[i], &g->sync_arena);
    }
    r->assignments_count = g->member_count;
    g->sync_busy = true;
    uint64_t patience = (uint64_t)(g->options.rebalance_timeout_ms + JOIN_GRACE_MS) * MS;
    g->sync = (struct coordinator_call){
        .call = {.api = API_SYNC_GROUP,
                 .version_max = INT16_MAX,
                 .message = r,
                 .prepare = sync_prepare,
                 .deadline_ns = env_now_ns(g->env) + patience},
        .verdict = sync_verdict,
        .done = sync_done,
    };
    coordinator_call_start(&g->coordinator, &g->sync);
}

// ---- Heartbeats, automatic commits, new metadata ----

static enum err heartbeat_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct heartbeat_response *)call->call.response)->error_code);
}

static void heartbeat_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, heartbeat);
    g->heartbeat_busy = false;
    client_call_release(&call->call);
    if (g->heartbeat_request.generation_id != g->generation) return;  // of an earlier life
    if (result == ERR_REBALANCE_IN_PROGRESS) {
        group_rejoin(g);
    } else if (result == ERR_UNKNOWN_MEMBER_ID || result == ERR_ILLEGAL_GENERATION) {
        if (g->state != GROUP_JOINING) group_lose(g);
    } else if (result == ERR_FENCED_INSTANCE_ID) {
        group_fail(g, result, "another member has this instance id");
    }
}

static void heartbeat_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, heartbeat);
    if (call->version >= 3) g->heartbeat_request.group_instance_id = g->options.instance_id;
}

static void heartbeat_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, heartbeat_timer);
    if (g->state == GROUP_LEAVING || g->state == GROUP_FAILED || g->generation < 0) return;
    uint64_t now = env_now_ns(g->env);
    env_timer_start(g->env, timer, now + (uint64_t)g->options.heartbeat_interval_ms * MS);
    if (g->heartbeat_busy || g->state == GROUP_JOINING) return;
    struct heartbeat_request *r = &g->heartbeat_request;
    codec_init(&heartbeat_request_codec, r);
    r->group_id = g->options.group;
    r->generation_id = g->generation;
    r->member_id = g->member_id;
    g->heartbeat_busy = true;
    g->heartbeat = (struct coordinator_call){
        .call = {.api = API_HEARTBEAT,
                 .version_max = INT16_MAX,
                 .message = r,
                 .prepare = heartbeat_prepare,
                 .deadline_ns = now + (uint64_t)g->options.session_timeout_ms * MS},
        .verdict = heartbeat_verdict,
        .done = heartbeat_done,
    };
    coordinator_call_start(&g->coordinator, &g->heartbeat);
}

static void commit_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, commit_timer);
    uint64_t interval = (uint64_t)g->options.auto_commit_interval_ms * MS;
    env_timer_start(g->env, timer, env_now_ns(g->env) + interval);
    if (g->state == GROUP_STABLE && !g->commit_busy) group_commit_start(g, NULL);
}

// Topics that grew, came or went: the leader asks for a new division.
static void metadata_changed(struct client_listener *listener) {
    struct group_consumer *g = container_of(listener, struct group_consumer, listener);
    assign_if_known(g);
    if (g->state != GROUP_STABLE || !g->is_leader) return;
    for (int32_t i = 0; i < g->wanted_count; i++) {
        const struct client_topic *t = g->wanted[i];
        if (!t->known) continue;
        int32_t count = t->error == ERR_NONE ? t->partition_count : 0;
        if (g->wanted_topics != NULL && g->wanted_topics[i].partition_count != count) {
            group_rejoin(g);
            return;
        }
    }
}

// ---- Life ----

static void tell_closed(struct group_consumer *g) {
    void (*closed)(void *) = g->closed;
    g->closed = NULL;
    if (closed != NULL) closed(g->closed_context);
}

static void run_closed(struct env_task *task) {
    tell_closed(container_of(task, struct group_consumer, closed_task));
}

static enum err check_options(const struct group_consumer_options *o, struct message *error) {
    if (o->group.size == 0) {
        message_set(error, "a group needs a name");
        return ERR_INVALID;
    }
    if (o->topic_count == 0 || o->assignor_count == 0) {
        message_set(error, "a member of a group needs topics and assignors");
        return ERR_INVALID;
    }
    for (int32_t i = 1; i < o->assignor_count; i++) {
        if (assignor_is_cooperative(o->assignors[i]) != assignor_is_cooperative(o->assignors[0])) {
            message_set(error, "cooperative-sticky cannot be offered beside the other assignors");
            return ERR_INVALID;
        }
    }
    return ERR_NONE;
}

static void copy_options(struct group_consumer *g, const struct group_consumer_options *options) {
    g->options = *options;
    g->options.group = arena_copy(&g->arena, options->group);
    g->options.instance_id = arena_copy(&g->arena, options->instance_id);
    g->topics = arena_zalloc(&g->arena, (size_t)options->topic_count, sizeof *g->topics);
    g->assignors = arena_zalloc(&g->arena, (size_t)options->assignor_count, sizeof *g->assignors);
    for (int32_t i = 0; i < options->topic_count; i++) {
        g->topics[i] = arena_copy(&g->arena, options->topics[i]);
    }
    for (int32_t i = 0; i < options->assignor_count; i++)
        g->assignors[i] = options->assignors[i];
    g->options.topics = g->topics;
    g->options.assignors = g->assignors;
}

enum err group_consumer_new(struct client *client, const struct group_consumer_options *options,
                            struct group_consumer **consumer, struct message *error) {
    enum err e = check_options(options, error);
    if (e != ERR_NONE) return e;
    struct group_consumer *g = memory_zalloc(1, sizeof *g);
    e = client_new(client_env(client), client_get_options(client), &g->group_client, error);
    if (e != ERR_NONE) {
        memory_free(g);
        return e;
    }
    g->env = client_env(client);
    g->client = client;
    copy_options(g, options);
    coordinator_init(&g->coordinator, g->group_client, g->options.group, COORDINATOR_GROUP);
    g->reader = consumer_new(client, &g->options.consumer);
    g->generation = -1;
    set_member_id(g, SLICE_EMPTY);
    env_timer_init(&g->join_timer, join_due);
    env_timer_init(&g->heartbeat_timer, heartbeat_due);
    env_timer_init(&g->commit_timer, commit_due);
    env_task_init(&g->closed_task, run_closed);
    list_init(&g->listener.link);
    g->listener.changed = metadata_changed;
    client_listen(client, &g->listener);
    join_later(g, 0);
    if (g->options.auto_commit) {
        uint64_t interval = (uint64_t)g->options.auto_commit_interval_ms * MS;
        env_timer_start(g->env, &g->commit_timer, env_now_ns(g->env) + interval);
    }
    *consumer = g;
    return ERR_NONE;
}

void group_consumer_free(struct group_consumer *g) {
    if (g == NULL) return;
    g->state = GROUP_LEAVING;
    g->closed = NULL;
    g->after_commit = NULL;
    struct coordinator_call *calls[] = {&g->join,   &g->sync,  &g->heartbeat,
                                        &g->commit, &g->fetch, &g->leave};
    bool busy[] = {g->join_busy,   g->sync_busy,  g->heartbeat_busy,
                   g->commit_busy, g->fetch_busy, g->leave_busy};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        if (busy[i]) coordinator_call_cancel(calls[i]);
    }
    env_timer_stop(g->env, &g->join_timer);
    env_timer_stop(g->env, &g->heartbeat_timer);
    env_timer_stop(g->env, &g->commit_timer);
    env_defer_cancel(g->env, &g->closed_task);
    release_wanted(g);
    client_unlisten(g->client, &g->listener);
    coordinator_deinit(&g->coordinator);
    consumer_free(g->reader);
    client_free(g->group_client);
    struct arena *arenas[] = {&g->arena,       &g->join_arena,  &g->sync_arena, &g->commit_arena,
                              &g->fetch_arena, &g->leave_arena, &g->owned_arena};
    for (size_t i = 0; i < COUNT_OF(arenas); i++)
        arena_deinit(arenas[i]);
    memory_free(g->wanted);
    memory_free(g->wanted_topics);
    memory_free(g->previous);
    memory_free(g);
}

static void leave_done(struct coordinator_call *call, UNUSED enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, leave);
    g->leave_busy = false;
    client_call_release(&call->call);
    tell_closed(g);
}

static void leave_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, leave);
    struct leave_group_request *r = &g->leave_request;
    codec_init(&leave_group_request_codec, r);
    r->group_id = g->options.group;
    if (call->version < 3) {
        r->member_id = g->member_id;
        return;
    }
    arena_reset(&g->leave_arena);
    r->members = leave_group_request_member_new(&g->leave_arena, 1);
    r->members_count = 1;
    r->members[0].member_id = g->member_id;
}

static void leave(struct group_consumer *g) {
    if (g->member_id.size == 0 || !slice_is_null(g->options.instance_id)) {
        env_defer(g->env, &g->closed_task);
        return;
    }
    g->leave_busy = true;
    g->leave = (struct coordinator_call){
        .call = {.api = API_LEAVE_GROUP,
                 .version_max = INT16_MAX,
                 .message = &g->leave_request,
                 .prepare = leave_prepare,
                 .deadline_ns = env_now_ns(g->env) + (uint64_t)JOIN_GRACE_MS * MS},
        .done = leave_done,
    };
    coordinator_call_start(&g->coordinator, &g->leave);
}

void group_consumer_close(struct group_consumer *g, void (*done)(void *context), void *context) {
    g->closed = done;
    g->closed_context = context;
    bool was_stable = g->state == GROUP_STABLE;
    g->state = GROUP_LEAVING;
    env_timer_stop(g->env, &g->join_timer);
    env_timer_stop(g->env, &g->heartbeat_timer);
    env_timer_stop(g->env, &g->commit_timer);
    if (g->join_busy) coordinator_call_cancel(&g->join);
    if (g->sync_busy) coordinator_call_cancel(&g->sync);
    group_note_positions(g);
    bool commits = was_stable && g->options.auto_commit && group_commit_start(g, leave);
    if (!commits) leave(g);
}

// ---- Reading ----

enum err group_consumer_next(struct group_consumer *g, struct consumer_record *record,
                             struct message *error) {
    group_note_positions(g);
    if (g->state == GROUP_FAILED && !g->failure_told) {
        g->failure_told = true;
        *record = (struct consumer_record){.partition = -1};
        *error = g->failure;
        return g->failed_with;
    }
    return consumer_next(g->reader, record, error);
}

static void reader_ready(void *context) {
    group_wake(context);
}

void group_consumer_on_ready(struct group_consumer *g, void (*ready)(void *context),
                             void *context) {
    g->ready = ready;
    g->ready_context = context;
    consumer_on_ready(g->reader, reader_ready, g);
}

bool group_consumer_is_stable(const struct group_consumer *g) {
    return g->state == GROUP_STABLE;
}

int32_t group_consumer_assignment_count(const struct group_consumer *g) {
    return g->owned_count;
}

struct topic_partition group_consumer_assignment(const struct group_consumer *g, int32_t index) {
    return g->owned[index].id;
}

int32_t group_consumer_generation(const struct group_consumer *g) {
    return g->generation;
}

struct consumer *group_consumer_reader(struct group_consumer *g) {
    return g->reader;
}
