// Metadata records as bytes: Kafka's frame of __cluster_metadata and its snapshots is {uvarint
// frame version = 1, uvarint type, uvarint version, message}. Pure; any thread.
#pragma once

#include "base/arena.h"
#include "base/chain.h"
#include "base/message.h"
#include "gen/err.h"
#include "gen/rec/metadata.h"

struct codec_struct;

struct metadata_record {
    enum metadata_record_type type;
    int16_t version;
    void *message;  // struct register_broker_record … of gen/rec/metadata.h
};

// The codec table of a type and the highest version that we know; NULL when it is no record type.
const struct codec_struct *metadata_record_codec(int32_t type, int16_t *version_max);

// Kafka's name, "RegisterBrokerRecord"; NULL when it is no record type.
const char *metadata_record_name(int32_t type);

// A message of this type in the arena, every field at its default. The type must be one.
void *metadata_record_new(enum metadata_record_type type, struct arena *arena);

// Decodes a framed record; `record` points into `value` and the arena. ERR_CORRUPT or
// ERR_UNSUPPORTED with a sentence.
MUST_CHECK enum err metadata_record_decode(struct slice value, struct arena *arena,
                                           struct metadata_record *record, struct message *error);

// Appends the framed record. ERR_INVALID or ERR_UNSUPPORTED_VERSION when a field does not fit the
// version.
MUST_CHECK enum err metadata_record_encode(const struct metadata_record *record, struct chain *out,
                                           struct message *error);

// The same into the arena.
MUST_CHECK enum err metadata_record_frame(const struct metadata_record *record, struct arena *arena,
                                          struct slice *value, struct message *error);

// A deep copy in the arena.
struct metadata_record metadata_record_copy(const struct metadata_record *record,
                                            struct arena *arena);
