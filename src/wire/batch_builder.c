// Builds one batch in a growing heap block whose first 61 bytes are kept free for the header.
#include "wire/batch.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "base/varint.h"

void batch_builder_init(struct batch_builder *b) {
    *b = (struct batch_builder){0};
    batch_builder_reset(b);
}

void batch_builder_deinit(struct batch_builder *b) {
    memory_free(b->data);
    *b = (struct batch_builder){0};
}

void batch_builder_reset(struct batch_builder *b) {
    uint8_t *data = b->data;
    size_t capacity = b->capacity;
    *b = (struct batch_builder){
        .data = data,
        .size = BATCH_HEADER_SIZE,
        .capacity = capacity,
        .base_timestamp = -1,
        .max_timestamp = -1,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
        .last_offset_delta = -1,
    };
}

static void ensure_capacity(struct batch_builder *b, size_t size) {
    if (size <= b->capacity) return;
    size_t capacity = MAX(b->capacity * 2, (size_t)1024);
    while (capacity < size)
        capacity *= 2;
    b->data = memory_realloc(b->data, capacity, 1);
    b->capacity = capacity;
}

static size_t varint_size(int32_t v) {
    return uvarint_size(zigzag32(v));
}

static size_t nullable_size(struct slice s) {
    return slice_is_null(s) ? 1 : varint_size((int32_t)s.size) + s.size;
}

// The record without its length in front.
static size_t record_body_size(const struct record *record, int64_t timestamp_delta,
                               int32_t offset_delta) {
    size_t size = 1 + uvarlong_size(zigzag64(timestamp_delta)) + varint_size(offset_delta) +
                  nullable_size(record->key) + nullable_size(record->value) +
                  varint_size(record->header_count);
    for (int32_t i = 0; i < record->header_count; i++) {
        size += nullable_size(record->headers[i].key) + nullable_size(record->headers[i].value);
    }
    return size;
}

static int64_t timestamp_delta_of(const struct batch_builder *b, const struct record *record) {
    if (b->record_count == 0) return 0;
    return (int64_t)((uint64_t)record->timestamp - (uint64_t)b->base_timestamp);
}

size_t batch_builder_size_with(const struct batch_builder *b, const struct record *record) {
    size_t body = record_body_size(record, timestamp_delta_of(b, record), b->record_count);
    return b->size + VARINT_MAX + body;
}

static uint8_t *write_varint(uint8_t *p, int32_t v) {
    return p + uvarint_write(p, zigzag32(v));
}

static uint8_t *write_nullable(uint8_t *p, struct slice s) {
    if (slice_is_null(s)) return write_varint(p, -1);
    p = write_varint(p, (int32_t)s.size);
    if (s.size > 0) memcpy(p, s.data, s.size);
    return p + s.size;
}

void batch_builder_append(struct batch_builder *b, const struct record *record) {
    if (b->record_count == 0) b->base_timestamp = b->max_timestamp = record->timestamp;
    int64_t timestamp_delta = timestamp_delta_of(b, record);
    int32_t offset_delta = b->record_count;
    size_t body = record_body_size(record, timestamp_delta, offset_delta);
    assert(body <= INT32_MAX);
    ensure_capacity(b, b->size + VARINT_MAX + body);

    uint8_t *p = write_varint(b->data + b->size, (int32_t)body);
    *p++ = (uint8_t)record->attributes;
    p += uvarlong_write(p, zigzag64(timestamp_delta));
    p = write_varint(p, offset_delta);
    p = write_nullable(p, record->key);
    p = write_nullable(p, record->value);
    p = write_varint(p, record->header_count);
    for (int32_t i = 0; i < record->header_count; i++) {
        p = write_nullable(p, record->headers[i].key);
        p = write_nullable(p, record->headers[i].value);
    }
    b->size = (size_t)(p - b->data);
    b->max_timestamp = MAX(b->max_timestamp, record->timestamp);
    b->record_count++;
    b->last_offset_delta = offset_delta;
}

void batch_builder_marker(struct batch_builder *b, bool commit, int32_t coordinator_epoch,
                          int64_t timestamp) {
    uint8_t key[4], value[6];
    store_i16(key, 0);
    store_i16(key + 2, commit ? CONTROL_COMMIT : CONTROL_ABORT);
    store_i16(value, 0);
    store_i32(value + 2, coordinator_epoch);
    b->attributes = ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL;
    struct record record = {.timestamp = timestamp,
                            .key = slice_of(key, sizeof key),
                            .value = slice_of(value, sizeof value)};
    batch_builder_append(b, &record);
}

// Puts the compressed form in the place of the records.
static enum err compress_records(struct batch_builder *b, enum compression compression, int level) {
    uint8_t *packed = NULL;
    size_t packed_size = 0;
    struct slice body = slice_of(b->data + BATCH_HEADER_SIZE, b->size - BATCH_HEADER_SIZE);
    enum err err = compress_bytes(compression, level, body, &packed, &packed_size);
    if (err != ERR_NONE) return err;
    ensure_capacity(b, BATCH_HEADER_SIZE + packed_size);
    memcpy(b->data + BATCH_HEADER_SIZE, packed, packed_size);
    b->size = BATCH_HEADER_SIZE + packed_size;
    memory_free(packed);
    return ERR_NONE;
}

enum err batch_builder_finish(struct batch_builder *b, enum compression compression, int level,
                              struct slice *bytes) {
    if (b->record_count == 0) return ERR_INVALID;
    if (compression != COMPRESSION_NONE) {
        enum err err = compress_records(b, compression, level);
        if (err != ERR_NONE) return err;
    }
    if (b->size - BATCH_OVERHEAD > INT32_MAX) return ERR_LIMIT;
    b->attributes = (int16_t)((b->attributes & ~ATTRIBUTE_COMPRESSION) | (int)compression);

    uint8_t *p = b->data;
    store_i64(p + BATCH_BASE_OFFSET, b->base_offset);
    store_i32(p + BATCH_LENGTH, (int32_t)(b->size - BATCH_OVERHEAD));
    store_i32(p + BATCH_LEADER_EPOCH, b->leader_epoch);
    p[BATCH_MAGIC] = 2;
    store_i16(p + BATCH_ATTRIBUTES, b->attributes);
    store_i32(p + BATCH_LAST_OFFSET_DELTA, b->last_offset_delta);
    store_i64(p + BATCH_BASE_TIMESTAMP, b->base_timestamp);
    store_i64(p + BATCH_MAX_TIMESTAMP, b->max_timestamp);
    store_i64(p + BATCH_PRODUCER_ID, b->producer_id);
    store_i16(p + BATCH_PRODUCER_EPOCH, b->producer_epoch);
    store_i32(p + BATCH_BASE_SEQUENCE, b->base_sequence);
    store_i32(p + BATCH_RECORD_COUNT, b->record_count);
    batch_seal(p, b->size);
    *bytes = slice_of(p, b->size);
    return ERR_NONE;
}
