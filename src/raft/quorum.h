// The place of this node in the quorum, as a state machine: which state, which epoch, which leader
// (KIP-595, 853, 996). Pure: it decides, raft.c acts. The states and edges are Kafka's; today a
// sole voter walks only resigned or unattached -> prospective -> candidate -> leader.
//
// Invariant: the epoch never falls; a vote or a new epoch is in quorum-state on disk before
// anything that follows from it (an answer, an append).
#pragma once

#include "base/compiler.h"
#include "raft/quorum_state.h"
#include "raft/voters.h"

enum quorum_place {
    QUORUM_UNATTACHED,   // knows an epoch, but no leader
    QUORUM_PROSPECTIVE,  // asks whether it would be elected, epoch unchanged (KIP-996)
    QUORUM_CANDIDATE,    // asks for votes in a new epoch
    QUORUM_LEADER,
    QUORUM_FOLLOWER,  // knows the leader of its epoch (an observer when it is no voter)
    QUORUM_RESIGNED,  // was leader of this epoch and is not any more
    QUORUM_PLACE_COUNT,
};

const char *quorum_place_name(enum quorum_place place);
bool quorum_edge_is_allowed(enum quorum_place from, enum quorum_place to);

struct quorum {
    enum quorum_place place;
    int32_t node_id;
    struct uuid directory_id;
    int32_t epoch;
    int32_t leader_id;  // -1: unknown
    int32_t voted_id;   // -1: nobody in this epoch
    struct uuid voted_directory_id;
    struct logger *logger;  // traces every change
};

// Where a node begins: resigned when it led the last epoch (it must not lead that epoch again:
// records that it appended after its last sync may be lost), else follower of the known leader,
// else unattached. The epoch is raised to that of the log's last batch.
void quorum_init(struct quorum *quorum, int32_t node_id, struct uuid directory_id,
                 struct logger *logger, const struct quorum_state *state, int32_t log_epoch);

// True when the node may elect itself without asking anybody: it is the only voter.
bool quorum_is_sole_voter(const struct quorum *quorum, const struct raft_voters *voters);

// The changes. Each asserts that its edge is in the table.
void quorum_become_prospective(struct quorum *quorum);
void quorum_become_candidate(struct quorum *quorum);  // epoch + 1, a vote for itself; ERR when the
                                                      // epoch is at its end is the caller's
void quorum_become_leader(struct quorum *quorum);
void quorum_become_resigned(struct quorum *quorum);

// What belongs into the file now.
struct quorum_state quorum_to_state(const struct quorum *quorum, int16_t data_version);
