// What a member's request makes of the group, in the order of Kafka's GroupMetadataManager: the
// member's own metadata, the expression, the group epoch, the target assignment, one step of
// reconciliation. And how members go.
#include <stdlib.h>

#include "group/consumer.h"
#include "metadata/effective_config.h"

struct slice consumer_new_id(struct group_shard *s, struct arena *arena) {
    char text[UUID_TEXT_SIZE];
    return arena_copy(arena, slice_cstring(uuid_format(env_random_uuid(group_env(s)), text)));
}

// ---- The member's metadata ----

static bool same_topics(const struct member_metadata *a, const struct member_metadata *b) {
    if (a->topic_count != b->topic_count) return false;
    for (int32_t i = 0; i < a->topic_count; i++)
        if (!slice_equal(a->topics[i], b->topics[i])) return false;
    return true;
}

static bool same_protocols(const struct member_metadata *a, const struct member_metadata *b) {
    if (a->protocol_count != b->protocol_count) return false;
    for (int32_t i = 0; i < a->protocol_count; i++)
        if (!slice_equal(a->protocols[i].name, b->protocols[i].name) ||
            !slice_equal(a->protocols[i].metadata, b->protocols[i].metadata))
            return false;
    return true;
}

static bool same_metadata(const struct member_metadata *a, const struct member_metadata *b) {
    return same_topics(a, b) && slice_equal(a->regex, b->regex) &&
           slice_equal(a->instance_id, b->instance_id) && slice_equal(a->rack_id, b->rack_id) &&
           slice_equal(a->client_id, b->client_id) && slice_equal(a->client_host, b->client_host) &&
           slice_equal(a->server_assignor, b->server_assignor) &&
           a->rebalance_timeout_ms == b->rebalance_timeout_ms && a->is_classic == b->is_classic &&
           a->session_timeout_ms == b->session_timeout_ms && same_protocols(a, b);
}

static const struct member_metadata nobody = {.regex = {(const uint8_t *)"", 0}};

static const struct member_metadata *metadata_before(const struct consumer_update *u) {
    return u->member == NULL ? &nobody : &u->member->metadata;
}

static bool has_other_id(const struct consumer_update *u) {
    return u->member != NULL && !slice_equal(u->member->id, u->id);
}

static struct consumer_change change_of(const struct consumer_update *u) {
    return (struct consumer_change){
        .id = u->id,
        .next = &u->next,
        .gone = (const struct consumer_member *const *)&u->member,
        .gone_count = u->member == NULL ? 0 : 1,
    };
}

// An expression that nobody has any more goes; a new one is looked up soon. True: the topics are
// other ones already now.
static bool change_regex(struct consumer_update *u) {
    struct slice before = metadata_before(u)->regex, next = u->next.regex;
    struct consumer_group *c = u->group;
    consumer_regex_refresh(c, before, next);
    if (slice_equal(before, next)) return false;
    const struct consumer_regex *old = consumer_regex_of(c, before);
    if (old != NULL && old->member_count == 1)
        consumer_add_regex(c->group->id, before, NULL, 0, 0, u->result);
    if (next.size == 0) return before.size > 0;
    const struct consumer_regex *known = consumer_regex_of(c, next);
    return known != NULL && known->member_count > 0 && known->is_resolved;
}

static bool is_stale(const struct consumer_group *c) {
    return c->topics_seen != c->group->shard->coordinator->topics_version ||
           c->epoch < c->epoch_seen;
}

// The group epoch goes up when the change calls for it, or the topics are not what they were.
static void raise_epoch(struct consumer_update *u, bool raises) {
    struct consumer_group *c = u->group;
    u->epoch = c->epoch;
    if (!raises && !is_stale(c)) return;
    struct consumer_change change = change_of(u);
    int64_t hash = consumer_hash_with(c, &change, u->result->arena);
    if (raises || hash != c->metadata_hash) {
        u->epoch++;
        consumer_add_group(c->group->id, u->epoch, hash, u->result);
    }
    c->topics_seen = u->shard->coordinator->topics_version;
    c->epoch_seen = u->epoch;
}

enum err consumer_subscribe(struct consumer_update *u, struct message *error) {
    struct consumer_group *c = u->group;
    const struct member_metadata *before = metadata_before(u);
    bool regex_changed = !slice_equal(before->regex, u->next.regex);
    if (regex_changed && u->next.regex.size > 0) {
        const struct consumer_regex *known = consumer_regex_of(c, u->next.regex);
        bool is_new = known == NULL || known->member_count == 0;
        enum err err = is_new ? consumer_regex_check(u->next.regex, error) : ERR_NONE;
        if (err != ERR_NONE) return err;
    }
    if (has_other_id(u)) consumer_add_member_gone(c->group->id, u->member->id, u->result);
    if (u->member == NULL || has_other_id(u) || !same_metadata(before, &u->next))
        consumer_add_metadata(c->group->id, u->id, &u->next, u->result);
    bool names_changed = !same_topics(before, &u->next);
    bool topics_changed = change_regex(u);
    struct consumer_change change = change_of(u), none = {.next = NULL};
    bool assignor_changed =
        !slice_equal(before->server_assignor, u->next.server_assignor) &&
        !slice_equal(consumer_assignor_with(c, &change), consumer_assignor_with(c, &none));
    u->subscription_changed = names_changed || regex_changed;
    raise_epoch(u, names_changed || topics_changed || assignor_changed);
    return ERR_NONE;
}

// ---- Target and step ----

// KIP-1263: so many members that come at once are assigned together.
static bool may_retarget(const struct consumer_update *u) {
    const struct consumer_group *c = u->group;
    const struct group_coordinator *coordinator = u->shard->coordinator;
    int64_t interval_ms = effective_group_long(coordinator->image, coordinator->config,
                                               c->group->id, GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS);
    return c->assignment_timestamp == 0 || interval_ms == 0 ||
           env_wall_ms(group_env(u->shard)) >= c->assignment_timestamp + interval_ms;
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct uuid));
}

static struct uuid *topic_ids_of(const struct consumer_update *u, int32_t *count) {
    struct arena *arena = u->result->arena;
    struct topic_names names = consumer_names_of(u->group, &u->next, arena);
    struct uuid *topics = arena_zalloc(arena, (size_t)names.count, sizeof *topics);
    *count = 0;
    for (int32_t i = 0; i < names.count; i++) {
        const struct topic_image *t = image_topic(u->shard->coordinator->image, names.items[i]);
        if (t != NULL) topics[(*count)++] = t->id;
    }
    if (*count > 1) qsort(topics, (size_t)*count, sizeof *topics, compare_ids);
    return topics;
}

static bool is_owned(void *context, const struct group_partition *p) {
    const struct consumer_group *c = context;
    bool gives_early = env_mutant(group_env(c->group->shard), MUTANT_GROUP_GIVE_BEFORE_REVOKED);
    return !gives_early && consumer_is_owned(c, p);
}

static bool same_progress(const struct member_progress *a, const struct member_progress *b) {
    return a->epoch == b->epoch && a->previous_epoch == b->previous_epoch && a->state == b->state &&
           partition_list_equal(&a->assigned, &b->assigned) &&
           partition_list_equal(&a->revoking, &b->revoking);
}

void consumer_step(struct consumer_update *u, bool retargets) {
    struct consumer_group *c = u->group;
    static const struct partition_list nothing;
    const struct partition_list *target = u->member == NULL ? &nothing : &u->member->target;
    struct partition_list fresh;
    int32_t target_epoch = c->assignment_epoch;
    if (retargets && target_epoch < u->epoch && may_retarget(u)) {
        struct consumer_change change = change_of(u);
        target_epoch = u->epoch;
        fresh = consumer_retarget(c, &change, u->epoch, u->result);
        target = &fresh;
    } else if (has_other_id(u)) {
        consumer_add_target(c->group->id, u->id, target, u->result);
    }
    struct member_progress now = {.previous_epoch = EPOCH_LEAVE, .state = MEMBER_STABLE};
    if (u->member != NULL) now = u->member->progress;
    if (u->takes_over) now.epoch = now.previous_epoch = EPOCH_JOIN;
    u->progress = now;
    if (u->subscription_changed || now.state != MEMBER_STABLE || now.epoch != target_epoch) {
        int32_t topic_count;
        struct uuid *topics = topic_ids_of(u, &topic_count);
        struct reconcile_input input = {
            .now = &now,
            .target = target,
            .target_epoch = target_epoch,
            .owned = u->owned,
            .subscription_changed = u->subscription_changed,
            .topics = topics,
            .topic_count = topic_count,
            .is_owned = is_owned,
            .context = c,
        };
        u->progress = consumer_reconcile(&input, u->result->arena);
    }
    bool is_same = u->member != NULL && u->member->has_progress && !has_other_id(u) &&
                   same_progress(&u->progress, &u->member->progress);
    if (!is_same) consumer_add_progress(c->group->id, u->id, &u->progress, u->result);
}

// ---- Going ----

// Expressions that only those who go have.
static void drop_regexes(const struct consumer_group *c, struct consumer_member *const *members,
                         int32_t count, struct runtime_result *result) {
    map_for_each(n, &c->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        int32_t left = r->member_count;
        for (int32_t i = 0; i < count; i++)
            left -= slice_equal(members[i]->metadata.regex, n->key);
        if (left == 0) consumer_add_regex(c->group->id, n->key, NULL, 0, 0, result);
    }
}

void consumer_fence(struct group_shard *s, struct consumer_group *c,
                    struct consumer_member *const *members, int32_t count,
                    struct runtime_result *result) {
    struct slice id = c->group->id;
    if (migration_may_downgrade(c, members, count, false)) {
        struct slice group_id = arena_copy(result->arena, id);
        bool moved = migration_downgrade(s, group_id, members, count, SLICE_NULL, NULL);
        struct group *g = moved ? group_find(s, group_id) : NULL;
        if (g != NULL && g->classic != NULL) classic_begin_rebalance(g, result);
        return;
    }
    for (int32_t i = 0; i < count; i++)
        consumer_add_member_gone(id, members[i]->id, result);
    drop_regexes(c, members, count, result);
    struct consumer_change change = {.gone = (const struct consumer_member *const *)members,
                                     .gone_count = count};
    int64_t hash = consumer_hash_with(c, &change, result->arena);
    consumer_add_group(id, c->epoch + 1, hash, result);
    // Nobody is left to give anything to.
    if ((size_t)count == c->members.count) consumer_add_target_epoch(id, c->epoch + 1, 0, result);
}
