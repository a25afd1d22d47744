// What the files of raft/ share: the whole object behind raft.h. Private to the folder.
//
// raft.c: life, description, failure. raft_load.c: snapshot and log to the listener. raft_append.c:
// election, appends, high watermark, full disk. raft_snapshot.c: writing snapshots, deleting what
// they make superfluous.
#pragma once

#include "raft/quorum.h"
#include "raft/raft.h"
#include "raft/snapshot.h"
#include "storage/log.h"

#define RAFT_SLICE_NS      (1000 * 1000)  // work between two passes
#define RAFT_READ_BYTES    (1024 * 1024)
#define RAFT_KRAFT_DYNAMIC 1  // the kraft.version with voters in the log
#define RAFT_NO_OFFSET     (-1)

enum raft_phase {
    RAFT_OPEN,  // files are open, nothing was replayed
    RAFT_LOADING,
    RAFT_LEADING,
    RAFT_STOPPING,
    RAFT_STOPPED,
    RAFT_FAILED,
};

// A batch on its way to the file.
struct raft_append {
    struct list link;
    struct log_append_op op;
    struct batch_builder builder;
    struct raft *raft;
    int64_t base_offset;
};

struct raft_load {
    bool in_snapshot;
    struct snapshot_reader reader;
    int64_t offset;  // next to read of the log
    uint8_t *data;
    struct arena scratch;  // of one batch
    struct env_timer timer;
    struct log_warm_op warm;
    bool warming;
};

struct raft_snapshotting {
    struct raft_snapshot_op *op;  // NULL: none is being written
    struct snapshot_id id;
    struct snapshot_writer writer;
    bool writer_open;
    int64_t bytes_at_start;  // raft->log_bytes then
    struct env_timer timer;
    struct env_job job;
    enum err result;
};

struct raft {
    struct env *env;
    struct raft_options options;  // strings in `memory`
    struct arena memory;
    struct slice log_directory;
    struct raft_listener *listener;
    enum raft_phase phase;
    struct log *log;
    struct log_listener log_listener;
    uint32_t pending;   // jobs and operations in flight that point here
    bool free_pending;  // raft_free was called: freed when none is left
    struct env_timer free_timer;

    struct quorum quorum;
    int16_t kraft_version;
    struct raft_voters voters;  // in `memory`
    int64_t voters_offset;      // where they stand in the log; RAFT_NO_OFFSET: snapshot 0-0 or
                                // configuration

    struct slice *bootstrap;
    int32_t bootstrap_count;
    int32_t bootstrap_capacity;
    struct slice bootstrap_source;

    struct raft_load load;

    int64_t end_offset;         // of the next append
    int64_t epoch_records_end;  // behind the control batch that began this epoch
    int64_t high_watermark;     // RAFT_NO_OFFSET: unknown
    struct list appends;        // submitted to the log, in order
    struct list refused;        // the disk was full: wait for the retry
    struct env_task retry_task;
    struct env_timer reserve_timer;
    bool disk_full;

    struct snapshot_id snapshot;  // the newest; end_offset RAFT_NO_OFFSET: none
    int64_t log_bytes;            // batches read and appended since raft_open
    int64_t log_bytes_at_snapshot;
    bool snapshot_wanted;
    struct env_timer snapshot_timer;
    struct raft_snapshotting snapshotting;

    struct raft_stop_op *stop;
    struct log_close_op close;
};

// raft.c
void raft_fail(struct raft *raft, enum err error, const struct message *sentence);
// An operation that pointed to raft is over; true when raft_free was called meanwhile: touch
// nothing.
bool raft_release(struct raft *raft);
void raft_continue_stop(struct raft *raft);

// raft_load.c
void raft_load_init(struct raft *raft);
void raft_load_start(struct raft *raft);
void raft_load_deinit(struct raft *raft);
// Reads bootstrap.checkpoint and the 0-0 checkpoint. `snapshot_0_0` is there or not.
MUST_CHECK enum err raft_load_bootstrap(struct raft *raft, bool snapshot_0_0,
                                        struct message *error);

// raft_append.c
void raft_append_init(struct raft *raft);
void raft_append_deinit(struct raft *raft);
// Everything is replayed: become leader.
void raft_elect(struct raft *raft);

// raft_snapshot.c
void raft_snapshot_init(struct raft *raft);
void raft_snapshot_deinit(struct raft *raft);
// Records were committed: is it time for a snapshot?
void raft_snapshot_check(struct raft *raft);
// Deletes old snapshots and the log below the oldest one that stays.
void raft_clean(struct raft *raft);
