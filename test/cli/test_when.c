#include "cli/when.h"

#include "test/test.h"

static void check(const char *text, int64_t expected) {
    int64_t ms;
    assert_true(when_parse(slice_cstring(text), &ms));
    assert_int_equal(ms, expected);
}

static void test_instants(UNUSED void **state) {
    check("1970-01-01", 0);
    check("1970-01-01T00:00:00.001Z", 1);
    check("2000-02-29T12:00:00", 951825600000);
    check("2026-11-25T03:14:15.926Z", 1795576455926);
    check("2026-11-25T05:14:15.926+02:00", 1795576455926);
    check("2026-11-24T22:14:15.926-0500", 1795576455926);
    check("1969-12-31T23:59", -60000);
}

static void test_no_instants(UNUSED void **state) {
    static const char *const bad[] = {"",
                                      "yesterday",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "2026-11-25T",
                                      "2026-11-25T24:00",
                                      "2026-11-25 03:14:15",
                                      "2026-11-25T03:14:15.",
                                      "2026-11-25Zx",
                                      "26-11-25"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t ms;
        assert_false(when_parse(slice_cstring(bad[i]), &ms));
    }
}

static void test_durations(UNUSED void **state) {
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"P1D", 86400000},
                {"PT1H30M", 5400000},
                {"P1DT12H", 129600000},
                {"PT0.25S", 250},
                {"PT0S", 0}};
    static const char *const bad[] = {"",       "P",      "PT",     "1H",   "P1H", "PT1D",
                                      "PT1M1H", "PT1H1H", "PT1.5H", "P-1D", "PT5", "P99999999999D"};
    int64_t ms;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(when_parse_duration(slice_cstring(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(when_parse_duration(slice_cstring(bad[i]), &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_instants),
                                       cmocka_unit_test(test_no_instants),
                                       cmocka_unit_test(test_durations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
