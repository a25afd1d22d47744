// Transactions of a producer (KIP-98), by both protocols.
//
//     UNUSED -> INITIALIZING -> READY -> OPEN -> COMMITTING -> READY
//                                          |         |
//                                          +--> ABORTABLE -> ABORTING -> (BUMPING ->) READY
//     from anywhere -> FATAL
//
// TV1: a partition is added at the coordinator before its first batch of the transaction leaves;
// groups' offsets likewise. The epoch stays. When a batch was given up whose fate is not known, or
// a try of EndTxn or TxnOffsetCommit was not answered, it may still arrive; so the epoch is bumped
// by InitProducerId after the end (KIP-360). TV2 (KIP-890): Produce and TxnOffsetCommit add by
// themselves, and the answer to EndTxn bears the epoch of the next transaction, which makes
// everything of the last one stale.
//
// Errors (KIP-1050): passing ones are tried again below (client calls, held batches). Those that
// say that another has taken over, or that nothing will ever do, are fatal; all others leave the
// transaction to be aborted.
#include "base/memory.h"
#include "client/producer_private.h"

// The newest versions without KIP-890, and the first with it.
enum {
    END_V1 = 4,
    END_V2 = 5,
    COMMIT_V1 = 4,
    COMMIT_V2 = 5,
    BUMP_VERSION = 3,  // of InitProducerId: KIP-360
    ADD_VERSION = 3,   // the newest of AddPartitionsToTxn that clients speak
    TRANSACTION_VERSION_2 = 2,
};

enum transaction_state {
    TRANSACTION_UNUSED,
    TRANSACTION_INITIALIZING,
    TRANSACTION_READY,
    TRANSACTION_OPEN,
    TRANSACTION_COMMITTING,  // records are under way, then EndTxn is
    TRANSACTION_ABORTABLE,
    TRANSACTION_ABORTING,  // likewise
    TRANSACTION_BUMPING,
    TRANSACTION_FATAL,
};

struct transaction_call {
    struct coordinator_call call;
    struct arena arena;
    bool is_busy;
};

struct transaction {
    struct producer *p;
    struct coordinator coordinator;
    struct coordinator group;  // of the offsets
    bool has_group;
    enum transaction_state state;
    uint32_t number;  // counts transactions
    bool is_v2;
    bool has_begun;  // the coordinator knows of it, or may
    bool needs_bump;
    bool is_ending;  // EndTxn was sent
    enum err error;  // of ABORTABLE and FATAL
    struct message error_text;

    // What the user waits for; told from `tell`.
    producer_done *done;
    void *context;
    bool is_told;  // `result` is waiting to be told
    enum err result;
    struct message result_text;
    struct env_task tell;

    struct transaction_call init, add, offsets, end;
    struct init_producer_id_request init_request;
    struct add_partitions_to_txn_request add_request;
    struct add_offsets_to_txn_request offsets_request;
    struct txn_offset_commit_request commit_request;
    struct end_txn_request end_request;
};

// ---- States ----

static bool is_fenced(enum err error) {
    return error == ERR_PRODUCER_FENCED || error == ERR_INVALID_PRODUCER_EPOCH;
}

// What the coordinator says that no abort heals.
static bool is_fatal(enum err error) {
    switch (error) {
        case ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        case ERR_CLUSTER_AUTHORIZATION_FAILED:
        case ERR_INVALID_TXN_STATE:
        case ERR_UNSUPPORTED_VERSION:
        case ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
            return true;
        default:
            return is_fenced(error);
    }
}

static void finish(struct transaction *t, enum err result, const struct message *text) {
    if (t->done == NULL || t->is_told) return;
    t->is_told = true;
    t->result = result;
    message_init(&t->result_text);
    if (result != ERR_NONE) {
        bool has_text = text != NULL && text->text[0] != '\0';
        message_set(&t->result_text, "%s", has_text ? text->text : err_text(result));
    }
    env_defer(t->p->env, &t->tell);
}

static void run_tell(struct env_task *task) {
    struct transaction *t = container_of(task, struct transaction, tell);
    producer_done *done = t->done;
    t->done = NULL;
    t->is_told = false;
    done(t->context, t->result, &t->result_text);
}

static void remember_error(struct transaction *t, enum err error, const struct message *text) {
    t->error = error;
    bool has_text = text != NULL && text->text[0] != '\0';
    message_set(&t->error_text, "%s", has_text ? text->text : err_text(error));
}

// Ends every record that is not under way.
static void drop_records(struct producer *p, enum err error) {
    struct transaction *t = p->transaction;
    list_for_each_safe(active, &p->active) {
        struct produce_partition *q = container_of(active, struct produce_partition, active);
        producer_close_batch(p, q);
        list_for_each_safe(link, &q->queue) {
            struct produce_batch *b = container_of(link, struct produce_batch, link);
            if (b->state == BATCH_SENT) continue;
            if (b->numbered) t->needs_bump = true;
            producer_end_batch(p, b, error, -1, -1, NULL);
        }
    }
    map_for_each(n, &p->topics) {
        struct produce_topic *topic = container_of(n, struct produce_topic, by_name);
        while (!list_is_empty(&topic->unassigned)) {
            producer_end_waiting(
                p, container_of(topic->unassigned.next, struct waiting_record, link), error, NULL);
        }
    }
}

static void set_fatal(struct transaction *t, enum err error, const struct message *text) {
    if (t->state == TRANSACTION_FATAL) return;
    t->state = TRANSACTION_FATAL;
    remember_error(t, error, text);
    drop_records(t->p, error);
    finish(t, error, &t->error_text);
}

static void set_abortable(struct transaction *t, enum err error, const struct message *text) {
    bool is_live = t->state == TRANSACTION_OPEN || t->state == TRANSACTION_COMMITTING;
    if (!is_live) return;
    t->state = TRANSACTION_ABORTABLE;
    remember_error(t, error, text);
    finish(t, error, &t->error_text);
}

// An error of the coordinator, or of the group's.
static void refused(struct transaction *t, enum err error, const struct message *text) {
    bool is_unknown = error == ERR_UNKNOWN_PRODUCER_ID || error == ERR_INVALID_PRODUCER_ID_MAPPING;
    if (is_unknown) t->needs_bump = true;
    if (error == ERR_INVALID_PRODUCER_ID_MAPPING) t->has_begun = false;  // it knows nothing of us
    if (is_fatal(error)) {
        set_fatal(t, error, text);
    } else {
        set_abortable(t, error, text);
    }
    producer_wake(t->p);
}

void producer_transaction_broken(struct producer *p, enum err error, const struct message *text,
                                 bool numbered) {
    struct transaction *t = p->transaction;
    if (numbered) t->needs_bump = true;
    // A stale epoch in Produce may come from a timeout at the coordinator: it says at the abort.
    if (is_fatal(error) && !is_fenced(error) && error != ERR_INVALID_TXN_STATE) {
        set_fatal(t, error, text);
    } else {
        set_abortable(t, error, text);
    }
}

enum producer_status producer_status(const struct producer *p) {
    const struct transaction *t = p->transaction;
    if (t == NULL) return PRODUCER_USABLE;
    if (t->state == TRANSACTION_FATAL) return PRODUCER_FATAL;
    return t->state == TRANSACTION_ABORTABLE ? PRODUCER_ABORTABLE : PRODUCER_USABLE;
}

enum err producer_transaction_check(const struct producer *p) {
    const struct transaction *t = p->transaction;
    if (t->state == TRANSACTION_OPEN) return ERR_NONE;
    bool is_broken = t->state == TRANSACTION_ABORTABLE || t->state == TRANSACTION_FATAL;
    return is_broken ? t->error : ERR_INVALID_TXN_STATE;
}

bool producer_transaction_sends(const struct producer *p) {
    const struct transaction *t = p->transaction;
    return t->state == TRANSACTION_OPEN || (t->state == TRANSACTION_COMMITTING && !t->is_ending);
}

bool producer_transaction_admits(struct producer *p, struct produce_partition *q) {
    struct transaction *t = p->transaction;
    if (q->transaction == t->number) return true;
    if (!t->is_v2) {
        q->transaction_asked = t->number;
        return false;
    }
    q->transaction = t->number;
    t->has_begun = true;
    return true;
}

bool producer_transaction_is_v2(const struct producer *p) {
    return p->transaction->is_v2;
}

// ---- Calls ----

static void start_call(struct coordinator *coordinator, struct transaction_call *c,
                       struct client_call call, enum err (*verdict)(struct coordinator_call *),
                       void (*done)(struct coordinator_call *, enum err)) {
    c->is_busy = true;
    c->call = (struct coordinator_call){.call = call, .verdict = verdict, .done = done};
    coordinator_call_start(coordinator, &c->call);
}

static void end_call(struct transaction_call *c) {
    client_call_release(&c->call.call);
    c->is_busy = false;
}

static bool is_in(const struct producer *p, enum transaction_state state) {
    return p->transaction != NULL && p->transaction->state == state;
}

// Begins what the user waits for; false: it was refused (and is told).
static bool begin_operation(struct producer *p, producer_done *done, void *context,
                            bool is_allowed) {
    struct transaction *t = p->transaction;
    struct message text;
    if (t == NULL) {
        message_set(&text, "the producer has no transactional id");
        done(context, ERR_INVALID, &text);
        return false;
    }
    if (t->done != NULL) {
        message_set(&text, "another operation of this producer's transaction is under way");
        done(context, ERR_BUSY, &text);
        return false;
    }
    t->done = done;
    t->context = context;
    if (is_allowed) return true;
    bool is_broken = t->state == TRANSACTION_ABORTABLE || t->state == TRANSACTION_FATAL;
    finish(t, is_broken ? t->error : ERR_INVALID_TXN_STATE, is_broken ? &t->error_text : NULL);
    return false;
}

// ---- The producer's id ----

static enum err init_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct init_producer_id_response *)call->call.response)->error_code);
}

static void learn_version(struct transaction *t) {
    const struct peer *peer = client_peer(t->p->client, t->coordinator.node);
    t->is_v2 = peer != NULL && peer_transaction_version(peer) >= TRANSACTION_VERSION_2;
}

// With TV1 all transactions have one epoch: a try that was not answered would count in the next one
// (KAFKA-17754).
static void doubt(struct transaction *t, const struct coordinator_call *call) {
    if (!t->is_v2 && call->call.may_come_late) t->needs_bump = true;
}

static void init_done(struct coordinator_call *call, enum err result) {
    struct transaction *t = container_of(call, struct transaction, init.call);
    struct message text = call->call.error;
    if (result == ERR_NONE) {
        const struct init_producer_id_response *r = call->call.response;
        t->p->producer_id = r->producer_id;
        t->p->producer_epoch = r->producer_epoch;
        t->needs_bump = false;
        learn_version(t);
    }
    end_call(&t->init);
    if (result == ERR_CANCELLED || t->state == TRANSACTION_FATAL) return;
    bool passes = client_may_retry(result);
    if (result == ERR_NONE) {
        t->state = TRANSACTION_READY;
    } else if (!passes) {
        set_fatal(t, result, &text);
        return;
    } else if (t->state == TRANSACTION_BUMPING) {
        // The transaction is aborted; only the new epoch is missing: aborting again asks for it.
        t->state = TRANSACTION_ABORTABLE;
        remember_error(t, result, &text);
    } else {
        t->state = TRANSACTION_UNUSED;
    }
    finish(t, result, &text);
}

static void send_init(struct transaction *t) {
    struct init_producer_id_request *r = &t->init_request;
    codec_init(&init_producer_id_request_codec, r);
    r->transactional_id = t->p->options.transactional_id;
    r->transaction_timeout_ms = t->p->options.transaction_timeout_ms;
    bool bumps = t->state == TRANSACTION_BUMPING;
    if (bumps) {
        r->producer_id = t->p->producer_id;
        r->producer_epoch = t->p->producer_epoch;
    }
    struct client_call call = {.api = API_INIT_PRODUCER_ID,
                               .version_min = bumps ? BUMP_VERSION : 0,
                               .version_max = 5,
                               .message = r};
    start_call(&t->coordinator, &t->init, call, init_verdict, init_done);
}

void producer_init(struct producer *p, producer_done *done, void *context) {
    if (!begin_operation(p, done, context, is_in(p, TRANSACTION_UNUSED))) return;
    p->transaction->state = TRANSACTION_INITIALIZING;
    send_init(p->transaction);
}

enum err producer_begin(struct producer *p, struct message *error) {
    struct transaction *t = p->transaction;
    if (t != NULL && t->state == TRANSACTION_READY) {
        t->state = TRANSACTION_OPEN;
        t->number++;
        t->has_begun = t->is_ending = false;
        return ERR_NONE;
    }
    const char *why = "the producer has no transactional id";
    if (t != NULL) {
        why = t->state == TRANSACTION_FATAL || t->state == TRANSACTION_ABORTABLE
                  ? t->error_text.text
              : t->state == TRANSACTION_UNUSED ? "the producer was not initialized"
                                               : "there is a transaction already";
    }
    message_set(error, "%s", why);
    return ERR_INVALID;
}

// ---- TV1: adding partitions ----

static enum err add_verdict(struct coordinator_call *call) {
    const struct add_partitions_to_txn_response *r = call->call.response;
    enum err first = ERR_NONE;
    for (int32_t i = 0; i < r->results_by_topic_v3_and_below_count; i++) {
        const struct add_partitions_to_txn_response_topic_result *topic =
            &r->results_by_topic_v3_and_below[i];
        for (int32_t j = 0; j < topic->results_by_partition_count; j++) {
            enum err e = err_of_wire(topic->results_by_partition[j].partition_error_code);
            // One refusal makes the others "not attempted"; of several the final one counts.
            if (e == ERR_NONE || e == ERR_OPERATION_NOT_ATTEMPTED) continue;
            if (first == ERR_NONE || client_may_retry(first)) first = e;
        }
    }
    return first;
}

static void add_done(struct coordinator_call *call, enum err result) {
    struct transaction *t = container_of(call, struct transaction, add.call);
    struct message text = call->call.error;
    end_call(&t->add);
    if (result == ERR_CANCELLED) return;
    if (result != ERR_NONE) {
        refused(t, result, &text);
        return;
    }
    const struct add_partitions_to_txn_request *r = &t->add_request;
    for (int32_t i = 0; i < r->v3_and_below_topics_count; i++) {
        struct map_node *n = map_get(&t->p->topics, r->v3_and_below_topics[i].name);
        struct produce_topic *topic = container_of(n, struct produce_topic, by_name);
        topic->partitions[r->v3_and_below_topics[i].partitions[0]]->transaction = t->number;
    }
    producer_wake(t->p);
}

static void add_partitions(struct transaction *t) {
    if (t->add.is_busy) return;
    int32_t count = 0;
    list_for_each(link, &t->p->active) {
        const struct produce_partition *q = container_of(link, struct produce_partition, active);
        count += q->transaction_asked == t->number && q->transaction != t->number;
    }
    if (count == 0) return;
    arena_reset(&t->add.arena);
    struct add_partitions_to_txn_request *r = &t->add_request;
    codec_init(&add_partitions_to_txn_request_codec, r);
    r->v3_and_below_transactional_id = t->p->options.transactional_id;
    r->v3_and_below_producer_id = t->p->producer_id;
    r->v3_and_below_producer_epoch = t->p->producer_epoch;
    r->v3_and_below_topics = add_partitions_to_txn_request_topic_new(&t->add.arena, count);
    list_for_each(link, &t->p->active) {
        struct produce_partition *q = container_of(link, struct produce_partition, active);
        if (q->transaction_asked != t->number || q->transaction == t->number) continue;
        struct add_partitions_to_txn_request_topic *topic =
            &r->v3_and_below_topics[r->v3_and_below_topics_count++];
        topic->name = q->topic->meta->name;
        topic->partitions = arena_alloc(&t->add.arena, sizeof(int32_t));
        topic->partitions[0] = q->index;
        topic->partitions_count = 1;
    }
    t->has_begun = true;
    struct client_call call = {
        .api = API_ADD_PARTITIONS_TO_TXN, .version_max = ADD_VERSION, .message = r};
    start_call(&t->coordinator, &t->add, call, add_verdict, add_done);
}

// ---- Offsets of a group ----

static enum err commit_verdict(struct coordinator_call *call) {
    const struct txn_offset_commit_response *r = call->call.response;
    for (int32_t i = 0; i < r->topics_count; i++) {
        for (int32_t j = 0; j < r->topics[i].partitions_count; j++) {
            enum err e = err_of_wire(r->topics[i].partitions[j].error_code);
            if (e != ERR_NONE) return e;
        }
    }
    return ERR_NONE;
}

static void offsets_ended(struct transaction *t, enum err result) {
    struct message text = t->offsets.call.call.error;
    end_call(&t->offsets);
    if (result == ERR_CANCELLED) return;
    if (result == ERR_NONE) {
        finish(t, ERR_NONE, NULL);
        producer_wake(t->p);
    } else {
        refused(t, result, &text);
    }
}

static void commit_done(struct coordinator_call *call, enum err result) {
    doubt(container_of(call, struct transaction, offsets.call), call);
    offsets_ended(container_of(call, struct transaction, offsets.call), result);
}

static void send_offsets(struct transaction *t) {
    struct client_call call = {.api = API_TXN_OFFSET_COMMIT,
                               .version_min = t->is_v2 ? COMMIT_V2 : 0,
                               .version_max = t->is_v2 ? COMMIT_V2 : COMMIT_V1,
                               .message = &t->commit_request};
    start_call(&t->group, &t->offsets, call, commit_verdict, commit_done);
}

static enum err add_offsets_verdict(struct coordinator_call *call) {
    return err_of_wire(
        ((const struct add_offsets_to_txn_response *)call->call.response)->error_code);
}

static void add_offsets_done(struct coordinator_call *call, enum err result) {
    struct transaction *t = container_of(call, struct transaction, offsets.call);
    if (result != ERR_NONE || t->state != TRANSACTION_OPEN) {
        offsets_ended(t, result == ERR_NONE ? ERR_TRANSACTION_ABORTABLE : result);
        return;
    }
    end_call(&t->offsets);
    send_offsets(t);
}

static void use_group(struct transaction *t, struct slice group) {
    if (t->has_group && slice_equal_cstring(group, t->group.key)) return;
    if (t->has_group) coordinator_deinit(&t->group);
    coordinator_init(&t->group, t->p->client, group, COORDINATOR_GROUP);
    t->has_group = true;
}

static void fill_commit(struct transaction *t, const struct group_offset *offsets, int32_t count,
                        const struct group_identity *group) {
    struct arena *arena = &t->offsets.arena;
    arena_reset(arena);
    struct txn_offset_commit_request *r = &t->commit_request;
    codec_init(&txn_offset_commit_request_codec, r);
    r->transactional_id = t->p->options.transactional_id;
    r->group_id = arena_copy(arena, group->group);
    r->producer_id = t->p->producer_id;
    r->producer_epoch = t->p->producer_epoch;
    r->generation_id_or_member_epoch = group->generation;
    r->member_id = group->member_id.size == 0 ? SLICE_EMPTY : arena_copy(arena, group->member_id);
    r->group_instance_id = arena_copy(arena, group->instance_id);
    r->topics = txn_offset_commit_request_topic_new(arena, MAX(count, 1));
    r->topics_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct txn_offset_commit_request_topic *topic = &r->topics[i];
        topic->name = arena_copy(arena, offsets[i].id.topic);
        topic->partitions = txn_offset_commit_request_partition_new(arena, 1);
        topic->partitions_count = 1;
        topic->partitions[0].partition_index = offsets[i].id.partition;
        topic->partitions[0].committed_offset = offsets[i].offset;
        topic->partitions[0].committed_leader_epoch = offsets[i].leader_epoch;
        topic->partitions[0].committed_metadata =
            offsets[i].metadata.size == 0 ? SLICE_EMPTY : arena_copy(arena, offsets[i].metadata);
    }
}

void producer_send_offsets(struct producer *p, const struct group_offset *offsets, int32_t count,
                           const struct group_identity *group, producer_done *done, void *context) {
    if (!begin_operation(p, done, context, is_in(p, TRANSACTION_OPEN))) return;
    struct transaction *t = p->transaction;
    if (count == 0) {
        finish(t, ERR_NONE, NULL);
        return;
    }
    use_group(t, group->group);
    fill_commit(t, offsets, count, group);
    t->has_begun = true;
    if (t->is_v2) {
        send_offsets(t);
        return;
    }
    struct add_offsets_to_txn_request *r = &t->offsets_request;
    codec_init(&add_offsets_to_txn_request_codec, r);
    r->transactional_id = p->options.transactional_id;
    r->producer_id = p->producer_id;
    r->producer_epoch = p->producer_epoch;
    r->group_id = t->commit_request.group_id;
    struct client_call call = {
        .api = API_ADD_OFFSETS_TO_TXN, .version_max = ADD_VERSION, .message = r};
    start_call(&t->coordinator, &t->offsets, call, add_offsets_verdict, add_offsets_done);
}

// ---- The end ----

static enum err end_verdict(struct coordinator_call *call) {
    return err_of_wire(((const struct end_txn_response *)call->call.response)->error_code);
}

// The transaction is ended at the coordinator, or never began there.
static void ended(struct transaction *t) {
    if (t->needs_bump) {
        t->state = TRANSACTION_BUMPING;
        send_init(t);
        return;
    }
    t->state = TRANSACTION_READY;
    learn_version(t);
    finish(t, ERR_NONE, NULL);
}

static void end_done(struct coordinator_call *call, enum err result) {
    struct transaction *t = container_of(call, struct transaction, end.call);
    struct message text = call->call.error;
    const struct end_txn_response *r = call->call.response;
    if (result == ERR_NONE && t->is_v2 && r->producer_id >= 0) {
        t->p->producer_id = r->producer_id;
        t->p->producer_epoch = r->producer_epoch;
        t->needs_bump = false;
    }
    doubt(t, call);
    end_call(&t->end);
    if (result == ERR_CANCELLED || t->state == TRANSACTION_FATAL) return;
    if (result == ERR_NONE) {
        ended(t);
    } else if (client_may_retry(result)) {
        finish(t, result, &text);  // it may have ended or not: asking again says
    } else if (t->state == TRANSACTION_COMMITTING && !is_fatal(result)) {
        refused(t, result, &text);
    } else {
        set_fatal(t, result, &text);
    }
}

static void send_end(struct transaction *t) {
    t->is_ending = true;
    if (!t->has_begun) {
        ended(t);
        return;
    }
    struct end_txn_request *r = &t->end_request;
    codec_init(&end_txn_request_codec, r);
    r->transactional_id = t->p->options.transactional_id;
    r->producer_id = t->p->producer_id;
    r->producer_epoch = t->p->producer_epoch;
    r->committed = t->state == TRANSACTION_COMMITTING;
    struct client_call call = {.api = API_END_TXN,
                               .version_min = t->is_v2 ? END_V2 : 0,
                               .version_max = t->is_v2 ? END_V2 : END_V1,
                               .message = r};
    start_call(&t->coordinator, &t->end, call, end_verdict, end_done);
}

void producer_transaction_go_on(struct producer *p) {
    struct transaction *t = p->transaction;
    bool ends = t->state == TRANSACTION_COMMITTING || t->state == TRANSACTION_ABORTING;
    if (!t->is_v2 && producer_transaction_sends(p)) add_partitions(t);
    // Also what came back to be sent again.
    bool drops = t->state == TRANSACTION_ABORTING || t->state == TRANSACTION_FATAL;
    if (drops && p->pending > 0) {
        drop_records(p, t->state == TRANSACTION_FATAL ? t->error : ERR_TRANSACTION_ABORTABLE);
    }
    bool is_quiet = p->pending == 0 && !t->add.is_busy && !t->offsets.is_busy;
    if (ends && !t->is_ending && is_quiet) send_end(t);
}

// Asked again after EndTxn was sent and its answer did not come: EndTxn is sent again.
static bool ends_again(const struct producer *p, enum transaction_state state) {
    return is_in(p, state) && p->transaction->is_ending && !p->transaction->end.is_busy;
}

void producer_commit(struct producer *p, producer_done *done, void *context) {
    bool is_allowed = is_in(p, TRANSACTION_OPEN) || ends_again(p, TRANSACTION_COMMITTING);
    if (!begin_operation(p, done, context, is_allowed)) return;
    p->transaction->state = TRANSACTION_COMMITTING;
    p->transaction->is_ending = false;
    producer_flush(p);
}

void producer_abort(struct producer *p, producer_done *done, void *context) {
    bool is_allowed = is_in(p, TRANSACTION_OPEN) || is_in(p, TRANSACTION_ABORTABLE) ||
                      ends_again(p, TRANSACTION_ABORTING);
    if (!begin_operation(p, done, context, is_allowed)) return;
    p->transaction->state = TRANSACTION_ABORTING;
    p->transaction->is_ending = false;
    producer_wake(p);  // drops what was not sent
}

// ---- Life ----

void producer_transaction_init(struct producer *p) {
    struct transaction *t = memory_zalloc(1, sizeof *t);
    struct slice id = p->options.transactional_id;
    t->p = p;
    p->transaction = t;
    env_task_init(&t->tell, run_tell);
    coordinator_init(&t->coordinator, p->client, id, COORDINATOR_TRANSACTION);
    p->options.transactional_id = slice_cstring(t->coordinator.key);
}

void producer_transaction_deinit(struct producer *p) {
    struct transaction *t = p->transaction;
    t->state = TRANSACTION_FATAL;
    struct transaction_call *calls[] = {&t->init, &t->add, &t->offsets, &t->end};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        if (calls[i]->is_busy) coordinator_call_cancel(&calls[i]->call);
        arena_deinit(&calls[i]->arena);
    }
    env_defer_cancel(p->env, &t->tell);
    coordinator_deinit(&t->coordinator);
    if (t->has_group) coordinator_deinit(&t->group);
    p->transaction = NULL;
    memory_free(t);
}
