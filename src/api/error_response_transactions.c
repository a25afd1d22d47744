// Error responses of the APIs about transactions.
#include "api/error_response_transactions.h"

void fill_write_txn_markers(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct write_txn_markers_request *request = call->request;
    struct write_txn_markers_response *response = call->response;
    response->markers_count = MAX(request->markers_count, 0);
    response->markers = write_txn_markers_response_marker_new(call->arena, response->markers_count);
    for (int32_t m = 0; m < response->markers_count; m++) {
        const struct write_txn_markers_request_marker *marker = &request->markers[m];
        struct write_txn_markers_response_marker *out = &response->markers[m];
        out->producer_id = marker->producer_id;
        out->topics_count = marker->topics_count;
        out->topics = write_txn_markers_response_topic_new(call->arena, marker->topics_count);
        for (int32_t t = 0; t < marker->topics_count; t++) {
            const struct write_txn_markers_request_topic *from = &marker->topics[t];
            struct write_txn_markers_response_topic *to = &out->topics[t];
            to->name = from->name;
            to->partitions_count = from->partition_indexes_count;
            to->partitions = write_txn_markers_response_partition_new(
                call->arena, from->partition_indexes_count);
            for (int32_t p = 0; p < from->partition_indexes_count; p++) {
                to->partitions[p].partition_index = from->partition_indexes[p];
                to->partitions[p].error_code = code;
            }
        }
    }
}

// From version 4 on the error stands at the top.
void fill_add_partitions_to_txn(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct add_partitions_to_txn_request *request = call->request;
    struct add_partitions_to_txn_response *response = call->response;
    response->error_code = code;
    int32_t topics = MAX(request->v3_and_below_topics_count, 0);
    response->results_by_topic_v3_and_below_count = topics;
    response->results_by_topic_v3_and_below =
        add_partitions_to_txn_response_topic_result_new(call->arena, topics);
    for (int32_t t = 0; t < topics; t++) {
        const struct add_partitions_to_txn_request_topic *from = &request->v3_and_below_topics[t];
        struct add_partitions_to_txn_response_topic_result *to =
            &response->results_by_topic_v3_and_below[t];
        to->name = from->name;
        to->results_by_partition_count = from->partitions_count;
        to->results_by_partition = add_partitions_to_txn_response_partition_result_new(
            call->arena, from->partitions_count);
        for (int32_t p = 0; p < from->partitions_count; p++) {
            to->results_by_partition[p].partition_index = from->partitions[p];
            to->results_by_partition[p].partition_error_code = code;
        }
    }
}

void fill_describe_transactions(struct api_call *call, int16_t code, UNUSED struct slice text) {
    const struct describe_transactions_request *request = call->request;
    struct describe_transactions_response *response = call->response;
    int32_t count = MAX(request->transactional_ids_count, 0);
    response->transaction_states_count = count;
    response->transaction_states =
        describe_transactions_response_transaction_state_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        response->transaction_states[i].transactional_id = request->transactional_ids[i];
        response->transaction_states[i].error_code = code;
    }
}
