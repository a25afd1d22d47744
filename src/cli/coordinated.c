#include "cli/coordinated.h"

static void call_over(struct coordinator_call *call, enum err result) {
    struct coordinated *c = container_of(call, struct coordinated, call);
    c->over = true;
    c->result = result;
}

enum err coordinated_run(struct session *s, struct coordinated *c, enum coordinator_type type,
                         struct slice key) {
    coordinator_init(&c->coordinator, s->client, key, type);
    if (c->call.call.version_max == 0) c->call.call.version_max = INT16_MAX;
    c->call.done = call_over;
    coordinator_call_start(&c->coordinator, &c->call);
    while (!c->over && !s->interrupted)
        session_pass(s, 100);
    if (!c->over) coordinator_call_cancel(&c->call);
    return c->result;
}

void coordinated_end(struct coordinated *c) {
    client_call_release(&c->call.call);
    coordinator_deinit(&c->coordinator);
}

int32_t coordinated_node(const struct coordinated *c) {
    return c->coordinator.node;
}

int coordinated_failed(const struct session *s, const struct coordinated *c, enum err err) {
    return session_failed(s, &c->call.call, err);
}
