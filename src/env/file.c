// Files, as far as both worlds share them: writes are collected during a pass and leave merged,
// syncs are grouped.
//
// Each file has a queue of submitted writes. At the end of the pass its operations are taken in
// order; those that continue each other's range become one vectored write of up to MERGE_PARTS
// parts. Each gets the result of the call that carried it; once a call failed, all later ones of
// the same taking fail with the same error without being tried, since their bytes would leave a
// hole.
//
// One sync per file runs at a time, on a worker. Syncs asked for meanwhile wait as a group and
// share the next one, because a sync that is under way may have passed over bytes written after it
// began.
#include "env/world.h"

#include <stdatomic.h>

#include "base/assert.h"

#define MERGE_PARTS 256

void world_file_init(struct file *file, struct env *env) {
    *file = (struct file){.env = env};
    list_init(&file->write_link);
    list_init(&file->sync_link);
}

// ---- Writes ----

void file_write_start(struct env *env, struct file_write_op *op) {
    struct file *file = op->file;
    assert(file->env == env);
    op->next = NULL;
    if (file->write_first == NULL) {
        file->write_first = op;
        list_append(&env->writes, &file->write_link);
    } else {
        file->write_last->next = op;
    }
    file->write_last = op;
}

static size_t op_size(const struct file_write_op *op) {
    size_t size = 0;
    for (size_t i = 0; i < op->part_count; i++)
        size += op->parts[i].size;
    return size;
}

// Gathers `first` and those behind it that continue it; returns the first operation that does not
// belong to the call any more. An operation of more than MERGE_PARTS parts goes alone and straight
// from its own array.
static struct file_write_op *merge(struct file_write_op *first, struct slice parts[MERGE_PARTS],
                                   size_t *part_count) {
    uint64_t end = first->position;
    size_t count = 0;
    struct file_write_op *op = first;
    for (; op != NULL && op->position == end && op->part_count <= MERGE_PARTS - count;
         op = op->next) {
        memcpy(parts + count, op->parts, op->part_count * sizeof *parts);
        count += op->part_count;
        end += op_size(op);
    }
    *part_count = count;
    return op;
}

static void file_flush_writes(struct file *file) {
    struct slice parts[MERGE_PARTS];
    struct file_write_op *op = file->write_first;
    file->write_first = file->write_last = NULL;
    enum err result = ERR_NONE;
    while (op != NULL) {
        size_t count;
        const struct world *world = file->env->world;
        struct file_write_op *end =
            op->part_count > MERGE_PARTS ? op->next : merge(op, parts, &count);
        if (result == ERR_NONE) {
            result = op->part_count > MERGE_PARTS
                         ? world->file_write(file, op->position, op->parts, op->part_count)
                         : world->file_write(file, op->position, parts, count);
        }
        // The last `done` may close the file: nothing below touches it once `op` is NULL.
        while (op != end) {
            struct file_write_op *next = op->next;
            op->done(op, result);
            op = next;
        }
    }
}

// ---- Syncs ----

void file_sync_start(struct env *env, struct file_sync_op *op) {
    struct file *file = op->file;
    assert(file->env == env);
    op->next = file->sync_waiting;
    file->sync_waiting = op;
    if (!file->sync_in_flight && !list_is_linked(&file->sync_link)) {
        list_append(&env->syncs, &file->sync_link);
    }
}

static void sync_run(struct env_job *job) {
    struct file *file = container_of(job, struct file, sync_job);
    file->sync_result = file_sync(file);
}

static void sync_done(struct env_job *job) {
    struct file *file = container_of(job, struct file, sync_job);
    enum err result = file->sync_result;
    struct file_sync_op *newest = file->sync_running, *oldest = NULL;
    file->sync_running = NULL;
    file->sync_in_flight = false;
    if (file->sync_waiting != NULL) list_append(&file->env->syncs, &file->sync_link);
    while (newest != NULL) {  // turn round: completions come in order of their start
        struct file_sync_op *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {  // the last `done` may close the file
        struct file_sync_op *next = oldest->next;
        oldest->done(oldest, result);
        oldest = next;
    }
}

static void file_launch_sync(struct file *file) {
    file->sync_running = file->sync_waiting;
    file->sync_waiting = NULL;
    file->sync_in_flight = true;
    file->sync_job.run = sync_run;
    file->sync_job.done = sync_done;
    env_job_start(file->env, &file->sync_job);
}

bool world_files_flush(struct env *env) {
    bool worked = false;
    for (struct list *link = list_pop(&env->writes); link != NULL; link = list_pop(&env->writes)) {
        file_flush_writes(container_of(link, struct file, write_link));
        worked = true;
    }
    for (struct list *link = list_pop(&env->syncs); link != NULL; link = list_pop(&env->syncs)) {
        file_launch_sync(container_of(link, struct file, sync_link));
        worked = true;
    }
    return worked;
}

// ---- The doors ----

enum err file_open(struct env *env, struct slice path, enum file_mode mode, struct file **file) {
    return env->world->file_open(env, path, mode, file);
}

void file_close(struct file *file) {
    if (file == NULL) return;
    assert(file->write_first == NULL && file->sync_waiting == NULL && !file->sync_in_flight);
    file->env->world->file_close(file);
}

enum err file_rename(struct file *file, struct slice path) {
    return file->env->world->file_rename(file, path);
}
struct slice file_path(const struct file *file) {
    return file->env->world->file_path(file);
}
enum err file_size(struct file *file, uint64_t *size) {
    return file->env->world->file_size(file, size);
}
enum err file_read(struct file *file, uint64_t position, void *data, size_t size, size_t *got) {
    return file->env->world->file_read(file, position, data, size, got);
}
enum err file_write(struct file *file, uint64_t position, const void *data, size_t size) {
    struct slice part = slice_of(data, size);
    return file->env->world->file_write(file, position, &part, 1);
}
enum err file_truncate(struct file *file, uint64_t size) {
    return file->env->world->file_truncate(file, size);
}
enum err file_allocate(struct file *file, uint64_t size) {
    return file->env->world->file_allocate(file, size);
}
enum err file_sync(struct file *file) {
    enum err err = atomic_load(&file->sync_error);
    if (err != ERR_NONE) return err;
    err = file->env->world->file_sync(file);
    if (err != ERR_NONE) atomic_store(&file->sync_error, err);
    return err;
}
void file_drop_cache(struct file *file) {
    file->env->world->file_drop_cache(file);
}
bool file_is_resident(struct file *file, uint64_t position, size_t size) {
    return file->env->world->file_is_resident(file, position, size);
}
