// The codec: one interpreter over generated tables (design §6). A message is a generated struct
// (gen/api/*.h, gen/rec/*.h); its table says for each field its kind, the versions that have it,
// its default and where it lies in the struct. Classic and flexible versions, tagged fields, null.
// Pure; any thread.
//
// Rules of the generated structs:
//   - struct names: fetch_request, fetch_response, register_broker_record; a nested struct is
//   <message>_<field in the singular>
//     (fetch_request_topic, fetch_request_partition); a struct that several fields share has a name
//     in the schema (`define`): <message>_<name>.
//   - an array `topics` is a pair: `struct … *topics; int32_t topics_count;` a null array has count
//   -1.
//   - strings, bytes: struct slice (SLICE_NULL is null). uuid: struct uuid. float64: double.
//   records: struct records.
//   - a nullable struct is a pointer, NULL is null; a struct that cannot be null is embedded.
//   - every struct of a message with flexible versions ends with `struct unknown_tags
//   unknown_tags`.
// Decoding copies nothing: slices point into the input, arrays are in the arena. No allocation is
// sized by a number that was not checked against the bytes left: an array of n elements needs n
// times the smallest size of an element. The tables themselves are in codec_table.h, which only the
// codec and generated code read.
#pragma once

#include "base/arena.h"
#include "base/chain.h"
#include "base/message.h"
#include "base/reader.h"
#include "base/string_buffer.h"
#include "base/uuid.h"
#include "gen/err.h"

struct codec_struct;  // a generated table: `extern const struct codec_struct fetch_request_codec;`

// A field of type `records`. Decoded: `bytes` (may be null) is a slice of the input. To encode:
// `chain` when not NULL (its spans are moved into the output, so file ranges reach the socket
// uncopied), else `bytes`.
struct records {
    struct slice bytes;
    struct chain *chain;
};

// Tagged fields that this schema does not know, kept so that a message encodes to the bytes that it
// was decoded from.
struct unknown_tag {
    uint32_t tag;
    struct slice value;
};
struct unknown_tags {
    const struct unknown_tag *tags;  // in rising order of tag
    int32_t count;
};

// Sets every field to its schema default (nested embedded structs too). `message` has codec_size()
// bytes.
void codec_init(const struct codec_struct *type, void *message);
size_t codec_size(const struct codec_struct *type);
const char *codec_name(const struct codec_struct *type);  // Kafka's: "FetchRequest"

// The versions that there are, and whether one is flexible.
int16_t codec_version_min(const struct codec_struct *type);
int16_t codec_version_max(const struct codec_struct *type);
bool codec_is_flexible(const struct codec_struct *type, int16_t version);

// `count` elements of an array's struct, each initialised, in the arena. (Generated:
// fetch_request_topic_new(arena, count).)
void *codec_new(const struct codec_struct *type, struct arena *arena, int32_t count);

// Decodes one message of `version` at the reader; fields that the version lacks get their defaults.
// ERR_CORRUPT: too short, a length beyond the end, a null that may not be, an array that cannot
// fit, a wrong order of tags. ERR_LIMIT: its arrays would take more than `arena_max` bytes (0: no
// limit beyond the input's size). ERR_UNSUPPORTED_VERSION: there is no such version. On error
// `message` is undefined. Bytes behind the message stay in the reader: whoever expects none checks
// reader_left.
MUST_CHECK enum err codec_decode(const struct codec_struct *type, int16_t version,
                                 struct reader *in, struct arena *arena, size_t arena_max,
                                 void *message);

// Appends the message. ERR_UNSUPPORTED_VERSION, with a sentence as Kafka's in `error` (may be
// NULL), when a field that the version lacks has a value other than its default and is not
// ignorable; ERR_INVALID for a null where the version has none or a string beyond 32767 bytes. On
// error `out` may hold a part. Consumes the chains of `records` fields.
MUST_CHECK enum err codec_encode(const struct codec_struct *type, int16_t version,
                                 const void *message, struct chain *out, struct message *error);

// The bytes that codec_encode would append; errors as there. Changes nothing.
MUST_CHECK enum err codec_encoded_size(const struct codec_struct *type, int16_t version,
                                       const void *message, size_t *size, struct message *error);

// Appends the JSON form of Kafka's …JsonConverter, for dumps and tests: names as in Kafka's schema,
// bytes in base64, records as their size, tagged fields only when they are set.
void codec_json(const struct codec_struct *type, int16_t version, const void *message,
                struct string_buffer *out);

// As above; `bytes` is asked first for each field (or element) of type bytes that is not null, by
// its JSON name, and may append something better than base64, returning true. (Consumer protocols
// inside of group records.)
struct codec_json_hook {
    bool (*bytes)(void *context, const char *field, struct slice value, struct string_buffer *out);
    void *context;
};
void codec_json_with(const struct codec_struct *type, int16_t version, const void *message,
                     const struct codec_json_hook *hook, struct string_buffer *out);

// Compares two messages field by field (arrays and slices by content).
bool codec_equal(const struct codec_struct *type, const void *a, const void *b);

// The smallest number of bytes that a message of this version can have: what an array's count is
// checked against.
size_t codec_size_min(const struct codec_struct *type, int16_t version);
