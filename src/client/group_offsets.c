// A member's offsets: committed when they were dealt with, asked for when a partition comes.
//
// Commits are made one after the other, so that a commit that is tried again never overtakes a
// later one. A commit speaks for the membership in which it was made. Only with KIP-848 it may be
// said again with a newer epoch (STALE_MEMBER_EPOCH), as long as all its partitions are still this
// member's.
#include "base/memory.h"
#include "client/group_private.h"

#define MS UINT64_C(1000000)

enum { CLOSING_MS = 5000 };

struct group_commit {
    struct list link;
    struct group_consumer *g;
    struct coordinator_call call;
    struct offset_commit_request request;
    struct arena arena;
    bool is_sent;
    uint32_t tries;
    void (*done)(void *context, enum err result);
    void *context;
};

// ---- What was dealt with ----

// All that the reader has handed out but `last`, unless the user marks.
static void note_positions(struct group_consumer *g, bool with_last) {
    if (g->is_marking) return;
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        int64_t position, end;
        if (!o->is_reading) continue;
        if (!consumer_position(g->reader, o->id.topic, o->id.partition, &position, &end)) continue;
        bool is_last = !slice_is_null(g->last.topic) && g->last.partition == o->id.partition &&
                       slice_equal(g->last.topic, o->id.topic);
        if (is_last && !with_last) position = g->last_offset;
        if (position >= 0) o->dealt_with = position;
    }
}

void group_consumer_mark(struct group_consumer *g, struct slice topic, int32_t partition,
                         int64_t offset) {
    g->is_marking = true;
    struct owned_partition *o = group_find_owned(g, topic, partition);
    if (o != NULL) o->dealt_with = offset;
}

// ---- Committing ----

static void send_next_commit(struct group_consumer *g);

static enum err commit_verdict(struct coordinator_call *call) {
    const struct offset_commit_response *r = call->call.response;
    for (int32_t t = 0; t < r->topics_count; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_count; p++) {
            int16_t code = r->topics[t].partitions[p].error_code;
            if (code != 0) return err_of_wire(code);
        }
    }
    return ERR_NONE;
}

static void note_committed(struct group_consumer *g, const struct offset_commit_request *r) {
    for (int32_t t = 0; t < r->topics_count; t++) {
        const struct offset_commit_request_partition *p = &r->topics[t].partitions[0];
        struct owned_partition *o = group_find_owned(g, r->topics[t].name, p->partition_index);
        if (o != NULL) o->committed = p->committed_offset;
    }
}

static bool owns_all(const struct group_consumer *g, const struct offset_commit_request *r) {
    for (int32_t t = 0; t < r->topics_count; t++) {
        int32_t partition = r->topics[t].partitions[0].partition_index;
        if (group_find_owned(g, r->topics[t].name, partition) == NULL) return false;
    }
    return true;
}

static void end_commit(struct group_commit *c, enum err result) {
    struct group_consumer *g = c->g;
    void (*done)(void *, enum err) = c->done;
    void *context = c->context;
    list_remove(&c->link);
    arena_deinit(&c->arena);
    memory_free(c);
    if (done != NULL) done(context, result);
    if (result == ERR_CANCELLED) return;
    send_next_commit(g);
    if (list_is_empty(&g->commits)) group_commits_ended(g);
}

static void commit_done(struct coordinator_call *call, enum err result) {
    struct group_commit *c = container_of(call, struct group_commit, call);
    struct group_consumer *g = c->g;
    c->is_sent = false;
    client_call_release(&call->call);
    bool again = result == ERR_STALE_MEMBER_EPOCH && g->modern != NULL &&
                 env_now_ns(g->env) < call->call.deadline_ns && owns_all(g, &c->request);
    if (again) {
        uint64_t wait = client_backoff_ns(g->client, c->tries++);
        env_timer_start(g->env, &g->retry_timer, env_now_ns(g->env) + wait);
        return;
    }
    if (result == ERR_NONE) note_committed(g, &c->request);
    end_commit(c, result);
}

static void commit_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_commit *commit = container_of(c, struct group_commit, call);
    if (call->version >= 7) commit->request.group_instance_id = commit->g->options.instance_id;
}

// Before version 10 topics go by name, which is what we know.
static void send_next_commit(struct group_consumer *g) {
    if (list_is_empty(&g->commits)) return;
    struct group_commit *c = container_of(g->commits.next, struct group_commit, link);
    if (c->is_sent || env_timer_is_running(&g->retry_timer)) return;
    if (g->modern != NULL) {
        c->request.generation_id_or_member_epoch = group_consumer_generation(g);
    }
    uint64_t deadline = c->call.call.deadline_ns;
    c->is_sent = true;
    c->call = (struct coordinator_call){
        .call = {.api = API_OFFSET_COMMIT,
                 .version_min = 2,
                 .version_max = 9,
                 .message = &c->request,
                 .deadline_ns = deadline,
                 .prepare = commit_prepare},
        .verdict = commit_verdict,
        .done = commit_done,
    };
    coordinator_call_start(g->coordinator, &c->call);
}

static void retry_due(struct env_timer *timer) {
    send_next_commit(container_of(timer, struct group_consumer, retry_timer));
}

static struct group_commit *commit_new(struct group_consumer *g, int32_t count) {
    struct group_commit *c = memory_zalloc(1, sizeof *c);
    c->g = g;
    list_init(&c->link);
    arena_init(&c->arena);
    struct offset_commit_request *r = &c->request;
    codec_init(&offset_commit_request_codec, r);
    r->group_id = g->options.group;
    r->generation_id_or_member_epoch = group_consumer_generation(g);
    r->member_id = arena_copy(&c->arena, group_own_member_id(g));
    r->topics = offset_commit_request_topic_new(&c->arena, MAX(count, 1));
    uint64_t patience = client_get_options(g->client)->call_timeout_ns;
    if (g->is_closing) patience = (uint64_t)CLOSING_MS * MS;
    c->call.call.deadline_ns = env_now_ns(g->env) + patience;
    return c;
}

// Each partition is a row of its own.
static void add_row(struct group_commit *c, const struct group_offset *offset) {
    struct offset_commit_request_topic *t = &c->request.topics[c->request.topics_count++];
    t->name = arena_copy(&c->arena, offset->id.topic);
    t->partitions = offset_commit_request_partition_new(&c->arena, 1);
    t->partitions_count = 1;
    t->partitions[0].partition_index = offset->id.partition;
    t->partitions[0].committed_offset = offset->offset;
    t->partitions[0].committed_leader_epoch = offset->leader_epoch;
    t->partitions[0].committed_metadata =
        offset->metadata.size == 0 ? SLICE_EMPTY : arena_copy(&c->arena, offset->metadata);
}

static bool start_commit(struct group_commit *c, void (*done)(void *, enum err), void *context) {
    struct group_consumer *g = c->g;
    if (c->request.topics_count == 0) {
        arena_deinit(&c->arena);
        memory_free(c);
        return false;
    }
    c->done = done;
    c->context = context;
    list_append(&g->commits, &c->link);
    send_next_commit(g);
    return true;
}

static bool commit_positions(struct group_consumer *g, void (*done)(void *, enum err),
                             void *context) {
    if (group_consumer_generation(g) < 0) return false;
    struct group_commit *c = commit_new(g, g->owned_count);
    for (int32_t i = 0; i < g->owned_count; i++) {
        const struct owned_partition *o = &g->owned[i];
        if (o->dealt_with < 0 || o->dealt_with == o->committed) continue;
        struct group_offset row = {o->id, o->dealt_with, -1, SLICE_EMPTY};
        add_row(c, &row);
    }
    return start_commit(c, done, context);
}

bool group_commit_dealt_with(struct group_consumer *g) {
    note_positions(g, false);
    return commit_positions(g, NULL, NULL);
}

bool group_is_committing(const struct group_consumer *g) {
    return !list_is_empty(&g->commits);
}

enum err group_consumer_commit(struct group_consumer *g,
                               void (*done)(void *context, enum err result), void *context) {
    note_positions(g, true);
    return commit_positions(g, done, context) ? ERR_NONE : ERR_NOT_FOUND;
}

enum err group_consumer_commit_offsets(struct group_consumer *g, const struct group_offset *offsets,
                                       int32_t count, void (*done)(void *context, enum err result),
                                       void *context) {
    struct group_commit *c = commit_new(g, count);
    for (int32_t i = 0; i < count; i++)
        add_row(c, &offsets[i]);
    return start_commit(c, done, context) ? ERR_NONE : ERR_NOT_FOUND;
}

static void commit_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, commit_timer);
    uint64_t interval = (uint64_t)g->options.auto_commit_interval_ms * MS;
    env_timer_start(g->env, timer, env_now_ns(g->env) + interval);
    if (g->step == RECONCILE_NONE && !group_is_committing(g)) (void)group_commit_dealt_with(g);
}

// ---- Asking ----

// OffsetFetch has one shape to version 7 and another from 8 on: both are filled, and both read.
struct fetch_rows {
    struct offset_fetch_request_topic *topics;
    struct offset_fetch_request_group_topic *group_topics;
    int32_t count;
};

static void rows_init(struct fetch_rows *rows, struct arena *arena, int32_t count) {
    rows->topics = offset_fetch_request_topic_new(arena, MAX(count, 1));
    rows->group_topics = offset_fetch_request_group_topic_new(arena, MAX(count, 1));
    rows->count = 0;
}

static void rows_add(struct fetch_rows *rows, struct arena *arena, struct topic_partition id) {
    int32_t *index = arena_alloc(arena, sizeof *index);
    *index = id.partition;
    struct offset_fetch_request_topic *t = &rows->topics[rows->count];
    struct offset_fetch_request_group_topic *g = &rows->group_topics[rows->count++];
    t->name = g->name = arena_copy(arena, id.topic);
    t->partition_indexes = g->partition_indexes = index;
    t->partition_indexes_count = g->partition_indexes_count = 1;
}

static void fill_fetch(struct group_consumer *g, struct offset_fetch_request *r, int16_t version,
                       const struct fetch_rows *rows, struct arena *arena) {
    codec_init(&offset_fetch_request_codec, r);
    if (version >= 8) {
        r->groups = offset_fetch_request_group_new(arena, 1);
        r->groups_count = 1;
        r->groups[0].group_id = g->options.group;
        r->groups[0].topics = rows->group_topics;
        r->groups[0].topics_count = rows->count;
        if (g->modern != NULL && version >= 9 && group_consumer_generation(g) >= 0) {
            r->groups[0].member_id = group_own_member_id(g);
            r->groups[0].member_epoch = group_consumer_generation(g);
        }
    } else {
        r->group_id = g->options.group;
        r->topics = rows->topics;
        r->topics_count = rows->count;
    }
    if (version >= 7) r->require_stable = true;
}

typedef enum err visit_offset(void *context, const struct group_offset *offset, enum err error);

static enum err visit_old_rows(const struct offset_fetch_response *r, visit_offset *visit,
                               void *context) {
    enum err e = err_of_wire(r->error_code);
    for (int32_t t = 0; t < r->topics_count; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_count && e == ERR_NONE; p++) {
            const struct offset_fetch_response_partition *row = &r->topics[t].partitions[p];
            struct group_offset offset = {{r->topics[t].name, row->partition_index},
                                          row->committed_offset,
                                          row->committed_leader_epoch,
                                          row->metadata};
            e = visit(context, &offset, err_of_wire(row->error_code));
        }
    }
    return e;
}

static enum err visit_rows(const struct offset_fetch_response_group *g, visit_offset *visit,
                           void *context) {
    enum err e = err_of_wire(g->error_code);
    for (int32_t t = 0; t < g->topics_count; t++) {
        for (int32_t p = 0; p < g->topics[t].partitions_count && e == ERR_NONE; p++) {
            const struct offset_fetch_response_topic_partition *row = &g->topics[t].partitions[p];
            struct group_offset offset = {{g->topics[t].name, row->partition_index},
                                          row->committed_offset,
                                          row->committed_leader_epoch,
                                          row->metadata};
            e = visit(context, &offset, err_of_wire(row->error_code));
        }
    }
    return e;
}

// Until the first error, which it returns.
static enum err visit_offsets(const struct offset_fetch_response *r, visit_offset *visit,
                              void *context) {
    enum err e = visit_old_rows(r, visit, context);
    for (int32_t i = 0; i < r->groups_count && e == ERR_NONE; i++)
        e = visit_rows(&r->groups[i], visit, context);
    return e;
}

static enum err visit_error(void *context, const struct group_offset *offset, enum err error) {
    (void)context;
    (void)offset;
    return error;
}

// The first error of the answer.
static enum err fetch_verdict(struct coordinator_call *call) {
    return visit_offsets(call->call.response, visit_error, NULL);
}

// ---- Where to begin ----

static void begin_reading(struct group_consumer *g, struct owned_partition *o, int64_t committed) {
    int64_t offset = committed >= 0 ? committed : g->options.reset;
    enum err e = ERR_OFFSET_OUT_OF_RANGE;
    if (committed >= 0 || offset != 0) {
        e = consumer_assign(g->reader, o->id.topic, o->id.partition, offset);
    }
    if (e != ERR_NONE) {
        struct message text;
        message_set(&text, "group %.*s: %.*s-%d has no committed offset and no reset is set",
                    SLICE_PRINT(g->options.group), SLICE_PRINT(o->id.topic), o->id.partition);
        group_fail(g, e, &text);
        return;
    }
    consumer_pause(g->reader, o->id.topic, o->id.partition, o->is_paused || o->is_leaving);
    o->is_reading = true;
    o->committed = committed;
    o->dealt_with = -1;
}

static enum err take_offset(void *context, const struct group_offset *offset, enum err error) {
    struct group_consumer *g = context;
    struct owned_partition *o = group_find_owned(g, offset->id.topic, offset->id.partition);
    if (error == ERR_NONE && o != NULL && !o->is_reading) begin_reading(g, o, offset->offset);
    return error;
}

static void fetch_later(struct group_consumer *g) {
    uint64_t wait = client_backoff_ns(g->client, 1);
    env_timer_start(g->env, &g->fetch_timer, env_now_ns(g->env) + wait);
}

static void fetch_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, fetch);
    g->is_fetching = false;
    bool is_over = result == ERR_CANCELLED || g->is_closing || g->has_failed;
    if (result == ERR_NONE && !is_over) (void)visit_offsets(call->call.response, take_offset, g);
    client_call_release(&call->call);
    if (is_over) return;
    bool passes = client_may_retry(result) || result == ERR_STALE_MEMBER_EPOCH ||
                  result == ERR_UNKNOWN_MEMBER_ID;
    if (result == ERR_NONE) {
        group_fetch_offsets(g);  // partitions that came meanwhile
        group_wake(g);
    } else if (passes) {
        fetch_later(g);
    } else {
        struct message text;
        message_set(&text, "group %.*s: the committed offsets cannot be read: %s",
                    SLICE_PRINT(g->options.group), err_text(result));
        group_fail(g, result, &text);
    }
}

static void fetch_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, fetch);
    arena_reset(&g->fetch_arena);
    struct fetch_rows rows;
    rows_init(&rows, &g->fetch_arena, g->owned_count);
    for (int32_t i = 0; i < g->owned_count; i++) {
        if (!g->owned[i].is_reading) rows_add(&rows, &g->fetch_arena, g->owned[i].id);
    }
    fill_fetch(g, &g->fetch_request, call->version, &rows, &g->fetch_arena);
}

void group_fetch_offsets(struct group_consumer *g) {
    bool any = false;
    for (int32_t i = 0; i < g->owned_count; i++)
        any |= !g->owned[i].is_reading;
    if (!any || g->is_fetching || g->has_failed) return;
    g->is_fetching = true;
    g->fetch = (struct coordinator_call){
        .call = {.api = API_OFFSET_FETCH,
                 .version_min = 1,
                 .version_max = 9,
                 .message = &g->fetch_request,
                 .prepare = fetch_prepare},
        .verdict = fetch_verdict,
        .done = fetch_done,
    };
    coordinator_call_start(g->coordinator, &g->fetch);
}

static void fetch_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, fetch_timer);
    if (!g->is_closing) group_fetch_offsets(g);
}

// ---- What the user asks for ----

struct committed_query {
    struct list link;
    struct group_consumer *g;
    struct coordinator_call call;
    struct offset_fetch_request request;
    struct arena arena;
    struct fetch_rows rows;
    struct group_offset *offsets;
    int32_t count;
    void (*done)(void *context, enum err result, const struct group_offset *offsets, int32_t count);
    void *context;
};

static enum err note_offset(void *context, const struct group_offset *offset, enum err error) {
    struct committed_query *q = context;
    for (int32_t i = 0; i < q->count && error == ERR_NONE; i++) {
        struct group_offset *own = &q->offsets[i];
        if (own->id.partition != offset->id.partition) continue;
        if (!slice_equal(own->id.topic, offset->id.topic)) continue;
        own->offset = offset->offset;
        own->leader_epoch = offset->leader_epoch;
        own->metadata = offset->metadata;
    }
    return error;
}

static void query_done(struct coordinator_call *call, enum err result) {
    struct committed_query *q = container_of(call, struct committed_query, call);
    if (result == ERR_NONE) result = visit_offsets(call->call.response, note_offset, q);
    list_remove(&q->link);
    q->done(q->context, result, q->offsets, q->count);
    client_call_release(&call->call);
    arena_deinit(&q->arena);
    memory_free(q);
}

static void query_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct committed_query *q = container_of(c, struct committed_query, call);
    fill_fetch(q->g, &q->request, call->version, &q->rows, &q->arena);
}

void group_consumer_committed(struct group_consumer *g, const struct topic_partition *partitions,
                              int32_t count,
                              void (*done)(void *context, enum err result,
                                           const struct group_offset *offsets, int32_t count),
                              void *context) {
    struct committed_query *q = memory_zalloc(1, sizeof *q);
    q->g = g;
    q->done = done;
    q->context = context;
    arena_init(&q->arena);
    rows_init(&q->rows, &q->arena, count);
    q->offsets = arena_zalloc(&q->arena, (size_t)MAX(count, 1), sizeof *q->offsets);
    q->count = count;
    for (int32_t i = 0; i < count; i++) {
        rows_add(&q->rows, &q->arena, partitions[i]);
        struct topic_partition id = {q->rows.topics[i].name, partitions[i].partition};
        q->offsets[i] = (struct group_offset){id, -1, -1, SLICE_NULL};
    }
    list_init(&q->link);
    list_append(&g->queries, &q->link);
    q->call = (struct coordinator_call){
        .call = {.api = API_OFFSET_FETCH,
                 .version_min = 1,
                 .version_max = 9,
                 .message = &q->request,
                 .prepare = query_prepare},
        .verdict = fetch_verdict,
        .done = query_done,
    };
    coordinator_call_start(g->coordinator, &q->call);
}

// ---- Life ----

void group_offsets_init(struct group_consumer *g) {
    list_init(&g->commits);
    list_init(&g->queries);
    env_timer_init(&g->commit_timer, commit_due);
    env_timer_init(&g->retry_timer, retry_due);
    env_timer_init(&g->fetch_timer, fetch_due);
    if (!g->options.auto_commit) return;
    uint64_t interval = (uint64_t)g->options.auto_commit_interval_ms * MS;
    env_timer_start(g->env, &g->commit_timer, env_now_ns(g->env) + interval);
}

void group_offsets_free(struct group_consumer *g) {
    env_timer_stop(g->env, &g->commit_timer);
    env_timer_stop(g->env, &g->retry_timer);
    env_timer_stop(g->env, &g->fetch_timer);
    if (g->is_fetching) coordinator_call_cancel(&g->fetch);
    while (!list_is_empty(&g->queries)) {
        coordinator_call_cancel(&container_of(g->queries.next, struct committed_query, link)->call);
    }
    while (!list_is_empty(&g->commits)) {
        struct group_commit *c = container_of(g->commits.next, struct group_commit, link);
        if (c->is_sent) {
            coordinator_call_cancel(&c->call);  // ends it
        } else {
            end_commit(c, ERR_CANCELLED);
        }
    }
    arena_deinit(&g->fetch_arena);
}
