// The classic protocol: every request in every state, the way of a group through its states, static
// members, what time does to members, failed writes, restarts. After each step a coordinator that
// loads the partition anew holds the same.
#include "test/group/bed.h"

#include "base/memory.h"
#include "base/prng.h"

// ---- Every state × every request ----

enum stage {
    DEAD,        // nobody has asked for it yet
    AWAITED,     // gave out an id
    EMPTY,       // its only member left
    PREPARING,   // waits for more members
    COMPLETING,  // waits for the leader's assignment
    STABLE,
    STAGES,
};

static const char *const stage_names[] = {"dead",      "awaited",    "empty",
                                          "preparing", "completing", "stable"};

// Who a request claims to be.
enum who { NOBODY, MEMBER, PENDING, STRANGER };

struct staged {
    struct bed *bed;
    const char *group;
    struct arena arena;
    const char *member, *pending;
    int32_t generation;
    struct ask join;
};

static void stage_group(struct staged *g, enum stage stage) {
    struct ask ask;
    g->member = g->pending = "gone";
    g->generation = 0;
    if (stage == DEAD) return;
    if (stage != AWAITED) {
        g->member = join_dynamic(g->bed, &g->join, &g->arena, (struct joining){g->group});
        if (stage != PREPARING) {
            bed_wait(g->bed, (JOIN_DELAY_MS + 10) * MS);
            expect(&g->join, ERR_NONE, g->join.out.join.error_code);
            g->generation = g->join.out.join.generation_id;
            assert_int_equal(g->generation, 1);
        }
        if (stage == STABLE) {
            sync_start(
                g->bed, &ask,
                (struct syncing){g->group, g->member, .generation = 1, .members = {g->member}});
            expect(&ask, ERR_NONE, ask.out.sync.error_code);
            ask_free(&ask);
        }
        if (stage == EMPTY) {
            assert_int_equal(leave(g->bed, g->group, g->member, NULL), ERR_NONE);
            g->generation = 2;
        }
    }
    join_start(g->bed, &ask, (struct joining){g->group, ""});
    expect(&ask, ERR_MEMBER_ID_REQUIRED, ask.out.join.error_code);
    g->pending = arena_cstring(&g->arena, ask.out.join.member_id);
    ask_free(&ask);
    static const char *const states[] = {
        "Dead", "Empty", "Empty", "PreparingRebalance", "CompletingRebalance", "Stable"};
    assert_string_equal(bed_state(g->bed, g->group), states[stage]);
}

static const char *name_of(const struct staged *g, enum who who) {
    return who == NOBODY    ? ""
           : who == MEMBER  ? g->member
           : who == PENDING ? g->pending
                            : "stranger";
}

struct request_case {
    enum { JOIN, SYNC, HEARTBEAT, LEAVE, COMMIT, DELETE, DELETE_OFFSET } request;
    const char *name;
    enum who who;
    const char *instance;
    int32_t generation;  // added to the group's; ANY: -1
    const char *type, *protocols;
    int16_t version;
    enum err expected[STAGES];
};

#define UNKNOWN  ERR_UNKNOWN_MEMBER_ID
#define ILLEGAL  ERR_ILLEGAL_GENERATION
#define DIFFERS  ERR_INCONSISTENT_GROUP_PROTOCOL
#define MOVING   ERR_REBALANCE_IN_PROGRESS
#define NOTFOUND ERR_GROUP_ID_NOT_FOUND
#define BUSY     ERR_NON_EMPTY_GROUP
#define NONE     ERR_NONE
// It waits.
#define WAITS ERR_WOULD_BLOCK

static const struct request_case requests[] = {
    // dead, awaited, empty, preparing, completing, stable
    {JOIN, "id asked for", NOBODY,
     .expected = {ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED,
                  ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED}},
    {JOIN, "v3 without id", NOBODY, .version = 3,
     .expected = {WAITS, WAITS, WAITS, WAITS, WAITS, WAITS}},
    {JOIN, "unknown id", STRANGER,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {JOIN, "pending id", PENDING, .expected = {UNKNOWN, WAITS, WAITS, WAITS, WAITS, WAITS}},
    {JOIN, "pending id with an instance", PENDING, "i",
     .expected = {UNKNOWN, ERR_UNKNOWN_SERVER_ERROR, ERR_UNKNOWN_SERVER_ERROR,
                  ERR_UNKNOWN_SERVER_ERROR, ERR_UNKNOWN_SERVER_ERROR, ERR_UNKNOWN_SERVER_ERROR}},
    {JOIN, "member with an instance that is not there", MEMBER, "i",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {JOIN, "another type", NOBODY, .type = "connect",
     .expected = {ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, DIFFERS,
                  DIFFERS, DIFFERS}},
    {JOIN, "no type", NOBODY, .type = "",
     .expected = {DIFFERS, DIFFERS, DIFFERS, DIFFERS, DIFFERS, DIFFERS}},
    {JOIN, "no protocol", NOBODY, .protocols = "",
     .expected = {DIFFERS, DIFFERS, DIFFERS, DIFFERS, DIFFERS, DIFFERS}},
    {JOIN, "another protocol", NOBODY, .protocols = "sticky",
     .expected = {ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, ERR_MEMBER_ID_REQUIRED, DIFFERS,
                  DIFFERS, DIFFERS}},
    {JOIN, "new static member", NOBODY, "i",
     .expected = {WAITS, WAITS, WAITS, WAITS, WAITS, WAITS}},
    {JOIN, "member again", MEMBER, .expected = {UNKNOWN, UNKNOWN, UNKNOWN, WAITS, NONE, WAITS}},
    {SYNC, "member", MEMBER, .expected = {UNKNOWN, UNKNOWN, UNKNOWN, MOVING, NONE, NONE}},
    {SYNC, "unknown id", STRANGER,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {SYNC, "pending id", PENDING,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {SYNC, "older generation", MEMBER, .generation = -1,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL}},
    {SYNC, "later generation", MEMBER, .generation = 1,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL}},
    {SYNC, "another type", MEMBER, .type = "connect",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, DIFFERS, DIFFERS, DIFFERS}},
    {SYNC, "another protocol", MEMBER, .protocols = "sticky",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, MOVING, DIFFERS, DIFFERS}},
    {SYNC, "unknown instance", MEMBER, "i",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {HEARTBEAT, "member", MEMBER, .expected = {UNKNOWN, UNKNOWN, UNKNOWN, MOVING, NONE, NONE}},
    {HEARTBEAT, "unknown id", STRANGER,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {HEARTBEAT, "pending id", PENDING,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {HEARTBEAT, "older generation", MEMBER, .generation = -1,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL}},
    {HEARTBEAT, "unknown instance", MEMBER, "i",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {LEAVE, "member", MEMBER, .expected = {UNKNOWN, UNKNOWN, UNKNOWN, NONE, NONE, NONE}},
    {LEAVE, "pending id", PENDING, .expected = {UNKNOWN, NONE, NONE, NONE, NONE, NONE}},
    {LEAVE, "pending id with an instance", PENDING, "i",
     .expected = {UNKNOWN, NONE, NONE, NONE, NONE, NONE}},
    {LEAVE, "unknown id", STRANGER,
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {LEAVE, "unknown instance alone", NOBODY, "i",
     .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {LEAVE, "nobody", NOBODY, .expected = {UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {COMMIT, "member", MEMBER, .expected = {NOTFOUND, UNKNOWN, UNKNOWN, NONE, MOVING, NONE}},
    {COMMIT, "member v8", MEMBER, .version = 8,
     .expected = {ILLEGAL, UNKNOWN, UNKNOWN, NONE, MOVING, NONE}},
    {COMMIT, "older generation", MEMBER, .generation = -1,
     .expected = {NONE, NONE, UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL}},
    {COMMIT, "no member", NOBODY, .generation = ANY,
     .expected = {NONE, NONE, NONE, UNKNOWN, UNKNOWN, UNKNOWN}},
    {COMMIT, "an instance without generation", NOBODY, "i", .generation = ANY,
     .expected = {NONE, NONE, NONE, UNKNOWN, UNKNOWN, UNKNOWN}},
    {COMMIT, "unknown id", STRANGER,
     .expected = {NOTFOUND, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN}},
    {DELETE, "group", .expected = {NOTFOUND, NONE, NONE, BUSY, BUSY, BUSY}},
    {DELETE_OFFSET, "of a topic that is read", .protocols = "topic",
     .expected = {NOTFOUND, NONE, NONE, ERR_GROUP_SUBSCRIBED_TO_TOPIC,
                  ERR_GROUP_SUBSCRIBED_TO_TOPIC, ERR_GROUP_SUBSCRIBED_TO_TOPIC}},
    {DELETE_OFFSET, "of another topic", .protocols = "other",
     .expected = {NOTFOUND, NONE, NONE, ERR_GROUP_SUBSCRIBED_TO_TOPIC, NONE, NONE}},
};

static enum err ask_and_tell(struct staged *g, const struct request_case *r, struct ask *ask) {
    const char *who = name_of(g, r->who);
    int32_t generation = r->generation == ANY ? -1 : g->generation + r->generation;
    memset(ask, 0, sizeof *ask);
    arena_init(&ask->arena);
    switch (r->request) {
        case JOIN:
            join_start(g->bed, ask,
                       (struct joining){g->group, who, r->instance, r->protocols, r->type,
                                        .version = r->version});
            return ask->done == 0 ? WAITS : (enum err)ask->out.join.error_code;
        case SYNC:
            sync_start(g->bed, ask,
                       (struct syncing){
                           g->group, who, r->instance, generation, r->type, r->protocols, {who}});
            assert_int_equal(ask->done, 1);
            return (enum err)ask->out.sync.error_code;
        case HEARTBEAT:
            return beat(g->bed, g->group, who, r->instance, generation);
        case LEAVE:
            return leave(g->bed, g->group, who, r->instance);
        case COMMIT:
            return commit(g->bed, (struct committing){g->group, who, r->instance, generation,
                                                      .offset = 5, .version = r->version});
        case DELETE:
            return delete_group(g->bed, g->group);
        case DELETE_OFFSET:
            return delete_offset_of(g->bed, g->group, r->protocols, 0);
    }
    return NONE;
}

static void test_every_request_in_every_state(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct bed bed;
        bed_init(&bed);
        struct staged staged[STAGES];
        struct ask asks[STAGES];
        for (int stage = 0; stage < STAGES; stage++) {
            struct staged *g = &staged[stage];
            *g = (struct staged){.bed = &bed, .group = stage_names[stage]};
            arena_init(&g->arena);
            arena_init(&g->join.arena);
            stage_group(g, (enum stage)stage);
            enum err got = ask_and_tell(g, &requests[i], &asks[stage]);
            if (got != requests[i].expected[stage]) {
                fail_msg("request %zu '%s', %s: %s instead of %s", i, requests[i].name,
                         stage_names[stage], err_name(got), err_name(requests[i].expected[stage]));
            }
            bed_check(&bed);
        }
        // Whatever waits is answered in the end, once.
        bed_stop(&bed);
        for (int stage = 0; stage < STAGES; stage++) {
            if (requests[i].request == JOIN || requests[i].request == SYNC)
                assert_int_equal(asks[stage].done, 1);
            ask_free(&asks[stage]);
            arena_deinit(&staged[stage].join.arena);
            arena_deinit(&staged[stage].arena);
        }
        kit_deinit(&bed.kit);
    }
}

// ---- The way of a group ----

static struct bed bed;
static struct arena arena;

static int begin(void **state) {
    (void)state;
    bed_init(&bed);
    arena_init(&arena);
    return 0;
}

static int end(void **state) {
    (void)state;
    bed_deinit(&bed);
    arena_deinit(&arena);
    return 0;
}

static const struct describe_groups_response_group *describe(struct ask *ask, const char *group) {
    ask_init(&bed, ask, API_DESCRIBE_GROUPS, 6, group);
    ask_start(ask);
    assert_int_equal(ask->done, 1);
    return &ask->out.describe;
}

static void test_two_members(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b, d;
    const char *first =
        join_dynamic(&bed, &a, &arena, (struct joining){"g", .protocols = "sticky,range"});
    bed_wait(&bed, SECONDS(2));
    const char *second = join_dynamic(
        &bed, &b, &arena, (struct joining){"g", .protocols = "range,sticky", .topic = "other"});
    bed_check(&bed);
    // A member that came while the group waits makes it wait once more.
    bed_wait(&bed, SECONDS(2));
    assert_int_equal(a.done, 0);
    bed_wait(&bed, SECONDS(2));
    expect(&a, ERR_NONE, a.out.join.error_code);
    expect(&b, ERR_NONE, b.out.join.error_code);
    assert_int_equal(a.out.join.generation_id, 1);
    assert_string_equal(arena_cstring(&arena, a.out.join.leader), first);
    assert_string_equal(arena_cstring(&arena, b.out.join.leader), first);
    assert_int_equal(a.out.join.members_count, 2);
    assert_int_equal(b.out.join.members_count, 0);
    assert_true(slice_equal_cstring(a.out.join.protocol_type, "consumer"));
    // One vote for each: Kafka's hash map of votes has "sticky" before "range".
    const char *protocol = arena_cstring(&arena, a.out.join.protocol_name);
    assert_string_equal(protocol, "sticky");
    assert_true(a.out.join.members[1].metadata.size > 0);
    // Who is not the leader waits for it.
    sync_start(&bed, &sync_b, (struct syncing){"g", second, .generation = 1, .protocol = protocol});
    assert_int_equal(sync_b.done, 0);
    assert_int_equal(describe(&d, "g")->members_count, 2);
    assert_int_equal(d.out.describe.members[0].member_metadata.size, 0);
    assert_true(slice_equal_cstring(d.out.describe.group_state, "CompletingRebalance"));
    ask_free(&d);
    sync_start(&bed, &sync_a,
               (struct syncing){"g", first, .generation = 1, .protocol = protocol,
                                .members = {first, second}});
    expect(&sync_a, ERR_NONE, sync_a.out.sync.error_code);
    expect(&sync_b, ERR_NONE, sync_b.out.sync.error_code);
    assert_true(slice_equal(sync_b.out.sync.assignment, arena_format(&arena, "to %s", second)));
    bed_check(&bed);
    assert_true(slice_equal_cstring(describe(&d, "g")->protocol_data, protocol));
    assert_true(d.out.describe.members[0].member_metadata.size > 0);
    assert_true(d.out.describe.members[0].member_assignment.size > 0);
    ask_free(&d);
    // A restart keeps it, and the members go on.
    bed_restart(&bed);
    assert_int_equal(beat(&bed, "g", first, NULL, 1), ERR_NONE);
    assert_int_equal(beat(&bed, "g", second, NULL, 1), ERR_NONE);
    assert_int_equal(delete_offset_of(&bed, "g", "other", 0), ERR_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(delete_offset_of(&bed, "g", "third", 0), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    // The leader leaves: the other one joins again and leads.
    assert_int_equal(leave(&bed, "g", first, NULL), ERR_NONE);
    assert_int_equal(beat(&bed, "g", second, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    ask_free(&a);
    join_start(&bed, &a, (struct joining){"g", second, .protocols = "range,sticky"});
    expect(&a, ERR_NONE, a.out.join.error_code);
    assert_int_equal(a.out.join.generation_id, 2);
    protocol = arena_cstring(&arena, a.out.join.protocol_name);
    assert_string_equal(joined_id(&a), second);
    assert_int_equal(a.out.join.members_count, 1);
    ask_free(&sync_a);
    sync_start(&bed, &sync_a, (struct syncing){"g", second, .generation = 2, .protocol = protocol});
    expect(&sync_a, ERR_NONE, sync_a.out.sync.error_code);
    // The leader forgot itself: an empty assignment.
    assert_int_equal(sync_a.out.sync.assignment.size, 0);
    assert_int_equal(leave(&bed, "g", second, NULL), ERR_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_check(&bed);
    bed_restart(&bed);
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    assert_int_equal(bed_group(&bed, "g")->classic->generation, 3);
    assert_int_equal(delete_group(&bed, "g"), ERR_NONE);
    assert_string_equal(bed_state(&bed, "g"), "Dead");
    bed_check(&bed);
    ask_free(&a), ask_free(&b), ask_free(&sync_a), ask_free(&sync_b);
}

// Members that join again while nothing changed are told the same; a leader asks for a rebalance.
static void test_join_again(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b, again;
    const char *first = join_dynamic(&bed, &a, &arena, (struct joining){"g"});
    const char *second = join_dynamic(&bed, &b, &arena, (struct joining){"g"});
    bed_wait(&bed, SECONDS(7));
    expect(&b, ERR_NONE, b.out.join.error_code);
    join_start(&bed, &again, (struct joining){"g", first});
    expect(&again, ERR_NONE, again.out.join.error_code);
    assert_int_equal(again.out.join.members_count, 2);
    ask_free(&again);
    sync_start(&bed, &sync_b, (struct syncing){"g", second, .generation = 1});
    sync_start(&bed, &sync_a,
               (struct syncing){"g", first, .generation = 1, .members = {first, second}});
    join_start(&bed, &again, (struct joining){"g", second});
    expect(&again, ERR_NONE, again.out.join.error_code);
    assert_int_equal(again.out.join.generation_id, 1);
    assert_int_equal(again.out.join.members_count, 0);
    ask_free(&again);
    // Other metadata: a rebalance.
    ask_free(&b);
    join_start(&bed, &b, (struct joining){"g", second, .topic = "other"});
    assert_int_equal(b.done, 0);
    assert_int_equal(beat(&bed, "g", first, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    // A second try of the same member takes the place of the first.
    join_start(&bed, &again, (struct joining){"g", second, .topic = "other"});
    expect(&b, ERR_REBALANCE_IN_PROGRESS, b.out.join.error_code);
    ask_free(&a);
    join_start(&bed, &a, (struct joining){"g", first});
    expect(&a, ERR_NONE, a.out.join.error_code);
    expect(&again, ERR_NONE, again.out.join.error_code);
    assert_int_equal(a.out.join.generation_id, 2);
    // New metadata before the assignment came: those who wait for it join again.
    ask_free(&sync_b);
    sync_start(&bed, &sync_b, (struct syncing){"g", second, .generation = 2});
    assert_int_equal(sync_b.done, 0);
    ask_free(&a);
    join_start(&bed, &a, (struct joining){"g", first, .topic = "third"});
    expect(&sync_b, ERR_REBALANCE_IN_PROGRESS, sync_b.out.sync.error_code);
    assert_int_equal(a.done, 0);
    bed_check(&bed);
    // Who does not come back by the end of the rebalance timeout is out (its session would be over
    // sooner: it was restarted by the answer).
    bed_wait(&bed, SECONDS(11));
    expect(&a, ERR_NONE, a.out.join.error_code);
    assert_int_equal(a.out.join.members_count, 1);
    assert_int_equal(beat(&bed, "g", second, NULL, 3), ERR_UNKNOWN_MEMBER_ID);
    ask_free(&a), ask_free(&b), ask_free(&again), ask_free(&sync_a), ask_free(&sync_b);
}

static void test_other_protocol_types(void **state) {
    (void)state;
    const char *id =
        bed_stable(&bed, "g", &arena,
                   (struct joining){.type = "connect", .protocols = "sessioned", .topic = "?"});
    bed_check(&bed);
    // What it reads is not known: its offsets are in use as long as it is.
    assert_int_equal(commit(&bed, (struct committing){"g", id, .generation = 1, .offset = 3}),
                     ERR_NONE);
    assert_int_equal(delete_offset_of(&bed, "g", "topic", 0), ERR_NON_EMPTY_GROUP);
    // A consumer group whose subscription cannot be read may read anything.
    bed_stable(&bed, "h", &arena, (struct joining){.topic = "?"});
    assert_int_equal(delete_offset_of(&bed, "h", "topic", 0), ERR_GROUP_SUBSCRIBED_TO_TOPIC);
    bed_check(&bed);
}

// ---- Time ----

static void test_sessions(void **state) {
    (void)state;
    const char *id = bed_stable(&bed, "g", &arena, (struct joining){0});
    for (int i = 0; i < 5; i++) {
        bed_wait(&bed, SECONDS(8));
        assert_int_equal(beat(&bed, "g", id, NULL, 1), ERR_NONE);
    }
    // A commit is as good as a heartbeat.
    for (int i = 0; i < 3; i++) {
        bed_wait(&bed, SECONDS(8));
        assert_int_equal(commit(&bed, (struct committing){"g", id, .generation = 1, .offset = i}),
                         ERR_NONE);
    }
    bed_wait(&bed, SECONDS(11));
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    assert_int_equal(beat(&bed, "g", id, NULL, 1), ERR_UNKNOWN_MEMBER_ID);
    bed_check(&bed);
    // An id that does not come back is forgotten.
    struct ask ask;
    join_start(&bed, &ask, (struct joining){"h", ""});
    const char *pending = arena_cstring(&arena, ask.out.join.member_id);
    assert_string_equal(bed_state(&bed, "h"), "Empty");
    ask_free(&ask);
    bed_wait(&bed, SECONDS(11));
    assert_string_equal(bed_state(&bed, "h"), "Dead");
    join_start(&bed, &ask, (struct joining){"h", pending});
    expect(&ask, ERR_UNKNOWN_MEMBER_ID, ask.out.join.error_code);
    ask_free(&ask);
    bed_check(&bed);
    // After a restart too.
    id = bed_stable(&bed, "g", &arena, (struct joining){0});
    bed_restart(&bed);
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    bed_wait(&bed, SECONDS(11));
    assert_string_equal(bed_state(&bed, "g"), "Empty");
    bed_check(&bed);
}

// Told of the generation, a member must ask for its assignment.
static void test_sync_is_awaited(void **state) {
    (void)state;
    struct ask a, b, sync_a;
    const char *first =
        join_dynamic(&bed, &a, &arena, (struct joining){"g", .rebalance_ms = 20000});
    const char *second =
        join_dynamic(&bed, &b, &arena, (struct joining){"g", .rebalance_ms = 20000});
    bed_wait(&bed, SECONDS(7));
    sync_start(&bed, &sync_a,
               (struct syncing){"g", first, .generation = 1, .members = {first, second}});
    expect(&sync_a, ERR_NONE, sync_a.out.sync.error_code);
    for (int i = 0; i < 3; i++) {
        bed_wait(&bed, SECONDS(5));
        assert_int_equal(beat(&bed, "g", first, NULL, 1), ERR_NONE);
        assert_int_equal(beat(&bed, "g", second, NULL, 1), ERR_NONE);
    }
    bed_wait(&bed, SECONDS(6));
    assert_int_equal(beat(&bed, "g", second, NULL, 1), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(beat(&bed, "g", first, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    bed_check(&bed);
    ask_free(&a), ask_free(&b), ask_free(&sync_a);
}

static void test_rebalance_timeout(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b, again;
    const char *first = join_dynamic(
        &bed, &a, &arena, (struct joining){"g", .rebalance_ms = 20000, .session_ms = 30000});
    const char *second = join_dynamic(
        &bed, &b, &arena, (struct joining){"g", .rebalance_ms = 20000, .session_ms = 30000});
    bed_wait(&bed, SECONDS(7));
    sync_start(&bed, &sync_b, (struct syncing){"g", second, .generation = 1});
    sync_start(&bed, &sync_a,
               (struct syncing){"g", first, .generation = 1, .members = {first, second}});
    join_start(&bed, &again,
               (struct joining){"g", second, .topic = "other", .rebalance_ms = 20000});
    bed_wait(&bed, SECONDS(19));
    assert_int_equal(again.done, 0);
    assert_int_equal(beat(&bed, "g", first, NULL, 1), ERR_REBALANCE_IN_PROGRESS);
    bed_wait(&bed, SECONDS(2));
    // The leader did not come: the other one leads.
    expect(&again, ERR_NONE, again.out.join.error_code);
    assert_string_equal(arena_cstring(&arena, again.out.join.leader), second);
    assert_int_equal(again.out.join.members_count, 1);
    assert_int_equal(beat(&bed, "g", first, NULL, 2), ERR_UNKNOWN_MEMBER_ID);
    ask_free(&a), ask_free(&b), ask_free(&sync_a), ask_free(&sync_b), ask_free(&again);
}

// ---- Static members ----

static const char *join_static(struct ask *ask, const char *instance, int16_t version) {
    join_start(&bed, ask,
               (struct joining){"g", "", instance, .version = version, .session_ms = 30000,
                                .rebalance_ms = 20000});
    return NULL;
}

static void test_static_members(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b, c;
    join_static(&a, "one", 9);
    join_static(&b, "two", 9);
    bed_wait(&bed, SECONDS(7));
    expect(&a, ERR_NONE, a.out.join.error_code);
    expect(&b, ERR_NONE, b.out.join.error_code);
    const char *one = arena_cstring(&arena, a.out.join.member_id);
    const char *two = arena_cstring(&arena, b.out.join.member_id);
    sync_start(&bed, &sync_b, (struct syncing){"g", two, "two", 1});
    sync_start(&bed, &sync_a, (struct syncing){"g", one, "one", 1, .members = {one, two}});
    expect(&sync_b, ERR_NONE, sync_b.out.sync.error_code);
    bed_check(&bed);
    // It comes back under a new id: no rebalance, the old one is fenced.
    join_static(&c, "two", 9);
    expect(&c, ERR_NONE, c.out.join.error_code);
    assert_int_equal(c.out.join.generation_id, 1);
    assert_int_equal(c.out.join.members_count, 0);
    const char *two_again = arena_cstring(&arena, c.out.join.member_id);
    assert_string_not_equal(two, two_again);
    assert_int_equal(beat(&bed, "g", two, "two", 1), ERR_FENCED_INSTANCE_ID);
    assert_int_equal(beat(&bed, "g", two, NULL, 1), ERR_UNKNOWN_MEMBER_ID);
    assert_int_equal(beat(&bed, "g", two_again, "two", 1), ERR_NONE);
    assert_int_equal(commit(&bed, (struct committing){"g", two, "two", 1, .offset = 1}),
                     ERR_FENCED_INSTANCE_ID);
    assert_int_equal(leave(&bed, "g", two, "two"), ERR_FENCED_INSTANCE_ID);
    ask_free(&sync_b);
    sync_start(&bed, &sync_b, (struct syncing){"g", two, "two", 1});
    expect(&sync_b, ERR_FENCED_INSTANCE_ID, sync_b.out.sync.error_code);
    ask_free(&sync_b);
    sync_start(&bed, &sync_b, (struct syncing){"g", two_again, "two", 1});
    expect(&sync_b, ERR_NONE, sync_b.out.sync.error_code);
    assert_true(slice_equal(sync_b.out.sync.assignment, arena_format(&arena, "to %s", two)));
    ask_free(&c);
    bed_check(&bed);
    // The leader: told not to assign anew (v9), or shown the old leader's id.
    join_static(&c, "one", 9);
    expect(&c, ERR_NONE, c.out.join.error_code);
    assert_true(c.out.join.skip_assignment);
    assert_int_equal(c.out.join.members_count, 2);
    const char *one_again = arena_cstring(&arena, c.out.join.member_id);
    assert_string_equal(arena_cstring(&arena, c.out.join.leader), one_again);
    ask_free(&c);
    join_static(&c, "one", 8);
    expect(&c, ERR_NONE, c.out.join.error_code);
    assert_false(c.out.join.skip_assignment);
    assert_int_equal(c.out.join.members_count, 0);
    assert_string_equal(arena_cstring(&arena, c.out.join.leader), one_again);
    one = arena_cstring(&arena, c.out.join.member_id);
    assert_string_not_equal(one, one_again);
    ask_free(&c);
    bed_check(&bed);
    // A restart of the coordinator keeps instances.
    bed_restart(&bed);
    assert_int_equal(beat(&bed, "g", one_again, "one", 1), ERR_FENCED_INSTANCE_ID);
    assert_int_equal(beat(&bed, "g", one, "one", 1), ERR_NONE);
    // While it is away a rebalance goes on without it, but it stays a member; its session runs
    // anew.
    join_start(&bed, &c,
               (struct joining){"g", one, "one", .topic = "other", .session_ms = 30000,
                                .rebalance_ms = 20000});
    assert_int_equal(c.done, 0);
    bed_wait(&bed, SECONDS(21));
    expect(&c, ERR_NONE, c.out.join.error_code);
    assert_int_equal(c.out.join.members_count, 2);
    ask_free(&sync_a);
    sync_start(&bed, &sync_a, (struct syncing){"g", one, "one", 2, .members = {one, two_again}});
    expect(&sync_a, ERR_NONE, sync_a.out.sync.error_code);
    bed_check(&bed);
    // An administrator removes an instance.
    assert_int_equal(leave(&bed, "g", "", "two"), ERR_NONE);
    assert_int_equal(leave(&bed, "g", "", "two"), ERR_UNKNOWN_MEMBER_ID);
    assert_string_equal(bed_state(&bed, "g"), "PreparingRebalance");
    ask_free(&a), ask_free(&b), ask_free(&c), ask_free(&sync_a), ask_free(&sync_b);
}

// Replaced while it waits: the older request ends, the newer one goes on.
static void test_static_member_is_replaced_while_it_waits(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b;
    join_static(&a, "one", 9);
    join_static(&b, "one", 9);
    expect(&a, ERR_FENCED_INSTANCE_ID, a.out.join.error_code);
    assert_true(a.out.join.member_id.size > 0);
    assert_int_equal(b.done, 0);
    bed_check(&bed);
    bed_wait(&bed, SECONDS(7));
    expect(&b, ERR_NONE, b.out.join.error_code);
    const char *one = arena_cstring(&arena, b.out.join.member_id);
    ask_free(&a);
    join_static(&a, "two", 9);
    assert_int_equal(a.done, 0);
    ask_free(&b);
    join_start(&bed, &b,
               (struct joining){"g", one, "one", .session_ms = 30000, .rebalance_ms = 20000});
    expect(&a, ERR_NONE, a.out.join.error_code);
    expect(&b, ERR_NONE, b.out.join.error_code);
    const char *two = arena_cstring(&arena, a.out.join.member_id);
    // Waits for the assignment, and is replaced: everybody joins again.
    sync_start(&bed, &sync_b, (struct syncing){"g", two, "two", 2});
    assert_int_equal(sync_b.done, 0);
    ask_free(&a);
    join_static(&a, "two", 9);
    expect(&sync_b, ERR_FENCED_INSTANCE_ID, sync_b.out.sync.error_code);
    assert_int_equal(a.done, 0);
    sync_start(&bed, &sync_a, (struct syncing){"g", one, "one", 2, .members = {one}});
    expect(&sync_a, ERR_REBALANCE_IN_PROGRESS, sync_a.out.sync.error_code);
    bed_check(&bed);
    bed_wait(&bed, SECONDS(21));
    expect(&a, ERR_NONE, a.out.join.error_code);
    ask_free(&a), ask_free(&b), ask_free(&sync_a), ask_free(&sync_b);
}

// ---- Limits ----

static void test_size_limit(void **state) {
    (void)state;
    static const char *const settings[] = {"group.max.size=2", NULL};
    struct bed *b = &bed;
    bed_deinit(b);
    bed_init_with(b, settings);
    struct ask asks[3];
    for (int i = 0; i < 3; i++)
        join_start(b, &asks[i], (struct joining){"g", "", .version = 3});
    expect(&asks[2], ERR_GROUP_MAX_SIZE_REACHED, asks[2].out.join.error_code);
    bed_wait(b, SECONDS(7));
    expect(&asks[0], ERR_NONE, asks[0].out.join.error_code);
    expect(&asks[1], ERR_NONE, asks[1].out.join.error_code);
    ask_free(&asks[2]);
    join_start(b, &asks[2], (struct joining){"g", "", .version = 3});
    expect(&asks[2], ERR_GROUP_MAX_SIZE_REACHED, asks[2].out.join.error_code);
    bed_check(b);
    for (int i = 0; i < 3; i++)
        ask_free(&asks[i]);
}

static void test_session_limits(void **state) {
    (void)state;
    static const struct {
        int32_t ms;
        enum err expected;
    } cases[] = {{5999, ERR_INVALID_SESSION_TIMEOUT},
                 {6000, ERR_MEMBER_ID_REQUIRED},
                 {1800000, ERR_MEMBER_ID_REQUIRED},
                 {1800001, ERR_INVALID_SESSION_TIMEOUT}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ask ask;
        join_start(&bed, &ask, (struct joining){"g", "", .session_ms = cases[i].ms});
        expect(&ask, cases[i].expected, ask.out.join.error_code);
        ask_free(&ask);
    }
}

// ---- Failed writes ----

// The disk fails under the leader's assignment: nobody hangs, nobody is told of it as done.
static void test_assignment_is_not_written(void **state) {
    (void)state;
    struct ask a, b, sync_a, sync_b;
    const char *first = join_dynamic(&bed, &a, &arena, (struct joining){"g"});
    const char *second = join_dynamic(&bed, &b, &arena, (struct joining){"g"});
    bed_wait(&bed, SECONDS(7));
    sync_start(&bed, &sync_b, (struct syncing){"g", second, .generation = 1});
    sim_disk_fail(bed.kit.node, SIM_FAULT_WRITE, 1);
    sync_start(&bed, &sync_a,
               (struct syncing){"g", first, .generation = 1, .members = {first, second}});
    sim_settle(bed.kit.sim, 100 * MS);
    assert_int_equal(sync_a.done, 1);
    assert_int_equal(sync_b.done, 1);
    assert_true(sync_a.result != ERR_NONE || sync_a.out.sync.error_code != 0);
    assert_true(sync_b.result != ERR_NONE || sync_b.out.sync.error_code != 0);
    ask_free(&a), ask_free(&b), ask_free(&sync_a), ask_free(&sync_b);
    // The partition's directory is gone with the disk.
    arena_deinit(&arena);
    kit_deinit(&bed.kit);
    begin(NULL);
}

// ---- Anything, in any order ----

enum { CLIENTS = 6, STEPS = 400 };

struct client {
    struct ask ask;
    bool is_asking;
    const char *instance;
    char id[80];
    int32_t generation;
    bool leads;
    char members[4][80];
};

static void note_joined(struct client *c) {
    const struct join_group_response *out = &c->ask.out.join;
    if (c->ask.result != ERR_NONE) return;
    if (out->error_code == 0 || out->error_code == ERR_MEMBER_ID_REQUIRED) {
        snprintf(c->id, sizeof c->id, "%.*s", SLICE_PRINT(out->member_id));
        c->generation = out->generation_id;
        c->leads = slice_equal(out->leader, out->member_id);
        memset(c->members, 0, sizeof c->members);
        for (int32_t i = 0; i < out->members_count && i < 4; i++)
            snprintf(c->members[i], 80, "%.*s", SLICE_PRINT(out->members[i].member_id));
    } else {
        c->id[0] = '\0';
    }
}

static void collect(struct client *c) {
    if (!c->is_asking || c->ask.done == 0) return;
    assert_int_equal(c->ask.done, 1);
    if (c->ask.call.api == API_JOIN_GROUP) note_joined(c);
    c->is_asking = false;
    ask_free(&c->ask);
}

static void client_step(struct prng *prng, struct client *c) {
    static const char *const groups[] = {"a", "b"};
    const char *group = groups[0];
    switch (prng_below(prng, 8)) {
        case 0:
        case 1:
        case 2: {
            if (c->is_asking) return;
            static const char *const protocols[] = {"range", "range,sticky", "sticky,range"};
            static const char *const topics[] = {"topic", "other"};
            c->is_asking = true;
            join_start(
                &bed, &c->ask,
                (struct joining){group, c->id, c->instance, protocols[prng_below(prng, 3)],
                                 .topic = topics[prng_below(prng, 2)],
                                 .version = c->instance == NULL && prng_below(prng, 4) == 0 ? 3 : 9,
                                 .rebalance_ms = 15000});
            break;
        }
        case 3:
        case 4:
            if (c->is_asking) return;
            c->is_asking = true;
            sync_start(
                &bed, &c->ask,
                (struct syncing){group, c->id, c->instance, c->generation,
                                 .protocol = prng_below(prng, 2) == 0 ? "range" : "sticky",
                                 .members = {c->leads && c->members[0][0] ? c->members[0] : NULL,
                                             c->leads && c->members[1][0] ? c->members[1] : NULL}});
            break;
        case 5:
            beat(&bed, group, c->id, c->instance, c->generation);
            break;
        case 6:
            if (prng_below(prng, 3) == 0 && !c->is_asking) leave(&bed, group, c->id, c->instance);
            break;
        case 7:
            commit(&bed, (struct committing){group, c->id, c->instance, c->generation,
                                             .offset = (int64_t)prng_below(prng, 100)});
            break;
        default:
            break;
    }
}

static void test_anything(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct client clients[CLIENTS] = {0};
        clients[0].instance = "one";
        clients[1].instance = "one";
        clients[2].instance = "two";
        for (int step = 0; step < STEPS; step++) {
            client_step(&prng, &clients[prng_below(&prng, CLIENTS)]);
            if (prng_below(&prng, 4) == 0) bed_wait(&bed, prng_below(&prng, 8000) * MS);
            for (int i = 0; i < CLIENTS; i++)
                collect(&clients[i]);
            if (prng_below(&prng, 60) == 0) delete_group(&bed, "a");
            if (prng_below(&prng, 100) == 0) {
                bed_restart(&bed);
                for (int i = 0; i < CLIENTS; i++)
                    collect(&clients[i]);
            }
            bed_check(&bed);
        }
        // In the end nobody waits and nobody is left.
        bed_wait(&bed, SECONDS(400));
        for (int i = 0; i < CLIENTS; i++) {
            collect(&clients[i]);
            assert_false(clients[i].is_asking);
        }
        assert_true(classic_is_empty(bed_group(&bed, "a")) || bed_group(&bed, "a") == NULL);
        bed_check(&bed);
    }
}

// ---- A large group ----

enum { LARGE = 7000 };

static void start_all(void *context) {
    struct ask *asks = context;
    for (int i = 0; i < LARGE; i++)
        group_call_start(asks[i].bed->coordinator, &asks[i].call);
}

// Thousands of members join and get their assignment, in a time that is not that of their square.
static void test_large_group(void **state) {
    (void)state;
    struct ask *asks = memory_zalloc(LARGE, sizeof *asks), sync;
    for (int i = 0; i < LARGE; i++) {
        ask_init(&bed, &asks[i], API_JOIN_GROUP, 3, "g");
        codec_init(&join_group_request_codec, &asks[i].in.join);
        codec_init(&join_group_response_codec, &asks[i].out.join);
        struct join_group_request *m = &asks[i].in.join;
        m->protocol_type = SLICE_LITERAL("consumer");
        m->session_timeout_ms = m->rebalance_timeout_ms = 60000;
        m->protocols = join_group_request_protocol_new(&asks[i].arena, 1);
        m->protocols_count = 1;
        m->protocols[0].name = SLICE_LITERAL("range");
        m->protocols[0].metadata = subscription(&asks[i].arena, "topic");
    }
    sim_node_call(bed.kit.node, start_all, asks);
    bed_wait(&bed, 4 * JOIN_DELAY_MS * MS);
    struct ask *leader = NULL;
    for (int i = 0; i < LARGE; i++) {
        expect(&asks[i], ERR_NONE, asks[i].out.join.error_code);
        assert_int_equal(asks[i].out.join.generation_id, 1);
        if (asks[i].out.join.members_count > 0) leader = &asks[i];
    }
    assert_int_equal(leader->out.join.members_count, LARGE);
    ask_init(&bed, &sync, API_SYNC_GROUP, 5, "g");
    codec_init(&sync_group_request_codec, &sync.in.sync);
    codec_init(&sync_group_response_codec, &sync.out.sync);
    sync.in.sync.member_id = leader->out.join.member_id;
    sync.in.sync.generation_id = 1;
    sync.in.sync.assignments = sync_group_request_assignment_new(&sync.arena, LARGE);
    sync.in.sync.assignments_count = LARGE;
    for (int i = 0; i < LARGE; i++) {
        sync.in.sync.assignments[i].member_id = asks[i].out.join.member_id;
        sync.in.sync.assignments[i].assignment = asks[i].out.join.member_id;
    }
    ask_start(&sync);
    expect(&sync, ERR_NONE, sync.out.sync.error_code);
    assert_true(slice_equal(sync.out.sync.assignment, leader->out.join.member_id));
    assert_string_equal(bed_state(&bed, "g"), "Stable");
    ask_free(&sync);
    bed_check(&bed);
    for (int i = 0; i < LARGE; i++)
        ask_free(&asks[i]);
    memory_free(asks);
}

#define STEP(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_request_in_every_state),
        STEP(test_two_members),
        STEP(test_join_again),
        STEP(test_other_protocol_types),
        STEP(test_sessions),
        STEP(test_sync_is_awaited),
        STEP(test_rebalance_timeout),
        STEP(test_static_members),
        STEP(test_static_member_is_replaced_while_it_waits),
        STEP(test_size_limit),
        STEP(test_session_limits),
        STEP(test_large_group),
        STEP(test_assignment_is_not_written),
        STEP(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
