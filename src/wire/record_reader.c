// The records inside a batch, one after the other, each with its own length in front:
//
//   varint length, int8 attributes, varlong timestamp delta, varint offset delta,
//   varint key length (negative: null), key, varint value length (negative: null), value,
//   varint header count, { varint key length, key, varint value length (negative: null), value }
//   ...
//
// Nothing here is trusted: a record must fill its length exactly, and an array of headers must fit
// what is left.
#include "wire/batch.h"

enum err record_reader_init(struct record_reader *r, struct slice batch_bytes, struct arena *arena,
                            size_t decompressed_max) {
    struct batch batch;
    enum err err = batch_decode(batch_bytes, &batch);
    if (err != ERR_NONE) return err == ERR_EOF ? ERR_CORRUPT : err;
    if (batch.size > batch_bytes.size || batch.record_count < 0) return ERR_CORRUPT;
    struct slice body = slice_sub(batch_bytes, BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
    // A batch that compaction emptied keeps its codec bits, but has nothing to decompress.
    if (batch_compression(&batch) != COMPRESSION_NONE && batch.record_count > 0) {
        err = decompress_bytes(batch_compression(&batch), body, decompressed_max, arena, &body);
        if (err != ERR_NONE) return err;
    }
    *r = (struct record_reader){.batch = batch, .in = reader_of(body), .arena = arena, .next = 0};
    return ERR_NONE;
}

static struct slice read_nullable(struct reader *in) {
    int32_t size = reader_varint(in);
    if (size < 0) return SLICE_NULL;
    struct slice s = reader_bytes(in, (size_t)size);
    return s.size == 0 && !in->failed ? SLICE_EMPTY : s;
}

static enum err read_headers(struct record_reader *r, struct reader *in, struct record *record) {
    int32_t count = reader_varint(in);
    // The smallest header is two lengths.
    if (in->failed || count < 0 || (size_t)count > reader_left(in) / 2) return ERR_CORRUPT;
    struct record_header *headers = NULL;
    if (count > 0) headers = arena_zalloc(r->arena, (size_t)count, sizeof *headers);
    for (int32_t i = 0; i < count; i++) {
        headers[i].key = read_nullable(in);
        if (slice_is_null(headers[i].key)) return ERR_CORRUPT;
        headers[i].value = read_nullable(in);
    }
    record->headers = headers;
    record->header_count = count;
    return ERR_NONE;
}

enum err record_reader_next(struct record_reader *r, struct record *record) {
    const struct batch *batch = &r->batch;
    if (r->next >= batch->record_count) return reader_left(&r->in) > 0 ? ERR_CORRUPT : ERR_EOF;

    int32_t size = reader_varint(&r->in);
    if (r->in.failed || size < 0) return ERR_CORRUPT;
    struct slice body = reader_bytes(&r->in, (size_t)size);
    if (r->in.failed) return ERR_CORRUPT;

    struct reader in = reader_of(body);
    struct record out = {0};
    out.attributes = reader_i8(&in);
    int64_t timestamp_delta = reader_varlong(&in);
    int32_t offset_delta = reader_varint(&in);
    out.key = read_nullable(&in);
    out.value = read_nullable(&in);
    enum err err = read_headers(r, &in, &out);
    if (err != ERR_NONE) return err;
    if (in.failed || reader_left(&in) > 0) return ERR_CORRUPT;

    out.offset = (int64_t)((uint64_t)batch->base_offset + (uint64_t)(int64_t)offset_delta);
    if (batch->attributes & ATTRIBUTE_LOG_APPEND_TIME) {
        out.timestamp = batch->max_timestamp;
    } else {
        out.timestamp = (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)timestamp_delta);
    }
    r->next++;
    *record = out;
    return ERR_NONE;
}
