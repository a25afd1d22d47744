// CreateTopics and DeleteTopics.
#include "controller/assignment.h"
#include "controller/repeats.h"
#include "controller/state.h"
#include "metadata/config_change.h"
#include "metadata/topic_name.h"

#define METADATA_TOPIC_NAME "__cluster_metadata"

// ---- CreateTopics ----

static enum err check_total(const struct decision *decision,
                            const struct create_topics_request *request,
                            const enum repeat *repeats) {
    int64_t total = 0;
    for (int32_t i = 0; i < request->topics_count; i++) {
        const struct create_topics_request_topic *topic = &request->topics[i];
        if (repeats[i] != REPEAT_NONE) continue;
        if (topic->assignments_count > 0) {
            total += topic->assignments_count;
        } else if (topic->num_partitions == -1) {
            total += config_int(decision->state->config, BROKER_NUM_PARTITIONS);
        } else if (topic->num_partitions > 0) {
            total += topic->num_partitions;
        }
        if (total > RECORDS_PER_OPERATION_MAX) {
            message_set(decision->error, "Excessively large number of partitions per request.");
            return ERR_POLICY_VIOLATION;
        }
    }
    return ERR_NONE;
}

static enum err check_name(const struct decision *decision, struct slice name,
                           struct message *text) {
    if (slice_equal_cstring(name, METADATA_TOPIC_NAME)) {
        message_set(text, "Creation of internal topic " METADATA_TOPIC_NAME " is prohibited.");
        return ERR_INVALID_REQUEST;
    }
    enum err err = topic_name_check(name, text);
    if (err != ERR_NONE) return err;
    if (image_topic(decision->image, name) != NULL) {
        message_set(text, "Topic '%.*s' already exists.", SLICE_PRINT(name));
        return ERR_TOPIC_ALREADY_EXISTS;
    }
    const struct topic_image *other = image_topic_colliding(decision->image, name);
    if (other != NULL) {
        message_set(text, "Topic '%.*s' collides with existing topic: %.*s", SLICE_PRINT(name),
                    SLICE_PRINT(other->name));
        return ERR_INVALID_TOPIC_EXCEPTION;
    }
    return ERR_NONE;
}

// The topic's configs, a later value of a name replacing an earlier one.
static enum err collect_configs(const struct decision *decision,
                                const struct create_topics_request_topic *topic,
                                struct config_pair **configs, int32_t *count,
                                struct message *text) {
    struct arena *arena = decision->result->arena;
    struct config_pair *pairs =
        arena_zalloc(arena, (size_t)MAX(topic->configs_count, 1), sizeof *pairs);
    struct string_buffer nulls;
    string_buffer_init(&nulls);
    int32_t used = 0;
    for (int32_t i = 0; i < topic->configs_count; i++) {
        const struct create_topics_request_config *config = &topic->configs[i];
        if (slice_is_null(config->value)) {
            string_buffer_format(&nulls, "%s%.*s", nulls.size > 0 ? "," : "",
                                 SLICE_PRINT(config->name));
            continue;
        }
        int32_t at = 0;
        while (at < used && !slice_equal(pairs[at].name, config->name))
            at++;
        pairs[at] = (struct config_pair){config->name, config->value};
        if (at == used) used++;
    }
    enum err err = ERR_NONE;
    if (nulls.size > 0) {
        message_set(text, "Null value not supported for topic configs: %s", nulls.text);
        err = ERR_INVALID_CONFIG;
    }
    string_buffer_deinit(&nulls);
    if (err != ERR_NONE) return err;
    *configs = pairs;
    *count = used;
    return config_validate_new_topic(decision->image, decision->state->config, pairs, used, text);
}

static enum err assign_by_hand(struct decision *decision,
                               const struct create_topics_request_topic *topic,
                               struct assignment *partitions, struct message *text) {
    if (topic->replication_factor != -1) {
        message_set(text,
                    "A manual partition assignment was specified, but replication factor was not "
                    "set to -1.");
        return ERR_INVALID_REQUEST;
    }
    if (topic->num_partitions != -1) {
        message_set(text,
                    "A manual partition assignment was specified, but numPartitions was not set to "
                    "-1.");
        return ERR_INVALID_REQUEST;
    }
    int32_t factor = -1;
    bool gap = false;
    for (int32_t i = 0; i < topic->assignments_count; i++) {
        const struct create_topics_request_assignment *given = &topic->assignments[i];
        int32_t index = given->partition_index;
        bool inside = index >= 0 && index < topic->assignments_count;
        gap = gap || !inside;
        if (inside && partitions[index].replicas.count > 0) {
            message_set(text, "Found multiple manual partition assignments for partition %d",
                        index);
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        struct assignment unplaced;
        struct assignment *partition = inside ? &partitions[index] : &unplaced;
        enum err err = assignment_by_hand(
            decision, (struct id_list){given->broker_ids, given->broker_ids_count}, factor, index,
            partition, text);
        if (err != ERR_NONE) return err;
        factor = given->broker_ids_count;
    }
    if (gap) {
        message_set(text, "partitions should be a consecutive 0-based integer sequence");
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    }
    return ERR_NONE;
}

static enum err assign_by_placer(struct decision *decision,
                                 const struct create_topics_request_topic *topic,
                                 struct assignment **partitions, int32_t *count,
                                 struct message *text) {
    if (topic->replication_factor < -1 || topic->replication_factor == 0) {
        message_set(text,
                    "Replication factor must be larger than 0, or -1 to use the default value.");
        return ERR_INVALID_REPLICATION_FACTOR;
    }
    if (topic->num_partitions < -1 || topic->num_partitions == 0) {
        message_set(text, "Number of partitions was set to an invalid non-positive value.");
        return ERR_INVALID_PARTITIONS;
    }
    const struct config *config = decision->state->config;
    *count = topic->num_partitions == -1 ? config_int(config, BROKER_NUM_PARTITIONS)
                                         : topic->num_partitions;
    int32_t factor = topic->replication_factor == -1
                         ? config_int(config, BROKER_DEFAULT_REPLICATION_FACTOR)
                         : topic->replication_factor;
    struct message why;
    message_init(&why);
    enum err err = assignments_by_placer(decision, *count, factor, partitions, &why);
    if (err != ERR_NONE) {
        message_set(text, "Unable to replicate the partition %d time(s): %s", factor, why.text);
    }
    return err;
}

static void fill_configs(const struct decision *decision, const struct config_pair *configs,
                         int32_t count, struct create_topics_response_topic *out) {
    struct effective_entries entries = effective_new_topic(decision->image, decision->state->config,
                                                           configs, count, decision->arena);
    out->configs = create_topics_response_config_new(decision->arena, entries.count);
    out->configs_count = entries.count;
    for (int32_t i = 0; i < entries.count; i++) {
        const struct effective_entry *entry = &entries.items[i];
        struct create_topics_response_config *row = &out->configs[i];
        row->name = arena_copy(decision->arena, entry->name);
        row->value = entry->sensitive ? SLICE_NULL : arena_copy(decision->arena, entry->value);
        row->read_only = entry->read_only;
        row->config_source = (int8_t)entry->source;
        row->is_sensitive = entry->sensitive;
    }
}

static void add_clear_elr(struct decision *decision, struct slice topic,
                          const struct config_pair *configs, int32_t count) {
    if (!decision->elr) return;
    for (int32_t i = 0; i < count; i++) {
        if (!slice_equal_cstring(configs[i].name, "min.insync.replicas")) continue;
        struct metadata_record record = decision_record(decision, METADATA_CLEAR_ELR, 0);
        ((struct clear_elr_record *)record.message)->topic_name = topic;
        decision_add(decision, &record);
    }
}

static void add_topic(struct decision *decision, struct slice name, struct uuid id,
                      const struct config_pair *configs, int32_t config_count,
                      const struct assignment *partitions, int32_t partition_count) {
    struct metadata_record record = decision_record(decision, METADATA_TOPIC, 0);
    struct topic_record *topic = record.message;
    topic->name = name;
    topic->topic_id = id;
    decision_add(decision, &record);
    for (int32_t i = 0; i < config_count; i++) {
        record = decision_record(decision, METADATA_CONFIG, 0);
        struct config_record *config = record.message;
        config->resource_type = CONFIG_RESOURCE_TOPIC;
        config->resource_name = name;
        config->name = configs[i].name;
        config->value = configs[i].value;
        decision_add(decision, &record);
    }
    add_clear_elr(decision, name, configs, config_count);
    for (int32_t i = 0; i < partition_count; i++) {
        record = assignment_record(decision, id, i, &partitions[i]);
        decision_add(decision, &record);
    }
}

static enum err create_topic(struct decision *decision,
                             const struct create_topics_request_topic *topic,
                             struct create_topics_response_topic *out, struct message *text) {
    struct config_pair *configs;
    int32_t config_count;
    enum err err = check_name(decision, topic->name, text);
    if (err != ERR_NONE) return err;
    err = collect_configs(decision, topic, &configs, &config_count, text);
    if (err != ERR_NONE) return err;
    struct assignment *partitions;
    int32_t count = topic->assignments_count;
    if (count > 0) {
        partitions = arena_zalloc(decision->result->arena, (size_t)count, sizeof *partitions);
        err = assign_by_hand(decision, topic, partitions, text);
    } else {
        err = assign_by_placer(decision, topic, &partitions, &count, text);
    }
    if (err != ERR_NONE) return err;
    out->topic_id = env_random_uuid(decision->state->env);
    out->num_partitions = count;
    out->replication_factor = (int16_t)partitions[0].replicas.count;
    fill_configs(decision, configs, config_count, out);
    add_topic(decision, topic->name, out->topic_id, configs, config_count, partitions, count);
    return ERR_NONE;
}

// Two new names of one request that differ in '.' and '_' only are both created, as Kafka does it.
enum err rule_create_topics(struct decision *decision, const void *request, void *response) {
    const struct create_topics_request *in = request;
    struct create_topics_response *out = response;
    struct slice *names =
        arena_zalloc(decision->result->arena, (size_t)in->topics_count, sizeof *names);
    for (int32_t i = 0; i < in->topics_count; i++)
        names[i] = in->topics[i].name;
    const enum repeat *repeats = repeats_find(
        names, in->topics_count, env_random(decision->state->env), decision->result->arena);
    enum err err = check_total(decision, in, repeats);
    if (err != ERR_NONE) return err;
    decision->bounded = true;
    decision->result->atomic = true;
    out->topics = create_topics_response_topic_new(decision->arena, in->topics_count);
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (repeats[i] != REPEAT_NONE) continue;
        struct create_topics_response_topic *row = &out->topics[out->topics_count++];
        row->name = in->topics[i].name;
        int32_t records = decision->result->count;
        struct message text;
        message_init(&text);
        err = create_topic(decision, &in->topics[i], row, &text);
        if (err != ERR_NONE) decision_truncate(decision, records);
        row->error_code = decision_error(decision, err, &text, &row->error_message);
    }
    // Each name that came more than once is answered once, behind the others.
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (repeats[i] != REPEAT_FIRST) continue;
        struct create_topics_response_topic *row = &out->topics[out->topics_count++];
        row->name = in->topics[i].name;
        row->error_code = err_wire(ERR_INVALID_REQUEST);
        row->error_message = SLICE_LITERAL("Duplicate topic name.");
    }
    err = decision_check_size(decision);
    if (in->validate_only) decision_truncate(decision, 0);
    return err;
}

// ---- DeleteTopics ----

struct deletion {
    struct slice name;                // null: asked for by id
    struct uuid id;                   // zero: asked for by name
    const struct topic_image *topic;  // NULL: none, or not looked for
};

// Both forms of the request as one list.
static struct deletion *collect_deletions(const struct decision *decision,
                                          const struct delete_topics_request *in, int32_t *count) {
    *count = MAX(in->topic_names_count, 0) + MAX(in->topics_count, 0);
    struct deletion *deletions =
        arena_zalloc(decision->result->arena, (size_t)*count, sizeof *deletions);
    int32_t at = 0;
    for (int32_t i = 0; i < in->topic_names_count; i++)
        deletions[at++].name = in->topic_names[i];
    for (int32_t i = 0; i < in->topics_count; i++) {
        deletions[at++] = (struct deletion){in->topics[i].name, in->topics[i].topic_id, NULL};
    }
    return deletions;
}

static bool names_one_topic(const struct deletion *deletion) {
    return slice_is_null(deletion->name) != uuid_is_zero(deletion->id);
}

// The key of what was asked for: names and ids do not mix, a contradiction is no key.
static struct slice asked_key(const struct deletion *deletion, struct arena *arena) {
    if (!names_one_topic(deletion)) return SLICE_NULL;
    if (slice_is_null(deletion->name)) {
        return arena_copy(arena, slice_of(deletion->id.bytes, sizeof deletion->id.bytes));
    }
    return arena_format(arena, "name %.*s", SLICE_PRINT(deletion->name));
}

// Why a deletion is refused before its topic is looked at; ERR_NONE when it is not.
static enum err check_deletion(const struct decision *decision, struct deletion *deletion,
                               enum repeat repeat, struct message *text) {
    bool by_id = slice_is_null(deletion->name);
    if (!names_one_topic(deletion)) {
        message_set(text, by_id ? "Neither topic name nor id were specified."
                                : "You may not specify both topic name and topic id.");
        return ERR_INVALID_REQUEST;
    }
    if (repeat != REPEAT_NONE) {
        message_set(text, by_id ? "Duplicate topic id." : "Duplicate topic name.");
        return ERR_INVALID_REQUEST;
    }
    deletion->topic = by_id ? image_topic_by_id(decision->image, deletion->id)
                            : image_topic(decision->image, deletion->name);
    if (deletion->topic != NULL) return ERR_NONE;
    enum err err = by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    message_set(text, "%s", err_text(err));
    return err;
}

static void delete_topic(struct decision *decision, const struct deletion *deletion,
                         enum repeat repeat, struct delete_topics_response_response *row) {
    row->name = arena_copy(decision->arena, deletion->topic->name);
    row->topic_id = deletion->topic->id;
    if (repeat == REPEAT_LATER) {
        row->error_code = err_wire(ERR_INVALID_REQUEST);
        row->error_message =
            SLICE_LITERAL("The provided topic name maps to an ID that was already supplied.");
        return;
    }
    struct metadata_record record = decision_record(decision, METADATA_REMOVE_TOPIC, 0);
    ((struct remove_topic_record *)record.message)->topic_id = deletion->topic->id;
    decision_add(decision, &record);
}

// A topic that is named both by name and by id is not deleted, and answered once.
static void decide_deletions(struct decision *decision, struct deletion *deletions, int32_t count,
                             struct delete_topics_response *out) {
    struct arena *arena = decision->result->arena;
    struct slice *keys = arena_zalloc(arena, (size_t)count, sizeof *keys);
    for (int32_t i = 0; i < count; i++)
        keys[i] = asked_key(&deletions[i], arena);
    const enum repeat *asked = repeats_find(keys, count, env_random(decision->state->env), arena);
    out->responses = delete_topics_response_response_new(decision->arena, count);
    for (int32_t i = 0; i < count; i++) {
        keys[i] = SLICE_NULL;
        if (asked[i] == REPEAT_LATER) continue;
        struct message text;
        message_init(&text);
        enum err err = check_deletion(decision, &deletions[i], asked[i], &text);
        if (err == ERR_NONE) {
            const struct uuid *id = &deletions[i].topic->id;
            keys[i] = slice_of(id->bytes, sizeof id->bytes);
            continue;
        }
        struct delete_topics_response_response *row = &out->responses[out->responses_count++];
        row->name = deletions[i].name;
        row->topic_id = deletions[i].id;
        row->error_code = decision_error(decision, err, &text, &row->error_message);
    }
    const enum repeat *found = repeats_find(keys, count, env_random(decision->state->env), arena);
    for (int32_t i = 0; i < count; i++) {
        if (deletions[i].topic == NULL || found[i] == REPEAT_FIRST) continue;
        delete_topic(decision, &deletions[i], found[i], &out->responses[out->responses_count++]);
    }
}

enum err rule_delete_topics(struct decision *decision, const void *request, void *response) {
    if (!config_bool(decision->state->config, BROKER_DELETE_TOPIC_ENABLE)) {
        message_set(decision->error, "Topic deletion is disabled.");
        return decision->api_version < 3 ? ERR_INVALID_REQUEST : ERR_TOPIC_DELETION_DISABLED;
    }
    decision->bounded = true;
    decision->result->atomic = true;
    int32_t count;
    struct deletion *deletions = collect_deletions(decision, request, &count);
    decide_deletions(decision, deletions, count, response);
    return decision_check_size(decision);
}
