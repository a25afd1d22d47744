// group reset: moves the committed offsets of a group without members. Shows the new offsets; only
// --execute commits them, as with Apache Kafka's tool.
#include <stdio.h>
#include <stdlib.h>

#include "cli/coordinated.h"
#include "cli/group_offsets.h"
#include "cli/table.h"
#include "cli/when.h"
#include "wire/codec.h"

static const struct cli_option reset_options[] = {
    {"--topic", "-t", "TOPIC[:0,1…]", "of this topic or these partitions; several times",
     .is_number = false},
    {"--all-topics", NULL, NULL, "of all topics that the group has offsets of", .is_number = false},
    {"--to-earliest", NULL, NULL, "to the oldest record", .is_number = false},
    {"--to-latest", NULL, NULL, "to the end", .is_number = false},
    {"--to-current", NULL, NULL, "to what is committed, or the end without (for --export)",
     .is_number = false},
    {"--to-offset", NULL, "N", "to this offset", .is_number = true, .min = 0, .max = INT64_MAX},
    {"--shift-by", NULL, "N", "so many records on, or back when negative", .is_number = true,
     .min = INT64_MIN, .max = INT64_MAX},
    {"--to-datetime", NULL, "TIME", "to the first record from then on, 2026-11-25T03:14:15Z",
     .is_number = false},
    {"--by-duration", NULL, "P1DT2H", "to the first record of the time since, so long ago",
     .is_number = false},
    {"--from-file", NULL, "FILE", "lines of topic,partition,offset, as --export writes them",
     .is_number = false},
    {"--dry-run", NULL, NULL, "only show (this is also what happens without --execute)",
     .is_number = false},
    {"--execute", NULL, NULL, "commit the new offsets", .is_number = false},
    {"--export", NULL, NULL, "print topic,partition,offset lines and commit nothing",
     .is_number = false},
    {.name = NULL},
};

static const char *const targets[] = {"--to-earliest", "--to-latest", "--to-current",
                                      "--to-offset",   "--shift-by",  "--to-datetime",
                                      "--by-duration", "--from-file"};

struct move {
    struct topic_partition id;
    int64_t old;  // -1: none is committed
    int64_t wanted;
    int64_t earliest, latest;
};

struct reset {
    struct session session;
    struct cli *cli;
    struct arena arena;
    struct slice group;
    const char *target;  // one of `targets`
    struct group_offset *committed;
    int32_t committed_count;
    struct move *moves;
    int32_t count, capacity;
};

static struct move *add_move(struct reset *r, struct topic_partition id) {
    if (r->count == r->capacity) {
        int32_t capacity = MAX(r->capacity * 2, 64);
        struct move *larger = arena_zalloc(&r->arena, (size_t)capacity, sizeof *larger);
        for (int32_t i = 0; i < r->count; i++)
            larger[i] = r->moves[i];
        r->moves = larger;
        r->capacity = capacity;
    }
    r->moves[r->count] = (struct move){.id = id, .old = -1};
    return &r->moves[r->count++];
}

// ---- Which partitions ----

static int add_topic(struct reset *r, struct slice text) {
    struct slice name = text, list = SLICE_NULL;
    bool has_list = slice_split(text, ':', &name, &list);
    struct client_topic *topic;
    enum err err = session_topic(&r->session, name, &topic);
    if (err != ERR_NONE)
        return cli_fail(r->cli, "topic %.*s: %s", SLICE_PRINT(name), err_text(err));
    if (!has_list) {
        for (int32_t i = 0; i < topic->partition_count; i++)
            add_move(r, (struct topic_partition){name, i});
        return 0;
    }
    while (!slice_is_null(list)) {
        struct slice first = list, rest = SLICE_NULL;
        slice_split(list, ',', &first, &rest);
        int64_t partition;
        if (!slice_parse_int64(slice_trim(first), &partition) || partition < 0) {
            return cli_usage(r->cli, "--topic takes TOPIC or TOPIC:0,1,2, not \"%.*s\"",
                             SLICE_PRINT(text));
        }
        if (partition >= topic->partition_count) {
            return cli_fail(r->cli, "%.*s has %d partitions, there is no partition %lld",
                            SLICE_PRINT(name), topic->partition_count, (long long)partition);
        }
        add_move(r, (struct topic_partition){name, (int32_t)partition});
        list = rest;
    }
    return 0;
}

static int read_line(struct reset *r, const char *path, int number, struct slice line) {
    struct slice topic, partition, offset, rest;
    int64_t p, o;
    bool good = slice_split(line, ',', &topic, &rest) &&
                slice_split(rest, ',', &partition, &offset) &&
                slice_parse_int64(slice_trim(partition), &p) && p >= 0 && p <= INT32_MAX &&
                slice_parse_int64(slice_trim(offset), &o) && o >= 0;
    if (!good) return cli_fail(r->cli, "%s:%d is no topic,partition,offset", path, number);
    topic = slice_trim(topic);
    if (topic.size >= 2 && topic.data[0] == '"' && topic.data[topic.size - 1] == '"')
        topic = slice_sub(topic, 1, topic.size - 2);
    add_move(r, (struct topic_partition){arena_copy(&r->arena, topic), (int32_t)p})->wanted = o;
    return 0;
}

static int read_file(struct reset *r, const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return cli_fail(r->cli, "%s cannot be read", path);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int code = 0;
    for (int number = 1; code == 0 && (size = getline(&line, &capacity, file)) >= 0; number++) {
        struct slice text = slice_trim(slice_of(line, (size_t)size));
        if (text.size > 0) code = read_line(r, path, number, text);
    }
    free(line);
    fclose(file);
    return code;
}

static int choose_partitions(struct reset *r) {
    if (strcmp(r->target, "--from-file") == 0)
        return read_file(r, cli_value(r->cli, "--from-file"));
    if (cli_flag(r->cli, "--all-topics")) {
        for (int32_t i = 0; i < r->committed_count; i++)
            add_move(r, r->committed[i].id);
        return 0;
    }
    int code = 0;
    for (int i = 0; code == 0 && i < cli_count(r->cli, "--topic"); i++)
        code = add_topic(r, slice_cstring(cli_value_at(r->cli, "--topic", i)));
    return code;
}

// ---- To which offsets ----

// 0, or the exit code after a complaint.
static int wanted_time(struct reset *r, int64_t *time) {
    struct slice text = slice_cstring(cli_value(r->cli, r->target));
    if (strcmp(r->target, "--to-datetime") == 0) {
        if (when_parse(text, time)) return 0;
        return cli_usage(r->cli, "--to-datetime takes a time like 2026-11-25T03:14:15Z, not \"%s\"",
                         cli_value(r->cli, r->target));
    }
    int64_t ago;
    if (!when_parse_duration(text, &ago)) {
        return cli_usage(r->cli, "--by-duration takes a duration like P1DT2H30M, not \"%s\"",
                         cli_value(r->cli, r->target));
    }
    *time = env_wall_ms(cli_env(r->cli)) - ago;
    return 0;
}

// Three questions for each partition: its first record, its end, and the time that was given.
static int look_up(struct reset *r, int64_t time, struct offset_query **answers) {
    struct offset_query *q = arena_zalloc(&r->arena, (size_t)r->count * 3, sizeof *q);
    for (int32_t i = 0; i < r->count; i++) {
        q[3 * i] = (struct offset_query){.id = r->moves[i].id, .time = OFFSET_EARLIEST};
        q[3 * i + 1] = (struct offset_query){.id = r->moves[i].id, .time = OFFSET_LATEST};
        q[3 * i + 2] = (struct offset_query){.id = r->moves[i].id, .time = time};
    }
    if (group_offsets_lookup(&r->session, q, 3 * r->count) != ERR_NONE) return CLI_FAILED;
    for (int32_t i = 0; i < 3 * r->count; i++) {
        if (q[i].error == ERR_NONE) continue;
        return cli_fail(r->cli, "offsets of %.*s-%d: %s", SLICE_PRINT(q[i].id.topic),
                        q[i].id.partition, err_text(q[i].error));
    }
    *answers = q;
    return 0;
}

static bool add_overflows(int64_t a, int64_t b, int64_t *sum) {
    return __builtin_add_overflow(a, b, sum);
}

static int choose_offset(struct reset *r, struct move *m, const struct offset_query *by_time) {
    const char *target = r->target;
    int64_t number = cli_integer(r->cli, target, 0);
    if (strcmp(target, "--to-earliest") == 0) {
        m->wanted = m->earliest;
    } else if (strcmp(target, "--to-latest") == 0) {
        m->wanted = m->latest;
    } else if (strcmp(target, "--to-current") == 0) {
        m->wanted = m->old >= 0 ? m->old : m->latest;
    } else if (strcmp(target, "--to-offset") == 0) {
        m->wanted = number;
    } else if (strcmp(target, "--shift-by") == 0) {
        if (m->old < 0) {
            return cli_fail(r->cli, "%.*s-%d has no committed offset that could be shifted",
                            SLICE_PRINT(m->id.topic), m->id.partition);
        }
        if (add_overflows(m->old, number, &m->wanted)) m->wanted = number < 0 ? 0 : INT64_MAX;
    } else if (strcmp(target, "--from-file") != 0) {
        m->wanted = by_time->offset >= 0 ? by_time->offset : m->latest;
    }
    m->wanted = MIN(MAX(m->wanted, m->earliest), m->latest);
    return 0;
}

static int choose_offsets(struct reset *r) {
    int64_t time = OFFSET_LATEST;
    bool by_time =
        strcmp(r->target, "--to-datetime") == 0 || strcmp(r->target, "--by-duration") == 0;
    int code = by_time ? wanted_time(r, &time) : 0;
    struct offset_query *answers = NULL;
    if (code == 0 && r->count > 0) code = look_up(r, time, &answers);
    for (int32_t i = 0; code == 0 && i < r->count; i++) {
        struct move *m = &r->moves[i];
        struct group_offset key = {.id = m->id};
        const struct group_offset *old = bsearch(&key, r->committed, (size_t)r->committed_count,
                                                 sizeof *r->committed, group_offsets_compare);
        m->old = old == NULL ? -1 : old->offset;
        m->earliest = answers[3 * i].offset;
        m->latest = answers[3 * i + 1].offset;
        code = choose_offset(r, m, &answers[3 * i + 2]);
    }
    return code;
}

// ---- Committing ----

static enum err commit_verdict(struct coordinator_call *call) {
    const struct offset_commit_response *r = call->call.response;
    for (int32_t t = 0; t < r->topics_count; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_count; p++) {
            if (r->topics[t].partitions[p].error_code != 0)
                return err_of_wire(r->topics[t].partitions[p].error_code);
        }
    }
    return ERR_NONE;
}

// Versions up to 9 name topics; one row per partition is allowed, and simple.
static int commit(struct reset *r) {
    struct offset_commit_request request;
    codec_init(&offset_commit_request_codec, &request);
    request.group_id = r->group;
    request.member_id = SLICE_EMPTY;
    request.topics_count = r->count;
    request.topics = arena_zalloc(&r->arena, (size_t)r->count, sizeof *request.topics);
    for (int32_t i = 0; i < r->count; i++) {
        struct offset_commit_request_topic *t = &request.topics[i];
        codec_init(&offset_commit_request_topic_codec, t);
        t->name = r->moves[i].id.topic;
        t->partitions_count = 1;
        t->partitions = arena_zalloc(&r->arena, 1, sizeof *t->partitions);
        codec_init(&offset_commit_request_partition_codec, t->partitions);
        t->partitions->partition_index = r->moves[i].id.partition;
        t->partitions->committed_offset = r->moves[i].wanted;
        t->partitions->committed_metadata = SLICE_EMPTY;
    }
    struct coordinated c = {
        .call.call = {.api = API_OFFSET_COMMIT, .version_max = 9, .message = &request},
        .call.verdict = commit_verdict};
    enum err err = coordinated_run(&r->session, &c, COORDINATOR_GROUP, r->group);
    int code = err == ERR_NONE ? 0 : coordinated_failed(&r->session, &c, err);
    coordinated_end(&c);
    return code;
}

static void print_lines(const struct reset *r) {
    for (int32_t i = 0; i < r->count; i++) {
        printf("%.*s,%d,%lld\n", SLICE_PRINT(r->moves[i].id.topic), r->moves[i].id.partition,
               (long long)r->moves[i].wanted);
    }
}

static void print_moves(const struct reset *r) {
    static const struct table_column columns[] = {{"Topic", CELL_TEXT},
                                                  {"Partition", CELL_NUMBER},
                                                  {"Old offset", CELL_NUMBER},
                                                  {"New offset", CELL_NUMBER}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < r->count; i++) {
        table_row(&table);
        table_text(&table, 0, r->moves[i].id.topic);
        table_number(&table, 1, r->moves[i].id.partition);
        if (r->moves[i].old >= 0) table_number(&table, 2, r->moves[i].old);
        table_number(&table, 3, r->moves[i].wanted);
    }
    table_print(&table, r->cli, "Nothing to reset.");
    table_deinit(&table);
}

// A group with members would go on from its own positions and overwrite what is committed here. A
// group that is not there yet may be given offsets.
static int check_group(struct reset *r) {
    struct group_view view;
    struct message error;
    enum err err = group_view_load(&r->session, r->group, &view, &error);
    if (err == ERR_GROUP_ID_NOT_FOUND) return 0;
    if (err != ERR_NONE) return cli_fail(r->cli, "%s", error.text);
    int code = 0;
    if (view.member_count > 0) {
        code = cli_fail(r->cli, "%.*s is %.*s with %d members; stop them first",
                        SLICE_PRINT(r->group), SLICE_PRINT(view.state), view.member_count);
    }
    group_view_free(&view);
    return code;
}

static int reset(struct reset *r) {
    bool execute = cli_flag(r->cli, "--execute");
    struct message error;
    message_init(&error);
    int code = check_group(r);
    if (code != 0) return code;
    enum err err = group_offsets_fetch(&r->session, r->group, &r->arena, &r->committed,
                                       &r->committed_count, &error);
    if (err != ERR_NONE) return cli_fail(r->cli, "%s", error.text);
    code = choose_partitions(r);
    if (code == 0) code = choose_offsets(r);
    if (code == 0 && execute && r->count > 0) code = commit(r);
    if (code != 0) return code;
    if (cli_flag(r->cli, "--export")) {
        print_lines(r);
        return 0;
    }
    print_moves(r);
    if (!execute) fprintf(stderr, "Nothing was changed; --execute commits these offsets.\n");
    return 0;
}

static int check_options(struct reset *r) {
    int given = 0;
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        if (!cli_flag(r->cli, targets[i])) continue;
        r->target = targets[i];
        given++;
    }
    if (given != 1)
        return cli_usage(r->cli, "say to where, with one of --to-earliest, --to-latest …");
    int actions = cli_flag(r->cli, "--dry-run") + cli_flag(r->cli, "--execute") +
                  cli_flag(r->cli, "--export");
    if (actions > 1) return cli_usage(r->cli, "one of --dry-run, --execute and --export");
    bool all = cli_flag(r->cli, "--all-topics"), some = cli_flag(r->cli, "--topic");
    if (strcmp(r->target, "--from-file") == 0) {
        if (all || some) return cli_usage(r->cli, "--from-file names the topics itself");
    } else if (all == some) {
        return cli_usage(r->cli, "say of what: --topic TOPIC or --all-topics");
    }
    return 0;
}

static int run_reset(struct cli *cli) {
    struct reset r = {.cli = cli, .group = slice_cstring(cli_argument(cli, 0))};
    int code = check_options(&r);
    if (code == 0) code = session_open(&r.session, cli);
    if (code != 0) return code;
    arena_init(&r.arena);
    code = reset(&r);
    arena_deinit(&r.arena);
    session_close(&r.session);
    return code;
}

const struct cli_command command_group_reset = {
    .name = "group reset",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Move the committed offsets of a group that has no members",
    .details =
        "Shows the new offsets; --execute commits them. An offset outside of what the partition\n"
        "has becomes its first or its last.",
    .example =
        "taccola group reset billing --topic payments --to-earliest\n"
        "  taccola group reset billing --all-topics --by-duration PT1H --execute\n"
        "  taccola group reset billing --all-topics --to-current --export > billing.csv\n"
        "  taccola group reset billing --from-file billing.csv --execute",
    .options = reset_options,
    .is_client = true,
    .prints_data = true,
    .run = run_reset,
};
