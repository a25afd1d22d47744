// DeleteGroups, versions 0 to 3 (KIP-229).
#include "api/group_route.h"

struct deleting {
    struct group_routes routes;
    struct group_route *list;
};

static void routed(struct group_routes *routes) {
    struct deleting *d = container_of(routes, struct deleting, routes);
    const struct delete_groups_request *request = routes->api->request;
    struct delete_groups_response *response = routes->api->response;
    for (int32_t i = 0; i < response->results_count; i++) {
        response->results[i].group_id = request->groups_names[i];
        if (d->list[i].result != ERR_NONE)
            response->results[i].error_code = err_wire(d->list[i].result);
    }
    group_routes_reply(routes);
}

void api_delete_groups(struct api_call *call) {
    const struct delete_groups_request *request = call->request;
    struct delete_groups_response *response = call->response;
    struct deleting *d = arena_zalloc(call->arena, 1, sizeof *d);
    d->list = arena_zalloc(call->arena, (size_t)request->groups_names_count, sizeof *d->list);
    response->results_count = request->groups_names_count;
    response->results = delete_groups_response_result_new(call->arena, request->groups_names_count);
    group_routes_init(&d->routes, call, routed);
    for (int32_t i = 0; i < request->groups_names_count; i++) {
        group_routes_add(&d->routes, &d->list[i], request->groups_names[i], request,
                         &response->results[i]);
    }
    group_routes_start(&d->routes);
}
