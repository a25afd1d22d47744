// How a group's leader divides partitions among members: Kafka's range, roundrobin, sticky and
// cooperative-sticky. Pure; any thread.
#pragma once

#include "client/offsets.h"

enum assignor {
    ASSIGNOR_RANGE,
    ASSIGNOR_ROUND_ROBIN,
    ASSIGNOR_STICKY,
    ASSIGNOR_COOPERATIVE_STICKY,
    ASSIGNOR_COUNT,
};

// "range", "roundrobin", "sticky", "cooperative-sticky"
const char *assignor_name(enum assignor assignor);
bool assignor_parse(struct slice name, enum assignor *assignor);
// Members keep what they have while they join (KIP-429); else they give up all first.
static inline bool assignor_is_cooperative(enum assignor assignor) {
    return assignor == ASSIGNOR_COOPERATIVE_STICKY;
}

struct assignor_member {
    struct slice id;
    struct slice
        instance_id;  // null: none. Members are sorted by it, so that a static one keeps its place
    const struct slice *topics;
    int32_t topic_count;
    const struct topic_partition *owned;  // of the sticky ones: what it has, as of `generation`
    int32_t owned_count;
    int32_t generation;  // -1: unknown
    // Out, in the arena.
    struct topic_partition *assigned;
    int32_t assigned_count;
};

struct assignor_topic {
    struct slice name;
    int32_t partition_count;
};

// Fills the members' `assigned`; `members` is sorted meanwhile. With cooperative-sticky a partition
// that must move is given to nobody yet: its owner gives it up, joins again, and the next
// assignment has it.
void assignor_assign(enum assignor assignor, struct assignor_member *members, int32_t member_count,
                     struct assignor_topic *topics, int32_t topic_count, struct arena *arena);
