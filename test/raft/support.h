// A scratch directory on the real disk and an env to work in, for the tests of raft/.
#pragma once

#include "test/test.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/string_buffer.h"
#include "env/env_posix.h"

struct world {
    struct env_posix *posix;
    struct env *env;
    struct arena arena;
    struct slice directory;
};

static inline struct world *world_new(void) {
    struct world *w = memory_zalloc(1, sizeof *w);
    struct env_posix_options options = {.reactors = 1, .log_level = LOG_ERROR};
    w->posix = env_posix_new(&options);
    w->env = env_posix_reactor(w->posix, 0);
    arena_init(&w->arena);
    const char *base = getenv("TMPDIR");
    char text[UUID_TEXT_SIZE];
    w->directory = arena_format(&w->arena, "%s/taccola-raft-%s", base == NULL ? "/tmp" : base,
                                uuid_format(env_random_uuid(w->env), text));
    assert_int_equal(env_make_directories(w->env, w->directory), ERR_NONE);
    return w;
}

static inline void world_free(struct world *w) {
    assert_int_equal(env_remove_tree(w->env, w->directory), ERR_NONE);
    arena_deinit(&w->arena);
    env_posix_free(w->posix);
    memory_free(w);
}

static inline struct slice world_path(struct world *w, const char *name) {
    return arena_format(&w->arena, "%.*s/%s", SLICE_PRINT(w->directory), name);
}

static inline struct slice world_read(struct world *w, struct slice path) {
    uint8_t *data;
    size_t size;
    assert_int_equal(env_read_file(w->env, path, 1 << 24, &data, &size), ERR_NONE);
    struct slice copy = arena_copy(&w->arena, slice_of(data, size));
    memory_free(data);
    return copy;
}

static inline void world_write(struct world *w, struct slice path, struct slice bytes) {
    assert_int_equal(env_replace_file(w->env, path, bytes), ERR_NONE);
}

static inline struct slice world_golden(struct world *w, const char *name) {
    return world_read(w, arena_format(&w->arena, TEST_SOURCE_DIR "/raft/data/%s.checkpoint", name));
}
