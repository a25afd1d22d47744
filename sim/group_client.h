// What the members of groups of both protocols share (member.c, consumer_member.c): two connections
// to the broker, of which each request takes one by chance, so that what a cut or a delay holds
// back on one arrives after what was sent later on the other; fetching and committing of offsets.
// Private to the scenarios.
#pragma once

#include "base/arena.h"
#include "net/peer.h"
#include "sim/clients.h"
#include "sim/group_ledger.h"

enum { GROUP_CLIENT_ID_MAX = 128 };

struct group_client {
    struct env *env;
    struct clients *clients;
    struct group_ledger *groups;
    const char *who;  // for violations
    int32_t number;
    struct slice group;
    uint64_t pace_ns;  // between two requests, at most
    struct peer *peers[2];
    struct env_timer timer;
    struct peer_request request;
    struct arena arena;  // of the request under way
    uint64_t sent_ns;
    char id[GROUP_CLIENT_ID_MAX];
    int32_t epoch;       // of the member, or the generation
    uint64_t owned;      // places (clients.h)
    uint64_t unfetched;  // of these the committed offset is not known yet
    int64_t positions[PLACES_MAX];
    int64_t floors[PLACES_MAX];  // of the fetch under way
};

struct group_client_options {
    struct env *env;
    struct clients *clients;
    struct group_ledger *groups;
    const char *who;
    struct slice group;
    int32_t number;
    int32_t member_count;  // of the group: many members work slower
    void (*go_on)(struct env_timer *timer);
};
void group_client_init(struct group_client *c, const struct group_client_options *options);

uint64_t group_client_below(struct group_client *c, uint64_t bound);
// The timer, so much later.
void group_client_wait(struct group_client *c, uint64_t delay_ns);

// ---- Requests, of which one is under way at a time ----

typedef void group_client_done(struct peer_request *request, enum err result);

void group_client_ask(struct group_client *c, enum api_key api, void *message, int16_t version_min,
                      int16_t version_max, uint64_t timeout_ms, group_client_done *done);
void group_client_find(struct group_client *c, group_client_done *done);
// The committed offsets of what is unfetched; topics are named by name, or by id.
void group_client_fetch(struct group_client *c, bool by_id, group_client_done *done);
// Higher offsets for all that is owned.
void group_client_commit(struct group_client *c, bool by_id, group_client_done *done);

// ---- Answers: what they say goes to the ledger; the error is the coordinator's ----

enum err group_client_fetched(struct group_client *c, const struct offset_fetch_response *response);
enum err group_client_committed(struct group_client *c,
                                const struct offset_commit_response *response);
// No answer, or none that says what became of it: the commit may count now, or later, or never.
void group_client_doubt_commit(struct group_client *c);
// After every answer or failure.
void group_client_release(struct group_client *c);
