#include "sim/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/internal.h"

#define READERS_MAX 8

struct slot {
    uint64_t id;  // 0: nothing known
    bool acked;
    bool power_safe;
    bool seen;
    bool seen_last;  // by the last read
};

struct ledger_partition {
    struct slot *slots;  // by offset
    size_t count;
    size_t capacity;
    int64_t safe_end;  // of the last clean stop
    int64_t end_told[READERS_MAX];
    int64_t trim_asked;  // the highest offset that DeleteRecords was sent for
    int64_t trim_acked;
};

struct ledger_entry {
    int32_t producer;
    int32_t partition;
    int64_t offset;  // -1: not known to stand anywhere
    bool rejected;
    uint64_t made_ns;
};

struct ledger {
    struct ledger_partition *partitions;
    int32_t partition_count;
    struct ledger_entry *entries;  // by id; [0] is nobody
    size_t entry_count;
    size_t entry_capacity;
    struct sim *sim;        // for the time; NULL: records do not go away by time
    uint64_t retention_ns;  // 0: never
    bool trims;
    bool is_durable;
    bool went_back;  // there was a power cut in page-cache mode
    bool is_last_read;
    bool is_violated;
    char violation[300];
    struct ledger_counts counts;
};

#define OFFSETS_MAX    10000000
#define CLOCK_SLACK_NS (1000 * NS_PER_MS)

struct ledger *ledger_new(int32_t partition_count, bool is_durable) {
    struct ledger *ledger = sim_alloc(sizeof *ledger);
    ledger->partitions = sim_alloc((size_t)partition_count * sizeof *ledger->partitions);
    ledger->partition_count = partition_count;
    ledger->is_durable = is_durable;
    ledger->entry_count = 1;
    return ledger;
}

void ledger_free(struct ledger *ledger) {
    for (int32_t i = 0; i < ledger->partition_count; i++)
        free(ledger->partitions[i].slots);
    free(ledger->partitions);
    free(ledger->entries);
    free(ledger);
}

const char *ledger_violation(const struct ledger *ledger) {
    return ledger->is_violated ? ledger->violation : NULL;
}
const bool *ledger_is_violated(const struct ledger *ledger) {
    return &ledger->is_violated;
}
struct ledger_counts ledger_counts(const struct ledger *ledger) {
    return ledger->counts;
}
bool ledger_may_go_back(const struct ledger *ledger) {
    return ledger->went_back;
}

void ledger_violate(struct ledger *ledger, const char *format, ...) {
    if (ledger->is_violated) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ledger->violation, sizeof ledger->violation, format, arguments);
    va_end(arguments);
    ledger->is_violated = true;
}

// ---- Memory ----

static void *grow(void *array, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) return array;
    size_t before = *capacity;
    *capacity = MAX(needed, before * 2);
    uint8_t *grown = realloc(array, *capacity * size);
    if (grown == NULL) abort();
    memset(grown + before * size, 0, (*capacity - before) * size);
    return grown;
}

static struct slot *slot_at(struct ledger_partition *partition, int64_t offset) {
    size_t index = (size_t)offset;
    partition->slots =
        grow(partition->slots, &partition->capacity, index + 1, sizeof *partition->slots);
    partition->count = MAX(partition->count, index + 1);
    return &partition->slots[index];
}

uint64_t ledger_record(struct ledger *ledger, int32_t producer, int32_t partition) {
    ledger->entries = grow(ledger->entries, &ledger->entry_capacity, ledger->entry_count + 1,
                           sizeof *ledger->entries);
    ledger->entries[ledger->entry_count] = (struct ledger_entry){
        producer, partition, -1, false, ledger->sim == NULL ? 0 : sim_now_ns(ledger->sim)};
    ledger->counts.records++;
    return ledger->entry_count++;
}

// ---- Promises ----

// The record stands there: NULL, and a violation, when that contradicts what was known.
static struct slot *place(struct ledger *ledger, uint64_t id, int32_t partition, int64_t offset) {
    if (partition < 0 || partition >= ledger->partition_count || offset < 0 ||
        offset > OFFSETS_MAX) {
        ledger_violate(ledger, "partition %d, offset %lld: no such place", partition,
                       (long long)offset);
        return NULL;
    }
    if (id == 0 || id >= ledger->entry_count) {
        ledger_violate(ledger, "partition %d, offset %lld holds a record that nobody sent",
                       partition, (long long)offset);
        return NULL;
    }
    struct ledger_entry *entry = &ledger->entries[id];
    struct slot *slot = slot_at(&ledger->partitions[partition], offset);
    if (entry->rejected) {
        ledger_violate(ledger,
                       "record %llu was rejected, but stands at offset %lld of partition %d",
                       (unsigned long long)id, (long long)offset, partition);
    } else if (slot->id != 0 && slot->id != id) {
        ledger_violate(ledger, "partition %d, offset %lld held record %llu and now record %llu",
                       partition, (long long)offset, (unsigned long long)slot->id,
                       (unsigned long long)id);
    } else if (entry->partition != partition) {
        ledger_violate(ledger, "record %llu was sent to partition %d, but stands in %d",
                       (unsigned long long)id, entry->partition, partition);
    } else if (entry->offset >= 0 && entry->offset != offset) {
        ledger_violate(ledger, "record %llu stands twice in partition %d: at offsets %lld and %lld",
                       (unsigned long long)id, partition, (long long)entry->offset,
                       (long long)offset);
    } else {
        slot->id = id;
        entry->offset = offset;
        return slot;
    }
    return NULL;
}

void ledger_acked(struct ledger *ledger, uint64_t id, int32_t partition, int64_t offset,
                  bool power_safe) {
    struct slot *slot = place(ledger, id, partition, offset);
    if (slot == NULL) return;
    if (!slot->acked) ledger->counts.acked++;
    slot->acked = true;
    slot->power_safe |= power_safe && ledger->is_durable;
}

void ledger_rejected(struct ledger *ledger, uint64_t id) {
    struct ledger_entry *entry = &ledger->entries[id];
    if (entry->offset >= 0) {
        ledger_violate(ledger, "record %llu was rejected, but stands at offset %lld",
                       (unsigned long long)id, (long long)entry->offset);
    }
    entry->rejected = true;
    ledger->counts.rejected++;
}

void ledger_seen(struct ledger *ledger, uint64_t id, int32_t partition, int64_t offset) {
    struct slot *slot = place(ledger, id, partition, offset);
    if (slot == NULL) return;
    slot->seen = true;
    slot->seen_last = ledger->is_last_read;
    ledger->counts.seen++;
}

void ledger_end_told(struct ledger *ledger, int32_t reader, int32_t partition, int64_t end) {
    int64_t *told = &ledger->partitions[partition].end_told[reader % READERS_MAX];
    // In page-cache mode a reader may tell an end again that it was told before a power cut.
    if (end < *told && !ledger->went_back) {
        ledger_violate(ledger, "the end of partition %d went back from %lld to %lld", partition,
                       (long long)*told, (long long)end);
    }
    *told = end;
}

// ---- Records that go away ----

void ledger_set_retention(struct ledger *ledger, struct sim *sim, uint64_t retention_ms) {
    ledger->sim = sim;
    ledger->retention_ns = retention_ms * NS_PER_MS;
}

void ledger_expect_trims(struct ledger *ledger) {
    ledger->trims = true;
}

void ledger_crash(struct ledger *ledger) {
    for (int32_t i = 0; i < ledger->partition_count; i++)
        ledger->partitions[i].trim_acked = 0;
}

void ledger_trimming(struct ledger *ledger, int32_t partition, int64_t offset) {
    struct ledger_partition *p = &ledger->partitions[partition];
    p->trim_asked = MAX(p->trim_asked, offset);
}

void ledger_trimmed(struct ledger *ledger, int32_t partition, int64_t offset,
                    int64_t low_watermark) {
    struct ledger_partition *p = &ledger->partitions[partition];
    if (low_watermark < offset || low_watermark > p->trim_asked) {
        ledger_violate(
            ledger,
            "partition %d was trimmed to %lld and begins at %lld, at most %lld was asked for",
            partition, (long long)offset, (long long)low_watermark, (long long)p->trim_asked);
    }
    p->trim_acked = MAX(p->trim_acked, offset);
}

bool ledger_may_trim(const struct ledger *ledger) {
    return ledger->trims || ledger->retention_ns > 0;
}

int64_t ledger_trim_floor(const struct ledger *ledger, int32_t partition) {
    return ledger->partitions[partition].trim_acked;
}

static bool may_be_gone(const struct ledger *ledger, const struct ledger_partition *p,
                        size_t offset) {
    if ((int64_t)offset < p->trim_asked) return true;
    if (ledger->retention_ns == 0 || p->slots[offset].id == 0) return false;
    uint64_t made_ns = ledger->entries[p->slots[offset].id].made_ns;
    // The clocks of machines differ by as much.
    return made_ns + ledger->retention_ns <= sim_now_ns(ledger->sim) + CLOCK_SLACK_NS;
}

void ledger_begins(struct ledger *ledger, int32_t partition, int64_t offset, int64_t floor) {
    const struct ledger_partition *p = &ledger->partitions[partition];
    if (offset < MIN(floor, p->trim_acked)) {
        ledger_violate(ledger, "partition %d was trimmed to %lld and begins at %lld", partition,
                       (long long)floor, (long long)offset);
    }
    for (size_t i = 0; i < (size_t)offset && i < p->count; i++) {
        bool is_known = p->slots[i].acked || p->slots[i].seen;
        if (!is_known || may_be_gone(ledger, p, i)) continue;
        ledger_violate(ledger, "partition %d begins at %lld, nobody deleted offset %lld of %llu ms",
                       partition, (long long)offset, (long long)i,
                       (unsigned long long)(ledger->entries[p->slots[i].id].made_ns / NS_PER_MS));
        return;
    }
}

// Offsets below are promised even after a power cut. Logs lose their ends only, so the last promise
// covers all before it.
static int64_t power_safe_end(const struct ledger *ledger, const struct ledger_partition *p) {
    for (size_t i = p->count; i > (size_t)p->safe_end; i--) {
        const struct slot *slot = &p->slots[i - 1];
        if (ledger->is_durable && (slot->power_safe || slot->seen)) return (int64_t)i;
    }
    return p->safe_end;
}

void ledger_power_cut(struct ledger *ledger) {
    for (int32_t i = 0; i < ledger->partition_count; i++) {
        struct ledger_partition *p = &ledger->partitions[i];
        for (size_t k = (size_t)power_safe_end(ledger, p); k < p->count; k++) {
            struct slot *slot = &p->slots[k];
            if (slot->id == 0) continue;
            ledger->entries[slot->id].offset = -1;
            if (slot->acked) ledger->counts.released++;
            *slot = (struct slot){0};
        }
        p->count = (size_t)MIN((int64_t)p->count, power_safe_end(ledger, p));
    }
    ledger->went_back |= !ledger->is_durable;
}

void ledger_clean_stop(struct ledger *ledger) {
    for (int32_t i = 0; i < ledger->partition_count; i++) {
        ledger->partitions[i].safe_end = (int64_t)ledger->partitions[i].count;
    }
}

// ---- The end ----

int64_t ledger_promised_end(const struct ledger *ledger, int32_t partition) {
    const struct ledger_partition *p = &ledger->partitions[partition];
    for (size_t i = p->count; i > 0; i--) {
        if (p->slots[i - 1].acked || p->slots[i - 1].seen) return (int64_t)i;
    }
    return 0;
}

void ledger_begin_last_read(struct ledger *ledger) {
    ledger->is_last_read = true;
}

static void check_order(struct ledger *ledger, int32_t partition) {
    const struct ledger_partition *p = &ledger->partitions[partition];
    enum { PRODUCERS = 64 };
    uint64_t last[PRODUCERS] = {0};
    for (size_t i = 0; i < p->count; i++) {
        uint64_t id = p->slots[i].id;
        if (id == 0) continue;
        uint64_t *before = &last[ledger->entries[id].producer % PRODUCERS];
        if (id < *before) {
            ledger_violate(
                ledger,
                "partition %d: record %llu stands behind record %llu, which was sent after it",
                partition, (unsigned long long)id, (unsigned long long)*before);
        }
        *before = id;
    }
}

void ledger_end_last_read(struct ledger *ledger) {
    for (int32_t i = 0; i < ledger->partition_count; i++) {
        const struct ledger_partition *p = &ledger->partitions[i];
        for (size_t k = 0; k < p->count; k++) {
            const struct slot *slot = &p->slots[k];
            if (slot->seen_last || (!slot->acked && !slot->seen)) continue;
            if (may_be_gone(ledger, p, k)) continue;
            ledger_violate(ledger, "record %llu was %s at offset %lld of partition %d and is lost",
                           (unsigned long long)slot->id, slot->acked ? "acknowledged" : "read",
                           (long long)k, i);
        }
        check_order(ledger, i);
    }
}
