#include "api/broker_loggers.h"

// A logger of Kafka's for each folder that writes lines, in the order of log_area_name.
static const char *const area_loggers[LOG_AREA_COUNT] = {
    "kafka.server.KafkaApis",         // api
    "kafka.server",                   // broker
    "org.apache.kafka.clients",       // client
    "kafka.server.KafkaConfig",       // config
    "org.apache.kafka.controller",    // controller
    "org.apache.kafka.common.utils",  // env
    "kafka.network",                  // net
    "org.apache.kafka.raft",          // raft
    "kafka.cluster",                  // replica
    "org.apache.kafka.storage",       // storage
};

static const char *const level_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

static const char *name_of(int area) {
    return area == LOG_AREA_ALL ? "root" : area_loggers[area];
}

bool broker_logger_at(const struct logger *logger, int index, struct slice *name,
                      struct slice *level) {
    if (index > LOG_AREA_COUNT) return false;
    *name = slice_cstring(name_of(index - 1));
    *level = slice_cstring(level_names[logger_level(logger, index - 1) - LOG_TRACE]);
    return true;
}

static bool find_area(struct slice name, int *area) {
    for (*area = LOG_AREA_ALL; *area < LOG_AREA_COUNT; ++*area)
        if (slice_equal_cstring(name, name_of(*area))) return true;
    return false;
}

static bool find_level(struct slice text, enum log_level *level) {
    for (int i = 0; i < (int)COUNT_OF(level_names); i++) {
        if (!slice_equal_cstring(text, level_names[i])) continue;
        *level = (enum log_level)(i + LOG_TRACE);
        return true;
    }
    return false;
}

enum err broker_logger_alter(struct logger *logger, struct slice name, int8_t operation,
                             struct slice level, bool apply, struct message *error) {
    static const char *const operations[] = {"SET", "DELETE", "APPEND", "SUBTRACT"};
    int area;
    enum log_level parsed = LOG_INFO;
    if (operation < 0 || operation > 3) {
        message_set(error,
                    "Unknown operation type %d is not allowed for the BROKER_LOGGER resource",
                    operation);
        return ERR_INVALID_REQUEST;
    }
    if (operation > 1) {
        message_set(error, "%s operation is not allowed for the BROKER_LOGGER resource",
                    operations[operation]);
        return ERR_INVALID_REQUEST;
    }
    if (!find_area(name, &area)) {
        message_set(error, "Logger %.*s does not exist!", SLICE_PRINT(name));
        return ERR_INVALID_CONFIG;
    }
    if (operation == 0 && !find_level(level, &parsed)) {
        message_set(error,
                    "Cannot set the log level of %.*s to %.*s as it is not a supported log level. "
                    "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
                    SLICE_PRINT(name), SLICE_PRINT(level));
        return ERR_INVALID_CONFIG;
    }
    if (operation == 1 && area == LOG_AREA_ALL) {
        message_set(error, "Removing the log level of the root logger is not allowed");
        return ERR_INVALID_REQUEST;
    }
    if (!apply) return ERR_NONE;
    if (operation == 0)
        logger_set_level(logger, area, parsed);
    else
        logger_unset_level(logger, area);
    return ERR_NONE;
}
