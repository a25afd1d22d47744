// What a handler sees of its node: one `struct node` per reactor, built by broker/, used by the
// handlers of api/ on that reactor only. What several reactors share is immutable while the node
// runs.
#pragma once

#include "controller/controller.h"
#include "env/env.h"
#include "metadata/image.h"
#include "net/net.h"

struct config;             // config/config.h: the node's own settings
struct group_coordinator;  // group/group.h: this reactor's partitions of __consumer_offsets
struct fetch_sessions;     // api/fetch_session.h: KIP-227 sessions of this reactor's connections
struct producer_ids;       // api/producer_ids.h: ids for idempotent producers
struct raft;               // raft/raft.h: the metadata quorum's node
struct replica_manager;    // replica/replica_manager.h: this reactor's partitions
struct transaction_coordinator;  // transaction/coordinator.h: this reactor's partitions of
                                 // __transaction_state

// Who this node is. Immutable, shared by all reactors.
struct node_identity {
    int32_t node_id;
    struct slice cluster_id;  // as text
    struct slice rack;        // may be null
    struct uuid incarnation_id;
    bool is_broker;  // process.roles
    bool is_controller;
    const struct net_listener *const
        *listeners;  // broker listeners first, in the order of `listeners`
    int32_t listener_count;
};

struct node {
    struct env *env;
    int32_t reactor;  // index of this one
    int32_t reactor_count;
    struct node *const *reactors;  // all of the node, by index: for scatter only, their fields
                                   // belong to their threads
    const struct node_identity *identity;
    const struct config
        *config;  // static configuration; layered values are in metadata/effective_config.h
    struct net *net;

    // The newest metadata image. It stays valid until the handler returns to the loop; whoever
    // waits reads it anew. Names that a handler keeps while it waits are copied into the call's
    // arena.
    struct image *image;
    int64_t broker_epoch;   // -1 until registered
    int16_t kraft_version;  // of the metadata quorum, which keeps it outside of the image

    struct group_coordinator *groups;  // NULL on a node without the broker role, as the next
    struct transaction_coordinator *transactions;
    struct replica_manager *replicas;
    struct fetch_sessions *fetch_sessions;
    struct producer_ids *producer_ids;

    // On reactor 0 only, NULL on the others: reach them with api_to_controller() or
    // scatter_start(…, node->reactors[0], …).
    struct controller *controller;
    struct raft *raft;
};

// The reactor that owns a partition, the same on every reactor and after every restart of the
// process with the same number of reactors.
struct node *node_owner_of(struct node *node, struct uuid topic_id, int32_t partition);
