// A whole node in the simulated world: starts, answers, stops, starts again; and what refuses to
// start, with its sentence.
#include "test/test.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "broker/broker.h"
#include "gen/apis.h"
#include "gen/rec/header.h"
#include "raft/format.h"
#include "sim/sim_env.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct sim_node *client_node;
    const char *const *overrides;
    bool format;
    // Of the node's life now; its memory dies with it.
    struct config *config;
    struct broker *broker;
    enum err result;
    struct message error;
    bool started;
    bool stopped;
    enum err stopped_with;
};

static void on_started(void *context) {
    ((struct world *)context)->started = true;
}

static void on_stopped(void *context, enum err result) {
    struct world *w = context;
    w->stopped = true;
    w->stopped_with = result;
}

static void say_features(struct format_report *report, const struct format_feature *features,
                         int32_t count) {
    (void)report, (void)features, (void)count;
}
static void say_formatted(struct format_report *report, struct slice directory, const char *kind,
                          const char *version) {
    (void)report, (void)directory, (void)kind, (void)version;
}
static void say_nothing(struct format_report *report) {
    (void)report;
}

static enum err format_node(struct world *w, struct env *env) {
    struct arena arena;
    arena_init(&arena);
    struct format_options options = {0};
    format_options_from_config(w->config, &arena, &options);
    options.cluster_id = SLICE_LITERAL("5L6g3nShT-eMCtK--X86sw");
    options.quorum = FORMAT_DYNAMIC_QUORUM;
    enum err e = format_use_standalone(w->config, env, &arena, &options, &w->error);
    struct format_report report = {say_features, say_formatted, say_nothing};
    if (e == ERR_NONE) e = format_directories(env, &options, &report, &w->error);
    arena_deinit(&arena);
    return e;
}

static void build(void *context) {
    struct world *w = context;
    struct env *env = sim_node_env(w->node, 0);
    w->config = config_new();
    config_add_standalone_defaults(w->config);
    w->result = ERR_NONE;
    for (const char *const *o = w->overrides; o != NULL && *o != NULL && w->result == ERR_NONE;
         o++) {
        w->result = config_add_override(w->config, slice_cstring(*o), &w->error);
    }
    if (w->result == ERR_NONE) w->result = config_finish(w->config, &w->error);
    if (w->result == ERR_NONE) w->result = config_refuse_unsupported(w->config, &w->error);
    if (w->result == ERR_NONE && w->format) w->result = format_node(w, env);
    struct broker_options options = {env, w->config, on_started, on_stopped, w};
    if (w->result == ERR_NONE) w->result = broker_new(&options, &w->broker, &w->error);
    if (w->result == ERR_NONE) broker_start(w->broker);
}

static void world_init(struct world *w, uint32_t reactors, const char *const *overrides) {
    *w = (struct world){.overrides = overrides, .format = true};
    struct sim_options options = {.seed = 11, .log_level = LOG_INFO};
    w->sim = sim_new(&options);
    struct sim_node_options node = {.name = "node", .reactors = reactors};
    struct sim_node_options client = {.name = "client"};
    w->node = sim_node_add(w->sim, &node);
    w->client_node = sim_node_add(w->sim, &client);
}

static void start(struct world *w) {
    w->started = w->stopped = false;
    message_init(&w->error);
    sim_node_call(w->node, build, w);
    w->format = false;
}

static void serve(struct world *w) {
    start(w);
    if (w->result != ERR_NONE) print_error("%s\n", w->error.text);
    assert_int_equal(w->result, ERR_NONE);
    if (!sim_run(w->sim, 10 * S, &w->started)) sim_print_log(w->sim, stderr);
    assert_true(w->started);
}

static void ask_to_stop(void *context) {
    broker_stop(((struct world *)context)->broker);
}
static void free_broker(void *context) {
    struct world *w = context;
    broker_free(w->broker);
    config_free(w->config);
}

static void stop(struct world *w) {
    sim_node_call(w->node, ask_to_stop, w);
    if (!sim_run(w->sim, 10 * S, &w->stopped)) sim_print_log(w->sim, stderr);
    assert_true(w->stopped);
    assert_int_equal(w->stopped_with, ERR_NONE);
    sim_node_call(w->node, free_broker, w);
}

// ---- A client that sends one request on one connection ----

struct client {
    struct world *world;
    struct tcp *tcp;
    struct tcp_handler handler;
    struct chain output;
    uint8_t data[65536];
    size_t size;
    bool connected;
    bool answered;  // a whole frame is there, or the connection was closed
    bool closed;
    uint16_t port;
};

static void client_connected(struct tcp_handler *handler, enum err result) {
    struct client *c = container_of(handler, struct client, handler);
    c->connected = result == ERR_NONE;
    if (c->connected) {
        assert_int_equal(tcp_send(c->tcp, &c->output), ERR_NONE);
    } else {
        c->closed = c->answered = true;
    }
}
static void client_readable(struct tcp_handler *handler) {
    struct client *c = container_of(handler, struct client, handler);
    size_t got;
    enum err e = tcp_receive(c->tcp, c->data + c->size, sizeof c->data - c->size, &got);
    if (e == ERR_WOULD_BLOCK) return;
    if (e != ERR_NONE) {
        c->closed = c->answered = true;
        tcp_set_reading(c->tcp, false);
        return;
    }
    c->size += got;
    c->answered = c->size >= 4 && c->size >= 4 + load_u32(c->data);
}
static void client_writable(struct tcp_handler *handler) {
    (void)handler;
}
static void client_build(void *context) {
    struct client *c = context;
    c->tcp = tcp_connect(sim_node_env(c->world->client_node, 0), SLICE_LITERAL("node"), c->port,
                         &c->handler);
}
static void client_free(void *context) {
    tcp_close(((struct client *)context)->tcp);
}

// The response's body, decoded into the arena; NULL when the connection was closed without one.
static void *ask(struct world *w, uint16_t port, int16_t key, int16_t version, void *request,
                 struct arena *arena) {
    const struct api_info *api = api_info_of(key);
    struct client c = {.world = w, .port = port};
    c.handler = (struct tcp_handler){client_connected, client_readable, client_writable};
    struct chain body;
    chain_init(&body);
    chain_init(&c.output);
    struct request_header header = {.request_api_key = key,
                                    .request_api_version = version,
                                    .correlation_id = 77,
                                    .client_id = SLICE_LITERAL("test")};
    struct message error;
    assert_int_equal(codec_encode(&request_header_codec, api_request_header_version(api, version),
                                  &header, &body, &error),
                     ERR_NONE);
    assert_int_equal(codec_encode(api->request, version, request, &body, &error), ERR_NONE);
    chain_u32(&c.output, (uint32_t)body.size);
    chain_move(&c.output, &body);
    sim_node_call(w->client_node, client_build, &c);
    sim_run(w->sim, 5 * S, &c.answered);
    sim_node_call(w->client_node, client_free, &c);
    chain_deinit(&c.output);
    assert_true(c.answered);
    if (c.closed) return NULL;
    struct slice frame = arena_copy(arena, slice_of(c.data + 4, c.size - 4));
    struct reader in = reader_of(frame);
    assert_int_equal(reader_i32(&in), 77);
    if (api_response_header_version(api, version) == 1) assert_int_equal(reader_u8(&in), 0);
    void *response = arena_alloc(arena, codec_size(api->response));
    assert_int_equal(codec_decode(api->response, version, &in, arena, 0, response), ERR_NONE);
    assert_int_equal(reader_left(&in), 0);
    return response;
}

static struct api_versions_request versions_request(void) {
    struct api_versions_request request;
    codec_init(&api_versions_request_codec, &request);
    request.client_software_name = SLICE_LITERAL("test");
    request.client_software_version = SLICE_LITERAL("1.0");
    return request;
}

// ---- Tests ----

static void a_node_starts_answers_stops_and_starts_again(void **state) {
    (void)state;
    static const uint32_t reactors[] = {1, 3};
    for (size_t r = 0; r < COUNT_OF(reactors); r++) {
        struct world w;
        world_init(&w, reactors[r], NULL);
        for (int round = 0; round < 3; round++) {
            serve(&w);
            struct arena arena;
            arena_init(&arena);
            struct metadata_request request;
            codec_init(&metadata_request_codec, &request);
            request.topics_count = -1;
            struct metadata_response *response = ask(&w, 9092, API_METADATA, 12, &request, &arena);
            assert_non_null(response);
            assert_int_equal(response->brokers_count, 1);
            assert_int_equal(response->brokers[0].port, 9092);
            assert_int_equal(response->controller_id, 1);
            assert_true(slice_equal_cstring(response->cluster_id, "5L6g3nShT-eMCtK--X86sw"));
            assert_int_equal(response->topics_count, 0);
            arena_deinit(&arena);
            if (round == 1) {
                sim_node_kill(w.node);
                sim_node_restart(w.node);
            } else {
                stop(&w);
            }
        }
        sim_free(w.sim);
    }
}

static void each_listener_has_its_own_apis(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 1, NULL);
    serve(&w);
    struct arena arena;
    arena_init(&arena);
    struct api_versions_request request = versions_request();
    struct api_versions_response *broker = ask(&w, 9092, API_API_VERSIONS, 4, &request, &arena);
    struct api_versions_response *controller = ask(&w, 9093, API_API_VERSIONS, 4, &request, &arena);
    assert_non_null(broker);
    assert_non_null(controller);
    bool broker_produces = false, controller_produces = false, controller_describes = false;
    for (int32_t i = 0; i < broker->api_keys_count; i++) {
        broker_produces |= broker->api_keys[i].api_key == API_PRODUCE;
    }
    for (int32_t i = 0; i < controller->api_keys_count; i++) {
        controller_produces |= controller->api_keys[i].api_key == API_PRODUCE;
        controller_describes |= controller->api_keys[i].api_key == API_DESCRIBE_QUORUM;
    }
    assert_true(broker_produces);
    assert_false(controller_produces);
    assert_true(controller_describes);
    assert_true(broker->finalized_features_epoch >= 0);
    assert_true(broker->finalized_features_count > 0);
    arena_deinit(&arena);
    stop(&w);
    sim_free(w.sim);
}

static void api_versions_rules(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 1, NULL);
    serve(&w);
    struct arena arena;
    arena_init(&arena);
    struct api_versions_request request = versions_request();
    request.client_software_name = SLICE_LITERAL("-bad-");
    struct api_versions_response *response = ask(&w, 9092, API_API_VERSIONS, 3, &request, &arena);
    assert_int_equal(response->error_code, ERR_INVALID_REQUEST);
    request = versions_request();
    request.cluster_id = SLICE_LITERAL("another");
    response = ask(&w, 9092, API_API_VERSIONS, 5, &request, &arena);
    assert_int_equal(response->error_code, ERR_REBOOTSTRAP_REQUIRED);
    for (int16_t version = 0; version <= 5; version++) {
        request = versions_request();
        response = ask(&w, 9092, API_API_VERSIONS, version, &request, &arena);
        assert_int_equal(response->error_code, ERR_NONE);
        assert_true(response->api_keys_count > 0);
        assert_int_equal(response->api_keys[0].api_key, API_PRODUCE);
        assert_int_equal(response->api_keys[0].min_version, 0);
    }
    arena_deinit(&arena);
    stop(&w);
    sim_free(w.sim);
}

static void refuses(const char *sentence, const char *const *overrides, bool format) {
    struct world w;
    world_init(&w, 1, overrides);
    w.format = format;
    start(&w);
    assert_int_not_equal(w.result, ERR_NONE);
    if (strstr(w.error.text, sentence) == NULL)
        fail_msg("\"%s\" is not in: %s", sentence, w.error.text);
    sim_free(w.sim);
}
#define REFUSES(sentence, format, ...) \
    refuses(sentence, (const char *const[]){__VA_ARGS__, NULL}, format)

static void what_cannot_start_says_why(void **state) {
    (void)state;
    REFUSES("not formatted", false, "log.dirs=data");
    REFUSES("advertised", true, "advertised.listeners=PLAINTEXT://0.0.0.0:9092");
    REFUSES("SSL", true, "listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:PLAINTEXT");
}

static void listen(void *context) {
    static struct tcp_listener listener;
    struct message error;
    assert_int_equal(tcp_listen(sim_node_env(((struct world *)context)->node, 0),
                                SLICE_LITERAL("127.0.0.1"), 9093, 1, &listener, &error),
                     ERR_NONE);
}

static void a_port_in_use(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 1, NULL);
    sim_node_call(w.node, listen, &w);
    start(&w);
    assert_int_equal(w.result, ERR_ADDRESS_IN_USE);
    assert_non_null(strstr(w.error.text, "9093"));
    sim_free(w.sim);
}

static void a_directory_of_another_node(void **state) {
    (void)state;
    struct world w;
    world_init(&w, 1, NULL);
    serve(&w);
    stop(&w);
    static const char *const other[] = {"node.id=7", NULL};
    w.overrides = other;
    start(&w);
    assert_int_equal(w.result, ERR_INVALID);
    assert_non_null(strstr(w.error.text, "node 1"));
    sim_free(w.sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_starts_answers_stops_and_starts_again),
        cmocka_unit_test(each_listener_has_its_own_apis),
        cmocka_unit_test(api_versions_rules),
        cmocka_unit_test(what_cannot_start_says_why),
        cmocka_unit_test(a_port_in_use),
        cmocka_unit_test(a_directory_of_another_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
