// KIP-227 fetch sessions: the broker remembers which partitions a client fetches and what it told
// about each, so that a request names only what changes and an answer only what is new. One table
// per reactor; a session lives on the reactor of the connection that opened it and is found there
// by later connections.
#pragma once

#include "base/map.h"
#include "env/env.h"
#include "gen/apis.h"
#include "gen/err.h"
#include "replica/partition.h"

struct fetch_sessions;

#define FETCH_SESSION_NONE        0     // session_id
#define FETCH_SESSION_EPOCH_FIRST 0     // asks for a full fetch and a new session
#define FETCH_SESSION_EPOCH_FINAL (-1)  // asks for a full fetch and no session

// A partition in a session; also what a request says about one.
struct fetch_target {
    struct slice name;     // null in id sessions until resolved
    struct uuid topic_id;  // zero in name sessions
    int32_t partition;
    int32_t current_leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch;
    int32_t max_bytes;
};

struct session_partition {
    struct list link;  // among the active ones, in the order of serving; linked to itself when idle
    struct map_node by_key;
    struct fetch_session *session;
    struct fetch_waiter waiter;  // on the partition, while idle
    int32_t row_epoch;           // of the session, when a fetch made its row of it last
    struct fetch_target target;  // its name is owned
    // What the client was told last.
    int64_t high_watermark;
    int64_t log_start_offset;
    uint8_t key[];
};

struct fetch_session {
    int32_t id;
    int32_t epoch;  // that the next request must have
    bool uses_topic_ids;
    struct map by_key;
    struct list active;  // of session_partition
    // The fetch that waits wants to know when an idle partition becomes active; NULL: nobody does.
    void (*woken)(void *context);
    void *context;
    // Private.
    struct map_node by_id;
    struct list used;  // least recently used first
    int32_t references;
    bool is_removed;
    uint64_t created_ns;
    uint64_t used_ns;
};

// `slots`: how many sessions this reactor may hold (its share of
// max.incremental.fetch.session.cache.slots).
struct fetch_sessions *fetch_sessions_new(struct env *env, int32_t slots);
// No request may hold a session any more. NULL is allowed.
void fetch_sessions_free(struct fetch_sessions *sessions);
int32_t fetch_sessions_count(const struct fetch_sessions *sessions);

// For an incremental request: the session, one reference taken, its epoch advanced; or
// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
MUST_CHECK enum err fetch_session_continue(struct fetch_sessions *sessions, int32_t id,
                                           int32_t epoch, bool uses_topic_ids,
                                           struct fetch_session **session);
// NULL when there is no room: no session is stale (unused for two minutes), or old (two minutes)
// and smaller than `partition_count`. One reference taken. Its epoch is 1.
struct fetch_session *fetch_session_open(struct fetch_sessions *sessions, int32_t partition_count,
                                         bool uses_topic_ids);
// Forgets the session; unknown ids are fine.
void fetch_session_remove(struct fetch_sessions *sessions, int32_t id);
void fetch_session_unref(struct fetch_sessions *sessions, struct fetch_session *session);

// Adds a partition at the end, or changes what is asked of one that is there. False: the session is
// full.
bool fetch_session_put(struct fetch_session *session, const struct fetch_target *target);
void fetch_session_forget(struct fetch_session *session, struct slice name, struct uuid topic_id,
                          int32_t partition);
// The name of an id, once known (copied).
void fetch_session_resolve(struct session_partition *partition, struct slice name);
// Whether the answer must name the partition, for what the client was told before; remembers it as
// told now. `error_code` and `record_bytes` of the answer. A partition with records goes to the
// end, so that none starves.
bool fetch_session_tell(struct fetch_session *session, struct session_partition *partition,
                        int16_t error_code, bool is_diverging, size_t record_bytes,
                        int64_t high_watermark, int64_t log_start_offset);
// The client knows everything of the partition, whose state now is what it was told: idle until
// that moves.
void fetch_session_idle(struct session_partition *partition, struct partition *served);
