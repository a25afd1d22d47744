// Gathering: a record is copied into the open batch of its partition; a batch is closed when it is
// full, has lingered, or on flush, and joins its partition's queue (producer_send.c goes on from
// there). A record whose topic is not known yet waits as a copy.
#include "base/memory.h"
#include "client/producer_private.h"

enum { IN_FLIGHT_IDEMPOTENT_MAX = 5 };

struct producer_options producer_options_default(void) {
    return (struct producer_options){.acks = -1,
                                     .idempotent = true,
                                     .batch_bytes = 16384,
                                     .linger_ns = 5000000U,
                                     .buffer_bytes = 32U << 20,
                                     .request_bytes_max = 1U << 20,
                                     .in_flight_max = 5,
                                     .request_timeout_ns = 30000000000U,
                                     .delivery_timeout_ns = 120000000000U,
                                     .transactional_id = SLICE_NULL,
                                     .transaction_timeout_ms = 60000};
}

// ---- Ending records ----

static void end_record(struct producer *p, struct producer_record *r, enum err result,
                       struct message *error) {
    r->error = error;
    p->pending--;
    r->done(r, result);
}

static void release_bytes(struct producer *p, size_t bytes) {
    p->buffered -= bytes;
    if (p->was_full && p->buffered < p->options.buffer_bytes) {
        p->was_full = false;
        if (p->ready != NULL) p->ready(p->ready_context);
    }
}

void producer_end_batch(struct producer *p, struct produce_batch *b, enum err result,
                        int64_t base_offset, int64_t append_time, struct message *error) {
    list_remove(&b->link);
    for (struct list *l; (l = list_pop(&b->records)) != NULL;) {
        struct producer_record *r = container_of(l, struct producer_record, link);
        r->partition = b->partition->index;
        r->offset = result == ERR_NONE && base_offset >= 0 ? base_offset + r->index : -1;
        if (append_time >= 0) r->timestamp = append_time;
        end_record(p, r, result, error);
    }
    size_t charged = b->charged;
    batch_builder_deinit(&b->builder);
    memory_free(b);
    release_bytes(p, charged);
}

// ---- Gathering ----

static struct produce_topic *topic_of(struct producer *p, struct slice name) {
    struct map_node *n = map_get(&p->topics, name);
    if (n != NULL) return container_of(n, struct produce_topic, by_name);
    struct produce_topic *t = memory_zalloc(1, sizeof *t);
    t->meta = client_topic_want(p->client, name);
    t->sticky = -1;
    list_init(&t->unassigned);
    map_put(&p->topics, &t->by_name, t->meta->name);
    return t;
}

// The partitions that metadata knows now; existing ones keep their place.
static void grow_partitions(struct produce_topic *t) {
    int32_t count = t->meta->partition_count;
    if (count <= t->partition_count) return;
    t->partitions = memory_realloc(t->partitions, (size_t)count, sizeof *t->partitions);
    for (int32_t i = t->partition_count; i < count; i++) {
        struct produce_partition *q = memory_zalloc(1, sizeof *q);
        q->topic = t;
        q->index = i;
        q->producer_id = -1;
        list_init(&q->active);
        list_init(&q->queue);
        t->partitions[i] = q;
    }
    t->partition_count = count;
}

void producer_close_batch(struct producer *p, struct produce_partition *q) {
    struct produce_batch *b = q->open;
    if (b == NULL) return;
    q->open = NULL;
    list_append(&q->queue, &b->link);
    q->topic->sticky = -1;
    producer_wake(p);
}

static struct produce_batch *open_batch(struct producer *p, struct produce_partition *q) {
    struct produce_batch *b = memory_zalloc(1, sizeof *b);
    b->partition = q;
    b->opened_ns = env_now_ns(p->env);
    batch_builder_init(&b->builder);
    list_init(&b->link);
    list_init(&b->in_request);
    list_init(&b->records);
    q->open = b;
    if (!list_is_linked(&q->active)) list_append(&p->active, &q->active);
    return b;
}

static int32_t choose_partition(struct producer *p, struct produce_topic *t, int32_t wanted,
                                struct slice key) {
    if (wanted >= 0) return wanted;
    if (!slice_is_null(key)) return producer_partition_of_key(key, t->partition_count);
    if (t->sticky < 0 || t->sticky >= t->partition_count) {
        t->sticky = (int32_t)(env_random(p->env) % (uint64_t)t->partition_count);
    }
    return t->sticky;
}

// Puts the record into its partition's open batch. False: there is no such partition.
static bool gather(struct producer *p, struct produce_topic *t, struct producer_record *r,
                   const struct record *data, size_t charged) {
    int32_t index = choose_partition(p, t, r->partition, data->key);
    if (index >= t->partition_count) return false;
    struct produce_partition *q = t->partitions[index];
    if (q->open != NULL &&
        batch_builder_size_with(&q->open->builder, data) > p->options.batch_bytes) {
        producer_close_batch(p, q);
    }
    struct produce_batch *b = q->open != NULL ? q->open : open_batch(p, q);
    r->index = b->builder.record_count;
    batch_builder_append(&b->builder, data);
    list_append(&b->records, &r->link);
    b->charged += charged;
    if (b->builder.size >= p->options.batch_bytes || p->flushing) producer_close_batch(p, q);
    producer_wake(p);
    return true;
}

static size_t size_of(const struct producer_record *r) {
    size_t size = 64 + r->key.size + r->value.size;
    for (int32_t i = 0; i < r->header_count; i++) {
        size += 16 + r->headers[i].key.size + r->headers[i].value.size;
    }
    return size;
}

static void keep_waiting(struct producer *p, struct produce_topic *t, struct producer_record *r,
                         const struct record *data, size_t charged) {
    struct waiting_record *w = memory_zalloc(1, sizeof *w);
    arena_init(&w->arena);
    w->record = r;
    w->charged = charged;
    w->since_ns = env_now_ns(p->env);
    w->copy = *data;
    w->copy.key = arena_copy(&w->arena, data->key);
    w->copy.value = arena_copy(&w->arena, data->value);
    w->copy.headers = arena_zalloc(&w->arena, (size_t)data->header_count, sizeof *data->headers);
    for (int32_t i = 0; i < data->header_count; i++) {
        w->copy.headers[i].key = arena_copy(&w->arena, data->headers[i].key);
        w->copy.headers[i].value = arena_copy(&w->arena, data->headers[i].value);
    }
    list_append(&t->unassigned, &w->link);
}

void producer_end_waiting(struct producer *p, struct waiting_record *w, enum err result,
                          struct message *error) {
    size_t charged = w->charged;
    list_remove(&w->link);
    if (result != ERR_NONE) end_record(p, w->record, result, error);
    arena_deinit(&w->arena);
    memory_free(w);
    if (result != ERR_NONE) release_bytes(p, charged);
}

enum err producer_send(struct producer *p, struct producer_record *r) {
    enum err refused = p->transaction == NULL ? ERR_NONE : producer_transaction_check(p);
    if (refused != ERR_NONE) return refused;
    size_t size = size_of(r);
    if (size > p->options.request_bytes_max) return ERR_MESSAGE_TOO_LARGE;
    if (p->buffered > 0 && p->buffered + size > p->options.buffer_bytes) {
        p->was_full = true;
        return ERR_WOULD_BLOCK;
    }
    p->buffered += size;
    p->pending++;
    if (r->timestamp < 0) r->timestamp = env_wall_ms(p->env);
    list_init(&r->link);
    struct record data = {.timestamp = r->timestamp,
                          .key = r->key,
                          .value = r->value,
                          .headers = r->headers,
                          .header_count = r->header_count};
    struct produce_topic *t = topic_of(p, r->topic);
    grow_partitions(t);
    bool known = t->partition_count > 0 && list_is_empty(&t->unassigned);
    if (!known || !gather(p, t, r, &data, size)) keep_waiting(p, t, r, &data, size);
    producer_wake(p);
    return ERR_NONE;
}

void producer_settle_waiting(struct producer *p, struct produce_topic *t) {
    uint64_t now = env_now_ns(p->env);
    grow_partitions(t);
    list_for_each_safe(link, &t->unassigned) {
        struct waiting_record *w = container_of(link, struct waiting_record, link);
        if (t->partition_count > 0 && gather(p, t, w->record, &w->copy, w->charged)) {
            producer_end_waiting(p, w, ERR_NONE, NULL);
            continue;
        }
        struct message error;
        message_init(&error);
        bool final = t->meta->known && t->meta->error != ERR_NONE && !err_retriable(t->meta->error);
        if (!final && now < w->since_ns + p->options.delivery_timeout_ns) {
            client_refresh(p->client);
            continue;
        }
        enum err why = final ? t->meta->error : ERR_TIMEOUT;
        if (t->partition_count > 0) {
            message_set(&error, "Topic %.*s has %d partitions, there is no partition %d",
                        SLICE_PRINT(t->meta->name), t->partition_count, w->record->partition);
            why = ERR_UNKNOWN_TOPIC_OR_PARTITION;
        } else {
            message_set(&error, "Topic %.*s is not there: %s", SLICE_PRINT(t->meta->name),
                        err_text(t->meta->error == ERR_NONE ? why : t->meta->error));
        }
        producer_end_waiting(p, w, why, &error);
        if (p->transaction != NULL) producer_transaction_broken(p, why, &error, false);
    }
}

void producer_flush(struct producer *p) {
    p->flushing = p->pending > 0;
    producer_wake(p);
}

size_t producer_pending(const struct producer *p) {
    return p->pending;
}

void producer_on_ready(struct producer *p, void (*ready)(void *context), void *context) {
    p->ready = ready;
    p->ready_context = context;
}

// ---- Life ----

enum err producer_new(struct client *client, const struct producer_options *options,
                      struct producer **producer, struct message *error) {
    if (options->idempotent && options->acks != -1) {
        message_set(error,
                    "An idempotent producer needs acks=all; set acks=all or turn idempotence off");
        return ERR_INVALID;
    }
    if (!slice_is_null(options->transactional_id) && !options->idempotent) {
        message_set(error, "A transactional producer is idempotent; leave idempotence on");
        return ERR_INVALID;
    }
    struct producer *p = memory_zalloc(1, sizeof *p);
    p->client = client;
    p->env = client_env(client);
    p->options = *options;
    if (p->options.idempotent) {
        p->options.in_flight_max = MIN(p->options.in_flight_max, (int32_t)IN_FLIGHT_IDEMPOTENT_MAX);
    }
    p->producer_id = -1;
    map_init(&p->topics, env_random(p->env));
    list_init(&p->active);
    producer_send_init(p);
    if (!slice_is_null(options->transactional_id)) producer_transaction_init(p);
    *producer = p;
    return ERR_NONE;
}

static void partition_free(struct producer *p, struct produce_partition *q) {
    if (q->open != NULL) producer_end_batch(p, q->open, ERR_CANCELLED, -1, -1, NULL);
    while (!list_is_empty(&q->queue)) {
        struct produce_batch *b = container_of(q->queue.next, struct produce_batch, link);
        producer_end_batch(p, b, ERR_CANCELLED, -1, -1, NULL);
    }
    memory_free(q);
}

void producer_free(struct producer *p) {
    if (p == NULL) return;
    p->ready = NULL;
    producer_send_deinit(p);
    if (p->transaction != NULL) producer_transaction_deinit(p);
    map_for_each(n, &p->topics) {
        struct produce_topic *t = container_of(n, struct produce_topic, by_name);
        while (!list_is_empty(&t->unassigned)) {
            producer_end_waiting(p, container_of(t->unassigned.next, struct waiting_record, link),
                                 ERR_CANCELLED, NULL);
        }
        for (int32_t i = 0; i < t->partition_count; i++)
            partition_free(p, t->partitions[i]);
        map_remove(&p->topics, &t->by_name);
        client_topic_release(p->client, t->meta);
        memory_free(t->partitions);
        memory_free(t);
    }
    map_deinit(&p->topics);
    memory_free(p);
}
