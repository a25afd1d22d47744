// IncrementalAlterConfigs and AlterConfigs. What may be changed and what follows from it is said by
// metadata/config_change.h; here its answers become records.
#include "controller/repeats.h"
#include "controller/state.h"
#include "metadata/config_change.h"

#define MIN_ISR "min.insync.replicas"

// With ELR on, a new min.insync.replicas voids what was known of eligible leaders.
static void add_clear_elr(struct decision *decision, enum config_resource_type type,
                          struct slice resource, int32_t first) {
    if (!decision->elr) return;
    int32_t end = decision->result->count;
    for (int32_t i = first; i < end; i++) {
        const struct config_record *config = decision->result->records[i].decoded;
        if (!slice_equal_cstring(config->name, MIN_ISR)) continue;
        struct metadata_record record = decision_record(decision, METADATA_CLEAR_ELR, 0);
        struct clear_elr_record *r = record.message;
        r->topic_name = type == CONFIG_RESOURCE_TOPIC ? resource : SLICE_EMPTY;
        decision_add(decision, &record);
    }
}

static enum err change_resource(struct decision *decision, const struct config_change *change,
                                struct message *text) {
    struct config_pair *pairs;
    int32_t count;
    enum err err = config_change_plan(decision->image, decision->state->config, change,
                                      decision->result->arena, &pairs, &count, text);
    if (err != ERR_NONE) return err;
    int32_t first = decision->result->count;
    for (int32_t i = 0; i < count; i++) {
        struct metadata_record record = decision_record(decision, METADATA_CONFIG, 0);
        struct config_record *r = record.message;
        r->resource_type = (int8_t)change->type;
        r->resource_name = change->resource;
        r->name = pairs[i].name;
        r->value = pairs[i].value;
        decision_add(decision, &record);
    }
    add_clear_elr(decision, change->type, change->resource, first);
    return ERR_NONE;
}

// ---- The two APIs: the same answers, two ways to say what is wanted ----

struct resource {
    int8_t type;
    struct slice name;
};

// Which resources are named more than once: they are answered once, with an error.
static const enum repeat *find_repeats(const struct decision *decision,
                                       const struct resource *resources, int32_t count) {
    struct arena *arena = decision->result->arena;
    struct slice *keys = arena_zalloc(arena, (size_t)count, sizeof *keys);
    for (int32_t i = 0; i < count; i++) {
        keys[i] = arena_format(arena, "%d %.*s", resources[i].type, SLICE_PRINT(resources[i].name));
    }
    return repeats_find(keys, count, env_random(decision->state->env), arena);
}

// Decides on one resource and returns the code for its row of the response.
static int16_t decide_resource(struct decision *decision, struct config_change *change,
                               const struct resource *resource, enum repeat repeat,
                               struct slice *error_message) {
    struct message text;
    message_init(&text);
    enum err err = ERR_INVALID_REQUEST;
    if (repeat == REPEAT_FIRST) {
        message_set(&text, "Duplicate resource.");
    } else {
        change->type = (enum config_resource_type)(uint8_t)resource->type;
        change->resource = resource->name;
        err = change_resource(decision, change, &text);
    }
    return decision_error(decision, err, &text, error_message);
}

enum err rule_incremental_alter_configs(struct decision *decision, const void *request,
                                        void *response) {
    const struct incremental_alter_configs_request *in = request;
    struct incremental_alter_configs_response *out = response;
    struct arena *arena = decision->result->arena;
    decision->bounded = true;
    decision->result->atomic = true;
    int32_t count = in->resources_count;
    struct resource *resources = arena_zalloc(arena, (size_t)count, sizeof *resources);
    for (int32_t i = 0; i < count; i++) {
        resources[i] =
            (struct resource){in->resources[i].resource_type, in->resources[i].resource_name};
    }
    const enum repeat *repeats = find_repeats(decision, resources, count);
    out->responses = incremental_alter_configs_response_response_new(decision->arena, count);
    for (int32_t i = 0; i < count; i++) {
        if (repeats[i] == REPEAT_LATER) continue;
        const struct incremental_alter_configs_request_resource *asked = &in->resources[i];
        struct config_alteration *alterations =
            arena_zalloc(arena, (size_t)asked->configs_count, sizeof *alterations);
        for (int32_t j = 0; j < asked->configs_count; j++) {
            alterations[j] =
                (struct config_alteration){asked->configs[j].name, asked->configs[j].value,
                                           asked->configs[j].config_operation};
        }
        struct config_change change = {.alterations = alterations, .count = asked->configs_count};
        struct incremental_alter_configs_response_response *row =
            &out->responses[out->responses_count++];
        row->resource_type = asked->resource_type;
        row->resource_name = asked->resource_name;
        row->error_code =
            decide_resource(decision, &change, &resources[i], repeats[i], &row->error_message);
    }
    enum err err = decision_check_size(decision);
    if (in->validate_only) decision_truncate(decision, 0);
    return err;
}

enum err rule_alter_configs(struct decision *decision, const void *request, void *response) {
    const struct alter_configs_request *in = request;
    struct alter_configs_response *out = response;
    struct arena *arena = decision->result->arena;
    decision->bounded = true;
    decision->result->atomic = true;
    int32_t count = in->resources_count;
    struct resource *resources = arena_zalloc(arena, (size_t)count, sizeof *resources);
    for (int32_t i = 0; i < count; i++) {
        resources[i] =
            (struct resource){in->resources[i].resource_type, in->resources[i].resource_name};
    }
    const enum repeat *repeats = find_repeats(decision, resources, count);
    out->responses = alter_configs_response_response_new(decision->arena, count);
    for (int32_t i = 0; i < count; i++) {
        if (repeats[i] == REPEAT_LATER) continue;
        const struct alter_configs_request_resource *asked = &in->resources[i];
        struct config_alteration *alterations =
            arena_zalloc(arena, (size_t)asked->configs_count, sizeof *alterations);
        for (int32_t j = 0; j < asked->configs_count; j++) {
            alterations[j] = (struct config_alteration){asked->configs[j].name,
                                                        asked->configs[j].value, CONFIG_SET};
        }
        struct config_change change = {
            .alterations = alterations, .count = asked->configs_count, .replace_all = true};
        struct alter_configs_response_response *row = &out->responses[out->responses_count++];
        row->resource_type = asked->resource_type;
        row->resource_name = asked->resource_name;
        row->error_code =
            decide_resource(decision, &change, &resources[i], repeats[i], &row->error_message);
    }
    enum err err = decision_check_size(decision);
    if (in->validate_only) decision_truncate(decision, 0);
    return err;
}
