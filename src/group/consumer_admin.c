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
    map_for_each(n, &g->consumer->members) {
        const struct member_metadata *m = &container_of(n, struct consumer_member, by_id)->metadata;
        for (int32_t i = 0; i < m->topic_count; i++)
            if (slice_equal(m->topics[i], topic)) return true;
        if (consumer_regex_matches(g->consumer, m->regex, topic)) return true;
    }
    return false;
}

enum err consumer_check_commit(const struct group *g, struct slice member_id, int32_t epoch) {
    // A simple consumer of a group without members.
    if (epoch < 0 && consumer_is_empty(g)) return ERR_NONE;
    const struct consumer_member *m = consumer_member_of(g->consumer, member_id);
    if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
    bool any = env_mutant(group_env(g->shard), MUTANT_GROUP_ACCEPT_ANY_COMMIT);
    return any || m->progress.epoch == epoch ? ERR_NONE : ERR_STALE_MEMBER_EPOCH;
}

enum err consumer_check_fetch(const struct group *g, struct slice member_id, int32_t epoch) {
    if (slice_is_null(member_id) && epoch < 0) return ERR_NONE;
    const struct consumer_member *m = consumer_member_of(g->consumer, member_id);
    if (m == NULL) return ERR_UNKNOWN_MEMBER_ID;
    return m->progress.epoch == epoch ? ERR_NONE : ERR_STALE_MEMBER_EPOCH;
}

void consumer_add_gone(const struct group *g, struct runtime_result *result) {
    map_for_each(n, &g->consumer->members)
        consumer_add_member_gone(g->id, container_of(n, struct consumer_member, by_id)->id, result);
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
    out->member_type = 1;  // of the consumer protocol
    put_partitions(s, &m->progress.assigned, arena, &out->assignment);
    put_partitions(s, &m->target, arena, &out->target_assignment);
}

static struct slice assignor_name(const struct consumer_group *c) {
    struct config_list known =
        config_strings(c->group->shard->coordinator->config, BROKER_GROUP_CONSUMER_ASSIGNORS);
    struct slice best = known.items[0];
    int32_t best_votes = 0;
    for (int32_t i = 0; i < known.count; i++) {
        int32_t votes = 0;
        map_for_each(n, &c->members) votes +=
            slice_equal(container_of(n, struct consumer_member, by_id)->metadata.server_assignor,
                        known.items[i]);
        if (votes <= best_votes) continue;
        best = known.items[i];
        best_votes = votes;
    }
    return best;
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
    out->group_state = slice_cstring(consumer_state_name(g));
    out->group_epoch = c->epoch;
    out->assignment_epoch = c->assignment_epoch;
    out->assignor_name = arena_copy(call->arena, assignor_name(c));
    out->members =
        consumer_group_describe_response_member_new(call->arena, (int32_t)c->members.count);
    map_for_each(n, &c->members) put_member(s, container_of(n, struct consumer_member, by_id),
                                            call->arena, &out->members[out->members_count++]);
    return ERR_NONE;
}
