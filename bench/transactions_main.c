// Transactions of one record: each producer has a transactional id and a connection of its own and
// goes round InitProducerId once, then Produce, EndTxn, Produce, … as fast as the broker answers
// (TV2, KIP-890: Produce v12 adds the partition, EndTxn v5 gives the next epoch). What is counted
// is transactions whose end was answered.
//
// Written by hand like frames.c, so that the same program measures every broker.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/histogram.h"
#include "base/memory.h"
#include "bench/frames.h"
#include "env/env_posix.h"
#include "wire/batch.h"

enum { PRODUCERS_MAX = 1024, REPLY_MAX = 4096 };
enum { PRODUCE = 0, FIND_COORDINATOR = 10, INIT_PRODUCER_ID = 22, END_TXN = 26 };
enum { CONCURRENT_TRANSACTIONS = 51, NOT_ENOUGH_REPLICAS = 19 };

enum step { STEP_INIT, STEP_PRODUCE, STEP_END };

struct producer {
    int socket;
    char id[64];
    int32_t partition;
    int64_t producer_id;
    int16_t epoch;
    enum step step;
    struct frame frame;
    uint8_t reply[REPLY_MAX];
    size_t got;
    uint64_t begun_ns;  // the transaction
};

struct bench {
    int port;
    int producers;
    int partitions;
    int acks;
    double seconds;
    int process;  // the broker's
    struct producer *list;
    uint8_t *batch;
    size_t batch_size;
    struct histogram latency;
    uint64_t count, retries;
    bool measuring;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

// ---- Requests ----

static int dial(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fatal("cannot connect: %s", strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_frame(int fd, struct frame *f) {
    frame_end(f);
    if (send(fd, f->data, f->size, MSG_NOSIGNAL) != (ssize_t)f->size) fatal("cannot send");
}

// Lengths here are below 16384.
static void frame_uvarint(struct frame *f, size_t v) {
    if (v >= 128) frame_u8(f, (uint8_t)(v | 128));
    frame_u8(f, (uint8_t)(v >= 128 ? v >> 7 : v));
}

static void frame_compact(struct frame *f, const char *text) {
    frame_uvarint(f, strlen(text) + 1);
    frame_bytes(f, text, strlen(text));
}

static void begin_flexible(struct frame *f, int16_t key, int16_t version) {
    frame_begin(f, key, version);
    frame_u8(f, 0);  // no tags
}

static void ask_init(struct producer *p) {
    p->step = STEP_INIT;
    begin_flexible(&p->frame, INIT_PRODUCER_ID, 4);
    frame_compact(&p->frame, p->id);
    frame_u32(&p->frame, 60000);
    frame_u64(&p->frame, UINT64_MAX);
    frame_u16(&p->frame, UINT16_MAX);
    frame_u8(&p->frame, 0);
    send_frame(p->socket, &p->frame);
}

static void ask_produce(const struct bench *b, struct producer *p) {
    p->step = STEP_PRODUCE;
    p->begun_ns = now_ns();
    struct frame *f = &p->frame;
    begin_flexible(f, PRODUCE, 12);
    frame_compact(f, p->id);
    frame_u16(f, (uint16_t)b->acks);
    frame_u32(f, 30000);
    frame_uvarint(f, 2);
    frame_compact(f, "bench");
    frame_uvarint(f, 2);
    frame_u32(f, (uint32_t)p->partition);
    frame_uvarint(f, b->batch_size + 1);
    uint8_t *batch = f->data + f->size;
    frame_bytes(f, b->batch, b->batch_size);
    store_u16(batch + BATCH_ATTRIBUTES, ATTRIBUTE_TRANSACTIONAL);
    store_i64(batch + BATCH_PRODUCER_ID, p->producer_id);
    store_i16(batch + BATCH_PRODUCER_EPOCH, p->epoch);
    store_i32(batch + BATCH_BASE_SEQUENCE, 0);
    batch_seal(batch, b->batch_size);
    for (int i = 0; i < 3; i++)
        frame_u8(f, 0);  // tags of partition, topic, request
    send_frame(p->socket, f);
}

static void ask_end(struct producer *p) {
    p->step = STEP_END;
    begin_flexible(&p->frame, END_TXN, 5);
    frame_compact(&p->frame, p->id);
    frame_u64(&p->frame, (uint64_t)p->producer_id);
    frame_u16(&p->frame, (uint16_t)p->epoch);
    frame_u8(&p->frame, 1);
    frame_u8(&p->frame, 0);
    send_frame(p->socket, &p->frame);
}

// ---- Replies: behind the correlation id and one byte of tags ----

static void produced(struct bench *b, struct producer *p, const uint8_t *body) {
    // topics, "bench", partitions, index, error
    int16_t error = load_i16(body + 1 + 6 + 1 + 4);
    if (error == 0) {
        ask_end(p);
        return;
    }
    if (error != CONCURRENT_TRANSACTIONS && error != NOT_ENOUGH_REPLICAS)
        fatal("Produce: error %d", error);
    b->retries++;
    ask_produce(b, p);
}

static void ended(struct bench *b, struct producer *p, const uint8_t *body) {
    int16_t error = load_i16(body + 4);
    if (error == CONCURRENT_TRANSACTIONS) {
        b->retries++;
        ask_end(p);
        return;
    }
    if (error != 0) fatal("EndTxn: error %d", error);
    p->producer_id = load_i64(body + 6);
    p->epoch = load_i16(body + 14);
    if (b->measuring) {
        b->count++;
        histogram_add(&b->latency, now_ns() - p->begun_ns);
    }
    ask_produce(b, p);
}

static void initialised(struct bench *b, struct producer *p, const uint8_t *body) {
    int16_t error = load_i16(body + 4);
    if (error != 0) {  // loading, or the topic is not there yet
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
        ask_init(p);
        return;
    }
    p->producer_id = load_i64(body + 6);
    p->epoch = load_i16(body + 14);
    ask_produce(b, p);
}

static void receive(struct bench *b, struct producer *p) {
    ssize_t n = recv(p->socket, p->reply + p->got, REPLY_MAX - p->got, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fatal("the broker closed the connection");
    p->got += (size_t)n;
    if (p->got < 4 || p->got < 4 + load_u32(p->reply)) return;
    p->got = 0;  // one request is under way
    const uint8_t *body = p->reply + 4 + 4 + 1;
    if (p->step == STEP_INIT)
        initialised(b, p, body);
    else if (p->step == STEP_PRODUCE)
        produced(b, p, body);
    else
        ended(b, p, body);
}

// ---- The run ----

static void wait_reply(int fd) {
    uint8_t reply[REPLY_MAX];
    if (recv(fd, reply, sizeof reply, 0) <= 0) fatal("the broker closed the connection");
}

// The data topic and, by asking for a coordinator, __transaction_state.
static void prepare(const struct bench *b) {
    struct frame f;
    frame_init(&f, REPLY_MAX);
    int fd = dial(b->port);
    frame_create_topic(&f, "bench", b->partitions);
    send_frame(fd, &f);
    wait_reply(fd);
    frame_begin(&f, FIND_COORDINATOR, 1);
    frame_string(&f, "bench-0");
    frame_u8(&f, 1);
    send_frame(fd, &f);
    wait_reply(fd);
    close(fd);
    frame_deinit(&f);
}

static void start(struct bench *b) {
    b->list = memory_zalloc((size_t)b->producers, sizeof *b->list);
    for (int i = 0; i < b->producers; i++) {
        struct producer *p = &b->list[i];
        snprintf(p->id, sizeof p->id, "bench-%d", i);
        p->partition = i % b->partitions;
        frame_init(&p->frame, 1024 + b->batch_size);
        p->socket = dial(b->port);
        ask_init(p);
    }
}

static void run(struct bench *b) {
    struct pollfd *fds = memory_zalloc((size_t)b->producers, sizeof *fds);
    for (int i = 0; i < b->producers; i++)
        fds[i] = (struct pollfd){.fd = b->list[i].socket, .events = POLLIN};
    uint64_t length = (uint64_t)(b->seconds * 1e9), begin = now_ns() + length / 2, cpu = 0;
    for (;;) {
        uint64_t now = now_ns();
        if (!b->measuring && now >= begin) {
            b->measuring = true;
            begin = now;
            if (b->process > 0) cpu = process_cpu_ns_of(b->process);
        }
        if (b->measuring && now >= begin + length) break;
        poll(fds, (nfds_t)b->producers, 100);
        for (int i = 0; i < b->producers; i++)
            if (fds[i].revents != 0) receive(b, &b->list[i]);
    }
    double seconds = (double)(now_ns() - begin) / 1e9;
    double used = b->process > 0 ? (double)(process_cpu_ns_of(b->process) - cpu) / 1e9 : 0;
    printf(
        "{\"transactions_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
        "\"broker_cpu\":%.3f,\"cpu_us_transaction\":%.2f,\"retries\":%llu}\n",
        (double)b->count / seconds, (double)histogram_percentile(&b->latency, 50) / 1000,
        (double)histogram_percentile(&b->latency, 99) / 1000, (double)b->latency.max / 1000,
        used / seconds, b->count > 0 ? used * 1e6 / (double)b->count : 0,
        (unsigned long long)b->retries);
    memory_free(fds);
}

static const char usage[] =
    "Usage: bench_transactions --port N [--producers N (1)] [--partitions N (8)] [--acks -1|1 "
    "(-1)]\n"
    "  [--value-size N (100)] [--seconds S (3)] [--process PID (the broker's, for its CPU)]\n"
    "Example: bench_transactions --port 9092 --producers 16\n";

int main(int count, char **words) {
    struct bench b = {.producers = 1, .partitions = 8, .acks = -1, .seconds = 3};
    int value_size = 100;
    for (int i = 1; i + 1 < count; i += 2) {
        int value = atoi(words[i + 1]);
        if (strcmp(words[i], "--port") == 0) b.port = value;
        if (strcmp(words[i], "--producers") == 0) b.producers = value;
        if (strcmp(words[i], "--partitions") == 0) b.partitions = value;
        if (strcmp(words[i], "--acks") == 0) b.acks = value;
        if (strcmp(words[i], "--value-size") == 0) value_size = value;
        if (strcmp(words[i], "--seconds") == 0) b.seconds = atof(words[i + 1]);
        if (strcmp(words[i], "--process") == 0) b.process = value;
    }
    if (b.port == 0 || b.producers < 1 || b.producers > PRODUCERS_MAX || value_size > 8000) {
        fputs(usage, stderr);
        return 2;
    }
    histogram_init(&b.latency);
    b.batch = frame_make_batch(1, (size_t)value_size, 0, 1, &b.batch_size);
    prepare(&b);
    start(&b);
    run(&b);
    return b.count > 0 ? 0 : 1;
}
