// Blocks double from 1 KiB to 64 KiB; what is larger than a block gets one of its own. An arena
// that was used once for a large request does not stay large: reset keeps one block, the newest
// while it is of moderate size (so that the same again needs no allocation), else the oldest.
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"

enum { ALIGNMENT = 16, BLOCK_FIRST = 1024, BLOCK_MAX = 64 * 1024, KEPT_MAX = 8 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t size;
    uint8_t data[] __attribute__((aligned(ALIGNMENT)));
};

void arena_init(struct arena *arena) {
    *arena = (struct arena){0};
}

void arena_deinit(struct arena *arena) {
    for (struct arena_block *b = arena->blocks; b != NULL;) {
        struct arena_block *older = b->older;
        memory_free(b);
        b = older;
    }
    arena_init(arena);
}

void arena_reset(struct arena *arena) {
    struct arena_block *b = arena->blocks;
    if (b == NULL) return;
    struct arena_block *kept = b;
    while (b->size > KEPT_MAX && kept->older != NULL)
        kept = kept->older;
    while (b != NULL) {
        struct arena_block *older = b->older;
        if (b != kept) memory_free(b);
        b = older;
    }
    b = kept;
    b->older = NULL;
    arena->blocks = b;
    arena->next = b->data;
    arena->left = b->size;
    arena->total = b->size;
}

static void push_block(struct arena *arena, size_t size) {
    struct arena_block *b = memory_alloc(sizeof *b + size);
    b->older = arena->blocks;
    b->size = size;
    arena->blocks = b;
    arena->next = b->data;
    arena->left = size;
    arena->total += size;
}

static void add_block(struct arena *arena, size_t size) {
    size_t next = BLOCK_FIRST;
    if (arena->blocks != NULL) next = MAX(next, MIN(arena->blocks->size * 2, (size_t)BLOCK_MAX));
    push_block(arena, MAX(next, size));
}

void arena_reserve(struct arena *arena, size_t size) {
    assert(size <= SIZE_MAX - ALIGNMENT - sizeof(struct arena_block));
    if (size > arena->left) push_block(arena, ARENA_ROUND(size));
}

void *arena_alloc(struct arena *arena, size_t size) {
    assert(size <= SIZE_MAX - ALIGNMENT - sizeof(struct arena_block));
    size = ARENA_ROUND(size);
    if (size == 0) size = ALIGNMENT;
    if (arena->left < size) add_block(arena, size);
    void *p = arena->next;
    arena->next += size;
    arena->left -= size;
    return p;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        fatal("out of memory: %zu times %zu bytes", count, size);
    }
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

struct slice arena_copy(struct arena *arena, struct slice s) {
    if (slice_is_null(s)) return SLICE_NULL;
    uint8_t *copy = arena_alloc(arena, s.size);
    memcpy(copy, s.data, s.size);
    return slice_of(copy, s.size);
}

struct slice arena_format(struct arena *arena, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(size >= 0);
    char *text = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return slice_of(text, (size_t)size);
}

char *arena_cstring(struct arena *arena, struct slice s) {
    char *text = arena_alloc(arena, s.size + 1);
    if (s.size > 0) memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    return text;
}
