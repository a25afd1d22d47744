// Clients that create topics, to see that the metadata log keeps what it acknowledged.
#include <stdio.h>

#include "base/memory.h"
#include "client/client.h"
#include "sim/clients.h"
#include "wire/codec.h"

#define MS UINT64_C(1000000)

struct admin {
    struct env *env;
    struct clients *clients;
    struct client *client;
    struct env_timer timer;
    struct client_call call;
    struct create_topics_request request;
    struct create_topics_request_topic topic;
    struct metadata_request metadata;
    struct arena arena;
    char name[32];
    bool is_extra;  // one of many; else the topic of the records
};

static struct admin *admin_new(struct env *env, struct clients *clients,
                               void (*go_on)(struct env_timer *timer)) {
    struct admin *a = memory_zalloc(1, sizeof *a);
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = 800 * MS;
    struct message error;
    a->env = env;
    a->clients = clients;
    arena_init(&a->arena);
    env_timer_init(&a->timer, go_on);
    if (client_new(env, &options, &a->client, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no client: %s", error.text);
        return a;
    }
    env_timer_start(env, &a->timer, env_now_ns(env));
    return a;
}

static void go_on_in(struct admin *a, uint64_t ns) {
    env_timer_start(a->env, &a->timer, env_now_ns(a->env) + ns);
}

// ---- Creating ----

static void created(struct client_call *call, enum err result) {
    struct admin *a = container_of(call, struct admin, call);
    if (result == ERR_NONE) {
        const struct create_topics_response *response = call->response;
        result =
            response->topics_count == 1 ? err_of_wire(response->topics[0].error_code) : ERR_CORRUPT;
    }
    client_call_release(call);
    // Exists already: an earlier try arrived, its answer did not.
    bool there = result == ERR_NONE || result == ERR_TOPIC_ALREADY_EXISTS;
    if (there && !a->is_extra) {
        a->clients->topic_exists = true;
        return;
    }
    if (result == ERR_NONE) a->clients->topics_created++;
    if (result == ERR_TOPIC_ALREADY_EXISTS) a->clients->topics_created++;
    go_on_in(a, there ? env_random(a->env) % (300 * MS) : 100 * MS);
}

static void create(struct admin *a, int32_t partitions) {
    codec_init(&create_topics_request_codec, &a->request);
    codec_init(&create_topics_request_topic_codec, &a->topic);
    a->request.topics = &a->topic;
    a->request.topics_count = 1;
    a->request.timeout_ms = 3000;
    a->topic.name = slice_cstring(a->name);
    a->topic.num_partitions = partitions;
    a->topic.replication_factor = 1;
    a->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_CREATE_TOPICS,
                                   .version_min = 2,
                                   .version_max = INT16_MAX,
                                   .message = &a->request,
                                   .done = created};
    client_call_start(a->client, &a->call);
}

static void create_records_topic(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    snprintf(a->name, sizeof a->name, "%s", CLIENT_TOPIC);
    create(a, a->clients->partition_count);
}

void topic_create_start(struct env *env, struct clients *clients) {
    admin_new(env, clients, create_records_topic);
}

static void create_extra_topic(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    if (a->clients->is_closing) {
        clients_rest(a->clients);
        return;
    }
    snprintf(a->name, sizeof a->name, "extra-%d", a->clients->topics_created);
    create(a, 1);
}

void admin_start(struct env *env, struct clients *clients) {
    clients->busy++;
    admin_new(env, clients, create_extra_topic)->is_extra = true;
}

// ---- Checking ----

static void listed(struct client_call *call, enum err result) {
    struct admin *a = container_of(call, struct admin, call);
    const struct metadata_response *response = call->response;
    int32_t there = 0;
    for (int32_t i = 0; result == ERR_NONE && i < response->topics_count; i++) {
        if (slice_starts_with(response->topics[i].name, SLICE_LITERAL("extra-"))) there++;
    }
    client_call_release(call);
    if (result != ERR_NONE) {
        go_on_in(a, 100 * MS);
        return;
    }
    if (there < a->clients->topics_created) {
        ledger_violate(a->clients->ledger, "%d topics were created, %d are there",
                       a->clients->topics_created, there);
    }
    a->clients->last_read_done = true;
}

static void list_topics(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    codec_init(&metadata_request_codec, &a->metadata);
    a->metadata.topics_count = -1;
    a->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_METADATA,
                                   .version_min = 4,
                                   .version_max = INT16_MAX,
                                   .message = &a->metadata,
                                   .done = listed};
    client_call_start(a->client, &a->call);
}

void last_topics_start(struct env *env, struct clients *clients) {
    admin_new(env, clients, list_topics);
}
