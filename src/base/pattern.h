// Regular expressions in the syntax of RE2 (as far as names of topics and clients need it), matched
// in linear time: no input and no expression makes it slow. Bytes, not characters. Pure; a compiled
// pattern may be matched from any thread, one match at a time per matcher.
//
//   x  .  [a-z]  [^a-z]  [[:digit:]]  \d \D \w \W \s \S  \x41  \Q…\E      one byte
//   xy  x|y  (x)  (?:x)  (?i)  (?i:x)                                   composites; groups are not
//   captured x* x+ x? x{2} x{2,} x{2,5}, each with a ? behind                    repetition, at
//   most 1000 ^ $ \A \z \b \B                                                     places
//
// Not there, and an error: look-around and back-references (RE2 has none either), \p classes, named
// groups.
#pragma once

#include "base/message.h"
#include "gen/err.h"

struct pattern;

// Returns owned. ERR_INVALID with a sentence when the expression is malformed or too large.
MUST_CHECK enum err pattern_new(struct slice text, struct pattern **pattern, struct message *error);
void pattern_free(struct pattern *pattern);  // NULL is allowed

// Whether the pattern matches all of `text`.
bool pattern_matches(const struct pattern *pattern, struct slice text);
