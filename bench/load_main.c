// The load generator: one thread, no client library, the same for every broker and for the probe.
// Batches are encoded and sealed once before the clock starts; per request only the correlation id
// (and, for fetches, the offset) is patched, so that the generator costs little beside what it
// measures.
//
// Closed loop: each connection keeps a fixed number of requests under way. Latency is from handing
// a request to the socket to having read its reply whole. Only the measured time counts: a warm-up
// of a fifth of it comes before. CPU seconds of the broker are read from /proc.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/memory.h"
#include "bench/dial.h"
#include "bench/frames.h"
#include "env/env_posix.h"
#include "wire/batch.h"

enum { CONNECTIONS_MAX = 1024, IN_FLIGHT_MAX = 1024, HEADER_SIZE = 12, SEND_PARTS = 128 };
#define RECEIVE_SIZE ((size_t)1 << 18)

enum mode { PRODUCE, FETCH, COMMIT };

struct settings {
    enum mode mode;
    const char *host;
    int port;
    const char *topic;
    int partitions;
    int connections;
    int in_flight;
    int records;  // in a batch
    int value_size;
    int compression;
    int acks;
    int max_bytes;  // of a fetch
    int wait_ms;
    double seconds;
    long long total_bytes;  // stop after so many, 0: by time
    int process;            // the broker's, for its CPU
    int spin;               // poll without sleeping
    bool create;            // the topic
    bool print_frame;
};

struct request {
    uint64_t sent_ns;
    uint8_t header[HEADER_SIZE];  // length, key, version, correlation id
};

struct connection {
    int socket;
    int partition;
    struct frame frame;   // the request; its first HEADER_SIZE bytes stand in each `request`
    size_t offset_place;  // of a fetch's offset in the frame
    int64_t next_offset;
    struct request requests[IN_FLIGHT_MAX];  // ring
    uint32_t sent;                           // requests handed to the socket in whole
    uint32_t answered;
    size_t sent_of_next;  // bytes of the request behind them
    uint8_t *in;          // bytes of replies
    size_t in_size;
    size_t in_capacity;
    bool wants_out;
};

struct load {
    struct settings s;
    int epoll;
    struct connection *connections;
    uint64_t start_ns, measure_ns, end_ns;
    bool measuring;
    uint64_t requests, bytes, errors, empty;
    uint64_t all_bytes;
    struct histogram latency;
    uint64_t cpu_start, own_cpu_start;
};

// ---- Connections ----

static void connection_init(struct load *load, struct connection *c, int index,
                            struct slice batch) {
    const struct settings *s = &load->s;
    c->socket = dial(s->host, s->port);
    c->partition = index % s->partitions;
    frame_init(&c->frame, 512 + batch.size);
    if (s->mode == FETCH) {
        c->offset_place =
            frame_fetch(&c->frame, s->topic, c->partition, 0, s->wait_ms, 1, s->max_bytes);
    } else if (s->mode == COMMIT) {
        char group[32];
        snprintf(group, sizeof group, "bench-%d", index);
        frame_offset_commit(&c->frame, group, s->topic, c->partition, 1);
    } else {
        frame_produce(&c->frame, s->topic, c->partition, (int16_t)s->acks, batch);
    }
    c->in_capacity = RECEIVE_SIZE + (s->mode == FETCH ? (size_t)s->max_bytes + 1024 : 0);
    c->in = memory_alloc(c->in_capacity);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->socket, &event);
}

// ---- Sending ----

static bool may_send(const struct load *load, const struct connection *c) {
    return c->sent - c->answered < (uint32_t)load->s.in_flight;
}

// As many requests as the window and the socket take, in one call.
static void send_requests(struct load *load, struct connection *c) {
    struct iovec parts[SEND_PARTS];
    size_t body = c->frame.size - HEADER_SIZE, total = 0;
    int count = 0;
    uint32_t window = (uint32_t)load->s.in_flight - (c->sent - c->answered);
    for (uint32_t i = 0; i < window && count + 2 <= SEND_PARTS && total < ((size_t)4 << 20); i++) {
        struct request *r = &c->requests[(c->sent + i) % IN_FLIGHT_MAX];
        size_t skip = i == 0 ? c->sent_of_next : 0;
        if (skip == 0) {
            if (load->s.mode == FETCH) store_i64(c->frame.data + c->offset_place, c->next_offset);
            memcpy(r->header, c->frame.data, HEADER_SIZE);
            store_u32(r->header + 8, c->sent + i);
            r->sent_ns = dial_now_ns();
        }
        if (skip < HEADER_SIZE)
            parts[count++] = (struct iovec){r->header + skip, HEADER_SIZE - skip};
        size_t into = skip > HEADER_SIZE ? skip - HEADER_SIZE : 0;
        parts[count++] = (struct iovec){c->frame.data + HEADER_SIZE + into, body - into};
        total += c->frame.size - skip;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(c->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) fatal("cannot send: %s", strerror(errno));
    size_t sent = n > 0 ? (size_t)n + c->sent_of_next : c->sent_of_next;
    c->sent += (uint32_t)(sent / c->frame.size);
    c->sent_of_next = sent % c->frame.size;
}

static void pump(struct load *load, struct connection *c) {
    if (may_send(load, c)) send_requests(load, c);
    bool wants_out = may_send(load, c);
    if (wants_out == c->wants_out) return;
    c->wants_out = wants_out;
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(load->epoll, EPOLL_CTL_MOD, c->socket, &event);
}

// ---- Replies ----

// Produce v7, or OffsetCommit v5, behind the correlation id: topics, name, partitions, index,
// error.
static void take_produced(struct load *load, struct connection *c, const uint8_t *reply,
                          size_t size) {
    size_t at = load->s.mode == COMMIT ? frame_offset_commit_error(load->s.topic)
                                       : 4 + 4 + 2 + strlen(load->s.topic) + 4 + 4;
    if (size < at + 2 || load_u16(reply + at) != 0) load->errors++;
    load->bytes += load->measuring ? c->frame.size : 0;
    load->all_bytes += c->frame.size;
}

// Fetch v4: walks the batches for the next offset.
static void take_fetched(struct load *load, struct connection *c, const uint8_t *reply,
                         size_t size) {
    size_t at = 4 + 4 + 4 + 2 + strlen(load->s.topic) + 4 + 4;
    if (size < at + 2 || load_u16(reply + at) != 0) {
        load->errors++;
        return;
    }
    int64_t high_watermark = load_i64(reply + at + 2);
    at += 2 + 8 + 8;
    int32_t aborted = load_i32(reply + at);
    at += 4 + (aborted > 0 ? (size_t)aborted * 16 : 0) + 4;
    load->bytes += load->measuring ? size : 0;
    load->all_bytes += size;
    bool any = false;
    while (size - at > BATCH_HEADER_SIZE) {
        size_t batch = load_u32(reply + at + BATCH_LENGTH) + BATCH_OVERHEAD;
        if (batch > size - at) break;
        c->next_offset = load_i64(reply + at) + load_i32(reply + at + BATCH_LAST_OFFSET_DELTA) + 1;
        at += batch;
        any = true;
    }
    if (!any) load->empty++;
    // Read to the end: once more from the start, not a long poll that a broker rightly holds.
    if (c->next_offset >= high_watermark) c->next_offset = 0;
}

static void take_replies(struct load *load, struct connection *c) {
    size_t at = 0;
    uint64_t now = dial_now_ns();
    while (c->in_size - at >= 4) {
        size_t size = load_u32(c->in + at);
        if (c->in_size - at - 4 < size) break;
        const struct request *r = &c->requests[c->answered % IN_FLIGHT_MAX];
        if (load->s.mode == FETCH) {
            take_fetched(load, c, c->in + at + 4, size);
        } else {
            take_produced(load, c, c->in + at + 4, size);
        }
        if (load->measuring) {
            histogram_add(&load->latency, now - r->sent_ns);
            load->requests++;
        }
        c->answered++;
        at += 4 + size;
    }
    memmove(c->in, c->in + at, c->in_size - at);
    c->in_size -= at;
}

static void receive(struct load *load, struct connection *c) {
    ssize_t n = recv(c->socket, c->in + c->in_size, c->in_capacity - c->in_size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fatal("the broker closed the connection");
    c->in_size += (size_t)n;
    take_replies(load, c);
}

// ---- The run ----

// What is produced stays on the disk, so it has a limit; what is fetched has none.
static bool written_enough(const struct load *load) {
    return load->s.mode != FETCH && load->s.total_bytes > 0 &&
           load->all_bytes >= (uint64_t)load->s.total_bytes;
}

static void run(struct load *load) {
    struct epoll_event events[256];
    load->start_ns = dial_now_ns();
    uint64_t length = (uint64_t)(load->s.seconds * 1e9);
    load->measure_ns = load->start_ns + length / 5;
    load->end_ns = load->measure_ns + length;
    for (int i = 0; i < load->s.connections; i++)
        pump(load, &load->connections[i]);
    for (;;) {
        uint64_t now = dial_now_ns();
        if (!load->measuring && now >= load->measure_ns) {
            load->measuring = true;
            load->measure_ns = now;
            load->own_cpu_start = process_cpu_ns();
            if (load->s.process > 0) load->cpu_start = process_cpu_ns_of(load->s.process);
        }
        if (now >= load->end_ns) break;
        if (written_enough(load)) break;
        int count = epoll_wait(load->epoll, events, 256, load->s.spin ? 0 : 100);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(load, c);
            pump(load, c);
        }
    }
    load->end_ns = dial_now_ns();
}

static double percentile_us(const struct load *load, double percent) {
    return (double)histogram_percentile(&load->latency, percent) / 1000;
}

static void report(const struct load *load) {
    double seconds = (double)(load->end_ns - load->measure_ns) / 1e9;
    double gb = (double)load->bytes / 1e9, millions = (double)load->requests / 1e6;
    double cpu = 0;
    if (load->s.process > 0)
        cpu = (double)(process_cpu_ns_of(load->s.process) - load->cpu_start) / 1e9;
    double own = (double)(process_cpu_ns() - load->own_cpu_start) / 1e9;
    printf(
        "{\"mb_s\":%.1f,\"requests_s\":%.0f,\"records_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
        "\"p999_us\":%.1f,"
        "\"max_us\":%.1f,\"broker_cpu\":%.3f,\"cpu_s_gb\":%.3f,\"cpu_s_mreq\":%.2f,\"generator_"
        "cpu\":%.3f,"
        "\"errors\":%llu,\"bytes\":%llu}\n",
        gb * 1000 / seconds, (double)load->requests / seconds,
        (double)load->requests * load->s.records / seconds, percentile_us(load, 50),
        percentile_us(load, 99), percentile_us(load, 99.9), (double)load->latency.max / 1000,
        cpu / seconds, gb > 0 ? cpu / gb : 0, millions > 0 ? cpu / millions : 0, own / seconds,
        (unsigned long long)load->errors, (unsigned long long)load->all_bytes);
}

static const char usage[] =
    "Usage: bench_load produce|fetch|commit|frame --port N [options]\n"
    "  frame writes one produce request to standard output and ends\n"
    "  --host A (127.0.0.1)  --topic T (bench)  --partitions N (1)  --create\n"
    "  --connections N (1)  --in-flight N (1)  --seconds S (3)  --total-bytes N\n"
    "  --records N (1)  --value-size N (100)  --acks -1|1 (1)  --compression 0-4 (0)   produce\n"
    "  --max-bytes N (1048576)  --wait-ms N (500)                     fetch\n"
    "  --process PID (the broker's, for its CPU)  --spin 1\n"
    "Example: bench_load produce --port 9092 --create --partitions 8 --connections 4 --in-flight 2 "
    "--records 9500\n";

static long long number(const char *name, const char *text) {
    char *end;
    long long value = text == NULL ? 0 : strtoll(text, &end, 10);
    if (text == NULL || *end != '\0') {
        fprintf(stderr, "%s wants a number\n%s", name, usage);
        exit(2);
    }
    return value;
}

static void parse(int count, char **words, struct settings *s) {
    *s = (struct settings){.host = "127.0.0.1",
                           .topic = "bench",
                           .partitions = 1,
                           .connections = 1,
                           .in_flight = 1,
                           .records = 1,
                           .value_size = 100,
                           .acks = 1,
                           .max_bytes = 1 << 20,
                           .wait_ms = 500,
                           .seconds = 3};
    if (count < 2 || (strcmp(words[1], "produce") != 0 && strcmp(words[1], "fetch") != 0 &&
                      strcmp(words[1], "commit") != 0 && strcmp(words[1], "frame") != 0)) {
        fputs(usage, stderr);
        exit(2);
    }
    s->print_frame = strcmp(words[1], "frame") == 0;
    s->mode = strcmp(words[1], "fetch") == 0    ? FETCH
              : strcmp(words[1], "commit") == 0 ? COMMIT
                                                : PRODUCE;
    struct {
        const char *name;
        int *value;
    } numbers[] = {{"--port", &s->port},
                   {"--partitions", &s->partitions},
                   {"--connections", &s->connections},
                   {"--in-flight", &s->in_flight},
                   {"--records", &s->records},
                   {"--value-size", &s->value_size},
                   {"--acks", &s->acks},
                   {"--compression", &s->compression},
                   {"--max-bytes", &s->max_bytes},
                   {"--wait-ms", &s->wait_ms},
                   {"--process", &s->process},
                   {"--spin", &s->spin}};
    for (int i = 2; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        bool known = false;
        if (strcmp(word, "--create") == 0) {
            s->create = true;
            continue;
        }
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            if (strcmp(word, numbers[k].name) != 0) continue;
            *numbers[k].value = (int)number(word, value);
            known = true;
        }
        if (strcmp(word, "--host") == 0 && value != NULL) s->host = value, known = true;
        if (strcmp(word, "--topic") == 0 && value != NULL) s->topic = value, known = true;
        if (strcmp(word, "--seconds") == 0 && value != NULL) s->seconds = atof(value), known = true;
        if (strcmp(word, "--total-bytes") == 0) s->total_bytes = number(word, value), known = true;
        if (!known) {
            fprintf(stderr, "cannot understand %s\n%s", word, usage);
            exit(2);
        }
        i++;
    }
    s->connections = MIN(s->connections, CONNECTIONS_MAX);
    s->in_flight = MIN(s->in_flight, IN_FLIGHT_MAX);
    if (s->mode == FETCH) s->in_flight = 1;  // the next offset is known from the reply only
}

// One produce request of the settings, for tools that time something else.
static int print_frame(const struct settings *s) {
    size_t size;
    struct frame frame;
    uint8_t *batch = frame_make_batch(s->records, (size_t)s->value_size, s->compression, 1, &size);
    frame_init(&frame, 512 + size);
    frame_produce(&frame, s->topic, 0, (int16_t)s->acks, slice_of(batch, size));
    fwrite(frame.data, 1, frame.size, stdout);
    return 0;
}

int main(int count, char **words) {
    struct load *load = memory_zalloc(1, sizeof *load);
    parse(count, words, &load->s);
    if (load->s.print_frame) return print_frame(&load->s);
    if (load->s.create)
        dial_create_topic(load->s.host, load->s.port, load->s.topic, load->s.partitions);
    if (load->s.mode == COMMIT) dial_await_coordinators(load->s.host, load->s.port);
    histogram_init(&load->latency);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = memory_zalloc((size_t)load->s.connections, sizeof *load->connections);
    size_t size = 0;
    uint8_t *batch = load->s.mode == FETCH
                         ? NULL
                         : frame_make_batch(load->s.records, (size_t)load->s.value_size,
                                            load->s.compression, 1, &size);
    for (int i = 0; i < load->s.connections; i++) {
        connection_init(load, &load->connections[i], i, slice_of(batch, size));
    }
    run(load);
    report(load);
    return load->errors > 0 ? 1 : 0;
}
