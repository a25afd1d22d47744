// The header of a record batch. All fields lie at fixed places, big-endian:
//
//    0 base offset     8 length           12 partition leader epoch   16 magic (2)      17 CRC-32C
//    of all that follows it
//   21 attributes     23 last offset delta 27 base timestamp          35 max timestamp
//   43 producer id    51 producer epoch    53 base sequence           57 record count   61 records
//
// Offset and leader epoch belong to the broker and lie before the CRC, so assigning them does not
// touch what the producer signed.
#include "wire/batch.h"

#include "base/crc32c.h"

enum err batch_decode(struct slice bytes, struct batch *batch) {
    if (bytes.size < BATCH_HEADER_SIZE) return ERR_EOF;
    const uint8_t *p = bytes.data;
    batch->magic = (int8_t)p[BATCH_MAGIC];
    int32_t length = load_i32(p + BATCH_LENGTH);
    if (batch->magic != 2) return ERR_CORRUPT;
    if (length < BATCH_HEADER_SIZE - BATCH_OVERHEAD) return ERR_CORRUPT;
    batch->base_offset = load_i64(p + BATCH_BASE_OFFSET);
    batch->size = (uint32_t)length + BATCH_OVERHEAD;
    batch->leader_epoch = load_i32(p + BATCH_LEADER_EPOCH);
    batch->crc = load_u32(p + BATCH_CRC);
    batch->attributes = load_i16(p + BATCH_ATTRIBUTES);
    batch->last_offset_delta = load_i32(p + BATCH_LAST_OFFSET_DELTA);
    // Unsigned addition: a hostile base offset must not overflow.
    batch->last_offset =
        (int64_t)((uint64_t)batch->base_offset + (uint64_t)(int64_t)batch->last_offset_delta);
    batch->base_timestamp = load_i64(p + BATCH_BASE_TIMESTAMP);
    batch->max_timestamp = load_i64(p + BATCH_MAX_TIMESTAMP);
    batch->producer_id = load_i64(p + BATCH_PRODUCER_ID);
    batch->producer_epoch = load_i16(p + BATCH_PRODUCER_EPOCH);
    batch->base_sequence = load_i32(p + BATCH_BASE_SEQUENCE);
    batch->record_count = load_i32(p + BATCH_RECORD_COUNT);
    return ERR_NONE;
}

bool batch_crc_is_valid(struct slice bytes) {
    if (bytes.size < BATCH_HEADER_SIZE) return false;
    uint32_t crc = crc32c(0, bytes.data + BATCH_ATTRIBUTES, bytes.size - BATCH_ATTRIBUTES);
    return crc == load_u32(bytes.data + BATCH_CRC);
}

void batch_seal(uint8_t *bytes, size_t size) {
    store_u32(bytes + BATCH_CRC, crc32c(0, bytes + BATCH_ATTRIBUTES, size - BATCH_ATTRIBUTES));
}
