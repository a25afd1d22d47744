// A small deterministic generator (xoshiro256**) for the simulation, tests and jitter. Not for
// secrets: those come from env_random.
#pragma once

#include "base/compiler.h"

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
// Uniform in [0, bound); bound > 0.
uint64_t prng_below(struct prng *p, uint64_t bound);
// True with probability numerator / denominator.
bool prng_chance(struct prng *p, uint64_t numerator, uint64_t denominator);
