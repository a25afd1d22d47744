// The compacted view of a coordinator's partition: for every key the value that was written last.
// It is the persistent state of a coordinator, and the only thing that replay changes; whatever
// else a coordinator keeps (decoded groups, members …) follows from it by `apply`.
//
// What was written inside a transaction (KIP-98) waits beside it until the transaction's marker
// comes, and then counts unless the key was written again meanwhile: what stands later in the log
// wins, wherever the marker stands.
//
// It also keeps what it takes to go back: while a write is not durable, the value that its key had
// before. So a failed write is taken back by setting the old values again, in reverse order, and a
// coordinator needs no code of its own for that.
//
// Belongs to its shard's reactor.
#pragma once

#include "base/map.h"
#include "base/slice.h"
#include "gen/err.h"

struct arena;
struct codec_struct;

struct store_entry {
    struct map_node by_key;  // by_key.key
    struct slice value;
    size_t capacity;  // bytes of the value's block
    int64_t offset;   // of the record
};

// An open transaction.
struct store_transaction {
    struct map_node by_producer;  // int64 producer id
    int64_t producer_id;
    int16_t producer_epoch;
    struct map entries;  // of store_entry: what it would write
};

struct store {
    struct map entries;
    struct map transactions;  // of store_transaction, none of them empty
    size_t bytes;             // keys and values of all entries: what a rewritten log would hold
    struct list undo;         // of store_undo, oldest first
    bool keeps_undo;          // false while the log is loaded
    // Called after the key has got its value (null: it is gone). The slices live until the next
    // change of that key.
    enum err (*apply)(void *context, struct slice key, struct slice value);
    // One open transaction more, or less, would write the key. NULL: nobody asks.
    enum err (*pending)(void *context, struct slice key, bool more);
    void *context;
};

void store_init(struct store *store, uint64_t seed,
                enum err (*apply)(void *context, struct slice key, struct slice value),
                void *context);
void store_deinit(struct store *store);

// Sets the key, or removes it when value is null; copies both. `offset`: of the record. A removal
// also takes the key out of open transactions.
MUST_CHECK enum err store_put(struct store *store, struct slice key, struct slice value,
                              int64_t offset);
// The same inside a transaction. A removal counts at once, as in Kafka.
MUST_CHECK enum err store_put_pending(struct store *store, int64_t producer_id,
                                      int16_t producer_epoch, struct slice key, struct slice value,
                                      int64_t offset);
// The marker at `offset`: what the transaction wrote counts now, or never. One that is not open is
// no error.
MUST_CHECK enum err store_end_transaction(struct store *store, int64_t producer_id, bool commit,
                                          int64_t offset);
// Null when there is none.
struct slice store_get(const struct store *store, struct slice key);

// Everything up to `offset` is durable: no way back below it.
void store_committed(struct store *store, int64_t offset);
// Takes back everything beyond `offset`.
void store_rollback(struct store *store, int64_t offset);
// After loading: applies every entry once (while loading nothing is applied), then keeps undo.
MUST_CHECK enum err store_loaded(struct store *store);

// A key or a value as the logs of internal topics hold it: an int16 (a key's type, a value's
// version) and the message, in the arena.
struct slice store_encode(struct arena *arena, int16_t prefix, const struct codec_struct *codec,
                          int16_t version, void *message);

// Equal for equal contents, whatever the order in which they came.
uint64_t store_hash(const struct store *store);

// What a checker compares: the state of a shard before a crash with the same after its log was
// read again.
struct store_fingerprint {
    int32_t partition;
    bool is_loaded;
    bool is_durable;  // there is nothing to take back
    uint64_t hash;
};
struct store_fingerprint store_fingerprint(const struct store *store, int32_t partition,
                                           bool is_loaded);
