// A member of a group of the classic protocol, of any protocol type: consumers ("consumer"),
// Connect's workers ("connect"), schema registries ("sr") and whoever else lets a broker gather its
// processes, choose one as leader, and hand round what the leader decided. What the metadata and
// the assignments say is the affair of the user, who gives the hooks below; the broker does not
// look at them.
//
//     start -> [metadata] -> joined -> (leader: [assign] -> group_member_assign_done) -> [assigned]
//     … another joins or leaves: [rebalancing] -> group_member_go_on -> [metadata] -> …
//
// The member heartbeats by itself, joins again after every rebalance, finds the coordinator when it
// moves, and begins anew as somebody else when the group has forgotten it. It uses a client of its
// own (same bootstrap) for the coordinator, so that a join that takes long holds nothing up.
//
// One member belongs to its client's reactor; all functions and hooks are there.
#pragma once

#include "base/arena.h"
#include "client/coordinator.h"

struct group_member;

// One member as the leader sees it.
struct group_member_row {
    struct slice id;
    struct slice instance_id;  // null: none
    struct slice metadata;
    struct slice assignment;  // out, in the arena of `assign`
};

struct group_member_options {
    struct slice group;
    struct slice instance_id;       // static membership (KIP-345); null: none
    struct slice protocol_type;     // "consumer", "connect", "sr" …
    const struct slice *protocols;  // in order of preference; the group takes one that all have
    int32_t protocol_count;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    int32_t heartbeat_interval_ms;
    bool is_held;  // the first join waits for group_member_go_on

    // What this member says of itself with that protocol; in the arena.
    struct slice (*metadata)(void *context, struct slice protocol, struct arena *arena);
    // Optional. The group rebalances, or this member asked for it: what may not be kept is to be
    // given up, then group_member_go_on, inside the hook or later (within the rebalance timeout).
    void (*rebalancing)(void *context);
    // This member leads: `assignment` of every row is to be filled, then group_member_assign_done,
    // inside the hook or later. Rows and arena live until then or until the next hook.
    void (*assign)(void *context, struct slice protocol, struct group_member_row *rows,
                   int32_t count, struct arena *arena);
    // The member is stable. `assignment` is borrowed; empty: it got none.
    void (*assigned)(void *context, struct slice protocol, struct slice assignment);
    // Optional. The group has forgotten this member: nothing that it had is its own any more. It
    // joins anew by itself.
    void (*lost)(void *context);
    // Optional. The end: not authorized, another with this instance id, no protocol in common …
    // Nothing follows but group_member_free.
    void (*failed)(void *context, enum err error, const struct message *text);
    void *context;
};

// Kafka's timeouts; the rest is the caller's.
struct group_member_options group_member_options_default(void);

// Joins at once. Strings are copied. ERR_INVALID with a sentence for options that make no sense.
MUST_CHECK enum err group_member_new(struct client *client,
                                     const struct group_member_options *options,
                                     struct group_member **member, struct message *error);
// Without a word: the group notices when the session times out. Not from a hook. NULL is allowed.
void group_member_free(struct group_member *member);

void group_member_go_on(struct group_member *member);
void group_member_assign_done(struct group_member *member);
// Asks for a new rebalance: the metadata has changed, or what the leader divides.
void group_member_rejoin(struct group_member *member);
// Leaves (a static member only stops, so that it finds its place again); `done` comes once, never
// inside this call, and group_member_free is next.
void group_member_leave(struct group_member *member, void (*done)(void *context), void *context);

bool group_member_is_stable(const struct group_member *member);
bool group_member_is_leader(const struct group_member *member);
int32_t group_member_generation(const struct group_member *member);  // -1: none
// Empty before the first join was answered. Valid until the member is lost.
struct slice group_member_id(const struct group_member *member);
// For other calls to the group's coordinator (commits).
struct coordinator *group_member_coordinator(struct group_member *member);
