// Lines for operators. A log line is one sentence with its facts; the sink is given by the program
// (the real one writes to standard error with a time stamp; the simulation keeps them with
// simulated time). The sink is part of `struct env`, so there is no global state: every caller has
// an env or a logger at hand.
#pragma once

#include <stdarg.h>

#include "base/compiler.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logger {
    enum log_level level;  // lines below are dropped
    void (*write)(struct logger *logger, enum log_level level, const char *area, const char *text);
};

// `area` is the folder's name ("storage", "net").
void log_line(struct logger *logger, enum log_level level, const char *area, const char *format,
              ...) PRINTF_LIKE(4, 5);

#define log_debug(logger, area, ...) log_line(logger, LOG_DEBUG, area, __VA_ARGS__)
#define log_info(logger, area, ...)  log_line(logger, LOG_INFO, area, __VA_ARGS__)
#define log_warn(logger, area, ...)  log_line(logger, LOG_WARN, area, __VA_ARGS__)
#define log_error(logger, area, ...) log_line(logger, LOG_ERROR, area, __VA_ARGS__)
