// What effective_config.c, describe_config.c and config_change.c share.
#pragma once

#include "metadata/effective_config.h"

// A broker config's value and where it comes from, the dynamic ones of the image before those of
// `config`.
enum config_source effective_broker_value(const struct image *image, const struct config *config,
                                          enum config_key key, struct arena *arena,
                                          struct config_value *value);

// The value of a topic or group config when the resource itself says nothing, and the source of the
// broker config that gave it.
struct config_value effective_from_broker(const struct image *image, const struct config *config,
                                          enum config_key key, struct arena *arena,
                                          enum config_source *source);

// The broker's limits of a group config; CONFIG_KEY_COUNT: none on that side.
struct group_bound {
    enum config_key key;
    enum config_key min;
    enum config_key max;
};
extern const struct group_bound group_bounds[];
extern const int group_bound_count;
