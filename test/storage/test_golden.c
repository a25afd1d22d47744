// A data directory written by Apache Kafka 4.3.1 (test/storage/golden, a part of a node's directory
// after a clean stop): every partition opens, both as cleanly stopped and as killed; what is
// rebuilt is what Kafka wrote, byte for byte.
#include "test/storage/kit.h"

#include <dirent.h>
#include <sys/stat.h>

#include "storage/log_directory.h"
#include "storage/producer_state.h"

#define FILE_BYTES_MAX (1 << 20)

static uint8_t *load(const char *path, size_t *size) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    *size = fread(bytes, 1, FILE_BYTES_MAX, in);
    fclose(in);
    return bytes;
}

static void golden_path(char out[1024], const char *directory, const char *name) {
    snprintf(out, 1024, "%s/storage/golden/%s/%s", TEST_SOURCE_DIR, directory, name);
}

static struct slice load_golden(struct kit *kit, const char *directory, const char *name) {
    char path[1024];
    golden_path(path, directory, name);
    size_t size;
    uint8_t *bytes = load(path, &size);
    struct slice copy = arena_copy(&kit->arena, slice_of(bytes, size));
    free(bytes);
    return copy;
}

static void put_file(struct kit *kit, const char *path, struct slice bytes) {
    struct file *file;
    assert_int_equal(file_open(kit->env, slice_cstring(path), FILE_CREATE, &file), ERR_NONE);
    assert_int_equal(file_write(file, 0, bytes.data, bytes.size), ERR_NONE);
    assert_int_equal(file_sync(file), ERR_NONE);
    file_close(file);
}

// Copies a golden partition onto the simulated disk as LOG_DIRECTORY.
static void copy_partition(struct kit *kit, const char *partition) {
    char path[1024];
    golden_path(path, partition, "");
    assert_int_equal(env_make_directories(kit->env, SLICE_LITERAL(LOG_DIRECTORY)), ERR_NONE);
    DIR *listing = opendir(path);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char to[400];
        snprintf(to, sizeof to, "%s/%s", LOG_DIRECTORY, entry->d_name);
        put_file(kit, to, load_golden(kit, partition, entry->d_name));
    }
    closedir(listing);
    kit->options.topic_id = UUID_ZERO;
}

struct golden {
    const char *partition;
    int64_t start;
    int64_t end;
    int64_t records;  // between them, control records included
    int64_t stable;
    int segments;
    int aborted;
};

static const struct golden all[] = {
    {"g-none-0", 0, 65, 65, 65, 1, 0}, {"g-gzip-0", 0, 60, 60, 60, 1, 0},
    {"g-lz4-0", 0, 60, 60, 60, 1, 0},  {"g-snappy-0", 0, 60, 60, 60, 1, 0},
    {"g-zstd-0", 0, 60, 60, 60, 1, 0}, {"g-appendtime-0", 0, 20, 20, 20, 1, 0},
    {"g-txn-0", 0, 26, 26, 26, 1, 2},  {"g-txn-1", 0, 25, 25, 24, 1, 2},
    {"g-del-0", 12, 30, 30, 30, 1, 0}, {"g-compact-0", 0, 151, 11, 151, 2, 0},
    {"g-share-2", 0, 0, 0, 0, 1, 0},   {"__cluster_metadata-0", 0, 267, 267, 267, 1, 0},
};

static void check_contents(struct kit *kit, const struct golden *g) {
    assert_int_equal(log_start_offset(kit->log), g->start);
    assert_int_equal(log_end_written(kit->log), g->end);
    assert_int_equal(log_end_synced(kit->log), g->end);
    assert_int_equal(log_segment_count(kit->log), g->segments);
    assert_int_equal(kit_count_records(kit, g->start), g->records);
    assert_int_equal(log_last_stable_offset(kit->log, g->end), g->stable);
    struct aborted_transaction *list;
    int32_t count;
    enum err err;
    do {
        err = log_aborted_transactions(kit->log, g->start, g->end, &kit->arena, &list, &count);
    } while (err == ERR_WOULD_BLOCK);
    assert_int_equal(err, ERR_NONE);
    assert_int_equal(count, g->aborted);
    if (count == 2) {
        assert_int_equal(list[0].producer_id, 7);
        assert_int_equal(list[0].first_offset, 6);
        assert_int_equal(list[1].first_offset, 18);
    }
}

static void open_golden(struct kit *kit, const struct golden *g, bool clean) {
    kit->options.clean = clean;
    kit->options.log_start_offset = g->start;
    kit->options.is_metadata_log = g->partition[0] == '_' && g->partition[2] == 'c';
    kit_open(kit);
    check_contents(kit, g);
}

static void every_partition_opens_as_cleanly_stopped(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct kit kit;
        kit_init(&kit, i, MUTANT_NONE);
        copy_partition(&kit, all[i].partition);
        open_golden(&kit, &all[i], true);
        // Closing an untouched log writes nothing.
        uint64_t written = sim_counts(kit.sim).writes;
        kit_close(&kit);
        assert_int_equal(sim_counts(kit.sim).writes, written);
        open_golden(&kit, &all[i], true);
        kit_deinit(&kit);
    }
}

static void check_same(struct kit *kit, const char *partition, const char *name) {
    struct slice expected = load_golden(kit, partition, name);
    uint64_t size;
    const uint8_t *found = kit_file(kit, name, &size);
    assert_non_null(found);
    assert_int_equal(size, expected.size);
    if (size > 0) assert_memory_equal(found, expected.data, size);
}

// A killed Kafka leaves indexes with their full preallocated size, zeros at the end.
static void inflate_indexes(struct kit *kit) {
    static const char *const names[] = {
        "00000000000000000000.index", "00000000000000000000.timeindex",
        "00000000000000000150.index", "00000000000000000150.timeindex"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s", LOG_DIRECTORY, names[i]);
        uint64_t size;
        if (sim_disk_contents(kit->node, path, &size) != NULL)
            sim_disk_set_size(kit->node, path, 65536 - 4 * (i % 2));
    }
}

static void recovery_rebuilds_what_kafka_wrote(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct kit kit;
        kit_init(&kit, i, MUTANT_NONE);
        const char *partition = all[i].partition;
        copy_partition(&kit, partition);
        inflate_indexes(&kit);
        open_golden(&kit, &all[i], false);
        check_same(&kit, partition, "00000000000000000000.index");
        check_same(&kit, partition, "00000000000000000000.timeindex");
        if (all[i].aborted > 0) check_same(&kit, partition, "00000000000000000000.txnindex");
        if (all[i].segments > 1) check_same(&kit, partition, "00000000000000000150.timeindex");
        check_same(&kit, partition, "leader-epoch-checkpoint");
        kit_deinit(&kit);
    }
}

// Without its snapshot the log tells the same of its producers (compaction may have taken some
// away).
static void the_log_alone_gives_the_same_producers(void **state) {
    (void)state;
    static const struct {
        const char *partition, *snapshot;
    } cases[] = {{"g-txn-0", "00000000000000000026.snapshot"},
                 {"g-txn-1", "00000000000000000025.snapshot"},
                 {"g-none-0", "00000000000000000065.snapshot"},
                 {"g-compact-0", "00000000000000000151.snapshot"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct kit kit;
        kit_init(&kit, i, MUTANT_NONE);
        copy_partition(&kit, cases[i].partition);
        kit_open(&kit);
        uint64_t hash = log_producer_hash(kit.log);
        assert_true(hash != 0);
        kit_close(&kit);
        char path[200];
        snprintf(path, sizeof path, "%s/%s", LOG_DIRECTORY, cases[i].snapshot);
        assert_int_equal(env_unlink(kit.env, slice_cstring(path)), ERR_NONE);
        kit_open(&kit);
        assert_true(log_producer_hash(kit.log) == hash);
        // What a clean stop then writes is what Kafka wrote, but for the order of the entries.
        kit_close(&kit);
        struct slice expected = load_golden(&kit, cases[i].partition, cases[i].snapshot);
        uint64_t size;
        assert_non_null(kit_file(&kit, cases[i].snapshot, &size));
        assert_int_equal(size, expected.size);
        kit_deinit(&kit);
    }
}

static void offsets_are_found_by_time(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    copy_partition(&kit, "g-del-0");
    kit.options.log_start_offset = 12;
    kit_open(&kit);
    // Record n of the batch was made at 1795442057746 + n.
    assert_int_equal(kit_lookup(&kit, 0).offset, 12);
    assert_int_equal(kit_lookup(&kit, 0).timestamp, INT64_C(1795442057746) + 12);
    assert_int_equal(kit_lookup(&kit, INT64_C(1795442057746) + 20).offset, 20);
    assert_int_equal(kit_lookup(&kit, INT64_C(1795442057746) + 29).offset, 29);
    assert_int_equal(kit_lookup(&kit, INT64_C(1795442057746) + 30).offset, -1);
    assert_int_equal(kit_lookup(&kit, LOG_LOOKUP_MAX_TIMESTAMP).offset, 29);
    assert_int_equal(kit_lookup(&kit, LOG_LOOKUP_MAX_TIMESTAMP).leader_epoch, 0);
    kit_deinit(&kit);
}

static void the_state_files_of_the_directory_are_read(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1, MUTANT_NONE);
    static const char *const names[] = {"recovery-point-offset-checkpoint",
                                        "log-start-offset-checkpoint",
                                        "replication-offset-checkpoint", "meta.properties"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[200];
        snprintf(path, sizeof path, "data/%s", names[i]);
        put_file(&kit, path, load_golden(&kit, "", names[i]));
    }
    put_file(&kit, "data/.kafka_cleanshutdown", load_golden(&kit, "", "kafka_cleanshutdown"));
    struct log_directory *directory;
    struct message error;
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &directory, &error),
                     ERR_NONE);
    int64_t epoch;
    assert_true(log_directory_was_clean(directory, &epoch));
    assert_int_equal(epoch, 23);
    const struct meta_properties *meta = log_directory_meta(directory);
    assert_true(slice_equal_cstring(meta->cluster_id, "TaccolaGoldenCorpus001"));
    assert_int_equal(meta->node_id, 1);
    assert_true(meta->has_directory_id);
    struct slice topic = SLICE_LITERAL("g-seg");
    assert_int_equal(log_directory_offset(directory, OFFSET_RECOVERY_POINT, topic, 0), 2400);
    assert_int_equal(log_directory_offset(directory, OFFSET_HIGH_WATERMARK, topic, 0), 2400);
    assert_int_equal(log_directory_offset(directory, OFFSET_LOG_START, topic, 0), -1);
    assert_int_equal(log_directory_offset(directory, OFFSET_LOG_START, SLICE_LITERAL("g-del"), 0),
                     12);
    assert_int_equal(log_directory_offset(directory, OFFSET_RECOVERY_POINT, topic, 1), -1);
    log_directory_close(directory);
    // The clean-shutdown file is gone: a crash now is a crash.
    assert_int_equal(log_directory_open(kit.env, SLICE_LITERAL("data"), &directory, &error),
                     ERR_NONE);
    assert_false(log_directory_was_clean(directory, NULL));
    log_directory_close(directory);
    kit_deinit(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_partition_opens_as_cleanly_stopped),
        cmocka_unit_test(recovery_rebuilds_what_kafka_wrote),
        cmocka_unit_test(the_log_alone_gives_the_same_producers),
        cmocka_unit_test(offsets_are_found_by_time),
        cmocka_unit_test(the_state_files_of_the_directory_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
