// The four codecs of record batches, over zlib, snappy, lz4 and zstd.
//
// A compressed blob comes from anybody, so its own word about its size is worth nothing until
// checked. Output grows as bytes come out and stops at the caller's limit; where a codec wants the
// size first (snappy, zstd), the claim is compared with what the input could hold at best.
//
// Snappy has two forms in Kafka's world. Most clients write one raw block. Java writes the framing
// of xerial's SnappyOutputStream: an 8-byte magic, two version words, then blocks of {int32 size,
// raw block}; streams may be concatenated. Everything here is big-endian.
#include "wire/batch.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/assert.h"
#include "base/memory.h"

// ---- Growing output ----

struct output {
    uint8_t *data;  // heap
    size_t size;
    size_t capacity;
    size_t max;
};

// Makes room for at least one more byte; ERR_LIMIT when the output is full.
static enum err output_grow(struct output *out) {
    if (out->size < out->capacity) return ERR_NONE;
    if (out->capacity >= out->max) return ERR_LIMIT;
    size_t capacity = out->capacity < out->max / 2 ? out->capacity * 2 : out->max;
    out->capacity = MIN(MAX(capacity, (size_t)4096), out->max);
    out->data = memory_realloc(out->data, out->capacity, 1);
    return ERR_NONE;
}

// Makes room for `size` more bytes.
static enum err output_reserve(struct output *out, size_t size) {
    if (size > out->max - out->size) return ERR_LIMIT;
    if (out->size + size <= out->capacity) return ERR_NONE;
    size_t doubled = out->capacity < out->max / 2 ? out->capacity * 2 : out->max;
    out->capacity = MAX(doubled, out->size + size);
    out->data = memory_realloc(out->data, out->capacity, 1);
    return ERR_NONE;
}

// ---- gzip ----

static bool is_gzip_member(const z_stream *z) {
    return z->avail_in >= 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b;
}

static enum err gzip_decompress(struct slice in, struct output *out) {
    z_stream z = {0};
    if (in.size > UINT32_MAX) return ERR_LIMIT;
    int result = inflateInit2(&z, 15 + 16);  // 32 KiB window, gzip header
    if (result != Z_OK) fatal("inflateInit2: %d", result);
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)in.size;
    enum err err = ERR_NONE;
    // When the output is exactly full the end of the stream may still be unread: one spare byte
    // tells whether more would come.
    uint8_t spare;
    for (;;) {
        bool full = output_grow(out) != ERR_NONE;
        z.next_out = full ? &spare : out->data + out->size;
        z.avail_out = full ? 1 : (uInt)MIN(out->capacity - out->size, (size_t)UINT32_MAX);
        uInt room = z.avail_out;
        result = inflate(&z, Z_NO_FLUSH);
        size_t made = room - z.avail_out;
        if (full && made > 0) {
            err = ERR_LIMIT;
            break;
        }
        out->size += made;
        if (result == Z_STREAM_END) {
            // Members may be concatenated; other bytes behind the last are ignored, as Java does.
            if (!is_gzip_member(&z)) break;
            if (inflateReset(&z) != Z_OK) {
                err = ERR_CORRUPT;
                break;
            }
        } else if (result == Z_MEM_ERROR) {
            fatal("inflate: out of memory");
        } else if (result != Z_OK || (z.avail_in == 0 && z.avail_out > 0)) {
            err = ERR_CORRUPT;
            break;
        }
    }
    inflateEnd(&z);
    return err;
}

static enum err gzip_compress(int level, struct slice in, uint8_t **out, size_t *out_size) {
    z_stream z = {0};
    if (in.size > UINT32_MAX) return ERR_LIMIT;
    if (level == 0) level = Z_DEFAULT_COMPRESSION;
    int result = deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    if (result != Z_OK) return result == Z_STREAM_ERROR ? ERR_INVALID : ERR_LIMIT;
    size_t capacity = deflateBound(&z, (uLong)in.size);
    uint8_t *data = memory_alloc(capacity);
    z.next_in = (Bytef *)(uintptr_t)in.data;
    z.avail_in = (uInt)in.size;
    z.next_out = data;
    z.avail_out = (uInt)capacity;
    result = deflate(&z, Z_FINISH);
    assert(result == Z_STREAM_END);
    *out = data;
    *out_size = capacity - z.avail_out;
    deflateEnd(&z);
    return ERR_NONE;
}

// ---- snappy ----

#define XERIAL_HEADER_SIZE 16
#define XERIAL_BLOCK_SIZE  32768
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static bool is_xerial(struct slice in) {
    return in.size >= XERIAL_HEADER_SIZE && memcmp(in.data, xerial_magic, sizeof xerial_magic) == 0;
}

static enum err snappy_block_decompress(struct slice in, struct output *out) {
    size_t size;
    if (snappy_uncompressed_length((const char *)in.data, in.size, &size) != SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    // The best that snappy can say in 3 bytes is "copy 64 bytes".
    if (size / 64 > in.size) return ERR_CORRUPT;
    enum err err = output_reserve(out, size);
    if (err != ERR_NONE) return err;
    if (size == 0) return ERR_NONE;
    if (snappy_uncompress((const char *)in.data, in.size, (char *)out->data + out->size, &size) !=
        SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    out->size += size;
    return ERR_NONE;
}

static enum err snappy_decompress(struct slice in, struct output *out) {
    if (!is_xerial(in)) return snappy_block_decompress(in, out);
    size_t at = XERIAL_HEADER_SIZE;
    while (at < in.size) {
        struct slice rest = slice_sub(in, at, in.size - at);
        if (is_xerial(rest)) {
            at += XERIAL_HEADER_SIZE;
            continue;
        }
        if (rest.size < 4) return ERR_CORRUPT;
        uint32_t block = load_u32(rest.data);
        if (block > rest.size - 4) return ERR_CORRUPT;
        enum err err = snappy_block_decompress(slice_sub(rest, 4, block), out);
        if (err != ERR_NONE) return err;
        at += 4 + (size_t)block;
    }
    return ERR_NONE;
}

static enum err snappy_stream_compress(struct slice in, uint8_t **out, size_t *out_size) {
    size_t blocks = in.size / XERIAL_BLOCK_SIZE + 1;
    size_t block_max = snappy_max_compressed_length(XERIAL_BLOCK_SIZE);
    uint8_t *data = memory_alloc(XERIAL_HEADER_SIZE + blocks * (4 + block_max));
    memcpy(data, xerial_magic, sizeof xerial_magic);
    store_u32(data + 8, 1);   // version
    store_u32(data + 12, 1);  // lowest compatible version
    size_t size = XERIAL_HEADER_SIZE;
    for (size_t at = 0; at < in.size; at += XERIAL_BLOCK_SIZE) {
        size_t part = MIN(in.size - at, (size_t)XERIAL_BLOCK_SIZE);
        size_t packed = block_max;
        snappy_status status =
            snappy_compress((const char *)in.data + at, part, (char *)data + size + 4, &packed);
        assert(status == SNAPPY_OK);
        store_u32(data + size, (uint32_t)packed);
        size += 4 + packed;
    }
    *out = data;
    *out_size = size;
    return ERR_NONE;
}

// ---- lz4 ----

static enum err lz4_decompress(struct slice in, struct output *out) {
    LZ4F_dctx *context;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
        fatal("lz4: out of memory");
    }
    enum err err = ERR_NONE;
    size_t at = 0;
    uint8_t spare;  // as in gzip_decompress
    for (;;) {
        bool full = output_grow(out) != ERR_NONE;
        size_t made = full ? 1 : out->capacity - out->size;
        size_t used = in.size - at;
        size_t hint = LZ4F_decompress(context, full ? &spare : out->data + out->size, &made,
                                      in.data + at, &used, NULL);
        if (LZ4F_isError(hint)) {
            err = ERR_CORRUPT;
            break;
        }
        if (full && made > 0) {
            err = ERR_LIMIT;
            break;
        }
        at += used;
        out->size += made;
        if (hint == 0) break;  // the frame ended; what follows is ignored, as Java does
        if (used == 0 && made == 0) {
            err = ERR_CORRUPT;  // cut off
            break;
        }
    }
    LZ4F_freeDecompressionContext(context);
    return err;
}

#define LZ4_LEVEL_DEFAULT 9  // of compression.lz4.level: the fast compressor
#define LZ4_LEVEL_MIN     3  // of the high compressor
#define LZ4_LEVEL_MAX     12

static enum err lz4_compress(int level, struct slice in, uint8_t **out, size_t *out_size) {
    // As Java writes it: independent blocks of 64 KiB, no checksums, no content size.
    LZ4F_preferences_t preferences = {0};
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    if (level != 0 && level != LZ4_LEVEL_DEFAULT) {
        preferences.compressionLevel = MIN(MAX(level, LZ4_LEVEL_MIN), LZ4_LEVEL_MAX);
    }
    size_t capacity = LZ4F_compressFrameBound(in.size, &preferences);
    uint8_t *data = memory_alloc(capacity);
    size_t size = LZ4F_compressFrame(data, capacity, in.data, in.size, &preferences);
    if (LZ4F_isError(size)) fatal("lz4: %s", LZ4F_getErrorName(size));
    *out = data;
    *out_size = size;
    return ERR_NONE;
}

// ---- zstd ----

#define ZSTD_BLOCK_MAX    ((size_t)128 << 10)
#define ZSTD_BLOCK_HEADER 3

// In one pass without a window of its own (a frame may ask for 128 MiB): when the output proves too
// small, again with twice the room.
static enum err zstd_decompress(struct slice in, struct output *out) {
    // No input of this size holds more, whatever its header says.
    size_t most = (in.size / ZSTD_BLOCK_HEADER + 1) * ZSTD_BLOCK_MAX;
    size_t limit = MIN(out->max, most);
    unsigned long long claim = ZSTD_getFrameContentSize(in.data, in.size);
    if (claim == ZSTD_CONTENTSIZE_ERROR) return ERR_CORRUPT;
    size_t guess = in.size < SIZE_MAX / 8 ? in.size * 4 + 1024 : in.size;
    if (claim != ZSTD_CONTENTSIZE_UNKNOWN) {
        if (claim > out->max) return ERR_LIMIT;
        if (claim > most) return ERR_CORRUPT;
        guess = (size_t)claim;
    }
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (context == NULL) fatal("zstd: out of memory");
    enum err err = ERR_NONE;
    for (size_t capacity = MIN(guess, limit);; capacity = MIN(capacity * 2 + 1024, limit)) {
        memory_free(out->data);
        out->data = memory_alloc(capacity);
        out->capacity = capacity;
        size_t size = ZSTD_decompressDCtx(context, out->data, capacity, in.data, in.size);
        if (!ZSTD_isError(size)) {
            out->size = size;
            break;
        }
        if (ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) {
            err = ERR_CORRUPT;
            break;
        }
        if (capacity == limit) {
            err = limit == out->max ? ERR_LIMIT : ERR_CORRUPT;
            break;
        }
    }
    ZSTD_freeDCtx(context);
    return err;
}

static enum err zstd_compress(int level, struct slice in, uint8_t **out, size_t *out_size) {
    size_t capacity = ZSTD_compressBound(in.size);
    uint8_t *data = memory_alloc(capacity);
    size_t size = ZSTD_compress(data, capacity, in.data, in.size, level);
    if (ZSTD_isError(size)) fatal("zstd: %s", ZSTD_getErrorName(size));
    *out = data;
    *out_size = size;
    return ERR_NONE;
}

// ---- Dispatch ----

enum err decompress_bytes(enum compression compression, struct slice in, size_t max,
                          struct arena *arena, struct slice *out) {
    struct output output = {.max = max};
    enum err err;
    switch (compression) {
        case COMPRESSION_NONE:
            if (in.size > max) return ERR_LIMIT;
            *out = in;
            return ERR_NONE;
        case COMPRESSION_GZIP:
            err = gzip_decompress(in, &output);
            break;
        case COMPRESSION_SNAPPY:
            err = snappy_decompress(in, &output);
            break;
        case COMPRESSION_LZ4:
            err = lz4_decompress(in, &output);
            break;
        case COMPRESSION_ZSTD:
            err = zstd_decompress(in, &output);
            break;
        default:
            return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    }
    if (err == ERR_NONE) {
        *out =
            output.size == 0 ? SLICE_EMPTY : arena_copy(arena, slice_of(output.data, output.size));
    }
    memory_free(output.data);
    return err;
}

enum err compress_bytes(enum compression compression, int level, struct slice in, uint8_t **out,
                        size_t *out_size) {
    switch (compression) {
        case COMPRESSION_NONE:
            *out = memory_alloc(in.size);
            if (in.size > 0) memcpy(*out, in.data, in.size);
            *out_size = in.size;
            return ERR_NONE;
        case COMPRESSION_GZIP:
            return gzip_compress(level, in, out, out_size);
        case COMPRESSION_SNAPPY:
            return snappy_stream_compress(in, out, out_size);
        case COMPRESSION_LZ4:
            return lz4_compress(level, in, out, out_size);
        case COMPRESSION_ZSTD:
            return zstd_compress(level, in, out, out_size);
        default:
            return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    }
}

static const char *const compression_names[] = {"none", "gzip", "snappy", "lz4", "zstd"};

const char *compression_name(enum compression compression) {
    size_t index = (size_t)compression;
    return index < COUNT_OF(compression_names) ? compression_names[index] : "unknown";
}

bool compression_parse(struct slice name, enum compression *compression) {
    for (size_t i = 0; i < COUNT_OF(compression_names); i++) {
        if (slice_equal_cstring(name, compression_names[i])) {
            *compression = (enum compression)i;
            return true;
        }
    }
    return false;
}
