// A control record's key is {int16 version = 0, int16 type}; its value is a flexible message
// without a frame, whose first field repeats the version that it is written at.
#include "raft/control.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/chain.h"
#include "base/memory.h"
#include "gen/rec/raft.h"
#include "wire/codec.h"

#define KRAFT_VERSION_MAX 1
#define VOTERS_MAX        1000

static void append(struct batch_builder *builder, int64_t timestamp_ms, enum control_type type,
                   const struct codec_struct *codec, void *message) {
    assert((builder->attributes & ATTRIBUTE_CONTROL) != 0);
    struct chain chain;
    chain_init(&chain);
    enum err err = codec_encode(codec, 0, message, &chain, NULL);
    assert(err == ERR_NONE);
    uint8_t *value = memory_alloc(chain.size);
    bool copied = chain_copy_out(&chain, value);
    assert(copied);
    uint8_t key[4];
    store_i16(key, 0);
    store_i16(key + 2, (int16_t)type);
    struct record record = {.timestamp = timestamp_ms,
                            .key = slice_of(key, sizeof key),
                            .value = slice_of(value, chain.size)};
    batch_builder_append(builder, &record);
    memory_free(value);
    chain_deinit(&chain);
}

static struct leader_change_message_voter *voter_ids(const struct raft_voters *voters) {
    struct leader_change_message_voter *list =
        memory_zalloc((size_t)voters->count + 1, sizeof(struct leader_change_message_voter));
    for (int32_t i = 0; i < voters->count; i++)
        list[i].voter_id = voters->voters[i].id;
    return list;
}

void control_append_leader_change(struct batch_builder *builder, int64_t timestamp_ms,
                                  int32_t leader_id, const struct raft_voters *voters,
                                  const struct raft_voters *granting) {
    struct leader_change_message message;
    codec_init(&leader_change_message_codec, &message);
    message.leader_id = leader_id;
    message.voters = voter_ids(voters);
    message.voters_count = voters->count;
    message.granting_voters = voter_ids(granting);
    message.granting_voters_count = granting->count;
    append(builder, timestamp_ms, CONTROL_LEADER_CHANGE, &leader_change_message_codec, &message);
    memory_free(message.voters);
    memory_free(message.granting_voters);
}

void control_append_kraft_version(struct batch_builder *builder, int64_t timestamp_ms,
                                  int16_t kraft_version) {
    struct kraft_version_record message;
    codec_init(&kraft_version_record_codec, &message);
    message.kraft_version = kraft_version;
    append(builder, timestamp_ms, CONTROL_KRAFT_VERSION, &kraft_version_record_codec, &message);
}

static void fill_voter(const struct raft_voter *voter, struct arena *arena,
                       struct voters_record_voter *out) {
    out->voter_id = voter->id;
    out->voter_directory_id = voter->directory_id;
    out->endpoints = voters_record_endpoint_new(arena, voter->endpoint_count);
    out->endpoints_count = voter->endpoint_count;
    for (int32_t i = 0; i < voter->endpoint_count; i++) {
        out->endpoints[i].name = voter->endpoints[i].listener;
        out->endpoints[i].host = voter->endpoints[i].host;
        out->endpoints[i].port = voter->endpoints[i].port;
    }
    out->kraft_version_feature.min_supported_version = voter->kraft_version_min;
    out->kraft_version_feature.max_supported_version = voter->kraft_version_max;
}

void control_append_voters(struct batch_builder *builder, int64_t timestamp_ms,
                           const struct raft_voters *voters) {
    struct arena arena;
    arena_init(&arena);
    struct voters_record message;
    codec_init(&voters_record_codec, &message);
    message.voters = voters_record_voter_new(&arena, voters->count);
    message.voters_count = voters->count;
    for (int32_t i = 0; i < voters->count; i++)
        fill_voter(&voters->voters[i], &arena, &message.voters[i]);
    append(builder, timestamp_ms, CONTROL_KRAFT_VOTERS, &voters_record_codec, &message);
    arena_deinit(&arena);
}

void control_append_snapshot_header(struct batch_builder *builder, int64_t timestamp_ms,
                                    int64_t last_contained_log_timestamp_ms) {
    struct snapshot_header_record message;
    codec_init(&snapshot_header_record_codec, &message);
    message.last_contained_log_timestamp = last_contained_log_timestamp_ms;
    append(builder, timestamp_ms, CONTROL_SNAPSHOT_HEADER, &snapshot_header_record_codec, &message);
}

void control_append_snapshot_footer(struct batch_builder *builder, int64_t timestamp_ms) {
    struct snapshot_footer_record message;
    codec_init(&snapshot_footer_record_codec, &message);
    append(builder, timestamp_ms, CONTROL_SNAPSHOT_FOOTER, &snapshot_footer_record_codec, &message);
}

// ---- Decoding ----

static enum err decode_value(const struct codec_struct *codec, int16_t version_max,
                             struct slice value, struct arena *arena, void *message,
                             struct message *error) {
    if (slice_is_null(value) || value.size < 2) {
        message_set(error, "%s: too short", codec_name(codec));
        return ERR_CORRUPT;
    }
    int16_t version = load_i16(value.data);
    if (version < 0 || version > version_max) {
        message_set(error, "%s: version %d is not known", codec_name(codec), version);
        return ERR_UNSUPPORTED;
    }
    struct reader in = reader_of(value);
    enum err err = codec_decode(codec, version, &in, arena, 0, message);
    if (err != ERR_NONE) message_set(error, "%s: %s", codec_name(codec), err_text(err));
    return err;
}

static enum err decode_voters(const struct voters_record *message, struct arena *arena,
                              struct raft_voters *voters, struct message *error) {
    if (message->voters_count <= 0 || message->voters_count > VOTERS_MAX) {
        message_set(error, "VotersRecord: %d voters", message->voters_count);
        return ERR_CORRUPT;
    }
    struct raft_voter *list =
        arena_zalloc(arena, (size_t)message->voters_count, sizeof(struct raft_voter));
    for (int32_t i = 0; i < message->voters_count; i++) {
        const struct voters_record_voter *voter = &message->voters[i];
        int32_t count = MAX(voter->endpoints_count, 0);
        struct raft_endpoint *endpoints =
            arena_zalloc(arena, (size_t)count, sizeof(struct raft_endpoint));
        for (int32_t k = 0; k < count; k++)
            endpoints[k] = (struct raft_endpoint){
                voter->endpoints[k].name, voter->endpoints[k].host, voter->endpoints[k].port};
        list[i] = (struct raft_voter){
            .id = voter->voter_id,
            .directory_id = voter->voter_directory_id,
            .endpoints = endpoints,
            .endpoint_count = count,
            .kraft_version_min = voter->kraft_version_feature.min_supported_version,
            .kraft_version_max = voter->kraft_version_feature.max_supported_version,
        };
    }
    *voters = (struct raft_voters){list, message->voters_count};
    return ERR_NONE;
}

static enum err decode_kraft_version(struct slice value, struct arena *arena,
                                     struct control_record *control, struct message *error) {
    struct kraft_version_record message;
    enum err err = decode_value(&kraft_version_record_codec, 0, value, arena, &message, error);
    if (err != ERR_NONE) return err;
    if (message.kraft_version < 0 || message.kraft_version > KRAFT_VERSION_MAX) {
        message_set(error, "kraft.version %d is not supported", message.kraft_version);
        return ERR_UNSUPPORTED;
    }
    control->kraft_version = message.kraft_version;
    return ERR_NONE;
}

static enum err decode_type(enum control_type type, struct slice value, struct arena *arena,
                            struct control_record *control, struct message *error) {
    union {
        struct leader_change_message leader_change;
        struct snapshot_header_record header;
        struct snapshot_footer_record footer;
        struct voters_record voters;
    } message;
    enum err err;
    switch (type) {
        case CONTROL_LEADER_CHANGE:
            err = decode_value(&leader_change_message_codec, 1, value, arena, &message, error);
            if (err == ERR_NONE) control->leader_id = message.leader_change.leader_id;
            return err;
        case CONTROL_SNAPSHOT_HEADER:
            err = decode_value(&snapshot_header_record_codec, 0, value, arena, &message, error);
            if (err == ERR_NONE)
                control->last_contained_log_timestamp_ms =
                    message.header.last_contained_log_timestamp;
            return err;
        case CONTROL_SNAPSHOT_FOOTER:
            return decode_value(&snapshot_footer_record_codec, 0, value, arena, &message, error);
        case CONTROL_KRAFT_VERSION:
            return decode_kraft_version(value, arena, control, error);
        case CONTROL_KRAFT_VOTERS:
            err = decode_value(&voters_record_codec, 0, value, arena, &message, error);
            if (err != ERR_NONE) return err;
            return decode_voters(&message.voters, arena, &control->voters, error);
        default:
            message_set(error, "a control record of type %d does not belong here", (int)type);
            return ERR_UNSUPPORTED;
    }
}

enum err control_decode(const struct record *record, struct arena *arena,
                        struct control_record *control, struct message *error) {
    if (slice_is_null(record->key) || record->key.size < 4) {
        message_set(error, "a control record without a key");
        return ERR_CORRUPT;
    }
    struct control_record decoded = {0};
    decoded.type = (enum control_type)load_i16(record->key.data + 2);
    enum err err = decode_type(decoded.type, record->value, arena, &decoded, error);
    if (err == ERR_NONE) *control = decoded;
    return err;
}
