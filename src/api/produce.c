// Produce, versions 3 to 13.
//
// Every partition of the request becomes a row. Rows that can be refused from the metadata are
// refused here; the others go to the reactors that own their partitions. There each batch is
// appended (storage/log.h checks it); with acks=1 the row is done when the batch is written, with
// acks=-1 when the high watermark has passed it or the request's timeout is over. When all owners
// are through, the answer is made of the rows, in the order of the request.
//
// A batch is changed in place, in the frame that it came in: offset and leader epoch lie outside
// its CRC.
#include "api/leader_hint.h"
#include "api/partition_access.h"
#include "api/partition_rows.h"
#include "api/transaction_verify.h"
#include "base/assert.h"
#include "base/memory.h"
#include "config/config.h"
#include "metadata/topic_name.h"
#include "replica/replica_manager.h"
#include "wire/batch.h"

struct produce_row {
    struct partition_row row;
    struct slice batch;
    struct produce_append *append;  // NULL: refused at home
    struct slice error_text;        // null: none
    bool needs_guard;               // see log_append_op
    bool needs_verify;              // its transaction is not open here
    uint32_t guard;
    int64_t base_offset;
    int64_t log_append_time_ms;
    int64_t log_start_offset;
    struct append_record_error *record_errors;
    int32_t record_error_count;
};

// An append under way. Apart from the row, because only a batch with a header's worth of bytes gets
// one.
struct produce_append {
    struct produce_row *row;
    struct partition *partition;
    struct log_append_op op;
    struct produce_waiter waiter;
    bool is_waiting;
};

// The rows of one owner.
struct produce_part {
    struct partition_rows_part part;
    int32_t pending;  // rows that are not done
    struct env_timer timer;
};

// Of transactional rows that need it.
struct produce_verify {
    struct transaction_verify verify;
    struct produce *produce;
    struct produce_row **rows;  // of verify.partitions
};

struct produce {
    struct api_call *call;
    int16_t acks;
    int32_t timeout_ms;
    enum err error;  // of the request as a whole
    struct slice error_text;
    bool verifies;  // transactional rows
    struct partition_rows rows;
    struct produce_row *list;  // in the order of the request
    int32_t row_count;
    struct produce_verify *verify;  // with transactional rows
};

static struct produce *produce_of(struct partition_rows *rows) {
    return container_of(rows, struct produce, rows);
}

static struct produce_part *part_of(const struct produce_row *row) {
    return container_of(row->row.part, struct produce_part, part);
}

static struct produce_row *row_of(struct partition_row *row) {
    return container_of(row, struct produce_row, row);
}

static void refuse(struct produce_row *row, enum err error) {
    row->row.error = error;
}

static void refuse_text(struct produce_row *row, enum err error, struct slice text) {
    row->row.error = error;
    row->error_text = text;
}

// ---- At the owner ----

static void part_row_done(struct produce_part *part) {
    assert(part->pending > 0);
    if (--part->pending > 0) return;
    env_timer_stop(part->part.scatter_part.node->env, &part->timer);
    partition_rows_part_done(&part->part);
}

static void waiter_done(struct produce_waiter *waiter, enum err result) {
    struct produce_append *append = container_of(waiter, struct produce_append, waiter);
    append->is_waiting = false;
    refuse(append->row, result);
    part_row_done(part_of(append->row));
}

static void part_timed_out(struct env_timer *timer) {
    struct produce_part *part = container_of(timer, struct produce_part, timer);
    struct partition_row *next;
    for (struct partition_row *at = part->part.first; at != NULL; at = next) {
        next = at->next;
        struct produce_append *append = row_of(at)->append;
        if (!append->is_waiting) continue;
        produce_waiter_cancel(&append->waiter);
        bool is_last = part->pending == 1;
        waiter_done(&append->waiter, ERR_REQUEST_TIMED_OUT);
        if (is_last) return;  // the part is home
    }
}

// The batch is written: with acks=-1 its row goes on waiting.
static void append_done(struct log_append_op *op, enum err result) {
    struct produce_append *append = container_of(op, struct produce_append, op);
    struct produce_row *row = append->row;
    struct produce_part *part = part_of(row);
    struct produce *produce = produce_of(part->part.rows);
    struct partition *partition = append->partition;
    struct env *env = part->part.scatter_part.node->env;
    if (result != ERR_NONE) {
        refuse(row, result);
        part_row_done(part);
        return;
    }
    row->base_offset = op->base_offset;
    row->log_append_time_ms = op->log_append_time_ms;
    row->log_start_offset = log_start_offset(partition->log);
    if (produce->acks != -1 || env_mutant(env, MUTANT_ACK_BEFORE_SYNC)) {
        part_row_done(part);
        return;
    }
    if (!partition_is_leader(partition)) {
        // Deleted, or led by another, while the write was under way.
        refuse(row, partition->topic == NULL ? ERR_UNKNOWN_TOPIC_OR_PARTITION
                                             : ERR_NOT_LEADER_OR_FOLLOWER);
        part_row_done(part);
        return;
    }
    append->waiter.required = op->last_offset + 1;
    append->waiter.done = waiter_done;
    if (partition_wait_produce(partition, &append->waiter)) {
        part_row_done(part);
        return;
    }
    append->is_waiting = true;
    if (!env_timer_is_running(&part->timer)) {
        uint64_t timeout_ns = (uint64_t)MAX(produce->timeout_ms, 0) * 1000000;
        env_timer_start(env, &part->timer, produce->call->net->received_ns + timeout_ns);
    }
}

// A fault of the simulation (MUTANT_ACK_BEFORE_APPEND): answers while the bytes are on their way.
struct orphan {
    struct log_append_op append;
    uint8_t bytes[];
};

static void orphan_done(struct log_append_op *op, enum err result) {
    (void)result;
    memory_free(container_of(op, struct orphan, append));
}

static bool append_orphaned(struct produce_row *row, struct partition *partition) {
    struct orphan *orphan = memory_zalloc(1, sizeof *orphan + row->batch.size);
    memcpy(orphan->bytes, row->batch.data, row->batch.size);
    orphan->append = (struct log_append_op){.batch = orphan->bytes,
                                            .size = row->batch.size,
                                            .leader_epoch = partition->leader_epoch,
                                            .origin = APPEND_CLIENT,
                                            .arena = row->row.part->scatter_part.arena,
                                            .done = orphan_done};
    enum err err = log_append_start(partition->log, &orphan->append);
    refuse(row, err);
    row->base_offset = err == ERR_NONE ? orphan->append.base_offset : -1;
    if (err != ERR_NONE) memory_free(orphan);
    return false;
}

// True: append_done will come.
static bool append_row(struct produce_row *row) {
    struct scatter_part *part = &row->row.part->scatter_part;
    struct node *node = part->node;
    int16_t acks = produce_of(row->row.part->rows)->acks;
    struct partition *partition;
    if (row->row.error != ERR_NONE) return false;  // its transaction was not verified
    enum err err = partition_access(node, row->row.topic_id, row->row.index, -1, &partition);
    if (err != ERR_NONE) {
        refuse(row, err);
        return false;
    }
    row->append->partition = partition;
    if (acks == -1 && partition->isr_count < partition_min_isr(partition)) {
        refuse(row, ERR_NOT_ENOUGH_REPLICAS);
        return false;
    }
    if (acks == 1 && env_mutant(node->env, MUTANT_ACK_BEFORE_APPEND))
        return append_orphaned(row, partition);
    struct log_append_op *op = &row->append->op;
    op->batch = (uint8_t *)(uintptr_t)row->batch.data;  // ours: the frame that the request holds
    op->size = row->batch.size;
    op->leader_epoch = partition->leader_epoch;
    op->origin = APPEND_CLIENT;
    op->needs_guard = row->needs_guard;
    op->guard = row->guard;
    op->arena = part->arena;
    op->done = append_done;
    err = log_append_start(partition->log, op);
    if (err == ERR_NONE) return true;
    // Kafka has a sentence only where it names records (and none for a codec that it does not
    // know).
    bool has_sentence = op->record_error_count > 0 || err == ERR_UNSUPPORTED_COMPRESSION_TYPE;
    refuse_text(row, err, has_sentence ? op->error_text : SLICE_NULL);
    row->record_errors = op->record_errors;
    row->record_error_count = op->record_error_count;
    // Kafka tells the log start when the log itself refused the batch by its contents, not for its
    // size or form.
    bool is_form = err == ERR_CORRUPT_MESSAGE || err == ERR_CORRUPT ||
                   err == ERR_MESSAGE_TOO_LARGE || err == ERR_RECORD_LIST_TOO_LARGE ||
                   err == ERR_KAFKA_STORAGE_ERROR;
    if (!is_form) row->log_start_offset = log_start_offset(partition->log);
    return false;
}

static void run(struct partition_rows_part *rows_part) {
    struct produce_part *part = container_of(rows_part, struct produce_part, part);
    env_timer_init(&part->timer, part_timed_out);
    part->pending = 1;  // this loop itself
    for (struct partition_row *row = rows_part->first; row != NULL; row = row->next) {
        if (append_row(row_of(row))) part->pending++;
    }
    part_row_done(part);
}

// ---- The answer ----

static void add_leader_hint(struct produce *produce, const struct produce_row *row,
                            struct produce_response_partition_response *out) {
    struct api_call *call = produce->call;
    struct produce_response *response = call->response;
    struct leader_hint hint = leader_hint_of(call, row->row.topic_id, row->row.index);
    out->current_leader.leader_id = hint.leader_id;
    out->current_leader.leader_epoch = hint.leader_epoch;
    if (hint.endpoint == NULL) return;
    for (int32_t i = 0; i < response->node_endpoints_count; i++) {
        if (response->node_endpoints[i].node_id == hint.leader_id) return;
    }
    // As many leaders as rows at most.
    if (response->node_endpoints == NULL) {
        response->node_endpoints =
            produce_response_node_endpoint_new(call->arena, produce->row_count);
        response->node_endpoints_count = 0;
    }
    struct produce_response_node_endpoint *endpoint =
        &response->node_endpoints[response->node_endpoints_count++];
    endpoint->node_id = hint.leader_id;
    endpoint->host = hint.endpoint->host;
    endpoint->port = hint.endpoint->port;
    endpoint->rack = hint.broker->rack;
}

static void fill_partition(struct produce *produce, const struct produce_row *row,
                           struct produce_response_partition_response *out) {
    out->index = row->row.index;
    out->error_code = err_wire(row->row.error);
    out->base_offset = row->base_offset;
    out->log_append_time_ms = row->log_append_time_ms;
    out->log_start_offset = row->log_start_offset;
    // The owner's words live in its part's arena.
    struct arena *arena = produce->call->arena;
    out->error_message = arena_copy(arena, row->error_text);
    if (row->record_error_count > 0) {
        out->record_errors = produce_response_record_error_new(arena, row->record_error_count);
        out->record_errors_count = row->record_error_count;
        for (int32_t i = 0; i < row->record_error_count; i++) {
            out->record_errors[i].batch_index = row->record_errors[i].index;
            out->record_errors[i].batch_index_error_message =
                arena_copy(arena, row->record_errors[i].text);
        }
    }
    if (row->row.error == ERR_NOT_LEADER_OR_FOLLOWER && produce->call->version >= 10) {
        add_leader_hint(produce, row, out);
    }
}

static void fill_response(struct produce *produce) {
    struct api_call *call = produce->call;
    const struct produce_request *request = call->request;
    struct produce_response *response = call->response;
    response->responses = produce_response_response_new(call->arena, request->topic_data_count);
    response->responses_count = request->topic_data_count;
    const struct produce_row *row = produce->list;
    for (int32_t t = 0; t < request->topic_data_count; t++) {
        const struct produce_request_topic_data *topic = &request->topic_data[t];
        struct produce_response_response *out = &response->responses[t];
        out->name = topic->name;
        out->topic_id = topic->topic_id;
        out->partition_responses =
            produce_response_partition_response_new(call->arena, topic->partition_data_count);
        out->partition_responses_count = topic->partition_data_count;
        for (int32_t p = 0; p < topic->partition_data_count; p++) {
            fill_partition(produce, row++, &out->partition_responses[p]);
        }
    }
}

// acks=0 is never answered; an error shows as a closed connection.
static void end_without_answer(struct produce *produce) {
    enum err first = ERR_NONE;
    for (int32_t i = 0; i < produce->row_count && first == ERR_NONE; i++) {
        first = produce->list[i].row.error;
    }
    partition_rows_deinit(&produce->rows);
    if (first == ERR_NONE) {
        api_reply_nothing(produce->call);
    } else {
        struct message why;
        message_set(&why, "a produce with acks=0 failed: %s", err_name(first));
        api_close(produce->call, why.text);
    }
}

static void done(struct partition_rows *rows) {
    struct produce *produce = produce_of(rows);
    if (produce->acks == 0) {
        end_without_answer(produce);
        return;
    }
    fill_response(produce);
    partition_rows_deinit(&produce->rows);
    api_reply(produce->call);
}

// ---- At home: from the request to rows ----

// Bytes after the length of a message of format 0 without key and value.
#define LEGACY_LENGTH_MIN 14

// What Kafka's reader of batches says at the beginning of `bytes`, without looking into the batch:
// ERR_EOF when no whole batch is there.
static enum err batch_form(struct slice bytes) {
    if (bytes.size < BATCH_OVERHEAD) return ERR_EOF;
    int32_t length = load_i32(bytes.data + BATCH_LENGTH);
    if (length < LEGACY_LENGTH_MIN) return ERR_CORRUPT_MESSAGE;
    if (bytes.size < BATCH_MAGIC + 1) return ERR_EOF;
    if (bytes.data[BATCH_MAGIC] > 2) return ERR_CORRUPT_MESSAGE;
    return (size_t)length + BATCH_OVERHEAD > bytes.size ? ERR_EOF : ERR_NONE;
}

// ProduceRequest.validateRecords: exactly one batch, of magic 2. The batch's own slice in `batch`;
// what follows it without being a whole batch is left out, as Kafka does.
static enum err one_batch_of(struct slice records, int16_t version, struct slice *batch) {
    enum err err = batch_form(records);
    if (err != ERR_NONE) return err == ERR_EOF ? ERR_INVALID_RECORD : err;
    // An old format is a record too many versions behind, not a damaged one.
    if (records.data[BATCH_MAGIC] < 2) return ERR_INVALID_RECORD;
    struct batch header;
    if (batch_decode(records, &header) != ERR_NONE) return ERR_CORRUPT_MESSAGE;
    if (version < 7 && batch_compression(&header) == COMPRESSION_ZSTD) {
        return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    }
    *batch = slice_sub(records, 0, header.size);
    err = batch_form(slice_sub(records, header.size, records.size - header.size));
    return err == ERR_EOF ? ERR_NONE : err == ERR_NONE ? ERR_INVALID_RECORD : err;
}

static struct slice form_text(struct slice records, struct arena *arena) {
    int32_t length = load_i32(records.data + BATCH_LENGTH);
    if (length >= LEGACY_LENGTH_MIN)
        return arena_format(arena, "Invalid magic found in record: %d",
                            (int8_t)records.data[BATCH_MAGIC]);
    return arena_format(arena, "Record size %d is less than the minimum record overhead (%d)",
                        (int)length, LEGACY_LENGTH_MIN);
}

static bool is_transactional_batch(struct slice records) {
    return records.size >= BATCH_HEADER_SIZE && records.data[BATCH_MAGIC] == 2 &&
           (load_i16(records.data + BATCH_ATTRIBUTES) & ATTRIBUTE_TRANSACTIONAL) != 0;
}

// Kafka looks for a transactional batch before anything else: a first batch that cannot be one
// refuses the whole request.
static enum err find_transactional(struct produce *produce, const struct produce_request *request,
                                   bool *found) {
    *found = false;
    for (int32_t t = 0; t < request->topic_data_count; t++) {
        const struct produce_request_topic_data *topic = &request->topic_data[t];
        for (int32_t p = 0; p < topic->partition_data_count; p++) {
            struct slice records = topic->partition_data[p].records.bytes;
            if (batch_form(records) == ERR_CORRUPT_MESSAGE) {
                produce->error_text = form_text(records, produce->call->arena);
                return ERR_CORRUPT_MESSAGE;
            }
            *found = is_transactional_batch(records);
            if (*found) return ERR_NONE;
        }
    }
    return ERR_NONE;
}

static void check_row(struct produce *produce, struct produce_row *row,
                      const struct topic_image *topic, struct slice records) {
    if (produce->error != ERR_NONE) {
        refuse_text(row, produce->error, produce->error_text);
        return;
    }
    if (topic == NULL) {
        refuse(row, produce->call->version >= 13 ? ERR_UNKNOWN_TOPIC_ID
                                                 : ERR_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    row->row.topic_id = topic->id;
    if (topic_partition(topic, row->row.index) == NULL) {
        refuse(row, ERR_UNKNOWN_TOPIC_OR_PARTITION);
        return;
    }
    enum err err = one_batch_of(records, produce->call->version, &row->batch);
    if (err != ERR_NONE) {
        refuse(row, err);
    } else if (produce->acks < -1 || produce->acks > 1) {
        refuse(row, ERR_INVALID_REQUIRED_ACKS);
    } else if (topic_name_is_internal(topic->name) &&
               !slice_equal_cstring(produce->call->client_id, "__admin_client")) {
        refuse(row, ERR_INVALID_TOPIC_EXCEPTION);
    } else {
        row->append = arena_zalloc(produce->call->arena, 1, sizeof *row->append);
        row->append->row = row;
        row->needs_guard = produce->verifies && is_transactional_batch(row->batch) &&
                           !env_mutant(produce->call->node->env, MUTANT_TXN_SKIP_VERIFICATION);
        partition_rows_add(&produce->rows, &row->row, topic);
    }
}

static void make_rows(struct produce *produce, const struct produce_request *request) {
    const struct image *image = produce->call->node->image;
    struct produce_row *row = produce->list;
    for (int32_t t = 0; t < request->topic_data_count; t++) {
        const struct produce_request_topic_data *topic = &request->topic_data[t];
        const struct topic_image *topic_state = produce->call->version >= 13
                                                    ? image_topic_by_id(image, topic->topic_id)
                                                    : image_topic(image, topic->name);
        for (int32_t p = 0; p < topic->partition_data_count; p++, row++) {
            row->row.index = topic->partition_data[p].index;
            row->row.topic_id = topic->topic_id;
            row->error_text = SLICE_NULL;
            row->base_offset = -1;
            row->log_append_time_ms = -1;
            row->log_start_offset = -1;
            check_row(produce, row, topic_state, topic->partition_data[p].records.bytes);
        }
    }
}

// ---- Transactions ----

// At the owner: which rows begin a transaction here.
static void look(struct partition_rows_part *part) {
    const struct node *node = part->scatter_part.node;
    for (struct partition_row *at = part->first; at != NULL; at = at->next) {
        struct produce_row *row = row_of(at);
        struct partition *partition;
        enum err err = partition_access(node, at->topic_id, at->index, -1, &partition);
        struct batch batch;
        if (!row->needs_guard || err != ERR_NONE || batch_decode(row->batch, &batch) != ERR_NONE)
            continue;
        row->needs_verify = !log_transaction_is_open(partition->log, batch.producer_id,
                                                     batch.producer_epoch, &row->guard);
        if (row->needs_verify)
            log_note_beginning(
                partition->log, &batch,
                produce_of(part->rows)->verify->verify.client == TRANSACTION_CLIENT_TWO);
    }
    partition_rows_part_done(part);
}

static void append_all(struct produce *produce) {
    net_request_end_barrier(produce->call->net);
    partition_rows_start(&produce->rows, run, done);
}

static void verified(struct transaction_verify *verify) {
    struct produce_verify *of = container_of(verify, struct produce_verify, verify);
    struct produce *produce = of->produce;
    struct arena *arena = produce->call->arena;
    for (int32_t i = 0; i < verify->count; i++) {
        enum err err = verify->errors[i];
        if (err == ERR_NONE) continue;
        struct slice text = transaction_verify_text(arena, err);
        // What is only a matter of time older clients retry with this code, and do not look for
        // another leader.
        bool is_passing = !slice_is_null(text) && err != ERR_INVALID_TXN_STATE;
        refuse_text(of->rows[i], is_passing ? ERR_NOT_ENOUGH_REPLICAS : err, text);
    }
    append_all(produce);
}

static bool add_to_verify(struct produce *produce, struct produce_row *row) {
    const struct topic_image *topic =
        image_topic_by_id(produce->call->node->image, row->row.topic_id);
    struct transaction_verify *v = &produce->verify->verify;
    struct batch batch;
    if (topic == NULL || batch_decode(row->batch, &batch) != ERR_NONE) return true;
    if (v->count > 0 && batch.producer_id != v->producer_id) return false;
    v->producer_id = batch.producer_id;
    v->producer_epoch = batch.producer_epoch;
    produce->verify->rows[v->count] = row;
    v->partitions[v->count++] = (struct transaction_partition){
        arena_copy(produce->call->arena, topic->name), row->row.index};
    return true;
}

static void looked(struct partition_rows *rows) {
    struct produce *produce = produce_of(rows);
    struct api_call *call = produce->call;
    const struct produce_request *request = call->request;
    struct transaction_verify *v = &produce->verify->verify;
    v->transactional_id = request->transactional_id;
    v->done = verified;
    v->partitions = arena_zalloc(call->arena, (size_t)produce->row_count, sizeof *v->partitions);
    produce->verify->rows =
        arena_zalloc(call->arena, (size_t)produce->row_count, sizeof(struct produce_row *));
    for (int32_t i = 0; i < produce->row_count; i++) {
        struct produce_row *row = &produce->list[i];
        if (row->needs_verify && !add_to_verify(produce, row))
            refuse(row, ERR_INVALID_PRODUCER_ID_MAPPING);  // one transaction, one producer
    }
    if (v->count == 0) {
        append_all(produce);
    } else {
        transaction_verify_start(v, call);
    }
}

void api_produce(struct api_call *call) {
    const struct produce_request *request = call->request;
    struct produce *produce = arena_zalloc(call->arena, 1, sizeof *produce);
    produce->call = call;
    produce->acks = request->acks;
    produce->timeout_ms = request->timeout_ms;
    bool is_transactional;
    produce->error = find_transactional(produce, request, &is_transactional);
    if (slice_is_null(request->transactional_id) && is_transactional) {
        produce->error = ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    produce->verifies =
        is_transactional &&
        (call->version >= 12 ||
         config_bool(call->node->config, BROKER_TRANSACTION_PARTITION_VERIFICATION_ENABLE));
    for (int32_t t = 0; t < request->topic_data_count; t++) {
        produce->row_count += request->topic_data[t].partition_data_count;
    }
    produce->list = partition_rows_new(call, (size_t)produce->row_count, sizeof *produce->list);
    if (produce->list == NULL) return;
    partition_rows_init(&produce->rows, call, sizeof(struct produce_part));
    make_rows(produce, request);
    if (produce->verifies) {
        // Until it is known where this batch goes, none may overtake it.
        call->net->barrier = true;
        produce->verify = arena_zalloc(call->arena, 1, sizeof *produce->verify);
        produce->verify->produce = produce;
        produce->verify->verify.client = call->version >= 12   ? TRANSACTION_CLIENT_TWO
                                         : call->version == 11 ? TRANSACTION_CLIENT_ABORTABLE
                                                               : TRANSACTION_CLIENT_OLD;
        partition_rows_start(&produce->rows, look, looked);
    } else {
        partition_rows_start(&produce->rows, run, done);
    }
}
