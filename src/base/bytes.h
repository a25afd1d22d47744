// Big-endian loads and stores at any alignment: the byte order of Kafka's wire and disk formats.
#pragma once

#include <string.h>

#include "base/compiler.h"

static inline uint16_t load_u16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t load_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t load_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}
static inline int16_t load_i16(const uint8_t *p) {
    return (int16_t)load_u16(p);
}
static inline int32_t load_i32(const uint8_t *p) {
    return (int32_t)load_u32(p);
}
static inline int64_t load_i64(const uint8_t *p) {
    return (int64_t)load_u64(p);
}

static inline void store_u16(uint8_t *p, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}
static inline void store_u32(uint8_t *p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}
static inline void store_u64(uint8_t *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}
static inline void store_i16(uint8_t *p, int16_t v) {
    store_u16(p, (uint16_t)v);
}
static inline void store_i32(uint8_t *p, int32_t v) {
    store_u32(p, (uint32_t)v);
}
static inline void store_i64(uint8_t *p, int64_t v) {
    store_u64(p, (uint64_t)v);
}
