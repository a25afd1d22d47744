// At start: partition directories that this node should not have are set aside (Kafka's
// isStrayReplica), deletions that were interrupted are finished.
#include "base/memory.h"
#include "replica/replica_manager.h"

#define PARTITION_METADATA_MAX 4096

struct scan {
    struct env *env;
    struct log_directory *const *directories;
    int32_t current;  // index of the directory being listed
    const struct image *image;
    int32_t node_id;
    struct partition_directory *strays;  // heap
    int32_t stray_count;
    struct arena arena;
    enum err err;
    struct message *error;
};

static bool read_topic_id(struct scan *scan, struct slice name, struct uuid *topic_id) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(scan->directories[scan->current], name, &path);
    string_buffer_append(&path, SLICE_LITERAL("/partition.metadata"));
    uint8_t *data;
    size_t size;
    enum err err =
        env_read_file(scan->env, string_buffer_slice(&path), PARTITION_METADATA_MAX, &data, &size);
    string_buffer_deinit(&path);
    if (err != ERR_NONE) return false;
    err = partition_metadata_parse(slice_of(data, size), topic_id);
    memory_free(data);
    return err == ERR_NONE;
}

// NULL: it belongs here.
static const char *why_stray(struct scan *scan, const struct partition_directory *partition) {
    struct uuid topic_id;
    if (!read_topic_id(scan, partition->name, &topic_id)) return "it has no topic id";
    const struct topic_image *topic = image_topic_by_id(scan->image, topic_id);
    if (topic == NULL) return "its topic id is not in the metadata";
    if (!slice_equal(topic->name, partition->topic)) return "its topic id is another topic's";
    const struct partition_image *image = topic_partition(topic, partition->partition);
    if (image == NULL) return "its partition is not in the metadata";
    for (int32_t i = 0; i < image->replica_count; i++) {
        if (image->replicas[i] == scan->node_id) return NULL;
    }
    return "this node is not among its replicas";
}

static bool lies_in_earlier_directory(struct scan *scan, struct slice name) {
    struct string_buffer path;
    struct env_stat stat;
    bool found = false;
    string_buffer_init(&path);
    for (int32_t i = 0; i < scan->current && !found; i++) {
        if (log_directory_has_failed(scan->directories[i])) continue;
        string_buffer_clear(&path);
        log_directory_join(scan->directories[i], name, &path);
        found = env_stat(scan->env, string_buffer_slice(&path), &stat) == ERR_NONE;
    }
    string_buffer_deinit(&path);
    return found;
}

static void visit(void *context, const struct partition_directory *partition) {
    struct scan *scan = context;
    if (partition->kind != PARTITION_DIRECTORY_CURRENT || scan->err != ERR_NONE) return;
    // The metadata log belongs to raft.
    if (slice_equal_cstring(partition->topic, "__cluster_metadata")) return;
    const char *why = why_stray(scan, partition);
    if (why == NULL) {
        if (lies_in_earlier_directory(scan, partition->name)) {
            message_set(scan->error, "%.*s lies in two log directories: remove the older one",
                        SLICE_PRINT(partition->name));
            scan->err = ERR_EXISTS;
        }
        return;
    }
    log_warn(env_logger(scan->env), "replica", "setting %.*s aside as -stray: %s",
             SLICE_PRINT(partition->name), why);
    size_t count = (size_t)scan->stray_count + 1;
    scan->strays = memory_realloc(scan->strays, count, sizeof *scan->strays);
    struct partition_directory *stray = &scan->strays[scan->stray_count++];
    stray->name = arena_copy(&scan->arena, partition->name);
    stray->topic = arena_copy(&scan->arena, partition->topic);
    stray->partition = partition->partition;
    stray->kind = partition->kind;
}

static enum err scan_directory(struct scan *scan) {
    struct log_directory *directory = scan->directories[scan->current];
    enum err err = log_directory_remove_deleted(directory);
    if (err == ERR_NONE) err = log_directory_list(directory, visit, scan);
    if (err == ERR_NONE) err = scan->err;
    for (int32_t i = 0; err == ERR_NONE && i < scan->stray_count; i++) {
        err = log_directory_set_aside(directory, &scan->strays[i], PARTITION_DIRECTORY_STRAY);
    }
    if (err != ERR_NONE && scan->err == ERR_NONE) {
        message_set(scan->error, "cannot go through log directory %.*s: %s",
                    SLICE_PRINT(log_directory_path(directory)), err_text(err));
    }
    scan->stray_count = 0;
    return err;
}

enum err replica_set_aside_strays(struct env *env, struct log_directory *const *directories,
                                  int32_t directory_count, const struct image *image,
                                  int32_t node_id, struct message *error) {
    struct scan scan = {
        .env = env, .directories = directories, .image = image, .node_id = node_id, .error = error};
    arena_init(&scan.arena);
    enum err err = ERR_NONE;
    for (scan.current = 0; scan.current < directory_count && err == ERR_NONE; scan.current++) {
        if (!log_directory_has_failed(directories[scan.current])) err = scan_directory(&scan);
    }
    memory_free(scan.strays);
    arena_deinit(&scan.arena);
    return err;
}
