// Offsets as the client library speaks of them: the ones that groups commit, and those that
// partitions have at an end or at a time (ListOffsets, at the leaders, many partitions in one go).
// All on the client's reactor.
#pragma once

#include "client/client.h"

struct topic_partition {
    struct slice topic;
    int32_t partition;
};

// One committed offset, or one to be committed: that of the next record to be read.
struct group_offset {
    struct topic_partition id;
    int64_t offset;         // -1: none is committed
    int32_t leader_epoch;   // of the last record before it; -1: unknown
    struct slice metadata;  // the committer's own words; may be null
};

// Who commits (KIP-447): what a transactional producer hands on with a group's offsets, so that a
// member that the group has forgotten cannot commit any more.
struct group_identity {
    struct slice group;
    struct slice member_id;    // empty: nobody in particular
    struct slice instance_id;  // null: none
    int32_t generation;        // or member epoch; -1: none
};

// ---- Offsets by time ----

// Special times; else milliseconds since 1970: the first record that is not older.
enum {
    OFFSET_LATEST = -1,         // the end: high watermark, or last stable offset (read_committed)
    OFFSET_EARLIEST = -2,       // the first record that is there
    OFFSET_MAX_TIMESTAMP = -3,  // the record with the largest timestamp (KIP-734)
};

struct offset_query {
    // In.
    struct topic_partition id;
    int64_t time;
    // Out.
    enum err error;
    int64_t offset;        // -1: there is no such record
    int64_t timestamp;     // of that record; -1 for an end
    int32_t leader_epoch;  // -1: unknown
    // Private.
    struct client_topic *topic;
    bool is_asked, is_answered;
};

struct offset_lookup;

// Answers all queries. `queries` stays the caller's and lives, with its topics' names, until
// `done`, which comes exactly once, never inside this call; errors are told one by one in the
// queries (ERR_TIMEOUT after `deadline_ns`; 0: the client's call timeout). The lookup frees itself
// then.
struct offset_lookup *offset_lookup_start(struct client *client, struct offset_query *queries,
                                          int32_t count, bool read_committed, uint64_t deadline_ns,
                                          void (*done)(void *context), void *context);
// Ends it without `done`.
void offset_lookup_cancel(struct offset_lookup *lookup);
