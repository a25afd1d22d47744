// The decoded state of consumer groups: records are applied here, in any order (a loaded store
// gives them as its keys come). A member is there as long as any of its three records is.
#include "group/consumer.h"

#include "base/memory.h"
#include "metadata/effective_config.h"
#include "wire/codec.h"

#define NS_PER_MS 1000000ULL

static const struct partition_list no_partitions;

// ---- Groups and members ----

struct consumer_group *consumer_get(struct group *group) {
    if (group->consumer != NULL) return group->consumer;
    struct consumer_group *c = memory_zalloc(1, sizeof *c);
    c->group = group;
    map_init(&c->members, group->shard->groups.seed);
    c->regexes = consumer_regexes_new();
    group->consumer = c;
    return c;
}

struct consumer_member *consumer_member_of(const struct consumer_group *c, struct slice id) {
    struct map_node *n = map_get(&c->members, id);
    return n == NULL ? NULL : container_of(n, struct consumer_member, by_id);
}

struct consumer_member *consumer_member_of_instance(const struct consumer_group *c,
                                                    struct slice id) {
    map_for_each(n, &c->members) {
        struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        if (m->has_metadata && slice_equal(m->metadata.instance_id, id)) return m;
    }
    return NULL;
}

static void timer_fired(struct runtime_timer *timer);

static struct consumer_member *member_get(struct consumer_group *c, struct slice id) {
    struct consumer_member *m = consumer_member_of(c, id);
    if (m != NULL) return m;
    m = memory_zalloc(1, sizeof *m + id.size);
    uint8_t *copy = (uint8_t *)(m + 1);
    if (id.size > 0) memcpy(copy, id.data, id.size);
    m->id = slice_of(copy, id.size);
    m->group = c;
    arena_init(&m->metadata_arena);
    runtime_timer_init(&m->timer, timer_fired);
    map_put(&c->members, &m->by_id, m->id);
    return m;
}

static void member_free(struct consumer_member *m) {
    runtime_timer_stop(&m->timer);
    map_remove(&m->group->members, &m->by_id);
    arena_deinit(&m->metadata_arena);
    memory_free(m->progress.assigned.items);
    memory_free(m->progress.revoking.items);
    memory_free(m->target.items);
    memory_free(m);
}

static void member_release(struct consumer_member *m) {
    if (!m->has_metadata && !m->has_progress && !m->has_target) member_free(m);
}

void consumer_group_free(struct consumer_group *c) {
    map_for_each(n, &c->members) member_free(container_of(n, struct consumer_member, by_id));
    map_deinit(&c->members);
    consumer_regexes_free(c->regexes);
    c->group->consumer = NULL;
    memory_free(c);
}

// What has neither records nor members is gone.
static void consumer_release(struct consumer_group *c) {
    struct group *group = c->group;
    if (c->has_record || c->has_target_record || c->members.count > 0) return;
    consumer_group_free(c);
    group_release(group);
}

// A join that was refused, or not written, leaves nothing behind.
void consumer_forget_unused(struct group *group) {
    if (group->consumer != NULL) consumer_release(group->consumer);
}

// ---- Records ----

static enum err apply_epoch(struct group_shard *s, struct slice id,
                            const struct consumer_group_metadata_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, id));
    c->has_record = value != NULL;
    c->epoch = value == NULL ? 0 : value->epoch;
    c->metadata_hash = value == NULL ? 0 : value->metadata_hash;
    consumer_release(c);
    return ERR_NONE;
}

static enum err apply_target_epoch(
    struct group_shard *s, struct slice id,
    const struct consumer_group_target_assignment_metadata_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, id));
    c->has_target_record = value != NULL;
    c->assignment_epoch = value == NULL ? 0 : value->assignment_epoch;
    consumer_release(c);
    return ERR_NONE;
}

static void copy_metadata(struct consumer_member *m,
                          const struct consumer_group_member_metadata_value *value) {
    struct arena *arena = &m->metadata_arena;
    arena_reset(arena);
    int32_t count = value->subscribed_topic_names_count;
    struct slice *topics = arena_zalloc(arena, (size_t)count, sizeof *topics);
    for (int32_t i = 0; i < count; i++)
        topics[i] = arena_copy(arena, value->subscribed_topic_names[i]);
    m->metadata = (struct member_metadata){
        .instance_id = arena_copy(arena, value->instance_id),
        .rack_id = arena_copy(arena, value->rack_id),
        .client_id = arena_copy(arena, value->client_id),
        .client_host = arena_copy(arena, value->client_host),
        .topics = topics,
        .topic_count = count,
        .regex = arena_copy(arena, value->subscribed_topic_regex),
        .server_assignor = arena_copy(arena, value->server_assignor),
        .rebalance_timeout_ms = value->rebalance_timeout_ms,
    };
}

static enum err apply_metadata(struct group_shard *s,
                               const struct consumer_group_member_metadata_key *key,
                               const struct consumer_group_member_metadata_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    m->has_metadata = value != NULL;
    if (value != NULL) copy_metadata(m, value);
    // Also when a lost write brings a member back.
    if (value != NULL && s->is_loaded && m->session_deadline_ns == 0) consumer_restart_timer(m);
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

static struct partition_list keep_current(
    const struct consumer_group_current_member_assignment_value_topic_partitions *topics,
    int32_t count) {
    int32_t total = 0;
    for (int32_t i = 0; i < count; i++)
        total += topics[i].partitions_count;
    struct partition_list list = {memory_alloc((size_t)total * sizeof *list.items), 0};
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < topics[i].partitions_count; k++)
            partition_list_add(&list, topics[i].topic_id, topics[i].partitions[k]);
    partition_list_sort(&list);
    return list;
}

static enum err apply_progress(struct group_shard *s,
                               const struct consumer_group_current_member_assignment_key *key,
                               const struct consumer_group_current_member_assignment_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    memory_free(m->progress.assigned.items);
    memory_free(m->progress.revoking.items);
    m->progress = (struct member_progress){.state = MEMBER_STABLE};
    m->has_progress = value != NULL;
    if (value != NULL) {
        m->progress = (struct member_progress){
            .epoch = value->member_epoch,
            .previous_epoch = value->previous_member_epoch,
            .state = (enum member_state)value->state,
            .assigned = keep_current(value->assigned_partitions, value->assigned_partitions_count),
            .revoking = keep_current(value->partitions_pending_revocation,
                                     value->partitions_pending_revocation_count)};
    }
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

static enum err apply_target(struct group_shard *s,
                             const struct consumer_group_target_assignment_member_key *key,
                             const struct consumer_group_target_assignment_member_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    memory_free(m->target.items);
    m->target = no_partitions;
    m->has_target = value != NULL;
    int32_t total = 0;
    for (int32_t i = 0; value != NULL && i < value->topic_partitions_count; i++)
        total += value->topic_partitions[i].partitions_count;
    m->target.items = memory_alloc((size_t)total * sizeof *m->target.items);
    for (int32_t i = 0; value != NULL && i < value->topic_partitions_count; i++)
        for (int32_t k = 0; k < value->topic_partitions[i].partitions_count; k++)
            partition_list_add(&m->target, value->topic_partitions[i].topic_id,
                               value->topic_partitions[i].partitions[k]);
    partition_list_sort(&m->target);
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

bool consumer_owns_record(int16_t type) {
    return type == GROUP_CONSUMER_GROUP_METADATA || type == GROUP_CONSUMER_GROUP_MEMBER_METADATA ||
           type == GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA ||
           type == GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER ||
           type == GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT;
}

union record_key {
    struct consumer_group_metadata_key epoch;
    struct consumer_group_member_metadata_key metadata;
    struct consumer_group_target_assignment_metadata_key target_epoch;
    struct consumer_group_target_assignment_member_key target;
    struct consumer_group_current_member_assignment_key progress;
};

union record_value {
    struct consumer_group_metadata_value epoch;
    struct consumer_group_member_metadata_value metadata;
    struct consumer_group_target_assignment_metadata_value target_epoch;
    struct consumer_group_target_assignment_member_value target;
    struct consumer_group_current_member_assignment_value progress;
};

// `value` NULL: a tombstone.
enum err consumer_apply(struct group_shard *s, int16_t type, struct reader *key, int16_t version,
                        struct reader *value, struct arena *arena) {
    union record_key k;
    union record_value v;
    enum err err = codec_decode(group_key_codec(type), 0, key, arena, 0, &k);
    if (err == ERR_NONE && value != NULL)
        err = codec_decode(group_value_codec(type), version, value, arena, 0, &v);
    if (err != ERR_NONE) return err;
    bool gone = value == NULL;
    switch (type) {
        case GROUP_CONSUMER_GROUP_METADATA:
            return apply_epoch(s, k.epoch.group_id, gone ? NULL : &v.epoch);
        case GROUP_CONSUMER_GROUP_MEMBER_METADATA:
            return apply_metadata(s, &k.metadata, gone ? NULL : &v.metadata);
        case GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA:
            return apply_target_epoch(s, k.target_epoch.group_id, gone ? NULL : &v.target_epoch);
        case GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER:
            return apply_target(s, &k.target, gone ? NULL : &v.target);
        default:
            return apply_progress(s, &k.progress, gone ? NULL : &v.progress);
    }
}

// ---- Deadlines ----

static void start_timer(struct consumer_member *m) {
    uint64_t deadline = m->session_deadline_ns;
    if (m->revoke_deadline_ns != 0) deadline = MIN(deadline, m->revoke_deadline_ns);
    runtime_timer_start(partition_log_shard(m->group->group->shard->log), &m->timer, deadline);
}

void consumer_restart_timer(struct consumer_member *m) {
    const struct group_shard *s = m->group->group->shard;
    uint64_t now = env_now_ns(group_env(s));
    int64_t session_ms =
        effective_group_long(s->coordinator->image, s->coordinator->config, m->group->group->id,
                             GROUP_CONSUMER_SESSION_TIMEOUT_MS);
    m->session_deadline_ns = now + (uint64_t)session_ms * NS_PER_MS;
    int64_t revoke_ms = MAX(m->metadata.rebalance_timeout_ms, 1);
    if (m->progress.state != MEMBER_UNREVOKED_PARTITIONS)
        m->revoke_deadline_ns = 0;
    else if (m->revoke_deadline_ns == 0)
        m->revoke_deadline_ns = now + (uint64_t)revoke_ms * NS_PER_MS;
    start_timer(m);
}

void consumer_loaded(struct group *group) {
    map_for_each(n, &group->consumer->members)
        consumer_restart_timer(container_of(n, struct consumer_member, by_id));
}

static bool is_due(const struct consumer_member *m, uint64_t now) {
    return (m->session_deadline_ns != 0 && m->session_deadline_ns <= now) ||
           (m->revoke_deadline_ns != 0 && m->revoke_deadline_ns <= now);
}

// Members whose session or time to revoke is over are out.
static void expire(struct group_shard *s, struct group *group, struct runtime_result *result) {
    if (group == NULL || group->consumer == NULL) return;
    uint64_t now = env_now_ns(group_env(s));
    int32_t gone = 0;
    struct slice last = SLICE_EMPTY;
    map_for_each(n, &group->consumer->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        if (!is_due(m, now)) continue;
        log_info(env_logger(group_env(s)), "group",
                 "member %.*s of group %.*s is silent or keeps what it "
                 "should give up: it is out",
                 SLICE_PRINT(m->id), SLICE_PRINT(group->id));
        consumer_add_member_gone(group->id, m->id, result);
        last = m->id;
        gone++;
    }
    if (gone > 0) consumer_add_departures(group->consumer, last, gone, result);
}

static void timer_fired(struct runtime_timer *timer) {
    struct consumer_member *m = container_of(timer, struct consumer_member, timer);
    struct group_shard *s = m->group->group->shard;
    if (is_due(m, env_now_ns(group_env(s))))
        group_run(s, m->group->group->id, expire);
    else
        start_timer(m);
}
