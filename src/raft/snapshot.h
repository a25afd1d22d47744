// Snapshots of the metadata log (KIP-630): files %020d-%010d.checkpoint (end offset, epoch of the
// last record) in __cluster_metadata-0, and with the same inside bootstrap.checkpoint. A file of
// record batches: a control batch that begins with SnapshotHeader (then, with a dynamic quorum,
// KRaftVersion and Voters), data batches of framed metadata records, a control batch with
// SnapshotFooter. Written as .part, synced, renamed: a .checkpoint is complete.
//
// All functions block; they are for start-up, tools and jobs, except snapshot_writer_append, which
// costs one buffered write per 256 KiB.
#pragma once

#include "base/string_buffer.h"
#include "env/env.h"
#include "raft/control.h"

#define METADATA_LOG_NAME         "__cluster_metadata-0"
#define BOOTSTRAP_CHECKPOINT_NAME "bootstrap.checkpoint"

struct snapshot_id {
    int64_t end_offset;  // of the first record that is not contained
    int32_t epoch;       // of the last one that is
};

// What kafka-storage format leaves: no state, only voters and bootstrap records.
#define SNAPSHOT_ID_BOOTSTRAP ((struct snapshot_id){0, 0})

int snapshot_id_compare(struct snapshot_id a, struct snapshot_id b);

// False when it is not the name of a finished snapshot.
bool snapshot_name_parse(struct slice name, struct snapshot_id *id);
// Appends "<directory>/<name><suffix>".
void snapshot_path(struct slice directory, struct snapshot_id id, const char *suffix,
                   struct string_buffer *path);

// The finished snapshots of a directory, oldest first, in the arena; deletes unfinished ones
// (.part, .deleted). A missing directory has none.
MUST_CHECK enum err snapshot_list(struct env *env, struct slice directory, struct arena *arena,
                                  struct snapshot_id **ids, int32_t *count);

// ---- Reading ----

// Walks the batches of a file in order. The caller gives each to record_reader;
// snapshot_reader_next checks CRC, order and bounds.
struct snapshot_reader {
    struct file *file;
    uint64_t position;
    uint64_t size;
    uint8_t *data;  // the current batch, heap
    size_t capacity;
    int64_t next_offset;
    bool footer_seen;
    // From the first batch, known after snapshot_reader_open.
    int64_t last_contained_log_timestamp_ms;
    int16_t kraft_version;      // 0 when the file says nothing
    struct raft_voters voters;  // count 0 when the file has none; in the arena given to open
};

// ERR_NOT_FOUND, ERR_CORRUPT (no header), ERR_UNSUPPORTED, ERR_IO.
MUST_CHECK enum err snapshot_reader_open(struct env *env, struct slice path, struct arena *arena,
                                         struct snapshot_reader *reader, struct message *error);
// The next data batch; valid until the next call. ERR_EOF behind the footer, which must be the last
// record of the file: a file without it is ERR_CORRUPT.
MUST_CHECK enum err snapshot_reader_next(struct snapshot_reader *reader, struct slice *batch,
                                         struct message *error);
void snapshot_reader_close(struct snapshot_reader *reader);

// Reads a whole file and checks all of it.
MUST_CHECK enum err snapshot_verify(struct env *env, struct slice path, struct message *error);

// ---- Writing ----

struct snapshot_writer {
    struct env *env;
    struct file *file;
    struct string_buffer path;  // the final name
    struct string_buffer part_path;
    struct string_buffer directory;
    struct batch_builder builder;
    uint64_t position;
    int64_t next_offset;
    int64_t now_ms;  // of the last append: commit may run in a job, which has no clock
    int32_t epoch;
    enum err error;  // sticky
};

// Creates path + ".part". `voters` may be NULL: no KRaftVersion and no Voters records.
MUST_CHECK enum err snapshot_writer_open(struct env *env, struct slice directory, struct slice name,
                                         int32_t epoch, int64_t last_contained_log_timestamp_ms,
                                         int16_t kraft_version, const struct raft_voters *voters,
                                         struct snapshot_writer *writer);
MUST_CHECK enum err snapshot_writer_append(struct snapshot_writer *writer, struct slice value);
// Footer, sync, rename, sync of the directory. Blocking; may run in a job.
MUST_CHECK enum err snapshot_writer_commit(struct snapshot_writer *writer);
// Frees; removes what was not committed.
void snapshot_writer_close(struct snapshot_writer *writer);
