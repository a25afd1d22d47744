// Any bytes as a record batch: walked to the end or refused, never more memory than the limit.
#include <stdlib.h>

#include "wire/batch.h"

#define DECOMPRESSED_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    struct record record;
    enum err err = record_reader_init(&r, slice_of(data, size), &arena, DECOMPRESSED_MAX);
    int32_t count = 0;
    while (err == ERR_NONE && (err = record_reader_next(&r, &record)) == ERR_NONE)
        count++;
    if (err == ERR_EOF && count != r.batch.record_count) abort();
    // Headers take 32 bytes each where the wire needs two.
    if (arena.total > 20 * (DECOMPRESSED_MAX + size) + 65536) abort();
    arena_deinit(&arena);
    return 0;
}
