// Segments (.log) and snapshots of the metadata quorum (.checkpoint): batches, and the records in
// them.
#include <stdio.h>

#include "base/bytes.h"
#include "cli/dump_log.h"

#define DECOMPRESSED_MAX ((size_t)1 << 30)

// What the walk through one file remembers.
struct walk {
    struct dump *dump;
    struct arena arena;  // of one batch
    int64_t last_offset;
    bool has_gaps;
};

static const char *timestamp_type(const struct batch *batch) {
    return batch->attributes & ATTRIBUTE_LOG_APPEND_TIME ? "LogAppendTime" : "CreateTime";
}

static void print_delete_horizon(struct dump *d, const struct batch *batch) {
    if (!(batch->attributes & ATTRIBUTE_DELETE_HORIZON)) {
        dump_value(d, "deleteHorizonMs", SLICE_LITERAL("OptionalLong.empty"),
                   SLICE_LITERAL("null"));
        return;
    }
    char text[48], json[32];
    snprintf(text, sizeof text, "OptionalLong[%lld]", (long long)batch->base_timestamp);
    snprintf(json, sizeof json, "%lld", (long long)batch->base_timestamp);
    dump_value(d, "deleteHorizonMs", slice_cstring(text), slice_cstring(json));
}

static void print_batch(struct dump *d, const struct batch *batch, uint64_t position,
                        bool is_valid) {
    dump_begin(d, "batch", "");
    dump_number(d, "baseOffset", batch->base_offset);
    dump_number(d, "lastOffset", batch->last_offset);
    dump_number(d, "count", batch->record_count);
    dump_number(d, "baseSequence", batch->base_sequence);
    dump_number(d, "lastSequence", batch_last_sequence(batch));
    dump_number(d, "producerId", batch->producer_id);
    dump_number(d, "producerEpoch", batch->producer_epoch);
    dump_number(d, "partitionLeaderEpoch", batch->leader_epoch);
    dump_bool(d, "isTransactional", batch_is_transactional(batch));
    dump_bool(d, "isControl", batch_is_control(batch));
    print_delete_horizon(d, batch);
    dump_number(d, "position", (int64_t)position);
    dump_number(d, timestamp_type(batch), batch->max_timestamp);
    dump_number(d, "size", batch->size);
    dump_number(d, "magic", batch->magic);
    dump_word(d, "compresscodec", compression_name(batch_compression(batch)));
    dump_number(d, "crc", batch->crc);
    dump_bool(d, "isvalid", is_valid);
    dump_end(d);
}

// Formats before magic 2 (Kafka below 0.11): only what stands outside of the records.
static void print_old_batch(struct dump *d, struct slice bytes, uint64_t position) {
    dump_begin(d, "old batch", "");
    dump_number(d, "offset", load_i64(bytes.data));
    dump_number(d, "position", (int64_t)position);
    dump_number(d, "size", (int64_t)bytes.size);
    dump_number(d, "magic", (int8_t)bytes.data[BATCH_MAGIC]);
    dump_number(d, "crc", load_u32(bytes.data + BATCH_OVERHEAD));
    dump_end(d);
}

static void print_header_keys(struct dump *d, const struct record *record) {
    struct string_buffer text, json;
    string_buffer_init(&text);
    string_buffer_init(&json);
    string_buffer_append_char(&text, '[');
    string_buffer_append_char(&json, '[');
    for (int32_t i = 0; i < record->header_count; i++) {
        if (i > 0) string_buffer_append_char(&text, ','), string_buffer_append_char(&json, ',');
        string_buffer_append(&text, record->headers[i].key);
        string_buffer_append_json(&json, record->headers[i].key);
    }
    string_buffer_append_char(&text, ']');
    string_buffer_append_char(&json, ']');
    dump_value(d, "headerKeys", string_buffer_slice(&text), string_buffer_slice(&json));
    string_buffer_deinit(&text);
    string_buffer_deinit(&json);
}

static int64_t size_or_null(struct slice bytes) {
    return slice_is_null(bytes) ? -1 : (int64_t)bytes.size;
}

static void print_record(struct walk *w, const struct batch *batch, const struct record *record) {
    struct dump *d = w->dump;
    dump_begin(d, "record", "| ");
    if (!d->skip_metadata) {
        int32_t delta = (int32_t)(record->offset - batch->base_offset);
        dump_number(d, "offset", record->offset);
        dump_number(d, timestamp_type(batch), record->timestamp);
        dump_number(d, "keySize", size_or_null(record->key));
        dump_number(d, "valueSize", size_or_null(record->value));
        dump_number(d, "sequence",
                    batch->base_sequence < 0 ? -1 : sequence_add(batch->base_sequence, delta));
        print_header_keys(d, record);
        if (batch_is_control(batch)) dump_control_record(d, record, &w->arena);
    }
    if (d->print_data && !batch_is_control(batch)) dump_record_data(d, record, &w->arena);
    dump_end(d);
}

// Offsets that do not follow each other are no damage: compaction and open transactions leave gaps.
static void note_gap(struct walk *w, int64_t offset) {
    if (offset == w->last_offset + 1) return;
    if (!w->has_gaps)
        dump_find(w->dump, "Non-consecutive offsets in %.*s", SLICE_PRINT(w->dump->path));
    w->has_gaps = true;
    dump_find(w->dump, "  %lld is followed by %lld", (long long)w->last_offset, (long long)offset);
}

static void print_records(struct walk *w, struct slice bytes) {
    struct record_reader reader;
    struct record record;
    arena_reset(&w->arena);
    enum err err = record_reader_init(&reader, bytes, &w->arena, DECOMPRESSED_MAX);
    while (err == ERR_NONE && (err = record_reader_next(&reader, &record)) == ERR_NONE) {
        note_gap(w, record.offset);
        w->last_offset = record.offset;
        print_record(w, &reader.batch, &record);
    }
    if (err == ERR_EOF) return;
    w->dump->is_damaged = true;
    dump_find(w->dump, "The batch at offset %lld in %.*s cannot be read to its end: %s",
              (long long)load_i64(bytes.data), SLICE_PRINT(w->dump->path), err_text(err));
}

static void print_one(struct walk *w, struct slice bytes, uint64_t position) {
    struct dump *d = w->dump;
    struct batch batch;
    if (batch_decode(bytes, &batch)) {
        print_old_batch(d, bytes, position);
        return;
    }
    bool is_valid = batch_crc_is_valid(bytes);
    print_batch(d, &batch, position, is_valid);
    if (!is_valid) {
        d->is_damaged = true;
        dump_find(d, "The batch at offset %lld in %.*s has a wrong CRC",
                  (long long)batch.base_offset, SLICE_PRINT(d->path));
    } else if (!d->shallow) {
        print_records(w, bytes);
    }
}

// The line that says what the file is.
static void print_head(struct dump *d) {
    if (slice_ends_with(d->path, SLICE_LITERAL("bootstrap.checkpoint"))) {
        dump_say(d, "KRaft bootstrap snapshot");
    } else if (slice_ends_with(d->path, SLICE_LITERAL(".checkpoint"))) {
        // <end offset>-<epoch>.checkpoint
        struct slice name = slice_sub(d->path, 0, d->path.size - strlen(".checkpoint")), epoch;
        int64_t number = -1;
        while (slice_split(name, '-', &epoch, &name))
            ;
        if (!slice_parse_int64(name, &number)) number = -1;
        dump_say(d, "Snapshot end offset: %lld, epoch: %lld", (long long)dump_base_offset(d),
                 (long long)number);
    } else {
        dump_say(d, "Log starting offset: %lld", (long long)dump_base_offset(d));
    }
}

enum err dump_segment(struct dump *d) {
    struct dump_batches batches;
    enum err err = dump_batches_open(d, d->path, &batches);
    if (err) return err;
    print_head(d);
    bool is_cut = (uint64_t)d->max_bytes < batches.end;
    if (is_cut) batches.end = (uint64_t)d->max_bytes;

    struct walk walk = {.dump = d, .last_offset = -1};
    arena_init(&walk.arena);
    uint64_t position = 0;
    struct slice bytes;
    while ((err = dump_batches_next(&batches, &bytes)) == ERR_NONE) {
        print_one(&walk, bytes, position);
        position = batches.position;
    }
    if (err == ERR_EOF) {
        err = ERR_NONE;
        if (position < batches.end && !is_cut) {
            d->is_damaged = true;
            dump_say(d, "Found %llu invalid bytes at the end of %.*s",
                     (unsigned long long)(batches.end - position), SLICE_PRINT(d->path));
            if (d->json)
                dump_find(d, "Found %llu invalid bytes at the end of %.*s",
                          (unsigned long long)(batches.end - position), SLICE_PRINT(d->path));
        }
    }
    arena_deinit(&walk.arena);
    dump_batches_close(&batches);
    return err;
}
