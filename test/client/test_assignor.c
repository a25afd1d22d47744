// How a leader divides partitions: Kafka's documented examples, and the invariants of the sticky
// ones on random groups.
#include "test/test.h"

#include "base/prng.h"
#include "client/assignor.h"

enum { MEMBERS_MAX = 12 };

static const struct slice both_topics[] = {SLICE_LITERAL("t0"), SLICE_LITERAL("t1")};

static struct assignor_member member(const char *id, int32_t topics) {
    return (struct assignor_member){
        .id = slice_cstring(id), .topics = both_topics, .topic_count = topics, .generation = -1};
}

// "t0-0 t0-1 …"
static void has(const struct assignor_member *members, int32_t count, const char *id,
                const char *expected) {
    char text[400] = "";
    for (int32_t m = 0; m < count; m++) {
        if (!slice_equal_cstring(members[m].id, id)) continue;
        for (int32_t i = 0; i < members[m].assigned_count; i++) {
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s-%d",
                     i == 0 ? "" : " ", SLICE_PRINT(members[m].assigned[i].topic),
                     members[m].assigned[i].partition);
        }
    }
    assert_string_equal(text, expected);
}

static void range_gives_runs(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct assignor_member members[] = {member("C1", 2), member("C0", 2)};
    struct assignor_topic topics[] = {{both_topics[0], 3}, {both_topics[1], 3}};
    assignor_assign(ASSIGNOR_RANGE, members, 2, topics, 2, &arena);
    has(members, 2, "C0", "t0-0 t0-1 t1-0 t1-1");
    has(members, 2, "C1", "t0-2 t1-2");
    arena_deinit(&arena);
}

static void round_robin_deals(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct assignor_member members[] = {member("C0", 2), member("C1", 2)};
    struct assignor_topic topics[] = {{both_topics[0], 3}, {both_topics[1], 3}};
    assignor_assign(ASSIGNOR_ROUND_ROBIN, members, 2, topics, 2, &arena);
    has(members, 2, "C0", "t0-0 t0-2 t1-1");
    has(members, 2, "C1", "t0-1 t1-0 t1-2");
    arena_deinit(&arena);
}

static void static_members_keep_their_place(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct assignor_member members[] = {member("a", 1), member("b", 1)};
    members[0].instance_id = SLICE_LITERAL("second");
    members[1].instance_id = SLICE_LITERAL("first");
    struct assignor_topic topics[] = {{both_topics[0], 2}};
    assignor_assign(ASSIGNOR_RANGE, members, 2, topics, 1, &arena);
    has(members, 2, "b", "t0-0");
    has(members, 2, "a", "t0-1");
    arena_deinit(&arena);
}

static void a_newcomer_gets_its_share_in_two_steps(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct topic_partition all[] = {
        {both_topics[0], 0}, {both_topics[0], 1}, {both_topics[0], 2}, {both_topics[0], 3}};
    struct assignor_topic topics[] = {{both_topics[0], 4}};
    struct assignor_member members[] = {member("a", 1), member("b", 1)};
    members[0].owned = all;
    members[0].owned_count = 4;
    members[0].generation = 1;
    assignor_assign(ASSIGNOR_COOPERATIVE_STICKY, members, 2, topics, 1, &arena);
    assert_int_equal(members[0].assigned_count, 2);
    assert_int_equal(members[1].assigned_count, 0);  // its owner has to give it up first
    struct assignor_member again[] = {member("a", 1), member("b", 1)};
    again[0].owned = members[0].assigned;
    again[0].owned_count = 2;
    again[0].generation = again[1].generation = 2;
    assignor_assign(ASSIGNOR_COOPERATIVE_STICKY, again, 2, topics, 1, &arena);
    assert_int_equal(again[0].assigned_count, 2);
    assert_int_equal(again[1].assigned_count, 2);
    arena_deinit(&arena);
}

static void the_later_generation_is_believed(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct topic_partition one[] = {{both_topics[0], 0}};
    struct assignor_topic topics[] = {{both_topics[0], 2}};
    struct assignor_member members[] = {member("a", 1), member("b", 1)};
    members[0].owned = one;
    members[1].owned = one;
    members[0].owned_count = members[1].owned_count = 1;
    members[0].generation = 3;
    members[1].generation = 4;
    assignor_assign(ASSIGNOR_STICKY, members, 2, topics, 1, &arena);
    has(members, 2, "b", "t0-0");
    has(members, 2, "a", "t0-1");
    arena_deinit(&arena);
}

// Random groups: every partition of a subscribed topic has exactly one owner among the subscribers
// (the cooperative one may leave those that move without one for a round), equal subscriptions are
// even, and nothing moves without need.
static void random_groups(void **state) {
    (void)state;
    struct prng random;
    prng_init(&random, 42);
    for (int round = 0; round < 300; round++) {
        struct arena arena;
        arena_init(&arena);
        struct assignor_member members[MEMBERS_MAX];
        char ids[MEMBERS_MAX][16];
        int32_t count = 1 + (int32_t)prng_below(&random, MEMBERS_MAX);
        struct assignor_topic topics[] = {{both_topics[0], (int32_t)prng_below(&random, 20)},
                                          {both_topics[1], (int32_t)prng_below(&random, 20)}};
        bool equal = round % 2 == 0;
        for (int32_t m = 0; m < count; m++) {
            snprintf(ids[m], sizeof ids[m], "m%d", m);
            members[m] = member(ids[m], equal ? 2 : (int32_t)prng_below(&random, 3));
        }
        enum assignor kind = (enum assignor)(round % ASSIGNOR_COUNT);
        assignor_assign(kind, members, count, topics, 2, &arena);
        int32_t least = INT32_MAX, most = 0, total = 0;
        for (int32_t m = 0; m < count; m++) {
            least = MIN(least, members[m].assigned_count);
            most = MAX(most, members[m].assigned_count);
            total += members[m].assigned_count;
            for (int32_t i = 0; i < members[m].assigned_count; i++) {
                struct topic_partition p = members[m].assigned[i];
                bool subscribed = false;
                for (int32_t t = 0; t < members[m].topic_count; t++) {
                    subscribed |= slice_equal(members[m].topics[t], p.topic);
                }
                assert_true(subscribed);
                for (int32_t other = m; other < count; other++) {
                    for (int32_t j = other == m ? i + 1 : 0; j < members[other].assigned_count;
                         j++) {
                        struct topic_partition q = members[other].assigned[j];
                        assert_false(q.partition == p.partition && slice_equal(q.topic, p.topic));
                    }
                }
            }
        }
        int32_t expected = 0;
        for (int t = 0; t < 2; t++) {
            bool wanted = false;
            for (int32_t m = 0; m < count; m++)
                wanted |= members[m].topic_count > (t == 0 ? 0 : 1);
            const struct assignor_topic *topic =
                slice_equal(topics[0].name, both_topics[t]) ? &topics[0] : &topics[1];
            if (wanted) expected += topic->partition_count;
        }
        assert_int_equal(total, expected);
        if (equal && kind != ASSIGNOR_RANGE) assert_true(most - least <= 1);
        // The same group again: whoever has something keeps it.
        if (kind == ASSIGNOR_STICKY || kind == ASSIGNOR_COOPERATIVE_STICKY) {
            struct assignor_member again[MEMBERS_MAX];
            for (int32_t m = 0; m < count; m++) {
                again[m] = members[m];
                again[m].owned = members[m].assigned;
                again[m].owned_count = members[m].assigned_count;
                again[m].generation = 1;
            }
            assignor_assign(kind, again, count, topics, 2, &arena);
            for (int32_t m = 0; m < count; m++) {
                assert_int_equal(again[m].assigned_count, members[m].assigned_count);
                for (int32_t i = 0; i < again[m].assigned_count; i++) {
                    assert_int_equal(again[m].assigned[i].partition,
                                     members[m].assigned[i].partition);
                }
            }
        }
        arena_deinit(&arena);
    }
}

static void names(void **state) {
    (void)state;
    enum assignor assignor;
    assert_true(assignor_parse(SLICE_LITERAL("cooperative-sticky"), &assignor));
    assert_int_equal(assignor, ASSIGNOR_COOPERATIVE_STICKY);
    assert_false(assignor_parse(SLICE_LITERAL("nearest"), &assignor));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_gives_runs),
        cmocka_unit_test(round_robin_deals),
        cmocka_unit_test(static_members_keep_their_place),
        cmocka_unit_test(a_newcomer_gets_its_share_in_two_steps),
        cmocka_unit_test(the_later_generation_is_believed),
        cmocka_unit_test(random_groups),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
