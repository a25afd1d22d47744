// SCRAM credentials (RFC 5802, 7677; KIP-84, 900) as Kafka keeps them: never the password, only a
// salt, an iteration count and two keys derived from the salted password. Pure but for the random
// salt; any thread.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "env/env.h"

// Kafka's wire numbers.
enum scram_mechanism { SCRAM_SHA_256 = 1, SCRAM_SHA_512 = 2 };

#define SCRAM_ITERATIONS_MIN 4096  // also the default
#define SCRAM_ITERATIONS_MAX 16384
#define SCRAM_KEY_MAX        64

struct scram_credential {
    enum scram_mechanism mechanism;
    struct slice name;
    struct slice salt;
    struct slice stored_key;
    struct slice server_key;
    int32_t iterations;
};

// "SCRAM-SHA-256"; false when it is none of ours.
bool scram_mechanism_parse(struct slice name, enum scram_mechanism *mechanism);
const char *scram_mechanism_name(enum scram_mechanism mechanism);
size_t scram_key_size(enum scram_mechanism mechanism);

// PBKDF2 of the password's bytes; `out` gets scram_key_size bytes.
void scram_salt_password(enum scram_mechanism mechanism, struct slice password, struct slice salt,
                         int32_t iterations, uint8_t out[SCRAM_KEY_MAX]);
// From the salted password (scram_key_size bytes, or what somebody gave as such).
void scram_derive_keys(enum scram_mechanism mechanism, struct slice salted_password,
                       uint8_t stored_key[SCRAM_KEY_MAX], uint8_t server_key[SCRAM_KEY_MAX]);

// An --add-scram argument of kafka-storage: SCRAM-SHA-256=[name=alice,password=secret],
// SCRAM-SHA-512=[name=alice,iterations=8192,salt="N3E=",saltedpassword="YCE="]. Everything of the
// credential is in the arena. ERR_INVALID with Kafka's sentence.
MUST_CHECK enum err scram_parse_argument(struct slice argument, struct env *env,
                                         struct arena *arena, struct scram_credential *credential,
                                         struct message *error);
