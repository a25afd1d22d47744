#include "test/raft/support.h"

#include "raft/quorum.h"

static void assert_round_trip(const char *line) {
    struct quorum_state state;
    struct message error;
    struct string_buffer out;
    string_buffer_init(&out);
    assert_int_equal(quorum_state_parse(slice_cstring(line), &state, &error), ERR_NONE);
    int32_t voters[] = {1};
    quorum_state_format(&state, voters, 1, &out);
    assert_string_equal(out.text, line);
    string_buffer_deinit(&out);
}

// The lines are Apache Kafka's.
static void test_state_file_text(void **state) {
    (void)state;
    assert_round_trip(
        "{\"leaderId\":1,\"leaderEpoch\":4,\"votedId\":-1,\"votedDirectoryId\":"
        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}");
    assert_round_trip(
        "{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":2,\"votedId\":-1,"
        "\"appliedOffset\":0,\"currentVoters\":[{\"voterId\":1}],\"data_version\":0}");
    const char *bad[] = {
        "",
        "{",
        "[]",
        "7",
        "{}",
        "{\"data_version\":2}",
        "{\"leaderId\":1,\"leaderEpoch\":-4,\"votedId\":-1,\"votedDirectoryId\":"
        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
        "{\"leaderId\":1,\"leaderEpoch\":4294967296,\"votedId\":-1,\"votedDirectoryId\":"
        "\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
        "{\"leaderId\":1,\"leaderEpoch\":4,\"votedId\":-1,\"votedDirectoryId\":\"nonsense\",\"data_"
        "version\":1}",
        "{\"leaderId\":1,\"leaderEpoch\":4,\"votedId\":-1,\"data_version\":1}",
        "{\"leaderId\":\"1\",\"leaderEpoch\":4,\"votedId\":-1,\"data_version\":0}",
        "{\"leaderId\":1,\"leaderEpoch\":4,\"votedId\":-1,\"data_version\":0} more",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct quorum_state parsed;
        struct message error;
        message_init(&error);
        assert_int_equal(quorum_state_parse(slice_cstring(bad[i]), &parsed, &error), ERR_CORRUPT);
        assert_true(strlen(error.text) > 0);
    }
}

static void test_state_file(void **state) {
    struct world *w = world_new();
    (void)state;
    struct quorum_state loaded, stored = quorum_state_empty(1);
    struct message error;
    assert_int_equal(quorum_state_load(w->env, w->directory, &loaded, &error), ERR_NOT_FOUND);
    stored.leader_id = 3;
    stored.leader_epoch = 77;
    stored.voted_id = 4;
    stored.voted_directory_id = env_random_uuid(w->env);
    struct string_buffer text;
    string_buffer_init(&text);
    quorum_state_format(&stored, NULL, 0, &text);
    world_write(w, world_path(w, QUORUM_STATE_NAME), string_buffer_slice(&text));
    string_buffer_deinit(&text);
    assert_int_equal(quorum_state_load(w->env, w->directory, &loaded, &error), ERR_NONE);
    assert_int_equal(loaded.leader_id, 3);
    assert_int_equal(loaded.leader_epoch, 77);
    assert_int_equal(loaded.voted_id, 4);
    assert_true(uuid_equal(loaded.voted_directory_id, stored.voted_directory_id));
    assert_int_equal(loaded.data_version, 1);
    world_free(w);
}

static void test_sole_voter_walks_to_leader(void **state) {
    (void)state;
    struct logger logger = {.level = LOG_ERROR};
    struct uuid directory = {{7}};
    struct quorum quorum;
    struct quorum_state empty = quorum_state_empty(1);
    quorum_init(&quorum, 1, directory, &logger, &empty, 0);
    assert_int_equal(quorum.place, QUORUM_UNATTACHED);
    quorum_become_prospective(&quorum);
    assert_int_equal(quorum.epoch, 0);  // pre-vote changes nothing (KIP-996)
    quorum_become_candidate(&quorum);
    assert_int_equal(quorum.epoch, 1);
    assert_int_equal(quorum.voted_id, 1);
    assert_int_equal(quorum.leader_id, -1);
    quorum_become_leader(&quorum);
    struct quorum_state written = quorum_to_state(&quorum, 1);
    assert_int_equal(written.leader_id, 1);
    assert_int_equal(written.leader_epoch, 1);
    assert_int_equal(written.voted_id, -1);

    // The same node again: it must not lead its old epoch a second time.
    quorum_init(&quorum, 1, directory, &logger, &written, 1);
    assert_int_equal(quorum.place, QUORUM_RESIGNED);
    quorum_become_prospective(&quorum);
    quorum_become_candidate(&quorum);
    quorum_become_leader(&quorum);
    assert_int_equal(quorum.epoch, 2);
}

static void test_log_ahead_of_state_file(void **state) {
    (void)state;
    struct logger logger = {.level = LOG_ERROR};
    struct quorum quorum;
    struct quorum_state old = {.leader_id = 1, .leader_epoch = 3, .voted_id = 1, .data_version = 1};
    quorum_init(&quorum, 1, UUID_ZERO, &logger, &old, 9);
    assert_int_equal(quorum.epoch, 9);
    assert_int_equal(quorum.leader_id, -1);
    assert_int_equal(quorum.voted_id, -1);
    assert_int_equal(quorum.place, QUORUM_UNATTACHED);
}

static void test_edges(void **state) {
    (void)state;
    assert_false(quorum_edge_is_allowed(QUORUM_UNATTACHED, QUORUM_LEADER));
    assert_false(quorum_edge_is_allowed(QUORUM_RESIGNED, QUORUM_LEADER));
    assert_false(quorum_edge_is_allowed(QUORUM_LEADER, QUORUM_LEADER));
    assert_false(quorum_edge_is_allowed(QUORUM_LEADER, QUORUM_CANDIDATE));
    assert_false(quorum_edge_is_allowed(QUORUM_FOLLOWER, QUORUM_CANDIDATE));
    assert_true(quorum_edge_is_allowed(QUORUM_CANDIDATE, QUORUM_LEADER));
    assert_true(quorum_edge_is_allowed(QUORUM_LEADER, QUORUM_RESIGNED));
}

static void test_sole_voter(void **state) {
    (void)state;
    struct quorum quorum = {.node_id = 1, .directory_id = {{7}}};
    struct raft_voter list[] = {{.id = 1, .directory_id = {{7}}}, {.id = 2}};
    struct raft_voters voters = {list, 1};
    assert_true(quorum_is_sole_voter(&quorum, &voters));
    voters.count = 2;
    assert_false(quorum_is_sole_voter(&quorum, &voters));
    voters.count = 0;
    assert_false(quorum_is_sole_voter(&quorum, &voters));
    voters.count = 1;
    list[0].directory_id.bytes[0] = 8;  // the disk was exchanged
    assert_false(quorum_is_sole_voter(&quorum, &voters));
    list[0].directory_id = UUID_ZERO;  // static voters have none
    assert_true(quorum_is_sole_voter(&quorum, &voters));
}

static void test_voters_text(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct raft_voters voters;
    struct message error;
    struct slice listener = SLICE_LITERAL("CONTROLLER");
    struct config *config = config_new();
    config_add_standalone_defaults(config);
    assert_int_equal(
        config_add_override(config, SLICE_LITERAL("controller.quorum.voters=2@b:9094,1@[::1]:9093"),
                            &error),
        ERR_NONE);
    assert_int_equal(config_finish(config, &error), ERR_NONE);
    voters = raft_voters_of_config(config, listener, &arena);
    assert_int_equal(voters.count, 2);
    assert_int_equal(voters.voters[0].id, 1);
    assert_true(slice_equal_cstring(voters.voters[0].endpoints[0].host, "::1"));
    assert_int_equal(voters.voters[1].endpoints[0].port, 9094);
    config_free(config);

    assert_int_equal(
        raft_voters_parse_initial(
            SLICE_LITERAL(
                "0@example.com:8082:JEXY6aqzQY-32P5TStzaFg,1@[::1]:8083:MvDxzVmcRsaTz33bUuRU6A"),
            listener, &arena, &voters, &error),
        ERR_NONE);
    assert_int_equal(voters.count, 2);
    char text[UUID_TEXT_SIZE];
    assert_string_equal(uuid_format(voters.voters[1].directory_id, text), "MvDxzVmcRsaTz33bUuRU6A");
    struct {
        const char *text, *sentence;
    } bad[] = {
        {"", "No voters given."},
        {"5", "No @ found in dynamic voter string."},
        {"@h:1:JEXY6aqzQY-32P5TStzaFg", "Invalid @ at beginning of dynamic voter string."},
        {"x@h:1:JEXY6aqzQY-32P5TStzaFg", "Failed to parse node id in dynamic voter string."},
        {"-5@h:1:JEXY6aqzQY-32P5TStzaFg", "Invalid negative node id -5 in dynamic voter string."},
        {"5@", "No hostname found after node id."},
        {"5@h", "No colon following hostname could be found."},
        {"5@h:1", "No colon following port could be found."},
        {"5@h:x:JEXY6aqzQY-32P5TStzaFg", "Failed to parse port in dynamic voter string."},
        {"5@h:65536:JEXY6aqzQY-32P5TStzaFg", "Invalid port 65536 in dynamic voter string."},
        {"5@h:1:J", "Failed to parse directory ID in dynamic voter string."},
        {"5@h:1:JEXY6aqzQY-32P5TStzaFg,5@h:1:JEXY6aqzQY-32P5TStzaFg",
         "Node id 5 was specified more than once."},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(raft_voters_parse_initial(slice_cstring(bad[i].text), listener, &arena,
                                                   &voters, &error),
                         ERR_INVALID);
        assert_string_equal(error.text, bad[i].sentence);
    }
    arena_deinit(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_file_text),
        cmocka_unit_test(test_state_file),
        cmocka_unit_test(test_sole_voter_walks_to_leader),
        cmocka_unit_test(test_log_ahead_of_state_file),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_sole_voter),
        cmocka_unit_test(test_voters_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
