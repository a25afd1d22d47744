// The persistent map against a naive twin: a random run of changes with old versions kept, each of
// which must stay as it was.
#include "test/test.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/prng.h"
#include "metadata/tree.h"

#define KEYS     200
#define VERSIONS 40

struct value {
    struct tree_item item;
    uint64_t *alive;
    uint32_t key;
    uint32_t number;
    uint8_t bytes[2];
};

static void value_free(struct tree_item *item) {
    struct value *value = container_of(item, struct value, item);
    --*value->alive;
    memory_free(value);
}

static void put(struct tree_node **root, uint64_t *alive, uint32_t key, uint32_t number) {
    struct value *value = memory_zalloc(1, sizeof *value);
    tree_item_init(&value->item, value_free);
    ++*alive;
    *value = (struct value){value->item, alive, key, number, {(uint8_t)(key >> 8), (uint8_t)key}};
    tree_put(root, slice_of(value->bytes, 2), &value->item);
}

static uint32_t number_of(const struct tree_node *root, uint32_t key) {
    uint8_t bytes[2] = {(uint8_t)(key >> 8), (uint8_t)key};
    struct tree_item *item = tree_get(root, slice_of(bytes, 2));
    return item == NULL ? 0 : container_of(item, struct value, item)->number;
}

static int32_t check_balanced(const struct tree_node *node) {
    if (node == NULL) return 0;
    int32_t left = check_balanced(node->left);
    int32_t right = check_balanced(node->right);
    assert_true(abs(left - right) <= 1);
    assert_int_equal(node->height, 1 + MAX(left, right));
    return node->height;
}

static void check_equals(const struct tree_node *root, const uint32_t *twin) {
    check_balanced(root);
    const struct tree_node *node = tree_after(root, SLICE_NULL);
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_int_equal(number_of(root, key), twin[key]);
        if (twin[key] == 0) continue;
        assert_non_null(node);
        assert_int_equal(container_of(node->item, struct value, item)->key, key);
        assert_ptr_equal(tree_from(root, node->key), node);
        node = tree_after(root, node->key);
    }
    assert_null(node);
}

struct difference {
    uint32_t *twin;  // changed step by step from old to new
};

static void apply_difference(void *context, const struct tree_node *before,
                             const struct tree_node *after) {
    struct difference *d = context;
    const struct value *old = before ? container_of(before->item, struct value, item) : NULL;
    const struct value *new = after ? container_of(after->item, struct value, item) : NULL;
    assert_true(old != NULL || new != NULL);
    uint32_t key = old ? old->key : new->key;
    assert_int_equal(d->twin[key], old ? old->number : 0);
    d->twin[key] = new ? new->number : 0;
}

static void test_against_twin(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        uint64_t alive = 0;
        struct tree_node *root = NULL;
        uint32_t twin[KEYS] = {0};
        struct tree_node *kept[VERSIONS];
        uint32_t kept_twin[VERSIONS][KEYS];
        for (uint32_t version = 0; version < VERSIONS; version++) {
            uint64_t steps = prng_below(&prng, 60);
            for (uint64_t step = 0; step < steps; step++) {
                uint32_t key = (uint32_t)prng_below(&prng, KEYS);
                if (prng_chance(&prng, 1, 3)) {
                    uint8_t bytes[2] = {(uint8_t)(key >> 8), (uint8_t)key};
                    assert_int_equal(tree_remove(&root, slice_of(bytes, 2)), twin[key] != 0);
                    twin[key] = 0;
                } else {
                    twin[key] = (uint32_t)prng_below(&prng, 1000000) + 1;
                    put(&root, &alive, key, twin[key]);
                }
            }
            kept[version] = tree_ref(root);
            memcpy(kept_twin[version], twin, sizeof twin);
        }
        for (uint32_t i = 0; i < VERSIONS; i++)
            check_equals(kept[i], kept_twin[i]);
        for (uint32_t i = 0; i < VERSIONS; i++) {
            uint32_t j = (uint32_t)prng_below(&prng, VERSIONS);
            uint32_t walk[KEYS];
            memcpy(walk, kept_twin[i], sizeof walk);
            tree_diff(kept[i], kept[j], apply_difference, &(struct difference){walk});
            assert_memory_equal(walk, kept_twin[j], sizeof walk);
        }
        for (uint32_t i = 0; i < VERSIONS; i++)
            tree_unref(kept[i]);
        tree_unref(root);
        assert_int_equal(alive, 0);
    }
}

static void count_change(void *context, const struct tree_node *before,
                         const struct tree_node *after) {
    (void)before, (void)after;
    ++*(int *)context;
}

static void test_difference_skips_shared(void **state) {
    (void)state;
    uint64_t alive = 0;
    struct tree_node *root = NULL;
    for (uint32_t key = 0; key < 10000; key++)
        put(&root, &alive, key, key + 1);
    struct tree_node *old = tree_ref(root);
    put(&root, &alive, 77, 5);
    uint8_t bytes[2] = {0, 99};
    assert_true(tree_remove(&root, slice_of(bytes, 2)));
    int changes = 0;
    tree_diff(old, root, count_change, &changes);
    assert_int_equal(changes, 2);
    changes = 0;
    tree_diff(old, old, count_change, &changes);
    assert_int_equal(changes, 0);
    tree_unref(old);
    tree_unref(root);
    assert_int_equal(alive, 0);
}

static void test_changes_in_place_when_alone(void **state) {
    (void)state;
    uint64_t alive = 0;
    struct tree_node *root = NULL;
    put(&root, &alive, 1, 1);
    const struct tree_node *same = root;
    put(&root, &alive, 1, 2);
    assert_ptr_equal(root, same);
    struct tree_node *old = tree_ref(root);
    put(&root, &alive, 1, 3);
    assert_ptr_not_equal(root, same);
    assert_int_equal(number_of(old, 1), 2);
    tree_unref(old);
    tree_unref(root);
    assert_int_equal(alive, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_twin),
        cmocka_unit_test(test_difference_skips_shared),
        cmocka_unit_test(test_changes_in_place_when_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
