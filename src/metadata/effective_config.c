// Which of the places that may say a config counts. Everything here takes the node's config with or
// without its dynamic layers: they are looked up in the image in any case. A topic's default is the
// broker's value of the first of the row's broker keys that is not null, turned into the topic's
// unit by the factor (log.retention.ms, else log.retention.minutes times 60000, else hours).
#include "metadata/effective_config.h"

#include <stdio.h>

#include "metadata/effective_internal.h"
#include "metadata/image_diff.h"

// ---- The broker ----

static struct slice node_name(int32_t node_id, char text[12]) {
    int size = snprintf(text, 12, "%d", (int)node_id);
    return slice_of(text, (size_t)size);
}

// Adds what the image says of one broker resource. Kafka leaves out what may not be set there, and
// so do we.
static void add_dynamic(struct config *config, const struct image *image, struct slice resource,
                        enum config_source source) {
    struct slice name = SLICE_NULL, value;
    while (image_config_after(image, CONFIG_RESOURCE_BROKER, resource, name, &name, &value)) {
        struct message error;
        enum config_key key;
        bool known = config_broker_key_of(name, &key);
        struct slice listener, base;
        bool prefixed = config_listener_prefix(name, &listener, &base);
        uint8_t update = known ? config_row_of(key)->update : (uint8_t)CONFIG_CLUSTER_WIDE;
        bool per_broker_only = prefixed || update == CONFIG_PER_BROKER;
        if (update == CONFIG_READ_ONLY && !prefixed) {
            config_warn(config, "dynamic config %.*s cannot be changed while running: ignored",
                        SLICE_PRINT(name));
        } else if (per_broker_only && source == CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER) {
            config_warn(config, "dynamic config %.*s belongs to one broker, not to all: ignored",
                        SLICE_PRINT(name));
        } else if (config_set(config, name, value, source, &error) != ERR_NONE) {
            config_warn(config, "dynamic config ignored: %s", error.text);
        }
    }
}

struct config *effective_broker_config(const struct config *base, const struct image *image) {
    struct config *config = config_copy(base);
    char text[12];
    add_dynamic(config, image, SLICE_EMPTY, CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER);
    add_dynamic(config, image, node_name(config_node_id(base), text), CONFIG_SOURCE_DYNAMIC_BROKER);
    struct message error;
    if (config_finish(config, &error) == ERR_NONE) return config;
    config_free(config);
    config = config_copy(base);
    config_warn(config, "dynamic configs do not fit together, all are ignored: %s", error.text);
    return config;
}

struct changed_scope {
    struct slice node;
    bool changed;
};

static void note_change(void *context, enum config_resource_type type, struct slice resource) {
    struct changed_scope *scope = context;
    if (type != CONFIG_RESOURCE_BROKER) return;
    if (resource.size == 0 || slice_equal(resource, scope->node)) scope->changed = true;
}

bool effective_broker_config_changed(const struct image *before, const struct image *after,
                                     int32_t node_id) {
    char text[12];
    struct changed_scope scope = {.node = node_name(node_id, text), .changed = false};
    image_diff_configs(before, after, note_change, &scope);
    return scope.changed;
}

// ---- Topics ----

// A broker's value in the unit and type of the row that it is the default of.
static struct config_value convert(enum config_key key, const struct config_synonym *synonym,
                                   const struct config_value *value, struct arena *arena) {
    struct config_value converted = *value;
    const struct config_row *row = config_row_of(key);
    if (config_row_of(synonym->key)->type == CONFIG_TYPE_LIST && row->type == CONFIG_TYPE_STRING) {
        converted.text = value->list.items[0];  // streams.assignor.name: the first assignor
        return converted;
    }
    if (row->type != CONFIG_TYPE_LONG) return converted;
    converted.integer *= synonym->factor;
    if (key == TOPIC_RETENTION_MS && converted.integer < 0) converted.integer = -1;
    if (converted.integer != value->integer)
        converted.text = arena_format(arena, "%lld", (long long)converted.integer);
    return converted;
}

enum config_source effective_broker_value(const struct image *image, const struct config *config,
                                          enum config_key key, struct arena *arena,
                                          struct config_value *value) {
    const struct config_row *row = config_row_of(key);
    struct slice text, name = slice_cstring(row->name);
    char node[12];
    if (row->update != CONFIG_READ_ONLY &&
        image_config(image, CONFIG_RESOURCE_BROKER, node_name(config_node_id(config), node), name,
                     &text) &&
        config_parse(key, text, arena, value, NULL) == ERR_NONE)
        return CONFIG_SOURCE_DYNAMIC_BROKER;
    if (row->update == CONFIG_CLUSTER_WIDE &&
        image_config(image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, name, &text) &&
        config_parse(key, text, arena, value, NULL) == ERR_NONE)
        return CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER;
    *value = *config_value(config, key);
    return config_source(config, key);
}

struct config_value effective_from_broker(const struct image *image, const struct config *config,
                                          enum config_key key, struct arena *arena,
                                          enum config_source *source) {
    const struct config_row *row = config_row_of(key);
    for (int i = 0; i < row->synonym_count; i++) {
        struct config_value value;
        *source = effective_broker_value(image, config, row->synonyms[i].key, arena, &value);
        if (!value.is_null) return convert(key, &row->synonyms[i], &value, arena);
    }
    *source = CONFIG_SOURCE_DEFAULT;
    return config_default(key, arena);
}

// The topic's own value, if there is a valid one, else the broker's.
static struct config_value topic_value(const struct image *image, const struct config *config,
                                       struct slice topic, enum config_key key,
                                       struct arena *arena) {
    struct slice text, name = slice_cstring(config_row_of(key)->name);
    struct config_value value;
    if (image_config(image, CONFIG_RESOURCE_TOPIC, topic, name, &text) &&
        config_parse(key, text, arena, &value, NULL) == ERR_NONE)
        return value;
    enum config_source source;
    return effective_from_broker(image, config, key, arena, &source);
}

static int64_t number_of(enum config_key key, const struct config_value *value) {
    return config_row_of(key)->type == CONFIG_TYPE_BOOLEAN ? value->boolean : value->integer;
}

int64_t effective_topic_long(const struct image *image, const struct config *config,
                             struct slice topic, enum config_key key) {
    struct arena arena;
    arena_init(&arena);
    struct config_value value = topic_value(image, config, topic, key, &arena);
    arena_deinit(&arena);
    return number_of(key, &value);
}

static void settle_cleanup_policy(const struct config_value *value,
                                  struct topic_settings *settings) {
    settings->delete_policy = settings->compact_policy = false;
    for (int32_t i = 0; i < value->list.count; i++) {
        settings->delete_policy |= slice_equal_cstring(value->list.items[i], "delete");
        settings->compact_policy |= slice_equal_cstring(value->list.items[i], "compact");
    }
}

// The row's own copy of an allowed word, so that it outlives the image.
static struct slice static_word(enum config_key key, struct slice text) {
    const char *const *allowed = config_row_of(key)->allowed;
    for (; *allowed != NULL; allowed++)
        if (slice_equal_cstring(text, *allowed)) return slice_cstring(*allowed);
    return slice_cstring(config_row_of(key)->default_text);
}

static void put_setting(struct topic_settings *s, enum config_key key,
                        const struct config_value *value) {
    int64_t number = number_of(key, value);
    int32_t small = (int32_t)number;
    switch ((int)key) {
        case TOPIC_SEGMENT_BYTES:
            s->segment_bytes = small;
            break;
        case TOPIC_SEGMENT_MS:
            s->segment_ms = number;
            break;
        case TOPIC_SEGMENT_JITTER_MS:
            s->segment_jitter_ms = number;
            break;
        case TOPIC_SEGMENT_INDEX_BYTES:
            s->segment_index_bytes = small;
            break;
        case TOPIC_INDEX_INTERVAL_BYTES:
            s->index_interval_bytes = small;
            break;
        case TOPIC_RETENTION_MS:
            s->retention_ms = number;
            break;
        case TOPIC_RETENTION_BYTES:
            s->retention_bytes = number;
            break;
        case TOPIC_CLEANUP_POLICY:
            settle_cleanup_policy(value, s);
            break;
        case TOPIC_MAX_MESSAGE_BYTES:
            s->max_message_bytes = small;
            break;
        case TOPIC_MAX_DECOMPRESSED_MESSAGE_BYTES:
            s->max_decompressed_message_bytes = small;
            break;
        case TOPIC_MESSAGE_TIMESTAMP_TYPE:
            s->log_append_time = slice_equal_cstring(value->text, "LogAppendTime");
            break;
        case TOPIC_MESSAGE_TIMESTAMP_BEFORE_MAX_MS:
            s->timestamp_before_max_ms = number;
            break;
        case TOPIC_MESSAGE_TIMESTAMP_AFTER_MAX_MS:
            s->timestamp_after_max_ms = number;
            break;
        case TOPIC_FLUSH_MESSAGES:
            s->flush_messages = number;
            break;
        case TOPIC_FLUSH_MS:
            s->flush_ms = number;
            break;
        case TOPIC_FILE_DELETE_DELAY_MS:
            s->file_delete_delay_ms = number;
            break;
        case TOPIC_DELETE_RETENTION_MS:
            s->delete_retention_ms = number;
            break;
        case TOPIC_MIN_COMPACTION_LAG_MS:
            s->min_compaction_lag_ms = number;
            break;
        case TOPIC_MAX_COMPACTION_LAG_MS:
            s->max_compaction_lag_ms = number;
            break;
        case TOPIC_MIN_CLEANABLE_DIRTY_RATIO:
            s->min_cleanable_dirty_ratio = value->number;
            break;
        case TOPIC_MIN_INSYNC_REPLICAS:
            s->min_insync_replicas = small;
            break;
        case TOPIC_UNCLEAN_LEADER_ELECTION_ENABLE:
            s->unclean_leader_election = value->boolean;
            break;
        case TOPIC_PREALLOCATE:
            s->preallocate = value->boolean;
            break;
        case TOPIC_COMPRESSION_TYPE:
            s->compression_type = static_word(key, value->text);
            break;
        case TOPIC_COMPRESSION_GZIP_LEVEL:
            s->compression_gzip_level = small;
            break;
        case TOPIC_COMPRESSION_LZ4_LEVEL:
            s->compression_lz4_level = small;
            break;
        case TOPIC_COMPRESSION_ZSTD_LEVEL:
            s->compression_zstd_level = small;
            break;
        default:
            break;  // not a setting of the log
    }
}

void effective_topic_settings(const struct image *image, const struct config *config,
                              struct slice topic, struct topic_settings *settings) {
    struct arena arena;
    arena_init(&arena);
    for (int key = CONFIG_TOPIC_FIRST; key < (int)CONFIG_TOPIC_END; key++) {
        enum config_source source;
        struct config_value value =
            effective_from_broker(image, config, (enum config_key)key, &arena, &source);
        put_setting(settings, (enum config_key)key, &value);
    }
    struct slice name = SLICE_NULL, text;
    int32_t internal_segment_bytes = 0;
    while (image_config_after(image, CONFIG_RESOURCE_TOPIC, topic, name, &name, &text)) {
        enum config_key key;
        struct config_value value;
        if (!config_key_of(CONFIG_SCOPE_TOPIC, name, &key)) continue;
        if (config_parse(key, text, &arena, &value, NULL) != ERR_NONE) continue;
        put_setting(settings, key, &value);
        if (key == TOPIC_INTERNAL_SEGMENT_BYTES) internal_segment_bytes = (int32_t)value.integer;
    }
    if (internal_segment_bytes > 0) settings->segment_bytes = internal_segment_bytes;
    arena_deinit(&arena);
}

// ---- Groups ----

const struct group_bound group_bounds[] = {
    {GROUP_CONSUMER_SESSION_TIMEOUT_MS, BROKER_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS},
    {GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_SHARE_SESSION_TIMEOUT_MS, BROKER_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_SHARE_MAX_SESSION_TIMEOUT_MS},
    {GROUP_SHARE_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_SHARE_RECORD_LOCK_DURATION_MS, BROKER_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
     BROKER_GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS},
    {GROUP_SHARE_DELIVERY_COUNT_LIMIT, BROKER_GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
     BROKER_GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT},
    {GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS, BROKER_GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
     BROKER_GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS},
    {GROUP_SHARE_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_STREAMS_SESSION_TIMEOUT_MS, BROKER_GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS,
     BROKER_GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS},
    {GROUP_STREAMS_HEARTBEAT_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS,
     BROKER_GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS},
    {GROUP_STREAMS_NUM_STANDBY_REPLICAS, CONFIG_KEY_COUNT,
     BROKER_GROUP_STREAMS_MAX_STANDBY_REPLICAS},
    {GROUP_STREAMS_ASSIGNMENT_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
     BROKER_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS},
    {GROUP_STREAMS_TASK_OFFSET_INTERVAL_MS, BROKER_GROUP_STREAMS_MIN_TASK_OFFSET_INTERVAL_MS,
     CONFIG_KEY_COUNT},
    {GROUP_STREAMS_NUM_WARMUP_REPLICAS, CONFIG_KEY_COUNT, BROKER_GROUP_STREAMS_MAX_WARMUP_REPLICAS},
};
const int group_bound_count = COUNT_OF(group_bounds);

int64_t effective_group_long(const struct image *image, const struct config *config,
                             struct slice group, enum config_key key) {
    struct arena arena;
    arena_init(&arena);
    struct slice text, name = slice_cstring(config_row_of(key)->name);
    struct config_value value;
    enum config_source source;
    if (!image_config(image, CONFIG_RESOURCE_GROUP, group, name, &text) ||
        config_parse(key, text, &arena, &value, NULL) != ERR_NONE)
        value = effective_from_broker(image, config, key, &arena, &source);
    arena_deinit(&arena);
    int64_t number = number_of(key, &value);
    for (int i = 0; i < group_bound_count; i++) {
        const struct group_bound *bound = &group_bounds[i];
        if (bound->key != key) continue;
        if (bound->max != CONFIG_KEY_COUNT) number = MIN(number, config_int(config, bound->max));
        if (bound->min != CONFIG_KEY_COUNT) number = MAX(number, config_int(config, bound->min));
    }
    return number;
}
