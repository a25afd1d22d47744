#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { LINE_MAX = 2048 };

static const char *const areas[LOG_AREA_COUNT] = {
    "api", "broker", "client", "config", "controller", "env", "net", "raft", "replica", "storage"};

const char *log_area_name(int area) {
    return areas[area];
}

// All reactors share one logger and an operator changes it from one of them: plain loads and
// stores, but of values that are never torn.
static int8_t own_level(const struct logger *logger, int area) {
    return __atomic_load_n(&logger->own[area], __ATOMIC_RELAXED);
}

enum log_level logger_level(const struct logger *logger, int area) {
    int8_t own = area == LOG_AREA_ALL ? 0 : own_level(logger, area);
    return own != 0 ? (enum log_level)(own - 2)
                    : (enum log_level)__atomic_load_n(&logger->level, __ATOMIC_RELAXED);
}

void logger_set_level(struct logger *logger, int area, enum log_level level) {
    if (area == LOG_AREA_ALL)
        __atomic_store_n(&logger->level, level, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&logger->own[area], (int8_t)((int)level + 2), __ATOMIC_RELAXED);
}

void logger_unset_level(struct logger *logger, int area) {
    __atomic_store_n(&logger->own[area], (int8_t)0, __ATOMIC_RELAXED);
}

static enum log_level threshold(const struct logger *logger, const char *area) {
    for (int i = 0; i < LOG_AREA_COUNT; i++)
        if (strcmp(areas[i], area) == 0) return logger_level(logger, i);
    return logger_level(logger, LOG_AREA_ALL);
}

void log_line(struct logger *logger, enum log_level level, const char *area, const char *format,
              ...) {
    if (level < threshold(logger, area)) return;
    char text[LINE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    logger->write(logger, level, area, text);
}
