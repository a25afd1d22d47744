// What enters a log and what does not: bounds, checksums, sizes, timestamps, keys, compression;
// with the errors and sentences that clients see.
#include "test/storage/kit.h"

static void start(struct kit *kit) {
    kit_init(kit, 1, MUTANT_NONE);
    kit_open(kit);
}

static void configure(struct kit *kit) {
    log_configure(kit->log, &kit->options.config);
}

static enum err offer(struct kit *kit, struct kit_append *append, struct slice bytes) {
    int64_t end = log_end_assigned(kit->log);
    enum err err = kit_start_bytes(kit, append, bytes, APPEND_CLIENT, 3);
    if (err != ERR_NONE) assert_int_equal(log_end_assigned(kit->log), end);
    kit_settle(kit);
    return err;
}

static void says(const struct kit_append *append, const char *text) {
    if (slice_equal_cstring(append->op.error_text, text)) return;
    print_message("%.*s\n%s\n", SLICE_PRINT(append->op.error_text), text);
    fail();
}

static uint8_t *edit(struct slice bytes) {
    return (uint8_t *)(uintptr_t)bytes.data;
}

static void batches_that_are_none(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    struct slice good = kit_make(&kit, KIT_BATCH(.records = 3));
    for (size_t size = 0; size < good.size; size++) {
        assert_int_equal(offer(&kit, &append, slice_sub(good, 0, size)), ERR_CORRUPT_MESSAGE);
    }
    for (size_t at = 8; at < good.size; at++) {
        if (at >= BATCH_LEADER_EPOCH && at < BATCH_MAGIC) continue;
        edit(good)[at] ^= 0x10;
        assert_int_not_equal(offer(&kit, &append, good), ERR_NONE);
        edit(good)[at] ^= 0x10;
    }
    // The client's leader epoch does not matter; the broker's is written without touching the
    // checksum.
    store_i32(edit(good) + BATCH_LEADER_EPOCH, -1);
    assert_int_equal(offer(&kit, &append, good), ERR_NONE);
    struct batch batch;
    assert_int_equal(batch_decode(kit_read(&kit, 0, 1000), &batch), ERR_NONE);
    assert_int_equal(batch.leader_epoch, 3);
    kit_deinit(&kit);
}

static void headers_that_contradict_themselves(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    struct slice bytes = kit_make(&kit, KIT_BATCH(.records = 3));
    store_i64(edit(bytes), 7);
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
    says(&append,
         "The baseOffset of the record batch in the append to t-0 should be 0, but it is 7");
    store_i64(edit(bytes), 0);
    store_i32(edit(bytes) + BATCH_LAST_OFFSET_DELTA, 5);
    batch_seal(edit(bytes), bytes.size);
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
    says(&append,
         "Inconsistent batch offset range [0, 5] and count of records 3 in topic partition t-0");
    store_i32(edit(bytes) + BATCH_LAST_OFFSET_DELTA, 2);
    store_i32(edit(bytes) + BATCH_RECORD_COUNT, 0);
    batch_seal(edit(bytes), bytes.size);
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
    bytes = kit_make(&kit, KIT_BATCH(.attributes = ATTRIBUTE_CONTROL));
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
    says(&append, "Clients are not allowed to write control records in topic partition t-0");
    bytes = kit_make(&kit, KIT_BATCH(.producer_id = 5, .sequence = -1));
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
    bytes = kit_make(&kit, KIT_BATCH(.attributes = 5));
    store_i16(edit(bytes) + BATCH_ATTRIBUTES, 5);
    batch_seal(edit(bytes), bytes.size);
    assert_int_equal(offer(&kit, &append, bytes), ERR_UNSUPPORTED_COMPRESSION_TYPE);
    kit_deinit(&kit);
}

// The count in the header and the records behind it must agree; for an uncompressed batch that is
// looked at always, for a compressed one where it is decompressed.
static void records_that_are_not_there(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    kit.options.config.validate_records = true;
    configure(&kit);
    for (int i = 0; i < 4; i++) {
        int delta = i % 2 == 0 ? -1 : 1;
        enum compression compression = i < 2 ? COMPRESSION_NONE : COMPRESSION_LZ4;
        struct slice bytes = kit_make(&kit, KIT_BATCH(.records = 3, .compression = compression));
        store_i32(edit(bytes) + BATCH_LAST_OFFSET_DELTA, 2 + delta);
        store_i32(edit(bytes) + BATCH_RECORD_COUNT, 3 + delta);
        batch_seal(edit(bytes), bytes.size);
        assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_RECORD);
        assert_true(append.op.error_text.size > 0);
    }
    kit_deinit(&kit);
}

static void sizes(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    struct slice bytes = kit_make(&kit, KIT_BATCH(.value_size = 1000));
    kit.options.config.max_message_bytes = (int32_t)bytes.size - 1;
    configure(&kit);
    assert_int_equal(offer(&kit, &append, bytes), ERR_MESSAGE_TOO_LARGE);
    char expected[200];
    snprintf(expected, sizeof expected,
             "The record batch size in the append to t-0 is %zu bytes which exceeds the maximum "
             "configured value of %zu).",
             bytes.size, bytes.size - 1);
    says(&append, expected);
    // What counts is the size as received, not what it decompresses to.
    bytes = kit_make(&kit, KIT_BATCH(.value_size = 100000, .compression = COMPRESSION_ZSTD));
    assert_int_equal(offer(&kit, &append, bytes), ERR_NONE);
    kit.options.config.max_message_bytes = 1 << 20;
    kit.options.config.segment_bytes = 500;
    configure(&kit);
    bytes = kit_make(&kit, KIT_BATCH(.value_size = 1000));
    assert_int_equal(offer(&kit, &append, bytes), ERR_RECORD_LIST_TOO_LARGE);
    kit_deinit(&kit);
}

static void timestamps_out_of_range_name_their_records(void **state) {
    (void)state;
    for (enum compression compression = COMPRESSION_NONE; compression <= COMPRESSION_ZSTD;
         compression++) {
        struct kit kit;
        struct kit_append append;
        start(&kit);
        kit.options.config.timestamp_before_max_ms = 1000;
        kit.options.config.timestamp_after_max_ms = 2000;
        configure(&kit);
        int64_t now = env_wall_ms(kit.env);
        // Records at now + 1999, + 2000, + 2001.
        struct kit_batch spec =
            KIT_BATCH(.records = 3, .timestamp = now + 1999, .compression = compression);
        assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_INVALID_TIMESTAMP);
        assert_int_equal(append.op.record_error_count, 1);
        assert_int_equal(append.op.record_errors[0].index, 2);
        says(&append, "One or more records have been rejected due to invalid timestamp");
        char expected[200];
        snprintf(expected, sizeof expected,
                 "Timestamp %lld of message with offset 2 is out of range. The timestamp should be "
                 "within [%lld, %lld]",
                 (long long)now + 2001, (long long)now - 1000, (long long)now + 2000);
        assert_true(slice_equal_cstring(append.op.record_errors[0].text, expected));
        now = env_wall_ms(kit.env);
        spec.timestamp = now - 1002;
        assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_INVALID_TIMESTAMP);
        assert_int_equal(append.op.record_error_count, 2);
        spec.timestamp = env_wall_ms(kit.env) - 500;
        assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
        kit_deinit(&kit);
    }
}

static void extreme_timestamps_do_no_harm(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    static const int64_t extremes[] = {INT64_MAX, INT64_MAX - 1, INT64_MIN + 1, INT64_MIN, -2};
    for (size_t i = 0; i < COUNT_OF(extremes); i++) {
        struct slice bytes = kit_make(&kit, KIT_BATCH());
        store_i64(edit(bytes) + BATCH_BASE_TIMESTAMP, extremes[i]);
        store_i64(edit(bytes) + BATCH_MAX_TIMESTAMP, extremes[i]);
        batch_seal(edit(bytes), bytes.size);
        enum err err = offer(&kit, &append, bytes);
        assert_int_equal(err, extremes[i] != -2 ? ERR_INVALID_TIMESTAMP : ERR_NONE);
    }
    kit_reopen(&kit);
    kit_deinit(&kit);
}

static void log_append_time_is_written_into_the_header(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    kit.options.config.log_append_time = true;
    configure(&kit);
    int64_t now = env_wall_ms(kit.env);
    struct kit_batch spec =
        KIT_BATCH(.records = 3, .timestamp = 1000, .compression = COMPRESSION_LZ4);
    assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
    assert_int_equal(append.op.log_append_time_ms, now);
    struct slice read = kit_read(&kit, 0, 1000);
    struct batch batch;
    assert_int_equal(batch_decode(read, &batch), ERR_NONE);
    assert_int_equal(batch.max_timestamp, now);
    assert_true((batch.attributes & ATTRIBUTE_LOG_APPEND_TIME) != 0);
    assert_true(batch_crc_is_valid(read));
    // Every record has that time.
    assert_int_equal(kit_lookup(&kit, now).offset, 0);
    // A retry of an idempotent batch is told the first time.
    spec = KIT_BATCH(.producer_id = 1);
    assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
    int64_t first = append.op.log_append_time_ms;
    assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
    assert_true(append.op.is_duplicate);
    assert_int_equal(append.op.log_append_time_ms, first);
    // A producer must not say LogAppendTime itself on a CreateTime topic when its times do not say
    // otherwise.
    kit.options.config.log_append_time = false;
    configure(&kit);
    struct slice bytes =
        kit_make(&kit, KIT_BATCH(.attributes = ATTRIBUTE_LOG_APPEND_TIME, .timestamp = -1));
    assert_int_equal(offer(&kit, &append, bytes), ERR_INVALID_TIMESTAMP);
    kit_deinit(&kit);
}

static void a_compacted_topic_wants_keys(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    kit.options.config.compact_policy = true;
    configure(&kit);
    struct kit_batch spec =
        KIT_BATCH(.records = 2, .no_key = true, .compression = COMPRESSION_GZIP);
    assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_INVALID_RECORD);
    assert_int_equal(append.op.record_error_count, 2);
    assert_int_equal(append.op.record_errors[1].index, 1);
    assert_true(slice_equal_cstring(
        append.op.record_errors[0].text,
        "Compacted topic cannot accept message without key in topic partition t-0"));
    spec.no_key = false;
    assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
    kit_deinit(&kit);
}

static void a_missing_max_timestamp_is_worked_out(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    int64_t now = env_wall_ms(kit.env);
    struct slice bytes = kit_make(
        &kit, KIT_BATCH(.records = 3, .timestamp = now - 50, .compression = COMPRESSION_SNAPPY));
    store_i64(edit(bytes) + BATCH_MAX_TIMESTAMP, -1);
    batch_seal(edit(bytes), bytes.size);
    assert_int_equal(offer(&kit, &append, bytes), ERR_NONE);
    struct batch batch;
    struct slice read = kit_read(&kit, 0, 1000);
    assert_int_equal(batch_decode(read, &batch), ERR_NONE);
    assert_int_equal(batch.max_timestamp, now - 48);
    assert_true(batch_crc_is_valid(read));
    kit_deinit(&kit);
}

static void another_compression_type_packs_again(void **state) {
    (void)state;
    for (enum compression from = COMPRESSION_NONE; from <= COMPRESSION_ZSTD; from++) {
        for (enum compression to = COMPRESSION_NONE; to <= COMPRESSION_ZSTD; to++) {
            struct kit kit;
            struct kit_append append;
            start(&kit);
            kit.options.config.compression_is_producer = false;
            kit.options.config.compression = to;
            configure(&kit);
            struct kit_batch spec = KIT_BATCH(.records = 5, .value_size = 300, .compression = from,
                                              .producer_id = 4, .producer_epoch = 2, .sequence = 9);
            assert_int_equal(offer(&kit, &append, kit_make(&kit, spec)), ERR_NONE);
            struct slice read = kit_read(&kit, 0, 10000);
            struct batch batch;
            assert_int_equal(batch_decode(read, &batch), ERR_NONE);
            assert_int_equal(batch_compression(&batch), to);
            assert_int_equal(batch.record_count, 5);
            assert_int_equal(batch.producer_id, 4);
            assert_int_equal(batch.producer_epoch, 2);
            assert_int_equal(batch.base_sequence, 9);
            assert_true(batch_crc_is_valid(read));
            struct record_reader reader;
            struct record record;
            assert_int_equal(record_reader_init(&reader, read, &kit.arena, 1 << 20), ERR_NONE);
            int count = 0;
            while (record_reader_next(&reader, &record) == ERR_NONE)
                assert_int_equal(record.offset, count++);
            assert_int_equal(count, 5);
            kit_deinit(&kit);
        }
    }
}

// By default the inside of a compressed batch is not looked at; with taccola.record.validation=full
// it is.
static void full_validation_reads_the_records(void **state) {
    (void)state;
    struct kit kit;
    struct kit_append append;
    start(&kit);
    struct slice bytes =
        kit_make(&kit, KIT_BATCH(.records = 3, .value_size = 500, .compression = COMPRESSION_LZ4));
    edit(bytes)[BATCH_HEADER_SIZE + 12] ^= 0x55;
    batch_seal(edit(bytes), bytes.size);
    assert_int_equal(offer(&kit, &append, bytes), ERR_NONE);
    // Nobody is harmed by it afterwards.
    struct log_timestamp found;
    (void)!log_lookup(kit.log, 0, INT64_MAX, &found);
    kit.options.config.validate_records = true;
    configure(&kit);
    store_i64(edit(bytes), 0);
    assert_int_equal(offer(&kit, &append, bytes), ERR_CORRUPT_MESSAGE);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_that_are_none),
        cmocka_unit_test(headers_that_contradict_themselves),
        cmocka_unit_test(records_that_are_not_there),
        cmocka_unit_test(sizes),
        cmocka_unit_test(timestamps_out_of_range_name_their_records),
        cmocka_unit_test(extreme_timestamps_do_no_harm),
        cmocka_unit_test(log_append_time_is_written_into_the_header),
        cmocka_unit_test(a_compacted_topic_wants_keys),
        cmocka_unit_test(a_missing_max_timestamp_is_worked_out),
        cmocka_unit_test(another_compression_type_packs_again),
        cmocka_unit_test(full_validation_reads_the_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
