#include "api/cluster_view.h"

const struct endpoint_image *view_endpoint(const struct api_call *call, int32_t broker_id) {
    const struct broker_image *broker = image_broker(call->node->image, broker_id);
    return broker == NULL ? NULL : broker_endpoint(broker, call->net->listener->name);
}

const struct endpoint_image *view_alive_endpoint(const struct api_call *call, int32_t broker_id) {
    const struct broker_image *broker = image_broker(call->node->image, broker_id);
    if (broker == NULL || broker->fenced) return NULL;
    return broker_endpoint(broker, call->net->listener->name);
}

void view_offline_replicas(const struct api_call *call, const struct partition_image *partition,
                           int32_t **replicas, int32_t *count) {
    *replicas = NULL;
    *count = 0;
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (view_alive_endpoint(call, partition->replicas[i]) != NULL) continue;
        if (*replicas == NULL) {
            *replicas =
                arena_zalloc(call->arena, (size_t)partition->replica_count, sizeof(int32_t));
        }
        (*replicas)[(*count)++] = partition->replicas[i];
    }
}

int32_t view_controller_id(const struct api_call *call) {
    int32_t self = call->node->identity->node_id;
    if (view_alive_endpoint(call, self) != NULL) return self;
    const struct image *image = call->node->image;
    for (const struct broker_image *b = image_broker_after(image, -1); b != NULL;
         b = image_broker_after(image, b->id)) {
        if (view_alive_endpoint(call, b->id) != NULL) return b->id;
    }
    return -1;
}

int32_t *view_ids(const struct api_call *call, const int32_t *ids, int32_t count) {
    int32_t *copy = arena_zalloc(call->arena, (size_t)MAX(count, 1), sizeof *copy);
    if (count > 0) memcpy(copy, ids, (size_t)count * sizeof *copy);
    return copy;
}
