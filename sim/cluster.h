// The broker under test on its simulated machine: format, start, crash, start again. Private to the
// scenarios.
#pragma once

#include "sim/ledger.h"
#include "sim/sim_env.h"

struct broker;
struct config;

enum shard_kind { SHARD_GROUP, SHARD_TRANSACTION, SHARD_KINDS };

// What a shard of a coordinator held when its process was killed.
struct shard_state {
    enum shard_kind kind;
    int32_t partition;
    uint64_t hash;
    bool is_known;  // to be compared once it is loaded again
};
enum { SHARD_STATES_MAX = 16 };

struct cluster {
    struct sim *sim;
    struct sim_node *node;
    uint32_t reactors;
    struct ledger *ledger;
    bool page_cache;
    struct broker *broker;  // NULL: no process
    struct config *config;  // the process's
    bool is_serving;
    bool is_stopping;  // broker_stop was called
    bool start_planned;
    uint32_t starts;
    struct shard_state shards[SHARD_STATES_MAX];
    int32_t shards_known;
    uint64_t replays_compared;
};

#define CLUSTER_BOOTSTRAP "broker:9092"

void cluster_init(struct cluster *cluster, struct sim *sim, struct ledger *ledger,
                  uint32_t reactors, bool page_cache);
// Formats the directory and starts the broker.
void cluster_format(struct cluster *cluster);
// Starts it after a delay, unless it runs by then. A start that fails (a full disk) is tried again.
void cluster_start_later(struct cluster *cluster, uint64_t delay_ns);
void cluster_kill(struct cluster *cluster);
void cluster_power_cut(struct cluster *cluster);
void cluster_stop(struct cluster *cluster);  // clean; starts again by itself
void cluster_crash_at_disk_operation(struct cluster *cluster, uint64_t n, bool power_cut);
