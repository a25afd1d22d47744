// The listeners of a node: bound on reactor 0, their connections dealt out to all reactors.
#include "broker/parts.h"

// What clients are told: advertised.listeners, else what `listeners` says, else the name of this
// machine.
static struct slice advertised_host(struct broker *broker, const struct config_listener *from) {
    if (from->advertised_host.size > 0) return from->advertised_host;
    char name[256];
    env_host_name(broker->env, name);
    return arena_copy(&broker->arena, slice_cstring(name));
}

enum err broker_bind(struct broker *broker, struct message *error) {
    const struct config *config = broker->options.config;
    int32_t count = config_listener_count(config);
    broker->listeners = arena_zalloc(&broker->arena, (size_t)count, sizeof *broker->listeners);
    broker->acceptors = arena_zalloc(&broker->arena, (size_t)count, sizeof *broker->acceptors);
    const struct net_listener **rows =
        arena_zalloc(&broker->arena, (size_t)count, sizeof(struct net_listener *));
    broker->quota = net_quota_new(broker->env, broker->reactors[0].config);
    for (int32_t i = 0; i < count; i++) {
        const struct config_listener *from = config_listener_at(config, i);
        struct net_listener *listener = &broker->listeners[i];
        listener->name = from->name;
        listener->host = from->host;
        listener->port = from->port;
        listener->security_protocol = (int16_t)from->protocol;
        listener->is_controller = from->is_controller;
        enum err e = net_acceptor_new(broker->env, listener, broker->quota, broker->nets,
                                      broker->reactor_count, &broker->acceptors[i], error);
        if (e != ERR_NONE) return e;
        broker->listener_count++;
        listener->advertised_host = advertised_host(broker, from);
        listener->advertised_port =
            from->advertised_port != 0 ? from->advertised_port : listener->port;
        rows[i] = listener;
        log_info(broker->logger, "broker", "listening on %.*s://%.*s:%u", SLICE_PRINT(from->name),
                 SLICE_PRINT(from->host), listener->port);
    }
    broker->identity.listeners = rows;
    broker->identity.listener_count = count;
    return ERR_NONE;
}

void broker_close_listeners(struct broker *broker) {
    for (int32_t i = 0; i < broker->listener_count; i++) {
        net_acceptor_free(broker->acceptors[i]);
        broker->acceptors[i] = NULL;
    }
}
