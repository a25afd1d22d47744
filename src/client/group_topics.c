// The subscription. With a pattern and the classic protocol the client matches: all topics are
// asked for at the start and whenever metadata is old, and the group rebalances when the matches
// have changed. With KIP-848 the broker matches, and the client only asks for the names of topic
// ids.
#include <stdlib.h>

#include "base/memory.h"
#include "client/group_private.h"

// ---- Topics of a pattern ----

static int compare_slices(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool same_topics(const struct group_consumer *g, const struct slice *topics, int32_t count) {
    if (count != g->topic_count || g->topics == NULL) return false;
    for (int32_t i = 0; i < count; i++) {
        if (!slice_equal(g->topics[i], topics[i])) return false;
    }
    return true;
}

static void set_topics(struct group_consumer *g, const struct slice *topics, int32_t count) {
    struct arena arena;
    arena_init(&arena);
    struct slice *copy = arena_zalloc(&arena, (size_t)MAX(count, 1), sizeof *copy);
    for (int32_t i = 0; i < count; i++)
        copy[i] = arena_copy(&arena, topics[i]);
    struct slice expression = arena_copy(&arena, g->expression);
    arena_deinit(&g->subscription_arena);
    g->subscription_arena = arena;
    g->topics = copy;
    g->topic_count = count;
    g->expression = expression;
}

static void take_topics(struct group_consumer *g, const struct metadata_response *m) {
    struct arena arena;
    arena_init(&arena);
    struct slice *topics = arena_zalloc(&arena, (size_t)MAX(m->topics_count, 1), sizeof *topics);
    int32_t count = 0;
    for (int32_t i = 0; i < m->topics_count; i++) {
        const struct metadata_response_topic *t = &m->topics[i];
        bool is_seen = t->error_code == 0 && (!t->is_internal || g->options.include_internal);
        if (is_seen && pattern_matches(g->pattern, t->name)) topics[count++] = t->name;
    }
    qsort(topics, (size_t)count, sizeof *topics, compare_slices);
    bool is_first = group_member_generation(g->classic) < 0;
    if (!same_topics(g, topics, count)) {
        set_topics(g, topics, count);
        group_classic_resubscribe(g);
    } else if (is_first) {
        group_classic_resubscribe(g);
    }
    arena_deinit(&arena);
}

static void topics_done(struct client_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, topics_call);
    g->is_reading_topics = false;
    bool is_wanted = result != ERR_CANCELLED && g->pattern != NULL && !g->is_closing;
    if (is_wanted && result == ERR_NONE) take_topics(g, call->response);
    client_call_release(call);
    if (!is_wanted) return;
    const struct client_options *o = client_get_options(g->client);
    uint64_t wait = result == ERR_NONE ? o->metadata_max_age_ns : o->retry_backoff_max_ns;
    env_timer_start(g->env, &g->topics_timer, env_now_ns(g->env) + wait);
}

// Null topics: all.
static void topics_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, topics_timer);
    if (g->is_reading_topics || g->pattern == NULL) return;
    g->is_reading_topics = true;
    codec_init(&metadata_request_codec, &g->topics_request);
    g->topics_request.topics = NULL;
    g->topics_request.topics_count = -1;
    g->topics_request.allow_auto_topic_creation = false;
    g->topics_call = (struct client_call){.target = CLIENT_ANY,
                                          .api = API_METADATA,
                                          .version_min = 4,
                                          .version_max = INT16_MAX,
                                          .message = &g->topics_request,
                                          .done = topics_done};
    client_call_start(g->client, &g->topics_call);
}

// ---- Names of topic ids ----

struct topic_name {
    struct map_node by_id;
    struct uuid id;
    struct slice name;  // null: not known yet
    uint8_t bytes[];
};

static void names_done(struct client_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, names_call);
    g->is_resolving = false;
    bool any = false;
    const struct metadata_response *m = call->response;
    for (int32_t i = 0; result == ERR_NONE && i < m->topics_count; i++) {
        const struct metadata_response_topic *t = &m->topics[i];
        struct map_node *old = map_get(&g->names, slice_of(t->topic_id.bytes, sizeof t->topic_id));
        if (t->error_code != 0 || t->name.size == 0 || old == NULL) continue;
        struct topic_name *n = container_of(old, struct topic_name, by_id);
        if (!slice_is_null(n->name)) continue;
        struct topic_name *named = memory_zalloc(1, sizeof *named + t->name.size);
        named->id = n->id;
        memcpy(named->bytes, t->name.data, t->name.size);
        named->name = slice_of(named->bytes, t->name.size);
        map_remove(&g->names, &n->by_id);
        memory_free(n);
        map_put(&g->names, &named->by_id, slice_of(named->id.bytes, sizeof named->id));
        any = true;
    }
    client_call_release(call);
    if (result == ERR_CANCELLED) return;
    bool unknown = false;
    map_for_each(node, &g->names) {
        unknown |= slice_is_null(container_of(node, struct topic_name, by_id)->name);
    }
    // A topic that was just made may not be known everywhere; one that was deleted goes with the
    // next target.
    if (unknown) {
        uint64_t wait = client_get_options(g->client)->retry_backoff_max_ns;
        env_timer_start(g->env, &g->names_timer, env_now_ns(g->env) + wait);
    }
    if (any) group_modern_go_on(g);
}

static bool is_wanted(const struct group_consumer *g, struct uuid id) {
    for (int32_t i = 0; i < g->wanted_id_count; i++) {
        if (uuid_equal(g->wanted_ids[i].topic_id, id)) return true;
    }
    return false;
}

static void names_due(struct env_timer *timer) {
    struct group_consumer *g = container_of(timer, struct group_consumer, names_timer);
    enum { IDS_VERSION = 12 };
    if (g->is_resolving || g->is_closing) return;
    arena_reset(&g->names_arena);
    struct metadata_request *m = &g->names_request;
    codec_init(&metadata_request_codec, m);
    m->topics = metadata_request_topic_new(&g->names_arena, (int32_t)g->names.count);
    m->allow_auto_topic_creation = false;
    map_for_each(node, &g->names) {
        struct topic_name *n = container_of(node, struct topic_name, by_id);
        if (!slice_is_null(n->name)) continue;
        if (!is_wanted(g, n->id)) {
            map_remove(&g->names, &n->by_id);
            memory_free(n);
            continue;
        }
        m->topics[m->topics_count].topic_id = n->id;
        m->topics[m->topics_count++].name = SLICE_NULL;
    }
    if (m->topics_count == 0) return;
    g->is_resolving = true;
    g->names_call = (struct client_call){.target = CLIENT_ANY,
                                         .api = API_METADATA,
                                         .version_min = IDS_VERSION,
                                         .version_max = INT16_MAX,
                                         .message = m,
                                         .done = names_done};
    client_call_start(g->client, &g->names_call);
}

struct slice group_topic_name(struct group_consumer *g, struct uuid id) {
    struct map_node *node = map_get(&g->names, slice_of(id.bytes, sizeof id.bytes));
    if (node != NULL) return container_of(node, struct topic_name, by_id)->name;
    struct topic_name *n = memory_zalloc(1, sizeof *n);
    n->id = id;
    n->name = SLICE_NULL;
    map_put(&g->names, &n->by_id, slice_of(n->id.bytes, sizeof n->id.bytes));
    if (!g->is_resolving) env_timer_start(g->env, &g->names_timer, env_now_ns(g->env));
    return SLICE_NULL;
}

// ---- Subscribing ----

void group_topics_init(struct group_consumer *g) {
    g->expression = SLICE_NULL;
    map_init(&g->names, env_random(g->env));
    env_timer_init(&g->names_timer, names_due);
    env_timer_init(&g->topics_timer, topics_due);
}

enum err group_subscribe(struct group_consumer *g, const struct slice *topics, int32_t count,
                         struct slice expression, struct message *error) {
    bool by_name = slice_is_null(expression);
    if (by_name && count < 1) {
        message_set(error, "a member of a group needs topics");
        return ERR_INVALID;
    }
    struct pattern *pattern = NULL;
    if (!by_name && g->options.protocol == GROUP_CLASSIC) {
        enum err e = pattern_new(expression, &pattern, error);
        if (e != ERR_NONE) return e;
    }
    pattern_free(g->pattern);
    g->pattern = pattern;
    if (!by_name) {
        g->expression = expression;
    } else if (!slice_is_null(g->expression)) {
        g->expression = SLICE_EMPTY;  // takes back what the broker was told
    }
    set_topics(g, topics, by_name ? count : 0);
    env_timer_stop(g->env, &g->topics_timer);
    if (pattern != NULL) env_timer_start(g->env, &g->topics_timer, env_now_ns(g->env));
    return ERR_NONE;
}

void group_topics_free(struct group_consumer *g) {
    if (g->is_reading_topics) client_call_cancel(&g->topics_call);
    if (g->is_resolving) client_call_cancel(&g->names_call);
    env_timer_stop(g->env, &g->topics_timer);
    env_timer_stop(g->env, &g->names_timer);
    map_for_each(node, &g->names) memory_free(container_of(node, struct topic_name, by_id));
    map_deinit(&g->names);
    arena_deinit(&g->names_arena);
    arena_deinit(&g->subscription_arena);
    pattern_free(g->pattern);
}
