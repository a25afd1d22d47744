// The few Kafka messages that the load generator and the probe speak, written out by hand at fixed
// classic versions which every broker of the last eight years accepts: Produce v7, Fetch v4,
// OffsetCommit v5, Metadata v1, CreateTopics v2. Frames are built once, before the clock starts;
// per request only the correlation id and, for fetches, the offset are patched.
#pragma once

#include "base/bytes.h"
#include "base/slice.h"

enum {
    FRAME_PRODUCE = 0,
    FRAME_FETCH = 1,
    FRAME_METADATA = 3,
    FRAME_OFFSET_COMMIT = 8,
    FRAME_CREATE_TOPICS = 19
};
enum { FRAME_PRODUCE_VERSION = 7, FRAME_FETCH_VERSION = 4 };

// A frame being written: fixed room, checked by assert.
struct frame {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void frame_init(struct frame *f, size_t capacity);
void frame_deinit(struct frame *f);
void frame_u8(struct frame *f, uint8_t v);
void frame_u16(struct frame *f, uint16_t v);
void frame_u32(struct frame *f, uint32_t v);
void frame_u64(struct frame *f, uint64_t v);
void frame_string(struct frame *f, const char *text);
void frame_bytes(struct frame *f, const void *data, size_t size);

// Length, header with the client id "bench"; the body follows, then frame_end sets the length.
void frame_begin(struct frame *f, int16_t api_key, int16_t version);
void frame_end(struct frame *f);
static inline void frame_set_correlation(uint8_t *frame, int32_t id) {
    store_i32(frame + 8, id);
}

// One partition's batch. The batch's bytes end the frame.
void frame_produce(struct frame *f, const char *topic, int32_t partition, int16_t acks,
                   struct slice batch);
// One partition from `offset`; returns where in the frame the offset stands, for patching.
size_t frame_fetch(struct frame *f, const char *topic, int32_t partition, int64_t offset,
                   int32_t wait_ms, int32_t min_bytes, int32_t max_bytes);
// A commit outside any group membership, of offset 42 in partitions first … first + count - 1.
void frame_offset_commit(struct frame *f, const char *group, const char *topic, int32_t first,
                         int32_t count);
// Where the error code of the first partition stands in the reply (without its length).
size_t frame_offset_commit_error(const char *topic);
void frame_create_topic(struct frame *f, const char *topic, int32_t partitions);
void frame_metadata(struct frame *f, const char *topic);

// A sealed batch of `records` records with values of `value_size` random bytes. Returned owned.
// `compression` is Kafka's number of the codec.
uint8_t *frame_make_batch(int32_t records, size_t value_size, int compression, uint64_t seed,
                          size_t *size);
