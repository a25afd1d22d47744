// Changes of dynamic configs: what Kafka's brokers and controller check before they write records,
// with their error codes and sentences, and the records that follow. Pure: reads an image, writes
// nothing.
#pragma once

#include "metadata/effective_config.h"

enum config_operation {
    CONFIG_SET = 0,
    CONFIG_DELETE = 1,
    CONFIG_APPEND = 2,
    CONFIG_SUBTRACT = 3,
};

struct config_alteration {
    struct slice name;
    struct slice value;  // null only for CONFIG_DELETE
    int8_t operation;    // as it came: unknown ones are refused
};

struct config_change {
    enum config_resource_type type;
    struct slice resource;
    const struct config_alteration *alterations;
    int32_t count;
    bool replace_all;  // AlterConfigs: what is not named goes back to its default
};

// The config records that a change needs, in `arena`: a name with its new value, null to delete. Or
// an error with a sentence as Kafka's: INVALID_REQUEST, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION,
// INVALID_TOPIC_EXCEPTION, BROKER_ID_NOT_REGISTERED. `config` is the node's, with or without
// dynamic layers. Broker-logger resources are not for this.
MUST_CHECK enum err config_change_plan(const struct image *image, const struct config *config,
                                       const struct config_change *change, struct arena *arena,
                                       struct config_pair **records, int32_t *record_count,
                                       struct message *error);

// The configs of a topic that is being created. INVALID_CONFIG with a sentence.
MUST_CHECK enum err config_validate_new_topic(const struct image *image,
                                              const struct config *config,
                                              const struct config_pair *configs, int32_t count,
                                              struct message *error);
