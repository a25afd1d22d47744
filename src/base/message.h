// A bounded sentence for a person, filled on cold paths beside an `enum err`. Lives on the caller's
// stack.
#pragma once

#include "base/slice.h"

#define MESSAGE_MAX 512

struct message {
    char text[MESSAGE_MAX];  // NUL-terminated; empty until set; cut off with "…" when too long
};

static inline void message_init(struct message *m) {
    m->text[0] = '\0';
}

// `m` may be NULL: then nothing is written.
void message_set(struct message *m, const char *format, ...) PRINTF_LIKE(2, 3);

static inline struct slice message_slice(const struct message *m) {
    return m->text[0] == '\0' ? SLICE_NULL : slice_cstring(m->text);
}
