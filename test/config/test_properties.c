// java.util.Properties, case by case; what Java makes of each was tried with Java 17.
#include "config/properties.h"
#include "test/test.h"

// Reads all pairs of `text` into "key=value|key=value|"; "!" and the error when it fails.
static char *read_all(const char *text) {
    static char out[1024];
    size_t size = 0;
    struct arena arena;
    arena_init(&arena);
    struct properties p = properties_of(slice_cstring(text), &arena);
    struct slice key, value;
    struct message error;
    enum err err;
    while ((err = properties_next(&p, &key, &value, &error)) == ERR_NONE)
        size += (size_t)snprintf(out + size, sizeof out - size, "%.*s=%.*s|", SLICE_PRINT(key),
                                 SLICE_PRINT(value));
    if (err != ERR_EOF) snprintf(out + size, sizeof out - size, "!%s", error.text);
    out[MIN(size, sizeof out - 1) + (err != ERR_EOF ? strlen(out + size) : 0)] = '\0';
    arena_deinit(&arena);
    return out;
}

static void test_separators(void **state) {
    (void)state;
    assert_string_equal(read_all("a=1\nb:2\nc 3\nd\t=\t4\ne : 5\nf\n"), "a=1|b=2|c=3|d=4|e=5|f=|");
    assert_string_equal(read_all("  a = b = c  "), "a=b = c  |");
    assert_string_equal(read_all("a==b\nc::d\n=x\n:y"), "a==b|c=:d|=x|=y|");
    assert_string_equal(read_all(""), "");
    assert_string_equal(read_all("\n\n  \t \n"), "");
}

static void test_line_ends(void **state) {
    (void)state;
    assert_string_equal(read_all("a=1\r\nb=2\rc=3"), "a=1|b=2|c=3|");
    assert_string_equal(read_all("a=1\\\r\n  2\r\nb=3"), "a=12|b=3|");
}

static void test_comments(void **state) {
    (void)state;
    assert_string_equal(read_all("# a=1\n  ! b=2\nc=3 # no comment\n#x\\\nd=4"),
                        "c=3 # no comment|d=4|");
}

static void test_continuation(void **state) {
    (void)state;
    assert_string_equal(read_all("a=1,\\\n   2,\\\n\t3\nb=4"), "a=1,2,3|b=4|");
    assert_string_equal(read_all("a=x\\\\\nb=y"), "a=x\\|b=y|");
    assert_string_equal(read_all("a=1\\\n# not a comment\nb=2"), "a=1# not a comment|b=2|");
    assert_string_equal(read_all("a=1\\"), "a=1|");
    assert_string_equal(read_all("a=1\\\n"), "a=1|");
    assert_string_equal(read_all("a=1\\\n\nb=2"), "a=1|b=2|");
    assert_string_equal(read_all("ke\\\n  y=v"), "key=v|");
}

static void test_escapes(void **state) {
    (void)state;
    assert_string_equal(read_all("a\\=b\\:c\\ d=e"), "a=b:c d=e|");
    assert_string_equal(read_all("a=\\ttab\\nline\\qq\\\\"), "a=\ttab\nlineqq\\|");
    assert_string_equal(read_all("a=\\u0041\\u00e9\\u20AC"), "a=A\xc3\xa9\xe2\x82\xac|");
    assert_string_equal(read_all("a=\\uD83D\\uDE00"), "a=\xf0\x9f\x98\x80|");
    assert_string_equal(read_all("\\#a=b\n\\!c=d"), "#a=b|!c=d|");
    assert_string_equal(read_all("p=C:\\\\temp\\\\x"), "p=C:\\temp\\x|");
}

static void test_malformed_escape(void **state) {
    (void)state;
    assert_string_equal(read_all("x=1\na=\\u12"), "x=1|!line 2: Malformed \\uxxxx encoding.");
    assert_string_equal(read_all("a=\\u12G4"), "!line 1: Malformed \\uxxxx encoding.");
}

static void test_bytes_beyond_ascii(void **state) {
    (void)state;
    assert_string_equal(read_all("a=\xc3\xa9\x01\xff"), "a=\xc3\xa9\x01\xff|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_separators),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_continuation),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_malformed_escape),
        cmocka_unit_test(test_bytes_beyond_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
