// The active controller: Kafka's QuorumController as a state machine on runtime/, over the metadata
// log kept by raft/. Its state is a metadata image (what is not yet committed included) and a
// little soft state. Handlers of the admin APIs submit the decoded request and get the response
// struct when its records are committed and published, so whoever was answered also sees the
// change.
//
// It also is the loader: it replays snapshot and log into the image, hands every committed image to
// `publish`, and writes the snapshots that raft asks for.
//
// Lives on one reactor (0); all calls and callbacks are there. Calls from another reactor go
// through the scatter helper of api/.
#pragma once

#include "config/config.h"
#include "gen/apis.h"
#include "metadata/image.h"
#include "raft/raft.h"
#include "runtime/runtime.h"

struct controller;

struct controller_options {
    const struct config *config;  // the static configuration; borrowed for life
    struct slice cluster_id;      // borrowed for life
};

// What the broker (or the simulation) does for the controller. Borrowed for life.
struct controller_host {
    // A newer image is committed: hand it to all reactors, bring partitions and configs up to it,
    // then call controller_published(image_offset(image)). Images come in order. `image` is
    // borrowed: take a reference for as long as any reactor reads it (image_ref on this reactor).
    // While the log is replayed at start only its last state is published, just before `active`.
    void (*publish)(struct controller_host *host, struct image *image);
    // This node leads the quorum and the activation records are committed and published:
    // registrations may be sent.
    void (*active)(struct controller_host *host, int32_t epoch);
    // The metadata log failed or a record contradicts the image: the node must stop.
    void (*failed)(struct controller_host *host, enum err error, struct slice sentence);
};

// Returns owned. Raft must be open and not started; controller_start starts it.
struct controller *controller_new(struct env *env, const struct controller_options *options,
                                  struct raft *raft, struct controller_host *host);
void controller_start(struct controller *controller);
// Writes a snapshot if there is something new, then stops raft, then `done`. Calls in flight fail
// with ERR_NOT_CONTROLLER.
void controller_stop(struct controller *controller, void (*done)(void *context), void *context);
// Also frees raft. Calls that are not done are dropped, as in a crash.
void controller_free(struct controller *controller);

// Every reactor has the image of this offset: responses up to it are released.
void controller_published(struct controller *controller, int64_t offset);

// The committed image, as published. Borrowed.
struct image *controller_image(const struct controller *controller);
bool controller_is_active(const struct controller *controller);
const struct raft *controller_raft(const struct controller *controller);

// One request on its way through the controller. `request` is the decoded struct of the API (for
// instance struct create_topics_request) and stays valid until done.
struct controller_call {
    enum api_key api;
    int16_t version;
    const void *request;
    struct arena *arena;  // of the response; lives until done has returned
    void *response;       // the API's response struct, initialised by the caller; filled
    struct message
        error;  // the sentence that goes with an error of the whole request; may be empty
    // ERR_NONE: the response is filled (its own error codes say how it went). Anything else
    // (NOT_CONTROLLER …) is for the whole request.
    void (*done)(struct controller_call *call, enum err result);
    // Private from here on.
    struct runtime_operation operation;
    struct controller *controller;
};

// Served: CreateTopics, DeleteTopics, CreatePartitions, IncrementalAlterConfigs, AlterConfigs,
// UpdateFeatures, ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments,
// AlterClientQuotas, UnregisterBroker, AllocateProducerIds, BrokerRegistration, BrokerHeartbeat,
// AlterPartition, AssignReplicasToDirs, ControllerRegistration. Others complete with
// ERR_UNSUPPORTED_VERSION.
void controller_call(struct controller *controller, struct controller_call *call);
