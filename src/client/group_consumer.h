// A member of a consumer group: gets partitions, reads them through a consumer, commits what was
// read, and takes part in rebalances. Speaks both of Kafka's protocols: the classic one, where a
// member is the leader and divides (assignor.h), and that of KIP-848, where the broker does. Which
// one is used changes nothing of what is said here.
//
// When partitions are to be taken away, in this order: they are read no further, what was dealt
// with is committed (auto_commit), `revoked` is called, commits that it started end, the group is
// told. When they come: `assigned`, then reading begins at the committed offset or, without one,
// where `reset` says.
//
// It stands on one client for records and makes a second one (same bootstrap) for the coordinator,
// so that a join that takes long holds nothing up. One group consumer belongs to its client's
// reactor; all functions and callbacks are there.
#pragma once

#include "client/assignor.h"
#include "client/consumer.h"

struct group_consumer;

enum group_protocol {
    GROUP_CLASSIC,   // every broker
    GROUP_CONSUMER,  // KIP-848: Kafka 4.0 and Taccola
};

struct group_consumer_options {
    enum group_protocol protocol;
    struct slice group;
    struct slice instance_id;  // static membership; null: none
    // What is read: topics by name, or those whose whole name matches an expression (pattern.h's
    // syntax with the classic protocol, where the client matches; the broker's RE2 with the other).
    const struct slice *topics;  // copied
    int32_t topic_count;
    struct slice pattern;   // null: by name
    bool include_internal;  // a pattern may match __consumer_offsets and the like

    const enum assignor *assignors;  // classic: in order of preference; all cooperative or none
    int32_t assignor_count;
    struct slice server_assignor;   // KIP-848: "uniform" or "range"; null: the broker's first
    int32_t session_timeout_ms;     // classic; else the broker's config says it
    int32_t heartbeat_interval_ms;  // likewise
    // How long giving up partitions may take.
    int32_t rebalance_timeout_ms;
    bool auto_commit;
    int32_t auto_commit_interval_ms;
    int64_t reset;  // where to begin without a committed offset: OFFSET_EARLIEST, OFFSET_LATEST; 0:
                    // an error
    struct consumer_options consumer;

    // Optional. The partitions were given, or are taken; with `lost` the group has forgotten this
    // member and nothing can be committed any more.
    void (*assigned)(void *context, const struct topic_partition *partitions, int32_t count);
    void (*revoked)(void *context, const struct topic_partition *partitions, int32_t count,
                    bool lost);
    // Optional. Partitions are to be taken away: nothing of what the head of this file says begins
    // until group_consumer_yield is called (within rebalance_timeout_ms, or the group goes on
    // without this member). For programs that deal with records elsewhere meanwhile.
    void (*revoking)(void *context);
    void *context;
};

// Kafka's defaults: classic, range (cooperative-sticky cannot be mixed with it here), the end of
// the log without a commit.
struct group_consumer_options group_consumer_options_default(void);

// Joins at once. ERR_INVALID with a sentence for options that make no sense.
MUST_CHECK enum err group_consumer_new(struct client *client,
                                       const struct group_consumer_options *options,
                                       struct group_consumer **consumer, struct message *error);
// Leaves without a word: the group notices when the session times out. Not from a callback. NULL is
// allowed.
void group_consumer_free(struct group_consumer *consumer);
// Commits (with auto_commit) and waits for commits under way, calls `revoked`, leaves the group (a
// static member of the classic protocol stays in it, one of KIP-848 says that it will be back),
// then `done`, never inside this call; group_consumer_free is next.
void group_consumer_close(struct group_consumer *consumer, void (*done)(void *context),
                          void *context);

// Another subscription from now on; the group rebalances. Arguments as of the options.
MUST_CHECK enum err group_consumer_subscribe(struct group_consumer *consumer,
                                             const struct slice *topics, int32_t count,
                                             struct message *error);
MUST_CHECK enum err group_consumer_subscribe_pattern(struct group_consumer *consumer,
                                                     struct slice pattern, struct message *error);
// After `revoking`.
void group_consumer_yield(struct group_consumer *consumer);

// ---- Reading ----

// As consumer_next. Asking for the next record says that the ones before were dealt with: that is
// what a commit covers. Errors of the group (the id is not authorized, fenced by another with the
// same instance id …) come here too, once, without a partition (-1).
MUST_CHECK enum err group_consumer_next(struct group_consumer *consumer,
                                        struct consumer_record *record, struct message *error);
void group_consumer_on_ready(struct group_consumer *consumer, void (*ready)(void *context),
                             void *context);

// These answer ERR_NOT_FOUND for a partition that this member does not have. A pause ends when the
// partition is taken away.
MUST_CHECK enum err group_consumer_pause(struct group_consumer *consumer, struct slice topic,
                                         int32_t partition, bool paused);
// `offset`: a number, OFFSET_EARLIEST or OFFSET_LATEST. Records fetched before are not handed out.
MUST_CHECK enum err group_consumer_seek(struct group_consumer *consumer, struct slice topic,
                                        int32_t partition, int64_t offset);
// To the first record that is not older (ms since 1970), or to the end.
MUST_CHECK enum err group_consumer_seek_time(struct group_consumer *consumer, struct slice topic,
                                             int32_t partition, int64_t time_ms);
// The consumer below: for consumer_position and consumer_lag. Do not assign or unassign there.
struct consumer *group_consumer_reader(struct group_consumer *consumer);

// ---- Committing ----

// Commits what was dealt with; `done` (may be NULL) comes exactly once, never inside this call.
// Commits are made one after the other in the order of the calls. ERR_NOT_FOUND: there is nothing
// to commit, and `done` does not come.
MUST_CHECK enum err group_consumer_commit(struct group_consumer *consumer,
                                          void (*done)(void *context, enum err result),
                                          void *context);
// Commits just these; they are copied.
MUST_CHECK enum err group_consumer_commit_offsets(struct group_consumer *consumer,
                                                  const struct group_offset *offsets, int32_t count,
                                                  void (*done)(void *context, enum err result),
                                                  void *context);
// By default what was handed out counts as dealt with when the next record is asked for. After the
// first call of this function only what it says counts: for programs that deal with records
// elsewhere. `offset`: that of the next record. A partition that this member does not have is
// passed over.
void group_consumer_mark(struct group_consumer *consumer, struct slice topic, int32_t partition,
                         int64_t offset);
// The group's committed offsets of these partitions (copied). `offsets` is borrowed during `done`,
// which comes exactly once, never inside this call.
void group_consumer_committed(struct group_consumer *consumer,
                              const struct topic_partition *partitions, int32_t count,
                              void (*done)(void *context, enum err result,
                                           const struct group_offset *offsets, int32_t count),
                              void *context);

// ---- The membership ----

bool group_consumer_is_stable(const struct group_consumer *consumer);
// What this member has.
int32_t group_consumer_assignment_count(const struct group_consumer *consumer);
struct topic_partition group_consumer_assignment(const struct group_consumer *consumer,
                                                 int32_t index);
// Generation, or member epoch; -1: not a member now.
int32_t group_consumer_generation(const struct group_consumer *consumer);
// For producer_send_offsets. Borrowed: valid until the reactor goes on.
struct group_identity group_consumer_identity(const struct group_consumer *consumer);
