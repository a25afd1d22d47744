// The codecs: round trips, the forms that clients write, and blobs that lie about their size.
#include "test/test.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zstd.h>

#include "base/memory.h"
#include "base/prng.h"
#include "wire/batch.h"

static const enum compression codecs[] = {COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4,
                                          COMPRESSION_ZSTD};
static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct slice text_of(size_t size) {
    uint8_t *data = arena_alloc(&arena, size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)("the jackdaw of Rheims "[i % 22] ^ (i >> 9));
    return slice_of(data, size);
}

static void test_round_trips(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 32767, 32768, 32769, 65536, 300000, 5000000};
    for (size_t c = 0; c < COUNT_OF(codecs); c++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct slice in = text_of(sizes[i]), out;
            uint8_t *packed;
            size_t packed_size;
            assert_int_equal(compress_bytes(codecs[c], 0, in, &packed, &packed_size), ERR_NONE);
            struct slice blob = slice_of(packed, packed_size);
            // A limit of exactly the size is enough; one less is too little.
            assert_int_equal(decompress_bytes(codecs[c], blob, sizes[i], &arena, &out), ERR_NONE);
            assert_int_equal(out.size, in.size);
            if (in.size > 0) assert_memory_equal(out.data, in.data, in.size);
            if (in.size > 0) {
                assert_int_equal(decompress_bytes(codecs[c], blob, sizes[i] - 1, &arena, &out),
                                 ERR_LIMIT);
            }
            memory_free(packed);
            arena_reset(&arena);
        }
    }
}

static void test_levels(void **state) {
    (void)state;
    struct slice in = text_of(100000), out;
    static const struct {
        enum compression codec;
        int level;
    } cases[] = {{COMPRESSION_GZIP, 1}, {COMPRESSION_GZIP, 9},  {COMPRESSION_LZ4, 1},
                 {COMPRESSION_LZ4, 17}, {COMPRESSION_ZSTD, -5}, {COMPRESSION_ZSTD, 19}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t *packed;
        size_t size;
        assert_int_equal(compress_bytes(cases[i].codec, cases[i].level, in, &packed, &size),
                         ERR_NONE);
        assert_int_equal(
            decompress_bytes(cases[i].codec, slice_of(packed, size), in.size, &arena, &out),
            ERR_NONE);
        assert_memory_equal(out.data, in.data, in.size);
        memory_free(packed);
    }
}

static void test_truncated(void **state) {
    (void)state;
    struct slice in = text_of(70000), out;
    for (size_t c = 0; c < COUNT_OF(codecs); c++) {
        uint8_t *packed;
        size_t size;
        assert_int_equal(compress_bytes(codecs[c], 0, in, &packed, &size), ERR_NONE);
        for (size_t cut = 0; cut < size; cut = cut < 40 ? cut + 1 : cut + size / 17) {
            enum err err =
                decompress_bytes(codecs[c], slice_of(packed, cut), in.size, &arena, &out);
            // Behind a whole block of xerial's framing nothing says that more was meant.
            if (codecs[c] == COMPRESSION_SNAPPY && err == ERR_NONE)
                assert_true(out.size < in.size);
            else
                assert_int_equal(err, ERR_CORRUPT);
        }
        memory_free(packed);
    }
}

static void test_snappy_forms(void **state) {
    (void)state;
    struct slice in = text_of(1000), out;
    char raw[2048];
    size_t size = sizeof raw;
    assert_int_equal(snappy_compress((const char *)in.data, in.size, raw, &size), SNAPPY_OK);
    assert_int_equal(decompress_bytes(COMPRESSION_SNAPPY, slice_of(raw, size), 1000, &arena, &out),
                     ERR_NONE);
    assert_memory_equal(out.data, in.data, 1000);

    // Two xerial streams behind one another.
    uint8_t *packed;
    assert_int_equal(compress_bytes(COMPRESSION_SNAPPY, 0, in, &packed, &size), ERR_NONE);
    assert_memory_equal(packed, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    uint8_t twice[4096];
    memcpy(twice, packed, size);
    memcpy(twice + size, packed, size);
    assert_int_equal(
        decompress_bytes(COMPRESSION_SNAPPY, slice_of(twice, 2 * size), 2000, &arena, &out),
        ERR_NONE);
    assert_int_equal(out.size, 2000);
    assert_memory_equal(out.data + 1000, in.data, 1000);

    // A block longer than what is left; a raw block that claims 4 GB.
    store_u32(packed + 16, 0x7fffffff);
    assert_int_equal(
        decompress_bytes(COMPRESSION_SNAPPY, slice_of(packed, size), 1 << 20, &arena, &out),
        ERR_CORRUPT);
    memory_free(packed);
    static const uint8_t liar[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'};
    assert_int_equal(
        decompress_bytes(COMPRESSION_SNAPPY, slice_of(liar, sizeof liar), SIZE_MAX, &arena, &out),
        ERR_CORRUPT);
}

static void test_gzip_members(void **state) {
    (void)state;
    struct slice in = text_of(1000), out;
    uint8_t *packed;
    size_t size;
    assert_int_equal(compress_bytes(COMPRESSION_GZIP, 9, in, &packed, &size), ERR_NONE);
    uint8_t twice[4096];
    memcpy(twice, packed, size);
    memcpy(twice + size, packed, size);
    memcpy(twice + 2 * size, "rest", 4);
    assert_int_equal(
        decompress_bytes(COMPRESSION_GZIP, slice_of(twice, 2 * size + 4), 2000, &arena, &out),
        ERR_NONE);
    assert_int_equal(out.size, 2000);
    memory_free(packed);
}

// zstd without content size, several frames, and a false content size.
static void test_zstd_frames(void **state) {
    (void)state;
    struct slice in = text_of(200000), out;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    size_t capacity = ZSTD_compressBound(in.size);
    uint8_t *packed = memory_alloc(2 * capacity);
    size_t size = ZSTD_compress2(context, packed, capacity, in.data, in.size);
    assert_false(ZSTD_isError(size));
    assert_int_equal(ZSTD_getFrameContentSize(packed, size), ZSTD_CONTENTSIZE_UNKNOWN);
    assert_int_equal(
        decompress_bytes(COMPRESSION_ZSTD, slice_of(packed, size), in.size, &arena, &out),
        ERR_NONE);
    assert_memory_equal(out.data, in.data, in.size);
    memcpy(packed + size, packed, size);
    assert_int_equal(
        decompress_bytes(COMPRESSION_ZSTD, slice_of(packed, 2 * size), 2 * in.size, &arena, &out),
        ERR_NONE);
    assert_int_equal(out.size, 2 * in.size);
    ZSTD_freeCCtx(context);
    memory_free(packed);

    static const uint8_t liar[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 1, 0, 0};
    assert_int_equal(ZSTD_getFrameContentSize(liar, sizeof liar), 1 << 30);
    assert_int_equal(
        decompress_bytes(COMPRESSION_ZSTD, slice_of(liar, sizeof liar), SIZE_MAX, &arena, &out),
        ERR_CORRUPT);
    assert_int_equal(
        decompress_bytes(COMPRESSION_ZSTD, slice_of(liar, sizeof liar), 1000, &arena, &out),
        ERR_LIMIT);
}

// A megabyte-sized bomb stops at the limit, without the memory of its full size.
static void test_bombs(void **state) {
    (void)state;
    size_t full = (size_t)64 << 20;
    uint8_t *zeros = memory_zalloc(full, 1);
    struct slice out;
    for (size_t c = 0; c < COUNT_OF(codecs); c++) {
        uint8_t *packed;
        size_t size;
        assert_int_equal(compress_bytes(codecs[c], 0, slice_of(zeros, full), &packed, &size),
                         ERR_NONE);
        assert_true(size < full / 10);
        assert_int_equal(decompress_bytes(codecs[c], slice_of(packed, size), 1 << 20, &arena, &out),
                         ERR_LIMIT);
        assert_int_equal(arena.total, 0);
        memory_free(packed);
    }
    memory_free(zeros);
}

static void test_unknown_codec(void **state) {
    (void)state;
    struct slice out;
    for (int c = 5; c < 8; c++) {
        assert_int_equal(decompress_bytes((enum compression)c, SLICE_EMPTY, 10, &arena, &out),
                         ERR_UNSUPPORTED_COMPRESSION_TYPE);
    }
    enum compression found;
    assert_true(compression_parse(SLICE_LITERAL("zstd"), &found));
    assert_int_equal(found, COMPRESSION_ZSTD);
    assert_false(compression_parse(SLICE_LITERAL("producer"), &found));
    assert_string_equal(compression_name(COMPRESSION_LZ4), "lz4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snappy_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gzip_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zstd_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bombs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_codec, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
