#include "api/scatter.h"

#include "base/assert.h"

void scatter_init(struct scatter *scatter, struct node *home,
                  void (*gathered)(struct scatter *scatter)) {
    scatter->home = home;
    scatter->gathered = gathered;
    scatter->outstanding = 1;  // taken back by scatter_seal
}

void scatter_part_init(struct scatter_part *part) {
    *part = (struct scatter_part){0};
    arena_init(&part->own);
}

void scatter_part_deinit(struct scatter_part *part) {
    arena_deinit(&part->own);
}

static void scatter_one_done(struct scatter *scatter) {
    assert(scatter->outstanding > 0);
    if (--scatter->outstanding == 0) scatter->gathered(scatter);
}

static void scatter_arrived(struct env_message *message) {
    struct scatter_part *part = container_of(message, struct scatter_part, message);
    part->run(part);
}

static void scatter_returned(struct env_message *message) {
    scatter_one_done(container_of(message, struct scatter_part, message)->scatter);
}

void scatter_start(struct scatter *scatter, struct scatter_part *part, struct node *target,
                   struct arena *home_arena, void (*run)(struct scatter_part *part)) {
    scatter->outstanding++;
    part->scatter = scatter;
    part->node = target;
    part->run = run;
    if (target == scatter->home) {
        part->arena = home_arena;
        run(part);
        return;
    }
    part->arena = &part->own;
    part->message.deliver = scatter_arrived;
    env_post(target->env, &part->message);
}

void scatter_seal(struct scatter *scatter) {
    scatter_one_done(scatter);
}

void scatter_finish(struct scatter_part *part) {
    if (part->node == part->scatter->home) {
        scatter_one_done(part->scatter);
        return;
    }
    part->message.deliver = scatter_returned;
    env_post(part->scatter->home->env, &part->message);
}
