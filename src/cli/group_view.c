#include "cli/group_view.h"

#include "cli/coordinated.h"
#include "gen/rec/client.h"
#include "wire/codec.h"

// The code inside the answer for the one group, so that the coordinator is looked for again when it
// has moved.
static enum err modern_verdict(struct coordinator_call *call) {
    const struct consumer_group_describe_response *r = call->call.response;
    return r->groups_count == 1 ? err_of_wire(r->groups[0].error_code) : ERR_CORRUPT;
}

static enum err classic_verdict(struct coordinator_call *call) {
    const struct describe_groups_response *r = call->call.response;
    return r->groups_count == 1 ? err_of_wire(r->groups[0].error_code) : ERR_CORRUPT;
}

static struct slice join_names(struct arena *arena, const struct slice *names, int32_t count) {
    struct string_buffer text;
    string_buffer_init(&text);
    for (int32_t i = 0; i < count; i++) {
        if (i > 0) string_buffer_append(&text, SLICE_LITERAL(", "));
        string_buffer_append(&text, names[i]);
    }
    struct slice copy = arena_copy(arena, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return copy;
}

// ---- Groups of KIP-848 ----

static void copy_partitions(struct arena *arena,
                            const struct consumer_group_describe_response_assignment *from,
                            const struct topic_partition **list, int32_t *count) {
    int32_t total = 0;
    for (int32_t t = 0; t < from->topic_partitions_count; t++)
        total += from->topic_partitions[t].partitions_count;
    struct topic_partition *to = arena_zalloc(arena, (size_t)total, sizeof *to);
    *list = to;
    *count = total;
    for (int32_t t = 0; t < from->topic_partitions_count; t++) {
        struct slice name = arena_copy(arena, from->topic_partitions[t].topic_name);
        for (int32_t p = 0; p < from->topic_partitions[t].partitions_count; p++)
            *to++ = (struct topic_partition){name, from->topic_partitions[t].partitions[p]};
    }
}

static void copy_modern_member(struct arena *arena,
                               const struct consumer_group_describe_response_member *from,
                               struct group_view_member *to) {
    bool by_expression = from->subscribed_topic_regex.size > 0;
    *to = (struct group_view_member){.id = arena_copy(arena, from->member_id),
                                     .instance_id = arena_copy(arena, from->instance_id),
                                     .client_id = arena_copy(arena, from->client_id),
                                     .host = arena_copy(arena, from->client_host),
                                     .topics = by_expression
                                                   ? arena_copy(arena, from->subscribed_topic_regex)
                                                   : join_names(arena, from->subscribed_topic_names,
                                                                from->subscribed_topic_names_count),
                                     .epoch = from->member_epoch,
                                     .is_classic = from->member_type == 0,
                                     .metadata_version = -1};
    copy_partitions(arena, &from->assignment, &to->assigned, &to->assigned_count);
    copy_partitions(arena, &from->target_assignment, &to->target, &to->target_count);
}

static void copy_modern(const struct consumer_group_describe_response_group *from,
                        struct group_view *view) {
    struct arena *arena = &view->arena;
    view->state = arena_copy(arena, from->group_state);
    view->protocol_type = SLICE_LITERAL("consumer");
    view->assignor = arena_copy(arena, from->assignor_name);
    view->epoch = from->group_epoch;
    view->assignment_epoch = from->assignment_epoch;
    view->members = arena_zalloc(arena, (size_t)from->members_count, sizeof *view->members);
    view->member_count = from->members_count;
    for (int32_t i = 0; i < from->members_count; i++)
        copy_modern_member(arena, &from->members[i], &view->members[i]);
}

static enum err load_modern(struct session *s, struct group_view *view, struct message *error) {
    struct consumer_group_describe_request request;
    codec_init(&consumer_group_describe_request_codec, &request);
    request.group_ids = &view->id;
    request.group_ids_count = 1;
    struct coordinated c = {.call.call = {.api = API_CONSUMER_GROUP_DESCRIBE, .message = &request},
                            .call.verdict = modern_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_GROUP, view->id);
    if (err == ERR_NONE) {
        const struct consumer_group_describe_response *answer = c.call.call.response;
        copy_modern(&answer->groups[0], view);
        view->coordinator = coordinated_node(&c);
    } else if (c.call.call.error.text[0] != '\0') {
        *error = c.call.call.error;
    }
    coordinated_end(&c);
    return err;
}

// ---- Classic groups ----

// What a member of a consumer group says and gets; other protocol types keep their bytes to
// themselves.
static void read_subscription(struct arena *arena, struct slice metadata,
                              struct group_view_member *to) {
    struct reader in = reader_of(metadata);
    int16_t version = reader_i16(&in);
    struct consumer_protocol_subscription s;
    if (in.failed || version < 0) return;
    if (codec_decode(&consumer_protocol_subscription_codec, MIN(version, 3), &in, arena, 0, &s) !=
        ERR_NONE) {
        return;
    }
    to->metadata_version = version;
    to->topics = join_names(arena, s.topics, s.topics_count);
}

static void read_assignment(struct arena *arena, struct slice bytes, struct group_view_member *to) {
    struct reader in = reader_of(bytes);
    int16_t version = reader_i16(&in);
    struct consumer_protocol_assignment a;
    if (in.failed || version < 0) return;
    if (codec_decode(&consumer_protocol_assignment_codec, MIN(version, 3), &in, arena, 0, &a) !=
        ERR_NONE) {
        return;
    }
    for (int32_t t = 0; t < a.assigned_partitions_count; t++)
        to->assigned_count += a.assigned_partitions[t].partitions_count;
    struct topic_partition *list = arena_zalloc(arena, (size_t)to->assigned_count, sizeof *list);
    to->assigned = list;
    for (int32_t t = 0; t < a.assigned_partitions_count; t++) {
        for (int32_t p = 0; p < a.assigned_partitions[t].partitions_count; p++) {
            *list++ = (struct topic_partition){a.assigned_partitions[t].topic,
                                               a.assigned_partitions[t].partitions[p]};
        }
    }
}

static void copy_classic(const struct describe_groups_response_group *from,
                         struct group_view *view) {
    struct arena *arena = &view->arena;
    view->is_classic = true;
    view->state = arena_copy(arena, from->group_state);
    view->protocol_type = arena_copy(arena, from->protocol_type);
    view->assignor = arena_copy(arena, from->protocol_data);
    view->epoch = view->assignment_epoch = -1;
    view->members = arena_zalloc(arena, (size_t)from->members_count, sizeof *view->members);
    view->member_count = from->members_count;
    bool reads_topics = slice_equal_cstring(from->protocol_type, "consumer");
    for (int32_t i = 0; i < from->members_count; i++) {
        const struct describe_groups_response_member *m = &from->members[i];
        view->members[i] =
            (struct group_view_member){.id = arena_copy(arena, m->member_id),
                                       .instance_id = arena_copy(arena, m->group_instance_id),
                                       .client_id = arena_copy(arena, m->client_id),
                                       .host = arena_copy(arena, m->client_host),
                                       .epoch = -1,
                                       .is_classic = true,
                                       .metadata_version = -1};
        if (!reads_topics) continue;
        read_subscription(arena, arena_copy(arena, m->member_metadata), &view->members[i]);
        read_assignment(arena, arena_copy(arena, m->member_assignment), &view->members[i]);
    }
}

static enum err load_classic(struct session *s, struct group_view *view, struct message *error) {
    struct describe_groups_request request;
    codec_init(&describe_groups_request_codec, &request);
    request.groups = &view->id;
    request.groups_count = 1;
    struct coordinated c = {.call.call = {.api = API_DESCRIBE_GROUPS, .message = &request},
                            .call.verdict = classic_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_GROUP, view->id);
    const struct describe_groups_response *answer = c.call.call.response;
    // Until version 5 a group that is not there is dead.
    if (err == ERR_NONE && slice_equal_cstring(answer->groups[0].group_state, "Dead")) {
        err = ERR_GROUP_ID_NOT_FOUND;
    }
    if (err == ERR_NONE) {
        copy_classic(&answer->groups[0], view);
        view->coordinator = coordinated_node(&c);
    } else if (c.call.call.error.text[0] != '\0') {
        *error = c.call.call.error;
    }
    coordinated_end(&c);
    return err;
}

// ---- Either ----

enum err group_view_load(struct session *s, struct slice id, struct group_view *view,
                         struct message *error) {
    *view = (struct group_view){.id = id};
    arena_init(&view->arena);
    message_init(error);
    enum err err = load_modern(s, view, error);
    if (err == ERR_GROUP_ID_NOT_FOUND || err == ERR_UNSUPPORTED_VERSION) {
        message_init(error);
        err = load_classic(s, view, error);
    }
    if (err == ERR_GROUP_ID_NOT_FOUND) {
        message_set(error, "there is no classic or consumer group %.*s; see: taccola group list",
                    SLICE_PRINT(id));
    } else if (err != ERR_NONE && error->text[0] == '\0') {
        message_set(error, "describing group %.*s: %s", SLICE_PRINT(id), err_text(err));
    }
    if (err != ERR_NONE) group_view_free(view);
    return err;
}

void group_view_free(struct group_view *view) {
    arena_deinit(&view->arena);
    *view = (struct group_view){.id = SLICE_NULL};
}

bool group_view_has(const struct topic_partition *list, int32_t count, struct topic_partition id) {
    for (int32_t i = 0; i < count; i++) {
        if (list[i].partition == id.partition && slice_equal(list[i].topic, id.topic)) return true;
    }
    return false;
}

const struct group_view_member *group_view_owner(const struct group_view *view,
                                                 struct topic_partition id) {
    for (int32_t i = 0; i < view->member_count; i++) {
        const struct group_view_member *m = &view->members[i];
        if (group_view_has(m->assigned, m->assigned_count, id)) return m;
    }
    return NULL;
}

struct slice group_view_partitions(struct arena *arena, const struct topic_partition *list,
                                   int32_t count, int32_t max) {
    struct string_buffer text;
    string_buffer_init(&text);
    for (int32_t i = 0; i < count && i < max; i++) {
        string_buffer_format(&text, "%s%.*s-%d", i > 0 ? ", " : "", SLICE_PRINT(list[i].topic),
                             list[i].partition);
    }
    if (count > max) string_buffer_format(&text, " and %d more", count - max);
    struct slice copy = arena_copy(arena, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return copy;
}
