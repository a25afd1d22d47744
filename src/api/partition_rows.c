#include "api/partition_rows.h"

void partition_rows_init(struct partition_rows *rows, struct api_call *call) {
    size_t reactors = (size_t)call->node->reactor_count;
    *rows = (struct partition_rows){.call = call};
    rows->parts = arena_zalloc(call->arena, reactors, sizeof(struct partition_rows_part *));
}

void partition_rows_add(struct partition_rows *rows, struct partition_row *row,
                        const struct topic_image *topic) {
    if (topic == NULL || topic_partition(topic, row->index) == NULL) {
        row->error = ERR_UNKNOWN_TOPIC_OR_PARTITION;
        return;
    }
    struct api_call *call = rows->call;
    row->topic_id = topic->id;
    struct node *owner = node_owner_of(call->node, row->topic_id, row->index);
    struct partition_rows_part *part = rows->parts[owner->reactor];
    if (part == NULL) {
        part = arena_zalloc(call->arena, 1, sizeof *part);
        scatter_part_init(&part->scatter_part);
        part->rows = rows;
        part->last = &part->first;
        rows->parts[owner->reactor] = part;
    }
    *part->last = row;
    part->last = &row->next;
}

static void part_run(struct scatter_part *scatter_part) {
    struct partition_rows_part *part =
        container_of(scatter_part, struct partition_rows_part, scatter_part);
    part->rows->run(part);
}

void partition_rows_part_done(struct partition_rows_part *part) {
    scatter_finish(&part->scatter_part);
}

static void gathered(struct scatter *scatter) {
    struct partition_rows *rows = container_of(scatter, struct partition_rows, scatter);
    rows->done(rows);
}

void partition_rows_start(struct partition_rows *rows,
                          void (*run)(struct partition_rows_part *part),
                          void (*done)(struct partition_rows *rows)) {
    struct api_call *call = rows->call;
    rows->run = run;
    rows->done = done;
    scatter_init(&rows->scatter, call->node, gathered);
    for (int32_t i = 0; i < call->node->reactor_count; i++) {
        struct partition_rows_part *part = rows->parts[i];
        if (part == NULL) continue;
        scatter_start(&rows->scatter, &part->scatter_part, call->node->reactors[i], call->arena,
                      part_run);
    }
    scatter_seal(&rows->scatter);
}

void partition_rows_deinit(struct partition_rows *rows) {
    for (int32_t i = 0; i < rows->call->node->reactor_count; i++) {
        if (rows->parts[i] != NULL) scatter_part_deinit(&rows->parts[i]->scatter_part);
    }
}
