// A slice is a borrowed run of bytes: a string or binary data, never NUL-terminated by contract. It
// owns nothing; who hands it out says how long the bytes live. data == NULL is Kafka's null, which
// is not the empty slice.
#pragma once

#include <string.h>

#include "base/compiler.h"

struct slice {
    const uint8_t *data;
    size_t size;
};

#define SLICE_NULL          ((struct slice){NULL, 0})
#define SLICE_EMPTY         ((struct slice){(const uint8_t *)"", 0})
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)("" text), sizeof(text) - 1})

// For printf's "%.*s".
#define SLICE_PRINT(s) (int)(s).size, (s).data ? (const char *)(s).data : ""

static inline struct slice slice_of(const void *data, size_t size) {
    return (struct slice){(const uint8_t *)data, size};
}

// Of a NUL-terminated string; NULL gives the null slice.
static inline struct slice slice_cstring(const char *text) {
    return text == NULL ? SLICE_NULL : slice_of(text, strlen(text));
}

static inline bool slice_is_null(struct slice s) {
    return s.data == NULL;
}

// Null equals null only.
static inline bool slice_equal(struct slice a, struct slice b) {
    if (a.data == NULL || b.data == NULL) return a.data == b.data;
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static inline bool slice_equal_cstring(struct slice a, const char *text) {
    return slice_equal(a, slice_cstring(text));
}

// ASCII letters in any case.
bool slice_equal_any_case(struct slice a, struct slice b);

// Byte order; a prefix sorts first; null sorts before all.
int slice_compare(struct slice a, struct slice b);
void slice_sort(struct slice *list, size_t count);

bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);

// Bytes [from, from + size) of s; the caller guarantees that they are inside.
static inline struct slice slice_sub(struct slice s, size_t from, size_t size) {
    return slice_of(s.data + from, size);
}

// Cuts off white space at both ends (space, tab, CR, LF, FF).
struct slice slice_trim(struct slice s);

// Splits at the first `separator`: true and both parts, or false and nothing written.
bool slice_split(struct slice s, char separator, struct slice *left, struct slice *right);

// A decimal integer with optional sign that fills the whole slice; false when it is none or does
// not fit.
bool slice_parse_int64(struct slice s, int64_t *value);

// 64-bit hash (not for wire or disk). Seeded by the caller's map.
uint64_t slice_hash(struct slice s, uint64_t seed);

// XXH3, 64 bits, seed 0: what Kafka keeps in group records.
uint64_t slice_xxh3(struct slice s);
