// A member of a consumer group by Kafka's classic protocol: joins, gets partitions, reads them
// through a consumer, commits what was read, heartbeats, and takes part in rebalances. It stands on
// one client for records and makes a second one (same bootstrap) for the coordinator, so that a
// join that takes long holds nothing up.
//
// One group consumer belongs to its client's reactor; all functions and callbacks are there.
#pragma once

#include "client/assignor.h"
#include "client/consumer.h"

struct group_consumer;

struct group_consumer_options {
    struct slice group;
    struct slice instance_id;    // static membership; null: none
    const struct slice *topics;  // copied
    int32_t topic_count;
    const enum assignor *assignors;  // in order of preference; all cooperative or none
    int32_t assignor_count;
    int32_t session_timeout_ms;
    int32_t rebalance_timeout_ms;
    int32_t heartbeat_interval_ms;
    bool auto_commit;
    int32_t auto_commit_interval_ms;
    int64_t reset;  // where to begin without a committed offset: OFFSET_EARLIEST, OFFSET_LATEST; 0:
                    // an error
    struct consumer_options consumer;

    // Optional. The partitions were given, or are about to be taken (their offsets are committed
    // first with auto_commit); with `lost` the group has forgotten this member and nothing can be
    // committed any more.
    void (*assigned)(void *context, const struct topic_partition *partitions, int32_t count);
    void (*revoked)(void *context, const struct topic_partition *partitions, int32_t count,
                    bool lost);
    void *context;
};

// Kafka's defaults: range and cooperative-sticky cannot be mixed here, so range alone; the end of
// the log without a commit.
struct group_consumer_options group_consumer_options_default(void);

// Joins at once. ERR_INVALID with a sentence for options that make no sense.
MUST_CHECK enum err group_consumer_new(struct client *client,
                                       const struct group_consumer_options *options,
                                       struct group_consumer **consumer, struct message *error);
// Leaves without a word: the group notices when the session times out. Not from a callback.
void group_consumer_free(struct group_consumer *consumer);

// As consumer_next. Asking for the next record says that the ones before were dealt with: that is
// what a commit covers. Errors of the group (the id is not authorized, fenced by another with the
// same instance id …) come here too, once, without a partition (-1).
MUST_CHECK enum err group_consumer_next(struct group_consumer *consumer,
                                        struct consumer_record *record, struct message *error);
void group_consumer_on_ready(struct group_consumer *consumer, void (*ready)(void *context),
                             void *context);

// Commits what was dealt with; `done` (may be NULL) comes exactly once, never inside this call. One
// at a time: ERR_BUSY otherwise.
MUST_CHECK enum err group_consumer_commit(struct group_consumer *consumer,
                                          void (*done)(void *context, enum err result),
                                          void *context);
// Commits (with auto_commit), leaves the group (not a static member), then `done`;
// group_consumer_free is next.
void group_consumer_close(struct group_consumer *consumer, void (*done)(void *context),
                          void *context);

bool group_consumer_is_stable(const struct group_consumer *consumer);
// What this member has.
int32_t group_consumer_assignment_count(const struct group_consumer *consumer);
struct topic_partition group_consumer_assignment(const struct group_consumer *consumer,
                                                 int32_t index);
int32_t group_consumer_generation(const struct group_consumer *consumer);
// The consumer below, for positions, pause and seek.
struct consumer *group_consumer_reader(struct group_consumer *consumer);
