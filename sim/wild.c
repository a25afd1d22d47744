// A fuzzer of transactional requests: any of them, in any order, with the ids and epochs that are
// known or nearly so, late and twice. What it writes goes between the copies, so that everything
// that holds back or corrupts the log shows there; with the markers and fencing that it sends it
// attacks the copiers themselves. Transactions that it leaves open must end by their timeouts.
#include <stdio.h>

#include "base/arena.h"
#include "base/memory.h"
#include "net/peer.h"
#include "sim/clients.h"
#include "wire/batch.h"

#define MS         UINT64_C(1000000)
#define WILD_GROUP SLICE_LITERAL("wild")

enum { IDS = 3, COPIERS_MAX = 4, TIMEOUT_MAX_MS = 1500, REQUEST_MS = 800, OFFSETS_PARTITIONS = 3 };

struct wild_id {
    char name[16];
    int64_t producer_id;  // -1: not known
    int16_t producer_epoch;
    int32_t sequences[COPY_PARTITIONS_MAX];
};

struct wild {
    struct env *env;
    struct clients *clients;
    struct peer *peers[2];
    struct env_timer timer;
    struct peer_request request;
    struct arena arena;
    struct batch_builder batch;
    struct wild_id ids[IDS];
    struct wild_id copiers[COPIERS_MAX];  // as DescribeTransactions told them
    struct wild_id *asked;                // by the request under way
};

static uint64_t below(struct wild *w, uint64_t bound) {
    return env_random(w->env) % bound;
}

static void wild_done(struct peer_request *request, enum err result);

static void ask(struct wild *w, enum api_key api, void *message, int16_t min, int16_t max) {
    // Any version: old and new clients at once.
    int16_t top = (int16_t)(min + (int16_t)below(w, (uint64_t)(max - min + 1)));
    w->request = (struct peer_request){.api = api,
                                       .version_min = min,
                                       .version_max = top,
                                       .message = message,
                                       .deadline_ns = env_now_ns(w->env) + REQUEST_MS * MS,
                                       .done = wild_done};
    peer_send(w->peers[below(w, 2)], &w->request);
}

static struct wild_id *any_id(struct wild *w) {
    return &w->ids[below(w, IDS)];
}

static int32_t any_partition(struct wild *w) {
    return (int32_t)below(w, (uint64_t)w->clients->partition_count);
}

// Mostly the right one.
static int16_t near_epoch(struct wild *w, const struct wild_id *id) {
    int32_t epoch = id->producer_epoch + (below(w, 5) == 0 ? (int32_t)below(w, 3) - 1 : 0);
    return (int16_t)MAX(epoch, 0);
}

// ---- Requests ----

static void init_id(struct wild *w) {
    struct init_producer_id_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&init_producer_id_request_codec, r);
    w->asked = any_id(w);
    r->transactional_id = slice_cstring(w->asked->name);
    r->transaction_timeout_ms = 1 + (int32_t)below(w, TIMEOUT_MAX_MS);
    bool names_itself = below(w, 3) == 0;
    if (names_itself) {
        r->producer_id = w->asked->producer_id;
        r->producer_epoch = near_epoch(w, w->asked);
    }
    ask(w, API_INIT_PRODUCER_ID, r, names_itself ? 3 : 0, 5);
}

// Somebody who takes over a copier's transactional id and does nothing with it.
static void fence_copier(struct wild *w) {
    struct init_producer_id_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&init_producer_id_request_codec, r);
    r->transactional_id =
        slice_cstring(w->copiers[below(w, (uint64_t)w->clients->copier_count)].name);
    r->transaction_timeout_ms = TIMEOUT_MAX_MS;
    ask(w, API_INIT_PRODUCER_ID, r, 0, 5);
}

static void add_partitions(struct wild *w) {
    struct add_partitions_to_txn_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&add_partitions_to_txn_request_codec, r);
    const struct wild_id *id = any_id(w);
    r->v3_and_below_transactional_id = slice_cstring(id->name);
    r->v3_and_below_producer_id = id->producer_id;
    r->v3_and_below_producer_epoch = near_epoch(w, id);
    r->v3_and_below_topics = add_partitions_to_txn_request_topic_new(&w->arena, 1);
    r->v3_and_below_topics_count = 1;
    r->v3_and_below_topics[0].name = SLICE_LITERAL(COPY_TOPIC);
    r->v3_and_below_topics[0].partitions = arena_zalloc(&w->arena, 2, sizeof(int32_t));
    r->v3_and_below_topics[0].partitions_count = 2;
    r->v3_and_below_topics[0].partitions[0] = any_partition(w);
    r->v3_and_below_topics[0].partitions[1] = any_partition(w);
    ask(w, API_ADD_PARTITIONS_TO_TXN, r, 0, 3);
}

static void add_offsets(struct wild *w) {
    struct add_offsets_to_txn_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&add_offsets_to_txn_request_codec, r);
    const struct wild_id *id = any_id(w);
    r->transactional_id = slice_cstring(id->name);
    r->producer_id = id->producer_id;
    r->producer_epoch = near_epoch(w, id);
    r->group_id = WILD_GROUP;
    ask(w, API_ADD_OFFSETS_TO_TXN, r, 0, 4);
}

static struct slice wild_batch(struct wild *w, struct wild_id *id, int32_t partition) {
    struct slice bytes;
    struct record record = {.timestamp = env_wall_ms(w->env), .value = SLICE_LITERAL("wild")};
    batch_builder_reset(&w->batch);
    batch_builder_append(&w->batch, &record);
    w->batch.producer_id = id->producer_id;
    w->batch.producer_epoch = near_epoch(w, id);
    w->batch.base_sequence = below(w, 6) == 0 ? (int32_t)below(w, 3) : id->sequences[partition]++;
    w->batch.attributes = below(w, 10) == 0 ? 0 : ATTRIBUTE_TRANSACTIONAL;
    return batch_builder_finish(&w->batch, COMPRESSION_NONE, 0, &bytes) == ERR_NONE ? bytes
                                                                                    : SLICE_EMPTY;
}

static void produce(struct wild *w) {
    struct produce_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    struct wild_id *id = any_id(w);
    int32_t partition = any_partition(w);
    codec_init(&produce_request_codec, r);
    r->transactional_id = slice_cstring(id->name);
    r->acks = -1;
    r->timeout_ms = REQUEST_MS;
    r->topic_data = produce_request_topic_data_new(&w->arena, 1);
    r->topic_data_count = 1;
    r->topic_data[0].name = SLICE_LITERAL(COPY_TOPIC);
    r->topic_data[0].partition_data = produce_request_partition_data_new(&w->arena, 1);
    r->topic_data[0].partition_data_count = 1;
    r->topic_data[0].partition_data[0].index = partition;
    r->topic_data[0].partition_data[0].records.bytes = wild_batch(w, id, partition);
    ask(w, API_PRODUCE, r, 3, 12);
}

static void commit_offsets(struct wild *w) {
    struct txn_offset_commit_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&txn_offset_commit_request_codec, r);
    const struct wild_id *id = any_id(w);
    r->transactional_id = slice_cstring(id->name);
    r->group_id = WILD_GROUP;
    r->producer_id = id->producer_id;
    r->producer_epoch = near_epoch(w, id);
    r->topics = txn_offset_commit_request_topic_new(&w->arena, 1);
    r->topics_count = 1;
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partitions = txn_offset_commit_request_partition_new(&w->arena, 1);
    r->topics[0].partitions_count = 1;
    r->topics[0].partitions[0].partition_index = any_partition(w);
    r->topics[0].partitions[0].committed_offset = (int64_t)below(w, 100);
    ask(w, API_TXN_OFFSET_COMMIT, r, 0, 5);
}

static void end(struct wild *w) {
    struct end_txn_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&end_txn_request_codec, r);
    w->asked = any_id(w);
    r->transactional_id = slice_cstring(w->asked->name);
    r->producer_id = w->asked->producer_id;
    r->producer_epoch = near_epoch(w, w->asked);
    r->committed = below(w, 2) == 0;
    ask(w, API_END_TXN, r, 0, 5);
}

static void describe_copier(struct wild *w) {
    struct describe_transactions_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&describe_transactions_request_codec, r);
    w->asked = &w->copiers[below(w, (uint64_t)w->clients->copier_count)];
    r->transactional_ids = arena_zalloc(&w->arena, 1, sizeof(struct slice));
    r->transactional_ids_count = 1;
    r->transactional_ids[0] = slice_cstring(w->asked->name);
    ask(w, API_DESCRIBE_TRANSACTIONS, r, 0, 0);
}

static void mark_topic(struct wild *w, struct write_txn_markers_request_topic *t, struct slice name,
                       int32_t partitions) {
    t->name = name;
    t->partition_indexes = arena_zalloc(&w->arena, (size_t)partitions, sizeof(int32_t));
    t->partition_indexes_count = partitions;
    for (int32_t i = 0; i < partitions; i++)
        t->partition_indexes[i] = i;
}

// The markers of a copier's transaction that was open a while ago, come again, by a coordinator
// that has been replaced: with TV2 they are older than whatever is open now.
static void write_markers(struct wild *w) {
    struct write_txn_markers_request *r = arena_zalloc(&w->arena, 1, sizeof *r);
    codec_init(&write_txn_markers_request_codec, r);
    const struct wild_id *id = &w->copiers[below(w, (uint64_t)w->clients->copier_count)];
    r->markers = write_txn_markers_request_marker_new(&w->arena, 1);
    r->markers_count = 1;
    r->markers[0].producer_id = id->producer_id;
    r->markers[0].producer_epoch = (int16_t)MAX(0, id->producer_epoch - (int32_t)below(w, 2));
    r->markers[0].transaction_result = below(w, 2) == 0;
    r->markers[0].transaction_version = 2;
    r->markers[0].topics = write_txn_markers_request_topic_new(&w->arena, 2);
    r->markers[0].topics_count = 2;
    mark_topic(w, &r->markers[0].topics[0], SLICE_LITERAL(COPY_TOPIC), w->clients->partition_count);
    mark_topic(w, &r->markers[0].topics[1], SLICE_LITERAL("__consumer_offsets"),
               OFFSETS_PARTITIONS);
    ask(w, API_WRITE_TXN_MARKERS, r, 2, 2);
}

// ---- Answers: whatever they say, it was asked for; only what teaches an epoch is read ----

static void learn(struct wild_id *id, int64_t producer_id, int16_t epoch) {
    if (producer_id < 0) return;
    if (id->producer_id != producer_id || id->producer_epoch != epoch)
        memset(id->sequences, 0, sizeof id->sequences);
    id->producer_id = producer_id;
    id->producer_epoch = epoch;
}

static void answered(struct wild *w, const struct peer_request *request) {
    const struct init_producer_id_response *init = request->response;
    const struct end_txn_response *ended = request->response;
    const struct describe_transactions_response *described = request->response;
    if (w->asked == NULL) return;
    if (request->api == API_INIT_PRODUCER_ID && init->error_code == 0)
        learn(w->asked, init->producer_id, init->producer_epoch);
    if (request->api == API_END_TXN && ended->error_code == 0)
        learn(w->asked, ended->producer_id, ended->producer_epoch);
    if (request->api == API_DESCRIBE_TRANSACTIONS && described->transaction_states_count == 1 &&
        described->transaction_states[0].error_code == 0) {
        learn(w->asked, described->transaction_states[0].producer_id,
              described->transaction_states[0].producer_epoch);
    }
}

static void wild_done(struct peer_request *request, enum err result) {
    struct wild *w = container_of(request, struct wild, request);
    if (result == ERR_CORRUPT) {
        ledger_violate(w->clients->ledger, "the answer to a wild request (API %d) makes no sense",
                       (int)request->api);
    }
    if (result == ERR_NONE) answered(w, request);
    w->asked = NULL;
    peer_request_release(request);
    arena_reset(&w->arena);
    env_timer_start(w->env, &w->timer, env_now_ns(w->env) + below(w, 15 * MS));
}

static void wild_go_on(struct env_timer *timer) {
    struct wild *w = container_of(timer, struct wild, timer);
    static void (*const requests[])(struct wild *) = {
        init_id, add_partitions,  add_partitions,  add_offsets,
        produce, produce,         produce,         commit_offsets,
        end,     describe_copier, describe_copier, write_markers};
    if (w->clients->is_closing) {
        clients_rest(w->clients);
    } else if (below(w, 300) == 0) {
        fence_copier(w);
    } else {
        requests[below(w, COUNT_OF(requests))](w);
    }
}

void wild_start(struct env *env, struct clients *clients) {
    struct wild *w = memory_zalloc(1, sizeof *w);
    struct peer_options options = peer_options_default();
    options.host = SLICE_LITERAL("broker");
    options.port = 9092;
    w->env = env;
    w->clients = clients;
    clients->busy++;
    arena_init(&w->arena);
    batch_builder_init(&w->batch);
    for (int32_t i = 0; i < IDS; i++) {
        snprintf(w->ids[i].name, sizeof w->ids[i].name, "wild-%d", i);
        w->ids[i].producer_id = -1;
    }
    for (int32_t i = 0; i < COPIERS_MAX; i++) {
        snprintf(w->copiers[i].name, sizeof w->copiers[i].name, "copier-%d", i);
        w->copiers[i].producer_id = -1;
    }
    for (size_t i = 0; i < COUNT_OF(w->peers); i++)
        w->peers[i] = peer_new(env, &options);
    env_timer_init(&w->timer, wild_go_on);
    env_timer_start(env, &w->timer, env_now_ns(env) + below(w, 300 * MS));
}
