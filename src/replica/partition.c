#include "replica/partition.h"

#include "base/assert.h"
#include "base/memory.h"
#include "replica/manager_state.h"

static void log_moved(struct log_listener *listener) {
    struct partition *partition = container_of(listener, struct partition, listener);
    partition_advance(partition);
}

static void log_failed(struct log_listener *listener, enum err error);

struct partition *partition_new(struct replica_manager *manager, struct replica_topic *topic,
                                int32_t index) {
    struct partition *partition = memory_zalloc(1, sizeof *partition);
    list_init(&partition->link);
    list_init(&partition->produce_waiters);
    list_init(&partition->fetch_waiters);
    partition->manager = manager;
    partition->topic = topic;
    partition->index = index;
    partition->directory = -1;
    partition->state = PARTITION_OPENING;
    partition->leader_epoch = -1;
    partition->listener = (struct log_listener){.moved = log_moved, .failed = log_failed};
    return partition;
}

void partition_free(struct partition *partition) {
    assert(list_is_empty(&partition->produce_waiters));
    assert(list_is_empty(&partition->fetch_waiters));
    list_remove(&partition->link);
    memory_free(partition);
}

bool partition_is_leader(const struct partition *partition) {
    return partition->state == PARTITION_ONLINE && partition->leads;
}

enum err partition_check_leader(const struct partition *partition, int32_t current_leader_epoch) {
    if (partition->state == PARTITION_OFFLINE) return ERR_KAFKA_STORAGE_ERROR;
    if (current_leader_epoch >= 0) {
        if (current_leader_epoch < partition->leader_epoch) return ERR_FENCED_LEADER_EPOCH;
        if (current_leader_epoch > partition->leader_epoch) return ERR_UNKNOWN_LEADER_EPOCH;
    }
    return partition_is_leader(partition) ? ERR_NONE : ERR_NOT_LEADER_OR_FOLLOWER;
}

int32_t partition_min_isr(const struct partition *partition) {
    return MIN(partition->topic->min_insync_replicas, partition->replica_count);
}

int64_t partition_last_stable_offset(const struct partition *partition) {
    return log_last_stable_offset(partition->log, partition->high_watermark);
}

// ---- Waiting ----

bool partition_wait_produce(struct partition *partition, struct produce_waiter *waiter) {
    list_init(&waiter->link);
    if (waiter->required <= partition->high_watermark) return true;
    // Appends come in order of offset, so the place is nearly always the end.
    struct list *before = partition->produce_waiters.previous;
    while (before != &partition->produce_waiters &&
           container_of(before, struct produce_waiter, link)->required > waiter->required) {
        before = before->previous;
    }
    list_prepend(before, &waiter->link);
    return false;
}

static void serve_produces(struct partition *partition) {
    while (!list_is_empty(&partition->produce_waiters)) {
        struct produce_waiter *waiter =
            container_of(partition->produce_waiters.next, struct produce_waiter, link);
        if (waiter->required > partition->high_watermark) break;
        list_remove(&waiter->link);
        waiter->done(waiter, ERR_NONE);
    }
}

// Each waiter that is here now is woken once; one that waits again meanwhile stays for the next
// time.
static void wake_fetches(struct partition *partition) {
    if (list_is_empty(&partition->fetch_waiters)) return;
    struct list woken;
    list_append(&partition->fetch_waiters, &woken);
    list_remove(&partition->fetch_waiters);
    struct list *link;
    while ((link = list_pop(&woken)) != NULL) {
        struct fetch_waiter *waiter = container_of(link, struct fetch_waiter, link);
        waiter->wake(waiter);
    }
}

void partition_advance(struct partition *partition) {
    if (partition->state != PARTITION_ONLINE) return;
    // The only replica is the whole in-sync set.
    int64_t durable = log_end_durable(partition->log);
    if (partition->leads && durable > partition->high_watermark) {
        partition->high_watermark = durable;
    }
    replica_offsets_moved(partition->manager);
    serve_produces(partition);
    wake_fetches(partition);
}

void partition_fail_waiters(struct partition *partition, enum err error) {
    struct list *link;
    while ((link = list_pop(&partition->produce_waiters)) != NULL) {
        struct produce_waiter *waiter = container_of(link, struct produce_waiter, link);
        waiter->done(waiter, error);
    }
    wake_fetches(partition);
}

static void log_failed(struct log_listener *listener, enum err error) {
    struct partition *partition = container_of(listener, struct partition, listener);
    if (partition->state == PARTITION_OFFLINE) return;
    partition->state = PARTITION_OFFLINE;
    partition_fail_waiters(partition, ERR_KAFKA_STORAGE_ERROR);
    replica_directory_failed(partition->manager, partition->directory, error);
}

// ---- Changes ----

void partition_set_log(struct partition *partition, struct log *log, int64_t high_watermark) {
    partition->log = log;
    partition->state = PARTITION_ONLINE;
    partition->high_watermark =
        MIN(MAX(high_watermark, log_start_offset(log)), log_end_durable(log));
    log_set_listener(log, &partition->listener);
}

void partition_set_leader(struct partition *partition, bool leads, int32_t leader_epoch) {
    partition->leads = leads;
    partition->leader_epoch = leader_epoch;
    if (partition->state != PARTITION_ONLINE) return;
    if (!leads) {
        partition_fail_waiters(partition, ERR_NOT_LEADER_OR_FOLLOWER);
        return;
    }
    if (log_last_epoch(partition->log) < leader_epoch) {
        log_begin_epoch(partition->log, leader_epoch);
    }
    // Waiting fetches named the old epoch.
    partition_advance(partition);
}
