#include "api/marker_sender.h"

#include "api/partition_marker.h"
#include "api/scatter.h"
#include "base/memory.h"

struct sending {
    struct pending_marker *marker;
    struct uuid topic_id;
    struct partition_marker at_partition;
    struct scatter scatter;
    struct scatter_part part;
    struct arena arena;
    enum err result;
    struct env_task refused;
};

static void end(struct sending *s) {
    struct pending_marker *marker = s->marker;
    enum err result = s->result;
    scatter_part_deinit(&s->part);
    arena_deinit(&s->arena);
    memory_free(s);
    marker->done(marker, result);
}

static void gathered(struct scatter *scatter) {
    end(container_of(scatter, struct sending, scatter));
}

static void run_refused(struct env_task *task) {
    end(container_of(task, struct sending, refused));
}

static void written(struct partition_marker *marker, enum err result) {
    struct sending *s = container_of(marker, struct sending, at_partition);
    s->result = result;
    scatter_finish(&s->part);
}

static void run(struct scatter_part *part) {
    struct sending *s = container_of(part, struct sending, part);
    partition_marker_start(part->node, &s->at_partition, s->topic_id, s->marker->partition,
                           part->arena);
}

static void send(void *context, struct pending_marker *m) {
    struct node *node = context;
    const struct topic_image *topic = image_topic(node->image, m->topic);
    const struct partition_image *partition =
        topic == NULL ? NULL : topic_partition(topic, m->partition);
    struct sending *s = memory_zalloc(1, sizeof *s);
    s->marker = m;
    arena_init(&s->arena);
    scatter_part_init(&s->part);
    if (partition == NULL || partition->leader != node->identity->node_id) {
        s->result = partition == NULL ? ERR_UNKNOWN_TOPIC_OR_PARTITION : ERR_NOT_LEADER_OR_FOLLOWER;
        env_task_init(&s->refused, run_refused);
        env_defer(node->env, &s->refused);
        return;
    }
    s->topic_id = topic->id;
    s->at_partition = (struct partition_marker){.producer_id = m->producer_id,
                                                .producer_epoch = m->producer_epoch,
                                                .coordinator_epoch = m->coordinator_epoch,
                                                .commit = m->commit,
                                                .version = m->transaction_version,
                                                .done = written};
    scatter_init(&s->scatter, node, gathered);
    scatter_start(&s->scatter, &s->part, node_owner_of(node, topic->id, m->partition), &s->arena,
                  run);
    scatter_seal(&s->scatter);
}

struct transaction_sender marker_sender(struct node *node) {
    return (struct transaction_sender){.send = send, .context = node};
}
