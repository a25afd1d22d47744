// Memory that dies with its node. The linker sends every call of base/memory.h in a program that
// holds the simulation here (--wrap, see CMakeLists.txt); while a node's event runs, blocks are
// linked into that node's ring, and a crash frees the ring. Outside of nodes, and in tests that
// have no simulation, blocks belong to nobody and behave as ever.
#include "sim/internal.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"

void *__real_memory_alloc(size_t size);
void __real_memory_free(void *pointer);
void *__wrap_memory_alloc(size_t size);
void *__wrap_memory_zalloc(size_t count, size_t size);
void *__wrap_memory_realloc(void *pointer, size_t count, size_t size);
void __wrap_memory_free(void *pointer);

// Whose event runs. The simulation's one exception from "no mutable file-scope variables": the
// allocator has no other way to know. Per thread, because tests of the real world run threads in
// the same program.
static _Thread_local struct sim_memory *current;

_Static_assert(sizeof(struct sim_block) == 32, "the payload stays aligned to 16");

void *sim_alloc(size_t size) {
    void *p = calloc(1, size);
    if (p == NULL) fatal("out of memory in the simulation");
    return p;
}

void sim_memory_init(struct sim_memory *memory) {
    memory->blocks.next = memory->blocks.previous = &memory->blocks;
}

void sim_memory_free_all(struct sim_memory *memory) {
    while (memory->blocks.next != &memory->blocks) {
        struct sim_block *block = memory->blocks.next;
        memory->blocks.next = block->next;
        block->next->previous = &memory->blocks;
        __real_memory_free(block);
    }
}

struct sim_memory *sim_memory_enter(struct sim_memory *memory) {
    struct sim_memory *before = current;
    current = memory;
    return before;
}

static void block_link(struct sim_block *block) {
    if (current == NULL) {
        block->next = block->previous = block;
        return;
    }
    block->previous = &current->blocks;
    block->next = current->blocks.next;
    block->next->previous = block;
    current->blocks.next = block;
}

static void block_unlink(struct sim_block *block) {
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

void *__wrap_memory_alloc(size_t size) {
    if (size > SIZE_MAX - sizeof(struct sim_block)) fatal("out of memory: %zu bytes", size);
    struct sim_block *block = __real_memory_alloc(sizeof *block + size);
    block->padding[0] = size;
    block_link(block);
    return block + 1;
}

void *__wrap_memory_zalloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        fatal("out of memory: %zu times %zu bytes", count, size);
    }
    return memset(__wrap_memory_alloc(bytes), 0, bytes);
}

void *__wrap_memory_realloc(void *pointer, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) fatal("out of memory: %zu bytes", bytes);
    if (pointer == NULL) return __wrap_memory_alloc(bytes);
    struct sim_block *old = (struct sim_block *)pointer - 1;
    void *moved = __wrap_memory_alloc(bytes);
    memcpy(moved, pointer, MIN(bytes, (size_t)old->padding[0]));
    __wrap_memory_free(pointer);
    return moved;
}

void __wrap_memory_free(void *pointer) {
    if (pointer == NULL) return;
    struct sim_block *block = (struct sim_block *)pointer - 1;
    block_unlink(block);
    __real_memory_free(block);
}
