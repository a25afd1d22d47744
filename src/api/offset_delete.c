// OffsetDelete, version 0 (KIP-496).
#include "api/group_route.h"

struct deletion {
    struct group_routes routes;
    struct group_route route;
    struct offset_delete_request known;  // without the partitions that are not there
};

static bool is_known(const struct topic_image *topic, int32_t partition) {
    return topic != NULL && partition >= 0 && partition < topic->partition_count;
}

// Puts the rows for unknown partitions into the answer.
static void routed(struct group_routes *routes) {
    struct deletion *d = container_of(routes, struct deletion, routes);
    struct api_call *call = routes->api;
    if (d->route.result != ERR_NONE) {
        group_routes_reply_error(routes, d->route.result, &d->route.call.error);
        return;
    }
    const struct offset_delete_request *request = call->request;
    struct offset_delete_response *response = call->response;
    struct offset_delete_response_topic *known = response->topics;
    int32_t k = 0;
    response->topics = offset_delete_response_topic_new(call->arena, request->topics_count);
    response->topics_count = response->error_code == 0 ? request->topics_count : 0;
    for (int32_t i = 0; i < response->topics_count; i++) {
        const struct offset_delete_request_topic *t = &request->topics[i];
        const struct topic_image *image = image_topic(call->node->image, t->name);
        struct offset_delete_response_topic *out = &response->topics[i];
        int32_t row = 0;
        out->name = t->name;
        out->partitions_count = t->partitions_count;
        out->partitions = offset_delete_response_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count; j++) {
            if (is_known(image, t->partitions[j].partition_index)) {
                out->partitions[j] = known[k].partitions[row++];
            } else {
                out->partitions[j].partition_index = t->partitions[j].partition_index;
                out->partitions[j].error_code = err_wire(ERR_UNKNOWN_TOPIC_OR_PARTITION);
            }
        }
        k += image != NULL;
    }
    group_routes_reply(routes);
}

void api_offset_delete(struct api_call *call) {
    const struct offset_delete_request *request = call->request;
    struct deletion *d = arena_zalloc(call->arena, 1, sizeof *d);
    d->known = *request;
    d->known.topics_count = 0;
    d->known.topics = offset_delete_request_topic_new(call->arena, request->topics_count);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct offset_delete_request_topic *t = &request->topics[i];
        const struct topic_image *image = image_topic(call->node->image, t->name);
        if (image == NULL) continue;
        struct offset_delete_request_topic *known = &d->known.topics[d->known.topics_count++];
        known->name = t->name;
        known->partitions = offset_delete_request_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count; j++) {
            if (is_known(image, t->partitions[j].partition_index)) {
                known->partitions[known->partitions_count++] = t->partitions[j];
            }
        }
    }
    group_routes_init(&d->routes, call, routed);
    group_routes_add(&d->routes, &d->route, request->group_id, &d->known, call->response);
    group_routes_start(&d->routes);
}
