// The controller over the real metadata log in the simulated world: first start, restarts, crashes
// at any disk operation, a full disk, snapshots. What was answered is there afterwards, what was
// refused is not, and the image is what the log says.
#include "test/test.h"

#include "base/memory.h"
#include "controller/controller.h"
#include "metadata/features.h"
#include "raft/format.h"
#include "sim/sim_env.h"

#define S          UINT64_C(1000000000)
#define CLUSTER    "4vWWAMQmSZiL5Sz1LxswAw"
#define DIRECTORY  "data"
#define TOPICS_MAX 400

enum fate { FATE_NONE, FATE_ASKED, FATE_CREATED, FATE_REFUSED };

// A machine and what the test knows of it: outside of the simulated machine's memory.
struct machine {
    struct sim *sim;
    struct sim_node *node;
    struct config *config;
    struct raft_endpoint endpoint;
    struct uuid directory_id;
    int incarnation;
    int publish_delay;  // passes before an image counts as published: 0 at once

    // Inside of the machine; void after a crash.
    struct log_directory *directory;
    struct raft *raft;
    struct controller *controller;
    struct image *image;

    struct controller_host host;
    bool is_to_crash;  // the disk may stop working at any point now
    bool is_active, is_failed, is_stopped, is_registered, is_unfenced;
    int publishes;
    int64_t published_offset;
    uint64_t first_hash;  // of the first image of this start
    int64_t broker_epoch;
    struct message sentence;
    enum fate topics[TOPICS_MAX];
    int next_topic;
};

// ---- The host ----

static void on_publish(struct controller_host *host, struct image *image) {
    struct machine *m = container_of(host, struct machine, host);
    assert_true(image_offset(image) > m->published_offset);
    assert_true(image_metadata_version(image) > 0);
    if (m->publishes++ == 0) m->first_hash = image_hash(image);
    m->published_offset = image_offset(image);
    image_unref(m->image);
    m->image = image_ref(image);
    controller_published(m->controller, image_offset(image));
}

static void on_active(struct controller_host *host, int32_t epoch) {
    struct machine *m = container_of(host, struct machine, host);
    assert_true(epoch > 0);
    assert_false(m->is_active);
    assert_true(m->publishes > 0);
    m->is_active = true;
}

static void on_failed(struct controller_host *host, enum err error, struct slice sentence) {
    struct machine *m = container_of(host, struct machine, host);
    assert_int_not_equal(error, ERR_NONE);
    m->is_failed = true;
    message_set(&m->sentence, "%.*s", SLICE_PRINT(sentence));
}

// ---- Steps, run as the machine ----

static void ignore_formatted(struct format_report *report, struct slice directory, const char *kind,
                             const char *version) {
    (void)report, (void)directory, (void)kind, (void)version;
}
static void ignore_bootstrap(struct format_report *report, const struct format_feature *features,
                             int32_t count) {
    (void)report, (void)features, (void)count;
}
static void ignore_nothing(struct format_report *report) {
    (void)report;
}

static void do_format(void *context) {
    struct machine *m = context;
    struct slice directory = SLICE_LITERAL(DIRECTORY);
    struct format_report report = {ignore_bootstrap, ignore_formatted, ignore_nothing};
    struct raft_voter voter = {.id = 1,
                               .directory_id = m->directory_id,
                               .endpoints = &m->endpoint,
                               .endpoint_count = 1,
                               .kraft_version_max = 1};
    struct format_options options = {.directories = &directory,
                                     .directory_count = 1,
                                     .metadata_directory = directory,
                                     .node_id = 1,
                                     .cluster_id = SLICE_LITERAL(CLUSTER),
                                     .controller_listener = m->endpoint.listener,
                                     .quorum = FORMAT_DYNAMIC_QUORUM,
                                     .initial_voters = {&voter, 1}};
    struct message error;
    message_init(&error);
    if (format_directories(sim_node_env(m->node, 0), &options, &report, &error) != ERR_NONE) {
        fail_msg("%s", error.text);
    }
}

static void do_open(void *context) {
    struct machine *m = context;
    struct env *env = sim_node_env(m->node, 0);
    m->is_active = m->is_failed = m->is_stopped = m->is_registered = m->is_unfenced = false;
    m->publishes = 0;
    m->published_offset = -1;
    m->image = NULL;
    m->controller = NULL;
    message_init(&m->sentence);
    enum err err = log_directory_open(env, SLICE_LITERAL(DIRECTORY), &m->directory, &m->sentence);
    if (err != ERR_NONE) {
        if (!m->is_to_crash) fail_msg("%s", m->sentence.text);
        return;
    }
    struct raft_options options = {.directory = m->directory,
                                   .endpoints = &m->endpoint,
                                   .endpoint_count = 1,
                                   .snapshot_bytes = 4096,
                                   .snapshot_ms = 0,
                                   .segment_bytes = 1 << 30,
                                   .segment_ms = 604800000,
                                   .retention_bytes = -1,
                                   .retention_ms = -1};
    err = raft_open(env, &options, &m->raft, &m->sentence);
    if (err != ERR_NONE) {
        if (!m->is_to_crash) fail_msg("%s", m->sentence.text);
        return;
    }
    struct controller_options own = {m->config, SLICE_LITERAL(CLUSTER)};
    m->controller = controller_new(env, &own, m->raft, &m->host);
    controller_start(m->controller);
}

// A call whose request and response live until it is done.
struct call {
    struct controller_call call;
    struct arena arena;
    struct machine *machine;
    int number;
    union {
        struct create_topics_request create;
        struct broker_registration_request registration;
        struct broker_heartbeat_request heartbeat;
        struct delete_topics_request removal;
    } request;
    union {
        struct create_topics_response create;
        struct broker_registration_response registration;
        struct broker_heartbeat_response heartbeat;
        struct delete_topics_response removal;
    } response;
};

static struct call *call_new(struct machine *m, enum api_key api,
                             void (*done)(struct controller_call *call, enum err result)) {
    struct call *call = memory_zalloc(1, sizeof *call);
    const struct api_info *info = api_info_of((int16_t)api);
    arena_init(&call->arena);
    codec_init(info->request, &call->request);
    codec_init(info->response, &call->response);
    call->machine = m;
    call->call = (struct controller_call){.api = api,
                                          .version = info->version_max,
                                          .request = &call->request,
                                          .arena = &call->arena,
                                          .response = &call->response,
                                          .done = done};
    return call;
}

static void call_free(struct call *call) {
    arena_deinit(&call->arena);
    memory_free(call);
}

static void registered(struct controller_call *done, enum err result) {
    struct call *call = container_of(done, struct call, call);
    assert_true(result == ERR_NONE || call->machine->is_to_crash);
    if (result == ERR_NONE) {
        call->machine->is_registered = true;
        call->machine->broker_epoch = call->response.registration.broker_epoch;
    }
    call_free(call);
}

static void do_register(void *context) {
    struct machine *m = context;
    struct call *call = call_new(m, API_BROKER_REGISTRATION, registered);
    struct broker_registration_request *r = &call->request.registration;
    r->broker_id = 1;
    r->cluster_id = SLICE_LITERAL(CLUSTER);
    store_i32(r->incarnation_id.bytes, ++m->incarnation);
    r->features = broker_registration_request_feature_new(&call->arena, FEATURE_COUNT);
    r->features_count = FEATURE_COUNT;
    for (int i = 0; i < FEATURE_COUNT; i++) {
        const struct feature_row *row = feature_row((enum feature_id)i);
        r->features[i].name = slice_cstring(row->name);
        r->features[i].min_supported_version = row->min;
        r->features[i].max_supported_version = row->max;
    }
    r->log_dirs = &m->directory_id;
    r->log_dirs_count = 1;
    r->previous_broker_epoch = m->broker_epoch;
    controller_call(m->controller, &call->call);
}

static void beaten(struct controller_call *done, enum err result) {
    struct call *call = container_of(done, struct call, call);
    assert_int_equal(result, ERR_NONE);
    call->machine->is_unfenced = !call->response.heartbeat.is_fenced;
    call_free(call);
}

static void beat(struct machine *m, bool want_shut_down) {
    struct call *call = call_new(m, API_BROKER_HEARTBEAT, beaten);
    call->request.heartbeat.broker_id = 1;
    call->request.heartbeat.broker_epoch = m->broker_epoch;
    call->request.heartbeat.current_metadata_offset = m->published_offset;
    call->request.heartbeat.want_shut_down = want_shut_down;
    call->request.heartbeat.cordoned_log_dirs_count = 0;
    controller_call(m->controller, &call->call);
}

static void do_unfence(void *context) {
    beat(context, false);
}
static void do_fence(void *context) {
    beat(context, true);
}

static struct slice topic_name(struct call *call, int number) {
    return arena_format(&call->arena, "topic-%d", number);
}

static void created(struct controller_call *done, enum err result) {
    struct call *call = container_of(done, struct call, call);
    struct machine *m = call->machine;
    bool is_created = result == ERR_NONE && call->response.create.topics[0].error_code == 0;
    m->topics[call->number] = is_created ? FATE_CREATED : FATE_REFUSED;
    // Who was answered sees it.
    if (is_created) assert_non_null(image_topic(m->image, topic_name(call, call->number)));
    call_free(call);
}

static void do_create(void *context) {
    struct machine *m = context;
    for (int i = 0; i < 3 && m->next_topic < TOPICS_MAX; i++) {
        struct call *call = call_new(m, API_CREATE_TOPICS, created);
        call->number = m->next_topic++;
        struct create_topics_request *r = &call->request.create;
        r->topics = create_topics_request_topic_new(&call->arena, 1);
        r->topics_count = 1;
        r->topics[0].name = topic_name(call, call->number);
        r->topics[0].num_partitions = 3;
        r->topics[0].replication_factor = 1;
        m->topics[call->number] = FATE_ASKED;
        controller_call(m->controller, &call->call);
        assert_int_equal(m->topics[call->number], FATE_ASKED);  // never inside the call
    }
}

static void stopped(void *context) {
    ((struct machine *)context)->is_stopped = true;
}
static void do_stop(void *context) {
    struct machine *m = context;
    controller_stop(m->controller, stopped, m);
}

static void do_free(void *context) {
    struct machine *m = context;
    controller_free(m->controller);
    image_unref(m->image);
    log_directory_close(m->directory);
    m->controller = NULL;
}

// ---- Machines ----

static void run(struct machine *m, void (*step)(void *context)) {
    if (!sim_node_is_running(m->node)) return;
    sim_node_call(m->node, step, m);
    if (sim_node_is_running(m->node)) sim_settle(m->sim, S / 2);
}

static struct machine *machine_new(uint64_t seed) {
    struct machine *m = calloc(1, sizeof *m);
    m->sim = sim_new(&(struct sim_options){.seed = seed, .log_level = LOG_WARN});
    m->node = sim_node_add(m->sim, &(struct sim_node_options){.name = "a", .disk_bytes = 64 << 20});
    m->endpoint =
        (struct raft_endpoint){SLICE_LITERAL("CONTROLLER"), SLICE_LITERAL("127.0.0.1"), 9093};
    m->directory_id = (struct uuid){{9, 9, 9}};
    m->broker_epoch = -1;
    m->host = (struct controller_host){on_publish, on_active, on_failed};
    m->config = config_new();
    assert_int_equal(config_set(m->config, SLICE_LITERAL("node.id"), SLICE_LITERAL("1"),
                                CONFIG_SOURCE_STATIC_BROKER, NULL),
                     ERR_NONE);
    config_add_standalone_defaults(m->config);
    struct message error;
    message_init(&error);
    if (config_finish(m->config, &error) != ERR_NONE) fail_msg("%s", error.text);
    run(m, do_format);
    return m;
}

static void machine_free(struct machine *m) {
    sim_free(m->sim);
    config_free(m->config);
    free(m);
}

static void start(struct machine *m) {
    run(m, do_open);
    if (!sim_node_is_running(m->node)) return;
    if (!m->is_active) fail_msg("not active: %s", m->sentence.text);
    run(m, do_register);
    if (sim_node_is_running(m->node)) run(m, do_unfence);
    if (sim_node_is_running(m->node)) assert_true(m->is_unfenced);
}

static void stop(struct machine *m) {
    run(m, do_fence);
    run(m, do_stop);
    assert_true(m->is_stopped);
    run(m, do_free);
}

static void check_ledger(const struct machine *m) {
    for (int i = 0; i < m->next_topic; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%d", i);
        const struct topic_image *topic = image_topic(m->image, slice_cstring(name));
        if (m->topics[i] == FATE_CREATED && topic == NULL) fail_msg("%s is lost", name);
        if (m->topics[i] == FATE_REFUSED && topic != NULL) fail_msg("%s was refused", name);
        if (topic == NULL) continue;
        assert_int_equal(topic->partition_count, 3);
        for (int32_t p = 0; p < 3; p++)
            assert_int_equal(topic_partition(topic, p)->leader, 1);
    }
}

// ---- Tests ----

static void test_first_start(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    assert_int_equal(image_metadata_version(m->image), METADATA_VERSION_DEFAULT);
    // LeaderChange, KRaftVersion, Voters, nine bootstrap records: then the registration.
    assert_int_equal(m->broker_epoch, 12);
    run(m, do_create);
    assert_int_equal(m->topics[2], FATE_CREATED);
    check_ledger(m);
    stop(m);
    machine_free(m);
}

static void test_replayed_state_is_the_live_one(void **state) {
    (void)state;
    struct machine *m = machine_new(2);
    start(m);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < 4; i++)
            run(m, do_create);
        run(m, do_fence);
        uint64_t hash = image_hash(m->image);
        run(m, do_stop);
        run(m, do_free);
        run(m, do_open);
        assert_true(m->is_active);
        assert_true(m->first_hash == hash);  // through a snapshot or the log alone
        run(m, do_register);
        run(m, do_unfence);
        check_ledger(m);
    }
    stop(m);
    machine_free(m);
}

static void test_crashes_at_any_disk_operation(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 60; n++) {
        struct machine *m = machine_new(100 + n);
        start(m);
        sim_crash_at_disk_operation(m->node, n, n % 2 == 0, NULL, NULL);
        for (int i = 0; i < 6; i++)
            run(m, do_create);
        if (sim_node_is_running(m->node)) sim_node_kill(m->node);
        sim_crash_at_disk_operation(m->node, 0, false, NULL, NULL);
        m->broker_epoch = -1;
        sim_node_restart(m->node);
        start(m);
        check_ledger(m);
        run(m, do_create);
        assert_int_equal(m->topics[m->next_topic - 1], FATE_CREATED);
        machine_free(m);
    }
}

static void test_crashes_during_the_first_start(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 40; n++) {
        struct machine *m = machine_new(200 + n);
        m->is_to_crash = true;
        sim_crash_at_disk_operation(m->node, n, n % 2 == 0, NULL, NULL);
        run(m, do_open);
        if (m->is_active) run(m, do_register);
        if (sim_node_is_running(m->node)) sim_node_kill(m->node);
        sim_crash_at_disk_operation(m->node, 0, false, NULL, NULL);
        m->is_to_crash = false;
        m->broker_epoch = -1;
        sim_node_restart(m->node);
        start(m);
        assert_int_equal(image_metadata_version(m->image), METADATA_VERSION_DEFAULT);
        run(m, do_create);
        assert_int_equal(m->topics[0], FATE_CREATED);
        machine_free(m);
    }
}

static void test_a_full_disk(void **state) {
    (void)state;
    struct machine *m = machine_new(3);
    start(m);
    run(m, do_create);
    sim_disk_set_capacity(m->node, sim_disk_used(m->node));
    for (int i = 0; i < 20; i++)
        run(m, do_create);
    assert_false(m->is_failed);
    check_ledger(m);
    sim_disk_set_capacity(m->node, 64 << 20);
    sim_settle(m->sim, 60 * S);
    run(m, do_create);
    assert_int_equal(m->topics[m->next_topic - 1], FATE_CREATED);
    check_ledger(m);
    sim_node_power_cut(m->node);
    m->broker_epoch = -1;
    sim_node_restart(m->node);
    start(m);
    check_ledger(m);
    machine_free(m);
}

static void test_a_failed_sync_stops_the_node(void **state) {
    (void)state;
    struct machine *m = machine_new(4);
    start(m);
    sim_disk_fail(m->node, SIM_FAULT_SYNC, 1);
    run(m, do_create);
    assert_true(m->is_failed);
    assert_true(strlen(m->sentence.text) > 0);
    assert_int_equal(m->topics[0], FATE_REFUSED);
    machine_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_start),
        cmocka_unit_test(test_replayed_state_is_the_live_one),
        cmocka_unit_test(test_crashes_at_any_disk_operation),
        cmocka_unit_test(test_crashes_during_the_first_start),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_a_failed_sync_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
