// From a request about a transactional id to its coordinator: the question runs on the reactor that
// owns the id's partition of __transaction_state, and comes back with the answer in the call's
// arena. Producer ids that the coordinator asks for on the way are fetched here.
//
//     ask->call.kind = TRANSACTION_END; ask->call.end = …;
//     transaction_ask_start(ask, call, transactional_id, answered);   // `answered` comes once
#pragma once

#include "api/call.h"
#include "api/scatter.h"
#include "transaction/coordinator.h"

struct transaction_ask {
    struct transaction_call call;  // kind and its fields are the caller's; see coordinator.h
    void *context;                 // the caller's
    // Private.
    struct api_call *api;
    struct scatter scatter;
    struct scatter_part part;
    void (*answered)(struct transaction_ask *ask, enum err result);
    enum err result;
};

// The ask lives until `answered`, which may come inside this call. NOT_COORDINATOR while the topic
// is not there.
void transaction_ask_start(struct transaction_ask *ask, struct api_call *call,
                           struct slice transactional_id,
                           void (*answered)(struct transaction_ask *ask, enum err result));
// TRANSACTION_LIST: of one partition.
void transaction_ask_partition(struct transaction_ask *ask, struct api_call *call,
                               int32_t partition,
                               void (*answered)(struct transaction_ask *ask, enum err result));
// Partitions of __transaction_state; 0: it is not there yet.
int32_t transaction_partition_count(const struct node *node);

// Clients older than PRODUCER_FENCED know INVALID_PRODUCER_EPOCH.
static inline enum err transaction_error(enum err error, bool knows_fenced) {
    return error == ERR_PRODUCER_FENCED && !knows_fenced ? ERR_INVALID_PRODUCER_EPOCH : error;
}
