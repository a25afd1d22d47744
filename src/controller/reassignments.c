// AlterPartitionReassignments and ListPartitionReassignments (KIP-455). A reassignment's new
// replicas are added first; those that go stay until the new ones are in sync, which
// partition_change notices.
#include "controller/assignment.h"
#include "controller/partition_change.h"

static enum err cancel(struct decision *decision, const struct topic_image *topic,
                       const struct partition_image *partition, struct message *text) {
    if (!partition_is_reassigning(partition)) return ERR_NO_REASSIGNMENT_IN_PROGRESS;
    struct arena *arena = decision->result->arena;
    struct id_list adding = {partition->adding_replicas, partition->adding_count};
    struct id_list replicas = id_list_without(
        (struct id_list){partition->replicas, partition->replica_count}, adding, arena);
    struct id_list isr =
        id_list_without((struct id_list){partition->isr, partition->isr_count}, adding, arena);
    bool unclean_election = topic_elects_uncleanly(decision, topic);
    if (isr.count == 0) {
        if (replicas.count == 0) {
            message_set(text, "Invalid replica assignment: addingReplicas contains all replicas.");
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        if (!unclean_election) {
            message_set(
                text,
                "Unable to revert partition assignment for %.*s:%d because it would require "
                "an unclean leader election.",
                SLICE_PRINT(topic->name), partition->partition);
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        isr = (struct id_list){replicas.ids, 1};
    }
    struct partition_change change;
    partition_change_begin(&change, decision, topic, partition, topic_min_isr(decision, topic));
    if (unclean_election) change.election = ELECTION_UNCLEAN;
    change.isr = isr;
    change.replicas = replicas;
    change.removing = (struct id_list){NULL, 0};
    change.adding = (struct id_list){NULL, 0};
    struct metadata_record record;
    if (partition_change_finish(&change, &record)) decision_add(decision, &record);
    return ERR_NONE;
}

// The replication factor that the partition has, or will have when its reassignment is complete.
static int32_t current_factor(const struct partition_image *partition) {
    struct id_list removing = {partition->removing_replicas, partition->removing_count};
    struct id_list replicas = {partition->replicas, partition->replica_count};
    int32_t factor = 0;
    for (int32_t i = 0; i < replicas.count; i++) {
        if (!id_list_contains(removing, replicas.ids[i])) factor++;
    }
    for (int32_t i = 0; i < partition->adding_count; i++) {
        int32_t id = partition->adding_replicas[i];
        if (!id_list_contains(replicas, id) && !id_list_contains(removing, id)) factor++;
    }
    return factor;
}

static enum err change_replicas(struct decision *decision, const struct topic_image *topic,
                                const struct partition_image *partition, struct id_list target,
                                bool may_change_factor, struct message *text) {
    enum err err = assignment_check(decision, target, -1, text);
    if (err != ERR_NONE) return err;
    int32_t factor = current_factor(partition);
    if (!may_change_factor && factor != target.count) {
        message_set(text, "The replication factor is changed from %d to %d", factor, target.count);
        return ERR_INVALID_REPLICATION_FACTOR;
    }
    struct arena *arena = decision->result->arena;
    struct id_list current = {partition->replicas, partition->replica_count};
    struct id_list removing = id_list_sorted(id_list_without(current, target, arena), arena);
    struct id_list adding = id_list_sorted(id_list_without(target, current, arena), arena);
    struct partition_change change;
    partition_change_begin(&change, decision, topic, partition, topic_min_isr(decision, topic));
    change.replicas = id_list_joined(target, removing, arena);
    if (removing.count > 0) change.removing = removing;
    if (adding.count > 0) change.adding = adding;
    struct metadata_record record;
    if (partition_change_finish(&change, &record)) decision_add(decision, &record);
    return ERR_NONE;
}

static enum err alter(struct decision *decision, struct slice name,
                      const struct alter_partition_reassignments_request_partition *in,
                      bool may_change_factor, struct message *text) {
    const struct topic_image *topic = image_topic(decision->image, name);
    if (topic == NULL) {
        message_set(text, "Unable to find a topic named %.*s.", SLICE_PRINT(name));
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    const struct partition_image *partition = topic_partition(topic, in->partition_index);
    if (partition == NULL) {
        message_set(text, "Unable to find partition %.*s:%d.", SLICE_PRINT(name),
                    in->partition_index);
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (in->replicas_count < 0) return cancel(decision, topic, partition, text);
    return change_replicas(decision, topic, partition,
                           (struct id_list){in->replicas, in->replicas_count}, may_change_factor,
                           text);
}

enum err rule_alter_partition_reassignments(struct decision *decision, const void *request,
                                            void *response) {
    const struct alter_partition_reassignments_request *in = request;
    struct alter_partition_reassignments_response *out = response;
    decision->bounded = true;
    decision->result->atomic = true;
    out->error_message = SLICE_NULL;
    out->allow_replication_factor_change = in->allow_replication_factor_change;
    out->responses =
        alter_partition_reassignments_response_response_new(decision->arena, in->topics_count);
    out->responses_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct alter_partition_reassignments_request_topic *topic = &in->topics[i];
        struct alter_partition_reassignments_response_response *answer = &out->responses[i];
        answer->name = topic->name;
        answer->partitions = alter_partition_reassignments_response_partition_new(
            decision->arena, topic->partitions_count);
        answer->partitions_count = topic->partitions_count;
        for (int32_t j = 0; j < topic->partitions_count; j++) {
            struct message text;
            message_init(&text);
            enum err err = alter(decision, topic->name, &topic->partitions[j],
                                 in->allow_replication_factor_change, &text);
            answer->partitions[j].partition_index = topic->partitions[j].partition_index;
            answer->partitions[j].error_code =
                decision_error(decision, err, &text, &answer->partitions[j].error_message);
        }
    }
    return decision_check_size(decision);
}

// ---- ListPartitionReassignments ----

static int32_t *copy_ids(const struct decision *decision, const int32_t *ids, int32_t count) {
    int32_t *copy = arena_zalloc(decision->arena, (size_t)count, sizeof *copy);
    if (count > 0) memcpy(copy, ids, (size_t)count * sizeof *copy);
    return copy;
}

static void list_partition(const struct decision *decision, const struct partition_image *partition,
                           struct list_partition_reassignments_response_topic *out) {
    if (partition == NULL || !partition_is_reassigning(partition)) return;
    struct list_partition_reassignments_response_partition *row =
        &out->partitions[out->partitions_count++];
    row->partition_index = partition->partition;
    row->replicas = copy_ids(decision, partition->replicas, partition->replica_count);
    row->replicas_count = partition->replica_count;
    row->adding_replicas = copy_ids(decision, partition->adding_replicas, partition->adding_count);
    row->adding_replicas_count = partition->adding_count;
    row->removing_replicas =
        copy_ids(decision, partition->removing_replicas, partition->removing_count);
    row->removing_replicas_count = partition->removing_count;
}

// `partitions` NULL: all of them.
static void list_topic(const struct decision *decision, const struct topic_image *topic,
                       const int32_t *partitions, int32_t count,
                       struct list_partition_reassignments_response *out) {
    if (topic == NULL) return;
    struct list_partition_reassignments_response_topic row = {
        .name = arena_copy(decision->arena, topic->name)};
    row.partitions = list_partition_reassignments_response_partition_new(decision->arena, count);
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = partitions == NULL ? i : partitions[i];
        list_partition(decision, topic_partition(topic, partition), &row);
    }
    if (row.partitions_count > 0) out->topics[out->topics_count++] = row;
}

static bool has_reassignment(const struct topic_image *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct partition_image *partition = topic->partitions[i];
        if (partition != NULL && partition_is_reassigning(partition)) return true;
    }
    return false;
}

enum err rule_list_partition_reassignments(struct decision *decision, const void *request,
                                           void *response) {
    const struct list_partition_reassignments_request *in = request;
    struct list_partition_reassignments_response *out = response;
    out->error_message = SLICE_NULL;
    bool all = in->topics_count < 0;
    int32_t count = all ? image_topic_count(decision->image) : in->topics_count;
    out->topics = list_partition_reassignments_response_topic_new(decision->arena, count);
    if (!all) {
        for (int32_t i = 0; i < count; i++) {
            list_topic(decision, image_topic(decision->image, in->topics[i].name),
                       in->topics[i].partition_indexes, in->topics[i].partition_indexes_count, out);
        }
        return ERR_NONE;
    }
    const struct topic_image *topic = image_topic_after(decision->image, SLICE_NULL);
    for (; topic != NULL; topic = image_topic_after(decision->image, topic->name)) {
        if (has_reassignment(topic)) {
            list_topic(decision, topic, NULL, topic->partition_count, out);
        }
    }
    return ERR_NONE;
}
