#include "sim/cluster.h"

#include "base/arena.h"
#include "base/assert.h"
#include "api/node.h"
#include "broker/broker.h"
#include "group/group.h"
#include "raft/format.h"
#include "runtime/store.h"
#include "sim/internal.h"
#include "transaction/coordinator.h"

// What clients had received before a power cut they work off meanwhile; the promises in it were
// made before the cut, and are judged with it.
#define POWER_CUT_ECHO (3 * NS_PER_MS)
#define RESTART_MIN    (5 * NS_PER_MS)
#define RESTART_MAX    (800 * NS_PER_MS)
#define START_AGAIN    (300 * NS_PER_MS)

static void observe(void *context);

void cluster_init(struct cluster *cluster, struct sim *sim, struct ledger *ledger,
                  uint32_t reactors, bool page_cache) {
    struct sim_node_options options = {
        .name = "broker", .reactors = reactors, .disk_bytes = 64 << 20};
    *cluster = (struct cluster){.sim = sim, .ledger = ledger, .page_cache = page_cache};
    cluster->node = sim_node_add(sim, &options);
    cluster->reactors = MAX(reactors, 1U);
    sim_set_observer(sim, observe, cluster);
}

// ---- As the node ----

static struct config *make_config(const struct cluster *cluster) {
    static const char *const lines[] = {
        "process.roles=broker,controller",
        "node.id=1",
        "listeners=PLAINTEXT://broker:9092,CONTROLLER://broker:9093",
        "controller.listener.names=CONTROLLER",
        "controller.quorum.bootstrap.servers=broker:9093",
        "log.dirs=/data",
        "offsets.topic.replication.factor=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "share.coordinator.state.topic.replication.factor=1",
        "share.coordinator.state.topic.min.isr=1",
        "log.roll.ms=1500",
        "log.retention.check.interval.ms=300",
        "offsets.topic.num.partitions=3",
        "transaction.state.log.num.partitions=3",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=100",
        "group.min.session.timeout.ms=100",
        "group.initial.rebalance.delay.ms=50",
        "group.consumer.session.timeout.ms=1500",
        "group.consumer.min.session.timeout.ms=500",
        "group.consumer.heartbeat.interval.ms=200",
        "group.consumer.min.heartbeat.interval.ms=100",
        "offsets.retention.minutes=1",
        "offsets.retention.check.interval.ms=200",
    };
    struct config *config = config_new();
    struct message error;
    message_init(&error);
    enum err err = ERR_NONE;
    for (size_t i = 0; i < COUNT_OF(lines) && err == ERR_NONE; i++) {
        err = config_add_override(config, slice_cstring(lines[i]), &error);
    }
    const char *durability =
        cluster->page_cache ? "taccola.durability=page-cache" : "taccola.durability=fsync";
    if (err == ERR_NONE) err = config_add_override(config, slice_cstring(durability), &error);
    if (err == ERR_NONE) err = config_finish(config, &error);
    if (err != ERR_NONE) fatal("the simulation's configuration: %s", error.text);
    return config;
}

static void report_nothing(struct format_report *report, const struct format_feature *features,
                           int32_t count) {
    (void)report;
    (void)features;
    (void)count;
}
static void report_no_directory(struct format_report *report, struct slice directory,
                                const char *kind, const char *version) {
    (void)report;
    (void)directory;
    (void)kind;
    (void)version;
}
static void report_no_work(struct format_report *report) {
    (void)report;
}

static void format_as_node(void *context) {
    struct cluster *cluster = context;
    struct env *env = sim_node_env(cluster->node, 0);
    struct config *config = make_config(cluster);
    struct arena arena;
    arena_init(&arena);
    struct message error;
    message_init(&error);
    struct format_options options = {0};
    struct format_report report = {report_nothing, report_no_directory, report_no_work};
    format_options_from_config(config, &arena, &options);
    options.cluster_id = format_new_cluster_id(env, &arena);
    enum err err = format_use_standalone(config, env, &arena, &options, &error);
    if (err == ERR_NONE) err = format_directories(env, &options, &report, &error);
    if (err != ERR_NONE) fatal("the simulation's directory: %s", error.text);
    arena_deinit(&arena);
    config_free(config);
}

static void started(void *context) {
    struct cluster *cluster = context;
    cluster->is_serving = true;
}

static void process_ends(void *context) {
    struct cluster *cluster = context;
    if (!sim_node_is_running(cluster->node)) return;
    if (cluster->is_stopping) ledger_clean_stop(cluster->ledger);
    cluster_kill(cluster);  // it has stopped; what it still holds goes with it
}

static void stopped(void *context, enum err result) {
    struct cluster *cluster = context;
    if (result != ERR_NONE) cluster->is_stopping = false;
    cluster->is_serving = false;
    sim_at(cluster->sim, 0, process_ends, cluster);
}

static void start_as_node(void *context) {
    struct cluster *cluster = context;
    cluster->config = make_config(cluster);
    struct broker_options options = {.env = sim_node_env(cluster->node, 0),
                                     .config = cluster->config,
                                     .started = started,
                                     .stopped = stopped,
                                     .context = cluster};
    struct message error;
    message_init(&error);
    struct broker *broker;
    enum err err = broker_new(&options, &broker, &error);
    if (err == ERR_NONE) {
        cluster->broker = broker;
        broker_start(broker);
        return;
    }
    log_warn(options.env->logger, "sim", "the broker does not start: %s", error.text);
    // A full disk or an injected fault may hinder it; anything else will show as no progress at the
    // end.
}

static void stop_as_node(void *context) {
    struct cluster *cluster = context;
    broker_stop(cluster->broker);
}

// ---- Replayed state is live state ----

static int32_t fingerprints_of(struct cluster *cluster, uint32_t reactor, enum shard_kind kind,
                               struct store_fingerprint fingerprints[SHARD_STATES_MAX]) {
    const struct node *node = broker_node(cluster->broker, (int32_t)reactor);
    if (kind == SHARD_GROUP && node->groups != NULL)
        return group_coordinator_fingerprints(node->groups, fingerprints, SHARD_STATES_MAX);
    if (kind == SHARD_TRANSACTION && node->transactions != NULL) {
        return transaction_coordinator_fingerprints(node->transactions, fingerprints,
                                                    SHARD_STATES_MAX);
    }
    return 0;
}

// Before a crash: what is durable now must be there again after the logs were read.
static void keep_shard_states(struct cluster *cluster) {
    struct store_fingerprint f[SHARD_STATES_MAX];
    cluster->shards_known = 0;
    if (cluster->broker == NULL || !cluster->is_serving || cluster->is_stopping) return;
    for (uint32_t reactor = 0; reactor < cluster->reactors; reactor++) {
        for (enum shard_kind kind = SHARD_GROUP; kind < SHARD_KINDS; kind++) {
            int32_t count = fingerprints_of(cluster, reactor, kind, f);
            for (int32_t i = 0; i < count && cluster->shards_known < SHARD_STATES_MAX; i++) {
                if (!f[i].is_loaded || !f[i].is_durable) continue;
                cluster->shards[cluster->shards_known++] = (struct shard_state){
                    .kind = kind, .partition = f[i].partition, .hash = f[i].hash, .is_known = true};
            }
        }
    }
}

static void compare_shard(struct cluster *cluster, enum shard_kind kind,
                          const struct store_fingerprint *f) {
    for (int32_t i = 0; i < cluster->shards_known; i++) {
        struct shard_state *s = &cluster->shards[i];
        if (!s->is_known || s->kind != kind || s->partition != f->partition) continue;
        s->is_known = false;
        cluster->replays_compared++;
        if (s->hash == f->hash) continue;
        ledger_violate(cluster->ledger,
                       "the %s coordinator's partition %d is not after its replay what it was",
                       kind == SHARD_GROUP ? "group" : "transaction", f->partition);
    }
}

// After every event: a shard that has just been loaded is compared before it does anything.
static void observe(void *context) {
    struct cluster *cluster = context;
    struct store_fingerprint f[SHARD_STATES_MAX];
    if (cluster->shards_known == 0 || cluster->broker == NULL) return;
    bool some_left = false;
    for (uint32_t reactor = 0; reactor < cluster->reactors; reactor++) {
        for (enum shard_kind kind = SHARD_GROUP; kind < SHARD_KINDS; kind++) {
            int32_t count = fingerprints_of(cluster, reactor, kind, f);
            for (int32_t i = 0; i < count; i++) {
                if (f[i].is_loaded) compare_shard(cluster, kind, &f[i]);
            }
        }
    }
    for (int32_t i = 0; i < cluster->shards_known; i++)
        some_left |= cluster->shards[i].is_known;
    if (!some_left) cluster->shards_known = 0;
}

// ---- As the operator ----

static void start_now(void *context) {
    struct cluster *cluster = context;
    cluster->start_planned = false;
    if (cluster->broker != NULL) return;
    if (!sim_node_is_running(cluster->node)) sim_node_restart(cluster->node);
    cluster->starts++;
    sim_node_call(cluster->node, start_as_node, cluster);
    if (cluster->broker != NULL || !sim_node_is_running(cluster->node)) return;
    sim_node_kill(cluster->node);
    cluster_start_later(cluster, START_AGAIN);
}

void cluster_start_later(struct cluster *cluster, uint64_t delay_ns) {
    if (cluster->start_planned) return;
    cluster->start_planned = true;
    sim_at(cluster->sim, delay_ns, start_now, cluster);
}

void cluster_format(struct cluster *cluster) {
    sim_node_call(cluster->node, format_as_node, cluster);
    cluster_start_later(cluster, 0);
}

static void process_gone(struct cluster *cluster) {
    if (!cluster->is_stopping) ledger_crash(cluster->ledger);
    cluster->broker = NULL;
    cluster->is_serving = cluster->is_stopping = false;
    cluster_start_later(cluster, sim_between(cluster->sim, RESTART_MIN, RESTART_MAX));
}

void cluster_kill(struct cluster *cluster) {
    keep_shard_states(cluster);
    sim_node_kill(cluster->node);
    process_gone(cluster);
}

static void release_promises(void *context) {
    struct cluster *cluster = context;
    ledger_power_cut(cluster->ledger);
}

void cluster_power_cut(struct cluster *cluster) {
    keep_shard_states(cluster);
    sim_node_power_cut(cluster->node);
    sim_at(cluster->sim, POWER_CUT_ECHO, release_promises, cluster);
    process_gone(cluster);
}

void cluster_stop(struct cluster *cluster) {
    if (cluster->broker == NULL || !cluster->is_serving || cluster->is_stopping) return;
    cluster->is_stopping = true;
    sim_node_call(cluster->node, stop_as_node, cluster);
}

static void crashed_by_kill(void *context) {
    process_gone(context);
}
static void crashed_by_power(void *context) {
    struct cluster *cluster = context;
    sim_at(cluster->sim, POWER_CUT_ECHO, release_promises, cluster);
    process_gone(cluster);
}

void cluster_crash_at_disk_operation(struct cluster *cluster, uint64_t n, bool power_cut) {
    sim_crash_at_disk_operation(cluster->node, n, power_cut,
                                power_cut ? crashed_by_power : crashed_by_kill, cluster);
}
