// Queries are gathered by leader into ListOffsets calls. What could not be answered (a leader that
// moved, a node that is away) is asked again after a backoff and new metadata, until the deadline.
// A request may name a partition once only, so two times of one partition go in two calls.
#include "base/memory.h"
#include "client/offsets.h"

struct offset_lookup {
    struct client *client;
    struct env *env;
    struct offset_query *queries;
    int32_t count;
    bool read_committed;
    uint64_t deadline_ns;
    uint32_t tries;
    struct list calls;  // of lookup_call
    struct client_listener listener;
    struct env_task work;
    struct env_timer timer;
    void (*done)(void *context);
    void *context;
};

// One ListOffsets request.
struct lookup_call {
    struct list link;
    struct offset_lookup *lookup;
    struct client_call call;
    struct list_offsets_request request;
    struct arena arena;
    struct offset_query **queries;
    int32_t count;
};

static void answer(struct offset_query *q, enum err error) {
    q->error = error;
    q->is_answered = true;
    q->is_asked = false;
}

static void work_later(struct offset_lookup *l) {
    uint64_t at = env_now_ns(l->env) + client_backoff_ns(l->client, l->tries++);
    env_timer_start(l->env, &l->timer, MIN(at, l->deadline_ns));
}

// ---- Answers ----

static struct offset_query *query_of(struct lookup_call *c, int32_t guess, struct slice topic,
                                     int32_t partition) {
    for (int32_t i = 0; i < c->count; i++) {
        struct offset_query *q = c->queries[(guess + i) % c->count];
        if (q->id.partition == partition && slice_equal(q->id.topic, topic)) return q;
    }
    return NULL;
}

static void take_partition(struct lookup_call *c, struct offset_query *q,
                           const struct list_offsets_response_partition *p) {
    enum err error = err_of_wire(p->error_code);
    q->error = error;
    q->is_asked = false;
    if (error != ERR_NONE && (err_retriable(error) || error == ERR_FENCED_LEADER_EPOCH)) {
        client_refresh(c->lookup->client);
        work_later(c->lookup);
        return;
    }
    q->offset = p->offset;
    q->timestamp = p->timestamp;
    q->leader_epoch = p->leader_epoch;
    answer(q, error);
}

static void call_free(struct lookup_call *c) {
    list_remove(&c->link);
    client_call_release(&c->call);
    arena_deinit(&c->arena);
    memory_free(c);
}

static void call_done(struct client_call *call, enum err result) {
    struct lookup_call *c = container_of(call, struct lookup_call, call);
    struct offset_lookup *l = c->lookup;
    if (result == ERR_CANCELLED) {
        call_free(c);
        return;
    }
    const struct list_offsets_response *m = call->response;
    for (int32_t i = 0, place = 0; result == ERR_NONE && i < m->topics_count; i++) {
        for (int32_t j = 0; j < m->topics[i].partitions_count; j++, place++) {
            const struct list_offsets_response_partition *p = &m->topics[i].partitions[j];
            struct offset_query *q = query_of(c, place, m->topics[i].name, p->partition_index);
            if (q != NULL && q->is_asked) take_partition(c, q, p);
        }
    }
    for (int32_t i = 0; i < c->count; i++) {
        struct offset_query *q = c->queries[i];
        if (!q->is_asked) continue;
        enum err why = result == ERR_NONE ? ERR_CORRUPT : result;  // it was left out
        if (client_may_retry(why)) {
            q->is_asked = false;
            q->error = why;
            work_later(l);
        } else {
            answer(q, why);
        }
    }
    call_free(c);
    env_defer(l->env, &l->work);
}

// ---- Questions ----

static struct lookup_call *call_for(struct offset_lookup *l, struct list *filling, int32_t node,
                                    const struct offset_query *q) {
    list_for_each(link, filling) {
        struct lookup_call *c = container_of(link, struct lookup_call, link);
        if (c->call.node != node) continue;
        bool has = false;
        for (int32_t i = 0; i < c->count && !has; i++) {
            has =
                c->queries[i]->topic == q->topic && c->queries[i]->id.partition == q->id.partition;
        }
        if (!has) return c;
    }
    struct lookup_call *c = memory_zalloc(1, sizeof *c);
    c->lookup = l;
    arena_init(&c->arena);
    c->queries = arena_zalloc(&c->arena, (size_t)l->count, sizeof(struct offset_query *));
    c->call = (struct client_call){.target = CLIENT_NODE,
                                   .node = node,
                                   .api = API_LIST_OFFSETS,
                                   .version_min = 1,
                                   .version_max = INT16_MAX,
                                   .message = &c->request,
                                   .done = call_done};
    list_init(&c->link);
    list_append(filling, &c->link);
    return c;
}

static void send(struct offset_lookup *l, struct lookup_call *c) {
    enum { MAX_TIMESTAMP_VERSION = 7 };
    struct list_offsets_request *m = &c->request;
    codec_init(&list_offsets_request_codec, m);
    m->replica_id = -1;
    m->isolation_level = l->read_committed;
    m->topics_count = c->count;
    m->topics = list_offsets_request_topic_new(&c->arena, c->count);
    for (int32_t i = 0; i < c->count; i++) {
        const struct offset_query *q = c->queries[i];
        m->topics[i].name = q->topic->name;
        m->topics[i].partitions_count = 1;
        m->topics[i].partitions = list_offsets_request_partition_new(&c->arena, 1);
        m->topics[i].partitions[0].partition_index = q->id.partition;
        m->topics[i].partitions[0].timestamp = q->time;
        m->topics[i].partitions[0].current_leader_epoch =
            q->topic->partitions[q->id.partition].leader_epoch;
        if (q->time == OFFSET_MAX_TIMESTAMP) c->call.version_min = MAX_TIMESTAMP_VERSION;
    }
    // A node that is away is not waited for to the end: the leader may be another by then.
    uint64_t patience = client_get_options(l->client)->request_timeout_ns;
    c->call.deadline_ns = MIN(l->deadline_ns, env_now_ns(l->env) + patience);
    list_append(&l->calls, &c->link);
    client_call_start(l->client, &c->call);
}

static void offer(struct offset_lookup *l, struct offset_query *q, struct list *filling) {
    const struct client_topic *t = q->topic;
    if (t->known && t->error != ERR_NONE && !err_retriable(t->error)) {
        answer(q, t->error);
        return;
    }
    bool is_there = q->id.partition < t->partition_count;
    if (t->known && t->error == ERR_NONE && !is_there && t->partition_count > 0) {
        answer(q, ERR_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    int32_t leader = is_there ? t->partitions[q->id.partition].leader : -1;
    if (leader < 0 || client_peer(l->client, leader) == NULL) {
        if (t->known) client_refresh(l->client);
        if (t->known) q->error = t->error != ERR_NONE ? t->error : ERR_LEADER_NOT_AVAILABLE;
        return;
    }
    struct lookup_call *c = call_for(l, filling, leader, q);
    c->queries[c->count++] = q;
    q->is_asked = true;
}

static void lookup_free(struct offset_lookup *l) {
    while (!list_is_empty(&l->calls)) {
        client_call_cancel(&container_of(l->calls.next, struct lookup_call, link)->call);
    }
    for (int32_t i = 0; i < l->count; i++)
        client_topic_release(l->client, l->queries[i].topic);
    client_unlisten(l->client, &l->listener);
    env_timer_stop(l->env, &l->timer);
    env_defer_cancel(l->env, &l->work);
    memory_free(l);
}

static void run_work(struct env_task *task) {
    struct offset_lookup *l = container_of(task, struct offset_lookup, work);
    bool is_late = env_now_ns(l->env) >= l->deadline_ns;
    struct list filling;
    list_init(&filling);
    int32_t open = 0;
    for (int32_t i = 0; i < l->count; i++) {
        struct offset_query *q = &l->queries[i];
        if (!q->is_answered && is_late) answer(q, q->error == ERR_NONE ? ERR_TIMEOUT : q->error);
        if (!q->is_answered && !q->is_asked) offer(l, q, &filling);
        open += !q->is_answered;
    }
    for (struct list *link; (link = list_pop(&filling)) != NULL;) {
        send(l, container_of(link, struct lookup_call, link));
    }
    if (open > 0) {
        if (!env_timer_is_running(&l->timer)) env_timer_start(l->env, &l->timer, l->deadline_ns);
        return;
    }
    void (*done)(void *) = l->done;
    void *context = l->context;
    lookup_free(l);
    done(context);
}

static void fire(struct env_timer *timer) {
    struct offset_lookup *l = container_of(timer, struct offset_lookup, timer);
    env_defer(l->env, &l->work);
}

static void metadata_changed(struct client_listener *listener) {
    struct offset_lookup *l = container_of(listener, struct offset_lookup, listener);
    env_defer(l->env, &l->work);
}

struct offset_lookup *offset_lookup_start(struct client *client, struct offset_query *queries,
                                          int32_t count, bool read_committed, uint64_t deadline_ns,
                                          void (*done)(void *context), void *context) {
    struct offset_lookup *l = memory_zalloc(1, sizeof *l);
    l->client = client;
    l->env = client_env(client);
    l->queries = queries;
    l->count = count;
    l->read_committed = read_committed;
    l->deadline_ns = deadline_ns;
    if (deadline_ns == 0) {
        l->deadline_ns = env_now_ns(l->env) + client_get_options(client)->call_timeout_ns;
    }
    l->done = done;
    l->context = context;
    list_init(&l->calls);
    list_init(&l->listener.link);
    l->listener.changed = metadata_changed;
    client_listen(client, &l->listener);
    env_task_init(&l->work, run_work);
    env_timer_init(&l->timer, fire);
    for (int32_t i = 0; i < count; i++) {
        struct offset_query *q = &queries[i];
        q->error = ERR_NONE;
        q->offset = q->timestamp = -1;
        q->leader_epoch = -1;
        q->is_asked = q->is_answered = false;
        q->topic = client_topic_want(client, q->id.topic);
        if (q->id.partition < 0) answer(q, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    env_defer(l->env, &l->work);
    return l;
}

void offset_lookup_cancel(struct offset_lookup *l) {
    lookup_free(l);
}
