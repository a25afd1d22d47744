// The metadata log of a sole voter in the simulated world: what was committed is there after any
// crash, once and in order.
#include "test/test.h"

#include "base/memory.h"
#include "raft/format.h"
#include "raft/raft.h"
#include "raft/snapshot.h"
#include "raft/quorum_state.h"
#include "sim/sim_env.h"

#define S             UINT64_C(1000000000)
#define VALUES_MAX    5000
#define LOG_DIRECTORY "data"
#define METADATA_LOG  LOG_DIRECTORY "/" METADATA_LOG_NAME
#define FIRST_SEGMENT METADATA_LOG "/00000000000000000000.log"

// A machine and what the test knows of it; outside of the simulated machine's memory, so it
// survives crashes.
struct machine {
    struct sim *sim;
    struct sim_node *node;
    struct raft_options options;
    struct raft_voter static_voter;
    struct raft_endpoint endpoint;
    enum format_quorum quorum;
    bool is_to_crash;

    // Inside of the machine; void after a crash.
    struct log_directory *directory;
    struct raft *raft;

    struct raft_listener listener;
    struct raft_snapshot_op snapshot;
    struct raft_stop_op stop;
    enum err open_result;
    struct message sentence;  // of the last failure
    bool is_leader, failed, stopped, snapshot_done, snapshot_is_wanted;
    enum err snapshot_result, stop_result;
    int32_t epoch;
    int64_t high_watermark, leader_end;
    int lost_calls;
    int64_t lost_from;

    // Values are numbers. `state` is what the state machine holds: replayed, then appended.
    int64_t state_offsets[VALUES_MAX];
    uint32_t state[VALUES_MAX];
    int state_count;
    uint32_t next_value;       // never used before
    uint32_t committed_value;  // the largest that was committed
    int snapshot_at;           // next index of `state` that the snapshot gives
    uint8_t snapshot_bytes[16];
};

static struct machine *of(struct raft_listener *listener) {
    return container_of(listener, struct machine, listener);
}

static uint32_t value_of(struct slice bytes) {
    uint32_t value;
    assert_int_equal(bytes.size, 1 + sizeof value);
    memcpy(&value, bytes.data + 1, sizeof value);
    return value;
}

static struct slice bytes_of(uint32_t value, uint8_t out[16]) {
    out[0] = 1;
    memcpy(out + 1, &value, sizeof value);
    return slice_of(out, 1 + sizeof value);
}

static void on_reset(struct raft_listener *listener, int64_t last_offset, int32_t epoch) {
    (void)last_offset;
    (void)epoch;
    of(listener)->state_count = 0;
}

static void add_value(struct machine *m, uint32_t value, int64_t offset) {
    assert_true(m->state_count < VALUES_MAX);
    m->state[m->state_count] = value;
    m->state_offsets[m->state_count++] = offset;
}

static enum err on_record(struct raft_listener *listener, const struct raft_record *record,
                          struct message *error) {
    (void)error;
    add_value(of(listener), value_of(record->value), record->offset);
    return ERR_NONE;
}

static void on_snapshot_loaded(struct raft_listener *listener) {
    (void)listener;
}

static void on_leader(struct raft_listener *listener, int32_t epoch, int64_t end_offset) {
    struct machine *m = of(listener);
    assert_true(epoch > m->epoch);
    m->is_leader = true;
    m->epoch = epoch;
    m->leader_end = end_offset;
}

static void on_committed(struct raft_listener *listener, int64_t high_watermark) {
    struct machine *m = of(listener);
    assert_true(high_watermark > m->high_watermark);
    m->high_watermark = high_watermark;
    for (int i = 0; i < m->state_count; i++)
        if (m->state_offsets[i] < high_watermark && m->state[i] > m->committed_value)
            m->committed_value = m->state[i];
}

static void on_lost(struct raft_listener *listener, int64_t end_offset, enum err error) {
    struct machine *m = of(listener);
    assert_int_equal(error, ERR_NO_SPACE);
    m->lost_calls++;
    m->lost_from = end_offset;
    while (m->state_count > 0 && m->state_offsets[m->state_count - 1] >= end_offset)
        m->state_count--;
}

static void on_snapshot_wanted(struct raft_listener *listener) {
    of(listener)->snapshot_is_wanted = true;
}

static void on_failed(struct raft_listener *listener, enum err error, struct slice sentence) {
    struct machine *m = of(listener);
    assert_int_not_equal(error, ERR_NONE);
    m->failed = true;
    message_set(&m->sentence, "%.*s", SLICE_PRINT(sentence));
}

// ---- Steps, run as the machine ----

static void no_bootstrap(struct format_report *report, const struct format_feature *features,
                         int32_t count) {
    (void)report;
    (void)features;
    (void)count;
}
static void no_formatted(struct format_report *report, struct slice directory, const char *kind,
                         const char *version) {
    (void)report;
    (void)directory;
    (void)kind;
    (void)version;
}
static void no_nothing(struct format_report *report) {
    (void)report;
}

static void do_format(void *context) {
    struct machine *m = context;
    struct env *env = sim_node_env(m->node, 0);
    struct slice directory = SLICE_LITERAL(LOG_DIRECTORY);
    struct format_report report = {no_bootstrap, no_formatted, no_nothing};
    struct raft_voter voter = {.id = 1,
                               .directory_id = {{9, 9, 9}},
                               .endpoints = &m->endpoint,
                               .endpoint_count = 1,
                               .kraft_version_max = 1};
    struct format_options options = {.directories = &directory,
                                     .directory_count = 1,
                                     .metadata_directory = directory,
                                     .node_id = 1,
                                     .cluster_id = SLICE_LITERAL("4vWWAMQmSZiL5Sz1LxswAw"),
                                     .controller_listener = m->endpoint.listener,
                                     .quorum = m->quorum,
                                     .initial_voters = {&voter, 1}};
    struct message error;
    message_init(&error);
    enum err err = format_directories(env, &options, &report, &error);
    if (err != ERR_NONE && !m->is_to_crash) fail_msg("%s", error.text);
}

static void do_open(void *context) {
    struct machine *m = context;
    struct env *env = sim_node_env(m->node, 0);
    m->is_leader = m->failed = m->stopped = m->snapshot_done = m->snapshot_is_wanted = false;
    m->high_watermark = -1;
    m->raft = NULL;
    message_init(&m->sentence);
    m->open_result =
        log_directory_open(env, SLICE_LITERAL(LOG_DIRECTORY), &m->directory, &m->sentence);
    if (m->open_result != ERR_NONE) return;
    m->options.directory = m->directory;
    m->open_result = raft_open(env, &m->options, &m->raft, &m->sentence);
    if (m->open_result == ERR_NONE) raft_start(m->raft, &m->listener);
}

static void do_append(void *context) {
    struct machine *m = context;
    if (m->raft == NULL || !raft_is_leader(m->raft)) return;
    // A batch of two, and one of one.
    for (int batch = 0; batch < 2; batch++) {
        uint8_t bytes[2][16];
        struct slice values[2];
        int32_t count = batch == 0 ? 2 : 1;
        int64_t last;
        int64_t first = raft_end_offset(m->raft);
        for (int32_t i = 0; i < count; i++)
            values[i] = bytes_of(m->next_value + (uint32_t)i, bytes[i]);
        if (raft_append(m->raft, values, count, &last) != ERR_NONE) return;
        assert_int_equal(last, first + count - 1);
        for (int32_t i = 0; i < count; i++)
            add_value(m, m->next_value++, first + i);
    }
}

static bool next_of_snapshot(struct raft_snapshot_op *op, struct slice *value) {
    struct machine *m = container_of(op, struct machine, snapshot);
    if (m->snapshot_at >= m->state_count) return false;
    if (m->state_offsets[m->snapshot_at] >= op->end_offset) return false;
    *value = bytes_of(m->state[m->snapshot_at++], m->snapshot_bytes);
    return true;
}

static void snapshot_done(struct raft_snapshot_op *op, enum err result) {
    struct machine *m = container_of(op, struct machine, snapshot);
    m->snapshot_done = true;
    m->snapshot_is_wanted = false;
    m->snapshot_result = result;
}

static void do_snapshot(void *context) {
    struct machine *m = context;
    if (m->raft == NULL || !raft_is_leader(m->raft)) return;
    m->snapshot_at = 0;
    m->snapshot_done = false;
    m->snapshot = (struct raft_snapshot_op){
        .end_offset = m->high_watermark, .next = next_of_snapshot, .done = snapshot_done};
    m->snapshot_result = raft_snapshot_start(m->raft, &m->snapshot);
    if (m->snapshot_result != ERR_NONE) m->snapshot_done = true;
}

static void stop_done(struct raft_stop_op *op, enum err result) {
    struct machine *m = container_of(op, struct machine, stop);
    m->stopped = true;
    m->stop_result = result;
}

static void do_stop(void *context) {
    struct machine *m = context;
    if (m->raft == NULL) return;
    m->stop.done = stop_done;
    raft_stop_start(m->raft, &m->stop);
}

static void do_free(void *context) {
    struct machine *m = context;
    if (m->raft != NULL) raft_free(m->raft);
    m->raft = NULL;
    if (m->open_result == ERR_NONE || m->directory != NULL) log_directory_close(m->directory);
    m->directory = NULL;
}

// ---- Machines ----

static void run(struct machine *m, void (*step)(void *context)) {
    if (!sim_node_is_running(m->node)) return;
    sim_node_call(m->node, step, m);
    if (sim_node_is_running(m->node)) sim_settle(m->sim, S / 2);
}

static struct machine *machine_of(uint64_t seed, enum mutant mutant, enum format_quorum quorum) {
    struct machine *m = calloc(1, sizeof *m);
    m->sim = sim_new(&(struct sim_options){.seed = seed, .mutant = mutant, .log_level = LOG_DEBUG});
    m->node =
        sim_node_add(m->sim, &(struct sim_node_options){.name = "a", .disk_bytes = 256 << 20});
    m->endpoint =
        (struct raft_endpoint){SLICE_LITERAL("CONTROLLER"), SLICE_LITERAL("127.0.0.1"), 9093};
    m->quorum = quorum;
    m->options = (struct raft_options){.endpoints = &m->endpoint,
                                       .endpoint_count = 1,
                                       .snapshot_bytes = 20 << 20,
                                       .snapshot_ms = 3600000,
                                       .segment_bytes = 1 << 30,
                                       .segment_ms = 604800000,
                                       .retention_bytes = -1,
                                       .retention_ms = -1};
    m->listener = (struct raft_listener){on_reset,     on_record, on_snapshot_loaded, on_leader,
                                         on_committed, on_lost,   on_snapshot_wanted, on_failed};
    m->next_value = 1;
    return m;
}

static struct machine *machine_new(uint64_t seed) {
    struct machine *m = machine_of(seed, MUTANT_NONE, FORMAT_DYNAMIC_QUORUM);
    run(m, do_format);
    return m;
}

static void machine_free(struct machine *m) {
    sim_free(m->sim);
    free(m);
}

static void start(struct machine *m) {
    run(m, do_open);
    if (!sim_node_is_running(m->node)) return;
    if (m->open_result != ERR_NONE) fail_msg("open: %s", m->sentence.text);
}

static void stop(struct machine *m) {
    run(m, do_stop);
    assert_true(m->stopped);
    assert_int_equal(m->stop_result, ERR_NONE);
    run(m, do_free);
}

// What the state machine holds is 1, 2, 3 … without a gap, and at least all that was committed.
static void check_state(const struct machine *m) {
    for (int i = 0; i < m->state_count; i++)
        if (m->state[i] != (uint32_t)i + 1) fail_msg("value %u at %d", m->state[i], i);
    if ((uint32_t)m->state_count < m->committed_value)
        fail_msg("%d values, but %u were committed", m->state_count, m->committed_value);
}

static struct slice contents(struct machine *m, const char *path) {
    uint64_t size = 0;
    const uint8_t *bytes = sim_disk_contents(m->node, path, &size);
    return bytes == NULL ? SLICE_NULL : slice_of(bytes, size);
}

// ---- Tests ----

static void test_first_start(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    assert_true(m->is_leader);
    assert_int_equal(m->epoch, 1);
    assert_int_equal(m->leader_end, 3);      // LeaderChange, KRaftVersion, Voters
    assert_int_equal(m->high_watermark, 3);  // and they are committed
    const struct slice *values;
    int32_t count;
    raft_bootstrap_records(m->raft, &values, &count);
    assert_int_equal(count, 6);
    assert_true(
        slice_ends_with(raft_bootstrap_source(m->raft), SLICE_LITERAL("/bootstrap.checkpoint")));
    // The same 174 bytes that Apache Kafka begins a log with, but for times and port.
    struct slice log = contents(m, FIRST_SEGMENT);
    assert_int_equal(log.size, 174);
    struct batch batch;
    assert_int_equal(batch_decode(log, &batch), ERR_NONE);
    assert_true(batch_is_control(&batch));
    assert_int_equal(batch.leader_epoch, 1);
    assert_int_equal(batch.record_count, 3);
    struct slice file = contents(m, METADATA_LOG "/" QUORUM_STATE_NAME);
    assert_true(
        slice_equal_cstring(file,
                            "{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,\"votedDirectoryId\":"
                            "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}"));
    struct arena arena;
    struct raft_description d;
    arena_init(&arena);
    raft_describe(m->raft, &arena, &d);
    assert_int_equal(d.leader_id, 1);
    assert_int_equal(d.leader_epoch, 1);
    assert_int_equal(d.high_watermark, 3);
    assert_int_equal(d.kraft_version, 1);
    assert_int_equal(d.voter_count, 1);
    assert_int_equal(d.voters[0].log_end_offset, 3);
    assert_int_equal(d.nodes.voters[0].endpoints[0].port, 9093);
    arena_deinit(&arena);
    stop(m);
    machine_free(m);
}

static void test_static_voters(void **state) {
    (void)state;
    struct machine *m = machine_of(1, MUTANT_NONE, FORMAT_STATIC_QUORUM);
    run(m, do_format);
    m->static_voter = (struct raft_voter){.id = 1, .endpoints = &m->endpoint, .endpoint_count = 1};
    m->options.static_voters = (struct raft_voters){&m->static_voter, 1};
    for (int32_t epoch = 1; epoch <= 2; epoch++) {
        start(m);
        assert_true(m->is_leader);
        assert_int_equal(m->epoch, epoch);
        assert_int_equal(m->leader_end, epoch);  // LeaderChange alone
        struct slice file = contents(m, METADATA_LOG "/" QUORUM_STATE_NAME);
        assert_true(slice_starts_with(file, SLICE_LITERAL("{\"clusterId\":\"\",\"leaderId\":1,")));
        assert_true(slice_ends_with(
            file, SLICE_LITERAL("\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}")));
        stop(m);
    }
    machine_free(m);
}

static void test_group_commit(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    uint64_t syncs = sim_counts(m->sim).syncs;
    for (int i = 0; i < 100; i++)
        sim_node_call(m->node, do_append, m);
    assert_int_equal(m->high_watermark, 3);  // nothing is committed inside of the pass
    sim_settle(m->sim, S / 2);
    assert_int_equal(m->high_watermark, 303);
    assert_true(sim_counts(m->sim).syncs - syncs <= 4);
    stop(m);
    start(m);
    assert_int_equal(m->epoch, 2);
    assert_int_equal(m->leader_end, 304);
    assert_int_equal(m->state_count, 300);
    check_state(m);
    stop(m);
    machine_free(m);
}

static void test_batch_limit(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    size_t size = RAFT_BATCH_BYTES_MAX;
    struct slice value = slice_of(calloc(size, 1), size);
    int64_t last, end = raft_end_offset(m->raft);
    assert_int_equal(raft_append(m->raft, &value, 1, &last), ERR_LIMIT);
    assert_int_equal(raft_end_offset(m->raft), end);
    free((void *)value.data);
    run(m, do_append);
    assert_int_equal(m->high_watermark, end + 3);
    stop(m);
    assert_int_equal(m->committed_value, 3);
    machine_free(m);
}

static void test_snapshot_and_restart(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    run(m, do_append);
    run(m, do_snapshot);
    assert_true(m->snapshot_done);
    assert_int_equal(m->snapshot_result, ERR_NONE);
    assert_int_equal(raft_snapshot_end_offset(m->raft), 6);
    assert_false(
        slice_is_null(contents(m, METADATA_LOG "/00000000000000000006-0000000001.checkpoint")));
    run(m, do_snapshot);
    assert_int_equal(m->snapshot_result, ERR_EXISTS);
    run(m, do_append);
    stop(m);
    start(m);
    assert_int_equal(m->state_count, 6);
    assert_int_equal(m->state_offsets[0], 5);  // of the snapshot
    assert_int_equal(m->state_offsets[3], 6);  // of the log
    check_state(m);
    // Nothing but the LeaderChange is new: that too is part of the next snapshot.
    run(m, do_snapshot);
    assert_int_equal(m->snapshot_result, ERR_NONE);
    assert_int_equal(raft_snapshot_end_offset(m->raft), 10);
    stop(m);
    start(m);
    check_state(m);
    assert_int_equal(m->state_count, 6);
    assert_int_equal(m->epoch, 3);
    stop(m);
    machine_free(m);
}

static void test_snapshot_is_wanted(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    m->options.snapshot_bytes = 2000;
    start(m);
    for (int i = 0; i < 20 && !m->snapshot_is_wanted; i++)
        run(m, do_append);
    assert_true(m->snapshot_is_wanted);
    assert_true(m->state_count > 20 && m->state_count < 50);
    run(m, do_snapshot);
    assert_int_equal(m->snapshot_result, ERR_NONE);
    assert_false(m->snapshot_is_wanted);
    // By time.
    run(m, do_append);
    sim_run(m->sim, 3599 * S, NULL);
    assert_false(m->snapshot_is_wanted);
    sim_run(m->sim, 3 * S, NULL);
    assert_true(m->snapshot_is_wanted);
    stop(m);
    machine_free(m);
}

static void test_damaged_snapshot(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    run(m, do_append);
    run(m, do_snapshot);
    run(m, do_append);
    run(m, do_snapshot);
    stop(m);
    const char *newest = METADATA_LOG "/00000000000000000009-0000000001.checkpoint";
    assert_true(sim_disk_flip_bit(m->node, newest, 100, 3));
    start(m);
    assert_true(m->is_leader);
    assert_int_equal(m->state_offsets[0], 5);  // the older one was used
    assert_int_equal(m->state_count, 6);
    check_state(m);
    stop(m);
    machine_free(m);
}

static void test_old_snapshots_and_log_go(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    m->options.segment_bytes = 4096;
    m->options.retention_bytes = 8192;
    start(m);
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 5; k++)
            run(m, do_append);
        if (i % 3 == 2) run(m, do_snapshot);
    }
    sim_run(m->sim, 120 * S, NULL);
    assert_true(slice_is_null(contents(m, FIRST_SEGMENT)));
    assert_true(
        slice_is_null(contents(m, METADATA_LOG "/00000000000000000000-0000000000.checkpoint")));
    stop(m);
    start(m);
    assert_true(m->is_leader);
    assert_int_equal(m->state_count, 900);
    check_state(m);
    stop(m);
    machine_free(m);
}

static void test_changed_endpoint(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    stop(m);
    m->endpoint.port = 19093;
    start(m);
    assert_int_equal(m->leader_end, 3 + 3);  // KRaftVersion and Voters again
    stop(m);
    start(m);
    assert_int_equal(m->leader_end, 6 + 1);
    struct arena arena;
    struct raft_description d;
    arena_init(&arena);
    raft_describe(m->raft, &arena, &d);
    assert_int_equal(d.nodes.voters[0].endpoints[0].port, 19093);
    arena_deinit(&arena);
    stop(m);
    machine_free(m);
}

static void assert_refuses(struct machine *m, const char *part) {
    run(m, do_open);
    assert_int_equal(m->open_result, ERR_NONE);
    assert_true(m->failed);
    assert_false(m->is_leader);
    if (strstr(m->sentence.text, part) == NULL) fail_msg("%s", m->sentence.text);
    int64_t last;
    uint8_t bytes[16];
    struct slice value = bytes_of(1, bytes);
    assert_int_equal(raft_append(m->raft, &value, 1, &last), ERR_NOT_CONTROLLER);
    run(m, do_free);
}

static void test_quorums_that_we_refuse(void **state) {
    (void)state;
    struct machine *m = machine_of(1, MUTANT_NONE, FORMAT_STATIC_QUORUM);
    run(m, do_format);
    assert_refuses(m, "no controller is known");
    struct raft_voter voters[] = {{.id = 1}, {.id = 2}};
    m->options.static_voters = (struct raft_voters){voters, 2};
    assert_refuses(m, "a metadata quorum of 2 voters is not supported yet");
    m->options.static_voters = (struct raft_voters){voters + 1, 1};
    assert_refuses(m, "node 1 is not among the 1 voters");
    machine_free(m);
}

static void test_not_formatted(void **state) {
    (void)state;
    struct machine *m = machine_of(1, MUTANT_NONE, FORMAT_STATIC_QUORUM);
    run(m, do_open);
    assert_int_equal(m->open_result, ERR_NOT_FOUND);
    assert_string_equal(m->sentence.text, "data is not formatted");
    machine_free(m);
}

static void test_failed_sync(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    run(m, do_append);
    assert_int_equal(m->committed_value, 3);
    sim_disk_fail(m->node, SIM_FAULT_SYNC, 1);
    run(m, do_append);
    assert_true(m->failed);
    assert_int_equal(m->committed_value, 3);
    assert_int_equal(m->high_watermark, 6);
    int count = m->state_count;
    run(m, do_append);  // refused
    assert_int_equal(m->state_count, count);
    run(m, do_stop);
    assert_true(m->stopped);
    assert_int_not_equal(m->stop_result, ERR_NONE);
    machine_free(m);
}

// A stop, or the end, before anything was replayed.
static void test_stop_while_loading(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    for (int i = 0; i < 50; i++)
        run(m, do_append);
    run(m, do_snapshot);
    stop(m);
    sim_node_call(m->node, do_open, m);
    stop(m);
    assert_false(m->is_leader);
    sim_node_call(m->node, do_open, m);
    sim_node_call(m->node, do_free, m);
    sim_settle(m->sim, S / 2);
    start(m);
    assert_int_equal(m->epoch, 2);
    check_state(m);
    // And with appends on their way.
    sim_node_call(m->node, do_append, m);
    sim_node_call(m->node, do_free, m);
    sim_settle(m->sim, S / 2);
    machine_free(m);
}

static void test_full_disk(void **state) {
    (void)state;
    struct machine *m = machine_new(1);
    start(m);
    run(m, do_append);
    // The reserve carries on.
    sim_disk_set_capacity(m->node, sim_disk_used(m->node));
    for (int i = 0; i < 200 && !raft_disk_is_full(m->raft); i++)
        run(m, do_append);
    assert_true(raft_disk_is_full(m->raft));
    assert_int_equal(m->lost_calls, 0);
    assert_int_equal(m->committed_value, m->state_count);
    assert_true(sim_counts(m->sim).writes_refused_full > 0);
    // Then it is used up too.
    sim_disk_set_capacity(m->node, sim_disk_used(m->node));
    int64_t end = raft_end_offset(m->raft);
    for (int i = 0; i < 2000 && m->lost_calls == 0; i++)
        run(m, do_append);
    assert_int_equal(m->lost_calls, 1);
    assert_true(m->lost_from >= end);
    assert_int_equal(raft_end_offset(m->raft), m->lost_from);
    m->next_value = (uint32_t)m->state_count + 1;
    assert_false(m->failed);
    // And service resumes by itself.
    sim_disk_set_capacity(m->node, 256 << 20);
    sim_run(m->sim, 5 * S, NULL);
    assert_false(raft_disk_is_full(m->raft));
    run(m, do_append);
    check_state(m);
    assert_int_equal(m->committed_value, m->state_count);
    stop(m);
    start(m);
    check_state(m);
    stop(m);
    machine_free(m);
}

// A life with all that matters in it.
static void live(struct machine *m) {
    start(m);
    run(m, do_append);
    run(m, do_append);
    run(m, do_snapshot);
    run(m, do_append);
    run(m, do_snapshot);
    run(m, do_append);
    if (sim_node_is_running(m->node)) run(m, do_stop);
}

static void check_after_crash(struct machine *m) {
    sim_node_restart(m->node);
    start(m);
    if (!m->is_leader) fail_msg("not leader: %s", m->sentence.text);
    check_state(m);
    // What was replayed is committed now, and new values go on behind it.
    assert_true(m->high_watermark >= m->leader_end);
    m->next_value = (uint32_t)m->state_count + 1;
    run(m, do_append);
    check_state(m);
    assert_int_equal(m->committed_value, m->state_count);
    stop(m);
    start(m);
    check_state(m);
    stop(m);
}

static bool crash_at(uint64_t n, bool power_cut, uint64_t seed) {
    struct machine *m = machine_new(seed);
    sim_crash_at_disk_operation(m->node, n, power_cut, NULL, NULL);
    live(m);
    bool crashed = !sim_node_is_running(m->node);
    if (crashed) {
        check_after_crash(m);
    } else {
        sim_crash_at_disk_operation(m->node, 0, power_cut, NULL, NULL);
        assert_true(m->stopped);
    }
    machine_free(m);
    return crashed;
}

static void test_crash_at_every_step(void **state) {
    (void)state;
    uint64_t n = 1;
    while (crash_at(n, false, n))
        n++;
    assert_true(n > 30);
    for (uint64_t seed = 0; seed < 4; seed++)
        for (uint64_t k = 1; k < n; k++)
            crash_at(k, true, 1000 * seed + k);
}

// The same with a formatting that is cut off: the directory is formatted or not, and formatting
// again helps.
static void test_crash_while_formatting(void **state) {
    (void)state;
    bool crashed = true;
    uint64_t n = 1;
    for (; crashed; n++) {
        struct machine *m = machine_of(n, MUTANT_NONE, FORMAT_DYNAMIC_QUORUM);
        sim_crash_at_disk_operation(m->node, n, true, NULL, NULL);
        m->is_to_crash = true;
        run(m, do_format);
        m->is_to_crash = false;
        crashed = !sim_node_is_running(m->node);
        if (!crashed) {
            sim_crash_at_disk_operation(m->node, 0, true, NULL, NULL);
        } else {
            sim_node_restart(m->node);
            if (slice_is_null(contents(m, LOG_DIRECTORY "/meta.properties"))) run(m, do_format);
        }
        start(m);
        if (!m->is_leader) fail_msg("operation %d: %s", (int)n, m->sentence.text);
        const struct slice *values;
        int32_t count;
        raft_bootstrap_records(m->raft, &values, &count);
        assert_int_equal(count, 6);
        stop(m);
        machine_free(m);
    }
    assert_true(n > 10);
}

// The checker of this file catches a log that commits before it syncs.
static void test_mutant_is_caught(void **state) {
    (void)state;
    int caught = 0;
    for (uint64_t seed = 0; seed < 40 && caught == 0; seed++) {
        struct machine *m = machine_of(seed, MUTANT_RAFT_REPLY_BEFORE_SYNC, FORMAT_DYNAMIC_QUORUM);
        run(m, do_format);
        start(m);
        sim_disk_slow(m->node, S / 100);
        sim_node_call(m->node, do_append, m);
        while (m->committed_value == 0 && sim_step(m->sim)) {
        }
        sim_node_power_cut(m->node);
        sim_node_restart(m->node);
        sim_disk_slow(m->node, 0);
        start(m);
        caught += (uint32_t)m->state_count < m->committed_value;
        machine_free(m);
    }
    assert_true(caught > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_start),
        cmocka_unit_test(test_static_voters),
        cmocka_unit_test(test_group_commit),
        cmocka_unit_test(test_batch_limit),
        cmocka_unit_test(test_snapshot_and_restart),
        cmocka_unit_test(test_snapshot_is_wanted),
        cmocka_unit_test(test_damaged_snapshot),
        cmocka_unit_test(test_old_snapshots_and_log_go),
        cmocka_unit_test(test_changed_endpoint),
        cmocka_unit_test(test_quorums_that_we_refuse),
        cmocka_unit_test(test_not_formatted),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_stop_while_loading),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_crash_at_every_step),
        cmocka_unit_test(test_crash_while_formatting),
        cmocka_unit_test(test_mutant_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
