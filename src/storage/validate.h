// What a batch must be to enter a log, and what changes on the way in (design §4).
#pragma once

#include "storage/log.h"

// Out of batch_validate.
struct validated_batch {
    struct batch header;  // after the changes; offsets are still the client's
    uint8_t *bytes;       // op->batch, or a recompressed copy in the arena
    size_t size;
    bool must_seal;  // header fields under the CRC changed (in `header`; write them with
                     // batch_store and seal)
};

// Checks op->batch for a log of `config`. The error, error_text and record_errors go to `op`.
// `name` is "<topic>-<partition>" for sentences. Nothing is changed in the bytes yet.
MUST_CHECK enum err batch_validate(const struct log_config *config, struct env *env,
                                   const char *name, struct log_append_op *op,
                                   struct validated_batch *out);
