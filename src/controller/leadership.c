#include "controller/leadership.h"

#include "controller/partition_change.h"

// Which partitions to look at, and what to assume of a broker meanwhile.
struct selection {
    int32_t remove;                  // leaves every ISR; -1: nobody
    int32_t add;                     // may lead though still fenced; -1: nobody
    int32_t unclean;                 // leaves every ISR and lost what was not synced; -1: nobody
    bool in_isr;                     // partitions with the broker in the ISR …
    bool in_elr;                     // … or among the eligible leaders
    bool leaderless;                 // partitions without a leader
    bool keep_own;                   // leave alone what only this node has
    const struct uuid *directories;  // only partitions of the broker in these; NULL: all
    int32_t directory_count;
};

static int32_t broker_of(const struct selection *s) {
    return s->remove >= 0 ? s->remove : s->unclean >= 0 ? s->unclean : s->add;
}

static bool list_has(const int32_t *ids, int32_t count, int32_t id) {
    return id_list_contains((struct id_list){ids, count}, id);
}

static bool is_in_directories(const struct selection *s, const struct partition_image *partition,
                              int32_t broker_id) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i] != broker_id) continue;
        return uuid_is_among(partition->directories[i], s->directories, s->directory_count);
    }
    return false;
}

static bool is_own(const struct decision *decision, const struct partition_image *partition) {
    return partition->replica_count == 1 && partition->replicas[0] == decision->state->node_id &&
           partition->leader == decision->state->node_id && !partition_is_reassigning(partition);
}

static bool is_selected(const struct decision *decision, const struct selection *s,
                        const struct partition_image *partition) {
    int32_t broker = broker_of(s);
    if (s->directories != NULL) return is_in_directories(s, partition, broker);
    if (s->keep_own && is_own(decision, partition)) return false;
    if (s->leaderless && partition->leader == PARTITION_LEADER_NONE) return true;
    if (s->in_isr && list_has(partition->isr, partition->isr_count, broker)) return true;
    return s->in_elr && list_has(partition->elr, partition->elr_count, broker);
}

static void update_partition(struct decision *decision, const struct selection *s,
                             const struct topic_image *topic,
                             const struct partition_image *partition, int32_t min_isr,
                             bool unclean_election) {
    struct partition_change change;
    partition_change_begin(&change, decision, topic, partition, min_isr);
    if (unclean_election) change.election = ELECTION_UNCLEAN;
    int32_t *leaving = arena_zalloc(decision->result->arena, 2, sizeof *leaving);
    leaving[0] = s->remove;
    leaving[1] = s->unclean;
    change.isr = id_list_without(change.isr, (struct id_list){leaving, 2}, decision->result->arena);
    change.without_leader_broker = s->remove;
    change.with_leader_broker = s->add;
    if (s->unclean >= 0) change.unclean_shutdown = (struct id_list){leaving + 1, 1};
    struct metadata_record record;
    if (partition_change_finish(&change, &record)) decision_add(decision, &record);
}

static void update_partitions(struct decision *decision, const struct selection *s) {
    const struct topic_image *topic = image_topic_after(decision->image, SLICE_NULL);
    for (; topic != NULL; topic = image_topic_after(decision->image, topic->name)) {
        int32_t min_isr = -1;  // found when the topic has a partition that is touched
        bool unclean_election = false;
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct partition_image *partition = topic->partitions[i];
            if (partition == NULL || !is_selected(decision, s, partition)) continue;
            if (min_isr < 0) {
                min_isr = topic_min_isr(decision, topic);
                unclean_election = topic_elects_uncleanly(decision, topic);
            }
            update_partition(decision, s, topic, partition, min_isr, unclean_election);
        }
    }
}

// ---- The broker's own records ----

static void change_registration(struct decision *decision, const struct broker_image *broker,
                                int8_t fenced, bool in_controlled_shutdown) {
    struct metadata_record record = decision_record(decision, METADATA_BROKER_REGISTRATION_CHANGE,
                                                    in_controlled_shutdown ? 1 : 0);
    struct broker_registration_change_record *r = record.message;
    r->broker_id = broker->id;
    r->broker_epoch = broker->epoch;
    r->fenced = fenced;
    r->in_controlled_shutdown = in_controlled_shutdown ? 1 : 0;
    decision_add(decision, &record);
}

void decide_fenced(struct decision *decision, const struct broker_image *broker) {
    bool own = broker->id == decision->state->node_id;
    update_partitions(
        decision,
        &(struct selection){
            .remove = broker->id, .add = -1, .unclean = -1, .in_isr = true, .keep_own = own});
    change_registration(decision, broker, 1, false);
}

void decide_unfenced(struct decision *decision, const struct broker_image *broker) {
    change_registration(decision, broker, -1, false);
    update_partitions(
        decision,
        &(struct selection){.remove = -1, .add = broker->id, .unclean = -1, .leaderless = true});
}

void decide_controlled_shutdown(struct decision *decision, const struct broker_image *broker) {
    if (!broker->in_controlled_shutdown) change_registration(decision, broker, 0, true);
    bool own = broker->id == decision->state->node_id;
    update_partitions(
        decision,
        &(struct selection){
            .remove = broker->id, .add = -1, .unclean = -1, .in_isr = true, .keep_own = own});
}

void decide_gone(struct decision *decision, int32_t broker_id) {
    struct selection s = {.remove = broker_id, .add = -1, .unclean = -1, .in_isr = true};
    update_partitions(decision, &s);
    s.in_isr = false;
    s.in_elr = true;
    update_partitions(decision, &s);
}

void decide_directories_offline(struct decision *decision, int32_t broker_id,
                                const struct uuid *directories, int32_t directory_count) {
    update_partitions(decision, &(struct selection){.remove = broker_id,
                                                    .add = -1,
                                                    .unclean = -1,
                                                    .directories = directories,
                                                    .directory_count = directory_count});
}

// ---- Restart ----

// The partitions that only this node has: still led if their directory is there. After an unclean
// stop the tail of the log may be gone, so a new leader epoch begins.
static void restart_own(struct decision *decision, bool clean, const struct uuid *directories,
                        int32_t directory_count) {
    const struct topic_image *topic = image_topic_after(decision->image, SLICE_NULL);
    for (; topic != NULL; topic = image_topic_after(decision->image, topic->name)) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct partition_image *partition = topic->partitions[i];
            if (partition == NULL || !is_own(decision, partition)) continue;
            struct uuid directory = partition->directories[0];
            bool is_here = uuid_is_reserved(directory) ||
                           uuid_is_among(directory, directories, directory_count);
            if (!is_here) {
                update_partition(
                    decision,
                    &(struct selection){.remove = partition->leader, .add = -1, .unclean = -1},
                    topic, partition, topic_min_isr(decision, topic), false);
                continue;
            }
            if (clean) continue;
            struct metadata_record record =
                decision_record(decision, METADATA_PARTITION_CHANGE,
                                partition_change_record_version(decision->metadata_version));
            struct partition_change_record *r = record.message;
            r->topic_id = topic->id;
            r->partition_id = partition->partition;
            r->leader = partition->leader;
            decision_add(decision, &record);
        }
    }
}

void decide_restarted(struct decision *decision, int32_t broker_id, bool clean,
                      const struct uuid *directories, int32_t directory_count) {
    bool own = broker_id == decision->state->node_id;
    struct selection s = {
        .remove = broker_id, .add = -1, .unclean = -1, .in_isr = true, .keep_own = own};
    if (decision->elr && !clean) {
        s.remove = -1;
        s.unclean = broker_id;
    }
    update_partitions(decision, &s);
    // Eligible leaders lose their eligibility with what they had not synced, but the sole replica
    // of a partition is all that there is.
    if (s.unclean >= 0 && !own) {
        s.in_isr = false;
        s.in_elr = true;
        update_partitions(decision, &s);
    }
    if (own) restart_own(decision, clean, directories, directory_count);
}

bool leads_movable_partitions(const struct decision *decision, int32_t broker_id) {
    const struct topic_image *topic = image_topic_after(decision->image, SLICE_NULL);
    for (; topic != NULL; topic = image_topic_after(decision->image, topic->name)) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            const struct partition_image *partition = topic->partitions[i];
            if (partition == NULL || partition->leader != broker_id) continue;
            if (broker_id != decision->state->node_id || !is_own(decision, partition)) return true;
        }
    }
    return false;
}

// ---- ElectLeaders ----

static enum err elect_leader(struct decision *decision, struct slice name, int32_t partition_id,
                             enum election election, struct message *text) {
    const struct topic_image *topic = image_topic(decision->image, name);
    if (topic == NULL) {
        message_set(text, "No such topic as %.*s", SLICE_PRINT(name));
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    const struct partition_image *partition = topic_partition(topic, partition_id);
    if (partition == NULL) {
        message_set(text, "No such partition as %.*s-%d", SLICE_PRINT(name), partition_id);
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    bool has_preferred =
        partition->replica_count > 0 && partition->leader == partition->replicas[0];
    bool needed = election == ELECTION_PREFERRED ? !has_preferred : partition->leader < 0;
    enum err err = ERR_ELECTION_NOT_NEEDED;
    if (needed) {
        struct partition_change change;
        partition_change_begin(&change, decision, topic, partition, topic_min_isr(decision, topic));
        change.election = election;
        struct metadata_record record;
        if (partition_change_finish(&change, &record)) {
            decision_add(decision, &record);
            return ERR_NONE;
        }
        err = election == ELECTION_PREFERRED ? ERR_PREFERRED_LEADER_NOT_AVAILABLE
                                             : ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    }
    message_set(text, "%s", err_text(err));
    return err;
}

static void elect_in_topic(struct decision *decision, struct slice name, const int32_t *partitions,
                           int32_t count, enum election election, bool skip_not_needed,
                           struct elect_leaders_response_replica_election_result *result) {
    result->topic = arena_copy(decision->arena, name);
    result->partition_result = elect_leaders_response_partition_result_new(decision->arena, count);
    result->partition_result_count = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = partitions == NULL ? i : partitions[i];
        struct message text;
        message_init(&text);
        enum err err = elect_leader(decision, name, partition, election, &text);
        if (skip_not_needed && err == ERR_ELECTION_NOT_NEEDED) continue;
        struct elect_leaders_response_partition_result *row =
            &result->partition_result[result->partition_result_count++];
        row->partition_id = partition;
        row->error_code = decision_error(decision, err, &text, &row->error_message);
    }
}

enum err rule_elect_leaders(struct decision *decision, const void *request, void *response) {
    const struct elect_leaders_request *in = request;
    struct elect_leaders_response *out = response;
    if (in->election_type != 0 && in->election_type != 1) {
        message_set(decision->error, "Unknown election type %d", in->election_type);
        return ERR_INVALID_REQUEST;
    }
    decision->bounded = true;
    enum election election = in->election_type == 0 ? ELECTION_PREFERRED : ELECTION_UNCLEAN;
    bool all = in->topic_partitions_count < 0;
    int32_t count = all ? image_topic_count(decision->image) : in->topic_partitions_count;
    out->replica_election_results =
        elect_leaders_response_replica_election_result_new(decision->arena, count);
    out->replica_election_results_count = count;
    const struct topic_image *topic = NULL;
    for (int32_t i = 0; i < count; i++) {
        struct elect_leaders_response_replica_election_result *result =
            &out->replica_election_results[i];
        if (all) {
            topic = image_topic_after(decision->image, topic == NULL ? SLICE_NULL : topic->name);
            elect_in_topic(decision, topic->name, NULL, topic->partition_count, election, true,
                           result);
        } else {
            elect_in_topic(decision, in->topic_partitions[i].topic,
                           in->topic_partitions[i].partitions,
                           in->topic_partitions[i].partitions_count, election, false, result);
        }
    }
    return ERR_NONE;
}
