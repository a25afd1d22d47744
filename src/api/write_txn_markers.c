// WriteTxnMarkers, versions 1 and 2: ends transactions in the partitions that are named. Sent by
// coordinators, and by an operator who aborts a transaction that hangs (KIP-664).
#include "api/partition_marker.h"
#include "api/partition_rows.h"

struct marker_row {
    struct partition_row row;
    struct partition_marker marker;
};

struct markers_part {
    struct partition_rows_part part;
    int32_t pending;
};

struct markers {
    struct partition_rows rows;
    struct marker_row *list;
};

static void row_done(struct markers_part *part) {
    if (--part->pending == 0) partition_rows_part_done(&part->part);
}

static void written(struct partition_marker *marker, enum err result) {
    struct marker_row *row = container_of(marker, struct marker_row, marker);
    row->row.error = result;
    row_done(container_of(row->row.part, struct markers_part, part));
}

static void run(struct partition_rows_part *rows_part) {
    struct markers_part *part = container_of(rows_part, struct markers_part, part);
    struct node *node = rows_part->scatter_part.node;
    part->pending = 1;  // this loop itself
    for (struct partition_row *at = rows_part->first; at != NULL; at = at->next) {
        struct marker_row *row = container_of(at, struct marker_row, row);
        part->pending++;
        partition_marker_start(node, &row->marker, at->topic_id, at->index,
                               rows_part->scatter_part.arena);
    }
    row_done(part);
}

static void fill_marker(struct api_call *call,
                        const struct write_txn_markers_request_marker *marker,
                        const struct marker_row **row,
                        struct write_txn_markers_response_marker *out) {
    out->producer_id = marker->producer_id;
    out->topics = write_txn_markers_response_topic_new(call->arena, marker->topics_count);
    out->topics_count = marker->topics_count;
    for (int32_t t = 0; t < marker->topics_count; t++) {
        int32_t count = marker->topics[t].partition_indexes_count;
        struct write_txn_markers_response_topic *topic = &out->topics[t];
        topic->name = marker->topics[t].name;
        topic->partitions = write_txn_markers_response_partition_new(call->arena, count);
        topic->partitions_count = count;
        for (int32_t p = 0; p < count; p++, ++*row) {
            topic->partitions[p].partition_index = (*row)->row.index;
            topic->partitions[p].error_code = err_wire((*row)->row.error);
        }
    }
}

static void done(struct partition_rows *rows) {
    struct markers *markers = container_of(rows, struct markers, rows);
    struct api_call *call = rows->call;
    const struct write_txn_markers_request *request = call->request;
    struct write_txn_markers_response *response = call->response;
    response->markers = write_txn_markers_response_marker_new(call->arena, request->markers_count);
    response->markers_count = request->markers_count;
    const struct marker_row *row = markers->list;
    for (int32_t m = 0; m < request->markers_count; m++) {
        fill_marker(call, &request->markers[m], &row, &response->markers[m]);
    }
    partition_rows_deinit(rows);
    api_reply(call);
}

static void add_rows(struct markers *markers, const struct write_txn_markers_request_marker *marker,
                     struct marker_row **row) {
    const struct image *image = markers->rows.call->node->image;
    for (int32_t t = 0; t < marker->topics_count; t++) {
        const struct write_txn_markers_request_topic *topic = &marker->topics[t];
        const struct topic_image *state = image_topic(image, topic->name);
        for (int32_t p = 0; p < topic->partition_indexes_count; p++, ++*row) {
            (*row)->row.index = topic->partition_indexes[p];
            (*row)->marker.producer_id = marker->producer_id;
            (*row)->marker.producer_epoch = marker->producer_epoch;
            (*row)->marker.coordinator_epoch = marker->coordinator_epoch;
            (*row)->marker.commit = marker->transaction_result;
            (*row)->marker.version = marker->transaction_version;
            (*row)->marker.done = written;
            partition_rows_add(&markers->rows, &(*row)->row, state);
        }
    }
}

void api_write_txn_markers(struct api_call *call) {
    const struct write_txn_markers_request *request = call->request;
    struct markers *markers = arena_zalloc(call->arena, 1, sizeof *markers);
    size_t count = 0;
    for (int32_t m = 0; m < request->markers_count; m++) {
        for (int32_t t = 0; t < request->markers[m].topics_count; t++) {
            count += (size_t)request->markers[m].topics[t].partition_indexes_count;
        }
    }
    markers->list = partition_rows_new(call, count, sizeof *markers->list);
    if (markers->list == NULL) return;
    partition_rows_init(&markers->rows, call, sizeof(struct markers_part));
    struct marker_row *row = markers->list;
    for (int32_t m = 0; m < request->markers_count; m++) {
        add_rows(markers, &request->markers[m], &row);
    }
    partition_rows_start(&markers->rows, run, done);
}
