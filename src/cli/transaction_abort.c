// transaction abort. Two ways, as with Apache Kafka's tool: by transactional id, where the
// coordinator aborts and fences the producer (InitProducerId); and by the offset at which a hanging
// transaction begins, where the marker is written into the partition past the coordinator
// (WriteTxnMarkers).
#include <stdio.h>

#include "cli/coordinated.h"
#include "cli/transaction.h"
#include "wire/codec.h"

static const struct cli_option abort_options[] = {
    {"--transactional-id", NULL, "ID", "abort this id's transaction; its producer is fenced",
     .is_number = false},
    {"--topic", "-t", "TOPIC", "with --partition and --start-offset: a hanging transaction",
     .is_number = false},
    {"--partition", "-p", "N", "its partition", .is_number = true, .min = 0, .max = INT32_MAX},
    {"--start-offset", NULL, "N", "where it begins, as find-hanging shows it", .is_number = true,
     .min = 0, .max = INT64_MAX},
    {.name = NULL},
};

// ---- By transactional id ----

static enum err init_verdict(struct coordinator_call *call) {
    const struct init_producer_id_response *r = call->call.response;
    return err_of_wire(r->error_code);
}

// InitProducerId would make an id that is not there.
static int check_id(struct session *s, struct slice id) {
    struct describe_transactions_request request;
    codec_init(&describe_transactions_request_codec, &request);
    request.transactional_ids = &id;
    request.transactional_ids_count = 1;
    struct coordinated c = {.call.call = {.api = API_DESCRIBE_TRANSACTIONS, .message = &request}};
    enum err err = coordinated_run(s, &c, COORDINATOR_TRANSACTION, id);
    const struct describe_transactions_response *answer = c.call.call.response;
    bool missing =
        err == ERR_NONE && answer->transaction_states_count == 1 &&
        err_of_wire(answer->transaction_states[0].error_code) == ERR_TRANSACTIONAL_ID_NOT_FOUND;
    int code = 0;
    if (err != ERR_NONE) {
        code = coordinated_failed(s, &c, err);
    } else if (missing) {
        code = cli_fail(s->cli, "there is no transactional id %.*s; see: taccola transaction list",
                        SLICE_PRINT(id));
    }
    coordinated_end(&c);
    return code;
}

static int abort_by_id(struct session *s) {
    struct init_producer_id_request request;
    codec_init(&init_producer_id_request_codec, &request);
    request.transactional_id = slice_cstring(cli_value(s->cli, "--transactional-id"));
    request.transaction_timeout_ms = 1000;
    int code = check_id(s, request.transactional_id);
    if (code != 0) return code;
    struct coordinated c = {.call.call = {.api = API_INIT_PRODUCER_ID, .message = &request},
                            .call.verdict = init_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_TRANSACTION, request.transactional_id);
    if (err == ERR_NONE) {
        fprintf(stderr, "Aborted what %.*s had open; its producer is fenced.\n",
                SLICE_PRINT(request.transactional_id));
    } else {
        code = coordinated_failed(s, &c, err);
    }
    coordinated_end(&c);
    return code;
}

// ---- By offset ----

static enum err marker_verdict(struct client_call *call) {
    const struct write_txn_markers_response *r = call->response;
    bool complete = r->markers_count == 1 && r->markers[0].topics_count == 1 &&
                    r->markers[0].topics[0].partitions_count == 1;
    return complete ? err_of_wire(r->markers[0].topics[0].partitions[0].error_code) : ERR_CORRUPT;
}

static int write_marker(struct session *s, struct slice topic, int32_t partition, int32_t leader,
                        const struct describe_producers_response_active_producer *p) {
    struct write_txn_markers_request request;
    struct write_txn_markers_request_marker marker;
    struct write_txn_markers_request_topic t;
    codec_init(&write_txn_markers_request_codec, &request);
    codec_init(&write_txn_markers_request_marker_codec, &marker);
    codec_init(&write_txn_markers_request_topic_codec, &t);
    request.markers = &marker;
    request.markers_count = 1;
    marker.producer_id = p->producer_id;
    marker.producer_epoch = (int16_t)p->producer_epoch;
    // A producer that has written no marker yet has none.
    marker.coordinator_epoch = MAX(p->coordinator_epoch, 0);
    marker.topics = &t;
    marker.topics_count = 1;
    t.name = topic;
    t.partition_indexes = &partition;
    t.partition_indexes_count = 1;
    // A marker of TV2 needs an epoch above its records'; version 1 says that this is none.
    struct client_call call = {.target = CLIENT_NODE,
                               .node = leader,
                               .api = API_WRITE_TXN_MARKERS,
                               .version_max = 1,
                               .message = &request,
                               .verdict = marker_verdict};
    enum err err = session_call(s, &call);
    int code = err == ERR_NONE ? 0 : session_failed(s, &call, err);
    client_call_release(&call);
    return code;
}

static int abort_by_offset(struct session *s) {
    struct slice topic = slice_cstring(cli_value(s->cli, "--topic"));
    int32_t partition = (int32_t)cli_integer(s->cli, "--partition", 0);
    int64_t start = cli_integer(s->cli, "--start-offset", 0);
    struct client_call call;
    int code = transaction_producers(s, topic, partition, &call);
    if (code == 0) {
        const struct describe_producers_response *answer = call.response;
        const struct describe_producers_response_partition *from = &answer->topics[0].partitions[0];
        code = CLI_FAILED;
        int32_t i = 0;
        while (i < from->active_producers_count &&
               from->active_producers[i].current_txn_start_offset != start)
            i++;
        if (i == from->active_producers_count) {
            cli_fail(s->cli,
                     "no open transaction of %.*s-%d begins at %lld; see: taccola transaction "
                     "producers %.*s",
                     SLICE_PRINT(topic), partition, (long long)start, SLICE_PRINT(topic));
        } else {
            code = write_marker(s, topic, partition, call.node, &from->active_producers[i]);
            if (code == 0)
                fprintf(stderr, "Aborted producer %lld's transaction in %.*s-%d.\n",
                        (long long)from->active_producers[i].producer_id, SLICE_PRINT(topic),
                        partition);
        }
    }
    client_call_release(&call);
    return code;
}

static int run_abort(struct cli *cli) {
    bool by_id = cli_flag(cli, "--transactional-id");
    bool by_offset =
        cli_flag(cli, "--topic") && cli_flag(cli, "--partition") && cli_flag(cli, "--start-offset");
    if (by_id == by_offset) {
        return cli_usage(cli,
                         "give --transactional-id, or --topic, --partition and --start-offset");
    }
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    code = by_id ? abort_by_id(&session) : abort_by_offset(&session);
    session_close(&session);
    return code;
}

const struct cli_command command_transaction_abort = {
    .name = "transaction abort",
    .arguments = "",
    .summary = "Abort a transaction: by its id, or a hanging one by its place",
    .details =
        "By --transactional-id the coordinator aborts it. A hanging transaction, of which the\n"
        "coordinator knows nothing, is named by where it begins: see transaction find-hanging.",
    .example =
        "taccola transaction abort --transactional-id billing-1\n"
        "  taccola transaction abort --topic payments --partition 0 --start-offset 4711",
    .options = abort_options,
    .is_client = true,
    .run = run_abort,
};
