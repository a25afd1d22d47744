// The configuration of this node: Kafka's broker keys (and the few `taccola.*` ones) with their
// values, and where each value came from.
//
// Every key of Kafka is a row of schema/configs/ (name, type, default, validator, dynamic scope,
// documentation); gen/configs.h has the keys as `enum config_key`: BROKER_LOG_SEGMENT_BYTES,
// TOPIC_SEGMENT_BYTES, GROUP_CONSUMER_SESSION_TIMEOUT_MS, CLIENT_METRICS_INTERVAL_MS,
// QUOTA_PRODUCER_BYTE_RATE, BROKER_TACCOLA_DURABILITY … (scope + Kafka's name in upper snake case),
// and `config_row_of(key)`.
//
// A `struct config` holds a value for every broker key: default, then the file, then --override,
// and (in a copy made by metadata/effective_config.h) what the cluster's dynamic configs say.
// Values are parsed and validated when they are set; reading one is an array access. After it is
// filled it does not change: a change of dynamic configs makes a new one, of which each reactor
// gets its own copy. Pure: no files, no clock; any thread that owns it.
//
// A null value: config_is_null. The typed reads give 0, false, the null slice or an empty list for
// it. A read with the wrong type, or of a key that is no broker key, is a bug and asserted.
#pragma once

#include "base/arena.h"
#include "base/message.h"
#include "gen/configs.h"
#include "gen/err.h"

struct config;

// Kafka's ConfigEntry.ConfigSource; the values are those of the wire.
enum config_source {
    CONFIG_SOURCE_UNKNOWN = 0,
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER = 3,
    CONFIG_SOURCE_STATIC_BROKER = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_DYNAMIC_BROKER_LOGGER = 6,
    CONFIG_SOURCE_CLIENT_METRICS = 7,
    CONFIG_SOURCE_GROUP = 8,
};

struct config_list {
    const struct slice *items;
    int32_t count;
};

// A parsed value of any type; which member is meant is in the row.
struct config_value {
    bool is_null;
    struct slice text;  // canonical text, as Kafka prints the parsed value ("1,2,3" of a list,
                        // "true", "0.5"); null when is_null
    union {
        int64_t integer;  // int, short, long
        double number;    // double
        bool boolean;
        struct config_list list;  // string, class and password: only `text`
    };
};

// ---- Rows ----

// The key of a name in a scope; false when there is none.
bool config_key_of(enum config_scope scope, struct slice name, enum config_key *key);

// The broker key of a name that may have a listener's prefix
// (listener.name.internal.num.network.threads); false when there is none.
bool config_broker_key_of(struct slice name, enum config_key *key);

// Splits listener.name.<listener>.<base>; false when the name has no such prefix.
bool config_listener_prefix(struct slice name, struct slice *listener, struct slice *base);

// Broker keys that stand for one another, strongest first: log.retention.ms, minutes, hours. Those
// that may give the value of `key`, itself among them; returns their number (at least 1).
#define CONFIG_ALTERNATIVES_MAX 3
int config_alternatives(enum config_key key, enum config_key out[CONFIG_ALTERNATIVES_MAX]);

// The keys of a scope are [first, end), sorted by name.
enum config_key config_scope_first(enum config_scope scope);
enum config_key config_scope_end(enum config_scope scope);

// The known name that looks most like `name` (edit distance); null when nothing is near.
struct slice config_nearest_name(enum config_scope scope, struct slice name);

// Parses and validates one value; the memory of `value` is from `arena` or points into `text`.
// ERR_INVALID_CONFIG with Kafka's sentence in `error`
// ("Invalid value x for configuration segment.bytes: Not a number of type INT"). A null `text` is
// Kafka's null.
MUST_CHECK enum err config_parse(enum config_key key, struct slice text, struct arena *arena,
                                 struct config_value *value, struct message *error);

// The default of a row, parsed (null when the default is null or the key is required).
struct config_value config_default(enum config_key key, struct arena *arena);

// ---- Filling a node's configuration ----

// All defaults. Returns owned.
struct config *config_new(void);
void config_free(struct config *config);  // NULL is allowed
// An independent copy, owned.
struct config *config_copy(const struct config *config);

// What a node uses that was started without a file: broker and controller in one process, node.id
// 1, 127.0.0.1:9092 and :9093, data in ./data, internal topics with one replica. To be called
// before overrides are added.
void config_add_standalone_defaults(struct config *config);

// A server.properties file (Java's properties syntax). Later lines win over earlier ones; unknown
// names warn and are kept. ERR_INVALID_CONFIG with a sentence: bad syntax or a bad value.
MUST_CHECK enum err config_add_properties(struct config *config, struct slice text,
                                          struct message *error);
// `--override key=value`.
MUST_CHECK enum err config_add_override(struct config *config, struct slice assignment,
                                        struct message *error);
// One value from any source. Null deletes: the key has its default again.
MUST_CHECK enum err config_set(struct config *config, struct slice name, struct slice text,
                               enum config_source source, struct message *error);

// Deletes all that a source set.
void config_clear_source(struct config *config, enum config_source source);

// To be called when everything was added: fills values that depend on others (node.id, listeners …)
// and makes the checks that Kafka makes across keys. ERR_INVALID_CONFIG with one sentence.
MUST_CHECK enum err config_finish(struct config *config, struct message *error);

// Before a node starts (not for `storage format`): refuses in one sentence what asks for something
// that would be silently missing: an authorizer, SSL and SASL listeners, client certificates,
// policies, tiered storage, roles of a larger cluster.
MUST_CHECK enum err config_refuse_unsupported(const struct config *config, struct message *error);

// Sentences for the operator that arose meanwhile (unknown names with the nearest known one …),
// NUL-terminated.
int32_t config_warning_count(const struct config *config);
const char *config_warning(const struct config *config, int32_t index);
// Adds one.
void config_warn(struct config *config, const char *format, ...) PRINTF_LIKE(2, 3);

// ---- Reading ----

bool config_is_null(const struct config *config, enum config_key key);
int32_t config_int(const struct config *config, enum config_key key);   // int and short
int64_t config_long(const struct config *config, enum config_key key);  // long, int, short
double config_double(const struct config *config, enum config_key key);
bool config_bool(const struct config *config, enum config_key key);
struct slice config_string(const struct config *config,
                           enum config_key key);  // string, class, password
struct config_list config_strings(const struct config *config, enum config_key key);
enum config_source config_source(const struct config *config, enum config_key key);
const struct config_value *config_value(const struct config *config, enum config_key key);

// Values that Kafka takes from several keys: log.retention.ms, else minutes, else hours (-1: for
// ever); log.roll.ms, else hours …
int64_t config_log_retention_ms(const struct config *config);
int64_t config_log_roll_ms(const struct config *config);
int64_t config_log_roll_jitter_ms(const struct config *config);
int64_t config_log_flush_interval_ms(const struct config *config);

// All that was set, in no order: name, text as it was written, source. False at the end.
bool config_entry_at(const struct config *config, int32_t index, struct slice *name,
                     struct slice *text, enum config_source *source);
// The text of a name as it was written, by one source; false when that source says nothing.
bool config_text(const struct config *config, struct slice name, enum config_source source,
                 struct slice *text);

// ---- Parsed forms (after config_finish) ----

// Kafka's SecurityProtocol ids.
enum security_protocol {
    SECURITY_PLAINTEXT = 0,
    SECURITY_SSL = 1,
    SECURITY_SASL_PLAINTEXT = 2,
    SECURITY_SASL_SSL = 3,
};

const char *security_protocol_name(enum security_protocol protocol);

struct config_listener {
    struct slice name;  // "PLAINTEXT", "CONTROLLER", in upper case
    struct slice host;  // empty: all addresses
    uint16_t port;      // 0: any free port
    struct slice
        advertised_host;       // empty: what `host` stands for, else the host name of the machine
    uint16_t advertised_port;  // 0: the port that was bound
    enum security_protocol protocol;
    bool is_controller;    // among controller.listener.names
    bool is_inter_broker;  // inter.broker.listener.name
    bool is_advertised;    // clients are told of it (a broker listener missing in
                           // advertised.listeners only listens)
};

// The listeners of this node, in the file's order: those of the broker and of the controller.
int32_t config_listener_count(const struct config *config);
const struct config_listener *config_listener_at(const struct config *config, int32_t index);

// The directories for data: log.dirs, else log.dir. Each without white space around it.
struct config_list config_log_dirs(const struct config *config);
// metadata.log.dir, else the first of config_log_dirs.
struct slice config_metadata_log_dir(const struct config *config);

// controller.quorum.voters ("1@host:9093") and controller.quorum.bootstrap.servers ("host:9093", id
// -1).
struct config_voter {
    int32_t id;
    struct slice host;
    uint16_t port;
};
int32_t config_voter_count(const struct config *config);
const struct config_voter *config_voter_at(const struct config *config, int32_t index);
int32_t config_bootstrap_count(const struct config *config);
const struct config_voter *config_bootstrap_at(const struct config *config, int32_t index);

bool config_is_broker(const struct config *config);  // process.roles
bool config_is_controller(const struct config *config);
int32_t config_node_id(const struct config *config);

// max.connections.per.ip.overrides for an address as text, else max.connections.per.ip.
int32_t config_connections_per_ip(const struct config *config, struct slice address);

// max.connections, max.connection.creation.rate or num.network.threads as
// listener.name.<listener>.<key> has it, else <key>. The listener's name is in lower case there.
int32_t config_listener_int(const struct config *config, struct slice listener,
                            enum config_key key);
