// Reading. A read is three positions in one segment: where the first batch begins, where the
// batches below the upper bound end, and, between them, the last batch boundary within max_bytes.
// Each is found by a mark (somebody was here before), or by the offset index and a scan of at most
// index.interval.bytes of headers. A consumer at the end of the log, or one that goes on where it
// stopped, needs no system call.
//
// An index is a hint: what it says is checked against the batch that it points to, and when it lies
// the scan begins further in front.
#include "base/memory.h"
#include "storage/log_internal.h"

#define WARM_PIECE ((size_t)256 << 10)
#define WARM_MAX   ((uint64_t)8 << 20)

// A batch boundary: `position` lies behind all batches that end below `offset`.
struct boundary {
    uint64_t position;
    int64_t offset;  // of the batch that begins there, or one behind the last batch
    bool at_batch;   // a batch begins there (else: the end of the segment)
};

static enum err find(struct log *log, struct segment *segment, int64_t offset, uint64_t end,
                     struct boundary *found) {
    uint64_t position;
    if (log_mark_get(log, offset, segment->base_offset, &position) && position <= end) {
        *found = (struct boundary){position, offset, position < end};
        return ERR_NONE;
    }
    return segment_find(segment, offset, end, READ_NO_WAIT, &found->position, &found->offset,
                        &found->at_batch);
}

// Walks from `from` to the last boundary at or below `limit`, but at least over the first batch
// when `at_least_one`.
static enum err cut_from(struct segment *segment, uint64_t from, const struct boundary *start,
                         uint64_t end, uint64_t limit, bool at_least_one, struct boundary *last) {
    struct segment_scan scan;
    segment_scan_init(&scan, segment, from, end, READ_NO_WAIT);
    *last = (struct boundary){.position = start->position, .offset = start->offset};
    bool is_first = from == start->position;
    for (bool is_hint = !is_first;; is_hint = false) {
        struct batch batch;
        uint64_t position;
        enum err err = segment_scan_next(&scan, &batch, &position);
        if (err == ERR_EOF) return ERR_NONE;
        if (err != ERR_NONE) return err == ERR_TRUNCATED ? ERR_CORRUPT : err;
        if (is_hint) {
            if (batch.base_offset <= start->offset) return ERR_CORRUPT;
            // The batches before the hint fit, whatever becomes of this one.
            *last = (struct boundary){.position = position, .offset = batch.base_offset};
        }
        if (scan.position > limit && !(is_first && at_least_one)) return ERR_NONE;
        *last = (struct boundary){.position = scan.position, .offset = batch.last_offset + 1};
        if (scan.position > limit) return ERR_NONE;
        is_first = false;
    }
}

static enum err cut(struct segment *segment, const struct boundary *start, uint64_t end,
                    size_t max_bytes, bool at_least_one, struct boundary *last) {
    uint64_t limit = start->position + max_bytes;
    uint32_t hint;
    enum err err = segment_lookup_position(segment, limit, READ_NO_WAIT, &hint);
    if (err != ERR_NONE && err != ERR_CORRUPT) return err;
    if (err == ERR_NONE && hint > start->position && hint < end) {
        err = cut_from(segment, hint, start, end, limit, at_least_one, last);
        if (err != ERR_CORRUPT) return err;
    }
    return cut_from(segment, start->position, start, end, limit, at_least_one, last);
}

static enum err read_segment(struct log *log, int32_t i, int64_t offset, size_t max_bytes,
                             int64_t limit, bool at_least_one, struct log_slice *slice,
                             bool *found) {
    struct segment *segment = log->segments[i];
    uint64_t end = log_readable_size(log, i);
    *found = false;
    enum err err = segment_open_log(segment);
    if (err != ERR_NONE) return err;
    struct boundary start;
    err = find(log, segment, offset, end, &start);
    if (err != ERR_NONE) return err;
    if (!start.at_batch || start.offset >= limit) return ERR_NONE;
    *found = true;
    int64_t segment_end = MIN(log_segment_end(log, i), log->written);
    struct boundary stop = {.position = end, .offset = segment_end};
    if (limit < segment_end) {
        err = find(log, segment, limit, end, &stop);
        if (err != ERR_NONE) return err;
    }
    if (stop.position <= start.position) return ERR_NONE;
    if (stop.position - start.position > max_bytes) {
        err = cut(segment, &start, stop.position, max_bytes, at_least_one, &stop);
        if (err != ERR_NONE) return err;
        if (stop.position == start.position) return ERR_NONE;
    }
    size_t size = (size_t)(stop.position - start.position);
    if (!segment_is_hot(segment, start.position) &&
        !file_is_resident(segment->file, start.position, size)) {
        return ERR_WOULD_BLOCK;
    }
    segment_ref(segment);
    *slice = (struct log_slice){.file = segment->file,
                                .position = start.position,
                                .size = size,
                                .first_offset = start.offset,
                                .next_offset = stop.offset,
                                .pin = &segment->pin};
    log_mark_put(log, stop.offset, segment, stop.position);
    return ERR_NONE;
}

enum err log_read(struct log *log, int64_t offset, size_t max_bytes, int64_t upper_bound,
                  bool at_least_one, struct log_slice *slice) {
    if (log->has_failed) return ERR_KAFKA_STORAGE_ERROR;
    if (offset < log->start_offset || offset > log->written) return ERR_OFFSET_OUT_OF_RANGE;
    *slice = (struct log_slice){.first_offset = offset, .next_offset = offset};
    int64_t limit = MIN(upper_bound, log->written);
    if (offset >= limit || (max_bytes == 0 && !at_least_one)) return ERR_NONE;
    for (int32_t i = log_segment_index(log, offset); i < log->segment_count; i++) {
        if (log->segments[i]->base_offset >= limit) break;
        bool found;
        enum err err = read_segment(log, i, offset, max_bytes, limit, at_least_one, slice, &found);
        if (err != ERR_NONE && err != ERR_WOULD_BLOCK && err != ERR_LIMIT) {
            log_error(env_logger(log->env), "storage", "%s: reading offset %lld failed: %s",
                      log->name, (long long)offset, err_text(err));
            return err == ERR_IO ? ERR_KAFKA_STORAGE_ERROR : err;
        }
        if (err != ERR_NONE || found) return err;
    }
    return ERR_NONE;
}

void log_slice_release(struct log_slice *slice) {
    if (slice->pin != NULL) slice->pin->release(slice->pin);
    *slice = (struct log_slice){0};
}

// ---- Warming ----

static void warm_run(struct env_job *job) {
    struct log_warm_op *op = container_of(job, struct log_warm_op, job);
    struct segment *segment = &op->view->segment;
    bool at_batch;
    op->result = segment_find(segment, op->offset, segment->size, READ_BLOCKING, &op->position,
                              &op->found_offset, &at_batch);
    if (op->result != ERR_NONE) return;
    uint64_t position = op->position;
    // Also the index pages that a cut at max_bytes needs.
    uint32_t ignored;
    op->result =
        segment_lookup_position(segment, position + op->max_bytes, READ_BLOCKING, &ignored);
    if (op->result == ERR_CORRUPT) op->result = ERR_NONE;
    uint64_t end =
        MIN(segment->size, position + MIN(MAX((uint64_t)op->max_bytes, WARM_PIECE), WARM_MAX));
    uint8_t *piece = memory_alloc(WARM_PIECE);
    while (op->result == ERR_NONE && position < end) {
        size_t got = 0;
        op->result = file_read(segment->file, position, piece,
                               (size_t)MIN(end - position, (uint64_t)WARM_PIECE), &got);
        if (got == 0) break;
        position += got;
    }
    memory_free(piece);
}

static void warm_done(struct env_job *job) {
    struct log_warm_op *op = container_of(job, struct log_warm_op, job);
    if (op->view != NULL && op->found_offset == op->offset) {
        log_mark_put(op->log, op->offset, op->view->origin, op->position);
    }
    segment_view_free(op->view);
    op->log->jobs--;
    op->done(op, op->result);
}

static void warm_nothing(struct env_job *job) {
    (void)job;
}

void log_warm_start(struct log_warm_op *op) {
    struct log *log = op->log;
    op->view = NULL;
    op->found_offset = -1;
    op->result = ERR_NONE;
    op->job.run = warm_nothing;
    op->job.done = warm_done;
    int32_t i = log_segment_index(log, op->offset);
    if (i >= 0) {
        op->result = segment_view_new(log->segments[i], log_readable_size(log, i), &op->view);
        if (op->result == ERR_NONE) op->job.run = warm_run;
    }
    log->jobs++;
    env_job_start(log->env, &op->job);
}
