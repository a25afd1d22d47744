// What the files of config/ share and nobody else needs.
#pragma once

#include "base/string_buffer.h"
#include "config/config.h"

// One value that somebody set, as it was written.
struct config_entry {
    struct slice name;  // both in the config's arena
    struct slice text;
    enum config_source source;
};

struct config_listeners {
    struct config_listener *items;
    int32_t count;
};

struct config {
    struct arena arena;  // of values and parsed forms
    struct config_value values[CONFIG_BROKER_END];
    uint8_t sources[CONFIG_BROKER_END];  // enum config_source
    struct config_entry *entries;
    int32_t entry_count;
    int32_t entry_capacity;
    char **warnings;
    int32_t warning_count;
    bool finished;
    struct config_listeners listeners;
    struct config_voter *voters;
    int32_t voter_count;
    struct config_voter *bootstrap;
    int32_t bootstrap_count;
    struct slice inter_broker_name;
};

// The entry of a name and source; NULL when there is none.
struct config_entry *config_find_entry(const struct config *config, struct slice name,
                                       enum config_source source);

// The bytes that Kafka's host pattern allows: letters, digits and - % . _ :
bool config_host_is_valid(struct slice host);
// "host:port" or "[v6]:port"; false when it is not of that form.
bool config_parse_endpoint(struct slice text, struct slice *host, uint16_t *port);
// "1@host:9093". ERR_INVALID_CONFIG with Kafka's sentence.
MUST_CHECK enum err config_parse_voter(struct slice text, struct config_voter *voter,
                                       struct message *error);
MUST_CHECK enum err config_parse_bootstrap(struct slice text, struct config_voter *server,
                                           struct message *error);

// Fills the parsed forms of listeners, voters and bootstrap servers.
MUST_CHECK enum err config_parse_listeners(struct config *config, struct message *error);
// The checks that Kafka makes across keys.
MUST_CHECK enum err config_check(struct config *config, struct message *error);

// Takes the first "left:right" of a comma-separated list of pairs off `rest`, trimmed; the last
// colon separates, so that IPv6 addresses need no brackets. False at the end; a part without a
// colon gives a null `right`.
bool config_take_pair(struct slice *rest, struct slice *left, struct slice *right);

// As Java prints a list: "[a, b]".
void config_print_list(struct string_buffer *out, struct config_list list);

// Whether a parsed value is valid for its row. ERR_INVALID_CONFIG with Kafka's sentence.
MUST_CHECK enum err config_validate(enum config_key key, const struct config_value *value,
                                    struct message *error);
