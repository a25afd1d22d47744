#include "metadata/record.h"

#include "base/assert.h"
#include "wire/codec.h"

#define FRAME_VERSION 1

struct metadata_record metadata_record_new(enum metadata_record_type type, int16_t version,
                                           struct arena *arena) {
    const struct codec_struct *codec = metadata_record_codec((int32_t)type);
    assert(codec != NULL);
    return (struct metadata_record){type, version, codec_new(codec, arena, 1)};
}

enum err metadata_record_decode(struct slice value, struct arena *arena,
                                struct metadata_record *record, struct message *error) {
    struct reader in = reader_of(value);
    uint32_t frame = reader_uvarint(&in);
    uint32_t type = reader_uvarint(&in);
    uint32_t version = reader_uvarint(&in);
    if (in.failed) {
        message_set(error, "a metadata record of %zu bytes is cut off", value.size);
        return ERR_CORRUPT;
    }
    if (frame != FRAME_VERSION) {
        message_set(error,
                    "a metadata record has frame version %u; this version of Taccola knows 1",
                    frame);
        return ERR_UNSUPPORTED;
    }
    const struct codec_struct *codec =
        type <= INT32_MAX ? metadata_record_codec((int32_t)type) : NULL;
    if (codec == NULL) {
        message_set(error, "a metadata record has type %u, which this version does not know", type);
        return ERR_UNSUPPORTED;
    }
    if (version > (uint32_t)codec_version_max(codec)) {
        message_set(error, "a metadata record of type %s has version %u; the highest known is %d",
                    codec_name(codec), version, codec_version_max(codec));
        return ERR_UNSUPPORTED;
    }
    void *message = codec_new(codec, arena, 1);
    enum err err = codec_decode(codec, (int16_t)version, &in, arena, 0, message);
    if (err != ERR_NONE) {
        message_set(error, "a metadata record of type %s, version %u is malformed: %s",
                    codec_name(codec), version, err_text(err));
        return err;
    }
    if (reader_left(&in) > 0) {
        message_set(error, "a metadata record of type %s, version %u has %zu bytes too many",
                    codec_name(codec), version, reader_left(&in));
        return ERR_CORRUPT;
    }
    *record = (struct metadata_record){(enum metadata_record_type)type, (int16_t)version, message};
    return ERR_NONE;
}

enum err metadata_record_encode(const struct metadata_record *record, struct chain *out,
                                struct message *error) {
    const struct codec_struct *codec = metadata_record_codec((int32_t)record->type);
    assert(codec != NULL);
    chain_uvarint(out, FRAME_VERSION);
    chain_uvarint(out, (uint32_t)record->type);
    chain_uvarint(out, (uint32_t)record->version);
    return codec_encode(codec, record->version, record->message, out, error);
}

enum err metadata_record_frame(const struct metadata_record *record, struct arena *arena,
                               struct slice *value, struct message *error) {
    struct chain chain;
    chain_init(&chain);
    enum err err = metadata_record_encode(record, &chain, error);
    if (err == ERR_NONE) {
        uint8_t *bytes = arena_alloc(arena, chain.size);
        bool copied = chain_copy_out(&chain, bytes);
        assert(copied);
        *value = slice_of(bytes, chain.size);
    }
    chain_deinit(&chain);
    return err;
}
