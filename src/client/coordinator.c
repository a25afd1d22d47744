#include "client/coordinator.h"

#include "base/memory.h"

static void coordinator_pump(struct coordinator *c);

// ---- Calls ----

static bool is_moved(enum err error) {
    return error == ERR_NOT_COORDINATOR || error == ERR_COORDINATOR_NOT_AVAILABLE;
}

static enum err call_verdict(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    enum err e = c->verdict == NULL ? ERR_NONE : c->verdict(c);
    c->is_lost = is_moved(e);
    // The core would try the same node again.
    return c->is_lost ? ERR_NONE : e;
}

static void call_done(struct client_call *call, enum err result) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct coordinator *coordinator = c->coordinator;
    c->is_sent = false;
    if (result == ERR_NONE && c->is_lost &&
        env_now_ns(client_env(coordinator->client)) < call->deadline_ns) {
        client_call_release(call);
        coordinator->node = -1;
        list_append(&coordinator->waiting, &c->link);
        coordinator_pump(coordinator);
        return;
    }
    c->done(c, c->is_lost ? ERR_NOT_COORDINATOR : result);
}

static void send_call(struct coordinator *coordinator, struct coordinator_call *c) {
    c->call.target = CLIENT_NODE;
    c->call.node = coordinator->node;
    c->call.verdict = call_verdict;
    c->call.done = call_done;
    c->is_lost = false;
    c->is_sent = true;
    client_call_start(coordinator->client, &c->call);
}

// ---- Finding ----

static void find_prepare(struct client_call *call) {
    struct coordinator *c = container_of(call, struct coordinator, find);
    codec_init(&find_coordinator_request_codec, &c->request);
    c->keys[0] = slice_cstring(c->key);
    if (call->version >= 4) {
        c->request.coordinator_keys = c->keys;
        c->request.coordinator_keys_count = 1;
    } else {
        c->request.key = c->keys[0];
    }
    if (call->version >= 1) c->request.key_type = (int8_t)c->type;
}

static enum err find_verdict(struct client_call *call) {
    struct coordinator *c = container_of(call, struct coordinator, find);
    const struct find_coordinator_response *r = call->response;
    if (call->version < 4) {
        c->node = r->error_code == 0 ? r->node_id : -1;
        return err_of_wire(r->error_code);
    }
    if (r->coordinators_count != 1) return ERR_CORRUPT;
    c->node = r->coordinators[0].error_code == 0 ? r->coordinators[0].node_id : -1;
    return err_of_wire(r->coordinators[0].error_code);
}

static void found(struct client_call *call, enum err result) {
    struct coordinator *c = container_of(call, struct coordinator, find);
    c->finding = false;
    struct message error = call->error;
    client_call_release(call);
    if (result == ERR_NONE) {
        coordinator_pump(c);
        return;
    }
    // Those that wait now; what their callbacks start waits for the next search.
    struct list waiting;
    list_init(&waiting);
    while (!list_is_empty(&c->waiting))
        list_append(&waiting, list_pop(&c->waiting));
    while (!list_is_empty(&waiting)) {
        struct coordinator_call *w =
            container_of(list_pop(&waiting), struct coordinator_call, link);
        w->call.error = error;
        w->done(w, result);
    }
}

static void coordinator_pump(struct coordinator *c) {
    if (c->node >= 0) {
        while (!list_is_empty(&c->waiting)) {
            send_call(c, container_of(list_pop(&c->waiting), struct coordinator_call, link));
        }
        return;
    }
    if (c->finding || list_is_empty(&c->waiting)) return;
    c->finding = true;
    c->find = (struct client_call){
        .target = CLIENT_ANY,
        .api = API_FIND_COORDINATOR,
        .version_max = INT16_MAX,
        .message = &c->request,
        .prepare = find_prepare,
        .verdict = find_verdict,
        .done = found,
    };
    client_call_start(c->client, &c->find);
}

// ---- Life ----

void coordinator_init(struct coordinator *c, struct client *client, struct slice key,
                      enum coordinator_type type) {
    *c = (struct coordinator){.client = client, .type = type, .node = -1};
    c->key = memory_alloc(key.size + 1);
    memcpy(c->key, key.data, key.size);
    c->key[key.size] = '\0';
    list_init(&c->waiting);
}

void coordinator_deinit(struct coordinator *c) {
    if (c->finding) client_call_cancel(&c->find);
    memory_free(c->key);
}

void coordinator_call_start(struct coordinator *coordinator, struct coordinator_call *c) {
    c->coordinator = coordinator;
    c->is_sent = false;
    c->is_lost = false;
    list_init(&c->link);
    if (c->call.deadline_ns == 0) {
        c->call.deadline_ns = env_now_ns(client_env(coordinator->client)) +
                              client_get_options(coordinator->client)->call_timeout_ns;
    }
    list_append(&coordinator->waiting, &c->link);
    coordinator_pump(coordinator);
}

void coordinator_call_cancel(struct coordinator_call *c) {
    if (c->coordinator == NULL) return;
    if (c->is_sent) {
        client_call_cancel(&c->call);
    } else if (list_is_linked(&c->link)) {
        list_remove(&c->link);
        c->done(c, ERR_CANCELLED);
    }
}
