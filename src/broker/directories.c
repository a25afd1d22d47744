// The log directories of a node: opened and locked, checked to belong to this node and to one
// cluster. A directory that was added to log.dirs later, and has no meta.properties yet, gets one
// here, as with Kafka.
#include "broker/parts.h"

static enum err check_meta(const struct broker *broker, const struct log_directory *directory,
                           const struct meta_properties *metadata, struct message *error) {
    const struct meta_properties *meta = log_directory_meta(directory);
    struct slice path = log_directory_path(directory);
    int32_t node_id = broker->identity.node_id;
    if (meta->node_id != node_id) {
        message_set(error,
                    "%.*s belongs to node %d, but node.id is %d: change node.id or the directory",
                    SLICE_PRINT(path), meta->node_id, node_id);
        return ERR_INVALID;
    }
    if (!slice_equal(meta->cluster_id, metadata->cluster_id)) {
        message_set(error, "%.*s belongs to cluster %.*s, but the metadata log's directory to %.*s",
                    SLICE_PRINT(path), SLICE_PRINT(meta->cluster_id),
                    SLICE_PRINT(metadata->cluster_id));
        return ERR_INVALID;
    }
    return ERR_NONE;
}

// A directory without identity, or without a directory id (Kafka before 3.7), gets one.
static enum err complete_meta(struct broker *broker, struct log_directory *directory,
                              const struct meta_properties *metadata, struct message *error) {
    const struct meta_properties *meta = log_directory_meta(directory);
    if (meta != NULL && meta->has_directory_id) return ERR_NONE;
    struct meta_properties complete = {
        .cluster_id = metadata->cluster_id,
        .node_id = broker->identity.node_id,
        .directory_id = env_random_uuid(broker->env),
        .has_directory_id = true,
    };
    enum err e = log_directory_write_meta(directory, &complete);
    struct slice path = log_directory_path(directory);
    if (e != ERR_NONE) {
        message_set(error, "%.*s/meta.properties cannot be written: %s", SLICE_PRINT(path),
                    err_text(e));
    } else if (meta == NULL) {
        log_info(broker->logger, "broker", "%.*s is a new log directory of this node",
                 SLICE_PRINT(path));
    }
    return e;
}

static enum err open_metadata_directory(struct broker *broker, struct message *error) {
    struct slice path = config_metadata_log_dir(broker->options.config);
    for (int32_t i = 0; i < broker->directory_count; i++) {
        if (slice_equal(log_directory_path(broker->directories[i]), path)) {
            broker->metadata_directory = broker->directories[i];
        }
    }
    if (broker->metadata_directory == NULL) {
        enum err e = log_directory_open(broker->env, path, &broker->metadata_directory, error);
        if (e != ERR_NONE) return e;
        broker->metadata_directory_is_own = true;
    }
    if (log_directory_meta(broker->metadata_directory) == NULL) {
        message_set(error,
                    "%.*s is not formatted (it has no meta.properties): run `taccola storage "
                    "format` first",
                    SLICE_PRINT(path));
        return ERR_NOT_FOUND;
    }
    return ERR_NONE;
}

// KIP-966: the epoch counts only if every directory was stopped cleanly with the same one.
static int64_t read_previous_epoch(const struct broker *broker) {
    int64_t previous = -1;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        int64_t epoch;
        if (!log_directory_was_clean(broker->directories[i], &epoch)) return -1;
        if (i > 0 && epoch != previous) return -1;
        previous = epoch;
    }
    return previous;
}

enum err broker_open_directories(struct broker *broker, struct message *error) {
    struct config_list paths = config_log_dirs(broker->options.config);
    broker->directories =
        arena_zalloc(&broker->arena, (size_t)paths.count, sizeof(struct log_directory *));
    for (int32_t i = 0; i < paths.count; i++) {
        enum err e =
            log_directory_open(broker->env, paths.items[i], &broker->directories[i], error);
        if (e != ERR_NONE) return e;
        broker->directory_count++;
    }
    enum err e = open_metadata_directory(broker, error);
    if (e != ERR_NONE) return e;
    const struct meta_properties *metadata = log_directory_meta(broker->metadata_directory);
    e = check_meta(broker, broker->metadata_directory, metadata, error);
    for (int32_t i = 0; e == ERR_NONE && i < broker->directory_count; i++) {
        struct log_directory *directory = broker->directories[i];
        if (log_directory_meta(directory) != NULL) {
            e = check_meta(broker, directory, metadata, error);
        }
        if (e == ERR_NONE) e = complete_meta(broker, directory, metadata, error);
    }
    broker->previous_epoch = read_previous_epoch(broker);
    broker->identity.cluster_id = metadata->cluster_id;
    return e;
}

void broker_close_directories(struct broker *broker) {
    for (int32_t i = 0; i < broker->directory_count; i++) {
        log_directory_close(broker->directories[i]);
    }
    if (broker->metadata_directory_is_own) log_directory_close(broker->metadata_directory);
}
