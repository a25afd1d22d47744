// The small state files and the names of partition directories.
#include "test/storage/kit.h"

#include "storage/log_directory.h"

static bool offsets_parse(const char *text, int32_t *count) {
    struct arena arena;
    arena_init(&arena);
    struct checkpoint_entry *entries;
    bool parsed = checkpoint_parse(slice_cstring(text), &arena, &entries, count) == ERR_NONE;
    arena_deinit(&arena);
    return parsed;
}

static void offset_checkpoints(void **state) {
    (void)state;
    int32_t count;
    assert_true(offsets_parse("0\n0\n", &count));
    assert_int_equal(count, 0);
    assert_true(offsets_parse("0\n2\na 0 5\nb-c.d_e 17 9223372036854775807\n", &count));
    assert_int_equal(count, 2);
    static const char *const bad[] = {"",
                                      "0",
                                      "0\n",
                                      "1\n0\n",
                                      "0\n1\n",
                                      "0\n-1\n",
                                      "0\n1\na 0\n",
                                      "0\n1\na b 5\n",
                                      "0\n1\na 0 x\n",
                                      "0\n1\n 0 5\n",
                                      "0\n2\na 0 5\n",
                                      "0\n1\na 0 5\nb 0 6\n",
                                      "0\n2000000000\na 0 5\n",
                                      "0\n1\na -1 5\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(offsets_parse(bad[i], &count));
}

static void epoch_checkpoints(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct epoch_entry *entries;
    int32_t count;
    assert_int_equal(
        epoch_checkpoint_parse(SLICE_LITERAL("0\n2\n0 0\n3 100\n"), &arena, &entries, &count),
        ERR_NONE);
    assert_int_equal(count, 2);
    assert_int_equal(entries[1].start_offset, 100);
    struct string_buffer out;
    string_buffer_init(&out);
    epoch_checkpoint_format(entries, count, &out);
    assert_string_equal(out.text, "0\n2\n0 0\n3 100\n");
    string_buffer_deinit(&out);
    static const char *const bad[] = {"0\n1\n-1 0\n", "0\n2\n3 0\n3 5\n", "0\n2\n3 9\n4 5\n",
                                      "0\n1\n3\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(epoch_checkpoint_parse(slice_cstring(bad[i]), &arena, &entries, &count),
                         ERR_CORRUPT);
    arena_deinit(&arena);
}

static void meta_properties(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct meta_properties meta;
    struct message error;
    const char *good =
        "#\n#Mon Nov 23 13:53:45 UTC "
        "2026\nnode.id=1\ndirectory.id=BLt684rdQgONrB0qip1I1g\nversion=1\ncluster.id=X\n";
    assert_int_equal(meta_properties_parse(slice_cstring(good), &arena, &meta, &error), ERR_NONE);
    assert_int_equal(meta.node_id, 1);
    assert_true(meta.has_directory_id);
    struct string_buffer out;
    string_buffer_init(&out);
    meta_properties_format(&meta, &out);
    struct meta_properties again;
    assert_int_equal(meta_properties_parse(string_buffer_slice(&out), &arena, &again, &error),
                     ERR_NONE);
    assert_true(uuid_equal(meta.directory_id, again.directory_id));
    string_buffer_deinit(&out);
    static const char *const bad[] = {
        "",
        "version=1\n",
        "version=2\ncluster.id=X\nnode.id=1\n",
        "version=1\ncluster.id=X\n",
        "version=1\nnode.id=1\n",
        "version=1\ncluster.id=X\nnode.id=-3\n",
        "version=1\ncluster.id=X\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\n",
        "version=1\ncluster.id=X\nnode.id=1\ndirectory.id=short\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        message_init(&error);
        assert_int_equal(meta_properties_parse(slice_cstring(bad[i]), &arena, &meta, &error),
                         ERR_CORRUPT);
        assert_true(error.text[0] != '\0');
    }
    arena_deinit(&arena);
}

static void clean_shutdown(void **state) {
    (void)state;
    int64_t epoch;
    assert_int_equal(
        clean_shutdown_parse(SLICE_LITERAL("{\"version\":0,\"brokerEpoch\":23}"), &epoch),
        ERR_NONE);
    assert_int_equal(epoch, 23);
    assert_int_equal(clean_shutdown_parse(
                         SLICE_LITERAL(" { \"brokerEpoch\" : 7 , \"version\" : 0 } \n"), &epoch),
                     ERR_NONE);
    assert_int_equal(epoch, 7);
    assert_int_equal(clean_shutdown_parse(SLICE_LITERAL(""), &epoch), ERR_NONE);
    assert_int_equal(epoch, -1);
    assert_int_equal(
        clean_shutdown_parse(SLICE_LITERAL("{\"version\":1,\"brokerEpoch\":23}"), &epoch),
        ERR_CORRUPT);
    assert_int_equal(clean_shutdown_parse(SLICE_LITERAL("{"), &epoch), ERR_CORRUPT);
    struct string_buffer out;
    string_buffer_init(&out);
    clean_shutdown_format(23, &out);
    assert_string_equal(out.text, "{\"version\":0,\"brokerEpoch\":23}");
    string_buffer_deinit(&out);
}

static void names(void **state) {
    (void)state;
    struct partition_directory p;
    assert_true(partition_directory_parse(SLICE_LITERAL("a-b-3"), &p));
    assert_true(slice_equal_cstring(p.topic, "a-b"));
    assert_int_equal(p.partition, 3);
    assert_int_equal(p.kind, PARTITION_DIRECTORY_CURRENT);
    assert_true(partition_directory_parse(
        SLICE_LITERAL("g-gone-0.2238bae7dac04158be7a8a12607b6e38-delete"), &p));
    assert_true(slice_equal_cstring(p.topic, "g-gone"));
    assert_int_equal(p.kind, PARTITION_DIRECTORY_DELETED);
    assert_true(
        partition_directory_parse(SLICE_LITERAL("t-1.2238bae7dac04158be7a8a12607b6e38-stray"), &p));
    assert_int_equal(p.kind, PARTITION_DIRECTORY_STRAY);
    assert_true(partition_directory_parse(
        SLICE_LITERAL("t-1.2238bae7dac04158be7a8a12607b6e38-future"), &p));
    assert_int_equal(p.kind, PARTITION_DIRECTORY_FUTURE);
    static const char *const none[] = {
        "",     "a", "-1", "a-", "a-x", "a-1x", "a-01", "a--", "meta.properties", "a-99999999999",
        "a b-1"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_false(partition_directory_parse(slice_cstring(none[i]), &p));
    // The longest topic name still fits into a name of 255 bytes.
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    char topic[250];
    memset(topic, 'x', sizeof topic);
    struct string_buffer name;
    string_buffer_init(&name);
    partition_directory_format_suffixed(kit.env, slice_of(topic, 249), 123,
                                        PARTITION_DIRECTORY_STRAY, &name);
    assert_int_equal(name.size, 255);
    assert_true(partition_directory_parse(string_buffer_slice(&name), &p));
    assert_int_equal(p.partition, 123);
    assert_int_equal(p.kind, PARTITION_DIRECTORY_STRAY);
    string_buffer_deinit(&name);
    kit_deinit(&kit);
}

static void a_directory_is_locked_and_remembers(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    struct log_directory *first, *second;
    struct message error;
    message_init(&error);
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data/"), &first, &error), ERR_NONE);
    assert_null(log_directory_meta(first));
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &second, &error),
                     ERR_EXISTS);
    assert_true(error.text[0] != '\0');
    struct meta_properties meta = {.cluster_id = SLICE_LITERAL("cluster"), .node_id = 4};
    meta.directory_id = env_random_uuid(kit.env);
    meta.has_directory_id = true;
    assert_int_equal(log_directory_write_meta(first, &meta), ERR_NONE);
    struct checkpoint_entry entries[] = {
        {SLICE_LITERAL("b"), 1, 10}, {SLICE_LITERAL("a"), 11, 20}, {SLICE_LITERAL("a"), 2, 30}};
    assert_int_equal(log_directory_write_offsets(first, OFFSET_LOG_START, entries, 3), ERR_NONE);
    assert_int_equal(log_directory_mark_clean(first, 99), ERR_NONE);
    log_directory_close(first);
    assert_int_equal(log_directory_open_read_only(kit.env, SLICE_LITERAL("data"), &first, &error),
                     ERR_NONE);
    log_directory_close(first);
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &first, &error), ERR_NONE);
    int64_t epoch;
    assert_true(log_directory_was_clean(first, &epoch));
    assert_int_equal(epoch, 99);
    assert_int_equal(log_directory_meta(first)->node_id, 4);
    assert_int_equal(log_directory_offset(first, OFFSET_LOG_START, SLICE_LITERAL("a"), 2), 30);
    assert_int_equal(log_directory_offset(first, OFFSET_LOG_START, SLICE_LITERAL("a"), 11), 20);
    assert_int_equal(log_directory_offset(first, OFFSET_LOG_START, SLICE_LITERAL("b"), 1), 10);
    assert_int_equal(log_directory_offset(first, OFFSET_LOG_START, SLICE_LITERAL("b"), 2), -1);
    log_directory_close(first);
    assert_int_equal(
        log_directory_open_read_only(kit.env, SLICE_LITERAL("nowhere"), &first, &error),
        ERR_NOT_FOUND);
    kit_deinit(&kit);
}

static void the_reserve_keeps_state_files_writable(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    struct log_directory *directory;
    struct message error;
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &directory, &error),
                     ERR_NONE);
    assert_int_equal(log_directory_take_reserve(directory), ERR_NONE);
    assert_true(log_directory_has_reserve(directory));
    sim_disk_set_capacity(kit.node, sim_disk_used(kit.node));
    struct slice text = SLICE_LITERAL("state");
    assert_int_equal(env_replace_file(kit.env, SLICE_LITERAL("data/x"), text), ERR_NO_SPACE);
    assert_int_equal(log_directory_replace_file(directory, SLICE_LITERAL("x"), text), ERR_NONE);
    assert_false(log_directory_has_reserve(directory));
    sim_disk_set_capacity(kit.node, sim_disk_used(kit.node));
    assert_int_equal(log_directory_take_reserve(directory), ERR_NO_SPACE);
    assert_int_equal(log_directory_replace_file(directory, SLICE_LITERAL("x"), text), ERR_NO_SPACE);
    sim_disk_set_capacity(kit.node, UINT64_C(1) << 30);
    assert_int_equal(log_directory_take_reserve(directory), ERR_NONE);
    log_directory_fail(directory, ERR_IO);
    assert_int_equal(log_directory_replace_file(directory, SLICE_LITERAL("x"), text),
                     ERR_FAILED_DISK);
    log_directory_close(directory);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offset_checkpoints),
        cmocka_unit_test(epoch_checkpoints),
        cmocka_unit_test(meta_properties),
        cmocka_unit_test(clean_shutdown),
        cmocka_unit_test(names),
        cmocka_unit_test(a_directory_is_locked_and_remembers),
        cmocka_unit_test(the_reserve_keeps_state_files_writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
