// Formatting of log directories, as kafka-storage format does it (KIP-631, 853, 900, 1022): used by
// `taccola storage format` and by `taccola start` on an empty directory. Writes, at Kafka 4.3's
// places: bootstrap.checkpoint (features and SCRAM credentials as records) in every directory, the
// 0-0 checkpoint with the voters in that of the metadata log (dynamic quorum), meta.properties
// last. All functions block.
#pragma once

#include "config/config.h"
#include "env/env.h"
#include "raft/voters.h"

struct format_feature {
    struct slice name;
    int16_t level;
};

enum format_quorum {
    FORMAT_STATIC_QUORUM,   // controller.quorum.voters: kraft.version 0, no 0-0 checkpoint
    FORMAT_DYNAMIC_QUORUM,  // --standalone, --initial-controllers: kraft.version 1
    FORMAT_JOINING_QUORUM,  // --no-initial-controllers: a node that joins a dynamic quorum later
};

struct format_options {
    const struct slice
        *directories;  // all log directories, that of the metadata log among them; each once
    int32_t directory_count;
    struct slice metadata_directory;
    int32_t node_id;
    struct slice cluster_id;
    struct slice controller_listener;  // names the voters' endpoints
    enum format_quorum quorum;
    struct raft_voters initial_voters;      // FORMAT_DYNAMIC_QUORUM
    int16_t metadata_version;               // 0: METADATA_VERSION_DEFAULT
    const struct format_feature *features;  // --feature
    int32_t feature_count;
    const struct slice *scram;  // --add-scram arguments
    int32_t scram_count;
    bool ignore_formatted;
};

// What happened, for people and programs. `kind` is "data directory", "metadata directory",
// "dynamic metadata directory" or "dynamic metadata voter directory".
struct format_report {
    // The features of bootstrap.checkpoint, those of level 0 left out: metadata.version, then by
    // name.
    void (*bootstrap)(struct format_report *report, const struct format_feature *features,
                      int32_t count);
    void (*formatted)(
        struct format_report *report, struct slice directory, const char *kind,
        const char *metadata_version);  // "4.3-IV0"; called before the directory is written
    void (*nothing_to_do)(struct format_report *report);  // all are formatted already
};

// Fills directories, metadata_directory, node_id and controller_listener from a finished
// configuration. What they point to is in the arena or the configuration's.
void format_options_from_config(const struct config *config, struct arena *arena,
                                struct format_options *options);

// One voter, this node, with a new directory id: what --standalone means. The endpoint is the first
// controller listener as advertised. ERR_INVALID with a sentence when there is none.
MUST_CHECK enum err format_use_standalone(const struct config *config, struct env *env,
                                          struct arena *arena, struct format_options *options,
                                          struct message *error);

// ERR_INVALID, ERR_EXISTS (formatted already) and I/O errors, each with Kafka's sentence where it
// has one. A directory is formatted when its meta.properties is there; a crash in the middle leaves
// it unformatted, and formatting again succeeds.
MUST_CHECK enum err format_directories(struct env *env, const struct format_options *options,
                                       struct format_report *report, struct message *error);

// How many of these directories have a meta.properties.
MUST_CHECK enum err format_count_formatted(struct env *env, const struct slice *directories,
                                           int32_t directory_count, int32_t *formatted,
                                           struct message *error);

// A new cluster id (22 characters) in the arena.
struct slice format_new_cluster_id(struct env *env, struct arena *arena);
