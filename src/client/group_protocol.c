// The bytes that members and leader exchange through the broker, which does not look at them: an
// int16 version and Kafka's ConsumerProtocolSubscription or …Assignment. The eager sticky assignor
// keeps what a member had in the user data (KIP-54: topics with partitions, then the generation),
// because eager members own nothing while they join.
#include "base/bytes.h"
#include "client/group_private.h"
#include "gen/rec/client.h"

enum { SUBSCRIPTION_VERSION = 3, ASSIGNMENT_VERSION = 3, USER_TOPICS_MAX = 100000 };

static struct slice chain_bytes(struct chain *chain, struct arena *arena) {
    uint8_t *bytes = arena_alloc(arena, chain->size);
    struct slice all = slice_of(bytes, chain->size);
    if (!chain_copy_out(chain, bytes)) all = SLICE_EMPTY;
    chain_deinit(chain);
    return all;
}

static struct slice encode(const struct codec_struct *codec, int16_t version, void *message,
                           struct arena *arena) {
    struct chain out;
    chain_init(&out);
    chain_u16(&out, (uint16_t)version);
    struct message error;
    // Our own message at its newest version always encodes.
    if (codec_encode(codec, version, message, &out, &error) != ERR_NONE) {
        chain_deinit(&out);
        return SLICE_EMPTY;
    }
    return chain_bytes(&out, arena);
}

// An unknown newer version is read as the newest that we know, as Kafka's clients do.
static enum err decode(const struct codec_struct *codec, int16_t version_max, struct slice bytes,
                       struct arena *arena, void *message) {
    struct reader in = reader_of(bytes);
    int16_t version = reader_i16(&in);
    if (in.failed || version < 0) return ERR_CORRUPT;
    return codec_decode(codec, MIN(version, version_max), &in, arena, 0, message);
}

// Partitions are kept topic by topic: how many of one topic follow from `from` on.
static int32_t run_of_topic(const struct topic_partition *list, int32_t count, int32_t from) {
    int32_t end = from;
    while (end < count && slice_equal(list[end].topic, list[from].topic))
        end++;
    return end - from;
}

static struct slice sticky_user_data(const struct group_consumer *g, struct arena *arena) {
    struct chain out;
    chain_init(&out);
    int32_t topics = 0;
    for (int32_t i = 0; i < g->previous_count; topics++) {
        i += run_of_topic(g->previous, g->previous_count, i);
    }
    chain_u32(&out, (uint32_t)topics);
    for (int32_t i = 0; i < g->previous_count;) {
        int32_t n = run_of_topic(g->previous, g->previous_count, i);
        chain_u16(&out, (uint16_t)g->previous[i].topic.size);
        chain_append(&out, g->previous[i].topic.data, g->previous[i].topic.size);
        chain_u32(&out, (uint32_t)n);
        for (int32_t p = 0; p < n; p++)
            chain_u32(&out, (uint32_t)g->previous[i + p].partition);
        i += n;
    }
    chain_u32(&out, (uint32_t)group_consumer_generation(g));
    return chain_bytes(&out, arena);
}

static void parse_sticky_user_data(struct slice data, struct arena *arena,
                                   struct assignor_member *member) {
    struct reader in = reader_of(data);
    int32_t topics = reader_i32(&in);
    if (in.failed || topics < 0 || topics > USER_TOPICS_MAX) return;
    // Each partition takes four bytes of the data.
    struct topic_partition *owned =
        arena_zalloc(arena, MAX(data.size / 4, (size_t)1), sizeof *owned);
    int32_t count = 0;
    for (int32_t t = 0; t < topics && !in.failed; t++) {
        int16_t size = reader_i16(&in);
        struct slice topic = reader_bytes(&in, size < 0 ? 0 : (size_t)size);
        int32_t n = reader_i32(&in);
        if (in.failed || n < 0 || (size_t)n > reader_left(&in) / 4) return;
        for (int32_t p = 0; p < n; p++) {
            owned[count++] = (struct topic_partition){topic, reader_i32(&in)};
        }
    }
    member->owned = owned;
    member->owned_count = count;
    member->generation = reader_left(&in) >= 4 ? reader_i32(&in) : -1;
}

struct slice group_subscription(struct group_consumer *g, enum assignor assignor,
                                struct arena *arena) {
    struct consumer_protocol_subscription s;
    codec_init(&consumer_protocol_subscription_codec, &s);
    s.topics = g->topics;
    s.topics_count = g->topic_count;
    if (assignor == ASSIGNOR_STICKY) s.user_data = sticky_user_data(g, arena);
    s.owned_partitions =
        consumer_protocol_subscription_owned_partition_new(arena, MAX(g->owned_count, 1));
    for (int32_t i = 0; i < g->owned_count;) {
        int32_t n = 0;
        while (i + n < g->owned_count &&
               slice_equal(g->owned[i + n].id.topic, g->owned[i].id.topic)) {
            n++;
        }
        struct consumer_protocol_subscription_owned_partition *o =
            &s.owned_partitions[s.owned_partitions_count++];
        o->topic = g->owned[i].id.topic;
        o->partitions = arena_zalloc(arena, (size_t)n, sizeof(int32_t));
        o->partitions_count = n;
        for (int32_t p = 0; p < n; p++)
            o->partitions[p] = g->owned[i + p].id.partition;
        i += n;
    }
    s.generation_id = group_consumer_generation(g);
    return encode(&consumer_protocol_subscription_codec, SUBSCRIPTION_VERSION, &s, arena);
}

enum err group_parse_member(enum assignor assignor, struct slice metadata, struct arena *arena,
                            struct assignor_member *member) {
    struct consumer_protocol_subscription s;
    enum err e =
        decode(&consumer_protocol_subscription_codec, SUBSCRIPTION_VERSION, metadata, arena, &s);
    if (e != ERR_NONE) return e;
    member->topics = s.topics;
    member->topic_count = s.topics_count;
    member->generation = s.generation_id;
    if (assignor == ASSIGNOR_STICKY) {
        parse_sticky_user_data(s.user_data, arena, member);
        return ERR_NONE;
    }
    size_t total = 0;
    for (int32_t i = 0; i < s.owned_partitions_count; i++) {
        total += (size_t)MAX(s.owned_partitions[i].partitions_count, 0);
    }
    struct topic_partition *owned = arena_zalloc(arena, MAX(total, (size_t)1), sizeof *owned);
    for (int32_t i = 0; i < s.owned_partitions_count; i++) {
        for (int32_t p = 0; p < s.owned_partitions[i].partitions_count; p++) {
            owned[member->owned_count++] = (struct topic_partition){
                s.owned_partitions[i].topic, s.owned_partitions[i].partitions[p]};
        }
    }
    member->owned = owned;
    return ERR_NONE;
}

struct slice group_assignment_bytes(const struct assignor_member *member, struct arena *arena) {
    struct consumer_protocol_assignment a;
    codec_init(&consumer_protocol_assignment_codec, &a);
    a.assigned_partitions =
        consumer_protocol_assignment_assigned_partition_new(arena, MAX(member->assigned_count, 1));
    for (int32_t i = 0; i < member->assigned_count;) {
        int32_t n = run_of_topic(member->assigned, member->assigned_count, i);
        struct consumer_protocol_assignment_assigned_partition *t =
            &a.assigned_partitions[a.assigned_partitions_count++];
        t->topic = member->assigned[i].topic;
        t->partitions = arena_zalloc(arena, (size_t)n, sizeof(int32_t));
        t->partitions_count = n;
        for (int32_t p = 0; p < n; p++)
            t->partitions[p] = member->assigned[i + p].partition;
        i += n;
    }
    return encode(&consumer_protocol_assignment_codec, ASSIGNMENT_VERSION, &a, arena);
}

enum err group_parse_assignment(struct slice bytes, struct arena *arena,
                                struct target_partition **partitions, int32_t *count) {
    *partitions = NULL;
    *count = 0;
    if (bytes.size == 0) return ERR_NONE;
    struct consumer_protocol_assignment a;
    enum err e = decode(&consumer_protocol_assignment_codec, ASSIGNMENT_VERSION, bytes, arena, &a);
    if (e != ERR_NONE) return e;
    size_t total = 0;
    for (int32_t t = 0; t < a.assigned_partitions_count; t++) {
        total += (size_t)MAX(a.assigned_partitions[t].partitions_count, 0);
    }
    *partitions = arena_zalloc(arena, MAX(total, (size_t)1), sizeof **partitions);
    for (int32_t t = 0; t < a.assigned_partitions_count; t++) {
        for (int32_t p = 0; p < a.assigned_partitions[t].partitions_count; p++) {
            (*partitions)[(*count)++] = (struct target_partition){
                .id = {a.assigned_partitions[t].topic, a.assigned_partitions[t].partitions[p]}};
        }
    }
    return ERR_NONE;
}
