// Which topics a group takes part in, and its target assignment.
#include <stdlib.h>

#include "group/consumer.h"
#include "group/topic_hash.h"

// ---- Topics ----

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static bool names_topic(const struct member_metadata *m, struct slice name) {
    return m->topic_count > 0 && bsearch(&name, m->topics, (size_t)m->topic_count,
                                         sizeof *m->topics, compare_names) != NULL;
}

// How many members use the expression after the change.
static int32_t regex_members(const struct consumer_regex *r, const struct consumer_change *change) {
    int32_t count = r->member_count;
    for (int32_t i = 0; i < change->gone_count; i++)
        count -= slice_equal(change->gone[i]->metadata.regex, r->by_text.key);
    return count + (change->next != NULL && slice_equal(change->next->regex, r->by_text.key));
}

static int32_t topic_members(const struct consumer_topic *t, const struct consumer_change *change) {
    int32_t count = t->member_count;
    for (int32_t i = 0; i < change->gone_count; i++)
        count -= names_topic(&change->gone[i]->metadata, t->by_name.key);
    return count;
}

int64_t consumer_hash_with(const struct consumer_group *c, const struct consumer_change *change,
                           struct arena *arena) {
    size_t room = c->topics.count, count = 0;
    room += change->next == NULL ? 0 : (size_t)change->next->topic_count;
    map_for_each(n, &c->regexes) {
        room += (size_t)container_of(n, struct consumer_regex, by_text)->names.count;
    }
    struct slice *names = arena_zalloc(arena, room, sizeof *names);
    map_for_each(n, &c->topics) {
        if (topic_members(container_of(n, struct consumer_topic, by_name), change) > 0)
            names[count++] = n->key;
    }
    for (int32_t i = 0; change->next != NULL && i < change->next->topic_count; i++)
        names[count++] = change->next->topics[i];
    map_for_each(n, &c->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        bool is_used = regex_members(r, change) > 0;
        for (int32_t i = 0; is_used && i < r->names.count; i++)
            names[count++] = r->names.items[i];
    }
    return topic_names_hash(c->group->shard->coordinator->image, names, (int32_t)count, arena);
}

// ---- The assignor ----

// The one that most members name; the first one of the configuration when none is named.
struct slice consumer_assignor_with(const struct consumer_group *c,
                                    const struct consumer_change *change) {
    struct config_list known =
        config_strings(c->group->shard->coordinator->config, BROKER_GROUP_CONSUMER_ASSIGNORS);
    struct slice best = known.items[0];
    int32_t best_votes = 0;
    for (int32_t i = 0; i < known.count; i++) {
        struct slice name = known.items[i];
        int32_t votes = group_vote_count(&c->assignors, name);
        for (int32_t k = 0; k < change->gone_count; k++)
            votes -= slice_equal(change->gone[k]->metadata.server_assignor, name);
        votes += change->next != NULL && slice_equal(change->next->server_assignor, name);
        if (assignor_find(name) == NULL || votes <= best_votes) continue;
        best = name;
        best_votes = votes;
    }
    return best;
}

// ---- Members as they will be ----

struct view {
    struct slice id;
    const struct member_metadata *metadata;
    struct topic_names names;
    const struct partition_list *target;
    bool has_target;  // under this id
};

static const struct partition_list no_partitions;

static bool is_gone(const struct consumer_change *change, const struct consumer_member *m) {
    for (int32_t i = 0; i < change->gone_count; i++)
        if (change->gone[i] == m) return true;
    return false;
}

// All members, the one that comes in its own place when it is there already (or takes over from a
// static one), else last.
static struct view *views_of(const struct consumer_group *c, const struct consumer_change *change,
                             int32_t *count, struct arena *arena) {
    struct view *views = arena_zalloc(arena, c->members.count + 1, sizeof *views);
    bool placed = change->next == NULL;
    *count = 0;
    map_for_each(n, &c->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        struct view view = {.id = m->id,
                            .metadata = &m->metadata,
                            .target = &m->target,
                            .has_target = m->has_target};
        if (is_gone(change, m)) {
            if (placed) continue;
            placed = true;
            view.has_target = m->has_target && slice_equal(m->id, change->id);
            view.id = change->id;
            view.metadata = change->next;
        } else if (!m->has_metadata) {
            continue;
        }
        views[(*count)++] = view;
    }
    if (!placed)
        views[(*count)++] =
            (struct view){.id = change->id, .metadata = change->next, .target = &no_partitions};
    for (int32_t i = 0; i < *count; i++)
        views[i].names = consumer_names_of(c, views[i].metadata, arena);
    return views;
}

static int compare_topics(const void *a, const void *b) {
    const struct assignor_topic *x = a, *y = b;
    return memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
}

// The topics of all views that exist, in order of id. Members of a large group subscribe to the
// same few: the names of two views that are the same list are looked at once.
static int32_t topics_of(const struct image *image, const struct view *views, int32_t count,
                         struct assignor_topic **out, struct arena *arena) {
    size_t room = 0, used = 0;
    for (int32_t i = 0; i < count; i++)
        room += (size_t)views[i].names.count;
    struct slice *names = arena_zalloc(arena, room, sizeof *names);
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < views[i].names.count; k++)
            names[used++] = views[i].names.items[k];
    slice_sort(names, used);
    struct assignor_topic *topics = arena_zalloc(arena, used, sizeof *topics);
    int32_t known = 0;
    for (size_t i = 0; i < used; i++) {
        if (i > 0 && slice_equal(names[i - 1], names[i])) continue;
        const struct topic_image *t = image_topic(image, names[i]);
        if (t != NULL) topics[known++] = (struct assignor_topic){t->id, t->partition_count};
    }
    if (known > 1) qsort(topics, (size_t)known, sizeof *topics, compare_topics);
    *out = topics;
    return known;
}

// ---- The target ----

static int compare_indexes(const void *a, const void *b) {
    return *(const int32_t *)a - *(const int32_t *)b;
}

static void subscribe(const struct image *image, const struct view *view,
                      const struct assignor_input *input, struct assignor_member *member,
                      struct arena *arena) {
    int32_t *indexes = arena_zalloc(arena, (size_t)view->names.count, sizeof *indexes);
    int32_t count = 0;
    for (int32_t i = 0; i < view->names.count; i++) {
        const struct topic_image *t = image_topic(image, view->names.items[i]);
        if (t == NULL) continue;
        struct assignor_topic wanted = {t->id, 0};
        const struct assignor_topic *found =
            bsearch(&wanted, input->topics, (size_t)input->topic_count, sizeof *input->topics,
                    compare_topics);
        if (found != NULL) indexes[count++] = (int32_t)(found - input->topics);
    }
    if (count > 1) qsort(indexes, (size_t)count, sizeof *indexes, compare_indexes);
    member->topics = indexes;
    member->topic_count = count;
}

// Kafka's choice between its two uniform assignors is made of names and expressions as they are
// written, not of the topics that come of them.
static bool subscribe_equally(const struct view *views, int32_t count) {
    for (int32_t i = 1; i < count; i++) {
        const struct member_metadata *a = views[0].metadata, *b = views[i].metadata;
        if (!slice_equal(a->regex, b->regex) || a->topic_count != b->topic_count) return false;
        for (int32_t k = 0; k < a->topic_count; k++)
            if (!slice_equal(a->topics[k], b->topics[k])) return false;
    }
    return count == 0 || views[0].metadata->regex.size == 0 || views[0].metadata->topic_count == 0;
}

struct partition_list consumer_retarget(const struct consumer_group *c,
                                        const struct consumer_change *change, int32_t epoch,
                                        struct runtime_result *result) {
    struct arena *arena = result->arena;
    const struct image *image = c->group->shard->coordinator->image;
    int32_t count;
    struct view *views = views_of(c, change, &count, arena);
    struct assignor_topic *topics;
    struct assignor_input input = {
        .members = arena_zalloc(arena, (size_t)count, sizeof *input.members),
        .member_count = count,
        .is_homogeneous = subscribe_equally(views, count),
    };
    input.topic_count = topics_of(image, views, count, &topics, arena);
    input.topics = topics;
    for (int32_t i = 0; i < count; i++) {
        struct assignor_member *m = &input.members[i];
        m->id = views[i].id;
        m->instance_id = views[i].metadata->instance_id;
        m->now = views[i].target;
        subscribe(image, &views[i], &input, m, arena);
    }
    assign_function *assign = assignor_find(consumer_assignor_with(c, change));
    (assign == NULL ? assign_uniform : assign)(&input, arena);
    struct partition_list mine = {NULL, 0};
    for (int32_t i = 0; i < count; i++) {
        const struct partition_list *target = &input.members[i].target;
        if (!views[i].has_target || !partition_list_equal(target, views[i].target))
            consumer_add_target(c->group->id, views[i].id, target, result);
        if (slice_equal(views[i].id, change->id)) mine = *target;
    }
    consumer_add_target_epoch(c->group->id, epoch, env_wall_ms(group_env(c->group->shard)), result);
    return mine;
}
