// The reactors' loops over epoll, and what goes between threads.
//
// Mailbox. Senders push on a lock-free stack; the reactor takes the whole stack at once and turns
// it round, which keeps each sender's order. A reactor that is awake looks at its mailbox in every
// pass, so a sender rings (eventfd) only when the target says that it sleeps: the reactor sets
// `sleeping`, then looks once more; the sender pushes, then looks at `sleeping`. Both in
// sequentially consistent order, so at least one of them sees the other.
//
// Spinning. Waking a thread costs more than serving a request, above all on virtual machines. So
// after a pass in which something happened the loop polls with timeout 0 for a bounded time before
// it sleeps.
#include "env/posix.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"

#define EVENTS_MAX          256
#define WORKERS_DEFAULT     16
#define DESCRIPTORS_DEFAULT 8192
#define SPIN_PREEMPTED_NS   UINT64_C(200000)
#define SPIN_PAUSE_NS       UINT64_C(20000000)

// ---- Watches ----

static void watch_control(struct posix_reactor *reactor, int operation, int descriptor,
                          uint32_t events, struct posix_watch *watch) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(reactor->epoll, operation, descriptor, &event) != 0)
        fatal("epoll_ctl: %d", errno);
}
void posix_watch_add(struct posix_reactor *reactor, int descriptor, uint32_t events,
                     struct posix_watch *watch) {
    watch_control(reactor, EPOLL_CTL_ADD, descriptor, events, watch);
}
void posix_watch_change(struct posix_reactor *reactor, int descriptor, uint32_t events,
                        struct posix_watch *watch) {
    watch_control(reactor, EPOLL_CTL_MOD, descriptor, events, watch);
}
void posix_watch_remove(struct posix_reactor *reactor, int descriptor) {
    watch_control(reactor, EPOLL_CTL_DEL, descriptor, 0, NULL);
}

void posix_free_later(struct posix_reactor *reactor, struct posix_closed *closed, void *memory) {
    closed->memory = memory;
    list_append(&reactor->closed, &closed->link);
}

static void free_closed(struct posix_reactor *reactor) {
    for (struct list *link = list_pop(&reactor->closed); link != NULL;
         link = list_pop(&reactor->closed)) {
        memory_free(container_of(link, struct posix_closed, link)->memory);
    }
}

// ---- Between threads ----

static void reactor_wake(struct posix_reactor *reactor) {
    if (!atomic_exchange(&reactor->sleeping, false)) return;
    uint64_t one = 1;
    ssize_t written = write(reactor->wake, &one, sizeof one);
    (void)written;  // a full counter wakes as well
}

static void posix_post(struct env *target, struct env_message *message) {
    struct posix_reactor *reactor = reactor_of(target);
    message->next = atomic_load_explicit(&reactor->inbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&reactor->inbox, &message->next, message)) {
    }
    reactor_wake(reactor);
}

void posix_job_finished(struct env_job *job) {
    struct posix_reactor *reactor = reactor_of(job->env);
    job->next = atomic_load_explicit(&reactor->finished, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&reactor->finished, &job->next, job)) {
    }
    reactor_wake(reactor);
}

static bool has_mail(struct posix_reactor *reactor) {
    return atomic_load(&reactor->inbox) != NULL || atomic_load(&reactor->finished) != NULL;
}

static bool deliver_messages(struct posix_reactor *reactor) {
    struct env_message *newest = atomic_exchange(&reactor->inbox, NULL), *oldest = NULL;
    if (newest == NULL) return false;
    while (newest != NULL) {
        struct env_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct env_message *next = oldest->next;
        oldest->deliver(oldest);
        oldest = next;
    }
    return true;
}

static bool deliver_jobs(struct posix_reactor *reactor) {
    struct env_job *newest = atomic_exchange(&reactor->finished, NULL), *oldest = NULL;
    if (newest == NULL) return false;
    while (newest != NULL) {
        struct env_job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct env_job *next = oldest->next;
        oldest->done(oldest);
        oldest = next;
    }
    return true;
}

// The eventfd is watched edge-triggered and never read: each write is an edge.
static void wake_ready(struct posix_watch *watch, uint32_t events) {
    (void)watch;
    (void)events;
}

// ---- Waiting ----

static int epoll_wait_ns(struct posix_reactor *reactor, struct epoll_event *events,
                         uint64_t wait_ns) {
    const uint64_t longest = UINT64_C(3600) * 1000000000;
    wait_ns = MIN(wait_ns, longest);
    struct timespec t = {.tv_sec = (time_t)(wait_ns / 1000000000),
                         .tv_nsec = (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(reactor->epoll, events, EVENTS_MAX, &t, NULL);
    if (count < 0 && errno == ENOSYS) {  // before Linux 5.11: whole milliseconds, not too early
        count = epoll_wait(reactor->epoll, events, EVENTS_MAX, (int)((wait_ns + 999999) / 1000000));
    }
    if (count < 0 && errno != EINTR) fatal("epoll_wait: %d", errno);
    return MAX(count, 0);
}

static uint64_t time_to_wait(struct posix_reactor *reactor, uint64_t now, uint64_t wait_max_ns) {
    if (world_has_work(&reactor->env) || atomic_load(&reactor->process->stopping)) return 0;
    uint64_t deadline = world_next_deadline(&reactor->env);
    uint64_t left = deadline > now ? deadline - now : 0;
    return MIN(left, wait_max_ns);
}

// After `sleeping` was set: what came in between rang no bell.
static bool must_look(struct posix_reactor *reactor) {
    return has_mail(reactor) || atomic_load(&reactor->process->stopping);
}

// Returns the number of events; 0 also when there is mail or a timer is due.
static int wait_for_events(struct posix_reactor *reactor, struct epoll_event *events,
                           uint64_t wait_max_ns) {
    uint64_t now = posix_monotonic_ns();
    uint64_t wait = time_to_wait(reactor, now, wait_max_ns);
    uint64_t end = wait > UINT64_MAX - now ? UINT64_MAX : now + wait;
    while (now < reactor->spin_until_ns && now < end) {
        int count = epoll_wait(reactor->epoll, events, EVENTS_MAX, 0);
        if (count > 0 || has_mail(reactor)) return MAX(count, 0);
        uint64_t before = now;
        now = posix_monotonic_ns();
        if (now - before > SPIN_PREEMPTED_NS) reactor->spin_pause_ns = now + SPIN_PAUSE_NS;
    }
    if (now >= end && wait != 0) return 0;
    if (wait == 0) return MAX(epoll_wait(reactor->epoll, events, EVENTS_MAX, 0), 0);
    atomic_store(&reactor->sleeping, true);
    int count = epoll_wait_ns(reactor, events, must_look(reactor) ? 0 : end - now);
    atomic_store(&reactor->sleeping, false);
    return count;
}

static void reactor_pass(struct posix_reactor *reactor, uint64_t wait_max_ns) {
    struct epoll_event events[EVENTS_MAX];
    int count = wait_for_events(reactor, events, wait_max_ns);
    world_pass_begin(&reactor->env, posix_monotonic_ns());
    bool active = count > 0;
    active |= deliver_messages(reactor);
    active |= deliver_jobs(reactor);
    for (int i = 0; i < count; i++) {
        struct posix_watch *watch = events[i].data.ptr;
        watch->ready(watch, events[i].events);
    }
    world_timers_run(&reactor->env);
    world_pass_finish(&reactor->env);
    free_closed(reactor);
    uint64_t spin_ns = reactor->process->spin_ns;
    if (!active || spin_ns == 0) return;
    uint64_t now = posix_monotonic_ns();
    if (now >= reactor->spin_pause_ns) reactor->spin_until_ns = now + spin_ns;
}

// ---- The process ----

static struct env *posix_reactor_at(struct env *env, uint32_t index) {
    return &reactor_of(env)->process->reactors[index].env;
}

static void signal_ready(struct posix_watch *watch, uint32_t events) {
    struct env_posix *posix = container_of(watch, struct env_posix, signal_watch);
    (void)events;
    struct signalfd_siginfo info;
    while (read(posix->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        posix->signalled(posix->context, (int)info.ssi_signo);
    }
}

// Blocked before the first thread starts, so that every thread inherits it.
static void signals_init(struct env_posix *posix) {
    signal(SIGPIPE, SIG_IGN);  // sendfile knows no MSG_NOSIGNAL
    signal(SIGXFSZ, SIG_IGN);  // a limit on file size is an error of the write
    posix->signals = -1;
    if (posix->signalled == NULL) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    posix->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (posix->signals < 0) fatal("signalfd: %d", errno);
    posix->signal_watch.ready = signal_ready;
}

// At least half of the descriptors are for sockets, and sockets leave the files their share: a log
// that cannot be opened is worse than a connection refused.
static void descriptors_init(struct env_posix *posix, uint32_t wanted) {
    struct rlimit limit = {256, 256};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
    }
    posix->descriptor_limit = (uint32_t)MIN(limit.rlim_cur, (rlim_t)INT32_MAX);
    posix_descriptors_init(&posix->descriptors, MIN(wanted, posix->descriptor_limit / 2));
}

bool posix_socket_allowed(struct env_posix *posix, int descriptor) {
    // The kernel gives the lowest free number, so the number says how many are in use.
    uint32_t open_max = posix->descriptors.open_max;
    uint32_t unopened = open_max - MIN(open_max, atomic_load(&posix->descriptors.open_count));
    return (uint32_t)descriptor + unopened < posix->descriptor_limit;
}

static void reactor_init(struct posix_reactor *reactor, struct env_posix *posix, uint32_t index) {
    world_env_init(&reactor->env, &posix_world, posix->logger, index, posix->reactor_count);
    reactor->process = posix;
    pthread_mutex_init(&reactor->entropy_lock, NULL);
    reactor->epoll = epoll_create1(EPOLL_CLOEXEC);
    reactor->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (reactor->epoll < 0 || reactor->wake < 0) fatal("epoll_create1 or eventfd: %d", errno);
    reactor->wake_watch.ready = wake_ready;
    posix_watch_add(reactor, reactor->wake, EPOLLIN | EPOLLET, &reactor->wake_watch);
    list_init(&reactor->closed);
    world_pass_begin(&reactor->env, posix_monotonic_ns());
}

struct env_posix *env_posix_new(const struct env_posix_options *options) {
    struct env_posix *posix = memory_zalloc(1, sizeof *posix);
    posix->reactor_count = MAX(options->reactors, 1);
    posix->own_logger = (struct logger){.level = options->log_level, .write = posix_log_write};
    posix->logger = options->logger != NULL ? options->logger : &posix->own_logger;
    posix->signalled = options->signalled;
    posix->context = options->context;
    // With as many loops as cores nobody else would run while they spin.
    bool cores_to_spare = process_cores() > posix->reactor_count;
    posix->spin_ns = cores_to_spare ? (uint64_t)options->spin_us * 1000 : 0;
    signals_init(posix);
    posix_workers_init(&posix->workers,
                       options->workers_max != 0 ? options->workers_max : WORKERS_DEFAULT);
    descriptors_init(
        posix, options->descriptors_max != 0 ? options->descriptors_max : DESCRIPTORS_DEFAULT);
    posix->reactors = memory_zalloc(posix->reactor_count, sizeof *posix->reactors);
    for (uint32_t i = 0; i < posix->reactor_count; i++)
        reactor_init(&posix->reactors[i], posix, i);
    if (posix->signals >= 0) {
        posix_watch_add(&posix->reactors[0], posix->signals, EPOLLIN, &posix->signal_watch);
    }
    return posix;
}

struct env *env_posix_reactor(struct env_posix *posix, uint32_t index) {
    assert(index < posix->reactor_count);
    return &posix->reactors[index].env;
}

static void *reactor_main(void *argument) {
    struct posix_reactor *reactor = argument;
    while (!atomic_load(&reactor->process->stopping))
        reactor_pass(reactor, UINT64_MAX);
    return NULL;
}

void env_posix_run(struct env_posix *posix) {
    for (uint32_t i = 1; i < posix->reactor_count; i++) {
        struct posix_reactor *reactor = &posix->reactors[i];
        int failed = pthread_create(&reactor->thread, NULL, reactor_main, reactor);
        if (failed != 0) fatal("cannot start reactor %u: %d", i, failed);
    }
    reactor_main(&posix->reactors[0]);
    for (uint32_t i = 1; i < posix->reactor_count; i++) {
        pthread_join(posix->reactors[i].thread, NULL);
    }
    atomic_store(&posix->stopping, false);
}

void env_posix_stop(struct env_posix *posix) {
    atomic_store(&posix->stopping, true);
    for (uint32_t i = 0; i < posix->reactor_count; i++)
        reactor_wake(&posix->reactors[i]);
}

void env_posix_pass(struct env_posix *posix, uint64_t wait_ns) {
    reactor_pass(&posix->reactors[0], wait_ns);
}

void env_posix_free(struct env_posix *posix) {
    posix_workers_deinit(&posix->workers);
    for (uint32_t i = 0; i < posix->reactor_count; i++) {
        struct posix_reactor *reactor = &posix->reactors[i];
        free_closed(reactor);
        close(reactor->epoll);
        close(reactor->wake);
        memory_free(reactor->scratch);
        pthread_mutex_destroy(&reactor->entropy_lock);
        world_env_deinit(&reactor->env);
    }
    if (posix->signals >= 0) close(posix->signals);
    posix_descriptors_deinit(&posix->descriptors);
    memory_free(posix->reactors);
    memory_free(posix);
}

const struct world posix_world = {
    .clock_ns = posix_clock_ns,
    .wall_ms = posix_wall_ms,
    .random = posix_random,
    .host_name = posix_host_name,
    .memory_total = posix_memory_total,
    .reactor = posix_reactor_at,
    .post = posix_post,
    .job_start = posix_job_start,
    .file_open = posix_file_open,
    .file_lock = posix_file_lock,
    .file_close = posix_file_close,
    .file_rename = posix_file_rename,
    .file_path = posix_file_path,
    .file_size = posix_file_size,
    .file_read = posix_file_read,
    .file_write = posix_file_write,
    .file_truncate = posix_file_truncate,
    .file_allocate = posix_file_allocate,
    .file_sync = posix_file_sync,
    .file_drop_cache = posix_file_drop_cache,
    .file_is_resident = posix_file_is_resident,
    .stat = posix_stat,
    .make_directory = posix_make_directory,
    .remove_directory = posix_remove_directory,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .sync_directory = posix_sync_directory,
    .list_directory = posix_list_directory,
    .disk_space = posix_disk_space,
    .tcp_listen = posix_tcp_listen,
    .tcp_listener_close = posix_tcp_listener_close,
    .tcp_connect = posix_tcp_connect,
    .tcp_set_handler = posix_tcp_set_handler,
    .tcp_move = posix_tcp_move,
    .tcp_receive = posix_tcp_receive,
    .tcp_send = posix_tcp_send,
    .tcp_set_reading = posix_tcp_set_reading,
    .tcp_peer = posix_tcp_peer,
    .tcp_local = posix_tcp_local,
    .tcp_close = posix_tcp_close,
};
