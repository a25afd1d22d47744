// A refcounted run of bytes on the heap: a received frame, an encoded reply. Slices into it are
// valid while a reference is held. The count is not atomic: a buffer belongs to one reactor, and a
// reference lent to another one goes home by mailbox.
#pragma once

#include "base/slice.h"

struct buffer {
    uint32_t references;
    size_t size;  // bytes in use, set by the owner
    size_t capacity;
    uint8_t data[];
};

// Returns owned, one reference, size 0.
struct buffer *buffer_new(size_t capacity);
struct buffer *buffer_ref(struct buffer *b);
// Takes one reference; NULL is allowed.
void buffer_unref(struct buffer *b);
