#include "env/env_foreign.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/assert.h"
#include "base/memory.h"

struct env_foreign {
    pthread_t thread;
    struct env_posix *posix;
};

static void *run(void *argument) {
    struct env_foreign *f = argument;
    env_posix_run(f->posix);
    return NULL;
}

struct env_foreign *env_foreign_start(struct env_posix *posix) {
    struct env_foreign *f = memory_zalloc(1, sizeof *f);
    f->posix = posix;
    int failed = pthread_create(&f->thread, NULL, run, f);
    if (failed != 0) fatal("cannot start the client's thread: %d", failed);
    return f;
}

void env_foreign_join(struct env_foreign *f) {
    pthread_join(f->thread, NULL);
    memory_free(f);
}

struct env_event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool set;
};

struct env_event *env_event_new(void) {
    struct env_event *e = memory_zalloc(1, sizeof *e);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return e;
}

void env_event_free(struct env_event *e) {
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    memory_free(e);
}

void env_event_set(struct env_event *e) {
    pthread_mutex_lock(&e->lock);
    e->set = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

static struct timespec deadline_after(uint64_t timeout_ns) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + timeout_ns % 1000000000U;
    t.tv_sec += (time_t)(timeout_ns / 1000000000U + ns / 1000000000U);
    t.tv_nsec = (long)(ns % 1000000000U);
    return t;
}

bool env_event_wait(struct env_event *e, uint64_t timeout_ns) {
    bool for_ever = timeout_ns == UINT64_MAX;
    struct timespec deadline = for_ever ? (struct timespec){0} : deadline_after(timeout_ns);
    pthread_mutex_lock(&e->lock);
    int timed_out = 0;
    while (!e->set && timed_out != ETIMEDOUT) {
        timed_out = for_ever ? pthread_cond_wait(&e->changed, &e->lock)
                             : pthread_cond_timedwait(&e->changed, &e->lock, &deadline);
    }
    bool was_set = e->set;
    e->set = false;
    pthread_mutex_unlock(&e->lock);
    return was_set;
}
