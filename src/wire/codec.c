// What the codec knows without reading or writing bytes: sizes, defaults, equality.
#include "wire/codec.h"

#include "base/assert.h"
#include "wire/codec_table.h"

size_t codec_size(const struct codec_struct *type) {
    return type->size;
}

const char *codec_name(const struct codec_struct *type) {
    return type->name;
}

int16_t codec_version_min(const struct codec_struct *type) {
    return type->versions.min;
}

int16_t codec_version_max(const struct codec_struct *type) {
    return type->versions.max;
}

bool codec_is_flexible(const struct codec_struct *type, int16_t version) {
    return version >= type->flexible_from;
}

size_t codec_size_min(const struct codec_struct *type, int16_t version) {
    assert(codec_covers(type->versions, version));
    return type->sizes_min[version - type->versions.min];
}

void codec_init(const struct codec_struct *type, void *message) {
    memcpy(message, type->defaults, type->size);
}

void *codec_new(const struct codec_struct *type, struct arena *arena, int32_t count) {
    assert(count >= 0);
    uint8_t *elements = arena_zalloc(arena, (size_t)count, type->size);
    for (int32_t i = 0; i < count; i++)
        memcpy(elements + (size_t)i * type->size, type->defaults, type->size);
    return elements;
}

static bool records_equal(const struct records *a, const struct records *b) {
    if (a->chain != NULL || b->chain != NULL) return a->chain == b->chain;
    return slice_equal(a->bytes, b->bytes);
}

static bool element_equal(const struct codec_field *field, const void *a, const void *b) {
    switch ((enum codec_kind)field->kind) {
        case CODEC_STRING:
        case CODEC_BYTES:
            return slice_equal(*(const struct slice *)a, *(const struct slice *)b);
        case CODEC_RECORDS:
            return records_equal(a, b);
        case CODEC_STRUCT:
            return codec_equal(field->type, a, b);
        case CODEC_STRUCT_POINTER: {
            const void *pointer_a = *(void *const *)a;
            const void *pointer_b = *(void *const *)b;
            if (pointer_a == NULL || pointer_b == NULL) return pointer_a == pointer_b;
            return codec_equal(field->type, pointer_a, pointer_b);
        }
        default:  // numbers by their bits, so that NaN equals itself, as in Java's Double.equals
            return memcmp(a, b, codec_element_size(field)) == 0;
    }
}

static bool array_equal(const struct codec_field *field, const struct codec_array *a,
                        const struct codec_array *b) {
    if (a->count != b->count) return false;
    size_t size = codec_element_size(field);
    for (int32_t i = 0; i < a->count; i++) {
        size_t at = (size_t)i * size;
        if (!element_equal(field, (const uint8_t *)a->elements + at,
                           (const uint8_t *)b->elements + at))
            return false;
    }
    return true;
}

static bool unknown_tags_equal(const struct unknown_tags *a, const struct unknown_tags *b) {
    if (a->count != b->count) return false;
    for (int32_t i = 0; i < a->count; i++) {
        if (a->tags[i].tag != b->tags[i].tag) return false;
        if (!slice_equal(a->tags[i].value, b->tags[i].value)) return false;
    }
    return true;
}

bool codec_field_equal(const struct codec_field *field, const void *a, const void *b) {
    const uint8_t *field_a = (const uint8_t *)a + field->offset;
    const uint8_t *field_b = (const uint8_t *)b + field->offset;
    if (field->flags & CODEC_ARRAY)
        return array_equal(field, (const struct codec_array *)field_a,
                           (const struct codec_array *)field_b);
    // Equal bits are equal values: mostly a field is asked whether it still has its default.
    if (field->kind != CODEC_STRUCT_POINTER &&
        memcmp(field_a, field_b, codec_element_size(field)) == 0)
        return true;
    return element_equal(field, field_a, field_b);
}

bool codec_equal(const struct codec_struct *type, const void *a, const void *b) {
    for (size_t i = 0; i < type->field_count; i++)
        if (!codec_field_equal(&type->fields[i], a, b)) return false;
    if (!codec_has_unknown_tags(type)) return true;
    return unknown_tags_equal(codec_unknown_tags(type, a), codec_unknown_tags(type, b));
}
