#include "api/node.h"

#include "replica/replica_manager.h"

struct node *node_owner_of(struct node *node, struct uuid topic_id, int32_t partition) {
    return node->reactors[replica_owner_of(topic_id, partition, node->reactor_count)];
}
