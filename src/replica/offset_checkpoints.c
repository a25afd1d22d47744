#include "replica/offset_checkpoints.h"

#include "base/assert.h"
#include "base/memory.h"

struct offset_checkpoints {
    struct env *env;
    int32_t reactor_count;
    struct log_directory *const *directories;
    int32_t directory_count;
    struct offset_table **tables;  // the newest of each reactor; NULL: none yet
    uint32_t due;                  // checkpoints to write, 1 << enum offset_checkpoint
    bool is_writing;
    struct env_job job;
    // What the job in flight works on. The tables do not change meanwhile: new ones wait in
    // `arrived`.
    uint32_t writing;
    struct offset_table **arrived;
    enum err result;
    // The last writing.
    bool is_finishing;
    bool mark_clean;
    int64_t broker_epoch;
    void (*done)(void *context, enum err result);
    void *context;
};

struct offset_checkpoints *offset_checkpoints_new(struct env *env, int32_t reactor_count,
                                                  struct log_directory *const *directories,
                                                  int32_t directory_count) {
    struct offset_checkpoints *checkpoints = memory_zalloc(1, sizeof *checkpoints);
    checkpoints->env = env;
    checkpoints->reactor_count = reactor_count;
    checkpoints->directories = directories;
    checkpoints->directory_count = directory_count;
    checkpoints->tables = memory_zalloc((size_t)reactor_count, sizeof(struct offset_table *));
    checkpoints->arrived = memory_zalloc((size_t)reactor_count, sizeof(struct offset_table *));
    return checkpoints;
}

static void free_table(struct offset_table *table) {
    if (table == NULL) return;
    arena_deinit(&table->arena);
    memory_free(table);
}

void offset_checkpoints_free(struct offset_checkpoints *checkpoints) {
    if (checkpoints == NULL) return;
    assert(!checkpoints->is_writing);
    for (int32_t i = 0; i < checkpoints->reactor_count; i++) {
        free_table(checkpoints->tables[i]);
        free_table(checkpoints->arrived[i]);
    }
    memory_free(checkpoints->tables);
    memory_free(checkpoints->arrived);
    memory_free(checkpoints);
}

// ---- Writing, in a job ----

static enum err write_checkpoint(struct offset_checkpoints *checkpoints, int32_t directory,
                                 enum offset_checkpoint kind) {
    size_t total = 0;
    for (int32_t i = 0; i < checkpoints->reactor_count; i++) {
        if (checkpoints->tables[i] != NULL) total += (size_t)checkpoints->tables[i]->count;
    }
    struct checkpoint_entry *entries = memory_zalloc(total, sizeof *entries);
    int32_t count = 0;
    for (int32_t i = 0; i < checkpoints->reactor_count; i++) {
        const struct offset_table *table = checkpoints->tables[i];
        for (int32_t k = 0; table != NULL && k < table->count; k++) {
            const struct partition_offsets *row = &table->rows[k];
            if (row->directory != directory) continue;
            // A log that begins at 0 has no line, as in Kafka.
            if (kind == OFFSET_LOG_START && row->offsets[kind] <= 0) continue;
            entries[count++] = (struct checkpoint_entry){
                .topic = row->topic, .partition = row->partition, .offset = row->offsets[kind]};
        }
    }
    enum err err =
        log_directory_write_offsets(checkpoints->directories[directory], kind, entries, count);
    memory_free(entries);
    return err;
}

static enum err write_directory(struct offset_checkpoints *checkpoints, int32_t directory) {
    for (int kind = 0; kind < OFFSET_CHECKPOINT_COUNT; kind++) {
        if ((checkpoints->writing & (1u << kind)) == 0) continue;
        enum err err = write_checkpoint(checkpoints, directory, (enum offset_checkpoint)kind);
        if (err != ERR_NONE) return err;
    }
    if (!checkpoints->is_finishing || !checkpoints->mark_clean) return ERR_NONE;
    return log_directory_mark_clean(checkpoints->directories[directory], checkpoints->broker_epoch);
}

static void write_run(struct env_job *job) {
    struct offset_checkpoints *checkpoints = container_of(job, struct offset_checkpoints, job);
    checkpoints->result = ERR_NONE;
    for (int32_t d = 0; d < checkpoints->directory_count; d++) {
        if (log_directory_has_failed(checkpoints->directories[d])) continue;
        enum err err = write_directory(checkpoints, d);
        if (err != ERR_NONE) checkpoints->result = err;
    }
}

static void write_start(struct offset_checkpoints *checkpoints);

static void write_done(struct env_job *job) {
    struct offset_checkpoints *checkpoints = container_of(job, struct offset_checkpoints, job);
    checkpoints->is_writing = false;
    if (checkpoints->result != ERR_NONE) {
        log_warn(env_logger(checkpoints->env), "replica", "cannot write offset checkpoints: %s",
                 err_text(checkpoints->result));
    }
    for (int32_t i = 0; i < checkpoints->reactor_count; i++) {
        if (checkpoints->arrived[i] == NULL) continue;
        free_table(checkpoints->tables[i]);
        checkpoints->tables[i] = checkpoints->arrived[i];
        checkpoints->arrived[i] = NULL;
    }
    if (checkpoints->is_finishing) {
        checkpoints->done(checkpoints->context, checkpoints->result);
    } else if (checkpoints->due != 0) {
        write_start(checkpoints);
    }
}

// A file must not forget the partitions of a reactor that has not been heard yet.
static bool is_complete(const struct offset_checkpoints *checkpoints) {
    for (int32_t i = 0; i < checkpoints->reactor_count; i++) {
        if (checkpoints->tables[i] == NULL) return false;
    }
    return true;
}

static void write_start(struct offset_checkpoints *checkpoints) {
    // The end of a clean stop waits for a writing that is under way.
    if (checkpoints->done != NULL) checkpoints->is_finishing = true;
    checkpoints->is_writing = true;
    checkpoints->writing = checkpoints->due;
    checkpoints->due = 0;
    checkpoints->job = (struct env_job){.run = write_run, .done = write_done};
    env_job_start(checkpoints->env, &checkpoints->job);
}

// ---- Handing in ----

struct offset_table *offset_table_new(struct offset_checkpoints *checkpoints, int32_t reactor) {
    struct offset_table *table = memory_zalloc(1, sizeof *table);
    arena_init(&table->arena);
    table->reactor = reactor;
    table->checkpoints = checkpoints;
    return table;
}

static void table_arrived(struct env_message *message) {
    struct offset_table *table = container_of(message, struct offset_table, message);
    struct offset_checkpoints *checkpoints = table->checkpoints;
    struct offset_table **place = checkpoints->is_writing ? &checkpoints->arrived[table->reactor]
                                                          : &checkpoints->tables[table->reactor];
    free_table(*place);
    *place = table;
    checkpoints->due |= table->mask;
    if (checkpoints->is_writing || checkpoints->due == 0 || !is_complete(checkpoints)) return;
    write_start(checkpoints);
}

void offset_table_hand_in(struct offset_table *table) {
    table->message = (struct env_message){.deliver = table_arrived};
    env_post(table->checkpoints->env, &table->message);
}

void offset_checkpoints_finish(struct offset_checkpoints *checkpoints, bool mark_clean,
                               int64_t broker_epoch, void (*done)(void *context, enum err result),
                               void *context) {
    checkpoints->mark_clean = mark_clean;
    checkpoints->broker_epoch = broker_epoch;
    checkpoints->done = done;
    checkpoints->context = context;
    checkpoints->due = (1u << OFFSET_CHECKPOINT_COUNT) - 1;
    if (!checkpoints->is_writing) write_start(checkpoints);
}
