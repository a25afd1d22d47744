// The life of a connection: receive, begin requests, collect their replies in order, send, close.
//
// `readable` pumps: it cuts frames and begins requests while limits allow. Handlers end requests
// whenever they like; that only marks them and defers `flush`, which at the end of the pass moves
// the replies that are next in order into the output, sends it with one call, and pumps again when
// reading had stopped. So a handler is never called inside another one.
#include "base/assert.h"
#include "base/memory.h"
#include "net/connection.h"

enum { RECEIVES_PER_PASS = 16, LOG_LINES_PER_SECOND = 10 };

#define SECOND_NS (1000ull * 1000 * 1000)
#define FAILED_NS (5 * SECOND_NS)  // for the last replies of a connection that is to close

static struct env *connection_env(const struct connection *c) {
    return c->net->options.env;
}

void connection_log(struct connection *c, const char *why) {
    struct net *net = c->net;
    struct logger *logger = env_logger(net->options.env);
    uint64_t second = env_now_ns(net->options.env) / SECOND_NS;
    if (second != net->log_second) {
        if (net->log_suppressed > 0) {
            log_warn(logger, "net", "%lld more connections closed for bad input",
                     (long long)net->log_suppressed);
        }
        net->log_second = second;
        net->log_lines = 0;
        net->log_suppressed = 0;
    }
    if (net->log_lines++ >= LOG_LINES_PER_SECOND) {
        net->log_suppressed++;
        return;
    }
    log_warn(logger, "net", "%s:%u on %.*s: %s; connection closed", c->peer.text, c->peer.port,
             SLICE_PRINT(c->listener->name), why);
}

// ---- Deadlines ----

// When this connection has to close if nothing changes; 0: never.
static uint64_t connection_deadline(const struct connection *c) {
    uint64_t deadline = 0;
    uint64_t idle_ns = c->net->options.limits.idle_ns;
    // While a request is under way the peer is waiting for us, unless it does not read its answers.
    if (idle_ns != 0 && (c->request_count == 0 || c->output.size > 0)) {
        deadline = c->active_ns + idle_ns;
    }
    if (c->frame_deadline_ns != 0 && c->reading) {
        deadline = deadline == 0 ? c->frame_deadline_ns : MIN(deadline, c->frame_deadline_ns);
    }
    if (c->failed) deadline = c->failed_deadline_ns;
    return deadline;
}

// The timer is moved forward only when it fires: requests cost no timer.
static void connection_arm(struct connection *c) {
    uint64_t deadline = connection_deadline(c);
    if (deadline == 0) return;
    if (env_timer_is_running(&c->timer) && c->timer_deadline_ns <= deadline) return;
    c->timer_deadline_ns = deadline;
    env_timer_start(connection_env(c), &c->timer, deadline);
}

static void connection_timer(struct env_timer *timer) {
    struct connection *c = container_of(timer, struct connection, timer);
    uint64_t now = env_now_ns(connection_env(c));
    uint64_t deadline = connection_deadline(c);
    if (deadline == 0 || deadline > now) {
        uint64_t idle_ns = c->net->options.limits.idle_ns;
        if (deadline == 0 && idle_ns == 0) return;
        c->timer_deadline_ns = deadline == 0 ? now + idle_ns : deadline;
        env_timer_start(connection_env(c), &c->timer, c->timer_deadline_ns);
        return;
    }
    if (c->frame_deadline_ns != 0 && c->frame_deadline_ns <= now && !c->failed) {
        connection_log(c, "a frame was begun and not completed in time");
    } else if (c->output.size > 0) {
        connection_log(c, "the client does not read its answers");
    }
    connection_close(c);
}

// A frame that has begun gets its deadline; a frame that cannot go on because we do not read gets
// it anew later.
static void connection_watch_frame(struct connection *c) {
    bool begun = c->size_have > 0;
    if (!begun || !c->reading) {
        c->frame_deadline_ns = 0;
        return;
    }
    if (c->frame_deadline_ns != 0) return;
    const struct net_limits *limits = &c->net->options.limits;
    uint64_t transfer_ns =
        c->frame_known ? c->frame_size * SECOND_NS / limits->frame_bytes_per_second : 0;
    c->frame_deadline_ns = env_now_ns(connection_env(c)) + limits->frame_ns + transfer_ns;
}

// ---- Receiving ----

static bool connection_may_begin(const struct connection *c) {
    const struct net_limits *limits = &c->net->options.limits;
    return c->net->is_open && !c->failed && !c->ended && !c->barrier &&
           c->request_count < limits->requests_in_flight_max &&
           c->output.size < limits->output_bytes_high;
}

// Closes when what was asked before has been answered.
static void connection_fail(struct connection *c) {
    if (c->failed) return;
    c->failed = true;
    c->failed_deadline_ns = env_now_ns(connection_env(c)) + FAILED_NS;
    connection_drop_frame(c);
    env_defer(connection_env(c), &c->flush);
}

static void connection_begin_requests(struct connection *c) {
    while (connection_may_begin(c)) {
        struct buffer *holder;
        struct slice bytes;
        struct message why;
        enum err e = connection_next_frame(c, &holder, &bytes, &why);
        if (e == ERR_WOULD_BLOCK) return;
        if (e != ERR_NONE) {
            connection_log(c, why.text);
            connection_fail(c);
            return;
        }
        struct net_request *r = request_new(c, holder, bytes);
        c->net->options.request(r);
        c->barrier = r->barrier;
    }
}

static void connection_set_reading(struct connection *c) {
    bool reading = connection_may_begin(c) && !connection_waits_for_budget(c);
    if (reading == c->reading) return;
    c->reading = reading;
    tcp_set_reading(c->tcp, reading);
}

void connection_pump(struct connection *c) {
    for (int i = 0; i < RECEIVES_PER_PASS; i++) {
        connection_begin_requests(c);
        if (!connection_may_begin(c) || connection_waits_for_budget(c)) break;
        bool drained;
        enum err e = connection_receive(c, &drained);
        if (e == ERR_WOULD_BLOCK) break;
        if (e != ERR_NONE) {
            // Replies that are ready go out first: the peer may have closed one direction only.
            c->ended = true;
            env_defer(connection_env(c), &c->flush);
            break;
        }
        c->active_ns = env_now_ns(connection_env(c));
        if (drained) {
            connection_begin_requests(c);
            break;
        }
    }
    connection_set_reading(c);
    connection_watch_frame(c);
    connection_arm(c);
}

static void connection_readable(struct tcp_handler *handler) {
    connection_pump(container_of(handler, struct connection, handler));
}

// The frame that waited for memory may be stored now.
static void connection_admitted(struct budget_waiter *waiter) {
    struct connection *c = container_of(waiter, struct connection, waiter);
    c->frame_charged = true;
    env_defer(connection_env(c), &c->flush);
}

// ---- Sending ----

// Moves the replies whose turn it is into the output.
static void connection_collect(struct connection *c) {
    while (!list_is_empty(&c->requests)) {
        struct net_request *r = container_of(c->requests.next, struct net_request, link);
        if (r->state == REQUEST_UNDER_WAY) return;
        if (r->state == REQUEST_FAILED) {
            connection_fail(c);
            while (!list_is_empty(&c->requests)) {
                request_abandon(container_of(c->requests.next, struct net_request, link));
            }
            return;
        }
        chain_move(&c->output, &r->reply);
        list_remove(&r->link);
        c->request_count--;
        if (c->request_count == 0) c->barrier = false;
        request_free(r);
    }
}

static void connection_flush(struct env_task *task) {
    struct connection *c = container_of(task, struct connection, flush);
    connection_collect(c);
    if (c->output.size > 0) {
        size_t before = c->output.size;
        enum err e = c->filter->type->send(c->filter, &c->output);
        if (e != ERR_NONE) {
            connection_close(c);
            return;
        }
        if (c->output.size < before) c->active_ns = env_now_ns(connection_env(c));
    }
    bool answered = list_is_empty(&c->requests) && c->output.size == 0;
    if (c->ended || (c->failed && answered)) {
        connection_close(c);
        return;
    }
    if (!c->reading || c->pending != NULL) {
        connection_pump(c);
    } else {
        connection_arm(c);
    }
}

static void connection_writable(struct tcp_handler *handler) {
    struct connection *c = container_of(handler, struct connection, handler);
    env_defer(connection_env(c), &c->flush);
}

// ---- Birth and death ----

void connection_new(struct net *net, struct tcp *tcp, const struct net_listener *listener,
                    struct net_place *place) {
    struct filter *bottom = filter_tcp_new(tcp);
    if (net->freeing) {
        filter_free(bottom);
        net_place_release(place);
        return;
    }
    struct connection *c = memory_zalloc(1, sizeof *c);
    c->net = net;
    c->filter = bottom;
    c->tcp = tcp;
    c->listener = listener;
    c->place = place;
    c->peer = tcp_peer(tcp);
    c->reading = net->is_open;
    if (!c->reading) tcp_set_reading(tcp, false);
    c->active_ns = env_now_ns(net->options.env);
    c->handler.readable = connection_readable;
    c->handler.writable = connection_writable;
    c->waiter.admitted = connection_admitted;
    list_init(&c->waiter.link);
    list_init(&c->requests);
    chain_init(&c->output);
    env_task_init(&c->flush, connection_flush);
    env_timer_init(&c->timer, connection_timer);
    list_append(&net->connections, &c->link);
    net->connection_count++;
    tcp_set_handler(tcp, &c->handler);
    connection_arm(c);
}

void connection_close(struct connection *c) {
    struct net *net = c->net;
    env_defer_cancel(net->options.env, &c->flush);
    env_timer_stop(net->options.env, &c->timer);
    list_remove(&c->link);
    net->connection_count--;
    while (!list_is_empty(&c->requests)) {
        request_abandon(container_of(c->requests.next, struct net_request, link));
    }
    // Abandoning may have deferred nothing on this connection: its requests have left it.
    connection_drop_frame(c);
    chain_deinit(&c->output);
    filter_free(c->filter);
    net_place_release(c->place);
    memory_free(c);
}
