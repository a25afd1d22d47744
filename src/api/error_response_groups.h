// Private to error_response.c: fills call->response with an error in the shape that Kafka's
// getErrorResponse gives the APIs about groups.
#pragma once

#include "api/call.h"

void fill_join_group(struct api_call *call, int16_t code, struct slice text);
void fill_offset_commit(struct api_call *call, int16_t code, struct slice text);
void fill_txn_offset_commit(struct api_call *call, int16_t code, struct slice text);
void fill_offset_fetch(struct api_call *call, int16_t code, struct slice text);
void fill_find_coordinator(struct api_call *call, int16_t code, struct slice text);
void fill_describe_groups(struct api_call *call, int16_t code, struct slice text);
void fill_delete_groups(struct api_call *call, int16_t code, struct slice text);
void fill_consumer_group_describe(struct api_call *call, int16_t code, struct slice text);
