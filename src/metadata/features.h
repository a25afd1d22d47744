// Kafka's feature flags and metadata.version levels (KIP-584, 1022): names, ranges, which level
// turns on what, defaults of a release, dependencies. Stands for Kafka's MetadataVersion, Feature
// and the …Version enums of 4.4. Pure tables; any thread.
#pragma once

#include "base/message.h"
#include "base/slice.h"
#include "gen/err.h"

#define METADATA_VERSION_MIN     7   // 3.3-IV3: what a 4.x node may be finalised at
#define METADATA_VERSION_MAX     33  // 4.4-IV2
#define METADATA_VERSION_DEFAULT 30  // 4.3-IV0: new directories

enum feature_id {
    FEATURE_METADATA_VERSION,
    FEATURE_KRAFT_VERSION,
    FEATURE_TRANSACTION_VERSION,
    FEATURE_GROUP_VERSION,
    FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION,
    FEATURE_SHARE_VERSION,
    FEATURE_STREAMS_VERSION,
    FEATURE_COUNT,
};

struct feature_row {
    const char *name;  // "metadata.version"
    int16_t min;       // supported by this node, as announced in registrations and ApiVersions
    int16_t max;
};

const struct feature_row *feature_row(enum feature_id id);
// NULL when unknown.
const struct feature_row *feature_find(struct slice name, enum feature_id *id);

struct metadata_version_row {
    int16_t level;
    const char *release;       // "4.3"
    const char *name;          // "4.3-IV0"
    bool did_metadata_change;  // records or their versions differ from the level before: no
                               // downgrade across it
};

// NULL outside METADATA_VERSION_MIN … METADATA_VERSION_MAX.
const struct metadata_version_row *metadata_version_row(int16_t level);
// "4.3", "4.3-IV0" or "4.3.1": the level of a release version as --release-version takes it (a
// release means its last production level); 0 with Kafka's sentence when unknown.
int16_t metadata_version_parse(struct slice text, struct message *error);

// True when a downgrade (or upgrade) between two levels passes one that changed the metadata.
bool metadata_version_changed_between(int16_t from, int16_t to);

// The level that a feature gets when a directory is formatted at a metadata.version
// (version-mapping); 0: off.
int16_t feature_default_level(enum feature_id id, int16_t metadata_version);
// The lowest metadata.version at which the level is a default ("bootstrap metadata version" of a
// level).
int16_t feature_bootstrap_version(enum feature_id id, int16_t level);

// What a level needs (feature-dependencies).
struct feature_dependency {
    enum feature_id feature;
    int16_t level;
};
// Writes up to `capacity`, returns their number; -1 when the feature has no such level.
int32_t feature_dependencies(enum feature_id id, int16_t level, struct feature_dependency *out,
                             int32_t capacity);
// Checks one proposed level against the proposed levels of all others (level_of: 0 when absent).
// ERR_INVALID with Kafka's sentence.
MUST_CHECK enum err feature_validate(enum feature_id id, int16_t level,
                                     int16_t (*level_of)(void *context, enum feature_id id),
                                     void *context, struct message *error);

// ---- What a metadata.version turns on ----

static inline bool metadata_version_has_migration(int16_t level) {
    return level >= 8;
}
static inline bool metadata_version_has_scram(int16_t level) {
    return level >= 11;
}
static inline bool metadata_version_bumps_epoch_on_isr_shrink(int16_t level) {
    return level < 12;
}
static inline bool metadata_version_has_transactions(int16_t level) {
    return level >= 13;
}
static inline bool metadata_version_has_delegation_tokens(int16_t level) {
    return level >= 14;
}
static inline bool metadata_version_has_controller_registration(int16_t level) {
    return level >= 15;
}
static inline bool metadata_version_has_directories(int16_t level) {
    return level >= 17;
}
static inline bool metadata_version_has_elr(int16_t level) {
    return level >= 23;
}
static inline bool metadata_version_has_cordoned_directories(int16_t level) {
    return level >= 30;
}
static inline bool metadata_version_has_controller_unregistration(int16_t level) {
    return level >= 33;
}

// Record versions at a metadata.version.
int16_t register_broker_record_version(int16_t metadata_version);
int16_t partition_record_version(int16_t metadata_version);
int16_t partition_change_record_version(int16_t metadata_version);
