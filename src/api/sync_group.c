// SyncGroup, versions 0 to 5: the answer comes when the leader's assignment is durable.
#include "api/group_route.h"

void api_sync_group(struct api_call *call) {
    const struct sync_group_request *request = call->request;
    // KIP-559: from v5 on a client names the protocol that it joined with.
    bool lacks_protocol = call->version >= 5 && (slice_is_null(request->protocol_type) ||
                                                 slice_is_null(request->protocol_name));
    if (lacks_protocol) {
        api_reply_error(call, ERR_INCONSISTENT_GROUP_PROTOCOL, NULL);
    } else if (request->group_id.size == 0) {
        api_reply_error(call, ERR_INVALID_GROUP_ID, NULL);
    } else {
        api_group_call(call, request->group_id, NULL);
    }
}
