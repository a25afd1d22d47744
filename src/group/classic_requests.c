// The requests of the classic protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. The checks
// come in Kafka's order, since clients act on the first error that they are told.
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "group/classic.h"
#include "wire/codec.h"

enum {
    NEW_MEMBER_JOIN_TIMEOUT_MS = 300000,
    JOIN_VERSION_KNOWN_ID = 4,  // KIP-394: a member's id is given out first
    JOIN_VERSION_NULL_PROTOCOL = 7,
    JOIN_VERSION_SKIP_ASSIGNMENT = 9,
    LEAVE_VERSION_BATCH = 3,
};

// KIP-345: a static member is known by its instance, and a newer one with the same instance fences
// the older.
static enum err check_member(const struct classic_group *c, struct slice member_id,
                             struct slice instance_id) {
    if (!slice_is_null(instance_id)) {
        const struct classic_member *m = classic_member_of_instance(c, instance_id);
        if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
        return slice_equal(m->id, member_id) ? ERR_NONE : ERR_FENCED_INSTANCE_ID;
    }
    return classic_member_of(c, member_id) == NULL ? ERR_UNKNOWN_MEMBER_ID : ERR_NONE;
}

static int32_t size_max(const struct group_shard *s) {
    return config_int(s->coordinator->config, BROKER_GROUP_MAX_SIZE);
}

// ---- JoinGroup ----

void classic_fail_join(struct group_call *call, enum err error, struct slice member_id) {
    struct join_group_response *out = call->response;
    codec_init(&join_group_response_codec, out);
    out->error_code = err_wire(error);
    out->member_id = arena_copy(call->arena, member_id);
    out->generation_id = -1;
    out->leader = SLICE_EMPTY;
    out->protocol_type = SLICE_NULL;
    out->protocol_name = call->version >= JOIN_VERSION_NULL_PROTOCOL ? SLICE_NULL : SLICE_EMPTY;
}

static void put_members(const struct classic_group *c, struct group_call *call) {
    struct join_group_response *out = call->response;
    out->members = join_group_response_member_new(call->arena, (int32_t)c->members.count);
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        struct join_group_response_member *member = &out->members[out->members_count++];
        member->member_id = arena_copy(call->arena, m->id);
        member->group_instance_id = arena_copy(call->arena, m->instance_id);
        for (int32_t i = 0; i < m->protocol_count; i++) {
            if (slice_equal(m->protocols[i].name, c->protocol_name)) {
                member->metadata = arena_copy(call->arena, m->protocols[i].metadata);
            }
        }
    }
}

void classic_answer_join(struct classic_member *m, struct group_call *call, bool with_members,
                         bool skip_assignment) {
    const struct classic_group *c = m->group;
    struct join_group_response *out = call->response;
    out->error_code = 0;
    out->generation_id = c->generation;
    out->protocol_type = arena_copy(call->arena, c->protocol_type);
    out->protocol_name = arena_copy(call->arena, c->protocol_name);
    out->leader = arena_copy(call->arena, c->leader);
    out->skip_assignment = skip_assignment;
    out->member_id = arena_copy(call->arena, m->id);
    out->members_count = 0;
    if (with_members) put_members(c, call);
}

// Kafka's: what the client says of itself (or its instance id), and a random uuid as Java prints
// it.
static struct slice make_member_id(struct group_shard *s, struct group_call *call,
                                   struct slice instance_id) {
    struct uuid u = env_random_uuid(group_env(s));
    struct slice prefix = !slice_is_null(instance_id)      ? instance_id
                          : slice_is_null(call->client_id) ? SLICE_EMPTY
                                                           : call->client_id;
    return arena_format(call->arena, "%.*s-%08x-%04x-%04x-%04x-%04x%08x", SLICE_PRINT(prefix),
                        load_u32(u.bytes), load_u16(u.bytes + 4), load_u16(u.bytes + 6),
                        load_u16(u.bytes + 8), load_u16(u.bytes + 10), load_u32(u.bytes + 12));
}

static bool has_room(const struct classic_group *c, struct slice member_id, int32_t max) {
    const struct classic_member *m = member_id.size == 0 ? NULL : classic_member_of(c, member_id);
    switch (c->state) {
        case CLASSIC_EMPTY:
            return true;
        case CLASSIC_PREPARING:
            return (m != NULL && m->joining != NULL) || c->joining_count < (size_t)max;
        case CLASSIC_COMPLETING:
        case CLASSIC_STABLE:
            return m != NULL || c->members.count < (size_t)max;
    }
    return false;
}

static void wait_join(struct classic_member *m, struct group_call *call) {
    // A member that asks again gives up its older request.
    if (m->joining != NULL) {
        struct group_call *older = classic_set_joining(m, NULL);
        classic_fail_join(older, ERR_REBALANCE_IN_PROGRESS, m->id);
        group_call_finish(older, ERR_NONE);
    }
    classic_set_joining(m, call);
    group_call_wait(call);
}

static void add_and_rebalance(struct classic_group *c, struct group_call *call, struct slice id,
                              struct runtime_result *result) {
    const struct join_group_request *m = call->request;
    struct classic_member *member = classic_add_member(c, id, m->group_instance_id, call);
    classic_set_protocols(member, m, call->version);
    wait_join(member, call);
    classic_restart_session(member, NEW_MEMBER_JOIN_TIMEOUT_MS);
    classic_rebalance(c, result);
}

static void update_and_rebalance(struct classic_member *member, struct group_call *call,
                                 struct runtime_result *result) {
    classic_set_protocols(member, call->request, call->version);
    wait_join(member, call);
    classic_rebalance(member->group, result);
}

// A static member comes back under a new id. While its protocols do not change what the group
// agreed on, nothing moves: only the record is written anew.
static void replace_static(struct classic_member *old, struct group_call *call, struct slice new_id,
                           struct runtime_result *result) {
    struct classic_group *c = old->group;
    bool led = slice_equal(c->leader, old->id);
    struct slice old_id = arena_copy(call->arena, old->id);
    struct classic_member *m = classic_replace_member(old, new_id);
    classic_set_protocols(m, call->request, call->version);
    classic_restart_session(m, m->session_timeout_ms);
    if (c->state != CLASSIC_STABLE) {
        wait_join(m, call);
        classic_rebalance(c, result);
        return;
    }
    struct slice protocol;
    classic_select_protocol(c, &protocol);
    if (!slice_equal(protocol, c->protocol_name)) {
        wait_join(m, call);
        classic_prepare(c, result);
        return;
    }
    classic_add_record(c, NULL, result);
    bool skips = led && call->version >= JOIN_VERSION_SKIP_ASSIGNMENT;
    classic_answer_join(m, call, skips, skips);
    // Older clients would make a new assignment when told that they lead: they see the old leader's
    // id.
    struct join_group_response *out = call->response;
    if (led && !skips) out->leader = old_id;
}

static enum err join_new(struct group_shard *s, struct classic_group *c, struct group_call *call,
                         struct runtime_result *result) {
    const struct join_group_request *m = call->request;
    struct slice id = make_member_id(s, call, m->group_instance_id);
    struct classic_member *old = classic_member_of_instance(c, m->group_instance_id);
    if (old != NULL) {
        replace_static(old, call, id, result);
    } else if (slice_is_null(m->group_instance_id) && call->version >= JOIN_VERSION_KNOWN_ID) {
        classic_add_pending(c, id, m->session_timeout_ms);
        classic_fail_join(call, ERR_MEMBER_ID_REQUIRED, id);
    } else {
        add_and_rebalance(c, call, id, result);
    }
    return ERR_NONE;
}

static enum err join_known(struct classic_group *c, struct group_call *call,
                           struct runtime_result *result) {
    const struct join_group_request *m = call->request;
    // Ids are given out to dynamic members only.
    bool is_pending = map_get(&c->pending, m->member_id) != NULL;
    if (is_pending && !slice_is_null(m->group_instance_id)) return ERR_UNKNOWN_SERVER_ERROR;
    if (classic_remove_pending(c, m->member_id)) {
        add_and_rebalance(c, call, m->member_id, result);
        return ERR_NONE;
    }
    enum err err = check_member(c, m->member_id, m->group_instance_id);
    if (err != ERR_NONE) return err;
    struct classic_member *member = classic_member_of(c, m->member_id);
    bool leads = slice_equal(c->leader, member->id);
    bool same = classic_protocols_match(member, m);
    switch (c->state) {
        case CLASSIC_EMPTY:
            return ERR_UNKNOWN_MEMBER_ID;
        case CLASSIC_PREPARING:
            update_and_rebalance(member, call, result);
            break;
        case CLASSIC_COMPLETING:
            // The answer got lost, or the client is slow: it is told again.
            if (same) {
                classic_answer_join(member, call, leads, false);
            } else {
                update_and_rebalance(member, call, result);
            }
            break;
        case CLASSIC_STABLE:
            // A leader that joins again asks for a rebalance: it has seen that topics changed.
            if (leads || !same) {
                update_and_rebalance(member, call, result);
            } else {
                classic_answer_join(member, call, false, false);
            }
            break;
    }
    return ERR_NONE;
}

// A protocol that is named twice counts once.
static void drop_doubles(struct join_group_request *m, uint64_t seed, struct arena *arena) {
    struct map names;
    map_init(&names, seed);
    struct map_node *nodes = arena_zalloc(arena, (size_t)m->protocols_count, sizeof *nodes);
    int32_t kept = 0;
    for (int32_t i = 0; i < m->protocols_count; i++) {
        if (map_get(&names, m->protocols[i].name) != NULL) continue;
        map_put(&names, &nodes[i], m->protocols[i].name);
        m->protocols[kept++] = m->protocols[i];
    }
    m->protocols_count = kept;
    map_deinit(&names);
}

static void consumer_group_gone(struct group_shard *s, struct group *g, void *context,
                                struct runtime_result *result) {
    (void)s;
    (void)context;
    consumer_add_gone(g, result);
}

enum err classic_join(struct group_shard *s, struct group_call *call,
                      struct runtime_result *result) {
    const struct join_group_request *m = call->request;
    const struct config *config = s->coordinator->config;
    enum err err = ERR_NONE;
    if (m->session_timeout_ms < config_int(config, BROKER_GROUP_MIN_SESSION_TIMEOUT_MS) ||
        m->session_timeout_ms > config_int(config, BROKER_GROUP_MAX_SESSION_TIMEOUT_MS)) {
        classic_fail_join(call, ERR_INVALID_SESSION_TIMEOUT, m->member_id);
        return ERR_NONE;
    }
    drop_doubles((struct join_group_request *)(uintptr_t)m, s->groups.seed, result->arena);
    bool is_new_member = m->member_id.size == 0;
    struct group *g = group_find(s, call->group_id);
    if (g == NULL && !is_new_member) {
        classic_fail_join(call, ERR_UNKNOWN_MEMBER_ID, m->member_id);
        return ERR_NONE;
    }
    if (g != NULL && !consumer_is_empty(g)) return consumer_classic_join(s, call, result);
    if (g != NULL && g->consumer != NULL) {
        if (!is_new_member) {
            classic_fail_join(call, ERR_UNKNOWN_MEMBER_ID, m->member_id);
            return ERR_NONE;
        }
        if (m->protocol_type.size == 0 || m->protocols_count == 0)
            return ERR_INCONSISTENT_GROUP_PROTOCOL;
        // An empty consumer group becomes a classic one.
        group_run_inside(s, call->group_id, consumer_group_gone, NULL);
        g = group_find(s, call->group_id);
        if (g != NULL && g->consumer != NULL) return ERR_COORDINATOR_NOT_AVAILABLE;
    }
    if (g == NULL) g = group_get(s, call->group_id);
    struct classic_group *c = g->classic != NULL ? g->classic : classic_new(g);
    bool had_record = c->has_record;
    if (!has_room(c, m->member_id, size_max(s))) {
        struct classic_member *member = classic_member_of(c, m->member_id);
        if (member != NULL) classic_remove_member(member, ERR_GROUP_MAX_SIZE_REACHED);
        classic_remove_pending(c, m->member_id);
        classic_fail_join(call, ERR_GROUP_MAX_SIZE_REACHED, SLICE_EMPTY);
        return ERR_NONE;
    }
    if (!classic_supports(c, m->protocol_type, m)) {
        err = ERR_INCONSISTENT_GROUP_PROTOCOL;
    } else {
        err = is_new_member ? join_new(s, c, call, result) : join_known(c, call, result);
    }
    if (err != ERR_NONE) classic_fail_join(call, err, m->member_id);
    // The group is made known at once, so that its fate after a crash is that of an empty group.
    bool began = !had_record && c->members.count > 0 && result->count == 0;
    if (began) classic_add_empty_record(c, result);
    if (err != ERR_NONE) classic_forget_unused(g);
    return ERR_NONE;
}

void classic_join_written(struct group_shard *s, struct group_call *call, enum err result) {
    struct group *g = group_find(s, call->group_id);
    if (g != NULL && g->consumer != NULL) consumer_classic_join_written(s, call, result);
    if (result == ERR_NONE) return;
    // Not written: the member is not there. Who waits in this call is told with its error.
    if (g == NULL || g->classic == NULL) return;
    map_for_each(n, &g->classic->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (m->joining != call) continue;
        classic_set_joining(m, NULL);
        classic_remove_member(m, result);
    }
}

// ---- SyncGroup ----

void classic_answer_sync(struct classic_member *m, struct group_call *call, enum err error) {
    struct sync_group_response *out = call->response;
    codec_init(&sync_group_response_codec, out);
    out->error_code = err_wire(error);
    out->assignment = SLICE_EMPTY;
    if (error != ERR_NONE) return;
    out->protocol_type = arena_copy(call->arena, m->group->protocol_type);
    out->protocol_name = arena_copy(call->arena, m->group->protocol_name);
    if (!slice_is_null(m->assignment)) out->assignment = arena_copy(call->arena, m->assignment);
}

// Neither is said by everybody.
static bool differs(struct slice named, struct slice agreed) {
    return !slice_is_null(named) && !slice_is_null(agreed) && !slice_equal(named, agreed);
}

static enum err check_sync(const struct classic_group *c, const struct sync_group_request *m) {
    enum err err = check_member(c, m->member_id, m->group_instance_id);
    if (err != ERR_NONE) return err;
    if (m->generation_id != c->generation) return ERR_ILLEGAL_GENERATION;
    bool type_differs = differs(m->protocol_type, c->protocol_type);
    bool name_differs = differs(m->protocol_name, c->protocol_name);
    return type_differs || name_differs ? ERR_INCONSISTENT_GROUP_PROTOCOL : ERR_NONE;
}

// The leader's assignments, in the order of members; empty for those that it left out.
static struct slice *assignments_of(const struct classic_group *c,
                                    const struct sync_group_request *m, struct arena *arena) {
    struct slice *out = arena_zalloc(arena, c->members.count, sizeof *out);
    size_t count = 0;
    map_for_each(n, &c->members) {
        container_of(n, struct classic_member, by_id)->position = count;
        out[count++] = SLICE_EMPTY;
    }
    for (int32_t i = 0; i < m->assignments_count; i++) {
        const struct classic_member *member = classic_member_of(c, m->assignments[i].member_id);
        if (member != NULL) out[member->position] = m->assignments[i].assignment;
    }
    return out;
}

enum err classic_sync(struct group_shard *s, struct group_call *call,
                      struct runtime_result *result) {
    const struct sync_group_request *m = call->request;
    struct group *g = group_find(s, call->group_id);
    if (g != NULL && !consumer_is_empty(g)) return consumer_classic_sync(s, call, result);
    if (g == NULL || g->classic == NULL) {
        classic_answer_sync(NULL, call, ERR_UNKNOWN_MEMBER_ID);
        return ERR_NONE;
    }
    struct classic_group *c = g->classic;
    enum err err = check_sync(c, m);
    if (err == ERR_NONE && c->state == CLASSIC_EMPTY) err = ERR_UNKNOWN_MEMBER_ID;
    if (err == ERR_NONE && c->state == CLASSIC_PREPARING) err = ERR_REBALANCE_IN_PROGRESS;
    if (err != ERR_NONE) {
        classic_answer_sync(NULL, call, err);
        return ERR_NONE;
    }
    struct classic_member *member = classic_member_of(c, m->member_id);
    member->awaits_sync = false;
    if (c->state == CLASSIC_STABLE) {
        classic_answer_sync(member, call, ERR_NONE);
        return ERR_NONE;
    }
    if (member->syncing != NULL) {
        struct group_call *older = member->syncing;
        member->syncing = NULL;
        classic_answer_sync(NULL, older, ERR_REBALANCE_IN_PROGRESS);
        group_call_finish(older, ERR_NONE);
    }
    member->syncing = call;
    group_call_wait(call);
    if (slice_equal(c->leader, member->id))
        classic_add_record(c, assignments_of(c, m, result->arena), result);
    return ERR_NONE;
}

// The call ends with the error of its write.
static void forget_sync(struct classic_group *c, const struct group_call *call) {
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (m->syncing == call) m->syncing = NULL;
    }
}

// The leader's assignment is durable: the group is stable, and who waits for its part gets it.
// Lost: everybody joins again.
void classic_sync_written(struct group_shard *s, struct group_call *call, enum err result) {
    const struct sync_group_request *m = call->request;
    struct group *g = group_find(s, call->group_id);
    struct classic_group *c = g == NULL ? NULL : g->classic;
    if (g != NULL && g->consumer != NULL) consumer_classic_sync_written(s, call, result);
    if (c == NULL) return;
    if (result != ERR_NONE) forget_sync(c, call);
    bool is_leaders = slice_equal(c->leader, m->member_id) && c->generation == m->generation_id &&
                      c->state == CLASSIC_COMPLETING && call->is_waiting;
    if (!is_leaders) return;
    if (result != ERR_NONE) {
        group_run(s, g->id, classic_begin_again);
        return;
    }
    struct slice *assignments = assignments_of(c, m, call->arena);
    size_t at = 0;
    map_for_each(n, &c->members) {
        classic_set_assignment(container_of(n, struct classic_member, by_id), assignments[at++]);
    }
    classic_set_state(c, CLASSIC_STABLE);
    map_for_each(n, &c->members) {
        struct classic_member *member = container_of(n, struct classic_member, by_id);
        struct group_call *waiting = member->syncing;
        if (waiting == NULL) continue;
        member->syncing = NULL;
        classic_answer_sync(member, waiting, ERR_NONE);
        group_call_finish(waiting, ERR_NONE);
        classic_restart_session(member, member->session_timeout_ms);
    }
}

// ---- Heartbeat ----

enum err classic_heartbeat(struct group_shard *s, struct group_call *call,
                           struct runtime_result *result) {
    const struct heartbeat_request *m = call->request;
    struct heartbeat_response *out = call->response;
    struct group *g = group_find(s, call->group_id);
    if (g != NULL && g->consumer != NULL) return consumer_classic_heartbeat(s, call, result);
    enum err err = ERR_UNKNOWN_MEMBER_ID;
    if (g != NULL && g->classic != NULL) {
        struct classic_group *c = g->classic;
        err = check_member(c, m->member_id, m->group_instance_id);
        if (err == ERR_NONE && m->generation_id != c->generation) err = ERR_ILLEGAL_GENERATION;
        if (err == ERR_NONE && c->state == CLASSIC_EMPTY) err = ERR_UNKNOWN_MEMBER_ID;
        if (err == ERR_NONE) {
            struct classic_member *member = classic_member_of(c, m->member_id);
            classic_restart_session(member, member->session_timeout_ms);
            if (c->state == CLASSIC_PREPARING) err = ERR_REBALANCE_IN_PROGRESS;
        }
    }
    bool is_stale = err == ERR_UNKNOWN_MEMBER_ID || err == ERR_ILLEGAL_GENERATION;
    if (is_stale && env_mutant(group_env(s), MUTANT_GROUP_ACCEPT_STALE_MEMBER)) err = ERR_NONE;
    out->error_code = err_wire(err);
    return ERR_NONE;
}

// ---- LeaveGroup ----

static enum err leave_one(struct classic_group *c, struct slice member_id,
                          struct slice instance_id) {
    // An administrator names the instance alone.
    if (member_id.size == 0) {
        struct classic_member *m = classic_member_of_instance(c, instance_id);
        if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
        classic_remove_member(m, ERR_UNKNOWN_MEMBER_ID);
        return ERR_NONE;
    }
    if (classic_remove_pending(c, member_id)) return ERR_NONE;
    enum err err = check_member(c, member_id, instance_id);
    if (err != ERR_NONE) return err;
    classic_remove_member(classic_member_of(c, member_id), ERR_UNKNOWN_MEMBER_ID);
    return ERR_NONE;
}

static void after_leaving(struct group *g, struct runtime_result *result) {
    struct classic_group *c = g->classic;
    if (c->state == CLASSIC_PREPARING) {
        classic_complete_if_all_joined(c, result);
    } else if (c->state != CLASSIC_EMPTY) {
        classic_prepare(c, result);
    }
    classic_forget_unused(g);
}

enum err classic_leave(struct group_shard *s, struct group_call *call,
                       struct runtime_result *result) {
    const struct leave_group_request *m = call->request;
    struct leave_group_response *out = call->response;
    struct group *g = group_find(s, call->group_id);
    struct classic_group *c = g == NULL ? NULL : g->classic;
    if (g != NULL && g->consumer != NULL) return consumer_classic_leave(s, call, result);
    if (call->version < LEAVE_VERSION_BATCH) {
        enum err err = c == NULL ? ERR_UNKNOWN_MEMBER_ID : leave_one(c, m->member_id, SLICE_NULL);
        out->error_code = err_wire(err);
        if (err == ERR_NONE) after_leaving(g, result);
        return ERR_NONE;
    }
    out->members_count = m->members_count;
    out->members = leave_group_response_member_new(call->arena, m->members_count);
    bool left = false;
    for (int32_t i = 0; i < m->members_count; i++) {
        struct slice id = m->members[i].member_id, instance = m->members[i].group_instance_id;
        enum err err = c == NULL ? ERR_UNKNOWN_MEMBER_ID : leave_one(c, id, instance);
        left |= err == ERR_NONE;
        out->members[i].member_id = id;
        out->members[i].group_instance_id = instance;
        out->members[i].error_code = err_wire(err);
    }
    if (left) after_leaving(g, result);
    return ERR_NONE;
}

// ---- Commits ----

enum err classic_check_commit(struct group *g, struct slice member_id, struct slice instance_id,
                              int32_t generation, bool transactional) {
    const struct classic_group *c = g->classic;
    if (env_mutant(group_env(g->shard), MUTANT_GROUP_ACCEPT_ANY_COMMIT)) return ERR_NONE;
    // A simple consumer of a group without members.
    if (generation < 0 && classic_is_empty(g)) return ERR_NONE;
    bool is_nobody = generation < 0 && member_id.size == 0 && slice_is_null(instance_id);
    if (is_nobody && transactional) return ERR_NONE;
    if (c == NULL || is_nobody) return ERR_UNKNOWN_MEMBER_ID;
    enum err err = check_member(c, member_id, instance_id);
    if (err != ERR_NONE) return err;
    if (generation != c->generation) return ERR_ILLEGAL_GENERATION;
    if (transactional) return ERR_NONE;
    if (c->state == CLASSIC_COMPLETING) return ERR_REBALANCE_IN_PROGRESS;
    // A commit shows that the member lives.
    struct classic_member *m = classic_member_of(c, member_id);
    classic_restart_session(m, m->session_timeout_ms);
    return ERR_NONE;
}
