#include "cli/session.h"

#include "wire/codec.h"

static int open_session(struct session *s, struct cli *cli, bool creates_topics) {
    *s = (struct session){.cli = cli, .env = cli_env(cli)};
    struct client_options options = client_options_default();
    const char *controllers = cli_value(cli, "--bootstrap-controller");
    if (controllers != NULL && cli_value(cli, "--bootstrap-server") != NULL) {
        return cli_usage(cli, "give --bootstrap-server or --bootstrap-controller, not both");
    }
    options.to_controllers = controllers != NULL;
    options.bootstrap =
        controllers != NULL ? slice_cstring(controllers) : cli_bootstrap_server(cli);
    options.client_id = SLICE_LITERAL("taccola-cli");
    options.allow_topic_creation = creates_topics;
    options.call_timeout_ns = (uint64_t)cli_integer(cli, "--timeout", 30) * 1000000000U;
    struct message error;
    message_init(&error);
    if (client_new(s->env, &options, &s->client, &error) != ERR_NONE) {
        return cli_usage(cli, "%s", error.text);
    }
    return 0;
}

int session_open(struct session *s, struct cli *cli) {
    return open_session(s, cli, false);
}

int session_open_creating(struct session *s, struct cli *cli) {
    return open_session(s, cli, true);
}

void session_close(struct session *s) {
    client_free(s->client);
    s->client = NULL;
}

void session_pass(struct session *s, uint64_t wait_ms) {
    if (!cli_pass(s->cli, wait_ms * 1000000U)) s->interrupted = true;
}

struct outcome {
    bool over;
    enum err result;
};

static void call_over(struct client_call *call, enum err result) {
    struct outcome *outcome = call->context;
    *outcome = (struct outcome){true, result};
}

enum err session_call(struct session *s, struct client_call *call) {
    struct outcome outcome = {false, ERR_NONE};
    call->context = &outcome;
    call->done = call_over;
    if (call->version_max == 0) call->version_max = INT16_MAX;
    client_call_start(s->client, call);
    while (!outcome.over && !s->interrupted)
        session_pass(s, 100);
    if (!outcome.over) client_call_cancel(call);
    return outcome.result;
}

int session_failed(const struct session *s, const struct client_call *call, enum err err) {
    const char *text = call->error.text[0] != '\0' ? call->error.text : err_text(err);
    return cli_fail(s->cli, "%s", text);
}

// Runs the loop until the topic has an answer that lasts, or the time is over.
static enum err wait_topic(struct session *s, struct client_topic *t, int32_t partition) {
    uint64_t deadline =
        env_now_ns(s->env) + (uint64_t)cli_integer(s->cli, "--timeout", 30) * 1000000000U;
    while (!s->interrupted) {
        bool leads = partition < 0 ||
                     (partition < t->partition_count && t->partitions[partition].leader >= 0);
        if (t->known && t->error == ERR_NONE && leads) return ERR_NONE;
        if (t->known && t->error == ERR_UNKNOWN_TOPIC_OR_PARTITION) return t->error;
        if (t->known && t->error != ERR_NONE && !err_retriable(t->error)) return t->error;
        if (t->known && t->error == ERR_NONE && partition >= t->partition_count) {
            return ERR_UNKNOWN_TOPIC_OR_PARTITION;
        }
        if (env_now_ns(s->env) >= deadline)
            return t->known ? ERR_LEADER_NOT_AVAILABLE : ERR_TIMEOUT;
        if (t->known) client_refresh(s->client);
        session_pass(s, 100);
    }
    return ERR_CANCELLED;
}

enum err session_topic(struct session *s, struct slice name, struct client_topic **topic) {
    struct client_topic *t = client_topic_want(s->client, name);
    enum err err = wait_topic(s, t, -1);
    if (err == ERR_NONE) *topic = t;
    return err;
}

enum err session_leader(struct session *s, struct slice topic, int32_t partition, int32_t *leader) {
    struct client_topic *t = client_topic_want(s->client, topic);
    enum err err = wait_topic(s, t, partition);
    if (err == ERR_NONE) *leader = t->partitions[partition].leader;
    return err;
}

enum err session_offset(struct session *s, struct slice topic, int32_t partition, int64_t timestamp,
                        int64_t *offset) {
    int32_t leader;
    enum err err = session_leader(s, topic, partition, &leader);
    if (err != ERR_NONE) return err;
    struct list_offsets_request request;
    struct list_offsets_request_topic t;
    struct list_offsets_request_partition p;
    codec_init(&list_offsets_request_codec, &request);
    codec_init(&list_offsets_request_topic_codec, &t);
    codec_init(&list_offsets_request_partition_codec, &p);
    request.replica_id = -1;
    request.topics = &t;
    request.topics_count = 1;
    t.name = topic;
    t.partitions = &p;
    t.partitions_count = 1;
    p.partition_index = partition;
    p.timestamp = timestamp;
    struct client_call call = {.target = CLIENT_NODE,
                               .node = leader,
                               .api = API_LIST_OFFSETS,
                               .version_min = 1,
                               .message = &request};
    err = session_call(s, &call);
    if (err == ERR_NONE) {
        const struct list_offsets_response *answer = call.response;
        err = ERR_CORRUPT;
        if (answer->topics_count == 1 && answer->topics[0].partitions_count == 1) {
            err = err_of_wire(answer->topics[0].partitions[0].error_code);
            if (err == ERR_NONE) *offset = answer->topics[0].partitions[0].offset;
        }
    }
    client_call_release(&call);
    return err;
}
