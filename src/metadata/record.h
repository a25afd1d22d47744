// Metadata records as bytes: Kafka's frame of __cluster_metadata and its snapshots is {uvarint
// frame version = 1, uvarint type, uvarint version, message}. Pure; any thread.
//
// gen/rec/metadata.h has the types, the structs and metadata_record_codec(type); names and version
// ranges are asked of the codec (codec_name, codec_version_max).
#pragma once

#include "base/arena.h"
#include "base/chain.h"
#include "base/message.h"
#include "gen/err.h"
#include "gen/rec/metadata.h"

struct metadata_record {
    enum metadata_record_type type;
    int16_t version;
    void *message;  // struct register_broker_record … of gen/rec/metadata.h
};

// A record in the arena, every field at its default.
struct metadata_record metadata_record_new(enum metadata_record_type type, int16_t version,
                                           struct arena *arena);

// Decodes a framed record; `record` points into `value` and the arena. With a sentence:
// ERR_CORRUPT; ERR_UNSUPPORTED for a frame, type or version that we do not know.
MUST_CHECK enum err metadata_record_decode(struct slice value, struct arena *arena,
                                           struct metadata_record *record, struct message *error);

// Appends the framed record. ERR_INVALID or ERR_UNSUPPORTED_VERSION, with a sentence, when a field
// does not fit the version.
MUST_CHECK enum err metadata_record_encode(const struct metadata_record *record, struct chain *out,
                                           struct message *error);

// The same into the arena.
MUST_CHECK enum err metadata_record_frame(const struct metadata_record *record, struct arena *arena,
                                          struct slice *value, struct message *error);
