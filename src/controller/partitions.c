// CreatePartitions, AlterPartition, AssignReplicasToDirs.
#include "controller/assignment.h"
#include "controller/leadership.h"
#include "controller/partition_change.h"
#include "controller/repeats.h"

// ---- CreatePartitions ----

static enum err check_total(const struct decision *decision,
                            const struct create_partitions_request *in,
                            const enum repeat *repeats) {
    int64_t total = 0;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct topic_image *topic = image_topic(decision->image, in->topics[i].name);
        if (topic == NULL || repeats[i] != REPEAT_NONE) continue;
        total += MAX(0, (int64_t)in->topics[i].count - topic->partition_count);
        if (total > RECORDS_PER_OPERATION_MAX) {
            message_set(decision->error,
                        "Excessively large number of additional partitions per request.");
            return ERR_POLICY_VIOLATION;
        }
    }
    return ERR_NONE;
}

static enum err assign_by_hand(struct decision *decision,
                               const struct create_partitions_request_topic *topic, int32_t factor,
                               int32_t first, struct assignment *assignments,
                               struct message *text) {
    for (int32_t i = 0; i < topic->assignments_count; i++) {
        struct id_list replicas = {topic->assignments[i].broker_ids,
                                   topic->assignments[i].broker_ids_count};
        enum err err =
            assignment_by_hand(decision, replicas, factor, first + i, &assignments[i], text);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static enum err create_partitions(struct decision *decision,
                                  const struct create_partitions_request_topic *in,
                                  struct message *text) {
    const struct topic_image *topic = image_topic(decision->image, in->name);
    if (topic == NULL) return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    int32_t there = topic->partition_count;
    if (in->count == there) {
        message_set(text, "Topic already has %d partition(s).", there);
        return ERR_INVALID_PARTITIONS;
    }
    if (in->count < there) {
        message_set(text,
                    "The topic %.*s currently has %d partition(s); %d would not be an increase.",
                    SLICE_PRINT(in->name), there, in->count);
        return ERR_INVALID_PARTITIONS;
    }
    int32_t additional = in->count - there;
    if (in->assignments_count >= 0 && in->assignments_count != additional) {
        message_set(text,
                    "Attempted to add %d additional partition(s), but only %d assignment(s) were "
                    "specified.",
                    additional, in->assignments_count);
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    }
    const struct partition_image *sample = topic_partition(topic, 0);
    int32_t factor = sample == NULL ? 1 : sample->replica_count;
    struct assignment *assignments;
    enum err err;
    if (in->assignments_count >= 0) {
        assignments =
            arena_zalloc(decision->result->arena, (size_t)additional, sizeof *assignments);
        err = assign_by_hand(decision, in, factor, there, assignments, text);
    } else {
        err = assignments_by_placer(decision, additional, factor, &assignments, text);
    }
    if (err != ERR_NONE) return err;
    for (int32_t i = 0; i < additional; i++) {
        struct metadata_record record =
            assignment_record(decision, topic->id, there + i, &assignments[i]);
        decision_add(decision, &record);
    }
    return ERR_NONE;
}

enum err rule_create_partitions(struct decision *decision, const void *request, void *response) {
    const struct create_partitions_request *in = request;
    struct create_partitions_response *out = response;
    struct arena *arena = decision->result->arena;
    struct slice *names = arena_zalloc(arena, (size_t)in->topics_count, sizeof *names);
    for (int32_t i = 0; i < in->topics_count; i++)
        names[i] = in->topics[i].name;
    const enum repeat *repeats =
        repeats_find(names, in->topics_count, env_random(decision->state->env), arena);
    enum err err = check_total(decision, in, repeats);
    if (err != ERR_NONE) return err;
    decision->bounded = true;
    decision->result->atomic = true;
    out->results = create_partitions_response_result_new(decision->arena, in->topics_count);
    for (int32_t i = 0; i < in->topics_count; i++) {
        if (repeats[i] == REPEAT_LATER) continue;
        struct create_partitions_response_result *row = &out->results[out->results_count++];
        struct message text;
        message_init(&text);
        int32_t records = decision->result->count;
        if (repeats[i] == REPEAT_FIRST) {
            err = ERR_INVALID_REQUEST;
            message_set(&text, "Duplicate topic name.");
        } else {
            err = create_partitions(decision, &in->topics[i], &text);
        }
        if (err != ERR_NONE) decision_truncate(decision, records);
        row->name = in->topics[i].name;
        row->error_code = decision_error(decision, err, &text, &row->error_message);
    }
    err = decision_check_size(decision);
    if (in->validate_only) decision_truncate(decision, 0);
    return err;
}

// ---- AlterPartition ----

struct proposal {
    struct id_list isr;
    const int64_t *epochs;  // of the brokers in `isr`; -1: not known
    int8_t recovery_state;
};

static struct proposal proposal_of(const struct decision *decision,
                                   const struct alter_partition_request_partition *in) {
    struct arena *arena = decision->result->arena;
    bool has_epochs = decision->api_version >= 3;
    int32_t count = MAX(has_epochs ? in->new_isr_with_epochs_count : in->new_isr_count, 0);
    int32_t *ids = arena_zalloc(arena, (size_t)count, sizeof *ids);
    int64_t *epochs = arena_zalloc(arena, (size_t)count, sizeof *epochs);
    for (int32_t i = 0; i < count; i++) {
        ids[i] = has_epochs ? in->new_isr_with_epochs[i].broker_id : in->new_isr[i];
        epochs[i] = has_epochs ? in->new_isr_with_epochs[i].broker_epoch : -1;
    }
    return (struct proposal){{ids, count}, epochs, in->leader_recovery_state};
}

static bool is_valid_isr(const struct partition_image *partition, struct id_list isr) {
    struct id_list replicas = {partition->replicas, partition->replica_count};
    for (int32_t i = 0; i < isr.count; i++) {
        if (!id_list_contains(replicas, isr.ids[i])) return false;
        if (id_list_contains((struct id_list){isr.ids, i}, isr.ids[i])) return false;
    }
    return true;
}

static enum err check_proposal(const struct decision *decision, int32_t broker_id,
                               const struct partition_image *partition,
                               const struct alter_partition_request_partition *in,
                               const struct proposal *proposal) {
    if (partition == NULL) return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    // The broker knows more than this controller.
    if (in->leader_epoch > partition->leader_epoch) return ERR_NOT_CONTROLLER;
    if (in->partition_epoch > partition->partition_epoch) return ERR_NOT_CONTROLLER;
    if (in->leader_epoch < partition->leader_epoch) return ERR_FENCED_LEADER_EPOCH;
    if (broker_id != partition->leader) return ERR_INVALID_REQUEST;
    if (in->partition_epoch < partition->partition_epoch) return ERR_INVALID_UPDATE_VERSION;
    if (!is_valid_isr(partition, proposal->isr)) return ERR_INVALID_REQUEST;
    if (!id_list_contains(proposal->isr, partition->leader)) return ERR_INVALID_REQUEST;
    if (proposal->recovery_state < 0 || proposal->recovery_state > 1) return ERR_INVALID_REQUEST;
    if (proposal->recovery_state == 1 && proposal->isr.count > 1) return ERR_INVALID_REQUEST;
    if (proposal->recovery_state == 1 && partition->leader_recovery_state == 0) {
        return ERR_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < proposal->isr.count; i++) {
        const struct broker_image *broker = image_broker(decision->image, proposal->isr.ids[i]);
        if (!broker_is_active(decision->image, proposal->isr.ids[i])) return ERR_INELIGIBLE_REPLICA;
        if (proposal->epochs[i] != -1 && proposal->epochs[i] != broker->epoch) {
            return ERR_INELIGIBLE_REPLICA;
        }
    }
    return ERR_NONE;
}

static enum err alter_partition(struct decision *decision, int32_t broker_id,
                                const struct topic_image *topic,
                                const struct alter_partition_request_partition *in,
                                struct alter_partition_response_partition *row) {
    const struct partition_image *partition = topic_partition(topic, in->partition_index);
    struct proposal proposal = proposal_of(decision, in);
    enum err err = check_proposal(decision, broker_id, partition, in, &proposal);
    if (err != ERR_NONE) return err;
    struct partition_change change;
    partition_change_begin(&change, decision, topic, partition, topic_min_isr(decision, topic));
    if (topic_elects_uncleanly(decision, topic)) change.election = ELECTION_UNCLEAN;
    change.isr = proposal.isr;
    change.recovery_state = proposal.recovery_state;
    struct partition_image after = *partition;
    struct metadata_record record;
    if (partition_change_finish(&change, &record)) {
        decision_add(decision, &record);
        const struct partition_change_record *r = record.message;
        int32_t directory_count = after.replica_count;
        partition_merge(&after, &directory_count, r);
        if (r->leader != PARTITION_LEADER_UNCHANGED && r->leader != broker_id) {
            return ERR_NEW_LEADER_ELECTED;
        }
    }
    row->leader_id = after.leader;
    row->leader_epoch = after.leader_epoch;
    row->leader_recovery_state = after.leader_recovery_state;
    row->partition_epoch = after.partition_epoch;
    row->isr = arena_zalloc(decision->arena, (size_t)after.isr_count, sizeof *row->isr);
    row->isr_count = after.isr_count;
    if (after.isr_count > 0)
        memcpy(row->isr, after.isr, (size_t)after.isr_count * sizeof *row->isr);
    return ERR_NONE;
}

enum err rule_alter_partition(struct decision *decision, const void *request, void *response) {
    const struct alter_partition_request *in = request;
    struct alter_partition_response *out = response;
    enum err err = decision_check_broker_epoch(decision, in->broker_id, in->broker_epoch);
    if (err != ERR_NONE) return err;
    out->topics = alter_partition_response_topic_new(decision->arena, in->topics_count);
    out->topics_count = in->topics_count;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct alter_partition_request_topic *asked = &in->topics[i];
        struct alter_partition_response_topic *answer = &out->topics[i];
        const struct topic_image *topic = image_topic_by_id(decision->image, asked->topic_id);
        answer->topic_id = asked->topic_id;
        answer->partitions =
            alter_partition_response_partition_new(decision->arena, asked->partitions_count);
        answer->partitions_count = asked->partitions_count;
        for (int32_t j = 0; j < asked->partitions_count; j++) {
            struct alter_partition_response_partition *row = &answer->partitions[j];
            row->partition_index = asked->partitions[j].partition_index;
            err = topic == NULL
                      ? ERR_UNKNOWN_TOPIC_ID
                      : alter_partition(decision, in->broker_id, topic, &asked->partitions[j], row);
            row->error_code = err_wire(err);
        }
    }
    return ERR_NONE;
}

// ---- AssignReplicasToDirs ----

// A replica that is put into a directory that is not online leaves the ISR.
static enum err assign_directory(struct decision *decision, int32_t broker_id,
                                 struct uuid directory, const struct topic_image *topic,
                                 int32_t partition_id) {
    if (topic == NULL) return ERR_UNKNOWN_TOPIC_ID;
    const struct partition_image *partition = topic_partition(topic, partition_id);
    if (partition == NULL) return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!id_list_contains((struct id_list){partition->replicas, partition->replica_count},
                          broker_id)) {
        return ERR_NOT_LEADER_OR_FOLLOWER;
    }
    struct partition_change change;
    partition_change_begin(&change, decision, topic, partition, topic_min_isr(decision, topic));
    change.directory_broker = broker_id;
    change.directory = directory;
    if (!broker_has_directory(image_broker(decision->image, broker_id), directory)) {
        struct arena *arena = decision->result->arena;
        change.isr = id_list_without(change.isr, id_list_of(broker_id, arena), arena);
        change.without_leader_broker = broker_id;
    }
    struct metadata_record record;
    if (partition_change_finish(&change, &record)) decision_add(decision, &record);
    return ERR_NONE;
}

enum err rule_assign_replicas_to_dirs(struct decision *decision, const void *request,
                                      void *response) {
    const struct assign_replicas_to_dirs_request *in = request;
    struct assign_replicas_to_dirs_response *out = response;
    if (!metadata_version_has_directories(decision->metadata_version)) {
        message_set(decision->error, "Directory assignment is not supported yet.");
        return ERR_UNSUPPORTED_VERSION;
    }
    enum err err = decision_check_broker_epoch(decision, in->broker_id, in->broker_epoch);
    if (err != ERR_NONE) return err;
    struct arena *arena = decision->arena;
    out->directories = assign_replicas_to_dirs_response_directory_new(arena, in->directories_count);
    out->directories_count = in->directories_count;
    for (int32_t i = 0; i < in->directories_count; i++) {
        const struct assign_replicas_to_dirs_request_directory *directory = &in->directories[i];
        out->directories[i].id = directory->id;
        out->directories[i].topics =
            assign_replicas_to_dirs_response_topic_new(arena, directory->topics_count);
        out->directories[i].topics_count = directory->topics_count;
        for (int32_t j = 0; j < directory->topics_count; j++) {
            const struct assign_replicas_to_dirs_request_topic *asked = &directory->topics[j];
            struct assign_replicas_to_dirs_response_topic *answer = &out->directories[i].topics[j];
            const struct topic_image *topic = image_topic_by_id(decision->image, asked->topic_id);
            answer->topic_id = asked->topic_id;
            answer->partitions =
                assign_replicas_to_dirs_response_partition_new(arena, asked->partitions_count);
            answer->partitions_count = asked->partitions_count;
            for (int32_t k = 0; k < asked->partitions_count; k++) {
                int32_t index = asked->partitions[k].partition_index;
                err = assign_directory(decision, in->broker_id, directory->id, topic, index);
                answer->partitions[k].partition_index = index;
                answer->partitions[k].error_code = err_wire(err);
            }
        }
    }
    return ERR_NONE;
}
