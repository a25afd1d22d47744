// "expression newline text": any expression compiles or is refused, and matches without harm.
#include "base/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice expression, text;
    struct pattern *pattern;
    struct message error;
    if (size > 300 || !slice_split(slice_of(data, size), '\n', &expression, &text)) return 0;
    if (pattern_new(expression, &pattern, &error) != ERR_NONE) return 0;
    pattern_matches(pattern, text);
    pattern_free(pattern);
    return 0;
}
