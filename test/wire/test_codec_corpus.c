// Messages that Apache Kafka 4.4.0's own classes wrote (test/codec-java makes them): each must
// decode, encode to the same bytes and print the same JSON. Every version of every message has to
// be among them; only Streams' SubscriptionInfoData is in no jar. Usage: test_wire_codec_corpus
// [FILE]; without one the corpus of this folder. The format is told in test/codec-java/Emit.java.
#include "test/test.h"

#include "base/memory.h"
#include "base/prng.h"
#include "gen/messages.h"
#include "gen/rec/client.h"
#include "wire/batch.h"
#include "wire/codec.h"

#define CORPUS_MAX ((size_t)1 << 30)

static const char *corpus_path = TEST_SOURCE_DIR "/wire/corpus/kafka-4.4.0.bin.gz";

struct entry {
    struct slice name;
    int16_t version;
    struct slice bytes;
    struct slice json;
};

static struct slice read_file(const char *path, struct arena *arena) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s cannot be read", path);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = arena_alloc(arena, size);
    assert_int_equal(fread(bytes, 1, size, f), size);
    fclose(f);
    struct slice packed = slice_of(bytes, size), unpacked;
    if (!slice_ends_with(slice_cstring(path), SLICE_LITERAL(".gz"))) return packed;
    assert_int_equal(decompress_bytes(COMPRESSION_GZIP, packed, CORPUS_MAX, arena, &unpacked),
                     ERR_NONE);
    return unpacked;
}

static struct entry next_entry(struct reader *in) {
    struct entry entry;
    entry.name = reader_bytes(in, reader_u16(in));
    entry.version = reader_i16(in);
    entry.bytes = reader_bytes(in, reader_u32(in));
    entry.json = reader_bytes(in, reader_u32(in));
    assert_false(in->failed);
    return entry;
}

// Java 17 does not always print the shortest digits of a double: such numbers are compared as
// numbers, all else as text.
static bool json_equal(const char *a, const char *b) {
    while (*a != '\0' && *a == *b)
        a++, b++;
    if (*a == *b) return true;
    // Back to where the number begins.
    const char *digits = "0123456789.E-";
    size_t back = 0;
    while (strchr(digits, a[-1 - (ptrdiff_t)back]) != NULL)
        back++;
    char *end_a, *end_b;
    double value_a = strtod(a - back, &end_a), value_b = strtod(b - back, &end_b);
    if (value_a != value_b || end_a == a - back || end_b <= b || end_a <= a) return false;
    return json_equal(end_a, end_b);
}

static void check_json(const struct entry *entry, const struct codec_struct *type,
                       const void *message) {
    struct string_buffer ours, theirs;
    string_buffer_init(&ours);
    string_buffer_init(&theirs);
    codec_json(type, entry->version, message, &ours);
    string_buffer_append(&theirs, entry->json);
    if (!json_equal(ours.text, theirs.text))
        fail_msg("%.*s version %d:\nours   %s\nKafka's %s", SLICE_PRINT(entry->name),
                 entry->version, ours.text, theirs.text);
    string_buffer_deinit(&ours);
    string_buffer_deinit(&theirs);
}

static void check_bytes(const struct entry *entry, const struct codec_struct *type,
                        const void *message, struct arena *arena) {
    struct chain out;
    struct message error;
    size_t size = 0;
    chain_init(&out);
    message_init(&error);
    if (codec_encode(type, entry->version, message, &out, &error))
        fail_msg("%.*s version %d: %s", SLICE_PRINT(entry->name), entry->version, error.text);
    uint8_t *bytes = arena_alloc(arena, out.size);
    assert_true(chain_copy_out(&out, bytes));
    size_t same = 0;
    while (same < out.size && same < entry->bytes.size && bytes[same] == entry->bytes.data[same])
        same++;
    if (same < out.size || same < entry->bytes.size)
        fail_msg("%.*s version %d: %zu bytes instead of %zu, different from byte %zu on",
                 SLICE_PRINT(entry->name), entry->version, out.size, entry->bytes.size, same);
    assert_int_equal(codec_encoded_size(type, entry->version, message, &size, NULL), ERR_NONE);
    assert_int_equal(size, out.size);
    assert_true(size >= codec_size_min(type, entry->version));
    chain_deinit(&out);
}

static void check_entry(const struct entry *entry, const struct codec_struct *type,
                        struct arena *arena) {
    uint8_t *message = arena_alloc(arena, codec_size(type));
    memset(message, 0xa5, codec_size(type));
    struct reader in = reader_of(entry->bytes);
    enum err err = codec_decode(type, entry->version, &in, arena, 0, message);
    if (err || reader_left(&in) > 0)
        fail_msg("%.*s version %d: %s, %zu bytes left", SLICE_PRINT(entry->name), entry->version,
                 err_name(err), reader_left(&in));
    check_bytes(entry, type, message, arena);
    check_json(entry, type, message);
}

static size_t index_of(const struct codec_struct *type) {
    for (size_t i = 0; i < MESSAGE_COUNT; i++)
        if (codec_messages[i] == type) return i;
    fail();
    return 0;
}

static void test_corpus(void **state) {
    (void)state;
    struct arena arena, scratch;
    arena_init(&arena);
    arena_init(&scratch);
    bool(*seen)[128] = memory_zalloc(MESSAGE_COUNT, sizeof *seen);
    struct reader in = reader_of(read_file(corpus_path, &arena));
    size_t cases = 0, versions = 0, messages = 0;
    while (reader_left(&in) > 0) {
        struct entry entry = next_entry(&in);
        const struct codec_struct *type = codec_message_of(entry.name);
        if (type == NULL) fail_msg("%.*s is not in our schema", SLICE_PRINT(entry.name));
        check_entry(&entry, type, &scratch);
        arena_reset(&scratch);
        seen[index_of(type)][entry.version] = true;
        cases++;
    }
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct codec_struct *type = codec_messages[i];
        if (type == &subscription_info_data_codec) continue;
        messages++;
        for (int16_t v = codec_version_min(type); v <= codec_version_max(type); v++, versions++)
            if (!seen[i][v]) fail_msg("%s version %d is not in the corpus", codec_name(type), v);
    }
    print_message("%zu messages, %zu versions, %zu cases\n", messages, versions, cases);
    memory_free(seen);
    arena_deinit(&scratch);
    arena_deinit(&arena);
}

// Every message of every version with bytes changed: refused, or decoded to something that encodes;
// the memory limit holds and a sanitizer sees every read beyond the end.
static void test_corpus_mutated(void **state) {
    (void)state;
    struct arena arena, scratch;
    arena_init(&arena);
    arena_init(&scratch);
    struct prng prng;
    prng_init(&prng, 1);
    struct reader in = reader_of(read_file(corpus_path, &arena));
    size_t refused = 0, taken = 0;
    while (reader_left(&in) > 0) {
        struct entry entry = next_entry(&in);
        const struct codec_struct *type = codec_message_of(entry.name);
        for (int i = 0; i < 4; i++) {
            size_t size =
                i == 0 ? (size_t)prng_below(&prng, entry.bytes.size + 1) : entry.bytes.size;
            uint8_t *bytes = memory_alloc(size);
            memcpy(bytes, entry.bytes.data, size);
            for (int k = 0; k < i && size > 0; k++)
                bytes[prng_below(&prng, size)] = (uint8_t)prng_next(&prng);
            struct reader mutant = reader_of(slice_of(bytes, size));
            void *message = arena_alloc(&scratch, codec_size(type));
            enum err err = codec_decode(type, entry.version, &mutant, &scratch, 1 << 20, message);
            size_t encoded = 0;
            if (err == ERR_NONE) {
                assert_int_equal(codec_encoded_size(type, entry.version, message, &encoded, NULL),
                                 ERR_NONE);
                taken++;
            } else {
                assert_true(err == ERR_CORRUPT || err == ERR_LIMIT);
                refused++;
            }
            assert_true(scratch.total < 4 << 20);
            memory_free(bytes);
            arena_reset(&scratch);
        }
    }
    assert_true(refused > 1000 && taken > 1000);
    arena_deinit(&scratch);
    arena_deinit(&arena);
}

// The comparison itself must be able to fail.
static void test_json_equal(void **state) {
    (void)state;
    assert_true(json_equal("{\"a\":1.0E10}", "{\"a\":1.00E10}"));
    assert_true(json_equal("{\"a\":2.0E-3,\"b\":1}", "{\"a\":2.00E-3,\"b\":1}"));
    assert_false(json_equal("{\"a\":1.5}", "{\"a\":1.6}"));
    assert_false(json_equal("{\"a\":1}", "{\"b\":1}"));
    assert_false(json_equal("{\"a\":1,\"b\":2}", "{\"a\":1}"));
    assert_false(json_equal("{\"a\":\"x\"}", "{\"a\":\"y\"}"));
}

int main(int argc, char **argv) {
    if (argc > 1) corpus_path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_equal),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_corpus_mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
