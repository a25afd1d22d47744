// What is in the fetched bytes. A partition's position moves with every record handed out, and past
// control batches, aborted transactions and gaps when their batch is left behind. The reply's list
// of aborted transactions tells, for read_committed, at which offset each aborted producer's
// transaction begins; it ends at that producer's abort marker in the log (KIP-98).
#include "base/bytes.h"
#include "client/consumer_private.h"

// Adds the aborted transactions that begin at or before `offset`; removes the one that an abort
// marker of the producer ends.
static bool is_aborted(struct chunk *chunk, const struct batch *b) {
    while (chunk->aborted_next < chunk->aborted_count &&
           chunk->aborted[chunk->aborted_next].first_offset <= b->last_offset) {
        chunk->aborted_now[chunk->aborted_now_count++] =
            chunk->aborted[chunk->aborted_next++].producer_id;
    }
    for (int32_t i = 0; i < chunk->aborted_now_count; i++) {
        if (chunk->aborted_now[i] == b->producer_id) return true;
    }
    return false;
}

static void end_aborted(struct chunk *chunk, int64_t producer_id) {
    for (int32_t i = 0; i < chunk->aborted_now_count; i++) {
        if (chunk->aborted_now[i] != producer_id) continue;
        chunk->aborted_now[i] = chunk->aborted_now[--chunk->aborted_now_count];
        return;
    }
}

// An abort marker's key is {int16 version, int16 type}.
static enum err pass_control_batch(struct consumed_partition *p, struct chunk *chunk) {
    struct record record;
    enum err err = record_reader_next(&p->reader, &record);
    if (err == ERR_EOF) return ERR_NONE;
    if (err != ERR_NONE) return err;
    if (record.key.size >= 4 && load_i16(record.key.data + 2) == CONTROL_ABORT) {
        end_aborted(chunk, p->reader.batch.producer_id);
    }
    return ERR_NONE;
}

// Opens the next whole batch of what was fetched. ERR_EOF: there is none (a cut-off batch at the
// end is fetched again).
static enum err open_batch(struct consumer *c, struct consumed_partition *p, struct chunk *chunk) {
    struct batch b;
    enum err err = batch_decode(chunk->bytes, &b);
    if (err == ERR_EOF || (err == ERR_NONE && b.size > chunk->bytes.size)) return ERR_EOF;
    if (err != ERR_NONE) return err;
    struct slice bytes = slice_sub(chunk->bytes, 0, b.size);
    p->batch_bytes = chunk->bytes;
    if (!batch_crc_is_valid(bytes)) return ERR_CORRUPT_MESSAGE;
    chunk->bytes = slice_sub(chunk->bytes, b.size, chunk->bytes.size - b.size);
    arena_reset(&c->arena);
    err = record_reader_init(&p->reader, bytes, &c->arena, c->options.decompressed_bytes_max);
    if (err != ERR_NONE) return err;
    p->in_batch = true;
    p->skip_batch = batch_is_control(&b);
    if (c->options.read_committed && batch_is_transactional(&b)) {
        bool aborted = is_aborted(chunk, &b);
        if (batch_is_control(&b)) {
            err = pass_control_batch(p, chunk);
        } else {
            p->skip_batch = aborted;
        }
    }
    return err;
}

void consumer_suspend(struct consumed_partition *p) {
    if (!p->in_batch) return;
    p->in_batch = false;
    container_of(p->chunks.next, struct chunk, link)->bytes = p->batch_bytes;
}

static void close_batch(struct consumed_partition *p) {
    p->in_batch = false;
    p->position = MAX(p->position, p->reader.batch.last_offset + 1);
}

enum err consumer_next_record(struct consumer *c, struct consumed_partition *p,
                              struct record *record) {
    struct chunk *chunk = container_of(p->chunks.next, struct chunk, link);
    for (;;) {
        if (!p->in_batch) {
            enum err err = open_batch(c, p, chunk);
            if (err != ERR_NONE) return err;
        }
        while (!p->skip_batch) {
            enum err err = record_reader_next(&p->reader, record);
            if (err == ERR_EOF) break;
            if (err != ERR_NONE) return err;
            if (record->offset < p->position) continue;  // the fetch began inside a batch
            p->position = record->offset + 1;
            return ERR_NONE;
        }
        close_batch(p);
    }
}
