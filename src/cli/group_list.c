// group list: every node keeps some of the groups.
#include <stdlib.h>

#include "cli/session.h"
#include "cli/table.h"
#include "wire/codec.h"

static const struct cli_option list_options[] = {
    {"--state", NULL, "STATE", "only groups in this state; may be given several times",
     .is_number = false},
    {"--type", NULL, "TYPE", "only classic, consumer, share or streams; several times too",
     .is_number = false},
    {.name = NULL},
};

static const char *const states[] = {"Empty",
                                     "PreparingRebalance",
                                     "CompletingRebalance",
                                     "Stable",
                                     "Assigning",
                                     "Reconciling",
                                     "NotReady",
                                     "Dead",
                                     NULL};
static const char *const types[] = {"classic", "consumer", "share", "streams", NULL};

// The values of an option in Kafka's spelling. False after a complaint.
static bool read_filter(struct cli *cli, const char *option, const char *const *known,
                        struct arena *arena, struct slice **list, int32_t *count) {
    *count = cli_count(cli, option);
    *list = arena_zalloc(arena, (size_t)*count, sizeof **list);
    for (int32_t i = 0; i < *count; i++) {
        struct slice given = slice_cstring(cli_value_at(cli, option, i));
        for (int k = 0; known[k] != NULL; k++) {
            if (slice_equal_any_case(given, slice_cstring(known[k])))
                (*list)[i] = slice_cstring(known[k]);
        }
        if (!slice_is_null((*list)[i])) continue;
        struct string_buffer all;
        string_buffer_init(&all);
        for (int k = 0; known[k] != NULL; k++)
            string_buffer_format(&all, "%s%s", k > 0 ? ", " : "", known[k]);
        cli_usage(cli, "there is no %s %.*s; there are %s", option + 2, SLICE_PRINT(given),
                  all.text);
        string_buffer_deinit(&all);
        return false;
    }
    return true;
}

static int compare_groups(const void *a, const void *b) {
    const struct list_groups_response_group *x = a, *y = b;
    return slice_compare(x->group_id, y->group_id);
}

static enum err list_node(struct session *s, int32_t node, struct list_groups_request *request,
                          struct table *table, struct client_call *call) {
    int16_t version_min = 0;
    if (request->states_filter_count > 0) version_min = 4;
    if (request->types_filter_count > 0) version_min = 5;
    *call = (struct client_call){.target = CLIENT_NODE,
                                 .node = node,
                                 .api = API_LIST_GROUPS,
                                 .version_min = version_min,
                                 .message = request};
    enum err err = session_call(s, call);
    struct list_groups_response *answer = call->response;
    if (err == ERR_NONE) err = err_of_wire(answer->error_code);
    if (err != ERR_NONE) return err;
    qsort(answer->groups, (size_t)answer->groups_count, sizeof *answer->groups, compare_groups);
    for (int32_t i = 0; i < answer->groups_count; i++) {
        table_row(table);
        table_text(table, 0, answer->groups[i].group_id);
        table_text(table, 1, answer->groups[i].group_state);
        table_text(table, 2, answer->groups[i].group_type);
        table_text(table, 3, answer->groups[i].protocol_type);
        table_number(table, 4, node);
    }
    return ERR_NONE;
}

static int list_nodes(struct session *s, struct list_groups_request *request, struct table *table) {
    struct metadata_request everything;
    codec_init(&metadata_request_codec, &everything);
    struct client_call metadata = {.api = API_METADATA, .version_min = 1, .message = &everything};
    enum err err = session_call(s, &metadata);
    int code = err == ERR_NONE ? 0 : session_failed(s, &metadata, err);
    const struct metadata_response *nodes = metadata.response;
    for (int32_t i = 0; code == 0 && i < nodes->brokers_count; i++) {
        struct client_call call;
        err = list_node(s, nodes->brokers[i].node_id, request, table, &call);
        if (err != ERR_NONE) code = session_failed(s, &call, err);
        client_call_release(&call);
    }
    client_call_release(&metadata);
    return code;
}

static int run_list(struct cli *cli) {
    static const struct table_column columns[] = {{"Group", CELL_TEXT},
                                                  {"State", CELL_TEXT},
                                                  {"Type", CELL_TEXT},
                                                  {"Protocol", CELL_TEXT},
                                                  {"Coordinator", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    struct list_groups_request request;
    codec_init(&list_groups_request_codec, &request);
    struct session session;
    int code = CLI_USAGE;
    if (read_filter(cli, "--state", states, &table.arena, &request.states_filter,
                    &request.states_filter_count) &&
        read_filter(cli, "--type", types, &table.arena, &request.types_filter,
                    &request.types_filter_count)) {
        code = session_open(&session, cli);
        if (code == 0) {
            code = list_nodes(&session, &request, &table);
            session_close(&session);
        }
    }
    if (code == 0) table_print(&table, cli, "No groups.");
    table_deinit(&table);
    return code;
}

const struct cli_command command_group_list = {
    .name = "group list",
    .arguments = "",
    .summary = "List groups, with their states",
    .example =
        "taccola group list\n"
        "  taccola group list --state empty --state stable --type consumer --output json",
    .options = list_options,
    .is_client = true,
    .prints_data = true,
    .run = run_list,
};
