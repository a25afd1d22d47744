// Nodes and metadata. The client first knows its bootstrap addresses only; the first Metadata
// answer names the nodes. Metadata is asked for again when it is old, when a topic is wanted that
// is not there yet, and when somebody met an error that says so (client_refresh).
#include "client/client.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"
#include "client/client_private.h"
#include "wire/codec.h"

struct client_options client_options_default(void) {
    return (struct client_options){.client_id = SLICE_LITERAL("taccola"),
                                   .request_timeout_ns = 30000000000U,
                                   .call_timeout_ns = 60000000000U,
                                   .retry_backoff_ns = 100000000U,
                                   .retry_backoff_max_ns = 1000000000U,
                                   .metadata_max_age_ns = 300000000000U};
}

// ---- Nodes ----

static struct client_node *node_new(struct client *c, int32_t id, struct slice host,
                                    uint16_t port) {
    struct client_node *n = memory_zalloc(1, sizeof *n);
    n->id = id;
    snprintf(n->host, sizeof n->host, "%.*s", SLICE_PRINT(host));
    n->port = port;
    struct peer_options options = peer_options_default();
    options.host = slice_cstring(n->host);
    options.port = port;
    options.client_id = c->options.client_id;
    n->peer = peer_new(c->env, &options);
    return n;
}

static void node_free(struct client_node *n) {
    list_remove(&n->link);
    peer_free(n->peer);
    memory_free(n);
}

static struct client_node *node_by_id(struct client *c, int32_t id) {
    list_for_each(link, &c->nodes) {
        struct client_node *n = container_of(link, struct client_node, link);
        if (n->id == id && n->listed) return n;
    }
    return NULL;
}

struct peer *client_peer(struct client *c, int32_t node) {
    struct client_node *n = node_by_id(c, node);
    return n == NULL ? NULL : n->peer;
}

// The listed node with the fewest requests under way that is not failing; while none is known, the
// bootstrap addresses in turn.
static struct peer *any_peer(struct client *c) {
    struct client_node *best = NULL;
    list_for_each(link, &c->nodes) {
        struct client_node *n = container_of(link, struct client_node, link);
        if (!n->listed || peer_error(n->peer)[0] != '\0') continue;
        if (best == NULL || peer_request_count(n->peer) < peer_request_count(best->peer)) best = n;
    }
    if (best != NULL) return best->peer;
    struct list *next = c->bootstrap_next->link.next;
    if (next == &c->bootstrap) next = next->next;
    struct peer *peer = c->bootstrap_next->peer;
    c->bootstrap_next = container_of(next, struct client_node, link);
    return peer;
}

struct peer *client_choose_peer(struct client *c, const struct client_call *call) {
    if (call->target == CLIENT_NODE && !c->options.to_controllers)
        return client_peer(c, call->node);
    return any_peer(c);
}

// "host:port", "[v6]:port"
static enum err parse_address(struct slice text, struct slice *host, uint16_t *port,
                              struct message *error) {
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    int64_t number;
    if (colon < 2 || !slice_parse_int64(slice_sub(text, colon, text.size - colon), &number) ||
        number < 1 || number > UINT16_MAX) {
        message_set(error, "Invalid address \"%.*s\": write host:port, for example localhost:9092",
                    SLICE_PRINT(text));
        return ERR_INVALID;
    }
    *host = slice_sub(text, 0, colon - 1);
    if (host->size > 2 && host->data[0] == '[' && host->data[host->size - 1] == ']') {
        *host = slice_sub(*host, 1, host->size - 2);
    }
    *port = (uint16_t)number;
    return ERR_NONE;
}

static enum err add_bootstrap(struct client *c, struct slice list, struct message *error) {
    while (list.size > 0) {
        struct slice one = list, rest = SLICE_EMPTY, host;
        slice_split(list, ',', &one, &rest);
        list = rest;
        one = slice_trim(one);
        if (one.size == 0) continue;
        uint16_t port;
        enum err err = parse_address(one, &host, &port, error);
        if (err != ERR_NONE) return err;
        list_append(&c->bootstrap, &node_new(c, -1, host, port)->link);
    }
    if (list_is_empty(&c->bootstrap)) {
        message_set(error, "No bootstrap server given: write --bootstrap-server host:port");
        return ERR_INVALID;
    }
    c->bootstrap_next = container_of(c->bootstrap.next, struct client_node, link);
    return ERR_NONE;
}

// ---- Metadata ----

static void notify(struct env_task *task) {
    struct client *c = container_of(task, struct client, notify);
    list_for_each_safe(link, &c->listeners) {
        struct client_listener *l = container_of(link, struct client_listener, link);
        l->changed(l);
    }
}

// Not at once: the metadata that does not list a node may have come from it, and its connection is
// the one that is being read.
static void sweep_nodes(struct env_task *task) {
    struct client *c = container_of(task, struct client, sweep);
    list_for_each_safe(link, &c->nodes) {
        struct client_node *n = container_of(link, struct client_node, link);
        if (!n->listed && peer_request_count(n->peer) == 0) node_free(n);
    }
}

static void take_nodes(struct client *c, const struct metadata_response *m) {
    list_for_each(link, &c->nodes) container_of(link, struct client_node, link)->listed = false;
    for (int32_t i = 0; i < m->brokers_count; i++) {
        const struct metadata_response_broker *b = &m->brokers[i];
        if (b->port < 1 || b->port > UINT16_MAX || b->host.size == 0) continue;
        struct client_node *found = NULL;
        list_for_each(link, &c->nodes) {
            struct client_node *n = container_of(link, struct client_node, link);
            bool same = n->id == b->node_id && n->port == b->port &&
                        slice_equal(slice_cstring(n->host), b->host);
            if (same) found = n;
        }
        if (found == NULL) {
            found = node_new(c, b->node_id, b->host, (uint16_t)b->port);
            list_append(&c->nodes, &found->link);
        }
        found->listed = true;
    }
    env_defer(c->env, &c->sweep);
}

static void take_topic(struct client_topic *t, const struct metadata_response_topic *m) {
    t->known = true;
    t->error = err_of_wire(m->error_code);
    if (t->error != ERR_NONE) return;
    bool recreated = !uuid_equal(t->id, m->topic_id);
    t->id = m->topic_id;
    int32_t count = 0;
    for (int32_t i = 0; i < m->partitions_count; i++) {
        if (m->partitions[i].partition_index < m->partitions_count) {
            count = MAX(count, m->partitions[i].partition_index + 1);
        }
    }
    if (recreated || count != t->partition_count) {
        struct client_partition *old = t->partitions;
        t->partitions = memory_zalloc((size_t)MAX(count, 0), sizeof *t->partitions);
        for (int32_t i = 0; i < count; i++) {
            bool keep = !recreated && i < t->partition_count;
            t->partitions[i] = keep ? old[i] : (struct client_partition){-1, -1};
        }
        memory_free(old);
        t->partition_count = count;
    }
    for (int32_t i = 0; i < m->partitions_count; i++) {
        const struct metadata_response_partition *p = &m->partitions[i];
        if (p->partition_index < 0 || p->partition_index >= count) continue;
        struct client_partition *mine = &t->partitions[p->partition_index];
        // Old news from a node that lags (KIP-320).
        if (p->leader_epoch >= 0 && p->leader_epoch < mine->leader_epoch) continue;
        *mine = (struct client_partition){p->leader_id, p->leader_epoch};
    }
}

static void schedule_refresh(struct client *c, uint64_t at) {
    if (c->options.to_controllers || c->metadata.state != CALL_IDLE) return;
    if (env_timer_is_running(&c->refresh) && c->refresh.node.key <= at) return;
    env_timer_start(c->env, &c->refresh, at);
}

static void refreshed(struct client_call *call, enum err result) {
    struct client *c = container_of(call, struct client, metadata);
    c->refreshed_ns = env_now_ns(c->env);
    if (result == ERR_CANCELLED) {
        client_call_release(call);
        return;
    }
    bool again = result != ERR_NONE || c->refresh_wanted;
    if (result == ERR_NONE) {
        const struct metadata_response *m = call->response;
        take_nodes(c, m);
        for (int32_t i = 0; i < m->topics_count; i++) {
            struct map_node *n = map_get(&c->topics, m->topics[i].name);
            if (n == NULL) continue;
            struct client_topic *t = container_of(n, struct client_topic, by_name);
            take_topic(t, &m->topics[i]);
            again |= t->error != ERR_NONE && err_retriable(t->error);
        }
        env_defer(c->env, &c->notify);
    }
    client_call_release(call);
    c->refresh_wanted = false;
    schedule_refresh(c, c->refreshed_ns +
                            (again ? c->options.retry_backoff_ns : c->options.metadata_max_age_ns));
}

// Before v10 topics have names only; the names are set at every version, ids are not needed to ask.
static void refresh_now(struct env_timer *timer) {
    struct client *c = container_of(timer, struct client, refresh);
    if (c->metadata.state != CALL_IDLE) return;
    c->refresh_wanted = false;
    arena_reset(&c->metadata_arena);
    struct metadata_request *request = &c->metadata_request;
    codec_init(&metadata_request_codec, request);
    request->topics_count = (int32_t)c->topics.count;
    request->topics = metadata_request_topic_new(&c->metadata_arena, request->topics_count);
    request->allow_auto_topic_creation = c->options.allow_topic_creation;
    int32_t i = 0;
    map_for_each(n, &c->topics) {
        // A copy: the topic may be released while the call is tried again.
        request->topics[i++].name =
            arena_copy(&c->metadata_arena, container_of(n, struct client_topic, by_name)->name);
    }
    c->metadata = (struct client_call){.target = CLIENT_ANY,
                                       .api = API_METADATA,
                                       .version_min = 4,
                                       .version_max = INT16_MAX,
                                       .message = request,
                                       .done = refreshed};
    client_call_start(c, &c->metadata);
}

void client_refresh(struct client *c) {
    c->refresh_wanted = true;
    uint64_t now = env_now_ns(c->env);
    uint64_t at =
        c->refreshed_ns == 0 ? now : MAX(now, c->refreshed_ns + c->options.retry_backoff_ns);
    schedule_refresh(c, at);
}

void client_listen(struct client *c, struct client_listener *l) {
    list_append(&c->listeners, &l->link);
}
void client_unlisten(struct client *c, struct client_listener *l) {
    (void)c;
    list_remove(&l->link);
}

struct client_topic *client_topic_want(struct client *c, struct slice name) {
    struct map_node *n = map_get(&c->topics, name);
    if (n != NULL) {
        struct client_topic *t = container_of(n, struct client_topic, by_name);
        t->references++;
        return t;
    }
    struct client_topic *t = memory_zalloc(1, sizeof *t + name.size);
    uint8_t *copy = memcpy(t + 1, name.data, name.size);
    t->name = slice_of(copy, name.size);
    t->references = 1;
    map_put(&c->topics, &t->by_name, t->name);
    c->refresh_wanted = true;
    schedule_refresh(c, env_now_ns(c->env));
    return t;
}

static void topic_free(struct client *c, struct client_topic *t) {
    map_remove(&c->topics, &t->by_name);
    memory_free(t->partitions);
    memory_free(t);
}

void client_topic_release(struct client *c, struct client_topic *t) {
    if (--t->references == 0) topic_free(c, t);
}

void client_leader_hint(struct client *c, struct client_topic *t, int32_t partition, int32_t leader,
                        int32_t leader_epoch) {
    if (partition < 0 || partition >= t->partition_count || node_by_id(c, leader) == NULL) return;
    struct client_partition *mine = &t->partitions[partition];
    if (leader_epoch > mine->leader_epoch) *mine = (struct client_partition){leader, leader_epoch};
}

// ---- Life ----

static char *copy_text(struct slice s) {
    char *text = memory_zalloc(s.size + 1, 1);
    if (s.size > 0) memcpy(text, s.data, s.size);
    return text;
}

enum err client_new(struct env *env, const struct client_options *options, struct client **client,
                    struct message *error) {
    struct client *c = memory_zalloc(1, sizeof *c);
    c->env = env;
    c->options = *options;
    c->bootstrap_text = copy_text(options->bootstrap);
    c->client_id_text = copy_text(options->client_id);
    c->options.bootstrap = slice_cstring(c->bootstrap_text);
    c->options.client_id = slice_cstring(c->client_id_text);
    list_init(&c->bootstrap);
    list_init(&c->nodes);
    env_task_init(&c->sweep, sweep_nodes);
    list_init(&c->calls);
    list_init(&c->listeners);
    map_init(&c->topics, env_random(env));
    env_task_init(&c->notify, notify);
    env_timer_init(&c->refresh, refresh_now);
    arena_init(&c->metadata_arena);
    message_init(&c->error);
    enum err err = add_bootstrap(c, c->options.bootstrap, error);
    if (err != ERR_NONE) {
        client_free(c);
        return err;
    }
    *client = c;
    return ERR_NONE;
}

void client_free(struct client *c) {
    if (c == NULL) return;
    client_call_cancel(&c->metadata);
    while (!list_is_empty(&c->calls)) {
        client_call_cancel(container_of(c->calls.next, struct client_call, link));
    }
    while (!list_is_empty(&c->nodes)) {
        node_free(container_of(c->nodes.next, struct client_node, link));
    }
    while (!list_is_empty(&c->bootstrap)) {
        node_free(container_of(c->bootstrap.next, struct client_node, link));
    }
    map_for_each(n, &c->topics) topic_free(c, container_of(n, struct client_topic, by_name));
    map_deinit(&c->topics);
    env_timer_stop(c->env, &c->refresh);
    env_defer_cancel(c->env, &c->notify);
    env_defer_cancel(c->env, &c->sweep);
    arena_deinit(&c->metadata_arena);
    memory_free(c->bootstrap_text);
    memory_free(c->client_id_text);
    memory_free(c);
}

struct env *client_env(struct client *c) {
    return c->env;
}
const char *client_error(const struct client *c) {
    return c->error.text;
}
const struct client_options *client_get_options(const struct client *c) {
    return &c->options;
}
