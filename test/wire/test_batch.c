// Record batches: headers, records, builder; and segments that Apache Kafka wrote.
#include "test/test.h"

#include "base/memory.h"
#include "base/prng.h"
#include "wire/batch.h"

#define DECOMPRESSED_MAX ((size_t)16 << 20)

static struct slice build(struct batch_builder *b, enum compression compression, int count) {
    static char keys[1000][16];
    struct record_header headers[2] = {
        {SLICE_LITERAL("source"), SLICE_LITERAL("demo")},
        {SLICE_LITERAL("none"), SLICE_NULL},
    };
    for (int i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%d", i);
        struct record record = {
            .timestamp = 1700000000000 + i,
            .key = i % 3 == 0 ? SLICE_NULL : slice_cstring(keys[i]),
            .value = i % 5 == 4 ? SLICE_NULL : SLICE_LITERAL("value value value value value"),
            .headers = headers,
            .header_count = i % 3,
        };
        size_t bound = batch_builder_size_with(b, &record);
        batch_builder_append(b, &record);
        assert_true(b->size <= bound);
    }
    struct slice bytes;
    assert_int_equal(batch_builder_finish(b, compression, 0, &bytes), ERR_NONE);
    return bytes;
}

static void check_built(struct slice bytes, int count, int64_t base_offset) {
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    assert_true(batch_crc_is_valid(bytes));
    assert_int_equal(record_reader_init(&r, bytes, &arena, DECOMPRESSED_MAX), ERR_NONE);
    assert_int_equal(r.batch.size, bytes.size);
    assert_int_equal(r.batch.record_count, count);
    assert_int_equal(r.batch.last_offset, base_offset + count - 1);
    assert_int_equal(r.batch.max_timestamp, 1700000000000 + count - 1);
    struct record record;
    for (int i = 0; i < count; i++) {
        assert_int_equal(record_reader_next(&r, &record), ERR_NONE);
        assert_int_equal(record.offset, base_offset + i);
        assert_int_equal(record.timestamp, 1700000000000 + i);
        char key[16];
        snprintf(key, sizeof key, "key-%d", i);
        assert_true(i % 3 == 0 ? slice_is_null(record.key) : slice_equal_cstring(record.key, key));
        assert_int_equal(slice_is_null(record.value), i % 5 == 4);
        assert_int_equal(record.header_count, i % 3);
        if (record.header_count == 2) {
            assert_true(slice_equal_cstring(record.headers[0].value, "demo"));
            assert_true(slice_is_null(record.headers[1].value));
        }
    }
    assert_int_equal(record_reader_next(&r, &record), ERR_EOF);
    assert_int_equal(record_reader_next(&r, &record), ERR_EOF);
    arena_deinit(&arena);
}

static void test_round_trip(void **state) {
    (void)state;
    for (int compression = 0; compression <= COMPRESSION_ZSTD; compression++) {
        struct batch_builder b;
        batch_builder_init(&b);
        for (int count = 1; count < 1000; count = count * 7 + 1) {
            batch_builder_reset(&b);
            b.base_offset = 5000000000;
            b.leader_epoch = 7;
            struct slice bytes = build(&b, (enum compression)compression, count);
            check_built(bytes, count, 5000000000);
        }
        batch_builder_deinit(&b);
    }
}

static void test_empty_values(void **state) {
    (void)state;
    struct batch_builder b;
    batch_builder_init(&b);
    struct slice bytes;
    assert_int_equal(batch_builder_finish(&b, COMPRESSION_NONE, 0, &bytes), ERR_INVALID);
    struct record in = {.timestamp = -1, .key = SLICE_EMPTY, .value = SLICE_EMPTY};
    batch_builder_append(&b, &in);
    assert_int_equal(batch_builder_finish(&b, COMPRESSION_NONE, 0, &bytes), ERR_NONE);
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, bytes, &arena, 0), ERR_NONE);
    assert_int_equal(record_reader_next(&r, &record), ERR_NONE);
    assert_true(!slice_is_null(record.key) && record.key.size == 0);
    assert_true(!slice_is_null(record.value) && record.value.size == 0);
    assert_int_equal(record.timestamp, -1);
    arena_deinit(&arena);
    batch_builder_deinit(&b);
}

// Offset and leader epoch are outside the CRC; everything from the attributes on is inside.
static void test_crc_range(void **state) {
    (void)state;
    struct batch_builder b;
    batch_builder_init(&b);
    struct slice bytes = build(&b, COMPRESSION_NONE, 10);
    for (size_t i = 0; i < bytes.size; i++) {
        b.data[i] ^= 0x40;
        bool is_outside = i < BATCH_LENGTH + 4 || (i >= BATCH_LEADER_EPOCH && i <= BATCH_MAGIC);
        assert_int_equal(batch_crc_is_valid(bytes), is_outside);
        b.data[i] ^= 0x40;
    }
    batch_builder_deinit(&b);
}

static void test_headers_that_lie(void **state) {
    (void)state;
    struct batch_builder b;
    batch_builder_init(&b);
    struct slice bytes = build(&b, COMPRESSION_NONE, 10);
    struct batch batch;
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    for (size_t size = 0; size < BATCH_HEADER_SIZE; size++) {
        assert_int_equal(batch_decode(slice_sub(bytes, 0, size), &batch), ERR_EOF);
        assert_int_equal(record_reader_init(&r, slice_sub(bytes, 0, size), &arena, 0), ERR_CORRUPT);
    }
    assert_int_equal(record_reader_init(&r, slice_sub(bytes, 0, bytes.size - 1), &arena, 0),
                     ERR_CORRUPT);
    int32_t length = load_i32(b.data + BATCH_LENGTH);
    static const int32_t lengths[] = {-1, 0, 48, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        store_i32(b.data + BATCH_LENGTH, lengths[i]);
        assert_int_equal(batch_decode(bytes, &batch), ERR_CORRUPT);
    }
    store_i32(b.data + BATCH_LENGTH, length);
    b.data[BATCH_MAGIC] = 1;
    assert_int_equal(batch_decode(bytes, &batch), ERR_CORRUPT);
    assert_int_equal(batch.magic, 1);
    b.data[BATCH_MAGIC] = 2;

    // More records than there are, fewer, and a negative count.
    struct record record;
    store_i32(b.data + BATCH_RECORD_COUNT, INT32_MAX);
    assert_int_equal(record_reader_init(&r, bytes, &arena, 0), ERR_NONE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(record_reader_next(&r, &record), ERR_NONE);
    assert_int_equal(record_reader_next(&r, &record), ERR_CORRUPT);
    store_i32(b.data + BATCH_RECORD_COUNT, 9);
    assert_int_equal(record_reader_init(&r, bytes, &arena, 0), ERR_NONE);
    for (int i = 0; i < 9; i++)
        assert_int_equal(record_reader_next(&r, &record), ERR_NONE);
    assert_int_equal(record_reader_next(&r, &record), ERR_CORRUPT);
    store_i32(b.data + BATCH_RECORD_COUNT, -1);
    assert_int_equal(record_reader_init(&r, bytes, &arena, 0), ERR_CORRUPT);
    arena_deinit(&arena);
    batch_builder_deinit(&b);
}

// A header count beyond the bytes left must not size an allocation.
static void test_header_count_bomb(void **state) {
    (void)state;
    uint8_t bytes[BATCH_HEADER_SIZE + 16] = {0};
    static const uint8_t body[] = {22, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0};
    memcpy(bytes + BATCH_HEADER_SIZE, body, sizeof body);
    bytes[BATCH_MAGIC] = 2;
    size_t size = BATCH_HEADER_SIZE + sizeof body;
    store_i32(bytes + BATCH_LENGTH, (int32_t)(size - BATCH_OVERHEAD));
    store_i32(bytes + BATCH_RECORD_COUNT, 1);
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, slice_of(bytes, size), &arena, 0), ERR_NONE);
    assert_int_equal(record_reader_next(&r, &record), ERR_CORRUPT);
    assert_int_equal(arena.total, 0);
    arena_deinit(&arena);
}

static void test_sequence_wraps(void **state) {
    (void)state;
    assert_int_equal(sequence_add(INT32_MAX, 1), 0);
    assert_int_equal(sequence_add(INT32_MAX - 2, 5), 2);
    assert_int_equal(sequence_add(0, 4), 4);
    struct batch b = {.base_sequence = INT32_MAX, .last_offset_delta = 3};
    assert_int_equal(batch_last_sequence(&b), 2);
    b.base_sequence = -1;
    assert_int_equal(batch_last_sequence(&b), -1);
}

// ---- Segments by Apache Kafka 4.3.1 ----

static size_t load_golden(const char *name, uint8_t *data, size_t capacity) {
    char path[512];
    snprintf(path, sizeof path, "%s/wire/golden/%s.log", TEST_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(data, 1, capacity, f);
    fclose(f);
    assert_in_range(size, 1, capacity - 1);
    return size;
}

static uint8_t golden[1 << 16];

// Walks a segment; answers the number of records.
static int walk(const char *name, int expected_codec, int *batches) {
    size_t size = load_golden(name, golden, sizeof golden);
    struct arena arena;
    arena_init(&arena);
    int records = 0;
    int64_t next = 0;
    *batches = 0;
    for (size_t at = 0; at < size;) {
        struct batch batch;
        struct slice rest = slice_of(golden + at, size - at);
        assert_int_equal(batch_decode(rest, &batch), ERR_NONE);
        struct slice bytes = slice_sub(rest, 0, batch.size);
        assert_true(batch_crc_is_valid(bytes));
        assert_true(batch.base_offset >= next);
        if (expected_codec >= 0) assert_int_equal(batch_compression(&batch), expected_codec);
        struct record_reader r;
        struct record record;
        assert_int_equal(record_reader_init(&r, bytes, &arena, DECOMPRESSED_MAX), ERR_NONE);
        enum err err;
        while ((err = record_reader_next(&r, &record)) == ERR_NONE) {
            assert_in_range(record.offset, batch.base_offset, batch.last_offset);
            records++;
        }
        assert_int_equal(err, ERR_EOF);
        next = batch.last_offset + 1;
        at += batch.size;
        ++*batches;
    }
    arena_deinit(&arena);
    return records;
}

static void test_golden_segments(void **state) {
    (void)state;
    int batches;
    assert_int_equal(walk("none", COMPRESSION_NONE, &batches), 65);
    assert_int_equal(walk("gzip", COMPRESSION_GZIP, &batches), 60);
    assert_int_equal(walk("snappy", COMPRESSION_SNAPPY, &batches), 60);
    assert_int_equal(walk("lz4", COMPRESSION_LZ4, &batches), 60);
    assert_int_equal(walk("zstd", COMPRESSION_ZSTD, &batches), 60);
    assert_int_equal(batches, 3);
    assert_int_equal(walk("appendtime", COMPRESSION_GZIP, &batches), 20);
    // Compaction left two batches without records, whose offsets still count.
    assert_int_equal(walk("compact", COMPRESSION_NONE, &batches), 10);
    assert_int_equal(batches, 3);
    assert_true(walk("txn", -1, &batches) > 0);
}

static void test_golden_record(void **state) {
    (void)state;
    size_t size = load_golden("appendtime", golden, sizeof golden);
    struct arena arena;
    arena_init(&arena);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, slice_of(golden, size), &arena, 4096), ERR_NONE);
    assert_int_equal(r.batch.crc, 3887572351u);
    assert_int_equal(r.batch.producer_id, 5);
    for (int i = 0; i < 8; i++)
        assert_int_equal(record_reader_next(&r, &record), ERR_NONE);
    assert_true(slice_equal_cstring(record.key, "k7"));
    assert_true(slice_equal_cstring(record.value, "v7"));
    assert_int_equal(record.timestamp, 1795442068724);  // LogAppendTime: the batch's maximum
    arena_deinit(&arena);
}

// Any bytes whatever give an answer, and never more memory than allowed.
static void test_mutations(void **state) {
    (void)state;
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd", "txn"};
    struct prng prng;
    prng_init(&prng, 7);
    struct arena arena;
    arena_init(&arena);
    uint64_t accepted = 0, refused = 0;
    for (int round = 0; round < 3000; round++) {
        size_t size = load_golden(names[round % 6], golden, sizeof golden);
        for (uint64_t n = prng_below(&prng, 8) + 1; n > 0; n--) {
            golden[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
        }
        struct record_reader r;
        struct record record;
        enum err err = record_reader_init(&r, slice_of(golden, size), &arena, 1 << 20);
        while (err == ERR_NONE)
            err = record_reader_next(&r, &record);
        if (err == ERR_EOF)
            accepted++;
        else
            refused++;
        assert_true(arena.total < (4 << 20));
        arena_reset(&arena);
    }
    assert_true(accepted > 0 && refused > 0);
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_empty_values),
        cmocka_unit_test(test_crc_range),         cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_header_count_bomb), cmocka_unit_test(test_sequence_wraps),
        cmocka_unit_test(test_golden_segments),   cmocka_unit_test(test_golden_record),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
