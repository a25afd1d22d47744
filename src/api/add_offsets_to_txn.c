// AddOffsetsToTxn, versions 0 to 4: the partition of __consumer_offsets that keeps a group's
// offsets becomes part of the transaction.
#include "api/group_route.h"
#include "api/transaction_ask.h"

enum { VERSION_FENCED = 2 };

static void answer(struct api_call *call, enum err error) {
    struct add_offsets_to_txn_response *response = call->response;
    response->error_code = err_wire(transaction_error(error, call->version >= VERSION_FENCED));
    api_reply(call);
}

static void answered(struct transaction_ask *ask, enum err result) {
    answer(ask->context, result);
}

void api_add_offsets_to_txn(struct api_call *call) {
    const struct add_offsets_to_txn_request *request = call->request;
    int32_t count = group_partition_count(call->node);
    if (request->transactional_id.size == 0) {
        answer(call, ERR_INVALID_REQUEST);
        return;
    }
    if (count == 0) {
        answer(call, ERR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    struct transaction_ask *ask = arena_zalloc(call->arena, 1, sizeof *ask);
    struct transaction_partition *partition = arena_zalloc(call->arena, 1, sizeof *partition);
    partition->topic = SLICE_LITERAL(GROUP_TOPIC);
    partition->partition = group_partition_of(request->group_id, count);
    ask->context = call;
    ask->call.kind = TRANSACTION_ADD;
    ask->call.add =
        (struct transaction_add){.producer_id = request->producer_id,
                                 .producer_epoch = request->producer_epoch,
                                 .partitions = partition,
                                 .partition_count = 1,
                                 .client_version = 0};  // with TV2 nobody asks
    transaction_ask_start(ask, call, request->transactional_id, answered);
}
