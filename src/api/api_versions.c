// ApiVersions: what this listener serves, and the features of the cluster (KIP-35, 511, 584, 1022,
// 1242). The versions that cannot even be decoded are answered in call.c.
#include "api/call.h"
#include "metadata/features.h"

// KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
static bool is_software_name(struct slice name) {
    if (name.size == 0) return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool inner = (c == '-' || c == '.') && i > 0 && i + 1 < name.size;
        if (!alphanumeric && !inner) return false;
    }
    return true;
}

static bool is_served(const struct api_call *call, const struct api_info *api) {
    uint8_t bit =
        call->net->listener->is_controller ? API_LISTENER_CONTROLLER : API_LISTENER_BROKER;
    return api != NULL && (api->listeners & bit) != 0 && api_handler_of(api->key) != NULL;
}

static void add_api_keys(struct api_call *call, struct api_versions_response *response) {
    response->api_keys = api_versions_response_api_key_new(call->arena, API_KEY_MAX + 1);
    for (int16_t key = 0; key <= API_KEY_MAX; key++) {
        const struct api_info *api = api_info_of(key);
        if (!is_served(call, api)) continue;
        struct api_versions_response_api_key *row = &response->api_keys[response->api_keys_count++];
        row->api_key = key;
        row->min_version = api->advertised_min;
        row->max_version = api->advertised_max;
    }
}

static void add_supported_features(struct api_call *call, struct api_versions_response *response) {
    response->supported_features =
        api_versions_response_supported_feature_new(call->arena, FEATURE_COUNT);
    for (int id = 0; id < FEATURE_COUNT; id++) {
        const struct feature_row *row = feature_row((enum feature_id)id);
        // KIP-1022: clients before version 4 do not accept a range that begins at 0.
        if (call->version < 4 && row->min == 0) continue;
        struct api_versions_response_supported_feature *f =
            &response->supported_features[response->supported_features_count++];
        f->name = slice_cstring(row->name);
        f->min_version = row->min;
        f->max_version = row->max;
    }
}

static void add_finalized_feature(struct api_versions_response *response, struct slice name,
                                  int16_t level) {
    struct api_versions_response_finalized_feature *f =
        &response->finalized_features[response->finalized_features_count++];
    f->name = name;
    f->min_version_level = level;
    f->max_version_level = level;
}

static void add_finalized_features(struct api_call *call, struct api_versions_response *response) {
    const struct image *image = call->node->image;
    if (image == NULL || image_metadata_version(image) == 0) return;
    response->finalized_features_epoch = image_offset(image);
    response->finalized_features =
        api_versions_response_finalized_feature_new(call->arena, FEATURE_COUNT);
    struct slice name = SLICE_NULL, next;
    int16_t level;
    // The quorum's own feature is in its log as a control record, not in the image.
    if (call->node->kraft_version > 0) {
        add_finalized_feature(response, slice_cstring(feature_row(FEATURE_KRAFT_VERSION)->name),
                              call->node->kraft_version);
    }
    while (image_feature_after(image, name, &next, &level)) {
        name = next;
        if (response->finalized_features_count == FEATURE_COUNT) break;
        add_finalized_feature(response, name, level);
    }
}

void api_api_versions(struct api_call *call) {
    const struct api_versions_request *request = call->request;
    struct api_versions_response *response = call->response;
    const struct node_identity *identity = call->node->identity;
    if (call->version >= 3 && (!is_software_name(request->client_software_name) ||
                               !is_software_name(request->client_software_version))) {
        api_reply_error(call, ERR_INVALID_REQUEST, NULL);
        return;
    }
    // KIP-1242: the client wanted another cluster or another node than the one it has reached.
    bool other_cluster = !slice_is_null(request->cluster_id) &&
                         !slice_equal(request->cluster_id, identity->cluster_id);
    bool other_node = request->node_id >= 0 && request->node_id != identity->node_id;
    if (other_cluster || other_node) {
        api_reply_error(call, ERR_REBOOTSTRAP_REQUIRED, NULL);
        return;
    }
    add_api_keys(call, response);
    if (call->version >= 3) {
        add_supported_features(call, response);
        add_finalized_features(call, response);
    }
    api_reply(call);
}
