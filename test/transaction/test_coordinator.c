// The coordinator on the simulated disk: what it writes, whom it sends markers, what waits for
// what; timeouts, expiry, restarts and failed writes. After each step a coordinator that loads the
// partition anew holds the same.
#include "test/replica/kit.h"

#include "base/prng.h"
#include "gen/apis.h"
#include "runtime/store.h"
#include "transaction/state.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { STATE_TOPIC = 1, DATA_TOPIC = 2, MARKERS_MAX = 32 };

// Markers lie here until the test lets them go.
struct bed {
    struct kit kit;
    struct transaction_coordinator *coordinator;
    struct pending_marker *markers[MARKERS_MAX];
    int marker_count;
    bool is_stopped;
};

static struct bed bed;
static struct arena arena;
static int64_t next_producer_id;

// ---- The bed ----

static void send(void *context, struct pending_marker *marker) {
    struct bed *b = context;
    assert_true(b->marker_count < MARKERS_MAX);
    b->markers[b->marker_count++] = marker;
}

static struct transaction_shard *shard_of(struct bed *b) {
    assert_false(list_is_empty(&b->coordinator->shards));
    return container_of(b->coordinator->shards.next, struct transaction_shard, link);
}

static void begin_inside(void *context) {
    struct bed *b = context;
    b->coordinator =
        transaction_coordinator_new(kit_env(&b->kit), b->kit.managers[0], NODE_ID,
                                    (struct transaction_sender){.send = send, .context = b});
    transaction_coordinator_publish(b->coordinator, b->kit.image, b->kit.config);
}

static void boot(void) {
    kit_boot(&bed.kit);
    bed.marker_count = 0;
    sim_node_call(bed.kit.node, begin_inside, &bed);
    sim_settle(bed.kit.sim, 10 * MS);
    assert_true(shard_of(&bed)->is_loaded);
}

static void transaction_version(int16_t level) {
    struct feature_level_record feature;
    codec_init(&feature_level_record_codec, &feature);
    feature.name = SLICE_LITERAL("transaction.version");
    feature.feature_level = level;
    kit_record(&bed.kit, METADATA_FEATURE_LEVEL, &feature);
}

static int begin(void **state) {
    (void)state;
    static const char *const settings[] = {
        "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms=1000",
        "transactional.id.expiration.ms=60000",
        "transaction.max.timeout.ms=30000",
    };
    bed = (struct bed){0};
    arena_init(&arena);
    next_producer_id = 1000;
    kit_init(&bed.kit, 1, MUTANT_NONE);
    config_free(bed.kit.config);
    bed.kit.config = config_new();
    config_add_standalone_defaults(bed.kit.config);
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        assert_int_equal(
            config_add_override(bed.kit.config, slice_cstring(settings[i]), &bed.kit.error),
            ERR_NONE);
    assert_int_equal(config_finish(bed.kit.config, &bed.kit.error), ERR_NONE);
    transaction_version(2);
    kit_topic(&bed.kit, TRANSACTION_TOPIC, STATE_TOPIC, 1);
    kit_topic(&bed.kit, "topic", DATA_TOPIC, 3);
    boot();
    return 0;
}

static void stopped(void *context) {
    ((struct bed *)context)->is_stopped = true;
}

static void stop_inside(void *context) {
    struct bed *b = context;
    transaction_coordinator_stop(b->coordinator, stopped, b);
}

static void free_inside(void *context) {
    transaction_coordinator_free(((struct bed *)context)->coordinator);
}

struct verdict {
    struct bed *bed;
    enum err result;
};

// All markers that are under way come back.
static void answer_inside(void *context) {
    struct verdict *v = context;
    struct pending_marker *list[MARKERS_MAX];
    int count = v->bed->marker_count;
    memcpy(list, v->bed->markers, sizeof list);
    v->bed->marker_count = 0;
    for (int i = 0; i < count; i++)
        list[i]->done(list[i], v->result);
}

static void answer(enum err result) {
    struct verdict v = {&bed, result};
    assert_true(bed.marker_count > 0);
    sim_node_call(bed.kit.node, answer_inside, &v);
    sim_settle(bed.kit.sim, 10 * MS);
}

static void stop(void) {
    bed.is_stopped = false;
    sim_node_call(bed.kit.node, stop_inside, &bed);
    sim_settle(bed.kit.sim, 10 * MS);
    if (bed.marker_count > 0) {
        assert_false(bed.is_stopped);
        answer(ERR_NONE);
    }
    assert_true(bed.is_stopped);
    sim_node_call(bed.kit.node, free_inside, &bed);
    kit_stop(&bed.kit);
}

static void restart(void) {
    stop();
    boot();
}

static int end(void **state) {
    (void)state;
    stop();
    kit_deinit(&bed.kit);
    arena_deinit(&arena);
    return 0;
}

static void wait_ms(uint64_t ms) {
    sim_run(bed.kit.sim, ms * MS, NULL);
}

static const struct transaction *find(const char *id) {
    const struct transaction_id *found = transaction_find(shard_of(&bed), slice_cstring(id));
    return found == NULL ? NULL : &found->now;
}

static const char *state_of(const char *id) {
    const struct transaction *t = find(id);
    return t == NULL ? "gone" : transaction_state_name(t->state);
}

// ---- Live state is replayed state ----

static void assert_same(const struct transaction *a, const struct transaction *b) {
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->producer_id, b->producer_id);
    assert_int_equal(a->producer_epoch, b->producer_epoch);
    assert_int_equal(a->next_producer_id, b->next_producer_id);
    assert_int_equal(a->previous_producer_id, b->previous_producer_id);
    assert_int_equal(a->timeout_ms, b->timeout_ms);
    assert_int_equal(a->start_ms, b->start_ms);
    assert_int_equal(a->update_ms, b->update_ms);
    assert_int_equal(a->client_version, b->client_version);
    assert_int_equal(a->partition_count, b->partition_count);
    for (int32_t i = 0; i < a->partition_count; i++) {
        assert_true(slice_equal(a->partitions[i].topic, b->partitions[i].topic));
        assert_int_equal(a->partitions[i].partition, b->partitions[i].partition);
    }
}

static void check(void) {
    struct bed second = {.kit = bed.kit};
    sim_node_call(bed.kit.node, begin_inside, &second);
    sim_settle(bed.kit.sim, 10 * MS);
    struct transaction_shard *live = shard_of(&bed), *replayed = shard_of(&second);
    assert_true(replayed->is_loaded);
    assert_int_equal(live->ids.count, replayed->ids.count);
    map_for_each(n, &live->ids) {
        const struct transaction_id *a = container_of(n, struct transaction_id, by_id);
        const struct transaction_id *b = transaction_find(replayed, a->id);
        assert_non_null(b);
        assert_same(&a->now, &b->now);
        // What was decided is taken up by whoever comes next.
        bool is_decided =
            a->now.state == TRANSACTION_PREPARE_COMMIT || a->now.state == TRANSACTION_PREPARE_ABORT;
        assert_int_equal(b->completion != NULL, is_decided);
    }
    struct verdict v = {&second, ERR_REQUEST_TIMED_OUT};
    sim_node_call(bed.kit.node, answer_inside, &v);
    sim_node_call(bed.kit.node, free_inside, &second);
}

// ---- Calls ----

struct ask {
    struct transaction_call call;
    int done;
    enum err result;
};

static void ask_done(struct transaction_call *call, enum err result) {
    struct ask *ask = container_of(call, struct ask, call);
    ask->done++;
    ask->result = result;
}

static void ask_inside(void *context) {
    transaction_call_start(bed.coordinator, &((struct ask *)context)->call);
}

static void start(struct ask *ask) {
    ask->done = 0;
    sim_node_call(bed.kit.node, ask_inside, ask);
    sim_settle(bed.kit.sim, 5 * MS);
}

static void ask_init(struct ask *ask, enum transaction_call_kind kind, const char *id) {
    *ask = (struct ask){.call = {.kind = kind,
                                 .transactional_id = slice_cstring(id),
                                 .fresh_producer_id = -1,
                                 .arena = &arena,
                                 .done = ask_done}};
}

// A call to its end; a producer id is given when it asks for one.
static enum err finish(struct ask *ask) {
    start(ask);
    if (ask->done == 0) wait_ms(200);
    assert_int_equal(ask->done, 1);
    if (ask->result == ERR_NONE && ask->call.needs_producer_id) {
        ask->call.fresh_producer_id = next_producer_id++;
        start(ask);
        assert_int_equal(ask->done, 1);
        assert_false(ask->call.needs_producer_id);
    }
    return ask->result;
}

struct producer {
    const char *id;
    int64_t producer_id;
    int16_t epoch;
    int16_t version;  // 0, 2
};

static void init_ask(struct ask *ask, const char *id) {
    ask_init(ask, TRANSACTION_INIT, id);
    ask->call.init =
        (struct transaction_init){.timeout_ms = 10000, .producer_id = -1, .producer_epoch = -1};
}

static enum err init(struct producer *p) {
    struct ask ask;
    init_ask(&ask, p->id);
    enum err err = finish(&ask);
    if (err == ERR_NONE) {
        p->producer_id = ask.call.producer_id;
        p->epoch = ask.call.producer_epoch;
    }
    check();
    return err;
}

static void add_ask(struct ask *ask, const struct producer *p, int32_t partition) {
    struct transaction_partition *row = arena_zalloc(&arena, 1, sizeof *row);
    *row = (struct transaction_partition){SLICE_LITERAL("topic"), partition};
    ask_init(ask, TRANSACTION_ADD, p->id);
    ask->call.add = (struct transaction_add){.producer_id = p->producer_id,
                                             .producer_epoch = p->epoch,
                                             .partitions = row,
                                             .partition_count = 1,
                                             .client_version = p->version};
}

static enum err add(const struct producer *p, int32_t partition) {
    struct ask ask;
    add_ask(&ask, p, partition);
    enum err err = finish(&ask);
    check();
    return err;
}

static enum err verify(const struct producer *p, int32_t partition) {
    struct ask ask;
    add_ask(&ask, p, partition);
    ask.call.kind = TRANSACTION_VERIFY;
    assert_int_equal(finish(&ask), ERR_NONE);
    return ask.call.partition_errors[0];
}

static void end_ask(struct ask *ask, const struct producer *p, bool commit) {
    ask_init(ask, TRANSACTION_END, p->id);
    ask->call.end = (struct transaction_end){.producer_id = p->producer_id,
                                             .producer_epoch = p->epoch,
                                             .commit = commit,
                                             .client_version = p->version};
}

// Leaves `p` as the client had it.
static enum err end_as(const struct producer *p, bool commit, struct producer *after) {
    struct ask ask;
    end_ask(&ask, p, commit);
    enum err err = finish(&ask);
    *after = *p;
    if (err == ERR_NONE && p->version >= 2) {
        after->producer_id = ask.call.producer_id;
        after->epoch = ask.call.producer_epoch;
    }
    check();
    return err;
}

static enum err end_transaction(struct producer *p, bool commit) {
    struct producer after;
    enum err err = end_as(p, commit, &after);
    *p = after;
    return err;
}

static void expect_marker(int i, int32_t partition, int16_t epoch, bool commit) {
    assert_true(i < bed.marker_count);
    const struct pending_marker *m = bed.markers[i];
    assert_true(slice_equal_cstring(m->topic, "topic"));
    assert_int_equal(m->partition, partition);
    assert_int_equal(m->producer_epoch, epoch);
    assert_int_equal(m->commit, commit);
}

// ---- Tests ----

static void test_one_transaction(void **state) {
    (void)state;
    for (int16_t version = 0; version <= 2; version += 2) {
        struct producer p = {version == 0 ? "one" : "two", .version = version};
        assert_int_equal(init(&p), ERR_NONE);
        assert_int_equal(p.epoch, 0);
        assert_string_equal(state_of(p.id), "Empty");
        assert_int_equal(verify(&p, 1), ERR_TRANSACTION_ABORTABLE);
        assert_int_equal(add(&p, 1), ERR_NONE);
        assert_int_equal(add(&p, 0), ERR_NONE);
        assert_int_equal(verify(&p, 1), ERR_NONE);
        assert_int_equal(verify(&p, 2), ERR_TRANSACTION_ABORTABLE);
        assert_int_equal(end_transaction(&p, true), ERR_NONE);
        assert_string_equal(state_of(p.id), "PrepareCommit");
        assert_int_equal(bed.marker_count, 2);
        int16_t epoch = version == 0 ? 0 : 1;
        assert_int_equal(p.epoch, epoch);
        expect_marker(0, 0, epoch, true);
        expect_marker(1, 1, epoch, true);
        assert_int_equal(bed.markers[0]->transaction_version, version);
        answer(ERR_NONE);
        assert_string_equal(state_of(p.id), "CompleteCommit");
        assert_int_equal(find(p.id)->partition_count, 0);
        check();
    }
}

static void test_a_decision_is_final(void **state) {
    (void)state;
    struct producer p = {"id"}, after;
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    assert_int_equal(end_transaction(&p, true), ERR_NONE);
    assert_int_equal(end_as(&p, false, &after), ERR_INVALID_TXN_STATE);
    // Markers fail again and again; a restart; and it is committed.
    for (int i = 0; i < 3; i++) {
        answer(ERR_NOT_LEADER_OR_FOLLOWER);
        wait_ms(1000);
        assert_int_equal(bed.marker_count, 1);
    }
    restart();
    assert_string_equal(state_of("id"), "PrepareCommit");
    assert_int_equal(bed.marker_count, 1);
    expect_marker(0, 0, 0, true);
    answer(ERR_NONE);
    assert_string_equal(state_of("id"), "CompleteCommit");
    assert_int_equal(end_as(&p, true, &after), ERR_NONE);
    assert_int_equal(end_as(&p, false, &after), ERR_INVALID_TXN_STATE);
    check();
}

// Only those that failed are sent again.
static void test_markers_one_by_one(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2};
    assert_int_equal(init(&p), ERR_NONE);
    for (int32_t i = 0; i < 3; i++)
        assert_int_equal(add(&p, i), ERR_NONE);
    assert_int_equal(end_transaction(&p, false), ERR_NONE);
    assert_int_equal(bed.marker_count, 3);
    struct pending_marker *first = bed.markers[0], *second = bed.markers[1];
    bed.markers[0] = bed.markers[2];
    bed.marker_count = 1;
    answer(ERR_REQUEST_TIMED_OUT);
    bed.markers[0] = first;
    bed.marker_count = 1;
    answer(ERR_NONE);
    assert_int_equal(bed.marker_count, 0);
    bed.markers[0] = second;
    bed.marker_count = 1;
    answer(ERR_UNKNOWN_TOPIC_OR_PARTITION);  // deleted
    wait_ms(1000);
    assert_int_equal(bed.marker_count, 1);
    expect_marker(0, 2, 1, false);
    answer(ERR_NONE);
    assert_string_equal(state_of("id"), "CompleteAbort");
}

// What comes while markers are under way waits for them, for a while.
static void test_the_next_one_waits(void **state) {
    (void)state;
    struct producer p = {"id"};
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    assert_int_equal(end_transaction(&p, true), ERR_NONE);
    struct ask next, other;
    add_ask(&next, &p, 1);
    start(&next);
    assert_int_equal(next.done, 0);
    wait_ms(60);
    init_ask(&other, "id");
    start(&other);
    assert_int_equal(other.done, 0);
    wait_ms(50);
    assert_int_equal(next.done, 1);
    assert_int_equal(next.result, ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(other.done, 0);
    answer(ERR_NONE);
    assert_int_equal(other.done, 1);
    assert_int_equal(other.result, ERR_NONE);
    assert_int_equal(other.call.producer_epoch, 1);
    assert_int_equal(add(&p, 1), ERR_PRODUCER_FENCED);
}

static void test_fencing_aborts_first(void **state) {
    (void)state;
    for (int16_t version = 0; version <= 2; version += 2) {
        struct producer old = {version == 0 ? "one" : "two", .version = version}, new = old;
        assert_int_equal(init(&old), ERR_NONE);
        assert_int_equal(add(&old, 0), ERR_NONE);
        assert_int_equal(init(&new), ERR_CONCURRENT_TRANSACTIONS);
        assert_string_equal(state_of(old.id), "PrepareAbort");
        expect_marker(0, 0, (int16_t)(old.epoch + 1), false);
        assert_int_equal(add(&old, 0), ERR_PRODUCER_FENCED);
        answer(ERR_NONE);
        assert_int_equal(init(&new), ERR_NONE);
        assert_int_equal(new.producer_id, old.producer_id);
        assert_int_equal(new.epoch, old.epoch + 2);
        assert_int_equal(add(&old, 0), ERR_PRODUCER_FENCED);
        assert_int_equal(add(&new, 0), ERR_NONE);
        assert_int_equal(end_transaction(&new, true), ERR_NONE);
        answer(ERR_NONE);
    }
}

static void test_timeouts(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2}, after;
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    wait_ms(9000);
    assert_string_equal(state_of("id"), "Ongoing");
    wait_ms(2500);
    assert_string_equal(state_of("id"), "PrepareAbort");
    expect_marker(0, 0, 1, false);
    check();
    answer(ERR_NONE);
    assert_string_equal(state_of("id"), "CompleteAbort");
    assert_int_equal(end_as(&p, true, &after), ERR_INVALID_TXN_STATE);
    assert_int_equal(add(&p, 0), ERR_PRODUCER_FENCED);
    struct ask ask;
    init_ask(&ask, "late");
    ask.call.init.timeout_ms = 30001;
    assert_int_equal(finish(&ask), ERR_INVALID_TRANSACTION_TIMEOUT);
    assert_string_equal(state_of("late"), "gone");
}

static void test_expiry(void **state) {
    (void)state;
    struct producer idle = {"idle"}, busy = {"busy"};
    assert_int_equal(init(&idle), ERR_NONE);
    assert_int_equal(init(&busy), ERR_NONE);
    assert_int_equal(add(&busy, 0), ERR_NONE);
    assert_int_equal(end_transaction(&busy, true), ERR_NONE);
    wait_ms(65000);
    assert_string_equal(state_of("idle"), "gone");
    assert_string_equal(state_of("busy"), "PrepareCommit");
    check();
    assert_int_equal(add(&idle, 0), ERR_INVALID_PRODUCER_ID_MAPPING);
    answer(ERR_NONE);
    restart();
    assert_string_equal(state_of("idle"), "gone");
    assert_string_equal(state_of("busy"), "CompleteCommit");
}

// TV2: epochs come to their end with an end.
static void test_epochs_run_out(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2}, before, after;
    assert_int_equal(init(&p), ERR_NONE);
    struct transaction_id *id = transaction_find(shard_of(&bed), SLICE_LITERAL("id"));
    id->now.producer_epoch = p.epoch = TRANSACTION_EPOCH_EXHAUSTED;
    struct ask ask;
    add_ask(&ask, &p, 0);
    assert_int_equal(finish(&ask), ERR_NONE);
    before = p;
    assert_int_equal(end_transaction(&p, true), ERR_NONE);
    assert_int_not_equal(p.producer_id, before.producer_id);
    assert_int_equal(p.epoch, 0);
    expect_marker(0, 0, INT16_MAX, true);
    assert_int_equal(bed.markers[0]->producer_id, before.producer_id);
    assert_int_equal(add(&p, 1), ERR_CONCURRENT_TRANSACTIONS);  // nobody is fenced
    answer(ERR_NONE);
    assert_int_equal(end_as(&before, true, &after), ERR_NONE);  // the answer was lost
    assert_int_equal(after.producer_id, p.producer_id);
    assert_int_equal(after.epoch, 0);
    assert_int_equal(add(&p, 1), ERR_NONE);
    assert_int_equal(add(&before, 1), ERR_INVALID_PRODUCER_ID_MAPPING);
}

// A client that gives its next transaction up before the last one's markers are written.
static void test_two_ends_in_a_row(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2};
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    assert_int_equal(end_transaction(&p, true), ERR_NONE);
    struct ask ask;
    end_ask(&ask, &p, false);
    start(&ask);
    assert_int_equal(ask.done, 0);
    answer(ERR_NONE);
    assert_int_equal(ask.done, 1);
    assert_int_equal(ask.result, ERR_NONE);
    assert_int_equal(ask.call.producer_epoch, p.epoch + 1);
    assert_string_equal(state_of("id"), "CompleteAbort");
    check();
}

static void test_an_answer_that_was_lost(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2}, first, second;
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    assert_int_equal(end_as(&p, true, &first), ERR_NONE);
    answer(ERR_NONE);
    assert_int_equal(end_as(&p, true, &second), ERR_NONE);
    assert_int_equal(first.epoch, second.epoch);
    assert_int_equal(bed.marker_count, 0);
    restart();
    assert_int_equal(end_as(&p, true, &second), ERR_NONE);
    assert_int_equal(first.epoch, second.epoch);
}

// The leader goes and comes back: nobody coordinates meanwhile.
static void retire_inside(void *context) {
    (void)context;
    transaction_coordinator_retire(bed.coordinator, bed.kit.pending);
}

static void test_leadership(void **state) {
    (void)state;
    struct producer p = {"id"};
    assert_int_equal(init(&p), ERR_NONE);
    assert_int_equal(add(&p, 0), ERR_NONE);
    assert_int_equal(end_transaction(&p, true), ERR_NONE);
    struct ask waiting;
    add_ask(&waiting, &p, 1);
    start(&waiting);
    assert_int_equal(waiting.done, 0);
    kit_leader(&bed.kit, STATE_TOPIC, 0, 7);
    sim_node_call(bed.kit.node, retire_inside, NULL);
    sim_settle(bed.kit.sim, 10 * MS);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.result, ERR_NOT_COORDINATOR);
    struct ask ask;
    add_ask(&ask, &p, 1);
    assert_int_equal(finish(&ask), ERR_NOT_COORDINATOR);
    answer(ERR_NONE);  // comes to nobody
}

static void test_lists(void **state) {
    (void)state;
    struct producer a = {"a"}, b = {"b", .version = 2};
    assert_int_equal(init(&a), ERR_NONE);
    assert_int_equal(init(&b), ERR_NONE);
    assert_int_equal(add(&b, 2), ERR_NONE);
    struct ask ask;
    ask_init(&ask, TRANSACTION_LIST, "");
    ask.call.filter = (struct transaction_list_filter){.longer_than_ms = -1};
    assert_int_equal(finish(&ask), ERR_NONE);
    assert_int_equal(ask.call.list_count, 2);
    struct slice ongoing = SLICE_LITERAL("Ongoing");
    ask.call.filter.states = &ongoing;
    ask.call.filter.state_count = 1;
    assert_int_equal(finish(&ask), ERR_NONE);
    assert_int_equal(ask.call.list_count, 1);
    assert_true(slice_equal_cstring(ask.call.list[0].transactional_id, "b"));
    ask.call.filter.longer_than_ms = 5000;
    assert_int_equal(finish(&ask), ERR_NONE);
    assert_int_equal(ask.call.list_count, 0);
    wait_ms(6000);
    assert_int_equal(finish(&ask), ERR_NONE);
    assert_int_equal(ask.call.list_count, 1);
    ask_init(&ask, TRANSACTION_DESCRIBE, "b");
    assert_int_equal(finish(&ask), ERR_NONE);
    assert_int_equal(ask.call.described.partition_count, 1);
    assert_int_equal(ask.call.described.partitions[0].partition, 2);
    ask_init(&ask, TRANSACTION_DESCRIBE, "c");
    assert_int_equal(finish(&ask), ERR_TRANSACTIONAL_ID_NOT_FOUND);
}

// Some thousand transactions of one id: the log stays small.
static void test_the_log_is_shortened(void **state) {
    (void)state;
    struct producer p = {"id", .version = 2};
    assert_int_equal(init(&p), ERR_NONE);
    const struct partition *partition = kit_find(&bed.kit, STATE_TOPIC, 0);
    for (int i = 0; i < 5500; i++) {
        struct ask ask;
        end_ask(&ask, &p, false);
        assert_int_equal(finish(&ask), ERR_NONE);
        p.producer_id = ask.call.producer_id;
        p.epoch = ask.call.producer_epoch;
    }
    wait_ms(3000);
    assert_true(log_start_offset(partition->log) > 1000);
    restart();
    assert_int_equal(find("id")->producer_epoch, p.epoch);
    check();
}

// ---- Any sequence of requests ----

enum { WALKERS = 3, STEPS = 400 };

struct walker {
    struct producer now, before;  // what the client has, and what it had
    enum transaction_state seen;
    int64_t highest_id;
    int16_t highest_epoch;  // of that id
    int ended[2];           // aborts, commits
};

// What was decided is what happens; ids and epochs only grow.
static void look_at(struct walker *w) {
    const struct transaction *t = find(w->now.id);
    if (t == NULL) return;
    if (t->producer_id == w->highest_id)
        assert_true(t->producer_epoch >= w->highest_epoch);
    else
        assert_true(t->producer_id > w->highest_id);
    w->highest_id = t->producer_id;
    w->highest_epoch = t->producer_epoch;
    bool was_decided =
        w->seen == TRANSACTION_PREPARE_COMMIT || w->seen == TRANSACTION_PREPARE_ABORT;
    if (was_decided && t->state != w->seen) {
        bool commits = w->seen == TRANSACTION_PREPARE_COMMIT;
        assert_int_equal(t->state,
                         commits ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT);
        w->ended[commits]++;
    }
    w->seen = t->state;
    for (int i = 0; i < bed.marker_count; i++) {
        const struct pending_marker *m = bed.markers[i];
        if (m->producer_id != t->producer_id) continue;
        assert_int_equal(m->producer_epoch, t->producer_epoch);
        assert_int_equal(m->commit, t->state == TRANSACTION_PREPARE_COMMIT);
    }
}

static void step(struct walker *w, struct prng *random) {
    static const enum err verdicts[] = {ERR_NONE, ERR_NONE, ERR_NOT_LEADER_OR_FOLLOWER,
                                        ERR_REQUEST_TIMED_OUT, ERR_UNKNOWN_TOPIC_OR_PARTITION};
    uint64_t choice = prng_below(random, 100);
    struct producer *p = prng_below(random, 8) == 0 ? &w->before : &w->now;
    struct producer had = w->now, after;
    if (choice < 10) {
        if (init(&w->now) == ERR_NONE) w->before = had;
    } else if (choice < 50) {
        (void)add(p, (int32_t)prng_below(random, 3));
    } else if (choice < 75) {
        if (end_as(p, prng_below(random, 2) == 0, &after) == ERR_NONE && p == &w->now) {
            w->before = had;
            w->now = after;
        }
    } else if (choice < 90) {
        if (bed.marker_count > 0) answer(verdicts[prng_below(random, COUNT_OF(verdicts))]);
    } else if (choice < 96) {
        wait_ms(prng_below(random, 4000));
    } else if (choice < 98) {
        restart();
    } else {
        w->now.version = w->now.version == 0 ? 2 : 0;
    }
    check();
}

static void test_any_sequence(void **state) {
    (void)state;
    int commits = 0, aborts = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct prng random;
        prng_init(&random, seed);
        static const char *const names[6][WALKERS] = {{"a1", "b1", "c1"}, {"a2", "b2", "c2"},
                                                      {"a3", "b3", "c3"}, {"a4", "b4", "c4"},
                                                      {"a5", "b5", "c5"}, {"a6", "b6", "c6"}};
        struct walker walkers[WALKERS];
        for (int i = 0; i < WALKERS; i++) {
            struct producer p = {names[seed - 1][i], -1, -1, i % 2 == 0 ? 2 : 0};
            walkers[i] = (struct walker){p, p, TRANSACTION_EMPTY, -1, -1};
        }
        for (int i = 0; i < STEPS; i++) {
            step(&walkers[prng_below(&random, WALKERS)], &random);
            for (int k = 0; k < WALKERS; k++)
                look_at(&walkers[k]);
        }
        // When all heals, what is decided ends.
        for (int i = 0; i < 20; i++) {
            if (bed.marker_count > 0) answer(ERR_NONE);
            wait_ms(1000);
        }
        for (int i = 0; i < WALKERS; i++) {
            const struct transaction *t = find(names[seed - 1][i]);
            commits += walkers[i].ended[1];
            aborts += walkers[i].ended[0];
            if (t == NULL) continue;
            assert_int_not_equal(t->state, TRANSACTION_PREPARE_COMMIT);
            assert_int_not_equal(t->state, TRANSACTION_PREPARE_ABORT);
        }
    }
    assert_true(commits > 30 && aborts > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_transaction, begin, end),
        cmocka_unit_test_setup_teardown(test_a_decision_is_final, begin, end),
        cmocka_unit_test_setup_teardown(test_markers_one_by_one, begin, end),
        cmocka_unit_test_setup_teardown(test_the_next_one_waits, begin, end),
        cmocka_unit_test_setup_teardown(test_fencing_aborts_first, begin, end),
        cmocka_unit_test_setup_teardown(test_timeouts, begin, end),
        cmocka_unit_test_setup_teardown(test_expiry, begin, end),
        cmocka_unit_test_setup_teardown(test_epochs_run_out, begin, end),
        cmocka_unit_test_setup_teardown(test_two_ends_in_a_row, begin, end),
        cmocka_unit_test_setup_teardown(test_an_answer_that_was_lost, begin, end),
        cmocka_unit_test_setup_teardown(test_leadership, begin, end),
        cmocka_unit_test_setup_teardown(test_lists, begin, end),
        cmocka_unit_test_setup_teardown(test_the_log_is_shortened, begin, end),
        cmocka_unit_test_setup_teardown(test_any_sequence, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
