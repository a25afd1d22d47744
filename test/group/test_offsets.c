// Committed offsets: commit, fetch, delete, expiry, deleted topics, restarts, failed writes.
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
    bed_deinit(&bed);
    arena_deinit(&arena);
    return 0;
}

static void expect_commit(struct committing k) {
    assert_int_equal(commit(&bed, k), ERR_NONE);
}

static void test_commit_and_fetch(void **state) {
    (void)state;
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    expect_commit((struct committing){"g", .generation = -1, .offset = 5, .metadata = "mine"});
    expect_commit((struct committing){"g", .generation = -1, .offset = 7, .partition = 1});
    expect_commit((struct committing){"g", .generation = -1, .offset = 8, .partition = 1});
    assert_int_equal(
        commit(&bed, (struct committing){"g", .generation = -1, .offset = 9, .partition = 1,
                                         .metadata = "longer than ten"}),
        ERR_OFFSET_METADATA_TOO_LARGE);
    bed_check(&bed);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
        assert_int_equal(fetch(&bed, "g", "topic", 1, 0), 8);
        assert_int_equal(fetch(&bed, "g", "topic", 2, 0), -1);
        assert_int_equal(fetch(&bed, "g", "other", 0, 0), -1);
        assert_int_equal(fetch(&bed, "h", "topic", 0, 0), -1);
        assert_string_equal(bed_state(&bed, "g"), "Empty");
        bed_restart(&bed);
    }
    struct ask all;
    ask_init(&bed, &all, API_OFFSET_FETCH, 9, "g");
    all.in.fetch.topics_count = -1;
    ask_start(&all);
    assert_int_equal(all.out.fetch.topics_count, 1);
    assert_int_equal(all.out.fetch.topics[0].partitions_count, 2);
    const struct offset_fetch_response_topic_partition *p = all.out.fetch.topics[0].partitions;
    const struct offset_fetch_response_topic_partition *zero =
        p[0].partition_index == 0 ? p : p + 1;
    assert_int_equal(zero->committed_offset, 5);
    assert_int_equal(zero->committed_leader_epoch, 3);
    assert_true(slice_equal_cstring(zero->metadata, "mine"));
    ask_free(&all);
    // A simple group is listed without a type, and can be deleted.
    ask_init(&bed, &all, API_LIST_GROUPS, 5, "");
    ask_start(&all);
    assert_int_equal(all.out.list.groups_count, 1);
    assert_int_equal(all.out.list.groups[0].protocol_type.size, 0);
    assert_true(slice_equal_cstring(all.out.list.groups[0].group_state, "Empty"));
    ask_free(&all);
    assert_int_equal(delete_group(&bed, "g"), ERR_NONE);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    assert_int_equal(delete_group(&bed, "g"), ERR_GROUP_ID_NOT_FOUND);
    bed_check(&bed);
}

// An offset of an older topic with the same name is not that of the new one.
static void test_topic_ids(void **state) {
    (void)state;
    expect_commit((struct committing){"g", .generation = -1, .offset = 5, .topic_id = DATA_TOPIC});
    expect_commit((struct committing){"g", .generation = -1, .offset = 6, .partition = 1});
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    assert_int_equal(fetch(&bed, "g", "topic", 0, DATA_TOPIC), 5);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 77), -1);
    // Named or not, the id is written.
    assert_int_equal(fetch(&bed, "g", "topic", 1, 77), -1);
    static const struct committing unknown[] = {
        {"g", .generation = -1, .topic = "no such topic"},
        {"g", .generation = -1, .partition = 3},
        {"g", .generation = -1, .partition = -1},
        {"g", .generation = -1, .topic_id = DATA_TOPIC, .partition = 3}};
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_int_equal(commit(&bed, unknown[i]), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(commit(&bed, (struct committing){"g", .generation = -1, .topic_id = 77}),
                     ERR_UNKNOWN_TOPIC_ID);
    assert_int_equal(delete_offset_of(&bed, "g", "topic", 3), ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void test_delete(void **state) {
    (void)state;
    const char *id = bed_stable(&bed, "g", &arena, (struct joining){0});
    expect_commit((struct committing){"g", id, .generation = 1, .offset = 5});
    expect_commit((struct committing){"g", id, .generation = 1, .offset = 6, .topic = "other"});
    assert_int_equal(delete_offset_of(&bed, "g", "topic", 0), ERR_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(delete_offset_of(&bed, "g", "other", 0), ERR_NONE);
    assert_int_equal(delete_offset_of(&bed, "g", "other", 0), ERR_NONE);
    assert_int_equal(delete_offset_of(&bed, "h", "other", 0), ERR_GROUP_ID_NOT_FOUND);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    assert_int_equal(fetch(&bed, "g", "other", 0, 0), -1);
    bed_check(&bed);
    assert_int_equal(leave(&bed, "g", id, NULL), ERR_NONE);
    assert_int_equal(delete_offset_of(&bed, "g", "topic", 0), ERR_NONE);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    bed_check(&bed);
}

// ---- Expiry: 2 minutes after it was last of use ----

static void test_expiry_of_a_simple_group(void **state) {
    (void)state;
    expect_commit((struct committing){"g", .generation = -1, .offset = 5});
    bed_wait(&bed, SECONDS(60));
    expect_commit((struct committing){"g", .generation = -1, .offset = 6, .partition = 1});
    bed_wait(&bed, SECONDS(55));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_wait(&bed, SECONDS(10));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    assert_int_equal(fetch(&bed, "g", "topic", 1, 0), 6);
    bed_check(&bed);
    bed_wait(&bed, SECONDS(60));
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    bed_check(&bed);
}

// Old clients name a time to live.
static void test_expiry_by_its_own_time(void **state) {
    (void)state;
    expect_commit((struct committing){"g", .generation = -1, .offset = 5, .retention_ms = 10000,
                                      .version = 2});
    expect_commit((struct committing){"g", .generation = -1, .offset = 6, .retention_ms = 600000,
                                      .version = 2, .partition = 1});
    bed_check(&bed);
    bed_wait(&bed, SECONDS(12));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    bed_wait(&bed, SECONDS(500));
    assert_int_equal(fetch(&bed, "g", "topic", 1, 0), 6);
    bed_wait(&bed, SECONDS(100));
    assert_string_equal(bed_state(&bed, "g"), "Dead");
}

static void test_expiry_while_in_use(void **state) {
    (void)state;
    const char *id = bed_stable(&bed, "g", &arena, (struct joining){.session_ms = 1800000});
    expect_commit((struct committing){"g", id, .generation = 1, .offset = 5});
    expect_commit((struct committing){"g", id, .generation = 1, .offset = 6, .topic = "other"});
    bed_wait(&bed, SECONDS(130));
    // What it reads stays; what it does not read any more goes.
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    assert_int_equal(fetch(&bed, "g", "other", 0, 0), -1);
    bed_check(&bed);
    // From now on nobody reads.
    assert_int_equal(leave(&bed, "g", id, NULL), ERR_NONE);
    bed_wait(&bed, SECONDS(110));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_restart(&bed);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_wait(&bed, SECONDS(15));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    bed_check(&bed);
}

// Of other types is not known what they read: everything stays while there are members.
static void test_expiry_of_other_types(void **state) {
    (void)state;
    const char *id =
        bed_stable(&bed, "g", &arena,
                   (struct joining){.type = "connect", .topic = "?", .session_ms = 1800000});
    expect_commit((struct committing){"g", id, .generation = 1, .offset = 5});
    bed_wait(&bed, SECONDS(300));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_check(&bed);
}

// A group without offsets is forgotten too, but not under the hands of who joins it.
static void test_empty_groups_go(void **state) {
    (void)state;
    const char *id = bed_stable(&bed, "g", &arena, (struct joining){0});
    assert_int_equal(leave(&bed, "g", id, NULL), ERR_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_wait(&bed, SECONDS(3));
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"g", ""});
    id = arena_cstring(&arena, ask.out.join.member_id);
    ask_free(&ask);
    bed_wait(&bed, SECONDS(5));
    join_start(&bed, &ask, (struct joining){"g", id});
    assert_int_equal(ask.done, 0);
    bed_wait(&bed, SECONDS(4));
    expect(&ask, ERR_NONE, ask.out.join.error_code);
    ask_free(&ask);
    bed_check(&bed);
}

// ---- Topics that go ----

static void test_deleted_topic(void **state) {
    (void)state;
    expect_commit((struct committing){"g", .generation = -1, .offset = 5, .topic_id = DATA_TOPIC});
    expect_commit((struct committing){"g", .generation = -1, .offset = 6, .topic = "other",
                                      .topic_id = OTHER_TOPIC});
    expect_commit((struct committing){"h", .generation = -1, .offset = 7, .topic = "other"});
    kit_remove_topic(&bed.kit, OTHER_TOPIC);
    bed_publish(&bed);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    assert_int_equal(fetch(&bed, "g", "other", 0, 0), -1);
    assert_string_equal(bed_state(&bed, "h"), "Dead");
    bed_check(&bed);
    // Deleted and created again in one go.
    kit_remove_topic(&bed.kit, DATA_TOPIC);
    kit_topic(&bed.kit, "topic", 4, 3);
    bed_publish(&bed);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), -1);
    bed_check(&bed);
}

// ---- Failed writes ----

static void test_commit_is_not_written(void **state) {
    (void)state;
    expect_commit((struct committing){"g", .generation = -1, .offset = 5});
    sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
    assert_int_equal(commit(&bed, (struct committing){"g", .generation = -1, .offset = 6}),
                     ERR_NOT_COORDINATOR);
    // What was not written was never there.
    kit_crash(&bed.kit);
    sim_node_call(bed.kit.node, bed_begin, &bed);
    sim_settle(bed.kit.sim, 10 * MS);
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_check(&bed);
}

// An answered commit outlives a power cut.
static void test_power_cut(void **state) {
    (void)state;
    const char *id = bed_stable(&bed, "g", &arena, (struct joining){0});
    for (int i = 0; i < 20; i++) {
        expect_commit((struct committing){"g", id, .generation = 1, .offset = i});
        if (i % 5 != 4) continue;
        sim_node_power_cut(bed.kit.node);
        sim_node_restart(bed.kit.node);
        bed_boot(&bed);
        assert_int_equal(fetch(&bed, "g", "topic", 0, 0), i);
        assert_int_equal(beat(&bed, "g", id, NULL, 1), ERR_NONE);
        bed_check(&bed);
    }
}

// ---- Many ----

enum { MANY_GROUPS = 100, MANY_PARTITIONS = 1000 };

// 100,000 offsets: all are there after a restart, and a group's are told at once.
static void test_many(void **state) {
    (void)state;
    kit_topic(&bed.kit, "many", 9, MANY_PARTITIONS);
    bed_publish(&bed);
    char group[16];
    for (int g = 0; g < MANY_GROUPS; g++) {
        struct ask ask;
        snprintf(group, sizeof group, "g%d", g);
        ask_init(&bed, &ask, API_OFFSET_COMMIT, 9, group);
        codec_init(&offset_commit_request_codec, &ask.in.commit);
        codec_init(&offset_commit_response_codec, &ask.out.commit);
        struct offset_commit_request *m = &ask.in.commit;
        m->generation_id_or_member_epoch = -1;
        m->topics = offset_commit_request_topic_new(&ask.arena, 1);
        m->topics_count = 1;
        m->topics[0].name = SLICE_LITERAL("many");
        m->topics[0].partitions = offset_commit_request_partition_new(&ask.arena, MANY_PARTITIONS);
        m->topics[0].partitions_count = MANY_PARTITIONS;
        for (int p = 0; p < MANY_PARTITIONS; p++) {
            m->topics[0].partitions[p].partition_index = p;
            m->topics[0].partitions[p].committed_offset = g * MANY_PARTITIONS + p;
        }
        ask_start(&ask);
        assert_int_equal(ask.result, ERR_NONE);
        ask_free(&ask);
    }
    bed_restart(&bed);
    assert_int_equal(bed_shard(&bed)->store.entries.count, MANY_GROUPS * MANY_PARTITIONS);
    struct ask all;
    ask_init(&bed, &all, API_OFFSET_FETCH, 9, "g7");
    all.in.fetch.topics_count = -1;
    all.in.fetch.member_epoch = -1;
    ask_start(&all);
    assert_int_equal(all.out.fetch.topics[0].partitions_count, MANY_PARTITIONS);
    for (int p = 0; p < MANY_PARTITIONS; p++)
        assert_int_equal(all.out.fetch.topics[0].partitions[p].committed_offset,
                         7 * MANY_PARTITIONS + p);
    ask_free(&all);
    kit_remove_topic(&bed.kit, 9);
    bed_publish(&bed);
    assert_int_equal(bed_shard(&bed)->store.entries.count, 0);
    assert_int_equal(bed_shard(&bed)->groups.count, 0);
}

#define STEP(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        STEP(test_commit_and_fetch),
        STEP(test_topic_ids),
        STEP(test_delete),
        STEP(test_expiry_of_a_simple_group),
        STEP(test_expiry_by_its_own_time),
        STEP(test_expiry_while_in_use),
        STEP(test_expiry_of_other_types),
        STEP(test_empty_groups_go),
        STEP(test_deleted_topic),
        STEP(test_commit_is_not_written),
        STEP(test_power_cut),
        STEP(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
