// One run of a scenario: a broker on a simulated machine, clients on others, faults between them, a
// ledger over all.
#pragma once

#include "sim/copy_ledger.h"
#include "sim/ledger.h"
#include "sim/sim_env.h"

enum fault {
    FAULT_KILL = 1 << 0,        // kill -9, start again
    FAULT_POWER_CUT = 1 << 1,   // the plug, start again
    FAULT_CLEAN_STOP = 1 << 2,  // stop, start again
    FAULT_DISK_CRASH = 1 << 3,  // kill -9 or the plug between two disk operations of one event
    FAULT_RESET = 1 << 4,       // every connection is reset
    FAULT_CUT = 1 << 5,         // the network is cut one way or both, heals
    FAULT_SLOW_DISK = 1 << 6,
    FAULT_FULL_DISK = 1 << 7,     // and it heals
    FAULT_SYNC_ERROR = 1 << 8,    // a sync fails; the broker may stop and is started again
    FAULT_CLOCK = 1 << 9,         // the wall clock jumps and drifts
    FAULT_DELAY = 1 << 10,        // what is sent arrives much later, and on several connections in
                                  // another order
    FAULT_CLIENT_KILL = 1 << 11,  // copiers end as by kill -9 and are started again
    FAULT_COUNT = 12,
};

// A scenario is a row: who writes, who reads, what goes wrong.
struct scenario {
    const char *name;
    const char *what;   // one line for people
    uint32_t reactors;  // of the broker
    int32_t partitions;
    bool page_cache;  // taccola.durability
    int32_t streams;  // producers of the client library: idempotent, acks=all, several batches
                      // under way
    int32_t writers;  // our own producers: idempotent, one batch under way, repeat what was
                      // acknowledged
    int32_t plain_writers;  // acks=1, no retries
    int32_t spoilers;       // send batches with a wrong CRC
    int32_t readers;    // consumers of the client library, from the beginning and again from the
                        // beginning
    int32_t members;    // of one group: join, commit, leave, crash, fall silent
    int32_t consumers;  // the same in a group of the consumer protocol
    bool any_size;      // of both: the seed draws from 1 to that many
    bool trimmer;       // the oldest records are deleted
    uint32_t retention_ms;    // of the records; 0: for ever
    bool shifter;             // topics come, grow and go; consumers read them
    int32_t copiers;          // transactional ids under which the records are copied, exactly once
    bool twins;               // each copier has another one with its transactional id
    int32_t wild;             // fuzzers of transactional requests
    bool old_protocol;        // transaction.version 1 instead of 2
    bool both_protocols;      // it changes all the time
    int32_t admins;           // create topics one after the other
    uint32_t faults;          // enum fault
    uint32_t fault_every_ms;  // on average
    uint32_t duration_ms;     // of simulated time; then everything heals and must come to rest
};

extern const struct scenario scenarios[];
extern const int32_t scenario_count;
const struct scenario *scenario_find(const char *name);

struct run_options {
    const struct scenario *scenario;
    uint64_t seed;
    enum mutant mutant;
    FILE *history;  // what copiers and their readers did and saw, for tools/check_history.py; NULL
    FILE *log;      // the broker's and the nemesis' lines when it failed; NULL: none
};

struct run_result {
    bool failed;
    char violation[300];
    uint64_t hash;
    uint64_t events;
    uint64_t simulated_ms;
    uint32_t faults;  // injected
    uint32_t starts;  // of the broker
    struct ledger_counts ledger;
    uint64_t commits;      // of offsets, acknowledged
    uint64_t assignments;  // answered to members
    struct copy_counts copies;
    uint64_t replays;  // of coordinators' partitions, whose state was compared
    struct sim_counts sim;
};

void run_scenario(const struct run_options *options, struct run_result *result);

const char *mutant_name(enum mutant mutant);
bool mutant_parse(const char *name, enum mutant *mutant);
