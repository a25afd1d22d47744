// A growing string on the heap, always NUL-terminated. One owner, any thread.
#pragma once

#include <stdarg.h>

#include "base/slice.h"

struct string_buffer {
    char *text;  // NULL until the first append
    size_t size;
    size_t capacity;
};

void string_buffer_init(struct string_buffer *b);
void string_buffer_deinit(struct string_buffer *b);
void string_buffer_clear(struct string_buffer *b);

void string_buffer_append(struct string_buffer *b, struct slice s);
void string_buffer_append_char(struct string_buffer *b, char c);
void string_buffer_format(struct string_buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
void string_buffer_vformat(struct string_buffer *b, const char *format, va_list arguments);

// As a JSON string with its quotes; escapes as Jackson does (control characters \u00XX upper-case
// hex, ", \\, \n …).
void string_buffer_append_json(struct string_buffer *b, struct slice s);

// Standard base64 with padding (how Kafka's JSON shows bytes).
void string_buffer_append_base64(struct string_buffer *b, struct slice s);

static inline struct slice string_buffer_slice(const struct string_buffer *b) {
    return b->text == NULL ? SLICE_EMPTY : slice_of(b->text, b->size);
}
