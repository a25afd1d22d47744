// What others ask of a consumer group: its state, its description, whether a commit is allowed.
#include "group/consumer.h"

static bool has_reached(const struct consumer_member *m, int32_t assignment_epoch) {
    return m->progress.state == MEMBER_STABLE && m->progress.epoch == assignment_epoch;
}

bool consumer_is_empty(const struct group *g) {
    return g->consumer == NULL || g->consumer->members.count == 0;
}

const char *consumer_state_name(const struct group *g) {
    const struct consumer_group *c = g->consumer;
    if (c->members.count == 0) return "Empty";
    if (c->epoch > c->assignment_epoch) return "Assigning";
    map_for_each(n, &c->members) if (!has_reached(container_of(n, struct consumer_member, by_id),
                                                  c->assignment_epoch)) return "Reconciling";
    return "Stable";
}

bool consumer_is_subscribed(const struct group *g, struct slice topic) {
    return map_get(&g->consumer->topics, topic) != NULL;
}

// ---- Commits ----

static enum err stale(const struct consumer_member *m) {
    return m->metadata.is_classic ? ERR_ILLEGAL_GENERATION : ERR_STALE_MEMBER_EPOCH;
}

enum err consumer_check_commit(const struct group *g, const struct offset_committer *who) {
    // A simple consumer of a group without members.
    if (who->epoch < 0 && consumer_is_empty(g)) return ERR_NONE;
    bool is_nobody =
        who->epoch == -1 && who->member_id.size == 0 && slice_is_null(who->instance_id);
    if (who->transactional && is_nobody) return ERR_NONE;
    const struct consumer_member *m = consumer_member_of(g->consumer, who->member_id);
    if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
    bool is_too_old = !who->transactional && !m->metadata.is_classic && who->version < 9;
    if (is_too_old) return ERR_UNSUPPORTED_VERSION;
    if (env_mutant(group_env(g->shard), MUTANT_GROUP_ACCEPT_ANY_COMMIT)) return ERR_NONE;
    // An older epoch counts for what the member had then already: consumer_check_commit_of.
    return who->epoch > m->progress.epoch ? stale(m) : ERR_NONE;
}

enum err consumer_check_commit_of(const struct group *g, const struct offset_committer *who,
                                  struct uuid topic_id, int32_t partition) {
    const struct consumer_member *m = consumer_member_of(g->consumer, who->member_id);
    if (m == NULL || who->epoch >= m->progress.epoch) return ERR_NONE;
    if (env_mutant(group_env(g->shard), MUTANT_GROUP_ACCEPT_ANY_COMMIT)) return ERR_NONE;
    const struct group_partition *p =
        partition_list_find(&m->progress.assigned, topic_id, partition);
    if (p == NULL) p = partition_list_find(&m->progress.revoking, topic_id, partition);
    return p == NULL || who->epoch < p->epoch ? stale(m) : ERR_NONE;
}

enum err consumer_check_fetch(const struct group *g, struct slice member_id, int32_t epoch) {
    if (slice_is_null(member_id) && epoch < 0) return ERR_NONE;
    const struct consumer_member *m = consumer_member_of(g->consumer, member_id);
    if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
    return m->progress.epoch == epoch ? ERR_NONE : stale(m);
}

void consumer_add_gone(const struct group *g, struct runtime_result *result) {
    map_for_each(n, &g->consumer->members)
        consumer_add_member_gone(g->id, container_of(n, struct consumer_member, by_id)->id, result);
    map_for_each(n, &g->consumer->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        if (r->is_resolved) consumer_add_regex(g->id, n->key, NULL, 0, 0, result);
    }
    struct consumer_group_target_assignment_metadata_key target = {.group_id = g->id};
    struct consumer_group_metadata_key key = {.group_id = g->id};
    group_add_record(result, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, &target, 0, NULL);
    group_add_record(result, GROUP_CONSUMER_GROUP_METADATA, &key, 0, NULL);
}

// ---- ConsumerGroupDescribe ----

static void put_partitions(const struct group_shard *s, const struct partition_list *list,
                           struct arena *arena,
                           struct consumer_group_describe_response_assignment *out) {
    out->topic_partitions = consumer_group_describe_response_topic_partitions_new(
        arena, partition_list_topic_count(list));
    for (int32_t i = 0, end; i < list->count; i = end) {
        end = partition_list_topic_end(list, i);
        const struct topic_image *topic =
            image_topic_by_id(s->coordinator->image, list->items[i].topic);
        if (topic == NULL) continue;  // deleted meanwhile
        struct consumer_group_describe_response_topic_partitions *t =
            &out->topic_partitions[out->topic_partitions_count++];
        t->topic_id = topic->id;
        t->topic_name = arena_copy(arena, topic->name);
        t->partitions = arena_zalloc(arena, (size_t)(end - i), sizeof *t->partitions);
        for (int32_t k = i; k < end; k++)
            t->partitions[t->partitions_count++] = list->items[k].partition;
    }
}

static void put_member(const struct group_shard *s, const struct consumer_member *m,
                       struct arena *arena, struct consumer_group_describe_response_member *out) {
    const struct member_metadata *metadata = &m->metadata;
    out->member_id = arena_copy(arena, m->id);
    out->instance_id = arena_copy(arena, metadata->instance_id);
    out->rack_id = arena_copy(arena, metadata->rack_id);
    out->member_epoch = m->progress.epoch;
    out->client_id = arena_copy(arena, metadata->client_id);
    out->client_host = arena_copy(arena, metadata->client_host);
    out->subscribed_topic_names =
        arena_zalloc(arena, (size_t)metadata->topic_count, sizeof *out->subscribed_topic_names);
    for (int32_t i = 0; i < metadata->topic_count; i++)
        out->subscribed_topic_names[out->subscribed_topic_names_count++] =
            arena_copy(arena, metadata->topics[i]);
    out->subscribed_topic_regex = arena_copy(arena, metadata->regex);
    out->member_type = m->metadata.is_classic ? 0 : 1;
    // What it is giving up it still has.
    struct partition_list has =
        partition_list_union(arena, &m->progress.assigned, &m->progress.revoking);
    put_partitions(s, &has, arena, &out->assignment);
    put_partitions(s, &m->target, arena, &out->target_assignment);
}

// Response: struct consumer_group_describe_response_group.
enum err consumer_describe(struct group_shard *s, struct group_call *call,
                           struct runtime_result *result) {
    (void)result;
    struct consumer_group_describe_response_group *out = call->response;
    const struct group *g = group_find(s, call->group_id);
    out->group_id = call->group_id;
    if (g == NULL || g->consumer == NULL) {
        out->error_code = err_wire(ERR_GROUP_ID_NOT_FOUND);
        out->error_message = arena_format(
            call->arena,
            g == NULL ? "Group %.*s not found." : "Group %.*s is not a consumer group.",
            SLICE_PRINT(call->group_id));
        return ERR_NONE;
    }
    const struct consumer_group *c = g->consumer;
    const struct consumer_change none = {.next = NULL};
    out->group_state = slice_cstring(consumer_state_name(g));
    out->group_epoch = c->epoch;
    out->assignment_epoch = c->assignment_epoch;
    out->assignor_name = arena_copy(call->arena, consumer_assignor_with(c, &none));
    out->members =
        consumer_group_describe_response_member_new(call->arena, (int32_t)c->members.count);
    map_for_each(n, &c->members) put_member(s, container_of(n, struct consumer_member, by_id),
                                            call->arena, &out->members[out->members_count++]);
    return ERR_NONE;
}
