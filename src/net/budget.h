// The memory that requests may hold on one reactor: its share of the process budget
// `taccola.memory.max` (design §6). A frame is charged whole when its length was read, before a
// byte of it is stored, and given back when its request is done. Who does not fit waits, in order
// of arrival; a frame larger than the whole share is admitted when it is alone, so nothing waits
// for ever.
#pragma once

#include "base/list.h"

struct budget {
    size_t max;
    size_t used;
    struct list waiting;  // of budget_waiter
};

struct budget_waiter {
    struct list link;
    size_t size;
    void (*admitted)(
        struct budget_waiter *waiter);  // the bytes are charged now; called from budget_release
};

void budget_init(struct budget *budget, size_t max);

// True: charged. False: nothing is charged and the waiter is in the queue until admitted or
// budget_cancel.
bool budget_charge(struct budget *budget, struct budget_waiter *waiter, size_t size);
void budget_cancel(struct budget *budget, struct budget_waiter *waiter);

// Charges at once whatever is used: for what hangs on an admitted frame (its decoded form).
void budget_add(struct budget *budget, size_t size);
void budget_release(struct budget *budget, size_t size);

// What is left; 0 when overdrawn.
size_t budget_left(const struct budget *budget);
