// A call to the coordinator of a group or of a transactional id, run to its end.
#pragma once

#include "cli/session.h"
#include "client/coordinator.h"

struct coordinated {
    struct coordinator_call call;  // in: call.call.api, version_min, version_max, message; verdict
    // Private.
    struct coordinator coordinator;
    bool over;
    enum err result;
};

// The response (call.call.response) and the error's sentence live until coordinated_end, which is
// owed. ERR_CANCELLED: a signal came.
MUST_CHECK enum err coordinated_run(struct session *session, struct coordinated *c,
                                    enum coordinator_type type, struct slice key);
void coordinated_end(struct coordinated *c);
// The node that answered.
int32_t coordinated_node(const struct coordinated *c);
// Prints the sentence of a call that failed; returns CLI_FAILED.
int coordinated_failed(const struct session *session, const struct coordinated *c, enum err err);
