// topic list, topic describe.
#include <stdlib.h>

#include "cli/session.h"
#include "cli/table.h"
#include "wire/codec.h"

// All topics, or one when `name` is not null.
static enum err ask_metadata(struct session *s, struct client_call *call,
                             struct metadata_request *m, struct metadata_request_topic *topic,
                             struct slice name) {
    codec_init(&metadata_request_codec, m);
    m->allow_auto_topic_creation = false;
    m->topics_count = slice_is_null(name) ? -1 : 1;
    m->topics = NULL;
    if (!slice_is_null(name)) {
        codec_init(&metadata_request_topic_codec, topic);
        topic->name = name;
        m->topics = topic;
    }
    *call = (struct client_call){.api = API_METADATA, .version_min = 4, .message = m};
    return session_call(s, call);
}

// ---- topic list ----

static const struct cli_option list_options[] = {
    {"--all", "-a", NULL, "internal topics too", .is_number = false},
    {.name = NULL},
};

static int compare_topics(const void *a, const void *b) {
    const struct metadata_response_topic *x = a, *y = b;
    return slice_compare(x->name, y->name);
}

static int run_list(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct client_call call;
    struct metadata_request request;
    enum err err = ask_metadata(&session, &call, &request, NULL, SLICE_NULL);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        struct metadata_response *answer = call.response;
        qsort(answer->topics, (size_t)answer->topics_count, sizeof *answer->topics, compare_topics);
        static const struct table_column columns[] = {{"Topic", CELL_TEXT},
                                                      {"Partitions", CELL_NUMBER},
                                                      {"Replicas", CELL_NUMBER},
                                                      {"Topic id", CELL_TEXT}};
        struct table table;
        table_init(&table, columns, COUNT_OF(columns));
        for (int32_t i = 0; i < answer->topics_count; i++) {
            const struct metadata_response_topic *t = &answer->topics[i];
            if (t->is_internal && !cli_flag(cli, "--all")) continue;
            char id[UUID_TEXT_SIZE];
            table_row(&table);
            table_text(&table, 0, t->name);
            table_number(&table, 1, t->partitions_count);
            table_number(&table, 2,
                         t->partitions_count > 0 ? t->partitions[0].replica_nodes_count : 0);
            table_text(&table, 3, slice_cstring(uuid_format(t->topic_id, id)));
        }
        table_print(&table, cli, "No topics. Create one: taccola topic create <topic>");
        table_deinit(&table);
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_topic_list = {
    .name = "topic list",
    .arguments = "[options]",
    .summary = "List topics",
    .example = "taccola topic list\n  taccola topic list --all --output json",
    .options = list_options,
    .is_client = true,
    .prints_data = true,
    .run = run_list,
};

// ---- topic describe ----

// The offset of every partition at `which` (-1 end, -2 begin), -1 where it is not known.
static void ask_offsets(struct session *s, const struct metadata_response_topic *topic,
                        int64_t which, struct arena *arena, int64_t *offsets) {
    for (int32_t i = 0; i < topic->partitions_count; i++)
        offsets[i] = -1;
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        int32_t leader = topic->partitions[i].leader_id;
        bool asked = leader < 0;
        for (int32_t j = 0; j < i; j++)
            asked |= topic->partitions[j].leader_id == leader;
        if (asked) continue;  // one request per leader
        struct list_offsets_request m;
        struct list_offsets_request_topic t;
        codec_init(&list_offsets_request_codec, &m);
        codec_init(&list_offsets_request_topic_codec, &t);
        m.replica_id = -1;
        m.topics = &t;
        m.topics_count = 1;
        t.name = topic->name;
        t.partitions = list_offsets_request_partition_new(arena, topic->partitions_count);
        t.partitions_count = 0;
        for (int32_t j = i; j < topic->partitions_count; j++) {
            if (topic->partitions[j].leader_id != leader) continue;
            t.partitions[t.partitions_count].partition_index = topic->partitions[j].partition_index;
            t.partitions[t.partitions_count++].timestamp = which;
        }
        struct client_call call = {.target = CLIENT_NODE,
                                   .node = leader,
                                   .api = API_LIST_OFFSETS,
                                   .version_min = 1,
                                   .message = &m};
        if (session_call(s, &call) == ERR_NONE) {
            const struct list_offsets_response *answer = call.response;
            for (int32_t j = 0; answer->topics_count == 1 && j < answer->topics[0].partitions_count;
                 j++) {
                const struct list_offsets_response_partition *p = &answer->topics[0].partitions[j];
                for (int32_t k = 0; k < topic->partitions_count; k++) {
                    bool same = topic->partitions[k].partition_index == p->partition_index;
                    if (same && p->error_code == 0) offsets[k] = p->offset;
                }
            }
        }
        client_call_release(&call);
    }
}

static void put_nodes(struct table *table, int column, const int32_t *nodes, int32_t count) {
    struct string_buffer text, json;
    string_buffer_init(&text);
    string_buffer_init(&json);
    for (int32_t i = 0; i < count; i++) {
        string_buffer_format(&text, i == 0 ? "%d" : ",%d", nodes[i]);
        string_buffer_format(&json, i == 0 ? "[%d" : ", %d", nodes[i]);
    }
    string_buffer_append(&json, count == 0 ? SLICE_LITERAL("[]") : SLICE_LITERAL("]"));
    table_json(table, column, string_buffer_slice(&text), string_buffer_slice(&json));
    string_buffer_deinit(&text);
    string_buffer_deinit(&json);
}

static int compare_partitions(const void *a, const void *b) {
    const struct metadata_response_partition *x = a, *y = b;
    return (x->partition_index > y->partition_index) - (x->partition_index < y->partition_index);
}

static void describe(struct session *s, struct metadata_response_topic *topic,
                     struct table *table) {
    struct arena arena;
    arena_init(&arena);
    size_t count = (size_t)topic->partitions_count;
    qsort(topic->partitions, count, sizeof *topic->partitions, compare_partitions);
    int64_t *begins = arena_zalloc(&arena, count, sizeof *begins);
    int64_t *ends = arena_zalloc(&arena, count, sizeof *ends);
    ask_offsets(s, topic, -2, &arena, begins);
    ask_offsets(s, topic, -1, &arena, ends);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const struct metadata_response_partition *p = &topic->partitions[i];
        table_row(table);
        table_text(table, 0, topic->name);
        table_number(table, 1, p->partition_index);
        table_number(table, 2, p->leader_id);
        table_number(table, 3, p->leader_epoch);
        put_nodes(table, 4, p->replica_nodes, p->replica_nodes_count);
        put_nodes(table, 5, p->isr_nodes, p->isr_nodes_count);
        if (begins[i] >= 0) table_number(table, 6, begins[i]);
        if (ends[i] >= 0) table_number(table, 7, ends[i]);
    }
    arena_deinit(&arena);
}

static int run_describe(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {
        {"Topic", CELL_TEXT},       {"Partition", CELL_NUMBER}, {"Leader", CELL_NUMBER},
        {"Epoch", CELL_NUMBER},     {"Replicas", CELL_JSON},    {"In sync", CELL_JSON},
        {"Log start", CELL_NUMBER}, {"Log end", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int i = 0; i < cli_argument_count(cli); i++) {
        struct client_call call;
        struct metadata_request request;
        struct metadata_request_topic name;
        enum err err =
            ask_metadata(&session, &call, &request, &name, slice_cstring(cli_argument(cli, i)));
        if (err == ERR_NONE) {
            struct metadata_response *answer = call.response;
            err =
                answer->topics_count == 1 ? err_of_wire(answer->topics[0].error_code) : ERR_CORRUPT;
            if (err == ERR_NONE) describe(&session, &answer->topics[0], &table);
        }
        if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
            code = cli_fail(cli, "there is no topic %s; taccola topic list shows them",
                            cli_argument(cli, i));
        } else if (err != ERR_NONE) {
            code = session_failed(&session, &call, err);
        }
        client_call_release(&call);
    }
    if (table.row_count > 0) table_print(&table, cli, "");
    table_deinit(&table);
    session_close(&session);
    return code;
}

const struct cli_command command_topic_describe = {
    .name = "topic describe",
    .arguments = "<topic>…",
    .summary = "Show the partitions of topics, with their leaders and offsets",
    .example = "taccola topic describe payments",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};
