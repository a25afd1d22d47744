// The simulated world keeps its promises: order, crashes, what a power cut may and may not take,
// and the same run for the same seed.
#include "test/test.h"

#include "base/assert.h"
#include "base/memory.h"
#include "sim/sim_env.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct sim *world(uint64_t seed) {
    struct sim_options options = {.seed = seed, .log_level = LOG_DEBUG};
    return sim_new(&options);
}
static struct sim_node *node(struct sim *sim, const char *name, uint32_t reactors) {
    struct sim_node_options options = {.name = name, .reactors = reactors};
    return sim_node_add(sim, &options);
}

// ---- Files and power cuts ----

static struct file *open_file(struct env *env, const char *path) {
    struct file *file;
    assert_int_equal(file_open(env, slice_cstring(path), FILE_CREATE, &file), ERR_NONE);
    return file;
}
static void put(struct file *file, uint64_t position, const char *text) {
    assert_int_equal(file_write(file, position, text, strlen(text)), ERR_NONE);
}
static bool has(struct sim_node *n, const char *path, const char *expected) {
    uint64_t size;
    const uint8_t *bytes = sim_disk_contents(n, path, &size);
    return bytes != NULL && size == strlen(expected) && memcmp(bytes, expected, size) == 0;
}
static bool exists(struct sim_node *n, const char *path) {
    uint64_t size;
    return sim_disk_contents(n, path, &size) != NULL;
}

static void kill_keeps_what_was_written(void **state) {
    (void)state;
    struct sim *sim = world(1);
    struct sim_node *n = node(sim, "a", 1);
    struct file *file = open_file(sim_node_env(n, 0), "data");
    put(file, 0, "not synced");
    sim_node_kill(n);
    assert_true(has(n, "data", "not synced"));
    sim_node_restart(n);
    file = open_file(sim_node_env(n, 0), "/data");
    char bytes[20];
    size_t got;
    assert_int_equal(file_read(file, 4, bytes, sizeof bytes, &got), ERR_NONE);
    assert_int_equal(got, 6);
    sim_free(sim);
}

static void a_power_cut_takes_only_what_was_not_synced(void **state) {
    (void)state;
    int lost = 0, kept = 0, partial = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct sim *sim = world(seed);
        struct sim_node *n = node(sim, "a", 1);
        struct env *env = sim_node_env(n, 0);
        struct file *file = open_file(env, "data");
        put(file, 0, "synced");
        assert_int_equal(file_sync(file), ERR_NONE);
        assert_int_equal(env_sync_directory(env, SLICE_LITERAL(".")), ERR_NONE);
        static char more[3000];
        memset(more, 'x', sizeof more - 1);
        put(file, 6, more);
        sim_node_power_cut(n);
        uint64_t size;
        const uint8_t *bytes = sim_disk_contents(n, "data", &size);
        assert_non_null(bytes);
        assert_true(size >= 6);
        // The first sector was synced with zeros behind the text: these bytes are one version or
        // the other.
        assert_memory_equal(bytes, "synced", 6);
        size_t x = 0;
        for (uint64_t i = 6; i < size; i++) {
            assert_true(bytes[i] == 'x' || bytes[i] == 0);
            x += bytes[i] == 'x';
        }
        if (x == 0) {
            lost++;
        } else if (x == 2999) {
            kept++;
        } else {
            partial++;
        }
        sim_free(sim);
    }
    assert_true(lost > 0 && kept > 0 && partial > 0);
}

static void names_last_when_their_directory_was_synced(void **state) {
    (void)state;
    int gone = 0, there = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct sim *sim = world(seed);
        struct sim_node *n = node(sim, "a", 1);
        struct env *env = sim_node_env(n, 0);
        struct file *file = open_file(env, "kept");
        put(file, 0, "k");
        assert_int_equal(file_sync(file), ERR_NONE);
        assert_int_equal(env_sync_directory(env, SLICE_LITERAL("/")), ERR_NONE);
        file_close(file);
        file = open_file(env, "new");
        put(file, 0, "n");
        assert_int_equal(file_sync(file), ERR_NONE);  // its bytes, not its name
        file_close(file);
        assert_int_equal(env_rename(env, SLICE_LITERAL("kept"), SLICE_LITERAL("renamed")),
                         ERR_NONE);
        sim_node_power_cut(n);
        assert_true(exists(n, "kept") != exists(n, "renamed"));
        assert_true(has(n, "kept", "k") || has(n, "renamed", "k"));
        if (exists(n, "renamed")) assert_true(exists(n, "new"));  // in order
        if (exists(n, "new")) {
            there++;
        } else {
            gone++;
        }
        sim_free(sim);
    }
    assert_true(gone > 0 && there > 0);
}

// The recipe for small state files survives a power cut at each of its operations, as the old or as
// the new contents.
static void replace_file_is_atomic(void **state) {
    (void)state;
    int old = 0, new = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct sim *sim = world(seed);
        struct sim_node *n = node(sim, "a", 1);
        struct env *env = sim_node_env(n, 0);
        assert_int_equal(env_replace_file(env, SLICE_LITERAL("state"), SLICE_LITERAL("old")),
                         ERR_NONE);
        sim_crash_at_disk_operation(n, 1 + seed % 7, true, NULL, NULL);
        enum err err = env_replace_file(env, SLICE_LITERAL("state"), SLICE_LITERAL("new contents"));
        sim_node_power_cut(n);
        assert_true(has(n, "state", "old") || has(n, "state", "new contents"));
        if (err == ERR_NONE) assert_true(has(n, "state", "new contents"));
        if (has(n, "state", "old")) {
            old++;
        } else {
            new ++;
        }
        sim_free(sim);
    }
    assert_true(old > 0 && new > 0);
}

static void a_failed_sync_stays_failed(void **state) {
    (void)state;
    struct sim *sim = world(3);
    struct sim_node *n = node(sim, "a", 1);
    struct env *env = sim_node_env(n, 0);
    struct file *file = open_file(env, "data");
    assert_int_equal(file_sync(file), ERR_NONE);
    assert_int_equal(env_sync_directory(env, SLICE_LITERAL("/")), ERR_NONE);
    put(file, 0, "gone");
    sim_disk_fail(n, SIM_FAULT_SYNC, 1);
    assert_int_equal(file_sync(file), ERR_IO);
    assert_int_equal(file_sync(file), ERR_IO);
    assert_true(has(n, "data", "gone"));
    assert_int_equal(sim_counts(sim).faults, 1);
    // What the disk really has shows when the cache is dropped; new writes are dirty and stay.
    put(file, 600, "dirty");
    file_drop_cache(file);
    char bytes[605];
    size_t got;
    assert_int_equal(file_read(file, 0, bytes, sizeof bytes, &got), ERR_NONE);
    assert_int_equal(got, 605);
    assert_int_equal(bytes[0], 0);
    assert_memory_equal(bytes + 600, "dirty", 5);
    // Even if every dirty sector survived: these are not dirty any more.
    sim_node_power_cut(n);
    assert_false(has(n, "data", "gone"));
    sim_free(sim);
}

static void a_full_disk_refuses_and_heals(void **state) {
    (void)state;
    struct sim *sim = world(4);
    struct sim_node *n = node(sim, "a", 1);
    struct env *env = sim_node_env(n, 0);
    sim_disk_set_capacity(n, 3 * 4096);
    struct file *file = open_file(env, "data"), *other = open_file(env, "other");
    static char block[4096];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(file_write(file, (uint64_t)i * 4096, block, sizeof block), ERR_NONE);
    }
    assert_int_equal(file_write(file, 3 * 4096, block, 1), ERR_NO_SPACE);
    assert_int_equal(file_write(other, 0, block, 1), ERR_NO_SPACE);
    assert_int_equal(file_write(file, 0, block, sizeof block), ERR_NONE);  // has its blocks
    uint64_t total, usable;
    assert_int_equal(env_disk_space(env, SLICE_LITERAL("/"), &total, &usable), ERR_NONE);
    assert_int_equal(usable, 0);
    assert_int_equal(file_truncate(file, 4096), ERR_NONE);
    assert_int_equal(file_allocate(other, 8192), ERR_NONE);
    assert_int_equal(file_write(other, 0, block, sizeof block), ERR_NONE);
    file_close(other);
    assert_int_equal(env_unlink(env, SLICE_LITERAL("other")), ERR_NONE);
    assert_int_equal(sim_disk_used(n), 4096);
    sim_free(sim);
}

static void locks_fall_with_their_process(void **state) {
    (void)state;
    struct sim *sim = world(5);
    struct sim_node *n = node(sim, "a", 1);
    struct file *lock, *second;
    struct slice path = SLICE_LITERAL(".lock");
    assert_int_equal(env_lock_file(sim_node_env(n, 0), path, &lock), ERR_NONE);
    assert_int_equal(env_lock_file(sim_node_env(n, 0), path, &second), ERR_ACCESS_LOCKED);
    sim_node_kill(n);
    sim_node_restart(n);
    assert_int_equal(env_lock_file(sim_node_env(n, 0), path, &lock), ERR_NONE);
    file_close(lock);
    sim_free(sim);
}

// ---- Events, memory, messages ----

struct ticker {
    struct env_timer timer;
    struct env *env;
    int ticks;
    void *leak;
};
static void tick(struct env_timer *timer) {
    struct ticker *t = container_of(timer, struct ticker, timer);
    t->ticks++;
    t->leak = memory_alloc(100);  // never freed: the crash does it
    log_info(env_logger(t->env), "test", "tick %d", t->ticks);
    env_timer_start(t->env, timer, env_now_ns(t->env) + 10 * MS);
}
static void start_ticking(void *context) {
    struct sim_node *n = context;
    struct ticker *t = memory_zalloc(1, sizeof *t);
    t->env = sim_node_env(n, 0);
    env_timer_init(&t->timer, tick);
    env_timer_start(t->env, &t->timer, 0);
}
static void a_crash_frees_what_the_node_allocated(void **state) {
    (void)state;
    struct sim *sim = world(6);
    struct sim_node *n = node(sim, "a", 1);
    sim_node_call(n, start_ticking, n);
    assert_false(sim_run(sim, S, NULL));
    assert_true(sim_counts(sim).passes >= 99);
    sim_node_kill(n);
    assert_false(sim_step(sim));  // nothing is left of it
    sim_node_restart(n);
    sim_free(sim);
}

struct hop {
    struct env_message message;
    struct env *env;
    int *count;
};
static void hop_deliver(struct env_message *message) {
    struct hop *hop = container_of(message, struct hop, message);
    if (++*hop->count == 30) return;
    hop->env =
        env_reactor(hop->env, (env_reactor_index(hop->env) + 1) % env_reactor_count(hop->env));
    env_post(hop->env, message);
}
struct done_job {
    struct env_job job;
    int *count;
};
static void job_run(struct env_job *job) {
    ++*container_of(job, struct done_job, job)->count;
}
static void job_done(struct env_job *job) {
    *container_of(job, struct done_job, job)->count += 100;
}

static void messages_and_jobs(void **state) {
    (void)state;
    struct sim *sim = world(7);
    struct sim_node *n = node(sim, "a", 3);
    int hops = 0, jobs = 0;
    struct hop hop = {{NULL, hop_deliver}, sim_node_env(n, 0), &hops};
    struct done_job job = {{.run = job_run, .done = job_done}, &jobs};
    env_post(hop.env, &hop.message);
    env_job_start(sim_node_env(n, 1), &job.job);
    assert_int_equal(jobs, 0);
    sim_settle(sim, S);
    assert_int_equal(hops, 30);
    assert_int_equal(jobs, 101);
    assert_true(sim_now_ns(sim) < 2 * S);
    sim_free(sim);
}

// ---- The network ----

struct echo_end {
    struct tcp_handler handler;
    struct tcp *tcp;
    bool connected, closed, is_server;
    enum err connect_result, last;
    char data[64];
    size_t size;
};
struct echo {
    struct tcp_listener listener;
    struct echo_end server, client;
    struct sim_node *server_node, *client_node;
    uint16_t port;
};
static void send_text(struct tcp *tcp, const void *data, size_t size) {
    struct chain chain;
    chain_init(&chain);
    chain_append(&chain, data, size);
    (void)!tcp_send(tcp, &chain);
    chain_deinit(&chain);
}
static void echo_connected(struct tcp_handler *handler, enum err result) {
    struct echo_end *end = container_of(handler, struct echo_end, handler);
    end->connected = true;
    end->connect_result = result;
    if (result == ERR_NONE) send_text(end->tcp, "ping", 4);
}
static void echo_readable(struct tcp_handler *handler) {
    struct echo_end *end = container_of(handler, struct echo_end, handler);
    size_t got;
    end->last = tcp_receive(end->tcp, end->data + end->size, sizeof end->data - end->size, &got);
    if (end->last != ERR_NONE) {
        end->closed = true;
        tcp_close(end->tcp);
        end->tcp = NULL;
        return;
    }
    if (end->is_server) send_text(end->tcp, end->data + end->size, got);
    end->size += got;
}
static void echo_writable(struct tcp_handler *handler) {
    (void)handler;
}
static void echo_accepted(struct tcp_listener *listener, struct tcp *tcp) {
    struct echo *echo = container_of(listener, struct echo, listener);
    echo->server.tcp = tcp;
    tcp_set_handler(tcp, &echo->server.handler);
}
static void serve(void *context) {
    struct echo *echo = context;
    struct message error;
    assert_int_equal(tcp_listen(sim_node_env(echo->server_node, 0), SLICE_LITERAL("server"), 9092,
                                10, &echo->listener, &error),
                     ERR_NONE);
}
static void dial(void *context) {
    struct echo *echo = context;
    echo->client.tcp = tcp_connect(sim_node_env(echo->client_node, 0), SLICE_LITERAL("server"),
                                   9092, &echo->client.handler);
}
static struct sim *echo_world(uint64_t seed, struct echo *echo) {
    struct sim *sim = world(seed);
    *echo = (struct echo){.listener = {.accepted = echo_accepted}};
    echo->server_node = node(sim, "server", 1);
    echo->client_node = node(sim, "client", 1);
    echo->server.handler = (struct tcp_handler){echo_connected, echo_readable, echo_writable};
    echo->client.handler = echo->server.handler;
    echo->server.is_server = true;
    sim_node_call(echo->server_node, serve, echo);
    sim_node_call(echo->client_node, dial, echo);
    return sim;
}

static void an_echo(void **state) {
    (void)state;
    struct echo echo;
    struct sim *sim = echo_world(8, &echo);
    sim_settle(sim, S);
    assert_int_equal(echo.client.size, 4);
    assert_memory_equal(echo.client.data, "ping", 4);
    assert_string_equal(tcp_peer(echo.client.tcp).text, "10.0.0.1");
    tcp_close(echo.client.tcp);
    sim_settle(sim, S);
    assert_true(echo.server.closed);
    assert_int_equal(echo.server.last, ERR_EOF);
    sim_free(sim);
}

static void a_killed_server_resets_and_then_refuses(void **state) {
    (void)state;
    struct echo echo;
    struct sim *sim = echo_world(9, &echo);
    sim_settle(sim, S);
    sim_node_kill(echo.server_node);
    sim_settle(sim, S);
    assert_true(echo.client.closed);
    assert_int_equal(echo.client.last, ERR_CLOSED);
    echo.client.connected = false;
    sim_node_call(echo.client_node, dial, &echo);
    sim_settle(sim, S);
    assert_true(echo.client.connected);
    assert_int_equal(echo.client.connect_result, ERR_REFUSED);
    sim_free(sim);
}

static void a_dark_server_is_silent_until_it_is_back(void **state) {
    (void)state;
    struct echo echo;
    struct sim *sim = echo_world(10, &echo);
    sim_settle(sim, S);
    sim_node_power_cut(echo.server_node);
    send_text(echo.client.tcp, "anybody?", 8);
    sim_settle(sim, S);
    assert_false(echo.client.closed);
    sim_node_restart(echo.server_node);
    send_text(echo.client.tcp, "?", 1);
    sim_settle(sim, S);
    assert_true(echo.client.closed);
    assert_int_equal(echo.client.last, ERR_CLOSED);
    sim_free(sim);
}

static void a_cut_holds_back_and_healing_delivers(void **state) {
    (void)state;
    struct echo echo;
    struct sim *sim = echo_world(11, &echo);
    sim_settle(sim, S);
    sim_network_cut(sim, echo.server_node, echo.client_node);  // one way
    send_text(echo.client.tcp, "more", 4);
    sim_settle(sim, S);
    assert_int_equal(echo.server.size, 8);
    assert_int_equal(echo.client.size, 4);
    sim_network_heal(sim);
    sim_settle(sim, S);
    assert_int_equal(echo.client.size, 8);
    sim_network_reset(echo.server_node);
    sim_settle(sim, S);
    assert_true(echo.client.closed && echo.server.closed);
    sim_free(sim);
}

// ---- Crashes inside an event; the trace ----

static void crash_noted(void *context) {
    *(bool *)context = true;
}
static void write_many(void *context) {
    struct sim_node *n = context;
    struct file *file;
    if (file_open(sim_node_env(n, 0), SLICE_LITERAL("f"), FILE_CREATE, &file) != ERR_NONE) return;
    for (uint64_t i = 0; i < 10; i++) {
        if (file_write(file, i, "w", 1) != ERR_NONE) return;
    }
}
static void a_crash_between_two_operations(void **state) {
    (void)state;
    struct sim *sim = world(12);
    struct sim_node *n = node(sim, "a", 1);
    bool crashed = false;
    sim_crash_at_disk_operation(n, 5, false, crash_noted,
                                &crashed);  // creation and three writes are done
    sim_node_call(n, write_many, n);
    assert_true(crashed);
    assert_false(sim_node_is_running(n));
    assert_true(has(n, "f", "www"));
    sim_free(sim);
}

static uint64_t busy_run(uint64_t seed) {
    struct echo echo;
    struct sim *sim = echo_world(seed, &echo);
    sim_node_call(echo.server_node, start_ticking, echo.server_node);
    sim_run(sim, 200 * MS, NULL);
    sim_node_power_cut(echo.server_node);
    sim_run(sim, 200 * MS, NULL);
    uint64_t hash = sim_hash(sim);
    sim_free(sim);
    return hash;
}
static void the_same_seed_gives_the_same_run(void **state) {
    (void)state;
    uint64_t hashes[10];
    for (uint64_t seed = 0; seed < 10; seed++) {
        hashes[seed] = busy_run(seed);
        assert_true(hashes[seed] == busy_run(seed));
        for (uint64_t other = 0; other < seed; other++)
            assert_true(hashes[other] != hashes[seed]);
    }
}

static void wall_clocks_drift_and_jump(void **state) {
    (void)state;
    struct sim *sim = world(13);
    struct sim_node *n = node(sim, "a", 1);
    int64_t start = env_wall_ms(sim_node_env(n, 0));
    sim_clock_drift(n, 10000);  // 1 %
    assert_true(llabs((long long)(env_wall_ms(sim_node_env(n, 0)) - start)) <= 1);
    sim_run(sim, 100 * S, NULL);
    int64_t after = env_wall_ms(sim_node_env(n, 0));
    assert_true(after - start > 100900 && after - start < 101100);
    sim_clock_jump(n, -3600000);
    assert_int_equal(env_wall_ms(sim_node_env(n, 0)), after - 3600000);
    sim_free(sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_keeps_what_was_written),
        cmocka_unit_test(a_power_cut_takes_only_what_was_not_synced),
        cmocka_unit_test(names_last_when_their_directory_was_synced),
        cmocka_unit_test(replace_file_is_atomic),
        cmocka_unit_test(a_failed_sync_stays_failed),
        cmocka_unit_test(a_full_disk_refuses_and_heals),
        cmocka_unit_test(locks_fall_with_their_process),
        cmocka_unit_test(a_crash_frees_what_the_node_allocated),
        cmocka_unit_test(messages_and_jobs),
        cmocka_unit_test(an_echo),
        cmocka_unit_test(a_killed_server_resets_and_then_refuses),
        cmocka_unit_test(a_dark_server_is_silent_until_it_is_back),
        cmocka_unit_test(a_cut_holds_back_and_healing_delivers),
        cmocka_unit_test(a_crash_between_two_operations),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(wall_clocks_drift_and_jump),
    };
    return cmocka_run_group_tests_name("sim/world", tests, NULL, NULL);
}
