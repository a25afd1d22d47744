#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"

// Counts down to the allocation that is to fail; 0 is off. The only file-scope variable of the
// project: a test of allocation failure must reach every caller, and each test runs in a process of
// its own.
static _Atomic uint64_t fail_after;

static void count_down(void) {
    if (LIKELY(atomic_load_explicit(&fail_after, memory_order_relaxed) == 0)) return;
    if (atomic_fetch_sub(&fail_after, 1) == 1) fatal("allocation failed on request of a test");
}

void *memory_alloc(size_t size) {
    count_down();
    void *p = malloc(size == 0 ? 1 : size);
    if (UNLIKELY(p == NULL)) fatal("out of memory: %zu bytes", size);
    return p;
}

void *memory_zalloc(size_t count, size_t size) {
    count_down();
    bool some = count != 0 && size != 0;
    void *p = calloc(some ? count : 1, some ? size : 1);
    if (UNLIKELY(p == NULL)) fatal("out of memory: %zu times %zu bytes", count, size);
    return p;
}

void *memory_realloc(void *pointer, size_t count, size_t size) {
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        fatal("out of memory: %zu times %zu bytes", count, size);
    }
    count_down();
    void *p = realloc(pointer, bytes == 0 ? 1 : bytes);
    if (UNLIKELY(p == NULL)) fatal("out of memory: %zu bytes", bytes);
    return p;
}

void memory_free(void *pointer) {
    free(pointer);
}

void memory_fail_after(uint64_t allocations) {
    atomic_store(&fail_after, allocations);
}
