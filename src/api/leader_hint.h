// KIP-951: who leads a partition instead, for answers NOT_LEADER_OR_FOLLOWER and the like of
// Produce and Fetch, so that clients need not ask Metadata.
#pragma once

#include "api/call.h"

struct leader_hint {
    int32_t leader_id;  // -1: none or unknown
    int32_t leader_epoch;
    const struct broker_image *broker;      // NULL: not alive, or leader_id is -1
    const struct endpoint_image *endpoint;  // on the listener of the request; NULL as above
};

// Points into the image that the node has now.
struct leader_hint leader_hint_of(const struct api_call *call, struct uuid topic_id,
                                  int32_t partition);
