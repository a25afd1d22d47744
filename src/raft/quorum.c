#include "raft/quorum.h"

#include "base/assert.h"
#include "base/log.h"

const char *quorum_place_name(enum quorum_place place) {
    static const char *const names[QUORUM_PLACE_COUNT] = {
        [QUORUM_UNATTACHED] = "unattached", [QUORUM_PROSPECTIVE] = "prospective",
        [QUORUM_CANDIDATE] = "candidate",   [QUORUM_LEADER] = "leader",
        [QUORUM_FOLLOWER] = "follower",     [QUORUM_RESIGNED] = "resigned",
    };
    return names[place];
}

// Kafka's transitions (class comment of QuorumState). A row may go to the states of its set.
#define TO(place) (1u << QUORUM_##place)
static const unsigned edges[QUORUM_PLACE_COUNT] = {
    // A higher epoch makes anybody unattached, a known leader makes anybody follower.
    [QUORUM_UNATTACHED] = TO(UNATTACHED) | TO(PROSPECTIVE) | TO(FOLLOWER),
    [QUORUM_PROSPECTIVE] = TO(UNATTACHED) | TO(CANDIDATE) | TO(FOLLOWER),
    [QUORUM_CANDIDATE] = TO(UNATTACHED) | TO(PROSPECTIVE) | TO(LEADER) | TO(FOLLOWER),
    [QUORUM_LEADER] = TO(UNATTACHED) | TO(RESIGNED) | TO(FOLLOWER),
    [QUORUM_FOLLOWER] = TO(UNATTACHED) | TO(PROSPECTIVE) | TO(FOLLOWER),
    [QUORUM_RESIGNED] = TO(UNATTACHED) | TO(PROSPECTIVE) | TO(FOLLOWER),
};
#undef TO

bool quorum_edge_is_allowed(enum quorum_place from, enum quorum_place to) {
    return (edges[from] & (1u << to)) != 0;
}

static void change_place(struct quorum *quorum, enum quorum_place to) {
    assert(quorum_edge_is_allowed(quorum->place, to));
    log_debug(quorum->logger, "raft", "%s -> %s, epoch %d", quorum_place_name(quorum->place),
              quorum_place_name(to), quorum->epoch);
    quorum->place = to;
}

void quorum_init(struct quorum *quorum, int32_t node_id, struct uuid directory_id,
                 struct logger *logger, const struct quorum_state *state, int32_t log_epoch) {
    *quorum = (struct quorum){
        .place = QUORUM_UNATTACHED,
        .node_id = node_id,
        .directory_id = directory_id,
        .epoch = state->leader_epoch,
        .leader_id = state->leader_id,
        .voted_id = state->voted_id,
        .voted_directory_id = state->voted_directory_id,
        .logger = logger,
    };
    if (log_epoch > quorum->epoch) {
        // quorum-state was lost or is older than the log: what it says of its epoch is void.
        quorum->epoch = log_epoch;
        quorum->leader_id = -1;
        quorum->voted_id = -1;
        quorum->voted_directory_id = UUID_ZERO;
    }
    if (quorum->leader_id == node_id)
        quorum->place = QUORUM_RESIGNED;
    else if (quorum->leader_id >= 0)
        quorum->place = QUORUM_FOLLOWER;
}

bool quorum_is_sole_voter(const struct quorum *quorum, const struct raft_voters *voters) {
    if (voters->count != 1 || voters->voters[0].id != quorum->node_id) return false;
    struct uuid directory_id = voters->voters[0].directory_id;
    return uuid_is_zero(directory_id) || uuid_equal(directory_id, quorum->directory_id);
}

void quorum_become_prospective(struct quorum *quorum) {
    change_place(quorum, QUORUM_PROSPECTIVE);
}

void quorum_become_candidate(struct quorum *quorum) {
    assert(quorum->epoch < INT32_MAX);
    quorum->epoch++;
    quorum->leader_id = -1;
    quorum->voted_id = quorum->node_id;
    quorum->voted_directory_id = quorum->directory_id;
    change_place(quorum, QUORUM_CANDIDATE);
}

void quorum_become_leader(struct quorum *quorum) {
    quorum->leader_id = quorum->node_id;
    quorum->voted_id = -1;
    quorum->voted_directory_id = UUID_ZERO;
    change_place(quorum, QUORUM_LEADER);
}

void quorum_become_resigned(struct quorum *quorum) {
    change_place(quorum, QUORUM_RESIGNED);
}

struct quorum_state quorum_to_state(const struct quorum *quorum, int16_t data_version) {
    return (struct quorum_state){
        .leader_id = quorum->leader_id,
        .leader_epoch = quorum->epoch,
        .voted_id = quorum->voted_id,
        .voted_directory_id = quorum->voted_directory_id,
        .data_version = data_version,
    };
}
