// The server side of the network: listeners, connections, frames, requests in order. One `struct
// net` per reactor holds the connections of that reactor; one `struct net_acceptor` per listener,
// on reactor 0, accepts and deals connections out to the reactors in turn.
//
// A connection's bytes are cut into frames (int32 size, then the request). Small frames are sliced
// out of one shared receive buffer, many per system call; a large one gets a buffer of its own that
// grows as bytes arrive. Each complete frame becomes a net_request and is handed to
// `net_options.request`. Requests of a connection begin in order and are answered in order,
// whatever the order in which their replies become ready; several may be under way at once, unless
// one is marked `barrier`. All replies that are ready leave with one send at the end of the pass.
//
// A connection stops reading while its output, its requests under way, or the memory budget is
// full. What is malformed closes the connection with one line in the log; nothing that a peer sends
// is allocated before it was checked.
//
// All functions: on the reactor of the `net` or acceptor, callbacks too.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/chain.h"
#include "base/reader.h"
#include "env/env.h"
#include "net/budget.h"

struct config;
struct net;
struct net_acceptor;
struct net_quota;
struct connection;
struct net_request;

// What a listener is, as its connections see it. Immutable while the node runs; read by all
// reactors.
struct net_listener {
    struct slice name;             // "PLAINTEXT", "CONTROLLER", any name
    struct slice host;             // bound; empty: all addresses
    uint16_t port;                 // bound, the real one once listening
    struct slice advertised_host;  // what Metadata answers on this listener
    uint16_t advertised_port;
    int16_t security_protocol;  // Kafka's id: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
    bool is_controller;         // serves the controller's set of APIs
};

struct net_limits {
    int32_t request_bytes_max;       // socket.request.max.bytes
    int32_t requests_in_flight_max;  // per connection; further ones wait in the socket
    size_t output_bytes_high;  // a connection with more output than this begins no new request
    uint64_t idle_ns;   // connections.max.idle.ms; 0: none. Also the deadline of a client that does
                        // not read.
    uint64_t frame_ns;  // a frame, once begun, must be there after this time …
    uint64_t frame_bytes_per_second;  // … plus its size at this rate
};

// Kafka's defaults and ours.
struct net_limits net_limits_default(void);

struct net_options {
    struct env *env;
    struct net_limits limits;
    size_t memory_max;  // the reactor's share of the budget
    void *context;      // the owner's, found again in net_request.net through net_context()
    // A frame is complete. The handler reads `bytes`, and must end the request exactly once, now or
    // later, with net_reply, net_reply_nothing or net_fail. Called on the net's reactor, never
    // inside one of those three.
    void (*request)(struct net_request *request);
};

// One request on its way: from the complete frame until its reply was put into the connection's
// output.
struct net_request {
    struct net *net;
    struct connection
        *connection;  // NULL once the connection is closed; the request must still be ended
    const struct net_listener *listener;  // the one it came in by
    struct buffer *frame;  // holds the bytes; a reference is held until the request ends
    struct slice bytes;    // the frame without its size
    struct arena arena;    // freed when the request ends
    uint64_t received_ns;  // env_now_ns of the pass that completed the frame
    // Set by the handler while it begins: no later request of the connection begins before this one
    // ended.
    bool barrier;
    // Optional: called once when the connection goes while the request is under way, so that a long
    // poll need not wait. The request must still be ended, in this call or later.
    void (*abandoned)(struct net_request *request);
    void *user;  // the handler's own

    // Private to net.
    struct list link;  // in the connection's order
    struct chain reply;
    size_t charged;  // bytes of the budget
    uint8_t state;
};

// Connections may come, but nothing is read from them before net_open: a node binds its ports
// early, so that a port in use is told at once, and serves late.
struct net *net_new(const struct net_options *options);
void net_open(struct net *net);
// Closes all connections at once. Every request under way must still be ended; `freed` comes when
// the last one was, and the net is gone then.
void net_free(struct net *net, void (*freed)(void *context), void *context);
// Frees everything at once, requests under way included; nothing is called back. For a crash of the
// simulation: the reactor never runs again.
void net_discard(struct net *net);
void *net_context(const struct net *net);
struct budget *net_budget(struct net *net);
int32_t net_connection_count(const struct net *net);

// Begins an empty chain with room for the reply's size, which net_reply fills in.
void net_reply_begin(struct chain *reply);
// Ends the request with `reply` (begun so; response header and body follow): takes its spans, the
// chain is empty afterwards.
void net_reply(struct net_request *request, struct chain *reply);
// Ends the request without an answer (Produce with acks=0).
void net_reply_nothing(struct net_request *request);
// Ends the request and closes its connection once earlier replies are out. `why` goes into the log
// with the peer's address; NULL: no line.
void net_fail(struct net_request *request, const char *why);

// Charges what a request needs beyond its frame (decoded arrays) to the budget until it ends.
void net_request_charge(struct net_request *request, size_t size);

// Later requests of the connection may begin, although this barrier has not ended.
void net_request_end_barrier(struct net_request *request);

// The peer of a request; text "" and port 0 after the connection is gone.
struct tcp_address net_request_peer(const struct net_request *request);

// ---- Accepting ----

// Counts the connections of a whole node, in all and by address, against max.connections and
// max.connections.per.ip (with its overrides); shared by its acceptors, on reactor 0. Returns
// owned. `config` is kept until net_quota_configure or free.
struct net_quota *net_quota_new(struct env *env, const struct config *config);
void net_quota_configure(struct net_quota *quota, const struct config *config);
// After every net is freed and every reactor has stopped.
void net_quota_free(struct net_quota *quota);

// Binds and begins to accept. `listener` is kept and its port filled in; `nets` are the reactors'
// nets, [0] is this one's. ERR_ADDRESS_IN_USE, ERR_ACCESS, ERR_UNKNOWN_HOST … with a sentence.
// Returns owned.
MUST_CHECK enum err net_acceptor_new(struct env *env, struct net_listener *listener,
                                     struct net_quota *quota, struct net *const *nets,
                                     int32_t net_count, struct net_acceptor **acceptor,
                                     struct message *error);
// Accepts no more; connections live on.
void net_acceptor_free(struct net_acceptor *acceptor);
