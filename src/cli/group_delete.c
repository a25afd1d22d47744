// group delete, group delete-offsets.
#include <stdio.h>

#include "cli/coordinated.h"
#include "cli/table.h"
#include "wire/codec.h"

// ---- group delete ----

static enum err delete_verdict(struct coordinator_call *call) {
    const struct delete_groups_response *r = call->call.response;
    return r->results_count == 1 ? err_of_wire(r->results[0].error_code) : ERR_CORRUPT;
}

static int delete_group(struct session *s, struct slice name) {
    struct delete_groups_request request;
    codec_init(&delete_groups_request_codec, &request);
    request.groups_names = &name;
    request.groups_names_count = 1;
    struct coordinated c = {.call.call = {.api = API_DELETE_GROUPS, .message = &request},
                            .call.verdict = delete_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_GROUP, name);
    int code = 0;
    if (err == ERR_GROUP_ID_NOT_FOUND) {
        code = cli_fail(s->cli, "there is no group %.*s", SLICE_PRINT(name));
    } else if (err == ERR_NON_EMPTY_GROUP) {
        code = cli_fail(s->cli, "%.*s has members; stop them first", SLICE_PRINT(name));
    } else if (err != ERR_NONE) {
        code = coordinated_failed(s, &c, err);
    } else {
        fprintf(stderr, "Deleted %.*s.\n", SLICE_PRINT(name));
    }
    coordinated_end(&c);
    return code;
}

static int run_delete(struct cli *cli) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    for (int i = 0; i < cli_argument_count(cli) && !session.interrupted; i++) {
        if (delete_group(&session, slice_cstring(cli_argument(cli, i))) != 0) code = CLI_FAILED;
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

// ---- group delete-offsets ----

static const struct cli_option delete_offsets_options[] = {
    {"--topic", "-t", "TOPIC", "of this topic", .is_number = false},
    {"--partition", "-p", "N", "only this partition (all); may be given several times",
     .is_number = true, .min = 0, .max = INT32_MAX},
    {.name = NULL},
};

static enum err delete_offsets_verdict(struct coordinator_call *call) {
    const struct offset_delete_response *r = call->call.response;
    return err_of_wire(r->error_code);
}

static int print_deleted(struct session *s, const struct offset_delete_response *answer) {
    static const struct table_column columns[] = {
        {"Topic", CELL_TEXT}, {"Partition", CELL_NUMBER}, {"Result", CELL_TEXT}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    int code = 0;
    for (int32_t t = 0; t < answer->topics_count; t++) {
        for (int32_t p = 0; p < answer->topics[t].partitions_count; p++) {
            enum err err = err_of_wire(answer->topics[t].partitions[p].error_code);
            table_row(&table);
            table_text(&table, 0, answer->topics[t].name);
            table_number(&table, 1, answer->topics[t].partitions[p].partition_index);
            table_text(&table, 2, slice_cstring(err == ERR_NONE ? "deleted" : err_text(err)));
            if (err != ERR_NONE) code = CLI_FAILED;
        }
    }
    table_print(&table, s->cli, "Nothing to delete.");
    table_deinit(&table);
    return code;
}

// Fills the partitions that were named, or all that the topic has.
static int fill_partitions(struct session *s, struct offset_delete_request_topic *topic,
                           struct arena *arena) {
    int32_t count = cli_count(s->cli, "--partition");
    bool all = count == 0;
    if (all) {
        struct client_topic *known;
        enum err err = session_topic(s, topic->name, &known);
        if (err != ERR_NONE) {
            return cli_fail(s->cli, "topic %.*s: %s", SLICE_PRINT(topic->name), err_text(err));
        }
        count = known->partition_count;
    }
    topic->partitions = arena_zalloc(arena, (size_t)count, sizeof *topic->partitions);
    topic->partitions_count = count;
    for (int32_t i = 0; i < count; i++) {
        int64_t index = i;
        if (!all &&
            !slice_parse_int64(slice_cstring(cli_value_at(s->cli, "--partition", i)), &index)) {
            return CLI_USAGE;
        }
        codec_init(&offset_delete_request_partition_codec, &topic->partitions[i]);
        topic->partitions[i].partition_index = (int32_t)index;
    }
    return 0;
}

static int delete_offsets(struct session *s, struct arena *arena) {
    struct offset_delete_request request;
    struct offset_delete_request_topic topic;
    codec_init(&offset_delete_request_codec, &request);
    codec_init(&offset_delete_request_topic_codec, &topic);
    topic.name = slice_cstring(cli_value(s->cli, "--topic"));
    request.group_id = slice_cstring(cli_argument(s->cli, 0));
    request.topics = &topic;
    request.topics_count = 1;
    int code = fill_partitions(s, &topic, arena);
    if (code != 0) return code;
    struct coordinated c = {.call.call = {.api = API_OFFSET_DELETE, .message = &request},
                            .call.verdict = delete_offsets_verdict};
    enum err err = coordinated_run(s, &c, COORDINATOR_GROUP, request.group_id);
    if (err == ERR_GROUP_ID_NOT_FOUND) {
        code = cli_fail(s->cli, "there is no group %.*s", SLICE_PRINT(request.group_id));
    } else if (err == ERR_NON_EMPTY_GROUP) {
        code = cli_fail(s->cli, "%.*s has members; stop them first", SLICE_PRINT(request.group_id));
    } else if (err != ERR_NONE) {
        code = coordinated_failed(s, &c, err);
    } else {
        code = print_deleted(s, c.call.call.response);
    }
    coordinated_end(&c);
    return code;
}

static int run_delete_offsets(struct cli *cli) {
    if (!cli_flag(cli, "--topic")) return cli_usage(cli, "say of which topic: --topic TOPIC");
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct arena arena;
    arena_init(&arena);
    code = delete_offsets(&session, &arena);
    arena_deinit(&arena);
    session_close(&session);
    return code;
}

const struct cli_command command_group_delete_offsets = {
    .name = "group delete-offsets",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Delete a group's committed offsets of a topic",
    .details = "The group must not be subscribed to the topic at that time.",
    .example = "taccola group delete-offsets billing --topic payments --partition 0",
    .options = delete_offsets_options,
    .is_client = true,
    .prints_data = true,
    .run = run_delete_offsets,
};
