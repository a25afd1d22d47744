// Images: every record type is applied or kept; whatever the way, equal content hashes equal; old
// images stay; snapshots lose nothing.
#include "test/test.h"

#include "base/memory.h"
#include "base/prng.h"
#include "gen/messages.h"
#include "metadata/features.h"
#include "metadata/image_diff.h"

// One image under test with the log of everything that was applied to it.
struct fixture {
    struct arena arena;
    struct image *image;
    struct slice log[4096];
    int32_t log_count;
};

static int setup(void **state) {
    struct fixture *f = memory_zalloc(1, sizeof *f);
    arena_init(&f->arena);
    f->image = image_new();
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    image_unref(f->image);
    arena_deinit(&f->arena);
    memory_free(f);
    return 0;
}

static enum err try_apply(struct fixture *f, struct metadata_record record, struct message *error) {
    struct slice bytes;
    assert_int_equal(metadata_record_frame(&record, &f->arena, &bytes, error), ERR_NONE);
    enum err err = image_apply(&f->image, record.type, record.message, f->log_count, 1, error);
    if (err == ERR_NONE) f->log[f->log_count++] = bytes;
    return err;
}

static void apply(struct fixture *f, struct metadata_record record) {
    struct message error;
    message_init(&error);
    if (try_apply(f, record, &error) != ERR_NONE) fail_msg("%s", error.text);
}

#define RECORD(f, type_, version_, struct_, ...)                                            \
    ({                                                                                      \
        struct metadata_record record_ = metadata_record_new(type_, version_, &(f)->arena); \
        struct struct_ *m = record_.message;                                                \
        __VA_ARGS__;                                                                        \
        record_;                                                                            \
    })

static struct slice text(struct fixture *f, const char *format, int number) {
    return arena_format(&f->arena, format, number);
}

static struct uuid id_of(int number) {
    struct uuid id = UUID_ZERO;
    store_i32(id.bytes, number);
    id.bytes[15] = 7;
    return id;
}

static void feature(struct fixture *f, const char *name, int16_t level) {
    apply(f, RECORD(f, METADATA_FEATURE_LEVEL, 0, feature_level_record,
                    m->name = slice_cstring(name), m->feature_level = level));
}

static void topic(struct fixture *f, const char *name, int number) {
    apply(f, RECORD(f, METADATA_TOPIC, 0, topic_record, m->name = slice_cstring(name),
                    m->topic_id = id_of(number)));
}

static struct metadata_record partition_record(struct fixture *f, int number, int32_t partition,
                                               int32_t leader) {
    int32_t *replicas = arena_zalloc(&f->arena, 2, sizeof *replicas);
    replicas[0] = 1, replicas[1] = 2;
    struct uuid *directories = arena_zalloc(&f->arena, 2, sizeof *directories);
    directories[0] = id_of(91), directories[1] = id_of(92);
    return RECORD(f, METADATA_PARTITION, 2, partition_record, m->partition_id = partition,
                  m->topic_id = id_of(number), m->replicas = replicas, m->replicas_count = 2,
                  m->isr = replicas, m->isr_count = 2, m->leader = leader, m->leader_epoch = 0,
                  m->partition_epoch = 0, m->directories = directories, m->directories_count = 2);
}

static void config(struct fixture *f, int8_t type, const char *resource, const char *key,
                   const char *value) {
    apply(f, RECORD(f, METADATA_CONFIG, 0, config_record, m->resource_type = type,
                    m->resource_name = slice_cstring(resource), m->name = slice_cstring(key),
                    m->value = slice_cstring(value)));
}

static struct metadata_record broker(struct fixture *f, int32_t id, int64_t epoch) {
    struct register_broker_record_end_point *end =
        register_broker_record_end_point_new(&f->arena, 1);
    *end = (struct register_broker_record_end_point){
        SLICE_LITERAL("PLAINTEXT"), SLICE_LITERAL("host"), 9092, 0, {0}};
    struct register_broker_record_feature *range = register_broker_record_feature_new(&f->arena, 1);
    *range = (struct register_broker_record_feature){SLICE_LITERAL("metadata.version"), 7, 33, {0}};
    struct uuid *directories = arena_zalloc(&f->arena, 1, sizeof *directories);
    directories[0] = id_of(90);
    return RECORD(f, METADATA_REGISTER_BROKER, 4, register_broker_record, m->broker_id = id,
                  m->broker_epoch = epoch, m->incarnation_id = id_of(5), m->end_points = end,
                  m->end_points_count = 1, m->features = range, m->features_count = 1,
                  m->log_dirs = directories, m->log_dirs_count = 1);
}

// The image rebuilt from its own snapshot, and from the log: both must hash as it does.
static void check_rebuilds(struct fixture *f) {
    uint64_t hash = image_hash(f->image);
    struct arena arena;
    arena_init(&arena);
    struct message error;
    message_init(&error);
    struct image *from_snapshot = image_new();
    struct image_cursor cursor = {0};
    struct metadata_record record;
    while (image_next_record(f->image, &cursor, &arena, &record)) {
        struct slice bytes;
        struct metadata_record decoded;
        assert_int_equal(metadata_record_frame(&record, &arena, &bytes, &error), ERR_NONE);
        assert_int_equal(metadata_record_decode(bytes, &arena, &decoded, &error), ERR_NONE);
        assert_int_equal(image_apply(&from_snapshot, decoded.type, decoded.message, 1, 1, &error),
                         ERR_NONE);
    }
    assert_int_equal(image_hash(from_snapshot), hash);
    image_unref(from_snapshot);
    struct image *from_log = image_new();
    for (int32_t i = 0; i < f->log_count; i++) {
        struct metadata_record decoded;
        assert_int_equal(metadata_record_decode(f->log[i], &arena, &decoded, &error), ERR_NONE);
        struct image *kept = i % 3 == 0 ? image_ref(from_log) : NULL;
        assert_int_equal(image_apply(&from_log, decoded.type, decoded.message, i, 1, &error),
                         ERR_NONE);
        image_unref(kept);
    }
    assert_int_equal(image_hash(from_log), hash);
    assert_int_equal(image_offset(from_log), image_offset(f->image));
    image_unref(from_log);
    arena_deinit(&arena);
}

// ---- Topics ----

static void test_topics(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    topic(f, "b", 2);
    topic(f, "a", 1);
    for (int32_t p = 0; p < 3; p++)
        apply(f, partition_record(f, 1, p, 1));
    apply(f, partition_record(f, 2, 0, 2));
    assert_int_equal(image_topic_count(f->image), 2);
    assert_int_equal(image_partition_count(f->image), 4);
    const struct topic_image *a = image_topic(f->image, SLICE_LITERAL("a"));
    assert_ptr_equal(a, image_topic_by_id(f->image, id_of(1)));
    assert_ptr_equal(a, image_topic_after(f->image, SLICE_NULL));
    assert_int_equal(a->partition_count, 3);
    assert_null(topic_partition(a, 3));
    assert_null(topic_partition(a, -1));

    int32_t isr[] = {2};
    apply(f, RECORD(f, METADATA_PARTITION_CHANGE, 2, partition_change_record, m->partition_id = 1,
                    m->topic_id = id_of(1), m->isr = isr, m->isr_count = 1, m->leader = 2));
    const struct partition_image *p = topic_partition(image_topic(f->image, SLICE_LITERAL("a")), 1);
    assert_int_equal(p->leader, 2);
    assert_int_equal(p->leader_epoch, 1);
    assert_int_equal(p->partition_epoch, 1);
    assert_int_equal(p->isr_count, 1);
    assert_int_equal(p->replica_count, 2);
    struct uuid last = id_of(92);
    assert_memory_equal(p->directories[1].bytes, last.bytes, 16);
    check_rebuilds(f);

    config(f, CONFIG_RESOURCE_TOPIC, "a", "retention.ms", "7");
    apply(f, RECORD(f, METADATA_REMOVE_TOPIC, 0, remove_topic_record, m->topic_id = id_of(1)));
    struct slice value;
    assert_null(image_topic(f->image, SLICE_LITERAL("a")));
    assert_false(image_config(f->image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("a"),
                              SLICE_LITERAL("retention.ms"), &value));
    assert_int_equal(image_partition_count(f->image), 1);
    check_rebuilds(f);
}

static void test_contradictions_change_nothing(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    topic(f, "a", 1);
    apply(f, partition_record(f, 1, 0, 1));
    apply(f, broker(f, 1, 50));
    uint64_t hash = image_hash(f->image);
    struct metadata_record bad[] = {
        RECORD(f, METADATA_TOPIC, 0, topic_record, m->name = SLICE_LITERAL("a"),
               m->topic_id = id_of(9)),
        RECORD(f, METADATA_TOPIC, 0, topic_record, m->name = SLICE_LITERAL("z"),
               m->topic_id = id_of(1)),
        partition_record(f, 3, 0, 1),
        partition_record(f, 1, -1, 1),
        partition_record(f, 1, 2000000000, 1),
        RECORD(f, METADATA_PARTITION_CHANGE, 2, partition_change_record, m->partition_id = 1,
               m->topic_id = id_of(1)),
        RECORD(f, METADATA_REMOVE_TOPIC, 0, remove_topic_record, m->topic_id = id_of(4)),
        RECORD(f, METADATA_CLEAR_ELR, 0, clear_elr_record, m->topic_name = SLICE_LITERAL("nope")),
        RECORD(f, METADATA_FENCE_BROKER, 0, fence_broker_record, m->id = 1, m->epoch = 49),
        RECORD(f, METADATA_UNFENCE_BROKER, 0, unfence_broker_record, m->id = 2, m->epoch = 50),
        RECORD(f, METADATA_BROKER_REGISTRATION_CHANGE, 3, broker_registration_change_record,
               m->broker_id = 1, m->broker_epoch = 50, m->fenced = 2),
        RECORD(f, METADATA_UNREGISTER_BROKER, 0, unregister_broker_record, m->broker_id = 1),
        RECORD(f, METADATA_UNREGISTER_CONTROLLER, 0, unregister_controller_record,
               m->controller_id = 1),
        RECORD(f, METADATA_FEATURE_LEVEL, 0, feature_level_record,
               m->name = SLICE_LITERAL("metadata.version"), m->feature_level = 34),
        RECORD(f, METADATA_FEATURE_LEVEL, 0, feature_level_record, m->name = SLICE_LITERAL("wings"),
               m->feature_level = 1),
        RECORD(f, METADATA_CLIENT_QUOTA, 0, client_quota_record, m->key = SLICE_LITERAL("x")),
        RECORD(f, METADATA_REMOVE_ACCESS_CONTROL_ENTRY, 0, remove_access_control_entry_record,
               m->id = id_of(1)),
        RECORD(f, METADATA_REMOVE_USER_SCRAM_CREDENTIAL, 0, remove_user_scram_credential_record,
               m->name = SLICE_LITERAL("alice"), m->mechanism = 1),
        RECORD(f, METADATA_END_TRANSACTION, 0, end_transaction_record, (void)m),
        RECORD(f, METADATA_ABORT_TRANSACTION, 0, abort_transaction_record, (void)m),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct message error;
        for (int shared = 0; shared < 2; shared++) {
            struct image *kept = shared ? image_ref(f->image) : NULL;
            message_init(&error);
            if (try_apply(f, bad[i], &error) != ERR_INVALID) fail_msg("record %zu was taken", i);
            assert_true(strlen(error.text) > 0);
            assert_int_equal(image_hash(f->image), hash);
            image_unref(kept);
        }
    }
}

static void test_colliding_names(void **state) {
    struct fixture *f = *state;
    topic(f, "a.b_c", 1);
    topic(f, "plain", 2);
    assert_non_null(image_topic_colliding(f->image, SLICE_LITERAL("a_b_c")));
    assert_non_null(image_topic_colliding(f->image, SLICE_LITERAL("a_b.c")));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("a.b_c")));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("a.b")));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("a.b.c.d")));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("plain")));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("pla.in")));
    apply(f, RECORD(f, METADATA_REMOVE_TOPIC, 0, remove_topic_record, m->topic_id = id_of(1)));
    assert_null(image_topic_colliding(f->image, SLICE_LITERAL("a_b_c")));
}

// ---- Cluster, settings, kept records ----

static void test_brokers(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    apply(f, broker(f, 300, 10));
    apply(f, broker(f, 2, 11));
    const struct broker_image *b = image_broker_after(f->image, -1);
    assert_int_equal(b->id, 2);
    assert_true(b->fenced);
    assert_int_equal(b->cordoned_count, -1);
    assert_int_equal(image_broker_after(f->image, 2)->id, 300);
    assert_null(image_broker_after(f->image, 300));
    assert_int_equal(broker_endpoint(b, SLICE_LITERAL("PLAINTEXT"))->port, 9092);
    assert_null(broker_endpoint(b, SLICE_LITERAL("SSL")));
    struct uuid none[1];
    apply(f, RECORD(f, METADATA_BROKER_REGISTRATION_CHANGE, 3, broker_registration_change_record,
                    m->broker_id = 2, m->broker_epoch = 11, m->fenced = -1,
                    m->cordoned_log_dirs = none, m->cordoned_log_dirs_count = 0));
    b = image_broker(f->image, 2);
    assert_false(b->fenced);
    assert_int_equal(b->cordoned_count, 0);
    assert_int_equal(b->directory_count, 1);
    apply(f, RECORD(f, METADATA_BROKER_REGISTRATION_CHANGE, 1, broker_registration_change_record,
                    m->broker_id = 2, m->broker_epoch = 11, m->in_controlled_shutdown = 1));
    assert_true(image_broker(f->image, 2)->in_controlled_shutdown);
    check_rebuilds(f);
    apply(f, RECORD(f, METADATA_UNREGISTER_BROKER, 0, unregister_broker_record, m->broker_id = 300,
                    m->broker_epoch = 10));
    assert_null(image_broker(f->image, 300));
    apply(f, RECORD(f, METADATA_REGISTER_CONTROLLER, 0, register_controller_record,
                    m->controller_id = 7, m->incarnation_id = id_of(3)));
    assert_non_null(image_controller(f->image, 7));
    check_rebuilds(f);
}

static void test_settings(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    feature(f, "group.version", 1);
    feature(f, "transaction.version", 2);
    feature(f, "transaction.version", 0);
    assert_int_equal(image_feature(f->image, SLICE_LITERAL("group.version")), 1);
    assert_int_equal(image_feature(f->image, SLICE_LITERAL("transaction.version")), 0);
    struct slice name = SLICE_NULL;
    int16_t level;
    assert_true(image_feature_after(f->image, name, &name, &level));
    assert_true(slice_equal_cstring(name, "group.version"));
    assert_true(image_feature_after(f->image, name, &name, &level));
    assert_true(slice_equal_cstring(name, "metadata.version"));
    assert_int_equal(level, 30);
    assert_false(image_feature_after(f->image, name, &name, &level));

    config(f, CONFIG_RESOURCE_BROKER, "", "min.insync.replicas", "1");
    config(f, CONFIG_RESOURCE_BROKER, "1", "x", "");
    config(f, CONFIG_RESOURCE_TOPIC, "t", "b", "2");
    config(f, CONFIG_RESOURCE_TOPIC, "t", "a", "1");
    config(f, CONFIG_RESOURCE_TOPIC, "u", "a", "1");
    config(f, CONFIG_RESOURCE_TOPIC, "u", "a", NULL);
    struct slice value;
    assert_true(image_config(f->image, CONFIG_RESOURCE_BROKER, SLICE_LITERAL("1"),
                             SLICE_LITERAL("x"), &value));
    assert_int_equal(value.size, 0);
    assert_false(slice_is_null(value));
    struct slice resource = SLICE_NULL;
    assert_true(image_config_resource_after(f->image, CONFIG_RESOURCE_TOPIC, resource, &resource));
    assert_true(slice_equal_cstring(resource, "t"));
    assert_false(image_config_resource_after(f->image, CONFIG_RESOURCE_TOPIC, resource, &resource));
    resource = SLICE_NULL;
    assert_true(image_config_resource_after(f->image, CONFIG_RESOURCE_BROKER, resource, &resource));
    assert_int_equal(resource.size, 0);
    struct slice key = SLICE_NULL;
    assert_true(
        image_config_after(f->image, CONFIG_RESOURCE_TOPIC, SLICE_LITERAL("t"), key, &key, &value));
    assert_true(slice_equal_cstring(key, "a"));

    struct client_quota_record_entity *pair = client_quota_record_entity_new(&f->arena, 2);
    pair[0].entity_type = SLICE_LITERAL("user"), pair[0].entity_name = SLICE_NULL;
    pair[1].entity_type = SLICE_LITERAL("client-id"), pair[1].entity_name = SLICE_LITERAL("c");
    struct client_quota_record_entity *swapped = client_quota_record_entity_new(&f->arena, 2);
    swapped[0] = pair[1], swapped[1] = pair[0];
    apply(f,
          RECORD(f, METADATA_CLIENT_QUOTA, 0, client_quota_record, m->entity = pair,
                 m->entity_count = 2, m->key = SLICE_LITERAL("producer_byte_rate"), m->value = 5));
    apply(f, RECORD(f, METADATA_CLIENT_QUOTA, 0, client_quota_record, m->entity = swapped,
                    m->entity_count = 2, m->key = SLICE_LITERAL("producer_byte_rate"),
                    m->value = 6.5));
    const struct quota_image *quota = image_quota_after(f->image, NULL);
    assert_true(quota->value == 6.5);
    assert_null(image_quota_after(f->image, quota));
    apply(f, RECORD(f, METADATA_PRODUCER_IDS, 0, producer_ids_record, m->next_producer_id = 1000));
    assert_int_equal(image_next_producer_id(f->image), 1000);
    check_rebuilds(f);
    apply(f, RECORD(f, METADATA_CLIENT_QUOTA, 0, client_quota_record, m->entity = pair,
                    m->entity_count = 2, m->key = SLICE_LITERAL("producer_byte_rate"),
                    m->remove = true));
    assert_null(image_quota_after(f->image, NULL));
    check_rebuilds(f);
}

static void test_kept_records(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    for (int i = 0; i < 3; i++) {
        apply(f, RECORD(f, METADATA_ACCESS_CONTROL_ENTRY, 0, access_control_entry_record,
                        m->id = id_of(i), m->principal = text(f, "User:u%d", i),
                        m->host = SLICE_LITERAL("*"), m->resource_name = SLICE_LITERAL("r")));
        apply(f, RECORD(f, METADATA_USER_SCRAM_CREDENTIAL, 0, user_scram_credential_record,
                        m->name = text(f, "u%d", i), m->mechanism = 1, m->iterations = 4096,
                        m->salt = SLICE_LITERAL("salt"), m->stored_key = SLICE_LITERAL("k"),
                        m->server_key = SLICE_LITERAL("s")));
        apply(f, RECORD(f, METADATA_DELEGATION_TOKEN, 0, delegation_token_record,
                        m->token_id = text(f, "t%d", i), m->owner = SLICE_LITERAL("o"),
                        m->requester = SLICE_LITERAL("q")));
    }
    apply(f, RECORD(f, METADATA_ZK_MIGRATION_STATE, 0, zk_migration_state_record,
                    m->zk_migration_state = 3));
    apply(f, RECORD(f, METADATA_NO_OP, 0, no_op_record, (void)m));
    check_rebuilds(f);
    apply(f, RECORD(f, METADATA_REMOVE_ACCESS_CONTROL_ENTRY, 0, remove_access_control_entry_record,
                    m->id = id_of(1)));
    apply(f,
          RECORD(f, METADATA_REMOVE_USER_SCRAM_CREDENTIAL, 0, remove_user_scram_credential_record,
                 m->name = SLICE_LITERAL("u0"), m->mechanism = 1));
    apply(f, RECORD(f, METADATA_REMOVE_DELEGATION_TOKEN, 0, remove_delegation_token_record,
                    m->token_id = SLICE_LITERAL("t2")));
    int32_t count = 0;
    struct slice key = SLICE_NULL;
    struct slice bytes;
    while (image_kept_after(f->image, METADATA_ACCESS_CONTROL_ENTRY, key, &key, &bytes))
        count++;
    assert_int_equal(count, 2);
    check_rebuilds(f);
}

// ---- Transactions, difference ----

static void test_transactions(void **state) {
    struct fixture *f = *state;
    feature(f, "metadata.version", 30);
    topic(f, "before", 1);
    uint64_t hash = image_hash(f->image);
    apply(f, RECORD(f, METADATA_BEGIN_TRANSACTION, 0, begin_transaction_record,
                    m->name = SLICE_LITERAL("x")));
    assert_int_equal(image_transaction_offset(f->image), 2);
    topic(f, "inside", 2);
    assert_non_null(image_topic(f->image, SLICE_LITERAL("inside")));
    assert_null(image_topic(image_stable(f->image), SLICE_LITERAL("inside")));
    apply(f, RECORD(f, METADATA_ABORT_TRANSACTION, 0, abort_transaction_record, (void)m));
    assert_int_equal(image_hash(f->image), hash);
    assert_int_equal(image_offset(f->image), 4);
    assert_int_equal(image_transaction_offset(f->image), -1);
    apply(f, RECORD(f, METADATA_BEGIN_TRANSACTION, 0, begin_transaction_record, (void)m));
    struct message error;
    message_init(&error);
    assert_int_equal(
        try_apply(f, RECORD(f, METADATA_BEGIN_TRANSACTION, 0, begin_transaction_record, (void)m),
                  &error),
        ERR_INVALID);
    topic(f, "inside", 2);
    apply(f, RECORD(f, METADATA_END_TRANSACTION, 0, end_transaction_record, (void)m));
    assert_ptr_equal(image_stable(f->image), f->image);
    assert_non_null(image_topic(f->image, SLICE_LITERAL("inside")));
    check_rebuilds(f);
}

struct changes {
    char text[256];
};

static void topic_changed(void *context, const struct topic_image *before,
                          const struct topic_image *after) {
    struct changes *changes = context;
    size_t used = strlen(changes->text);
    struct slice name = (before != NULL ? before : after)->name;
    snprintf(changes->text + used, sizeof changes->text - used, "%c%.*s ",
             before == NULL  ? '+'
             : after == NULL ? '-'
                             : '~',
             SLICE_PRINT(name));
}

static void config_changed(void *context, enum config_resource_type type, struct slice resource) {
    struct changes *changes = context;
    size_t used = strlen(changes->text);
    snprintf(changes->text + used, sizeof changes->text - used, "%d:%.*s ", (int)type,
             SLICE_PRINT(resource));
}

static void partition_changed(void *context, int32_t partition,
                              const struct partition_image *before,
                              const struct partition_image *after) {
    struct changes *changes = context;
    size_t used = strlen(changes->text);
    snprintf(changes->text + used, sizeof changes->text - used, "%c%d ",
             before == NULL  ? '+'
             : after == NULL ? '-'
                             : '~',
             partition);
}

static void test_difference(void **state) {
    struct fixture *f = *state;
    topic(f, "a", 1);
    topic(f, "b", 2);
    topic(f, "c", 3);
    for (int32_t p = 0; p < 4; p++)
        apply(f, partition_record(f, 2, p, 1));
    config(f, CONFIG_RESOURCE_TOPIC, "a", "k", "v");
    config(f, CONFIG_RESOURCE_BROKER, "", "k", "v");
    struct image *before = image_ref(f->image);
    uint64_t hash = image_hash(before);
    apply(f, RECORD(f, METADATA_REMOVE_TOPIC, 0, remove_topic_record, m->topic_id = id_of(1)));
    topic(f, "a", 9);
    topic(f, "d", 4);
    apply(f, RECORD(f, METADATA_PARTITION_CHANGE, 2, partition_change_record, m->partition_id = 2,
                    m->topic_id = id_of(2), m->leader = 1));
    apply(f, partition_record(f, 2, 4, 1));
    config(f, CONFIG_RESOURCE_BROKER, "", "k", "w");
    struct changes changes = {""};
    image_diff_topics(before, f->image, topic_changed, &changes);
    assert_string_equal(changes.text, "-a +a ~b +d ");
    changes.text[0] = '\0';
    image_diff_configs(before, f->image, config_changed, &changes);
    assert_string_equal(changes.text, "2:a 4: ");
    changes.text[0] = '\0';
    topic_diff_partitions(image_topic(before, SLICE_LITERAL("b")),
                          image_topic(f->image, SLICE_LITERAL("b")), partition_changed, &changes);
    assert_string_equal(changes.text, "~2 +4 ");
    changes.text[0] = '\0';
    image_diff_topics(NULL, before, topic_changed, &changes);
    assert_string_equal(changes.text, "+a +b +c ");
    assert_false(image_features_changed(before, f->image));
    assert_false(image_quotas_changed(before, f->image));
    assert_int_equal(image_hash(before), hash);
    assert_int_equal(image_topic(before, SLICE_LITERAL("b"))->partition_count, 4);
    image_unref(before);
}

// ---- Random runs ----

static bool random_step(struct fixture *f, struct prng *prng) {
    int number = (int)prng_below(prng, 12) + 1;
    struct slice name = text(f, number % 2 ? "t.%d" : "t_%d", number);
    struct message error;
    message_init(&error);
    const struct topic_image *there = image_topic(f->image, name);
    switch (prng_below(prng, 6)) {
        case 0:
            return try_apply(f,
                             RECORD(f, METADATA_TOPIC, 0, topic_record, m->name = name,
                                    m->topic_id = id_of(number)),
                             &error) == (there == NULL ? ERR_NONE : ERR_INVALID);
        case 1:
            return try_apply(f,
                             RECORD(f, METADATA_REMOVE_TOPIC, 0, remove_topic_record,
                                    m->topic_id = id_of(number)),
                             &error) == (there != NULL ? ERR_NONE : ERR_INVALID);
        case 2:
        case 3:
            if (there == NULL) return true;
            return try_apply(f,
                             partition_record(f, number, there->partition_count,
                                              (int32_t)prng_below(prng, 3)),
                             &error) == ERR_NONE;
        case 4: {
            if (there == NULL || there->partition_count == 0) return true;
            int32_t p = (int32_t)prng_below(prng, (uint64_t)there->partition_count);
            return try_apply(f,
                             RECORD(f, METADATA_PARTITION_CHANGE, 2, partition_change_record,
                                    m->partition_id = p, m->topic_id = id_of(number),
                                    m->leader = (int32_t)prng_below(prng, 3)),
                             &error) == ERR_NONE;
        }
        default:
            config(
                f, CONFIG_RESOURCE_TOPIC, (char *)arena_cstring(&f->arena, name), "k",
                prng_chance(prng, 1, 3) ? NULL : arena_cstring(&f->arena, text(f, "%d", number)));
            return true;
    }
}

static void test_random_runs_with_rollback(void **state) {
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture *f = *state;
        struct prng prng;
        prng_init(&prng, seed);
        feature(f, "metadata.version", 30);
        for (int round = 0; round < 12; round++) {
            struct image *kept = image_ref(f->image);
            uint64_t hash = image_hash(kept);
            int32_t log_count = f->log_count;
            for (int step = 0; step < 20; step++)
                assert_true(random_step(f, &prng));
            assert_int_equal(image_hash(kept), hash);
            if (prng_chance(&prng, 1, 3)) {
                image_unref(f->image);
                f->image = kept;
                f->log_count = log_count;
            } else {
                image_unref(kept);
            }
        }
        check_rebuilds(f);
        teardown(state);
        setup(state);
    }
}

static void test_large_topic_is_linear(void **state) {
    struct fixture *f = *state;
    topic(f, "big", 1);
    struct message error;
    message_init(&error);
    for (int32_t p = 0; p < 20000; p++) {
        struct arena arena = f->arena;
        arena_init(&f->arena);
        struct metadata_record record = partition_record(f, 1, p, 1);
        assert_int_equal(image_apply(&f->image, record.type, record.message, p, 1, &error),
                         ERR_NONE);
        arena_deinit(&f->arena);
        f->arena = arena;
    }
    assert_int_equal(image_topic(f->image, SLICE_LITERAL("big"))->partition_count, 20000);
}

static void test_bad_frames(void **state) {
    struct fixture *f = *state;
    static const char *const frames[] = {"",
                                         "\1",
                                         "\1\2",
                                         "\2\2\0",
                                         "\1\6\0",
                                         "\1\177\0",
                                         "\1\2\7",
                                         "\1\2\0\200\200\200\200\17x",
                                         "\1\24\0\0extra"};
    static const size_t sizes[] = {0, 1, 2, 3, 3, 3, 3, 9, 9};
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct metadata_record record;
        struct message error;
        message_init(&error);
        enum err err =
            metadata_record_decode(slice_of(frames[i], sizes[i]), &f->arena, &record, &error);
        assert_int_not_equal(err, ERR_NONE);
        assert_true(strlen(error.text) > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_topics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contradictions_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_colliding_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_brokers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_difference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_runs_with_rollback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_topic_is_linear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
