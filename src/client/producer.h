// The producer: records are gathered into one open batch per partition, closed batches leave in
// order, and each record's fate is told by a callback. By default it is idempotent (KIP-98): a
// retried batch is stored once, and records of a partition stay in order whatever is retried. One
// producer belongs to its client's reactor.
#pragma once

#include "client/offsets.h"
#include "wire/batch.h"

struct producer;

struct producer_options {
    int16_t acks;  // -1 (all), 1, 0; idempotence needs -1
    bool idempotent;
    enum compression compression;
    int compression_level;  // 0: the codec's default
    size_t batch_bytes;     // a batch that reaches this is closed
    uint64_t linger_ns;     // an open batch is closed after this
    size_t buffer_bytes;    // records not yet acknowledged; beyond it producer_send answers
                            // ERR_WOULD_BLOCK
    size_t request_bytes_max;
    int32_t in_flight_max;  // requests per node; at most 5 when idempotent
    uint64_t request_timeout_ns;
    uint64_t delivery_timeout_ns;    // from producer_send to the callback, at most
    struct slice transactional_id;   // null: no transactions; needs idempotent
    int32_t transaction_timeout_ms;  // the coordinator aborts what takes longer
};

// Kafka's defaults (acks=all, idempotent, 16 KiB, linger 5 ms, 32 MiB, 2 min).
struct producer_options producer_options_default(void);

MUST_CHECK enum err producer_new(struct client *client, const struct producer_options *options,
                                 struct producer **producer, struct message *error);
// Records not yet acknowledged end with ERR_CANCELLED inside this call. Not from a callback.
void producer_free(struct producer *producer);

// One record on its way; embedded in the caller's struct and kept until `done`. Key, value and
// headers are copied in producer_send.
struct producer_record {
    struct slice topic;
    int32_t partition;   // -1: by the key's murmur2 as Kafka's own client does; without a key one
                         // partition per batch
    int64_t timestamp;   // ms; -1: now
    struct slice key;    // may be null
    struct slice value;  // may be null
    struct record_header *headers;
    int32_t header_count;
    // Exactly once, never inside producer_send. With ERR_NONE partition, offset and timestamp are
    // what was stored (offset -1 with acks=0).
    void (*done)(struct producer_record *record, enum err result);

    // Out.
    int64_t offset;
    struct message *error;  // with an error: a sentence, or NULL; valid inside done

    // Private.
    struct list link;
    int32_t index;  // in its batch
};

// ERR_WOULD_BLOCK: the buffer is full, `ready` of the producer will be called;
// ERR_MESSAGE_TOO_LARGE: it can never fit. Then `done` does not come.
MUST_CHECK enum err producer_send(struct producer *producer, struct producer_record *record);
// Optional: there is room again.
void producer_on_ready(struct producer *producer, void (*ready)(void *context), void *context);
// Closes all open batches now, without waiting for linger.
void producer_flush(struct producer *producer);
// Records whose `done` has not come yet.
size_t producer_pending(const struct producer *producer);

// ---- Transactions (KIP-98, KIP-447, KIP-890) ----
//
// With a transactional id: producer_init once, then for every transaction producer_begin, any
// number of producer_send and producer_send_offsets, and producer_commit or producer_abort. Both
// protocols are spoken: where the cluster's transaction.version is 2 a partition joins by its first
// Produce request and every transaction has an epoch of its own; else partitions are added first.
//
// After an error that leaves the transaction undecided or broken the producer is ABORTABLE: sending
// and committing answer the error until producer_abort. After FATAL (another producer has this
// transactional id: ERR_PRODUCER_FENCED or ERR_INVALID_PRODUCER_EPOCH; not authorized) nothing but
// producer_free is left.

enum producer_status { PRODUCER_USABLE, PRODUCER_ABORTABLE, PRODUCER_FATAL };
enum producer_status producer_status(const struct producer *producer);

typedef void producer_done(void *context, enum err result, const struct message *error);

// Gets the producer's id and epoch: older producers of this transactional id are fenced, and their
// open transaction is aborted. `done` of these four comes exactly once, and not inside the call but
// for misuse: ERR_BUSY (one of them at a time), ERR_INVALID (no transactional id).
void producer_init(struct producer *producer, producer_done *done, void *context);
// ERR_INVALID with a sentence when there is a transaction already, or no producer_init before.
MUST_CHECK enum err producer_begin(struct producer *producer, struct message *error);
// The offsets (of records that were dealt with) are committed with the transaction, or not at all.
// Offsets and strings are copied.
void producer_send_offsets(struct producer *producer, const struct group_offset *offsets,
                           int32_t count, const struct group_identity *group, producer_done *done,
                           void *context);
// Waits for all records; one that failed makes the transaction ABORTABLE. When it is not known
// whether the coordinator has heard (a timeout), the same call may be made again: it finds out.
void producer_commit(struct producer *producer, producer_done *done, void *context);
// Records not sent yet end with ERR_TRANSACTION_ABORTABLE.
void producer_abort(struct producer *producer, producer_done *done, void *context);

// ---- Partitions of keys ----

// Kafka's partition for a key: murmur2 of its bytes, positive, modulo the count.
int32_t producer_partition_of_key(struct slice key, int32_t partition_count);
uint32_t murmur2(struct slice bytes);
