// <offset>.snapshot: the producers of a partition when its log ended at that offset. int16 version
// (1), uint32 CRC-32C of everything behind it, int32 count, then for each producer int64 id, int16
// epoch, int32 last sequence, int64 last offset, int32 offset delta of its last batch, int64 its
// timestamp, int32 coordinator epoch, int64 first offset of its open transaction (-1: none).
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/reader.h"
#include "storage/producer_state.h"

static void format_entry(const struct producer_state *state, uint8_t *p) {
    struct producer_batch last = {.last_offset = -1, .last_sequence = -1, .offset_delta = 0};
    if (state->batch_count > 0) last = state->batches[state->batch_count - 1];
    store_i64(p, state->id);
    store_i16(p + 8, state->epoch);
    store_i32(p + 10, last.last_sequence);
    store_i64(p + 14, last.last_offset);
    store_i32(p + 22, last.offset_delta);
    store_i64(p + 26, state->last_timestamp);
    store_i32(p + 34, state->coordinator_epoch);
    store_i64(p + 38, state->transaction_first_offset);
}

void producer_snapshot_format(const struct producer_table *table, struct string_buffer *out) {
    size_t start = out->size;
    uint8_t header[PRODUCER_SNAPSHOT_HEADER] = {0};
    store_i16(header, 1);
    store_i32(header + 6, producer_table_count(table));
    string_buffer_append(out, slice_of(header, sizeof header));
    if (table->has_map) {
        map_for_each(node, &table->map) {
            uint8_t entry[PRODUCER_SNAPSHOT_ENTRY];
            format_entry(&container_of(node, struct producer, node)->state, entry);
            string_buffer_append(out, slice_of(entry, sizeof entry));
        }
    }
    uint8_t *bytes = (uint8_t *)out->text + start;
    store_u32(bytes + 2, crc32c(0, bytes + 6, out->size - start - 6));
}

enum err producer_snapshot_parse(struct slice bytes,
                                 void (*visit)(void *context, const struct producer_state *state),
                                 void *context) {
    struct reader in = reader_of(bytes);
    int16_t version = reader_i16(&in);
    uint32_t crc = reader_u32(&in);
    int32_t count = reader_i32(&in);
    if (in.failed || version != 1 || count < 0) return ERR_CORRUPT;
    if (crc != crc32c(0, bytes.data + 6, bytes.size - 6)) return ERR_CORRUPT;
    if (reader_left(&in) != (size_t)count * PRODUCER_SNAPSHOT_ENTRY) return ERR_CORRUPT;
    for (int32_t i = 0; i < count; i++) {
        struct producer_state state = {.is_restored = true};
        struct producer_batch *last = &state.batches[0];
        state.id = reader_i64(&in);
        state.epoch = reader_i16(&in);
        last->last_sequence = reader_i32(&in);
        last->last_offset = reader_i64(&in);
        last->offset_delta = reader_i32(&in);
        last->timestamp = state.last_timestamp = reader_i64(&in);
        state.coordinator_epoch = reader_i32(&in);
        state.transaction_first_offset = reader_i64(&in);
        if (last->last_offset >= 0) state.batch_count = 1;
        visit(context, &state);
    }
    return reader_error(&in);
}
