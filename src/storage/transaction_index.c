// The transaction index (.txnindex, KIP-98): aborted transactions whose marker lies in the segment,
// in the order of the markers. An entry of 34 bytes: int16 version 0, int64 producer id, first
// offset, offset of the marker, last stable offset when it was written. Aborts are rare, so entries
// go straight to the file.
#include "base/bytes.h"
#include "storage/segment.h"

void aborted_entry_encode(const struct aborted_entry *entry, uint8_t out[TRANSACTION_ENTRY_SIZE]) {
    store_i16(out, 0);
    store_i64(out + 2, entry->producer_id);
    store_i64(out + 10, entry->first_offset);
    store_i64(out + 18, entry->last_offset);
    store_i64(out + 26, entry->last_stable_offset);
}

enum err aborted_entry_decode(const uint8_t in[TRANSACTION_ENTRY_SIZE],
                              struct aborted_entry *entry) {
    if (load_i16(in) != 0) return ERR_CORRUPT;
    entry->producer_id = load_i64(in + 2);
    entry->first_offset = load_i64(in + 10);
    entry->last_offset = load_i64(in + 18);
    entry->last_stable_offset = load_i64(in + 26);
    if (entry->first_offset < 0 || entry->last_offset < entry->first_offset) return ERR_CORRUPT;
    return ERR_NONE;
}

enum err segment_append_aborted(struct segment *segment, const struct aborted_entry *entry) {
    enum err err = segment_open_transactions(segment, true);
    if (err != ERR_NONE) return err;
    uint8_t bytes[TRANSACTION_ENTRY_SIZE];
    aborted_entry_encode(entry, bytes);
    err = index_file_append(&segment->transactions, bytes);
    if (err != ERR_NONE) return err;
    return index_file_flush(&segment->transactions);
}

enum err segment_read_aborted(struct segment *segment, uint32_t i, enum read_mode mode,
                              struct aborted_entry *entry) {
    uint8_t bytes[TRANSACTION_ENTRY_SIZE];
    enum err err = index_file_read(&segment->transactions, i, mode, bytes);
    if (err != ERR_NONE) return err;
    return aborted_entry_decode(bytes, entry);
}
