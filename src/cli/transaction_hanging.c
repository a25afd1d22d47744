// transaction find-hanging. A transaction hangs when a partition waits for its end and no
// coordinator is going to write it: read_committed readers stand there for ever. It is found as
// Apache Kafka's tool finds it: of the producers whose transaction in a partition is open for
// longer than any transaction may be, those that no transactional id has, or whose id's transaction
// does not have the partition.
#include "cli/coordinated.h"
#include "cli/transaction.h"
#include "wire/codec.h"

static const struct cli_option hanging_options[] = {
    {"--partition", "-p", "N", "only this partition of the topic (all)", .is_number = true,
     .min = 0, .max = INT32_MAX},
    {"--max-transaction-timeout", NULL, "MINUTES", "transaction.max.timeout.ms of the brokers (15)",
     .is_number = true, .min = 0, .max = INT32_MAX},
    {.name = NULL},
};

struct search {
    struct session session;
    struct table table;
    int64_t older_than_ms;
};

// Whether the coordinator of `id` is about to end this producer's transaction in the partition.
// False with *code set: it could not be asked.
static bool is_coordinated(struct search *s, struct slice id, int64_t producer_id,
                           struct slice topic, int32_t partition, int *code) {
    struct describe_transactions_request request;
    codec_init(&describe_transactions_request_codec, &request);
    request.transactional_ids = &id;
    request.transactional_ids_count = 1;
    struct coordinated c = {.call.call = {.api = API_DESCRIBE_TRANSACTIONS, .message = &request}};
    enum err err = coordinated_run(&s->session, &c, COORDINATOR_TRANSACTION, id);
    bool found = false;
    if (err != ERR_NONE) {
        *code = coordinated_failed(&s->session, &c, err);
    } else {
        const struct describe_transactions_response *answer = c.call.call.response;
        for (int32_t i = 0; i < answer->transaction_states_count; i++) {
            const struct describe_transactions_response_transaction_state *t =
                &answer->transaction_states[i];
            if (t->error_code != 0 || t->producer_id != producer_id) continue;
            for (int32_t j = 0; j < t->topics_count; j++) {
                for (int32_t p = 0; p < t->topics[j].partitions_count; p++) {
                    found |= slice_equal(t->topics[j].topic, topic) &&
                             t->topics[j].partitions[p] == partition;
                }
            }
        }
    }
    coordinated_end(&c);
    return found;
}

static int check_producer(struct search *s, struct slice topic, int32_t partition,
                          const struct describe_producers_response_active_producer *p) {
    int64_t age_ms = env_wall_ms(s->session.env) - p->last_timestamp;
    if (p->current_txn_start_offset < 0 || age_ms <= s->older_than_ms) return 0;
    struct list_transactions_request request;
    codec_init(&list_transactions_request_codec, &request);
    int64_t producer_id = p->producer_id;
    request.producer_id_filters = &producer_id;
    request.producer_id_filters_count = 1;
    struct transaction_listings found;
    int code = transactions_list(&s->session, &request, &s->table.arena, &found);
    struct slice id = SLICE_NULL;
    for (int32_t i = 0; code == 0 && i < found.count; i++) {
        id = found.list[i].id;
        if (is_coordinated(s, id, producer_id, topic, partition, &code)) return 0;
    }
    if (code != 0) return code;
    table_row(&s->table);
    table_text(&s->table, 0, topic);
    table_number(&s->table, 1, partition);
    table_number(&s->table, 2, p->producer_id);
    table_number(&s->table, 3, p->producer_epoch);
    table_number(&s->table, 4, p->current_txn_start_offset);
    transaction_age(&s->session, p->last_timestamp, &s->table, 5);
    table_text(&s->table, 6, id);
    return 0;
}

static int search_partition(struct search *s, struct slice topic, int32_t partition) {
    struct client_call call;
    int code = transaction_producers(&s->session, topic, partition, &call);
    if (code == 0) {
        const struct describe_producers_response *answer = call.response;
        const struct describe_producers_response_partition *from = &answer->topics[0].partitions[0];
        for (int32_t i = 0; code == 0 && i < from->active_producers_count; i++)
            code = check_producer(s, topic, partition, &from->active_producers[i]);
    }
    client_call_release(&call);
    return code;
}

static int search_topic(struct search *s, struct slice name, int32_t partition_count) {
    int code = 0;
    for (int32_t p = 0; code == 0 && p < partition_count && !s->session.interrupted; p++)
        code = search_partition(s, name, p);
    return code;
}

static int search_all(struct search *s) {
    struct metadata_request request;
    codec_init(&metadata_request_codec, &request);
    request.topics_count = -1;
    struct client_call call = {.api = API_METADATA, .version_min = 1, .message = &request};
    enum err err = session_call(&s->session, &call);
    int code = err == ERR_NONE ? 0 : session_failed(&s->session, &call, err);
    const struct metadata_response *answer = call.response;
    for (int32_t i = 0; code == 0 && i < answer->topics_count; i++)
        code = search_topic(s, answer->topics[i].name, answer->topics[i].partitions_count);
    client_call_release(&call);
    return code;
}

static int search(struct search *s) {
    struct cli *cli = s->session.cli;
    if (cli_argument_count(cli) == 0) return search_all(s);
    struct slice name = slice_cstring(cli_argument(cli, 0));
    if (cli_flag(cli, "--partition"))
        return search_partition(s, name, (int32_t)cli_integer(cli, "--partition", 0));
    struct client_topic *topic;
    enum err err = session_topic(&s->session, name, &topic);
    if (err != ERR_NONE) return cli_fail(cli, "topic %.*s: %s", SLICE_PRINT(name), err_text(err));
    return search_topic(s, name, topic->partition_count);
}

static int run_hanging(struct cli *cli) {
    if (cli_flag(cli, "--partition") && cli_argument_count(cli) == 0)
        return cli_usage(cli, "--partition needs a topic");
    struct search s = {.older_than_ms = cli_integer(cli, "--max-transaction-timeout", 15) * 60000};
    int code = session_open(&s.session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {
        {"Topic", CELL_TEXT},           {"Partition", CELL_NUMBER},
        {"Producer id", CELL_NUMBER},   {"Epoch", CELL_NUMBER},
        {"Start offset", CELL_NUMBER},  {"Idle seconds", CELL_NUMBER},
        {"Transactional id", CELL_TEXT}};
    table_init(&s.table, columns, COUNT_OF(columns));
    code = search(&s);
    if (code == 0) table_print(&s.table, cli, "No hanging transactions.");
    table_deinit(&s.table);
    session_close(&s.session);
    return code;
}

const struct cli_command command_transaction_find_hanging = {
    .name = "transaction find-hanging",
    .arguments = "[topic]",
    .arguments_max = 1,
    .summary = "Find transactions that no coordinator is going to end",
    .details =
        "Looks at all topics, or one. What it finds can be ended: taccola transaction abort.",
    .example =
        "taccola transaction find-hanging\n"
        "  taccola transaction find-hanging payments --max-transaction-timeout 60",
    .options = hanging_options,
    .is_client = true,
    .prints_data = true,
    .run = run_hanging,
};
