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

// The name of the topic, and the partition that a group belongs to.
#define GROUP_TOPIC "__consumer_offsets"
int32_t group_partition_of(struct slice group_id, int32_t partition_count);

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
    bool is_waiting;  // for a rebalance: answered by group_call_finish
    bool is_written;  // the operation's records are durable
    struct env_task finish;
    enum err result;
};
void group_call_start(struct group_coordinator *coordinator, struct group_call *call);
