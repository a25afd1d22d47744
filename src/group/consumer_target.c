// Which topics a group takes part in, and its target assignment.
#include <stdlib.h>

#include "group/consumer.h"
#include "group/topic_hash.h"
#include "metadata/effective_config.h"

// ---- Members as they will be ----

struct view {
    struct slice id;
    const struct member_metadata *metadata;
    struct topic_names names;
    const struct partition_list *target;
};

static const struct partition_list no_partitions;

// All members, with `next` in place of `id`; in the group's order, a new one last.
static struct view *views_of(const struct consumer_group *c, struct slice id,
                             const struct member_metadata *next, int32_t *count,
                             struct arena *arena) {
    struct view *views = arena_zalloc(arena, c->members.count + 1, sizeof *views);
    bool found = false;
    *count = 0;
    map_for_each(n, &c->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        bool same = slice_equal(m->id, id);
        found = found || same;
        if (!m->has_metadata && !same) continue;
        if (same && next == NULL) continue;
        views[(*count)++] = (struct view){
            .id = m->id, .metadata = same ? next : &m->metadata, .target = &m->target};
    }
    if (!found && next != NULL)
        views[(*count)++] = (struct view){.id = id, .metadata = next, .target = &no_partitions};
    for (int32_t i = 0; i < *count; i++)
        views[i].names = consumer_names_of(c, views[i].metadata, arena);
    return views;
}

// ---- Topics ----

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static int compare_topics(const void *a, const void *b) {
    const struct assignor_topic *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

struct consumer_topics consumer_topics_of(const struct consumer_group *c, struct slice id,
                                          const struct member_metadata *next, struct arena *arena) {
    const struct image *image = c->group->shard->coordinator->image;
    int32_t count, names = 0, used = 0;
    struct view *views = views_of(c, id, next, &count, arena);
    for (int32_t i = 0; i < count; i++)
        names += views[i].names.count;
    struct slice *all = arena_zalloc(arena, (size_t)names, sizeof *all);
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < views[i].names.count; k++)
            all[used++] = views[i].names.items[k];
    if (names > 0) qsort(all, (size_t)names, sizeof *all, compare_names);
    struct consumer_topics topics = {.items =
                                         arena_zalloc(arena, (size_t)names, sizeof *topics.items)};
    int64_t *hashes = arena_zalloc(arena, (size_t)names, sizeof *hashes);
    for (int32_t i = 0; i < names; i++) {
        if (i > 0 && slice_equal(all[i - 1], all[i])) continue;
        const struct topic_image *t = image_topic(image, all[i]);
        if (t == NULL) continue;
        hashes[topics.count] = topic_hash(image, t);
        topics.items[topics.count++] = (struct assignor_topic){t->id, t->partition_count};
    }
    topics.hash = topic_hashes_combine(hashes, topics.count);
    if (topics.count > 0)
        qsort(topics.items, (size_t)topics.count, sizeof *topics.items, compare_topics);
    return topics;
}

// ---- The target ----

static int compare_indexes(const void *a, const void *b) {
    return *(const int32_t *)a - *(const int32_t *)b;
}

static void subscribe(const struct image *image, const struct view *view,
                      const struct consumer_topics *topics, struct assignor_member *member,
                      struct arena *arena) {
    int32_t *indexes = arena_zalloc(arena, (size_t)view->names.count, sizeof *indexes);
    int32_t count = 0;
    for (int32_t i = 0; i < view->names.count; i++) {
        const struct topic_image *t = image_topic(image, view->names.items[i]);
        if (t == NULL) continue;
        struct assignor_topic wanted = {t->id, 0};
        const struct assignor_topic *found = bsearch(&wanted, topics->items, (size_t)topics->count,
                                                     sizeof *topics->items, compare_topics);
        if (found != NULL) indexes[count++] = (int32_t)(found - topics->items);
    }
    if (count > 0) qsort(indexes, (size_t)count, sizeof *indexes, compare_indexes);
    member->topics = indexes;
    member->topic_count = count;
}

// The assignor that most members name; the first one of the configuration when none is named.
static assign_function *choose_assignor(const struct consumer_group *c, const struct view *views,
                                        int32_t count) {
    struct config_list known =
        config_strings(c->group->shard->coordinator->config, BROKER_GROUP_CONSUMER_ASSIGNORS);
    assign_function *best = NULL;
    int32_t best_votes = 0;
    for (int32_t i = 0; i < known.count; i++) {
        assign_function *candidate = assignor_find(known.items[i]);
        int32_t votes = 0;
        for (int32_t k = 0; k < count; k++)
            votes += slice_equal(views[k].metadata->server_assignor, known.items[i]);
        if (candidate == NULL || (best != NULL && votes <= best_votes)) continue;
        best = candidate;
        best_votes = votes;
    }
    return best == NULL ? assign_uniform : best;
}

struct partition_list consumer_retarget(const struct consumer_group *c, struct slice id,
                                        const struct member_metadata *next,
                                        const struct consumer_topics *topics, int32_t epoch,
                                        struct runtime_result *result) {
    struct arena *arena = result->arena;
    int32_t count;
    struct view *views = views_of(c, id, next, &count, arena);
    struct assignor_input input = {
        .topics = topics->items,
        .topic_count = topics->count,
        .members = arena_zalloc(arena, (size_t)count, sizeof *input.members),
        .member_count = count,
    };
    for (int32_t i = 0; i < count; i++) {
        struct assignor_member *m = &input.members[i];
        m->id = views[i].id;
        m->instance_id = views[i].metadata->instance_id;
        m->now = views[i].target;
        subscribe(c->group->shard->coordinator->image, &views[i], topics, m, arena);
    }
    choose_assignor(c, views, count)(&input, arena);
    struct partition_list mine = {NULL, 0};
    for (int32_t i = 0; i < count; i++) {
        const struct consumer_member *m = consumer_member_of(c, views[i].id);
        struct partition_list *target = &input.members[i].target;
        if (m == NULL || !m->has_target || !partition_list_equal(target, &m->target))
            consumer_add_target(c->group->id, views[i].id, target, result);
        if (slice_equal(views[i].id, id)) mine = *target;
    }
    consumer_add_target_epoch(c, epoch, result);
    return mine;
}

void consumer_add_departures(const struct consumer_group *c, struct slice id, int32_t gone,
                             struct runtime_result *result) {
    struct consumer_topics left = consumer_topics_of(c, id, NULL, result->arena);
    consumer_add_group(c, c->epoch + 1, left.hash, result);
    if ((size_t)gone == c->members.count) consumer_add_target_epoch(c, c->epoch + 1, result);
}
