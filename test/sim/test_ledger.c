// The checker finds each kind of broken promise, and does not cry wolf.
#include "test/test.h"

#include "sim/ledger.h"

static void assert_says(const struct ledger *ledger, const char *part) {
    assert_true(*ledger_is_violated(ledger));
    if (strstr(ledger_violation(ledger), part) == NULL) fail_msg("%s", ledger_violation(ledger));
}

static void a_good_run(void **state) {
    (void)state;
    struct ledger *l = ledger_new(2, true);
    uint64_t a = ledger_record(l, 0, 0), b = ledger_record(l, 0, 0), c = ledger_record(l, 1, 1);
    uint64_t bad = ledger_record(l, 2, 0), unknown = ledger_record(l, 2, 0);
    ledger_acked(l, a, 0, 0, true);
    ledger_seen(l, b, 0, 1);  // read before its producer heard of it
    ledger_acked(l, b, 0, 1, true);
    ledger_acked(l, b, 0, 1, true);  // a duplicate got the same offset
    ledger_acked(l, c, 1, 0, false);
    ledger_rejected(l, bad);
    ledger_end_told(l, 0, 0, 2);
    ledger_end_told(l, 0, 0, 2);
    assert_int_equal(ledger_promised_end(l, 0), 2);
    ledger_begin_last_read(l);
    ledger_seen(l, a, 0, 0);
    ledger_seen(l, b, 0, 1);
    ledger_seen(l, c, 1, 0);
    ledger_seen(l, unknown, 0, 2);  // not acknowledged: may be there
    ledger_end_last_read(l);
    assert_null(ledger_violation(l));
    assert_int_equal(ledger_counts(l).acked, 3);
    ledger_free(l);
}

static void a_lost_record(void **state) {
    (void)state;
    for (int seen = 0; seen < 2; seen++) {
        struct ledger *l = ledger_new(1, true);
        uint64_t a = ledger_record(l, 0, 0);
        if (seen) {
            ledger_seen(l, a, 0, 0);
        } else {
            ledger_acked(l, a, 0, 0, true);
        }
        ledger_power_cut(l);  // no excuse in fsync mode
        ledger_begin_last_read(l);
        ledger_end_last_read(l);
        assert_says(l, "is lost");
        ledger_free(l);
    }
}

static void a_record_twice(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1, true);
    uint64_t a = ledger_record(l, 0, 0);
    ledger_acked(l, a, 0, 0, true);
    ledger_seen(l, a, 0, 1);
    assert_says(l, "stands twice");
    ledger_free(l);
}

static void two_records_at_one_offset(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1, true);
    uint64_t a = ledger_record(l, 0, 0), b = ledger_record(l, 0, 0);
    ledger_seen(l, a, 0, 0);
    ledger_acked(l, b, 0, 0, true);
    assert_says(l, "held record 1 and now record 2");
    ledger_free(l);
}

static void the_wrong_order(void **state) {
    (void)state;
    struct ledger *l = ledger_new(1, true);
    uint64_t a = ledger_record(l, 0, 0), b = ledger_record(l, 0, 0);
    ledger_begin_last_read(l);
    ledger_seen(l, b, 0, 0);
    ledger_seen(l, a, 0, 1);
    ledger_end_last_read(l);
    assert_says(l, "which was sent after it");
    ledger_free(l);
}

static void what_was_never_right(void **state) {
    (void)state;
    struct ledger *l = ledger_new(2, true);
    uint64_t a = ledger_record(l, 0, 0);
    ledger_rejected(l, a);
    ledger_seen(l, a, 0, 0);
    assert_says(l, "was rejected");
    ledger_free(l);
    l = ledger_new(2, true);
    ledger_seen(l, 7, 0, 0);
    assert_says(l, "nobody sent");
    ledger_free(l);
    l = ledger_new(2, true);
    a = ledger_record(l, 0, 0);
    ledger_seen(l, a, 1, 0);
    assert_says(l, "was sent to partition 0");
    ledger_free(l);
    l = ledger_new(1, true);
    ledger_end_told(l, 0, 0, 5);
    ledger_end_told(l, 1, 0, 3);  // another reader may hear late
    ledger_power_cut(l);
    ledger_end_told(l, 0, 0, 4);
    assert_says(l, "went back");
    ledger_free(l);
}

static void power_cuts_release_only_what_was_not_promised(void **state) {
    (void)state;
    // acks=1 in fsync mode: gone, unless something behind it was promised.
    struct ledger *l = ledger_new(1, true);
    uint64_t a = ledger_record(l, 0, 0), b = ledger_record(l, 0, 0), c = ledger_record(l, 0, 0);
    ledger_acked(l, a, 0, 0, false);
    ledger_acked(l, b, 0, 1, true);
    ledger_acked(l, c, 0, 2, false);
    ledger_power_cut(l);
    assert_int_equal(ledger_promised_end(l, 0), 2);
    uint64_t d = ledger_record(l, 0, 0);
    ledger_acked(l, d, 0, 2, true);  // its place is free again
    assert_null(ledger_violation(l));
    assert_int_equal(ledger_counts(l).released, 1);
    ledger_free(l);
    // page-cache mode: only what a clean stop left.
    l = ledger_new(1, false);
    a = ledger_record(l, 0, 0);
    ledger_acked(l, a, 0, 0, true);
    ledger_clean_stop(l);
    b = ledger_record(l, 0, 0);
    ledger_acked(l, b, 0, 1, true);
    ledger_end_told(l, 0, 0, 2);
    ledger_power_cut(l);
    assert_true(ledger_may_go_back(l));
    ledger_end_told(l, 0, 0, 1);
    assert_int_equal(ledger_promised_end(l, 0), 1);
    assert_null(ledger_violation(l));
    ledger_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_run),
        cmocka_unit_test(a_lost_record),
        cmocka_unit_test(a_record_twice),
        cmocka_unit_test(two_records_at_one_offset),
        cmocka_unit_test(the_wrong_order),
        cmocka_unit_test(what_was_never_right),
        cmocka_unit_test(power_cuts_release_only_what_was_not_promised),
    };
    return cmocka_run_group_tests_name("sim/ledger", tests, NULL, NULL);
}
