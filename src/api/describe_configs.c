// DescribeConfigs: the effective configs of topics, of this broker, of its loggers, of groups and
// of client-metrics subscriptions. What an entry shows is decided in metadata/describe_config.c.
#include "api/broker_loggers.h"
#include "api/call.h"
#include "config/config.h"
#include "metadata/effective_config.h"
#include "metadata/topic_name.h"

static bool is_wanted(const struct describe_configs_request_resource *resource, struct slice name) {
    if (resource->configuration_keys_count <= 0) return true;
    for (int32_t i = 0; i < resource->configuration_keys_count; i++)
        if (slice_equal(resource->configuration_keys[i], name)) return true;
    return false;
}

static void fill_synonyms(struct api_call *call, const struct effective_entry *entry,
                          struct describe_configs_response_config *out) {
    out->synonyms = describe_configs_response_synonym_new(call->arena, entry->synonym_count);
    out->synonyms_count = entry->synonym_count;
    for (int32_t i = 0; i < entry->synonym_count; i++) {
        out->synonyms[i].name = entry->synonyms[i].name;
        out->synonyms[i].value = entry->synonyms[i].value;
        out->synonyms[i].source = (int8_t)entry->synonyms[i].source;
    }
}

static void fill_entries(struct api_call *call,
                         const struct describe_configs_request_resource *resource,
                         struct effective_entries entries,
                         struct describe_configs_response_result *result) {
    const struct describe_configs_request *request = call->request;
    result->configs = describe_configs_response_config_new(call->arena, entries.count);
    for (int32_t i = 0; i < entries.count; i++) {
        const struct effective_entry *entry = &entries.items[i];
        if (!is_wanted(resource, entry->name)) continue;
        struct describe_configs_response_config *out = &result->configs[result->configs_count++];
        out->name = entry->name;
        out->value = entry->value;
        out->read_only = entry->read_only;
        out->config_source = (int8_t)entry->source;
        out->is_sensitive = entry->sensitive;
        out->config_type = (int8_t)entry->type;
        if (request->include_synonyms) fill_synonyms(call, entry, out);
        out->documentation = request->include_documentation ? entry->documentation : SLICE_NULL;
    }
}

static void fill_loggers(struct api_call *call,
                         const struct describe_configs_request_resource *resource,
                         struct describe_configs_response_result *result) {
    const struct logger *logger = env_logger(call->node->env);
    struct slice name, level;
    result->configs = describe_configs_response_config_new(call->arena, LOG_AREA_COUNT + 1);
    for (int i = 0; broker_logger_at(logger, i, &name, &level); i++) {
        if (!is_wanted(resource, name)) continue;
        struct describe_configs_response_config *out = &result->configs[result->configs_count++];
        out->name = name;
        out->value = level;
        out->config_source = CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER;
    }
}

// Whether a resource's name is this broker's id.
static enum err check_broker_id(const struct api_call *call, struct slice name, const char *also,
                                struct message *error) {
    int64_t id;
    if (!slice_parse_int64(name, &id) || id < INT32_MIN || id > INT32_MAX)
        message_set(error, "Broker id must be an integer, but it is: %.*s", SLICE_PRINT(name));
    else if (id != call->node->identity->node_id)
        message_set(error, "Unexpected broker id, expected %d%s but received %.*s",
                    (int)call->node->identity->node_id, also, SLICE_PRINT(name));
    else
        return ERR_NONE;
    return ERR_INVALID_REQUEST;
}

static enum err require_name(struct slice name, const char *sentence, struct message *error) {
    if (name.size > 0) return ERR_NONE;
    message_set(error, "%s", sentence);
    return ERR_INVALID_REQUEST;
}

static enum err describe_topic(struct api_call *call,
                               const struct describe_configs_request_resource *resource,
                               struct describe_configs_response_result *result,
                               struct message *error) {
    struct slice topic = resource->resource_name;
    enum err err = topic_name_check(topic, error);
    if (err != ERR_NONE) return err;
    if (image_topic(call->node->image, topic) == NULL) return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    fill_entries(
        call, resource,
        effective_describe_topic(call->node->image, call->node->config, topic, call->arena),
        result);
    return ERR_NONE;
}

static enum err describe(struct api_call *call,
                         const struct describe_configs_request_resource *resource,
                         struct describe_configs_response_result *result, struct message *error) {
    struct slice name = resource->resource_name;
    const struct image *image = call->node->image;
    const struct config *config = call->node->config;
    enum err err;
    switch (resource->resource_type) {
        case CONFIG_RESOURCE_TOPIC:
            return describe_topic(call, resource, result, error);
        case CONFIG_RESOURCE_BROKER:
            err =
                name.size == 0 ? ERR_NONE : check_broker_id(call, name, " or empty string,", error);
            if (err == ERR_NONE)
                fill_entries(call, resource,
                             effective_describe_broker(image, config, name.size == 0, call->arena),
                             result);
            return err;
        case CONFIG_RESOURCE_BROKER_LOGGER:
            err = require_name(name, "Broker id must not be empty", error);
            if (err == ERR_NONE) err = check_broker_id(call, name, "", error);
            if (err == ERR_NONE) fill_loggers(call, resource, result);
            return err;
        case CONFIG_RESOURCE_CLIENT_METRICS:
            err = require_name(name, "Client metrics subscription name must not be empty", error);
            if (err == ERR_NONE)
                fill_entries(call, resource,
                             effective_describe_client_metrics(image, name, call->arena), result);
            return err;
        default:
            err = require_name(name, "Group name must not be empty", error);
            if (err == ERR_NONE)
                fill_entries(call, resource,
                             effective_describe_group(image, config, name, call->arena), result);
            return err;
    }
}

static bool is_known_type(int8_t type) {
    return type == CONFIG_RESOURCE_TOPIC || type == CONFIG_RESOURCE_BROKER ||
           type == CONFIG_RESOURCE_BROKER_LOGGER || type == CONFIG_RESOURCE_CLIENT_METRICS ||
           type == CONFIG_RESOURCE_GROUP;
}

void api_describe_configs(struct api_call *call) {
    const struct describe_configs_request *request = call->request;
    struct describe_configs_response *response = call->response;
    struct message error;
    for (int32_t i = 0; i < request->resources_count; i++) {
        if (is_known_type(request->resources[i].resource_type)) continue;
        api_reply_error(call, ERR_INVALID_REQUEST, NULL);
        return;
    }
    response->results = describe_configs_response_result_new(call->arena, request->resources_count);
    response->results_count = request->resources_count;
    for (int32_t i = 0; i < request->resources_count; i++) {
        const struct describe_configs_request_resource *resource = &request->resources[i];
        struct describe_configs_response_result *result = &response->results[i];
        message_init(&error);
        enum err err = describe(call, resource, result, &error);
        result->resource_type = resource->resource_type;
        result->resource_name = resource->resource_name;
        result->error_code = err_wire(err);
        if (err != ERR_NONE && error.text[0] != '\0')
            result->error_message = arena_copy(call->arena, message_slice(&error));
    }
    api_reply(call);
}
