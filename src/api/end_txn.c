// EndTxn, versions 0 to 5: commits or aborts. The answer leaves when the decision is durable; the
// markers follow. From version 5 on (KIP-890) the producer gets a new epoch with it.
#include "api/transaction_ask.h"

enum { VERSION_FENCED = 2, VERSION_BUMPS = 5 };

static void answer(struct api_call *call, enum err error) {
    struct end_txn_response *response = call->response;
    response->error_code = err_wire(transaction_error(error, call->version >= VERSION_FENCED));
    api_reply(call);
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct api_call *call = ask->context;
    struct end_txn_response *response = call->response;
    if (result == ERR_NONE) {
        response->producer_id = ask->call.producer_id;
        response->producer_epoch = ask->call.producer_epoch;
    }
    answer(call, result);
}

void api_end_txn(struct api_call *call) {
    const struct end_txn_request *request = call->request;
    if (request->transactional_id.size == 0) {
        answer(call, ERR_INVALID_REQUEST);
        return;
    }
    struct transaction_ask *ask = arena_zalloc(call->arena, 1, sizeof *ask);
    ask->context = call;
    ask->call.kind = TRANSACTION_END;
    ask->call.end =
        (struct transaction_end){.producer_id = request->producer_id,
                                 .producer_epoch = request->producer_epoch,
                                 .commit = request->committed,
                                 .client_version = call->version >= VERSION_BUMPS ? 2 : 0};
    transaction_ask_start(ask, call, request->transactional_id, answered);
}
