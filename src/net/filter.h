// A connection is a chain of filters: tcp at the bottom, later tls and sasl above it. Each filter
// moves bytes between the one above and the one below; the connection talks to the topmost only and
// does not know how many there are. A filter belongs to its connection and its reactor.
#pragma once

#include "base/chain.h"
#include "env/env.h"
#include "gen/err.h"

struct filter;

struct filter_type {
    const char *name;
    // As tcp_receive: ERR_NONE and *got > 0, ERR_WOULD_BLOCK, ERR_EOF, ERR_CLOSED.
    enum err (*receive)(struct filter *filter, void *data, size_t size, size_t *got);
    // As tcp_send: consumes what it could take.
    enum err (*send)(struct filter *filter, struct chain *chain);
    // Frees the filter (not those below it).
    void (*free)(struct filter *filter);
};

struct filter {
    const struct filter_type *type;
    struct filter *below;  // NULL at the bottom
};

// The bottom: takes tcp, closes it when freed. Returns owned.
struct filter *filter_tcp_new(struct tcp *tcp);

// Frees the whole chain.
void filter_free(struct filter *top);
