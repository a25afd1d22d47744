// What a partition knows of its producers (KIP-98, KIP-360): for each producer id its epoch, its
// last five batches (so that a retry finds the offset that it got the first time), its open
// transaction. Rebuilt from the log: a snapshot file at some offset plus the batch headers behind
// it.
//
// The table is changed when offsets are assigned, before the batch is written; producer_undo takes
// the change back when the write fails. Owned by its log.
#pragma once

#include "base/map.h"
#include "storage/segment.h"

#define PRODUCER_BATCHES_MAX 5
#define NO_PRODUCER_EPOCH    (-1)

struct producer_batch {
    int64_t last_offset;
    int64_t timestamp;
    int32_t last_sequence;
    int32_t offset_delta;  // last offset - base offset: the batch has delta + 1 records
};

// Copied whole for undo; the table's node comes apart.
struct producer_state {
    int64_t id;
    int64_t last_timestamp;
    int64_t transaction_first_offset;  // -1: no open transaction
    int32_t coordinator_epoch;         // of the last marker; -1: none
    int16_t epoch;                     // NO_PRODUCER_EPOCH: never wrote
    int8_t batch_count;
    bool is_restored;  // from a snapshot: the log may know earlier batches than these
    struct producer_batch batches[PRODUCER_BATCHES_MAX];  // oldest first
};

struct producer {
    struct map_node node;  // key: the bytes of state.id
    struct list open;      // in table->open while a transaction is open
    uint32_t markers;      // that came since it is in the table
    struct producer_state state;
};

// A transaction whose marker is in the log but may not be below the high watermark yet.
struct completed_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;  // of the marker
    bool aborted;
};

// Producers that are about to begin their first transaction here: the coordinator is being asked.
// When an earlier batch is turned away meanwhile, a later one must not be taken for the beginning.
struct producer_beginning {
    struct map_node node;  // key: the bytes of id
    int64_t id;
    int32_t lowest_sequence;  // that was seen
    bool from_zero;           // TV2: only 0 may begin
    int64_t wall_ms;
};

struct producer_table {
    struct map map;
    bool has_map;             // buckets come with the first producer
    struct producer *recent;  // the last one that wrote: found without the map
    uint64_t map_seed;
    struct list open;                         // producers with an open transaction, by first offset
    struct completed_transaction *completed;  // by last offset; heap
    int32_t completed_count;
    int32_t completed_capacity;
    struct map beginnings;  // of producer_beginning; of producers that are not in `map`
    bool has_beginnings;
    int64_t end_offset;       // the state holds everything below
    int64_t snapshot_offset;  // the newest snapshot on disk (or asked for); -1: none
};

void producer_table_init(struct producer_table *table, uint64_t map_seed);
void producer_table_deinit(struct producer_table *table);
// Forgets all producers.
void producer_table_clear(struct producer_table *table);
struct producer *producer_table_find(const struct producer_table *table,
                                     int64_t producer_id);  // NULL
int32_t producer_table_count(const struct producer_table *table);

// The batch with exactly these sequences in this epoch, if it is among the last five; NULL
// otherwise.
const struct producer_batch *producer_find_duplicate(const struct producer_table *table,
                                                     const struct batch *batch);

// Whether a client's batch follows the producer's last one: ERR_NONE, ERR_INVALID_PRODUCER_EPOCH,
// ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, ERR_INVALID_TXN_STATE (not transactional while a transaction is
// open). `error` gets Kafka's sentence.
MUST_CHECK enum err producer_check(const struct producer_table *table, const struct batch *batch,
                                   int64_t offset, const char *partition, struct message *error);
// Whether a batch without a sequence (a coordinator's) may be written: ERR_INVALID_PRODUCER_EPOCH.
MUST_CHECK enum err producer_check_epoch(const struct producer_table *table,
                                         const struct batch *batch, int64_t offset,
                                         const char *partition, struct message *error);
// Whether a transaction marker may be written: ERR_INVALID_PRODUCER_EPOCH,
// ERR_TRANSACTION_COORDINATOR_FENCED. With TV2 (`version` 2) its epoch must be newer than the
// transaction's, or it ends nothing and repeats the last marker.
MUST_CHECK enum err producer_check_marker(const struct producer_table *table,
                                          const struct batch *batch, int32_t coordinator_epoch,
                                          int16_t version, const char *partition,
                                          struct message *error);

// A transactional batch of a producer waits for its coordinator (see producer_beginning); nothing
// for a producer that is known.
void producer_note_beginning(struct producer_table *table, int64_t producer_id, int32_t sequence,
                             bool from_zero, int64_t wall_ms);

// The value of a transaction marker and its type.
struct transaction_marker {
    enum control_type type;  // CONTROL_ABORT, CONTROL_COMMIT
    int32_t coordinator_epoch;
};
// False when the control batch holds no transaction marker (raft's own control records) or is
// damaged.
bool transaction_marker_read(struct slice batch_bytes, struct transaction_marker *marker);

// Takes note of a data batch with a producer id, or of a marker. Offsets are final. For a marker
// that ends an open transaction `completed` is filled and true returned.
bool producer_table_apply(struct producer_table *table, const struct batch *batch,
                          const struct transaction_marker *marker,
                          struct completed_transaction *completed);
// The last stable offset that an abort's index entry records: the oldest other open transaction, or
// behind the marker.
int64_t producer_table_stable_after(const struct producer_table *table,
                                    const struct completed_transaction *completed);
// See log_last_stable_offset.
int64_t producer_table_last_stable(struct producer_table *table, int64_t high_watermark);
// Drops producers without an open transaction whose last batch is older than `expiration_ms`.
void producer_table_expire(struct producer_table *table, int64_t wall_ms, int64_t expiration_ms);
// Equal for equal states, whatever the order of arrival.
uint64_t producer_table_hash(const struct producer_table *table);

// ---- Undo ----

struct producer_undo {
    struct producer_undo *next;  // of a free list
    bool existed;
    bool completed;  // a completed transaction was added
    struct producer_state before;
};
void producer_undo_save(const struct producer_table *table, int64_t producer_id,
                        struct producer_undo *undo);
// Newest first.
void producer_undo_apply(struct producer_table *table, int64_t producer_id,
                         const struct producer_undo *undo);

// ---- Snapshot files (producer_snapshot.c) ----

// int16 version 1, uint32 CRC-32C of what follows, int32 count, entries of 46 bytes.
#define PRODUCER_SNAPSHOT_HEADER 10
#define PRODUCER_SNAPSHOT_ENTRY  46
void producer_snapshot_format(const struct producer_table *table, struct string_buffer *out);
// Calls `visit` for each entry; ERR_CORRUPT before the first call when version, CRC or size is
// wrong. Unknown trailing bytes are corrupt.
MUST_CHECK enum err producer_snapshot_parse(struct slice bytes,
                                            void (*visit)(void *context,
                                                          const struct producer_state *state),
                                            void *context);
// Replaces the table's contents by a snapshot; entries expired at `wall_ms` are left out.
MUST_CHECK enum err producer_table_load(struct producer_table *table, struct slice bytes,
                                        int64_t wall_ms, int64_t expiration_ms);
