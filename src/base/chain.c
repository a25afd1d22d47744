// Small writes are gathered into blocks that the chain owns: a block is a span with `capacity` > 0
// whose bytes follow the struct. Borrowed memory and file ranges are spans of their own. The last
// span takes further small writes only while it is an owned block with room.
//
// The first block is small: most replies fit into it, it is cheap to allocate, and when such a
// reply moves to a connection's output its bytes are copied behind the last ones, so that a
// thousand small replies leave as a few parts of one send.
#include "base/chain.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "base/varint.h"

enum { BLOCK_FIRST = 64, BLOCK_SIZE = 512 - sizeof(struct span), BLOCK_MAX = 16 * 1024 };

struct block {
    struct span span;
    uint8_t bytes[];
};

void chain_init(struct chain *c) {
    *c = (struct chain){0};
}

static void span_free(struct span *s) {
    if (s->pin != NULL) s->pin->release(s->pin);
    memory_free(s);
}

void chain_deinit(struct chain *c) {
    for (struct span *s = c->first; s != NULL;) {
        struct span *next = s->next;
        span_free(s);
        s = next;
    }
    chain_init(c);
}

static void link_span(struct chain *c, struct span *s) {
    s->next = NULL;
    if (c->last == NULL) {
        c->first = s;
    } else {
        c->last->next = s;
    }
    c->last = s;
}

// Blocks grow with the chain, so that a long reply does not become thousands of spans.
static struct span *add_block(struct chain *c, size_t size) {
    size_t grown = MAX((size_t)BLOCK_SIZE, MIN(c->size, (size_t)BLOCK_MAX));
    size_t capacity = MAX(size, c->first == NULL ? (size_t)BLOCK_FIRST : grown);
    struct block *b = memory_alloc(sizeof *b + capacity);
    b->span = (struct span){.data = b->bytes, .capacity = capacity};
    link_span(c, &b->span);
    return &b->span;
}

static size_t room(const struct span *s) {
    if (s == NULL || s->capacity == 0) return 0;
    const struct block *b = container_of(s, const struct block, span);
    return s->capacity - (size_t)(s->data - b->bytes) - s->size;
}

uint8_t *chain_reserve(struct chain *c, size_t size) {
    struct span *s = room(c->last) >= size && size > 0 ? c->last : add_block(c, size);
    uint8_t *at = (uint8_t *)(uintptr_t)(s->data + s->size);
    s->size += size;
    c->size += size;
    return at;
}

void chain_append(struct chain *c, const void *data, size_t size) {
    if (size > 0) memcpy(chain_reserve(c, size), data, size);
}

void chain_append_borrowed(struct chain *c, struct slice bytes, struct pin *pin) {
    struct span *s = memory_alloc(sizeof *s);
    *s = (struct span){.data = bytes.data, .size = bytes.size, .pin = pin};
    link_span(c, s);
    c->size += bytes.size;
}

void chain_append_file(struct chain *c, struct file *file, uint64_t position, size_t size,
                       struct pin *pin) {
    struct span *s = memory_alloc(sizeof *s);
    *s = (struct span){.file = file, .position = position, .size = size, .pin = pin};
    link_span(c, s);
    c->size += size;
}

void chain_move(struct chain *to, struct chain *from) {
    if (from->first == NULL) return;
    if (from->first == from->last && from->first->capacity > 0 && from->size <= BLOCK_FIRST) {
        chain_append(to, from->first->data, from->size);
        chain_deinit(from);
        return;
    }
    if (to->last == NULL) {
        to->first = from->first;
    } else {
        to->last->next = from->first;
    }
    to->last = from->last;
    to->size += from->size;
    chain_init(from);
}

void chain_consume(struct chain *c, size_t size) {
    assert(size <= c->size);
    c->size -= size;
    while (c->first != NULL && c->first->size <= size) {
        struct span *s = c->first;
        size -= s->size;
        c->first = s->next;
        if (c->first == NULL) c->last = NULL;
        span_free(s);
    }
    if (size > 0) {
        c->first->size -= size;
        if (c->first->file != NULL) {
            c->first->position += size;
        } else {
            c->first->data += size;
        }
    }
}

bool chain_copy_out(const struct chain *c, uint8_t *out) {
    for (const struct span *s = c->first; s != NULL; s = s->next) {
        if (s->file != NULL) return false;
        if (s->size > 0) memcpy(out, s->data, s->size);
        out += s->size;
    }
    return true;
}

void chain_u8(struct chain *c, uint8_t v) {
    *chain_reserve(c, 1) = v;
}
void chain_u16(struct chain *c, uint16_t v) {
    store_u16(chain_reserve(c, 2), v);
}
void chain_u32(struct chain *c, uint32_t v) {
    store_u32(chain_reserve(c, 4), v);
}
void chain_u64(struct chain *c, uint64_t v) {
    store_u64(chain_reserve(c, 8), v);
}

void chain_uvarint(struct chain *c, uint32_t v) {
    uint8_t bytes[VARINT_MAX];
    chain_append(c, bytes, uvarint_write(bytes, v));
}
void chain_uvarlong(struct chain *c, uint64_t v) {
    uint8_t bytes[VARLONG_MAX];
    chain_append(c, bytes, uvarlong_write(bytes, v));
}
void chain_varint(struct chain *c, int32_t v) {
    chain_uvarint(c, zigzag32(v));
}
void chain_varlong(struct chain *c, int64_t v) {
    chain_uvarlong(c, zigzag64(v));
}
