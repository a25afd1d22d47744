// One API request in a handler's hands. A handler is `void api_<name>(struct api_call *call)` in
// src/api/<name>.c, found through the generated table in gen/handlers.c. It reads call->request
// (the decoded struct), fills call->response (initialised with the defaults) and ends the call
// exactly once, now or later: api_reply, api_reply_error, api_reply_nothing or api_close. Until
// then the call, its arena, and the slices of the request live.
//
// Everything here runs on the reactor of call->node.
#pragma once

#include "api/node.h"
#include "base/arena.h"
#include "base/message.h"
#include "gen/apis.h"
#include "gen/handlers.h"
#include "net/net.h"

struct api_call {
    struct node *node;
    struct net_request *net;  // peer, listener, time of arrival
    const struct api_info *api;
    int16_t version;
    int32_t correlation_id;
    struct slice client_id;  // may be null
    void *request;           // struct <name>_request, decoded
    void *response;          // struct <name>_response, in the arena
    struct arena *arena;     // freed when the call ends

    // Optional: the client went away while the call waits; end it soon (its answer goes nowhere).
    void (*abandoned)(struct api_call *call);
    void *state;  // the handler's own

    // Private.
    struct arena away;        // what the controller's reactor makes for this call
    struct forward *forward;  // of api_to_controller
};

// Of `net_options.request`: decodes header and body and calls the handler. The net's context is the
// reactor's node.
void api_dispatch(struct net_request *request);

// Encodes call->response and sends it in the order of requests. Slices in the response need to live
// until this returns only; chains in `records` fields are consumed.
void api_reply(struct api_call *call);

// Answers with `error` in the shape that Kafka's getErrorResponse gives this API: at the top level
// where it has an error code, else in every element that the request named. `text` (may be NULL or
// empty) fills the error messages there are. Local errors become their wire code. Closes the
// connection for an API whose response has no place for an error.
void api_reply_error(struct api_call *call, enum err error, const struct message *text);

// Ends the call without an answer (Produce with acks=0).
void api_reply_nothing(struct api_call *call);

// Ends the call and closes the connection, after earlier replies, with one line in the log.
void api_close(struct api_call *call, const char *why);

// The whole controller operation of an admin API: hands call->request to the controller, on
// whichever reactor this is, and answers with its response when the records are durable and visible
// to this reactor. `then` (may be NULL) may change the response (call->response) and must then end
// the call; without it the response is sent as it is. A controller that is not there answers
// NOT_CONTROLLER.
void api_to_controller(struct api_call *call, void (*then)(struct api_call *call));

// As above for a request that the handler made itself (Metadata creates topics): `request` lives
// until then; `then` gets the response struct (in the call's memory) or an error.
void api_ask_controller(struct api_call *call, enum api_key api, int16_t version,
                        const void *request,
                        void (*then)(struct api_call *call, enum err result, void *response));
