// An arena: memory that is freed all at once, for what lives as long as one request. Not
// thread-safe; one owner. Allocation never fails (out of memory aborts), so sizes that come from
// outside are checked by the caller first.
#pragma once

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;  // newest first
    uint8_t *next;               // free bytes of the newest block
    size_t left;
    size_t total;  // bytes taken from the heap, for limits and for tests
};

void arena_init(struct arena *arena);

// Frees all. The arena may be used again after that.
void arena_deinit(struct arena *arena);

// Keeps one block of moderate size for the next user, frees the others.
void arena_reset(struct arena *arena);

// Makes room for `size` bytes in one block of no more than that, for an arena that lives long and
// takes little. Each allocation counts with its size rounded up to 16 (ARENA_ROUND).
#define ARENA_ROUND(size) (((size) + 15) & ~(size_t)15)
void arena_reserve(struct arena *arena, size_t size);

// 16-byte aligned, contents undefined. Lives until reset or deinit.
void *arena_alloc(struct arena *arena, size_t size);

// Zeroed array; aborts when count * size overflows.
void *arena_zalloc(struct arena *arena, size_t count, size_t size);

// A copy that lives in the arena; null stays null.
struct slice arena_copy(struct arena *arena, struct slice s);

// A formatted string in the arena.
struct slice arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

// A NUL-terminated copy.
char *arena_cstring(struct arena *arena, struct slice s);
