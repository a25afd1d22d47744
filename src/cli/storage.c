// `taccola storage info | random-uuid | version-mapping | feature-dependencies`: kafka-storage.
// What they print as text is what kafka-storage prints.
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "base/string_buffer.h"
#include "cli/storage_config.h"
#include "metadata/features.h"
#include "raft/format.h"
#include "storage/log_directory.h"

#define FILE_MAX (1024 * 1024)

struct config *storage_read_config(struct cli *cli) {
    struct config *config = config_new();
    struct message error;
    enum err err = ERR_NONE;
    const char *path = cli_value(cli, "--config");
    if (path == NULL) {
        config_add_standalone_defaults(config);
    } else {
        uint8_t *data;
        size_t size;
        err = env_read_file(cli_env(cli), slice_cstring(path), FILE_MAX, &data, &size);
        if (err == ERR_NONE) {
            err = config_add_properties(config, slice_of(data, size), &error);
            memory_free(data);
        } else {
            message_set(&error, "cannot read %s: %s", path, err_text(err));
        }
    }
    if (err == ERR_NONE) err = config_finish(config, &error);
    if (err == ERR_NONE) return config;
    cli_fail(cli, "%s", error.text);
    config_free(config);
    return NULL;
}

bool storage_parse_feature(struct cli *cli, const char *text, struct slice *name, int16_t *level) {
    struct slice value;
    int64_t number;
    if (!slice_split(slice_cstring(text), '=', name, &value)) {
        cli_fail(cli, "Can't parse feature=level string %s: equals sign not found.", text);
        return false;
    }
    if (!slice_parse_int64(value, &number) || number < INT16_MIN || number > INT16_MAX) {
        cli_fail(cli, "Invalid version format: %.*s for feature %.*s", SLICE_PRINT(value),
                 SLICE_PRINT(*name));
        return false;
    }
    *level = (int16_t)number;
    return true;
}

// ---- info ----

struct info {
    struct arena arena;
    struct slice *found;
    int32_t found_count;
    struct slice *problems;
    int32_t problem_count;
    bool has_meta;
    struct meta_properties meta;  // of the first formatted directory
    char directory_id[UUID_TEXT_SIZE];
};

static void check_meta(struct info *info, struct slice directory, struct slice text) {
    struct meta_properties meta;
    struct message error;
    enum err err = meta_properties_parse(text, &info->arena, &meta, &error);
    if (err != ERR_NONE) {
        info->problems[info->problem_count++] =
            arena_format(&info->arena, "Error loading %.*s/meta.properties: %s",
                         SLICE_PRINT(directory), error.text);
    } else if (!info->has_meta) {
        info->has_meta = true;
        info->meta = meta;
        uuid_format(meta.directory_id, info->directory_id);
    } else if (!slice_equal(meta.cluster_id, info->meta.cluster_id)) {
        info->problems[info->problem_count++] =
            SLICE_LITERAL("Mismatched cluster IDs between storage directories.");
    } else if (meta.node_id != info->meta.node_id) {
        info->problems[info->problem_count++] =
            SLICE_LITERAL("Mismatched node IDs between storage directories.");
    }
}

static void look_at(struct info *info, struct env *env, struct slice directory) {
    struct env_stat stat;
    enum err err = env_stat(env, directory, &stat);
    struct slice *problem = &info->problems[info->problem_count];
    if (err != ERR_NONE || !stat.is_directory) {
        *problem = arena_format(&info->arena, "%.*s %s", SLICE_PRINT(directory),
                                err != ERR_NONE ? "does not exist" : "is not a directory");
        info->problem_count++;
        return;
    }
    info->found[info->found_count++] = directory;
    struct slice path =
        arena_format(&info->arena, "%.*s/%s", SLICE_PRINT(directory), LOG_DIRECTORY_META);
    uint8_t *data;
    size_t size;
    err = env_read_file(env, path, FILE_MAX, &data, &size);
    if (err == ERR_NONE) {
        check_meta(info, directory, arena_copy(&info->arena, slice_of(data, size)));
        memory_free(data);
        return;
    }
    if (err == ERR_NOT_FOUND)
        *problem = arena_format(&info->arena, "%.*s is not formatted.", SLICE_PRINT(directory));
    else
        *problem =
            arena_format(&info->arena, "Error loading %.*s: %s", SLICE_PRINT(path), err_text(err));
    info->problem_count++;
}

static void print_list(const char *one, const char *many, const struct slice *list, int32_t count) {
    if (count == 0) return;
    printf("%s:\n", count == 1 ? one : many);
    for (int32_t i = 0; i < count; i++)
        printf("  %.*s\n", SLICE_PRINT(list[i]));
    printf("\n");
}

static void print_info(const struct info *info) {
    print_list("Found log directory", "Found log directories", info->found, info->found_count);
    if (info->has_meta) {
        printf("Found metadata: {cluster.id=%.*s, ", SLICE_PRINT(info->meta.cluster_id));
        if (info->meta.has_directory_id) printf("directory.id=%s, ", info->directory_id);
        printf("node.id=%d, version=1}\n\n", info->meta.node_id);
    }
    print_list("Found problem", "Found problems", info->problems, info->problem_count);
}

static void append_list(struct string_buffer *out, const char *name, const struct slice *list,
                        int32_t count) {
    string_buffer_format(out, "\"%s\":[", name);
    for (int32_t i = 0; i < count; i++) {
        if (i > 0) string_buffer_append_char(out, ',');
        string_buffer_append_json(out, list[i]);
    }
    string_buffer_append_char(out, ']');
}

static void print_info_json(const struct info *info) {
    struct string_buffer out;
    string_buffer_init(&out);
    string_buffer_append_char(&out, '{');
    append_list(&out, "directories", info->found, info->found_count);
    if (info->has_meta) {
        string_buffer_format(&out, ",\"metadata\":{\"cluster.id\":");
        string_buffer_append_json(&out, info->meta.cluster_id);
        if (info->meta.has_directory_id)
            string_buffer_format(&out, ",\"directory.id\":\"%s\"", info->directory_id);
        string_buffer_format(&out, ",\"node.id\":%d,\"version\":1}", info->meta.node_id);
    }
    string_buffer_append_char(&out, ',');
    append_list(&out, "problems", info->problems, info->problem_count);
    printf("%s}\n", out.text);
    string_buffer_deinit(&out);
}

static int compare_slices(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static int run_info(struct cli *cli) {
    struct config *config = storage_read_config(cli);
    if (config == NULL) return CLI_FAILED;
    struct info info = {.has_meta = false};
    arena_init(&info.arena);
    struct format_options options;
    format_options_from_config(config, &info.arena, &options);
    size_t count = (size_t)options.directory_count;
    struct slice *directories = arena_zalloc(&info.arena, count, sizeof *directories);
    memcpy(directories, options.directories, count * sizeof *directories);
    qsort(directories, count, sizeof *directories, compare_slices);
    info.found = arena_zalloc(&info.arena, count, sizeof *info.found);
    info.problems = arena_zalloc(&info.arena, count, sizeof *info.problems);
    for (size_t i = 0; i < count; i++)
        look_at(&info, cli_env(cli), directories[i]);
    if (cli_output(cli) == CLI_OUTPUT_JSON)
        print_info_json(&info);
    else
        print_info(&info);
    int code = info.problem_count > 0 ? CLI_FAILED : 0;
    arena_deinit(&info.arena);
    config_free(config);
    return code;
}

// ---- random-uuid ----

static int run_random_uuid(struct cli *cli) {
    char text[UUID_TEXT_SIZE];
    uuid_format(env_random_uuid(cli_env(cli)), text);
    printf(cli_output(cli) == CLI_OUTPUT_JSON ? "\"%s\"\n" : "%s\n", text);
    return 0;
}

// ---- version-mapping ----

static int run_version_mapping(struct cli *cli) {
    const char *release = cli_value(cli, "--release-version");
    if (release == NULL) release = metadata_version_row(METADATA_VERSION_DEFAULT)->name;
    int16_t level = metadata_version_parse(slice_cstring(release), NULL);
    if (level == 0)
        return cli_fail(cli, "Unknown release version '%s'. Supported versions are: %s to %s",
                        release, metadata_version_row(METADATA_VERSION_MIN)->name,
                        metadata_version_row(METADATA_VERSION_MAX)->name);
    bool json = cli_output(cli) == CLI_OUTPUT_JSON;
    printf(json ? "{\"metadata.version\":%d" : "metadata.version=%d (%s)\n", level, release);
    for (int i = FEATURE_KRAFT_VERSION; i < FEATURE_COUNT; i++)
        printf(json ? ",\"%s\":%d" : "%s=%d\n", feature_row((enum feature_id)i)->name,
               feature_default_level((enum feature_id)i, level));
    if (json) printf("}\n");
    return 0;
}

// ---- feature-dependencies ----

struct dependencies {
    struct slice name;
    int16_t level;
    struct feature_dependency list[FEATURE_COUNT];
    int32_t count;
};

static int look_up(struct cli *cli, const char *text, struct dependencies *out) {
    enum feature_id id;
    if (!storage_parse_feature(cli, text, &out->name, &out->level)) return CLI_FAILED;
    if (feature_find(out->name, &id) == NULL)
        return cli_fail(cli, "Unknown feature: %.*s", SLICE_PRINT(out->name));
    out->count = 0;
    if (id == FEATURE_METADATA_VERSION) {
        if (metadata_version_row(out->level) != NULL) return 0;
        return cli_fail(cli, "Unknown metadata.version %d", out->level);
    }
    out->count = feature_dependencies(id, out->level, out->list, FEATURE_COUNT);
    if (out->count >= 0) return 0;
    return cli_fail(cli, "Feature level %d is not supported for feature %.*s", out->level,
                    SLICE_PRINT(out->name));
}

static void print_level(const char *name, int16_t level) {
    const struct metadata_version_row *row = metadata_version_row(level);
    bool named = row != NULL && strcmp(name, "metadata.version") == 0;
    printf(named ? "%s=%d (%s)" : "%s=%d", name, level, named ? row->name : "");
}

static void print_dependencies(const struct dependencies *d, struct arena *arena) {
    print_level(arena_cstring(arena, d->name), d->level);
    printf(d->count == 0 ? " has no dependencies.\n" : " requires:\n");
    for (int32_t i = 0; i < d->count; i++) {
        printf("    ");
        print_level(feature_row(d->list[i].feature)->name, d->list[i].level);
        printf("\n");
    }
}

static void print_dependencies_json(const struct dependencies *d) {
    printf("{\"feature\":\"%.*s\",\"level\":%d,\"requires\":{", SLICE_PRINT(d->name), d->level);
    for (int32_t i = 0; i < d->count; i++)
        printf("%s\"%s\":%d", i == 0 ? "" : ",", feature_row(d->list[i].feature)->name,
               d->list[i].level);
    printf("}}\n");
}

static int run_feature_dependencies(struct cli *cli) {
    int count = cli_count(cli, "--feature"), code = 0;
    if (count == 0) return cli_usage(cli, "--feature NAME=LEVEL is missing");
    struct arena arena;
    arena_init(&arena);
    for (int i = 0; i < count && code == 0; i++) {
        struct dependencies d;
        code = look_up(cli, cli_value_at(cli, "--feature", i), &d);
        if (code != 0) break;
        if (cli_output(cli) == CLI_OUTPUT_JSON)
            print_dependencies_json(&d);
        else
            print_dependencies(&d, &arena);
    }
    arena_deinit(&arena);
    return code;
}

// ---- Commands ----

static const struct cli_option info_options[] = {
    {"--config", "-c", "FILE", "server.properties (a standalone node's settings)", .min = 0},
    {.name = NULL},
};
static const struct cli_option version_options[] = {
    {"--release-version", "-r", "VERSION", "3.3-IV3 to 4.4-IV2 (4.3)", .min = 0},
    {.name = NULL},
};
static const struct cli_option feature_options[] = {
    {"--feature", "-f", "NAME=LEVEL", "a feature and its level; may be repeated", .min = 0},
    {.name = NULL},
};

const struct cli_command command_storage_info = {
    .name = "storage info",
    .arguments = "",
    .summary = "Show whether the log directories of a node are formatted",
    .details = "The exit code is 1 when something is wrong with a directory.",
    .example = "taccola storage info -c server.properties",
    .options = info_options,
    .prints_data = true,
    .run = run_info,
};

const struct cli_command command_storage_random_uuid = {
    .name = "storage random-uuid",
    .arguments = "",
    .summary = "Print a new random id, for instance of a cluster",
    .example = "taccola storage random-uuid",
    .prints_data = true,
    .run = run_random_uuid,
};

const struct cli_command command_storage_version_mapping = {
    .name = "storage version-mapping",
    .arguments = "",
    .summary = "Show the feature levels of a release",
    .example = "taccola storage version-mapping --release-version 4.3",
    .options = version_options,
    .prints_data = true,
    .run = run_version_mapping,
};

const struct cli_command command_storage_feature_dependencies = {
    .name = "storage feature-dependencies",
    .arguments = "",
    .summary = "Show what the level of a feature needs",
    .example = "taccola storage feature-dependencies --feature eligible.leader.replicas.version=1",
    .options = feature_options,
    .prints_data = true,
    .run = run_feature_dependencies,
};
