#include "base/message.h"

#include <stdarg.h>
#include <stdio.h>

void message_set(struct message *m, const char *format, ...) {
    if (m == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(m->text, sizeof m->text, format, arguments);
    va_end(arguments);
    if (size < (int)sizeof m->text) return;
    // Cut at the start of a character, so that what is left stays UTF-8.
    static const char ellipsis[] = "…";
    size_t end = sizeof m->text - sizeof ellipsis;
    while (end > 0 && ((uint8_t)m->text[end] & 0xc0) == 0x80)
        end--;
    memcpy(m->text + end, ellipsis, sizeof ellipsis);
}
