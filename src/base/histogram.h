// A high-dynamic-range histogram of durations: 3 significant digits, fixed memory (about 30 KiB),
// values 1 ns to 1 h.
#pragma once

#include "base/compiler.h"

#define HISTOGRAM_BUCKETS 4096

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
// The value below which `percent` (0-100) of the values lie, exact to 1 part in 128.
uint64_t histogram_percentile(const struct histogram *h, double percent);
