// The simulation as a test: every scenario with a few seeds, the same seed twice, and every mutant
// caught. More seeds: build/dev/simulate.
#include "test/test.h"

#include "sim/run.h"

#define SEEDS 5

static struct run_result run(const char *name, uint64_t seed, enum mutant mutant) {
    struct run_options options = {.scenario = scenario_find(name),
                                  .seed = seed,
                                  .mutant = mutant,
                                  .log = mutant == MUTANT_NONE ? stderr : NULL};
    struct run_result result;
    assert_non_null(options.scenario);
    run_scenario(&options, &result);
    if (result.failed && mutant == MUTANT_NONE) {
        print_error("%s\nreplay: build/dev/simulate --scenario %s --seed %llu --verbose\n",
                    result.violation, name, (unsigned long long)seed);
    }
    return result;
}

// Runs count only if their faults really came and their clients really worked.
// Returns what happened in the world.
static struct sim_counts scenario_keeps_its_promises(const struct scenario *scenario) {
    struct run_result all = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run_result r = run(scenario->name, seed, MUTANT_NONE);
        assert_false(r.failed);
        assert_true(r.ledger.acked > 0 && r.ledger.seen > r.ledger.acked / 2);
        all.faults += r.faults;
        all.starts += r.starts;
        all.ledger.acked += r.ledger.acked;
        all.commits += r.commits;
        all.replays += r.replays;
        all.copies.committed += r.copies.committed;
        all.copies.aborted += r.copies.aborted;
        all.copies.seen += r.copies.seen;
        all.assignments += r.assignments;
        all.ledger.rejected += r.ledger.rejected;
        all.ledger.released += r.ledger.released;
        all.sim.kills += r.sim.kills;
        all.sim.power_cuts += r.sim.power_cuts;
        all.sim.sectors_lost += r.sim.sectors_lost;
        all.sim.names_lost += r.sim.names_lost;
        all.sim.resets += r.sim.resets;
        all.sim.faults += r.sim.faults;
        all.sim.writes_refused_full += r.sim.writes_refused_full;
    }
    uint32_t faults = scenario->faults;
    assert_true(all.ledger.acked > 100 * SEEDS);
    if (scenario->members + scenario->consumers > 0)
        assert_true(all.commits > 20 * SEEDS && all.assignments > 10 * SEEDS);
    if (scenario->copiers > 0) {
        assert_true(all.copies.committed > 20 * SEEDS && all.copies.aborted > SEEDS);
        assert_true(all.copies.seen > 400 * SEEDS);
    }
    if (scenario->members + scenario->consumers + scenario->copiers > 0 && faults & FAULT_KILL)
        assert_true(all.replays > 0);
    if (faults != 0) assert_true(all.faults >= SEEDS);
    if (faults & FAULT_KILL) assert_true(all.sim.kills > SEEDS && all.starts > SEEDS);
    if (faults & FAULT_POWER_CUT) assert_true(all.sim.power_cuts > 0);
    if (faults & (FAULT_RESET | FAULT_KILL)) assert_true(all.sim.resets > 0);
    if (faults & FAULT_FULL_DISK) assert_true(all.sim.writes_refused_full > 0);
    if (faults & FAULT_SYNC_ERROR) assert_true(all.sim.faults > 0);
    if (scenario->spoilers > 0) assert_true(all.ledger.rejected > 0);
    if (scenario->page_cache && (faults & FAULT_POWER_CUT)) assert_true(all.ledger.released > 0);
    return all.sim;
}

static void every_scenario(void **state) {
    (void)state;
    uint64_t names_lost = 0, sectors_lost = 0;
    for (int32_t i = 0; i < scenario_count; i++) {
        struct sim_counts counts = scenario_keeps_its_promises(&scenarios[i]);
        names_lost += counts.names_lost;
        sectors_lost += counts.sectors_lost;
    }
    assert_true(names_lost > 0 && sectors_lost > 0);
}

static void the_same_seed_gives_the_same_trace(void **state) {
    (void)state;
    static const char *const names[] = {"everything", "everything-3"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct run_result first = run(names[i], 11, MUTANT_NONE),
                          second = run(names[i], 11, MUTANT_NONE);
        struct run_result other = run(names[i], 12, MUTANT_NONE);
        assert_true(first.hash == second.hash);
        assert_true(first.events == second.events);
        assert_true(first.hash != other.hash);
    }
}

struct hunt {
    enum mutant mutant;
    const char *scenario;
    uint64_t seeds;  // within so many it must be caught
};

static void every_mutant_is_caught(void **state) {
    (void)state;
    static const struct hunt hunts[] = {
        {MUTANT_ACK_BEFORE_SYNC, "power-slow-disk", 10},
        {MUTANT_SKIP_CRC, "calm", 3},
        {MUTANT_FORGET_DUPLICATE, "network", 3},
        {MUTANT_SERVE_BEYOND_HIGH_WATERMARK, "power-slow-disk", 20},
        {MUTANT_RECOVER_WITHOUT_TRUNCATE, "power-slow-disk", 20},
        {MUTANT_ACK_BEFORE_APPEND, "full-disk", 10},
        {MUTANT_RAFT_REPLY_BEFORE_SYNC, "power-slow-disk", 120},
        {MUTANT_FORGET_PRODUCER_STATE, "restart", 20},
        {MUTANT_GROUP_ACCEPT_ANY_COMMIT, "group", 80},
        {MUTANT_GROUP_ACCEPT_STALE_MEMBER, "group", 20},
        {MUTANT_GROUP_REUSE_GENERATION, "group", 3},
        {MUTANT_GROUP_KEEP_ASSIGNMENT, "group", 3},
        {MUTANT_GROUP_FORGET_COMMIT, "group", 3},
        {MUTANT_GROUP_EXPIRE_IN_USE, "group-clock", 20},
        {MUTANT_GROUP_GIVE_BEFORE_REVOKED, "consumers", 5},
        {MUTANT_DUPLICATE_ANSWERS_END, "network", 3},
        {MUTANT_SKIP_SEQUENCE, "everything-3", 40},
        {MUTANT_TXN_END_ANY_EPOCH, "copy-versions", 120},
        {MUTANT_TXN_READ_UNDECIDED, "copy", 3},
        {MUTANT_TXN_FORGET_ABORTED, "copy", 3},
        {MUTANT_TXN_OFFSETS_AT_ONCE, "copy", 5},
        {MUTANT_TXN_NO_FENCE, "copy-twins", 40},
        {MUTANT_TXN_FORGET_PREPARED, "copy-crash", 40},
        {MUTANT_TXN_FORGET_OFFSET_MARKER, "copy", 3},
        {MUTANT_TXN_WAIT_FOR_DELETED, "copy-topics", 10},
        {MUTANT_TXN_SKIP_VERIFICATION, "copy-wild", 10},
        {MUTANT_TXN_MARKER_ANY_EPOCH, "copy-wild", 10},
    };
    for (size_t i = 0; i < COUNT_OF(hunts); i++) {
        bool caught = false;
        for (uint64_t seed = 1; seed <= hunts[i].seeds && !caught; seed++) {
            struct run_result r = run(hunts[i].scenario, seed, hunts[i].mutant);
            caught = r.failed;
            if (caught) {
                print_message("%s: seed %llu of %s: %s\n", mutant_name(hunts[i].mutant),
                              (unsigned long long)seed, hunts[i].scenario, r.violation);
            }
        }
        if (!caught) fail_msg("%s is not caught", mutant_name(hunts[i].mutant));
    }
    assert_int_equal(COUNT_OF(hunts), MUTANT_COUNT - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scenario),
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
        cmocka_unit_test(every_mutant_is_caught),
    };
    return cmocka_run_group_tests_name("sim/scenarios", tests, NULL, NULL);
}
