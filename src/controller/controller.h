// The active controller: Kafka's QuorumController as a state machine on runtime/, over the metadata log kept by raft/. Its
// state is a metadata image (uncommitted records included) and a little soft state. Handlers of the admin APIs submit the decoded request and
// get the response struct when its records are durable, and (for the broker's own requests) applied to the published image.
//
// Lives on one reactor (0). Calls from another reactor go through the scatter helper of api/.
#pragma once

#include "gen/apis.h"
#include "metadata/image.h"
#include "runtime/runtime.h"

struct controller;

// One admin request on its way through the controller. `request` is the decoded struct of the API (for instance struct create_topics_request) and
// stays valid until done; `response` (struct create_topics_response …) is in `arena`.
struct controller_call {
    enum api_key api;
    int16_t version;
    const void *request;
    struct arena *arena;
    bool validate_only_allowed;
    int64_t deadline_ns;  // 0: none
    // Out.
    void *response;
    void (*done)(struct controller_call *call, enum err result);  // an error that is not in the response: NOT_CONTROLLER, …
    struct runtime_operation operation;                           // private from here on
    struct controller *controller;
};

// Served: CreateTopics, DeleteTopics, CreatePartitions, IncrementalAlterConfigs, AlterConfigs, UpdateFeatures, ElectLeaders, AlterPartitionReassignments,
// ListPartitionReassignments, AlterClientQuotas, UnregisterBroker, AllocateProducerIds, BrokerRegistration, BrokerHeartbeat, AlterPartition,
// ControllerRegistration, DescribeQuorum. Others answer ERR_UNSUPPORTED_VERSION.
void controller_call(struct controller *controller, struct controller_call *call);
