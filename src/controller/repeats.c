#include "controller/repeats.h"

#include "base/map.h"

enum repeat *repeats_find(const struct slice *keys, int32_t count, uint64_t seed,
                          struct arena *arena) {
    struct map map;
    map_init(&map, seed);
    struct map_node *nodes = arena_zalloc(arena, (size_t)count, sizeof *nodes);
    enum repeat *repeats = arena_zalloc(arena, (size_t)count, sizeof *repeats);
    for (int32_t i = 0; i < count; i++) {
        if (slice_is_null(keys[i])) continue;
        struct map_node *first = map_get(&map, keys[i]);
        if (first == NULL) {
            map_put(&map, &nodes[i], keys[i]);
        } else {
            repeats[first - nodes] = REPEAT_FIRST;
            repeats[i] = REPEAT_LATER;
        }
    }
    map_deinit(&map);
    return repeats;
}
