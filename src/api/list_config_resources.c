// ListConfigResources (KIP-1142): names of what has configs. Version 0 knows client-metrics
// subscriptions only (KIP-1000).
#include "api/call.h"
#include "api/cluster_view.h"
#include "base/assert.h"

struct listing {
    struct api_call *call;
    struct list_config_resources_response *response;
    int32_t capacity;
};

static void add(struct listing *listing, struct slice name, int8_t type) {
    struct list_config_resources_response *response = listing->response;
    assert(response->config_resources_count < listing->capacity);
    struct list_config_resources_response_config_resource *out =
        &response->config_resources[response->config_resources_count++];
    out->resource_name = name;
    out->resource_type = type;
}

static bool is_wanted(const struct list_config_resources_request *request, int8_t type) {
    for (int32_t i = 0; i < request->resource_types_count; i++)
        if (request->resource_types[i] == type) return true;
    return request->resource_types_count <= 0;
}

static int32_t count_named(const struct image *image, enum config_resource_type type) {
    int32_t count = 0;
    struct slice name = SLICE_NULL;
    while (image_config_resource_after(image, type, name, &name))
        count++;
    return count;
}

static void add_named(struct listing *listing, enum config_resource_type type) {
    struct slice name = SLICE_NULL;
    while (image_config_resource_after(listing->call->node->image, type, name, &name))
        add(listing, name, (int8_t)type);
}

static int32_t count_brokers(const struct image *image) {
    int32_t count = 0;
    for (const struct broker_image *b = image_broker_after(image, -1); b != NULL;
         b = image_broker_after(image, b->id))
        count++;
    return count;
}

static void add_brokers(struct listing *listing, int8_t type) {
    const struct image *image = listing->call->node->image;
    for (const struct broker_image *b = image_broker_after(image, -1); b != NULL;
         b = image_broker_after(image, b->id))
        if (view_alive_endpoint(listing->call, b->id) != NULL)
            add(listing, arena_format(listing->call->arena, "%d", (int)b->id), type);
}

static void add_topics(struct listing *listing) {
    const struct image *image = listing->call->node->image;
    for (const struct topic_image *t = image_topic_after(image, SLICE_NULL); t != NULL;
         t = image_topic_after(image, t->name))
        add(listing, t->name, CONFIG_RESOURCE_TOPIC);
}

void api_list_config_resources(struct api_call *call) {
    static const int8_t supported[] = {CONFIG_RESOURCE_TOPIC, CONFIG_RESOURCE_BROKER,
                                       CONFIG_RESOURCE_BROKER_LOGGER,
                                       CONFIG_RESOURCE_CLIENT_METRICS, CONFIG_RESOURCE_GROUP};
    const struct list_config_resources_request *request = call->request;
    const struct image *image = call->node->image;
    struct listing listing = {.call = call, .response = call->response};
    for (int32_t i = 0; i < request->resource_types_count; i++) {
        if (memchr(supported, request->resource_types[i], sizeof supported) != NULL) continue;
        listing.response->error_code = err_wire(ERR_UNSUPPORTED_VERSION);
        api_reply(call);
        return;
    }
    bool all = call->version > 0;
    listing.capacity = count_named(image, CONFIG_RESOURCE_GROUP) +
                       count_named(image, CONFIG_RESOURCE_CLIENT_METRICS) +
                       2 * count_brokers(image) + image_topic_count(image);
    listing.response->config_resources =
        list_config_resources_response_config_resource_new(call->arena, listing.capacity);
    if (all && is_wanted(request, CONFIG_RESOURCE_GROUP))
        add_named(&listing, CONFIG_RESOURCE_GROUP);
    if (!all || is_wanted(request, CONFIG_RESOURCE_CLIENT_METRICS))
        add_named(&listing, CONFIG_RESOURCE_CLIENT_METRICS);
    if (all && is_wanted(request, CONFIG_RESOURCE_BROKER_LOGGER))
        add_brokers(&listing, CONFIG_RESOURCE_BROKER_LOGGER);
    if (all && is_wanted(request, CONFIG_RESOURCE_BROKER))
        add_brokers(&listing, CONFIG_RESOURCE_BROKER);
    if (all && is_wanted(request, CONFIG_RESOURCE_TOPIC)) add_topics(&listing);
    api_reply(call);
}
