#include "api/group_route.h"

#include "base/memory.h"
#include "wire/codec.h"

static const struct topic_image *group_topic(const struct node *node) {
    return image_topic(node->image, SLICE_LITERAL(GROUP_TOPIC));
}

int32_t group_partition_count(const struct node *node) {
    const struct topic_image *topic = group_topic(node);
    return topic == NULL ? 0 : topic->partition_count;
}

static void gathered(struct scatter *scatter) {
    struct group_routes *routes = container_of(scatter, struct group_routes, scatter);
    routes->routed(routes);
}

void group_routes_init(struct group_routes *routes, struct api_call *call,
                       void (*routed)(struct group_routes *routes)) {
    *routes = (struct group_routes){.api = call, .routed = routed};
    struct tcp_address peer = net_request_peer(call->net);
    routes->client_host = arena_format(call->arena, "/%s", peer.text);
    scatter_init(&routes->scatter, call->node, gathered);
}

void group_routes_add_partition(struct group_routes *routes, struct group_route *route,
                                int32_t partition, const void *request, void *response) {
    const struct api_call *api = routes->api;
    scatter_part_init(&route->part);
    route->next = NULL;
    route->call = (struct group_call){.api = (enum api_key)api->api->key,
                                      .version = api->version,
                                      .partition = partition,
                                      .client_id = api->client_id,
                                      .client_host = routes->client_host,
                                      .request = request,
                                      .response = response};
    // Before the topic exists nobody coordinates anything.
    route->result = partition < 0 ? ERR_NOT_COORDINATOR : ERR_NONE;
    if (routes->last == NULL) {
        routes->first = route;
    } else {
        routes->last->next = route;
    }
    routes->last = route;
}

void group_routes_add(struct group_routes *routes, struct group_route *route, struct slice group_id,
                      const void *request, void *response) {
    int32_t count = group_partition_count(routes->api->node);
    int32_t partition = count == 0 ? -1 : group_partition_of(group_id, count);
    group_routes_add_partition(routes, route, partition, request, response);
    route->call.group_id = group_id;
}

static void done(struct group_call *call, enum err result) {
    struct group_route *route = container_of(call, struct group_route, call);
    route->result = result;
    scatter_finish(&route->part);
}

static void run(struct scatter_part *part) {
    struct group_route *route = container_of(part, struct group_route, part);
    route->call.arena = part->arena;
    route->call.done = done;
    if (part->node->groups == NULL) {
        done(&route->call, ERR_NOT_COORDINATOR);
    } else {
        group_call_start(part->node->groups, &route->call);
    }
}

void group_routes_start(struct group_routes *routes) {
    struct node *node = routes->api->node;
    const struct topic_image *topic = group_topic(node);
    for (struct group_route *r = routes->first; r != NULL; r = r->next) {
        if (r->result != ERR_NONE) continue;
        scatter_start(&routes->scatter, &r->part, node_owner_of(node, topic->id, r->call.partition),
                      routes->api->arena, run);
    }
    scatter_seal(&routes->scatter);
}

// The routes lie in the call's arena, which goes with the reply, and parts of the response in the
// routes' own arenas, which must outlast it.
void group_routes_reply(struct group_routes *routes) {
    size_t count = 0;
    for (struct group_route *r = routes->first; r != NULL; r = r->next)
        count += r->part.own.blocks != NULL;
    struct arena *arenas = memory_alloc(count * sizeof *arenas);
    count = 0;
    for (struct group_route *r = routes->first; r != NULL; r = r->next) {
        if (r->part.own.blocks != NULL) arenas[count++] = r->part.own;
    }
    api_reply(routes->api);
    for (size_t i = 0; i < count; i++)
        arena_deinit(&arenas[i]);
    memory_free(arenas);
}

void group_routes_reply_error(struct group_routes *routes, enum err error,
                              const struct message *text) {
    struct message sentence = *text;
    for (struct group_route *r = routes->first; r != NULL; r = r->next)
        scatter_part_deinit(&r->part);
    api_reply_error(routes->api, error, &sentence);
}

// ---- APIs about one group ----

struct single {
    struct group_routes routes;
    struct group_route route;
    group_call_failed *failed;
};

static void single_routed(struct group_routes *routes) {
    struct single *single = container_of(routes, struct single, routes);
    enum err result = single->route.result;
    if (result != ERR_NONE && single->failed != NULL) result = single->failed(routes->api, result);
    if (result == ERR_NONE) {
        group_routes_reply(routes);
    } else {
        group_routes_reply_error(routes, result, &single->route.call.error);
    }
}

static struct single *single_new(struct api_call *call, struct slice group_id,
                                 group_call_failed *failed) {
    struct single *single = arena_zalloc(call->arena, 1, sizeof *single);
    single->failed = failed;
    group_routes_init(&single->routes, call, single_routed);
    group_routes_add(&single->routes, &single->route, group_id, call->request, call->response);
    return single;
}

void api_group_call(struct api_call *call, struct slice group_id, group_call_failed *failed) {
    group_routes_start(&single_new(call, group_id, failed)->routes);
}

void api_group_call_guarded(struct api_call *call, struct slice group_id, uint32_t guard,
                            group_call_failed *failed) {
    struct single *single = single_new(call, group_id, failed);
    single->route.call.needs_guard = true;
    single->route.call.guard = guard;
    group_routes_start(&single->routes);
}
