// ListTransactions, versions 0 to 2: the ids of all partitions that this node coordinates, as far
// as they fit the filters.
#include "api/transaction_ask.h"
#include "base/pattern.h"

struct listing {
    struct api_call *call;
    struct pattern *pattern;
    struct transaction_ask *list;
    int32_t count;
    int32_t open;
};

static void reply(struct listing *l) {
    struct list_transactions_response *response = l->call->response;
    int32_t total = 0;
    for (int32_t i = 0; i < l->count; i++)
        total += l->list[i].call.list_count;
    response->transaction_states =
        list_transactions_response_transaction_state_new(l->call->arena, total);
    for (int32_t i = 0; i < l->count && response->error_code == 0; i++) {
        for (int32_t j = 0; j < l->list[i].call.list_count; j++) {
            const struct transaction_listed *t = &l->list[i].call.list[j];
            struct list_transactions_response_transaction_state *out =
                &response->transaction_states[response->transaction_states_count++];
            out->transactional_id = t->transactional_id;
            out->producer_id = t->producer_id;
            out->transaction_state = slice_cstring(transaction_state_name(t->state));
        }
    }
    pattern_free(l->pattern);
    api_reply(l->call);
}

static void one_done(struct listing *l) {
    if (--l->open == 0) reply(l);
}

static void answered(struct transaction_ask *ask, enum err result) {
    struct listing *l = ask->context;
    struct list_transactions_response *response = l->call->response;
    if (result != ERR_NONE) ask->call.list_count = 0;
    // A partition that is being loaded may hold ids: the list would not be whole.
    if (result == ERR_COORDINATOR_LOAD_IN_PROGRESS) response->error_code = err_wire(result);
    one_done(l);
}

// Names that are no states are given back; with only such names nothing is listed.
static int32_t known_states(struct api_call *call, struct slice *known) {
    const struct list_transactions_request *request = call->request;
    struct list_transactions_response *response = call->response;
    int32_t count = request->state_filters_count, known_count = 0;
    response->unknown_state_filters =
        arena_zalloc(call->arena, (size_t)count, sizeof(struct slice));
    for (int32_t i = 0; i < count; i++) {
        struct slice name = request->state_filters[i];
        enum transaction_state state;
        if (transaction_state_parse(name, &state)) {
            known[known_count++] = name;
        } else {
            response->unknown_state_filters[response->unknown_state_filters_count++] = name;
        }
    }
    return known_count;
}

void api_list_transactions(struct api_call *call) {
    const struct list_transactions_request *request = call->request;
    struct list_transactions_response *response = call->response;
    struct listing *l = arena_zalloc(call->arena, 1, sizeof *l);
    struct slice *states =
        arena_zalloc(call->arena, (size_t)request->state_filters_count, sizeof *states);
    struct transaction_list_filter filter = {
        .states = states,
        .state_count = known_states(call, states),
        .producer_ids = request->producer_id_filters,
        .producer_id_count = request->producer_id_filters_count,
        .longer_than_ms = request->duration_filter,
    };
    struct message text;
    message_init(&text);
    if (request->transactional_id_pattern.size > 0 &&
        pattern_new(request->transactional_id_pattern, &l->pattern, &text) != ERR_NONE) {
        response->error_code = err_wire(ERR_INVALID_REGULAR_EXPRESSION);
        api_reply(call);
        return;
    }
    filter.pattern = l->pattern;
    bool lists_nothing = request->state_filters_count > 0 && filter.state_count == 0;
    l->call = call;
    l->count = lists_nothing ? 0 : transaction_partition_count(call->node);
    l->list = arena_zalloc(call->arena, (size_t)l->count, sizeof *l->list);
    l->open = l->count + 1;  // this loop itself
    for (int32_t i = 0; i < l->count; i++) {
        l->list[i].context = l;
        l->list[i].call.kind = TRANSACTION_LIST;
        l->list[i].call.filter = filter;
        transaction_ask_partition(&l->list[i], call, i, answered);
    }
    one_done(l);
}
