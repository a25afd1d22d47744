// What is the same in both worlds: the order of a pass, timers, deferred tasks, and the doors to
// the world's own functions.
#include "env/world.h"

#include <stdatomic.h>

#include "base/assert.h"

void world_env_init(struct env *env, const struct world *world, struct logger *logger,
                    uint32_t index, uint32_t count) {
    *env = (struct env){.world = world,
                        .wall_ms = WALL_UNKNOWN,
                        .logger = logger,
                        .reactor_index = index,
                        .reactor_count = count};
    heap_init(&env->timers);
    list_init(&env->deferred);
    list_init(&env->writes);
    list_init(&env->syncs);
}

void world_env_deinit(struct env *env) {
    heap_deinit(&env->timers);
}

// ---- The pass ----

void world_pass_begin(struct env *env, uint64_t now_ns) {
    // A clock that went back (it must not) would fire nothing for a while; standing still is the
    // lesser evil.
    env->now_ns = MAX(now_ns, env->now_ns);
    atomic_store_explicit(&env->wall_ms, WALL_UNKNOWN, memory_order_relaxed);
}

void world_timers_run(struct env *env) {
    for (;;) {
        struct heap_node *node = heap_first(&env->timers);
        if (node == NULL || node->key > env->now_ns) return;
        struct env_timer *timer = container_of(node, struct env_timer, node);
        heap_remove(&env->timers, node);
        timer->fire(timer);
    }
}

static void tasks_run(struct env *env) {
    // Tasks deferred by these tasks wait for the next round, behind the writes that were submitted
    // meanwhile.
    struct list round;
    list_init(&round);
    while (!list_is_empty(&env->deferred))
        list_append(&round, list_pop(&env->deferred));
    for (struct list *link = list_pop(&round); link != NULL; link = list_pop(&round)) {
        struct env_task *task = container_of(link, struct env_task, link);
        task->run(task);
    }
}

void world_pass_finish(struct env *env) {
    for (;;) {
        while (world_files_flush(env)) {
        }
        if (list_is_empty(&env->deferred)) return;
        tasks_run(env);
    }
}

bool world_has_work(const struct env *env) {
    return !list_is_empty(&env->deferred) || !list_is_empty(&env->writes) ||
           !list_is_empty(&env->syncs);
}

uint64_t world_next_deadline(const struct env *env) {
    const struct heap_node *node = heap_first(&env->timers);
    return node == NULL ? UINT64_MAX : node->key;
}

// ---- Reactors, clocks, randomness ----

uint32_t env_reactor_count(const struct env *env) {
    return env->reactor_count;
}
uint32_t env_reactor_index(const struct env *env) {
    return env->reactor_index;
}
struct env *env_reactor(struct env *env, uint32_t index) {
    assert(index < env->reactor_count);
    return env->world->reactor(env, index);
}

uint64_t env_now_ns(struct env *env) {
    return env->now_ns;
}
uint64_t env_clock_ns(struct env *env) {
    return env->world->clock_ns(env);
}
int64_t env_wall_ms(struct env *env) {
    int64_t wall_ms = atomic_load_explicit(&env->wall_ms, memory_order_relaxed);
    if (wall_ms != WALL_UNKNOWN) return wall_ms;
    wall_ms = env->world->wall_ms(env);
    atomic_store_explicit(&env->wall_ms, wall_ms, memory_order_relaxed);
    return wall_ms;
}

uint64_t env_random(struct env *env) {
    return env->world->random(env);
}
struct uuid env_random_uuid(struct env *env) {
    struct uuid uuid;
    while (!uuid_from_random(env_random(env), env_random(env), &uuid)) {
    }
    return uuid;
}

struct logger *env_logger(struct env *env) {
    return env->logger;
}
bool env_mutant(const struct env *env, enum mutant mutant) {
    return env->mutant == mutant;
}
void env_host_name(struct env *env, char name[256]) {
    env->world->host_name(env, name);
}
uint64_t env_memory_total(struct env *env) {
    return env->world->memory_total(env);
}

// ---- Timers and tasks ----

void env_timer_init(struct env_timer *timer, void (*fire)(struct env_timer *timer)) {
    heap_node_init(&timer->node);
    timer->fire = fire;
}

void env_timer_start(struct env *env, struct env_timer *timer, uint64_t deadline_ns) {
    env_timer_stop(env, timer);
    // Past the time of this pass, so that a timer which restarts itself cannot hold the pass for
    // ever.
    heap_insert(&env->timers, &timer->node, MAX(deadline_ns, env->now_ns + 1));
}

void env_timer_stop(struct env *env, struct env_timer *timer) {
    if (env_timer_is_running(timer)) heap_remove(&env->timers, &timer->node);
}

void env_task_init(struct env_task *task, void (*run)(struct env_task *task)) {
    list_init(&task->link);
    task->run = run;
}

void env_defer(struct env *env, struct env_task *task) {
    if (!list_is_linked(&task->link)) list_append(&env->deferred, &task->link);
}

void env_defer_cancel(struct env *env, struct env_task *task) {
    (void)env;
    list_remove(&task->link);
}

// ---- Messages and jobs ----

void env_post(struct env *target, struct env_message *message) {
    target->world->post(target, message);
}

void env_job_start(struct env *env, struct env_job *job) {
    job->env = env;
    env->world->job_start(env, job);
}

// ---- Directories ----

enum err env_stat(struct env *env, struct slice path, struct env_stat *stat) {
    return env->world->stat(env, path, stat);
}
enum err env_make_directory(struct env *env, struct slice path) {
    return env->world->make_directory(env, path);
}
enum err env_rename(struct env *env, struct slice from, struct slice to) {
    return env->world->rename(env, from, to);
}
enum err env_unlink(struct env *env, struct slice path) {
    return env->world->unlink(env, path);
}
enum err env_sync_directory(struct env *env, struct slice path) {
    return env->world->sync_directory(env, path);
}
enum err env_list_directory(struct env *env, struct slice path,
                            void (*entry)(void *context, struct slice name), void *context) {
    return env->world->list_directory(env, path, entry, context);
}
enum err env_disk_space(struct env *env, struct slice path, uint64_t *total, uint64_t *usable) {
    return env->world->disk_space(env, path, total, usable);
}
enum err env_lock_file(struct env *env, struct slice path, struct file **lock) {
    return env->world->file_lock(env, path, lock);
}

// ---- TCP ----

enum err tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                    struct tcp_listener *listener, struct message *error) {
    return env->world->tcp_listen(env, host, port, backlog, listener, error);
}
void tcp_listener_close(struct env *env, struct tcp_listener *listener) {
    env->world->tcp_listener_close(env, listener);
}
struct tcp *tcp_connect(struct env *env, struct slice host, uint16_t port,
                        struct tcp_handler *handler) {
    return env->world->tcp_connect(env, host, port, handler);
}
void tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler) {
    tcp->env->world->tcp_set_handler(tcp, handler);
}
void tcp_move(struct tcp *tcp, struct env *target) {
    tcp->env->world->tcp_move(tcp, target);
}
enum err tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got) {
    return tcp->env->world->tcp_receive(tcp, data, size, got);
}
enum err tcp_send(struct tcp *tcp, struct chain *chain) {
    return tcp->env->world->tcp_send(tcp, chain);
}
void tcp_set_reading(struct tcp *tcp, bool on) {
    tcp->env->world->tcp_set_reading(tcp, on);
}
struct tcp_address tcp_peer(const struct tcp *tcp) {
    return tcp->env->world->tcp_peer(tcp);
}
struct tcp_address tcp_local(const struct tcp *tcp) {
    return tcp->env->world->tcp_local(tcp);
}
void tcp_close(struct tcp *tcp) {
    tcp->env->world->tcp_close(tcp);
}
