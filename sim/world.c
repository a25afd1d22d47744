// Time, events, nodes and their passes.
//
// Two things make something happen: an event of the queue (a delivery, the end of a job, a step of
// the scenario), and a reactor that has work or a due timer. Each step takes whichever comes first.
// What arrives at a reactor (messages, finished jobs, bytes) is only noted there; its next pass
// handles all of it together, at the earliest when the pass before is over: a pass takes time, by
// the seed, so work piles up and is merged as on a real machine.
#include "sim/internal.h"

#include <stdlib.h>

#include "base/assert.h"

// ---- Randomness and the trace ----

void sim_mix(struct sim *sim, uint64_t value) {
    uint64_t h = (sim->hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    sim->hash = h ^ (h >> 29);
}

void sim_mix_bytes(struct sim *sim, const void *data, size_t size) {
    sim_mix(sim, slice_hash(slice_of(data, size), 0));
    sim_mix(sim, size);
}

uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max) {
    return min + prng_below(&sim->schedule, max - min + 1);
}

// ---- The queue of events ----

static bool event_before(const struct sim_event *a, const struct sim_event *b) {
    if (a->at != b->at) return a->at < b->at;
    if (a->tie != b->tie) return a->tie < b->tie;
    return a->sequence < b->sequence;
}

static void queue_push(struct sim *sim, struct sim_event *event) {
    if (sim->queue_count == sim->queue_capacity) {
        sim->queue_capacity = MAX(sim->queue_capacity * 2, 256);
        sim->queue = realloc(sim->queue, sim->queue_capacity * sizeof(struct sim_event *));
        if (sim->queue == NULL) fatal("out of memory in the simulation");
    }
    size_t i = sim->queue_count++;
    for (; i > 0 && event_before(event, sim->queue[(i - 1) / 2]); i = (i - 1) / 2) {
        sim->queue[i] = sim->queue[(i - 1) / 2];
    }
    sim->queue[i] = event;
}

static struct sim_event *queue_pop(struct sim *sim) {
    struct sim_event *first = sim->queue[0], *last = sim->queue[--sim->queue_count];
    size_t i = 0;
    for (size_t child = 1; child < sim->queue_count; child = 2 * i + 1) {
        if (child + 1 < sim->queue_count && event_before(sim->queue[child + 1], sim->queue[child]))
            child++;
        if (!event_before(sim->queue[child], last)) break;
        sim->queue[i] = sim->queue[child];
        i = child;
    }
    sim->queue[i] = last;
    return first;
}

struct sim_event *sim_event_new(struct sim *sim, uint64_t delay, struct sim_node *node,
                                void (*run)(struct sim_event *event), void *subject) {
    struct sim_event *event = sim_alloc(sizeof *event);
    *event = (struct sim_event){.at = sim->now + delay,
                                .tie = prng_next(&sim->schedule),
                                .sequence = sim->sequence++,
                                .node = node,
                                .incarnation = node == NULL ? 0 : node->incarnation,
                                .run = run,
                                .subject = subject};
    queue_push(sim, event);
    return event;
}

static void event_free(struct sim_event *event) {
    free(event->memory);
    free(event);
}

static void event_run(struct sim *sim, struct sim_event *event) {
    bool stale = event->node != NULL &&
                 (event->node->incarnation != event->incarnation || !event->node->running);
    sim_mix(sim, event->sequence);
    if (!stale) {
        event->run(event);
    } else if (event->drop != NULL) {
        event->drop(event);
    }
    event_free(event);
}

// ---- Passes ----

static bool reactor_has_input(const struct sim_reactor *reactor) {
    return reactor->inbox_first != NULL || reactor->finished_first != NULL ||
           !list_is_empty(&reactor->ready) || world_has_work(&reactor->env);
}

// When its next pass is due; UINT64_MAX: never.
static uint64_t reactor_next_pass(const struct sim *sim, const struct sim_reactor *reactor) {
    if (reactor_has_input(reactor)) return MAX(sim->now, reactor->busy_until);
    uint64_t deadline = world_next_deadline(&reactor->env);
    return deadline == UINT64_MAX ? UINT64_MAX : MAX(deadline, reactor->busy_until);
}

static void deliver_messages(struct sim_reactor *reactor) {
    struct env_message *message = reactor->inbox_first;
    reactor->inbox_first = reactor->inbox_last = NULL;
    while (message != NULL) {
        struct env_message *next = message->next;
        message->deliver(message);
        message = next;
    }
}

static void deliver_jobs(struct sim_reactor *reactor) {
    struct env_job *job = reactor->finished_first;
    reactor->finished_first = reactor->finished_last = NULL;
    while (job != NULL) {
        struct env_job *next = job->next;
        job->done(job);
        job = next;
    }
}

static void reactor_pass(struct sim *sim, struct sim_reactor *reactor) {
    sim_mix(sim, (uint64_t)reactor->node->index << 8 | reactor->env.reactor_index);
    sim->counts.passes++;
    reactor->busy_until = sim->now + sim_between(sim, 1, 40 * NS_PER_US);
    struct sim_memory *before = sim_memory_enter(&reactor->node->memory);
    world_pass_begin(&reactor->env, sim->now);
    deliver_messages(reactor);
    deliver_jobs(reactor);
    sim_tcp_run_ready(reactor);
    world_timers_run(&reactor->env);
    world_pass_finish(&reactor->env);
    sim_memory_enter(before);
}

// ---- Crashes ----

static void node_crash(struct sim_node *node, bool power_cut) {
    if (!node->running) {  // no process, but the kernel's pages may still go
        if (power_cut) sim_disk_lose_unsynced(node->disk);
        node->is_dark |= power_cut;
        return;
    }
    struct sim *sim = node->sim;
    sim_mix(sim, power_cut ? 'P' : 'K');
    node->running = node->dying = false;
    node->is_dark = power_cut;
    node->incarnation++;
    sim_network_node_died(node, power_cut);
    sim_disk_close_all(node->disk);
    if (power_cut) {
        sim->counts.power_cuts++;
        sim_disk_lose_unsynced(node->disk);
    } else {
        sim->counts.kills++;
    }
    sim_disk_crash_at(node->disk, 0, false);
    for (uint32_t i = 0; i < node->reactor_count; i++)
        world_env_deinit(&node->reactors[i].env);
    sim_memory_free_all(&node->memory);
    free(node->reactors);
    node->reactors = NULL;
}

void sim_node_kill(struct sim_node *node) {
    node_crash(node, false);
}
void sim_node_power_cut(struct sim_node *node) {
    node_crash(node, true);
}

void sim_node_doom(struct sim_node *node, bool power_cut) {
    node->dying = true;
    node->dying_by_power = power_cut;
}

void sim_crash_at_disk_operation(struct sim_node *node, uint64_t n, bool power_cut,
                                 void (*crashed)(void *context), void *context) {
    node->crashed = crashed;
    node->crashed_context = context;
    sim_disk_crash_at(node->disk, n, power_cut);
}

static void crash_the_doomed(struct sim *sim) {
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->nodes[i];
        if (!node->dying) continue;
        node_crash(node, node->dying_by_power);
        if (node->crashed != NULL) node->crashed(node->crashed_context);
    }
}

// ---- Running ----

static struct sim_reactor *first_reactor(struct sim *sim, uint64_t *at) {
    struct sim_reactor *first = NULL;
    *at = UINT64_MAX;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        struct sim_node *node = sim->nodes[n];
        for (uint32_t r = 0; node->running && r < node->reactor_count; r++) {
            uint64_t due = reactor_next_pass(sim, &node->reactors[r]);
            if (due >= *at) continue;
            *at = due;
            first = &node->reactors[r];
        }
    }
    return first;
}

// The time of the next thing to happen.
static uint64_t next_time(struct sim *sim, struct sim_reactor **reactor) {
    uint64_t at;
    *reactor = first_reactor(sim, &at);
    if (sim->queue_count > 0 && sim->queue[0]->at <= at) {
        at = sim->queue[0]->at;
        *reactor = NULL;
    }
    return at;
}

bool sim_step(struct sim *sim) {
    struct sim_reactor *reactor;
    uint64_t at = next_time(sim, &reactor);
    if (at == UINT64_MAX) return false;
    sim->now = at;
    sim->event_count++;
    sim_mix(sim, at);
    if (reactor != NULL) {
        reactor_pass(sim, reactor);
    } else {
        event_run(sim, queue_pop(sim));
    }
    crash_the_doomed(sim);
    if (sim->observe != NULL) sim->observe(sim->observe_context);
    return true;
}

bool sim_run(struct sim *sim, uint64_t duration_ns, const bool *flag) {
    uint64_t end = sim->now + duration_ns;
    struct sim_reactor *reactor;
    while (flag == NULL || !*flag) {
        if (next_time(sim, &reactor) > end) {
            sim->now = end;
            return false;
        }
        sim_step(sim);
    }
    return true;
}

void sim_settle(struct sim *sim, uint64_t horizon_ns) {
    struct sim_reactor *reactor;
    while (next_time(sim, &reactor) <= sim->now + horizon_ns)
        sim_step(sim);
}

static void at_run(struct sim_event *event) {
    void (**run)(void *) = event->memory;
    (*run)(event->subject);
}

void sim_at(struct sim *sim, uint64_t delay_ns, void (*run)(void *context), void *context) {
    struct sim_event *event = sim_event_new(sim, delay_ns, NULL, at_run, context);
    event->memory = sim_alloc(sizeof run);
    memcpy(event->memory, &run, sizeof run);
}

void sim_set_observer(struct sim *sim, void (*observe)(void *context), void *context) {
    sim->observe = observe;
    sim->observe_context = context;
}

// ---- The world's functions ----

static uint64_t clock_ns(struct env *env) {
    return sim_reactor_of(env)->node->sim->now;
}

static int64_t wall_ms(struct env *env) {
    const struct sim_node *node = sim_reactor_of(env)->node;
    int64_t since = (int64_t)(node->sim->now / NS_PER_MS);
    return node->wall_offset_ms + since + since * node->drift_ppm / 1000000;
}

static uint64_t random_bits(struct env *env) {
    return prng_next(&sim_reactor_of(env)->node->prng);
}

static void host_name(struct env *env, char name[256]) {
    snprintf(name, 256, "%s", sim_reactor_of(env)->node->name);
}

static uint64_t memory_total(struct env *env) {
    (void)env;
    return UINT64_C(1) << 30;
}

static struct env *reactor_at(struct env *env, uint32_t index) {
    return &sim_reactor_of(env)->node->reactors[index].env;
}

static void message_arrives(struct sim_event *event) {
    struct env_message *message = event->subject;
    struct sim_reactor *reactor = event->more;
    message->next = NULL;
    if (reactor->inbox_last == NULL) {
        reactor->inbox_first = message;
    } else {
        reactor->inbox_last->next = message;
    }
    reactor->inbox_last = message;
}

static void post(struct env *target, struct env_message *message) {
    struct sim_reactor *reactor = sim_reactor_of(target);
    struct sim *sim = reactor->node->sim;
    uint64_t at = sim->now + sim_between(sim, 1, 20 * NS_PER_US);
    if (at <= reactor->last_message) at = reactor->last_message + 1;
    reactor->last_message = at;
    sim_event_new(sim, at - sim->now, reactor->node, message_arrives, message)->more = reactor;
}

static void job_ends(struct sim_event *event) {
    struct env_job *job = event->subject;
    struct sim_reactor *reactor = sim_reactor_of(job->env);
    job->next = NULL;
    if (reactor->finished_last == NULL) {
        reactor->finished_first = job;
    } else {
        reactor->finished_last->next = job;
    }
    reactor->finished_last = job;
}

static void job_runs(struct sim_event *event) {
    struct env_job *job = event->subject;
    struct sim_node *node = event->node;
    struct sim_memory *before = sim_memory_enter(&node->memory);
    job->run(job);
    sim_memory_enter(before);
    sim_event_new(node->sim, sim_between(node->sim, 1, 30 * NS_PER_US), node, job_ends, job);
}

// A job does its work in one instant somewhere between start and completion; a crash may come on
// either side.
static void job_start(struct env *env, struct env_job *job) {
    struct sim_node *node = sim_reactor_of(env)->node;
    struct sim *sim = node->sim;
    uint64_t delay = node->job_ns;
    if (delay == 0) {
        bool slow = sim_between(sim, 0, 15) == 0;
        delay = sim_between(sim, 5 * NS_PER_US, slow ? 8 * NS_PER_MS : 300 * NS_PER_US);
    }
    sim_event_new(sim, delay, node, job_runs, job);
}

// ---- Nodes ----

static void node_log(struct logger *logger, enum log_level level, const char *area,
                     const char *text) {
    static const char letters[] = "DIWE";
    const struct sim_node *node = container_of(logger, struct sim_node, logger);
    struct sim *sim = node->sim;
    char *line = sim->log[sim->log_count++ % SIM_LOG_LINES];
    snprintf(line, SIM_LOG_TEXT, "%12.6f %s %c %s: %s", (double)sim->now / 1e9, node->name,
             letters[level], area, text);
}

static void node_boot(struct sim_node *node) {
    struct sim *sim = node->sim;
    node->running = true;
    node->is_dark = false;
    node->logger = (struct logger){.level = sim->log_level, .write = node_log};
    node->reactors = sim_alloc(node->reactor_count * sizeof *node->reactors);
    for (uint32_t i = 0; i < node->reactor_count; i++) {
        struct sim_reactor *reactor = &node->reactors[i];
        world_env_init(&reactor->env, &sim_world, &node->logger, i, node->reactor_count);
        reactor->env.mutant = sim->mutant;
        reactor->node = node;
        list_init(&reactor->ready);
        world_pass_begin(&reactor->env, sim->now);
    }
}

struct sim_node *sim_node_add(struct sim *sim, const struct sim_node_options *options) {
    assert(sim->node_count < SIM_NODES_MAX);
    struct sim_node *node = sim_alloc(sizeof *node);
    node->sim = sim;
    node->name = options->name;
    node->index = sim->node_count;
    node->reactor_count = MAX(options->reactors, 1);
    node->wall_offset_ms = INT64_C(1700000000000) + (int64_t)sim_between(sim, 0, 1000);
    prng_init(&node->prng, prng_next(&sim->schedule));
    sim_memory_init(&node->memory);
    list_init(&node->connections);
    list_init(&node->listeners);
    uint64_t capacity = options->disk_bytes != 0 ? options->disk_bytes : UINT64_C(1) << 30;
    node->disk = sim_disk_new(node, capacity);
    node_boot(node);
    sim->nodes[sim->node_count++] = node;
    return node;
}

struct env *sim_node_env(struct sim_node *node, uint32_t reactor) {
    assert(node->running && reactor < node->reactor_count);
    struct env *env = &node->reactors[reactor].env;
    world_pass_begin(env, node->sim->now);  // for calls from outside of passes
    return env;
}

bool sim_node_is_running(const struct sim_node *node) {
    return node->running;
}

void sim_node_restart(struct sim_node *node) {
    assert(!node->running);
    node_boot(node);
}

void sim_node_call(struct sim_node *node, void (*run)(void *context), void *context) {
    assert(node->running);
    for (uint32_t i = 0; i < node->reactor_count; i++) {
        world_pass_begin(&node->reactors[i].env, node->sim->now);
    }
    struct sim_memory *before = sim_memory_enter(&node->memory);
    run(context);
    sim_memory_enter(before);
    crash_the_doomed(node->sim);
}

void sim_clock_drift(struct sim_node *node, int32_t ppm) {
    int64_t since = (int64_t)(node->sim->now / NS_PER_MS);
    node->wall_offset_ms += since * (node->drift_ppm - ppm) / 1000000;
    node->drift_ppm = ppm;
}
void sim_clock_jump(struct sim_node *node, int64_t ms) {
    node->wall_offset_ms += ms;
}
void sim_disk_slow(struct sim_node *node, uint64_t ns) {
    node->job_ns = ns;
}

// ---- The world itself ----

struct sim *sim_new(const struct sim_options *options) {
    struct sim *sim = sim_alloc(sizeof *sim);
    prng_init(&sim->prng, options->seed);
    prng_init(&sim->schedule, options->seed ^ UINT64_C(0x5ced5ced5ced5ced));
    sim->mutant = options->mutant;
    sim->log_level = options->log_level;
    sim_network_latency(sim, SIM_LATENCY_MIN_NS, SIM_LATENCY_MAX_NS);
    sim->next_port = 30000;
    sim->log = sim_alloc(SIM_LOG_LINES * sizeof *sim->log);
    list_init(&sim->links);
    sim->now = NS_PER_S;  // time 0 is often special in code; not here
    return sim;
}

void sim_free(struct sim *sim) {
    sim->observe = NULL;
    for (uint32_t i = 0; i < sim->node_count; i++)
        sim_node_kill(sim->nodes[i]);
    while (sim->queue_count > 0) {
        struct sim_event *event = queue_pop(sim);
        if (event->drop != NULL) event->drop(event);
        event_free(event);
    }
    sim_network_free(sim);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim_disk_free(sim->nodes[i]->disk);
        free(sim->nodes[i]);
    }
    free(sim->queue);
    free(sim->log);
    free(sim);
}

struct prng *sim_prng(struct sim *sim) {
    return &sim->prng;
}
uint64_t sim_now_ns(const struct sim *sim) {
    return sim->now;
}
uint64_t sim_hash(const struct sim *sim) {
    return sim->hash;
}
uint64_t sim_event_count(const struct sim *sim) {
    return sim->event_count;
}
struct sim_counts sim_counts(const struct sim *sim) {
    return sim->counts;
}

void sim_print_log(const struct sim *sim, FILE *out) {
    uint64_t from = sim->log_count > SIM_LOG_LINES ? sim->log_count - SIM_LOG_LINES : 0;
    for (uint64_t i = from; i < sim->log_count; i++)
        fprintf(out, "%s\n", sim->log[i % SIM_LOG_LINES]);
}

const struct world sim_world = {
    .clock_ns = clock_ns,
    .wall_ms = wall_ms,
    .random = random_bits,
    .host_name = host_name,
    .memory_total = memory_total,
    .reactor = reactor_at,
    .post = post,
    .job_start = job_start,
    .file_open = sim_file_open,
    .file_lock = sim_file_lock,
    .file_close = sim_file_close,
    .file_rename = sim_file_rename,
    .file_path = sim_file_path,
    .file_size = sim_file_size,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_truncate = sim_file_truncate,
    .file_allocate = sim_file_allocate,
    .file_sync = sim_file_sync,
    .file_drop_cache = sim_file_drop_cache,
    .file_is_resident = sim_file_is_resident,
    .stat = sim_stat,
    .make_directory = sim_make_directory,
    .remove_directory = sim_remove_directory,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .sync_directory = sim_sync_directory,
    .list_directory = sim_list_directory,
    .disk_space = sim_disk_space,
    .tcp_listen = sim_tcp_listen,
    .tcp_listener_close = sim_tcp_listener_close,
    .tcp_connect = sim_tcp_connect,
    .tcp_set_handler = sim_tcp_set_handler,
    .tcp_move = sim_tcp_move,
    .tcp_receive = sim_tcp_receive,
    .tcp_send = sim_tcp_send,
    .tcp_set_reading = sim_tcp_set_reading,
    .tcp_peer = sim_tcp_peer,
    .tcp_local = sim_tcp_local,
    .tcp_close = sim_tcp_close,
};
