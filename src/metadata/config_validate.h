// The checks behind config_change.h: all configs that a resource would have after a change.
#pragma once

#include "metadata/config_change.h"

struct config_subject {
    const struct image *image;
    const struct config *config;  // the node's, with or without dynamic layers
    const struct config_pair *configs;
    int32_t count;
    struct arena *arena;  // for parsed values
};

MUST_CHECK enum err config_validate_topic(const struct config_subject *subject, struct slice topic,
                                          struct message *error);
MUST_CHECK enum err config_validate_group(const struct config_subject *subject,
                                          struct message *error);
MUST_CHECK enum err config_validate_client_metrics(const struct config_subject *subject,
                                                   struct message *error);
MUST_CHECK enum err config_validate_broker(const struct config_subject *subject, bool per_broker,
                                           struct message *error);
