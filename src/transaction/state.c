#include "transaction/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "wire/codec.h"

struct transaction_id *transaction_find(const struct transaction_shard *s, struct slice id) {
    struct map_node *n = map_get(&s->ids, id);
    return n == NULL ? NULL : container_of(n, struct transaction_id, by_id);
}

static void patience_over(struct runtime_timer *timer) {
    struct transaction_id *id = container_of(timer, struct transaction_id, patience);
    transaction_wake(id);
}

static struct transaction_id *get(struct transaction_shard *s, struct slice name) {
    struct transaction_id *id = transaction_find(s, name);
    if (id != NULL) return id;
    id = memory_zalloc(1, sizeof *id + name.size);
    uint8_t *copy = (uint8_t *)(id + 1);
    memcpy(copy, name.data, name.size);
    id->id = slice_of(copy, name.size);
    id->shard = s;
    id->given_epoch = id->epoch_before = -1;
    list_init(&id->waiting);
    runtime_timer_init(&id->patience, patience_over);
    map_put(&s->ids, &id->by_id, id->id);
    return id;
}

void transaction_forget(struct transaction_id *id) {
    if (id->completion != NULL) completion_abandon(id->completion);
    id->completion = NULL;
    transaction_wake(id);
    runtime_timer_stop(&id->patience);
    memory_free(id->partitions);
    map_remove(&id->shard->ids, &id->by_id);
    memory_free(id);
}

// The partitions' names stay in the store's value, which lives as long as `now`.
static void set(struct transaction_id *id, const struct transaction *now) {
    memory_free(id->partitions);
    id->partitions = NULL;
    id->now = *now;
    if (now->producer_epoch == id->given_epoch) id->now.last_producer_epoch = id->epoch_before;
    if (now->partition_count > 0) {
        size_t size = (size_t)now->partition_count * sizeof *id->partitions;
        id->partitions = memcpy(memory_alloc(size), now->partitions, size);
    }
    id->now.partitions = id->partitions;
}

static enum err decode(struct slice value, struct arena *arena, struct transaction *out) {
    struct reader in = reader_of(value);
    struct transaction_log_value v;
    int16_t version = reader_i16(&in);
    if (in.failed) return ERR_CORRUPT;
    enum err err = codec_decode(&transaction_log_value_codec, version, &in, arena, 0, &v);
    return err == ERR_NONE ? transaction_of_record(&v, arena, out) : err;
}

// Key: int16 version (0), the id. Value: int16 version, TransactionLogValue.
enum err transaction_apply(void *store, struct slice key, struct slice value) {
    struct transaction_shard *s =
        container_of((struct store *)store, struct transaction_shard, store);
    struct reader in = reader_of(key);
    int16_t key_version = reader_i16(&in);
    struct arena arena;
    arena_init(&arena);
    struct transaction_log_key k;
    struct transaction now;
    // Kafka passes over keys of versions to come (KIP-915).
    enum err err = in.failed || key_version != 0
                       ? ERR_EOF
                       : codec_decode(&transaction_log_key_codec, 0, &in, &arena, 0, &k);
    if (err == ERR_NONE && slice_is_null(value)) {
        struct transaction_id *id = transaction_find(s, k.transactional_id);
        if (id != NULL) transaction_forget(id);
        err = ERR_EOF;
    }
    if (err == ERR_NONE) err = decode(value, &arena, &now);
    if (err == ERR_NONE) set(get(s, k.transactional_id), &now);
    arena_deinit(&arena);
    return err == ERR_EOF ? ERR_NONE : err;
}

void transaction_add_record(struct runtime_result *result, struct slice id,
                            const struct transaction *next, int16_t server_version) {
    struct transaction_log_key key;
    codec_init(&transaction_log_key_codec, &key);
    key.transactional_id = id;
    struct runtime_record record = {
        .key = store_encode(result->arena, 0, &transaction_log_key_codec, 0, &key)};
    if (next != NULL) {
        struct transaction_log_value value;
        transaction_to_record(next, result->arena, &value);
        int16_t version = server_version >= 1 ? 1 : 0;
        record.value =
            store_encode(result->arena, version, &transaction_log_value_codec, version, &value);
    }
    runtime_result_add(result, record);
}
