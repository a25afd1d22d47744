// From a topic's effective configuration to the plain values that its logs work with.
#include "metadata/effective_config.h"
#include "metadata/topic_name.h"
#include "replica/manager_state.h"

static enum durability durability_of(const struct config *config, struct slice topic) {
    enum config_key key = topic_name_is_internal(topic) ? BROKER_TACCOLA_INTERNAL_TOPICS_DURABILITY
                                                        : BROKER_TACCOLA_DURABILITY;
    return slice_equal_cstring(config_string(config, key), "page-cache") ? DURABILITY_PAGE_CACHE
                                                                         : DURABILITY_FSYNC;
}

static void set_compression(const struct topic_settings *topic, struct log_config *settings) {
    settings->compression = COMPRESSION_NONE;
    settings->compression_is_producer = slice_equal_cstring(topic->compression_type, "producer");
    if (settings->compression_is_producer) return;
    // "uncompressed" is no codec's name and stays COMPRESSION_NONE.
    if (!compression_parse(topic->compression_type, &settings->compression)) return;
    switch (settings->compression) {
        case COMPRESSION_GZIP:
            settings->compression_level = MAX(topic->compression_gzip_level, 0);  // -1: the default
            break;
        case COMPRESSION_LZ4:
            settings->compression_level = topic->compression_lz4_level;
            break;
        case COMPRESSION_ZSTD:
            settings->compression_level = topic->compression_zstd_level;
            break;
        case COMPRESSION_NONE:
        case COMPRESSION_SNAPPY:
            break;
    }
}

void log_settings_of(const struct config *config, const struct image *image, struct slice topic,
                     struct log_config *settings, int32_t *min_insync_replicas) {
    struct topic_settings values;
    effective_topic_settings(image, config, topic, &values);
    *settings = (struct log_config){
        .durability = durability_of(config, topic),
        .segment_bytes = values.segment_bytes,
        .segment_ms = values.segment_ms,
        .segment_jitter_ms = values.segment_jitter_ms,
        .segment_index_bytes = values.segment_index_bytes,
        .index_interval_bytes = values.index_interval_bytes,
        .retention_ms = values.retention_ms,
        .retention_bytes = values.retention_bytes,
        .delete_policy = values.delete_policy,
        .compact_policy = values.compact_policy,
        .max_message_bytes = values.max_message_bytes,
        .log_append_time = values.log_append_time,
        .timestamp_before_max_ms = values.timestamp_before_max_ms,
        .timestamp_after_max_ms = values.timestamp_after_max_ms,
        .flush_messages = values.flush_messages,
        .flush_ms = values.flush_ms,
        .file_delete_delay_ms = values.file_delete_delay_ms,
        .producer_id_expiration_ms = config_long(config, BROKER_PRODUCER_ID_EXPIRATION_MS),
        .validate_records =
            slice_equal_cstring(config_string(config, BROKER_TACCOLA_RECORD_VALIDATION), "full"),
        .preallocate = values.preallocate,
    };
    set_compression(&values, settings);
    *min_insync_replicas = values.min_insync_replicas;
}
