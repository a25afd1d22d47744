// OffsetForLeaderEpoch, versions 2 to 4 (KIP-101, 279, 320): where an epoch ended in the leader's
// log, so that a client or a follower sees whether its log went another way.
#include "api/partition_access.h"
#include "api/partition_rows.h"

struct epoch_row {
    struct partition_row row;
    const struct offset_for_leader_epoch_request_partition *asked;
    int32_t leader_epoch;
    int64_t end_offset;
};

struct epoch_lookup {
    struct partition_rows rows;
    struct epoch_row *list;
};

static void run(struct partition_rows_part *part) {
    for (struct partition_row *at = part->first; at != NULL; at = at->next) {
        struct epoch_row *row = container_of(at, struct epoch_row, row);
        struct partition *partition;
        at->error = partition_access(part->scatter_part.node, at->topic_id, at->index,
                                     row->asked->current_leader_epoch, &partition);
        if (at->error != ERR_NONE) continue;
        log_epoch_end(partition->log, row->asked->leader_epoch, &row->leader_epoch,
                      &row->end_offset);
    }
    partition_rows_part_done(part);
}

static void done(struct partition_rows *rows) {
    struct epoch_lookup *lookup = container_of(rows, struct epoch_lookup, rows);
    struct api_call *call = rows->call;
    const struct offset_for_leader_epoch_request *request = call->request;
    struct offset_for_leader_epoch_response *response = call->response;
    response->topics =
        offset_for_leader_epoch_response_topic_new(call->arena, request->topics_count);
    response->topics_count = request->topics_count;
    const struct epoch_row *row = lookup->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        int32_t count = request->topics[t].partitions_count;
        struct offset_for_leader_epoch_response_topic *out = &response->topics[t];
        out->topic = request->topics[t].topic;
        out->partitions = offset_for_leader_epoch_response_partition_new(call->arena, count);
        out->partitions_count = count;
        for (int32_t p = 0; p < count; p++, row++) {
            out->partitions[p].partition = row->row.index;
            out->partitions[p].error_code = err_wire(row->row.error);
            out->partitions[p].leader_epoch = row->leader_epoch;
            out->partitions[p].end_offset = row->end_offset;
        }
    }
    partition_rows_deinit(rows);
    api_reply(call);
}

void api_offset_for_leader_epoch(struct api_call *call) {
    const struct offset_for_leader_epoch_request *request = call->request;
    struct epoch_lookup *lookup = arena_zalloc(call->arena, 1, sizeof *lookup);
    int32_t count = 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    lookup->list = partition_rows_new(call, (size_t)count, sizeof *lookup->list);
    if (lookup->list == NULL) return;
    partition_rows_init(&lookup->rows, call, sizeof(struct partition_rows_part));
    struct epoch_row *row = lookup->list;
    for (int32_t t = 0; t < request->topics_count; t++) {
        const struct offset_for_leader_epoch_request_topic *topic = &request->topics[t];
        const struct topic_image *image = image_topic(call->node->image, topic->topic);
        for (int32_t p = 0; p < topic->partitions_count; p++, row++) {
            row->asked = &topic->partitions[p];
            row->row.index = row->asked->partition;
            row->leader_epoch = -1;
            row->end_offset = -1;
            partition_rows_add(&lookup->rows, &row->row, image);
        }
    }
    partition_rows_start(&lookup->rows, run, done);
}
