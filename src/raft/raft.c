#include "raft/raft_internal.h"

#include "base/assert.h"
#include "base/memory.h"

// Kafka's KafkaRaftLog: neither retention nor flush settings of topics apply to the metadata log.
static struct log_config metadata_log_config(const struct raft_options *options) {
    return (struct log_config){
        .durability = DURABILITY_FSYNC,
        .segment_bytes = options->segment_bytes,
        .segment_ms = options->segment_ms,
        .segment_index_bytes = 10 * 1024 * 1024,
        .index_interval_bytes = 4096,
        .retention_ms = -1,
        .retention_bytes = -1,
        .delete_policy = true,
        .max_message_bytes = RAFT_BATCH_BYTES_MAX + BATCH_HEADER_SIZE,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = INT64_MAX,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .file_delete_delay_ms = 60 * 1000,
        .producer_id_expiration_ms = 86400000,
        .compression_is_producer = true,
    };
}

static void copy_options(struct raft *raft, const struct raft_options *options) {
    struct raft_options *own = &raft->options;
    *own = *options;
    own->static_voters = raft_voters_copy(&options->static_voters, &raft->memory);
    struct raft_voter node = {.endpoints = options->endpoints,
                              .endpoint_count = options->endpoint_count};
    struct raft_voters copy = raft_voters_copy(&(struct raft_voters){&node, 1}, &raft->memory);
    own->endpoints = copy.voters[0].endpoints;
    raft->log_directory =
        arena_format(&raft->memory, "%.*s/%s", SLICE_PRINT(log_directory_path(options->directory)),
                     METADATA_LOG_NAME);
}

// Chooses the newest complete snapshot; damaged ones are passed over as long as the log reaches
// back to an older state.
static enum err find_snapshot(struct raft *raft, bool *has_0_0, struct message *error) {
    struct snapshot_id *ids;
    int32_t count;
    enum err err = snapshot_list(raft->env, raft->log_directory, &raft->memory, &ids, &count);
    if (err != ERR_NONE) {
        message_set(error, "cannot list %.*s: %s", SLICE_PRINT(raft->log_directory), err_text(err));
        return err;
    }
    *has_0_0 = count > 0 && snapshot_id_compare(ids[0], SNAPSHOT_ID_BOOTSTRAP) == 0;
    for (int32_t i = count - 1; i >= 0 && ids[i].end_offset > 0; i--) {
        struct string_buffer path;
        struct message why;
        string_buffer_init(&path);
        snapshot_path(raft->log_directory, ids[i], "", &path);
        err = snapshot_verify(raft->env, string_buffer_slice(&path), &why);
        string_buffer_deinit(&path);
        if (err == ERR_NONE) {
            raft->snapshot = ids[i];
            return ERR_NONE;
        }
        log_warn(env_logger(raft->env), "raft", "a snapshot is not used: %s", why.text);
    }
    return ERR_NONE;
}

static enum err open_log(struct raft *raft, struct message *error) {
    struct log_options options = {
        .directory = raft->log_directory,
        .topic = SLICE_LITERAL("__cluster_metadata"),
        .partition = 0,
        .topic_id = UUID_METADATA_TOPIC,
        .config = metadata_log_config(&raft->options),
        .clean = false,  // as in Kafka: only committed records are known to be whole
        .recovery_point = MAX(raft->snapshot.end_offset, 0),
        .log_start_offset = -1,
        .is_metadata_log = true,
    };
    enum err err = log_open(raft->env, &options, &raft->log, error);
    if (err != ERR_NONE) return err;
    log_set_listener(raft->log, &raft->log_listener);
    int64_t snapshot_end = raft->snapshot.end_offset;
    if (snapshot_end > log_end_written(raft->log)) {
        // A snapshot holds committed records only, so the log lost what the snapshot has: go on
        // behind it.
        err = log_reset(raft->log, snapshot_end);
        if (err != ERR_NONE) message_set(error, "cannot reset the metadata log: %s", err_text(err));
        return err;
    }
    if (log_start_offset(raft->log) > MAX(snapshot_end, 0)) {
        message_set(error,
                    "the metadata log begins at offset %lld, and there is no snapshot that reaches "
                    "it (the newest whole one ends at %lld)",
                    (long long)log_start_offset(raft->log), (long long)snapshot_end);
        return ERR_CORRUPT;
    }
    return ERR_NONE;
}

static enum err open_quorum(struct raft *raft, struct message *error) {
    struct quorum_state state = quorum_state_empty(1);
    enum err err = quorum_state_load(raft->env, raft->log_directory, &state, error);
    if (err == ERR_NOT_FOUND) err = ERR_NONE;
    if (err != ERR_NONE) return err;
    const struct meta_properties *meta = log_directory_meta(raft->options.directory);
    quorum_init(&raft->quorum, meta->node_id, meta->directory_id, env_logger(raft->env), &state,
                MAX(log_last_epoch(raft->log), raft->snapshot.epoch));
    return ERR_NONE;
}

static enum err open_parts(struct raft *raft, struct message *error) {
    bool has_0_0;
    if (log_directory_meta(raft->options.directory) == NULL) {
        message_set(error, "%.*s is not formatted",
                    SLICE_PRINT(log_directory_path(raft->options.directory)));
        return ERR_NOT_FOUND;
    }
    // Taken before anything is written, so that a disk found full has something to give.
    enum err err = log_directory_take_reserve(raft->options.directory);
    if (err != ERR_NONE)
        log_warn(env_logger(raft->env), "raft", "cannot reserve space in %.*s: %s",
                 SLICE_PRINT(log_directory_path(raft->options.directory)), err_text(err));
    err = env_make_directories(raft->env, raft->log_directory);
    if (err != ERR_NONE) {
        message_set(error, "cannot create %.*s: %s", SLICE_PRINT(raft->log_directory),
                    err_text(err));
        return err;
    }
    err = find_snapshot(raft, &has_0_0, error);
    if (err == ERR_NONE) err = raft_load_bootstrap(raft, has_0_0, error);
    if (err == ERR_NONE) err = open_log(raft, error);
    if (err == ERR_NONE) err = open_quorum(raft, error);
    return err;
}

static void free_later(struct env_timer *timer);

enum err raft_open(struct env *env, const struct raft_options *options, struct raft **raft,
                   struct message *error) {
    struct raft *self = memory_zalloc(1, sizeof *self);
    self->env = env;
    arena_init(&self->memory);
    copy_options(self, options);
    self->high_watermark = RAFT_NO_OFFSET;
    self->voters_offset = RAFT_NO_OFFSET;
    self->snapshot.end_offset = RAFT_NO_OFFSET;
    env_timer_init(&self->free_timer, free_later);
    raft_load_init(self);
    raft_append_init(self);
    raft_snapshot_init(self);
    enum err err = open_parts(self, error);
    if (err != ERR_NONE) {
        raft_free(self);
        return err;
    }
    *raft = self;
    return ERR_NONE;
}

void raft_start(struct raft *raft, struct raft_listener *listener) {
    assert(raft->phase == RAFT_OPEN);
    raft->listener = listener;
    raft_load_start(raft);
}

void raft_fail(struct raft *raft, enum err error, const struct message *sentence) {
    if (raft->phase == RAFT_FAILED || raft->phase == RAFT_STOPPED) return;
    bool stopping = raft->phase == RAFT_STOPPING;
    raft->phase = RAFT_FAILED;
    log_error(env_logger(raft->env), "raft", "%s", sentence->text);
    if (raft->quorum.place == QUORUM_LEADER) quorum_become_resigned(&raft->quorum);
    raft->listener->failed(raft->listener, error, message_slice(sentence));
    if (stopping) {
        struct raft_stop_op *op = raft->stop;
        raft->stop = NULL;
        op->done(op, error);
    }
}

// ---- Facts ----

int64_t raft_end_offset(const struct raft *raft) {
    return raft->end_offset;
}

int64_t raft_high_watermark(const struct raft *raft) {
    return raft->high_watermark;
}

int16_t raft_kraft_version(const struct raft *raft) {
    return raft->kraft_version;
}

int32_t raft_epoch(const struct raft *raft) {
    return raft->quorum.epoch;
}

bool raft_is_leader(const struct raft *raft) {
    return raft->phase == RAFT_LEADING;
}

bool raft_disk_is_full(const struct raft *raft) {
    return raft->disk_full;
}

void raft_bootstrap_records(const struct raft *raft, const struct slice **values, int32_t *count) {
    *values = raft->bootstrap;
    *count = raft->bootstrap_count;
}

struct slice raft_bootstrap_source(const struct raft *raft) {
    return raft->bootstrap_source;
}

void raft_describe(const struct raft *raft, struct arena *arena,
                   struct raft_description *description) {
    struct raft_replica *replicas =
        arena_zalloc(arena, (size_t)raft->voters.count, sizeof *replicas);
    for (int32_t i = 0; i < raft->voters.count; i++) {
        const struct raft_voter *voter = &raft->voters.voters[i];
        bool self = voter->id == raft->quorum.node_id && raft_is_leader(raft);
        replicas[i] = (struct raft_replica){
            .id = voter->id,
            .directory_id = voter->directory_id,
            .log_end_offset = self ? raft->end_offset : -1,
            .last_fetch_timestamp_ms = self ? env_wall_ms(raft->env) : -1,
            .last_caught_up_timestamp_ms = self ? env_wall_ms(raft->env) : -1,
        };
    }
    *description = (struct raft_description){
        .leader_id = raft_is_leader(raft) ? raft->quorum.node_id : -1,
        .leader_epoch = raft->quorum.epoch,
        .high_watermark = raft->high_watermark,
        .kraft_version = raft->kraft_version,
        .voters = replicas,
        .voter_count = raft->voters.count,
        .nodes = raft->voters,
    };
}

// ---- End ----

static void log_closed(struct log_close_op *op, enum err result) {
    struct raft *raft = container_of(op, struct raft, close);
    if (raft_release(raft) || raft->phase == RAFT_FAILED) return;
    if (raft->quorum.place == QUORUM_LEADER) quorum_become_resigned(&raft->quorum);
    raft->phase = RAFT_STOPPED;
    struct raft_stop_op *stop = raft->stop;
    raft->stop = NULL;
    stop->done(stop, result);
}

void raft_continue_stop(struct raft *raft) {
    if (raft->phase != RAFT_STOPPING || raft->close.done != NULL) return;
    if (!list_is_empty(&raft->appends) || !list_is_empty(&raft->refused)) return;
    if (raft->snapshotting.op != NULL || raft->load.warming) return;
    raft->close.done = log_closed;
    raft->pending++;
    log_close_start(raft->log, &raft->close);
}

void raft_stop_start(struct raft *raft, struct raft_stop_op *op) {
    assert(raft->stop == NULL && raft->phase != RAFT_STOPPED);
    raft->stop = op;
    if (raft->phase == RAFT_FAILED) {
        // Nothing of a failed log is flushed; the caller only wants to hear that it is over.
        raft->stop = NULL;
        op->done(op, ERR_FAILED_DISK);
        return;
    }
    raft->phase = RAFT_STOPPING;
    env_timer_stop(raft->env, &raft->load.timer);
    env_timer_stop(raft->env, &raft->snapshot_timer);
    raft_continue_stop(raft);
}

static void free_now(struct raft *raft) {
    raft_load_deinit(raft);
    raft_append_deinit(raft);
    raft_snapshot_deinit(raft);
    if (raft->log != NULL) log_free(raft->log);
    memory_free(raft->bootstrap);
    arena_deinit(&raft->memory);
    memory_free(raft);
}

// The log is freed when nothing of it is in flight, and not while it tells us so.
static void free_later(struct env_timer *timer) {
    struct raft *raft = container_of(timer, struct raft, free_timer);
    if (raft->log == NULL || !log_is_busy(raft->log)) {
        free_now(raft);
    } else if (raft->close.done == NULL) {
        raft->close.done = log_closed;
        raft->pending++;
        log_close_start(raft->log, &raft->close);
    }
}

void raft_free(struct raft *raft) {
    if (raft->pending == 0 && (raft->log == NULL || !log_is_busy(raft->log))) {
        free_now(raft);
        return;
    }
    raft->free_pending = true;
    raft->phase = RAFT_FAILED;
    env_timer_stop(raft->env, &raft->load.timer);
    env_timer_stop(raft->env, &raft->snapshotting.timer);
    if (raft->pending == 0) env_timer_start(raft->env, &raft->free_timer, env_now_ns(raft->env));
}

bool raft_release(struct raft *raft) {
    assert(raft->pending > 0);
    raft->pending--;
    if (!raft->free_pending) return false;
    if (raft->pending == 0) env_timer_start(raft->env, &raft->free_timer, env_now_ns(raft->env));
    return true;
}
