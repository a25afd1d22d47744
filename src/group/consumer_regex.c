// Subscriptions by regular expression. A group keeps its expressions compiled, with the topics that
// they match; these are looked up again when the image is another one, but at most every ten
// seconds: a new topic need not be there at once, and walking all topics is work.
#include <stdlib.h>

#include "base/memory.h"
#include "base/pattern.h"
#include "group/consumer.h"

#define REFRESH_NS 10000000000ULL

struct regex_entry {
    struct list link;
    struct pattern *pattern;
    struct arena arena;  // of the names
    const struct slice *names;
    int32_t count;
    int64_t image_offset;
    uint64_t resolved_ns;
    size_t size;
    uint8_t text[];
};

struct consumer_regexes {
    struct list entries;
};

struct consumer_regexes *consumer_regexes_new(void) {
    struct consumer_regexes *r = memory_zalloc(1, sizeof *r);
    list_init(&r->entries);
    return r;
}

static void entry_free(struct regex_entry *e) {
    list_remove(&e->link);
    pattern_free(e->pattern);
    arena_deinit(&e->arena);
    memory_free(e);
}

void consumer_regexes_free(struct consumer_regexes *r) {
    list_for_each_safe(link, &r->entries) entry_free(container_of(link, struct regex_entry, link));
    memory_free(r);
}

static struct regex_entry *find(const struct consumer_group *c, struct slice text) {
    list_for_each(link, &c->regexes->entries) {
        struct regex_entry *e = container_of(link, struct regex_entry, link);
        if (slice_equal(slice_of(e->text, e->size), text)) return e;
    }
    return NULL;
}

static bool is_used(const struct consumer_group *c, const struct regex_entry *e) {
    map_for_each(n, &c->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        if (slice_equal(m->metadata.regex, slice_of(e->text, e->size))) return true;
    }
    return false;
}

enum err consumer_regex_check(const struct consumer_group *c, struct slice text,
                              struct message *error) {
    if (text.size == 0 || find(c, text) != NULL) return ERR_NONE;
    struct pattern *pattern;
    enum err err = pattern_new(text, &pattern, error);
    if (err != ERR_NONE) return err;
    list_for_each_safe(link, &c->regexes->entries) {
        struct regex_entry *old = container_of(link, struct regex_entry, link);
        if (!is_used(c, old)) entry_free(old);
    }
    struct regex_entry *e = memory_zalloc(1, sizeof *e + text.size);
    arena_init(&e->arena);
    e->pattern = pattern;
    e->image_offset = -1;
    e->size = text.size;
    memcpy(e->text, text.data, text.size);
    list_append(&c->regexes->entries, &e->link);
    return ERR_NONE;
}

static void resolve(const struct consumer_group *c, struct regex_entry *e) {
    const struct image *image = c->group->shard->coordinator->image;
    uint64_t now = env_now_ns(group_env(c->group->shard));
    bool fresh = e->image_offset >= 0 && now - e->resolved_ns < REFRESH_NS;
    if (e->image_offset == image_offset(image) || fresh) return;
    arena_reset(&e->arena);
    struct slice *names = arena_zalloc(&e->arena, (size_t)image_topic_count(image), sizeof *names);
    e->count = 0;
    for (const struct topic_image *t = image_topic_after(image, SLICE_NULL); t != NULL;
         t = image_topic_after(image, t->name))
        if (pattern_matches(e->pattern, t->name))
            names[e->count++] = arena_copy(&e->arena, t->name);
    e->names = names;
    e->image_offset = image_offset(image);
    e->resolved_ns = now;
}

static int compare_names(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

struct topic_names consumer_names_of(const struct consumer_group *c,
                                     const struct member_metadata *m, struct arena *arena) {
    struct regex_entry *e = m->regex.size == 0 ? NULL : find(c, m->regex);
    if (e == NULL && m->regex.size > 0 && consumer_regex_check(c, m->regex, NULL) == ERR_NONE)
        e = find(c, m->regex);  // of a member that was loaded
    if (e == NULL) return (struct topic_names){m->topics, m->topic_count};
    resolve(c, e);
    struct slice *names =
        arena_zalloc(arena, (size_t)m->topic_count + (size_t)e->count, sizeof *names);
    int32_t count = 0, kept = 0;
    for (int32_t i = 0; i < m->topic_count; i++)
        names[count++] = m->topics[i];
    for (int32_t i = 0; i < e->count; i++)
        names[count++] = e->names[i];
    if (count > 0) qsort(names, (size_t)count, sizeof *names, compare_names);
    for (int32_t i = 0; i < count; i++)
        if (kept == 0 || !slice_equal(names[kept - 1], names[i])) names[kept++] = names[i];
    return (struct topic_names){names, kept};
}

bool consumer_regex_matches(const struct consumer_group *c, struct slice text, struct slice topic) {
    const struct regex_entry *e = text.size == 0 ? NULL : find(c, text);
    return e != NULL && pattern_matches(e->pattern, topic);
}
