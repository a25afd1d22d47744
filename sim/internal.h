// Private to sim/*.c: the structs of the simulated world. Its own memory comes from malloc and
// never from base/memory.h, because calls from a node's code would else charge it to the node and
// free it at the node's crash.
#pragma once

#include "env/world.h"
#include "sim/sim_env.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

#define SIM_NODES_MAX 16
#define SIM_LOG_LINES 400
#define SIM_LOG_TEXT  300

struct sim_event {
    uint64_t at;
    uint64_t tie;  // seeded: the order of events at one instant
    uint64_t sequence;
    struct sim_node *node;  // NULL: of no node
    uint32_t incarnation;   // dropped when the node has crashed meanwhile
    void (*run)(struct sim_event *event);
    void (*drop)(struct sim_event *event);  // when it is not run; may be NULL
    void *subject;
    void *more;
    void *memory;  // freed afterwards
};

// Memory charged to a node; see memory.c.
struct sim_block {
    struct sim_block *next;
    struct sim_block *previous;
    uint64_t padding[2];  // keeps the payload aligned to 16, and says whose it is
};
struct sim_memory {
    struct sim_block blocks;  // ring
};

struct sim_reactor {
    struct env env;
    struct sim_node *node;
    uint64_t busy_until;    // the end of its last pass
    uint64_t last_message;  // messages keep their order
    struct env_message *inbox_first;
    struct env_message *inbox_last;
    struct env_job *finished_first;
    struct env_job *finished_last;
    struct list ready;  // sim_tcp.ready
};

struct sim_node {
    struct sim *sim;
    const char *name;
    uint32_t index;
    uint32_t incarnation;
    bool running;
    bool dying;  // crashes when the running event is over
    bool dying_by_power;
    bool is_dark;  // down by a power cut: not even a refusal comes back
    void (*crashed)(void *context);
    void *crashed_context;
    struct sim_memory memory;
    struct logger logger;
    struct sim_reactor *reactors;
    uint32_t reactor_count;
    struct prng prng;  // what env_random gives
    int64_t wall_offset_ms;
    int64_t drift_ppm;
    struct sim_disk *disk;
    struct list connections;  // sim_tcp.of_node
    struct list listeners;    // sim_listener.of_node
    uint64_t job_ns;          // fixed duration of jobs; 0: by the seed
};

struct sim {
    struct prng prng;      // scenarios and faults
    struct prng schedule;  // delays and ties
    uint64_t now;
    uint64_t hash;
    uint64_t event_count;
    uint64_t sequence;
    struct sim_event **queue;  // binary heap
    size_t queue_count;
    size_t queue_capacity;
    struct sim_node *nodes[SIM_NODES_MAX];
    uint32_t node_count;
    enum mutant mutant;
    enum log_level log_level;
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];  // [from][to]
    struct list links;                       // sim_link.all
    uint64_t latency_min;
    uint64_t latency_max;
    uint16_t next_port;
    void (*observe)(void *context);
    void *observe_context;
    struct sim_counts counts;
    char (*log)[SIM_LOG_TEXT];
    uint64_t log_count;
};

static inline struct sim_reactor *sim_reactor_of(struct env *env) {
    return container_of(env, struct sim_reactor, env);
}

// memory.c
void *sim_alloc(size_t size);  // zeroed
void sim_memory_init(struct sim_memory *memory);
void sim_memory_free_all(struct sim_memory *memory);
// From now on base/memory.h charges this; NULL: nobody. Returns the one before.
struct sim_memory *sim_memory_enter(struct sim_memory *memory);

// world.c
void sim_mix(struct sim *sim, uint64_t value);  // into the hash
void sim_mix_bytes(struct sim *sim, const void *data, size_t size);
struct sim_event *sim_event_new(struct sim *sim, uint64_t delay, struct sim_node *node,
                                void (*run)(struct sim_event *event), void *subject);
uint64_t sim_between(struct sim *sim, uint64_t min, uint64_t max);
void sim_node_doom(struct sim_node *node, bool power_cut);

extern const struct world sim_world;

// disk.c and directory.c
struct sim_disk *sim_disk_new(struct sim_node *node, uint64_t capacity);
void sim_disk_free(struct sim_disk *disk);
void sim_disk_close_all(struct sim_disk *disk);  // descriptors and locks of a process that died
void sim_disk_lose_unsynced(struct sim_disk *disk);
void sim_disk_crash_at(struct sim_disk *disk, uint64_t n, bool power_cut);
enum err sim_file_open(struct env *env, struct slice path, enum file_mode mode, struct file **file);
enum err sim_file_lock(struct env *env, struct slice path, struct file **file);
void sim_file_close(struct file *file);
enum err sim_file_rename(struct file *file, struct slice path);
struct slice sim_file_path(const struct file *file);
enum err sim_file_size(struct file *file, uint64_t *size);
enum err sim_file_read(struct file *file, uint64_t position, void *data, size_t size, size_t *got);
enum err sim_file_write(struct file *file, uint64_t position, const struct slice *parts,
                        size_t part_count);
enum err sim_file_truncate(struct file *file, uint64_t size);
enum err sim_file_allocate(struct file *file, uint64_t size);
enum err sim_file_sync(struct file *file);
void sim_file_drop_cache(struct file *file);
bool sim_file_is_resident(struct file *file, uint64_t position, size_t size);
enum err sim_stat(struct env *env, struct slice path, struct env_stat *stat);
enum err sim_make_directory(struct env *env, struct slice path);
enum err sim_remove_directory(struct env *env, struct slice path);
enum err sim_rename(struct env *env, struct slice from, struct slice to);
enum err sim_unlink(struct env *env, struct slice path);
enum err sim_sync_directory(struct env *env, struct slice path);
enum err sim_list_directory(struct env *env, struct slice path,
                            void (*entry)(void *context, struct slice name), void *context);
enum err sim_disk_space(struct env *env, struct slice path, uint64_t *total, uint64_t *usable);

// network.c
struct sim_tcp;
void sim_network_node_died(struct sim_node *node, bool power_cut);
void sim_network_free(struct sim *sim);
void sim_tcp_run_ready(struct sim_reactor *reactor);
enum err sim_tcp_listen(struct env *env, struct slice host, uint16_t port, int backlog,
                        struct tcp_listener *listener, struct message *error);
void sim_tcp_listener_close(struct env *env, struct tcp_listener *listener);
struct tcp *sim_tcp_connect(struct env *env, struct slice host, uint16_t port,
                            struct tcp_handler *handler);
void sim_tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler);
void sim_tcp_move(struct tcp *tcp, struct env *target);
enum err sim_tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got);
enum err sim_tcp_send(struct tcp *tcp, struct chain *chain);
void sim_tcp_set_reading(struct tcp *tcp, bool on);
struct tcp_address sim_tcp_peer(const struct tcp *tcp);
struct tcp_address sim_tcp_local(const struct tcp *tcp);
void sim_tcp_close(struct tcp *tcp);
