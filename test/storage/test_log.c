// A log from the outside: append, read, roll, close, open again.
#include "test/storage/kit.h"

#include "storage/log_internal.h"

static void an_idle_log_costs_nothing(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_open(&kit);
    assert_int_equal(log_end_assigned(kit.log), 0);
    assert_int_equal(log_size_bytes(kit.log), 0);
    struct env_stat stat;
    assert_int_equal(env_stat(kit.env, SLICE_LITERAL(LOG_DIRECTORY), &stat), ERR_NOT_FOUND);
    kit_reopen(&kit);
    assert_int_equal(env_stat(kit.env, SLICE_LITERAL(LOG_DIRECTORY), &stat), ERR_NOT_FOUND);
    struct log_slice slice;
    assert_int_equal(log_read(kit.log, 0, 100, INT64_MAX, true, &slice), ERR_NONE);
    assert_int_equal(slice.size, 0);
    assert_int_equal(log_read(kit.log, 1, 100, INT64_MAX, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(kit_lookup(&kit, 0).offset, -1);
    kit_deinit(&kit);
}

// What a partition with records holds on to when nobody uses it: under 2 KiB, and no open file.
static void an_idle_partition_closes_its_files(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_open(&kit);
    for (int i = 0; i < 40; i++)
        kit_put(&kit, KIT_BATCH(.records = 10, .value_size = 300));
    kit_retention(&kit, env_wall_ms(kit.env), 0);
    kit_retention(&kit, env_wall_ms(kit.env), 0);
    const struct segment *active = log_active(kit.log);
    assert_null(active->file);
    assert_null(active->offsets.file);
    assert_null(active->times.file);
    assert_null(active->offsets.tail);
    assert_null(active->times.tail);
    assert_true(sizeof *kit.log + sizeof *active + 500 < 2048);
    assert_int_equal(kit_count_records(&kit, 0), 400);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 400);
    kit_retention(&kit, env_wall_ms(kit.env), 0);
    kit_retention(&kit, env_wall_ms(kit.env), 0);
    kit_reopen(&kit);
    assert_null(log_active(kit.log)->file);
    assert_int_equal(kit_count_records(&kit, 0), 401);
    kit_deinit(&kit);
}

static void what_is_appended_is_read(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_open(&kit);
    assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 3)), 0);
    assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 2)), 3);
    assert_int_equal(log_end_assigned(kit.log), 5);
    assert_int_equal(log_end_written(kit.log), 5);
    assert_int_equal(log_end_synced(kit.log), 5);
    assert_int_equal(log_last_epoch(kit.log), 0);
    assert_int_equal(kit_count_records(&kit, 0), 5);
    // An offset inside a batch gives the whole batch.
    struct batch batch;
    assert_int_equal(batch_decode(kit_read(&kit, 4, 1000), &batch), ERR_NONE);
    assert_int_equal(batch.base_offset, 3);
    // At the end there is nothing, beyond it an error.
    struct log_slice slice;
    assert_int_equal(log_read(kit.log, 5, 1000, INT64_MAX, true, &slice), ERR_NONE);
    assert_int_equal(slice.size, 0);
    assert_int_equal(slice.next_offset, 5);
    assert_int_equal(log_read(kit.log, 6, 1000, INT64_MAX, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    assert_int_equal(log_read(kit.log, -1, 1000, INT64_MAX, true, &slice), ERR_OFFSET_OUT_OF_RANGE);
    kit_deinit(&kit);
}

static void reads_are_cut_at_batches_and_at_the_bound(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_open(&kit);
    size_t size = kit_make(&kit, KIT_BATCH(.records = 2)).size;
    for (int i = 0; i < 10; i++)
        assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 2)), i * 2);
    struct log_slice slice;
    assert_int_equal(log_read(kit.log, 0, size * 3 + 5, INT64_MAX, false, &slice), ERR_NONE);
    assert_int_equal(slice.size, size * 3);
    assert_int_equal(slice.first_offset, 0);
    assert_int_equal(slice.next_offset, 6);
    log_slice_release(&slice);
    assert_int_equal(log_read(kit.log, 0, size - 1, INT64_MAX, false, &slice), ERR_NONE);
    assert_int_equal(slice.size, 0);
    assert_int_equal(log_read(kit.log, 0, 1, INT64_MAX, true, &slice), ERR_NONE);
    assert_int_equal(slice.size, size);
    log_slice_release(&slice);
    // A bound inside a batch leaves the batch out.
    assert_int_equal(log_read(kit.log, 4, 100000, 9, true, &slice), ERR_NONE);
    assert_int_equal(slice.size, size * 2);
    assert_int_equal(slice.next_offset, 8);
    log_slice_release(&slice);
    assert_int_equal(log_read(kit.log, 4, 100000, 4, true, &slice), ERR_NONE);
    assert_int_equal(slice.size, 0);
    kit_deinit(&kit);
}

static void a_clean_stop_keeps_everything(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit.options.config.segment_bytes = 20000;
    kit_open(&kit);
    for (int i = 0; i < 50; i++)
        assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 10, .value_size = 100)), i * 10);
    assert_true(log_segment_count(kit.log) > 2);
    int64_t size = log_size_bytes(kit.log);
    int32_t segments = log_segment_count(kit.log);
    kit_reopen(&kit);
    assert_int_equal(log_end_written(kit.log), 500);
    assert_int_equal(log_end_synced(kit.log), 500);
    assert_int_equal(log_size_bytes(kit.log), size);
    assert_int_equal(log_segment_count(kit.log), segments);
    assert_int_equal(kit_count_records(&kit, 0), 500);
    assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 1)), 500);
    assert_int_equal(kit_count_records(&kit, 7), 500 - 0 + 1);
    kit_deinit(&kit);
}

static void a_kill_keeps_what_was_written(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit.options.config.segment_bytes = 20000;
    kit.options.config.durability = DURABILITY_PAGE_CACHE;
    kit_open(&kit);
    for (int i = 0; i < 50; i++)
        kit_put(&kit, KIT_BATCH(.records = 10, .value_size = 100));
    struct log *lost = kit.log;
    kit_crash(&kit, false);
    kit_open(&kit);
    assert_int_equal(log_end_written(kit.log), 500);
    assert_int_equal(kit_count_records(&kit, 0), 500);
    (void)lost;
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_log_costs_nothing),
        cmocka_unit_test(an_idle_partition_closes_its_files),
        cmocka_unit_test(what_is_appended_is_read),
        cmocka_unit_test(reads_are_cut_at_batches_and_at_the_bound),
        cmocka_unit_test(a_clean_stop_keeps_everything),
        cmocka_unit_test(a_kill_keeps_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
