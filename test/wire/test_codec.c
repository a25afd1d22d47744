// The codec on messages chosen for their corners: versions, null, defaults, tags, and bytes that
// lie. What the messages of Apache Kafka's own classes look like is in test_codec_corpus.c.
#include "test/test.h"

#include "gen/apis.h"
#include "gen/messages.h"
#include "gen/rec/group.h"
#include "gen/rec/header.h"
#include "gen/rec/metadata.h"
#include "gen/rec/raft.h"
#include "wire/codec.h"

struct fixture {
    struct arena arena;
    struct chain out;
    struct message error;
};

static int setup(void **state) {
    struct fixture *f = test_calloc(1, sizeof *f);
    arena_init(&f->arena);
    chain_init(&f->out);
    message_init(&f->error);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    arena_deinit(&f->arena);
    chain_deinit(&f->out);
    test_free(f);
    return 0;
}

static struct slice encoded(struct fixture *f, const struct codec_struct *type, int16_t version,
                            const void *message) {
    size_t size = 0;
    chain_consume(&f->out, f->out.size);  // what an encode that failed may have left
    assert_int_equal(codec_encoded_size(type, version, message, &size, &f->error), ERR_NONE);
    assert_int_equal(codec_encode(type, version, message, &f->out, &f->error), ERR_NONE);
    assert_int_equal(f->out.size, size);
    uint8_t *bytes = arena_alloc(&f->arena, size);
    assert_true(chain_copy_out(&f->out, bytes));
    return slice_of(bytes, size);
}

static enum err decode(struct fixture *f, const struct codec_struct *type, int16_t version,
                       struct slice bytes, void *message) {
    struct reader in = reader_of(bytes);
    enum err err = codec_decode(type, version, &in, &f->arena, 0, message);
    if (!err) assert_int_equal(reader_left(&in), 0);
    return err;
}

#define BYTES(...) slice_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void assert_bytes(struct slice bytes, struct slice expected) {
    assert_int_equal(bytes.size, expected.size);
    assert_memory_equal(bytes.data, expected.data, expected.size);
}

static void test_defaults(void **state) {
    (void)state;
    struct fetch_request request;
    codec_init(&fetch_request_codec, &request);
    assert_true(slice_is_null(request.cluster_id));
    assert_false(slice_is_null(request.rack_id));
    assert_int_equal(request.rack_id.size, 0);
    assert_int_equal(request.replica_id, -1);
    assert_int_equal(request.replica_state.replica_epoch, -1);
    assert_int_equal(request.max_bytes, INT32_MAX);
    assert_int_equal(request.topics_count, 0);
    struct metadata_request metadata;
    codec_init(&metadata_request_codec, &metadata);
    assert_true(metadata.allow_auto_topic_creation);
}

static void test_classic_bytes(void **state) {
    struct fixture *f = *state;
    struct heartbeat_request request;
    codec_init(&heartbeat_request_codec, &request);
    request.group_id = SLICE_LITERAL("g");
    request.generation_id = 258;
    request.member_id = SLICE_LITERAL("m1");
    struct slice bytes = encoded(f, &heartbeat_request_codec, 3, &request);
    assert_bytes(bytes, BYTES(0, 1, 'g', 0, 0, 1, 2, 0, 2, 'm', '1', 0xff, 0xff));
    // Version 2 has no instance id.
    assert_int_equal(encoded(f, &heartbeat_request_codec, 2, &request).size, bytes.size - 2);
}

static void test_flexible_bytes(void **state) {
    struct fixture *f = *state;
    struct heartbeat_request request;
    codec_init(&heartbeat_request_codec, &request);
    request.group_id = SLICE_LITERAL("g");
    request.generation_id = -1;
    struct unknown_tag tags[] = {{3, SLICE_LITERAL("abc")}, {200, SLICE_EMPTY}};
    request.unknown_tags = (struct unknown_tags){tags, 2};
    struct slice bytes = encoded(f, &heartbeat_request_codec, 4, &request);
    assert_bytes(bytes,
                 BYTES(2, 'g', 0xff, 0xff, 0xff, 0xff, 1, 0, 2, 3, 3, 'a', 'b', 'c', 200, 1, 0));
    struct heartbeat_request back;
    assert_int_equal(decode(f, &heartbeat_request_codec, 4, bytes, &back), ERR_NONE);
    assert_true(codec_equal(&heartbeat_request_codec, &request, &back));
    tags[1].tag = 201;
    assert_false(codec_equal(&heartbeat_request_codec, &request, &back));
    // A classic version has no place for tags.
    assert_int_equal(codec_encode(&heartbeat_request_codec, 3, &request, &f->out, &f->error),
                     ERR_UNSUPPORTED_VERSION);
}

static void test_known_and_unknown_tags_merge(void **state) {
    struct fixture *f = *state;
    struct api_versions_response response;
    codec_init(&api_versions_response_codec, &response);
    response.finalized_features_epoch = 7;  // tag 1
    response.zk_migration_ready = true;     // tag 3
    struct unknown_tag tags[] = {{4, SLICE_LITERAL("x")}};
    response.unknown_tags = (struct unknown_tags){tags, 1};
    struct slice bytes = encoded(f, &api_versions_response_codec, 4, &response);
    assert_bytes(bytes,
                 BYTES(0, 0, 1, 0, 0, 0, 0, 3, 1, 8, 0, 0, 0, 0, 0, 0, 0, 7, 3, 1, 1, 4, 1, 'x'));
    struct api_versions_response back;
    assert_int_equal(decode(f, &api_versions_response_codec, 4, bytes, &back), ERR_NONE);
    assert_int_equal(back.finalized_features_epoch, 7);
    assert_true(back.zk_migration_ready);
    assert_int_equal(back.unknown_tags.count, 1);
}

static void test_header_keeps_client_id_classic(void **state) {
    struct fixture *f = *state;
    struct request_header header = {3, 12, 5, SLICE_LITERAL("me"), {0}};
    struct slice bytes = encoded(f, &request_header_codec, 2, &header);
    assert_bytes(bytes, BYTES(0, 3, 0, 12, 0, 0, 0, 5, 0, 2, 'm', 'e', 0));
    header.client_id = SLICE_NULL;
    bytes = encoded(f, &request_header_codec, 1, &header);
    assert_bytes(bytes, BYTES(0, 3, 0, 12, 0, 0, 0, 5, 0xff, 0xff));
}

static void test_null_only_where_allowed(void **state) {
    struct fixture *f = *state;
    struct metadata_request request;
    codec_init(&metadata_request_codec, &request);
    request.topics_count = -1;  // all topics, from version 1
    assert_bytes(encoded(f, &metadata_request_codec, 1, &request), BYTES(0xff, 0xff, 0xff, 0xff));
    assert_int_equal(codec_encode(&metadata_request_codec, 0, &request, &f->out, &f->error),
                     ERR_INVALID);
    struct slice null_array = BYTES(0xff, 0xff, 0xff, 0xff);
    assert_int_equal(decode(f, &metadata_request_codec, 0, null_array, &request), ERR_CORRUPT);
    assert_int_equal(decode(f, &metadata_request_codec, 1, null_array, &request), ERR_NONE);
    assert_int_equal(request.topics_count, -1);
    struct heartbeat_request heartbeat;
    struct slice null_group = BYTES(0, 0, 0, 0, 0, 1, 0, 0);
    assert_int_equal(decode(f, &heartbeat_request_codec, 4, null_group, &heartbeat), ERR_CORRUPT);
}

static void test_null_struct(void **state) {
    struct fixture *f = *state;
    struct describe_topic_partitions_request request;
    codec_init(&describe_topic_partitions_request_codec, &request);
    struct slice bytes = encoded(f, &describe_topic_partitions_request_codec, 0, &request);
    assert_bytes(bytes, BYTES(1, 0, 0, 7, 0xd0, 0xff, 0));
    request.cursor = describe_topic_partitions_request_cursor_new(&f->arena, 1);
    request.cursor->topic_name = SLICE_LITERAL("t");
    request.cursor->partition_index = 9;
    bytes = encoded(f, &describe_topic_partitions_request_codec, 0, &request);
    assert_bytes(bytes, BYTES(1, 0, 0, 7, 0xd0, 1, 2, 't', 0, 0, 0, 9, 0, 0));
    struct describe_topic_partitions_request back;
    assert_int_equal(decode(f, &describe_topic_partitions_request_codec, 0, bytes, &back),
                     ERR_NONE);
    assert_int_equal(back.cursor->partition_index, 9);
    assert_true(codec_equal(&describe_topic_partitions_request_codec, &request, &back));
}

static void test_version_lacks_field(void **state) {
    struct fixture *f = *state;
    struct init_producer_id_request request;
    codec_init(&init_producer_id_request_codec, &request);
    request.producer_id = 5;  // from version 3
    assert_int_equal(codec_encode(&init_producer_id_request_codec, 2, &request, &f->out, &f->error),
                     ERR_UNSUPPORTED_VERSION);
    assert_string_equal(f->error.text, "Attempted to write a non-default producerId at version 2");
    request.producer_id = -1;
    assert_true(encoded(f, &init_producer_id_request_codec, 2, &request).size > 0);
    // An ignorable one is dropped, and is its default again on the other side.
    struct metadata_response response, back;
    codec_init(&metadata_response_codec, &response);
    response.throttle_time_ms = 100;
    struct slice bytes = encoded(f, &metadata_response_codec, 0, &response);
    memset(&back, 0xaa, sizeof back);
    assert_int_equal(decode(f, &metadata_response_codec, 0, bytes, &back), ERR_NONE);
    assert_int_equal(back.throttle_time_ms, 0);
    assert_int_equal(back.controller_id, -1);
}

static void test_unknown_version(void **state) {
    struct fixture *f = *state;
    struct fetch_request request;
    codec_init(&fetch_request_codec, &request);
    for (int16_t version = -1; version < 200; version++) {
        if (version >= 4 && version <= 18) continue;
        assert_int_equal(decode(f, &fetch_request_codec, version, SLICE_EMPTY, &request),
                         ERR_UNSUPPORTED_VERSION);
        assert_int_equal(codec_encode(&fetch_request_codec, version, &request, &f->out, NULL),
                         ERR_UNSUPPORTED_VERSION);
    }
}

static void test_string_too_long(void **state) {
    struct fixture *f = *state;
    uint8_t *text = arena_zalloc(&f->arena, 32768, 1);
    struct heartbeat_request request;
    codec_init(&heartbeat_request_codec, &request);
    request.group_id = slice_of(text, 32768);
    assert_int_equal(codec_encode(&heartbeat_request_codec, 4, &request, &f->out, &f->error),
                     ERR_INVALID);
    request.group_id.size = 32767;
    struct slice bytes = encoded(f, &heartbeat_request_codec, 4, &request);
    assert_int_equal(decode(f, &heartbeat_request_codec, 4, bytes, &request), ERR_NONE);
    assert_int_equal(request.group_id.size, 32767);
}

static void test_records_from_a_chain(void **state) {
    struct fixture *f = *state;
    struct fetch_response response, back;
    codec_init(&fetch_response_codec, &response);
    response.responses = fetch_response_response_new(&f->arena, 1);
    response.responses_count = 1;
    response.responses[0].partitions = fetch_response_partition_new(&f->arena, 1);
    response.responses[0].partitions_count = 1;
    struct chain records;
    chain_init(&records);
    chain_append(&records, "some records", 12);
    response.responses[0].partitions[0].records.chain = &records;
    struct slice bytes = encoded(f, &fetch_response_codec, 13, &response);
    assert_int_equal(records.size, 0);  // moved
    assert_int_equal(decode(f, &fetch_response_codec, 13, bytes, &back), ERR_NONE);
    struct slice found = back.responses[0].partitions[0].records.bytes;
    assert_true(slice_equal_cstring(found, "some records"));
    assert_true(found.data >= bytes.data && found.data < bytes.data + bytes.size);  // not copied
    chain_deinit(&records);
}

// Every prefix of a good message is an error, and none reads beyond its end (the sanitizer sees
// that).
static void test_every_prefix_is_refused(void **state) {
    struct fixture *f = *state;
    struct register_broker_record record, back;
    codec_init(&register_broker_record_codec, &record);
    record.end_points = register_broker_record_end_point_new(&f->arena, 2);
    record.end_points_count = 2;
    record.end_points[0].name = SLICE_LITERAL("PLAINTEXT");
    record.end_points[1].host = SLICE_LITERAL("host");
    struct uuid log_dirs[2] = {{{1}}, {{2}}};
    record.log_dirs = log_dirs;
    record.log_dirs_count = 2;
    struct slice bytes = encoded(f, &register_broker_record_codec, 4, &record);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *copy = test_malloc(size + 1);
        memcpy(copy, bytes.data, size);
        assert_int_equal(decode(f, &register_broker_record_codec, 4, slice_of(copy, size), &back),
                         ERR_CORRUPT);
        test_free(copy);
    }
    assert_int_equal(decode(f, &register_broker_record_codec, 4, bytes, &back), ERR_NONE);
    assert_true(codec_equal(&register_broker_record_codec, &record, &back));
}

static void test_array_bombs(void **state) {
    struct fixture *f = *state;
    struct metadata_request request;
    size_t before = f->arena.total;
    // Counts of two billion, and of one more than could fit.
    assert_int_equal(decode(f, &metadata_request_codec, 1, BYTES(0x7f, 0xff, 0xff, 0xff), &request),
                     ERR_CORRUPT);
    assert_int_equal(decode(f, &metadata_request_codec, 1, BYTES(0, 0, 0, 2, 0, 0, 0), &request),
                     ERR_CORRUPT);
    assert_int_equal(
        decode(f, &metadata_request_codec, 9, BYTES(0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0), &request),
        ERR_CORRUPT);
    // So many tagged fields cannot be either.
    assert_int_equal(decode(f, &metadata_request_codec, 9,
                            BYTES(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07, 9, 0), &request),
                     ERR_CORRUPT);
    assert_int_equal(f->arena.total, before);
}

// Elements that are small on the wire and large in memory are held by the caller's limit.
static void test_memory_limit(void **state) {
    struct fixture *f = *state;
    enum { ELEMENTS = 10000 };
    uint8_t *bytes = arena_zalloc(&f->arena, 4 + 2 * ELEMENTS, 1);
    bytes[2] = ELEMENTS >> 8, bytes[3] = ELEMENTS & 0xff;  // empty topic names
    struct slice input = slice_of(bytes, 4 + 2 * ELEMENTS);
    struct metadata_request request;
    size_t needed = ELEMENTS * sizeof *request.topics;
    size_t before = f->arena.total;
    struct reader in = reader_of(input);
    assert_int_equal(codec_decode(&metadata_request_codec, 0, &in, &f->arena, needed - 1, &request),
                     ERR_LIMIT);
    assert_int_equal(f->arena.total, before);
    in = reader_of(input);
    assert_int_equal(
        codec_decode(&metadata_request_codec, 0, &in, &f->arena, needed + 15, &request), ERR_NONE);
    assert_int_equal(request.topics_count, ELEMENTS);
}

static void test_tags_that_lie(void **state) {
    struct fixture *f = *state;
    struct response_header header;
    const struct codec_struct *type = &response_header_codec;
    struct slice twice = BYTES(0, 0, 0, 1, 2, 5, 0, 5, 0);
    struct slice falling = BYTES(0, 0, 0, 1, 2, 5, 0, 4, 0);
    struct slice beyond = BYTES(0, 0, 0, 1, 1, 5, 9, 0);
    struct slice good = BYTES(0, 0, 0, 1, 2, 5, 1, 'x', 6, 0);
    assert_int_equal(decode(f, type, 1, twice, &header), ERR_CORRUPT);
    assert_int_equal(decode(f, type, 1, falling, &header), ERR_CORRUPT);
    assert_int_equal(decode(f, type, 1, beyond, &header), ERR_CORRUPT);
    assert_int_equal(decode(f, type, 1, good, &header), ERR_NONE);
    assert_int_equal(header.unknown_tags.count, 2);
    // A known tag has to fill its size: finalized_features_epoch with seven and with nine bytes.
    struct api_versions_response response;
    struct slice seven = BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 7, 0, 0, 0, 0, 0, 0, 7);
    struct slice nine = BYTES(0, 0, 1, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0);
    assert_int_equal(decode(f, &api_versions_response_codec, 4, seven, &response), ERR_CORRUPT);
    assert_int_equal(decode(f, &api_versions_response_codec, 4, nine, &response), ERR_CORRUPT);
}

static void test_json(void **state) {
    struct fixture *f = *state;
    struct string_buffer json;
    string_buffer_init(&json);
    struct client_quota_record record;
    codec_init(&client_quota_record_codec, &record);
    record.entity = client_quota_record_entity_new(&f->arena, 1);
    record.entity_count = 1;
    record.entity[0].entity_type = SLICE_LITERAL("user");
    record.entity[0].entity_name = SLICE_NULL;
    record.key = SLICE_LITERAL("producer_byte_rate");
    record.value = 1e7;
    codec_json(&client_quota_record_codec, 0, &record, &json);
    assert_string_equal(json.text,
                        "{\"entity\":[{\"entityType\":\"user\",\"entityName\":null}],"
                        "\"key\":\"producer_byte_rate\",\"value\":1.0E7,\"remove\":false}");
    string_buffer_clear(&json);

    struct voters_record voters;
    codec_init(&voters_record_codec, &voters);
    voters.voters = voters_record_voter_new(&f->arena, 1);
    voters.voters_count = 1;
    codec_json(&voters_record_codec, 0, &voters, &json);
    assert_string_equal(json.text,
                        "{\"version\":0,\"voters\":[{\"voterId\":0,\"voterDirectoryId\":"
                        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"endpoints\":[],\"kRaftVersionFeature\":"
                        "{\"minSupportedVersion\":0,\"maxSupportedVersion\":0}}]}");
    string_buffer_deinit(&json);
}

static void test_json_doubles(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.0, "0.0"},
                 {-0.0, "-0.0"},
                 {1.0, "1.0"},
                 {0.1, "0.1"},
                 {123456.75, "123456.75"},
                 {9999999.0, "9999999.0"},
                 {1e7, "1.0E7"},
                 {1.5e300, "1.5E300"},
                 {0.001, "0.001"},
                 {0.0009999, "9.999E-4"},
                 {-2.5e-7, "-2.5E-7"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e308 * 10, "\"Infinity\""}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct string_buffer json;
        string_buffer_init(&json);
        struct client_quota_record record;
        codec_init(&client_quota_record_codec, &record);
        record.value = cases[i].value;
        codec_json(&client_quota_record_codec, 0, &record, &json);
        char expected[100];
        snprintf(expected, sizeof expected,
                 "{\"entity\":[],\"key\":\"\",\"value\":%s,\"remove\":false}", cases[i].text);
        assert_string_equal(json.text, expected);
        string_buffer_deinit(&json);
    }
}

// Every message of every version: defaults encode, decode to themselves, and are no smaller than
// the table's smallest size.
static void test_all_defaults_round_trip(void **state) {
    struct fixture *f = *state;
    int cases = 0;
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        const struct codec_struct *type = codec_messages[i];
        for (int16_t v = codec_version_min(type); v <= codec_version_max(type); v++) {
            void *message = codec_new(type, &f->arena, 1);
            void *back = codec_new(type, &f->arena, 1);
            struct slice bytes = encoded(f, type, v, message);
            assert_true(bytes.size >= codec_size_min(type, v));
            assert_int_equal(decode(f, type, v, bytes, back), ERR_NONE);
            assert_true(codec_equal(type, message, back));
            cases++;
        }
    }
    assert_true(cases > 700);
}

static void test_apis(void **state) {
    (void)state;
    assert_null(api_info_of(-1));
    assert_null(api_info_of(5));
    assert_null(api_info_of(API_KEY_MAX + 1));
    int count = 0;
    for (int16_t key = 0; key <= API_KEY_MAX; key++) {
        const struct api_info *info = api_info_of(key);
        if (info == NULL) continue;
        count++;
        assert_int_equal(info->key, key);
        assert_int_equal(codec_version_max(info->request), info->version_max);
        assert_int_equal(codec_version_max(info->response), info->version_max);
    }
    assert_int_equal(count, 91);
    const struct api_info *produce = api_info_of(API_PRODUCE);
    assert_int_equal(produce->advertised_min, 0);
    assert_int_equal(produce->version_min, 3);
    assert_int_equal(api_info_of(API_INIT_PRODUCER_ID)->advertised_max, 5);
    assert_int_equal(api_info_of(API_SASL_HANDSHAKE)->flexible_from, INT16_MAX);
    assert_int_equal(api_request_header_version(produce, 8), 1);
    assert_int_equal(api_request_header_version(produce, 9), 2);
    assert_int_equal(api_response_header_version(produce, 9), 1);
    assert_int_equal(api_response_header_version(api_info_of(API_API_VERSIONS), 4), 0);
    assert_ptr_equal(codec_message_of(SLICE_LITERAL("FetchRequest")), &fetch_request_codec);
    assert_null(codec_message_of(SLICE_LITERAL("Fetch")));
}

static void test_record_types(void **state) {
    (void)state;
    assert_ptr_equal(metadata_record_codec(METADATA_PARTITION), &partition_record_codec);
    assert_int_equal(METADATA_PARTITION, 3);
    assert_null(metadata_record_codec(6));
    assert_ptr_equal(group_key_codec(1), &offset_commit_key_codec);
    assert_ptr_equal(group_value_codec(GROUP_METADATA), &group_metadata_value_codec);
    assert_null(group_value_codec(18));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test_setup_teardown(test_classic_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flexible_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_known_and_unknown_tags_merge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_keeps_client_id_classic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_only_where_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_null_struct, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_lacks_field, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_string_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_from_a_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_prefix_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_array_bombs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tags_that_lie, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test(test_json_doubles),
        cmocka_unit_test_setup_teardown(test_all_defaults_round_trip, setup, teardown),
        cmocka_unit_test(test_apis),
        cmocka_unit_test(test_record_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
