// CreatePartitions: the controller decides (controller/partitions.c).
#include "api/call.h"

void api_create_partitions(struct api_call *call) {
    api_to_controller(call, NULL);
}
