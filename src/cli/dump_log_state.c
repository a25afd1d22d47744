// Transaction indexes (int16 version, then an AbortedTxn, 34 bytes each) and producer snapshots
// (int16 version, CRC-32C over what follows it, then the entries).
#include <stdio.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "cli/dump_log.h"
#include "gen/rec/storage.h"
#include "wire/codec.h"

#define STATE_MAX              ((size_t)1 << 30)
#define SNAPSHOT_CRC_END       6  // int16 version, uint32 CRC
#define SNAPSHOT_VERSION       1
#define TRANSACTION_ENTRY_SIZE 34

// ---- Transaction index ----

static enum err print_aborted(struct dump *d, struct reader *in, struct arena *arena) {
    struct aborted_txn entry;
    int16_t version = reader_i16(in);
    enum err err = codec_decode(&aborted_txn_codec, version, in, arena, 0, &entry);
    if (err) return err;
    dump_begin(d, "aborted transaction", "");
    dump_number(d, "version", version);
    dump_number(d, "producerId", entry.producer_id);
    dump_number(d, "firstOffset", entry.first_offset);
    dump_number(d, "lastOffset", entry.last_offset);
    dump_number(d, "lastStableOffset", entry.last_stable_offset);
    dump_end(d);
    return ERR_NONE;
}

enum err dump_transaction_index(struct dump *d) {
    uint8_t *data = NULL;
    size_t size = 0;
    enum err err = env_read_file(d->env, d->path, STATE_MAX, &data, &size);
    if (err) return err;
    struct arena arena;
    arena_init(&arena);
    struct reader in = reader_of(slice_of(data, size));
    while (err == ERR_NONE && reader_left(&in) >= TRANSACTION_ENTRY_SIZE)
        err = print_aborted(d, &in, &arena);
    if (err != ERR_NONE || reader_left(&in) > 0) {
        d->is_damaged = true;
        dump_find(d, "%.*s has an entry that cannot be read", SLICE_PRINT(d->path));
    }
    arena_deinit(&arena);
    memory_free(data);
    return ERR_NONE;
}

// ---- Producer snapshot ----

static void print_optional_offset(struct dump *d, const char *name, int64_t offset) {
    if (offset < 0) {
        dump_value(d, name, SLICE_LITERAL("OptionalLong.empty"), SLICE_LITERAL("null"));
        return;
    }
    char text[48], json[32];
    snprintf(text, sizeof text, "OptionalLong[%lld]", (long long)offset);
    snprintf(json, sizeof json, "%lld", (long long)offset);
    dump_value(d, name, slice_cstring(text), slice_cstring(json));
}

static void print_producer(struct dump *d, const struct producer_snapshot_producer_entry *entry) {
    dump_begin(d, "producer", "");
    dump_number(d, "producerId", entry->producer_id);
    dump_number(d, "producerEpoch", entry->epoch);
    dump_number(d, "coordinatorEpoch", entry->coordinator_epoch);
    print_optional_offset(d, "currentTxnFirstOffset", entry->current_txn_first_offset);
    dump_number(d, "lastTimestamp", entry->timestamp);
    if (entry->last_offset >= 0) {
        // Sequences wrap from 2^31 - 1 to 0.
        uint32_t first =
            ((uint32_t)entry->last_sequence - (uint32_t)entry->offset_delta) & INT32_MAX;
        dump_number(d, "firstSequence", first);
        dump_number(d, "lastSequence", entry->last_sequence);
        dump_number(d, "lastOffset", entry->last_offset);
        dump_number(d, "offsetDelta", entry->offset_delta);
        dump_number(d, "timestamp", entry->timestamp);
    }
    dump_end(d);
}

static enum err decode_snapshot(struct slice bytes, struct arena *arena,
                                struct producer_snapshot *snapshot, const char **why) {
    struct reader in = reader_of(bytes);
    int16_t version = reader_i16(&in);
    *why = "its version is not known";
    if (in.failed || version != SNAPSHOT_VERSION) return ERR_CORRUPT;
    *why = "it is cut off";
    enum err err = codec_decode(&producer_snapshot_codec, version, &in, arena, 0, snapshot);
    if (err != ERR_NONE || reader_left(&in) > 0) return ERR_CORRUPT;
    *why = "its CRC is wrong";
    uint32_t crc = crc32c(0, bytes.data + SNAPSHOT_CRC_END, bytes.size - SNAPSHOT_CRC_END);
    return crc == snapshot->crc ? ERR_NONE : ERR_CORRUPT;
}

enum err dump_producer_snapshot(struct dump *d) {
    uint8_t *data = NULL;
    size_t size = 0;
    enum err err = env_read_file(d->env, d->path, STATE_MAX, &data, &size);
    if (err) return err;
    struct arena arena;
    arena_init(&arena);
    struct producer_snapshot snapshot;
    const char *why = NULL;
    if (decode_snapshot(slice_of(data, size), &arena, &snapshot, &why) == ERR_NONE) {
        for (int32_t i = 0; i < snapshot.producer_entries_count; i++)
            print_producer(d, &snapshot.producer_entries[i]);
    } else {
        d->is_damaged = true;
        dump_find(d, "%.*s is no producer snapshot that can be trusted: %s", SLICE_PRINT(d->path),
                  why);
    }
    arena_deinit(&arena);
    memory_free(data);
    return ERR_NONE;
}
