#include "api/leader_hint.h"

struct leader_hint leader_hint_of(const struct api_call *call, struct uuid topic_id,
                                  int32_t partition) {
    struct leader_hint hint = {.leader_id = -1, .leader_epoch = -1};
    const struct image *image = call->node->image;
    const struct topic_image *topic = image_topic_by_id(image, topic_id);
    const struct partition_image *state = topic == NULL ? NULL : topic_partition(topic, partition);
    if (state == NULL) return hint;
    hint.leader_id = state->leader;
    hint.leader_epoch = state->leader_epoch;
    const struct broker_image *broker =
        state->leader < 0 ? NULL : image_broker(image, state->leader);
    if (broker == NULL || broker->fenced) return hint;
    const struct endpoint_image *endpoint = broker_endpoint(broker, call->net->listener->name);
    if (endpoint == NULL) return hint;
    hint.broker = broker;
    hint.endpoint = endpoint;
    return hint;
}
