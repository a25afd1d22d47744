// The file quorum-state beside the metadata log: the epoch of this node, whom it voted for and who
// leads. One line of JSON, Kafka's QuorumStateData: data_version 0 with static voters
// (kraft.version 0), data_version 1 with a dynamic quorum. It is durable before anything that
// depends on it is answered. Pure, except for load.
#pragma once

#include "base/arena.h"
#include "base/string_buffer.h"
#include "base/uuid.h"
#include "env/env.h"

#define QUORUM_STATE_NAME "quorum-state"
#define QUORUM_STATE_MAX  (64 * 1024)  // bytes; a larger file is damaged

struct quorum_state {
    int32_t leader_id;  // -1: unknown
    int32_t leader_epoch;
    int32_t voted_id;                // -1: nobody in this epoch
    struct uuid voted_directory_id;  // data_version 1
    int16_t data_version;            // as read; as it will be written
};

// What a node without the file begins with.
struct quorum_state quorum_state_empty(int16_t data_version);

// ERR_CORRUPT with a sentence: no JSON, no data_version of ours, a field missing, of the wrong type
// or out of range. Unknown fields are ignored.
MUST_CHECK enum err quorum_state_parse(struct slice text, struct quorum_state *state,
                                       struct message *error);

// The line as Kafka writes it, without a line end. `voters` are the ids of the current voters
// (data_version 0 only).
void quorum_state_format(const struct quorum_state *state, const int32_t *voters,
                         int32_t voter_count, struct string_buffer *out);

// ERR_NOT_FOUND: there is no such file. `directory` is __cluster_metadata-0.
MUST_CHECK enum err quorum_state_load(struct env *env, struct slice directory,
                                      struct quorum_state *state, struct message *error);
