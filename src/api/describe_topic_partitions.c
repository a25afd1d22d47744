// DescribeTopicPartitions (KIP-966): topics in order of name, some partitions at a time, with a
// cursor to go on.
#include <stdlib.h>

#include "api/cluster_view.h"
#include "config/config.h"
#include "metadata/topic_name.h"

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static void fill_partition(const struct api_call *call, const struct partition_image *partition,
                           struct describe_topic_partitions_response_partition *out) {
    out->partition_index = partition->partition;
    out->leader_id = view_endpoint(call, partition->leader) == NULL ? -1 : partition->leader;
    out->leader_epoch = partition->leader_epoch;
    out->replica_nodes = view_ids(call, partition->replicas, partition->replica_count);
    out->replica_nodes_count = partition->replica_count;
    out->isr_nodes = view_ids(call, partition->isr, partition->isr_count);
    out->isr_nodes_count = partition->isr_count;
    out->eligible_leader_replicas = view_ids(call, partition->elr, partition->elr_count);
    out->eligible_leader_replicas_count = partition->elr_count;
    out->last_known_elr =
        view_ids(call, partition->last_known_elr, partition->last_known_elr_count);
    out->last_known_elr_count = partition->last_known_elr_count;
    view_offline_replicas(call, partition, &out->offline_replicas, &out->offline_replicas_count);
}

// Where the answer was cut off.
static void set_next(struct api_call *call, struct slice topic, int32_t partition) {
    struct describe_topic_partitions_response *response = call->response;
    response->next_cursor = arena_zalloc(call->arena, 1, sizeof *response->next_cursor);
    response->next_cursor->topic_name = topic;
    response->next_cursor->partition_index = partition;
}

// Adds a topic from partition `from` on. False: the limit was reached inside it.
static bool add_topic(struct api_call *call, const struct topic_image *topic, int32_t from,
                      int32_t *left) {
    struct describe_topic_partitions_response *response = call->response;
    struct describe_topic_partitions_response_topic *out =
        &response->topics[response->topics_count++];
    out->name = topic->name;
    out->topic_id = topic->id;
    out->is_internal = topic_name_is_internal(topic->name);
    out->topic_authorized_operations = OPERATIONS_OF_TOPIC;
    int32_t end = MIN(topic->partition_count, from > INT32_MAX - *left ? INT32_MAX : from + *left);
    out->partitions =
        describe_topic_partitions_response_partition_new(call->arena, MAX(end - from, 0));
    for (int32_t i = from; i < end; i++) {
        const struct partition_image *partition = topic_partition(topic, i);
        if (partition != NULL) {
            fill_partition(call, partition, &out->partitions[out->partitions_count++]);
        }
    }
    *left -= out->partitions_count;
    if (end >= topic->partition_count) return true;
    set_next(call, topic->name, end);
    return false;
}

static void add_missing(struct api_call *call, struct slice name) {
    struct describe_topic_partitions_response *response = call->response;
    struct describe_topic_partitions_response_topic *out =
        &response->topics[response->topics_count++];
    out->name = name;
    out->is_internal = topic_name_is_internal(name);
    out->topic_authorized_operations = OPERATIONS_OF_TOPIC;
    out->error_code = topic_name_check(name, NULL) != ERR_NONE
                          ? (int16_t)ERR_INVALID_TOPIC_EXCEPTION
                          : (int16_t)ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

// The names to look at, sorted, none before the cursor. In the call's arena.
static struct slice *collect_names(struct api_call *call, struct slice cursor_topic,
                                   int32_t *count) {
    const struct describe_topic_partitions_request *request = call->request;
    const struct image *image = call->node->image;
    bool all = request->topics_count <= 0;
    int32_t capacity = all ? image_topic_count(image) : request->topics_count;
    struct slice *names = arena_zalloc(call->arena, (size_t)MAX(capacity, 1), sizeof *names);
    int32_t n = 0;
    if (all) {
        for (const struct topic_image *t = image_topic_after(image, SLICE_NULL); t != NULL;
             t = image_topic_after(image, t->name)) {
            if (slice_compare(t->name, cursor_topic) >= 0) names[n++] = t->name;
        }
    } else {
        for (int32_t i = 0; i < request->topics_count; i++) {
            struct slice name = request->topics[i].name;
            if (slice_compare(name, cursor_topic) >= 0) names[n++] = name;
        }
        qsort(names, (size_t)n, sizeof *names, compare_names);
        int32_t unique = 0;
        for (int32_t i = 0; i < n; i++) {
            if (unique == 0 || !slice_equal(names[unique - 1], names[i]))
                names[unique++] = names[i];
        }
        n = unique;
    }
    *count = n;
    return names;
}

static enum err check_cursor(const struct api_call *call, const struct slice *names, int32_t count,
                             struct message *text) {
    const struct describe_topic_partitions_request *request = call->request;
    if (request->cursor == NULL) return ERR_NONE;
    struct slice topic = request->cursor->topic_name;
    bool named = request->topics_count <= 0 || (count > 0 && slice_equal(names[0], topic));
    if (!named) {
        message_set(
            text, "DescribeTopicPartitionsRequest topic list should contain the cursor topic: %.*s",
            SLICE_PRINT(topic));
        return ERR_INVALID_REQUEST;
    }
    if (request->cursor->partition_index < 0) {
        message_set(text,
                    "DescribeTopicPartitionsRequest cursor partition must be valid: "
                    "Cursor(topicName='%.*s', partitionIndex=%d)",
                    SLICE_PRINT(topic), request->cursor->partition_index);
        return ERR_INVALID_REQUEST;
    }
    return ERR_NONE;
}

void api_describe_topic_partitions(struct api_call *call) {
    const struct describe_topic_partitions_request *request = call->request;
    struct describe_topic_partitions_response *response = call->response;
    struct slice cursor_topic = request->cursor == NULL ? SLICE_EMPTY : request->cursor->topic_name;
    int32_t count;
    struct slice *names = collect_names(call, cursor_topic, &count);
    struct message text;
    enum err e = check_cursor(call, names, count, &text);
    if (e != ERR_NONE) {
        api_reply_error(call, e, &text);
        return;
    }
    int32_t left = MIN(config_int(call->node->config, BROKER_MAX_REQUEST_PARTITION_SIZE_LIMIT),
                       request->response_partition_limit);
    left = MAX(left, 1);
    response->topics = describe_topic_partitions_response_topic_new(call->arena, count);
    for (int32_t i = 0; i < count; i++) {
        if (left == 0) {
            set_next(call, names[i], 0);
            break;
        }
        const struct topic_image *topic = image_topic(call->node->image, names[i]);
        bool is_cursor = request->cursor != NULL && slice_equal(names[i], cursor_topic);
        if (topic == NULL) {
            add_missing(call, names[i]);
        } else if (!add_topic(call, topic, is_cursor ? request->cursor->partition_index : 0,
                              &left)) {
            break;
        }
    }
    api_reply(call);
}
