// One heartbeat is under way at a time. A heartbeat says only what has changed since the last one
// that was answered; the first of a membership, and the next after one whose answer did not come,
// say everything, because nobody knows what the broker has heard.
#include "client/heartbeat_member.h"

#include "base/memory.h"

#define MS UINT64_C(1000000)

enum {
    EPOCH_JOIN = 0,
    EPOCH_LEAVE = -1,
    EPOCH_LEAVE_FOR_A_WHILE = -2,  // static: the instance will be back
    INTERVAL_MS = 3000,            // until the broker says another
    LEAVE_MS = 5000,
};

struct heartbeat_member {
    struct env *env;
    struct client *client;  // of the coordinator
    struct coordinator coordinator;
    struct heartbeat_member_options options;
    struct arena arena;  // of the options
    char id[UUID_TEXT_SIZE];
    int32_t epoch;  // EPOCH_JOIN until the first answer
    int32_t interval_ms;
    bool is_leaving;
    bool has_failed;
    uint32_t tries;

    struct id_partition *owned;
    int32_t owned_count;

    // What the next heartbeat says beside the epoch.
    bool says_all, says_subscription, says_owned;
    bool is_urgent;  // it is sent when the one under way has ended

    struct coordinator_call call;
    struct consumer_group_heartbeat_request request;
    struct arena request_arena;
    bool is_busy;
    struct env_timer timer;
    void (*left)(void *context);
    void *left_context;
    struct env_task left_task;
};

static void send_heartbeat(struct heartbeat_member *m);

static void heartbeat_at(struct heartbeat_member *m, uint64_t wait_ns) {
    env_timer_start(m->env, &m->timer, env_now_ns(m->env) + wait_ns);
}

static void heartbeat_now(struct heartbeat_member *m) {
    m->is_urgent = true;
    if (!m->is_busy && !m->is_leaving && !m->has_failed) heartbeat_at(m, 0);
}

static void tell_left(struct heartbeat_member *m) {
    void (*left)(void *) = m->left;
    m->left = NULL;
    if (left != NULL) left(m->left_context);
}

static void run_left(struct env_task *task) {
    tell_left(container_of(task, struct heartbeat_member, left_task));
}

// ---- Answers ----

static void fail(struct heartbeat_member *m, enum err error, const char *what) {
    m->has_failed = true;
    env_timer_stop(m->env, &m->timer);
    struct message text;
    message_set(&text, "group %.*s: %s", SLICE_PRINT(m->options.group), what);
    m->options.failed(m->options.context, error, &text);
}

static void rejoin(struct heartbeat_member *m) {
    m->epoch = EPOCH_JOIN;
    m->owned_count = 0;
    m->says_all = true;
    m->options.lost(m->options.context);
    heartbeat_now(m);
}

static void take_target(struct heartbeat_member *m,
                        const struct consumer_group_heartbeat_response_assignment *a) {
    struct arena arena;
    arena_init(&arena);
    size_t total = 0;
    for (int32_t i = 0; i < a->topic_partitions_count; i++)
        total += (size_t)MAX(a->topic_partitions[i].partitions_count, 0);
    struct id_partition *list = arena_zalloc(&arena, MAX(total, (size_t)1), sizeof *list);
    int32_t count = 0;
    for (int32_t i = 0; i < a->topic_partitions_count; i++) {
        for (int32_t p = 0; p < a->topic_partitions[i].partitions_count; p++) {
            list[count++] = (struct id_partition){a->topic_partitions[i].topic_id,
                                                  a->topic_partitions[i].partitions[p]};
        }
    }
    m->options.target(m->options.context, list, count);
    arena_deinit(&arena);
}

static void accepted(struct heartbeat_member *m,
                     const struct consumer_group_heartbeat_response *r) {
    m->epoch = r->member_epoch;
    m->tries = 0;
    if (r->heartbeat_interval_ms > 0) m->interval_ms = r->heartbeat_interval_ms;
    if (r->assignment != NULL) take_target(m, r->assignment);
}

static void refused(struct heartbeat_member *m, enum err result, struct slice text) {
    m->says_all = true;
    switch (result) {
        case ERR_GROUP_ID_NOT_FOUND:  // its last member was forgotten, and then the group
        case ERR_UNKNOWN_MEMBER_ID:
        case ERR_FENCED_MEMBER_EPOCH:
            rejoin(m);
            return;
        case ERR_UNSUPPORTED_VERSION:
            fail(m, result,
                 "the cluster does not speak the consumer protocol (KIP-848) as it is needed "
                 "here; use group.protocol=classic");
            return;
        default:
            break;
    }
    if (client_may_retry(result)) {
        heartbeat_at(m, client_backoff_ns(m->client, m->tries++));
        return;
    }
    struct message why;
    message_set(&why, "%s%s%.*s", err_text(result), text.size > 0 ? " " : "", SLICE_PRINT(text));
    fail(m, result, why.text);
}

static enum err heartbeat_verdict(struct coordinator_call *call) {
    const struct consumer_group_heartbeat_response *r = call->call.response;
    return err_of_wire(r->error_code);
}

static void heartbeat_done(struct coordinator_call *call, enum err result) {
    struct heartbeat_member *m = container_of(call, struct heartbeat_member, call);
    m->is_busy = false;
    const struct consumer_group_heartbeat_response *r = call->call.response;
    if (m->is_leaving || m->has_failed || result == ERR_CANCELLED) {
        client_call_release(&call->call);
        if (m->is_leaving && result != ERR_CANCELLED) tell_left(m);
        return;
    }
    heartbeat_at(m, (uint64_t)m->interval_ms * MS);
    if (result == ERR_NONE) {
        accepted(m, r);
    } else {
        struct slice text = r == NULL ? SLICE_EMPTY : r->error_message;
        refused(m, result, text);
    }
    client_call_release(&call->call);
    if (m->is_urgent && !m->has_failed) heartbeat_at(m, 0);
}

// ---- Heartbeats ----

static void fill_owned(struct heartbeat_member *m) {
    struct consumer_group_heartbeat_request *r = &m->request;
    struct arena *arena = &m->request_arena;
    r->topic_partitions =
        consumer_group_heartbeat_request_topic_partition_new(arena, MAX(m->owned_count, 1));
    r->topic_partitions_count = 0;
    for (int32_t i = 0; i < m->owned_count;) {
        int32_t n = 1;
        while (i + n < m->owned_count &&
               uuid_equal(m->owned[i + n].topic_id, m->owned[i].topic_id)) {
            n++;
        }
        struct consumer_group_heartbeat_request_topic_partition *t =
            &r->topic_partitions[r->topic_partitions_count++];
        t->topic_id = m->owned[i].topic_id;
        t->partitions = arena_zalloc(arena, (size_t)n, sizeof(int32_t));
        t->partitions_count = n;
        for (int32_t p = 0; p < n; p++)
            t->partitions[p] = m->owned[i + p].partition;
        i += n;
    }
}

// Names and expression are both said: an empty one takes back what was said before. Only version 1
// has the expression, so a member that never had one leaves it out.
static void fill_subscription(struct heartbeat_member *m) {
    struct consumer_group_heartbeat_request *r = &m->request;
    const struct slice *topics;
    int32_t count;
    struct slice regex;
    m->options.subscription(m->options.context, &topics, &count, &regex);
    r->subscribed_topic_names =
        arena_zalloc(&m->request_arena, (size_t)MAX(count, 1), sizeof(struct slice));
    r->subscribed_topic_names_count = count;
    for (int32_t i = 0; i < count; i++)
        r->subscribed_topic_names[i] = arena_copy(&m->request_arena, topics[i]);
    r->subscribed_topic_regex = arena_copy(&m->request_arena, regex);
}

static void start_call(struct heartbeat_member *m, uint64_t timeout_ns) {
    m->is_busy = true;
    bool has_regex = !slice_is_null(m->request.subscribed_topic_regex);
    m->call = (struct coordinator_call){
        .call = {.api = API_CONSUMER_GROUP_HEARTBEAT,
                 .version_min = has_regex ? 1 : 0,
                 .version_max = INT16_MAX,
                 .message = &m->request,
                 .deadline_ns = env_now_ns(m->env) + timeout_ns},
        .verdict = heartbeat_verdict,
        .done = heartbeat_done,
    };
    coordinator_call_start(&m->coordinator, &m->call);
}

static void begin_request(struct heartbeat_member *m, int32_t epoch) {
    arena_reset(&m->request_arena);
    codec_init(&consumer_group_heartbeat_request_codec, &m->request);
    m->request.group_id = m->options.group;
    m->request.member_id = slice_cstring(m->id);
    m->request.member_epoch = epoch;
    m->request.instance_id = m->options.instance_id;
}

static void send_heartbeat(struct heartbeat_member *m) {
    begin_request(m, m->epoch);
    bool all = m->says_all || m->epoch == EPOCH_JOIN;
    if (all) {
        m->request.rebalance_timeout_ms = m->options.rebalance_timeout_ms;
        m->request.server_assignor = m->options.server_assignor;
    }
    if (all || m->says_subscription) fill_subscription(m);
    if (all || m->says_owned) fill_owned(m);
    m->says_all = m->says_subscription = m->says_owned = m->is_urgent = false;
    // Tried again with the same words for so long; then everything is said anew.
    start_call(m, 2 * (uint64_t)MAX(m->interval_ms, 1000) * MS);
}

static void fire(struct env_timer *timer) {
    struct heartbeat_member *m = container_of(timer, struct heartbeat_member, timer);
    if (!m->is_busy && !m->is_leaving && !m->has_failed) send_heartbeat(m);
}

void heartbeat_member_resubscribe(struct heartbeat_member *m) {
    m->says_subscription = true;
    heartbeat_now(m);
}

void heartbeat_member_has(struct heartbeat_member *m, const struct id_partition *partitions,
                          int32_t count) {
    m->owned = memory_realloc(m->owned, (size_t)MAX(count, 1), sizeof *m->owned);
    if (count > 0) memcpy(m->owned, partitions, (size_t)count * sizeof *partitions);
    m->owned_count = count;
    m->says_owned = true;
    heartbeat_now(m);
}

// ---- Life ----

void heartbeat_member_leave(struct heartbeat_member *m, void (*done)(void *context),
                            void *context) {
    // A join that was not answered may have been heard.
    bool is_member = (m->epoch > 0 || m->is_busy) && !m->has_failed;
    m->left = done;
    m->left_context = context;
    env_timer_stop(m->env, &m->timer);
    if (m->is_busy) coordinator_call_cancel(&m->call);
    m->is_leaving = true;
    if (!is_member) {
        env_defer(m->env, &m->left_task);
        return;
    }
    bool is_static = !slice_is_null(m->options.instance_id);
    begin_request(m, is_static ? EPOCH_LEAVE_FOR_A_WHILE : EPOCH_LEAVE);
    start_call(m, (uint64_t)LEAVE_MS * MS);
}

enum err heartbeat_member_new(struct client *client, const struct heartbeat_member_options *options,
                              struct heartbeat_member **member, struct message *error) {
    struct heartbeat_member *m = memory_zalloc(1, sizeof *m);
    enum err e = client_new(client_env(client), client_get_options(client), &m->client, error);
    if (e != ERR_NONE) {
        memory_free(m);
        return e;
    }
    m->env = client_env(client);
    m->options = *options;
    m->options.group = arena_copy(&m->arena, options->group);
    m->options.instance_id = arena_copy(&m->arena, options->instance_id);
    m->options.server_assignor = arena_copy(&m->arena, options->server_assignor);
    uuid_format(env_random_uuid(m->env), m->id);
    m->interval_ms = INTERVAL_MS;
    m->says_all = true;
    coordinator_init(&m->coordinator, m->client, m->options.group, COORDINATOR_GROUP);
    env_timer_init(&m->timer, fire);
    env_task_init(&m->left_task, run_left);
    heartbeat_at(m, 0);
    *member = m;
    return ERR_NONE;
}

void heartbeat_member_free(struct heartbeat_member *m) {
    if (m == NULL) return;
    m->is_leaving = true;
    m->left = NULL;
    if (m->is_busy) coordinator_call_cancel(&m->call);
    env_timer_stop(m->env, &m->timer);
    env_defer_cancel(m->env, &m->left_task);
    coordinator_deinit(&m->coordinator);
    client_free(m->client);
    arena_deinit(&m->request_arena);
    arena_deinit(&m->arena);
    memory_free(m->owned);
    memory_free(m);
}

int32_t heartbeat_member_epoch(const struct heartbeat_member *m) {
    return m->epoch > 0 ? m->epoch : -1;
}

struct slice heartbeat_member_id(const struct heartbeat_member *m) {
    return slice_cstring(m->id);
}

struct coordinator *heartbeat_member_coordinator(struct heartbeat_member *m) {
    return &m->coordinator;
}
