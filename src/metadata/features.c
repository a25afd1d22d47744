// Tables of Kafka 4.4's feature flags.
//
// A metadata.version level says which records, and which versions of them, may be written. The
// other features have levels of their own; each level has a metadata.version from which on a
// freshly formatted directory gets it (its "bootstrap" version), and possibly dependencies. A
// release version such as "4.3" stands for the last level of that release.
#include "metadata/features.h"

#include "base/assert.h"
#include "base/string_buffer.h"

static const struct feature_row features[FEATURE_COUNT] = {
    [FEATURE_METADATA_VERSION] = {"metadata.version", METADATA_VERSION_MIN, METADATA_VERSION_MAX},
    [FEATURE_KRAFT_VERSION] = {"kraft.version", 0, 1},
    [FEATURE_TRANSACTION_VERSION] = {"transaction.version", 0, 2},
    [FEATURE_GROUP_VERSION] = {"group.version", 0, 1},
    [FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION] = {"eligible.leader.replicas.version", 0, 1},
    [FEATURE_SHARE_VERSION] = {"share.version", 0, 2},
    [FEATURE_STREAMS_VERSION] = {"streams.version", 0, 1},
};

static const struct metadata_version_row versions[] = {
    {7, "3.3", "3.3-IV3", true},    // InControlledShutdown (KIP-841)
    {8, "3.4", "3.4-IV0", true},    // migration from ZooKeeper (KIP-866)
    {9, "3.5", "3.5-IV0", false},   // tiered storage (KIP-405)
    {10, "3.5", "3.5-IV1", false},  // replica epoch in Fetch (KIP-903)
    {11, "3.5", "3.5-IV2", true},   // SCRAM
    {12, "3.6", "3.6-IV0", false},  // no leader epoch bump when the ISR shrinks
    {13, "3.6", "3.6-IV1", true},   // metadata transactions (KIP-868)
    {14, "3.6", "3.6-IV2", true},   // delegation tokens
    {15, "3.7", "3.7-IV0", true},   // controller registration (KIP-919)
    {16, "3.7", "3.7-IV1", false},
    {17, "3.7", "3.7-IV2", true},  // several log directories (KIP-858)
    {18, "3.7", "3.7-IV3", false},
    {19, "3.7", "3.7-IV4", false},  // KIP-951
    {20, "3.8", "3.8-IV0", false},
    {21, "3.9", "3.9-IV0", false},
    {22, "4.0", "4.0-IV0", false},  // KIP-848
    {23, "4.0", "4.0-IV1", true},   // eligible leader replicas (KIP-966)
    {24, "4.0", "4.0-IV2", false},  // KIP-890
    {25, "4.0", "4.0-IV3", false},
    {26, "4.1", "4.1-IV0", false},  // ELR by default
    {27, "4.1", "4.1-IV1", false},  // Fetch v18 (KIP-1166)
    {28, "4.2", "4.2-IV0", false},  // share groups
    {29, "4.2", "4.2-IV1", false},  // streams groups
    {30, "4.3", "4.3-IV0", true},   // cordoned log directories (KIP-1066)
    {31, "4.4", "4.4-IV0", false},
    {32, "4.4", "4.4-IV1", true},  // CIDR in ACLs
    {33, "4.4", "4.4-IV2", true},  // unregistering controllers
};

// From which metadata.version on a level is the default of a new directory. In rising order of
// level.
static const struct {
    enum feature_id id;
    int16_t level;
    int16_t metadata_version;
} bootstrap_versions[] = {
    {FEATURE_KRAFT_VERSION, 1, 21},
    {FEATURE_TRANSACTION_VERSION, 1, 24},
    {FEATURE_TRANSACTION_VERSION, 2, 24},
    {FEATURE_GROUP_VERSION, 1, 22},
    {FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION, 1, 26},
    {FEATURE_SHARE_VERSION, 1, 28},
    {FEATURE_SHARE_VERSION, 2, 31},
    {FEATURE_STREAMS_VERSION, 1, 29},
};

static const struct {
    enum feature_id id;
    int16_t level;
    struct feature_dependency needs;
} dependencies[] = {
    {FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION, 1, {FEATURE_METADATA_VERSION, 23}},
};

const struct feature_row *feature_row(enum feature_id id) {
    assert(id < FEATURE_COUNT);
    return &features[id];
}

const struct feature_row *feature_find(struct slice name, enum feature_id *id) {
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        if (slice_equal_cstring(name, features[i].name)) {
            *id = (enum feature_id)i;
            return &features[i];
        }
    }
    return NULL;
}

const struct metadata_version_row *metadata_version_row(int16_t level) {
    if (level < METADATA_VERSION_MIN || level > METADATA_VERSION_MAX) return NULL;
    return &versions[level - METADATA_VERSION_MIN];
}

static void set_unknown_version(struct slice text, struct message *error) {
    struct string_buffer list;
    string_buffer_init(&list);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        string_buffer_format(&list, "%s%s", i == 0 ? "" : ", ", versions[i].name);
    }
    message_set(error, "Unknown metadata.version '%.*s'. Supported metadata.version are: %s",
                SLICE_PRINT(text), list.text);
    string_buffer_deinit(&list);
}

// "4.3.1" is "4.3": only the first two components count.
static struct slice two_components(struct slice text) {
    size_t dots = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '.' && ++dots == 2) {
            return i + 1 == text.size ? text : slice_sub(text, 0, i);
        }
    }
    return text;
}

int16_t metadata_version_parse(struct slice text, struct message *error) {
    struct slice wanted = two_components(text);
    for (size_t i = COUNT_OF(versions); i-- > 0;) {
        if (slice_equal_cstring(wanted, versions[i].name) ||
            slice_equal_cstring(wanted, versions[i].release)) {
            return versions[i].level;
        }
    }
    set_unknown_version(text, error);
    return 0;
}

bool metadata_version_changed_between(int16_t from, int16_t to) {
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        int16_t level = versions[i].level;
        if (level > MIN(from, to) && level <= MAX(from, to) && versions[i].did_metadata_change) {
            return true;
        }
    }
    return false;
}

int16_t feature_default_level(enum feature_id id, int16_t metadata_version) {
    if (id == FEATURE_METADATA_VERSION) return metadata_version;
    int16_t level = 0;
    for (size_t i = 0; i < COUNT_OF(bootstrap_versions); i++) {
        if (bootstrap_versions[i].id == id &&
            bootstrap_versions[i].metadata_version <= metadata_version) {
            level = bootstrap_versions[i].level;
        }
    }
    return level;
}

int16_t feature_bootstrap_version(enum feature_id id, int16_t level) {
    for (size_t i = 0; i < COUNT_OF(bootstrap_versions); i++) {
        if (bootstrap_versions[i].id == id && bootstrap_versions[i].level == level) {
            return bootstrap_versions[i].metadata_version;
        }
    }
    return METADATA_VERSION_MIN;
}

int32_t feature_dependencies(enum feature_id id, int16_t level, struct feature_dependency *out,
                             int32_t capacity) {
    if (level < features[id].min || level > features[id].max) return -1;
    int32_t count = 0;
    for (size_t i = 0; i < COUNT_OF(dependencies); i++) {
        if (dependencies[i].id != id || dependencies[i].level != level) continue;
        if (count < capacity) out[count] = dependencies[i].needs;
        count++;
    }
    return count;
}

enum err feature_validate(enum feature_id id, int16_t level,
                          int16_t (*level_of)(void *context, enum feature_id id), void *context,
                          struct message *error) {
    struct feature_dependency needs[COUNT_OF(dependencies)];
    int32_t count = feature_dependencies(id, level, needs, (int32_t)COUNT_OF(dependencies));
    if (count < 0) {
        message_set(error, "No feature:%s with feature level %d", features[id].name, level);
        return ERR_INVALID;
    }
    for (int32_t i = 0; i < count; i++) {
        if (level_of(context, needs[i].feature) >= needs[i].level) continue;
        message_set(error, "%s could not be set to %d because it depends on %s level %d",
                    features[id].name, level, features[needs[i].feature].name, needs[i].level);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

int16_t register_broker_record_version(int16_t metadata_version) {
    if (metadata_version_has_cordoned_directories(metadata_version)) return 4;
    if (metadata_version_has_directories(metadata_version)) return 3;
    return metadata_version_has_migration(metadata_version) ? 2 : 1;
}

int16_t partition_record_version(int16_t metadata_version) {
    if (metadata_version_has_elr(metadata_version)) return 2;
    return metadata_version_has_directories(metadata_version) ? 1 : 0;
}

int16_t partition_change_record_version(int16_t metadata_version) {
    return partition_record_version(metadata_version);
}
