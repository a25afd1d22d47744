// Private to error_response.c: fills call->response with an error in the shape that Kafka's
// getErrorResponse gives the APIs about transactions.
#pragma once

#include "api/call.h"

void fill_write_txn_markers(struct api_call *call, int16_t code, struct slice text);
void fill_add_partitions_to_txn(struct api_call *call, int16_t code, struct slice text);
void fill_describe_transactions(struct api_call *call, int16_t code, struct slice text);
