// What an encoder writes and a socket sends: a list of spans, each either memory or a range of a
// file (design §2). Memory spans are owned by the chain (small writes are gathered into shared
// blocks) or pinned through a reference; a file span pins its file until it was sent. Appending is
// cheap; one owner; not thread-safe.
#pragma once

#include "base/slice.h"

struct file;  // env/env.h

// Keeps something alive while spans refer to it. `release` is called once per span that was added
// with this pin, when the span was consumed or the chain was cleared.
struct pin {
    void (*release)(struct pin *pin);
};

struct span {
    struct span *next;
    struct file *file;    // NULL: memory
    uint64_t position;    // in the file, for file spans
    const uint8_t *data;  // for memory spans
    size_t size;          // bytes left of this span
    size_t capacity;      // for owned blocks: room behind data + size is `capacity - size`; 0 for
                          // borrowed memory
    struct pin *pin;      // may be NULL
};

struct chain {
    struct span *first;
    struct span *last;
    size_t size;  // of all spans together
};

void chain_init(struct chain *c);
// Releases all spans and pins.
void chain_deinit(struct chain *c);

// Copies the bytes behind the last ones.
void chain_append(struct chain *c, const void *data, size_t size);

// Room for `size` contiguous bytes at the end, which the caller fills at once (their size is
// already counted).
uint8_t *chain_reserve(struct chain *c, size_t size);

// Borrows memory until `pin` is released (pin may be NULL when the memory outlives the chain).
void chain_append_borrowed(struct chain *c, struct slice bytes, struct pin *pin);

// A range of an open file. Takes one count of `pin` (may be NULL).
void chain_append_file(struct chain *c, struct file *file, uint64_t position, size_t size,
                       struct pin *pin);

// Moves all spans of `from` behind those of `to`; `from` is empty afterwards.
void chain_move(struct chain *to, struct chain *from);

// Drops the first `size` bytes (they were sent).
void chain_consume(struct chain *c, size_t size);

// Copies all memory spans into one array of `c->size` bytes; false when there is a file span.
bool chain_copy_out(const struct chain *c, uint8_t *out);

// Big-endian and varint writers, the counterparts of reader.h.
void chain_u8(struct chain *c, uint8_t v);
void chain_u16(struct chain *c, uint16_t v);
void chain_u32(struct chain *c, uint32_t v);
void chain_u64(struct chain *c, uint64_t v);
void chain_uvarint(struct chain *c, uint32_t v);
void chain_uvarlong(struct chain *c, uint64_t v);
void chain_varint(struct chain *c, int32_t v);
void chain_varlong(struct chain *c, int64_t v);
