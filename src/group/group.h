// The group coordinator: consumer groups of both protocols (classic, and KIP-848's), groups of
// other protocol types (Connect's workers …), and committed offsets. Its state is in the partitions
// of __consumer_offsets: a group belongs to the partition that Java's hash of its id names, and is
// kept by whoever leads that partition, on the reactor that owns it.
//
// One `struct group_coordinator` per reactor, with one shard for each partition that it owns; all
// calls and callbacks are on that reactor.
#pragma once

#include "config/config.h"
#include "gen/apis.h"
#include "metadata/image.h"
#include "replica/replica_manager.h"
#include "runtime/runtime.h"

struct group_coordinator;
struct group_shard;

// Returns owned.
struct group_coordinator *group_coordinator_new(struct env *env, struct replica_manager *replicas,
                                                int32_t node_id);
// At once, as in a crash; after group_coordinator_stop otherwise.
void group_coordinator_free(struct group_coordinator *coordinator);

// Before replica_manager_apply: drops the shards of partitions that this node will lead no more,
// while they are still there.
void group_coordinator_retire(struct group_coordinator *coordinator, const struct image *next);
// After every replica_manager_apply: loads partitions that this node leads now. The image and the
// configuration are borrowed until the next publish.
void group_coordinator_publish(struct group_coordinator *coordinator, struct image *image,
                               const struct config *config);

// Ends all calls with NOT_COORDINATOR; `stopped` comes when that is done, never inside the call.
void group_coordinator_stop(struct group_coordinator *coordinator, void (*stopped)(void *context),
                            void *context);

// For checkers: what each shard holds. Returns how many there are, at most `capacity`.
struct store_fingerprint;
int32_t group_coordinator_fingerprints(const struct group_coordinator *coordinator,
                                       struct store_fingerprint *fingerprints, int32_t capacity);

// The name of the topic, and the partition that a group belongs to.
#define GROUP_TOPIC "__consumer_offsets"
int32_t group_partition_of(struct slice group_id, int32_t partition_count);

// The topic that a row names, by id unless that is zero, and whether it has the partition:
// UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION.
enum err group_find_topic(const struct image *image, struct slice name, struct uuid id,
                          int32_t partition, const struct topic_image **topic);

// One request for one group (requests for many are cut up by the handlers; ListGroups goes to every
// partition).
struct group_call {
    // In; borrowed until done.
    enum api_key api;
    int16_t version;
    int32_t partition;  // of __consumer_offsets
    struct slice group_id;
    struct slice client_id;    // null: unknown
    struct slice client_host;  // "/127.0.0.1" as Kafka writes it
    bool require_stable;       // OffsetFetch: what open transactions hold is UNSTABLE_OFFSET_COMMIT
    bool needs_guard;          // TxnOffsetCommit: see storage/log.h, log_append_op
    uint32_t guard;
    const void *request;  // the API's request struct; for batched APIs the element for this group
                          // (group_calls in calls.h says which)
    void *response;       // initialised; filled. Its memory is from `arena`
    struct arena *arena;
    // Exactly once, never inside group_call_start. With an error the response says nothing:
    // COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, GROUP_ID_NOT_FOUND
    // …
    void (*done)(struct group_call *call, enum err result);
    struct message error;  // a sentence for some errors

    // Private.
    struct group_shard *shard;
    struct runtime_operation operation;
    struct runtime_transaction transaction;
    bool is_waiting;  // for a rebalance: answered by group_call_finish
    bool is_written;  // the operation's records are durable
    struct env_task finish;
    enum err result;
};
void group_call_start(struct group_coordinator *coordinator, struct group_call *call);

// The marker that ends a producer's transaction in one partition of __consumer_offsets: the offsets
// that were committed inside it count now, or never. (In other partitions a marker is only an
// append: transaction/marker.h.)
struct group_marker {
    // In.
    int32_t partition;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
    int16_t version;  // transaction.version of who ended the transaction
    // Durable, or why not: NOT_LEADER_OR_FOLLOWER (also while the partition is loaded),
    // INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED … Exactly once, never inside
    // group_marker_start; the struct stays until then.
    void (*done)(struct group_marker *marker, enum err result);
    // Private.
    struct runtime_operation operation;
    struct runtime_transaction transaction;
    struct env_task refused;
};
void group_marker_start(struct group_coordinator *coordinator, struct group_marker *marker);
