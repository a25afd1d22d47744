// A request that visits several reactors: parts run where they should, in order, and home is called
// once when all have finished.
#include "test/test.h"

#include "api/scatter.h"
#include "sim/sim_env.h"

enum { REACTORS = 3, PARTS = 5 };

struct visit {
    struct scatter_part part;
    struct env_timer timer;
    bool waits;
    int ran_on;    // the reactor, plus one
    int sequence;  // among the parts of its reactor
    struct slice made;
};

struct world {
    struct sim *sim;
    struct sim_node *sim_node;
    struct node nodes[REACTORS];
    struct node *table[REACTORS];
    struct scatter scatter;
    struct visit visits[PARTS];
    struct arena arena;
    int on_reactor[REACTORS];
    int gathered;
    bool is_gathered;
    bool waits;
    int rounds;
};

static struct world *the_world;  // the callbacks of a part know their part only

static void finish_later(struct env_timer *timer) {
    scatter_finish(&container_of(timer, struct visit, timer)->part);
}

static void visit_run(struct scatter_part *part) {
    struct visit *v = container_of(part, struct visit, part);
    int32_t reactor = part->node->reactor;
    v->ran_on = reactor + 1;
    v->sequence = the_world->on_reactor[reactor]++;
    v->made = arena_format(part->arena, "made on %d", reactor);
    if (!v->waits) {
        scatter_finish(part);
        return;
    }
    env_timer_init(&v->timer, finish_later);
    env_timer_start(part->node->env, &v->timer, env_now_ns(part->node->env) + 1000000);
}

static void gathered(struct scatter *scatter);

static void scatter_all(void *context) {
    struct world *w = context;
    scatter_init(&w->scatter, &w->nodes[0], gathered);
    for (int i = 0; i < PARTS; i++) {
        w->visits[i].waits = w->waits && i % 2 == 1;
        scatter_start(&w->scatter, &w->visits[i].part, &w->nodes[i % REACTORS], &w->arena,
                      visit_run);
    }
    scatter_seal(&w->scatter);
}

static void gathered(struct scatter *scatter) {
    struct world *w = container_of(scatter, struct world, scatter);
    w->gathered++;
    for (int i = 0; i < PARTS; i++) {
        char expected[20];
        snprintf(expected, sizeof expected, "made on %d", i % REACTORS);
        assert_int_equal(w->visits[i].ran_on, i % REACTORS + 1);
        assert_true(slice_equal_cstring(w->visits[i].made, expected));
    }
    if (--w->rounds > 0) {
        scatter_all(w);
    } else {
        w->is_gathered = true;
    }
}

static void run(bool waits, int rounds) {
    struct world w = {.waits = waits, .rounds = rounds};
    the_world = &w;
    struct sim_options options = {.seed = 3};
    w.sim = sim_new(&options);
    struct sim_node_options node = {.name = "node", .reactors = REACTORS};
    w.sim_node = sim_node_add(w.sim, &node);
    for (int i = 0; i < REACTORS; i++) {
        w.nodes[i].env = sim_node_env(w.sim_node, (uint32_t)i);
        w.nodes[i].reactor = i;
        w.nodes[i].reactor_count = REACTORS;
        w.nodes[i].reactors = w.table;
        w.table[i] = &w.nodes[i];
    }
    for (int i = 0; i < PARTS; i++)
        scatter_part_init(&w.visits[i].part);
    arena_init(&w.arena);
    sim_node_call(w.sim_node, scatter_all, &w);
    assert_true(sim_run(w.sim, UINT64_C(1000000000), &w.is_gathered));
    assert_int_equal(w.gathered, rounds);
    // Parts of one reactor ran in the order of their start.
    assert_true(w.visits[0].sequence < w.visits[3].sequence);
    assert_true(w.visits[1].sequence < w.visits[4].sequence);
    arena_deinit(&w.arena);
    sim_free(w.sim);
}

static void parts_run_on_their_reactors(void **state) {
    (void)state;
    run(false, 1);
}
static void parts_may_take_their_time(void **state) {
    (void)state;
    run(true, 1);
}
static void parts_may_go_again(void **state) {
    (void)state;
    run(true, 4);
}

static void home_only_needs_no_message(void **state) {
    (void)state;
    struct world w = {.rounds = 1};
    the_world = &w;
    w.table[0] = &w.nodes[0];
    w.nodes[0].reactor_count = 1;
    w.nodes[0].reactors = w.table;
    arena_init(&w.arena);
    scatter_part_init(&w.visits[0].part);
    scatter_init(&w.scatter, &w.nodes[0], gathered);
    scatter_start(&w.scatter, &w.visits[0].part, &w.nodes[0], &w.arena, visit_run);
    assert_int_equal(w.visits[0].ran_on, 1);
    assert_int_equal(w.gathered, 0);
    arena_deinit(&w.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_run_on_their_reactors),
        cmocka_unit_test(parts_may_take_their_time),
        cmocka_unit_test(parts_may_go_again),
        cmocka_unit_test(home_only_needs_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
