// Brings the faults of a scenario, one after the other, at times of the seed. Private to the
// scenarios.
#pragma once

#include "sim/cluster.h"
#include "sim/run.h"

struct nemesis {
    const struct scenario *scenario;
    struct cluster *cluster;
    struct sim_node *clients[4];
    void (*kill_clients)(void *context);
    void *context;
    bool is_over;
    uint32_t count;  // faults brought
};

void nemesis_init(struct nemesis *nemesis, const struct scenario *scenario, struct cluster *cluster,
                  struct sim_node *clients[4]);
void nemesis_start(struct nemesis *nemesis);
// Heals everything; nothing more comes.
void nemesis_stop(struct nemesis *nemesis);
