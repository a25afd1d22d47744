// Feature tables against what Apache Kafka 4.4.0's own classes print.
#include "test/test.h"

#include "metadata/features.h"

static void test_release_versions(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int16_t level;
    } cases[] = {
        {"3.3", 7},      {"3.3-IV3", 7},  {"3.4", 8},      {"3.5", 11},    {"3.6", 14},
        {"3.7", 19},     {"3.7-IV2", 17}, {"3.8", 20},     {"3.9", 21},    {"4.0", 25},
        {"4.0-IV1", 23}, {"4.1", 27},     {"4.2", 29},     {"4.3", 30},    {"4.3.1", 30},
        {"4.4", 33},     {"4.4.0", 33},   {"4.4-IV0", 31}, {"4.3.", 0},    {"4", 0},
        {"5.0", 0},      {"3.2", 0},      {"", 0},         {"3.7-IV9", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct message error;
        message_init(&error);
        assert_int_equal(metadata_version_parse(slice_cstring(cases[i].text), &error),
                         cases[i].level);
        if (cases[i].level == 0) {
            assert_non_null(strstr(error.text, "Supported metadata.version are: 3.3-IV3, 3.4-IV0"));
        }
    }
}

static void test_defaults(void **state) {
    (void)state;
    // For each feature the level at metadata.version 7 … 33.
    static const char *const levels[FEATURE_COUNT] = {
        [FEATURE_KRAFT_VERSION] = "000000000000001111111111111",
        [FEATURE_TRANSACTION_VERSION] = "000000000000000002222222222",
        [FEATURE_GROUP_VERSION] = "000000000000000111111111111",
        [FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION] = "000000000000000000011111111",
        [FEATURE_SHARE_VERSION] = "000000000000000000000111222",
        [FEATURE_STREAMS_VERSION] = "000000000000000000000011111",
    };
    for (int16_t version = METADATA_VERSION_MIN; version <= METADATA_VERSION_MAX; version++) {
        assert_int_equal(metadata_version_row(version)->level, version);
        assert_int_equal(feature_default_level(FEATURE_METADATA_VERSION, version), version);
        for (int id = FEATURE_KRAFT_VERSION; id < FEATURE_COUNT; id++) {
            assert_int_equal(feature_default_level((enum feature_id)id, version),
                             levels[id][version - METADATA_VERSION_MIN] - '0');
        }
    }
    assert_null(metadata_version_row(6));
    assert_null(metadata_version_row(34));
}

static int16_t version_22(void *context, enum feature_id id) {
    (void)context;
    return id == FEATURE_METADATA_VERSION ? 22 : 0;
}

static void test_dependencies(void **state) {
    (void)state;
    struct message error;
    message_init(&error);
    assert_int_equal(
        feature_validate(FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION, 1, version_22, NULL, &error),
        ERR_INVALID);
    assert_string_equal(error.text,
                        "eligible.leader.replicas.version could not be set to 1 because it depends "
                        "on metadata.version level 23");
    assert_int_equal(feature_validate(FEATURE_GROUP_VERSION, 9, version_22, NULL, &error),
                     ERR_INVALID);
    assert_string_equal(error.text, "No feature:group.version with feature level 9");
    assert_int_equal(feature_validate(FEATURE_GROUP_VERSION, 1, version_22, NULL, &error),
                     ERR_NONE);
    enum feature_id id;
    assert_non_null(feature_find(SLICE_LITERAL("share.version"), &id));
    assert_int_equal(id, FEATURE_SHARE_VERSION);
    assert_null(feature_find(SLICE_LITERAL("test.feature.version"), &id));
}

static void test_record_versions(void **state) {
    (void)state;
    static const char register_broker[] = "122222222233333333333334444";
    static const char partition[] = "000000000011111122222222222";
    for (int16_t version = METADATA_VERSION_MIN; version <= METADATA_VERSION_MAX; version++) {
        int index = version - METADATA_VERSION_MIN;
        assert_int_equal(register_broker_record_version(version), register_broker[index] - '0');
        assert_int_equal(partition_record_version(version), partition[index] - '0');
    }
    assert_true(metadata_version_changed_between(30, 33));
    assert_true(metadata_version_changed_between(33, 32));
    assert_false(metadata_version_changed_between(31, 30));
    assert_false(metadata_version_changed_between(30, 30));
    assert_true(metadata_version_changed_between(29, 30));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_versions),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_dependencies),
        cmocka_unit_test(test_record_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
