// A Fetch on its way: what fetch.c (at home, on the connection's reactor) and fetch_read.c (at the
// owners of the partitions) share. Private to these two.
#pragma once

#include "api/fetch_session.h"
#include "api/partition_rows.h"
#include "replica/replica_manager.h"

struct fetch_row {
    struct partition_row row;          // `part` NULL: answered from the metadata
    struct fetch_row *after;           // in the order of serving
    struct session_partition *cached;  // good as long as the session's epoch is ours
    struct fetch_target target;        // its name is the request's or the session's
    // What the owner reports.
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t log_start_offset;
    int32_t diverging_epoch;  // -1: none
    int64_t diverging_end;
    struct log_slice slice;  // its pin may be released here
    size_t record_bytes;     // of the slice, also after it went into the answer
    bool has_more;           // records beyond the slice, below the upper bound
    struct aborted_transaction *aborted;
    int32_t aborted_count;  // -1: not asked for
    int32_t seen_epoch;     // leader epoch that the report is of
    // Waiting and warming, at the owner.
    struct fetch_waiter waiter;
    struct log_warm_op warm;
    int8_t warm_tries;
};

// The rows of one owner.
struct fetch_part {
    struct partition_rows_part part;
    int32_t warming;  // rows whose bytes are on their way
    // Waiting.
    bool is_woken;
    struct env_message woken;   // owner to home, once per wait
    struct env_message cancel;  // home to owner, once per wait
};

struct fetch {
    struct api_call *call;
    struct fetch_session *session;  // NULL: none
    bool is_incremental;
    int32_t session_epoch;  // of the session, as this request left it
    bool read_committed;
    bool is_follower;
    int64_t min_bytes;
    size_t max_bytes;
    uint64_t deadline_ns;
    struct partition_rows rows;
    struct fetch_row *first;  // in the order of the request or the session
    struct fetch_row **last;
    int32_t row_count;
    struct fetch_row *cut;  // the row that is read again with what was left of max_bytes
    size_t cut_bytes;
    struct env_timer timer;
    bool is_waiting;  // at home
    bool was_woken;   // since the wait began
    bool is_over;     // answer with what there is
};

static inline struct fetch *fetch_of(const struct partition_rows_part *part) {
    return container_of(part->rows, struct fetch, rows);
}
static inline struct fetch_row *fetch_row_of(struct partition_row *row) {
    return container_of(row, struct fetch_row, row);
}
static inline struct fetch_part *fetch_part_of(struct partition_rows_part *part) {
    return container_of(part, struct fetch_part, part);
}

// ---- fetch_read.c: run at the owner ----

// Reads every row of the part; with one part the request's max_bytes are spent in order.
void fetch_read_run(struct partition_rows_part *part);
// Reads fetch->cut again.
void fetch_cut_run(struct partition_rows_part *part);
// Hangs a waiter on every partition. The part comes home when it is cancelled; before, it says
// fetch_woken once when there is something new.
void fetch_wait_run(struct partition_rows_part *part);
// At home: ends the wait of a part that is away.
void fetch_wait_cancel(struct partition_rows_part *part);
// At the owner: whether the partition (NULL: gone) is as the row reported; in the meantime it may
// have moved.
bool fetch_is_as_reported(const struct fetch_row *row, struct partition *partition);
// Any reactor: drops the row's slice.
void fetch_row_release(struct fetch_row *row);

// ---- fetch.c: at home ----

// A part has something new.
void fetch_woken(struct fetch *fetch);
