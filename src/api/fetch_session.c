#include "api/fetch_session.h"

#include "base/assert.h"
#include "base/memory.h"

#define EVICTION_NS        UINT64_C(120000000000)  // Kafka's MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS
#define PARTITIONS_MAX     100000                  // of one session
#define PARTITION_KEY_SIZE 4

struct fetch_sessions {
    struct env *env;
    struct map by_id;
    struct list used;
    int32_t slots;
};

struct fetch_sessions *fetch_sessions_new(struct env *env, int32_t slots) {
    struct fetch_sessions *sessions = memory_zalloc(1, sizeof *sessions);
    sessions->env = env;
    sessions->slots = slots;
    map_init(&sessions->by_id, env_random(env));
    list_init(&sessions->used);
    return sessions;
}

int32_t fetch_sessions_count(const struct fetch_sessions *sessions) {
    return (int32_t)sessions->by_id.count;
}

static struct slice id_key(const struct fetch_session *session) {
    return slice_of(&session->id, sizeof session->id);
}

static struct fetch_session *find(const struct fetch_sessions *sessions, int32_t id) {
    struct map_node *node = map_get(&sessions->by_id, slice_of(&id, sizeof id));
    return node == NULL ? NULL : container_of(node, struct fetch_session, by_id);
}

// ---- Partitions ----

static void free_partition(struct fetch_session *session, struct session_partition *partition) {
    map_remove(&session->by_key, &partition->by_key);
    list_remove(&partition->link);
    fetch_waiter_cancel(&partition->waiter);
    memory_free((void *)(uintptr_t)partition->target.name.data);
    memory_free(partition);
}

static struct slice copy_name(struct slice name) {
    if (slice_is_null(name)) return SLICE_NULL;
    uint8_t *data = memory_alloc(name.size + 1);
    memcpy(data, name.data, name.size);
    return slice_of(data, name.size);
}

// The key is the partition and the topic's id or name.
static size_t key_write(uint8_t *key, const struct fetch_session *session, struct slice name,
                        const struct uuid *topic_id, int32_t partition) {
    struct slice topic =
        session->uses_topic_ids ? slice_of(topic_id->bytes, sizeof topic_id->bytes) : name;
    memcpy(key, &partition, PARTITION_KEY_SIZE);
    if (topic.size > 0) memcpy(key + PARTITION_KEY_SIZE, topic.data, topic.size);
    return PARTITION_KEY_SIZE + topic.size;
}

static struct session_partition *partition_find(const struct fetch_session *session,
                                                struct slice name, struct uuid topic_id,
                                                int32_t partition) {
    uint8_t key[PARTITION_KEY_SIZE + UINT8_MAX];
    if (name.size > UINT8_MAX) return NULL;
    size_t size = key_write(key, session, name, &topic_id, partition);
    struct map_node *node = map_get(&session->by_key, slice_of(key, size));
    return node == NULL ? NULL : container_of(node, struct session_partition, by_key);
}

// ---- Idle and active ----

static void activate(struct session_partition *partition) {
    if (list_is_linked(&partition->link)) return;
    fetch_waiter_cancel(&partition->waiter);
    list_append(&partition->session->active, &partition->link);
}

static void partition_woken(struct fetch_waiter *waiter) {
    struct session_partition *partition = container_of(waiter, struct session_partition, waiter);
    struct fetch_session *session = partition->session;
    activate(partition);
    if (session->woken != NULL) session->woken(session->context);
}

void fetch_session_idle(struct session_partition *partition, struct partition *served) {
    list_remove(&partition->link);
    fetch_waiter_cancel(&partition->waiter);
    partition_wait_fetch(served, &partition->waiter);
}

// ---- What is asked, what is told ----

bool fetch_session_put(struct fetch_session *session, const struct fetch_target *target) {
    struct session_partition *partition =
        partition_find(session, target->name, target->topic_id, target->partition);
    if (partition != NULL) {
        struct slice name = partition->target.name;
        partition->target = *target;
        partition->target.name = name;
        activate(partition);
        return true;
    }
    // A name longer than a topic's may be is answered, but not remembered.
    if (session->by_key.count >= PARTITIONS_MAX || target->name.size > UINT8_MAX) return false;
    size_t size = PARTITION_KEY_SIZE + MAX(target->name.size, sizeof target->topic_id);
    partition = memory_zalloc(1, sizeof *partition + size);
    partition->target = *target;
    partition->target.name = copy_name(target->name);
    partition->session = session;
    fetch_waiter_init(&partition->waiter, partition_woken);
    partition->high_watermark = -1;
    partition->log_start_offset = -1;
    size = key_write(partition->key, session, target->name, &target->topic_id, target->partition);
    map_put(&session->by_key, &partition->by_key, slice_of(partition->key, size));
    list_append(&session->active, &partition->link);
    return true;
}

void fetch_session_forget(struct fetch_session *session, struct slice name, struct uuid topic_id,
                          int32_t partition) {
    struct session_partition *found = partition_find(session, name, topic_id, partition);
    if (found != NULL) free_partition(session, found);
}

void fetch_session_resolve(struct session_partition *partition, struct slice name) {
    if (slice_is_null(partition->target.name)) partition->target.name = copy_name(name);
}

bool fetch_session_tell(struct fetch_session *session, struct session_partition *partition,
                        int16_t error_code, bool is_diverging, size_t record_bytes,
                        int64_t high_watermark, int64_t log_start_offset) {
    bool is_news = record_bytes > 0 || error_code != 0 || is_diverging ||
                   high_watermark != partition->high_watermark ||
                   log_start_offset != partition->log_start_offset;
    // After an error the partition is told again as soon as the error is gone.
    partition->high_watermark = error_code != 0 ? -1 : high_watermark;
    partition->log_start_offset = log_start_offset;
    if (record_bytes > 0) {
        list_remove(&partition->link);
        list_append(&session->active, &partition->link);
    }
    return is_news;
}

// ---- Sessions ----

static void free_session(struct fetch_session *session) {
    map_for_each(node, &session->by_key) {
        free_partition(session, container_of(node, struct session_partition, by_key));
    }
    map_deinit(&session->by_key);
    memory_free(session);
}

static void remove_session(struct fetch_sessions *sessions, struct fetch_session *session) {
    map_remove(&sessions->by_id, &session->by_id);
    list_remove(&session->used);
    session->is_removed = true;
    if (session->references == 0) free_session(session);
}

void fetch_sessions_free(struct fetch_sessions *sessions) {
    if (sessions == NULL) return;
    list_for_each_safe(link, &sessions->used) {
        remove_session(sessions, container_of(link, struct fetch_session, used));
    }
    map_deinit(&sessions->by_id);
    memory_free(sessions);
}

void fetch_session_remove(struct fetch_sessions *sessions, int32_t id) {
    struct fetch_session *session = find(sessions, id);
    if (session != NULL) remove_session(sessions, session);
}

void fetch_session_unref(struct fetch_sessions *sessions, struct fetch_session *session) {
    (void)sessions;
    assert(session->references > 0);
    if (--session->references == 0 && session->is_removed) free_session(session);
}

static void touch(struct fetch_sessions *sessions, struct fetch_session *session) {
    session->used_ns = env_now_ns(sessions->env);
    list_remove(&session->used);
    list_append(&sessions->used, &session->used);
}

static int32_t epoch_after(int32_t epoch) {
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

enum err fetch_session_continue(struct fetch_sessions *sessions, int32_t id, int32_t epoch,
                                bool uses_topic_ids, struct fetch_session **session) {
    struct fetch_session *found = find(sessions, id);
    if (found == NULL) return ERR_FETCH_SESSION_ID_NOT_FOUND;
    if (found->epoch != epoch) return ERR_INVALID_FETCH_SESSION_EPOCH;
    if (found->uses_topic_ids != uses_topic_ids) return ERR_FETCH_SESSION_TOPIC_ID_ERROR;
    found->epoch = epoch_after(epoch);
    found->references++;
    touch(sessions, found);
    *session = found;
    return ERR_NONE;
}

// Makes room for a session of this many partitions: the least recently used one goes when it is
// stale, else the smallest of those that have had their time, unless it is larger.
static bool evict(struct fetch_sessions *sessions, int32_t partition_count) {
    uint64_t now = env_now_ns(sessions->env);
    if (list_is_empty(&sessions->used)) return false;
    struct fetch_session *victim = container_of(sessions->used.next, struct fetch_session, used);
    if (now - victim->used_ns <= EVICTION_NS) {
        victim = NULL;
        list_for_each(link, &sessions->used) {
            struct fetch_session *session = container_of(link, struct fetch_session, used);
            if (now - session->created_ns <= EVICTION_NS) continue;
            if (victim == NULL || session->by_key.count < victim->by_key.count) victim = session;
        }
        if (victim == NULL || victim->by_key.count > (size_t)partition_count) return false;
    }
    remove_session(sessions, victim);
    return true;
}

struct fetch_session *fetch_session_open(struct fetch_sessions *sessions, int32_t partition_count,
                                         bool uses_topic_ids) {
    if (fetch_sessions_count(sessions) >= sessions->slots && !evict(sessions, partition_count)) {
        return NULL;
    }
    struct fetch_session *session = memory_zalloc(1, sizeof *session);
    do {
        session->id = (int32_t)(env_random(sessions->env) & INT32_MAX);
    } while (session->id == FETCH_SESSION_NONE || find(sessions, session->id) != NULL);
    session->epoch = 1;
    session->uses_topic_ids = uses_topic_ids;
    session->references = 1;
    session->created_ns = env_now_ns(sessions->env);
    map_init(&session->by_key, env_random(sessions->env));
    list_init(&session->active);
    list_init(&session->used);
    map_put(&sessions->by_id, &session->by_id, id_key(session));
    touch(sessions, session);
    return session;
}
