// A persistent ordered map from bytes to refcounted items: the stuff that images are made of. A
// version of the map is its root pointer (NULL: empty). Versions share all nodes that did not
// change between them.
//
// Nodes and items count their references. A change walks down from the root and copies a node only
// when somebody else holds it too; what only this root holds is changed in place. So keeping an old
// version costs nothing, and a long run of changes with no old version kept costs no copies.
//
// Not thread-safe for changes and reference counts: one writer. Reading a version that somebody
// keeps is safe on any thread.
#pragma once

#include "base/slice.h"

// Embedded first in every value.
struct tree_item {
    uint32_t references;
    void (*free)(struct tree_item *item);
};

struct tree_node {
    uint32_t references;
    int32_t height;
    struct tree_node *left;
    struct tree_node *right;
    struct slice key;  // lies in the item
    struct tree_item *item;
};

static inline void tree_item_init(struct tree_item *item, void (*free)(struct tree_item *item)) {
    item->references = 1;
    item->free = free;
}
struct tree_item *tree_item_ref(struct tree_item *item);
void tree_item_unref(struct tree_item *item);

// One more holder of this version.
struct tree_node *tree_ref(struct tree_node *root);
void tree_unref(struct tree_node *root);

// Adds or replaces. Takes one reference of `item`; `key` must live as long as the item.
void tree_put(struct tree_node **root, struct slice key, struct tree_item *item);
// False when it is not there.
bool tree_remove(struct tree_node **root, struct slice key);
// The node of a key, held by this root alone afterwards (its item need not be), so that key and
// item may be replaced; NULL when it is not there.
struct tree_node *tree_own(struct tree_node **root, struct slice key);

struct tree_item *tree_get(const struct tree_node *root, struct slice key);
// The first node whose key is greater than `key` (null: the first of all), or not less.
const struct tree_node *tree_after(const struct tree_node *root, struct slice key);
const struct tree_node *tree_from(const struct tree_node *root, struct slice key);

// Calls `changed` for every key whose item differs between two versions, in order of key. Shared
// parts are skipped unseen.
void tree_diff(const struct tree_node *before, const struct tree_node *after,
               void (*changed)(void *context, const struct tree_node *before,
                               const struct tree_node *after),
               void *context);
