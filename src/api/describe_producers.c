// DescribeProducers, version 0 (KIP-664): the idempotent and transactional producers that a
// partition remembers.
#include "api/partition_access.h"
#include "api/partition_rows.h"
#include "metadata/topic_name.h"

struct producers_row {
    struct partition_row row;
    struct slice error_text;
    struct producer_info *producers;  // in the part's arena
    int32_t count;
};

struct describe_producers {
    struct partition_rows rows;
    struct producers_row *list;
};

static void run(struct partition_rows_part *part) {
    for (struct partition_row *at = part->first; at != NULL; at = at->next) {
        struct producers_row *row = container_of(at, struct producers_row, row);
        struct partition *partition;
        at->error =
            partition_access(part->scatter_part.node, at->topic_id, at->index, -1, &partition);
        if (at->error != ERR_NONE) continue;
        log_producers(partition->log, part->scatter_part.arena, &row->producers, &row->count);
    }
    partition_rows_part_done(part);
}

static void fill_partition(struct arena *arena, const struct producers_row *row,
                           struct describe_producers_response_partition *out) {
    out->partition_index = row->row.index;
    out->error_code = err_wire(row->row.error);
    out->error_message = row->error_text;
    out->active_producers = describe_producers_response_active_producer_new(arena, row->count);
    out->active_producers_count = row->count;
    for (int32_t i = 0; i < row->count; i++) {
        const struct producer_info *info = &row->producers[i];
        struct describe_producers_response_active_producer *producer = &out->active_producers[i];
        producer->producer_id = info->producer_id;
        producer->producer_epoch = info->producer_epoch;
        producer->last_sequence = info->last_sequence;
        producer->last_timestamp = info->last_timestamp;
        producer->coordinator_epoch = info->coordinator_epoch;
        producer->current_txn_start_offset = info->current_transaction_first_offset;
    }
}

static void done(struct partition_rows *rows) {
    struct describe_producers *describe = container_of(rows, struct describe_producers, rows);
    struct api_call *call = rows->call;
    const struct describe_producers_request *request = call->request;
    struct describe_producers_response *response = call->response;
    response->topics = describe_producers_response_topic_new(call->arena, request->topics_count);
    response->topics_count = request->topics_count;
    const struct producers_row *row = describe->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        int32_t count = request->topics[t].partition_indexes_count;
        struct describe_producers_response_topic *out = &response->topics[t];
        out->name = request->topics[t].name;
        out->partitions = describe_producers_response_partition_new(call->arena, count);
        out->partitions_count = count;
        for (int32_t p = 0; p < count; p++)
            fill_partition(call->arena, row++, &out->partitions[p]);
    }
    partition_rows_deinit(rows);
    api_reply(call);
}

void api_describe_producers(struct api_call *call) {
    const struct describe_producers_request *request = call->request;
    struct describe_producers *describe = arena_zalloc(call->arena, 1, sizeof *describe);
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++) {
        count += request->topics[t].partition_indexes_count;
    }
    describe->list = partition_rows_new(call, (size_t)count, sizeof *describe->list);
    if (describe->list == NULL) return;
    partition_rows_init(&describe->rows, call, sizeof(struct partition_rows_part));
    struct producers_row *row = describe->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct describe_producers_request_topic *topic = &request->topics[t];
        const struct topic_image *image = image_topic(call->node->image, topic->name);
        struct message text;
        message_init(&text);
        enum err err = topic_name_check(topic->name, &text);
        if (err == ERR_NONE && image == NULL) {
            err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
            message_set(&text, "%s", err_text(err));
        }
        struct slice error_text = arena_copy(call->arena, message_slice(&text));
        for (int32_t p = 0; p < topic->partition_indexes_count; p++, row++) {
            row->row.index = topic->partition_indexes[p];
            row->row.error = err;
            row->error_text = error_text;
            if (err == ERR_NONE) partition_rows_add(&describe->rows, &row->row, image);
        }
    }
    partition_rows_start(&describe->rows, run, done);
}
