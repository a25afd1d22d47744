#include "sim/nemesis.h"

#include "sim/internal.h"

#define DISK_BYTES (UINT64_C(64) << 20)

void nemesis_init(struct nemesis *nemesis, const struct scenario *scenario, struct cluster *cluster,
                  struct sim_node *clients[4]) {
    *nemesis = (struct nemesis){.scenario = scenario, .cluster = cluster};
    memcpy(nemesis->clients, clients, sizeof nemesis->clients);
}

static uint64_t draw(struct nemesis *nemesis, uint64_t bound) {
    return prng_below(sim_prng(nemesis->cluster->sim), bound);
}

static void note(struct nemesis *nemesis, const char *what) {
    struct logger *logger = &nemesis->cluster->node->logger;
    log_warn(logger, "nemesis", "%s", what);
}

// ---- What heals by itself ----

static void heal_network(void *context) {
    struct nemesis *nemesis = context;
    sim_network_heal(nemesis->cluster->sim);
}
static void heal_latency(void *context) {
    struct nemesis *nemesis = context;
    sim_network_latency(nemesis->cluster->sim, SIM_LATENCY_MIN_NS, SIM_LATENCY_MAX_NS);
}
static void heal_disk_speed(void *context) {
    struct nemesis *nemesis = context;
    sim_disk_slow(nemesis->cluster->node, 0);
}
static void heal_disk_space(void *context) {
    struct nemesis *nemesis = context;
    sim_disk_set_capacity(nemesis->cluster->node, DISK_BYTES);
}

// ---- Faults ----

static void cut_network(struct nemesis *nemesis) {
    struct sim *sim = nemesis->cluster->sim;
    struct sim_node *broker = nemesis->cluster->node;
    struct sim_node *client = nemesis->clients[draw(nemesis, 4)];
    uint64_t ways = 1 + draw(nemesis, 3);
    if (ways & 1) sim_network_cut(sim, broker, client);
    if (ways & 2) sim_network_cut(sim, client, broker);
    sim_at(sim, draw(nemesis, 1500 * NS_PER_MS), heal_network, nemesis);
}

static void jump_clock(struct nemesis *nemesis) {
    sim_clock_jump(nemesis->cluster->node, (int64_t)draw(nemesis, 200000) - 100000);
    sim_clock_drift(nemesis->cluster->node, (int32_t)draw(nemesis, 2000) - 1000);
}

static void fill_disk(struct nemesis *nemesis) {
    struct sim_node *broker = nemesis->cluster->node;
    sim_disk_set_capacity(broker, sim_disk_used(broker) + draw(nemesis, 3) * 8192);
    sim_at(nemesis->cluster->sim, 100 * NS_PER_MS + draw(nemesis, 1500 * NS_PER_MS),
           heal_disk_space, nemesis);
}

static void bring(struct nemesis *nemesis, enum fault fault) {
    struct cluster *cluster = nemesis->cluster;
    switch (fault) {
        case FAULT_KILL:
            note(nemesis, "kill -9");
            cluster_kill(cluster);
            break;
        case FAULT_POWER_CUT:
            note(nemesis, "power cut");
            cluster_power_cut(cluster);
            break;
        case FAULT_CLEAN_STOP:
            note(nemesis, "clean stop");
            cluster_stop(cluster);
            break;
        case FAULT_DISK_CRASH:
            note(nemesis, "crash at a disk operation");
            cluster_crash_at_disk_operation(cluster, 1 + draw(nemesis, 60), draw(nemesis, 2) == 0);
            break;
        case FAULT_RESET:
            note(nemesis, "connections reset");
            sim_network_reset(cluster->node);
            break;
        case FAULT_CUT:
            note(nemesis, "network cut");
            cut_network(nemesis);
            break;
        case FAULT_SLOW_DISK:
            note(nemesis, "slow disk");
            sim_disk_slow(cluster->node, 20 * NS_PER_MS + draw(nemesis, 300 * NS_PER_MS));
            sim_at(cluster->sim, draw(nemesis, 1000 * NS_PER_MS), heal_disk_speed, nemesis);
            break;
        case FAULT_FULL_DISK:
            note(nemesis, "full disk");
            fill_disk(nemesis);
            break;
        case FAULT_SYNC_ERROR:
            note(nemesis, "a sync will fail");
            sim_disk_fail(cluster->node, SIM_FAULT_SYNC, 1 + draw(nemesis, 20));
            break;
        case FAULT_CLOCK:
            note(nemesis, "the clock jumps");
            jump_clock(nemesis);
            break;
        case FAULT_DELAY:
            note(nemesis, "slow network");
            sim_network_latency(cluster->sim, 0, draw(nemesis, 2000 * NS_PER_MS) + 1);
            sim_at(cluster->sim, draw(nemesis, 2000 * NS_PER_MS), heal_latency, nemesis);
            break;
        case FAULT_CLIENT_KILL:
            note(nemesis, "kill -9 of clients");
            nemesis->kill_clients(nemesis->context);
            break;
        case FAULT_COUNT:
            break;
    }
}

static enum fault choose(struct nemesis *nemesis) {
    for (;;) {
        uint32_t fault = UINT32_C(1) << draw(nemesis, FAULT_COUNT);
        if (nemesis->scenario->faults & fault) return (enum fault)fault;
    }
}

static void plan(struct nemesis *nemesis);

static void strike(void *context) {
    struct nemesis *nemesis = context;
    if (nemesis->is_over) return;
    nemesis->count++;
    bring(nemesis, choose(nemesis));
    plan(nemesis);
}

static void plan(struct nemesis *nemesis) {
    uint64_t mean = nemesis->scenario->fault_every_ms * NS_PER_MS;
    sim_at(nemesis->cluster->sim, draw(nemesis, 2 * mean), strike, nemesis);
}

void nemesis_start(struct nemesis *nemesis) {
    if (nemesis->scenario->faults != 0) plan(nemesis);
}

void nemesis_stop(struct nemesis *nemesis) {
    nemesis->is_over = true;
    heal_network(nemesis);
    heal_latency(nemesis);
    heal_disk_speed(nemesis);
    heal_disk_space(nemesis);
    sim_disk_fail(nemesis->cluster->node, SIM_FAULT_SYNC, 0);
    cluster_crash_at_disk_operation(nemesis->cluster, 0, false);
    if (nemesis->cluster->broker == NULL) cluster_start_later(nemesis->cluster, 0);
}
