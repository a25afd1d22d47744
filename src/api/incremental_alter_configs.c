// IncrementalAlterConfigs (KIP-339): levels of this broker's loggers are set here, everything else
// is planned by the controller (metadata/config_change.h).
#include "api/alter_results.h"
#include "api/broker_loggers.h"
#include "api/call.h"

struct alteration {
    struct alter_results results;
    struct incremental_alter_configs_request rest;  // what goes to the controller
};

// A resource has few loggers, so that more than each of them once must be a repetition.
static enum err check_names(const struct incremental_alter_configs_request_resource *resource,
                            struct message *error) {
    bool repeated = resource->configs_count > LOG_AREA_COUNT + 1;
    for (int32_t i = 0; !repeated && i < resource->configs_count; i++)
        for (int32_t k = 0; k < i; k++)
            repeated =
                repeated || slice_equal(resource->configs[i].name, resource->configs[k].name);
    if (repeated) {
        message_set(error, "Error due to duplicate config keys");
        return ERR_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < resource->configs_count; i++) {
        const struct incremental_alter_configs_request_config *config = &resource->configs[i];
        if (config->config_operation == 1 || !slice_is_null(config->value)) continue;
        message_set(error, "Null value not supported for : %.*s", SLICE_PRINT(config->name));
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

// All levels of a resource are checked before the first is set.
static enum err alter_loggers(struct api_call *call,
                              const struct incremental_alter_configs_request_resource *resource,
                              struct message *error) {
    const struct incremental_alter_configs_request *request = call->request;
    struct logger *logger = env_logger(call->node->env);
    int32_t node_id = call->node->identity->node_id;
    int64_t id;
    enum err err = check_names(resource, error);
    if (err != ERR_NONE) return err;
    if (!slice_parse_int64(resource->resource_name, &id)) {
        message_set(error, "Node id must be an integer, but it is: %.*s",
                    SLICE_PRINT(resource->resource_name));
        return ERR_INVALID_REQUEST;
    }
    if (id != node_id) {
        message_set(error, "Unexpected node id. Expected %d, but received %lld", (int)node_id,
                    (long long)id);
        return ERR_INVALID_REQUEST;
    }
    for (int pass = 0; pass < 2; pass++) {
        bool apply = pass == 1;
        if (apply && request->validate_only) break;
        for (int32_t i = 0; i < resource->configs_count; i++) {
            const struct incremental_alter_configs_request_config *config = &resource->configs[i];
            err = broker_logger_alter(logger, config->name, config->config_operation, config->value,
                                      apply, error);
            if (err != ERR_NONE) return err;
        }
    }
    return ERR_NONE;
}

static void reply(struct api_call *call) {
    const struct alteration *alteration = call->state;
    const struct alter_results *results = &alteration->results;
    struct incremental_alter_configs_response *response = call->response;
    response->responses_count = results->count;
    response->responses =
        incremental_alter_configs_response_response_new(call->arena, results->count);
    for (int32_t i = 0; i < results->count; i++) {
        const struct alter_result *result = &results->items[i];
        struct incremental_alter_configs_response_response *out = &response->responses[i];
        out->resource_type = result->type;
        out->resource_name = result->name;
        out->error_code = err_wire(result->error);
        out->error_message = result->text;
    }
    api_reply(call);
}

static void controller_answered(struct api_call *call, enum err result, void *answer) {
    struct alteration *alteration = call->state;
    struct incremental_alter_configs_response *response = answer;
    alter_results_undecided(&alteration->results, result);
    for (int32_t i = 0; result == ERR_NONE && i < response->responses_count; i++) {
        const struct incremental_alter_configs_response_response *one = &response->responses[i];
        alter_results_take(&alteration->results, one->resource_type, one->resource_name,
                           one->error_code, one->error_message);
    }
    reply(call);
}

// Sends what is left to the controller, in the order of the request.
static void ask_controller(struct api_call *call, int32_t undecided) {
    const struct incremental_alter_configs_request *request = call->request;
    struct alteration *alteration = call->state;
    alteration->rest = *request;
    alteration->rest.resources =
        incremental_alter_configs_request_resource_new(call->arena, undecided);
    alteration->rest.resources_count = 0;
    for (int32_t i = 0; i < request->resources_count; i++)
        if (!alteration->results.items[i].decided)
            alteration->rest.resources[alteration->rest.resources_count++] = request->resources[i];
    api_ask_controller(call, API_INCREMENTAL_ALTER_CONFIGS, call->version, &alteration->rest,
                       controller_answered);
}

void api_incremental_alter_configs(struct api_call *call) {
    const struct incremental_alter_configs_request *request = call->request;
    struct alteration *alteration = arena_zalloc(call->arena, 1, sizeof *alteration);
    struct alter_results *results = &alteration->results;
    *results = alter_results_new(call->arena, request->resources_count);
    call->state = alteration;
    for (int32_t i = 0; i < results->count; i++) {
        results->items[i].type = request->resources[i].resource_type;
        results->items[i].name = request->resources[i].resource_name;
    }
    alter_results_sort(results);
    for (int32_t i = 0; i < results->count; i++) {
        struct alter_result *result = &results->items[i];
        if (result->decided || result->type != CONFIG_RESOURCE_BROKER_LOGGER) continue;
        struct message error;
        message_init(&error);
        enum err err = alter_loggers(call, &request->resources[i], &error);
        alter_results_decide(results, result, err, &error);
    }
    int32_t undecided = alter_results_undecided(results, ERR_NONE);
    if (undecided == 0)
        reply(call);
    else
        ask_controller(call, undecided);
}
