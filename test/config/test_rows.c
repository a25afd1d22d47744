// The table of configs against the facts of Apache Kafka's own definitions, and the validators with
// Kafka's sentences.
#include "config/config.h"
#include "test/test.h"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static enum config_scope scope_of(const char *name) {
    if (strcmp(name, "broker") == 0) return CONFIG_SCOPE_BROKER;
    if (strcmp(name, "topic") == 0) return CONFIG_SCOPE_TOPIC;
    if (strcmp(name, "group") == 0) return CONFIG_SCOPE_GROUP;
    if (strcmp(name, "client-metrics") == 0) return CONFIG_SCOPE_CLIENT_METRICS;
    assert_true(strncmp(name, "quota-", 6) == 0);
    return CONFIG_SCOPE_QUOTA;
}

static const char *type_name(const struct config_row *row) {
    static const char *const names[] = {"",     "BOOLEAN", "STRING", "INT",   "SHORT",
                                        "LONG", "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};
    return names[row->type];
}

static void check_fact(char *line) {
    char *cell[7];
    for (int i = 0; i < 7; i++)
        cell[i] = strsep(&line, "\t");
    enum config_key key;
    if (!config_key_of(scope_of(cell[0]), slice_cstring(cell[1]), &key))
        fail_msg("no row %s of scope %s", cell[1], cell[0]);
    const struct config_row *row = config_row_of(key);
    assert_string_equal(type_name(row), cell[2]);
    assert_int_equal(row->required, strcmp(cell[3], "\\R") == 0);
    if (cell[3][0] == '\\')
        assert_null(row->default_text);
    else
        assert_string_equal(row->default_text, cell[3]);
    static const char *const importance[] = {"HIGH", "MEDIUM", "LOW"};
    assert_string_equal(importance[row->importance], cell[4]);
    assert_int_equal(row->internal, strcmp(cell[5], "internal") == 0);
    static const char *const update[] = {"-", "per-broker", "cluster-wide"};
    if (row->scope == CONFIG_SCOPE_BROKER) assert_string_equal(update[row->update], cell[6]);
}

static void test_facts_of_kafka(void **state) {
    (void)state;
    FILE *file = fopen(TEST_SOURCE_DIR "/config/kafka-4.4.0-facts.tsv", "r");
    assert_non_null(file);
    char line[1024];
    int facts = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#') continue;
        line[strcspn(line, "\n")] = '\0';
        check_fact(line);
        facts++;
    }
    fclose(file);
    int own = 0;
    for (int key = 0; key < CONFIG_KEY_COUNT; key++)
        own += strncmp(config_rows[key].name, "taccola.", 8) == 0;
    assert_int_equal(facts, CONFIG_KEY_COUNT - own);
    assert_int_equal(facts, 379 + 38 + 27 + 3 + 8);
}

// A default is printed as it stands in the row, and is valid.
static void test_defaults_are_valid(void **state) {
    (void)state;
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        const struct config_row *row = &config_rows[key];
        struct config_value value = config_default(key, &arena);
        assert_int_equal(value.is_null, row->default_text == NULL);
        if (value.is_null) continue;
        struct config_value parsed;
        struct message error;
        if (config_parse(key, slice_cstring(row->default_text), &arena, &parsed, &error))
            fail_msg("%s", error.text);
        if (!slice_equal_cstring(parsed.text, row->default_text))
            fail_msg("%s: %.*s is not %s", row->name, SLICE_PRINT(parsed.text), row->default_text);
    }
}

static void test_rows_are_sorted_and_found(void **state) {
    (void)state;
    for (int key = 0; key < CONFIG_KEY_COUNT; key++) {
        enum config_key found;
        assert_true(
            config_key_of(config_rows[key].scope, slice_cstring(config_rows[key].name), &found));
        assert_int_equal(found, key);
        assert_true(strlen(config_rows[key].documentation) > 10);
    }
    enum config_key found;
    assert_false(config_key_of(CONFIG_SCOPE_TOPIC, SLICE_LITERAL("log.dirs"), &found));
    assert_false(config_key_of(CONFIG_SCOPE_TOPIC, SLICE_LITERAL(""), &found));
}

static const char *parse(enum config_key key, const char *text) {
    static struct message error;
    static char value[256];
    struct config_value parsed;
    if (config_parse(key, slice_cstring(text), &arena, &parsed, &error) != ERR_NONE)
        return error.text;
    snprintf(value, sizeof value, "%.*s", SLICE_PRINT(parsed.text));
    return parsed.is_null ? "(null)" : value;
}

// Each sentence was taken from Apache Kafka 4.4.0's answer to the same value.
static void test_sentences_of_kafka(void **state) {
    (void)state;
    const struct {
        enum config_key key;
        const char *text;
        const char *answer;
    } cases[] = {
        {TOPIC_COMPRESSION_GZIP_LEVEL, "0",
         "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 "
         "or equal to -1"},
        {TOPIC_COMPRESSION_GZIP_LEVEL, "-1", "-1"},
        {TOPIC_COMPRESSION_TYPE, "x",
         "Invalid value x for configuration compression.type: String must be one of: uncompressed, "
         "zstd, lz4, snappy, gzip, producer"},
        {TOPIC_MIN_CLEANABLE_DIRTY_RATIO, "1.5",
         "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more "
         "than "
         "1"},
        {TOPIC_MIN_CLEANABLE_DIRTY_RATIO, "-0.5",
         "Invalid value -0.5 for configuration min.cleanable.dirty.ratio: Value must be at least "
         "0"},
        {TOPIC_MIN_CLEANABLE_DIRTY_RATIO, "x",
         "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type "
         "DOUBLE"},
        {TOPIC_MIN_CLEANABLE_DIRTY_RATIO, "NaN", "NaN"},
        {TOPIC_RETENTION_MS, "9.5",
         "Invalid value 9.5 for configuration retention.ms: Not a number of type LONG"},
        {TOPIC_CLEANUP_POLICY, "a,delete",
         "Invalid value a for configuration cleanup.policy: String must be one of: compact, "
         "delete"},
        {TOPIC_CLEANUP_POLICY, "", ""},
        {TOPIC_CLEANUP_POLICY, "delete , compact,delete", "delete,compact"},
        {TOPIC_CLEANUP_POLICY, "delete,",
         "Configuration 'cleanup.policy' values must not be empty."},
        {TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS, "a",
         "Invalid value [a] for configuration leader.replication.throttled.replicas: "
         "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in "
         "the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
        {TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS, "0:1, 12:3", "0:1,12:3"},
        {TOPIC_LEADER_REPLICATION_THROTTLED_REPLICAS, "*", "*"},
        {TOPIC_PREALLOCATE, "maybe",
         "Invalid value maybe for configuration preallocate: Expected value to be either true or "
         "false"},
        {TOPIC_PREALLOCATE, " TRUE ", "true"},
        {TOPIC_SEGMENT_BYTES, " 7 ",
         "Invalid value 7 for configuration segment.bytes: Value must be at least 1048576"},
        {TOPIC_SEGMENT_BYTES, "99999999999",
         "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT"},
        {TOPIC_SEGMENT_BYTES, "",
         "Invalid value  for configuration segment.bytes: Not a number of type INT"},
        {TOPIC_FLUSH_MS, "+5", "5"},
        {TOPIC_COMPRESSION_ZSTD_LEVEL, "23",
         "Invalid value 23 for configuration compression.zstd.level: Value must be no more than "
         "22"},
        {BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR, "40000",
         "Invalid value 40000 for configuration offsets.topic.replication.factor: Not a number of "
         "type SHORT"},
        {BROKER_LISTENERS, "",
         "Configuration 'listeners' must not be empty. Valid values include: any non-empty value"},
        {BROKER_PROCESS_ROLES, "",
         "Configuration 'process.roles' must not be empty. Valid values include: [broker, "
         "controller]"},
        {BROKER_REMOTE_LOG_STORAGE_MANAGER_CLASS_NAME, "",
         "Invalid value  for configuration remote.log.storage.manager.class.name: String must be "
         "non-empty"},
        {BROKER_GROUP_CONSUMER_MIGRATION_POLICY, "Upgrade", "Upgrade"},
        {BROKER_GROUP_CONSUMER_MIGRATION_POLICY, "up",
         "Invalid value up for configuration group.consumer.migration.policy: String must be one "
         "of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL"},
        {BROKER_CONTROLLER_QUORUM_VOTERS, "1@a:9093,2@[::1]:9094", "1@a:9093,2@[::1]:9094"},
        {BROKER_CONTROLLER_QUORUM_VOTERS, "a:9093",
         "Invalid configuration value for controller.quorum.voters. Each entry should be in the "
         "form `{id}@{host}:{port}`."},
        {BROKER_CONTROLLER_QUORUM_VOTERS, "x@a:9093",
         "Failed to parse voter ID as an integer from x"},
        {BROKER_CONTROLLER_QUORUM_VOTERS, "1@a",
         "Failed to parse host name from entry 1@a for the configuration controller.quorum.voters. "
         "Each entry should be in the form `{id}@{host}:{port}`."},
        {GROUP_SHARE_AUTO_OFFSET_RESET, "by_duration:PT1H30.5S", "by_duration:PT1H30.5S"},
        {GROUP_SHARE_AUTO_OFFSET_RESET, "by_duration:PT",
         "Invalid value by_duration:PT for configuration share.auto.offset.reset: Invalid value "
         "`by_duration:PT` for configuration share.auto.offset.reset. The value must be either "
         "'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(parse(cases[i].key, cases[i].text), cases[i].answer);
}

static void test_null_values(void **state) {
    (void)state;
    struct config_value value;
    struct message error;
    assert_int_equal(config_parse(BROKER_LOG_DIRS, SLICE_NULL, &arena, &value, &error), ERR_NONE);
    assert_true(value.is_null);
    assert_int_equal(config_parse(TOPIC_SEGMENT_BYTES, SLICE_NULL, &arena, &value, &error),
                     ERR_INVALID_CONFIG);
    assert_string_equal(error.text,
                        "Invalid value null for configuration segment.bytes: Value must be "
                        "non-null");
}

static void test_numbers_as_java_prints_them(void **state) {
    (void)state;
    const char *cases[][2] = {{"0.5", "0.5"},           {"1", "1.0"},
                              {"1e10", "1.0E10"},       {"0.001", "0.001"},
                              {"9.999e-4", "9.999E-4"}, {"1234567", "1234567.0"},
                              {"1e7", "1.0E7"},         {"2147483647", "2.147483647E9"},
                              {"100", "100.0"},         {"-0.0", "-0.0"},
                              {"1.25d", "1.25"},        {".5", "0.5"},
                              {"Infinity", "Infinity"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(parse(QUOTA_REQUEST_PERCENTAGE, cases[i][0]), cases[i][1]);
    const char *bad[] = {"", "inf", "nan", "0x10", "1 2", "1e", "--1", "infinity"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_non_null(
            strstr(parse(QUOTA_REQUEST_PERCENTAGE, bad[i]), "Not a number of type DOUBLE"));
}

static void test_nearest_name(void **state) {
    (void)state;
    struct slice near =
        config_nearest_name(CONFIG_SCOPE_BROKER, SLICE_LITERAL("log.retention.hour"));
    assert_true(slice_equal_cstring(near, "log.retention.hours"));
    near = config_nearest_name(CONFIG_SCOPE_BROKER, SLICE_LITERAL("advertized.listeners"));
    assert_true(slice_equal_cstring(near, "advertised.listeners"));
    near = config_nearest_name(CONFIG_SCOPE_TOPIC, SLICE_LITERAL("segment.byte"));
    assert_true(slice_equal_cstring(near, "segment.bytes"));
    assert_true(slice_is_null(
        config_nearest_name(CONFIG_SCOPE_BROKER, SLICE_LITERAL("quite.other.thing"))));
    char longest[4096];
    memset(longest, 'a', sizeof longest);
    assert_true(
        slice_is_null(config_nearest_name(CONFIG_SCOPE_BROKER, slice_of(longest, sizeof longest))));
}

static void test_listener_prefixes(void **state) {
    (void)state;
    enum config_key key;
    assert_true(
        config_broker_key_of(SLICE_LITERAL("listener.name.internal.num.network.threads"), &key));
    assert_int_equal(key, BROKER_NUM_NETWORK_THREADS);
    assert_true(config_broker_key_of(
        SLICE_LITERAL("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"), &key));
    assert_int_equal(key, BROKER_SASL_JAAS_CONFIG);
    assert_false(config_broker_key_of(SLICE_LITERAL("listener.name.internal"), &key));
    assert_false(config_broker_key_of(SLICE_LITERAL("listener.name.x.nothing"), &key));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts_of_kafka),
        cmocka_unit_test(test_defaults_are_valid),
        cmocka_unit_test(test_rows_are_sorted_and_found),
        cmocka_unit_test(test_sentences_of_kafka),
        cmocka_unit_test(test_null_values),
        cmocka_unit_test(test_numbers_as_java_prints_them),
        cmocka_unit_test(test_nearest_name),
        cmocka_unit_test(test_listener_prefixes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
