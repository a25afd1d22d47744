// What a formatted directory holds (Kafka 4.3; 4.4 puts the records of bootstrap.checkpoint into
// the 0-0 checkpoint, which raft.c reads too):
//
//   meta.properties                                       version, cluster.id, node.id,
//   directory.id bootstrap.checkpoint                                  FeatureLevel records
//   (metadata.version first, the others by name), UserScramCredential records
//   __cluster_metadata-0/0…0-0…0.checkpoint               KRaftVersion and Voters; only with a
//   dynamic quorum whose voters are known
//
// meta.properties comes last: without it the directory counts as not formatted, so a crash in
// between does no harm.
#include "raft/format.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/string_buffer.h"
#include "metadata/features.h"
#include "metadata/record.h"
#include "raft/snapshot.h"
#include "security/scram.h"
#include "storage/log_directory.h"

#define META_MAX (64 * 1024)

struct formatting {
    struct env *env;
    const struct format_options *options;
    struct format_report *report;
    struct arena arena;
    struct slice *directories;  // sorted
    bool *formatted;
    int32_t formatted_count;
    int16_t levels[FEATURE_COUNT];
    struct slice *records;  // of bootstrap.checkpoint, framed
    int32_t record_count;
    struct message *error;
};

static enum err refuse(struct formatting *f, const char *sentence) {
    message_set(f->error, "%s", sentence);
    return ERR_INVALID;
}

// ---- Levels ----

static int16_t level_of(void *context, enum feature_id id) {
    const struct formatting *f = context;
    return f->levels[id];
}

static enum err unsupported_feature(struct formatting *f, struct slice name) {
    // Kafka lists them by name.
    message_set(f->error,
                "Unsupported feature: %.*s. Supported features are: "
                "eligible.leader.replicas.version, group.version, kraft.version, share.version, "
                "streams.version, transaction.version",
                SLICE_PRINT(name));
    return ERR_INVALID;
}

static enum err choose_metadata_version(struct formatting *f) {
    int16_t level = f->options->metadata_version;
    for (int32_t i = 0; i < f->options->feature_count; i++) {
        const struct format_feature *feature = &f->options->features[i];
        if (!slice_equal_cstring(feature->name, "metadata.version")) continue;
        if (f->options->metadata_version != 0)
            return refuse(f,
                          "Use --release-version instead of --feature metadata.version=X to avoid "
                          "ambiguity.");
        level = feature->level;
    }
    if (level == 0) level = METADATA_VERSION_DEFAULT;
    if (metadata_version_row(level) == NULL) {
        message_set(f->error,
                    "No MetadataVersion with feature level %d. Valid feature levels are "
                    "from %d to %d.",
                    level, METADATA_VERSION_MIN, METADATA_VERSION_MAX);
        return ERR_INVALID;
    }
    f->levels[FEATURE_METADATA_VERSION] = level;
    return ERR_NONE;
}

static enum err check_kraft_version(struct formatting *f, bool given) {
    static const char when[] =
        "controller.quorum.voters is empty and one of the flags --standalone, "
        "--initial-controllers, or --no-initial-controllers is used. For dynamic controllers "
        "support, try";
    int16_t *level = &f->levels[FEATURE_KRAFT_VERSION];
    bool dynamic = f->options->quorum != FORMAT_STATIC_QUORUM;
    if (!given) {
        *level = dynamic ? 1 : 0;
    } else if (*level == 0 && dynamic) {
        message_set(f->error,
                    "Cannot set kraft.version to 0 if %s removing the --feature flag for "
                    "kraft.version.",
                    when);
        return ERR_INVALID;
    } else if (*level != 0 && !dynamic) {
        message_set(f->error,
                    "Cannot set kraft.version to %d unless %s using one of --standalone, "
                    "--initial-controllers, or --no-initial-controllers and removing "
                    "controller.quorum.voters.",
                    *level, when);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static enum err choose_levels(struct formatting *f) {
    bool given[FEATURE_COUNT] = {false};
    enum err err = choose_metadata_version(f);
    if (err != ERR_NONE) return err;
    for (int32_t i = 0; i < f->options->feature_count; i++) {
        enum feature_id id;
        if (feature_find(f->options->features[i].name, &id) == NULL)
            return unsupported_feature(f, f->options->features[i].name);
        if (id != FEATURE_METADATA_VERSION) f->levels[id] = f->options->features[i].level;
        given[id] = true;
    }
    err = check_kraft_version(f, given[FEATURE_KRAFT_VERSION]);
    if (err != ERR_NONE) return err;
    for (int i = FEATURE_KRAFT_VERSION + 1; i < FEATURE_COUNT; i++)
        if (!given[i])
            f->levels[i] =
                feature_default_level((enum feature_id)i, f->levels[FEATURE_METADATA_VERSION]);
    for (int i = FEATURE_KRAFT_VERSION; i < FEATURE_COUNT; i++) {
        err = feature_validate((enum feature_id)i, f->levels[i], level_of, f, f->error);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

// ---- Records ----

static enum err add_record(struct formatting *f, struct metadata_record record) {
    return metadata_record_frame(&record, &f->arena, &f->records[f->record_count++], f->error);
}

static int compare_features(const void *a, const void *b) {
    const struct format_feature *left = a, *right = b;
    return slice_compare(left->name, right->name);
}

static enum err add_features(struct formatting *f) {
    struct format_feature list[FEATURE_COUNT];
    int32_t count = 1;
    list[0] = (struct format_feature){SLICE_LITERAL("metadata.version"),
                                      f->levels[FEATURE_METADATA_VERSION]};
    // kraft.version is no FeatureLevel record: it is a control record of the quorum.
    for (int i = FEATURE_KRAFT_VERSION + 1; i < FEATURE_COUNT; i++)
        if (f->levels[i] > 0)
            list[count++] = (struct format_feature){
                slice_cstring(feature_row((enum feature_id)i)->name), f->levels[i]};
    qsort(&list[1], (size_t)(count - 1), sizeof list[0], compare_features);
    for (int32_t i = 0; i < count; i++) {
        struct metadata_record record = metadata_record_new(METADATA_FEATURE_LEVEL, 0, &f->arena);
        struct feature_level_record *feature = record.message;
        feature->name = list[i].name;
        feature->feature_level = list[i].level;
        enum err err = add_record(f, record);
        if (err != ERR_NONE) return err;
    }
    f->report->bootstrap(f->report, list, count);
    return ERR_NONE;
}

static enum err add_scram(struct formatting *f, struct slice argument) {
    struct scram_credential credential;
    enum err err = scram_parse_argument(argument, f->env, &f->arena, &credential, f->error);
    if (err != ERR_NONE) return err;
    struct metadata_record record =
        metadata_record_new(METADATA_USER_SCRAM_CREDENTIAL, 0, &f->arena);
    struct user_scram_credential_record *user = record.message;
    user->name = credential.name;
    user->mechanism = (int8_t)credential.mechanism;
    user->salt = credential.salt;
    user->stored_key = credential.stored_key;
    user->server_key = credential.server_key;
    user->iterations = credential.iterations;
    return add_record(f, record);
}

static enum err make_records(struct formatting *f) {
    if (f->options->scram_count > 0 &&
        !metadata_version_has_scram(f->levels[FEATURE_METADATA_VERSION]))
        return refuse(f, "SCRAM is only supported in metadata.version 3.5-IV2 or later.");
    size_t capacity = FEATURE_COUNT + (size_t)f->options->scram_count;
    f->records = arena_zalloc(&f->arena, capacity, sizeof *f->records);
    for (int32_t i = 0; i < f->options->scram_count; i++) {
        enum err err = add_scram(f, f->options->scram[i]);
        if (err != ERR_NONE) return err;
    }
    // Checked first, written last: a bad argument is told before anything is printed.
    int32_t scram_count = f->record_count;
    struct slice *scram = f->records;
    f->records = arena_zalloc(&f->arena, capacity, sizeof *f->records);
    f->record_count = 0;
    enum err err = add_features(f);
    for (int32_t i = 0; i < scram_count; i++)
        f->records[f->record_count++] = scram[i];
    return err;
}

// ---- What is there ----

// False and ERR_NONE: not formatted.
static enum err read_meta(struct env *env, struct slice directory, struct arena *arena, bool *found,
                          struct meta_properties *meta, struct message *error) {
    struct slice path = arena_format(arena, "%.*s/%s", SLICE_PRINT(directory), LOG_DIRECTORY_META);
    uint8_t *data;
    size_t size;
    *found = false;
    enum err err = env_read_file(env, path, META_MAX, &data, &size);
    if (err == ERR_NOT_FOUND) return ERR_NONE;
    if (err != ERR_NONE) {
        message_set(error, "cannot read %.*s: %s", SLICE_PRINT(path), err_text(err));
        return err;
    }
    struct slice text = arena_copy(arena, slice_of(data, size));
    memory_free(data);
    err = meta_properties_parse(text, arena, meta, error);
    *found = err == ERR_NONE;
    return err;
}

static enum err check_meta(struct formatting *f, struct slice directory,
                           const struct meta_properties *meta) {
    if (!slice_equal(meta->cluster_id, f->options->cluster_id)) {
        message_set(f->error,
                    "Invalid cluster.id in: %.*s/meta.properties. Expected %.*s, but read %.*s",
                    SLICE_PRINT(directory), SLICE_PRINT(f->options->cluster_id),
                    SLICE_PRINT(meta->cluster_id));
        return ERR_INVALID;
    }
    if (meta->node_id != f->options->node_id) {
        message_set(f->error,
                    "Stored node id %d doesn't match previous node id %d in "
                    "%.*s/meta.properties. If you moved your data, make sure your configured node "
                    "id matches. If you intend to create a new node, you should remove all data in "
                    "your data directories.",
                    meta->node_id, f->options->node_id, SLICE_PRINT(directory));
        return ERR_INVALID;
    }
    return ERR_NONE;
}

static int compare_slices(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static enum err look_at_directories(struct formatting *f) {
    size_t count = (size_t)f->options->directory_count;
    bool has_metadata_directory = false;
    f->directories = arena_zalloc(&f->arena, count, sizeof *f->directories);
    f->formatted = arena_zalloc(&f->arena, count, sizeof *f->formatted);
    memcpy(f->directories, f->options->directories, count * sizeof *f->directories);
    qsort(f->directories, count, sizeof *f->directories, compare_slices);
    for (size_t i = 0; i < count; i++) {
        struct meta_properties meta;
        enum err err =
            read_meta(f->env, f->directories[i], &f->arena, &f->formatted[i], &meta, f->error);
        if (err == ERR_NONE && f->formatted[i]) err = check_meta(f, f->directories[i], &meta);
        if (err != ERR_NONE) return err;
        f->formatted_count += f->formatted[i];
        has_metadata_directory |= slice_equal(f->directories[i], f->options->metadata_directory);
    }
    if (!has_metadata_directory) {
        message_set(f->error,
                    "The specified metadata log directory, %.*s was not one of the given "
                    "directories",
                    SLICE_PRINT(f->options->metadata_directory));
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count && !f->options->ignore_formatted; i++) {
        if (!f->formatted[i]) continue;
        message_set(f->error,
                    "Log directory %.*s is already formatted. Use --ignore-formatted to ignore "
                    "this directory and format the others.",
                    SLICE_PRINT(f->directories[i]));
        return ERR_EXISTS;
    }
    return ERR_NONE;
}

// ---- Writing ----

static enum err write_records(struct formatting *f, struct slice directory) {
    struct snapshot_writer writer;
    enum err err = snapshot_writer_open(f->env, directory, SLICE_LITERAL(BOOTSTRAP_CHECKPOINT_NAME),
                                        0, 0, 0, NULL, &writer);
    if (err != ERR_NONE) return err;
    for (int32_t i = 0; i < f->record_count && err == ERR_NONE; i++)
        err = snapshot_writer_append(&writer, f->records[i]);
    if (err == ERR_NONE) err = snapshot_writer_commit(&writer);
    snapshot_writer_close(&writer);
    return err;
}

static enum err write_voters(struct formatting *f, struct slice directory) {
    struct slice path =
        arena_format(&f->arena, "%.*s/%s", SLICE_PRINT(directory), METADATA_LOG_NAME);
    enum err err = env_make_directories(f->env, path);
    if (err != ERR_NONE) return err;
    struct string_buffer name;
    string_buffer_init(&name);
    snapshot_path(SLICE_EMPTY, SNAPSHOT_ID_BOOTSTRAP, "", &name);
    struct snapshot_writer writer;
    err =
        snapshot_writer_open(f->env, path, slice_sub(string_buffer_slice(&name), 1, name.size - 1),
                             0, env_wall_ms(f->env), f->levels[FEATURE_KRAFT_VERSION],
                             &f->options->initial_voters, &writer);
    string_buffer_deinit(&name);
    if (err != ERR_NONE) return err;
    err = snapshot_writer_commit(&writer);
    snapshot_writer_close(&writer);
    return err;
}

// Also makes the names of new directories durable, up to the root.
static enum err make_directories(struct env *env, struct slice path) {
    enum err err = env_make_directories(env, path);
    for (size_t end = path.size; err == ERR_NONE && end-- > 0;) {
        if (path.data[end] != '/' && end != 0) continue;
        struct slice parent = path.data[end] != '/' ? SLICE_LITERAL(".")
                              : end == 0            ? SLICE_LITERAL("/")
                                                    : slice_sub(path, 0, end);
        err = env_sync_directory(env, parent);
    }
    // What we may not open was not made by us.
    return err == ERR_ACCESS ? ERR_NONE : err;
}

static enum err write_directory(struct formatting *f, struct slice directory) {
    bool metadata = slice_equal(directory, f->options->metadata_directory);
    bool voters = metadata && f->options->quorum == FORMAT_DYNAMIC_QUORUM;
    const struct raft_voter *own =
        voters ? raft_voters_find(&f->options->initial_voters, f->options->node_id) : NULL;
    const char *kind = !metadata     ? "data directory"
                       : !voters     ? "metadata directory"
                       : own == NULL ? "dynamic metadata directory"
                                     : "dynamic metadata voter directory";
    f->report->formatted(f->report, directory, kind,
                         metadata_version_row(f->levels[FEATURE_METADATA_VERSION])->name);
    struct meta_properties meta = {
        .cluster_id = f->options->cluster_id,
        .node_id = f->options->node_id,
        .directory_id = own == NULL ? env_random_uuid(f->env) : own->directory_id,
        .has_directory_id = true,
    };
    struct string_buffer text;
    string_buffer_init(&text);
    meta_properties_format(&meta, &text);
    struct slice path =
        arena_format(&f->arena, "%.*s/%s", SLICE_PRINT(directory), LOG_DIRECTORY_META);
    enum err err = make_directories(f->env, directory);
    if (err == ERR_NONE) err = write_records(f, directory);
    if (err == ERR_NONE && voters) err = write_voters(f, directory);
    if (err == ERR_NONE) err = env_replace_file(f->env, path, string_buffer_slice(&text));
    string_buffer_deinit(&text);
    if (err != ERR_NONE)
        message_set(f->error, "cannot format %.*s: %s", SLICE_PRINT(directory), err_text(err));
    return err;
}

static enum err check_options(struct formatting *f) {
    if (f->options->node_id < 0) return refuse(f, "You must specify a valid non-negative node ID.");
    if (f->options->cluster_id.size == 0) return refuse(f, "You must specify the cluster id.");
    if (f->options->directory_count == 0)
        return refuse(f, "You must specify at least one directory to format");
    return ERR_NONE;
}

enum err format_directories(struct env *env, const struct format_options *options,
                            struct format_report *report, struct message *error) {
    struct formatting f = {.env = env, .options = options, .report = report, .error = error};
    arena_init(&f.arena);
    enum err err = check_options(&f);
    if (err == ERR_NONE) err = choose_levels(&f);
    if (err == ERR_NONE) err = look_at_directories(&f);
    if (err != ERR_NONE) goto out;
    if (f.formatted_count == options->directory_count) {
        report->nothing_to_do(report);
        goto out;
    }
    err = make_records(&f);
    for (int32_t i = 0; err == ERR_NONE && i < options->directory_count; i++)
        if (!f.formatted[i]) err = write_directory(&f, f.directories[i]);
out:
    arena_deinit(&f.arena);
    return err;
}

// ---- From a configuration ----

static void add_directory(struct slice *list, int32_t *count, struct slice directory) {
    for (int32_t i = 0; i < *count; i++)
        if (slice_equal(list[i], directory)) return;
    list[(*count)++] = directory;
}

void format_options_from_config(const struct config *config, struct arena *arena,
                                struct format_options *options) {
    struct config_list directories = config_log_dirs(config);
    struct slice *list = arena_zalloc(arena, (size_t)directories.count + 1, sizeof(struct slice));
    *options = (struct format_options){.directories = list,
                                       .metadata_directory = config_metadata_log_dir(config),
                                       .node_id = config_node_id(config)};
    for (int32_t i = 0; i < directories.count; i++)
        add_directory(list, &options->directory_count, directories.items[i]);
    add_directory(list, &options->directory_count, options->metadata_directory);
    struct config_list names = config_strings(config, BROKER_CONTROLLER_LISTENER_NAMES);
    if (names.count > 0) options->controller_listener = names.items[0];
}

enum err format_use_standalone(const struct config *config, struct env *env, struct arena *arena,
                               struct format_options *options, struct message *error) {
    if (!config_is_controller(config)) {
        message_set(error, "You can only use --standalone on a controller.");
        return ERR_INVALID;
    }
    const struct config_listener *listener = NULL;
    for (int32_t i = 0; i < config_listener_count(config) && listener == NULL; i++)
        if (config_listener_at(config, i)->is_controller) listener = config_listener_at(config, i);
    if (listener == NULL) {
        message_set(error, "No controller listeners found.");
        return ERR_INVALID;
    }
    struct raft_endpoint *endpoint = arena_zalloc(arena, 1, sizeof *endpoint);
    endpoint->listener = arena_copy(arena, options->controller_listener);
    endpoint->host = listener->advertised_host.size > 0 ? listener->advertised_host
                     : listener->host.size > 0          ? listener->host
                                                        : SLICE_LITERAL("localhost");
    endpoint->port = listener->advertised_port != 0 ? listener->advertised_port : listener->port;
    struct raft_voter *voter = arena_zalloc(arena, 1, sizeof *voter);
    *voter = (struct raft_voter){.id = options->node_id,
                                 .directory_id = env_random_uuid(env),
                                 .endpoints = endpoint,
                                 .endpoint_count = 1,
                                 .kraft_version_max = 1};
    options->quorum = FORMAT_DYNAMIC_QUORUM;
    options->initial_voters = (struct raft_voters){voter, 1};
    return ERR_NONE;
}

enum err format_count_formatted(struct env *env, const struct slice *directories,
                                int32_t directory_count, int32_t *formatted,
                                struct message *error) {
    struct arena arena;
    arena_init(&arena);
    enum err err = ERR_NONE;
    int32_t count = 0;
    for (int32_t i = 0; err == ERR_NONE && i < directory_count; i++) {
        struct meta_properties meta;
        bool found;
        err = read_meta(env, directories[i], &arena, &found, &meta, error);
        count += found;
    }
    arena_deinit(&arena);
    if (err == ERR_NONE) *formatted = count;
    return err;
}

struct slice format_new_cluster_id(struct env *env, struct arena *arena) {
    char text[UUID_TEXT_SIZE];
    return arena_copy(arena, slice_cstring(uuid_format(env_random_uuid(env), text)));
}
