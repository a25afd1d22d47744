// What AlterConfigs and IncrementalAlterConfigs share: a result per resource, some decided on this
// broker before the rest goes to the controller.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "gen/err.h"

struct alter_result {
    int8_t type;
    struct slice name;
    bool decided;
    enum err error;
    struct slice text;  // null: none
};

struct alter_results {
    struct arena *arena;
    struct alter_result *items;  // in the order of the request
    int32_t count;
    struct alter_result **sorted;  // by type and name
};

// `count` results in the arena; the caller fills in types and names, then sorts.
struct alter_results alter_results_new(struct arena *arena, int32_t count);
// Sorts, and decides those that come twice: each resource may be named once.
void alter_results_sort(struct alter_results *results);

// Decides a result. `error` may be empty; its text is copied.
void alter_results_decide(struct alter_results *results, struct alter_result *result, enum err err,
                          const struct message *error);

// Takes over what the controller says of a resource that was left to it.
void alter_results_take(struct alter_results *results, int8_t type, struct slice name, int16_t code,
                        struct slice text);

// How many are left to the controller; `err` is their result until it says otherwise.
int32_t alter_results_undecided(struct alter_results *results, enum err err);
