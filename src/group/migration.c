// A group moves from one protocol to the other while its members run (KIP-848, "online migration").
//
// Up: the first member of the consumer protocol that comes to a classic group of consumers.
// Members, with what they subscribe to and have, become members of a consumer group that speak the
// classic protocol; the generation becomes group epoch and everybody's epoch, so nothing moves.
// Down: the last member of the consumer protocol goes, and those that are left are a classic group
// again, with the target assignment as theirs.
//
// Each is one operation: tombstones of what the group was, records of what it is. The state follows
// from these records, as after a restart; so a write that fails brings back what was.
#include "gen/rec/group.h"
#include "group/classic.h"
#include "group/consumer.h"
#include "group/topic_hash.h"
#include "wire/codec.h"

static bool policy_is(const struct group_shard *s, const char *one, const char *other) {
    struct slice policy =
        config_string(s->coordinator->config, BROKER_GROUP_CONSUMER_MIGRATION_POLICY);
    return slice_equal_any_case(policy, slice_cstring(one)) ||
           slice_equal_any_case(policy, slice_cstring(other));
}

// ---- Up ----

struct upgraded {
    struct slice id;
    struct member_metadata metadata;
    struct partition_list assigned;
};

struct upgrade {
    struct upgraded *members;
    int32_t count;
    int32_t epoch;
    struct arena *arena;
};

static const char *why_not_upgrade(const struct group_shard *s, const struct classic_group *c) {
    if (!policy_is(s, "upgrade", "bidirectional")) return "online upgrade is disabled";
    if (!slice_equal_cstring(c->protocol_type, "consumer"))
        return "the group does not use the consumer embedded protocol";
    int32_t max = config_int(s->coordinator->config, BROKER_GROUP_CONSUMER_MAX_SIZE);
    if (c->members.count > (size_t)max)
        return "the group size exceeds the consumer group maximum size";
    return NULL;
}

static const char *upgrade_member(const struct group_shard *s, const struct classic_member *m,
                                  int32_t generation, struct upgraded *out, struct arena *arena) {
    const struct image *image = s->coordinator->image;
    struct consumer_subscription subscription;
    bool has_user_data;
    struct slice metadata = classic_metadata_of(m, m->group->protocol_name);
    if (!consumer_subscription_read(image, metadata, arena, &subscription) ||
        !consumer_assignment_read(image, m->assignment, arena, &out->assigned, &has_user_data))
        return "the embedded consumer protocol is malformed";
    if (has_user_data)
        return "an unsupported custom assignor is in use. Please refer to the documentation or "
               "switch to a default assignor before re-attempting the upgrade";
    for (int32_t i = 0; i < out->assigned.count; i++)
        out->assigned.items[i].epoch = generation;
    out->id = m->id;
    out->metadata = (struct member_metadata){
        .instance_id = m->instance_id,
        .rack_id = subscription.rack_id,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .topics = subscription.topics,
        .topic_count = subscription.topic_count,
        .regex = SLICE_EMPTY,
        .server_assignor = SLICE_NULL,
        .rebalance_timeout_ms = m->rebalance_timeout_ms,
        .is_classic = true,
        .session_timeout_ms = m->session_timeout_ms,
        .protocols = m->protocols,
        .protocol_count = m->protocol_count,
    };
    return NULL;
}

static int64_t hash_of(const struct group *group, const struct upgrade *u, struct arena *arena) {
    size_t room = 0, count = 0;
    for (int32_t i = 0; i < u->count; i++)
        room += (size_t)u->members[i].metadata.topic_count;
    struct slice *names = arena_zalloc(arena, room, sizeof *names);
    for (int32_t i = 0; i < u->count; i++)
        for (int32_t k = 0; k < u->members[i].metadata.topic_count; k++)
            names[count++] = u->members[i].metadata.topics[k];
    return topic_names_hash(group->shard->coordinator->image, names, (int32_t)count, arena);
}

static void add_group_gone(struct slice group_id, struct runtime_result *result) {
    struct group_metadata_key key = {.group = group_id};
    group_add_record(result, GROUP_METADATA, &key, 0, NULL);
}

static void run_upgrade(struct group_shard *s, struct group *group, void *context,
                        struct runtime_result *result) {
    (void)s;
    const struct upgrade *u = context;
    struct slice id = arena_copy(result->arena, group->id);
    group->classic->is_converting = true;
    add_group_gone(id, result);
    if (u->count == 0) return;
    for (int32_t i = 0; i < u->count; i++)
        consumer_add_metadata(id, u->members[i].id, &u->members[i].metadata, result);
    consumer_add_group(id, u->epoch, hash_of(group, u, result->arena), result);
    for (int32_t i = 0; i < u->count; i++)
        consumer_add_target(id, u->members[i].id, &u->members[i].assigned, result);
    consumer_add_target_epoch(id, u->epoch, 0, result);
    for (int32_t i = 0; i < u->count; i++) {
        struct member_progress progress = {.epoch = u->epoch,
                                           .previous_epoch = u->epoch,
                                           .state = MEMBER_STABLE,
                                           .assigned = u->members[i].assigned};
        consumer_add_progress(id, u->members[i].id, &progress, result);
    }
}

static enum err refuse_upgrade(struct slice id, const char *why, struct message *error) {
    message_set(error, "Cannot upgrade classic group %.*s to consumer group because %s.",
                SLICE_PRINT(id), why);
    return ERR_GROUP_ID_NOT_FOUND;
}

enum err migration_upgrade(struct group_shard *s, struct slice group_id, struct message *error) {
    struct group *group = group_find(s, group_id);
    struct classic_group *c = group->classic;
    struct arena arena;
    arena_init(&arena);
    struct upgrade u = {.epoch = c->generation, .arena = &arena};
    u.members = arena_zalloc(&arena, c->members.count, sizeof *u.members);
    const char *why = classic_is_empty(group) ? NULL : why_not_upgrade(s, c);
    map_for_each(n, &c->members) {
        const struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (why == NULL) why = upgrade_member(s, m, c->generation, &u.members[u.count++], &arena);
    }
    enum err err = ERR_NONE;
    if (why != NULL) {
        err = refuse_upgrade(group_id, why, error);
    } else {
        classic_end_waiting(c, ERR_REBALANCE_IN_PROGRESS);
        bool moves = u.count > 0;
        group_run_inside(s, group_id, run_upgrade, &u);
        group = group_find(s, group_id);
        bool moved =
            group == NULL || (group->classic == NULL && (!moves || group->consumer != NULL));
        if (!moved) {
            group->classic->is_converting = false;
            err = ERR_COORDINATOR_NOT_AVAILABLE;
        }
    }
    arena_deinit(&arena);
    return err;
}

// ---- Down ----

static int32_t classic_among(struct consumer_member *const *members, int32_t count) {
    int32_t classic = 0;
    for (int32_t i = 0; i < count; i++)
        classic += members[i]->metadata.is_classic;
    return classic;
}

bool migration_may_downgrade(const struct consumer_group *c, struct consumer_member *const *gone,
                             int32_t gone_count, bool replaced) {
    size_t left = c->members.count - (size_t)gone_count;
    int32_t classic_left = c->classic_count - classic_among(gone, gone_count);
    if ((size_t)classic_left != left || (left == 0 && !replaced)) return false;
    const struct group_shard *s = c->group->shard;
    size_t max = (size_t)config_int(s->coordinator->config, BROKER_GROUP_MAX_SIZE);
    return policy_is(s, "downgrade", "bidirectional") && left + replaced <= max;
}

struct downgraded {
    struct slice id;
    const struct member_metadata *metadata;
    const struct partition_list *target;
    struct member_protocol *protocols;  // owned copies, in the arena
};

struct downgrade {
    struct downgraded *members;
    int32_t count;
    int32_t epoch;
    struct slice protocol;
    struct arena *arena;
};

static bool supported_by_all(const struct downgrade *d, struct slice name) {
    for (int32_t i = 0; i < d->count; i++) {
        const struct member_metadata *m = d->members[i].metadata;
        bool found = false;
        for (int32_t k = 0; k < m->protocol_count; k++)
            found = found || slice_equal(m->protocols[k].name, name);
        if (!found) return false;
    }
    return true;
}

// As a classic group chooses: every member votes for the first of its protocols that all support.
static struct slice choose_protocol(const struct downgrade *d) {
    const struct member_metadata *first = d->members[0].metadata;
    struct slice best = first->protocols[0].name;
    int32_t best_votes = 0;
    for (int32_t p = 0; p < first->protocol_count; p++) {
        struct slice name = first->protocols[p].name;
        int32_t votes = 0;
        for (int32_t i = 0; i < d->count && supported_by_all(d, name); i++) {
            const struct member_metadata *m = d->members[i].metadata;
            int32_t k = 0;
            while (k < m->protocol_count && !supported_by_all(d, m->protocols[k].name))
                k++;
            votes += k < m->protocol_count && slice_equal(m->protocols[k].name, name);
        }
        if (votes <= best_votes) continue;
        best = name;
        best_votes = votes;
    }
    return best;
}

static struct slice subscription_of(const struct member_metadata *m, struct slice protocol) {
    for (int32_t i = 0; i < m->protocol_count; i++)
        if (slice_equal(m->protocols[i].name, protocol)) return m->protocols[i].metadata;
    return SLICE_EMPTY;
}

static void put_member(const struct group_shard *s, const struct downgrade *d,
                       const struct downgraded *member, struct arena *arena,
                       struct group_metadata_value_member_metadata *out) {
    const struct member_metadata *m = member->metadata;
    const struct image *image = s->coordinator->image;
    out->member_id = member->id;
    out->group_instance_id = m->instance_id;
    out->client_id = m->client_id;
    out->client_host = m->client_host;
    out->rebalance_timeout = m->rebalance_timeout_ms;
    out->session_timeout = m->session_timeout_ms;
    out->subscription = subscription_of(m, d->protocol);
    struct consumer_subscription subscription;
    bool readable = consumer_subscription_read(image, out->subscription, arena, &subscription);
    int16_t version = readable ? subscription.version : 0;
    out->assignment = consumer_assignment_write(image, member->target, version, arena);
}

static void run_downgrade(struct group_shard *s, struct group *group, void *context,
                          struct runtime_result *result) {
    const struct downgrade *d = context;
    consumer_add_gone(group, result);
    struct group_metadata_key key = {.group = group->id};
    struct group_metadata_value value;
    codec_init(&group_metadata_value_codec, &value);
    value.protocol_type = SLICE_LITERAL("consumer");
    value.generation = d->epoch;
    value.protocol = d->protocol;
    value.leader = d->members[0].id;
    value.current_state_timestamp = env_wall_ms(group_env(s));
    value.members = group_metadata_value_member_metadata_new(result->arena, d->count);
    value.members_count = d->count;
    for (int32_t i = 0; i < d->count; i++)
        put_member(s, d, &d->members[i], result->arena, &value.members[i]);
    group_add_record(result, GROUP_METADATA, &key, GROUP_METADATA_VALUE_VERSION, &value);
}

// What the record does not say: all protocols that the member supports.
static void keep_protocols(struct downgrade *d, struct downgraded *member) {
    const struct member_metadata *m = member->metadata;
    member->protocols =
        arena_zalloc(d->arena, (size_t)m->protocol_count, sizeof *member->protocols);
    for (int32_t i = 0; i < m->protocol_count; i++)
        member->protocols[i] =
            (struct member_protocol){arena_copy(d->arena, m->protocols[i].name),
                                     arena_copy(d->arena, m->protocols[i].metadata)};
    member->id = arena_copy(d->arena, member->id);
}

static void add_members(struct downgrade *d, const struct consumer_group *c,
                        struct consumer_member *const *gone, int32_t gone_count,
                        struct slice joining_id, const struct member_metadata *joining) {
    d->members = arena_zalloc(d->arena, c->members.count + 1, sizeof *d->members);
    map_for_each(n, &c->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        bool goes = false;
        for (int32_t i = 0; i < gone_count; i++)
            goes = goes || gone[i] == m;
        if (goes && joining == NULL) continue;
        d->members[d->count++] = (struct downgraded){.id = goes ? joining_id : m->id,
                                                     .metadata = goes ? joining : &m->metadata,
                                                     .target = &m->target};
    }
}

bool migration_downgrade(struct group_shard *s, struct slice group_id,
                         struct consumer_member *const *gone, int32_t gone_count,
                         struct slice joining_id, const struct member_metadata *joining) {
    struct group *group = group_find(s, group_id);
    struct arena arena;
    arena_init(&arena);
    struct downgrade d = {.arena = &arena, .epoch = group->consumer->epoch};
    add_members(&d, group->consumer, gone, gone_count, joining_id, joining);
    d.protocol = arena_copy(&arena, choose_protocol(&d));
    int32_t *protocol_counts = arena_zalloc(&arena, (size_t)d.count, sizeof *protocol_counts);
    for (int32_t i = 0; i < d.count; i++) {
        protocol_counts[i] = d.members[i].metadata->protocol_count;
        keep_protocols(&d, &d.members[i]);
    }
    group_run_inside(s, group_id, run_downgrade, &d);
    group = group_find(s, group_id);
    bool moved = group != NULL && group->classic != NULL && group->consumer == NULL;
    for (int32_t i = 0; moved && i < d.count; i++) {
        struct classic_member *m = classic_member_of(group->classic, d.members[i].id);
        if (m != NULL) classic_keep_protocols(m, d.members[i].protocols, protocol_counts[i]);
    }
    arena_deinit(&arena);
    return moved;
}
