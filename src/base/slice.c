#include "base/slice.h"

#define XXH_INLINE_ALL
#include <stdlib.h>
#include <xxhash.h>

bool slice_equal_any_case(struct slice a, struct slice b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t difference = a.data[i] ^ b.data[i];
        bool letter = (uint8_t)((a.data[i] | 0x20) - 'a') < 26;
        if (difference != 0 && !(difference == 0x20 && letter)) return false;
    }
    return true;
}

int slice_compare(struct slice a, struct slice b) {
    if (a.data == NULL || b.data == NULL) return (a.data != NULL) - (b.data != NULL);
    int order = memcmp(a.data, b.data, MIN(a.size, b.size));
    if (order != 0) return order < 0 ? -1 : 1;
    return (a.size > b.size) - (a.size < b.size);
}

static int compare_in_list(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

void slice_sort(struct slice *list, size_t count) {
    if (count > 1) qsort(list, count, sizeof *list, compare_in_list);
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.size >= prefix.size && memcmp(s.data, prefix.data, prefix.size) == 0;
}

bool slice_ends_with(struct slice s, struct slice suffix) {
    return s.size >= suffix.size &&
           memcmp(s.data + s.size - suffix.size, suffix.data, suffix.size) == 0;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

struct slice slice_trim(struct slice s) {
    while (s.size > 0 && is_space(s.data[0])) {
        s.data++;
        s.size--;
    }
    while (s.size > 0 && is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool slice_split(struct slice s, char separator, struct slice *left, struct slice *right) {
    const uint8_t *at = s.size == 0 ? NULL : memchr(s.data, separator, s.size);
    if (at == NULL) return false;
    size_t before = (size_t)(at - s.data);
    *left = slice_of(s.data, before);
    *right = slice_of(at + 1, s.size - before - 1);
    return true;
}

bool slice_parse_int64(struct slice s, int64_t *value) {
    size_t i = 0;
    bool negative = s.size > 0 && s.data[0] == '-';
    if (s.size > 0 && (negative || s.data[0] == '+')) i++;
    if (i == s.size) return false;
    int64_t sum = 0;  // kept negative: the negative range is the larger one
    for (; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c < '0' || c > '9') return false;
        if (__builtin_mul_overflow(sum, 10, &sum)) return false;
        if (__builtin_sub_overflow(sum, c - '0', &sum)) return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, sum, &sum)) return false;
    *value = sum;
    return true;
}

uint64_t slice_hash(struct slice s, uint64_t seed) {
    return XXH3_64bits_withSeed(s.size == 0 ? (const void *)"" : s.data, s.size, seed);
}

uint64_t slice_xxh3(struct slice s) {
    return XXH3_64bits(s.data, s.size);
}
