// `taccola start`: reads the configuration, formats empty directories, runs a node until a signal
// or a failure ends it.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "broker/broker.h"
#include "cli/cli.h"
#include "raft/format.h"

enum { PROPERTIES_BYTES_MAX = 4 * 1024 * 1024 };

struct start {
    struct cli *cli;
    struct config *config;
    struct env_posix *posix;
    struct broker *broker;
    int signals;
    enum err result;
};

// ---- Configuration ----

static enum err add_file(struct env *env, struct config *config, const char *path,
                         struct message *error) {
    uint8_t *data;
    size_t size;
    enum err e = env_read_file(env, slice_cstring(path), PROPERTIES_BYTES_MAX, &data, &size);
    if (e != ERR_NONE) {
        message_set(error, "%s cannot be read: %s", path, err_text(e));
        return e;
    }
    e = config_add_properties(config, slice_of(data, size), error);
    memory_free(data);
    return e;
}

static enum err read_config(struct cli *cli, struct config *config, struct message *error) {
    const char *path = cli_argument(cli, 0);
    if (path == NULL) {
        config_add_standalone_defaults(config);
    } else {
        enum err e = add_file(cli_env(cli), config, path, error);
        if (e != ERR_NONE) return e;
    }
    const char *assignment;
    for (int i = 0; (assignment = cli_value_at(cli, "--override", i)) != NULL; i++) {
        enum err e = config_add_override(config, slice_cstring(assignment), error);
        if (e != ERR_NONE) return e;
    }
    enum err e = config_finish(config, error);
    return e == ERR_NONE ? config_refuse_unsupported(config, error) : e;
}

// ---- Formatting ----

static void count_entry(void *context, struct slice name) {
    if (!slice_equal_cstring(name, "lost+found")) ++*(int *)context;
}

static enum err check_empty(struct env *env, struct slice directory, struct message *error) {
    int entries = 0;
    enum err e = env_list_directory(env, directory, count_entry, &entries);
    if (e == ERR_NOT_FOUND) return ERR_NONE;
    if (e != ERR_NONE) {
        message_set(error, "%.*s cannot be read: %s", SLICE_PRINT(directory), err_text(e));
        return e;
    }
    if (entries == 0) return ERR_NONE;
    message_set(error,
                "%.*s is not formatted and not empty: is it the right directory? (`taccola storage "
                "format` formats it)",
                SLICE_PRINT(directory));
    return ERR_EXISTS;
}

static void say_features(UNUSED struct format_report *report,
                         UNUSED const struct format_feature *features, UNUSED int32_t count) {}

static void say_formatted(UNUSED struct format_report *report, struct slice directory,
                          UNUSED const char *kind, const char *version) {
    fprintf(stderr, "Formatting %.*s with metadata.version %s.\n", SLICE_PRINT(directory), version);
}

static void say_nothing(UNUSED struct format_report *report) {}

// A node whose directories are all empty formats them itself, as one voter.
static enum err format_if_empty(struct env *env, const struct config *config,
                                struct message *error) {
    struct arena arena;
    arena_init(&arena);
    struct format_options options = {0};
    format_options_from_config(config, &arena, &options);
    int32_t formatted;
    enum err e = format_count_formatted(env, options.directories, options.directory_count,
                                        &formatted, error);
    if (e != ERR_NONE || formatted > 0) goto out;
    for (int32_t i = 0; i < options.directory_count; i++) {
        e = check_empty(env, options.directories[i], error);
        if (e != ERR_NONE) goto out;
    }
    options.cluster_id = format_new_cluster_id(env, &arena);
    options.quorum = FORMAT_STATIC_QUORUM;
    if (config_voter_count(config) == 0) {
        e = format_use_standalone(config, env, &arena, &options, error);
        if (e != ERR_NONE) goto out;
    }
    struct format_report report = {say_features, say_formatted, say_nothing};
    fprintf(stderr, "New cluster %.*s.\n", SLICE_PRINT(options.cluster_id));
    e = format_directories(env, &options, &report, error);
out:
    arena_deinit(&arena);
    return e;
}

// ---- Running ----

static void print_hints(const struct start *start) {
    if (cli_argument(start->cli, 0) != NULL) return;
    for (int32_t i = 0; i < broker_listener_count(start->broker); i++) {
        const struct net_listener *l = broker_listener(start->broker, i);
        if (l->is_controller) continue;
        printf(
            "\nTaccola serves on %.*s:%u. Try in a second terminal:\n\n"
            "  taccola topic create payments --partitions 4\n"
            "  taccola produce payments --key Alice --header source=demo \"Pays 200 dollars to "
            "Bob\"\n"
            "  taccola consume payments --from-beginning --max-messages 1\n\n"
            "Ctrl-C stops the node.\n\n",
            SLICE_PRINT(l->advertised_host), l->advertised_port);
        break;
    }
    fflush(stdout);
}

static void node_started(void *context) {
    print_hints(context);
}

static void node_stopped(void *context, enum err result) {
    struct start *start = context;
    start->result = result;
    env_posix_stop(start->posix);
}

static void signalled(void *context, UNUSED int signal) {
    struct start *start = context;
    if (start->signals++ == 0) {
        broker_stop(start->broker);
        return;
    }
    // A second signal: at once, as after a crash.
    start->result = ERR_CANCELLED;
    env_posix_stop(start->posix);
}

static enum log_level log_level_of(const struct cli *cli) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    const char *name = cli_value(cli, "--log-level");
    for (size_t i = 0; name != NULL && i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) return (enum log_level)i;
    }
    return LOG_INFO;
}

static int run_node(struct start *start, struct message *error) {
    struct cli *cli = start->cli;
    struct env_posix_options options = {
        .reactors = (uint32_t)config_int(start->config, BROKER_TACCOLA_REACTORS),
        .spin_us = (uint32_t)config_int(start->config, BROKER_TACCOLA_REACTOR_SPIN_US),
        .log_level = log_level_of(cli),
        .signalled = signalled,
        .context = start,
    };
    start->posix = env_posix_new(&options);
    struct env *env = env_posix_reactor(start->posix, 0);
    for (int32_t i = 0; i < config_warning_count(start->config); i++) {
        log_warn(env_logger(env), "config", "%s", config_warning(start->config, i));
    }
    struct broker_options broker_options = {
        .env = env,
        .config = start->config,
        .started = node_started,
        .stopped = node_stopped,
        .context = start,
    };
    enum err e = format_if_empty(env, start->config, error);
    if (e == ERR_NONE) e = broker_new(&broker_options, &start->broker, error);
    if (e == ERR_NONE) {
        broker_start(start->broker);
        env_posix_run(start->posix);
        // A node that could not go on is left as it is: the process ends, and the next start
        // recovers.
        if (start->result != ERR_NONE) return CLI_FAILED;
        broker_free(start->broker);
    }
    env_posix_free(start->posix);
    return e == ERR_NONE ? 0 : cli_fail(cli, "%s", error->text);
}

static int run(struct cli *cli) {
    struct start start = {.cli = cli, .config = config_new()};
    struct message error;
    message_init(&error);
    enum err e = read_config(cli, start.config, &error);
    int code = e == ERR_NONE ? run_node(&start, &error) : cli_fail(cli, "%s", error.text);
    config_free(start.config);
    return code;
}

static const struct cli_option options[] = {
    {.name = "--override",
     .value = "KEY=VALUE",
     .help = "a setting on top of the file; may be given several times"},
    {.name = "--log-level", .value = "LEVEL", .help = "debug, info (default), warn or error"},
    {0},
};

const struct cli_command command_start = {
    .name = "start",
    .arguments = "[SERVER.PROPERTIES]",
    .arguments_max = 1,
    .summary = "Run a node: broker and controller in one process",
    .details =
        "Takes Kafka's server.properties as it is. Without a file it listens on "
        "127.0.0.1:9092 and keeps its\ndata in ./data. Empty directories are formatted first.",
    .example = "taccola start --override log.dirs=/tmp/taccola-data",
    .options = options,
    .run = run,
};
