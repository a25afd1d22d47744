// Life of a record: copied into the open batch of its partition; the batch is closed when it is
// full, has lingered, or on flush; closed batches wait in their partition's queue, leave in
// requests that gather one batch per partition for a node, and stay in the queue until they are
// acknowledged, so the queue's order is the order of the log.
//
// Retries keep that order. While some batches of a partition are under way and one of them fails in
// a way that may heal, the partition is *held*: nothing more of it is sent until the others have
// come back, then all that is not acknowledged is sent again from the head of the queue, with the
// same sequence numbers. The broker drops what it has already (KIP-98).
//
// When the broker says that the head's sequence is out of order or the producer unknown, the state
// is lost on its side: the head fails, and the producer goes on with a new id (KIP-360).
#include "base/bytes.h"
#include "base/memory.h"
#include "client/producer_private.h"
#include "wire/codec.h"

// From this version of Produce on a partition joins the transaction by the request (KIP-890).
enum { TRANSACTION_V2_VERSION = 12, CONCURRENT_WAIT_MS = 20 };

// One Produce request under way to one node.
struct produce_call {
    struct list link;
    struct producer *producer;
    struct peer_request request;
    struct produce_request message;
    struct arena arena;
    struct list batches;                 // of produce_batch.in_request
    const struct client_topic **topics;  // of each topic_data
    int32_t node;
    size_t size;  // of the batches
};

void producer_wake(struct producer *p) {
    env_defer(p->env, &p->send);
}

// ---- The producer's id ----

static void id_done(struct client_call *call, enum err result) {
    struct producer *p = container_of(call, struct producer, id_call);
    p->asking_id = false;
    if (result == ERR_NONE) {
        const struct init_producer_id_response *answer = call->response;
        p->producer_id = answer->producer_id;
        p->producer_epoch = answer->producer_epoch;
    }
    client_call_release(call);
    if (result == ERR_CANCELLED) return;
    // A refusal for good: say it with the records, and try again with the next ones.
    if (result != ERR_NONE) {
        struct message error;
        message_set(&error, "no producer id: %s", err_text(result));
        list_for_each_safe(active, &p->active) {
            struct produce_partition *q = container_of(active, struct produce_partition, active);
            list_for_each_safe(link, &q->queue) {
                struct produce_batch *b = container_of(link, struct produce_batch, link);
                if (b->state == BATCH_QUEUED) producer_end_batch(p, b, result, -1, -1, &error);
            }
        }
    }
    producer_wake(p);
}

static enum err id_verdict(struct client_call *call) {
    const struct init_producer_id_response *answer = call->response;
    return err_of_wire(answer->error_code);
}

static void ask_id(struct producer *p) {
    if (p->asking_id) return;
    p->asking_id = true;
    codec_init(&init_producer_id_request_codec, &p->id_request);
    p->id_request.transactional_id = SLICE_NULL;
    p->id_request.transaction_timeout_ms = INT32_MAX;
    p->id_call = (struct client_call){.target = CLIENT_ANY,
                                      .api = API_INIT_PRODUCER_ID,
                                      .version_max = 5,
                                      .message = &p->id_request,
                                      .verdict = id_verdict,
                                      .done = id_done};
    client_call_start(p->client, &p->id_call);
}

// ---- Sending ----

static void hold(struct producer *p, struct produce_partition *q) {
    q->held = true;
    q->retry_ns = env_now_ns(p->env) + client_backoff_ns(p->client, q->tries++);
}

// A numbered batch is given up: the broker will not take what comes behind it under the same id.
// Other partitions send what they have numbered under the old id to its end, so that a retry stays
// a duplicate.
static void give_up_numbers(struct producer *p, struct produce_partition *q, enum err error,
                            const struct message *text, bool numbered) {
    if (p->transaction != NULL) {
        producer_transaction_broken(p, error, text, numbered);
        return;
    }
    if (!p->options.idempotent || !numbered) return;
    q->renumber = true;
    if (q->producer_id == p->producer_id) p->producer_id = -1;
}

// What the answer (or the failure) of a request means for one batch.
static void batch_answered(struct producer *p, struct produce_batch *b, enum err result,
                           const struct produce_response_partition_response *answer) {
    struct produce_partition *q = b->partition;
    list_remove(&b->in_request);
    b->state = BATCH_QUEUED;
    q->in_flight--;
    struct message error;
    message_init(&error);
    if (answer != NULL && !slice_is_null(answer->error_message)) {
        message_set(&error, "%.*s", SLICE_PRINT(answer->error_message));
    }
    bool head = q->queue.next == &b->link;
    bool late = env_now_ns(p->env) >= b->opened_ns + p->options.delivery_timeout_ns;
    switch (result) {
        case ERR_NONE:
        case ERR_DUPLICATE_SEQUENCE_NUMBER:
            q->tries = 0;
            producer_end_batch(p, b, ERR_NONE, answer == NULL ? -1 : answer->base_offset,
                               answer == NULL ? -1 : answer->log_append_time_ms, NULL);
            return;
        case ERR_OUT_OF_ORDER_SEQUENCE_NUMBER:
        case ERR_UNKNOWN_PRODUCER_ID:
        case ERR_INVALID_PRODUCER_EPOCH:
            if (!head) {
                hold(p, q);  // a batch before this one is to be sent again
                return;
            }
            break;
        case ERR_CONCURRENT_TRANSACTIONS:  // the markers of the one before are still being written
            hold(p, q);
            q->retry_ns = env_now_ns(p->env) + CONCURRENT_WAIT_MS * UINT64_C(1000000);
            return;
        case ERR_NOT_LEADER_OR_FOLLOWER:
        case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        case ERR_UNKNOWN_TOPIC_ID:
        case ERR_FENCED_LEADER_EPOCH:
        case ERR_LEADER_NOT_AVAILABLE:
        case ERR_CLOSED:
        case ERR_REFUSED:
        case ERR_TIMEOUT:
        case ERR_UNREACHABLE:
            client_refresh(p->client);
            break;
        default:
            break;
    }
    bool connection = answer == NULL;
    if (!late && (connection ? result != ERR_UNSUPPORTED_VERSION : err_retriable(result))) {
        hold(p, q);
        return;
    }
    struct message *text = error.text[0] == '\0' ? NULL : &error;
    producer_end_batch(p, b, result, -1, -1, text);
    give_up_numbers(p, q, result, text, true);
}

static const struct produce_response_partition_response *answer_of(const struct produce_response *m,
                                                                   const struct produce_batch *b) {
    const struct client_topic *meta = b->partition->topic->meta;
    for (int32_t i = 0; i < m->responses_count; i++) {
        const struct produce_response_response *t = &m->responses[i];
        bool same =
            t->name.size > 0 ? slice_equal(t->name, meta->name) : uuid_equal(t->topic_id, meta->id);
        for (int32_t j = 0; same && j < t->partition_responses_count; j++) {
            if (t->partition_responses[j].index == b->partition->index) {
                return &t->partition_responses[j];
            }
        }
    }
    return NULL;
}

static void call_free(struct produce_call *c) {
    list_remove(&c->link);
    peer_request_release(&c->request);
    arena_deinit(&c->arena);
    memory_free(c);
}

static void call_done(struct peer_request *request, enum err result) {
    struct produce_call *c = container_of(request, struct produce_call, request);
    struct producer *p = c->producer;
    const struct produce_response *m = result == ERR_NONE ? request->response : NULL;
    while (!list_is_empty(&c->batches)) {
        struct produce_batch *b = container_of(c->batches.next, struct produce_batch, in_request);
        if (m == NULL) {  // acks=0, or the connection failed
            batch_answered(p, b, result, NULL);
            continue;
        }
        const struct produce_response_partition_response *answer = answer_of(m, b);
        if (answer != NULL) {
            client_leader_hint(p->client, b->partition->topic->meta, b->partition->index,
                               answer->current_leader.leader_id,
                               answer->current_leader.leader_epoch);
        }
        batch_answered(p, b, answer == NULL ? ERR_CORRUPT : err_of_wire(answer->error_code),
                       answer);
    }
    call_free(c);
    producer_wake(p);
}

static void fill_names(struct peer_request *request) {
    struct produce_call *c = container_of(request, struct produce_call, request);
    bool by_id = request->version >= 13;
    for (int32_t i = 0; i < c->message.topic_data_count; i++) {
        struct produce_request_topic_data *t = &c->message.topic_data[i];
        t->name = by_id ? SLICE_EMPTY : c->topics[i]->name;
        t->topic_id = by_id ? c->topics[i]->id : UUID_ZERO;
    }
}

static struct produce_call *call_new(struct producer *p, int32_t node) {
    struct produce_call *c = memory_zalloc(1, sizeof *c);
    c->producer = p;
    c->node = node;
    list_init(&c->link);
    list_init(&c->batches);
    arena_init(&c->arena);
    codec_init(&produce_request_codec, &c->message);
    list_append(&p->requests, &c->link);
    return c;
}

// Sorts the batches into one entry per topic.
static void call_fill(struct produce_call *c) {
    int32_t batches = 0, topics = 0;
    list_for_each(link, &c->batches) {
        container_of(link, struct produce_batch, in_request)->partition->topic->slot = -1;
        batches++;
    }
    struct produce_request_topic_data *data = produce_request_topic_data_new(&c->arena, batches);
    c->topics = arena_zalloc(&c->arena, (size_t)batches, sizeof *c->topics);
    list_for_each(link, &c->batches) {
        struct produce_topic *t =
            container_of(link, struct produce_batch, in_request)->partition->topic;
        if (t->slot < 0) {
            t->slot = topics++;
            c->topics[t->slot] = t->meta;
            data[t->slot].partition_data_count = 0;
        }
        data[t->slot].partition_data_count++;
    }
    for (int32_t i = 0; i < topics; i++) {
        data[i].partition_data =
            produce_request_partition_data_new(&c->arena, data[i].partition_data_count);
        data[i].partition_data_count = 0;
    }
    list_for_each(link, &c->batches) {
        struct produce_batch *b = container_of(link, struct produce_batch, in_request);
        struct produce_request_topic_data *t = &data[b->partition->topic->slot];
        struct produce_request_partition_data *d = &t->partition_data[t->partition_data_count++];
        d->index = b->partition->index;
        d->records.bytes = b->bytes;
    }
    c->message.topic_data = data;
    c->message.topic_data_count = topics;
}

static void call_send(struct producer *p, struct produce_call *c) {
    call_fill(c);
    c->message.acks = p->options.acks;
    c->message.timeout_ms =
        (int32_t)MIN(p->options.request_timeout_ns / 1000000U, (uint64_t)INT32_MAX);
    c->message.transactional_id = p->options.transactional_id;
    bool ids = true;
    bool is_v2 = p->transaction != NULL && producer_transaction_is_v2(p);
    bool is_v1 = p->transaction != NULL && !is_v2;
    for (int32_t i = 0; i < c->message.topic_data_count; i++)
        ids &= !uuid_is_zero(c->topics[i]->id);
    c->request = (struct peer_request){
        .api = API_PRODUCE,
        .version_min = is_v2 ? TRANSACTION_V2_VERSION : 3,
        .version_max = is_v1 ? TRANSACTION_V2_VERSION - 1
                       : ids ? INT16_MAX
                             : 12,
        .message = &c->message,
        .prepare = fill_names,
        .no_response = p->options.acks == 0,
        .deadline_ns = env_now_ns(p->env) + p->options.request_timeout_ns,
        .done = call_done,
    };
    peer_send(client_peer(p->client, c->node), &c->request);
}

static bool has_old_numbers(const struct producer *p, const struct produce_partition *q) {
    return q->producer_id != p->producer_id || q->producer_epoch != p->producer_epoch;
}

// The next sequence numbers for a batch that leaves for the first time, or for the first time under
// a new producer id.
static void number_batch(struct producer *p, struct produce_partition *q, struct produce_batch *b) {
    if (has_old_numbers(p, q)) {
        q->producer_id = p->producer_id;
        q->producer_epoch = p->producer_epoch;
        q->next_sequence = 0;
    }
    uint8_t *bytes = b->builder.data;
    if (p->transaction != NULL) {
        int16_t attributes = load_i16(bytes + BATCH_ATTRIBUTES);
        store_i16(bytes + BATCH_ATTRIBUTES, (int16_t)(attributes | ATTRIBUTE_TRANSACTIONAL));
    }
    store_i64(bytes + BATCH_PRODUCER_ID, p->producer_id);
    store_i16(bytes + BATCH_PRODUCER_EPOCH, p->producer_epoch);
    store_i32(bytes + BATCH_BASE_SEQUENCE, q->next_sequence);
    batch_seal(bytes, b->bytes.size);
    q->next_sequence = sequence_add(q->next_sequence, b->builder.record_count);
    b->numbered = true;
}

static enum err prepare_batch(struct producer *p, struct produce_partition *q,
                              struct produce_batch *b) {
    if (q->renumber) {
        q->renumber = false;
        list_for_each(link, &q->queue) {
            container_of(link, struct produce_batch, link)->numbered = false;
        }
    }
    if (slice_is_null(b->bytes)) {
        enum err err = batch_builder_finish(&b->builder, p->options.compression,
                                            p->options.compression_level, &b->bytes);
        if (err != ERR_NONE) return err;
    }
    if (p->options.idempotent && !b->numbered) number_batch(p, q, b);
    return ERR_NONE;
}

// The next batch of the partition that may leave now; NULL when there is none.
static struct produce_batch *next_batch(struct producer *p, struct produce_partition *q,
                                        uint64_t now) {
    if (q->held) {
        if (q->in_flight > 0 || now < q->retry_ns) return NULL;
        q->held = false;
    }
    if (q->renumber && q->in_flight > 0) return NULL;
    list_for_each(link, &q->queue) {
        struct produce_batch *b = container_of(link, struct produce_batch, link);
        if (b->state == BATCH_SENT) continue;
        // The first of a new id leaves when all of the old one are acknowledged.
        bool old_left = p->options.idempotent && has_old_numbers(p, q) && !b->numbered &&
                        q->queue.next != link && !q->renumber;
        return old_left ? NULL : b;
    }
    return NULL;
}

static int32_t in_flight_to(const struct producer *p, int32_t node) {
    int32_t count = 0;
    list_for_each(link, &p->requests) {
        count += container_of(link, struct produce_call, link)->node == node;
    }
    return count;
}

// Adds the partition's next batch to the request that is being filled for its leader. `calls` are
// those of this round, by node.
static void offer(struct producer *p, struct produce_partition *q, struct list *filling,
                  uint64_t now) {
    const struct client_topic *meta = q->topic->meta;
    struct produce_batch *b = next_batch(p, q, now);
    if (b == NULL) return;
    if (p->transaction != NULL && !producer_transaction_admits(p, q)) return;
    int32_t leader = q->index < meta->partition_count ? meta->partitions[q->index].leader : -1;
    if (leader < 0 || client_peer(p->client, leader) == NULL) {
        client_refresh(p->client);
        hold(p, q);
        return;
    }
    struct produce_call *c = NULL;
    list_for_each(link, filling) {
        struct produce_call *one = container_of(link, struct produce_call, link);
        if (one->node == leader) c = one;
    }
    if (c != NULL && c->size + b->builder.size > p->options.request_bytes_max) return;
    if (c == NULL && in_flight_to(p, leader) >= p->options.in_flight_max) return;
    enum err err = prepare_batch(p, q, b);
    if (err != ERR_NONE) {
        producer_end_batch(p, b, err, -1, -1, NULL);
        if (p->transaction != NULL) producer_transaction_broken(p, err, NULL, false);
        return;
    }
    if (c == NULL) {
        c = call_new(p, leader);
        list_remove(&c->link);
        list_append(filling, &c->link);
    }
    b->state = BATCH_SENT;
    q->in_flight++;
    c->size += b->bytes.size;
    list_append(&c->batches, &b->in_request);
}

// Batches that were not acknowledged in time fail; lingering ones are closed. Returns when to look
// again.
static uint64_t age_partition(struct producer *p, struct produce_partition *q, uint64_t now) {
    uint64_t next = UINT64_MAX;
    if (q->open != NULL) {
        uint64_t due = q->open->opened_ns + p->options.linger_ns;
        if (now >= due || p->flushing) {
            producer_close_batch(p, q);
        } else {
            next = due;
        }
    }
    list_for_each_safe(link, &q->queue) {
        struct produce_batch *b = container_of(link, struct produce_batch, link);
        if (b->state == BATCH_SENT) continue;
        uint64_t due = b->opened_ns + p->options.delivery_timeout_ns;
        if (now < due) {
            next = MIN(next, due);
            break;
        }
        struct message error;
        message_set(
            &error, "not delivered in time: %s",
            client_error(p->client)[0] != '\0' ? client_error(p->client) : "no acknowledgement");
        give_up_numbers(p, q, ERR_TIMEOUT, &error, b->numbered);
        producer_end_batch(p, b, ERR_TIMEOUT, -1, -1, &error);
    }
    if (q->held && !list_is_empty(&q->queue)) next = MIN(next, q->retry_ns);
    return next;
}

// Sends requests until no partition has anything for a node that takes more.
static void send_all(struct producer *p, uint64_t now) {
    struct list filling;
    list_init(&filling);
    for (;;) {
        list_for_each_safe(link, &p->active) {
            offer(p, container_of(link, struct produce_partition, active), &filling, now);
        }
        if (list_is_empty(&filling)) return;
        for (struct list *l; (l = list_pop(&filling)) != NULL;) {
            list_append(&p->requests, l);
            call_send(p, container_of(l, struct produce_call, link));
        }
    }
}

static void run_send(struct env_task *task) {
    struct producer *p = container_of(task, struct producer, send);
    uint64_t now = env_now_ns(p->env), next = UINT64_MAX;
    if (p->pending == 0) p->flushing = false;
    map_for_each(n, &p->topics) {
        struct produce_topic *t = container_of(n, struct produce_topic, by_name);
        if (list_is_empty(&t->unassigned)) continue;
        producer_settle_waiting(p, t);
        next = MIN(next, now + p->options.request_timeout_ns / 10);
    }
    list_for_each_safe(link, &p->active) {
        struct produce_partition *q = container_of(link, struct produce_partition, active);
        next = MIN(next, age_partition(p, q, now));
        if (q->open == NULL && list_is_empty(&q->queue)) list_remove(&q->active);
    }
    if (p->transaction != NULL) {
        if (producer_transaction_sends(p)) send_all(p, now);
        producer_transaction_go_on(p);
    } else if (p->options.idempotent && p->producer_id < 0) {
        if (p->pending > 0) ask_id(p);
    } else {
        send_all(p, now);
    }
    if (next != UINT64_MAX) env_timer_start(p->env, &p->timer, MAX(next, now + 1));
}

static void fire(struct env_timer *timer) {
    producer_wake(container_of(timer, struct producer, timer));
}
static void metadata_changed(struct client_listener *l) {
    producer_wake(container_of(l, struct producer, listener));
}

void producer_send_init(struct producer *p) {
    list_init(&p->requests);
    env_task_init(&p->send, run_send);
    env_timer_init(&p->timer, fire);
    p->listener.changed = metadata_changed;
    list_init(&p->listener.link);
    client_listen(p->client, &p->listener);
}

void producer_send_deinit(struct producer *p) {
    client_unlisten(p->client, &p->listener);
    while (!list_is_empty(&p->requests)) {
        peer_cancel(&container_of(p->requests.next, struct produce_call, link)->request);
    }
    if (p->asking_id) client_call_cancel(&p->id_call);
    env_timer_stop(p->env, &p->timer);
    env_defer_cancel(p->env, &p->send);
}
