// Activation, features, quotas, configs, producer ids.
#include "bed.h"

static int setup(void **state) {
    *state = bed_new(1);
    return 0;
}

static int teardown(void **state) {
    bed_free(*state);
    return 0;
}

static enum metadata_record_type type_at(struct bed *bed, int32_t offset) {
    struct metadata_record record;
    assert_int_equal(metadata_record_decode(bed->log[offset], &bed->arena, &record, NULL),
                     ERR_NONE);
    return record.type;
}

// ---- Activation ----

static void test_first_records(void **state) {
    struct bed *bed = *state;
    static const enum metadata_record_type types[] = {METADATA_BEGIN_TRANSACTION,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_FEATURE_LEVEL,
                                                      METADATA_CONFIG,
                                                      METADATA_END_TRANSACTION,
                                                      METADATA_REGISTER_BROKER,
                                                      METADATA_BROKER_REGISTRATION_CHANGE,
                                                      METADATA_BROKER_REGISTRATION_CHANGE};
    assert_int_equal(bed->log_count, COUNT_OF(types));
    for (int32_t i = 0; i < bed->log_count; i++)
        assert_int_equal(type_at(bed, i), types[i]);
    struct slice value;
    assert_true(image_config(bed->state.image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY,
                             SLICE_LITERAL("min.insync.replicas"), &value));
    assert_true(slice_equal_cstring(value, "1"));
    assert_int_equal(image_broker(bed->state.image, 1)->epoch, 9);
}

static void activate_again(struct bed *bed, const struct slice *bootstrap, int32_t count,
                           enum err expected) {
    struct arena arena;
    arena_init(&arena);
    struct runtime_result result = {.arena = &arena};
    struct decision decision;
    message_init(&bed->error);
    decision_init(&decision, &bed->state, &result, &arena, &bed->error);
    assert_int_equal(rule_activate(&decision, bootstrap, count), expected);
    if (expected == ERR_NONE) bed_apply(bed, &result);
    arena_deinit(&arena);
}

static void test_activation_of_other_logs(void **state) {
    struct bed *bed = *state;
    activate_again(bed, NULL, 0, ERR_NONE);
    assert_int_equal(bed->last_count, 0);  // nothing to do
    // A predecessor died inside its bootstrap transaction.
    controller_state_reset(&bed->state);
    bed->log_count = 0;
    activate_again(bed, NULL, 0, ERR_INVALID);
    assert_non_null(strstr(bed->error.text, "format the directory"));
    struct metadata_record begin = metadata_record_new(METADATA_BEGIN_TRANSACTION, 0, &bed->arena);
    struct runtime_record record = {.type = METADATA_BEGIN_TRANSACTION, .decoded = begin.message};
    assert_int_equal(controller_state_replay(&bed->state, &record, 0, 1), ERR_NONE);
    assert_int_equal(metadata_record_frame(&begin, &bed->arena, &bed->log[bed->log_count++], NULL),
                     ERR_NONE);
    bed_activate(bed, 33);
    assert_int_equal(type_at(bed, 1), METADATA_ABORT_TRANSACTION);
    assert_int_equal(type_at(bed, 2), METADATA_BEGIN_TRANSACTION);
    assert_int_equal(image_metadata_version(bed->state.image), 33);
    assert_int_equal(image_transaction_offset(bed->state.image), -1);
    bed_check_replay(bed);
    // Levels without transactions and without ELR.
    controller_state_reset(&bed->state);
    bed->log_count = 0;
    bed_activate(bed, 7);
    assert_int_equal(bed->log_count, 1);
    assert_int_equal(type_at(bed, 0), METADATA_FEATURE_LEVEL);
}

// ---- UpdateFeatures ----

struct feature_case {
    const char *name;
    int16_t level;
    int8_t type;
    const char *text;  // NULL: it works
};

#define FAILED "The update failed for all features since the following feature had an error: "

static const struct feature_case feature_cases[] = {
    {"metadata.version", 34, 1,
     FAILED "Invalid update version 34 for feature metadata.version. Local controller 1 only "
            "supports versions 7-33"},
    {"metadata.version", 6, 2,
     FAILED "Invalid update version 6 for feature metadata.version. Local controller 1 only "
            "supports versions 7-33"},
    {"metadata.version", 29, 1,
     FAILED "Invalid update version 29 for feature metadata.version. Can't downgrade the version "
            "of this feature without setting the upgrade type to either safe or unsafe downgrade."},
    {"metadata.version", 29, 2,
     FAILED "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the "
            "requested downgrade because it might delete metadata information."},
    {"metadata.version", 29, 3,
     FAILED "Unsupported metadata.version downgrade from 30 to 29. Unsafe metadata downgrade is "
            "not supported in this version."},
    {"metadata.version", 31, 2,
     FAILED "Invalid update version 31 for feature metadata.version. Can't downgrade to a newer "
            "version."},
    {"group.version", -1, 2,
     FAILED "Invalid update version -1 for feature group.version. A feature version cannot be less "
            "than 0."},
    {"group.version", 0, 7,
     FAILED "Invalid update version 0 for feature group.version. The controller does not support "
            "the given upgrade type."},
    {"wings", 1, 1,
     FAILED "Invalid update version 1 for feature wings. Local controller 1 does not support this "
            "feature."},
    {"wings", 0, 1, FAILED "Invalid update version 0 for feature wings. Feature wings not found."},
    {"kraft.version", 0, 2,
     FAILED "Invalid update version 0 for feature kraft.version. Can't downgrade the version of "
            "this feature."},
    {"kraft.version", 1, 1, NULL},
    {"group.version", 0, 2, NULL},
    {"group.version", 1, 1, NULL},
    {"metadata.version", 31, 1, NULL},
    {"metadata.version", 30, 2, NULL},
    {"metadata.version", 33, 1, NULL},
    {"eligible.leader.replicas.version", 1, 1, NULL},
};

static void test_update_features(void **state) {
    struct bed *bed = *state;
    for (size_t i = 0; i < COUNT_OF(feature_cases); i++) {
        const struct feature_case *c = &feature_cases[i];
        for (int validate_only = 1; validate_only >= 0; validate_only--) {
            struct update_features_request request;
            struct update_features_response response;
            codec_init(&update_features_request_codec, &request);
            request.feature_updates = update_features_request_feature_update_new(&bed->arena, 1);
            request.feature_updates_count = 1;
            request.feature_updates[0].feature = slice_cstring(c->name);
            request.feature_updates[0].max_version_level = c->level;
            request.feature_updates[0].upgrade_type = c->type;
            request.validate_only = validate_only;
            assert_int_equal(BED_CALL(bed, update_features, 2, &request, &response), ERR_NONE);
            if (c->text == NULL) {
                if (response.error_code != 0) fail_msg("%.*s", SLICE_PRINT(response.error_message));
                assert_int_equal(bed->last_count > 0, !validate_only);
            } else {
                assert_int_equal(response.error_code, ERR_INVALID_UPDATE_VERSION);
                if (!slice_equal_cstring(response.error_message, c->text)) {
                    fail_msg("%.*s", SLICE_PRINT(response.error_message));
                }
                assert_int_equal(bed->last_count, 0);
            }
            assert_int_equal(response.results_count, 0);
        }
    }
    assert_int_equal(image_metadata_version(bed->state.image), 33);
    struct update_features_request request;
    struct update_features_response response;
    codec_init(&update_features_request_codec, &request);
    request.feature_updates = update_features_request_feature_update_new(&bed->arena, 1);
    request.feature_updates_count = 1;
    request.feature_updates[0].feature = SLICE_LITERAL("group.version");
    request.feature_updates[0].max_version_level = 1;
    assert_int_equal(BED_CALL(bed, update_features, 1, &request, &response), ERR_NONE);
    assert_int_equal(response.results_count, 1);
}

static void test_a_broker_that_is_too_old(void **state) {
    struct bed *bed = *state;
    struct broker_registration_request r = bed_registration(bed, 2, 2, -1);
    struct broker_registration_response registered;
    r.features[FEATURE_METADATA_VERSION].max_supported_version = 31;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &registered), ERR_NONE);
    struct update_features_request request;
    struct update_features_response response;
    codec_init(&update_features_request_codec, &request);
    request.feature_updates = update_features_request_feature_update_new(&bed->arena, 1);
    request.feature_updates_count = 1;
    request.feature_updates[0].feature = SLICE_LITERAL("metadata.version");
    request.feature_updates[0].max_version_level = 32;
    assert_int_equal(BED_CALL(bed, update_features, 2, &request, &response), ERR_NONE);
    assert_true(slice_equal_cstring(response.error_message, FAILED
                                    "Invalid update version 32 for feature metadata.version. "
                                    "Broker 2 only supports versions 7-31"));
}

// ---- Client quotas ----

struct quota_case {
    const char *types[2];
    const char *names[2];
    const char *key;
    double value;
    bool remove;
    enum err error;
    const char *text;
};

static const struct quota_case quota_cases[] = {
    {{NULL},
     {NULL},
     "producer_byte_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "Invalid empty client quota entity"},
    {{"group"},
     {"g"},
     "producer_byte_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "Unhandled client quota entity type: group"},
    {{"user"},
     {""},
     "producer_byte_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "Empty user not supported"},
    {{"ip", "user"},
     {"1.2.3.4", "a"},
     "producer_byte_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId"},
    {{"ip"},
     {"not an ip"},
     "connection_creation_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "not an ip is not a valid IP or resolvable host."},
    {{"user"},
     {"a"},
     "connection_creation_rate",
     1,
     false,
     ERR_INVALID_REQUEST,
     "Invalid configuration key connection_creation_rate"},
    {{"user"},
     {"a"},
     "producer_byte_rate",
     0,
     false,
     ERR_INVALID_REQUEST,
     "Quota producer_byte_rate must be greater than 0"},
    {{"user"},
     {"a"},
     "producer_byte_rate",
     1.5,
     false,
     ERR_INVALID_REQUEST,
     "producer_byte_rate cannot be a fractional value."},
    {{"ip"},
     {"1.2.3.4"},
     "connection_creation_rate",
     1e10,
     false,
     ERR_INVALID_REQUEST,
     "Proposed value for connection_creation_rate is too large for an INT."},
    {{"user"}, {"a"}, "producer_byte_rate", 5, true, ERR_NONE, NULL},
    {{"user"}, {"a"}, "producer_byte_rate", 5, false, ERR_NONE, NULL},
    {{"user", "client-id"}, {"a", NULL}, "request_percentage", 12.5, false, ERR_NONE, NULL},
    {{"ip"}, {NULL}, "connection_creation_rate", 100, false, ERR_NONE, NULL},
};

static void test_client_quotas(void **state) {
    struct bed *bed = *state;
    for (size_t i = 0; i < COUNT_OF(quota_cases); i++) {
        const struct quota_case *c = &quota_cases[i];
        struct alter_client_quotas_request request;
        struct alter_client_quotas_response response;
        codec_init(&alter_client_quotas_request_codec, &request);
        request.entries = alter_client_quotas_request_entry_new(&bed->arena, 1);
        request.entries_count = 1;
        struct alter_client_quotas_request_entry *entry = &request.entries[0];
        entry->entity = alter_client_quotas_request_entity_new(&bed->arena, 2);
        for (int j = 0; j < 2 && c->types[j] != NULL; j++) {
            entry->entity[j].entity_type = slice_cstring(c->types[j]);
            entry->entity[j].entity_name = slice_cstring(c->names[j]);
            entry->entity_count++;
        }
        entry->ops = alter_client_quotas_request_op_new(&bed->arena, 1);
        entry->ops_count = 1;
        entry->ops[0].key = slice_cstring(c->key);
        entry->ops[0].value = c->value;
        entry->ops[0].remove = c->remove;
        assert_int_equal(BED_CALL(bed, alter_client_quotas, 1, &request, &response), ERR_NONE);
        assert_int_equal(response.entries_count, 1);
        assert_int_equal(response.entries[0].error_code, c->error);
        if (!slice_equal(response.entries[0].error_message, slice_cstring(c->text))) {
            fail_msg("%.*s", SLICE_PRINT(response.entries[0].error_message));
        }
        bool writes = c->error == ERR_NONE && !c->remove;
        assert_int_equal(bed->last_count, writes ? 1 : 0);
        assert_int_equal(BED_CALL(bed, alter_client_quotas, 1, &request, &response), ERR_NONE);
        assert_int_equal(bed->last_count, 0);  // it is so already
    }
    int32_t count = 0;
    const struct quota_image *quota = image_quota_after(bed->state.image, NULL);
    for (; quota != NULL; quota = image_quota_after(bed->state.image, quota))
        count++;
    assert_int_equal(count, 3);
}

// ---- Configs ----

static enum err alter_config(struct bed *bed, int8_t type, const char *resource, const char *key,
                             const char *value, int8_t operation) {
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_response response;
    codec_init(&incremental_alter_configs_request_codec, &request);
    request.resources = incremental_alter_configs_request_resource_new(&bed->arena, 1);
    request.resources_count = 1;
    request.resources[0].resource_type = type;
    request.resources[0].resource_name = slice_cstring(resource);
    request.resources[0].configs = incremental_alter_configs_request_config_new(&bed->arena, 1);
    request.resources[0].configs_count = 1;
    request.resources[0].configs[0].name = slice_cstring(key);
    request.resources[0].configs[0].value = slice_cstring(value);
    request.resources[0].configs[0].config_operation = operation;
    assert_int_equal(BED_CALL(bed, incremental_alter_configs, 1, &request, &response), ERR_NONE);
    assert_int_equal(response.responses_count, 1);
    return (enum err)response.responses[0].error_code;
}

static void test_configs(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 1, 1);
    struct slice value;
    assert_int_equal(alter_config(bed, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", "7", 0),
                     ERR_NONE);
    assert_int_equal(bed->last_count, 1);
    assert_true(image_config(bed->state.image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"),
                             SLICE_LITERAL("retention.ms"), &value));
    assert_int_equal(alter_config(bed, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", "x", 0),
                     ERR_INVALID_CONFIG);
    assert_int_equal(alter_config(bed, CONFIG_RESOURCE_TOPIC, "nope", "retention.ms", "7", 0),
                     ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(alter_config(bed, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", NULL, 1),
                     ERR_NONE);
    assert_false(image_config(bed->state.image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"),
                              SLICE_LITERAL("retention.ms"), &value));
    // A new min.insync.replicas voids the eligible leaders of the topic.
    assert_int_equal(alter_config(bed, CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "2", 0),
                     ERR_NONE);
    assert_int_equal(bed->last_count, 2);
    assert_int_equal(type_at(bed, bed->log_count - 1), METADATA_CLEAR_ELR);
}

static void test_legacy_configs(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 1, 1);
    alter_config(bed, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", "7", 0);
    struct alter_configs_request request;
    struct alter_configs_response response;
    codec_init(&alter_configs_request_codec, &request);
    request.resources = alter_configs_request_resource_new(&bed->arena, 3);
    request.resources_count = 3;
    for (int i = 0; i < 3; i++) {
        request.resources[i].resource_type = CONFIG_RESOURCE_TOPIC;
        request.resources[i].resource_name = i == 0 ? SLICE_LITERAL("t") : SLICE_LITERAL("twice");
        request.resources[i].configs = alter_configs_request_config_new(&bed->arena, 1);
        request.resources[i].configs_count = 1;
        request.resources[i].configs[0].name = SLICE_LITERAL("segment.ms");
        request.resources[i].configs[0].value = SLICE_LITERAL("9");
    }
    assert_int_equal(BED_CALL(bed, alter_configs, 2, &request, &response), ERR_NONE);
    assert_int_equal(response.responses_count, 2);
    assert_int_equal(response.responses[0].error_code, 0);
    assert_true(slice_equal_cstring(response.responses[1].error_message, "Duplicate resource."));
    struct slice value;
    assert_false(image_config(bed->state.image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"),
                              SLICE_LITERAL("retention.ms"), &value));
    assert_true(image_config(bed->state.image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"),
                             SLICE_LITERAL("segment.ms"), &value));
}

// ---- Producer ids, controllers ----

static void test_producer_ids(void **state) {
    struct bed *bed = *state;
    struct allocate_producer_ids_request request;
    struct allocate_producer_ids_response response;
    codec_init(&allocate_producer_ids_request_codec, &request);
    request.broker_id = 1;
    request.broker_epoch = 77;
    assert_int_equal(BED_CALL(bed, allocate_producer_ids, 0, &request, &response),
                     ERR_STALE_BROKER_EPOCH);
    request.broker_epoch = image_broker(bed->state.image, 1)->epoch;
    for (int64_t block = 0; block < 3; block++) {
        assert_int_equal(BED_CALL(bed, allocate_producer_ids, 0, &request, &response), ERR_NONE);
        assert_int_equal(response.producer_id_start, block * 1000);
        assert_int_equal(response.producer_id_len, 1000);
        assert_int_equal(bed->last_count, 1);
    }
}

static void test_controllers(void **state) {
    struct bed *bed = *state;
    struct controller_registration_request request;
    struct controller_registration_response response;
    codec_init(&controller_registration_request_codec, &request);
    request.controller_id = 1;
    request.incarnation_id = bed_uuid(3);
    assert_int_equal(BED_CALL(bed, controller_registration, 0, &request, &response), ERR_NONE);
    assert_non_null(image_controller(bed->state.image, 1));
    struct unregister_controller_request gone;
    struct unregister_controller_response answer;
    codec_init(&unregister_controller_request_codec, &gone);
    gone.controller_id = 1;
    assert_int_equal(BED_CALL(bed, unregister_controller, 0, &gone, &answer),
                     ERR_UNSUPPORTED_VERSION);  // from level 33 on
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_first_records),   TEST(test_activation_of_other_logs),
        TEST(test_update_features), TEST(test_a_broker_that_is_too_old),
        TEST(test_client_quotas),   TEST(test_configs),
        TEST(test_legacy_configs),  TEST(test_producer_ids),
        TEST(test_controllers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
