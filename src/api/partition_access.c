#include "api/partition_access.h"

enum err partition_access(const struct node *node, struct uuid topic_id, int32_t index,
                          int32_t current_leader_epoch, struct partition **partition) {
    struct partition *found = replica_find(node->replicas, topic_id, index);
    if (found == NULL) {
        const struct topic_image *topic = image_topic_by_id(node->image, topic_id);
        const struct partition_image *state = topic == NULL ? NULL : topic_partition(topic, index);
        // One that the image still gives to us, but that we do not have, is just being deleted.
        bool is_gone = state == NULL || state->leader == node->identity->node_id;
        return is_gone ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_NOT_LEADER_OR_FOLLOWER;
    }
    enum err err = partition_check_leader(found, current_leader_epoch);
    if (err == ERR_NONE) *partition = found;
    return err;
}
