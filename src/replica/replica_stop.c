// A clean stop: requests that wait are told, every log is flushed and closed, the last offsets are
// handed in for the checkpoints, and only then the logs are freed. A log that has operations in
// flight is asked again a millisecond later.
#include "base/memory.h"
#include "replica/manager_state.h"

#define RETRY_NS 1000000

struct closing {
    struct log_close_op op;
    struct partition *partition;
};

static bool free_idle_logs(struct replica_manager *manager) {
    bool is_busy = false;
    list_for_each_safe(link, &manager->partitions) {
        struct partition *partition = container_of(link, struct partition, link);
        if (partition->log == NULL) continue;
        if (log_is_busy(partition->log)) {
            is_busy = true;
            continue;
        }
        log_free(partition->log);
        partition->log = NULL;
        partition->state = PARTITION_OFFLINE;
    }
    return !is_busy;
}

static void stop_finish(struct env_task *task) {
    struct replica_stop *stop = container_of(task, struct replica_stop, task);
    stop->done(stop);
}

// All closes are done. The retired timer is free for this: whoever was retired is freed here too.
static void finish_when_idle(struct env_timer *timer) {
    struct replica_manager *manager = container_of(timer, struct replica_manager, retired_timer);
    bool is_idle = free_idle_logs(manager);
    is_idle &= log_deletions_cancel(&manager->deletions);
    is_idle &= partition_retired_finish(manager);
    if (!is_idle) {
        env_timer_start(manager->env, timer, env_now_ns(manager->env) + RETRY_NS);
        return;
    }
    env_defer(manager->env, &manager->stop->task);
}

static void part_done(struct replica_manager *manager) {
    if (--manager->stop->outstanding > 0) return;
    replica_hand_in_offsets(manager, (1u << OFFSET_CHECKPOINT_COUNT) - 1);
    env_timer_stop(manager->env, &manager->retired_timer);
    env_timer_init(&manager->retired_timer, finish_when_idle);
    finish_when_idle(&manager->retired_timer);
}

static void log_close_done(struct log_close_op *op, enum err result) {
    struct closing *closing = container_of(op, struct closing, op);
    struct partition *partition = closing->partition;
    struct replica_manager *manager = partition->manager;
    memory_free(closing);
    if (result != ERR_NONE) {
        log_warn(env_logger(manager->env), "replica", "%.*s-%d was not closed cleanly: %s",
                 SLICE_PRINT(partition->topic->name), partition->index, err_text(result));
        partition->state = PARTITION_OFFLINE;
        replica_directory_failed(manager, partition->directory, result);
    }
    part_done(manager);
}

void replica_close_partition(struct partition *partition) {
    struct replica_manager *manager = partition->manager;
    partition->leads = false;
    partition_fail_waiters(partition, ERR_NOT_LEADER_OR_FOLLOWER);
    if (partition->state != PARTITION_ONLINE) return;
    struct closing *closing = memory_zalloc(1, sizeof *closing);
    closing->partition = partition;
    closing->op.done = log_close_done;
    manager->stop->outstanding++;
    log_close_start(partition->log, &closing->op);
}

void replica_manager_stop(struct replica_manager *manager, struct replica_stop *stop) {
    env_task_init(&stop->task, stop_finish);
    stop->outstanding = 1;  // this call itself
    manager->stop = stop;
    replica_timers_stop(manager);
    list_for_each_safe(link, &manager->partitions) {
        struct partition *partition = container_of(link, struct partition, link);
        // One that is opening is closed when the job comes back.
        if (partition->state == PARTITION_OPENING)
            stop->outstanding++;
        else
            replica_close_partition(partition);
    }
    part_done(manager);
}

void replica_stop_opened(struct partition *partition) {
    struct replica_manager *manager = partition->manager;
    replica_close_partition(partition);
    part_done(manager);
}
