#include "api/partition_marker.h"

#include "api/partition_access.h"

static void written(struct marker_write *write, enum err result) {
    struct partition_marker *marker = container_of(write, struct partition_marker, write);
    marker->done(marker, result);
}

static void offsets_written(struct group_marker *offsets, enum err result) {
    struct partition_marker *marker = container_of(offsets, struct partition_marker, offsets);
    marker->done(marker, result);
}

static void run_refused(struct env_task *task) {
    struct partition_marker *marker = container_of(task, struct partition_marker, refused);
    marker->done(marker, marker->error);
}

static enum err append(struct node *node, struct partition_marker *m, struct partition *partition,
                       struct arena *arena) {
    m->write = (struct marker_write){.producer_id = m->producer_id,
                                     .producer_epoch = m->producer_epoch,
                                     .coordinator_epoch = m->coordinator_epoch,
                                     .commit = m->commit,
                                     .version = m->version,
                                     .done = written};
    return marker_write_start(&m->write, partition, env_wall_ms(node->env), arena);
}

void partition_marker_start(struct node *node, struct partition_marker *m, struct uuid topic_id,
                            int32_t index, struct arena *arena) {
    struct partition *partition;
    m->error = partition_access(node, topic_id, index, -1, &partition);
    bool is_offsets = m->error == ERR_NONE && node->groups != NULL &&
                      slice_equal_cstring(partition->topic->name, GROUP_TOPIC);
    if (is_offsets && !env_mutant(node->env, MUTANT_TXN_FORGET_OFFSET_MARKER)) {
        m->offsets = (struct group_marker){.partition = index,
                                           .producer_id = m->producer_id,
                                           .producer_epoch = m->producer_epoch,
                                           .coordinator_epoch = m->coordinator_epoch,
                                           .commit = m->commit,
                                           .version = m->version,
                                           .done = offsets_written};
        group_marker_start(node->groups, &m->offsets);
        return;
    }
    if (m->error == ERR_NONE && !is_offsets) m->error = append(node, m, partition, arena);
    if (m->error == ERR_NONE && !is_offsets) return;
    env_task_init(&m->refused, run_refused);
    env_defer(node->env, &m->refused);
}
