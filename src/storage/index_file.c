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

// ---- Searching ----
//
// Entries grow about evenly with offset, position and time, so the first guesses interpolate: one
// run of entries around the guess mostly holds the answer, and a search costs a read or two. When
// it does not, the search goes on by halves.

#define GUESSES_MAX 4

struct search {
    const struct index_file *index;
    int64_t key;
    enum read_mode mode;
    uint8_t key_at;
    uint8_t key_size;
    bool strict;
    uint32_t low;  // the answer is in [low, high]
    uint32_t high;
    int64_t low_key;                           // of the entry before `low`, or a lower bound
    int64_t high_key;                          // of the entry at `high`, or an upper bound
    uint8_t run[SEARCH_RUN * ENTRY_SIZE_MAX];  // entries [run_first, run_first + run_count)
    uint32_t run_first;
    uint32_t run_count;
};

static int64_t key_of(const struct search *s, const uint8_t *entry) {
    return s->key_size == 4 ? load_i32(entry + s->key_at) : load_i64(entry + s->key_at);
}

static const uint8_t *run_entry(const struct search *s, uint32_t i) {
    return s->run + (size_t)(i - s->run_first) * s->index->entry_size;
}

static bool is_below(const struct search *s, int64_t found) {
    return found < s->key || (!s->strict && found == s->key);
}

static enum err read_run(struct search *s, uint32_t first, uint32_t count) {
    s->run_first = first;
    s->run_count = count;
    return index_file_read_many(s->index, first, count, s->mode, s->run);
}

static uint32_t guess(const struct search *s) {
    double share =
        ((double)s->key - (double)s->low_key) / ((double)s->high_key - (double)s->low_key);
    double at = (double)s->low + share * (double)(s->high - s->low) - SEARCH_RUN / 2.0;
    double last = (double)(s->high - SEARCH_RUN);
    return at <= (double)s->low ? s->low : at >= last ? s->high - SEARCH_RUN : (uint32_t)at;
}

// Narrows [low, high] by the run around `first`.
static enum err narrow(struct search *s, uint32_t first) {
    enum err err = read_run(s, first, SEARCH_RUN);
    if (err != ERR_NONE) return err;
    int64_t first_key = key_of(s, run_entry(s, first));
    int64_t last_key = key_of(s, run_entry(s, first + SEARCH_RUN - 1));
    if (!is_below(s, first_key)) {
        s->high = first;
        s->high_key = first_key;
    } else if (is_below(s, last_key)) {
        s->low = first + SEARCH_RUN;
        s->low_key = last_key;
    } else {
        s->low = first + 1;
        s->high = first + SEARCH_RUN - 1;
    }
    return ERR_NONE;
}

static enum err search_bounds(struct search *s) {
    const struct index_file *index = s->index;
    s->high = index_file_count(index);
    s->low_key = 0;
    s->high_key = INT64_MAX;
    // What is in memory may answer at once: readers mostly ask for the end.
    if (index->tail_count == 0) return ERR_NONE;
    int64_t first = key_of(s, index->tail);
    if (is_below(s, first)) {
        s->low = index->file_count;
        s->low_key = first;
    } else {
        s->high = index->file_count;
        s->high_key = first;
    }
    return ERR_NONE;
}

static enum err search_run(struct search *s) {
    enum err err = search_bounds(s);
    if (err == ERR_NONE && s->high - s->low > SEARCH_RUN && s->high_key == INT64_MAX) {
        err = narrow(s, s->high - SEARCH_RUN);
    }
    for (int tries = 0; err == ERR_NONE && s->high - s->low > SEARCH_RUN; tries++) {
        bool may_guess = tries < GUESSES_MAX && s->high_key > s->low_key;
        err = narrow(s, may_guess ? guess(s) : s->low + (s->high - s->low - SEARCH_RUN) / 2);
    }
    if (err != ERR_NONE || s->high == s->low) return err;
    bool is_read = s->low >= s->run_first && s->high <= s->run_first + s->run_count;
    return is_read ? ERR_NONE : read_run(s, s->low, s->high - s->low);
}

enum err index_file_search(const struct index_file *index, uint8_t at, uint8_t key_size,
                           int64_t key, bool strict, enum read_mode mode, uint32_t *count,
                           uint8_t *floor) {
    struct search s = {
        .index = index, .key = key, .key_at = at, .key_size = key_size, .strict = strict};
    // An index that this process writes is in the page cache.
    s.mode = index->tail != NULL ? READ_BLOCKING : mode;
    enum err err = search_run(&s);
    if (err != ERR_NONE) return err;
    uint32_t n = s.low;
    while (n < s.high && is_below(&s, key_of(&s, run_entry(&s, n))))
        n++;
    *count = n;
    if (floor == NULL || n == 0) return ERR_NONE;
    if (n > s.run_first && n <= s.run_first + s.run_count) {
        memcpy(floor, run_entry(&s, n - 1), index->entry_size);
        return ERR_NONE;
    }
    return index_file_read(index, n - 1, mode, floor);
}
