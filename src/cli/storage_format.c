// `taccola storage format`: kafka-storage format.
#include <stdio.h>

#include "base/arena.h"
#include "base/string_buffer.h"
#include "cli/storage_config.h"
#include "metadata/features.h"
#include "raft/format.h"

struct printer {
    struct format_report report;
    bool json;
    struct string_buffer directories;  // JSON array elements
    struct string_buffer features;
};

static void print_bootstrap(struct format_report *report, const struct format_feature *features,
                            int32_t count) {
    struct printer *printer = container_of(report, struct printer, report);
    if (printer->json) {
        for (int32_t i = 0; i < count; i++)
            string_buffer_format(&printer->features, "%s\"%.*s\":%d", i == 0 ? "" : ",",
                                 SLICE_PRINT(features[i].name), features[i].level);
        return;
    }
    // Kafka's line, without the credentials of --add-scram.
    printf("Bootstrap metadata: BootstrapMetadata(records=[");
    for (int32_t i = 0; i < count; i++)
        printf(
            "%sApiMessageAndVersion(FeatureLevelRecord(name='%.*s', featureLevel=%d) at "
            "version 0)",
            i == 0 ? "" : ", ", SLICE_PRINT(features[i].name), features[i].level);
    printf("], metadataVersionLevel=%d, source=format command)\n", features[0].level);
}

static void print_formatted(struct format_report *report, struct slice directory, const char *kind,
                            const char *metadata_version) {
    struct printer *printer = container_of(report, struct printer, report);
    if (!printer->json) {
        printf("Formatting %s %.*s with metadata.version %s.\n", kind, SLICE_PRINT(directory),
               metadata_version);
        return;
    }
    string_buffer_format(&printer->directories,
                         "%s{\"path\":", printer->directories.size == 0 ? "" : ",");
    string_buffer_append_json(&printer->directories, directory);
    string_buffer_format(&printer->directories, ",\"kind\":\"%s\"}", kind);
}

static void print_nothing(struct format_report *report) {
    struct printer *printer = container_of(report, struct printer, report);
    if (!printer->json) printf("All of the log directories are already formatted.\n");
}

static void print_json(struct printer *printer, struct slice cluster_id) {
    struct string_buffer id;
    string_buffer_init(&id);
    string_buffer_append_json(&id, cluster_id);
    printf("{\"clusterId\":%s,\"formatted\":[%.*s],\"features\":{%.*s}}\n", id.text,
           SLICE_PRINT(string_buffer_slice(&printer->directories)),
           SLICE_PRINT(string_buffer_slice(&printer->features)));
    string_buffer_deinit(&id);
}

// 0, or the exit code after a complaint.
static int choose_quorum(struct cli *cli, const struct config *config, struct arena *arena,
                         struct format_options *options) {
    const char *initial = cli_value(cli, "--initial-controllers");
    bool standalone = cli_flag(cli, "--standalone"),
         joins = cli_flag(cli, "--no-initial-controllers");
    struct message error;
    enum err err = ERR_NONE;
    if (standalone + joins + (initial != NULL) > 1)
        return cli_usage(cli,
                         "--standalone, --initial-controllers and --no-initial-controllers exclude "
                         "each other");
    if ((standalone || joins || initial != NULL) && config_voter_count(config) > 0)
        return cli_fail(cli,
                        "You cannot specify controller.quorum.voters and format the node with "
                        "--initial-controllers or --standalone. If you want to use dynamic quorum, "
                        "please remove controller.quorum.voters and specify "
                        "controller.quorum.bootstrap.servers instead.");
    if (standalone) {
        err = format_use_standalone(config, cli_env(cli), arena, options, &error);
    } else if (initial != NULL) {
        options->quorum = FORMAT_DYNAMIC_QUORUM;
        err = raft_voters_parse_initial(slice_cstring(initial), options->controller_listener, arena,
                                        &options->initial_voters, &error);
    } else if (joins) {
        options->quorum = FORMAT_JOINING_QUORUM;
    } else if (config_is_controller(config) && config_voter_count(config) == 0) {
        return cli_fail(cli,
                        "Because controller.quorum.voters is not set on this controller, you must "
                        "specify one of the following: --standalone, --initial-controllers, or "
                        "--no-initial-controllers.");
    }
    return err == ERR_NONE ? 0 : cli_fail(cli, "%s", error.text);
}

static int read_features(struct cli *cli, struct arena *arena, struct format_options *options) {
    int count = cli_count(cli, "--feature");
    struct format_feature *list = arena_zalloc(arena, (size_t)count, sizeof *list);
    for (int i = 0; i < count; i++)
        if (!storage_parse_feature(cli, cli_value_at(cli, "--feature", i), &list[i].name,
                                   &list[i].level))
            return CLI_FAILED;
    options->features = list;
    options->feature_count = count;
    count = cli_count(cli, "--add-scram");
    struct slice *scram = arena_zalloc(arena, (size_t)count, sizeof *scram);
    for (int i = 0; i < count; i++)
        scram[i] = slice_cstring(cli_value_at(cli, "--add-scram", i));
    options->scram = scram;
    options->scram_count = count;
    const char *release = cli_value(cli, "--release-version");
    struct message error;
    if (release == NULL) return 0;
    options->metadata_version = metadata_version_parse(slice_cstring(release), &error);
    return options->metadata_version != 0 ? 0 : cli_fail(cli, "%s", error.text);
}

static int format(struct cli *cli, const struct config *config, struct arena *arena) {
    struct format_options options;
    format_options_from_config(config, arena, &options);
    int code = choose_quorum(cli, config, arena, &options);
    if (code == 0) code = read_features(cli, arena, &options);
    if (code != 0) return code;
    const char *id = cli_value(cli, "--cluster-id");
    options.cluster_id =
        id != NULL ? slice_cstring(id) : format_new_cluster_id(cli_env(cli), arena);
    options.ignore_formatted = cli_flag(cli, "--ignore-formatted");
    struct printer printer = {
        .report = {print_bootstrap, print_formatted, print_nothing},
        .json = cli_output(cli) == CLI_OUTPUT_JSON,
    };
    string_buffer_init(&printer.directories);
    string_buffer_init(&printer.features);
    struct message error;
    enum err err = format_directories(cli_env(cli), &options, &printer.report, &error);
    if (err != ERR_NONE)
        code = cli_fail(cli, "%s", error.text);
    else if (printer.json)
        print_json(&printer, options.cluster_id);
    string_buffer_deinit(&printer.directories);
    string_buffer_deinit(&printer.features);
    return code;
}

static int run(struct cli *cli) {
    struct config *config = storage_read_config(cli);
    if (config == NULL) return CLI_FAILED;
    struct arena arena;
    arena_init(&arena);
    int code = format(cli, config, &arena);
    arena_deinit(&arena);
    config_free(config);
    return code;
}

static const struct cli_option options[] = {
    {"--config", "-c", "FILE", "server.properties (a standalone node's settings)", .min = 0},
    {"--cluster-id", "-t", "ID", "id of the cluster (a new random one)", .min = 0},
    {"--standalone", "-s", NULL, "this node is the one voter of a dynamic quorum", .min = 0},
    {"--initial-controllers", "-I", "ID@HOST:PORT:DIRECTORY,…", "the voters of a dynamic quorum",
     .min = 0},
    {"--no-initial-controllers", "-N", NULL, "the node joins a dynamic quorum later", .min = 0},
    {"--release-version", "-r", "VERSION", "features of 3.3-IV3 to 4.4-IV2 (4.3)", .min = 0},
    {"--feature", "-f", "NAME=LEVEL", "level of one feature; may be repeated", .min = 0},
    {"--add-scram", "-S", "CREDENTIAL",
     "SCRAM-SHA-256=[name=alice,password=secret]; may be repeated", .min = 0},
    {"--ignore-formatted", "-g", NULL, "leave directories alone that are formatted already",
     .min = 0},
    {.name = NULL},
};

const struct cli_command command_storage_format = {
    .name = "storage format",
    .arguments = "",
    .summary = "Prepare the log directories of a node",
    .details =
        "Writes meta.properties and the first metadata into every directory of log.dirs and\n"
        "metadata.log.dir, as kafka-storage format does. `taccola start` does this by itself\n"
        "when all of them are empty.",
    .example =
        "taccola storage format --standalone -t $(taccola storage random-uuid) -c "
        "server.properties",
    .options = options,
    .prints_data = true,
    .run = run,
};
