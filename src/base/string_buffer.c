#include "base/string_buffer.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"

void string_buffer_init(struct string_buffer *b) {
    *b = (struct string_buffer){0};
}

void string_buffer_deinit(struct string_buffer *b) {
    memory_free(b->text);
    string_buffer_init(b);
}

void string_buffer_clear(struct string_buffer *b) {
    b->size = 0;
    if (b->text != NULL) b->text[0] = '\0';
}

// Room for `size` bytes and the NUL.
static char *grow(struct string_buffer *b, size_t size) {
    assert(size < SIZE_MAX / 4 && b->size < SIZE_MAX / 4);
    size_t wanted = b->size + size + 1;
    if (wanted > b->capacity) {
        b->capacity = MAX(wanted, MAX(b->capacity * 2, (size_t)64));
        b->text = memory_realloc(b->text, b->capacity, 1);
    }
    return b->text + b->size;
}

void string_buffer_append(struct string_buffer *b, struct slice s) {
    char *at = grow(b, s.size);
    if (s.size > 0) memcpy(at, s.data, s.size);
    b->size += s.size;
    b->text[b->size] = '\0';
}

void string_buffer_append_char(struct string_buffer *b, char c) {
    string_buffer_append(b, slice_of(&c, 1));
}

void string_buffer_vformat(struct string_buffer *b, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    assert(size >= 0);
    vsnprintf(grow(b, (size_t)size), (size_t)size + 1, format, again);
    va_end(again);
    b->size += (size_t)size;
}

void string_buffer_format(struct string_buffer *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    string_buffer_vformat(b, format, arguments);
    va_end(arguments);
}

// The letter after the backslash of a short escape; 0: there is none.
static char short_escape(uint8_t c) {
    switch (c) {
        case '"':
        case '\\':
            return (char)c;
        case '\b':
            return 'b';
        case '\f':
            return 'f';
        case '\n':
            return 'n';
        case '\r':
            return 'r';
        case '\t':
            return 't';
        default:
            return 0;
    }
}

void string_buffer_append_json(struct string_buffer *b, struct slice s) {
    string_buffer_append_char(b, '"');
    size_t plain = 0;  // first byte not yet written
    for (size_t i = 0; i < s.size; i++) {
        char letter = short_escape(s.data[i]);
        if (letter == 0 && s.data[i] >= 0x20) continue;
        string_buffer_append(b, slice_sub(s, plain, i - plain));
        if (letter != 0) {
            string_buffer_format(b, "\\%c", letter);
        } else {
            string_buffer_format(b, "\\u%04X", s.data[i]);
        }
        plain = i + 1;
    }
    if (s.size > plain) string_buffer_append(b, slice_sub(s, plain, s.size - plain));
    string_buffer_append_char(b, '"');
}

void string_buffer_append_base64(struct string_buffer *b, struct slice s) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.size; i += 3) {
        size_t left = MIN(s.size - i, (size_t)3);
        uint32_t bits = (uint32_t)s.data[i] << 16;
        if (left > 1) bits |= (uint32_t)s.data[i + 1] << 8;
        if (left > 2) bits |= s.data[i + 2];
        char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        string_buffer_append(b, slice_of(quad, sizeof quad));
    }
}
