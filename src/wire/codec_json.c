// The JSON form, as Kafka's …JsonConverter classes make it and Jackson prints it: no white space,
// fields in the order of the schema, only those of the version; tagged fields only when they differ
// from their default; bytes in base64; uuids in their text form; records as their size, under the
// name with SizeInBytes behind it. Unknown tagged fields do not appear.
//
// A double is printed as Java does: digits that are enough to read the same number back, at least
// one behind the point, an exponent below 1e-3 and from 1e7 on.
#include "wire/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/codec_table.h"

struct printer {
    struct string_buffer *out;
    int16_t version;
    const struct codec_json_hook *hook;  // may be NULL
};

static void print_struct(struct printer *p, const struct codec_struct *type, const void *message);

static void print_text(struct printer *p, const char *text) {
    string_buffer_append(p->out, slice_cstring(text));
}

// The fewest significant digits that give the same number again.
static int shortest_digits(double value, char *text, size_t size) {
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, size, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) return digits;
    }
    snprintf(text, size, "%.16e", value);
    return 17;
}

static void print_double(struct printer *p, double value) {
    if (isnan(value) || isinf(value)) {
        print_text(p, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    char text[40];
    int digits = shortest_digits(value, text, sizeof text);
    double magnitude = fabs(value);
    if (value == 0 || (magnitude >= 1e-3 && magnitude < 1e7)) {
        int exponent = atoi(strchr(text, 'e') + 1);
        int decimals = digits - 1 - exponent;
        string_buffer_format(p->out, "%.*f", decimals > 1 ? decimals : 1, value);
        return;
    }
    char *mark = strchr(text, 'e');
    const char *point = digits == 1 ? ".0" : "";
    string_buffer_format(p->out, "%.*s%sE%d", (int)(mark - text), text, point, atoi(mark + 1));
}

static void print_uuid(struct printer *p, const struct uuid *uuid) {
    char text[UUID_TEXT_SIZE];
    string_buffer_format(p->out, "\"%s\"", uuid_format(*uuid, text));
}

static void print_slice(struct printer *p, const struct codec_field *field, struct slice slice) {
    if (slice_is_null(slice)) {
        print_text(p, "null");
    } else if (field->kind == CODEC_STRING) {
        string_buffer_append_json(p->out, slice);
    } else if (p->hook == NULL || !p->hook->bytes(p->hook->context, field->name, slice, p->out)) {
        string_buffer_append_char(p->out, '"');
        string_buffer_append_base64(p->out, slice);
        string_buffer_append_char(p->out, '"');
    }
}

static void print_element(struct printer *p, const struct codec_field *field, const void *value) {
    switch ((enum codec_kind)field->kind) {
        case CODEC_BOOL:
            print_text(p, *(const bool *)value ? "true" : "false");
            return;
        case CODEC_INT8:
            string_buffer_format(p->out, "%d", *(const int8_t *)value);
            return;
        case CODEC_INT16:
            string_buffer_format(p->out, "%d", *(const int16_t *)value);
            return;
        case CODEC_UINT16:
            string_buffer_format(p->out, "%u", *(const uint16_t *)value);
            return;
        case CODEC_INT32:
            string_buffer_format(p->out, "%d", *(const int32_t *)value);
            return;
        case CODEC_UINT32:
            string_buffer_format(p->out, "%u", *(const uint32_t *)value);
            return;
        case CODEC_INT64:
            string_buffer_format(p->out, "%lld", (long long)*(const int64_t *)value);
            return;
        case CODEC_FLOAT64:
            print_double(p, *(const double *)value);
            return;
        case CODEC_UUID:
            print_uuid(p, value);
            return;
        case CODEC_STRING:
        case CODEC_BYTES:
            print_slice(p, field, *(const struct slice *)value);
            return;
        case CODEC_RECORDS:  // only null ones get here
            print_text(p, "null");
            return;
        case CODEC_STRUCT:
            print_struct(p, field->type, value);
            return;
        case CODEC_STRUCT_POINTER: {
            const void *pointer = *(void *const *)value;
            if (pointer == NULL)
                print_text(p, "null");
            else
                print_struct(p, field->type, pointer);
        }
    }
}

static void print_array(struct printer *p, const struct codec_field *field,
                        const struct codec_array *array) {
    if (array->count < 0) {
        print_text(p, "null");
        return;
    }
    size_t size = codec_element_size(field);
    string_buffer_append_char(p->out, '[');
    for (size_t i = 0; i < (size_t)array->count; i++) {
        if (i > 0) string_buffer_append_char(p->out, ',');
        print_element(p, field, (const uint8_t *)array->elements + i * size);
    }
    string_buffer_append_char(p->out, ']');
}

static void print_field(struct printer *p, const struct codec_field *field, const void *message) {
    const void *value = (const uint8_t *)message + field->offset;
    if (field->kind == CODEC_RECORDS) {
        const struct records *records = value;
        if (records->chain != NULL || !slice_is_null(records->bytes)) {
            size_t size = records->chain ? records->chain->size : records->bytes.size;
            string_buffer_format(p->out, "\"%sSizeInBytes\":%zu", field->name, size);
            return;
        }
    }
    string_buffer_format(p->out, "\"%s\":", field->name);
    if (field->flags & CODEC_ARRAY)
        print_array(p, field, value);
    else
        print_element(p, field, value);
}

static void print_struct(struct printer *p, const struct codec_struct *type, const void *message) {
    bool first = true;
    string_buffer_append_char(p->out, '{');
    for (size_t i = 0; i < type->field_count; i++) {
        const struct codec_field *field = &type->fields[i];
        if (!codec_covers(field->versions, p->version)) continue;
        if (field->tag != CODEC_UNTAGGED && codec_field_equal(field, message, type->defaults))
            continue;
        if (!first) string_buffer_append_char(p->out, ',');
        first = false;
        print_field(p, field, message);
    }
    string_buffer_append_char(p->out, '}');
}

void codec_json_with(const struct codec_struct *type, int16_t version, const void *message,
                     const struct codec_json_hook *hook, struct string_buffer *out) {
    struct printer printer = {out, version, hook};
    print_struct(&printer, type, message);
}

void codec_json(const struct codec_struct *type, int16_t version, const void *message,
                struct string_buffer *out) {
    codec_json_with(type, version, message, NULL, out);
}
