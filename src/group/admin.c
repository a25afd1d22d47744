// DescribeGroups, ListGroups, DeleteGroups.
#include "gen/rec/group.h"
#include "group/state.h"
#include "wire/codec.h"

// Request: nothing but the group id; response: struct describe_groups_response_group.
enum err admin_describe(struct group_shard *s, struct group_call *call,
                        struct runtime_result *result) {
    (void)result;
    struct describe_groups_response_group *out = call->response;
    const struct group *g = group_find(s, call->group_id);
    out->group_id = call->group_id;
    if (g != NULL && g->consumer == NULL) {
        classic_describe(g, call->version, call->arena, out);
        return ERR_NONE;
    }
    // Until v5 an unknown group is dead, which is no error.
    out->group_state = SLICE_LITERAL("Dead");
    if (call->version < 6) return ERR_NONE;
    out->error_code = err_wire(ERR_GROUP_ID_NOT_FOUND);
    out->error_message =
        g == NULL ? arena_format(call->arena, "Group %.*s not found.", SLICE_PRINT(call->group_id))
                  : arena_format(call->arena, "Group %.*s is not a classic group.",
                                 SLICE_PRINT(call->group_id));
    return ERR_NONE;
}

static bool is_named(const struct slice *filter, int32_t count, const char *name) {
    if (count <= 0) return true;
    for (int32_t i = 0; i < count; i++)
        if (slice_equal_any_case(filter[i], slice_cstring(name))) return true;
    return false;
}

// The groups of one partition. Request: struct list_groups_request; response: struct
// list_groups_response.
enum err admin_list(struct group_shard *s, struct group_call *call, struct runtime_result *result) {
    (void)result;
    const struct list_groups_request *m = call->request;
    struct list_groups_response *out = call->response;
    out->groups = list_groups_response_group_new(call->arena, (int32_t)s->groups.count);
    map_for_each(n, &s->groups) {
        const struct group *g = container_of(n, struct group, by_id);
        bool consumer = g->consumer != NULL;
        const char *state = consumer ? consumer_state_name(g) : classic_state_name(g);
        const char *kind = consumer ? "consumer" : "classic";
        if (!is_named(m->states_filter, m->states_filter_count, state)) continue;
        if (!is_named(m->types_filter, m->types_filter_count, kind)) continue;
        struct list_groups_response_group *row = &out->groups[out->groups_count++];
        row->group_id = arena_copy(call->arena, g->id);
        struct slice type = consumer ? SLICE_LITERAL("consumer") : classic_protocol_type(g);
        row->protocol_type = slice_is_null(type) ? SLICE_EMPTY : arena_copy(call->arena, type);
        row->group_state = slice_cstring(state);
        row->group_type = slice_cstring(kind);
    }
    return ERR_NONE;
}

// Response: struct delete_groups_response_result.
enum err admin_delete(struct group_shard *s, struct group_call *call,
                      struct runtime_result *result) {
    struct delete_groups_response_result *out = call->response;
    const struct group *g = group_find(s, call->group_id);
    out->group_id = call->group_id;
    if (g == NULL) {
        out->error_code = err_wire(ERR_GROUP_ID_NOT_FOUND);
        return ERR_NONE;
    }
    if (!consumer_is_empty(g) || !classic_is_empty(g)) {
        out->error_code = err_wire(ERR_NON_EMPTY_GROUP);
        return ERR_NONE;
    }
    offsets_delete_all(g, result);
    if (g->consumer != NULL) {
        consumer_add_gone(g, result);
        return ERR_NONE;
    }
    struct group_metadata_key key = {.group = g->id};
    group_add_record(result, GROUP_METADATA, &key, 0, NULL);
    return ERR_NONE;
}
