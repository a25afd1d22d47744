#include "sim/group_ledger.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/internal.h"

enum { PARTITIONS_MAX = 64, CLIENTS_MAX = 256, GENERATIONS_MAX = 20000, IDENTITIES_MAX = 50000 };

struct generation {
    int32_t owners[PARTITIONS_MAX];  // identity + 1; 0: nobody was told
};

struct group_client {
    int32_t generation;  // that it has an assignment of; -1: none
    uint64_t owned;
    uint64_t doubted;   // may count as given up, by a heartbeat that comes late
    uint64_t heard_ns;  // when it sent the last heartbeat that was answered as fine
};

struct committed {
    int64_t wanted;  // the highest that was sent
    int64_t acked;   // the highest that was acknowledged
    int32_t acked_epoch;
    int64_t doubted;  // the lowest of those without an answer; INT64_MAX: none
    int32_t doubted_epoch;
    uint64_t doubted_ns;
};

// Longer than anything is on its way: cuts, delays and the time of a restart.
#define LATE_NS (UINT64_C(10) * NS_PER_S)

struct group_ledger {
    struct ledger *ledger;
    int32_t partition_count;
    int32_t client_count;
    struct generation *generations;
    int32_t newest;  // generation with an answered assignment
    struct group_client clients[CLIENTS_MAX];
    int32_t *clients_of;  // of each identity
    int32_t identity_count;
    struct committed committed[PARTITIONS_MAX];
    uint64_t commits;
    uint64_t assignments;
};

struct group_ledger *group_ledger_new(struct ledger *ledger, int32_t partition_count,
                                      int32_t member_count) {
    assert(partition_count <= PARTITIONS_MAX && member_count <= CLIENTS_MAX);
    struct group_ledger *groups = sim_alloc(sizeof *groups);
    groups->ledger = ledger;
    groups->partition_count = partition_count;
    groups->client_count = member_count;
    groups->generations = sim_alloc(GENERATIONS_MAX * sizeof *groups->generations);
    groups->clients_of = sim_alloc(IDENTITIES_MAX * sizeof *groups->clients_of);
    for (int32_t i = 0; i < CLIENTS_MAX; i++)
        groups->clients[i].generation = -1;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        groups->committed[i] = (struct committed){-1, -1, -1, INT64_MAX, -1, 0};
    return groups;
}

void group_ledger_free(struct group_ledger *groups) {
    if (groups == NULL) return;
    free(groups->generations);
    free(groups->clients_of);
    free(groups);
}

int32_t group_ledger_identity(struct group_ledger *groups, int32_t client) {
    assert(groups->identity_count < IDENTITIES_MAX);
    groups->clients_of[groups->identity_count] = client;
    return groups->identity_count++;
}

int32_t group_ledger_generation(const struct group_ledger *groups) {
    return groups->newest;
}

// A group without offsets is forgotten when its last member is given up.
static bool may_begin_anew(struct group_ledger *groups, int32_t epoch) {
    if (groups->commits > 0) return false;
    groups->newest = epoch;
    memset(groups->generations, 0, GENERATIONS_MAX * sizeof *groups->generations);
    return true;
}

void group_ledger_joined(struct group_ledger *groups, int32_t generation, int32_t floor) {
    if (generation > floor || (generation > 0 && may_begin_anew(groups, generation))) return;
    if (generation == floor) return;
    ledger_violate(groups->ledger, "a member joined generation %d after generation %d", generation,
                   floor);
}

void group_ledger_alive(struct group_ledger *groups, int32_t generation, int32_t floor) {
    if (generation >= floor) return;
    ledger_violate(groups->ledger,
                   "a member of generation %d is told that all is well in generation %d",
                   generation, floor);
}

void group_ledger_assigned(struct group_ledger *groups, int32_t identity, int32_t generation,
                           uint64_t owned) {
    if (generation < 0 || generation >= GENERATIONS_MAX) {
        ledger_violate(groups->ledger, "generation %d", generation);
        return;
    }
    struct generation *g = &groups->generations[generation];
    for (int32_t i = 0; i < groups->partition_count; i++) {
        if ((owned >> i & 1) == 0) continue;
        if (g->owners[i] != 0 && g->owners[i] != identity + 1) {
            ledger_violate(groups->ledger, "partition %d has two owners in generation %d", i,
                           generation);
        }
        g->owners[i] = identity + 1;
    }
    struct group_client *client = &groups->clients[groups->clients_of[identity]];
    client->generation = generation;
    client->owned = owned;
    groups->newest = MAX(groups->newest, generation);
    groups->assignments++;
}

void group_ledger_gone(struct group_ledger *groups, int32_t client) {
    groups->clients[client].generation = -1;
    groups->clients[client].owned = groups->clients[client].doubted = 0;
}

bool group_ledger_is_settled(const struct group_ledger *groups, uint64_t partitions) {
    uint64_t owned = 0;
    for (int32_t i = 0; i < groups->client_count; i++) {
        if (groups->clients[i].generation != groups->newest) return false;
        owned |= groups->clients[i].owned;
    }
    return partitions != 0 && owned == partitions;
}

void group_ledger_heard(struct group_ledger *groups, int32_t client, int32_t epoch, int32_t floor,
                        uint64_t sent_ns) {
    struct group_client *own = &groups->clients[client];
    if (epoch < floor && !may_begin_anew(groups, epoch)) {
        ledger_violate(groups->ledger, "a member joined in epoch %d after epoch %d", epoch, floor);
    }
    if (epoch < own->generation) {
        ledger_violate(groups->ledger, "a member's epoch went back from %d to %d", own->generation,
                       epoch);
    }
    own->generation = epoch;
    own->heard_ns = sent_ns;
    groups->newest = MAX(groups->newest, epoch);
}

void group_ledger_given(struct group_ledger *groups, int32_t client, uint64_t owned,
                        uint64_t now_ns, uint64_t session_ns) {
    for (int32_t i = 0; i < groups->client_count; i++) {
        const struct group_client *other = &groups->clients[i];
        // One that fell silent may have been given up; it will be told so.
        bool is_alive = other->generation >= 0 && now_ns < other->heard_ns + session_ns;
        uint64_t both = other->owned & ~other->doubted & owned;
        if (i == client || !is_alive || both == 0) continue;
        ledger_violate(groups->ledger,
                       "partition %d is given to a member while another one holds it",
                       __builtin_ctzll(both));
    }
    groups->clients[client].owned = owned;
    groups->assignments++;
}

void group_ledger_keeps(struct group_ledger *groups, int32_t client, uint64_t owned) {
    groups->clients[client].owned = owned;
}

void group_ledger_doubts_hold(struct group_ledger *groups, int32_t client, uint64_t owned) {
    groups->clients[client].doubted |= ~owned;
}

void group_ledger_committing(struct group_ledger *groups, int32_t partition, int64_t offset) {
    struct committed *c = &groups->committed[partition];
    c->wanted = MAX(c->wanted, offset);
}

void group_ledger_committed(struct group_ledger *groups, int32_t partition, int64_t offset,
                            int32_t epoch, uint64_t now_ns) {
    struct committed *c = &groups->committed[partition];
    groups->commits++;
    if (epoch < c->acked_epoch) return;  // the answer was late; others have gone on
    bool doubt_is_over =
        c->doubted != INT64_MAX && epoch > c->doubted_epoch && now_ns > c->doubted_ns + LATE_NS;
    c->acked = doubt_is_over ? offset : MAX(c->acked, offset);
    c->acked_epoch = epoch;
    if (doubt_is_over) c->doubted = INT64_MAX;
}

void group_ledger_doubted(struct group_ledger *groups, int32_t partition, int64_t offset,
                          int32_t epoch, uint64_t now_ns) {
    struct committed *c = &groups->committed[partition];
    c->doubted_ns = now_ns;
    c->doubted = MIN(c->doubted, offset);
    c->doubted_epoch = MAX(c->doubted_epoch, epoch);
}

int64_t group_ledger_offset(const struct group_ledger *groups, int32_t partition) {
    const struct committed *c = &groups->committed[partition];
    return MIN(c->acked, c->doubted);
}

void group_ledger_fetched(struct group_ledger *groups, int32_t partition, int64_t offset,
                          int64_t floor) {
    if (offset < floor) {
        ledger_violate(groups->ledger,
                       "the committed offset of partition %d went back from %lld to %lld",
                       partition, (long long)floor, (long long)offset);
    } else if (offset > groups->committed[partition].wanted) {
        ledger_violate(groups->ledger, "nobody committed offset %lld of partition %d",
                       (long long)offset, partition);
    }
}

uint64_t group_ledger_commits(const struct group_ledger *groups) {
    return groups->commits;
}
uint64_t group_ledger_assignments(const struct group_ledger *groups) {
    return groups->assignments;
}
