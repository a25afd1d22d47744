// group explain: why a group is rebalancing, and which member holds it up.
//
// Groups of KIP-848 tell it at once: every member has an epoch and a target, so who is behind, and
// what he must give up or waits for, can be read off. Classic groups tell nothing of a member while
// they rebalance, neither whether it has joined again nor what it had. So a rebalancing group is
// watched for a while: who is dropped is who did not answer.
#include <stdio.h>

#include "cli/group_view.h"

static const struct cli_option explain_options[] = {
    {"--seconds", NULL, "N", "watch a rebalancing group so long (classic: 5)", .is_number = true,
     .min = 0, .max = 86400},
    {.name = NULL},
};

struct explanation {
    struct session session;
    struct string_buffer text;  // sentences, one a line
    int32_t slow_count;
};

static void name_member(struct explanation *e, const struct group_view_member *m) {
    string_buffer_format(&e->text, "member %.*s (client %.*s at %.*s)", SLICE_PRINT(m->id),
                         SLICE_PRINT(m->client_id), SLICE_PRINT(m->host));
}

static bool is_state(const struct group_view *view, const char *state) {
    return slice_equal_cstring(view->state, state);
}

static bool is_settled(const struct group_view *view) {
    return is_state(view, "Stable") || is_state(view, "Empty") || is_state(view, "Dead");
}

// ---- Groups of KIP-848 ----

// What is in `list` and not in `other`.
static int32_t difference(struct arena *arena, const struct topic_partition *list, int32_t count,
                          const struct topic_partition *other, int32_t other_count,
                          struct topic_partition **out) {
    int32_t n = 0;
    *out = arena_zalloc(arena, (size_t)count, sizeof **out);
    for (int32_t i = 0; i < count; i++) {
        if (!group_view_has(other, other_count, list[i])) (*out)[n++] = list[i];
    }
    return n;
}

static void explain_member(struct explanation *e, struct group_view *view,
                           const struct group_view_member *m) {
    enum { SHOWN_MAX = 5 };
    struct topic_partition *surplus, *missing;
    int32_t surplus_count = difference(&view->arena, m->assigned, m->assigned_count, m->target,
                                       m->target_count, &surplus);
    int32_t missing_count = difference(&view->arena, m->target, m->target_count, m->assigned,
                                       m->assigned_count, &missing);
    bool is_behind = m->epoch < view->assignment_epoch;
    if (!is_behind && surplus_count == 0 && missing_count == 0) return;
    name_member(e, m);
    if (surplus_count > 0) {
        struct slice list = group_view_partitions(&view->arena, surplus, surplus_count, SHOWN_MAX);
        string_buffer_format(&e->text,
                             " is slow: it has not given up %.*s yet; it must poll for that",
                             SLICE_PRINT(list));
        e->slow_count++;
    } else if (missing_count > 0) {
        const struct group_view_member *owner = group_view_owner(view, missing[0]);
        struct slice list = group_view_partitions(&view->arena, missing, missing_count, SHOWN_MAX);
        string_buffer_format(&e->text, " waits for %.*s", SLICE_PRINT(list));
        if (owner != NULL)
            string_buffer_format(&e->text, ", which %.*s still has", SLICE_PRINT(owner->id));
    } else {
        string_buffer_append(&e->text,
                             SLICE_LITERAL(" has not confirmed its assignment: it has not sent a "
                                           "heartbeat since"));
        e->slow_count++;
    }
    string_buffer_format(&e->text, " (epoch %d, the assignment's is %d).\n", m->epoch,
                         view->assignment_epoch);
}

static void explain_modern(struct explanation *e, struct group_view *view) {
    if (view->assignment_epoch < view->epoch) {
        string_buffer_format(
            &e->text,
            "Its members or topics have changed (epoch %d), and the broker has not divided the "
            "partitions anew (epoch %d): it does so within "
            "group.consumer.assignment.interval.ms.\n",
            view->epoch, view->assignment_epoch);
    }
    for (int32_t i = 0; i < view->member_count; i++)
        explain_member(e, view, &view->members[i]);
}

// ---- Classic groups ----

static void explain_classic(struct explanation *e, const struct group_view *view) {
    if (is_state(view, "PreparingRebalance")) {
        string_buffer_format(&e->text,
                             "It waits until its %d members have joined again; who does not within "
                             "the rebalance timeout (max.poll.interval.ms) is dropped.\n",
                             view->member_count);
    } else if (is_state(view, "CompletingRebalance")) {
        string_buffer_append(&e->text,
                             SLICE_LITERAL("All members have joined; it waits for the assignment, "
                                           "which the leading member must send.\n"));
    }
}

static bool has_member(const struct group_view *view, struct slice id) {
    for (int32_t i = 0; i < view->member_count; i++) {
        if (slice_equal(view->members[i].id, id)) return true;
    }
    return false;
}

static void compare_views(struct explanation *e, const struct group_view *before,
                          const struct group_view *now) {
    for (int32_t i = 0; i < before->member_count; i++) {
        const struct group_view_member *m = &before->members[i];
        if (has_member(now, m->id)) continue;
        name_member(e, m);
        string_buffer_append(&e->text, SLICE_LITERAL(" is gone: it left, or did not answer in "
                                                     "time and was dropped.\n"));
        e->slow_count++;
    }
    for (int32_t i = 0; i < now->member_count; i++) {
        const struct group_view_member *m = &now->members[i];
        if (has_member(before, m->id)) continue;
        name_member(e, m);
        string_buffer_append(&e->text, SLICE_LITERAL(" has joined.\n"));
    }
}

// Looks again until the group is settled or the time is over. False after a complaint.
static bool watch(struct explanation *e, struct group_view *view) {
    uint64_t begin = env_now_ns(e->session.env);
    uint64_t end = begin + (uint64_t)cli_integer(e->session.cli, "--seconds", 5) * 1000000000U;
    const uint64_t pause_ns = 250000000U;
    while (!is_settled(view) && !e->session.interrupted && env_now_ns(e->session.env) < end) {
        uint64_t next = env_now_ns(e->session.env) + pause_ns;
        while (env_now_ns(e->session.env) < next && !e->session.interrupted)
            session_pass(&e->session, 50);
        struct group_view now;
        struct message error;
        if (group_view_load(&e->session, view->id, &now, &error) != ERR_NONE) {
            cli_fail(e->session.cli, "%s", error.text);
            return false;
        }
        compare_views(e, view, &now);
        group_view_free(view);
        *view = now;
    }
    unsigned watched = (unsigned)((env_now_ns(e->session.env) - begin) / 1000000000U);
    if (is_settled(view)) {
        string_buffer_format(&e->text, "After %u seconds it is %.*s.\n", watched,
                             SLICE_PRINT(view->state));
    } else {
        string_buffer_format(&e->text, "It is still %.*s after %u seconds.\n",
                             SLICE_PRINT(view->state), watched);
        if (!view->is_classic) {
            e->slow_count = 0;
            explain_modern(e, view);
        }
    }
    return true;
}

// ---- The command ----

static void print_explanation(const struct explanation *e, const struct group_view *view) {
    if (cli_output(e->session.cli) == CLI_OUTPUT_TEXT) {
        printf("%s", e->text.text);
        return;
    }
    struct string_buffer out;
    string_buffer_init(&out);
    string_buffer_append(&out, SLICE_LITERAL("{\"group\": "));
    string_buffer_append_json(&out, view->id);
    string_buffer_append(&out, SLICE_LITERAL(", \"state\": "));
    string_buffer_append_json(&out, view->state);
    string_buffer_format(&out, ", \"slow_members\": %d, \"explanation\": ", e->slow_count);
    string_buffer_append_json(&out, string_buffer_slice(&e->text));
    string_buffer_append(&out, SLICE_LITERAL("}\n"));
    fwrite(out.text, 1, out.size, stdout);
    string_buffer_deinit(&out);
}

static bool explain(struct explanation *e, struct group_view *view) {
    string_buffer_format(&e->text, "Group %.*s (%s) is %.*s with %d member%s.\n",
                         SLICE_PRINT(view->id), view->is_classic ? "classic" : "consumer",
                         SLICE_PRINT(view->state), view->member_count,
                         view->member_count == 1 ? "" : "s");
    if (is_state(view, "Stable")) {
        string_buffer_append(&e->text, SLICE_LITERAL("Nothing is being moved.\n"));
        return true;
    }
    if (is_state(view, "Empty")) {
        string_buffer_append(&e->text,
                             SLICE_LITERAL("It has no members; its offsets are kept until they "
                                           "expire (offsets.retention.minutes).\n"));
        return true;
    }
    if (view->is_classic) {
        explain_classic(e, view);
    } else {
        explain_modern(e, view);
        if (!cli_flag(e->session.cli, "--seconds")) return true;
    }
    return watch(e, view);
}

static int run_explain(struct cli *cli) {
    struct explanation e = {.slow_count = 0};
    int code = session_open(&e.session, cli);
    if (code != 0) return code;
    string_buffer_init(&e.text);
    struct group_view view;
    struct message error;
    enum err err = group_view_load(&e.session, slice_cstring(cli_argument(cli, 0)), &view, &error);
    if (err != ERR_NONE) {
        code = cli_fail(cli, "%s", error.text);
    } else if (!explain(&e, &view)) {
        code = CLI_FAILED;
    } else {
        print_explanation(&e, &view);
    }
    if (err == ERR_NONE) group_view_free(&view);
    string_buffer_deinit(&e.text);
    session_close(&e.session);
    return code;
}

const struct cli_command command_group_explain = {
    .name = "group explain",
    .arguments = "<group>",
    .arguments_min = 1,
    .arguments_max = 1,
    .summary = "Say why a group is rebalancing and which member is slow",
    .details =
        "Groups of the consumer protocol tell who is behind at once. A classic group does not, so\n"
        "it is watched while it rebalances: who is dropped is who did not answer.",
    .example = "taccola group explain billing\n  taccola group explain billing --seconds 60",
    .options = explain_options,
    .is_client = true,
    .prints_data = true,
    .run = run_explain,
};
