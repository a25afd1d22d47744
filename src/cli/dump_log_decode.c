// What records mean, as JSON: those of the internal topics (key: int16 type and fields, value:
// int16 version and fields), of the metadata log (value: uvarint frame version, type and version,
// then the fields), control records, and plain strings.
#include <stdio.h>

#include "cli/dump_log.h"

#include "base/bytes.h"
#include "gen/rec/client.h"
#include "gen/rec/group.h"
#include "gen/rec/metadata.h"
#include "gen/rec/raft.h"
#include "gen/rec/remote_log.h"
#include "gen/rec/share.h"
#include "gen/rec/storage.h"
#include "gen/rec/transaction.h"
#include "wire/codec.h"

#define FRAME_VERSION 1
#define DECODED_MAX   ((size_t)64 << 20)

// ---- Any message ----

// Decodes `in` to its end and appends the JSON.
static enum err append_message(const struct codec_struct *type, int16_t version, struct reader *in,
                               const struct codec_json_hook *hook, struct arena *arena,
                               struct string_buffer *out) {
    void *message = arena_alloc(arena, codec_size(type));
    enum err err = codec_decode(type, version, in, arena, DECODED_MAX, message);
    if (err) return err;
    if (reader_left(in) > 0) return ERR_CORRUPT;
    codec_json_with(type, version, message, hook, out);
    return ERR_NONE;
}

static void print_json(struct dump *d, const char *name, const struct string_buffer *json) {
    dump_value(d, name, string_buffer_slice(json), string_buffer_slice(json));
}

// What stands in place of a record that cannot be read: the dump goes on.
static void print_error(struct dump *d, const char *name, int64_t offset, const char *why) {
    char text[160];
    snprintf(text, sizeof text, "Error at offset %lld, skipping. %s", (long long)offset, why);
    dump_text(d, name, slice_cstring(text));
}

// ---- Coordinators ----

struct coordinator {
    const struct codec_struct *(*key)(int32_t type);
    const struct codec_struct *(*value)(int32_t type);
};

static struct coordinator coordinator_of(enum dump_decoder decoder) {
    switch (decoder) {
        case DUMP_TRANSACTIONS:
            return (struct coordinator){transaction_key_codec, transaction_value_codec};
        case DUMP_SHARE_STATE:
            return (struct coordinator){share_key_codec, share_value_codec};
        default:
            return (struct coordinator){group_key_codec, group_value_codec};
    }
}

// Members of a classic group keep the bytes of their consumer: subscription and assignment, with an
// int16 version in front.
static bool append_consumer_protocol(void *context, const char *field, struct slice value,
                                     struct string_buffer *out) {
    const struct codec_struct *type = NULL;
    if (strcmp(field, "subscription") == 0) type = &consumer_protocol_subscription_codec;
    if (strcmp(field, "assignment") == 0) type = &consumer_protocol_assignment_codec;
    if (type == NULL) return false;
    struct reader in = reader_of(value);
    int16_t version = reader_i16(&in);
    return !in.failed && append_message(type, version, &in, NULL, context, out) == ERR_NONE;
}

static enum err append_group_metadata(int16_t version, struct reader *in, struct arena *arena,
                                      struct string_buffer *out) {
    struct group_metadata_value value;
    enum err err =
        codec_decode(&group_metadata_value_codec, version, in, arena, DECODED_MAX, &value);
    if (err) return err;
    struct codec_json_hook hook = {append_consumer_protocol, arena};
    bool is_consumer = slice_equal_cstring(value.protocol_type, "consumer");
    codec_json_with(&group_metadata_value_codec, version, &value, is_consumer ? &hook : NULL, out);
    return ERR_NONE;
}

static enum err append_value(const struct codec_struct *type, struct slice value,
                             struct arena *arena, struct string_buffer *out) {
    struct reader in = reader_of(value);
    int16_t version = reader_i16(&in);
    if (in.failed) return ERR_CORRUPT;
    string_buffer_format(out, "{\"version\":\"%d\",\"data\":", version);
    enum err err = type == &group_metadata_value_codec
                       ? append_group_metadata(version, &in, arena, out)
                       : append_message(type, version, &in, NULL, arena, out);
    string_buffer_append_char(out, '}');
    return err;
}

static void print_coordinator_record(struct dump *d, const struct record *record,
                                     struct arena *arena) {
    struct coordinator coordinator = coordinator_of(d->file_decoder);
    struct string_buffer key, value;
    struct reader in = reader_of(record->key);
    int16_t type = slice_is_null(record->key) ? -1 : reader_i16(&in);
    string_buffer_init(&key);
    string_buffer_init(&value);
    if (slice_is_null(record->key) || in.failed) {
        print_error(d, "key", record->offset, "the record has no key of this kind");
    } else if (coordinator.key(type) == NULL) {
        string_buffer_format(&key, "Unknown record type %d at offset %lld, skipping.", type,
                             (long long)record->offset);
        dump_text(d, "key", string_buffer_slice(&key));
    } else {
        string_buffer_format(&key, "{\"type\":\"%d\",\"data\":", type);
        enum err err = append_message(coordinator.key(type), 0, &in, NULL, arena, &key);
        string_buffer_append_char(&key, '}');
        if (err == ERR_NONE && !slice_is_null(record->value))
            err = append_value(coordinator.value(type), record->value, arena, &value);
        if (err) {
            print_error(d, "key", record->offset, err_text(err));
        } else {
            print_json(d, "key", &key);
            if (slice_is_null(record->value))
                dump_word(d, "payload", "<DELETE>");
            else
                print_json(d, "payload", &value);
        }
    }
    string_buffer_deinit(&key);
    string_buffer_deinit(&value);
}

// ---- Framed records: the metadata log and remote storage ----

// RegisterBrokerRecord -> REGISTER_BROKER_RECORD
static void append_upper_snake(struct string_buffer *out, const char *name) {
    for (const char *c = name; *c != '\0'; c++) {
        bool is_upper = *c >= 'A' && *c <= 'Z';
        if (is_upper && c != name) string_buffer_append_char(out, '_');
        string_buffer_append_char(out, is_upper ? *c : (char)(*c - 'a' + 'A'));
    }
}

static enum err append_framed(enum dump_decoder decoder, struct slice value, struct arena *arena,
                              struct string_buffer *out) {
    struct reader in = reader_of(value);
    uint32_t frame = reader_uvarint(&in), id = reader_uvarint(&in), version = reader_uvarint(&in);
    if (in.failed) return ERR_CORRUPT;
    if (frame != FRAME_VERSION || id > INT16_MAX || version > INT16_MAX) return ERR_UNSUPPORTED;
    const struct codec_struct *type = decoder == DUMP_METADATA
                                          ? metadata_record_codec((int32_t)id)
                                          : remote_log_record_codec((int32_t)id);
    if (type == NULL) return ERR_UNSUPPORTED;
    string_buffer_append(out, SLICE_LITERAL("{\"type\":\""));
    append_upper_snake(out, codec_name(type));
    string_buffer_format(out, "\",\"version\":%u,\"data\":", version);
    enum err err = append_message(type, (int16_t)version, &in, NULL, arena, out);
    string_buffer_append_char(out, '}');
    return err;
}

static void print_framed_record(struct dump *d, const struct record *record, struct arena *arena) {
    struct string_buffer json;
    string_buffer_init(&json);
    enum err err = append_framed(d->file_decoder, record->value, arena, &json);
    if (err)
        print_error(d, "payload", record->offset, err_text(err));
    else
        print_json(d, "payload", &json);
    string_buffer_deinit(&json);
}

void dump_record_data(struct dump *d, const struct record *record, struct arena *arena) {
    switch (d->file_decoder) {
        case DUMP_OFFSETS:
        case DUMP_TRANSACTIONS:
        case DUMP_SHARE_STATE:
            print_coordinator_record(d, record, arena);
            return;
        case DUMP_METADATA:
        case DUMP_REMOTE_LOG:
            print_framed_record(d, record, arena);
            return;
        default:
            if (!slice_is_null(record->key)) dump_text(d, "key", record->key);
            if (!slice_is_null(record->value)) dump_text(d, "payload", record->value);
    }
}

// ---- Control records ----

static void print_end_of_transaction(struct dump *d, const struct record *record, bool is_commit,
                                     struct arena *arena) {
    struct end_txn_marker marker;
    struct reader in = reader_of(record->value);
    int16_t version = reader_i16(&in);
    if (codec_decode(&end_txn_marker_codec, version, &in, arena, 0, &marker)) {
        print_error(d, "endTxnMarker", record->offset, "its value is damaged");
        return;
    }
    dump_word(d, "endTxnMarker", is_commit ? "COMMIT" : "ABORT");
    dump_number(d, "coordinatorEpoch", marker.coordinator_epoch);
}

// The version of these is their own first field.
static void print_quorum_record(struct dump *d, const struct record *record, const char *name,
                                const struct codec_struct *type, struct arena *arena) {
    struct string_buffer json;
    string_buffer_init(&json);
    int16_t version = record->value.size < 2 ? -1 : load_i16(record->value.data);
    struct reader in = reader_of(record->value);
    enum err err = append_message(type, version, &in, NULL, arena, &json);
    if (err)
        print_error(d, name, record->offset, err_text(err));
    else if (type == &leader_change_message_codec)
        print_json(d, name, &json);
    else
        dump_json_behind(d, name, string_buffer_slice(&json));
    string_buffer_deinit(&json);
}

void dump_control_record(struct dump *d, const struct record *record, struct arena *arena) {
    // The key: int16 version, int16 type.
    int16_t type = record->key.size < 4 ? -1 : load_i16(record->key.data + 2);
    switch (type) {
        case CONTROL_ABORT:
        case CONTROL_COMMIT:
            print_end_of_transaction(d, record, type == CONTROL_COMMIT, arena);
            return;
        case CONTROL_LEADER_CHANGE:
            print_quorum_record(d, record, "LeaderChange", &leader_change_message_codec, arena);
            return;
        case CONTROL_SNAPSHOT_HEADER:
            print_quorum_record(d, record, "SnapshotHeader", &snapshot_header_record_codec, arena);
            return;
        case CONTROL_SNAPSHOT_FOOTER:
            print_quorum_record(d, record, "SnapshotFooter", &snapshot_footer_record_codec, arena);
            return;
        case CONTROL_KRAFT_VERSION:
            print_quorum_record(d, record, "KRaftVersion", &kraft_version_record_codec, arena);
            return;
        case CONTROL_KRAFT_VOTERS:
            print_quorum_record(d, record, "KRaftVoters", &voters_record_codec, arena);
            return;
        default: {
            char text[32];
            snprintf(text, sizeof text, "UNKNOWN(%d)", type);
            dump_word(d, "controlType", text);
        }
    }
}
