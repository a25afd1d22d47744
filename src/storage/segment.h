// A segment: a run of record batches in <base offset as 20 digits>.log with its three indexes. The
// last segment of a log is active: only it grows.
//
// .index holds {int32 last offset of a batch - base offset, int32 position of the batch}, one entry
// about every index.interval.bytes, never the first batch. .timeindex holds {int64 max timestamp so
// far, int32 offset of the batch that has it - base offset} for the same batches when the maximum
// grew, and a last entry when the segment is closed. .txnindex holds aborted transactions {int16 0,
// int64 producer id, first, last, last stable offset}; it exists only when there are any.
//
// References: the log holds one, every slice handed out and every job another. A segment removed
// from its log keeps its open files until the last reference goes. Reactor thread of the log only,
// except segment_scan and lookups on pinned segments in jobs.
#pragma once

#include "storage/index_file.h"
#include "wire/batch.h"

#define OFFSET_ENTRY_SIZE      8
#define TIME_ENTRY_SIZE        12
#define TRANSACTION_ENTRY_SIZE 34
#define TIMESTAMP_UNKNOWN      INT64_MIN  // not read from the files yet

struct segment {
    struct pin pin;  // what slices hold; release drops a reference
    uint32_t references;
    bool is_used;           // since the last segment_close_idle
    bool has_transactions;  // .txnindex exists
    struct env *env;
    struct slice directory;  // the log's; null once the log is gone
    int64_t base_offset;
    uint64_t size;      // bytes given to the file (for the active one: assigned)
    uint64_t hot_from;  // bytes from here on were written lately by this process: no need to probe
    int64_t max_timestamp;  // -1: none; TIMESTAMP_UNKNOWN
    int64_t max_timestamp_offset;
    int64_t first_timestamp;  // max timestamp of the first batch, from which segment.ms counts; -1:
                              // none; TIMESTAMP_UNKNOWN
    int64_t created_ms;
    uint64_t bytes_since_index;
    struct file *file;  // NULL while closed
    struct index_file offsets;
    struct index_file times;
    struct index_file transactions;
};

// Returns owned, one reference, nothing opened. `directory` is borrowed while the log lives.
struct segment *segment_new(struct env *env, struct slice directory, int64_t base_offset);
void segment_ref(struct segment *segment);
void segment_unref(struct segment *segment);

// ---- Files ----

enum segment_file {
    SEGMENT_LOG,
    SEGMENT_OFFSETS,
    SEGMENT_TIMES,
    SEGMENT_TRANSACTIONS,
    SEGMENT_FILE_COUNT
};
const char *segment_file_suffix(enum segment_file file);  // ".log", ".index", …
// "<directory>/<base offset><suffix>" in `out`.
void segment_path(struct slice directory, int64_t base_offset, const char *suffix,
                  struct string_buffer *out);
// False unless the name is 20 digits and a suffix (which is returned with its dot).
bool segment_name_parse(struct slice name, int64_t *base_offset, struct slice *suffix);

// Opens the .log and both sparse indexes (reading and writing; created when `create`).
// ERR_NOT_FOUND.
MUST_CHECK enum err segment_open_files(struct segment *segment, bool create);
MUST_CHECK enum err segment_open_log(struct segment *segment);
MUST_CHECK enum err segment_open_transactions(struct segment *segment, bool create);
// Closes files that were not used since the last call and are not needed for appending.
void segment_close_idle(struct segment *segment, bool is_active);
// Renames all files to *.deleted. The paths change; open files follow.
MUST_CHECK enum err segment_mark_deleted(struct segment *segment);
// Unlinks the *.deleted files of a base offset.
MUST_CHECK enum err segment_unlink_deleted(struct env *env, struct slice directory,
                                           int64_t base_offset);

// ---- Growing ----

// Indexes a batch that goes to `position` (the size before it). Call in order. Index errors other
// than a full disk are returned.
MUST_CHECK enum err segment_note_batch(struct segment *segment, const struct batch *batch,
                                       uint64_t position, int32_t index_interval_bytes);
// Room for one more entry in both indexes of at most `index_bytes_max`.
bool segment_index_has_room(const struct segment *segment, int32_t index_bytes_max);
// The last time index entry, and both tails to the files: for a segment that is closed or no longer
// active.
MUST_CHECK enum err segment_finish(struct segment *segment);
// Data and indexes to the disk. Blocking; jobs.
MUST_CHECK enum err segment_sync(struct segment *segment);
// Cuts the file to `size` and the indexes to entries below `offset`.
MUST_CHECK enum err segment_truncate(struct segment *segment, int64_t offset, uint64_t size);
// Empties all indexes: recovery builds them again with segment_note_batch.
MUST_CHECK enum err segment_reset_indexes(struct segment *segment);
// Loads max_timestamp from the time index when unknown. Blocking.
MUST_CHECK enum err segment_load_max_timestamp(struct segment *segment);

// ---- Finding ----

// The position of the last indexed batch whose last offset is <= `offset` (0 when none): a scan for
// `offset` begins there.
MUST_CHECK enum err segment_lookup_offset(struct segment *segment, int64_t offset,
                                          enum read_mode mode, uint32_t *position);
// The largest indexed position <= `position` (0 when none).
MUST_CHECK enum err segment_lookup_position(struct segment *segment, uint64_t position,
                                            enum read_mode mode, uint32_t *found);
// The time index entry with the largest timestamp <= `timestamp`: its offset (base offset when
// none).
MUST_CHECK enum err segment_lookup_time(struct segment *segment, int64_t timestamp,
                                        enum read_mode mode, int64_t *offset);
// The last entry; ERR_NOT_FOUND when the index is empty.
MUST_CHECK enum err segment_last_time(struct segment *segment, enum read_mode mode,
                                      int64_t *timestamp, int64_t *offset);

// The first batch whose last offset is >= `offset`, below position `end`: index, then scan; an
// index that lies costs a longer scan. When there is none, `position` and `base_offset` tell the
// end and `at_batch` is false. The .log must be open.
MUST_CHECK enum err segment_find(struct segment *segment, int64_t offset, uint64_t end,
                                 enum read_mode mode, uint64_t *position, int64_t *base_offset,
                                 bool *at_batch);

struct aborted_entry {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;         // of the marker
    int64_t last_stable_offset;  // when the marker was written
};
MUST_CHECK enum err segment_append_aborted(struct segment *segment,
                                           const struct aborted_entry *entry);
// ERR_CORRUPT when an entry's version is not 0.
MUST_CHECK enum err segment_read_aborted(struct segment *segment, uint32_t i, enum read_mode mode,
                                         struct aborted_entry *entry);
void aborted_entry_encode(const struct aborted_entry *entry, uint8_t out[TRANSACTION_ENTRY_SIZE]);
MUST_CHECK enum err aborted_entry_decode(const uint8_t in[TRANSACTION_ENTRY_SIZE],
                                         struct aborted_entry *entry);

// ---- Views, for jobs ----

// A copy of a segment as it is now, with everything in its files: a job reads it while the reactor
// goes on. Holds a reference.
struct segment_view {
    struct segment
        segment;  // a copy: for segment_lookup_*, segment_last_time and segment_scan_init only
    struct segment *origin;
};
// Returns owned. Opens the files and flushes the tails. `size`: where reading ends.
MUST_CHECK enum err segment_view_new(struct segment *segment, uint64_t size,
                                     struct segment_view **view);
// On the reactor; NULL is allowed.
void segment_view_free(struct segment_view *view);

// ---- Scanning ----

// True when the bytes from `position` on were written lately by this process, so that they are
// surely in the page cache.
bool segment_is_hot(const struct segment *segment, uint64_t position);

// Walks batch headers of a .log file from a position to an end, with one read of a few KiB for many
// small batches.
#define SCAN_CHUNK 8192
struct segment_scan {
    struct file *file;
    uint64_t position;  // of the next batch
    uint64_t end;
    enum read_mode mode;
    bool is_hot;  // no residency probe
    uint64_t chunk_position;
    size_t chunk_size;
    uint8_t chunk[SCAN_CHUNK];
};
void segment_scan_init(struct segment_scan *scan, struct segment *segment, uint64_t position,
                       uint64_t end, enum read_mode mode);
void segment_scan_init_file(struct segment_scan *scan, struct file *file, uint64_t position,
                            uint64_t end);
// The next header and its position; ERR_EOF at the end. ERR_CORRUPT: no valid header there, or the
// batch reaches beyond the end (ERR_TRUNCATED).
MUST_CHECK enum err segment_scan_next(struct segment_scan *scan, struct batch *batch,
                                      uint64_t *position);
