// Producers and consumers of the client library, as a program would use them.
#include "base/memory.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "sim/clients.h"

#define MS UINT64_C(1000000)

static struct client *new_client(struct env *env) {
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = 800 * MS;
    struct client *client;
    struct message error;
    enum err err = client_new(env, &options, &client, &error);
    return err == ERR_NONE ? client : NULL;
}

// ---- Streams: many records under way, several batches in flight ----

struct stream {
    struct env *env;
    struct clients *clients;
    int32_t number;
    struct client *client;
    struct producer *producer;
    struct env_timer timer;
    bool is_resting;
};

struct stream_record {
    struct producer_record record;
    struct stream *stream;
    uint64_t id;
};

static void stream_sent(struct producer_record *record, enum err result) {
    struct stream_record *own = container_of(record, struct stream_record, record);
    struct stream *s = own->stream;
    if (result == ERR_NONE) {
        ledger_acked(s->clients->ledger, own->id, record->partition, record->offset, true);
    } else if (!ledger_may_go_back(s->clients->ledger) && result != ERR_TIMEOUT &&
               result != ERR_REQUEST_TIMED_OUT && result != ERR_CANCELLED) {
        // Timeouts leave open what became of a record; other errors of a library that retries are
        // findings.
        ledger_violate(s->clients->ledger, "stream %d: record %llu ends with %s: %s", s->number,
                       (unsigned long long)own->id, err_name(result),
                       record->error == NULL ? "" : record->error->text);
    }
    memory_free(own);
}

static bool stream_send(struct stream *s) {
    uint8_t value[PAYLOAD_MAX];
    struct stream_record *own = memory_zalloc(1, sizeof *own);
    own->stream = s;
    int32_t partition = (int32_t)(env_random(s->env) % (uint64_t)s->clients->partition_count);
    own->id = ledger_record(s->clients->ledger, s->number, partition);
    own->record = (struct producer_record){.topic = SLICE_LITERAL(CLIENT_TOPIC),
                                           .partition = partition,
                                           .timestamp = -1,
                                           .value = slice_of(value, payload_fill(own->id, value)),
                                           .done = stream_sent};
    if (producer_send(s->producer, &own->record) == ERR_NONE) return true;
    memory_free(own);  // the buffer is full: the id was never sent
    return false;
}

static void stream_go_on(struct env_timer *timer) {
    struct stream *s = container_of(timer, struct stream, timer);
    if (s->clients->is_closing) {
        if (producer_pending(s->producer) == 0) {
            clients_rest(s->clients);
            return;
        }
        producer_flush(s->producer);
    } else {
        uint64_t count = 1 + env_random(s->env) % 12;
        while (count-- > 0 && stream_send(s)) {
        }
    }
    env_timer_start(s->env, timer, env_now_ns(s->env) + env_random(s->env) % (15 * MS));
}

void stream_start(struct env *env, struct clients *clients) {
    struct stream *s = memory_zalloc(1, sizeof *s);
    s->env = env;
    s->clients = clients;
    s->number = clients->producer_count++;
    s->client = new_client(env);
    struct producer_options options = producer_options_default();
    options.batch_bytes = 2000;
    options.buffer_bytes = 64 << 10;
    options.request_timeout_ns = 800 * MS;
    options.delivery_timeout_ns = 600000 * MS;
    struct message error;
    if (producer_new(s->client, &options, &s->producer, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no producer: %s", error.text);
        return;
    }
    env_timer_init(&s->timer, stream_go_on);
    clients->busy++;
    env_timer_start(env, &s->timer, env_now_ns(env) + env_random(env) % (50 * MS));
}

// ---- Readers ----

struct reader_client {
    struct env *env;
    struct clients *clients;
    int32_t number;
    bool is_last;
    struct client *client;
    struct consumer *consumer;
    int64_t *floors;         // of the partition's start
    int64_t *next;           // the offset that must come next, by partition; -1: any
    struct env_timer timer;  // begins anew; or looks whether the last read is done
};

static const struct slice topic_name = SLICE_LITERAL(CLIENT_TOPIC);

static void reader_assign(struct reader_client *r, int32_t partition) {
    r->floors[partition] = ledger_trim_floor(r->clients->ledger, partition);
    r->next[partition] = ledger_may_trim(r->clients->ledger) ? -1 : 0;
    if (consumer_assign(r->consumer, topic_name, partition, OFFSET_EARLIEST) != ERR_NONE) {
        ledger_violate(r->clients->ledger, "cannot assign partition %d", partition);
    }
}

static void reader_took(struct reader_client *r, const struct consumer_record *record) {
    struct ledger *ledger = r->clients->ledger;
    int32_t partition = record->partition;
    int64_t offset = record->record.offset;
    uint64_t id = 0;
    if (partition < 0 || partition >= r->clients->partition_count) {
        ledger_violate(ledger, "a record of partition %d", partition);
    } else if (r->next[partition] >= 0 && offset != r->next[partition]) {
        ledger_violate(ledger, "partition %d: offset %lld follows where %lld should", partition,
                       (long long)offset, (long long)r->next[partition]);
    } else if (!payload_read(record->record.value, &id)) {
        ledger_violate(ledger, "partition %d, offset %lld: the value is damaged", partition,
                       (long long)offset);
    } else {
        if (r->next[partition] < 0) ledger_begins(ledger, partition, offset, r->floors[partition]);
        r->next[partition] = offset + 1;
        ledger_seen(ledger, id, partition, offset);
    }
}

static void reader_failed(struct reader_client *r, int32_t partition, enum err err,
                          const char *error) {
    bool may_miss = ledger_may_go_back(r->clients->ledger) || ledger_may_trim(r->clients->ledger);
    if (err == ERR_OFFSET_OUT_OF_RANGE && may_miss) {
        reader_assign(r, partition);
    } else if (err_retriable(err) && err != ERR_CORRUPT_MESSAGE && err != ERR_CORRUPT) {
        reader_assign(r, partition);
    } else {
        ledger_violate(r->clients->ledger, "reading partition %d at offset %lld: %s: %s", partition,
                       (long long)r->next[partition], err_name(err), error);
    }
}

static void reader_ready(void *context) {
    struct reader_client *r = context;
    for (;;) {
        struct consumer_record record;
        struct message error;
        message_init(&error);
        enum err err = consumer_next(r->consumer, &record, &error);
        if (err == ERR_WOULD_BLOCK) break;
        if (err == ERR_NONE) {
            reader_took(r, &record);
        } else {
            reader_failed(r, record.partition, err, error.text);
        }
        if (ledger_violation(r->clients->ledger) != NULL) return;
    }
    for (int32_t i = 0; i < r->clients->partition_count; i++) {
        int64_t position, end;
        if (consumer_position(r->consumer, topic_name, i, &position, &end) && end >= 0) {
            ledger_end_told(r->clients->ledger, r->number, i, end);
        }
    }
}

static bool last_read_is_done(const struct reader_client *r) {
    for (int32_t i = 0; i < r->clients->partition_count; i++) {
        int64_t position, end;
        if (!consumer_position(r->consumer, topic_name, i, &position, &end)) return false;
        if (end < 0 || position < end || position < ledger_promised_end(r->clients->ledger, i))
            return false;
    }
    return true;
}

static void reader_go_on(struct env_timer *timer) {
    struct reader_client *r = container_of(timer, struct reader_client, timer);
    if (r->is_last) {
        if (last_read_is_done(r)) r->clients->last_read_done = true;
        env_timer_start(r->env, timer, env_now_ns(r->env) + 50 * MS);
        return;
    }
    int32_t partition = (int32_t)(env_random(r->env) % (uint64_t)r->clients->partition_count);
    reader_assign(r, partition);
    env_timer_start(r->env, timer, env_now_ns(r->env) + env_random(r->env) % (4000 * MS));
}

static void new_reader(struct env *env, struct clients *clients, bool is_last) {
    struct reader_client *r = memory_zalloc(1, sizeof *r);
    r->env = env;
    r->clients = clients;
    r->number = clients->reader_count++;
    r->is_last = is_last;
    r->client = new_client(env);
    r->next = memory_zalloc((size_t)clients->partition_count, sizeof *r->next);
    r->floors = memory_zalloc((size_t)clients->partition_count, sizeof *r->floors);
    struct consumer_options options = consumer_options_default();
    options.fetch_wait_ms = 100;
    options.partition_bytes_max = 4000;
    options.fetch_bytes_max = 16000;
    options.reset = 0;
    r->consumer = consumer_new(r->client, &options);
    consumer_on_ready(r->consumer, reader_ready, r);
    for (int32_t i = 0; i < clients->partition_count; i++)
        reader_assign(r, i);
    env_timer_init(&r->timer, reader_go_on);
    env_timer_start(env, &r->timer, env_now_ns(env) + 2000 * MS);
    reader_ready(r);
}

void reader_start(struct env *env, struct clients *clients) {
    new_reader(env, clients, false);
}
void last_reader_start(struct env *env, struct clients *clients) {
    new_reader(env, clients, true);
}
