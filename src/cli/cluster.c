// cluster describe, quorum, features, log-dirs.
#include <stdio.h>

#include "cli/session.h"
#include "cli/table.h"
#include "wire/codec.h"

// ---- cluster describe ----

static int run_describe(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct describe_cluster_request request;
    codec_init(&describe_cluster_request_codec, &request);
    bool controllers = cli_flag(cli, "--bootstrap-controller");
    request.endpoint_type = controllers ? 2 : 1;
    struct client_call call = {
        .api = API_DESCRIBE_CLUSTER, .version_min = controllers ? 1 : 0, .message = &request};
    enum err err = session_call(&session, &call);
    const struct describe_cluster_response *answer = call.response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        static const struct table_column columns[] = {
            {"Node", CELL_NUMBER}, {"Host", CELL_TEXT},   {"Port", CELL_NUMBER},
            {"Rack", CELL_TEXT},   {"Fenced", CELL_BOOL}, {"Cluster id", CELL_TEXT}};
        struct table table;
        table_init(&table, columns, COUNT_OF(columns));
        for (int32_t i = 0; i < answer->brokers_count; i++) {
            const struct describe_cluster_response_broker *b = &answer->brokers[i];
            table_row(&table);
            table_number(&table, 0, b->broker_id);
            table_text(&table, 1, b->host);
            table_number(&table, 2, b->port);
            if (!slice_is_null(b->rack)) table_text(&table, 3, b->rack);
            table_bool(&table, 4, b->is_fenced);
            table_text(&table, 5, answer->cluster_id);
        }
        table_print(&table, cli, "No nodes.");
        table_deinit(&table);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_cluster_describe = {
    .name = "cluster describe",
    .arguments = "",
    .summary = "Show the nodes of the cluster",
    .example =
        "taccola cluster describe\n"
        "  taccola cluster describe --bootstrap-controller 127.0.0.1:9093",
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};

// ---- cluster quorum ----

static void add_replica(struct table *table, const char *role, int64_t leader_end,
                        const struct describe_quorum_response_replica_state *r) {
    char id[UUID_TEXT_SIZE];
    table_row(table);
    table_number(table, 0, r->replica_id);
    table_text(table, 1, slice_cstring(role));
    table_text(table, 2, slice_cstring(uuid_format(r->replica_directory_id, id)));
    table_number(table, 3, r->log_end_offset);
    table_number(table, 4, r->log_end_offset < 0 ? -1 : leader_end - r->log_end_offset);
}

static void print_quorum(struct cli *cli, const struct describe_quorum_response_partition *p) {
    static const struct table_column columns[] = {{"Node", CELL_NUMBER},
                                                  {"Role", CELL_TEXT},
                                                  {"Directory id", CELL_TEXT},
                                                  {"Log end", CELL_NUMBER},
                                                  {"Lag", CELL_NUMBER}};
    int64_t leader_end = 0;
    for (int32_t i = 0; i < p->current_voters_count; i++) {
        if (p->current_voters[i].replica_id == p->leader_id)
            leader_end = p->current_voters[i].log_end_offset;
    }
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < p->current_voters_count; i++) {
        const struct describe_quorum_response_replica_state *r = &p->current_voters[i];
        add_replica(&table, r->replica_id == p->leader_id ? "leader" : "voter", leader_end, r);
    }
    for (int32_t i = 0; i < p->observers_count; i++) {
        add_replica(&table, "observer", leader_end, &p->observers[i]);
    }
    if (cli_output(cli) == CLI_OUTPUT_TEXT) {
        printf("Leader %d in epoch %d, high watermark %lld\n", p->leader_id, p->leader_epoch,
               (long long)p->high_watermark);
    }
    table_print(&table, cli, "No replicas.");
    table_deinit(&table);
}

static int run_quorum(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct describe_quorum_request request;
    struct describe_quorum_request_topic topic;
    struct describe_quorum_request_partition partition;
    codec_init(&describe_quorum_request_codec, &request);
    codec_init(&describe_quorum_request_topic_codec, &topic);
    codec_init(&describe_quorum_request_partition_codec, &partition);
    request.topics = &topic;
    request.topics_count = 1;
    topic.topic_name = SLICE_LITERAL("__cluster_metadata");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    struct client_call call = {.api = API_DESCRIBE_QUORUM, .message = &request};
    enum err err = session_call(&session, &call);
    const struct describe_quorum_response *answer = call.response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    bool complete =
        err == ERR_NONE && answer->topics_count == 1 && answer->topics[0].partitions_count == 1;
    if (err == ERR_NONE && !complete) err = ERR_CORRUPT;
    if (err == ERR_NONE) err = err_of_wire(answer->topics[0].partitions[0].error_code);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        print_quorum(cli, &answer->topics[0].partitions[0]);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_cluster_quorum = {
    .name = "cluster quorum",
    .arguments = "",
    .summary = "Show the controllers' quorum: leader, voters, lag",
    .example = "taccola cluster quorum",
    .is_client = true,
    .prints_data = true,
    .run = run_quorum,
};

// ---- cluster features ----

static int run_features(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct api_versions_request request;
    codec_init(&api_versions_request_codec, &request);
    request.client_software_name = SLICE_LITERAL("taccola");
    request.client_software_version = SLICE_LITERAL(TACCOLA_VERSION);
    struct client_call call = {
        .api = API_API_VERSIONS, .version_min = 3, .version_max = 4, .message = &request};
    enum err err = session_call(&session, &call);
    const struct api_versions_response *answer = call.response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        static const struct table_column columns[] = {{"Feature", CELL_TEXT},
                                                      {"Lowest", CELL_NUMBER},
                                                      {"Highest", CELL_NUMBER},
                                                      {"Finalized", CELL_NUMBER}};
        struct table table;
        table_init(&table, columns, COUNT_OF(columns));
        for (int32_t i = 0; i < answer->supported_features_count; i++) {
            const struct api_versions_response_supported_feature *f =
                &answer->supported_features[i];
            int64_t level = 0;
            for (int32_t j = 0; j < answer->finalized_features_count; j++) {
                bool same = slice_equal(answer->finalized_features[j].name, f->name);
                if (same) level = answer->finalized_features[j].max_version_level;
            }
            table_row(&table);
            table_text(&table, 0, f->name);
            table_number(&table, 1, f->min_version);
            table_number(&table, 2, f->max_version);
            table_number(&table, 3, level);
        }
        table_print(&table, cli, "No features.");
        table_deinit(&table);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_cluster_features = {
    .name = "cluster features",
    .arguments = "",
    .summary = "Show the features of the cluster and their levels",
    .example = "taccola cluster features",
    .is_client = true,
    .prints_data = true,
    .run = run_features,
};

// ---- cluster log-dirs ----

static const struct cli_option log_dirs_options[] = {
    {"--node", NULL, "N", "of this broker (any one)", .is_number = true, .min = 0,
     .max = INT32_MAX},
    {"--partitions", NULL, NULL, "one line per partition", .is_number = false},
    {.name = NULL},
};

static void add_directory(struct table *table, const struct describe_log_dirs_response_result *d,
                          bool partitions) {
    int64_t bytes = 0, count = 0;
    for (int32_t i = 0; i < d->topics_count; i++) {
        const struct describe_log_dirs_response_topic *t = &d->topics[i];
        for (int32_t j = 0; j < t->partitions_count; j++) {
            bytes += t->partitions[j].partition_size;
            count++;
            if (!partitions) continue;
            table_row(table);
            table_text(table, 0, d->log_dir);
            table_format(table, 1, "%.*s-%d", SLICE_PRINT(t->name),
                         t->partitions[j].partition_index);
            table_number(table, 2, t->partitions[j].partition_size);
        }
    }
    if (partitions) return;
    table_row(table);
    table_text(table, 0, d->log_dir);
    table_format(table, 1, "%lld", (long long)count);
    table_number(table, 2, bytes);
    if (d->total_bytes >= 0) table_number(table, 3, d->total_bytes);
    if (d->usable_bytes >= 0) table_number(table, 4, d->usable_bytes);
    if (d->error_code != 0)
        table_text(table, 5, slice_cstring(err_text(err_of_wire(d->error_code))));
}

static int run_log_dirs(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct describe_log_dirs_request request;
    codec_init(&describe_log_dirs_request_codec, &request);
    request.topics_count = -1;
    struct client_call call = {.api = API_DESCRIBE_LOG_DIRS, .version_min = 1, .message = &request};
    if (cli_flag(cli, "--node")) {
        call.target = CLIENT_NODE;
        call.node = (int32_t)cli_integer(cli, "--node", 0);
    }
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        static const struct table_column columns[] = {
            {"Directory", CELL_TEXT}, {"Partitions", CELL_NUMBER}, {"Bytes", CELL_NUMBER},
            {"Disk", CELL_NUMBER},    {"Free", CELL_NUMBER},       {"Error", CELL_TEXT}};
        static const struct table_column partition_columns[] = {
            {"Directory", CELL_TEXT}, {"Partition", CELL_TEXT}, {"Bytes", CELL_NUMBER}};
        bool partitions = cli_flag(cli, "--partitions");
        struct table table;
        table_init(&table, partitions ? partition_columns : columns,
                   partitions ? COUNT_OF(partition_columns) : COUNT_OF(columns));
        const struct describe_log_dirs_response *answer = call.response;
        for (int32_t i = 0; i < answer->results_count; i++) {
            add_directory(&table, &answer->results[i], partitions);
        }
        table_print(&table, cli, "No log directories.");
        table_deinit(&table);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_cluster_log_dirs = {
    .name = "cluster log-dirs",
    .arguments = "",
    .summary = "Show the log directories of a broker and what they hold",
    .example =
        "taccola cluster log-dirs --node 1\n  taccola cluster log-dirs --partitions --output json",
    .options = log_dirs_options,
    .is_client = true,
    .prints_data = true,
    .run = run_log_dirs,
};
