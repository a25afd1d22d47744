#include "test/raft/support.h"

#include "base/bytes.h"
#include "raft/snapshot.h"

static int setup(void **state) {
    *state = world_new();
    return 0;
}

static int teardown(void **state) {
    world_free(*state);
    return 0;
}

static void test_names(void **state) {
    (void)state;
    struct snapshot_id id;
    assert_true(
        snapshot_name_parse(SLICE_LITERAL("00000000000000000035-0000000002.checkpoint"), &id));
    assert_int_equal(id.end_offset, 35);
    assert_int_equal(id.epoch, 2);
    struct string_buffer path;
    string_buffer_init(&path);
    snapshot_path(SLICE_LITERAL("d"), id, ".part", &path);
    assert_string_equal(path.text, "d/00000000000000000035-0000000002.checkpoint.part");
    string_buffer_deinit(&path);
    const char *bad[] = {"00000000000000000035-0000000002.checkpoint.part",
                         "0000000000000000035-0000000002.checkpoint",
                         "-0000000000000000035-0000000002.checkpoint",
                         "+0000000000000000035-0000000002.checkpoint",
                         "99999999999999999999-0000000002.checkpoint",
                         "00000000000000000035-4294967296.checkpoint",
                         "00000000000000000035_0000000002.checkpoint",
                         "bootstrap.checkpoint",
                         ""};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(snapshot_name_parse(slice_cstring(bad[i]), &id));
}

static int count_records(struct snapshot_reader *reader, struct arena *arena) {
    int count = 0;
    struct slice batch;
    struct message error;
    enum err err;
    while ((err = snapshot_reader_next(reader, &batch, &error)) == ERR_NONE) {
        struct record_reader records;
        struct record record;
        assert_int_equal(record_reader_init(&records, batch, arena, 1 << 20), ERR_NONE);
        while ((err = record_reader_next(&records, &record)) == ERR_NONE) {
            assert_int_equal(record.value.data[0], 1);  // frame version
            count++;
        }
        assert_int_equal(err, ERR_EOF);
    }
    assert_int_equal(err, ERR_EOF);
    return count;
}

static void open_golden(struct world *w, const char *name, struct snapshot_reader *reader) {
    struct message error;
    struct slice path = world_path(w, name);
    world_write(w, path, world_golden(w, name));
    enum err err = snapshot_reader_open(w->env, path, &w->arena, reader, &error);
    if (err != ERR_NONE) fail_msg("%s: %s", name, error.text);
    assert_int_equal(snapshot_verify(w->env, path, &error), ERR_NONE);
}

static void test_reads_what_apache_wrote(void **state) {
    struct world *w = *state;
    struct snapshot_reader reader;
    char text[UUID_TEXT_SIZE];

    open_golden(w, "apache-4.3.1-dynamic", &reader);
    assert_int_equal(reader.kraft_version, 1);
    assert_int_equal(reader.voters.count, 1);
    const struct raft_voter *voter = raft_voters_find(&reader.voters, 1);
    assert_non_null(voter);
    assert_string_equal(uuid_format(voter->directory_id, text), "32FV3zAsRLWhebFxmSylVA");
    assert_int_equal(voter->endpoint_count, 1);
    assert_true(slice_equal_cstring(voter->endpoints[0].listener, "CONTROLLER"));
    assert_true(slice_equal_cstring(voter->endpoints[0].host, "127.0.0.1"));
    assert_int_equal(voter->endpoints[0].port, 21093);
    assert_int_equal(voter->kraft_version_max, 1);
    assert_true(reader.last_contained_log_timestamp_ms > 0);
    assert_int_equal(count_records(&reader, &w->arena), 0);
    snapshot_reader_close(&reader);

    open_golden(w, "apache-4.3.1-bootstrap", &reader);
    assert_int_equal(reader.kraft_version, 0);
    assert_int_equal(reader.voters.count, 0);
    assert_int_equal(reader.last_contained_log_timestamp_ms, 0);
    assert_int_equal(count_records(&reader, &w->arena), 6);
    snapshot_reader_close(&reader);

    open_golden(w, "apache-4.4.0-dynamic", &reader);
    assert_int_equal(reader.voters.count, 1);
    assert_int_equal(count_records(&reader, &w->arena), 6);
    snapshot_reader_close(&reader);

    open_golden(w, "apache-4.4.0-static", &reader);
    assert_int_equal(reader.voters.count, 0);
    assert_int_equal(count_records(&reader, &w->arena), 6);
    snapshot_reader_close(&reader);
}

// Zeroes what differs from run to run: the timestamps of a batch, its CRC, and the header's own
// timestamp.
static void blank_times(uint8_t *bytes, size_t size) {
    for (size_t at = 0; at + BATCH_HEADER_SIZE <= size;) {
        struct batch batch;
        assert_int_equal(batch_decode(slice_of(bytes + at, size - at), &batch), ERR_NONE);
        memset(bytes + at + BATCH_CRC, 0, 4);
        memset(bytes + at + BATCH_BASE_TIMESTAMP, 0, 16);
        if (at == 0) memset(bytes + BATCH_HEADER_SIZE + 13, 0, 8);
        at += batch.size;
    }
}

static void assert_same_but_for_time(struct slice a, struct slice b) {
    assert_int_equal(a.size, b.size);
    uint8_t *left = memory_alloc(a.size), *right = memory_alloc(b.size);
    memcpy(left, a.data, a.size);
    memcpy(right, b.data, b.size);
    blank_times(left, a.size);
    blank_times(right, b.size);
    assert_memory_equal(left, right, a.size);
    memory_free(left);
    memory_free(right);
}

// Copies a file of Apache's through our reader and writer: the same bytes come out, but for the
// times.
static void test_writes_apaches_bytes(void **state) {
    struct world *w = *state;
    const char *names[] = {"apache-4.3.1-dynamic", "apache-4.3.1-bootstrap", "apache-4.4.0-dynamic",
                           "apache-4.4.0-static"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct snapshot_reader reader;
        struct snapshot_writer writer;
        struct message error;
        open_golden(w, names[i], &reader);
        const struct raft_voters *voters = reader.voters.count > 0 ? &reader.voters : NULL;
        assert_int_equal(snapshot_writer_open(w->env, w->directory, SLICE_LITERAL("copy"), 0,
                                              reader.last_contained_log_timestamp_ms,
                                              reader.kraft_version, voters, &writer),
                         ERR_NONE);
        struct slice batch;
        while (snapshot_reader_next(&reader, &batch, &error) == ERR_NONE) {
            struct record_reader records;
            struct record record;
            assert_int_equal(record_reader_init(&records, batch, &w->arena, 1 << 20), ERR_NONE);
            while (record_reader_next(&records, &record) == ERR_NONE)
                assert_int_equal(snapshot_writer_append(&writer, record.value), ERR_NONE);
        }
        snapshot_reader_close(&reader);
        assert_int_equal(snapshot_writer_commit(&writer), ERR_NONE);
        snapshot_writer_close(&writer);
        assert_same_but_for_time(world_read(w, world_path(w, "copy")), world_golden(w, names[i]));
    }
}

// Whatever is cut off or changed in a file is an error, never a crash and never a shorter success.
static void test_damage_is_found(void **state) {
    struct world *w = *state;
    struct slice good = world_golden(w, "apache-4.4.0-dynamic");
    struct slice path = world_path(w, "damaged");
    struct message error;
    uint8_t *bytes = memory_alloc(good.size + 1);
    for (size_t size = 0; size < good.size; size++) {
        world_write(w, path, slice_sub(good, 0, size));
        assert_int_not_equal(snapshot_verify(w->env, path, &error), ERR_NONE);
    }
    for (size_t at = 0; at < good.size; at++) {
        memcpy(bytes, good.data, good.size);
        bytes[at] ^= 0x41;
        // The CRC does not cover the leader epoch of a batch, and we do not need it.
        size_t in_first = at, in_second = at - 166, in_third = at - 419;
        bool epoch = (in_first >= 12 && in_first < 16) || (in_second >= 12 && in_second < 16) ||
                     (in_third >= 12 && in_third < 16);
        world_write(w, path, slice_of(bytes, good.size));
        enum err err = snapshot_verify(w->env, path, &error);
        if (!epoch && err == ERR_NONE) fail_msg("byte %zu changed unnoticed", at);
    }
    memcpy(bytes, good.data, good.size);
    bytes[good.size] = 0;
    world_write(w, path, slice_of(bytes, good.size + 1));
    assert_int_equal(snapshot_verify(w->env, path, &error), ERR_CORRUPT);
    memory_free(bytes);
}

static void test_many_batches_and_leftovers(void **state) {
    struct world *w = *state;
    struct snapshot_writer writer;
    struct snapshot_reader reader;
    struct message error;
    uint8_t value[1000] = {1};
    struct snapshot_id id = {7000000, 12}, *ids;
    int32_t count;
    assert_int_equal(
        snapshot_writer_open(w->env, w->directory,
                             SLICE_LITERAL("00000000000007000000-0000000012.checkpoint"), id.epoch,
                             5, 0, NULL, &writer),
        ERR_NONE);
    for (int i = 0; i < 1500; i++)
        assert_int_equal(snapshot_writer_append(&writer, slice_of(value, sizeof value)), ERR_NONE);
    assert_int_equal(snapshot_writer_commit(&writer), ERR_NONE);
    snapshot_writer_close(&writer);

    // One given up in the middle leaves nothing; one of a crashed process is removed by the next
    // listing.
    assert_int_equal(
        snapshot_writer_open(w->env, w->directory,
                             SLICE_LITERAL("00000000000007000001-0000000012.checkpoint"), id.epoch,
                             5, 0, NULL, &writer),
        ERR_NONE);
    snapshot_writer_close(&writer);
    struct slice part = world_path(w, "00000000000008000000-0000000012.checkpoint.part");
    world_write(w, part, SLICE_LITERAL("half"));
    struct slice other = world_path(w, "something.part");
    world_write(w, other, SLICE_LITERAL("not ours"));
    assert_int_equal(snapshot_list(w->env, w->directory, &w->arena, &ids, &count), ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(snapshot_id_compare(ids[0], id), 0);
    struct env_stat stat;
    assert_int_equal(env_stat(w->env, part, &stat), ERR_NOT_FOUND);
    assert_int_equal(env_stat(w->env, other, &stat), ERR_NONE);

    struct string_buffer path;
    string_buffer_init(&path);
    snapshot_path(w->directory, id, "", &path);
    assert_int_equal(
        snapshot_reader_open(w->env, string_buffer_slice(&path), &w->arena, &reader, &error),
        ERR_NONE);
    assert_int_equal(reader.last_contained_log_timestamp_ms, 5);
    assert_int_equal(count_records(&reader, &w->arena), 1500);
    snapshot_reader_close(&reader);
    string_buffer_deinit(&path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_reads_what_apache_wrote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes_apaches_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_batches_and_leftovers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
