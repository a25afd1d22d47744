// Private to group/consumer*.c and migration.c: a group of the consumer protocol (KIP-848), where
// the coordinator makes the assignment and members reconcile themselves with it, each at its own
// pace. After Kafka's ConsumerGroup and GroupMetadataManager.
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
// A member may also speak the classic protocol (while a group is moved from one to the other): then
// JoinGroup and SyncGroup carry what ConsumerGroupHeartbeat does for others.
//
// All of this is records; only deadlines are memory of this leader. What is counted of members
// (subscriptions, owners of partitions …) follows from their records, so that a heartbeat that
// changes nothing costs the same in a group of any size.
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
    struct slice regex;            // empty: none
    struct slice server_assignor;  // null: whatever the group uses
    int32_t rebalance_timeout_ms;
    // Of a member that speaks the classic protocol.
    bool is_classic;
    int32_t session_timeout_ms;
    const struct member_protocol *protocols;  // in order of preference, not empty
    int32_t protocol_count;
};

// How far a member is: the current assignment record.
struct member_progress {
    int32_t epoch, previous_epoch;
    enum member_state state;
    struct partition_list assigned;
    struct partition_list revoking;  // to be given up before anything new
};

// Whoever lets one of these pass is out of the group.
enum member_deadline {
    DEADLINE_SESSION,
    DEADLINE_REVOKE,
    DEADLINE_JOIN,  // a classic member that was told to join again
    DEADLINE_SYNC,  // … that joined, and has not asked for its assignment
};
#define MEMBER_DEADLINE_COUNT 4

struct consumer_member {
    struct map_node by_id;
    struct map_node by_instance;  // when metadata has an instance id and is_in_instances
    struct slice id;
    struct consumer_group *group;
    bool has_metadata, has_progress, has_target;  // which records there are
    bool is_in_instances;
    struct arena metadata_arena;  // of the strings of `metadata`
    struct member_metadata metadata;
    struct member_progress progress;               // lists on the heap
    struct partition_list target;                  // on the heap
    uint64_t deadlines_ns[MEMBER_DEADLINE_COUNT];  // 0: none
    struct runtime_timer timer;                    // at the earliest one, or before it
};

// A topic that the group takes part in.
struct consumer_topic {
    struct map_node by_name;
    int32_t member_count;  // members that name it
    int32_t regex_count;   // resolved expressions that match it
    uint8_t name[];
};

struct consumer_group {
    struct group *group;
    bool has_record, has_target_record;
    int32_t epoch;
    int64_t metadata_hash;  // of the subscribed topics when the epoch was raised last
    int32_t assignment_epoch;
    int64_t assignment_timestamp;  // ms; 0: none
    struct map members;
    struct map instances;          // of consumer_member
    struct map owners;             // of partitions: who has one or is still giving it up
    struct map topics;             // of consumer_topic
    struct map assignors;          // of group_vote: that members prefer
    struct map protocols;          // of group_vote: of classic members
    int32_t classic_count;         // members that speak the classic protocol
    struct map regexes;            // of consumer_regex
    struct runtime_timer resolve;  // looks up the topics of expressions
    // When the hash was computed last: of which topics (coordinator->topics_version) and up to
    // which group epoch. Memory, as the deadlines.
    uint64_t topics_seen;
    int32_t epoch_seen;
};

// consumer.c: the state.
struct consumer_group *consumer_get(struct group *group);  // creates
struct consumer_member *consumer_member_of(const struct consumer_group *c, struct slice id);
struct consumer_member *consumer_member_of_instance(const struct consumer_group *c,
                                                    struct slice id);
// Whether another member has the partition, or is still giving it up.
bool consumer_is_owned(const struct consumer_group *c, const struct group_partition *p);
// So many members more name it, so many resolved expressions more match it.
void consumer_topic_count(struct consumer_group *c, struct slice name, int32_t members,
                          int32_t regexes);
void consumer_set_deadline(struct consumer_member *m, enum member_deadline which, int64_t ms);
void consumer_clear_deadline(struct consumer_member *m, enum member_deadline which);
// The member was heard.
void consumer_restart_session(struct consumer_member *m);

// consumer_records.c: what operations write.
void consumer_add_group(struct slice group_id, int32_t epoch, int64_t hash,
                        struct runtime_result *result);
void consumer_add_metadata(struct slice group_id, struct slice member_id,
                           const struct member_metadata *m, struct runtime_result *result);
void consumer_add_progress(struct slice group_id, struct slice member_id,
                           const struct member_progress *p, struct runtime_result *result);
void consumer_add_target(struct slice group_id, struct slice member_id,
                         const struct partition_list *target, struct runtime_result *result);
void consumer_add_target_epoch(struct slice group_id, int32_t epoch, int64_t timestamp_ms,
                               struct runtime_result *result);
// `names` NULL: a tombstone.
struct topic_names {
    const struct slice *items;  // sorted
    int32_t count;
};
void consumer_add_regex(struct slice group_id, struct slice text, const struct topic_names *names,
                        int64_t version, int64_t timestamp_ms, struct runtime_result *result);
// Tombstones of all that a member has.
void consumer_add_member_gone(struct slice group_id, struct slice member_id,
                              struct runtime_result *result);

// consumer_regex.c: subscriptions by regular expression.
struct consumer_regex {
    struct map_node by_text;
    int32_t member_count;
    bool is_resolved;  // has a record
    struct topic_names names;
    struct arena arena;  // of the names
    int64_t version;     // of the image
    int64_t timestamp;
    uint8_t text[];
};
struct consumer_regex *consumer_regex_of(const struct consumer_group *c, struct slice text);
// A member begins or ends to use it.
void consumer_regex_count(struct consumer_group *c, struct slice text, int32_t change);
void consumer_regex_apply(struct consumer_group *c, struct slice text,
                          const struct consumer_group_regular_expression_value *value);
void consumer_regexes_free(struct consumer_group *c);
// ERR_INVALID with a sentence.
MUST_CHECK enum err consumer_regex_check(struct slice text, struct message *error);
// Looks the topics up soon, where that is due; the member `from` stands with `to` from now on.
void consumer_regex_refresh(struct consumer_group *c, struct slice from, struct slice to);
void consumer_regex_fired(struct runtime_timer *timer);
// What a member takes part in: the topics that it names and those that its expression matches,
// sorted.
struct topic_names consumer_names_of(const struct consumer_group *c,
                                     const struct member_metadata *m, struct arena *arena);

// consumer_reconcile.c, pure.
struct reconcile_input {
    const struct member_progress *now;
    const struct partition_list *target;
    int32_t target_epoch;
    const struct partition_list *owned;  // what the member says it has; NULL: it did not say
    bool subscription_changed;
    const struct uuid *topics;  // that it subscribes to now, sorted
    int32_t topic_count;
    // Whether anybody has the partition, or is still giving it up.
    bool (*is_owned)(void *context, const struct group_partition *p);
    void *context;
};
struct member_progress consumer_reconcile(const struct reconcile_input *input, struct arena *arena);

// consumer_target.c: who subscribes to what, and the target assignment. A change: one member comes
// or says something else, or some go.
struct consumer_change {
    struct slice id;                            // of `next`
    const struct member_metadata *next;         // NULL: nobody comes
    const struct consumer_member *const *gone;  // who goes, or stood in the place of `next`
    int32_t gone_count;
};
// The hash of the topics that the group will take part in.
int64_t consumer_hash_with(const struct consumer_group *c, const struct consumer_change *change,
                           struct arena *arena);
struct slice consumer_assignor_with(const struct consumer_group *c,
                                    const struct consumer_change *change);
// Makes a new target for the group, adds records of what changes, and gives the target of
// `change->id` (in the arena).
struct partition_list consumer_retarget(const struct consumer_group *c,
                                        const struct consumer_change *change, int32_t epoch,
                                        struct runtime_result *result);

// consumer_update.c: the steps that ConsumerGroupHeartbeat and a classic member's JoinGroup have in
// common.
struct consumer_update {
    struct group_shard *shard;
    struct consumer_group *group;
    struct slice id;                 // of the member from now on
    struct consumer_member *member;  // as it is; NULL: it is new
    bool takes_over;  // a static member begins again from `member`, which goes if it has another id
    struct member_metadata next;
    const struct partition_list *owned;  // what it says it has; NULL: it did not say
    struct runtime_result *result;
    // Out; the first one by consumer_subscribe for consumer_step.
    bool subscription_changed;
    int32_t epoch;  // of the group
    struct member_progress progress;
};
// A member id that nobody has; from the arena.
struct slice consumer_new_id(struct group_shard *s, struct arena *arena);
// Records of the member's metadata, its expression, and the group's epoch. ERR_INVALID with a
// sentence for a bad expression (nothing was added).
MUST_CHECK enum err consumer_subscribe(struct consumer_update *u, struct message *error);
// The target assignment, anew where that is due, and the member's next step. Without `retargets`
// the target stays as it is.
void consumer_step(struct consumer_update *u, bool retargets);
// They leave, or are put out: tombstones and a new epoch. The last ones of the consumer protocol
// leave a classic group behind (when the migration policy says so), which is there at once.
void consumer_fence(struct group_shard *s, struct consumer_group *c,
                    struct consumer_member *const *members, int32_t count,
                    struct runtime_result *result);

// embedded_protocol.c: what classic members say to each other inside JoinGroup and SyncGroup.
// What a member subscribes to and owns, from its metadata. False: malformed.
struct consumer_subscription {
    int16_t version;
    const struct slice *topics;  // sorted
    int32_t topic_count;
    struct partition_list owned;
    struct slice rack_id;  // null: none
};
bool consumer_subscription_read(const struct image *image, struct slice metadata,
                                struct arena *arena, struct consumer_subscription *out);
struct slice consumer_assignment_write(const struct image *image, const struct partition_list *list,
                                       int16_t version, struct arena *arena);
// False: malformed. `has_user_data`: it says more than partitions.
bool consumer_assignment_read(const struct image *image, struct slice bytes, struct arena *arena,
                              struct partition_list *out, bool *has_user_data);

// migration.c: a whole group moves from one protocol to the other.
// An empty classic group, or one with members where the policy allows it, becomes a consumer group.
// `error` gets the sentence of GROUP_ID_NOT_FOUND.
MUST_CHECK enum err migration_upgrade(struct group_shard *s, struct slice group_id,
                                      struct message *error);
// Whether the group may become a classic one when `gone` go; with `replaced` one of them is
// replaced by a classic member.
bool migration_may_downgrade(const struct consumer_group *c, struct consumer_member *const *gone,
                             int32_t gone_count, bool replaced);
// It becomes one, now. `joining` (NULL: none) takes the place of the only member in `gone`, with
// what it says of itself. Records of other operations come before. False: it could not be written.
bool migration_downgrade(struct group_shard *s, struct slice group_id,
                         struct consumer_member *const *gone, int32_t gone_count,
                         struct slice joining_id, const struct member_metadata *joining);
