// ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848).
#include "api/group_route.h"

void api_consumer_group_heartbeat(struct api_call *call) {
    const struct consumer_group_heartbeat_request *request = call->request;
    api_group_call(call, request->group_id, NULL);
}
