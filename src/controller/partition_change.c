// The order of the steps matters and is Kafka's: complete a reassignment, say who is eligible to
// lead, elect, bump the leader epoch of a reassignment, write ELR, ISR and last known leader, write
// replicas and directories.
//
// Eligible leader replicas (ELR): when the ISR falls below min.insync.replicas, those that left it
// stay eligible, because the high watermark does not move any more: they have all that was
// acknowledged. When ISR and ELR are empty, a sole last known leader may take over.
#include "controller/partition_change.h"

#include "controller/placer.h"
#include "metadata/effective_config.h"

#define RECOVERING               1
#define RECOVERY_STATE_UNCHANGED (-1)

// ---- Facts ----

bool broker_is_active(const struct image *image, int32_t broker_id) {
    const struct broker_image *broker = image_broker(image, broker_id);
    return broker != NULL && !broker->fenced && !broker->in_controlled_shutdown;
}

bool partition_is_reassigning(const struct partition_image *partition) {
    return partition->adding_count > 0 || partition->removing_count > 0;
}

int32_t topic_min_isr(const struct decision *decision, const struct topic_image *topic) {
    int64_t min_isr = effective_topic_long(decision->image, decision->state->config, topic->name,
                                           TOPIC_MIN_INSYNC_REPLICAS);
    const struct partition_image *first = topic_partition(topic, 0);
    return first == NULL ? (int32_t)min_isr : (int32_t)MIN(min_isr, first->replica_count);
}

bool topic_elects_uncleanly(const struct decision *decision, const struct topic_image *topic) {
    return effective_topic_long(decision->image, decision->state->config, topic->name,
                                TOPIC_UNCLEAN_LEADER_ELECTION_ENABLE) != 0;
}

bool broker_has_directory(const struct broker_image *broker, struct uuid directory) {
    if (uuid_equal(directory, UUID_DIRECTORY_UNASSIGNED)) return true;
    if (uuid_equal(directory, UUID_DIRECTORY_MIGRATING)) return true;
    if (uuid_equal(directory, UUID_DIRECTORY_LOST)) return false;
    if (broker->directory_count == 0) return true;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        if (uuid_equal(broker->directories[i], directory)) return true;
    }
    return false;
}

static struct uuid directory_of(const struct partition_image *partition, int32_t broker_id) {
    for (int32_t i = 0; i < partition->replica_count; i++) {
        if (partition->replicas[i] == broker_id) return partition->directories[i];
    }
    return UUID_DIRECTORY_UNASSIGNED;
}

// Alive, and its disk too.
static bool may_lead(const struct partition_change *change, int32_t broker_id) {
    if (broker_id < 0 || broker_id == change->without_leader_broker) return false;
    if (id_list_contains(change->unclean_shutdown, broker_id)) return false;
    const struct broker_image *broker = image_broker(change->decision->image, broker_id);
    if (broker == NULL) return false;
    bool active = !broker->fenced && !broker->in_controlled_shutdown;
    if (!active && broker_id != change->with_leader_broker) return false;
    return broker_has_directory(broker, directory_of(change->partition, broker_id));
}

// ---- Steps ----

void partition_change_begin(struct partition_change *change, struct decision *decision,
                            const struct topic_image *topic,
                            const struct partition_image *partition, int32_t min_isr) {
    *change = (struct partition_change){
        .isr = {partition->isr, partition->isr_count},
        .replicas = {partition->replicas, partition->replica_count},
        .removing = {partition->removing_replicas, partition->removing_count},
        .adding = {partition->adding_replicas, partition->adding_count},
        .election = ELECTION_ONLINE,
        .recovery_state = partition->leader_recovery_state,
        .without_leader_broker = -1,
        .with_leader_broker = -1,
        .directory_broker = -1,
        .decision = decision,
        .topic = topic,
        .partition = partition,
        .min_isr = min_isr,
        .elr = {partition->elr, partition->elr_count},
    };
}

static void complete_reassignment(struct partition_change *change, struct arena *arena) {
    if (change->removing.count == 0 && change->adding.count == 0) return;
    struct id_list isr = change->isr;
    struct id_list replicas = change->replicas;
    if (change->removing.count > 0) {
        isr = id_list_without(isr, change->removing, arena);
        replicas = id_list_without(replicas, change->removing, arena);
        if (isr.count == 0 || replicas.count == 0) return;
    }
    if (!id_list_contains_all(isr, change->adding)) return;
    // A smaller replication factor: wait for all, so that the ISR does not fall below
    // min.insync.replicas.
    if (change->adding.count < change->removing.count && !id_list_contains_all(isr, replicas))
        return;
    change->isr = isr;
    change->replicas = replicas;
    change->removing = (struct id_list){NULL, 0};
    change->adding = (struct id_list){NULL, 0};
}

static void find_eligible(struct partition_change *change, struct arena *arena) {
    if (!change->decision->elr) return;
    if (change->isr.count >= change->min_isr) {
        change->elr = (struct id_list){NULL, 0};
        return;
    }
    // Those that left the ISR join the eligible ones, each once.
    struct id_list old_isr = {change->partition->isr, change->partition->isr_count};
    struct id_list left = id_list_without(old_isr, change->elr, arena);
    struct id_list eligible = id_list_joined(change->elr, left, arena);
    eligible = id_list_without(eligible, change->isr, arena);
    eligible = id_list_without(eligible, change->unclean_shutdown, arena);
    change->elr = id_list_sorted(eligible, arena);
}

static bool is_clean_leader(const struct partition_change *change, int32_t broker_id) {
    bool in_sync = id_list_contains(change->isr, broker_id) ||
                   (change->isr.count == 0 && id_list_contains(change->elr, broker_id));
    return in_sync && may_lead(change, broker_id);
}

static bool may_elect_last_known(const struct partition_change *change) {
    return change->decision->elr && change->elr.count == 0 && change->isr.count == 0 &&
           change->partition->last_known_elr_count == 1 &&
           may_lead(change, change->partition->last_known_elr[0]);
}

static int32_t elect(const struct partition_change *change, bool *unclean) {
    *unclean = false;
    struct id_list replicas = change->replicas;
    if (change->election == ELECTION_PREFERRED && replicas.count > 0 &&
        is_clean_leader(change, replicas.ids[0])) {
        return replicas.ids[0];
    }
    if (is_clean_leader(change, change->partition->leader)) return change->partition->leader;
    for (int32_t i = 0; i < replicas.count; i++) {
        if (is_clean_leader(change, replicas.ids[i])) return replicas.ids[i];
    }
    *unclean = true;
    if (may_elect_last_known(change)) return change->partition->last_known_elr[0];
    if (change->election == ELECTION_UNCLEAN) {
        for (int32_t i = 0; i < replicas.count; i++) {
            if (may_lead(change, replicas.ids[i])) return replicas.ids[i];
        }
    }
    *unclean = false;
    return PARTITION_LEADER_NONE;
}

static void set_isr(struct partition_change_record *r, struct id_list isr) {
    r->isr = (int32_t *)(uintptr_t)isr.ids;
    r->isr_count = isr.count;
}

static void try_election(struct partition_change *change, struct partition_change_record *r,
                         struct arena *arena) {
    bool unclean;
    int32_t leader = elect(change, &unclean);
    if (leader == change->partition->leader) return;
    r->leader = leader;
    if (leader >= 0 && id_list_contains(change->elr, leader)) {
        change->isr = id_list_of(leader, arena);
        change->elr = id_list_without(change->elr, change->isr, arena);
    }
    if (!unclean) return;
    set_isr(r, id_list_of(leader, arena));
    // A sole replica has nobody from whom it could recover anything.
    bool sole = change->replicas.count == 1;
    if (!sole && change->partition->leader_recovery_state != RECOVERING) {
        r->leader_recovery_state = RECOVERING;
    }
}

static void bump_for_reassignment(const struct partition_change *change,
                                  struct partition_change_record *r) {
    struct id_list old = {change->partition->replicas, change->partition->replica_count};
    if (r->leader != PARTITION_LEADER_UNCHANGED) return;
    if (!id_list_contains_all(change->replicas, old)) r->leader = change->partition->leader;
}

static void bump_for_isr_shrink(const struct partition_change *change,
                                struct partition_change_record *r) {
    if (!metadata_version_bumps_epoch_on_isr_shrink(change->decision->metadata_version)) return;
    if (r->leader != PARTITION_LEADER_UNCHANGED || r->isr_count < 0) return;
    struct id_list old = {change->partition->isr, change->partition->isr_count};
    if (!id_list_contains_all((struct id_list){r->isr, r->isr_count}, old)) {
        r->leader = change->partition->leader;
    }
}

static void write_elr(struct partition_change *change, struct partition_change_record *r) {
    // An unclean election has written the ISR: nobody is eligible any more.
    if (r->isr_count >= 0 || !change->decision->elr) change->elr = (struct id_list){NULL, 0};
    struct id_list old = {change->partition->elr, change->partition->elr_count};
    if (id_list_equal(change->elr, old)) return;
    r->eligible_leader_replicas = (int32_t *)(uintptr_t)change->elr.ids;
    r->eligible_leader_replicas_count = change->elr.count;
}

static void write_isr(const struct partition_change *change, struct partition_change_record *r) {
    struct id_list old = {change->partition->isr, change->partition->isr_count};
    if (r->isr_count >= 0 || id_list_equal(change->isr, old)) return;
    if (change->isr.count == 0 && !change->decision->elr) return;
    set_isr(r, change->isr);
}

static void write_last_known_leader(const struct partition_change *change,
                                    struct partition_change_record *r, struct arena *arena) {
    if (!change->decision->elr) return;
    if (r->leader == PARTITION_LEADER_NONE && change->partition->last_known_elr_count == 0) {
        r->last_known_elr = (int32_t *)(uintptr_t)id_list_of(change->partition->leader, arena).ids;
        r->last_known_elr_count = 1;
    } else if (r->leader >= 0 && change->partition->last_known_elr_count > 0) {
        r->last_known_elr = NULL;
        r->last_known_elr_count = 0;
    }
}

static void write_directories(const struct partition_change *change,
                              struct partition_change_record *r, struct arena *arena) {
    if (!metadata_version_has_directories(change->decision->metadata_version)) return;
    const struct partition_image *partition = change->partition;
    struct uuid *directories =
        arena_zalloc(arena, (size_t)change->replicas.count, sizeof *directories);
    struct id_list old = {partition->replicas, partition->replica_count};
    bool changed = change->replicas.count != old.count;
    for (int32_t i = 0; i < change->replicas.count; i++) {
        int32_t id = change->replicas.ids[i];
        if (id == change->directory_broker) {
            directories[i] = change->directory;
        } else if (id_list_contains(old, id)) {
            directories[i] = directory_of(partition, id);
        } else {
            directories[i] = broker_default_directory(change->decision->image, id);
        }
        if (!changed) changed = !uuid_equal(directories[i], partition->directories[i]);
    }
    if (!changed) return;
    r->directories = directories;
    r->directories_count = change->replicas.count;
}

static void write_assignment(const struct partition_change *change,
                             struct partition_change_record *r, struct arena *arena) {
    const struct partition_image *partition = change->partition;
    if (change->replicas.count > 0) {
        write_directories(change, r, arena);
        struct id_list old = {partition->replicas, partition->replica_count};
        if (!id_list_equal(change->replicas, old)) {
            r->replicas = (int32_t *)(uintptr_t)change->replicas.ids;
            r->replicas_count = change->replicas.count;
        }
    }
    struct id_list old_removing = {partition->removing_replicas, partition->removing_count};
    if (!id_list_equal(change->removing, old_removing)) {
        r->removing_replicas = (int32_t *)(uintptr_t)change->removing.ids;
        r->removing_replicas_count = change->removing.count;
    }
    struct id_list old_adding = {partition->adding_replicas, partition->adding_count};
    if (!id_list_equal(change->adding, old_adding)) {
        r->adding_replicas = (int32_t *)(uintptr_t)change->adding.ids;
        r->adding_replicas_count = change->adding.count;
    }
}

static bool changes_nothing(const struct partition_change_record *r) {
    return r->isr_count < 0 && r->eligible_leader_replicas_count < 0 &&
           r->last_known_elr_count < 0 && r->leader == PARTITION_LEADER_UNCHANGED &&
           r->replicas_count < 0 && r->removing_replicas_count < 0 &&
           r->adding_replicas_count < 0 && r->leader_recovery_state == RECOVERY_STATE_UNCHANGED &&
           r->directories_count < 0;
}

bool partition_change_finish(struct partition_change *change, struct metadata_record *record) {
    struct decision *decision = change->decision;
    struct arena *arena = decision->result->arena;
    *record = decision_record(decision, METADATA_PARTITION_CHANGE,
                              partition_change_record_version(decision->metadata_version));
    struct partition_change_record *r = record->message;
    r->topic_id = change->topic->id;
    r->partition_id = change->partition->partition;
    complete_reassignment(change, arena);
    find_eligible(change, arena);
    try_election(change, r, arena);
    bump_for_reassignment(change, r);
    write_elr(change, r);
    write_isr(change, r);
    bump_for_isr_shrink(change, r);
    write_last_known_leader(change, r, arena);
    write_assignment(change, r, arena);
    if (change->recovery_state != change->partition->leader_recovery_state) {
        r->leader_recovery_state = change->recovery_state;
    }
    return !changes_nothing(r);
}
