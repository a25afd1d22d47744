// topic create, delete, add-partitions, delete-records: one request each, one line of the answer
// per topic.
#include "base/assert.h"
#include "cli/session.h"
#include "cli/table.h"
#include "wire/codec.h"

static const struct table_column result_columns[] = {
    {"Topic", CELL_TEXT}, {"Result", CELL_TEXT}, {"Topic id", CELL_TEXT}};

static void add_result(struct table *table, struct slice topic, int16_t code, struct slice text,
                       const char *success, struct uuid id, int *failures) {
    enum err err = err_of_wire(code);
    table_row(table);
    table_text(table, 0, topic);
    if (err == ERR_NONE) {
        char id_text[UUID_TEXT_SIZE];
        table_text(table, 1, slice_cstring(success));
        if (!uuid_is_zero(id)) table_text(table, 2, slice_cstring(uuid_format(id, id_text)));
        return;
    }
    (*failures)++;
    bool said = !slice_is_null(text) && text.size > 0;
    table_format(table, 1, "%s: %.*s", err_name(err),
                 SLICE_PRINT(said ? text : slice_cstring(err_text(err))));
}

// ---- topic create ----

static const struct cli_option create_options[] = {
    {"--partitions", "-p", "N", "number of partitions (the broker's num.partitions)",
     .is_number = true, .min = 1, .max = 1000000},
    {"--replication-factor", "-r", "N", "replicas of each partition (the broker's default)",
     .is_number = true, .min = 1, .max = 32767},
    {"--config", "-c", "key=value", "a topic config; may be given several times",
     .is_number = false},
    {"--if-not-exists", NULL, NULL, "succeed when the topic is there already", .is_number = false},
    {"--dry-run", NULL, NULL, "check only, change nothing", .is_number = false},
    {.name = NULL},
};

static int fill_create(struct cli *cli, struct arena *arena, struct create_topics_request *m) {
    codec_init(&create_topics_request_codec, m);
    m->validate_only = cli_flag(cli, "--dry-run");
    m->timeout_ms = (int32_t)cli_integer(cli, "--timeout", 30) * 1000;
    m->topics_count = cli_argument_count(cli);
    m->topics = create_topics_request_topic_new(arena, m->topics_count);
    int config_count = cli_count(cli, "--config");
    for (int32_t i = 0; i < m->topics_count; i++) {
        struct create_topics_request_topic *t = &m->topics[i];
        t->name = slice_cstring(cli_argument(cli, i));
        t->num_partitions = (int32_t)cli_integer(cli, "--partitions", -1);
        t->replication_factor = (int16_t)cli_integer(cli, "--replication-factor", -1);
        t->configs_count = config_count;
        t->configs = create_topics_request_config_new(arena, config_count);
        for (int j = 0; j < config_count; j++) {
            struct slice pair = slice_cstring(cli_value_at(cli, "--config", j));
            if (!slice_split(pair, '=', &t->configs[j].name, &t->configs[j].value)) {
                return cli_usage(cli, "--config takes key=value, not \"%.*s\"", SLICE_PRINT(pair));
            }
        }
    }
    return 0;
}

static int run_create(struct cli *cli) {
    struct arena arena;
    arena_init(&arena);
    struct create_topics_request request;
    struct session session = {0};
    int code = fill_create(cli, &arena, &request);
    if (code == 0) code = session_open(&session, cli);
    if (code != 0) goto out;
    // Before v4 the defaults (-1) do not exist.
    struct client_call call = {.api = API_CREATE_TOPICS, .version_min = 4, .message = &request};
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        const struct create_topics_response *answer = call.response;
        struct table table;
        table_init(&table, result_columns, COUNT_OF(result_columns));
        int failures = 0;
        for (int32_t i = 0; i < answer->topics_count; i++) {
            const struct create_topics_response_topic *t = &answer->topics[i];
            bool there =
                t->error_code == ERR_TOPIC_ALREADY_EXISTS && cli_flag(cli, "--if-not-exists");
            add_result(&table, t->name, there ? 0 : t->error_code, t->error_message,
                       there                   ? "exists"
                       : request.validate_only ? "can be created"
                                               : "created",
                       t->topic_id, &failures);
        }
        table_print(&table, cli, "No topics.");
        table_deinit(&table);
        code = failures > 0;
    }
    client_call_release(&call);
out:
    session_close(&session);
    arena_deinit(&arena);
    return code;
}

const struct cli_command command_topic_create = {
    .name = "topic create",
    .arguments = "<topic>… [options]",
    .summary = "Create topics",
    .example =
        "taccola topic create payments --partitions 4\n"
        "  taccola topic create logs --config retention.ms=86400000 --config compression.type=zstd",
    .options = create_options,
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .prints_data = true,
    .run = run_create,
};

// ---- topic delete ----

static void prepare_delete(struct client_call *call) {
    // v6 names topics in structs, older versions in a plain list.
    struct delete_topics_request *m = call->message;
    if (call->version >= 6) {
        m->topic_names_count = 0;
    } else {
        m->topics_count = 0;
    }
}

static int run_delete(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct arena arena;
    arena_init(&arena);
    struct delete_topics_request request;
    codec_init(&delete_topics_request_codec, &request);
    request.timeout_ms = (int32_t)cli_integer(cli, "--timeout", 30) * 1000;
    request.topics_count = request.topic_names_count = cli_argument_count(cli);
    request.topics = delete_topics_request_topic_new(&arena, request.topics_count);
    request.topic_names =
        arena_zalloc(&arena, (size_t)cli_argument_count(cli), sizeof(struct slice));
    for (int i = 0; i < cli_argument_count(cli); i++) {
        request.topics[i].name = request.topic_names[i] = slice_cstring(cli_argument(cli, i));
    }
    struct client_call call = {
        .api = API_DELETE_TOPICS, .version_min = 1, .message = &request, .prepare = prepare_delete};
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        const struct delete_topics_response *answer = call.response;
        struct table table;
        table_init(&table, result_columns, COUNT_OF(result_columns));
        int failures = 0;
        for (int32_t i = 0; i < answer->responses_count; i++) {
            const struct delete_topics_response_response *t = &answer->responses[i];
            add_result(&table, t->name, t->error_code, t->error_message, "deleted", t->topic_id,
                       &failures);
        }
        table_print(&table, cli, "No topics.");
        table_deinit(&table);
        code = failures > 0;
    }
    client_call_release(&call);
    session_close(&session);
    arena_deinit(&arena);
    return code;
}

const struct cli_command command_topic_delete = {
    .name = "topic delete",
    .arguments = "<topic>… [options]",
    .summary = "Delete topics and all their records",
    .example = "taccola topic delete payments",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .prints_data = true,
    .run = run_delete,
};

// ---- topic add-partitions ----

static const struct cli_option add_options[] = {
    {"--partitions", "-p", "N", "the new number of partitions, old ones included",
     .is_number = true, .min = 1, .max = 1000000},
    {"--dry-run", NULL, NULL, "check only, change nothing", .is_number = false},
    {.name = NULL},
};

static int run_add_partitions(struct cli *cli) {
    if (!cli_flag(cli, "--partitions")) return cli_usage(cli, "needs --partitions N");
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    codec_init(&create_partitions_request_codec, &request);
    codec_init(&create_partitions_request_topic_codec, &topic);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = (int32_t)cli_integer(cli, "--timeout", 30) * 1000;
    request.validate_only = cli_flag(cli, "--dry-run");
    topic.name = slice_cstring(cli_argument(cli, 0));
    topic.count = (int32_t)cli_integer(cli, "--partitions", 0);
    topic.assignments_count = -1;
    struct client_call call = {.api = API_CREATE_PARTITIONS, .message = &request};
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        const struct create_partitions_response *answer = call.response;
        struct table table;
        table_init(&table, result_columns, 2);
        int failures = 0;
        for (int32_t i = 0; i < answer->results_count; i++) {
            add_result(&table, answer->results[i].name, answer->results[i].error_code,
                       answer->results[i].error_message,
                       request.validate_only ? "can be done" : "done", UUID_ZERO, &failures);
        }
        table_print(&table, cli, "No topics.");
        table_deinit(&table);
        code = failures > 0;
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_topic_add_partitions = {
    .name = "topic add-partitions",
    .arguments = "<topic> --partitions N",
    .summary = "Give a topic more partitions",
    .details =
        "Partitions are never taken away. Records with keys may go to other partitions from then "
        "on.",
    .example = "taccola topic add-partitions payments --partitions 8",
    .options = add_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .is_client = true,
    .prints_data = true,
    .run = run_add_partitions,
};

// ---- topic delete-records ----

static const struct cli_option records_options[] = {
    {"--partition", "-p", "N", "of this partition", .is_number = true, .min = 0, .max = INT32_MAX},
    {"--before", NULL, "offset", "delete what lies below this offset; -1: everything",
     .is_number = true, .min = -1, .max = INT64_MAX},
    {.name = NULL},
};

static int run_delete_records(struct cli *cli) {
    if (!cli_flag(cli, "--partition") || !cli_flag(cli, "--before")) {
        return cli_usage(cli, "needs --partition N and --before OFFSET");
    }
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct delete_records_request request;
    struct delete_records_request_topic topic;
    struct delete_records_request_partition partition;
    codec_init(&delete_records_request_codec, &request);
    codec_init(&delete_records_request_topic_codec, &topic);
    codec_init(&delete_records_request_partition_codec, &partition);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = (int32_t)cli_integer(cli, "--timeout", 30) * 1000;
    topic.name = slice_cstring(cli_argument(cli, 0));
    topic.partitions = &partition;
    topic.partitions_count = 1;
    partition.partition_index = (int32_t)cli_integer(cli, "--partition", 0);
    partition.offset = cli_integer(cli, "--before", 0);

    int32_t leader;
    enum err err = session_leader(&session, topic.name, partition.partition_index, &leader);
    if (err != ERR_NONE) {
        code = cli_fail(cli, "%s-%d: %s", cli_argument(cli, 0), partition.partition_index,
                        err_text(err));
        session_close(&session);
        return code;
    }
    struct client_call call = {
        .target = CLIENT_NODE, .node = leader, .api = API_DELETE_RECORDS, .message = &request};
    err = session_call(&session, &call);
    const struct delete_records_response *answer = call.response;
    if (err == ERR_NONE && answer->topics_count == 1 && answer->topics[0].partitions_count == 1) {
        static const struct table_column columns[] = {{"Topic", CELL_TEXT},
                                                      {"Partition", CELL_NUMBER},
                                                      {"Log start", CELL_NUMBER},
                                                      {"Result", CELL_TEXT}};
        const struct delete_records_response_partition *p = &answer->topics[0].partitions[0];
        enum err result = err_of_wire(p->error_code);
        struct table table;
        table_init(&table, columns, COUNT_OF(columns));
        table_row(&table);
        table_text(&table, 0, topic.name);
        table_number(&table, 1, partition.partition_index);
        table_number(&table, 2, p->low_watermark);
        table_text(&table, 3, slice_cstring(result == ERR_NONE ? "done" : err_text(result)));
        table_print(&table, cli, "");
        table_deinit(&table);
        code = result != ERR_NONE;
    } else {
        code = session_failed(&session, &call, err == ERR_NONE ? ERR_CORRUPT : err);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_topic_delete_records = {
    .name = "topic delete-records",
    .arguments = "<topic> --partition N --before OFFSET",
    .summary = "Delete the oldest records of a partition",
    .example = "taccola topic delete-records payments --partition 0 --before 1000",
    .options = records_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .is_client = true,
    .prints_data = true,
    .run = run_delete_records,
};
