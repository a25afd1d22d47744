// MurmurHash2, 32 bits, with the seed that Kafka's Java client uses, so that a key lands where that
// client puts it.
#include "client/producer.h"

uint32_t murmur2(struct slice bytes) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28cU ^ (uint32_t)bytes.size;
    size_t i = 0;
    for (; i + 4 <= bytes.size; i += 4) {
        uint32_t k;
        memcpy(&k, bytes.data + i, sizeof k);  // little-endian, as Java reads it
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
    }
    size_t left = bytes.size - i;
    if (left > 2) h ^= (uint32_t)bytes.data[i + 2] << 16;
    if (left > 1) h ^= (uint32_t)bytes.data[i + 1] << 8;
    if (left > 0) h = (h ^ bytes.data[i]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t producer_partition_of_key(struct slice key, int32_t partition_count) {
    return (int32_t)(murmur2(key) & INT32_MAX) % partition_count;
}
