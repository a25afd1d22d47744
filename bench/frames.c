#include "bench/frames.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/prng.h"
#include "wire/batch.h"

void frame_init(struct frame *f, size_t capacity) {
    *f = (struct frame){memory_alloc(capacity), 0, capacity};
}

void frame_deinit(struct frame *f) {
    memory_free(f->data);
}

static uint8_t *frame_room(struct frame *f, size_t size) {
    assert(f->size + size <= f->capacity);
    uint8_t *room = f->data + f->size;
    f->size += size;
    return room;
}

void frame_u8(struct frame *f, uint8_t v) {
    *frame_room(f, 1) = v;
}
void frame_u16(struct frame *f, uint16_t v) {
    store_u16(frame_room(f, 2), v);
}
void frame_u32(struct frame *f, uint32_t v) {
    store_u32(frame_room(f, 4), v);
}
void frame_u64(struct frame *f, uint64_t v) {
    store_u64(frame_room(f, 8), v);
}

void frame_bytes(struct frame *f, const void *data, size_t size) {
    memcpy(frame_room(f, size), data, size);
}

void frame_string(struct frame *f, const char *text) {
    frame_u16(f, (uint16_t)strlen(text));
    frame_bytes(f, text, strlen(text));
}

void frame_begin(struct frame *f, int16_t api_key, int16_t version) {
    f->size = 0;
    frame_u32(f, 0);
    frame_u16(f, (uint16_t)api_key);
    frame_u16(f, (uint16_t)version);
    frame_u32(f, 0);
    frame_string(f, "bench");
}

void frame_end(struct frame *f) {
    store_u32(f->data, (uint32_t)(f->size - 4));
}

void frame_produce(struct frame *f, const char *topic, int32_t partition, int16_t acks,
                   struct slice batch) {
    frame_begin(f, FRAME_PRODUCE, FRAME_PRODUCE_VERSION);
    frame_u16(f, UINT16_MAX);  // no transactional id
    frame_u16(f, (uint16_t)acks);
    frame_u32(f, 30000);
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, 1);
    frame_u32(f, (uint32_t)partition);
    frame_u32(f, (uint32_t)batch.size);
    frame_bytes(f, batch.data, batch.size);
    frame_end(f);
}

size_t frame_fetch(struct frame *f, const char *topic, int32_t partition, int64_t offset,
                   int32_t wait_ms, int32_t min_bytes, int32_t max_bytes) {
    frame_begin(f, FRAME_FETCH, FRAME_FETCH_VERSION);
    frame_u32(f, UINT32_MAX);  // a consumer
    frame_u32(f, (uint32_t)wait_ms);
    frame_u32(f, (uint32_t)min_bytes);
    frame_u32(f, (uint32_t)max_bytes);
    frame_u8(f, 0);  // read_uncommitted
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, 1);
    frame_u32(f, (uint32_t)partition);
    size_t place = f->size;
    frame_u64(f, (uint64_t)offset);
    frame_u32(f, (uint32_t)max_bytes);
    frame_end(f);
    return place;
}

void frame_offset_commit(struct frame *f, const char *group, const char *topic, int32_t first,
                         int32_t count) {
    frame_begin(f, FRAME_OFFSET_COMMIT, 5);
    frame_string(f, group);
    frame_u32(f, UINT32_MAX);  // no generation
    frame_string(f, "");
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, (uint32_t)count);
    for (int32_t i = 0; i < count; i++) {
        frame_u32(f, (uint32_t)(first + i));
        frame_u64(f, 42);
        frame_string(f, "");
    }
    frame_end(f);
}

size_t frame_offset_commit_error(const char *topic) {
    return 4 + 4 + 4 + 2 + strlen(topic) + 4 + 4;
}

void frame_create_topic(struct frame *f, const char *topic, int32_t partitions) {
    frame_begin(f, FRAME_CREATE_TOPICS, 2);
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_u32(f, (uint32_t)partitions);
    frame_u16(f, 1);  // replication factor
    frame_u32(f, 0);  // no assignments
    frame_u32(f, 0);  // no configs
    frame_u32(f, 30000);
    frame_u8(f, 0);
    frame_end(f);
}

void frame_metadata(struct frame *f, const char *topic) {
    frame_begin(f, FRAME_METADATA, 1);
    frame_u32(f, 1);
    frame_string(f, topic);
    frame_end(f);
}

uint8_t *frame_make_batch(int32_t records, size_t value_size, int compression, uint64_t seed,
                          size_t *size) {
    struct prng random;
    prng_init(&random, seed);
    uint8_t *value = memory_alloc(value_size);
    struct batch_builder builder;
    batch_builder_init(&builder);
    for (int32_t i = 0; i < records; i++) {
        for (size_t at = 0; at < value_size; at++)
            value[at] = (uint8_t)prng_next(&random);
        struct record record = {.timestamp = 1700000000000, .value = slice_of(value, value_size)};
        batch_builder_append(&builder, &record);
    }
    struct slice bytes;
    enum err result = batch_builder_finish(&builder, (enum compression)compression, 0, &bytes);
    assert(result == ERR_NONE);
    uint8_t *copy = memory_alloc(bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    *size = bytes.size;
    batch_builder_deinit(&builder);
    memory_free(value);
    return copy;
}
