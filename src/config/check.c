// The checks across keys that Kafka makes at start, with its sentences, and the refusal of what
// would be silently missing here.
#include "config/internal.h"

static MUST_CHECK enum err refuse(struct message *error, const char *sentence) {
    message_set(error, "%s", sentence);
    return ERR_INVALID_CONFIG;
}

#define REQUIRE(condition, sentence)                      \
    do {                                                  \
        if (!(condition)) return refuse(error, sentence); \
    } while (0)

static bool list_has(struct config_list list, struct slice item) {
    for (int32_t i = 0; i < list.count; i++)
        if (slice_equal(list.items[i], item)) return true;
    return false;
}

static enum err check_values(struct config *config, struct message *error) {
    REQUIRE(config_int(config, BROKER_NODE_ID) == config_int(config, BROKER_BROKER_ID),
            "`node.id` and `broker.id` must be set to the same value. `broker.id` is deprecated, "
            "please use `node.id` instead.");
    int64_t retention_ms = config_log_retention_ms(config);
    REQUIRE(config_log_roll_ms(config) >= 1, "log.roll.ms must be greater than or equal to 1");
    REQUIRE(config_log_roll_jitter_ms(config) >= 0,
            "log.roll.jitter.ms must be greater than or equal to 0");
    REQUIRE(retention_ms == -1 || retention_ms >= 1,
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    REQUIRE(config_log_dirs(config).count > 0,
            "At least one log directory must be defined via log.dirs or log.dir.");
    REQUIRE(config_long(config, BROKER_LOG_CLEANER_DEDUPE_BUFFER_SIZE) /
                    MAX(config_int(config, BROKER_LOG_CLEANER_THREADS), 1) >
                1024 * 1024,
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
    int32_t wait_ms = config_int(config, BROKER_REPLICA_FETCH_WAIT_MAX_MS);
    REQUIRE(wait_ms <= config_int(config, BROKER_REPLICA_SOCKET_TIMEOUT_MS),
            "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to "
            "prevent unnecessary socket timeouts");
    REQUIRE(wait_ms <= config_long(config, BROKER_REPLICA_LAG_TIME_MAX_MS),
            "replica.fetch.wait.max.ms should always be less than or equal to "
            "replica.lag.time.max.ms to prevent frequent changes in ISR");
    int64_t queued = config_long(config, BROKER_QUEUED_MAX_REQUEST_BYTES);
    REQUIRE(queued <= 0 || queued >= config_int(config, BROKER_SOCKET_REQUEST_MAX_BYTES),
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
    int64_t idle_ms = config_long(config, BROKER_CONNECTIONS_MAX_IDLE_MS);
    int32_t delay_ms = config_int(config, BROKER_CONNECTION_FAILED_AUTHENTICATION_DELAY_MS);
    if (idle_ms >= 0 && delay_ms >= idle_ms) {
        message_set(error,
                    "connection.failed.authentication.delay.ms=%d should always be less than "
                    "connections.max.idle.ms=%lld to prevent failed authentication responses from "
                    "timing out",
                    (int)delay_ms, (long long)idle_ms);
        return ERR_INVALID_CONFIG;
    }
    if (config_int(config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS) * 2LL >
        config_int(config, BROKER_BROKER_SESSION_TIMEOUT_MS))
        config_warn(config,
                    "broker.heartbeat.interval.ms (%d ms) must be less than or equal to half of "
                    "the broker.session.timeout.ms (%d ms)",
                    (int)config_int(config, BROKER_BROKER_HEARTBEAT_INTERVAL_MS),
                    (int)config_int(config, BROKER_BROKER_SESSION_TIMEOUT_MS));
    return ERR_NONE;
}

static enum err check_connection_overrides(const struct config *config, struct message *error) {
    struct slice rest = config_string(config, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES);
    REQUIRE(config_int(config, BROKER_MAX_CONNECTIONS_PER_IP) != 0 || rest.size > 0,
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
            "property is set.");
    struct slice host, text;
    int64_t count;
    while (config_take_pair(&rest, &host, &text)) {
        if (slice_is_null(text) || !slice_parse_int64(text, &count)) {
            message_set(error,
                        "Error parsing configuration property 'max.connections.per.ip.overrides': "
                        "\"%.*s\" is not of the form host:count",
                        SLICE_PRINT(host));
            return ERR_INVALID_CONFIG;
        }
        if (config_host_is_valid(host) && host.size > 0) continue;
        message_set(error, "max.connections.per.ip.overrides contains invalid addresses : %.*s",
                    SLICE_PRINT(host));
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

static enum err check_voters(const struct config *config, struct message *error) {
    REQUIRE(config->voter_count > 0 || config->bootstrap_count > 0,
            "If using process.roles, either controller.quorum.bootstrap.servers must contain the "
            "set of bootstrap controllers or controller.quorum.voters must contain a parseable set "
            "of controllers.");
    bool included = false;
    for (int32_t i = 0; i < config->voter_count; i++) {
        included = included || config->voters[i].id == config_node_id(config);
        if (!slice_equal_cstring(config->voters[i].host, "0.0.0.0")) continue;
        return refuse(error, "Host string (0.0.0.0) is not routeable");
    }
    if (config->voter_count == 0 || included == config_is_controller(config)) return ERR_NONE;
    struct slice voters = config_value(config, BROKER_CONTROLLER_QUORUM_VOTERS)->text;
    if (included)
        message_set(error,
                    "If process.roles contains just the 'broker' role, the node id %d must not be "
                    "included in the set of voters controller.quorum.voters=%.*s",
                    (int)config_node_id(config), SLICE_PRINT(voters));
    else
        message_set(error,
                    "If process.roles contains the 'controller' role, the node id %d must be "
                    "included in the set of voters controller.quorum.voters=%.*s",
                    (int)config_node_id(config), SLICE_PRINT(voters));
    return ERR_INVALID_CONFIG;
}

static int32_t count_listeners(const struct config *config, bool controller) {
    int32_t count = 0;
    for (int32_t i = 0; i < config->listeners.count; i++)
        count += config->listeners.items[i].is_controller == controller;
    return count;
}

static enum err check_controller_listeners(const struct config *config, struct message *error) {
    int32_t mine = count_listeners(config, true);
    if (!config_is_controller(config)) {
        REQUIRE(mine == 0,
                "controller.listener.names must not contain a value appearing in the 'listeners' "
                "configuration when running KRaft with just the broker role");
        REQUIRE(!config_bool(config, BROKER_CONTROLLER_QUORUM_AUTO_JOIN_ENABLE),
                "controller.quorum.auto.join.enable is only supported when process.roles contains "
                "the 'controller' role.");
        return ERR_NONE;
    }
    REQUIRE(mine > 0,
            "controller.listener.names must contain at least one value appearing in the "
            "'listeners' configuration when running the KRaft controller role");
    REQUIRE(mine == config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES).count,
            "controller.listener.names must only contain values appearing in the 'listeners' "
            "configuration when running the KRaft controller role");
    if (config_is_broker(config)) return ERR_NONE;
    REQUIRE(count_listeners(config, false) == 0,
            "The listeners config must only contain KRaft controller listeners from "
            "controller.listener.names when process.roles=controller");
    REQUIRE(config_is_null(config, BROKER_INTER_BROKER_LISTENER_NAME) ||
                !list_has(config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES),
                          config->inter_broker_name),
            "controller.listener.names must not contain an explicitly set "
            "inter.broker.listener.name configuration value when process.roles=controller'");
    return ERR_NONE;
}

static enum err check_broker_listeners(const struct config *config, struct message *error) {
    if (!config_is_broker(config)) return ERR_NONE;
    struct string_buffer names;
    string_buffer_init(&names);
    bool inter_broker = false;
    for (int32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.items[i];
        if (listener->is_controller || !listener->is_advertised) continue;
        string_buffer_format(&names, "%s%.*s", names.size == 0 ? "" : ",",
                             SLICE_PRINT(listener->name));
        inter_broker = inter_broker || listener->is_inter_broker;
        if (!slice_equal_cstring(listener->advertised_host, "0.0.0.0")) continue;
        string_buffer_deinit(&names);
        return refuse(error,
                      "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a "
                      "routable IP address.");
    }
    enum err err = ERR_NONE;
    if (names.size == 0)
        err = refuse(error,
                     "There must be at least one broker advertised listener. Perhaps all listeners "
                     "appear in controller.listener.names?");
    else if (!inter_broker) {
        message_set(error,
                    "inter.broker.listener.name must be a listener name defined in "
                    "advertised.listeners. The valid options based on currently configured "
                    "listeners are %s",
                    names.text);
        err = ERR_INVALID_CONFIG;
    }
    string_buffer_deinit(&names);
    return err;
}

static enum err check_cordoned(const struct config *config, struct message *error) {
    struct config_list cordoned = config_strings(config, BROKER_CORDONED_LOG_DIRS);
    if (list_has(cordoned, SLICE_LITERAL("*"))) {
        REQUIRE(cordoned.count == 1,
                "When cordoned.log.dirs is set to *, it must not contain other values");
        return ERR_NONE;
    }
    for (int32_t i = 0; i < cordoned.count; i++) {
        if (list_has(config_log_dirs(config), cordoned.items[i])) continue;
        message_set(error,
                    "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. "
                    "Missing entries : %.*s",
                    SLICE_PRINT(cordoned.items[i]));
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

static enum err check_early_listeners(const struct config *config, struct message *error) {
    struct config_list early = config_strings(config, BROKER_EARLY_START_LISTENERS);
    for (int32_t i = 0; i < early.count; i++) {
        bool found = false;
        for (int32_t k = 0; k < config->listeners.count; k++)
            found = found || slice_equal(config->listeners.items[k].name, early.items[i]);
        if (found) continue;
        message_set(error,
                    "early.start.listeners contains listener %.*s, but this is not contained in "
                    "listeners or controller.listener.names",
                    SLICE_PRINT(early.items[i]));
        return ERR_INVALID_CONFIG;
    }
    REQUIRE(list_has(config_strings(config, BROKER_GROUP_COORDINATOR_REBALANCE_PROTOCOLS),
                     SLICE_LITERAL("classic")),
            "Disabling the 'CLASSIC' protocol is not supported.");
    return ERR_NONE;
}

enum err config_check(struct config *config, struct message *error) {
    enum err err = check_values(config, error);
    if (err == ERR_NONE) err = check_voters(config, error);
    if (err == ERR_NONE) err = check_controller_listeners(config, error);
    if (err == ERR_NONE) err = check_broker_listeners(config, error);
    if (err == ERR_NONE) err = check_connection_overrides(config, error);
    if (err == ERR_NONE) err = check_cordoned(config, error);
    if (err == ERR_NONE) err = check_early_listeners(config, error);
    return err;
}

// ---- Refused ----

struct refused_key {
    enum config_key key;
    const char *what;  // completes "is set, but … yet"
};

// Classes of Java that would have to decide something, and what guards or moves data.
static const struct refused_key refused_keys[] = {
    {BROKER_AUTHORIZER_CLASS_NAME, "access control is not enforced"},
    {BROKER_PRINCIPAL_BUILDER_CLASS, "principals are not built by classes"},
    {BROKER_CREATE_TOPIC_POLICY_CLASS_NAME, "policies are not enforced"},
    {BROKER_ALTER_CONFIG_POLICY_CLASS_NAME, "policies are not enforced"},
    {BROKER_CLIENT_QUOTA_CALLBACK_CLASS, "quotas are not enforced"},
    {BROKER_DELEGATION_TOKEN_SECRET_KEY, "delegation tokens are not there"},
    {BROKER_CONFIG_PROVIDERS, "values from providers are not substituted"},
};

static enum err refuse_key(struct slice name, const char *what, struct message *error) {
    message_set(error, "%.*s is set, but %s yet: remove it to start without.", SLICE_PRINT(name),
                what);
    return ERR_INVALID_CONFIG;
}

// ssl.client.auth may also stand under a listener's prefix.
static enum err refuse_client_certificates(const struct config *config, struct message *error) {
    for (int32_t i = 0; i < config->entry_count; i++) {
        struct slice name = config->entries[i].name;
        enum config_key key;
        if (!config_broker_key_of(name, &key) || key != BROKER_SSL_CLIENT_AUTH) continue;
        if (slice_equal_cstring(slice_trim(config->entries[i].text), "none")) continue;
        return refuse_key(name, "client certificates are not checked", error);
    }
    return ERR_NONE;
}

enum err config_refuse_unsupported(const struct config *config, struct message *error) {
    for (size_t i = 0; i < COUNT_OF(refused_keys); i++) {
        enum config_key key = refused_keys[i].key;
        struct slice text = config_value(config, key)->text;
        struct slice usual = slice_cstring(config_rows[key].default_text);
        if (text.size > 0 && !slice_equal(text, usual))
            return refuse_key(slice_cstring(config_rows[key].name), refused_keys[i].what, error);
    }
    for (int32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.items[i];
        if (listener->protocol == SECURITY_PLAINTEXT) continue;
        message_set(error,
                    "listener %.*s uses %s, which is not there yet: only PLAINTEXT listeners can "
                    "be started.",
                    SLICE_PRINT(listener->name), security_protocol_name(listener->protocol));
        return ERR_INVALID_CONFIG;
    }
    enum err err = refuse_client_certificates(config, error);
    if (err != ERR_NONE) return err;
    REQUIRE(!config_bool(config, BROKER_REMOTE_LOG_STORAGE_SYSTEM_ENABLE),
            "remote.log.storage.system.enable is true, but tiered storage is not there yet: "
            "remove it to start without.");
    REQUIRE(config_is_broker(config) && config_is_controller(config),
            "process.roles must be broker,controller: a node of only one role needs a larger "
            "cluster, which is not there yet.");
    REQUIRE(config->voter_count <= 1 && config->bootstrap_count <= 1,
            "the quorum has more than one controller, which is not there yet: "
            "controller.quorum.voters or controller.quorum.bootstrap.servers may name this node "
            "only.");
    return ERR_NONE;
}
