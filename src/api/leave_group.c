// LeaveGroup, versions 0 to 5 (from v3 on for many members at once, KIP-345).
#include "api/group_route.h"

void api_leave_group(struct api_call *call) {
    const struct leave_group_request *request = call->request;
    if (request->group_id.size == 0) {
        api_reply_error(call, ERR_INVALID_GROUP_ID, NULL);
        return;
    }
    api_group_call(call, request->group_id, NULL);
}
