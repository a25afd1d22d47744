#include "base/memory.h"
#include "net/filter.h"

struct filter_tcp {
    struct filter filter;
    struct tcp *tcp;
};

static enum err filter_tcp_receive(struct filter *filter, void *data, size_t size, size_t *got) {
    return tcp_receive(container_of(filter, struct filter_tcp, filter)->tcp, data, size, got);
}

static enum err filter_tcp_send(struct filter *filter, struct chain *chain) {
    return tcp_send(container_of(filter, struct filter_tcp, filter)->tcp, chain);
}

static void filter_tcp_free(struct filter *filter) {
    struct filter_tcp *self = container_of(filter, struct filter_tcp, filter);
    tcp_close(self->tcp);
    memory_free(self);
}

static const struct filter_type filter_tcp_type = {
    .name = "tcp",
    .receive = filter_tcp_receive,
    .send = filter_tcp_send,
    .free = filter_tcp_free,
};

struct filter *filter_tcp_new(struct tcp *tcp) {
    struct filter_tcp *self = memory_zalloc(1, sizeof *self);
    self->filter.type = &filter_tcp_type;
    self->tcp = tcp;
    return &self->filter;
}

void filter_free(struct filter *top) {
    while (top != NULL) {
        struct filter *below = top->below;
        top->type->free(top);
        top = below;
    }
}
