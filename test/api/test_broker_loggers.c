// Levels of broker loggers (KIP-412) and what they do to the lines of their area.
#include "api/broker_loggers.h"
#include "test/test.h"

struct kept {
    struct logger logger;
    int lines;
};

static void keep(struct logger *logger, enum log_level level, const char *area, const char *text) {
    (void)level;
    (void)area;
    (void)text;
    container_of(logger, struct kept, logger)->lines++;
}

static const char *alter(struct kept *kept, const char *name, int8_t operation, const char *level,
                         bool apply) {
    static struct message error;
    message_init(&error);
    enum err err = broker_logger_alter(&kept->logger, slice_cstring(name), operation,
                                       slice_cstring(level), apply, &error);
    return err == ERR_NONE ? "" : error.text;
}

static const char *level_of(const struct kept *kept, const char *wanted) {
    struct slice name, level;
    for (int i = 0; broker_logger_at(&kept->logger, i, &name, &level); i++)
        if (slice_equal_cstring(name, wanted)) return (const char *)level.data;
    return "none";
}

// How many of a debug and a warn line of the area get through.
static int lines_of(struct kept *kept, const char *area) {
    kept->lines = 0;
    log_debug(&kept->logger, area, "a");
    log_warn(&kept->logger, area, "b");
    return kept->lines;
}

static void test_levels(void **state) {
    (void)state;
    struct kept kept = {.logger = {.level = LOG_INFO, .write = keep}};
    assert_string_equal(level_of(&kept, "root"), "INFO");
    assert_string_equal(level_of(&kept, "kafka.network"), "INFO");
    assert_int_equal(lines_of(&kept, "net"), 1);
    assert_string_equal(alter(&kept, "kafka.network", 0, "TRACE", true), "");
    assert_string_equal(level_of(&kept, "kafka.network"), "TRACE");
    assert_int_equal(lines_of(&kept, "net"), 2);
    assert_int_equal(lines_of(&kept, "raft"), 1);
    assert_string_equal(alter(&kept, "root", 0, "FATAL", true), "");
    assert_int_equal(lines_of(&kept, "net"), 2);
    assert_int_equal(lines_of(&kept, "raft"), 0);
    assert_int_equal(lines_of(&kept, "unheard of"), 0);
    assert_string_equal(alter(&kept, "kafka.network", 1, NULL, true), "");
    assert_string_equal(level_of(&kept, "kafka.network"), "FATAL");
    assert_int_equal(lines_of(&kept, "net"), 0);
}

static void test_refused(void **state) {
    (void)state;
    struct kept kept = {.logger = {.level = LOG_INFO, .write = keep}};
    assert_string_equal(
        alter(&kept, "root", 0, "loud", true),
        "Cannot set the log level of root to loud as it is not a supported log level. "
        "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN");
    assert_string_equal(alter(&kept, "nobody", 0, "INFO", true), "Logger nobody does not exist!");
    assert_string_equal(alter(&kept, "root", 1, NULL, true),
                        "Removing the log level of the root logger is not allowed");
    assert_string_equal(alter(&kept, "root", 2, "INFO", true),
                        "APPEND operation is not allowed for the BROKER_LOGGER resource");
    assert_string_equal(alter(&kept, "root", 0, "DEBUG", false), "");
    assert_string_equal(level_of(&kept, "root"), "INFO");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
