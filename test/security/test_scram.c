#include "test/test.h"

#include "base/string_buffer.h"
#include "env/env_posix.h"
#include "security/scram.h"

static struct env_posix *posix;
static struct arena arena;

static int setup(void **state) {
    (void)state;
    posix = env_posix_new(&(struct env_posix_options){.log_level = LOG_ERROR});
    arena_init(&arena);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_deinit(&arena);
    env_posix_free(posix);
    return 0;
}

static void assert_base64(struct slice bytes, const char *text) {
    struct string_buffer out;
    string_buffer_init(&out);
    string_buffer_append_base64(&out, bytes);
    assert_string_equal(out.text, text);
    string_buffer_deinit(&out);
}

static enum err parse(const char *text, struct scram_credential *credential,
                      struct message *error) {
    return scram_parse_argument(slice_cstring(text), env_posix_reactor(posix, 0), &arena,
                                credential, error);
}

// The example of RFC 7677: user "user", password "pencil".
static void test_rfc_7677(void **state) {
    (void)state;
    struct scram_credential c;
    struct message error;
    assert_int_equal(
        parse("SCRAM-SHA-256=[name=user,password=pencil,salt=\"W22ZaJ0SNY7soEsUEjb6gQ==\"]", &c,
              &error),
        ERR_NONE);
    assert_int_equal(c.mechanism, SCRAM_SHA_256);
    assert_int_equal(c.iterations, 4096);
    assert_true(slice_equal_cstring(c.name, "user"));
    assert_base64(c.salt, "W22ZaJ0SNY7soEsUEjb6gQ==");
    assert_base64(c.stored_key, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
    assert_base64(c.server_key, "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}

// Both forms of an argument lead to the same keys.
static void test_salted_password(void **state) {
    (void)state;
    struct scram_credential a, b;
    struct message error;
    uint8_t salted[SCRAM_KEY_MAX];
    struct string_buffer text;
    assert_int_equal(
        parse("SCRAM-SHA-512=[name=alice,iterations=8192,salt=\"N3E=\",password=\"s, no\"]", &a,
              &error),
        ERR_INVALID);  // a comma ends a component, quotes or not, as in Kafka
    assert_int_equal(
        parse(" SCRAM-SHA-512=[name=alice,iterations=8192,salt=\"N3E=\",password=secret] ", &a,
              &error),
        ERR_NONE);
    assert_int_equal(a.stored_key.size, 64);
    scram_salt_password(SCRAM_SHA_512, SLICE_LITERAL("secret"), a.salt, 8192, salted);
    string_buffer_init(&text);
    string_buffer_format(&text,
                         "SCRAM-SHA-512=[name=alice,iterations=8192,salt=N3E=,saltedpassword=\"");
    string_buffer_append_base64(&text, slice_of(salted, 64));
    string_buffer_format(&text, "\"]");
    assert_int_equal(parse(text.text, &b, &error), ERR_NONE);
    assert_true(slice_equal(a.stored_key, b.stored_key));
    assert_true(slice_equal(a.server_key, b.server_key));
    string_buffer_deinit(&text);
}

static void test_random_salt(void **state) {
    (void)state;
    struct scram_credential a, b;
    struct message error;
    assert_int_equal(parse("SCRAM-SHA-256=[name=a,password=p]", &a, &error), ERR_NONE);
    assert_int_equal(parse("SCRAM-SHA-256=[name=a,password=p]", &b, &error), ERR_NONE);
    assert_true(a.salt.size >= 16);
    assert_false(slice_equal(a.salt, b.salt));
}

static void test_sentences(void **state) {
    (void)state;
    struct {
        const char *argument, *sentence;
    } rows[] = {
        {"SCRAM", "Failed to find equals sign in SCRAM argument 'SCRAM'"},
        {"PLAIN=[name=a]", "The add-scram mechanism PLAIN is not supported."},
        {"SCRAM-SHA-256=name=a]", "Expected configuration string to start with ["},
        {"SCRAM-SHA-256=[", "Expected configuration string to end with ]"},
        {"SCRAM-SHA-256=[]", "No equals sign found in SCRAM component: "},
        {"SCRAM-SHA-256=[password=p]", "You must supply 'name' to add-scram"},
        {"SCRAM-SHA-256=[name=a]",
         "You must supply one of 'password' or 'saltedpassword' to add-scram"},
        {"SCRAM-SHA-256=[name=a,saltedpassword=\"YCE=\"]",
         "You must supply 'salt' with 'saltedpassword' to add-scram"},
        {"SCRAM-SHA-256=[name=a,password=p,iterations=x]", "Failed to parse iterations count: x"},
        {"SCRAM-SHA-256=[name=a,password=p,iterations=4095]",
         "The 'iterations' value must be >= 4096 for add-scram using SCRAM_SHA_256"},
        {"SCRAM-SHA-512=[name=a,password=p,iterations=16385]",
         "The 'iterations' value must be <= 16384 for add-scram using SCRAM_SHA_512"},
        {"SCRAM-SHA-256=[name=a,password=p,salt=!!!!]", "Failed to decode given salt: !!!!"},
        {"SCRAM-SHA-256=[name=a,password=p,colour=red]", "Unknown SCRAM configurations: colour"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct scram_credential c;
        struct message error;
        assert_int_equal(parse(rows[i].argument, &c, &error), ERR_INVALID);
        assert_string_equal(error.text, rows[i].sentence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_7677),
        cmocka_unit_test(test_salted_password),
        cmocka_unit_test(test_random_salt),
        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
