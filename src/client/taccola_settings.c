// The settings of a handle, by Kafka's names.
#include "client/taccola_private.h"
#include "config/properties.h"

static uint64_t ns_of(int64_t ms) {
    if (ms < 0) return 0;
    return (uint64_t)MIN(ms, (int64_t)86400000 * 365) * 1000000U;
}

static enum err set_acks(struct settings *s, struct slice v) {
    if (slice_equal_cstring(v, "all") || slice_equal_cstring(v, "-1")) {
        s->producer.acks = -1;
    } else if (slice_equal_cstring(v, "1") || slice_equal_cstring(v, "0")) {
        s->producer.acks = (int16_t)(v.data[0] - '0');
        s->producer.idempotent = false;
    } else {
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err set_idempotence(struct settings *s, struct slice v) {
    s->producer.idempotent = slice_equal_cstring(v, "true");
    return s->producer.idempotent || slice_equal_cstring(v, "false") ? ERR_NONE : ERR_INVALID;
}

static enum err set_compression(struct settings *s, struct slice v) {
    return compression_parse(v, &s->producer.compression) ? ERR_NONE : ERR_INVALID;
}

static enum err set_isolation(struct settings *s, struct slice v) {
    s->consumer.read_committed = slice_equal_cstring(v, "read_committed");
    bool known = s->consumer.read_committed || slice_equal_cstring(v, "read_uncommitted");
    return known ? ERR_NONE : ERR_INVALID;
}

static enum err set_reset(struct settings *s, struct slice v) {
    s->consumer.reset = slice_equal_cstring(v, "earliest") ? OFFSET_EARLIEST
                        : slice_equal_cstring(v, "latest") ? OFFSET_LATEST
                                                           : 0;
    return s->consumer.reset != 0 || slice_equal_cstring(v, "none") ? ERR_NONE : ERR_INVALID;
}

static enum err set_client_id(struct settings *s, struct slice v) {
    s->client.client_id = v;
    return ERR_NONE;
}

static enum err set_linger(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 0) return ERR_INVALID;
    s->producer.linger_ns = ns_of(ms);
    return ERR_NONE;
}

static enum err set_delivery_timeout(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 1) return ERR_INVALID;
    s->producer.delivery_timeout_ns = ns_of(ms);
    return ERR_NONE;
}

static enum err set_request_timeout(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 1) return ERR_INVALID;
    s->client.request_timeout_ns = s->producer.request_timeout_ns = ns_of(ms);
    return ERR_NONE;
}

static enum err set_batch_size(struct settings *s, struct slice v) {
    int64_t bytes;
    if (!slice_parse_int64(v, &bytes) || bytes < 0 || bytes > INT32_MAX) return ERR_INVALID;
    s->producer.batch_bytes = (size_t)bytes;
    return ERR_NONE;
}

static enum err set_partition_bytes(struct settings *s, struct slice v) {
    int64_t bytes;
    if (!slice_parse_int64(v, &bytes) || bytes < 1 || bytes > INT32_MAX) return ERR_INVALID;
    s->consumer.partition_bytes_max = (int32_t)bytes;
    return ERR_NONE;
}

static enum err set_group(struct settings *s, struct slice v) {
    s->group.group = v;
    return v.size > 0 ? ERR_NONE : ERR_INVALID;
}

static enum err set_group_protocol(struct settings *s, struct slice v) {
    s->group.protocol = slice_equal_cstring(v, "consumer") ? GROUP_CONSUMER : GROUP_CLASSIC;
    bool known = s->group.protocol == GROUP_CONSUMER || slice_equal_cstring(v, "classic");
    return known ? ERR_NONE : ERR_INVALID;
}

static enum err set_instance(struct settings *s, struct slice v) {
    s->group.instance_id = v;
    return v.size > 0 ? ERR_NONE : ERR_INVALID;
}

static enum err set_auto_commit(struct settings *s, struct slice v) {
    s->group.auto_commit = slice_equal_cstring(v, "true");
    return s->group.auto_commit || slice_equal_cstring(v, "false") ? ERR_NONE : ERR_INVALID;
}

static enum err set_session_timeout(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 1 || ms > INT32_MAX) return ERR_INVALID;
    s->group.session_timeout_ms = (int32_t)ms;
    return ERR_NONE;
}

static enum err set_heartbeat_interval(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 1 || ms > INT32_MAX) return ERR_INVALID;
    s->group.heartbeat_interval_ms = (int32_t)ms;
    return ERR_NONE;
}

static enum err set_transactional_id(struct settings *s, struct slice v) {
    s->producer.transactional_id = v;
    return v.size > 0 ? ERR_NONE : ERR_INVALID;
}

static enum err set_transaction_timeout(struct settings *s, struct slice v) {
    int64_t ms;
    if (!slice_parse_int64(v, &ms) || ms < 1 || ms > INT32_MAX) return ERR_INVALID;
    s->producer.transaction_timeout_ms = (int32_t)ms;
    return ERR_NONE;
}

static const struct {
    const char *name;
    enum err (*set)(struct settings *settings, struct slice value);
} setting_rows[] = {
    {"client.id", set_client_id},
    {"acks", set_acks},
    {"enable.idempotence", set_idempotence},
    {"compression.type", set_compression},
    {"linger.ms", set_linger},
    {"batch.size", set_batch_size},
    {"delivery.timeout.ms", set_delivery_timeout},
    {"request.timeout.ms", set_request_timeout},
    {"isolation.level", set_isolation},
    {"auto.offset.reset", set_reset},
    {"max.partition.fetch.bytes", set_partition_bytes},
    {"group.id", set_group},
    {"group.protocol", set_group_protocol},
    {"group.instance.id", set_instance},
    {"enable.auto.commit", set_auto_commit},
    {"session.timeout.ms", set_session_timeout},
    {"heartbeat.interval.ms", set_heartbeat_interval},
    {"transactional.id", set_transactional_id},
    {"transaction.timeout.ms", set_transaction_timeout},
};

static enum err apply_setting(struct settings *s, struct slice key, struct slice value,
                              struct message *error) {
    for (size_t i = 0; i < COUNT_OF(setting_rows); i++) {
        if (!slice_equal_cstring(key, setting_rows[i].name)) continue;
        enum err err = setting_rows[i].set(s, value);
        if (err != ERR_NONE) {
            message_set(error, "%s cannot be \"%.*s\"", setting_rows[i].name, SLICE_PRINT(value));
        }
        return err;
    }
    message_set(error, "there is no setting %.*s", SLICE_PRINT(key));
    return ERR_INVALID;
}

enum err taccola_parse_settings(struct settings *s, const char *text, struct arena *arena,
                                struct message *error) {
    s->client = client_options_default();
    s->producer = producer_options_default();
    s->consumer = consumer_options_default();
    s->group = group_consumer_options_default();
    struct properties p = properties_of(text == NULL ? SLICE_EMPTY : slice_cstring(text), arena);
    struct slice key, value;
    enum err err;
    while ((err = properties_next(&p, &key, &value, error)) == ERR_NONE) {
        err = apply_setting(s, key, value, error);
        if (err != ERR_NONE) return err;
    }
    return err == ERR_EOF ? ERR_NONE : err;
}
