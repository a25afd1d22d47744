#include "base/crc32c.h"

#include <isa-l/crc.h>

#include "base/assert.h"

uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
    const uint8_t *p = data;
    crc = ~crc;
    // isa-l counts in int; it does not write through the pointer, only its type lacks the const.
    while (size > 0) {
        size_t part = MIN(size, (size_t)1 << 30);
        crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)part, crc);
        p += part;
        size -= part;
    }
    return ~crc;
}
