// Heartbeat, versions 0 to 4.
#include "api/group_route.h"

// While the group is loaded members keep their membership: Kafka answers that all is well.
static enum err failed(UNUSED struct api_call *call, enum err error) {
    return error == ERR_COORDINATOR_LOAD_IN_PROGRESS ? ERR_NONE : error;
}

void api_heartbeat(struct api_call *call) {
    const struct heartbeat_request *request = call->request;
    if (request->group_id.size == 0) {
        api_reply_error(call, ERR_INVALID_GROUP_ID, NULL);
        return;
    }
    api_group_call(call, request->group_id, failed);
}
