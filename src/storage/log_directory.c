#include "storage/log_directory.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/memory.h"

// No state file of a node comes near this; a checkpoint line is about 40 bytes.
#define STATE_FILE_BYTES_MAX ((size_t)256 << 20)
#define NAME_BYTES_MAX       255

struct log_directory {
    struct env *env;
    struct slice path;  // heap
    struct file *lock;
    struct arena arena;  // meta and checkpoints as read
    struct meta_properties meta;
    bool has_meta;
    bool was_clean;
    int64_t clean_epoch;
    struct checkpoint_entry *offsets[OFFSET_CHECKPOINT_COUNT];  // sorted
    int32_t offset_counts[OFFSET_CHECKPOINT_COUNT];
    bool has_failed;
    bool has_reserve;
};

static const char *checkpoint_file(enum offset_checkpoint checkpoint) {
    static const char *const names[OFFSET_CHECKPOINT_COUNT] = {"recovery-point-offset-checkpoint",
                                                               "log-start-offset-checkpoint",
                                                               "replication-offset-checkpoint"};
    return names[checkpoint];
}

// ---- Names ----

// Kafka's topic names; whatever else lies in a log directory is not a partition.
static bool is_topic_name(struct slice s) {
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') return false;
    }
    return s.size > 0;
}

bool partition_directory_parse(struct slice name, struct partition_directory *out) {
    struct partition_directory parsed = {.name = name, .kind = PARTITION_DIRECTORY_CURRENT};
    static const struct {
        const char *suffix;
        enum partition_directory_kind kind;
    } kinds[] = {{"-delete", PARTITION_DIRECTORY_DELETED},
                 {"-future", PARTITION_DIRECTORY_FUTURE},
                 {"-stray", PARTITION_DIRECTORY_STRAY}};
    struct slice rest = name;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!slice_ends_with(name, slice_cstring(kinds[i].suffix))) continue;
        size_t size = name.size - strlen(kinds[i].suffix);
        // ".<32 hexadecimal digits>" stands before the suffix; without it the suffix is a part of
        // the topic's name.
        if (size < 34 || name.data[size - 33] != '.') continue;
        parsed.kind = kinds[i].kind;
        rest = slice_sub(name, 0, size - 33);
    }
    size_t dash = rest.size;
    while (dash > 0 && rest.data[dash - 1] != '-')
        dash--;
    if (dash < 2 || dash == rest.size) return false;
    struct slice digits = slice_sub(rest, dash, rest.size - dash);
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
    }
    int64_t partition;
    if (!slice_parse_int64(digits, &partition) || partition > INT32_MAX) return false;
    // "topic-007" is not what anybody writes.
    if (digits.size > 1 && digits.data[0] == '0') return false;
    parsed.topic = slice_sub(rest, 0, dash - 1);
    if (!is_topic_name(parsed.topic)) return false;
    parsed.partition = (int32_t)partition;
    *out = parsed;
    return true;
}

void partition_directory_format(struct slice topic, int32_t partition, struct string_buffer *out) {
    string_buffer_format(out, "%.*s-%d", SLICE_PRINT(topic), partition);
}

void partition_directory_format_suffixed(struct env *env, struct slice topic, int32_t partition,
                                         enum partition_directory_kind kind,
                                         struct string_buffer *out) {
    static const char *const suffixes[] = {"", "-delete", "-future", "-stray"};
    struct uuid id = env_random_uuid(env);
    struct string_buffer tail;
    string_buffer_init(&tail);
    string_buffer_format(&tail, "-%d.", partition);
    for (size_t i = 0; i < sizeof id.bytes; i++)
        string_buffer_format(&tail, "%02x", id.bytes[i]);
    string_buffer_append(&tail, slice_cstring(suffixes[kind]));
    size_t topic_size = MIN(topic.size, (size_t)NAME_BYTES_MAX - tail.size);
    string_buffer_append(out, slice_sub(topic, 0, topic_size));
    string_buffer_append(out, string_buffer_slice(&tail));
    string_buffer_deinit(&tail);
}

// ---- Reading ----

void log_directory_join(const struct log_directory *directory, struct slice name,
                        struct string_buffer *out) {
    string_buffer_clear(out);
    string_buffer_format(out, "%.*s/%.*s", SLICE_PRINT(directory->path), SLICE_PRINT(name));
}

static enum err read_file(struct log_directory *directory, const char *name, struct slice *text) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(directory, slice_cstring(name), &path);
    uint8_t *data = NULL;
    size_t size = 0;
    enum err err = env_read_file(directory->env, string_buffer_slice(&path), STATE_FILE_BYTES_MAX,
                                 &data, &size);
    if (err == ERR_NONE) *text = arena_copy(&directory->arena, slice_of(data, size));
    memory_free(data);
    string_buffer_deinit(&path);
    return err;
}

static enum err read_meta(struct log_directory *directory, struct message *error) {
    struct slice text;
    enum err err = read_file(directory, LOG_DIRECTORY_META, &text);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    struct message detail;
    message_init(&detail);
    if (err == ERR_NONE)
        err = meta_properties_parse(text, &directory->arena, &directory->meta, &detail);
    if (err != ERR_NONE) {
        message_set(error, "%.*s: %s", SLICE_PRINT(directory->path),
                    detail.text[0] != '\0' ? detail.text : "meta.properties cannot be read");
        return err;
    }
    directory->has_meta = true;
    return ERR_NONE;
}

static int compare_entries(const struct checkpoint_entry *a, struct slice topic,
                           int32_t partition) {
    int order = slice_compare(a->topic, topic);
    if (order != 0) return order;
    return a->partition < partition ? -1 : a->partition > partition;
}

static void sift_down(struct checkpoint_entry *entries, int32_t root, int32_t count) {
    for (int32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare_entries(&entries[child], entries[child + 1].topic,
                                                 entries[child + 1].partition) < 0) {
            child++;
        }
        if (compare_entries(&entries[root], entries[child].topic, entries[child].partition) >= 0)
            return;
        struct checkpoint_entry swap = entries[root];
        entries[root] = entries[child];
        entries[child] = swap;
    }
}

static void sort_entries(struct checkpoint_entry *entries, int32_t count) {
    for (int32_t root = count / 2 - 1; root >= 0; root--)
        sift_down(entries, root, count);
    for (int32_t end = count - 1; end > 0; end--) {
        struct checkpoint_entry swap = entries[0];
        entries[0] = entries[end];
        entries[end] = swap;
        sift_down(entries, 0, end);
    }
}

static enum err read_offsets(struct log_directory *directory, enum offset_checkpoint checkpoint) {
    struct slice text;
    enum err err = read_file(directory, checkpoint_file(checkpoint), &text);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    if (err == ERR_NONE) {
        err = checkpoint_parse(text, &directory->arena, &directory->offsets[checkpoint],
                               &directory->offset_counts[checkpoint]);
    }
    if (err == ERR_IO || err == ERR_ACCESS) return err;
    if (err != ERR_NONE) {
        log_warn(
            env_logger(directory->env), "storage",
            "%.*s/%s cannot be read (%s); its offsets are taken as unknown, which costs time only",
            SLICE_PRINT(directory->path), checkpoint_file(checkpoint), err_text(err));
        return ERR_NONE;
    }
    sort_entries(directory->offsets[checkpoint], directory->offset_counts[checkpoint]);
    return ERR_NONE;
}

static enum err read_clean_shutdown(struct log_directory *directory, bool consume) {
    struct slice text;
    enum err err = read_file(directory, LOG_DIRECTORY_CLEAN_SHUTDOWN, &text);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    if (err != ERR_NONE) return err;
    directory->was_clean = true;
    // A file that says nothing readable still is there: its presence is the message, the epoch is
    // unknown.
    if (clean_shutdown_parse(text, &directory->clean_epoch) != ERR_NONE)
        directory->clean_epoch = -1;
    if (!consume) return ERR_NONE;
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(directory, SLICE_LITERAL(LOG_DIRECTORY_CLEAN_SHUTDOWN), &path);
    err = env_unlink(directory->env, string_buffer_slice(&path));
    if (err == ERR_NONE) err = env_sync_directory(directory->env, directory->path);
    string_buffer_deinit(&path);
    return err;
}

// ---- Opening ----

static struct log_directory *directory_new(struct env *env, struct slice path) {
    struct log_directory *directory = memory_zalloc(1, sizeof *directory);
    directory->env = env;
    directory->clean_epoch = -1;
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    uint8_t *copy = memory_alloc(path.size);
    memcpy(copy, path.data, path.size);
    directory->path = slice_of(copy, path.size);
    arena_init(&directory->arena);
    return directory;
}

static enum err read_all(struct log_directory *directory, bool consume, struct message *error) {
    enum err err = read_meta(directory, error);
    if (err != ERR_NONE) return err;
    for (enum offset_checkpoint i = 0; i < OFFSET_CHECKPOINT_COUNT && err == ERR_NONE; i++)
        err = read_offsets(directory, i);
    if (err == ERR_NONE) err = read_clean_shutdown(directory, consume);
    if (err != ERR_NONE) {
        message_set(error, "%.*s: reading its state files: %s", SLICE_PRINT(directory->path),
                    err_text(err));
    }
    return err;
}

static enum err lock(struct log_directory *directory, struct message *error) {
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(directory, SLICE_LITERAL(LOG_DIRECTORY_LOCK), &path);
    enum err err = env_lock_file(directory->env, string_buffer_slice(&path), &directory->lock);
    string_buffer_deinit(&path);
    if (err == ERR_NONE) return ERR_NONE;
    if (err == ERR_ACCESS_LOCKED || err == ERR_EXISTS) {
        message_set(
            error,
            "%.*s is in use by another process (%s is locked); stop it, or choose another log.dirs",
            SLICE_PRINT(directory->path), LOG_DIRECTORY_LOCK);
        return ERR_EXISTS;
    }
    message_set(error, "%.*s/%s cannot be locked: %s", SLICE_PRINT(directory->path),
                LOG_DIRECTORY_LOCK, err_text(err));
    return err;
}

enum err log_directory_open(struct env *env, struct slice path, struct log_directory **out,
                            struct message *error) {
    struct log_directory *directory = directory_new(env, path);
    enum err err = env_make_directories(env, directory->path);
    if (err != ERR_NONE) {
        message_set(error, "%.*s cannot be created: %s", SLICE_PRINT(path), err_text(err));
    } else {
        err = lock(directory, error);
    }
    if (err == ERR_NONE) err = read_all(directory, true, error);
    if (err != ERR_NONE) {
        log_directory_close(directory);
        return err;
    }
    *out = directory;
    return ERR_NONE;
}

enum err log_directory_open_read_only(struct env *env, struct slice path,
                                      struct log_directory **out, struct message *error) {
    struct log_directory *directory = directory_new(env, path);
    struct env_stat stat;
    enum err err = env_stat(env, directory->path, &stat);
    if (err == ERR_NONE && !stat.is_directory) err = ERR_NOT_FOUND;
    if (err != ERR_NONE) {
        message_set(error, "%.*s: %s", SLICE_PRINT(path),
                    err == ERR_NOT_FOUND ? "no such directory" : err_text(err));
    } else {
        err = read_all(directory, false, error);
    }
    if (err != ERR_NONE) {
        log_directory_close(directory);
        return err;
    }
    *out = directory;
    return ERR_NONE;
}

void log_directory_close(struct log_directory *directory) {
    if (directory == NULL) return;
    file_close(directory->lock);
    arena_deinit(&directory->arena);
    memory_free((void *)directory->path.data);
    memory_free(directory);
}

struct slice log_directory_path(const struct log_directory *directory) {
    return directory->path;
}

const struct meta_properties *log_directory_meta(const struct log_directory *directory) {
    return directory->has_meta ? &directory->meta : NULL;
}

enum err log_directory_write_meta(struct log_directory *directory,
                                  const struct meta_properties *meta) {
    struct string_buffer text;
    string_buffer_init(&text);
    meta_properties_format(meta, &text);
    enum err err = log_directory_replace_file(directory, SLICE_LITERAL(LOG_DIRECTORY_META),
                                              string_buffer_slice(&text));
    string_buffer_deinit(&text);
    if (err != ERR_NONE) return err;
    struct slice cluster_id = arena_copy(&directory->arena, meta->cluster_id);
    directory->meta = *meta;
    directory->meta.cluster_id = cluster_id;
    directory->has_meta = true;
    return ERR_NONE;
}

bool log_directory_was_clean(const struct log_directory *directory, int64_t *broker_epoch) {
    if (broker_epoch != NULL) *broker_epoch = directory->clean_epoch;
    return directory->was_clean;
}

enum err log_directory_mark_clean(struct log_directory *directory, int64_t broker_epoch) {
    if (directory->has_failed) return ERR_FAILED_DISK;
    struct string_buffer text;
    string_buffer_init(&text);
    clean_shutdown_format(broker_epoch, &text);
    enum err err = log_directory_replace_file(
        directory, SLICE_LITERAL(LOG_DIRECTORY_CLEAN_SHUTDOWN), string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return err;
}

// ---- Partition directories ----

struct listing {
    struct log_directory *directory;
    void (*visit)(void *context, const struct partition_directory *partition);
    void *context;
    struct string_buffer path;
};

static void visit_name(void *context, struct slice name) {
    struct listing *listing = context;
    struct partition_directory partition;
    if (!partition_directory_parse(name, &partition)) return;
    log_directory_join(listing->directory, name, &listing->path);
    struct env_stat stat;
    if (env_stat(listing->directory->env, string_buffer_slice(&listing->path), &stat) != ERR_NONE)
        return;
    if (stat.is_directory) listing->visit(listing->context, &partition);
}

enum err log_directory_list(struct log_directory *directory,
                            void (*visit)(void *context,
                                          const struct partition_directory *partition),
                            void *context) {
    struct listing listing = {directory, visit, context, {0}};
    string_buffer_init(&listing.path);
    enum err err = env_list_directory(directory->env, directory->path, visit_name, &listing);
    string_buffer_deinit(&listing.path);
    return err;
}

enum err log_directory_set_aside(struct log_directory *directory,
                                 const struct partition_directory *partition,
                                 enum partition_directory_kind kind) {
    assert(kind != PARTITION_DIRECTORY_CURRENT);
    struct string_buffer from, name, to;
    string_buffer_init(&from);
    string_buffer_init(&name);
    string_buffer_init(&to);
    log_directory_join(directory, partition->name, &from);
    partition_directory_format_suffixed(directory->env, partition->topic, partition->partition,
                                        kind, &name);
    log_directory_join(directory, string_buffer_slice(&name), &to);
    enum err err = env_rename(directory->env, string_buffer_slice(&from), string_buffer_slice(&to));
    if (err == ERR_NONE) err = env_sync_directory(directory->env, directory->path);
    string_buffer_deinit(&from);
    string_buffer_deinit(&name);
    string_buffer_deinit(&to);
    return err;
}

struct removal {
    struct log_directory *directory;
    enum err err;
};

static void remove_deleted(void *context, const struct partition_directory *partition) {
    struct removal *removal = context;
    if (partition->kind != PARTITION_DIRECTORY_DELETED || removal->err != ERR_NONE) return;
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(removal->directory, partition->name, &path);
    removal->err = env_remove_tree(removal->directory->env, string_buffer_slice(&path));
    string_buffer_deinit(&path);
}

enum err log_directory_remove_deleted(struct log_directory *directory) {
    struct removal removal = {directory, ERR_NONE};
    enum err err = log_directory_list(directory, remove_deleted, &removal);
    return err == ERR_NONE ? removal.err : err;
}

// ---- Offsets ----

int64_t log_directory_offset(const struct log_directory *directory,
                             enum offset_checkpoint checkpoint, struct slice topic,
                             int32_t partition) {
    const struct checkpoint_entry *entries = directory->offsets[checkpoint];
    int32_t low = 0, high = directory->offset_counts[checkpoint];
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        int order = compare_entries(&entries[middle], topic, partition);
        if (order == 0) return entries[middle].offset;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

enum err log_directory_write_offsets(struct log_directory *directory,
                                     enum offset_checkpoint checkpoint,
                                     const struct checkpoint_entry *entries, int32_t count) {
    struct string_buffer text;
    string_buffer_init(&text);
    checkpoint_format(entries, count, &text);
    enum err err = log_directory_replace_file(directory, slice_cstring(checkpoint_file(checkpoint)),
                                              string_buffer_slice(&text));
    string_buffer_deinit(&text);
    return err;
}

// ---- Failure and space ----

bool log_directory_has_failed(const struct log_directory *directory) {
    return directory->has_failed;
}

void log_directory_fail(struct log_directory *directory, enum err err) {
    if (directory->has_failed) return;
    directory->has_failed = true;
    log_error(env_logger(directory->env), "storage",
              "log directory %.*s failed: %s; its partitions are offline",
              SLICE_PRINT(directory->path), err_text(err));
}

enum err log_directory_space(struct log_directory *directory, uint64_t *total, uint64_t *usable) {
    return env_disk_space(directory->env, directory->path, total, usable);
}

static void reserve_path(const struct log_directory *directory, struct string_buffer *path) {
    string_buffer_init(path);
    log_directory_join(directory, SLICE_LITERAL(LOG_DIRECTORY_RESERVE), path);
}

enum err log_directory_take_reserve(struct log_directory *directory) {
    if (directory->has_reserve) return ERR_NONE;
    struct string_buffer path;
    reserve_path(directory, &path);
    struct file *file = NULL;
    enum err err = file_open(directory->env, string_buffer_slice(&path), FILE_CREATE, &file);
    if (err == ERR_NONE) err = file_allocate(file, LOG_DIRECTORY_RESERVE_BYTES);
    file_close(file);
    directory->has_reserve = err == ERR_NONE;
    // Half a reserve would be in the way of those who need the room now.
    if (err != ERR_NONE) (void)!env_unlink(directory->env, string_buffer_slice(&path));
    string_buffer_deinit(&path);
    return err;
}

bool log_directory_release_reserve(struct log_directory *directory) {
    struct string_buffer path;
    reserve_path(directory, &path);
    // Also one that an earlier process left.
    enum err err = env_unlink(directory->env, string_buffer_slice(&path));
    string_buffer_deinit(&path);
    directory->has_reserve = false;
    return err == ERR_NONE;
}

bool log_directory_has_reserve(const struct log_directory *directory) {
    return directory->has_reserve;
}

enum err log_directory_replace_file(struct log_directory *directory, struct slice name,
                                    struct slice contents) {
    if (directory->has_failed) return ERR_FAILED_DISK;
    struct string_buffer path;
    string_buffer_init(&path);
    log_directory_join(directory, name, &path);
    enum err err = env_replace_file(directory->env, string_buffer_slice(&path), contents);
    if (err == ERR_NO_SPACE && log_directory_release_reserve(directory)) {
        err = env_replace_file(directory->env, string_buffer_slice(&path), contents);
    }
    string_buffer_deinit(&path);
    return err;
}
