// A member of a consumer group by KIP-848, where the broker divides: everything is said in one
// heartbeat. The broker answers with the member's epoch and, when it has changed, what the member
// shall have (its target); the member gives up what is not in it, says so, takes what is free, and
// says that. The group consumer stands on this; it is no public face.
//
// A group that no longer knows the member, or fenced its epoch, is joined again under the same id.
// All functions and hooks: on the client's reactor.
#pragma once

#include "base/arena.h"
#include "client/coordinator.h"

struct heartbeat_member;

// A partition as the broker names it.
struct id_partition {
    struct uuid topic_id;
    int32_t partition;
};

struct heartbeat_member_options {
    struct slice group;
    struct slice instance_id;      // null: none
    struct slice server_assignor;  // null: the broker's first
    int32_t rebalance_timeout_ms;

    // What the member subscribes to now: names, or (not null) an expression for the broker.
    // Borrowed until the hook's user changes it.
    void (*subscription)(void *context, const struct slice **topics, int32_t *count,
                         struct slice *regex);
    // A new target. Borrowed.
    void (*target)(void *context, const struct id_partition *partitions, int32_t count);
    // Nothing that the member had is its own any more; it joins again by itself.
    void (*lost)(void *context);
    // The end: only heartbeat_member_free is left.
    void (*failed)(void *context, enum err error, const struct message *text);
    void *context;
};

// Joins at once. Strings are copied.
MUST_CHECK enum err heartbeat_member_new(struct client *client,
                                         const struct heartbeat_member_options *options,
                                         struct heartbeat_member **member, struct message *error);
// Without a word: the group notices when the session times out. Not from a hook. NULL is allowed.
void heartbeat_member_free(struct heartbeat_member *member);

// The subscription has changed: said with the next heartbeat, which is sent now.
void heartbeat_member_resubscribe(struct heartbeat_member *member);
// What the member has now (copied), sorted by topic id: said with the next heartbeat, sent now.
void heartbeat_member_has(struct heartbeat_member *member, const struct id_partition *partitions,
                          int32_t count);
// Leaves for good, or (static) for a while; `done` comes once, never inside this call.
void heartbeat_member_leave(struct heartbeat_member *member, void (*done)(void *context),
                            void *context);

int32_t heartbeat_member_epoch(const struct heartbeat_member *member);  // -1: not a member now
struct slice heartbeat_member_id(const struct heartbeat_member *member);
struct coordinator *heartbeat_member_coordinator(struct heartbeat_member *member);
