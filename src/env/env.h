// The one door to the world (design §2). Time, randomness, files, sockets, background work and
// messages between reactors come through a `struct env`; nothing else in Taccola knows the
// operating system. There are two worlds: env_posix (epoll, real disk) and sim/ (simulated time,
// network and disk, one thread, seeded). Code above does not know in which it lives.
//
// One `struct env` is one reactor: one event loop with its timers, sockets and files. All functions
// here are called on that reactor's thread only, unless a line says "any thread". Callbacks come on
// the same thread, never inside the call that started the operation. Before the loops run
// (construction), everything may be called on the constructing thread.
//
// A loop pass: (1) events: messages, completions, timers, sockets; (2) the file writes submitted
// meanwhile, merged per file, and their `done` callbacks, repeated until none is left; (3) deferred
// tasks (env_defer), which send each connection's output once; back to (2) while there is work;
// then wait. Operations are structs embedded in their owner; the owner keeps them alive until
// `done`.
//
// Errors: local codes of gen/err.h: ERR_NOT_FOUND, ERR_EXISTS, ERR_ACCESS, ERR_NO_SPACE (also
// EDQUOT), ERR_IO (any other failure of the disk), ERR_ADDRESS_IN_USE, ERR_REFUSED, ERR_CLOSED,
// ERR_EOF, ERR_WOULD_BLOCK, ERR_LIMIT (descriptors).
#pragma once

#include "base/chain.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/message.h"
#include "base/slice.h"
#include "base/uuid.h"
#include "gen/err.h"

struct env;
struct file;
struct tcp;

// ---- The reactors of one node ----

// A node has R reactors, numbered from 0. Any thread.
uint32_t env_reactor_count(const struct env *env);
uint32_t env_reactor_index(const struct env *env);
struct env *env_reactor(struct env *env, uint32_t index);

// ---- Clocks, randomness, logging ----

// Monotonic nanoseconds, taken once per loop pass: cheap, and equal for all that happens in one
// pass.
uint64_t env_now_ns(struct env *env);
// Milliseconds since 1970 in UTC, of the same instant. May jump (NTP). Any thread.
int64_t env_wall_ms(struct env *env);
// The monotonic clock right now, for measuring work inside a pass. Any thread.
uint64_t env_clock_ns(struct env *env);
// Unpredictable bits, good for ids and secrets (in the simulation: of the seed). Any thread.
uint64_t env_random(struct env *env);
struct uuid env_random_uuid(struct env *env);
// Any thread.
struct logger *env_logger(struct env *env);
// The name under which other machines know this one (Kafka's default for advertised.listeners).
// NUL-terminated. Blocking, at start.
void env_host_name(struct env *env, char name[256]);
// What this process may use: the machine's memory or the cgroup's limit, whichever is smaller.
uint64_t env_memory_total(struct env *env);

// Deliberate faults of the simulation, to prove that its checkers catch them. Always false in the
// real world.
enum mutant {
    MUTANT_NONE,
    MUTANT_ACK_BEFORE_SYNC,   // produce in fsync mode answers at written
    MUTANT_SKIP_CRC,          // a batch's CRC is not checked on append
    MUTANT_FORGET_DUPLICATE,  // a retried batch is appended again
    MUTANT_SERVE_BEYOND_HIGH_WATERMARK,
    MUTANT_RECOVER_WITHOUT_TRUNCATE,   // a torn tail stays in the log
    MUTANT_ACK_BEFORE_APPEND,          // acks=1 answers before the write was done
    MUTANT_RAFT_REPLY_BEFORE_SYNC,     // the metadata log commits at written
    MUTANT_FORGET_PRODUCER_STATE,      // producer snapshots are ignored at start
    MUTANT_GROUP_ACCEPT_ANY_COMMIT,    // the generation of a commit is not checked
    MUTANT_GROUP_ACCEPT_STALE_MEMBER,  // a heartbeat of somebody who was removed is answered as
                                       // fine
    MUTANT_GROUP_REUSE_GENERATION,     // a rebalance does not begin a new generation
    MUTANT_GROUP_KEEP_ASSIGNMENT,      // a member keeps what it owned before
    MUTANT_GROUP_FORGET_COMMIT,        // a commit is answered, but not every one is written
    MUTANT_GROUP_EXPIRE_IN_USE,        // offsets expire while members read the topic
    MUTANT_GROUP_GIVE_BEFORE_REVOKED,  // KIP-848: a partition gets a new owner while the old one
                                       // still holds it
    MUTANT_DUPLICATE_ANSWERS_END,  // a batch that is stored already is answered with the log's end
    MUTANT_SKIP_SEQUENCE,          // sequences and epochs of batches are not checked
    MUTANT_TXN_END_ANY_EPOCH,      // EndTxn of an older epoch ends the transaction
    MUTANT_TXN_READ_UNDECIDED,     // read_committed is served up to the high watermark
    MUTANT_TXN_FORGET_ABORTED,     // Fetch does not name aborted transactions
    MUTANT_TXN_OFFSETS_AT_ONCE,    // offsets of a transaction count before its end
    MUTANT_TXN_NO_FENCE,           // InitProducerId leaves an open transaction and its epoch alone
    MUTANT_TXN_FORGET_PREPARED,    // decided ends are not finished after a restart
    MUTANT_TXN_FORGET_OFFSET_MARKER,  // markers for offsets are answered, not written
    MUTANT_TXN_WAIT_FOR_DELETED,      // a transaction waits for the marker of a deleted topic
    MUTANT_TXN_SKIP_VERIFICATION,  // a transaction's first batch is taken without the coordinator
    MUTANT_TXN_MARKER_ANY_EPOCH,   // markers of an older epoch, or coordinator, are written
    MUTANT_COUNT,
};
bool env_mutant(const struct env *env, enum mutant mutant);

// ---- Timers and deferred tasks ----

struct env_timer {
    struct heap_node node;
    void (*fire)(struct env_timer *timer);  // the timer is idle again when this is called
};

void env_timer_init(struct env_timer *timer, void (*fire)(struct env_timer *timer));
// (Re)starts: `fire` comes in the first pass at or after the deadline (env_now_ns time), but never
// in the pass that started it.
void env_timer_start(struct env *env, struct env_timer *timer, uint64_t deadline_ns);
void env_timer_stop(struct env *env, struct env_timer *timer);  // idle timers are fine
static inline bool env_timer_is_running(const struct env_timer *timer) {
    return heap_contains(&timer->node);
}

struct env_task {
    struct list link;
    void (*run)(struct env_task *task);
};

void env_task_init(struct env_task *task, void (*run)(struct env_task *task));
// Runs once in phase (3) of this pass; deferring a task that is waiting already does nothing.
void env_defer(struct env *env, struct env_task *task);
void env_defer_cancel(struct env *env, struct env_task *task);

// ---- Messages between reactors, work on other threads ----

struct env_message {
    struct env_message *next;
    void (*deliver)(
        struct env_message *message);  // on the target's thread; owns the message from then on
};

// Posts to another reactor (or to itself: then it is delivered in a later pass). Any reactor
// thread, and any foreign thread. Messages from one sender arrive in order.
void env_post(struct env *target, struct env_message *message);

struct env_job {
    struct env_job *next;
    struct env *env;                    // filled in by env_job_start
    void (*run)(struct env_job *job);   // on a worker thread: may block; touches only what the job
                                        // owns, and files
    void (*done)(struct env_job *job);  // on the reactor
};

void env_job_start(struct env *env, struct env_job *job);

// ---- Files ----

enum file_mode {
    FILE_READ,        // must exist
    FILE_WRITE,       // read and write; must exist
    FILE_CREATE,      // read and write; created when missing
    FILE_CREATE_NEW,  // read and write; ERR_EXISTS when it exists
};

// A file may be closed and reopened by its path behind the scenes (there are fewer descriptors than
// files); that is invisible here, also when env_rename moves a directory above it. But an open file
// must not be unlinked: close it first.
//
// A file belongs to one reactor: submitted writes and syncs start and complete there. The blocking
// calls may be made in any number of jobs at once, those that change the file by one at a time;
// tcp_send of any reactor may send ranges of it. A job may open a file that its reactor then uses.
MUST_CHECK enum err file_open(struct env *env, struct slice path, enum file_mode mode,
                              struct file **file);
// Waits for nothing: operations in flight must have completed. NULL is allowed.
void file_close(struct file *file);
// Renames the open file itself.
MUST_CHECK enum err file_rename(struct file *file, struct slice path);
struct slice file_path(const struct file *file);

// Blocking calls: on start-up, in jobs, and for small buffered I/O on the reactor.
MUST_CHECK enum err file_size(struct file *file, uint64_t *size);
// Reads up to `size` bytes; fewer only at the end of the file.
MUST_CHECK enum err file_read(struct file *file, uint64_t position, void *data, size_t size,
                              size_t *got);
// All bytes or an error; after an error the range's contents are undefined.
MUST_CHECK enum err file_write(struct file *file, uint64_t position, const void *data, size_t size);
MUST_CHECK enum err file_truncate(struct file *file, uint64_t size);
// Reserves blocks up to `size` without changing the file's size. ERR_NONE also where the file
// system cannot.
MUST_CHECK enum err file_allocate(struct file *file, uint64_t size);
// fdatasync. Jobs and start-up only. After a failure nothing of this file may be trusted, and every
// later sync of it fails too.
MUST_CHECK enum err file_sync(struct file *file);
// Forgets what the kernel holds of the file and knows to be written back, so that the next reads
// come from the disk. For recovery after a crash: a sync that failed in an earlier process leaves
// bytes in memory which the disk never got. Dirty bytes stay.
void file_drop_cache(struct file *file);
// True when a read of the range would not touch the disk (RWF_NOWAIT); a hint.
bool file_is_resident(struct file *file, uint64_t position, size_t size);

// Submitted during a pass, executed at its end; adjacent writes of one file go out in one system
// call. The bytes stay valid until `done`. Writes of one file complete in order of submission. When
// one fails, every later write already submitted to the same file fails with the same error; how
// much of it reached the file is undefined.
struct file_write_op {
    struct file_write_op *next;
    struct file *file;
    uint64_t position;
    const struct slice *parts;  // borrowed until done
    size_t part_count;
    void (*done)(struct file_write_op *op, enum err result);
};
void file_write_start(struct env *env, struct file_write_op *op);

// fdatasync on a worker: when it completes with ERR_NONE, everything written to the file before the
// start (its `done` came, or a blocking call returned) is durable. Any number may be in flight;
// those of one file are grouped: one sync runs, one group waits.
struct file_sync_op {
    struct file_sync_op *next;
    struct file *file;
    void (*done)(struct file_sync_op *op, enum err result);
};
void file_sync_start(struct env *env, struct file_sync_op *op);

// Directories; blocking, for cold paths and jobs: any thread. Paths are bytes without NUL;
// absolute, or relative to where the process started.
struct env_stat {
    bool is_directory;
    uint64_t size;
};
MUST_CHECK enum err env_stat(struct env *env, struct slice path, struct env_stat *stat);
MUST_CHECK enum err env_make_directory(struct env *env, struct slice path);  // ERR_EXISTS
// Also creates missing parents; an existing directory is fine.
MUST_CHECK enum err env_make_directories(struct env *env, struct slice path);
MUST_CHECK enum err env_rename(struct env *env, struct slice from, struct slice to);
MUST_CHECK enum err env_unlink(struct env *env, struct slice path);  // a file
// The directory and all in it; ERR_NONE when it does not exist.
MUST_CHECK enum err env_remove_tree(struct env *env, struct slice path);
// Makes created, renamed and unlinked names in it durable.
MUST_CHECK enum err env_sync_directory(struct env *env, struct slice path);
// Calls `entry` for each name except . and .., sorted by bytes; it may rename and unlink.
MUST_CHECK enum err env_list_directory(struct env *env, struct slice path,
                                       void (*entry)(void *context, struct slice name),
                                       void *context);
MUST_CHECK enum err env_disk_space(struct env *env, struct slice path, uint64_t *total,
                                   uint64_t *usable);
// An exclusive lock on a file (created when missing), held until the process ends or file_close;
// Kafka respects it and we respect Kafka's. ERR_ACCESS_LOCKED when another holds it.
MUST_CHECK enum err env_lock_file(struct env *env, struct slice path, struct file **lock);

// Helpers over the above (env/files.c, the same in both worlds).
// Whole file into the heap (returned owned; free with memory_free); ERR_LIMIT when larger than
// `max`.
MUST_CHECK enum err env_read_file(struct env *env, struct slice path, size_t max, uint8_t **data,
                                  size_t *size);
// Small state files: writes path + ".tmp", syncs it, renames it over `path`, syncs the directory.
MUST_CHECK enum err env_replace_file(struct env *env, struct slice path, struct slice contents);

// ---- TCP ----

struct tcp_address {
    char text[64];  // "127.0.0.1" or "::1", NUL-terminated
    uint16_t port;
};

struct tcp_listener {
    void (*accepted)(struct tcp_listener *listener,
                     struct tcp *tcp);  // takes tcp; set its handler at once
    struct tcp_address address;  // the bound address, with the real port when 0 was asked for
    void *implementation;
};

// Resolves `host` (empty: all addresses; a name: every address that it has) and binds. Blocking, at
// start only. ERR_UNKNOWN_HOST, ERR_ADDRESS_IN_USE, ERR_ADDRESS_NOT_AVAILABLE, ERR_ACCESS (a port
// below 1024), ERR_LIMIT; `error` gets the sentence.
MUST_CHECK enum err tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                               struct tcp_listener *listener, struct message *error);
void tcp_listener_close(struct env *env, struct tcp_listener *listener);

struct tcp_handler {
    // Outbound only: ERR_NONE, ERR_REFUSED, ERR_UNREACHABLE, ERR_UNKNOWN_HOST, ERR_TIMEOUT,
    // ERR_LIMIT.
    void (*connected)(struct tcp_handler *handler, enum err result);
    void (*readable)(struct tcp_handler *handler);  // level: comes again while bytes (or the end)
                                                    // wait and reading is on
    void (*writable)(struct tcp_handler *handler);  // once after a tcp_send that left something
};

// Connects in the background (name resolution on a worker). `connected` comes exactly once unless
// closed before; a failed tcp must still be closed.
struct tcp *tcp_connect(struct env *env, struct slice host, uint16_t port,
                        struct tcp_handler *handler);
void tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler);
// Hands an accepted connection to another reactor: call on the old reactor right after `accepted`,
// before set_handler; then use it in a message delivered on the new one.
void tcp_move(struct tcp *tcp, struct env *target);
// ERR_NONE and *got > 0; ERR_WOULD_BLOCK; ERR_EOF; ERR_CLOSED (reset).
MUST_CHECK enum err tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got);
// Sends what the socket takes and consumes it from the chain (at most a few MiB per call, so that
// nobody starves); `writable` follows when something is left. ERR_CLOSED: the peer is gone; ERR_IO:
// a file range could not be read. A file range that turns out shorter than promised gives
// ERR_CORRUPT: close the connection.
MUST_CHECK enum err tcp_send(struct tcp *tcp, struct chain *chain);
void tcp_set_reading(struct tcp *tcp, bool on);  // on at first
struct tcp_address tcp_peer(const struct tcp *tcp);
struct tcp_address tcp_local(const struct tcp *tcp);
// Closes and frees; unsent bytes in the kernel still go out. No callback comes afterwards.
void tcp_close(struct tcp *tcp);
