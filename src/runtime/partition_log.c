// Loading: slices of the log are read by a worker and replayed on the reactor, a piece at a time,
// so that other partitions are served meanwhile. Only the last value of a key is kept, nothing is
// decoded before the end (store_loaded).
//
// Appending: one batch for each operation, handed to the log at once; the log writes all batches of
// a pass together and syncs them as a group. The shard is told through the high watermark, as a
// produce with acks=all is.
#include "runtime/partition_log.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "replica/replica_manager.h"

enum {
    LOAD_BYTES = 1 << 20,
    BATCH_DECOMPRESSED_MAX = 256 << 20,
    SHRINK_BYTES = 1 << 20,
    SHRINK_FACTOR = 8
};

struct append {
    struct list link;
    struct partition_log *owner;  // NULL: the owner is gone
    struct log_append_op op;
    struct batch_builder builder;
    struct arena arena;
};

struct load {
    struct partition_log *owner;  // NULL: gone
    struct env_job job;
    struct log_slice slice;
    struct log_warm_op warm;
    uint8_t *data;
    enum err result;
    int64_t next;  // offset to read from
};

struct partition_log {
    struct env *env;
    struct partition *partition;
    struct store *store;
    struct runtime_machine machine;
    struct runtime_log log;
    struct runtime_shard *shard;
    void (*loaded)(struct store *store);
    struct list appends;  // of append, in the order of their offsets
    struct produce_waiter waiter;
    bool is_waiting;
    int64_t end;  // behind the last record handed to the log
    struct load *load;
    int64_t shrink_base;   // the store was written again from here …
    int64_t shrink_end;    // … to here; 0: no shrinking under way
    struct env_task fail;  // reports a failed load
    enum err fail_reason;
    struct env_task
        begin;  // starts the load, so that `loaded` never comes inside partition_log_new
    struct env_task stop;
    void (*stopped)(struct store *store);
};

// ---- The machine, the same for all coordinators ----

static enum err replay(void *state, const struct runtime_record *record, int64_t offset,
                       int32_t epoch) {
    (void)epoch;
    const struct runtime_transaction *t = record->transaction;
    if (t == NULL) return store_put(state, record->key, record->value, offset);
    if (t->marker != RUNTIME_NO_MARKER)
        return store_end_transaction(state, t->producer_id, t->marker == RUNTIME_COMMIT, offset);
    return store_put_pending(state, t->producer_id, t->producer_epoch, record->key, record->value,
                             offset);
}

static void mark(void *state, int64_t offset) {
    (void)state;
    (void)offset;
}

static void committed(void *state, int64_t offset) {
    store_committed(state, offset);
}
static void rollback(void *state, int64_t offset) {
    store_rollback(state, offset);
}

// ---- Appending ----

static void wait_for_end(struct partition_log *p);

// The rewritten store is durable: what lies below it goes, except what an open transaction still
// needs.
static void finish_shrink(struct partition_log *p) {
    struct log *log = p->partition->log;
    int64_t base = MIN(p->shrink_base, log_last_stable_offset(log, p->partition->high_watermark));
    p->shrink_end = 0;
    enum err err = log_advance_start(log, base);
    if (err != ERR_NONE) {
        log_warn(env_logger(p->env), "runtime", "%.*s-%d cannot be shortened: %s",
                 SLICE_PRINT(p->partition->topic->name), p->partition->index, err_text(err));
    }
}

static void tell_durable(struct partition_log *p) {
    int64_t durable = p->partition->high_watermark;
    runtime_committed(p->shard, durable - 1);
    if (p->shrink_end > 0 && durable >= p->shrink_end) finish_shrink(p);
}

static void waited(struct produce_waiter *waiter, enum err result) {
    struct partition_log *p = container_of(waiter, struct partition_log, waiter);
    p->is_waiting = false;
    if (result != ERR_NONE) return;  // the partition is on its way out: a stop follows
    tell_durable(p);
    wait_for_end(p);
}

// The high watermark is waited for one step at a time: every time it moves, all that it covers is
// told at once.
static void wait_for_end(struct partition_log *p) {
    int64_t durable = p->partition->high_watermark;
    if (p->is_waiting || durable >= p->end) return;
    p->waiter.required = durable + 1;
    p->waiter.done = waited;
    list_init(&p->waiter.link);
    p->is_waiting = !partition_wait_produce(p->partition, &p->waiter);
}

static void append_free(struct append *a) {
    list_remove(&a->link);
    batch_builder_deinit(&a->builder);
    arena_deinit(&a->arena);
    memory_free(a);
}

static void append_done(struct log_append_op *op, enum err result) {
    struct append *a = container_of(op, struct append, op);
    struct partition_log *p = a->owner;
    int64_t before = op->base_offset - 1;
    append_free(a);
    if (p == NULL) return;
    if (result == ERR_NONE) {
        wait_for_end(p);
        return;
    }
    // This batch and all behind it are gone.
    p->end = MIN(p->end, before + 1);
    p->shrink_end = 0;
    runtime_lost(p->shard, before, result);
}

static enum err build(struct append *a, const struct runtime_record *records, int32_t count,
                      int64_t now_ms, struct slice *bytes) {
    struct batch_builder *builder = &a->builder;
    const struct runtime_transaction *t = records[0].transaction;
    if (t != NULL) {
        builder->producer_id = t->producer_id;
        builder->producer_epoch = t->producer_epoch;
        builder->attributes = ATTRIBUTE_TRANSACTIONAL;
    }
    if (t != NULL && t->marker != RUNTIME_NO_MARKER) {
        assert(count == 1);
        batch_builder_marker(builder, t->marker == RUNTIME_COMMIT, t->coordinator_epoch, now_ms);
        return batch_builder_finish(builder, COMPRESSION_NONE, 0, bytes);
    }
    for (int32_t i = 0; i < count; i++) {
        assert(records[i].transaction == t);
        struct record record = {
            .timestamp = now_ms, .key = records[i].key, .value = records[i].value};
        batch_builder_append(builder, &record);
    }
    return batch_builder_finish(builder, COMPRESSION_NONE, 0, bytes);
}

static enum err append(struct runtime_log *log, const struct runtime_record *records, int32_t count,
                       int64_t *last_offset) {
    struct partition_log *p = container_of(log, struct partition_log, log);
    struct append *a = memory_zalloc(1, sizeof *a);
    a->owner = p;
    arena_init(&a->arena);
    list_init(&a->link);
    list_append(&p->appends, &a->link);
    batch_builder_init(&a->builder);
    struct slice bytes;
    enum err err = build(a, records, count, env_wall_ms(p->env), &bytes);
    if (err == ERR_NONE) err = partition_check_leader(p->partition, -1);
    if (err == ERR_NONE) {
        a->op = (struct log_append_op){.batch = a->builder.data,
                                       .size = bytes.size,
                                       .leader_epoch = p->partition->leader_epoch,
                                       .origin = APPEND_COORDINATOR,
                                       .arena = &a->arena,
                                       .done = append_done};
        const struct runtime_transaction *t = records[0].transaction;
        if (t != NULL) {
            a->op.needs_guard = t->needs_guard;
            a->op.guard = t->guard;
            a->op.transaction_version = t->version;
        }
        err = log_append_start(p->partition->log, &a->op);
    }
    if (err != ERR_NONE) {
        append_free(a);
        return err;
    }
    *last_offset = a->op.last_offset;
    p->end = a->op.last_offset + 1;
    return ERR_NONE;
}

static int64_t next_offset(struct runtime_log *log) {
    return log_end_assigned(container_of(log, struct partition_log, log)->partition->log);
}

// ---- Loading ----

// A record of a control batch: key {int16 version, int16 type}.
static enum runtime_marker marker_of(const struct record *record) {
    if (record->key.size < 4) return RUNTIME_NO_MARKER;
    int16_t type = load_i16(record->key.data + 2);
    if (type == CONTROL_COMMIT) return RUNTIME_COMMIT;
    return type == CONTROL_ABORT ? RUNTIME_ABORT : RUNTIME_NO_MARKER;
}

static enum err load_batch(struct partition_log *p, struct slice bytes) {
    struct arena arena;
    struct record_reader reader;
    struct record record;
    arena_init(&arena);
    enum err err = record_reader_init(&reader, bytes, &arena, BATCH_DECOMPRESSED_MAX);
    const struct batch *b = &reader.batch;
    struct runtime_transaction t = {.producer_id = b->producer_id,
                                    .producer_epoch = b->producer_epoch};
    while (err == ERR_NONE && (err = record_reader_next(&reader, &record)) == ERR_NONE) {
        bool is_control = batch_is_control(b);
        t.marker = is_control ? marker_of(&record) : RUNTIME_NO_MARKER;
        if (is_control && t.marker == RUNTIME_NO_MARKER) continue;
        // Without a key: nobody's record, Kafka's own loader passes it over.
        if (!is_control && slice_is_null(record.key)) continue;
        struct runtime_record r = {.key = record.key,
                                   .value = record.value,
                                   .transaction = batch_is_transactional(b) ? &t : NULL};
        err = runtime_replay(p->shard, &r, record.offset, b->leader_epoch);
    }
    arena_deinit(&arena);
    return err == ERR_EOF ? ERR_NONE : err;
}

static void load_next(struct partition_log *p);

static void load_free(struct load *l) {
    memory_free(l->data);
    memory_free(l);
}

static void load_failed(struct partition_log *p, enum err error) {
    load_free(p->load);
    p->load = NULL;
    p->fail_reason = error;
    env_defer(p->env, &p->fail);
}

static void run_failed(struct env_task *task) {
    struct partition_log *p = container_of(task, struct partition_log, fail);
    struct message text;
    message_set(&text, "loading %.*s-%d: %s", SLICE_PRINT(p->partition->topic->name),
                p->partition->index, err_text(p->fail_reason));
    p->machine.failed(p->store, p->fail_reason, message_slice(&text));
}

static void load_finished(struct partition_log *p) {
    load_free(p->load);
    p->load = NULL;
    enum err err = store_loaded(p->store);
    if (err != ERR_NONE) {
        p->fail_reason = err;
        env_defer(p->env, &p->fail);
        return;
    }
    runtime_activate(p->shard, p->partition->high_watermark - 1, p->partition->leader_epoch);
    wait_for_end(p);
    p->loaded(p->store);
}

static void read_slice(struct env_job *job) {
    struct load *l = container_of(job, struct load, job);
    size_t got = 0;
    l->data = memory_alloc(l->slice.size);
    l->result = file_read(l->slice.file, l->slice.position, l->data, l->slice.size, &got);
    if (l->result == ERR_NONE && got < l->slice.size) l->result = ERR_TRUNCATED;
}

static void slice_read(struct env_job *job) {
    struct load *l = container_of(job, struct load, job);
    struct partition_log *p = l->owner;
    struct slice rest = slice_of(l->data, l->slice.size);
    l->next = l->slice.next_offset;
    log_slice_release(&l->slice);
    if (p == NULL) {
        load_free(l);
        return;
    }
    enum err err = l->result;
    while (err == ERR_NONE && rest.size > 0) {
        struct batch b;
        err = batch_decode(rest, &b);
        if (err == ERR_NONE && b.size > rest.size) err = ERR_CORRUPT;
        if (err == ERR_NONE) err = load_batch(p, slice_sub(rest, 0, b.size));
        if (err == ERR_NONE) rest = slice_sub(rest, b.size, rest.size - b.size);
    }
    memory_free(l->data);
    l->data = NULL;
    if (err != ERR_NONE) {
        load_failed(p, err);
    } else {
        load_next(p);
    }
}

static void warmed(struct log_warm_op *op, enum err result) {
    struct load *l = container_of(op, struct load, warm);
    struct partition_log *p = l->owner;
    if (p == NULL) {
        load_free(l);
    } else if (result != ERR_NONE) {
        load_failed(p, result);
    } else {
        load_next(p);
    }
}

static void load_next(struct partition_log *p) {
    struct load *l = p->load;
    struct log *log = p->partition->log;
    l->next = MAX(l->next, log_start_offset(log));
    if (l->next >= log_end_written(log)) {
        load_finished(p);
        return;
    }
    enum err err = log_read(log, l->next, LOAD_BYTES, log_end_written(log), true, &l->slice);
    if (err == ERR_WOULD_BLOCK) {
        l->warm = (struct log_warm_op){
            .log = log, .offset = l->next, .max_bytes = LOAD_BYTES, .done = warmed};
        log_warm_start(&l->warm);
    } else if (err != ERR_NONE) {
        load_failed(p, err);
    } else if (l->slice.size == 0) {
        load_finished(p);
    } else {
        l->job = (struct env_job){.run = read_slice, .done = slice_read};
        env_job_start(p->env, &l->job);
    }
}

// ---- Life ----

static void run_stop(struct env_task *task);

static void run_begin(struct env_task *task) {
    load_next(container_of(task, struct partition_log, begin));
}

struct partition_log *partition_log_new(const struct partition_log_options *options) {
    struct partition_log *p = memory_zalloc(1, sizeof *p);
    p->env = options->env;
    p->partition = options->partition;
    p->store = options->store;
    p->loaded = options->loaded;
    p->machine = (struct runtime_machine){.state = options->store,
                                          .loading_error = ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                          .inactive_error = ERR_NOT_COORDINATOR,
                                          .replay = replay,
                                          .mark = mark,
                                          .committed = committed,
                                          .rollback = rollback,
                                          .failed = options->failed};
    p->log = (struct runtime_log){
        .append = append, .next_offset = next_offset, .batch_records_max = INT32_MAX};
    list_init(&p->appends);
    list_init(&p->waiter.link);
    env_task_init(&p->fail, run_failed);
    env_task_init(&p->stop, run_stop);
    env_task_init(&p->begin, run_begin);
    p->shard = runtime_shard_new(p->env, &p->machine, &p->log);
    p->end = log_end_assigned(p->partition->log);
    p->load = memory_zalloc(1, sizeof *p->load);
    p->load->owner = p;
    env_defer(p->env, &p->begin);
    return p;
}

struct runtime_shard *partition_log_shard(struct partition_log *p) {
    return p->shard;
}

int32_t partition_log_epoch(const struct partition_log *p) {
    return p->partition->leader_epoch;
}

enum err partition_log_client_error(enum err result) {
    switch (result) {
        case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        case ERR_NOT_ENOUGH_REPLICAS:
        case ERR_REQUEST_TIMED_OUT:
            return ERR_COORDINATOR_NOT_AVAILABLE;
        case ERR_NOT_LEADER_OR_FOLLOWER:
        case ERR_KAFKA_STORAGE_ERROR:
            return ERR_NOT_COORDINATOR;
        case ERR_MESSAGE_TOO_LARGE:
        case ERR_RECORD_LIST_TOO_LARGE:
        case ERR_INVALID_FETCH_SIZE:
            return ERR_UNKNOWN_SERVER_ERROR;
        default:
            return result;
    }
}

// What is in flight frees itself when it comes back.
static void detach(struct partition_log *p) {
    if (p->is_waiting) produce_waiter_cancel(&p->waiter);
    p->is_waiting = false;
    while (!list_is_empty(&p->appends)) {
        struct append *a = container_of(p->appends.next, struct append, link);
        a->owner = NULL;
        list_remove(&a->link);
    }
    bool has_begun = !list_is_linked(&p->begin.link);
    if (p->load != NULL && has_begun) p->load->owner = NULL;
    if (p->load != NULL && !has_begun) load_free(p->load);
    p->load = NULL;
    env_defer_cancel(p->env, &p->begin);
    env_defer_cancel(p->env, &p->fail);
}

void partition_log_free(struct partition_log *p) {
    detach(p);
    env_defer_cancel(p->env, &p->stop);
    runtime_shard_free(p->shard);
    memory_free(p);
}

// Runs after the shard's own task, which ends the parked operations: deferred tasks run in order.
static void run_stop(struct env_task *task) {
    struct partition_log *p = container_of(task, struct partition_log, stop);
    void (*stopped)(struct store *) = p->stopped;
    struct store *store = p->store;
    partition_log_free(p);
    stopped(store);
}

void partition_log_stop(struct partition_log *p, enum err error,
                        void (*stopped)(struct store *store)) {
    detach(p);
    runtime_deactivate(p->shard, error);
    p->stopped = stopped;
    env_defer(p->env, &p->stop);
}

// ---- Shrinking ----

enum { SHRINK_BATCH_RECORDS = 1000 };

struct rewrite {
    struct partition_log *log;
    const struct runtime_transaction *transaction;
    struct runtime_record records[SHRINK_BATCH_RECORDS];
    int32_t count;
    int64_t last;  // offset of the last record written
    enum err err;
};

static void rewrite_flush(struct rewrite *r) {
    if (r->err == ERR_NONE && r->count > 0)
        r->err = append(&r->log->log, r->records, r->count, &r->last);
    r->count = 0;
}

static void rewrite_add(struct rewrite *r, const struct store_entry *e) {
    r->records[r->count++] = (struct runtime_record){
        .key = e->by_key.key, .value = e->value, .transaction = r->transaction};
    if (r->count == SHRINK_BATCH_RECORDS) rewrite_flush(r);
}

// What stands later wins: a pending value that is newer than the store's is written again behind
// it. (All others stay where they are: the log start does not pass an open transaction.)
static void rewrite_transaction(struct rewrite *r, const struct store_transaction *t) {
    struct runtime_transaction transaction = {.producer_id = t->producer_id,
                                              .producer_epoch = t->producer_epoch};
    r->transaction = &transaction;
    map_for_each(n, &t->entries) {
        const struct store_entry *e = container_of(n, struct store_entry, by_key);
        const struct map_node *m = map_get(&r->log->store->entries, e->by_key.key);
        if (m != NULL && container_of(m, const struct store_entry, by_key)->offset < e->offset)
            rewrite_add(r, e);
    }
    rewrite_flush(r);
    r->transaction = NULL;
}

static bool is_worth_shrinking(const struct partition_log *p) {
    struct log *log = p->partition->log;
    int64_t size = log_size_bytes(log);
    return size >= SHRINK_BYTES && size / SHRINK_FACTOR >= (int64_t)p->store->bytes &&
           log_last_stable_offset(log, p->partition->high_watermark) > log_start_offset(log);
}

void partition_log_shrink(struct partition_log *p) {
    if (!runtime_is_active(p->shard) || p->shrink_end > 0 || !is_worth_shrinking(p)) return;
    int64_t base = log_end_assigned(p->partition->log);
    struct rewrite r = {.log = p, .last = base - 1};
    map_for_each(n, &p->store->entries) {
        rewrite_add(&r, container_of(n, struct store_entry, by_key));
    }
    rewrite_flush(&r);
    map_for_each(n, &p->store->transactions) {
        rewrite_transaction(&r, container_of(n, struct store_transaction, by_producer));
    }
    if (r.err != ERR_NONE) return;  // the disk is full or failing: tried again later
    p->shrink_base = base;
    p->shrink_end = r.last + 1;
    // An empty store leaves nothing to wait for.
    if (r.last < base) finish_shrink(p);
}
