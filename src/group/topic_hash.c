// XXH3 (64 bits, seed 0) over, little-endian: byte 0 (the version of this layout), both halves of
// the topic id, the name, the number of partitions; then for each partition its number and the
// racks of its replicas, sorted, each as its length and the text. A text is its UTF-16 units and
// their number. The group's hash is XXH3 over the topics' hashes.
#include "group/topic_hash.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/string_buffer.h"

static void put(struct string_buffer *out, uint64_t value, int size) {
    for (int i = 0; i < size; i++)
        string_buffer_append_char(out, (char)(value >> (8 * i)));
}

// Names of topics and racks are ASCII in practice; other text is taken as its code points of up to
// 16 bits.
static void put_text(struct string_buffer *out, struct slice text) {
    uint32_t units = 0;
    for (size_t i = 0; i < text.size; units++) {
        uint8_t c = text.data[i++];
        uint32_t unit = c;
        int more = c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (more > 0) unit = c & (more == 2 ? 0x0fu : 0x1fu);
        for (; more > 0 && i < text.size; more--)
            unit = unit << 6 | (text.data[i++] & 0x3fu);
        put(out, unit, 2);
    }
    put(out, units, 4);
}

static void put_racks(struct string_buffer *out, const struct image *image,
                      const struct partition_image *partition) {
    struct slice *racks = memory_zalloc((size_t)partition->replica_count, sizeof *racks);
    size_t count = 0;
    for (int32_t i = 0; i < partition->replica_count; i++) {
        const struct broker_image *broker = image_broker(image, partition->replicas[i]);
        if (broker != NULL && !slice_is_null(broker->rack)) racks[count++] = broker->rack;
    }
    slice_sort(racks, count);
    for (size_t i = 0; i < count; i++) {
        put(out, racks[i].size, 4);
        put_text(out, racks[i]);
    }
    memory_free(racks);
}

int64_t topic_hash(const struct image *image, const struct topic_image *topic) {
    struct string_buffer out;
    string_buffer_init(&out);
    put(&out, 0, 1);
    put(&out, load_u64(topic->id.bytes), 8);
    put(&out, load_u64(topic->id.bytes + 8), 8);
    put_text(&out, topic->name);
    put(&out, (uint32_t)topic->partition_count, 4);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        put(&out, (uint32_t)i, 4);
        put_racks(&out, image, topic->partitions[i]);
    }
    uint64_t hash = slice_xxh3(string_buffer_slice(&out));
    string_buffer_deinit(&out);
    return (int64_t)hash;
}

int64_t topic_hashes_combine(const int64_t *hashes, int32_t count) {
    if (count == 0) return 0;
    struct string_buffer out;
    string_buffer_init(&out);
    for (int32_t i = 0; i < count; i++)
        put(&out, (uint64_t)hashes[i], 8);
    uint64_t hash = slice_xxh3(string_buffer_slice(&out));
    string_buffer_deinit(&out);
    return (int64_t)hash;
}

int64_t topic_names_hash(const struct image *image, struct slice *names, int32_t count,
                         struct arena *arena) {
    int64_t *hashes = arena_zalloc(arena, (size_t)count, sizeof *hashes);
    int32_t known = 0;
    slice_sort(names, (size_t)count);
    for (int32_t i = 0; i < count; i++) {
        if (i > 0 && slice_equal(names[i - 1], names[i])) continue;
        const struct topic_image *t = image_topic(image, names[i]);
        if (t != NULL) hashes[known++] = topic_hash(image, t);
    }
    return topic_hashes_combine(hashes, known);
}
