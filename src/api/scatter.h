// The one way in which a request touches several reactors. The home reactor makes a part per
// target, starts them, and is called when all have finished. A part is a struct embedded in the
// handler's own; while it is away only the target's reactor touches it, afterwards only home:
// ownership goes with the message, nothing is locked.
//
//     scatter_init(&s->scatter, call->node, gathered);
//     for each owner: scatter_start(&s->scatter, &part->part, owner, run);
//     scatter_seal(&s->scatter);            // `gathered` comes now or later, once
//
// A target that is the home reactor runs its part inside scatter_start, without a message: with one
// reactor nothing is posted at all. Parts started from one reactor arrive at their target in order.
#pragma once

#include "api/node.h"
#include "base/arena.h"

struct scatter_part;

struct scatter {
    struct node *home;
    void (*gathered)(struct scatter *scatter);
    int32_t outstanding;
};

struct scatter_part {
    struct scatter *scatter;
    struct node *node;    // where it runs
    struct arena *arena;  // for what the part makes: the home's while it runs at home, else its own
    void (*run)(struct scatter_part *part);
    // Private.
    struct arena own;
    struct env_message message;
};

void scatter_init(struct scatter *scatter, struct node *home,
                  void (*gathered)(struct scatter *scatter));
// `home_arena` is the call's. The part must call scatter_finish exactly once, in `run` or later, on
// its reactor. A finished part may be started again in a later round (scatter_init anew; its
// arena's contents stay).
void scatter_start(struct scatter *scatter, struct scatter_part *part, struct node *target,
                   struct arena *home_arena, void (*run)(struct scatter_part *part));
void scatter_seal(struct scatter *scatter);
void scatter_finish(struct scatter_part *part);
// Zeroes a part before its first start.
void scatter_part_init(struct scatter_part *part);
// Frees the part's own arena: at home, when its results are not needed any more.
void scatter_part_deinit(struct scatter_part *part);
