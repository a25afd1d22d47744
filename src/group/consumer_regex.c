// Subscriptions by regular expression. Which topics an expression matches is a record of the group
// (as in Kafka since 4.0), so that a new leader need not look at all topics at once. Looking them
// up is work for all topics there are: it is an operation of its own, soon after the heartbeat that
// asks for it, for all expressions of the group together, and at most every ten seconds. It is due
// when an expression is new, topics were created, or the last time is long ago.
#include "base/memory.h"
#include "base/pattern.h"
#include "group/consumer.h"
#include "group/topic_hash.h"
#include "wire/codec.h"

enum { REFRESH_MIN_MS = 10000 };

struct consumer_regex *consumer_regex_of(const struct consumer_group *c, struct slice text) {
    struct map_node *n = text.size == 0 ? NULL : map_get(&c->regexes, text);
    return n == NULL ? NULL : container_of(n, struct consumer_regex, by_text);
}

static struct consumer_regex *regex_get(struct consumer_group *c, struct slice text) {
    struct consumer_regex *r = consumer_regex_of(c, text);
    if (r != NULL) return r;
    r = memory_zalloc(1, sizeof *r + text.size);
    arena_init(&r->arena);
    memcpy(r->text, text.data, text.size);
    map_put(&c->regexes, &r->by_text, slice_of(r->text, text.size));
    return r;
}

static void forget_names(struct consumer_group *c, struct consumer_regex *r) {
    for (int32_t i = 0; i < r->names.count; i++)
        consumer_topic_count(c, r->names.items[i], 0, -1);
    r->names = (struct topic_names){NULL, 0};
    arena_deinit(&r->arena);
}

static void regex_release(struct consumer_group *c, struct consumer_regex *r) {
    if (r->member_count > 0 || r->is_resolved) return;
    map_remove(&c->regexes, &r->by_text);
    memory_free(r);
}

void consumer_regexes_free(struct consumer_group *c) {
    map_for_each(n, &c->regexes) {
        struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        forget_names(c, r);
        r->is_resolved = false;
        r->member_count = 0;
        regex_release(c, r);
    }
}

void consumer_regex_count(struct consumer_group *c, struct slice text, int32_t change) {
    struct consumer_regex *r = regex_get(c, text);
    r->member_count += change;
    regex_release(c, r);
}

void consumer_regex_apply(struct consumer_group *c, struct slice text,
                          const struct consumer_group_regular_expression_value *value) {
    if (text.size == 0) return;
    struct consumer_regex *r = regex_get(c, text);
    forget_names(c, r);
    r->is_resolved = value != NULL;
    if (value != NULL) {
        struct slice *names = arena_zalloc(&r->arena, (size_t)value->topics_count, sizeof *names);
        for (int32_t i = 0; i < value->topics_count; i++) {
            names[i] = arena_copy(&r->arena, value->topics[i]);
            consumer_topic_count(c, names[i], 0, 1);
        }
        slice_sort(names, (size_t)value->topics_count);
        r->names = (struct topic_names){names, value->topics_count};
        r->version = value->version;
        r->timestamp = value->timestamp;
    }
    regex_release(c, r);
}

enum err consumer_regex_check(struct slice text, struct message *error) {
    struct pattern *pattern;
    enum err err = pattern_new(text, &pattern, error);
    if (err == ERR_NONE) pattern_free(pattern);
    return err;
}

// ---- When it is due ----

// Whether `text` is used when one member goes from `from` to `to`.
static bool is_used(const struct consumer_regex *r, struct slice text, struct slice from,
                    struct slice to) {
    int32_t count = r == NULL ? 0 : r->member_count;
    return count - slice_equal(text, from) + slice_equal(text, to) > 0;
}

void consumer_regex_refresh(struct consumer_group *c, struct slice from, struct slice to) {
    const struct group_coordinator *coordinator = c->group->shard->coordinator;
    if (c->regexes.count == 0 && to.size == 0) return;
    if (env_timer_is_running(&c->resolve.timer)) return;
    int64_t last = INT64_MIN / 2, version = 0;
    int32_t used = 0, resolved = 0;
    map_for_each(n, &c->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        used += is_used(r, n->key, from, to);
        resolved += r->is_resolved;
        if (!r->is_resolved) continue;
        last = r->timestamp;
        version = r->version;
    }
    const struct consumer_regex *next = consumer_regex_of(c, to);
    bool is_new = to.size > 0 && (next == NULL || next->member_count == 0);
    used += to.size > 0 && next == NULL;
    int64_t now_ms = env_wall_ms(group_env(c->group->shard));
    if (used == 0 || now_ms <= last + REFRESH_MIN_MS) return;
    bool is_due = is_new || used != resolved || version < coordinator->topics_created_at ||
                  now_ms > last + config_int(coordinator->config,
                                             BROKER_GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS);
    if (is_due)
        runtime_timer_start(partition_log_shard(c->group->shard->log), &c->resolve,
                            env_now_ns(group_env(c->group->shard)));
}

// ---- Looking up ----

static struct topic_names match(const struct image *image, struct slice text, struct arena *arena) {
    struct topic_names out = {NULL, 0};
    struct pattern *pattern;
    struct message ignored;
    if (pattern_new(text, &pattern, &ignored) != ERR_NONE) return out;
    struct slice *names = arena_zalloc(arena, (size_t)image_topic_count(image), sizeof *names);
    for (const struct topic_image *t = image_topic_after(image, SLICE_NULL); t != NULL;
         t = image_topic_after(image, t->name))
        if (pattern_matches(pattern, t->name)) names[out.count++] = t->name;
    pattern_free(pattern);
    out.items = names;
    return out;
}

static bool same_names(const struct topic_names *a, const struct topic_names *b) {
    if (a->count != b->count) return false;
    for (int32_t i = 0; i < a->count; i++)
        if (!slice_equal(a->items[i], b->items[i])) return false;
    return true;
}

// What the group takes part in, with expressions as they are in `found`.
static struct topic_names all_names(const struct consumer_group *c, const struct topic_names *found,
                                    struct arena *arena) {
    size_t count = c->topics.count, i = 0;
    for (size_t k = 0; k < c->regexes.count; k++)
        count += (size_t)found[k].count;
    struct slice *names = arena_zalloc(arena, count, sizeof *names);
    map_for_each(n, &c->topics) {
        if (container_of(n, struct consumer_topic, by_name)->member_count > 0) names[i++] = n->key;
    }
    for (size_t k = 0; k < c->regexes.count; k++)
        for (int32_t t = 0; t < found[k].count; t++)
            names[i++] = found[k].items[t];
    return (struct topic_names){names, (int32_t)i};
}

static void resolve(struct group_shard *s, struct group *group, struct runtime_result *result) {
    if (group == NULL || group->consumer == NULL) return;
    struct consumer_group *c = group->consumer;
    const struct image *image = s->coordinator->image;
    int64_t now_ms = env_wall_ms(group_env(s));
    struct topic_names *found = arena_zalloc(result->arena, c->regexes.count, sizeof *found);
    size_t i = 0;
    bool changes = false;
    map_for_each(n, &c->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        if (r->member_count > 0) {
            found[i] = match(image, n->key, result->arena);
            changes |= !same_names(&found[i], &r->names);
            consumer_add_regex(group->id, n->key, &found[i], image_offset(image), now_ms, result);
        }
        i++;
    }
    struct topic_names names = all_names(c, found, result->arena);
    int64_t hash =
        topic_names_hash(image, (struct slice *)(uintptr_t)names.items, names.count, result->arena);
    if (!changes && hash == c->metadata_hash) return;
    consumer_add_group(group->id, c->epoch + 1, hash, result);
    c->topics_seen = s->coordinator->topics_version;
    c->epoch_seen = c->epoch + 1;
}

void consumer_regex_fired(struct runtime_timer *timer) {
    struct consumer_group *c = container_of(timer, struct consumer_group, resolve);
    group_run(c->group->shard, c->group->id, resolve);
}

// ---- What a member takes part in ----

struct topic_names consumer_names_of(const struct consumer_group *c,
                                     const struct member_metadata *m, struct arena *arena) {
    const struct consumer_regex *r = consumer_regex_of(c, m->regex);
    if (r == NULL || r->names.count == 0) return (struct topic_names){m->topics, m->topic_count};
    if (m->topic_count == 0) return r->names;
    struct slice *names =
        arena_zalloc(arena, (size_t)m->topic_count + (size_t)r->names.count, sizeof *names);
    int32_t count = 0, i = 0, k = 0;
    while (i < m->topic_count || k < r->names.count) {
        int order = i == m->topic_count   ? 1
                    : k == r->names.count ? -1
                                          : slice_compare(m->topics[i], r->names.items[k]);
        names[count++] = order <= 0 ? m->topics[i] : r->names.items[k];
        i += order <= 0;
        k += order >= 0;
    }
    return (struct topic_names){names, count};
}
