// Any bytes as a run of metadata records: each is decoded and applied. Nothing may crash, a refused
// record may change nothing, and an image that came out of it all goes through its own snapshot
// unchanged. Input: 16-bit sizes, each with a framed record.
#include <stdlib.h>

#include "base/bytes.h"
#include "metadata/image_diff.h"

#define RECORDS_MAX   400
#define CHECKS_MAX    8  // of the costly kind per input
#define PARTITION_MAX 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_snapshot(const struct image *image) {
    struct arena arena;
    arena_init(&arena);
    struct image *copy = image_new();
    struct image_cursor cursor = {0};
    struct metadata_record record;
    while (image_next_record(image, &cursor, &arena, &record)) {
        struct slice bytes;
        struct metadata_record decoded;
        if (metadata_record_frame(&record, &arena, &bytes, NULL) != ERR_NONE) abort();
        if (metadata_record_decode(bytes, &arena, &decoded, NULL) != ERR_NONE) abort();
        if (image_apply(&copy, decoded.type, decoded.message, 0, 0, NULL) != ERR_NONE) abort();
    }
    if (image_hash(copy) != image_hash(image)) abort();
    image_unref(copy);
    arena_deinit(&arena);
}

static void ignore_topic(void *context, const struct topic_image *before,
                         const struct topic_image *after) {
    (void)context;
    if (before == after) abort();
}

// Gaps in a topic's partitions cost memory, which is the damage of one record, not of the decoder.
static bool is_far(const struct metadata_record *record) {
    if (record->type != METADATA_PARTITION) return false;
    return ((const struct partition_record *)record->message)->partition_id > PARTITION_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    arena_init(&arena);
    struct image *image = image_new();
    int checks = 0;
    for (int count = 0; size >= 2 && count < RECORDS_MAX; count++) {
        size_t length = MIN((size_t)load_u16(data), size - 2);
        struct slice bytes = slice_of(data + 2, length);
        data += 2 + length;
        size -= 2 + length;
        struct metadata_record record;
        if (metadata_record_decode(bytes, &arena, &record, NULL) != ERR_NONE) continue;
        if (is_far(&record)) continue;
        struct image *before = image_ref(image);
        uint64_t hash = checks < CHECKS_MAX ? image_hash(before) : 0;
        enum err err = image_apply(&image, record.type, record.message, count, 1, NULL);
        if (err != ERR_NONE && image != before) abort();
        if (checks++ < CHECKS_MAX && image_hash(before) != hash) abort();
        image_diff_topics(before, image, ignore_topic, NULL);
        image_unref(before);
        arena_reset(&arena);
    }
    // Inside a transaction the snapshot is that of the image before it.
    check_snapshot(image_stable(image));
    image_unref(image);
    arena_deinit(&arena);
    return 0;
}
