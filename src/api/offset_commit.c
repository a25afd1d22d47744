// OffsetCommit, versions 2 to 10 (from v10 on by topic id, KIP-848).
#include "api/group_route.h"

enum { VERSION_TOPIC_ID = 10 };

struct commit {
    struct group_routes routes;
    struct group_route route;
    struct offset_commit_request known;  // topics and partitions that are there, by name
    int16_t *topic_errors;               // for each topic of the request
};

static const struct topic_image *find_topic(const struct api_call *call,
                                            const struct offset_commit_request_topic *t) {
    if (call->version >= VERSION_TOPIC_ID) return image_topic_by_id(call->node->image, t->topic_id);
    return image_topic(call->node->image, t->name);
}

static bool is_known(const struct topic_image *topic, int32_t partition) {
    return topic != NULL && partition >= 0 && partition < topic->partition_count;
}

// Puts the rows for unknown topics and partitions into the answer, in the request's order.
static void routed(struct group_routes *routes) {
    struct commit *c = container_of(routes, struct commit, routes);
    struct api_call *call = routes->api;
    const struct offset_commit_request *request = call->request;
    struct offset_commit_response *response = call->response;
    struct offset_commit_response_topic *known = response->topics;
    bool answered = c->route.result == ERR_NONE;
    int16_t error = answered ? 0 : err_wire(c->route.result);
    enum err unknown =
        call->version >= VERSION_TOPIC_ID ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    int32_t k = 0;
    response->topics_count = request->topics_count;
    response->topics = offset_commit_response_topic_new(call->arena, request->topics_count);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct offset_commit_request_topic *t = &request->topics[i];
        bool there = c->topic_errors[i] == 0;
        struct offset_commit_response_topic *out = &response->topics[i];
        int32_t row = 0;
        out->name = t->name;
        out->topic_id = t->topic_id;
        out->partitions_count = t->partitions_count;
        out->partitions = offset_commit_response_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count; j++) {
            struct offset_commit_response_partition *p = &out->partitions[j];
            p->partition_index = t->partitions[j].partition_index;
            const struct offset_commit_response_topic *mine = there && answered ? &known[k] : NULL;
            if (mine != NULL && row < mine->partitions_count &&
                mine->partitions[row].partition_index == p->partition_index) {
                p->error_code = mine->partitions[row++].error_code;
            } else if (!there) {
                p->error_code = err_wire(unknown);
            } else {
                p->error_code = answered ? err_wire(ERR_UNKNOWN_TOPIC_OR_PARTITION) : error;
            }
        }
        k += there;
    }
    group_routes_reply(routes);
}

void api_offset_commit(struct api_call *call) {
    const struct offset_commit_request *request = call->request;
    struct commit *c = arena_zalloc(call->arena, 1, sizeof *c);
    c->known = *request;
    c->known.topics_count = 0;
    c->known.topics = offset_commit_request_topic_new(call->arena, request->topics_count);
    c->topic_errors =
        arena_zalloc(call->arena, (size_t)request->topics_count, sizeof *c->topic_errors);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct offset_commit_request_topic *t = &request->topics[i];
        const struct topic_image *image = find_topic(call, t);
        if (image == NULL) {
            c->topic_errors[i] = err_wire(ERR_UNKNOWN_TOPIC_OR_PARTITION);
            continue;
        }
        struct offset_commit_request_topic *known = &c->known.topics[c->known.topics_count++];
        *known = *t;
        known->name = arena_copy(call->arena, image->name);
        known->topic_id = image->id;
        known->partitions_count = 0;
        known->partitions = offset_commit_request_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count; j++) {
            if (is_known(image, t->partitions[j].partition_index)) {
                known->partitions[known->partitions_count++] = t->partitions[j];
            }
        }
    }
    group_routes_init(&c->routes, call, routed);
    group_routes_add(&c->routes, &c->route, request->group_id, &c->known, call->response);
    group_routes_start(&c->routes);
}
