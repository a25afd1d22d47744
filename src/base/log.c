#include "base/log.h"

#include <stdio.h>

enum { LINE_MAX = 2048 };

void log_line(struct logger *logger, enum log_level level, const char *area, const char *format,
              ...) {
    if (level < logger->level) return;
    char text[LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    logger->write(logger, level, area, text);
}
