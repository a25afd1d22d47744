// Opening a log. The directory is listed once; what is in it is put in order:
//
//   *.deleted, *.cleaned   removed: a deletion or a compaction that was interrupted
//   *.swap                 a compaction that was finished but not renamed: what it replaces goes,
//                          the suffix is dropped
//   index without .log     removed
//   *.log                  segments
//   *.snapshot             producer state; the one at or below the log end is loaded
//
// After a clean stop only the last segment is looked at: its headers behind the last index entry
// give the log end. Otherwise each segment that reaches behind the recovery point is read whole,
// its checksums checked, its indexes built anew; the first batch that is not valid ends the log
// there, and segments behind it are set aside as *.deleted, since none of that was promised to
// anyone. But a batch below the recovery point was promised: damage there is an error for a person
// to look at, never repaired by cutting.
//
// A segment whose index is missing or cannot be an index is read whole in any case.
#include <inttypes.h>

#include "base/assert.h"
#include "base/memory.h"
#include "storage/log_internal.h"

#define STATE_FILE_BYTES_MAX ((size_t)1 << 20)

struct found_file {
    int64_t base_offset;
    uint8_t kind;  // enum segment_file, or one of the below
};
enum { FOUND_SNAPSHOT = SEGMENT_FILE_COUNT };

struct opening {
    struct log *log;
    const struct log_options *options;
    struct message *error;
    struct arena arena;
    struct slice *names;
    size_t name_count;
    size_t name_capacity;
    struct found_file *files;
    size_t file_count;
    bool epochs_are_lost;
    bool changed;  // something was cut or built anew: sync before serving
};

static struct env *env_of(const struct opening *o) {
    return o->log->env;
}

// ---- Listing ----

static void note_name(void *context, struct slice name) {
    struct opening *o = context;
    if (o->name_count == o->name_capacity) {
        o->name_capacity = MAX((size_t)16, o->name_capacity * 2);
        o->names = memory_realloc(o->names, o->name_capacity, sizeof *o->names);
    }
    o->names[o->name_count++] = arena_copy(&o->arena, name);
}

static enum err list(struct opening *o) {
    o->name_count = 0;
    return env_list_directory(env_of(o), o->log->directory, note_name, o);
}

static enum err with_path(struct opening *o, struct slice name,
                          enum err (*act)(struct env *, struct slice)) {
    struct string_buffer path;
    string_buffer_init(&path);
    string_buffer_format(&path, "%.*s/%.*s", SLICE_PRINT(o->log->directory), SLICE_PRINT(name));
    enum err err = act(env_of(o), string_buffer_slice(&path));
    string_buffer_deinit(&path);
    return err;
}

static bool has_suffix(struct slice name, const char *suffix) {
    return slice_ends_with(name, slice_cstring(suffix));
}

// ---- Interrupted swaps ----

struct swap_range {
    int64_t cleaned_min;  // the smallest base offset of a *.cleaned file
    int64_t first;
    int64_t end;
};

static int64_t base_of(struct slice name) {
    int64_t offset;
    struct slice suffix;
    return segment_name_parse(name, &offset, &suffix) ? offset : -1;
}

static enum err swap_end(struct opening *o, struct slice name, int64_t *end) {
    struct string_buffer path;
    string_buffer_init(&path);
    string_buffer_format(&path, "%.*s/%.*s", SLICE_PRINT(o->log->directory), SLICE_PRINT(name));
    struct file *file = NULL;
    uint64_t size = 0;
    enum err err = file_open(env_of(o), string_buffer_slice(&path), FILE_READ, &file);
    if (err == ERR_NONE) err = file_size(file, &size);
    *end = base_of(name);
    struct segment_scan scan;
    segment_scan_init_file(&scan, file, 0, size);
    while (err == ERR_NONE) {
        struct batch batch;
        uint64_t position;
        err = segment_scan_next(&scan, &batch, &position);
        if (err == ERR_NONE) *end = batch.last_offset + 1;
    }
    file_close(file);
    string_buffer_deinit(&path);
    return err == ERR_IO ? err : ERR_NONE;
}

static enum err rename_swap(struct opening *o, struct slice name) {
    struct string_buffer from, to;
    string_buffer_init(&from);
    string_buffer_init(&to);
    string_buffer_format(&from, "%.*s/%.*s", SLICE_PRINT(o->log->directory), SLICE_PRINT(name));
    string_buffer_append(&to,
                         slice_sub(string_buffer_slice(&from), 0, from.size - strlen(".swap")));
    enum err err = env_rename(env_of(o), string_buffer_slice(&from), string_buffer_slice(&to));
    string_buffer_deinit(&from);
    string_buffer_deinit(&to);
    return err;
}

// Removes what the swapped-in segments replace, then drops the suffix.
static enum err complete_swaps(struct opening *o, const struct swap_range *range) {
    enum err err = ERR_NONE;
    for (size_t i = 0; i < o->name_count && err == ERR_NONE; i++) {
        struct slice name = o->names[i];
        int64_t base = base_of(name);
        if (base < range->first || base >= range->end || has_suffix(name, ".swap")) continue;
        if (has_suffix(name, ".checkpoint")) continue;
        err = with_path(o, name, env_unlink);
    }
    for (size_t i = 0; i < o->name_count && err == ERR_NONE; i++) {
        if (has_suffix(o->names[i], ".swap")) err = rename_swap(o, o->names[i]);
    }
    o->changed = true;
    return err == ERR_NONE ? list(o) : err;
}

static enum err remove_leftovers(struct opening *o) {
    struct swap_range range = {INT64_MAX, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < o->name_count; i++) {
        if (has_suffix(o->names[i], ".cleaned"))
            range.cleaned_min = MIN(range.cleaned_min, base_of(o->names[i]));
    }
    bool removed = false;
    for (size_t i = 0; i < o->name_count; i++) {
        struct slice name = o->names[i];
        // Snapshots of the metadata log are raft's.
        bool is_rest = (has_suffix(name, ".deleted") && !has_suffix(name, ".checkpoint.deleted")) ||
                       has_suffix(name, ".cleaned") || has_suffix(name, ".snapshot.tmp");
        // A split that was not completed left *.cleaned beside its first *.swap files.
        bool is_void_swap = has_suffix(name, ".swap") && base_of(name) >= range.cleaned_min;
        if (is_rest || is_void_swap) {
            enum err err = with_path(o, name, env_unlink);
            if (err != ERR_NONE && err != ERR_NOT_FOUND) return err;
            removed = true;
        } else if (has_suffix(name, ".log.swap")) {
            int64_t end;
            enum err err = swap_end(o, name, &end);
            if (err != ERR_NONE) return err;
            range.first = MIN(range.first, base_of(name));
            range.end = MAX(range.end, end);
        }
    }
    if (removed) {
        enum err err = list(o);
        if (err != ERR_NONE) return err;
    }
    return range.first == INT64_MAX ? ERR_NONE : complete_swaps(o, &range);
}

// ---- Segments ----

static bool kind_of(struct slice suffix, uint8_t *kind) {
    for (uint8_t i = 0; i < SEGMENT_FILE_COUNT; i++) {
        if (slice_equal_cstring(suffix, segment_file_suffix(i))) {
            *kind = i;
            return true;
        }
    }
    *kind = FOUND_SNAPSHOT;
    return slice_equal_cstring(suffix, ".snapshot");
}

static void classify(struct opening *o) {
    o->files = arena_zalloc(&o->arena, o->name_count, sizeof *o->files);
    for (size_t i = 0; i < o->name_count; i++) {
        struct found_file file;
        struct slice suffix;
        if (!segment_name_parse(o->names[i], &file.base_offset, &suffix)) continue;
        if (kind_of(suffix, &file.kind)) o->files[o->file_count++] = file;
    }
}

// Names come sorted, so the files of one base offset stand together and base offsets rise.
static bool is_there(const struct opening *o, int64_t base_offset, uint8_t kind) {
    size_t low = 0, high = o->file_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (o->files[middle].base_offset < base_offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < o->file_count && o->files[low].base_offset == base_offset; low++) {
        if (o->files[low].kind == kind) return true;
    }
    return false;
}

static enum err stat_segment(struct opening *o, struct segment *segment) {
    struct string_buffer path;
    string_buffer_init(&path);
    segment_path(segment->directory, segment->base_offset, ".log", &path);
    struct env_stat stat;
    enum err err = env_stat(env_of(o), string_buffer_slice(&path), &stat);
    string_buffer_deinit(&path);
    if (err != ERR_NONE) return err;
    if (stat.is_directory || stat.size > INT32_MAX) {
        message_set(o->error, "%s: segment %020" PRId64 ".log is not a segment", o->log->name,
                    segment->base_offset);
        return ERR_CORRUPT;
    }
    segment->size = stat.size;
    return ERR_NONE;
}

static enum err unlink_orphan(struct opening *o, const struct found_file *file) {
    struct string_buffer path;
    string_buffer_init(&path);
    segment_path(o->log->directory, file->base_offset, segment_file_suffix(file->kind), &path);
    log_warn(env_logger(env_of(o)), "storage", "%s: removing an index without its segment: %s",
             o->log->name, path.text);
    enum err err = env_unlink(env_of(o), string_buffer_slice(&path));
    string_buffer_deinit(&path);
    return err;
}

static enum err add_segments(struct opening *o) {
    struct log *log = o->log;
    for (size_t i = 0; i < o->file_count; i++) {
        const struct found_file *file = &o->files[i];
        enum err err = ERR_NONE;
        if (file->kind == SEGMENT_LOG) {
            struct segment *segment = segment_new(log->env, log->directory, file->base_offset);
            err = stat_segment(o, segment);
            segment->has_transactions = is_there(o, file->base_offset, SEGMENT_TRANSACTIONS);
            log_add_segment(log, segment);
        } else if (file->kind != FOUND_SNAPSHOT && !is_there(o, file->base_offset, SEGMENT_LOG)) {
            err = unlink_orphan(o, file);
        }
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

// ---- Small files ----

static enum err read_small(struct opening *o, const char *name, struct slice *text) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_path(o->log, name, &path);
    uint8_t *data = NULL;
    size_t size = 0;
    enum err err =
        env_read_file(env_of(o), string_buffer_slice(&path), STATE_FILE_BYTES_MAX, &data, &size);
    if (err == ERR_NONE) *text = arena_copy(&o->arena, slice_of(data, size));
    memory_free(data);
    string_buffer_deinit(&path);
    return err;
}

static enum err read_topic_id(struct opening *o) {
    struct log *log = o->log;
    struct slice text;
    enum err err = read_small(o, "partition.metadata", &text);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    struct uuid id;
    if (err == ERR_NONE) err = partition_metadata_parse(text, &id);
    // It is written without a sync and made durable with the first records: torn by a power cut
    // before that, it is written again.
    if (err == ERR_CORRUPT && !o->options->clean && !uuid_is_zero(log->topic_id)) return ERR_NONE;
    if (err != ERR_NONE) {
        message_set(o->error, "%s: partition.metadata cannot be read: %s", log->name,
                    err_text(err));
        return err;
    }
    if (!uuid_is_zero(log->topic_id) && !uuid_equal(id, log->topic_id)) {
        char here[UUID_TEXT_SIZE], wanted[UUID_TEXT_SIZE];
        message_set(o->error, "%s: the directory belongs to topic id %s, not %s", log->name,
                    uuid_format(id, here), uuid_format(log->topic_id, wanted));
        return ERR_INCONSISTENT_TOPIC_ID;
    }
    log->topic_id = id;
    log->has_topic_id_file = true;
    return ERR_NONE;
}

static enum err read_epochs(struct opening *o) {
    struct slice text;
    enum err err = read_small(o, "leader-epoch-checkpoint", &text);
    struct epoch_entry *entries;
    int32_t count = 0;
    if (err == ERR_NONE) err = epoch_checkpoint_parse(text, &o->arena, &entries, &count);
    if (err == ERR_IO) return err;
    // Rebuilt from the batches.
    o->epochs_are_lost = err != ERR_NONE;
    if (err != ERR_NONE) return ERR_NONE;
    for (int32_t i = 0; i < count; i++)
        epoch_cache_assign(&o->log->epochs, entries[i].epoch, entries[i].start_offset);
    o->log->epochs.is_changed = false;
    return ERR_NONE;
}

// ---- Reading a segment whole ----

struct recovery {
    struct segment *segment;
    uint8_t *chunk;  // heap: one batch
    size_t chunk_capacity;
    uint64_t position;
    int64_t next_offset;
    bool builds_indexes;
};

// The whole batch at the position, valid in itself and for its place; ERR_CORRUPT when it is not.
static enum err next_batch(struct recovery *r, const struct batch *header, struct slice *bytes) {
    const struct segment *segment = r->segment;
    if (header->base_offset < r->next_offset) return ERR_CORRUPT;
    if (header->last_offset - segment->base_offset > INT32_MAX) return ERR_CORRUPT;
    if (header->size > r->chunk_capacity) {
        r->chunk = memory_realloc(r->chunk, header->size, 1);
        r->chunk_capacity = header->size;
    }
    size_t got;
    enum err err = file_read(segment->file, r->position, r->chunk, header->size, &got);
    if (err != ERR_NONE) return err;
    *bytes = slice_of(r->chunk, got);
    return got == header->size && batch_crc_is_valid(*bytes) ? ERR_NONE : ERR_CORRUPT;
}

static enum err take_batch(struct opening *o, struct recovery *r, const struct batch *header,
                           struct slice bytes) {
    struct log *log = o->log;
    bool completed;
    enum err err =
        log_apply_producer(log, header, bytes, r->builds_indexes ? r->segment : NULL, &completed);
    if (err == ERR_NONE && r->builds_indexes) {
        err = segment_note_batch(r->segment, header, r->position, log->config.index_interval_bytes);
    }
    if (header->leader_epoch > epoch_cache_last(&log->epochs)) {
        epoch_cache_assign(&log->epochs, header->leader_epoch, header->base_offset);
    }
    return err;
}

// Reads the segment from its start, building everything anew. `valid_size` tells how far it is
// good.
static enum err read_whole(struct opening *o, struct segment *segment, int64_t *end_offset,
                           uint64_t *valid_size) {
    struct recovery r = {
        .segment = segment, .next_offset = segment->base_offset, .builds_indexes = true};
    enum err err = segment_reset_indexes(segment);
    struct segment_scan scan;
    segment_scan_init(&scan, segment, 0, segment->size, READ_BLOCKING);
    while (err == ERR_NONE) {
        struct batch header;
        err = segment_scan_next(&scan, &header, &r.position);
        if (err != ERR_NONE) break;
        struct slice bytes;
        err = next_batch(&r, &header, &bytes);
        if (err == ERR_NONE) err = take_batch(o, &r, &header, bytes);
        if (err != ERR_NONE) break;
        r.next_offset = header.last_offset + 1;
        r.position = scan.position;
    }
    if (err != ERR_EOF) r.position = MIN(r.position, segment->size);
    memory_free(r.chunk);
    if (err != ERR_EOF && err != ERR_CORRUPT && err != ERR_TRUNCATED) return err;
    *end_offset = r.next_offset;
    *valid_size = err == ERR_EOF ? segment->size : r.position;
    return segment_finish(segment);
}

// ---- Recovery ----

static enum err cut_segment(struct opening *o, int32_t i, int64_t end_offset, uint64_t size) {
    struct log *log = o->log;
    struct segment *segment = log->segments[i];
    if (end_offset < o->options->recovery_point) {
        message_set(o->error,
                    "%s: segment %020" PRId64 ".log is damaged at byte %" PRIu64 " (offset %" PRId64
                    "), below the recovery point %" PRId64
                    ": records that were safe are lost. Restore the directory from a copy, or move "
                    "it away to start empty",
                    log->name, segment->base_offset, size, end_offset, o->options->recovery_point);
        return ERR_CORRUPT;
    }
    if (env_mutant(log->env, MUTANT_RECOVER_WITHOUT_TRUNCATE)) return ERR_NONE;
    log_warn(env_logger(log->env), "storage",
             "%s: cutting %" PRIu64 " bytes of an unfinished write from segment %020" PRId64
             ".log; the log ends at %" PRId64,
             log->name, segment->size - size, segment->base_offset, end_offset);
    log->total_size -= (int64_t)(segment->size - size);
    enum err err = file_truncate(segment->file, size);
    if (err != ERR_NONE) return err;
    segment->size = size;
    return log_remove_segments(log, i + 1, log->segment_count - i - 1);
}

// A segment that ends before the next one begins lost its tail without a trace: a power cut kept
// the name of the next one and not these bytes. Only compaction leaves honest gaps.
static enum err check_gap(struct opening *o, int32_t i, int64_t end_offset) {
    struct log *log = o->log;
    if (i + 1 >= log->segment_count || log->segments[i + 1]->base_offset == end_offset)
        return ERR_NONE;
    if (log->config.compact_policy) return ERR_NONE;
    return cut_segment(o, i, end_offset, log->segments[i]->size);
}

// What an earlier process could not sync may still be shown by the page cache, clean, so that no
// later sync would write it: what the disk has is what counts.
static enum err forget_cache(struct opening *o, struct segment *segment) {
    if (o->log->config.durability != DURABILITY_FSYNC) return ERR_NONE;
    file_drop_cache(segment->file);
    uint64_t size;
    enum err err = file_size(segment->file, &size);
    if (err != ERR_NONE || size > INT32_MAX) return err == ERR_NONE ? ERR_CORRUPT : err;
    o->log->total_size += (int64_t)size - (int64_t)segment->size;
    segment->size = size;
    return ERR_NONE;
}

static enum err recover_from(struct opening *o, int32_t first, int64_t *end_offset) {
    struct log *log = o->log;
    enum err err = log_rebuild_producers(log, log->segments[first]->base_offset);
    for (int32_t i = first; i < log->segment_count && err == ERR_NONE; i++) {
        struct segment *segment = log->segments[i];
        uint64_t size;
        err = segment_open_files(segment, true);
        if (err == ERR_NONE) err = forget_cache(o, segment);
        if (err == ERR_NONE) err = read_whole(o, segment, end_offset, &size);
        if (err == ERR_NONE && size < segment->size) err = cut_segment(o, i, *end_offset, size);
        if (err == ERR_NONE) err = check_gap(o, i, *end_offset);
        if (err == ERR_NONE) err = segment_sync(segment);
    }
    o->changed = true;
    return err;
}

// Whether the index files of a segment can be what they should be, as far as their sizes tell.
static bool indexes_are_plausible(struct opening *o, struct segment *segment) {
    if (!is_there(o, segment->base_offset, SEGMENT_OFFSETS) ||
        !is_there(o, segment->base_offset, SEGMENT_TIMES)) {
        return false;
    }
    struct string_buffer path;
    string_buffer_init(&path);
    bool plausible = true;
    static const uint64_t entry_sizes[SEGMENT_FILE_COUNT] = {1, OFFSET_ENTRY_SIZE, TIME_ENTRY_SIZE,
                                                             TRANSACTION_ENTRY_SIZE};
    for (uint8_t kind = SEGMENT_OFFSETS; kind < SEGMENT_FILE_COUNT && plausible; kind++) {
        if (kind == SEGMENT_TRANSACTIONS && !segment->has_transactions) continue;
        segment_path(segment->directory, segment->base_offset, segment_file_suffix(kind), &path);
        struct env_stat stat;
        plausible = env_stat(env_of(o), string_buffer_slice(&path), &stat) == ERR_NONE &&
                    stat.size % entry_sizes[kind] == 0 && stat.size < INT32_MAX;
    }
    string_buffer_deinit(&path);
    return plausible;
}

// A segment below the recovery point with broken indexes: they are built anew, nothing is cut.
static enum err rebuild_indexes(struct opening *o, int32_t i) {
    struct log *log = o->log;
    struct segment *segment = log->segments[i];
    log_warn(env_logger(log->env), "storage",
             "%s: building the indexes of segment %020" PRId64 " anew", log->name,
             segment->base_offset);
    enum err err = log_rebuild_producers(log, segment->base_offset);
    if (err == ERR_NONE) err = segment_open_files(segment, true);
    int64_t end;
    uint64_t size;
    if (err == ERR_NONE) err = read_whole(o, segment, &end, &size);
    if (err == ERR_NONE && size < segment->size) {
        message_set(o->error,
                    "%s: segment %020" PRId64 ".log is damaged at byte %" PRIu64 " (offset %" PRId64
                    ")",
                    log->name, segment->base_offset, size, end);
        return ERR_CORRUPT;
    }
    if (err == ERR_NONE) err = segment_sync(segment);
    o->changed = true;
    return err;
}

// ---- The end of a log that was closed cleanly ----

static enum err check_last_entry(struct segment *segment, uint32_t *position) {
    uint32_t count = index_file_count(&segment->offsets);
    *position = 0;
    if (count == 0) return ERR_NONE;
    uint8_t entry[OFFSET_ENTRY_SIZE];
    enum err err = index_file_read(&segment->offsets, count - 1, READ_BLOCKING, entry);
    if (err != ERR_NONE) return err;
    *position = load_u32(entry + 4);
    return load_i32(entry) > 0 && *position > 0 && *position < segment->size ? ERR_NONE
                                                                             : ERR_CORRUPT;
}

enum err log_measure_segment(struct log *log, struct segment *segment, int64_t *end_offset) {
    (void)log;
    *end_offset = segment->base_offset;
    enum err err = segment_open_files(segment, true);
    uint32_t from = 0;
    if (err == ERR_NONE) err = check_last_entry(segment, &from);
    segment->max_timestamp = TIMESTAMP_UNKNOWN;
    if (err == ERR_NONE) err = segment_load_max_timestamp(segment);
    struct segment_scan scan;
    segment_scan_init(&scan, segment, from, segment->size, READ_BLOCKING);
    while (err == ERR_NONE) {
        struct batch batch;
        uint64_t position;
        err = segment_scan_next(&scan, &batch, &position);
        if (err != ERR_NONE) break;
        if (batch.base_offset < *end_offset) return ERR_CORRUPT;
        *end_offset = batch.last_offset + 1;
        if (position == 0) segment->first_timestamp = batch.max_timestamp;
        if (batch.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = batch.max_timestamp;
            segment->max_timestamp_offset = batch.last_offset;
        }
    }
    if (err != ERR_EOF) return err;
    segment->bytes_since_index = segment->size - from;
    if (segment->first_timestamp != TIMESTAMP_UNKNOWN) return ERR_NONE;
    struct batch first;
    uint64_t position;
    segment_scan_init(&scan, segment, 0, segment->size, READ_BLOCKING);
    err = segment_scan_next(&scan, &first, &position);
    segment->first_timestamp = err == ERR_NONE ? first.max_timestamp : -1;
    return err == ERR_EOF ? ERR_NONE : err;
}

// Snapshots that no segment begins at are of use only when they are the newest.
static enum err drop_stray_snapshots(struct opening *o, int64_t end) {
    struct log *log = o->log;
    int64_t newest = -1;
    for (size_t i = 0; i < o->file_count; i++) {
        if (o->files[i].kind == FOUND_SNAPSHOT && o->files[i].base_offset <= end) {
            newest = MAX(newest, o->files[i].base_offset);
        }
    }
    for (size_t i = 0; i < o->file_count; i++) {
        int64_t offset = o->files[i].base_offset;
        if (o->files[i].kind != FOUND_SNAPSHOT || offset == newest ||
            is_there(o, offset, SEGMENT_LOG))
            continue;
        struct string_buffer path;
        string_buffer_init(&path);
        log_snapshot_path(log, offset, &path);
        enum err err = env_unlink(log->env, string_buffer_slice(&path));
        string_buffer_deinit(&path);
        if (err != ERR_NONE && err != ERR_NOT_FOUND) return err;
    }
    return ERR_NONE;
}

// ---- Putting it together ----

// Epochs of all segments that recovery did not read anyway.
static enum err collect_epochs(struct opening *o) {
    struct log *log = o->log;
    epoch_cache_clear(&log->epochs);
    for (int32_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        enum err err = segment_open_log(segment);
        struct segment_scan scan;
        segment_scan_init(&scan, segment, 0, segment->size, READ_BLOCKING);
        while (err == ERR_NONE) {
            struct batch batch;
            uint64_t position;
            err = segment_scan_next(&scan, &batch, &position);
            if (err == ERR_NONE && batch.leader_epoch > epoch_cache_last(&log->epochs)) {
                epoch_cache_assign(&log->epochs, batch.leader_epoch, batch.base_offset);
            }
        }
        if (err == ERR_IO) return err;
    }
    log->epochs.is_changed = true;
    return ERR_NONE;
}

static enum err find_end(struct opening *o, int64_t *end_offset, bool *producers_are_built) {
    struct log *log = o->log;
    int32_t last = log->segment_count - 1;
    int32_t first = o->options->clean ? last : log_segment_index(log, o->options->recovery_point);
    *producers_are_built = false;
    enum err err = ERR_NONE;
    for (int32_t i = 0; i < first && err == ERR_NONE; i++) {
        if (!indexes_are_plausible(o, log->segments[i])) err = rebuild_indexes(o, i);
    }
    if (err == ERR_NONE && o->options->clean && indexes_are_plausible(o, log->segments[last])) {
        err = log_measure_segment(log, log->segments[last], end_offset);
        if (err == ERR_NONE) return ERR_NONE;
        if (err != ERR_CORRUPT && err != ERR_TRUNCATED) return err;
        log_warn(env_logger(log->env), "storage",
                 "%s: the last segment is not as a clean stop leaves it; recovering it", log->name);
        err = ERR_NONE;
    }
    if (err == ERR_NONE) err = recover_from(o, first, end_offset);
    *producers_are_built = true;
    return err;
}

static enum err open_segments(struct opening *o) {
    struct log *log = o->log;
    int64_t end;
    bool producers_are_built;
    enum err err = ERR_NONE;
    // Segments may begin behind what the checkpoint says, when it was written before they went.
    log->start_offset = MAX(log->start_offset, log->segments[0]->base_offset);
    if (o->epochs_are_lost) err = collect_epochs(o);
    if (err == ERR_NONE) err = find_end(o, &end, &producers_are_built);
    if (err != ERR_NONE) return err;
    if (end < log->start_offset) {
        log_warn(env_logger(log->env), "storage",
                 "%s: the log ends at %" PRId64 ", before its start %" PRId64
                 "; it begins anew there",
                 log->name, end, log->start_offset);
        log->assigned = log->written = log->synced = end;
        return log_reset(log, log->start_offset);
    }
    if (!o->options->clean && end < o->options->recovery_point) {
        log_warn(env_logger(log->env), "storage",
                 "%s: the log ends at %" PRId64 ", before its recovery point %" PRId64
                 ": records that were synced are missing",
                 log->name, end, o->options->recovery_point);
    }
    log->assigned = log->written = log->synced = end;
    log->written_position = log_active(log)->size;
    // An epoch that begins at the end has no record yet; that is no reason to forget it.
    epoch_cache_truncate_end(&log->epochs, end + 1);
    epoch_cache_truncate_start(&log->epochs, log->start_offset);
    err = log_drop_snapshots(log, end);
    if (err == ERR_NONE) err = drop_stray_snapshots(o, end);
    if (err == ERR_NONE && !producers_are_built) err = log_rebuild_producers(log, end);
    if (err == ERR_NONE && o->changed && log->epochs.is_changed) err = log_write_epochs(log);
    if (err == ERR_NO_SPACE) err = ERR_NONE;
    // From here on the recovered end counts as synced; so must the names that lead to it.
    if (err == ERR_NONE && o->changed) err = log_sync_names(log, true);
    return err;
}

static enum err open_directory(struct opening *o) {
    struct log *log = o->log;
    struct env_stat stat;
    enum err err = env_stat(log->env, log->directory, &stat);
    if (err == ERR_NOT_FOUND && log->is_metadata_log)
        err = env_make_directory(log->env, log->directory);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    if (err == ERR_NONE) err = list(o);
    if (err == ERR_NONE) err = remove_leftovers(o);
    if (err == ERR_NONE) err = read_topic_id(o);
    if (err == ERR_NONE) err = read_epochs(o);
    if (err != ERR_NONE) return err;
    // log_create writes partition.metadata where it is missing.
    log->is_created = true;
    // Whether the last process came to sync the names is not known.
    log->names_changed = log->parent_changed = !o->options->clean;
    classify(o);
    err = add_segments(o);
    if (err == ERR_NONE && log->segment_count > 0) err = open_segments(o);
    return err;
}

enum err log_open(struct env *env, const struct log_options *options, struct log **log,
                  struct message *error) {
    struct log *made = log_new(env, options);
    made->start_offset = MAX(options->log_start_offset, (int64_t)0);
    made->assigned = made->written = made->synced = made->start_offset;
    made->producers.end_offset = made->start_offset;
    struct opening o = {.log = made, .options = options, .error = error};
    message_set(error, "%s", "");
    arena_init(&o.arena);
    enum err err = open_directory(&o);
    arena_deinit(&o.arena);
    memory_free(o.names);
    if (err != ERR_NONE) {
        if (error != NULL && error->text[0] == '\0') {
            message_set(error, "%.*s: %s", SLICE_PRINT(options->directory), err_text(err));
        }
        log_free(made);
        return err;
    }
    // An open log that is not used costs no files.
    for (int32_t i = 0; i < made->segment_count; i++) {
        made->segments[i]->is_used = false;
        segment_close_idle(made->segments[i], false);
    }
    *log = made;
    return ERR_NONE;
}
