#include "base/memory.h"
#include "net/connection.h"

struct net_limits net_limits_default(void) {
    return (struct net_limits){
        .request_bytes_max = 100 * 1024 * 1024,
        .requests_in_flight_max = 128,
        .output_bytes_high = 1024 * 1024,
        .idle_ns = 600ull * 1000 * 1000 * 1000,
        .frame_ns = 60ull * 1000 * 1000 * 1000,
        .frame_bytes_per_second = 16 * 1024,
    };
}

static void net_destroy(struct net *net) {
    env_defer_cancel(net->options.env, &net->reap);
    while (!list_is_empty(&net->idle_requests)) {
        struct net_request *r =
            container_of(list_pop(&net->idle_requests), struct net_request, link);
        arena_deinit(&r->arena);
        memory_free(r);
    }
    buffer_unref(net->receive);
    memory_free(net);
}

static void net_reap(struct env_task *task) {
    struct net *net = container_of(task, struct net, reap);
    while (!list_is_empty(&net->ended_requests)) {
        request_free(container_of(list_pop(&net->ended_requests), struct net_request, link));
    }
    if (!net->freeing || net->requests_under_way > 0) return;
    void (*freed)(void *) = net->freed;
    void *context = net->freed_context;
    net_destroy(net);
    freed(context);
}

struct net *net_new(const struct net_options *options) {
    struct net *net = memory_zalloc(1, sizeof *net);
    net->options = *options;
    budget_init(&net->budget, options->memory_max);
    list_init(&net->connections);
    list_init(&net->idle_requests);
    list_init(&net->ended_requests);
    env_task_init(&net->reap, net_reap);
    return net;
}

void net_free(struct net *net, void (*freed)(void *context), void *context) {
    net->freeing = true;
    net->freed = freed;
    net->freed_context = context;
    while (!list_is_empty(&net->connections)) {
        connection_close(container_of(net->connections.next, struct connection, link));
    }
    env_defer(net->options.env, &net->reap);
}

void net_discard(struct net *net) {
    if (net == NULL) return;
    net->freeing = true;
    while (!list_is_empty(&net->connections)) {
        struct connection *c = container_of(net->connections.next, struct connection, link);
        while (!list_is_empty(&c->requests)) {
            struct net_request *r = container_of(list_pop(&c->requests), struct net_request, link);
            request_free(r);
        }
        connection_close(c);
    }
    while (!list_is_empty(&net->ended_requests)) {
        request_free(container_of(list_pop(&net->ended_requests), struct net_request, link));
    }
    net_destroy(net);
}

void net_open(struct net *net) {
    net->is_open = true;
    list_for_each(link, &net->connections) {
        struct connection *c = container_of(link, struct connection, link);
        env_defer(net->options.env, &c->flush);
    }
}

void *net_context(const struct net *net) {
    return net->options.context;
}

struct budget *net_budget(struct net *net) {
    return &net->budget;
}

int32_t net_connection_count(const struct net *net) {
    return net->connection_count;
}
