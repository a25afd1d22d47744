// Server-side assignors of consumer groups (KIP-848): from members and their subscriptions to a
// target assignment. Pure.
#pragma once

#include "group/partition_list.h"

struct assignor_topic {
    struct uuid id;
    int32_t partition_count;
};

struct assignor_member {
    struct slice id;
    struct slice instance_id;  // null: dynamic
    const int32_t *topics;     // subscribed ones, as indexes into the topics, rising
    int32_t topic_count;
    const struct partition_list *now;  // the target that it has
    struct partition_list target;      // out, in the arena
};

struct assignor_input {
    const struct assignor_topic *topics;  // in order of id
    int32_t topic_count;
    struct assignor_member *members;
    int32_t member_count;
    bool is_homogeneous;  // all members say the same of what they subscribe to
};

// "uniform" or "range"; NULL when there is no such assignor.
typedef void assign_function(struct assignor_input *input, struct arena *arena);
assign_function *assignor_find(struct slice name);

// Each topic's partitions in equal runs over its subscribers, in order of instance and member id:
// partitions of the same number meet at the same member when topics have the same subscribers and
// size.
void assign_range(struct assignor_input *input, struct arena *arena);

// As even as subscriptions allow, and as much as possible stays where it is.
void assign_uniform(struct assignor_input *input, struct arena *arena);
