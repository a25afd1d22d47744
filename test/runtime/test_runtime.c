// The replicated state machine over a toy: 8 counters, records add to them, a fake log that syncs,
// loses and refuses on command.
#include "test/test.h"

#include "base/memory.h"
#include "base/prng.h"
#include "env/env_posix.h"
#include "runtime/runtime.h"

#define COUNTERS 8
#define LOG_MAX  4096

struct mark {
    int64_t offset;
    int64_t counters[COUNTERS];
};

struct toy {
    struct env_posix *posix;
    struct env *env;
    struct runtime_machine machine;
    struct runtime_log log;
    struct runtime_shard *shard;
    int64_t counters[COUNTERS];
    struct mark marks[512];
    int mark_count;
    // The log: a counter and an amount per offset; counter -1: a control record of the log's own.
    struct {
        int32_t counter;
        int64_t amount;
    } entries[LOG_MAX];
    int64_t end;
    enum err refuse;
    enum err replay_error;
    int batches;
    int failures;
};

static enum err toy_replay(void *state, const struct runtime_record *record, int64_t offset,
                           int32_t epoch) {
    struct toy *toy = state;
    (void)offset, (void)epoch;
    if (toy->replay_error != ERR_NONE) return toy->replay_error;
    toy->counters[record->type] += record->version;
    return ERR_NONE;
}

static void toy_mark(void *state, int64_t offset) {
    struct toy *toy = state;
    assert_true(toy->mark_count < (int)COUNT_OF(toy->marks));
    struct mark *mark = &toy->marks[toy->mark_count++];
    mark->offset = offset;
    memcpy(mark->counters, toy->counters, sizeof mark->counters);
}

static void toy_committed(void *state, int64_t offset) {
    struct toy *toy = state;
    int drop = 0;
    while (drop < toy->mark_count && toy->marks[drop].offset < offset)
        drop++;
    toy->mark_count -= drop;
    memmove(toy->marks, toy->marks + drop, (size_t)toy->mark_count * sizeof *toy->marks);
}

static void toy_rollback(void *state, int64_t offset) {
    struct toy *toy = state;
    for (int i = 0; i < toy->mark_count; i++) {
        if (toy->marks[i].offset < offset) continue;
        memcpy(toy->counters, toy->marks[i].counters, sizeof toy->counters);
        toy->mark_count = i;
        return;
    }
}

static void toy_failed(void *state, enum err error, struct slice sentence) {
    struct toy *toy = state;
    assert_int_not_equal(error, ERR_NONE);
    assert_true(sentence.size > 0);
    toy->failures++;
}

static enum err log_append(struct runtime_log *log, const struct runtime_record *records,
                           int32_t count, int64_t *last_offset) {
    struct toy *toy = container_of(log, struct toy, log);
    if (toy->refuse != ERR_NONE) return toy->refuse;
    for (int32_t i = 0; i < count; i++) {
        toy->entries[toy->end].counter = records[i].type;
        toy->entries[toy->end++].amount = records[i].version;
    }
    toy->batches++;
    *last_offset = toy->end - 1;
    return ERR_NONE;
}

static int64_t log_next_offset(struct runtime_log *log) {
    return container_of(log, struct toy, log)->end;
}

static int setup(void **state) {
    struct toy *toy = memory_zalloc(1, sizeof *toy);
    toy->posix = env_posix_new(&(struct env_posix_options){.reactors = 1, .log_level = LOG_ERROR});
    toy->env = env_posix_reactor(toy->posix, 0);
    toy->machine = (struct runtime_machine){toy,
                                            ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                            ERR_NOT_COORDINATOR,
                                            toy_replay,
                                            toy_mark,
                                            toy_committed,
                                            toy_rollback,
                                            toy_failed};
    toy->log = (struct runtime_log){log_append, log_next_offset, 3};
    toy->shard = runtime_shard_new(toy->env, &toy->machine, &toy->log);
    *state = toy;
    return 0;
}

static int teardown(void **state) {
    struct toy *toy = *state;
    runtime_deactivate(toy->shard, ERR_NOT_COORDINATOR);
    env_posix_pass(toy->posix, 0);
    runtime_shard_free(toy->shard);
    env_posix_free(toy->posix);
    memory_free(toy);
    return 0;
}

// ---- Operations ----

struct add {
    struct runtime_operation operation;
    int32_t counter;
    int16_t amount;
    int32_t times;
    bool atomic;
    enum err fail;
    int64_t seen;
    enum err result;
    int done;
};

static enum err add_execute(struct runtime_operation *operation, void *state,
                            struct runtime_result *result) {
    struct add *add = container_of(operation, struct add, operation);
    struct toy *toy = state;
    add->seen = toy->counters[add->counter];
    result->atomic = add->atomic;
    for (int32_t i = 0; i < add->times; i++) {
        runtime_result_add(result,
                           (struct runtime_record){.type = add->counter, .version = add->amount});
    }
    return add->fail;
}

static void add_done(struct runtime_operation *operation, enum err result) {
    struct add *add = container_of(operation, struct add, operation);
    add->done++;
    add->result = result;
}

static void submit(struct toy *toy, struct add *add) {
    add->operation.execute = add_execute;
    add->operation.done = add_done;
    int before = add->done;
    runtime_submit(toy->shard, &add->operation);
    assert_int_equal(add->done, before);  // never inside the call
}

static void pass(struct toy *toy) {
    env_posix_pass(toy->posix, 0);
}

// ---- Tests ----

static void test_refused_while_not_active(void **state) {
    struct toy *toy = *state;
    struct add add = {.times = 1, .amount = 1};
    submit(toy, &add);
    pass(toy);
    assert_int_equal(add.result, ERR_COORDINATOR_LOAD_IN_PROGRESS);
    runtime_activate(toy->shard, -1, 1);
    runtime_deactivate(toy->shard, ERR_NOT_COORDINATOR);
    struct add late = {.times = 1, .amount = 1};
    submit(toy, &late);
    pass(toy);
    assert_int_equal(late.result, ERR_NOT_COORDINATOR);
    assert_int_equal(toy->end, 0);
}

static void test_parked_until_durable(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add first = {.times = 2, .amount = 5};
    struct add read = {.times = 0};
    submit(toy, &first);
    submit(toy, &read);
    pass(toy);
    assert_int_equal(first.done + read.done, 0);
    assert_int_equal(read.seen, 10);  // what is not durable is visible to later operations
    runtime_committed(toy->shard, 0);
    pass(toy);
    assert_int_equal(first.done, 0);
    runtime_committed(toy->shard, 1);
    assert_int_equal(first.done, 0);  // never inside the call
    pass(toy);
    assert_int_equal(first.done + read.done, 2);
    assert_int_equal(first.result, ERR_NONE);
    struct add alone = {.times = 0};
    submit(toy, &alone);
    pass(toy);
    assert_int_equal(alone.done, 1);  // nothing to wait for
}

static void test_error_of_execute_writes_nothing(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add add = {.times = 3, .amount = 1, .fail = ERR_INVALID_REQUEST};
    submit(toy, &add);
    pass(toy);
    assert_int_equal(add.result, ERR_INVALID_REQUEST);
    assert_int_equal(toy->end, 0);
    assert_int_equal(toy->counters[0], 0);
}

static void test_refused_append_is_taken_back(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add good = {.times = 1, .amount = 7};
    submit(toy, &good);
    toy->refuse = ERR_NO_SPACE;
    struct add bad = {.times = 2, .amount = 100};
    submit(toy, &bad);
    pass(toy);
    assert_int_equal(bad.result, ERR_NO_SPACE);
    assert_int_equal(toy->counters[0], 7);
    toy->refuse = ERR_NONE;
    struct add again = {.times = 1, .amount = 1};
    submit(toy, &again);
    assert_int_equal(again.seen, 7);
    runtime_committed(toy->shard, toy->end - 1);
    pass(toy);
    assert_int_equal(good.result + again.result, ERR_NONE);
    assert_int_equal(toy->counters[0], 8);
}

static void test_lost_tail(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add a = {.times = 2, .amount = 1}, b = {.times = 2, .amount = 10}, c = {.times = 0},
               early = {.times = 0};
    submit(toy, &a);
    submit(toy, &early);
    submit(toy, &b);
    submit(toy, &c);
    runtime_committed(toy->shard, 1);
    toy->end = 2;
    runtime_lost(toy->shard, 1, ERR_NO_SPACE);
    pass(toy);
    assert_int_equal(a.result, ERR_NONE);
    assert_int_equal(early.result, ERR_NONE);
    assert_int_equal(b.result, ERR_NO_SPACE);
    assert_int_equal(c.result, ERR_NO_SPACE);  // it had seen what is gone
    assert_int_equal(c.seen, 22);
    assert_int_equal(toy->counters[0], 2);
    assert_true(runtime_is_active(toy->shard));
    assert_int_equal(runtime_last_offset(toy->shard), 1);
}

static void test_splits_what_is_not_atomic(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add whole = {.times = 7, .amount = 1, .atomic = true};
    submit(toy, &whole);
    assert_int_equal(toy->batches, 1);
    struct add split = {.times = 7, .amount = 1};
    submit(toy, &split);
    assert_int_equal(toy->batches, 4);
    runtime_committed(toy->shard, toy->end - 1);
    pass(toy);
    assert_int_equal(whole.done + split.done, 2);
    assert_int_equal(toy->counters[0], 14);
}

static void test_replay_that_fails_stops_the_shard(void **state) {
    struct toy *toy = *state;
    runtime_activate(toy->shard, -1, 1);
    struct add good = {.times = 1, .amount = 1};
    submit(toy, &good);
    toy->replay_error = ERR_INVALID;
    struct add bad = {.times = 1, .amount = 1};
    submit(toy, &bad);
    pass(toy);
    assert_int_equal(toy->failures, 1);
    assert_int_equal(bad.result, ERR_INVALID);
    assert_int_equal(good.result, ERR_NOT_COORDINATOR);
    assert_int_equal(toy->end, 1);
    assert_false(runtime_is_active(toy->shard));
    assert_int_equal(toy->counters[0], 0);
}

static struct {
    struct runtime_timer timer;
    int fired;
} ticking;

static void tick(struct runtime_timer *timer) {
    assert_ptr_equal(timer, &ticking.timer);
    ticking.fired++;
}

static void test_timers_die_with_the_shard(void **state) {
    struct toy *toy = *state;
    ticking.fired = 0;
    runtime_timer_init(&ticking.timer, tick);
    runtime_timer_start(toy->shard, &ticking.timer, 0);  // not active: nothing
    pass(toy);
    pass(toy);
    assert_int_equal(ticking.fired, 0);
    runtime_activate(toy->shard, -1, 1);
    runtime_timer_start(toy->shard, &ticking.timer, 0);
    runtime_timer_start(toy->shard, &ticking.timer, 0);
    pass(toy);
    pass(toy);
    assert_int_equal(ticking.fired, 1);
    runtime_timer_start(toy->shard, &ticking.timer, 0);
    runtime_deactivate(toy->shard, ERR_NOT_COORDINATOR);
    pass(toy);
    pass(toy);
    assert_int_equal(ticking.fired, 1);
}

// After every step the live counters are those that a replay of the log gives.
static void check_replays(struct toy *toy) {
    int64_t counters[COUNTERS] = {0};
    for (int64_t i = 0; i < toy->end; i++) {
        if (toy->entries[i].counter >= 0)
            counters[toy->entries[i].counter] += toy->entries[i].amount;
    }
    assert_memory_equal(counters, toy->counters, sizeof counters);
}

static void test_random_runs(void **state) {
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct toy *toy = *state;
        struct prng prng;
        prng_init(&prng, seed);
        runtime_activate(toy->shard, -1, 1);
        struct add *adds = memory_zalloc(300, sizeof *adds);
        int64_t starts[301];  // of batches, where a tail may be lost
        int start_count = 0;
        int64_t committed = -1;
        for (int step = 0; step < 300; step++) {
            struct add *add = &adds[step];
            add->counter = (int32_t)prng_below(&prng, COUNTERS);
            add->amount = (int16_t)prng_below(&prng, 100);
            add->times = (int32_t)prng_below(&prng, 3);
            add->atomic = true;
            toy->refuse = prng_chance(&prng, 1, 20) ? ERR_NO_SPACE : ERR_NONE;
            if (prng_chance(&prng, 1, 15)) toy->entries[toy->end++].counter = -1;  // raft's own
            starts[start_count++] = toy->end;
            submit(toy, add);
            if (prng_chance(&prng, 1, 4)) {
                int64_t end = starts[prng_below(&prng, (uint64_t)start_count)];
                committed = MAX(committed, end - 1);
                runtime_committed(toy->shard, committed);
            }
            if (prng_chance(&prng, 1, 10)) {
                int64_t end = starts[prng_below(&prng, (uint64_t)start_count)];
                if (end - 1 >= committed) {
                    toy->end = end;
                    while (start_count > 0 && starts[start_count - 1] >= end)
                        start_count--;
                    starts[start_count++] = end;
                    runtime_lost(toy->shard, end - 1, ERR_NO_SPACE);
                }
            }
            check_replays(toy);
            if (prng_chance(&prng, 1, 3)) pass(toy);
        }
        toy->end = committed + 1;
        runtime_deactivate(toy->shard, ERR_NOT_COORDINATOR);
        check_replays(toy);
        pass(toy);
        for (int step = 0; step < 300; step++)
            assert_int_equal(adds[step].done, 1);
        memory_free(adds);
        teardown(state);
        setup(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_refused_while_not_active),
        TEST(test_parked_until_durable),
        TEST(test_error_of_execute_writes_nothing),
        TEST(test_refused_append_is_taken_back),
        TEST(test_lost_tail),
        TEST(test_splits_what_is_not_atomic),
        TEST(test_replay_that_fails_stops_the_shard),
        TEST(test_timers_die_with_the_shard),
        TEST(test_random_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
