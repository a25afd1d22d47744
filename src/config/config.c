#include <stdarg.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/string_buffer.h"
#include "config/internal.h"
#include "config/properties.h"

struct config *config_new(void) {
    struct config *config = memory_zalloc(1, sizeof *config);
    arena_init(&config->arena);
    for (int key = 0; key < (int)CONFIG_BROKER_END; key++) {
        config->values[key] = config_default((enum config_key)key, &config->arena);
        config->sources[key] = CONFIG_SOURCE_DEFAULT;
    }
    return config;
}

void config_free(struct config *config) {
    if (config == NULL) return;
    for (int32_t i = 0; i < config->warning_count; i++)
        memory_free(config->warnings[i]);
    memory_free(config->entries);
    memory_free(config->warnings);
    arena_deinit(&config->arena);
    memory_free(config);
}

void config_warn(struct config *config, const char *format, ...) {
    struct string_buffer text;
    string_buffer_init(&text);
    va_list arguments;
    va_start(arguments, format);
    string_buffer_vformat(&text, format, arguments);
    va_end(arguments);
    config->warnings = memory_realloc(config->warnings, (size_t)config->warning_count + 1,
                                      sizeof *config->warnings);
    config->warnings[config->warning_count++] = text.text;
}

int32_t config_warning_count(const struct config *config) {
    return config->warning_count;
}

const char *config_warning(const struct config *config, int32_t index) {
    return config->warnings[index];
}

struct config_entry *config_find_entry(const struct config *config, struct slice name,
                                       enum config_source source) {
    for (int32_t i = 0; i < config->entry_count; i++) {
        struct config_entry *entry = &config->entries[i];
        if (entry->source == source && slice_equal(name, entry->name)) return entry;
    }
    return NULL;
}

// ---- Filling ----

static void put_entry(struct config *config, struct slice name, struct slice text,
                      enum config_source source) {
    struct config_entry *entry = config_find_entry(config, name, source);
    if (entry != NULL) {
        entry->text = arena_copy(&config->arena, text);
        return;
    }
    if (config->entry_count == config->entry_capacity) {
        config->entry_capacity = config->entry_capacity * 2 + 16;
        config->entries = memory_realloc(config->entries, (size_t)config->entry_capacity,
                                         sizeof *config->entries);
    }
    config->entries[config->entry_count++] = (struct config_entry){
        arena_copy(&config->arena, name), arena_copy(&config->arena, text), source};
}

static void drop_entry(struct config *config, struct config_entry *entry) {
    *entry = config->entries[--config->entry_count];
}

static enum config_source strongest_source(const struct config *config, enum config_key key) {
    struct slice name = slice_cstring(config_rows[key].name);
    int source = CONFIG_SOURCE_DYNAMIC_BROKER;
    while (source < CONFIG_SOURCE_DEFAULT &&
           config_find_entry(config, name, (enum config_source)source) == NULL)
        source++;
    return (enum config_source)source;
}

// The value of the strongest source (smallest number), or the default. A dynamic config also takes
// away what weaker sources say of its alternatives: log.retention.ms of the cluster that of
// log.retention.hours in the file.
static void settle_one(struct config *config, enum config_key key) {
    enum config_key alternatives[CONFIG_ALTERNATIVES_MAX];
    int count = config_alternatives(key, alternatives);
    enum config_source source = strongest_source(config, key);
    for (int i = 0; i < count; i++) {
        enum config_source other = strongest_source(config, alternatives[i]);
        if (other < CONFIG_SOURCE_STATIC_BROKER && other < source) source = CONFIG_SOURCE_DEFAULT;
    }
    config->sources[key] = (uint8_t)source;
    if (source == CONFIG_SOURCE_DEFAULT) {
        config->values[key] = config_default(key, &config->arena);
        return;
    }
    struct config_entry *entry =
        config_find_entry(config, slice_cstring(config_rows[key].name), source);
    enum err err = config_parse(key, entry->text, &config->arena, &config->values[key], NULL);
    assert(err == ERR_NONE);  // it was checked when the entry was put
}

static void settle(struct config *config, enum config_key key) {
    enum config_key alternatives[CONFIG_ALTERNATIVES_MAX];
    int count = config_alternatives(key, alternatives);
    for (int i = 0; i < count; i++)
        settle_one(config, alternatives[i]);
}

// Names that no row has but that Kafka passes on to plugins.
static bool is_plugin_name(struct slice name) {
    static const char *const known[] = {"super.users", "allow.everyone.if.no.acl.found"};
    static const char *const prefixes[] = {"config.providers.", "rsm.config.", "rlmm.config."};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (slice_equal_cstring(name, known[i])) return true;
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        if (slice_starts_with(name, slice_cstring(prefixes[i]))) return true;
    return false;
}

static void warn_unknown(struct config *config, struct slice name) {
    if (is_plugin_name(name)) return;
    struct slice nearest = config_nearest_name(CONFIG_SCOPE_BROKER, name);
    if (slice_is_null(nearest))
        config_warn(config, "unknown configuration %.*s is ignored", SLICE_PRINT(name));
    else
        config_warn(config, "unknown configuration %.*s is ignored; did you mean %.*s?",
                    SLICE_PRINT(name), SLICE_PRINT(nearest));
}

enum err config_set(struct config *config, struct slice name, struct slice text,
                    enum config_source source, struct message *error) {
    enum config_key key;
    bool known = config_broker_key_of(name, &key);
    if (slice_is_null(text)) {
        struct config_entry *entry = config_find_entry(config, name, source);
        if (entry != NULL) drop_entry(config, entry);
    } else {
        struct config_value parsed;
        enum err err = ERR_NONE;
        if (known) err = config_parse(key, text, &config->arena, &parsed, error);
        if (err != ERR_NONE) return err;
        if (!known && source == CONFIG_SOURCE_STATIC_BROKER &&
            config_find_entry(config, name, source) == NULL)
            warn_unknown(config, name);
        put_entry(config, name, text, source);
    }
    if (known && slice_equal_cstring(name, config_rows[key].name)) settle(config, key);
    config->finished = false;
    return ERR_NONE;
}

void config_clear_source(struct config *config, enum config_source source) {
    for (int32_t i = config->entry_count - 1; i >= 0; i--)
        if (config->entries[i].source == source) drop_entry(config, &config->entries[i]);
    for (int key = 0; key < (int)CONFIG_BROKER_END; key++)
        if (config->sources[key] == source) settle(config, (enum config_key)key);
    config->finished = false;
}

enum err config_add_properties(struct config *config, struct slice text, struct message *error) {
    struct arena arena;
    arena_init(&arena);
    struct properties properties = properties_of(text, &arena);
    struct slice name, value;
    enum err err;
    while ((err = properties_next(&properties, &name, &value, error)) == ERR_NONE) {
        struct message why;
        message_init(&why);
        err = config_set(config, name, value, CONFIG_SOURCE_STATIC_BROKER, &why);
        if (err == ERR_NONE) continue;
        message_set(error, "line %d: %s", (int)properties.line, why.text);
        break;
    }
    arena_deinit(&arena);
    return err == ERR_EOF ? ERR_NONE : err;
}

enum err config_add_override(struct config *config, struct slice assignment,
                             struct message *error) {
    struct slice name, value;
    if (!slice_split(assignment, '=', &name, &value) || slice_trim(name).size == 0) {
        message_set(error, "--override takes key=value, not \"%.*s\"", SLICE_PRINT(assignment));
        return ERR_INVALID_CONFIG;
    }
    return config_set(config, slice_trim(name), value, CONFIG_SOURCE_STATIC_BROKER, error);
}

void config_add_standalone_defaults(struct config *config) {
    static const char text[] =
        "process.roles=broker,controller\n"
        "node.id=1\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
        "controller.listener.names=CONTROLLER\n"
        "controller.quorum.bootstrap.servers=127.0.0.1:9093\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        "inter.broker.listener.name=PLAINTEXT\n"
        "log.dirs=data\n"
        "offsets.topic.replication.factor=1\n"
        "transaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\n"
        "share.coordinator.state.topic.replication.factor=1\n"
        "share.coordinator.state.topic.min.isr=1\n";
    enum err err = config_add_properties(config, slice_cstring(text), NULL);
    assert(err == ERR_NONE);
}

// Kafka 4 still takes broker.id for node.id and the other way round.
static void fill_node_id(struct config *config) {
    struct slice node = SLICE_LITERAL("node.id"), broker = SLICE_LITERAL("broker.id");
    struct config_entry *node_entry = config_find_entry(config, node, CONFIG_SOURCE_STATIC_BROKER);
    struct config_entry *broker_entry =
        config_find_entry(config, broker, CONFIG_SOURCE_STATIC_BROKER);
    if ((node_entry == NULL) == (broker_entry == NULL)) return;
    if (node_entry == NULL) {
        put_entry(config, node, broker_entry->text, CONFIG_SOURCE_STATIC_BROKER);
        settle(config, BROKER_NODE_ID);
    } else {
        put_entry(config, broker, node_entry->text, CONFIG_SOURCE_STATIC_BROKER);
        settle(config, BROKER_BROKER_ID);
    }
}

enum err config_finish(struct config *config, struct message *error) {
    fill_node_id(config);
    for (int key = 0; key < (int)CONFIG_BROKER_END; key++) {
        if (!config_rows[key].required || config->sources[key] != CONFIG_SOURCE_DEFAULT) continue;
        message_set(error, "Missing required configuration \"%s\" which has no default value.",
                    config_rows[key].name);
        return ERR_INVALID_CONFIG;
    }
    enum err err = config_parse_listeners(config, error);
    if (err == ERR_NONE) err = config_check(config, error);
    config->finished = err == ERR_NONE;
    return err;
}

struct config *config_copy(const struct config *config) {
    struct config *copy = config_new();
    for (int32_t i = 0; i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        enum err err = config_set(copy, entry->name, entry->text, entry->source, NULL);
        assert(err == ERR_NONE);
    }
    if (config->finished) {
        enum err err = config_finish(copy, NULL);
        assert(err == ERR_NONE);
    }
    return copy;
}

// ---- Reading ----

static const struct config_value *value_of(const struct config *config, enum config_key key,
                                           unsigned types) {
    assert(key < CONFIG_BROKER_END && (types >> config_rows[key].type & 1) != 0);
    return &config->values[key];
}

#define TYPE(name) (1u << CONFIG_TYPE_##name)

bool config_is_null(const struct config *config, enum config_key key) {
    return value_of(config, key, ~0u)->is_null;
}

int32_t config_int(const struct config *config, enum config_key key) {
    return (int32_t)value_of(config, key, TYPE(INT) | TYPE(SHORT))->integer;
}

int64_t config_long(const struct config *config, enum config_key key) {
    return value_of(config, key, TYPE(LONG) | TYPE(INT) | TYPE(SHORT))->integer;
}

double config_double(const struct config *config, enum config_key key) {
    return value_of(config, key, TYPE(DOUBLE))->number;
}

bool config_bool(const struct config *config, enum config_key key) {
    return value_of(config, key, TYPE(BOOLEAN))->boolean;
}

struct slice config_string(const struct config *config, enum config_key key) {
    return value_of(config, key, TYPE(STRING) | TYPE(CLASS) | TYPE(PASSWORD))->text;
}

struct config_list config_strings(const struct config *config, enum config_key key) {
    return value_of(config, key, TYPE(LIST))->list;
}

enum config_source config_source(const struct config *config, enum config_key key) {
    assert(key < CONFIG_BROKER_END);
    return (enum config_source)config->sources[key];
}

const struct config_value *config_value(const struct config *config, enum config_key key) {
    return value_of(config, key, ~0u);
}

int64_t config_log_retention_ms(const struct config *config) {
    int64_t ms = config_int(config, BROKER_LOG_RETENTION_HOURS) * 3600000LL;
    if (!config_is_null(config, BROKER_LOG_RETENTION_MINUTES))
        ms = config_int(config, BROKER_LOG_RETENTION_MINUTES) * 60000LL;
    if (!config_is_null(config, BROKER_LOG_RETENTION_MS))
        ms = config_long(config, BROKER_LOG_RETENTION_MS);
    return ms < 0 ? -1 : ms;
}

int64_t config_log_roll_ms(const struct config *config) {
    if (!config_is_null(config, BROKER_LOG_ROLL_MS)) return config_long(config, BROKER_LOG_ROLL_MS);
    return config_int(config, BROKER_LOG_ROLL_HOURS) * 3600000LL;
}

int64_t config_log_roll_jitter_ms(const struct config *config) {
    if (!config_is_null(config, BROKER_LOG_ROLL_JITTER_MS))
        return config_long(config, BROKER_LOG_ROLL_JITTER_MS);
    return config_int(config, BROKER_LOG_ROLL_JITTER_HOURS) * 3600000LL;
}

int64_t config_log_flush_interval_ms(const struct config *config) {
    if (!config_is_null(config, BROKER_LOG_FLUSH_INTERVAL_MS))
        return config_long(config, BROKER_LOG_FLUSH_INTERVAL_MS);
    return config_long(config, BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS);
}

bool config_entry_at(const struct config *config, int32_t index, struct slice *name,
                     struct slice *text, enum config_source *source) {
    if (index >= config->entry_count) return false;
    *name = config->entries[index].name;
    *text = config->entries[index].text;
    *source = config->entries[index].source;
    return true;
}

bool config_text(const struct config *config, struct slice name, enum config_source source,
                 struct slice *text) {
    const struct config_entry *entry = config_find_entry(config, name, source);
    if (entry == NULL) return false;
    *text = entry->text;
    return true;
}

static bool list_contains(struct config_list list, const char *item) {
    for (int32_t i = 0; i < list.count; i++)
        if (slice_equal_cstring(list.items[i], item)) return true;
    return false;
}

bool config_is_broker(const struct config *config) {
    return list_contains(config_strings(config, BROKER_PROCESS_ROLES), "broker");
}

bool config_is_controller(const struct config *config) {
    return list_contains(config_strings(config, BROKER_PROCESS_ROLES), "controller");
}

int32_t config_node_id(const struct config *config) {
    return config_int(config, BROKER_NODE_ID);
}

struct config_list config_log_dirs(const struct config *config) {
    struct config_list dirs = config_strings(config, BROKER_LOG_DIRS);
    return config_is_null(config, BROKER_LOG_DIRS) ? config_strings(config, BROKER_LOG_DIR) : dirs;
}

struct slice config_metadata_log_dir(const struct config *config) {
    if (!config_is_null(config, BROKER_METADATA_LOG_DIR))
        return config_string(config, BROKER_METADATA_LOG_DIR);
    return config_log_dirs(config).items[0];
}

int32_t config_connections_per_ip(const struct config *config, struct slice address) {
    struct slice rest = config_string(config, BROKER_MAX_CONNECTIONS_PER_IP_OVERRIDES);
    struct slice host, text;
    int64_t count;
    while (config_take_pair(&rest, &host, &text))
        if (slice_equal(host, address) && slice_parse_int64(text, &count)) return (int32_t)count;
    return config_int(config, BROKER_MAX_CONNECTIONS_PER_IP);
}

int32_t config_listener_int(const struct config *config, struct slice listener,
                            enum config_key key) {
    enum config_source best = CONFIG_SOURCE_DEFAULT;
    int64_t value = config_int(config, key);
    for (int32_t i = 0; i < config->entry_count; i++) {
        const struct config_entry *entry = &config->entries[i];
        struct slice name, base;
        if (entry->source >= best || !config_listener_prefix(entry->name, &name, &base)) continue;
        if (!slice_equal_cstring(base, config_rows[key].name) || !slice_equal(name, listener))
            continue;
        if (slice_parse_int64(slice_trim(entry->text), &value)) best = entry->source;
    }
    return (int32_t)value;
}
