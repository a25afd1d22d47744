// JoinGroup, versions 0 to 9: the answer comes when the rebalance is over.
#include "api/group_route.h"

void api_join_group(struct api_call *call) {
    const struct join_group_request *request = call->request;
    if (request->group_id.size == 0) {
        api_reply_error(call, ERR_INVALID_GROUP_ID, NULL);
        return;
    }
    api_group_call(call, request->group_id);
}
