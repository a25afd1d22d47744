// DescribeTransactions: the state of each id that is named, with the partitions of its open
// transaction.
#include "api/transaction_ask.h"

struct description {
    struct transaction_ask ask;
    struct descriptions *all;
    struct describe_transactions_response_transaction_state *out;
};

struct descriptions {
    struct api_call *call;
    int32_t open;
};

static void one_done(struct descriptions *all) {
    if (--all->open == 0) api_reply(all->call);
}

// The partitions are sorted: a run of one name is a topic.
static void fill_topics(struct arena *arena, const struct transaction *t,
                        struct describe_transactions_response_transaction_state *out) {
    int32_t *numbers = arena_zalloc(arena, (size_t)t->partition_count, sizeof *numbers);
    out->topics = describe_transactions_response_topic_new(arena, t->partition_count);
    for (int32_t i = 0; i < t->partition_count; i++) {
        numbers[i] = t->partitions[i].partition;
        if (i == 0 || !slice_equal(t->partitions[i - 1].topic, t->partitions[i].topic)) {
            out->topics[out->topics_count].topic = t->partitions[i].topic;
            out->topics[out->topics_count++].partitions = &numbers[i];
        }
        out->topics[out->topics_count - 1].partitions_count++;
    }
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct description *d = container_of(ask, struct description, ask);
    const struct transaction *t = &ask->call.described;
    d->out->error_code = err_wire(result);
    if (result == ERR_NONE) {
        d->out->transaction_state = slice_cstring(transaction_state_name(t->state));
        d->out->transaction_timeout_ms = t->timeout_ms;
        d->out->transaction_start_time_ms = t->start_ms;
        d->out->producer_id = t->producer_id;
        d->out->producer_epoch = t->producer_epoch;
        fill_topics(d->all->call->arena, t, d->out);
    }
    one_done(d->all);
}

void api_describe_transactions(struct api_call *call) {
    const struct describe_transactions_request *request = call->request;
    struct describe_transactions_response *response = call->response;
    int32_t count = request->transactional_ids_count;
    struct descriptions *all = arena_zalloc(call->arena, 1, sizeof *all);
    struct description *list = arena_zalloc(call->arena, (size_t)count, sizeof *list);
    response->transaction_states =
        describe_transactions_response_transaction_state_new(call->arena, count);
    response->transaction_states_count = count;
    all->call = call;
    all->open = count + 1;  // this loop itself
    for (int32_t i = 0; i < count; i++) {
        struct slice id = request->transactional_ids[i];
        list[i].all = all;
        list[i].out = &response->transaction_states[i];
        list[i].out->transactional_id = id;
        list[i].ask.call.kind = TRANSACTION_DESCRIBE;
        if (id.size == 0) {
            answered(&list[i].ask, ERR_INVALID_REQUEST);
        } else {
            transaction_ask_start(&list[i].ask, call, id, answered);
        }
    }
    one_done(all);
}
