// DescribeClientQuotas (KIP-546), from this reactor's image. A filter names types of entities, each
// with one name, the default, or any name; a strict one also excludes entities that have further
// types.
#include "api/call.h"

enum match_type { MATCH_EXACT = 0, MATCH_DEFAULT = 1, MATCH_SPECIFIED = 2 };

static bool is_type(struct slice type, const char *name) {
    return slice_equal_cstring(type, name);
}

static enum err check_component(const struct describe_client_quotas_request *request, int32_t at,
                                struct message *error) {
    const struct describe_client_quotas_request_component *component = &request->components[at];
    struct slice type = component->entity_type;
    if (type.size == 0) {
        message_set(error, "Invalid empty entity type.");
        return ERR_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < at; i++) {
        if (!slice_equal(request->components[i].entity_type, type)) continue;
        message_set(error, "Entity type %.*s cannot appear more than once in the filter.",
                    SLICE_PRINT(type));
        return ERR_INVALID_REQUEST;
    }
    if (!is_type(type, "ip") && !is_type(type, "user") && !is_type(type, "client-id")) {
        message_set(error, "Unsupported entity type %.*s", SLICE_PRINT(type));
        return ERR_UNSUPPORTED_VERSION;
    }
    bool has_match = !slice_is_null(component->match);
    const char *wrong = NULL;
    switch (component->match_type) {
        case MATCH_EXACT:
            if (!has_match) {
                wrong = "Request specified MATCH_TYPE_EXACT, but set match string to null.";
            }
            break;
        case MATCH_DEFAULT:
            if (has_match) {
                wrong = "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.";
            }
            break;
        case MATCH_SPECIFIED:
            if (has_match) {
                wrong =
                    "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.";
            }
            break;
        default:
            message_set(error, "Unknown match type %d", component->match_type);
            return ERR_INVALID_REQUEST;
    }
    if (wrong == NULL) return ERR_NONE;
    message_set(error, "%s", wrong);
    return ERR_INVALID_REQUEST;
}

static enum err check_filter(const struct describe_client_quotas_request *request,
                             struct message *error) {
    bool has_ip = false;
    bool has_other = false;
    for (int32_t i = 0; i < request->components_count; i++) {
        enum err err = check_component(request, i, error);  // at most three pass
        if (err != ERR_NONE) return err;
        bool is_ip = is_type(request->components[i].entity_type, "ip");
        has_ip = has_ip || is_ip;
        has_other = has_other || !is_ip;
    }
    if (!has_ip || !has_other) return ERR_NONE;
    message_set(error,
                "Invalid entity filter component combination. IP filter component should not be "
                "used with user or clientId filter component.");
    return ERR_INVALID_REQUEST;
}

static bool component_matches(const struct describe_client_quotas_request_component *component,
                              const struct quota_image *quota) {
    for (int32_t i = 0; i < quota->entity_count; i++) {
        const struct quota_entity *entity = &quota->entities[i];
        if (!slice_equal(entity->type, component->entity_type)) continue;
        if (component->match_type == MATCH_SPECIFIED) return true;
        return slice_equal(entity->name, component->match);
    }
    return false;
}

static bool filter_matches(const struct describe_client_quotas_request *request,
                           const struct quota_image *quota) {
    if (request->strict && quota->entity_count != request->components_count) return false;
    for (int32_t i = 0; i < request->components_count; i++) {
        if (!component_matches(&request->components[i], quota)) return false;
    }
    return true;
}

static bool same_entity(const struct quota_image *a, const struct quota_image *b) {
    if (a->entity_count != b->entity_count) return false;
    for (int32_t i = 0; i < a->entity_count; i++) {
        if (!slice_equal(a->entities[i].type, b->entities[i].type)) return false;
        if (!slice_equal(a->entities[i].name, b->entities[i].name)) return false;
    }
    return true;
}

static void begin_entry(struct api_call *call, const struct quota_image *quota, int32_t values,
                        struct describe_client_quotas_response_entry *entry) {
    entry->entity = describe_client_quotas_response_entity_new(call->arena, quota->entity_count);
    entry->entity_count = quota->entity_count;
    for (int32_t i = 0; i < quota->entity_count; i++) {
        entry->entity[i].entity_type = quota->entities[i].type;
        entry->entity[i].entity_name = quota->entities[i].name;
    }
    entry->values = describe_client_quotas_response_value_new(call->arena, values);
}

// Rows of one entity follow each other in the image.
static void fill_entries(struct api_call *call, struct describe_client_quotas_response *response) {
    const struct image *image = call->node->image;
    const struct quota_image *quota = image_quota_after(image, NULL);
    int32_t matching = 0;
    for (; quota != NULL; quota = image_quota_after(image, quota)) {
        matching += filter_matches(call->request, quota);
    }
    response->entries = describe_client_quotas_response_entry_new(call->arena, matching);
    const struct quota_image *first = NULL;  // of the entity of the last entry
    for (quota = image_quota_after(image, NULL); quota != NULL;
         quota = image_quota_after(image, quota)) {
        if (!filter_matches(call->request, quota)) continue;
        if (first == NULL || !same_entity(first, quota)) {
            first = quota;
            int32_t values = 0;
            const struct quota_image *next = quota;
            for (; next != NULL && same_entity(first, next);
                 next = image_quota_after(image, next)) {
                values++;
            }
            begin_entry(call, quota, values, &response->entries[response->entries_count++]);
        }
        struct describe_client_quotas_response_entry *entry =
            &response->entries[response->entries_count - 1];
        entry->values[entry->values_count].key = quota->key;
        entry->values[entry->values_count++].value = quota->value;
    }
}

void api_describe_client_quotas(struct api_call *call) {
    struct message error;
    message_init(&error);
    enum err err = check_filter(call->request, &error);
    if (err != ERR_NONE) {
        struct describe_client_quotas_response *response = call->response;
        response->error_code = err_wire(err);
        response->error_message = arena_copy(call->arena, message_slice(&error));
        response->entries_count = -1;
        api_reply(call);
        return;
    }
    fill_entries(call, call->response);
    api_reply(call);
}
