// group describe, group members.
//
// Lag is told twice. In records: the end of the partition (high watermark) less the committed
// offset; markers of transactions count, as in Kafka's tools. In seconds: how old the oldest record
// is that the group has not dealt with. There is no request for that: the record at the committed
// offset is fetched (one batch per partition that lags) and its timestamp compared with this
// machine's clock.
#include <stdio.h>
#include <stdlib.h>

#include "cli/group_offsets.h"
#include "cli/table.h"
#include "client/consumer.h"

struct position {
    struct group_offset committed;  // offset -1: none
    int64_t end;                    // -1: not known
    int64_t age_ms;                 // of the oldest record not dealt with; -1: not known
    bool is_waiting;                // for that record
};

struct positions {
    struct position *list;
    int32_t count;
};

// ---- What the group has, committed or assigned ----

static int compare_positions(const void *a, const void *b) {
    const struct position *x = a, *y = b;
    return group_offsets_compare(&x->committed, &y->committed);
}

static void gather(struct group_view *view, const struct group_offset *offsets, int32_t count,
                   struct positions *out) {
    size_t max = (size_t)count;
    for (int32_t i = 0; i < view->member_count; i++)
        max += (size_t)view->members[i].assigned_count;
    out->list = arena_zalloc(&view->arena, max, sizeof *out->list);
    for (int32_t i = 0; i < count; i++)
        out->list[out->count++].committed = offsets[i];
    for (int32_t i = 0; i < view->member_count; i++) {
        const struct group_view_member *m = &view->members[i];
        for (int32_t p = 0; p < m->assigned_count; p++) {
            struct group_offset none = {.id = m->assigned[p], .offset = -1};
            bool is_there = bsearch(&none, offsets, (size_t)count, sizeof *offsets,
                                    group_offsets_compare) != NULL;
            if (!is_there) out->list[out->count++].committed = none;
        }
    }
    qsort(out->list, (size_t)out->count, sizeof *out->list, compare_positions);
}

static enum err find_ends(struct session *s, struct group_view *view, struct positions *p) {
    struct offset_query *queries = arena_zalloc(&view->arena, (size_t)p->count, sizeof *queries);
    for (int32_t i = 0; i < p->count; i++)
        queries[i] = (struct offset_query){.id = p->list[i].committed.id, .time = OFFSET_LATEST};
    enum err err = group_offsets_lookup(s, queries, p->count);
    for (int32_t i = 0; i < p->count; i++) {
        bool known = err == ERR_NONE && queries[i].error == ERR_NONE;
        p->list[i].end = known ? queries[i].offset : -1;
    }
    return err;
}

// ---- Lag in seconds ----

static struct position *position_of(struct positions *p, struct slice topic, int32_t partition) {
    struct position key = {.committed.id = {topic, partition}};
    return bsearch(&key, p->list, (size_t)p->count, sizeof *p->list, compare_positions);
}

// Partitions with no record left before the end: what lies there are markers.
static int32_t pass_over_markers(struct consumer *consumer, struct positions *p) {
    int32_t waiting = 0;
    for (int32_t i = 0; i < p->count; i++) {
        struct position *x = &p->list[i];
        if (!x->is_waiting) continue;
        int64_t next, end;
        bool known = consumer_position(consumer, x->committed.id.topic, x->committed.id.partition,
                                       &next, &end);
        if (known && end >= 0 && next >= x->end) {
            x->is_waiting = false;
            x->age_ms = 0;
        }
        waiting += x->is_waiting;
    }
    return waiting;
}

static void find_ages(struct session *s, struct positions *p) {
    const uint64_t patience_ns = 10000000000U;
    struct consumer_options options = consumer_options_default();
    options.read_committed = false;
    options.reset = OFFSET_EARLIEST;  // what was deleted meanwhile is not to be dealt with
    options.partition_bytes_max = 65536;
    options.fetch_wait_ms = 50;
    struct consumer *consumer = consumer_new(s->client, &options);
    for (int32_t i = 0; i < p->count; i++) {
        struct position *x = &p->list[i];
        x->age_ms =
            x->committed.offset >= 0 && x->end >= 0 && x->end <= x->committed.offset ? 0 : -1;
        if (x->committed.offset < 0 || x->end <= x->committed.offset) continue;
        x->is_waiting = consumer_assign(consumer, x->committed.id.topic, x->committed.id.partition,
                                        x->committed.offset) == ERR_NONE;
    }
    uint64_t deadline = env_now_ns(s->env) + patience_ns;
    while (pass_over_markers(consumer, p) > 0 && !s->interrupted && env_now_ns(s->env) < deadline) {
        struct consumer_record record;
        struct message error;
        enum err err = consumer_next(consumer, &record, &error);
        if (err == ERR_WOULD_BLOCK) {
            session_pass(s, 20);
            continue;
        }
        struct position *x = position_of(p, record.topic, record.partition);
        if (x == NULL || !x->is_waiting) continue;
        x->is_waiting = false;
        bool is_dated = err == ERR_NONE && record.record.timestamp >= 0;
        if (is_dated) x->age_ms = MAX(env_wall_ms(s->env) - record.record.timestamp, (int64_t)0);
        // Fetches go on for the others only.
        consumer_pause(consumer, x->committed.id.topic, x->committed.id.partition, true);
    }
    consumer_free(consumer);
}

// ---- group describe ----

static void put_position(struct table *table, const struct group_view *view,
                         const struct position *p) {
    table_row(table);
    table_text(table, 0, p->committed.id.topic);
    table_number(table, 1, p->committed.id.partition);
    if (p->committed.offset >= 0) table_number(table, 2, p->committed.offset);
    if (p->end >= 0) table_number(table, 3, p->end);
    if (p->committed.offset >= 0 && p->end >= 0)
        table_number(table, 4, MAX(p->end - p->committed.offset, (int64_t)0));
    if (p->age_ms >= 0) table_format(table, 5, "%.1f", (double)p->age_ms / 1000.0);
    const struct group_view_member *member = group_view_owner(view, p->committed.id);
    if (member == NULL) return;
    table_text(table, 6, member->id);
    table_text(table, 7, member->host);
}

static void say_state(const struct group_view *view) {
    fprintf(stderr, "Group %.*s (%s) is %.*s, %d member%s%s%.*s, coordinator %d\n",
            SLICE_PRINT(view->id), view->is_classic ? "classic" : "consumer",
            SLICE_PRINT(view->state), view->member_count, view->member_count == 1 ? "" : "s",
            view->assignor.size > 0 ? ", assignor " : "", SLICE_PRINT(view->assignor),
            view->coordinator);
}

static int describe(struct session *s, struct group_view *view) {
    struct message error;
    message_init(&error);
    struct group_offset *offsets;
    int32_t count;
    enum err err = group_offsets_fetch(s, view->id, &view->arena, &offsets, &count, &error);
    if (err != ERR_NONE) return cli_fail(s->cli, "%s", error.text);
    struct positions positions = {NULL, 0};
    gather(view, offsets, count, &positions);
    if (find_ends(s, view, &positions) != ERR_NONE) return CLI_FAILED;
    find_ages(s, &positions);
    static const struct table_column columns[] = {
        {"Topic", CELL_TEXT},  {"Partition", CELL_NUMBER}, {"Committed", CELL_NUMBER},
        {"End", CELL_NUMBER},  {"Lag", CELL_NUMBER},       {"Lag seconds", CELL_NUMBER},
        {"Member", CELL_TEXT}, {"Host", CELL_TEXT}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < positions.count; i++)
        put_position(&table, view, &positions.list[i]);
    say_state(view);
    table_print(&table, s->cli, "No committed offsets, and no partition is assigned.");
    table_deinit(&table);
    return 0;
}

static int with_view(struct cli *cli, int (*run)(struct session *, struct group_view *)) {
    struct session session;
    int code = session_open(&session, cli);
    if (code != 0) return code;
    struct group_view view;
    struct message error;
    enum err err = group_view_load(&session, slice_cstring(cli_argument(cli, 0)), &view, &error);
    if (err != ERR_NONE) {
        code = cli_fail(cli, "%s", error.text);
    } else {
        code = run(&session, &view);
        group_view_free(&view);
    }
    session_close(&session);
    return code;
}

static int run_describe(struct cli *cli) {
    return with_view(cli, describe);
}

const struct cli_command command_group_describe = {
    .name = "group describe",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Show a group's state, committed offsets, lag and members",
    .details =
        "One line for each partition that has a committed offset or a member. Lag is the number\n"
        "of records up to the end; lag seconds is the age of the oldest record that the group\n"
        "has not dealt with, by the timestamp of the record at the committed offset.",
    .example = "taccola group describe billing\n  taccola group describe billing --output json",
    .is_client = true,
    .prints_data = true,
    .run = run_describe,
};

// ---- group members ----

static void put_member(struct table *table, struct group_view *view,
                       const struct group_view_member *m) {
    table_row(table);
    table_text(table, 0, m->id);
    table_text(table, 1, m->instance_id);
    table_text(table, 2, m->client_id);
    table_text(table, 3, m->host);
    table_text(table, 4, m->is_classic ? SLICE_LITERAL("classic") : SLICE_LITERAL("consumer"));
    if (m->metadata_version >= 0) table_number(table, 5, m->metadata_version);
    if (m->epoch >= 0) table_number(table, 6, m->epoch);
    table_number(table, 7, m->assigned_count);
    table_text(table, 8,
               group_view_partitions(&view->arena, m->assigned, m->assigned_count, INT32_MAX));
    if (!view->is_classic) {
        table_text(table, 9,
                   group_view_partitions(&view->arena, m->target, m->target_count, INT32_MAX));
    }
    table_text(table, 10, m->topics);
}

// Members of both protocols are there while a group moves from one to the other.
static void say_upgrade(const struct group_view *view) {
    int32_t classic = 0;
    for (int32_t i = 0; i < view->member_count; i++)
        classic += view->members[i].is_classic;
    if (view->is_classic || classic == 0) return;
    fprintf(stderr,
            "The group is moving between protocols: %d of %d members speak the classic "
            "one.\n",
            classic, view->member_count);
}

static int members(struct session *s, struct group_view *view) {
    static const struct table_column columns[] = {
        {"Member", CELL_TEXT},  {"Instance id", CELL_TEXT}, {"Client id", CELL_TEXT},
        {"Host", CELL_TEXT},    {"Protocol", CELL_TEXT},    {"Version", CELL_NUMBER},
        {"Epoch", CELL_NUMBER}, {"Count", CELL_NUMBER},     {"Assigned", CELL_TEXT},
        {"Target", CELL_TEXT},  {"Subscribed", CELL_TEXT}};
    struct table table;
    table_init(&table, columns, COUNT_OF(columns));
    for (int32_t i = 0; i < view->member_count; i++)
        put_member(&table, view, &view->members[i]);
    say_state(view);
    if (!view->is_classic) {
        fprintf(stderr, "Group epoch %d, assignment epoch %d\n", view->epoch,
                view->assignment_epoch);
    }
    say_upgrade(view);
    table_print(&table, s->cli, "No members.");
    table_deinit(&table);
    return 0;
}

static int run_members(struct cli *cli) {
    return with_view(cli, members);
}

const struct cli_command command_group_members = {
    .name = "group members",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Show a group's members: protocols, epochs, assignments",
    .details =
        "Version is that of a classic member's subscription. Epoch and target (what the member\n"
        "shall have) are told by groups of the consumer protocol (KIP-848).",
    .example = "taccola group members billing\n  taccola group members billing --output json",
    .is_client = true,
    .prints_data = true,
    .run = run_members,
};
