// Connections of the real world.
//
// epoll watches level-triggered. Reading is asked for while the owner wants it; writing only after
// a send that left something. epoll reports an error or a hang-up whatever was asked for; a
// connection whose owner waits for neither is then taken out of epoll, else the loop would turn
// round it for ever, and put back when the owner wants something again.
//
// Sending. Memory spans go out by one sendmsg of many parts. A file range goes by sendfile, but a
// short one is cheaper read into memory and sent with its neighbours (measured: 25 % at 1 KiB;
// sendfile wins from about 16 KiB).
#include "env/posix.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"

#define SEND_PARTS       128
#define SEND_BYTES_MAX   ((size_t)4 << 20)
#define SMALL_FILE_RANGE ((size_t)16 << 10)

struct resolution;

struct posix_tcp {
    struct tcp tcp;
    struct posix_watch watch;
    int descriptor;    // -1 while an outbound one has none
    uint32_t watched;  // events that epoll was told of
    bool in_epoll;
    bool reading;
    bool wants_writable;
    bool connecting;
    bool is_closed;
    enum err connect_result;
    struct env_task report;           // tells connect_result
    struct resolution *resolution;    // under way on a worker
    struct posix_address *addresses;  // still to be tried, from `address_next` on
    uint32_t address_count;
    uint32_t address_next;
    struct posix_closed closed;
};

static struct posix_tcp *posix_tcp_of(const struct tcp *tcp) {
    return container_of(tcp, struct posix_tcp, tcp);
}

// ---- What epoll watches ----

static void tcp_watch(struct posix_tcp *own) {
    if (own->descriptor < 0) return;
    uint32_t events = own->connecting ? EPOLLOUT
                                      : (own->reading ? EPOLLIN | EPOLLRDHUP : 0) |
                                            (own->wants_writable ? EPOLLOUT : 0);
    struct posix_reactor *reactor = reactor_of(own->tcp.env);
    if (!own->in_epoll) {
        posix_watch_add(reactor, own->descriptor, events, &own->watch);
        own->in_epoll = true;
    } else if (events != own->watched) {
        posix_watch_change(reactor, own->descriptor, events, &own->watch);
    }
    own->watched = events;
}

static void tcp_unwatch(struct posix_tcp *own) {
    if (!own->in_epoll) return;
    posix_watch_remove(reactor_of(own->tcp.env), own->descriptor);
    own->in_epoll = false;
}

static void connect_ready(struct posix_tcp *own);
static void report_run(struct env_task *task);

static void tcp_ready(struct posix_watch *watch, uint32_t events) {
    struct posix_tcp *own = container_of(watch, struct posix_tcp, watch);
    if (own->is_closed) return;
    if (own->connecting) {
        connect_ready(own);
        return;
    }
    if (!own->reading && (events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        tcp_watch(own);  // see posix_tcp_set_reading
    } else if (own->reading && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
        own->tcp.handler->readable(own->tcp.handler);
        if (own->is_closed) return;
    }
    if (own->wants_writable && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        own->wants_writable = false;
        tcp_watch(own);
        own->tcp.handler->writable(own->tcp.handler);
        if (own->is_closed) return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && !own->reading && !own->wants_writable)
        tcp_unwatch(own);
}

// ---- Accepted connections ----

static void set_options(int descriptor) {
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

static struct posix_tcp *tcp_new(struct env *env, int descriptor) {
    struct posix_tcp *own = memory_zalloc(1, sizeof *own);
    own->tcp.env = env;
    own->watch.ready = tcp_ready;
    own->descriptor = descriptor;
    own->reading = true;
    env_task_init(&own->report, report_run);
    list_init(&own->closed.link);
    return own;
}

struct tcp *posix_tcp_accepted(struct posix_reactor *reactor, int descriptor) {
    set_options(descriptor);
    return &tcp_new(&reactor->env, descriptor)->tcp;
}

void posix_tcp_set_handler(struct tcp *tcp, struct tcp_handler *handler) {
    tcp->handler = handler;
    tcp_watch(posix_tcp_of(tcp));
}

void posix_tcp_move(struct tcp *tcp, struct env *target) {
    tcp_unwatch(posix_tcp_of(tcp));
    tcp->env = target;
}

void posix_tcp_set_reading(struct tcp *tcp, bool on) {
    struct posix_tcp *own = posix_tcp_of(tcp);
    if (own->reading == on) return;
    own->reading = on;
    // Most pauses end before anything comes: epoll is told of one only when something did.
    if (on && own->tcp.handler != NULL) tcp_watch(own);
}

static struct tcp_address address_of(int descriptor,
                                     int (*get)(int, struct sockaddr *, socklen_t *)) {
    struct posix_address address = {.size = 0};
    struct sockaddr_storage storage;
    socklen_t size = sizeof storage;
    struct tcp_address text = {0};
    if (descriptor < 0 || get(descriptor, (struct sockaddr *)&storage, &size) != 0) return text;
    if (size > sizeof address.bytes) return text;
    memcpy(address.bytes, &storage, size);
    address.size = size;
    posix_address_text(&address, &text);
    return text;
}

static int peer_name(int descriptor, struct sockaddr *address, socklen_t *size) {
    return getpeername(descriptor, address, size);
}
static int local_name(int descriptor, struct sockaddr *address, socklen_t *size) {
    return getsockname(descriptor, address, size);
}

struct tcp_address posix_tcp_peer(const struct tcp *tcp) {
    return address_of(posix_tcp_of(tcp)->descriptor, peer_name);
}
struct tcp_address posix_tcp_local(const struct tcp *tcp) {
    return address_of(posix_tcp_of(tcp)->descriptor, local_name);
}

// ---- Outbound connections ----

struct resolution {
    struct env_job job;
    struct posix_tcp *tcp;  // NULL: closed meanwhile
    uint16_t port;
    enum err result;
    struct posix_address addresses[POSIX_ADDRESSES_MAX];
    uint32_t count;
    size_t host_size;
    char host[256];
};

static void report_run(struct env_task *task) {
    struct posix_tcp *own = container_of(task, struct posix_tcp, report);
    own->tcp.handler->connected(own->tcp.handler, own->connect_result);
}

// The callback comes at the end of the pass, never inside a call.
static void report(struct posix_tcp *own, enum err result) {
    own->connecting = false;
    own->connect_result = result;
    env_defer(own->tcp.env, &own->report);
}

static enum err connect_error(int number) {
    switch (number) {
        case 0:
            return ERR_NONE;
        case ECONNREFUSED:
            return ERR_REFUSED;
        case ETIMEDOUT:
            return ERR_TIMEOUT;
        case EMFILE:
        case ENFILE:
            return ERR_LIMIT;
        default:
            return ERR_UNREACHABLE;
    }
}

// Tries the addresses that are left; reports the last one's error when none is.
static void connect_next(struct posix_tcp *own, enum err last) {
    while (own->address_next < own->address_count) {
        struct sockaddr_storage storage = {0};
        const struct posix_address *address = &own->addresses[own->address_next++];
        memcpy(&storage, address->bytes, address->size);
        int s = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s < 0) {
            last = connect_error(errno);
            continue;
        }
        set_options(s);
        if (connect(s, (struct sockaddr *)&storage, address->size) == 0 || errno == EINPROGRESS) {
            own->descriptor = s;
            tcp_watch(own);
            return;
        }
        last = connect_error(errno);
        close(s);
    }
    report(own, last);
}

static void connect_ready(struct posix_tcp *own) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(own->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) {
        own->connecting = false;
        tcp_watch(own);
        own->tcp.handler->connected(own->tcp.handler, ERR_NONE);
        return;
    }
    tcp_unwatch(own);
    close(own->descriptor);
    own->descriptor = -1;
    connect_next(own, connect_error(error));
}

static void resolve_run(struct env_job *job) {
    struct resolution *resolution = container_of(job, struct resolution, job);
    resolution->result =
        posix_resolve(slice_of(resolution->host, resolution->host_size), resolution->port, false,
                      resolution->addresses, &resolution->count);
}

static void start_connecting(struct posix_tcp *own, const struct posix_address *addresses,
                             uint32_t count) {
    own->addresses = memory_alloc(count * sizeof *addresses);
    memcpy(own->addresses, addresses, count * sizeof *addresses);
    own->address_count = count;
    connect_next(own, ERR_UNREACHABLE);
}

static void resolve_done(struct env_job *job) {
    struct resolution *resolution = container_of(job, struct resolution, job);
    struct posix_tcp *own = resolution->tcp;
    if (own != NULL) {
        own->resolution = NULL;
        if (resolution->result == ERR_NONE) {
            start_connecting(own, resolution->addresses, resolution->count);
        } else {
            report(own, resolution->result);
        }
    }
    memory_free(resolution);
}

struct tcp *posix_tcp_connect(struct env *env, struct slice host, uint16_t port,
                              struct tcp_handler *handler) {
    struct posix_tcp *own = tcp_new(env, -1);
    struct posix_address addresses[POSIX_ADDRESSES_MAX];
    uint32_t count;
    own->tcp.handler = handler;
    own->connecting = true;
    enum err err = posix_resolve(host, port, true, addresses, &count);
    if (err == ERR_NONE) {
        start_connecting(own, addresses, count);
    } else if (err != ERR_WOULD_BLOCK) {
        report(own, err);
    } else {
        struct resolution *resolution = memory_zalloc(1, sizeof *resolution);
        resolution->job.run = resolve_run;
        resolution->job.done = resolve_done;
        resolution->tcp = own;
        resolution->port = port;
        resolution->host_size = host.size;  // posix_resolve refused what is longer than its buffer
        memcpy(resolution->host, host.data, host.size);
        own->resolution = resolution;
        env_job_start(env, &resolution->job);
    }
    return &own->tcp;
}

// ---- Bytes ----

enum err posix_tcp_receive(struct tcp *tcp, void *data, size_t size, size_t *got) {
    ssize_t n;
    do {
        n = recv(posix_tcp_of(tcp)->descriptor, data, size, 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0) return ERR_EOF;
    if (n < 0) return errno == EAGAIN ? ERR_WOULD_BLOCK : ERR_CLOSED;
    *got = (size_t)n;
    return ERR_NONE;
}

// A file range on its way to the socket through memory. ERR_CORRUPT: it is shorter than it should
// be.
static enum err read_small(const struct span *span, uint8_t *data) {
    size_t got = 0;
    enum err err = file_read(span->file, span->position, data, span->size, &got);
    if (err != ERR_NONE) return ERR_IO;
    return got == span->size ? ERR_NONE : ERR_CORRUPT;
}

// Everything up to the next long file range, in one call.
static enum err send_memory(struct posix_tcp *own, struct chain *chain, size_t *sent) {
    struct posix_reactor *reactor = reactor_of(own->tcp.env);
    struct iovec parts[SEND_PARTS];
    size_t count = 0, scratch_used = 0, bytes = 0;
    const struct span *span = chain->first;
    for (; span != NULL && count < SEND_PARTS && bytes < SEND_BYTES_MAX; span = span->next) {
        const uint8_t *data = span->data;
        if (span->file != NULL) {
            if (span->size > SMALL_FILE_RANGE || span->size > POSIX_SCRATCH - scratch_used) break;
            if (reactor->scratch == NULL) reactor->scratch = memory_alloc(POSIX_SCRATCH);
            enum err err = read_small(span, reactor->scratch + scratch_used);
            if (err != ERR_NONE) return err;
            data = reactor->scratch + scratch_used;
            scratch_used += span->size;
        }
        parts[count++] = (struct iovec){(void *)(uintptr_t)data, span->size};
        bytes += span->size;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n;
    do {
        n = sendmsg(own->descriptor, &message, MSG_NOSIGNAL | (span != NULL ? MSG_MORE : 0));
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN ? ERR_WOULD_BLOCK : ERR_CLOSED;
    chain_consume(chain, (size_t)n);
    *sent = (size_t)n;
    return ERR_NONE;
}

static enum err send_file_range(struct posix_tcp *own, struct chain *chain, size_t *sent) {
    const struct span *span = chain->first;
    struct posix_file *file = container_of(span->file, struct posix_file, file);
    int descriptor;
    enum err err = posix_file_acquire(file, &descriptor);
    if (err != ERR_NONE) return ERR_IO;
    off_t position = (off_t)span->position;
    ssize_t n;
    do {
        n = sendfile(own->descriptor, descriptor, &position, MIN(span->size, SEND_BYTES_MAX));
    } while (n < 0 && errno == EINTR);
    int number = errno;
    posix_file_release(file);
    if (n == 0) return ERR_CORRUPT;
    if (n < 0 && number == EAGAIN) return ERR_WOULD_BLOCK;
    if (n < 0) return number == EIO ? ERR_IO : ERR_CLOSED;
    chain_consume(chain, (size_t)n);
    *sent = (size_t)n;
    return ERR_NONE;
}

enum err posix_tcp_send(struct tcp *tcp, struct chain *chain) {
    struct posix_tcp *own = posix_tcp_of(tcp);
    size_t total = 0;
    while (chain->size > 0 && total < SEND_BYTES_MAX) {
        const struct span *first = chain->first;
        size_t sent = 0;
        bool by_sendfile = first->file != NULL && first->size > SMALL_FILE_RANGE;
        enum err err =
            by_sendfile ? send_file_range(own, chain, &sent) : send_memory(own, chain, &sent);
        if (err == ERR_WOULD_BLOCK) break;
        if (err != ERR_NONE) return err;
        total += sent;
    }
    bool wants_writable = chain->size > 0;
    if (wants_writable != own->wants_writable) {
        own->wants_writable = wants_writable;
        tcp_watch(own);
    }
    return ERR_NONE;
}

void posix_tcp_close(struct tcp *tcp) {
    struct posix_tcp *own = posix_tcp_of(tcp);
    own->is_closed = true;
    if (own->resolution != NULL) own->resolution->tcp = NULL;
    env_defer_cancel(tcp->env, &own->report);
    if (own->descriptor >= 0) {
        tcp_unwatch(own);
        close(own->descriptor);
    }
    memory_free(own->addresses);
    posix_free_later(reactor_of(tcp->env), &own->closed, own);
}
