// SaltedPassword = PBKDF2-HMAC(password, salt, iterations); ClientKey = HMAC(SaltedPassword,
// "Client Key"); StoredKey = H(ClientKey); ServerKey = HMAC(SaltedPassword, "Server Key"). Kafka
// takes the password as UTF-8 without SASLprep.
#include "security/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"
#include "base/bytes.h"

#define SALT_SIZE 32

static const struct {
    enum scram_mechanism mechanism;
    const char *name;
    size_t key_size;
} mechanisms[] = {
    {SCRAM_SHA_256, "SCRAM-SHA-256", 32},
    {SCRAM_SHA_512, "SCRAM-SHA-512", 64},
};

bool scram_mechanism_parse(struct slice name, enum scram_mechanism *mechanism) {
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
        if (!slice_equal_cstring(name, mechanisms[i].name)) continue;
        *mechanism = mechanisms[i].mechanism;
        return true;
    }
    return false;
}

const char *scram_mechanism_name(enum scram_mechanism mechanism) {
    return mechanisms[mechanism - SCRAM_SHA_256].name;
}

size_t scram_key_size(enum scram_mechanism mechanism) {
    return mechanisms[mechanism - SCRAM_SHA_256].key_size;
}

static const EVP_MD *digest_of(enum scram_mechanism mechanism) {
    return mechanism == SCRAM_SHA_256 ? EVP_sha256() : EVP_sha512();
}

void scram_salt_password(enum scram_mechanism mechanism, struct slice password, struct slice salt,
                         int32_t iterations, uint8_t out[SCRAM_KEY_MAX]) {
    int done = PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.size, salt.data,
                                 (int)salt.size, iterations, digest_of(mechanism),
                                 (int)scram_key_size(mechanism), out);
    assert(done == 1);
}

static void hmac(enum scram_mechanism mechanism, struct slice key, struct slice text,
                 uint8_t out[SCRAM_KEY_MAX]) {
    unsigned size = 0;
    const uint8_t *done =
        HMAC(digest_of(mechanism), key.data, (int)key.size, text.data, text.size, out, &size);
    assert(done != NULL && size == scram_key_size(mechanism));
}

void scram_derive_keys(enum scram_mechanism mechanism, struct slice salted_password,
                       uint8_t stored_key[SCRAM_KEY_MAX], uint8_t server_key[SCRAM_KEY_MAX]) {
    uint8_t client_key[SCRAM_KEY_MAX];
    hmac(mechanism, salted_password, SLICE_LITERAL("Client Key"), client_key);
    hmac(mechanism, salted_password, SLICE_LITERAL("Server Key"), server_key);
    int done = EVP_Digest(client_key, scram_key_size(mechanism), stored_key, NULL,
                          digest_of(mechanism), NULL);
    assert(done == 1);
}

// ---- The argument ----

struct components {
    struct slice name, salt, iterations, password, salted_password;
};

static enum err invalid(struct message *error, const char *sentence) {
    message_set(error, "%s", sentence);
    return ERR_INVALID;
}

static struct slice without_quotes(struct slice text) {
    bool quoted = text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    return quoted ? slice_sub(text, 1, text.size - 2) : text;
}

static enum err take_component(struct slice text, struct components *c, struct message *error) {
    struct slice key, value;
    if (!slice_split(text, '=', &key, &value)) {
        message_set(error, "No equals sign found in SCRAM component: %.*s", SLICE_PRINT(text));
        return ERR_INVALID;
    }
    struct {
        const char *name;
        struct slice *target;
    } known[] = {
        {"name", &c->name},
        {"salt", &c->salt},
        {"iterations", &c->iterations},
        {"password", &c->password},
        {"saltedpassword", &c->salted_password},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (!slice_equal_cstring(key, known[i].name)) continue;
        *known[i].target = without_quotes(value);
        return ERR_NONE;
    }
    message_set(error, "Unknown SCRAM configurations: %.*s", SLICE_PRINT(key));
    return ERR_INVALID;
}

// "[a=1,b=2]"
static enum err split_components(struct slice list, struct components *c, struct message *error) {
    if (list.size == 0 || list.data[0] != '[')
        return invalid(error, "Expected configuration string to start with [");
    if (list.data[list.size - 1] != ']')
        return invalid(error, "Expected configuration string to end with ]");
    struct slice rest = slice_sub(list, 1, list.size - 2), part, after;
    for (;;) {
        bool more = slice_split(rest, ',', &part, &after);
        enum err err = take_component(more ? part : rest, c, error);
        if (err != ERR_NONE) return err;
        if (!more) return ERR_NONE;
        rest = after;
    }
}

// Standard base64; null when it is none.
static struct slice decode_base64(struct slice text, struct arena *arena) {
    if (text.size > 4096) return SLICE_NULL;
    size_t padded = (text.size + 3) / 4 * 4;
    uint8_t *in = arena_alloc(arena, padded + 1), *out = arena_alloc(arena, padded + 1);
    memset(in, '=', padded);
    if (text.size > 0) memcpy(in, text.data, text.size);
    size_t padding = 0;
    while (padding < 2 && padding < padded && in[padded - 1 - padding] == '=')
        padding++;
    int size = EVP_DecodeBlock(out, in, (int)padded);
    return size < 0 ? SLICE_NULL : slice_of(out, (size_t)size - padding);
}

static enum err read_salted_password(const struct components *c, struct scram_credential *out,
                                     struct arena *arena, struct slice *salted,
                                     struct message *error) {
    if (!slice_is_null(c->password)) {
        uint8_t *bytes = arena_alloc(arena, SCRAM_KEY_MAX);
        scram_salt_password(out->mechanism, c->password, out->salt, out->iterations, bytes);
        *salted = slice_of(bytes, scram_key_size(out->mechanism));
        return ERR_NONE;
    }
    *salted = decode_base64(c->salted_password, arena);
    if (!slice_is_null(*salted)) return ERR_NONE;
    message_set(error, "Failed to decode given saltedPassword: %.*s",
                SLICE_PRINT(c->salted_password));
    return ERR_INVALID;
}

static struct slice random_salt(struct env *env, struct arena *arena) {
    uint8_t *salt = arena_alloc(arena, SALT_SIZE);
    for (size_t i = 0; i < SALT_SIZE; i += 8)
        store_u64(salt + i, env_random(env));
    return slice_of(salt, SALT_SIZE);
}

static enum err read_iterations(struct slice text, enum scram_mechanism mechanism,
                                int32_t *iterations, struct message *error) {
    int64_t value = SCRAM_ITERATIONS_MIN;
    if (!slice_is_null(text) &&
        (!slice_parse_int64(text, &value) || value < INT32_MIN || value > INT32_MAX)) {
        message_set(error, "Failed to parse iterations count: %.*s", SLICE_PRINT(text));
        return ERR_INVALID;
    }
    bool low = value < SCRAM_ITERATIONS_MIN;
    if (low || value > SCRAM_ITERATIONS_MAX) {
        // Kafka prints the name of its enum constant.
        message_set(error, "The 'iterations' value must be %s %d for add-scram using SCRAM_SHA_%s",
                    low ? ">=" : "<=", low ? SCRAM_ITERATIONS_MIN : SCRAM_ITERATIONS_MAX,
                    mechanism == SCRAM_SHA_256 ? "256" : "512");
        return ERR_INVALID;
    }
    *iterations = (int32_t)value;
    return ERR_NONE;
}

static enum err read_salt(const struct components *c, struct env *env, struct arena *arena,
                          struct slice *salt, struct message *error) {
    if (slice_is_null(c->password)) {
        if (slice_is_null(c->salted_password))
            return invalid(error,
                           "You must supply one of 'password' or 'saltedpassword' to add-scram");
        if (slice_is_null(c->salt))
            return invalid(error, "You must supply 'salt' with 'saltedpassword' to add-scram");
    }
    if (slice_is_null(c->salt)) {
        *salt = random_salt(env, arena);
        return ERR_NONE;
    }
    *salt = decode_base64(c->salt, arena);
    if (!slice_is_null(*salt)) return ERR_NONE;
    message_set(error, "Failed to decode given salt: %.*s", SLICE_PRINT(c->salt));
    return ERR_INVALID;
}

enum err scram_parse_argument(struct slice argument, struct env *env, struct arena *arena,
                              struct scram_credential *credential, struct message *error) {
    struct slice text = slice_trim(argument), name, list, salted;
    struct scram_credential out = {0};
    struct components c = {SLICE_NULL, SLICE_NULL, SLICE_NULL, SLICE_NULL, SLICE_NULL};
    if (!slice_split(text, '=', &name, &list)) {
        message_set(error, "Failed to find equals sign in SCRAM argument '%.*s'",
                    SLICE_PRINT(text));
        return ERR_INVALID;
    }
    if (!scram_mechanism_parse(name, &out.mechanism)) {
        message_set(error, "The add-scram mechanism %.*s is not supported.", SLICE_PRINT(name));
        return ERR_INVALID;
    }
    enum err err = split_components(list, &c, error);
    if (err != ERR_NONE) return err;
    if (slice_is_null(c.name)) return invalid(error, "You must supply 'name' to add-scram");
    err = read_salt(&c, env, arena, &out.salt, error);
    if (err == ERR_NONE) err = read_iterations(c.iterations, out.mechanism, &out.iterations, error);
    if (err == ERR_NONE) err = read_salted_password(&c, &out, arena, &salted, error);
    if (err != ERR_NONE) return err;
    uint8_t *stored_key = arena_alloc(arena, SCRAM_KEY_MAX);
    uint8_t *server_key = arena_alloc(arena, SCRAM_KEY_MAX);
    scram_derive_keys(out.mechanism, salted, stored_key, server_key);
    out.name = arena_copy(arena, c.name);
    out.stored_key = slice_of(stored_key, scram_key_size(out.mechanism));
    out.server_key = slice_of(server_key, scram_key_size(out.mechanism));
    *credential = out;
    return ERR_NONE;
}
