// DeleteRecords, versions 0 to 2 (KIP-107): moves the log start up; visible at once.
#include "api/partition_access.h"
#include "api/partition_rows.h"
#include "metadata/effective_config.h"
#include "metadata/topic_name.h"

#define TO_HIGH_WATERMARK (-1)

struct delete_row {
    struct partition_row row;
    int64_t offset;
    int64_t low_watermark;
    struct partition_rows_sync sync;
};

struct delete_records {
    struct partition_rows rows;
    struct delete_row *list;
};

static enum err delete_up_to(struct partition *partition, int64_t offset, int64_t *low_watermark) {
    if (offset == TO_HIGH_WATERMARK) offset = partition->high_watermark;
    if (offset < 0 || offset > partition->high_watermark) return ERR_OFFSET_OUT_OF_RANGE;
    // An offset that was passed already changes nothing.
    if (offset > log_start_offset(partition->log)) {
        enum err err = log_advance_start(partition->log, offset);
        if (err != ERR_NONE) return err;
    }
    *low_watermark = log_start_offset(partition->log);
    return ERR_NONE;
}

static bool depends_on_sync(const struct delete_row *row, const struct partition *partition) {
    if (row->offset == TO_HIGH_WATERMARK) return true;
    return row->offset > partition->high_watermark &&
           row->offset <= log_end_written(partition->log);
}

static void work_on(struct partition_rows_part *part) {
    while (part->cursor != NULL) {
        struct delete_row *row = container_of(part->cursor, struct delete_row, row);
        part->cursor = row->row.next;
        struct partition *partition;
        row->row.error = partition_access(part->scatter_part.node, row->row.topic_id,
                                          row->row.index, -1, &partition);
        if (row->row.error != ERR_NONE) continue;
        if (depends_on_sync(row, partition) &&
            partition_rows_wait_sync(&row->sync, &row->row, partition, work_on)) {
            return;
        }
        row->row.error = delete_up_to(partition, row->offset, &row->low_watermark);
    }
    partition_rows_part_done(part);
}

static void run(struct partition_rows_part *part) {
    part->cursor = part->first;
    work_on(part);
}

static void done(struct partition_rows *rows) {
    struct delete_records *delete = container_of(rows, struct delete_records, rows);
    struct api_call *call = rows->call;
    const struct delete_records_request *request = call->request;
    struct delete_records_response *response = call->response;
    response->topics = delete_records_response_topic_new(call->arena, request->topics_count);
    response->topics_count = request->topics_count;
    const struct delete_row *row = delete->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        int32_t count = request->topics[t].partitions_count;
        struct delete_records_response_topic *out = &response->topics[t];
        out->name = request->topics[t].name;
        out->partitions = delete_records_response_partition_new(call->arena, count);
        out->partitions_count = count;
        for (int32_t p = 0; p < count; p++, row++) {
            out->partitions[p].partition_index = row->row.index;
            out->partitions[p].error_code = err_wire(row->row.error);
            out->partitions[p].low_watermark = row->low_watermark;
        }
    }
    partition_rows_deinit(rows);
    api_reply(call);
}

// Refusals that go for a whole topic.
static enum err check_topic(const struct api_call *call, const struct topic_image *topic) {
    if (topic == NULL) return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic_name_is_internal(topic->name)) return ERR_INVALID_TOPIC_EXCEPTION;
    struct topic_settings settings;
    effective_topic_settings(call->node->image, call->node->config, topic->name, &settings);
    if (settings.compact_policy && !settings.delete_policy) return ERR_POLICY_VIOLATION;
    return ERR_NONE;
}

void api_delete_records(struct api_call *call) {
    const struct delete_records_request *request = call->request;
    struct delete_records *delete = arena_zalloc(call->arena, 1, sizeof *delete);
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    delete->list = partition_rows_new(call, (size_t)count, sizeof *delete->list);
    if (delete->list == NULL) return;
    partition_rows_init(&delete->rows, call, sizeof(struct partition_rows_part));
    struct delete_row *row = delete->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct delete_records_request_topic *topic = &request->topics[t];
        const struct topic_image *image = image_topic(call->node->image, topic->name);
        enum err err = check_topic(call, image);
        for (int32_t p = 0; p < topic->partitions_count; p++, row++) {
            row->row.index = topic->partitions[p].partition_index;
            row->offset = topic->partitions[p].offset;
            row->low_watermark = -1;
            row->row.error = err;
            if (err == ERR_NONE) partition_rows_add(&delete->rows, &row->row, image);
        }
    }
    partition_rows_start(&delete->rows, run, done);
}
