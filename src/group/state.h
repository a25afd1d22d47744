// Private to group/: what a shard keeps. The store is the persistent state; `groups` is its decoded
// view plus what is never written (who waits, timers).
#pragma once

#include "gen/rec/group.h"
#include "group/group.h"
#include "runtime/partition_log.h"

struct classic_group;
struct consumer_group;

struct group_coordinator {
    struct env *env;
    struct replica_manager *replicas;
    int32_t node_id;
    struct image *image;
    const struct config *config;
    struct list shards;         // of group_shard
    uint64_t topics_version;    // goes up with every topic that changes
    int64_t topics_created_at;  // offset of the image that had new ones last
    struct env_task stop;
    void (*stopped)(void *context);
    void *context;
};

struct group_shard {
    struct store
        store;  // the operations' state; first, so that a store is found again as its shard
    struct list link;
    struct group_coordinator *coordinator;
    struct partition_log *log;
    struct uuid topic_id;
    int32_t partition;
    struct map groups;  // of group
    bool is_loaded;  // before, `apply` builds groups as they were written; afterwards live groups
                     // know better
    bool is_stopping;
    struct runtime_timer housekeeping;  // expiry of offsets, shrinking of the log
};

struct group {
    struct map_node by_id;
    struct slice id;  // owned
    struct group_shard *shard;
    struct map offsets;             // of committed_offset
    struct map pending;             // of pending_offset
    struct classic_group *classic;  // at most one of these two
    struct consumer_group *consumer;
};

// One committed offset; the key is {int32 partition, topic name}.
struct committed_offset {
    struct map_node by_key;
    int64_t offset;
    int64_t commit_timestamp;
    int64_t expire_timestamp;  // -1: none (only old clients set one)
    struct uuid topic_id;
    int32_t leader_epoch;  // -1: unknown
    int32_t partition;
    struct slice topic;     // in the key
    struct slice metadata;  // owned, behind the key
};

// A partition for which open transactions (KIP-98) hold commits; the same key. Their values are in
// the store.
struct pending_offset {
    struct map_node by_key;
    int32_t transaction_count;
    int32_t partition;
    struct slice topic;  // in the key
};

// A protocol that a classic member supports ("range"), with what it says in it (its subscription).
struct member_protocol {
    struct slice name;
    struct slice metadata;
};

// How many members name something (a protocol, an assignor).
struct group_vote {
    struct map_node by_name;
    int32_t count;
    int32_t tally;  // for who counts something over them
    uint8_t name[];
};
struct group_vote *group_vote_of(const struct map *votes, struct slice name);  // NULL: nobody
int32_t group_vote_count(const struct map *votes, struct slice name);
void group_vote_add(struct map *votes, struct slice name, int32_t change);  // null: nothing

static inline struct env *group_env(const struct group_shard *shard) {
    return shard->coordinator->env;
}

// ---- Groups ----

struct group *group_find(const struct group_shard *shard, struct slice id);
struct group *group_get(struct group_shard *shard, struct slice id);  // creates
// Frees it when nothing is left of it: no offsets, no members, no record.
void group_release(struct group *group);

struct committed_offset *group_offset(const struct group *group, struct slice topic,
                                      int32_t partition);
// An open transaction holds a commit for it.
bool group_offset_is_pending(const struct group *group, struct slice topic, int32_t partition);

// ---- Records ----

// Adds a record with this key and value (NULL: a tombstone) to what the operation writes. `type`:
// enum group_record_type of gen/rec/group.h.
void group_add_record(struct runtime_result *result, int16_t type, const void *key, int16_t version,
                      void *value);

// The store's `apply`.
enum err group_apply(void *store, struct slice key, struct slice value);
// The store's `pending`.
enum err group_apply_pending(void *store, struct slice key, bool more);

// ---- Calls ----

// What the shard does for an API: reads the state, adds records, fills the response. An error ends
// the call with it.
typedef enum err group_execute(struct group_shard *shard, struct group_call *call,
                               struct runtime_result *result);
// Optional: the records are durable (ERR_NONE) or lost; before the call's own done.
typedef void group_written(struct group_shard *shard, struct group_call *call, enum err result);

// The call's answer comes by group_call_finish.
static inline void group_call_wait(struct group_call *call) {
    call->is_waiting = true;
}
// Ends a waiting call (its response is filled); its done comes later in this pass, when its records
// are durable too.
void group_call_finish(struct group_call *call, enum err result);

// The same inside an operation: runs at once, and its records come before those of the operation
// around it. `context` is for `run` alone.
void group_run_inside(struct group_shard *shard, struct slice group_id,
                      void (*run)(struct group_shard *shard, struct group *group, void *context,
                                  struct runtime_result *result),
                      void *context);

// An operation of the coordinator itself (a timer fired). `run` finds the group by the id: it may
// be gone.
void group_run(struct group_shard *shard, struct slice group_id,
               void (*run)(struct group_shard *shard, struct group *group,
                           struct runtime_result *result));

// ---- The parts ----

// classic*.c
group_execute classic_join, classic_sync, classic_heartbeat, classic_leave;
group_written classic_join_written, classic_sync_written;
void classic_free(struct classic_group *classic);  // waiting calls end with NOT_COORDINATOR
enum err classic_apply(struct group *group, const struct group_metadata_value *value);
// A stable group begins a rebalance.
void classic_begin_rebalance(struct group *group, struct runtime_result *result);
void classic_loaded(struct group *group);  // starts the members' timers
// Whether a commit is allowed (Kafka's ClassicGroup.validateOffsetCommit). Inside a transaction old
// clients name no member, and a rebalance does not stop it.
enum err classic_check_commit(struct group *group, struct slice member_id, struct slice instance_id,
                              int32_t generation, bool transactional);
void classic_describe(const struct group *group, int16_t version, struct arena *arena,
                      struct describe_groups_response_group *out);
const char *classic_state_name(const struct group *group);
struct slice classic_protocol_type(const struct group *group);  // empty: none
bool classic_is_empty(const struct group *group);
bool classic_is_stable(const struct group *group);
bool classic_awaits_members(const struct group *group);  // gave out ids that did not come back yet
bool classic_is_subscribed(const struct group *group, struct slice topic);
int64_t classic_state_timestamp(const struct group *group);  // -1: unknown

// consumer*.c (KIP-848)
group_execute consumer_heartbeat, consumer_describe;
group_written consumer_heartbeat_written;
// Members that speak the classic protocol.
group_execute consumer_classic_join, consumer_classic_sync, consumer_classic_heartbeat,
    consumer_classic_leave;
group_written consumer_classic_join_written, consumer_classic_sync_written;
void consumer_group_free(struct consumer_group *consumer);
void consumer_loaded(struct group *group);         // starts the members' timers
void consumer_forget_unused(struct group *group);  // when a join left no record
enum err consumer_apply(struct group_shard *shard, int16_t type, struct reader *key,
                        int16_t version, struct reader *value, struct arena *arena);
bool consumer_owns_record(int16_t type);
// Whether a commit is allowed (Kafka's ConsumerGroup.validateOffsetCommit).
struct offset_committer {
    struct slice member_id, instance_id;
    int32_t epoch;  // or generation
    bool transactional;
    int16_t version;  // of the request
};
enum err consumer_check_commit(const struct group *group, const struct offset_committer *who);
// An epoch behind the member's own: whether it had the partition then already.
enum err consumer_check_commit_of(const struct group *group, const struct offset_committer *who,
                                  struct uuid topic_id, int32_t partition);
enum err consumer_check_fetch(const struct group *group, struct slice member_id, int32_t epoch);
const char *consumer_state_name(const struct group *group);
bool consumer_is_empty(const struct group *group);
bool consumer_is_subscribed(const struct group *group, struct slice topic);
// Tombstones for all records of the group, its offsets apart.
void consumer_add_gone(const struct group *group, struct runtime_result *result);

// offsets.c
group_execute offsets_commit, offsets_commit_transactional, offsets_fetch, offsets_delete;
// Adds tombstones for what has expired, and for the group when nothing is left of it.
void offsets_expire(struct group *group, int64_t now_ms, struct runtime_result *result);
// Adds tombstones for all offsets, pending ones too.
void offsets_delete_all(const struct group *group, struct runtime_result *result);
bool offsets_has_any(const struct group *group, const struct map *topics);  // by name
// Adds tombstones for the offsets of topics that the image does not have.
void offsets_drop_deleted(const struct group *group, const struct image *image,
                          struct runtime_result *result);

// admin.c
group_execute admin_describe, admin_list, admin_delete;
