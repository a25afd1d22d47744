// AlterClientQuotas (KIP-546). Quotas are kept as records; who enforces them reads the image.
#include <math.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "controller/repeats.h"
#include "controller/state.h"

#define QUOTA_EPSILON    1e-6
#define ENTITY_TYPES_MAX 8  // there are three; more distinct ones are not looked at

enum quota_type { QUOTA_DOUBLE, QUOTA_INT, QUOTA_LONG };

static const struct {
    const char *key;
    enum quota_type type;
    bool of_ip;  // else of users and client ids
} quota_keys[] = {
    {"producer_byte_rate", QUOTA_LONG, false},
    {"consumer_byte_rate", QUOTA_LONG, false},
    {"request_percentage", QUOTA_DOUBLE, false},
    {"controller_mutation_rate", QUOTA_DOUBLE, false},
    {"connection_creation_rate", QUOTA_INT, true},
};

// An IPv4 or IPv6 address, or a host name: Kafka resolves it, we look at its form.
static bool is_host(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '-' || c == ':' || c == '_';
        if (!ok) return false;
    }
    return text.size > 0;
}

static enum err check_entity(const struct alter_client_quotas_request_entry *entry, bool *is_ip,
                             struct message *text) {
    bool has_user = false;
    bool has_client = false;
    struct slice ip = SLICE_NULL;
    *is_ip = false;
    for (int32_t i = 0; i < entry->entity_count; i++) {
        struct slice type = entry->entity[i].entity_type;
        struct slice name = entry->entity[i].entity_name;
        bool *seen = slice_equal_cstring(type, "user")        ? &has_user
                     : slice_equal_cstring(type, "client-id") ? &has_client
                     : slice_equal_cstring(type, "ip")        ? is_ip
                                                              : NULL;
        if (seen == NULL) {
            message_set(text, "Unhandled client quota entity type: %.*s", SLICE_PRINT(type));
            return ERR_INVALID_REQUEST;
        }
        *seen = true;
        if (seen == is_ip) ip = name;
        if (!slice_is_null(name) && name.size == 0) {
            message_set(text, "Empty %.*s not supported", SLICE_PRINT(type));
            return ERR_INVALID_REQUEST;
        }
    }
    if (!has_user && !has_client && !*is_ip) {
        message_set(text, "Invalid empty client quota entity");
        return ERR_INVALID_REQUEST;
    }
    if (*is_ip && (has_user || has_client)) {
        message_set(
            text,
            "Invalid quota entity combination, IP entity shouldnot be combined with User or "
            "ClientId");
        return ERR_INVALID_REQUEST;
    }
    if (*is_ip && !slice_is_null(ip) && !is_host(ip)) {
        message_set(text, "%.*s is not a valid IP or resolvable host.", SLICE_PRINT(ip));
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

static enum err check_value(struct slice key, double value, bool is_ip, struct message *text) {
    size_t row = 0;
    while (row < COUNT_OF(quota_keys) &&
           !(quota_keys[row].of_ip == is_ip && slice_equal_cstring(key, quota_keys[row].key))) {
        row++;
    }
    if (row == COUNT_OF(quota_keys)) {
        message_set(text, "Invalid configuration key %.*s", SLICE_PRINT(key));
    } else if (!isfinite(value)) {
        message_set(text, "Quota %.*s must be a finite number", SLICE_PRINT(key));
    } else if (value <= 0) {
        message_set(text, "Quota %.*s must be greater than 0", SLICE_PRINT(key));
    } else if (quota_keys[row].type == QUOTA_INT && value > (double)INT32_MAX) {
        message_set(text, "Proposed value for %.*s is too large for an INT.", SLICE_PRINT(key));
    } else if (quota_keys[row].type == QUOTA_LONG && value > (double)INT64_MAX) {
        message_set(text, "Proposed value for %.*s is too large for a LONG.", SLICE_PRINT(key));
    } else if (quota_keys[row].type != QUOTA_DOUBLE && fabs(fmod(value, 1.0)) > QUOTA_EPSILON) {
        message_set(text, "%.*s cannot be a fractional value.", SLICE_PRINT(key));
    } else {
        return ERR_NONE;
    }
    return ERR_INVALID_REQUEST;
}

// What the image has for this entity and key; NULL: nothing.
static const struct quota_image *find_quota(const struct decision *decision,
                                            const struct alter_client_quotas_request_entry *entry,
                                            struct slice key) {
    struct arena *arena = decision->result->arena;
    struct quota_entity *entities =
        arena_zalloc(arena, (size_t)entry->entity_count, sizeof *entities);
    for (int32_t i = 0; i < entry->entity_count; i++) {
        entities[i] =
            (struct quota_entity){entry->entity[i].entity_type, entry->entity[i].entity_name};
    }
    return image_quota(decision->image, entities, entry->entity_count, key);
}

static void add_quota(struct decision *decision,
                      const struct alter_client_quotas_request_entry *entry,
                      const struct alter_client_quotas_request_op *op) {
    struct metadata_record record = decision_record(decision, METADATA_CLIENT_QUOTA, 0);
    struct client_quota_record *r = record.message;
    r->entity = client_quota_record_entity_new(decision->result->arena, entry->entity_count);
    r->entity_count = entry->entity_count;
    for (int32_t i = 0; i < entry->entity_count; i++) {
        r->entity[i].entity_type = entry->entity[i].entity_type;
        r->entity[i].entity_name = entry->entity[i].entity_name;
    }
    r->key = op->key;
    r->value = op->remove ? 0 : op->value;
    r->remove = op->remove;
    decision_add(decision, &record);
}

struct entity_part {
    struct slice type, name;
    uint32_t bucket;
};

static int compare_parts(const void *a, const void *b) {
    const struct entity_part *left = a, *right = b;
    return (left->bucket > right->bucket) - (left->bucket < right->bucket);
}

// As Kafka's ClientQuotaEntity prints itself: a hash map made for that many types, which grows when
// it is more than three quarters full.
static struct slice entity_text(const struct decision *decision,
                                const struct alter_client_quotas_request_entry *entry) {
    size_t count = (size_t)entry->entity_count;
    struct entity_part *parts = arena_zalloc(decision->result->arena, count, sizeof *parts);
    uint32_t buckets = count <= 3 ? 4 : count <= 6 ? 8 : 16;
    for (size_t i = 0; i < count; i++) {
        struct slice type = entry->entity[i].entity_type, name = entry->entity[i].entity_name;
        if (slice_is_null(name)) name = SLICE_LITERAL("null");
        parts[i] = (struct entity_part){type, name, utf8_java_bucket(type, count) & (buckets - 1)};
    }
    if (count > 1) qsort(parts, count, sizeof *parts, compare_parts);
    struct string_buffer text;
    string_buffer_init(&text);
    for (size_t i = 0; i < count; i++)
        string_buffer_format(&text, "%s%.*s=%.*s", i == 0 ? "" : ", ", SLICE_PRINT(parts[i].type),
                             SLICE_PRINT(parts[i].name));
    struct slice out = arena_format(decision->result->arena, "ClientQuotaEntity(entries={%.*s})",
                                    SLICE_PRINT(string_buffer_slice(&text)));
    string_buffer_deinit(&text);
    return out;
}

static enum err alter_entity(struct decision *decision,
                             const struct alter_client_quotas_request_entry *entry,
                             struct message *text) {
    struct arena *arena = decision->result->arena;
    struct slice *keys = arena_zalloc(arena, (size_t)entry->ops_count, sizeof *keys);
    for (int32_t i = 0; i < entry->ops_count; i++)
        keys[i] = entry->ops[i].key;
    const enum repeat *repeats =
        repeats_find(keys, entry->ops_count, env_random(decision->state->env), arena);
    for (int32_t i = 0; i < entry->ops_count; i++) {
        if (repeats[i] != REPEAT_LATER) continue;
        // Kafka takes the second alteration of a key for a second one of its entity.
        message_set(text, "Ignoring duplicate entity %.*s",
                    SLICE_PRINT(entity_text(decision, entry)));
        return ERR_INVALID_REQUEST;
    }
    bool is_ip;
    enum err err = check_entity(entry, &is_ip, text);
    for (int32_t i = 0; err == ERR_NONE && i < entry->ops_count; i++) {
        const struct alter_client_quotas_request_op *op = &entry->ops[i];
        const struct quota_image *there = find_quota(decision, entry, op->key);
        if (op->remove) {
            if (there != NULL) add_quota(decision, entry, op);
            continue;
        }
        err = check_value(op->key, op->value, is_ip, text);
        bool same = there != NULL && memcmp(&there->value, &op->value, sizeof op->value) == 0;
        if (err == ERR_NONE && !same) add_quota(decision, entry, op);
    }
    return err;
}

// Equal for equal entities in any order of their parts.
static struct slice entity_key(const struct alter_client_quotas_request_entry *entry,
                               struct arena *arena) {
    struct slice parts[3] = {SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};
    for (int32_t i = 0; i < entry->entity_count; i++) {
        struct slice type = entry->entity[i].entity_type;
        int part = slice_equal_cstring(type, "user")        ? 0
                   : slice_equal_cstring(type, "client-id") ? 1
                   : slice_equal_cstring(type, "ip")        ? 2
                                                            : -1;
        if (part < 0) return SLICE_NULL;
        struct slice name = entry->entity[i].entity_name;
        parts[part] = slice_is_null(name)
                          ? SLICE_LITERAL("default")
                          : arena_format(arena, "%zu:%.*s", name.size, SLICE_PRINT(name));
    }
    return arena_format(arena, "%.*s %.*s %.*s", SLICE_PRINT(parts[0]), SLICE_PRINT(parts[1]),
                        SLICE_PRINT(parts[2]));
}

static void copy_entity(const struct decision *decision,
                        const struct alter_client_quotas_request_entry *entry,
                        struct alter_client_quotas_response_entry *row) {
    row->entity = alter_client_quotas_response_entity_new(decision->arena, entry->entity_count);
    row->entity_count = entry->entity_count;
    for (int32_t i = 0; i < entry->entity_count; i++) {
        row->entity[i].entity_type = entry->entity[i].entity_type;
        row->entity[i].entity_name = entry->entity[i].entity_name;
    }
}

// A type that an entity names twice has its last name, as in Kafka, which keeps a map.
static struct alter_client_quotas_request_entry one_name_per_type(
    const struct alter_client_quotas_request_entry *entry, struct arena *arena) {
    struct alter_client_quotas_request_entry unique = *entry;
    unique.entity = alter_client_quotas_request_entity_new(arena, entry->entity_count);
    unique.entity_count = 0;
    for (int32_t i = 0; i < entry->entity_count; i++) {
        int32_t k = 0;
        while (k < unique.entity_count &&
               !slice_equal(unique.entity[k].entity_type, entry->entity[i].entity_type))
            k++;
        unique.entity[k] = entry->entity[i];
        if (k == unique.entity_count) unique.entity_count++;
        if (unique.entity_count > ENTITY_TYPES_MAX) break;  // refused for its unknown types
    }
    return unique;
}

// An entity that comes twice keeps what its first entry did, and is answered once, with an error.
enum err rule_alter_client_quotas(struct decision *decision, const void *request, void *response) {
    const struct alter_client_quotas_request *in = request;
    struct alter_client_quotas_response *out = response;
    decision->bounded = true;
    decision->result->atomic = true;
    struct arena *arena = decision->result->arena;
    struct slice *keys = arena_zalloc(arena, (size_t)in->entries_count, sizeof *keys);
    struct alter_client_quotas_request_entry *entries =
        alter_client_quotas_request_entry_new(arena, in->entries_count);
    for (int32_t i = 0; i < in->entries_count; i++)
        entries[i] = one_name_per_type(&in->entries[i], arena);
    for (int32_t i = 0; i < in->entries_count; i++)
        keys[i] = entity_key(&entries[i], arena);
    const enum repeat *repeats =
        repeats_find(keys, in->entries_count, env_random(decision->state->env), arena);
    out->entries = alter_client_quotas_response_entry_new(decision->arena, in->entries_count);
    for (int32_t i = 0; i < in->entries_count; i++) {
        if (repeats[i] == REPEAT_LATER) continue;
        struct message text;
        message_init(&text);
        int32_t records = decision->result->count;
        enum err err = alter_entity(decision, &entries[i], &text);
        if (err != ERR_NONE) decision_truncate(decision, records);
        if (repeats[i] == REPEAT_FIRST) {
            err = ERR_INVALID_REQUEST;
            message_set(&text, "Ignoring duplicate entity %.*s",
                        SLICE_PRINT(entity_text(decision, &entries[i])));
        }
        struct alter_client_quotas_response_entry *row = &out->entries[out->entries_count++];
        copy_entity(decision, &entries[i], row);
        row->error_code = decision_error(decision, err, &text, &row->error_message);
    }
    enum err err = decision_check_size(decision);
    if (in->validate_only) decision_truncate(decision, 0);
    return err;
}
