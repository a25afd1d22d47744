// ConsumerGroupHeartbeat (KIP-848): a member joins, goes on, or leaves. The checks come in Kafka's
// order, since clients act on the first error that they are told.
#include "group/consumer.h"
#include "metadata/effective_config.h"
#include "wire/codec.h"

struct beat {
    struct group_shard *shard;
    struct group_call *call;
    const struct consumer_group_heartbeat_request *request;
    struct consumer_group_heartbeat_response *response;
    struct runtime_result *result;
    struct consumer_group *group;
    struct slice id;                 // the member's
    struct consumer_member *member;  // NULL: it is new
    bool takes_over;                 // a static one, from `member`
    struct partition_list owned;     // what the request says
    bool has_owned;
};

// ---- Answers ----

static enum err refuse(struct beat *b, enum err error, const struct message *text) {
    b->response->error_code = err_wire(error);
    b->response->error_message = arena_copy(b->call->arena, message_slice(text));
    return ERR_NONE;
}

#define REFUSE(beat, error, ...)              \
    do {                                      \
        struct message refusal;               \
        message_set(&refusal, __VA_ARGS__);   \
        return refuse(beat, error, &refusal); \
    } while (0)

static void put_assignment(struct beat *b, const struct partition_list *list) {
    struct arena *arena = b->call->arena;
    struct consumer_group_heartbeat_response_assignment *out =
        consumer_group_heartbeat_response_assignment_new(arena, 1);
    out->topic_partitions = consumer_group_heartbeat_response_topic_partitions_new(
        arena, partition_list_topic_count(list));
    for (int32_t i = 0, end; i < list->count; i = end) {
        end = partition_list_topic_end(list, i);
        struct consumer_group_heartbeat_response_topic_partitions *t =
            &out->topic_partitions[out->topic_partitions_count++];
        t->topic_id = list->items[i].topic;
        t->partitions = arena_zalloc(arena, (size_t)(end - i), sizeof *t->partitions);
        for (int32_t k = i; k < end; k++)
            t->partitions[t->partitions_count++] = list->items[k].partition;
    }
    b->response->assignment = out;
}

// ---- Checks of the request alone ----

static bool is_empty(struct slice s) {
    return !slice_is_null(s) && slice_trim(s).size == 0;
}

static const char *malformed(const struct group_call *call) {
    const struct consumer_group_heartbeat_request *m = call->request;
    if (is_empty(m->group_id) || slice_is_null(m->group_id)) return "GroupId can't be empty.";
    if (is_empty(m->instance_id)) return "InstanceId can't be empty.";
    if (is_empty(m->rack_id)) return "RackId can't be empty.";
    if (m->member_epoch > EPOCH_JOIN || m->member_epoch == EPOCH_LEAVE || call->version >= 1)
        if (is_empty(m->member_id)) return "MemberId can't be empty.";
    if (m->member_epoch == EPOCH_LEAVE_STATIC && slice_is_null(m->instance_id))
        return "InstanceId can't be null.";
    if (m->member_epoch < EPOCH_LEAVE_STATIC) return "MemberEpoch is invalid.";
    if (m->member_epoch != EPOCH_JOIN) return NULL;
    if (m->rebalance_timeout_ms == -1)
        return "RebalanceTimeoutMs must be provided in first request.";
    if (m->topic_partitions_count != 0) return "TopicPartitions must be empty when (re-)joining.";
    bool no_names = m->subscribed_topic_names_count < 0;
    if (no_names && (slice_is_null(m->subscribed_topic_regex) || call->version < 1))
        return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
               "(re-)joining.";
    return NULL;
}

static enum err check_assignor(struct beat *b, bool *refused) {
    struct slice wanted = b->request->server_assignor;
    struct config_list known =
        config_strings(b->shard->coordinator->config, BROKER_GROUP_CONSUMER_ASSIGNORS);
    struct string_buffer names;
    string_buffer_init(&names);
    bool found = slice_is_null(wanted);
    for (int32_t i = 0; i < known.count; i++) {
        found = found || slice_equal(wanted, known.items[i]);
        string_buffer_format(&names, "%s%.*s", i == 0 ? "" : ", ", SLICE_PRINT(known.items[i]));
    }
    struct message text;
    message_set(&text, "ServerAssignor %.*s is not supported. Supported assignors: %s.",
                SLICE_PRINT(wanted), names.text);
    string_buffer_deinit(&names);
    *refused = !found;
    return found ? ERR_NONE : refuse(b, ERR_UNSUPPORTED_ASSIGNOR, &text);
}

// ---- Leaving ----

static enum err leave(struct beat *b) {
    const struct consumer_group_heartbeat_request *m = b->request;
    struct slice group_id = b->call->group_id;
    struct group *group = group_find(b->shard, group_id);
    if (group == NULL)
        REFUSE(b, ERR_GROUP_ID_NOT_FOUND, "Group %.*s not found.", SLICE_PRINT(group_id));
    if (group->consumer == NULL)
        REFUSE(b, ERR_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.",
               SLICE_PRINT(group_id));
    struct consumer_member *member =
        slice_is_null(m->instance_id)
            ? consumer_member_of(group->consumer, m->member_id)
            : consumer_member_of_instance(group->consumer, m->instance_id);
    if (member == NULL && !slice_is_null(m->instance_id))
        REFUSE(b, ERR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
               SLICE_PRINT(m->instance_id));
    if (member == NULL)
        REFUSE(b, ERR_UNKNOWN_MEMBER_ID, "Member %.*s is not a member of group %.*s.",
               SLICE_PRINT(m->member_id), SLICE_PRINT(group_id));
    if (!slice_equal(member->id, m->member_id))
        REFUSE(b, ERR_FENCED_INSTANCE_ID,
               "Static member %.*s with instance id %.*s was fenced by member %.*s.",
               SLICE_PRINT(m->member_id), SLICE_PRINT(m->instance_id), SLICE_PRINT(member->id));
    b->response->member_id = m->member_id;
    b->response->member_epoch = m->member_epoch;
    if (m->member_epoch == EPOCH_LEAVE_STATIC) {
        // It keeps what it has until it comes back, or its session ends.
        struct member_progress away = member->progress;
        struct partition_list kept = partition_list_new(b->result->arena, away.assigned.count);
        for (int32_t i = 0; i < away.assigned.count; i++)
            partition_list_add(&kept, away.assigned.items[i].topic,
                               away.assigned.items[i].partition);
        away.epoch = EPOCH_LEAVE_STATIC;
        away.assigned = kept;
        away.revoking = (struct partition_list){NULL, 0};
        consumer_add_progress(group->id, member->id, &away, b->result);
    } else {
        consumer_fence(b->shard, group->consumer, &member, 1, b->result);
    }
    return ERR_NONE;
}

// ---- The member ----

// KIP-345: a static member comes back under a new id and takes over what its instance had, once the
// older one has left (or speaks the classic protocol, which has no such leaving).
static enum err check_static(struct beat *b, bool *refused) {
    const struct consumer_group_heartbeat_request *m = b->request;
    struct consumer_member *owner = consumer_member_of_instance(b->group, m->instance_id);
    *refused = true;
    if (m->member_epoch != EPOCH_JOIN) {
        if (owner == NULL)
            REFUSE(b, ERR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
                   SLICE_PRINT(m->instance_id));
        if (!slice_equal(owner->id, b->id))
            REFUSE(b, ERR_FENCED_INSTANCE_ID,
                   "Static member %.*s with instance id %.*s was fenced by member %.*s.",
                   SLICE_PRINT(b->id), SLICE_PRINT(m->instance_id), SLICE_PRINT(owner->id));
    } else if (owner != NULL) {
        if (!owner->metadata.is_classic && owner->progress.epoch != EPOCH_LEAVE_STATIC)
            REFUSE(b, ERR_UNRELEASED_INSTANCE_ID,
                   "Static member %.*s with instance id %.*s cannot join the group because the "
                   "instance id is owned by %.*s member.",
                   SLICE_PRINT(b->id), SLICE_PRINT(m->instance_id), SLICE_PRINT(owner->id));
        b->takes_over = true;
    }
    b->member = owner;
    *refused = false;
    return ERR_NONE;
}

static enum err check_epoch(struct beat *b, bool *refused) {
    int32_t said = b->request->member_epoch, known = b->member->progress.epoch;
    *refused = false;
    if (said == EPOCH_JOIN || said == known) return ERR_NONE;
    *refused = true;
    if (said > known)
        REFUSE(
            b, ERR_FENCED_MEMBER_EPOCH,
            "The consumer group member has a greater member epoch (%d) than the one known by the "
            "group coordinator (%d). The member must abandon all its partitions and rejoin.",
            (int)said, (int)known);
    // The answer that raised its epoch may have been lost.
    bool lost = said == b->member->progress.previous_epoch && b->has_owned &&
                partition_list_is_subset(&b->owned, &b->member->progress.assigned);
    if (!lost)
        REFUSE(
            b, ERR_FENCED_MEMBER_EPOCH,
            "The consumer group member has a smaller member epoch (%d) than the one known by the "
            "group coordinator (%d). The member must abandon all its partitions and rejoin.",
            (int)said, (int)known);
    *refused = false;
    return ERR_NONE;
}

static enum err find_member(struct beat *b, bool *refused) {
    const struct consumer_group_heartbeat_request *m = b->request;
    *refused = true;
    int32_t max = config_int(b->shard->coordinator->config, BROKER_GROUP_CONSUMER_MAX_SIZE);
    bool is_known = consumer_member_of_instance(b->group, m->instance_id) != NULL ||
                    consumer_member_of(b->group, b->id) != NULL;
    if (!is_known && b->group->members.count >= (size_t)max)
        REFUSE(b, ERR_GROUP_MAX_SIZE_REACHED,
               "The consumer group has reached its maximum capacity of %d members.", (int)max);
    if (!slice_is_null(m->instance_id)) {
        enum err err = check_static(b, refused);
        if (*refused) return err;
    } else {
        b->member = consumer_member_of(b->group, b->id);
    }
    *refused = true;
    if (b->member == NULL && m->member_epoch != EPOCH_JOIN)
        REFUSE(b, ERR_UNKNOWN_MEMBER_ID, "Member %.*s is not a member of group %.*s.",
               SLICE_PRINT(b->id), SLICE_PRINT(b->call->group_id));
    *refused = false;
    return b->member == NULL ? ERR_NONE : check_epoch(b, refused);
}

// ---- What it says of itself ----

static void set_topics(struct beat *b, struct member_metadata *next) {
    const struct consumer_group_heartbeat_request *m = b->request;
    int32_t count = m->subscribed_topic_names_count, kept = 0;
    if (count < 0) return;
    struct slice *topics = arena_zalloc(b->result->arena, (size_t)count, sizeof *topics);
    for (int32_t i = 0; i < count; i++)
        topics[i] = m->subscribed_topic_names[i];
    slice_sort(topics, (size_t)count);
    for (int32_t i = 0; i < count; i++)
        if (kept == 0 || !slice_equal(topics[kept - 1], topics[i])) topics[kept++] = topics[i];
    next->topics = topics;
    next->topic_count = kept;
}

static struct member_metadata next_metadata(struct beat *b) {
    const struct consumer_group_heartbeat_request *m = b->request;
    struct member_metadata next = {.rebalance_timeout_ms = -1, .regex = SLICE_EMPTY};
    if (b->member != NULL) next = b->member->metadata;
    next.is_classic = false;
    next.session_timeout_ms = 0;
    next.protocols = NULL;
    next.protocol_count = 0;
    if (!slice_is_null(m->instance_id)) next.instance_id = m->instance_id;
    if (!slice_is_null(m->rack_id)) next.rack_id = m->rack_id;
    if (m->rebalance_timeout_ms != -1) next.rebalance_timeout_ms = m->rebalance_timeout_ms;
    if (!slice_is_null(m->subscribed_topic_regex)) next.regex = m->subscribed_topic_regex;
    if (!slice_is_null(m->server_assignor)) next.server_assignor = m->server_assignor;
    next.client_id = slice_is_null(b->call->client_id) ? SLICE_EMPTY : b->call->client_id;
    next.client_host = b->call->client_host;
    set_topics(b, &next);
    return next;
}

// ---- The answer ----

static void answer(struct beat *b, const struct member_progress *next) {
    const struct consumer_group_heartbeat_request *m = b->request;
    const struct group_coordinator *c = b->shard->coordinator;
    b->response->member_id = arena_copy(b->call->arena, b->id);
    b->response->member_epoch = next->epoch;
    b->response->heartbeat_interval_ms = (int32_t)effective_group_long(
        c->image, c->config, b->call->group_id, GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS);
    bool full =
        m->member_epoch == EPOCH_JOIN ||
        (m->rebalance_timeout_ms != -1 && m->topic_partitions_count >= 0 &&
         (m->subscribed_topic_names_count >= 0 || !slice_is_null(m->subscribed_topic_regex)));
    bool changed =
        b->member == NULL || !partition_list_equal(&next->assigned, &b->member->progress.assigned);
    if (full || changed) put_assignment(b, &next->assigned);
}

static enum err go_on(struct beat *b) {
    struct consumer_update u = {.shard = b->shard,
                                .group = b->group,
                                .id = b->id,
                                .member = b->member,
                                .takes_over = b->takes_over,
                                .next = next_metadata(b),
                                .owned = b->has_owned ? &b->owned : NULL,
                                .result = b->result};
    struct message why_not;
    if (consumer_subscribe(&u, &why_not) != ERR_NONE)
        REFUSE(b, ERR_INVALID_REGULAR_EXPRESSION,
               "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
               SLICE_PRINT(b->request->subscribed_topic_regex), why_not.text);
    consumer_step(&u, true);
    answer(b, &u.progress);
    return ERR_NONE;
}

static void read_owned(struct beat *b) {
    const struct consumer_group_heartbeat_request *m = b->request;
    b->has_owned = m->topic_partitions_count >= 0;
    int32_t total = 0;
    for (int32_t i = 0; i < m->topic_partitions_count; i++)
        total += m->topic_partitions[i].partitions_count;
    b->owned = partition_list_new(b->result->arena, total);
    for (int32_t i = 0; i < m->topic_partitions_count; i++)
        for (int32_t k = 0; k < m->topic_partitions[i].partitions_count; k++)
            partition_list_add(&b->owned, m->topic_partitions[i].topic_id,
                               m->topic_partitions[i].partitions[k]);
    partition_list_sort(&b->owned);
}

// A classic group becomes one of the new protocol when a member of that comes.
static enum err take_group(struct beat *b, bool *refused) {
    struct slice id = b->call->group_id;
    struct group *group = group_find(b->shard, id);
    bool joins = b->request->member_epoch == EPOCH_JOIN;
    *refused = true;
    if (group == NULL && !joins)
        REFUSE(b, ERR_GROUP_ID_NOT_FOUND, "Consumer group %.*s not found.", SLICE_PRINT(id));
    if (group != NULL && group->consumer == NULL && !joins)
        REFUSE(b, ERR_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.", SLICE_PRINT(id));
    if (group != NULL && group->consumer == NULL && group->classic != NULL) {
        // What else would refuse the member must not move its group.
        struct message text;
        struct slice regex = b->request->subscribed_topic_regex;
        if (regex.size > 0 && consumer_regex_check(regex, &text) != ERR_NONE)
            REFUSE(b, ERR_INVALID_REGULAR_EXPRESSION,
                   "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
                   SLICE_PRINT(regex), text.text);
        enum err err = migration_upgrade(b->shard, id, &text);
        if (err != ERR_NONE && err != ERR_GROUP_ID_NOT_FOUND) return err;
        if (err != ERR_NONE) return refuse(b, err, &text);
    }
    b->group = consumer_get(group_get(b->shard, id));
    *refused = false;
    return ERR_NONE;
}

// Request: struct consumer_group_heartbeat_request; response: struct
// consumer_group_heartbeat_response.
enum err consumer_heartbeat(struct group_shard *s, struct group_call *call,
                            struct runtime_result *result) {
    struct beat b = {.shard = s,
                     .call = call,
                     .request = call->request,
                     .response = call->response,
                     .result = result};
    const char *why = malformed(call);
    if (why != NULL) REFUSE(&b, ERR_INVALID_REQUEST, "%s", why);
    bool refused;
    enum err err = check_assignor(&b, &refused);
    if (refused) return err;
    if (b.request->member_epoch < EPOCH_JOIN) return leave(&b);
    read_owned(&b);
    b.id = b.request->member_id;
    // Version 0: the coordinator gives the id.
    if (b.id.size == 0) b.id = consumer_new_id(s, result->arena);
    err = take_group(&b, &refused);
    if (refused) return err;
    err = find_member(&b, &refused);
    if (refused) return err;
    // It was heard now, however long its records take to become durable.
    if (b.member != NULL) consumer_restart_session(b.member);
    return go_on(&b);
}

void consumer_heartbeat_written(struct group_shard *s, struct group_call *call, enum err result) {
    const struct consumer_group_heartbeat_response *out = call->response;
    struct group *group = group_find(s, call->group_id);
    if (group == NULL || group->consumer == NULL) return;
    struct consumer_member *m =
        slice_is_null(out->member_id) ? NULL : consumer_member_of(group->consumer, out->member_id);
    if (m != NULL && result == ERR_NONE && out->error_code == 0) consumer_restart_session(m);
    consumer_forget_unused(group);
}
