// A call to the controller, which lives on reactor 0. From another reactor the operation travels
// there by mailbox and its response travels back; until then everything it touches is reactor 0's:
// the request is only read, the response is made in call->away.
#include "api/call.h"
#include "base/assert.h"

struct forward {
    struct api_call *call;
    struct controller_call operation;
    enum err result;
    struct env_message message;
    void (*then)(struct api_call *call, enum err result, void *response);
    void (*then_reply)(struct api_call *call);  // of api_to_controller; may be NULL
};

static void forward_home(struct forward *f) {
    f->then(f->call, f->result, f->operation.response);
}

static void forward_returned(struct env_message *message) {
    forward_home(container_of(message, struct forward, message));
}

// On reactor 0.
static void forward_finish(struct forward *f, enum err result) {
    f->result = result;
    struct node *home = f->call->node;
    if (home->reactor == 0) {
        forward_home(f);
        return;
    }
    f->message.deliver = forward_returned;
    env_post(home->env, &f->message);
}

static void forward_done(struct controller_call *operation, enum err result) {
    forward_finish(container_of(operation, struct forward, operation), result);
}

// On reactor 0.
static void forward_run(struct forward *f) {
    struct controller *controller = f->call->node->reactors[0]->controller;
    if (controller == NULL) {
        forward_finish(f, ERR_NOT_CONTROLLER);
        return;
    }
    controller_call(controller, &f->operation);
}

static void forward_arrived(struct env_message *message) {
    forward_run(container_of(message, struct forward, message));
}

static struct forward *forward_new(struct api_call *call, enum api_key api, int16_t version,
                                   const void *request) {
    struct forward *f = arena_zalloc(call->arena, 1, sizeof *f);
    const struct api_info *info = api_info_of((int16_t)api);
    assert(info != NULL);
    f->call = call;
    f->operation.api = api;
    f->operation.version = version;
    f->operation.request = request;
    f->operation.arena = &call->away;
    f->operation.response = arena_alloc(&call->away, codec_size(info->response));
    f->operation.done = forward_done;
    codec_init(info->response, f->operation.response);
    return f;
}

static void forward_start(struct forward *f) {
    struct node *home = f->call->node;
    if (home->reactor == 0) {
        forward_run(f);
        return;
    }
    f->message.deliver = forward_arrived;
    env_post(home->reactors[0]->env, &f->message);
}

void api_ask_controller(struct api_call *call, enum api_key api, int16_t version,
                        const void *request,
                        void (*then)(struct api_call *call, enum err result, void *response)) {
    struct forward *f = forward_new(call, api, version, request);
    f->then = then;
    forward_start(f);
}

static void forward_reply(struct api_call *call, enum err result, void *response) {
    struct forward *f = call->forward;
    if (result != ERR_NONE) {
        api_reply_error(call, result, &f->operation.error);
        return;
    }
    call->response = response;
    if (f->then_reply != NULL) {
        f->then_reply(call);
    } else {
        api_reply(call);
    }
}

void api_to_controller(struct api_call *call, void (*then)(struct api_call *call)) {
    struct forward *f =
        forward_new(call, (enum api_key)call->api->key, call->version, call->request);
    f->then = forward_reply;
    f->then_reply = then;
    call->forward = f;
    forward_start(f);
}
