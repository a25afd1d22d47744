// TxnOffsetCommit, versions 0 to 6 (KIP-98; with the group's generation from v3 on, KIP-447; by
// topic id from v6 on): offsets of a group that count when the producer's transaction is committed.
#include "api/error_response_groups.h"
#include "api/group_route.h"
#include "api/transaction_verify.h"
#include "config/config.h"

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

static void verified(struct transaction_verify *verify) {
    struct api_call *call = verify->context;
    const struct txn_offset_commit_request *request = call->request;
    if (verify->errors[0] == ERR_NONE) {
        api_group_call(call, request->group_id, failed);
        return;
    }
    (void)failed(call, verify->errors[0]);
    api_reply(call);
}

static void verify(struct api_call *call, int32_t partition_count) {
    const struct txn_offset_commit_request *request = call->request;
    struct transaction_verify *v = arena_zalloc(call->arena, 1, sizeof *v);
    v->client = call->version >= 5   ? TRANSACTION_CLIENT_TWO
                : call->version == 4 ? TRANSACTION_CLIENT_ABORTABLE
                                     : TRANSACTION_CLIENT_OLD;
    v->transactional_id = request->transactional_id;
    v->producer_id = request->producer_id;
    v->producer_epoch = request->producer_epoch;
    v->partitions = arena_zalloc(call->arena, 1, sizeof *v->partitions);
    v->partitions->topic = SLICE_LITERAL(GROUP_TOPIC);
    v->partitions->partition = group_partition_of(request->group_id, partition_count);
    v->count = 1;
    v->context = call;
    v->done = verified;
    transaction_verify_start(v, call);
}

void api_txn_offset_commit(struct api_call *call) {
    const struct txn_offset_commit_request *request = call->request;
    if (request->group_id.size == 0) {
        fill_txn_offset_commit(call, err_wire(ERR_INVALID_GROUP_ID), SLICE_EMPTY);
        api_reply(call);
        return;
    }
    int32_t count = group_partition_count(call->node);
    bool verifies =
        call->version >= 5 ||
        config_bool(call->node->config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE);
    if (count > 0 && verifies) {
        verify(call, count);
    } else {
        api_group_call(call, request->group_id, failed);
    }
}
