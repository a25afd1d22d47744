// The heap. Out of memory aborts (design §6): therefore every size that comes from outside is
// checked against what is left before it gets here. Any thread.
#pragma once

#include "base/compiler.h"

// Returns owned, never NULL; contents undefined. `size` may be 0.
void *memory_alloc(size_t size) __attribute__((malloc, alloc_size(1)));

// Returns owned, never NULL, zeroed. Aborts when count * size overflows.
void *memory_zalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

// Takes `pointer` (may be NULL), returns owned. Aborts when count * size overflows.
void *memory_realloc(void *pointer, size_t count, size_t size);

// Takes `pointer`; NULL is allowed.
void memory_free(void *pointer);

// For the tests of allocation failure: the n-th allocation from now aborts as a crash would. 0
// turns it off. Test only.
void memory_fail_after(uint64_t allocations);
