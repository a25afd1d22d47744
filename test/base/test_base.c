#include "test/test.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/chain.h"
#include "base/crc32c.h"
#include "base/heap.h"
#include "base/histogram.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/message.h"
#include "base/prng.h"
#include "base/reader.h"
#include "base/string_buffer.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "base/uuid.h"
#include "base/varint.h"

static void test_slice(void **state) {
    (void)state;
    struct slice a = SLICE_LITERAL("abc"), l, r;
    assert_true(slice_equal(a, slice_cstring("abc")));
    assert_false(slice_equal(SLICE_NULL, SLICE_EMPTY));
    assert_true(slice_compare(SLICE_NULL, SLICE_EMPTY) < 0);
    assert_true(slice_compare(SLICE_LITERAL("ab"), a) < 0);
    assert_true(slice_compare(SLICE_LITERAL("b"), a) > 0);
    assert_true(slice_starts_with(a, SLICE_LITERAL("ab")));
    assert_true(slice_ends_with(a, SLICE_LITERAL("bc")));
    assert_true(slice_split(SLICE_LITERAL("k=v=w"), '=', &l, &r));
    assert_true(slice_equal_cstring(l, "k") && slice_equal_cstring(r, "v=w"));
    assert_false(slice_split(a, '=', &l, &r));
    assert_true(slice_equal_cstring(slice_trim(SLICE_LITERAL(" \tx y\r\n")), "x y"));
}

static void test_parse_int64(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"+7", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"1 ", false, 0},
        {"1e3", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t value = 0;
        assert_int_equal(slice_parse_int64(slice_cstring(cases[i].text), &value), cases[i].ok);
        assert_int_equal(value, cases[i].value);
    }
}

static void test_varint(void **state) {
    (void)state;
    struct prng random;
    prng_init(&random, 1);
    for (int i = 0; i < 20000; i++) {
        int64_t v = (int64_t)(prng_next(&random) >> prng_below(&random, 64));
        if (i < 3) v = (int64_t[]){INT64_MIN, INT64_MAX, 0}[i];
        uint8_t bytes[VARLONG_MAX];
        size_t size = uvarlong_write(bytes, zigzag64(v));
        assert_int_equal(size, uvarlong_size(zigzag64(v)));
        struct reader r = reader_of(slice_of(bytes, size));
        assert_true(reader_varlong(&r) == v);
        assert_int_equal(reader_left(&r), 0);
        assert_false(r.failed);
        struct reader cut = reader_of(slice_of(bytes, size - 1));
        reader_varlong(&cut);
        assert_true(cut.failed);
    }
    static const uint8_t too_long[] = {0xff, 0xff, 0xff, 0xff, 0x1f};
    struct reader r = reader_of(slice_of(too_long, sizeof too_long));
    assert_int_equal(reader_uvarint(&r), 0);
    assert_int_equal(reader_error(&r), ERR_CORRUPT);
    assert_int_equal(reader_i64(&r), 0);
}

static void test_crc32c(void **state) {
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void test_uuid(void **state) {
    (void)state;
    char text[UUID_TEXT_SIZE];
    assert_string_equal(uuid_format(UUID_METADATA_TOPIC, text), "AAAAAAAAAAAAAAAAAAAAAQ");
    struct prng random;
    prng_init(&random, 2);
    int made = 0;
    for (int i = 0; i < 1000; i++) {
        struct uuid u, back;
        if (!uuid_from_random(prng_next(&random), prng_next(&random), &u)) continue;
        made++;
        assert_true(uuid_parse(slice_cstring(uuid_format(u, text)), &back));
        assert_true(uuid_equal(u, back));
        assert_true(text[0] != '-');
    }
    assert_true(made > 950);
    struct uuid u;
    assert_false(uuid_parse(SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAAA="), &u));
    assert_false(uuid_parse(SLICE_LITERAL("AAAA"), &u));
    assert_true(uuid_is_reserved(UUID_ZERO));
}

static int pins_released;
static void release(struct pin *pin) {
    (void)pin;
    pins_released++;
}

static void test_chain(void **state) {
    (void)state;
    struct pin pin = {release};
    struct chain a, b;
    chain_init(&a);
    chain_init(&b);
    pins_released = 0;
    chain_u16(&a, 0x0102);
    chain_append_borrowed(&a, SLICE_LITERAL("borrowed"), &pin);
    chain_varint(&a, -1);
    for (int i = 0; i < 100000; i++)
        chain_u8(&b, (uint8_t)i);
    chain_move(&a, &b);
    assert_int_equal(b.size, 0);
    assert_int_equal(a.size, 2 + 8 + 1 + 100000);
    uint8_t *out = memory_alloc(a.size);
    assert_true(chain_copy_out(&a, out));
    assert_memory_equal(out, "\1\2borrowed\1\0\1\2", 14);
    assert_int_equal(out[a.size - 1], (uint8_t)99999);
    // Consumed in odd pieces, what is left stays the same.
    size_t gone = 0;
    for (size_t part = 1; a.size > 0; part = part * 3 % 1009 + 1) {
        size_t n = MIN(part, a.size);
        chain_consume(&a, n);
        gone += n;
        if (a.size > 0) assert_int_equal(a.first->data[0], out[gone]);
    }
    assert_int_equal(pins_released, 1);
    memory_free(out);
    chain_append_borrowed(&a, SLICE_LITERAL("x"), &pin);
    chain_append_file(&a, (struct file *)&a, 7, 5, &pin);
    assert_false(chain_copy_out(&a, (uint8_t[8]){0}));
    chain_consume(&a, 3);
    assert_int_equal(a.first->position, 9);
    chain_deinit(&a);
    assert_int_equal(pins_released, 3);
    chain_deinit(&b);
}

static void test_arena(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 1000; i++) {
            uint8_t *p = arena_alloc(&arena, i);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, 0xee, i);
        }
        int *zeroes = arena_zalloc(&arena, 100000, sizeof(int));
        assert_int_equal(zeroes[99999], 0);
        assert_true(slice_equal_cstring(arena_format(&arena, "%d-%s", 7, "x"), "7-x"));
        assert_true(slice_is_null(arena_copy(&arena, SLICE_NULL)));
        assert_string_equal(arena_cstring(&arena, SLICE_LITERAL("abc")), "abc");
        arena_reset(&arena);
        assert_true(arena.total <= 2048);
    }
    arena_deinit(&arena);
}

struct entry {
    struct map_node node;
    struct heap_node timer;
    char key[16];
};

static void test_map(void **state) {
    (void)state;
    enum { N = 2000 };
    struct entry *entries = memory_zalloc(N, sizeof *entries);
    struct map m;
    map_init(&m, 42);
    assert_null(map_get(&m, SLICE_LITERAL("x")));
    for (int i = 0; i < N; i++) {
        snprintf(entries[i].key, sizeof entries[i].key, "key%d", i);
        map_put(&m, &entries[i].node, slice_cstring(entries[i].key));
    }
    for (int i = 0; i < N; i += 2)
        map_remove(&m, &entries[i].node);
    assert_int_equal(m.count, N / 2);
    int next = 1;
    map_for_each(n, &m) {  // in order of insertion
        assert_ptr_equal(container_of(n, struct entry, node), &entries[next]);
        next += 2;
    }
    for (int i = 0; i < N; i++) {
        struct map_node *n = map_get(&m, slice_cstring(entries[i].key));
        assert_ptr_equal(n, i % 2 == 0 ? NULL : &entries[i].node);
    }
    map_deinit(&m);
    memory_free(entries);
}

static void test_heap(void **state) {
    (void)state;
    enum { N = 1000 };
    struct entry *entries = memory_zalloc(N, sizeof *entries);
    struct heap h;
    struct prng random;
    heap_init(&h);
    prng_init(&random, 3);
    for (int i = 0; i < N; i++) {
        heap_node_init(&entries[i].timer);
        heap_insert(&h, &entries[i].timer, prng_below(&random, 50));
    }
    for (int i = 0; i < N; i += 3)
        heap_remove(&h, &entries[i].timer);
    uint64_t key = 0, sequence = 0;
    size_t seen = 0;
    for (struct heap_node *n; (n = heap_first(&h)) != NULL; seen++) {
        assert_true(n->key > key || (n->key == key && (seen == 0 || n->sequence > sequence)));
        key = n->key;
        sequence = n->sequence;
        heap_remove(&h, n);
        assert_false(heap_contains(n));
    }
    assert_int_equal(seen, N - (N + 2) / 3);
    heap_deinit(&h);
    memory_free(entries);
}

static void test_text(void **state) {
    (void)state;
    struct string_buffer b;
    string_buffer_init(&b);
    string_buffer_append_json(&b, SLICE_LITERAL("a\"\\\n\x01ü"));
    assert_string_equal(b.text, "\"a\\\"\\\\\\n\\u0001ü\"");
    string_buffer_clear(&b);
    string_buffer_append_base64(&b, SLICE_LITERAL("any carnal pleas"));
    assert_string_equal(b.text, "YW55IGNhcm5hbCBwbGVhcw==");
    string_buffer_deinit(&b);
    struct message m;
    char *longer = memory_zalloc(3000, 1);
    for (int i = 0; i < 1200; i += 2)
        memcpy(longer + i, "ü", 2);
    message_set(&m, "%s", longer);
    assert_true(strlen(m.text) < sizeof m.text);
    assert_true(utf8_is_valid(slice_cstring(m.text)));
    memory_free(longer);
    assert_false(utf8_is_valid(SLICE_LITERAL("\xc0\x80")));
    assert_false(utf8_is_valid(SLICE_LITERAL("\xed\xa0\x80")));
    assert_false(utf8_is_valid(SLICE_LITERAL("\xf0\x9f")));
    assert_int_equal(utf8_java_hash(SLICE_LITERAL("my-group")), -1906497762);
    // Kafka's Utils.abs, not a mask: a mask would give 16.
    assert_int_equal(utf8_java_partition(SLICE_LITERAL("x-kcat"), 50), 32);
    assert_int_equal(utf8_java_partition(SLICE_LITERAL("polygenelubricants"), 50), 0);  // INT_MIN
    assert_int_equal(utf8_java_hash(SLICE_LITERAL("\xf0\x9f\x98\x80")), 1772899);
    // As java.util.HashMap keeps them in its first 16 buckets, and in 32 when 13 are there.
    assert_int_equal(utf8_java_bucket(SLICE_LITERAL("sticky"), 3), 8);
    assert_int_equal(utf8_java_bucket(SLICE_LITERAL("range"), 12), 9);
    assert_int_equal(utf8_java_bucket(SLICE_LITERAL("roundrobin"), 1), 10);
    assert_int_equal(utf8_java_bucket(SLICE_LITERAL("cooperative-sticky"), 2), 15);
    assert_true(utf8_java_bucket(SLICE_LITERAL("cooperative-sticky"), 13) % 16 == 15);
}

static void test_histogram(void **state) {
    (void)state;
    struct histogram *h = memory_alloc(sizeof *h);
    histogram_init(h);
    assert_int_equal(histogram_percentile(h, 50), 0);
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(h, i * 1000);
    double p50 = (double)histogram_percentile(h, 50), p99 = (double)histogram_percentile(h, 99);
    assert_true(p50 > 50e6 * 0.99 && p50 < 50e6 * 1.01);
    assert_true(p99 > 99e6 * 0.99 && p99 < 99e6 * 1.01);
    assert_int_equal(histogram_percentile(h, 100), 100000000);
    histogram_add(h, UINT64_MAX);
    memory_free(h);
}

static void test_time(void **state) {
    (void)state;
    char text[TIME_TEXT_SIZE];
    assert_string_equal(time_text(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(time_text(1709208000123, text), "2024-02-29T12:00:00.123Z");
    assert_string_equal(time_text(-1, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_text(4102444799999, text), "2099-12-31T23:59:59.999Z");
    assert_true(strlen(time_text(INT64_MIN, text)) > 20);
    assert_true(strlen(time_text(INT64_MAX, text)) > 20);
}

static void test_buffer(void **state) {
    (void)state;
    struct buffer *b = buffer_new(100);
    buffer_unref(buffer_ref(b));
    b->data[99] = 1;
    buffer_unref(b);
    buffer_unref(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice),     cmocka_unit_test(test_parse_int64),
        cmocka_unit_test(test_varint),    cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_uuid),      cmocka_unit_test(test_chain),
        cmocka_unit_test(test_arena),     cmocka_unit_test(test_map),
        cmocka_unit_test(test_heap),      cmocka_unit_test(test_text),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
