// ListPartitionReassignments (KIP-455): the controller knows (controller/reassignments.c).
#include "api/call.h"

void api_list_partition_reassignments(struct api_call *call) {
    api_to_controller(call, NULL);
}
