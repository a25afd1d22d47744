// An index file of a segment: an array of fixed-size entries that only grows at its end. The newest
// entries wait in memory (the tail) until enough are there for one small buffered write; so an
// index in use costs a few hundred bytes, whatever its size, and its file is complete only after
// index_file_flush. Losing the tail in a crash loses nothing: recovery builds the index of an
// unclean segment anew.
//
// Owned by its segment, used on the log's reactor. Jobs may read entries that are in the file
// (index_file_read with READ_BLOCKING) while the reactor appends, on a copy of the struct without
// tail.
#pragma once

#include "base/string_buffer.h"
#include "env/env.h"

#define INDEX_TAIL_ENTRIES 32

// Whether a read may wait for the disk. READ_NO_WAIT gives ERR_WOULD_BLOCK instead.
enum read_mode { READ_BLOCKING, READ_NO_WAIT };

struct index_file {
    struct file *file;    // NULL while closed
    uint8_t *tail;        // heap, INDEX_TAIL_ENTRIES entries; NULL until the first append
    uint32_t file_count;  // entries in the file
    uint16_t tail_count;
    uint8_t entry_size;
    bool is_known;  // file_count was read from the file
};

void index_file_init(struct index_file *index, uint8_t entry_size);
// Closes the file and drops the tail.
void index_file_deinit(struct index_file *index);
// Opens the file (READ: ERR_NOT_FOUND when missing; CREATE) and counts its entries; an odd rest at
// the end is not counted. Nothing happens when it is open.
MUST_CHECK enum err index_file_open(struct index_file *index, struct env *env, struct slice path,
                                    enum file_mode mode);
void index_file_close(struct index_file *index);  // keeps counts; the tail must be empty

static inline uint32_t index_file_count(const struct index_file *index) {
    return index->file_count + index->tail_count;
}
// Entry `i` into `out`. The file must be open unless the entry is in the tail.
MUST_CHECK enum err index_file_read(const struct index_file *index, uint32_t i, enum read_mode mode,
                                    uint8_t *out);
// Entries [i, i + n) into `out`; they must exist.
MUST_CHECK enum err index_file_read_many(const struct index_file *index, uint32_t i, uint32_t n,
                                         enum read_mode mode, uint8_t *out);
// Into the tail; a full tail is flushed first.
MUST_CHECK enum err index_file_append(struct index_file *index, const uint8_t *entry);
// Writes the tail to the file (which must be open for writing). On error the tail is dropped: an
// index may have holes.
MUST_CHECK enum err index_file_flush(struct index_file *index);
// Keeps the first `count` entries.
MUST_CHECK enum err index_file_truncate(struct index_file *index, uint32_t count);

// The number of leading entries whose key, a big-endian integer of `key_size` bytes (4 or 8) at
// `key_at`, is <= `key` (< with `strict`); the last of them into `floor` (may be NULL; untouched
// when there is none). Keys must not decrease; when they do, any answer is possible.
MUST_CHECK enum err index_file_search(const struct index_file *index, uint8_t key_at,
                                      uint8_t key_size, int64_t key, bool strict,
                                      enum read_mode mode, uint32_t *count, uint8_t *floor);
