// Groups of another type than "consumer": workers of a made-up system, whose leader deals out tasks
// by what the workers say of themselves.
#include "test/client/bed.h"

struct worker {
    struct bed *bed;
    struct group_member *member;
    char says[16];
    char has[64];
    int32_t assigned, rebalances, lost;
    bool has_left;
    enum err error;
    bool divides_later;
    struct group_member_row *rows;
    int32_t row_count;
    struct arena *arena;
};

static struct slice metadata(void *context, struct slice protocol, struct arena *arena) {
    struct worker *w = context;
    return arena_format(arena, "%s by %.*s", w->says, SLICE_PRINT(protocol));
}

static void divide(struct worker *w) {
    for (int32_t i = 0; i < w->row_count; i++) {
        w->rows[i].assignment = arena_format(w->arena, "%d of %d: %.*s", i + 1, w->row_count,
                                             SLICE_PRINT(w->rows[i].metadata));
    }
    w->rows = NULL;
    group_member_assign_done(w->member);
}

static void assign(void *context, struct slice protocol, struct group_member_row *rows,
                   int32_t count, struct arena *arena) {
    struct worker *w = context;
    assert_true(slice_equal_cstring(protocol, "second"));
    w->rows = rows;
    w->row_count = count;
    w->arena = arena;
    if (!w->divides_later) divide(w);
}

static void assigned(void *context, struct slice protocol, struct slice assignment) {
    struct worker *w = context;
    assert_true(slice_equal_cstring(protocol, "second"));
    snprintf(w->has, sizeof w->has, "%.*s", SLICE_PRINT(assignment));
    w->assigned++;
}

static void rebalancing(void *context) {
    struct worker *w = context;
    w->rebalances++;
    w->has[0] = '\0';
    group_member_go_on(w->member);
}

static void failed(void *context, enum err error, const struct message *text) {
    struct worker *w = context;
    assert_true(text->text[0] != '\0');
    w->error = error;
}

static void begin_as(struct worker *w, const char *type, int32_t protocol_count) {
    static const struct slice protocols[] = {SLICE_LITERAL("second"), SLICE_LITERAL("first")};
    struct group_member_options o = group_member_options_default();
    o.group = SLICE_LITERAL("workers");
    o.protocol_type = slice_cstring(type);
    o.protocols = protocols;
    o.protocol_count = protocol_count;
    o.session_timeout_ms = 1500;
    o.rebalance_timeout_ms = 3000;
    o.heartbeat_interval_ms = 200;
    o.metadata = metadata;
    o.assign = assign;
    o.assigned = assigned;
    o.rebalancing = rebalancing;
    o.failed = failed;
    o.context = w;
    struct message error;
    assert_int_equal(group_member_new(w->bed->client, &o, &w->member, &error), ERR_NONE);
}

static void begin(void *context) {
    begin_as(context, "worker", 2);
}

static void begin_with_one(void *context) {
    begin_as(context, "worker", 1);
}

static void begin_as_consumer(void *context) {
    begin_as(context, "consumer", 1);
}

static bool has_work(void *context) {
    const struct worker *w = context;
    return group_member_is_stable(w->member) && w->has[0] != '\0';
}

static bool has_half(void *context) {
    return has_work(context) && strstr(((struct worker *)context)->has, " of 2") != NULL;
}

static bool has_all(void *context) {
    return has_work(context) && strstr(((struct worker *)context)->has, " of 1") != NULL;
}

static bool has_failed(void *context) {
    return ((struct worker *)context)->error != ERR_NONE;
}

static bool divides(void *context) {
    return ((struct worker *)context)->rows != NULL;
}

static void divide_now(void *context) {
    divide(context);
}

static void left(void *context) {
    ((struct worker *)context)->has_left = true;
}

static void leave(void *context) {
    struct worker *w = context;
    group_member_leave(w->member, left, w);
}

static bool has_left(void *context) {
    return ((struct worker *)context)->has_left;
}

static void release(void *context) {
    group_member_free(((struct worker *)context)->member);
}

static void workers_share(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    struct worker a = {.bed = &bed, .says = "ann"}, b = {.bed = &bed, .says = "bob"};
    struct worker c = {.bed = &bed, .says = "eve"};
    a.divides_later = true;
    bed_as(&bed, begin, &a);
    bed_until(&bed, divides, &a, "the leader's turn");
    sim_run(bed.sim, 1000 * MS, NULL);
    assert_int_equal(a.assigned, 0);
    bed_as(&bed, divide_now, &a);
    bed_until(&bed, has_all, &a, "work");
    assert_string_equal(a.has, "1 of 1: ann by second");
    assert_true(group_member_is_leader(a.member));
    a.divides_later = false;
    bed_as(&bed, begin_with_one, &b);
    bed_until(&bed, has_half, &a, "half of the work");
    bed_until(&bed, has_half, &b, "half of the work");
    assert_int_equal(a.rebalances, 1);
    assert_non_null(strstr(b.has, "bob by second"));
    assert_int_equal(group_member_generation(a.member), group_member_generation(b.member));
    // Another type may not join.
    bed_as(&bed, begin_as_consumer, &c);
    bed_until(&bed, has_failed, &c, "a refusal");
    assert_int_equal(c.error, ERR_INCONSISTENT_GROUP_PROTOCOL);
    bed_as(&bed, leave, &b);
    bed_until(&bed, has_left, &b, "the end");
    bed_until(&bed, has_all, &a, "all of the work");
    bed_as(&bed, release, &a);
    bed_as(&bed, release, &b);
    bed_as(&bed, release, &c);
    bed_deinit(&bed);
}

// The broker dies and comes back: the group is the same, and goes on.
static void survives_the_broker(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    struct worker a = {.bed = &bed, .says = "ann"}, b = {.bed = &bed, .says = "bob"};
    bed_as(&bed, begin, &a);
    bed_until(&bed, has_all, &a, "work");
    cluster_kill(&bed.cluster);
    bed_as(&bed, begin, &b);
    bed_until(&bed, has_half, &a, "half of the work");
    bed_until(&bed, has_half, &b, "half of the work");
    assert_int_equal(a.error, ERR_NONE);
    bed_as(&bed, release, &a);
    bed_as(&bed, release, &b);
    bed_deinit(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(workers_share),
                                       cmocka_unit_test(survives_the_broker)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
