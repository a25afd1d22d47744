// transaction list, transaction describe, transaction producers.
#include "cli/transaction.h"

#include <stdlib.h>

#include "base/time_text.h"
#include "cli/coordinated.h"
#include "wire/codec.h"

// ---- transaction list ----

static const struct cli_option list_options[] = {
    {"--state", NULL, "STATE", "only those in this state; may be given several times",
     .is_number = false},
    {"--producer-id", NULL, "N", "only this producer's; may be given several times",
     .is_number = true, .min = 0, .max = INT64_MAX},
    {"--duration", NULL, "SECONDS", "only those that are open for longer", .is_number = true,
     .min = 0, .max = INT32_MAX},
    {"--pattern", NULL, "EXPRESSION", "only ids that this matches (RE2)", .is_number = false},
    {.name = NULL},
};

static const char *const states[] = {"Empty",
                                     "Ongoing",
                                     "PrepareCommit",
                                     "PrepareAbort",
                                     "CompleteCommit",
                                     "CompleteAbort",
                                     "PrepareEpochFence",
                                     "Dead",
                                     NULL};

static int fill_list(struct cli *cli, struct arena *arena,
                     struct list_transactions_request *request) {
    request->state_filters_count = cli_count(cli, "--state");
    request->state_filters =
        arena_zalloc(arena, (size_t)request->state_filters_count, sizeof *request->state_filters);
    for (int32_t i = 0; i < request->state_filters_count; i++) {
        struct slice given = slice_cstring(cli_value_at(cli, "--state", i));
        for (int k = 0; states[k] != NULL; k++) {
            if (slice_equal_any_case(given, slice_cstring(states[k])))
                request->state_filters[i] = slice_cstring(states[k]);
        }
        if (slice_is_null(request->state_filters[i])) {
            return cli_usage(cli,
                             "there is no state %.*s; there are Empty, Ongoing, "
                             "PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort",
                             SLICE_PRINT(given));
        }
    }
    request->producer_id_filters_count = cli_count(cli, "--producer-id");
    request->producer_id_filters = arena_zalloc(arena, (size_t)request->producer_id_filters_count,
                                                sizeof *request->producer_id_filters);
    for (int32_t i = 0; i < request->producer_id_filters_count; i++) {
        if (!slice_parse_int64(slice_cstring(cli_value_at(cli, "--producer-id", i)),
                               &request->producer_id_filters[i]))
            return CLI_USAGE;
    }
    if (cli_flag(cli, "--duration"))
        request->duration_filter = cli_integer(cli, "--duration", 0) * 1000;
    request->transactional_id_pattern = slice_cstring(cli_value(cli, "--pattern"));
    return 0;
}

static int compare_listings(const void *a, const void *b) {
    const struct transaction_listing *x = a, *y = b;
    return slice_compare(x->id, y->id);
}

static int run_list(struct cli *cli) {
    static const struct table_column columns[] = {{"Transactional id", CELL_TEXT},
                                                  {"State", CELL_TEXT},
                                                  {"Producer id", CELL_NUMBER},
                                                  {"Coordinator", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    struct list_transactions_request request;
    codec_init(&list_transactions_request_codec, &request);
    struct session session;
    struct transaction_listings found = {NULL, 0};
    int code = fill_list(cli, &table.arena, &request);
    if (code == 0) {
        code = session_open(&session, cli);
        if (code == 0) {
            code = transactions_list(&session, &request, &table.arena, &found);
            session_close(&session);
        }
    }
    if (found.count > 0)
        qsort(found.list, (size_t)found.count, sizeof *found.list, compare_listings);
    for (int32_t i = 0; i < found.count; i++) {
        table_row(&table);
        table_text(&table, 0, found.list[i].id);
        table_text(&table, 1, found.list[i].state);
        table_number(&table, 2, found.list[i].producer_id);
        table_number(&table, 3, found.list[i].coordinator);
    }
    if (code == 0) table_print(&table, cli, "No transactional ids.");
    table_deinit(&table);
    return code;
}

const struct cli_command command_transaction_list = {
    .name = "transaction list",
    .arguments = "",
    .summary = "List transactional ids, with the states of their transactions",
    .example =
        "taccola transaction list\n"
        "  taccola transaction list --state ongoing --duration 60 --output json",
    .options = list_options,
    .is_client = true,
    .prints_data = true,
    .run = run_list,
};

// ---- transaction describe ----

static enum err describe_verdict(struct coordinator_call *call) {
    const struct describe_transactions_response *r = call->call.response;
    if (r->transaction_states_count != 1) return ERR_CORRUPT;
    return err_of_wire(r->transaction_states[0].error_code);
}

static struct slice partitions_text(
    struct arena *arena, const struct describe_transactions_response_transaction_state *t) {
    struct string_buffer text;
    string_buffer_init(&text);
    for (int32_t i = 0; i < t->topics_count; i++) {
        for (int32_t p = 0; p < t->topics[i].partitions_count; p++) {
            string_buffer_format(&text, "%s%.*s-%d", text.size > 0 ? ", " : "",
                                 SLICE_PRINT(t->topics[i].topic), t->topics[i].partitions[p]);
        }
    }
    struct slice copy = arena_copy(arena, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return copy;
}

static void put_transaction(struct session *s, struct table *table, int32_t coordinator,
                            const struct describe_transactions_response_transaction_state *t) {
    char time[TIME_TEXT_SIZE];
    table_row(table);
    table_text(table, 0, t->transactional_id);
    table_text(table, 1, t->transaction_state);
    table_number(table, 2, t->producer_id);
    table_number(table, 3, t->producer_epoch);
    table_format(table, 4, "%.1f", (double)t->transaction_timeout_ms / 1000.0);
    if (t->transaction_start_time_ms >= 0)
        table_text(table, 5, slice_cstring(time_text(t->transaction_start_time_ms, time)));
    transaction_age(s, t->transaction_start_time_ms, table, 6);
    table_number(table, 7, coordinator);
    table_text(table, 8, partitions_text(&table->arena, t));
}

static int describe(struct session *s, struct table *table, struct slice id) {
    struct describe_transactions_request request;
    codec_init(&describe_transactions_request_codec, &request);
    request.transactional_ids = &id;
    request.transactional_ids_count = 1;
    struct coordinated c = {.call.call = {.api = API_DESCRIBE_TRANSACTIONS, .message = &request},
                            .call.verdict = describe_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_TRANSACTION, id);
    int code = 0;
    if (err == ERR_TRANSACTIONAL_ID_NOT_FOUND) {
        code = cli_fail(s->cli, "there is no transactional id %.*s; see: taccola transaction list",
                        SLICE_PRINT(id));
    } else if (err != ERR_NONE) {
        code = coordinated_failed(s, &c, err);
    } else {
        const struct describe_transactions_response *answer = c.call.call.response;
        put_transaction(s, table, coordinated_node(&c), &answer->transaction_states[0]);
    }
    coordinated_end(&c);
    return code;
}

static int run_describe(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {
        {"Transactional id", CELL_TEXT},  {"State", CELL_TEXT},
        {"Producer id", CELL_NUMBER},     {"Epoch", CELL_NUMBER},
        {"Timeout seconds", CELL_NUMBER}, {"Started", CELL_TEXT},
        {"Open seconds", CELL_NUMBER},    {"Coordinator", CELL_NUMBER},
        {"Partitions", CELL_TEXT}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int i = 0; i < cli_argument_count(cli) && !session.interrupted; i++) {
        if (describe(&session, &table, slice_cstring(cli_argument(cli, i))) != 0) code = CLI_FAILED;
    }
    if (table.row_count > 0) table_print(&table, cli, "");
    table_deinit(&table);
    session_close(&session);
    return code;
}

const struct cli_command command_transaction_describe = {
    .name = "transaction describe",
    .arguments = "<transactional id> …",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .summary = "Show transactions: producer, times, partitions",
    .example = "taccola transaction describe billing-1",
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};

// ---- transaction producers ----

static const struct cli_option producers_options[] = {
    {"--partition", "-p", "N", "only this partition (all)", .is_number = true, .min = 0,
     .max = INT32_MAX},
    {.name = NULL},
};

static void put_producers(struct session *s, struct table *table, int32_t partition,
                          const struct describe_producers_response_partition *from) {
    char time[TIME_TEXT_SIZE];
    for (int32_t i = 0; i < from->active_producers_count; i++) {
        const struct describe_producers_response_active_producer *p = &from->active_producers[i];
        table_row(table);
        table_number(table, 0, partition);
        table_number(table, 1, p->producer_id);
        table_number(table, 2, p->producer_epoch);
        table_number(table, 3, p->last_sequence);
        if (p->last_timestamp >= 0)
            table_text(table, 4, slice_cstring(time_text(p->last_timestamp, time)));
        transaction_age(s, p->last_timestamp, table, 5);
        table_number(table, 6, p->coordinator_epoch);
        if (p->current_txn_start_offset >= 0) table_number(table, 7, p->current_txn_start_offset);
    }
}

static int describe_producers(struct session *s, struct table *table) {
    struct slice name = slice_cstring(cli_argument(s->cli, 0));
    struct client_topic *topic;
    enum err err = session_topic(s, name, &topic);
    if (err != ERR_NONE)
        return cli_fail(s->cli, "topic %.*s: %s", SLICE_PRINT(name), err_text(err));
    int32_t first = (int32_t)cli_integer(s->cli, "--partition", 0);
    int32_t last = cli_flag(s->cli, "--partition") ? first : topic->partition_count - 1;
    int code = 0;
    for (int32_t p = first; code == 0 && p <= last; p++) {
        struct client_call call;
        code = transaction_producers(s, name, p, &call);
        if (code == 0) {
            const struct describe_producers_response *answer = call.response;
            put_producers(s, table, p, &answer->topics[0].partitions[0]);
        }
        client_call_release(&call);
    }
    return code;
}

static int run_producers(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {{"Partition", CELL_NUMBER},
                                                  {"Producer id", CELL_NUMBER},
                                                  {"Epoch", CELL_NUMBER},
                                                  {"Last sequence", CELL_NUMBER},
                                                  {"Last record", CELL_TEXT},
                                                  {"Idle seconds", CELL_NUMBER},
                                                  {"Coordinator epoch", CELL_NUMBER},
                                                  {"Transaction start", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    code = describe_producers(&session, &table);
    if (code == 0) table_print(&table, cli, "No active producers.");
    table_deinit(&table);
    session_close(&session);
    return code;
}

const struct cli_command command_transaction_producers = {
    .name = "transaction producers",
    .arguments = "<topic>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Show the producers that a topic's partitions remember, and their open transactions",
    .example = "taccola transaction producers payments --partition 0",
    .options = producers_options,
    .is_client = true,
    .prints_data = true,
    .run = run_producers,
};
