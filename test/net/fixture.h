// A server (a net per reactor, one listener) and raw clients in one simulated world, for the tests
// of net/. The server's handler does what the first byte of a frame says; see serve().
#pragma once

#include "test/test.h"

#include "base/memory.h"
#include "base/string_buffer.h"
#include "config/config.h"
#include "net/net.h"
#include "sim/sim_env.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

enum { REACTORS_MAX = 3, HELD_MAX = 4096 };

struct server {
    struct sim *sim;
    struct sim_node *node;
    struct sim_node *client_node;
    struct config *config;
    struct net_listener listener;
    struct net_quota *quota;
    struct net_acceptor *acceptor;
    struct net *nets[REACTORS_MAX];
    struct net_limits limits;
    size_t memory_max;
    int32_t reactors;
    uint16_t port;
    struct net_request *held[HELD_MAX];
    int held_count;
    int begun;
    int abandoned;
    int freed;
    size_t reply_size;  // of 'L'
};

struct client {
    struct server *server;
    struct tcp *tcp;
    struct tcp_handler handler;
    struct string_buffer received;
    struct chain output;
    bool connected;
    bool closed;   // by the server
    bool is_deaf;  // does not read
};

UNUSED static void send_reply(struct net_request *request, const void *data, size_t size) {
    struct chain reply;
    net_reply_begin(&reply);
    chain_append(&reply, data, size);
    net_reply(request, &reply);
}

UNUSED static void count_abandoned(struct net_request *request) {
    struct server *server = net_context(request->net);
    server->abandoned++;
}

// e echo; h hold until release(); b hold as a barrier; n no answer; f fail; L a large answer.
UNUSED static void serve(struct net_request *request) {
    struct server *server = net_context(request->net);
    server->begun++;
    request->abandoned = count_abandoned;
    switch (request->bytes.data[0]) {
        case 'b':
            request->barrier = true;
            // fall through
        case 'h':
            assert_true(server->held_count < HELD_MAX);
            server->held[server->held_count++] = request;
            return;
        case 'n':
            net_reply_nothing(request);
            return;
        case 'f':
            net_fail(request, "asked to");
            return;
        case 'L': {
            uint8_t *large = memory_zalloc(1, server->reply_size);
            send_reply(request, large, server->reply_size);
            memory_free(large);
            return;
        }
        default:
            send_reply(request, request->bytes.data, request->bytes.size);
    }
}

UNUSED static void server_build(void *context) {
    struct server *s = context;
    struct message error;
    for (int32_t i = 0; i < s->reactors; i++) {
        struct net_options options = {
            .env = sim_node_env(s->node, (uint32_t)i),
            .limits = s->limits,
            .memory_max = s->memory_max,
            .context = s,
            .request = serve,
        };
        s->nets[i] = net_new(&options);
        net_open(s->nets[i]);
    }
    struct env *env = sim_node_env(s->node, 0);
    s->quota = net_quota_new(env, s->config);
    s->listener = (struct net_listener){.name = SLICE_LITERAL("PLAINTEXT"), .port = 9092};
    assert_int_equal(
        net_acceptor_new(env, &s->listener, s->quota, s->nets, s->reactors, &s->acceptor, &error),
        ERR_NONE);
}

UNUSED static void set_config(struct server *s, const char *name, const char *value) {
    struct message error;
    assert_int_equal(config_set(s->config, slice_cstring(name), slice_cstring(value),
                                CONFIG_SOURCE_STATIC_BROKER, &error),
                     ERR_NONE);
}

// limits, memory_max and reactors may be changed before server_start.
UNUSED static void server_init(struct server *s) {
    *s = (struct server){.limits = net_limits_default(), .memory_max = 64 << 20, .reactors = 1};
    struct sim_options options = {.seed = 7, .log_level = LOG_DEBUG};
    s->sim = sim_new(&options);
    s->config = config_new();
}

UNUSED static void server_start(struct server *s) {
    struct sim_node_options server = {.name = "server", .reactors = (uint32_t)s->reactors};
    struct sim_node_options client = {.name = "client"};
    s->node = sim_node_add(s->sim, &server);
    s->client_node = sim_node_add(s->sim, &client);
    sim_node_call(s->node, server_build, s);
}

UNUSED static void net_gone(void *context) {
    ((struct server *)context)->freed++;
}

UNUSED static void server_destroy(void *context) {
    struct server *s = context;
    net_acceptor_free(s->acceptor);
    for (int32_t i = 0; i < s->reactors; i++)
        net_free(s->nets[i], net_gone, s);
}

UNUSED static void server_free_quota(void *context) {
    net_quota_free(((struct server *)context)->quota);
}

// Everything that the tests began must have ended: the nets only go when no request is under way.
UNUSED static void server_stop(struct server *s) {
    sim_node_call(s->node, server_destroy, s);
    sim_run(s->sim, S, NULL);
    assert_int_equal(s->freed, s->reactors);
    sim_node_call(s->node, server_free_quota, s);
    sim_free(s->sim);
    config_free(s->config);
}

// ---- Clients ----

UNUSED static void client_connected(struct tcp_handler *handler, enum err result) {
    struct client *c = container_of(handler, struct client, handler);
    if (result == ERR_NONE) {
        c->connected = true;
    } else {
        c->closed = true;
    }
}

UNUSED static void client_readable(struct tcp_handler *handler) {
    struct client *c = container_of(handler, struct client, handler);
    char data[4096];
    size_t got;
    for (;;) {
        enum err e = tcp_receive(c->tcp, data, sizeof data, &got);
        if (e == ERR_WOULD_BLOCK) return;
        if (e != ERR_NONE) {
            c->closed = true;
            tcp_set_reading(c->tcp, false);
            return;
        }
        string_buffer_append(&c->received, slice_of(data, got));
    }
}

UNUSED static void client_writable(struct tcp_handler *handler) {
    struct client *c = container_of(handler, struct client, handler);
    if (c->output.size > 0 && tcp_send(c->tcp, &c->output) != ERR_NONE) c->closed = true;
}

UNUSED static void client_build(void *context) {
    struct client *c = context;
    c->tcp = tcp_connect(sim_node_env(c->server->client_node, 0), SLICE_LITERAL("server"), 9092,
                         &c->handler);
    if (c->is_deaf) tcp_set_reading(c->tcp, false);
}

UNUSED static void client_start(struct client *c, struct server *server) {
    bool is_deaf = c->is_deaf;
    *c = (struct client){.server = server, .is_deaf = is_deaf};
    c->handler = (struct tcp_handler){client_connected, client_readable, client_writable};
    string_buffer_init(&c->received);
    chain_init(&c->output);
    sim_node_call(server->client_node, client_build, c);
    assert_true(sim_run(server->sim, S, &c->connected) || c->closed);
}

UNUSED static void client_flush(void *context) {
    struct client *c = context;
    if (!c->closed && tcp_send(c->tcp, &c->output) != ERR_NONE) c->closed = true;
}

// Sends all and lets the world run for a while.
UNUSED static void client_send_bytes(struct client *c, const void *data, size_t size) {
    chain_append(&c->output, data, size);
    sim_node_call(c->server->client_node, client_flush, c);
    sim_run(c->server->sim, 20 * MS, NULL);
}

UNUSED static void put_frame(struct string_buffer *out, const char *text) {
    uint32_t size = __builtin_bswap32((uint32_t)strlen(text));
    string_buffer_append(out, slice_of(&size, 4));
    string_buffer_append(out, slice_cstring(text));
}

UNUSED static void client_send(struct client *c, const char *text) {
    struct string_buffer frame;
    string_buffer_init(&frame);
    put_frame(&frame, text);
    client_send_bytes(c, frame.text, frame.size);
    string_buffer_deinit(&frame);
}

// Everything received so far is exactly these frames.
UNUSED static void client_received(struct client *c, int count, const char *const *texts) {
    struct string_buffer expected;
    string_buffer_init(&expected);
    for (int i = 0; i < count; i++)
        put_frame(&expected, texts[i]);
    assert_int_equal(c->received.size, expected.size);
    if (expected.size > 0) assert_memory_equal(c->received.text, expected.text, expected.size);
    string_buffer_deinit(&expected);
}
#define RECEIVED(client, ...)                                               \
    client_received(client, (int)COUNT_OF(((const char *[]){__VA_ARGS__})), \
                    (const char *const[]){__VA_ARGS__})

UNUSED static void client_close(void *context) {
    tcp_close(((struct client *)context)->tcp);
}

UNUSED static void client_stop(struct client *c) {
    sim_node_call(c->server->client_node, client_close, c);
    sim_run(c->server->sim, 20 * MS, NULL);
    string_buffer_deinit(&c->received);
    chain_deinit(&c->output);
}

// ---- Held requests ----

UNUSED static void release_one(void *context) {
    struct net_request *request = context;
    send_reply(request, request->bytes.data, request->bytes.size);
}

UNUSED static void release(struct server *s, int index) {
    struct net_request *request = s->held[index];
    s->held[index] = NULL;
    sim_node_call(s->node, release_one, request);
    sim_run(s->sim, 20 * MS, NULL);
}

UNUSED static size_t budget_used(const struct server *s) {
    size_t used = 0;
    for (int32_t i = 0; i < s->reactors; i++)
        used += net_budget(s->nets[i])->used;
    return used;
}

UNUSED static int connection_count(const struct server *s) {
    int count = 0;
    for (int32_t i = 0; i < s->reactors; i++)
        count += net_connection_count(s->nets[i]);
    return count;
}
