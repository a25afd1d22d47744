#include "controller/assignment.h"

#include "controller/placer.h"

enum err assignment_check(const struct decision *decision, struct id_list replicas, int32_t factor,
                          struct message *text) {
    if (replicas.count <= 0) {
        message_set(text, "The manual partition assignment includes an empty replica list.");
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    }
    const int32_t *sorted = id_list_sorted(replicas, decision->result->arena).ids;
    for (int32_t i = 0; i < replicas.count; i++) {
        const struct broker_image *broker = image_broker(decision->image, sorted[i]);
        if (broker == NULL) {
            message_set(text,
                        "The manual partition assignment includes broker %d, but no such broker is "
                        "registered.",
                        sorted[i]);
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        if (!broker_has_uncordoned_directory(broker)) {
            message_set(text,
                        "The manual partition assignment includes broker %d, but all its log "
                        "directories are cordoned.",
                        sorted[i]);
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
        if (i > 0 && sorted[i] == sorted[i - 1]) {
            message_set(text,
                        "The manual partition assignment includes the broker %d more than once.",
                        sorted[i]);
            return ERR_INVALID_REPLICA_ASSIGNMENT;
        }
    }
    if (factor >= 0 && replicas.count != factor) {
        message_set(text,
                    "The manual partition assignment includes a partition with %d replica(s), but "
                    "this is not consistent with previous partitions, which have %d replica(s).",
                    replicas.count, factor);
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    }
    return ERR_NONE;
}

// ---- Directories ----

// How many partitions each directory of this node has, those of this decision included.
struct directory_load {
    const struct broker_image *broker;
    int64_t *partitions;  // by directory of the broker
};

static void count_partition(struct directory_load *load, const struct partition_image *partition) {
    for (int32_t i = 0; partition != NULL && i < partition->replica_count; i++) {
        if (partition->replicas[i] != load->broker->id) continue;
        for (int32_t d = 0; d < load->broker->directory_count; d++) {
            if (uuid_equal(load->broker->directories[d], partition->directories[i])) {
                load->partitions[d]++;
            }
        }
    }
}

static struct directory_load *load_of(struct decision *decision,
                                      const struct broker_image *broker) {
    if (decision->load != NULL) return decision->load;
    struct arena *arena = decision->result->arena;
    struct directory_load *load = arena_zalloc(arena, 1, sizeof *load);
    load->broker = broker;
    load->partitions = arena_zalloc(arena, (size_t)broker->directory_count, sizeof(int64_t));
    const struct topic_image *topic = image_topic_after(decision->image, SLICE_NULL);
    for (; topic != NULL; topic = image_topic_after(decision->image, topic->name)) {
        for (int32_t i = 0; i < topic->partition_count; i++) {
            count_partition(load, topic->partitions[i]);
        }
    }
    decision->load = load;
    return load;
}

// With Kafka a broker of several directories chooses and tells the controller (KIP-858). For this
// node's own broker the choice is made here, by the same rule, the directory with the fewest
// partitions: that saves a record per partition.
static struct uuid directory_for(struct decision *decision, int32_t broker_id) {
    const struct broker_image *broker = image_broker(decision->image, broker_id);
    if (broker_id != decision->state->node_id || broker == NULL || broker->directory_count < 2) {
        return broker_default_directory(decision->image, broker_id);
    }
    struct directory_load *load = load_of(decision, broker);
    int32_t best = -1;
    for (int32_t d = 0; d < broker->directory_count; d++) {
        if (uuid_is_among(broker->directories[d], broker->cordoned_directories,
                          broker->cordoned_count)) {
            continue;
        }
        if (best < 0 || load->partitions[d] < load->partitions[best]) best = d;
    }
    if (best < 0) return UUID_DIRECTORY_UNASSIGNED;
    load->partitions[best]++;
    return broker->directories[best];
}

// ---- Assignments ----

// False when no replica is active.
static bool complete(struct decision *decision, struct assignment *assignment) {
    struct arena *arena = decision->result->arena;
    int32_t count = assignment->replicas.count;
    int32_t *isr = arena_zalloc(arena, (size_t)count, sizeof *isr);
    struct uuid *directories = arena_zalloc(arena, (size_t)count, sizeof *directories);
    assignment->isr = (struct id_list){isr, 0};
    for (int32_t i = 0; i < count; i++) {
        int32_t id = assignment->replicas.ids[i];
        if (broker_is_active(decision->image, id)) isr[assignment->isr.count++] = id;
        if (metadata_version_has_directories(decision->metadata_version)) {
            directories[i] = directory_for(decision, id);
        }
    }
    assignment->directories = directories;
    return assignment->isr.count > 0;
}

enum err assignment_by_hand(struct decision *decision, struct id_list replicas, int32_t factor,
                            int32_t partition, struct assignment *assignment,
                            struct message *text) {
    enum err err = assignment_check(decision, replicas, factor, text);
    if (err != ERR_NONE) return err;
    assignment->replicas = replicas;
    if (complete(decision, assignment)) return ERR_NONE;
    message_set(text,
                "All brokers specified in the manual partition assignment for partition %d are "
                "fenced or in controlled shutdown.",
                partition);
    return ERR_INVALID_REPLICA_ASSIGNMENT;
}

enum err assignments_by_placer(struct decision *decision, int32_t count, int32_t factor,
                               struct assignment **assignments, struct message *text) {
    struct arena *arena = decision->result->arena;
    struct prng prng;
    prng_init(&prng, env_random(decision->state->env));
    struct placer *placer = placer_new(decision->image, &prng, arena);
    enum err err = placer_check(placer, factor, text);
    if (err != ERR_NONE) return err;
    *assignments = arena_zalloc(arena, (size_t)count, sizeof **assignments);
    for (int32_t i = 0; i < count; i++) {
        int32_t *replicas = arena_zalloc(arena, (size_t)factor, sizeof *replicas);
        placer_place(placer, factor, replicas);
        (*assignments)[i].replicas = (struct id_list){replicas, factor};
        if (complete(decision, &(*assignments)[i])) continue;
        message_set(text, "All brokers are currently fenced or in controlled shutdown.");
        return ERR_INVALID_REPLICATION_FACTOR;
    }
    return ERR_NONE;
}

struct metadata_record assignment_record(const struct decision *decision, struct uuid topic_id,
                                         int32_t partition, const struct assignment *assignment) {
    struct partition_image view = {
        .partition = partition,
        .leader = assignment->isr.ids[0],
        .replicas = assignment->replicas.ids,
        .replica_count = assignment->replicas.count,
        .isr = assignment->isr.ids,
        .isr_count = assignment->isr.count,
        .directories = assignment->directories,
    };
    return partition_record_of(&view, topic_id, decision->metadata_version,
                               decision->result->arena);
}
