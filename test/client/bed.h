// What the tests of the client library share: a real broker and a client in the simulated world.
// Whatever touches the client runs as its node (bed_as).
#pragma once

#include "test/test.h"

#include "base/memory.h"
#include "client/group_consumer.h"
#include "client/group_member.h"
#include "client/producer.h"
#include "sim/cluster.h"

#define MS        UINT64_C(1000000)
#define BED_LIMIT (120 * 1000 * MS)

struct bed {
    struct sim *sim;
    struct ledger *ledger;
    struct cluster cluster;
    struct sim_node *node;
    struct env *env;
    struct client *client;
    struct producer *producer;
    // Scratch of the steps.
    bool flag;
    const char *topic;
    int32_t partition, count, from;
    struct client_call call;
    struct create_topics_request create;
    struct arena arena;
    enum err result;
    int32_t sent;
    int64_t step_ms;  // between timestamps
};

struct bed_record {
    struct producer_record record;
    struct bed *bed;
    char value[32];
};

static inline void bed_as(struct bed *bed, void (*run)(void *context), void *context) {
    sim_node_call(bed->node, run, context);
}

// Until `holds` or, with a failure, too much simulated time has passed.
static inline void bed_until(struct bed *bed, bool (*holds)(void *context), void *context,
                             const char *what) {
    uint64_t end = sim_now_ns(bed->sim) + BED_LIMIT;
    while (!holds(context)) {
        if (sim_now_ns(bed->sim) > end || !sim_step(bed->sim)) {
            sim_print_log(bed->sim, stderr);
            fail_msg("it does not come: %s", what);
        }
    }
}

static inline bool bed_flag(void *context) {
    return ((struct bed *)context)->flag;
}

static inline void bed_begin(void *context) {
    struct bed *bed = context;
    struct client_options o = client_options_default();
    o.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    o.metadata_max_age_ns = 2000 * MS;
    struct message error;
    bed->env = sim_node_env(bed->node, 0);
    assert_int_equal(client_new(bed->env, &o, &bed->client, &error), ERR_NONE);
    struct producer_options p = producer_options_default();
    p.compression = COMPRESSION_LZ4;
    assert_int_equal(producer_new(bed->client, &p, &bed->producer, &error), ERR_NONE);
}

static inline void bed_init(struct bed *bed) {
    struct sim_options options = {.seed = 7, .log_level = LOG_INFO};
    *bed = (struct bed){.sim = sim_new(&options), .ledger = ledger_new(1, true), .step_ms = 1000};
    cluster_init(&bed->cluster, bed->sim, bed->ledger, 1, false);
    struct sim_node_options node = {.name = "client"};
    bed->node = sim_node_add(bed->sim, &node);
    cluster_format(&bed->cluster);
    assert_true(sim_run(bed->sim, BED_LIMIT, &bed->cluster.is_serving));
    bed_as(bed, bed_begin, bed);
}

// Also closes the client, so that what is not freed shows with the sanitizers.
static inline void bed_end_client(void *context) {
    struct bed *bed = context;
    producer_free(bed->producer);
    client_free(bed->client);
    arena_deinit(&bed->arena);
}

static inline void bed_deinit(struct bed *bed) {
    bed_as(bed, bed_end_client, bed);
    sim_free(bed->sim);
    ledger_free(bed->ledger);
}

// ---- Topics ----

static inline void bed_created(struct client_call *call, enum err result) {
    struct bed *bed = container_of(call, struct bed, call);
    const struct create_topics_response *m = call->response;
    assert_int_equal(result, ERR_NONE);
    assert_int_equal(m->topics[0].error_code, 0);
    client_call_release(call);
    bed->flag = true;
}

static inline void bed_create(void *context) {
    struct bed *bed = context;
    struct create_topics_request *m = &bed->create;
    arena_reset(&bed->arena);
    codec_init(&create_topics_request_codec, m);
    m->topics_count = 1;
    m->topics = create_topics_request_topic_new(&bed->arena, 1);
    m->topics[0].name = slice_cstring(bed->topic);
    m->topics[0].num_partitions = bed->count;
    m->topics[0].replication_factor = 1;
    // Timestamps begin with 1970: without this the records are old when they come.
    m->topics[0].configs = create_topics_request_config_new(&bed->arena, 1);
    m->topics[0].configs_count = 1;
    m->topics[0].configs[0].name = SLICE_LITERAL("retention.ms");
    m->topics[0].configs[0].value = SLICE_LITERAL("-1");
    bed->call = (struct client_call){.api = API_CREATE_TOPICS,
                                     .version_min = 4,
                                     .version_max = INT16_MAX,
                                     .message = m,
                                     .done = bed_created};
    client_call_start(bed->client, &bed->call);
}

static inline void bed_topic(struct bed *bed, const char *name, int32_t partitions) {
    bed->topic = name;
    bed->count = partitions;
    bed->flag = false;
    bed_as(bed, bed_create, bed);
    bed_until(bed, bed_flag, bed, "the topic");
}

// ---- Records: values "<from>" …, timestamps step_ms * n ----

static inline void bed_sent(struct producer_record *record, enum err result) {
    struct bed_record *r = container_of(record, struct bed_record, record);
    assert_int_equal(result, ERR_NONE);
    struct bed *bed = r->bed;
    bed->flag = --bed->sent == 0;
    memory_free(r);
}

static inline void bed_send(void *context) {
    struct bed *bed = context;
    bed->sent = bed->count;
    for (int32_t i = 0; i < bed->count; i++) {
        struct bed_record *r = memory_zalloc(1, sizeof *r);
        r->bed = bed;
        snprintf(r->value, sizeof r->value, "%d", bed->from + i);
        r->record = (struct producer_record){.topic = slice_cstring(bed->topic),
                                             .partition = bed->partition,
                                             .timestamp = bed->step_ms * (int64_t)(bed->from + i),
                                             .value = slice_cstring(r->value),
                                             .done = bed_sent};
        assert_int_equal(producer_send(bed->producer, &r->record), ERR_NONE);
    }
    producer_flush(bed->producer);
}

static inline void bed_produce(struct bed *bed, const char *topic, int32_t partition, int32_t from,
                               int32_t count) {
    bed->topic = topic;
    bed->partition = partition;
    bed->from = from;
    bed->count = count;
    bed->flag = false;
    bed_as(bed, bed_send, bed);
    bed_until(bed, bed_flag, bed, "acknowledgements");
}
