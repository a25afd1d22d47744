// Encoding: the reverse of codec_decode.c, whose head tells the wire form. Small writes gather in a
// buffer on the stack that goes into the chain when it is full; records move their own chain, so
// file ranges reach the socket uncopied.
//
// A tagged field has its size in front of it. The size is found by encoding the value into nothing:
// an encoder without a chain only counts. Tagged values that have parts are rare and small, so to
// walk them twice is cheaper than to remember sizes.
#include "wire/codec.h"

#include "base/bytes.h"
#include "base/varint.h"
#include "wire/codec_table.h"

#define STRING_MAX 32767

struct encoder {
    struct chain *out;  // NULL: count only
    size_t total;       // bytes so far, those in `buffer` among them
    struct message *error;
    int16_t version;
    bool flexible;
    size_t used;
    uint8_t buffer[240];
};

static enum err encode_struct(struct encoder *e, const struct codec_struct *type,
                              const void *message);
static enum err encode_field(struct encoder *e, const struct codec_field *field,
                             const void *message);

static void flush(struct encoder *e) {
    if (e->out != NULL && e->used > 0) chain_append(e->out, e->buffer, e->used);
    e->used = 0;
}

// Room for a number of at most 16 bytes.
static inline uint8_t *room(struct encoder *e, size_t size) {
    if (e->used + size > sizeof e->buffer) flush(e);
    uint8_t *at = e->buffer + e->used;
    e->used += size;
    e->total += size;
    return at;
}

static void put_uvarint(struct encoder *e, uint32_t value) {
    if (LIKELY(value < 0x80)) {
        *room(e, 1) = (uint8_t)value;
        return;
    }
    uint8_t bytes[VARINT_MAX];
    size_t size = uvarint_write(bytes, value);
    memcpy(room(e, size), bytes, size);
}

static void put_bytes(struct encoder *e, struct slice bytes) {
    if (bytes.size <= sizeof e->buffer - e->used) {
        if (bytes.size > 0) memcpy(e->buffer + e->used, bytes.data, bytes.size);
        e->used += bytes.size;
    } else {
        flush(e);
        if (e->out != NULL) chain_append(e->out, bytes.data, bytes.size);
    }
    e->total += bytes.size;
}

// A length or count; -1 is null.
static void put_length(struct encoder *e, bool compact, size_t width, int64_t length) {
    if (compact)
        put_uvarint(e, (uint32_t)(length + 1));
    else if (width == 2)
        store_i16(room(e, 2), (int16_t)length);
    else
        store_i32(room(e, 4), (int32_t)length);
}

static enum err null_error(struct encoder *e, const struct codec_field *field) {
    message_set(e->error, "Field %s must not be null in version %d", field->name, e->version);
    return ERR_INVALID;
}

static enum err length_error(struct encoder *e, const struct codec_field *field, size_t length) {
    message_set(e->error, "'%s' field is too long to be serialized: %zu bytes", field->name,
                length);
    return ERR_INVALID;
}

static enum err encode_slice(struct encoder *e, const struct codec_field *field, bool null_allowed,
                             struct slice slice) {
    bool compact = e->flexible && !(field->flags & CODEC_CLASSIC);
    size_t width = field->kind == CODEC_STRING ? 2 : 4;
    if (slice_is_null(slice)) {
        if (!null_allowed) return null_error(e, field);
        put_length(e, compact, width, -1);
        return ERR_NONE;
    }
    if (slice.size > (field->kind == CODEC_STRING ? STRING_MAX : INT32_MAX - 1))
        return length_error(e, field, slice.size);
    put_length(e, compact, width, (int64_t)slice.size);
    put_bytes(e, slice);
    return ERR_NONE;
}

static enum err encode_records(struct encoder *e, const struct codec_field *field,
                               bool null_allowed, const struct records *records) {
    if (records->chain == NULL) return encode_slice(e, field, null_allowed, records->bytes);
    size_t size = records->chain->size;
    if (size > INT32_MAX - 1) return length_error(e, field, size);
    put_length(e, e->flexible, 4, (int64_t)size);
    flush(e);
    if (e->out != NULL) chain_move(e->out, records->chain);
    e->total += size;
    return ERR_NONE;
}

static enum err encode_struct_pointer(struct encoder *e, const struct codec_field *field,
                                      const void *pointer) {
    if (pointer == NULL) {
        if (!codec_covers(field->nullable, e->version)) return null_error(e, field);
        *room(e, 1) = field->tag == CODEC_UNTAGGED ? 0xff : 0;
        return ERR_NONE;
    }
    *room(e, 1) = 1;
    return encode_struct(e, field->type, pointer);
}

static void encode_number(struct encoder *e, enum codec_kind kind, const void *value) {
    switch (kind) {
        case CODEC_BOOL:
            *room(e, 1) = *(const bool *)value;
            return;
        case CODEC_INT8:
            *room(e, 1) = *(const uint8_t *)value;
            return;
        case CODEC_INT16:
        case CODEC_UINT16:
            store_u16(room(e, 2), *(const uint16_t *)value);
            return;
        case CODEC_INT32:
        case CODEC_UINT32:
            store_u32(room(e, 4), *(const uint32_t *)value);
            return;
        case CODEC_UUID:
            memcpy(room(e, 16), value, 16);
            return;
        default: {
            uint64_t bits;
            memcpy(&bits, value, sizeof bits);
            store_u64(room(e, 8), bits);
        }
    }
}

static enum err encode_element(struct encoder *e, const struct codec_field *field,
                               bool null_allowed, const void *value) {
    switch ((enum codec_kind)field->kind) {
        case CODEC_STRING:
        case CODEC_BYTES:
            return encode_slice(e, field, null_allowed, *(const struct slice *)value);
        case CODEC_RECORDS:
            return encode_records(e, field, null_allowed, value);
        case CODEC_STRUCT:
            return encode_struct(e, field->type, value);
        case CODEC_STRUCT_POINTER:
            return encode_struct_pointer(e, field, *(void *const *)value);
        default:
            encode_number(e, (enum codec_kind)field->kind, value);
            return ERR_NONE;
    }
}

static enum err encode_array(struct encoder *e, const struct codec_field *field,
                             const struct codec_array *array) {
    if (array->count < 0) {
        if (!codec_covers(field->nullable, e->version)) return null_error(e, field);
        put_length(e, e->flexible, 4, -1);
        return ERR_NONE;
    }
    put_length(e, e->flexible, 4, array->count);
    size_t size = codec_element_size(field);
    for (size_t i = 0; i < (size_t)array->count; i++) {
        enum err err = encode_element(e, field, false, (const uint8_t *)array->elements + i * size);
        if (err) return err;
    }
    return ERR_NONE;
}

static enum err encode_field(struct encoder *e, const struct codec_field *field,
                             const void *message) {
    const void *value = (const uint8_t *)message + field->offset;
    if (field->flags & CODEC_ARRAY) return encode_array(e, field, value);
    return encode_element(e, field, codec_covers(field->nullable, e->version), value);
}

static enum err encode_tagged(struct encoder *e, const struct codec_field *field, uint32_t tag,
                              const void *message) {
    struct encoder counter = {.error = e->error, .version = e->version, .flexible = e->flexible};
    enum err err = encode_field(&counter, field, message);
    if (err) return err;
    put_uvarint(e, tag);
    put_uvarint(e, (uint32_t)counter.total);
    return encode_field(e, field, message);
}

// A bit for each known tag that is sent: those of the version that differ from their default.
static uint32_t tags_set(const struct encoder *e, const struct codec_struct *type,
                         const void *message) {
    uint32_t set = 0;
    for (uint32_t tag = 0; tag < type->tag_count; tag++) {
        const struct codec_field *field = &type->fields[type->tags[tag]];
        if (codec_covers(field->versions, e->version) &&
            !codec_field_equal(field, message, type->defaults))
            set |= 1u << tag;
    }
    return set;
}

// Known and unknown tagged fields, merged in rising order of tag.
static enum err encode_tags(struct encoder *e, const struct codec_struct *type,
                            const void *message) {
    const struct unknown_tags *unknown = codec_unknown_tags(type, message);
    uint32_t set = tags_set(e, type, message);
    put_uvarint(e, (uint32_t)unknown->count + (uint32_t)__builtin_popcount(set));

    int32_t next = 0;
    for (uint32_t tag = 0; tag <= type->tag_count; tag++) {
        bool is_last = tag == type->tag_count;
        for (; next < unknown->count && (is_last || unknown->tags[next].tag < tag); next++) {
            put_uvarint(e, unknown->tags[next].tag);
            put_uvarint(e, (uint32_t)unknown->tags[next].value.size);
            put_bytes(e, unknown->tags[next].value);
        }
        if (is_last || !(set & 1u << tag)) continue;
        enum err err = encode_tagged(e, &type->fields[type->tags[tag]], tag, message);
        if (err) return err;
    }
    return ERR_NONE;
}

// A field that the version lacks may only be dropped when nothing is lost by it.
static enum err check_absent(struct encoder *e, const struct codec_struct *type,
                             const struct codec_field *field, const void *message) {
    if ((field->flags & CODEC_IGNORABLE) || codec_field_equal(field, message, type->defaults))
        return ERR_NONE;
    message_set(e->error, "Attempted to write a non-default %s at version %d", field->name,
                e->version);
    return ERR_UNSUPPORTED_VERSION;
}

static enum err encode_struct(struct encoder *e, const struct codec_struct *type,
                              const void *message) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct codec_field *field = &type->fields[i];
        enum err err = ERR_NONE;
        if (!codec_covers(field->versions, e->version))
            err = check_absent(e, type, field, message);
        else if (field->tag == CODEC_UNTAGGED)
            err = encode_field(e, field, message);
        if (err) return err;
    }
    if (e->flexible) return encode_tags(e, type, message);
    if (codec_has_unknown_tags(type) && codec_unknown_tags(type, message)->count > 0) {
        message_set(e->error,
                    "Tagged fields were set, but version %d of this message does not support them.",
                    e->version);
        return ERR_UNSUPPORTED_VERSION;
    }
    return ERR_NONE;
}

static enum err encode(const struct codec_struct *type, int16_t version, const void *message,
                       struct chain *out, size_t *size, struct message *error) {
    if (!codec_covers(type->versions, version)) {
        message_set(error, "Attempted to write %s at version %d, which it does not have",
                    type->name, version);
        return ERR_UNSUPPORTED_VERSION;
    }
    struct encoder encoder;  // its buffer need not be cleared
    encoder.out = out;
    encoder.total = encoder.used = 0;
    encoder.error = error;
    encoder.version = version;
    encoder.flexible = codec_is_flexible(type, version);
    enum err err = encode_struct(&encoder, type, message);
    flush(&encoder);
    if (!err) *size = encoder.total;
    return err;
}

enum err codec_encode(const struct codec_struct *type, int16_t version, const void *message,
                      struct chain *out, struct message *error) {
    size_t size = 0;
    return encode(type, version, message, out, &size, error);
}

enum err codec_encoded_size(const struct codec_struct *type, int16_t version, const void *message,
                            size_t *size, struct message *error) {
    return encode(type, version, message, NULL, size, error);
}
