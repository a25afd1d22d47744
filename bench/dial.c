#include "bench/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"

uint64_t dial_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

int dial(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fatal("not an address: %s", host);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fatal("cannot connect to %s:%d: %s", host, port, strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void dial_send(int fd, const void *data, size_t size) {
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, (const uint8_t *)data + sent, size - sent, MSG_NOSIGNAL);
        if (n <= 0) fatal("cannot send: %s", strerror(errno));
        sent += (size_t)n;
    }
}

static void receive(int fd, uint8_t *data, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(fd, data + got, size - got, 0);
        if (n <= 0) fatal("the broker closed the connection");
        got += (size_t)n;
    }
}

uint8_t *dial_ask(int fd, const struct frame *frame, size_t *size) {
    dial_send(fd, frame->data, frame->size);
    uint8_t length[4];
    receive(fd, length, sizeof length);
    *size = load_u32(length);
    uint8_t *reply = memory_alloc(*size);
    receive(fd, reply, *size);
    return reply;
}

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

void dial_create_topic(const char *host, int port, const char *topic, int partitions) {
    struct frame frame;
    frame_init(&frame, 4096);
    int fd = dial(host, port);
    size_t size;
    frame_create_topic(&frame, topic, partitions);
    memory_free(dial_ask(fd, &frame, &size));
    for (int tries = 0; tries < 1000; tries++) {
        frame_metadata(&frame, topic);
        uint8_t *reply = dial_ask(fd, &frame, &size);
        // Metadata v1: the topic's error code stands behind brokers, controller id and topic count.
        // Looking for an answer of the right size is enough: a topic without leaders is answered
        // with an error and no partitions.
        bool ready = size > 60 + strlen(topic) + 20 * (size_t)partitions;
        memory_free(reply);
        if (ready) break;
        pause_ms(10);
    }
    close(fd);
    frame_deinit(&frame);
}

static bool is_loading(int16_t error) {
    return error >= 14 && error <= 16;  // COORDINATOR_LOAD_IN_PROGRESS to NOT_COORDINATOR
}

int32_t dial_count_offsets(int fd, const char *group) {
    struct frame frame;
    frame_init(&frame, 1024);
    int32_t count = 0;
    for (bool known = false; !known;) {
        frame_begin(&frame, 9, 2);  // OffsetFetch v2: all offsets, the error at the end
        frame_string(&frame, group);
        frame_u32(&frame, UINT32_MAX);
        frame_end(&frame);
        size_t size;
        uint8_t *reply = dial_ask(fd, &frame, &size);
        int16_t error = load_i16(reply + size - 2);
        known = error == 0;
        if (!known && !is_loading(error)) fatal("OffsetFetch: error %d", error);
        // One topic at most: its name, and how many partitions.
        if (known && load_i32(reply + 4) > 0)
            count = load_i32(reply + 4 + 4 + 2 + load_u16(reply + 4 + 4));
        memory_free(reply);
        if (!known) pause_ms(1);
    }
    frame_deinit(&frame);
    return count;
}

void dial_await_coordinators(const char *host, int port) {
    struct frame frame;
    frame_init(&frame, 1024);
    int fd = dial(host, port);
    for (bool known = false; !known;) {
        frame_begin(&frame, 10, 1);  // FindCoordinator v1
        frame_string(&frame, "group-0");
        frame_u8(&frame, 0);
        frame_end(&frame);
        size_t size;
        uint8_t *reply = dial_ask(fd, &frame, &size);
        int16_t error = load_i16(reply + 4 + 4);
        known = error == 0;
        if (!known && !is_loading(error)) fatal("FindCoordinator: error %d", error);
        memory_free(reply);
        if (!known) pause_ms(10);
    }
    // Many more groups than partitions of __consumer_offsets.
    for (int i = 0; i < 300; i++) {
        char group[32];
        snprintf(group, sizeof group, "group-%d", i);
        dial_count_offsets(fd, group);
    }
    close(fd);
    frame_deinit(&frame);
}
