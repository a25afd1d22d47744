// The second half of a transaction's end: its PREPARE record is durable, so its outcome is decided,
// and every partition that it touched gets a marker, however often that has to be tried. When all
// have one, a COMPLETE record says so.
#include "base/memory.h"
#include "transaction/state.h"

enum { RETRY_FIRST_MS = 20, RETRY_MOST_MS = 1000 };

struct completion_row {
    struct pending_marker marker;
    struct completion *completion;
    bool is_done;
};

struct completion {
    struct transaction_coordinator *coordinator;
    struct transaction_id *id;  // NULL: abandoned, and freed when nothing is under way
    struct runtime_operation operation;
    bool is_writing;  // the operation is under way
    struct runtime_timer retry;
    int64_t retry_ms;
    int32_t underway;  // markers
    bool is_failed;    // one of this round came back without success
    int32_t count;
    struct completion_row rows[];  // their topics' names behind them
};

static void go_on(struct completion *c);

static void free_when_idle(struct completion *c) {
    if (c->id == NULL && c->underway == 0 && !c->is_writing) memory_free(c);
}

void completion_abandon(struct completion *c) {
    c->id = NULL;
    runtime_timer_stop(&c->retry);
    free_when_idle(c);
}

static void retry_later(struct completion *c) {
    struct transaction_shard *s = c->id->shard;
    uint64_t deadline = env_now_ns(transaction_env(s)) + (uint64_t)c->retry_ms * 1000000U;
    c->retry_ms = MIN(c->retry_ms * 2, RETRY_MOST_MS);
    runtime_timer_start(partition_log_shard(s->log), &c->retry, deadline);
}

static void retry(struct runtime_timer *timer) {
    go_on(container_of(timer, struct completion, retry));
}

// ---- The COMPLETE record ----

static enum err execute(struct runtime_operation *operation, void *state,
                        struct runtime_result *result) {
    struct completion *c = container_of(operation, struct completion, operation);
    struct transaction_shard *s =
        container_of((struct store *)state, struct transaction_shard, store);
    if (c->id == NULL) return ERR_NOT_COORDINATOR;
    struct transaction next = transaction_complete(&c->id->now, env_wall_ms(transaction_env(s)));
    c->id->given_epoch = next.producer_epoch;
    c->id->epoch_before = c->id->now.last_producer_epoch;
    transaction_add_record(result, c->id->id, &next, transaction_server_version(s->coordinator));
    transaction_wake(c->id);
    return ERR_NONE;
}

static void written(struct runtime_operation *operation, enum err result) {
    struct completion *c = container_of(operation, struct completion, operation);
    c->is_writing = false;
    if (c->id != NULL && result != ERR_NONE) {
        retry_later(c);
        return;
    }
    if (c->id != NULL && c->id->completion == c) c->id->completion = NULL;
    c->id = NULL;
    free_when_idle(c);
}

static void write_complete(struct completion *c) {
    c->is_writing = true;
    c->operation = (struct runtime_operation){.execute = execute, .done = written};
    runtime_submit(partition_log_shard(c->id->shard->log), &c->operation);
}

// ---- Markers ----

// Whether there is nothing more to do for the partition.
static bool settles(const struct completion_row *row, enum err result) {
    switch (result) {
        case ERR_NONE:
            return true;
        case ERR_UNKNOWN_TOPIC_OR_PARTITION:  // deleted, and the transaction's records with it
            return !env_mutant(row->completion->coordinator->env, MUTANT_TXN_WAIT_FOR_DELETED);
        case ERR_INVALID_PRODUCER_EPOCH: {  // ended there already, by a newer epoch
            const struct pending_marker *m = &row->marker;
            log_warn(env_logger(row->completion->coordinator->env), "transaction",
                     "%.*s-%d has a newer epoch of producer %lld than the marker's %d",
                     SLICE_PRINT(m->topic), m->partition, (long long)m->producer_id,
                     m->producer_epoch);
            return true;
        }
        default:
            return false;
    }
}

static void marker_done(struct pending_marker *marker, enum err result) {
    struct completion_row *row = container_of(marker, struct completion_row, marker);
    struct completion *c = row->completion;
    struct transaction_coordinator *coordinator = c->coordinator;
    row->is_done = settles(row, result);
    c->is_failed |= !row->is_done;
    c->underway--;
    if (c->underway > 0 || c->id == NULL) {
        free_when_idle(c);
    } else if (c->is_failed) {
        retry_later(c);
    } else {
        write_complete(c);
    }
    transaction_marker_back(coordinator);
}

// Sends what has no marker yet; with none left, the last record.
static void go_on(struct completion *c) {
    struct transaction_sender *sender = &c->coordinator->sender;
    c->is_failed = false;
    for (int32_t i = 0; i < c->count; i++)
        c->underway += !c->rows[i].is_done;
    if (c->underway == 0) {
        write_complete(c);
        return;
    }
    c->coordinator->markers_underway += c->underway;
    for (int32_t i = 0; i < c->count; i++) {
        if (!c->rows[i].is_done) sender->send(sender->context, &c->rows[i].marker);
    }
}

static struct completion *completion_new(struct transaction_shard *s, struct transaction_id *id) {
    const struct transaction *now = &id->now;
    size_t names = 0, count = (size_t)now->partition_count;
    for (size_t i = 0; i < count; i++)
        names += now->partitions[i].topic.size;
    struct completion *c = memory_zalloc(1, sizeof *c + count * sizeof c->rows[0] + names);
    c->coordinator = s->coordinator;
    c->id = id;
    c->retry_ms = RETRY_FIRST_MS;
    c->count = now->partition_count;
    runtime_timer_init(&c->retry, retry);
    uint8_t *name = (uint8_t *)&c->rows[count];
    for (size_t i = 0; i < count; i++) {
        struct slice topic = now->partitions[i].topic;
        memcpy(name, topic.data, topic.size);
        c->rows[i].completion = c;
        c->rows[i].marker = (struct pending_marker){
            .topic = slice_of(name, topic.size),
            .partition = now->partitions[i].partition,
            .producer_id = now->producer_id,
            .producer_epoch = transaction_marker_epoch(now),
            .coordinator_epoch = partition_log_epoch(s->log),
            .commit = now->state == TRANSACTION_PREPARE_COMMIT,
            .transaction_version = now->client_version,
            .done = marker_done,
        };
        name += topic.size;
    }
    return c;
}

void transaction_complete_if_prepared(struct transaction_shard *s, struct transaction_id *id) {
    bool is_prepared =
        id->now.state == TRANSACTION_PREPARE_COMMIT || id->now.state == TRANSACTION_PREPARE_ABORT;
    if (!is_prepared || id->completion != NULL) return;
    id->completion = completion_new(s, id);
    go_on(id->completion);
}
