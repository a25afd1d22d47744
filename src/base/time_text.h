// An instant as text, "2026-11-25T03:14:15.926Z" (ISO 8601, UTC).
#pragma once

#include "base/compiler.h"

#define TIME_TEXT_SIZE 160  // with the NUL

// `ms` since 1970; any value. Returns `text`.
char *time_text(int64_t ms, char text[TIME_TEXT_SIZE]);
