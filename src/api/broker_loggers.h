// Broker loggers (KIP-412): levels of what the broker logs, under names that Kafka's tools know.
// They last until the process ends and are no records.
#pragma once

#include "base/log.h"
#include "base/message.h"
#include "base/slice.h"
#include "gen/err.h"

// The loggers by index; false at the end.
bool broker_logger_at(const struct logger *logger, int index, struct slice *name,
                      struct slice *level);

// One operation of IncrementalAlterConfigs (0 set, 1 delete); `apply` false only checks.
// INVALID_REQUEST or INVALID_CONFIG with Kafka's sentence.
MUST_CHECK enum err broker_logger_alter(struct logger *logger, struct slice name, int8_t operation,
                                        struct slice level, bool apply, struct message *error);
