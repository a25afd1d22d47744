// Any bytes as each of the small state files: parsed or refused, never more memory than the file is
// worth; what parses formats to something that parses to the same.
#include <stdlib.h>

#include "storage/checkpoint.h"
#include "storage/log_directory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds) abort();
}

static void offsets(struct slice text, struct arena *arena, struct string_buffer *out) {
    struct checkpoint_entry *entries, *again;
    int32_t count, count_again;
    if (checkpoint_parse(text, arena, &entries, &count) != ERR_NONE) return;
    checkpoint_format(entries, count, out);
    check(checkpoint_parse(string_buffer_slice(out), arena, &again, &count_again) == ERR_NONE);
    check(count == count_again);
    for (int32_t i = 0; i < count; i++)
        check(entries[i].offset == again[i].offset && entries[i].partition == again[i].partition);
}

static void epochs(struct slice text, struct arena *arena, struct string_buffer *out) {
    struct epoch_entry *entries, *again;
    int32_t count, count_again;
    if (epoch_checkpoint_parse(text, arena, &entries, &count) != ERR_NONE) return;
    epoch_checkpoint_format(entries, count, out);
    check(epoch_checkpoint_parse(string_buffer_slice(out), arena, &again, &count_again) ==
          ERR_NONE);
    check(count == count_again);
}

static void identity(struct slice text, struct arena *arena, struct string_buffer *out) {
    struct uuid id, id_again;
    if (partition_metadata_parse(text, &id) == ERR_NONE) {
        partition_metadata_format(id, out);
        check(partition_metadata_parse(string_buffer_slice(out), &id_again) == ERR_NONE);
        check(uuid_equal(id, id_again));
        string_buffer_clear(out);
    }
    struct meta_properties meta, meta_again;
    struct message error;
    message_init(&error);
    if (meta_properties_parse(text, arena, &meta, &error) != ERR_NONE) {
        check(error.text[0] != '\0');
        return;
    }
    meta_properties_format(&meta, out);
    check(meta_properties_parse(string_buffer_slice(out), arena, &meta_again, &error) == ERR_NONE);
    check(meta.node_id == meta_again.node_id);
}

static void names(struct slice text) {
    int64_t epoch;
    (void)!clean_shutdown_parse(text, &epoch);
    struct partition_directory partition;
    if (!partition_directory_parse(text, &partition)) return;
    check(partition.partition >= 0 && partition.topic.size > 0);
    if (partition.kind != PARTITION_DIRECTORY_CURRENT) return;
    struct string_buffer name;
    string_buffer_init(&name);
    partition_directory_format(partition.topic, partition.partition, &name);
    check(slice_equal(string_buffer_slice(&name), text));
    string_buffer_deinit(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_of(data, size);
    struct arena arena;
    arena_init(&arena);
    struct string_buffer out;
    string_buffer_init(&out);
    offsets(text, &arena, &out);
    string_buffer_clear(&out);
    epochs(text, &arena, &out);
    string_buffer_clear(&out);
    identity(text, &arena, &out);
    names(text);
    check(arena.total <= 100 * size + 65536);
    string_buffer_deinit(&out);
    arena_deinit(&arena);
    return 0;
}
