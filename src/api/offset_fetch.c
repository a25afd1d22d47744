// OffsetFetch, versions 1 to 10: one group until v7, many from v8 on (KIP-709), by topic id from
// v10 on. Every version is brought into the form of v8: a list of groups.
#include "api/group_route.h"

enum { VERSION_GROUPS = 8, VERSION_TOPIC_ID = 10, VERSION_ALL_TOPICS = 2 };

struct fetching {
    struct group_routes routes;
    struct group_route *list;
    struct offset_fetch_request_group *groups;
    struct offset_fetch_response_group *answers;
    int32_t count;
};

// Topics that are asked for by id get their names; the ids of unknown ones stay and are answered
// so.
static void name_topics(const struct api_call *call, struct offset_fetch_request_group *group) {
    if (call->version < VERSION_TOPIC_ID || group->topics_count <= 0) return;
    struct offset_fetch_request_group_topic *known =
        offset_fetch_request_group_topic_new(call->arena, group->topics_count);
    for (int32_t i = 0; i < group->topics_count; i++) {
        const struct topic_image *image =
            image_topic_by_id(call->node->image, group->topics[i].topic_id);
        known[i] = group->topics[i];
        known[i].name = image == NULL ? SLICE_EMPTY : arena_copy(call->arena, image->name);
    }
    group->topics = known;
}

static struct offset_fetch_request_group *old_form(const struct api_call *call) {
    const struct offset_fetch_request *request = call->request;
    struct offset_fetch_request_group *group = offset_fetch_request_group_new(call->arena, 1);
    group->group_id = request->group_id;
    group->topics_count = request->topics_count;
    if (request->topics_count < 0) return group;
    group->topics = offset_fetch_request_group_topic_new(call->arena, request->topics_count);
    for (int32_t i = 0; i < request->topics_count; i++) {
        group->topics[i].name = request->topics[i].name;
        group->topics[i].partition_indexes = request->topics[i].partition_indexes;
        group->topics[i].partition_indexes_count = request->topics[i].partition_indexes_count;
    }
    return group;
}

// What an error of the whole group looks like.
static void answer_old_form(struct api_call *call, const struct fetching *f) {
    struct offset_fetch_response *response = call->response;
    const struct offset_fetch_response_group *group = &f->answers[0];
    enum err result = f->list[0].result;
    response->error_code = err_wire(result);
    if (result != ERR_NONE) {
        // v1 has no place for it but the partitions.
        const struct offset_fetch_request *request = call->request;
        if (call->version >= VERSION_ALL_TOPICS || request->topics_count <= 0) return;
        response->topics_count = request->topics_count;
        response->topics = offset_fetch_response_topic_new(call->arena, request->topics_count);
        for (int32_t i = 0; i < request->topics_count; i++) {
            struct offset_fetch_response_topic *t = &response->topics[i];
            t->name = request->topics[i].name;
            t->partitions_count = request->topics[i].partition_indexes_count;
            t->partitions = offset_fetch_response_partition_new(call->arena, t->partitions_count);
            for (int32_t j = 0; j < t->partitions_count; j++) {
                t->partitions[j].partition_index = request->topics[i].partition_indexes[j];
                t->partitions[j].committed_offset = -1;
                t->partitions[j].metadata = SLICE_EMPTY;
                t->partitions[j].error_code = err_wire(result);
            }
        }
        return;
    }
    response->topics_count = group->topics_count;
    response->topics = offset_fetch_response_topic_new(call->arena, group->topics_count);
    for (int32_t i = 0; i < group->topics_count; i++) {
        const struct offset_fetch_response_group_topic *from = &group->topics[i];
        struct offset_fetch_response_topic *t = &response->topics[i];
        t->name = from->name;
        t->partitions_count = from->partitions_count;
        t->partitions = offset_fetch_response_partition_new(call->arena, from->partitions_count);
        for (int32_t j = 0; j < from->partitions_count; j++) {
            t->partitions[j].partition_index = from->partitions[j].partition_index;
            t->partitions[j].committed_offset = from->partitions[j].committed_offset;
            t->partitions[j].committed_leader_epoch = from->partitions[j].committed_leader_epoch;
            t->partitions[j].metadata = from->partitions[j].metadata;
            t->partitions[j].error_code = from->partitions[j].error_code;
        }
    }
}

// Ids that no topic has any more.
static void mark_unknown(const struct api_call *call, struct offset_fetch_response_group *group) {
    if (call->version < VERSION_TOPIC_ID) return;
    for (int32_t i = 0; i < group->topics_count; i++) {
        struct offset_fetch_response_group_topic *t = &group->topics[i];
        if (t->name.size > 0) continue;
        for (int32_t j = 0; j < t->partitions_count; j++) {
            t->partitions[j].error_code = err_wire(ERR_UNKNOWN_TOPIC_ID);
        }
    }
}

static void routed(struct group_routes *routes) {
    struct fetching *f = container_of(routes, struct fetching, routes);
    struct api_call *call = routes->api;
    struct offset_fetch_response *response = call->response;
    if (call->version < VERSION_GROUPS) {
        answer_old_form(call, f);
        group_routes_reply(routes);
        return;
    }
    for (int32_t i = 0; i < f->count; i++) {
        f->answers[i].group_id = f->groups[i].group_id;
        if (f->list[i].result != ERR_NONE) {
            f->answers[i].error_code = err_wire(f->list[i].result);
            f->answers[i].topics_count = 0;
        } else {
            mark_unknown(call, &f->answers[i]);
        }
    }
    response->groups = f->answers;
    response->groups_count = f->count;
    group_routes_reply(routes);
}

void api_offset_fetch(struct api_call *call) {
    struct offset_fetch_request *request = call->request;
    struct fetching *f = arena_zalloc(call->arena, 1, sizeof *f);
    bool many = call->version >= VERSION_GROUPS;
    f->count = many ? request->groups_count : 1;
    f->groups = many ? request->groups : old_form(call);
    f->list = arena_zalloc(call->arena, (size_t)f->count, sizeof *f->list);
    f->answers = offset_fetch_response_group_new(call->arena, f->count);
    group_routes_init(&f->routes, call, routed);
    for (int32_t i = 0; i < f->count; i++) {
        name_topics(call, &f->groups[i]);
        group_routes_add(&f->routes, &f->list[i], f->groups[i].group_id, &f->groups[i],
                         &f->answers[i]);
        f->list[i].call.require_stable = request->require_stable;
    }
    group_routes_start(&f->routes);
}
