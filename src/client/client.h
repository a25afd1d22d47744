// The client library's core: the nodes of a cluster, what it says of its topics, and calls that
// find their node and are tried again while that may help. Producer, consumer and everything above
// stand on it. Callbacks on env: it runs in the real world and in the simulation.
//
// One client belongs to one reactor; all functions and callbacks are there. Works against any Kafka
// cluster from 2.1 on, ours or Apache's: the version of every request is what both sides speak.
#pragma once

#include "base/map.h"
#include "net/peer.h"

struct client;

struct client_options {
    struct slice bootstrap;  // "host:port,host:port"; [::1]:9092 for IPv6
    struct slice client_id;
    bool to_controllers;  // bootstrap names controllers (KIP-919): admin calls only, no metadata
    uint64_t request_timeout_ns;  // of one try
    uint64_t call_timeout_ns;     // of a call with all its tries, unless it names its own deadline
    uint64_t retry_backoff_ns;    // doubles up to retry_backoff_max_ns
    uint64_t retry_backoff_max_ns;
    uint64_t metadata_max_age_ns;
    bool allow_topic_creation;  // Metadata may create the topics that it asks for
};

// Kafka's defaults.
struct client_options client_options_default(void);

// ERR_INVALID with a sentence when the bootstrap list makes no sense. Connects at the first use.
MUST_CHECK enum err client_new(struct env *env, const struct client_options *options,
                               struct client **client, struct message *error);
// Calls under way end with ERR_CANCELLED inside this call. Not from a callback of this client.
void client_free(struct client *client);
struct env *client_env(struct client *client);

// ---- Calls ----

enum client_target {
    CLIENT_ANY,   // any node: what every broker answers or forwards
    CLIENT_NODE,  // one node, by id
};

struct client_call {
    // In; lives until done.
    enum client_target target;
    int32_t node;
    enum api_key api;
    int16_t version_min;
    int16_t version_max;                        // INT16_MAX: the highest that both speak
    void *message;                              // must not hold chains: it is encoded once a try
    void (*prepare)(struct client_call *call);  // optional: the version is known, encoding follows
    uint64_t deadline_ns;                       // 0: now + call_timeout
    uint64_t timeout_ns;                        // of one try; 0: request_timeout
    // Optional: reads the response; what it returns is the result, and a retriable error is tried
    // again.
    enum err (*verdict)(struct client_call *call);
    // Exactly once, never inside client_call_start. The response lives until client_call_release,
    // which is owed.
    void (*done)(struct client_call *call, enum err result);

    void *context;  // the caller's own

    // Out.
    int16_t version;
    void *response;
    struct message error;  // a sentence for failures that are not in the response
    bool may_come_late;    // a try was not answered: it may still be on its way. Never taken back

    // Private.
    struct client *client;
    struct list link;
    struct peer_request request;
    struct env_timer backoff;
    uint32_t tries;
    enum err last_error;
    enum { CALL_IDLE, CALL_SENT, CALL_BACKOFF } state;
};

// Whether another try of a call could end differently: retriable codes, failed connections.
bool client_may_retry(enum err error);
void client_call_start(struct client *client, struct client_call *call);
void client_call_cancel(
    struct client_call *call);  // done comes with ERR_CANCELLED inside; idle ones are fine
void client_call_release(struct client_call *call);

// ---- What the cluster says ----

struct client_partition {
    int32_t leader;        // -1: none
    int32_t leader_epoch;  // -1: unknown
};

struct client_topic {
    struct map_node by_name;
    struct slice name;
    struct uuid id;  // zero when the cluster gives none
    enum err error;  // ERR_NONE, or what Metadata said of it
    int32_t partition_count;
    struct client_partition *partitions;
    bool known;  // an answer about it has come
    uint32_t references;
};

struct client_listener {
    struct list link;
    // New metadata is there. At most once per pass.
    void (*changed)(struct client_listener *listener);
};
void client_listen(struct client *client, struct client_listener *listener);
void client_unlisten(struct client *client, struct client_listener *listener);

// The topic is kept up to date until released as often as it was wanted. The struct stays until
// then.
struct client_topic *client_topic_want(struct client *client, struct slice name);
void client_topic_release(struct client *client, struct client_topic *topic);

// Asks for new metadata soon (at most once per retry backoff): after errors that say that ours is
// old.
void client_refresh(struct client *client);
// KIP-951: a reply named the new leader. Older epochs are ignored.
void client_leader_hint(struct client *client, struct client_topic *topic, int32_t partition,
                        int32_t leader, int32_t leader_epoch);

// The connection to a node; NULL while the node is not known.
struct peer *client_peer(struct client *client, int32_t node);

// Why the last try to reach the cluster failed; empty when it did not.
const char *client_error(const struct client *client);
uint64_t client_backoff_ns(struct client *client, uint32_t tries);
const struct client_options *client_get_options(const struct client *client);
