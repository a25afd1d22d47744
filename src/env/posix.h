// Private to env/posix_*.c: the structs of the real world.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "env/env_posix.h"
#include "env/world.h"

struct posix_reactor;

// Something that epoll watches.
struct posix_watch {
    void (*ready)(struct posix_watch *watch, uint32_t events);
};

// Something that was closed inside a pass, whose event may still be in the hands of the loop: freed
// at the end of the pass.
struct posix_closed {
    struct list link;
    void *memory;
};

// Threads that run jobs which may block. They are started when there are more jobs than idle
// threads, and stay.
struct posix_workers {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct env_job *first;
    struct env_job *last;
    uint32_t queued;
    uint32_t idle;
    uint32_t count;
    uint32_t max;
    bool stopping;
    pthread_t *threads;
};

// Open descriptors of files; see posix_descriptors.c.
struct posix_descriptors {
    pthread_mutex_t lock;
    struct list files;  // posix_file.all: every open file, with or without a descriptor
    struct list open;   // posix_file.open: those with a descriptor; the clock hand goes round here
    atomic_uint open_count;
    uint32_t open_max;
};

struct posix_file {
    struct file file;
    struct env_posix *process;
    _Atomic(char *) path;          // changes when it or a directory above it is renamed
    struct posix_path *old_paths;  // slices of them may still be about
    int flags;                     // of open(2), for opening again
    bool pinned;                   // keeps its descriptor: locks would be lost
    // -1: no descriptor. Otherwise the number of calls that use `descriptor` just now. From -1 only
    // under the lock, to -1 only from 0 and under the lock.
    atomic_int users;
    int descriptor;
    atomic_bool recently_used;
    struct list all;
    struct list open;
};

struct posix_reactor {
    struct env env;
    struct env_posix *process;
    int epoll;
    int wake;  // eventfd
    struct posix_watch wake_watch;
    _Atomic(struct env_message *) inbox;  // newest first
    _Atomic(struct env_job *) finished;   // newest first
    atomic_bool sleeping;                 // in epoll_wait, or about to be
    uint64_t spin_until_ns;
    uint64_t spin_pause_ns;  // no spinning before this
    struct list closed;      // posix_closed.link
    uint8_t *scratch;        // POSIX_SCRATCH bytes, for small file ranges on their way to a socket
    pthread_mutex_t entropy_lock;  // jobs draw from it, too
    uint64_t entropy[32];
    uint32_t entropy_left;
    pthread_t thread;
    bool thread_started;
};

#define POSIX_SCRATCH ((size_t)64 << 10)

struct env_posix {
    struct posix_reactor *reactors;
    uint32_t reactor_count;
    uint64_t spin_ns;
    struct posix_workers workers;
    struct posix_descriptors descriptors;
    uint32_t descriptor_limit;  // of the process, sockets and all
    struct logger own_logger;
    struct logger *logger;
    int signals;  // signalfd, -1 when not watched
    struct posix_watch signal_watch;
    void (*signalled)(void *context, int signal);
    void *context;
    atomic_bool stopping;
};

static inline struct posix_reactor *reactor_of(struct env *env) {
    return container_of(env, struct posix_reactor, env);
}

extern const struct world posix_world;

enum err posix_error(int number);

// posix_clock.c
uint64_t posix_clock_ns(struct env *env);
int64_t posix_wall_ms(struct env *env);
uint64_t posix_random(struct env *env);
void posix_host_name(struct env *env, char name[256]);
uint64_t posix_memory_total(struct env *env);
uint64_t posix_monotonic_ns(void);

// posix_log.c
void posix_log_write(struct logger *logger, enum log_level level, const char *area,
                     const char *text);

// posix_loop.c
void posix_watch_add(struct posix_reactor *reactor, int descriptor, uint32_t events,
                     struct posix_watch *watch);
void posix_watch_change(struct posix_reactor *reactor, int descriptor, uint32_t events,
                        struct posix_watch *watch);
void posix_watch_remove(struct posix_reactor *reactor, int descriptor);
void posix_free_later(struct posix_reactor *reactor, struct posix_closed *closed, void *memory);
void posix_job_finished(struct env_job *job);  // from a worker

// Whether a socket that got this number leaves enough descriptors for files.
bool posix_socket_allowed(struct env_posix *posix, int descriptor);

// posix_worker.c
void posix_workers_init(struct posix_workers *workers, uint32_t max);
void posix_workers_deinit(struct posix_workers *workers);
void posix_job_start(struct env *env, struct env_job *job);

// posix_descriptors.c
void posix_descriptors_init(struct posix_descriptors *descriptors, uint32_t max);
void posix_descriptors_deinit(struct posix_descriptors *descriptors);
void posix_file_register(struct posix_file *file, int descriptor);
void posix_file_unregister(struct posix_file *file);  // closes the descriptor
// The descriptor, opened when needed; each success needs one release.
MUST_CHECK enum err posix_file_acquire(struct posix_file *file, int *descriptor);
void posix_file_release(struct posix_file *file);
// rename(2); the paths of open files there follow.
MUST_CHECK enum err posix_rename_tracked(struct posix_descriptors *descriptors, const char *from,
                                         const char *to);

// posix_file.c
enum err posix_file_open(struct env *env, struct slice path, enum file_mode mode,
                         struct file **file);
enum err posix_file_lock(struct env *env, struct slice path, struct file **file);
void posix_file_close(struct file *file);
enum err posix_file_rename(struct file *file, struct slice path);
struct slice posix_file_path(const struct file *file);
enum err posix_file_size(struct file *file, uint64_t *size);
enum err posix_file_read(struct file *file, uint64_t position, void *data, size_t size,
                         size_t *got);
enum err posix_file_write(struct file *file, uint64_t position, const struct slice *parts,
                          size_t part_count);
enum err posix_file_truncate(struct file *file, uint64_t size);
enum err posix_file_allocate(struct file *file, uint64_t size);
enum err posix_file_sync(struct file *file);
void posix_file_drop_cache(struct file *file);
bool posix_file_is_resident(struct file *file, uint64_t position, size_t size);

// posix_directory.c
// NUL-terminated, returned owned; NULL when the path holds a NUL.
char *posix_path(struct slice path);
enum err posix_stat(struct env *env, struct slice path, struct env_stat *stat);
enum err posix_make_directory(struct env *env, struct slice path);
enum err posix_remove_directory(struct env *env, struct slice path);
enum err posix_rename(struct env *env, struct slice from, struct slice to);
enum err posix_unlink(struct env *env, struct slice path);
enum err posix_sync_directory(struct env *env, struct slice path);
enum err posix_list_directory(struct env *env, struct slice path,
                              void (*entry)(void *context, struct slice name), void *context);
enum err posix_disk_space(struct env *env, struct slice path, uint64_t *total, uint64_t *usable);

// posix_resolve.c
struct posix_address {
    uint8_t bytes[28];  // sockaddr_in or sockaddr_in6
    uint32_t size;
};
#define POSIX_ADDRESSES_MAX 16
// All addresses of `host`; empty: the wildcard. A literal address never blocks; `literal_only`
// gives ERR_WOULD_BLOCK for the others.
MUST_CHECK enum err posix_resolve(struct slice host, uint16_t port, bool literal_only,
                                  struct posix_address addresses[POSIX_ADDRESSES_MAX],
                                  uint32_t *count);
void posix_address_text(const struct posix_address *from, struct tcp_address *to);
void posix_address_set_port(struct posix_address *address, uint16_t port);

// posix_listener.c
enum err posix_tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                          struct tcp_listener *listener, struct message *error);
void posix_tcp_listener_close(struct env *env, struct tcp_listener *listener);

// posix_tcp.c
struct tcp *posix_tcp_accepted(struct posix_reactor *reactor, int descriptor);
struct tcp *posix_tcp_connect(struct env *env, struct slice host, uint16_t port,
                              struct tcp_handler *handler);
void posix_tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler);
void posix_tcp_move(struct tcp *tcp, struct env *target);
enum err posix_tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got);
enum err posix_tcp_send(struct tcp *tcp, struct chain *chain);
void posix_tcp_set_reading(struct tcp *tcp, bool on);
struct tcp_address posix_tcp_peer(const struct tcp *tcp);
struct tcp_address posix_tcp_local(const struct tcp *tcp);
void posix_tcp_close(struct tcp *tcp);
