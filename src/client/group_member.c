// The member's life in a group of the classic protocol.
//
//     JOINING -> (leader: ASSIGNING ->) SYNCING -> STABLE -> REBALANCING -> JOINING -> …
//
// In REBALANCING the user gives up what it may not keep; heartbeats go on meanwhile. A rebalance
// that is asked for while one is under way follows it. When the group has forgotten the member (a
// session that timed out) it joins as a new one; only with an illegal generation its id is still
// good.
#include "client/group_member.h"

#include "base/memory.h"

#define MS UINT64_C(1000000)

enum { JOIN_GRACE_MS = 5000, MEMBER_ID_MAX = 512 };

enum member_state {
    MEMBER_JOINING,    // JoinGroup is under way, or will be after a backoff
    MEMBER_ASSIGNING,  // leader: the user divides
    MEMBER_SYNCING,    // SyncGroup is under way
    MEMBER_STABLE,
    MEMBER_REBALANCING,  // the user gives up
    MEMBER_LEAVING,
    MEMBER_FAILED,
};

// One request of each kind at a time.
struct member_call {
    struct coordinator_call call;
    struct arena arena;
    bool is_busy;
};

struct group_member {
    struct env *env;
    struct client *client;  // of the coordinator
    struct coordinator coordinator;
    struct group_member_options options;
    struct arena arena;  // of the options

    enum member_state state;
    bool rejoin;     // when what is under way has ended
    uint32_t tries;  // to join, since it was stable
    struct slice id;
    char id_memory[MEMBER_ID_MAX];
    int32_t generation;
    struct slice protocol;  // the group's, one of the options
    bool is_leader;
    struct group_member_row *rows;  // leader; in sync.arena
    int32_t row_count;

    struct member_call join, sync, heartbeat, leave;
    struct join_group_request join_request;
    struct sync_group_request sync_request;
    struct heartbeat_request heartbeat_request;
    struct leave_group_request leave_request;
    struct env_timer join_timer, heartbeat_timer;
    void (*left)(void *context);
    void *left_context;
    struct env_task left_task;
};

static void send_join(struct group_member *m);
static void send_sync(struct group_member *m);

struct group_member_options group_member_options_default(void) {
    return (struct group_member_options){.instance_id = SLICE_NULL,
                                         .session_timeout_ms = 45000,
                                         .rebalance_timeout_ms = 300000,
                                         .heartbeat_interval_ms = 3000};
}

static bool is_over(const struct group_member *m) {
    return m->state == MEMBER_LEAVING || m->state == MEMBER_FAILED;
}

static void set_id(struct group_member *m, struct slice id) {
    size_t size = MIN(id.size, sizeof m->id_memory);
    if (size > 0) memcpy(m->id_memory, id.data, size);
    m->id = slice_of(m->id_memory, size);
}

static void fail(struct group_member *m, enum err error, const char *what) {
    if (is_over(m)) return;
    m->state = MEMBER_FAILED;
    env_timer_stop(m->env, &m->heartbeat_timer);
    env_timer_stop(m->env, &m->join_timer);
    struct message text;
    message_set(&text, "group %.*s: %s: %s", SLICE_PRINT(m->options.group), what, err_text(error));
    if (m->options.failed != NULL) m->options.failed(m->options.context, error, &text);
}

static void start_call(struct group_member *m, struct member_call *c, struct client_call call,
                       enum err (*verdict)(struct coordinator_call *),
                       void (*done)(struct coordinator_call *, enum err)) {
    c->is_busy = true;
    c->call = (struct coordinator_call){.call = call, .verdict = verdict, .done = done};
    coordinator_call_start(&m->coordinator, &c->call);
}

static void cancel_call(struct member_call *c) {
    if (c->is_busy) coordinator_call_cancel(&c->call);
}

// ---- Joining ----

static void join_later(struct group_member *m, bool waits) {
    m->state = MEMBER_JOINING;
    uint64_t wait = waits ? client_backoff_ns(m->client, m->tries++) : 0;
    env_timer_start(m->env, &m->join_timer, env_now_ns(m->env) + wait);
}

static void join_due(struct env_timer *timer) {
    struct group_member *m = container_of(timer, struct group_member, join_timer);
    if (m->state == MEMBER_JOINING) send_join(m);
}

void group_member_go_on(struct group_member *m) {
    if (m->state != MEMBER_REBALANCING) return;
    env_timer_stop(m->env, &m->heartbeat_timer);
    join_later(m, false);
}

void group_member_rejoin(struct group_member *m) {
    if (is_over(m) || m->state == MEMBER_REBALANCING) return;
    if (m->state != MEMBER_STABLE) {
        m->rejoin = true;
        return;
    }
    m->state = MEMBER_REBALANCING;
    if (m->options.rebalancing != NULL) {
        m->options.rebalancing(m->options.context);
    } else {
        group_member_go_on(m);
    }
}

static void lose(struct group_member *m, bool keeps_id) {
    if (is_over(m)) return;
    if (!keeps_id) set_id(m, SLICE_EMPTY);
    m->generation = -1;
    env_timer_stop(m->env, &m->heartbeat_timer);
    join_later(m, true);
    cancel_call(&m->sync);
    if (m->options.lost != NULL) m->options.lost(m->options.context);
}

// What JoinGroup and SyncGroup do with an error; the response is released by then.
static void refused(struct group_member *m, enum err result, const char *what) {
    if (result == ERR_UNKNOWN_MEMBER_ID || result == ERR_ILLEGAL_GENERATION) {
        lose(m, result == ERR_ILLEGAL_GENERATION);
    } else if (result == ERR_REBALANCE_IN_PROGRESS) {
        join_later(m, m->state == MEMBER_JOINING);
    } else if (client_may_retry(result)) {
        join_later(m, true);
    } else {
        fail(m, result, what);
    }
}

static enum err join_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct join_group_response *)call->call.response)->error_code);
}

static struct slice own_protocol(const struct group_member *m, struct slice name) {
    for (int32_t i = 0; i < m->options.protocol_count; i++) {
        if (slice_equal(m->options.protocols[i], name)) return m->options.protocols[i];
    }
    return SLICE_NULL;
}

// The answer is released soon: rows are copies.
static void lead(struct group_member *m, const struct join_group_response *r) {
    struct arena *arena = &m->sync.arena;
    m->rows = arena_zalloc(arena, (size_t)MAX(r->members_count, 1), sizeof *m->rows);
    m->row_count = r->members_count;
    for (int32_t i = 0; i < r->members_count; i++) {
        m->rows[i] = (struct group_member_row){
            .id = arena_copy(arena, r->members[i].member_id),
            .instance_id = arena_copy(arena, r->members[i].group_instance_id),
            .metadata = arena_copy(arena, r->members[i].metadata)};
    }
    m->state = MEMBER_ASSIGNING;
    m->options.assign(m->options.context, m->protocol, m->rows, m->row_count, arena);
}

static void joined(struct group_member *m, const struct join_group_response *r) {
    set_id(m, r->member_id);
    m->generation = r->generation_id;
    m->protocol = own_protocol(m, r->protocol_name);
    if (slice_is_null(m->protocol)) {
        fail(m, ERR_INCONSISTENT_GROUP_PROTOCOL, "the group's protocol is not ours");
        return;
    }
    arena_reset(&m->sync.arena);
    m->rows = NULL;
    m->row_count = 0;
    m->is_leader = slice_equal(r->leader, r->member_id);
    env_timer_start(m->env, &m->heartbeat_timer,
                    env_now_ns(m->env) + (uint64_t)m->options.heartbeat_interval_ms * MS);
    if (m->is_leader && !r->skip_assignment) {
        lead(m, r);
    } else {
        send_sync(m);
    }
}

static void join_done(struct coordinator_call *call, enum err result) {
    struct group_member *m = container_of(call, struct group_member, join.call);
    m->join.is_busy = false;
    const struct join_group_response *r = call->call.response;
    bool is_awaited = m->state == MEMBER_JOINING && result != ERR_CANCELLED;
    bool has_new_id = is_awaited && result == ERR_MEMBER_ID_REQUIRED && r != NULL;
    if (has_new_id) set_id(m, r->member_id);
    if (is_awaited && result == ERR_NONE) joined(m, r);
    client_call_release(&call->call);
    if (has_new_id) {
        join_later(m, false);
    } else if (is_awaited && result != ERR_NONE) {
        refused(m, result, "it cannot be joined");
    }
}

static void join_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_member *m = container_of(c, struct group_member, join.call);
    if (call->version >= 5) m->join_request.group_instance_id = m->options.instance_id;
}

static void send_join(struct group_member *m) {
    if (m->join.is_busy) return;
    m->rejoin = false;
    arena_reset(&m->join.arena);
    struct join_group_request *r = &m->join_request;
    codec_init(&join_group_request_codec, r);
    r->group_id = m->options.group;
    r->session_timeout_ms = m->options.session_timeout_ms;
    r->rebalance_timeout_ms = m->options.rebalance_timeout_ms;
    r->member_id = arena_copy(&m->join.arena, m->id);
    r->protocol_type = m->options.protocol_type;
    r->protocols_count = m->options.protocol_count;
    r->protocols = join_group_request_protocol_new(&m->join.arena, r->protocols_count);
    for (int32_t i = 0; i < r->protocols_count; i++) {
        struct slice name = m->options.protocols[i];
        r->protocols[i].name = name;
        r->protocols[i].metadata = m->options.metadata(m->options.context, name, &m->join.arena);
    }
    uint64_t patience = (uint64_t)(m->options.rebalance_timeout_ms + JOIN_GRACE_MS) * MS;
    struct client_call call = {.api = API_JOIN_GROUP,
                               .version_min = 1,
                               .version_max = INT16_MAX,
                               .message = r,
                               .prepare = join_prepare,
                               .timeout_ns = patience,
                               .deadline_ns = env_now_ns(m->env) + patience};
    start_call(m, &m->join, call, join_verdict, join_done);
}

// ---- The assignment ----

static enum err sync_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct sync_group_response *)call->call.response)->error_code);
}

static void sync_done(struct coordinator_call *call, enum err result) {
    struct group_member *m = container_of(call, struct group_member, sync.call);
    m->sync.is_busy = false;
    bool is_awaited = m->state == MEMBER_SYNCING && result != ERR_CANCELLED;
    if (is_awaited && result == ERR_NONE) {
        const struct sync_group_response *r = call->call.response;
        m->state = MEMBER_STABLE;
        m->tries = 0;
        m->options.assigned(m->options.context, m->protocol, r->assignment);
    }
    client_call_release(&call->call);
    if (is_awaited && result != ERR_NONE) refused(m, result, "its assignment cannot be had");
    if (m->state == MEMBER_STABLE && m->rejoin) group_member_rejoin(m);
}

static void sync_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_member *m = container_of(c, struct group_member, sync.call);
    if (call->version >= 3) m->sync_request.group_instance_id = m->options.instance_id;
    if (call->version >= 5) {
        m->sync_request.protocol_type = m->options.protocol_type;
        m->sync_request.protocol_name = m->protocol;
    }
}

static void send_sync(struct group_member *m) {
    m->state = MEMBER_SYNCING;
    struct arena *arena = &m->sync.arena;
    struct sync_group_request *r = &m->sync_request;
    codec_init(&sync_group_request_codec, r);
    r->group_id = m->options.group;
    r->generation_id = m->generation;
    r->member_id = arena_copy(arena, m->id);
    r->assignments = sync_group_request_assignment_new(arena, MAX(m->row_count, 1));
    r->assignments_count = m->row_count;
    for (int32_t i = 0; i < m->row_count; i++) {
        r->assignments[i].member_id = m->rows[i].id;
        struct slice assignment = m->rows[i].assignment;
        r->assignments[i].assignment = slice_is_null(assignment) ? SLICE_EMPTY : assignment;
    }
    uint64_t patience = (uint64_t)(m->options.rebalance_timeout_ms + JOIN_GRACE_MS) * MS;
    struct client_call call = {.api = API_SYNC_GROUP,
                               .version_max = INT16_MAX,
                               .message = r,
                               .prepare = sync_prepare,
                               .timeout_ns = patience,
                               .deadline_ns = env_now_ns(m->env) + patience};
    start_call(m, &m->sync, call, sync_verdict, sync_done);
}

void group_member_assign_done(struct group_member *m) {
    if (m->state == MEMBER_ASSIGNING) send_sync(m);
}

// ---- Heartbeats ----

static enum err heartbeat_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct heartbeat_response *)call->call.response)->error_code);
}

static void heartbeat_done(struct coordinator_call *call, enum err result) {
    struct group_member *m = container_of(call, struct group_member, heartbeat.call);
    m->heartbeat.is_busy = false;
    client_call_release(&call->call);
    bool is_late = m->heartbeat_request.generation_id != m->generation;  // of an earlier life
    if (is_late || is_over(m) || m->state == MEMBER_JOINING) return;
    if (result == ERR_REBALANCE_IN_PROGRESS) {
        // In a rebalance the answer to what is under way says more.
        if (m->state == MEMBER_STABLE) group_member_rejoin(m);
    } else if (result == ERR_UNKNOWN_MEMBER_ID || result == ERR_ILLEGAL_GENERATION) {
        lose(m, result == ERR_ILLEGAL_GENERATION);
    } else if (result == ERR_FENCED_INSTANCE_ID) {
        fail(m, result, "another member has this instance id");
    }
}

static void heartbeat_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_member *m = container_of(c, struct group_member, heartbeat.call);
    if (call->version >= 3) m->heartbeat_request.group_instance_id = m->options.instance_id;
}

static void heartbeat_due(struct env_timer *timer) {
    struct group_member *m = container_of(timer, struct group_member, heartbeat_timer);
    if (is_over(m) || m->generation < 0) return;
    uint64_t now = env_now_ns(m->env);
    env_timer_start(m->env, timer, now + (uint64_t)m->options.heartbeat_interval_ms * MS);
    if (m->heartbeat.is_busy || m->state == MEMBER_JOINING) return;
    arena_reset(&m->heartbeat.arena);
    struct heartbeat_request *r = &m->heartbeat_request;
    codec_init(&heartbeat_request_codec, r);
    r->group_id = m->options.group;
    r->generation_id = m->generation;
    r->member_id = arena_copy(&m->heartbeat.arena, m->id);
    struct client_call call = {.api = API_HEARTBEAT,
                               .version_max = INT16_MAX,
                               .message = r,
                               .prepare = heartbeat_prepare,
                               .deadline_ns = now + (uint64_t)m->options.session_timeout_ms * MS};
    start_call(m, &m->heartbeat, call, heartbeat_verdict, heartbeat_done);
}

// ---- Leaving ----

static void tell_left(struct group_member *m) {
    void (*left)(void *) = m->left;
    m->left = NULL;
    if (left != NULL) left(m->left_context);
}

static void run_left(struct env_task *task) {
    tell_left(container_of(task, struct group_member, left_task));
}

static void leave_done(struct coordinator_call *call, UNUSED enum err result) {
    struct group_member *m = container_of(call, struct group_member, leave.call);
    m->leave.is_busy = false;
    client_call_release(&call->call);
    tell_left(m);
}

static void leave_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_member *m = container_of(c, struct group_member, leave.call);
    struct leave_group_request *r = &m->leave_request;
    codec_init(&leave_group_request_codec, r);
    r->group_id = m->options.group;
    if (call->version < 3) {
        r->member_id = m->id;
        return;
    }
    arena_reset(&m->leave.arena);
    r->members = leave_group_request_member_new(&m->leave.arena, 1);
    r->members_count = 1;
    r->members[0].member_id = m->id;
}

void group_member_leave(struct group_member *m, void (*done)(void *context), void *context) {
    bool is_member = m->state != MEMBER_FAILED && m->id.size > 0;
    m->left = done;
    m->left_context = context;
    m->state = MEMBER_LEAVING;
    env_timer_stop(m->env, &m->join_timer);
    env_timer_stop(m->env, &m->heartbeat_timer);
    cancel_call(&m->join);
    cancel_call(&m->sync);
    if (!is_member || !slice_is_null(m->options.instance_id)) {
        env_defer(m->env, &m->left_task);
        return;
    }
    struct client_call call = {.api = API_LEAVE_GROUP,
                               .version_max = INT16_MAX,
                               .message = &m->leave_request,
                               .prepare = leave_prepare,
                               .deadline_ns = env_now_ns(m->env) + (uint64_t)JOIN_GRACE_MS * MS};
    start_call(m, &m->leave, call, NULL, leave_done);
}

// ---- Life ----

static enum err check_options(const struct group_member_options *o, struct message *error) {
    const char *what = NULL;
    if (o->group.size == 0) what = "a group needs a name";
    if (o->protocol_type.size == 0) what = "a group's member needs a protocol type";
    if (o->protocol_count < 1) what = "a group's member needs a protocol";
    if (o->metadata == NULL || o->assign == NULL || o->assigned == NULL) {
        what = "a group's member needs the hooks metadata, assign and assigned";
    }
    if (what == NULL) return ERR_NONE;
    message_set(error, "%s", what);
    return ERR_INVALID;
}

static void copy_options(struct group_member *m, const struct group_member_options *options) {
    m->options = *options;
    m->options.group = arena_copy(&m->arena, options->group);
    m->options.instance_id = arena_copy(&m->arena, options->instance_id);
    m->options.protocol_type = arena_copy(&m->arena, options->protocol_type);
    struct slice *protocols =
        arena_zalloc(&m->arena, (size_t)options->protocol_count, sizeof *protocols);
    for (int32_t i = 0; i < options->protocol_count; i++)
        protocols[i] = arena_copy(&m->arena, options->protocols[i]);
    m->options.protocols = protocols;
}

enum err group_member_new(struct client *client, const struct group_member_options *options,
                          struct group_member **member, struct message *error) {
    enum err e = check_options(options, error);
    if (e != ERR_NONE) return e;
    struct group_member *m = memory_zalloc(1, sizeof *m);
    e = client_new(client_env(client), client_get_options(client), &m->client, error);
    if (e != ERR_NONE) {
        memory_free(m);
        return e;
    }
    m->env = client_env(client);
    copy_options(m, options);
    coordinator_init(&m->coordinator, m->client, m->options.group, COORDINATOR_GROUP);
    m->generation = -1;
    set_id(m, SLICE_EMPTY);
    env_timer_init(&m->join_timer, join_due);
    env_timer_init(&m->heartbeat_timer, heartbeat_due);
    env_task_init(&m->left_task, run_left);
    if (m->options.is_held) {
        m->state = MEMBER_REBALANCING;
    } else {
        join_later(m, false);
    }
    *member = m;
    return ERR_NONE;
}

void group_member_free(struct group_member *m) {
    if (m == NULL) return;
    m->state = MEMBER_LEAVING;
    m->left = NULL;
    struct member_call *calls[] = {&m->join, &m->sync, &m->heartbeat, &m->leave};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        cancel_call(calls[i]);
        arena_deinit(&calls[i]->arena);
    }
    env_timer_stop(m->env, &m->join_timer);
    env_timer_stop(m->env, &m->heartbeat_timer);
    env_defer_cancel(m->env, &m->left_task);
    coordinator_deinit(&m->coordinator);
    client_free(m->client);
    arena_deinit(&m->arena);
    memory_free(m);
}

bool group_member_is_stable(const struct group_member *m) {
    return m->state == MEMBER_STABLE;
}

bool group_member_is_leader(const struct group_member *m) {
    return m->is_leader;
}

int32_t group_member_generation(const struct group_member *m) {
    return m->generation;
}

struct slice group_member_id(const struct group_member *m) {
    return m->id;
}

struct coordinator *group_member_coordinator(struct group_member *m) {
    return &m->coordinator;
}
