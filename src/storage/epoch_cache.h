// Which leader epoch began at which offset (KIP-101, KIP-279): the contents of
// leader-epoch-checkpoint. Entries grow strictly in both epoch and start offset. In memory only;
// the log writes the file.
#pragma once

#include "storage/checkpoint.h"

struct epoch_cache {
    struct epoch_entry *entries;  // heap
    int32_t count;
    int32_t capacity;
    bool is_changed;  // since the file was written last
};

void epoch_cache_init(struct epoch_cache *cache);
void epoch_cache_deinit(struct epoch_cache *cache);
void epoch_cache_clear(struct epoch_cache *cache);
// `epoch` begins at `start_offset`; nothing happens when it is the last entry already. Entries that
// contradict it (a later epoch, or a start at or behind this one) are dropped, as a follower does
// that meets them in its leader's log.
void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
// The log now ends at `end_offset`: drops entries that start there or behind.
void epoch_cache_truncate_end(struct epoch_cache *cache, int64_t end_offset);
// The log now starts at `start_offset`: drops what lies before; the entry in force there starts
// there.
void epoch_cache_truncate_start(struct epoch_cache *cache, int64_t start_offset);
// KIP-279, see log_epoch_end.
void epoch_cache_end_of(const struct epoch_cache *cache, int32_t epoch, int64_t log_end,
                        int32_t *found_epoch, int64_t *end_offset);
int32_t epoch_cache_of(const struct epoch_cache *cache, int64_t offset);  // -1: none
int32_t epoch_cache_last(const struct epoch_cache *cache);                // -1: none
