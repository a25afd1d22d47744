// Registration, heartbeats, and what a broker's coming and going does to leaders.
#include "bed.h"
#include "controller/leadership.h"
#include "controller/partition_change.h"

static int setup(void **state) {
    *state = bed_new(1);
    return 0;
}

static int setup_three(void **state) {
    *state = bed_new(3);
    return 0;
}

static int teardown(void **state) {
    bed_free(*state);
    return 0;
}

static const struct partition_image *partition_of(struct bed *bed, const char *topic,
                                                  int32_t partition) {
    return topic_partition(image_topic(bed->state.image, slice_cstring(topic)), partition);
}

static void check_ids(const int32_t *ids, int32_t count, const char *expected) {
    char text[64] = "";
    for (int32_t i = 0; i < count; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? "," : "", ids[i]);
    }
    assert_string_equal(text, expected);
}

static void check_partition(struct bed *bed, const char *topic, int32_t leader, const char *isr,
                            const char *elr) {
    const struct partition_image *p = partition_of(bed, topic, 0);
    assert_int_equal(p->leader, leader);
    check_ids(p->isr, p->isr_count, isr);
    check_ids(p->elr, p->elr_count, elr);
}

// A topic of one partition with these replicas.
static void create_with(struct bed *bed, const char *name, const int32_t *replicas, int32_t count) {
    struct create_topics_request request;
    struct create_topics_response response;
    codec_init(&create_topics_request_codec, &request);
    request.topics = create_topics_request_topic_new(&bed->arena, 1);
    request.topics_count = 1;
    request.topics[0].name = slice_cstring(name);
    request.topics[0].num_partitions = -1;
    request.topics[0].replication_factor = -1;
    request.topics[0].assignments = create_topics_request_assignment_new(&bed->arena, 1);
    request.topics[0].assignments_count = 1;
    request.topics[0].assignments[0].broker_ids = (int32_t *)(uintptr_t)replicas;
    request.topics[0].assignments[0].broker_ids_count = count;
    assert_int_equal(BED_CALL(bed, create_topics, 7, &request, &response), ERR_NONE);
    assert_int_equal(response.topics[0].error_code, 0);
}

// ---- Registration ----

static void test_registration_is_checked(void **state) {
    struct bed *bed = *state;
    struct broker_registration_response response;
    struct broker_registration_request r = bed_registration(bed, 2, 2, -1);
    r.cluster_id = SLICE_LITERAL("other");
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_INCONSISTENT_CLUSTER_ID);
    assert_string_equal(bed->error.text,
                        "Expected cluster ID " BED_CLUSTER ", but got cluster ID other");
    r = bed_registration(bed, 2, 2, -1);
    r.log_dirs_count = 0;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_INVALID_REGISTRATION);
    assert_string_equal(bed->error.text, "No directories specified in request");
    r = bed_registration(bed, 2, 2, -1);
    r.log_dirs[0] = UUID_DIRECTORY_LOST;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_INVALID_REGISTRATION);
    r = bed_registration(bed, 2, 2, -1);
    struct uuid twice[] = {bed_uuid(5), bed_uuid(5)};
    r.log_dirs = twice;
    r.log_dirs_count = 2;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_INVALID_REGISTRATION);
    assert_string_equal(bed->error.text, "Duplicate directory ID in request");
    r = bed_registration(bed, 2, 2, -1);
    r.log_dirs[0] = bed_uuid(1);
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_INVALID_REGISTRATION);
    r = bed_registration(bed, 2, 2, -1);
    r.features[FEATURE_METADATA_VERSION].max_supported_version = 29;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response), ERR_UNSUPPORTED_VERSION);
    assert_string_equal(bed->error.text,
                        "Unable to register because the broker does not support finalized version "
                        "30 of metadata.version. The broker wants a version between 7 and 29, "
                        "inclusive.");
    r = bed_registration(bed, 2, 2, -1);
    r.features_count = FEATURE_COUNT - 1;  // streams.version is finalised and not named
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response), ERR_UNSUPPORTED_VERSION);
    assert_int_equal(bed->last_count, 0);
}

static void test_registration_of_another_process(void **state) {
    struct bed *bed = *state;
    bed_register(bed, 2, 2, -1);
    bed_heartbeat(bed, 2, false, false);
    struct broker_registration_response response;
    struct broker_registration_request r = bed_registration(bed, 2, 9, -1);
    r.log_dirs[0] = bed_uuid(99);
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response),
                     ERR_DUPLICATE_BROKER_REGISTRATION);
    r.log_dirs[0] = bed_uuid(2);  // the same directory: the successor
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response), ERR_NONE);
    assert_true(image_broker(bed->state.image, 2)->fenced);
    // The same process again amends its registration.
    bed_heartbeat(bed, 2, false, false);
    int64_t epoch = image_broker(bed->state.image, 2)->epoch;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response), ERR_NONE);
    assert_int_equal(response.broker_epoch, epoch);
    assert_false(image_broker(bed->state.image, 2)->fenced);
}

static void test_heartbeats(void **state) {
    struct bed *bed = *state;
    int64_t epoch = bed_register(bed, 2, 2, -1);
    struct broker_heartbeat_request request;
    struct broker_heartbeat_response response;
    codec_init(&broker_heartbeat_request_codec, &request);
    request.broker_id = 2;
    request.broker_epoch = epoch + 1;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response),
                     ERR_STALE_BROKER_EPOCH);
    request.broker_id = 7;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response),
                     ERR_STALE_BROKER_EPOCH);
    request.broker_id = 2;
    request.broker_epoch = epoch;
    request.current_metadata_offset = epoch - 1;
    request.want_fence = false;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response), ERR_NONE);
    assert_false(response.is_caught_up);
    assert_true(response.is_fenced);
    assert_int_equal(bed->last_count, 0);
    request.current_metadata_offset = epoch;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response), ERR_NONE);
    assert_true(response.is_caught_up);
    assert_false(response.is_fenced);
    assert_int_equal(bed->last_count, 1);
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response), ERR_NONE);
    assert_int_equal(bed->last_count, 0);  // nothing changes, nothing is written
    response = bed_heartbeat(bed, 2, true, false);
    assert_true(response.is_fenced);
    assert_true(image_broker(bed->state.image, 2)->fenced);
}

static void test_cordoned_directories(void **state) {
    struct bed *bed = *state;
    struct broker_heartbeat_request request;
    struct broker_heartbeat_response response;
    codec_init(&broker_heartbeat_request_codec, &request);
    request.broker_id = 1;
    request.broker_epoch = image_broker(bed->state.image, 1)->epoch;
    request.current_metadata_offset = bed->log_count;
    request.want_fence = false;
    struct uuid cordoned = bed_uuid(1);
    request.cordoned_log_dirs = &cordoned;
    request.cordoned_log_dirs_count = 1;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response), ERR_NONE);
    assert_int_equal(bed->last_count, 1);
    struct create_topics_request create;
    struct create_topics_response created;
    codec_init(&create_topics_request_codec, &create);
    create.topics = create_topics_request_topic_new(&bed->arena, 1);
    create.topics_count = 1;
    create.topics[0].name = SLICE_LITERAL("t");
    create.topics[0].num_partitions = 1;
    create.topics[0].replication_factor = 1;
    assert_int_equal(BED_CALL(bed, create_topics, 7, &create, &created), ERR_NONE);
    assert_int_equal(created.topics[0].error_code, ERR_INVALID_REPLICATION_FACTOR);
}

// ---- This node stops and starts ----

static void test_clean_restart_writes_nothing_per_partition(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 50, 1);
    int64_t epoch = image_broker(bed->state.image, 1)->epoch;
    struct broker_heartbeat_response stop = bed_heartbeat(bed, 1, false, true);
    assert_true(stop.should_shut_down);
    assert_int_equal(bed->last_count, 2);  // controlled shutdown, fenced
    assert_true(image_broker(bed->state.image, 1)->in_controlled_shutdown);
    assert_true(image_broker(bed->state.image, 1)->fenced);
    bed_register(bed, 1, 100, epoch);
    assert_int_equal(bed->last_count, 1);
    bed_heartbeat(bed, 1, false, false);
    assert_int_equal(bed->last_count, 2);  // cordoned directories, unfenced
    assert_int_equal(partition_of(bed, "t", 49)->leader, 1);
    assert_int_equal(partition_of(bed, "t", 49)->leader_epoch, 0);
}

static void test_unclean_restart_bumps_leader_epochs(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 50, 1);
    bed_register(bed, 1, 100, -1);
    assert_int_equal(bed->last_count, 51);
    bed_heartbeat(bed, 1, false, false);
    for (int32_t i = 0; i < 50; i++) {
        const struct partition_image *p = partition_of(bed, "t", i);
        assert_int_equal(p->leader, 1);
        assert_int_equal(p->leader_epoch, 1);
        assert_int_equal(p->isr_count, 1);
        assert_int_equal(p->leader_recovery_state, 0);
    }
}

static void test_restart_without_the_directory(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 1, 1);
    int64_t epoch = image_broker(bed->state.image, 1)->epoch;
    bed_heartbeat(bed, 1, false, true);
    struct broker_registration_request r = bed_registration(bed, 1, 100, epoch);
    struct broker_registration_response response;
    r.log_dirs[0] = bed_uuid(55);
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &response), ERR_NONE);
    bed_heartbeat(bed, 1, false, false);
    assert_int_equal(partition_of(bed, "t", 0)->leader, -1);
}

// As Apache Kafka leaves it: leaderless, the replica eligible. And worse: only last known.
static void test_partitions_left_by_apache(void **state) {
    struct bed *bed = *state;
    struct uuid id = bed_create(bed, "t", 2, 1)->id;
    struct arena arena;
    arena_init(&arena);
    struct runtime_result result = {.arena = &arena};
    struct decision decision;
    decision_init(&decision, &bed->state, &result, &arena, &bed->error);
    int32_t one[] = {1};
    for (int32_t i = 0; i < 2; i++) {
        struct metadata_record record = decision_record(&decision, METADATA_PARTITION_CHANGE, 2);
        struct partition_change_record *change = record.message;
        change->topic_id = id;
        change->partition_id = i;
        change->leader = -1;
        change->isr_count = 0;
        change->eligible_leader_replicas = one;
        change->eligible_leader_replicas_count = i == 0 ? 1 : 0;
        change->last_known_elr = one;
        change->last_known_elr_count = 1;
        decision_add(&decision, &record);
    }
    bed_apply(bed, &result);
    arena_deinit(&arena);
    bed_register(bed, 1, 100, -1);
    bed_heartbeat(bed, 1, false, false);
    for (int32_t i = 0; i < 2; i++) {
        const struct partition_image *p = partition_of(bed, "t", i);
        assert_int_equal(p->leader, 1);
        check_ids(p->isr, p->isr_count, "1");
        assert_int_equal(p->elr_count + p->last_known_elr_count, 0);
        assert_int_equal(p->leader_recovery_state, 0);
    }
}

static void test_directory_fails(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 1, 1);
    struct broker_heartbeat_request request;
    struct broker_heartbeat_response response;
    codec_init(&broker_heartbeat_request_codec, &request);
    request.broker_id = 1;
    request.broker_epoch = image_broker(bed->state.image, 1)->epoch;
    request.current_metadata_offset = bed->log_count;
    struct uuid offline = bed_uuid(1);
    request.offline_log_dirs = &offline;
    request.offline_log_dirs_count = 1;
    assert_int_equal(BED_CALL(bed, broker_heartbeat, 2, &request, &response), ERR_NONE);
    check_partition(bed, "t", -1, "", "1");
}

// ---- Several brokers ----

static void test_fencing_moves_leaders(void **state) {
    struct bed *bed = *state;
    int32_t replicas[] = {2, 1, 3};
    create_with(bed, "t", replicas, 3);
    int32_t two[] = {2, 3};
    create_with(bed, "u", two, 2);
    check_partition(bed, "t", 2, "2,1,3", "");
    bed_heartbeat(bed, 2, true, false);
    check_partition(bed, "t", 1, "1,3", "");
    check_partition(bed, "u", 3, "3", "");
    bed_heartbeat(bed, 3, true, false);
    check_partition(bed, "t", 1, "1", "");
    check_partition(bed, "u", -1, "", "3");  // eligible: it has all that was acknowledged
    assert_int_equal(partition_of(bed, "u", 0)->last_known_elr_count, 1);
    bed_heartbeat(bed, 2, false, false);
    check_partition(bed, "u", -1, "", "3");  // not eligible
    bed_heartbeat(bed, 3, false, false);
    check_partition(bed, "u", 3, "3", "");
    assert_int_equal(partition_of(bed, "u", 0)->last_known_elr_count, 0);
}

static void test_unclean_restart_of_another_broker(void **state) {
    struct bed *bed = *state;
    int32_t two[] = {2, 3};
    create_with(bed, "u", two, 2);
    bed_heartbeat(bed, 2, true, false);
    bed_heartbeat(bed, 3, true, false);
    check_partition(bed, "u", -1, "", "3");
    bed_register(bed, 3, 33, -1);  // it lost what it had not synced
    check_partition(bed, "u", -1, "", "");
    bed_heartbeat(bed, 3, false, false);
    check_partition(bed, "u", 3, "3", "");  // the last known leader, uncleanly
    assert_int_equal(partition_of(bed, "u", 0)->leader_recovery_state, 1);
}

static void test_controlled_shutdown_of_another_broker(void **state) {
    struct bed *bed = *state;
    int32_t two[] = {2, 3};
    create_with(bed, "u", two, 2);
    struct broker_heartbeat_response r = bed_heartbeat(bed, 2, false, true);
    assert_false(r.should_shut_down);
    check_partition(bed, "u", 3, "3", "");
    r = bed_heartbeat(bed, 2, false, true);
    assert_true(r.should_shut_down);
    assert_true(image_broker(bed->state.image, 2)->fenced);
}

static void test_placement_is_even(void **state) {
    struct bed *bed = *state;
    const struct topic_image *topic = bed_create(bed, "t", 300, 2);
    int leaders[4] = {0};
    int replicas[4] = {0};
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct partition_image *p = topic->partitions[i];
        assert_int_equal(p->replica_count, 2);
        assert_int_not_equal(p->replicas[0], p->replicas[1]);
        leaders[p->leader]++;
        replicas[p->replicas[0]]++;
        replicas[p->replicas[1]]++;
    }
    for (int id = 1; id <= 3; id++) {
        assert_int_equal(leaders[id], 100);
        assert_in_range(replicas[id], 180, 220);
    }
}

static void test_unregister(void **state) {
    struct bed *bed = *state;
    int32_t two[] = {2, 3};
    create_with(bed, "u", two, 2);
    struct unregister_broker_request request;
    struct unregister_broker_response response;
    codec_init(&unregister_broker_request_codec, &request);
    request.broker_id = 9;
    assert_int_equal(BED_CALL(bed, unregister_broker, 0, &request, &response),
                     ERR_BROKER_ID_NOT_REGISTERED);
    assert_string_equal(bed->error.text, "Broker ID 9 is not currently registered");
    request.broker_id = 1;
    assert_int_equal(BED_CALL(bed, unregister_broker, 0, &request, &response), ERR_INVALID_REQUEST);
    request.broker_id = 2;
    assert_int_equal(BED_CALL(bed, unregister_broker, 0, &request, &response), ERR_NONE);
    assert_null(image_broker(bed->state.image, 2));
    check_partition(bed, "u", 3, "3", "");
}

// ---- AlterPartition ----

struct alter_case {
    int32_t broker;
    int32_t leader_epoch;
    int32_t partition_epoch;
    const int32_t *isr;
    int32_t isr_count;
    int8_t recovery;
    enum err error;
};

static void test_alter_partition(void **state) {
    struct bed *bed = *state;
    int32_t replicas[] = {2, 1, 3};
    create_with(bed, "t", replicas, 3);
    bed_heartbeat(bed, 3, true, false);  // partition epoch 1, ISR 2, 1
    int32_t all[] = {2, 1, 3}, shrunk[] = {2}, twice[] = {2, 2}, other[] = {2, 7},
            no_leader[] = {1};
    const struct alter_case cases[] = {
        {2, 1, 1, shrunk, 1, 0, ERR_NOT_CONTROLLER},
        {2, 0, 2, shrunk, 1, 0, ERR_NOT_CONTROLLER},
        {2, -1, 1, shrunk, 1, 0, ERR_FENCED_LEADER_EPOCH},
        {1, 0, 1, shrunk, 1, 0, ERR_INVALID_REQUEST},
        {2, 0, 0, shrunk, 1, 0, ERR_INVALID_UPDATE_VERSION},
        {2, 0, 1, twice, 2, 0, ERR_INVALID_REQUEST},
        {2, 0, 1, other, 2, 0, ERR_INVALID_REQUEST},
        {2, 0, 1, no_leader, 1, 0, ERR_INVALID_REQUEST},
        {2, 0, 1, shrunk, 1, 1, ERR_INVALID_REQUEST},
        {2, 0, 1, all, 3, 0, ERR_INELIGIBLE_REPLICA},
        {2, 0, 1, shrunk, 1, 0, ERR_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct alter_case *c = &cases[i];
        struct alter_partition_request request;
        struct alter_partition_response response;
        codec_init(&alter_partition_request_codec, &request);
        request.broker_id = c->broker;
        request.broker_epoch = image_broker(bed->state.image, c->broker)->epoch;
        request.topics = alter_partition_request_topic_new(&bed->arena, 1);
        request.topics_count = 1;
        request.topics[0].topic_id = image_topic(bed->state.image, SLICE_LITERAL("t"))->id;
        request.topics[0].partitions = alter_partition_request_partition_new(&bed->arena, 1);
        request.topics[0].partitions_count = 1;
        struct alter_partition_request_partition *p = &request.topics[0].partitions[0];
        p->leader_epoch = c->leader_epoch;
        p->partition_epoch = c->partition_epoch;
        p->new_isr = (int32_t *)(uintptr_t)c->isr;
        p->new_isr_count = c->isr_count;
        p->leader_recovery_state = c->recovery;
        assert_int_equal(BED_CALL(bed, alter_partition, 2, &request, &response), ERR_NONE);
        if (response.topics[0].partitions[0].error_code != c->error) {
            fail_msg("case %zu: %s", i,
                     err_name((enum err)response.topics[0].partitions[0].error_code));
        }
    }
    check_partition(bed, "t", 2, "2", "");
    assert_int_equal(partition_of(bed, "t", 0)->leader_epoch, 0);
}

// ---- ElectLeaders, reassignments ----

static enum err elect(struct bed *bed, int8_t type, const char *topic, int32_t partition) {
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    codec_init(&elect_leaders_request_codec, &request);
    request.election_type = type;
    request.topic_partitions = elect_leaders_request_topic_partition_new(&bed->arena, 1);
    request.topic_partitions_count = 1;
    request.topic_partitions[0].topic = slice_cstring(topic);
    request.topic_partitions[0].partitions = &partition;
    request.topic_partitions[0].partitions_count = 1;
    assert_int_equal(BED_CALL(bed, elect_leaders, 2, &request, &response), ERR_NONE);
    return (enum err)response.replica_election_results[0].partition_result[0].error_code;
}

static void test_elect_leaders(void **state) {
    struct bed *bed = *state;
    int32_t replicas[] = {2, 1};
    create_with(bed, "t", replicas, 2);
    assert_int_equal(elect(bed, 0, "nope", 0), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(elect(bed, 0, "t", 5), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(elect(bed, 0, "t", 0), ERR_ELECTION_NOT_NEEDED);
    assert_int_equal(elect(bed, 1, "t", 0), ERR_ELECTION_NOT_NEEDED);
    bed_heartbeat(bed, 2, true, false);
    assert_int_equal(elect(bed, 0, "t", 0), ERR_PREFERRED_LEADER_NOT_AVAILABLE);
    check_partition(bed, "t", 1, "1", "");
    struct elect_leaders_request request;
    struct elect_leaders_response response;
    codec_init(&elect_leaders_request_codec, &request);
    request.topic_partitions_count = -1;
    request.election_type = 7;
    assert_int_equal(BED_CALL(bed, elect_leaders, 2, &request, &response), ERR_INVALID_REQUEST);
    assert_string_equal(bed->error.text, "Unknown election type 7");
    request.election_type = 0;
    assert_int_equal(BED_CALL(bed, elect_leaders, 2, &request, &response), ERR_NONE);
    assert_int_equal(response.replica_election_results_count, 1);
    assert_int_equal(response.replica_election_results[0].partition_result[0].error_code,
                     ERR_PREFERRED_LEADER_NOT_AVAILABLE);
}

static enum err reassign(struct bed *bed, const char *topic, const int32_t *replicas, int32_t count,
                         bool may_change_factor) {
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_response response;
    codec_init(&alter_partition_reassignments_request_codec, &request);
    request.allow_replication_factor_change = may_change_factor;
    request.topics = alter_partition_reassignments_request_topic_new(&bed->arena, 1);
    request.topics_count = 1;
    request.topics[0].name = slice_cstring(topic);
    request.topics[0].partitions =
        alter_partition_reassignments_request_partition_new(&bed->arena, 1);
    request.topics[0].partitions_count = 1;
    request.topics[0].partitions[0].replicas = (int32_t *)(uintptr_t)replicas;
    request.topics[0].partitions[0].replicas_count = count;
    assert_int_equal(BED_CALL(bed, alter_partition_reassignments, 1, &request, &response),
                     ERR_NONE);
    return (enum err)response.responses[0].partitions[0].error_code;
}

static void test_reassignments(void **state) {
    struct bed *bed = *state;
    int32_t replicas[] = {2, 1}, target[] = {2, 3}, none[] = {9}, three[] = {2, 3, 1};
    create_with(bed, "t", replicas, 2);
    assert_int_equal(reassign(bed, "nope", target, 2, true), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(reassign(bed, "t", NULL, -1, true), ERR_NO_REASSIGNMENT_IN_PROGRESS);
    assert_int_equal(reassign(bed, "t", none, 1, true), ERR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(bed, "t", target, 0, true), ERR_INVALID_REPLICA_ASSIGNMENT);
    assert_int_equal(reassign(bed, "t", three, 3, false), ERR_INVALID_REPLICATION_FACTOR);
    assert_int_equal(reassign(bed, "t", replicas, 2, true), ERR_NONE);
    assert_int_equal(bed->last_count, 0);  // it is so already
    assert_int_equal(reassign(bed, "t", target, 2, true), ERR_NONE);
    const struct partition_image *p = partition_of(bed, "t", 0);
    check_ids(p->replicas, p->replica_count, "2,3,1");
    check_ids(p->adding_replicas, p->adding_count, "3");
    check_ids(p->removing_replicas, p->removing_count, "1");

    struct list_partition_reassignments_request list;
    struct list_partition_reassignments_response listed;
    codec_init(&list_partition_reassignments_request_codec, &list);
    assert_int_equal(BED_CALL(bed, list_partition_reassignments, 0, &list, &listed), ERR_NONE);
    assert_int_equal(listed.topics_count, 1);
    check_ids(listed.topics[0].partitions[0].adding_replicas,
              listed.topics[0].partitions[0].adding_replicas_count, "3");

    assert_int_equal(reassign(bed, "t", NULL, -1, true), ERR_NONE);
    p = partition_of(bed, "t", 0);
    check_ids(p->replicas, p->replica_count, "2,1");
    assert_int_equal(p->adding_count + p->removing_count, 0);
    assert_int_equal(BED_CALL(bed, list_partition_reassignments, 0, &list, &listed), ERR_NONE);
    assert_int_equal(listed.topics_count, 0);

    // The new replica comes into the ISR: done.
    assert_int_equal(reassign(bed, "t", target, 2, true), ERR_NONE);
    p = partition_of(bed, "t", 0);
    struct alter_partition_request request;
    struct alter_partition_response response;
    codec_init(&alter_partition_request_codec, &request);
    request.broker_id = 2;
    request.broker_epoch = image_broker(bed->state.image, 2)->epoch;
    request.topics = alter_partition_request_topic_new(&bed->arena, 1);
    request.topics_count = 1;
    request.topics[0].topic_id = image_topic(bed->state.image, SLICE_LITERAL("t"))->id;
    request.topics[0].partitions = alter_partition_request_partition_new(&bed->arena, 1);
    request.topics[0].partitions_count = 1;
    request.topics[0].partitions[0].leader_epoch = p->leader_epoch;
    request.topics[0].partitions[0].partition_epoch = p->partition_epoch;
    int32_t isr[] = {2, 1, 3};
    request.topics[0].partitions[0].new_isr = isr;
    request.topics[0].partitions[0].new_isr_count = 3;
    assert_int_equal(BED_CALL(bed, alter_partition, 2, &request, &response), ERR_NONE);
    assert_int_equal(response.topics[0].partitions[0].error_code, 0);
    p = partition_of(bed, "t", 0);
    check_ids(p->replicas, p->replica_count, "2,3");
    check_ids(p->isr, p->isr_count, "2,3");
    assert_int_equal(p->adding_count + p->removing_count, 0);
}

static void test_assign_directories(void **state) {
    struct bed *bed = *state;
    bed_create(bed, "t", 2, 1);
    struct broker_registration_request r = bed_registration(bed, 1, 1, -1);
    struct uuid two[] = {bed_uuid(1), bed_uuid(50)};
    struct broker_registration_response registered;
    r.log_dirs = two;
    r.log_dirs_count = 2;
    assert_int_equal(BED_CALL(bed, broker_registration, 4, &r, &registered), ERR_NONE);
    // The directory with the fewest partitions.
    assert_true(uuid_equal(bed_create(bed, "u", 1, 1)->partitions[0]->directories[0], two[1]));
    const struct topic_image *even = bed_create(bed, "v", 3, 1);
    int in_first = 0;
    for (int i = 0; i < 3; i++)
        in_first += uuid_equal(even->partitions[i]->directories[0], two[0]);
    assert_int_equal(in_first, 1);
    struct assign_replicas_to_dirs_request request;
    struct assign_replicas_to_dirs_response response;
    codec_init(&assign_replicas_to_dirs_request_codec, &request);
    request.broker_id = 1;
    request.broker_epoch = image_broker(bed->state.image, 1)->epoch;
    request.directories = assign_replicas_to_dirs_request_directory_new(&bed->arena, 1);
    request.directories_count = 1;
    request.directories[0].id = two[0];
    request.directories[0].topics = assign_replicas_to_dirs_request_topic_new(&bed->arena, 1);
    request.directories[0].topics_count = 1;
    request.directories[0].topics[0].topic_id =
        image_topic(bed->state.image, SLICE_LITERAL("u"))->id;
    request.directories[0].topics[0].partitions =
        assign_replicas_to_dirs_request_partition_new(&bed->arena, 2);
    request.directories[0].topics[0].partitions_count = 2;
    request.directories[0].topics[0].partitions[1].partition_index = 5;
    assert_int_equal(BED_CALL(bed, assign_replicas_to_dirs, 0, &request, &response), ERR_NONE);
    assert_int_equal(response.directories[0].topics[0].partitions[0].error_code, 0);
    assert_int_equal(response.directories[0].topics[0].partitions[1].error_code,
                     ERR_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(uuid_equal(partition_of(bed, "u", 0)->directories[0], two[0]));
    assert_int_equal(partition_of(bed, "u", 0)->leader_epoch, 0);
}

#define ONE(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define THREE(name) cmocka_unit_test_setup_teardown(name, setup_three, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        ONE(test_registration_is_checked),
        ONE(test_registration_of_another_process),
        ONE(test_heartbeats),
        ONE(test_cordoned_directories),
        ONE(test_clean_restart_writes_nothing_per_partition),
        ONE(test_unclean_restart_bumps_leader_epochs),
        ONE(test_restart_without_the_directory),
        ONE(test_partitions_left_by_apache),
        ONE(test_directory_fails),
        ONE(test_assign_directories),
        THREE(test_fencing_moves_leaders),
        THREE(test_unclean_restart_of_another_broker),
        THREE(test_controlled_shutdown_of_another_broker),
        THREE(test_placement_is_even),
        THREE(test_unregister),
        THREE(test_alter_partition),
        THREE(test_elect_leaders),
        THREE(test_reassignments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
