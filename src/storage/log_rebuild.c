// Producer state from files: the newest usable snapshot, and the batch headers behind it.
//
// A snapshot keeps one batch of each producer, the table five. The others are read back from the
// log when they are missed: a client whose connection broke at a restart may retry any of its last
// five (log_recall_batches).
#include <inttypes.h>

#include "base/memory.h"
#include "storage/log_internal.h"

#define SNAPSHOT_BYTES_MAX ((size_t)64 << 20)
// How far back a recall looks.
#define RECALL_BYTES ((uint64_t)8 << 20)

static enum err replay_segment(struct log *log, struct segment *segment, int64_t from,
                               int64_t end) {
    enum err err = segment_open_files(segment, true);
    uint64_t position = 0;
    int64_t base_offset;
    bool at_batch;
    if (err == ERR_NONE) {
        err = segment_find(segment, from, segment->size, READ_BLOCKING, &position, &base_offset,
                           &at_batch);
    }
    // The tail may be torn: what replays ends where the log ends.
    if (err == ERR_CORRUPT || (err == ERR_NONE && !at_batch)) return ERR_NONE;
    struct segment_scan scan;
    segment_scan_init(&scan, segment, position, segment->size, READ_BLOCKING);
    uint8_t *marker = NULL;
    while (err == ERR_NONE) {
        struct batch batch;
        err = segment_scan_next(&scan, &batch, &position);
        if (err != ERR_NONE || batch.base_offset >= end) break;
        if (batch.producer_id < 0) continue;
        struct slice bytes = SLICE_EMPTY;
        if (batch_is_control(&batch)) {
            marker = memory_realloc(marker, batch.size, 1);
            size_t got;
            err = file_read(segment->file, position, marker, batch.size, &got);
            if (err != ERR_NONE) break;
            bytes = slice_of(marker, got);
        }
        bool completed;
        err = log_apply_producer(log, &batch, bytes, NULL, &completed);
    }
    memory_free(marker);
    return err == ERR_IO ? err : ERR_NONE;
}

struct snapshot_search {
    int64_t above;
    int64_t best;
    int64_t at_most;
    bool found;
};

static void note_snapshot(void *context, struct slice name) {
    struct snapshot_search *search = context;
    int64_t offset;
    struct slice suffix;
    if (!segment_name_parse(name, &offset, &suffix) || !slice_equal_cstring(suffix, ".snapshot"))
        return;
    if (offset > search->at_most || (search->found && offset <= search->best)) return;
    search->best = offset;
    search->found = true;
}

static enum err newest_snapshot(struct log *log, int64_t at_most, int64_t *offset) {
    struct snapshot_search search = {.at_most = at_most};
    enum err err = env_list_directory(log->env, log->directory, note_snapshot, &search);
    if (err == ERR_NONE && !search.found) err = ERR_NOT_FOUND;
    if (err == ERR_NONE) *offset = search.best;
    return err;
}

static enum err load_snapshot(struct log *log, int64_t offset) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_snapshot_path(log, offset, &path);
    uint8_t *data = NULL;
    size_t size = 0;
    enum err err =
        env_read_file(log->env, string_buffer_slice(&path), SNAPSHOT_BYTES_MAX, &data, &size);
    if (err == ERR_NONE) {
        err = producer_table_load(&log->producers, slice_of(data, size), env_wall_ms(log->env),
                                  log->config.producer_id_expiration_ms);
    }
    if (err == ERR_CORRUPT || err == ERR_LIMIT) {
        log_warn(env_logger(log->env), "storage", "%s: removing a damaged producer snapshot: %s",
                 log->name, path.text);
        enum err removed = env_unlink(log->env, string_buffer_slice(&path));
        if (removed != ERR_NONE) err = removed;
    }
    memory_free(data);
    string_buffer_deinit(&path);
    return err;
}

enum err log_rebuild_producers(struct log *log, int64_t end) {
    producer_table_clear(&log->producers);
    int64_t from = log->start_offset;
    int64_t at_most = env_mutant(log->env, MUTANT_FORGET_PRODUCER_STATE) ? -1 : end;
    log->producers.snapshot_offset = -1;
    for (;;) {
        int64_t offset = 0;
        enum err err = newest_snapshot(log, at_most, &offset);
        if (err == ERR_NOT_FOUND) break;
        if (err == ERR_NONE) err = load_snapshot(log, offset);
        if (err == ERR_CORRUPT || err == ERR_LIMIT) continue;
        if (err != ERR_NONE) return err;
        log->producers.snapshot_offset = offset;
        from = MAX(from, offset);
        break;
    }
    log->producers.end_offset = from;
    if (env_mutant(log->env, MUTANT_FORGET_PRODUCER_STATE)) from = end;
    for (int32_t i = MAX(log_segment_index(log, from), 0); i < log->segment_count; i++) {
        if (log->segments[i]->base_offset >= end) break;
        enum err err = replay_segment(log, log->segments[i], from, end);
        if (err != ERR_NONE) return err;
    }
    log->producers.end_offset = end;
    return ERR_NONE;
}

enum err log_drop_snapshots(struct log *log, int64_t offset) {
    for (;;) {
        int64_t newest;
        enum err err = log->is_created ? newest_snapshot(log, INT64_MAX, &newest) : ERR_NOT_FOUND;
        if (err == ERR_NOT_FOUND || (err == ERR_NONE && newest <= offset)) return ERR_NONE;
        if (err != ERR_NONE) return err;
        struct string_buffer path;
        string_buffer_init(&path);
        log_snapshot_path(log, newest, &path);
        err = env_unlink(log->env, string_buffer_slice(&path));
        string_buffer_deinit(&path);
        if (err != ERR_NONE) return err;
    }
}

// ---- Recalling cached batches ----

// Batches of one producer in one epoch, older than those that the table has; the newest ones of
// them.
struct recall {
    int64_t producer_id;
    int16_t epoch;
    int64_t below;  // offsets from here on are in the table
    int wanted;
    int count;
    struct producer_batch batches[PRODUCER_BATCHES_MAX];  // oldest first
};

static void recall_note(struct recall *recall, const struct batch *batch) {
    if (batch->producer_id != recall->producer_id || batch->producer_epoch != recall->epoch) return;
    if (batch_is_control(batch) || batch->last_offset >= recall->below) return;
    if (recall->count == recall->wanted) {
        memmove(recall->batches, recall->batches + 1,
                sizeof recall->batches[0] * (size_t)(recall->count - 1));
        recall->count--;
    }
    recall->batches[recall->count++] =
        (struct producer_batch){batch->last_offset, batch->max_timestamp,
                                batch_last_sequence(batch), batch->last_offset_delta};
}

// The part of a segment that lies at most `budget` bytes before its end (or before `below`).
static enum err recall_segment(struct segment *segment, uint64_t size, uint64_t budget,
                               struct recall *recall) {
    uint64_t end = size;
    int64_t base_offset;
    bool at_batch;
    enum err err = segment_open_log(segment);
    if (err == ERR_NONE)
        err = segment_find(segment, recall->below, size, READ_BLOCKING, &end, &base_offset,
                           &at_batch);
    uint32_t from = 0;
    if (err == ERR_NONE && end > budget)
        err = segment_lookup_position(segment, end - budget, READ_BLOCKING, &from);
    if (err != ERR_NONE) return err;
    struct segment_scan scan;
    segment_scan_init(&scan, segment, from, end, READ_BLOCKING);
    for (;;) {
        struct batch batch;
        uint64_t position;
        err = segment_scan_next(&scan, &batch, &position);
        if (err == ERR_EOF) return ERR_NONE;
        if (err != ERR_NONE) return err;
        recall_note(recall, &batch);
    }
}

bool log_recall_batches(struct log *log, struct producer *producer) {
    struct producer_state *state = &producer->state;
    if (!state->is_restored || state->batch_count == 0) return false;
    state->is_restored = false;
    struct recall recall = {.producer_id = state->id,
                            .epoch = state->epoch,
                            .below = state->batches[0].last_offset,
                            .wanted = PRODUCER_BATCHES_MAX - state->batch_count};
    struct producer_batch kept[PRODUCER_BATCHES_MAX];
    int kept_count = state->batch_count;
    memcpy(kept, state->batches, sizeof kept);
    uint64_t budget = RECALL_BYTES;
    for (int32_t i = log_segment_index(log, recall.below);
         i >= 0 && recall.wanted > 0 && budget > 0; i--) {
        struct recall part = recall;
        part.count = 0;
        uint64_t size = log_readable_size(log, i);
        if (recall_segment(log->segments[i], size, budget, &part) != ERR_NONE) break;
        // Older segments come later: their batches go in front.
        memmove(kept + part.count, kept, sizeof kept[0] * (size_t)kept_count);
        memcpy(kept, part.batches, sizeof kept[0] * (size_t)part.count);
        kept_count += part.count;
        recall.wanted -= part.count;
        budget -= MIN(budget, size);
    }
    if (kept_count == state->batch_count) return false;
    memcpy(state->batches, kept, sizeof kept);
    state->batch_count = (int8_t)kept_count;
    return true;
}
