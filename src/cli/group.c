// group list, group describe, group delete.
#include <stdio.h>
#include <stdlib.h>

#include "cli/session.h"
#include "cli/table.h"
#include "client/coordinator.h"
#include "gen/rec/client.h"
#include "wire/codec.h"

// ---- Calls to a group's coordinator, run to their end ----

struct group_call {
    struct coordinator coordinator;
    struct coordinator_call call;
    bool over;
    enum err result;
};

static void group_call_over(struct coordinator_call *call, enum err result) {
    struct group_call *g = container_of(call, struct group_call, call);
    g->over = true;
    g->result = result;
}

// `g->call.call` says what is asked. The response lives until group_call_end.
static enum err group_call_run(struct session *s, struct group_call *g, struct slice group) {
    coordinator_init(&g->coordinator, s->client, group, COORDINATOR_GROUP);
    g->call.done = group_call_over;
    coordinator_call_start(&g->coordinator, &g->call);
    while (!g->over && !s->interrupted)
        session_pass(s, 100);
    if (!g->over) coordinator_call_cancel(&g->call);
    return g->result;
}

static void group_call_end(struct group_call *g) {
    client_call_release(&g->call.call);
    coordinator_deinit(&g->coordinator);
}

// The code inside the answer for one group, so that the coordinator is looked for again when it has
// moved.
static enum err describe_verdict(struct coordinator_call *call) {
    const struct describe_groups_response *r = call->call.response;
    return r->groups_count == 1 ? err_of_wire(r->groups[0].error_code) : ERR_CORRUPT;
}

static enum err delete_verdict(struct coordinator_call *call) {
    const struct delete_groups_response *r = call->call.response;
    return r->results_count == 1 ? err_of_wire(r->results[0].error_code) : ERR_CORRUPT;
}

// ---- group list ----

static int compare_groups(const void *a, const void *b) {
    const struct list_groups_response_group *x = a, *y = b;
    return slice_compare(x->group_id, y->group_id);
}

// Every node keeps some groups.
static enum err list_node(struct session *s, int32_t node, struct table *table,
                          struct client_call *call) {
    struct list_groups_request request;
    codec_init(&list_groups_request_codec, &request);
    *call = (struct client_call){
        .target = CLIENT_NODE, .node = node, .api = API_LIST_GROUPS, .message = &request};
    enum err e = session_call(s, call);
    struct list_groups_response *answer = call->response;
    if (e == ERR_NONE) e = err_of_wire(answer->error_code);
    if (e != ERR_NONE) return e;
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

static int run_list(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {{"Group", CELL_TEXT},
                                                  {"State", CELL_TEXT},
                                                  {"Type", CELL_TEXT},
                                                  {"Protocol", CELL_TEXT},
                                                  {"Coordinator", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    struct metadata_request request;
    codec_init(&metadata_request_codec, &request);
    struct client_call metadata = {.api = API_METADATA, .version_min = 1, .message = &request};
    enum err e = session_call(&session, &metadata);
    if (e != ERR_NONE) {
        code = session_failed(&session, &metadata, e);
    } else {
        const struct metadata_response *nodes = metadata.response;
        for (int32_t i = 0; i < nodes->brokers_count && code == 0; i++) {
            struct client_call call;
            e = list_node(&session, nodes->brokers[i].node_id, &table, &call);
            if (e != ERR_NONE) code = session_failed(&session, &call, e);
            client_call_release(&call);
        }
        if (code == 0) table_print(&table, cli, "No groups.");
    }
    client_call_release(&metadata);
    table_deinit(&table);
    session_close(&session);
    return code;
}

const struct cli_command command_group_list = {
    .name = "group list",
    .arguments = "",
    .summary = "List groups, with their states",
    .example = "taccola group list\n  taccola group list --output json",
    .is_client = true,
    .prints_data = true,
    .run = run_list,
};

// ---- group describe ----

// The member that has a partition; NULL: none.
static const struct describe_groups_response_member *member_of(
    const struct describe_groups_response_group *group, struct slice topic, int32_t partition,
    struct arena *arena) {
    for (int32_t m = 0; m < group->members_count; m++) {
        struct reader in = reader_of(group->members[m].member_assignment);
        int16_t version = reader_i16(&in);
        struct consumer_protocol_assignment a;
        if (in.failed || version < 0) continue;
        if (codec_decode(&consumer_protocol_assignment_codec, MIN(version, 3), &in, arena, 0, &a) !=
            ERR_NONE) {
            continue;
        }
        for (int32_t t = 0; t < a.assigned_partitions_count; t++) {
            if (!slice_equal(a.assigned_partitions[t].topic, topic)) continue;
            for (int32_t p = 0; p < a.assigned_partitions[t].partitions_count; p++) {
                if (a.assigned_partitions[t].partitions[p] == partition) return &group->members[m];
            }
        }
    }
    return NULL;
}

static void put_offset(struct session *s, struct table *table,
                       const struct describe_groups_response_group *group, struct slice topic,
                       int32_t partition, int64_t committed) {
    struct arena arena;
    arena_init(&arena);
    table_row(table);
    table_text(table, 0, topic);
    table_number(table, 1, partition);
    table_number(table, 2, committed);
    int64_t end;
    if (session_offset(s, topic, partition, -1, &end) == ERR_NONE) {
        table_number(table, 3, end);
        table_number(table, 4, MAX(end - committed, (int64_t)0));
    }
    const struct describe_groups_response_member *member =
        member_of(group, topic, partition, &arena);
    if (member != NULL) {
        table_text(table, 5, member->member_id);
        table_text(table, 6, member->client_host);
    }
    arena_deinit(&arena);
}

// Versions 2 to 7 answer for one group without wrapping, and with all its topics when none is
// named.
static enum err put_offsets(struct session *s, struct table *table,
                            const struct describe_groups_response_group *group) {
    struct offset_fetch_request request;
    codec_init(&offset_fetch_request_codec, &request);
    request.group_id = group->group_id;
    request.topics_count = -1;
    struct group_call offsets = {
        .call.call = {
            .api = API_OFFSET_FETCH, .version_min = 2, .version_max = 7, .message = &request}};
    enum err e = group_call_run(s, &offsets, group->group_id);
    const struct offset_fetch_response *answer = offsets.call.call.response;
    if (e == ERR_NONE) e = err_of_wire(answer->error_code);
    for (int32_t t = 0; e == ERR_NONE && t < answer->topics_count; t++) {
        for (int32_t p = 0; p < answer->topics[t].partitions_count; p++) {
            put_offset(s, table, group, answer->topics[t].name,
                       answer->topics[t].partitions[p].partition_index,
                       answer->topics[t].partitions[p].committed_offset);
        }
    }
    group_call_end(&offsets);
    return e;
}

static int run_describe(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    static const struct table_column columns[] = {
        {"Topic", CELL_TEXT}, {"Partition", CELL_NUMBER}, {"Committed", CELL_NUMBER},
        {"End", CELL_NUMBER}, {"Lag", CELL_NUMBER},       {"Member", CELL_TEXT},
        {"Host", CELL_TEXT}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    struct slice name = slice_cstring(cli_argument(cli, 0));
    struct describe_groups_request request;
    codec_init(&describe_groups_request_codec, &request);
    request.groups = &name;
    request.groups_count = 1;
    struct group_call call = {
        .call.call = {.api = API_DESCRIBE_GROUPS, .version_max = INT16_MAX, .message = &request},
        .call.verdict = describe_verdict};
    enum err e = group_call_run(&session, &call, name);
    if (e == ERR_NONE) {
        const struct describe_groups_response *answer = call.call.call.response;
        const struct describe_groups_response_group *group = &answer->groups[0];
        bool has_assignor = group->protocol_data.size > 0;
        fprintf(stderr, "Group %.*s is %.*s, %d members%s%.*s\n", SLICE_PRINT(name),
                SLICE_PRINT(group->group_state), group->members_count,
                has_assignor ? ", assignor " : "", SLICE_PRINT(group->protocol_data));
        e = put_offsets(&session, &table, group);
        if (e == ERR_NONE) table_print(&table, cli, "No committed offsets.");
    }
    if (e == ERR_GROUP_ID_NOT_FOUND) {
        code = cli_fail(cli, "there is no group %s", cli_argument(cli, 0));
    } else if (e != ERR_NONE) {
        code = session_failed(&session, &call.call.call, e);
    }
    group_call_end(&call);
    table_deinit(&table);
    session_close(&session);
    return code;
}

const struct cli_command command_group_describe = {
    .name = "group describe",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Show a group's state, committed offsets, lag and members",
    .example = "taccola group describe billing\n  taccola group describe billing --output json",
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};

// ---- group delete ----

static int run_delete(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    for (int i = 0; i < cli_argument_count(cli); i++) {
        struct slice name = slice_cstring(cli_argument(cli, i));
        struct delete_groups_request request;
        codec_init(&delete_groups_request_codec, &request);
        request.groups_names = &name;
        request.groups_names_count = 1;
        struct group_call call = {
            .call.call = {.api = API_DELETE_GROUPS, .version_max = INT16_MAX, .message = &request},
            .call.verdict = delete_verdict};
        enum err e = group_call_run(&session, &call, name);
        if (e == ERR_GROUP_ID_NOT_FOUND) {
            code = cli_fail(cli, "there is no group %s", cli_argument(cli, i));
        } else if (e == ERR_NON_EMPTY_GROUP) {
            code = cli_fail(cli, "%s has members; stop them first", cli_argument(cli, i));
        } else if (e != ERR_NONE) {
            code = session_failed(&session, &call.call.call, e);
        } else {
            fprintf(stderr, "Deleted %s.\n", cli_argument(cli, i));
        }
        group_call_end(&call);
    }
    session_close(&session);
    return code;
}

const struct cli_command command_group_delete = {
    .name = "group delete",
    .arguments = "<group> …",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .summary = "Delete groups that have no members, with their offsets",
    .example = "taccola group delete billing",
    .is_client = true,
    .run = run_delete,
};
