#include "base/uuid.h"

#include "base/bytes.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool uuid_is_reserved(struct uuid a) {
    return load_u64(a.bytes) == 0 && load_u64(a.bytes + 8) < 100;
}

bool uuid_from_random(uint64_t high, uint64_t low, struct uuid *uuid) {
    struct uuid u;
    store_u64(u.bytes, high);
    store_u64(u.bytes + 8, low);
    u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40);  // version 4
    u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);  // RFC 4122's variant
    if (uuid_is_reserved(u) || digits[u.bytes[0] >> 2] == '-') return false;
    *uuid = u;
    return true;
}

char *uuid_format(struct uuid uuid, char text[UUID_TEXT_SIZE]) {
    uint32_t bits = 0;
    int held = 0, out = 0;
    for (size_t i = 0; i < sizeof uuid.bytes; i++) {
        bits = bits << 8 | uuid.bytes[i];
        for (held += 8; held >= 6; held -= 6)
            text[out++] = digits[bits >> (held - 6) & 63];
    }
    text[out++] = digits[bits << (6 - held) & 63];
    text[out] = '\0';
    return text;
}

bool uuid_parse(struct slice text, struct uuid *uuid) {
    if (text.size != UUID_TEXT_SIZE - 1) return false;
    struct uuid u;
    uint32_t bits = 0;
    int held = 0;
    size_t out = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] == 0 ? NULL : strchr(digits, text.data[i]);
        if (digit == NULL) return false;
        bits = bits << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8 && out < sizeof u.bytes) {
            held -= 8;
            u.bytes[out++] = (uint8_t)(bits >> held);
        }
    }
    *uuid = u;
    return true;
}

bool uuid_is_among(struct uuid a, const struct uuid *list, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (uuid_equal(list[i], a)) return true;
    }
    return false;
}
