// The first byte picks the codec, the rest is the blob: decompressed within the limit or refused.
#include <stdlib.h>

#include "wire/batch.h"

#define DECOMPRESSED_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct arena arena;
    arena_init(&arena);
    struct slice out;
    enum err err = decompress_bytes((enum compression)(data[0] & ATTRIBUTE_COMPRESSION),
                                    slice_of(data + 1, size - 1), DECOMPRESSED_MAX, &arena, &out);
    if (err == ERR_NONE && out.size > DECOMPRESSED_MAX) abort();
    if (arena.total > DECOMPRESSED_MAX + 65536) abort();
    arena_deinit(&arena);
    return 0;
}
