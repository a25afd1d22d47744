#include "test/test.h"

#include "client/producer.h"

// The vectors of Kafka's own tests of its murmur2.
static void test_murmur2(void **state) {
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal((int32_t)murmur2(slice_cstring(cases[i].key)), cases[i].hash);
    }
}

static void test_partition(void **state) {
    (void)state;
    for (int32_t count = 1; count < 50; count++) {
        int32_t p = producer_partition_of_key(SLICE_LITERAL("21"), count);
        assert_int_equal(p, (-973932308 & INT32_MAX) % count);
    }
    assert_true(producer_partition_of_key(SLICE_EMPTY, 7) >= 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_murmur2),
                                       cmocka_unit_test(test_partition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
