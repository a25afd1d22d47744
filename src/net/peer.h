// A peer: our side of a connection to another node, used by the client library and, with several
// nodes, by replicas and controllers. Requests are pipelined: each is written when it is submitted,
// replies come back in order and are matched by correlation id. The first thing on every connection
// is ApiVersions; the version of each request is chosen from what both sides speak.
//
// A peer connects when there is something to send and closes when it was idle for long. After a
// lost connection the next request connects again, at the earliest after a backoff that doubles up
// to its maximum. All functions and callbacks: on the reactor of `env`.
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "env/env.h"
#include "gen/apis.h"

struct peer;

struct peer_options {
    struct slice host;  // copied
    uint16_t port;
    struct slice client_id;  // copied; may be null
    uint64_t connect_timeout_ns;
    uint64_t idle_ns;     // 0: never closed for idleness
    uint64_t backoff_ns;  // before connecting again after a failure
    uint64_t backoff_max_ns;
    uint32_t response_bytes_max;  // a longer reply closes the connection
};

struct peer_options peer_options_default(void);

// One request. All fields of the first part are set by the caller and live until `done`.
struct peer_request {
    enum api_key api;
    int16_t
        version_min;  // of this request; the highest that both sides speak within the range is used
    int16_t version_max;  // INT16_MAX: ours
    void *message;        // the request struct; `records` chains in it are consumed
    // Optional: called when the version is known, before encoding: fills what depends on it (topic
    // ids or names).
    void (*prepare)(struct peer_request *request);
    bool no_response;      // Produce with acks=0: done comes when it was handed to the socket
    uint64_t deadline_ns;  // env_now_ns time; REQUEST_TIMED_OUT after it. 0: none
    // With ERR_NONE `response` is decoded; it and its slices live until peer_request_release, which
    // the caller owes after every done. ERR_TIMEOUT; ERR_REFUSED, ERR_CLOSED, …: the connection
    // failed; ERR_UNSUPPORTED_VERSION: no version in common, or the message says what no common
    // version can; ERR_CORRUPT: the reply made no sense; ERR_CANCELLED. Exactly once, never inside
    // peer_send; the peer does not touch the request afterwards.
    void (*done)(struct peer_request *request, enum err result);

    // Out.
    int16_t version;
    void *response;
    struct message error;  // for ERR_UNSUPPORTED_VERSION: what is missing

    // Private.
    struct list link;
    struct heap_node timeout;
    int32_t correlation_id;
    bool cancelled;
    struct peer *peer;
    struct buffer *frame;
    struct arena arena;
};

// Frees the response.
void peer_request_release(struct peer_request *request);

// Connects to nothing yet. Returns owned.
struct peer *peer_new(struct env *env, const struct peer_options *options);
// Requests under way end with ERR_CANCELLED, inside this call; never call it from a `done`. NULL is
// allowed.
void peer_free(struct peer *peer);

void peer_send(struct peer *peer, struct peer_request *request);
// Ends it with ERR_CANCELLED inside this call; a late reply is dropped. The request must be under
// way.
void peer_cancel(struct peer_request *request);

// What the other side answered to ApiVersions; false before that or when it does not have the API.
bool peer_api_range(const struct peer *peer, enum api_key api, int16_t *min, int16_t *max);
// The finalized level of transaction.version (KIP-890), as of the connection's beginning; 0 when
// nothing is known yet.
int16_t peer_transaction_version(const struct peer *peer);
// The sentence of the last connection failure; empty when none.
const char *peer_error(const struct peer *peer);
size_t peer_request_count(const struct peer *peer);
