// The state machine of one transactional id, both protocols, against tables of Apache Kafka's
// behaviour; and random walks.
#include "test/test.h"

#include "base/assert.h"
#include "base/prng.h"
#include "transaction/transaction.h"

#define NOW 1000000

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static enum err init_as(struct transaction *t, int64_t id, int16_t epoch, int16_t version) {
    struct transaction_init init = {.timeout_ms = 60000,
                                    .producer_id = id,
                                    .producer_epoch = epoch,
                                    .server_version = version,
                                    .now_ms = NOW};
    return transaction_start(t, &init, 900, t);
}

static enum err add(struct transaction *t, int64_t id, int16_t epoch, const char *topic,
                    int32_t partition) {
    struct transaction_partition row = {slice_cstring(topic), partition};
    struct transaction_add request = {.producer_id = id,
                                      .producer_epoch = epoch,
                                      .partitions = &row,
                                      .partition_count = 1,
                                      .client_version = t->client_version,
                                      .now_ms = NOW};
    bool changed;
    return transaction_add(t, &request, &arena, t, &changed);
}

static enum err end(struct transaction *t, int64_t id, int16_t epoch, bool commit, int16_t version,
                    bool *changed) {
    struct transaction_end request = {.producer_id = id,
                                      .producer_epoch = epoch,
                                      .commit = commit,
                                      .from_client = true,
                                      .client_version = version,
                                      .now_ms = NOW};
    return transaction_end(t, &request, 901, t, changed);
}

static void expect(const struct transaction *t, enum transaction_state state, int64_t id,
                   int16_t epoch) {
    assert_string_equal(transaction_state_name(t->state), transaction_state_name(state));
    assert_int_equal(t->producer_id, id);
    assert_int_equal(t->producer_epoch, epoch);
}

static void test_edges(void **state) {
    (void)state;
    int count = 0;
    for (int from = 0; from < TRANSACTION_STATE_COUNT; from++) {
        for (int to = 0; to < TRANSACTION_STATE_COUNT; to++) {
            count += transaction_may_go((enum transaction_state)from, (enum transaction_state)to);
        }
        enum transaction_state parsed;
        const char *name = transaction_state_name((enum transaction_state)from);
        assert_true(transaction_state_parse(slice_cstring(name), &parsed));
        assert_int_equal(parsed, from);
    }
    assert_int_equal(count, 19);
    assert_false(transaction_may_go(TRANSACTION_COMPLETE_COMMIT, TRANSACTION_PREPARE_COMMIT));
    assert_false(transaction_may_go(TRANSACTION_PREPARE_ABORT, TRANSACTION_COMPLETE_COMMIT));
    assert_false(transaction_may_go(TRANSACTION_ONGOING, TRANSACTION_EMPTY));
    enum transaction_state parsed;
    assert_false(transaction_state_parse(SLICE_LITERAL("ongoing"), &parsed));
}

// TV1: the epoch of a transaction is the producer's all along.
static void test_life_of_tv1(void **state) {
    (void)state;
    bool changed;
    struct transaction t = transaction_new(5, 60000, NOW);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 5, 0);
    assert_int_equal(end(&t, 5, 0, true, 1, &changed), ERR_INVALID_TXN_STATE);
    assert_int_equal(end(&t, 5, 0, false, 1, &changed), ERR_INVALID_TXN_STATE);
    assert_int_equal(add(&t, 5, 0, "b", 1), ERR_NONE);
    assert_int_equal(add(&t, 5, 0, "a", 7), ERR_NONE);
    assert_int_equal(add(&t, 5, 0, "b", 0), ERR_NONE);
    expect(&t, TRANSACTION_ONGOING, 5, 0);
    assert_int_equal(t.partition_count, 3);
    assert_true(slice_equal_cstring(t.partitions[0].topic, "a"));
    assert_int_equal(t.partitions[1].partition, 0);
    assert_int_equal(end(&t, 5, 0, true, 1, &changed), ERR_NONE);
    assert_true(changed);
    expect(&t, TRANSACTION_PREPARE_COMMIT, 5, 0);
    // While markers are written: the same again is to wait, the opposite is wrong, nothing else
    // goes on.
    assert_int_equal(end(&t, 5, 0, true, 1, &changed), ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(end(&t, 5, 0, false, 1, &changed), ERR_INVALID_TXN_STATE);
    assert_int_equal(add(&t, 5, 0, "a", 1), ERR_CONCURRENT_TRANSACTIONS);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_CONCURRENT_TRANSACTIONS);
    t = transaction_complete(&t, NOW);
    expect(&t, TRANSACTION_COMPLETE_COMMIT, 5, 0);
    assert_int_equal(t.partition_count, 0);
    assert_int_equal(end(&t, 5, 0, true, 1, &changed), ERR_NONE);  // a retry
    assert_false(changed);
    assert_int_equal(end(&t, 5, 0, false, 1, &changed), ERR_INVALID_TXN_STATE);
    // The next transaction begins without the partitions of the last.
    assert_int_equal(add(&t, 5, 0, "c", 0), ERR_NONE);
    assert_int_equal(t.partition_count, 1);
    assert_int_equal(end(&t, 5, 0, false, 1, &changed), ERR_NONE);
    t = transaction_complete(&t, NOW);
    expect(&t, TRANSACTION_COMPLETE_ABORT, 5, 0);
}

// TV2: each end bumps; as the golden directory's golden-txn shows (epochs 0, 1, 2 …).
static void test_life_of_tv2(void **state) {
    (void)state;
    bool changed;
    struct transaction t = transaction_new(7, 60000, NOW);
    assert_int_equal(init_as(&t, -1, -1, 2), ERR_NONE);
    t.client_version = 2;
    for (int16_t epoch = 0; epoch < 4; epoch++) {
        bool commit = epoch % 2 == 0;
        assert_int_equal(add(&t, 7, epoch, "t", 0), ERR_NONE);
        assert_int_equal(end(&t, 7, epoch, commit, 2, &changed), ERR_NONE);
        expect(&t, commit ? TRANSACTION_PREPARE_COMMIT : TRANSACTION_PREPARE_ABORT, 7,
               (int16_t)(epoch + 1));
        assert_int_equal(transaction_marker_epoch(&t), epoch + 1);
        assert_int_equal(end(&t, 7, epoch, commit, 2, &changed), ERR_CONCURRENT_TRANSACTIONS);
        // Ahead of its markers; Kafka says PRODUCER_FENCED to a client that did nothing wrong.
        assert_int_equal(end(&t, 7, (int16_t)(epoch + 1), commit, 2, &changed),
                         ERR_CONCURRENT_TRANSACTIONS);
        t = transaction_complete(&t, NOW);
        // A retry has the epoch before the bump.
        assert_int_equal(end(&t, 7, epoch, commit, 2, &changed), ERR_NONE);
        assert_false(changed);
        assert_int_equal(end(&t, 7, epoch, !commit, 2, &changed), ERR_INVALID_TXN_STATE);
        // With the new epoch it is the next call: a commit of nothing.
        assert_int_equal(end(&t, 7, (int16_t)(epoch + 1), true, 2, &changed),
                         ERR_INVALID_TXN_STATE);
    }
    // An abort of nothing is allowed and bumps too.
    expect(&t, TRANSACTION_COMPLETE_ABORT, 7, 4);
    assert_int_equal(end(&t, 7, 4, false, 2, &changed), ERR_NONE);
    assert_true(changed);
    expect(&t, TRANSACTION_PREPARE_ABORT, 7, 5);
    assert_int_equal(t.start_ms, NOW);
}

static void test_fencing(void **state) {
    (void)state;
    bool changed;
    struct transaction t = transaction_new(5, 60000, NOW);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);  // another instance
    expect(&t, TRANSACTION_EMPTY, 5, 1);
    assert_int_equal(add(&t, 5, 0, "t", 0), ERR_PRODUCER_FENCED);
    assert_int_equal(add(&t, 6, 1, "t", 0), ERR_INVALID_PRODUCER_ID_MAPPING);
    assert_int_equal(end(&t, 5, 0, true, 1, &changed), ERR_PRODUCER_FENCED);
    assert_int_equal(end(&t, 6, 1, true, 1, &changed), ERR_INVALID_PRODUCER_ID_MAPPING);
    // A producer that names its epoch: the current one is bumped, the one before is a retry, others
    // are fenced.
    assert_int_equal(init_as(&t, 5, 1, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 5, 2);
    assert_int_equal(init_as(&t, 5, 1, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 5, 2);
    assert_int_equal(init_as(&t, 5, 0, 1), ERR_PRODUCER_FENCED);
    assert_int_equal(init_as(&t, 4, 2, 1), ERR_PRODUCER_FENCED);
    // An open transaction is aborted first, under an epoch that nobody has.
    assert_int_equal(add(&t, 5, 2, "t", 0), ERR_NONE);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    expect(&t, TRANSACTION_PREPARE_ABORT, 5, 3);
    assert_int_equal(t.partition_count, 1);
    assert_int_equal(end(&t, 5, 2, true, 1, &changed), ERR_PRODUCER_FENCED);
    t = transaction_complete(&t, NOW);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 5, 4);
}

static void test_epochs_used_up(void **state) {
    (void)state;
    bool changed;
    struct transaction t = transaction_new(5, 60000, NOW);
    t.producer_epoch = TRANSACTION_EPOCH_EXHAUSTED - 1;
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 5, TRANSACTION_EPOCH_EXHAUSTED);
    struct transaction_init init = {.producer_id = -1, .producer_epoch = -1};
    assert_true(transaction_start_needs_id(&t, &init));
    assert_int_equal(init_as(&t, 5, TRANSACTION_EPOCH_EXHAUSTED, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 900, 0);
    assert_int_equal(t.previous_producer_id, 5);
    // The producer did not hear of it and asks again with what it had.
    assert_int_equal(init_as(&t, 5, TRANSACTION_EPOCH_EXHAUSTED, 1), ERR_NONE);
    expect(&t, TRANSACTION_EMPTY, 900, 0);

    // TV2: the end of a transaction brings the new id.
    t = transaction_new(6, 60000, NOW);
    t.producer_epoch = TRANSACTION_EPOCH_EXHAUSTED;
    t.client_version = 2;
    assert_int_equal(add(&t, 6, TRANSACTION_EPOCH_EXHAUSTED, "t", 0), ERR_NONE);
    struct transaction_end commit = {6, TRANSACTION_EPOCH_EXHAUSTED, true, true, 2, NOW};
    assert_true(transaction_end_needs_id(&t, &commit));
    assert_int_equal(end(&t, 6, TRANSACTION_EPOCH_EXHAUSTED, true, 2, &changed), ERR_NONE);
    expect(&t, TRANSACTION_PREPARE_COMMIT, 6, INT16_MAX);
    assert_int_equal(t.next_producer_id, 901);
    t = transaction_complete(&t, NOW);
    expect(&t, TRANSACTION_COMPLETE_COMMIT, 901, 0);
    assert_int_equal(t.previous_producer_id, 6);
    assert_int_equal(end(&t, 6, TRANSACTION_EPOCH_EXHAUSTED, true, 2, &changed), ERR_NONE);
    assert_false(changed);
    assert_int_equal(end(&t, 6, 3, true, 2, &changed), ERR_INVALID_PRODUCER_ID_MAPPING);
}

static void test_verify(void **state) {
    (void)state;
    struct transaction t = transaction_new(5, 60000, NOW);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    struct transaction_partition in = {SLICE_LITERAL("t"), 0}, out = {SLICE_LITERAL("t"), 1};
    assert_int_equal(transaction_verify(&t, 5, 0, &in), ERR_TRANSACTION_ABORTABLE);
    assert_int_equal(add(&t, 5, 0, "t", 0), ERR_NONE);
    assert_int_equal(transaction_verify(&t, 5, 0, &in), ERR_NONE);
    assert_int_equal(transaction_verify(&t, 5, 0, &out), ERR_TRANSACTION_ABORTABLE);
    assert_int_equal(transaction_verify(&t, 5, 1, &in), ERR_PRODUCER_FENCED);
    assert_int_equal(transaction_verify(&t, 6, 0, &in), ERR_INVALID_PRODUCER_ID_MAPPING);
}

static void test_time(void **state) {
    (void)state;
    struct transaction t = transaction_new(5, 1000, NOW);
    assert_false(transaction_has_timed_out(&t, NOW + 5000));
    assert_true(transaction_is_expired(&t, NOW + 5000, 5000));
    assert_false(transaction_is_expired(&t, NOW + 4999, 5000));
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    t.timeout_ms = 1000;
    assert_int_equal(add(&t, 5, 0, "t", 0), ERR_NONE);
    assert_false(transaction_has_timed_out(&t, NOW + 1000));
    assert_true(transaction_has_timed_out(&t, NOW + 1001));
    assert_false(transaction_is_expired(&t, NOW + 1000000, 5000));
    t.timeout_ms = INT32_MAX;
    assert_false(transaction_has_timed_out(&t, INT64_MAX));
}

static void check_record(const struct transaction *t) {
    struct transaction_log_value value;
    struct transaction again;
    transaction_to_record(t, &arena, &value);
    assert_int_equal(transaction_of_record(&value, &arena, &again), ERR_NONE);
    assert_int_equal(again.state, t->state);
    assert_int_equal(again.producer_id, t->producer_id);
    assert_int_equal(again.previous_producer_id, t->previous_producer_id);
    assert_int_equal(again.next_producer_id, t->next_producer_id);
    assert_int_equal(again.producer_epoch, t->producer_epoch);
    assert_int_equal(again.start_ms, t->start_ms);
    assert_int_equal(again.partition_count, t->partition_count);
    for (int32_t i = 0; i < t->partition_count; i++) {
        assert_true(slice_equal(again.partitions[i].topic, t->partitions[i].topic));
        assert_int_equal(again.partitions[i].partition, t->partitions[i].partition);
    }
}

static void test_records(void **state) {
    (void)state;
    struct transaction t = transaction_new(5, 60000, NOW);
    struct transaction_log_value value;
    transaction_to_record(&t, &arena, &value);
    assert_int_equal(value.transaction_partitions_count, -1);
    check_record(&t);
    assert_int_equal(init_as(&t, -1, -1, 1), ERR_NONE);
    assert_int_equal(add(&t, 5, 0, "b", 2), ERR_NONE);
    assert_int_equal(add(&t, 5, 0, "b", 1), ERR_NONE);
    assert_int_equal(add(&t, 5, 0, "a", 0), ERR_NONE);
    check_record(&t);
    transaction_to_record(&t, &arena, &value);
    assert_int_equal(value.transaction_partitions_count, 2);
    assert_int_equal(value.transaction_partitions[1].partition_ids_count, 2);
    value.transaction_status = 7;
    assert_int_equal(transaction_of_record(&value, &arena, &t), ERR_CORRUPT);
    value.transaction_status = -1;
    assert_int_equal(transaction_of_record(&value, &arena, &t), ERR_CORRUPT);
}

// Any requests in any order: along the edges only, epochs of an id never go back, a given epoch
// belongs to one producer.
static void test_random_walks(void **state) {
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    int accepted = 0, ended = 0;
    for (int walk = 0; walk < 300; walk++) {
        struct transaction t = transaction_new(1, 60000, NOW);
        int64_t fresh = 2;
        if (prng_chance(&prng, 1, 4)) t.producer_epoch = TRANSACTION_EPOCH_EXHAUSTED - 2;
        int16_t version = (int16_t)(1 + prng_below(&prng, 2));
        for (int step = 0; step < 60; step++) {
            struct transaction before = t;
            bool changed = false;
            int64_t id = prng_chance(&prng, 1, 8) ? t.previous_producer_id : t.producer_id;
            int16_t epoch = (int16_t)(t.producer_epoch - (int16_t)prng_below(&prng, 2));
            enum err err = ERR_NONE;
            switch (prng_below(&prng, 4)) {
                case 0: {
                    bool names = prng_chance(&prng, 1, 2);
                    struct transaction_init init = {60000, names ? id : -1, names ? epoch : -1,
                                                    version, NOW};
                    err = transaction_start(&t, &init, fresh++, &t);
                    break;
                }
                case 1:
                    err = add(&t, id, epoch, "t", (int32_t)prng_below(&prng, 3));
                    break;
                case 2:
                    err = end(&t, id, epoch, prng_chance(&prng, 1, 2), version, &changed);
                    ended += err == ERR_NONE && changed;
                    break;
                default:
                    if (t.state == TRANSACTION_PREPARE_COMMIT ||
                        t.state == TRANSACTION_PREPARE_ABORT) {
                        t = transaction_complete(&t, NOW);
                    }
            }
            if (err != ERR_NONE) assert_memory_equal(&t, &before, sizeof t);
            accepted += err == ERR_NONE;
            assert_true(t.state == before.state || transaction_may_go(before.state, t.state));
            if (t.producer_id == before.producer_id)
                assert_true(t.producer_epoch >= before.producer_epoch);
            else
                assert_int_equal(t.producer_epoch, 0);
            check_record(&t);
        }
        arena_reset(&arena);
    }
    assert_true(accepted > 3000 && ended > 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_edges),   TEST(test_life_of_tv1),    TEST(test_life_of_tv2),
        TEST(test_fencing), TEST(test_epochs_used_up), TEST(test_verify),
        TEST(test_time),    TEST(test_records),        TEST(test_random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
