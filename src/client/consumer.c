// Assignments, and handing out what was fetched; consumer_private.h lists the parts.
#include <stdio.h>

#include "base/memory.h"
#include "client/consumer_private.h"

struct consumer_options consumer_options_default(void) {
    return (struct consumer_options){.read_committed = true,
                                     .fetch_wait_ms = 500,
                                     .fetch_bytes_min = 1,
                                     .fetch_bytes_max = 50 << 20,
                                     .partition_bytes_max = 1 << 20,
                                     .decompressed_bytes_max = 256U << 20,
                                     .reset = OFFSET_EARLIEST};
}

void consumer_announce(struct consumer *c, struct consumed_partition *p) {
    if (!list_is_linked(&p->ready)) list_append(&c->ready, &p->ready);
    if (c->waiting) env_defer(c->env, &c->wake);
}

static void run_wake(struct env_task *task) {
    struct consumer *c = container_of(task, struct consumer, wake);
    if (!c->waiting) return;
    c->waiting = false;
    if (c->on_ready != NULL) c->on_ready(c->context);
}

void consumer_stop(struct consumer *c, struct consumed_partition *p, enum err error,
                   const char *what) {
    consumer_drop_chunks(p);
    p->stopped = true;
    p->error = error;
    message_set(&p->error_text, "%.*s-%d: %s: %s", SLICE_PRINT(p->topic->name), p->partition, what,
                err_text(error));
    consumer_announce(c, p);
}

// ---- Handing out ----

enum err consumer_next(struct consumer *c, struct consumer_record *out, struct message *error) {
    while (!list_is_empty(&c->ready)) {
        struct consumed_partition *p =
            container_of(c->ready.next, struct consumed_partition, ready);
        out->topic = p->topic->name;
        out->partition = p->partition;
        enum err err = p->error;
        if (err != ERR_NONE) {
            p->error = ERR_NONE;
            list_remove(&p->ready);
            if (error != NULL) *error = p->error_text;
            return err;
        }
        if (p->paused || list_is_empty(&p->chunks)) {
            consumer_suspend(p);
            list_remove(&p->ready);
            continue;
        }
        err = consumer_next_record(c, p, &out->record);
        if (err == ERR_NONE) {
            out->leader_epoch = p->reader.batch.leader_epoch;
            out->log_append_time = (p->reader.batch.attributes & ATTRIBUTE_LOG_APPEND_TIME) != 0;
            return ERR_NONE;
        }
        if (err == ERR_EOF) {
            // The others' turn: chunks are handed out in the order in which they came.
            consumer_drop_chunk(p);
            list_remove(&p->ready);
            if (!list_is_empty(&p->chunks)) list_append(&c->ready, &p->ready);
            env_defer(c->env, &c->work);
            continue;
        }
        consumer_stop(c, p, err, "records");
    }
    c->waiting = true;
    return ERR_WOULD_BLOCK;
}

void consumer_on_ready(struct consumer *c, void (*ready)(void *context), void *context) {
    c->on_ready = ready;
    c->context = context;
}

// ---- Assignment ----

static struct consumed_partition *find(const struct consumer *c, struct slice topic,
                                       int32_t partition) {
    char key[sizeof((struct consumed_partition *)0)->key];
    int size = snprintf(key, sizeof key, "%.*s-%d", SLICE_PRINT(topic), partition);
    if (size < 0 || (size_t)size >= sizeof key) return NULL;
    struct map_node *n = map_get(&c->partitions, slice_of(key, (size_t)size));
    return n == NULL ? NULL : container_of(n, struct consumed_partition, by_key);
}

static enum err assign(struct consumer *c, struct slice topic, int32_t partition, int64_t position,
                       int64_t time_ms) {
    if (partition < 0 || topic.size == 0 || topic.size > 249) return ERR_INVALID;
    struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) {
        p = memory_zalloc(1, sizeof *p);
        p->topic = client_topic_want(c->client, topic);
        p->partition = partition;
        list_init(&p->ready);
        list_init(&p->chunks);
        snprintf(p->key, sizeof p->key, "%.*s-%d", SLICE_PRINT(topic), partition);
        map_put(&c->partitions, &p->by_key, slice_cstring(p->key));
    }
    consumer_drop_chunks(p);
    p->generation++;
    p->position = p->fetch_next = position;
    p->time_ms = time_ms;
    p->end = -1;
    p->stopped = false;
    p->error = ERR_NONE;
    p->retry_ns = 0;
    p->tries = 0;
    env_defer(c->env, &c->work);
    return ERR_NONE;
}

enum err consumer_assign(struct consumer *c, struct slice topic, int32_t partition,
                         int64_t offset) {
    return offset < OFFSET_EARLIEST ? ERR_INVALID : assign(c, topic, partition, offset, -1);
}

enum err consumer_assign_time(struct consumer *c, struct slice topic, int32_t partition,
                              int64_t time_ms) {
    return time_ms < 0 ? ERR_INVALID : assign(c, topic, partition, POSITION_BY_TIME, time_ms);
}

static void partition_free(struct consumer *c, struct consumed_partition *p) {
    consumer_fetch_forget(c, p);
    consumer_drop_chunks(p);
    map_remove(&c->partitions, &p->by_key);
    client_topic_release(c->client, p->topic);
    memory_free(p);
}

void consumer_unassign(struct consumer *c, struct slice topic, int32_t partition) {
    struct consumed_partition *p = find(c, topic, partition);
    if (p != NULL) partition_free(c, p);
}

void consumer_pause(struct consumer *c, struct slice topic, int32_t partition, bool paused) {
    struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) return;
    p->paused = paused;
    if (!paused && !list_is_empty(&p->chunks)) consumer_announce(c, p);
    env_defer(c->env, &c->work);
}

bool consumer_position(const struct consumer *c, struct slice topic, int32_t partition,
                       int64_t *position, int64_t *end) {
    const struct consumed_partition *p = find(c, topic, partition);
    if (p == NULL) return false;
    *position = p->position;
    *end = p->end;
    return true;
}

int64_t consumer_lag(const struct consumer *c, struct slice topic, int32_t partition) {
    int64_t position, end;
    if (!consumer_position(c, topic, partition, &position, &end)) return -1;
    return position < 0 || end < 0 ? -1 : MAX(end - position, (int64_t)0);
}

// ---- Life ----

struct consumer *consumer_new(struct client *client, const struct consumer_options *options) {
    struct consumer *c = memory_zalloc(1, sizeof *c);
    c->client = client;
    c->env = client_env(client);
    c->options = *options;
    map_init(&c->partitions, env_random(c->env));
    list_init(&c->ready);
    arena_init(&c->arena);
    env_task_init(&c->wake, run_wake);
    consumer_fetch_init(c);
    return c;
}

void consumer_free(struct consumer *c) {
    if (c == NULL) return;
    c->on_ready = NULL;
    consumer_fetch_deinit(c);
    map_for_each(n, &c->partitions) {
        partition_free(c, container_of(n, struct consumed_partition, by_key));
    }
    map_deinit(&c->partitions);
    env_defer_cancel(c->env, &c->wake);
    arena_deinit(&c->arena);
    memory_free(c);
}
