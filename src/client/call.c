// A call is tried until its verdict is final, its deadline has passed or it is cancelled. Between
// tries it waits for a backoff that doubles, with jitter of a fifth so that many clients do not
// come back together. A failed connection counts as a retriable error: all admin calls of Kafka may
// be repeated, and an answer lost on the way shows as "already exists" or the like, as with Kafka's
// own clients.
#include "base/assert.h"
#include "client/client_private.h"

static void try_now(struct client_call *call);

uint64_t client_backoff_ns(struct client *client, uint32_t tries) {
    uint64_t backoff = client->options.retry_backoff_ns << MIN(tries, 20U);
    backoff = MIN(backoff, client->options.retry_backoff_max_ns);
    uint64_t fifth = backoff / 5 + 1;
    return backoff - fifth + env_random(client->env) % (2 * fifth);
}

static void finish(struct client_call *call, enum err result) {
    list_remove(&call->link);
    env_timer_stop(call->client->env, &call->backoff);
    call->state = CALL_IDLE;
    call->done(call, result);
}

bool client_may_retry(enum err err) {
    switch (err) {
        case ERR_REFUSED:
        case ERR_CLOSED:
        case ERR_TIMEOUT:
        case ERR_UNREACHABLE:
        case ERR_WOULD_BLOCK:
            return true;
        default:
            return err_retriable(err);
    }
}

static void try_later(struct client_call *call, enum err why) {
    struct client *client = call->client;
    call->last_error = why;
    uint64_t at = env_now_ns(client->env) + client_backoff_ns(client, call->tries++);
    call->state = CALL_BACKOFF;
    env_timer_start(client->env, &call->backoff, MIN(at, call->deadline_ns));
}

static void backoff_over(struct env_timer *timer) {
    struct client_call *call = container_of(timer, struct client_call, backoff);
    if (env_now_ns(call->client->env) < call->deadline_ns) {
        try_now(call);
        return;
    }
    const char *why = client_error(call->client);
    if (why[0] != '\0') {
        message_set(&call->error, "Timed out: %s", why);
    } else {
        message_set(&call->error, "Timed out: %s", err_text(call->last_error));
    }
    finish(call, call->last_error == ERR_NONE ? ERR_TIMEOUT : call->last_error);
}

static void answered(struct peer_request *request, enum err result) {
    struct client_call *call = container_of(request, struct client_call, request);
    struct client *client = call->client;
    call->version = request->version;
    call->response = request->response;
    if (result == ERR_CANCELLED) {
        finish(call, ERR_CANCELLED);
        return;
    }
    if (result != ERR_NONE) {
        call->may_come_late = true;
        client->error = request->error;
        if (client->error.text[0] == '\0') {
            message_set(&client->error, "%s", peer_error(request->peer));
        }
        call->error = client->error;
        client_refresh(client);
    } else {
        message_init(&client->error);
        if (call->verdict != NULL) result = call->verdict(call);
    }
    if (result == ERR_NONE || !client_may_retry(result)) {
        finish(call, result);
        return;
    }
    client_call_release(call);
    try_later(call, result);
}

static void prepare(struct peer_request *request) {
    struct client_call *call = container_of(request, struct client_call, request);
    call->version = request->version;
    call->prepare(call);
}

static void try_now(struct client_call *call) {
    struct client *client = call->client;
    struct peer *peer = client_choose_peer(client, call);
    if (peer == NULL) {
        client_refresh(client);
        try_later(call, ERR_UNREACHABLE);
        return;
    }
    uint64_t timeout =
        env_now_ns(client->env) +
        (call->timeout_ns != 0 ? call->timeout_ns : client->options.request_timeout_ns);
    call->request = (struct peer_request){
        .api = call->api,
        .version_min = call->version_min,
        .version_max = call->version_max,
        .message = call->message,
        .prepare = call->prepare == NULL ? NULL : prepare,
        .deadline_ns = MIN(timeout, call->deadline_ns),
        .done = answered,
    };
    call->state = CALL_SENT;
    peer_send(peer, &call->request);
}

void client_call_start(struct client *client, struct client_call *call) {
    assert(call->state == CALL_IDLE);
    call->client = client;
    call->tries = 0;
    call->response = NULL;
    call->last_error = ERR_NONE;
    message_init(&call->error);
    env_timer_init(&call->backoff, backoff_over);
    if (call->deadline_ns == 0) {
        call->deadline_ns = env_now_ns(client->env) + client->options.call_timeout_ns;
    }
    list_init(&call->link);
    list_append(&client->calls, &call->link);
    try_now(call);
}

void client_call_cancel(struct client_call *call) {
    if (call->state == CALL_SENT) {
        peer_cancel(&call->request);
    } else if (call->state == CALL_BACKOFF) {
        finish(call, ERR_CANCELLED);
    }
}

void client_call_release(struct client_call *call) {
    peer_request_release(&call->request);
    call->response = NULL;
}
