// Members of consumer groups against a real broker, by both protocols.
#include "test/client/bed.h"

#include "base/memory.h"

enum { PARTITIONS_MAX = 8 };

struct member {
    struct bed *bed;
    struct group_consumer *g;
    struct group_consumer_options options;
    struct slice topics[2];
    enum assignor assignor;
    enum err error;
    char error_text[MESSAGE_MAX];
    int32_t read;                  // records
    int32_t next[PARTITIONS_MAX];  // of topic "t": the value that must come next; -1: any
    int32_t given, taken, lost;    // partitions, by callbacks
    bool holds;                    // reads nothing
    bool commits_when_revoked;
    bool is_closed;
    int64_t committed[PARTITIONS_MAX];
    bool has_committed;
};

// ---- A member ----

static void was_assigned(void *context, const struct topic_partition *list, int32_t count) {
    struct member *m = context;
    (void)list;
    m->given += count;
}

static void was_revoked(void *context, const struct topic_partition *list, int32_t count,
                        bool lost) {
    struct member *m = context;
    (void)list;
    if (lost) {
        m->lost += count;
    } else {
        m->taken += count;
        if (!m->commits_when_revoked) return;
        enum err e = group_consumer_commit(m->g, NULL, NULL);
        assert_true(e == ERR_NONE || e == ERR_NOT_FOUND);
    }
}

static struct member member_of(struct bed *bed, enum group_protocol protocol, const char *group) {
    struct member m = {.bed = bed, .assignor = ASSIGNOR_RANGE, .topics = {SLICE_LITERAL("t")}};
    m.options = group_consumer_options_default();
    m.options.protocol = protocol;
    m.options.group = slice_cstring(group);
    m.options.topic_count = 1;
    m.options.session_timeout_ms = 1500;
    m.options.heartbeat_interval_ms = 200;
    m.options.rebalance_timeout_ms = 5000;
    m.options.auto_commit_interval_ms = 100000;
    m.options.reset = OFFSET_EARLIEST;
    m.options.assigned = was_assigned;
    m.options.revoked = was_revoked;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        m.next[i] = -1;
    return m;
}

static void begin(void *context) {
    struct member *m = context;
    m->options.topics = m->topics;
    m->options.assignors = &m->assignor;
    m->options.assignor_count = 1;
    m->options.context = m;
    struct message error;
    message_init(&error);
    if (group_consumer_new(m->bed->client, &m->options, &m->g, &error) != ERR_NONE) {
        fail_msg("%s", error.text);
    }
}

static void start(struct member *m) {
    bed_as(m->bed, begin, m);
}

static void read_all(void *context) {
    struct member *m = context;
    struct consumer_record record;
    struct message error;
    while (!m->holds) {
        enum err e = group_consumer_next(m->g, &record, &error);
        if (e == ERR_WOULD_BLOCK) return;
        if (e != ERR_NONE) {
            m->error = e;
            snprintf(m->error_text, sizeof m->error_text, "%s", error.text);
            return;
        }
        m->read++;
        if (!slice_equal_cstring(record.topic, "t")) continue;
        int64_t value;
        assert_true(slice_parse_int64(record.record.value, &value));
        int32_t *next = &m->next[record.partition];
        if (*next >= 0) assert_int_equal(value, *next);
        *next = (int32_t)value + 1;
    }
}

static bool is_stable_with(const struct member *m, int32_t count) {
    return m->g != NULL && group_consumer_is_stable(m->g) &&
           group_consumer_assignment_count(m->g) == count;
}

struct wait {
    struct member *a, *b;
    int32_t a_count, b_count, read;
};

static bool reads(void *context) {
    struct wait *w = context;
    bed_as(w->a->bed, read_all, w->a);
    if (w->b != NULL && w->b->g != NULL) bed_as(w->b->bed, read_all, w->b);
    return w->a->read + (w->b == NULL ? 0 : w->b->read) >= w->read;
}

static bool settle(void *context) {
    struct wait *w = context;
    (void)reads(w);
    if (w->a->error != ERR_NONE) fail_msg("%s", w->a->error_text);
    return is_stable_with(w->a, w->a_count) && (w->b == NULL || is_stable_with(w->b, w->b_count));
}

static void until_stable(struct member *a, int32_t a_count, struct member *b, int32_t b_count) {
    struct wait w = {a, b, a_count, b_count, 0};
    bed_until(a->bed, settle, &w, "a stable group");
}

static void until_read(struct member *a, struct member *b, int32_t count) {
    struct wait w = {a, b, 0, 0, count};
    bed_until(a->bed, reads, &w, "records");
}

static bool has_failed(void *context) {
    struct wait w = {context, NULL, 0, 0, 0};
    (void)reads(&w);
    return w.a->error != ERR_NONE;
}

static void closed(void *context) {
    ((struct member *)context)->is_closed = true;
}

static void begin_closing(void *context) {
    struct member *m = context;
    group_consumer_close(m->g, closed, m);
}

static bool is_closed(void *context) {
    return ((struct member *)context)->is_closed;
}

static void free_member(void *context) {
    struct member *m = context;
    group_consumer_free(m->g);
    m->g = NULL;
}

static void finish(struct member *m) {
    bed_as(m->bed, begin_closing, m);
    bed_until(m->bed, is_closed, m, "the end of closing");
    bed_as(m->bed, free_member, m);
    m->is_closed = false;
}

static void told_committed(void *context, enum err result, const struct group_offset *offsets,
                           int32_t count) {
    struct member *m = context;
    assert_int_equal(result, ERR_NONE);
    for (int32_t i = 0; i < count; i++)
        m->committed[offsets[i].id.partition] = offsets[i].offset;
    m->has_committed = true;
}

static void ask_committed(void *context) {
    struct member *m = context;
    struct topic_partition ids[PARTITIONS_MAX];
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        ids[i] = (struct topic_partition){SLICE_LITERAL("t"), i};
    m->has_committed = false;
    group_consumer_committed(m->g, ids, PARTITIONS_MAX, told_committed, m);
}

static bool knows_committed(void *context) {
    return ((struct member *)context)->has_committed;
}

static const int64_t *committed(struct member *m) {
    bed_as(m->bed, ask_committed, m);
    bed_until(m->bed, knows_committed, m, "committed offsets");
    return m->committed;
}

// ---- Tests, each by both protocols ----

static enum group_protocol protocol_of(void **state) {
    return *(const enum group_protocol *)*state;
}

// Two share, one leaves with a commit, the other has all; nothing is read twice.
static void shares_and_commits(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 4);
    for (int32_t p = 0; p < 4; p++)
        bed_produce(&bed, "t", p, 0, 10);
    struct member a = member_of(&bed, protocol_of(state), "g"), b = a;
    start(&a);
    until_stable(&a, 4, NULL, 0);
    until_read(&a, NULL, 40);
    assert_int_equal(a.given, 4);
    start(&b);
    until_stable(&a, 2, &b, 2);
    assert_true(a.taken >= 2);
    for (int32_t p = 0; p < 4; p++)
        bed_produce(&bed, "t", p, 10, 10);
    until_read(&a, &b, 80);
    assert_int_equal(b.read, 20);
    finish(&a);
    until_stable(&b, 4, NULL, 0);
    for (int32_t p = 0; p < 4; p++)
        bed_produce(&bed, "t", p, 20, 1);
    until_read(&b, NULL, 24);
    assert_int_equal(b.error, ERR_NONE);
    finish(&b);
    struct member c = member_of(&bed, protocol_of(state), "g");
    start(&c);
    until_stable(&c, 4, NULL, 0);
    for (int32_t p = 0; p < 4; p++)
        assert_int_equal(committed(&c)[p], 21);
    assert_int_equal(c.read, 0);
    finish(&c);
    bed_deinit(&bed);
}

// Without automatic commits, a commit begun in the callback is in before the other one has it.
static void commits_when_revoked(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_produce(&bed, "t", 0, 0, 5);
    bed_produce(&bed, "t", 1, 0, 5);
    struct member a = member_of(&bed, protocol_of(state), "g"), b = a;
    a.options.auto_commit = b.options.auto_commit = false;
    a.commits_when_revoked = true;
    start(&a);
    until_read(&a, NULL, 10);
    start(&b);
    until_stable(&a, 1, &b, 1);
    assert_int_equal(b.read, 0);
    finish(&a);
    finish(&b);
    bed_deinit(&bed);
}

static void subscribe_other(void *context) {
    struct member *m = context;
    struct message error;
    assert_int_equal(group_consumer_subscribe(m->g, &SLICE_LITERAL("other"), 1, &error), ERR_NONE);
}

static void pattern_follows_topics(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_topic(&bed, "other", 1);
    struct member m = member_of(&bed, protocol_of(state), "g");
    m.options.topic_count = 0;
    m.options.pattern = SLICE_LITERAL("t[0-9]*");
    start(&m);
    until_stable(&m, 2, NULL, 0);
    bed_topic(&bed, "t2", 3);
    bed_produce(&bed, "t2", 2, 0, 1);
    until_stable(&m, 5, NULL, 0);
    until_read(&m, NULL, 1);
    bed_as(&bed, subscribe_other, &m);
    until_stable(&m, 1, NULL, 0);
    assert_true(slice_equal_cstring(group_consumer_assignment(m.g, 0).topic, "other"));
    finish(&m);
    bed_deinit(&bed);
}

static void seek_back(void *context) {
    struct member *m = context;
    struct slice t = SLICE_LITERAL("t");
    m->next[0] = 7;
    m->next[1] = 3;
    m->next[2] = -1;
    assert_int_equal(group_consumer_seek(m->g, t, 0, 7), ERR_NONE);
    assert_int_equal(group_consumer_seek_time(m->g, t, 1, 2500), ERR_NONE);
    assert_int_equal(group_consumer_seek(m->g, t, 2, OFFSET_LATEST), ERR_NONE);
    assert_int_equal(group_consumer_seek(m->g, t, 9, 0), ERR_NOT_FOUND);
}

static void pause_first(void *context) {
    struct member *m = context;
    assert_int_equal(group_consumer_pause(m->g, SLICE_LITERAL("t"), 0, true), ERR_NONE);
}

static void resume_first(void *context) {
    struct member *m = context;
    assert_int_equal(group_consumer_pause(m->g, SLICE_LITERAL("t"), 0, false), ERR_NONE);
}

static void commit_by_hand(void *context) {
    struct member *m = context;
    struct group_offset o = {{SLICE_LITERAL("t"), 2}, 4, -1, SLICE_LITERAL("mine")};
    assert_int_equal(group_consumer_commit_offsets(m->g, &o, 1, NULL, NULL), ERR_NONE);
}

static void seeks_and_pauses(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 3);
    for (int32_t p = 0; p < 3; p++)
        bed_produce(&bed, "t", p, 0, 10);
    struct member m = member_of(&bed, protocol_of(state), "g");
    start(&m);
    until_read(&m, NULL, 30);
    bed_as(&bed, seek_back, &m);
    until_read(&m, NULL, 30 + 3 + 7);
    assert_int_equal(m.next[0], 10);
    assert_int_equal(m.next[1], 10);
    bed_as(&bed, pause_first, &m);
    bed_produce(&bed, "t", 0, 10, 1);
    bed_produce(&bed, "t", 1, 10, 1);
    until_read(&m, NULL, 41);
    assert_int_equal(m.next[0], 10);
    assert_int_equal(m.next[1], 11);
    bed_as(&bed, resume_first, &m);
    until_read(&m, NULL, 42);
    assert_int_equal(consumer_lag(group_consumer_reader(m.g), SLICE_LITERAL("t"), 0), 0);
    bed_as(&bed, commit_by_hand, &m);
    assert_int_equal(committed(&m)[2], 4);
    assert_int_equal(m.committed[3], -1);
    finish(&m);
    bed_deinit(&bed);
}

static bool has_lost(void *context) {
    return ((struct member *)context)->lost > 0;
}

// Cut off for longer than its session, a member loses everything, and comes back as if new.
static void is_forgotten_and_comes_back(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    struct member m = member_of(&bed, protocol_of(state), "g");
    start(&m);
    until_stable(&m, 2, NULL, 0);
    sim_network_cut(bed.sim, bed.node, bed.cluster.node);
    sim_run(bed.sim, 4000 * MS, NULL);
    sim_network_heal(bed.sim);
    bed_until(&bed, has_lost, &m, "the loss");
    assert_int_equal(m.lost, 2);
    until_stable(&m, 2, NULL, 0);
    bed_produce(&bed, "t", 1, 0, 3);
    until_read(&m, NULL, 3);
    finish(&m);
    bed_deinit(&bed);
}

// A static member that stops finds its partitions again; a second one of the same name is an error
// of one of the two.
static void static_member(void **state) {
    enum group_protocol protocol = protocol_of(state);
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    struct member a = member_of(&bed, protocol, "g"), b = a, again = a;
    a.options.instance_id = again.options.instance_id = SLICE_LITERAL("one");
    start(&a);
    start(&b);
    until_stable(&a, 1, &b, 1);
    int32_t partition = group_consumer_assignment(a.g, 0).partition, taken = b.taken;
    finish(&a);
    start(&again);
    until_stable(&again, 1, &b, 1);
    assert_int_equal(group_consumer_assignment(again.g, 0).partition, partition);
    assert_int_equal(b.taken, taken);
    struct member twin = member_of(&bed, protocol, "g");
    twin.options.instance_id = SLICE_LITERAL("one");
    start(&twin);
    if (protocol == GROUP_CONSUMER) {
        bed_until(&bed, has_failed, &twin, "the twin's error");
        assert_int_equal(twin.error, ERR_UNRELEASED_INSTANCE_ID);
    } else {
        bed_until(&bed, has_failed, &again, "the error of the one that is replaced");
        assert_int_equal(again.error, ERR_FENCED_INSTANCE_ID);
    }
    finish(&b);
    bed_as(&bed, free_member, &twin);
    bed_as(&bed, free_member, &again);
    bed_deinit(&bed);
}

static void let_go(void *context) {
    group_consumer_yield(((struct member *)context)->g);
}

static bool is_asked;
static void ask_to_let_go(void *context) {
    (void)context;
    is_asked = true;
}

static bool was_asked(void *context) {
    struct wait w = {context, NULL, 0, 0, 0};
    (void)reads(&w);
    return is_asked;
}

// With `revoking` nothing is taken until the member lets go, and only what it marked is committed.
static void yields_and_marks(void **state) {
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 2);
    bed_produce(&bed, "t", 0, 0, 5);
    bed_produce(&bed, "t", 1, 0, 5);
    struct member a = member_of(&bed, protocol_of(state), "g"), b = a;
    is_asked = false;
    a.options.revoking = ask_to_let_go;
    start(&a);
    until_read(&a, NULL, 10);
    group_consumer_mark(a.g, SLICE_LITERAL("t"), 0, 3);
    group_consumer_mark(a.g, SLICE_LITERAL("t"), 1, 3);
    start(&b);
    bed_until(&bed, was_asked, &a, "the question");
    sim_run(bed.sim, 1000 * MS, NULL);
    assert_int_equal(a.taken, 0);
    bed_as(&bed, let_go, &a);
    until_stable(&a, 1, &b, 1);
    until_read(&b, NULL, 2);
    finish(&b);
    finish(&a);
    bed_deinit(&bed);
}

static void options_that_make_no_sense(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    struct message error;
    struct group_consumer *g = NULL;
    struct group_consumer_options o = group_consumer_options_default();
    assert_int_equal(group_consumer_new(bed.client, &o, &g, &error), ERR_INVALID);
    o.group = SLICE_LITERAL("g");
    assert_int_equal(group_consumer_new(bed.client, &o, &g, &error), ERR_INVALID);
    o.pattern = SLICE_LITERAL("(");
    assert_int_equal(group_consumer_new(bed.client, &o, &g, &error), ERR_INVALID);
    enum assignor mixed[] = {ASSIGNOR_RANGE, ASSIGNOR_COOPERATIVE_STICKY};
    o.pattern = SLICE_LITERAL(".*");
    o.assignors = mixed;
    o.assignor_count = 2;
    assert_int_equal(group_consumer_new(bed.client, &o, &g, &error), ERR_INVALID);
    assert_null(g);
    bed_deinit(&bed);
}

// Cooperative: what stays is read on during the rebalance.
static void cooperative_keeps(void **state) {
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_topic(&bed, "t", 4);
    struct member a = member_of(&bed, GROUP_CLASSIC, "g"), b = a;
    a.assignor = b.assignor = ASSIGNOR_COOPERATIVE_STICKY;
    start(&a);
    until_stable(&a, 4, NULL, 0);
    start(&b);
    until_stable(&a, 2, &b, 2);
    assert_int_equal(a.taken, 2);
    finish(&b);
    until_stable(&a, 4, NULL, 0);
    assert_int_equal(a.taken, 2);
    finish(&a);
    bed_deinit(&bed);
}

int main(void) {
    static enum group_protocol protocols[] = {GROUP_CLASSIC, GROUP_CONSUMER};
#define BOTH(test)                                          \
    {#test ", classic", test, NULL, NULL, &protocols[0]}, { \
#test ", KIP-848", test, NULL, NULL, &protocols[1]  \
    }
    const struct CMUnitTest tests[] = {
        BOTH(shares_and_commits),
        BOTH(commits_when_revoked),
        BOTH(pattern_follows_topics),
        BOTH(seeks_and_pauses),
        BOTH(is_forgotten_and_comes_back),
        BOTH(static_member),
        BOTH(yields_and_marks),
        cmocka_unit_test(cooperative_keeps),
        cmocka_unit_test(options_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
