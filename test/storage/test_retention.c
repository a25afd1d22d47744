// Rolling, retention, DeleteRecords, truncation, deletion: what goes, when, and what stays.
#include "test/storage/kit.h"

#include "storage/log_directory.h"

static void start(struct kit *kit, int32_t segment_bytes) {
    kit_init(kit, 1, MUTANT_NONE);
    kit->options.config.segment_bytes = segment_bytes;
    kit_open(kit);
}

static void fill(struct kit *kit, int batches) {
    for (int i = 0; i < batches; i++)
        kit_put(kit, KIT_BATCH(.records = 2, .value_size = 50));
}

static void configure(struct kit *kit) {
    log_configure(kit->log, &kit->options.config);
}

static bool has(struct kit *kit, const char *name) {
    uint64_t size;
    return kit_file(kit, name, &size) != NULL;
}

static void size_rolls(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 500);
    size_t size = kit_make(&kit, KIT_BATCH(.records = 2, .value_size = 50)).size;
    fill(&kit, 10);
    int64_t per_segment = 500 / (int64_t)size;
    assert_int_equal(log_segment_count(kit.log), (10 + per_segment - 1) / per_segment);
    assert_int_equal(log_size_bytes(kit.log), 10 * (int64_t)size);
    kit_deinit(&kit);
}

static void the_first_timestamp_rolls(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1 << 20);
    kit.options.config.segment_ms = 10000;
    configure(&kit);
    int64_t now = env_wall_ms(kit.env);
    kit_put(&kit, KIT_BATCH(.timestamp = now));
    kit_put(&kit, KIT_BATCH(.timestamp = now + 10000));
    assert_int_equal(log_segment_count(kit.log), 1);
    kit_put(&kit, KIT_BATCH(.timestamp = now + 10001));
    assert_int_equal(log_segment_count(kit.log), 2);
    // Older ones do not roll; the clock does not matter.
    sim_settle(kit.sim, 20 * S);
    kit_put(&kit, KIT_BATCH(.timestamp = now));
    assert_int_equal(log_segment_count(kit.log), 2);
    kit_reopen(&kit);
    kit_put(&kit, KIT_BATCH(.timestamp = now + 20002));
    assert_int_equal(log_segment_count(kit.log), 3);
    kit_deinit(&kit);
}

static void a_full_index_rolls(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1 << 20);
    kit.options.config.index_interval_bytes = 0;
    kit.options.config.segment_index_bytes = 8 * 10;
    configure(&kit);
    fill(&kit, 30);
    assert_true(log_segment_count(kit.log) >= 3);
    kit_deinit(&kit);
}

static void retention_by_time(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 400);
    int64_t now = env_wall_ms(kit.env);
    for (int i = 0; i < 10; i++)
        kit_put(&kit,
                KIT_BATCH(.records = 2, .value_size = 50, .timestamp = now - 10000 + i * 1000));
    int32_t segments = log_segment_count(kit.log);
    kit.options.config.retention_ms = 5500;
    configure(&kit);
    // Nothing at or above the high watermark goes.
    assert_int_equal(kit_retention(&kit, now, 0), 0);
    int deleted = kit_retention(&kit, now, 20);
    assert_true(deleted > 0 && deleted < segments);
    int64_t first = log_start_offset(kit.log);
    assert_true(first > 0 && first <= 10);
    assert_int_equal(kit_count_records(&kit, first), 20 - first);
    struct log_slice slice;
    assert_int_equal(log_read(kit.log, 0, 100, INT64_MAX, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    // In time all go, the active one too; the end stays.
    kit_retention(&kit, now + 100000, 20);
    assert_int_equal(log_start_offset(kit.log), 20);
    assert_int_equal(log_end_written(kit.log), 20);
    assert_int_equal(log_size_bytes(kit.log), 0);
    kit_reopen(&kit);
    assert_int_equal(log_start_offset(kit.log), 20);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 20);
    kit_deinit(&kit);
}

static void retention_by_size(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 400);
    fill(&kit, 20);
    int64_t size = log_size_bytes(kit.log);
    kit.options.config.retention_bytes = size / 2;
    configure(&kit);
    assert_true(kit_retention(&kit, env_wall_ms(kit.env), 40) > 0);
    // As much goes as may go without getting below the limit.
    assert_true(log_size_bytes(kit.log) >= size / 2);
    assert_true(log_size_bytes(kit.log) < size / 2 + 400);
    kit.options.config.delete_policy = false;
    kit.options.config.retention_bytes = 0;
    configure(&kit);
    assert_int_equal(kit_retention(&kit, env_wall_ms(kit.env) + INT64_C(1) * 86400000 * 365, 40),
                     0);
    kit_deinit(&kit);
}

static void deleted_files_go_after_the_delay(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 400);
    fill(&kit, 10);
    struct log_slice slice;
    assert_int_equal(kit_read_slice(&kit, 0, 100, INT64_MAX, true, &slice), ERR_NONE);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 9, 0).err, ERR_NONE);
    assert_true(kit_retention(&kit, env_wall_ms(kit.env), 20) > 1);
    assert_true(has(&kit, "00000000000000000000.log.deleted"));
    assert_false(has(&kit, "00000000000000000000.log"));
    assert_false(has(&kit, "00000000000000000004.snapshot"));
    sim_settle(kit.sim, 50 * S);
    sim_run(kit.sim, 65 * S, NULL);
    // The slice still has the first one; the others are gone.
    assert_true(has(&kit, "00000000000000000000.log.deleted"));
    assert_false(has(&kit, "00000000000000000004.log.deleted"));
    struct batch batch;
    assert_int_equal(batch_decode(kit_take(&kit, &slice), &batch), ERR_NONE);
    assert_int_equal(batch.base_offset, 0);
    sim_run(kit.sim, 10 * S, NULL);
    assert_false(has(&kit, "00000000000000000000.log.deleted"));
    assert_int_equal(kit_count_records(&kit, 9), 20 - 8);
    kit_deinit(&kit);
}

static void delete_records_moves_the_start(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1 << 20);
    fill(&kit, 5);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 11, 0).err, ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 3, 0).err, ERR_NONE);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 2, 0).err, ERR_NONE);
    assert_int_equal(log_start_offset(kit.log), 3);
    struct log_slice slice;
    assert_int_equal(log_read(kit.log, 2, 100, INT64_MAX, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(kit_lookup(&kit, 0).offset, 3);
    kit_reopen(&kit);
    assert_int_equal(log_start_offset(kit.log), 3);
    assert_int_equal(kit_do(&kit, KIT_ADVANCE_START, 10, 0).err, ERR_NONE);
    assert_int_equal(log_start_offset(kit.log), log_end_written(kit.log));
    kit_deinit(&kit);
}

static void a_start_beyond_the_end_begins_anew(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1 << 20);
    fill(&kit, 5);
    kit_close(&kit);
    kit.options.log_start_offset = 100;
    kit_open(&kit);
    assert_int_equal(log_start_offset(kit.log), 100);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 100);
    kit_reopen(&kit);
    assert_int_equal(kit_count_records(&kit, 100), 1);
    kit_deinit(&kit);
}

static void truncation_and_reset(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 400);
    fill(&kit, 10);
    // Within a batch: the batch goes.
    assert_int_equal(kit_do(&kit, KIT_TRUNCATE, 13, 0).err, ERR_NONE);
    assert_int_equal(log_end_assigned(kit.log), 12);
    assert_int_equal(kit_count_records(&kit, 0), 12);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 12);
    kit_crash(&kit, true);
    kit_open(&kit);
    assert_int_equal(kit_count_records(&kit, 0), 13);
    assert_int_equal(kit_do(&kit, KIT_RESET, 500, 0).err, ERR_NONE);
    assert_int_equal(log_start_offset(kit.log), 500);
    assert_int_equal(log_end_written(kit.log), 500);
    assert_int_equal(log_last_epoch(kit.log), -1);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 500);
    kit_crash(&kit, true);
    kit.options.log_start_offset = -1;
    kit_open(&kit);
    assert_int_equal(log_start_offset(kit.log), 500);
    assert_int_equal(kit_count_records(&kit, 500), 1);
    kit_deinit(&kit);
}

static void note(void *context, const struct partition_directory *partition) {
    int *counts = context;
    counts[partition->kind]++;
}

static void a_deleted_log_goes_after_the_delay(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 400);
    fill(&kit, 3);
    kit_settle(&kit);
    struct list deletions;
    list_init(&deletions);
    assert_int_equal(log_delete(kit.log, &deletions), ERR_NONE);
    kit.log = NULL;
    struct log_directory *directory;
    struct message error;
    int counts[4] = {0};
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &directory, &error),
                     ERR_NONE);
    assert_int_equal(log_directory_list(directory, note, counts), ERR_NONE);
    assert_int_equal(counts[PARTITION_DIRECTORY_CURRENT], 0);
    assert_int_equal(counts[PARTITION_DIRECTORY_DELETED], 1);
    assert_false(list_is_empty(&deletions));
    sim_run(kit.sim, 61 * S, NULL);
    assert_true(list_is_empty(&deletions));
    counts[PARTITION_DIRECTORY_DELETED] = 0;
    assert_int_equal(log_directory_list(directory, note, counts), ERR_NONE);
    assert_int_equal(counts[PARTITION_DIRECTORY_DELETED], 0);
    // Stopped before the delay is over: the next start removes it.
    kit_open(&kit);
    fill(&kit, 1);
    assert_int_equal(log_delete(kit.log, &deletions), ERR_NONE);
    kit.log = NULL;
    assert_true(log_deletions_cancel(&deletions));
    assert_int_equal(log_directory_remove_deleted(directory), ERR_NONE);
    assert_int_equal(log_directory_list(directory, note, counts), ERR_NONE);
    assert_int_equal(counts[PARTITION_DIRECTORY_DELETED], 0);
    log_directory_close(directory);
    kit_deinit(&kit);
}

static void page_cache_mode_syncs_when_asked(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1 << 20);
    kit.options.config.durability = DURABILITY_PAGE_CACHE;
    configure(&kit);
    fill(&kit, 3);
    assert_int_equal(log_end_synced(kit.log), 0);
    assert_int_equal(log_end_durable(kit.log), 6);
    log_sync(kit.log);
    kit_settle(&kit);
    assert_int_equal(log_end_synced(kit.log), 6);
    assert_int_equal(log_recovery_point(kit.log), 6);
    // flush.messages
    kit.options.config.flush_messages = 4;
    configure(&kit);
    fill(&kit, 1);
    assert_int_equal(log_end_synced(kit.log), 6);
    fill(&kit, 1);
    assert_int_equal(log_end_synced(kit.log), 10);
    // flush.ms
    kit.options.config.flush_messages = INT64_MAX;
    kit.options.config.flush_ms = 5000;
    configure(&kit);
    fill(&kit, 1);
    assert_int_equal(log_end_synced(kit.log), 10);
    sim_run(kit.sim, 6 * S, NULL);
    assert_int_equal(log_end_synced(kit.log), 12);
    // A roll moves the recovery point to its offset.
    kit.options.config.flush_ms = INT64_MAX;
    configure(&kit);
    fill(&kit, 1);
    kit_do(&kit, KIT_ROLL, 0, 0);
    kit_settle(&kit);
    assert_int_equal(log_recovery_point(kit.log), 14);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_rolls),
        cmocka_unit_test(the_first_timestamp_rolls),
        cmocka_unit_test(a_full_index_rolls),
        cmocka_unit_test(retention_by_time),
        cmocka_unit_test(retention_by_size),
        cmocka_unit_test(deleted_files_go_after_the_delay),
        cmocka_unit_test(delete_records_moves_the_start),
        cmocka_unit_test(a_start_beyond_the_end_begins_anew),
        cmocka_unit_test(truncation_and_reset),
        cmocka_unit_test(a_deleted_log_goes_after_the_delay),
        cmocka_unit_test(page_cache_mode_syncs_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
