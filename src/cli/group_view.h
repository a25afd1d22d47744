// A group as the group commands see it: whatever protocol it speaks, and whatever broker answers.
// ConsumerGroupDescribe is asked first, and DescribeGroups when the group is none of KIP-848's (or
// the broker does not know them); that is also how Apache Kafka's tools look.
#pragma once

#include "base/arena.h"
#include "cli/session.h"
#include "client/offsets.h"

struct group_view_member {
    struct slice id;
    struct slice instance_id;  // null: none
    struct slice client_id;
    struct slice host;
    struct slice topics;       // subscribed, "a, b", or the expression; null: not told
    int32_t epoch;             // -1: a classic group has none
    bool is_classic;           // speaks the classic protocol
    int32_t metadata_version;  // of a classic member's subscription; -1: not told
    const struct topic_partition *assigned;
    int32_t assigned_count;
    const struct topic_partition *target;  // KIP-848: what it shall have
    int32_t target_count;
};

struct group_view {
    struct arena arena;
    struct slice id;
    struct slice state;          // in Kafka's words
    struct slice protocol_type;  // "consumer", "connect" …
    struct slice assignor;       // empty: none chosen
    bool is_classic;
    int32_t epoch;             // KIP-848, else -1
    int32_t assignment_epoch;  // likewise
    int32_t coordinator;       // node
    struct group_view_member *members;
    int32_t member_count;
};

// ERR_GROUP_ID_NOT_FOUND, or why nobody answered: `error` says it.
MUST_CHECK enum err group_view_load(struct session *session, struct slice id,
                                    struct group_view *view, struct message *error);
void group_view_free(struct group_view *view);

// The member that has the partition; NULL: none.
const struct group_view_member *group_view_owner(const struct group_view *view,
                                                 struct topic_partition id);
bool group_view_has(const struct topic_partition *list, int32_t count, struct topic_partition id);
// "payments-0, payments-2", at most `max` of them and "…"; in the arena.
struct slice group_view_partitions(struct arena *arena, const struct topic_partition *list,
                                   int32_t count, int32_t max);
