// A log: one partition's records in a directory <topic>-<partition> of a log directory, in Kafka's
// formats byte for byte: segments (.log) with their offset, time and transaction indexes, producer
// snapshots, leader-epoch-checkpoint, partition.metadata.
//
// Three ends (design §4): assigned (offsets given to batches submitted to the file), written (in
// the page cache; kill -9 keeps it) and synced (fdatasync completed; a power cut keeps it).
// assigned >= written >= synced; written >= log start. Readers see up to the written end. With
// durability fsync every append schedules a sync, one in flight per log; with page-cache none is
// scheduled (flush.messages and flush.ms are honoured in both).
//
// One owner: a log belongs to one reactor, which alone calls these functions. log_open may run in a
// job (before the log is published). A failed write or sync fails the log for good: appends answer
// ERR_KAFKA_STORAGE_ERROR, reads too. A full disk does not: the append is rolled back to the
// written end and answers ERR_NO_SPACE.
#pragma once

#include "env/env.h"
#include "wire/batch.h"

struct log;
struct lookup;
struct producer_undo;
struct segment;
struct segment_view;

enum durability { DURABILITY_FSYNC, DURABILITY_PAGE_CACHE };

// What a log needs of its topic's configuration; plain values, changed by log_configure while
// running.
struct log_config {
    enum durability durability;
    int32_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int32_t segment_index_bytes;
    int32_t index_interval_bytes;
    int64_t retention_ms;     // -1: for ever
    int64_t retention_bytes;  // -1: no limit
    bool delete_policy;       // cleanup.policy contains delete
    bool compact_policy;      // cleanup.policy contains compact: records must have keys
    int32_t max_message_bytes;
    bool log_append_time;  // message.timestamp.type
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t file_delete_delay_ms;
    int64_t producer_id_expiration_ms;
    bool validate_records;  // taccola.record.validation=full
    bool preallocate;
    bool compression_is_producer;  // compression.type=producer: batches stay as they came
    enum compression
        compression;  // otherwise: recompress to this (COMPRESSION_NONE = uncompressed)
    int compression_level;
};

struct log_options {
    struct slice directory;  // of the partition: <log dir>/<topic>-<partition>
    struct slice topic;
    int32_t partition;
    struct uuid topic_id;  // written to partition.metadata when new
    struct log_config config;
    bool clean;                // the log directory was stopped cleanly: nothing to recover
    int64_t recovery_point;    // from recovery-point-offset-checkpoint; 0 when unknown
    int64_t log_start_offset;  // from log-start-offset-checkpoint; -1 when unknown
    bool is_metadata_log;  // __cluster_metadata: never deletes by retention; an empty directory is
                           // created at open
};

struct log_listener {
    // Some end moved (written or synced grew, or the log start moved). At most once per pass.
    void (*moved)(struct log_listener *listener);
    // The log failed (I/O error); no append or sync completes with success any more.
    void (*failed)(struct log_listener *listener, enum err error);
};

// Opens or creates; recovers only what may be torn: segments at or above the recovery point when
// not clean. Blocking. The directory is created at the first append, not here (an idle partition
// costs nothing), unless it exists. ERR_CORRUPT with a sentence when damage lies before the
// recoverable part.
MUST_CHECK enum err log_open(struct env *env, const struct log_options *options, struct log **log,
                             struct message *error);
void log_set_listener(struct log *log, struct log_listener *listener);
void log_configure(struct log *log, const struct log_config *config);
// Starts a flush of all that is needed for a clean stop (data synced, indexes trimmed, producer
// snapshot at the end); `done` when finished.
struct log_close_op {
    void (*done)(struct log_close_op *op, enum err result);
};
void log_close_start(struct log *log, struct log_close_op *op);
// Frees without flushing: after log_close_start's done, or to give up a failed log. No append,
// sync, warm or lookup may be in flight: see log_is_busy. Slices handed out keep their segments
// alive. Never from inside a callback of this log.
void log_free(struct log *log);
// True while an operation that this log started is in flight (its done will come); log_free waits
// for false.
bool log_is_busy(const struct log *log);

// Renames the directory to <topic>-<partition>.<uuid>-delete, frees the log, and deletes the
// directory after file.delete.delay.ms. Not while log_is_busy. The deletion links itself into
// `deletions`, the owner's list, and frees itself when done.
MUST_CHECK enum err log_delete(struct log *log, struct list *deletions);
// At stop: forgets the deletions that wait (the next start finds the -delete directories). False
// while one is running: ask again later.
bool log_deletions_cancel(struct list *deletions);

// ---- Offsets ----

int64_t log_start_offset(const struct log *log);
int64_t log_end_assigned(const struct log *log);
int64_t log_end_written(const struct log *log);
int64_t log_end_synced(const struct log *log);
// What acks=all, the ISR and the high watermark may count: synced in fsync mode, written in
// page-cache mode.
int64_t log_end_durable(const struct log *log);
// KIP-98's last stable offset: high_watermark, or the first offset of the oldest transaction that
// is open or whose marker is not below `high_watermark` yet. The high watermark never goes back.
int64_t log_last_stable_offset(struct log *log, int64_t high_watermark);
int64_t log_size_bytes(const struct log *log);
bool log_has_failed(const struct log *log);
// As found in partition.metadata or given at open.
struct uuid log_topic_id(const struct log *log);
int32_t log_segment_count(const struct log *log);

// ---- Append ----

enum append_origin {
    APPEND_CLIENT,       // validated in full; offsets are assigned
    APPEND_COORDINATOR,  // our own batches: offsets assigned, producer state kept, no size limit
    APPEND_RAFT,         // offsets are set and must continue the log; control batches allowed
    APPEND_REPLICA,      // as fetched from the leader: offsets are set
};

// KIP-467: what was wrong with which record.
struct append_record_error {
    int32_t index;
    struct slice text;
};

struct log_append_op {
    // In. `batch` is one batch; its bytes are changed in place (offset, epoch, with LogAppendTime
    // also timestamps and CRC) and must stay until done.
    uint8_t *batch;
    size_t size;
    int32_t leader_epoch;
    enum append_origin origin;
    struct arena *arena;  // for record errors; the request's
    // A transactional batch of a client, or of offsets: it must belong to an open transaction, or
    // show the guard that was there before the coordinator was asked (KIP-890).
    bool needs_guard;
    uint32_t guard;
    int16_t transaction_version;  // of a marker: see producer_check_marker
    // Out, valid when log_append_start gave ERR_NONE.
    int64_t base_offset;  // of a duplicate: the offset that it got the first time
    int64_t last_offset;
    int64_t log_append_time_ms;  // -1 with CreateTime; of a duplicate: its max timestamp
    bool is_duplicate;
    // Out, on ERR_INVALID_RECORD, ERR_INVALID_TIMESTAMP and the like.
    struct append_record_error *record_errors;
    int32_t record_error_count;
    struct slice error_text;
    // Called when the batch is written (or, for a duplicate, at the end of the pass), or failed.
    // Never inside log_append_start.
    void (*done)(struct log_append_op *op, enum err result);
    // Private to storage.
    struct list link;
    struct file_write_op write;
    struct slice part;
    struct log *log;
    struct segment *segment;
    struct producer_undo *undo;
    struct env_task task;
    int64_t producer_id;
    int64_t max_timestamp_before;  // of the segment, for taking the append back
    int64_t max_timestamp_offset_before;
    uint64_t bytes_since_index_before;
    bool is_complete;
    enum err result;
};

// Checks the batch (design §4: header, CRC, bounds, timestamps; records where the result depends on
// them), the producer's epoch and sequence, assigns offsets and submits the write. An error other
// than ERR_NONE means that nothing was appended and done does not come: CORRUPT_MESSAGE,
// INVALID_RECORD, MESSAGE_TOO_LARGE, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE,
// OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID,
// DUPLICATE_SEQUENCE_NUMBER, KAFKA_STORAGE_ERROR.
MUST_CHECK enum err log_append_start(struct log *log, struct log_append_op *op);

// ---- Read ----

// A run of whole batches in one segment. Holds a pin on the segment: release it with
// log_slice_release, or hand it over with chain_append_file(chain, s.file, s.position, s.size,
// s.pin).
struct log_slice {
    struct file *file;
    uint64_t position;
    size_t size;           // 0: nothing to read (file may be NULL)
    int64_t first_offset;  // base offset of the first batch
    int64_t next_offset;   // behind the last batch; first_offset when there is nothing
    struct pin *pin;
};

// Batches from the one that contains `offset` on (or the next one behind a gap), at most
// `max_bytes`, only offsets < upper_bound, cut at batch boundaries except that `at_least_one`
// returns the first batch whole whatever its size. OFFSET_OUT_OF_RANGE below the log start or
// beyond the written end; empty at the end. ERR_WOULD_BLOCK: the index or the bytes are not in
// memory: run log_warm and ask again.
MUST_CHECK enum err log_read(struct log *log, int64_t offset, size_t max_bytes, int64_t upper_bound,
                             bool at_least_one, struct log_slice *slice);
void log_slice_release(struct log_slice *slice);

// Brings what a read needs into the page cache, on a worker.
struct log_warm_op {
    struct log *log;
    int64_t offset;
    size_t max_bytes;
    void (*done)(struct log_warm_op *op, enum err result);
    struct env_job job;  // private from here on
    struct segment_view *view;
    uint64_t position;
    int64_t found_offset;
    enum err result;
};
void log_warm_start(struct log_warm_op *op);

// KIP-890: whether the producer has a transaction open here, in this epoch. If not, `guard` is what
// its first batch must show: void as soon as a marker of the producer came in between, so that a
// batch that is late cannot open a transaction that nobody will end.
bool log_transaction_is_open(const struct log *log, int64_t producer_id, int16_t producer_epoch,
                             uint32_t *guard);
// A client's batch that would open a transaction waits for the coordinator's answer: of a producer
// without a past here, none with a higher sequence may begin instead (TV2: none but 0).
void log_note_beginning(struct log *log, const struct batch *batch, bool from_zero);

// KIP-98: aborted transactions that overlap [from, to): sorted by first offset, in the arena.
// ERR_WOULD_BLOCK as in log_read.
struct aborted_transaction {
    int64_t producer_id;
    int64_t first_offset;
};
MUST_CHECK enum err log_aborted_transactions(struct log *log, int64_t from, int64_t to,
                                             struct arena *arena, struct aborted_transaction **list,
                                             int32_t *count);

// ---- Lookups ----

struct log_timestamp {
    int64_t timestamp;  // -1: none
    int64_t offset;     // -1: none
    int32_t leader_epoch;
};

// The first record with a timestamp >= `timestamp` (inside compressed batches too) below
// `upper_bound`; -1/-1 when none. The work is bounded by the index; it decompresses at most one
// batch and may read from disk, so it runs on a worker.
struct log_lookup_op {
    struct log *log;
    int64_t timestamp;  // or LOG_LOOKUP_MAX_TIMESTAMP
    int64_t upper_bound;
    struct log_timestamp found;
    void (*done)(struct log_lookup_op *op, enum err result);
    struct env_job job;  // private from here on
    struct lookup *lookup;
    enum err result;
};
#define LOG_LOOKUP_MAX_TIMESTAMP (-3)
void log_lookup_start(struct log_lookup_op *op);
// The same, blocking: in jobs, tools and tests.
MUST_CHECK enum err log_lookup(struct log *log, int64_t timestamp, int64_t upper_bound,
                               struct log_timestamp *found);

// KIP-101/279: of the largest epoch <= `epoch` its number and end offset; -1/-1 when there is none
// or epoch is unknown.
void log_epoch_end(const struct log *log, int32_t epoch, int32_t *found_epoch, int64_t *end_offset);
int32_t log_epoch_of(const struct log *log, int64_t offset);  // -1: unknown
int32_t log_last_epoch(const struct log *log);
// A new leader epoch begins at the log end (written to leader-epoch-checkpoint at the first append
// of it).
void log_begin_epoch(struct log *log, int32_t epoch);

// ---- Maintenance, called by the owner's timers ----

// DeleteRecords and retention: the log start moves to `offset`; whole segments below it are deleted
// later. ERR_OFFSET_OUT_OF_RANGE beyond the written end.
MUST_CHECK enum err log_advance_start(struct log *log, int64_t offset);
// Rolls an expired active segment, deletes what retention allows below `high_watermark`, closes
// files that were not used since the last call. Returns segments deleted. Every
// log.retention.check.interval.ms.
int log_apply_retention(struct log *log, int64_t wall_ms, int64_t high_watermark);
// Removes everything at and above `offset` (raft followers, replicas). Blocking, with syncs;
// ERR_BUSY while log_is_busy. The caller writes the recovery point's checkpoint before it appends
// again: one that stands behind the log's end would make a torn tail look like damage.
MUST_CHECK enum err log_truncate(struct log *log, int64_t offset);
// Starts over empty at `offset` (a snapshot was loaded, or the leader's log start passed us).
MUST_CHECK enum err log_reset(struct log *log, int64_t offset);
// Forces a sync now (also in page-cache mode): moves the recovery point when it completes.
void log_sync(struct log *log);
int64_t log_recovery_point(const struct log *log);
void log_roll(struct log *log);

// ---- Producers (idempotence) ----

struct producer_info {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t last_sequence;
    int64_t last_timestamp;
    int32_t coordinator_epoch;
    int64_t current_transaction_first_offset;  // -1: none
};
// DescribeProducers: in the arena.
void log_producers(const struct log *log, struct arena *arena, struct producer_info **list,
                   int32_t *count);
void log_expire_producers(struct log *log, int64_t wall_ms);
// Equal for equal producer states: the simulation compares live with recovered.
uint64_t log_producer_hash(const struct log *log);
