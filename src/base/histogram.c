// Buckets are linear below 128 and then 64 to each doubling: a value lies within 1/128 of the
// middle of its bucket.
#include "base/histogram.h"

#include <string.h>

enum { LINEAR = 128, HALF = 64, HALF_BITS = 6 };

static size_t bucket_of(uint64_t value) {
    if (value < LINEAR) return (size_t)value;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HALF_BITS;
    size_t bucket = (size_t)shift * HALF + (size_t)(value >> shift);
    return MIN(bucket, (size_t)HISTOGRAM_BUCKETS - 1);
}

static uint64_t middle_of(size_t bucket) {
    if (bucket < LINEAR) return bucket;
    unsigned shift = (unsigned)(bucket / HALF) - 1;
    uint64_t low = (uint64_t)(bucket - shift * HALF) << shift;
    return low + ((1ULL << shift) - 1) / 2;
}

void histogram_init(struct histogram *h) {
    memset(h, 0, sizeof *h);
}

void histogram_add(struct histogram *h, uint64_t value) {
    h->count++;
    h->sum += value;
    h->max = MAX(h->max, value);
    h->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *to, const struct histogram *from) {
    to->count += from->count;
    to->sum += from->sum;
    to->max = MAX(to->max, from->max);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *h, double percent) {
    if (h->count == 0) return 0;
    double wanted = percent / 100.0 * (double)h->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (h->buckets[i] > 0 && (double)seen >= wanted) return MIN(middle_of(i), h->max);
    }
    return h->max;
}
