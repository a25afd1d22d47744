// DescribeGroups, versions 0 to 6: classic groups.
#include "api/group_route.h"

struct describing {
    struct group_routes routes;
    struct group_route *list;
};

// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: without an authorizer all that a group
// has (KIP-430).
enum { OPERATIONS_OF_GROUP = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 };

static void routed(struct group_routes *routes) {
    struct describing *d = container_of(routes, struct describing, routes);
    const struct describe_groups_request *request = routes->api->request;
    struct describe_groups_response *response = routes->api->response;
    for (int32_t i = 0; i < response->groups_count; i++) {
        struct describe_groups_response_group *group = &response->groups[i];
        group->group_id = request->groups[i];
        if (d->list[i].result != ERR_NONE) group->error_code = err_wire(d->list[i].result);
        if (request->include_authorized_operations && group->error_code == 0) {
            group->authorized_operations = OPERATIONS_OF_GROUP;
        }
    }
    group_routes_reply(routes);
}

void api_describe_groups(struct api_call *call) {
    const struct describe_groups_request *request = call->request;
    struct describe_groups_response *response = call->response;
    struct describing *d = arena_zalloc(call->arena, 1, sizeof *d);
    d->list = arena_zalloc(call->arena, (size_t)request->groups_count, sizeof *d->list);
    response->groups_count = request->groups_count;
    response->groups = describe_groups_response_group_new(call->arena, request->groups_count);
    group_routes_init(&d->routes, call, routed);
    for (int32_t i = 0; i < request->groups_count; i++) {
        group_routes_add(&d->routes, &d->list[i], request->groups[i], request,
                         &response->groups[i]);
    }
    group_routes_start(&d->routes);
}
