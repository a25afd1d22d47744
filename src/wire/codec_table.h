// The generated tables that the codec interprets: one codec_struct for each struct of a message,
// one codec_field for each of its fields. Read by codec*.c and written by tools/gen_messages.py;
// nobody else needs them. All of it is constant.
#pragma once

#include "wire/codec.h"

enum codec_kind {
    CODEC_BOOL,
    CODEC_INT8,
    CODEC_INT16,
    CODEC_UINT16,
    CODEC_INT32,
    CODEC_UINT32,
    CODEC_INT64,
    CODEC_FLOAT64,
    CODEC_UUID,
    CODEC_STRING,
    CODEC_BYTES,
    CODEC_RECORDS,
    CODEC_STRUCT,          // embedded
    CODEC_STRUCT_POINTER,  // may be null
};

enum codec_flag {
    CODEC_ARRAY = 1,      // `kind` is that of the elements
    CODEC_IGNORABLE = 2,  // may be dropped when the version lacks it
    CODEC_CLASSIC = 4,  // a length in the classic form even in flexible versions (client id of the
                        // request header)
};

#define CODEC_UNTAGGED       255
#define CODEC_NEVER_FLEXIBLE 255

struct codec_versions {
    uint8_t min;
    uint8_t max;
};
#define CODEC_NEVER \
    { 1, 0 }

struct codec_field {
    const char *name;  // in JSON
    uint16_t offset;   // in the struct; the count of an array lies right behind its pointer
    uint8_t kind;
    uint8_t flags;
    struct codec_versions versions;
    struct codec_versions nullable;
    uint8_t tag;
    const struct codec_struct *type;  // of CODEC_STRUCT and CODEC_STRUCT_POINTER
};

struct codec_struct {
    const char *name;
    const struct codec_field *fields;  // in the order of the wire
    const uint8_t *tags;               // tag -> index of its field
    const void *defaults;              // an image of the struct with every field at its default
    const uint8_t *sizes_min;  // version - versions.min -> smallest size, or 255 if it is larger
    uint32_t size;
    uint16_t unknown_tags;  // offset; only where some version is flexible
    uint8_t field_count;
    uint8_t tag_count;
    struct codec_versions versions;
    uint8_t flexible_from;
};

// An array in a struct: what the generated pair `elements, elements_count` looks like.
struct codec_array {
    void *elements;
    int32_t count;
};

static inline bool codec_covers(struct codec_versions versions, int16_t version) {
    return version >= versions.min && version <= versions.max;
}

// The size of an element of an array of this field.
static inline size_t codec_element_size(const struct codec_field *field) {
    static const uint8_t sizes[] = {
        [CODEC_BOOL] = sizeof(bool),
        [CODEC_INT8] = 1,
        [CODEC_INT16] = 2,
        [CODEC_UINT16] = 2,
        [CODEC_INT32] = 4,
        [CODEC_UINT32] = 4,
        [CODEC_INT64] = 8,
        [CODEC_FLOAT64] = 8,
        [CODEC_UUID] = sizeof(struct uuid),
        [CODEC_STRING] = sizeof(struct slice),
        [CODEC_BYTES] = sizeof(struct slice),
        [CODEC_RECORDS] = sizeof(struct records),
        [CODEC_STRUCT] = 0,
    };
    return field->kind == CODEC_STRUCT ? field->type->size : sizes[field->kind];
}

static inline bool codec_has_unknown_tags(const struct codec_struct *type) {
    return type->flexible_from != CODEC_NEVER_FLEXIBLE;
}

// Only for a type that has some.
static inline const struct unknown_tags *codec_unknown_tags(const struct codec_struct *type,
                                                            const void *message) {
    return (const struct unknown_tags *)((const uint8_t *)message + type->unknown_tags);
}

// One field against another at the same place of another struct (codec.c).
bool codec_field_equal(const struct codec_field *field, const void *a, const void *b);
