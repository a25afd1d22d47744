// Record batches, magic 2: Kafka's unit of storage and transfer (KIP-98). Pure: bytes in, bytes
// out.
//
// A batch is a 61-byte header and its records; records are compressed as one blob. The CRC-32C
// covers everything from the attributes on, so base offset and partition leader epoch can be set in
// place without touching it.
#pragma once

#include "base/arena.h"
#include "base/reader.h"
#include "base/slice.h"
#include "gen/err.h"

enum {
    BATCH_BASE_OFFSET = 0,
    BATCH_LENGTH = 8,  // bytes after this field: size of the batch - 12
    BATCH_LEADER_EPOCH = 12,
    BATCH_MAGIC = 16,
    BATCH_CRC = 17,
    BATCH_ATTRIBUTES = 21,
    BATCH_LAST_OFFSET_DELTA = 23,
    BATCH_BASE_TIMESTAMP = 27,
    BATCH_MAX_TIMESTAMP = 35,
    BATCH_PRODUCER_ID = 43,
    BATCH_PRODUCER_EPOCH = 51,
    BATCH_BASE_SEQUENCE = 53,
    BATCH_RECORD_COUNT = 57,
    BATCH_HEADER_SIZE = 61,
    BATCH_OVERHEAD = 12,  // base offset and length
};

enum compression {
    COMPRESSION_NONE = 0,
    COMPRESSION_GZIP = 1,
    COMPRESSION_SNAPPY = 2,
    COMPRESSION_LZ4 = 3,
    COMPRESSION_ZSTD = 4,
};

#define ATTRIBUTE_COMPRESSION     0x07
#define ATTRIBUTE_LOG_APPEND_TIME 0x08
#define ATTRIBUTE_TRANSACTIONAL   0x10
#define ATTRIBUTE_CONTROL         0x20
#define ATTRIBUTE_DELETE_HORIZON  0x40

enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
};

// The header, decoded. `size` counts the whole batch.
struct batch {
    int64_t base_offset;
    int64_t last_offset;  // base_offset + last_offset_delta
    uint32_t size;
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;  // -1: none
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
};

static inline enum compression batch_compression(const struct batch *b) {
    return (enum compression)(b->attributes & ATTRIBUTE_COMPRESSION);
}
static inline bool batch_is_control(const struct batch *b) {
    return (b->attributes & ATTRIBUTE_CONTROL) != 0;
}
static inline bool batch_is_transactional(const struct batch *b) {
    return (b->attributes & ATTRIBUTE_TRANSACTIONAL) != 0;
}

// Decodes a header from the first BATCH_HEADER_SIZE bytes of `bytes`; only bounds are checked:
// ERR_EOF when the slice is shorter than a header, ERR_CORRUPT when the length field is below the
// minimum or the magic is not 2 (magic is filled in then).
MUST_CHECK enum err batch_decode(struct slice bytes, struct batch *batch);

// The CRC over a whole batch in memory (size bytes, all there).
bool batch_crc_is_valid(struct slice bytes);
// Computes and stores the CRC of a batch whose other fields are final.
void batch_seal(uint8_t *bytes, size_t size);

static inline int32_t sequence_add(int32_t sequence, int32_t delta) {
    // Sequences wrap from 2^31 - 1 to 0.
    return (int32_t)(((int64_t)sequence + delta) & INT32_MAX);
}
static inline int32_t batch_last_sequence(const struct batch *b) {
    return b->base_sequence < 0 ? -1 : sequence_add(b->base_sequence, b->last_offset_delta);
}

// ---- Records ----

struct record_header {
    struct slice key;
    struct slice value;  // may be null
};

struct record {
    int64_t offset;
    int64_t timestamp;
    struct slice key;    // null: none
    struct slice value;  // null: tombstone
    struct record_header *headers;
    int32_t header_count;
    int8_t attributes;
};

// Walks the records of one batch. Uncompressed batches are read in place; compressed ones are
// decompressed into the arena first, at most `decompressed_max` bytes (ERR_LIMIT beyond). Lying
// headers and bombs give an error, never a crash.
struct record_reader {
    struct batch batch;
    struct reader in;
    struct arena *arena;  // of headers and decompressed bytes
    int32_t next;         // index of the next record
};

MUST_CHECK enum err record_reader_init(struct record_reader *r, struct slice batch_bytes,
                                       struct arena *arena, size_t decompressed_max);
// ERR_NONE and a record; ERR_EOF after the last (then all bytes were used); ERR_CORRUPT.
MUST_CHECK enum err record_reader_next(struct record_reader *r, struct record *record);

// ---- Building ----

// Builds one batch: init, append records, finish. Used by the client library, the metadata log,
// coordinators and tests.
struct batch_builder {
    uint8_t *data;  // heap; header room first
    size_t size;
    size_t capacity;
    int64_t base_offset;
    int32_t leader_epoch;
    int16_t attributes;  // compression bits are set by finish
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
    int32_t last_offset_delta;
};

// Heap-backed, reusable after batch_builder_reset. Producer fields start as -1.
void batch_builder_init(struct batch_builder *b);
void batch_builder_deinit(struct batch_builder *b);
void batch_builder_reset(struct batch_builder *b);
// The size that the batch would have with this record (uncompressed upper bound).
size_t batch_builder_size_with(const struct batch_builder *b, const struct record *record);
// record->offset is ignored: deltas count up. Timestamps are taken as they are.
void batch_builder_append(struct batch_builder *b, const struct record *record);
// Makes the batch the marker that ends its producer's transaction (KIP-98): a control batch of one
// record, key {int16 version 0, int16 type}, value EndTxnMarker {int16 version 0, int32 coordinator
// epoch}. The builder is empty, its producer set.
void batch_builder_marker(struct batch_builder *b, bool commit, int32_t coordinator_epoch,
                          int64_t timestamp);
// Compresses (level 0: the codec's default), writes the header, seals. The bytes stay valid until
// reset or deinit.
MUST_CHECK enum err batch_builder_finish(struct batch_builder *b, enum compression compression,
                                         int level, struct slice *bytes);

// ---- Compression ----

// Decompresses at most `max` bytes into the arena: ERR_CORRUPT, ERR_LIMIT,
// ERR_UNSUPPORTED_COMPRESSION_TYPE. Accepts raw and xerial-framed snappy, LZ4 frames with any
// header checksum convention of magic 2, zstd frames without content size, concatenated gzip
// members.
MUST_CHECK enum err decompress_bytes(enum compression compression, struct slice in, size_t max,
                                     struct arena *arena, struct slice *out);
// Into the heap, returned owned. Snappy is written as xerial frames, as Java does.
MUST_CHECK enum err compress_bytes(enum compression compression, int level, struct slice in,
                                   uint8_t **out, size_t *out_size);
// "none", "gzip", "snappy", "lz4", "zstd"
const char *compression_name(enum compression compression);
bool compression_parse(struct slice name, enum compression *compression);
