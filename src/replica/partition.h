// A partition on this node: its log, leadership, high watermark, and the requests that wait for it (fetches for data, produces for the high
// watermark). Owned by one reactor, which alone touches it. With one replica the high watermark is log_end_durable; the ISR rules of replication
// find their place here.
#pragma once

#include "storage/log.h"

struct partition;

struct partition_key {
    struct uuid topic_id;
    int32_t partition;
};

// A produce that waits until everything below `required` is below the high watermark.
struct produce_waiter {
    struct list link;
    int64_t required;
    void (*done)(struct produce_waiter *waiter, enum err result);  // never inside the call that added it
};

// A fetch that waits for data of this partition; one waiter per fetch and partition. Woken at most once per pass, then idle again.
struct fetch_waiter {
    struct list link;
    void (*wake)(struct fetch_waiter *waiter);
};
