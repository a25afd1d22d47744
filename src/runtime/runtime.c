// Offsets tie everything together: an operation waits for the offset of the last record that had
// been applied when it finished executing, its own ones included; when that offset is durable its
// answer may leave, because all that it saw is durable too. Parked operations are in order of that
// offset, so completing is popping from the front.
//
// Completion always comes from a deferred task of the same pass, never from inside runtime_submit
// or runtime_committed: a callback that submits the next operation cannot grow the stack.
#include "runtime/runtime.h"

#include "base/assert.h"
#include "base/memory.h"

enum shard_state { SHARD_LOADING, SHARD_ACTIVE, SHARD_INACTIVE };

struct runtime_shard {
    struct env *env;
    struct runtime_machine *machine;
    struct runtime_log *log;
    enum shard_state state;
    int32_t epoch;
    int64_t last_offset;       // applied
    int64_t committed_offset;  // durable
    struct list parked;        // operations that wait for their offset, in order of it
    struct list finished;      // operations whose `done` comes with the task
    struct list timers;
    struct env_task task;
};

// ---- Completion ----

static void run_finished(struct env_task *task) {
    struct runtime_shard *shard = container_of(task, struct runtime_shard, task);
    struct list *link;
    while ((link = list_pop(&shard->finished)) != NULL) {
        struct runtime_operation *operation = container_of(link, struct runtime_operation, link);
        struct arena arena = operation->arena;
        operation->done(operation, operation->error);  // may free the operation
        arena_deinit(&arena);
    }
}

static void finish(struct runtime_shard *shard, struct runtime_operation *operation,
                   enum err error) {
    operation->error = error;
    list_append(&shard->finished, &operation->link);
    env_defer(shard->env, &shard->task);
}

static void finish_durable(struct runtime_shard *shard) {
    while (!list_is_empty(&shard->parked)) {
        struct runtime_operation *first =
            container_of(shard->parked.next, struct runtime_operation, link);
        if (first->offset > shard->committed_offset) return;
        list_remove(&first->link);
        finish(shard, first, ERR_NONE);
    }
}

// Operations that saw records beyond `offset`.
static void fail_parked_beyond(struct runtime_shard *shard, int64_t offset, enum err error) {
    list_for_each_safe(link, &shard->parked) {
        struct runtime_operation *operation = container_of(link, struct runtime_operation, link);
        if (operation->offset <= offset) continue;
        list_remove(&operation->link);
        finish(shard, operation, error);
    }
}

// ---- Life ----

struct runtime_shard *runtime_shard_new(struct env *env, struct runtime_machine *machine,
                                        struct runtime_log *log) {
    struct runtime_shard *shard = memory_zalloc(1, sizeof *shard);
    shard->env = env;
    shard->machine = machine;
    shard->log = log;
    shard->state = SHARD_LOADING;
    shard->last_offset = -1;
    shard->committed_offset = -1;
    list_init(&shard->parked);
    list_init(&shard->finished);
    list_init(&shard->timers);
    env_task_init(&shard->task, run_finished);
    return shard;
}

static void stop_timers(struct runtime_shard *shard) {
    list_for_each_safe(link, &shard->timers) {
        runtime_timer_stop(container_of(link, struct runtime_timer, link));
    }
}

// Everything beyond what is durable is taken back, and nothing more happens here.
static void shut(struct runtime_shard *shard, enum err error) {
    if (shard->last_offset > shard->committed_offset) {
        shard->machine->rollback(shard->machine->state, shard->committed_offset);
        shard->last_offset = shard->committed_offset;
    }
    shard->state = SHARD_INACTIVE;
    stop_timers(shard);
    fail_parked_beyond(shard, INT64_MIN, error);
}

static void drop_all(struct list *operations) {
    struct list *link;
    while ((link = list_pop(operations)) != NULL) {
        arena_deinit(&container_of(link, struct runtime_operation, link)->arena);
    }
}

void runtime_shard_free(struct runtime_shard *shard) {
    stop_timers(shard);
    env_defer_cancel(shard->env, &shard->task);
    drop_all(&shard->parked);
    drop_all(&shard->finished);
    memory_free(shard);
}

static enum err replay_one(struct runtime_shard *shard, const struct runtime_record *record,
                           int64_t offset, int32_t epoch) {
    enum err err = shard->machine->replay(shard->machine->state, record, offset, epoch);
    if (err == ERR_NONE) shard->last_offset = offset;
    return err;
}

enum err runtime_replay(struct runtime_shard *shard, const struct runtime_record *record,
                        int64_t offset, int32_t epoch) {
    assert(shard->state == SHARD_LOADING);
    return replay_one(shard, record, offset, epoch);
}

void runtime_activate(struct runtime_shard *shard, int64_t offset, int32_t epoch) {
    assert(shard->state == SHARD_LOADING);
    shard->state = SHARD_ACTIVE;
    shard->epoch = epoch;
    shard->last_offset = MAX(shard->last_offset, shard->log->next_offset(shard->log) - 1);
    shard->committed_offset = offset;
}

void runtime_deactivate(struct runtime_shard *shard, enum err error) {
    if (shard->state == SHARD_INACTIVE) return;
    shut(shard, error);
}

void runtime_load(struct runtime_shard *shard) {
    assert(shard->state == SHARD_INACTIVE);
    shard->state = SHARD_LOADING;
    shard->last_offset = -1;
    shard->committed_offset = -1;
}

void runtime_committed(struct runtime_shard *shard, int64_t offset) {
    if (shard->state != SHARD_ACTIVE || offset <= shard->committed_offset) return;
    shard->committed_offset = offset;
    shard->machine->committed(shard->machine->state, offset);
    finish_durable(shard);
}

void runtime_lost(struct runtime_shard *shard, int64_t offset, enum err error) {
    if (shard->state != SHARD_ACTIVE || offset >= shard->last_offset) return;
    assert(offset >= shard->committed_offset);
    shard->machine->rollback(shard->machine->state, offset);
    shard->last_offset = offset;
    fail_parked_beyond(shard, offset, error);
}

// ---- Operations ----

void runtime_result_add(struct runtime_result *result, struct runtime_record record) {
    if (result->count == result->capacity) {
        int32_t capacity = MAX(8, result->capacity * 2);
        struct runtime_record *records =
            arena_zalloc(result->arena, (size_t)capacity, sizeof *records);
        if (result->count > 0) {
            memcpy(records, result->records, (size_t)result->count * sizeof *records);
        }
        result->records = records;
        result->capacity = capacity;
    }
    result->records[result->count++] = record;
}

// Replays the records, so that later operations see them, and appends them. On an error nothing has
// happened (but a batch that was appended before the failed one stays, when the result may be
// split).
static enum err apply_and_append(struct runtime_shard *shard, const struct runtime_record *records,
                                 int32_t count) {
    struct runtime_machine *machine = shard->machine;
    int64_t before = shard->last_offset;
    int64_t first = shard->log->next_offset(shard->log);
    machine->mark(machine->state, first - 1);
    enum err err = ERR_NONE;
    for (int32_t i = 0; i < count && err == ERR_NONE; i++) {
        err = replay_one(shard, &records[i], first + i, shard->epoch);
    }
    if (err != ERR_NONE) {
        struct message text;
        message_set(&text, "a record of our own could not be replayed at offset %lld: %s",
                    (long long)shard->last_offset + 1, err_text(err));
        machine->rollback(machine->state, first - 1);
        shard->last_offset = before;
        shut(shard, machine->inactive_error);
        machine->failed(machine->state, err, message_slice(&text));
        return err;
    }
    int64_t last;
    err = shard->log->append(shard->log, records, count, &last);
    if (err != ERR_NONE) {
        machine->rollback(machine->state, first - 1);
        shard->last_offset = before;
        return err;
    }
    assert(last == first + count - 1);
    return ERR_NONE;
}

static enum err append_result(struct runtime_shard *shard, const struct runtime_result *result) {
    int32_t limit = result->atomic ? result->count : MAX(1, shard->log->batch_records_max);
    for (int32_t at = 0; at < result->count; at += limit) {
        int32_t count = MIN(limit, result->count - at);
        enum err err = apply_and_append(shard, result->records + at, count);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

void runtime_submit(struct runtime_shard *shard, struct runtime_operation *operation) {
    arena_init(&operation->arena);
    list_init(&operation->link);
    operation->result = (struct runtime_result){
        .arena = &operation->arena,
        .next_offset = shard->log->next_offset(shard->log),
    };
    if (shard->state != SHARD_ACTIVE) {
        finish(shard, operation,
               shard->state == SHARD_LOADING ? shard->machine->loading_error
                                             : shard->machine->inactive_error);
        return;
    }
    enum err err = operation->execute(operation, shard->machine->state, &operation->result);
    if (err == ERR_NONE) err = append_result(shard, &operation->result);
    if (err != ERR_NONE) {
        finish(shard, operation, err);
        return;
    }
    operation->offset = shard->last_offset;
    list_append(&shard->parked, &operation->link);
    finish_durable(shard);
}

bool runtime_is_active(const struct runtime_shard *shard) {
    return shard->state == SHARD_ACTIVE;
}
int64_t runtime_last_offset(const struct runtime_shard *shard) {
    return shard->last_offset;
}
int64_t runtime_committed_offset(const struct runtime_shard *shard) {
    return shard->committed_offset;
}

// ---- Timers ----

static void timer_fired(struct env_timer *env_timer) {
    struct runtime_timer *timer = container_of(env_timer, struct runtime_timer, timer);
    list_remove(&timer->link);
    timer->fire(timer);
}

void runtime_timer_init(struct runtime_timer *timer, void (*fire)(struct runtime_timer *timer)) {
    env_timer_init(&timer->timer, timer_fired);
    list_init(&timer->link);
    timer->shard = NULL;
    timer->fire = fire;
}

void runtime_timer_start(struct runtime_shard *shard, struct runtime_timer *timer,
                         uint64_t deadline_ns) {
    if (shard->state != SHARD_ACTIVE) return;
    runtime_timer_stop(timer);
    timer->shard = shard;
    list_append(&shard->timers, &timer->link);
    env_timer_start(shard->env, &timer->timer, deadline_ns);
}

void runtime_timer_stop(struct runtime_timer *timer) {
    if (!list_is_linked(&timer->link)) return;
    list_remove(&timer->link);
    env_timer_stop(timer->shard->env, &timer->timer);
}
