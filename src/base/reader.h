// A cursor over borrowed bytes. Every read checks what is left; after the first failure the reader
// stays failed and further reads give zero, so a decoder may check once at its end. Nothing is
// copied: slices point into the input.
#pragma once

#include "base/bytes.h"
#include "base/slice.h"
#include "gen/err.h"

struct reader {
    const uint8_t *next;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct slice s) {
    return (struct reader){s.data, s.data + s.size, false};
}

static inline size_t reader_left(const struct reader *r) {
    return (size_t)(r->end - r->next);
}

// ERR_NONE, or ERR_CORRUPT when any read went beyond the end or a varint was malformed.
static inline enum err reader_error(const struct reader *r) {
    return r->failed ? ERR_CORRUPT : ERR_NONE;
}

uint8_t reader_u8(struct reader *r);
int8_t reader_i8(struct reader *r);
uint16_t reader_u16(struct reader *r);
int16_t reader_i16(struct reader *r);
uint32_t reader_u32(struct reader *r);
int32_t reader_i32(struct reader *r);
int64_t reader_i64(struct reader *r);
double reader_f64(struct reader *r);

// Unsigned LEB128 of at most 5 bytes (Kafka's UNSIGNED_VARINT).
uint32_t reader_uvarint(struct reader *r);
uint64_t reader_uvarlong(struct reader *r);
// Zigzag varints (record fields).
int32_t reader_varint(struct reader *r);
int64_t reader_varlong(struct reader *r);

// The next `size` bytes; the null slice and a failed reader when there are fewer.
struct slice reader_bytes(struct reader *r, size_t size);
