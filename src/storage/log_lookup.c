// Offsets by time (KIP-33, KIP-79, KIP-734). The first segment whose largest timestamp reaches the
// target holds the answer; its time index gives the last entry at or below it, the offset index the
// position from which batches are scanned; only the batch whose header reaches the target is read
// (and decompressed). Works on views of the segments, in a job.
#include "base/memory.h"
#include "storage/log_internal.h"

#define DECOMPRESSED_BYTES_MAX ((size_t)128 << 20)

struct lookup {
    int64_t start_offset;
    int64_t timestamp;
    int64_t upper_bound;
    struct log_timestamp found;
    int32_t count;
    struct segment_view **views;
};

static enum err load_max(struct segment *segment) {
    if (segment->max_timestamp != TIMESTAMP_UNKNOWN) return ERR_NONE;
    enum err err = segment_last_time(segment, READ_BLOCKING, &segment->max_timestamp,
                                     &segment->max_timestamp_offset);
    if (err != ERR_NOT_FOUND) return err;
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = segment->base_offset;
    return ERR_NONE;
}

// The first record of a batch with at least this time, at or behind the log start.
static enum err search_batch(const struct lookup *lookup, struct segment *segment,
                             const struct batch *batch, uint64_t position, int64_t timestamp,
                             struct log_timestamp *found) {
    uint8_t *bytes = memory_alloc(batch->size);
    struct arena arena;
    arena_init(&arena);
    size_t got;
    enum err err = file_read(segment->file, position, bytes, batch->size, &got);
    if (err == ERR_NONE && got < batch->size) err = ERR_CORRUPT;
    struct record_reader reader;
    if (err == ERR_NONE)
        err = record_reader_init(&reader, slice_of(bytes, got), &arena, DECOMPRESSED_BYTES_MAX);
    while (err == ERR_NONE) {
        struct record record;
        err = record_reader_next(&reader, &record);
        if (err == ERR_NONE && record.timestamp >= timestamp &&
            record.offset >= lookup->start_offset) {
            *found = (struct log_timestamp){record.timestamp, record.offset, batch->leader_epoch};
            break;
        }
    }
    arena_deinit(&arena);
    memory_free(bytes);
    return err == ERR_EOF ? ERR_NONE : err;
}

static enum err search_segment(const struct lookup *lookup, struct segment *segment,
                               int64_t from_offset, int64_t timestamp,
                               struct log_timestamp *found) {
    uint64_t position;
    int64_t base_offset;
    bool at_batch;
    int64_t offset = MAX(from_offset, lookup->start_offset);
    enum err err = segment_find(segment, offset, segment->size, READ_BLOCKING, &position,
                                &base_offset, &at_batch);
    if (err != ERR_NONE || !at_batch) return err;
    struct segment_scan scan;
    segment_scan_init(&scan, segment, position, segment->size, READ_BLOCKING);
    while (found->offset < 0) {
        struct batch batch;
        err = segment_scan_next(&scan, &batch, &position);
        if (err == ERR_EOF) return ERR_NONE;
        if (err != ERR_NONE) return err;
        if (batch.max_timestamp < timestamp || batch.last_offset < lookup->start_offset) continue;
        err = search_batch(lookup, segment, &batch, position, timestamp, found);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static enum err find_time(struct lookup *lookup, struct log_timestamp *found) {
    for (int32_t i = 0; i < lookup->count && found->offset < 0; i++) {
        struct segment *segment = &lookup->views[i]->segment;
        enum err err = load_max(segment);
        if (err != ERR_NONE) return err;
        if (segment->size == 0 || segment->max_timestamp < lookup->timestamp) continue;
        int64_t offset;
        err = segment_lookup_time(segment, lookup->timestamp, READ_BLOCKING, &offset);
        if (err == ERR_CORRUPT) offset = segment->base_offset;
        if (err != ERR_NONE && err != ERR_CORRUPT) return err;
        err = search_segment(lookup, segment, offset, lookup->timestamp, found);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static enum err find_max(struct lookup *lookup, struct log_timestamp *found) {
    struct segment *best = NULL;
    for (int32_t i = 0; i < lookup->count; i++) {
        struct segment *segment = &lookup->views[i]->segment;
        enum err err = load_max(segment);
        if (err != ERR_NONE) return err;
        if (segment->size > 0 && (best == NULL || segment->max_timestamp > best->max_timestamp))
            best = segment;
    }
    if (best == NULL || best->max_timestamp < 0) return ERR_NONE;
    return search_segment(lookup, best, best->max_timestamp_offset, best->max_timestamp, found);
}

static enum err lookup_run(struct lookup *lookup) {
    struct log_timestamp found = {-1, -1, -1};
    enum err err = lookup->timestamp == LOG_LOOKUP_MAX_TIMESTAMP ? find_max(lookup, &found)
                                                                 : find_time(lookup, &found);
    if (err == ERR_NONE && found.offset < lookup->upper_bound) lookup->found = found;
    return err;
}

static void lookup_free(struct lookup *lookup) {
    for (int32_t i = 0; i < lookup->count; i++)
        segment_view_free(lookup->views[i]);
    memory_free(lookup->views);
    memory_free(lookup);
}

static enum err lookup_new(struct log *log, int64_t timestamp, int64_t upper_bound,
                           struct lookup **out) {
    struct lookup *lookup = memory_zalloc(1, sizeof *lookup);
    lookup->start_offset = log->start_offset;
    lookup->timestamp = timestamp;
    lookup->upper_bound = upper_bound;
    lookup->found = (struct log_timestamp){-1, -1, -1};
    lookup->views = memory_zalloc((size_t)log->segment_count, sizeof(struct segment_view *));
    enum err err = log->has_failed ? ERR_KAFKA_STORAGE_ERROR : ERR_NONE;
    int32_t first = MAX(log_segment_index(log, log->start_offset), 0);
    for (int32_t i = first; i < log->segment_count && err == ERR_NONE; i++) {
        struct segment *segment = log->segments[i];
        bool is_known = segment->max_timestamp != TIMESTAMP_UNKNOWN;
        // Most segments can be told from memory not to hold the answer.
        if (is_known && timestamp != LOG_LOOKUP_MAX_TIMESTAMP && segment->max_timestamp < timestamp)
            continue;
        err = segment_view_new(segment, log_readable_size(log, i), &lookup->views[lookup->count]);
        if (err == ERR_NONE) lookup->count++;
    }
    if (err != ERR_NONE) {
        lookup_free(lookup);
        return err;
    }
    *out = lookup;
    return ERR_NONE;
}

// What the job read of inactive segments is worth keeping.
static void keep_maxima(const struct lookup *lookup) {
    for (int32_t i = 0; i < lookup->count; i++) {
        const struct segment *seen = &lookup->views[i]->segment;
        struct segment *origin = lookup->views[i]->origin;
        if (origin->max_timestamp != TIMESTAMP_UNKNOWN || seen->max_timestamp == TIMESTAMP_UNKNOWN)
            continue;
        origin->max_timestamp = seen->max_timestamp;
        origin->max_timestamp_offset = seen->max_timestamp_offset;
    }
}

static void job_run(struct env_job *job) {
    struct log_lookup_op *op = container_of(job, struct log_lookup_op, job);
    if (op->lookup != NULL) op->result = lookup_run(op->lookup);
}

static void job_done(struct env_job *job) {
    struct log_lookup_op *op = container_of(job, struct log_lookup_op, job);
    op->log->jobs--;
    op->found = (struct log_timestamp){-1, -1, -1};
    if (op->lookup != NULL) {
        op->found = op->lookup->found;
        keep_maxima(op->lookup);
        lookup_free(op->lookup);
    }
    op->done(op, op->result == ERR_IO ? ERR_KAFKA_STORAGE_ERROR : op->result);
}

void log_lookup_start(struct log_lookup_op *op) {
    op->lookup = NULL;
    op->result = lookup_new(op->log, op->timestamp, op->upper_bound, &op->lookup);
    op->job.run = job_run;
    op->job.done = job_done;
    op->log->jobs++;
    env_job_start(op->log->env, &op->job);
}

enum err log_lookup(struct log *log, int64_t timestamp, int64_t upper_bound,
                    struct log_timestamp *found) {
    struct lookup *lookup;
    enum err err = lookup_new(log, timestamp, upper_bound, &lookup);
    if (err != ERR_NONE) return err;
    err = lookup_run(lookup);
    if (err == ERR_NONE) {
        keep_maxima(lookup);
        *found = lookup->found;
    }
    lookup_free(lookup);
    return err;
}
