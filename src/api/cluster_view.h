// What a client may see of brokers and partitions through the listener that it came in by: shared
// by the APIs that describe the cluster (Metadata, DescribeTopicPartitions, DescribeCluster, leader
// hints of Produce and Fetch).
#pragma once

#include "api/call.h"

// The broker's advertised endpoint for clients of the call's listener; NULL when the broker is
// unknown or lacks that listener.
const struct endpoint_image *view_endpoint(const struct api_call *call, int32_t broker_id);

// As above, and the broker is not fenced.
const struct endpoint_image *view_alive_endpoint(const struct api_call *call, int32_t broker_id);

// The replicas that a client of this listener cannot reach: broker unknown, fenced, or without the
// listener. In the call's arena.
void view_offline_replicas(const struct api_call *call, const struct partition_image *partition,
                           int32_t **replicas, int32_t *count);

// A broker of the list that stands for the controller (KRaft hides the real one): this node when it
// is alive, else the first; -1: none.
int32_t view_controller_id(const struct api_call *call);

// A copy in the call's arena for a response.
int32_t *view_ids(const struct api_call *call, const int32_t *ids, int32_t count);

// KIP-430's bit fields as they are without an authorizer: every operation that the resource has.
enum {
    OPERATION_READ = 3,
    OPERATION_WRITE = 4,
    OPERATION_CREATE = 5,
    OPERATION_DELETE = 6,
    OPERATION_ALTER = 7,
    OPERATION_DESCRIBE = 8,
    OPERATION_CLUSTER_ACTION = 9,
    OPERATION_DESCRIBE_CONFIGS = 10,
    OPERATION_ALTER_CONFIGS = 11,
    OPERATION_IDEMPOTENT_WRITE = 12,
};
#define OPERATIONS_OF_TOPIC                                                                       \
    (1 << OPERATION_READ | 1 << OPERATION_WRITE | 1 << OPERATION_CREATE | 1 << OPERATION_DELETE | \
     1 << OPERATION_ALTER | 1 << OPERATION_DESCRIBE | 1 << OPERATION_DESCRIBE_CONFIGS |           \
     1 << OPERATION_ALTER_CONFIGS)
#define OPERATIONS_OF_CLUSTER                                                 \
    (1 << OPERATION_CREATE | 1 << OPERATION_ALTER | 1 << OPERATION_DESCRIBE | \
     1 << OPERATION_CLUSTER_ACTION | 1 << OPERATION_DESCRIBE_CONFIGS |        \
     1 << OPERATION_ALTER_CONFIGS | 1 << OPERATION_IDEMPOTENT_WRITE)
