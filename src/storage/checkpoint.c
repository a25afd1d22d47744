// The small text files. Offsets and epochs: line "0" (version), a line with the number of lines
// that follow, then the lines themselves, fields separated by one blank. meta.properties is a Java
// properties file, .kafka_cleanshutdown one JSON object.
#include "storage/checkpoint.h"

#include <inttypes.h>

// Cuts the next line off; false at the end. A CR before the LF is dropped, a last line without LF
// counts.
static bool next_line(struct slice *text, struct slice *line) {
    if (text->size == 0) return false;
    struct slice rest;
    if (slice_split(*text, '\n', line, &rest)) {
        *text = rest;
    } else {
        *line = *text;
        *text = SLICE_EMPTY;
    }
    if (line->size > 0 && line->data[line->size - 1] == '\r') line->size--;
    return true;
}

static bool parse_int32(struct slice s, int32_t *value) {
    int64_t wide;
    if (!slice_parse_int64(s, &wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
    *value = (int32_t)wide;
    return true;
}

// The two first lines. `line_size_min` bounds the count by what is left.
static enum err parse_head(struct slice *text, size_t line_size_min, int32_t *count) {
    struct slice line;
    int64_t version;
    if (!next_line(text, &line) || !slice_parse_int64(line, &version) || version != 0)
        return ERR_CORRUPT;
    if (!next_line(text, &line) || !parse_int32(line, count) || *count < 0) return ERR_CORRUPT;
    if ((size_t)*count > (text->size + 1) / line_size_min) return ERR_CORRUPT;
    return ERR_NONE;
}

static bool only_blank_left(struct slice text) {
    return slice_trim(text).size == 0;
}

enum err checkpoint_parse(struct slice text, struct arena *arena, struct checkpoint_entry **entries,
                          int32_t *count) {
    int32_t n;
    enum err err = parse_head(&text, sizeof "t 0 0\n" - 1, &n);
    if (err != ERR_NONE) return err;
    struct checkpoint_entry *list = arena_zalloc(arena, (size_t)n, sizeof *list);
    for (int32_t i = 0; i < n; i++) {
        struct slice line, rest, partition, offset;
        if (!next_line(&text, &line)) return ERR_CORRUPT;
        if (!slice_split(line, ' ', &list[i].topic, &rest) || list[i].topic.size == 0)
            return ERR_CORRUPT;
        if (!slice_split(rest, ' ', &partition, &offset)) return ERR_CORRUPT;
        if (!parse_int32(partition, &list[i].partition) || list[i].partition < 0)
            return ERR_CORRUPT;
        if (!slice_parse_int64(offset, &list[i].offset)) return ERR_CORRUPT;
        list[i].topic = arena_copy(arena, list[i].topic);
    }
    if (!only_blank_left(text)) return ERR_CORRUPT;
    *entries = list;
    *count = n;
    return ERR_NONE;
}

void checkpoint_format(const struct checkpoint_entry *entries, int32_t count,
                       struct string_buffer *out) {
    string_buffer_format(out, "0\n%d\n", count);
    for (int32_t i = 0; i < count; i++) {
        string_buffer_append(out, entries[i].topic);
        string_buffer_format(out, " %d %" PRId64 "\n", entries[i].partition, entries[i].offset);
    }
}

enum err epoch_checkpoint_parse(struct slice text, struct arena *arena,
                                struct epoch_entry **entries, int32_t *count) {
    int32_t n;
    enum err err = parse_head(&text, sizeof "0 0\n" - 1, &n);
    if (err != ERR_NONE) return err;
    struct epoch_entry *list = arena_zalloc(arena, (size_t)n, sizeof *list);
    for (int32_t i = 0; i < n; i++) {
        struct slice line, epoch, offset;
        if (!next_line(&text, &line) || !slice_split(line, ' ', &epoch, &offset))
            return ERR_CORRUPT;
        if (!parse_int32(epoch, &list[i].epoch) || list[i].epoch < 0) return ERR_CORRUPT;
        if (!slice_parse_int64(offset, &list[i].start_offset) || list[i].start_offset < 0)
            return ERR_CORRUPT;
        if (i > 0 && (list[i].epoch <= list[i - 1].epoch ||
                      list[i].start_offset < list[i - 1].start_offset)) {
            return ERR_CORRUPT;
        }
    }
    if (!only_blank_left(text)) return ERR_CORRUPT;
    *entries = list;
    *count = n;
    return ERR_NONE;
}

void epoch_checkpoint_format(const struct epoch_entry *entries, int32_t count,
                             struct string_buffer *out) {
    string_buffer_format(out, "0\n%d\n", count);
    for (int32_t i = 0; i < count; i++) {
        string_buffer_format(out, "%d %" PRId64 "\n", entries[i].epoch, entries[i].start_offset);
    }
}

// "name: value" of partition.metadata.
static bool parse_field(struct slice *text, struct slice name, struct slice *value) {
    struct slice line, found;
    if (!next_line(text, &line) || !slice_split(line, ':', &found, value)) return false;
    *value = slice_trim(*value);
    return slice_equal(slice_trim(found), name);
}

enum err partition_metadata_parse(struct slice text, struct uuid *topic_id) {
    struct slice version, id;
    struct uuid parsed;
    if (!parse_field(&text, SLICE_LITERAL("version"), &version) ||
        !slice_equal(version, SLICE_LITERAL("0"))) {
        return ERR_CORRUPT;
    }
    if (!parse_field(&text, SLICE_LITERAL("topic_id"), &id) || !uuid_parse(id, &parsed))
        return ERR_CORRUPT;
    if (uuid_is_zero(parsed) || !only_blank_left(text)) return ERR_CORRUPT;
    *topic_id = parsed;
    return ERR_NONE;
}

void partition_metadata_format(struct uuid topic_id, struct string_buffer *out) {
    char text[UUID_TEXT_SIZE];
    string_buffer_format(out, "version: 0\ntopic_id: %s", uuid_format(topic_id, text));
}

// ---- meta.properties ----

// Java properties: '#' and '!' begin comments; '=' or ':' or white space separates. The values here
// never need escapes, so a backslash is taken as it is.
static bool parse_property(struct slice line, struct slice *key, struct slice *value) {
    line = slice_trim(line);
    if (line.size == 0 || line.data[0] == '#' || line.data[0] == '!') return false;
    if (!slice_split(line, '=', key, value) && !slice_split(line, ':', key, value)) {
        *key = line;
        *value = SLICE_EMPTY;
    }
    *key = slice_trim(*key);
    *value = slice_trim(*value);
    return true;
}

enum err meta_properties_parse(struct slice text, struct arena *arena, struct meta_properties *meta,
                               struct message *error) {
    struct meta_properties parsed = {.cluster_id = SLICE_NULL, .node_id = -1};
    struct slice line, key, value;
    int64_t version = -1;
    while (next_line(&text, &line)) {
        if (!parse_property(line, &key, &value)) continue;
        bool valid = true;
        if (slice_equal_cstring(key, "version")) {
            valid = slice_parse_int64(value, &version);
        } else if (slice_equal_cstring(key, "cluster.id")) {
            parsed.cluster_id = arena_copy(arena, value);
        } else if (slice_equal_cstring(key, "node.id") || slice_equal_cstring(key, "broker.id")) {
            valid = parse_int32(value, &parsed.node_id) && parsed.node_id >= 0;
        } else if (slice_equal_cstring(key, "directory.id")) {
            valid =
                uuid_parse(value, &parsed.directory_id) && !uuid_is_reserved(parsed.directory_id);
            parsed.has_directory_id = valid;
        }
        if (!valid) {
            message_set(error, "meta.properties: %.*s=%.*s is not valid", SLICE_PRINT(key),
                        SLICE_PRINT(value));
            return ERR_CORRUPT;
        }
    }
    if (version != 1) {
        message_set(error, "meta.properties: version %" PRId64 " is not supported; it must be 1",
                    version);
        return ERR_CORRUPT;
    }
    if (slice_is_null(parsed.cluster_id) || parsed.cluster_id.size == 0 || parsed.node_id < 0) {
        message_set(error, "meta.properties: cluster.id or node.id is missing");
        return ERR_CORRUPT;
    }
    *meta = parsed;
    return ERR_NONE;
}

void meta_properties_format(const struct meta_properties *meta, struct string_buffer *out) {
    string_buffer_format(out, "#\nnode.id=%d\n", meta->node_id);
    if (meta->has_directory_id) {
        char id[UUID_TEXT_SIZE];
        string_buffer_format(out, "directory.id=%s\n", uuid_format(meta->directory_id, id));
    }
    string_buffer_append(out, SLICE_LITERAL("version=1\ncluster.id="));
    string_buffer_append(out, meta->cluster_id);
    string_buffer_append_char(out, '\n');
}

// ---- .kafka_cleanshutdown ----

enum err clean_shutdown_parse(struct slice text, int64_t *broker_epoch) {
    text = slice_trim(text);
    // Before KIP-1030's JSON form the file was empty.
    if (text.size == 0) {
        *broker_epoch = -1;
        return ERR_NONE;
    }
    if (text.size < 2 || text.data[0] != '{' || text.data[text.size - 1] != '}') return ERR_CORRUPT;
    struct slice rest = slice_sub(text, 1, text.size - 2), field;
    int64_t epoch = -1, version = -1;
    while (rest.size > 0) {
        struct slice after, name, value;
        if (slice_split(rest, ',', &field, &after)) {
            rest = after;
        } else {
            field = rest;
            rest = SLICE_EMPTY;
        }
        if (!slice_split(field, ':', &name, &value)) return ERR_CORRUPT;
        name = slice_trim(name);
        value = slice_trim(value);
        if (slice_equal_cstring(name, "\"version\"") && !slice_parse_int64(value, &version))
            return ERR_CORRUPT;
        if (slice_equal_cstring(name, "\"brokerEpoch\"") && !slice_parse_int64(value, &epoch))
            return ERR_CORRUPT;
    }
    if (version != 0) return ERR_CORRUPT;
    *broker_epoch = epoch;
    return ERR_NONE;
}

void clean_shutdown_format(int64_t broker_epoch, struct string_buffer *out) {
    string_buffer_format(out, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
}
