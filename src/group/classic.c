// The state machine of a classic group: members, rebalances, timers. The requests' rules are in
// classic_requests.c.
#include "base/utf8.h"
#include "group/classic.h"

#include "base/assert.h"
#include "base/memory.h"
#include "gen/rec/client.h"
#include "wire/codec.h"

static void free_slice(struct slice *s) {
    memory_free((void *)(uintptr_t)s->data);
    *s = SLICE_NULL;
}

static void set_slice(struct slice *to, struct slice from) {
    struct slice old = *to;
    if (slice_is_null(from)) {
        *to = SLICE_NULL;
    } else {
        uint8_t *copy = memory_alloc(from.size);
        if (from.size > 0) memcpy(copy, from.data, from.size);
        *to = slice_of(copy, from.size);
    }
    memory_free((void *)(uintptr_t)old.data);
}

static struct runtime_shard *shard_of(const struct classic_group *c) {
    return partition_log_shard(c->group->shard->log);
}

static uint64_t after_ms(const struct classic_group *c, int32_t ms) {
    return env_now_ns(group_env(c->group->shard)) + (uint64_t)MAX(ms, 0) * 1000000U;
}

void classic_set_state(struct classic_group *c, enum classic_state state) {
    static const bool allowed[4][4] = {
        // to:            EMPTY  PREPARING COMPLETING STABLE
        [CLASSIC_EMPTY] = {false, true, false, false},
        [CLASSIC_PREPARING] = {true, false, true, false},
        [CLASSIC_COMPLETING] = {false, true, false, true},
        [CLASSIC_STABLE] = {false, true, false, false},
    };
    assert(allowed[c->state][state]);
    c->state = state;
    c->state_timestamp = env_wall_ms(group_env(c->group->shard));
}

// ---- Members ----

struct classic_member *classic_member_of(const struct classic_group *c, struct slice id) {
    struct map_node *n = map_get(&c->members, id);
    return n == NULL ? NULL : container_of(n, struct classic_member, by_id);
}

struct classic_member *classic_member_of_instance(const struct classic_group *c,
                                                  struct slice instance_id) {
    struct map_node *n = slice_is_null(instance_id) ? NULL : map_get(&c->instances, instance_id);
    return n == NULL ? NULL : container_of(n, struct classic_member, by_instance);
}

static void session_over(struct runtime_timer *timer);

static struct classic_member *member_new(struct classic_group *c, struct slice id,
                                         struct slice instance_id, struct slice client_id,
                                         struct slice client_host) {
    struct classic_member *m = memory_zalloc(1, sizeof *m);
    m->group = c;
    arena_init(&m->arena);
    arena_init(&m->protocol_arena);
    arena_reserve(&m->arena, ARENA_ROUND(id.size) + ARENA_ROUND(instance_id.size) +
                                 ARENA_ROUND(client_id.size) + ARENA_ROUND(client_host.size));
    m->id = arena_copy(&m->arena, id);
    m->instance_id = arena_copy(&m->arena, instance_id);
    m->client_id = slice_is_null(client_id) ? SLICE_EMPTY : arena_copy(&m->arena, client_id);
    m->client_host = slice_is_null(client_host) ? SLICE_EMPTY : arena_copy(&m->arena, client_host);
    runtime_timer_init(&m->session, session_over);
    map_put(&c->members, &m->by_id, m->id);
    if (!slice_is_null(m->instance_id)) map_put(&c->instances, &m->by_instance, m->instance_id);
    return m;
}

struct classic_member *classic_add_member(struct classic_group *c, struct slice id,
                                          struct slice instance_id, const struct group_call *call) {
    struct classic_member *m = member_new(c, id, instance_id, call->client_id, call->client_host);
    m->is_new = true;
    if (slice_is_null(c->leader)) set_slice(&c->leader, m->id);
    // The first rebalance of an empty group waits for more members.
    if (c->state == CLASSIC_PREPARING && c->in_initial_delay) c->new_member_added = true;
    return m;
}

static void forget_protocols(struct classic_member *m) {
    for (int32_t i = 0; i < m->protocol_count; i++)
        group_vote_add(&m->group->protocols, m->protocols[i].name, -1);
    arena_deinit(&m->protocol_arena);
    m->protocols = NULL;
    m->protocol_count = 0;
}

void classic_keep_protocols(struct classic_member *m, const struct member_protocol *protocols,
                            int32_t count) {
    size_t size = (size_t)count * sizeof *m->protocols;
    for (int32_t i = 0; i < count; i++)
        size += ARENA_ROUND(protocols[i].name.size) + ARENA_ROUND(protocols[i].metadata.size);
    forget_protocols(m);
    arena_reserve(&m->protocol_arena, size);
    m->protocols = arena_zalloc(&m->protocol_arena, (size_t)count, sizeof *m->protocols);
    m->protocol_count = count;
    for (int32_t i = 0; i < count; i++) {
        m->protocols[i].name = arena_copy(&m->protocol_arena, protocols[i].name);
        m->protocols[i].metadata = arena_copy(&m->protocol_arena, protocols[i].metadata);
        group_vote_add(&m->group->protocols, m->protocols[i].name, 1);
    }
}

void classic_set_protocols(struct classic_member *m, const struct join_group_request *request,
                           int16_t version) {
    size_t count = (size_t)request->protocols_count;
    struct member_protocol *protocols = memory_alloc(count * sizeof *protocols);
    for (size_t i = 0; i < count; i++)
        protocols[i] =
            (struct member_protocol){request->protocols[i].name, request->protocols[i].metadata};
    classic_keep_protocols(m, protocols, request->protocols_count);
    memory_free(protocols);
    m->session_timeout_ms = request->session_timeout_ms;
    m->rebalance_timeout_ms =
        version >= 1 ? request->rebalance_timeout_ms : request->session_timeout_ms;
    if (m->group->members.count == 1 && m->group->state != CLASSIC_STABLE) {
        set_slice(&m->group->protocol_type, request->protocol_type);
    }
}

static void member_free(struct classic_member *m) {
    struct classic_group *c = m->group;
    runtime_timer_stop(&m->session);
    map_remove(&c->members, &m->by_id);
    if (!slice_is_null(m->instance_id)) map_remove(&c->instances, &m->by_instance);
    forget_protocols(m);
    free_slice(&m->assignment);
    arena_deinit(&m->arena);
    memory_free(m);
}

struct group_call *classic_set_joining(struct classic_member *m, struct group_call *call) {
    struct group_call *before = m->joining;
    m->group->joining_count += (size_t)(call != NULL);
    m->group->joining_count -= (size_t)(before != NULL);
    m->joining = call;
    return before;
}

static void end_waiting(struct classic_member *m, enum err why, struct slice told_id) {
    if (m->joining != NULL) {
        struct group_call *call = classic_set_joining(m, NULL);
        classic_fail_join(call, why, told_id);
        group_call_finish(call, ERR_NONE);
    }
    if (m->syncing != NULL) {
        struct group_call *call = m->syncing;
        m->syncing = NULL;
        classic_answer_sync(NULL, call, why);
        group_call_finish(call, ERR_NONE);
    }
}

void classic_end_waiting(struct classic_group *c, enum err why) {
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        end_waiting(m, why, m->id);
    }
}

void classic_remove_member(struct classic_member *m, enum err why) {
    struct classic_group *c = m->group;
    bool led = slice_equal(c->leader, m->id);
    end_waiting(m, why, SLICE_EMPTY);
    member_free(m);
    if (!led) return;
    // Any other member leads; the rebalance that follows may choose another one.
    free_slice(&c->leader);
    map_for_each(n, &c->members) {
        if (slice_is_null(c->leader))
            set_slice(&c->leader, container_of(n, struct classic_member, by_id)->id);
    }
}

struct classic_member *classic_replace_member(struct classic_member *old, struct slice new_id) {
    struct classic_group *c = old->group;
    bool led = slice_equal(c->leader, old->id);
    end_waiting(old, ERR_FENCED_INSTANCE_ID, old->id);
    struct arena instance_arena;
    arena_init(&instance_arena);
    struct slice instance_id = arena_copy(&instance_arena, old->instance_id);
    map_remove(&c->instances, &old->by_instance);
    old->instance_id = SLICE_NULL;
    struct classic_member *m = member_new(c, new_id, instance_id, old->client_id, old->client_host);
    m->protocol_arena = old->protocol_arena;
    m->protocols = old->protocols;
    m->protocol_count = old->protocol_count;
    m->rebalance_timeout_ms = old->rebalance_timeout_ms;
    m->session_timeout_ms = old->session_timeout_ms;
    m->assignment = old->assignment;
    m->awaits_sync = old->awaits_sync;
    arena_init(&old->protocol_arena);
    old->protocols = NULL;
    old->protocol_count = 0;
    old->assignment = SLICE_NULL;
    member_free(old);
    if (led) set_slice(&c->leader, m->id);
    arena_deinit(&instance_arena);
    return m;
}

// ---- Protocols ----

static bool all_support(const struct classic_group *c, struct slice name) {
    return (size_t)group_vote_count(&c->protocols, name) == c->members.count;
}

bool classic_supports(const struct classic_group *c, struct slice type,
                      const struct join_group_request *request) {
    if (c->state == CLASSIC_EMPTY) return type.size > 0 && request->protocols_count > 0;
    if (!slice_equal(c->protocol_type, type)) return false;
    for (int32_t i = 0; i < request->protocols_count; i++) {
        if (all_support(c, request->protocols[i].name)) return true;
    }
    return false;
}

bool classic_protocols_match(const struct classic_member *m,
                             const struct join_group_request *request) {
    if (m->protocol_count != request->protocols_count) return false;
    for (int32_t i = 0; i < m->protocol_count; i++) {
        if (!slice_equal(m->protocols[i].name, request->protocols[i].name) ||
            !slice_equal(m->protocols[i].metadata, request->protocols[i].metadata)) {
            return false;
        }
    }
    return true;
}

struct slice classic_metadata_of(const struct classic_member *m, struct slice protocol) {
    for (int32_t i = 0; i < m->protocol_count; i++) {
        if (slice_equal(m->protocols[i].name, protocol)) return m->protocols[i].metadata;
    }
    return SLICE_EMPTY;
}

// Every member votes for the first of its protocols that all support. Of those with most votes it
// is the one that Kafka's HashMap of votes gives first.
void classic_select_protocol(const struct classic_group *c, struct slice *name) {
    *name = SLICE_NULL;
    if (c->members.count == 0) return;
    map_for_each(n, &c->protocols) container_of(n, struct group_vote, by_name)->tally = 0;
    size_t chosen = 0;
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        int32_t i = 0;
        while (i < m->protocol_count && !all_support(c, m->protocols[i].name))
            i++;
        if (i < m->protocol_count)
            chosen += group_vote_of(&c->protocols, m->protocols[i].name)->tally++ == 0;
    }
    const struct classic_member *first =
        container_of(c->members.order.next, struct classic_member, by_id.order);
    const struct group_vote *best = NULL;
    for (int32_t i = 0; i < first->protocol_count; i++) {
        const struct group_vote *v = group_vote_of(&c->protocols, first->protocols[i].name);
        int32_t votes = best == NULL ? 0 : best->tally;
        bool ties =
            best != NULL && v->tally == votes &&
            utf8_java_bucket(v->by_name.key, chosen) < utf8_java_bucket(best->by_name.key, chosen);
        if (v->tally > votes || ties) best = v;
    }
    if (best != NULL) *name = best->by_name.key;
}

// ---- Subscriptions (of protocol type "consumer") ----

// All versions of a subscription begin like version 0. False: it is not one.
static bool append_topics(struct string_buffer *out, struct slice metadata) {
    struct reader in = reader_of(metadata);
    int16_t version = reader_i16(&in);
    struct arena arena;
    struct consumer_protocol_subscription s;
    arena_init(&arena);
    bool readable =
        !in.failed && version >= 0 &&
        codec_decode(&consumer_protocol_subscription_codec, 0, &in, &arena, 0, &s) == ERR_NONE;
    for (int32_t i = 0; readable && i < s.topics_count; i++) {
        string_buffer_append(out, s.topics[i]);
        string_buffer_append_char(out, '\0');
    }
    arena_deinit(&arena);
    return readable;
}

// What the generation's members read; not known when one of them does not say it in Kafka's form.
static void compute_subscriptions(struct classic_group *c) {
    free_slice(&c->subscribed);
    if (!slice_equal_cstring(c->protocol_type, "consumer")) return;
    if (c->members.count > 0 && slice_is_null(c->protocol_name)) return;
    struct string_buffer topics;
    string_buffer_init(&topics);
    bool known = true;
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        known = known && append_topics(&topics, classic_metadata_of(m, c->protocol_name));
    }
    if (known) set_slice(&c->subscribed, string_buffer_slice(&topics));
    string_buffer_deinit(&topics);
}

bool classic_is_subscribed(const struct group *g, struct slice topic) {
    const struct classic_group *c = g->classic;
    if (c == NULL) return false;
    // A consumer group that does not say what it reads may read anything.
    if (slice_is_null(c->subscribed)) return slice_equal_cstring(c->protocol_type, "consumer");
    struct slice rest = c->subscribed, one;
    while (rest.size > 0 && slice_split(rest, '\0', &one, &rest)) {
        if (slice_equal(one, topic)) return true;
    }
    return false;
}

// ---- Timers ----

void classic_forget_unused(struct group *g) {
    struct classic_group *c = g->classic;
    if (c->has_record || c->members.count > 0 || c->pending.count > 0) return;
    classic_free(c);
    g->classic = NULL;
    group_release(g);
}

static void expire_session(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    if (g == NULL || g->classic == NULL) return;
    struct classic_group *c = g->classic;
    uint64_t now = env_now_ns(group_env(s));
    bool removed = false;
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        bool due = !env_timer_is_running(&m->session.timer) && m->session.timer.node.key <= now;
        // Who waits for the coordinator is alive; a new member may still be given up while it
        // waits.
        bool waits = !m->is_new && (m->joining != NULL || m->syncing != NULL);
        if (!due || waits) continue;
        classic_remove_member(m, ERR_UNKNOWN_MEMBER_ID);
        removed = true;
    }
    map_for_each(n, &c->pending) {
        struct pending_member *p = container_of(n, struct pending_member, by_id);
        if (env_timer_is_running(&p->session.timer)) continue;
        classic_remove_pending(c, p->by_id.key);
        removed = true;
    }
    if (!removed) return;
    if (c->state == CLASSIC_PREPARING) {
        classic_complete_if_all_joined(c, result);
    } else if (c->state != CLASSIC_EMPTY) {
        classic_prepare(c, result);
    }
    classic_forget_unused(g);
}

static void session_over(struct runtime_timer *timer) {
    struct classic_member *m = container_of(timer, struct classic_member, session);
    group_run(m->group->group->shard, m->group->group->id, expire_session);
}

static void pending_over(struct runtime_timer *timer) {
    struct pending_member *p = container_of(timer, struct pending_member, session);
    group_run(p->group->group->shard, p->group->group->id, expire_session);
}

void classic_restart_session(struct classic_member *m, int32_t timeout_ms) {
    runtime_timer_stop(&m->session);
    runtime_timer_start(shard_of(m->group), &m->session, after_ms(m->group, timeout_ms));
}

void classic_add_pending(struct classic_group *c, struct slice id, int32_t timeout_ms) {
    struct pending_member *p = memory_zalloc(1, sizeof *p + id.size);
    memcpy(p->id, id.data, id.size);
    p->group = c;
    runtime_timer_init(&p->session, pending_over);
    map_put(&c->pending, &p->by_id, slice_of(p->id, id.size));
    runtime_timer_start(shard_of(c), &p->session, after_ms(c, timeout_ms));
}

bool classic_remove_pending(struct classic_group *c, struct slice id) {
    struct map_node *n = map_get(&c->pending, id);
    if (n == NULL) return false;
    struct pending_member *p = container_of(n, struct pending_member, by_id);
    runtime_timer_stop(&p->session);
    map_remove(&c->pending, n);
    memory_free(p);
    return true;
}

// ---- Rebalance ----

static int32_t rebalance_timeout_of(const struct classic_group *c) {
    int32_t timeout = 0;
    map_for_each(n, &c->members) {
        timeout = MAX(timeout, container_of(n, struct classic_member, by_id)->rebalance_timeout_ms);
    }
    return timeout;
}

// The leader has joined, or another one that has takes its place. False: nobody has joined.
static bool elect_joined_leader(struct classic_group *c) {
    const struct classic_member *leader =
        slice_is_null(c->leader) ? NULL : classic_member_of(c, c->leader);
    if (leader != NULL && leader->joining != NULL) return true;
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (m->joining == NULL) continue;
        set_slice(&c->leader, m->id);
        return true;
    }
    return false;
}

static void begin_generation(struct classic_group *c) {
    bool reuses = env_mutant(group_env(c->group->shard), MUTANT_GROUP_REUSE_GENERATION);
    if (!reuses || c->generation == 0) c->generation++;
    struct slice protocol;
    classic_select_protocol(c, &protocol);
    set_slice(&c->protocol_name, protocol);
    compute_subscriptions(c);
    classic_set_state(c, c->members.count == 0 ? CLASSIC_EMPTY : CLASSIC_COMPLETING);
}

static void complete_join(struct classic_group *c, struct runtime_result *result) {
    runtime_timer_stop(&c->rebalance);
    c->in_initial_delay = false;
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        // A static member may be away for as long as its session lasts.
        if (m->joining == NULL && slice_is_null(m->instance_id))
            classic_remove_member(m, ERR_UNKNOWN_MEMBER_ID);
    }
    if (c->members.count > 0 && !elect_joined_leader(c)) {
        runtime_timer_start(shard_of(c), &c->rebalance, after_ms(c, rebalance_timeout_of(c)));
        return;
    }
    begin_generation(c);
    if (c->state == CLASSIC_EMPTY) {
        free_slice(&c->leader);
        classic_add_record(c, NULL, result);
        return;
    }
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        struct group_call *call = classic_set_joining(m, NULL);
        m->is_new = false;
        m->awaits_sync = true;
        classic_restart_session(m, m->session_timeout_ms);
        if (call == NULL) continue;  // a static one that is away
        classic_answer_join(m, call, slice_equal(c->leader, m->id), false);
        group_call_finish(call, ERR_NONE);
    }
    runtime_timer_stop(&c->sync);
    runtime_timer_start(shard_of(c), &c->sync, after_ms(c, rebalance_timeout_of(c)));
}

static void rebalance_over(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    if (g == NULL || g->classic == NULL || g->classic->state != CLASSIC_PREPARING) return;
    struct classic_group *c = g->classic;
    if (env_timer_is_running(&c->rebalance.timer)) return;
    if (c->in_initial_delay && c->new_member_added && c->initial_delay_left_ms > 0) {
        int32_t delay = config_int(s->coordinator->config, BROKER_GROUP_INITIAL_REBALANCE_DELAY_MS);
        c->new_member_added = false;
        delay = MIN(delay, c->initial_delay_left_ms);
        c->initial_delay_left_ms -= delay;
        runtime_timer_start(shard_of(c), &c->rebalance, after_ms(c, delay));
        return;
    }
    complete_join(c, result);
}

static void rebalance_fired(struct runtime_timer *timer) {
    struct classic_group *c = container_of(timer, struct classic_group, rebalance);
    group_run(c->group->shard, c->group->id, rebalance_over);
}

// Members that were told of the generation but did not ask for their assignment in time.
static void sync_over(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    struct classic_group *c = g == NULL ? NULL : g->classic;
    if (c == NULL || c->state == CLASSIC_EMPTY || c->state == CLASSIC_PREPARING) return;
    bool removed = false;
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (!m->awaits_sync) continue;
        classic_remove_member(m, ERR_UNKNOWN_MEMBER_ID);
        removed = true;
    }
    if (removed) classic_prepare(c, result);
}

static void sync_fired(struct runtime_timer *timer) {
    struct classic_group *c = container_of(timer, struct classic_group, sync);
    group_run(c->group->shard, c->group->id, sync_over);
}

void classic_complete_if_all_joined(struct classic_group *c, struct runtime_result *result) {
    if (c->in_initial_delay) return;
    if (c->joining_count >= c->members.count && c->pending.count == 0) {
        complete_join(c, result);
    } else if (!env_timer_is_running(&c->rebalance.timer)) {
        runtime_timer_start(shard_of(c), &c->rebalance, after_ms(c, rebalance_timeout_of(c)));
    }
}

void classic_prepare(struct classic_group *c, struct runtime_result *result) {
    bool was_empty = c->state == CLASSIC_EMPTY;
    if (c->state == CLASSIC_COMPLETING) {
        map_for_each(n, &c->members) {
            struct classic_member *m = container_of(n, struct classic_member, by_id);
            free_slice(&m->assignment);
            if (m->syncing == NULL) continue;
            struct group_call *call = m->syncing;
            m->syncing = NULL;
            classic_answer_sync(NULL, call, ERR_REBALANCE_IN_PROGRESS);
            group_call_finish(call, ERR_NONE);
            classic_restart_session(m, m->session_timeout_ms);
        }
    }
    runtime_timer_stop(&c->sync);
    map_for_each(n, &c->members) container_of(n, struct classic_member, by_id)->awaits_sync = false;
    classic_set_state(c, CLASSIC_PREPARING);
    if (!was_empty) {
        classic_complete_if_all_joined(c, result);
        return;
    }
    int32_t delay =
        config_int(c->group->shard->coordinator->config, BROKER_GROUP_INITIAL_REBALANCE_DELAY_MS);
    c->new_member_added = false;
    c->in_initial_delay = true;
    c->initial_delay_left_ms = MAX(rebalance_timeout_of(c) - delay, 0);
    runtime_timer_start(shard_of(c), &c->rebalance, after_ms(c, delay));
}

void classic_rebalance(struct classic_group *c, struct runtime_result *result) {
    if (c->state == CLASSIC_PREPARING) {
        classic_complete_if_all_joined(c, result);
    } else {
        classic_prepare(c, result);
    }
}

// ---- The record ----

void classic_add_record(struct classic_group *c, const struct slice *assignments,
                        struct runtime_result *result) {
    struct group_metadata_key key = {.group = c->group->id};
    struct group_metadata_value value;
    c->has_record = true;
    codec_init(&group_metadata_value_codec, &value);
    value.protocol_type = slice_is_null(c->protocol_type) ? SLICE_EMPTY : c->protocol_type;
    value.generation = c->generation;
    value.protocol = c->protocol_name;
    value.leader = c->leader;
    value.current_state_timestamp = c->state_timestamp;
    value.members_count = 0;
    value.members =
        group_metadata_value_member_metadata_new(result->arena, (int32_t)c->members.count);
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        int32_t i = value.members_count++;
        struct slice assignment = assignments != NULL ? assignments[i] : m->assignment;
        value.members[i].member_id = m->id;
        value.members[i].group_instance_id = m->instance_id;
        value.members[i].client_id = m->client_id;
        value.members[i].client_host = m->client_host;
        value.members[i].rebalance_timeout = m->rebalance_timeout_ms;
        value.members[i].session_timeout = m->session_timeout_ms;
        value.members[i].subscription = classic_metadata_of(m, c->protocol_name);
        value.members[i].assignment = slice_is_null(assignment) ? SLICE_EMPTY : assignment;
    }
    group_add_record(result, GROUP_METADATA, &key, GROUP_METADATA_VALUE_VERSION, &value);
}

void classic_add_empty_record(struct classic_group *c, struct runtime_result *result) {
    struct group_metadata_key key = {.group = c->group->id};
    struct group_metadata_value value;
    codec_init(&group_metadata_value_codec, &value);
    value.protocol_type = SLICE_EMPTY;
    value.generation = 0;
    value.protocol = SLICE_NULL;
    value.leader = SLICE_NULL;
    value.current_state_timestamp = env_wall_ms(group_env(c->group->shard));
    group_add_record(result, GROUP_METADATA, &key, GROUP_METADATA_VALUE_VERSION, &value);
    c->has_record = true;
}

void classic_set_assignment(struct classic_member *m, struct slice assignment) {
    bool keeps = env_mutant(group_env(m->group->group->shard), MUTANT_GROUP_KEEP_ASSIGNMENT);
    if (keeps && m->assignment.size > 0) return;
    set_slice(&m->assignment, assignment);
}

void classic_begin_again(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    if (g != NULL && g->classic != NULL && g->classic->state == CLASSIC_COMPLETING)
        classic_prepare(g->classic, result);
}

// ---- Life ----

struct classic_group *classic_new(struct group *g) {
    struct classic_group *c = memory_zalloc(1, sizeof *c);
    c->group = g;
    c->state = CLASSIC_EMPTY;
    c->state_timestamp = -1;
    uint64_t seed = g->shard->groups.seed;
    map_init(&c->members, seed);
    map_init(&c->instances, seed);
    map_init(&c->pending, seed);
    map_init(&c->protocols, seed);
    runtime_timer_init(&c->rebalance, rebalance_fired);
    runtime_timer_init(&c->sync, sync_fired);
    g->classic = c;
    return c;
}

void classic_free(struct classic_group *c) {
    map_for_each(n, &c->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        end_waiting(m, ERR_NOT_COORDINATOR, m->id);
        member_free(m);
    }
    map_for_each(n, &c->pending) classic_remove_pending(c, n->key);
    map_deinit(&c->members);
    map_deinit(&c->instances);
    map_deinit(&c->pending);
    map_deinit(&c->protocols);
    runtime_timer_stop(&c->rebalance);
    runtime_timer_stop(&c->sync);
    free_slice(&c->protocol_type);
    free_slice(&c->protocol_name);
    free_slice(&c->leader);
    free_slice(&c->subscribed);
    memory_free(c);
}

static void build_member(struct classic_group *c,
                         const struct group_metadata_value_member_metadata *v) {
    if (classic_member_of(c, v->member_id) != NULL) return;
    struct classic_member *m =
        member_new(c, v->member_id, v->group_instance_id, v->client_id, v->client_host);
    m->session_timeout_ms = v->session_timeout;
    m->rebalance_timeout_ms = v->rebalance_timeout < 0 ? v->session_timeout : v->rebalance_timeout;
    struct member_protocol chosen = {c->protocol_name, v->subscription};
    classic_keep_protocols(m, &chosen, slice_is_null(c->protocol_name) ? 0 : 1);
    set_slice(&m->assignment, v->assignment);
}

// While loading a record is what the group was; afterwards a live group is ahead of its own record,
// and only its end comes from one.
enum err classic_apply(struct group *g, const struct group_metadata_value *v) {
    if (v == NULL) {
        struct classic_group *now = g->classic;
        if (now != NULL && (now->state == CLASSIC_EMPTY || now->is_converting)) {
            classic_free(g->classic);
            g->classic = NULL;
        }
        return ERR_NONE;
    }
    if (g->shard->is_loaded && g->classic != NULL) return ERR_NONE;
    // Both cannot be: the records of a consumer group come with the tombstone of this one.
    if (g->consumer != NULL) return ERR_NONE;
    struct classic_group *c = g->classic != NULL ? g->classic : classic_new(g);
    c->has_record = true;
    c->generation = v->generation;
    c->state_timestamp = v->current_state_timestamp;
    if (v->protocol_type.size > 0) set_slice(&c->protocol_type, v->protocol_type);
    set_slice(&c->protocol_name, v->protocol);
    set_slice(&c->leader, v->leader);
    for (int32_t i = 0; i < v->members_count; i++)
        build_member(c, &v->members[i]);
    if (c->members.count > 0) c->state = CLASSIC_STABLE;
    compute_subscriptions(c);
    // A consumer group became one, or a lost write brings it back.
    if (g->shard->is_loaded) classic_loaded(g);
    return ERR_NONE;
}

void classic_begin_rebalance(struct group *g, struct runtime_result *result) {
    if (g->classic->state == CLASSIC_STABLE) classic_prepare(g->classic, result);
}

// The limit was lowered while the group was away: who joins again first, stays.
static void shrink_to_limit(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    if (g != NULL && g->classic != NULL && g->classic->state == CLASSIC_STABLE)
        classic_prepare(g->classic, result);
}

void classic_loaded(struct group *g) {
    map_for_each(n, &g->classic->members) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        classic_restart_session(m, m->session_timeout_ms);
    }
    int32_t max = config_int(g->shard->coordinator->config, BROKER_GROUP_MAX_SIZE);
    if (g->classic->members.count > (size_t)max) group_run(g->shard, g->id, shrink_to_limit);
}

// ---- What others ask of it ----

bool classic_is_empty(const struct group *g) {
    return g->classic == NULL || g->classic->state == CLASSIC_EMPTY;
}
bool classic_is_stable(const struct group *g) {
    return g->classic != NULL && g->classic->state == CLASSIC_STABLE;
}
bool classic_awaits_members(const struct group *g) {
    return g->classic != NULL && g->classic->pending.count > 0;
}
int64_t classic_state_timestamp(const struct group *g) {
    return g->classic == NULL ? -1 : g->classic->state_timestamp;
}
struct slice classic_protocol_type(const struct group *g) {
    return g->classic == NULL ? SLICE_NULL : g->classic->protocol_type;
}

const char *classic_state_name(const struct group *g) {
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance",
                                        "Stable"};
    return names[g->classic == NULL ? CLASSIC_EMPTY : g->classic->state];
}

void classic_describe(const struct group *g, int16_t version, struct arena *arena,
                      struct describe_groups_response_group *out) {
    (void)version;
    const struct classic_group *c = g->classic;
    out->group_state = slice_cstring(classic_state_name(g));
    out->protocol_type = c == NULL || slice_is_null(c->protocol_type)
                             ? SLICE_EMPTY
                             : arena_copy(arena, c->protocol_type);
    if (c == NULL) return;
    bool stable = c->state == CLASSIC_STABLE;
    out->protocol_data = stable ? arena_copy(arena, c->protocol_name) : SLICE_EMPTY;
    out->members = describe_groups_response_member_new(arena, (int32_t)c->members.count);
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        struct describe_groups_response_member *d = &out->members[out->members_count++];
        d->member_id = arena_copy(arena, m->id);
        d->group_instance_id = arena_copy(arena, m->instance_id);
        d->client_id = arena_copy(arena, m->client_id);
        d->client_host = arena_copy(arena, m->client_host);
        d->member_metadata =
            stable ? arena_copy(arena, classic_metadata_of(m, c->protocol_name)) : SLICE_EMPTY;
        d->member_assignment =
            slice_is_null(m->assignment) ? SLICE_EMPTY : arena_copy(arena, m->assignment);
    }
}
