// Listening sockets. One tcp_listener may stand on several sockets: one for each address that its
// host name has.
#include "env/posix.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

#define ACCEPTS_PER_PASS 64
#define BACK_OFF_NS      UINT64_C(100000000)
// With port 0 the first address gets any free port and the others must have the same one: try again
// when it is taken there.
#define ANY_PORT_TRIES 16

struct listening_socket {
    struct posix_watch watch;
    struct posix_listener *listener;
    int descriptor;
};

struct posix_listener {
    struct posix_reactor *reactor;
    struct tcp_listener *listener;
    struct listening_socket sockets[POSIX_ADDRESSES_MAX];
    uint32_t count;
    struct env_timer back_off;  // out of descriptors: runs while accepting pauses
    bool is_closed;
    struct posix_closed closed;
};

// ---- Accepting ----

static void pause_accepting(struct posix_listener *listener) {
    struct env *env = &listener->reactor->env;
    log_warn(env->logger, "env", "cannot accept connections on port %u for a moment: error %d",
             listener->listener->address.port, errno);
    for (uint32_t i = 0; i < listener->count; i++) {
        posix_watch_remove(listener->reactor, listener->sockets[i].descriptor);
    }
    env_timer_start(env, &listener->back_off, env_now_ns(env) + BACK_OFF_NS);
}

static void resume_accepting(struct env_timer *timer) {
    struct posix_listener *listener = container_of(timer, struct posix_listener, back_off);
    for (uint32_t i = 0; i < listener->count; i++) {
        struct listening_socket *socket = &listener->sockets[i];
        posix_watch_add(listener->reactor, socket->descriptor, EPOLLIN, &socket->watch);
    }
}

static void accept_ready(struct posix_watch *watch, uint32_t events) {
    (void)events;
    struct listening_socket *socket = container_of(watch, struct listening_socket, watch);
    struct posix_listener *listener = socket->listener;
    for (int i = 0; i < ACCEPTS_PER_PASS && !listener->is_closed; i++) {
        if (env_timer_is_running(&listener->back_off)) return;
        int descriptor = accept4(socket->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) pause_accepting(listener);
            return;
        }
        if (!posix_socket_allowed(listener->reactor->process, descriptor)) {
            close(descriptor);
            continue;
        }
        struct tcp *tcp = posix_tcp_accepted(listener->reactor, descriptor);
        listener->listener->accepted(listener->listener, tcp);
    }
}

// ---- Binding ----

static enum err socket_error(int number) {
    switch (number) {
        case EADDRINUSE:
            return ERR_ADDRESS_IN_USE;
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT:
            return ERR_ADDRESS_NOT_AVAILABLE;
        default:
            return posix_error(number);
    }
}

static enum err bind_address(const struct posix_address *address, bool both_families, int backlog,
                             int *descriptor) {
    struct sockaddr_storage storage = {0};
    memcpy(&storage, address->bytes, address->size);
    int one = 1, zero = 0;
    int s = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) return socket_error(errno);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (storage.ss_family == AF_INET6) {
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &zero : &one, sizeof one);
    }
    if (bind(s, (struct sockaddr *)&storage, address->size) != 0 || listen(s, backlog) != 0) {
        enum err err = socket_error(errno);
        close(s);
        return err;
    }
    *descriptor = s;
    return ERR_NONE;
}

static void bound_address(int descriptor, struct tcp_address *bound) {
    struct posix_address address = {.size = sizeof address.bytes};
    socklen_t size = sizeof address.bytes;
    if (getsockname(descriptor, (struct sockaddr *)address.bytes, &size) != 0) size = 0;
    address.size = size;
    posix_address_text(&address, bound);
}

// Binds them all to one port. An address that the machine does not have (IPv6 switched off) is
// passed over if another one is there.
static enum err bind_all(struct posix_listener *listener, struct posix_address *addresses,
                         uint32_t count, uint16_t port, bool both_families, int backlog) {
    enum err missing = ERR_UNKNOWN_HOST, err = ERR_NONE;
    for (uint32_t i = 0; i < count && err == ERR_NONE; i++) {
        struct listening_socket *socket = &listener->sockets[listener->count];
        posix_address_set_port(&addresses[i], port);
        err = bind_address(&addresses[i], both_families, backlog, &socket->descriptor);
        if (err == ERR_ADDRESS_NOT_AVAILABLE) {
            missing = err;
            err = ERR_NONE;
            continue;
        }
        if (err != ERR_NONE) break;
        socket->listener = listener;
        socket->watch.ready = accept_ready;
        if (listener->count++ == 0) {
            bound_address(socket->descriptor, &listener->listener->address);
            port = listener->listener->address.port;
        }
    }
    if (err == ERR_NONE && listener->count == 0) err = missing;
    if (err == ERR_NONE) return ERR_NONE;
    for (uint32_t i = 0; i < listener->count; i++)
        close(listener->sockets[i].descriptor);
    listener->count = 0;
    return err;
}

static void explain(struct message *error, enum err err, struct slice host, uint16_t port) {
    const char *what = err == ERR_ADDRESS_IN_USE ? "another process listens there"
                       : err == ERR_UNKNOWN_HOST ? "the host name cannot be resolved"
                       : err == ERR_ADDRESS_NOT_AVAILABLE
                           ? "the address does not belong to this machine"
                       : err == ERR_ACCESS ? "permission denied"
                       : err == ERR_LIMIT  ? "too many open files"
                                           : "the system refuses";
    message_set(error, "Cannot listen on %.*s:%u: %s.", SLICE_PRINT(host), port, what);
}

enum err posix_tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                          struct tcp_listener *listener, struct message *error) {
    struct posix_address addresses[POSIX_ADDRESSES_MAX];
    uint32_t count = 0;
    struct posix_listener *own = memory_zalloc(1, sizeof *own);
    own->reactor = reactor_of(env);
    own->listener = listener;
    list_init(&own->closed.link);
    env_timer_init(&own->back_off, resume_accepting);
    enum err err = posix_resolve(host, port, false, addresses, &count);
    bool wildcard = host.size == 0;
    for (int try = 0; err == ERR_NONE; try++) {
        err = bind_all(own, addresses, count, port, wildcard, backlog);
        if (err != ERR_ADDRESS_IN_USE || port != 0 || try == ANY_PORT_TRIES) break;
        err = ERR_NONE;
    }
    if (err == ERR_ADDRESS_NOT_AVAILABLE && wildcard) {  // a machine without IPv6
        err = posix_resolve(SLICE_LITERAL("0.0.0.0"), port, true, addresses, &count);
        if (err == ERR_NONE) err = bind_all(own, addresses, count, port, false, backlog);
    }
    if (err != ERR_NONE) {
        explain(error, err, host, port);
        memory_free(own);
        return err;
    }
    listener->implementation = own;
    for (uint32_t i = 0; i < own->count; i++) {
        posix_watch_add(own->reactor, own->sockets[i].descriptor, EPOLLIN, &own->sockets[i].watch);
    }
    return ERR_NONE;
}

void posix_tcp_listener_close(struct env *env, struct tcp_listener *listener) {
    struct posix_listener *own = listener->implementation;
    own->is_closed = true;
    env_timer_stop(env, &own->back_off);
    for (uint32_t i = 0; i < own->count; i++)
        close(own->sockets[i].descriptor);
    posix_free_later(own->reactor, &own->closed, own);
    listener->implementation = NULL;
}
