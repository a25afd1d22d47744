// JoinGroup, versions 0 to 9: the answer comes when the rebalance is over.
#include "api/group_route.h"

void api_join_group(struct api_call *call) {
    const struct join_group_request *request = call->request;
    if (request->group_id.size == 0) {
        struct join_group_response *response = call->response;
        response->error_code = err_wire(ERR_INVALID_GROUP_ID);
        response->member_id = request->member_id;
        if (call->version >= 7) response->protocol_name = SLICE_NULL;
        api_reply(call);
        return;
    }
    api_group_call(call, request->group_id, NULL);
}
