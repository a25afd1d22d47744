// The pure parts of consumer groups (KIP-848): sets of partitions, the two assignors, and the steps
// of a member towards its target.
#include "base/prng.h"
#include "group/consumer.h"
#include "test/test.h"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct uuid topic(int n) {
    struct uuid id = {{0}};
    id.bytes[15] = (uint8_t)n;
    return id;
}

// "1:0,1:2,2:5": topic:partition.
static struct partition_list list_of(const char *text) {
    struct partition_list list = partition_list_new(&arena, (int32_t)strlen(text));
    int t, p, used;
    while (sscanf(text, "%d:%d%n", &t, &p, &used) == 2) {
        partition_list_add(&list, topic(t), p);
        text += used;
        if (*text == ',') text++;
    }
    partition_list_sort(&list);
    return list;
}

static const char *show(const struct partition_list *list) {
    static char texts[8][512];
    static int next;
    char *text = texts[next++ % 8];
    size_t size = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < list->count; i++)
        size += (size_t)snprintf(text + size, sizeof texts[0] - size, "%s%d:%d", i == 0 ? "" : ",",
                                 list->items[i].topic.bytes[15], (int)list->items[i].partition);
    return text;
}

static void test_sets(void **state) {
    (void)state;
    struct partition_list a = list_of("2:1,1:3,1:0,2:1,1:2"), b = list_of("1:2,2:1,3:0"),
                          none = list_of("");
    assert_string_equal(show(&a), "1:0,1:2,1:3,2:1");
    struct partition_list both = partition_list_both(&arena, &a, &b);
    assert_string_equal(show(&both), "1:2,2:1");
    struct partition_list without = partition_list_without(&arena, &a, &b);
    assert_string_equal(show(&without), "1:0,1:3");
    struct partition_list all = partition_list_union(&arena, &a, &b);
    assert_string_equal(show(&all), "1:0,1:2,1:3,2:1,3:0");
    all = partition_list_union(&arena, &none, &none);
    assert_int_equal(all.count, 0);
    assert_true(partition_list_is_subset(&both, &a) && partition_list_is_subset(&none, &a));
    assert_false(partition_list_is_subset(&b, &a));
    assert_true(partition_list_intersects(&a, &b) && !partition_list_intersects(&a, &none));
    assert_int_equal(partition_list_topic_end(&a, 0), 3);
    assert_int_equal(partition_list_topic_count(&a), 2);
}

// ---- Assignors ----

#define MEMBERS_MAX 12
#define TOPICS_MAX  8

struct world {
    struct assignor_topic topics[TOPICS_MAX];
    struct assignor_member members[MEMBERS_MAX];
    int32_t subscriptions[MEMBERS_MAX][TOPICS_MAX];
    struct partition_list now[MEMBERS_MAX];
    char ids[MEMBERS_MAX][16];
    struct assignor_input input;
};

static struct world *world_new(int32_t topics, const int32_t *partitions, int32_t members) {
    struct world *w = arena_zalloc(&arena, 1, sizeof *w);
    w->input = (struct assignor_input){w->topics, topics, w->members, members, false};
    for (int32_t t = 0; t < topics; t++)
        w->topics[t] = (struct assignor_topic){topic(t + 1), partitions[t]};
    for (int32_t m = 0; m < members; m++) {
        snprintf(w->ids[m], sizeof w->ids[m], "m%02d", (int)m);
        for (int32_t t = 0; t < topics; t++)
            w->subscriptions[m][t] = t;
        w->members[m] = (struct assignor_member){.id = slice_cstring(w->ids[m]),
                                                 .topics = w->subscriptions[m],
                                                 .topic_count = topics,
                                                 .now = &w->now[m]};
    }
    return w;
}

static void test_range(void **state) {
    (void)state;
    int32_t partitions[] = {7, 2};
    struct world *w = world_new(2, partitions, 3);
    w->members[2].instance_id = SLICE_LITERAL("static");
    w->members[1].topic_count = 1;
    assign_range(&w->input, &arena);
    assert_string_equal(show(&w->members[2].target), "1:0,1:1,1:2,2:0");
    assert_string_equal(show(&w->members[0].target), "1:3,1:4,2:1");
    assert_string_equal(show(&w->members[1].target), "1:5,1:6");
}

static void test_uniform_is_sticky(void **state) {
    (void)state;
    int32_t partitions[] = {6};
    struct world *w = world_new(1, partitions, 2);
    w->now[0] = list_of("1:0,1:1,1:2,1:3,1:4,1:5,1:9,7:0");
    assign_uniform(&w->input, &arena);
    assert_string_equal(show(&w->members[0].target), "1:0,1:1,1:2");
    assert_string_equal(show(&w->members[1].target), "1:3,1:4,1:5");
    w = world_new(1, partitions, 3);
    w->now[0] = list_of("1:0,1:1,1:2");
    w->now[1] = list_of("1:3,1:4,1:5");
    assign_uniform(&w->input, &arena);
    assert_string_equal(show(&w->members[0].target), "1:0,1:1");
    assert_string_equal(show(&w->members[1].target), "1:3,1:4");
    assert_string_equal(show(&w->members[2].target), "1:2,1:5");
}

static void test_nobody_and_nothing(void **state) {
    (void)state;
    int32_t partitions[] = {3};
    struct world *w = world_new(1, partitions, 1);
    w->members[0].topic_count = 0;
    assign_uniform(&w->input, &arena);
    assert_int_equal(w->members[0].target.count, 0);
    assign_range(&w->input, &arena);
    assert_int_equal(w->members[0].target.count, 0);
    w = world_new(0, partitions, 0);
    assign_uniform(&w->input, &arena);
    assign_range(&w->input, &arena);
}

static bool subscribes(const struct assignor_member *m, int32_t t) {
    for (int32_t i = 0; i < m->topic_count; i++)
        if (m->topics[i] == t) return true;
    return false;
}

// Each partition of a subscribed topic has exactly one owner, who subscribes to it.
static void check_complete(const struct world *w) {
    for (int32_t t = 0; t < w->input.topic_count; t++) {
        bool wanted = false;
        for (int32_t m = 0; m < w->input.member_count; m++)
            wanted = wanted || subscribes(&w->members[m], t);
        for (int32_t p = 0; p < w->topics[t].partition_count; p++) {
            struct group_partition item = {w->topics[t].id, p, 0};
            int owners = 0;
            for (int32_t m = 0; m < w->input.member_count; m++) {
                bool has = partition_list_contains(&w->members[m].target, &item);
                assert_true(!has || subscribes(&w->members[m], t));
                owners += has;
            }
            assert_int_equal(owners, wanted);
        }
    }
}

// No partition could move to a subscriber that has at least two fewer.
static void check_even(const struct world *w) {
    for (int32_t m = 0; m < w->input.member_count; m++) {
        const struct partition_list *target = &w->members[m].target;
        for (int32_t i = 0; i < target->count; i++)
            for (int32_t k = 0; k < w->input.member_count; k++)
                if (subscribes(&w->members[k], target->items[i].topic.bytes[15] - 1))
                    assert_true(target->count <= w->members[k].target.count + 1);
    }
}

static void test_random_groups(void **state) {
    (void)state;
    struct prng prng;
    prng_init(&prng, 848);
    for (int round = 0; round < 300; round++) {
        int32_t topics = 1 + (int32_t)(prng_next(&prng) % TOPICS_MAX), partitions[TOPICS_MAX];
        int32_t members = 1 + (int32_t)(prng_next(&prng) % MEMBERS_MAX);
        for (int32_t t = 0; t < topics; t++)
            partitions[t] = (int32_t)(prng_next(&prng) % 9);
        struct world *w = world_new(topics, partitions, members);
        bool same = prng_next(&prng) % 2 == 0;
        for (int32_t m = 0; m < members && !same; m++) {
            w->members[m].topic_count = 0;
            for (int32_t t = 0; t < topics; t++)
                if (prng_next(&prng) % 3 != 0) w->subscriptions[m][w->members[m].topic_count++] = t;
        }
        assign_range(&w->input, &arena);
        check_complete(w);
        for (int32_t m = 0; m < members; m++)
            w->now[m] = w->members[m].target;
        assign_uniform(&w->input, &arena);
        check_complete(w);
        check_even(w);
        // Nothing moves when nothing changed.
        for (int32_t m = 0; m < members; m++)
            w->now[m] = w->members[m].target;
        assign_uniform(&w->input, &arena);
        for (int32_t m = 0; m < members; m++)
            assert_true(partition_list_equal(&w->now[m], &w->members[m].target));
        arena_reset(&arena);
    }
}

// ---- Reconciliation ----

struct step {
    const char *assigned, *revoking;
    enum member_state state;
    int32_t epoch;
    const char *target;
    int32_t target_epoch;
    const char *owned;  // NULL: not said
    const char *taken;  // by others
    const char *after;  // "state epoch/previous assigned|revoking"
};

static bool is_taken(void *context, const struct group_partition *p) {
    return partition_list_contains(context, p);
}

static const char *run(const struct step *s) {
    static char text[256];
    struct member_progress now = {.epoch = s->epoch,
                                  .previous_epoch = s->epoch - 1,
                                  .state = s->state,
                                  .assigned = list_of(s->assigned),
                                  .revoking = list_of(s->revoking)};
    struct partition_list target = list_of(s->target), taken = list_of(s->taken);
    struct partition_list owned = list_of(s->owned == NULL ? "" : s->owned);
    struct uuid topics[] = {topic(1), topic(2)};
    struct reconcile_input input = {.now = &now,
                                    .topics = topics,
                                    .topic_count = 2,
                                    .target = &target,
                                    .target_epoch = s->target_epoch,
                                    .owned = s->owned == NULL ? NULL : &owned,
                                    .is_owned = is_taken,
                                    .context = &taken};
    struct member_progress next = consumer_reconcile(&input, &arena);
    snprintf(text, sizeof text, "%d %d/%d %s|%s", next.state, (int)next.epoch,
             (int)next.previous_epoch, show(&next.assigned), show(&next.revoking));
    return text;
}

static void test_steps(void **state) {
    (void)state;
    const struct step steps[] = {
        // Nothing to do.
        {"1:0", "", MEMBER_STABLE, 5, "1:0", 5, NULL, "", "0 5/4 1:0|"},
        // All that is wanted is free.
        {"", "", MEMBER_STABLE, 0, "1:0,1:1", 6, "", "", "0 6/0 1:0,1:1|"},
        // Something to give up, and it still has it (or does not say).
        {"1:0,1:1", "", MEMBER_STABLE, 5, "1:0", 6, "1:0,1:1", "", "1 5/5 1:0|1:1"},
        {"1:0,1:1", "", MEMBER_STABLE, 5, "1:0", 6, NULL, "", "1 5/5 1:0|1:1"},
        // It never had it.
        {"1:0,1:1", "", MEMBER_STABLE, 5, "1:0", 6, "1:0", "", "0 6/5 1:0|"},
        // Not done with revoking.
        {"1:0", "1:1", MEMBER_UNREVOKED_PARTITIONS, 5, "1:0", 6, "1:0,1:1", "", "1 5/4 1:0|1:1"},
        {"1:0", "1:1", MEMBER_UNREVOKED_PARTITIONS, 5, "1:0", 6, NULL, "", "1 5/4 1:0|1:1"},
        // Done; the target may have changed meanwhile.
        {"1:0", "1:1", MEMBER_UNREVOKED_PARTITIONS, 5, "1:0,1:2", 7, "1:0", "", "0 7/5 1:0,1:2|"},
        {"1:0", "1:1", MEMBER_UNREVOKED_PARTITIONS, 5, "1:2", 7, "1:0", "", "1 5/5 |1:0"},
        // Others still have a part of what it is to get.
        {"1:0", "", MEMBER_STABLE, 5, "1:0,1:1,1:2", 6, NULL, "1:2", "2 6/5 1:0,1:1|"},
        {"1:0", "", MEMBER_STABLE, 5, "1:0,1:2", 6, NULL, "1:2", "2 6/5 1:0|"},
        {"1:0,1:1", "", MEMBER_UNRELEASED_PARTITIONS, 6, "1:0,1:1,1:2", 6, NULL, "1:2",
         "2 6/6 1:0,1:1|"},
        {"1:0,1:1", "", MEMBER_UNRELEASED_PARTITIONS, 6, "1:0,1:1,1:2", 6, NULL, "",
         "0 6/6 1:0,1:1,1:2|"},
        // The target moved on while it waited.
        {"1:0,1:1", "", MEMBER_UNRELEASED_PARTITIONS, 6, "1:1,1:2", 8, "1:0,1:1", "",
         "1 6/6 1:1|1:0"},
    };
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        assert_string_equal(run(&steps[i]), steps[i].after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_uniform_is_sticky),
        cmocka_unit_test(test_nobody_and_nothing),
        cmocka_unit_test(test_random_groups),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
