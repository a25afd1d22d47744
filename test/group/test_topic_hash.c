#include "test/test.h"

#include "group/topic_hash.h"

// The hash that Apache Kafka 4.3.1 wrote into a group's record for this topic: one partition, no
// rack.
static void test_apaches_hash(void **state) {
    (void)state;
    struct partition_image partition = {.partition = 0, .leader = 1};
    const struct partition_image *partitions[] = {&partition};
    struct topic_image topic = {
        .name = SLICE_LITERAL("x-idempotent"), .partition_count = 1, .partitions = partitions};
    assert_true(uuid_parse(SLICE_LITERAL("JnOhFNVJT5WlccRVK0B5sQ"), &topic.id));
    struct image *image = image_new();
    int64_t hash = topic_hash(image, &topic);
    assert_true(topic_hashes_combine(&hash, 1) == INT64_C(7594453865658928612));
    assert_int_equal(topic_hashes_combine(&hash, 0), 0);
    topic.partition_count = 0;
    assert_true(topic_hash(image, &topic) != hash);
    image_unref(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apaches_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
