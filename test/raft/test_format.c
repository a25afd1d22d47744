#include "test/raft/support.h"

#include "base/bytes.h"
#include "raft/format.h"
#include "raft/snapshot.h"
#include "storage/checkpoint.h"

struct recorder {
    struct format_report report;
    int formatted;
    int nothing;
    int32_t features;
    char kind[64];
};

static void on_bootstrap(struct format_report *report, const struct format_feature *features,
                         int32_t count) {
    assert_true(slice_equal_cstring(features[0].name, "metadata.version"));
    container_of(report, struct recorder, report)->features = count;
}

static void on_formatted(struct format_report *report, struct slice directory, const char *kind,
                         const char *metadata_version) {
    (void)directory;
    (void)metadata_version;
    struct recorder *r = container_of(report, struct recorder, report);
    r->formatted++;
    snprintf(r->kind, sizeof r->kind, "%s", kind);
}

static void on_nothing(struct format_report *report) {
    container_of(report, struct recorder, report)->nothing++;
}

static struct recorder recorder(void) {
    return (struct recorder){.report = {on_bootstrap, on_formatted, on_nothing}};
}

static struct raft_endpoint endpoint = {SLICE_LITERAL("CONTROLLER"), SLICE_LITERAL("127.0.0.1"),
                                        21093};
static struct raft_voter voter = {
    .id = 1, .endpoints = &endpoint, .endpoint_count = 1, .kraft_version_max = 1};

static struct format_options standalone(const struct slice *directories, int32_t count) {
    assert_true(uuid_parse(SLICE_LITERAL("32FV3zAsRLWhebFxmSylVA"), &voter.directory_id));
    return (struct format_options){.directories = directories,
                                   .directory_count = count,
                                   .metadata_directory = directories[0],
                                   .node_id = 1,
                                   .cluster_id = SLICE_LITERAL("4vWWAMQmSZiL5Sz1LxswAw"),
                                   .controller_listener = SLICE_LITERAL("CONTROLLER"),
                                   .quorum = FORMAT_DYNAMIC_QUORUM,
                                   .initial_voters = {&voter, 1}};
}

static int setup(void **state) {
    *state = world_new();
    return 0;
}

static int teardown(void **state) {
    world_free(*state);
    return 0;
}

static struct slice in(struct world *w, struct slice directory, const char *name) {
    return arena_format(&w->arena, "%.*s/%s", SLICE_PRINT(directory), name);
}

static bool exists(struct world *w, struct slice path) {
    struct env_stat stat;
    return env_stat(w->env, path, &stat) == ERR_NONE;
}

#define CHECKPOINT_0_0 METADATA_LOG_NAME "/00000000000000000000-0000000000.checkpoint"

static void assert_same_but_for_time(struct slice a, struct slice b) {
    assert_int_equal(a.size, b.size);
    size_t at = 0;
    while (at < a.size) {
        struct batch left, right;
        assert_int_equal(batch_decode(slice_sub(a, at, a.size - at), &left), ERR_NONE);
        assert_int_equal(batch_decode(slice_sub(b, at, b.size - at), &right), ERR_NONE);
        assert_int_equal(left.size, right.size);
        // Offsets, length, epoch, magic; attributes and last offset; producer and count.
        assert_memory_equal(a.data + at, b.data + at, BATCH_CRC);
        assert_memory_equal(a.data + at + BATCH_ATTRIBUTES, b.data + at + BATCH_ATTRIBUTES, 6);
        assert_memory_equal(a.data + at + BATCH_PRODUCER_ID, b.data + at + BATCH_PRODUCER_ID, 18);
        size_t skip = BATCH_HEADER_SIZE + (at == 0 ? 21 : 0);  // the header's own timestamp
        assert_memory_equal(a.data + at + skip, b.data + at + skip, left.size - skip);
        at += left.size;
    }
}

static void test_same_bytes_as_apache(void **state) {
    struct world *w = *state;
    struct slice directories[] = {world_path(w, "meta/log"), world_path(w, "data")};
    struct format_options options = standalone(directories, 2);
    struct recorder r = recorder();
    struct message error;
    enum err err = format_directories(w->env, &options, &r.report, &error);
    if (err != ERR_NONE) fail_msg("%s", error.text);
    assert_int_equal(r.formatted, 2);
    assert_int_equal(r.features, 6);
    assert_string_equal(r.kind, "dynamic metadata voter directory");
    assert_same_but_for_time(world_read(w, in(w, directories[0], CHECKPOINT_0_0)),
                             world_golden(w, "apache-4.3.1-dynamic"));
    assert_false(exists(w, in(w, directories[1], METADATA_LOG_NAME)));
    struct uuid ids[2];
    for (int i = 0; i < 2; i++) {
        struct meta_properties meta;
        assert_same_but_for_time(world_read(w, in(w, directories[i], BOOTSTRAP_CHECKPOINT_NAME)),
                                 world_golden(w, "apache-4.3.1-bootstrap"));
        struct slice text = world_read(w, in(w, directories[i], "meta.properties"));
        assert_int_equal(meta_properties_parse(text, &w->arena, &meta, &error), ERR_NONE);
        assert_true(slice_equal(meta.cluster_id, options.cluster_id));
        assert_int_equal(meta.node_id, 1);
        ids[i] = meta.directory_id;
    }
    assert_true(uuid_equal(ids[0], voter.directory_id));
    assert_false(uuid_equal(ids[0], ids[1]));
}

static void test_formatted_already(void **state) {
    struct world *w = *state;
    struct slice directories[] = {world_path(w, "a"), world_path(w, "b")};
    struct format_options options = standalone(directories, 1);
    struct recorder r = recorder();
    struct message error;
    int32_t formatted;
    assert_int_equal(format_count_formatted(w->env, directories, 2, &formatted, &error), ERR_NONE);
    assert_int_equal(formatted, 0);
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    struct slice before = world_read(w, in(w, directories[0], "meta.properties"));
    assert_int_equal(format_count_formatted(w->env, directories, 2, &formatted, &error), ERR_NONE);
    assert_int_equal(formatted, 1);

    options.directory_count = 2;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_EXISTS);
    assert_non_null(strstr(error.text, "is already formatted. Use --ignore-formatted"));
    assert_false(exists(w, directories[1]));
    options.ignore_formatted = true;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    assert_int_equal(r.formatted, 2);
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    assert_int_equal(r.nothing, 1);
    assert_true(slice_equal(before, world_read(w, in(w, directories[0], "meta.properties"))));

    options.cluster_id = SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "Invalid cluster.id in: "));
    options.cluster_id = SLICE_LITERAL("4vWWAMQmSZiL5Sz1LxswAw");
    options.node_id = 2;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "Stored node id 1 doesn't match previous node id 2"));
}

static void test_quorum_kinds(void **state) {
    struct world *w = *state;
    struct slice directory = world_path(w, "d");
    struct format_options options = standalone(&directory, 1);
    struct recorder r = recorder();
    struct message error;
    options.quorum = FORMAT_STATIC_QUORUM;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    assert_string_equal(r.kind, "metadata directory");
    assert_false(exists(w, in(w, directory, CHECKPOINT_0_0)));
    // Not a voter itself: the voters are written, and the node gets a directory id of its own.
    directory = world_path(w, "e");
    options.metadata_directory = directory;
    options.quorum = FORMAT_DYNAMIC_QUORUM;
    options.node_id = 9;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    assert_string_equal(r.kind, "dynamic metadata directory");
    assert_true(exists(w, in(w, directory, CHECKPOINT_0_0)));
}

static void assert_refused(struct world *w, const struct format_options *options,
                           const char *sentence) {
    struct recorder r = recorder();
    struct message error;
    message_init(&error);
    assert_int_equal(format_directories(w->env, options, &r.report, &error), ERR_INVALID);
    if (strncmp(error.text, sentence, strlen(sentence)) != 0) fail_msg("%s", error.text);
    assert_int_equal(r.formatted, 0);
    assert_false(exists(w, options->directories[0]));
}

static void test_refusals(void **state) {
    struct world *w = *state;
    struct slice directory = world_path(w, "refused");
    struct format_options good = standalone(&directory, 1), options = good;
    struct format_feature features[] = {{SLICE_LITERAL("no.such"), 1}};
    options.features = features;
    options.feature_count = 1;
    assert_refused(w, &options, "Unsupported feature: no.such. Supported features are: ");
    features[0] = (struct format_feature){SLICE_LITERAL("share.version"), 9};
    assert_refused(w, &options, "No feature:share.version with feature level 9");
    features[0] = (struct format_feature){SLICE_LITERAL("kraft.version"), 0};
    assert_refused(w, &options,
                   "Cannot set kraft.version to 0 if controller.quorum.voters is empty");
    options.quorum = FORMAT_STATIC_QUORUM;
    features[0].level = 1;
    assert_refused(w, &options, "Cannot set kraft.version to 1 unless ");
    options = good;
    options.features = features;
    options.feature_count = 1;
    features[0] = (struct format_feature){SLICE_LITERAL("metadata.version"), 12};
    options.metadata_version = 13;
    assert_refused(w, &options, "Use --release-version instead of --feature metadata.version=X");
    options.metadata_version = 0;
    features[0].level = 6;
    assert_refused(w, &options, "No MetadataVersion with feature level 6");
    features[0].level = 22;
    struct format_feature elr[] = {features[0],
                                   {SLICE_LITERAL("eligible.leader.replicas.version"), 1}};
    options.features = elr;
    options.feature_count = 2;
    assert_refused(w, &options,
                   "eligible.leader.replicas.version could not be set to 1 because it depends on "
                   "metadata.version level 23");
    options = good;
    struct slice scram = SLICE_LITERAL("SCRAM-SHA-256=[name=a,password=p]");
    options.scram = &scram;
    options.scram_count = 1;
    options.metadata_version = 10;
    assert_refused(w, &options, "SCRAM is only supported in metadata.version 3.5-IV2 or later.");
    options = good;
    options.metadata_directory = SLICE_LITERAL("elsewhere");
    assert_refused(w, &options, "The specified metadata log directory, elsewhere was not one of");
    options = good;
    options.node_id = -1;
    assert_refused(w, &options, "You must specify a valid non-negative node ID.");
}

// An old release: only what it knew is finalised.
static void test_levels_of_a_release(void **state) {
    struct world *w = *state;
    struct slice directory = world_path(w, "old");
    struct format_options options = standalone(&directory, 1);
    struct recorder r = recorder();
    struct message error;
    options.metadata_version = 7;
    assert_int_equal(format_directories(w->env, &options, &r.report, &error), ERR_NONE);
    assert_int_equal(r.features, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bytes_as_apache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_formatted_already, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quorum_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels_of_a_release, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
