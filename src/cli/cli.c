#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/commands.h"

#define DECLARE(name) extern const struct cli_command command_##name;
CLI_COMMANDS(DECLARE)
#define ROW(name) &command_##name,
static const struct cli_command *const commands[] = {CLI_COMMANDS(ROW)};

static const struct cli_option client_options[] = {
    {"--bootstrap-server", "-b", "HOST:PORT,…", "brokers to begin with (127.0.0.1:9092)",
     .is_number = false},
    {"--bootstrap-controller", NULL, "HOST:PORT,…", "controllers instead, for administration",
     .is_number = false},
    {"--timeout", NULL, "SECONDS", "give up after this time (30)", .is_number = true, .min = 1,
     .max = 86400},
    {.name = NULL},
};
static const struct cli_option output_options[] = {
    {"--output", "-o", "text|json", "how data is printed (text)", .is_number = false},
    {.name = NULL},
};
static const struct cli_option help_options[] = {
    {"--help", "-h", NULL, "this text", .is_number = false},
    {.name = NULL},
};
static const struct cli_option no_options[] = {{.name = NULL}};

enum { OPTION_SETS = 4 };

struct given_option {
    const struct cli_option *option;
    const char *value;
};

struct cli {
    const struct cli_command *command;
    const char **arguments;
    int argument_count;
    struct given_option *given;
    int given_count;
    struct env_posix *posix;
    bool running;  // in cli_run
    bool signalled;
};

// ---- Options ----

static bool option_matches(const struct cli_option *option, const char *text, size_t size) {
    if (strlen(option->name) == size && memcmp(option->name, text, size) == 0) return true;
    return option->alias != NULL && strlen(option->alias) == size &&
           memcmp(option->alias, text, size) == 0;
}

// The tables of options that a command takes.
static void option_sets(const struct cli_command *command,
                        const struct cli_option *sets[OPTION_SETS]) {
    sets[0] = command->options != NULL ? command->options : no_options;
    sets[1] = command->is_client ? client_options : no_options;
    sets[2] = command->prints_data ? output_options : no_options;
    sets[3] = help_options;
}

static const struct cli_option *find_option(const struct cli_command *command, const char *text,
                                            size_t size) {
    const struct cli_option *sets[OPTION_SETS];
    option_sets(command, sets);
    for (size_t i = 0; i < OPTION_SETS; i++) {
        for (const struct cli_option *o = sets[i]; o->name != NULL; o++) {
            if (option_matches(o, text, size)) return o;
        }
    }
    return NULL;
}

static int check_number(const struct cli *cli, const struct cli_option *option, const char *text) {
    int64_t number;
    bool good = slice_parse_int64(slice_cstring(text), &number) && number >= option->min &&
                number <= option->max;
    if (good) return 0;
    return cli_usage(cli, "%s is a number from %lld to %lld, not \"%s\"", option->name,
                     (long long)option->min, (long long)option->max, text);
}

// Options and arguments in any order; "--" ends the options. 0, or the exit code after a complaint.
static int parse(struct cli *cli, int argc, char **argv) {
    cli->arguments = memory_zalloc((size_t)argc + 1, sizeof *cli->arguments);
    cli->given = memory_zalloc((size_t)argc + 1, sizeof *cli->given);
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (options_end || text[0] != '-' || text[1] == '\0') {
            cli->arguments[cli->argument_count++] = text;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            options_end = true;
            continue;
        }
        const char *equals = strncmp(text, "--", 2) == 0 ? strchr(text, '=') : NULL;
        size_t size = equals == NULL ? strlen(text) : (size_t)(equals - text);
        const struct cli_option *option = find_option(cli->command, text, size);
        if (option == NULL) return cli_usage(cli, "there is no option %.*s", (int)size, text);
        const char *value = NULL;
        if (option->value == NULL) {
            if (equals != NULL) return cli_usage(cli, "%s takes no value", option->name);
        } else if (equals != NULL) {
            value = equals + 1;
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            return cli_usage(cli, "%s needs a value (%s)", option->name, option->value);
        }
        if (option->is_number) {
            int code = check_number(cli, option, value);
            if (code != 0) return code;
        }
        cli->given[cli->given_count++] = (struct given_option){option, value};
    }
    return 0;
}

static int check_arguments(const struct cli *cli) {
    const struct cli_command *command = cli->command;
    if (cli->argument_count < command->arguments_min) {
        return cli_usage(cli, "something is missing; it is used as: taccola %s %s", command->name,
                         command->arguments);
    }
    if (cli->argument_count > command->arguments_max) {
        return cli_usage(cli, "\"%s\" is one argument too many",
                         cli->arguments[command->arguments_max]);
    }
    const char *output = cli_value(cli, "--output");
    if (command->prints_data && output != NULL && strcmp(output, "json") != 0 &&
        strcmp(output, "text") != 0) {
        return cli_usage(cli, "--output is text or json, not \"%s\"", output);
    }
    return 0;
}

int cli_argument_count(const struct cli *cli) {
    return cli->argument_count;
}

const char *cli_argument(const struct cli *cli, int index) {
    return index < cli->argument_count ? cli->arguments[index] : NULL;
}

const char *cli_value_at(const struct cli *cli, const char *option, int index) {
    for (int i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) != 0) continue;
        if (index-- == 0) return cli->given[i].value;
    }
    return NULL;
}

const char *cli_value(const struct cli *cli, const char *option) {
    const char *value = NULL;
    for (int i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) value = cli->given[i].value;
    }
    return value;
}

int cli_count(const struct cli *cli, const char *option) {
    int count = 0;
    for (int i = 0; i < cli->given_count; i++) {
        count += strcmp(cli->given[i].option->name, option) == 0;
    }
    return count;
}

bool cli_flag(const struct cli *cli, const char *option) {
    for (int i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, option) == 0) return true;
    }
    return false;
}

bool cli_number(const struct cli *cli, const char *option, int64_t fallback, int64_t min,
                int64_t max, int64_t *value) {
    const char *text = cli_value(cli, option);
    if (text == NULL) {
        *value = fallback;
        return true;
    }
    int64_t number;
    if (!slice_parse_int64(slice_cstring(text), &number) || number < min || number > max) {
        cli_usage(cli, "%s is a number from %lld to %lld, not \"%s\"", option, (long long)min,
                  (long long)max, text);
        return false;
    }
    *value = number;
    return true;
}

int64_t cli_integer(const struct cli *cli, const char *option, int64_t fallback) {
    const char *text = cli_value(cli, option);
    int64_t number = fallback;
    if (text != NULL && !slice_parse_int64(slice_cstring(text), &number)) return fallback;
    return number;
}

enum cli_output cli_output(const struct cli *cli) {
    const char *output = cli_value(cli, "--output");
    return output != NULL && strcmp(output, "json") == 0 ? CLI_OUTPUT_JSON : CLI_OUTPUT_TEXT;
}

struct slice cli_bootstrap_server(const struct cli *cli) {
    const char *server = cli_value(cli, "--bootstrap-server");
    if (server == NULL) server = getenv("TACCOLA_BOOTSTRAP_SERVER");
    return slice_cstring(server == NULL ? "127.0.0.1:9092" : server);
}

// ---- Complaining ----

static void complain(const char *format, va_list arguments) {
    fputs("taccola: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int cli_fail(UNUSED const struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    return CLI_FAILED;
}

int cli_usage(const struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try: taccola %s%s--help\n", cli->command == NULL ? "" : cli->command->name,
            cli->command == NULL ? "" : " ");
    return CLI_USAGE;
}

// ---- The world ----

static void signalled(void *context, UNUSED int signal) {
    struct cli *cli = context;
    cli->signalled = true;
    // A loop that is stopped waits for nothing any more; passes go on until the command has said
    // goodbye.
    if (cli->running) env_posix_stop(cli->posix);
}

struct env *cli_env(struct cli *cli) {
    if (cli->posix == NULL) {
        struct env_posix_options options = {
            .reactors = 1, .log_level = LOG_ERROR, .signalled = signalled, .context = cli};
        cli->posix = env_posix_new(&options);
    }
    return env_posix_reactor(cli->posix, 0);
}

bool cli_run(struct cli *cli) {
    cli_env(cli);
    cli->running = true;
    if (!cli->signalled) env_posix_run(cli->posix);
    cli->running = false;
    return !cli->signalled;
}

void cli_stop(struct cli *cli) {
    env_posix_stop(cli->posix);
}

bool cli_pass(struct cli *cli, uint64_t wait_ns) {
    cli_env(cli);
    env_posix_pass(cli->posix, wait_ns);  // also after a signal: who leaves a group says so
    return !cli->signalled;
}

// ---- Help ----

static void print_option(const struct cli_option *option) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s%s", option->alias == NULL ? "" : option->alias,
             option->alias == NULL ? "" : ", ", option->name, option->value == NULL ? "" : " ",
             option->value == NULL ? "" : option->value);
    bool is_long = strlen(left) > 32;
    if (is_long) printf("  %s\n", left);
    printf("  %-32s  %s\n", is_long ? "" : left, option->help);
}

static void print_help(const struct cli_command *command) {
    printf("%s\n\nUsage: taccola %s%s%s%s\n", command->summary, command->name,
           command->arguments[0] == '\0' ? "" : " ", command->arguments,
           command->options != NULL || command->is_client ? " [options]" : "");
    if (command->details != NULL) printf("\n%s\n", command->details);
    printf("\nOptions:\n");
    const struct cli_option *sets[OPTION_SETS];
    option_sets(command, sets);
    for (size_t i = 0; i < OPTION_SETS; i++) {
        for (const struct cli_option *o = sets[i]; o->name != NULL; o++)
            print_option(o);
    }
    printf("\nExample:\n  %s\n", command->example);
}

// The commands whose first words are `prefix`; all with an empty one. How many there were.
static int print_commands(FILE *out, const char *prefix) {
    size_t size = strlen(prefix);
    int count = 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        const char *name = commands[i]->name;
        bool matches = strncmp(name, prefix, size) == 0 &&
                       (size == 0 || name[size] == ' ' || name[size] == '\0');
        if (!matches) continue;
        fprintf(out, "  %-28s  %s\n", name, commands[i]->summary);
        count++;
    }
    return count;
}

static int print_overview(void) {
    printf(
        "Taccola: Apache Kafka's whole system in one small binary.\n\n"
        "Usage: taccola COMMAND [arguments] [options]\n\nCommands:\n");
    print_commands(stdout, "");
    printf(
        "\nEvery command has --help with an example. taccola --version prints the version.\n\n"
        "Example:\n  taccola start\n");
    return 0;
}

// ---- main ----

// The command whose words stand at the beginning of argv; the longest wins. *used: its words.
static const struct cli_command *find_command(int argc, char **argv, int *used) {
    const struct cli_command *found = NULL;
    *used = 0;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char words[64];
        snprintf(words, sizeof words, "%s", commands[i]->name);
        char *second = strchr(words, ' ');
        if (second != NULL) *second++ = '\0';
        int count = second == NULL ? 1 : 2;
        if (argc < count || count <= *used || strcmp(argv[0], words) != 0) continue;
        if (second != NULL && strcmp(argv[1], second) != 0) continue;
        found = commands[i];
        *used = count;
    }
    return found;
}

static int no_such_command(int argc, char **argv) {
    bool wants_help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    FILE *out = wants_help || argc == 1 ? stdout : stderr;
    char text[64];
    snprintf(text, sizeof text, "%s", argv[0]);
    if (out == stderr)
        fprintf(stderr, "taccola: there is no command \"%s %s\"\n", argv[0], argv[1]);
    if (print_commands(out, text) > 0) return out == stdout ? 0 : CLI_USAGE;
    fprintf(stderr, "taccola: there is no command \"%s\"\nTry: taccola --help\n", argv[0]);
    return CLI_USAGE;
}

static int run_command(const struct cli_command *command, int argc, char **argv) {
    struct cli cli = {.command = command};
    int code = parse(&cli, argc, argv);
    if (code == 0 && cli_flag(&cli, "--help")) {
        print_help(command);
    } else if (code == 0) {
        code = check_arguments(&cli);
        if (code == 0) code = command->run(&cli);
        if (fflush(stdout) != 0 && code == 0) {
            code = cli_fail(&cli, "standard output cannot be written");
        }
    }
    if (cli.posix != NULL) env_posix_free(cli.posix);
    memory_free(cli.arguments);
    memory_free(cli.given);
    return code;
}

int cli_main(int argc, char **argv) {
    if (argc < 2) {
        print_overview();
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        return print_overview();
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("taccola %s\n", TACCOLA_VERSION);
        return 0;
    }
    int used;
    const struct cli_command *command = find_command(argc - 1, argv + 1, &used);
    if (command == NULL) return no_such_command(argc - 1, argv + 1);
    return run_command(command, argc - 1 - used, argv + 1 + used);
}
