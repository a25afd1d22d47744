// OffsetDelete, version 0 (KIP-496).
#include "api/group_route.h"

void api_offset_delete(struct api_call *call) {
    const struct offset_delete_request *request = call->request;
    api_group_call(call, request->group_id, NULL);
}
