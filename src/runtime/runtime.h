// The replicated state machine that the controller and all coordinators share (design §1, level 3).
// An operation reads the state and yields {records, response}; the records are replayed into the
// state at once (replay is the only thing that changes it), appended to the log, and the response
// is parked until they are durable. What is not yet durable is visible to later operations and is
// taken back when a write fails. The same replay builds the state from the log at start, so live
// state equals replayed state.
//
// A shard is one state machine over one log (the metadata log, or a partition of an internal
// topic). It belongs to one reactor; all calls come there, operations run there one after the
// other, and callbacks come there, never inside the call that caused them.
//
//   LOADING  --runtime_activate-->  ACTIVE  --runtime_deactivate, a failed replay-->  INACTIVE
//   --runtime_load--> LOADING
//
// Operations are refused with `machine->loading_error` or `machine->inactive_error` outside ACTIVE.
#pragma once

#include "base/arena.h"
#include "env/env.h"

struct runtime_shard;

// A producer's transaction (KIP-98), to which records of a coordinator's partition may belong:
// offsets committed inside one. They count when its commit marker comes, and never after an abort.
enum runtime_marker { RUNTIME_NO_MARKER, RUNTIME_COMMIT, RUNTIME_ABORT };
struct runtime_transaction {
    int64_t producer_id;
    int16_t producer_epoch;
    enum runtime_marker marker;  // the record is the marker itself: it has no key and no value
    int32_t coordinator_epoch;   // of a marker
    int16_t version;             // of a marker: transaction.version of who ended it
    bool needs_guard;            // of other records: see storage/log.h, log_append_op
    uint32_t guard;
};

// One record as the state machine sees it. The bytes are what goes to the log; who makes them is
// the state machine (metadata/record.h, a coordinator's own encoder).
struct runtime_record {
    struct slice key;     // null for metadata records
    struct slice value;   // null: a tombstone
    int32_t type;         // the state machine's own
    int16_t version;      // the state machine's own
    const void *decoded;  // the state machine's own view of key and value, so that replay of own
                          // records need not decode; may be NULL
    const struct runtime_transaction *transaction;  // NULL: of none. All records of an atomic
                                                    // result have the same one
};

// What an operation yields; filled by `execute`. All memory is from `arena`, which lives until
// `done` has returned.
struct runtime_result {
    struct arena *arena;
    int64_t next_offset;  // the offset that the first record will get
    struct runtime_record *records;
    int32_t count;
    int32_t capacity;
    // All records in one batch of the log, or none. When not set the shard may split them into
    // several batches (the controller inside a metadata transaction).
    bool atomic;
};
void runtime_result_add(struct runtime_result *result, struct runtime_record record);

struct runtime_operation {
    // Reads the state, adds records to `result`. Anything but ERR_NONE drops the records; the
    // operation completes with that error.
    enum err (*execute)(struct runtime_operation *operation, void *state,
                        struct runtime_result *result);
    // Exactly once: when its records are durable, or (none) when all earlier ones that it saw are
    // durable, or with an error. The operation may be freed here.
    void (*done)(struct runtime_operation *operation, enum err result);
    // Private.
    struct list link;
    struct arena arena;
    struct runtime_result result;
    int64_t offset;  // of the last record that it depends on
    enum err error;
};

// The state machine; all functions on the shard's reactor.
struct runtime_machine {
    void *state;
    enum err loading_error;   // ERR_COORDINATOR_LOAD_IN_PROGRESS, ERR_NOT_CONTROLLER
    enum err inactive_error;  // ERR_NOT_COORDINATOR, ERR_NOT_CONTROLLER
    // Applies one record: the only mutator. An error is a bug or a damaged log: the shard becomes
    // INACTIVE and `failed` is called.
    enum err (*replay)(void *state, const struct runtime_record *record, int64_t offset,
                       int32_t epoch);
    // Called before the records of an operation are replayed: the state as it is now is that of
    // every offset from the last applied one to `offset`. Keep it (or what it takes to get back to
    // it) for `rollback`.
    void (*mark)(void *state, int64_t offset);
    // Everything up to `offset` is durable: marks below it will not be asked for.
    void (*committed)(void *state, int64_t offset);
    // Take back everything beyond `offset`: to the first mark that is not below it. Later marks are
    // void.
    void (*rollback)(void *state, int64_t offset);
    void (*failed)(void *state, enum err error, struct slice sentence);
};

// Where records go: raft for the controller, a partition of an internal topic for coordinators.
struct runtime_log {
    // Appends one atomic batch and returns the offset of its last record, or an error and nothing
    // was appended. Durability is told by runtime_committed.
    enum err (*append)(struct runtime_log *log, const struct runtime_record *records, int32_t count,
                       int64_t *last_offset);
    // The offset that the next record will get.
    int64_t (*next_offset)(struct runtime_log *log);
    int32_t batch_records_max;  // where a result that is not atomic is split
};

// Returns owned, LOADING. Machine and log are borrowed until runtime_shard_free.
struct runtime_shard *runtime_shard_new(struct env *env, struct runtime_machine *machine,
                                        struct runtime_log *log);
// Operations that are not done yet are dropped, as in a crash: to have them answered, deactivate
// and let a pass go by.
void runtime_shard_free(struct runtime_shard *shard);

// ---- From the log's owner ----

// A record of the log, in order, while LOADING.
MUST_CHECK enum err runtime_replay(struct runtime_shard *shard, const struct runtime_record *record,
                                   int64_t offset, int32_t epoch);
// Everything was replayed, and is durable up to `offset`; operations run from now on, their records
// under this epoch. What was replayed beyond `offset` holds back answers until runtime_committed
// says that it is durable.
void runtime_activate(struct runtime_shard *shard, int64_t offset, int32_t epoch);
// Leadership is lost, or the end: takes back what is not durable, fails parked operations with
// `error`, stops the shard's timers.
void runtime_deactivate(struct runtime_shard *shard, enum err error);
// From INACTIVE to LOADING; the machine's state must have been made empty.
void runtime_load(struct runtime_shard *shard);
// Everything up to `offset` is durable.
void runtime_committed(struct runtime_shard *shard, int64_t offset);
// Records beyond `offset` were appended but could not be written and are gone: takes them back and
// fails the operations that saw them. The shard stays ACTIVE.
void runtime_lost(struct runtime_shard *shard, int64_t offset, enum err error);

// ---- Operations ----

// Executes at once when ACTIVE; `done` comes later.
void runtime_submit(struct runtime_shard *shard, struct runtime_operation *operation);

bool runtime_is_active(const struct runtime_shard *shard);
int64_t runtime_last_offset(const struct runtime_shard *shard);       // applied
int64_t runtime_committed_offset(const struct runtime_shard *shard);  // durable

// ---- Timers ----

// A timer that belongs to the shard: it fires only while the shard is ACTIVE and is stopped by
// runtime_deactivate. `fire` usually submits an operation.
struct runtime_timer {
    struct env_timer timer;
    struct runtime_shard *shard;
    struct list link;
    void (*fire)(struct runtime_timer *timer);
};
void runtime_timer_init(struct runtime_timer *timer, void (*fire)(struct runtime_timer *timer));
void runtime_timer_start(struct runtime_shard *shard, struct runtime_timer *timer,
                         uint64_t deadline_ns);
void runtime_timer_stop(struct runtime_timer *timer);
