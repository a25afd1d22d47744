// The validators of Kafka's ConfigDef, with its sentences.
#include <math.h>

#include "config/internal.h"

static enum err invalid(const struct config_row *row, struct slice shown, struct message *error,
                        const char *why) {
    message_set(error, "Invalid value %.*s for configuration %s: %s", SLICE_PRINT(shown), row->name,
                why);
    return ERR_INVALID_CONFIG;
}

// The bounds are printed as they stand in the row: "[1,...,9]".
static enum err check_range(const struct config_row *row, const struct config_value *value,
                            struct message *error) {
    if (value->is_null) return invalid(row, SLICE_LITERAL("null"), error, "Value must be non-null");
    bool is_double = row->type == CONFIG_TYPE_DOUBLE;
    double number = is_double ? value->number : (double)value->integer;
    struct slice low, high, text = slice_cstring(row->range_text + 1);
    text.size--;
    if (!slice_split(text, ',', &low, &text)) return ERR_NONE;
    struct message why;
    if (number < row->range_min) {
        message_set(&why, "Value must be at least %.*s", SLICE_PRINT(low));
        return invalid(row, value->text, error, why.text);
    }
    if (number > row->range_max && slice_split(text, ',', &low, &high)) {
        message_set(&why, "Value must be no more than %.*s", SLICE_PRINT(high));
        return invalid(row, value->text, error, why.text);
    }
    return ERR_NONE;
}

static bool equal_any_case(struct slice a, struct slice b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t difference = a.data[i] ^ b.data[i];
        bool letter = (uint8_t)((a.data[i] | 0x20) - 'a') < 26;
        if (difference != 0 && !(difference == 0x20 && letter)) return false;
    }
    return true;
}

static void append_allowed(struct string_buffer *out, const struct config_row *row) {
    for (int i = 0; row->allowed[i] != NULL; i++)
        string_buffer_format(out, "%s%s", i == 0 ? "" : ", ", row->allowed[i]);
}

static enum err check_one_of(const struct config_row *row, struct slice text,
                             struct message *error) {
    bool any_case = row->check == CONFIG_CHECK_ONE_OF_ANY_CASE;
    for (int i = 0; row->allowed[i] != NULL; i++) {
        struct slice one = slice_cstring(row->allowed[i]);
        if (slice_equal(one, text) || (any_case && equal_any_case(one, text))) return ERR_NONE;
    }
    struct string_buffer why;
    string_buffer_init(&why);
    string_buffer_format(&why, "String must be one of%s: ", any_case ? " (case insensitive)" : "");
    append_allowed(&why, row);
    enum err err =
        invalid(row, slice_is_null(text) ? SLICE_LITERAL("null") : text, error, why.text);
    string_buffer_deinit(&why);
    return err;
}

static enum err check_list(const struct config_row *row, const struct config_value *value,
                           struct message *error) {
    if (value->is_null) {
        if (row->list_may_be_null) return ERR_NONE;
        message_set(error, "Configuration '%s' values must not be null.", row->name);
        return ERR_INVALID_CONFIG;
    }
    if (value->list.count == 0 && !row->list_may_be_empty) {
        struct string_buffer allowed;
        string_buffer_init(&allowed);
        string_buffer_append(&allowed, SLICE_LITERAL("["));
        if (row->allowed != NULL) append_allowed(&allowed, row);
        string_buffer_append(&allowed, SLICE_LITERAL("]"));
        message_set(error, "Configuration '%s' must not be empty. Valid values include: %s",
                    row->name, row->allowed == NULL ? "any non-empty value" : allowed.text);
        string_buffer_deinit(&allowed);
        return ERR_INVALID_CONFIG;
    }
    for (int32_t i = 0; i < value->list.count; i++) {
        if (value->list.items[i].size == 0) {
            message_set(error, "Configuration '%s' values must not be empty.", row->name);
            return ERR_INVALID_CONFIG;
        }
        enum err err = ERR_NONE;
        if (row->allowed != NULL) err = check_one_of(row, value->list.items[i], error);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

// Empty, or <partition>:<broker> in digits.
static bool is_throttled_replica(struct slice item) {
    struct slice partition, broker;
    if (item.size == 0) return true;
    if (!slice_split(item, ':', &partition, &broker) || partition.size == 0 || broker.size == 0)
        return false;
    for (size_t i = 0; i < item.size; i++)
        if (item.data + i != broker.data - 1 && (item.data[i] < '0' || item.data[i] > '9'))
            return false;
    return true;
}

static enum err check_throttled_replicas(const struct config_row *row,
                                         const struct config_value *value, struct message *error) {
    if (value->is_null) return ERR_NONE;
    if (value->list.count == 1 && slice_equal_cstring(value->list.items[0], "*")) return ERR_NONE;
    for (int32_t i = 0; i < value->list.count; i++) {
        if (is_throttled_replica(value->list.items[i])) continue;
        struct string_buffer shown;
        string_buffer_init(&shown);
        config_print_list(&shown, value->list);
        struct message why;
        message_set(&why,
                    "%s must be the literal '*' or a list of replicas in the following format: "
                    "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    row->name);
        enum err err = invalid(row, string_buffer_slice(&shown), error, why.text);
        string_buffer_deinit(&shown);
        return err;
    }
    return ERR_NONE;
}

// One "12D" of an ISO 8601 duration; seconds may have a fraction.
static bool take_duration_part(struct slice *rest, char unit) {
    size_t i = 0, digits = 0;
    while (i < rest->size && rest->data[i] >= '0' && rest->data[i] <= '9')
        i++, digits++;
    if (digits == 0 || digits > 12) return false;
    if (unit == 'S' && i < rest->size && (rest->data[i] == '.' || rest->data[i] == ',')) {
        size_t fraction = ++i;
        while (i < rest->size && rest->data[i] >= '0' && rest->data[i] <= '9')
            i++;
        if (i - fraction > 9) return false;
    }
    if (i == rest->size || (rest->data[i] & 0xdf) != unit) return false;
    *rest = slice_sub(*rest, i + 1, rest->size - i - 1);
    return true;
}

// PnDTnHnMn.nS, not negative, at least one part.
static bool is_duration(struct slice text) {
    if (text.size < 3 || (text.data[0] & 0xdf) != 'P') return false;
    struct slice rest = slice_sub(text, 1, text.size - 1);
    bool any = take_duration_part(&rest, 'D');
    if (rest.size == 0) return any;
    if ((rest.data[0] & 0xdf) != 'T') return false;
    rest = slice_sub(rest, 1, rest.size - 1);
    bool hours = take_duration_part(&rest, 'H');
    bool minutes = take_duration_part(&rest, 'M');
    bool seconds = take_duration_part(&rest, 'S');
    return rest.size == 0 && (hours || minutes || seconds);
}

static enum err check_offset_reset(const struct config_row *row, struct slice text,
                                   struct message *error) {
    struct slice prefix = SLICE_LITERAL("by_duration:");
    if (slice_equal_cstring(text, "earliest") || slice_equal_cstring(text, "latest"))
        return ERR_NONE;
    if (slice_starts_with(text, prefix) &&
        is_duration(slice_sub(text, prefix.size, text.size - prefix.size)))
        return ERR_NONE;
    struct message why;
    message_set(&why,
                "Invalid value `%.*s` for configuration %s. The value must be either 'earliest', "
                "'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                SLICE_PRINT(text), row->name);
    return invalid(row, text, error, why.text);
}

static enum err check_addresses(const struct config_row *row, const struct config_value *value,
                                struct message *error) {
    if (value->is_null) {
        message_set(error, "Invalid value null for configuration %s", row->name);
        return ERR_INVALID_CONFIG;
    }
    for (int32_t i = 0; i < value->list.count; i++) {
        struct config_voter parsed;
        enum err err = row->check == CONFIG_CHECK_VOTERS
                           ? config_parse_voter(value->list.items[i], &parsed, error)
                           : config_parse_bootstrap(value->list.items[i], &parsed, error);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static enum err check_gzip_level(const struct config_row *row, const struct config_value *value,
                                 struct message *error) {
    if (value->is_null) return invalid(row, SLICE_LITERAL("null"), error, "Value must be non-null");
    if (value->integer == -1 || (value->integer >= 1 && value->integer <= 9)) return ERR_NONE;
    return invalid(row, value->text, error, "Value must be between 1 and 9 or equal to -1");
}

enum err config_validate(enum config_key key, const struct config_value *value,
                         struct message *error) {
    const struct config_row *row = &config_rows[key];
    switch ((enum config_check)row->check) {
        case CONFIG_CHECK_ANY:
            return ERR_NONE;
        case CONFIG_CHECK_RANGE:
            return check_range(row, value, error);
        case CONFIG_CHECK_ONE_OF:
        case CONFIG_CHECK_ONE_OF_ANY_CASE:
            return check_one_of(row, value->text, error);
        case CONFIG_CHECK_LIST:
            return check_list(row, value, error);
        case CONFIG_CHECK_NOT_EMPTY:
            if (value->is_null || value->text.size > 0) return ERR_NONE;
            return invalid(row, value->text, error, "String must be non-empty");
        case CONFIG_CHECK_NOT_NULL:
            if (!value->is_null) return ERR_NONE;
            return invalid(row, SLICE_LITERAL("null"), error, "entry must be non null");
        case CONFIG_CHECK_GZIP_LEVEL:
            return check_gzip_level(row, value, error);
        case CONFIG_CHECK_THROTTLED_REPLICAS:
            return check_throttled_replicas(row, value, error);
        case CONFIG_CHECK_BOOTSTRAP_SERVERS:
        case CONFIG_CHECK_VOTERS:
            return check_addresses(row, value, error);
        case CONFIG_CHECK_OFFSET_RESET:
            return check_offset_reset(row, value->text, error);
    }
    return ERR_NONE;
}
