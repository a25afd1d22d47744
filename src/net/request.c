#include "base/assert.h"
#include "base/memory.h"
#include "net/connection.h"

enum { SIZE_BYTES = 4 };
// What requests that are not under way may hold for the next ones, and each of them.
#define IDLE_BYTES_MAX ((size_t)4 << 20)
#define IDLE_ARENA_MAX ((size_t)16 << 10)

struct net_request *request_new(struct connection *c, struct buffer *frame, struct slice bytes) {
    struct net *net = c->net;
    struct net_request *r;
    if (!list_is_empty(&net->idle_requests)) {
        r = container_of(list_pop(&net->idle_requests), struct net_request, link);
        net->idle_bytes -= sizeof *r + r->arena.total;
    } else {
        r = memory_zalloc(1, sizeof *r);
        arena_init(&r->arena);
        chain_init(&r->reply);
        r->net = net;
    }
    r->connection = c;
    r->listener = c->listener;
    r->frame = frame;
    r->bytes = bytes;
    r->received_ns = env_now_ns(net->options.env);
    r->charged = bytes.size;
    r->state = REQUEST_UNDER_WAY;
    r->barrier = false;
    r->abandoned = NULL;
    r->user = NULL;
    list_append(&c->requests, &r->link);
    c->request_count++;
    net->requests_under_way++;
    return r;
}

void request_free(struct net_request *r) {
    struct net *net = r->net;
    size_t charged = r->charged;
    buffer_unref(r->frame);
    r->frame = NULL;
    chain_deinit(&r->reply);
    net->requests_under_way--;
    arena_reset(&r->arena);
    if (r->arena.total > IDLE_ARENA_MAX) arena_deinit(&r->arena);
    size_t bytes = sizeof *r + r->arena.total;
    if (net->idle_bytes + bytes <= IDLE_BYTES_MAX) {
        // At the front: the one used last is the one in the cache.
        list_prepend(&net->idle_requests, &r->link);
        net->idle_bytes += bytes;
    } else {
        arena_deinit(&r->arena);
        memory_free(r);
    }
    budget_release(&net->budget, charged);
}

// Not freed at once: the handler that ended it is still on the stack.
static void request_ended(struct net_request *r) {
    if (r->connection != NULL) {
        env_defer(r->net->options.env, &r->connection->flush);
    } else {
        list_append(&r->net->ended_requests, &r->link);
        env_defer(r->net->options.env, &r->net->reap);
    }
}

void request_abandon(struct net_request *r) {
    r->connection->request_count--;
    r->connection = NULL;
    list_remove(&r->link);
    if (r->state != REQUEST_UNDER_WAY) {
        request_ended(r);
    } else if (r->abandoned != NULL) {
        r->abandoned(r);
    }
}

void net_reply_begin(struct chain *reply) {
    chain_init(reply);
    chain_reserve(reply, SIZE_BYTES);
}

void net_reply(struct net_request *r, struct chain *reply) {
    assert(r->state == REQUEST_UNDER_WAY);
    r->state = REQUEST_ANSWERED;
    assert(reply->size >= SIZE_BYTES && r->reply.size == 0);
    store_u32((uint8_t *)(uintptr_t)reply->first->data, (uint32_t)(reply->size - SIZE_BYTES));
    r->reply = *reply;
    chain_init(reply);
    request_ended(r);
}

void net_reply_nothing(struct net_request *r) {
    assert(r->state == REQUEST_UNDER_WAY);
    r->state = REQUEST_ANSWERED;
    request_ended(r);
}

void net_fail(struct net_request *r, const char *why) {
    assert(r->state == REQUEST_UNDER_WAY);
    r->state = REQUEST_FAILED;
    if (why != NULL && r->connection != NULL) connection_log(r->connection, why);
    request_ended(r);
}

void net_request_charge(struct net_request *r, size_t size) {
    r->charged += size;
    budget_add(&r->net->budget, size);
}

void net_request_end_barrier(struct net_request *r) {
    struct connection *c = r->connection;
    r->barrier = false;
    if (c == NULL || !c->barrier) return;  // or its handler has not returned yet
    c->barrier = false;
    env_defer(r->net->options.env, &c->flush);
}

struct tcp_address net_request_peer(const struct net_request *r) {
    return r->connection == NULL ? (struct tcp_address){{0}, 0} : r->connection->peer;
}
