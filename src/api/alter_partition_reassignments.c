// AlterPartitionReassignments (KIP-455): the controller decides (controller/reassignments.c).
#include "api/call.h"

void api_alter_partition_reassignments(struct api_call *call) {
    api_to_controller(call, NULL);
}
