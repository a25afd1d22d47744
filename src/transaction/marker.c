#include "transaction/marker.h"

static void finish(struct marker_write *marker, enum err result) {
    batch_builder_deinit(&marker->builder);
    marker->done(marker, result);
}

static void waited(struct produce_waiter *waiter, enum err result) {
    finish(container_of(waiter, struct marker_write, waiter), result);
}

static void appended(struct log_append_op *op, enum err result) {
    struct marker_write *marker = container_of(op, struct marker_write, append);
    if (result == ERR_NONE && !partition_is_leader(marker->partition)) {
        result = ERR_NOT_LEADER_OR_FOLLOWER;
    }
    if (result != ERR_NONE) {
        finish(marker, result);
        return;
    }
    marker->waiter.required = op->last_offset + 1;
    marker->waiter.done = waited;
    if (partition_wait_produce(marker->partition, &marker->waiter)) finish(marker, ERR_NONE);
}

static enum err build(struct marker_write *marker, int64_t now_ms, struct slice *bytes) {
    struct batch_builder *builder = &marker->builder;
    batch_builder_init(builder);
    builder->producer_id = marker->producer_id;
    builder->producer_epoch = marker->producer_epoch;
    batch_builder_marker(builder, marker->commit, marker->coordinator_epoch, now_ms);
    return batch_builder_finish(builder, COMPRESSION_NONE, 0, bytes);
}

enum err marker_write_start(struct marker_write *marker, struct partition *partition,
                            int64_t now_ms, struct arena *arena) {
    struct slice bytes;
    enum err err = build(marker, now_ms, &bytes);
    if (err == ERR_NONE) {
        marker->partition = partition;
        marker->append = (struct log_append_op){.batch = marker->builder.data,
                                                .size = bytes.size,
                                                .leader_epoch = partition->leader_epoch,
                                                .origin = APPEND_COORDINATOR,
                                                .transaction_version = marker->version,
                                                .arena = arena,
                                                .done = appended};
        err = log_append_start(partition->log, &marker->append);
    }
    if (err != ERR_NONE) batch_builder_deinit(&marker->builder);
    return err;
}
