// Accepting: every listener of the node accepts on reactor 0, which alone counts connections (in
// all and by address), and deals them out to the reactors in turn. A connection holds a place; when
// it closes, the place goes home by mailbox.
//
// Beyond max.connections or max.connections.per.ip a new connection is closed at once with one line
// in the log. (Kafka does so per address, and lets connections beyond max.connections wait
// unaccepted; a client that is turned away knows where it is.)
#include "base/map.h"
#include "base/memory.h"
#include "config/config.h"
#include "net/connection.h"

struct net_quota {
    struct env *env;
    const struct config *config;
    int32_t connections;
    struct map addresses;    // of struct address_count, those with connections
    uint64_t warned_second;  // one line per second about refusals
};

struct address_count {
    struct map_node node;
    char text[sizeof((struct tcp_address *)0)->text];
    int32_t connections;
};

struct net_place {
    struct net_quota *quota;
    struct address_count *address;
    struct env *home;     // of reactor 0
    struct env *reactor;  // of the connection
    struct env_message message;
};

struct net_acceptor {
    struct env *env;
    struct tcp_listener tcp;
    const struct net_listener *listener;
    struct net_quota *quota;
    struct net *const *nets;
    int32_t net_count;
    int32_t next;  // the reactor that gets the next connection
};

// An accepted connection on its way to its reactor.
struct handover {
    struct env_message message;
    struct tcp *tcp;
    struct net *net;
    const struct net_listener *listener;
    struct net_place *place;
};

// ---- Places ----

struct net_quota *net_quota_new(struct env *env, const struct config *config) {
    struct net_quota *quota = memory_zalloc(1, sizeof *quota);
    quota->env = env;
    quota->config = config;
    map_init(&quota->addresses, env_random(env));
    return quota;
}

void net_quota_configure(struct net_quota *quota, const struct config *config) {
    quota->config = config;
}

void net_quota_free(struct net_quota *quota) {
    map_for_each(node, &quota->addresses) {
        memory_free(container_of(node, struct address_count, node));
    }
    map_deinit(&quota->addresses);
    memory_free(quota);
}

// NULL: over a limit; the sentence says which.
static struct net_place *net_place_take(struct net_quota *quota, struct tcp_address peer,
                                        struct message *why) {
    int32_t connections_max = config_int(quota->config, BROKER_MAX_CONNECTIONS);
    if (quota->connections >= connections_max) {
        message_set(why, "max.connections (%d) is reached", connections_max);
        return NULL;
    }
    struct slice text = slice_cstring(peer.text);
    struct map_node *node = map_get(&quota->addresses, text);
    struct address_count *address =
        node == NULL ? NULL : container_of(node, struct address_count, node);
    int32_t max = config_connections_per_ip(quota->config, text);
    if ((address == NULL ? 0 : address->connections) >= max) {
        message_set(why, "max.connections.per.ip (%d) is reached", max);
        return NULL;
    }
    if (address == NULL) {
        address = memory_zalloc(1, sizeof *address);
        memcpy(address->text, peer.text, sizeof address->text);
        map_put(&quota->addresses, &address->node, slice_cstring(address->text));
    }
    address->connections++;
    quota->connections++;
    struct net_place *place = memory_zalloc(1, sizeof *place);
    place->quota = quota;
    place->address = address;
    place->home = quota->env;
    return place;
}

static void net_place_free(struct net_place *place) {
    place->quota->connections--;
    if (--place->address->connections == 0) {
        map_remove(&place->quota->addresses, &place->address->node);
        memory_free(place->address);
    }
    memory_free(place);
}

static void net_place_home(struct env_message *message) {
    net_place_free(container_of(message, struct net_place, message));
}

void net_place_release(struct net_place *place) {
    if (place->reactor == place->home) {
        net_place_free(place);
        return;
    }
    place->message.deliver = net_place_home;
    env_post(place->home, &place->message);
}

// ---- Accepting ----

static void handover_deliver(struct env_message *message) {
    struct handover *h = container_of(message, struct handover, message);
    connection_new(h->net, h->tcp, h->listener, h->place);
    memory_free(h);
}

static void acceptor_refuse(struct net_acceptor *a, struct tcp *tcp, struct tcp_address peer,
                            const struct message *why) {
    uint64_t second = env_now_ns(a->env) / (1000ull * 1000 * 1000);
    if (second != a->quota->warned_second) {
        a->quota->warned_second = second;
        log_warn(env_logger(a->env), "net", "%s:%u on %.*s: %s; connection refused", peer.text,
                 peer.port, SLICE_PRINT(a->listener->name), why->text);
    }
    tcp_close(tcp);
}

static void acceptor_accepted(struct tcp_listener *listener, struct tcp *tcp) {
    struct net_acceptor *a = container_of(listener, struct net_acceptor, tcp);
    struct tcp_address peer = tcp_peer(tcp);
    struct message why;
    struct net_place *place = net_place_take(a->quota, peer, &why);
    if (place == NULL) {
        acceptor_refuse(a, tcp, peer, &why);
        return;
    }
    struct net *net = a->nets[a->next];
    a->next = (a->next + 1) % a->net_count;
    place->reactor = net->options.env;
    if (net->options.env == a->env) {
        connection_new(net, tcp, a->listener, place);
        return;
    }
    struct handover *h = memory_zalloc(1, sizeof *h);
    *h = (struct handover){{NULL, handover_deliver}, tcp, net, a->listener, place};
    tcp_move(tcp, net->options.env);
    env_post(net->options.env, &h->message);
}

enum err net_acceptor_new(struct env *env, struct net_listener *listener, struct net_quota *quota,
                          struct net *const *nets, int32_t net_count,
                          struct net_acceptor **acceptor, struct message *error) {
    enum { BACKLOG = 512 };
    struct net_acceptor *a = memory_zalloc(1, sizeof *a);
    a->env = env;
    a->listener = listener;
    a->quota = quota;
    a->nets = nets;
    a->net_count = net_count;
    a->tcp.accepted = acceptor_accepted;
    enum err e = tcp_listen(env, listener->host, listener->port, BACKLOG, &a->tcp, error);
    if (e != ERR_NONE) {
        memory_free(a);
        return e;
    }
    listener->port = a->tcp.address.port;
    *acceptor = a;
    return ERR_NONE;
}

void net_acceptor_free(struct net_acceptor *acceptor) {
    if (acceptor == NULL) return;
    tcp_listener_close(acceptor->env, &acceptor->tcp);
    memory_free(acceptor);
}
