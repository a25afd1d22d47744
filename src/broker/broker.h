// A whole node: broker, controller or both, as its configuration says. Builds the parts, wires
// them, starts and stops them; holds no rule of Kafka's itself. It does not know whether its env is
// the real world or the simulation: several brokers fit in one process.
//
// Life: broker_new (blocking: locks and reads directories, binds ports), broker_start,
// options.started when clients are served, broker_stop, options.stopped, broker_free. All calls and
// callbacks on reactor 0 (construction: before the loops run).
#pragma once

#include "config/config.h"
#include "env/env.h"
#include "net/net.h"

struct broker;

struct broker_options {
    struct env *env;              // reactor 0 of the node; its siblings come from env_reactor
    const struct config *config;  // finished and checked; borrowed for life
    void (*started)(void *context);
    // The node has stopped: after broker_stop (ERR_NONE), or because it cannot go on; the log has
    // the sentence. Comes once, and nothing after it; broker_free is next.
    void (*stopped)(void *context, enum err result);
    void *context;
};

// Errors with one sentence: a directory that is not formatted, of another node or cluster, locked
// or not permitted; a port in use. Returns owned.
MUST_CHECK enum err broker_new(const struct broker_options *options, struct broker **broker,
                               struct message *error);
void broker_start(struct broker *broker);

// A clean stop: controlled shutdown and fencing are recorded, connections closed, logs flushed and
// closed, the directories marked clean.
void broker_stop(struct broker *broker);

// After `stopped`, or at any time when the env will not run again (a crash of the simulation):
// nothing is flushed then.
void broker_free(struct broker *broker);

// The listeners with the ports that were bound.
int32_t broker_listener_count(const struct broker *broker);
const struct net_listener *broker_listener(const struct broker *broker, int32_t index);

// For the simulation's checkers and for tests.
struct node;
struct node *broker_node(struct broker *broker, int32_t reactor);
