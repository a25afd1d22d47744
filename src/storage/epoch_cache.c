#include "storage/epoch_cache.h"

#include "base/memory.h"

void epoch_cache_init(struct epoch_cache *cache) {
    *cache = (struct epoch_cache){0};
}

void epoch_cache_deinit(struct epoch_cache *cache) {
    memory_free(cache->entries);
    epoch_cache_init(cache);
}

void epoch_cache_clear(struct epoch_cache *cache) {
    cache->is_changed |= cache->count > 0;
    cache->count = 0;
}

void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset) {
    if (epoch < 0) return;
    if (cache->count > 0) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        if (last->epoch == epoch && start_offset >= last->start_offset) return;
    }
    while (cache->count > 0) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        if (last->epoch < epoch && last->start_offset < start_offset) break;
        cache->count--;
    }
    if (cache->count == cache->capacity) {
        cache->capacity = cache->capacity == 0 ? 2 : cache->capacity * 2;
        cache->entries =
            memory_realloc(cache->entries, (size_t)cache->capacity, sizeof *cache->entries);
    }
    cache->entries[cache->count++] = (struct epoch_entry){epoch, start_offset};
    cache->is_changed = true;
}

void epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset) {
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= end_offset) {
        cache->count--;
        cache->is_changed = true;
    }
}

void epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset) {
    int32_t before = 0;
    while (before < cache->count && cache->entries[before].start_offset <= start_offset)
        before++;
    if (before == 0) return;
    int32_t drop = before - 1;
    if (drop == 0 && cache->entries[0].start_offset == start_offset) return;
    memmove(cache->entries, cache->entries + drop,
            (size_t)(cache->count - drop) * sizeof *cache->entries);
    cache->count -= drop;
    cache->entries[0].start_offset = start_offset;
    cache->is_changed = true;
}

void epoch_cache_end_of(const struct epoch_cache *cache, int32_t epoch, int64_t log_end,
                        int32_t *found_epoch, int64_t *end_offset) {
    *found_epoch = -1;
    *end_offset = -1;
    if (epoch < 0 || cache->count == 0) return;
    if (epoch > cache->entries[cache->count - 1].epoch) return;
    int32_t next = 0;  // the first entry of a later epoch
    while (next < cache->count && cache->entries[next].epoch <= epoch)
        next++;
    // Older than all we know: nothing of that epoch is here, so it ends where we begin.
    *found_epoch = next == 0 ? epoch : cache->entries[next - 1].epoch;
    *end_offset = next == cache->count ? log_end : cache->entries[next].start_offset;
}

int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset) {
    for (int32_t i = cache->count - 1; i >= 0; i--) {
        if (cache->entries[i].start_offset <= offset) return cache->entries[i].epoch;
    }
    return -1;
}

int32_t epoch_cache_last(const struct epoch_cache *cache) {
    return cache->count == 0 ? -1 : cache->entries[cache->count - 1].epoch;
}
