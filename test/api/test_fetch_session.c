// KIP-227 sessions: epochs, what is told again, order of serving, eviction.
#include "test/test.h"

#include "api/fetch_session.h"
#include "base/assert.h"
#include "sim/sim_env.h"

#define S UINT64_C(1000000000)

struct fixture {
    struct sim *sim;
    struct env *env;
    struct env_timer timer;
    struct fetch_sessions *sessions;
};

static void no_more(struct env_timer *timer) {
    (void)timer;
}

// A node's time goes on with its passes: a timer makes one.
static void pass(struct fixture *f, uint64_t ns) {
    env_timer_start(f->env, &f->timer, env_now_ns(f->env) + ns);
    sim_run(f->sim, ns + S, NULL);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct sim_options options = {.seed = 1};
    f->sim = sim_new(&options);
    struct sim_node_options node = {.name = "n"};
    f->env = sim_node_env(sim_node_add(f->sim, &node), 0);
    f->sessions = fetch_sessions_new(f->env, 3);
    env_timer_init(&f->timer, no_more);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    fetch_sessions_free(f->sessions);
    sim_free(f->sim);
    free(f);
    return 0;
}

static struct fetch_target target(const char *name, int32_t partition, int64_t offset) {
    return (struct fetch_target){.name = slice_cstring(name),
                                 .partition = partition,
                                 .current_leader_epoch = -1,
                                 .fetch_offset = offset,
                                 .last_fetched_epoch = -1,
                                 .max_bytes = 1000};
}

static struct fetch_session *open_of(struct fixture *f, int32_t partitions) {
    struct fetch_session *session = fetch_session_open(f->sessions, partitions, false);
    if (session == NULL) return NULL;
    for (int32_t p = 0; p < partitions; p++) {
        struct fetch_target t = target("t", p, 0);
        assert_true(fetch_session_put(session, &t));
    }
    fetch_session_unref(f->sessions, session);
    return session;
}

static void test_epochs(void **state) {
    struct fixture *f = *state;
    int32_t id = open_of(f, 2)->id;
    struct fetch_session *session;
    assert_int_equal(fetch_session_continue(f->sessions, id + 1, 1, false, &session),
                     ERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_session_continue(f->sessions, id, 2, false, &session),
                     ERR_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(fetch_session_continue(f->sessions, id, 1, true, &session),
                     ERR_FETCH_SESSION_TOPIC_ID_ERROR);
    for (int32_t epoch = 1; epoch < 5; epoch++) {
        assert_int_equal(fetch_session_continue(f->sessions, id, epoch, false, &session), ERR_NONE);
        fetch_session_unref(f->sessions, session);
    }
    session->epoch = INT32_MAX;  // wraps to 1, past the two reserved ones
    assert_int_equal(fetch_session_continue(f->sessions, id, INT32_MAX, false, &session), ERR_NONE);
    assert_int_equal(session->epoch, 1);
    // Removed while a request holds it: gone for others, alive for this one.
    fetch_session_remove(f->sessions, id);
    struct fetch_session *other;
    assert_int_equal(fetch_session_continue(f->sessions, id, 1, false, &other),
                     ERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(session->by_key.count, 2);
    fetch_session_unref(f->sessions, session);
}

static struct session_partition *at(struct fetch_session *session, int place) {
    struct list *link = session->active.next;
    while (place-- > 0)
        link = link->next;
    return container_of(link, struct session_partition, link);
}

static void test_put_and_forget(void **state) {
    struct fixture *f = *state;
    struct fetch_session *session = open_of(f, 3);
    struct fetch_target t = target("t", 1, 77);
    assert_true(fetch_session_put(session, &t));  // changes, keeps its place
    assert_int_equal(session->by_key.count, 3);
    assert_int_equal(at(session, 1)->target.fetch_offset, 77);
    assert_true(slice_equal_cstring(at(session, 1)->target.name, "t"));
    fetch_session_forget(session, SLICE_LITERAL("t"), UUID_ZERO, 0);
    fetch_session_forget(session, SLICE_LITERAL("other"), UUID_ZERO, 1);
    assert_int_equal(session->by_key.count, 2);
    assert_int_equal(at(session, 0)->target.partition, 1);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    t.name = slice_of(longer, sizeof longer);
    assert_false(fetch_session_put(session, &t));
}

static void test_ids_and_names(void **state) {
    struct fixture *f = *state;
    struct fetch_session *session = fetch_session_open(f->sessions, 2, true);
    struct fetch_target a = {.topic_id = {{1}}, .partition = 0}, b = {.topic_id = {{2}}};
    assert_true(fetch_session_put(session, &a) && fetch_session_put(session, &b));
    assert_int_equal(session->by_key.count, 2);
    fetch_session_resolve(at(session, 0), SLICE_LITERAL("first"));
    fetch_session_resolve(at(session, 0), SLICE_LITERAL("second"));
    assert_true(fetch_session_put(session, &a));
    assert_true(slice_equal_cstring(at(session, 0)->target.name, "first"));
    fetch_session_unref(f->sessions, session);
}

static void test_what_is_told(void **state) {
    struct fixture *f = *state;
    struct fetch_session *session = open_of(f, 3);
    struct session_partition *first = at(session, 0);
    // The first time everything is news, then only what changed.
    assert_true(fetch_session_tell(session, first, 0, false, 0, 5, 0));
    assert_false(fetch_session_tell(session, first, 0, false, 0, 5, 0));
    assert_true(fetch_session_tell(session, first, 0, false, 0, 6, 0));   // high watermark
    assert_true(fetch_session_tell(session, first, 0, false, 0, 6, 2));   // log start
    assert_true(fetch_session_tell(session, first, 0, true, 0, 6, 2));    // diverging
    assert_true(fetch_session_tell(session, first, 3, false, 0, -1, 2));  // an error, each time
    assert_true(fetch_session_tell(session, first, 3, false, 0, -1, 2));
    assert_true(fetch_session_tell(session, first, 0, false, 0, 6, 2));  // and its end
    assert_ptr_equal(at(session, 0), first);
    // Who got records goes to the end.
    assert_true(fetch_session_tell(session, first, 0, false, 100, 6, 2));
    assert_ptr_equal(at(session, 2), first);
}

static void test_eviction(void **state) {
    struct fixture *f = *state;
    struct fetch_session *large = open_of(f, 9), *small = open_of(f, 2), *middle = open_of(f, 5);
    int32_t large_id = large->id, small_id = small->id, middle_id = middle->id;
    assert_int_equal(fetch_sessions_count(f->sessions), 3);
    assert_null(open_of(f, 100));  // all are young
    pass(f, 61 * S);
    struct fetch_session *session;
    int32_t ids[] = {small_id, middle_id, large_id};
    // Old by now, but used a moment ago.
    pass(f, 61 * S);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fetch_session_continue(f->sessions, ids[i], 1, false, &session), ERR_NONE);
        fetch_session_unref(f->sessions, session);
    }
    assert_null(open_of(f, 1));  // smaller than all of them
    assert_non_null(open_of(f, 3));
    assert_int_equal(fetch_session_continue(f->sessions, small_id, 2, false, &session),
                     ERR_FETCH_SESSION_ID_NOT_FOUND);
    // Unused for two minutes: the least recently used goes, whatever its size.
    pass(f, 121 * S);
    assert_non_null(open_of(f, 1));
    assert_int_equal(fetch_session_continue(f->sessions, middle_id, 2, false, &session),
                     ERR_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_sessions_count(f->sessions), 3);
}

// An idle partition leaves the active ones until its partition moves or the client asks for it
// anew.
static int woken;
static void count_woken(void *context) {
    (void)context;
    woken++;
}

static void test_idle(void **state) {
    struct fixture *f = *state;
    struct partition partitions[3] = {0};
    struct fetch_session *session = open_of(f, 3);
    for (int i = 0; i < 3; i++) {
        list_init(&partitions[i].fetch_waiters);
        fetch_session_idle(at(session, 0), &partitions[i]);
    }
    assert_true(list_is_empty(&session->active));
    woken = 0;
    session->woken = count_woken;
    list_init(&partitions[1].produce_waiters);
    partition_fail_waiters(&partitions[1], ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(woken, 1);
    assert_int_equal(at(session, 0)->target.partition, 1);
    assert_true(list_is_empty(&partitions[1].fetch_waiters));
    struct fetch_target t = target("t", 2, 5);
    assert_true(fetch_session_put(session, &t));
    assert_int_equal(at(session, 1)->target.partition, 2);
    assert_true(list_is_empty(&partitions[2].fetch_waiters));
    // Forgotten or freed while idle: nothing is left on the partition.
    fetch_session_forget(session, SLICE_LITERAL("t"), UUID_ZERO, 0);
    assert_true(list_is_empty(&partitions[0].fetch_waiters));
    fetch_session_idle(at(session, 0), &partitions[1]);
    fetch_session_remove(f->sessions, session->id);
    assert_true(list_is_empty(&partitions[1].fetch_waiters));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_epochs),       TEST(test_put_and_forget), TEST(test_ids_and_names),
        TEST(test_what_is_told), TEST(test_eviction),       TEST(test_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
