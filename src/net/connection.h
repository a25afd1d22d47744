// Private to net/: a connection, and the net that holds it. Everything on the net's reactor.
#pragma once

#include "net/filter.h"
#include "net/net.h"

// A place among the connections that the node allows; goes home to reactor 0 when the connection
// closes.
struct net_place;

struct net {
    struct net_options options;
    struct budget budget;
    struct list connections;
    int32_t connection_count;
    // Small frames of all connections are received into this one buffer and sliced out of it. A new
    // one is taken when it is full and requests still hold it.
    struct buffer *receive;
    struct list idle_requests;  // kept with a block of their arena
    size_t idle_bytes;          // what they hold
    struct list ended_requests;  // of connections that are gone; reaped at the end of the pass
    struct env_task reap;
    int32_t requests_under_way;
    uint64_t log_second;  // log lines about bad peers are limited to some per second
    int32_t log_lines;
    int64_t log_suppressed;
    bool is_open;
    bool freeing;
    void (*freed)(void *context);
    void *freed_context;
};

struct connection {
    struct net *net;
    struct list link;
    struct filter *filter;  // the top of the chain
    struct tcp *tcp;        // the bottom, owned by its filter
    struct tcp_handler handler;
    const struct net_listener *listener;
    struct tcp_address peer;
    struct net_place *place;

    // Received, not cut into frames yet: [pending_from, pending_to) of a receive buffer that is
    // referenced here.
    struct buffer *pending;
    size_t pending_from;
    size_t pending_to;

    // The frame that has begun and is not complete: first its size, then (once charged) its bytes
    // in a buffer of its own.
    uint8_t size_bytes[4];
    uint8_t size_have;
    bool frame_known;  // frame_size is checked
    bool frame_charged;
    uint32_t frame_size;
    struct buffer *frame;  // frame->size bytes are there
    uint64_t frame_deadline_ns;
    struct budget_waiter waiter;

    struct list requests;  // under way, in order
    int32_t request_count;
    bool barrier;  // the last one is a barrier
    struct chain output;
    struct env_task flush;
    struct env_timer timer;
    uint64_t timer_deadline_ns;
    uint64_t active_ns;  // bytes last moved
    bool reading;
    bool ended;   // the peer sends no more
    bool failed;  // closes once the output is out
    uint64_t failed_deadline_ns;
};

// The life of a net_request: begun by its connection, ended by its handler, freed by net.
enum request_state {
    REQUEST_UNDER_WAY,
    REQUEST_ANSWERED,  // with the bytes in `reply`, maybe none
    REQUEST_FAILED,    // the connection closes when it is this one's turn
};

// Takes tcp and place.
void connection_new(struct net *net, struct tcp *tcp, const struct net_listener *listener,
                    struct net_place *place);
// Closes and frees; requests under way lose their connection and are told.
void connection_close(struct connection *c);

// Cuts frames and begins requests as far as limits allow, receiving while there is something.
void connection_pump(struct connection *c);

// connection_frame.c: the next complete frame, charged to the budget: ERR_NONE, with a reference to
// the buffer that holds it. ERR_WOULD_BLOCK: more bytes are needed, or the budget is full.
// ERR_INVALID: not a frame; `why` is the sentence.
MUST_CHECK enum err connection_next_frame(struct connection *c, struct buffer **holder,
                                          struct slice *bytes, struct message *why);
// Receives once: into the frame that is being received, else into the shared buffer. As
// tcp_receive. `drained`: fewer bytes came than would have fit, so the socket is empty.
MUST_CHECK enum err connection_receive(struct connection *c, bool *drained);
// Gives back what an incomplete frame holds.
void connection_drop_frame(struct connection *c);
bool connection_waits_for_budget(const struct connection *c);

// A line about a peer that does wrong: "10.1.2.3:4711 on PLAINTEXT: <why>; connection closed".
void connection_log(struct connection *c, const char *why);

// request.c
struct net_request *request_new(struct connection *c, struct buffer *frame, struct slice bytes);
// Puts it into the pool; it is in no list any more.
void request_free(struct net_request *request);
// Its connection is gone.
void request_abandon(struct net_request *request);

// acceptor.c
void net_place_release(struct net_place *place);
