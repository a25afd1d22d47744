// Heartbeat, versions 0 to 4.
#include "api/group_route.h"

static void routed(struct group_routes *routes);

struct beating {
    struct group_routes routes;
    struct group_route route;
};

// While the group is loaded members keep their membership: Kafka answers that all is well.
static void routed(struct group_routes *routes) {
    struct beating *b = container_of(routes, struct beating, routes);
    if (b->route.result == ERR_COORDINATOR_LOAD_IN_PROGRESS) b->route.result = ERR_NONE;
    if (b->route.result == ERR_NONE) {
        group_routes_reply(routes);
    } else {
        group_routes_reply_error(routes, b->route.result, &b->route.call.error);
    }
}

void api_heartbeat(struct api_call *call) {
    const struct heartbeat_request *request = call->request;
    if (request->group_id.size == 0) {
        api_reply_error(call, ERR_INVALID_GROUP_ID, NULL);
        return;
    }
    struct beating *b = arena_zalloc(call->arena, 1, sizeof *b);
    group_routes_init(&b->routes, call, routed);
    group_routes_add(&b->routes, &b->route, request->group_id, request, call->response);
    group_routes_start(&b->routes);
}
