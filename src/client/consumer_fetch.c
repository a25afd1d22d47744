// One fetch is under way per node at most; it asks for all partitions led by that node that are
// read, each from behind what was fetched of it already. The next one is sent when no more than one
// reply of that node is unread: so one reply is on its way while another is handed out, memory is
// bounded by two, and no partition is left out of a request that may wait at the broker (a
// connection's replies come in order, so a partition that is left out would wait with it).
//
// A reply's frame is kept until its last record was handed out, so records are never copied, only
// decompressed.
#include "base/memory.h"
#include "client/consumer_private.h"

// A Fetch or ListOffsets request; a Fetch lives on while its partitions hold slices of its reply.
struct fetch_call {
    struct list link;
    struct consumer *consumer;
    struct peer_request request;
    union {
        struct fetch_request fetch;
        struct list_offsets_request list;
    } message;
    bool is_lookup;
    bool under_way;
    int32_t node;
    struct arena arena;
    int32_t count;
    struct fetch_entry {
        struct consumed_partition *partition;  // NULL: unassigned meanwhile
        struct client_topic *topic;            // one reference
        int32_t index;
        uint32_t generation;
        int64_t asked;
    } * entries;
    int32_t references;
    uint64_t number;  // counts all calls
};

static void call_unref(struct fetch_call *c) {
    if (--c->references > 0) return;
    peer_request_release(&c->request);
    arena_deinit(&c->arena);
    memory_free(c);
}

void consumer_drop_chunk(struct consumed_partition *p) {
    struct chunk *chunk = container_of(p->chunks.next, struct chunk, link);
    p->in_batch = false;
    p->position = MAX(p->position, chunk->end);
    list_remove(&chunk->link);
    call_unref(chunk->reply);
}

void consumer_drop_chunks(struct consumed_partition *p) {
    int64_t position = p->position;
    while (!list_is_empty(&p->chunks))
        consumer_drop_chunk(p);
    p->position = position;
    list_remove(&p->ready);
}

static void try_later(struct consumer *c, struct consumed_partition *p) {
    p->retry_ns = env_now_ns(c->env) + client_backoff_ns(c->client, p->tries++);
}

// ---- Replies ----

// What every error of a partition means: later again, after new metadata, from another offset, or
// the end.
static void partition_failed(struct consumer *c, struct consumed_partition *p, enum err err,
                             const char *what) {
    switch (err) {
        case ERR_OFFSET_OUT_OF_RANGE:
            if (c->options.reset == 0) break;
            p->position = p->fetch_next = c->options.reset;
            return;
        case ERR_NOT_LEADER_OR_FOLLOWER:
        case ERR_FENCED_LEADER_EPOCH:
        case ERR_UNKNOWN_LEADER_EPOCH:
        case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        case ERR_UNKNOWN_TOPIC_ID:
        case ERR_INCONSISTENT_TOPIC_ID:
        case ERR_LEADER_NOT_AVAILABLE:
        case ERR_OFFSET_NOT_AVAILABLE:
        case ERR_KAFKA_STORAGE_ERROR:
            client_refresh(c->client);
            try_later(c, p);
            return;
        default:
            if (!err_retriable(err)) break;
            try_later(c, p);
            return;
    }
    consumer_stop(c, p, err, what);
}

static struct fetch_entry *entry_of(struct fetch_call *call, int32_t partition, struct slice name,
                                    struct uuid id, bool by_id) {
    for (int32_t i = 0; i < call->count; i++) {
        struct fetch_entry *e = &call->entries[i];
        if (e->partition == NULL || e->index != partition) continue;
        if (by_id ? uuid_equal(e->topic->id, id) : slice_equal(e->topic->name, name)) return e;
    }
    return NULL;
}

// The position behind the last whole batch: a cut-off one at the end is fetched again. What makes
// no sense is found when it is read.
static int64_t end_of_batches(struct slice bytes, int64_t begin) {
    int64_t end = begin;
    struct batch b;
    while (batch_decode(bytes, &b) == ERR_NONE && b.size <= bytes.size) {
        end = MAX(end, b.last_offset + 1);
        bytes = slice_sub(bytes, b.size, bytes.size - b.size);
    }
    return end;
}

static void take_data(struct consumer *c, struct fetch_call *call, struct fetch_entry *e,
                      struct fetch_response_partition *data) {
    struct consumed_partition *p = e->partition;
    if (p == NULL || p->generation != e->generation || p->fetch_next != e->asked) return;
    enum err err = err_of_wire(data->error_code);
    if (err != ERR_NONE && !list_is_empty(&p->chunks)) {
        // What was fetched is handed out first; then the error comes again, or has passed.
        client_refresh(c->client);
        try_later(c, p);
        return;
    }
    if (err != ERR_NONE) {
        client_leader_hint(c->client, p->topic, p->partition, data->current_leader.leader_id,
                           data->current_leader.leader_epoch);
        partition_failed(c, p, err, "fetch");
        return;
    }
    p->tries = 0;
    p->end = c->options.read_committed && data->last_stable_offset >= 0 ? data->last_stable_offset
                                                                        : data->high_watermark;
    if (data->records.bytes.size == 0) return;
    struct chunk *chunk = arena_zalloc(&call->arena, 1, sizeof *chunk);
    chunk->reply = call;
    chunk->bytes = data->records.bytes;
    chunk->end = p->fetch_next = end_of_batches(chunk->bytes, p->fetch_next);
    chunk->aborted = data->aborted_transactions;
    chunk->aborted_count = MAX(data->aborted_transactions_count, 0);
    chunk->aborted_now = arena_zalloc(&call->arena, (size_t)chunk->aborted_count, sizeof(int64_t));
    call->references++;
    list_init(&chunk->link);
    list_append(&p->chunks, &chunk->link);
    consumer_announce(c, p);
}

static void fetch_answered(struct consumer *c, struct fetch_call *call) {
    struct fetch_response *m = call->request.response;
    enum err err = err_of_wire(m->error_code);
    bool by_id = call->request.version >= 13;
    for (int32_t i = 0; i < m->responses_count && err == ERR_NONE; i++) {
        struct fetch_response_response *t = &m->responses[i];
        for (int32_t j = 0; j < t->partitions_count; j++) {
            struct fetch_response_partition *data = &t->partitions[j];
            struct fetch_entry *e =
                entry_of(call, data->partition_index, t->topic, t->topic_id, by_id);
            if (e != NULL) take_data(c, call, e, data);
        }
    }
    for (int32_t i = 0; i < call->count && err != ERR_NONE; i++) {
        struct consumed_partition *p = call->entries[i].partition;
        if (p != NULL) partition_failed(c, p, err, "fetch");
    }
}

static void lookup_answered(struct consumer *c, struct fetch_call *call) {
    struct list_offsets_response *m = call->request.response;
    for (int32_t i = 0; i < m->topics_count; i++) {
        for (int32_t j = 0; j < m->topics[i].partitions_count; j++) {
            const struct list_offsets_response_partition *data = &m->topics[i].partitions[j];
            struct fetch_entry *e =
                entry_of(call, data->partition_index, m->topics[i].name, UUID_ZERO, false);
            if (e == NULL) continue;
            struct consumed_partition *p = e->partition;
            if (p->generation != e->generation || p->position != e->asked) continue;
            enum err err = err_of_wire(data->error_code);
            if (err != ERR_NONE) {
                partition_failed(c, p, err, "looking up the offset");
                continue;
            }
            p->tries = 0;
            // No record is that young: from the end on.
            bool is_beyond = p->position == POSITION_BY_TIME && data->offset < 0;
            p->position = p->fetch_next = is_beyond ? OFFSET_LATEST : data->offset;
        }
    }
}

static void answered(struct peer_request *request, enum err result) {
    struct fetch_call *call = container_of(request, struct fetch_call, request);
    struct consumer *c = call->consumer;
    call->under_way = false;
    list_remove(&call->link);
    for (int32_t i = 0; i < call->count; i++) {
        struct consumed_partition *p = call->entries[i].partition;
        if (p == NULL) continue;
        if (call->is_lookup) {
            p->looking_up = false;
        } else {
            p->fetching = false;
        }
        if (result != ERR_NONE) try_later(c, p);
    }
    if (result == ERR_NONE) {
        if (call->is_lookup) {
            lookup_answered(c, call);
        } else {
            fetch_answered(c, call);
        }
    } else if (result == ERR_UNSUPPORTED_VERSION || result == ERR_CORRUPT) {
        for (int32_t i = 0; i < call->count; i++) {
            struct consumed_partition *p = call->entries[i].partition;
            if (p != NULL) consumer_stop(c, p, result, request->error.text);
        }
    } else if (result != ERR_CANCELLED) {
        client_refresh(c->client);
    }
    for (int32_t i = 0; i < call->count; i++) {
        client_topic_release(c->client, call->entries[i].topic);
    }
    call_unref(call);
    env_defer(c->env, &c->work);
}

// ---- Requests ----

static struct fetch_call *call_new(struct consumer *c, int32_t node, bool is_lookup) {
    struct fetch_call *call = memory_zalloc(1, sizeof *call);
    call->consumer = c;
    call->node = node;
    call->is_lookup = is_lookup;
    call->under_way = true;
    call->references = 1;
    call->number = ++c->call_count;
    arena_init(&call->arena);
    call->entries = arena_zalloc(&call->arena, c->partitions.count, sizeof *call->entries);
    list_init(&call->link);
    list_append(&c->calls, &call->link);
    return call;
}

static void fill_fetch_names(struct peer_request *request) {
    struct fetch_call *call = container_of(request, struct fetch_call, request);
    bool by_id = request->version >= 13;
    for (int32_t i = 0; i < call->count; i++) {
        const struct client_topic *t = call->entries[i].topic;
        call->message.fetch.topics[i].topic = by_id ? SLICE_EMPTY : t->name;
        call->message.fetch.topics[i].topic_id = by_id ? t->id : UUID_ZERO;
    }
}

static void send_fetch(struct consumer *c, struct fetch_call *call) {
    struct fetch_request *m = &call->message.fetch;
    codec_init(&fetch_request_codec, m);
    m->max_wait_ms = c->options.fetch_wait_ms;
    m->min_bytes = c->options.fetch_bytes_min;
    m->max_bytes = c->options.fetch_bytes_max;
    m->isolation_level = c->options.read_committed;
    m->session_id = 0;
    m->session_epoch = -1;
    m->topics_count = call->count;
    m->topics = fetch_request_topic_new(&call->arena, call->count);
    bool ids = true;
    for (int32_t i = 0; i < call->count; i++) {
        struct consumed_partition *p = call->entries[i].partition;
        ids &= !uuid_is_zero(p->topic->id);
        m->topics[i].partitions_count = 1;
        m->topics[i].partitions = fetch_request_partition_new(&call->arena, 1);
        m->topics[i].partitions[0].partition = p->partition;
        m->topics[i].partitions[0].fetch_offset = p->fetch_next;
        m->topics[i].partitions[0].current_leader_epoch =
            p->topic->partitions[p->partition].leader_epoch;
        m->topics[i].partitions[0].partition_max_bytes = c->options.partition_bytes_max;
    }
    call->request = (struct peer_request){.api = API_FETCH,
                                          .version_min = 4,
                                          .version_max = ids ? INT16_MAX : 12,
                                          .message = m,
                                          .prepare = fill_fetch_names,
                                          .done = answered};
}

static void send_lookup(struct consumer *c, struct fetch_call *call) {
    struct list_offsets_request *m = &call->message.list;
    codec_init(&list_offsets_request_codec, m);
    m->replica_id = -1;
    m->isolation_level = c->options.read_committed;
    m->topics_count = call->count;
    m->topics = list_offsets_request_topic_new(&call->arena, call->count);
    for (int32_t i = 0; i < call->count; i++) {
        struct consumed_partition *p = call->entries[i].partition;
        m->topics[i].name = p->topic->name;
        m->topics[i].partitions_count = 1;
        m->topics[i].partitions = list_offsets_request_partition_new(&call->arena, 1);
        m->topics[i].partitions[0].partition_index = p->partition;
        m->topics[i].partitions[0].timestamp =
            p->position == POSITION_BY_TIME ? p->time_ms : p->position;
        m->topics[i].partitions[0].current_leader_epoch =
            p->topic->partitions[p->partition].leader_epoch;
    }
    call->request = (struct peer_request){.api = API_LIST_OFFSETS,
                                          .version_min = 1,
                                          .version_max = INT16_MAX,
                                          .message = m,
                                          .done = answered};
}

static void send_call(struct consumer *c, struct fetch_call *call) {
    if (call->is_lookup) {
        send_lookup(c, call);
    } else {
        send_fetch(c, call);
    }
    const struct client_options *o = client_get_options(c->client);
    call->request.deadline_ns =
        env_now_ns(c->env) + o->request_timeout_ns + (uint64_t)c->options.fetch_wait_ms * 1000000U;
    peer_send(client_peer(c->client, call->node), &call->request);
}

static bool has_call(const struct consumer *c, int32_t node, bool is_lookup) {
    list_for_each(link, &c->calls) {
        const struct fetch_call *call = container_of(link, struct fetch_call, link);
        if (call->node == node && call->is_lookup == is_lookup) return true;
    }
    return false;
}

// Whether more than one reply of that node waits to be handed out.
static bool has_two_unread(const struct consumer *c, int32_t node) {
    uint64_t first = 0;
    list_for_each(link, &c->ready) {
        const struct consumed_partition *p = container_of(link, struct consumed_partition, ready);
        list_for_each(chunk_link, &p->chunks) {
            const struct fetch_call *reply = container_of(chunk_link, struct chunk, link)->reply;
            if (reply->node != node) continue;
            if (first != 0 && reply->number != first) return true;
            first = reply->number;
        }
    }
    return false;
}

// Puts the partition into the request being filled for its leader, when it needs one and none is
// under way.
static void offer(struct consumer *c, struct consumed_partition *p, struct list *filling,
                  uint64_t now, uint64_t *next) {
    if (p->stopped || p->paused || p->fetching || p->looking_up) return;
    if (now < p->retry_ns) {
        *next = MIN(*next, p->retry_ns);
        return;
    }
    const struct client_topic *t = p->topic;
    if (t->known && t->error != ERR_NONE && !err_retriable(t->error)) {
        consumer_stop(c, p, t->error, "topic");
        return;
    }
    int32_t leader = p->partition < t->partition_count ? t->partitions[p->partition].leader : -1;
    if (leader < 0 || client_peer(c->client, leader) == NULL) {
        client_refresh(c->client);
        try_later(c, p);
        *next = MIN(*next, p->retry_ns);
        return;
    }
    bool lookup = p->position < 0;
    struct fetch_call *call = NULL;
    list_for_each(link, filling) {
        struct fetch_call *one = container_of(link, struct fetch_call, link);
        if (one->node == leader && one->is_lookup == lookup) call = one;
    }
    if (call == NULL) {
        if (has_call(c, leader, lookup) || (!lookup && has_two_unread(c, leader))) return;
        call = call_new(c, leader, lookup);
        list_remove(&call->link);
        list_append(filling, &call->link);
    }
    p->topic->references++;
    call->entries[call->count++] =
        (struct fetch_entry){p, p->topic, p->partition, p->generation, p->fetch_next};
    if (lookup) {
        p->looking_up = true;
    } else {
        p->fetching = true;
    }
}

static void run_work(struct env_task *task) {
    struct consumer *c = container_of(task, struct consumer, work);
    uint64_t now = env_now_ns(c->env), next = UINT64_MAX;
    struct list filling;
    list_init(&filling);
    map_for_each(n, &c->partitions) {
        offer(c, container_of(n, struct consumed_partition, by_key), &filling, now, &next);
    }
    for (struct list *l; (l = list_pop(&filling)) != NULL;) {
        list_append(&c->calls, l);
        send_call(c, container_of(l, struct fetch_call, link));
    }
    if (next != UINT64_MAX) env_timer_start(c->env, &c->timer, next);
}

static void fire(struct env_timer *timer) {
    struct consumer *c = container_of(timer, struct consumer, timer);
    env_defer(c->env, &c->work);
}

static void metadata_changed(struct client_listener *l) {
    struct consumer *c = container_of(l, struct consumer, listener);
    env_defer(c->env, &c->work);
}

void consumer_fetch_forget(struct consumer *c, struct consumed_partition *p) {
    list_for_each(link, &c->calls) {
        struct fetch_call *call = container_of(link, struct fetch_call, link);
        for (int32_t i = 0; i < call->count; i++) {
            if (call->entries[i].partition == p) call->entries[i].partition = NULL;
        }
    }
}

void consumer_fetch_init(struct consumer *c) {
    list_init(&c->calls);
    env_task_init(&c->work, run_work);
    env_timer_init(&c->timer, fire);
    c->listener.changed = metadata_changed;
    list_init(&c->listener.link);
    client_listen(c->client, &c->listener);
}

void consumer_fetch_deinit(struct consumer *c) {
    client_unlisten(c->client, &c->listener);
    while (!list_is_empty(&c->calls)) {
        peer_cancel(&container_of(c->calls.next, struct fetch_call, link)->request);
    }
    env_timer_stop(c->env, &c->timer);
    env_defer_cancel(c->env, &c->work);
}
