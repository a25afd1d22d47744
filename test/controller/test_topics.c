// CreateTopics, DeleteTopics, CreatePartitions: each rule of theirs as a row, with Kafka's code and
// sentence.
#include "bed.h"

static int setup(void **state) {
    *state = bed_new(1);
    return 0;
}

static int teardown(void **state) {
    bed_free(*state);
    return 0;
}

// ---- CreateTopics ----

struct create_case {
    const char *name;
    int32_t partitions;
    int16_t factor;
    const char *config;  // "key=value", "key" for null
    // Replicas by partition, "0:1,1:1"; NULL: none.
    const char *assignment;
    enum err error;
    const char *text;
};

static void fill_assignment(struct bed *bed, struct create_topics_request_topic *topic,
                            const char *text) {
    topic->assignments = create_topics_request_assignment_new(&bed->arena, 8);
    while (*text != '\0') {
        char *end;
        struct create_topics_request_assignment *row =
            &topic->assignments[topic->assignments_count++];
        row->partition_index = (int32_t)strtol(text, &end, 10);
        row->broker_ids = arena_zalloc(&bed->arena, 8, sizeof(int32_t));
        while (*end == ':') {
            char *next;
            int32_t id = (int32_t)strtol(end + 1, &next, 10);
            if (next > end + 1) row->broker_ids[row->broker_ids_count++] = id;
            end = next;
        }
        text = *end == ',' ? end + 1 : end;
    }
}

static void fill_topic(struct bed *bed, const struct create_case *c,
                       struct create_topics_request_topic *topic) {
    topic->name = slice_cstring(c->name);
    topic->num_partitions = c->partitions;
    topic->replication_factor = c->factor;
    if (c->assignment != NULL) fill_assignment(bed, topic, c->assignment);
    if (c->config == NULL) return;
    topic->configs = create_topics_request_config_new(&bed->arena, 1);
    topic->configs_count = 1;
    struct slice whole = slice_cstring(c->config);
    if (!slice_split(whole, '=', &topic->configs[0].name, &topic->configs[0].value)) {
        topic->configs[0].name = whole;
        topic->configs[0].value = SLICE_NULL;
    }
}

static void check_row(const struct create_case *c, const struct create_topics_response_topic *row) {
    if (row->error_code != err_wire(c->error)) {
        fail_msg("%s %s: %s %.*s", c->name, c->config, err_name((enum err)row->error_code),
                 SLICE_PRINT(row->error_message));
    }
    if (c->text == NULL) {
        assert_true(slice_is_null(row->error_message));
    } else if (!slice_equal_cstring(row->error_message, c->text)) {
        fail_msg("%s: %.*s", c->name, SLICE_PRINT(row->error_message));
    }
}

#define LONG_NAME                                                                          \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct create_case create_cases[] = {
    {"ok", 3, 1, NULL, NULL, ERR_NONE, NULL},
    {"defaults", -1, -1, NULL, NULL, ERR_NONE, NULL},
    {"with-config", 1, 1, "retention.ms=-1", NULL, ERR_NONE, NULL},
    {LONG_NAME, 1, 1, NULL, NULL, ERR_NONE, NULL},
    {"there", 1, 1, NULL, NULL, ERR_TOPIC_ALREADY_EXISTS, "Topic 'there' already exists."},
    {"th_ere.x", 1, 1, NULL, NULL, ERR_INVALID_TOPIC_EXCEPTION,
     "Topic 'th_ere.x' collides with existing topic: th.ere_x"},
    {"th.ere_x", 1, 1, NULL, NULL, ERR_TOPIC_ALREADY_EXISTS, "Topic 'th.ere_x' already exists."},
    {"", 1, 1, NULL, NULL, ERR_INVALID_TOPIC_EXCEPTION,
     "Topic name is invalid: the empty string is not allowed"},
    {".", 1, 1, NULL, NULL, ERR_INVALID_TOPIC_EXCEPTION,
     "Topic name is invalid: '.' is not allowed"},
    {"a b", 1, 1, NULL, NULL, ERR_INVALID_TOPIC_EXCEPTION,
     "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, "
     "'.', '_' and '-'"},
    {"__cluster_metadata", 1, 1, NULL, NULL, ERR_INVALID_REQUEST,
     "Creation of internal topic __cluster_metadata is prohibited."},
    {"zero", 0, 1, NULL, NULL, ERR_INVALID_PARTITIONS,
     "Number of partitions was set to an invalid non-positive value."},
    {"negative", -2, 1, NULL, NULL, ERR_INVALID_PARTITIONS,
     "Number of partitions was set to an invalid non-positive value."},
    {"factor-zero", 1, 0, NULL, NULL, ERR_INVALID_REPLICATION_FACTOR,
     "Replication factor must be larger than 0, or -1 to use the default value."},
    {"factor-two", 1, 2, NULL, NULL, ERR_INVALID_REPLICATION_FACTOR,
     "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be "
     "reached because only 1 broker(s) are registered or some brokers have all their log "
     "directories cordoned."},
    {"null-config", 1, 1, "retention.ms", NULL, ERR_INVALID_CONFIG,
     "Null value not supported for topic configs: retention.ms"},
    {"unknown-config", 1, 1, "no.such=1", NULL, ERR_INVALID_CONFIG,
     "Unknown topic config name: no.such"},
    {"bad-config", 1, 1, "retention.ms=x", NULL, ERR_INVALID_CONFIG,
     "Invalid value x for configuration retention.ms: Not a number of type LONG"},
    {"by-hand", -1, -1, NULL, "0:1,1:1", ERR_NONE, NULL},
    {"by-hand-any-order", -1, -1, NULL, "1:1,0:1", ERR_NONE, NULL},
    {"by-hand-factor", -1, 1, NULL, "0:1", ERR_INVALID_REQUEST,
     "A manual partition assignment was specified, but replication factor was not set to -1."},
    {"by-hand-partitions", 1, -1, NULL, "0:1", ERR_INVALID_REQUEST,
     "A manual partition assignment was specified, but numPartitions was not set to -1."},
    {"by-hand-twice", -1, -1, NULL, "0:1,0:1", ERR_INVALID_REPLICA_ASSIGNMENT,
     "Found multiple manual partition assignments for partition 0"},
    {"by-hand-gap", -1, -1, NULL, "0:1,2:1", ERR_INVALID_REPLICA_ASSIGNMENT,
     "partitions should be a consecutive 0-based integer sequence"},
    {"by-hand-empty", -1, -1, NULL, "0:", ERR_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes an empty replica list."},
    {"by-hand-unknown", -1, -1, NULL, "0:7", ERR_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes broker 7, but no such broker is registered."},
    {"by-hand-same", -1, -1, NULL, "0:1:1", ERR_INVALID_REPLICA_ASSIGNMENT,
     "The manual partition assignment includes the broker 1 more than once."},
};

static void test_create_rules(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "there", 1, 1);
    bed_create(bed, "th.ere_x", 1, 1);
    for (size_t i = 0; i < COUNT_OF(create_cases); i++) {
        const struct create_case *c = &create_cases[i];
        for (int validate_only = 1; validate_only >= 0; validate_only--) {
            struct create_topics_request request;
            struct create_topics_response response;
            codec_init(&create_topics_request_codec, &request);
            request.topics = create_topics_request_topic_new(&bed->arena, 1);
            request.topics_count = 1;
            request.validate_only = validate_only;
            fill_topic(bed, c, &request.topics[0]);
            assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
            assert_int_equal(response.topics_count, 1);
            check_row(c, &response.topics[0]);
            bool is_created = !validate_only && c->error == ERR_NONE;
            assert_int_equal(bed->last_count > 0, is_created);
        }
    }
}

static void test_created_state(void **state) {
    struct bed *bed = *state;
    const struct topic_image *topic = bed_create(bed, "t", 3, 1);
    assert_int_equal(topic->partition_count, 3);
    for (int32_t i = 0; i < 3; i++) {
        const struct partition_image *p = topic_partition(topic, i);
        struct uuid directory = bed_uuid(1);
        assert_int_equal(p->leader, 1);
        assert_int_equal(p->leader_epoch, 0);
        assert_int_equal(p->isr_count, 1);
        assert_memory_equal(p->directories[0].bytes, directory.bytes, 16);
    }
    assert_false(uuid_is_zero(topic->id));
}

static void test_good_and_bad_are_independent(void **state) {
    struct bed *bed = *state;
    static const struct create_case rows[] = {
        {"good", 2, 1, "retention.ms=5", NULL, ERR_NONE, NULL},
        {"bad!", 1, 1, NULL, NULL, ERR_INVALID_TOPIC_EXCEPTION, NULL},
        {"twice", 1, 1, NULL, NULL, ERR_INVALID_REQUEST, NULL},
        {"twice", 1, 1, NULL, NULL, ERR_INVALID_REQUEST, NULL},
        {"twice", 1, 1, NULL, NULL, ERR_INVALID_REQUEST, NULL},
        {"also-good", 1, 1, NULL, NULL, ERR_NONE, NULL},
    };
    struct create_topics_request request;
    struct create_topics_response response;
    codec_init(&create_topics_request_codec, &request);
    request.topics = create_topics_request_topic_new(&bed->arena, COUNT_OF(rows));
    request.topics_count = COUNT_OF(rows);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        fill_topic(bed, &rows[i], &request.topics[i]);
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
    assert_int_equal(response.topics_count, 4);
    assert_true(slice_equal_cstring(response.topics[0].name, "good"));
    assert_int_equal(response.topics[0].num_partitions, 2);
    assert_int_equal(response.topics[0].replication_factor, 1);
    assert_int_equal(response.topics[1].error_code, ERR_INVALID_TOPIC_EXCEPTION);
    assert_true(slice_equal_cstring(response.topics[2].name, "also-good"));
    assert_int_equal(response.topics[2].error_code, ERR_NONE);
    assert_true(slice_equal_cstring(response.topics[3].name, "twice"));
    assert_true(slice_equal_cstring(response.topics[3].error_message, "Duplicate topic name."));
    assert_null(image_topic(bed->state.image, SLICE_LITERAL("twice")));
    struct slice value;
    assert_true(image_config(bed->state.image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("good"),
                             SLICE_LITERAL("retention.ms"), &value));
    bool found = false;
    for (int32_t i = 0; i < response.topics[0].configs_count; i++) {
        const struct create_topics_response_config *config = &response.topics[0].configs[i];
        if (i > 0) assert_true(slice_compare(config[-1].name, config->name) < 0);
        if (!slice_equal_cstring(config->name, "retention.ms")) continue;
        found = true;
        assert_true(slice_equal_cstring(config->value, "5"));
        assert_int_equal(config->config_source, CONFIG_SOURCE_TOPIC);
    }
    assert_true(found);
}

static void test_too_many_partitions(void **state) {
    struct bed *bed = *state;
    struct create_topics_request request;
    struct create_topics_response response;
    codec_init(&create_topics_request_codec, &request);
    request.topics = create_topics_request_topic_new(&bed->arena, 1);
    request.topics_count = 1;
    request.topics[0] = (struct create_topics_request_topic){
        .name = SLICE_LITERAL("big"), .num_partitions = 10001, .replication_factor = 1};
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_POLICY_VIOLATION);
    assert_string_equal(bed->error.text, "Excessively large number of partitions per request.");
    request.topics[0].num_partitions = 10000;
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_POLICY_VIOLATION);
    assert_string_equal(bed->error.text, "Unable to perform excessively large batch operation.");
    request.topics[0].num_partitions = 9999;
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
    assert_int_equal(image_partition_count(bed->state.image), 9999);
}

static void test_no_broker_is_active(void **state) {
    struct bed *bed = *state;
    bed_heartbeat(bed, 1, true, false);
    struct create_topics_request request;
    struct create_topics_response response;
    codec_init(&create_topics_request_codec, &request);
    request.topics = create_topics_request_topic_new(&bed->arena, 2);
    request.topics_count = 2;
    static const struct create_case rows[] = {
        {"placed", 1, 1, NULL, NULL, ERR_INVALID_REPLICATION_FACTOR,
         "Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have "
         "all their log directories cordoned."},
        {"by-hand", -1, -1, NULL, "0:1", ERR_INVALID_REPLICA_ASSIGNMENT,
         "All brokers specified in the manual partition assignment for partition 0 are fenced or "
         "in "
         "controlled shutdown."},
    };
    for (int i = 0; i < 2; i++)
        fill_topic(bed, &rows[i], &request.topics[i]);
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
    for (int i = 0; i < 2; i++)
        check_row(&rows[i], &response.topics[i]);
}

// ---- DeleteTopics ----

static struct delete_topics_response delete_by(struct bed *bed, const char *const *names,
                                               const struct uuid *ids, int32_t count) {
    struct delete_topics_request request;
    struct delete_topics_response response;
    codec_init(&delete_topics_request_codec, &request);
    request.topics = delete_topics_request_topic_new(&bed->arena, count);
    request.topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        request.topics[i].name = slice_cstring(names[i]);
        request.topics[i].topic_id = ids[i];
    }
    assert_int_equal(BED_CALL(bed, delete_topics, 6, &request, &response), ERR_NONE);
    return response;
}

static void expect_deletion(const struct delete_topics_response *response, int32_t row,
                            const char *name, enum err error, const char *text) {
    const struct delete_topics_response_response *r = &response->responses[row];
    assert_int_equal(r->error_code, error);
    assert_true(slice_equal(r->name, slice_cstring(name)));
    if (!slice_equal(r->error_message, slice_cstring(text))) {
        fail_msg("%.*s", SLICE_PRINT(r->error_message));
    }
}

static void test_delete(void **state) {
    struct bed *bed = *state;
    struct uuid a = bed_create(bed, "a", 1, 1)->id;
    struct uuid b = bed_create(bed, "b", 1, 1)->id;
    struct uuid c = bed_create(bed, "c", 1, 1)->id;
    bed_create(bed, "d", 1, 1);
    struct uuid none = UUID_ZERO;
    struct uuid unknown = bed_uuid(77);
    const char *names[] = {"a", NULL, NULL, "b", NULL, "nope", NULL, "d", "d"};
    struct uuid ids[] = {none, b, none, b, unknown, none, c, none, none};
    struct delete_topics_response response = delete_by(bed, names, ids, 9);
    assert_int_equal(response.responses_count, 8);
    expect_deletion(&response, 0, NULL, ERR_INVALID_REQUEST,
                    "Neither topic name nor id were specified.");
    expect_deletion(&response, 1, "b", ERR_INVALID_REQUEST,
                    "You may not specify both topic name and topic id.");
    expect_deletion(&response, 2, NULL, ERR_UNKNOWN_TOPIC_ID,
                    "This server does not host this topic ID.");
    expect_deletion(&response, 3, "nope", ERR_UNKNOWN_TOPIC_OR_PARTITION,
                    "This server does not host this topic-partition.");
    expect_deletion(&response, 4, "d", ERR_INVALID_REQUEST, "Duplicate topic name.");
    expect_deletion(&response, 5, "a", ERR_NONE, NULL);
    assert_memory_equal(response.responses[5].topic_id.bytes, a.bytes, 16);
    expect_deletion(&response, 6, "b", ERR_NONE, NULL);
    expect_deletion(&response, 7, "c", ERR_NONE, NULL);
    assert_int_equal(image_topic_count(bed->state.image), 1);
}

static void test_delete_by_name_and_id(void **state) {
    struct bed *bed = *state;
    struct uuid a = bed_create(bed, "a", 1, 1)->id;
    const char *names[] = {"a", NULL};
    struct uuid ids[] = {UUID_ZERO, a};
    struct delete_topics_response response = delete_by(bed, names, ids, 2);
    assert_int_equal(response.responses_count, 1);
    expect_deletion(&response, 0, "a", ERR_INVALID_REQUEST,
                    "The provided topic name maps to an ID that was already supplied.");
    assert_int_equal(image_topic_count(bed->state.image), 1);
}

static void test_delete_is_disabled(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "a", 1, 1);
    assert_int_equal(config_set(bed->config, SLICE_LITERAL("delete.topic.enable"),
                                SLICE_LITERAL("false"), CONFIG_SOURCE_STATIC_BROKER, NULL),
                     ERR_NONE);
    struct delete_topics_request request;
    struct delete_topics_response response;
    codec_init(&delete_topics_request_codec, &request);
    struct slice names[] = {SLICE_LITERAL("a")};
    request.topic_names = names;
    request.topic_names_count = 1;
    assert_int_equal(BED_CALL(bed, delete_topics, 5, &request, &response),
                     ERR_TOPIC_DELETION_DISABLED);
    assert_int_equal(BED_CALL(bed, delete_topics, 2, &request, &response), ERR_INVALID_REQUEST);
    assert_string_equal(bed->error.text, "Topic deletion is disabled.");
}

// ---- CreatePartitions ----

static void test_create_partitions(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 2, 1);
    bed_create(bed, "u", 1, 1);
    static const struct {
        const char *name;
        int32_t count;
        int32_t assignments;  // -1: none given
        int32_t broker;
        enum err error;
        const char *text;
    } cases[] = {
        {"nope", 3, -1, 0, ERR_UNKNOWN_TOPIC_OR_PARTITION, NULL},
        {"t", 2, -1, 0, ERR_INVALID_PARTITIONS, "Topic already has 2 partition(s)."},
        {"t", 1, -1, 0, ERR_INVALID_PARTITIONS,
         "The topic t currently has 2 partition(s); 1 would not be an increase."},
        {"t", 4, 1, 1, ERR_INVALID_REPLICA_ASSIGNMENT,
         "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."},
        {"t", 3, 1, 9, ERR_INVALID_REPLICA_ASSIGNMENT,
         "The manual partition assignment includes broker 9, but no such broker is registered."},
        {"t", 3, 1, 1, ERR_NONE, NULL},
        {"t", 6, -1, 0, ERR_NONE, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct create_partitions_request request;
        struct create_partitions_response response;
        codec_init(&create_partitions_request_codec, &request);
        request.topics = create_partitions_request_topic_new(&bed->arena, 1);
        request.topics_count = 1;
        request.topics[0].name = slice_cstring(cases[i].name);
        request.topics[0].count = cases[i].count;
        request.topics[0].assignments_count = cases[i].assignments;
        if (cases[i].assignments > 0) {
            request.topics[0].assignments =
                create_partitions_request_assignment_new(&bed->arena, 1);
            int32_t broker = cases[i].broker;
            request.topics[0].assignments[0].broker_ids =
                arena_zalloc(&bed->arena, 1, sizeof(int32_t));
            request.topics[0].assignments[0].broker_ids[0] = broker;
            request.topics[0].assignments[0].broker_ids_count = 1;
        }
        request.validate_only = true;
        assert_int_equal(BED_CALL(bed, create_partitions, 3, &request, &response), ERR_NONE);
        assert_int_equal(bed->last_count, 0);
        request.validate_only = false;
        assert_int_equal(BED_CALL(bed, create_partitions, 3, &request, &response), ERR_NONE);
        assert_int_equal(response.results_count, 1);
        assert_int_equal(response.results[0].error_code, cases[i].error);
        if (!slice_equal(response.results[0].error_message, slice_cstring(cases[i].text))) {
            fail_msg("%.*s", SLICE_PRINT(response.results[0].error_message));
        }
    }
    assert_int_equal(image_topic(bed->state.image, SLICE_LITERAL("t"))->partition_count, 6);
    struct create_partitions_request request;
    struct create_partitions_response response;
    codec_init(&create_partitions_request_codec, &request);
    request.topics = create_partitions_request_topic_new(&bed->arena, 3);
    request.topics_count = 3;
    static const char *const names[] = {"t", "u", "t"};
    for (int i = 0; i < 3; i++) {
        request.topics[i].name = slice_cstring(names[i]);
        request.topics[i].count = 8;
        request.topics[i].assignments_count = -1;
    }
    assert_int_equal(BED_CALL(bed, create_partitions, 3, &request, &response), ERR_NONE);
    assert_int_equal(response.results_count, 2);
    assert_true(slice_equal_cstring(response.results[0].error_message, "Duplicate topic name."));
    assert_int_equal(response.results[1].error_code, ERR_NONE);
    assert_int_equal(image_topic(bed->state.image, SLICE_LITERAL("u"))->partition_count, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_create_rules),
        TEST(test_created_state),
        TEST(test_good_and_bad_are_independent),
        TEST(test_too_many_partitions),
        TEST(test_no_broker_is_active),
        TEST(test_delete),
        TEST(test_delete_by_name_and_id),
        TEST(test_delete_is_disabled),
        TEST(test_create_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
