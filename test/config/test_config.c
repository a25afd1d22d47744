// A node's configuration: files, overrides, sources, the checks across keys and what is refused.
#include "config/config.h"
#include "test/test.h"

// The keys and values of the server.properties that Kafka 4.3 and 4.4 ship.
static const char shipped[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "controller.quorum.bootstrap.servers=localhost:9093\n"
    "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n"
    "inter.broker.listener.name=PLAINTEXT\n"
    "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"
    "controller.listener.names=CONTROLLER\n"
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,"
    "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n"
    "num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n"
    "socket.receive.buffer.bytes=102400\nsocket.request.max.bytes=104857600\n"
    "log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=1\n"
    "offsets.topic.replication.factor=1\nshare.coordinator.state.topic.replication.factor=1\n"
    "share.coordinator.state.topic.min.isr=1\ntransaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n"
    "log.retention.check.interval.ms=300000\n";

// Loads `text` with overrides (ended by NULL); the error's sentence, or "" when all is well.
static const char *load(struct config **out, const char *text, const char *const *overrides) {
    static struct message error;
    message_init(&error);
    struct config *config = config_new();
    enum err err = config_add_properties(config, slice_cstring(text), &error);
    for (; err == ERR_NONE && overrides != NULL && *overrides != NULL; overrides++)
        err = config_add_override(config, slice_cstring(*overrides), &error);
    if (err == ERR_NONE) err = config_finish(config, &error);
    if (err == ERR_NONE) err = config_refuse_unsupported(config, &error);
    if (out != NULL && err == ERR_NONE)
        *out = config;
    else
        config_free(config);
    return err == ERR_NONE ? "" : error.text;
}

static const char *load_with(const char *override) {
    const char *overrides[] = {override, NULL};
    return load(NULL, shipped, overrides);
}

static void test_the_shipped_file(void **state) {
    (void)state;
    struct config *config = NULL;
    assert_string_equal(load(&config, shipped, NULL), "");
    assert_int_equal(config_warning_count(config), 0);
    assert_int_equal(config_node_id(config), 1);
    assert_int_equal(config_int(config, BROKER_BROKER_ID), 1);
    assert_true(config_is_broker(config) && config_is_controller(config));
    assert_int_equal(config_listener_count(config), 2);
    const struct config_listener *broker = config_listener_at(config, 0);
    assert_true(slice_equal_cstring(broker->name, "PLAINTEXT"));
    assert_int_equal(broker->host.size, 0);
    assert_int_equal(broker->port, 9092);
    assert_true(slice_equal_cstring(broker->advertised_host, "localhost"));
    assert_true(broker->is_inter_broker && !broker->is_controller && broker->is_advertised);
    const struct config_listener *controller = config_listener_at(config, 1);
    assert_true(controller->is_controller);
    assert_int_equal(controller->protocol, SECURITY_PLAINTEXT);
    assert_int_equal(config_bootstrap_count(config), 1);
    assert_int_equal(config_bootstrap_at(config, 0)->port, 9093);
    assert_int_equal(config_voter_count(config), 0);
    assert_true(slice_equal_cstring(config_metadata_log_dir(config), "/tmp/kraft-combined-logs"));
    assert_int_equal(config_long(config, BROKER_LOG_RETENTION_CHECK_INTERVAL_MS), 300000);
    assert_int_equal(config_log_retention_ms(config), 168 * 3600000LL);
    assert_int_equal(config_source(config, BROKER_NUM_PARTITIONS), CONFIG_SOURCE_STATIC_BROKER);
    assert_int_equal(config_source(config, BROKER_MESSAGE_MAX_BYTES), CONFIG_SOURCE_DEFAULT);
    config_free(config);
}

static void test_standalone_defaults(void **state) {
    (void)state;
    struct config *config = config_new();
    struct message error;
    config_add_standalone_defaults(config);
    assert_int_equal(config_add_override(config, SLICE_LITERAL("log.dirs = /x , /y"), &error), 0);
    assert_int_equal(config_finish(config, &error), ERR_NONE);
    assert_int_equal(config_refuse_unsupported(config, &error), ERR_NONE);
    assert_int_equal(config_log_dirs(config).count, 2);
    assert_true(slice_equal_cstring(config_log_dirs(config).items[1], "/y"));
    assert_int_equal(config_int(config, BROKER_OFFSETS_TOPIC_REPLICATION_FACTOR), 1);
    assert_true(slice_equal_cstring(config_listener_at(config, 0)->advertised_host, "127.0.0.1"));
    assert_int_equal(config_warning_count(config), 0);
    config_free(config);
}

static void test_layers(void **state) {
    (void)state;
    struct config *config = NULL;
    const char *overrides[] = {"log.retention.hours=5", "log.retention.minutes=7", NULL};
    assert_string_equal(load(&config, shipped, overrides), "");
    assert_int_equal(config_log_retention_ms(config), 7 * 60000);
    struct message error;
    struct slice name = SLICE_LITERAL("message.max.bytes");
    enum config_source cluster = CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER;
    enum config_source own = CONFIG_SOURCE_DYNAMIC_BROKER;
    struct config *copy = config_copy(config);
    assert_int_equal(config_set(copy, name, SLICE_LITERAL("100"), cluster, &error), 0);
    assert_int_equal(config_set(copy, name, SLICE_LITERAL("200"), own, &error), 0);
    assert_int_equal(config_int(copy, BROKER_MESSAGE_MAX_BYTES), 200);
    assert_int_equal(config_source(copy, BROKER_MESSAGE_MAX_BYTES), own);
    assert_int_equal(config_set(copy, name, SLICE_NULL, own, &error), 0);
    assert_int_equal(config_int(copy, BROKER_MESSAGE_MAX_BYTES), 100);
    assert_int_equal(config_set(copy, name, SLICE_NULL, cluster, &error), 0);
    assert_int_equal(config_int(copy, BROKER_MESSAGE_MAX_BYTES), 1048588);
    assert_int_equal(config_int(config, BROKER_MESSAGE_MAX_BYTES), 1048588);
    struct slice retention = SLICE_LITERAL("log.retention.ms");
    assert_int_equal(config_set(copy, retention, SLICE_LITERAL("3"), cluster, &error), 0);
    assert_int_equal(config_log_retention_ms(copy), 3);
    assert_int_equal(config_int(copy, BROKER_LOG_RETENTION_HOURS), 168);
    assert_int_equal(config_set(copy, retention, SLICE_NULL, cluster, &error), 0);
    assert_int_equal(config_int(copy, BROKER_LOG_RETENTION_HOURS), 5);
    struct slice text;
    assert_true(config_text(copy, SLICE_LITERAL("log.retention.hours"), CONFIG_SOURCE_STATIC_BROKER,
                            &text));
    assert_true(slice_equal_cstring(text, "5"));
    config_free(copy);
    config_free(config);
}

static void test_unknown_names_warn(void **state) {
    (void)state;
    struct config *config = NULL;
    const char *overrides[] = {"log.retention.hour=5", "zoo.keeper.url=x", "super.users=User:a",
                               "listener.name.plaintext.num.network.threads=5", NULL};
    assert_string_equal(load(&config, shipped, overrides), "");
    assert_int_equal(config_warning_count(config), 2);
    assert_string_equal(config_warning(config, 0),
                        "unknown configuration log.retention.hour is ignored; did you mean "
                        "log.retention.hours?");
    assert_string_equal(config_warning(config, 1),
                        "unknown configuration zoo.keeper.url is ignored");
    assert_int_equal(
        config_listener_int(config, SLICE_LITERAL("plaintext"), BROKER_NUM_NETWORK_THREADS), 5);
    assert_int_equal(
        config_listener_int(config, SLICE_LITERAL("other"), BROKER_NUM_NETWORK_THREADS), 3);
    config_free(config);
}

static void test_bad_values(void **state) {
    (void)state;
    assert_string_equal(load_with("num.partitions=0"),
                        "Invalid value 0 for configuration num.partitions: Value must be at least "
                        "1");
    assert_string_equal(load(NULL, "node.id=1\n\nnum.partitions=x\n", NULL),
                        "line 3: Invalid value x for configuration num.partitions: Not a number of "
                        "type INT");
    assert_string_equal(load(NULL, "node.id=1\n", NULL),
                        "Missing required configuration \"controller.listener.names\" which has no "
                        "default value.");
    assert_string_equal(load_with("num.partitions"),
                        "--override takes key=value, not \"num.partitions\"");
}

static void test_checks_across_keys(void **state) {
    (void)state;
    assert_non_null(strstr(load_with("broker.id=2"), "`node.id` and `broker.id` must be set"));
    assert_non_null(strstr(load_with("controller.quorum.voters=2@localhost:9093"),
                           "the node id 1 must be included in the set of voters"));
    assert_string_equal(load_with("controller.quorum.voters=1@localhost:9093"), "");
    assert_non_null(
        strstr(load_with("controller.listener.names=OTHER"), "'listeners' configuration"));
    assert_non_null(strstr(load_with("listeners=PLAINTEXT://:9092,CONTROLLER://:9092"),
                           "Each listener must have a different port"));
    assert_non_null(strstr(load_with("listeners=CONTROLLER://:9092,CONTROLLER://:9093"),
                           "Each listener must have a different name"));
    assert_non_null(strstr(load_with("listeners=PLAINTEXT:9092,CONTROLLER://:9093"),
                           "Unable to parse PLAINTEXT:9092 to a broker endpoint"));
    assert_non_null(strstr(load_with("listeners=X://:9092,CONTROLLER://:9093"),
                           "No security protocol defined for listener X"));
    assert_non_null(
        strstr(load_with("advertised.listeners=PLAINTEXT://0.0.0.0:9092"), "nonroutable"));
    assert_non_null(strstr(load_with("inter.broker.listener.name=SSL"),
                           "inter.broker.listener.name must be a listener name"));
    assert_non_null(strstr(load_with("inter.broker.listener.name=NONE"), "not found in"));
    assert_non_null(strstr(load_with("max.connections.per.ip=0"), "can be set to zero only if"));
    assert_non_null(
        strstr(load_with("max.connections.per.ip.overrides=a b:1"), "invalid addresses"));
    assert_non_null(strstr(load_with("cordoned.log.dirs=/nowhere"), "Missing entries : /nowhere"));
    assert_non_null(strstr(load_with("log.retention.ms=0"), "log.retention.ms must be unlimited"));
    assert_non_null(strstr(load_with("queued.max.request.bytes=5"), "must be larger or equal to"));
    assert_non_null(strstr(load_with("connections.max.idle.ms=50"), "should always be less than"));
}

static void test_listener_forms(void **state) {
    (void)state;
    struct config *config = NULL;
    const char *overrides[] = {
        "listeners=external://[::]:9092,INTERNAL://127.0.0.1:9092,CONTROLLER://0.0.0.0:0",
        "listener.security.protocol.map=external:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name=internal", "advertised.listeners=INTERNAL://h.example:19092",
        NULL};
    assert_string_equal(load(&config, shipped, overrides), "");
    const struct config_listener *external = config_listener_at(config, 0);
    assert_true(slice_equal_cstring(external->name, "EXTERNAL"));
    assert_true(slice_equal_cstring(external->host, "::"));
    assert_false(external->is_advertised);
    const struct config_listener *internal = config_listener_at(config, 1);
    assert_true(internal->is_inter_broker);
    assert_true(slice_equal_cstring(internal->advertised_host, "h.example"));
    assert_int_equal(internal->advertised_port, 19092);
    const struct config_listener *controller = config_listener_at(config, 2);
    assert_int_equal(controller->port, 0);
    assert_int_equal(controller->advertised_host.size, 0);
    config_free(config);
}

// Without a map, controller listeners are PLAINTEXT unless a protocol of security is named.
static void test_default_protocol_map(void **state) {
    (void)state;
    const char *text =
        "process.roles=broker,controller\nnode.id=0\ncontroller.listener.names=CTL\n"
        "listeners=PLAINTEXT://:9092,CTL://:9093\ncontroller.quorum.voters=0@localhost:9093\n"
        "max.connections.per.ip.overrides=127.0.0.1:5, ::1:6\n";
    struct config *config = NULL;
    assert_string_equal(load(&config, text, NULL), "");
    const struct config_listener *controller = config_listener_at(config, 1);
    assert_int_equal(controller->protocol, SECURITY_PLAINTEXT);
    assert_true(slice_equal_cstring(controller->advertised_host, "localhost"));
    assert_int_equal(config_connections_per_ip(config, SLICE_LITERAL("127.0.0.1")), 5);
    assert_int_equal(config_connections_per_ip(config, SLICE_LITERAL("::1")), 6);
    assert_int_equal(config_connections_per_ip(config, SLICE_LITERAL("10.0.0.1")), INT32_MAX);
    config_free(config);
    const char *overrides[] = {"listeners=PLAINTEXT://:9092,SSL://:9094,CTL://:9093", NULL};
    assert_non_null(
        strstr(load(NULL, text, overrides), "No security protocol defined for listener CTL"));
}

static void test_refused(void **state) {
    (void)state;
    assert_string_equal(
        load_with("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        "authorizer.class.name is set, but access control is not enforced yet: remove it to start "
        "without.");
    assert_string_equal(load_with("authorizer.class.name="), "");
    assert_non_null(
        strstr(load_with("listener.security.protocol.map=PLAINTEXT:SASL_SSL,CONTROLLER:PLAINTEXT"),
               "listener PLAINTEXT uses SASL_SSL, which is not there yet"));
    assert_non_null(strstr(load_with("ssl.client.auth=required"), "client certificates"));
    assert_string_equal(load_with("ssl.client.auth=none"), "");
    assert_non_null(strstr(load_with("listener.name.plaintext.ssl.client.auth=requested"),
                           "listener.name.plaintext.ssl.client.auth is set"));
    assert_non_null(strstr(load_with("create.topic.policy.class.name=x.Y"), "policies"));
    assert_non_null(strstr(load_with("remote.log.storage.system.enable=true"), "tiered storage"));
    assert_non_null(strstr(load_with("config.providers=file"), "providers"));
    assert_non_null(strstr(load_with("controller.quorum.voters=1@a:1,2@b:2,3@c:3"),
                           "more than one controller"));
}

// Whatever the table marks as refused is.
static void test_rows_marked_refused(void **state) {
    (void)state;
    int refused = 0;
    for (int key = 0; key < (int)CONFIG_BROKER_END; key++) {
        const struct config_row *row = config_row_of((enum config_key)key);
        if (!row->refused) continue;
        const char *value = row->type == CONFIG_TYPE_BOOLEAN ? "true" : "x";
        char override[256];
        snprintf(override, sizeof override, "%s=%s", row->name,
                 row->allowed != NULL ? row->allowed[0] : value);
        if (strstr(load_with(override), row->name) == NULL) fail_msg("%s: %s", override, load_with(override));
        refused++;
    }
    assert_int_equal(refused, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_shipped_file), cmocka_unit_test(test_standalone_defaults),
        cmocka_unit_test(test_layers),           cmocka_unit_test(test_unknown_names_warn),
        cmocka_unit_test(test_bad_values),       cmocka_unit_test(test_checks_across_keys),
        cmocka_unit_test(test_listener_forms),   cmocka_unit_test(test_default_protocol_map),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_rows_marked_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
