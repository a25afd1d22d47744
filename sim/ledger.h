// The checker: what clients were told, and what it obliges the broker to. It lives outside of the
// simulated nodes.
//
// Every record has an id of its own, so a reader knows which write it sees. The ledger keeps, for
// each partition and offset, the id that was acknowledged or read there. From that moment (design
// §4, reliability I01-I08):
//   one offset holds one record for ever; one record stands at one offset only (a retry is not a
//   second record); records of one producer stand in the order of their sending; what was rejected
//   is never read; what a reader saw or a producer was promised is there at the end.
// A power cut releases the broker from what it did not promise: in fsync mode records of acks=1
// that no reader saw, in page-cache mode all that no clean stop made durable. kill -9 releases from
// nothing.
#pragma once

#include "base/compiler.h"

struct ledger;

struct ledger *ledger_new(int32_t partition_count, bool is_durable);
void ledger_free(struct ledger *ledger);

// The first violation's sentence; NULL while there is none.
const char *ledger_violation(const struct ledger *ledger);
// Others may report, too; the first one counts.
void ledger_violate(struct ledger *ledger, const char *format, ...) PRINTF_LIKE(2, 3);
// Set together with the violation: for sim_run.
const bool *ledger_is_violated(const struct ledger *ledger);

// A record that a producer is about to send for the first time. Ids count from 1.
uint64_t ledger_record(struct ledger *ledger, int32_t producer, int32_t partition);
// acks=1 promises survival of kill -9 only: `power_safe` is for acks=all.
void ledger_acked(struct ledger *ledger, uint64_t id, int32_t partition, int64_t offset,
                  bool power_safe);
// The broker refused it for good: it must never appear.
void ledger_rejected(struct ledger *ledger, uint64_t id);
void ledger_seen(struct ledger *ledger, uint64_t id, int32_t partition, int64_t offset);
// Reader number `reader` was told this end of the partition: it never goes back.
void ledger_end_told(struct ledger *ledger, int32_t reader, int32_t partition, int64_t end);

// ---- Records that go away ----

struct sim;
// By time: records that are older than this may be gone from the start of a partition. 0: none.
void ledger_set_retention(struct ledger *ledger, struct sim *sim, uint64_t retention_ms);
// By DeleteRecords: is about to be asked for, was acknowledged with this low watermark.
void ledger_expect_trims(struct ledger *ledger);
// A crash may bring back what DeleteRecords took, in Kafka as in ours: the start of a log is not
// synced before the answer.
void ledger_crash(struct ledger *ledger);
void ledger_trimming(struct ledger *ledger, int32_t partition, int64_t offset);
void ledger_trimmed(struct ledger *ledger, int32_t partition, int64_t offset,
                    int64_t low_watermark);
// Whether readers may find that their partition begins later than at 0.
bool ledger_may_trim(const struct ledger *ledger);
// What a reader that begins at the start must not see any more: ask before it begins.
int64_t ledger_trim_floor(const struct ledger *ledger, int32_t partition);
// It began here.
void ledger_begins(struct ledger *ledger, int32_t partition, int64_t offset, int64_t floor);

void ledger_power_cut(struct ledger *ledger);
void ledger_clean_stop(struct ledger *ledger);
// True when a reader may find its offset out of range (after a power cut in page-cache mode).
bool ledger_may_go_back(const struct ledger *ledger);

// The last read: everything from the start, reported again by ledger_seen, between these two.
void ledger_begin_last_read(struct ledger *ledger);
void ledger_end_last_read(struct ledger *ledger);
// What a last read must reach at least.
int64_t ledger_promised_end(const struct ledger *ledger, int32_t partition);

struct ledger_counts {
    uint64_t records;
    uint64_t acked;
    uint64_t seen;
    uint64_t rejected;
    uint64_t released;  // promises that power cuts ended
};
struct ledger_counts ledger_counts(const struct ledger *ledger);
