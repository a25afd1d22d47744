// dump-log: what stands in the files of a log directory. This file has the options and finds the
// files; the kinds of files have their own (dump_log_*.c).
#include <stdio.h>

#include "cli/dump_log.h"

static const struct cli_option options[] = {
    {"--shallow", NULL, NULL, "batches only, without the records in them", .is_number = false},
    {"--no-data", NULL, NULL, "records without their keys and values", .is_number = false},
    {"--skip-record-metadata", NULL, NULL, "keys and values of records only", .is_number = false},
    {"--string-decoder", NULL, NULL, "keys and values are text", .is_number = false},
    {"--offsets-decoder", NULL, NULL, "records of __consumer_offsets", .is_number = false},
    {"--transaction-log-decoder", NULL, NULL, "records of __transaction_state", .is_number = false},
    {"--share-group-state-decoder", NULL, NULL, "records of __share_group_state",
     .is_number = false},
    {"--cluster-metadata-decoder", NULL, NULL, "records of __cluster_metadata", .is_number = false},
    {"--remote-log-metadata-decoder", NULL, NULL, "records of __remote_log_metadata",
     .is_number = false},
    {"--verify-index-only", NULL, NULL, "indexes: print only what is wrong", .is_number = false},
    {"--index-sanity-check", NULL, NULL, "indexes: only the check that a broker makes at start",
     .is_number = false},
    {"--max-bytes", NULL, "N", "read at most N bytes of each segment", .is_number = true, .min = 0,
     .max = INT64_MAX},
    {.name = NULL},
};

static const struct {
    const char *option;
    const char *directory;  // what the names of its directories begin with
    enum dump_decoder decoder;
} decoders[] = {
    {"--string-decoder", NULL, DUMP_STRINGS},
    {"--offsets-decoder", "__consumer_offsets-", DUMP_OFFSETS},
    {"--transaction-log-decoder", "__transaction_state-", DUMP_TRANSACTIONS},
    {"--share-group-state-decoder", "__share_group_state-", DUMP_SHARE_STATE},
    {"--cluster-metadata-decoder", "__cluster_metadata-", DUMP_METADATA},
    {"--remote-log-metadata-decoder", "__remote_log_metadata-", DUMP_REMOTE_LOG},
};

// ---- Names ----

static struct slice file_name(struct slice path) {
    struct slice rest = path, head;
    while (slice_split(rest, '/', &head, &rest))
        ;
    return rest;
}

int64_t dump_base_offset(const struct dump *d) {
    struct slice name = file_name(d->path);
    size_t digits = 0;
    int64_t offset = -1;
    while (digits < name.size && name.data[digits] >= '0' && name.data[digits] <= '9')
        digits++;
    if (digits == 0 || !slice_parse_int64(slice_sub(name, 0, digits), &offset)) return -1;
    return offset;
}

void dump_sibling(const struct dump *d, const char *suffix, struct string_buffer *path) {
    size_t stem = d->path.size;
    while (stem > 0 && d->path.data[stem - 1] != '.')
        stem--;
    string_buffer_append(path, slice_sub(d->path, 0, stem > 0 ? stem - 1 : d->path.size));
    string_buffer_append(path, slice_cstring(suffix));
}

static enum dump_decoder decoder_of_path(const struct dump *d) {
    if (d->decoder != DUMP_BY_DIRECTORY) return d->decoder;
    if (slice_ends_with(d->path, SLICE_LITERAL(".checkpoint"))) return DUMP_METADATA;
    struct slice name = file_name(d->path);
    struct slice directory = slice_sub(d->path, 0, d->path.size - name.size);
    if (directory.size > 0) directory = file_name(slice_sub(directory, 0, directory.size - 1));
    for (size_t i = 0; i < COUNT_OF(decoders); i++)
        if (decoders[i].directory != NULL &&
            slice_starts_with(directory, slice_cstring(decoders[i].directory)))
            return decoders[i].decoder;
    return DUMP_STRINGS;
}

// ---- Files ----

typedef enum err (*dump_function)(struct dump *d);

// NULL: not a file that this command knows.
static dump_function function_of(struct slice path) {
    static const struct {
        const char *suffix;
        dump_function function;
    } kinds[] = {
        {".log", dump_segment},
        {".checkpoint", dump_segment},
        {".index", dump_offset_index},
        {".timeindex", dump_time_index},
        {".txnindex", dump_transaction_index},
        {".snapshot", dump_producer_snapshot},
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (slice_ends_with(path, slice_cstring(kinds[i].suffix))) return kinds[i].function;
    return NULL;
}

static void dump_file(struct dump *d, struct slice path) {
    dump_function function = function_of(path);
    d->path = path;
    d->file_decoder = decoder_of_path(d);
    dump_say(d, "Dumping %.*s", SLICE_PRINT(path));
    if (function == NULL) {
        dump_find(d, "Ignoring unknown file %.*s", SLICE_PRINT(path));
        return;
    }
    enum err err = function(d);
    if (err == ERR_NONE) return;
    d->is_damaged = true;
    dump_find(d, "%.*s or a file that belongs to it cannot be read: %s", SLICE_PRINT(path),
              err_text(err));
}

struct listing {
    struct dump *dump;
    struct slice directory;
};

static void dump_entry(void *context, struct slice name) {
    struct listing *listing = context;
    // Not checkpoints of offsets and epochs, which are text anyway.
    if (function_of(name) == NULL) return;
    struct string_buffer path;
    string_buffer_init(&path);
    string_buffer_append(&path, listing->directory);
    if (!slice_ends_with(listing->directory, SLICE_LITERAL("/")))
        string_buffer_append_char(&path, '/');
    string_buffer_append(&path, name);
    dump_file(listing->dump, string_buffer_slice(&path));
    string_buffer_deinit(&path);
}

static int dump_argument(struct dump *d, const char *argument) {
    struct slice path = slice_cstring(argument);
    struct env_stat stat;
    enum err err = env_stat(d->env, path, &stat);
    if (err == ERR_NONE && stat.is_directory) {
        struct listing listing = {d, path};
        err = env_list_directory(d->env, path, dump_entry, &listing);
    } else if (err == ERR_NONE) {
        dump_file(d, path);
    }
    return err == ERR_NONE ? 0 : cli_fail(d->cli, "%s: %s", argument, err_text(err));
}

// ---- The command ----

static int choose_decoder(struct dump *d) {
    int given = 0;
    for (size_t i = 0; i < COUNT_OF(decoders); i++) {
        if (!cli_flag(d->cli, decoders[i].option)) continue;
        d->decoder = decoders[i].decoder;
        given++;
    }
    return given > 1 ? cli_usage(d->cli, "only one decoder can be given") : 0;
}

static int run(struct cli *cli) {
    struct dump d = {
        .cli = cli,
        .env = cli_env(cli),
        .json = cli_output(cli) == CLI_OUTPUT_JSON,
        .shallow = cli_flag(cli, "--shallow"),
        .print_data = !cli_flag(cli, "--no-data"),
        .skip_metadata = cli_flag(cli, "--skip-record-metadata"),
        .verify_only = cli_flag(cli, "--verify-index-only"),
        .sanity_only = cli_flag(cli, "--index-sanity-check"),
        .max_bytes = cli_integer(cli, "--max-bytes", INT64_MAX),
    };
    int code = choose_decoder(&d);
    if (code != 0) return code;
    string_buffer_init(&d.line);
    string_buffer_init(&d.findings);
    for (int i = 0; i < cli_argument_count(cli) && code == 0; i++)
        code = dump_argument(&d, cli_argument(cli, i));
    fflush(stdout);
    if (d.findings.size > 0) fwrite(d.findings.text, 1, d.findings.size, stderr);
    if (code == 0 && d.is_damaged) code = CLI_FAILED;
    string_buffer_deinit(&d.line);
    string_buffer_deinit(&d.findings);
    return code;
}

const struct cli_command command_dump_log = {
    .name = "dump-log",
    .arguments = "<file or directory> …",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .summary = "Print what stands in log files: segments, indexes, snapshots, the metadata log",
    .details =
        "Knows .log, .index, .timeindex, .txnindex, .snapshot and .checkpoint files, of Taccola "
        "and of Apache Kafka; of a\n"
        "directory, all of these in it. Records of internal topics are decoded by the name of "
        "their directory unless a decoder\n"
        "is given. The text is that of Apache Kafka's DumpLogSegments. What is wrong in a file is "
        "told at the end, on standard\n"
        "error, and the exit code is 1. The broker need not be stopped.",
    .example =
        "taccola dump-log data/payments-0/00000000000000000000.log\n"
        "taccola dump-log --output json data/__cluster_metadata-0",
    .options = options,
    .prints_data = true,
    .run = run,
};
