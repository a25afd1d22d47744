// Batches of a file one after another. A length that does not fit into the file ends the walk, as
// it does for Kafka: what follows is a torn tail, preallocated zeros, or damage, and the caller
// says how many bytes that is.
#include "base/bytes.h"
#include "base/memory.h"
#include "cli/dump_log.h"

// Up to and with the magic: what every format has.
#define PREFIX_SIZE 17

enum err dump_batches_open(struct dump *d, struct slice path, struct dump_batches *b) {
    *b = (struct dump_batches){.position = 0};
    enum err err = file_open(d->env, path, FILE_READ, &b->file);
    if (err) return err;
    err = file_size(b->file, &b->end);
    if (err) dump_batches_close(b);
    return err;
}

void dump_batches_close(struct dump_batches *b) {
    file_close(b->file);
    memory_free(b->buffer);
    *b = (struct dump_batches){.position = 0};
}

static void make_room(struct dump_batches *b, size_t size) {
    if (size <= b->capacity) return;
    b->capacity = MAX(size, (size_t)65536);
    memory_free(b->buffer);
    b->buffer = memory_alloc(b->capacity);
}

enum err dump_batches_next(struct dump_batches *b, struct slice *batch) {
    if (b->position >= b->end || b->end - b->position < PREFIX_SIZE) return ERR_EOF;
    uint8_t prefix[PREFIX_SIZE];
    size_t got = 0;
    enum err err = file_read(b->file, b->position, prefix, sizeof prefix, &got);
    if (err) return err;
    if (got < sizeof prefix) return ERR_EOF;
    int32_t length = load_i32(prefix + BATCH_LENGTH);
    if (length < PREFIX_SIZE - BATCH_OVERHEAD) return ERR_EOF;
    uint64_t size = (uint64_t)length + BATCH_OVERHEAD;
    if (size > b->end - b->position) return ERR_EOF;

    make_room(b, size);
    err = file_read(b->file, b->position, b->buffer, size, &got);
    if (err) return err;
    if (got < size) return ERR_EOF;
    b->position += size;
    *batch = slice_of(b->buffer, size);
    return ERR_NONE;
}
