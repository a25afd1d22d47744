// Programs that read, transform and write exactly once: a consumer of CLIENT_TOPIC, a transactional
// producer to COPY_TOPIC, and the consumer's offsets inside the transaction. A copier that meets
// anything it cannot go on from ends and begins anew, as a program would; the nemesis kills it at
// any event. Two copiers may have the same transactional id: each fences the other.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "sim/clients.h"

#define MS         UINT64_C(1000000)
#define COPY_GROUP SLICE_LITERAL("copiers")

enum { TIMEOUT_MS = 1200, BATCH_MAX = 16, KEY_SIZE = 16, REQUEST_MS = 800 };

enum copier_step {
    STEP_BEGIN_LIFE,
    STEP_FIND,
    STEP_OFFSETS,
    STEP_WORK,
    STEP_SEND_OFFSETS,
    STEP_END,
    STEP_END_LIFE
};

struct copier {
    struct env *env;
    struct clients *clients;
    int32_t number;
    bool is_twin;  // has the transactional id of another one
    char id[32];
    struct client *client;
    struct producer *producer;
    struct consumer *consumer;
    struct env_timer timer;
    struct client_call call;
    struct arena arena;
    enum copier_step step;
    uint64_t transaction;                 // 0: none is open
    int64_t next[COPY_PARTITIONS_MAX];    // of the input; -1: not ours
    int64_t floors[COPY_PARTITIONS_MAX];  // of the fetch under way
    bool touched[COPY_PARTITIONS_MAX];    // by the open transaction
    bool gives_up;                        // the transaction is to be aborted
};

struct copy_record {
    struct producer_record record;
    struct copier *copier;
    uint64_t transaction;
    int64_t source;  // offset; -1: no copy
};

static const struct slice input = SLICE_LITERAL(CLIENT_TOPIC);
static const struct slice output = SLICE_LITERAL(COPY_TOPIC);

static uint64_t below(struct copier *c, uint64_t bound) {
    return env_random(c->env) % bound;
}

static void next_step(struct copier *c, enum copier_step step, uint64_t delay_ns) {
    c->step = step;
    env_timer_start(c->env, &c->timer, env_now_ns(c->env) + delay_ns);
}

static bool is_mine(const struct copier *c, int32_t partition) {
    return partition % c->clients->copier_count == c->number;
}

// ---- The history ----

PRINTF_LIKE(2, 3) static void tell(struct clients *clients, const char *format, ...) {
    if (clients->history == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(clients->history, format, arguments);
    va_end(arguments);
    fputc('\n', clients->history);
}

// A copy's name: its transaction, and where its source stands.
#define COPY_NAME      "t%" PRIu64 "-%d@%" PRId64
#define COPY_OF_RECORD "\"topic\":\"" COPY_TOPIC "\",\"partition\":%d,\"value\":\"" COPY_NAME "\""

static void tell_end(struct copier *c, const char *op, const char *result) {
    tell(c->clients, "{\"op\":\"%s\",\"txn\":\"t%" PRIu64 "\",\"result\":\"%s\"}", op,
         c->transaction, result);
}

// ---- A life ----

static void inited(void *context, enum err result, const struct message *error) {
    struct copier *c = context;
    (void)error;
    next_step(c, result == ERR_NONE ? STEP_FIND : STEP_END_LIFE, 0);
}

static void begin_life(struct copier *c) {
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = REQUEST_MS * MS;
    struct producer_options producer = producer_options_default();
    producer.transactional_id = slice_cstring(c->id);
    producer.transaction_timeout_ms = TIMEOUT_MS;
    producer.request_timeout_ns = REQUEST_MS * MS;
    // An impatient one aborts while its records are still on their way.
    producer.delivery_timeout_ns = (below(c, 2) == 0 ? 900 : 10000) * MS;
    producer.batch_bytes = 600;
    struct consumer_options consumer = consumer_options_default();
    consumer.fetch_wait_ms = 100;
    struct message error;
    if (client_new(c->env, &options, &c->client, &error) != ERR_NONE ||
        producer_new(c->client, &producer, &c->producer, &error) != ERR_NONE) {
        ledger_violate(c->clients->ledger, "no copier: %s", error.text);
        return;
    }
    c->consumer = consumer_new(c->client, &consumer);
    producer_init(c->producer, inited, c);
}

static void end_life(struct copier *c) {
    c->transaction = 0;
    consumer_free(c->consumer);
    producer_free(c->producer);
    client_free(c->client);
    c->consumer = NULL;
    c->producer = NULL;
    c->client = NULL;
    if (c->is_twin && c->clients->is_closing) return;
    next_step(c, STEP_BEGIN_LIFE, below(c, c->is_twin ? 3000 * MS : 300 * MS));
}

// ---- Where the input goes on ----

// The group's coordinator is asked for so that its topic is made.
static void found(struct client_call *call, enum err result) {
    struct copier *c = container_of(call, struct copier, call);
    const struct find_coordinator_response *response = call->response;
    bool is_there = result == ERR_NONE && response->error_code == 0;
    client_call_release(call);
    arena_reset(&c->arena);
    next_step(c, is_there ? STEP_OFFSETS : STEP_FIND, is_there ? 0 : 50 * MS);
}

static void find(struct copier *c) {
    struct find_coordinator_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&find_coordinator_request_codec, r);
    r->key = COPY_GROUP;
    c->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_FIND_COORDINATOR,
                                   .version_min = 1,
                                   .version_max = 3,
                                   .message = r,
                                   .done = found};
    client_call_start(c->client, &c->call);
}

static enum err take_offsets(struct copier *c, const struct offset_fetch_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE || response->topics_count != 1) return err == ERR_NONE ? ERR_CORRUPT : err;
    for (int32_t i = 0; i < response->topics[0].partitions_count; i++) {
        const struct offset_fetch_response_partition *p = &response->topics[0].partitions[i];
        if (p->error_code != 0) return err_of_wire(p->error_code);
        if (p->partition_index < 0 || p->partition_index >= c->clients->partition_count)
            return ERR_CORRUPT;
        int64_t offset = MAX(p->committed_offset, (int64_t)0);
        copy_ledger_fetched(c->clients->copies, p->partition_index, offset,
                            c->floors[p->partition_index]);
        c->next[p->partition_index] = offset;
        err = consumer_assign(c->consumer, input, p->partition_index, offset);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static void offsets_fetched(struct client_call *call, enum err result) {
    struct copier *c = container_of(call, struct copier, call);
    if (result == ERR_NONE) result = take_offsets(c, call->response);
    client_call_release(call);
    arena_reset(&c->arena);
    if (result == ERR_NONE) {
        next_step(c, STEP_WORK, 0);
    } else {
        next_step(c, STEP_OFFSETS, 30 * MS + below(c, 50 * MS));
    }
}

static void fetch_offsets(struct copier *c) {
    struct offset_fetch_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&offset_fetch_request_codec, r);
    r->group_id = COPY_GROUP;
    r->require_stable = true;
    r->topics_count = 1;
    r->topics = offset_fetch_request_topic_new(&c->arena, 1);
    r->topics[0].name = input;
    r->topics[0].partition_indexes = arena_zalloc(&c->arena, COPY_PARTITIONS_MAX, sizeof(int32_t));
    for (int32_t i = 0; i < c->clients->partition_count; i++) {
        c->next[i] = -1;
        if (!is_mine(c, i)) continue;
        c->floors[i] = copy_ledger_offset(c->clients->copies, i);
        r->topics[0].partition_indexes[r->topics[0].partition_indexes_count++] = i;
    }
    c->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_OFFSET_FETCH,
                                   .version_min = 7,
                                   .version_max = 7,
                                   .message = r,
                                   .done = offsets_fetched};
    client_call_start(c->client, &c->call);
}

// ---- A transaction ----

static void copied(struct producer_record *record, enum err result) {
    struct copy_record *r = container_of(record, struct copy_record, record);
    if (result == ERR_NONE && r->source >= 0) {
        tell(r->copier->clients,
             "{\"op\":\"ack\",\"value\":\"" COPY_NAME "\",\"offset\":%" PRId64 "}", r->transaction,
             record->partition, r->source, record->offset);
    }
    if (result != ERR_NONE && r->copier->transaction == r->transaction) r->copier->gives_up = true;
    memory_free(r);
}

static enum err copy_one(struct copier *c, const struct consumer_record *record) {
    uint8_t key[KEY_SIZE];
    struct copy_record *r = memory_zalloc(1, sizeof *r);
    store_u64(key, c->transaction);
    store_u64(key + 8, (uint64_t)record->record.offset);
    r->copier = c;
    r->transaction = c->transaction;
    r->source = record->record.offset;
    tell(c->clients,
         "{\"op\":\"send\",\"client\":\"%s%s\",\"txn\":\"t%" PRIu64 "\"," COPY_OF_RECORD
         ",\"source\":\"%d@%" PRId64 "\"}",
         c->id, c->is_twin ? "-twin" : "", c->transaction, record->partition, c->transaction,
         record->partition, r->source, record->partition, r->source);
    r->record = (struct producer_record){.topic = output,
                                         .partition = record->partition,
                                         .timestamp = -1,
                                         .key = slice_of(key, sizeof key),
                                         .value = record->record.value,
                                         .done = copied};
    enum err err = producer_send(c->producer, &r->record);
    if (err != ERR_NONE) memory_free(r);
    return err;
}

// A record for a topic that will soon be deleted, perhaps before the transaction ends.
static void write_elsewhere(struct copier *c) {
    char topic[32];
    struct copy_record *r = memory_zalloc(1, sizeof *r);
    snprintf(topic, sizeof topic, SHIFTING_TOPIC, c->clients->shifting_topic);
    r->copier = c;
    r->transaction = c->transaction;
    r->source = -1;
    r->record = (struct producer_record){.topic = slice_cstring(topic),
                                         .partition = (int32_t)below(c, 2),
                                         .timestamp = -1,
                                         .key = SLICE_NULL,
                                         .value = SLICE_LITERAL("elsewhere"),
                                         .done = copied};
    if (producer_send(c->producer, &r->record) != ERR_NONE) {
        memory_free(r);
        c->gives_up = true;
    }
}

static bool has_caught_up(const struct copier *c) {
    for (int32_t i = 0; i < c->clients->partition_count; i++) {
        if (is_mine(c, i) && c->next[i] < ledger_promised_end(c->clients->ledger, i)) return false;
    }
    return true;
}

static void wait_for_input(struct copier *c) {
    bool rests = c->clients->is_closing && c->clients->busy <= c->clients->copier_count &&
                 (c->is_twin || has_caught_up(c));
    if (!rests) {
        next_step(c, STEP_WORK, 10 * MS);
    } else if (c->is_twin) {
        next_step(c, STEP_END_LIFE, 0);
    } else {
        clients_rest(c->clients);
    }
}

// The transaction begins with the first record that is there.
static bool take_one(struct copier *c) {
    struct consumer_record record;
    struct message error;
    message_init(&error);
    enum err err = consumer_next(c->consumer, &record, &error);
    if (err == ERR_WOULD_BLOCK) return false;
    if (err != ERR_NONE || record.record.offset != c->next[record.partition]) {
        if (err == ERR_NONE || !err_retriable(err)) {
            ledger_violate(c->clients->ledger, "a copier reads partition %d at %lld: %s",
                           record.partition, (long long)c->next[record.partition],
                           err == ERR_NONE ? "a gap" : err_name(err));
        }
        c->gives_up = true;
        return false;
    }
    if (c->transaction == 0) {
        c->transaction = copy_ledger_begin(c->clients->copies);
        c->gives_up = false;
        memset(c->touched, 0, sizeof c->touched);
        if (producer_begin(c->producer, &error) != ERR_NONE) {
            c->gives_up = true;
            return false;
        }
    }
    if (copy_one(c, &record) != ERR_NONE) {
        c->gives_up = true;
        return false;
    }
    c->next[record.partition]++;
    c->touched[record.partition] = true;
    return true;
}

static void work(struct copier *c) {
    if (c->is_twin && c->clients->is_closing) {
        next_step(c, STEP_END_LIFE, 0);
        return;
    }
    uint64_t count = 1 + below(c, BATCH_MAX);
    while (count > 0 && take_one(c))
        count--;
    if (c->transaction == 0 && !c->gives_up) {
        wait_for_input(c);
        return;
    }
    if (c->transaction != 0 && c->clients->shifting_topic >= 0 && !c->clients->is_closing &&
        below(c, 3) == 0)
        write_elsewhere(c);
    // Now and then the coordinator loses patience just when the end is asked for.
    uint64_t pause =
        below(c, 20) == 0 ? (TIMEOUT_MS - 300 + below(c, 600)) * MS : below(c, 10 * MS);
    if (c->clients->is_closing) pause = 0;
    next_step(c, c->gives_up ? STEP_END : STEP_SEND_OFFSETS, pause);
}

static void offsets_sent(void *context, enum err result, const struct message *error) {
    struct copier *c = context;
    (void)error;
    if (result != ERR_NONE) c->gives_up = true;
    next_step(c, STEP_END, below(c, 3) == 0 ? below(c, 20 * MS) : 0);
}

static void send_offsets(struct copier *c) {
    struct group_offset offsets[COPY_PARTITIONS_MAX];
    struct group_identity identity = {
        .group = COPY_GROUP, .member_id = SLICE_EMPTY, .instance_id = SLICE_NULL, .generation = -1};
    int32_t count = 0;
    for (int32_t i = 0; i < c->clients->partition_count; i++) {
        if (!c->touched[i]) continue;
        offsets[count++] = (struct group_offset){{input, i}, c->next[i], -1, SLICE_NULL};
        tell(c->clients,
             "{\"op\":\"offsets\",\"txn\":\"t%" PRIu64
             "\",\"group\":\"copiers\",\"topic\":\"" CLIENT_TOPIC
             "\",\"partition\":%d,\"offset\":%" PRId64 "}",
             c->transaction, i, c->next[i]);
    }
    producer_send_offsets(c->producer, offsets, count, &identity, offsets_sent, c);
}

static void committed(void *context, enum err result, const struct message *error) {
    struct copier *c = context;
    (void)error;
    tell_end(c, "commit", result == ERR_NONE ? "ok" : "unknown");
    if (result == ERR_NONE) {
        copy_ledger_committed(c->clients->copies, c->transaction, c->next);
        c->transaction = 0;
        next_step(c, STEP_WORK, below(c, 10 * MS));
    } else {
        // Whether it counts is not known: what the group's offsets say after the next life's
        // fencing is the truth.
        bool aborts = producer_status(c->producer) == PRODUCER_ABORTABLE;
        c->gives_up = true;
        next_step(c, aborts ? STEP_END : STEP_END_LIFE, 0);
    }
}

static void aborted(void *context, enum err result, const struct message *error) {
    struct copier *c = context;
    (void)error;
    tell_end(c, "abort", result == ERR_NONE ? "ok" : "unknown");
    c->transaction = 0;
    c->gives_up = false;
    next_step(c, result == ERR_NONE ? STEP_OFFSETS : STEP_END_LIFE, 0);
}

static void end_transaction(struct copier *c) {
    if (c->transaction == 0) {
        c->gives_up = false;
        next_step(c, STEP_END_LIFE, 0);
        return;
    }
    bool changes_mind = !c->clients->is_closing && below(c, 8) == 0;
    if (c->gives_up || changes_mind) {
        tell_end(c, "abort", "asked");
        copy_ledger_aborting(c->clients->copies, c->transaction);
        producer_abort(c->producer, aborted, c);
    } else {
        tell_end(c, "commit", "asked");
        copy_ledger_committing(c->clients->copies, c->transaction);
        producer_commit(c->producer, committed, c);
    }
}

static void copier_go_on(struct env_timer *timer) {
    struct copier *c = container_of(timer, struct copier, timer);
    switch (c->step) {
        case STEP_BEGIN_LIFE:
            begin_life(c);
            break;
        case STEP_FIND:
            find(c);
            break;
        case STEP_OFFSETS:
            fetch_offsets(c);
            break;
        case STEP_WORK:
            work(c);
            break;
        case STEP_SEND_OFFSETS:
            send_offsets(c);
            break;
        case STEP_END:
            end_transaction(c);
            break;
        case STEP_END_LIFE:
            end_life(c);
            break;
    }
}

void copiers_start(struct env *env, struct clients *clients, bool are_twins) {
    for (int32_t i = 0; i < clients->copier_count; i++) {
        struct copier *c = memory_zalloc(1, sizeof *c);
        c->env = env;
        c->clients = clients;
        c->number = i;
        c->is_twin = are_twins;
        snprintf(c->id, sizeof c->id, "copier-%d", i);
        arena_init(&c->arena);
        env_timer_init(&c->timer, copier_go_on);
        next_step(c, STEP_BEGIN_LIFE, below(c, 200 * MS));
    }
}

// ---- Readers of the copies ----

struct copy_reader {
    struct env *env;
    struct clients *clients;
    struct client *client;
    struct consumer *consumer;  // read_committed
    struct consumer *all;       // the last one: read_uncommitted, to know the log's end
    struct env_timer timer;
    int64_t next[COPY_PARTITIONS_MAX];  // of the input
};

static void read_from_start(struct copy_reader *r, int32_t partition) {
    r->next[partition] = 0;
    tell(r->clients,
         "{\"op\":\"assign\",\"client\":\"%s\",\"topic\":\"" COPY_TOPIC
         "\",\"partition\":%d,\"offset\":0}",
         r->all == NULL ? "reader" : "last", partition);
    if (consumer_assign(r->consumer, output, partition, OFFSET_EARLIEST) != ERR_NONE)
        ledger_violate(r->clients->ledger, "cannot assign partition %d of the copies", partition);
}

static void took_copy(struct copy_reader *r, const struct consumer_record *record) {
    uint64_t id;
    if (slice_equal_cstring(record->record.value, "wild")) return;
    if (record->record.key.size != KEY_SIZE || !payload_read(record->record.value, &id)) {
        ledger_violate(r->clients->ledger, "a copy at offset %lld of partition %d is damaged",
                       (long long)record->record.offset, record->partition);
        return;
    }
    int64_t source = load_i64(record->record.key.data + 8);
    tell(r->clients,
         "{\"op\":\"read\",\"client\":\"%s\"," COPY_OF_RECORD ",\"offset\":%" PRId64 "}",
         r->all == NULL ? "reader" : "last", record->partition, load_u64(record->record.key.data),
         record->partition, source, record->record.offset);
    copy_ledger_seen(r->clients->copies, load_u64(record->record.key.data), record->partition,
                     source, r->next[record->partition]);
    r->next[record->partition] = source + 1;
}

static void drain(struct copy_reader *r) {
    struct consumer_record record;
    enum err err;
    while (ledger_violation(r->clients->ledger) == NULL &&
           (err = consumer_next(r->consumer, &record, NULL)) != ERR_WOULD_BLOCK) {
        if (err == ERR_NONE) {
            took_copy(r, &record);
        } else if (err_retriable(err) && err != ERR_CORRUPT_MESSAGE) {
            read_from_start(r, record.partition);
        } else {
            ledger_violate(r->clients->ledger, "reading copies of partition %d: %s",
                           record.partition, err_name(err));
        }
    }
}

// Everything was copied, and no transaction holds back what readers may see.
static bool all_is_read(struct copy_reader *r) {
    struct consumer_record record;
    while (consumer_next(r->all, &record, NULL) == ERR_NONE) {
    }
    for (int32_t i = 0; i < r->clients->partition_count; i++) {
        int64_t position, stable_end, end;
        if (!consumer_position(r->consumer, output, i, &position, &stable_end) ||
            position < stable_end || stable_end < 0)
            return false;
        if (!consumer_position(r->all, output, i, &position, &end) || end != stable_end)
            return false;
        if (r->next[i] < ledger_promised_end(r->clients->ledger, i)) return false;
    }
    return true;
}

static void tell_rest(const struct copy_reader *r) {
    for (int32_t i = 0; i < r->clients->partition_count; i++) {
        int64_t position = 0, end;
        if (!consumer_position(r->consumer, output, i, &position, &end)) continue;
        tell(r->clients,
             "{\"op\":\"end\",\"client\":\"last\",\"topic\":\"" COPY_TOPIC
             "\",\"partition\":%d,\"offset\":%" PRId64 "}",
             i, position);
    }
}

static void copy_reader_go_on(struct env_timer *timer) {
    struct copy_reader *r = container_of(timer, struct copy_reader, timer);
    drain(r);
    if (r->all != NULL && !r->clients->last_read_done && all_is_read(r)) {
        tell_rest(r);
        r->clients->last_read_done = true;
    }
    if (r->all == NULL && env_random(r->env) % 200 == 0) {
        read_from_start(r, (int32_t)(env_random(r->env) % (uint64_t)r->clients->partition_count));
    }
    env_timer_start(r->env, timer, env_now_ns(r->env) + 10 * MS);
}

void copy_reader_start(struct env *env, struct clients *clients, bool is_last) {
    struct copy_reader *r = memory_zalloc(1, sizeof *r);
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = REQUEST_MS * MS;
    struct consumer_options consumer = consumer_options_default();
    consumer.fetch_wait_ms = 50;
    consumer.partition_bytes_max = 4000;
    struct message error;
    r->env = env;
    r->clients = clients;
    if (client_new(env, &options, &r->client, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no reader: %s", error.text);
        return;
    }
    r->consumer = consumer_new(r->client, &consumer);
    consumer.read_committed = false;
    if (is_last) r->all = consumer_new(r->client, &consumer);
    for (int32_t i = 0; i < clients->partition_count; i++) {
        read_from_start(r, i);
        if (is_last && consumer_assign(r->all, output, i, OFFSET_EARLIEST) != ERR_NONE)
            ledger_violate(clients->ledger, "cannot assign partition %d of the copies", i);
    }
    env_timer_init(&r->timer, copy_reader_go_on);
    env_timer_start(env, &r->timer, env_now_ns(env));
}
