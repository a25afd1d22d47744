// What a log makes of a damaged directory: torn tails, garbage, indexes that lie, leftovers of
// interrupted work, disks that fail.
#include "test/storage/kit.h"

static void start(struct kit *kit, uint64_t seed, int32_t segment_bytes) {
    kit_init(kit, seed, MUTANT_NONE);
    kit->options.config.segment_bytes = segment_bytes;
    kit->options.config.index_interval_bytes = 200;
    kit_open(kit);
}

static void fill(struct kit *kit, int batches) {
    for (int i = 0; i < batches; i++)
        kit_put(kit, KIT_BATCH(.records = 2, .value_size = 50));
}

static const char *segment_file(char path[200], int64_t base, const char *suffix) {
    snprintf(path, 200, "%s/%020lld%s", LOG_DIRECTORY, (long long)base, suffix);
    return path;
}

static uint64_t size_of(struct kit *kit, int64_t base, const char *suffix) {
    char path[200];
    uint64_t size;
    return sim_disk_contents(kit->node, segment_file(path, base, suffix), &size) == NULL
               ? UINT64_MAX
               : size;
}

static void set_size(struct kit *kit, int64_t base, const char *suffix, uint64_t size) {
    char path[200];
    assert_true(sim_disk_set_size(kit->node, segment_file(path, base, suffix), size));
}

static void flip(struct kit *kit, int64_t base, const char *suffix, uint64_t at) {
    char path[200];
    assert_true(sim_disk_flip_bit(kit->node, segment_file(path, base, suffix), at, 2));
}

// Every place at which a write may have been torn.
static void a_torn_tail_is_cut_at_the_last_whole_batch(void **state) {
    (void)state;
    for (uint64_t cut = 1; cut <= 480; cut += 7) {
        struct kit kit;
        start(&kit, cut, 1 << 20);
        fill(&kit, 4);
        uint64_t size = size_of(&kit, 0, ".log");
        uint64_t batch = size / 4;
        kit_crash(&kit, false);
        set_size(&kit, 0, ".log", size - cut);
        kit_open(&kit);
        int64_t whole = (int64_t)((size - cut) / batch);
        assert_int_equal(log_end_written(kit.log), whole * 2);
        assert_int_equal(size_of(&kit, 0, ".log"), (uint64_t)whole * batch);
        assert_int_equal(kit_count_records(&kit, 0), whole * 2);
        assert_int_equal(kit_put(&kit, KIT_BATCH(.records = 1)), whole * 2);
        kit_deinit(&kit);
    }
}

static void zeros_and_garbage_behind_the_end_are_cut(void **state) {
    (void)state;
    for (uint64_t extra = 1; extra < 5000; extra += 997) {
        struct kit kit;
        start(&kit, extra, 1 << 20);
        fill(&kit, 3);
        uint64_t size = size_of(&kit, 0, ".log");
        kit_crash(&kit, false);
        // Zeros, as a file system leaves that grew the file before it wrote the data.
        set_size(&kit, 0, ".log", size + extra);
        kit_open(&kit);
        assert_int_equal(log_end_written(kit.log), 6);
        assert_int_equal(size_of(&kit, 0, ".log"), size);
        kit_deinit(&kit);
    }
}

static void a_flipped_bit_in_the_unsynced_part_ends_the_log_there(void **state) {
    (void)state;
    for (uint64_t at = 8; at < 160; at += 3) {
        // Offset and leader epoch of a batch lie outside of its checksum.
        if (at >= 12 && at < 16) continue;
        struct kit kit;
        start(&kit, at, 1 << 20);
        fill(&kit, 5);
        uint64_t batch = size_of(&kit, 0, ".log") / 5;
        kit_crash(&kit, false);
        flip(&kit, 0, ".log", batch * 2 + at);
        kit_open(&kit);
        assert_int_equal(log_end_written(kit.log), 4);
        kit_deinit(&kit);
    }
}

static void damage_drops_the_segments_behind_it(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 500);
    fill(&kit, 12);
    int32_t segments = log_segment_count(kit.log);
    assert_true(segments > 3);
    kit_crash(&kit, false);
    flip(&kit, 0, ".log", 200);
    kit_open(&kit);
    assert_int_equal(log_segment_count(kit.log), 1);
    assert_int_equal(log_end_written(kit.log), 2);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), 2);
    kit_deinit(&kit);
}

// A power cut may keep the name of the next segment and lose the end of this one at a batch
// boundary: nothing looks torn.
static void a_gap_between_segments_ends_the_log(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 500);
    fill(&kit, 12);
    uint64_t size = size_of(&kit, 0, ".log");
    kit_crash(&kit, false);
    set_size(&kit, 0, ".log", size / 2);
    kit_open(&kit);
    assert_int_equal(log_segment_count(kit.log), 1);
    int64_t end = log_end_written(kit.log);
    assert_true(end > 0 && end < 6);
    assert_int_equal(kit_put(&kit, KIT_BATCH()), end);
    assert_int_equal(kit_count_records(&kit, 0), end + 1);
    kit_deinit(&kit);
}

static void damage_below_the_recovery_point_is_an_error(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 1 << 20);
    fill(&kit, 6);
    uint64_t size = size_of(&kit, 0, ".log");
    kit_crash(&kit, false);
    kit.options.recovery_point = 8;
    flip(&kit, 0, ".log", size / 6 * 2 + 80);
    assert_int_equal(kit_try_open(&kit), ERR_CORRUPT);
    // Nothing was cut.
    assert_int_equal(size_of(&kit, 0, ".log"), size);
    kit_deinit(&kit);
}

static void segments_below_the_recovery_point_are_not_read(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 500);
    fill(&kit, 12);
    int64_t point = 20;
    kit_crash(&kit, false);
    flip(&kit, 0, ".log", 100);
    kit.options.recovery_point = point;
    kit_open(&kit);
    assert_int_equal(log_end_written(kit.log), 24);
    kit_deinit(&kit);
}

static void indexes_that_are_missing_are_built_anew(void **state) {
    (void)state;
    static const char *const suffixes[] = {".index", ".timeindex"};
    for (int clean = 0; clean < 2; clean++) {
        for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
            struct kit kit;
            start(&kit, i, 1000);
            fill(&kit, 20);
            kit_close(&kit);
            uint64_t size = size_of(&kit, 0, suffixes[i]);
            assert_true(size > 0);
            char path[200];
            segment_file(path, 0, suffixes[i]);
            assert_int_equal(env_unlink(kit.env, slice_cstring(path)), ERR_NONE);
            kit.options.clean = clean == 1;
            kit_open(&kit);
            assert_int_equal(size_of(&kit, 0, suffixes[i]), size);
            assert_int_equal(kit_count_records(&kit, 0), 40);
            kit_deinit(&kit);
        }
    }
}

// After a clean stop nobody checks an index; so it may say anything, and reads must still be right.
static void indexes_that_lie_cost_time_only(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct kit kit;
        start(&kit, seed, 3000);
        fill(&kit, 40);
        kit_close(&kit);
        uint64_t size = size_of(&kit, 0, ".index");
        uint64_t times = size_of(&kit, 0, ".timeindex");
        for (int i = 0; i < 4; i++) {
            flip(&kit, 0, ".index", prng_below(sim_prng(kit.sim), size));
            flip(&kit, 0, ".timeindex", prng_below(sim_prng(kit.sim), times));
        }
        kit_open(&kit);
        assert_int_equal(log_end_written(kit.log), 80);
        for (int64_t offset = 0; offset < 80; offset += 5) {
            struct batch batch;
            assert_int_equal(batch_decode(kit_read(&kit, offset, 500), &batch), ERR_NONE);
            assert_true(batch.base_offset <= offset && batch.last_offset >= offset);
        }
        struct log_timestamp found;
        (void)!log_lookup(kit.log, env_wall_ms(kit.env) - 10, INT64_MAX, &found);
        (void)!log_lookup(kit.log, LOG_LOOKUP_MAX_TIMESTAMP, INT64_MAX, &found);
        kit_deinit(&kit);
    }
}

static void leftovers_are_removed(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 1 << 20);
    fill(&kit, 2);
    kit_close(&kit);
    static const char *const names[] = {
        "00000000000000000000.log.deleted", "00000000000000000050.log.cleaned",
        "00000000000000000090.index", "00000000000000000007.snapshot.deleted"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", LOG_DIRECTORY, names[i]);
        assert_int_equal(env_replace_file(kit.env, slice_cstring(path), SLICE_LITERAL("rest")),
                         ERR_NONE);
    }
    // What is not ours stays.
    assert_int_equal(env_replace_file(kit.env, SLICE_LITERAL(LOG_DIRECTORY "/quorum-state"),
                                      SLICE_LITERAL("{}")),
                     ERR_NONE);
    assert_int_equal(
        env_replace_file(
            kit.env,
            SLICE_LITERAL(LOG_DIRECTORY "/00000000000000000009-0000000001.checkpoint.deleted"),
            SLICE_LITERAL("x")),
        ERR_NONE);
    kit_open(&kit);
    assert_int_equal(kit_count_records(&kit, 0), 4);
    uint64_t size;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_null(kit_file(&kit, names[i], &size));
    assert_non_null(kit_file(&kit, "quorum-state", &size));
    assert_non_null(kit_file(&kit, "00000000000000000009-0000000001.checkpoint.deleted", &size));
    kit_deinit(&kit);
}

static void copy_file(struct kit *kit, const char *from, const char *to) {
    uint64_t size;
    const uint8_t *bytes = kit_file(kit, from, &size);
    assert_non_null(bytes);
    struct slice copy = arena_copy(&kit->arena, slice_of(bytes, size));
    char path[200];
    snprintf(path, sizeof path, "%s/%s", LOG_DIRECTORY, to);
    assert_int_equal(env_replace_file(kit->env, slice_cstring(path), copy), ERR_NONE);
}

// A compaction of the first two segments that was finished but not yet put in place.
static void a_finished_swap_is_completed(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 400);
    fill(&kit, 6);
    assert_int_equal(log_segment_count(kit.log), 3);
    kit_close(&kit);
    // The swapped-in segment: both old ones in one file.
    uint64_t first_size, second_size;
    struct slice first, second;
    const uint8_t *bytes = kit_file(&kit, "00000000000000000000.log", &first_size);
    first = arena_copy(&kit.arena, slice_of(bytes, first_size));
    bytes = kit_file(&kit, "00000000000000000004.log", &second_size);
    assert_non_null(bytes);
    second = arena_copy(&kit.arena, slice_of(bytes, second_size));
    struct file *file;
    assert_int_equal(
        file_open(kit.env, SLICE_LITERAL(LOG_DIRECTORY "/00000000000000000000.log.swap"),
                  FILE_CREATE, &file),
        ERR_NONE);
    assert_int_equal(file_write(file, 0, first.data, first.size), ERR_NONE);
    assert_int_equal(file_write(file, first.size, second.data, second.size), ERR_NONE);
    file_close(file);
    copy_file(&kit, "00000000000000000000.timeindex", "00000000000000000000.timeindex.swap");
    kit.options.clean = false;
    kit.options.recovery_point = 0;
    kit_open(&kit);
    assert_int_equal(log_segment_count(kit.log), 2);
    assert_int_equal(kit_count_records(&kit, 0), 12);
    uint64_t size;
    assert_null(kit_file(&kit, "00000000000000000004.log", &size));
    assert_null(kit_file(&kit, "00000000000000000000.log.swap", &size));
    kit_deinit(&kit);
}

static void a_clean_marker_that_lies_does_no_harm(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 1 << 20);
    fill(&kit, 4);
    uint64_t size = size_of(&kit, 0, ".log");
    kit_crash(&kit, false);
    set_size(&kit, 0, ".log", size - 5);
    kit.options.clean = true;
    kit.options.recovery_point = 0;
    kit_open(&kit);
    assert_int_equal(log_end_written(kit.log), 6);
    kit_deinit(&kit);
}

static void a_directory_of_another_topic_is_refused(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 1 << 20);
    fill(&kit, 1);
    kit_close(&kit);
    kit.options.topic_id.bytes[0] ^= 1;
    assert_int_equal(kit_try_open(&kit), ERR_INCONSISTENT_TOPIC_ID);
    kit.options.topic_id = UUID_ZERO;
    kit_open(&kit);
    assert_int_equal(log_topic_id(kit.log).bytes[0], 1);
    kit_deinit(&kit);
}

static void epochs_are_found_again_without_their_file(void **state) {
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct kit kit;
        start(&kit, 1, 400);
        for (int epoch = 1; epoch < 6; epoch += 2) {
            struct kit_append append;
            log_begin_epoch(kit.log, epoch);
            assert_int_equal(log_last_epoch(kit.log), epoch);
            for (int i = 0; i < 3; i++) {
                assert_int_equal(kit_start_bytes(&kit, &append, kit_make(&kit, KIT_BATCH()),
                                                 APPEND_CLIENT, epoch),
                                 ERR_NONE);
                kit_settle(&kit);
            }
        }
        kit_close(&kit);
        assert_int_equal(
            env_unlink(kit.env, SLICE_LITERAL(LOG_DIRECTORY "/leader-epoch-checkpoint")), ERR_NONE);
        kit.options.clean = clean == 1;
        kit_open(&kit);
        int32_t epoch;
        int64_t end;
        log_epoch_end(kit.log, 1, &epoch, &end);
        assert_int_equal(epoch, 1);
        assert_int_equal(end, 3);
        // KIP-279: of an epoch that is not known the one before it.
        log_epoch_end(kit.log, 4, &epoch, &end);
        assert_int_equal(epoch, 3);
        assert_int_equal(end, 6);
        log_epoch_end(kit.log, 5, &epoch, &end);
        assert_int_equal(end, 9);
        log_epoch_end(kit.log, 6, &epoch, &end);
        assert_int_equal(epoch, -1);
        assert_int_equal(end, -1);
        log_epoch_end(kit.log, 0, &epoch, &end);
        assert_int_equal(epoch, 0);
        assert_int_equal(end, 0);
        assert_int_equal(log_epoch_of(kit.log, 4), 3);
        kit_deinit(&kit);
    }
}

// ---- A disk that fails ----

struct failure {
    struct log_listener listener;
    int count;
    int moved;
};
static void note_failed(struct log_listener *listener, enum err err) {
    assert_int_equal(err, ERR_IO);
    container_of(listener, struct failure, listener)->count++;
}
static void note_moved(struct log_listener *listener) {
    container_of(listener, struct failure, listener)->moved++;
}

static void a_failed_write_fails_the_log_for_good(void **state) {
    (void)state;
    for (int fault = SIM_FAULT_WRITE; fault <= SIM_FAULT_SYNC; fault++) {
        struct kit kit;
        start(&kit, 1, 1 << 20);
        struct failure failure = {.listener = {.moved = note_moved, .failed = note_failed}};
        log_set_listener(kit.log, &failure.listener);
        fill(&kit, 2);
        assert_true(failure.moved > 0);
        struct kit_append append, second;
        sim_disk_fail(kit.node, (enum sim_fault)fault, 1);
        assert_int_equal(kit_start(&kit, &append, KIT_BATCH()), ERR_NONE);
        assert_int_equal(kit_start(&kit, &second, KIT_BATCH()), ERR_NONE);
        kit_settle(&kit);
        assert_true(append.is_done && second.is_done);
        if (fault == SIM_FAULT_WRITE) {
            assert_int_equal(append.result, ERR_KAFKA_STORAGE_ERROR);
            assert_int_equal(second.result, ERR_KAFKA_STORAGE_ERROR);
        }
        assert_int_equal(failure.count, 1);
        assert_true(log_has_failed(kit.log));
        assert_int_equal(log_end_synced(kit.log), 4);
        assert_int_equal(kit_start(&kit, &append, KIT_BATCH()), ERR_KAFKA_STORAGE_ERROR);
        struct log_slice slice;
        assert_int_equal(log_read(kit.log, 0, 100, INT64_MAX, true, &slice),
                         ERR_KAFKA_STORAGE_ERROR);
        struct kit_close close = {.op.done = kit_close_done};
        log_close_start(kit.log, &close.op);
        kit_settle(&kit);
        assert_true(close.is_done);
        assert_int_not_equal(close.result, ERR_NONE);
        assert_false(log_is_busy(kit.log));
        kit_deinit(&kit);
    }
}

static void a_full_disk_refuses_and_resumes(void **state) {
    (void)state;
    struct kit kit;
    start(&kit, 1, 1 << 20);
    struct failure failure = {.listener = {.moved = note_moved, .failed = note_failed}};
    log_set_listener(kit.log, &failure.listener);
    fill(&kit, 3);
    struct kit_append appends[3];
    sim_disk_set_capacity(kit.node, sim_disk_used(kit.node) + 12000);
    for (int i = 0; i < 3; i++) {
        struct kit_batch spec =
            KIT_BATCH(.records = 2, .value_size = 5000, .producer_id = 1, .sequence = i * 2);
        assert_int_equal(kit_start(&kit, &appends[i], spec), ERR_NONE);
    }
    assert_int_equal(log_end_assigned(kit.log), 12);
    kit_settle(&kit);
    int written = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(appends[i].is_done);
        assert_true(appends[i].result == ERR_NONE || appends[i].result == ERR_NO_SPACE);
        if (appends[i].result == ERR_NONE) written++;
    }
    assert_true(written < 3);
    assert_int_equal(log_end_assigned(kit.log), 6 + written * 2);
    assert_int_equal(failure.count, 0);
    assert_int_equal(kit_count_records(&kit, 0), 6 + written * 2);
    sim_disk_set_capacity(kit.node, UINT64_C(1) << 30);
    // The retry is no duplicate of what was taken back.
    for (int i = written; i < 3; i++) {
        struct kit_batch spec =
            KIT_BATCH(.records = 2, .value_size = 5000, .producer_id = 1, .sequence = i * 2);
        assert_int_equal(kit_put(&kit, spec), 6 + i * 2);
    }
    kit_reopen(&kit);
    assert_int_equal(kit_count_records(&kit, 0), 12);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_torn_tail_is_cut_at_the_last_whole_batch),
        cmocka_unit_test(zeros_and_garbage_behind_the_end_are_cut),
        cmocka_unit_test(a_flipped_bit_in_the_unsynced_part_ends_the_log_there),
        cmocka_unit_test(damage_drops_the_segments_behind_it),
        cmocka_unit_test(a_gap_between_segments_ends_the_log),
        cmocka_unit_test(damage_below_the_recovery_point_is_an_error),
        cmocka_unit_test(segments_below_the_recovery_point_are_not_read),
        cmocka_unit_test(indexes_that_are_missing_are_built_anew),
        cmocka_unit_test(indexes_that_lie_cost_time_only),
        cmocka_unit_test(leftovers_are_removed),
        cmocka_unit_test(a_finished_swap_is_completed),
        cmocka_unit_test(a_clean_marker_that_lies_does_no_harm),
        cmocka_unit_test(a_directory_of_another_topic_is_refused),
        cmocka_unit_test(epochs_are_found_again_without_their_file),
        cmocka_unit_test(a_failed_write_fails_the_log_for_good),
        cmocka_unit_test(a_full_disk_refuses_and_resumes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
