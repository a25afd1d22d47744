// The metadata log of this node and its place in the quorum that keeps it (KIP-595, 630, 853):
// __cluster_metadata-0 with its snapshots, quorum-state, epochs and votes.
//
// Today the quorum has one voter, this node: it elects itself at once, and a record is committed
// when it is synced here. The place of a node is a state machine (quorum.h) with all of Kafka's
// states, so that the pull-based protocol of several voters has its place.
//
// Life: raft_open (blocking: files, recovery), raft_start (in slices: snapshot and log go to the
// listener, then the election: listener->leader), raft_append and raft_snapshot_start while it
// leads, raft_stop_start, raft_free.
//
// One owner: the reactor given to raft_open, which alone calls these functions; callbacks come
// there, never inside the call that caused them (except listener->record, and as said below). Raft
// knows nothing of what metadata records mean: a record is the bytes of its value, Kafka's frame
// {uvarint frame version, type, version, message}.
#pragma once

#include "env/env.h"
#include "raft/voters.h"
#include "storage/log_directory.h"

struct raft;

#define RAFT_BATCH_BYTES_MAX (8 * 1024 * 1024)  // Kafka's MAX_BATCH_SIZE_BYTES

struct raft_options {
    // metadata.log.dir, open and formatted: its meta.properties has this node's id and directory
    // id, its reserve keeps the log writable on a full disk. Borrowed for life.
    struct log_directory *directory;
    struct raft_voters static_voters;       // controller.quorum.voters; none with a dynamic quorum
    const struct raft_endpoint *endpoints;  // of this node's controller listeners, as advertised
    int32_t endpoint_count;
    int64_t snapshot_bytes;   // metadata.log.max.record.bytes.between.snapshots
    int64_t snapshot_ms;      // metadata.log.max.snapshot.interval.ms; 0: never by time
    int32_t segment_bytes;    // metadata.log.segment.bytes
    int64_t segment_ms;       // metadata.log.segment.ms
    int64_t retention_bytes;  // metadata.max.retention.bytes; -1: no limit
    int64_t retention_ms;     // metadata.max.retention.ms; -1: for ever
};

// One metadata record on its way to the listener.
struct raft_record {
    struct slice value;  // the framed record; valid during the call
    int64_t offset;      // in a snapshot: the last offset that the snapshot contains
    int32_t epoch;
    int64_t timestamp_ms;  // when it was appended
};

struct raft_listener {
    // A snapshot begins: all earlier state is void. `last_offset` is -1 for the empty state.
    void (*reset)(struct raft_listener *listener, int64_t last_offset, int32_t epoch);
    // The next record of snapshot or log, in order, during raft_start. Own appends are not
    // replayed: who appends has them. An error stops the node (listener->failed with the sentence).
    enum err (*record)(struct raft_listener *listener, const struct raft_record *record,
                       struct message *error);
    // The snapshot is complete.
    void (*snapshot_loaded)(struct raft_listener *listener);
    // This node leads `epoch`; everything in the log was replayed. raft_append is open.
    // `end_offset` is the offset of the next record.
    void (*leader)(struct raft_listener *listener, int32_t epoch, int64_t end_offset);
    // Records below `high_watermark` are committed: synced, and never taken back.
    void (*committed)(struct raft_listener *listener, int64_t high_watermark);
    // Appended records at and above `end_offset` were not written (the disk is full) and are gone;
    // the next append continues there.
    void (*lost)(struct raft_listener *listener, int64_t end_offset, enum err error);
    // Enough was appended, or enough time passed, since the last snapshot: call raft_snapshot_start
    // when convenient.
    void (*snapshot_wanted)(struct raft_listener *listener);
    // The log failed (I/O error, or a record that cannot be replayed); the node must stop. Nothing
    // is committed any more.
    void (*failed)(struct raft_listener *listener, enum err error, struct slice sentence);
};

// Opens the directory and everything in it; recovers the log's torn tail. Blocking, at start only.
// The directory must be formatted (raft/format.h). Errors with a sentence: ERR_NOT_FOUND (not
// formatted), ERR_CORRUPT, ERR_INVALID (another node's or cluster's directory, this node is no
// voter, a quorum of several voters), ERR_IO.
MUST_CHECK enum err raft_open(struct env *env, const struct raft_options *options,
                              struct raft **raft, struct message *error);

// Replays, then elects. Progress comes through the listener, which stays borrowed until raft_free.
void raft_start(struct raft *raft, struct raft_listener *listener);

// Appends metadata records as one atomic batch and returns the offset of the last one. The bytes
// are copied. They are committed when listener->committed passes that offset; several appends share
// a sync. ERR_NOT_CONTROLLER: not the leader (or failed, or stopping); ERR_LIMIT: more than
// RAFT_BATCH_BYTES_MAX; ERR_NO_SPACE: the disk is full and the reserve is used up.
MUST_CHECK enum err raft_append(struct raft *raft, const struct slice *values, int32_t count,
                                int64_t *last_offset);

// The offset that the next appended record will get.
int64_t raft_end_offset(const struct raft *raft);
int64_t raft_high_watermark(const struct raft *raft);  // -1: not known yet
int32_t raft_epoch(const struct raft *raft);
int16_t raft_kraft_version(const struct raft *raft);  // known when this node leads
bool raft_is_leader(const struct raft *raft);
// The disk of the metadata log is full, appends live on the reserve: what makes metadata grow
// should be refused.
bool raft_disk_is_full(const struct raft *raft);

// What kafka-storage left for the first leader: framed records of bootstrap.checkpoint, or of the
// 0-0 checkpoint as 4.4 writes it. `values` and their bytes live as long as raft. count is 0 when
// there are none.
void raft_bootstrap_records(const struct raft *raft, const struct slice **values, int32_t *count);
// Where they come from, for Kafka's log line: "the binary bootstrap metadata file: …".
struct slice raft_bootstrap_source(const struct raft *raft);

// ---- Snapshots ----

// Writes the snapshot of all records below `end_offset`, which must be a committed batch boundary
// above the last snapshot's. The records are asked for in slices of about 1 ms between passes.
// Other appends go on meanwhile.
struct raft_snapshot_op {
    // In.
    int64_t end_offset;
    // The next record as framed bytes, valid until the next call; false at the end. Called on the
    // owner.
    bool (*next)(struct raft_snapshot_op *op, struct slice *value);
    void (*done)(struct raft_snapshot_op *op, enum err result);
    struct raft *raft;  // private
};

// At most one at a time: ERR_BUSY. ERR_EXISTS: there is one of this end offset already.
// ERR_INVALID: not committed. `done` comes only after ERR_NONE.
MUST_CHECK enum err raft_snapshot_start(struct raft *raft, struct raft_snapshot_op *op);
// End offset of the newest snapshot; -1: none.
int64_t raft_snapshot_end_offset(const struct raft *raft);

// ---- Facts for DescribeQuorum ----

struct raft_replica {
    int32_t id;
    struct uuid directory_id;
    int64_t log_end_offset;
    int64_t last_fetch_timestamp_ms;      // -1: the leader itself, or unknown
    int64_t last_caught_up_timestamp_ms;  // of the leader: now
};

struct raft_description {
    int32_t leader_id;  // -1: none
    int32_t leader_epoch;
    int64_t high_watermark;
    int16_t kraft_version;
    const struct raft_replica *voters;
    int32_t voter_count;
    const struct raft_replica *observers;
    int32_t observer_count;
    struct raft_voters nodes;  // the voters with their endpoints
};
// In the arena.
void raft_describe(const struct raft *raft, struct arena *arena,
                   struct raft_description *description);

// ---- Stop ----

// Refuses further appends, waits for what is in flight and for a running snapshot, closes the log.
// Take a snapshot first if one is wanted.
struct raft_stop_op {
    void (*done)(struct raft_stop_op *op, enum err result);
};
void raft_stop_start(struct raft *raft, struct raft_stop_op *op);
void raft_free(struct raft *raft);  // after stop's done, or to give up
