#include "api/alter_results.h"

#include <stdlib.h>

struct alter_results alter_results_new(struct arena *arena, int32_t count) {
    return (struct alter_results){
        .arena = arena,
        .items = arena_zalloc(arena, (size_t)count, sizeof(struct alter_result)),
        .count = count,
        .sorted = arena_zalloc(arena, (size_t)count, sizeof(struct alter_result *)),
    };
}

static int compare(const struct alter_result *a, const struct alter_result *b) {
    return a->type != b->type ? a->type - b->type : slice_compare(a->name, b->name);
}

static int compare_pointers(const void *a, const void *b) {
    return compare(*(const struct alter_result *const *)a, *(const struct alter_result *const *)b);
}

void alter_results_sort(struct alter_results *results) {
    struct message error;
    message_set(&error, "Each resource must appear at most once.");
    for (int32_t i = 0; i < results->count; i++)
        results->sorted[i] = &results->items[i];
    if (results->count == 0) return;
    qsort(results->sorted, (size_t)results->count, sizeof *results->sorted, compare_pointers);
    for (int32_t i = 1; i < results->count; i++) {
        if (compare(results->sorted[i - 1], results->sorted[i]) != 0) continue;
        alter_results_decide(results, results->sorted[i - 1], ERR_INVALID_REQUEST, &error);
        alter_results_decide(results, results->sorted[i], ERR_INVALID_REQUEST, &error);
    }
}

void alter_results_decide(struct alter_results *results, struct alter_result *result, enum err err,
                          const struct message *error) {
    result->decided = true;
    result->error = err;
    result->text = err == ERR_NONE ? SLICE_NULL : arena_copy(results->arena, message_slice(error));
}

void alter_results_take(struct alter_results *results, int8_t type, struct slice name, int16_t code,
                        struct slice text) {
    struct alter_result wanted = {.type = type, .name = name}, *key = &wanted;
    struct alter_result **found = results->count == 0
                                      ? NULL
                                      : bsearch(&key, results->sorted, (size_t)results->count,
                                                sizeof *results->sorted, compare_pointers);
    if (found == NULL || (*found)->decided) return;
    (*found)->error = err_of_wire(code);
    (*found)->text = text;
}

int32_t alter_results_undecided(struct alter_results *results, enum err err) {
    int32_t undecided = 0;
    for (int32_t i = 0; i < results->count; i++) {
        if (results->items[i].decided) continue;
        results->items[i].error = err;
        undecided++;
    }
    return undecided;
}
