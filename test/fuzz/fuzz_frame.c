// Any bytes as a frame, the way a broker reads a request and a client a response: header by API and
// version, then the body.
#include <stdlib.h>

#include "base/bytes.h"
#include "gen/apis.h"
#include "gen/rec/header.h"

#define LIMIT ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_part(const struct codec_struct *type, int16_t version, struct reader *in,
                        struct arena *arena) {
    void *message = arena_alloc(arena, codec_size(type));
    enum err err = codec_decode(type, version, in, arena, LIMIT, message);
    if (err != ERR_NONE && err != ERR_CORRUPT && err != ERR_LIMIT) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 8) return 0;
    const struct api_info *api = api_info_of(load_i16(data));
    int16_t version = load_i16(data + 2);
    if (api == NULL || version < api->version_min || version > api->version_max) return 0;
    struct arena arena;
    arena_init(&arena);
    struct reader request = reader_of(slice_of(data, size));
    decode_part(&request_header_codec, api_request_header_version(api, version), &request, &arena);
    decode_part(api->request, version, &request, &arena);
    struct reader response = reader_of(slice_of(data + 4, size - 4));
    decode_part(&response_header_codec, api_response_header_version(api, version), &response,
                &arena);
    decode_part(api->response, version, &response, &arena);
    if (arena.total > 8 * LIMIT) abort();
    arena_deinit(&arena);
    return 0;
}
