#include "base/reader.h"

#include "base/varint.h"

// The next `size` bytes, or NULL and a failed reader at its end.
static const uint8_t *take(struct reader *r, size_t size) {
    if (UNLIKELY(r->failed || reader_left(r) < size)) {
        r->failed = true;
        r->next = r->end;
        return NULL;
    }
    const uint8_t *p = r->next;
    r->next += size;
    return p;
}

uint8_t reader_u8(struct reader *r) {
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : *p;
}
int8_t reader_i8(struct reader *r) {
    return (int8_t)reader_u8(r);
}
uint16_t reader_u16(struct reader *r) {
    const uint8_t *p = take(r, 2);
    return p == NULL ? 0 : load_u16(p);
}
int16_t reader_i16(struct reader *r) {
    return (int16_t)reader_u16(r);
}
uint32_t reader_u32(struct reader *r) {
    const uint8_t *p = take(r, 4);
    return p == NULL ? 0 : load_u32(p);
}
int32_t reader_i32(struct reader *r) {
    return (int32_t)reader_u32(r);
}
int64_t reader_i64(struct reader *r) {
    const uint8_t *p = take(r, 8);
    return p == NULL ? 0 : load_i64(p);
}
double reader_f64(struct reader *r) {
    int64_t bits = reader_i64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// LEB128 of at most `max` bytes; the last may hold only the bits that fit.
static uint64_t leb128(struct reader *r, int max, uint8_t last_mask) {
    uint64_t v = 0;
    for (int i = 0; i < max; i++) {
        const uint8_t *p = take(r, 1);
        if (p == NULL) return 0;
        if (i == max - 1 && (*p & ~last_mask) != 0) break;
        v |= (uint64_t)(*p & 0x7f) << (7 * i);
        if ((*p & 0x80) == 0) return v;
    }
    r->failed = true;
    r->next = r->end;
    return 0;
}

uint32_t reader_uvarint(struct reader *r) {
    return (uint32_t)leb128(r, VARINT_MAX, 0x0f);
}
uint64_t reader_uvarlong(struct reader *r) {
    return leb128(r, VARLONG_MAX, 0x01);
}
int32_t reader_varint(struct reader *r) {
    return unzigzag32(reader_uvarint(r));
}
int64_t reader_varlong(struct reader *r) {
    return unzigzag64(reader_uvarlong(r));
}

struct slice reader_bytes(struct reader *r, size_t size) {
    const uint8_t *p = take(r, size);
    return p == NULL ? SLICE_NULL : slice_of(p, size);
}
