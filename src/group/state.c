#include "group/state.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "gen/rec/group.h"
#include "wire/codec.h"

// ---- Groups ----

struct group *group_find(const struct group_shard *s, struct slice id) {
    struct map_node *n = map_get(&s->groups, id);
    return n == NULL ? NULL : container_of(n, struct group, by_id);
}

struct group *group_get(struct group_shard *s, struct slice id) {
    struct group *g = group_find(s, id);
    if (g != NULL) return g;
    g = memory_zalloc(1, sizeof *g + id.size);
    uint8_t *copy = (uint8_t *)(g + 1);
    if (id.size > 0) memcpy(copy, id.data, id.size);
    g->id = slice_of(copy, id.size);
    g->shard = s;
    map_init(&g->offsets, s->groups.seed);
    map_init(&g->pending, s->groups.seed);
    map_put(&s->groups, &g->by_id, g->id);
    return g;
}

void group_release(struct group *g) {
    if (g->offsets.count > 0 || g->pending.count > 0) return;
    if (g->classic != NULL || g->consumer != NULL) return;
    map_deinit(&g->offsets);
    map_deinit(&g->pending);
    map_remove(&g->shard->groups, &g->by_id);
    memory_free(g);
}

// ---- Votes ----

struct group_vote *group_vote_of(const struct map *votes, struct slice name) {
    struct map_node *n = slice_is_null(name) ? NULL : map_get(votes, name);
    return n == NULL ? NULL : container_of(n, struct group_vote, by_name);
}

int32_t group_vote_count(const struct map *votes, struct slice name) {
    const struct group_vote *v = group_vote_of(votes, name);
    return v == NULL ? 0 : v->count;
}

void group_vote_add(struct map *votes, struct slice name, int32_t change) {
    if (slice_is_null(name)) return;
    struct group_vote *v = group_vote_of(votes, name);
    if (v == NULL) {
        v = memory_zalloc(1, sizeof *v + name.size);
        if (name.size > 0) memcpy(v->name, name.data, name.size);
        map_put(votes, &v->by_name, slice_of(v->name, name.size));
    }
    v->count += change;
    if (v->count > 0) return;
    map_remove(votes, &v->by_name);
    memory_free(v);
}

// ---- Offsets ----

enum { OFFSET_KEY_MAX = 4 + 249 + 16 };

// {int32 partition, topic}; 0 when the name is too long to be a topic's.
static size_t offset_key(struct slice topic, int32_t partition, uint8_t key[OFFSET_KEY_MAX]) {
    if (topic.size > OFFSET_KEY_MAX - 4) return 0;
    store_i32(key, partition);
    memcpy(key + 4, topic.data, topic.size);
    return 4 + topic.size;
}

struct committed_offset *group_offset(const struct group *g, struct slice topic,
                                      int32_t partition) {
    uint8_t key[OFFSET_KEY_MAX];
    size_t size = offset_key(topic, partition, key);
    struct map_node *n = size == 0 ? NULL : map_get(&g->offsets, slice_of(key, size));
    return n == NULL ? NULL : container_of(n, struct committed_offset, by_key);
}

static struct pending_offset *pending_of(const struct group *g, struct slice topic,
                                         int32_t partition) {
    uint8_t key[OFFSET_KEY_MAX];
    size_t size = offset_key(topic, partition, key);
    struct map_node *n = size == 0 ? NULL : map_get(&g->pending, slice_of(key, size));
    return n == NULL ? NULL : container_of(n, struct pending_offset, by_key);
}

bool group_offset_is_pending(const struct group *g, struct slice topic, int32_t partition) {
    return g->pending.count > 0 && pending_of(g, topic, partition) != NULL;
}

static void remove_offset(struct group *g, struct committed_offset *o) {
    map_remove(&g->offsets, &o->by_key);
    memory_free(o);
}

static enum err apply_offset(struct group_shard *s, const struct offset_commit_key *key,
                             const struct offset_commit_value *value) {
    struct group *g = group_get(s, key->group);
    struct committed_offset *old = group_offset(g, key->topic, key->partition);
    if (old != NULL) remove_offset(g, old);
    if (value == NULL) {
        group_release(g);
        return ERR_NONE;
    }
    uint8_t bytes[OFFSET_KEY_MAX];
    size_t size = offset_key(key->topic, key->partition, bytes);
    if (size == 0) return ERR_CORRUPT;
    struct committed_offset *o = memory_zalloc(1, sizeof *o + size + value->metadata.size);
    uint8_t *at = memcpy(o + 1, bytes, size);
    o->topic = slice_of(at + 4, size - 4);
    o->partition = key->partition;
    if (value->metadata.size > 0) memcpy(at + size, value->metadata.data, value->metadata.size);
    o->metadata = slice_of(at + size, value->metadata.size);
    o->offset = value->offset;
    o->leader_epoch = value->leader_epoch;
    o->commit_timestamp = value->commit_timestamp;
    o->expire_timestamp = value->expire_timestamp;
    o->topic_id = value->topic_id;
    map_put(&g->offsets, &o->by_key, slice_of(at, size));
    return ERR_NONE;
}

static enum err apply_pending(struct group *g, const struct offset_commit_key *key, bool more) {
    struct pending_offset *p = pending_of(g, key->topic, key->partition);
    if (p == NULL && more) {
        uint8_t bytes[OFFSET_KEY_MAX];
        size_t size = offset_key(key->topic, key->partition, bytes);
        if (size == 0) return ERR_CORRUPT;
        p = memory_zalloc(1, sizeof *p + size);
        uint8_t *at = memcpy(p + 1, bytes, size);
        p->topic = slice_of(at + 4, size - 4);
        p->partition = key->partition;
        map_put(&g->pending, &p->by_key, slice_of(at, size));
    }
    if (p == NULL) return ERR_NONE;
    p->transaction_count += more ? 1 : -1;
    if (p->transaction_count > 0) return ERR_NONE;
    map_remove(&g->pending, &p->by_key);
    memory_free(p);
    return ERR_NONE;
}

enum err group_apply_pending(void *store, struct slice key, bool more) {
    struct group_shard *s = container_of((struct store *)store, struct group_shard, store);
    struct reader in = reader_of(key);
    int16_t type = reader_i16(&in);
    // Nothing else is written inside a transaction.
    if (in.failed || type != GROUP_OFFSET_COMMIT) return ERR_NONE;
    struct arena arena;
    arena_init(&arena);
    struct offset_commit_key k;
    enum err err = codec_decode(&offset_commit_key_codec, 0, &in, &arena, 0, &k);
    if (err == ERR_NONE) {
        struct group *g = group_get(s, k.group);
        err = apply_pending(g, &k, more);
        group_release(g);
    }
    arena_deinit(&arena);
    return err;
}

// ---- Records ----

static enum err apply_group(struct group_shard *s, struct slice id,
                            const struct group_metadata_value *value) {
    struct group *g = group_get(s, id);
    enum err err = classic_apply(g, value);
    group_release(g);
    return err;
}

// Key: int16 type, fields (never flexible, version 0). Value: int16 version, fields.
enum err group_apply(void *store, struct slice key, struct slice value) {
    struct group_shard *s = container_of((struct store *)store, struct group_shard, store);
    struct reader in = reader_of(key), value_in = reader_of(value);
    int16_t type = reader_i16(&in);
    // Other types are kept in the store as they are (share and streams groups, what newer versions
    // write: KIP-915).
    bool of_consumer = consumer_owns_record(type);
    if (in.failed || (type != GROUP_OFFSET_COMMIT && type != GROUP_METADATA && !of_consumer))
        return ERR_NONE;
    bool is_tombstone = slice_is_null(value);
    int16_t version = is_tombstone ? 0 : reader_i16(&value_in);
    struct arena arena;
    arena_init(&arena);
    enum err err;
    if (of_consumer) {
        err = consumer_apply(s, type, &in, version, is_tombstone ? NULL : &value_in, &arena);
    } else if (type == GROUP_OFFSET_COMMIT) {
        struct offset_commit_key k;
        struct offset_commit_value v;
        err = codec_decode(&offset_commit_key_codec, 0, &in, &arena, 0, &k);
        if (err == ERR_NONE && !is_tombstone) {
            err = codec_decode(&offset_commit_value_codec, version, &value_in, &arena, 0, &v);
        }
        if (err == ERR_NONE) err = apply_offset(s, &k, is_tombstone ? NULL : &v);
    } else {
        struct group_metadata_key k;
        struct group_metadata_value v;
        err = codec_decode(&group_metadata_key_codec, 0, &in, &arena, 0, &k);
        if (err == ERR_NONE && !is_tombstone) {
            err = codec_decode(&group_metadata_value_codec, version, &value_in, &arena, 0, &v);
        }
        if (err == ERR_NONE) err = apply_group(s, k.group, is_tombstone ? NULL : &v);
    }
    arena_deinit(&arena);
    return err;
}

void group_add_record(struct runtime_result *result, int16_t type, const void *key, int16_t version,
                      void *value) {
    struct runtime_record record = {.type = type, .version = version};
    record.key =
        store_encode(result->arena, type, group_key_codec(type), 0, (void *)(uintptr_t)key);
    if (value != NULL)
        record.value =
            store_encode(result->arena, version, group_value_codec(type), version, value);
    runtime_result_add(result, record);
}
