// Java's properties syntax: server.properties, meta.properties, clients' command config. Pure; any
// thread.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "gen/err.h"

struct properties {
    struct slice rest;    // not read yet
    struct arena *arena;  // of keys and values
    int32_t line;         // of the last pair, from 1
    int32_t next_line;
};

// `text` and `arena` stay valid while pairs are read.
struct properties properties_of(struct slice text, struct arena *arena);

// The next pair, in the file's order (a key may come twice: the later one counts); its bytes are in
// the arena. ERR_EOF at the end; ERR_INVALID_CONFIG with a sentence for a malformed \u escape.
MUST_CHECK enum err properties_next(struct properties *p, struct slice *key, struct slice *value,
                                    struct message *error);
