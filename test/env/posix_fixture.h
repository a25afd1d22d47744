// A real world in a directory of its own, and a bounded wait for what its callbacks do.
#pragma once

#include "test/test.h"

#include <dirent.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"
#include "env/env_posix.h"

struct fixture {
    struct env_posix *posix;
    struct env *env;
    char directory[64];
    char path[128];
};

static inline void fixture_init(struct fixture *f, struct env_posix_options options) {
    options.log_level = LOG_ERROR;
    f->posix = env_posix_new(&options);
    f->env = env_posix_reactor(f->posix, 0);
    strcpy(f->directory, "/tmp/taccola-env-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
}

static inline void fixture_deinit(struct fixture *f) {
    assert_int_equal(env_remove_tree(f->env, slice_cstring(f->directory)), ERR_NONE);
    env_posix_free(f->posix);
}

static inline struct slice path_in(struct fixture *f, const char *name) {
    snprintf(f->path, sizeof f->path, "%s/%s", f->directory, name);
    return slice_cstring(f->path);
}

// Passes until the flag is set; fails after 10 s.
static inline void pass_until(struct fixture *f, const bool *flag) {
    uint64_t end = env_clock_ns(f->env) + UINT64_C(10000000000);
    while (!*flag) {
        assert_true(env_clock_ns(f->env) < end);
        env_posix_pass(f->posix, 100000000);
    }
}
