// xoshiro256** by Blackman and Vigna, seeded by splitmix64.
#include "base/prng.h"

#include "base/assert.h"

static uint64_t rotate_left(uint64_t v, int bits) {
    return (v << bits) | (v >> (64 - bits));
}

void prng_init(struct prng *p, uint64_t seed) {
    for (size_t i = 0; i < COUNT_OF(p->state); i++) {
        seed += 0x9e3779b97f4a7c15U;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        p->state[i] = z ^ (z >> 31);
    }
}

uint64_t prng_next(struct prng *p) {
    uint64_t *s = p->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound) {
    assert(bound > 0);
    uint64_t reject = -bound % bound;  // values below would favour small results
    uint64_t v;
    do
        v = prng_next(p);
    while (v < reject);
    return v % bound;
}

bool prng_chance(struct prng *p, uint64_t numerator, uint64_t denominator) {
    return prng_below(p, denominator) < numerator;
}
