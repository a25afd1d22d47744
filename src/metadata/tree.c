// An AVL tree whose nodes are shared between versions.
//
// own() is the whole secret of persistence: before a node is changed, the pointer to it is made to
// point to a node with one reference. A node with one reference whose parent also has one, up to a
// root that one version holds, is seen by nobody else. Therefore every change owns the path from
// the root downwards before it touches anything.
//
// The difference of two versions walks both in order with explicit stacks, of whole subtrees not
// yet looked at and of single nodes. When the tops of both stacks are the same subtree, neither is
// looked at.
#include "metadata/tree.h"

#include "base/assert.h"
#include "base/memory.h"

#define HEIGHT_MAX 64  // of an AVL tree with more nodes than there is memory

struct tree_item *tree_item_ref(struct tree_item *item) {
    item->references++;
    return item;
}

void tree_item_unref(struct tree_item *item) {
    assert(item->references > 0);
    if (--item->references == 0) item->free(item);
}

struct tree_node *tree_ref(struct tree_node *root) {
    if (root != NULL) root->references++;
    return root;
}

void tree_unref(struct tree_node *root) {
    if (root == NULL) return;
    assert(root->references > 0);
    if (--root->references > 0) return;
    tree_unref(root->left);
    tree_unref(root->right);
    tree_item_unref(root->item);
    memory_free(root);
}

static struct tree_node *own(struct tree_node **slot) {
    struct tree_node *node = *slot;
    if (node->references == 1) return node;
    struct tree_node *copy = memory_alloc(sizeof *copy);
    *copy = *node;
    copy->references = 1;
    tree_ref(copy->left);
    tree_ref(copy->right);
    tree_item_ref(copy->item);
    node->references--;
    *slot = copy;
    return copy;
}

// ---- Balance ----

static int32_t height(const struct tree_node *node) {
    return node == NULL ? 0 : node->height;
}

static void update_height(struct tree_node *node) {
    node->height = 1 + MAX(height(node->left), height(node->right));
}

// Both nodes of a rotation are owned: *slot by the caller, the child here.
static void rotate_left(struct tree_node **slot) {
    struct tree_node *node = *slot;
    struct tree_node *child = own(&node->right);
    node->right = child->left;
    child->left = node;
    update_height(node);
    update_height(child);
    *slot = child;
}

static void rotate_right(struct tree_node **slot) {
    struct tree_node *node = *slot;
    struct tree_node *child = own(&node->left);
    node->left = child->right;
    child->right = node;
    update_height(node);
    update_height(child);
    *slot = child;
}

// *slot is owned and its subtrees are balanced, their heights at most two apart.
static void rebalance(struct tree_node **slot) {
    struct tree_node *node = *slot;
    int32_t balance = height(node->left) - height(node->right);
    if (balance > 1) {
        if (height(node->left->left) < height(node->left->right)) {
            own(&node->left);
            rotate_left(&node->left);
        }
        rotate_right(slot);
    } else if (balance < -1) {
        if (height(node->right->right) < height(node->right->left)) {
            own(&node->right);
            rotate_right(&node->right);
        }
        rotate_left(slot);
    } else {
        update_height(node);
    }
}

// ---- Changes ----

void tree_put(struct tree_node **root, struct slice key, struct tree_item *item) {
    if (*root == NULL) {
        struct tree_node *node = memory_zalloc(1, sizeof *node);
        *node = (struct tree_node){.references = 1, .height = 1, .key = key, .item = item};
        *root = node;
        return;
    }
    struct tree_node *node = own(root);
    int order = slice_compare(key, node->key);
    if (order == 0) {
        tree_item_unref(node->item);
        node->key = key;
        node->item = item;
        return;
    }
    tree_put(order < 0 ? &node->left : &node->right, key, item);
    rebalance(root);
}

// Takes the first node out of *slot; its links are void.
static struct tree_node *take_first(struct tree_node **slot) {
    struct tree_node *node = own(slot);
    if (node->left == NULL) {
        *slot = node->right;
        return node;
    }
    struct tree_node *first = take_first(&node->left);
    rebalance(slot);
    return first;
}

static void remove_found(struct tree_node **slot, struct slice key) {
    struct tree_node *node = own(slot);
    int order = slice_compare(key, node->key);
    if (order != 0) {
        remove_found(order < 0 ? &node->left : &node->right, key);
        rebalance(slot);
        return;
    }
    if (node->right == NULL) {
        *slot = node->left;
    } else {
        struct tree_node *next = take_first(&node->right);
        next->left = node->left;
        next->right = node->right;
        *slot = next;
        rebalance(slot);
    }
    tree_item_unref(node->item);
    memory_free(node);
}

bool tree_remove(struct tree_node **root, struct slice key) {
    if (tree_get(*root, key) == NULL) return false;
    remove_found(root, key);
    return true;
}

struct tree_node *tree_own(struct tree_node **root, struct slice key) {
    if (tree_get(*root, key) == NULL) return NULL;
    struct tree_node **slot = root;
    for (;;) {
        struct tree_node *node = own(slot);
        int order = slice_compare(key, node->key);
        if (order == 0) return node;
        slot = order < 0 ? &node->left : &node->right;
    }
}

// ---- Reading ----

struct tree_item *tree_get(const struct tree_node *root, struct slice key) {
    while (root != NULL) {
        int order = slice_compare(key, root->key);
        if (order == 0) return root->item;
        root = order < 0 ? root->left : root->right;
    }
    return NULL;
}

// The first node whose key compares to `key` as at least `order_min` (0: not less, 1: greater).
static const struct tree_node *first_beyond(const struct tree_node *root, struct slice key,
                                            int order_min) {
    const struct tree_node *found = NULL;
    while (root != NULL) {
        if (slice_compare(root->key, key) >= order_min) {
            found = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return found;
}

const struct tree_node *tree_after(const struct tree_node *root, struct slice key) {
    return first_beyond(root, key, 1);
}

const struct tree_node *tree_from(const struct tree_node *root, struct slice key) {
    return first_beyond(root, key, 0);
}

// ---- Difference ----

struct pending {
    const struct tree_node *node;
    bool is_single;  // the node alone, its subtrees are on the stack already or done
};

struct walk {
    struct pending stack[2 * HEIGHT_MAX];
    int32_t count;
};

static void push(struct walk *walk, const struct tree_node *node, bool is_single) {
    if (node == NULL) return;
    assert(walk->count < (int32_t)COUNT_OF(walk->stack));
    walk->stack[walk->count++] = (struct pending){node, is_single};
}

static const struct pending *top(const struct walk *walk) {
    return walk->count == 0 ? NULL : &walk->stack[walk->count - 1];
}

static void expand(struct walk *walk) {
    const struct tree_node *node = walk->stack[--walk->count].node;
    push(walk, node->right, false);
    push(walk, node, true);
    push(walk, node->left, false);
}

// Opens subtrees until both tops are single nodes (or one stack is empty); shared subtrees are
// dropped from both.
static void settle(struct walk *before, struct walk *after) {
    for (;;) {
        const struct pending *a = top(before);
        const struct pending *b = top(after);
        bool a_closed = a != NULL && !a->is_single;
        bool b_closed = b != NULL && !b->is_single;
        if (a_closed && b_closed && a->node == b->node) {
            before->count--;
            after->count--;
        } else if (a_closed && (!b_closed || a->node->height >= b->node->height)) {
            expand(before);
        } else if (b_closed) {
            expand(after);
        } else {
            return;
        }
    }
}

void tree_diff(const struct tree_node *before, const struct tree_node *after,
               void (*changed)(void *context, const struct tree_node *before,
                               const struct tree_node *after),
               void *context) {
    struct walk old = {.count = 0};
    struct walk new = {.count = 0};
    push(&old, before, false);
    push(&new, after, false);
    for (;;) {
        settle(&old, &new);
        const struct pending *a = top(&old);
        const struct pending *b = top(&new);
        if (a == NULL && b == NULL) return;
        int order = a == NULL ? 1 : b == NULL ? -1 : slice_compare(a->node->key, b->node->key);
        const struct tree_node *left = order <= 0 ? a->node : NULL;
        const struct tree_node *right = order >= 0 ? b->node : NULL;
        if (left != NULL) old.count--;
        if (right != NULL) new.count--;
        if (left == NULL || right == NULL || left->item != right->item) {
            changed(context, left, right);
        }
    }
}
