// ListOffsets, versions 1 to 11: the ends of a log, or the first record at or after a time.
//
// The ends are known at the owner. A lookup by time reads the log and may decompress a batch, so it
// runs on a worker; the lookups of a request run one after the other, so that one request of many
// partitions does not take all workers.
#include <stdlib.h>

#include "api/partition_access.h"
#include "api/partition_rows.h"

enum timestamp_spec {
    TIMESTAMP_LATEST = -1,
    TIMESTAMP_EARLIEST = -2,
    TIMESTAMP_MAX = -3,                      // version 7
    TIMESTAMP_EARLIEST_LOCAL = -4,           // version 8, KIP-405
    TIMESTAMP_LATEST_TIERED = -5,            // version 9, KIP-1005
    TIMESTAMP_EARLIEST_PENDING_UPLOAD = -6,  // version 11, KIP-1023
};

struct list_row {
    struct partition_row row;
    struct slice topic;
    const struct list_offsets_request_partition *asked;
    bool is_repetition;  // of a partition that was named before: not answered
    struct log_timestamp found;
    struct partition_rows_sync sync;
    struct log_lookup_op lookup;
};

struct list_offsets {
    struct partition_rows rows;
    struct list_row *list;
    uint64_t deadline_ns;  // UINT64_MAX: none
};

// Whose isolation counts: consumers'. Others (-2: a debugging tool) read to the end of the log.
static int64_t last_fetchable(const struct api_call *call, struct partition *partition) {
    const struct list_offsets_request *request = call->request;
    if (request->replica_id != -1) return log_end_written(partition->log);
    return request->isolation_level == 1 ? partition_last_stable_offset(partition)
                                         : partition->high_watermark;
}

static bool is_supported(int64_t timestamp, int16_t version) {
    if (timestamp >= 0) return true;
    switch (timestamp) {
        case TIMESTAMP_LATEST:
        case TIMESTAMP_EARLIEST:
            return true;
        case TIMESTAMP_MAX:
            return version >= 7;
        case TIMESTAMP_EARLIEST_LOCAL:
            return version >= 8;
        case TIMESTAMP_LATEST_TIERED:
            return version >= 9;
        case TIMESTAMP_EARLIEST_PENDING_UPLOAD:
            return version >= 11;
        default:
            return false;
    }
}

// True when the row is answered without reading the log.
static bool answer_from_memory(const struct api_call *call, struct list_row *row,
                               struct partition *partition) {
    switch (row->asked->timestamp) {
        case TIMESTAMP_LATEST:
            row->found.offset = last_fetchable(call, partition);
            row->found.leader_epoch = partition->leader_epoch;
            return true;
        case TIMESTAMP_EARLIEST:
        case TIMESTAMP_EARLIEST_LOCAL:
            row->found.offset = log_start_offset(partition->log);
            // An empty log is the current epoch's.
            row->found.leader_epoch = row->found.offset == log_end_written(partition->log)
                                          ? partition->leader_epoch
                                          : log_epoch_of(partition->log, row->found.offset);
            return true;
        case TIMESTAMP_LATEST_TIERED:
        case TIMESTAMP_EARLIEST_PENDING_UPLOAD:
            return true;  // nothing is tiered: -1
        default:
            return false;
    }
}

static void work_on(struct partition_rows_part *part);

static void lookup_done(struct log_lookup_op *op, enum err result) {
    struct list_row *row = container_of(op, struct list_row, lookup);
    if (result == ERR_NONE)
        row->found = op->found;
    else
        row->row.error =
            result == ERR_IO || result == ERR_CORRUPT ? ERR_KAFKA_STORAGE_ERROR : result;
    work_on(row->row.part);
}

static bool depends_on_high_watermark(int64_t timestamp) {
    return timestamp >= 0 || timestamp == TIMESTAMP_LATEST || timestamp == TIMESTAMP_MAX;
}

// Goes on with the part's rows until one needs a worker, or all are done.
static void work_on(struct partition_rows_part *part) {
    struct list_offsets *list = container_of(part->rows, struct list_offsets, rows);
    struct node *node = part->scatter_part.node;
    struct api_call *call = part->rows->call;
    while (part->cursor != NULL) {
        struct list_row *row = container_of(part->cursor, struct list_row, row);
        part->cursor = row->row.next;
        struct partition *partition;
        row->row.error = partition_access(node, row->row.topic_id, row->row.index,
                                          row->asked->current_leader_epoch, &partition);
        if (row->row.error != ERR_NONE) continue;
        if (depends_on_high_watermark(row->asked->timestamp) &&
            partition_rows_wait_sync(&row->sync, &row->row, partition, work_on)) {
            return;
        }
        if (answer_from_memory(call, row, partition)) continue;
        if (env_clock_ns(node->env) > list->deadline_ns) {
            row->row.error = ERR_REQUEST_TIMED_OUT;
            continue;
        }
        row->lookup.log = partition->log;
        row->lookup.timestamp = row->asked->timestamp;  // -3 is LOG_LOOKUP_MAX_TIMESTAMP
        row->lookup.upper_bound = last_fetchable(call, partition);
        row->lookup.done = lookup_done;
        log_lookup_start(&row->lookup);
        return;
    }
    partition_rows_part_done(part);
}

static void run(struct partition_rows_part *part) {
    part->cursor = part->first;
    work_on(part);
}

static void fill_partition(const struct api_call *call, const struct list_row *row,
                           struct list_offsets_response_partition *out) {
    out->partition_index = row->row.index;
    out->error_code = err_wire(row->row.error);
    if (row->row.error != ERR_NONE) return;
    out->timestamp = row->found.timestamp;
    out->offset = row->found.offset;
    if (call->version >= 4) out->leader_epoch = row->found.leader_epoch;
}

static void done(struct partition_rows *rows) {
    struct list_offsets *list = container_of(rows, struct list_offsets, rows);
    struct api_call *call = rows->call;
    const struct list_offsets_request *request = call->request;
    struct list_offsets_response *response = call->response;
    response->topics = list_offsets_response_topic_new(call->arena, request->topics_count);
    response->topics_count = request->topics_count;
    const struct list_row *row = list->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct list_offsets_request_topic *topic = &request->topics[t];
        struct list_offsets_response_topic *out = &response->topics[t];
        out->name = topic->name;
        out->partitions = list_offsets_response_partition_new(call->arena, topic->partitions_count);
        for (int32_t p = 0; p < topic->partitions_count; p++, row++) {
            if (!row->is_repetition)
                fill_partition(call, row, &out->partitions[out->partitions_count++]);
        }
    }
    partition_rows_deinit(rows);
    api_reply(call);
}

static int compare_rows(const void *a, const void *b) {
    const struct list_row *left = *(struct list_row *const *)a,
                          *right = *(struct list_row *const *)b;
    int order = slice_compare(left->topic, right->topic);
    if (order != 0) return order;
    if (left->row.index != right->row.index) return left->row.index < right->row.index ? -1 : 1;
    return (left > right) - (left < right);
}

static bool is_same(const struct list_row *a, const struct list_row *b) {
    return slice_equal(a->topic, b->topic) && a->row.index == b->row.index;
}

// A partition that is named twice is refused, and answered once.
static void refuse_duplicates(struct list_offsets *list, int32_t count) {
    struct arena *arena = list->rows.call->arena;
    struct list_row **sorted = arena_alloc(arena, (size_t)count * sizeof(struct list_row *) + 1);
    for (int32_t i = 0; i < count; i++)
        sorted[i] = &list->list[i];
    qsort(sorted, (size_t)count, sizeof(struct list_row *), compare_rows);
    for (int32_t i = 1; i < count; i++) {
        if (!is_same(sorted[i - 1], sorted[i])) continue;
        sorted[i - 1]->row.error = sorted[i]->row.error = ERR_INVALID_REQUEST;
        sorted[i]->is_repetition = true;
    }
}

void api_list_offsets(struct api_call *call) {
    const struct list_offsets_request *request = call->request;
    struct list_offsets *list = arena_zalloc(call->arena, 1, sizeof *list);
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    list->list = partition_rows_new(call, (size_t)count, sizeof *list->list);
    if (list->list == NULL) return;
    list->deadline_ns = UINT64_MAX;
    if (call->version >= 10 && request->timeout_ms > 0) {
        list->deadline_ns = call->net->received_ns + (uint64_t)request->timeout_ms * 1000000;
    }
    partition_rows_init(&list->rows, call, sizeof(struct partition_rows_part));
    struct list_row *row = list->list;
    const struct topic_image **topics =
        arena_alloc(call->arena, (size_t)count * sizeof(struct topic_image *) + 1);
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct list_offsets_request_topic *topic = &request->topics[t];
        const struct topic_image *image = image_topic(call->node->image, topic->name);
        for (int32_t p = 0; p < topic->partitions_count; p++, row++) {
            row->topic = topic->name;
            row->asked = &topic->partitions[p];
            row->row.index = row->asked->partition_index;
            row->row.topic_id = image == NULL ? UUID_ZERO : image->id;
            row->found = (struct log_timestamp){-1, -1, -1};
            topics[row - list->list] = image;
        }
    }
    refuse_duplicates(list, count);
    for (int32_t i = 0; i < count; i++) {
        row = &list->list[i];
        if (row->row.error != ERR_NONE) continue;
        if (!is_supported(row->asked->timestamp, call->version)) {
            row->row.error = ERR_UNSUPPORTED_VERSION;
            continue;
        }
        partition_rows_add(&list->rows, &row->row, topics[i]);
    }
    partition_rows_start(&list->rows, run, done);
}
