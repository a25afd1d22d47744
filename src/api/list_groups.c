// ListGroups, versions 0 to 5: the groups of all partitions that this node coordinates.
#include "api/group_route.h"

struct listing {
    struct group_routes routes;
    struct group_route *list;
    struct list_groups_response *answers;
    int32_t count;
};

static void routed(struct group_routes *routes) {
    struct listing *l = container_of(routes, struct listing, routes);
    struct api_call *call = routes->api;
    struct list_groups_response *response = call->response;
    int32_t total = 0;
    for (int32_t i = 0; i < l->count; i++) {
        if (l->list[i].result == ERR_NONE) total += l->answers[i].groups_count;
        // A partition that is being loaded may hold groups: the list would not be whole.
        if (l->list[i].result == ERR_COORDINATOR_LOAD_IN_PROGRESS)
            response->error_code = err_wire(l->list[i].result);
    }
    response->groups = list_groups_response_group_new(call->arena, total);
    for (int32_t i = 0; i < l->count && response->error_code == 0; i++) {
        for (int32_t j = 0; l->list[i].result == ERR_NONE && j < l->answers[i].groups_count; j++) {
            response->groups[response->groups_count++] = l->answers[i].groups[j];
        }
    }
    group_routes_reply(routes);
}

void api_list_groups(struct api_call *call) {
    struct listing *l = arena_zalloc(call->arena, 1, sizeof *l);
    l->count = group_partition_count(call->node);
    l->list = arena_zalloc(call->arena, (size_t)l->count, sizeof *l->list);
    l->answers = arena_zalloc(call->arena, (size_t)l->count, sizeof *l->answers);
    group_routes_init(&l->routes, call, routed);
    for (int32_t i = 0; i < l->count; i++) {
        codec_init(&list_groups_response_codec, &l->answers[i]);
        group_routes_add_partition(&l->routes, &l->list[i], i, call->request, &l->answers[i]);
    }
    group_routes_start(&l->routes);
}
