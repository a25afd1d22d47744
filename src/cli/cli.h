// The command line's frame: a command is one file in src/cli/ that defines `const struct
// cli_command command_<name>`, and one row in commands.h. The frame parses its options, prints its
// help, and gives it a world to run in. A command returns the exit code of the program: 0,
// CLI_FAILED, or CLI_USAGE.
//
// Commands print data on standard output (as text for people, or with --output json as one JSON
// value per line for programs) and everything else on standard error.
#pragma once

#include "base/message.h"
#include "base/slice.h"
#include "env/env_posix.h"

enum { CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli;

struct cli_option {
    const char *name;   // "--partitions"
    const char *alias;  // "-p" or NULL
    const char *value;  // what stands for its value in the help ("N"); NULL: a flag without value
    const char *help;   // one line
    bool is_number;     // a whole number within [min, max], checked before the command runs
    int64_t min, max;
};

struct cli_command {
    const char *name;       // "topic create": one or two words
    const char *arguments;  // as in the usage line, "TOPIC [VALUE]"; "" when there are none
    int arguments_min;
    int arguments_max;                 // INT32_MAX: any number
    const char *summary;               // one line
    const char *details;               // more for --help, may be NULL
    const char *example;               // one or more lines that work as they stand
    const struct cli_option *options;  // ends with a row of NULLs; NULL: none
    bool is_client;                    // has --bootstrap-server
    bool prints_data;                  // has --output text|json
    int (*run)(struct cli *cli);
};

enum cli_output { CLI_OUTPUT_TEXT, CLI_OUTPUT_JSON };

// ---- What was given ----

int cli_argument_count(const struct cli *cli);
// NULL beyond the last.
const char *cli_argument(const struct cli *cli, int index);
bool cli_flag(const struct cli *cli, const char *option);
// The value of an option that was given last; NULL when it was not given.
const char *cli_value(const struct cli *cli, const char *option);
// Options may be given several times: the values in order; NULL beyond the last.
const char *cli_value_at(const struct cli *cli, const char *option, int index);
// How many times an option was given.
int cli_count(const struct cli *cli, const char *option);
// A whole number within [min, max]; `fallback` when the option was not given. False: the complaint
// was printed, return CLI_USAGE.
MUST_CHECK bool cli_number(const struct cli *cli, const char *option, int64_t fallback, int64_t min,
                           int64_t max, int64_t *value);
// The value of an option declared as a number; `fallback` when it was not given.
int64_t cli_integer(const struct cli *cli, const char *option, int64_t fallback);
enum cli_output cli_output(const struct cli *cli);
// --bootstrap-server, else the environment's TACCOLA_BOOTSTRAP_SERVER, else 127.0.0.1:9092.
struct slice cli_bootstrap_server(const struct cli *cli);

// ---- Complaining ----

// Prints "taccola: <sentence>" on standard error and returns CLI_FAILED.
int cli_fail(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
// The same for wrong usage, with a hint at --help; returns CLI_USAGE.
int cli_usage(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);

// ---- The world ----

// The one reactor of a command that needs an event loop, made at the first call. SIGINT and SIGTERM
// end cli_run.
struct env *cli_env(struct cli *cli);
// Runs the loop until cli_stop. False: a signal ended it.
bool cli_run(struct cli *cli);
void cli_stop(struct cli *cli);
// One pass of the loop, waiting for at most `wait_ns`. False: a signal has come.
bool cli_pass(struct cli *cli, uint64_t wait_ns);

// `main`: finds the command and runs it.
int cli_main(int argc, char **argv);
