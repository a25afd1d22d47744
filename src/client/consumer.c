// One fetch is under way per node at most; it asks for all partitions led by that node, and is sent
// when nothing of the last reply is left. A reply's frame is kept until its last record was handed
// out, so records are never copied, only decompressed.
//
// A partition's position moves with every record handed out, and past control batches, aborted
// transactions and gaps when their batch is left behind. The reply's list of aborted transactions
// tells, for read_committed, at which offset each aborted producer's transaction begins; it ends at
// that producer's abort marker in the log (KIP-98).
#include "client/consumer.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"
#include "wire/codec.h"

// A position that is to be looked up by `time_ms`; the others are OFFSET_LATEST and
// OFFSET_EARLIEST.
enum { POSITION_BY_TIME = -4 };

struct fetch_call;

struct consumed_partition {
    struct map_node by_key;
    char key[272];
    struct client_topic *topic;
    int32_t partition;
    int64_t position;  // negative: to be looked up
    int64_t time_ms;   // of POSITION_BY_TIME
    int64_t end;
    bool paused;
    bool stopped;    // after an error
    enum err error;  // to be reported by consumer_next
    struct message error_text;
    bool looking_up;      // in a ListOffsets call
    bool fetching;        // in a Fetch call
    uint32_t generation;  // counts assignments: replies to older ones are dropped
    uint32_t tries;
    uint64_t retry_ns;

    // What was fetched and not yet handed out.
    struct list ready;  // in consumer.ready while there is something for consumer_next
    struct fetch_call *reply;
    struct slice bytes;  // of the batches left
    struct record_reader reader;
    bool in_batch;
    bool skip_batch;  // aborted: its records are passed over
    struct fetch_response_aborted_transaction *aborted;
    int32_t aborted_count;
    int32_t aborted_next;
    int64_t *aborted_now;  // producers whose aborted transaction is open at the position
    int32_t aborted_now_count;
};

struct consumer {
    struct client *client;
    struct env *env;
    struct consumer_options options;
    struct map partitions;
    struct list ready;  // of consumed_partition
    struct list calls;  // of fetch_call
    struct client_listener listener;
    struct env_task work;
    struct env_task wake;
    struct env_timer timer;
    struct arena arena;  // of the record handed out
    void (*on_ready)(void *context);
    void *context;
    bool waiting;  // consumer_next found nothing
};

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
};

struct consumer_options consumer_options_default(void) {
    return (struct consumer_options){.read_committed = true,
                                     .fetch_wait_ms = 500,
                                     .fetch_bytes_min = 1,
                                     .fetch_bytes_max = 50 << 20,
                                     .partition_bytes_max = 1 << 20,
                                     .decompressed_bytes_max = 256U << 20,
                                     .reset = OFFSET_EARLIEST};
}

static void call_unref(struct fetch_call *c) {
    if (--c->references > 0) return;
    peer_request_release(&c->request);
    arena_deinit(&c->arena);
    memory_free(c);
}

static void drop_fetched(struct consumed_partition *p) {
    if (p->reply != NULL) call_unref(p->reply);
    p->reply = NULL;
    p->bytes = SLICE_EMPTY;
    p->in_batch = false;
    p->aborted_count = p->aborted_next = p->aborted_now_count = 0;
    list_remove(&p->ready);
}

static void announce(struct consumer *c, struct consumed_partition *p) {
    if (!list_is_linked(&p->ready)) list_append(&c->ready, &p->ready);
    if (c->waiting) env_defer(c->env, &c->wake);
}

static void run_wake(struct env_task *task) {
    struct consumer *c = container_of(task, struct consumer, wake);
    if (!c->waiting) return;
    c->waiting = false;
    if (c->on_ready != NULL) c->on_ready(c->context);
}

static void stop_partition(struct consumer *c, struct consumed_partition *p, enum err error,
                           const char *what) {
    drop_fetched(p);
    p->stopped = true;
    p->error = error;
    message_set(&p->error_text, "%.*s-%d: %s: %s", SLICE_PRINT(p->topic->name), p->partition, what,
                err_text(error));
    announce(c, p);
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
            p->position = c->options.reset;
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
    stop_partition(c, p, err, what);
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

static void take_data(struct consumer *c, struct fetch_call *call, struct fetch_entry *e,
                      struct fetch_response_partition *data) {
    struct consumed_partition *p = e->partition;
    if (p == NULL || p->generation != e->generation || p->position != e->asked) return;
    enum err err = err_of_wire(data->error_code);
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
    drop_fetched(p);
    p->bytes = data->records.bytes;
    p->reply = call;
    call->references++;
    p->aborted = data->aborted_transactions;
    p->aborted_count = MAX(data->aborted_transactions_count, 0);
    p->aborted_now = arena_zalloc(&call->arena, (size_t)p->aborted_count, sizeof(int64_t));
    announce(c, p);
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
            p->position = is_beyond ? OFFSET_LATEST : data->offset;
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
            if (p != NULL) stop_partition(c, p, result, request->error.text);
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
        m->topics[i].partitions[0].fetch_offset = p->position;
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

// Whether bytes of a reply of that node wait to be handed out. A fetch sent meanwhile could wait at
// the broker for one idle partition while the others run dry, since a connection's replies come in
// order.
static bool has_unread(const struct consumer *c, int32_t node) {
    list_for_each(link, &c->ready) {
        const struct consumed_partition *p = container_of(link, struct consumed_partition, ready);
        if (p->reply != NULL && p->reply->node == node) return true;
    }
    return false;
}

// Puts the partition into the request being filled for its leader, when it needs one and none is
// under way.
static void offer(struct consumer *c, struct consumed_partition *p, struct list *filling,
                  uint64_t now, uint64_t *next) {
    if (p->stopped || p->paused || p->fetching || p->looking_up || p->reply != NULL) return;
    if (now < p->retry_ns) {
        *next = MIN(*next, p->retry_ns);
        return;
    }
    const struct client_topic *t = p->topic;
    if (t->known && t->error != ERR_NONE && !err_retriable(t->error)) {
        stop_partition(c, p, t->error, "topic");
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
        if (has_call(c, leader, lookup) || (!lookup && has_unread(c, leader))) return;
        call = call_new(c, leader, lookup);
        list_remove(&call->link);
        list_append(filling, &call->link);
    }
    p->topic->references++;
    call->entries[call->count++] =
        (struct fetch_entry){p, p->topic, p->partition, p->generation, p->position};
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

// ---- Handing out ----

// Adds the aborted transactions that begin at or before `offset`; removes the one that an abort
// marker of the producer ends.
static bool is_aborted(struct consumed_partition *p, const struct batch *b) {
    while (p->aborted_next < p->aborted_count &&
           p->aborted[p->aborted_next].first_offset <= b->last_offset) {
        p->aborted_now[p->aborted_now_count++] = p->aborted[p->aborted_next++].producer_id;
    }
    for (int32_t i = 0; i < p->aborted_now_count; i++) {
        if (p->aborted_now[i] == b->producer_id) return true;
    }
    return false;
}

static void end_aborted(struct consumed_partition *p, int64_t producer_id) {
    for (int32_t i = 0; i < p->aborted_now_count; i++) {
        if (p->aborted_now[i] != producer_id) continue;
        p->aborted_now[i] = p->aborted_now[--p->aborted_now_count];
        return;
    }
}

// An abort marker's key is {int16 version, int16 type}.
static enum err pass_control_batch(struct consumer *c, struct consumed_partition *p) {
    struct record record;
    enum err err = record_reader_next(&p->reader, &record);
    (void)c;
    if (err == ERR_EOF) return ERR_NONE;
    if (err != ERR_NONE) return err;
    if (record.key.size >= 4 && load_i16(record.key.data + 2) == CONTROL_ABORT) {
        end_aborted(p, p->reader.batch.producer_id);
    }
    return ERR_NONE;
}

// Opens the next whole batch of what was fetched. ERR_EOF: there is none (a cut-off batch at the
// end is fetched again).
static enum err open_batch(struct consumer *c, struct consumed_partition *p) {
    struct batch b;
    enum err err = batch_decode(p->bytes, &b);
    if (err == ERR_EOF || (err == ERR_NONE && b.size > p->bytes.size)) return ERR_EOF;
    if (err != ERR_NONE) return err;
    struct slice bytes = slice_sub(p->bytes, 0, b.size);
    if (!batch_crc_is_valid(bytes)) return ERR_CORRUPT_MESSAGE;
    p->bytes = slice_sub(p->bytes, b.size, p->bytes.size - b.size);
    arena_reset(&c->arena);
    err = record_reader_init(&p->reader, bytes, &c->arena, c->options.decompressed_bytes_max);
    if (err != ERR_NONE) return err;
    p->in_batch = true;
    p->skip_batch = batch_is_control(&b);
    if (c->options.read_committed && batch_is_transactional(&b)) {
        bool aborted = is_aborted(p, &b);
        if (batch_is_control(&b)) {
            err = pass_control_batch(c, p);
        } else {
            p->skip_batch = aborted;
        }
    }
    return err;
}

static void close_batch(struct consumed_partition *p) {
    p->in_batch = false;
    p->position = MAX(p->position, p->reader.batch.last_offset + 1);
}

// The next record at or after the position. ERR_EOF: what was fetched is used up.
static enum err next_record(struct consumer *c, struct consumed_partition *p,
                            struct record *record) {
    for (;;) {
        if (!p->in_batch) {
            enum err err = open_batch(c, p);
            if (err != ERR_NONE) return err;
        }
        while (!p->skip_batch) {
            enum err err = record_reader_next(&p->reader, record);
            if (err == ERR_EOF) break;
            if (err != ERR_NONE) return err;
            if (record->offset < p->position) continue;  // the fetch began inside a batch
            p->position = record->offset + 1;
            return ERR_NONE;
        }
        close_batch(p);
    }
}

enum err consumer_next(struct consumer *c, struct consumer_record *out, struct message *error) {
    while (!list_is_empty(&c->ready)) {
        struct consumed_partition *p =
            container_of(c->ready.next, struct consumed_partition, ready);
        out->topic = p->topic->name;
        out->partition = p->partition;
        enum err err = p->error;
        if (err != ERR_NONE) {
            p->error = ERR_NONE;
            list_remove(&p->ready);
            if (error != NULL) *error = p->error_text;
            return err;
        }
        if (!p->paused) err = next_record(c, p, &out->record);
        if (!p->paused && err == ERR_NONE) {
            out->leader_epoch = p->reader.batch.leader_epoch;
            out->log_append_time = (p->reader.batch.attributes & ATTRIBUTE_LOG_APPEND_TIME) != 0;
            return ERR_NONE;
        }
        if (p->paused) {
            list_remove(&p->ready);
            continue;
        }
        if (err == ERR_EOF) {
            drop_fetched(p);
            env_defer(c->env, &c->work);
            continue;
        }
        stop_partition(c, p, err, "records");
    }
    c->waiting = true;
    return ERR_WOULD_BLOCK;
}

void consumer_on_ready(struct consumer *c, void (*ready)(void *context), void *context) {
    c->on_ready = ready;
    c->context = context;
}

// ---- Assignment ----

static struct consumed_partition *find(const struct consumer *c, struct slice topic,
                                       int32_t partition) {
    char key[sizeof((struct consumed_partition *)0)->key];
    int size = snprintf(key, sizeof key, "%.*s-%d", SLICE_PRINT(topic), partition);
    if (size < 0 || (size_t)size >= sizeof key) return NULL;
    struct map_node *n = map_get(&c->partitions, slice_of(key, (size_t)size));
    return n == NULL ? NULL : container_of(n, struct consumed_partition, by_key);
}

static enum err assign(struct consumer *c, struct slice topic, int32_t partition, int64_t position,
                       int64_t time_ms) {
    if (partition < 0 || topic.size == 0 || topic.size > 249) return ERR_INVALID;
    struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) {
        p = memory_zalloc(1, sizeof *p);
        p->topic = client_topic_want(c->client, topic);
        p->partition = partition;
        list_init(&p->ready);
        snprintf(p->key, sizeof p->key, "%.*s-%d", SLICE_PRINT(topic), partition);
        map_put(&c->partitions, &p->by_key, slice_cstring(p->key));
    }
    drop_fetched(p);
    p->generation++;
    p->position = position;
    p->time_ms = time_ms;
    p->end = -1;
    p->stopped = false;
    p->error = ERR_NONE;
    p->retry_ns = 0;
    p->tries = 0;
    env_defer(c->env, &c->work);
    return ERR_NONE;
}

enum err consumer_assign(struct consumer *c, struct slice topic, int32_t partition,
                         int64_t offset) {
    return offset < OFFSET_EARLIEST ? ERR_INVALID : assign(c, topic, partition, offset, -1);
}

enum err consumer_assign_time(struct consumer *c, struct slice topic, int32_t partition,
                              int64_t time_ms) {
    return time_ms < 0 ? ERR_INVALID : assign(c, topic, partition, POSITION_BY_TIME, time_ms);
}

static void partition_free(struct consumer *c, struct consumed_partition *p) {
    list_for_each(link, &c->calls) {
        struct fetch_call *call = container_of(link, struct fetch_call, link);
        for (int32_t i = 0; i < call->count; i++) {
            if (call->entries[i].partition == p) call->entries[i].partition = NULL;
        }
    }
    drop_fetched(p);
    map_remove(&c->partitions, &p->by_key);
    client_topic_release(c->client, p->topic);
    memory_free(p);
}

void consumer_unassign(struct consumer *c, struct slice topic, int32_t partition) {
    struct consumed_partition *p = find(c, topic, partition);
    if (p != NULL) partition_free(c, p);
}

void consumer_pause(struct consumer *c, struct slice topic, int32_t partition, bool paused) {
    struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) return;
    p->paused = paused;
    if (!paused && p->reply != NULL) announce(c, p);
    env_defer(c->env, &c->work);
}

bool consumer_position(const struct consumer *c, struct slice topic, int32_t partition,
                       int64_t *position, int64_t *end) {
    const struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) return false;
    *position = p->position;
    *end = p->end;
    return true;
}

int64_t consumer_lag(const struct consumer *c, struct slice topic, int32_t partition) {
    int64_t position, end;
    if (!consumer_position(c, topic, partition, &position, &end)) return -1;
    return position < 0 || end < 0 ? -1 : MAX(end - position, (int64_t)0);
}

// ---- Life ----

struct consumer *consumer_new(struct client *client, const struct consumer_options *options) {
    struct consumer *c = memory_zalloc(1, sizeof *c);
    c->client = client;
    c->env = client_env(client);
    c->options = *options;
    map_init(&c->partitions, env_random(c->env));
    list_init(&c->ready);
    list_init(&c->calls);
    arena_init(&c->arena);
    env_task_init(&c->work, run_work);
    env_task_init(&c->wake, run_wake);
    env_timer_init(&c->timer, fire);
    c->listener.changed = metadata_changed;
    list_init(&c->listener.link);
    client_listen(client, &c->listener);
    return c;
}

void consumer_free(struct consumer *c) {
    if (c == NULL) return;
    c->on_ready = NULL;
    client_unlisten(c->client, &c->listener);
    while (!list_is_empty(&c->calls)) {
        peer_cancel(&container_of(c->calls.next, struct fetch_call, link)->request);
    }
    map_for_each(n, &c->partitions) {
        partition_free(c, container_of(n, struct consumed_partition, by_key));
    }
    map_deinit(&c->partitions);
    env_timer_stop(c->env, &c->timer);
    env_defer_cancel(c->env, &c->work);
    env_defer_cancel(c->env, &c->wake);
    arena_deinit(&c->arena);
    memory_free(c);
}
