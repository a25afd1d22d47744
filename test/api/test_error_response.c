// Every API that is served can say that a whole request failed, in every version: the answer
// encodes, and decodes to the error.
#include "test/test.h"

#include "api/error_response.h"
#include "base/memory.h"

// Does the JSON of the response name the code at least once?
static bool says(const struct api_info *api, int16_t version, const void *response, int16_t code) {
    struct string_buffer json;
    string_buffer_init(&json);
    codec_json(api->response, version, response, &json);
    char field[40];
    snprintf(field, sizeof field, "rrorCode\":%d", code);
    bool found = strstr(json.text, field) != NULL;
    string_buffer_deinit(&json);
    return found;
}

// One element in each array that Kafka's error answers repeat.
static void name_something(struct api_call *call) {
    struct arena *arena = call->arena;
    switch (call->api->key) {
        case API_PRODUCE: {
            struct produce_request *r = call->request;
            r->topic_data = produce_request_topic_data_new(arena, 1);
            r->topic_data_count = 1;
            r->topic_data[0].name = SLICE_LITERAL("t");
            r->topic_data[0].partition_data = produce_request_partition_data_new(arena, 2);
            r->topic_data[0].partition_data_count = 2;
            return;
        }
        case API_FETCH: {
            struct fetch_request *r = call->request;
            r->topics = fetch_request_topic_new(arena, 1);
            r->topics_count = 1;
            r->topics[0].topic = SLICE_LITERAL("t");
            r->topics[0].partitions = fetch_request_partition_new(arena, 1);
            r->topics[0].partitions_count = 1;
            return;
        }
        case API_LIST_OFFSETS: {
            struct list_offsets_request *r = call->request;
            r->topics = list_offsets_request_topic_new(arena, 1);
            r->topics_count = 1;
            r->topics[0].partitions = list_offsets_request_partition_new(arena, 1);
            r->topics[0].partitions_count = 1;
            return;
        }
        case API_METADATA: {
            struct metadata_request *r = call->request;
            r->topics = metadata_request_topic_new(arena, 1);
            r->topics_count = 1;
            r->topics[0].name = SLICE_LITERAL("t");
            return;
        }
        case API_CREATE_TOPICS: {
            struct create_topics_request *r = call->request;
            r->topics = create_topics_request_topic_new(arena, 1);
            r->topics_count = 1;
            return;
        }
        case API_DELETE_TOPICS: {
            struct delete_topics_request *r = call->request;
            r->topics = delete_topics_request_topic_new(arena, 1);
            r->topics_count = 1;
            r->topic_names = arena_zalloc(arena, 1, sizeof(struct slice));
            r->topic_names[0] = SLICE_LITERAL("t");
            r->topic_names_count = 1;
            if (call->version >= 6) r->topics[0].name = SLICE_LITERAL("t");
            return;
        }
        default:
            return;
    }
}

static const int16_t with_elements[] = {API_PRODUCE,  API_FETCH,         API_LIST_OFFSETS,
                                        API_METADATA, API_CREATE_TOPICS, API_DELETE_TOPICS};

static void check(const struct api_info *api, int16_t version) {
    struct arena arena;
    arena_init(&arena);
    struct api_call call = {.api = api, .version = version, .arena = &arena};
    call.request = arena_alloc(&arena, codec_size(api->request));
    call.response = arena_alloc(&arena, codec_size(api->response));
    codec_init(api->request, call.request);
    codec_init(api->response, call.response);
    name_something(&call);
    bool filled = error_response_fill(&call, ERR_UNKNOWN_SERVER_ERROR, SLICE_LITERAL("a sentence"));
    if (!filled) fail_msg("%s has no error response", api->name);
    struct chain out;
    chain_init(&out);
    struct message error;
    message_init(&error);
    if (codec_encode(api->response, version, call.response, &out, &error) != ERR_NONE) {
        fail_msg("%s version %d: %s", api->name, version, error.text);
    }
    uint8_t *bytes = arena_alloc(&arena, out.size);
    assert_true(chain_copy_out(&out, bytes));
    struct reader in = reader_of(slice_of(bytes, out.size));
    void *decoded = arena_alloc(&arena, codec_size(api->response));
    assert_int_equal(codec_decode(api->response, version, &in, &arena, 0, decoded), ERR_NONE);
    assert_int_equal(reader_left(&in), 0);
    for (size_t i = 0; i < COUNT_OF(with_elements); i++) {
        if (with_elements[i] == api->key) assert_true(says(api, version, decoded, -1));
    }
    chain_deinit(&out);
    arena_deinit(&arena);
}

static void every_api_can_say_that_it_failed(void **state) {
    (void)state;
    int checked = 0;
    for (int16_t key = 0; key <= API_KEY_MAX; key++) {
        const struct api_info *api = api_info_of(key);
        if (api == NULL || api_handler_of(key) == NULL) continue;
        for (int16_t v = api->version_min; v <= api->version_max; v++, checked++)
            check(api, v);
    }
    assert_true(checked > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_api_can_say_that_it_failed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
