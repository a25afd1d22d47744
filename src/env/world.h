// What a world implements, and what both worlds share: the inside of struct env, struct file and
// struct tcp. Included by env/*.c and by sim/ only; everybody else sees env.h.
//
// The order of a pass, the timers, the merging of writes and the grouping of syncs are the same
// code in both worlds (env.c, file.c), so the simulation runs what production runs; a world adds
// events, clocks, disk and network.
#pragma once

#include "env/env.h"

// The functions of a world. File and directory functions block and may run on worker threads.
struct world {
    uint64_t (*clock_ns)(struct env *env);
    int64_t (*wall_ms)(struct env *env);
    uint64_t (*random)(struct env *env);
    void (*host_name)(struct env *env, char name[256]);
    uint64_t (*memory_total)(struct env *env);
    struct env *(*reactor)(struct env *env, uint32_t index);

    void (*post)(struct env *target, struct env_message *message);
    void (*job_start)(struct env *env, struct env_job *job);

    enum err (*file_open)(struct env *env, struct slice path, enum file_mode mode,
                          struct file **file);
    enum err (*file_lock)(struct env *env, struct slice path, struct file **file);
    void (*file_close)(struct file *file);
    enum err (*file_rename)(struct file *file, struct slice path);
    struct slice (*file_path)(const struct file *file);
    enum err (*file_size)(struct file *file, uint64_t *size);
    enum err (*file_read)(struct file *file, uint64_t position, void *data, size_t size,
                          size_t *got);
    // All of the parts, one behind the other, or an error.
    enum err (*file_write)(struct file *file, uint64_t position, const struct slice *parts,
                           size_t part_count);
    enum err (*file_truncate)(struct file *file, uint64_t size);
    enum err (*file_allocate)(struct file *file, uint64_t size);
    enum err (*file_sync)(struct file *file);
    void (*file_drop_cache)(struct file *file);
    bool (*file_is_resident)(struct file *file, uint64_t position, size_t size);

    enum err (*stat)(struct env *env, struct slice path, struct env_stat *stat);
    enum err (*make_directory)(struct env *env, struct slice path);
    enum err (*remove_directory)(struct env *env, struct slice path);  // an empty one
    enum err (*rename)(struct env *env, struct slice from, struct slice to);
    enum err (*unlink)(struct env *env, struct slice path);
    enum err (*sync_directory)(struct env *env, struct slice path);
    enum err (*list_directory)(struct env *env, struct slice path,
                               void (*entry)(void *context, struct slice name), void *context);
    enum err (*disk_space)(struct env *env, struct slice path, uint64_t *total, uint64_t *usable);

    enum err (*tcp_listen)(struct env *env, struct slice host, uint16_t port, int backlog,
                           struct tcp_listener *listener, struct message *error);
    void (*tcp_listener_close)(struct env *env, struct tcp_listener *listener);
    struct tcp *(*tcp_connect)(struct env *env, struct slice host, uint16_t port,
                               struct tcp_handler *handler);
    void (*tcp_set_handler)(struct tcp *tcp, struct tcp_handler *handler);
    void (*tcp_move)(struct tcp *tcp, struct env *target);
    enum err (*tcp_receive)(struct tcp *tcp, void *data, size_t size, size_t *got);
    enum err (*tcp_send)(struct tcp *tcp, struct chain *chain);
    void (*tcp_set_reading)(struct tcp *tcp, bool on);
    struct tcp_address (*tcp_peer)(const struct tcp *tcp);
    struct tcp_address (*tcp_local)(const struct tcp *tcp);
    void (*tcp_close)(struct tcp *tcp);
};

struct env {
    const struct world *world;
    uint64_t now_ns;          // of this pass
    _Atomic int64_t wall_ms;  // of this pass; WALL_UNKNOWN until somebody asks, from any thread
    struct heap timers;
    struct list deferred;  // env_task.link
    struct list writes;    // file.write_link: files with submitted writes
    struct list syncs;     // file.sync_link: files with a sync to start
    struct logger *logger;
    enum mutant mutant;
    uint32_t reactor_index;
    uint32_t reactor_count;
};

#define WALL_UNKNOWN INT64_MIN

// The part of a file that both worlds share; a world's own struct begins with it.
struct file {
    struct env *env;
    struct list write_link;
    struct file_write_op *write_first;
    struct file_write_op *write_last;
    struct list sync_link;
    struct file_sync_op *sync_waiting;  // newest first
    struct file_sync_op *sync_running;
    struct env_job sync_job;
    enum err sync_result;
    bool sync_in_flight;
    _Atomic enum err
        sync_error;  // sticks: after a failed sync the kernel has forgotten what it dropped
};

struct tcp {
    struct env *env;
    struct tcp_handler *handler;
};

// ---- For the worlds ----

void world_env_init(struct env *env, const struct world *world, struct logger *logger,
                    uint32_t index, uint32_t count);
void world_env_deinit(struct env *env);

// Begins a pass: sets its time.
void world_pass_begin(struct env *env, uint64_t now_ns);
// Fires the timers that are due.
void world_timers_run(struct env *env);
// Phases 2 and 3 until nothing is left.
void world_pass_finish(struct env *env);
// True when phases 2 and 3 have something to do (work submitted outside of a pass).
bool world_has_work(const struct env *env);
// The first timer's deadline; UINT64_MAX when none runs.
uint64_t world_next_deadline(const struct env *env);

void world_file_init(struct file *file, struct env *env);
// Executes the submitted writes of all files of this reactor, then starts the syncs that wait. True
// when anything was done.
bool world_files_flush(struct env *env);
