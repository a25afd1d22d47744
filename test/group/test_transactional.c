// Offsets that are committed inside transactions: what waits, what counts, in which order, what
// takes it away; restarts and failed writes. After each step a coordinator that loads the partition
// anew holds the same.
#include "test/group/bed.h"

static struct bed bed;
static struct arena arena;

static const char *const settings[] = {"offset.metadata.max.bytes=10",
                                       "offsets.retention.minutes=2",
                                       "offsets.retention.check.interval.ms=1000", NULL};

static int begin(void **state) {
    (void)state;
    bed_init_with(&bed, settings);
    arena_init(&arena);
    return 0;
}

static int end(void **state) {
    (void)state;
    bed_check(&bed);
    bed_deinit(&bed);
    arena_deinit(&arena);
    return 0;
}

// What a simple consumer commits, inside the producer's transaction.
static void pend(int64_t producer_id, int64_t offset) {
    struct committing k = {"g", .generation = -1, .offset = offset};
    assert_int_equal(commit_in(&bed, producer_id, 0, k), ERR_NONE);
    bed_check(&bed);
}

static void plain(int64_t offset) {
    assert_int_equal(commit(&bed, (struct committing){"g", .generation = -1, .offset = offset}),
                     ERR_NONE);
    bed_check(&bed);
}

static void finish(int64_t producer_id, bool is_commit) {
    assert_int_equal(mark(&bed, producer_id, 0, is_commit), ERR_NONE);
    bed_check(&bed);
}

static int64_t committed(void) {
    return fetch(&bed, "g", "topic", 0, 0);
}

static int64_t stable(void) {
    return fetch_as(&bed, "g", "topic", 0, 0, true);
}

static void test_commit(void **state) {
    (void)state;
    pend(7, 5);
    assert_int_equal(committed(), -1);
    assert_int_equal(stable(), -2);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_restart(&bed);
    assert_int_equal(stable(), -2);
    pend(7, 6);
    finish(7, true);
    assert_int_equal(committed(), 6);
    assert_int_equal(stable(), 6);
    bed_restart(&bed);
    assert_int_equal(stable(), 6);
    // Once more: nothing is open.
    finish(7, false);
    finish(8, true);
    assert_int_equal(stable(), 6);
}

static void test_abort(void **state) {
    (void)state;
    plain(5);
    pend(7, 6);
    assert_int_equal(committed(), 5);
    assert_int_equal(stable(), -2);
    finish(7, false);
    assert_int_equal(stable(), 5);
    assert_int_equal(commit_in(&bed, 7, 0, (struct committing){"h", .generation = -1}), ERR_NONE);
    finish(7, false);
    assert_string_equal(bed_state(&bed, "h"), "Dead");
}

// What stands later in the log wins, wherever the marker stands.
static void test_order(void **state) {
    (void)state;
    pend(7, 5);
    plain(6);
    finish(7, true);
    assert_int_equal(stable(), 6);
    plain(7);
    pend(7, 8);
    pend(8, 9);
    finish(8, true);
    assert_int_equal(stable(), -2);
    assert_int_equal(committed(), 9);
    finish(7, true);
    assert_int_equal(stable(), 9);
    pend(7, 10);
    plain(11);
    pend(7, 12);
    finish(7, true);
    assert_int_equal(stable(), 12);
}

static void test_all_offsets(void **state) {
    (void)state;
    plain(5);
    pend(7, 6);
    struct committing only = {"g", .generation = -1, .partition = 1, .offset = 9};
    assert_int_equal(commit_in(&bed, 7, 0, only), ERR_NONE);
    for (int require_stable = 0; require_stable < 2; require_stable++) {
        struct ask all;
        ask_init(&bed, &all, API_OFFSET_FETCH, 9, "g");
        all.call.require_stable = require_stable == 1;
        all.in.fetch.topics_count = -1;
        ask_start(&all);
        assert_int_equal(all.out.fetch.topics_count, 1);
        // What is only pending is not there.
        assert_int_equal(all.out.fetch.topics[0].partitions_count, 1);
        const struct offset_fetch_response_topic_partition *p =
            &all.out.fetch.topics[0].partitions[0];
        assert_int_equal(p->committed_offset, require_stable == 1 ? -1 : 5);
        assert_int_equal(p->error_code, require_stable == 1 ? ERR_UNSTABLE_OFFSET_COMMIT : 0);
        ask_free(&all);
    }
    assert_int_equal(fetch_as(&bed, "g", "topic", 2, 0, true), -1);
}

// A tombstone takes what is pending with it.
static void test_deletion(void **state) {
    (void)state;
    pend(7, 5);
    assert_int_equal(delete_offset_of(&bed, "g", "topic", 0), ERR_NONE);
    bed_check(&bed);
    finish(7, true);
    assert_int_equal(stable(), -1);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    plain(5);
    pend(7, 6);
    struct committing other = {"g", .generation = -1, .topic = "other", .offset = 8};
    assert_int_equal(commit_in(&bed, 7, 0, other), ERR_NONE);
    assert_int_equal(delete_group(&bed, "g"), ERR_NONE);
    bed_check(&bed);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    finish(7, true);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    // The topic goes.
    assert_int_equal(commit_in(&bed, 7, 0, other), ERR_NONE);
    pend(7, 6);
    kit_remove_topic(&bed.kit, OTHER_TOPIC);
    bed_publish(&bed);
    bed_check(&bed);
    finish(7, true);
    assert_int_equal(fetch(&bed, "g", "other", 0, 0), -1);
    assert_int_equal(committed(), 6);
}

static void test_expiry(void **state) {
    (void)state;
    plain(5);
    pend(7, 6);
    struct committing h = {"h", .generation = -1, .offset = 8};
    assert_int_equal(commit_in(&bed, 7, 0, h), ERR_NONE);
    bed_wait(&bed, SECONDS(200));
    assert_int_equal(committed(), 5);
    assert_string_equal(bed_state(&bed, "h"), "Empty");
    finish(7, false);
    bed_wait(&bed, SECONDS(2));
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    assert_string_equal(bed_state(&bed, "h"), "Dead");
}

// The group's rules: a member is checked, a rebalance does not stop a commit, nobody may come in
// any state.
static void test_members(void **state) {
    (void)state;
    struct ask join, again;
    const char *id = join_dynamic(&bed, &join, &arena, (struct joining){"g"});
    bed_wait(&bed, (JOIN_DELAY_MS + 10) * MS);
    expect(&join, ERR_NONE, join.out.join.error_code);
    assert_string_equal(bed_state(&bed, "g"), "CompletingRebalance");
    const struct {
        const char *member;
        int32_t generation;
        enum err error;
    } rows[] = {{id, 1, ERR_NONE},
                {NULL, -1, ERR_NONE},
                {id, 2, ERR_ILLEGAL_GENERATION},
                {id, -1, ERR_ILLEGAL_GENERATION},
                {"stranger", 1, ERR_UNKNOWN_MEMBER_ID},
                {NULL, 1, ERR_UNKNOWN_MEMBER_ID}};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct committing k = {"g", rows[i].member, .generation = rows[i].generation,
                                   .offset = 20 + round};
            assert_string_equal(err_name(commit_in(&bed, 7, 0, k)), err_name(rows[i].error));
        }
        if (round == 0) {
            struct ask sync;
            sync_start(&bed, &sync, (struct syncing){"g", id, .generation = 1, .members = {id}});
            expect(&sync, ERR_NONE, sync.out.sync.error_code);
            ask_free(&sync);
        } else if (round == 1) {
            join_dynamic(&bed, &again, &arena, (struct joining){"g"});
            assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
        }
    }
    ask_free(&join);
    finish(7, true);
    assert_int_equal(committed(), 22);
    bed_stop(&bed);  // ends the join that waits
    ask_free(&again);
    bed_boot(&bed);
}

static void test_errors(void **state) {
    (void)state;
    struct committing k = {"g", .generation = 3};
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_ILLEGAL_GENERATION);
    k.version = 6, k.topic_id = DATA_TOPIC;
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_GROUP_ID_NOT_FOUND);
    k.generation = -1, k.topic_id = 99;
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_UNKNOWN_TOPIC_ID);
    k.topic_id = DATA_TOPIC, k.partition = 3;
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    k.partition = 0, k.metadata = "longer than ten";
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_OFFSET_METADATA_TOO_LARGE);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
}

// The log knows the producer: an older epoch gets nothing in, and its marker neither.
static void test_fencing(void **state) {
    (void)state;
    struct committing k = {"g", .generation = -1, .offset = 5};
    assert_int_equal(commit_in(&bed, 7, 3, k), ERR_NONE);
    k.offset = 6;
    assert_int_equal(commit_in(&bed, 7, 2, k), ERR_INVALID_PRODUCER_EPOCH);
    bed_check(&bed);
    assert_int_equal(mark(&bed, 7, 2, true), ERR_INVALID_PRODUCER_EPOCH);
    bed_check(&bed);
    assert_int_equal(stable(), -2);
    assert_int_equal(mark(&bed, 7, 4, true), ERR_NONE);
    assert_int_equal(stable(), 5);
    assert_int_equal(commit_in(&bed, 7, 3, k), ERR_INVALID_PRODUCER_EPOCH);
    assert_int_equal(stable(), 5);
}

static void restart_after_crash(void) {
    kit_crash(&bed.kit);
    sim_node_call(bed.kit.node, bed_begin, &bed);
    sim_settle(bed.kit.sim, 10 * MS);
}

// A marker that is not written has not ended anything.
static void test_marker_is_not_written(void **state) {
    (void)state;
    plain(5);
    pend(7, 6);
    sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
    assert_true(mark(&bed, 7, 0, true) != ERR_NONE);
    restart_after_crash();
    assert_int_equal(committed(), 5);
    assert_int_equal(stable(), -2);
    finish(7, true);
    assert_int_equal(stable(), 6);
}

static void test_no_coordinator(void **state) {
    (void)state;
    struct marking marking = {.bed = &bed, .marker = {.partition = 1, .done = marking_done}};
    sim_node_call(bed.kit.node, mark_inside, &marking);
    sim_settle(bed.kit.sim, 10 * MS);
    assert_int_equal(marking.done, 1);
    assert_int_equal(marking.result, ERR_NOT_LEADER_OR_FOLLOWER);
}

static void shrink_inside(void *context) {
    (void)context;
    partition_log_shrink(bed_shard(&bed)->log);
}

// The log is written again while transactions are open: the order of commits stays what it was.
static void test_shrink(void **state) {
    (void)state;
    struct committing k = {"g", .generation = -1, .metadata = "123456789"};
    for (k.offset = 0; k.offset < 14000; k.offset++) {
        assert_int_equal(commit(&bed, k), ERR_NONE);
    }
    plain(1);
    pend(7, 2);
    k = (struct committing){"g", .generation = -1, .partition = 1, .offset = 3};
    assert_int_equal(commit_in(&bed, 8, 0, k), ERR_NONE);
    k.offset = 4;
    assert_int_equal(commit(&bed, k), ERR_NONE);
    int64_t end_before = bed_end(bed_shard(&bed));
    sim_node_call(bed.kit.node, shrink_inside, NULL);
    sim_settle(bed.kit.sim, 10 * MS);
    bed_restart(&bed);
    // Two committed values, and the pending one that is newer than its own.
    assert_int_equal(bed_end(bed_shard(&bed)), end_before + 3);
    finish(7, true);
    assert_int_equal(mark(&bed, 8, 0, true), ERR_NONE);
    assert_int_equal(stable(), 2);
    assert_int_equal(fetch(&bed, "g", "topic", 1, 0), 4);
}

// Any sequence, with crashes: live state is replayed state, and equal to a naive model's.
static void test_random(void **state) {
    (void)state;
    struct {
        int64_t value, at;
    } now = {-1, -1}, pending[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
    uint64_t seed = 4711;
    for (int64_t step = 0; step < 300; step++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        int64_t p = (int64_t)(seed >> 33) % 3;
        switch ((seed >> 40) % 8) {
            case 0:
            case 1:
            case 2:
                pend(p, step);
                pending[p].value = pending[p].at = step;
                break;
            case 3:
                plain(step);
                now.value = now.at = step;
                break;
            case 4:
            case 5:
                finish(p, (seed >> 50) % 4 != 0);
                if ((seed >> 50) % 4 != 0 && pending[p].at > now.at) now = pending[p];
                pending[p].value = pending[p].at = -1;
                break;
            case 6:
                if (bed_group(&bed, "g") == NULL) break;
                assert_int_equal(delete_offset_of(&bed, "g", "topic", 0), ERR_NONE);
                for (int i = 0; i < 3; i++)
                    pending[i].value = pending[i].at = -1;
                now.value = now.at = -1;
                break;
            default:
                if (step % 4 == 0) restart_after_crash();
        }
        bool open = pending[0].at >= 0 || pending[1].at >= 0 || pending[2].at >= 0;
        assert_int_equal(committed(), now.value);
        assert_int_equal(stable(), open ? -2 : now.value);
    }
}

#define STEP(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        STEP(test_commit),   STEP(test_abort),
        STEP(test_order),    STEP(test_all_offsets),
        STEP(test_deletion), STEP(test_expiry),
        STEP(test_members),  STEP(test_errors),
        STEP(test_fencing),  STEP(test_marker_is_not_written),
        STEP(test_shrink),   STEP(test_no_coordinator),
        STEP(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
