// The load generator for groups: members that speak the group protocols themselves, one connection
// each, in one thread.
//
//   classic, consumer     a group of N members. All but one join and become stable; then the last
//                         one joins, and what is counted is the time and the broker's CPU until all
//                         have their assignment of the new generation. Then all send heartbeats,
//                         one in flight each.
//   *-groups              N groups with one member each, made over a few connections: what one
//   costs
//                         in memory.
//   offsets, loaded       commits offsets of many groups; waits until a broker that has just
//   started
//                         knows them all.
//
// The members of a group go in rounds while it is not stable: every member asks once, and when all
// are answered (a classic member is answered when the rebalance ends;
// one whose heartbeat came too early to learn of it asks again) the next round begins. So
// what is counted is what the protocol needs, not a busy wait.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "bench/dial.h"
#include "env/env_posix.h"

enum {
    HEARTBEAT = 12,
    JOIN = 11,
    SYNC = 14,
    CONSUMER_HEARTBEAT = 68,
    REBALANCE_IN_PROGRESS = 27,
    ILLEGAL_GENERATION = 22,
    ID_SIZE = 128,
    OWNED_MAX = 4096,
    QUIET_MS = 20,
    PATIENCE_MS = 60000
};

enum step { IDLE, JOINING, SYNCING, BEATING };

struct settings {
    const char *host;
    int port;
    int process;  // the broker's, for CPU and memory
    int members;
    int groups;
    int partitions;  // of `offsets`
    int connections;
    double seconds;  // of heartbeats
};

struct member {
    int socket;
    int group;
    enum step step;
    bool has_joined;  // has an assignment of `generation`
    bool must_confirm;
    int32_t generation;  // or member epoch
    char id[ID_SIZE];
    uint8_t topic_id[16];
    int32_t owned[OWNED_MAX];
    int owned_count;
    uint8_t *in;
    size_t in_size, in_capacity;
};

struct bench {
    struct settings s;
    bool is_consumer;  // KIP-848
    int epoll;
    struct member *members;
    int started;    // members that take part
    int answering;  // requests under way
    uint64_t heartbeats;
    struct frame frame;
};

static const char topic[] = "bench";

// ---- Reading replies ----

struct cursor {
    const uint8_t *at, *end;
};

static const uint8_t *take(struct cursor *c, size_t size) {
    if ((size_t)(c->end - c->at) < size) fatal("a reply ends too early");
    const uint8_t *at = c->at;
    c->at += size;
    return at;
}

static uint64_t take_varint(struct cursor *c) {
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint8_t byte = *take(c, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) break;
    }
    return value;
}

static struct slice take_string(struct cursor *c) {
    int16_t size = load_i16(take(c, 2));
    return size < 0 ? SLICE_NULL : slice_of(take(c, (size_t)size), (size_t)size);
}

static struct slice take_compact(struct cursor *c) {
    uint64_t size = take_varint(c);
    return size == 0 ? SLICE_NULL : slice_of(take(c, size - 1), size - 1);
}

static void keep_id(struct member *m, struct slice id) {
    if (id.size >= ID_SIZE) fatal("a member id of %zu bytes", id.size);
    memcpy(m->id, id.data, id.size);
    m->id[id.size] = '\0';
}

// ---- Requests ----

static void send_frame(struct bench *b, struct member *m, enum step step) {
    frame_end(&b->frame);
    dial_send(m->socket, b->frame.data, b->frame.size);
    m->step = step;
    b->answering++;
}

static void frame_group(struct bench *b, const struct member *m) {
    char name[32];
    snprintf(name, sizeof name, "group-%d", m->group);
    frame_string(&b->frame, name);
}

static void send_join(struct bench *b, struct member *m) {
    struct frame *f = &b->frame;
    frame_begin(f, JOIN, 3);
    frame_group(b, m);
    frame_u32(f, 300000);  // session timeout
    frame_u32(f, 300000);  // rebalance timeout
    frame_string(f, m->id);
    frame_string(f, "consumer");
    frame_u32(f, 1);
    frame_string(f, "range");
    // The subscription: version 0, one topic, no user data.
    frame_u32(f, (uint32_t)(2 + 4 + 2 + strlen(topic) + 4));
    frame_u16(f, 0);
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, 0);
    m->has_joined = false;
    send_frame(b, m, JOINING);
}

// The assignment of partition `index`: version 0, one topic with one partition, no user data.
static void frame_assignment(struct frame *f, int index) {
    frame_u32(f, (uint32_t)(2 + 4 + 2 + strlen(topic) + 4 + 4 + 4));
    frame_u16(f, 0);
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, 1);
    frame_u32(f, (uint32_t)index);
    frame_u32(f, 0);
}

// `members` stands behind the array's count in a leader's JoinGroup reply.
static void send_sync(struct bench *b, struct member *m, struct cursor *members, int32_t count) {
    struct frame *f = &b->frame;
    frame_begin(f, SYNC, 2);
    frame_group(b, m);
    frame_u32(f, (uint32_t)m->generation);
    frame_string(f, m->id);
    frame_u32(f, (uint32_t)count);
    for (int32_t i = 0; i < count; i++) {
        struct slice id = take_string(members);
        take(members, load_u32(take(members, 4)));
        frame_u16(f, (uint16_t)id.size);
        frame_bytes(f, id.data, id.size);
        frame_assignment(f, i);
    }
    send_frame(b, m, SYNCING);
}

static void send_heartbeat(struct bench *b, struct member *m) {
    struct frame *f = &b->frame;
    frame_begin(f, HEARTBEAT, 2);
    frame_group(b, m);
    frame_u32(f, (uint32_t)m->generation);
    frame_string(f, m->id);
    send_frame(b, m, BEATING);
}

static void frame_varint(struct frame *f, size_t value) {
    for (; value >= 0x80; value >>= 7)
        frame_u8(f, (uint8_t)(value | 0x80));
    frame_u8(f, (uint8_t)value);
}

static void frame_compact(struct frame *f, const char *text) {
    frame_varint(f, strlen(text) + 1);
    frame_bytes(f, text, strlen(text));
}

// ConsumerGroupHeartbeat v0. Epoch 0 joins; what the member owns goes along when it has changed.
static void send_consumer_heartbeat(struct bench *b, struct member *m) {
    struct frame *f = &b->frame;
    bool joins = m->generation == 0;
    frame_begin(f, CONSUMER_HEARTBEAT, 0);
    frame_u8(f, 0);
    char name[32];
    snprintf(name, sizeof name, "group-%d", m->group);
    frame_compact(f, name);
    frame_compact(f, m->id);
    frame_u32(f, (uint32_t)m->generation);
    frame_u8(f, 0);                             // instance
    frame_u8(f, 0);                             // rack
    frame_u32(f, joins ? 300000 : UINT32_MAX);  // rebalance timeout
    frame_varint(f, joins ? 2 : 0);
    if (joins) frame_compact(f, topic);
    frame_u8(f, 0);  // assignor
    if (joins) {
        frame_varint(f, 1);
    } else if (!m->must_confirm) {
        frame_varint(f, 0);
    } else if (m->owned_count == 0) {
        frame_varint(f, 1);
    } else {
        frame_varint(f, 2);
        frame_bytes(f, m->topic_id, sizeof m->topic_id);
        frame_varint(f, (size_t)m->owned_count + 1);
        for (int i = 0; i < m->owned_count; i++)
            frame_u32(f, (uint32_t)m->owned[i]);
        frame_u8(f, 0);
    }
    frame_u8(f, 0);
    m->must_confirm = false;
    send_frame(b, m, joins ? JOINING : BEATING);
}

// The member's next request, whatever its state asks for.
static void ask(struct bench *b, struct member *m) {
    if (b->is_consumer) {
        send_consumer_heartbeat(b, m);
    } else if (m->has_joined) {
        send_heartbeat(b, m);
    } else {
        send_join(b, m);
    }
}

// ---- Replies ----

static void joined(struct bench *b, struct member *m, struct cursor *c) {
    take(c, 4);
    int16_t error = load_i16(take(c, 2));
    int32_t generation = load_i32(take(c, 4));
    take_string(c);
    struct slice leader = take_string(c), id = take_string(c);
    if (error == REBALANCE_IN_PROGRESS) {
        send_join(b, m);
        return;
    }
    if (error != 0) fatal("JoinGroup: error %d", error);
    m->generation = generation;
    keep_id(m, id);
    int32_t count = load_i32(take(c, 4));
    send_sync(b, m, c, slice_equal(leader, id) ? count : 0);
}

static void synced(struct bench *b, struct member *m, struct cursor *c) {
    take(c, 4);
    int16_t error = load_i16(take(c, 2));
    if (error == REBALANCE_IN_PROGRESS || error == ILLEGAL_GENERATION) {
        send_join(b, m);
    } else if (error != 0) {
        fatal("SyncGroup: error %d", error);
    } else {
        m->has_joined = true;
        m->owned_count = 1;
    }
}

static void beaten(struct bench *b, struct member *m, struct cursor *c) {
    take(c, 4);
    int16_t error = load_i16(take(c, 2));
    if (error == REBALANCE_IN_PROGRESS) {
        send_join(b, m);
    } else if (error != 0) {
        fatal("Heartbeat: error %d", error);
    } else {
        b->heartbeats++;
    }
}

static void consumer_answered(struct bench *b, struct member *m, struct cursor *c) {
    take(c, 1 + 4);
    int16_t error = load_i16(take(c, 2));
    struct slice sentence = take_compact(c);
    if (error != 0)
        fatal("ConsumerGroupHeartbeat: error %d: %.*s", error, (int)sentence.size,
              (const char *)sentence.data);
    struct slice id = take_compact(c);
    if (id.data != NULL) keep_id(m, id);
    m->generation = load_i32(take(c, 4));
    m->has_joined = true;
    b->heartbeats++;
    take(c, 4);
    if ((int8_t)*take(c, 1) < 0) return;
    m->must_confirm = true;
    m->owned_count = 0;
    for (uint64_t topics = take_varint(c); topics > 1; topics--) {
        memcpy(m->topic_id, take(c, 16), 16);
        uint64_t count = take_varint(c) - 1;
        if (count > OWNED_MAX) fatal("%llu partitions assigned", (unsigned long long)count);
        m->owned_count = (int)count;
        for (uint64_t i = 0; i < count; i++)
            m->owned[i] = load_i32(take(c, 4));
        take(c, 1);
    }
}

static void answered(struct bench *b, struct member *m, struct slice reply) {
    struct cursor c = {reply.data + 4, reply.data + reply.size};
    enum step step = m->step;
    m->step = IDLE;
    b->answering--;
    if (b->is_consumer) {
        consumer_answered(b, m, &c);
    } else if (step == JOINING) {
        joined(b, m, &c);
    } else if (step == SYNCING) {
        synced(b, m, &c);
    } else {
        beaten(b, m, &c);
    }
}

static void receive(struct bench *b, struct member *m) {
    if (m->in_capacity - m->in_size < 4096) {
        m->in_capacity = m->in_capacity == 0 ? 8192 : 2 * m->in_capacity;
        m->in = memory_realloc(m->in, m->in_capacity, 1);
    }
    ssize_t n = recv(m->socket, m->in + m->in_size, m->in_capacity - m->in_size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) fatal("the broker closed the connection");
    m->in_size += (size_t)n;
    if (m->in_size < 4 || m->in_size - 4 < load_u32(m->in)) return;
    // One request under way, so this is all of it.
    struct slice reply = slice_of(m->in + 4, load_u32(m->in));
    m->in_size = 0;
    answered(b, m, reply);
}

// False: nothing came.
static bool wait_some(struct bench *b, int wait_ms) {
    struct epoll_event events[256];
    int count = epoll_wait(b->epoll, events, 256, wait_ms);
    for (int i = 0; i < count; i++)
        receive(b, events[i].data.ptr);
    return count > 0;
}

// ---- A group ----

static bool is_stable(const struct bench *b) {
    int owned = 0;
    for (int i = 0; i < b->started; i++) {
        const struct member *m = &b->members[i];
        if (!m->has_joined || m->must_confirm || m->generation != b->members[0].generation)
            return false;
        owned += m->owned_count;
    }
    return owned == (b->is_consumer ? b->s.members : b->started);
}

struct cost {
    double wall_ms, cpu_ms;
    int rounds;
};

static void ask_idle(struct bench *b) {
    for (int i = 0; i < b->started; i++) {
        if (b->members[i].step == IDLE) ask(b, &b->members[i]);
    }
}

// Rounds until the group is stable.
static struct cost settle(struct bench *b) {
    struct cost cost = {0};
    uint64_t begin = dial_now_ns(), cpu = process_cpu_ns_of(b->s.process);
    do {
        cost.rounds++;
        // Backwards: the newest member joins first, and the others learn of it by heartbeat.
        for (int i = b->started - 1; i >= 0; i--)
            ask(b, &b->members[i]);
        int quiet = 0;
        while (b->answering > 0) {
            if (wait_some(b, QUIET_MS)) {
                quiet = 0;
            } else if (++quiet * QUIET_MS > PATIENCE_MS) {
                fatal("no answer within a minute");
            } else {
                // A heartbeat was answered before the rebalance that the others wait in had begun.
                ask_idle(b);
            }
        }
        if (cost.rounds > 1000) fatal("not stable after 1000 rounds");
    } while (!is_stable(b));
    cost.wall_ms = (double)(dial_now_ns() - begin) / 1e6;
    cost.cpu_ms = (double)(process_cpu_ns_of(b->s.process) - cpu) / 1e6;
    return cost;
}

static void members_init(struct bench *b, int count) {
    b->members = memory_zalloc((size_t)count, sizeof *b->members);
    for (int i = 0; i < count; i++) {
        struct member *m = &b->members[i];
        m->socket = dial(b->s.host, b->s.port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};
        epoll_ctl(b->epoll, EPOLL_CTL_ADD, m->socket, &event);
    }
}

// A classic group that nobody has joined yet answers its first member at once; the others join a
// group that is there.
static void begin_group(struct bench *b) {
    b->started = 1;
    if (!b->is_consumer) settle(b);
    b->started = b->s.members - 1;
}

static void run_group(struct bench *b) {
    members_init(b, b->s.members);
    begin_group(b);
    struct cost first = settle(b);
    b->started++;
    struct cost last = settle(b);
    b->heartbeats = 0;
    uint64_t begin = dial_now_ns(), cpu = process_cpu_ns_of(b->s.process);
    while (dial_now_ns() - begin < (uint64_t)(b->s.seconds * 1e9)) {
        ask_idle(b);
        wait_some(b, PATIENCE_MS);
    }
    double beats = (double)b->heartbeats, seconds = (double)(dial_now_ns() - begin) / 1e9;
    double beat_cpu = (double)(process_cpu_ns_of(b->s.process) - cpu) / 1e3;
    if (!is_stable(b)) fatal("the group did not stay stable");
    printf(
        "{\"first_wall_ms\":%.1f,\"first_cpu_ms\":%.1f,\"wall_ms\":%.1f,\"cpu_ms\":%.1f,"
        "\"rounds\":%d,\"heartbeats_s\":%.0f,\"heartbeat_cpu_us\":%.2f}\n",
        first.wall_ms, first.cpu_ms, last.wall_ms, last.cpu_ms, last.rounds, beats / seconds,
        beats > 0 ? beat_cpu / beats : 0);
}

// ---- Many groups ----

static void run_many(struct bench *b) {
    members_init(b, b->s.connections);
    b->started = b->s.connections;
    uint64_t before = process_resident_bytes_of(b->s.process);
    uint64_t begin = dial_now_ns(), cpu = process_cpu_ns_of(b->s.process);
    int done = 0;
    for (int begun = 0; done < b->s.groups;) {
        for (int i = 0; i < b->started; i++) {
            struct member *m = &b->members[i];
            if (m->step != IDLE) continue;
            if (m->has_joined) done++;
            m->has_joined = false;
            if (begun == b->s.groups) continue;
            m->group = ++begun;
            m->generation = m->owned_count = 0;
            m->must_confirm = false;
            m->id[0] = '\0';
            ask(b, m);
        }
        if (b->answering > 0) wait_some(b, PATIENCE_MS);
    }
    printf("{\"wall_ms\":%.1f,\"cpu_us_group\":%.2f,\"bytes_group\":%.0f}\n",
           (double)(dial_now_ns() - begin) / 1e6,
           (double)(process_cpu_ns_of(b->s.process) - cpu) / 1e3 / b->s.groups,
           ((double)process_resident_bytes_of(b->s.process) - (double)before) / b->s.groups);
}

// ---- Offsets ----

static void run_offsets(const struct bench *b) {
    struct frame frame;
    frame_init(&frame, 512 + (size_t)b->s.partitions * 16);
    int fd = dial(b->s.host, b->s.port);
    for (int i = 0; i < b->s.groups; i++) {
        char group[32];
        snprintf(group, sizeof group, "group-%d", i);
        frame_offset_commit(&frame, group, topic, 0, b->s.partitions);
        size_t size;
        uint8_t *reply = dial_ask(fd, &frame, &size);
        int16_t error = load_i16(reply + frame_offset_commit_error(topic));
        if (error != 0) fatal("OffsetCommit: error %d", error);
        memory_free(reply);
    }
    close(fd);
    frame_deinit(&frame);
    puts("{}");
}

static void run_loaded(const struct bench *b) {
    int fd = dial(b->s.host, b->s.port);
    long offsets = 0;
    for (int i = 0; i < b->s.groups; i++) {
        char group[32];
        snprintf(group, sizeof group, "group-%d", i);
        offsets += dial_count_offsets(fd, group);
    }
    close(fd);
    if (offsets != (long)b->s.groups * b->s.partitions) fatal("%ld offsets are there", offsets);
    printf("{\"offsets\":%ld,\"cpu_ms\":%.1f}\n", offsets,
           (double)process_cpu_ns_of(b->s.process) / 1e6);
}

static const char usage[] =
    "Usage: bench_groups classic|consumer|classic-groups|consumer-groups|offsets|loaded --port N\n"
    "  --process PID (the broker's, for its CPU and memory)  --host A (127.0.0.1)\n"
    "  --members N (100)  --seconds S (2, of heartbeats)               classic, consumer\n"
    "  --groups N (10000)  --connections N (50)                        *-groups\n"
    "  --groups N (10000)  --partitions N (100, commits each group)    offsets, loaded\n"
    "Example: bench_groups consumer --port 9092 --process 4711 --members 1000\n";

static void parse(int count, char **words, struct settings *s) {
    *s = (struct settings){.host = "127.0.0.1",
                           .members = 100,
                           .groups = 10000,
                           .partitions = 100,
                           .connections = 50,
                           .seconds = 2};
    struct {
        const char *name;
        int *value;
    } numbers[] = {{"--port", &s->port},
                   {"--process", &s->process},
                   {"--members", &s->members},
                   {"--groups", &s->groups},
                   {"--partitions", &s->partitions},
                   {"--connections", &s->connections}};
    for (int i = 2; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--host") == 0) s->host = words[i + 1];
        if (strcmp(words[i], "--seconds") == 0) s->seconds = atof(words[i + 1]);
        for (size_t k = 0; k < COUNT_OF(numbers); k++) {
            if (strcmp(words[i], numbers[k].name) == 0) *numbers[k].value = atoi(words[i + 1]);
        }
    }
    if (count >= 2 && s->port > 0 && s->process > 0) return;
    fputs(usage, stderr);
    exit(2);
}

int main(int count, char **words) {
    struct bench *b = memory_zalloc(1, sizeof *b);
    parse(count, words, &b->s);
    const char *mode = words[1];
    b->is_consumer = strncmp(mode, "consumer", 8) == 0;
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    frame_init(&b->frame, (size_t)4 << 20);
    bool of_many = strstr(mode, "-groups") != NULL;
    bool one = !of_many && (b->is_consumer || strcmp(mode, "classic") == 0);
    if (strcmp(mode, "loaded") != 0) {
        dial_await_coordinators(b->s.host, b->s.port);
        dial_create_topic(b->s.host, b->s.port, topic,
                          one       ? b->s.members
                          : of_many ? 1
                                    : b->s.partitions);
    }
    if (one) {
        run_group(b);
    } else if (of_many) {
        run_many(b);
    } else if (strcmp(mode, "offsets") == 0) {
        run_offsets(b);
    } else if (strcmp(mode, "loaded") == 0) {
        run_loaded(b);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}
