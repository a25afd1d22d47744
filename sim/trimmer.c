// An administrator who deletes the oldest records with DeleteRecords, over and over.
#include "base/memory.h"
#include "client/client.h"
#include "sim/clients.h"
#include "wire/codec.h"

#define MS UINT64_C(1000000)

struct trimmer {
    struct env *env;
    struct clients *clients;
    struct client *client;
    struct env_timer timer;
    struct client_call call;
    struct delete_records_request request;
    struct delete_records_request_topic topic;
    struct delete_records_request_partition partition;
};

static void trimmed(struct client_call *call, enum err result) {
    struct trimmer *t = container_of(call, struct trimmer, call);
    const struct delete_records_response *response = call->response;
    if (result == ERR_NONE && response->topics_count == 1 &&
        response->topics[0].partitions_count == 1 &&
        response->topics[0].partitions[0].error_code == 0) {
        ledger_trimmed(t->clients->ledger, t->partition.partition_index, t->partition.offset,
                       response->topics[0].partitions[0].low_watermark);
    }
    client_call_release(call);
    env_timer_start(t->env, &t->timer, env_now_ns(t->env) + env_random(t->env) % (300 * MS));
}

static void trim(struct env_timer *timer) {
    struct trimmer *t = container_of(timer, struct trimmer, timer);
    if (t->clients->is_closing) {
        clients_rest(t->clients);
        return;
    }
    int32_t index = (int32_t)(env_random(t->env) % (uint64_t)t->clients->partition_count);
    int64_t end = ledger_promised_end(t->clients->ledger, index);
    codec_init(&delete_records_request_codec, &t->request);
    codec_init(&delete_records_request_topic_codec, &t->topic);
    codec_init(&delete_records_request_partition_codec, &t->partition);
    t->request.topics = &t->topic;
    t->request.topics_count = 1;
    t->request.timeout_ms = 800;
    t->topic.name = SLICE_LITERAL(CLIENT_TOPIC);
    t->topic.partitions = &t->partition;
    t->topic.partitions_count = 1;
    t->partition.partition_index = index;
    // One record is always left, so that readers have a place to come to.
    t->partition.offset = end < 2 ? 0 : (int64_t)(env_random(t->env) % (uint64_t)(end - 1));
    ledger_trimming(t->clients->ledger, index, t->partition.offset);
    t->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_DELETE_RECORDS,
                                   .version_min = 0,
                                   .version_max = INT16_MAX,
                                   .message = &t->request,
                                   .done = trimmed};
    client_call_start(t->client, &t->call);
}

void trimmer_start(struct env *env, struct clients *clients) {
    struct trimmer *t = memory_zalloc(1, sizeof *t);
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = 800 * MS;
    struct message error;
    t->env = env;
    t->clients = clients;
    clients->busy++;
    env_timer_init(&t->timer, trim);
    if (client_new(env, &options, &t->client, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no client: %s", error.text);
        return;
    }
    env_timer_start(env, &t->timer, env_now_ns(env) + 500 * MS);
}
