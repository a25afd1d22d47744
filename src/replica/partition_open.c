// Opening a partition's log in a job, choosing its log directory, and deleting it.
//
// Which directory: the one where the partition lies already; else the one that the metadata names
// (KIP-858); else the one with the fewest partitions. What was not named is reported to the host.
#include "base/assert.h"
#include "base/memory.h"
#include "replica/manager_state.h"

#define RETRY_NS       1000000
#define OPEN_TRIES_MAX 10000  // about ten seconds

struct partition_open {
    struct env_job job;
    struct env_timer retry;
    int32_t tries;
    struct env *env;
    struct partition *partition;
    struct string_buffer path;
    struct log_options options;
    int64_t high_watermark;
    struct log *log;
    enum err result;
    struct message error;
};

// ---- Choosing a directory ----

static bool is_usable(const struct replica_manager *manager, int32_t directory) {
    return !log_directory_has_failed(manager->directories[directory]);
}

static void partition_path(const struct partition *partition, int32_t directory,
                           struct string_buffer *path) {
    struct string_buffer name;
    string_buffer_init(&name);
    partition_directory_format(partition->topic->name, partition->index, &name);
    string_buffer_clear(path);
    log_directory_join(partition->manager->directories[directory], string_buffer_slice(&name),
                       path);
    string_buffer_deinit(&name);
}

static int32_t directory_where_it_lies(const struct partition *partition) {
    struct replica_manager *manager = partition->manager;
    struct string_buffer path;
    string_buffer_init(&path);
    int32_t found = -1;
    for (int32_t i = 0; i < manager->directory_count && found < 0; i++) {
        struct env_stat stat;
        if (!is_usable(manager, i)) continue;
        partition_path(partition, i, &path);
        if (env_stat(manager->env, string_buffer_slice(&path), &stat) == ERR_NONE) found = i;
    }
    string_buffer_deinit(&path);
    return found;
}

static struct uuid directory_id_of(const struct replica_manager *manager, int32_t directory) {
    const struct meta_properties *meta = log_directory_meta(manager->directories[directory]);
    return meta == NULL ? UUID_ZERO : meta->directory_id;
}

static int32_t directory_named(const struct replica_manager *manager,
                               const struct partition_image *image) {
    for (int32_t i = 0; i < image->replica_count; i++) {
        if (image->replicas[i] != manager->node_id || image->directories == NULL) continue;
        for (int32_t d = 0; d < manager->directory_count; d++) {
            if (uuid_equal(directory_id_of(manager, d), image->directories[i])) return d;
        }
    }
    return -1;
}

static int32_t directory_least_used(const struct replica_manager *manager) {
    int32_t best = -1;
    for (int32_t d = 0; d < manager->directory_count; d++) {
        if (!is_usable(manager, d)) continue;
        if (best < 0 || manager->directory_partitions[d] < manager->directory_partitions[best]) {
            best = d;
        }
    }
    return best;
}

static int32_t choose_directory(const struct partition *partition,
                                const struct partition_image *image) {
    struct replica_manager *manager = partition->manager;
    int32_t named = directory_named(manager, image);
    int32_t chosen = named;
    if (manager->directory_count > 1) {
        int32_t found = directory_where_it_lies(partition);
        if (found >= 0) chosen = found;
    }
    if (chosen < 0) chosen = directory_least_used(manager);
    if (chosen < 0) return 0;  // all failed: opening says so
    if (chosen != named && manager->host->directory_chosen != NULL) {
        manager->host->directory_chosen(manager->host, partition->topic->id, partition->index,
                                        directory_id_of(manager, chosen));
    }
    return chosen;
}

// ---- Opening ----

static void open_run(struct env_job *job) {
    struct partition_open *open = container_of(job, struct partition_open, job);
    open->result = log_open(open->env, &open->options, &open->log, &open->error);
}

static void open_failed(struct partition *partition, const struct partition_open *open) {
    struct replica_manager *manager = partition->manager;
    log_error(env_logger(manager->env), "replica", "cannot open %.*s-%d: %s",
              SLICE_PRINT(partition->topic->name), partition->index,
              open->error.text[0] != '\0' ? open->error.text : err_text(open->result));
    partition->state = PARTITION_OFFLINE;
    if (open->result == ERR_IO || open->result == ERR_FAILED_DISK) {
        replica_directory_failed(manager, partition->directory, open->result);
    }
}

static void open_again(struct env_timer *timer) {
    struct partition_open *open = container_of(timer, struct partition_open, retry);
    env_job_start(open->env, &open->job);
}

// A topic that was deleted and created again: another reactor has still to move the old directory
// out of the way.
static bool is_in_the_way(struct partition_open *open) {
    struct replica_manager *manager = open->partition->manager;
    return open->result == ERR_INCONSISTENT_TOPIC_ID && manager->is_started &&
           manager->stop == NULL && open->tries++ < OPEN_TRIES_MAX;
}

static void open_done(struct env_job *job) {
    struct partition_open *open = container_of(job, struct partition_open, job);
    struct partition *partition = open->partition;
    struct replica_manager *manager = partition->manager;
    if (is_in_the_way(open)) {
        env_timer_start(open->env, &open->retry, env_now_ns(open->env) + RETRY_NS);
        return;
    }
    bool failed = open->result != ERR_NONE;
    partition->opening = NULL;
    if (failed) {
        open_failed(partition, open);
    } else {
        partition_set_log(partition, open->log, open->high_watermark);
        partition_set_leader(partition, partition->leads, partition->leader_epoch);
    }
    string_buffer_deinit(&open->path);
    memory_free(open);
    if (manager->stop != NULL) replica_stop_opened(partition);
    replica_apply_part_done(manager, failed);
}

void partition_open_start(struct partition *partition, const struct partition_image *image,
                          const struct log_config *settings) {
    struct replica_manager *manager = partition->manager;
    struct partition_open *open = memory_zalloc(1, sizeof *open);
    partition->directory = choose_directory(partition, image);
    manager->directory_partitions[partition->directory]++;
    struct log_directory *directory = manager->directories[partition->directory];
    string_buffer_init(&open->path);
    partition_path(partition, partition->directory, &open->path);
    message_init(&open->error);
    env_timer_init(&open->retry, open_again);
    open->partition = partition;
    open->env = manager->env;
    open->options = (struct log_options){
        .directory = string_buffer_slice(&open->path),
        .topic = partition->topic->name,
        .partition = partition->index,
        .topic_id = partition->topic->id,
        .config = *settings,
        .clean = true,
        .recovery_point = 0,
        .log_start_offset = -1,
    };
    // What the last process left is asked for at start only: later it could be of another topic of
    // this name.
    if (!manager->is_started) {
        struct slice topic = partition->topic->name;
        int64_t epoch;
        open->options.clean = log_directory_was_clean(directory, &epoch);
        int64_t point =
            log_directory_offset(directory, OFFSET_RECOVERY_POINT, topic, partition->index);
        open->options.recovery_point = MAX(point, (int64_t)0);
        open->options.log_start_offset =
            log_directory_offset(directory, OFFSET_LOG_START, topic, partition->index);
        open->high_watermark =
            log_directory_offset(directory, OFFSET_HIGH_WATERMARK, topic, partition->index);
    }
    partition->opening = open;
    manager->apply->outstanding++;
    open->job = (struct env_job){.run = open_run, .done = open_done};
    env_job_start(manager->env, &open->job);
}

// ---- Deleting ----

// The directory of a log that could not be opened: nothing of it may come back with a new topic of
// this name.
static void set_aside(struct partition *partition) {
    struct replica_manager *manager = partition->manager;
    struct log_directory *directory = manager->directories[partition->directory];
    struct string_buffer name, path;
    struct env_stat stat;
    string_buffer_init(&name);
    string_buffer_init(&path);
    partition_directory_format(partition->topic->name, partition->index, &name);
    partition_path(partition, partition->directory, &path);
    struct partition_directory found;
    if (env_stat(manager->env, string_buffer_slice(&path), &stat) == ERR_NONE &&
        partition_directory_parse(string_buffer_slice(&name), &found)) {
        enum err err = log_directory_set_aside(directory, &found, PARTITION_DIRECTORY_DELETED);
        if (err != ERR_NONE) {
            log_error(env_logger(manager->env), "replica", "cannot delete %.*s: %s",
                      SLICE_PRINT(string_buffer_slice(&path)), err_text(err));
        }
    }
    string_buffer_deinit(&name);
    string_buffer_deinit(&path);
}

static bool retire_now(struct partition *partition) {
    struct replica_manager *manager = partition->manager;
    if (partition->log != NULL && log_is_busy(partition->log)) return false;
    if (partition->log != NULL) {
        enum err err = log_delete(partition->log, &manager->deletions);
        if (err != ERR_NONE) {
            log_error(env_logger(manager->env), "replica", "cannot delete a partition: %s",
                      err_text(err));
            log_free(partition->log);
        }
    }
    partition_free(partition);
    return true;
}

bool partition_retired_finish(struct replica_manager *manager) {
    list_for_each_safe(link, &manager->retired) {
        if (retire_now(container_of(link, struct partition, link))) {
            replica_apply_part_done(manager, false);
        }
    }
    return list_is_empty(&manager->retired);
}

void partition_retired_timer(struct env_timer *timer) {
    struct replica_manager *manager = container_of(timer, struct replica_manager, retired_timer);
    if (!partition_retired_finish(manager)) {
        env_timer_start(manager->env, timer, env_now_ns(manager->env) + RETRY_NS);
    }
}

void partition_retire(struct partition *partition, enum err error) {
    struct replica_manager *manager = partition->manager;
    assert(partition->state != PARTITION_OPENING);  // one apply at a time waits for its opens
    if (partition->log == NULL) set_aside(partition);
    replica_topic_release(partition->topic, partition);
    partition->topic = NULL;
    partition->leads = false;
    partition->state = PARTITION_OFFLINE;
    list_remove(&partition->link);
    list_append(&manager->retired, &partition->link);
    // Only now: who is woken looks the partition up again, and must not find it.
    partition_fail_waiters(partition, error);
    if (retire_now(partition)) return;
    // The apply ends when the directory is out of the way, so that the next may create it anew.
    manager->apply->outstanding++;
    env_timer_start(manager->env, &manager->retired_timer, env_now_ns(manager->env) + RETRY_NS);
}
