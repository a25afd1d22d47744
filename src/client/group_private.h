// What the files of the group consumer share:
//
//     group_consumer.c    its life, its subscription, reading
//     group_reconcile.c   from what it has to what it shall have, in the order that the head of
//                         group_consumer.h promises; both protocols
//     group_classic.c     the hooks of a member of the classic protocol (group_member.h)
//     group_modern.c      those of a member of KIP-848 (heartbeat_member.h)
//     group_topics.c      topics of a pattern, names of topic ids: Metadata
//     group_offsets.c     committing, and asking for what was committed
//     group_protocol.c    the bytes of the classic protocol
#pragma once

#include "base/pattern.h"
#include "client/heartbeat_member.h"
#include "client/coordinator.h"
#include "client/group_consumer.h"
#include "client/group_member.h"

// A partition that the member shall have.
struct target_partition {
    struct topic_partition id;
    struct uuid topic_id;  // KIP-848; zero with the classic protocol
};

// One partition that this member has.
struct owned_partition {
    struct topic_partition id;
    struct uuid topic_id;
    bool is_reading;     // its offset is known and it is assigned to the reader
    bool is_paused;      // by the user
    bool is_leaving;     // it is being taken away
    int64_t dealt_with;  // the position that a commit may say; -1 unknown
    int64_t committed;   // the last one that was committed; -1 unknown
};

enum reconcile_step {
    RECONCILE_NONE,
    RECONCILE_YIELD,   // the user has not let go yet
    RECONCILE_COMMIT,  // what was dealt with is being committed
    RECONCILE_REVOKED  // the user was told; its commits end
};

struct group_consumer {
    struct env *env;
    struct client *client;
    struct consumer *reader;
    struct group_consumer_options options;
    struct arena arena;  // of the options
    enum assignor *assignors;

    // One of them.
    struct group_member *classic;
    struct heartbeat_member *modern;
    struct coordinator *coordinator;  // the member's

    bool is_closing;
    bool has_failed;
    struct message failure;
    enum err failed_with;

    // The subscription: names (of a pattern: those that match now); in `subscription_arena`.
    struct slice *topics;
    int32_t topic_count;
    struct slice expression;  // null: by name; empty: no more
    struct pattern *pattern;  // classic
    struct arena subscription_arena;
    bool is_reading_topics;
    struct client_call topics_call;
    struct metadata_request topics_request;
    struct env_timer topics_timer;

    // Topic by topic, in order of name and number; names are in `owned_arena`.
    struct owned_partition *owned;
    int32_t owned_count;
    struct arena owned_arena;

    enum reconcile_step step;
    struct target_partition *target;
    int32_t target_count;
    struct arena target_arena;
    void (*then)(struct group_consumer *g);

    // The record that the user has, not dealt with until it asks for the next one.
    struct topic_partition last;  // topic of the reader; null: none
    int64_t last_offset;
    bool is_marking;  // group_consumer_mark was called

    struct list commits;  // of group_commit; the first is under way
    struct env_timer commit_timer, retry_timer;
    struct list queries;  // of committed_query
    struct coordinator_call fetch;
    struct offset_fetch_request fetch_request;
    struct arena fetch_arena;
    struct env_timer fetch_timer;
    bool is_fetching;

    // Classic.
    bool is_rebalance_waiting;         // for the end of a reconciliation
    bool has_given_up;                 // a cooperative member joins again then
    struct topic_partition *previous;  // what an eager member had before it joined
    int32_t previous_count;
    struct arena previous_arena;
    struct group_member_row *rows;  // leader: the members and the topics that they want
    struct assignor_member *members;
    int32_t member_count;
    enum assignor assignor;
    struct arena *assign_arena;
    struct client_topic **wanted;
    int32_t *wanted_sizes;  // partitions at the last division; -1 unknown
    int32_t wanted_count;
    struct client_listener listener;

    // KIP-848: the broker's newest target, and the names that are known of its topics.
    struct id_partition *wanted_ids;
    int32_t wanted_id_count;
    bool has_target;      // one came since it joined
    bool has_new_target;  // to be reconciled
    struct map names;     // of topic_name, by id
    struct client_call names_call;
    struct metadata_request names_request;
    struct arena names_arena;
    bool is_resolving;
    struct env_timer names_timer;

    void (*ready)(void *context);
    void *ready_context;
    void (*closed)(void *context);
    void *closed_context;
};

// group_consumer.c
void group_fail(struct group_consumer *g, enum err error, const struct message *text);
void group_wake(struct group_consumer *g);
struct owned_partition *group_find_owned(const struct group_consumer *g, struct slice topic,
                                         int32_t partition);
struct slice group_own_member_id(const struct group_consumer *g);
// After the closing reconciliation.
void group_leave(struct group_consumer *g);

// group_reconcile.c
// Brings it from what it has to `target` (copied), then calls `then`. None may be under way.
void group_reconcile(struct group_consumer *g, const struct target_partition *target, int32_t count,
                     void (*then)(struct group_consumer *g));
// The commits have ended that a step may wait for.
void group_commits_ended(struct group_consumer *g);
// Everything is gone at once; a reconciliation under way is forgotten.
void group_lose_all(struct group_consumer *g);

// group_classic.c
MUST_CHECK enum err group_classic_start(struct group_consumer *g, struct message *error);
void group_classic_free(struct group_consumer *g);
void group_classic_resubscribe(struct group_consumer *g);

// group_modern.c
MUST_CHECK enum err group_modern_start(struct group_consumer *g, struct message *error);
void group_modern_free(struct group_consumer *g);
// Names have come.
void group_modern_go_on(struct group_consumer *g);

// group_topics.c
void group_topics_init(struct group_consumer *g);
MUST_CHECK enum err group_subscribe(struct group_consumer *g, const struct slice *topics,
                                    int32_t count, struct slice expression, struct message *error);
void group_topics_free(struct group_consumer *g);
// The name of a topic id; null: not known yet, and asked for.
struct slice group_topic_name(struct group_consumer *g, struct uuid id);

// group_protocol.c
struct slice group_subscription(struct group_consumer *g, enum assignor assignor,
                                struct arena *arena);
MUST_CHECK enum err group_parse_member(enum assignor assignor, struct slice metadata,
                                       struct arena *arena, struct assignor_member *member);
struct slice group_assignment_bytes(const struct assignor_member *member, struct arena *arena);
MUST_CHECK enum err group_parse_assignment(struct slice bytes, struct arena *arena,
                                           struct target_partition **partitions, int32_t *count);

// group_offsets.c
void group_offsets_init(struct group_consumer *g);
void group_offsets_free(struct group_consumer *g);
// Commits what was dealt with and not committed yet; false: nothing.
bool group_commit_dealt_with(struct group_consumer *g);
bool group_is_committing(const struct group_consumer *g);
// Asks for the committed offsets of partitions that are not read yet, and reads them from there.
void group_fetch_offsets(struct group_consumer *g);
