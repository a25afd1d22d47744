// Any bytes as any message: two bytes choose the message, one the version, the rest is decoded.
// Memory stays within the limit; what decodes must encode, measure and compare, and decode again to
// an equal message.
#include <stdlib.h>

#include "base/bytes.h"
#include "gen/messages.h"
#include "wire/codec.h"

// What the arrays may take for each byte of input, as the broker allows (api/call.c).
#define DECODED_PER_BYTE ((size_t)32)
#define DECODED_MIN      ((size_t)65536)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

static void check_round_trip(const struct codec_struct *type, int16_t version, void *message,
                             struct arena *arena) {
    struct chain out;
    chain_init(&out);
    size_t encoded_size = 0;
    require(codec_encoded_size(type, version, message, &encoded_size, NULL) == ERR_NONE);
    require(codec_encode(type, version, message, &out, NULL) == ERR_NONE);
    require(out.size == encoded_size);
    uint8_t *bytes = arena_alloc(arena, out.size);
    require(chain_copy_out(&out, bytes));
    void *again = arena_alloc(arena, codec_size(type));
    struct reader in = reader_of(slice_of(bytes, out.size));
    require(codec_decode(type, version, &in, arena, 0, again) == ERR_NONE);
    require(reader_left(&in) == 0);
    require(codec_equal(type, message, again));
    chain_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    const struct codec_struct *type = codec_messages[load_u16(data) % MESSAGE_COUNT];
    int16_t min = codec_version_min(type), max = codec_version_max(type);
    int16_t version = (int16_t)(min + data[2] % (max - min + 1));

    struct arena arena;
    arena_init(&arena);
    void *message = arena_alloc(&arena, codec_size(type));
    struct reader in = reader_of(slice_of(data + 3, size - 3));
    size_t limit = DECODED_MIN + DECODED_PER_BYTE * size;
    enum err err = codec_decode(type, version, &in, &arena, limit, message);
    require(arena.total <= 2 * limit + 65536);
    if (err == ERR_NONE) {
        check_round_trip(type, version, message, &arena);
        struct string_buffer json;
        string_buffer_init(&json);
        codec_json(type, version, message, &json);
        require(json.size >= 2);
        string_buffer_deinit(&json);
    } else {
        require(err == ERR_CORRUPT || err == ERR_LIMIT);
    }
    arena_deinit(&arena);
    return 0;
}
