// LEB128 and zigzag varints in memory (protobuf's, as Kafka's ByteUtils use them).
#pragma once

#include "base/compiler.h"

#define VARINT_MAX  5
#define VARLONG_MAX 10

static inline uint32_t zigzag32(int32_t v) {
    return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
}
static inline uint64_t zigzag64(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int32_t unzigzag32(uint32_t v) {
    return (int32_t)(v >> 1) ^ -(int32_t)(v & 1);
}
static inline int64_t unzigzag64(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

// Write at `out`, return the bytes written.
size_t uvarint_write(uint8_t *out, uint32_t v);
size_t uvarlong_write(uint8_t *out, uint64_t v);
size_t uvarint_size(uint32_t v);
size_t uvarlong_size(uint64_t v);
