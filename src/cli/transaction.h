// What the transaction commands share: which transactions there are (every node coordinates some),
// and which producers a partition's leader knows.
#pragma once

#include "base/arena.h"
#include "cli/session.h"
#include "cli/table.h"

struct transaction_listing {
    struct slice id;
    struct slice state;
    int64_t producer_id;
    int32_t coordinator;
};

struct transaction_listings {
    struct transaction_listing *list;
    int32_t count;
};

// Asks every node; `request` has the filters. 0, or the exit code after a complaint. In the arena.
MUST_CHECK int transactions_list(struct session *session, struct list_transactions_request *request,
                                 struct arena *arena, struct transaction_listings *out);

// Asks the leader of a partition. The response has exactly that partition, without an error, and
// lives until client_call_release(call), which is owed in any case. 0, or the exit code after a
// complaint.
MUST_CHECK int transaction_producers(struct session *session, struct slice topic, int32_t partition,
                                     struct client_call *call);

// "12.3 s", "5.2 min", "3.0 h" since that time.
void transaction_age(struct session *session, int64_t since_ms, struct table *table, int column);
