// What each call reads and writes: the rules are transaction.h's, here is only who asks and what is
// answered.
#include "base/memory.h"
#include "base/pattern.h"
#include "metadata/features.h"
#include "transaction/state.h"

int16_t transaction_server_version(const struct transaction_coordinator *c) {
    return image_feature(c->image, slice_cstring(feature_row(FEATURE_TRANSACTION_VERSION)->name));
}

// Writes what an id becomes. When that is a PREPARE state, markers follow once it is durable.
static void write_next(struct transaction_shard *s, struct transaction_call *call,
                       const struct transaction *next, struct runtime_result *result) {
    struct transaction_id *id = transaction_find(s, call->transactional_id);
    if (id != NULL) {
        id->given_epoch = next->producer_epoch;
        id->epoch_before = next->last_producer_epoch;
    }
    call->wrote_prepare =
        next->state == TRANSACTION_PREPARE_COMMIT || next->state == TRANSACTION_PREPARE_ABORT;
    transaction_add_record(result, call->transactional_id, next,
                           transaction_server_version(s->coordinator));
}

// An answer of "concurrent transactions" that will soon be another one: the markers of the
// transaction before are on their way.
static enum err wait_if_ending(const struct transaction_id *id, enum err err) {
    bool is_ending =
        err == ERR_CONCURRENT_TRANSACTIONS && id != NULL &&
        (id->now.state == TRANSACTION_PREPARE_COMMIT || id->now.state == TRANSACTION_PREPARE_ABORT);
    return is_ending ? ERR_WOULD_BLOCK : err;
}

static enum err init(struct transaction_shard *s, struct transaction_call *call,
                     struct runtime_result *result) {
    struct transaction_init *in = &call->init;
    int32_t longest = config_int(s->coordinator->config, BROKER_TRANSACTION_MAX_TIMEOUT_MS);
    if (in->timeout_ms <= 0 || in->timeout_ms > longest) return ERR_INVALID_TRANSACTION_TIMEOUT;
    in->now_ms = env_wall_ms(transaction_env(s));
    in->server_version = transaction_server_version(s->coordinator);
    const struct transaction_id *id = transaction_find(s, call->transactional_id);
    struct transaction fresh;
    if (id == NULL) {
        call->needs_producer_id = call->fresh_producer_id == -1;
        fresh = transaction_new(call->fresh_producer_id, in->timeout_ms, in->now_ms);
    } else {
        call->needs_producer_id =
            call->fresh_producer_id == -1 && transaction_start_needs_id(&id->now, in);
    }
    if (call->needs_producer_id) return ERR_NONE;
    if (id != NULL && id->now.state == TRANSACTION_ONGOING &&
        env_mutant(transaction_env(s), MUTANT_TXN_NO_FENCE)) {
        call->producer_id = id->now.producer_id;
        call->producer_epoch = id->now.producer_epoch;
        return ERR_NONE;
    }
    struct transaction next;
    enum err err =
        transaction_start(id == NULL ? &fresh : &id->now, in, call->fresh_producer_id, &next);
    if (err != ERR_NONE) return wait_if_ending(id, err);
    write_next(s, call, &next, result);
    call->producer_id = next.producer_id;
    call->producer_epoch = next.producer_epoch;
    // Who had the transaction open is fenced, its end comes first: the client asks again.
    call->answers_concurrent = next.state == TRANSACTION_PREPARE_ABORT;
    return ERR_NONE;
}

static enum err add(struct transaction_shard *s, struct transaction_call *call,
                    struct runtime_result *result) {
    const struct transaction_id *id = transaction_find(s, call->transactional_id);
    if (id == NULL) return ERR_INVALID_PRODUCER_ID_MAPPING;
    call->add.now_ms = env_wall_ms(transaction_env(s));
    struct transaction next;
    bool changed;
    enum err err = transaction_add(&id->now, &call->add, result->arena, &next, &changed);
    if (err != ERR_NONE) return wait_if_ending(id, err);
    if (changed) write_next(s, call, &next, result);
    return ERR_NONE;
}

static enum err verify(struct transaction_shard *s, struct transaction_call *call,
                       struct runtime_result *result) {
    (void)result;
    const struct transaction_id *id = transaction_find(s, call->transactional_id);
    int32_t count = call->add.partition_count;
    call->partition_errors = arena_zalloc(call->arena, (size_t)count, sizeof(enum err));
    for (int32_t i = 0; i < count; i++) {
        call->partition_errors[i] =
            id == NULL ? ERR_INVALID_PRODUCER_ID_MAPPING
                       : transaction_verify(&id->now, call->add.producer_id,
                                            call->add.producer_epoch, &call->add.partitions[i]);
    }
    return ERR_NONE;
}

static enum err end(struct transaction_shard *s, struct transaction_call *call,
                    struct runtime_result *result) {
    const struct transaction_id *id = transaction_find(s, call->transactional_id);
    if (id == NULL) return ERR_INVALID_PRODUCER_ID_MAPPING;
    call->end.now_ms = env_wall_ms(transaction_env(s));
    call->end.from_client = true;
    if (env_mutant(transaction_env(s), MUTANT_TXN_END_ANY_EPOCH))
        call->end.producer_epoch = id->now.producer_epoch;
    call->needs_producer_id =
        call->fresh_producer_id == -1 && transaction_end_needs_id(&id->now, &call->end);
    if (call->needs_producer_id) return ERR_NONE;
    struct transaction next;
    bool changed;
    enum err err = transaction_end(&id->now, &call->end, call->fresh_producer_id, &next, &changed);
    if (err != ERR_NONE) return wait_if_ending(id, err);
    if (changed) write_next(s, call, &next, result);
    bool has_new_id = next.next_producer_id != -1;
    call->producer_id = has_new_id ? next.next_producer_id : next.producer_id;
    call->producer_epoch = has_new_id ? 0 : next.producer_epoch;
    return ERR_NONE;
}

static enum err describe(struct transaction_shard *s, struct transaction_call *call,
                         struct runtime_result *result) {
    (void)result;
    const struct transaction_id *id = transaction_find(s, call->transactional_id);
    if (id == NULL || id->now.state == TRANSACTION_DEAD) return ERR_TRANSACTIONAL_ID_NOT_FOUND;
    call->described = id->now;
    size_t count = (size_t)id->now.partition_count;
    struct transaction_partition *list = arena_zalloc(call->arena, count, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i].topic = arena_copy(call->arena, id->now.partitions[i].topic);
        list[i].partition = id->now.partitions[i].partition;
    }
    call->described.partitions = list;
    return ERR_NONE;
}

static bool is_listed(const struct transaction_id *id, const struct transaction_list_filter *filter,
                      int64_t now_ms) {
    const struct transaction *now = &id->now;
    bool fits = filter->state_count == 0 && now->state != TRANSACTION_DEAD;
    for (int32_t i = 0; i < filter->state_count; i++) {
        fits |= slice_equal_cstring(filter->states[i], transaction_state_name(now->state));
    }
    bool is_one = filter->producer_id_count == 0;
    for (int32_t i = 0; i < filter->producer_id_count; i++) {
        is_one |= filter->producer_ids[i] == now->producer_id;
    }
    bool lasts = filter->longer_than_ms < 0 || now_ms - now->start_ms > filter->longer_than_ms;
    return fits && is_one && lasts &&
           (filter->pattern == NULL || pattern_matches(filter->pattern, id->id));
}

static enum err list(struct transaction_shard *s, struct transaction_call *call,
                     struct runtime_result *result) {
    (void)result;
    call->list = arena_zalloc(call->arena, s->ids.count, sizeof *call->list);
    int64_t now_ms = env_wall_ms(transaction_env(s));
    map_for_each(n, &s->ids) {
        const struct transaction_id *id = container_of(n, struct transaction_id, by_id);
        if (!is_listed(id, &call->filter, now_ms)) continue;
        call->list[call->list_count++] =
            (struct transaction_listed){.transactional_id = arena_copy(call->arena, id->id),
                                        .producer_id = id->now.producer_id,
                                        .state = id->now.state};
    }
    return ERR_NONE;
}

typedef enum err execute(struct transaction_shard *shard, struct transaction_call *call,
                         struct runtime_result *result);

enum err transaction_execute(struct transaction_shard *s, struct transaction_call *call,
                             struct runtime_result *result) {
    static execute *const by_kind[] = {
        [TRANSACTION_INIT] = init, [TRANSACTION_ADD] = add,           [TRANSACTION_VERIFY] = verify,
        [TRANSACTION_END] = end,   [TRANSACTION_DESCRIBE] = describe, [TRANSACTION_LIST] = list,
    };
    call->needs_producer_id = call->wrote_prepare = call->answers_concurrent = false;
    call->list_count = 0;
    return by_kind[call->kind](s, call, result);
}
