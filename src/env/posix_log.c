// Log lines on standard error: time in UTC, level, area, sentence. One write per line, so that
// lines of several threads do not mix.
#include "env/posix.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

void posix_log_write(struct logger *logger, enum log_level level, const char *area,
                     const char *text) {
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    (void)logger;
    struct timespec now;
    struct tm utc;
    char line[LINE_MAX_BYTES];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    int size = snprintf(line, sizeof line - 1, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %-5s %s: %s",
                        utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                        utc.tm_sec, (int)(now.tv_nsec / 1000000), names[level], area, text);
    if (size < 0) return;
    size_t used = MIN((size_t)size, sizeof line - 2);
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written;  // a log line that cannot be written has nowhere to complain
}
