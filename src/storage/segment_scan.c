// Walking the batch headers of a segment file. Nothing in the file is trusted: a length is followed
// only when the batch ends within the range.
#include "base/memory.h"
#include "storage/segment.h"

// The kernel keeps what was written last; more than this it may have dropped again.
#define HOT_BYTES ((uint64_t)16 << 20)

bool segment_is_hot(const struct segment *segment, uint64_t position) {
    return position >= segment->hot_from && position + HOT_BYTES >= segment->size;
}

void segment_scan_init_file(struct segment_scan *scan, struct file *file, uint64_t position,
                            uint64_t end) {
    scan->file = file;
    scan->position = position;
    scan->end = end;
    scan->mode = READ_BLOCKING;
    scan->is_hot = true;
    scan->chunk_position = 0;
    scan->chunk_size = 0;
}

void segment_scan_init(struct segment_scan *scan, struct segment *segment, uint64_t position,
                       uint64_t end, enum read_mode mode) {
    segment_scan_init_file(scan, segment->file, position, end);
    scan->mode = mode;
    scan->is_hot = segment_is_hot(segment, position);
}

// Makes [position, position + BATCH_HEADER_SIZE) available in the chunk.
static enum err fill(struct segment_scan *scan) {
    uint64_t position = scan->position;
    if (position >= scan->chunk_position &&
        position + BATCH_HEADER_SIZE <= scan->chunk_position + scan->chunk_size) {
        return ERR_NONE;
    }
    size_t want = (size_t)MIN((uint64_t)SCAN_CHUNK, scan->end - position);
    // After a jump over a large batch only its header is of interest.
    if (scan->chunk_size > 0 && position >= scan->chunk_position + scan->chunk_size) {
        want = MIN(want, (size_t)(4 * BATCH_HEADER_SIZE));
    }
    if (scan->mode == READ_NO_WAIT && !scan->is_hot &&
        !file_is_resident(scan->file, position, want)) {
        return ERR_WOULD_BLOCK;
    }
    size_t got;
    enum err err = file_read(scan->file, position, scan->chunk, want, &got);
    if (err != ERR_NONE) return err;
    scan->chunk_position = position;
    scan->chunk_size = got;
    return got < BATCH_HEADER_SIZE ? ERR_TRUNCATED : ERR_NONE;
}

enum err segment_scan_next(struct segment_scan *scan, struct batch *batch, uint64_t *position) {
    if (scan->position >= scan->end) return ERR_EOF;
    if (scan->end - scan->position < BATCH_HEADER_SIZE) return ERR_TRUNCATED;
    enum err err = fill(scan);
    if (err != ERR_NONE) return err;
    size_t at = (size_t)(scan->position - scan->chunk_position);
    struct batch found;
    err = batch_decode(slice_of(scan->chunk + at, BATCH_HEADER_SIZE), &found);
    if (err != ERR_NONE) return ERR_CORRUPT;
    if (found.base_offset < 0 || found.last_offset < found.base_offset) return ERR_CORRUPT;
    if (found.size > scan->end - scan->position) return ERR_TRUNCATED;
    *batch = found;
    *position = scan->position;
    scan->position += found.size;
    return ERR_NONE;
}

// ---- Finding ----

// From `from` on, the first batch whose last offset is >= `offset`. With `is_hint` the batch at
// `from` must end at or below it, as an index entry promises.
static enum err find_from(struct segment *segment, uint64_t from, bool is_hint, uint64_t end,
                          int64_t offset, enum read_mode mode, uint64_t *position,
                          int64_t *base_offset, bool *at_batch) {
    struct segment_scan scan;
    segment_scan_init(&scan, segment, from, end, mode);
    int64_t behind = segment->base_offset;
    for (;;) {
        struct batch batch;
        uint64_t at;
        enum err err = segment_scan_next(&scan, &batch, &at);
        if (err == ERR_EOF) {
            *position = scan.position;
            *base_offset = behind;
            *at_batch = false;
            return ERR_NONE;
        }
        if (err != ERR_NONE) return err == ERR_TRUNCATED ? ERR_CORRUPT : err;
        bool is_a_lie = batch.base_offset < segment->base_offset || batch.last_offset > offset;
        if (is_hint && is_a_lie) return ERR_CORRUPT;
        if (batch.last_offset >= offset) {
            *position = at;
            *base_offset = batch.base_offset;
            *at_batch = true;
            return ERR_NONE;
        }
        behind = batch.last_offset + 1;
        is_hint = false;
    }
}

enum err segment_find(struct segment *segment, int64_t offset, uint64_t end, enum read_mode mode,
                      uint64_t *position, int64_t *base_offset, bool *at_batch) {
    uint32_t hint;
    enum err err = segment_lookup_offset(segment, offset, mode, &hint);
    if (err != ERR_NONE && err != ERR_CORRUPT) return err;
    if (err == ERR_NONE && hint > 0 && hint < end) {
        err = find_from(segment, hint, true, end, offset, mode, position, base_offset, at_batch);
        if (err != ERR_CORRUPT) return err;
    }
    return find_from(segment, 0, false, end, offset, mode, position, base_offset, at_batch);
}

// ---- Views ----

enum err segment_view_new(struct segment *segment, uint64_t size, struct segment_view **view) {
    enum err err = segment_open_files(segment, false);
    if (err == ERR_NONE) err = index_file_flush(&segment->offsets);
    if (err == ERR_NONE || err == ERR_NO_SPACE) err = index_file_flush(&segment->times);
    if (err != ERR_NONE && err != ERR_NO_SPACE) return err;
    struct segment_view *made = memory_alloc(sizeof *made);
    made->segment = *segment;
    made->segment.size = size;
    made->segment.offsets.tail = NULL;
    made->segment.times.tail = NULL;
    made->segment.transactions.tail = NULL;
    made->origin = segment;
    segment_ref(segment);
    *view = made;
    return ERR_NONE;
}

void segment_view_free(struct segment_view *view) {
    if (view == NULL) return;
    segment_unref(view->origin);
    memory_free(view);
}
