// The simulated world: N machines with their reactors, disks, clocks and a network between them, in
// one thread, on simulated time. Everything that happens is an event; a seed decides the order of
// events at one instant, every delay and every fault. The same seed and the same code give the same
// run: sim_hash proves it.
//
// Code under test gets its `struct env` from sim_node_env and never knows. A crash (kill -9, power
// cut) may come between any two events, or between two operations of the disk
// (sim_crash_at_disk_operation). Memory that a node allocated through base/memory.h while its
// events ran is freed by the crash, as the operating system would do it, so a crash needs no help
// of the code that crashes.
//
// Tests of storage use it as a disk: sim_new, sim_node_add, sim_node_env; call the functions under
// test; sim_settle runs what they submitted; sim_node_power_cut loses what was not synced;
// sim_node_restart gives a new env on the same disk.
#pragma once

#include <stdio.h>

#include "base/prng.h"
#include "env/env.h"

struct sim;
struct sim_node;

struct sim_options {
    uint64_t seed;
    enum mutant mutant;        // MUTANT_NONE: the code as it is
    enum log_level log_level;  // of the lines kept for sim_print_log
};

struct sim *sim_new(const struct sim_options *options);
// Crashes all nodes and frees everything.
void sim_free(struct sim *sim);
// The simulation's own choices: scenarios and checkers draw from it.
struct prng *sim_prng(struct sim *sim);
uint64_t sim_now_ns(const struct sim *sim);
// Over every event, message, byte sent and byte written so far.
uint64_t sim_hash(const struct sim *sim);
uint64_t sim_event_count(const struct sim *sim);
// The last lines that nodes logged, with simulated time.
void sim_print_log(const struct sim *sim, FILE *out);

// ---- Running ----

// Handles the next event; false when nothing will ever happen again.
bool sim_step(struct sim *sim);
// Until `flag` is set (NULL: never) or so much simulated time has passed. True when the flag is
// set.
bool sim_run(struct sim *sim, uint64_t duration_ns, const bool *flag);
// Until nothing is pending but timers more than `horizon_ns` away.
void sim_settle(struct sim *sim, uint64_t horizon_ns);
// Calls `run` after a delay, outside of every node: steps of a scenario, checks.
void sim_at(struct sim *sim, uint64_t delay_ns, void (*run)(void *context), void *context);
// Called after every event (a checker); may be NULL.
void sim_set_observer(struct sim *sim, void (*observe)(void *context), void *context);

// ---- Nodes ----

struct sim_node_options {
    const char *name;     // also its host name; keeps pointing to it
    uint32_t reactors;    // 0: 1
    uint64_t disk_bytes;  // capacity; 0: 1 GiB
};

// Running from the start.
struct sim_node *sim_node_add(struct sim *sim, const struct sim_node_options *options);
// Valid until the next crash of the node.
struct env *sim_node_env(struct sim_node *node, uint32_t reactor);
bool sim_node_is_running(const struct sim_node *node);
// Calls `run` as the node: what it allocates dies with the node. Parts of a node that may crash are
// built and called through this.
void sim_node_call(struct sim_node *node, void (*run)(void *context), void *context);

// kill -9: what was written stays (it is the kernel's), memory, descriptors and connections go;
// peers see a reset.
void sim_node_kill(struct sim_node *node);
// The plug: of what was not synced each sector of 512 bytes survives or not, by the seed; names in
// a directory that was not synced likewise, in their order. Peers hear nothing for a while.
void sim_node_power_cut(struct sim_node *node);
// Starts a crashed node again: new envs, same disk.
void sim_node_restart(struct sim_node *node);
// The n-th operation of the disk from now (1: the next) and all later ones do nothing; the node
// crashes when the event that met it is over. 0 takes it back. `crashed` (may be NULL) is called
// then, outside of the node.
void sim_crash_at_disk_operation(struct sim_node *node, uint64_t n, bool power_cut,
                                 void (*crashed)(void *context), void *context);

// ---- Clocks ----

// The wall clock runs that much too fast (parts per million; negative: slow) and jumps at once.
void sim_clock_drift(struct sim_node *node, int32_t ppm);
void sim_clock_jump(struct sim_node *node, int64_t ms);

// ---- The disk ----

enum sim_fault {
    SIM_FAULT_READ,   // ERR_IO
    SIM_FAULT_WRITE,  // ERR_IO
    SIM_FAULT_SYNC,   // ERR_IO; what it should have synced is lost at the next power cut, though
                      // reads go on showing it
};
// The n-th such operation from now (1: the next) fails, once.
void sim_disk_fail(struct sim_node *node, enum sim_fault fault, uint64_t n);
void sim_disk_set_capacity(struct sim_node *node, uint64_t bytes);
uint64_t sim_disk_used(const struct sim_node *node);
// Every job of the node takes this long (0: as by default, tens of microseconds to some
// milliseconds).
void sim_disk_slow(struct sim_node *node, uint64_t ns);
// Bit rot: flips one bit in what is stored. False when there is no such byte.
bool sim_disk_flip_bit(struct sim_node *node, const char *path, uint64_t position, int bit);
// Cuts a file's end off, or puts bytes behind it, as a torn write would: durable at once.
bool sim_disk_set_size(struct sim_node *node, const char *path, uint64_t size);
// A file's bytes as reads see them; NULL when there is none. Valid until it changes.
const uint8_t *sim_disk_contents(struct sim_node *node, const char *path, uint64_t *size);

// ---- The network ----

// Latency of each piece of data, one way: uniform between the two.
void sim_network_latency(struct sim *sim, uint64_t min_ns, uint64_t max_ns);
#define SIM_LATENCY_MIN_NS UINT64_C(20000)  // of a new world
#define SIM_LATENCY_MAX_NS UINT64_C(400000)
// What `from` sends does not reach `to`, until healed; nothing is lost on living connections (tcp
// sends again).
void sim_network_cut(struct sim *sim, struct sim_node *from, struct sim_node *to);
void sim_network_heal(struct sim *sim);
// Every connection of the node is reset, at both ends.
void sim_network_reset(struct sim_node *node);

// ---- What happened, to prove that faults were really injected ----

struct sim_counts {
    uint64_t kills;
    uint64_t power_cuts;
    uint64_t sectors_lost;  // of unsynced writes, at power cuts
    uint64_t sectors_kept;
    uint64_t names_lost;  // of directory changes, at power cuts
    uint64_t writes;
    uint64_t bytes_written;
    uint64_t syncs;
    uint64_t writes_refused_full;
    uint64_t faults;  // of sim_disk_fail
    uint64_t connections;
    uint64_t resets;
    uint64_t passes;
};
struct sim_counts sim_counts(const struct sim *sim);
