// Decoding. The wire form of a message is its fields one after another, in two encodings:
//
//   classic     string: int16 length, bytes, records: int32 length, array: int32 count; -1 (any
//   negative number) is null flexible    the same lengths as unsigned varints of n + 1, 0 is null;
//   every struct ends with its tagged fields:
//               a varint count, then tag, size and value for each, in rising order of tag (KIP-482)
//
// A struct that may be null begins with a byte: negative is null; where it is tagged, with a
// varint: 0 is null. Numbers are big-endian. A struct begins as a copy of its defaults; then the
// fields that the version has are written over it.
//
// Nothing is believed: a length is checked against the bytes left, a count against the bytes left
// divided by the smallest size of an element, and the memory of all arrays together against the
// caller's limit (an array of empty elements is small on the wire and large in memory). Structs
// cannot nest themselves, so the recursion is as deep as the schema.
#include "wire/codec.h"

#include "base/bytes.h"
#include "wire/codec_table.h"

#define STRING_MAX 32767

struct decoder {
    struct reader *in;
    struct arena *arena;
    size_t arena_left;
    int16_t version;
    bool flexible;
};

static enum err decode_struct(struct decoder *d, const struct codec_struct *type, void *message);

// The next `size` bytes, or NULL.
static inline const uint8_t *take(struct decoder *d, size_t size) {
    if (reader_left(d->in) < size) return NULL;
    const uint8_t *bytes = d->in->next;
    d->in->next += size;
    return bytes;
}

static inline enum err take_uvarint(struct decoder *d, uint32_t *value) {
    if (LIKELY(reader_left(d->in) > 0 && *d->in->next < 0x80)) {
        *value = *d->in->next++;
        return ERR_NONE;
    }
    *value = reader_uvarint(d->in);
    return reader_error(d->in);
}

// Zeroed memory for `count` elements, counted against the limit. The caller has checked the count
// against the input.
static enum err allocate(struct decoder *d, size_t count, size_t size, void **memory) {
    size_t total = (count * size + 15) / 16 * 16;
    if (total > d->arena_left) return ERR_LIMIT;
    d->arena_left -= total;
    *memory = arena_zalloc(d->arena, count, size);
    return ERR_NONE;
}

// A length or count in its classic width (2 or 4 bytes) or as a varint; -1 is null.
static enum err take_length(struct decoder *d, bool compact, size_t width, int64_t *length) {
    if (compact) {
        uint32_t value = 0;
        enum err err = take_uvarint(d, &value);
        *length = (int64_t)value - 1;
        return err;
    }
    const uint8_t *bytes = take(d, width);
    if (bytes == NULL) return ERR_CORRUPT;
    *length = width == 2 ? load_i16(bytes) : load_i32(bytes);
    if (*length < 0) *length = -1;
    return ERR_NONE;
}

static inline bool may_be_null(const struct decoder *d, const struct codec_field *field) {
    return codec_covers(field->nullable, d->version);
}

// A string, bytes or records. `null_allowed` is of the field; elements of an array are never null.
static enum err decode_slice(struct decoder *d, const struct codec_field *field, bool null_allowed,
                             struct slice *slice) {
    bool compact = d->flexible && !(field->flags & CODEC_CLASSIC);
    int64_t length = 0;
    enum err err = take_length(d, compact, field->kind == CODEC_STRING ? 2 : 4, &length);
    if (err) return err;
    if (length < 0) {
        if (!null_allowed) return ERR_CORRUPT;
        *slice = SLICE_NULL;
        return ERR_NONE;
    }
    if (field->kind == CODEC_STRING && length > STRING_MAX) return ERR_CORRUPT;
    const uint8_t *bytes = take(d, (size_t)length);
    if (bytes == NULL) return ERR_CORRUPT;
    *slice = slice_of(bytes, (size_t)length);
    return ERR_NONE;
}

static enum err take_presence(struct decoder *d, const struct codec_field *field, bool *present) {
    if (field->tag != CODEC_UNTAGGED) {
        uint32_t mark = 0;
        enum err err = take_uvarint(d, &mark);
        *present = mark > 0;
        return err;
    }
    const uint8_t *mark = take(d, 1);
    if (mark == NULL) return ERR_CORRUPT;
    *present = (int8_t)*mark >= 0;
    return ERR_NONE;
}

static enum err decode_struct_pointer(struct decoder *d, const struct codec_field *field,
                                      void **pointer) {
    bool present = false;
    enum err err = take_presence(d, field, &present);
    if (err) return err;
    if (!present) {
        *pointer = NULL;
        return may_be_null(d, field) ? ERR_NONE : ERR_CORRUPT;
    }
    err = allocate(d, 1, field->type->size, pointer);
    if (err) return err;
    return decode_struct(d, field->type, *pointer);
}

static enum err decode_number(struct decoder *d, enum codec_kind kind, void *value) {
    static const uint8_t sizes[] = {
        [CODEC_BOOL] = 1,   [CODEC_INT8] = 1,    [CODEC_INT16] = 2,
        [CODEC_UINT16] = 2, [CODEC_INT32] = 4,   [CODEC_UINT32] = 4,
        [CODEC_INT64] = 8,  [CODEC_FLOAT64] = 8, [CODEC_UUID] = 16,
    };
    size_t size = sizes[kind];
    const uint8_t *bytes = take(d, size);
    if (bytes == NULL) return ERR_CORRUPT;
    switch (size) {
        case 1:
            *(uint8_t *)value = kind == CODEC_BOOL ? *bytes != 0 : *bytes;
            break;
        case 2:
            *(uint16_t *)value = load_u16(bytes);
            break;
        case 4:
            *(uint32_t *)value = load_u32(bytes);
            break;
        case 8: {
            uint64_t bits = load_u64(bytes);
            memcpy(value, &bits, sizeof bits);
            break;
        }
        default:
            memcpy(value, bytes, sizeof(struct uuid));
    }
    return ERR_NONE;
}

static enum err decode_element(struct decoder *d, const struct codec_field *field,
                               bool null_allowed, void *value) {
    switch ((enum codec_kind)field->kind) {
        case CODEC_STRING:
        case CODEC_BYTES:
            return decode_slice(d, field, null_allowed, value);
        case CODEC_RECORDS:
            return decode_slice(d, field, null_allowed, &((struct records *)value)->bytes);
        case CODEC_STRUCT:
            return decode_struct(d, field->type, value);
        case CODEC_STRUCT_POINTER:
            return decode_struct_pointer(d, field, value);
        default:
            return decode_number(d, (enum codec_kind)field->kind, value);
    }
}

// The smallest size of an element on the wire.
static size_t element_size_min(const struct decoder *d, const struct codec_field *field) {
    switch ((enum codec_kind)field->kind) {
        case CODEC_STRING:
            return d->flexible ? 1 : 2;
        case CODEC_BYTES:
        case CODEC_RECORDS:
            return d->flexible ? 1 : 4;
        case CODEC_STRUCT: {
            size_t size = codec_size_min(field->type, d->version);
            return size > 0 ? size : 1;
        }
        case CODEC_BOOL:
            return 1;
        default:
            return codec_element_size(field);
    }
}

static enum err decode_array(struct decoder *d, const struct codec_field *field,
                             struct codec_array *array) {
    int64_t count = 0;
    enum err err = take_length(d, d->flexible, 4, &count);
    if (err) return err;
    *array = (struct codec_array){NULL, (int32_t)(count < 0 ? -1 : 0)};
    if (count < 0) return may_be_null(d, field) ? ERR_NONE : ERR_CORRUPT;
    if ((uint64_t)count > reader_left(d->in) / element_size_min(d, field)) return ERR_CORRUPT;
    if (count == 0) return ERR_NONE;

    size_t size = codec_element_size(field);
    void *elements = NULL;
    err = allocate(d, (size_t)count, size, &elements);
    if (err) return err;
    for (size_t i = 0; i < (size_t)count; i++) {
        err = decode_element(d, field, false, (uint8_t *)elements + i * size);
        if (err) return err;
    }
    *array = (struct codec_array){elements, (int32_t)count};
    return ERR_NONE;
}

static enum err decode_field(struct decoder *d, const struct codec_field *field, void *message) {
    void *value = (uint8_t *)message + field->offset;
    if (field->flags & CODEC_ARRAY) return decode_array(d, field, value);
    return decode_element(d, field, may_be_null(d, field), value);
}

// A tagged field that the schema knows: it has to fill its size exactly.
static enum err decode_tagged(struct decoder *d, const struct codec_field *field, size_t size,
                              void *message) {
    const uint8_t *end = d->in->end;
    d->in->end = d->in->next + size;
    enum err err = decode_field(d, field, message);
    if (!err && reader_left(d->in) > 0) err = ERR_CORRUPT;
    d->in->end = end;
    return err;
}

static enum err decode_tags(struct decoder *d, const struct codec_struct *type, void *message) {
    uint32_t count = 0;
    enum err err = take_uvarint(d, &count);
    if (err || count == 0) return err;
    if (count > reader_left(d->in) / 2) return ERR_CORRUPT;

    struct unknown_tag *unknown = NULL;
    int32_t unknown_count = 0;
    int64_t previous = -1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tag = 0, size = 0;
        if ((err = take_uvarint(d, &tag)) || (err = take_uvarint(d, &size))) return err;
        if (tag <= previous || size > reader_left(d->in)) return ERR_CORRUPT;
        previous = tag;
        const struct codec_field *field =
            tag < type->tag_count ? &type->fields[type->tags[tag]] : NULL;
        if (field != NULL && codec_covers(field->versions, d->version)) {
            if ((err = decode_tagged(d, field, size, message))) return err;
            continue;
        }
        if (unknown == NULL) {
            err = allocate(d, count - i, sizeof *unknown, (void **)&unknown);
            if (err) return err;
        }
        unknown[unknown_count++] = (struct unknown_tag){tag, slice_of(take(d, size), size)};
    }
    struct unknown_tags *tags = (struct unknown_tags *)((uint8_t *)message + type->unknown_tags);
    *tags = (struct unknown_tags){unknown, unknown_count};
    return ERR_NONE;
}

static enum err decode_struct(struct decoder *d, const struct codec_struct *type, void *message) {
    memcpy(message, type->defaults, type->size);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct codec_field *field = &type->fields[i];
        if (field->tag != CODEC_UNTAGGED || !codec_covers(field->versions, d->version)) continue;
        enum err err = decode_field(d, field, message);
        if (err) return err;
    }
    return d->flexible ? decode_tags(d, type, message) : ERR_NONE;
}

enum err codec_decode(const struct codec_struct *type, int16_t version, struct reader *in,
                      struct arena *arena, size_t arena_max, void *message) {
    if (!codec_covers(type->versions, version)) return ERR_UNSUPPORTED_VERSION;
    struct decoder decoder = {
        .in = in,
        .arena = arena,
        .arena_left = arena_max == 0 ? SIZE_MAX : arena_max,
        .version = version,
        .flexible = codec_is_flexible(type, version),
    };
    return decode_struct(&decoder, type, message);
}
