#include "storage/index_file.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"

// Below this many candidates a search reads them all at once.
#define SEARCH_RUN     32
#define ENTRY_SIZE_MAX 34

void index_file_init(struct index_file *index, uint8_t entry_size) {
    *index = (struct index_file){.entry_size = entry_size};
}

void index_file_deinit(struct index_file *index) {
    file_close(index->file);
    memory_free(index->tail);
    index_file_init(index, index->entry_size);
}

enum err index_file_open(struct index_file *index, struct env *env, struct slice path,
                         enum file_mode mode) {
    if (index->file != NULL) return ERR_NONE;
    struct file *file;
    enum err err = file_open(env, path, mode, &file);
    if (err != ERR_NONE) return err;
    if (!index->is_known) {
        uint64_t size;
        err = file_size(file, &size);
        if (err == ERR_NONE && size / index->entry_size > UINT32_MAX / 2) err = ERR_CORRUPT;
        if (err != ERR_NONE) {
            file_close(file);
            return err;
        }
        index->file_count = (uint32_t)(size / index->entry_size);
        index->is_known = true;
    }
    index->file = file;
    return ERR_NONE;
}

void index_file_close(struct index_file *index) {
    assert(index->tail_count == 0);
    file_close(index->file);
    index->file = NULL;
    memory_free(index->tail);
    index->tail = NULL;
}

enum err index_file_read_many(const struct index_file *index, uint32_t i, uint32_t n,
                              enum read_mode mode, uint8_t *out) {
    size_t entry_size = index->entry_size;
    if (i < index->file_count) {
        uint32_t from_file = MIN(n, index->file_count - i);
        uint64_t position = (uint64_t)i * entry_size;
        size_t size = from_file * entry_size, got;
        if (mode == READ_NO_WAIT && !file_is_resident(index->file, position, size)) {
            return ERR_WOULD_BLOCK;
        }
        enum err err = file_read(index->file, position, out, size, &got);
        if (err != ERR_NONE) return err;
        if (got != size) return ERR_CORRUPT;
        i += from_file;
        n -= from_file;
        out += size;
    }
    if (n > 0) {
        uint32_t at = i - index->file_count;
        assert(at + n <= index->tail_count);
        memcpy(out, index->tail + at * entry_size, n * entry_size);
    }
    return ERR_NONE;
}

enum err index_file_read(const struct index_file *index, uint32_t i, enum read_mode mode,
                         uint8_t *out) {
    return index_file_read_many(index, i, 1, mode, out);
}

enum err index_file_append(struct index_file *index, const uint8_t *entry) {
    if (index->tail == NULL)
        index->tail = memory_alloc((size_t)INDEX_TAIL_ENTRIES * index->entry_size);
    if (index->tail_count == INDEX_TAIL_ENTRIES) {
        enum err err = index_file_flush(index);
        if (err != ERR_NONE) return err;
    }
    memcpy(index->tail + (size_t)index->tail_count * index->entry_size, entry, index->entry_size);
    index->tail_count++;
    return ERR_NONE;
}

enum err index_file_flush(struct index_file *index) {
    if (index->tail_count == 0) return ERR_NONE;
    enum err err = file_write(index->file, (uint64_t)index->file_count * index->entry_size,
                              index->tail, (size_t)index->tail_count * index->entry_size);
    if (err == ERR_NONE) index->file_count += index->tail_count;
    index->tail_count = 0;
    return err;
}

enum err index_file_truncate(struct index_file *index, uint32_t count) {
    if (count >= index->file_count) {
        index->tail_count = (uint16_t)MIN(index->tail_count, count - index->file_count);
        return ERR_NONE;
    }
    index->tail_count = 0;
    index->file_count = count;
    return file_truncate(index->file, (uint64_t)count * index->entry_size);
}

static int64_t key_of(const uint8_t *entry, uint8_t key_at, uint8_t key_size) {
    return key_size == 4 ? load_i32(entry + key_at) : load_i64(entry + key_at);
}

enum err index_file_search(const struct index_file *index, uint8_t key_at, uint8_t key_size,
                           int64_t key, bool strict, enum read_mode mode, uint32_t *count) {
    uint8_t run[SEARCH_RUN * ENTRY_SIZE_MAX];
    uint32_t low = 0, high = index_file_count(index);  // the answer is in [low, high]
    // What is in memory may answer at once: readers mostly ask for the end.
    if (index->tail_count > 0) {
        int64_t first = key_of(index->tail, key_at, key_size);
        if (first < key || (!strict && first == key)) {
            low = index->file_count;
        } else {
            high = index->file_count;
        }
    }
    while (high - low > SEARCH_RUN) {
        uint32_t middle = low + (high - low) / 2;
        enum err err = index_file_read(index, middle, mode, run);
        if (err != ERR_NONE) return err;
        int64_t found = key_of(run, key_at, key_size);
        if (found < key || (!strict && found == key)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (high > low) {
        enum err err = index_file_read_many(index, low, high - low, mode, run);
        if (err != ERR_NONE) return err;
    }
    uint32_t n = low;
    for (; n < high; n++) {
        int64_t found = key_of(run + (size_t)(n - low) * index->entry_size, key_at, key_size);
        if (found > key || (strict && found == key)) break;
    }
    *count = n;
    return ERR_NONE;
}
