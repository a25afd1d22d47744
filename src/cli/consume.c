// consume: prints the records of a topic's partitions, alone or as a member of a group.
#include <stdio.h>
#include <stdlib.h>

#include "base/time_text.h"
#include "base/utf8.h"
#include "cli/session.h"
#include "client/group_consumer.h"

static const struct cli_option consume_options[] = {
    {"--from-beginning", NULL, NULL, "begin at the oldest record (only new records)",
     .is_number = false},
    {"--offset", NULL, "N", "begin at this offset; negative: so many before the end",
     .is_number = true, .min = INT64_MIN, .max = INT64_MAX},
    {"--partition", "-p", "N", "read only this partition (all)", .is_number = true, .min = 0,
     .max = INT32_MAX},
    {"--max-messages", "-n", "N", "end after so many records", .is_number = true, .min = 1,
     .max = INT64_MAX},
    {"--exit-at-end", "-e", NULL, "end when all partitions were read to their end",
     .is_number = false},
    {"--isolation", NULL, "LEVEL",
     "read_committed, or read_uncommitted: of open and aborted "
     "transactions too",
     .is_number = false},
    {"--read-uncommitted", NULL, NULL, "short for --isolation read_uncommitted",
     .is_number = false},
    {"--values-only", NULL, NULL, "print nothing but the values", .is_number = false},
    {"--group", "-g", "GROUP", "read as a member of this group, from its committed offsets",
     .is_number = false},
    {"--assignor", NULL, "NAME",
     "range, roundrobin, sticky, cooperative-sticky; consumer "
     "protocol: uniform, range",
     .is_number = false},
    {"--group-protocol", NULL, "NAME", "classic or consumer (KIP-848) (classic)",
     .is_number = false},
    {"--instance-id", NULL, "ID", "a static member of the group", .is_number = false},
    {"--pattern", NULL, NULL, "with --group: the topic is an expression, all that it matches",
     .is_number = false},
    {"--no-commit", NULL, NULL, "with --group: commit nothing", .is_number = false},
    {"--commit-interval", NULL, "MS", "with --group: time between commits (5000)",
     .is_number = true, .min = 1, .max = INT32_MAX},
    {.name = NULL},
};

struct consumption {
    struct cli *cli;
    struct session session;
    struct consumer *consumer;
    struct group_consumer *group;  // with --group; then `consumer` is its reader
    struct client_topic *topic;
    bool closed;
    uint64_t begin_ns;
    int64_t left;  // records still to print
    bool json, values_only;
    struct string_buffer line;
};

// Text as it is; other bytes as base64.
static void append_bytes(struct string_buffer *out, struct slice bytes, bool json) {
    if (slice_is_null(bytes)) {
        string_buffer_append(out, SLICE_LITERAL("null"));
    } else if (!utf8_is_valid(bytes)) {
        string_buffer_append(out, json ? SLICE_LITERAL("\"base64:") : SLICE_LITERAL("base64:"));
        string_buffer_append_base64(out, bytes);
        if (json) string_buffer_append_char(out, '"');
    } else if (json) {
        string_buffer_append_json(out, bytes);
    } else {
        string_buffer_append(out, bytes);
    }
}

static void append_headers(struct string_buffer *out, const struct record *r, bool json) {
    for (int32_t i = 0; i < r->header_count; i++) {
        if (i > 0) string_buffer_append(out, json ? SLICE_LITERAL(", ") : SLICE_LITERAL(","));
        if (json) string_buffer_append(out, SLICE_LITERAL("{\"key\": "));
        append_bytes(out, r->headers[i].key, json);
        string_buffer_append(out, json ? SLICE_LITERAL(", \"value\": ") : SLICE_LITERAL("="));
        append_bytes(out, r->headers[i].value, json);
        if (json) string_buffer_append_char(out, '}');
    }
}

static void append_json(struct string_buffer *out, const struct consumer_record *c) {
    string_buffer_append(out, SLICE_LITERAL("{\"topic\": "));
    string_buffer_append_json(out, c->topic);
    string_buffer_format(
        out, ", \"partition\": %d, \"offset\": %lld, \"timestamp\": %lld, \"key\": ", c->partition,
        (long long)c->record.offset, (long long)c->record.timestamp);
    append_bytes(out, c->record.key, true);
    string_buffer_append(out, SLICE_LITERAL(", \"value\": "));
    append_bytes(out, c->record.value, true);
    string_buffer_append(out, SLICE_LITERAL(", \"headers\": ["));
    append_headers(out, &c->record, true);
    string_buffer_append(out, SLICE_LITERAL("]}\n"));
}

// "payments-1 @ 7  2026-11-25T03:14:15.926Z  key Alice  source=demo" and the value on the next
// line.
static void append_text(struct string_buffer *out, const struct consumer_record *c) {
    char time[TIME_TEXT_SIZE];
    string_buffer_format(out, "%.*s-%d @ %lld  %s", SLICE_PRINT(c->topic), c->partition,
                         (long long)c->record.offset, time_text(c->record.timestamp, time));
    if (!slice_is_null(c->record.key)) {
        string_buffer_append(out, SLICE_LITERAL("  key "));
        append_bytes(out, c->record.key, false);
    }
    if (c->record.header_count > 0) {
        string_buffer_append(out, SLICE_LITERAL("  headers "));
        append_headers(out, &c->record, false);
    }
    string_buffer_append(out, SLICE_LITERAL("\n  "));
    append_bytes(out, c->record.value, false);
    string_buffer_append_char(out, '\n');
}

static bool print_record(struct consumption *c, const struct consumer_record *record) {
    string_buffer_clear(&c->line);
    if (c->json) {
        append_json(&c->line, record);
    } else if (c->values_only) {
        string_buffer_append(&c->line, record->record.value);
        string_buffer_append_char(&c->line, '\n');
    } else {
        append_text(&c->line, record);
    }
    return fwrite(c->line.text, 1, c->line.size, stdout) == c->line.size;
}

// A member of a group is at the end when its partitions are: others have the rest. One that has
// none may be about to get some
static bool group_at_end(const struct consumption *c) {
    const uint64_t patience_ns = 11000000000U;
    if (!group_consumer_is_stable(c->group)) return false;
    if (group_consumer_assignment_count(c->group) == 0)
        return env_now_ns(c->session.env) >= c->begin_ns + patience_ns;
    for (int32_t i = 0; i < group_consumer_assignment_count(c->group); i++) {
        struct topic_partition id = group_consumer_assignment(c->group, i);
        int64_t position, end;
        if (!consumer_position(c->consumer, id.topic, id.partition, &position, &end)) return false;
        if (end < 0 || position < end) return false;
    }
    return true;
}

static bool all_at_end(const struct consumption *c) {
    if (c->group != NULL) return group_at_end(c);
    for (int32_t i = 0; i < c->topic->partition_count; i++) {
        int64_t position, end;
        if (!consumer_position(c->consumer, c->topic->name, i, &position, &end)) continue;
        if (end < 0 || position < end) return false;
    }
    return true;
}

static int assign(struct consumption *c) {
    struct cli *cli = c->cli;
    struct slice name = slice_cstring(cli_argument(cli, 0));
    enum err err = session_topic(&c->session, name, &c->topic);
    if (err == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        return cli_fail(cli, "there is no topic %s; create it: taccola topic create %s",
                        cli_argument(cli, 0), cli_argument(cli, 0));
    }
    if (err != ERR_NONE) {
        const char *why = client_error(c->session.client);
        return cli_fail(cli, "%s", why[0] != '\0' ? why : err_text(err));
    }
    int64_t only = cli_integer(cli, "--partition", -1);
    if (only >= c->topic->partition_count) {
        return cli_fail(cli, "%s has %d partitions, there is no partition %lld",
                        cli_argument(cli, 0), c->topic->partition_count, (long long)only);
    }
    bool has_offset = cli_flag(cli, "--offset");
    for (int32_t i = 0; i < c->topic->partition_count; i++) {
        if (only >= 0 && i != only) continue;
        int64_t offset = cli_flag(cli, "--from-beginning") ? OFFSET_EARLIEST : OFFSET_LATEST;
        if (has_offset) offset = cli_integer(cli, "--offset", 0);
        if (has_offset && offset < 0) {
            int64_t end;
            err = session_offset(&c->session, name, i, OFFSET_LATEST, &end);
            if (err != ERR_NONE) return cli_fail(cli, "looking up the end: %s", err_text(err));
            offset = MAX(end + offset, (int64_t)0);
        }
        err = consumer_assign(c->consumer, name, i, offset);
        if (err != ERR_NONE) return cli_fail(cli, "%s", err_text(err));
    }
    return 0;
}

// Asking for the next record says that the last one was dealt with, so that it is committed.
static void confirm_last(struct consumption *c) {
    struct consumer_record next;
    struct message error;
    message_init(&error);
    if (c->group == NULL) return;
    enum err err = group_consumer_next(c->group, &next, &error);
    if (err != ERR_NONE && err != ERR_WOULD_BLOCK) cli_fail(c->cli, "%s", error.text);
}

static int read_records(struct consumption *c) {
    bool exit_at_end = cli_flag(c->cli, "--exit-at-end");
    int code = 0;
    c->begin_ns = env_now_ns(c->session.env);
    while (c->left > 0 && !c->session.interrupted) {
        struct consumer_record record;
        struct message error;
        message_init(&error);
        enum err err = c->group != NULL ? group_consumer_next(c->group, &record, &error)
                                        : consumer_next(c->consumer, &record, &error);
        if (err == ERR_WOULD_BLOCK) {
            if (exit_at_end && all_at_end(c)) break;
            if (fflush(stdout) != 0) break;
            session_pass(&c->session, 100);
        } else if (err != ERR_NONE) {
            code = cli_fail(c->cli, "%s", error.text);
            break;
        } else if (!print_record(c, &record)) {
            break;  // nobody reads our output any more
        } else {
            c->left--;
        }
    }
    if (code == 0 && c->left == 0) confirm_last(c);
    return code;
}

// ---- As a member of a group ----

// The protocol, and its assignor. 0, or the exit code after a complaint.
static int choose_protocol(struct cli *cli, struct group_consumer_options *o,
                           enum assignor *assignor) {
    const char *protocol = cli_value(cli, "--group-protocol");
    const char *name = cli_value(cli, "--assignor");
    if (protocol != NULL && strcmp(protocol, "consumer") == 0) {
        o->protocol = GROUP_CONSUMER;
        o->server_assignor = slice_cstring(name);
    } else if (protocol != NULL && strcmp(protocol, "classic") != 0) {
        return cli_usage(cli, "--group-protocol is classic or consumer, not \"%s\"", protocol);
    } else if (name != NULL && !assignor_parse(slice_cstring(name), assignor)) {
        return cli_usage(cli, "there is no assignor %s", name);
    }
    return 0;
}

static int join_group(struct consumption *c, const struct consumer_options *options) {
    struct cli *cli = c->cli;
    struct slice topic = slice_cstring(cli_argument(cli, 0));
    enum assignor assignor = ASSIGNOR_RANGE;
    struct group_consumer_options o = group_consumer_options_default();
    o.assignors = &assignor;
    o.assignor_count = 1;
    int code = choose_protocol(cli, &o, &assignor);
    if (code != 0) return code;
    if (cli_flag(cli, "--partition") || cli_flag(cli, "--offset")) {
        return cli_usage(cli, "with --group the group says which partitions are read, from where");
    }
    o.group = slice_cstring(cli_value(cli, "--group"));
    o.instance_id = slice_cstring(cli_value(cli, "--instance-id"));
    if (cli_flag(cli, "--pattern")) {
        o.pattern = topic;
    } else {
        o.topics = &topic;
        o.topic_count = 1;
    }
    o.auto_commit = !cli_flag(cli, "--no-commit");
    o.auto_commit_interval_ms =
        (int32_t)cli_integer(cli, "--commit-interval", o.auto_commit_interval_ms);
    o.reset = cli_flag(cli, "--from-beginning") ? OFFSET_EARLIEST : OFFSET_LATEST;
    o.consumer = *options;
    struct message error;
    message_init(&error);
    if (group_consumer_new(c->session.client, &o, &c->group, &error) != ERR_NONE) {
        return cli_fail(cli, "%s", error.text);
    }
    c->consumer = group_consumer_reader(c->group);
    return 0;
}

static void left(void *context) {
    ((struct consumption *)context)->closed = true;
}

// Commits and leaves, so that the others need not wait for the session to end.
static void leave_group(struct consumption *c) {
    const uint64_t patience_ns = 5000000000U;
    uint64_t deadline = env_now_ns(c->session.env) + patience_ns;
    group_consumer_close(c->group, left, c);
    while (!c->closed && env_now_ns(c->session.env) < deadline)
        session_pass(&c->session, 100);
    group_consumer_free(c->group);
}

// 0, or the exit code after a complaint.
static int check_options(struct cli *cli, struct consumer_options *o) {
    const char *isolation = cli_value(cli, "--isolation");
    bool uncommitted = isolation != NULL && strcmp(isolation, "read_uncommitted") == 0;
    if (isolation != NULL && !uncommitted && strcmp(isolation, "read_committed") != 0) {
        return cli_usage(cli, "--isolation is read_committed or read_uncommitted, not \"%s\"",
                         isolation);
    }
    o->read_committed = !uncommitted && !cli_flag(cli, "--read-uncommitted");
    static const char *const of_groups[] = {"--group-protocol", "--instance-id",     "--pattern",
                                            "--no-commit",      "--commit-interval", "--assignor"};
    for (size_t i = 0; i < COUNT_OF(of_groups) && !cli_flag(cli, "--group"); i++) {
        if (cli_flag(cli, of_groups[i])) return cli_usage(cli, "%s needs --group", of_groups[i]);
    }
    return 0;
}

static int run(struct cli *cli) {
    struct consumer_options o = consumer_options_default();
    int wrong = check_options(cli, &o);
    if (wrong != 0) return wrong;
    struct consumption c = {.cli = cli,
                            .left = cli_integer(cli, "--max-messages", INT64_MAX),
                            .json = cli_output(cli) == CLI_OUTPUT_JSON,
                            .values_only = cli_flag(cli, "--values-only")};
    string_buffer_init(&c.line);
    int code = session_open(&c.session, cli);
    if (code == 0) {
        if (cli_flag(cli, "--group")) {
            code = join_group(&c, &o);
        } else {
            c.consumer = consumer_new(c.session.client, &o);
            code = assign(&c);
        }
        if (code == 0) code = read_records(&c);
    }
    if (c.group != NULL) {
        leave_group(&c);
    } else {
        consumer_free(c.consumer);
    }
    session_close(&c.session);
    string_buffer_deinit(&c.line);
    return code;
}

const struct cli_command command_consume = {
    .name = "consume",
    .arguments = "<topic>",
    .summary = "Print the records of a topic",
    .details =
        "Shows key, value, timestamp and headers. Bytes that are not UTF-8 are shown in base64.",
    .example =
        "taccola consume payments --from-beginning --max-messages 1\n"
        "  taccola consume payments --offset -10 --exit-at-end --output json\n"
        "  taccola consume payments --group billing --from-beginning\n"
        "  taccola consume 'pay.*' --pattern --group audit --group-protocol consumer",
    .options = consume_options,
    .arguments_min = 1,
    .arguments_max = 1,
    .is_client = true,
    .prints_data = true,
    .run = run,
};
