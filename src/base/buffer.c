#include "base/buffer.h"

#include "base/assert.h"
#include "base/memory.h"

struct buffer *buffer_new(size_t capacity) {
    assert(capacity <= SIZE_MAX - sizeof(struct buffer));
    struct buffer *b = memory_alloc(sizeof *b + capacity);
    b->references = 1;
    b->size = 0;
    b->capacity = capacity;
    return b;
}

struct buffer *buffer_ref(struct buffer *b) {
    assert(b->references > 0 && b->references < UINT32_MAX);
    b->references++;
    return b;
}

void buffer_unref(struct buffer *b) {
    if (b == NULL) return;
    assert(b->references > 0);
    if (--b->references == 0) memory_free(b);
}
