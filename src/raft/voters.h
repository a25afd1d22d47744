// Who votes in the metadata quorum. A voter is a node id and the directory id of its metadata log
// (KIP-853), with the endpoints under which its controller listeners are reached. With
// kraft.version 0 the set is controller.quorum.voters, fixed, without directory ids; with
// kraft.version 1 it is the newest VotersRecord of snapshot and log.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "base/uuid.h"
#include "config/config.h"
#include "gen/err.h"

struct raft_endpoint {
    struct slice listener;  // its name: "CONTROLLER"
    struct slice host;
    uint16_t port;
};

struct raft_voter {
    int32_t id;
    struct uuid directory_id;  // zero: unknown (static voters)
    const struct raft_endpoint *endpoints;
    int32_t endpoint_count;
    int16_t kraft_version_min;
    int16_t kraft_version_max;
};

// Everything is borrowed or in the arena that the set was made in.
struct raft_voters {
    const struct raft_voter *voters;  // in rising order of id
    int32_t count;
};

const struct raft_voter *raft_voters_find(const struct raft_voters *voters, int32_t id);

// A copy with all its parts in the arena.
struct raft_voters raft_voters_copy(const struct raft_voters *voters, struct arena *arena);

bool raft_voters_equal(const struct raft_voters *a, const struct raft_voters *b);

// controller.quorum.voters, without directory ids. `listener` names the endpoint: the first
// controller listener.
struct raft_voters raft_voters_of_config(const struct config *config, struct slice listener,
                                         struct arena *arena);

// --initial-controllers of kafka-storage, id@host:port:directory-id:
// "1@host:9093:AAAAAAAAAAAAAAAAAAAAAA,…".
MUST_CHECK enum err raft_voters_parse_initial(struct slice text, struct slice listener,
                                              struct arena *arena, struct raft_voters *voters,
                                              struct message *error);
