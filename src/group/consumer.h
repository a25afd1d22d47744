// Private to group/consumer*.c: a group of the consumer protocol (KIP-848), where the coordinator
// makes the assignment and members reconcile themselves with it, each at its own pace. After
// Kafka's ConsumerGroup and GroupMetadataManager.
//
// The group has an epoch, raised by everything that calls for a new assignment (a member comes,
// goes, subscribes differently; a topic changes). The target assignment has the group epoch that it
// was made for. A member has the epoch of the target that it has reached:
//
//                 something to revoke, and it still has it
//     STABLE ────────────────────────────────────────────▶ UNREVOKED_PARTITIONS
//       ▲ ▲                                                        │ it gave them up
//       │ └────────────────────────────────────────────────────────┤
//       │  all others gave up what it waits for                    ▼ others still have what it is
//       to get └─────────────────────────────────────────────── UNRELEASED_PARTITIONS
//
// All of this is records; only the deadlines of sessions and revocations are memory of this leader.
#pragma once

#include "group/assignor.h"
#include "group/state.h"

// As in the records.
enum member_state {
    MEMBER_STABLE = 0,
    MEMBER_UNREVOKED_PARTITIONS = 1,
    MEMBER_UNRELEASED_PARTITIONS = 2,
};

enum {
    EPOCH_JOIN = 0,
    EPOCH_LEAVE = -1,
    EPOCH_LEAVE_STATIC = -2,  // comes back under its instance id
    EPOCH_FIRST = 1,          // of a group
};

// What a member says of itself: the member metadata record.
struct member_metadata {
    struct slice instance_id;  // null: a dynamic member
    struct slice rack_id;
    struct slice client_id, client_host;
    const struct slice *topics;  // sorted
    int32_t topic_count;
    struct slice regex;            // null: none
    struct slice server_assignor;  // null: whatever the group uses
    int32_t rebalance_timeout_ms;
};

// How far a member is: the current assignment record.
struct member_progress {
    int32_t epoch, previous_epoch;
    enum member_state state;
    struct partition_list assigned;
    struct partition_list revoking;  // to be given up before anything new
};

struct consumer_member {
    struct map_node by_id;
    struct slice id;
    struct consumer_group *group;
    bool has_metadata, has_progress, has_target;  // which records there are
    struct arena metadata_arena;                  // of the strings of `metadata`
    struct member_metadata metadata;
    struct member_progress progress;  // lists on the heap
    struct partition_list target;     // on the heap
    uint64_t session_deadline_ns;     // 0: none
    uint64_t revoke_deadline_ns;      // 0: nothing to revoke
    struct runtime_timer timer;       // at the earlier one
};

struct consumer_group {
    struct group *group;
    bool has_record, has_target_record;
    int32_t epoch;
    int64_t metadata_hash;  // of the subscribed topics when the epoch was raised last
    int32_t assignment_epoch;
    struct map members;
    struct consumer_regexes *regexes;
};

// consumer.c: the state.
struct consumer_group *consumer_get(struct group *group);  // creates
struct consumer_member *consumer_member_of(const struct consumer_group *c, struct slice id);
struct consumer_member *consumer_member_of_instance(const struct consumer_group *c,
                                                    struct slice id);
// Starts the member's timer anew: session from now, revocation as its state needs.
void consumer_restart_timer(struct consumer_member *m);

// consumer_records.c: what operations write.
void consumer_add_group(const struct consumer_group *c, int32_t epoch, int64_t hash,
                        struct runtime_result *result);
void consumer_add_metadata(struct slice group_id, struct slice member_id,
                           const struct member_metadata *m, struct runtime_result *result);
void consumer_add_progress(struct slice group_id, struct slice member_id,
                           const struct member_progress *p, struct runtime_result *result);
void consumer_add_target(struct slice group_id, struct slice member_id,
                         const struct partition_list *target, struct runtime_result *result);
void consumer_add_target_epoch(const struct consumer_group *c, int32_t epoch,
                               struct runtime_result *result);
// Tombstones of all that a member has.
void consumer_add_member_gone(struct slice group_id, struct slice member_id,
                              struct runtime_result *result);

// The new epoch after `gone` members left, `id` among them; a group that is empty then has reached
// it.
void consumer_add_departures(const struct consumer_group *c, struct slice id, int32_t gone,
                             struct runtime_result *result);

// consumer_regex.c: subscriptions by regular expression.
struct consumer_regexes *consumer_regexes_new(void);
void consumer_regexes_free(struct consumer_regexes *regexes);
// Compiles it, if it is new to the group. ERR_INVALID with a sentence.
MUST_CHECK enum err consumer_regex_check(const struct consumer_group *c, struct slice text,
                                         struct message *error);
bool consumer_regex_matches(const struct consumer_group *c, struct slice text, struct slice topic);
// What a member takes part in: the topics that it names and those that its expression matches,
// sorted.
struct topic_names {
    const struct slice *items;
    int32_t count;
};
struct topic_names consumer_names_of(const struct consumer_group *c,
                                     const struct member_metadata *m, struct arena *arena);

// consumer_reconcile.c, pure.
struct reconcile_input {
    const struct member_progress *now;
    const struct partition_list *target;
    int32_t target_epoch;
    const struct partition_list *owned;  // what the member says it has; NULL: it did not say
    bool unsubscribed;                   // it takes part in fewer topics than before
    const struct uuid *topics;           // that it subscribes to now, sorted
    int32_t topic_count;
    // Whether another member has the partition, or is still giving it up.
    bool (*is_taken)(void *context, const struct group_partition *p);
    void *context;
};
struct member_progress consumer_reconcile(const struct reconcile_input *input, struct arena *arena);

// consumer_target.c: who subscribes to what, and the target assignment.
struct consumer_topics {
    struct assignor_topic *items;  // in order of id
    int32_t count;
    int64_t hash;
};
// With `next` in place of the member `id` (NULL next: the member is gone).
struct consumer_topics consumer_topics_of(const struct consumer_group *c, struct slice id,
                                          const struct member_metadata *next, struct arena *arena);
// Makes a new target for the group, adds records of what changes, and gives the target of the
// member `id` (in the arena).
struct partition_list consumer_retarget(const struct consumer_group *c, struct slice id,
                                        const struct member_metadata *next,
                                        const struct consumer_topics *topics, int32_t epoch,
                                        struct runtime_result *result);
