#include "storage/segment.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/memory.h"

static void pin_release(struct pin *pin) {
    segment_unref(container_of(pin, struct segment, pin));
}

struct segment *segment_new(struct env *env, struct slice directory, int64_t base_offset) {
    struct segment *segment = memory_zalloc(1, sizeof *segment);
    segment->pin.release = pin_release;
    segment->references = 1;
    segment->env = env;
    segment->directory = directory;
    segment->base_offset = base_offset;
    segment->max_timestamp = TIMESTAMP_UNKNOWN;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = TIMESTAMP_UNKNOWN;
    segment->created_ms = env_wall_ms(env);
    segment->hot_from = UINT64_MAX;
    index_file_init(&segment->offsets, OFFSET_ENTRY_SIZE);
    index_file_init(&segment->times, TIME_ENTRY_SIZE);
    index_file_init(&segment->transactions, TRANSACTION_ENTRY_SIZE);
    return segment;
}

void segment_ref(struct segment *segment) {
    segment->references++;
}

void segment_unref(struct segment *segment) {
    if (--segment->references > 0) return;
    file_close(segment->file);
    index_file_deinit(&segment->offsets);
    index_file_deinit(&segment->times);
    index_file_deinit(&segment->transactions);
    memory_free(segment);
}

// ---- Files ----

const char *segment_file_suffix(enum segment_file file) {
    static const char *const suffixes[SEGMENT_FILE_COUNT] = {".log", ".index", ".timeindex",
                                                             ".txnindex"};
    return suffixes[file];
}

void segment_path(struct slice directory, int64_t base_offset, const char *suffix,
                  struct string_buffer *out) {
    string_buffer_clear(out);
    string_buffer_format(out, "%.*s/%020" PRId64 "%s", SLICE_PRINT(directory), base_offset, suffix);
}

bool segment_name_parse(struct slice name, int64_t *base_offset, struct slice *suffix) {
    if (name.size < 21 || name.data[20] != '.') return false;
    for (size_t i = 0; i < 20; i++) {
        if (name.data[i] < '0' || name.data[i] > '9') return false;
    }
    if (!slice_parse_int64(slice_sub(name, 0, 20), base_offset)) return false;
    *suffix = slice_sub(name, 20, name.size - 20);
    return true;
}

static enum err open_index(struct segment *segment, struct index_file *index,
                           enum segment_file kind, enum file_mode mode) {
    if (index->file != NULL) return ERR_NONE;
    struct string_buffer path;
    string_buffer_init(&path);
    segment_path(segment->directory, segment->base_offset, segment_file_suffix(kind), &path);
    enum err err = index_file_open(index, segment->env, string_buffer_slice(&path), mode);
    string_buffer_deinit(&path);
    return err;
}

enum err segment_open_log(struct segment *segment) {
    segment->is_used = true;
    if (segment->file != NULL) return ERR_NONE;
    struct string_buffer path;
    string_buffer_init(&path);
    segment_path(segment->directory, segment->base_offset, ".log", &path);
    enum err err = file_open(segment->env, string_buffer_slice(&path), FILE_WRITE, &segment->file);
    string_buffer_deinit(&path);
    return err;
}

enum err segment_open_files(struct segment *segment, bool create) {
    segment->is_used = true;
    enum file_mode mode = create ? FILE_CREATE : FILE_WRITE;
    if (segment->file == NULL && create) {
        struct string_buffer path;
        string_buffer_init(&path);
        segment_path(segment->directory, segment->base_offset, ".log", &path);
        enum err err =
            file_open(segment->env, string_buffer_slice(&path), FILE_CREATE, &segment->file);
        string_buffer_deinit(&path);
        if (err != ERR_NONE) return err;
    }
    enum err err = segment_open_log(segment);
    if (err == ERR_NONE) err = open_index(segment, &segment->offsets, SEGMENT_OFFSETS, mode);
    if (err == ERR_NONE) err = open_index(segment, &segment->times, SEGMENT_TIMES, mode);
    return err;
}

enum err segment_open_transactions(struct segment *segment, bool create) {
    if (!segment->has_transactions && !create) return ERR_NOT_FOUND;
    segment->is_used = true;
    enum err err = open_index(segment, &segment->transactions, SEGMENT_TRANSACTIONS,
                              create ? FILE_CREATE : FILE_WRITE);
    if (err == ERR_NONE) segment->has_transactions = true;
    return err;
}

void segment_close_idle(struct segment *segment, bool is_active) {
    if (segment->is_used || segment->references > 1) {
        segment->is_used = false;
        return;
    }
    if (is_active && index_file_flush(&segment->offsets) != ERR_NONE) return;
    if (is_active && index_file_flush(&segment->times) != ERR_NONE) return;
    file_close(segment->file);
    segment->file = NULL;
    index_file_close(&segment->offsets);
    index_file_close(&segment->times);
    index_file_close(&segment->transactions);
}

static enum err mark_file_deleted(struct segment *segment, struct file *open,
                                  enum segment_file kind) {
    struct string_buffer from, to;
    string_buffer_init(&from);
    string_buffer_init(&to);
    segment_path(segment->directory, segment->base_offset, segment_file_suffix(kind), &from);
    string_buffer_append(&to, string_buffer_slice(&from));
    string_buffer_append(&to, SLICE_LITERAL(".deleted"));
    enum err err = open != NULL ? file_rename(open, string_buffer_slice(&to))
                                : env_rename(segment->env, string_buffer_slice(&from),
                                             string_buffer_slice(&to));
    string_buffer_deinit(&from);
    string_buffer_deinit(&to);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

enum err segment_mark_deleted(struct segment *segment) {
    // The .log last: a crash between leaves orphaned indexes of no log, or a log whose index is
    // rebuilt, never a log that lost its neighbours silently.
    enum err err = mark_file_deleted(segment, segment->transactions.file, SEGMENT_TRANSACTIONS);
    if (err == ERR_NONE) err = mark_file_deleted(segment, segment->offsets.file, SEGMENT_OFFSETS);
    if (err == ERR_NONE) err = mark_file_deleted(segment, segment->times.file, SEGMENT_TIMES);
    if (err == ERR_NONE) err = mark_file_deleted(segment, segment->file, SEGMENT_LOG);
    return err;
}

enum err segment_unlink_deleted(struct env *env, struct slice directory, int64_t base_offset) {
    enum err result = ERR_NONE;
    struct string_buffer path;
    string_buffer_init(&path);
    for (enum segment_file kind = 0; kind < SEGMENT_FILE_COUNT; kind++) {
        segment_path(directory, base_offset, segment_file_suffix(kind), &path);
        string_buffer_append(&path, SLICE_LITERAL(".deleted"));
        enum err err = env_unlink(env, string_buffer_slice(&path));
        if (err != ERR_NONE && err != ERR_NOT_FOUND) result = err;
    }
    string_buffer_deinit(&path);
    return result;
}

// ---- Growing ----

// An index may have holes, so a full disk costs only a longer scan later.
static enum err append_entry(struct index_file *index, const uint8_t *entry) {
    enum err err = index_file_append(index, entry);
    return err == ERR_NO_SPACE ? ERR_NONE : err;
}

static enum err append_time(struct segment *segment) {
    if (segment->max_timestamp < 0) return ERR_NONE;
    int64_t last, offset;
    enum err err = segment_last_time(segment, READ_BLOCKING, &last, &offset);
    if (err == ERR_NONE && last >= segment->max_timestamp) return ERR_NONE;
    if (err != ERR_NONE && err != ERR_NOT_FOUND) return err;
    uint8_t entry[TIME_ENTRY_SIZE];
    store_i64(entry, segment->max_timestamp);
    store_i32(entry + 8, (int32_t)(segment->max_timestamp_offset - segment->base_offset));
    return append_entry(&segment->times, entry);
}

enum err segment_note_batch(struct segment *segment, const struct batch *batch, uint64_t position,
                            int32_t index_interval_bytes) {
    if (segment->max_timestamp == TIMESTAMP_UNKNOWN) segment->max_timestamp = -1;
    if (position == 0) segment->first_timestamp = batch->max_timestamp;
    if (batch->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = batch->max_timestamp;
        segment->max_timestamp_offset = batch->last_offset;
    }
    enum err err = ERR_NONE;
    if (segment->bytes_since_index > (uint64_t)index_interval_bytes) {
        uint8_t entry[OFFSET_ENTRY_SIZE];
        store_i32(entry, (int32_t)(batch->last_offset - segment->base_offset));
        store_i32(entry + 4, (int32_t)position);
        err = append_entry(&segment->offsets, entry);
        if (err == ERR_NONE) err = append_time(segment);
        segment->bytes_since_index = 0;
    }
    segment->bytes_since_index += batch->size;
    return err;
}

bool segment_index_has_room(const struct segment *segment, int32_t index_bytes_max) {
    uint32_t offsets_max = (uint32_t)index_bytes_max / OFFSET_ENTRY_SIZE;
    uint32_t times_max = (uint32_t)index_bytes_max / TIME_ENTRY_SIZE;
    // The time index keeps one place for its last entry.
    return index_file_count(&segment->offsets) < offsets_max &&
           index_file_count(&segment->times) + 1 < times_max;
}

enum err segment_finish(struct segment *segment) {
    enum err err = append_time(segment);
    if (err == ERR_NONE) err = index_file_flush(&segment->times);
    if (err == ERR_NONE || err == ERR_NO_SPACE) err = index_file_flush(&segment->offsets);
    if (err == ERR_NO_SPACE) err = ERR_NONE;
    // The sync that follows takes the files that are open; this one may have been closed when idle.
    if (err == ERR_NONE && segment->has_transactions)
        err = segment_open_transactions(segment, false);
    return err;
}

enum err segment_sync(struct segment *segment) {
    enum err err = file_sync(segment->file);
    if (err == ERR_NONE && segment->offsets.file != NULL) err = file_sync(segment->offsets.file);
    if (err == ERR_NONE && segment->times.file != NULL) err = file_sync(segment->times.file);
    if (err == ERR_NONE && segment->transactions.file != NULL)
        err = file_sync(segment->transactions.file);
    return err;
}

enum err segment_truncate(struct segment *segment, int64_t offset, uint64_t size) {
    enum err err = segment_open_files(segment, true);
    if (err == ERR_NONE) err = file_truncate(segment->file, size);
    if (err != ERR_NONE) return err;
    segment->size = size;
    segment->hot_from = MIN(segment->hot_from, size);
    uint32_t keep;
    int64_t relative = offset - segment->base_offset;
    err = index_file_search(&segment->offsets, 0, 4, relative, true, READ_BLOCKING, &keep, NULL);
    if (err == ERR_NONE) err = index_file_truncate(&segment->offsets, keep);
    // Offsets in the time index grow with its timestamps.
    if (err == ERR_NONE)
        err = index_file_search(&segment->times, 8, 4, relative, true, READ_BLOCKING, &keep, NULL);
    if (err == ERR_NONE) err = index_file_truncate(&segment->times, keep);
    if (err == ERR_NONE && segment->has_transactions) {
        err = segment_open_transactions(segment, false);
        if (err == ERR_NONE) {
            // Markers are appended in offset order.
            err = index_file_search(&segment->transactions, 18, 8, offset, true, READ_BLOCKING,
                                    &keep, NULL);
        }
        if (err == ERR_NONE) err = index_file_truncate(&segment->transactions, keep);
    }
    segment->bytes_since_index = 0;
    segment->max_timestamp = TIMESTAMP_UNKNOWN;
    if (size == 0) {
        segment->max_timestamp = segment->first_timestamp = -1;
        segment->max_timestamp_offset = segment->base_offset;
        segment->created_ms = env_wall_ms(segment->env);
    }
    return err;
}

enum err segment_reset_indexes(struct segment *segment) {
    enum err err = segment_open_files(segment, true);
    if (err == ERR_NONE) err = index_file_truncate(&segment->offsets, 0);
    if (err == ERR_NONE) err = index_file_truncate(&segment->times, 0);
    if (err == ERR_NONE && segment->has_transactions) {
        err = segment_open_transactions(segment, false);
        if (err == ERR_NONE) err = index_file_truncate(&segment->transactions, 0);
    }
    // The file may have had a rest that is no entry.
    if (err == ERR_NONE) err = file_truncate(segment->offsets.file, 0);
    if (err == ERR_NONE) err = file_truncate(segment->times.file, 0);
    segment->bytes_since_index = 0;
    segment->max_timestamp = segment->first_timestamp = -1;
    segment->max_timestamp_offset = segment->base_offset;
    return err;
}

enum err segment_load_max_timestamp(struct segment *segment) {
    if (segment->max_timestamp != TIMESTAMP_UNKNOWN) return ERR_NONE;
    enum err err = segment_open_files(segment, false);
    if (err != ERR_NONE) return err;
    int64_t timestamp, offset;
    err = segment_last_time(segment, READ_BLOCKING, &timestamp, &offset);
    if (err == ERR_NOT_FOUND) {
        timestamp = -1;
        offset = segment->base_offset;
        err = ERR_NONE;
    }
    if (err != ERR_NONE) return err;
    segment->max_timestamp = timestamp;
    segment->max_timestamp_offset = offset;
    return ERR_NONE;
}

// ---- Finding ----

enum err segment_lookup_offset(struct segment *segment, int64_t offset, enum read_mode mode,
                               uint32_t *position) {
    enum err err = segment_open_files(segment, false);
    if (err != ERR_NONE) return err;
    uint32_t count;
    uint8_t entry[OFFSET_ENTRY_SIZE];
    err = index_file_search(&segment->offsets, 0, 4, offset - segment->base_offset, false, mode,
                            &count, entry);
    if (err == ERR_NONE) *position = count == 0 ? 0 : load_u32(entry + 4);
    return err;
}

enum err segment_lookup_position(struct segment *segment, uint64_t position, enum read_mode mode,
                                 uint32_t *found) {
    enum err err = segment_open_files(segment, false);
    if (err != ERR_NONE) return err;
    uint32_t count;
    uint8_t entry[OFFSET_ENTRY_SIZE];
    err = index_file_search(&segment->offsets, 4, 4, (int64_t)position, false, mode, &count, entry);
    if (err == ERR_NONE) *found = count == 0 ? 0 : load_u32(entry + 4);
    return err;
}

enum err segment_lookup_time(struct segment *segment, int64_t timestamp, enum read_mode mode,
                             int64_t *offset) {
    enum err err = segment_open_files(segment, false);
    if (err != ERR_NONE) return err;
    uint32_t count;
    uint8_t entry[TIME_ENTRY_SIZE];
    err = index_file_search(&segment->times, 0, 8, timestamp, false, mode, &count, entry);
    if (err == ERR_NONE) *offset = segment->base_offset + (count == 0 ? 0 : load_i32(entry + 8));
    return err;
}

enum err segment_last_time(struct segment *segment, enum read_mode mode, int64_t *timestamp,
                           int64_t *offset) {
    uint32_t count = index_file_count(&segment->times);
    if (count == 0) return ERR_NOT_FOUND;
    uint8_t entry[TIME_ENTRY_SIZE];
    enum err err = index_file_read(&segment->times, count - 1, mode, entry);
    if (err != ERR_NONE) return err;
    *timestamp = load_i64(entry);
    *offset = segment->base_offset + load_i32(entry + 8);
    return ERR_NONE;
}
