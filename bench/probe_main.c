// The ceiling probe: one thread doing the least that a broker must do. It receives frames, checks
// each batch's CRC, appends the batch to a file per partition and answers; it serves fetches from
// those files by sendfile. No topics, no indexes, no recovery: what it reaches is the physical
// limit of this machine for a broker on one core, and a broker's result is given as a part of it.
//
// It knows the fixed frames of bench/frames.h only. All complete frames of one receive are answered
// by one send; adjacent batches of one partition go to the file in one pwritev, as a broker may.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "bench/frames.h"
#include "wire/batch.h"

enum { PARTITIONS_MAX = 1024, RECEIVE_SIZE = 256 * 1024, PARTS_MAX = 512 };

struct probe_partition {
    int file;
    uint64_t size;
    int64_t end;
    uint64_t *positions;  // of each batch
    int64_t *offsets;
    size_t batches, capacity;
};

struct probe_connection {
    int socket;
    uint8_t *partial;  // bytes of an incomplete frame
    size_t partial_size, partial_capacity;
};

struct probe {
    int epoll;
    bool sync;
    const char *directory;
    struct probe_partition partitions[PARTITIONS_MAX];
    uint8_t receive[RECEIVE_SIZE];
    uint8_t *out;
    size_t out_size, out_capacity;
    // Writes gathered for one partition.
    struct iovec parts[PARTS_MAX];
    int part_count;
    struct probe_partition *pending;
};

static void probe_write_pending(struct probe *p) {
    if (p->part_count == 0) return;
    struct iovec *part = p->parts;
    int count = p->part_count;
    while (count > 0) {
        ssize_t written = pwritev(p->pending->file, part, count, (off_t)p->pending->size);
        if (written < 0) fatal("probe: write: %s", strerror(errno));
        p->pending->size += (uint64_t)written;
        while (count > 0 && (size_t)written >= part->iov_len) {
            written -= (ssize_t)part->iov_len;
            part++;
            count--;
        }
        if (count > 0) {
            part->iov_base = (uint8_t *)part->iov_base + written;
            part->iov_len -= (size_t)written;
        }
    }
    if (p->sync && fdatasync(p->pending->file) != 0) fatal("probe: sync: %s", strerror(errno));
    p->part_count = 0;
}

static struct probe_partition *probe_partition(struct probe *p, int32_t index) {
    assert(index >= 0 && index < PARTITIONS_MAX);
    struct probe_partition *partition = &p->partitions[index];
    if (partition->file == 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d.log", p->directory, index);
        partition->file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (partition->file < 0) fatal("probe: %s: %s", path, strerror(errno));
    }
    return partition;
}

static uint8_t *probe_out(struct probe *p, size_t size) {
    if (p->out_size + size > p->out_capacity) {
        p->out_capacity = (p->out_size + size) * 2;
        p->out = memory_realloc(p->out, p->out_capacity, 1);
    }
    uint8_t *room = p->out + p->out_size;
    p->out_size += size;
    return room;
}

static void probe_produce(struct probe *p, uint8_t *frame) {
    uint8_t *at = frame + 14 + load_u16(frame + 12);  // behind the client id
    at += 2 + 2 + 4 + 4;
    uint16_t topic_size = load_u16(at);
    const uint8_t *topic = at;
    at += 2 + topic_size + 4;
    int32_t index = load_i32(at);
    uint32_t size = load_u32(at + 4);
    uint8_t *batch = at + 8;
    struct probe_partition *partition = probe_partition(p, index);
    if (crc32c(0, batch + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES) != load_u32(batch + BATCH_CRC))
        fatal("probe: bad CRC");
    if (p->pending != partition || p->part_count == PARTS_MAX) probe_write_pending(p);
    p->pending = partition;
    int64_t base = partition->end;
    store_i64(batch + BATCH_BASE_OFFSET, base);
    partition->end += load_i32(batch + BATCH_LAST_OFFSET_DELTA) + 1;
    if (partition->batches == partition->capacity) {
        partition->capacity = partition->capacity == 0 ? 1024 : partition->capacity * 2;
        partition->positions = memory_realloc(partition->positions, partition->capacity, 8);
        partition->offsets = memory_realloc(partition->offsets, partition->capacity, 8);
    }
    uint64_t position = partition->size;
    for (int i = 0; i < p->part_count; i++)
        position += p->parts[i].iov_len;
    partition->positions[partition->batches] = position;
    partition->offsets[partition->batches++] = base;
    p->parts[p->part_count++] = (struct iovec){batch, size};

    size_t reply_size = 4 + 4 + 4 + 2 + topic_size + 4 + 4 + 2 + 8 + 8 + 8 + 4;
    uint8_t *out = probe_out(p, reply_size);
    store_u32(out, (uint32_t)(reply_size - 4));
    memcpy(out + 4, frame + 8, 4);
    store_u32(out + 8, 1);
    memcpy(out + 12, topic, 2u + topic_size);
    out += 14 + topic_size;
    store_u32(out, 1);
    store_i32(out + 4, index);
    store_u16(out + 8, 0);
    store_i64(out + 10, base);
    store_i64(out + 18, -1);
    store_i64(out + 26, 0);
    store_u32(out + 34, 0);
}

static void probe_flush(struct probe *p, int socket, int flags) {
    size_t sent = 0;
    while (sent < p->out_size) {
        ssize_t n = send(socket, p->out + sent, p->out_size - sent, MSG_NOSIGNAL | flags);
        if (n < 0 && errno != EAGAIN) break;  // it is gone, and its replies with it
        if (n > 0) sent += (size_t)n;
    }
    p->out_size = 0;
}

static void probe_fetch(struct probe *p, int socket, const uint8_t *frame) {
    probe_write_pending(p);
    const uint8_t *at = frame + 14 + load_u16(frame + 12);
    at += 4 + 4 + 4 + 4 + 1 + 4;
    uint16_t topic_size = load_u16(at);
    const uint8_t *topic = at;
    at += 2 + topic_size + 4;
    int32_t index = load_i32(at);
    int64_t offset = load_i64(at + 4);
    uint64_t max = load_u32(at + 12);
    struct probe_partition *partition = probe_partition(p, index);
    size_t low = 0, high = partition->batches;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (partition->offsets[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    uint64_t from = partition->batches == 0 || offset >= partition->end ? partition->size
                                                                        : partition->positions[low];
    uint64_t size = MIN(partition->size - from, max);
    size_t head = 4 + 4 + 4 + 4 + 2 + topic_size + 4 + 4 + 2 + 8 + 8 + 4 + 4;
    uint8_t *out = probe_out(p, head);
    store_u32(out, (uint32_t)(head - 4 + size));
    memcpy(out + 4, frame + 8, 4);
    store_u32(out + 8, 0);
    store_u32(out + 12, 1);
    memcpy(out + 16, topic, 2u + topic_size);
    out += 18 + topic_size;
    store_u32(out, 1);
    store_i32(out + 4, index);
    store_u16(out + 8, 0);
    store_i64(out + 10, partition->end);
    store_i64(out + 18, partition->end);
    store_u32(out + 26, UINT32_MAX);  // no aborted transactions
    store_u32(out + 30, (uint32_t)size);
    if (size > 0 && size < 16384) {
        uint8_t *room = probe_out(p, size);
        if (pread(partition->file, room, size, (off_t)from) != (ssize_t)size) fatal("probe: read");
        return;
    }
    probe_flush(p, socket, size > 0 ? MSG_MORE : 0);
    off_t position = (off_t)from;
    while (size > 0) {
        ssize_t n = sendfile(socket, partition->file, &position, size);
        if (n < 0 && errno != EAGAIN) return;
        if (n > 0) size -= (uint64_t)n;
    }
}

// Any other request is answered with zeros: success for CreateTopics, and for Metadata long enough
// to look like an answer with a leader for every partition (dial_create_topic waits for one).
static void probe_other(struct probe *p, const uint8_t *frame) {
    size_t size = 128 + 20 * (size_t)PARTITIONS_MAX;
    uint8_t *out = probe_out(p, size);
    memset(out, 0, size);
    store_u32(out, (uint32_t)(size - 4));
    memcpy(out + 4, frame + 8, 4);
}

static size_t probe_frames(struct probe *p, int socket, uint8_t *data, size_t size) {
    size_t used = 0;
    while (size - used >= 4) {
        uint32_t length = load_u32(data + used);
        if (size - used - 4 < length) break;
        uint8_t *frame = data + used;
        int16_t key = load_i16(frame + 4);
        if (key == FRAME_PRODUCE)
            probe_produce(p, frame);
        else if (key == FRAME_FETCH)
            probe_fetch(p, socket, frame);
        else
            probe_other(p, frame);
        used += 4 + (size_t)length;
    }
    probe_write_pending(p);
    probe_flush(p, socket, 0);
    return used;
}

static bool probe_readable(struct probe *p, struct probe_connection *c) {
    if (c->partial_size > 0) {
        size_t want = 4;
        if (c->partial_size >= 4) want = 4 + (size_t)load_u32(c->partial);
        if (c->partial_capacity < want + RECEIVE_SIZE) {
            c->partial_capacity = want + RECEIVE_SIZE;
            c->partial = memory_realloc(c->partial, c->partial_capacity, 1);
        }
        ssize_t n =
            recv(c->socket, c->partial + c->partial_size,
                 MIN((size_t)RECEIVE_SIZE, c->partial_capacity - c->partial_size), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
        if (n < 0) return true;
        c->partial_size += (size_t)n;
        if (c->partial_size < want) return true;
        size_t used = probe_frames(p, c->socket, c->partial, c->partial_size);
        memmove(c->partial, c->partial + used, c->partial_size - used);
        c->partial_size -= used;
        return true;
    }
    ssize_t n = recv(c->socket, p->receive, RECEIVE_SIZE, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
    if (n < 0) return true;
    size_t used = probe_frames(p, c->socket, p->receive, (size_t)n);
    size_t left = (size_t)n - used;
    if (left > 0) {
        if (c->partial_capacity < left + RECEIVE_SIZE) {
            c->partial_capacity = left + RECEIVE_SIZE;
            c->partial = memory_realloc(c->partial, c->partial_capacity, 1);
        }
        memcpy(c->partial, p->receive + used, left);
        c->partial_size = left;
    }
    return true;
}

static int probe_listen(uint16_t port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0)
        fatal("probe: port %u: %s", port, strerror(errno));
    return listener;
}

static uint64_t probe_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void probe_accept(struct probe *p, int listener) {
    int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct probe_connection *c = memory_zalloc(1, sizeof *c);
    c->socket = socket;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(p->epoll, EPOLL_CTL_ADD, socket, &event);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr,
                "Usage: bench_probe PORT DIRECTORY SPIN_US [sync]\n"
                "Example: bench_probe 19999 /tmp/probe 50\n");
        return 2;
    }
    struct probe *p = memory_zalloc(1, sizeof *p);
    p->directory = argv[2];
    uint64_t spin_ns = strtoull(argv[3], NULL, 10) * 1000;
    p->sync = argc > 4;
    int listener = probe_listen((uint16_t)atoi(argv[1]));
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(p->epoll, EPOLL_CTL_ADD, listener, &event);
    uint64_t active = 0;
    for (;;) {
        struct epoll_event events[256];
        bool spinning = spin_ns > 0 && probe_now_ns() - active < spin_ns;
        int count = epoll_wait(p->epoll, events, 256, spinning ? 0 : -1);
        if (count > 0 && spin_ns > 0) active = probe_now_ns();
        for (int i = 0; i < count; i++) {
            struct probe_connection *c = events[i].data.ptr;
            if (c == NULL) {
                probe_accept(p, listener);
            } else if (!probe_readable(p, c)) {
                close(c->socket);
                memory_free(c->partial);
                memory_free(c);
            }
        }
    }
}
