#include "api/partition_access.h"

enum err partition_access(const struct node *node, struct uuid topic_id, int32_t index,
                          int32_t current_leader_epoch, struct partition **partition) {
    struct partition *found = replica_find(node->replicas, topic_id, index);
    if (found == NULL) {
        const struct topic_image *topic = image_topic_by_id(node->image, topic_id);
        bool is_known = topic != NULL && topic_partition(topic, index) != NULL;
        return is_known ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    enum err err = partition_check_leader(found, current_leader_epoch);
    if (err == ERR_NONE) *partition = found;
    return err;
}
