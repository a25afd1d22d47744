// What the files of the producer share: gathering records (producer.c), batches on their way
// (producer_send.c), transactions (producer_transaction.c).
#pragma once

#include "base/map.h"
#include "client/coordinator.h"
#include "client/producer.h"

enum batch_state { BATCH_QUEUED, BATCH_SENT };

struct produce_batch {
    struct list link;        // in the partition's queue
    struct list in_request;  // in the request's batches while SENT
    struct batch_builder builder;
    struct slice bytes;   // once compressed
    bool numbered;        // has its producer id and sequence
    struct list records;  // of producer_record
    size_t charged;
    uint64_t opened_ns;
    enum batch_state state;
    struct produce_partition *partition;
};

struct produce_partition {
    struct produce_topic *topic;
    int32_t index;
    struct list active;  // in the producer's list while there is a batch, open or closed
    struct produce_batch *open;
    struct list queue;  // closed batches
    int32_t in_flight;  // batches SENT
    bool held;          // wait until in_flight is 0
    bool renumber;      // a batch was given up: those behind it need numbers of a new producer id
    uint64_t retry_ns;  // not before
    uint32_t tries;
    int32_t next_sequence;
    int64_t producer_id;  // that next_sequence belongs to
    int16_t producer_epoch;
    uint32_t transaction;        // the one that it is part of: its number
    uint32_t transaction_asked;  // the one that it has asked to be part of (TV1)
};

struct produce_topic {
    struct map_node by_name;
    struct client_topic *meta;
    int32_t partition_count;
    struct produce_partition **partitions;
    int32_t sticky;          // partition of records without a key; -1: choose
    int32_t slot;            // scratch of call_fill
    struct list unassigned;  // of waiting_record: the partition count is not known yet
};

// A record that came before its topic was known, with its own copy of all bytes.
struct waiting_record {
    struct list link;
    struct producer_record *record;
    struct arena arena;
    struct record copy;
    size_t charged;
    uint64_t since_ns;
};

struct producer {
    struct client *client;
    struct env *env;
    struct producer_options options;
    struct map topics;
    struct client_listener listener;
    struct env_task send;
    struct env_timer timer;
    size_t buffered;
    size_t pending;
    void (*ready)(void *context);
    void *ready_context;
    bool was_full;
    bool flushing;  // until nothing is pending: linger counts no more

    int64_t producer_id;  // -1: none yet
    int16_t producer_epoch;
    bool asking_id;
    struct client_call id_call;
    struct init_producer_id_request id_request;
    struct list active;               // of produce_partition
    struct list requests;             // of produce_call under way
    struct transaction *transaction;  // NULL: not transactional
};

// producer.c
void producer_close_batch(struct producer *p, struct produce_partition *q);
// Takes the batch out of its queue and tells every record. `base_offset` -1: unknown.
void producer_end_batch(struct producer *p, struct produce_batch *b, enum err result,
                        int64_t base_offset, int64_t append_time, struct message *error);
void producer_end_waiting(struct producer *p, struct waiting_record *w, enum err result,
                          struct message *error);
// Records whose topic or partition was not known: gathered now, or failed when the answer is final
// or too late.
void producer_settle_waiting(struct producer *p, struct produce_topic *t);

// producer_send.c
void producer_send_init(struct producer *p);
void producer_send_deinit(struct producer *p);
// Looks at everything that may be sent, or has to be ended, later in this pass.
void producer_wake(struct producer *p);

// producer_transaction.c; all but the first take transactional producers only.
void producer_transaction_init(struct producer *p);
void producer_transaction_deinit(struct producer *p);
// ERR_NONE: records may be sent; else what producer_send answers.
MUST_CHECK enum err producer_transaction_check(const struct producer *p);
// Whether batches may leave at all, and this partition's. A partition that is not part of the
// transaction yet joins by this (TV2), or is added first.
bool producer_transaction_sends(const struct producer *p);
bool producer_transaction_admits(struct producer *p, struct produce_partition *q);
bool producer_transaction_is_v2(const struct producer *p);
// Records have ended with an error. `numbered`: the broker may have them or not, so the sequence
// numbers of this epoch are spoilt.
void producer_transaction_broken(struct producer *p, enum err error, const struct message *text,
                                 bool numbered);
// After every look at what may be sent: the next step of what is waited for.
void producer_transaction_go_on(struct producer *p);
