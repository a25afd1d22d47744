// Shards come and go with the leadership of the partitions of __transaction_state; calls are sent
// to the shard of their partition.
#include "base/assert.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "transaction/state.h"

int32_t transaction_partition_of(struct slice transactional_id, int32_t partition_count) {
    return utf8_java_partition(transactional_id, partition_count);
}

// ---- Shards ----

static void loaded(struct store *store);
static void failed(void *store, enum err error, struct slice sentence);
static void abort_timed_out(struct runtime_timer *timer);
static void housekeep(struct runtime_timer *timer);
static void stop_when_idle(struct transaction_coordinator *c);

static struct transaction_shard *shard_of(const struct transaction_coordinator *c,
                                          int32_t partition) {
    list_for_each(link, &c->shards) {
        struct transaction_shard *s = container_of(link, struct transaction_shard, link);
        if (s->partition == partition && !s->is_stopping) return s;
    }
    return NULL;
}

static void shard_new(struct transaction_coordinator *c, struct uuid topic_id,
                      struct partition *partition) {
    struct transaction_shard *s = memory_zalloc(1, sizeof *s);
    s->coordinator = c;
    s->topic_id = topic_id;
    s->partition = partition->index;
    map_init(&s->ids, env_random(c->env));
    runtime_timer_init(&s->timeouts, abort_timed_out);
    runtime_timer_init(&s->housekeeping, housekeep);
    store_init(&s->store, env_random(c->env), transaction_apply, &s->store);
    list_append(&c->shards, &s->link);
    s->log = partition_log_new(&(struct partition_log_options){.env = c->env,
                                                               .partition = partition,
                                                               .store = &s->store,
                                                               .loaded = loaded,
                                                               .failed = failed});
}

static void forget_all(struct transaction_shard *s) {
    map_for_each(n, &s->ids) transaction_forget(container_of(n, struct transaction_id, by_id));
}

static void shard_free(struct store *store) {
    struct transaction_shard *s = container_of(store, struct transaction_shard, store);
    struct transaction_coordinator *c = s->coordinator;
    forget_all(s);
    map_deinit(&s->ids);
    store_deinit(&s->store);
    list_remove(&s->link);
    memory_free(s);
    stop_when_idle(c);
}

static void shard_stop(struct transaction_shard *s) {
    if (s->is_stopping) return;
    s->is_stopping = true;
    partition_log_stop(s->log, ERR_NOT_COORDINATOR, shard_free);
    forget_all(s);
}

static void failed(void *store, enum err error, struct slice sentence) {
    struct transaction_shard *s =
        container_of((struct store *)store, struct transaction_shard, store);
    (void)error;
    log_error(env_logger(transaction_env(s)), "transaction", TRANSACTION_TOPIC "-%d: %.*s",
              s->partition, SLICE_PRINT(sentence));
}

// ---- Own operations ----

struct own_operation {
    struct runtime_operation operation;
    struct transaction_coordinator *coordinator;
    int32_t partition;
    bool (*run)(struct transaction_shard *shard, struct transaction_id *id,
                struct runtime_result *result);
    bool is_prepared;  // markers follow
    size_t id_size;
    uint8_t id[];
};

static enum err execute_own(struct runtime_operation *operation, void *state,
                            struct runtime_result *result) {
    struct own_operation *o = container_of(operation, struct own_operation, operation);
    struct transaction_shard *s =
        container_of((struct store *)state, struct transaction_shard, store);
    o->is_prepared = o->run(s, transaction_find(s, slice_of(o->id, o->id_size)), result);
    return ERR_NONE;
}

// Its records, and all that it saw, are durable.
static void own_done(struct runtime_operation *operation, enum err result) {
    struct own_operation *o = container_of(operation, struct own_operation, operation);
    struct transaction_shard *s = shard_of(o->coordinator, o->partition);
    struct transaction_id *id = s == NULL ? NULL : transaction_find(s, slice_of(o->id, o->id_size));
    if (result == ERR_NONE && o->is_prepared && id != NULL) transaction_complete_if_prepared(s, id);
    memory_free(o);
}

// `run` gets NULL when the id is gone, and says whether the id is, or gets, prepared.
static void run_own(struct transaction_shard *s, struct slice id,
                    bool (*run)(struct transaction_shard *shard, struct transaction_id *id,
                                struct runtime_result *result)) {
    struct own_operation *o = memory_zalloc(1, sizeof *o + id.size);
    o->operation = (struct runtime_operation){.execute = execute_own, .done = own_done};
    o->coordinator = s->coordinator;
    o->partition = s->partition;
    o->run = run;
    o->id_size = id.size;
    memcpy(o->id, id.data, id.size);
    runtime_submit(partition_log_shard(s->log), &o->operation);
}

// ---- Time ----

static void start_timer(struct transaction_shard *s, struct runtime_timer *timer, int64_t ms) {
    uint64_t deadline = env_now_ns(transaction_env(s)) + (uint64_t)MAX(ms, (int64_t)1) * 1000000U;
    runtime_timer_start(partition_log_shard(s->log), timer, deadline);
}

static void start_timeouts(struct transaction_shard *s) {
    int32_t interval = config_int(
        s->coordinator->config, BROKER_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS);
    start_timer(s, &s->timeouts, interval);
}

static void start_housekeeping(struct transaction_shard *s) {
    int32_t interval = config_int(
        s->coordinator->config, BROKER_TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS);
    start_timer(s, &s->housekeeping, interval);
}

static bool time_out(struct transaction_shard *s, struct transaction_id *id,
                     struct runtime_result *result) {
    int64_t now_ms = env_wall_ms(transaction_env(s));
    if (id == NULL || !transaction_has_timed_out(&id->now, now_ms)) return false;
    int16_t version = transaction_server_version(s->coordinator);
    struct transaction next = transaction_time_out(&id->now, version, now_ms);
    id->given_epoch = next.producer_epoch;
    id->epoch_before = next.last_producer_epoch;
    transaction_add_record(result, id->id, &next, version);
    return true;
}

static void abort_timed_out(struct runtime_timer *timer) {
    struct transaction_shard *s = container_of(timer, struct transaction_shard, timeouts);
    int64_t now_ms = env_wall_ms(transaction_env(s));
    map_for_each(n, &s->ids) {
        const struct transaction_id *id = container_of(n, struct transaction_id, by_id);
        if (transaction_has_timed_out(&id->now, now_ms)) run_own(s, id->id, time_out);
    }
    // Some records per transaction: the log grows faster than housekeeping comes.
    partition_log_shrink(s->log);
    start_timeouts(s);
}

static bool is_expired(const struct transaction_shard *s, const struct transaction_id *id) {
    int64_t kept_ms = config_int(s->coordinator->config, BROKER_TRANSACTIONAL_ID_EXPIRATION_MS);
    return transaction_is_expired(&id->now, env_wall_ms(transaction_env(s)), kept_ms);
}

static bool expire(struct transaction_shard *s, struct transaction_id *id,
                   struct runtime_result *result) {
    if (id != NULL && is_expired(s, id))
        transaction_add_record(result, id->id, NULL, transaction_server_version(s->coordinator));
    return false;
}

static void housekeep(struct runtime_timer *timer) {
    struct transaction_shard *s = container_of(timer, struct transaction_shard, housekeeping);
    map_for_each(n, &s->ids) {
        const struct transaction_id *id = container_of(n, struct transaction_id, by_id);
        if (is_expired(s, id)) run_own(s, id->id, expire);
    }
    start_housekeeping(s);
}

static bool look(struct transaction_shard *s, struct transaction_id *id,
                 struct runtime_result *result) {
    (void)s;
    (void)result;
    return id != NULL;  // nothing else can have happened to it
}

static void loaded(struct store *store) {
    struct transaction_shard *s = container_of(store, struct transaction_shard, store);
    s->is_loaded = true;
    // Ends that were decided but not finished go on, once it is sure that they are durable.
    map_for_each(n, &s->ids) {
        const struct transaction_id *id = container_of(n, struct transaction_id, by_id);
        if (env_mutant(transaction_env(s), MUTANT_TXN_FORGET_PREPARED)) break;
        if (id->now.state == TRANSACTION_PREPARE_COMMIT ||
            id->now.state == TRANSACTION_PREPARE_ABORT)
            run_own(s, id->id, look);
    }
    start_timeouts(s);
    start_housekeeping(s);
}

int32_t transaction_coordinator_fingerprints(const struct transaction_coordinator *c,
                                             struct store_fingerprint *fingerprints,
                                             int32_t capacity) {
    int32_t count = 0;
    list_for_each(link, &c->shards) {
        const struct transaction_shard *s = container_of(link, struct transaction_shard, link);
        if (s->is_stopping || count == capacity) continue;
        fingerprints[count++] = store_fingerprint(&s->store, s->partition, s->is_loaded);
    }
    return count;
}

// ---- Publishing ----

static void open_shards(struct transaction_coordinator *c, const struct topic_image *topic) {
    const struct replica_topic *mine = replica_topic_of(c->replicas, topic->id);
    for (int32_t i = 0; mine != NULL && i < mine->partition_count; i++) {
        struct partition *p = mine->partitions[i];
        if (p == NULL || !partition_is_leader(p) || shard_of(c, i) != NULL) continue;
        shard_new(c, topic->id, p);
    }
}

void transaction_coordinator_retire(struct transaction_coordinator *c, const struct image *next) {
    const struct topic_image *topic = image_topic(next, SLICE_LITERAL(TRANSACTION_TOPIC));
    list_for_each_safe(link, &c->shards) {
        struct transaction_shard *s = container_of(link, struct transaction_shard, link);
        const struct partition_image *p =
            topic == NULL ? NULL : topic_partition(topic, s->partition);
        bool stays = p != NULL && uuid_equal(topic->id, s->topic_id) && p->leader == c->node_id;
        if (!stays) shard_stop(s);
    }
}

void transaction_coordinator_publish(struct transaction_coordinator *c, struct image *image,
                                     const struct config *config) {
    c->image = image;
    c->config = config;
    const struct topic_image *topic = image_topic(image, SLICE_LITERAL(TRANSACTION_TOPIC));
    if (topic != NULL && c->stopped == NULL) open_shards(c, topic);
}

// ---- Life ----

static void run_stop(struct env_task *task) {
    struct transaction_coordinator *c = container_of(task, struct transaction_coordinator, stop);
    void (*stopped)(void *) = c->stopped;
    if (stopped == NULL || !list_is_empty(&c->shards) || c->markers_underway > 0) return;
    c->stopped = NULL;
    stopped(c->context);
}

// `stopped` may free the coordinator, so it has a task of its own.
static void stop_when_idle(struct transaction_coordinator *c) {
    if (c->stopped != NULL) env_defer(c->env, &c->stop);
}

struct transaction_coordinator *transaction_coordinator_new(struct env *env,
                                                            struct replica_manager *replicas,
                                                            int32_t node_id,
                                                            struct transaction_sender sender) {
    struct transaction_coordinator *c = memory_zalloc(1, sizeof *c);
    c->env = env;
    c->replicas = replicas;
    c->node_id = node_id;
    c->sender = sender;
    list_init(&c->shards);
    env_task_init(&c->stop, run_stop);
    return c;
}

void transaction_coordinator_free(struct transaction_coordinator *c) {
    if (c == NULL) return;
    c->stopped = NULL;
    env_defer_cancel(c->env, &c->stop);
    while (!list_is_empty(&c->shards)) {
        struct transaction_shard *s = container_of(c->shards.next, struct transaction_shard, link);
        partition_log_free(s->log);
        shard_free(&s->store);
    }
    memory_free(c);
}

void transaction_coordinator_stop(struct transaction_coordinator *c, void (*stopped)(void *context),
                                  void *context) {
    c->stopped = stopped;
    c->context = context;
    list_for_each_safe(link, &c->shards) {
        shard_stop(container_of(link, struct transaction_shard, link));
    }
    stop_when_idle(c);
}

void transaction_marker_back(struct transaction_coordinator *c) {
    c->markers_underway--;
    stop_when_idle(c);
}

// ---- Calls ----

static void submit(struct transaction_call *call);

static enum err execute(struct runtime_operation *operation, void *state,
                        struct runtime_result *result) {
    struct transaction_call *call = container_of(operation, struct transaction_call, operation);
    return transaction_execute(container_of((struct store *)state, struct transaction_shard, store),
                               call, result);
}

static void run_finish(struct env_task *task) {
    struct transaction_call *call = container_of(task, struct transaction_call, finish);
    call->done(call, call->result);
}

static void finish(struct transaction_call *call, enum err result) {
    call->result = result;
    env_task_init(&call->finish, run_finish);
    env_defer(call->coordinator->env, &call->finish);
}

// The markers of the transaction before are under way, or were done meanwhile.
static void wait_or_retry(struct transaction_call *call) {
    struct transaction_coordinator *c = call->coordinator;
    if (env_now_ns(c->env) >= call->give_up_ns) {
        finish(call, ERR_CONCURRENT_TRANSACTIONS);
        return;
    }
    struct transaction_shard *s = shard_of(c, call->partition);
    struct transaction_id *id = s == NULL ? NULL : transaction_find(s, call->transactional_id);
    bool is_ending = id != NULL && (id->now.state == TRANSACTION_PREPARE_COMMIT ||
                                    id->now.state == TRANSACTION_PREPARE_ABORT);
    if (!is_ending) {
        submit(call);
        return;
    }
    if (list_is_empty(&id->waiting))
        runtime_timer_start(partition_log_shard(s->log), &id->patience, call->give_up_ns);
    list_append(&id->waiting, &call->waiting);
}

static void run_again(struct env_task *task) {
    submit(container_of(task, struct transaction_call, finish));
}

void transaction_wake(struct transaction_id *id) {
    runtime_timer_stop(&id->patience);
    for (struct list *link; (link = list_pop(&id->waiting)) != NULL;) {
        struct transaction_call *call = container_of(link, struct transaction_call, waiting);
        env_task_init(&call->finish, run_again);
        env_defer(call->coordinator->env, &call->finish);
    }
}

static void written(struct runtime_operation *operation, enum err result) {
    struct transaction_call *call = container_of(operation, struct transaction_call, operation);
    if (result == ERR_WOULD_BLOCK) {
        wait_or_retry(call);
        return;
    }
    if (result == ERR_NONE && call->wrote_prepare) {
        struct transaction_shard *s = shard_of(call->coordinator, call->partition);
        struct transaction_id *id = s == NULL ? NULL : transaction_find(s, call->transactional_id);
        if (id != NULL) transaction_complete_if_prepared(s, id);
    }
    if (result == ERR_NONE && call->answers_concurrent) result = ERR_CONCURRENT_TRANSACTIONS;
    call->done(call, partition_log_client_error(result));
}

static void submit(struct transaction_call *call) {
    const struct transaction_shard *s = shard_of(call->coordinator, call->partition);
    if (s == NULL) {
        finish(call, ERR_NOT_COORDINATOR);
        return;
    }
    call->operation = (struct runtime_operation){.execute = execute, .done = written};
    runtime_submit(partition_log_shard(s->log), &call->operation);
}

void transaction_call_start(struct transaction_coordinator *c, struct transaction_call *call) {
    call->coordinator = c;
    list_init(&call->waiting);
    int64_t patience_ms =
        c->config == NULL
            ? 0
            : config_int(c->config, BROKER_ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS);
    call->give_up_ns = env_now_ns(c->env) + (uint64_t)patience_ms * 1000000U;
    submit(call);
}
