// An administrator under whom topics come, grow and go: what group members that subscribe to all of
// them must follow. At the end it tells which partitions are there.
#include <stdio.h>

#include "base/memory.h"
#include "client/client.h"
#include "sim/clients.h"
#include "wire/codec.h"

#define MS UINT64_C(1000000)

enum shift { SHIFT_CREATE, SHIFT_GROW, SHIFT_DELETE, SHIFT_LIST };
enum { TOPICS_MAX = 12, PARTITIONS_FIRST = 2 };

struct shifter {
    struct env *env;
    struct clients *clients;
    struct client *client;
    struct env_timer timer;
    struct client_call call;
    enum shift shift;
    int32_t topic;  // its number
    char name[32];
    struct create_topics_request create;
    struct create_topics_request_topic created;
    struct create_partitions_request grow;
    struct create_partitions_request_topic grown;
    struct delete_topics_request delete;
    struct slice deleted;
    struct metadata_request metadata;
};

static void go_on_in(struct shifter *s, uint64_t ns) {
    env_timer_start(s->env, &s->timer, env_now_ns(s->env) + ns);
}

// ---- Answers ----

static enum err result_of(const struct shifter *s, const void *response) {
    const struct create_topics_response *created = response;
    const struct create_partitions_response *grown = response;
    const struct delete_topics_response *deleted = response;
    switch (s->shift) {
        case SHIFT_CREATE:
            return created->topics_count == 1 ? err_of_wire(created->topics[0].error_code)
                                              : ERR_CORRUPT;
        case SHIFT_GROW:
            return grown->results_count == 1 ? err_of_wire(grown->results[0].error_code)
                                             : ERR_CORRUPT;
        case SHIFT_DELETE:
            return deleted->responses_count == 1 ? err_of_wire(deleted->responses[0].error_code)
                                                 : ERR_CORRUPT;
        case SHIFT_LIST:
            break;
    }
    return ERR_NONE;
}

// What an earlier try did whose answer was lost.
static bool is_done_already(const struct shifter *s, enum err err) {
    return (s->shift == SHIFT_CREATE && err == ERR_TOPIC_ALREADY_EXISTS) ||
           (s->shift == SHIFT_GROW && err == ERR_INVALID_PARTITIONS) ||
           (s->shift == SHIFT_DELETE && err == ERR_UNKNOWN_TOPIC_OR_PARTITION);
}

static void listed(struct shifter *s, const struct metadata_response *response) {
    uint64_t there = 0;
    for (int32_t i = 0; i < response->topics_count; i++) {
        const struct metadata_response_topic *t = &response->topics[i];
        if (t->is_internal) continue;
        for (int32_t k = 0; k < t->partitions_count; k++) {
            int32_t place = place_of(s->clients, t->topic_id, k);
            if (place >= 0) there |= UINT64_C(1) << place;
        }
    }
    s->clients->places_there = there;
    clients_rest(s->clients);
}

static void shifted(struct client_call *call, enum err result) {
    struct shifter *s = container_of(call, struct shifter, call);
    if (result == ERR_NONE) result = result_of(s, call->response);
    if (is_done_already(s, result)) result = ERR_NONE;
    if (result == ERR_NONE && s->shift == SHIFT_LIST) listed(s, call->response);
    client_call_release(call);
    if (result != ERR_NONE) {
        go_on_in(s, 50 * MS);
        return;
    }
    if (s->shift == SHIFT_CREATE) s->clients->shifting_topic = s->topic;
    if (s->shift == SHIFT_LIST) return;
    if (s->shift == SHIFT_DELETE) s->topic++;
    s->shift = (enum shift)((s->shift + 1) % SHIFT_LIST);
    go_on_in(s, env_random(s->env) % (500 * MS));
}

// ---- Requests ----

static void ask(struct shifter *s, enum api_key api, void *message, int16_t version_min,
                int16_t version_max) {
    s->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = api,
                                   .version_min = version_min,
                                   .version_max = version_max,
                                   .message = message,
                                   .done = shifted};
    client_call_start(s->client, &s->call);
}

static void create(struct shifter *s) {
    codec_init(&create_topics_request_codec, &s->create);
    codec_init(&create_topics_request_topic_codec, &s->created);
    s->create.topics = &s->created;
    s->create.topics_count = 1;
    s->create.timeout_ms = 3000;
    s->created.name = slice_cstring(s->name);
    s->created.num_partitions = PARTITIONS_FIRST;
    s->created.replication_factor = 1;
    ask(s, API_CREATE_TOPICS, &s->create, 2, INT16_MAX);
}

static void grow(struct shifter *s) {
    codec_init(&create_partitions_request_codec, &s->grow);
    codec_init(&create_partitions_request_topic_codec, &s->grown);
    s->grow.topics = &s->grown;
    s->grow.topics_count = 1;
    s->grow.timeout_ms = 3000;
    s->grown.name = slice_cstring(s->name);
    s->grown.count = PLACES_PER_TOPIC;
    s->grown.assignments_count = -1;
    ask(s, API_CREATE_PARTITIONS, &s->grow, 0, INT16_MAX);
}

static void delete (struct shifter *s) {
    codec_init(&delete_topics_request_codec, &s->delete);
    s->deleted = slice_cstring(s->name);
    s->delete.topic_names = &s->deleted;
    s->delete.topic_names_count = 1;
    s->delete.timeout_ms = 3000;
    ask(s, API_DELETE_TOPICS, &s->delete, 1, 5);
}

static void list(struct shifter *s) {
    codec_init(&metadata_request_codec, &s->metadata);
    s->metadata.topics_count = -1;
    ask(s, API_METADATA, &s->metadata, 10, INT16_MAX);
}

static void go_on(struct env_timer *timer) {
    struct shifter *s = container_of(timer, struct shifter, timer);
    bool is_over = s->clients->is_closing || s->topic == TOPICS_MAX;
    if (is_over && s->clients->is_closing) s->shift = SHIFT_LIST;
    if (is_over && !s->clients->is_closing) {
        go_on_in(s, 100 * MS);
        return;
    }
    snprintf(s->name, sizeof s->name, SHIFTING_TOPIC, s->topic);
    switch (s->shift) {
        case SHIFT_CREATE:
            create(s);
            break;
        case SHIFT_GROW:
            grow(s);
            break;
        case SHIFT_DELETE:
            delete (s);
            break;
        case SHIFT_LIST:
            list(s);
            break;
    }
}

void shifter_start(struct env *env, struct clients *clients) {
    struct shifter *s = memory_zalloc(1, sizeof *s);
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = 800 * MS;
    struct message error;
    s->env = env;
    s->clients = clients;
    clients->busy++;
    env_timer_init(&s->timer, go_on);
    if (client_new(env, &options, &s->client, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no client: %s", error.text);
        return;
    }
    go_on_in(s, env_random(env) % (500 * MS));
}
