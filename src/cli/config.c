// config describe, set, delete: what DescribeConfigs and IncrementalAlterConfigs offer, for one
// resource.
#include <stdio.h>
#include <stdlib.h>

#include "cli/session.h"
#include "cli/table.h"
#include "wire/codec.h"

// Kafka's ConfigResource types.
enum {
    RESOURCE_TOPIC = 2,
    RESOURCE_BROKER = 4,
    RESOURCE_BROKER_LOGGER = 8,
    RESOURCE_CLIENT_METRICS = 16,
    RESOURCE_GROUP = 32,
};

struct resource {
    int8_t type;
    struct slice name;
};

static const struct {
    const char *name;
    int8_t type;
} resource_types[] = {{"topic", RESOURCE_TOPIC},
                      {"broker", RESOURCE_BROKER},
                      {"broker-logger", RESOURCE_BROKER_LOGGER},
                      {"group", RESOURCE_GROUP},
                      {"client-metrics", RESOURCE_CLIENT_METRICS}};

static int parse_resource(const struct cli *cli, struct resource *resource) {
    const char *type = cli_argument(cli, 0), *name = cli_argument(cli, 1);
    for (size_t i = 0; i < COUNT_OF(resource_types); i++) {
        if (strcmp(type, resource_types[i].name) != 0) continue;
        bool is_default = resource_types[i].type == RESOURCE_BROKER && strcmp(name, "default") == 0;
        *resource = (struct resource){resource_types[i].type,
                                      is_default ? SLICE_EMPTY : slice_cstring(name)};
        return 0;
    }
    return cli_usage(
        cli, "the type is topic, broker, broker-logger, group or client-metrics, not \"%s\"", type);
}

// Requests about a broker's own settings must reach that broker.
static void aim(struct client_call *call, struct resource resource) {
    int64_t id;
    bool own = resource.type == RESOURCE_BROKER || resource.type == RESOURCE_BROKER_LOGGER;
    if (!own || !slice_parse_int64(resource.name, &id) || id < 0 || id > INT32_MAX) return;
    call->target = CLIENT_NODE;
    call->node = (int32_t)id;
}

// ---- config describe ----

static const struct cli_option describe_options[] = {
    {"--all", "-a", NULL, "values that nobody set too", .is_number = false},
    {.name = NULL},
};

static const char *source_name(int8_t source) {
    static const char *const names[] = {"unknown",         "topic",          "broker",
                                        "cluster default", "file",           "default",
                                        "broker logger",   "client metrics", "group"};
    return source >= 0 && source < (int8_t)COUNT_OF(names) ? names[source] : "unknown";
}

static int compare_configs(const void *a, const void *b) {
    const struct describe_configs_response_config *x = a, *y = b;
    return slice_compare(x->name, y->name);
}

static void print_configs(struct cli *cli, const struct describe_configs_response_result *result) {
    static const struct table_column columns[] = {
        {"Key", CELL_TEXT}, {"Value", CELL_TEXT}, {"From", CELL_TEXT}, {"Read only", CELL_BOOL}};
    qsort(result->configs, (size_t)result->configs_count, sizeof *result->configs, compare_configs);
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < result->configs_count; i++) {
        const struct describe_configs_response_config *c = &result->configs[i];
        bool is_default = c->config_source == 5;
        if (is_default && !cli_flag(cli, "--all")) continue;
        table_row(&table);
        table_text(&table, 0, c->name);
        if (c->is_sensitive) {
            table_text(&table, 1, SLICE_LITERAL("(hidden)"));
        } else if (!slice_is_null(c->value)) {
            table_text(&table, 1, c->value);
        }
        table_text(&table, 2, slice_cstring(source_name(c->config_source)));
        table_bool(&table, 3, c->read_only);
    }
    table_print(&table, cli, "Nothing is set; --all shows the defaults.");
    table_deinit(&table);
}

static int run_describe(struct cli *cli) {
    struct resource resource;
    struct session session;
    int code = parse_resource(cli, &resource);
    if (code == 0) code = session_open(&session, cli);
    if (code != 0) return code;
    struct describe_configs_request request;
    struct describe_configs_request_resource one;
    codec_init(&describe_configs_request_codec, &request);
    codec_init(&describe_configs_request_resource_codec, &one);
    request.resources = &one;
    request.resources_count = 1;
    one.resource_type = resource.type;
    one.resource_name = resource.name;
    one.configuration_keys_count = -1;
    struct client_call call = {.api = API_DESCRIBE_CONFIGS, .version_min = 1, .message = &request};
    aim(&call, resource);
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        const struct describe_configs_response *answer = call.response;
        err = answer->results_count == 1 ? err_of_wire(answer->results[0].error_code) : ERR_CORRUPT;
        if (err != ERR_NONE) {
            bool said = answer->results_count == 1 && answer->results[0].error_message.size > 0;
            code = said ? cli_fail(cli, "%.*s", SLICE_PRINT(answer->results[0].error_message))
                        : cli_fail(cli, "%s", err_text(err));
        } else {
            print_configs(cli, &answer->results[0]);
        }
    }
    client_call_release(&call);
    session_close(&session);
    return code;
}

const struct cli_command command_config_describe = {
    .name = "config describe",
    .arguments = "<topic|broker|broker-logger|group|client-metrics> <name>",
    .summary = "Show the configs of a topic, a broker, a group …",
    .details = "The name \"default\" of a broker is the default of all brokers of the cluster.",
    .example =
        "taccola config describe topic payments\n"
        "  taccola config describe broker 1 --all --output json",
    .options = describe_options,
    .arguments_min = 2,
    .arguments_max = 2,
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};

// ---- config set, config delete ----

static const struct cli_option change_options[] = {
    {"--dry-run", NULL, NULL, "check only, change nothing", .is_number = false},
    {.name = NULL},
};

enum { OPERATION_SET = 0, OPERATION_DELETE = 1, OPERATION_APPEND = 2, OPERATION_SUBTRACT = 3 };

// key=value sets, key+=value appends to a list, key-=value takes from it.
static int parse_change(const struct cli *cli, struct slice text,
                        struct incremental_alter_configs_request_config *change) {
    if (!slice_split(text, '=', &change->name, &change->value)) {
        return cli_usage(cli, "write key=value, not \"%.*s\"", SLICE_PRINT(text));
    }
    uint8_t last = change->name.size > 0 ? change->name.data[change->name.size - 1] : 0;
    change->config_operation = OPERATION_SET;
    if (last == '+' || last == '-') {
        change->config_operation = last == '+' ? OPERATION_APPEND : OPERATION_SUBTRACT;
        change->name.size--;
    }
    return 0;
}

static int change(struct cli *cli, bool is_delete) {
    struct resource resource;
    int code = parse_resource(cli, &resource);
    if (code != 0) return code;
    struct arena arena;
    arena_init(&arena);
    struct session session = {0};
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_resource one;
    codec_init(&incremental_alter_configs_request_codec, &request);
    codec_init(&incremental_alter_configs_request_resource_codec, &one);
    request.resources = &one;
    request.resources_count = 1;
    request.validate_only = cli_flag(cli, "--dry-run");
    one.resource_type = resource.type;
    one.resource_name = resource.name;
    one.configs_count = cli_argument_count(cli) - 2;
    one.configs = incremental_alter_configs_request_config_new(&arena, one.configs_count);
    for (int i = 0; i < one.configs_count && code == 0; i++) {
        struct slice text = slice_cstring(cli_argument(cli, i + 2));
        if (is_delete) {
            one.configs[i].name = text;
            one.configs[i].config_operation = OPERATION_DELETE;
        } else {
            code = parse_change(cli, text, &one.configs[i]);
        }
    }
    if (code == 0) code = session_open(&session, cli);
    if (code != 0) goto out;
    struct client_call call = {.api = API_INCREMENTAL_ALTER_CONFIGS, .message = &request};
    aim(&call, resource);
    enum err err = session_call(&session, &call);
    if (err != ERR_NONE) {
        code = session_failed(&session, &call, err);
    } else {
        const struct incremental_alter_configs_response *answer = call.response;
        const struct incremental_alter_configs_response_response *r = &answer->responses[0];
        err = answer->responses_count == 1 ? err_of_wire(r->error_code) : ERR_CORRUPT;
        bool said = answer->responses_count == 1 && r->error_message.size > 0;
        if (err != ERR_NONE && said) {
            code = cli_fail(cli, "%.*s", SLICE_PRINT(r->error_message));
        } else if (err != ERR_NONE) {
            code = cli_fail(cli, "%s", err_text(err));
        } else {
            printf("%s\n", request.validate_only ? "can be done" : "done");
        }
    }
    client_call_release(&call);
out:
    session_close(&session);
    arena_deinit(&arena);
    return code;
}

static int run_set(struct cli *cli) {
    return change(cli, false);
}
static int run_delete(struct cli *cli) {
    return change(cli, true);
}

const struct cli_command command_config_set = {
    .name = "config set",
    .arguments = "<type> <name> key=value…",
    .summary = "Set configs of a topic, a broker, a group …",
    .details = "key=value sets; key+=value appends to a list, key-=value takes from it.",
    .example =
        "taccola config set topic payments retention.ms=3600000\n"
        "  taccola config set broker default log.retention.ms=86400000",
    .options = change_options,
    .arguments_min = 3,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .run = run_set,
};

const struct cli_command command_config_delete = {
    .name = "config delete",
    .arguments = "<type> <name> key…",
    .summary = "Take back configs: the default holds again",
    .example = "taccola config delete topic payments retention.ms",
    .options = change_options,
    .arguments_min = 3,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .run = run_delete,
};
