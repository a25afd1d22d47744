#include "runtime/store.h"

#include "base/assert.h"
#include "base/memory.h"

struct store_undo {
    struct list link;
    int64_t offset;
    bool was_there;
    size_t key_size;
    size_t value_size;
    uint8_t bytes[];  // key, value
};

void store_init(struct store *s, uint64_t seed,
                enum err (*apply)(void *, struct slice, struct slice), void *context) {
    *s = (struct store){.apply = apply, .context = context};
    map_init(&s->entries, seed);
    list_init(&s->undo);
}

static struct store_entry *entry_of(struct map_node *n) {
    return container_of(n, struct store_entry, by_key);
}

static void entry_free(struct store *s, struct store_entry *e) {
    map_remove(&s->entries, &e->by_key);
    s->bytes -= e->by_key.key.size + e->value.size;
    memory_free((void *)(uintptr_t)e->value.data);
    memory_free(e);
}

void store_deinit(struct store *s) {
    map_for_each(n, &s->entries) entry_free(s, entry_of(n));
    map_deinit(&s->entries);
    for (struct list *l; (l = list_pop(&s->undo)) != NULL;) {
        memory_free(container_of(l, struct store_undo, link));
    }
}

struct slice store_get(const struct store *s, struct slice key) {
    struct map_node *n = map_get(&s->entries, key);
    return n == NULL ? SLICE_NULL : entry_of(n)->value;
}

static void keep_undo(struct store *s, struct slice key, const struct store_entry *old,
                      int64_t offset) {
    struct slice value = old == NULL ? SLICE_EMPTY : old->value;
    struct store_undo *u = memory_alloc(sizeof *u + key.size + value.size);
    u->offset = offset;
    u->was_there = old != NULL;
    u->key_size = key.size;
    u->value_size = value.size;
    memcpy(u->bytes, key.data, key.size);
    if (value.size > 0) memcpy(u->bytes + key.size, value.data, value.size);
    list_init(&u->link);
    list_append(&s->undo, &u->link);
}

// The change itself. Values have a block of their own, since they change and keys do not.
static void set(struct store *s, struct slice key, struct slice value) {
    struct map_node *n = map_get(&s->entries, key);
    if (slice_is_null(value)) {
        if (n != NULL) entry_free(s, entry_of(n));
        return;
    }
    struct store_entry *e = n == NULL ? NULL : entry_of(n);
    if (e == NULL) {
        e = memory_zalloc(1, sizeof *e + key.size);
        uint8_t *copy = memcpy(e + 1, key.data, key.size);
        map_put(&s->entries, &e->by_key, slice_of(copy, key.size));
        s->bytes += key.size;
    }
    uint8_t *block = (uint8_t *)(uintptr_t)e->value.data;
    if (block == NULL || e->capacity < value.size || e->capacity > 4 * value.size + 64) {
        memory_free(block);
        block = memory_alloc(value.size);
        e->capacity = value.size;
    }
    if (value.size > 0) memmove(block, value.data, value.size);
    s->bytes += value.size;
    s->bytes -= e->value.size;
    e->value = slice_of(block, value.size);
}

enum err store_put(struct store *s, struct slice key, struct slice value, int64_t offset) {
    if (!s->keeps_undo) {
        set(s, key, value);
        return ERR_NONE;
    }
    struct map_node *n = map_get(&s->entries, key);
    keep_undo(s, key, n == NULL ? NULL : entry_of(n), offset);
    set(s, key, value);
    return s->apply(s->context, key, store_get(s, key));
}

void store_committed(struct store *s, int64_t offset) {
    while (!list_is_empty(&s->undo)) {
        struct store_undo *u = container_of(s->undo.next, struct store_undo, link);
        if (u->offset > offset) return;
        list_remove(&u->link);
        memory_free(u);
    }
}

void store_rollback(struct store *s, int64_t offset) {
    while (!list_is_empty(&s->undo)) {
        struct store_undo *u = container_of(s->undo.previous, struct store_undo, link);
        if (u->offset <= offset) return;
        struct slice key = slice_of(u->bytes, u->key_size);
        set(s, key, u->was_there ? slice_of(u->bytes + u->key_size, u->value_size) : SLICE_NULL);
        // The value was applied before: applying it again cannot fail.
        enum err err = s->apply(s->context, key, store_get(s, key));
        assert(err == ERR_NONE);
        list_remove(&u->link);
        memory_free(u);
    }
}

enum err store_loaded(struct store *s) {
    map_for_each(n, &s->entries) {
        struct store_entry *e = entry_of(n);
        enum err err = s->apply(s->context, e->by_key.key, e->value);
        if (err != ERR_NONE) return err;
    }
    s->keeps_undo = true;
    return ERR_NONE;
}

uint64_t store_hash(const struct store *s) {
    uint64_t hash = s->entries.count;
    map_for_each(n, &s->entries) {
        struct store_entry *e = entry_of(n);
        hash += slice_hash(e->value, slice_hash(e->by_key.key, 1));
    }
    return hash;
}
