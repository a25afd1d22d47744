// Offsets by time, at the ends, of partitions that are not there, and of a broker that is away.
#include "test/client/bed.h"

enum { QUERIES = 7 };

struct lookup {
    struct bed *bed;
    struct offset_query queries[QUERIES];
    struct offset_lookup *lookup;
    uint64_t deadline_ns;
    bool is_done;
};

static void done(void *context) {
    ((struct lookup *)context)->is_done = true;
}

static bool is_done(void *context) {
    return ((struct lookup *)context)->is_done;
}

static void begin(void *context) {
    struct lookup *l = context;
    l->lookup =
        offset_lookup_start(l->bed->client, l->queries, QUERIES, true, l->deadline_ns, done, l);
}

static void cancel(void *context) {
    struct lookup *l = context;
    offset_lookup_cancel(l->lookup);
}

static struct lookup lookup_of(struct bed *bed) {
    struct slice t = SLICE_LITERAL("t");
    return (struct lookup){.bed = bed,
                           .queries = {{.id = {t, 0}, .time = OFFSET_EARLIEST},
                                       {.id = {t, 0}, .time = OFFSET_LATEST},
                                       {.id = {t, 1}, .time = 2500},
                                       {.id = {t, 1}, .time = 1000000000},
                                       {.id = {t, 1}, .time = OFFSET_MAX_TIMESTAMP},
                                       {.id = {t, 2}, .time = OFFSET_LATEST},
                                       {.id = {SLICE_LITERAL("none"), 0}, .time = OFFSET_LATEST}}};
}

static void by_time(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_produce(&bed, "t", 0, 0, 4);
    bed_produce(&bed, "t", 1, 0, 4);
    struct lookup l = lookup_of(&bed);
    l.deadline_ns = sim_now_ns(bed.sim) + 3000 * MS;
    bed_as(&bed, begin, &l);
    assert_false(l.is_done);
    bed_until(&bed, is_done, &l, "offsets");
    const struct offset_query *q = l.queries;
    for (int i = 0; i < 5; i++)
        assert_int_equal(q[i].error, ERR_NONE);
    assert_int_equal(q[0].offset, 0);
    assert_int_equal(q[1].offset, 4);
    assert_int_equal(q[2].offset, 3);
    assert_int_equal(q[2].timestamp, 3000);
    assert_int_equal(q[3].offset, -1);
    assert_int_equal(q[4].offset, 3);
    assert_int_equal(q[5].error, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(q[6].error, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    bed_deinit(&bed);
}

static void a_broker_that_is_away(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_produce(&bed, "t", 0, 0, 4);
    cluster_kill(&bed.cluster);
    struct lookup l = lookup_of(&bed);
    bed_as(&bed, begin, &l);
    bed_until(&bed, is_done, &l, "offsets");
    assert_int_equal(l.queries[1].offset, 4);
    struct lookup late = lookup_of(&bed), cancelled = late;
    sim_network_cut(bed.sim, bed.node, bed.cluster.node);
    late.deadline_ns = sim_now_ns(bed.sim) + 1000 * MS;
    bed_as(&bed, begin, &late);
    bed_as(&bed, begin, &cancelled);
    bed_until(&bed, is_done, &late, "the deadline");
    assert_int_not_equal(late.queries[0].error, ERR_NONE);
    bed_as(&bed, cancel, &cancelled);
    assert_false(cancelled.is_done);
    bed_deinit(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_time),
                                       cmocka_unit_test(a_broker_that_is_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
