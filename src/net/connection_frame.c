// Cutting the byte stream into frames.
//
// A frame is an int32 size and that many bytes. The size is checked as soon as its four bytes are
// there, and charged to the memory budget before anything is stored. Bytes are received into a
// buffer that all connections of the net share; a frame that lies whole in it is sliced out without
// a copy. One that does not gets a buffer of its own, which starts small and doubles while bytes
// arrive, up to the frame's size: a peer that announces 100 MB and sends nothing costs 64 KiB.
#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "net/connection.h"

enum { RECEIVE_BYTES = 256 * 1024, RECEIVE_MIN = 16 * 1024, FRAME_FIRST = 64 * 1024 };

bool connection_waits_for_budget(const struct connection *c) {
    return c->frame_known && !c->frame_charged;
}

static size_t pending_size(const struct connection *c) {
    return c->pending_to - c->pending_from;
}

static void pending_take(struct connection *c, size_t size) {
    c->pending_from += size;
    if (c->pending_from < c->pending_to) return;
    buffer_unref(c->pending);
    c->pending = NULL;
    c->pending_from = c->pending_to = 0;
}

// What a size that cannot be one tells of the peer.
static void describe_bad_size(const uint8_t *bytes, int32_t size, int32_t max,
                              struct message *why) {
    if (bytes[0] == 0x16 && bytes[1] == 0x03) {
        message_set(why, "a TLS handshake on a listener without TLS");
    } else if (memcmp(bytes, "GET ", 4) == 0 || memcmp(bytes, "POST", 4) == 0 ||
               memcmp(bytes, "HEAD", 4) == 0 || memcmp(bytes, "PUT ", 4) == 0) {
        message_set(why, "an HTTP request; this port speaks Kafka's protocol");
    } else {
        message_set(why, "a frame size of %d; 1 to %d (socket.request.max.bytes) is allowed", size,
                    max);
    }
}

// Completes the four bytes of the size; ERR_WOULD_BLOCK when some are missing.
static enum err frame_take_size(struct connection *c, struct message *why) {
    while (c->size_have < sizeof c->size_bytes) {
        if (pending_size(c) == 0) return ERR_WOULD_BLOCK;
        c->size_bytes[c->size_have++] = c->pending->data[c->pending_from];
        pending_take(c, 1);
    }
    int32_t size = load_i32(c->size_bytes);
    if (size <= 0 || size > c->net->options.limits.request_bytes_max) {
        describe_bad_size(c->size_bytes, size, c->net->options.limits.request_bytes_max, why);
        return ERR_INVALID;
    }
    c->frame_known = true;
    c->frame_size = (uint32_t)size;
    c->frame_charged = budget_charge(&c->net->budget, &c->waiter, c->frame_size);
    return ERR_NONE;
}

// The own buffer gets room for more bytes.
static void frame_grow(struct connection *c, size_t needed) {
    size_t capacity = c->frame == NULL ? 0 : c->frame->capacity;
    if (capacity >= needed) return;
    size_t wanted = MAX(MAX(needed, (size_t)FRAME_FIRST), capacity * 2);
    wanted = MIN(wanted, (size_t)c->frame_size);
    if (c->frame == NULL) {
        c->frame = buffer_new(wanted);
        return;
    }
    assert(c->frame->references == 1);
    c->frame = memory_realloc(c->frame, 1, sizeof *c->frame + wanted);
    c->frame->capacity = wanted;
}

static void frame_forget(struct connection *c) {
    c->size_have = 0;
    c->frame_known = c->frame_charged = false;
    c->frame_size = 0;
    c->frame = NULL;
    c->frame_deadline_ns = 0;
}

enum err connection_next_frame(struct connection *c, struct buffer **holder, struct slice *bytes,
                               struct message *why) {
    if (!c->frame_known) {
        enum err e = frame_take_size(c, why);
        if (e != ERR_NONE) return e;
    }
    if (!c->frame_charged) return ERR_WOULD_BLOCK;
    size_t there = pending_size(c);
    if (c->frame == NULL && there >= c->frame_size) {
        *holder = buffer_ref(c->pending);
        *bytes = slice_of(c->pending->data + c->pending_from, c->frame_size);
        pending_take(c, c->frame_size);
        frame_forget(c);
        return ERR_NONE;
    }
    if (there > 0) {
        size_t have = c->frame == NULL ? 0 : c->frame->size;
        size_t take = MIN(there, c->frame_size - have);
        frame_grow(c, have + take);
        memcpy(c->frame->data + have, c->pending->data + c->pending_from, take);
        c->frame->size += take;
        pending_take(c, take);
    }
    if (c->frame == NULL || c->frame->size < c->frame_size) return ERR_WOULD_BLOCK;
    *holder = c->frame;
    *bytes = slice_of(c->frame->data, c->frame_size);
    frame_forget(c);
    return ERR_NONE;
}

// The shared buffer, with room; starts over when no request holds it any more.
static struct buffer *net_receive_buffer(struct net *net) {
    if (net->receive != NULL && net->receive->references == 1) net->receive->size = 0;
    if (net->receive == NULL || net->receive->capacity - net->receive->size < RECEIVE_MIN) {
        buffer_unref(net->receive);
        net->receive = buffer_new(RECEIVE_BYTES);
    }
    return net->receive;
}

enum err connection_receive(struct connection *c, bool *drained) {
    assert(c->pending == NULL);
    struct buffer *into;
    size_t room;
    if (c->frame_known) {
        frame_grow(c, (c->frame == NULL ? 0 : c->frame->size) + 1);
        into = c->frame;
        room = into->capacity - into->size;
    } else {
        into = net_receive_buffer(c->net);
        room = into->capacity - into->size;
    }
    size_t got;
    enum err e = c->filter->type->receive(c->filter, into->data + into->size, room, &got);
    if (e != ERR_NONE) return e;
    if (!c->frame_known) {
        c->pending = buffer_ref(into);
        c->pending_from = into->size;
        c->pending_to = into->size + got;
    }
    into->size += got;
    *drained = got < room;
    return ERR_NONE;
}

void connection_drop_frame(struct connection *c) {
    if (list_is_linked(&c->waiter.link)) budget_cancel(&c->net->budget, &c->waiter);
    if (c->frame_charged) budget_release(&c->net->budget, c->frame_size);
    buffer_unref(c->frame);
    frame_forget(c);
    buffer_unref(c->pending);
    c->pending = NULL;
    c->pending_from = c->pending_to = 0;
}
