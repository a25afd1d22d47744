// The inside of a log, shared by the log_*.c files and nothing else.
//
// What changes when. Offsets, producer state, epochs, indexes and the segment's size change when a
// batch is assigned (log_append.c); the written end moves when its write completed, in order; the
// synced end when a sync that began after it completed (log_sync.c). When a write fails for want of
// space, everything assigned behind the written end is taken back, newest first, and then the
// appends are told.
#pragma once

#include "storage/epoch_cache.h"
#include "storage/log.h"
#include "storage/producer_state.h"

// Where batches begin, remembered from reads, appends and syncs: a consumer that goes on where it
// stopped needs no index.
#define LOG_MARKS 8
struct log_mark {
    int64_t offset;  // -1: empty
    int64_t segment_base;
    uint64_t position;
};

// A segment that was rolled and is not synced yet, with the snapshot that belongs behind it.
struct log_finish {
    struct list link;
    struct segment *segment;  // pinned; NULL: only the snapshot
    int64_t end_offset;
    struct string_buffer snapshot;  // empty: none to write
};

struct log {
    struct env *env;
    struct slice directory;  // heap
    struct slice topic;      // heap
    char *name;              // "<topic>-<partition>", heap: for sentences
    int32_t partition;
    struct uuid topic_id;
    struct log_config config;
    struct log_listener *listener;
    bool is_metadata_log;
    bool is_created;         // the directory exists
    bool has_topic_id_file;  // partition.metadata is there
    bool has_failed;
    bool is_rolling_back;  // a write found the disk full; waiting for the others in flight
    bool failure_told;
    bool is_blocked;  // state files found the disk full; tried again after the next write
    enum err failure;

    struct segment *
        *segments;  // heap, by base offset; the last one is active; none before the first append
    int32_t segment_count;
    int32_t segment_capacity;

    int64_t start_offset;
    int64_t assigned;
    int64_t written;
    uint64_t written_position;  // in the segment of the written end
    int64_t synced;
    int64_t begun_epoch;     // by log_begin_epoch, not in the cache before its first batch; -1
    int64_t roll_jitter_ms;  // of the active segment
    int64_t total_size;      // of all segments

    struct epoch_cache epochs;
    struct producer_table producers;

    struct log_mark marks[LOG_MARKS];
    uint32_t next_mark;

    struct list in_flight;  // log_append_op in order of offsets
    uint32_t jobs;          // warm, lookup, unlink in flight
    struct producer_undo *free_undo;
    struct env_task moved_task;

    // Syncing; see log_sync.c.
    struct list finishing;  // log_finish, oldest first
    bool is_syncing;
    bool names_changed;   // files were created in the directory
    bool parent_changed;  // the directory itself was created
    int64_t sync_target;  // what the sync in flight makes durable
    int64_t sync_wanted;  // asked for up to here
    struct file_sync_op sync_op;
    struct segment *sync_segment;
    struct env_task sync_task;
    struct env_timer flush_timer;
    struct log_sync_job *sync_job;
    struct log_close_op *close_op;

    // Deleted segments whose files wait for file.delete.delay.ms.
    struct list deleted;  // log_deleted
    struct env_timer delete_timer;
};

struct log_deleted {
    struct list link;
    struct segment *segment;  // pinned until unlinked
    uint64_t due_ns;
};

static inline struct segment *log_active(const struct log *log) {
    return log->segment_count == 0 ? NULL : log->segments[log->segment_count - 1];
}

// ---- log.c ----

struct log *log_new(struct env *env, const struct log_options *options);
void log_add_segment(struct log *log, struct segment *segment);
// Index of the last segment with base offset <= `offset`; 0 when all are above; -1 when there is
// none.
int32_t log_segment_index(const struct log *log, int64_t offset);
// The end of segment i: the base of the next, or the assigned end.
int64_t log_segment_end(const struct log *log, int32_t i);
// For good. The listener hears of it at the end of the pass.
void log_fail(struct log *log, enum err err, const char *what);
// The listener hears of it at the end of the pass.
void log_note_moved(struct log *log);
void log_mark_put(struct log *log, int64_t offset, const struct segment *segment,
                  uint64_t position);
// True when it is known where the batch with base offset `offset` begins (or the written end).
bool log_mark_get(const struct log *log, int64_t offset, int64_t segment_base, uint64_t *position);
void log_marks_clear(struct log *log);
// "<directory>/<name>"
void log_path(const struct log *log, const char *name, struct string_buffer *out);
void log_snapshot_path(const struct log *log, int64_t offset, struct string_buffer *out);

// Where reading ends in segment i: the position of the written end, or its size when it lies
// behind.
uint64_t log_readable_size(const struct log *log, int32_t i);

// ---- log_append.c ----

// Creates the directory (with partition.metadata) and the first segment.
MUST_CHECK enum err log_create(struct log *log);
// A new active segment at the assigned end. The old one is finished and queued for syncing.
MUST_CHECK enum err log_roll_now(struct log *log);

// ---- log_sync.c ----

void log_sync_init(struct log *log);
// After written, finishing or close_op changed: starts what is due at the end of the pass.
void log_sync_poke(struct log *log);
// Queues a rolled segment (taking a reference) and, when the producers changed since, a snapshot at
// `end_offset`.
void log_queue_finish(struct log *log, struct segment *segment, int64_t end_offset);
void log_finish_free(struct log_finish *finish);
// Forgets what was queued with an end behind `offset`: the roll is taken back.
void log_cancel_finish(struct log *log, int64_t offset);
// Makes the names in the directory durable; with `is_new` partition.metadata and the directory's
// own name too. Blocking.
MUST_CHECK enum err log_sync_names(struct log *log, bool is_new);
// Writes leader-epoch-checkpoint. Blocking.
MUST_CHECK enum err log_write_epochs(struct log *log);

// ---- log_retention.c ----

// Takes segments [0, count) or [from, segment_count) out of the log; their files become *.deleted.
MUST_CHECK enum err log_remove_segments(struct log *log, int32_t from, int32_t count);
void log_deleted_clear(struct log *log);
void log_delete_timer_fire(struct env_timer *timer);

// ---- log_recover.c ----

// Reads what the index does not tell of the last segment: its end, its largest timestamp, the bytes
// since its last index entry. ERR_CORRUPT or ERR_TRUNCATED when its headers do not reach its end.
// Blocking.
MUST_CHECK enum err log_measure_segment(struct log *log, struct segment *segment,
                                        int64_t *end_offset);
// ---- log_rebuild.c ----

// Loads the newest usable snapshot at or below `end` and replays the batches from there. Blocking.
MUST_CHECK enum err log_rebuild_producers(struct log *log, int64_t end);
// Deletes producer snapshots above `offset`.
MUST_CHECK enum err log_drop_snapshots(struct log *log, int64_t offset);
// A producer that came from a snapshot knows its last batch only: reads its earlier ones back from
// the log, once. True when there were any. A few reads on the reactor.
bool log_recall_batches(struct log *log, struct producer *producer);

// ---- log_producers.c ----

// What a batch changes in the producer table, live and in replay. For a marker `bytes` is the whole
// batch. An aborted transaction is appended to `segment`'s transaction index (NULL: not).
// `completed` says whether a transaction ended.
MUST_CHECK enum err log_apply_producer(struct log *log, const struct batch *batch,
                                       struct slice bytes, struct segment *segment,
                                       bool *completed);
