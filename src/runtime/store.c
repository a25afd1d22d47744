#include "runtime/store.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "wire/codec.h"

// What a key had before a change, in the store or in a transaction.
struct store_undo {
    struct list link;
    int64_t offset;  // of the change
    bool was_there;
    int64_t old_offset;
    int64_t producer_id;     // -1: the store's own entry
    int16_t producer_epoch;  // of the transaction
    size_t key_size;
    size_t value_size;
    uint8_t bytes[];  // key, value
};

void store_init(struct store *s, uint64_t seed,
                enum err (*apply)(void *, struct slice, struct slice), void *context) {
    *s = (struct store){.apply = apply, .context = context};
    map_init(&s->entries, seed);
    map_init(&s->transactions, seed);
    list_init(&s->undo);
}

// ---- Entries ----

static struct store_entry *entry_of(struct map_node *n) {
    return n == NULL ? NULL : container_of(n, struct store_entry, by_key);
}

static struct store_entry *entry_in(const struct map *m, struct slice key) {
    return entry_of(map_get(m, key));
}

static void entry_free(struct map *m, struct store_entry *e) {
    map_remove(m, &e->by_key);
    memory_free((void *)(uintptr_t)e->value.data);
    memory_free(e);
}

// Values have a block of their own, since they change and keys do not.
static void entry_set(struct map *m, struct store_entry *e, struct slice key, struct slice value,
                      int64_t offset) {
    if (e == NULL) {
        e = memory_zalloc(1, sizeof *e + key.size);
        uint8_t *copy = memcpy(e + 1, key.data, key.size);
        map_put(m, &e->by_key, slice_of(copy, key.size));
    }
    uint8_t *block = (uint8_t *)(uintptr_t)e->value.data;
    if (block == NULL || e->capacity < value.size || e->capacity > 4 * value.size + 64) {
        memory_free(block);
        block = memory_alloc(value.size);
        e->capacity = value.size;
    }
    if (value.size > 0) memmove(block, value.data, value.size);
    e->value = slice_of(block, value.size);
    e->offset = offset;
}

// ---- Transactions ----

static struct store_transaction *transaction_of(const struct store *s, int64_t producer_id) {
    uint8_t key[8];
    store_i64(key, producer_id);
    struct map_node *n = map_get(&s->transactions, slice_of(key, sizeof key));
    return n == NULL ? NULL : container_of(n, struct store_transaction, by_producer);
}

static struct store_transaction *transaction_get(struct store *s, int64_t producer_id,
                                                 int16_t producer_epoch) {
    struct store_transaction *t = transaction_of(s, producer_id);
    if (t == NULL) {
        t = memory_zalloc(1, sizeof *t + 8);
        t->producer_id = producer_id;
        map_init(&t->entries, s->transactions.seed);
        uint8_t *key = (uint8_t *)(t + 1);
        store_i64(key, producer_id);
        map_put(&s->transactions, &t->by_producer, slice_of(key, 8));
    }
    t->producer_epoch = producer_epoch;
    return t;
}

static void transaction_release(struct store *s, struct store_transaction *t) {
    if (t->entries.count > 0) return;
    map_deinit(&t->entries);
    map_remove(&s->transactions, &t->by_producer);
    memory_free(t);
}

void store_deinit(struct store *s) {
    map_for_each(n, &s->entries) entry_free(&s->entries, entry_of(n));
    map_deinit(&s->entries);
    map_for_each(n, &s->transactions) {
        struct store_transaction *t = container_of(n, struct store_transaction, by_producer);
        map_for_each(m, &t->entries) entry_free(&t->entries, entry_of(m));
        transaction_release(s, t);
    }
    map_deinit(&s->transactions);
    for (struct list *l; (l = list_pop(&s->undo)) != NULL;) {
        memory_free(container_of(l, struct store_undo, link));
    }
}

struct slice store_get(const struct store *s, struct slice key) {
    const struct store_entry *e = entry_in(&s->entries, key);
    return e == NULL ? SLICE_NULL : e->value;
}

// ---- The two changes, without a way back ----

static enum err set(struct store *s, struct slice key, struct slice value, int64_t offset) {
    struct store_entry *e = entry_in(&s->entries, key);
    size_t before = e == NULL ? 0 : key.size + e->value.size;
    if (!slice_is_null(value)) {
        entry_set(&s->entries, e, key, value, offset);
        s->bytes += key.size + value.size;
    } else if (e != NULL) {
        entry_free(&s->entries, e);
    }
    s->bytes -= before;
    return s->keeps_undo ? s->apply(s->context, key, store_get(s, key)) : ERR_NONE;
}

static enum err tell_pending(const struct store *s, struct slice key, bool more) {
    return s->keeps_undo && s->pending != NULL ? s->pending(s->context, key, more) : ERR_NONE;
}

// A null value takes the key out.
static enum err set_pending(struct store *s, int64_t producer_id, int16_t producer_epoch,
                            struct slice key, struct slice value, int64_t offset) {
    struct store_transaction *t = transaction_get(s, producer_id, producer_epoch);
    struct store_entry *e = entry_in(&t->entries, key);
    enum err err = ERR_NONE;
    if (!slice_is_null(value)) {
        entry_set(&t->entries, e, key, value, offset);
        if (e == NULL) err = tell_pending(s, key, true);
    } else if (e != NULL) {
        err = tell_pending(s, key, false);
        entry_free(&t->entries, e);
    }
    transaction_release(s, t);
    return err;
}

// ---- The way back ----

static void keep_undo(struct store *s, const struct store_transaction *t, struct slice key,
                      const struct store_entry *old, int64_t offset) {
    if (!s->keeps_undo) return;
    struct slice value = old == NULL ? SLICE_EMPTY : old->value;
    struct store_undo *u = memory_alloc(sizeof *u + key.size + value.size);
    u->offset = offset;
    u->was_there = old != NULL;
    u->old_offset = old == NULL ? -1 : old->offset;
    u->producer_id = t == NULL ? -1 : t->producer_id;
    u->producer_epoch = t == NULL ? -1 : t->producer_epoch;
    u->key_size = key.size;
    u->value_size = value.size;
    memcpy(u->bytes, key.data, key.size);
    if (value.size > 0) memcpy(u->bytes + key.size, value.data, value.size);
    list_init(&u->link);
    list_append(&s->undo, &u->link);
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
        struct slice value =
            u->was_there ? slice_of(u->bytes + u->key_size, u->value_size) : SLICE_NULL;
        // The value was applied before: applying it again cannot fail.
        enum err err = u->producer_id < 0 ? set(s, key, value, u->old_offset)
                                          : set_pending(s, u->producer_id, u->producer_epoch, key,
                                                        value, u->old_offset);
        assert(err == ERR_NONE);
        list_remove(&u->link);
        memory_free(u);
    }
}

// ---- Records ----

// The key leaves all open transactions: it was removed.
static enum err drop_pending(struct store *s, struct slice key, int64_t offset) {
    enum err err = ERR_NONE;
    map_for_each(n, &s->transactions) {
        struct store_transaction *t = container_of(n, struct store_transaction, by_producer);
        const struct store_entry *e = entry_in(&t->entries, key);
        if (e == NULL || err != ERR_NONE) continue;
        keep_undo(s, t, key, e, offset);
        err = set_pending(s, t->producer_id, t->producer_epoch, key, SLICE_NULL, offset);
    }
    return err;
}

enum err store_put(struct store *s, struct slice key, struct slice value, int64_t offset) {
    keep_undo(s, NULL, key, entry_in(&s->entries, key), offset);
    enum err err = set(s, key, value, offset);
    if (err == ERR_NONE && slice_is_null(value)) err = drop_pending(s, key, offset);
    return err;
}

enum err store_put_pending(struct store *s, int64_t producer_id, int16_t producer_epoch,
                           struct slice key, struct slice value, int64_t offset) {
    if (slice_is_null(value)) return store_put(s, key, value, offset);
    struct store_transaction *t = transaction_get(s, producer_id, producer_epoch);
    keep_undo(s, t, key, entry_in(&t->entries, key), offset);
    return set_pending(s, producer_id, producer_epoch, key, value, offset);
}

enum err store_end_transaction(struct store *s, int64_t producer_id, bool commit, int64_t offset) {
    struct store_transaction *t = transaction_of(s, producer_id);
    if (t == NULL) return ERR_NONE;
    enum err err = ERR_NONE;
    for (size_t left = t->entries.count; left > 0 && err == ERR_NONE; left--) {
        struct store_entry *e =
            entry_of(container_of(t->entries.order.next, struct map_node, order));
        struct slice key = e->by_key.key;
        const struct store_entry *now = entry_in(&s->entries, key);
        if (commit && (now == NULL || now->offset < e->offset)) {
            keep_undo(s, NULL, key, now, offset);
            err = set(s, key, e->value, e->offset);
        }
        if (err != ERR_NONE) return err;
        keep_undo(s, t, key, e, offset);
        err = set_pending(s, producer_id, t->producer_epoch, key, SLICE_NULL, offset);
    }
    return err;
}

// ---- Loading ----

enum err store_loaded(struct store *s) {
    s->keeps_undo = true;
    map_for_each(n, &s->entries) {
        struct store_entry *e = entry_of(n);
        enum err err = s->apply(s->context, e->by_key.key, e->value);
        if (err != ERR_NONE) return err;
    }
    map_for_each(n, &s->transactions) {
        struct store_transaction *t = container_of(n, struct store_transaction, by_producer);
        map_for_each(m, &t->entries) {
            enum err err = tell_pending(s, entry_of(m)->by_key.key, true);
            if (err != ERR_NONE) return err;
        }
    }
    return ERR_NONE;
}

static uint64_t hash_entries(const struct map *entries, uint64_t seed) {
    uint64_t hash = entries->count;
    map_for_each(n, entries) {
        const struct store_entry *e = container_of(n, struct store_entry, by_key);
        hash += slice_hash(e->value, slice_hash(e->by_key.key, seed));
    }
    return hash;
}

uint64_t store_hash(const struct store *s) {
    uint64_t hash = hash_entries(&s->entries, 1);
    map_for_each(n, &s->transactions) {
        const struct store_transaction *t = container_of(n, struct store_transaction, by_producer);
        hash += hash_entries(&t->entries, 2 + (uint64_t)t->producer_id);
    }
    return hash;
}

struct store_fingerprint store_fingerprint(const struct store *store, int32_t partition,
                                           bool is_loaded) {
    return (struct store_fingerprint){.partition = partition,
                                      .is_loaded = is_loaded,
                                      .is_durable = list_is_empty(&store->undo),
                                      .hash = store_hash(store)};
}

struct slice store_encode(struct arena *arena, int16_t prefix, const struct codec_struct *codec,
                          int16_t version, void *message) {
    struct chain out;
    chain_init(&out);
    chain_u16(&out, (uint16_t)prefix);
    struct message error;
    message_init(&error);
    enum err err = codec_encode(codec, version, message, &out, &error);
    if (err != ERR_NONE) fatal("a record of our own does not encode: %s", error.text);
    uint8_t *bytes = arena_alloc(arena, out.size);
    size_t size = out.size;
    assert(chain_copy_out(&out, bytes));
    chain_deinit(&out);
    return slice_of(bytes, size);
}
