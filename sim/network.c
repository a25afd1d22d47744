// The simulated network: connections that keep order and lose nothing, as tcp's do, over a network
// that delays, cuts and resets.
//
// A connection is a link with two ends. What one end sends travels as segments, each with a latency
// of its own, never overtaking. While the way is cut, segments are parked and go on when it heals.
// A window bounds what is under way and unread, so senders meet full sockets. A process that is
// killed resets its peers; a machine that lost its power says nothing (what it had sent and was
// still on its way is lost, since it cannot send it again), and resets who writes to it
// once it is back.
#include "sim/internal.h"

#include <stdlib.h>

#include "base/assert.h"

#define CONNECT_TIMEOUT (10 * NS_PER_S)
#define SEGMENT_MAX     ((size_t)64 << 10)

struct sim_segment {
    struct sim_segment *next;
    size_t size;
    size_t taken;  // by the reader
    bool is_end;   // the sender closed
    uint8_t data[];
};

struct sim_segments {
    struct sim_segment *first;
    struct sim_segment **end;
};

struct sim_link {
    struct list all;
    struct sim *sim;
    struct sim_tcp *ends[2];  // 0 connected, 1 accepted; NULL: closed, or its process is gone
    struct sim_node *nodes[2];
    struct tcp_address addresses[2];
    uint64_t last_delivery[2];  // of what side i sent
    size_t under_way[2];        // bytes that side i sent and the other has not read
    size_t window;
    struct sim_segments parked[2];
    bool is_dark[2];  // side i lost its power: what it had sent and was not received is gone
};

struct sim_listener {
    struct list of_node;
    struct tcp_listener *listener;
    struct env *env;
};

struct sim_tcp {
    struct tcp tcp;
    struct sim_node *node;
    struct sim_link *link;
    int side;
    struct list of_node;
    struct list ready;  // in its reactor's list: the next pass has something for it
    bool reading;
    bool wants_writable;
    bool is_reset;
    bool is_closed;
    struct tcp_listener *accepting;  // `accepted` is still to come
    bool connect_done;               // `connected` is still to come, with this:
    enum err connect_result;
    struct sim_segments arrived;
};

static struct sim_tcp *sim_tcp_of(const struct tcp *tcp) {
    return container_of(tcp, struct sim_tcp, tcp);
}

// ---- Segments ----

static void segments_init(struct sim_segments *segments) {
    segments->first = NULL;
    segments->end = &segments->first;
}

static void segments_append(struct sim_segments *segments, struct sim_segment *segment) {
    segment->next = NULL;
    *segments->end = segment;
    segments->end = &segment->next;
}

static struct sim_segment *segments_pop(struct sim_segments *segments) {
    struct sim_segment *segment = segments->first;
    if (segment == NULL) return NULL;
    segments->first = segment->next;
    if (segments->first == NULL) segments->end = &segments->first;
    return segment;
}

static void segments_free(struct sim_segments *segments) {
    struct sim_segment *segment;
    while ((segment = segments_pop(segments)) != NULL)
        free(segment);
}

// ---- Readiness ----

static bool is_readable(const struct sim_tcp *own) {
    return own->reading && (own->is_reset || own->arrived.first != NULL);
}

static bool is_writable(const struct sim_tcp *own) {
    if (!own->wants_writable) return false;
    return own->is_reset || own->link->under_way[own->side] < own->link->window;
}

// Puts it before its reactor if there is something to tell.
static void tcp_look(struct sim_tcp *own) {
    if (own->is_closed || list_is_linked(&own->ready)) return;
    bool told =
        own->accepting != NULL ||
        (own->tcp.handler != NULL && (own->connect_done || is_readable(own) || is_writable(own)));
    if (!told) return;
    struct sim_reactor *reactor = sim_reactor_of(own->tcp.env);
    list_append(&reactor->ready, &own->ready);
}

static void tcp_tell(struct sim_tcp *own) {
    if (own->accepting != NULL) {
        struct tcp_listener *listener = own->accepting;
        own->accepting = NULL;
        listener->accepted(listener, &own->tcp);
        return;
    }
    struct tcp_handler *handler = own->tcp.handler;
    if (own->connect_done) {
        own->connect_done = false;
        handler->connected(handler, own->connect_result);
        if (own->is_closed) return;
    }
    if (is_readable(own)) {
        own->tcp.handler->readable(own->tcp.handler);
        if (own->is_closed) return;
    }
    if (is_writable(own)) {
        own->wants_writable = false;
        own->tcp.handler->writable(own->tcp.handler);
    }
}

void sim_tcp_run_ready(struct sim_reactor *reactor) {
    struct sim *sim = reactor->node->sim;
    // Those that are there now, in an order of the seed; what becomes ready meanwhile waits for the
    // next pass.
    struct list round;
    list_init(&round);
    while (!list_is_empty(&reactor->ready)) {
        struct list *link = list_pop(&reactor->ready);
        if (sim_between(sim, 0, 1) == 0) {
            list_append(&round, link);
        } else {
            list_prepend(&round, link);
        }
    }
    while (!list_is_empty(&round)) {
        struct sim_tcp *own = container_of(list_pop(&round), struct sim_tcp, ready);
        tcp_tell(own);
        tcp_look(own);
    }
}

// ---- Segments on their way ----

static uint64_t latency(struct sim *sim) {
    return sim_between(sim, sim->latency_min, sim->latency_max);
}

static void end_reset(struct sim_tcp *own) {
    if (own == NULL || own->is_reset) return;
    own->link->sim->counts.resets++;
    own->is_reset = true;
    segments_free(&own->arrived);
    tcp_look(own);
}

static void reset_arrives(struct sim_event *event) {
    struct sim_link *link = event->subject;
    end_reset(link->ends[(uintptr_t)event->more]);
}

// The end on `side` hears of it after a while.
static void send_reset(struct sim_link *link, int side) {
    if (link->ends[side] == NULL) return;
    struct sim_event *event =
        sim_event_new(link->sim, latency(link->sim), NULL, reset_arrives, link);
    event->more = (void *)(uintptr_t)side;
}

static void segment_deliver(struct sim_link *link, int from, struct sim_segment *segment) {
    int to = 1 - from;
    struct sim_tcp *receiver = link->ends[to];
    if (receiver != NULL && !receiver->is_reset) {
        segments_append(&receiver->arrived, segment);
        tcp_look(receiver);
        return;
    }
    if (!link->nodes[to]->is_dark && !segment->is_end) send_reset(link, from);
    free(segment);
}

static void segment_arrives(struct sim_event *event) {
    struct sim_link *link = event->subject;
    struct sim_segment *segment = event->memory;
    int from = (int)(uintptr_t)event->more;
    event->memory = NULL;
    if (link->is_dark[from]) {
        free(segment);
    } else if (link->sim->cut[link->nodes[from]->index][link->nodes[1 - from]->index] ||
               link->parked[from].first != NULL) {
        segments_append(&link->parked[from], segment);
    } else {
        segment_deliver(link, from, segment);
    }
}

static void segment_send(struct sim_tcp *own, struct sim_segment *segment) {
    struct sim_link *link = own->link;
    struct sim *sim = link->sim;
    uint64_t at = sim->now + latency(sim);
    if (at <= link->last_delivery[own->side]) at = link->last_delivery[own->side] + 1;
    link->last_delivery[own->side] = at;
    link->under_way[own->side] += segment->size;
    struct sim_event *event = sim_event_new(sim, at - sim->now, NULL, segment_arrives, link);
    event->memory = segment;
    event->more = (void *)(uintptr_t)own->side;
}

// ---- Ends of connections ----

static struct sim_tcp *tcp_new(struct env *env, struct sim_link *link, int side) {
    struct sim_tcp *own = sim_alloc(sizeof *own);
    own->tcp.env = env;
    own->node = sim_reactor_of(env)->node;
    own->link = link;
    own->side = side;
    own->reading = true;
    segments_init(&own->arrived);
    list_init(&own->ready);
    list_append(&own->node->connections, &own->of_node);
    if (link != NULL) link->ends[side] = own;
    return own;
}

static void nothing(struct sim_event *event) {
    (void)event;
}

// Frees it when the running event is over: its callback may still be on the stack.
static void tcp_discard(struct sim_tcp *own) {
    own->is_closed = true;
    list_remove(&own->ready);
    list_remove(&own->of_node);
    own->link->ends[own->side] = NULL;
    segments_free(&own->arrived);
    sim_event_new(own->link->sim, 0, NULL, nothing, NULL)->memory = own;
}

void sim_tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler) {
    tcp->handler = handler;
    tcp_look(sim_tcp_of(tcp));
}

void sim_tcp_move(struct tcp *tcp, struct env *target) {
    list_remove(&sim_tcp_of(tcp)->ready);
    tcp->env = target;
}

void sim_tcp_set_reading(struct tcp *tcp, bool on) {
    sim_tcp_of(tcp)->reading = on;
    tcp_look(sim_tcp_of(tcp));
}

struct tcp_address sim_tcp_peer(const struct tcp *tcp) {
    const struct sim_tcp *own = sim_tcp_of(tcp);
    return own->link->addresses[1 - own->side];
}
struct tcp_address sim_tcp_local(const struct tcp *tcp) {
    const struct sim_tcp *own = sim_tcp_of(tcp);
    return own->link->addresses[own->side];
}

enum err sim_tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got) {
    struct sim_tcp *own = sim_tcp_of(tcp);
    struct sim_link *link = own->link;
    if (own->is_reset) return ERR_CLOSED;
    struct sim_segment *segment = own->arrived.first;
    if (segment == NULL) return ERR_WOULD_BLOCK;
    if (segment->is_end) return ERR_EOF;
    size_t n = MIN(size, segment->size - segment->taken);
    if (n > 1 && sim_between(link->sim, 0, 7) == 0) n = (size_t)sim_between(link->sim, 1, n);
    memcpy(data, segment->data + segment->taken, n);
    segment->taken += n;
    if (segment->taken == segment->size) free(segments_pop(&own->arrived));
    link->under_way[1 - own->side] -= n;
    struct sim_tcp *sender = link->ends[1 - own->side];
    if (sender != NULL) tcp_look(sender);
    *got = n;
    return ERR_NONE;
}

// Copies the first bytes of the chain; file ranges are read.
static enum err chain_take(struct chain *chain, uint8_t *out, size_t size) {
    size_t done = 0;
    for (const struct span *span = chain->first; done < size; span = span->next) {
        size_t n = MIN(span->size, size - done), got = n;
        if (span->file != NULL) {
            if (file_read(span->file, span->position, out + done, n, &got) != ERR_NONE)
                return ERR_IO;
            if (got < n) return ERR_CORRUPT;
        } else {
            memcpy(out + done, span->data, n);
        }
        done += n;
    }
    chain_consume(chain, size);
    return ERR_NONE;
}

enum err sim_tcp_send(struct tcp *tcp, struct chain *chain) {
    struct sim_tcp *own = sim_tcp_of(tcp);
    struct sim_link *link = own->link;
    struct sim *sim = link->sim;
    if (own->is_reset) return ERR_CLOSED;
    if (own->node->dying) {  // the process is dead already; it only does not know
        chain_consume(chain, chain->size);
        return ERR_NONE;
    }
    while (chain->size > 0 && link->under_way[own->side] < link->window) {
        size_t room = link->window - link->under_way[own->side];
        size_t size = MIN(MIN(chain->size, room), SEGMENT_MAX);
        if (size > 1 && sim_between(sim, 0, 7) == 0) size = (size_t)sim_between(sim, 1, size);
        struct sim_segment *segment = sim_alloc(sizeof *segment + size);
        segment->size = size;
        enum err err = chain_take(chain, segment->data, size);
        if (err != ERR_NONE) {
            free(segment);
            return err;
        }
        sim_mix_bytes(sim, segment->data, size);
        segment_send(own, segment);
    }
    own->wants_writable = chain->size > 0;
    return ERR_NONE;
}

void sim_tcp_close(struct tcp *tcp) {
    struct sim_tcp *own = sim_tcp_of(tcp);
    if (!own->is_reset && own->link->ends[1 - own->side] != NULL && !own->node->dying) {
        struct sim_segment *end = sim_alloc(sizeof *end);
        end->is_end = true;
        segment_send(own, end);
    }
    tcp_discard(own);
}

// ---- Listening and connecting ----

static struct sim_listener *listener_find(struct sim_node *node, uint16_t port) {
    list_for_each(link, &node->listeners) {
        struct sim_listener *listener = container_of(link, struct sim_listener, of_node);
        if (listener->listener->address.port == port) return listener;
    }
    return NULL;
}

static void node_address(const struct sim_node *node, uint16_t port, struct tcp_address *address) {
    snprintf(address->text, sizeof address->text, "10.0.0.%u", node->index + 1);
    address->port = port;
}

// Every machine knows itself as localhost, too.
static struct sim_node *resolve(struct sim_node *from, struct slice host) {
    struct sim *sim = from->sim;
    if (slice_equal_cstring(host, "localhost") || slice_equal_cstring(host, "127.0.0.1"))
        return from;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct tcp_address address;
        node_address(sim->nodes[i], 0, &address);
        if (slice_equal_cstring(host, sim->nodes[i]->name) ||
            slice_equal_cstring(host, address.text)) {
            return sim->nodes[i];
        }
    }
    return NULL;
}

enum err sim_tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                        struct tcp_listener *listener, struct message *error) {
    (void)backlog;
    struct sim_node *node = sim_reactor_of(env)->node;
    bool wildcard =
        host.size == 0 || slice_equal_cstring(host, "0.0.0.0") || slice_equal_cstring(host, "::");
    if (!wildcard && resolve(node, host) != node) {
        message_set(error, "Cannot listen on %.*s:%u.", SLICE_PRINT(host), port);
        return ERR_ADDRESS_NOT_AVAILABLE;
    }
    if (port == 0) port = node->sim->next_port++;
    if (listener_find(node, port) != NULL) {
        message_set(error, "Cannot listen on %.*s:%u: another process listens there.",
                    SLICE_PRINT(host), port);
        return ERR_ADDRESS_IN_USE;
    }
    struct sim_listener *own = sim_alloc(sizeof *own);
    own->listener = listener;
    own->env = env;
    node_address(node, port, &listener->address);
    listener->implementation = own;
    list_append(&node->listeners, &own->of_node);
    return ERR_NONE;
}

void sim_tcp_listener_close(struct env *env, struct tcp_listener *listener) {
    (void)env;
    struct sim_listener *own = listener->implementation;
    struct sim_node *node = sim_reactor_of(env)->node;
    list_for_each_safe(link, &node->connections) {  // who is not accepted yet never will be
        struct sim_tcp *waiting = container_of(link, struct sim_tcp, of_node);
        if (waiting->accepting != listener) continue;
        send_reset(waiting->link, 1 - waiting->side);
        tcp_discard(waiting);
    }
    list_remove(&own->of_node);
    free(own);
    listener->implementation = NULL;
}

static void connect_report(struct sim_link *link, enum err result) {
    struct sim_tcp *own = link->ends[0];
    if (own == NULL) return;
    own->connect_done = true;
    own->connect_result = result;
    tcp_look(own);
}

static void connect_reported(struct sim_event *event) {
    connect_report(event->subject, (enum err)(intptr_t)event->more);
}

static void report_later(struct sim_link *link, uint64_t delay, enum err result) {
    sim_event_new(link->sim, delay, NULL, connect_reported, link)->more = (void *)(intptr_t)result;
}

static void connect_arrives(struct sim_event *event) {
    struct sim_link *link = event->subject;
    struct sim *sim = link->sim;
    struct sim_node *from = link->nodes[0], *to = link->nodes[1];
    if (link->ends[0] == NULL) return;  // closed meanwhile
    if (to->is_dark || sim->cut[from->index][to->index] || sim->cut[to->index][from->index]) {
        report_later(link, CONNECT_TIMEOUT, ERR_TIMEOUT);
        return;
    }
    struct sim_listener *listener = to->running ? listener_find(to, link->addresses[1].port) : NULL;
    if (listener == NULL) {
        report_later(link, latency(sim), ERR_REFUSED);
        return;
    }
    sim->counts.connections++;
    struct sim_tcp *accepted = tcp_new(listener->env, link, 1);
    accepted->accepting = listener->listener;
    tcp_look(accepted);
    report_later(link, latency(sim), ERR_NONE);
}

struct tcp *sim_tcp_connect(struct env *env, struct slice host, uint16_t port,
                            struct tcp_handler *handler) {
    struct sim_node *node = sim_reactor_of(env)->node;
    struct sim *sim = node->sim;
    struct sim_node *target = resolve(node, host);
    struct sim_link *link = sim_alloc(sizeof *link);
    link->sim = sim;
    link->nodes[0] = node;
    link->nodes[1] = target != NULL ? target : node;
    link->window = (size_t)sim_between(sim, 4 << 10, 256 << 10);
    segments_init(&link->parked[0]);
    segments_init(&link->parked[1]);
    node_address(node, sim->next_port++, &link->addresses[0]);
    node_address(link->nodes[1], port, &link->addresses[1]);
    list_append(&sim->links, &link->all);
    struct sim_tcp *own = tcp_new(env, link, 0);
    own->tcp.handler = handler;
    if (target == NULL) {
        report_later(link, latency(sim), ERR_UNKNOWN_HOST);
    } else {
        sim_event_new(sim, latency(sim), NULL, connect_arrives, link);
    }
    return &own->tcp;
}

// ---- Faults ----

void sim_network_latency(struct sim *sim, uint64_t min_ns, uint64_t max_ns) {
    sim->latency_min = min_ns;
    sim->latency_max = max_ns;
}

void sim_network_cut(struct sim *sim, struct sim_node *from, struct sim_node *to) {
    sim->cut[from->index][to->index] = true;
}

void sim_network_heal(struct sim *sim) {
    memset(sim->cut, 0, sizeof sim->cut);
    list_for_each(all, &sim->links) {
        struct sim_link *link = container_of(all, struct sim_link, all);
        for (int side = 0; side < 2; side++) {
            struct sim_segment *segment;
            while ((segment = segments_pop(&link->parked[side])) != NULL) {
                segment_deliver(link, side, segment);
            }
        }
    }
}

void sim_network_reset(struct sim_node *node) {
    list_for_each(of_node, &node->connections) {
        struct sim_tcp *own = container_of(of_node, struct sim_tcp, of_node);
        send_reset(own->link, 0);
        send_reset(own->link, 1);
    }
}

void sim_network_node_died(struct sim_node *node, bool power_cut) {
    while (!list_is_empty(&node->connections)) {
        struct sim_tcp *own = container_of(node->connections.next, struct sim_tcp, of_node);
        if (power_cut) {
            own->link->is_dark[own->side] = true;
            segments_free(&own->link->parked[own->side]);
        } else {
            send_reset(own->link, 1 - own->side);
        }
        tcp_discard(own);
    }
    while (!list_is_empty(&node->listeners)) {
        struct sim_listener *listener =
            container_of(list_pop(&node->listeners), struct sim_listener, of_node);
        free(listener);
    }
}

void sim_network_free(struct sim *sim) {
    while (!list_is_empty(&sim->links)) {
        struct sim_link *link = container_of(list_pop(&sim->links), struct sim_link, all);
        segments_free(&link->parked[0]);
        segments_free(&link->parked[1]);
        free(link);
    }
}
