// OffsetCommit, versions 2 to 10 (from v10 on by topic id, KIP-848).
#include "api/error_response_groups.h"
#include "api/group_route.h"

// The rows of topics and partitions that are not there keep their own error.
static enum err failed(struct api_call *call, enum err error) {
    const struct offset_commit_request *request = call->request;
    struct offset_commit_response *response = call->response;
    fill_offset_commit(call, err_wire(error), SLICE_EMPTY);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct offset_commit_request_topic *t = &request->topics[i];
        for (int32_t j = 0; j < t->partitions_count; j++) {
            const struct topic_image *topic;
            enum err unknown = group_find_topic(call->node->image, t->name, t->topic_id,
                                                t->partitions[j].partition_index, &topic);
            if (unknown != ERR_NONE)
                response->topics[i].partitions[j].error_code = err_wire(unknown);
        }
    }
    return ERR_NONE;
}

void api_offset_commit(struct api_call *call) {
    const struct offset_commit_request *request = call->request;
    api_group_call(call, request->group_id, failed);
}
