// AlterConfigs, the older form that librdkafka and kafkajs still send: a resource's configs become
// exactly those of the request, what is not named goes back to its default. The controller plans it
// (metadata/config_change.h).
#include "api/alter_results.h"
#include "api/call.h"

struct alteration {
    struct alter_results results;
    struct alter_configs_request rest;  // what goes to the controller
};

static void reply(struct api_call *call) {
    const struct alteration *alteration = call->state;
    const struct alter_results *results = &alteration->results;
    struct alter_configs_response *response = call->response;
    response->responses_count = results->count;
    response->responses = alter_configs_response_response_new(call->arena, results->count);
    for (int32_t i = 0; i < results->count; i++) {
        const struct alter_result *result = &results->items[i];
        struct alter_configs_response_response *out = &response->responses[i];
        out->resource_type = result->type;
        out->resource_name = result->name;
        out->error_code = err_wire(result->error);
        out->error_message = result->text;
    }
    api_reply(call);
}

static void controller_answered(struct api_call *call, enum err result, void *answer) {
    struct alteration *alteration = call->state;
    struct alter_configs_response *response = answer;
    alter_results_undecided(&alteration->results, result);
    for (int32_t i = 0; result == ERR_NONE && i < response->responses_count; i++) {
        const struct alter_configs_response_response *one = &response->responses[i];
        alter_results_take(&alteration->results, one->resource_type, one->resource_name,
                           one->error_code, one->error_message);
    }
    reply(call);
}

// Sends what is left to the controller, in the order of the request.
static void ask_controller(struct api_call *call, int32_t undecided) {
    const struct alter_configs_request *request = call->request;
    struct alteration *alteration = call->state;
    alteration->rest = *request;
    alteration->rest.resources = alter_configs_request_resource_new(call->arena, undecided);
    alteration->rest.resources_count = 0;
    for (int32_t i = 0; i < request->resources_count; i++)
        if (!alteration->results.items[i].decided)
            alteration->rest.resources[alteration->rest.resources_count++] = request->resources[i];
    api_ask_controller(call, API_ALTER_CONFIGS, call->version, &alteration->rest,
                       controller_answered);
}

void api_alter_configs(struct api_call *call) {
    const struct alter_configs_request *request = call->request;
    struct alteration *alteration = arena_zalloc(call->arena, 1, sizeof *alteration);
    struct alter_results *results = &alteration->results;
    *results = alter_results_new(call->arena, request->resources_count);
    call->state = alteration;
    for (int32_t i = 0; i < results->count; i++) {
        results->items[i].type = request->resources[i].resource_type;
        results->items[i].name = request->resources[i].resource_name;
    }
    alter_results_sort(results);
    int32_t undecided = alter_results_undecided(results, ERR_NONE);
    if (undecided == 0)
        reply(call);
    else
        ask_controller(call, undecided);
}
