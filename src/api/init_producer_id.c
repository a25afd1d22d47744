// InitProducerId, versions 0 to 5: ids for idempotent producers, and for transactional ones the id
// and epoch under which they begin, by which whoever used the transactional id before is fenced.
#include "api/producer_ids.h"
#include "api/transaction_ask.h"

enum { VERSION_FENCED = 4 };

static void answer(struct api_call *call, enum err error, int64_t producer_id, int16_t epoch) {
    struct init_producer_id_response *response = call->response;
    response->error_code = err_wire(error);
    response->producer_id = error == ERR_NONE ? producer_id : -1;
    response->producer_epoch = error == ERR_NONE ? epoch : -1;
    api_reply(call);
}

static void got_id(void *context, enum err result, int64_t producer_id) {
    answer(context, result, producer_id, 0);
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct api_call *call = ask->context;
    answer(call, transaction_error(result, call->version >= VERSION_FENCED), ask->call.producer_id,
           ask->call.producer_epoch);
}

void api_init_producer_id(struct api_call *call) {
    const struct init_producer_id_request *request = call->request;
    bool has_id = request->producer_id != -1, has_epoch = request->producer_epoch != -1;
    if (has_id != has_epoch) {
        answer(call, ERR_INVALID_REQUEST, -1, -1);
    } else if (slice_is_null(request->transactional_id)) {
        // A producer without transactional id gets a new id, whatever it had before.
        producer_ids_take(call, got_id, call);
    } else if (request->transactional_id.size == 0) {
        answer(call, ERR_INVALID_REQUEST, -1, -1);
    } else {
        struct transaction_ask *ask = arena_zalloc(call->arena, 1, sizeof *ask);
        ask->context = call;
        ask->call.kind = TRANSACTION_INIT;
        ask->call.init = (struct transaction_init){.timeout_ms = request->transaction_timeout_ms,
                                                   .producer_id = request->producer_id,
                                                   .producer_epoch = request->producer_epoch};
        transaction_ask_start(ask, call, request->transactional_id, answered);
    }
}
