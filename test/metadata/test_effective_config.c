// Effective values, what DescribeConfigs shows, and changes of dynamic configs, over real images.
#include "metadata/config_change.h"
#include "metadata/effective_config.h"
#include "test/test.h"

struct fixture {
    struct image *image;
    struct config *config;
    struct arena arena;
    int64_t offset;
};

static void apply(struct fixture *f, enum metadata_record_type type, const void *record) {
    struct message error;
    assert_int_equal(image_apply(&f->image, type, record, f->offset++, 1, &error), ERR_NONE);
}

static void set_config(struct fixture *f, enum config_resource_type type, const char *resource,
                       const char *name, const char *value) {
    struct config_record record;
    codec_init(&config_record_codec, &record);
    record.resource_type = (int8_t)type;
    record.resource_name = slice_cstring(resource);
    record.name = slice_cstring(name);
    record.value = slice_cstring(value);
    apply(f, METADATA_CONFIG, &record);
}

static void set_feature(struct fixture *f, const char *name, int16_t level) {
    struct feature_level_record record;
    codec_init(&feature_level_record_codec, &record);
    record.name = slice_cstring(name);
    record.feature_level = level;
    apply(f, METADATA_FEATURE_LEVEL, &record);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena);
    f->image = image_new();
    f->config = config_new();
    config_add_standalone_defaults(f->config);
    struct message error;
    assert_int_equal(
        config_add_override(f->config, SLICE_LITERAL("log.retention.hours=24"), &error), 0);
    assert_int_equal(config_finish(f->config, &error), ERR_NONE);
    set_feature(f, "metadata.version", 30);
    struct topic_record topic;
    codec_init(&topic_record_codec, &topic);
    topic.name = SLICE_LITERAL("t");
    topic.topic_id.bytes[3] = 7;
    apply(f, METADATA_TOPIC, &topic);
    struct register_broker_record broker;
    codec_init(&register_broker_record_codec, &broker);
    broker.broker_id = 1;
    broker.broker_epoch = 5;
    apply(f, METADATA_REGISTER_BROKER, &broker);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    image_unref(f->image);
    config_free(f->config);
    arena_deinit(&f->arena);
    free(f);
    return 0;
}

static const struct effective_entry *find(struct effective_entries entries, const char *name) {
    for (int32_t i = 0; i < entries.count; i++)
        if (slice_equal_cstring(entries.items[i].name, name)) return &entries.items[i];
    return NULL;
}

// "value source name=value/source …" of an entry and its synonyms.
static const char *show(struct effective_entries entries, const char *name) {
    static char text[512];
    const struct effective_entry *entry = find(entries, name);
    if (entry == NULL) return "-";
    int size = snprintf(text, sizeof text, "%.*s %d", SLICE_PRINT(entry->value), entry->source);
    for (int32_t i = 0; i < entry->synonym_count; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, " %.*s=%.*s/%d",
                         SLICE_PRINT(entry->synonyms[i].name),
                         SLICE_PRINT(entry->synonyms[i].value), entry->synonyms[i].source);
    return text;
}

static void test_layers_of_a_topic(void **state) {
    struct fixture *f = *state;
    struct topic_settings s;
    struct slice topic = SLICE_LITERAL("t");
    effective_topic_settings(f->image, f->config, topic, &s);
    assert_int_equal(s.retention_ms, 24 * 3600000);
    assert_int_equal(s.segment_ms, 168 * 3600000);
    assert_int_equal(s.flush_ms, INT64_MAX);
    assert_int_equal(s.max_message_bytes, 1048588);
    assert_true(s.delete_policy && !s.compact_policy && !s.log_append_time);
    assert_true(slice_equal_cstring(s.compression_type, "producer"));
    assert_true(s.min_cleanable_dirty_ratio == 0.5);

    set_config(f, CONFIG_RESOURCE_BROKER, "", "log.retention.ms", "1000");
    set_config(f, CONFIG_RESOURCE_BROKER, "", "message.max.bytes", "2000");
    effective_topic_settings(f->image, f->config, topic, &s);
    assert_int_equal(s.retention_ms, 1000);
    set_config(f, CONFIG_RESOURCE_BROKER, "1", "log.retention.ms", "3000");
    set_config(f, CONFIG_RESOURCE_BROKER, "2", "log.retention.ms", "9999");
    assert_int_equal(effective_topic_long(f->image, f->config, topic, TOPIC_RETENTION_MS), 3000);
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", "-1");
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", "compact,delete");
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "internal.segment.bytes", "4096");
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "message.format.version", "2.8");
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "min.insync.replicas", "not a number");
    effective_topic_settings(f->image, f->config, topic, &s);
    assert_int_equal(s.retention_ms, -1);
    assert_int_equal(s.segment_bytes, 4096);
    assert_int_equal(s.min_insync_replicas, 1);
    assert_int_equal(s.max_message_bytes, 2000);
    assert_true(s.delete_policy && s.compact_policy);
}

static void test_layered_broker(void **state) {
    struct fixture *f = *state;
    struct image *before = image_ref(f->image);
    set_config(f, CONFIG_RESOURCE_BROKER, "", "max.connections", "7");
    set_config(f, CONFIG_RESOURCE_BROKER, "", "log.dirs", "/elsewhere");     // read-only
    set_config(f, CONFIG_RESOURCE_BROKER, "", "cordoned.log.dirs", "data");  // per broker only
    set_config(f, CONFIG_RESOURCE_BROKER, "1", "num.io.threads", "0");       // invalid
    set_config(f, CONFIG_RESOURCE_BROKER, "1", "message.max.bytes", "9");
    struct config *layered = effective_broker_config(f->config, f->image);
    assert_int_equal(config_int(layered, BROKER_MAX_CONNECTIONS), 7);
    assert_int_equal(config_int(layered, BROKER_NUM_IO_THREADS), 8);
    assert_int_equal(config_int(layered, BROKER_MESSAGE_MAX_BYTES), 9);
    assert_true(slice_equal_cstring(config_log_dirs(layered).items[0], "data"));
    assert_int_equal(config_warning_count(layered), 3);
    config_free(layered);
    assert_true(effective_broker_config_changed(before, f->image, 1));
    assert_false(effective_broker_config_changed(f->image, f->image, 1));
    struct image *middle = image_ref(f->image);
    set_config(f, CONFIG_RESOURCE_BROKER, "2", "max.connections", "7");
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "retention.ms", "7");
    assert_false(effective_broker_config_changed(middle, f->image, 1));
    image_unref(middle);
    image_unref(before);
}

// As Apache Kafka 4.4.0 answers in the same situation.
static void test_describe_topic(void **state) {
    struct fixture *f = *state;
    set_config(f, CONFIG_RESOURCE_TOPIC, "t", "cleanup.policy", "compact, delete");
    set_config(f, CONFIG_RESOURCE_BROKER, "", "message.max.bytes", "2000");
    struct config *layered = effective_broker_config(f->config, f->image);
    struct effective_entries all =
        effective_describe_topic(f->image, layered, SLICE_LITERAL("t"), &f->arena);
    assert_int_equal(all.count, 37);
    assert_string_equal(
        show(all, "cleanup.policy"),
        "compact,delete 1 cleanup.policy=compact,delete/1 log.cleanup.policy=delete/5");
    assert_string_equal(show(all, "max.message.bytes"),
                        "2000 3 message.max.bytes=2000/3 message.max.bytes=1048588/5");
    assert_string_equal(show(all, "retention.ms"), "86400000 5");
    assert_string_equal(show(all, "flush.ms"), "9223372036854775807 5");
    assert_string_equal(show(all, "min.cleanable.dirty.ratio"),
                        "0.5 5 log.cleaner.min.cleanable.ratio=0.5/5");
    assert_string_equal(show(all, "remote.storage.enable"), "false 5");
    assert_string_equal(show(all, "internal.segment.bytes"), "-");
    assert_false(find(all, "retention.ms")->read_only);
    assert_int_equal(find(all, "retention.ms")->type, CONFIG_TYPE_LONG);
    config_free(layered);
}

static void test_describe_broker(void **state) {
    struct fixture *f = *state;
    set_config(f, CONFIG_RESOURCE_BROKER, "", "message.max.bytes", "2000");
    set_config(f, CONFIG_RESOURCE_BROKER, "1", "message.max.bytes", "3000");
    set_config(f, CONFIG_RESOURCE_BROKER, "", "leader.replication.throttled.rate", "5");
    set_config(f, CONFIG_RESOURCE_BROKER, "", "my.own", "x");
    struct config *layered = effective_broker_config(f->config, f->image);
    struct effective_entries all = effective_describe_broker(f->image, layered, false, &f->arena);
    assert_string_equal(show(all, "message.max.bytes"),
                        "3000 2 message.max.bytes=3000/2 message.max.bytes=2000/3 "
                        "message.max.bytes=1048588/5");
    assert_string_equal(show(all, "log.retention.hours"),
                        "24 4 log.retention.hours=24/4 log.retention.hours=168/5");
    assert_string_equal(show(all, "log.retention.ms"), " 5");
    assert_string_equal(show(all, "broker.id"), "1 4 broker.id=1/4 broker.id=-1/5");
    assert_string_equal(show(all, "log.dirs"), "data 4 log.dirs=data/4");
    assert_string_equal(show(all, "leader.replication.throttled.rate"),
                        "5 3 leader.replication.throttled.rate=5/3");
    assert_true(find(all, "log.dirs")->read_only);
    assert_false(find(all, "message.max.bytes")->read_only);
    assert_false(find(all, "leader.replication.throttled.rate")->read_only);
    assert_true(find(all, "ssl.keystore.password")->sensitive);
    assert_true(find(all, "my.own")->sensitive && slice_is_null(find(all, "my.own")->value));
    assert_null(find(all, "unstable.api.versions.enable"));  // internal
    struct effective_entries cluster =
        effective_describe_broker(f->image, layered, true, &f->arena);
    assert_int_equal(cluster.count, 3);
    assert_string_equal(show(cluster, "message.max.bytes"), "2000 3 message.max.bytes=2000/3");
    config_free(layered);
}

static void test_describe_group_and_metrics(void **state) {
    struct fixture *f = *state;
    set_config(f, CONFIG_RESOURCE_GROUP, "g", "consumer.session.timeout.ms", "50000");
    struct effective_entries all =
        effective_describe_group(f->image, f->config, SLICE_LITERAL("g"), &f->arena);
    assert_string_equal(show(all, "consumer.session.timeout.ms"),
                        "50000 8 consumer.session.timeout.ms=50000/8 "
                        "group.consumer.session.timeout.ms=45000/5");
    assert_string_equal(show(all, "share.isolation.level"),
                        "read_uncommitted 5 share.isolation.level=read_uncommitted/5");
    assert_string_equal(show(all, "streams.assignor.name"),
                        "sticky 5 group.streams.assignors=sticky/5");
    assert_null(find(all, "streams.num.warmup.replicas"));
    assert_int_equal(effective_group_long(f->image, f->config, SLICE_LITERAL("g"),
                                          GROUP_CONSUMER_SESSION_TIMEOUT_MS),
                     50000);
    set_config(f, CONFIG_RESOURCE_GROUP, "g", "consumer.session.timeout.ms", "5");
    assert_int_equal(effective_group_long(f->image, f->config, SLICE_LITERAL("g"),
                                          GROUP_CONSUMER_SESSION_TIMEOUT_MS),
                     45000);
    set_config(f, CONFIG_RESOURCE_CLIENT_METRICS, "m", "interval.ms", "1000");
    all = effective_describe_client_metrics(f->image, SLICE_LITERAL("m"), &f->arena);
    assert_int_equal(all.count, 3);
    assert_string_equal(show(all, "interval.ms"), "1000 7 interval.ms=1000/7");
    assert_string_equal(show(all, "match"), " 5");
}

// Plans one alteration: "name=value" of each record (null: name-), or "CODE sentence".
static const char *plan(struct fixture *f, enum config_resource_type type, const char *resource,
                        int8_t operation, const char *name, const char *value) {
    static char text[1024];
    struct config_alteration alteration = {slice_cstring(name), slice_cstring(value), operation};
    struct config_change change = {type, slice_cstring(resource), &alteration, 1, operation == 9};
    if (operation == 9) alteration.operation = CONFIG_SET;
    struct config_pair *records = NULL;
    int32_t count = 0;
    struct message error;
    message_init(&error);
    enum err err =
        config_change_plan(f->image, f->config, &change, &f->arena, &records, &count, &error);
    if (err != ERR_NONE) {
        snprintf(text, sizeof text, "%s %s", err_name(err), error.text);
        return text;
    }
    int size = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < count; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "%s%.*s%s%.*s", i == 0 ? "" : " ",
                         SLICE_PRINT(records[i].name), slice_is_null(records[i].value) ? "-" : "=",
                         SLICE_PRINT(records[i].value));
    return text;
}

#define REPLACE_ALL 9

static void test_change_topic(void **state) {
    struct fixture *f = *state;
    const enum config_resource_type topic = CONFIG_RESOURCE_TOPIC;
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "retention.ms", "5"), "retention.ms=5");
    assert_string_equal(plan(f, topic, "t", CONFIG_DELETE, "retention.ms", NULL), "");
    set_config(f, topic, "t", "retention.ms", "5");
    set_config(f, topic, "t", "segment.ms", "7");
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "retention.ms", "5"), "");
    assert_string_equal(plan(f, topic, "t", CONFIG_DELETE, "retention.ms", NULL), "retention.ms-");
    assert_string_equal(plan(f, topic, "t", CONFIG_APPEND, "cleanup.policy", "compact,delete"),
                        "cleanup.policy=delete,compact");
    assert_string_equal(plan(f, topic, "t", CONFIG_SUBTRACT, "cleanup.policy", "delete"),
                        "cleanup.policy=");
    assert_string_equal(
        plan(f, topic, "t", CONFIG_APPEND, "retention.ms", "5"),
        "INVALID_CONFIG Can't APPEND to key retention.ms because its type is not LIST.");
    assert_string_equal(plan(f, topic, "t", REPLACE_ALL, "retention.bytes", "9"),
                        "retention.bytes=9 retention.ms- segment.ms-");
    assert_string_equal(plan(f, topic, "none", CONFIG_SET, "retention.ms", "5"),
                        "UNKNOWN_TOPIC_OR_PARTITION The topic 'none' does not exist.");
    assert_string_equal(plan(f, topic, "", CONFIG_SET, "retention.ms", "5"),
                        "INVALID_REQUEST Default topic resources are not allowed.");
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "nothing", "5"),
                        "INVALID_CONFIG Unknown topic config name: nothing");
    assert_string_equal(
        plan(f, topic, "t", CONFIG_SET, "retention.ms", "x"),
        "INVALID_CONFIG Invalid value x for configuration retention.ms: Not a number of "
        "type LONG");
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "retention.ms", NULL),
                        "INVALID_REQUEST Null value not supported for : retention.ms");
    assert_string_equal(plan(f, topic, "t", 7, "retention.ms", "1"), "UNKNOWN_SERVER_ERROR ");
    assert_string_equal(plan(f, CONFIG_RESOURCE_BROKER, "1", 7, "max.connections", "1"),
                        "INVALID_REQUEST Unknown operations type 7");
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "max.compaction.lag.ms", "1"),
                        "max.compaction.lag.ms=1");
    set_config(f, topic, "t", "min.compaction.lag.ms", "10");
    assert_string_equal(plan(f, topic, "t", CONFIG_SET, "max.compaction.lag.ms", "9"),
                        "INVALID_CONFIG conflict topic config setting min.compaction.lag.ms (10) > "
                        "max.compaction.lag.ms (9)");
    assert_string_equal(
        plan(f, topic, "t", CONFIG_SET, "remote.storage.enable", "true"),
        "INVALID_CONFIG Tiered Storage functionality is disabled in the broker. Topic "
        "cannot be configured with remote log storage.");
}

static void test_change_broker(void **state) {
    struct fixture *f = *state;
    const enum config_resource_type broker = CONFIG_RESOURCE_BROKER;
    assert_string_equal(plan(f, broker, "1", CONFIG_SET, "max.connections", "5"),
                        "max.connections=5");
    assert_string_equal(plan(f, broker, "", CONFIG_SET, "max.connections", "5"),
                        "max.connections=5");
    set_config(f, broker, "", "max.connections", "5");
    assert_string_equal(plan(f, broker, "", CONFIG_SET, "max.connections", "5"),
                        "max.connections=5");
    assert_string_equal(plan(f, broker, "2", CONFIG_SET, "max.connections", "5"),
                        "INVALID_REQUEST Unexpected broker id, expected 1, but received 2");
    assert_string_equal(plan(f, broker, "x", CONFIG_SET, "max.connections", "5"),
                        "INVALID_REQUEST Node id must be an integer, but it is: x");
    assert_string_equal(plan(f, broker, "", CONFIG_SET, "log.dirs", "/x"),
                        "INVALID_REQUEST Cannot update these configs dynamically: [log.dirs]");
    assert_string_equal(
        plan(f, broker, "", CONFIG_SET, "cordoned.log.dirs", "data"),
        "INVALID_REQUEST Cannot update these configs at default cluster level, broker id "
        "must be specified: [cordoned.log.dirs]");
    assert_string_equal(plan(f, broker, "1", CONFIG_APPEND, "cordoned.log.dirs", "data"),
                        "cordoned.log.dirs=data");
    assert_string_equal(plan(f, broker, "1", CONFIG_SET, "ssl.keystore.type", "x"),
                        "INVALID_REQUEST These security configs can be dynamically updated only "
                        "per-listener using the listener prefix: [ssl.keystore.type]");
    assert_string_equal(
        plan(f, broker, "1", CONFIG_APPEND, "max.connections", "5"),
        "INVALID_CONFIG Config value append is not allowed for config key: max.connections");
    assert_string_equal(
        plan(f, broker, "1", CONFIG_SET, "num.io.threads", "100"),
        "INVALID_REQUEST Invalid value org.apache.kafka.common.config.ConfigException: "
        "Dynamic thread count update validation failed for num.io.threads=100, value "
        "should not be greater than double the current value 8 for configuration "
        "Invalid dynamic configuration");
    assert_string_equal(plan(f, broker, "1", CONFIG_SET, "max.connections.per.ip", "0"),
                        "INVALID_REQUEST max.connections.per.ip can be set to zero only if "
                        "max.connections.per.ip.overrides property is set.");
    assert_string_equal(plan(f, broker, "", CONFIG_SET, "leader.replication.throttled.rate", "-1"),
                        "INVALID_REQUEST Invalid value -1 for configuration "
                        "leader.replication.throttled.rate: Value must be at least 0");
    assert_string_equal(plan(f, broker, "", CONFIG_SET, "my.own", "x"), "my.own=x");
    assert_string_equal(plan(f, broker, "1", CONFIG_SET, "listeners",
                             "PLAINTEXT://127.0.0.1:9999,CONTROLLER://127.0.0.1:9093"),
                        "INVALID_REQUEST listeners cannot be changed while the broker runs");
}

static void test_change_with_elr(void **state) {
    struct fixture *f = *state;
    set_feature(f, "eligible.leader.replicas.version", 1);
    assert_string_equal(
        plan(f, CONFIG_RESOURCE_BROKER, "1", CONFIG_SET, "min.insync.replicas", "2"),
        "INVALID_CONFIG Broker-level min.insync.replicas cannot be altered while ELR is "
        "enabled.");
    assert_string_equal(
        plan(f, CONFIG_RESOURCE_BROKER, "", CONFIG_DELETE, "min.insync.replicas", NULL),
        "INVALID_CONFIG Cluster-level min.insync.replicas cannot be removed while ELR is "
        "enabled.");
    assert_string_equal(plan(f, CONFIG_RESOURCE_BROKER, "", CONFIG_SET, "min.insync.replicas", "2"),
                        "min.insync.replicas=2");
}

static void test_change_group_and_metrics(void **state) {
    struct fixture *f = *state;
    const enum config_resource_type group = CONFIG_RESOURCE_GROUP;
    assert_string_equal(plan(f, group, "g", CONFIG_SET, "consumer.session.timeout.ms", "46000"),
                        "consumer.session.timeout.ms=46000");
    assert_string_equal(
        plan(f, group, "g", CONFIG_SET, "consumer.session.timeout.ms", "5"),
        "INVALID_CONFIG consumer.session.timeout.ms must be in the range 45000 to 60000 "
        "inclusive.");
    assert_string_equal(plan(f, group, "g", CONFIG_SET, "nothing", "5"),
                        "INVALID_CONFIG Unknown group config name: nothing");
    assert_string_equal(plan(f, group, "", CONFIG_SET, "nothing", "5"),
                        "INVALID_REQUEST Default group resources are not allowed.");
    assert_string_equal(
        plan(f, group, "g", CONFIG_SET, "streams.num.standby.replicas", "9"),
        "INVALID_CONFIG streams.num.standby.replicas must be less than or equal to 2");
    assert_string_equal(
        plan(f, group, "g", CONFIG_SET, "streams.assignor.name", "x"),
        "INVALID_CONFIG streams.assignor.name 'x' is not a registered task assignor. "
        "Registered assignors are: [sticky].");
    assert_string_equal(
        plan(f, group, "g", CONFIG_SET, "streams.rack.aware.assignment.tags", "a, b,a"),
        "INVALID_CONFIG streams.rack.aware.assignment.tags must not contain duplicate tag "
        "keys.");
    const enum config_resource_type metrics = CONFIG_RESOURCE_CLIENT_METRICS;
    assert_string_equal(plan(f, metrics, "m", CONFIG_SET, "interval.ms", "100"), "interval.ms=100");
    assert_string_equal(
        plan(f, metrics, "m", CONFIG_SET, "interval.ms", "99"),
        "INVALID_REQUEST Invalid value 99 for interval.ms, interval must be between 100 "
        "and 3600000 (1 hour)");
    assert_string_equal(plan(f, metrics, "m", CONFIG_SET, "x", "99"),
                        "INVALID_REQUEST Unknown client metrics configuration: x");
    assert_string_equal(
        plan(f, metrics, "m", CONFIG_SET, "match", "client_id=a.*,client_software_name=x"),
        "match=client_id=a.*,client_software_name=x");
    assert_string_equal(plan(f, metrics, "m", CONFIG_SET, "match", "user=a"),
                        "INVALID_CONFIG Illegal client matching pattern: user=a");
    assert_string_equal(plan(f, 3, "m", CONFIG_SET, "x", "99"),
                        "INVALID_REQUEST Unknown resource type 3");
}

static void test_duplicate_names(void **state) {
    struct fixture *f = *state;
    struct config_alteration twice[2] = {
        {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("1"), CONFIG_SET},
        {SLICE_LITERAL("retention.ms"), SLICE_LITERAL("2"), CONFIG_SET}};
    struct config_change change = {CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), twice, 2, false};
    struct config_pair *records;
    int32_t count;
    struct message error;
    assert_int_equal(
        config_change_plan(f->image, f->config, &change, &f->arena, &records, &count, &error),
        ERR_INVALID_REQUEST);
    assert_string_equal(error.text, "Error due to duplicate config keys");
}

static void test_new_topic(void **state) {
    struct fixture *f = *state;
    set_config(f, CONFIG_RESOURCE_BROKER, "", "message.max.bytes", "2000");
    struct config_pair configs[] = {{SLICE_LITERAL("segment.ms"), SLICE_LITERAL("77")}};
    struct effective_entries all = effective_new_topic(f->image, f->config, configs, 1, &f->arena);
    assert_int_equal(all.count, 37);
    assert_string_equal(show(all, "internal.segment.bytes"), "-");
    assert_string_equal(show(all, "segment.ms"), "77 1");
    assert_string_equal(show(all, "max.message.bytes"), "2000 3");
    assert_string_equal(show(all, "retention.ms"), "86400000 4");
    assert_string_equal(show(all, "index.interval.bytes"), "4096 5");
    struct message error;
    assert_int_equal(config_validate_new_topic(f->image, f->config, configs, 1, &error), ERR_NONE);
    configs[0].value = SLICE_NULL;
    assert_int_equal(config_validate_new_topic(f->image, f->config, configs, 1, &error),
                     ERR_INVALID_CONFIG);
    assert_string_equal(error.text, "Null value not supported for topic configs: segment.ms");
    configs[0] = (struct config_pair){SLICE_LITERAL("segment.m"), SLICE_LITERAL("1")};
    assert_int_equal(config_validate_new_topic(f->image, f->config, configs, 1, &error),
                     ERR_INVALID_CONFIG);
    assert_string_equal(error.text, "Unknown topic config name: segment.m");
}

int main(void) {
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_layers_of_a_topic),
        WITH_FIXTURE(test_layered_broker),
        WITH_FIXTURE(test_describe_topic),
        WITH_FIXTURE(test_describe_broker),
        WITH_FIXTURE(test_describe_group_and_metrics),
        WITH_FIXTURE(test_change_topic),
        WITH_FIXTURE(test_change_broker),
        WITH_FIXTURE(test_change_with_elr),
        WITH_FIXTURE(test_change_group_and_metrics),
        WITH_FIXTURE(test_duplicate_names),
        WITH_FIXTURE(test_new_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
