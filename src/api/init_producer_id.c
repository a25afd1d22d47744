// InitProducerId, versions 0 to 5, for idempotent producers. Transactional ids need a coordinator,
// which is not here yet: the answer is the one that a broker gives which is not it.
#include "api/producer_ids.h"

static void answer(struct api_call *call, enum err error, int64_t producer_id) {
    struct init_producer_id_response *response = call->response;
    response->error_code = err_wire(error);
    response->producer_id = producer_id;
    response->producer_epoch = error == ERR_NONE ? 0 : -1;
    api_reply(call);
}

void api_init_producer_id(struct api_call *call) {
    const struct init_producer_id_request *request = call->request;
    bool has_id = request->producer_id != -1, has_epoch = request->producer_epoch != -1;
    if (has_id != has_epoch) {
        answer(call, ERR_INVALID_REQUEST, -1);
    } else if (slice_is_null(request->transactional_id)) {
        // A producer without transactional id gets a new id, whatever it had before.
        producer_ids_take(call->node->producer_ids, call, answer);
    } else if (request->transactional_id.size == 0) {
        answer(call, ERR_INVALID_REQUEST, -1);
    } else {
        answer(call, ERR_NOT_COORDINATOR, -1);
    }
}
