#include "group/consumer.h"
#include "wire/codec.h"

void consumer_add_group(struct slice group_id, int32_t epoch, int64_t hash,
                        struct runtime_result *result) {
    struct consumer_group_metadata_key key = {.group_id = group_id};
    struct consumer_group_metadata_value value;
    codec_init(&consumer_group_metadata_value_codec, &value);
    value.epoch = epoch;
    value.metadata_hash = hash;
    group_add_record(result, GROUP_CONSUMER_GROUP_METADATA, &key, 0, &value);
}

static struct consumer_group_member_metadata_value_classic_member_metadata *put_classic(
    const struct member_metadata *m, struct arena *arena) {
    struct consumer_group_member_metadata_value_classic_member_metadata *classic =
        arena_zalloc(arena, 1, sizeof *classic);
    classic->session_timeout_ms = m->session_timeout_ms;
    classic->supported_protocols_count = m->protocol_count;
    classic->supported_protocols =
        arena_zalloc(arena, (size_t)m->protocol_count, sizeof *classic->supported_protocols);
    for (int32_t i = 0; i < m->protocol_count; i++) {
        classic->supported_protocols[i].name = m->protocols[i].name;
        classic->supported_protocols[i].metadata = m->protocols[i].metadata;
    }
    return classic;
}

void consumer_add_metadata(struct slice group_id, struct slice member_id,
                           const struct member_metadata *m, struct runtime_result *result) {
    struct consumer_group_member_metadata_key key = {group_id, member_id};
    struct consumer_group_member_metadata_value value;
    codec_init(&consumer_group_member_metadata_value_codec, &value);
    value.instance_id = m->instance_id;
    value.rack_id = m->rack_id;
    value.client_id = m->client_id;
    value.client_host = m->client_host;
    value.subscribed_topic_names =
        arena_zalloc(result->arena, (size_t)m->topic_count, sizeof *value.subscribed_topic_names);
    value.subscribed_topic_names_count = m->topic_count;
    for (int32_t i = 0; i < m->topic_count; i++)
        value.subscribed_topic_names[i] = m->topics[i];
    value.subscribed_topic_regex = m->regex;
    value.rebalance_timeout_ms = m->rebalance_timeout_ms;
    value.server_assignor = m->server_assignor;
    value.classic_member_metadata = m->is_classic ? put_classic(m, result->arena) : NULL;
    group_add_record(result, GROUP_CONSUMER_GROUP_MEMBER_METADATA, &key, 0, &value);
}

static int32_t *copy_partitions(const struct partition_list *list, int32_t from, int32_t end,
                                struct arena *arena) {
    int32_t *partitions = arena_zalloc(arena, (size_t)(end - from), sizeof *partitions);
    for (int32_t i = from; i < end; i++)
        partitions[i - from] = list->items[i].partition;
    return partitions;
}

static struct consumer_group_current_member_assignment_value_topic_partitions *put_current(
    const struct partition_list *list, int32_t *count, struct arena *arena) {
    struct consumer_group_current_member_assignment_value_topic_partitions *topics =
        arena_zalloc(arena, (size_t)partition_list_topic_count(list), sizeof *topics);
    *count = 0;
    for (int32_t i = 0, end; i < list->count; i = end) {
        end = partition_list_topic_end(list, i);
        struct consumer_group_current_member_assignment_value_topic_partitions *t =
            &topics[(*count)++];
        codec_init(&consumer_group_current_member_assignment_value_topic_partitions_codec, t);
        t->topic_id = list->items[i].topic;
        t->partitions = copy_partitions(list, i, end, arena);
        t->partitions_count = end - i;
        t->assignment_epochs = arena_zalloc(arena, (size_t)(end - i), sizeof *t->assignment_epochs);
        t->assignment_epochs_count = end - i;
        for (int32_t k = i; k < end; k++)
            t->assignment_epochs[k - i] = list->items[k].epoch;
    }
    return topics;
}

void consumer_add_progress(struct slice group_id, struct slice member_id,
                           const struct member_progress *p, struct runtime_result *result) {
    struct consumer_group_current_member_assignment_key key = {group_id, member_id};
    struct consumer_group_current_member_assignment_value value;
    codec_init(&consumer_group_current_member_assignment_value_codec, &value);
    value.member_epoch = p->epoch;
    value.previous_member_epoch = p->previous_epoch;
    value.state = (int8_t)p->state;
    value.assigned_partitions =
        put_current(&p->assigned, &value.assigned_partitions_count, result->arena);
    value.partitions_pending_revocation =
        put_current(&p->revoking, &value.partitions_pending_revocation_count, result->arena);
    group_add_record(result, GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, &key, 0, &value);
}

void consumer_add_target(struct slice group_id, struct slice member_id,
                         const struct partition_list *target, struct runtime_result *result) {
    struct consumer_group_target_assignment_member_key key = {group_id, member_id};
    struct consumer_group_target_assignment_member_value value;
    codec_init(&consumer_group_target_assignment_member_value_codec, &value);
    value.topic_partitions = arena_zalloc(result->arena, (size_t)partition_list_topic_count(target),
                                          sizeof *value.topic_partitions);
    for (int32_t i = 0, end; i < target->count; i = end) {
        end = partition_list_topic_end(target, i);
        struct consumer_group_target_assignment_member_value_topic_partition *t =
            &value.topic_partitions[value.topic_partitions_count++];
        t->topic_id = target->items[i].topic;
        t->partitions = copy_partitions(target, i, end, result->arena);
        t->partitions_count = end - i;
    }
    group_add_record(result, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, &key, 0, &value);
}

void consumer_add_target_epoch(struct slice group_id, int32_t epoch, int64_t timestamp_ms,
                               struct runtime_result *result) {
    struct consumer_group_target_assignment_metadata_key key = {.group_id = group_id};
    struct consumer_group_target_assignment_metadata_value value;
    codec_init(&consumer_group_target_assignment_metadata_value_codec, &value);
    value.assignment_epoch = epoch;
    value.assignment_timestamp = timestamp_ms;
    group_add_record(result, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA, &key, 0, &value);
}

void consumer_add_regex(struct slice group_id, struct slice text, const struct topic_names *names,
                        int64_t version, int64_t timestamp_ms, struct runtime_result *result) {
    struct consumer_group_regular_expression_key key = {group_id, text};
    struct consumer_group_regular_expression_value value;
    codec_init(&consumer_group_regular_expression_value_codec, &value);
    if (names != NULL) {
        value.topics = arena_zalloc(result->arena, (size_t)names->count, sizeof *value.topics);
        value.topics_count = names->count;
        for (int32_t i = 0; i < names->count; i++)
            value.topics[i] = names->items[i];
        value.version = version;
        value.timestamp = timestamp_ms;
    }
    group_add_record(result, GROUP_CONSUMER_GROUP_REGULAR_EXPRESSION, &key, 0,
                     names == NULL ? NULL : &value);
}

void consumer_add_member_gone(struct slice group_id, struct slice member_id,
                              struct runtime_result *result) {
    struct consumer_group_current_member_assignment_key current = {group_id, member_id};
    struct consumer_group_target_assignment_member_key target = {group_id, member_id};
    struct consumer_group_member_metadata_key metadata = {group_id, member_id};
    group_add_record(result, GROUP_CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT, &current, 0, NULL);
    group_add_record(result, GROUP_CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER, &target, 0, NULL);
    group_add_record(result, GROUP_CONSUMER_GROUP_MEMBER_METADATA, &metadata, 0, NULL);
}
