// Which items of a request repeat an earlier one, in linear time however long the request is.
#pragma once

#include "base/arena.h"
#include "base/slice.h"

enum repeat {
    REPEAT_NONE,   // the only one of its key
    REPEAT_FIRST,  // the first of several
    REPEAT_LATER,  // a later one
};

// One answer per key, in the arena. Null keys are never repeated. `seed` is random.
enum repeat *repeats_find(const struct slice *keys, int32_t count, uint64_t seed,
                          struct arena *arena);
