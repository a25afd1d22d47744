// Attributes and small macros that every file may use. No code, no state.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define MUST_CHECK               __attribute__((warn_unused_result))
#define NORETURN                 __attribute__((noreturn))
#define UNUSED                   __attribute__((unused))
#define PRINTF_LIKE(text, first) __attribute__((__format__(printf, text, first)))
#define LIKELY(x)                __builtin_expect(!!(x), 1)
#define UNLIKELY(x)              __builtin_expect(!!(x), 0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

// The struct of `type` whose member `member` is at `pointer`.
#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
