// The decoded state of consumer groups: records are applied here, in any order (a loaded store
// gives them as its keys come). A member is there as long as any of its three records is. What the
// group counts of its members is kept in step with each record.
#include "group/consumer.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "metadata/effective_config.h"
#include "wire/codec.h"

#define NS_PER_MS 1000000ULL

// ---- Groups and members ----

struct consumer_group *consumer_get(struct group *group) {
    if (group->consumer != NULL) return group->consumer;
    // A write that turned it into a classic group was lost.
    if (group->classic != NULL) classic_free(group->classic);
    group->classic = NULL;
    struct consumer_group *c = memory_zalloc(1, sizeof *c);
    uint64_t seed = group->shard->groups.seed;
    c->group = group;
    c->epoch = EPOCH_FIRST;
    map_init(&c->members, seed);
    map_init(&c->instances, seed);
    map_init(&c->owners, seed);
    map_init(&c->topics, seed);
    map_init(&c->assignors, seed);
    map_init(&c->protocols, seed);
    map_init(&c->regexes, seed);
    runtime_timer_init(&c->resolve, consumer_regex_fired);
    group->consumer = c;
    return c;
}

struct consumer_member *consumer_member_of(const struct consumer_group *c, struct slice id) {
    struct map_node *n = map_get(&c->members, id);
    return n == NULL ? NULL : container_of(n, struct consumer_member, by_id);
}

struct consumer_member *consumer_member_of_instance(const struct consumer_group *c,
                                                    struct slice id) {
    struct map_node *n = slice_is_null(id) ? NULL : map_get(&c->instances, id);
    return n == NULL ? NULL : container_of(n, struct consumer_member, by_instance);
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

// ---- What is counted of members ----

void consumer_topic_count(struct consumer_group *c, struct slice name, int32_t members,
                          int32_t regexes) {
    struct map_node *n = map_get(&c->topics, name);
    struct consumer_topic *t = n == NULL ? NULL : container_of(n, struct consumer_topic, by_name);
    if (t == NULL) {
        t = memory_zalloc(1, sizeof *t + name.size);
        if (name.size > 0) memcpy(t->name, name.data, name.size);
        map_put(&c->topics, &t->by_name, slice_of(t->name, name.size));
    }
    t->member_count += members;
    t->regex_count += regexes;
    if (t->member_count > 0 || t->regex_count > 0) return;
    map_remove(&c->topics, &t->by_name);
    memory_free(t);
}

static void count_metadata(struct consumer_member *m, int32_t change) {
    struct consumer_group *c = m->group;
    const struct member_metadata *d = &m->metadata;
    for (int32_t i = 0; i < d->topic_count; i++)
        consumer_topic_count(c, d->topics[i], change, 0);
    if (d->regex.size > 0) consumer_regex_count(c, d->regex, change);
    group_vote_add(&c->assignors, d->server_assignor, change);
    if (d->is_classic) {
        c->classic_count += change;
        for (int32_t i = 0; i < d->protocol_count; i++)
            group_vote_add(&c->protocols, d->protocols[i].name, change);
    }
    if (slice_is_null(d->instance_id)) return;
    // While a static member is replaced, two members have its instance for a moment.
    struct consumer_member *holder = consumer_member_of_instance(c, d->instance_id);
    if (holder != NULL && (change > 0 || holder == m)) {
        map_remove(&c->instances, &holder->by_instance);
        holder->is_in_instances = false;
    }
    if (change < 0) return;
    map_put(&c->instances, &m->by_instance, d->instance_id);
    m->is_in_instances = true;
}

#define OWNER_KEY_SIZE (sizeof(struct uuid) + 4)

struct owner {
    struct map_node by_partition;
    int32_t count;  // two only between two records of one operation
    uint8_t key[OWNER_KEY_SIZE];
};

static struct slice owner_key(const struct group_partition *p, uint8_t key[OWNER_KEY_SIZE]) {
    memcpy(key, p->topic.bytes, sizeof p->topic.bytes);
    store_i32(key + sizeof p->topic.bytes, p->partition);
    return slice_of(key, OWNER_KEY_SIZE);
}

bool consumer_is_owned(const struct consumer_group *c, const struct group_partition *p) {
    uint8_t key[OWNER_KEY_SIZE];
    return map_get(&c->owners, owner_key(p, key)) != NULL;
}

static void count_partitions(struct consumer_group *c, const struct partition_list *list,
                             int32_t change) {
    for (int32_t i = 0; i < list->count; i++) {
        uint8_t key[OWNER_KEY_SIZE];
        struct map_node *n = map_get(&c->owners, owner_key(&list->items[i], key));
        struct owner *o = n == NULL ? NULL : container_of(n, struct owner, by_partition);
        if (o == NULL) {
            o = memory_zalloc(1, sizeof *o);
            map_put(&c->owners, &o->by_partition, owner_key(&list->items[i], o->key));
        }
        o->count += change;
        if (o->count != 0) continue;
        map_remove(&c->owners, &o->by_partition);
        memory_free(o);
    }
}

static void clear_progress(struct consumer_member *m) {
    count_partitions(m->group, &m->progress.assigned, -1);
    count_partitions(m->group, &m->progress.revoking, -1);
    memory_free(m->progress.assigned.items);
    memory_free(m->progress.revoking.items);
    m->progress = (struct member_progress){.state = MEMBER_STABLE};
}

// ---- The end of members and groups ----

static void member_free(struct consumer_member *m) {
    runtime_timer_stop(&m->timer);
    if (m->has_metadata) count_metadata(m, -1);
    clear_progress(m);
    map_remove(&m->group->members, &m->by_id);
    arena_deinit(&m->metadata_arena);
    memory_free(m->target.items);
    memory_free(m);
}

static void member_release(struct consumer_member *m) {
    if (!m->has_metadata && !m->has_progress && !m->has_target) member_free(m);
}

void consumer_group_free(struct consumer_group *c) {
    runtime_timer_stop(&c->resolve);
    map_for_each(n, &c->members) member_free(container_of(n, struct consumer_member, by_id));
    consumer_regexes_free(c);
    map_deinit(&c->members);
    map_deinit(&c->instances);
    map_deinit(&c->owners);
    map_deinit(&c->topics);
    map_deinit(&c->assignors);
    map_deinit(&c->protocols);
    map_deinit(&c->regexes);
    c->group->consumer = NULL;
    memory_free(c);
}

// What has neither records nor members is gone.
static void consumer_release(struct consumer_group *c) {
    struct group *group = c->group;
    if (c->has_record || c->has_target_record || c->members.count > 0 || c->regexes.count > 0)
        return;
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
    c->epoch = value == NULL ? EPOCH_FIRST : value->epoch;
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
    c->assignment_timestamp = value == NULL ? 0 : value->assignment_timestamp;
    consumer_release(c);
    return ERR_NONE;
}

static void copy_classic(
    struct member_metadata *m, struct arena *arena,
    const struct consumer_group_member_metadata_value_classic_member_metadata *classic) {
    int32_t count = classic == NULL ? 0 : classic->supported_protocols_count;
    if (count == 0) return;
    struct member_protocol *protocols = arena_zalloc(arena, (size_t)count, sizeof *protocols);
    for (int32_t i = 0; i < count; i++) {
        protocols[i].name = arena_copy(arena, classic->supported_protocols[i].name);
        protocols[i].metadata = arena_copy(arena, classic->supported_protocols[i].metadata);
    }
    m->is_classic = true;
    m->session_timeout_ms = classic->session_timeout_ms;
    m->protocols = protocols;
    m->protocol_count = count;
}

static size_t size_of_metadata(const struct consumer_group_member_metadata_value *v) {
    size_t size = ARENA_ROUND(v->instance_id.size) + ARENA_ROUND(v->rack_id.size) +
                  ARENA_ROUND(v->client_id.size) + ARENA_ROUND(v->client_host.size) +
                  ARENA_ROUND(v->subscribed_topic_regex.size) +
                  ARENA_ROUND(v->server_assignor.size);
    for (int32_t i = 0; i < v->subscribed_topic_names_count; i++)
        size += sizeof(struct slice) + ARENA_ROUND(v->subscribed_topic_names[i].size);
    const struct consumer_group_member_metadata_value_classic_member_metadata *classic =
        v->classic_member_metadata;
    for (int32_t i = 0; classic != NULL && i < classic->supported_protocols_count; i++)
        size += sizeof(struct member_protocol) +
                ARENA_ROUND(classic->supported_protocols[i].name.size) +
                ARENA_ROUND(classic->supported_protocols[i].metadata.size);
    return size;
}

static void copy_metadata(struct consumer_member *m,
                          const struct consumer_group_member_metadata_value *value) {
    struct arena *arena = &m->metadata_arena;
    arena_deinit(arena);
    arena_reserve(arena, size_of_metadata(value));
    int32_t count = value->subscribed_topic_names_count;
    struct slice *topics = arena_zalloc(arena, (size_t)count, sizeof *topics);
    for (int32_t i = 0; i < count; i++)
        topics[i] = arena_copy(arena, value->subscribed_topic_names[i]);
    slice_sort(topics, (size_t)count);
    m->metadata = (struct member_metadata){
        .instance_id = arena_copy(arena, value->instance_id),
        .rack_id = arena_copy(arena, value->rack_id),
        .client_id = arena_copy(arena, value->client_id),
        .client_host = arena_copy(arena, value->client_host),
        .topics = topics,
        .topic_count = count,
        .regex = slice_is_null(value->subscribed_topic_regex)
                     ? SLICE_EMPTY
                     : arena_copy(arena, value->subscribed_topic_regex),
        .server_assignor = arena_copy(arena, value->server_assignor),
        .rebalance_timeout_ms = value->rebalance_timeout_ms,
    };
    copy_classic(&m->metadata, arena, value->classic_member_metadata);
}

static enum err apply_metadata(struct group_shard *s,
                               const struct consumer_group_member_metadata_key *key,
                               const struct consumer_group_member_metadata_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    if (m->has_metadata) count_metadata(m, -1);
    m->has_metadata = value != NULL;
    if (value != NULL) {
        copy_metadata(m, value);
        count_metadata(m, 1);
    }
    // Also when a lost write brings a member back.
    if (value != NULL && s->is_loaded && m->deadlines_ns[DEADLINE_SESSION] == 0)
        consumer_restart_session(m);
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

// Records that name no epochs of partitions are of the time when the member got all of them.
static struct partition_list keep_current(
    const struct consumer_group_current_member_assignment_value_topic_partitions *topics,
    int32_t count, int32_t member_epoch) {
    int32_t total = 0;
    for (int32_t i = 0; i < count; i++)
        total += topics[i].partitions_count;
    struct partition_list list = {memory_alloc((size_t)total * sizeof *list.items), 0};
    for (int32_t i = 0; i < count; i++) {
        bool has_epochs = topics[i].assignment_epochs_count == topics[i].partitions_count;
        for (int32_t k = 0; k < topics[i].partitions_count; k++) {
            partition_list_add(&list, topics[i].topic_id, topics[i].partitions[k]);
            list.items[list.count - 1].epoch =
                has_epochs ? topics[i].assignment_epochs[k] : MAX(member_epoch, 0);
        }
    }
    partition_list_sort(&list);
    return list;
}

// Only members of the consumer protocol are timed in giving up: classic ones by their joins.
static void time_revocation(struct consumer_member *m) {
    if (!m->group->group->shard->is_loaded) return;
    bool gives_up = m->progress.state == MEMBER_UNREVOKED_PARTITIONS &&
                    m->progress.epoch != EPOCH_LEAVE_STATIC && !m->metadata.is_classic;
    if (gives_up)
        consumer_set_deadline(m, DEADLINE_REVOKE, m->metadata.rebalance_timeout_ms);
    else
        consumer_clear_deadline(m, DEADLINE_REVOKE);
}

static enum err apply_progress(struct group_shard *s,
                               const struct consumer_group_current_member_assignment_key *key,
                               const struct consumer_group_current_member_assignment_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    clear_progress(m);
    m->has_progress = value != NULL;
    if (value != NULL) {
        int32_t epoch = value->member_epoch;
        m->progress = (struct member_progress){
            .epoch = epoch,
            .previous_epoch = value->previous_member_epoch,
            .state = (enum member_state)value->state,
            .assigned =
                keep_current(value->assigned_partitions, value->assigned_partitions_count, epoch),
            .revoking = keep_current(value->partitions_pending_revocation,
                                     value->partitions_pending_revocation_count, epoch)};
        count_partitions(c, &m->progress.assigned, 1);
        count_partitions(c, &m->progress.revoking, 1);
    }
    time_revocation(m);
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

static enum err apply_target(struct group_shard *s,
                             const struct consumer_group_target_assignment_member_key *key,
                             const struct consumer_group_target_assignment_member_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    struct consumer_member *m = member_get(c, key->member_id);
    int32_t total = 0;
    for (int32_t i = 0; value != NULL && i < value->topic_partitions_count; i++)
        total += value->topic_partitions[i].partitions_count;
    memory_free(m->target.items);
    m->target = (struct partition_list){NULL, 0};
    m->has_target = value != NULL;
    if (total > 0) m->target.items = memory_alloc((size_t)total * sizeof *m->target.items);
    for (int32_t i = 0; value != NULL && i < value->topic_partitions_count; i++)
        for (int32_t k = 0; k < value->topic_partitions[i].partitions_count; k++)
            partition_list_add(&m->target, value->topic_partitions[i].topic_id,
                               value->topic_partitions[i].partitions[k]);
    partition_list_sort(&m->target);
    member_release(m);
    consumer_release(c);
    return ERR_NONE;
}

static enum err apply_regex(struct group_shard *s,
                            const struct consumer_group_regular_expression_key *key,
                            const struct consumer_group_regular_expression_value *value) {
    struct consumer_group *c = consumer_get(group_get(s, key->group_id));
    consumer_regex_apply(c, key->regular_expression, value);
    consumer_release(c);
    return ERR_NONE;
}

bool consumer_owns_record(int16_t type) {
    return type == GROUP_CONSUMER_GROUP_METADATA || type == GROUP_CONSUMER_GROUP_MEMBER_METADATA ||
           type == GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA ||
           type == GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER ||
           type == GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT ||
           type == GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION;
}

union record_key {
    struct consumer_group_metadata_key epoch;
    struct consumer_group_member_metadata_key metadata;
    struct consumer_group_target_assignment_metadata_key target_epoch;
    struct consumer_group_target_assignment_member_key target;
    struct consumer_group_current_member_assignment_key progress;
    struct consumer_group_regular_expression_key regex;
};

union record_value {
    struct consumer_group_metadata_value epoch;
    struct consumer_group_member_metadata_value metadata;
    struct consumer_group_target_assignment_metadata_value target_epoch;
    struct consumer_group_target_assignment_member_value target;
    struct consumer_group_current_member_assignment_value progress;
    struct consumer_group_regular_expression_value regex;
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
        case GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION:
            return apply_regex(s, &k.regex, gone ? NULL : &v.regex);
        default:
            return apply_progress(s, &k.progress, gone ? NULL : &v.progress);
    }
}

// ---- Deadlines ----

static uint64_t now_of(const struct consumer_member *m) {
    return env_now_ns(group_env(m->group->group->shard));
}

static uint64_t earliest(const struct consumer_member *m) {
    uint64_t deadline = UINT64_MAX;
    for (int i = 0; i < MEMBER_DEADLINE_COUNT; i++)
        if (m->deadlines_ns[i] != 0) deadline = MIN(deadline, m->deadlines_ns[i]);
    return deadline;
}

// The timer is left alone while it comes early enough: most deadlines are put off again and again.
static void start_timer(struct consumer_member *m) {
    uint64_t deadline = earliest(m);
    const struct env_timer *timer = &m->timer.timer;
    if (env_timer_is_running(timer) && timer->node.key <= deadline) return;
    runtime_timer_start(partition_log_shard(m->group->group->shard->log), &m->timer, deadline);
}

void consumer_set_deadline(struct consumer_member *m, enum member_deadline which, int64_t ms) {
    m->deadlines_ns[which] = now_of(m) + (uint64_t)MAX(ms, (int64_t)1) * NS_PER_MS;
    start_timer(m);
}

void consumer_clear_deadline(struct consumer_member *m, enum member_deadline which) {
    m->deadlines_ns[which] = 0;
}

void consumer_restart_session(struct consumer_member *m) {
    const struct group_coordinator *c = m->group->group->shard->coordinator;
    int64_t ms = m->metadata.session_timeout_ms;
    if (!m->metadata.is_classic)
        ms = effective_group_long(c->image, c->config, m->group->group->id,
                                  GROUP_CONSUMER_SESSION_TIMEOUT_MS);
    consumer_set_deadline(m, DEADLINE_SESSION, ms);
}

void consumer_loaded(struct group *group) {
    map_for_each(n, &group->consumer->members) {
        struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        consumer_restart_session(m);
        time_revocation(m);
    }
}

// Members that let a deadline pass are out.
static void expire(struct group_shard *s, struct group *group, struct runtime_result *result) {
    if (group == NULL || group->consumer == NULL) return;
    struct consumer_group *c = group->consumer;
    uint64_t now = env_now_ns(group_env(s));
    struct consumer_member **gone =
        arena_zalloc(result->arena, c->members.count, sizeof(struct consumer_member *));
    int32_t count = 0;
    map_for_each(n, &c->members) {
        struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        if (earliest(m) > now) continue;
        log_info(env_logger(group_env(s)), "group",
                 "member %.*s of group %.*s is silent or keeps what it "
                 "should give up: it is out",
                 SLICE_PRINT(m->id), SLICE_PRINT(group->id));
        gone[count++] = m;
    }
    if (count > 0) consumer_fence(s, c, gone, count, result);
}

static void timer_fired(struct runtime_timer *timer) {
    struct consumer_member *m = container_of(timer, struct consumer_member, timer);
    struct group_shard *s = m->group->group->shard;
    if (earliest(m) > now_of(m)) {
        start_timer(m);
        return;
    }
    // Again, should its end not be written.
    runtime_timer_start(partition_log_shard(s->log), &m->timer, now_of(m) + 1000 * NS_PER_MS);
    group_run(s, m->group->group->id, expire);
}
