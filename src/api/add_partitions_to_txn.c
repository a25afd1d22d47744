// AddPartitionsToTxn: versions 0 to 3 from clients (one transaction; all partitions or none), 4 and
// 5 between brokers (several transactions, adding, or only asking whether the partitions belong to
// the open transaction; KIP-890).
#include "api/transaction_ask.h"

enum { VERSION_FENCED = 2, VERSION_BATCH = 4 };

typedef const struct add_partitions_to_txn_request_topic request_topic;

struct adding {
    struct transaction_ask ask;
    struct additions *all;
    request_topic *topics;
    int32_t topics_count;
    // One per partition: what the metadata says, then what the coordinator says.
    enum err *errors;
    int32_t count;
};

struct additions {
    struct api_call *call;
    struct adding *list;
    int32_t count;
    int32_t open;
};

static struct add_partitions_to_txn_response_topic_result *results_of(const struct adding *a,
                                                                      struct arena *arena) {
    struct add_partitions_to_txn_response_topic_result *topics =
        add_partitions_to_txn_response_topic_result_new(arena, a->topics_count);
    int32_t at = 0;
    for (int32_t t = 0; t < a->topics_count; t++) {
        int32_t count = a->topics[t].partitions_count;
        topics[t].name = a->topics[t].name;
        topics[t].results_by_partition_count = count;
        topics[t].results_by_partition =
            add_partitions_to_txn_response_partition_result_new(arena, count);
        for (int32_t p = 0; p < count; p++, at++) {
            topics[t].results_by_partition[p].partition_index = a->topics[t].partitions[p];
            topics[t].results_by_partition[p].partition_error_code = err_wire(a->errors[at]);
        }
    }
    return topics;
}

static void reply(struct additions *all) {
    struct api_call *call = all->call;
    struct add_partitions_to_txn_response *response = call->response;
    if (call->version < VERSION_BATCH) {
        response->results_by_topic_v3_and_below = results_of(all->list, call->arena);
        response->results_by_topic_v3_and_below_count = all->list->topics_count;
    } else {
        const struct add_partitions_to_txn_request *request = call->request;
        response->results_by_transaction_count = all->count;
        response->results_by_transaction =
            add_partitions_to_txn_response_results_by_transaction_new(call->arena, all->count);
        for (int32_t i = 0; i < all->count; i++) {
            response->results_by_transaction[i].transactional_id =
                request->transactions[i].transactional_id;
            response->results_by_transaction[i].topic_results =
                results_of(&all->list[i], call->arena);
            response->results_by_transaction[i].topic_results_count = all->list[i].topics_count;
        }
    }
    api_reply(call);
}

static void one_done(struct additions *all) {
    if (--all->open == 0) reply(all);
}

static enum err error_for(const struct api_call *call, enum err error) {
    return transaction_error(error, call->version >= VERSION_FENCED);
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct adding *a = container_of(ask, struct adding, ask);
    bool verifies = ask->call.kind == TRANSACTION_VERIFY && result == ERR_NONE;
    for (int32_t i = 0; i < a->count; i++)
        a->errors[i] = error_for(a->all->call, verifies ? ask->call.partition_errors[i] : result);
    one_done(a->all);
}

// The partitions as a list; false when one is not there: then none is attempted.
static bool list_partitions(struct adding *a, struct transaction_partition *list) {
    const struct image *image = a->all->call->node->image;
    bool all_there = true;
    int32_t at = 0;
    for (int32_t t = 0; t < a->topics_count; t++) {
        const struct topic_image *topic = image_topic(image, a->topics[t].name);
        for (int32_t p = 0; p < a->topics[t].partitions_count; p++, at++) {
            int32_t index = a->topics[t].partitions[p];
            list[at] = (struct transaction_partition){a->topics[t].name, index};
            bool is_there = topic != NULL && topic_partition(topic, index) != NULL;
            a->errors[at] = is_there ? ERR_OPERATION_NOT_ATTEMPTED : ERR_UNKNOWN_TOPIC_OR_PARTITION;
            all_there &= is_there;
        }
    }
    return all_there;
}

static void start(struct adding *a, struct slice transactional_id, int64_t producer_id,
                  int16_t producer_epoch, bool verify_only) {
    struct api_call *call = a->all->call;
    for (int32_t t = 0; t < a->topics_count; t++)
        a->count += a->topics[t].partitions_count;
    a->errors = arena_zalloc(call->arena, (size_t)a->count, sizeof *a->errors);
    struct transaction_partition *list = arena_zalloc(call->arena, (size_t)a->count, sizeof *list);
    if (!list_partitions(a, list)) {
        one_done(a->all);
        return;
    }
    a->ask.call.kind = verify_only ? TRANSACTION_VERIFY : TRANSACTION_ADD;
    a->ask.call.add =
        (struct transaction_add){.producer_id = producer_id,
                                 .producer_epoch = producer_epoch,
                                 .partitions = list,
                                 .partition_count = a->count,
                                 .client_version = call->version >= VERSION_BATCH ? 2 : 0};
    if (transactional_id.size == 0) {
        answered(&a->ask, ERR_INVALID_REQUEST);
    } else {
        transaction_ask_start(&a->ask, call, transactional_id, answered);
    }
}

void api_add_partitions_to_txn(struct api_call *call) {
    const struct add_partitions_to_txn_request *request = call->request;
    struct additions *all = arena_zalloc(call->arena, 1, sizeof *all);
    bool is_batch = call->version >= VERSION_BATCH;
    all->call = call;
    all->count = is_batch ? request->transactions_count : 1;
    all->list = arena_zalloc(call->arena, (size_t)all->count, sizeof *all->list);
    all->open = all->count + 1;  // this loop itself
    for (int32_t i = 0; i < all->count; i++) {
        struct adding *a = &all->list[i];
        a->all = all;
        if (is_batch) {
            a->topics = request->transactions[i].topics;
            a->topics_count = request->transactions[i].topics_count;
            start(a, request->transactions[i].transactional_id,
                  request->transactions[i].producer_id, request->transactions[i].producer_epoch,
                  request->transactions[i].verify_only);
        } else {
            a->topics = request->v3_and_below_topics;
            a->topics_count = request->v3_and_below_topics_count;
            start(a, request->v3_and_below_transactional_id, request->v3_and_below_producer_id,
                  request->v3_and_below_producer_epoch, false);
        }
    }
    one_done(all);
}
