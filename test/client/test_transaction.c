// Transactions of the client library against a real broker, by both protocols (transaction.version
// 1 and 2).
#include "test/client/bed.h"

#include "client/consumer.h"

enum { VALUES_MAX = 64 };

struct txn {
    struct bed *bed;
    struct producer *producer;
    struct producer_options options;
    const char *id;
    // The operation that is waited for.
    bool is_done;
    enum err result;
    char text[MESSAGE_MAX];
    int32_t records_done;
    enum err record_error;
    enum err send_error;  // of producer_send
    int32_t from, count, partition;
    int64_t offset;
    struct group_identity group;
};

struct txn_record {
    struct producer_record record;
    struct txn *t;
    char value[16];
};

static void done(void *context, enum err result, const struct message *text) {
    struct txn *t = context;
    t->is_done = true;
    t->result = result;
    snprintf(t->text, sizeof t->text, "%s", text->text);
    assert_true((result == ERR_NONE) == (text->text[0] == '\0'));
}

static bool is_done(void *context) {
    return ((struct txn *)context)->is_done;
}

static void begin_producer(void *context) {
    struct txn *t = context;
    struct message error;
    t->options.transactional_id = slice_cstring(t->id);
    assert_int_equal(producer_new(t->bed->client, &t->options, &t->producer, &error), ERR_NONE);
}

static void end_producer(void *context) {
    producer_free(((struct txn *)context)->producer);
}

static void init(void *context) {
    struct txn *t = context;
    producer_init(t->producer, done, t);
}

static void commit(void *context) {
    struct txn *t = context;
    producer_commit(t->producer, done, t);
}

static void abort_it(void *context) {
    struct txn *t = context;
    producer_abort(t->producer, done, t);
}

static void send_offsets(void *context) {
    struct txn *t = context;
    struct group_offset offset = {{SLICE_LITERAL("t"), 0}, t->offset, -1, SLICE_NULL};
    producer_send_offsets(t->producer, &offset, 1, &t->group, done, t);
}

static enum err wait_for(struct txn *t, void (*operation)(void *context)) {
    t->is_done = false;
    bed_as(t->bed, operation, t);
    bed_until(t->bed, is_done, t, "the end of an operation");
    return t->result;
}

static void must(struct txn *t, void (*operation)(void *context)) {
    if (wait_for(t, operation) != ERR_NONE) fail_msg("%s", t->text);
}

static void begin_transaction(void *context) {
    struct txn *t = context;
    struct message error;
    message_init(&error);
    if (producer_begin(t->producer, &error) != ERR_NONE) fail_msg("%s", error.text);
}

static void record_done(struct producer_record *record, enum err result) {
    struct txn_record *r = container_of(record, struct txn_record, record);
    r->t->records_done++;
    if (result != ERR_NONE) r->t->record_error = result;
    memory_free(r);
}

static void send(void *context) {
    struct txn *t = context;
    for (int32_t i = 0; i < t->count; i++) {
        struct txn_record *r = memory_zalloc(1, sizeof *r);
        r->t = t;
        snprintf(r->value, sizeof r->value, "%d", t->from + i);
        r->record = (struct producer_record){.topic = SLICE_LITERAL("t"),
                                             .partition = t->partition,
                                             .timestamp = -1,
                                             .value = slice_cstring(r->value),
                                             .done = record_done};
        t->send_error = producer_send(t->producer, &r->record);
        if (t->send_error != ERR_NONE) memory_free(r);
    }
}

static void send_to(struct txn *t, int32_t partition, int32_t from, int32_t count) {
    t->partition = partition;
    t->from = from;
    t->count = count;
    bed_as(t->bed, send, t);
}

static bool has_sent(void *context) {
    return producer_pending(((struct txn *)context)->producer) == 0;
}

static struct txn txn_of(struct bed *bed, const char *id) {
    struct txn t = {.bed = bed, .id = id, .options = producer_options_default()};
    t.options.compression = COMPRESSION_ZSTD;
    return t;
}

// ---- What is read ----

struct view {
    struct bed *bed;
    struct consumer *consumer;
    bool read_committed;
    int32_t partitions;
    int64_t values[VALUES_MAX];
    int32_t count;
};

static void open_view(void *context) {
    struct view *v = context;
    struct consumer_options o = consumer_options_default();
    o.read_committed = v->read_committed;
    v->consumer = consumer_new(v->bed->client, &o);
    for (int32_t i = 0; i < v->partitions; i++) {
        assert_int_equal(consumer_assign(v->consumer, SLICE_LITERAL("t"), i, OFFSET_EARLIEST),
                         ERR_NONE);
    }
}

static void look(void *context) {
    struct view *v = context;
    struct consumer_record record;
    enum err e;
    while ((e = consumer_next(v->consumer, &record, NULL)) == ERR_NONE) {
        assert_true(v->count < VALUES_MAX);
        assert_true(slice_parse_int64(record.record.value, &v->values[v->count++]));
    }
    assert_int_equal(e, ERR_WOULD_BLOCK);
}

static bool sees_all(void *context) {
    struct view *v = context;
    bed_as(v->bed, look, v);
    for (int32_t i = 0; i < v->partitions; i++) {
        int64_t position, end;
        if (!consumer_position(v->consumer, SLICE_LITERAL("t"), i, &position, &end)) return false;
        if (end < 0 || position < end) return false;
    }
    return true;
}

static void close_view(void *context) {
    consumer_free(((struct view *)context)->consumer);
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// What the topic says to a reader, in order, as "1 2 3".
static void read_text(struct bed *bed, bool read_committed, char text[256]) {
    struct view v = {.bed = bed, .read_committed = read_committed, .partitions = 2};
    bed_as(bed, open_view, &v);
    bed_until(bed, sees_all, &v, "the end of the partitions");
    bed_as(bed, close_view, &v);
    qsort(v.values, (size_t)v.count, sizeof *v.values, compare);
    text[0] = '\0';
    for (int32_t i = 0; i < v.count; i++) {
        snprintf(text + strlen(text), 256 - strlen(text), "%s%lld", i == 0 ? "" : " ",
                 (long long)v.values[i]);
    }
}

// EndTxn is answered before the markers are in the partitions: they may take a moment.
static void reads(struct bed *bed, bool read_committed, const char *expected) {
    char text[256];
    for (int32_t tries = 0; tries < 20; tries++) {
        read_text(bed, read_committed, text);
        if (strcmp(text, expected) == 0) return;
        sim_run(bed->sim, 100 * MS, NULL);
    }
    assert_string_equal(text, expected);
}

// ---- The two protocols ----

struct feature {
    struct bed *bed;
    struct update_features_request request;
    struct client_call call;
    struct arena arena;
    int16_t level;
    bool is_done;
};

static void feature_done(struct client_call *call, enum err result) {
    struct feature *f = container_of(call, struct feature, call);
    const struct update_features_response *m = call->response;
    assert_int_equal(result, ERR_NONE);
    if (m->error_code != 0) fail_msg("%.*s", SLICE_PRINT(m->error_message));
    client_call_release(call);
    f->is_done = true;
}

static void change_feature(void *context) {
    struct feature *f = context;
    enum { SAFE_DOWNGRADE = 2 };
    codec_init(&update_features_request_codec, &f->request);
    f->request.feature_updates_count = 1;
    f->request.feature_updates = update_features_request_feature_update_new(&f->arena, 1);
    f->request.feature_updates[0].feature = SLICE_LITERAL("transaction.version");
    f->request.feature_updates[0].max_version_level = f->level;
    f->request.feature_updates[0].upgrade_type = SAFE_DOWNGRADE;
    f->call = (struct client_call){.api = API_UPDATE_FEATURES,
                                   .version_min = 1,
                                   .version_max = INT16_MAX,
                                   .message = &f->request,
                                   .done = feature_done};
    client_call_start(f->bed->client, &f->call);
}

static bool feature_is_done(void *context) {
    return ((struct feature *)context)->is_done;
}

static int16_t version_of(void **state) {
    return *(const int16_t *)*state;
}

static void begin_bed(struct bed *bed, void **state) {
    bed_init(bed);
    bed_topic(bed, "t", 2);
    if (version_of(state) == 2) return;
    struct feature f = {.bed = bed, .level = version_of(state)};
    bed_as(bed, change_feature, &f);
    bed_until(bed, feature_is_done, &f, "the feature's change");
    // A connection knows the features of its beginning.
    sim_network_reset(bed->node);
    arena_deinit(&f.arena);
}

// ---- Tests ----

static void commits_and_aborts(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn t = txn_of(&bed, "a");
    bed_as(&bed, begin_producer, &t);
    must(&t, init);
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 1, 3);
    send_to(&t, 1, 4, 1);
    must(&t, commit);
    assert_int_equal(t.records_done, 4);
    reads(&bed, true, "1 2 3 4");
    for (int32_t round = 0; round < 3; round++) {
        bed_as(&bed, begin_transaction, &t);
        send_to(&t, round % 2, 10 + round, 1);
        bed_until(&bed, has_sent, &t, "records");
        if (round == 0) reads(&bed, true, "1 2 3 4");
        must(&t, abort_it);
        bed_as(&bed, begin_transaction, &t);
        send_to(&t, 0, 20 + round, 1);
        must(&t, commit);
    }
    reads(&bed, true, "1 2 3 4 20 21 22");
    reads(&bed, false, "1 2 3 4 10 11 12 20 21 22");
    // Empty ones are fine.
    bed_as(&bed, begin_transaction, &t);
    must(&t, commit);
    bed_as(&bed, begin_transaction, &t);
    must(&t, abort_it);
    assert_int_equal(t.record_error, ERR_NONE);
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

// What was not sent when the transaction is aborted ends with an error and is nowhere.
static void an_abort_drops(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn t = txn_of(&bed, "a");
    t.options.linger_ns = 10000 * MS;
    bed_as(&bed, begin_producer, &t);
    must(&t, init);
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 1, 2);
    must(&t, abort_it);
    assert_int_equal(t.records_done, 2);
    assert_int_equal(t.record_error, ERR_TRANSACTION_ABORTABLE);
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 3, 1);
    must(&t, commit);
    reads(&bed, false, "3");
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

// A second producer of the same id fences the first, and its open transaction is aborted.
static void the_newer_one_wins(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn a = txn_of(&bed, "a"), b = a;
    bed_as(&bed, begin_producer, &a);
    must(&a, init);
    bed_as(&bed, begin_transaction, &a);
    send_to(&a, 0, 1, 1);
    bed_until(&bed, has_sent, &a, "records");
    bed_as(&bed, begin_producer, &b);
    must(&b, init);
    assert_int_not_equal(wait_for(&a, commit), ERR_NONE);
    assert_int_equal(producer_status(a.producer), PRODUCER_FATAL);
    bed_as(&bed, begin_transaction, &b);
    send_to(&b, 0, 2, 1);
    must(&b, commit);
    reads(&bed, true, "2");
    send_to(&a, 0, 3, 1);
    assert_int_not_equal(a.send_error, ERR_NONE);
    assert_int_not_equal(wait_for(&a, abort_it), ERR_NONE);
    bed_as(&bed, end_producer, &a);
    bed_as(&bed, end_producer, &b);
    bed_deinit(&bed);
}

// A record that the broker refuses breaks the transaction, not the producer.
static void a_refused_record(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn t = txn_of(&bed, "a");
    t.options.delivery_timeout_ns = 2000 * MS;
    bed_as(&bed, begin_producer, &t);
    must(&t, init);
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 1, 1);
    send_to(&t, 7, 9, 1);  // there is no such partition
    assert_int_not_equal(wait_for(&t, commit), ERR_NONE);
    assert_int_equal(producer_status(t.producer), PRODUCER_ABORTABLE);
    send_to(&t, 0, 2, 1);
    assert_int_not_equal(t.send_error, ERR_NONE);
    must(&t, abort_it);
    assert_int_equal(producer_status(t.producer), PRODUCER_USABLE);
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 3, 1);
    must(&t, commit);
    reads(&bed, true, "3");
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

// The broker dies in the middle, with records under way and while committing.
static void survives_the_broker(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn t = txn_of(&bed, "a");
    bed_as(&bed, begin_producer, &t);
    must(&t, init);
    for (int32_t round = 0; round < 4; round++) {
        bed_as(&bed, begin_transaction, &t);
        send_to(&t, 0, 2 * round, 1);
        send_to(&t, 1, 2 * round + 1, 1);
        if (round % 2 == 0) bed_until(&bed, has_sent, &t, "records");
        cluster_kill(&bed.cluster);
        must(&t, commit);
    }
    reads(&bed, true, "0 1 2 3 4 5 6 7");
    reads(&bed, false, "0 1 2 3 4 5 6 7");
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

// ---- Offsets ----

struct ask {
    struct bed *bed;
    struct group_consumer *g;
    int64_t committed;
    bool is_known;
};

static void told(void *context, enum err result, const struct group_offset *offsets,
                 int32_t count) {
    struct ask *a = context;
    assert_int_equal(result, ERR_NONE);
    assert_int_equal(count, 1);
    a->committed = offsets[0].offset;
    a->is_known = true;
}

static void open_group(void *context) {
    struct ask *a = context;
    struct group_consumer_options o = group_consumer_options_default();
    struct slice topic = SLICE_LITERAL("t");
    o.group = SLICE_LITERAL("g");
    o.topics = &topic;
    o.topic_count = 1;
    o.auto_commit = false;
    struct message error;
    assert_int_equal(group_consumer_new(a->bed->client, &o, &a->g, &error), ERR_NONE);
}

static bool group_is_stable(void *context) {
    return group_consumer_is_stable(((struct ask *)context)->g);
}

static void ask_committed(void *context) {
    struct ask *a = context;
    struct topic_partition id = {SLICE_LITERAL("t"), 0};
    a->is_known = false;
    group_consumer_committed(a->g, &id, 1, told, a);
}

static bool is_known(void *context) {
    return ((struct ask *)context)->is_known;
}

static int64_t committed(struct ask *a) {
    bed_as(a->bed, ask_committed, a);
    bed_until(a->bed, is_known, a, "committed offsets");
    return a->committed;
}

static void close_group(void *context) {
    group_consumer_free(((struct ask *)context)->g);
}

static void offsets_go_with_the_transaction(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct ask a = {.bed = &bed};
    bed_as(&bed, open_group, &a);
    bed_until(&bed, group_is_stable, &a, "a stable group");
    struct txn t = txn_of(&bed, "a");
    bed_as(&bed, begin_producer, &t);
    must(&t, init);
    t.group = group_consumer_identity(a.g);
    for (int32_t round = 0; round < 3; round++) {
        bed_as(&bed, begin_transaction, &t);
        send_to(&t, 0, round, 1);
        t.offset = 10 + round;
        must(&t, send_offsets);
        must(&t, round == 1 ? abort_it : commit);
        assert_int_equal(committed(&a), round == 2 ? 12 : 10);
    }
    // A member that the group does not know commits nothing; the producer goes on.
    bed_as(&bed, begin_transaction, &t);
    send_to(&t, 0, 7, 1);
    t.offset = 99;
    t.group.generation += 5;
    assert_int_equal(wait_for(&t, send_offsets), ERR_ILLEGAL_GENERATION);
    assert_int_equal(producer_status(t.producer), PRODUCER_ABORTABLE);
    must(&t, abort_it);
    assert_int_equal(committed(&a), 12);
    reads(&bed, true, "0 2");
    bed_as(&bed, close_group, &a);
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

static void used_wrongly(void **state) {
    struct bed bed;
    begin_bed(&bed, state);
    struct txn t = txn_of(&bed, "a"), plain = t;
    struct message error;
    plain.producer = bed.producer;
    assert_int_equal(wait_for(&plain, init), ERR_INVALID);
    assert_int_equal(producer_begin(bed.producer, &error), ERR_INVALID);
    bed_as(&bed, begin_producer, &t);
    assert_int_equal(producer_begin(t.producer, &error), ERR_INVALID);
    assert_int_equal(wait_for(&t, commit), ERR_INVALID_TXN_STATE);
    must(&t, init);
    assert_int_equal(wait_for(&t, init), ERR_INVALID_TXN_STATE);
    send_to(&t, 0, 1, 1);
    assert_int_equal(t.send_error, ERR_INVALID_TXN_STATE);
    bed_as(&bed, begin_transaction, &t);
    assert_int_equal(producer_begin(t.producer, &error), ERR_INVALID);
    t.options.idempotent = false;
    struct producer *none = NULL;
    t.options.transactional_id = SLICE_LITERAL("x");
    assert_int_equal(producer_new(bed.client, &t.options, &none, &error), ERR_INVALID);
    bed_as(&bed, end_producer, &t);
    bed_deinit(&bed);
}

int main(void) {
    static int16_t versions[] = {1, 2};
#define BOTH(test)                                     \
    {#test ", TV1", test, NULL, NULL, &versions[0]}, { \
#test ", TV2", test, NULL, NULL, &versions[1]  \
    }
    const struct CMUnitTest tests[] = {
        BOTH(commits_and_aborts), BOTH(an_abort_drops),      BOTH(the_newer_one_wins),
        BOTH(a_refused_record),   BOTH(survives_the_broker), BOTH(offsets_go_with_the_transaction),
        BOTH(used_wrongly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
