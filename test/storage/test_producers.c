// Idempotence and transactions (KIP-98, KIP-360): what Apache Kafka's ProducerAppendInfo accepts
// and refuses, and that the state outlives a stop, a kill and a power cut.
#include "test/storage/kit.h"

#include "storage/producer_state.h"

static struct kit_batch from(int64_t id, int16_t epoch, int32_t sequence, int32_t records) {
    return KIT_BATCH(.records = records, .producer_id = id, .producer_epoch = epoch,
                     .sequence = sequence);
}

static struct kit_batch in_transaction(int64_t id, int16_t epoch, int32_t sequence,
                                       int32_t records) {
    struct kit_batch spec = from(id, epoch, sequence, records);
    spec.attributes = ATTRIBUTE_TRANSACTIONAL;
    return spec;
}

static void start(struct kit *kit) {
    kit_init(kit, 1, MUTANT_NONE);
    kit_open(kit);
}

static void expect_duplicate(struct kit *kit, struct kit_batch spec, int64_t base_offset) {
    struct kit_append append;
    int64_t end = log_end_assigned(kit->log);
    assert_int_equal(kit_start(kit, &append, spec), ERR_NONE);
    assert_true(append.op.is_duplicate);
    assert_int_equal(append.op.base_offset, base_offset);
    assert_int_equal(append.op.last_offset, base_offset + spec.records - 1);
    assert_false(append.is_done);
    kit_settle(kit);
    assert_true(append.is_done);
    assert_int_equal(append.result, ERR_NONE);
    assert_int_equal(log_end_assigned(kit->log), end);
}

static void expect_error(struct kit *kit, struct kit_batch spec, enum err expected) {
    struct kit_append append;
    assert_int_equal(kit_refused(kit, &append, spec), expected);
    assert_true(append.op.error_text.size > 0);
}

static void the_last_five_batches_are_remembered(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    for (int i = 0; i < 7; i++)
        assert_int_equal(kit_put(&kit, from(1, 0, i * 2, 2)), i * 2);
    for (int i = 2; i < 7; i++)
        expect_duplicate(&kit, from(1, 0, i * 2, 2), i * 2);
    // Older ones are not told from mistakes.
    expect_error(&kit, from(1, 0, 2, 2), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    // Both ends of the batch must be the same.
    expect_error(&kit, from(1, 0, 12, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_error(&kit, from(1, 0, 13, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_error(&kit, from(1, 0, 12, 3), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    // A gap.
    expect_error(&kit, from(1, 0, 15, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(kit_put(&kit, from(1, 0, 14, 1)), 14);
    kit_deinit(&kit);
}

static void a_duplicate_of_a_batch_in_flight_waits_for_it(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    struct kit_append first, retry;
    assert_int_equal(kit_start(&kit, &first, from(1, 0, 0, 3)), ERR_NONE);
    assert_int_equal(kit_start(&kit, &retry, from(1, 0, 0, 3)), ERR_NONE);
    assert_true(retry.op.is_duplicate);
    assert_int_equal(retry.op.base_offset, first.op.base_offset);
    kit_settle(&kit);
    assert_true(first.is_done && retry.is_done);
    assert_int_equal(kit_count_records(&kit, 0), 3);
    kit_deinit(&kit);
}

static void sequences_wrap(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    // An unknown producer may begin anywhere.
    assert_int_equal(kit_put(&kit, from(1, 0, INT32_MAX - 1, 1)), 0);
    // This batch goes over the edge: MAX, 0, 1.
    assert_int_equal(kit_put(&kit, from(1, 0, INT32_MAX, 3)), 1);
    expect_duplicate(&kit, from(1, 0, INT32_MAX, 3), 1);
    expect_error(&kit, from(1, 0, 1, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_int_equal(kit_put(&kit, from(1, 0, 2, 1)), 4);
    // And exactly at the edge.
    assert_int_equal(kit_put(&kit, from(2, 0, INT32_MAX, 1)), 5);
    assert_int_equal(kit_put(&kit, from(2, 0, 0, 1)), 6);
    kit_deinit(&kit);
}

static void epochs_fence_and_begin_at_zero(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, from(1, 3, 0, 5));
    expect_error(&kit, from(1, 2, 5, 1), ERR_INVALID_PRODUCER_EPOCH);
    expect_error(&kit, from(1, 4, 5, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    kit_put(&kit, from(1, 4, 0, 1));
    // The old epoch's batches are no duplicates any more.
    expect_error(&kit, from(1, 3, 0, 5), ERR_INVALID_PRODUCER_EPOCH);
    expect_error(&kit, from(1, 4, 5, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    kit_deinit(&kit);
}

static void state_outlives_a_clean_stop(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, from(1, 0, 0, 5));
    kit_put(&kit, from(2, 7, 100, 5));
    uint64_t hash = log_producer_hash(kit.log);
    kit_reopen(&kit);
    assert_true(log_producer_hash(kit.log) == hash);
    expect_duplicate(&kit, from(1, 0, 0, 5), 0);
    expect_duplicate(&kit, from(2, 7, 100, 5), 5);
    expect_error(&kit, from(2, 6, 105, 5), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(kit_put(&kit, from(1, 0, 5, 1)), 10);
    kit_deinit(&kit);
}

static void state_outlives_kills_and_power_cuts(void **state) {
    (void)state;
    for (int power_cut = 0; power_cut < 2; power_cut++) {
        struct kit kit;
        start(&kit);
        kit.options.config.segment_bytes = 300;
        log_configure(kit.log, &kit.options.config);
        for (int i = 0; i < 8; i++)
            kit_put(&kit, from(1, 0, i * 2, 2));
        kit_put(&kit, in_transaction(2, 0, 0, 1));
        assert_true(log_segment_count(kit.log) > 2);
        uint64_t hash = log_producer_hash(kit.log);
        kit_crash(&kit, power_cut == 1);
        kit_open(&kit);
        assert_true(log_producer_hash(kit.log) == hash);
        expect_duplicate(&kit, from(1, 0, 14, 2), 14);
        assert_int_equal(log_last_stable_offset(kit.log, 17), 16);
        assert_int_equal(kit_put(&kit, from(1, 0, 16, 2)), 17);
        kit_deinit(&kit);
    }
}

// A client may have five requests in flight when the broker stops, and retries each of them after
// the start.
static void all_five_batches_are_recalled_after_a_restart(void **state) {
    (void)state;
    for (int rolled = 0; rolled < 3; rolled++) {
        for (int clean = 0; clean < 2; clean++) {
            struct kit kit;
            start(&kit);
            kit.options.config.segment_bytes = rolled == 0 ? 1 << 20 : 250;
            log_configure(kit.log, &kit.options.config);
            for (int i = 0; i < 8; i++) {
                kit_put(&kit, from(1, 0, i * 2, 2));
                if (rolled == 2) kit_put(&kit, from(2, 0, i, 1));
            }
            int64_t stride = rolled == 2 ? 3 : 2;
            if (clean) {
                kit_reopen(&kit);
            } else {
                kit_crash(&kit, false);
                kit_open(&kit);
            }
            expect_duplicate(&kit, from(1, 0, 8, 2), 4 * stride);
            expect_duplicate(&kit, from(1, 0, 6, 2), 3 * stride);
            expect_duplicate(&kit, from(1, 0, 14, 2), 7 * stride);
            expect_error(&kit, from(1, 0, 4, 2), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
            assert_int_equal(kit_put(&kit, from(1, 0, 16, 2)), 8 * stride);
            expect_duplicate(&kit, from(1, 0, 8, 2), 4 * stride);
            kit_deinit(&kit);
        }
    }
}

static void a_damaged_snapshot_costs_only_a_replay(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, from(1, 0, 0, 5));
    uint64_t hash = log_producer_hash(kit.log);
    kit_close(&kit);
    assert_true(sim_disk_flip_bit(kit.node, LOG_DIRECTORY "/00000000000000000005.snapshot", 30, 3));
    kit_open(&kit);
    assert_true(log_producer_hash(kit.log) == hash);
    expect_duplicate(&kit, from(1, 0, 0, 5), 0);
    kit_deinit(&kit);
}

static void producers_expire(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, from(1, 0, 0, 5));
    kit_put(&kit, in_transaction(2, 0, 0, 1));
    int64_t later = env_wall_ms(kit.env) + kit.options.config.producer_id_expiration_ms;
    log_expire_producers(kit.log, later - 10000);
    assert_int_equal(kit_refused(&kit, &(struct kit_append){0}, from(1, 0, 9, 1)),
                     ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    log_expire_producers(kit.log, later + 1000);
    // Forgotten, so it may go on anywhere; an open transaction is not forgotten.
    kit_put(&kit, from(1, 0, 9, 1));
    assert_int_equal(log_last_stable_offset(kit.log, log_end_written(kit.log)), 5);
    kit_deinit(&kit);
}

static int32_t aborted(struct kit *kit, int64_t begin, int64_t end,
                       struct aborted_transaction **list) {
    int32_t count;
    enum err err;
    do {
        err = log_aborted_transactions(kit->log, begin, end, &kit->arena, list, &count);
    } while (err == ERR_WOULD_BLOCK);
    assert_int_equal(err, ERR_NONE);
    return count;
}

static void transactions_hold_the_stable_offset(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, from(9, 0, 0, 2));
    kit_put(&kit, in_transaction(1, 0, 0, 2));
    kit_put(&kit, in_transaction(2, 0, 0, 2));
    assert_int_equal(log_last_stable_offset(kit.log, 6), 2);
    assert_int_equal(log_last_stable_offset(kit.log, 1), 1);
    assert_int_equal(kit_end_transaction(&kit, 1, 0, true), 6);
    // The marker is not below the high watermark yet: its transaction is undecided.
    assert_int_equal(log_last_stable_offset(kit.log, 6), 2);
    assert_int_equal(log_last_stable_offset(kit.log, 7), 4);
    assert_int_equal(kit_end_transaction(&kit, 2, 0, false), 7);
    assert_int_equal(log_last_stable_offset(kit.log, 8), 8);
    struct aborted_transaction *list;
    assert_int_equal(aborted(&kit, 0, 8, &list), 1);
    assert_int_equal(list[0].producer_id, 2);
    assert_int_equal(list[0].first_offset, 4);
    assert_int_equal(aborted(&kit, 0, 4, &list), 0);
    assert_int_equal(aborted(&kit, 8, 9, &list), 0);
    assert_int_equal(aborted(&kit, 7, 8, &list), 1);
    // A marker of a producer without a transaction changes nothing.
    kit_end_transaction(&kit, 1, 0, false);
    assert_int_equal(aborted(&kit, 0, 9, &list), 1);
    // DeleteRecords over the start of an open transaction.
    kit_put(&kit, in_transaction(3, 0, 0, 4));
    assert_int_equal(log_last_stable_offset(kit.log, 13), 9);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 11, 0).err, ERR_NONE);
    assert_int_equal(log_last_stable_offset(kit.log, 13), 11);
    kit_end_transaction(&kit, 3, 0, true);
    assert_int_equal(log_last_stable_offset(kit.log, 14), 14);
    kit_reopen(&kit);
    assert_int_equal(aborted(&kit, 0, 9, &list), 1);
    assert_int_equal(log_last_stable_offset(kit.log, 14), 14);
    kit_deinit(&kit);
}

static void a_producer_in_a_transaction_writes_only_in_it(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, in_transaction(1, 0, 0, 2));
    expect_error(&kit, from(1, 0, 2, 1), ERR_INVALID_TXN_STATE);
    kit_put(&kit, in_transaction(1, 0, 2, 1));
    kit_end_transaction(&kit, 1, 0, true);
    kit_put(&kit, from(1, 0, 3, 1));
    kit_deinit(&kit);
}

static void markers_are_fenced(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit_put(&kit, in_transaction(1, 5, 0, 2));
    struct kit_append append;
    assert_int_equal(
        kit_start_bytes(&kit, &append, kit_marker(&kit, 1, 4, true, 3), APPEND_COORDINATOR, 0),
        ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(
        kit_start_bytes(&kit, &append, kit_marker(&kit, 1, 5, true, 3), APPEND_COORDINATOR, 0),
        ERR_NONE);
    kit_settle(&kit);
    assert_int_equal(
        kit_start_bytes(&kit, &append, kit_marker(&kit, 1, 5, true, 2), APPEND_COORDINATOR, 0),
        ERR_TRANSACTION_COORDINATOR_FENCED);
    // KIP-890: a marker with a higher epoch; the producer goes on there from zero.
    assert_int_equal(
        kit_start_bytes(&kit, &append, kit_marker(&kit, 1, 6, true, 3), APPEND_COORDINATOR, 0),
        ERR_NONE);
    kit_settle(&kit);
    expect_error(&kit, from(1, 6, 2, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    expect_error(&kit, from(1, 5, 2, 1), ERR_INVALID_PRODUCER_EPOCH);
    kit_put(&kit, from(1, 6, 0, 1));
    kit_deinit(&kit);
}

// KIP-890, and Kafka's answer to markers that are sent again (KAFKA-19999).
static void markers_of_the_second_protocol_are_newer(void **state) {
    (void)state;
    struct producer_table table;
    producer_table_init(&table, 1);
    struct message error;
    message_init(&error);
    struct transaction_marker marker = {CONTROL_COMMIT, 3};
    struct completed_transaction completed;
    struct batch data = {.producer_id = 1,
                         .producer_epoch = 5,
                         .base_sequence = 0,
                         .attributes = ATTRIBUTE_TRANSACTIONAL};
    struct batch end = {.producer_id = 1, .producer_epoch = 5, .base_sequence = -1};
    producer_table_apply(&table, &data, NULL, &completed);
    assert_int_equal(producer_check_marker(&table, &end, 3, 1, "t-0", &error), ERR_NONE);
    assert_int_equal(producer_check_marker(&table, &end, 3, 2, "t-0", &error),
                     ERR_INVALID_PRODUCER_EPOCH);
    end.producer_epoch = 6;
    assert_int_equal(producer_check_marker(&table, &end, 3, 2, "t-0", &error), ERR_NONE);
    assert_true(producer_table_apply(&table, &end, &marker, &completed));
    // Its answer was lost: the same marker again.
    assert_int_equal(producer_check_marker(&table, &end, 3, 2, "t-0", &error), ERR_NONE);
    end.producer_epoch = 5;
    assert_int_equal(producer_check_marker(&table, &end, 3, 2, "t-0", &error),
                     ERR_INVALID_PRODUCER_EPOCH);
    producer_table_deinit(&table);
}

static void note(struct kit *kit, int64_t id, int32_t sequence, bool from_zero) {
    struct batch batch = {.producer_id = id, .base_sequence = sequence};
    log_note_beginning(kit->log, &batch, from_zero);
}

// The first batch was turned away by the coordinator: the second does not become the first.
static void a_transaction_begins_at_its_beginning(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    note(&kit, 1, 4, false);
    note(&kit, 1, 9, false);
    expect_error(&kit, in_transaction(1, 0, 9, 2), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    kit_put(&kit, in_transaction(1, 0, 4, 5));  // TV1: its past may have been deleted
    kit_put(&kit, in_transaction(1, 0, 9, 2));
    note(&kit, 2, 4, true);
    expect_error(&kit, in_transaction(2, 0, 4, 1), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    kit_put(&kit, in_transaction(2, 0, 0, 1));
    // Who never asked a coordinator is not held to it, nor is who is known.
    kit_put(&kit, from(3, 0, 4, 1));
    note(&kit, 3, 0, true);
    kit_put(&kit, from(3, 0, 5, 1));
    log_expire_producers(kit.log, INT64_MAX / 2);
    kit_deinit(&kit);
}

// Between the coordinator's word and the append a marker came: the batch is late.
static void a_guard_is_void_after_a_marker(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    uint32_t before, after;
    assert_false(log_transaction_is_open(kit.log, 1, 0, &before));
    kit_put(&kit, in_transaction(1, 0, 0, 1));
    assert_true(log_transaction_is_open(kit.log, 1, 0, &after));
    assert_false(log_transaction_is_open(kit.log, 1, 1, &after));
    kit_end_transaction(&kit, 1, 0, false);
    assert_false(log_transaction_is_open(kit.log, 1, 0, &after));
    assert_int_not_equal(before, after);
    kit_deinit(&kit);
}

static void transactions_outlive_recovery_without_any_index(void **state) {
    (void)state;
    struct kit kit;
    start(&kit);
    kit.options.config.segment_bytes = 400;
    log_configure(kit.log, &kit.options.config);
    for (int i = 0; i < 6; i++) {
        kit_put(&kit, in_transaction(1, 0, i, 1));
        kit_put(&kit, in_transaction(2, 0, i, 1));
        kit_end_transaction(&kit, 2, 0, false);
    }
    struct aborted_transaction *before, *after;
    int32_t count = aborted(&kit, 0, 18, &before);
    assert_int_equal(count, 6);
    int64_t first[6];
    for (int i = 0; i < 6; i++)
        first[i] = before[i].first_offset;
    assert_int_equal(log_last_stable_offset(kit.log, 18), 0);
    kit_crash(&kit, false);
    kit.options.recovery_point = 0;
    for (int i = 0; i < 18; i++) {
        static const char *const suffixes[] = {"index", "timeindex", "txnindex", "snapshot"};
        for (size_t k = 0; k < COUNT_OF(suffixes); k++) {
            char path[200];
            snprintf(path, sizeof path, "%s/%020d.%s", LOG_DIRECTORY, i, suffixes[k]);
            (void)!env_unlink(kit.env, slice_cstring(path));
        }
    }
    kit_open(&kit);
    assert_int_equal(aborted(&kit, 0, 18, &after), 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(after[i].first_offset, first[i]);
    assert_int_equal(log_last_stable_offset(kit.log, 18), 0);
    kit_deinit(&kit);
}

static void count_entry(void *context, const struct producer_state *state) {
    (*(int *)context)++;
    assert_true(state->batch_count <= 1);
}

static void snapshots_that_lie_are_refused(void **state) {
    (void)state;
    struct producer_table table;
    producer_table_init(&table, 1);
    struct batch batch = {.producer_id = 5,
                          .producer_epoch = 1,
                          .base_sequence = 0,
                          .last_offset_delta = 3,
                          .last_offset = 3};
    producer_table_apply(&table, &batch, NULL, NULL);
    struct string_buffer text;
    string_buffer_init(&text);
    producer_snapshot_format(&table, &text);
    assert_int_equal(text.size, PRODUCER_SNAPSHOT_HEADER + PRODUCER_SNAPSHOT_ENTRY);
    int count = 0;
    assert_int_equal(producer_snapshot_parse(string_buffer_slice(&text), count_entry, &count),
                     ERR_NONE);
    assert_int_equal(count, 1);
    for (size_t size = 0; size < text.size; size++) {
        assert_int_equal(producer_snapshot_parse(slice_of(text.text, size), count_entry, &count),
                         ERR_CORRUPT);
    }
    for (size_t at = 0; at < text.size; at++) {
        text.text[at] = (char)(text.text[at] ^ 1);
        assert_int_equal(producer_snapshot_parse(string_buffer_slice(&text), count_entry, &count),
                         ERR_CORRUPT);
        text.text[at] = (char)(text.text[at] ^ 1);
    }
    assert_int_equal(count, 1);
    string_buffer_deinit(&text);
    producer_table_deinit(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_five_batches_are_remembered),
        cmocka_unit_test(a_duplicate_of_a_batch_in_flight_waits_for_it),
        cmocka_unit_test(sequences_wrap),
        cmocka_unit_test(epochs_fence_and_begin_at_zero),
        cmocka_unit_test(state_outlives_a_clean_stop),
        cmocka_unit_test(state_outlives_kills_and_power_cuts),
        cmocka_unit_test(all_five_batches_are_recalled_after_a_restart),
        cmocka_unit_test(a_damaged_snapshot_costs_only_a_replay),
        cmocka_unit_test(producers_expire),
        cmocka_unit_test(transactions_hold_the_stable_offset),
        cmocka_unit_test(a_producer_in_a_transaction_writes_only_in_it),
        cmocka_unit_test(markers_are_fenced),
        cmocka_unit_test(markers_of_the_second_protocol_are_newer),
        cmocka_unit_test(a_transaction_begins_at_its_beginning),
        cmocka_unit_test(a_guard_is_void_after_a_marker),
        cmocka_unit_test(transactions_outlive_recovery_without_any_index),
        cmocka_unit_test(snapshots_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
