// Kafka's Uuid: 16 bytes, shown as base64url without padding (22 characters).
#pragma once

#include "base/slice.h"

#define UUID_TEXT_SIZE 23  // with the NUL

struct uuid {
    uint8_t bytes[16];
};

#define UUID_ZERO ((struct uuid){{0}})
// The topic id of __cluster_metadata (0, 1), and KIP-858's directory ids: (0,0) migrating, (0,1)
// unassigned, (0,2) lost.
#define UUID_METADATA_TOPIC       ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}})
#define UUID_DIRECTORY_MIGRATING  UUID_ZERO
#define UUID_DIRECTORY_UNASSIGNED UUID_METADATA_TOPIC
#define UUID_DIRECTORY_LOST       ((struct uuid){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}})

static inline bool uuid_equal(struct uuid a, struct uuid b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}
static inline bool uuid_is_zero(struct uuid a) {
    return uuid_equal(a, UUID_ZERO);
}

bool uuid_is_among(struct uuid a, const struct uuid *list, int32_t count);

// Reserved ids are the first 100 ((0, 0) to (0, 99)); random ones never are, and never begin with
// '-' as text.
bool uuid_is_reserved(struct uuid a);

// Makes a version-4 uuid of two random numbers; false when the result is reserved or begins with
// '-': draw again.
bool uuid_from_random(uint64_t high, uint64_t low, struct uuid *uuid);

// NUL-terminated text; returns `text`.
char *uuid_format(struct uuid uuid, char text[UUID_TEXT_SIZE]);

// False when it is no uuid's text.
bool uuid_parse(struct slice text, struct uuid *uuid);
