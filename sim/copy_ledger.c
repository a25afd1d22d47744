#include "sim/copy_ledger.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/internal.h"

enum transaction_fate { FATE_OPEN, FATE_COMMITTING, FATE_COMMITTED, FATE_ABORTED };

struct copy_ledger {
    struct ledger *ledger;
    int32_t partition_count;
    uint8_t *fates;  // enum transaction_fate, by number
    size_t count, capacity;
    int64_t committed[COPY_PARTITIONS_MAX];
    struct copy_counts counts;
};

struct copy_ledger *copy_ledger_new(struct ledger *ledger, int32_t partition_count) {
    assert(partition_count <= COPY_PARTITIONS_MAX);
    struct copy_ledger *copies = sim_alloc(sizeof *copies);
    copies->ledger = ledger;
    copies->partition_count = partition_count;
    copies->count = 1;
    return copies;
}

void copy_ledger_free(struct copy_ledger *copies) {
    free(copies->fates);
    free(copies);
}

uint64_t copy_ledger_begin(struct copy_ledger *copies) {
    if (copies->count >= copies->capacity) {
        copies->capacity = copies->capacity == 0 ? 1024 : copies->capacity * 2;
        copies->fates = realloc(copies->fates, copies->capacity);
        if (copies->fates == NULL) abort();
    }
    copies->fates[copies->count] = FATE_OPEN;
    copies->counts.begun++;
    return copies->count++;
}

void copy_ledger_committing(struct copy_ledger *copies, uint64_t number) {
    copies->fates[number] = FATE_COMMITTING;
}

void copy_ledger_aborting(struct copy_ledger *copies, uint64_t number) {
    // After a commit that was not answered nobody knows what it will be.
    if (copies->fates[number] != FATE_OPEN) return;
    copies->fates[number] = FATE_ABORTED;
    copies->counts.aborted++;
}

void copy_ledger_committed(struct copy_ledger *copies, uint64_t number,
                           const int64_t next[COPY_PARTITIONS_MAX]) {
    copies->fates[number] = FATE_COMMITTED;
    copies->counts.committed++;
    for (int32_t i = 0; i < copies->partition_count; i++)
        copies->committed[i] = MAX(copies->committed[i], next[i]);
}

int64_t copy_ledger_offset(const struct copy_ledger *copies, int32_t partition) {
    return copies->committed[partition];
}

void copy_ledger_fetched(struct copy_ledger *copies, int32_t partition, int64_t offset,
                         int64_t floor) {
    if (offset >= floor) return;
    ledger_violate(copies->ledger,
                   "a committed transaction left offset %lld of partition %d, now it is %lld",
                   (long long)floor, partition, (long long)offset);
}

void copy_ledger_seen(struct copy_ledger *copies, uint64_t number, int32_t partition,
                      int64_t source, int64_t expected) {
    copies->counts.seen++;
    if (number == 0 || number >= copies->count) {
        ledger_violate(copies->ledger, "a copy in partition %d is of no transaction", partition);
        return;
    }
    uint8_t fate = copies->fates[number];
    if (fate == FATE_OPEN || fate == FATE_ABORTED) {
        ledger_violate(copies->ledger,
                       "a copy of offset %lld of partition %d is read, though its transaction %s",
                       (long long)source, partition,
                       fate == FATE_OPEN ? "is undecided" : "was aborted");
    } else if (source != expected) {
        ledger_violate(copies->ledger,
                       "in the copies of partition %d, %lld comes where %lld should: %s", partition,
                       (long long)source, (long long)expected,
                       source > expected ? "records are lost" : "records are doubled");
    }
}

struct copy_counts copy_ledger_counts(const struct copy_ledger *copies) {
    return copies->counts;
}
