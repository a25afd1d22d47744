// The worker pool: one queue, first in first out, shared by all reactors. A thread is started when
// a job finds none idle, up to the maximum: syncs and cold reads wait for the disk, which serves
// many at a time.
#include "env/posix.h"

#include "base/assert.h"
#include "base/memory.h"

#define STACK_BYTES ((size_t)512 << 10)

void posix_workers_init(struct posix_workers *workers, uint32_t max) {
    *workers = (struct posix_workers){.max = max};
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work, NULL);
    workers->threads = memory_zalloc(max, sizeof *workers->threads);
}

void posix_workers_deinit(struct posix_workers *workers) {
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->work);
    pthread_mutex_unlock(&workers->lock);
    for (uint32_t i = 0; i < workers->count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->work);
    pthread_mutex_destroy(&workers->lock);
    memory_free(workers->threads);
}

static void *worker_main(void *argument) {
    struct posix_workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    while (!workers->stopping) {
        struct env_job *job = workers->first;
        if (job == NULL) {
            workers->idle++;
            pthread_cond_wait(&workers->work, &workers->lock);
            workers->idle--;
            continue;
        }
        workers->first = job->next;
        if (workers->first == NULL) workers->last = NULL;
        workers->queued--;
        pthread_mutex_unlock(&workers->lock);
        job->run(job);
        posix_job_finished(job);
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

// With the lock held.
static void thread_start(struct posix_workers *workers) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&workers->threads[workers->count], &attributes, worker_main, workers) == 0) {
        workers->count++;
    } else if (workers->count == 0) {
        fatal("cannot start a worker thread");
    }
    pthread_attr_destroy(&attributes);
}

void posix_job_start(struct env *env, struct env_job *job) {
    struct posix_workers *workers = &reactor_of(env)->process->workers;
    job->next = NULL;
    pthread_mutex_lock(&workers->lock);
    if (workers->last == NULL) {
        workers->first = job;
    } else {
        workers->last->next = job;
    }
    workers->last = job;
    workers->queued++;
    if (workers->queued > workers->idle && workers->count < workers->max) thread_start(workers);
    pthread_cond_signal(&workers->work);
    pthread_mutex_unlock(&workers->lock);
}
