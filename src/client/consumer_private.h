// What the files of the consumer share: requests and replies (consumer_fetch.c), what is in the
// fetched bytes (consumer_records.c), assignments and handing out (consumer.c).
#pragma once

#include "client/consumer.h"
#include "wire/codec.h"

// A position that is to be looked up by `time_ms`; the others are OFFSET_LATEST and
// OFFSET_EARLIEST.
enum { POSITION_BY_TIME = -4 };

struct fetch_call;

// What one reply has of one partition. Lives in the reply's arena, and keeps the reply.
struct chunk {
    struct list link;  // in the partition's chunks, oldest first
    struct fetch_call *reply;
    struct slice bytes;  // of the batches left
    int64_t end;         // the position behind it
    struct fetch_response_aborted_transaction *aborted;
    int32_t aborted_count;
    int32_t aborted_next;
    int64_t *aborted_now;  // producers whose aborted transaction is open at the position
    int32_t aborted_now_count;
};

struct consumed_partition {
    struct map_node by_key;
    char key[272];
    struct client_topic *topic;
    int32_t partition;
    int64_t position;    // of the next record to be handed out; negative: to be looked up
    int64_t time_ms;     // of POSITION_BY_TIME
    int64_t fetch_next;  // the position behind all chunks: where the next fetch begins
    int64_t end;
    bool paused;
    bool stopped;    // after an error
    enum err error;  // to be reported by consumer_next
    struct message error_text;
    bool looking_up;      // in a ListOffsets call
    bool fetching;        // in a Fetch call
    uint32_t generation;  // counts assignments: replies to older ones are dropped
    uint32_t tries;
    uint64_t retry_ns;

    // What was fetched and not yet handed out.
    struct list ready;   // in consumer.ready while there is something for consumer_next
    struct list chunks;  // of chunk
    struct record_reader reader;
    bool in_batch;
    bool skip_batch;           // aborted: its records are passed over
    struct slice batch_bytes;  // of the chunk, from the open batch on
};

struct consumer {
    struct client *client;
    struct env *env;
    struct consumer_options options;
    struct map partitions;
    struct list ready;  // of consumed_partition: what is next first
    struct list calls;  // of fetch_call
    uint64_t call_count;
    struct client_listener listener;
    struct env_task work;
    struct env_task wake;
    struct env_timer timer;
    struct arena arena;  // of the record handed out
    void (*on_ready)(void *context);
    void *context;
    bool waiting;  // consumer_next found nothing
};

// consumer.c
// There is something for consumer_next.
void consumer_announce(struct consumer *c, struct consumed_partition *p);
// The partition is not read any more; consumer_next says why.
void consumer_stop(struct consumer *c, struct consumed_partition *p, enum err error,
                   const char *what);

// consumer_fetch.c
void consumer_fetch_init(struct consumer *c);
void consumer_fetch_deinit(struct consumer *c);
// The calls under way know the partition no more.
void consumer_fetch_forget(struct consumer *c, struct consumed_partition *p);
// The oldest chunk is used up.
void consumer_drop_chunk(struct consumed_partition *p);
void consumer_drop_chunks(struct consumed_partition *p);

// consumer_records.c
// The next record of the oldest chunk at or after the position. ERR_EOF: the chunk is used up.
MUST_CHECK enum err consumer_next_record(struct consumer *c, struct consumed_partition *p,
                                         struct record *record);
// Another partition is next: the batch that is open, whose decompressed bytes the consumer shares
// among all, is opened again later.
void consumer_suspend(struct consumed_partition *p);
