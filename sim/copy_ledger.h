// The checker of transactions: copiers (copier.c) read CLIENT_TOPIC and write each record to the
// same partition of COPY_TOPIC, and commit with it how far they have read, in one transaction.
// Lives outside of the nodes.
//
//   Whoever reads the copies with read_committed sees every record of the input, once, in order:
//   none of a transaction whose commit was not asked for, or that was aborted; all of one that was
//   committed. The group's offsets never fall below a commit that was acknowledged, and at the end
//   are as far as the copies.
#pragma once

#include "sim/ledger.h"

struct copy_ledger;

enum { COPY_PARTITIONS_MAX = 8 };

struct copy_ledger *copy_ledger_new(struct ledger *ledger, int32_t partition_count);
void copy_ledger_free(struct copy_ledger *copies);

// A transaction begins: its number, which its records carry. Numbers count from 1.
uint64_t copy_ledger_begin(struct copy_ledger *copies);
// Its end is about to be asked for. One that was aborted, or never got here, must never be seen.
void copy_ledger_committing(struct copy_ledger *copies, uint64_t number);
void copy_ledger_aborting(struct copy_ledger *copies, uint64_t number);
// The commit was acknowledged; `next`: the offsets of the input that come next, -1: not touched.
void copy_ledger_committed(struct copy_ledger *copies, uint64_t number,
                           const int64_t next[COPY_PARTITIONS_MAX]);
// What a stable fetch of offsets must answer at least: ask before sending it.
int64_t copy_ledger_offset(const struct copy_ledger *copies, int32_t partition);
void copy_ledger_fetched(struct copy_ledger *copies, int32_t partition, int64_t offset,
                         int64_t floor);
// A reader saw the copy of the record at `source`; `expected`: the one that must come next.
void copy_ledger_seen(struct copy_ledger *copies, uint64_t number, int32_t partition,
                      int64_t source, int64_t expected);

struct copy_counts {
    uint64_t begun;
    uint64_t committed;
    uint64_t aborted;
    uint64_t seen;
};
struct copy_counts copy_ledger_counts(const struct copy_ledger *copies);
