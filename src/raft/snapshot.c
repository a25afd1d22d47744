// The files of snapshot.h. Offsets inside a file count its records from 0; the leader epoch of
// every batch is that of the snapshot's name. Nothing is compressed. The size of a batch is bounded
// as in the log (8 MiB), so a lying length cannot make us allocate more.
#include "raft/snapshot.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"

#define BATCH_BYTES_MAX  (8 * 1024 * 1024 + BATCH_HEADER_SIZE)
#define BATCH_BYTES_GOAL (256 * 1024)
#define NAME_SUFFIX      ".checkpoint"
#define NAME_SIZE        (20 + 1 + 10 + sizeof(NAME_SUFFIX) - 1)

// ---- Names ----

int snapshot_id_compare(struct snapshot_id a, struct snapshot_id b) {
    if (a.end_offset != b.end_offset) return a.end_offset < b.end_offset ? -1 : 1;
    return (a.epoch > b.epoch) - (a.epoch < b.epoch);
}

static bool parse_digits(struct slice text, int64_t *value) {
    return text.data[0] >= '0' && text.data[0] <= '9' && slice_parse_int64(text, value);
}

bool snapshot_name_parse(struct slice name, struct snapshot_id *id) {
    int64_t end_offset, epoch;
    if (name.size != NAME_SIZE || name.data[20] != '-') return false;
    if (!slice_ends_with(name, SLICE_LITERAL(NAME_SUFFIX))) return false;
    if (!parse_digits(slice_sub(name, 0, 20), &end_offset)) return false;
    if (!parse_digits(slice_sub(name, 21, 10), &epoch) || epoch > INT32_MAX) return false;
    *id = (struct snapshot_id){end_offset, (int32_t)epoch};
    return true;
}

void snapshot_path(struct slice directory, struct snapshot_id id, const char *suffix,
                   struct string_buffer *path) {
    string_buffer_append(path, directory);
    string_buffer_format(path, "/%020" PRId64 "-%010" PRId32 NAME_SUFFIX "%s", id.end_offset,
                         id.epoch, suffix);
}

struct listing {
    struct arena *arena;
    struct snapshot_id *ids;
    int32_t count;
    int32_t capacity;
    struct slice *leftovers;
    int32_t leftover_count;
    int32_t leftover_capacity;
};

static void list_entry(void *context, struct slice name) {
    struct listing *list = context;
    struct snapshot_id id;
    if (snapshot_name_parse(name, &id)) {
        if (list->count == list->capacity) {
            list->capacity = MAX(8, 2 * list->capacity);
            list->ids = memory_realloc(list->ids, (size_t)list->capacity, sizeof *list->ids);
        }
        list->ids[list->count++] = id;
        return;
    }
    struct slice suffixes[] = {SLICE_LITERAL(".part"), SLICE_LITERAL(".deleted")};
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        if (!slice_ends_with(name, suffixes[i])) continue;
        struct slice base = slice_sub(name, 0, name.size - suffixes[i].size);
        if (!snapshot_name_parse(base, &id)) continue;
        if (list->leftover_count == list->leftover_capacity) {
            list->leftover_capacity = MAX(8, 2 * list->leftover_capacity);
            list->leftovers = memory_realloc(list->leftovers, (size_t)list->leftover_capacity,
                                             sizeof *list->leftovers);
        }
        list->leftovers[list->leftover_count++] = arena_copy(list->arena, name);
    }
}

enum err snapshot_list(struct env *env, struct slice directory, struct arena *arena,
                       struct snapshot_id **ids, int32_t *count) {
    struct listing list = {.arena = arena};
    enum err err = env_list_directory(env, directory, list_entry, &list);
    if (err == ERR_NOT_FOUND) err = ERR_NONE;
    for (int32_t i = 0; err == ERR_NONE && i < list.leftover_count; i++) {
        struct slice path = arena_format(arena, "%.*s/%.*s", SLICE_PRINT(directory),
                                         SLICE_PRINT(list.leftovers[i]));
        err = env_unlink(env, path);
        if (err == ERR_NOT_FOUND) err = ERR_NONE;
    }
    if (err == ERR_NONE) {
        // Names are of fixed width: the order of bytes, in which they came, is that of numbers.
        *ids = arena_zalloc(arena, (size_t)list.count, sizeof **ids);
        if (list.count > 0) memcpy(*ids, list.ids, (size_t)list.count * sizeof **ids);
        *count = list.count;
    }
    memory_free(list.ids);
    memory_free(list.leftovers);
    return err;
}

// ---- Reading ----

static enum err damaged(struct message *error, const struct snapshot_reader *reader,
                        const char *what) {
    message_set(error, "%.*s: %s at byte %" PRIu64, SLICE_PRINT(file_path(reader->file)), what,
                reader->position);
    return ERR_CORRUPT;
}

static enum err read_exactly(struct snapshot_reader *reader, size_t size, struct message *error) {
    size_t got;
    enum err err = file_read(reader->file, reader->position, reader->data, size, &got);
    if (err != ERR_NONE) {
        message_set(error, "cannot read %.*s: %s", SLICE_PRINT(file_path(reader->file)),
                    err_text(err));
        return err;
    }
    return got == size ? ERR_NONE : damaged(error, reader, "the file ends inside a batch");
}

// Reads the batch at the position and moves behind it.
static enum err read_batch(struct snapshot_reader *reader, struct batch *header,
                           struct slice *bytes, struct message *error) {
    enum err err = read_exactly(reader, BATCH_HEADER_SIZE, error);
    if (err != ERR_NONE) return err;
    if (batch_decode(slice_of(reader->data, BATCH_HEADER_SIZE), header) != ERR_NONE)
        return damaged(error, reader, "no record batch");
    if (header->size > BATCH_BYTES_MAX || header->size > reader->size - reader->position)
        return damaged(error, reader, "a batch longer than the file");
    if (header->size > reader->capacity) {
        reader->data = memory_realloc(reader->data, header->size, 1);
        reader->capacity = header->size;
    }
    err = read_exactly(reader, header->size, error);
    if (err != ERR_NONE) return err;
    *bytes = slice_of(reader->data, header->size);
    if (!batch_crc_is_valid(*bytes)) return damaged(error, reader, "a batch with a wrong CRC");
    if (header->base_offset != reader->next_offset || header->last_offset_delta < 0)
        return damaged(error, reader, "a batch out of order");
    reader->next_offset = header->last_offset + 1;
    reader->position += header->size;
    return ERR_NONE;
}

// Takes header, quorum records and footer out of a control batch.
static enum err read_control(struct snapshot_reader *reader, struct slice bytes, bool first,
                             struct arena *arena, struct message *error) {
    struct arena scratch;
    arena_init(&scratch);
    struct record_reader records;
    enum err err = record_reader_init(&records, bytes, &scratch, BATCH_BYTES_MAX);
    for (int32_t i = 0; err == ERR_NONE; i++) {
        struct record record;
        struct control_record control;
        err = record_reader_next(&records, &record);
        if (err != ERR_NONE) break;
        if (reader->footer_seen) {
            err = ERR_CORRUPT;
            break;
        }
        err = control_decode(&record, &scratch, &control, error);
        if (err != ERR_NONE) goto out;
        bool is_header = control.type == CONTROL_SNAPSHOT_HEADER;
        if (is_header != (first && i == 0)) {
            err = ERR_CORRUPT;
            break;
        }
        if (is_header)
            reader->last_contained_log_timestamp_ms = control.last_contained_log_timestamp_ms;
        else if (control.type == CONTROL_KRAFT_VERSION && arena != NULL)
            reader->kraft_version = control.kraft_version;
        else if (control.type == CONTROL_KRAFT_VOTERS && arena != NULL)
            reader->voters = raft_voters_copy(&control.voters, arena);
        else if (control.type == CONTROL_SNAPSHOT_FOOTER)
            reader->footer_seen = true;
    }
    if (err == ERR_EOF)
        err = ERR_NONE;
    else
        err = damaged(error, reader, "a control batch that does not belong there before");
out:
    arena_deinit(&scratch);
    return err;
}

enum err snapshot_reader_open(struct env *env, struct slice path, struct arena *arena,
                              struct snapshot_reader *reader, struct message *error) {
    struct file *file;
    enum err err = file_open(env, path, FILE_READ, &file);
    if (err != ERR_NONE) {
        message_set(error, "cannot open %.*s: %s", SLICE_PRINT(path), err_text(err));
        return err;
    }
    *reader = (struct snapshot_reader){.file = file, .capacity = 4096};
    reader->data = memory_alloc(reader->capacity);
    struct batch header;
    struct slice bytes;
    err = file_size(file, &reader->size);
    if (err == ERR_NONE) err = read_batch(reader, &header, &bytes, error);
    if (err == ERR_NONE && !batch_is_control(&header))
        err = damaged(error, reader, "no snapshot header");
    if (err == ERR_NONE) err = read_control(reader, bytes, true, arena, error);
    if (err != ERR_NONE) snapshot_reader_close(reader);
    return err;
}

enum err snapshot_reader_next(struct snapshot_reader *reader, struct slice *batch,
                              struct message *error) {
    struct batch header;
    struct slice bytes;
    for (;;) {
        if (reader->footer_seen) {
            if (reader->position == reader->size) return ERR_EOF;
            return damaged(error, reader, "bytes behind the footer");
        }
        enum err err = read_batch(reader, &header, &bytes, error);
        if (err != ERR_NONE) return err;
        if (!batch_is_control(&header)) break;
        err = read_control(reader, bytes, false, NULL, error);
        if (err != ERR_NONE) return err;
    }
    *batch = bytes;
    return ERR_NONE;
}

void snapshot_reader_close(struct snapshot_reader *reader) {
    file_close(reader->file);
    memory_free(reader->data);
    *reader = (struct snapshot_reader){0};
}

enum err snapshot_verify(struct env *env, struct slice path, struct message *error) {
    struct arena arena;
    arena_init(&arena);
    struct snapshot_reader reader;
    enum err err = snapshot_reader_open(env, path, &arena, &reader, error);
    if (err == ERR_NONE) {
        struct slice batch;
        do
            err = snapshot_reader_next(&reader, &batch, error);
        while (err == ERR_NONE);
        snapshot_reader_close(&reader);
    }
    arena_deinit(&arena);
    return err == ERR_EOF ? ERR_NONE : err;
}

// ---- Writing ----

static void begin_batch(struct snapshot_writer *writer, int16_t attributes) {
    batch_builder_reset(&writer->builder);
    writer->builder.base_offset = writer->next_offset;
    writer->builder.leader_epoch = writer->epoch;
    writer->builder.attributes = attributes;
}

static void flush(struct snapshot_writer *writer) {
    struct slice bytes;
    if (writer->error != ERR_NONE || writer->builder.record_count == 0) return;
    int32_t count = writer->builder.record_count;
    writer->error = batch_builder_finish(&writer->builder, COMPRESSION_NONE, 0, &bytes);
    if (writer->error != ERR_NONE) return;
    writer->error = file_write(writer->file, writer->position, bytes.data, bytes.size);
    writer->position += bytes.size;
    writer->next_offset += count;
}

enum err snapshot_writer_open(struct env *env, struct slice directory, struct slice name,
                              int32_t epoch, int64_t last_contained_log_timestamp_ms,
                              int16_t kraft_version, const struct raft_voters *voters,
                              struct snapshot_writer *writer) {
    *writer = (struct snapshot_writer){.env = env, .epoch = epoch};
    string_buffer_init(&writer->path);
    string_buffer_init(&writer->part_path);
    string_buffer_init(&writer->directory);
    batch_builder_init(&writer->builder);
    string_buffer_append(&writer->directory, directory);
    string_buffer_format(&writer->path, "%.*s/%.*s", SLICE_PRINT(directory), SLICE_PRINT(name));
    string_buffer_format(&writer->part_path, "%s.part", writer->path.text);
    writer->error =
        file_open(env, string_buffer_slice(&writer->part_path), FILE_CREATE, &writer->file);
    if (writer->error == ERR_NONE) writer->error = file_truncate(writer->file, 0);
    int64_t now_ms = env_wall_ms(env);
    writer->now_ms = now_ms;
    begin_batch(writer, ATTRIBUTE_CONTROL);
    control_append_snapshot_header(&writer->builder, now_ms, last_contained_log_timestamp_ms);
    if (voters != NULL) {
        control_append_kraft_version(&writer->builder, now_ms, kraft_version);
        control_append_voters(&writer->builder, now_ms, voters);
    }
    flush(writer);
    begin_batch(writer, 0);
    enum err err = writer->error;
    if (err != ERR_NONE) snapshot_writer_close(writer);
    return err;
}

enum err snapshot_writer_append(struct snapshot_writer *writer, struct slice value) {
    writer->now_ms = env_wall_ms(writer->env);
    struct record record = {.timestamp = writer->now_ms, .key = SLICE_NULL, .value = value};
    size_t size = batch_builder_size_with(&writer->builder, &record);
    if (size > BATCH_BYTES_GOAL && writer->builder.record_count > 0) {
        flush(writer);
        begin_batch(writer, 0);
    }
    batch_builder_append(&writer->builder, &record);
    return writer->error;
}

enum err snapshot_writer_commit(struct snapshot_writer *writer) {
    flush(writer);
    begin_batch(writer, ATTRIBUTE_CONTROL);
    control_append_snapshot_footer(&writer->builder, writer->now_ms);
    flush(writer);
    if (writer->error == ERR_NONE) writer->error = file_sync(writer->file);
    if (writer->error != ERR_NONE) return writer->error;
    file_close(writer->file);
    writer->file = NULL;
    writer->error = env_rename(writer->env, string_buffer_slice(&writer->part_path),
                               string_buffer_slice(&writer->path));
    if (writer->error == ERR_NONE) {
        string_buffer_clear(&writer->part_path);
        writer->error = env_sync_directory(writer->env, string_buffer_slice(&writer->directory));
    }
    return writer->error;
}

void snapshot_writer_close(struct snapshot_writer *writer) {
    file_close(writer->file);
    if (writer->part_path.size > 0) {
        enum err ignored = env_unlink(writer->env, string_buffer_slice(&writer->part_path));
        (void)ignored;  // the next start removes it
    }
    batch_builder_deinit(&writer->builder);
    string_buffer_deinit(&writer->path);
    string_buffer_deinit(&writer->part_path);
    string_buffer_deinit(&writer->directory);
    writer->file = NULL;
}
