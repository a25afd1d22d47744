// Timers, deferred tasks, messages between threads, jobs.
#include "test/env/posix_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define MS UINT64_C(1000000)

static char trace[64];
static size_t trace_size;
static void note(char c) {
    if (trace_size < sizeof trace - 1) trace[trace_size++] = c;
    trace[trace_size] = '\0';
}
static void trace_clear(void) {
    trace_size = 0;
    trace[0] = '\0';
}

struct letter_timer {
    struct env_timer timer;
    char letter;
    bool fired;
    uint64_t deadline;
    struct env *env;
};

static void letter_fire(struct env_timer *timer) {
    struct letter_timer *t = container_of(timer, struct letter_timer, timer);
    assert_false(env_timer_is_running(timer));
    assert_true(env_now_ns(t->env) >= t->deadline);
    note(t->letter);
    t->fired = true;
}

static void start_letter(struct fixture *f, struct letter_timer *t, char letter, uint64_t after) {
    *t = (struct letter_timer){
        .letter = letter, .env = f->env, .deadline = env_now_ns(f->env) + after};
    env_timer_init(&t->timer, letter_fire);
    env_timer_start(f->env, &t->timer, t->deadline);
}

static void timers_fire_in_order(void **state) {
    (void)state;
    struct fixture f;
    struct letter_timer a, b, c, d;
    fixture_init(&f, (struct env_posix_options){0});
    trace_clear();
    start_letter(&f, &c, 'c', 3 * MS);
    start_letter(&f, &a, 'a', 0);
    start_letter(&f, &b, 'b', 1 * MS);
    start_letter(&f, &d, 'd', 2 * MS);
    env_timer_stop(f.env, &d.timer);
    env_timer_stop(f.env, &d.timer);
    pass_until(&f, &c.fired);
    assert_string_equal(trace, "abc");
    fixture_deinit(&f);
}

struct again {
    struct env_timer timer;
    struct env *env;
    int count;
    uint64_t last;
    bool done;
};
static void again_fire(struct env_timer *timer) {
    struct again *a = container_of(timer, struct again, timer);
    assert_true(a->count == 0 || env_now_ns(a->env) > a->last);
    a->last = env_now_ns(a->env);
    if (++a->count == 3) {
        a->done = true;
    } else {
        env_timer_start(a->env, timer, 0);  // long past: still not in this pass
    }
}
static void timer_restarted_in_the_past_waits_for_the_next_pass(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    struct again a = {.env = f.env};
    env_timer_init(&a.timer, again_fire);
    env_timer_start(f.env, &a.timer, 0);
    pass_until(&f, &a.done);
    fixture_deinit(&f);
}

struct letter_task {
    struct env_task task;
    struct env *env;
    char letter;
    struct letter_task *then;
};
static void letter_run(struct env_task *task) {
    struct letter_task *t = container_of(task, struct letter_task, task);
    note(t->letter);
    if (t->then != NULL) env_defer(t->env, &t->then->task);
}
static void deferred_tasks_run_once_in_the_same_pass(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    trace_clear();
    struct letter_task c = {.env = f.env, .letter = 'c'};
    struct letter_task a = {.env = f.env, .letter = 'a', .then = &c};
    struct letter_task b = {.env = f.env, .letter = 'b'}, x = {.env = f.env, .letter = 'x'};
    env_task_init(&a.task, letter_run);
    env_task_init(&b.task, letter_run);
    env_task_init(&c.task, letter_run);
    env_task_init(&x.task, letter_run);
    env_defer(f.env, &a.task);
    env_defer(f.env, &x.task);
    env_defer(f.env, &b.task);
    env_defer(f.env, &a.task);
    env_defer_cancel(f.env, &x.task);
    env_posix_pass(f.posix, UINT64_MAX);  // must not sleep: there is work
    assert_string_equal(trace, "abc");
    fixture_deinit(&f);
}

// ---- Messages ----

#define SENDERS    3
#define PER_SENDER 2000

struct numbered {
    struct env_message message;
    int sender, number;
    struct mail_test *test;
};
struct mail_test {
    struct env *env;
    int next[SENDERS];
    int got;
    bool done;
    struct numbered messages[SENDERS][PER_SENDER];
};
struct sender {
    struct mail_test *test;
    int index;
};

static void numbered_deliver(struct env_message *message) {
    struct numbered *m = container_of(message, struct numbered, message);
    assert_int_equal(m->number, m->test->next[m->sender]++);
    if (++m->test->got == SENDERS * PER_SENDER) m->test->done = true;
}

static void *send_all(void *argument) {
    struct sender *s = argument;
    for (int i = 0; i < PER_SENDER; i++) {
        struct numbered *m = &s->test->messages[s->index][i];
        *m = (struct numbered){{NULL, numbered_deliver}, s->index, i, s->test};
        env_post(s->test->env, &m->message);
    }
    return NULL;
}

static void messages_of_a_sender_keep_their_order(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.spin_us = 50});
    struct mail_test *test = memory_zalloc(1, sizeof *test);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    test->env = f.env;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){test, i};
        pthread_create(&threads[i], NULL, send_all, &senders[i]);
    }
    pass_until(&f, &test->done);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    memory_free(test);
    fixture_deinit(&f);
}

// A message goes round three reactors many times, each on its thread, mostly asleep.
struct ball {
    struct env_message message;
    struct env_posix *posix;
    int hops;
    int seen[3];
};
static void ball_deliver(struct env_message *message) {
    struct ball *ball = container_of(message, struct ball, message);
    uint32_t at = (uint32_t)(ball->hops % 3);
    struct env *here = env_posix_reactor(ball->posix, at);
    assert_int_equal(env_reactor_index(here), at);
    ball->seen[at]++;
    if (++ball->hops == 900) {
        env_posix_stop(ball->posix);
    } else {
        env_post(env_reactor(here, (at + 1) % 3), message);
    }
}
static void reactors_wake_each_other(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.reactors = 3});
    assert_int_equal(env_reactor_count(f.env), 3);
    struct ball ball = {{NULL, ball_deliver}, f.posix, 0, {0}};
    env_post(f.env, &ball.message);
    env_posix_run(f.posix);
    assert_int_equal(ball.seen[0], 300);
    assert_int_equal(ball.seen[2], 300);
    fixture_deinit(&f);
}

// ---- Jobs ----

struct test_job {
    struct env_job job;
    pthread_t reactor, worker;
    int *left;
    bool *done;
};
static void test_job_run(struct env_job *job) {
    container_of(job, struct test_job, job)->worker = pthread_self();
}
static void test_job_done(struct env_job *job) {
    struct test_job *t = container_of(job, struct test_job, job);
    assert_true(pthread_equal(pthread_self(), t->reactor));
    assert_false(pthread_equal(t->worker, t->reactor));
    if (--*t->left == 0) *t->done = true;
}
static void jobs_run_on_workers_and_complete_on_the_reactor(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){.workers_max = 3});
    struct test_job jobs[50];
    int left = COUNT_OF(jobs);
    bool done = false;
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        jobs[i] = (struct test_job){.job = {.run = test_job_run, .done = test_job_done},
                                    .reactor = pthread_self(),
                                    .left = &left,
                                    .done = &done};
        env_job_start(f.env, &jobs[i].job);
    }
    pass_until(&f, &done);
    fixture_deinit(&f);
}

static void clocks_and_randomness(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, (struct env_posix_options){0});
    uint64_t now = env_now_ns(f.env);
    int64_t wall = env_wall_ms(f.env);
    assert_true(env_clock_ns(f.env) >= now);
    assert_int_equal(env_now_ns(f.env), now);  // stands still inside a pass
    assert_int_equal(env_wall_ms(f.env), wall);
    assert_true(wall > INT64_C(1600000000000));
    uint64_t seen[100];
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        seen[i] = env_random(f.env);
        for (size_t k = 0; k < i; k++)
            assert_true(seen[k] != seen[i]);
    }
    assert_false(uuid_is_reserved(env_random_uuid(f.env)));
    assert_true(env_memory_total(f.env) > 1 << 20);
    assert_true(process_resident_bytes() > 0 && process_cpu_ns() > 0 && process_cores() > 0);
    assert_int_equal(terminal_width(STANDARD_ERROR) > 0, 1);
    for (int m = 1; m < MUTANT_COUNT; m++)
        assert_false(env_mutant(f.env, (enum mutant)m));
    fixture_deinit(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(timer_restarted_in_the_past_waits_for_the_next_pass),
        cmocka_unit_test(deferred_tasks_run_once_in_the_same_pass),
        cmocka_unit_test(messages_of_a_sender_keep_their_order),
        cmocka_unit_test(reactors_wake_each_other),
        cmocka_unit_test(jobs_run_on_workers_and_complete_on_the_reactor),
        cmocka_unit_test(clocks_and_randomness),
    };
    return cmocka_run_group_tests_name("env/loop", tests, NULL, NULL);
}
