#include "metadata/topic_name.h"

static bool is_legal(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum err topic_name_check(struct slice name, struct message *error) {
    if (name.size == 0) {
        message_set(error, "Topic name is invalid: the empty string is not allowed");
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    if (slice_equal_cstring(name, ".") || slice_equal_cstring(name, "..")) {
        message_set(error, "Topic name is invalid: '%.*s' is not allowed", SLICE_PRINT(name));
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    if (name.size > TOPIC_NAME_MAX) {
        message_set(error,
                    "Topic name is invalid: the length of '%.*s' is longer than the max allowed "
                    "length %d",
                    SLICE_PRINT(name), TOPIC_NAME_MAX);
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (is_legal(name.data[i])) continue;
        message_set(error,
                    "Topic name is invalid: '%.*s' contains one or more characters other than "
                    "ASCII alphanumerics, '.', '_' and '-'",
                    SLICE_PRINT(name));
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    return ERR_NONE;
}

bool topic_name_is_internal(struct slice name) {
    return slice_equal_cstring(name, "__consumer_offsets") ||
           slice_equal_cstring(name, "__transaction_state") ||
           slice_equal_cstring(name, "__share_group_state");
}

bool topic_names_collide(struct slice a, struct slice b) {
    if (a.size != b.size) return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a.data[i] == '.' ? '_' : a.data[i];
        uint8_t y = b.data[i] == '.' ? '_' : b.data[i];
        if (x != y) return false;
    }
    return true;
}
