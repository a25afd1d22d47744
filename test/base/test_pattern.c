// Regular expressions: what they match, what is malformed, and that nothing takes long.
#include "base/pattern.h"
#include "test/test.h"

static bool matches(const char *expression, const char *text) {
    struct pattern *pattern;
    struct message error;
    if (pattern_new(slice_cstring(expression), &pattern, &error) != ERR_NONE)
        fail_msg("%s: %s", expression, error.text);
    bool matched = pattern_matches(pattern, slice_cstring(text));
    pattern_free(pattern);
    return matched;
}

static void test_matches(void **state) {
    (void)state;
    const char *const all[][2] = {
        {"", ""},
        {"abc", "abc"},
        {"a.c", "axc"},
        {"a|b|cd", "cd"},
        {"(a|b)*c", "abbac"},
        {"(?:ab)+", "abab"},
        {"x*", ""},
        {"x*", "xxx"},
        {"x+", "x"},
        {"x?y", "y"},
        {"x?y", "xy"},
        {"a{3}", "aaa"},
        {"a{2,}", "aaaa"},
        {"a{0,2}b", "b"},
        {"a{0,2}b", "aab"},
        {"(ab){1,3}", "ababab"},
        {"a{1,3}?b", "aab"},
        {"a{0}b", "b"},
        {"[a-c]+", "abc"},
        {"[^a-c]", "d"},
        {"[]a]", "]"},
        {"[a-]+", "a-"},
        {"[\\d.]+", "1.2"},
        {"[[:alpha:]_]+", "Az_"},
        {"\\d+\\w\\s", "12a "},
        {"\\D\\W", "a-"},
        {"\\x41", "A"},
        {"a\\.b", "a.b"},
        {"\\Qa.b\\E.", "a.bx"},
        {"(?i)AbC", "aBc"},
        {"(?i:a)b", "Ab"},
        {"(?i)[^x]", "y"},
        {"^a$", "a"},
        {"\\Aa\\z", "a"},
        {"a\\b.b", "a-b"},
        {"a\\Bb", "ab"},
        {"(a*)*", "aaa"},
        {"(a|)*b", "aab"},
        {"((a)|(b)){2}", "ba"},
        {"orders-(eu|us)-\\d{2}", "orders-eu-07"},
        {"a{,2}", "a{,2}"},
        {"{", "{"},
        {"(a{2}){2}", "aaaa"},
        {"(a|b|){3}c", "abc"},
        {"(x+x+)+y", "xxxy"},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (!matches(all[i][0], all[i][1])) fail_msg("%s does not match %s", all[i][0], all[i][1]);
}

static void test_does_not_match(void **state) {
    (void)state;
    const char *const none[][2] = {
        {"", "a"},         {"abc", "abcd"},    {"abc", "ab"},     {"a.c", "a\nc"},
        {"a|b", "ab"},     {"x+", ""},         {"a{3}", "aa"},    {"a{3}", "aaaa"},
        {"a{2,3}", "a"},   {"a{2,3}", "aaaa"}, {"[a-c]", "d"},    {"[^a-c]", "a"},
        {"(?i)[^x]", "X"}, {"(?i:a)b", "AB"},  {"a^b", "ab"},     {"a\\bb", "ab"},
        {"a\\B.", "a-"},   {"\\d", "x"},       {"(ab){2}", "ab"}, {"a{0,2}b", "aaab"},
        {"a{0}b", "ab"},   {"(a|b)c|d", "ad"},
    };
    for (size_t i = 0; i < COUNT_OF(none); i++)
        if (matches(none[i][0], none[i][1])) fail_msg("%s matches %s", none[i][0], none[i][1]);
}

static void test_malformed(void **state) {
    (void)state;
    const char *const bad[] = {
        "(",       ")",     "a)",     "(a",  "[",    "[a",     "[b-a]",
        "*",       "+a",    "a**",    "a|*", "\\",   "a{2,1}", "a{1001}",
        "(?<n>a)", "(?=a)", "\\p{L}", "\\1", "\\x4", "(?z)a",  "(((a{1000}){1000}){1000})"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct pattern *pattern;
        struct message error;
        if (pattern_new(slice_cstring(bad[i]), &pattern, &error) == ERR_NONE)
            fail_msg("%s is taken", bad[i]);
        assert_true(error.text[0] != '\0');
    }
    char deep[8000];
    memset(deep, '(', sizeof deep);
    struct pattern *pattern;
    assert_int_equal(pattern_new(slice_of(deep, sizeof deep), &pattern, NULL), ERR_INVALID);
    memset(deep, '|', sizeof deep);
    assert_int_equal(pattern_new(slice_of(deep, sizeof deep), &pattern, NULL), ERR_INVALID);
}

// What takes other engines longer than the universe has existed.
static void test_is_linear(void **state) {
    (void)state;
    char text[250];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(matches("(a*)*b", text));
    assert_false(matches("(a|aa)+b", text));
    assert_false(matches("(x+x+)+y", text));
    assert_true(matches("(a?){200}a*", text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_does_not_match),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_is_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
