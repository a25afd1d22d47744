// Members of a consumer group that speak the classic protocol, while a group is moved from one to
// the other (KIP-848, "online migration"). To them the group looks like a classic one that the
// coordinator leads: JoinGroup does what a heartbeat of the consumer protocol does, its generation
// is the member's epoch; SyncGroup gives the partitions; Heartbeat says when to join again. So each
// of them moves at its own pace too, in the classic protocol's words.
#include "group/classic.h"
#include "group/consumer.h"
#include "wire/codec.h"

enum { JOIN_VERSION_KNOWN_ID = 4 };

static struct consumer_group *group_of(const struct group_shard *s, const struct group_call *call) {
    const struct group *g = group_find(s, call->group_id);
    return g == NULL ? NULL : g->consumer;
}

// The member, by its instance where it has one.
static enum err find_member(const struct consumer_group *c, struct slice id,
                            struct slice instance_id, struct consumer_member **member) {
    struct consumer_member *m = slice_is_null(instance_id)
                                    ? consumer_member_of(c, id)
                                    : consumer_member_of_instance(c, instance_id);
    if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
    if (!slice_equal(m->id, id)) return ERR_FENCED_INSTANCE_ID;
    *member = m;
    return ERR_NONE;
}

static void set_deadline_once(struct consumer_member *m, enum member_deadline which) {
    if (m->deadlines_ns[which] == 0)
        consumer_set_deadline(m, which, m->metadata.rebalance_timeout_ms);
}

// ---- JoinGroup ----

static bool supports(const struct consumer_group *c, const struct join_group_request *m) {
    if (!slice_equal_cstring(m->protocol_type, "consumer")) return false;
    for (int32_t i = 0; i < m->protocols_count; i++)
        if (group_vote_count(&c->protocols, m->protocols[i].name) == c->classic_count) return true;
    return false;
}

static struct member_metadata next_metadata(const struct group_call *call,
                                            const struct consumer_member *member,
                                            const struct consumer_subscription *subscription,
                                            struct arena *arena) {
    const struct join_group_request *m = call->request;
    struct member_metadata next = {.instance_id = SLICE_NULL};
    if (member != NULL) next = member->metadata;
    if (!slice_is_null(m->group_instance_id)) next.instance_id = m->group_instance_id;
    if (!slice_is_null(subscription->rack_id)) next.rack_id = subscription->rack_id;
    next.rebalance_timeout_ms =
        call->version >= 1 ? m->rebalance_timeout_ms : m->session_timeout_ms;
    next.topics = subscription->topics;
    next.topic_count = subscription->topic_count;
    next.regex = SLICE_EMPTY;
    next.client_id = slice_is_null(call->client_id) ? SLICE_EMPTY : call->client_id;
    next.client_host = call->client_host;
    next.is_classic = true;
    next.session_timeout_ms = m->session_timeout_ms;
    struct member_protocol *protocols =
        arena_zalloc(arena, (size_t)m->protocols_count, sizeof *protocols);
    for (int32_t i = 0; i < m->protocols_count; i++)
        protocols[i] = (struct member_protocol){m->protocols[i].name, m->protocols[i].metadata};
    next.protocols = protocols;
    next.protocol_count = m->protocols_count;
    return next;
}

// A static member that begins again takes over from the older one of its instance.
static enum err take_member(const struct consumer_group *c, const struct join_group_request *m,
                            struct slice id, struct consumer_member **member, bool *takes_over) {
    *takes_over = false;
    if (slice_is_null(m->group_instance_id)) {
        *member = consumer_member_of(c, id);
        return ERR_NONE;
    }
    *member = consumer_member_of_instance(c, m->group_instance_id);
    if (m->member_id.size == 0) {
        *takes_over = *member != NULL;
        return ERR_NONE;
    }
    return find_member(c, id, m->group_instance_id, member);
}

static void answer_join(struct group_call *call, const struct consumer_update *u) {
    struct join_group_response *out = call->response;
    out->error_code = 0;
    out->member_id = arena_copy(call->arena, u->id);
    out->generation_id = u->progress.epoch;
    out->protocol_type = SLICE_LITERAL("consumer");
    out->protocol_name = arena_copy(call->arena, u->next.protocols[0].name);
    out->leader = SLICE_EMPTY;
}

// The last member of the consumer protocol comes back as a classic one: the group is one from now
// on.
static enum err join_last(struct consumer_update *u, struct group_call *call) {
    struct group_shard *s = u->shard;
    bool is_settled = u->group->assignment_epoch >= u->epoch;
    u->progress = (struct member_progress){.epoch = EPOCH_JOIN};
    if (is_settled) u->progress.epoch = u->group->assignment_epoch;
    answer_join(call, u);
    // What the operation itself wrote for the member would come behind the end of its group.
    u->result->count = 0;
    if (!migration_downgrade(s, call->group_id, &u->member, 1, u->id, &u->next))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    struct group *g = group_find(s, call->group_id);
    if (!is_settled && g != NULL && g->classic != NULL) classic_begin_rebalance(g, u->result);
    return ERR_NONE;
}

enum err consumer_classic_join(struct group_shard *s, struct group_call *call,
                               struct runtime_result *result) {
    const struct join_group_request *m = call->request;
    struct consumer_group *c = group_of(s, call);
    const struct config *config = s->coordinator->config;
    if (slice_equal_any_case(config_string(config, BROKER_GROUP_CONSUMER_MIGRATION_POLICY),
                             SLICE_LITERAL("disabled")))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    struct slice id = m->member_id.size > 0 ? m->member_id : consumer_new_id(s, result->arena);
    bool is_known = consumer_member_of(c, id) != NULL ||
                    consumer_member_of_instance(c, m->group_instance_id) != NULL;
    size_t max = (size_t)config_int(config, BROKER_GROUP_CONSUMER_MAX_SIZE);
    if (!is_known && c->members.count >= max) return ERR_GROUP_MAX_SIZE_REACHED;
    if (!supports(c, m)) return ERR_INCONSISTENT_GROUP_PROTOCOL;
    bool gives_id = m->member_id.size == 0 && slice_is_null(m->group_instance_id) &&
                    call->version >= JOIN_VERSION_KNOWN_ID;
    if (gives_id) {
        classic_fail_join(call, ERR_MEMBER_ID_REQUIRED, id);
        return ERR_NONE;
    }
    struct consumer_update u = {.shard = s, .group = c, .id = id, .result = result};
    enum err err = take_member(c, m, id, &u.member, &u.takes_over);
    if (err != ERR_NONE) return err;
    struct consumer_subscription subscription;
    if (!consumer_subscription_read(s->coordinator->image, m->protocols[0].metadata, result->arena,
                                    &subscription))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    u.next = next_metadata(call, u.member, &subscription, result->arena);
    u.owned = &subscription.owned;
    struct message ignored;
    err = consumer_subscribe(&u, &ignored);
    if (err != ERR_NONE) return err;
    if (u.member != NULL && !u.member->metadata.is_classic &&
        !slice_is_null(m->group_instance_id) && migration_may_downgrade(c, &u.member, 1, true))
        return join_last(&u, call);
    consumer_step(&u, true);
    answer_join(call, &u);
    return ERR_NONE;
}

void consumer_classic_join_written(struct group_shard *s, struct group_call *call,
                                   enum err result) {
    const struct join_group_response *out = call->response;
    struct consumer_group *c = group_of(s, call);
    if (c == NULL || result != ERR_NONE || out->error_code != 0) return;
    struct consumer_member *m = consumer_member_of(c, out->member_id);
    if (m == NULL || !m->metadata.is_classic) return;
    consumer_clear_deadline(m, DEADLINE_JOIN);
    consumer_restart_session(m);
    consumer_set_deadline(m, DEADLINE_SYNC, m->metadata.rebalance_timeout_ms);
}

// ---- SyncGroup ----

static bool differs(struct slice named, struct slice agreed) {
    return !slice_is_null(named) && !slice_equal(named, agreed);
}

static enum err check_sync(const struct consumer_group *c, const struct sync_group_request *m,
                           struct consumer_member **member) {
    enum err err = find_member(c, m->member_id, m->group_instance_id, member);
    if (err != ERR_NONE) return err;
    struct consumer_member *found = *member;
    if (!found->metadata.is_classic) return ERR_UNKNOWN_MEMBER_ID;
    if (m->generation_id != found->progress.epoch) return ERR_ILLEGAL_GENERATION;
    if (differs(m->protocol_type, SLICE_LITERAL("consumer")) ||
        differs(m->protocol_name, found->metadata.protocols[0].name))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    bool is_behind = c->assignment_epoch > found->progress.epoch &&
                     found->progress.state != MEMBER_UNREVOKED_PARTITIONS;
    if (!is_behind) return ERR_NONE;
    set_deadline_once(found, DEADLINE_JOIN);
    return ERR_REBALANCE_IN_PROGRESS;
}

enum err consumer_classic_sync(struct group_shard *s, struct group_call *call,
                               struct runtime_result *result) {
    const struct sync_group_request *m = call->request;
    struct sync_group_response *out = call->response;
    struct consumer_group *c = group_of(s, call);
    struct consumer_member *member;
    enum err err = check_sync(c, m, &member);
    if (err != ERR_NONE) return err;
    const struct image *image = s->coordinator->image;
    struct consumer_subscription subscription;
    if (!consumer_subscription_read(image, member->metadata.protocols[0].metadata, result->arena,
                                    &subscription))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    struct slice assignment = consumer_assignment_write(image, &member->progress.assigned,
                                                        subscription.version, call->arena);
    codec_init(&sync_group_response_codec, out);
    out->protocol_type = m->protocol_type;
    out->protocol_name = m->protocol_name;
    out->assignment = assignment;
    consumer_restart_session(member);
    return ERR_NONE;
}

void consumer_classic_sync_written(struct group_shard *s, struct group_call *call,
                                   enum err result) {
    const struct sync_group_request *m = call->request;
    const struct sync_group_response *out = call->response;
    struct consumer_group *c = group_of(s, call);
    struct consumer_member *member = c == NULL ? NULL : consumer_member_of(c, m->member_id);
    if (member == NULL || result != ERR_NONE || out->error_code != 0) return;
    consumer_clear_deadline(member, DEADLINE_SYNC);
    consumer_restart_session(member);
}

// ---- Heartbeat ----

// All that it waits for is free: to join again gets it there.
static bool waits_for_nobody(const struct consumer_member *m) {
    for (int32_t i = 0; i < m->target.count; i++) {
        const struct group_partition *p = &m->target.items[i];
        if (!partition_list_contains(&m->progress.assigned, p) && consumer_is_owned(m->group, p))
            return false;
    }
    return true;
}

enum err consumer_classic_heartbeat(struct group_shard *s, struct group_call *call,
                                    struct runtime_result *result) {
    (void)result;
    const struct heartbeat_request *m = call->request;
    struct heartbeat_response *out = call->response;
    struct consumer_group *c = group_of(s, call);
    struct consumer_member *member;
    enum err err = find_member(c, m->member_id, m->group_instance_id, &member);
    if (err == ERR_NONE && !member->metadata.is_classic) err = ERR_UNKNOWN_MEMBER_ID;
    if (err == ERR_NONE && m->generation_id != member->progress.epoch) err = ERR_ILLEGAL_GENERATION;
    out->error_code = err_wire(err);
    if (err != ERR_NONE) return ERR_NONE;
    consumer_restart_session(member);
    const struct member_progress *p = &member->progress;
    bool joins = p->epoch < c->assignment_epoch || p->state == MEMBER_UNREVOKED_PARTITIONS ||
                 (p->state == MEMBER_UNRELEASED_PARTITIONS && waits_for_nobody(member));
    if (!joins) return ERR_NONE;
    set_deadline_once(member, DEADLINE_JOIN);
    out->error_code = err_wire(ERR_REBALANCE_IN_PROGRESS);
    return ERR_NONE;
}

// ---- LeaveGroup ----

static enum err find_leaving(const struct consumer_group *c, struct slice id,
                             struct slice instance_id, struct consumer_member **member) {
    // An administrator names the instance alone.
    if (id.size > 0 || slice_is_null(instance_id)) return find_member(c, id, instance_id, member);
    *member = consumer_member_of_instance(c, instance_id);
    return *member == NULL ? ERR_UNKNOWN_MEMBER_ID : ERR_NONE;
}

static bool is_among(struct consumer_member *const *list, int32_t count,
                     const struct consumer_member *m) {
    for (int32_t i = 0; i < count; i++)
        if (list[i] == m) return true;
    return false;
}

enum err consumer_classic_leave(struct group_shard *s, struct group_call *call,
                                struct runtime_result *result) {
    const struct leave_group_request *m = call->request;
    struct leave_group_response *out = call->response;
    struct consumer_group *c = group_of(s, call);
    bool is_batch = call->version >= 3;
    int32_t count = is_batch ? m->members_count : 1, gone = 0;
    struct consumer_member **members =
        arena_zalloc(result->arena, (size_t)count, sizeof(struct consumer_member *));
    if (is_batch) {
        out->members_count = count;
        out->members = leave_group_response_member_new(call->arena, count);
    }
    for (int32_t i = 0; i < count; i++) {
        struct slice id = is_batch ? m->members[i].member_id : m->member_id;
        struct slice instance = is_batch ? m->members[i].group_instance_id : SLICE_NULL;
        struct consumer_member *member;
        enum err err = find_leaving(c, id, instance, &member);
        if (err == ERR_NONE && !is_among(members, gone, member)) members[gone++] = member;
        if (!is_batch) {
            out->error_code = err_wire(err);
            continue;
        }
        out->members[i].member_id = id;
        out->members[i].group_instance_id = instance;
        out->members[i].error_code = err_wire(err);
    }
    if (gone > 0) consumer_fence(s, c, members, gone, result);
    return ERR_NONE;
}
