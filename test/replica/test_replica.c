// Partitions and their manager on the simulated disk: waiting, leadership, deletion, restart,
// strays, failure.
#include "test/replica/kit.h"

// ---- Waiters ----

struct waiting {
    struct produce_waiter produce;
    struct fetch_waiter fetch;
    int done;
    enum err result;
    int woken;
};

static void produce_done(struct produce_waiter *waiter, enum err result) {
    struct waiting *waiting = container_of(waiter, struct waiting, produce);
    waiting->done++;
    waiting->result = result;
}

static void fetch_woken_once(struct fetch_waiter *waiter) {
    struct waiting *waiting = container_of(waiter, struct waiting, fetch);
    waiting->woken++;
    assert_false(list_is_linked(&waiter->link));
}

static void wait_for(struct partition *partition, int64_t required, struct waiting *waiting) {
    *waiting = (struct waiting){.produce = {.required = required, .done = produce_done}};
    assert_false(partition_wait_produce(partition, &waiting->produce));
    fetch_waiter_init(&waiting->fetch, fetch_woken_once);
    partition_wait_fetch(partition, &waiting->fetch);
}

// acks=all waits for the sync, not only for the write; a fetch is woken once.
static void test_high_watermark_is_synced(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    struct partition *partition = kit_find(&kit, 1, 0);
    assert_true(partition_is_leader(partition));
    assert_int_equal(partition->high_watermark, 0);
    struct kit_append append;
    struct waiting waiting;
    wait_for(partition, 1, &waiting);
    kit_append_start(&kit, partition, &append);
    bool was_written_only = false;
    for (int i = 0; i < 1000 && waiting.done == 0; i++) {
        sim_step(kit.sim);
        if (log_end_written(partition->log) > log_end_synced(partition->log)) {
            was_written_only = true;
            assert_int_equal(partition->high_watermark, 0);
            assert_int_equal(waiting.done, 0);
        }
    }
    assert_true(was_written_only);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.result, ERR_NONE);
    assert_int_equal(partition->high_watermark, 1);
    assert_true(waiting.woken == 1);
    // Reached already: nothing to wait for.
    struct produce_waiter again = {.required = 1, .done = produce_done};
    assert_true(partition_wait_produce(partition, &again));
    kit_stop(&kit);
    kit_deinit(&kit);
}

static void test_waiters_are_served_in_order(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    struct partition *partition = kit_find(&kit, 1, 0);
    struct waiting third, first, second;
    wait_for(partition, 3, &third);
    wait_for(partition, 1, &first);
    wait_for(partition, 2, &second);
    kit_put(&kit, 1, 0, 1);
    assert_int_equal(first.done, 1);
    assert_int_equal(second.done + third.done, 0);
    kit_put(&kit, 1, 0, 2);
    assert_int_equal(second.done + third.done, 2);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Leadership ----

static void test_leader_checks(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    struct partition *partition = kit_find(&kit, 1, 0);
    kit_leader(&kit, 1, 0, -1);  // epoch 1: nobody leads
    struct waiting waiting;
    wait_for(partition, 1, &waiting);
    kit_apply(&kit);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.result, ERR_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(waiting.woken, 1);
    assert_int_equal(partition_check_leader(partition, -1), ERR_NOT_LEADER_OR_FOLLOWER);
    kit_leader(&kit, 1, 0, NODE_ID);
    kit_apply(&kit);
    assert_int_equal(partition->leader_epoch, 2);
    assert_int_equal(partition_check_leader(partition, -1), ERR_NONE);
    assert_int_equal(partition_check_leader(partition, 2), ERR_NONE);
    assert_int_equal(partition_check_leader(partition, 1), ERR_FENCED_LEADER_EPOCH);
    assert_int_equal(partition_check_leader(partition, 3), ERR_UNKNOWN_LEADER_EPOCH);
    kit_put(&kit, 1, 0, 1);
    assert_int_equal(log_last_epoch(partition->log), 2);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Deletion ----

static void test_delete_and_create_again(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 2);
    kit_config(&kit, "t", "file.delete.delay.ms", "1000");
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 3);
    assert_true(kit_exists(&kit, "data/t-0"));
    struct waiting waiting;
    wait_for(kit_find(&kit, 1, 0), 9, &waiting);
    kit_remove_topic(&kit, 1);
    kit_topic(&kit, "t", 2, 1);
    kit_apply(&kit);
    assert_int_equal(waiting.result, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(waiting.woken, 1);
    assert_null(replica_topic_of(kit.managers[0], kit_topic_id(1)));
    struct partition *partition = kit_find(&kit, 2, 0);
    assert_int_equal(log_end_written(partition->log), 0);
    kit_put(&kit, 2, 0, 1);
    sim_run(kit.sim, 5 * S, NULL);  // the old directory goes
    assert_int_equal(replica_partition_count(kit.managers[0]), 1);
    kit_restart(&kit);
    assert_int_equal(log_end_written(kit_find(&kit, 2, 0)->log), 1);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// A topic deleted and created again in one step, while writes are under way, its partitions going
// to other reactors: nothing of the old one is seen.
static void test_recreate_over_reactors(void **state) {
    (void)state;
    for (int number = 2; number < 8; number++) {
        struct kit kit;
        kit_init(&kit, 3, MUTANT_NONE);
        kit_topic(&kit, "t", 1, 3);
        kit_boot(&kit);
        struct kit_append appends[3];
        for (int32_t p = 0; p < 3; p++) {
            kit_put(&kit, 1, p, 2);
            kit_append_start(&kit, kit_find(&kit, 1, p), &appends[p]);
        }
        kit_remove_topic(&kit, 1);
        kit_topic(&kit, "t", number, 3);
        kit_apply(&kit);
        assert_int_equal(kit.failed_partitions, 0);
        for (int32_t p = 0; p < 3; p++) {
            assert_true(appends[p].is_written);
            assert_int_equal(log_end_written(kit_find(&kit, number, p)->log), 0);
            kit_put(&kit, number, p, 1);
        }
        kit_stop(&kit);
        kit_deinit(&kit);
    }
}

// A checkpoint is written for all reactors, also for those where nothing moves.
static void test_checkpoints_know_every_reactor(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 3, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 3);
    kit_boot(&kit);
    for (int32_t p = 0; p < 3; p++)
        kit_put(&kit, 1, p, 4);
    assert_int_equal(log_advance_start(kit_find(&kit, 1, 2)->log, 3), ERR_NONE);
    kit_restart(&kit);
    kit_put(&kit, 1, 0, 1);  // only this one moves
    sim_run(kit.sim, 70 * S, NULL);
    uint64_t size;
    const uint8_t *text = sim_disk_contents(kit.node, "data/log-start-offset-checkpoint", &size);
    assert_non_null(memmem(text, size, "t 2 3\n", 6));
    kit_crash(&kit);
    assert_int_equal(log_start_offset(kit_find(&kit, 1, 2)->log), 3);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// A log that cannot be opened: the others are served, its offsets are not forgotten, and a deletion
// gets rid of it.
static void test_damaged_log(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 2);
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 3);
    kit_put(&kit, 1, 1, 3);
    kit_stop(&kit);
    struct env *env = kit_env(&kit);
    struct slice segment = SLICE_LITERAL("data/t-1/00000000000000000000.log");
    assert_int_equal(env_unlink(env, segment), ERR_NONE);
    assert_int_equal(env_make_directory(env, segment), ERR_NONE);
    kit_boot(&kit);
    struct partition *damaged = kit_find(&kit, 1, 1);
    assert_int_equal(partition_check_leader(damaged, -1), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(kit.failed_partitions, 1);
    kit_put(&kit, 1, 0, 1);
    kit_remove_topic(&kit, 1);
    kit_topic(&kit, "t", 2, 2);
    kit_apply(&kit);
    assert_int_equal(kit.failed_partitions, 0);
    assert_int_equal(log_end_written(kit_find(&kit, 2, 1)->log), 0);
    kit_put(&kit, 2, 1, 1);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// A deletion while a write is under way waits for it; its waiter is told once.
static void test_delete_under_a_write(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    struct kit_append append;
    kit_append_start(&kit, kit_find(&kit, 1, 0), &append);
    kit_remove_topic(&kit, 1);
    kit_apply(&kit);
    sim_settle(kit.sim, 10 * MS);
    assert_true(append.is_written);
    assert_int_equal(replica_partition_count(kit.managers[0]), 0);
    assert_false(kit_exists(&kit, "data/t-0"));
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Restart ----

static bool file_has(struct kit *kit, const char *path, const char *text) {
    uint64_t size;
    const uint8_t *bytes = sim_disk_contents(kit->node, path, &size);
    return bytes != NULL && size == strlen(text) && memcmp(bytes, text, size) == 0;
}

static void restart_keeps_everything(int32_t reactors) {
    struct kit kit;
    kit_init(&kit, reactors, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 3);
    kit_topic(&kit, "idle", 2, 1);
    kit_boot(&kit);
    int32_t total = 0;
    for (int32_t i = 0; i < reactors; i++)
        total += replica_partition_count(kit.managers[i]);
    assert_int_equal(total, 4);
    for (int32_t p = 0; p < 3; p++)
        kit_put(&kit, 1, p, p + 1);
    kit_stop(&kit);
    assert_true(file_has(&kit, "data/.kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":77}"));
    uint64_t size;
    const uint8_t *text =
        sim_disk_contents(kit.node, "data/recovery-point-offset-checkpoint", &size);
    assert_non_null(text);
    assert_non_null(memmem(text, size, "t 2 3\n", 6));
    assert_non_null(memmem(text, size, "0\n4\n", 4));
    kit_boot(&kit);
    for (int32_t p = 0; p < 3; p++) {
        assert_int_equal(kit_find(&kit, 1, p)->high_watermark, p + 1);
    }
    // Used up: a crash from here on is seen as one.
    assert_false(kit_exists(&kit, "data/.kafka_cleanshutdown"));
    kit_put(&kit, 1, 0, 2);
    kit_crash(&kit);
    assert_int_equal(kit_find(&kit, 1, 0)->high_watermark, 3);
    assert_int_equal(log_end_written(kit_find(&kit, 1, 2)->log), 3);
    kit_stop(&kit);
    kit_deinit(&kit);
}

static void test_restart(void **state) {
    (void)state;
    restart_keeps_everything(1);
    restart_keeps_everything(3);
}

// The periodic checkpoints: written while running, silent when nothing moves.
static void test_periodic_checkpoints(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 2);
    sim_run(kit.sim, 6 * S, NULL);
    assert_true(file_has(&kit, "data/replication-offset-checkpoint", "0\n1\nt 0 2\n"));
    sim_run(kit.sim, 60 * S, NULL);
    assert_true(file_has(&kit, "data/recovery-point-offset-checkpoint", "0\n1\nt 0 2\n"));
    uint64_t writes = sim_counts(kit.sim).writes;
    sim_run(kit.sim, 300 * S, NULL);
    assert_int_equal(sim_counts(kit.sim).writes, writes);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Strays ----

static void test_strays(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 2);
    kit_topic(&kit, "gone", 2, 1);
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 1);
    kit_put(&kit, 1, 1, 1);
    kit_put(&kit, 2, 0, 1);
    kit_stop(&kit);
    // While the node is down its topic is deleted, and a partition given to another node.
    kit_remove_topic(&kit, 2);
    kit_partition(&kit, 1, 1, 7, 1);
    struct env *env = kit_env(&kit);
    assert_int_equal(env_make_directories(env, SLICE_LITERAL("data/bare-0")), ERR_NONE);
    assert_int_equal(env_make_directories(
                         env, SLICE_LITERAL("data/x-0.0123456789abcdef0123456789abcdef-delete")),
                     ERR_NONE);
    kit_boot(&kit);
    assert_true(kit_exists(&kit, "data/t-0"));
    assert_false(kit_exists(&kit, "data/t-1"));
    assert_false(kit_exists(&kit, "data/gone-0"));
    assert_false(kit_exists(&kit, "data/bare-0"));
    assert_false(kit_exists(&kit, "data/x-0.0123456789abcdef0123456789abcdef-delete"));
    assert_int_equal(replica_partition_count(kit.managers[0]), 1);
    assert_int_equal(log_end_written(kit_find(&kit, 1, 0)->log), 1);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Settings, retention ----

static void test_settings_change_while_running(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 3);
    struct partition *partition = kit_find(&kit, 1, 0);
    kit_config(&kit, "t", "retention.ms", "5000");
    kit_config(&kit, "t", "min.insync.replicas", "2");
    kit_apply(&kit);
    assert_int_equal(partition->topic->min_insync_replicas, 2);
    assert_int_equal(partition_min_isr(partition), 1);  // no more than there are replicas
    assert_int_equal(log_start_offset(partition->log), 0);
    sim_run(kit.sim, 10 * S, NULL);
    assert_int_equal(log_start_offset(partition->log), 3);
    kit_stop(&kit);
    kit_deinit(&kit);
}

// ---- Failure ----

static void test_failed_sync_takes_the_partition_offline(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    kit_topic(&kit, "t", 1, 1);
    kit_boot(&kit);
    kit_put(&kit, 1, 0, 1);
    struct partition *partition = kit_find(&kit, 1, 0);
    struct waiting waiting;
    wait_for(partition, 2, &waiting);
    sim_disk_fail(kit.node, SIM_FAULT_SYNC, 1);
    struct kit_append append;
    kit_append_start(&kit, partition, &append);
    sim_settle(kit.sim, 10 * MS);
    assert_int_equal(waiting.done, 1);
    assert_int_equal(waiting.result, ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(kit.directory_error, ERR_IO);
    assert_int_equal(partition_check_leader(partition, -1), ERR_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition->high_watermark, 1);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_high_watermark_is_synced),
        cmocka_unit_test(test_waiters_are_served_in_order),
        cmocka_unit_test(test_leader_checks),
        cmocka_unit_test(test_delete_and_create_again),
        cmocka_unit_test(test_delete_under_a_write),
        cmocka_unit_test(test_recreate_over_reactors),
        cmocka_unit_test(test_checkpoints_know_every_reactor),
        cmocka_unit_test(test_damaged_log),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_periodic_checkpoints),
        cmocka_unit_test(test_strays),
        cmocka_unit_test(test_settings_change_while_running),
        cmocka_unit_test(test_failed_sync_takes_the_partition_offline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
