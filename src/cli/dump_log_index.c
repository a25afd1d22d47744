// Offset indexes (entries of int32 relative offset, int32 position) and time indexes (int64
// timestamp, int32 relative offset), each entry compared with the segment beside it. An index may
// end in zeros: its file is preallocated while the segment is written.
#include "base/bytes.h"
#include "base/memory.h"
#include "cli/dump_log.h"

#define OFFSET_ENTRY_SIZE 8
#define TIME_ENTRY_SIZE   12
#define INDEX_MAX         ((size_t)1 << 30)
#define DECOMPRESSED_MAX  ((size_t)1 << 30)

struct index_bytes {
    uint8_t *data;
    size_t size;
    size_t entry_size;
    int64_t base_offset;
};

static bool is_zero(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (data[i] != 0) return false;
    return true;
}

// Nothing but zeros is an index without entries.
static enum err read_index(struct dump *d, struct slice path, size_t entry_size,
                           struct index_bytes *index) {
    index->entry_size = entry_size;
    index->base_offset = dump_base_offset(d);
    enum err err = env_read_file(d->env, path, INDEX_MAX, &index->data, &index->size);
    if (err == ERR_NONE && is_zero(index->data, index->size)) index->size = 0;
    return err;
}

static size_t entry_count(const struct index_bytes *index) {
    return index->size / index->entry_size;
}

static const uint8_t *entry_at(const struct index_bytes *index, size_t i) {
    return index->data + i * index->entry_size;
}

// The check that a broker makes at start, or else rebuilds the index: whole entries, the last one
// beyond the base offset.
static void check_sanity(struct dump *d, const struct index_bytes *index, int64_t last_offset) {
    bool is_sane = index->size % index->entry_size == 0 &&
                   (entry_count(index) == 0 || last_offset >= index->base_offset);
    if (is_sane) {
        dump_say(d, "%.*s passed sanity check.", SLICE_PRINT(d->path));
        return;
    }
    d->is_damaged = true;
    dump_find(d, "%.*s failed its sanity check: a broker would build it anew",
              SLICE_PRINT(d->path));
}

// ---- Offset index ----

static enum err last_offset_at(struct dump_batches *batches, uint64_t position,
                               int64_t *last_offset) {
    struct slice bytes;
    struct batch batch;
    batches->position = position;
    enum err err = dump_batches_next(batches, &bytes);
    if (err == ERR_NONE) err = batch_decode(bytes, &batch);
    if (err == ERR_NONE) *last_offset = batch.last_offset;
    return err;
}

static void print_offset_entries(struct dump *d, const struct index_bytes *index,
                                 struct dump_batches *batches) {
    bool has_mismatch = false;
    for (size_t i = 0; i < entry_count(index); i++) {
        uint32_t relative = load_u32(entry_at(index, i));
        uint32_t position = load_u32(entry_at(index, i) + 4);
        if (relative == 0 && i > 0) return;
        int64_t offset = index->base_offset + relative, found = -1;
        if (last_offset_at(batches, position, &found) || found != offset) {
            if (!has_mismatch) dump_find(d, "Mismatches in :%.*s", SLICE_PRINT(d->path));
            has_mismatch = d->is_damaged = true;
            dump_find(d, "  Index offset: %lld, log offset: %lld", (long long)offset,
                      (long long)found);
        }
        if (d->verify_only) continue;
        dump_begin(d, "offset index entry", "");
        dump_number(d, "offset", offset);
        dump_number(d, "position", position);
        dump_end(d);
    }
}

enum err dump_offset_index(struct dump *d) {
    struct index_bytes index = {NULL, 0, 0, 0};
    struct dump_batches batches;
    struct string_buffer log_path;
    string_buffer_init(&log_path);
    dump_sibling(d, ".log", &log_path);
    enum err err = read_index(d, d->path, OFFSET_ENTRY_SIZE, &index);
    if (err) goto out;
    size_t count = entry_count(&index);
    if (count == 0) {
        dump_say(d, "%.*s is empty.", SLICE_PRINT(d->path));
    } else if (d->sanity_only) {
        check_sanity(d, &index, index.base_offset + load_u32(entry_at(&index, count - 1)));
    } else if ((err = dump_batches_open(d, string_buffer_slice(&log_path), &batches)) == ERR_NONE) {
        print_offset_entries(d, &index, &batches);
        dump_batches_close(&batches);
    }
out:
    memory_free(index.data);
    string_buffer_deinit(&log_path);
    return err;
}

// ---- Time index ----

// Where to begin to look for an offset: the position of the last entry at or below it.
static uint64_t position_before(const struct index_bytes *index, uint32_t relative) {
    uint64_t position = 0;
    for (size_t i = 0; i < entry_count(index); i++) {
        uint32_t offset = load_u32(entry_at(index, i));
        if (offset > relative || (offset == 0 && i > 0)) break;
        position = load_u32(entry_at(index, i) + 4);
    }
    return position;
}

static int64_t max_timestamp_of(struct slice bytes) {
    struct record_reader reader;
    struct record record;
    struct arena arena;
    int64_t max = -1;
    arena_init(&arena);
    enum err err = record_reader_init(&reader, bytes, &arena, DECOMPRESSED_MAX);
    while (err == ERR_NONE && record_reader_next(&reader, &record) == ERR_NONE)
        max = MAX(max, record.timestamp);
    arena_deinit(&arena);
    return max;
}

// Finds the batch that ends at `offset` and compares its largest timestamp.
static void check_time_entry(struct dump *d, struct dump_batches *batches, int64_t offset,
                             int64_t timestamp) {
    struct slice bytes;
    struct batch batch;
    int64_t found = -1;
    while (dump_batches_next(batches, &bytes) == ERR_NONE &&
           batch_decode(bytes, &batch) == ERR_NONE) {
        if (batch.last_offset < offset) continue;
        found = batch.last_offset;
        break;
    }
    if (found != offset) {
        d->is_damaged = true;
        dump_find(d,
                  "The following indexed offsets are not found in :%.*s\nIndexed offset: %lld, "
                  "found log offset: %lld",
                  SLICE_PRINT(d->path), (long long)offset, (long long)found);
        return;
    }
    int64_t max = max_timestamp_of(bytes);
    if (max == timestamp) return;
    d->is_damaged = true;
    dump_find(d, "Found timestamp mismatch in :%.*s\n  Index timestamp: %lld, log timestamp: %lld",
              SLICE_PRINT(d->path), (long long)timestamp, (long long)max);
}

static void print_time_entries(struct dump *d, const struct index_bytes *times,
                               const struct index_bytes *offsets, struct dump_batches *batches) {
    int64_t previous = -1;
    for (size_t i = 0; i < entry_count(times); i++) {
        int64_t timestamp = load_i64(entry_at(times, i));
        uint32_t relative = load_u32(entry_at(times, i) + 8);
        if (relative == 0 && i > 0) return;
        int64_t offset = times->base_offset + relative;
        batches->position = position_before(offsets, relative);
        check_time_entry(d, batches, offset, timestamp);
        if (previous >= timestamp) {
            d->is_damaged = true;
            dump_find(d,
                      "Found out of order timestamp in :%.*s\n  Index timestamp: %lld, "
                      "Previously indexed timestamp: %lld",
                      SLICE_PRINT(d->path), (long long)timestamp, (long long)previous);
        }
        previous = timestamp;
        if (d->verify_only) continue;
        dump_begin(d, "time index entry", "");
        dump_number(d, "timestamp", timestamp);
        dump_number(d, "offset", offset);
        dump_end(d);
    }
}

enum err dump_time_index(struct dump *d) {
    struct index_bytes times = {NULL, 0, 0, 0}, offsets = {NULL, 0, 0, 0};
    struct dump_batches batches;
    struct string_buffer log_path, index_path;
    string_buffer_init(&log_path);
    string_buffer_init(&index_path);
    dump_sibling(d, ".log", &log_path);
    dump_sibling(d, ".index", &index_path);
    enum err err = read_index(d, d->path, TIME_ENTRY_SIZE, &times);
    if (err) goto out;
    size_t count = entry_count(&times);
    if (d->sanity_only) {
        int64_t last =
            count == 0 ? 0 : times.base_offset + load_u32(entry_at(&times, count - 1) + 8);
        check_sanity(d, &times, last);
        goto out;
    }
    err = read_index(d, string_buffer_slice(&index_path), OFFSET_ENTRY_SIZE, &offsets);
    if (err == ERR_NONE) err = dump_batches_open(d, string_buffer_slice(&log_path), &batches);
    if (err) goto out;
    print_time_entries(d, &times, &offsets, &batches);
    dump_batches_close(&batches);
out:
    memory_free(times.data);
    memory_free(offsets.data);
    string_buffer_deinit(&log_path);
    string_buffer_deinit(&index_path);
    return err;
}
