#include "api/partition_rows.h"

// What an answer's struct, its encoding and its part of the reply take, at most.
#define ANSWER_SIZE ((size_t)256)
// A request of this much is served however full the budget is: frames were charged before.
#define SMALL_SIZE ((size_t)1 << 20)

void *partition_rows_new(struct api_call *call, size_t count, size_t row_size) {
    size_t each = row_size + ANSWER_SIZE;
    size_t most = MAX(budget_left(net_budget(call->net->net)), SMALL_SIZE);
    if (count > most / each) {
        api_close(call, "a request about more partitions than memory allows");
        return NULL;
    }
    net_request_charge(call->net, count * each);
    return arena_zalloc(call->arena, count, row_size);
}

void partition_rows_init(struct partition_rows *rows, struct api_call *call, size_t part_size) {
    size_t reactors = (size_t)call->node->reactor_count;
    *rows = (struct partition_rows){.call = call, .part_size = part_size};
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
        part = arena_zalloc(call->arena, 1, rows->part_size);
        scatter_part_init(&part->scatter_part);
        part->rows = rows;
        part->last = &part->first;
        rows->parts[owner->reactor] = part;
        rows->part_count++;
    }
    row->part = part;
    *part->last = row;
    part->last = &row->next;
}

static void part_run(struct scatter_part *scatter_part) {
    struct partition_rows_part *part =
        container_of(scatter_part, struct partition_rows_part, scatter_part);
    part->rows->run(part);
}

static void gathered(struct scatter *scatter) {
    struct partition_rows *rows = container_of(scatter, struct partition_rows, scatter);
    rows->done(rows);
}

static void begin(struct partition_rows *rows, partition_rows_run *run, partition_rows_done *done) {
    rows->run = run;
    rows->done = done;
    scatter_init(&rows->scatter, rows->call->node, gathered);
}

static void start_part(struct partition_rows *rows, struct partition_rows_part *part,
                       struct node *owner) {
    scatter_start(&rows->scatter, &part->scatter_part, owner, rows->call->arena, part_run);
}

void partition_rows_open(struct partition_rows *rows, partition_rows_run *run,
                         partition_rows_done *done) {
    struct node *home = rows->call->node;
    begin(rows, run, done);
    for (int32_t i = 0; i < home->reactor_count; i++) {
        if (rows->parts[i] != NULL) start_part(rows, rows->parts[i], home->reactors[i]);
    }
}

void partition_rows_seal(struct partition_rows *rows) {
    scatter_seal(&rows->scatter);
}

void partition_rows_start(struct partition_rows *rows, partition_rows_run *run,
                          partition_rows_done *done) {
    partition_rows_open(rows, run, done);
    partition_rows_seal(rows);
}

void partition_rows_start_one(struct partition_rows *rows, struct partition_rows_part *part,
                              partition_rows_run *run, partition_rows_done *done) {
    begin(rows, run, done);
    start_part(rows, part, part->scatter_part.node);
    partition_rows_seal(rows);
}

void partition_rows_part_done(struct partition_rows_part *part) {
    scatter_finish(&part->scatter_part);
}

void partition_rows_deinit(struct partition_rows *rows) {
    for (int32_t i = 0; i < rows->call->node->reactor_count; i++) {
        if (rows->parts[i] != NULL) scatter_part_deinit(&rows->parts[i]->scatter_part);
    }
}

// ---- Waiting for the sync ----

static void synced(struct produce_waiter *waiter, enum err result) {
    struct partition_rows_sync *sync = container_of(waiter, struct partition_rows_sync, waiter);
    (void)result;
    sync->is_over = true;
    sync->row->part->cursor = sync->row;
    sync->again(sync->row->part);
}

bool partition_rows_wait_sync(struct partition_rows_sync *sync, struct partition_row *row,
                              struct partition *partition, partition_rows_run *again) {
    if (sync->is_over) return false;
    sync->row = row;
    sync->again = again;
    sync->waiter.required = log_end_written(partition->log);
    sync->waiter.done = synced;
    return !partition_wait_produce(partition, &sync->waiter);
}
