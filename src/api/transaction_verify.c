#include "api/transaction_verify.h"

static enum err client_error(const struct transaction_verify *v, enum err error) {
    if (error == ERR_PRODUCER_FENCED) return ERR_INVALID_PRODUCER_EPOCH;
    if (error == ERR_TRANSACTION_ABORTABLE && v->client == TRANSACTION_CLIENT_OLD)
        return ERR_INVALID_TXN_STATE;
    return error;
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct transaction_verify *v = container_of(ask, struct transaction_verify, ask);
    bool is_verified = result == ERR_NONE && ask->call.kind == TRANSACTION_VERIFY;
    for (int32_t i = 0; i < v->count; i++)
        v->errors[i] = client_error(v, is_verified ? ask->call.partition_errors[i] : result);
    v->done(v);
}

void transaction_verify_start(struct transaction_verify *v, struct api_call *call) {
    bool adds = v->client == TRANSACTION_CLIENT_TWO;
    v->errors = arena_zalloc(call->arena, (size_t)v->count, sizeof *v->errors);
    if (transaction_partition_count(call->node) == 0) {
        // Nobody is known that could be asked.
        for (int32_t i = 0; i < v->count; i++)
            v->errors[i] = ERR_COORDINATOR_NOT_AVAILABLE;
        v->done(v);
        return;
    }
    v->ask = (struct transaction_ask){0};
    v->ask.call.kind = adds ? TRANSACTION_ADD : TRANSACTION_VERIFY;
    v->ask.call.add = (struct transaction_add){.producer_id = v->producer_id,
                                               .producer_epoch = v->producer_epoch,
                                               .partitions = v->partitions,
                                               .partition_count = v->count,
                                               .client_version = adds ? 2 : 0};
    transaction_ask_start(&v->ask, call, v->transactional_id, answered);
}

struct slice transaction_verify_text(struct arena *arena, enum err error) {
    switch (error) {
        case ERR_INVALID_TXN_STATE:
            return SLICE_LITERAL("Partition was not added to the transaction");
        case ERR_CONCURRENT_TRANSACTIONS:
        case ERR_COORDINATOR_LOAD_IN_PROGRESS:
        case ERR_COORDINATOR_NOT_AVAILABLE:
        case ERR_NOT_COORDINATOR:
            return arena_format(arena,
                                "Unable to verify the partition has been added to the transaction. "
                                "Underlying error: %s",
                                err_name(error));
        default:
            return SLICE_NULL;
    }
}
