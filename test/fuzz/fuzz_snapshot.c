// Any bytes as a snapshot file. As they are a wrong CRC ends most of them early, so the same bytes
// run a second time with the CRC of every batch made right.
#include <stdlib.h>

#include "base/memory.h"
#include "env/env_posix.h"
#include "raft/snapshot.h"

#define ARENA_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(struct env *env, struct slice path, struct slice bytes) {
    struct file *file;
    if (file_open(env, path, FILE_CREATE, &file) != ERR_NONE) abort();
    if (file_truncate(file, 0) != ERR_NONE) abort();
    if (file_write(file, 0, bytes.data, bytes.size) != ERR_NONE) abort();
    file_close(file);
}

static void read_file(struct env *env, struct slice path, struct arena *arena) {
    struct snapshot_reader reader;
    struct message error;
    struct slice batch;
    if (snapshot_reader_open(env, path, arena, &reader, &error) != ERR_NONE) return;
    while (snapshot_reader_next(&reader, &batch, &error) == ERR_NONE) {
        struct record_reader records;
        struct record record;
        if (record_reader_init(&records, batch, arena, ARENA_MAX / 4) != ERR_NONE) break;
        while (record_reader_next(&records, &record) == ERR_NONE) {
        }
        if (arena->total > ARENA_MAX) abort();
    }
    snapshot_reader_close(&reader);
}

static void seal_batches(uint8_t *data, size_t size) {
    struct batch batch;
    for (size_t at = 0; batch_decode(slice_of(data + at, size - at), &batch) == ERR_NONE;) {
        if (batch.size > size - at) return;
        batch_seal(data + at, batch.size);
        at += batch.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct env_posix *posix;
    if (posix == NULL) posix = env_posix_new(&(struct env_posix_options){.log_level = LOG_ERROR});
    struct env *env = env_posix_reactor(posix, 0);
    struct arena arena;
    arena_init(&arena);
    const char *base = getenv("TMPDIR");
    struct slice path = arena_format(&arena, "%s/taccola-fuzz-snapshot-%d",
                                     base == NULL ? "/dev/shm" : base, process_id());
    uint8_t *copy = memory_alloc(size);
    if (size > 0) memcpy(copy, data, size);
    write_file(env, path, slice_of(copy, size));
    read_file(env, path, &arena);
    seal_batches(copy, size);
    write_file(env, path, slice_of(copy, size));
    read_file(env, path, &arena);
    if (env_unlink(env, path) != ERR_NONE) abort();
    memory_free(copy);
    arena_deinit(&arena);
    return 0;
}
