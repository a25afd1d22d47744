// Lines for operators. A log line is one sentence with its facts; the sink is given by the program
// (the real one writes to standard error with a time stamp; the simulation keeps them with
// simulated time). The sink is part of `struct env`, so there is no global state: every caller has
// an env or a logger at hand.
#pragma once

#include <stdarg.h>

#include "base/compiler.h"

// Lines have the levels from debug to error; trace and fatal are thresholds only (Kafka's tools set
// them): all, and none.
enum log_level { LOG_TRACE = -1, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

#define LOG_AREA_COUNT 10  // the folders that write lines
#define LOG_AREA_ALL   (-1)

struct logger {
    enum log_level level;  // lines below are dropped, where the area has no level of its own
    void (*write)(struct logger *logger, enum log_level level, const char *area, const char *text);
    int8_t own[LOG_AREA_COUNT];  // log.c's: 0: none
};

const char *log_area_name(int area);  // "broker" …

// The level that counts for an area (0 … LOG_AREA_COUNT - 1, or LOG_AREA_ALL: of those without one
// of their own); changing it, and taking it back. Any thread.
enum log_level logger_level(const struct logger *logger, int area);
void logger_set_level(struct logger *logger, int area, enum log_level level);
void logger_unset_level(struct logger *logger, int area);

// `area` is the folder's name ("storage", "net").
void log_line(struct logger *logger, enum log_level level, const char *area, const char *format,
              ...) PRINTF_LIKE(4, 5);

#define log_debug(logger, area, ...) log_line(logger, LOG_DEBUG, area, __VA_ARGS__)
#define log_info(logger, area, ...)  log_line(logger, LOG_INFO, area, __VA_ARGS__)
#define log_warn(logger, area, ...)  log_line(logger, LOG_WARN, area, __VA_ARGS__)
#define log_error(logger, area, ...) log_line(logger, LOG_ERROR, area, __VA_ARGS__)
