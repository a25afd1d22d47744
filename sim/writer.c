// Producers that speak the protocol themselves, one batch under way, because they do what a client
// library does not: send an acknowledged batch again (the broker must answer the same offset), or
// one with a wrong CRC (the broker must refuse it).
#include <stdio.h>

#include "base/arena.h"
#include "base/memory.h"
#include "net/peer.h"
#include "sim/clients.h"
#include "wire/batch.h"

#define MS UINT64_C(1000000)

enum { RECORDS_MAX = 6, SEQUENCE_MAX = INT32_MAX, SEQUENCES_LEFT_MAX = 200 };

struct writer {
    struct env *env;
    struct clients *clients;
    enum writer_kind kind;
    int32_t number;
    int32_t partition;
    struct peer *peer;
    struct env_timer timer;  // the next thing to do
    struct peer_request request;
    struct init_producer_id_request id_request;
    struct produce_request produce;
    struct produce_request_topic_data topic;
    struct produce_request_partition_data data;
    int64_t producer_id;  // -1: none
    int16_t producer_epoch;
    int32_t next_sequence;
    struct batch_builder batch;
    struct slice bytes;  // of the batch under way; null: none
    uint64_t ids[RECORDS_MAX];
    int32_t count;
    struct message refusal;
    bool was_acked;  // it is sent again
};

// ---- Payloads ----

size_t payload_fill(uint64_t id, uint8_t value[PAYLOAD_MAX]) {
    size_t size = id % 40 == 0 ? 2500 + id % 300 : 8 + id * 37 % 150;
    memcpy(value, &id, sizeof id);
    for (size_t i = sizeof id; i < size; i++)
        value[i] = (uint8_t)(id * 131 + i * 7);
    return size;
}

bool payload_read(struct slice value, uint64_t *id) {
    uint8_t expected[PAYLOAD_MAX];
    if (value.size < sizeof *id || value.size > PAYLOAD_MAX) return false;
    memcpy(id, value.data, sizeof *id);
    return slice_equal(value, slice_of(expected, payload_fill(*id, expected)));
}

// ---- One batch ----

static uint64_t below(struct writer *w, uint64_t bound) {
    return env_random(w->env) % bound;
}

static void again_in(struct writer *w, uint64_t delay_ns) {
    env_timer_start(w->env, &w->timer, env_now_ns(w->env) + delay_ns);
}

static void make_batch(struct writer *w) {
    batch_builder_reset(&w->batch);
    w->count = 1 + (int32_t)below(w, RECORDS_MAX);
    for (int32_t i = 0; i < w->count; i++) {
        uint8_t value[PAYLOAD_MAX];
        w->ids[i] = ledger_record(w->clients->ledger, w->number, w->partition);
        struct record record = {.timestamp = env_wall_ms(w->env),
                                .value = slice_of(value, payload_fill(w->ids[i], value))};
        batch_builder_append(&w->batch, &record);
    }
    if (w->kind == WRITER_IDEMPOTENT) {
        w->batch.producer_id = w->producer_id;
        w->batch.producer_epoch = w->producer_epoch;
        w->batch.base_sequence = w->next_sequence;
    }
    enum compression compression = below(w, 4) == 0 ? COMPRESSION_LZ4 : COMPRESSION_NONE;
    if (batch_builder_finish(&w->batch, compression, 0, &w->bytes) != ERR_NONE)
        w->bytes = SLICE_NULL;
    if (w->kind == WRITER_SPOILER) {
        size_t at = BATCH_ATTRIBUTES + (size_t)below(w, w->bytes.size - BATCH_ATTRIBUTES);
        // The record's bytes, not the fields that are judged before the CRC.
        at = MAX(at, (size_t)BATCH_HEADER_SIZE);
        w->batch.data[at] ^= (uint8_t)(1 << below(w, 8));
    }
    w->was_acked = false;
}

static void produced(struct peer_request *request, enum err result);

static void send_batch(struct writer *w) {
    codec_init(&produce_request_codec, &w->produce);
    codec_init(&produce_request_topic_data_codec, &w->topic);
    codec_init(&produce_request_partition_data_codec, &w->data);
    w->produce.acks = w->kind == WRITER_PLAIN ? 1 : -1;
    w->produce.timeout_ms = 2000;
    w->produce.topic_data = &w->topic;
    w->produce.topic_data_count = 1;
    w->topic.name = SLICE_LITERAL(CLIENT_TOPIC);
    w->topic.partition_data = &w->data;
    w->topic.partition_data_count = 1;
    w->data.index = w->partition;
    w->data.records.bytes = w->bytes;
    w->request = (struct peer_request){.api = API_PRODUCE,
                                       .version_min = 3,
                                       .version_max = 12,  // by name
                                       .message = &w->produce,
                                       .deadline_ns = env_now_ns(w->env) + 800 * MS,
                                       .done = produced};
    peer_send(w->peer, &w->request);
}

static void batch_over(struct writer *w) {
    if (w->kind == WRITER_IDEMPOTENT) w->next_sequence = sequence_add(w->next_sequence, w->count);
    w->bytes = SLICE_NULL;
    again_in(w, below(w, 20 * MS));
}

static void batch_acked(struct writer *w, int64_t base_offset) {
    if (w->kind == WRITER_SPOILER) {
        ledger_violate(w->clients->ledger,
                       "a batch with a wrong CRC was accepted at offset %lld of partition %d",
                       (long long)base_offset, w->partition);
        return;
    }
    for (int32_t i = 0; i < w->count; i++) {
        ledger_acked(w->clients->ledger, w->ids[i], w->partition, base_offset + i,
                     w->kind != WRITER_PLAIN);
    }
    bool again = w->kind == WRITER_IDEMPOTENT && !w->was_acked && below(w, 3) == 0;
    w->was_acked = true;
    if (again) {
        again_in(w, below(w, 50 * MS));
    } else {
        batch_over(w);
    }
}

static void batch_refused(struct writer *w, enum err err) {
    if (err == ERR_CORRUPT_MESSAGE && w->kind == WRITER_SPOILER) {
        for (int32_t i = 0; i < w->count; i++)
            ledger_rejected(w->clients->ledger, w->ids[i]);
        batch_over(w);
    } else if (w->kind == WRITER_PLAIN) {
        batch_over(w);  // what became of it is not known; it is not sent again
    } else if (err_retriable(err) || err == ERR_KAFKA_STORAGE_ERROR) {
        again_in(w, 20 * MS + below(w, 100 * MS));
    } else if (w->kind == WRITER_IDEMPOTENT && ledger_may_go_back(w->clients->ledger)) {
        w->producer_id = -1;  // its state went with the power; a new id, and what became of the
                              // batch is not known
        w->bytes = SLICE_NULL;
        again_in(w, 20 * MS);
    } else {
        ledger_violate(w->clients->ledger,
                       "writer %d: partition %d answers %s to a batch that is right", w->number,
                       w->partition, err_name(err));
    }
}

static void produced(struct peer_request *request, enum err result) {
    struct writer *w = container_of(request, struct writer, request);
    int64_t base_offset = -1;
    message_init(&w->refusal);
    if (result == ERR_NONE) {
        const struct produce_response *response = request->response;
        if (response->responses_count != 1 ||
            response->responses[0].partition_responses_count != 1) {
            ledger_violate(w->clients->ledger, "a produce response without its partition");
            result = ERR_CORRUPT;
        } else {
            const struct produce_response_partition_response *p =
                &response->responses[0].partition_responses[0];
            result = err_of_wire(p->error_code);
            base_offset = p->base_offset;
            message_set(&w->refusal, "%.*s", SLICE_PRINT(p->error_message));
        }
    } else if (result != ERR_UNSUPPORTED_VERSION && result != ERR_CORRUPT) {
        result = ERR_NETWORK_EXCEPTION;
    }
    peer_request_release(request);
    if (result == ERR_NONE) {
        batch_acked(w, base_offset);
    } else {
        batch_refused(w, result);
    }
}

// ---- The producer id ----

static void id_given(struct peer_request *request, enum err result) {
    struct writer *w = container_of(request, struct writer, request);
    const struct init_producer_id_response *response = request->response;
    if (result == ERR_NONE && response->error_code == 0) {
        w->producer_id = response->producer_id;
        w->producer_epoch = response->producer_epoch;
        // An id that is new to a partition may begin anywhere (Kafka has forgotten many): every
        // other one soon comes to the end of the sequences and goes on from 0.
        w->next_sequence =
            w->number % 2 == 0 ? 0 : SEQUENCE_MAX - (int32_t)below(w, SEQUENCES_LEFT_MAX);
    }
    peer_request_release(request);
    again_in(w, w->producer_id >= 0 ? 0 : 50 * MS);
}

static void ask_id(struct writer *w) {
    codec_init(&init_producer_id_request_codec, &w->id_request);
    w->id_request.transactional_id = SLICE_NULL;
    w->id_request.transaction_timeout_ms = INT32_MAX;
    w->request = (struct peer_request){.api = API_INIT_PRODUCER_ID,
                                       .version_min = 0,
                                       .version_max = 4,
                                       .message = &w->id_request,
                                       .deadline_ns = env_now_ns(w->env) + 800 * MS,
                                       .done = id_given};
    peer_send(w->peer, &w->request);
}

// ---- Life ----

static void writer_go_on(struct env_timer *timer) {
    struct writer *w = container_of(timer, struct writer, timer);
    if (!slice_is_null(w->bytes)) {
        send_batch(w);
    } else if (w->clients->is_closing) {
        clients_rest(w->clients);
    } else if (w->kind == WRITER_IDEMPOTENT && w->producer_id < 0) {
        ask_id(w);
    } else {
        make_batch(w);
        send_batch(w);
    }
}

void writer_start(struct env *env, struct clients *clients, enum writer_kind kind) {
    struct writer *w = memory_zalloc(1, sizeof *w);
    w->env = env;
    w->clients = clients;
    w->kind = kind;
    w->number = clients->producer_count++;
    w->partition = w->number % clients->partition_count;
    w->producer_id = -1;
    w->bytes = SLICE_NULL;
    batch_builder_init(&w->batch);
    struct peer_options options = peer_options_default();
    options.host = SLICE_LITERAL("broker");
    options.port = 9092;
    w->peer = peer_new(env, &options);
    env_timer_init(&w->timer, writer_go_on);
    clients->busy++;
    again_in(w, below(w, 50 * MS));
}
