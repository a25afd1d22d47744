#include "base/varint.h"

size_t uvarlong_write(uint8_t *out, uint64_t v) {
    size_t size = 0;
    for (; v >= 0x80; v >>= 7)
        out[size++] = (uint8_t)(v | 0x80);
    out[size++] = (uint8_t)v;
    return size;
}

size_t uvarint_write(uint8_t *out, uint32_t v) {
    return uvarlong_write(out, v);
}

size_t uvarlong_size(uint64_t v) {
    return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

size_t uvarint_size(uint32_t v) {
    return uvarlong_size(v);
}
