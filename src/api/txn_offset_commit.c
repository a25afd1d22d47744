// TxnOffsetCommit, versions 0 to 6 (KIP-98; with the group's generation from v3 on, KIP-447; by
// topic id from v6 on): offsets of a group that count when the producer's transaction is committed.
#include "api/error_response_groups.h"
#include "api/group_route.h"

// The rows of topics and partitions that are not there keep their own error.
static enum err failed(struct api_call *call, enum err error) {
    const struct txn_offset_commit_request *request = call->request;
    struct txn_offset_commit_response *response = call->response;
    // Clients before 2.3 do not know that one.
    if (call->version < 2 && error == ERR_COORDINATOR_LOAD_IN_PROGRESS)
        error = ERR_COORDINATOR_NOT_AVAILABLE;
    fill_txn_offset_commit(call, err_wire(error), SLICE_EMPTY);
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct txn_offset_commit_request_topic *t = &request->topics[i];
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

void api_txn_offset_commit(struct api_call *call) {
    const struct txn_offset_commit_request *request = call->request;
    if (request->group_id.size == 0) {
        fill_txn_offset_commit(call, err_wire(ERR_INVALID_GROUP_ID), SLICE_EMPTY);
        api_reply(call);
        return;
    }
    api_group_call(call, request->group_id, failed);
}
