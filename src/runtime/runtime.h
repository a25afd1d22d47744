// The replicated state machine that the controller and all coordinators share (design §1, level 3). An operation reads the state and
// yields {records, response}; the records are replayed into the state at once (replay is the only thing that changes it), appended to the log, and the response is
// parked until they are durable. What is not yet durable is visible to later operations and is taken back when a write fails. The same replay
// builds the state from the log at start, so live state equals replayed state.
//
// A shard belongs to one reactor; operations run there, one after the other.
#pragma once

#include "base/arena.h"
#include "base/chain.h"
#include "env/env.h"

struct runtime_shard;

// One record as the state machine sees it: for the controller a metadata record, for coordinators a key and value pair. The bytes are what goes to the log.
struct runtime_record {
    struct slice key;    // null for metadata records
    struct slice value;  // null: tombstone
    const void *decoded; // the state machine's own view, may be NULL
    int32_t type;        // the state machine's own
};

// What an operation yields; filled by `execute`. All memory is from `arena`.
struct runtime_result {
    struct arena *arena;
    struct runtime_record *records;
    int32_t count;
    int32_t capacity;
    bool atomic;     // all records in one batch (always for coordinators; the controller may split)
    void *response;  // the operation's own
};
void runtime_result_add(struct runtime_result *result, struct runtime_record record);

struct runtime_operation {
    struct list link;
    // Pure on the state: reads it, fills `result`. An error other than ERR_NONE writes nothing and completes at once (still after the pass).
    enum err (*execute)(struct runtime_operation *operation, void *state, struct runtime_result *result);
    // When the records are durable (or there were none and all earlier ones that it saw are durable), or with the error. Exactly once.
    void (*done)(struct runtime_operation *operation, enum err result);
    // Private.
    struct arena arena;
    struct runtime_result result;
    int64_t offset;  // of the last record that it depends on
    enum err error;
};

// The state machine.
struct runtime_machine {
    void *state;
    // Applies a record at an offset. The only mutator. Must not fail on our own records; an error fails the shard.
    enum err (*replay)(void *state, const struct runtime_record *record, int64_t offset, int32_t epoch);
    // Records up to `offset` are durable: older rollback points may go.
    void (*committed)(void *state, int64_t offset);
    // Take back everything beyond `offset` (a write failed).
    void (*rollback)(void *state, int64_t offset);
};

// Where records go: the controller's is raft, the coordinators' a partition of an internal topic.
struct runtime_log {
    // Appends one atomic batch; returns the offset of its last record, or an error and nothing was appended.
    enum err (*append)(struct runtime_log *log, const struct runtime_record *records, int32_t count, int64_t *last_offset);
};

struct runtime_shard *runtime_shard_new(struct env *env, struct runtime_machine *machine, struct runtime_log *log);
void runtime_shard_free(struct runtime_shard *shard);  // fails parked operations with ERR_NOT_COORDINATOR
void runtime_submit(struct runtime_shard *shard, struct runtime_operation *operation);
// From the log's owner: everything up to `offset` is durable.
void runtime_committed(struct runtime_shard *shard, int64_t offset);
// From the log's owner: what was not durable is lost; parked operations fail with `error`.
void runtime_failed(struct runtime_shard *shard, enum err error);
int64_t runtime_last_offset(const struct runtime_shard *shard);
