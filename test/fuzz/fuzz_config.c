// A server.properties of any bytes: it is parsed, every value is validated, the checks across keys
// run, and what was taken reads back.
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 65536) return 0;
    struct config *config = config_new();
    struct message error;
    enum err err = config_add_properties(config, slice_of(data, size), &error);
    if (err == ERR_NONE) err = config_finish(config, &error);
    if (err == ERR_NONE) err = config_refuse_unsupported(config, &error);
    struct slice name, text;
    enum config_source source;
    for (int32_t i = 0; config_entry_at(config, i, &name, &text, &source); i++) {
        enum config_key key;
        if (config_key_of(CONFIG_SCOPE_BROKER, name, &key)) {
            struct arena arena;
            arena_init(&arena);
            struct config_value value;
            if (config_parse(key, text, &arena, &value, &error) != ERR_NONE) abort();
            arena_deinit(&arena);
        }
    }
    config_connections_per_ip(config, SLICE_LITERAL("10.0.0.1"));
    if (err == ERR_NONE) config_free(config_copy(config));
    config_free(config);
    return 0;
}
