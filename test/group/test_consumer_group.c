// Consumer groups (KIP-848) over a partition of __consumer_offsets: members, epochs, expressions,
// the assignment interval; and groups that move between the protocols while they run. After each
// step a coordinator that loads the partition anew holds the same.
#include "test/group/bed.h"

static struct bed bed;
static struct arena arena;

static const char *const settings[] = {"group.consumer.assignment.interval.ms=0",
                                       "group.consumer.regex.refresh.interval.ms=60000", NULL};
static const char *const with_interval[] = {"group.consumer.assignment.interval.ms=1000", NULL};
static const char *const upgrade_only[] = {"group.consumer.assignment.interval.ms=0",
                                           "group.consumer.migration.policy=UPGRADE", NULL};
static const char *const disabled[] = {"group.consumer.assignment.interval.ms=0",
                                       "group.consumer.migration.policy=disabled",
                                       "group.consumer.max.size=2", NULL};

static int begin(void **state) {
    bed_init_with(&bed, *state == NULL ? settings : *state);
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

#define EXPECT_BEAT(text, ...)                                                     \
    do {                                                                           \
        assert_string_equal(heartbeat(&bed, (struct beating){__VA_ARGS__}), text); \
        bed_check(&bed);                                                           \
    } while (0)

#define JOIN(id)  "g", id, NULL, 0, "topic"
#define JOINS(id) "g", id, "static", 0, "topic"

// ---- Members and epochs ----

static void test_two_members(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("a"));
    assert_string_equal(bed_consumer_state(&bed, "g"), "Stable");
    EXPECT_BEAT("3:", JOIN("b"));
    // The first one is to give up one partition, and gets the epoch when it has.
    EXPECT_BEAT("2: 0,1", "g", "a", NULL, 2, .owned = "0,1,2");
    EXPECT_BEAT("2", "g", "a", NULL, 2);
    EXPECT_BEAT("3", "g", "b", NULL, 3);
    EXPECT_BEAT("3", "g", "a", NULL, 2, .owned = "0,1");
    EXPECT_BEAT("3: 2", "g", "b", NULL, 3);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Stable");
    // An answer that got lost is given again; what is older is not.
    EXPECT_BEAT("3: 0,1", "g", "a", NULL, 2, "topic", .owned = "0,1", .rebalance_ms = 60000);
    EXPECT_BEAT("FENCED_MEMBER_EPOCH", "g", "a", NULL, 1, .owned = "0,1");
    EXPECT_BEAT("FENCED_MEMBER_EPOCH", "g", "a", NULL, 4);
    EXPECT_BEAT("UNKNOWN_MEMBER_ID", "g", "c", NULL, 3);
    EXPECT_BEAT("-1", "g", "b", NULL, -1);
    EXPECT_BEAT("4: 0,1,2", "g", "a", NULL, 3);
    EXPECT_BEAT("-1", "g", "a", NULL, -1);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Empty");
    EXPECT_BEAT("6: 0,1,2", JOIN("d"));
}

static void test_subscriptions(void **state) {
    (void)state;
    EXPECT_BEAT("1:", "g", "a", NULL, 0, "");
    EXPECT_BEAT("2: 0,1,2", "g", "a", NULL, 1, "topic", .owned = "");
    EXPECT_BEAT("3: 0,1,2,o0", "g", "a", NULL, 2, "other,topic,missing", .owned = "0,1,2");
    // A topic that is not wanted any more is given up at once.
    EXPECT_BEAT("3: o0", "g", "a", NULL, 3, "other", .owned = "0,1,2");
    EXPECT_BEAT("4", "g", "a", NULL, 3, .owned = "");
    EXPECT_BEAT("UNSUPPORTED_ASSIGNOR", "g", "a", NULL, 4, .assignor = "best");
    EXPECT_BEAT("4", "g", "a", NULL, 4, .assignor = "uniform");
    EXPECT_BEAT("5", "g", "a", NULL, 4, .assignor = "range");
    kit_remove_topic(&bed.kit, OTHER_TOPIC);
    bed_publish(&bed);
    EXPECT_BEAT("6:", "g", "a", NULL, 5, .owned = "");
}

// Who is silent for too long is out; who gives nothing up too.
static void test_deadlines(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("a"), .rebalance_ms = 8000);
    EXPECT_BEAT("3:", JOIN("b"));
    EXPECT_BEAT("2: 0,1", "g", "a", NULL, 2, .owned = "0,1,2");
    bed_wait(&bed, SECONDS(7));
    EXPECT_BEAT("2", "g", "a", NULL, 2, .owned = "0,1,2");
    bed_wait(&bed, SECONDS(2));
    EXPECT_BEAT("UNKNOWN_MEMBER_ID", "g", "a", NULL, 2, .owned = "0,1");
    EXPECT_BEAT("4: 0,1,2", "g", "b", NULL, 3);
    bed_wait(&bed, SECONDS(44));
    EXPECT_BEAT("4", "g", "b", NULL, 4);
    bed_wait(&bed, SECONDS(44));
    assert_string_equal(bed_consumer_state(&bed, "g"), "Stable");
    bed_wait(&bed, SECONDS(2));
    assert_string_equal(bed_consumer_state(&bed, "g"), "Empty");
    // A new leader begins the sessions anew.
    EXPECT_BEAT("6: 0,1,2", JOIN("c"));
    bed_wait(&bed, SECONDS(30));
    bed_restart(&bed);
    bed_wait(&bed, SECONDS(30));
    EXPECT_BEAT("6", "g", "c", NULL, 6);
}

static void test_static_members(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOINS("a"));
    EXPECT_BEAT("UNRELEASED_INSTANCE_ID", JOINS("b"));
    EXPECT_BEAT("UNRELEASED_INSTANCE_ID", JOINS("a"));
    EXPECT_BEAT("FENCED_INSTANCE_ID", "g", "b", "static", 2);
    EXPECT_BEAT("UNKNOWN_MEMBER_ID", "g", "b", "nobody", 2);
    EXPECT_BEAT("FENCED_INSTANCE_ID", "g", "b", "static", -2);
    EXPECT_BEAT("-2", "g", "a", "static", -2);
    assert_int_equal(bed_group(&bed, "g")->consumer->owners.count, 3);
    // It takes over what its instance had, without a new assignment.
    EXPECT_BEAT("2: 0,1,2", JOINS("b"));
    EXPECT_BEAT("FENCED_INSTANCE_ID", "g", "a", "static", 2);
    EXPECT_BEAT("2", "g", "b", "static", 2);
    EXPECT_BEAT("-1", "g", "b", "static", -1);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Empty");
}

static void test_limits(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("a"));
    EXPECT_BEAT("3:", JOINS("b"));
    EXPECT_BEAT("GROUP_MAX_SIZE_REACHED", JOIN("c"));
    EXPECT_BEAT("3", "g", "b", "static", 3);
    EXPECT_BEAT("-2", "g", "b", "static", -2);
    EXPECT_BEAT("3:", JOINS("d"));
    // What is refused leaves nothing behind.
    EXPECT_BEAT("INVALID_REGULAR_EXPRESSION", "new", "a", NULL, 0, NULL, "(");
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "new", "a", NULL, 1);
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "new", "a", NULL, -1);
    assert_null(bed_group(&bed, "new"));
    // Migration is disabled: neither protocol lets the other in.
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"g", "x"});
    assert_int_equal(ask.result, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ask_free(&ask);
    bed_stable(&bed, "c", &arena, (struct joining){0});
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "c", "a", NULL, 0, "topic");
    assert_string_equal(bed_state(&bed, "c"), "Stable");
}

// Many changes at once are one assignment.
static void test_interval(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("a"));
    EXPECT_BEAT("2:", JOIN("b"));
    EXPECT_BEAT("2:", JOIN("c"));
    assert_string_equal(bed_consumer_state(&bed, "g"), "Assigning");
    assert_int_equal(bed_group(&bed, "g")->consumer->epoch, 4);
    bed_wait(&bed, SECONDS(1));
    EXPECT_BEAT("2: 0", "g", "a", NULL, 2, .owned = "0,1,2");
    assert_int_equal(bed_group(&bed, "g")->consumer->assignment_epoch, 4);
    EXPECT_BEAT("4", "g", "a", NULL, 2, .owned = "0");
    EXPECT_BEAT("4: 1", "g", "b", NULL, 2);
    EXPECT_BEAT("4: 2", "g", "c", NULL, 2);
}

// ---- Expressions ----

static void test_regex(void **state) {
    (void)state;
    EXPECT_BEAT("1:", "g", "a", NULL, 0, NULL, "t.*");
    EXPECT_BEAT("2: 0,1,2", "g", "a", NULL, 1);
    EXPECT_BEAT("INVALID_REGULAR_EXPRESSION", "g", "a", NULL, 2, NULL, "[");
    // The same expression is known to the second member.
    EXPECT_BEAT("3:", "g", "b", NULL, 0, NULL, "t.*");
    EXPECT_BEAT("2: 0,1", "g", "a", NULL, 2, .owned = "0,1,2");
    EXPECT_BEAT("3", "g", "a", NULL, 2, .owned = "0,1");
    EXPECT_BEAT("3: 2", "g", "b", NULL, 3);
    // A new topic is seen after ten seconds at the earliest.
    kit_topic(&bed.kit, "two", 9, 1);
    bed_publish(&bed);
    EXPECT_BEAT("3", "g", "a", NULL, 3);
    assert_int_equal(bed_group(&bed, "g")->consumer->epoch, 3);
    bed_wait(&bed, SECONDS(11));
    EXPECT_BEAT("3", "g", "a", NULL, 3);
    assert_int_equal(bed_group(&bed, "g")->consumer->epoch, 4);
    EXPECT_BEAT("4", "g", "a", NULL, 3);
    EXPECT_BEAT("4: 2,0", "g", "b", NULL, 3);
    // A deleted one goes with the next heartbeat.
    kit_remove_topic(&bed.kit, 9);
    bed_publish(&bed);
    EXPECT_BEAT("5: 2", "g", "b", NULL, 4, .owned = "2");
    // The last one that has it takes its record along.
    EXPECT_BEAT("-1", "g", "a", NULL, -1);
    assert_int_equal(bed_group(&bed, "g")->consumer->regexes.count, 1);
    EXPECT_BEAT("-1", "g", "b", NULL, -1);
    assert_int_equal(bed_group(&bed, "g")->consumer->regexes.count, 0);
}

static void test_regex_changes(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", "g", "a", NULL, 0, "topic", "o.*");
    assert_int_equal(bed_group(&bed, "g")->consumer->epoch, 3);
    EXPECT_BEAT("3: 0,1,2,o0", "g", "a", NULL, 2, .owned = "0,1,2");
    // Another one: looked up ten seconds after the last time.
    bed_wait(&bed, SECONDS(11));
    EXPECT_BEAT("3: 0,1,2", "g", "a", NULL, 3, .regex = "oth.*", .owned = "0,1,2");
    EXPECT_BEAT("4: 0,1,2,o0", "g", "a", NULL, 3, .owned = "0,1,2");
    EXPECT_BEAT("5: 0,1,2", "g", "a", NULL, 4, .regex = "", .owned = "0,1,2");
    assert_int_equal(bed_group(&bed, "g")->consumer->regexes.count, 0);
    bed_restart(&bed);
    EXPECT_BEAT("5", "g", "a", NULL, 5);
}

// ---- Commits ----

static void test_commits(void **state) {
    (void)state;
    struct committing k = {"g", "a", .generation = 2, .offset = 1};
    EXPECT_BEAT("2: 0,1,2", JOIN("a"));
    assert_int_equal(commit(&bed, k), ERR_NONE);
    k.version = 8;
    assert_int_equal(commit(&bed, k), ERR_UNSUPPORTED_VERSION);
    k.version = 9, k.generation = 3;
    assert_int_equal(commit(&bed, k), ERR_STALE_MEMBER_EPOCH);
    k.generation = 2, k.member = "b";
    assert_int_equal(commit(&bed, k), ERR_UNKNOWN_MEMBER_ID);
    // An older epoch counts for what it had then.
    EXPECT_BEAT("3: 0,1,2,o0", "g", "a", NULL, 2, "topic,other", .owned = "0,1,2");
    k.member = "a";
    assert_int_equal(commit(&bed, k), ERR_NONE);
    k.topic = "other";
    assert_int_equal(commit(&bed, k), ERR_STALE_MEMBER_EPOCH);
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_STALE_MEMBER_EPOCH);
    k.version = 5;
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_ILLEGAL_GENERATION);
    k.version = 9;
    k.generation = 1, k.topic = "topic";
    assert_int_equal(commit(&bed, k), ERR_STALE_MEMBER_EPOCH);
    k.member = NULL, k.generation = -1;
    assert_int_equal(commit(&bed, k), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit_in(&bed, 7, 0, k), ERR_NONE);
}

// ---- Up ----

static const char *assigned(struct ask *ask) {
    static char text[128];
    struct partition_list list;
    bool has_user_data;
    assert_true(consumer_assignment_read(bed.kit.image, ask->out.sync.assignment, &ask->arena,
                                         &list, &has_user_data));
    int at = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < list.count; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%d", i == 0 ? "" : ",",
                       list.items[i].partition);
    return text;
}

// Joins and syncs again as a classic member of a consumer group: its generation and partitions.
static const char *rejoin(const char *member, const char *instance, const char *owned) {
    static char text[128];
    struct ask join, sync;
    struct joining j = {"g", member, instance, .owned = owned};
    join_start(&bed, &join, j);
    assert_int_equal(join.done, 1);
    if (join.result != ERR_NONE) {
        snprintf(text, sizeof text, "%s", err_name(join.result));
        ask_free(&join);
        return text;
    }
    expect(&join, ERR_NONE, join.out.join.error_code);
    bed_check(&bed);
    int32_t generation = join.out.join.generation_id;
    sync_start(&bed, &sync,
               (struct syncing){"g", joined_id(&join), instance, .generation = generation});
    assert_int_equal(sync.done, 1);
    if (sync.result != ERR_NONE) {
        snprintf(text, sizeof text, "%d %s", generation, err_name(sync.result));
    } else {
        expect(&sync, ERR_NONE, sync.out.sync.error_code);
        snprintf(text, sizeof text, "%d %s", generation, assigned(&sync));
    }
    ask_free(&join);
    ask_free(&sync);
    bed_check(&bed);
    return text;
}

// A stable classic group of one member that has all partitions.
static const char *classic_group(const char *instance) {
    struct ask join, sync;
    struct joining j = {"g", "", instance};
    const char *id;
    if (instance == NULL) {
        id = join_dynamic(&bed, &join, &arena, j);
        bed_wait(&bed, (JOIN_DELAY_MS + 10) * MS);
    } else {
        join_start(&bed, &join, j);
        bed_wait(&bed, (JOIN_DELAY_MS + 10) * MS);
        id = arena_cstring(&arena, join.out.join.member_id);
    }
    expect(&join, ERR_NONE, join.out.join.error_code);
    ask_free(&join);
    sync_start(&bed, &sync,
               (struct syncing){"g", id, instance, .generation = 1, .members = {id},
                                .partitions = "0,1,2"});
    expect(&sync, ERR_NONE, sync.out.sync.error_code);
    ask_free(&sync);
    return id;
}

static void test_upgrade(void **state) {
    (void)state;
    const char *old = classic_group(NULL);
    EXPECT_BEAT("2:", JOIN("new"));
    assert_string_equal(bed_consumer_state(&bed, "g"), "Reconciling");
    assert_int_equal(bed_group(&bed, "g")->consumer->classic_count, 1);
    // The classic member is told to join again, and gives up what is not its own any more.
    struct committing k = {"g", old, .generation = 1, .offset = 5, .version = 7};
    assert_int_equal(commit(&bed, k), ERR_NONE);
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    assert_string_equal(rejoin(old, NULL, "0,1,2"), "1 0,1");
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    EXPECT_BEAT("2", "g", "new", NULL, 2);
    assert_string_equal(rejoin(old, NULL, "0,1"), "2 0,1");
    EXPECT_BEAT("2: 2", "g", "new", NULL, 2);
    assert_int_equal(beat(&bed, "g", old, NULL, 2), ERR_NONE);
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_ILLEGAL_GENERATION);
    assert_int_equal(beat(&bed, "g", "new", NULL, 2), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(commit(&bed, k), ERR_NONE);  // of before, still its own
    k.generation = 3;
    assert_int_equal(commit(&bed, k), ERR_ILLEGAL_GENERATION);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Stable");
    bed_restart(&bed);
    assert_int_equal(beat(&bed, "g", old, NULL, 2), ERR_NONE);
    // It leaves as a classic member does.
    assert_int_equal(leave(&bed, "g", "stranger", NULL), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(leave(&bed, "g", old, NULL), ERR_NONE);
    bed_check(&bed);
    EXPECT_BEAT("3: 0,1,2", "g", "new", NULL, 2);
    assert_int_equal(bed_group(&bed, "g")->consumer->classic_count, 0);
}

// A member in the middle of a rebalance, and one that waits for it, are told to begin again.
static void test_upgrade_in_a_rebalance(void **state) {
    (void)state;
    const char *old = classic_group(NULL);
    struct ask wait, second;
    join_dynamic(&bed, &wait, &arena, (struct joining){"g"});
    assert_int_equal(wait.done, 0);
    EXPECT_BEAT("2:", JOIN("new"));
    expect(&wait, ERR_REBALANCE_IN_PROGRESS, wait.out.join.error_code);
    // It was a member already, with nothing.
    assert_int_equal(bed_group(&bed, "g")->consumer->members.count, 3);
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    ask_free(&wait);
    // New classic members still come: first they get an id.
    join_start(&bed, &second, (struct joining){"g", ""});
    expect(&second, ERR_MEMBER_ID_REQUIRED, second.out.join.error_code);
    const char *id = arena_cstring(&arena, second.out.join.member_id);
    ask_free(&second);
    assert_string_equal(rejoin(id, NULL, ""), "3 ");
    assert_int_equal(bed_group(&bed, "g")->consumer->members.count, 4);
    // Another protocol than theirs is none of this group's.
    join_start(&bed, &second, (struct joining){"g", "x", .protocols = "sticky"});
    assert_int_equal(second.result, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ask_free(&second);
    join_start(&bed, &second, (struct joining){"g", "x", .topic = "?"});
    assert_int_equal(second.result, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ask_free(&second);
}

static void test_upgrade_is_refused(void **state) {
    (void)state;
    bed_stable(&bed, "w", &arena, (struct joining){.type = "connect"});
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "w", "a", NULL, 0, "topic");
    bed_stable(&bed, "m", &arena, (struct joining){.topic = "?"});
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "m", "a", NULL, 0, "topic");
    bed_stable(&bed, "c", &arena, (struct joining){0});  // an assignment of its own making
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "c", "a", NULL, 0, "topic");
    const char *old = classic_group(NULL);
    EXPECT_BEAT("INVALID_REGULAR_EXPRESSION", "g", "a", NULL, 0, NULL, "(");
    EXPECT_BEAT("GROUP_ID_NOT_FOUND", "g", "a", NULL, 1);
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
}

static void restart_after_crash(void) {
    kit_crash(&bed.kit);
    sim_node_call(bed.kit.node, bed_begin, &bed);
    sim_settle(bed.kit.sim, 10 * MS);
}

// A move that is not written has not happened.
static void test_move_is_not_written(void **state) {
    (void)state;
    const char *old = classic_group(NULL);
    sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
    heartbeat(&bed, (struct beating){JOIN("new")});
    assert_string_equal(bed_consumer_state(&bed, "g"), "classic");
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    restart_after_crash();
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_NONE);
    EXPECT_BEAT("2:", JOIN("new"));
    sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
    heartbeat(&bed, (struct beating){"g", "new", NULL, -1});
    assert_string_equal(bed_consumer_state(&bed, "g"), "Reconciling");
    restart_after_crash();
    EXPECT_BEAT("2", "g", "new", NULL, 2);
}

// ---- Down ----

static void test_downgrade(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("new"));
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"g", "old", .owned = ""});
    expect(&ask, ERR_NONE, ask.out.join.error_code);
    assert_int_equal(ask.out.join.generation_id, 3);
    ask_free(&ask);
    EXPECT_BEAT("2: 0,1", "g", "new", NULL, 2, .owned = "0,1,2");
    EXPECT_BEAT("3", "g", "new", NULL, 2, .owned = "0,1");
    assert_int_equal(beat(&bed, "g", "old", NULL, 3), ERR_REBALANCE_IN_PROGRESS);
    assert_string_equal(rejoin("old", NULL, ""), "3 2");
    // The last member of the new protocol goes.
    EXPECT_BEAT("-1", "g", "new", NULL, -1);
    assert_string_equal(bed_consumer_state(&bed, "g"), "classic");
    assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
    assert_int_equal(beat(&bed, "g", "old", NULL, 3), ERR_REBALANCE_IN_PROGRESS);
    join_start(&bed, &ask, (struct joining){"g", "old", .owned = "2"});
    expect(&ask, ERR_NONE, ask.out.join.error_code);
    assert_int_equal(ask.out.join.generation_id, 4);
    assert_string_equal(joined_id(&ask), arena_cstring(&arena, ask.out.join.leader));
    ask_free(&ask);
    sync_start(
        &bed, &ask,
        (struct syncing){"g", "old", .generation = 4, .members = {"old"}, .partitions = "0,1,2"});
    expect(&ask, ERR_NONE, ask.out.sync.error_code);
    ask_free(&ask);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    bed_check(&bed);
    // And up again.
    EXPECT_BEAT("5:", JOIN("newer"));
}

// The last one falls silent; the classic one goes on.
static void test_downgrade_by_silence(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("new"));
    assert_string_equal(rejoin("old", NULL, ""), "3 ");
    for (int i = 0; i < 6; i++) {
        bed_wait(&bed, SECONDS(9));
        beat(&bed, "g", "old", NULL, 3);
    }
    assert_string_equal(bed_consumer_state(&bed, "g"), "classic");
    assert_int_equal(bed_group(&bed, "g")->classic->members.count, 1);
}

// A static member comes back in the other protocol; the group follows without a rebalance.
static void test_static_member_both_ways(void **state) {
    (void)state;
    classic_group("static");
    EXPECT_BEAT("1: 0,1,2", JOINS("new"));
    assert_int_equal(bed_group(&bed, "g")->consumer->classic_count, 0);
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"g", "", "static", .owned = "0,1,2"});
    expect(&ask, ERR_NONE, ask.out.join.error_code);
    assert_string_equal(bed_consumer_state(&bed, "g"), "classic");
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    const char *id = arena_cstring(&arena, ask.out.join.member_id);
    int32_t generation = ask.out.join.generation_id;
    ask_free(&ask);
    bed_check(&bed);
    sync_start(&bed, &ask, (struct syncing){"g", id, "static", .generation = generation});
    expect(&ask, ERR_NONE, ask.out.sync.error_code);
    assert_string_equal(assigned(&ask), "0,1,2");
    ask_free(&ask);
}

static void test_downgrade_is_not_allowed(void **state) {
    (void)state;
    classic_group(NULL);
    EXPECT_BEAT("2:", JOIN("new"));
    EXPECT_BEAT("-1", "g", "new", NULL, -1);
    assert_int_equal(bed_group(&bed, "g")->consumer->members.count, 1);
}

// Groups without members change hands freely.
static void test_empty_groups(void **state) {
    (void)state;
    EXPECT_BEAT("2: 0,1,2", JOIN("a"));
    assert_int_equal(commit(&bed, (struct committing){"g", "a", .generation = 2, .offset = 5}),
                     ERR_NONE);
    EXPECT_BEAT("-1", "g", "a", NULL, -1);
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"g", "stranger"});
    expect(&ask, ERR_UNKNOWN_MEMBER_ID, ask.out.join.error_code);
    ask_free(&ask);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Empty");
    const char *id = classic_group(NULL);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    bed_check(&bed);
    assert_int_equal(leave(&bed, "g", id, NULL), ERR_NONE);
    EXPECT_BEAT("2: 0,1,2", JOIN("b"));
    assert_int_equal(fetch(&bed, "g", "topic", 0, 0), 5);
    EXPECT_BEAT("-1", "g", "b", NULL, -1);
    assert_int_equal(delete_group(&bed, "g"), ERR_NONE);
    assert_null(bed_group(&bed, "g"));
}

// A classic member that does not join when it should, or joins and never asks, is out.
static void test_classic_deadlines(void **state) {
    (void)state;
    const char *old = classic_group(NULL);
    EXPECT_BEAT("2:", JOIN("new"));
    for (int i = 0; i < 8; i++) {
        bed_wait(&bed, SECONDS(9));
        heartbeat(&bed, (struct beating){"g", "new", NULL, 2});
        if (i < 7) assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    }
    assert_int_equal(beat(&bed, "g", old, NULL, 1), ERR_UNKNOWN_MEMBER_ID);
    EXPECT_BEAT("3", "g", "new", NULL, 3);
    assert_int_equal(bed_group(&bed, "g")->consumer->owners.count, 3);
}

// ---- Anything ----

// A member as it sees itself: what it was told that it has.
struct client {
    const char *id;
    bool is_in, is_classic;
    int32_t epoch;
    unsigned owned;  // bits of partitions of "topic"
};

static const char *show_owned(unsigned owned) {
    static char texts[4][16];
    static int next;
    char *text = texts[next++ % 4];
    size_t size = 0;
    text[0] = '\0';
    for (int p = 0; p < 3; p++)
        if ((owned >> p & 1) != 0)
            size += (size_t)snprintf(text + size, 16 - size, "%s%d", size == 0 ? "" : ",", p);
    return text;
}

static unsigned read_owned(const char *text) {
    unsigned owned = 0;
    for (; *text != '\0'; text++)
        if (*text >= '0' && *text <= '2') owned |= 1U << (*text - '0');
    return owned;
}

static void forget(struct client *c) {
    c->is_in = false;
    c->owned = 0;
}

static void beat_as_consumer(struct client *c) {
    struct beating b = {"g", c->id, NULL, c->is_in ? c->epoch : 0};
    if (!c->is_in) b.topics = "topic";
    b.owned = show_owned(c->owned);
    const char *told = heartbeat(&bed, b);
    if (strstr(told, "FENCED") != NULL || strstr(told, "UNKNOWN_MEMBER") != NULL) {
        forget(c);
    } else if (told[0] >= '0' && told[0] <= '9') {
        c->is_in = true;
        c->epoch = atoi(told);
        const char *list = strchr(told, ':');
        if (list != NULL) c->owned = read_owned(list + 1);
    }
}

static void join_as_classic(struct client *c) {
    struct ask join, sync;
    join_start(&bed, &join, (struct joining){"g", c->id, .owned = show_owned(c->owned)});
    bool joined = join.done == 1 && join.result == ERR_NONE && join.out.join.error_code == 0;
    int32_t generation = join.out.join.generation_id;
    ask_free(&join);
    if (!joined) return;
    c->is_in = true;
    c->epoch = generation;
    sync_start(&bed, &sync, (struct syncing){"g", c->id, .generation = generation});
    bool synced = sync.done == 1 && sync.result == ERR_NONE && sync.out.sync.error_code == 0;
    if (synced) c->owned = read_owned(assigned(&sync));
    ask_free(&sync);
}

static void beat_as_classic(struct client *c) {
    struct ask ask;
    ask_init(&bed, &ask, API_HEARTBEAT, 4, "g");
    codec_init(&heartbeat_request_codec, &ask.in.heartbeat);
    ask.in.heartbeat.member_id = slice_cstring(c->id);
    ask.in.heartbeat.generation_id = c->epoch;
    ask_start(&ask);
    int16_t error = ask.result == ERR_NONE ? ask.out.heartbeat.error_code : -1;
    ask_free(&ask);
    if (error == ERR_UNKNOWN_MEMBER_ID || error == ERR_ILLEGAL_GENERATION) forget(c);
    if (error == ERR_REBALANCE_IN_PROGRESS || !c->is_in) join_as_classic(c);
}

static void go_on(struct client *c) {
    if (!c->is_classic) {
        beat_as_consumer(c);
    } else if (c->is_in) {
        beat_as_classic(c);
    } else {
        join_as_classic(c);
    }
}

static void leave_as_it_is(struct client *c) {
    if (c->is_classic) {
        leave(&bed, "g", c->id, NULL);
    } else {
        heartbeat(&bed, (struct beating){"g", c->id, NULL, -1});
    }
    forget(c);
}

static void check_owners(const struct client *clients, int count, int step) {
    unsigned all = 0;
    for (int i = 0; i < count; i++) {
        if ((all & clients[i].owned) != 0) fail_msg("step %d: a partition has two owners", step);
        all |= clients[i].owned;
    }
}

// Members of both protocols come, go, and change theirs; disks fail and brokers crash: never has a
// partition two owners, and at the end each has one.
static void test_anything(void **state) {
    (void)state;
    struct client clients[] = {{"keeper"}, {"one"}, {"two"}, {"three"}, {"four"}};
    int count = COUNT_OF(clients);
    uint64_t seed = 848;
    beat_as_consumer(&clients[0]);
    for (int step = 0; step < 600; step++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        struct client *c = &clients[(seed >> 33) % 5];
        bool is_keeper = c == clients;
        if ((seed >> 44) % 40 == 0) {
            sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
            go_on(c);
            sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 0);  // it may have had nothing to write
            restart_after_crash();
        } else if (!is_keeper && c->is_in && (seed >> 52) % 8 == 0) {
            leave_as_it_is(c);
            c->is_classic = (seed >> 56) % 2 == 0;
        } else {
            go_on(c);
        }
        check_owners(clients, count, step);
        bed_check(&bed);
    }
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < count; i++) {
            go_on(&clients[i]);
            check_owners(clients, count, round);
        }
    unsigned all = 0;
    for (int i = 0; i < count; i++)
        all |= clients[i].owned;
    assert_int_equal(all, 7);
    assert_string_equal(bed_consumer_state(&bed, "g"), "Stable");
    assert_int_equal(bed_group(&bed, "g")->consumer->members.count, count);
}

#define STEP(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define STEP_WITH(test, set) \
    { #test, test, begin, end, (void *)(uintptr_t)set }

int main(void) {
    const struct CMUnitTest tests[] = {
        STEP(test_two_members),
        STEP(test_subscriptions),
        STEP(test_deadlines),
        STEP(test_static_members),
        STEP_WITH(test_limits, disabled),
        STEP_WITH(test_interval, with_interval),
        STEP(test_regex),
        STEP(test_regex_changes),
        STEP(test_commits),
        STEP(test_upgrade),
        STEP(test_upgrade_in_a_rebalance),
        STEP(test_upgrade_is_refused),
        STEP(test_move_is_not_written),
        STEP(test_downgrade),
        STEP(test_downgrade_by_silence),
        STEP(test_static_member_both_ways),
        STEP_WITH(test_downgrade_is_not_allowed, upgrade_only),
        STEP(test_empty_groups),
        STEP(test_classic_deadlines),
        STEP(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
