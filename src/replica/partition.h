// A partition on this node: its log, its leadership, its high watermark, and the requests that wait
// for it (produces for the high watermark, fetches for data). Owned by one reactor, which alone
// touches it. With one replica the high watermark is log_end_durable; the ISR's rules will find
// their place in partition_advance.
//
// States: OPENING (a job opens the log) -> ONLINE -> OFFLINE (the log failed; for good). Only an
// online partition has a log to read and append. Deleting one tells its waiters, takes it out of
// the tables (`topic` is NULL, it leads no more) and frees it once no operation of its log is in
// flight: a pointer is good as long as such an operation, or a waiter, lasts.
#pragma once

#include "storage/log.h"

struct replica_manager;
struct replica_topic;

enum partition_state { PARTITION_OPENING, PARTITION_ONLINE, PARTITION_OFFLINE };

struct partition {
    struct list link;  // all partitions of the reactor
    struct replica_manager *manager;
    struct replica_topic *topic;
    int32_t index;
    int32_t directory;  // which log directory; -1 while not known
    enum partition_state state;
    struct log *log;  // NULL unless ONLINE or OFFLINE
    bool leads;       // this node is the leader, as the metadata says
    int32_t leader_epoch;
    int32_t isr_count;
    int32_t replica_count;
    int64_t high_watermark;
    struct list produce_waiters;  // of produce_waiter, in rising order of `required`
    struct list fetch_waiters;    // of fetch_waiter
    struct log_listener listener;
    struct partition_open *opening;  // the job, while OPENING
};

// The leader's checks of every request, in Kafka's order: KAFKA_STORAGE_ERROR when offline,
// FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH when `current_leader_epoch` (-1: not said) is not
// ours, NOT_LEADER_OR_FOLLOWER when another leads or the log is not open yet.
enum err partition_check_leader(const struct partition *partition, int32_t current_leader_epoch);
bool partition_is_leader(const struct partition *partition);

// KIP-98: where read_committed readers end.
int64_t partition_last_stable_offset(const struct partition *partition);

// ---- Waiting ----

// A produce that waits until everything below `required` is below the high watermark.
struct produce_waiter {
    struct list link;
    int64_t required;
    // ERR_NONE, or why it never will: NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION (deleted),
    // KAFKA_STORAGE_ERROR. Never inside the call that added it.
    void (*done)(struct produce_waiter *waiter, enum err result);
};

// True: the high watermark is there already, nothing was added.
bool partition_wait_produce(struct partition *partition, struct produce_waiter *waiter);
static inline void produce_waiter_cancel(struct produce_waiter *waiter) {
    list_remove(&waiter->link);
}

// A fetch that waits for this partition; one waiter per fetch and partition. Woken when the high
// watermark, last stable offset or log start moved, leadership changed, or the partition goes: at
// most once per pass; it is idle again when `wake` is called.
struct fetch_waiter {
    struct list link;
    void (*wake)(struct fetch_waiter *waiter);
};

static inline void fetch_waiter_init(struct fetch_waiter *waiter,
                                     void (*wake)(struct fetch_waiter *waiter)) {
    list_init(&waiter->link);
    waiter->wake = wake;
}
static inline void partition_wait_fetch(struct partition *partition, struct fetch_waiter *waiter) {
    list_append(&partition->fetch_waiters, &waiter->link);
}
static inline void fetch_waiter_cancel(struct fetch_waiter *waiter) {
    list_remove(&waiter->link);
}

// ---- For replica_manager ----

struct partition *partition_new(struct replica_manager *manager, struct replica_topic *topic,
                                int32_t index);
// Without its log, which the caller has taken. Waiters must be gone.
void partition_free(struct partition *partition);
// Takes the opened log; the partition is online. `high_watermark`: the last one known.
void partition_set_log(struct partition *partition, struct log *log, int64_t high_watermark);
// What the metadata says now.
void partition_set_leader(struct partition *partition, bool leads, int32_t leader_epoch);
// Kafka's effective min ISR: no more than there are replicas.
int32_t partition_min_isr(const struct partition *partition);
// Moves the high watermark as far as it may and serves those who waited.
void partition_advance(struct partition *partition);
// Ends all produce waiters with `error` and wakes all fetches.
void partition_fail_waiters(struct partition *partition, enum err error);
