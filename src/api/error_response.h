// The shape in which each API says that a whole request failed: Kafka's
// AbstractRequest.getErrorResponse.
#pragma once

#include "api/call.h"

// Fills call->response (at its defaults) with a wire code and a sentence (may be null). False: this
// response has no place for it.
bool error_response_fill(struct api_call *call, int16_t code, struct slice text);
