// The consumer of assigned partitions: fetches ahead from the leaders, checks every batch, and
// hands records out one after the other in the order of each partition's log. Which partitions are
// read is the caller's affair here; groups stand on top of it. One consumer belongs to its client's
// reactor.
#pragma once

#include "client/offsets.h"
#include "wire/batch.h"

// A fetch waits at the broker for up to fetch_wait_ms when there is nothing, and a connection's
// replies come in order: a producer, or calls that should not wait, want a client of their own.
struct consumer;

struct consumer_options {
    bool read_committed;
    int32_t fetch_wait_ms;
    int32_t fetch_bytes_min;
    int32_t fetch_bytes_max;  // of one reply
    int32_t partition_bytes_max;
    size_t decompressed_bytes_max;  // of one batch: a bomb ends the partition with ERR_LIMIT
    int64_t reset;  // OFFSET_EARLIEST, OFFSET_LATEST, or 0: out of range is an error
};

// Kafka's defaults, except read_committed, which is on: without transactions it costs nothing.
struct consumer_options consumer_options_default(void);

struct consumer *consumer_new(struct client *client, const struct consumer_options *options);
// Not from a callback. NULL is allowed.
void consumer_free(struct consumer *consumer);

// Reads the partition from `offset` (OFFSET_EARLIEST, OFFSET_LATEST or a number) on; assigning
// again seeks. ERR_INVALID: offset below -2.
MUST_CHECK enum err consumer_assign(struct consumer *consumer, struct slice topic,
                                    int32_t partition, int64_t offset);
// Likewise from the first record that is not older than `time_ms` (since 1970), or from the end.
MUST_CHECK enum err consumer_assign_time(struct consumer *consumer, struct slice topic,
                                         int32_t partition, int64_t time_ms);
void consumer_unassign(struct consumer *consumer, struct slice topic, int32_t partition);
// A paused partition hands out nothing; it is fetched no further. Assigning again does not end it.
void consumer_pause(struct consumer *consumer, struct slice topic, int32_t partition, bool paused);

struct consumer_record {
    struct slice topic;
    int32_t partition;
    int32_t leader_epoch;
    bool log_append_time;
    struct record record;  // borrowed until the next call of consumer_next or consumer_assign
};

// The next record. ERR_WOULD_BLOCK: none is there; `ready` will be called. Another error concerns
// one partition (*record says which, `error` why): it is not read any more until assigned again.
MUST_CHECK enum err consumer_next(struct consumer *consumer, struct consumer_record *record,
                                  struct message *error);
// After consumer_next answered ERR_WOULD_BLOCK: there is something now. Never inside a call.
void consumer_on_ready(struct consumer *consumer, void (*ready)(void *context), void *context);

// The offset of the next record to be handed out; a negative one while it is not known. `end`: the
// high watermark (last stable offset when read_committed) of the newest reply, -1 while not known.
// False: not assigned.
bool consumer_position(const struct consumer *consumer, struct slice topic, int32_t partition,
                       int64_t *position, int64_t *end);
// Records between position and end; -1 while not known.
int64_t consumer_lag(const struct consumer *consumer, struct slice topic, int32_t partition);
