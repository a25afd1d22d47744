#include "base/utf8.h"

// Decodes the character at *p and moves on; -1 when it is malformed (overlong, surrogate, above
// U+10FFFF, cut off).
static int32_t decode(const uint8_t **p, const uint8_t *end) {
    uint8_t first = *(*p)++;
    if (first < 0x80) return first;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
    if (more == 0 || first > 0xf4 || end - *p < more) return -1;
    int32_t code = first & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        uint8_t c = *(*p)++;
        if ((c & 0xc0) != 0x80) return -1;
        code = code << 6 | (c & 0x3f);
    }
    static const int32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    if (code < smallest[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -1;
    return code;
}

bool utf8_is_valid(struct slice s) {
    const uint8_t *p = s.data, *end = s.data + s.size;
    while (p < end) {
        if (decode(&p, end) < 0) return false;
    }
    return true;
}

int32_t utf8_java_hash(struct slice s) {
    uint32_t hash = 0;
    const uint8_t *p = s.data, *end = s.data + s.size;
    while (p < end) {
        int32_t code = decode(&p, end);
        if (code < 0) code = 0xfffd;  // what Java reads for a malformed character
        if (code >= 0x10000) {
            hash = hash * 31 + (0xd800 + ((uint32_t)(code - 0x10000) >> 10));
            hash = hash * 31 + (0xdc00 + ((uint32_t)(code - 0x10000) & 0x3ff));
        } else {
            hash = hash * 31 + (uint32_t)code;
        }
    }
    return (int32_t)hash;
}

int32_t utf8_java_partition(struct slice s, int32_t count) {
    int32_t hash = utf8_java_hash(s);
    if (hash == INT32_MIN) return 0;
    return (hash < 0 ? -hash : hash) % count;
}

uint32_t utf8_java_bucket(struct slice s, size_t entries) {
    uint32_t hash = (uint32_t)utf8_java_hash(s), buckets = 16;
    while (entries > buckets / 4 * 3 && buckets < 1u << 30)
        buckets *= 2;
    return (hash ^ hash >> 16) & (buckets - 1);
}
