// The periodic work of a reactor's partitions: retention, expiry of producers, handing in offsets
// for the checkpoints.
//
// Retention visits every partition each log.retention.check.interval.ms, some at a time so that it
// never holds up requests; a visited partition moves to the end of the list. Checkpoints are armed
// by the first offset that moves, so an idle node's timers stand still except retention's.
#include "replica/manager_state.h"

#define RETENTION_SLICE_NS 1000000  // of one pass
#define NS_PER_MS          1000000

static uint64_t after_ms(const struct replica_manager *manager, int64_t ms) {
    // Intervals may be as large as a long.
    uint64_t limit = (uint64_t)INT64_MAX / 2 / NS_PER_MS;
    return env_now_ns(manager->env) + MIN((uint64_t)ms, limit) * NS_PER_MS;
}

// ---- Retention ----

static void retention_fire(struct env_timer *timer) {
    struct replica_manager *manager = container_of(timer, struct replica_manager, retention_timer);
    struct env *env = manager->env;
    if (manager->retention_left <= 0) manager->retention_left = manager->partition_count;
    uint64_t end = env_clock_ns(env) + RETENTION_SLICE_NS;
    int64_t wall_ms = env_wall_ms(env);
    while (manager->retention_left > 0 && !list_is_empty(&manager->partitions)) {
        struct list *link = list_pop(&manager->partitions);
        list_append(&manager->partitions, link);
        manager->retention_left--;
        struct partition *partition = container_of(link, struct partition, link);
        if (partition->state == PARTITION_ONLINE) {
            log_apply_retention(partition->log, wall_ms, partition->high_watermark);
        }
        if (env_clock_ns(env) >= end) break;
    }
    bool is_round_over = manager->retention_left <= 0 || list_is_empty(&manager->partitions);
    int64_t interval = config_long(manager->config, BROKER_LOG_RETENTION_CHECK_INTERVAL_MS);
    env_timer_start(env, timer, is_round_over ? after_ms(manager, interval) : env_now_ns(env));
}

// ---- Producers ----

static void expiry_fire(struct env_timer *timer) {
    struct replica_manager *manager = container_of(timer, struct replica_manager, expiry_timer);
    int64_t wall_ms = env_wall_ms(manager->env);
    list_for_each(link, &manager->partitions) {
        struct partition *partition = container_of(link, struct partition, link);
        if (partition->state == PARTITION_ONLINE) log_expire_producers(partition->log, wall_ms);
    }
    int64_t interval =
        config_long(manager->config, BROKER_PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS);
    env_timer_start(manager->env, timer, after_ms(manager, interval));
}

// ---- Checkpoints ----

static void fill_offsets(const struct partition *partition, int64_t *offsets) {
    if (partition->log != NULL) {
        offsets[OFFSET_RECOVERY_POINT] = log_recovery_point(partition->log);
        offsets[OFFSET_LOG_START] = log_start_offset(partition->log);
        offsets[OFFSET_HIGH_WATERMARK] = partition->high_watermark;
        return;
    }
    // A log that could not be opened keeps what was known of it.
    const struct log_directory *directory = partition->manager->directories[partition->directory];
    for (int kind = 0; kind < OFFSET_CHECKPOINT_COUNT; kind++) {
        int64_t offset = log_directory_offset(directory, (enum offset_checkpoint)kind,
                                              partition->topic->name, partition->index);
        offsets[kind] = MAX(offset, (int64_t)0);
    }
}

void replica_hand_in_offsets(struct replica_manager *manager, uint32_t mask) {
    struct offset_table *table = offset_table_new(manager->checkpoints, manager->reactor);
    table->mask = mask;
    size_t capacity = (size_t)manager->partition_count;
    table->rows = arena_zalloc(&table->arena, capacity, sizeof *table->rows);
    list_for_each(link, &manager->partitions) {
        struct partition *partition = container_of(link, struct partition, link);
        if (partition->state == PARTITION_OPENING) continue;
        struct partition_offsets *row = &table->rows[table->count++];
        row->topic = arena_copy(&table->arena, partition->topic->name);
        row->partition = partition->index;
        row->directory = partition->directory;
        fill_offsets(partition, row->offsets);
    }
    offset_table_hand_in(table);
}

static const enum config_key checkpoint_intervals[OFFSET_CHECKPOINT_COUNT] = {
    [OFFSET_RECOVERY_POINT] = BROKER_LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS,
    [OFFSET_LOG_START] = BROKER_LOG_FLUSH_START_OFFSET_CHECKPOINT_INTERVAL_MS,
    [OFFSET_HIGH_WATERMARK] = BROKER_REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS,
};

static void start_checkpoint_timer(struct replica_manager *manager) {
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < OFFSET_CHECKPOINT_COUNT; i++) {
        first = MIN(first, manager->checkpoint_due_ns[i]);
    }
    if (first != UINT64_MAX) env_timer_start(manager->env, &manager->checkpoint_timer, first);
}

void replica_offsets_moved(struct replica_manager *manager) {
    if (!manager->is_started || manager->stop != NULL) return;
    bool is_new = false;
    for (int i = 0; i < OFFSET_CHECKPOINT_COUNT; i++) {
        if (manager->checkpoint_due_ns[i] != UINT64_MAX) continue;
        int64_t interval = config_long(manager->config, checkpoint_intervals[i]);
        manager->checkpoint_due_ns[i] = after_ms(manager, interval);
        is_new = true;
    }
    if (is_new) start_checkpoint_timer(manager);
}

void replica_records_deleted(struct replica_manager *manager) {
    if (!manager->is_started || manager->stop != NULL) return;
    manager->checkpoint_due_ns[OFFSET_LOG_START] = env_now_ns(manager->env);
    start_checkpoint_timer(manager);
}

static void checkpoint_fire(struct env_timer *timer) {
    struct replica_manager *manager = container_of(timer, struct replica_manager, checkpoint_timer);
    uint32_t mask = 0;
    for (int i = 0; i < OFFSET_CHECKPOINT_COUNT; i++) {
        if (manager->checkpoint_due_ns[i] > env_now_ns(manager->env)) continue;
        manager->checkpoint_due_ns[i] = UINT64_MAX;
        mask |= 1u << i;
    }
    if (mask != 0) replica_hand_in_offsets(manager, mask);
    start_checkpoint_timer(manager);
}

// ---- All of them ----

void replica_timers_init(struct replica_manager *manager) {
    env_timer_init(&manager->retired_timer, partition_retired_timer);
    env_timer_init(&manager->retention_timer, retention_fire);
    env_timer_init(&manager->expiry_timer, expiry_fire);
    env_timer_init(&manager->checkpoint_timer, checkpoint_fire);
    for (int i = 0; i < OFFSET_CHECKPOINT_COUNT; i++)
        manager->checkpoint_due_ns[i] = UINT64_MAX;
}

void replica_timers_start(struct replica_manager *manager) {
    int64_t retention = config_long(manager->config, BROKER_LOG_RETENTION_CHECK_INTERVAL_MS);
    int64_t expiry = config_long(manager->config, BROKER_PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS);
    env_timer_start(manager->env, &manager->retention_timer, after_ms(manager, retention));
    env_timer_start(manager->env, &manager->expiry_timer, after_ms(manager, expiry));
}

void replica_timers_stop(struct replica_manager *manager) {
    env_timer_stop(manager->env, &manager->retired_timer);
    env_timer_stop(manager->env, &manager->retention_timer);
    env_timer_stop(manager->env, &manager->expiry_timer);
    env_timer_stop(manager->env, &manager->checkpoint_timer);
}
