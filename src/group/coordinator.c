// Shards come and go with the leadership of the partitions of __consumer_offsets; calls are sent to
// the shard of their partition.
#include "base/assert.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "group/state.h"
#include "metadata/image_diff.h"

int32_t group_partition_of(struct slice group_id, int32_t partition_count) {
    return utf8_java_partition(group_id, partition_count);
}

enum err group_find_topic(const struct image *image, struct slice name, struct uuid id,
                          int32_t partition, const struct topic_image **topic) {
    bool by_id = !uuid_is_zero(id);
    const struct topic_image *t = by_id ? image_topic_by_id(image, id) : image_topic(image, name);
    if (t == NULL && by_id) return ERR_UNKNOWN_TOPIC_ID;
    if (t == NULL || partition < 0 || partition >= t->partition_count)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    *topic = t;
    return ERR_NONE;
}

// ---- Shards ----

static void loaded(struct store *store);
static void failed(void *store, enum err error, struct slice sentence);
static void housekeep(struct runtime_timer *timer);

static struct group_shard *shard_of(const struct group_coordinator *c, int32_t partition) {
    list_for_each(link, &c->shards) {
        struct group_shard *s = container_of(link, struct group_shard, link);
        if (s->partition == partition && !s->is_stopping) return s;
    }
    return NULL;
}

static void shard_new(struct group_coordinator *c, struct uuid topic_id,
                      struct partition *partition) {
    struct group_shard *s = memory_zalloc(1, sizeof *s);
    s->coordinator = c;
    s->topic_id = topic_id;
    s->partition = partition->index;
    map_init(&s->groups, env_random(c->env));
    runtime_timer_init(&s->housekeeping, housekeep);
    store_init(&s->store, env_random(c->env), group_apply, &s->store);
    s->store.pending = group_apply_pending;
    list_append(&c->shards, &s->link);
    // What was created while another node led it is looked for once.
    c->topics_created_at = image_offset(c->image);
    s->log = partition_log_new(&(struct partition_log_options){.env = c->env,
                                                               .partition = partition,
                                                               .store = &s->store,
                                                               .loaded = loaded,
                                                               .failed = failed});
}

static void group_free(struct group *g) {
    if (g->consumer != NULL) consumer_group_free(g->consumer);
    if (g->classic != NULL) classic_free(g->classic);
    g->classic = NULL;
    map_for_each(n, &g->offsets) {
        struct committed_offset *o = container_of(n, struct committed_offset, by_key);
        map_remove(&g->offsets, n);
        memory_free(o);
    }
    map_deinit(&g->offsets);
    map_for_each(n, &g->pending) {
        struct pending_offset *p = container_of(n, struct pending_offset, by_key);
        map_remove(&g->pending, n);
        memory_free(p);
    }
    map_deinit(&g->pending);
    map_remove(&g->shard->groups, &g->by_id);
    memory_free(g);
}

static void free_groups(struct group_shard *s) {
    map_for_each(n, &s->groups) group_free(container_of(n, struct group, by_id));
}

static void shard_free(struct store *store) {
    struct group_shard *s = container_of(store, struct group_shard, store);
    struct group_coordinator *c = s->coordinator;
    free_groups(s);
    map_deinit(&s->groups);
    store_deinit(&s->store);
    list_remove(&s->link);
    memory_free(s);
    if (c->stopped != NULL && list_is_empty(&c->shards)) {
        void (*stopped)(void *) = c->stopped;
        c->stopped = NULL;
        stopped(c->context);
    }
}

static void shard_stop(struct group_shard *s) {
    if (s->is_stopping) return;
    s->is_stopping = true;
    free_groups(s);  // answers who waits
    partition_log_stop(s->log, ERR_NOT_COORDINATOR, shard_free);
}

static void failed(void *store, enum err error, struct slice sentence) {
    struct group_shard *s = container_of((struct store *)store, struct group_shard, store);
    (void)error;
    log_error(env_logger(group_env(s)), "group", GROUP_TOPIC "-%d: %.*s", s->partition,
              SLICE_PRINT(sentence));
}

static void start_housekeeping(struct group_shard *s) {
    int64_t interval =
        config_long(s->coordinator->config, BROKER_OFFSETS_RETENTION_CHECK_INTERVAL_MS);
    runtime_timer_start(partition_log_shard(s->log), &s->housekeeping,
                        env_now_ns(group_env(s)) + (uint64_t)MAX(interval, (int64_t)1) * 1000000U);
}

static void loaded(struct store *store) {
    struct group_shard *s = container_of(store, struct group_shard, store);
    s->is_loaded = true;
    map_for_each(n, &s->groups) {
        struct group *g = container_of(n, struct group, by_id);
        if (g->classic != NULL) classic_loaded(g);
        if (g->consumer != NULL) consumer_loaded(g);
    }
    // The first time after a whole interval, as in Kafka: a group that just became empty stays
    // listed.
    start_housekeeping(s);
}

// ---- Housekeeping: expiry of offsets, shrinking ----

static void expire(struct group_shard *s, struct group *g, struct runtime_result *result) {
    (void)s;
    if (g != NULL) offsets_expire(g, env_wall_ms(group_env(s)), result);
}

static void housekeep(struct runtime_timer *timer) {
    struct group_shard *s = container_of(timer, struct group_shard, housekeeping);
    map_for_each(n, &s->groups) {
        struct group *g = container_of(n, struct group, by_id);
        group_run(s, g->id, expire);
    }
    partition_log_shrink(s->log);
    start_housekeeping(s);
}

int32_t group_coordinator_fingerprints(const struct group_coordinator *c,
                                       struct store_fingerprint *fingerprints, int32_t capacity) {
    int32_t count = 0;
    list_for_each(link, &c->shards) {
        const struct group_shard *s = container_of(link, struct group_shard, link);
        if (s->is_stopping || count == capacity) continue;
        fingerprints[count++] = store_fingerprint(&s->store, s->partition, s->is_loaded);
    }
    return count;
}

// ---- Publishing ----

static void open_shards(struct group_coordinator *c, const struct topic_image *topic) {
    const struct replica_topic *mine = replica_topic_of(c->replicas, topic->id);
    for (int32_t i = 0; mine != NULL && i < mine->partition_count; i++) {
        struct partition *p = mine->partitions[i];
        if (p == NULL || !partition_is_leader(p) || shard_of(c, i) != NULL) continue;
        shard_new(c, topic->id, p);
    }
}

void group_coordinator_retire(struct group_coordinator *c, const struct image *next) {
    const struct topic_image *topic = image_topic(next, SLICE_LITERAL(GROUP_TOPIC));
    list_for_each_safe(link, &c->shards) {
        struct group_shard *s = container_of(link, struct group_shard, link);
        const struct partition_image *p =
            topic == NULL ? NULL : topic_partition(topic, s->partition);
        bool stays = p != NULL && uuid_equal(topic->id, s->topic_id) && p->leader == c->node_id;
        if (!stays) shard_stop(s);
    }
}

static void drop_deleted(struct group_shard *s, struct group *g, struct runtime_result *result) {
    if (g != NULL) offsets_drop_deleted(g, s->coordinator->image, result);
}

struct topic_changes {
    struct group_coordinator *coordinator;
    struct map deleted;  // names
    struct arena arena;
};

// Consumer groups look at their topics again.
static void topic_changed(void *context, const struct topic_image *before,
                          const struct topic_image *after) {
    struct topic_changes *changes = context;
    struct group_coordinator *c = changes->coordinator;
    c->topics_version++;
    if (before == NULL) c->topics_created_at = image_offset(c->image);
    bool is_new = after == NULL && map_get(&changes->deleted, before->name) == NULL;
    if (!is_new) return;
    struct map_node *node = arena_zalloc(&changes->arena, 1, sizeof *node);
    map_put(&changes->deleted, node, before->name);
}

// Offsets of a deleted topic go with it.
static void drop_offsets(struct group_coordinator *c, const struct map *deleted) {
    list_for_each(link, &c->shards) {
        struct group_shard *s = container_of(link, struct group_shard, link);
        if (!s->is_loaded || s->is_stopping) continue;
        map_for_each(n, &s->groups) {
            const struct group *g = container_of(n, struct group, by_id);
            if (offsets_has_any(g, deleted)) group_run(s, g->id, drop_deleted);
        }
    }
}

static void apply_topics(struct group_coordinator *c, const struct image *before) {
    struct topic_changes changes = {.coordinator = c};
    map_init(&changes.deleted, env_random(c->env));
    arena_init(&changes.arena);
    image_diff_topics(before, c->image, topic_changed, &changes);
    if (changes.deleted.count > 0) drop_offsets(c, &changes.deleted);
    map_deinit(&changes.deleted);
    arena_deinit(&changes.arena);
}

void group_coordinator_publish(struct group_coordinator *c, struct image *image,
                               const struct config *config) {
    const struct image *before = c->image;
    c->image = image;
    c->config = config;
    if (before == NULL) c->topics_created_at = image_offset(image);
    if (before != NULL && before != image && !list_is_empty(&c->shards)) apply_topics(c, before);
    const struct topic_image *topic = image_topic(image, SLICE_LITERAL(GROUP_TOPIC));
    if (topic != NULL && c->stopped == NULL) open_shards(c, topic);
}

// ---- Life ----

struct group_coordinator *group_coordinator_new(struct env *env, struct replica_manager *replicas,
                                                int32_t node_id) {
    struct group_coordinator *c = memory_zalloc(1, sizeof *c);
    c->env = env;
    c->replicas = replicas;
    c->node_id = node_id;
    c->topics_version = 1;
    list_init(&c->shards);
    return c;
}

static void nothing(void *context) {
    (void)context;
}

void group_coordinator_free(struct group_coordinator *c) {
    if (c == NULL) return;
    c->stopped = nothing;
    while (!list_is_empty(&c->shards)) {
        struct group_shard *s = container_of(c->shards.next, struct group_shard, link);
        partition_log_free(s->log);
        shard_free(&s->store);
        if (c->stopped == NULL) break;
    }
    memory_free(c);
}

static void all_stopped(struct env_task *task);

void group_coordinator_stop(struct group_coordinator *c, void (*stopped)(void *context),
                            void *context) {
    c->stopped = stopped;
    c->context = context;
    env_task_init(&c->stop, all_stopped);
    env_defer(c->env, &c->stop);
    list_for_each_safe(link, &c->shards) shard_stop(container_of(link, struct group_shard, link));
}

// Nothing to stop: `stopped` must not come inside the call.
static void all_stopped(struct env_task *task) {
    struct group_coordinator *c = container_of(task, struct group_coordinator, stop);
    if (c->stopped == NULL || !list_is_empty(&c->shards)) return;
    void (*stopped)(void *) = c->stopped;
    c->stopped = NULL;
    stopped(c->context);
}

// ---- Calls ----

struct call_kind {
    enum api_key api;
    group_execute *execute;
    group_written *written;
};

static const struct call_kind call_kinds[] = {
    {API_JOIN_GROUP, classic_join, classic_join_written},
    {API_SYNC_GROUP, classic_sync, classic_sync_written},
    {API_HEARTBEAT, classic_heartbeat, NULL},
    {API_LEAVE_GROUP, classic_leave, NULL},
    {API_CONSUMER_GROUP_HEARTBEAT, consumer_heartbeat, consumer_heartbeat_written},
    {API_CONSUMER_GROUP_DESCRIBE, consumer_describe, NULL},
    {API_OFFSET_COMMIT, offsets_commit, NULL},
    {API_TXN_OFFSET_COMMIT, offsets_commit_transactional, NULL},
    {API_OFFSET_FETCH, offsets_fetch, NULL},
    {API_OFFSET_DELETE, offsets_delete, NULL},
    {API_DESCRIBE_GROUPS, admin_describe, NULL},
    {API_LIST_GROUPS, admin_list, NULL},
    {API_DELETE_GROUPS, admin_delete, NULL},
};

static const struct call_kind *kind_of(enum api_key api) {
    for (size_t i = 0; i < COUNT_OF(call_kinds); i++) {
        if (call_kinds[i].api == api) return &call_kinds[i];
    }
    return NULL;
}

static enum err execute(struct runtime_operation *operation, void *state,
                        struct runtime_result *result) {
    struct group_call *call = container_of(operation, struct group_call, operation);
    struct group_shard *shard = container_of((struct store *)state, struct group_shard, store);
    result->atomic = true;
    return kind_of(call->api)->execute(shard, call, result);
}

static void run_finish(struct env_task *task) {
    struct group_call *call = container_of(task, struct group_call, finish);
    call->done(call, call->result);
}

static void finish_when_ready(struct group_call *call) {
    if (call->is_written && !call->is_waiting)
        env_defer(call->shard->coordinator->env, &call->finish);
}

void group_call_finish(struct group_call *call, enum err result) {
    assert(call->is_waiting);
    call->is_waiting = false;
    if (call->result == ERR_NONE) call->result = result;
    finish_when_ready(call);
}

static void written(struct runtime_operation *operation, enum err result) {
    struct group_call *call = container_of(operation, struct group_call, operation);
    result = partition_log_client_error(result);
    call->is_written = true;
    const struct call_kind *kind = kind_of(call->api);
    bool lost = call->shard->is_stopping;  // who waited was answered already
    if (kind->written != NULL && !lost) kind->written(call->shard, call, result);
    if (call->result == ERR_NONE) call->result = result;
    if (result != ERR_NONE) call->is_waiting = false;
    finish_when_ready(call);
}

void group_call_start(struct group_coordinator *c, struct group_call *call) {
    assert(kind_of(call->api) != NULL);
    call->is_waiting = call->is_written = false;
    call->result = ERR_NONE;
    message_init(&call->error);
    call->shard = shard_of(c, call->partition);
    env_task_init(&call->finish, run_finish);
    if (call->shard == NULL) {
        call->result = ERR_NOT_COORDINATOR;
        env_defer(c->env, &call->finish);
        return;
    }
    call->operation = (struct runtime_operation){.execute = execute, .done = written};
    runtime_submit(partition_log_shard(call->shard->log), &call->operation);
}

// ---- The coordinator's own operations ----

struct own_operation {
    struct runtime_operation operation;
    void (*run)(struct group_shard *shard, struct group *group, struct runtime_result *result);
    // Instead, with a context that lives while it runs.
    void (*run_inside)(struct group_shard *shard, struct group *group, void *context,
                       struct runtime_result *result);
    void *context;
    size_t id_size;
    uint8_t id[];
};

static enum err execute_own(struct runtime_operation *operation, void *state,
                            struct runtime_result *result) {
    struct own_operation *o = container_of(operation, struct own_operation, operation);
    struct group_shard *shard = container_of((struct store *)state, struct group_shard, store);
    result->atomic = true;
    struct group *group = group_find(shard, slice_of(o->id, o->id_size));
    if (o->run_inside != NULL) {
        o->run_inside(shard, group, o->context, result);
    } else {
        o->run(shard, group, result);
    }
    return ERR_NONE;
}

static void own_done(struct runtime_operation *operation, enum err result) {
    (void)result;  // what could not be written is tried again by the next one of its kind
    memory_free(container_of(operation, struct own_operation, operation));
}

static struct own_operation *own_new(struct slice group_id) {
    struct own_operation *o = memory_zalloc(1, sizeof *o + group_id.size);
    o->operation = (struct runtime_operation){.execute = execute_own, .done = own_done};
    o->id_size = group_id.size;
    if (group_id.size > 0) memcpy(o->id, group_id.data, group_id.size);
    return o;
}

void group_run(struct group_shard *s, struct slice group_id,
               void (*run)(struct group_shard *shard, struct group *group,
                           struct runtime_result *result)) {
    struct own_operation *o = own_new(group_id);
    o->run = run;
    runtime_submit(partition_log_shard(s->log), &o->operation);
}

void group_run_inside(struct group_shard *s, struct slice group_id,
                      void (*run)(struct group_shard *shard, struct group *group, void *context,
                                  struct runtime_result *result),
                      void *context) {
    struct own_operation *o = own_new(group_id);
    o->run_inside = run;
    o->context = context;
    runtime_submit(partition_log_shard(s->log), &o->operation);
}

// ---- Markers ----

static enum err execute_marker(struct runtime_operation *operation, void *state,
                               struct runtime_result *result) {
    (void)state;
    struct group_marker *m = container_of(operation, struct group_marker, operation);
    result->atomic = true;
    m->transaction =
        (struct runtime_transaction){.producer_id = m->producer_id,
                                     .producer_epoch = m->producer_epoch,
                                     .marker = m->commit ? RUNTIME_COMMIT : RUNTIME_ABORT,
                                     .coordinator_epoch = m->coordinator_epoch,
                                     .version = m->version};
    runtime_result_add(result, (struct runtime_record){.transaction = &m->transaction});
    return ERR_NONE;
}

static void marker_done(struct runtime_operation *operation, enum err result) {
    struct group_marker *m = container_of(operation, struct group_marker, operation);
    bool gone = result == ERR_COORDINATOR_LOAD_IN_PROGRESS || result == ERR_NOT_COORDINATOR;
    m->done(m, gone ? ERR_NOT_LEADER_OR_FOLLOWER : result);
}

static void marker_refused(struct env_task *task) {
    struct group_marker *m = container_of(task, struct group_marker, refused);
    m->done(m, ERR_NOT_LEADER_OR_FOLLOWER);
}

void group_marker_start(struct group_coordinator *c, struct group_marker *m) {
    struct group_shard *s = shard_of(c, m->partition);
    if (s == NULL) {
        env_task_init(&m->refused, marker_refused);
        env_defer(c->env, &m->refused);
        return;
    }
    m->operation = (struct runtime_operation){.execute = execute_marker, .done = marker_done};
    runtime_submit(partition_log_shard(s->log), &m->operation);
}
