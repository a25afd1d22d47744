// The life of a group consumer; its parts are listed in group_private.h.
#include "base/memory.h"
#include "client/group_private.h"

struct group_consumer_options group_consumer_options_default(void) {
    static const enum assignor range = ASSIGNOR_RANGE;
    return (struct group_consumer_options){
        .protocol = GROUP_CLASSIC,
        .instance_id = SLICE_NULL,
        .pattern = SLICE_NULL,
        .assignors = &range,
        .assignor_count = 1,
        .server_assignor = SLICE_NULL,
        .session_timeout_ms = 45000,
        .heartbeat_interval_ms = 3000,
        .rebalance_timeout_ms = 300000,
        .auto_commit = true,
        .auto_commit_interval_ms = 5000,
        .reset = OFFSET_LATEST,
        .consumer = consumer_options_default(),
    };
}

void group_wake(struct group_consumer *g) {
    void (*ready)(void *) = g->ready;
    g->ready = NULL;
    if (ready != NULL) ready(g->ready_context);
}

void group_fail(struct group_consumer *g, enum err error, const struct message *text) {
    if (g->has_failed) return;
    g->has_failed = true;
    g->failed_with = error;
    g->failure = *text;
    env_timer_stop(g->env, &g->commit_timer);
    group_wake(g);
}

struct owned_partition *group_find_owned(const struct group_consumer *g, struct slice topic,
                                         int32_t partition) {
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        if (o->id.partition == partition && slice_equal(o->id.topic, topic)) return o;
    }
    return NULL;
}

struct slice group_own_member_id(const struct group_consumer *g) {
    return g->modern != NULL ? heartbeat_member_id(g->modern) : group_member_id(g->classic);
}

// ---- Life ----

static enum err check_options(const struct group_consumer_options *o, struct message *error) {
    if (o->group.size == 0) {
        message_set(error, "a group needs a name");
        return ERR_INVALID;
    }
    if (o->protocol == GROUP_CONSUMER) return ERR_NONE;
    if (o->assignor_count == 0) {
        message_set(error, "a member of a classic group needs assignors");
        return ERR_INVALID;
    }
    for (int32_t i = 1; i < o->assignor_count; i++) {
        if (assignor_is_cooperative(o->assignors[i]) != assignor_is_cooperative(o->assignors[0])) {
            message_set(error, "cooperative-sticky cannot be offered beside the other assignors");
            return ERR_INVALID;
        }
    }
    return ERR_NONE;
}

static void copy_options(struct group_consumer *g, const struct group_consumer_options *options) {
    g->options = *options;
    g->options.group = arena_copy(&g->arena, options->group);
    g->options.instance_id = arena_copy(&g->arena, options->instance_id);
    g->options.server_assignor = arena_copy(&g->arena, options->server_assignor);
    size_t count = (size_t)MAX(options->assignor_count, 1);
    g->assignors = arena_zalloc(&g->arena, count, sizeof *g->assignors);
    for (int32_t i = 0; i < options->assignor_count; i++)
        g->assignors[i] = options->assignors[i];
    g->options.assignors = g->assignors;
    g->options.topics = NULL;
    g->options.topic_count = 0;
    g->options.pattern = SLICE_NULL;
}

enum err group_consumer_new(struct client *client, const struct group_consumer_options *options,
                            struct group_consumer **consumer, struct message *error) {
    enum err e = check_options(options, error);
    if (e != ERR_NONE) return e;
    struct group_consumer *g = memory_zalloc(1, sizeof *g);
    g->env = client_env(client);
    g->client = client;
    g->last.topic = SLICE_NULL;
    copy_options(g, options);
    list_init(&g->listener.link);
    group_topics_init(g);
    group_offsets_init(g);
    g->reader = consumer_new(client, &g->options.consumer);
    e = group_subscribe(g, options->topics, options->topic_count, options->pattern, error);
    if (e == ERR_NONE) {
        e = g->options.protocol == GROUP_CONSUMER ? group_modern_start(g, error)
                                                  : group_classic_start(g, error);
    }
    if (e != ERR_NONE) {
        group_consumer_free(g);
        return e;
    }
    *consumer = g;
    return ERR_NONE;
}

void group_consumer_free(struct group_consumer *g) {
    if (g == NULL) return;
    g->is_closing = true;
    g->closed = NULL;
    g->ready = NULL;
    group_offsets_free(g);
    group_topics_free(g);
    group_classic_free(g);
    group_modern_free(g);
    consumer_free(g->reader);
    arena_deinit(&g->owned_arena);
    arena_deinit(&g->target_arena);
    arena_deinit(&g->arena);
    memory_free(g);
}

static void left(void *context) {
    struct group_consumer *g = context;
    void (*closed)(void *) = g->closed;
    g->closed = NULL;
    if (closed != NULL) closed(g->closed_context);
}

void group_leave(struct group_consumer *g) {
    if (g->modern != NULL) {
        heartbeat_member_leave(g->modern, left, g);
    } else {
        group_member_leave(g->classic, left, g);
    }
}

void group_consumer_close(struct group_consumer *g, void (*done)(void *context), void *context) {
    g->closed = done;
    g->closed_context = context;
    g->is_closing = true;
    env_timer_stop(g->env, &g->commit_timer);
    // The end of what is under way begins the closing one.
    if (g->step == RECONCILE_YIELD) {
        group_consumer_yield(g);
    } else if (g->step == RECONCILE_NONE) {
        group_reconcile(g, NULL, 0, group_leave);
    }
}

static enum err resubscribe(struct group_consumer *g, const struct slice *topics, int32_t count,
                            struct slice pattern, struct message *error) {
    enum err e = group_subscribe(g, topics, count, pattern, error);
    if (e != ERR_NONE) return e;
    if (g->modern != NULL) {
        heartbeat_member_resubscribe(g->modern);
    } else if (g->pattern == NULL) {
        group_classic_resubscribe(g);
    }
    return ERR_NONE;
}

enum err group_consumer_subscribe(struct group_consumer *g, const struct slice *topics,
                                  int32_t count, struct message *error) {
    return resubscribe(g, topics, count, SLICE_NULL, error);
}

enum err group_consumer_subscribe_pattern(struct group_consumer *g, struct slice pattern,
                                          struct message *error) {
    return resubscribe(g, NULL, 0, pattern, error);
}

// ---- Reading ----

enum err group_consumer_next(struct group_consumer *g, struct consumer_record *record,
                             struct message *error) {
    g->last.topic = SLICE_NULL;  // dealt with
    if (g->has_failed) {  // for good: what is left in the reader may be another member's by now
        *record = (struct consumer_record){.partition = -1};
        if (error != NULL) *error = g->failure;
        return g->failed_with;
    }
    enum err e = consumer_next(g->reader, record, error);
    if (e == ERR_NONE) {
        g->last = (struct topic_partition){record->topic, record->partition};
        g->last_offset = record->record.offset;
    }
    return e;
}

static void reader_ready(void *context) {
    group_wake(context);
}

void group_consumer_on_ready(struct group_consumer *g, void (*ready)(void *context),
                             void *context) {
    g->ready = ready;
    g->ready_context = context;
    consumer_on_ready(g->reader, reader_ready, g);
}

struct consumer *group_consumer_reader(struct group_consumer *g) {
    return g->reader;
}

enum err group_consumer_pause(struct group_consumer *g, struct slice topic, int32_t partition,
                              bool paused) {
    struct owned_partition *o = group_find_owned(g, topic, partition);
    if (o == NULL) return ERR_NOT_FOUND;
    o->is_paused = paused;
    if (o->is_reading && !o->is_leaving) consumer_pause(g->reader, topic, partition, paused);
    return ERR_NONE;
}

// Also before the committed offset is known, which then does not matter.
static enum err seek(struct group_consumer *g, struct slice topic, int32_t partition,
                     int64_t offset, int64_t time_ms) {
    struct owned_partition *o = group_find_owned(g, topic, partition);
    if (o == NULL) return ERR_NOT_FOUND;
    enum err e = time_ms >= 0 ? consumer_assign_time(g->reader, topic, partition, time_ms)
                              : consumer_assign(g->reader, topic, partition, offset);
    if (e != ERR_NONE) return e;
    if (g->last.partition == partition && slice_equal(g->last.topic, topic)) {
        g->last.topic = SLICE_NULL;
    }
    o->is_reading = true;
    if (offset >= 0) o->dealt_with = offset;
    consumer_pause(g->reader, topic, partition, o->is_paused || o->is_leaving);
    return ERR_NONE;
}

enum err group_consumer_seek(struct group_consumer *g, struct slice topic, int32_t partition,
                             int64_t offset) {
    return seek(g, topic, partition, offset, -1);
}

enum err group_consumer_seek_time(struct group_consumer *g, struct slice topic, int32_t partition,
                                  int64_t time_ms) {
    return time_ms < 0 ? ERR_INVALID : seek(g, topic, partition, -1, time_ms);
}

// ---- The membership ----

bool group_consumer_is_stable(const struct group_consumer *g) {
    if (g->has_failed || g->step != RECONCILE_NONE) return false;
    if (g->modern != NULL) {
        return heartbeat_member_epoch(g->modern) > 0 && g->has_target && !g->has_new_target;
    }
    return group_member_is_stable(g->classic);
}

int32_t group_consumer_assignment_count(const struct group_consumer *g) {
    return g->owned_count;
}

struct topic_partition group_consumer_assignment(const struct group_consumer *g, int32_t index) {
    return g->owned[index].id;
}

int32_t group_consumer_generation(const struct group_consumer *g) {
    return g->modern != NULL ? heartbeat_member_epoch(g->modern)
                             : group_member_generation(g->classic);
}

struct group_identity group_consumer_identity(const struct group_consumer *g) {
    return (struct group_identity){g->options.group, group_own_member_id(g), g->options.instance_id,
                                   group_consumer_generation(g)};
}
