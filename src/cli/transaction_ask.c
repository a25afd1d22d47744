#include "cli/transaction.h"
#include "wire/codec.h"

// ---- Which transactions there are ----

static enum err list_node(struct session *s, int32_t node,
                          struct list_transactions_request *request, struct arena *arena,
                          struct transaction_listings *out, struct client_call *call) {
    int16_t version_min = 0;
    if (request->duration_filter >= 0) version_min = 1;
    if (!slice_is_null(request->transactional_id_pattern)) version_min = 2;
    *call = (struct client_call){.target = CLIENT_NODE,
                                 .node = node,
                                 .api = API_LIST_TRANSACTIONS,
                                 .version_min = version_min,
                                 .message = request};
    enum err err = session_call(s, call);
    const struct list_transactions_response *answer = call->response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    if (err != ERR_NONE) return err;
    int32_t count = out->count + answer->transaction_states_count;
    struct transaction_listing *list = arena_zalloc(arena, (size_t)count, sizeof *list);
    for (int32_t i = 0; i < out->count; i++)
        list[i] = out->list[i];
    for (int32_t i = 0; i < answer->transaction_states_count; i++) {
        const struct list_transactions_response_transaction_state *t =
            &answer->transaction_states[i];
        list[out->count + i] =
            (struct transaction_listing){.id = arena_copy(arena, t->transactional_id),
                                         .state = arena_copy(arena, t->transaction_state),
                                         .producer_id = t->producer_id,
                                         .coordinator = node};
    }
    *out = (struct transaction_listings){list, count};
    return ERR_NONE;
}

int transactions_list(struct session *s, struct list_transactions_request *request,
                      struct arena *arena, struct transaction_listings *out) {
    *out = (struct transaction_listings){NULL, 0};
    struct metadata_request everything;
    codec_init(&metadata_request_codec, &everything);
    struct client_call metadata = {.api = API_METADATA, .version_min = 1, .message = &everything};
    enum err err = session_call(s, &metadata);
    int code = err == ERR_NONE ? 0 : session_failed(s, &metadata, err);
    const struct metadata_response *nodes = metadata.response;
    for (int32_t i = 0; code == 0 && i < nodes->brokers_count; i++) {
        struct client_call call;
        err = list_node(s, nodes->brokers[i].node_id, request, arena, out, &call);
        if (err != ERR_NONE) code = session_failed(s, &call, err);
        client_call_release(&call);
    }
    client_call_release(&metadata);
    return code;
}

// ---- Which producers a partition has ----

static enum err producers_verdict(struct client_call *call) {
    const struct describe_producers_response *r = call->response;
    if (r->topics_count != 1 || r->topics[0].partitions_count != 1) return ERR_CORRUPT;
    return err_of_wire(r->topics[0].partitions[0].error_code);
}

int transaction_producers(struct session *s, struct slice topic, int32_t partition,
                          struct client_call *call) {
    *call = (struct client_call){.api = API_DESCRIBE_PRODUCERS};
    int32_t leader;
    enum err err = session_leader(s, topic, partition, &leader);
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        return cli_fail(s->cli, "there is no partition %.*s-%d", SLICE_PRINT(topic), partition);
    }
    if (err != ERR_NONE) return cli_fail(s->cli, "%s", err_text(err));
    struct describe_producers_request request;
    struct describe_producers_request_topic t;
    codec_init(&describe_producers_request_codec, &request);
    codec_init(&describe_producers_request_topic_codec, &t);
    request.topics = &t;
    request.topics_count = 1;
    t.name = topic;
    t.partition_indexes = &partition;
    t.partition_indexes_count = 1;
    call->target = CLIENT_NODE;
    call->node = leader;
    call->message = &request;
    call->verdict = producers_verdict;
    err = session_call(s, call);
    return err == ERR_NONE ? 0 : session_failed(s, call, err);
}

void transaction_age(struct session *s, int64_t since_ms, struct table *table, int column) {
    if (since_ms < 0) return;
    double seconds = (double)MAX(env_wall_ms(s->env) - since_ms, (int64_t)0) / 1000.0;
    table_format(table, column, "%.1f", seconds);
}
