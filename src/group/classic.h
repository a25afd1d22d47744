// Private to group/classic*.c: a group of the classic protocol, where the assignment is made by a
// member. After Kafka's ClassicGroup.
//
//              first member joins          all have joined, or the rebalance timeout
//     EMPTY ─────────────────▶ PREPARING ───────────────────────────▶ COMPLETING
//       ▲                          ▲ │                                    │ the leader's
//       │ nobody joined            │ │ member joins, leaves, expires      │ assignment is
//       └──────────────────────────┼─┘◀────────────────────────┐          ▼ durable
//                                  └─────────────────────────── STABLE ◀──┘
//
// Only the outcome of a rebalance is written (one record for the whole group); who waits for what
// is memory of this leader and dies with it.
#pragma once

#include "gen/rec/group.h"
#include "group/state.h"

enum classic_state { CLASSIC_EMPTY, CLASSIC_PREPARING, CLASSIC_COMPLETING, CLASSIC_STABLE };

struct classic_member {
    struct map_node by_id;
    struct map_node by_instance;  // when instance_id is not null
    struct classic_group *group;
    struct arena arena;  // of the strings below, except the assignment
    struct slice id;
    struct slice instance_id;  // null: a dynamic member
    struct slice client_id, client_host;
    struct arena protocol_arena;        // replaced when the member joins again
    struct member_protocol *protocols;  // in order of preference
    int32_t protocol_count;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    struct slice assignment;     // heap
    size_t position;             // in the group's order, while somebody asks for it
    bool is_new;                 // joined for the first time and not answered yet
    bool awaits_sync;            // was told of the generation, has not asked for its assignment
    struct group_call *joining;  // waits for the end of the rebalance
    struct group_call *syncing;  // waits for the leader's assignment
    struct runtime_timer session;
};

// A member id that was given out (KIP-394) and has not come back with it yet.
struct pending_member {
    struct map_node by_id;
    struct classic_group *group;
    struct runtime_timer session;
    uint8_t id[];
};

struct classic_group {
    struct group *group;
    enum classic_state state;
    int64_t state_timestamp;  // ms, -1: unknown
    int32_t generation;
    struct slice protocol_type;  // heap; null: none (offsets only)
    struct slice protocol_name;  // heap; null: none
    struct slice leader;         // heap; null: none
    struct map members;
    struct map instances;
    struct map pending;
    struct map protocols;   // of group_vote: that members support
    size_t joining_count;   // members that wait for the end of the rebalance
    bool has_record;        // was written at least once
    bool is_converting;     // its tombstone is on the way: it becomes a consumer group
    bool new_member_added;  // while the first rebalance waits: wait a little longer
    int32_t initial_delay_left_ms;
    bool in_initial_delay;
    struct runtime_timer rebalance;
    struct runtime_timer sync;  // members that do not ask for their assignment go
    struct slice subscribed;    // heap: the topics of all members, NUL-separated; null: not known
};

enum { GROUP_METADATA_VALUE_VERSION = 3 };

// classic.c: the state machine.
struct classic_group *classic_new(struct group *group);
void classic_set_state(struct classic_group *c, enum classic_state state);
struct classic_member *classic_member_of(const struct classic_group *c, struct slice id);
struct classic_member *classic_member_of_instance(const struct classic_group *c,
                                                  struct slice instance_id);
struct classic_member *classic_add_member(struct classic_group *c, struct slice id,
                                          struct slice instance_id, const struct group_call *call);
void classic_set_protocols(struct classic_member *m, const struct join_group_request *request,
                           int16_t version);
// A member that takes the place of a static one, with a new id; the old one's waiting calls end
// with FENCED_INSTANCE_ID.
struct classic_member *classic_replace_member(struct classic_member *old, struct slice new_id);
// Ends its waiting calls with `why` and forgets it.
void classic_remove_member(struct classic_member *m, enum err why);
// The call that waits for the end of the rebalance; NULL: none does. Returns the one before.
struct group_call *classic_set_joining(struct classic_member *m, struct group_call *call);
// Calls that wait end with `why`.
void classic_end_waiting(struct classic_group *c, enum err why);
// What the member says in a protocol; empty when it does not support it.
struct slice classic_metadata_of(const struct classic_member *m, struct slice protocol);
// All protocols that a member supports, when more is known of them than its record says. Copies.
void classic_keep_protocols(struct classic_member *m, const struct member_protocol *protocols,
                            int32_t count);
bool classic_supports(const struct classic_group *c, struct slice type,
                      const struct join_group_request *request);
bool classic_protocols_match(const struct classic_member *m,
                             const struct join_group_request *request);
void classic_select_protocol(const struct classic_group *c, struct slice *name);
void classic_restart_session(struct classic_member *m, int32_t timeout_ms);
void classic_add_pending(struct classic_group *c, struct slice id, int32_t timeout_ms);
bool classic_remove_pending(struct classic_group *c, struct slice id);
// After a member joined (again) or was lost: starts a rebalance, or completes the one under way
// when all are there.
void classic_rebalance(struct classic_group *c, struct runtime_result *result);
void classic_complete_if_all_joined(struct classic_group *c, struct runtime_result *result);
void classic_prepare(struct classic_group *c, struct runtime_result *result);
// The record of the whole group; with `assignments` (may be NULL: the members' own) in the order of
// members.
void classic_add_record(struct classic_group *c, const struct slice *assignments,
                        struct runtime_result *result);

// The record of a group that has just begun: no members, generation 0.
void classic_add_empty_record(struct classic_group *c, struct runtime_result *result);
void classic_set_assignment(struct classic_member *m, struct slice assignment);
// A group that only ever gave out ids leaves nothing behind.
void classic_forget_unused(struct group *group);
// The assignment could not be written: everybody joins again. (For group_run.)
void classic_begin_again(struct group_shard *shard, struct group *group,
                         struct runtime_result *result);

// classic_requests.c
void classic_answer_join(struct classic_member *m, struct group_call *call, bool with_members,
                         bool skip_assignment);
void classic_fail_join(struct group_call *call, enum err error, struct slice member_id);
void classic_answer_sync(struct classic_member *m, struct group_call *call, enum err error);
