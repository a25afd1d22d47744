// The rule of validation (design §4). Always: header, bounds, CRC, size, the header's timestamps,
// the lengths of uncompressed records. The records inside only where the result depends on them:
//
// - the topic is compacted (each record needs a key),
// - taccola.record.validation=full,
// - message.timestamp.before.max.ms is set (only the newest and the first timestamp stand in the
// header),
// - the header's max timestamp is -1, as some old clients leave it,
// - compression.type of the topic differs from the batch's: the records are packed again,
// - the header shows a bad timestamp: then the records that are wrong are named (KIP-467).
//
// Sentences are Apache Kafka's, since clients show them to people.
#include "storage/validate.h"

#include <inttypes.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/string_buffer.h"

// What one batch may grow to when its records are read: beyond this it is a bomb.
#define DECOMPRESSED_BYTES_MAX ((size_t)128 << 20)
#define RECORD_ERRORS_MAX      10000

struct validation {
    const struct log_config *config;
    struct env *env;
    const char *name;
    struct log_append_op *op;
    struct validated_batch *out;
    int64_t now_ms;
    int64_t max_timestamp;  // of the records read
    bool timestamp_errors;
    int32_t error_capacity;
    struct batch_builder *builder;  // NULL unless packed again
};

static enum err reject(struct validation *v, enum err err, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum err reject(struct validation *v, enum err err, const char *format, ...) {
    struct string_buffer text;
    string_buffer_init(&text);
    va_list arguments;
    va_start(arguments, format);
    string_buffer_vformat(&text, format, arguments);
    va_end(arguments);
    v->op->error_text = arena_copy(v->op->arena, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return err;
}

static enum err check_header(struct validation *v) {
    const struct batch *b = &v->out->header;
    const char *name = v->name;
    if (b->base_offset != 0) {
        return reject(v, ERR_INVALID_RECORD,
                      "The baseOffset of the record batch in the append to %s should be 0, but it "
                      "is %" PRId64,
                      name, b->base_offset);
    }
    if (b->size > (uint32_t)v->config->max_message_bytes) {
        return reject(v, ERR_MESSAGE_TOO_LARGE,
                      "The record batch size in the append to %s is %u bytes which exceeds the "
                      "maximum configured value "
                      "of %d).",
                      name, b->size, v->config->max_message_bytes);
    }
    return ERR_NONE;
}

static enum err check_client_batch(struct validation *v) {
    const struct batch *b = &v->out->header;
    const char *name = v->name;
    if (b->last_offset_delta < 0) {
        return reject(v, ERR_INVALID_RECORD,
                      "Batch has an invalid offset range: [%" PRId64 ", %" PRId64
                      "] in topic partition %s",
                      b->base_offset, b->last_offset, name);
    }
    if (b->record_count <= 0) {
        return reject(v, ERR_INVALID_RECORD,
                      "Invalid reported count for record batch: %d in topic partition %s",
                      b->record_count, name);
    }
    if ((int64_t)b->last_offset_delta + 1 != b->record_count) {
        return reject(v, ERR_INVALID_RECORD,
                      "Inconsistent batch offset range [%" PRId64 ", %" PRId64
                      "] and count of records %d in topic partition %s",
                      b->base_offset, b->last_offset, b->record_count, name);
    }
    if (batch_is_control(b)) {
        return reject(v, ERR_INVALID_RECORD,
                      "Clients are not allowed to write control records in topic partition %s",
                      name);
    }
    if (b->producer_id >= 0 && b->base_sequence < 0) {
        return reject(v, ERR_INVALID_RECORD,
                      "Invalid sequence number %d in record batch with producerId %" PRId64
                      " in topic partition %s",
                      b->base_sequence, b->producer_id, name);
    }
    if (batch_compression(b) > COMPRESSION_ZSTD) {
        return reject(v, ERR_UNSUPPORTED_COMPRESSION_TYPE, "Unknown compression type id: %d",
                      (int)batch_compression(b));
    }
    return ERR_NONE;
}

// ---- Records ----

static void add_error(struct validation *v, int32_t index, struct slice text) {
    struct log_append_op *op = v->op;
    if (op->record_error_count == RECORD_ERRORS_MAX) return;
    if (op->record_error_count == v->error_capacity) {
        int32_t capacity = MAX(4, v->error_capacity * 2);
        struct append_record_error *grown =
            arena_zalloc(op->arena, (size_t)capacity, sizeof *grown);
        if (op->record_error_count > 0) {
            memcpy(grown, op->record_errors, (size_t)op->record_error_count * sizeof *grown);
        }
        op->record_errors = grown;
        v->error_capacity = capacity;
    }
    op->record_errors[op->record_error_count++] = (struct append_record_error){index, text};
}

// now - timestamp > before, or timestamp - now > after; without overflow for hostile values.
static bool timestamp_is_out_of_range(const struct validation *v, int64_t timestamp) {
    __int128 age = (__int128)v->now_ms - timestamp;
    return age > v->config->timestamp_before_max_ms || -age > v->config->timestamp_after_max_ms;
}

static void check_record(struct validation *v, const struct record *record, int32_t index) {
    const struct log_config *config = v->config;
    struct arena *arena = v->op->arena;
    if (config->compact_policy && slice_is_null(record->key)) {
        add_error(
            v, index,
            arena_format(arena,
                         "Compacted topic cannot accept message without key in topic partition %s",
                         v->name));
        return;
    }
    if (!config->log_append_time && record->timestamp != -1) {
        if (!timestamp_is_out_of_range(v, record->timestamp)) return;
        v->timestamp_errors = true;
        add_error(v, index,
                  arena_format(
                      arena,
                      "Timestamp %" PRId64 " of message with offset %" PRId64
                      " is out of range. The timestamp should be within [%" PRId64 ", %" PRId64 "]",
                      record->timestamp, record->offset,
                      (int64_t)((uint64_t)v->now_ms - (uint64_t)config->timestamp_before_max_ms),
                      (int64_t)((uint64_t)v->now_ms + (uint64_t)config->timestamp_after_max_ms)));
        return;
    }
    if (v->out->header.attributes & ATTRIBUTE_LOG_APPEND_TIME) {
        v->timestamp_errors = true;
        add_error(
            v, index,
            arena_format(
                arena,
                "Invalid timestamp type in message DefaultRecord(offset=%" PRId64
                ", timestamp=%" PRId64
                ", key=%zu bytes, value=%zu bytes). Producer should not set timestamp type to "
                "LogAppendTime.",
                record->offset, record->timestamp, record->key.size, record->value.size));
    }
}

static enum err report_record_errors(struct validation *v) {
    struct log_append_op *op = v->op;
    if (v->timestamp_errors) {
        return reject(v, ERR_INVALID_TIMESTAMP,
                      "One or more records have been rejected due to invalid timestamp");
    }
    struct string_buffer first;
    string_buffer_init(&first);
    for (int32_t i = 0; i < MIN(3, op->record_error_count); i++) {
        string_buffer_format(&first, "%sRecordError(batchIndex=%d, message='%.*s')",
                             i > 0 ? ", " : "", op->record_errors[i].index,
                             SLICE_PRINT(op->record_errors[i].text));
    }
    enum err err = reject(v, ERR_INVALID_RECORD,
                          "One or more records have been rejected due to %d record errors in "
                          "total, and only showing the "
                          "first three errors at most: [%s]",
                          op->record_error_count, first.text == NULL ? "" : first.text);
    string_buffer_deinit(&first);
    return err;
}

static enum err read_error(struct validation *v, enum err err) {
    switch (err) {
        case ERR_LIMIT:
            return reject(
                v, ERR_INVALID_RECORD,
                "The record batch in the append to %s decompresses to more than %zu bytes", v->name,
                DECOMPRESSED_BYTES_MAX);
        case ERR_UNSUPPORTED_COMPRESSION_TYPE:
            return err;
        default:
            return reject(v, ERR_CORRUPT_MESSAGE,
                          "Record is corrupt: the records of a batch in the append to %s cannot be "
                          "read",
                          v->name);
    }
}

// Records stand one behind the other, each with its length in front: as many as the header says,
// and nothing else.
static enum err check_lengths(struct validation *v) {
    const struct batch *b = &v->out->header;
    struct reader in = reader_of(slice_sub(slice_of(v->out->bytes, v->out->size), BATCH_HEADER_SIZE,
                                           b->size - BATCH_HEADER_SIZE));
    for (int32_t i = 0; i < b->record_count; i++) {
        int32_t size = reader_varint(&in);
        if (in.failed || size < 0 || (size_t)size > reader_left(&in)) {
            return reject(v, ERR_INVALID_RECORD,
                          "Incorrect declared batch size, premature EOF reached");
        }
        in.next += size;
    }
    if (reader_left(&in) == 0) return ERR_NONE;
    return reject(v, ERR_INVALID_RECORD,
                  "Incorrect declared batch size, records still remaining in file");
}

static enum err walk_records(struct validation *v) {
    struct arena arena;
    arena_init(&arena);
    struct record_reader reader;
    enum err err = record_reader_init(&reader, slice_of(v->out->bytes, v->out->size), &arena,
                                      DECOMPRESSED_BYTES_MAX);
    if (err != ERR_NONE) {
        arena_deinit(&arena);
        return read_error(v, err);
    }
    v->max_timestamp = -1;
    for (int32_t index = 0; err == ERR_NONE; index++) {
        struct record record;
        err = record_reader_next(&reader, &record);
        if (err != ERR_NONE) break;
        check_record(v, &record, index);
        v->max_timestamp = MAX(v->max_timestamp, record.timestamp);
        if (v->builder != NULL) batch_builder_append(v->builder, &record);
    }
    arena_deinit(&arena);
    if (err != ERR_EOF) {
        return reject(v, ERR_INVALID_RECORD,
                      "The records of a batch in the append to %s are not those that it declares",
                      v->name);
    }
    return v->op->record_error_count > 0 ? report_record_errors(v) : ERR_NONE;
}

// ---- Packing again ----

static enum err pack_again(struct validation *v, enum compression target) {
    struct batch_builder builder;
    batch_builder_init(&builder);
    const struct batch *b = &v->out->header;
    v->builder = &builder;
    enum err err = walk_records(v);
    if (err != ERR_NONE) goto out;
    builder.attributes = (int16_t)(b->attributes & ~ATTRIBUTE_COMPRESSION);
    builder.producer_id = b->producer_id;
    builder.producer_epoch = b->producer_epoch;
    builder.base_sequence = b->base_sequence;
    struct slice packed;
    err = batch_builder_finish(&builder, target, v->config->compression_level, &packed);
    if (err != ERR_NONE) {
        err = reject(v, ERR_INVALID_RECORD,
                     "The records of a batch in the append to %s cannot be compressed", v->name);
        goto out;
    }
    if (packed.size > (size_t)v->config->max_message_bytes) {
        err = reject(v, ERR_MESSAGE_TOO_LARGE,
                     "Message batch size is %zu bytes in append to partition %s which exceeds the "
                     "maximum configured size "
                     "of %d.",
                     packed.size, v->name, v->config->max_message_bytes);
        goto out;
    }
    packed = arena_copy(v->op->arena, packed);
    v->out->bytes = (uint8_t *)packed.data;
    v->out->size = packed.size;
    err = batch_decode(packed, &v->out->header);
out:
    v->builder = NULL;
    batch_builder_deinit(&builder);
    return err;
}

// ---- The whole ----

static bool header_timestamps_are_bad(const struct validation *v) {
    const struct batch *b = &v->out->header;
    if (b->attributes & ATTRIBUTE_LOG_APPEND_TIME) return true;
    if (v->config->log_append_time) return false;
    if (b->max_timestamp != -1 && timestamp_is_out_of_range(v, b->max_timestamp)) return true;
    return b->base_timestamp != -1 && timestamp_is_out_of_range(v, b->base_timestamp);
}

static enum err check_records(struct validation *v) {
    const struct log_config *config = v->config;
    struct batch *b = &v->out->header;
    if (batch_compression(b) == COMPRESSION_NONE) {
        enum err err = check_lengths(v);
        if (err != ERR_NONE) return err;
    }
    bool packs_again =
        !config->compression_is_producer && config->compression != batch_compression(b);
    if (packs_again) return pack_again(v, config->compression);
    bool lacks_timestamp = !config->log_append_time && b->max_timestamp == -1;
    bool limits_age = !config->log_append_time && config->timestamp_before_max_ms < INT64_MAX;
    if (!config->compact_policy && !config->validate_records && !limits_age && !lacks_timestamp &&
        !header_timestamps_are_bad(v)) {
        return ERR_NONE;
    }
    enum err err = walk_records(v);
    if (err != ERR_NONE) return err;
    if (!config->log_append_time && b->max_timestamp != v->max_timestamp) {
        b->max_timestamp = v->max_timestamp;
        v->out->must_seal = true;
    }
    return ERR_NONE;
}

enum err batch_validate(const struct log_config *config, struct env *env, const char *name,
                        struct log_append_op *op, struct validated_batch *out) {
    struct validation v = {.config = config, .env = env, .name = name, .op = op, .out = out};
    op->record_errors = NULL;
    op->record_error_count = 0;
    op->error_text = SLICE_NULL;
    op->log_append_time_ms = -1;
    out->bytes = op->batch;
    out->size = op->size;
    out->must_seal = false;
    struct slice bytes = slice_of(op->batch, op->size);
    if (batch_decode(bytes, &out->header) != ERR_NONE || out->header.size != op->size) {
        return reject(&v, ERR_CORRUPT_MESSAGE, "Record batch is corrupted in topic partition %s",
                      name);
    }
    bool is_client = op->origin == APPEND_CLIENT;
    if (is_client) {
        enum err err = check_header(&v);
        if (err != ERR_NONE) return err;
    }
    if (!env_mutant(env, MUTANT_SKIP_CRC) && !batch_crc_is_valid(bytes)) {
        return reject(&v, ERR_CORRUPT_MESSAGE,
                      "Record is corrupt (stored crc = %u) in topic partition %s.", out->header.crc,
                      name);
    }
    if (out->header.last_offset_delta < 0) {
        return reject(&v, ERR_INVALID_RECORD,
                      "Batch has an invalid offset range in topic partition %s", name);
    }
    if (!is_client) return ERR_NONE;
    enum err err = check_client_batch(&v);
    if (err != ERR_NONE) return err;
    v.now_ms = env_wall_ms(env);
    err = check_records(&v);
    if (err != ERR_NONE) return err;
    if (config->log_append_time) {
        op->log_append_time_ms = v.now_ms;
        out->header.attributes = (int16_t)(out->header.attributes | ATTRIBUTE_LOG_APPEND_TIME);
        out->header.max_timestamp = v.now_ms;
        out->must_seal = true;
    }
    return ERR_NONE;
}
