// The loader and the active controller around the state machine.
//
//   raft record … -> runtime_replay        the state machine's image grows
//   raft leader   -> runtime_activate      and the activation operation is submitted
//   a call        -> runtime_submit        its rule decides, records are replayed and appended to
//   raft raft committed -> publish              the image at the committed offset goes to the host
//   … controller_published -> runtime_committed   … and when all reactors have it, answers are
//   released
//
// Published images follow each other one at a time: while one is on its way, later commits wait and
// are published together.
#include "controller/controller.h"

#include "base/assert.h"
#include "base/memory.h"
#include "controller/state.h"

#define BATCH_RECORDS_MAX 10000
#define SNAPSHOT_NONE     (-1)

struct controller {
    struct env *env;
    struct raft *raft;
    struct controller_host *host;
    struct controller_state state;
    struct runtime_machine machine;
    struct runtime_log log;
    struct runtime_shard *shard;
    struct raft_listener listener;
    struct arena scratch;  // of records being replayed or appended
    int32_t epoch;
    bool is_announced;  // host->active was called
    bool is_failed;
    // Publishing.
    int64_t committed;         // last offset that raft committed; -1: none
    int64_t publishing;        // commit offset of the image on its way; -1: none is
    struct image *published;   // owned; NULL until the first
    struct image *on_its_way;  // owned; NULL: none
    // Snapshots.
    struct raft_snapshot_op snapshot;
    struct image *snapshot_image;  // owned while one is written
    struct image_cursor cursor;
    struct arena snapshot_arena;  // of the record being written
    // Activation, fencing of silent brokers, stop.
    struct runtime_operation activation;
    struct runtime_operation fencing;
    bool is_fencing;
    struct runtime_timer fencing_timer;
    struct raft_stop_op stop;
    bool is_stopping;
    void (*stopped)(void *context);
    void *stopped_context;
};

static void fail(struct controller *c, enum err error, struct slice sentence) {
    if (c->is_failed) return;
    c->is_failed = true;
    runtime_deactivate(c->shard, ERR_NOT_CONTROLLER);
    c->host->failed(c->host, error, sentence);
}

// ---- The log ----

static enum err log_append(struct runtime_log *log, const struct runtime_record *records,
                           int32_t count, int64_t *last_offset) {
    struct controller *c = container_of(log, struct controller, log);
    struct slice *values = arena_zalloc(&c->scratch, (size_t)count, sizeof *values);
    for (int32_t i = 0; i < count; i++)
        values[i] = records[i].value;
    enum err err = raft_append(c->raft, values, count, last_offset);
    arena_reset(&c->scratch);
    return err;
}

static int64_t log_next_offset(struct runtime_log *log) {
    return raft_end_offset(container_of(log, struct controller, log)->raft);
}

static void machine_failed(void *context, enum err error, struct slice sentence) {
    struct controller_state *state = context;
    fail(container_of(state, struct controller, state), error, sentence);
}

// ---- Publishing ----

static void publish_next(struct controller *c) {
    if (c->publishing >= 0 || c->is_failed) return;
    struct image *image = image_stable(controller_state_image_at(&c->state, c->committed));
    bool is_new = image_metadata_version(image) > 0 && image != c->published &&
                  (c->published == NULL || image_offset(image) > image_offset(c->published));
    if (!is_new) {
        // Only control records, or a transaction that is still open.
        runtime_committed(c->shard, c->committed);
        return;
    }
    c->publishing = c->committed;
    c->on_its_way = image_ref(image);
    c->host->publish(c->host, image);
}

void controller_published(struct controller *c, int64_t offset) {
    if (c->on_its_way == NULL || offset < image_offset(c->on_its_way)) return;
    image_unref(c->published);
    c->published = c->on_its_way;
    c->on_its_way = NULL;
    int64_t committed = c->publishing;
    c->publishing = -1;
    runtime_committed(c->shard, committed);
    if (c->committed > committed) publish_next(c);
}

struct image *controller_image(const struct controller *c) {
    return c->published;
}
bool controller_is_active(const struct controller *c) {
    return c->is_announced && runtime_is_active(c->shard);
}
const struct raft *controller_raft(const struct controller *c) {
    return c->raft;
}

// ---- Activation ----

static enum err activation_execute(struct runtime_operation *operation, void *state,
                                   struct runtime_result *result) {
    struct controller *c = container_of(operation, struct controller, activation);
    struct decision decision;
    struct message error;
    message_init(&error);
    decision_init(&decision, state, result, result->arena, &error);
    const struct slice *bootstrap;
    int32_t count;
    raft_bootstrap_records(c->raft, &bootstrap, &count);
    enum err err = rule_activate(&decision, bootstrap, count);
    if (err != ERR_NONE) {
        fail(c, err, message_slice(&error));
    } else if (result->count > 0) {
        log_info(env_logger(c->env), "controller",
                 "Performing controller activation: appending %d record(s) at offset %lld",
                 result->count, (long long)result->next_offset);
    }
    return err;
}

static enum err fencing_execute(struct runtime_operation *operation, void *state,
                                struct runtime_result *result) {
    struct controller *c = container_of(operation, struct controller, fencing);
    struct decision decision;
    struct message error;
    decision_init(&decision, state, result, result->arena, &error);
    uint64_t next = rule_fence_silent_brokers(&decision);
    if (next != 0) runtime_timer_start(c->shard, &c->fencing_timer, next);
    return ERR_NONE;
}

static void fencing_done(struct runtime_operation *operation, enum err result) {
    (void)result;
    container_of(operation, struct controller, fencing)->is_fencing = false;
}

static void fence_silent(struct controller *c) {
    if (c->is_fencing || !runtime_is_active(c->shard)) return;
    c->is_fencing = true;
    c->fencing = (struct runtime_operation){.execute = fencing_execute, .done = fencing_done};
    runtime_submit(c->shard, &c->fencing);
}

static void fencing_timer_fired(struct runtime_timer *timer) {
    fence_silent(container_of(timer, struct controller, fencing_timer));
}

static void announce(struct controller *c) {
    if (c->is_announced || c->is_failed) return;
    c->is_announced = true;
    c->host->active(c->host, c->epoch);
    fence_silent(c);
}

static void activation_done(struct runtime_operation *operation, enum err result) {
    struct controller *c = container_of(operation, struct controller, activation);
    if (result == ERR_NONE) announce(c);
    if (result == ERR_NO_SPACE || result == ERR_LIMIT) {
        fail(c, result, slice_cstring("the activation records could not be written"));
    }
}

// ---- Raft's listener ----

static void on_reset(struct raft_listener *listener, int64_t last_offset, int32_t epoch) {
    (void)last_offset, (void)epoch;
    struct controller *c = container_of(listener, struct controller, listener);
    controller_state_reset(&c->state);
}

static enum err on_record(struct raft_listener *listener, const struct raft_record *record,
                          struct message *error) {
    struct controller *c = container_of(listener, struct controller, listener);
    struct metadata_record decoded;
    enum err err = metadata_record_decode(record->value, &c->scratch, &decoded, error);
    if (err == ERR_NONE) {
        struct runtime_record replayed = {
            .value = record->value,
            .type = (int32_t)decoded.type,
            .version = decoded.version,
            .decoded = decoded.message,
        };
        err = runtime_replay(c->shard, &replayed, record->offset, record->epoch);
        if (err != ERR_NONE) {
            message_set(error, "the metadata record at offset %lld cannot be applied",
                        (long long)record->offset);
        }
    }
    arena_reset(&c->scratch);
    return err;
}

static void on_snapshot_loaded(struct raft_listener *listener) {
    (void)listener;
}

static void on_leader(struct raft_listener *listener, int32_t epoch, int64_t end_offset) {
    struct controller *c = container_of(listener, struct controller, listener);
    struct arena arena;
    arena_init(&arena);
    struct raft_description description;
    raft_describe(c->raft, &arena, &description);
    c->state.kraft_version = description.kraft_version;
    arena_deinit(&arena);
    c->epoch = epoch;
    log_info(env_logger(c->env), "controller",
             "Becoming the active controller at epoch %d, offset %lld", epoch,
             (long long)end_offset);
    sessions_begin(&c->state);
    runtime_activate(c->shard, -1, epoch);
    c->activation =
        (struct runtime_operation){.execute = activation_execute, .done = activation_done};
    runtime_submit(c->shard, &c->activation);
}

static void on_committed(struct raft_listener *listener, int64_t high_watermark) {
    struct controller *c = container_of(listener, struct controller, listener);
    c->committed = MAX(c->committed, high_watermark - 1);
    publish_next(c);
}

static void on_lost(struct raft_listener *listener, int64_t end_offset, enum err error) {
    struct controller *c = container_of(listener, struct controller, listener);
    runtime_lost(c->shard, end_offset - 1, error);
}

static void on_failed(struct raft_listener *listener, enum err error, struct slice sentence) {
    fail(container_of(listener, struct controller, listener), error, sentence);
}

// ---- Snapshots ----

static bool snapshot_next(struct raft_snapshot_op *op, struct slice *value) {
    struct controller *c = container_of(op, struct controller, snapshot);
    struct metadata_record record;
    arena_reset(&c->snapshot_arena);
    if (!image_next_record(c->snapshot_image, &c->cursor, &c->snapshot_arena, &record)) {
        return false;
    }
    struct message error;
    message_init(&error);
    enum err err = metadata_record_frame(&record, &c->snapshot_arena, value, &error);
    if (err != ERR_NONE) fatal("a snapshot record does not encode: %s", error.text);
    return true;
}

static void start_stop(struct controller *c);

static void snapshot_done(struct raft_snapshot_op *op, enum err result) {
    struct controller *c = container_of(op, struct controller, snapshot);
    if (result != ERR_NONE) {
        log_warn(env_logger(c->env), "controller",
                 "the snapshot of offset %lld was not written: %s", (long long)op->end_offset,
                 err_text(result));
    }
    image_unref(c->snapshot_image);
    c->snapshot_image = NULL;
    if (c->is_stopping) start_stop(c);
}

// False when there is nothing new to write, or one is being written.
static bool start_snapshot(struct controller *c) {
    if (c->snapshot_image != NULL || c->published == NULL || c->is_failed) return false;
    int64_t end_offset = image_offset(c->published) + 1;
    if (end_offset <= raft_snapshot_end_offset(c->raft)) return false;
    c->snapshot_image = image_ref(c->published);
    c->cursor = (struct image_cursor){0};
    c->snapshot = (struct raft_snapshot_op){
        .end_offset = end_offset, .next = snapshot_next, .done = snapshot_done};
    enum err err = raft_snapshot_start(c->raft, &c->snapshot);
    if (err == ERR_NONE) return true;
    image_unref(c->snapshot_image);
    c->snapshot_image = NULL;
    return false;
}

static void on_snapshot_wanted(struct raft_listener *listener) {
    start_snapshot(container_of(listener, struct controller, listener));
}

// ---- Calls ----

static controller_rule *rule_of(enum api_key api) {
    switch ((int)api) {
        case API_CREATE_TOPICS:
            return rule_create_topics;
        case API_DELETE_TOPICS:
            return rule_delete_topics;
        case API_CREATE_PARTITIONS:
            return rule_create_partitions;
        case API_INCREMENTAL_ALTER_CONFIGS:
            return rule_incremental_alter_configs;
        case API_ALTER_CONFIGS:
            return rule_alter_configs;
        case API_UPDATE_FEATURES:
            return rule_update_features;
        case API_ELECT_LEADERS:
            return rule_elect_leaders;
        case API_ALTER_PARTITION_REASSIGNMENTS:
            return rule_alter_partition_reassignments;
        case API_LIST_PARTITION_REASSIGNMENTS:
            return rule_list_partition_reassignments;
        case API_ALTER_CLIENT_QUOTAS:
            return rule_alter_client_quotas;
        case API_UNREGISTER_BROKER:
            return rule_unregister_broker;
        case API_UNREGISTER_CONTROLLER:
            return rule_unregister_controller;
        case API_ALLOCATE_PRODUCER_IDS:
            return rule_allocate_producer_ids;
        case API_BROKER_REGISTRATION:
            return rule_broker_registration;
        case API_BROKER_HEARTBEAT:
            return rule_broker_heartbeat;
        case API_ALTER_PARTITION:
            return rule_alter_partition;
        case API_ASSIGN_REPLICAS_TO_DIRS:
            return rule_assign_replicas_to_dirs;
        case API_CONTROLLER_REGISTRATION:
            return rule_controller_registration;
        default:
            return NULL;
    }
}

static enum err call_execute(struct runtime_operation *operation, void *state,
                             struct runtime_result *result) {
    struct controller_call *call = container_of(operation, struct controller_call, operation);
    controller_rule *rule = rule_of(call->api);
    if (rule == NULL) return ERR_UNSUPPORTED_VERSION;
    struct decision decision;
    decision_init(&decision, state, result, call->arena, &call->error);
    decision.api_version = call->version;
    return rule(&decision, call->request, call->response);
}

static void call_done(struct runtime_operation *operation, enum err result) {
    struct controller_call *call = container_of(operation, struct controller_call, operation);
    // A remote broker's session may end now.
    struct controller *c = call->controller;
    if (call->api == API_BROKER_HEARTBEAT || call->api == API_BROKER_REGISTRATION) fence_silent(c);
    call->done(call, result);
}

void controller_call(struct controller *c, struct controller_call *call) {
    message_init(&call->error);
    call->controller = c;
    call->operation = (struct runtime_operation){.execute = call_execute, .done = call_done};
    runtime_submit(c->shard, &call->operation);
}

// ---- Life ----

struct controller *controller_new(struct env *env, const struct controller_options *options,
                                  struct raft *raft, struct controller_host *host) {
    struct controller *c = memory_zalloc(1, sizeof *c);
    c->env = env;
    c->raft = raft;
    c->host = host;
    c->committed = -1;
    c->publishing = -1;
    arena_init(&c->scratch);
    arena_init(&c->snapshot_arena);
    controller_state_init(&c->state, env, options->config, options->cluster_id);
    c->machine = (struct runtime_machine){
        .state = &c->state,
        .loading_error = ERR_NOT_CONTROLLER,
        .inactive_error = ERR_NOT_CONTROLLER,
        .replay = controller_state_replay,
        .mark = controller_state_mark,
        .committed = controller_state_committed,
        .rollback = controller_state_rollback,
        .failed = machine_failed,
    };
    c->log = (struct runtime_log){log_append, log_next_offset, BATCH_RECORDS_MAX};
    c->shard = runtime_shard_new(env, &c->machine, &c->log);
    runtime_timer_init(&c->fencing_timer, fencing_timer_fired);
    c->listener = (struct raft_listener){
        .reset = on_reset,
        .record = on_record,
        .snapshot_loaded = on_snapshot_loaded,
        .leader = on_leader,
        .committed = on_committed,
        .lost = on_lost,
        .snapshot_wanted = on_snapshot_wanted,
        .failed = on_failed,
    };
    return c;
}

void controller_start(struct controller *c) {
    raft_start(c->raft, &c->listener);
}

static void raft_stopped(struct raft_stop_op *op, enum err result) {
    struct controller *c = container_of(op, struct controller, stop);
    if (result != ERR_NONE) {
        log_warn(env_logger(c->env), "controller", "the metadata log did not stop cleanly: %s",
                 err_text(result));
    }
    c->stopped(c->stopped_context);
}

static void start_stop(struct controller *c) {
    runtime_deactivate(c->shard, ERR_NOT_CONTROLLER);
    c->stop.done = raft_stopped;
    raft_stop_start(c->raft, &c->stop);
}

void controller_stop(struct controller *c, void (*done)(void *context), void *context) {
    assert(!c->is_stopping);
    c->is_stopping = true;
    c->stopped = done;
    c->stopped_context = context;
    bool is_writing = c->snapshot_image != NULL || start_snapshot(c);
    if (!is_writing) start_stop(c);
}

void controller_free(struct controller *c) {
    runtime_shard_free(c->shard);
    raft_free(c->raft);
    image_unref(c->published);
    image_unref(c->on_its_way);
    image_unref(c->snapshot_image);
    controller_state_deinit(&c->state);
    arena_deinit(&c->scratch);
    arena_deinit(&c->snapshot_arena);
    memory_free(c);
}
