// From a request about groups to their coordinators: each group's part runs on the reactor that
// owns its partition of __consumer_offsets.
//
//     group_routes_init(&r->routes, call, routed);
//     group_routes_add(&r->routes, &r->one, group_id, request, response);   // one or many
//     group_routes_start(&r->routes);   // `routed` comes now or later, once
//
// While a part is away only its reactor touches request, response and route; a JoinGroup is away
// for as long as the rebalance takes.
#pragma once

#include "api/call.h"
#include "api/scatter.h"
#include "group/group.h"

struct group_route {
    struct scatter_part part;
    struct group_call call;
    struct group_route *next;
    enum err result;  // NONE: the response is filled
};

struct group_routes {
    struct scatter scatter;
    struct api_call *api;
    struct slice client_host;
    struct group_route *first, *last;
    void (*routed)(struct group_routes *routes);
};

void group_routes_init(struct group_routes *routes, struct api_call *call,
                       void (*routed)(struct group_routes *routes));
void group_routes_add(struct group_routes *routes, struct group_route *route, struct slice group_id,
                      const void *request, void *response);
// One for each partition of __consumer_offsets (`routes` has room for group_partition_count of
// them).
void group_routes_add_partition(struct group_routes *routes, struct group_route *route,
                                int32_t partition, const void *request, void *response);
void group_routes_start(struct group_routes *routes);
// Ends the call with its response, or with an error; the routes are gone afterwards.
void group_routes_reply(struct group_routes *routes);
void group_routes_reply_error(struct group_routes *routes, enum err error,
                              const struct message *text);

// Partitions of __consumer_offsets; 0: it is not there yet.
int32_t group_partition_count(const struct node *node);

// The whole of an API about one group: request and response are the API's own. An error of the call
// goes through `failed` (may be NULL), which may fill the response and return NONE, or return what
// becomes the API's error.
typedef enum err group_call_failed(struct api_call *call, enum err error);
void api_group_call(struct api_call *call, struct slice group_id, group_call_failed *failed);
// TxnOffsetCommit: with the guard that log_transaction_is_open gave.
void api_group_call_guarded(struct api_call *call, struct slice group_id, uint32_t guard,
                            group_call_failed *failed);
