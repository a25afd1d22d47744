// From a request to records. First what Kafka's broker checks of each resource, then the new
// values, then what its controller checks of all configs that the resource would have. A record is
// written only for a value that changes, except for brokers, which take it as a sign to read again
// what a value points at (KAFKA-14136).
#include "metadata/config_change.h"

#include <stdlib.h>

#include "base/string_buffer.h"
#include "metadata/config_validate.h"
#include "metadata/features.h"
#include "metadata/topic_name.h"

#define CONFIG_VALUE_SIZE_MAX INT16_MAX
#define ALTERATIONS_MAX       10000  // as many records as one operation of Kafka's controller may write

struct plan {
    const struct image *image;
    const struct config *config;
    const struct config_change *change;
    struct arena *arena;
    struct config_pair *records;
    int32_t record_count;
};

// ---- What the broker checks ----

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool names_repeat(const struct config_change *change, struct arena *arena) {
    struct slice *names = arena_zalloc(arena, (size_t)change->count, sizeof *names);
    for (int32_t i = 0; i < change->count; i++)
        names[i] = change->alterations[i].name;
    if (change->count > 0) qsort(names, (size_t)change->count, sizeof *names, compare_names);
    for (int32_t i = 1; i < change->count; i++)
        if (slice_equal(names[i - 1], names[i])) return true;
    return false;
}

static enum err check_alterations(const struct config_change *change, struct arena *arena,
                                  struct message *error) {
    if (names_repeat(change, arena)) {
        message_set(error, "Error due to duplicate config keys");
        return ERR_INVALID_REQUEST;
    }
    if (change->count > ALTERATIONS_MAX) {
        message_set(error, "Unable to perform excessively large batch operation.");
        return ERR_POLICY_VIOLATION;
    }
    struct string_buffer nulls;
    string_buffer_init(&nulls);
    enum err err = ERR_NONE;
    for (int32_t i = 0; i < change->count; i++) {
        const struct config_alteration *alteration = &change->alterations[i];
        if (slice_is_null(alteration->value) && alteration->operation != CONFIG_DELETE)
            string_buffer_format(&nulls, "%s%.*s", nulls.size == 0 ? "" : ", ",
                                 SLICE_PRINT(alteration->name));
    }
    if (nulls.size > 0) {
        message_set(error, "Null value not supported for : %s", nulls.text);
        err = ERR_INVALID_REQUEST;
    }
    string_buffer_deinit(&nulls);
    return err;
}

static enum err check_operations(const struct config_change *change, struct message *error) {
    for (int32_t i = 0; i < change->count; i++) {
        if (change->alterations[i].operation >= CONFIG_SET &&
            change->alterations[i].operation <= CONFIG_SUBTRACT)
            continue;
        // Only Kafka's check of broker configs expects this; elsewhere its answer is this code
        // without a sentence.
        if (change->type != CONFIG_RESOURCE_BROKER) return ERR_UNKNOWN_SERVER_ERROR;
        message_set(error, "Unknown operations type %d", change->alterations[i].operation);
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

static enum err check_resource(const struct plan *plan, struct message *error) {
    const struct config_change *change = plan->change;
    int64_t id;
    switch ((int)change->type) {
        case CONFIG_RESOURCE_TOPIC:
        case CONFIG_RESOURCE_CLIENT_METRICS:
        case CONFIG_RESOURCE_GROUP:
            return ERR_NONE;
        case CONFIG_RESOURCE_BROKER:
            if (change->resource.size == 0) return ERR_NONE;
            if (!slice_parse_int64(change->resource, &id))
                message_set(error, "Node id must be an integer, but it is: %.*s",
                            SLICE_PRINT(change->resource));
            else if (id != config_node_id(plan->config))
                message_set(error, "Unexpected broker id, expected %d, but received %.*s",
                            (int)config_node_id(plan->config), SLICE_PRINT(change->resource));
            else
                return ERR_NONE;
            return ERR_INVALID_REQUEST;
        default:
            message_set(error, "Unknown resource type %d", (int)change->type);
            return ERR_INVALID_REQUEST;
    }
}

// ---- New values ----

static bool key_of(const struct config_change *change, struct slice name, enum config_key *key) {
    switch ((int)change->type) {
        case CONFIG_RESOURCE_TOPIC:
            return config_key_of(CONFIG_SCOPE_TOPIC, name, key);
        case CONFIG_RESOURCE_BROKER:
            return config_key_of(CONFIG_SCOPE_BROKER, name, key);
        case CONFIG_RESOURCE_GROUP:
            return config_key_of(CONFIG_SCOPE_GROUP, name, key);
        default:
            return config_key_of(CONFIG_SCOPE_CLIENT_METRICS, name, key);
    }
}

static bool list_has(struct slice list, struct slice wanted) {
    while (list.size > 0) {
        struct slice item = list, rest = SLICE_EMPTY;
        slice_split(list, ',', &item, &rest);
        if (slice_equal(item, wanted)) return true;
        list = rest;
    }
    return false;
}

// The items of `from` that are not in `without`, behind what `out` has.
static void copy_items(struct string_buffer *out, struct slice from, struct slice without) {
    while (from.size > 0) {
        struct slice item = from, rest = SLICE_EMPTY;
        slice_split(from, ',', &item, &rest);
        if (item.size > 0 && !list_has(without, item)) {
            if (out->size > 0) string_buffer_append_char(out, ',');
            string_buffer_append(out, item);
        }
        from = rest;
    }
}

static enum err edit_list(const struct plan *plan, const struct config_alteration *alteration,
                          struct slice current, struct slice *value, struct message *error) {
    enum config_key key;
    bool append = alteration->operation == CONFIG_APPEND;
    bool known = key_of(plan->change, alteration->name, &key);
    if (!known || config_row_of(key)->type != CONFIG_TYPE_LIST) {
        if (plan->change->type == CONFIG_RESOURCE_BROKER)
            message_set(error, "Config value %s is not allowed for config key: %.*s",
                        append ? "append" : "subtract", SLICE_PRINT(alteration->name));
        else
            message_set(error, "Can't %s to key %.*s because its type is not LIST.",
                        append ? "APPEND" : "SUBTRACT", SLICE_PRINT(alteration->name));
        return ERR_INVALID_CONFIG;
    }
    if (slice_is_null(current)) current = slice_cstring(config_row_of(key)->default_text);
    struct string_buffer list;
    string_buffer_init(&list);
    copy_items(&list, current, append ? SLICE_EMPTY : alteration->value);
    if (append) copy_items(&list, alteration->value, current);
    *value = arena_copy(plan->arena, string_buffer_slice(&list));
    string_buffer_deinit(&list);
    return ERR_NONE;
}

// Kafka keeps min.insync.replicas where ELR needs it, and bounds the size of values.
static enum err check_record(const struct plan *plan, const struct config_pair *record,
                             struct message *error) {
    const struct config_change *change = plan->change;
    bool elr = image_feature(plan->image, SLICE_LITERAL("eligible.leader.replicas.version")) > 0;
    bool broker = change->type == CONFIG_RESOURCE_BROKER;
    bool minimum = broker && slice_equal_cstring(record->name, "min.insync.replicas");
    if (minimum && elr && change->resource.size > 0)
        message_set(error,
                    "Broker-level min.insync.replicas cannot be altered while ELR is "
                    "enabled.");
    else if (minimum && elr && slice_is_null(record->value))
        message_set(error,
                    "Cluster-level min.insync.replicas cannot be removed while ELR is "
                    "enabled.");
    else if (broker && slice_equal_cstring(record->name, "cordoned.log.dirs") &&
             !metadata_version_has_cordoned_directories(image_metadata_version(plan->image)))
        message_set(error,
                    "The cordoned.log.dirs configuration value cannot be set because it "
                    "requires metadata.version >= 4.3-IV0");
    else if (!slice_is_null(record->value) && record->value.size > CONFIG_VALUE_SIZE_MAX)
        message_set(error,
                    "The configuration value cannot be added because it exceeds the maximum "
                    "value size of 32767 bytes.");
    else
        return ERR_NONE;
    return ERR_INVALID_CONFIG;
}

static enum err add_record(struct plan *plan, struct slice name, struct slice value,
                           struct message *error) {
    struct config_pair record = {name, value};
    plan->records[plan->record_count++] = record;
    return check_record(plan, &record, error);
}

static bool is_named(const struct config_change *change, struct slice name) {
    for (int32_t i = 0; i < change->count; i++)
        if (slice_equal(change->alterations[i].name, name)) return true;
    return false;
}

static int32_t count_current(const struct plan *plan) {
    int32_t count = 0;
    struct slice name = SLICE_NULL, value;
    while (image_config_after(plan->image, plan->change->type, plan->change->resource, name, &name,
                              &value))
        count++;
    return count;
}

static enum err make_records(struct plan *plan, struct message *error) {
    const struct config_change *change = plan->change;
    int32_t most = change->count + count_current(plan);
    plan->records = arena_zalloc(plan->arena, (size_t)most, sizeof *plan->records);
    enum err err = ERR_NONE;
    for (int32_t i = 0; err == ERR_NONE && i < change->count; i++) {
        const struct config_alteration *alteration = &change->alterations[i];
        struct slice current = SLICE_NULL, value = alteration->value;
        image_config(plan->image, change->type, change->resource, alteration->name, &current);
        if (change->replace_all || alteration->operation == CONFIG_SET)
            value = alteration->value;
        else if (alteration->operation == CONFIG_DELETE)
            value = SLICE_NULL;
        else
            err = edit_list(plan, alteration, current, &value, error);
        if (err != ERR_NONE) break;
        if (!slice_equal(current, value) || change->type == CONFIG_RESOURCE_BROKER)
            err = add_record(plan, alteration->name, value, error);
    }
    struct slice name = SLICE_NULL, value;
    while (err == ERR_NONE && change->replace_all &&
           image_config_after(plan->image, change->type, change->resource, name, &name, &value))
        if (!is_named(change, name))
            err = add_record(plan, arena_copy(plan->arena, name), SLICE_NULL, error);
    return err;
}

// ---- What the controller checks ----

// All configs that the resource would have: the current ones with the records applied.
static struct config_pair *merge(const struct plan *plan, int32_t *count) {
    int32_t most = plan->record_count + count_current(plan);
    struct config_pair *all = arena_zalloc(plan->arena, (size_t)most, sizeof *all);
    *count = 0;
    struct slice name = SLICE_NULL, value;
    while (image_config_after(plan->image, plan->change->type, plan->change->resource, name, &name,
                              &value)) {
        bool changed = false;
        for (int32_t i = 0; i < plan->record_count; i++)
            changed = changed || slice_equal(plan->records[i].name, name);
        if (!changed) all[(*count)++] = (struct config_pair){name, value};
    }
    for (int32_t i = 0; i < plan->record_count; i++)
        if (!slice_is_null(plan->records[i].value)) all[(*count)++] = plan->records[i];
    return all;
}

static enum err check_topic(const struct plan *plan, const struct config_subject *subject,
                            struct message *error) {
    struct slice topic = plan->change->resource;
    if (topic.size == 0) {
        message_set(error, "Default topic resources are not allowed.");
        return ERR_INVALID_REQUEST;
    }
    enum err err = topic_name_check(topic, error);
    if (err == ERR_NONE) err = config_validate_topic(subject, topic, error);
    if (err != ERR_NONE || image_topic(plan->image, topic) != NULL) return err;
    message_set(error, "The topic '%.*s' does not exist.", SLICE_PRINT(topic));
    return ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static enum err check_broker(const struct plan *plan, const struct config_subject *subject,
                             struct message *error) {
    bool per_broker = plan->change->resource.size > 0;
    enum err err = config_validate_broker(subject, per_broker, error);
    int32_t id = config_node_id(plan->config);
    if (err != ERR_NONE || !per_broker || image_broker(plan->image, id) != NULL ||
        image_controller(plan->image, id) != NULL)
        return err;
    message_set(error, "No node with id %d found.", (int)id);
    return ERR_BROKER_ID_NOT_REGISTERED;
}

static enum err check_all(const struct plan *plan, struct message *error) {
    struct config_subject subject = {
        .image = plan->image, .config = plan->config, .arena = plan->arena};
    subject.configs = merge(plan, &subject.count);
    switch ((int)plan->change->type) {
        case CONFIG_RESOURCE_TOPIC:
            return check_topic(plan, &subject, error);
        case CONFIG_RESOURCE_BROKER:
            return check_broker(plan, &subject, error);
        case CONFIG_RESOURCE_GROUP:
            if (plan->change->resource.size > 0) return config_validate_group(&subject, error);
            message_set(error, "Default group resources are not allowed.");
            return ERR_INVALID_REQUEST;
        default:
            if (plan->change->resource.size > 0)
                return config_validate_client_metrics(&subject, error);
            message_set(error, "Subscription name can't be empty");
            return ERR_INVALID_REQUEST;
    }
}

enum err config_change_plan(const struct image *image, const struct config *config,
                            const struct config_change *change, struct arena *arena,
                            struct config_pair **records, int32_t *record_count,
                            struct message *error) {
    struct plan plan = {.image = image, .config = config, .change = change, .arena = arena};
    enum err err = check_alterations(change, arena, error);
    if (err == ERR_NONE) err = check_resource(&plan, error);
    if (err == ERR_NONE) err = check_operations(change, error);
    if (err == ERR_NONE) err = make_records(&plan, error);
    if (err == ERR_NONE) err = check_all(&plan, error);
    if (err != ERR_NONE) return err;
    *records = plan.records;
    *record_count = plan.record_count;
    return ERR_NONE;
}
