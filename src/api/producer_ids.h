// Producer ids for producers: blocks of them come from the controller (a ProducerIds
// record each, so that no id is ever given out twice) and are handed out one by one. One struct per
// reactor.
#pragma once

#include "api/call.h"

struct producer_ids;

// Returns owned.
struct producer_ids *producer_ids_new(void);
// No call may be waiting.
void producer_ids_free(struct producer_ids *ids);

// Gives the call an id, now or when a new block has come: `then` gets ERR_NONE and the id, or an
// error. May be called inside this call, which must not end before it.
void producer_ids_take(struct api_call *call,
                       void (*then)(void *context, enum err result, int64_t producer_id),
                       void *context);
