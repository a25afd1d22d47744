// Whether all configs of one resource, as they would be after a change, are valid: Kafka's
// LogConfig, GroupConfig, ClientMetricsConfigs and DynamicBrokerConfig, with their sentences. For
// brokers Kafka turns every failure into INVALID_REQUEST.
#include "metadata/config_validate.h"

#include "base/string_buffer.h"
#include "metadata/effective_internal.h"

static const struct config_pair *find(const struct config_pair *configs, int32_t count,
                                      const char *name) {
    for (int32_t i = 0; i < count; i++)
        if (slice_equal_cstring(configs[i].name, name)) return &configs[i];
    return NULL;
}

// A value of the new configs, else what the broker gives. The new ones were parsed before.
static struct config_value value_of(const struct config_subject *subject, enum config_key key) {
    struct config_value value;
    enum config_source source;
    const struct config_pair *pair =
        find(subject->configs, subject->count, config_row_of(key)->name);
    if (pair != NULL && config_parse(key, pair->value, subject->arena, &value, NULL) == ERR_NONE)
        return value;
    return effective_from_broker(subject->image, subject->config, key, subject->arena, &source);
}

static enum err check_values(const struct config_subject *subject, enum config_scope scope,
                             struct message *error) {
    for (int32_t i = 0; i < subject->count; i++) {
        enum config_key key;
        struct config_value value;
        if (!config_key_of(scope, subject->configs[i].name, &key)) continue;
        enum err err = config_parse(key, subject->configs[i].value, subject->arena, &value, error);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

// "Unknown topic config name: x", with the nearest known name behind Kafka's words.
static enum err check_names(const struct config_subject *subject, enum config_scope scope,
                            const char *sentence, enum err err, struct message *error) {
    for (int32_t i = 0; i < subject->count; i++) {
        enum config_key key;
        struct slice name = subject->configs[i].name;
        if (config_key_of(scope, name, &key)) continue;
        message_set(error, "%s: %.*s", sentence, SLICE_PRINT(name));
        return err;
    }
    return ERR_NONE;
}

// ---- Topics ----

static enum err check_remote_storage(const struct config_subject *subject, bool was_on,
                                     struct message *error) {
    if (value_of(subject, TOPIC_REMOTE_STORAGE_ENABLE).boolean) {
        message_set(error,
                    "Tiered Storage functionality is disabled in the broker. Topic cannot be "
                    "configured with remote log storage.");
        return ERR_INVALID_CONFIG;
    }
    if (was_on && !value_of(subject, TOPIC_REMOTE_LOG_DELETE_ON_DISABLE).boolean) {
        message_set(
            error,
            "It is invalid to disable remote storage without deleting remote data. If you want to "
            "keep the remote data and turn to read only, please set "
            "`remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable "
            "remote storage and delete all remote data, please set "
            "`remote.storage.enable=false,remote.log.delete.on.disable=true`.");
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

enum err config_validate_topic(const struct config_subject *subject, struct slice topic,
                               struct message *error) {
    enum err err = check_names(subject, CONFIG_SCOPE_TOPIC, "Unknown topic config name",
                               ERR_INVALID_CONFIG, error);
    if (err == ERR_NONE) err = check_values(subject, CONFIG_SCOPE_TOPIC, error);
    if (err != ERR_NONE) return err;
    int64_t least = value_of(subject, TOPIC_MIN_COMPACTION_LAG_MS).integer;
    int64_t most = value_of(subject, TOPIC_MAX_COMPACTION_LAG_MS).integer;
    if (least > most) {
        message_set(error,
                    "conflict topic config setting min.compaction.lag.ms (%lld) > "
                    "max.compaction.lag.ms (%lld)",
                    (long long)least, (long long)most);
        return ERR_INVALID_CONFIG;
    }
    struct slice before;
    bool was_on = image_config(subject->image, CONFIG_RESOURCE_TOPIC, topic,
                               SLICE_LITERAL("remote.storage.enable"), &before) &&
                  slice_equal_cstring(before, "true");
    return check_remote_storage(subject, was_on, error);
}

enum err config_validate_new_topic(const struct image *image, const struct config *config,
                                   const struct config_pair *configs, int32_t count,
                                   struct message *error) {
    struct arena arena;
    arena_init(&arena);
    struct config_subject subject = {image, config, configs, count, &arena};
    enum err err = ERR_NONE;
    struct string_buffer nulls;
    string_buffer_init(&nulls);
    for (int32_t i = 0; i < count; i++)
        if (slice_is_null(configs[i].value))
            string_buffer_format(&nulls, "%s%.*s", nulls.size == 0 ? "" : ",",
                                 SLICE_PRINT(configs[i].name));
    if (nulls.size > 0) {
        message_set(error, "Null value not supported for topic configs: %s", nulls.text);
        err = ERR_INVALID_CONFIG;
    } else {
        err = config_validate_topic(&subject, SLICE_EMPTY, error);
    }
    string_buffer_deinit(&nulls);
    arena_deinit(&arena);
    return err;
}

// ---- Groups ----

static enum err check_bounds(const struct config_subject *subject, struct message *error) {
    for (int i = 0; i < group_bound_count; i++) {
        const struct group_bound *bound = &group_bounds[i];
        const char *name = config_row_of(bound->key)->name;
        struct config_value value, min = {0}, max = {0};
        if (find(subject->configs, subject->count, name) == NULL) continue;
        value = value_of(subject, bound->key);
        bool has_min = bound->min != CONFIG_KEY_COUNT, has_max = bound->max != CONFIG_KEY_COUNT;
        if (has_min)
            effective_broker_value(subject->image, subject->config, bound->min, subject->arena,
                                   &min);
        if (has_max)
            effective_broker_value(subject->image, subject->config, bound->max, subject->arena,
                                   &max);
        bool low = has_min && value.integer < min.integer;
        bool high = has_max && value.integer > max.integer;
        if (!low && !high) continue;
        if (has_min && has_max)
            message_set(error, "%s must be in the range %lld to %lld inclusive.", name,
                        (long long)min.integer, (long long)max.integer);
        else if (high)
            message_set(error, "%s must be less than or equal to %lld", name,
                        (long long)max.integer);
        else
            message_set(error, "%s must be greater than or equal to %lld", name,
                        (long long)min.integer);
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

static const enum config_key session_pairs[][2] = {
    {GROUP_CONSUMER_SESSION_TIMEOUT_MS, GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS},
    {GROUP_SHARE_SESSION_TIMEOUT_MS, GROUP_SHARE_HEARTBEAT_INTERVAL_MS},
    {GROUP_STREAMS_SESSION_TIMEOUT_MS, GROUP_STREAMS_HEARTBEAT_INTERVAL_MS},
};

static enum err check_sessions(const struct config_subject *subject, struct message *error) {
    for (size_t i = 0; i < COUNT_OF(session_pairs); i++) {
        const char *session = config_row_of(session_pairs[i][0])->name;
        const char *heartbeat = config_row_of(session_pairs[i][1])->name;
        if (find(subject->configs, subject->count, session) == NULL &&
            find(subject->configs, subject->count, heartbeat) == NULL)
            continue;
        if (value_of(subject, session_pairs[i][0]).integer >
            value_of(subject, session_pairs[i][1]).integer)
            continue;
        message_set(error, "%s must be greater than %s", session, heartbeat);
        return ERR_INVALID_CONFIG;
    }
    return ERR_NONE;
}

static enum err check_assignor(const struct config_subject *subject, struct message *error) {
    const struct config_pair *pair =
        find(subject->configs, subject->count, "streams.assignor.name");
    if (pair == NULL) return ERR_NONE;
    struct config_list known = config_strings(subject->config, BROKER_GROUP_STREAMS_ASSIGNORS);
    struct string_buffer list;
    string_buffer_init(&list);
    bool found = false;
    for (int32_t i = 0; i < known.count; i++) {
        found = found || slice_equal(slice_trim(pair->value), known.items[i]);
        string_buffer_format(&list, "%s%.*s", i == 0 ? "" : ", ", SLICE_PRINT(known.items[i]));
    }
    if (!found)
        message_set(error,
                    "streams.assignor.name '%.*s' is not a registered task assignor. Registered "
                    "assignors are: [%s].",
                    SLICE_PRINT(pair->value), list.text);
    string_buffer_deinit(&list);
    return found ? ERR_NONE : ERR_INVALID_CONFIG;
}

// Unlike other lists, whose duplicates are dropped, this one may not have any.
static enum err check_rack_tags(const struct config_subject *subject, struct message *error) {
    const struct config_pair *pair =
        find(subject->configs, subject->count, "streams.rack.aware.assignment.tags");
    if (pair == NULL) return ERR_NONE;
    struct slice rest = slice_trim(pair->value), seen = rest;
    bool more = rest.size > 0;
    while (more) {
        struct slice item = rest, after = SLICE_EMPTY, earlier = seen;
        more = slice_split(rest, ',', &item, &after);
        while (earlier.data < item.data) {
            struct slice other = earlier, left = SLICE_EMPTY;
            slice_split(earlier, ',', &other, &left);
            if (slice_equal(slice_trim(other), slice_trim(item))) {
                message_set(error,
                            "streams.rack.aware.assignment.tags must not contain duplicate "
                            "tag keys.");
                return ERR_INVALID_CONFIG;
            }
            earlier = left;
        }
        rest = after;
    }
    return ERR_NONE;
}

enum err config_validate_group(const struct config_subject *subject, struct message *error) {
    enum err err = check_names(subject, CONFIG_SCOPE_GROUP, "Unknown group config name",
                               ERR_INVALID_CONFIG, error);
    if (err == ERR_NONE) err = check_rack_tags(subject, error);
    if (err == ERR_NONE) err = check_values(subject, CONFIG_SCOPE_GROUP, error);
    if (err == ERR_NONE) err = check_bounds(subject, error);
    if (err == ERR_NONE) err = check_assignor(subject, error);
    if (err == ERR_NONE) err = check_sessions(subject, error);
    const struct config_pair *queue =
        find(subject->configs, subject->count, "errors.deadletterqueue.topic.name");
    if (err == ERR_NONE && queue != NULL &&
        slice_starts_with(slice_trim(queue->value), SLICE_LITERAL("__"))) {
        message_set(error,
                    "errors.deadletterqueue.topic.name: DLQ topic name must not start with '__'");
        err = ERR_INVALID_CONFIG;
    }
    return err;
}

// ---- Client metrics (KIP-714) ----

static const char *const match_names[] = {"client_instance_id",    "client_id",
                                          "client_software_name",  "client_software_version",
                                          "client_source_address", "client_source_port"};

// "client_id=regular expression". The expression itself is read when telemetry is.
static bool is_match_pattern(struct slice text) {
    struct slice name, pattern, more;
    if (!slice_split(text, '=', &name, &pattern) || pattern.size == 0) return false;
    if (slice_split(pattern, '=', &more, &pattern)) return false;
    for (size_t i = 0; i < COUNT_OF(match_names); i++)
        if (slice_equal_cstring(slice_trim(name), match_names[i])) return true;
    return false;
}

enum err config_validate_client_metrics(const struct config_subject *subject,
                                        struct message *error) {
    enum err err = check_names(subject, CONFIG_SCOPE_CLIENT_METRICS,
                               "Unknown client metrics configuration", ERR_INVALID_REQUEST, error);
    if (err == ERR_NONE) err = check_values(subject, CONFIG_SCOPE_CLIENT_METRICS, error);
    if (err != ERR_NONE) return err;
    for (int32_t i = 0; i < subject->count; i++) {
        enum config_key key;
        struct config_value value;
        if (!config_key_of(CONFIG_SCOPE_CLIENT_METRICS, subject->configs[i].name, &key)) continue;
        err = config_parse(key, subject->configs[i].value, subject->arena, &value, error);
        if (err != ERR_NONE) return err;
        if (key == CLIENT_METRICS_INTERVAL_MS && (value.integer < 100 || value.integer > 3600000)) {
            message_set(error,
                        "Invalid value %lld for interval.ms, interval must be between 100 and "
                        "3600000 (1 hour)",
                        (long long)value.integer);
            return ERR_INVALID_REQUEST;
        }
        for (int32_t k = 0; key == CLIENT_METRICS_MATCH && k < value.list.count; k++) {
            if (is_match_pattern(value.list.items[k])) continue;
            message_set(error, "Illegal client matching pattern: %.*s",
                        SLICE_PRINT(value.list.items[k]));
            return ERR_INVALID_CONFIG;
        }
    }
    return ERR_NONE;
}

// ---- Brokers ----

// Why a name may not be set dynamically; NULL: it may.
static const char *dynamic_problem(struct slice name, bool per_broker) {
    enum config_key key;
    struct slice listener, base;
    bool prefixed = config_listener_prefix(name, &listener, &base);
    if (config_key_of(CONFIG_SCOPE_BROKER, name, &key)) {
        const struct config_row *row = config_row_of(key);
        if (row->update == CONFIG_READ_ONLY) return "Cannot update these configs dynamically";
        if (slice_starts_with(name, SLICE_LITERAL("ssl.")) && row->update == CONFIG_PER_BROKER)
            return "These security configs can be dynamically updated only per-listener using the "
                   "listener prefix";
        if (row->update == CONFIG_PER_BROKER && !per_broker)
            return "Cannot update these configs at default cluster level, broker id must be "
                   "specified";
    } else if (prefixed && !per_broker &&
               !(config_broker_key_of(name, &key) &&
                 config_row_of(key)->update == CONFIG_CLUSTER_WIDE)) {
        return "Cannot update these configs at default cluster level, broker id must be specified";
    }
    return NULL;
}

static const enum config_key pool_keys[] = {BROKER_NUM_IO_THREADS,
                                            BROKER_NUM_REPLICA_FETCHERS,
                                            BROKER_NUM_RECOVERY_THREADS_PER_DATA_DIR,
                                            BROKER_BACKGROUND_THREADS,
                                            BROKER_NUM_NETWORK_THREADS,
                                            BROKER_LOG_CLEANER_THREADS};

// Kafka grows and shrinks its thread pools by at most a factor of two at a time. (The odd sentence
// is the one that its clients see.)
static enum err check_pools(const struct config *before, const struct config *after,
                            struct message *error) {
    for (size_t i = 0; i < COUNT_OF(pool_keys); i++) {
        int32_t old = config_int(before, pool_keys[i]), new = config_int(after, pool_keys[i]);
        bool shrinks = new<old / 2, grows = new> old * 2LL;
        if (!shrinks && !grows) continue;
        message_set(error,
                    "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread "
                    "count update validation failed for %s=%d, value should %s the current value "
                    "%d for configuration Invalid dynamic configuration",
                    config_row_of(pool_keys[i])->name, (int)new,
                    shrinks ? "be at least half" : "not be greater than double", (int)old);
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

// Dynamic changes of what a running node cannot follow here are refused, not ignored.
static enum err check_followed(const struct config *before, const struct config *after,
                               struct message *error) {
    static const enum config_key fixed[] = {BROKER_LISTENERS,
                                            BROKER_LISTENER_SECURITY_PROTOCOL_MAP};
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (slice_equal(config_value(before, fixed[i])->text, config_value(after, fixed[i])->text))
            continue;
        message_set(error, "%s cannot be changed while the broker runs",
                    config_row_of(fixed[i])->name);
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

static enum err check_dynamic_names(const struct config_subject *subject, bool per_broker,
                                    struct message *error) {
    // One sentence names all that have the same problem.
    const char *problem = NULL;
    struct string_buffer names;
    string_buffer_init(&names);
    for (int32_t i = 0; i < subject->count; i++) {
        const char *mine = dynamic_problem(subject->configs[i].name, per_broker);
        if (problem == NULL) problem = mine;
        if (mine != NULL && mine == problem)
            string_buffer_format(&names, "%s%.*s", names.size == 0 ? "" : ", ",
                                 SLICE_PRINT(subject->configs[i].name));
    }
    if (problem != NULL) message_set(error, "%s: [%s]", problem, names.text);
    string_buffer_deinit(&names);
    return problem == NULL ? ERR_NONE : ERR_INVALID_REQUEST;
}

enum err config_validate_broker(const struct config_subject *subject, bool per_broker,
                                struct message *error) {
    enum err err = check_dynamic_names(subject, per_broker, error);
    if (err != ERR_NONE) return err;
    struct config *before = effective_broker_config(subject->config, subject->image);
    struct config *after = config_copy(before);
    enum config_source source =
        per_broker ? CONFIG_SOURCE_DYNAMIC_BROKER : CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER;
    config_clear_source(after, source);
    for (int32_t i = 0; err == ERR_NONE && i < subject->count; i++) {
        enum config_key key;
        struct config_value value;
        const struct config_pair *pair = &subject->configs[i];
        if (config_key_of(CONFIG_SCOPE_QUOTA, pair->name, &key))
            err = config_parse(key, pair->value, subject->arena, &value, error);
        if (err == ERR_NONE) err = config_set(after, pair->name, pair->value, source, error);
    }
    if (err == ERR_NONE) err = config_finish(after, error);
    if (err == ERR_NONE) err = check_pools(before, after, error);
    if (err == ERR_NONE) err = check_followed(before, after, error);
    config_free(before);
    config_free(after);
    return err == ERR_NONE ? ERR_NONE : ERR_INVALID_REQUEST;
}
