// What the generators share beside frames: blocking connections, one question at a time, the clock.
// A generator ends with a sentence (fatal) when the broker cannot be reached.
#pragma once

#include "bench/frames.h"

uint64_t dial_now_ns(void);  // monotonic
// A connected socket with TCP_NODELAY.
int dial(const char *host, int port);
// Sends all of it, waiting for room.
void dial_send(int fd, const void *data, size_t size);
// One request and its reply without the length, returned owned: the correlation id comes first.
uint8_t *dial_ask(int fd, const struct frame *frame, size_t *size);
// Creates the topic (or finds it there) and waits until every partition has a leader.
void dial_create_topic(const char *host, int port, const char *topic, int partitions);
// How many offsets the group has, once its coordinator is there and has loaded it.
int32_t dial_count_offsets(int fd, const char *group);
// Has __consumer_offsets created and waits until its partitions are led and loaded.
void dial_await_coordinators(const char *host, int port);
