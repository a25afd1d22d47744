// Before the first batch of a transaction is written to a partition its coordinator is asked
// (KIP-890), so that no batch that comes late opens a transaction that nobody will end. Clients
// that speak TV2 leave it to the broker to add the partition; for others it is only verified.
#pragma once

#include "api/transaction_ask.h"

// What the client understands.
enum transaction_client {
    TRANSACTION_CLIENT_OLD,        // Produce below 11, TxnOffsetCommit below 4
    TRANSACTION_CLIENT_ABORTABLE,  // knows TRANSACTION_ABORTABLE
    TRANSACTION_CLIENT_TWO,        // TV2: Produce from 12, TxnOffsetCommit from 5 on
};

struct transaction_verify {
    // In; borrowed until done.
    enum transaction_client client;
    struct slice transactional_id;
    int64_t producer_id;
    int16_t producer_epoch;
    struct transaction_partition *partitions;
    int32_t count;
    void (*done)(struct transaction_verify *verify);
    void *context;
    // Out, in the call's arena: one per partition, as the client understands it.
    enum err *errors;
    // Private.
    struct transaction_ask ask;
};

// `done` may come inside the call.
void transaction_verify_start(struct transaction_verify *verify, struct api_call *call);
// Where an old client is told another error, the sentence that Kafka says; else null.
struct slice transaction_verify_text(struct arena *arena, enum err error);
