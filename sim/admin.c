// Clients that create topics and change a configuration, to see that the metadata log keeps what it
// acknowledged.
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
    struct create_topics_request_config retention;
    struct metadata_request metadata;
    struct incremental_alter_configs_request alter;
    struct incremental_alter_configs_request_resource altered;
    struct incremental_alter_configs_request_config config;
    struct describe_configs_request describe;
    struct describe_configs_request_resource described;
    struct slice key;
    struct arena arena;
    char name[32];
    char value[24];
    uint32_t keeps_for_ms;  // retention of the topic that is made; 0: for ever
    bool is_extra;          // one of many; else the topic of the records
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
    if (result == ERR_NONE && !a->is_extra && a->clients->place_topic_count == 0) {
        // The first topic, before all faults.
        const struct create_topics_response *response = call->response;
        place_of(a->clients, response->topics[0].topic_id, 0);
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
    if (a->keeps_for_ms != 0) {
        snprintf(a->value, sizeof a->value, "%u", (unsigned)a->keeps_for_ms);
        a->topic.configs = &a->retention;
        a->topic.configs_count = 1;
        a->retention.name = SLICE_LITERAL("retention.ms");
        a->retention.value = slice_cstring(a->value);
    }
    a->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_CREATE_TOPICS,
                                   .version_min = 7,
                                   .version_max = INT16_MAX,
                                   .message = &a->request,
                                   .done = created};
    client_call_start(a->client, &a->call);
}

static void create_records_topic(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    snprintf(a->name, sizeof a->name, "%s", CLIENT_TOPIC);
    a->keeps_for_ms = a->clients->retention_ms;
    create(a, a->clients->partition_count);
}

void topic_create_start(struct env *env, struct clients *clients) {
    admin_new(env, clients, create_records_topic);
}

static void create_copies_topic(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    snprintf(a->name, sizeof a->name, "%s", COPY_TOPIC);
    create(a, a->clients->partition_count);
}

void copy_topic_create_start(struct env *env, struct clients *clients) {
    admin_new(env, clients, create_copies_topic);
}

// A setting whose value counts up: what was acknowledged last must be there at the end.
#define COUNTING_CONFIG SLICE_LITERAL("file.delete.delay.ms")
enum { RESOURCE_TOPIC = 2, COUNTING_BASE = 60000 };

static void altered(struct client_call *call, enum err result) {
    struct admin *a = container_of(call, struct admin, call);
    if (result == ERR_NONE) {
        const struct incremental_alter_configs_response *response = call->response;
        result = response->responses_count == 1 ? err_of_wire(response->responses[0].error_code)
                                                : ERR_CORRUPT;
    }
    client_call_release(call);
    if (result == ERR_NONE) a->clients->configs_altered++;
    go_on_in(a, result == ERR_NONE ? env_random(a->env) % (100 * MS) : 100 * MS);
}

static void alter(struct admin *a) {
    codec_init(&incremental_alter_configs_request_codec, &a->alter);
    codec_init(&incremental_alter_configs_request_resource_codec, &a->altered);
    codec_init(&incremental_alter_configs_request_config_codec, &a->config);
    snprintf(a->value, sizeof a->value, "%d", COUNTING_BASE + a->clients->configs_altered + 1);
    a->alter.resources = &a->altered;
    a->alter.resources_count = 1;
    a->altered.resource_type = RESOURCE_TOPIC;
    a->altered.resource_name = SLICE_LITERAL(CLIENT_TOPIC);
    a->altered.configs = &a->config;
    a->altered.configs_count = 1;
    a->config.name = COUNTING_CONFIG;
    a->config.value = slice_cstring(a->value);
    a->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_INCREMENTAL_ALTER_CONFIGS,
                                   .version_min = 0,
                                   .version_max = INT16_MAX,
                                   .message = &a->alter,
                                   .done = altered};
    client_call_start(a->client, &a->call);
}

static void change_something(struct env_timer *timer) {
    struct admin *a = container_of(timer, struct admin, timer);
    if (a->clients->is_closing) {
        clients_rest(a->clients);
        return;
    }
    if (env_random(a->env) % 4 != 0) {
        alter(a);
        return;
    }
    snprintf(a->name, sizeof a->name, "extra-%d", a->clients->topics_created);
    create(a, 1);
}

void admin_start(struct env *env, struct clients *clients) {
    clients->busy++;
    admin_new(env, clients, change_something)->is_extra = true;
}

// ---- Checking ----

static void described(struct client_call *call, enum err result) {
    struct admin *a = container_of(call, struct admin, call);
    const struct describe_configs_response *response = call->response;
    int64_t value = -1;
    if (result == ERR_NONE && response->results_count == 1 &&
        response->results[0].configs_count == 1) {
        if (!slice_parse_int64(response->results[0].configs[0].value, &value)) value = -1;
    }
    client_call_release(call);
    if (value < 0) {
        go_on_in(a, 100 * MS);
        return;
    }
    if (value < COUNTING_BASE + a->clients->configs_altered) {
        ledger_violate(a->clients->ledger, "a configuration was altered %d times, %d are there",
                       a->clients->configs_altered, (int)(value - COUNTING_BASE));
    }
    a->clients->last_read_done = true;
}

static void describe(struct admin *a) {
    codec_init(&describe_configs_request_codec, &a->describe);
    codec_init(&describe_configs_request_resource_codec, &a->described);
    a->key = COUNTING_CONFIG;
    a->describe.resources = &a->described;
    a->describe.resources_count = 1;
    a->described.resource_type = RESOURCE_TOPIC;
    a->described.resource_name = SLICE_LITERAL(CLIENT_TOPIC);
    a->described.configuration_keys = &a->key;
    a->described.configuration_keys_count = 1;
    a->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_DESCRIBE_CONFIGS,
                                   .version_min = 1,
                                   .version_max = INT16_MAX,
                                   .message = &a->describe,
                                   .done = described};
    client_call_start(a->client, &a->call);
}

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
    describe(a);
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
