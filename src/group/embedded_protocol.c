// The protocol "consumer" that classic members speak among themselves inside JoinGroup and
// SyncGroup: subscriptions and assignments, each an int16 version and a message. Newer versions
// than ours are read as our newest, since they only add at the end.
#include "gen/rec/client.h"
#include "group/consumer.h"
#include "wire/codec.h"

enum { VERSION_MAX = 3 };

static enum err decode(const struct codec_struct *codec, struct slice bytes, struct arena *arena,
                       int16_t *version, void *out) {
    struct reader in = reader_of(bytes);
    *version = reader_i16(&in);
    if (in.failed || *version < 0) return ERR_CORRUPT;
    return codec_decode(codec, MIN(*version, (int16_t)VERSION_MAX), &in, arena, 0, out);
}

static void add_partitions(const struct image *image, struct slice name, const int32_t *partitions,
                           int32_t count, struct partition_list *list) {
    const struct topic_image *topic = image_topic(image, name);
    for (int32_t i = 0; topic != NULL && i < count; i++)
        partition_list_add(list, topic->id, partitions[i]);
}

bool consumer_subscription_read(const struct image *image, struct slice metadata,
                                struct arena *arena, struct consumer_subscription *out) {
    struct consumer_protocol_subscription s;
    *out = (struct consumer_subscription){.rack_id = SLICE_NULL};
    if (decode(&consumer_protocol_subscription_codec, metadata, arena, &out->version, &s) !=
        ERR_NONE)
        return false;
    struct slice *topics = arena_zalloc(arena, (size_t)s.topics_count, sizeof *topics);
    int32_t total = 0;
    for (int32_t i = 0; i < s.topics_count; i++)
        topics[i] = s.topics[i];
    slice_sort(topics, (size_t)s.topics_count);
    for (int32_t i = 0; i < s.topics_count; i++)
        if (i == 0 || !slice_equal(topics[i], topics[out->topic_count - 1]))
            topics[out->topic_count++] = topics[i];
    out->topics = topics;
    for (int32_t i = 0; i < s.owned_partitions_count; i++)
        total += s.owned_partitions[i].partitions_count;
    out->owned = partition_list_new(arena, total);
    for (int32_t i = 0; i < s.owned_partitions_count; i++)
        add_partitions(image, s.owned_partitions[i].topic, s.owned_partitions[i].partitions,
                       s.owned_partitions[i].partitions_count, &out->owned);
    partition_list_sort(&out->owned);
    out->rack_id = s.rack_id;
    return true;
}

bool consumer_assignment_read(const struct image *image, struct slice bytes, struct arena *arena,
                              struct partition_list *out, bool *has_user_data) {
    struct consumer_protocol_assignment a;
    int16_t version;
    *out = (struct partition_list){NULL, 0};
    *has_user_data = false;
    if (bytes.size == 0) return true;
    if (decode(&consumer_protocol_assignment_codec, bytes, arena, &version, &a) != ERR_NONE)
        return false;
    int32_t total = 0;
    for (int32_t i = 0; i < a.assigned_partitions_count; i++)
        total += a.assigned_partitions[i].partitions_count;
    *out = partition_list_new(arena, total);
    for (int32_t i = 0; i < a.assigned_partitions_count; i++)
        add_partitions(image, a.assigned_partitions[i].topic, a.assigned_partitions[i].partitions,
                       a.assigned_partitions[i].partitions_count, out);
    partition_list_sort(out);
    *has_user_data = a.user_data.size > 0;
    return true;
}

struct slice consumer_assignment_write(const struct image *image, const struct partition_list *list,
                                       int16_t version, struct arena *arena) {
    struct consumer_protocol_assignment a;
    codec_init(&consumer_protocol_assignment_codec, &a);
    a.assigned_partitions = consumer_protocol_assignment_assigned_partition_new(
        arena, partition_list_topic_count(list));
    for (int32_t i = 0, end; i < list->count; i = end) {
        end = partition_list_topic_end(list, i);
        const struct topic_image *topic = image_topic_by_id(image, list->items[i].topic);
        if (topic == NULL) continue;  // deleted meanwhile
        struct consumer_protocol_assignment_assigned_partition *t =
            &a.assigned_partitions[a.assigned_partitions_count++];
        t->topic = topic->name;
        t->partitions = arena_zalloc(arena, (size_t)(end - i), sizeof *t->partitions);
        for (int32_t k = i; k < end; k++)
            t->partitions[t->partitions_count++] = list->items[k].partition;
    }
    version = MIN(version, (int16_t)VERSION_MAX);
    return store_encode(arena, version, &consumer_protocol_assignment_codec, version, &a);
}
