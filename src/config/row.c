#include "base/memory.h"
#include "config/config.h"

static const enum config_key scope_first[CONFIG_SCOPE_COUNT] = {
    CONFIG_BROKER_FIRST, CONFIG_TOPIC_FIRST, CONFIG_GROUP_FIRST, CONFIG_CLIENT_METRICS_FIRST,
    CONFIG_QUOTA_FIRST};
static const enum config_key scope_end[CONFIG_SCOPE_COUNT] = {
    CONFIG_BROKER_END, CONFIG_TOPIC_END, CONFIG_GROUP_END, CONFIG_CLIENT_METRICS_END,
    CONFIG_QUOTA_END};

enum config_key config_scope_first(enum config_scope scope) {
    return scope_first[scope];
}
enum config_key config_scope_end(enum config_scope scope) {
    return scope_end[scope];
}

// Rows of a scope are sorted by name.
bool config_key_of(enum config_scope scope, struct slice name, enum config_key *key) {
    int low = (int)scope_first[scope], high = (int)scope_end[scope];
    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = slice_compare(slice_cstring(config_rows[middle].name), name);
        if (order == 0) {
            *key = (enum config_key)middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool config_listener_prefix(struct slice name, struct slice *listener, struct slice *base) {
    struct slice prefix = SLICE_LITERAL("listener.name.");
    if (!slice_starts_with(name, prefix)) return false;
    struct slice rest = slice_sub(name, prefix.size, name.size - prefix.size);
    return slice_split(rest, '.', listener, base);
}

// Of what a mechanism may have of its own, as in
// listener.name.internal.scram-sha-256.sasl.jaas.config.
static const char *const mechanism_names[] = {
    "sasl.jaas.config",          "sasl.login.callback.handler.class",
    "sasl.login.class",          "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
};

bool config_broker_key_of(struct slice name, enum config_key *key) {
    if (config_key_of(CONFIG_SCOPE_BROKER, name, key)) return true;
    struct slice listener, base;
    if (!config_listener_prefix(name, &listener, &base)) return false;
    for (size_t i = 0; i < COUNT_OF(mechanism_names); i++) {
        struct slice own = slice_cstring(mechanism_names[i]);
        if (slice_ends_with(base, own)) base = own;
    }
    return config_key_of(CONFIG_SCOPE_BROKER, base, key);
}

static const enum config_key alternatives[][CONFIG_ALTERNATIVES_MAX] = {
    {BROKER_LOG_ROLL_MS, BROKER_LOG_ROLL_HOURS, CONFIG_KEY_COUNT},
    {BROKER_LOG_ROLL_JITTER_MS, BROKER_LOG_ROLL_JITTER_HOURS, CONFIG_KEY_COUNT},
    {BROKER_LOG_RETENTION_MS, BROKER_LOG_RETENTION_MINUTES, BROKER_LOG_RETENTION_HOURS},
    {BROKER_LOG_FLUSH_INTERVAL_MS, BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS, CONFIG_KEY_COUNT},
};

// log.flush.scheduler.interval.ms stands for the other one, but not the other way round.
int config_alternatives(enum config_key key, enum config_key out[CONFIG_ALTERNATIVES_MAX]) {
    out[0] = key;
    for (size_t i = 0; i < COUNT_OF(alternatives); i++) {
        int count = 0;
        bool member = false;
        for (int k = 0; k < CONFIG_ALTERNATIVES_MAX; k++) {
            if (alternatives[i][k] == CONFIG_KEY_COUNT) continue;
            member = member || alternatives[i][k] == key;
            count++;
        }
        if (!member || key == BROKER_LOG_FLUSH_SCHEDULER_INTERVAL_MS) continue;
        memcpy(out, alternatives[i], sizeof alternatives[i]);
        return count;
    }
    return 1;
}

#define NAME_MAX_LENGTH 128

// Edit distance (insert, delete, replace: 1 each), or `limit` when it is not below.
static size_t edit_distance(struct slice a, struct slice b, size_t limit) {
    size_t difference = a.size > b.size ? a.size - b.size : b.size - a.size;
    if (difference >= limit || a.size > NAME_MAX_LENGTH || b.size > NAME_MAX_LENGTH) return limit;
    size_t row[NAME_MAX_LENGTH + 1];
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0], smallest = i + 1;
        row[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t replace = diagonal + (a.data[i] != b.data[j]);
            diagonal = row[j + 1];
            row[j + 1] = MIN(replace, MIN(row[j], diagonal) + 1);
            smallest = MIN(smallest, row[j + 1]);
        }
        if (smallest >= limit) return limit;
    }
    return MIN(row[b.size], limit);
}

struct slice config_nearest_name(enum config_scope scope, struct slice name) {
    size_t best = MAX(name.size / 4, 2) + 1;  // farther names are no help
    struct slice nearest = SLICE_NULL;
    for (int key = (int)scope_first[scope]; key < (int)scope_end[scope]; key++) {
        struct slice known = slice_cstring(config_rows[key].name);
        size_t distance = edit_distance(name, known, best);
        if (distance < best) {
            best = distance;
            nearest = known;
        }
    }
    return nearest;
}
