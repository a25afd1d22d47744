// Calls to the coordinator of a group: finds it (FindCoordinator), sends the call there, and finds
// it again when it has moved. One coordinator belongs to its client's reactor, as all its
// callbacks.
#pragma once

#include "client/client.h"

enum coordinator_type { COORDINATOR_GROUP = 0, COORDINATOR_TRANSACTION = 1 };

struct coordinator {
    struct client *client;
    char *key;  // the group's id
    enum coordinator_type type;
    int32_t node;  // -1: not known
    bool finding;
    struct list waiting;  // of coordinator_call, until it is found
    struct client_call find;
    struct find_coordinator_request request;
    struct slice keys[1];
};

struct coordinator_call {
    // In, as of a client_call: api, version_min, version_max (INT16_MAX), message, prepare,
    // deadline_ns. The rest is filled in here.
    struct client_call call;
    // The error code that the response bears at its top, or ERR_NONE. NOT_COORDINATOR and the like
    // are not seen by `done`.
    enum err (*verdict)(struct coordinator_call *call);
    // Exactly once, never inside coordinator_call_start, unless the coordinator is freed before.
    // client_call_release(&call->call) is owed.
    void (*done)(struct coordinator_call *call, enum err result);
    // Private.
    struct coordinator *coordinator;
    struct list link;
    bool is_lost;  // the coordinator was another
    bool is_sent;
};

void coordinator_init(struct coordinator *coordinator, struct client *client, struct slice key,
                      enum coordinator_type type);
// No call may be under way: cancel them first.
void coordinator_deinit(struct coordinator *coordinator);
void coordinator_call_start(struct coordinator *coordinator, struct coordinator_call *call);
// `done` comes with ERR_CANCELLED inside; a call that is not under way is fine when it was zeroed
// or has ended.
void coordinator_call_cancel(struct coordinator_call *call);
