// Text to value and back, as Kafka's ConfigDef does it: numbers as Java parses them, lists split at
// commas with the white space around them, and the canonical text that DescribeConfigs shows.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "config/internal.h"

static const char *const type_names[] = {
    [CONFIG_TYPE_BOOLEAN] = "BOOLEAN",  [CONFIG_TYPE_STRING] = "STRING",
    [CONFIG_TYPE_INT] = "INT",          [CONFIG_TYPE_SHORT] = "SHORT",
    [CONFIG_TYPE_LONG] = "LONG",        [CONFIG_TYPE_DOUBLE] = "DOUBLE",
    [CONFIG_TYPE_LIST] = "LIST",        [CONFIG_TYPE_CLASS] = "CLASS",
    [CONFIG_TYPE_PASSWORD] = "PASSWORD"};

// Java's String.trim: everything up to the space.
static struct slice trim(struct slice s) {
    while (s.size > 0 && s.data[0] <= ' ')
        s = slice_sub(s, 1, s.size - 1);
    while (s.size > 0 && s.data[s.size - 1] <= ' ')
        s.size--;
    return s;
}

static bool equal_any_case(struct slice s, const char *lower) {
    if (s.size != strlen(lower)) return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + 32);
        if (c != (uint8_t)lower[i]) return false;
    }
    return true;
}

// What Double.parseDouble takes, hexadecimal forms apart.
static bool parse_double(struct slice s, double *value) {
    char text[64];
    if (s.size == 0 || s.size >= sizeof text) return false;
    memcpy(text, s.data, s.size);
    text[s.size] = '\0';
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    if (strcmp(digits, "NaN") == 0 || strcmp(digits, "Infinity") == 0) {
        *value = digits[0] == 'N' ? NAN : text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return true;
    }
    if (strspn(digits, "0123456789.eE+-dDfF") != strlen(digits)) return false;
    size_t last = s.size - 1;
    if (strchr("dDfF", text[last]) != NULL) text[last] = '\0';
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0';
}

// As Double.toString: the shortest digits that give the same number; plain between 0.001 and 10^7,
// else d.ddE±x.
static struct slice print_double(struct arena *arena, double value) {
    if (isnan(value)) return SLICE_LITERAL("NaN");
    const char *sign = signbit(value) ? "-" : "";
    value = fabs(value);
    if (isinf(value)) return arena_format(arena, "%sInfinity", sign);
    if (value == 0) return arena_format(arena, "%s0.0", sign);
    char scientific[40];
    for (int digits = 0; digits < DBL_DECIMAL_DIG; digits++) {
        snprintf(scientific, sizeof scientific, "%.*e", digits, value);
        if (strtod(scientific, NULL) == value) break;
    }
    char *exponent_text = strchr(scientific, 'e');
    int exponent = atoi(exponent_text + 1);
    *exponent_text = '\0';
    int decimals = strlen(scientific) > 2 ? (int)strlen(scientific) - 2 : 0;
    if (exponent >= -3 && exponent < 7)
        return arena_format(arena, "%s%.*f", sign, MAX(decimals - exponent, 1), value);
    return arena_format(arena, "%s%s%sE%d", sign, scientific, decimals == 0 ? ".0" : "", exponent);
}

// Splits at `\s*,\s*`; an empty text is an empty list. Kafka drops duplicates of the lists that it
// checks.
static struct config_list parse_list(struct slice text, struct arena *arena, bool distinct) {
    if (text.size == 0) return (struct config_list){NULL, 0};
    int32_t most = 1;
    for (size_t i = 0; i < text.size; i++)
        most += text.data[i] == ',';
    struct slice *items = arena_alloc(arena, (size_t)most * sizeof *items);
    int32_t count = 0;
    bool more = true;
    while (more) {
        struct slice item = text, rest = SLICE_EMPTY;
        more = slice_split(text, ',', &item, &rest);
        text = rest;
        item = slice_trim(item);
        bool known = false;
        for (int32_t i = 0; distinct && i < count; i++)
            known = known || slice_equal(items[i], item);
        if (!known) items[count++] = item;
    }
    return (struct config_list){items, count};
}

static struct slice print_list(struct arena *arena, struct config_list list) {
    size_t size = 0;
    for (int32_t i = 0; i < list.count; i++)
        size += list.items[i].size + 1;
    uint8_t *text = arena_alloc(arena, size + 1);
    size_t used = 0;
    for (int32_t i = 0; i < list.count; i++) {
        if (i > 0) text[used++] = ',';
        if (list.items[i].size > 0) memcpy(text + used, list.items[i].data, list.items[i].size);
        used += list.items[i].size;
    }
    return slice_of(text, used);
}

void config_print_list(struct string_buffer *out, struct config_list list) {
    string_buffer_append_char(out, '[');
    for (int32_t i = 0; i < list.count; i++) {
        if (i > 0) string_buffer_append(out, SLICE_LITERAL(", "));
        string_buffer_append(out, list.items[i]);
    }
    string_buffer_append_char(out, ']');
}

static bool parse_integer(enum config_type type, struct slice text, int64_t *value) {
    if (!slice_parse_int64(text, value)) return false;
    if (type == CONFIG_TYPE_LONG) return true;
    int64_t limit = type == CONFIG_TYPE_INT ? INT32_MAX : INT16_MAX;
    return *value <= limit && *value >= -limit - 1;
}

static enum err parse_type(const struct config_row *row, struct slice text, struct arena *arena,
                           struct config_value *value, struct message *error) {
    struct slice trimmed = trim(text);
    switch ((enum config_type)row->type) {
        case CONFIG_TYPE_BOOLEAN:
            value->boolean = equal_any_case(trimmed, "true");
            if (!value->boolean && !equal_any_case(trimmed, "false")) {
                message_set(error,
                            "Invalid value %.*s for configuration %s: Expected value to be either "
                            "true or false",
                            SLICE_PRINT(text), row->name);
                return ERR_INVALID_CONFIG;
            }
            value->text = value->boolean ? SLICE_LITERAL("true") : SLICE_LITERAL("false");
            return ERR_NONE;
        case CONFIG_TYPE_INT:
        case CONFIG_TYPE_SHORT:
        case CONFIG_TYPE_LONG:
            if (!parse_integer((enum config_type)row->type, trimmed, &value->integer)) break;
            value->text = arena_format(arena, "%lld", (long long)value->integer);
            return ERR_NONE;
        case CONFIG_TYPE_DOUBLE:
            if (!parse_double(trimmed, &value->number)) break;
            value->text = print_double(arena, value->number);
            return ERR_NONE;
        case CONFIG_TYPE_LIST:
            value->list = parse_list(trimmed, arena, row->check == CONFIG_CHECK_LIST);
            value->text = print_list(arena, value->list);
            return ERR_NONE;
        case CONFIG_TYPE_STRING:
        case CONFIG_TYPE_CLASS:
        case CONFIG_TYPE_PASSWORD:
            value->text = trimmed.size == 0 ? SLICE_EMPTY : trimmed;
            return ERR_NONE;
    }
    message_set(error, "Invalid value %.*s for configuration %s: Not a number of type %s",
                SLICE_PRINT(text), row->name, type_names[row->type]);
    return ERR_INVALID_CONFIG;
}

enum err config_parse(enum config_key key, struct slice text, struct arena *arena,
                      struct config_value *value, struct message *error) {
    struct config_value parsed = {.is_null = slice_is_null(text), .text = SLICE_NULL};
    enum err err = ERR_NONE;
    if (!parsed.is_null) err = parse_type(&config_rows[key], text, arena, &parsed, error);
    if (err == ERR_NONE) err = config_validate(key, &parsed, error);
    if (err == ERR_NONE) *value = parsed;
    return err;
}

struct config_value config_default(enum config_key key, struct arena *arena) {
    const struct config_row *row = &config_rows[key];
    struct config_value value = {.is_null = row->default_text == NULL, .text = SLICE_NULL};
    if (!value.is_null) {
        enum err err = parse_type(row, slice_cstring(row->default_text), arena, &value, NULL);
        assert(err == ERR_NONE);
    }
    return value;
}
