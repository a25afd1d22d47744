// Committed offsets: commit, fetch, delete, expiry.
#include <stdlib.h>

#include "base/assert.h"
#include "base/memory.h"
#include "gen/rec/group.h"
#include "group/state.h"
#include "wire/codec.h"

enum {
    OFFSET_COMMIT_VALUE_VERSION = 4,
    OFFSET_COMMIT_VALUE_WITH_EXPIRY = 1,
    COMMIT_VERSION_GROUP_ERRORS = 9,
    TXN_VERSION_GROUP_ERRORS = 6,
};

// ---- Commit ----

struct commit {
    struct group_shard *shard;
    const struct group_call *call;
    struct group *group;  // NULL: not there
    struct offset_committer who;
    struct runtime_result *result;
};

// A group that is not there may be committed to by a simple consumer: no member, generation below
// 0.
static enum err check_commit(const struct commit *c) {
    struct group *g = c->group;
    if (g == NULL && c->who.epoch < 0) return ERR_NONE;
    if (g == NULL) return ERR_GROUP_ID_NOT_FOUND;
    if (g->consumer != NULL) return consumer_check_commit(g, &c->who);
    return classic_check_commit(g, c->who.member_id, c->who.instance_id, c->who.epoch,
                                c->who.transactional);
}

// KIP-211: old clients name a retention; the offset then expires by itself.
static int64_t expiry_of(const struct offset_commit_request *m, int64_t now_ms) {
    if (m->retention_time_ms < 0) return -1;
    int64_t at;
    return __builtin_add_overflow(now_ms, m->retention_time_ms, &at) ? INT64_MAX : at;
}

// The record for one row; `row` says why there is none. An error is of the whole request.
static enum err add_commit(const struct commit *c, struct slice name, struct uuid topic_id,
                           int32_t partition, struct offset_commit_value *value, int16_t *row) {
    const struct group_coordinator *coordinator = c->shard->coordinator;
    int32_t metadata_max = config_int(coordinator->config, BROKER_OFFSET_METADATA_MAX_BYTES);
    const struct topic_image *topic;
    enum err err = group_find_topic(coordinator->image, name, topic_id, partition, &topic);
    bool is_too_large = value->metadata.size > (size_t)metadata_max;
    if (err == ERR_NONE && is_too_large) err = ERR_OFFSET_METADATA_TOO_LARGE;
    *row = err_wire(err);
    if (err != ERR_NONE) return ERR_NONE;
    if (c->group != NULL && c->group->consumer != NULL)
        err = consumer_check_commit_of(c->group, &c->who, topic->id, partition);
    if (err != ERR_NONE) return err;
    struct offset_commit_key key = {
        .group = c->call->group_id, .topic = topic->name, .partition = partition};
    if (slice_is_null(value->metadata)) value->metadata = SLICE_EMPTY;
    value->topic_id = topic->id;
    bool expires = value->expire_timestamp >= 0;
    group_add_record(c->result, GROUP_OFFSET_COMMIT, &key,
                     expires ? OFFSET_COMMIT_VALUE_WITH_EXPIRY : OFFSET_COMMIT_VALUE_VERSION,
                     value);
    return ERR_NONE;
}

enum err offsets_commit(struct group_shard *s, struct group_call *call,
                        struct runtime_result *result) {
    const struct offset_commit_request *m = call->request;
    struct offset_commit_response *out = call->response;
    struct commit c = {s,
                       call,
                       group_find(s, call->group_id),
                       {m->member_id, m->group_instance_id, m->generation_id_or_member_epoch, false,
                        call->version},
                       result};
    enum err err = check_commit(&c);
    if (err == ERR_GROUP_ID_NOT_FOUND && call->version < COMMIT_VERSION_GROUP_ERRORS)
        return ERR_ILLEGAL_GENERATION;
    if (err != ERR_NONE) return err;
    int64_t now_ms = env_wall_ms(group_env(s));
    bool forgets = env_mutant(group_env(s), MUTANT_GROUP_FORGET_COMMIT) && now_ms % 4 == 0;
    out->topics_count = m->topics_count;
    out->topics = offset_commit_response_topic_new(call->arena, m->topics_count);
    for (int32_t i = 0; i < m->topics_count; i++) {
        const struct offset_commit_request_topic *t = &m->topics[i];
        struct offset_commit_response_topic *answer = &out->topics[i];
        answer->name = t->name;
        answer->topic_id = t->topic_id;
        answer->partitions_count = t->partitions_count;
        answer->partitions = offset_commit_response_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count && err == ERR_NONE; j++) {
            const struct offset_commit_request_partition *p = &t->partitions[j];
            answer->partitions[j].partition_index = p->partition_index;
            if (forgets) continue;
            struct offset_commit_value value;
            codec_init(&offset_commit_value_codec, &value);
            value.offset = p->committed_offset;
            value.leader_epoch = p->committed_leader_epoch;
            value.metadata = p->committed_metadata;
            value.commit_timestamp = now_ms;
            value.expire_timestamp = expiry_of(m, now_ms);
            err = add_commit(&c, t->name, t->topic_id, p->partition_index, &value,
                             &answer->partitions[j].error_code);
        }
    }
    return err;
}

// ---- Commit inside a transaction (KIP-98, KIP-447) ----

// The records belong to the transaction: they count when its commit marker comes.
static void enter_transaction(struct group_call *call, const struct txn_offset_commit_request *m,
                              struct runtime_result *result) {
    call->transaction = (struct runtime_transaction){.producer_id = m->producer_id,
                                                     .producer_epoch = m->producer_epoch,
                                                     .needs_guard = call->needs_guard,
                                                     .guard = call->guard};
    if (env_mutant(group_env(call->shard), MUTANT_TXN_OFFSETS_AT_ONCE)) return;
    for (int32_t i = 0; i < result->count; i++)
        result->records[i].transaction = &call->transaction;
}

// Before, clients know only the classic protocol's errors.
static enum err old_error(const struct group_call *call, enum err err) {
    bool is_new = err == ERR_GROUP_ID_NOT_FOUND || err == ERR_STALE_MEMBER_EPOCH;
    return is_new && call->version < TXN_VERSION_GROUP_ERRORS ? ERR_ILLEGAL_GENERATION : err;
}

enum err offsets_commit_transactional(struct group_shard *s, struct group_call *call,
                                      struct runtime_result *result) {
    const struct txn_offset_commit_request *m = call->request;
    struct txn_offset_commit_response *out = call->response;
    struct commit c = {
        s,
        call,
        group_find(s, call->group_id),
        {m->member_id, m->group_instance_id, m->generation_id_or_member_epoch, true, call->version},
        result};
    enum err err = check_commit(&c);
    if (err != ERR_NONE) return old_error(call, err);
    out->topics_count = m->topics_count;
    out->topics = txn_offset_commit_response_topic_new(call->arena, m->topics_count);
    for (int32_t i = 0; i < m->topics_count; i++) {
        const struct txn_offset_commit_request_topic *t = &m->topics[i];
        struct txn_offset_commit_response_topic *answer = &out->topics[i];
        answer->name = t->name;
        answer->topic_id = t->topic_id;
        answer->partitions_count = t->partitions_count;
        answer->partitions =
            txn_offset_commit_response_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count && err == ERR_NONE; j++) {
            const struct txn_offset_commit_request_partition *p = &t->partitions[j];
            answer->partitions[j].partition_index = p->partition_index;
            struct offset_commit_value value;
            codec_init(&offset_commit_value_codec, &value);
            value.offset = p->committed_offset;
            value.leader_epoch = p->committed_leader_epoch;
            value.metadata = p->committed_metadata;
            value.commit_timestamp = env_wall_ms(group_env(s));
            err = add_commit(&c, t->name, t->topic_id, p->partition_index, &value,
                             &answer->partitions[j].error_code);
        }
    }
    enter_transaction(call, m, result);
    return old_error(call, err);
}

// ---- Fetch ----

static void put_offset(const struct group *g, struct slice topic, struct uuid topic_id,
                       int32_t partition, bool require_stable,
                       struct offset_fetch_response_topic_partition *out) {
    const struct committed_offset *o = g == NULL ? NULL : group_offset(g, topic, partition);
    // Its value is about to change, or not (KIP-447).
    bool is_unstable = require_stable && g != NULL && group_offset_is_pending(g, topic, partition);
    if (is_unstable) {
        o = NULL;
        out->error_code = err_wire(ERR_UNSTABLE_OFFSET_COMMIT);
    }
    // Of an older topic with this name.
    bool is_stale = o != NULL && !uuid_is_zero(topic_id) && !uuid_is_zero(o->topic_id) &&
                    !uuid_equal(topic_id, o->topic_id);
    if (is_stale) o = NULL;
    out->partition_index = partition;
    out->committed_offset = o == NULL ? -1 : o->offset;
    out->committed_leader_epoch = o == NULL ? -1 : o->leader_epoch;
    out->metadata = o == NULL ? SLICE_EMPTY : o->metadata;
}

static int compare_offsets(const void *a, const void *b) {
    const struct committed_offset *x = *(const struct committed_offset *const *)a;
    const struct committed_offset *y = *(const struct committed_offset *const *)b;
    int order = slice_compare(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static int32_t topic_end(const struct committed_offset *const *sorted, int32_t from,
                         int32_t count) {
    int32_t end = from;
    while (end < count && slice_equal(sorted[end]->topic, sorted[from]->topic))
        end++;
    return end;
}

// All offsets of the group, in order of topic and partition.
static void fetch_all(const struct group *g, bool require_stable, struct arena *arena,
                      struct offset_fetch_response_group *out) {
    out->topics_count = 0;
    if (g == NULL || g->offsets.count == 0) return;
    int32_t count = 0;
    const struct committed_offset **sorted =
        memory_alloc(g->offsets.count * sizeof(struct committed_offset *));
    map_for_each(n, &g->offsets) sorted[count++] = container_of(n, struct committed_offset, by_key);
    qsort(sorted, (size_t)count, sizeof(struct committed_offset *), compare_offsets);
    int32_t topics = 0;
    for (int32_t i = 0; i < count; i = topic_end(sorted, i, count))
        topics++;
    out->topics = offset_fetch_response_group_topic_new(arena, topics);
    for (int32_t i = 0, end; i < count; i = end) {
        end = topic_end(sorted, i, count);
        struct offset_fetch_response_group_topic *t = &out->topics[out->topics_count++];
        t->name = arena_copy(arena, sorted[i]->topic);
        t->topic_id = sorted[i]->topic_id;
        t->partitions_count = end - i;
        t->partitions = offset_fetch_response_topic_partition_new(arena, end - i);
        for (int32_t k = i; k < end; k++) {
            const struct committed_offset *o = sorted[k];
            struct offset_fetch_response_topic_partition *p = &t->partitions[k - i];
            put_offset(g, o->topic, o->topic_id, o->partition, require_stable, p);
            p->metadata = arena_copy(arena, p->metadata);
        }
    }
    memory_free((void *)sorted);
}

// Request: struct offset_fetch_request_group; response: struct offset_fetch_response_group. Older
// versions are brought into this form by the handler.
enum err offsets_fetch(struct group_shard *s, struct group_call *call,
                       struct runtime_result *result) {
    (void)result;
    const struct offset_fetch_request_group *m = call->request;
    struct offset_fetch_response_group *out = call->response;
    const struct group *g = group_find(s, call->group_id);
    out->group_id = call->group_id;
    if (g != NULL && g->consumer != NULL) {
        enum err err = consumer_check_fetch(g, m->member_id, m->member_epoch);
        if (err != ERR_NONE) return err;
    }
    if (m->topics_count < 0) {
        fetch_all(g, call->require_stable, call->arena, out);
        return ERR_NONE;
    }
    out->topics_count = m->topics_count;
    out->topics = offset_fetch_response_group_topic_new(call->arena, m->topics_count);
    for (int32_t i = 0; i < m->topics_count; i++) {
        const struct offset_fetch_request_group_topic *t = &m->topics[i];
        struct offset_fetch_response_group_topic *answer = &out->topics[i];
        answer->name = t->name;
        answer->topic_id = t->topic_id;
        answer->partitions_count = t->partition_indexes_count;
        answer->partitions =
            offset_fetch_response_topic_partition_new(call->arena, t->partition_indexes_count);
        for (int32_t j = 0; j < t->partition_indexes_count; j++) {
            put_offset(g, t->name, t->topic_id, t->partition_indexes[j], call->require_stable,
                       &answer->partitions[j]);
            answer->partitions[j].metadata =
                arena_copy(call->arena, answer->partitions[j].metadata);
        }
    }
    return ERR_NONE;
}

// ---- Delete ----

static void delete_offset(const struct group *g, struct slice topic, int32_t partition,
                          struct runtime_result *result) {
    struct offset_commit_key key = {.group = g->id, .topic = topic, .partition = partition};
    group_add_record(result, GROUP_OFFSET_COMMIT, &key, 0, NULL);
}

enum err offsets_delete(struct group_shard *s, struct group_call *call,
                        struct runtime_result *result) {
    const struct offset_delete_request *m = call->request;
    struct offset_delete_response *out = call->response;
    const struct group *g = group_find(s, call->group_id);
    if (g == NULL) return ERR_GROUP_ID_NOT_FOUND;
    bool is_consumer = g->consumer != NULL;
    bool in_use = !classic_is_empty(g) || !consumer_is_empty(g);
    // Only of a consumer group is known what it reads.
    if (in_use && !is_consumer && !slice_equal_cstring(classic_protocol_type(g), "consumer"))
        return ERR_NON_EMPTY_GROUP;
    out->topics_count = m->topics_count;
    out->topics = offset_delete_response_topic_new(call->arena, m->topics_count);
    for (int32_t i = 0; i < m->topics_count; i++) {
        const struct offset_delete_request_topic *t = &m->topics[i];
        bool subscribed = is_consumer ? in_use && consumer_is_subscribed(g, t->name)
                                      : classic_is_subscribed(g, t->name);
        out->topics[i].name = t->name;
        out->topics[i].partitions_count = t->partitions_count;
        out->topics[i].partitions =
            offset_delete_response_partition_new(call->arena, t->partitions_count);
        for (int32_t j = 0; j < t->partitions_count; j++) {
            struct offset_delete_response_partition *p = &out->topics[i].partitions[j];
            p->partition_index = t->partitions[j].partition_index;
            const struct topic_image *topic;
            enum err err = group_find_topic(s->coordinator->image, t->name, UUID_ZERO,
                                            p->partition_index, &topic);
            if (err != ERR_NONE) {
                p->error_code = err_wire(err);
            } else if (subscribed) {
                p->error_code = err_wire(ERR_GROUP_SUBSCRIBED_TO_TOPIC);
            } else if (group_offset(g, t->name, p->partition_index) != NULL ||
                       group_offset_is_pending(g, t->name, p->partition_index)) {
                delete_offset(g, t->name, p->partition_index, result);
            }
        }
    }
    return ERR_NONE;
}

void offsets_delete_all(const struct group *g, struct runtime_result *result) {
    map_for_each(n, &g->offsets) {
        const struct committed_offset *o = container_of(n, struct committed_offset, by_key);
        delete_offset(g, o->topic, o->partition, result);
    }
    map_for_each(n, &g->pending) {
        const struct pending_offset *p = container_of(n, struct pending_offset, by_key);
        if (group_offset(g, p->topic, p->partition) == NULL)
            delete_offset(g, p->topic, p->partition, result);
    }
}

// ---- Topics that were deleted ----

bool offsets_has_any(const struct group *g, const struct map *topics) {
    map_for_each(n, &g->offsets) {
        if (map_get(topics, container_of(n, struct committed_offset, by_key)->topic) != NULL)
            return true;
    }
    map_for_each(n, &g->pending) {
        if (map_get(topics, container_of(n, struct pending_offset, by_key)->topic) != NULL)
            return true;
    }
    return false;
}

void offsets_drop_deleted(const struct group *g, const struct image *image,
                          struct runtime_result *result) {
    map_for_each(n, &g->offsets) {
        const struct committed_offset *o = container_of(n, struct committed_offset, by_key);
        const struct topic_image *topic = image_topic(image, o->topic);
        bool is_there =
            topic != NULL && (uuid_is_zero(o->topic_id) || uuid_equal(o->topic_id, topic->id));
        if (!is_there) delete_offset(g, o->topic, o->partition, result);
    }
    map_for_each(n, &g->pending) {
        const struct pending_offset *p = container_of(n, struct pending_offset, by_key);
        if (image_topic(image, p->topic) == NULL) delete_offset(g, p->topic, p->partition, result);
    }
}

// ---- Expiry (KIP-211) ----

// What the age of an offset is counted from, or -1 while it is in use.
static int64_t unused_since(const struct group *g, const struct committed_offset *o) {
    if (env_mutant(group_env(g->shard), MUTANT_GROUP_EXPIRE_IN_USE)) return o->commit_timestamp;
    if (g->consumer != NULL) {
        bool used = !consumer_is_empty(g) && consumer_is_subscribed(g, o->topic);
        return used ? -1 : o->commit_timestamp;
    }
    if (slice_is_null(classic_protocol_type(g))) return o->commit_timestamp;
    if (classic_is_subscribed(g, o->topic)) return -1;
    if (classic_is_empty(g))
        return classic_state_timestamp(g) < 0 ? o->commit_timestamp : classic_state_timestamp(g);
    // Known from the last generation on; while the next one forms they may change.
    bool known = slice_equal_cstring(classic_protocol_type(g), "consumer");
    return known && classic_is_stable(g) ? o->commit_timestamp : -1;
}

void offsets_expire(struct group *g, int64_t now_ms, struct runtime_result *result) {
    int64_t retention_ms =
        (int64_t)config_int(g->shard->coordinator->config, BROKER_OFFSETS_RETENTION_MINUTES) *
        60000;
    size_t left = g->pending.count;
    map_for_each(n, &g->offsets) {
        const struct committed_offset *o = container_of(n, struct committed_offset, by_key);
        int64_t since = unused_since(g, o);
        bool expired = since >= 0 && (o->expire_timestamp >= 0 ? now_ms >= o->expire_timestamp
                                                               : now_ms - since >= retention_ms);
        if (expired && !group_offset_is_pending(g, o->topic, o->partition)) {
            delete_offset(g, o->topic, o->partition, result);
        } else {
            left++;
        }
    }
    if (left == 0 && g->consumer != NULL && consumer_is_empty(g)) consumer_add_gone(g, result);
    bool gone =
        left == 0 && g->classic != NULL && classic_is_empty(g) && !classic_awaits_members(g);
    if (!gone) return;
    struct group_metadata_key key = {.group = g->id};
    group_add_record(result, GROUP_METADATA, &key, 0, NULL);
}
