#include "net/budget.h"

#include "base/assert.h"

void budget_init(struct budget *budget, size_t max) {
    budget->max = max;
    budget->used = 0;
    list_init(&budget->waiting);
}

// A frame larger than the whole share fits when nothing else is held.
static bool budget_fits(const struct budget *budget, size_t size) {
    return budget->used == 0 || (size <= budget->max && budget->used <= budget->max - size);
}

bool budget_charge(struct budget *budget, struct budget_waiter *waiter, size_t size) {
    if (list_is_empty(&budget->waiting) && budget_fits(budget, size)) {
        budget->used += size;
        return true;
    }
    waiter->size = size;
    list_append(&budget->waiting, &waiter->link);
    return false;
}

static void budget_admit(struct budget *budget) {
    while (!list_is_empty(&budget->waiting)) {
        struct budget_waiter *first =
            container_of(budget->waiting.next, struct budget_waiter, link);
        if (!budget_fits(budget, first->size)) return;
        list_remove(&first->link);
        budget->used += first->size;
        first->admitted(first);
    }
}

void budget_cancel(struct budget *budget, struct budget_waiter *waiter) {
    list_remove(&waiter->link);
    budget_admit(budget);
}

void budget_add(struct budget *budget, size_t size) {
    budget->used += size;
}

void budget_release(struct budget *budget, size_t size) {
    assert(size <= budget->used);
    budget->used -= size;
    budget_admit(budget);
}

size_t budget_left(const struct budget *budget) {
    return budget->used < budget->max ? budget->max - budget->used : 0;
}
