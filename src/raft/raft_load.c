// Replay at start: the newest snapshot, then the log behind it, in slices of about a millisecond so
// that the reactor goes on meanwhile. Control records (voters, kraft.version) are taken here; data
// records go to the listener.
#include "raft/raft_internal.h"

#include "base/memory.h"

#define BATCH_READ_MAX (RAFT_BATCH_BYTES_MAX + RAFT_READ_BYTES)

static void load_step(struct env_timer *timer);

// ---- Bootstrap ----

static void add_bootstrap_record(struct raft *raft, struct slice value) {
    if (raft->bootstrap_count == raft->bootstrap_capacity) {
        raft->bootstrap_capacity = MAX(16, 2 * raft->bootstrap_capacity);
        raft->bootstrap = memory_realloc(raft->bootstrap, (size_t)raft->bootstrap_capacity,
                                         sizeof *raft->bootstrap);
    }
    raft->bootstrap[raft->bootstrap_count++] = arena_copy(&raft->memory, value);
}

static enum err read_bootstrap_batch(struct raft *raft, struct slice batch) {
    struct arena scratch;
    arena_init(&scratch);
    struct record_reader records;
    enum err err = record_reader_init(&records, batch, &scratch, RAFT_BATCH_BYTES_MAX);
    while (err == ERR_NONE) {
        struct record record;
        err = record_reader_next(&records, &record);
        if (err == ERR_NONE) add_bootstrap_record(raft, record.value);
    }
    arena_deinit(&scratch);
    return err == ERR_EOF ? ERR_NONE : err;
}

// Takes voters (if `voters`) and data records of one bootstrap file.
static enum err read_bootstrap_file(struct raft *raft, struct slice path, bool voters,
                                    struct message *error) {
    struct snapshot_reader reader;
    enum err err = snapshot_reader_open(raft->env, path, &raft->memory, &reader, error);
    if (err != ERR_NONE) return err;
    if (voters && reader.voters.count > 0) {
        raft->kraft_version = reader.kraft_version;
        raft->voters = reader.voters;
        raft->voters_offset = RAFT_NO_OFFSET;
    }
    struct slice batch;
    while ((err = snapshot_reader_next(&reader, &batch, error)) == ERR_NONE) {
        err = read_bootstrap_batch(raft, batch);
        if (err != ERR_NONE) {
            message_set(error, "%.*s: %s", SLICE_PRINT(path), err_text(err));
            break;
        }
    }
    snapshot_reader_close(&reader);
    if (err != ERR_EOF) return err;
    if (raft->bootstrap_count > 0 && slice_is_null(raft->bootstrap_source))
        raft->bootstrap_source = arena_copy(&raft->memory, path);
    return ERR_NONE;
}

// 4.4 writes everything into the 0-0 checkpoint; 4.3 writes the voters there and the records into
// bootstrap.checkpoint.
enum err raft_load_bootstrap(struct raft *raft, bool snapshot_0_0, struct message *error) {
    enum err err = ERR_NONE;
    if (snapshot_0_0) {
        struct string_buffer path;
        string_buffer_init(&path);
        snapshot_path(raft->log_directory, SNAPSHOT_ID_BOOTSTRAP, "", &path);
        err = read_bootstrap_file(raft, string_buffer_slice(&path), true, error);
        string_buffer_deinit(&path);
    }
    if (err != ERR_NONE || raft->bootstrap_count > 0) return err;
    struct slice path = arena_format(&raft->memory, "%.*s/%s",
                                     SLICE_PRINT(log_directory_path(raft->options.directory)),
                                     BOOTSTRAP_CHECKPOINT_NAME);
    struct env_stat stat;
    err = env_stat(raft->env, path, &stat);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    return read_bootstrap_file(raft, path, false, error);
}

// ---- Records ----

static enum err take_control(struct raft *raft, const struct record *record,
                             struct message *error) {
    struct control_record control;
    enum err err = control_decode(record, &raft->load.scratch, &control, error);
    if (err != ERR_NONE) return err;
    if (control.type == CONTROL_KRAFT_VERSION) {
        raft->kraft_version = control.kraft_version;
    } else if (control.type == CONTROL_KRAFT_VOTERS) {
        raft->voters = raft_voters_copy(&control.voters, &raft->memory);
        raft->voters_offset = record->offset;
    }
    return ERR_NONE;
}

// One batch of the log or (offset >= 0) of a snapshot, whose records all stand for the state at
// that offset.
static enum err replay_batch(struct raft *raft, struct slice bytes, int64_t snapshot_offset,
                             struct message *error) {
    struct raft_load *load = &raft->load;
    arena_reset(&load->scratch);
    struct record_reader records;
    enum err err = record_reader_init(&records, bytes, &load->scratch, BATCH_READ_MAX);
    bool control = err == ERR_NONE && batch_is_control(&records.batch);
    while (err == ERR_NONE) {
        struct record record;
        err = record_reader_next(&records, &record);
        if (err == ERR_EOF) return ERR_NONE;
        if (err != ERR_NONE) break;
        if (snapshot_offset < 0 && record.offset < load->offset) continue;
        if (control) {
            err = take_control(raft, &record, error);
            if (err != ERR_NONE) return err;
            continue;
        }
        struct raft_record out = {
            .value = record.value,
            .offset = snapshot_offset < 0 ? record.offset : snapshot_offset,
            .epoch = records.batch.leader_epoch,
            .timestamp_ms = record.timestamp,
        };
        err = raft->listener->record(raft->listener, &out, error);
        if (err != ERR_NONE) return err;
    }
    message_set(error, "the metadata log holds a damaged batch at offset %lld: %s",
                (long long)records.batch.base_offset, err_text(err));
    return err;
}

// ---- Snapshot ----

static enum err open_snapshot(struct raft *raft, struct message *error) {
    struct raft_load *load = &raft->load;
    struct string_buffer path;
    string_buffer_init(&path);
    snapshot_path(raft->log_directory, raft->snapshot, "", &path);
    enum err err = snapshot_reader_open(raft->env, string_buffer_slice(&path), &raft->memory,
                                        &load->reader, error);
    string_buffer_deinit(&path);
    if (err != ERR_NONE) return err;
    load->in_snapshot = true;
    if (load->reader.voters.count > 0) {
        raft->kraft_version = load->reader.kraft_version;
        raft->voters = load->reader.voters;
        // They stand in the log below the snapshot's end; which offset it was does not matter.
        raft->voters_offset = raft->snapshot.end_offset - 1;
    }
    return ERR_NONE;
}

static enum err snapshot_slice(struct raft *raft, struct message *error) {
    struct slice batch;
    enum err err = snapshot_reader_next(&raft->load.reader, &batch, error);
    if (err == ERR_NONE) return replay_batch(raft, batch, raft->snapshot.end_offset - 1, error);
    if (err != ERR_EOF) return err;
    snapshot_reader_close(&raft->load.reader);
    raft->load.in_snapshot = false;
    raft->listener->snapshot_loaded(raft->listener);
    return ERR_NONE;
}

// ---- Log ----

static enum err replay_slice(struct raft *raft, struct slice bytes, struct message *error) {
    while (bytes.size > 0) {
        struct batch batch;
        enum err err = batch_decode(bytes, &batch);
        if (err != ERR_NONE || batch.size > bytes.size) {
            message_set(error, "the metadata log holds no batch at offset %lld",
                        (long long)raft->load.offset);
            return ERR_CORRUPT;
        }
        if (batch.base_offset > raft->load.offset || batch.last_offset < raft->load.offset) {
            message_set(error, "the metadata log has a gap at offset %lld",
                        (long long)raft->load.offset);
            return ERR_CORRUPT;
        }
        err = replay_batch(raft, slice_sub(bytes, 0, batch.size), -1, error);
        if (err != ERR_NONE) return err;
        raft->load.offset = batch.last_offset + 1;
        raft->log_bytes += (int64_t)batch.size;
        bytes = slice_sub(bytes, batch.size, bytes.size - batch.size);
    }
    return ERR_NONE;
}

static enum err read_slice(struct raft *raft, const struct log_slice *slice,
                           struct message *error) {
    struct raft_load *load = &raft->load;
    if (slice->size > BATCH_READ_MAX) {
        message_set(error, "the metadata log holds a batch of %zu bytes at offset %lld",
                    slice->size, (long long)load->offset);
        return ERR_CORRUPT;
    }
    load->data = memory_realloc(load->data, slice->size, 1);
    size_t got;
    enum err err = file_read(slice->file, slice->position, load->data, slice->size, &got);
    if (err == ERR_NONE && got < slice->size) err = ERR_TRUNCATED;
    if (err != ERR_NONE) {
        message_set(error, "cannot read the metadata log: %s", err_text(err));
        return err;
    }
    return replay_slice(raft, slice_of(load->data, slice->size), error);
}

static void warm_done(struct log_warm_op *op, enum err result) {
    struct raft *raft = container_of(op, struct raft, load.warm);
    raft->load.warming = false;
    if (raft_release(raft) || raft->phase != RAFT_LOADING) return;
    struct message error;
    message_set(&error, "cannot read the metadata log: %s", err_text(result));
    if (result == ERR_NONE)
        load_step(&raft->load.timer);
    else
        raft_fail(raft, result, &error);
}

// ERR_WOULD_BLOCK: a worker brings the bytes into memory and comes back.
static enum err log_slice_step(struct raft *raft, struct message *error) {
    struct raft_load *load = &raft->load;
    struct log_slice slice;
    enum err err = log_read(raft->log, load->offset, RAFT_READ_BYTES, INT64_MAX, true, &slice);
    if (err == ERR_WOULD_BLOCK) {
        load->warming = true;
        raft->pending++;
        load->warm = (struct log_warm_op){.log = raft->log,
                                          .offset = load->offset,
                                          .max_bytes = RAFT_READ_BYTES,
                                          .done = warm_done};
        log_warm_start(&load->warm);
        return ERR_WOULD_BLOCK;
    }
    if (err != ERR_NONE) {
        message_set(error, "cannot read the metadata log at offset %lld: %s",
                    (long long)load->offset, err_text(err));
        return err;
    }
    if (slice.size == 0) {
        message_set(error, "the metadata log ends at offset %lld, not at %lld",
                    (long long)load->offset, (long long)log_end_written(raft->log));
        return ERR_CORRUPT;
    }
    err = read_slice(raft, &slice, error);
    log_slice_release(&slice);
    return err;
}

static void load_step(struct env_timer *timer) {
    struct raft *raft = container_of(timer, struct raft, load.timer);
    struct raft_load *load = &raft->load;
    uint64_t begin = env_clock_ns(raft->env);
    struct message error;
    message_init(&error);
    for (;;) {
        enum err err = ERR_NONE;
        if (load->in_snapshot) {
            err = snapshot_slice(raft, &error);
        } else if (load->offset < log_end_written(raft->log)) {
            err = log_slice_step(raft, &error);
        } else {
            memory_free(load->data);
            load->data = NULL;
            raft_elect(raft);
            return;
        }
        if (err == ERR_WOULD_BLOCK) return;
        if (err != ERR_NONE) {
            raft_fail(raft, err, &error);
            return;
        }
        if (env_clock_ns(raft->env) - begin > RAFT_SLICE_NS) break;
    }
    env_timer_start(raft->env, &load->timer, env_now_ns(raft->env));
}

static void load_begin(struct env_timer *timer) {
    struct raft *raft = container_of(timer, struct raft, load.timer);
    struct raft_load *load = &raft->load;
    struct message error;
    enum err err = ERR_NONE;
    env_timer_init(&load->timer, load_step);
    load->offset = MAX(log_start_offset(raft->log), MAX(raft->snapshot.end_offset, 0));
    if (raft->snapshot.end_offset > 0) {
        raft->listener->reset(raft->listener, raft->snapshot.end_offset - 1, raft->snapshot.epoch);
        err = open_snapshot(raft, &error);
    } else {
        raft->listener->reset(raft->listener, -1, 0);
    }
    if (err != ERR_NONE)
        raft_fail(raft, err, &error);
    else
        load_step(&load->timer);
}

void raft_load_init(struct raft *raft) {
    arena_init(&raft->load.scratch);
    env_timer_init(&raft->load.timer, load_begin);
}

void raft_load_start(struct raft *raft) {
    raft->phase = RAFT_LOADING;
    env_timer_start(raft->env, &raft->load.timer, env_now_ns(raft->env));
}

void raft_load_deinit(struct raft *raft) {
    struct raft_load *load = &raft->load;
    if (load->in_snapshot) snapshot_reader_close(&load->reader);
    load->in_snapshot = false;
    env_timer_stop(raft->env, &load->timer);
    arena_deinit(&load->scratch);
    memory_free(load->data);
    load->data = NULL;
}
