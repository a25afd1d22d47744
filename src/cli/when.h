// Instants and durations as people write them on the command line (ISO 8601). Pure.
#pragma once

#include "base/slice.h"

// "2026-11-25", "2026-11-25T03:14:15", "…15.926", each with "Z" or "+02:00" behind; without, UTC.
// Milliseconds since 1970. False: it is none.
MUST_CHECK bool when_parse(struct slice text, int64_t *ms);
// "P7D", "PT1H30M", "P1DT12H", "PT0.5S". Milliseconds. False: it is none.
MUST_CHECK bool when_parse_duration(struct slice text, int64_t *ms);
