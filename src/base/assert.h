// Assertions for our own bugs. They stay on in release builds. Bytes from the network or the disk
// are never asserted: those are errors (see gen/err.h).
#pragma once

#include "base/compiler.h"

// Prints the failed expression and its place on standard error, then aborts. Any thread.
NORETURN void assert_failed(const char *expression, const char *file, int line);

// Aborts the process: out of memory, or a state that must not be left on disk. Any thread.
NORETURN void fatal(const char *format, ...) PRINTF_LIKE(1, 2);

#define assert(expression) \
    (LIKELY(expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))
