// produce: one record from the arguments, or one per line of standard input.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/session.h"
#include "client/producer.h"

static const struct cli_option produce_options[] = {
    {"--key", "-k", "text", "the record's key", .is_number = false},
    {"--header", "-H", "name=value", "a header; may be given several times", .is_number = false},
    {"--partition", "-p", "N", "to this partition (by the key's hash)", .is_number = true, .min = 0,
     .max = INT32_MAX},
    {"--timestamp", NULL, "ms", "milliseconds since 1970 (now)", .is_number = true, .min = 0,
     .max = INT64_MAX},
    {"--acks", NULL, "all|1|0", "wait for all in-sync replicas, the leader, or nobody (all)",
     .is_number = false},
    {"--compression", "-z", "type", "none, gzip, snappy, lz4 or zstd (none)", .is_number = false},
    {"--key-separator", NULL, "text", "lines of standard input are key, this, value",
     .is_number = false},
    {"--transactional-id", NULL, "ID", "all records in one transaction: all of them or none",
     .is_number = false},
    {"--tombstone", NULL, NULL, "a record without a value: deletes the key in a compacted topic",
     .is_number = false},
    {.name = NULL},
};

struct sending {
    struct producer_record record;
    struct production *production;
};

struct production;

// A step of a transaction under way.
struct step {
    struct production *production;
    bool over;
    enum err result;
};

struct production {
    struct cli *cli;
    struct step step;
    struct session session;
    struct producer *producer;
    struct record_header *headers;
    int32_t header_count;
    int64_t sent, failed;
    bool json;
    bool quiet;  // standard input: one line at the end instead of one per record
};

static void delivered(struct producer_record *r, enum err result) {
    struct sending *sending = container_of(r, struct sending, record);
    struct production *p = sending->production;
    if (result != ERR_NONE) {
        p->failed++;
        cli_fail(p->cli, "%s: %s", cli_argument(p->cli, 0),
                 r->error != NULL && r->error->text[0] != '\0' ? r->error->text : err_text(result));
    } else {
        p->sent++;
        if (!p->quiet && p->json) {
            printf("{\"topic\": ");
            struct string_buffer name;
            string_buffer_init(&name);
            string_buffer_append_json(&name, r->topic);
            fwrite(name.text, 1, name.size, stdout);
            string_buffer_deinit(&name);
            printf(", \"partition\": %d, \"offset\": %lld, \"timestamp\": %lld}\n", r->partition,
                   (long long)r->offset, (long long)r->timestamp);
        } else if (!p->quiet) {
            printf("%.*s-%d @ %lld\n", SLICE_PRINT(r->topic), r->partition, (long long)r->offset);
        }
    }
    memory_free(sending);
}

static void send_record(struct production *p, struct slice key, struct slice value) {
    struct sending *sending = memory_zalloc(1, sizeof *sending);
    sending->production = p;
    sending->record = (struct producer_record){
        .topic = slice_cstring(cli_argument(p->cli, 0)),
        .partition = (int32_t)cli_integer(p->cli, "--partition", -1),
        .timestamp = cli_integer(p->cli, "--timestamp", -1),
        .key = key,
        .value = value,
        .headers = p->headers,
        .header_count = p->header_count,
        .done = delivered,
    };
    enum err err;
    while ((err = producer_send(p->producer, &sending->record)) == ERR_WOULD_BLOCK &&
           !p->session.interrupted) {
        session_pass(&p->session, 100);
    }
    if (err == ERR_NONE) return;
    p->failed++;
    cli_fail(p->cli, "%s", err_text(err));
    memory_free(sending);
}

static void send_lines(struct production *p) {
    const char *separator = cli_value(p->cli, "--key-separator");
    const char *key = cli_value(p->cli, "--key");
    char *line = NULL;
    size_t capacity = 0;
    int64_t count = 0;
    ssize_t size;
    while (!p->session.interrupted && (size = getline(&line, &capacity, stdin)) >= 0) {
        if (size > 0 && line[size - 1] == '\n') size--;
        struct slice value = slice_of(line, (size_t)size), line_key = slice_cstring(key);
        const uint8_t *at = separator == NULL || separator[0] == '\0'
                                ? NULL
                                : memmem(line, (size_t)size, separator, strlen(separator));
        if (at != NULL) {
            line_key = slice_of(line, (size_t)(at - (uint8_t *)line));
            at += strlen(separator);
            value = slice_of(at, (size_t)((uint8_t *)line + size - at));
        }
        send_record(p, line_key, value);
        if (++count % 256 == 0) session_pass(&p->session, 0);
    }
    free(line);
}

static int fill_options(struct cli *cli, struct producer_options *options) {
    *options = producer_options_default();
    const char *acks = cli_value(cli, "--acks");
    if (acks == NULL) acks = "all";
    if (strcmp(acks, "all") == 0 || strcmp(acks, "-1") == 0) {
        options->acks = -1;
    } else if (strcmp(acks, "1") == 0 || strcmp(acks, "0") == 0) {
        options->acks = (int16_t)(acks[0] - '0');
        options->idempotent = false;
    } else {
        return cli_usage(cli, "--acks takes all, 1 or 0, not \"%s\"", acks);
    }
    const char *compression = cli_value(cli, "--compression");
    if (compression == NULL) compression = "none";
    if (!compression_parse(slice_cstring(compression), &options->compression)) {
        return cli_usage(cli, "--compression takes none, gzip, snappy, lz4 or zstd, not \"%s\"",
                         compression);
    }
    options->transactional_id = slice_cstring(cli_value(cli, "--transactional-id"));
    options->delivery_timeout_ns = (uint64_t)cli_integer(cli, "--timeout", 30) * 1000000000U;
    return 0;
}

static int fill_headers(struct production *p) {
    p->header_count = cli_count(p->cli, "--header");
    p->headers = memory_zalloc((size_t)p->header_count, sizeof *p->headers);
    for (int i = 0; i < p->header_count; i++) {
        struct slice pair = slice_cstring(cli_value_at(p->cli, "--header", i));
        if (!slice_split(pair, '=', &p->headers[i].key, &p->headers[i].value)) {
            return cli_usage(p->cli, "--header takes name=value, not \"%.*s\"", SLICE_PRINT(pair));
        }
    }
    return 0;
}

// ---- In a transaction ----

static void step_over(void *context, enum err result, const struct message *error) {
    struct step *step = context;
    step->over = true;
    step->result = result;
    if (result == ERR_NONE) return;
    cli_fail(step->production->cli, "the transaction: %s",
             error != NULL && error->text[0] != '\0' ? error->text : err_text(result));
}

// Runs producer_init, producer_commit or producer_abort to its end.
static bool take_step(struct production *p,
                      void (*start)(struct producer *, producer_done *, void *)) {
    const uint64_t patience_ns = (uint64_t)cli_integer(p->cli, "--timeout", 30) * 1000000000U;
    struct step *step = &p->step;
    *step = (struct step){.production = p};
    uint64_t deadline = env_now_ns(p->session.env) + patience_ns;
    start(p->producer, step_over, step);
    while (!step->over && env_now_ns(p->session.env) < deadline)
        session_pass(&p->session, 100);
    if (!step->over) cli_fail(p->cli, "the transaction: no answer in time");
    return step->over && step->result == ERR_NONE;
}

static bool begin_transaction(struct production *p) {
    struct message error;
    message_init(&error);
    if (!take_step(p, producer_init)) return false;
    if (producer_begin(p->producer, &error) == ERR_NONE) return true;
    cli_fail(p->cli, "%s", error.text);
    return false;
}

// Commits when every record is there, else aborts.
static bool end_transaction(struct production *p) {
    bool good = p->failed == 0 && !p->session.interrupted;
    if (good && take_step(p, producer_commit)) return true;
    if (producer_status(p->producer) != PRODUCER_FATAL && take_step(p, producer_abort))
        cli_fail(p->cli, "the transaction was aborted: none of its records counts");
    return false;
}

// ---- The command ----

static void send_all(struct production *p) {
    const char *key = cli_value(p->cli, "--key");
    bool tombstone = cli_flag(p->cli, "--tombstone");
    if (cli_argument_count(p->cli) == 1 && !tombstone) {
        p->quiet = true;
        send_lines(p);
    }
    if (tombstone) send_record(p, slice_cstring(key), SLICE_NULL);
    for (int i = 1; i < cli_argument_count(p->cli); i++)
        send_record(p, slice_cstring(key), slice_cstring(cli_argument(p->cli, i)));
    producer_flush(p->producer);
    while (producer_pending(p->producer) > 0 && !p->session.interrupted)
        session_pass(&p->session, 100);
}

static int produce(struct production *p, const struct producer_options *producer_options) {
    struct message error;
    message_init(&error);
    enum err err = producer_new(p->session.client, producer_options, &p->producer, &error);
    if (err != ERR_NONE) return cli_usage(p->cli, "%s", error.text);
    bool transactional = cli_flag(p->cli, "--transactional-id");
    bool good = !transactional || begin_transaction(p);
    if (good) {
        send_all(p);
        if (transactional) good = end_transaction(p);
    }
    if (good && p->quiet && p->json) {
        printf("{\"sent\": %lld, \"failed\": %lld}\n", (long long)p->sent, (long long)p->failed);
    } else if (good && p->quiet) {
        printf("%lld records sent%s\n", (long long)p->sent, p->failed > 0 ? ", some failed" : "");
    }
    producer_free(p->producer);
    return !good || p->failed > 0 || p->session.interrupted ? CLI_FAILED : 0;
}

static int run(struct cli *cli) {
    struct producer_options producer_options;
    struct production p = {.cli = cli, .json = cli_output(cli) == CLI_OUTPUT_JSON};
    int code = fill_options(cli, &producer_options);
    if (code == 0) code = fill_headers(&p);
    if (code == 0) code = session_open_creating(&p.session, cli);
    if (code == 0) code = produce(&p, &producer_options);
    session_close(&p.session);
    memory_free(p.headers);
    return code;
}

const struct cli_command command_produce = {
    .name = "produce",
    .arguments = "<topic> [value…]",
    .summary = "Write records",
    .details =
        "Each value is one record. Without a value, each line of standard input is one. A record "
        "is reported when it is\n"
        "acknowledged; it is stored once, whatever had to be tried again.",
    .example =
        "taccola produce payments --key Alice --header source=demo \"Pays 200 dollars to Bob\"\n"
        "  taccola produce logs --compression zstd < access.log\n"
        "  taccola produce payments --transactional-id billing-1 one two three",
    .options = produce_options,
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .is_client = true,
    .prints_data = true,
    .run = run,
};
