// What the tests of the group coordinator share: one reactor with a partition of __consumer_offsets
// on the simulated disk, requests, and a check that a coordinator that loads the partition anew
// holds the same state.
#pragma once

#include "test/replica/kit.h"

#include "base/string_buffer.h"
#include "gen/apis.h"
#include "group/classic.h"
#include "group/consumer.h"
#include "group/group.h"
#include "group/state.h"
#include "runtime/store.h"

// Requests are written as tables: what is not named is zero.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define SECONDS(n)    ((uint64_t)(n)*S)
#define ANY           (-2)  // a generation that does not matter
#define GROUPS_TOPIC  1
#define DATA_TOPIC    2
#define OTHER_TOPIC   3
#define JOIN_DELAY_MS 3000

struct bed {
    struct kit kit;
    struct group_coordinator *coordinator;
    bool is_stopped;
};

// One request on its way.
struct ask {
    struct group_call call;
    struct bed *bed;
    struct arena arena;
    int done;
    enum err result;
    union {
        struct join_group_request join;
        struct sync_group_request sync;
        struct heartbeat_request heartbeat;
        struct leave_group_request leave;
        struct offset_commit_request commit;
        struct offset_fetch_request_group fetch;
        struct txn_offset_commit_request pending;
        struct consumer_group_heartbeat_request consumer;
        struct offset_delete_request remove;
        struct list_groups_request list;
    } in;
    union {
        struct join_group_response join;
        struct sync_group_response sync;
        struct heartbeat_response heartbeat;
        struct leave_group_response leave;
        struct offset_commit_response commit;
        struct offset_fetch_response_group fetch;
        struct txn_offset_commit_response pending;
        struct consumer_group_heartbeat_response consumer;
        struct consumer_group_describe_response_group consumers;
        struct offset_delete_response remove;
        struct describe_groups_response_group describe;
        struct delete_groups_response_result delete;
        struct list_groups_response list;
    } out;
};

// ---- The coordinator ----

static inline struct group_shard *bed_shard(struct bed *bed) {
    assert_false(list_is_empty(&bed->coordinator->shards));
    return container_of(bed->coordinator->shards.next, struct group_shard, link);
}

static inline void bed_begin(void *context) {
    struct bed *bed = context;
    bed->coordinator = group_coordinator_new(kit_env(&bed->kit), bed->kit.managers[0], NODE_ID);
    group_coordinator_publish(bed->coordinator, bed->kit.image, bed->kit.config);
}

static inline void bed_boot(struct bed *bed) {
    kit_boot(&bed->kit);
    sim_node_call(bed->kit.node, bed_begin, bed);
    sim_settle(bed->kit.sim, 10 * MS);
    assert_true(bed_shard(bed)->is_loaded);
}

static inline void bed_config(struct bed *bed, const char *setting) {
    assert_int_equal(config_add_override(bed->kit.config, slice_cstring(setting), &bed->kit.error),
                     ERR_NONE);
}

// `settings`: of the broker, NULL-terminated; may be NULL.
static inline void bed_init_with(struct bed *bed, const char *const *settings) {
    *bed = (struct bed){0};
    kit_init(&bed->kit, 1, MUTANT_NONE);
    if (settings != NULL) {
        config_free(bed->kit.config);
        bed->kit.config = config_new();
        config_add_standalone_defaults(bed->kit.config);
        bed_config(bed, "group.initial.rebalance.delay.ms=3000");
        for (int i = 0; settings[i] != NULL; i++)
            bed_config(bed, settings[i]);
        assert_int_equal(config_finish(bed->kit.config, &bed->kit.error), ERR_NONE);
    }
    kit_topic(&bed->kit, GROUP_TOPIC, GROUPS_TOPIC, 1);
    kit_topic(&bed->kit, "topic", DATA_TOPIC, 3);
    kit_topic(&bed->kit, "other", OTHER_TOPIC, 1);
    bed_boot(bed);
}

static inline void bed_init(struct bed *bed) {
    static const char *const settings[] = {NULL};
    bed_init_with(bed, settings);
}

static inline void bed_stopped(void *context) {
    ((struct bed *)context)->is_stopped = true;
}

static inline void bed_stop_inside(void *context) {
    struct bed *bed = context;
    group_coordinator_stop(bed->coordinator, bed_stopped, bed);
}

static inline void bed_free_inside(void *context) {
    struct bed *bed = context;
    group_coordinator_free(bed->coordinator);
}

static inline void bed_stop(struct bed *bed) {
    bed->is_stopped = false;
    sim_node_call(bed->kit.node, bed_stop_inside, bed);
    sim_settle(bed->kit.sim, 10 * MS);
    assert_true(bed->is_stopped);
    sim_node_call(bed->kit.node, bed_free_inside, bed);
    kit_stop(&bed->kit);
}

static inline void bed_restart(struct bed *bed) {
    bed_stop(bed);
    bed_boot(bed);
}

static inline void bed_deinit(struct bed *bed) {
    bed_stop(bed);
    kit_deinit(&bed->kit);
}

// Brings the coordinator to the image with all records so far.
static inline void bed_publish_inside(void *context) {
    struct bed *bed = context;
    group_coordinator_publish(bed->coordinator, bed->kit.image, bed->kit.config);
}

static inline void bed_publish(struct bed *bed) {
    struct image *before = bed->kit.image == NULL ? NULL : image_ref(bed->kit.image);
    kit_apply(&bed->kit);
    sim_node_call(bed->kit.node, bed_publish_inside, bed);
    if (before != NULL) image_unref(before);
    sim_settle(bed->kit.sim, 10 * MS);
}

static inline void bed_wait(struct bed *bed, uint64_t ns) {
    sim_run(bed->kit.sim, ns, NULL);
}

static inline struct group *bed_group(struct bed *bed, const char *id) {
    return group_find(bed_shard(bed), slice_cstring(id));
}

// "Dead": not there.
static inline const char *bed_state(struct bed *bed, const char *id) {
    const struct group *g = bed_group(bed, id);
    return g == NULL ? "Dead" : classic_state_name(g);
}

// ---- Live state is replayed state ----

// What a restart keeps of a group: not the members' timers, not who waits.
static inline void bed_digest(const struct group *g, struct string_buffer *out) {
    string_buffer_format(out, "group %.*s\n", SLICE_PRINT(g->id));
    const struct classic_group *c = g->classic;
    // A group in the middle of a rebalance is ahead of its record.
    bool settled = c != NULL && (c->state == CLASSIC_STABLE ||
                                 (c->state == CLASSIC_EMPTY && c->pending.count == 0));
    if (settled && c->has_record) {
        string_buffer_format(out, "%s generation %d type %.*s protocol %.*s leader %.*s at %lld\n",
                             classic_state_name(g), c->generation, SLICE_PRINT(c->protocol_type),
                             SLICE_PRINT(c->protocol_name), SLICE_PRINT(c->leader),
                             (long long)(c->state == CLASSIC_EMPTY ? c->state_timestamp : 0));
        string_buffer_format(out, "reads '%s'\n",
                             c->subscribed.size == 0 ? "" : (const char *)c->subscribed.data);
        map_for_each(n, &c->members) {
            const struct classic_member *m = container_of(n, struct classic_member, by_id);
            string_buffer_format(
                out, "member %.*s instance %.*s of %.*s %.*s %d %d: %.*s\n", SLICE_PRINT(m->id),
                SLICE_PRINT(m->instance_id), SLICE_PRINT(m->client_id), SLICE_PRINT(m->client_host),
                m->session_timeout_ms, m->rebalance_timeout_ms, SLICE_PRINT(m->assignment));
        }
    }
}

static inline void bed_digest_list(const char *name, const struct partition_list *list,
                                   struct string_buffer *out) {
    string_buffer_format(out, " %s", name);
    for (int32_t i = 0; i < list->count; i++)
        string_buffer_format(out, " %d-%d@%d", list->items[i].topic.bytes[15],
                             list->items[i].partition, list->items[i].epoch);
}

// Lines in an order of their own, as members of a loaded group come in any.
static inline void bed_digest_consumer(const struct consumer_group *c, struct string_buffer *out) {
    struct string_buffer lines[64];
    size_t count = 0;
    string_buffer_format(out, "epoch %d hash %lld assignment %d at %lld classic %d owned %zu\n",
                         c->epoch, (long long)c->metadata_hash, c->assignment_epoch,
                         (long long)c->assignment_timestamp, c->classic_count, c->owners.count);
    map_for_each(n, &c->members) {
        const struct consumer_member *m = container_of(n, struct consumer_member, by_id);
        struct string_buffer *line = &lines[count++];
        assert_true(count < COUNT_OF(lines));
        string_buffer_init(line);
        string_buffer_format(line, "%.*s %.*s %.*s regex %.*s timeout %d classic %d %d",  //
                             SLICE_PRINT(m->id), SLICE_PRINT(m->metadata.instance_id),
                             SLICE_PRINT(m->metadata.client_id), SLICE_PRINT(m->metadata.regex),
                             m->metadata.rebalance_timeout_ms, m->metadata.is_classic,
                             m->metadata.protocol_count);
        string_buffer_format(line, " at %d/%d %d", m->progress.epoch, m->progress.previous_epoch,
                             m->progress.state);
        bed_digest_list("has", &m->progress.assigned, line);
        bed_digest_list("revokes", &m->progress.revoking, line);
        bed_digest_list("target", &m->target, line);
    }
    map_for_each(n, &c->topics) {
        const struct consumer_topic *t = container_of(n, struct consumer_topic, by_name);
        string_buffer_init(&lines[count]);
        string_buffer_format(&lines[count++], "topic %.*s %d %d", SLICE_PRINT(n->key),
                             t->member_count, t->regex_count);
    }
    map_for_each(n, &c->regexes) {
        const struct consumer_regex *r = container_of(n, struct consumer_regex, by_text);
        string_buffer_init(&lines[count]);
        string_buffer_format(&lines[count++], "regex %.*s %d %d %d", SLICE_PRINT(n->key),
                             r->member_count, r->is_resolved, r->names.count);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (strcmp(lines[i].text, lines[k].text) > 0) {
                struct string_buffer swap = lines[i];
                lines[i] = lines[k];
                lines[k] = swap;
            }
    for (size_t i = 0; i < count; i++) {
        string_buffer_format(out, "%s\n", lines[i].text);
        string_buffer_deinit(&lines[i]);
    }
}

static inline int bed_compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline uint64_t bed_offsets_hash(const struct group *g) {
    uint64_t hash = 0;
    map_for_each(n, &g->offsets) {
        const struct committed_offset *o = container_of(n, struct committed_offset, by_key);
        hash += (slice_hash(o->topic, 1) ^ slice_hash(o->metadata, 2)) + (uint64_t)o->offset * 31 +
                (uint64_t)o->partition * 7919 + (uint64_t)o->commit_timestamp +
                (uint64_t)o->expire_timestamp * 3 + (uint64_t)o->leader_epoch;
    }
    return hash;
}

static inline void bed_check_group(const struct group *live, const struct group *replayed) {
    if (replayed == NULL) {
        // Nothing of it was ever written.
        assert_int_equal(live->offsets.count, 0);
        assert_int_equal(live->pending.count, 0);
        assert_true(live->classic != NULL && !live->classic->has_record);
        return;
    }
    struct string_buffer a, b;
    string_buffer_init(&a);
    string_buffer_init(&b);
    const struct classic_group *c = live->classic;
    assert_int_equal(live->consumer != NULL, replayed->consumer != NULL);
    if (live->consumer != NULL) {
        bed_digest_consumer(live->consumer, &a);
        bed_digest_consumer(replayed->consumer, &b);
        assert_string_equal(a.text, b.text);
    }
    bool settled =
        c != NULL && c->has_record &&
        (c->state == CLASSIC_STABLE || (c->state == CLASSIC_EMPTY && c->pending.count == 0));
    if (settled) {
        bed_digest(live, &a);
        bed_digest(replayed, &b);
        assert_string_equal(a.text, b.text);
    }
    string_buffer_deinit(&a);
    string_buffer_deinit(&b);
    assert_int_equal(live->offsets.count, replayed->offsets.count);
    assert_true(bed_offsets_hash(live) == bed_offsets_hash(replayed));
    assert_int_equal(live->pending.count, replayed->pending.count);
    map_for_each(n, &live->pending) assert_non_null(map_get(&replayed->pending, n->key));
}

static inline int64_t bed_end(const struct group_shard *s) {
    return runtime_last_offset(partition_log_shard(s->log));
}

static inline bool bed_is_replayed(struct bed *bed) {
    struct bed second = {.kit = bed->kit};
    sim_node_call(bed->kit.node, bed_begin, &second);
    sim_settle(bed->kit.sim, 10 * MS);
    struct group_shard *live = bed_shard(bed), *replayed = bed_shard(&second);
    assert_true(replayed->is_loaded);
    bool is_same = bed_end(live) == bed_end(replayed);
    if (is_same) {
        assert_int_equal(runtime_committed_offset(partition_log_shard(live->log)), bed_end(live));
        assert_true(store_hash(&live->store) == store_hash(&replayed->store));
        map_for_each(n, &live->groups)
            bed_check_group(container_of(n, struct group, by_id), group_find(replayed, n->key));
        map_for_each(n, &replayed->groups) assert_non_null(group_find(live, n->key));
    }
    sim_node_call(bed->kit.node, bed_free_inside, &second);
    return is_same;
}

// A timer may write in the middle of it: then once more.
static inline void bed_check(struct bed *bed) {
    for (int i = 0; !bed_is_replayed(bed); i++)
        assert_true(i < 10);
}

// ---- Requests ----

static inline void ask_done(struct group_call *call, enum err result) {
    struct ask *ask = container_of(call, struct ask, call);
    ask->done++;
    ask->result = result;
}

static inline void ask_inside(void *context) {
    struct ask *ask = context;
    group_call_start(ask->bed->coordinator, &ask->call);
}

static inline void ask_init(struct bed *bed, struct ask *ask, enum api_key api, int16_t version,
                            const char *group) {
    memset(ask, 0, sizeof *ask);
    ask->bed = bed;
    arena_init(&ask->arena);
    ask->call = (struct group_call){.api = api,
                                    .version = version,
                                    .group_id = slice_cstring(group),
                                    .client_id = SLICE_LITERAL("client"),
                                    .client_host = SLICE_LITERAL("/127.0.0.1"),
                                    .request = &ask->in,
                                    .response = &ask->out,
                                    .arena = &ask->arena,
                                    .done = ask_done};
}

static inline void ask_start(struct ask *ask) {
    sim_node_call(ask->bed->kit.node, ask_inside, ask);
    sim_settle(ask->bed->kit.sim, 10 * MS);
}

static inline void ask_free(struct ask *ask) {
    arena_deinit(&ask->arena);
}

static inline void expect(const struct ask *ask, enum err error, int16_t wire) {
    assert_int_equal(ask->done, 1);
    assert_int_equal(ask->result, ERR_NONE);
    assert_string_equal(err_name((enum err)wire), err_name(error));
}

// A subscription of the consumer protocol, version 1, to one topic.
static inline struct slice subscription(struct arena *arena, const char *topic) {
    size_t size = strlen(topic);
    uint8_t *bytes = arena_zalloc(arena, 1, 16 + size);
    bytes[1] = 1;
    bytes[5] = 1;
    bytes[7] = (uint8_t)size;
    memcpy(bytes + 8, topic, size);
    memset(bytes + 8 + size, 0xff, 4);
    return slice_of(bytes, 16 + size);
}

// The same, with partitions of the topic that the member has: "0,2".
static inline struct slice subscription_owning(struct arena *arena, const char *topic,
                                               const char *owned) {
    struct slice plain = subscription(arena, topic);
    size_t size = strlen(topic), count = 0;
    uint8_t *bytes = arena_zalloc(arena, 1, plain.size + 2 + size + 4 + strlen(owned) * 4);
    memcpy(bytes, plain.data, plain.size - 4);
    uint8_t *at = bytes + plain.size - 4;
    at[3] = 1;
    at[5] = (uint8_t)size;
    memcpy(at + 6, topic, size);
    at += 6 + size;
    for (const char *p = owned; *p != '\0'; p++)
        if (*p != ',') at[4 + 4 * count++ + 3] = (uint8_t)(*p - '0');
    at[3] = (uint8_t)count;
    return slice_of(bytes, (size_t)(at - bytes) + 4 + 4 * count);
}

struct joining {
    const char *group, *member, *instance;  // instance NULL: dynamic
    const char *protocols;                  // "range,sticky"; NULL: "range"
    const char *type;                       // NULL: "consumer"
    const char *topic;                      // NULL: "topic"; "?": no subscription at all
    int16_t version;                        // 0: 9
    int32_t session_ms, rebalance_ms;       // 0: 10 s, 60 s
    const char *owned;  // partitions of "topic" that it says it has; NULL: does not say
};

static inline void join_start(struct bed *bed, struct ask *ask, struct joining j) {
    int16_t version = j.version == 0 ? 9 : j.version;
    ask_init(bed, ask, API_JOIN_GROUP, version, j.group);
    codec_init(&join_group_request_codec, &ask->in.join);
    codec_init(&join_group_response_codec, &ask->out.join);
    struct join_group_request *m = &ask->in.join;
    m->group_id = slice_cstring(j.group);
    m->member_id = arena_copy(&ask->arena, slice_cstring(j.member));
    if (j.instance != NULL) m->group_instance_id = slice_cstring(j.instance);
    m->protocol_type = slice_cstring(j.type == NULL ? "consumer" : j.type);
    m->session_timeout_ms = j.session_ms == 0 ? 10000 : j.session_ms;
    m->rebalance_timeout_ms = j.rebalance_ms == 0 ? 60000 : j.rebalance_ms;
    struct slice rest = slice_cstring(j.protocols == NULL ? "range" : j.protocols), one;
    m->protocols = join_group_request_protocol_new(&ask->arena, 4);
    while (rest.size > 0) {
        if (!slice_split(rest, ',', &one, &rest)) one = rest, rest = SLICE_EMPTY;
        struct join_group_request_protocol *p = &m->protocols[m->protocols_count++];
        p->name = one;
        p->metadata = j.topic != NULL && j.topic[0] == '?' ? SLICE_LITERAL("x")
                      : j.owned != NULL
                          ? subscription_owning(&ask->arena, "topic", j.owned)
                          : subscription(&ask->arena, j.topic == NULL ? "topic" : j.topic);
    }
    ask_start(ask);
}

static inline const char *joined_id(struct ask *ask) {
    return arena_cstring(&ask->arena, ask->out.join.member_id);
}

// A dynamic member: asks for its id, and joins with it; the join may wait.
static inline const char *join_dynamic(struct bed *bed, struct ask *ask, struct arena *arena,
                                       struct joining j) {
    struct ask first;
    j.member = "";
    join_start(bed, &first, j);
    expect(&first, ERR_MEMBER_ID_REQUIRED, first.out.join.error_code);
    const char *id = arena_cstring(arena, first.out.join.member_id);
    ask_free(&first);
    j.member = id;
    join_start(bed, ask, j);
    return id;
}

struct syncing {
    const char *group, *member, *instance;
    int32_t generation;
    const char *type, *protocol;  // NULL: "consumer", "range"
    const char *members[4];       // the leader's: everybody's assignment is "to <member>"
    const char *partitions;       // instead: these of "topic" ("0,2")
};

static inline void sync_start(struct bed *bed, struct ask *ask, struct syncing s) {
    ask_init(bed, ask, API_SYNC_GROUP, 5, s.group);
    codec_init(&sync_group_request_codec, &ask->in.sync);
    codec_init(&sync_group_response_codec, &ask->out.sync);
    struct sync_group_request *m = &ask->in.sync;
    m->group_id = slice_cstring(s.group);
    m->member_id = arena_copy(&ask->arena, slice_cstring(s.member));
    if (s.instance != NULL) m->group_instance_id = slice_cstring(s.instance);
    m->generation_id = s.generation;
    m->protocol_type = slice_cstring(s.type == NULL ? "consumer" : s.type);
    m->protocol_name = slice_cstring(s.protocol == NULL ? "range" : s.protocol);
    m->assignments = sync_group_request_assignment_new(&ask->arena, 4);
    for (int i = 0; i < 4 && s.members[i] != NULL; i++) {
        struct sync_group_request_assignment *a = &m->assignments[m->assignments_count++];
        a->member_id = arena_copy(&ask->arena, slice_cstring(s.members[i]));
        a->assignment = arena_format(&ask->arena, "to %s", s.members[i]);
        if (s.partitions == NULL) continue;
        struct partition_list list = partition_list_new(&ask->arena, 8);
        for (const char *p = s.partitions; *p != '\0'; p++)
            if (*p != ',') partition_list_add(&list, kit_topic_id(DATA_TOPIC), *p - '0');
        a->assignment = consumer_assignment_write(bed->kit.image, &list, 1, &ask->arena);
    }
    ask_start(ask);
}

static inline enum err beat(struct bed *bed, const char *group, const char *member,
                            const char *instance, int32_t generation) {
    struct ask ask;
    ask_init(bed, &ask, API_HEARTBEAT, 4, group);
    codec_init(&heartbeat_request_codec, &ask.in.heartbeat);
    ask.in.heartbeat.member_id = slice_cstring(member);
    if (instance != NULL) ask.in.heartbeat.group_instance_id = slice_cstring(instance);
    ask.in.heartbeat.generation_id = generation;
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    assert_int_equal(ask.result, ERR_NONE);
    ask_free(&ask);
    return (enum err)ask.out.heartbeat.error_code;
}

static inline enum err leave(struct bed *bed, const char *group, const char *member,
                             const char *instance) {
    struct ask ask;
    ask_init(bed, &ask, API_LEAVE_GROUP, 5, group);
    codec_init(&leave_group_request_codec, &ask.in.leave);
    ask.in.leave.members = leave_group_request_member_new(&ask.arena, 1);
    ask.in.leave.members_count = 1;
    ask.in.leave.members[0].member_id = slice_cstring(member);
    if (instance != NULL) ask.in.leave.members[0].group_instance_id = slice_cstring(instance);
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    assert_int_equal(ask.result, ERR_NONE);
    assert_int_equal(ask.out.leave.error_code, 0);
    enum err err = (enum err)ask.out.leave.members[0].error_code;
    ask_free(&ask);
    return err;
}

// ---- Consumer groups ----

struct beating {
    const char *group, *member, *instance;  // instance NULL: dynamic
    int32_t epoch;
    const char *topics;    // "a,b"; NULL: not said
    const char *regex;     // NULL: not said
    const char *owned;     // "0,1": partitions of "topic"; NULL: not said
    int32_t rebalance_ms;  // 0: 60 s when joining, else not said
    const char *assignor;  // NULL: not said
};

static inline void beat_start(struct bed *bed, struct ask *ask, struct beating b) {
    ask_init(bed, ask, API_CONSUMER_GROUP_HEARTBEAT, 1, b.group);
    codec_init(&consumer_group_heartbeat_request_codec, &ask->in.consumer);
    codec_init(&consumer_group_heartbeat_response_codec, &ask->out.consumer);
    struct consumer_group_heartbeat_request *m = &ask->in.consumer;
    m->group_id = slice_cstring(b.group);
    m->member_id = slice_cstring(b.member);
    m->member_epoch = b.epoch;
    if (b.instance != NULL) m->instance_id = slice_cstring(b.instance);
    if (b.rebalance_ms != 0 || b.epoch == 0)
        m->rebalance_timeout_ms = b.rebalance_ms == 0 ? 60000 : b.rebalance_ms;
    if (b.regex != NULL) m->subscribed_topic_regex = slice_cstring(b.regex);
    if (b.assignor != NULL) m->server_assignor = slice_cstring(b.assignor);
    if (b.topics != NULL) {
        struct slice rest = slice_cstring(b.topics), one;
        m->subscribed_topic_names_count = 0;
        m->subscribed_topic_names = arena_zalloc(&ask->arena, 8, sizeof(struct slice));
        while (rest.size > 0) {
            if (!slice_split(rest, ',', &one, &rest)) one = rest, rest = SLICE_EMPTY;
            m->subscribed_topic_names[m->subscribed_topic_names_count++] = one;
        }
    }
    if (b.owned == NULL && b.epoch == 0) b.owned = "";
    if (b.owned != NULL) {
        m->topic_partitions = consumer_group_heartbeat_request_topic_partition_new(&ask->arena, 1);
        m->topic_partitions_count = b.owned[0] != '\0';
        m->topic_partitions[0].topic_id = kit_topic_id(DATA_TOPIC);
        m->topic_partitions[0].partitions = arena_zalloc(&ask->arena, 8, sizeof(int32_t));
        for (const char *at = b.owned; *at != '\0'; at++)
            if (*at != ',')
                m->topic_partitions[0].partitions[m->topic_partitions[0].partitions_count++] =
                    *at - '0';
    }
    ask_start(ask);
}

// "3: 0,1" (epoch and partitions of "topic"), "3" (no assignment given), or the error's name.
static inline const char *heartbeat(struct bed *bed, struct beating b) {
    static char texts[4][128];
    static int next;
    char *text = texts[next++ % 4];
    struct ask ask;
    beat_start(bed, &ask, b);
    assert_int_equal(ask.done, 1);
    const struct consumer_group_heartbeat_response *out = &ask.out.consumer;
    if (ask.result != ERR_NONE || out->error_code != 0) {
        enum err err = ask.result != ERR_NONE ? ask.result : (enum err)out->error_code;
        snprintf(text, 128, "%s", err_name(err));
    } else {
        int at = snprintf(text, 128, "%d%s", out->member_epoch, out->assignment == NULL ? "" : ":");
        int32_t topics = out->assignment == NULL ? 0 : out->assignment->topic_partitions_count;
        for (int32_t t = 0; t < topics; t++) {
            const struct consumer_group_heartbeat_response_topic_partitions *p =
                &out->assignment->topic_partitions[t];
            bool is_other = uuid_equal(p->topic_id, kit_topic_id(OTHER_TOPIC));
            for (int32_t i = 0; i < p->partitions_count; i++)
                at += snprintf(text + at, 128 - (size_t)at, "%s%s%d", t + i == 0 ? " " : ",",
                               is_other ? "o" : "", p->partitions[i]);
        }
    }
    ask_free(&ask);
    return text;
}

static inline const char *bed_consumer_state(struct bed *bed, const char *id) {
    const struct group *g = bed_group(bed, id);
    return g == NULL ? "Dead" : g->consumer == NULL ? "classic" : consumer_state_name(g);
}

struct committing {
    const char *group, *member, *instance;  // member NULL: none
    int32_t generation, partition;
    int64_t offset;
    const char *topic, *metadata;  // NULL: "topic", ""
    int64_t retention_ms;          // 0: not said
    int16_t version;               // 0: 9
    int topic_id;                  // 0: none
};

// The call's error, or the partition's.
static inline enum err commit(struct bed *bed, struct committing k) {
    struct ask ask;
    ask_init(bed, &ask, API_OFFSET_COMMIT, k.version == 0 ? 9 : k.version, k.group);
    codec_init(&offset_commit_request_codec, &ask.in.commit);
    codec_init(&offset_commit_response_codec, &ask.out.commit);
    struct offset_commit_request *m = &ask.in.commit;
    m->member_id = slice_cstring(k.member == NULL ? "" : k.member);
    if (k.instance != NULL) m->group_instance_id = slice_cstring(k.instance);
    m->generation_id_or_member_epoch = k.generation;
    m->retention_time_ms = k.retention_ms == 0 ? -1 : k.retention_ms;
    m->topics = offset_commit_request_topic_new(&ask.arena, 1);
    m->topics_count = 1;
    m->topics[0].name = slice_cstring(k.topic == NULL ? "topic" : k.topic);
    if (k.topic_id != 0) m->topics[0].topic_id = kit_topic_id(k.topic_id);
    m->topics[0].partitions = offset_commit_request_partition_new(&ask.arena, 1);
    m->topics[0].partitions_count = 1;
    m->topics[0].partitions[0].partition_index = k.partition;
    m->topics[0].partitions[0].committed_offset = k.offset;
    m->topics[0].partitions[0].committed_leader_epoch = 3;
    m->topics[0].partitions[0].committed_metadata =
        k.metadata == NULL ? SLICE_NULL : slice_cstring(k.metadata);
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    enum err err = ask.result != ERR_NONE
                       ? ask.result
                       : (enum err)ask.out.commit.topics[0].partitions[0].error_code;
    ask_free(&ask);
    return err;
}

// The same inside a transaction.
static inline enum err commit_in(struct bed *bed, int64_t producer_id, int16_t producer_epoch,
                                 struct committing k) {
    struct ask ask;
    ask_init(bed, &ask, API_TXN_OFFSET_COMMIT, k.version == 0 ? 5 : k.version, k.group);
    codec_init(&txn_offset_commit_request_codec, &ask.in.pending);
    codec_init(&txn_offset_commit_response_codec, &ask.out.pending);
    struct txn_offset_commit_request *m = &ask.in.pending;
    m->producer_id = producer_id;
    m->producer_epoch = producer_epoch;
    m->member_id = slice_cstring(k.member == NULL ? "" : k.member);
    if (k.instance != NULL) m->group_instance_id = slice_cstring(k.instance);
    m->generation_id_or_member_epoch = k.generation;
    m->topics = txn_offset_commit_request_topic_new(&ask.arena, 1);
    m->topics_count = 1;
    m->topics[0].name = slice_cstring(k.topic == NULL ? "topic" : k.topic);
    if (k.topic_id != 0) m->topics[0].topic_id = kit_topic_id(k.topic_id);
    m->topics[0].partitions = txn_offset_commit_request_partition_new(&ask.arena, 1);
    m->topics[0].partitions_count = 1;
    m->topics[0].partitions[0].partition_index = k.partition;
    m->topics[0].partitions[0].committed_offset = k.offset;
    m->topics[0].partitions[0].committed_metadata =
        k.metadata == NULL ? SLICE_NULL : slice_cstring(k.metadata);
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    enum err err = ask.result != ERR_NONE
                       ? ask.result
                       : (enum err)ask.out.pending.topics[0].partitions[0].error_code;
    ask_free(&ask);
    return err;
}

struct marking {
    struct group_marker marker;
    struct bed *bed;
    int done;
    enum err result;
};

static inline void marking_done(struct group_marker *marker, enum err result) {
    struct marking *marking = container_of(marker, struct marking, marker);
    marking->done++;
    marking->result = result;
}

static inline void mark_inside(void *context) {
    struct marking *marking = context;
    group_marker_start(marking->bed->coordinator, &marking->marker);
}

// Ends the producer's transaction.
static inline enum err mark(struct bed *bed, int64_t producer_id, int16_t producer_epoch,
                            bool is_commit) {
    struct marking marking = {.bed = bed,
                              .marker = {.producer_id = producer_id,
                                         .producer_epoch = producer_epoch,
                                         .commit = is_commit,
                                         .done = marking_done}};
    sim_node_call(bed->kit.node, mark_inside, &marking);
    sim_settle(bed->kit.sim, 10 * MS);
    assert_int_equal(marking.done, 1);
    return marking.result;
}

// -1: none, -2: unstable.
static inline int64_t fetch_as(struct bed *bed, const char *group, const char *topic,
                               int32_t partition, int topic_id, bool require_stable) {
    struct ask ask;
    ask_init(bed, &ask, API_OFFSET_FETCH, 9, group);
    ask.call.require_stable = require_stable;
    ask.in.fetch.group_id = slice_cstring(group);
    ask.in.fetch.member_epoch = -1;
    ask.in.fetch.topics = offset_fetch_request_group_topic_new(&ask.arena, 1);
    ask.in.fetch.topics_count = 1;
    ask.in.fetch.topics[0].name = slice_cstring(topic);
    if (topic_id != 0) ask.in.fetch.topics[0].topic_id = kit_topic_id(topic_id);
    ask.in.fetch.topics[0].partition_indexes = &partition;
    ask.in.fetch.topics[0].partition_indexes_count = 1;
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    assert_int_equal(ask.result, ERR_NONE);
    const struct offset_fetch_response_topic_partition *p = ask.out.fetch.topics[0].partitions;
    int64_t offset = p->committed_offset;
    if (p->error_code != 0) {
        assert_string_equal(err_name((enum err)p->error_code),
                            err_name(ERR_UNSTABLE_OFFSET_COMMIT));
        assert_int_equal(offset, -1);
        offset = -2;
    }
    ask_free(&ask);
    return offset;
}

static inline int64_t fetch(struct bed *bed, const char *group, const char *topic,
                            int32_t partition, int topic_id) {
    return fetch_as(bed, group, topic, partition, topic_id, false);
}

static inline enum err delete_group(struct bed *bed, const char *group) {
    struct ask ask;
    ask_init(bed, &ask, API_DELETE_GROUPS, 2, group);
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    assert_int_equal(ask.result, ERR_NONE);
    enum err err = (enum err)ask.out.delete.error_code;
    ask_free(&ask);
    return err;
}

// The call's error, or the partition's.
static inline enum err delete_offset_of(struct bed *bed, const char *group, const char *topic,
                                        int32_t partition) {
    struct ask ask;
    ask_init(bed, &ask, API_OFFSET_DELETE, 0, group);
    ask.in.remove.topics = offset_delete_request_topic_new(&ask.arena, 1);
    ask.in.remove.topics_count = 1;
    ask.in.remove.topics[0].name = slice_cstring(topic);
    ask.in.remove.topics[0].partitions = offset_delete_request_partition_new(&ask.arena, 1);
    ask.in.remove.topics[0].partitions_count = 1;
    ask.in.remove.topics[0].partitions[0].partition_index = partition;
    ask_start(&ask);
    assert_int_equal(ask.done, 1);
    enum err err = ask.result != ERR_NONE
                       ? ask.result
                       : (enum err)ask.out.remove.topics[0].partitions[0].error_code;
    ask_free(&ask);
    return err;
}

// ---- Groups in a certain state ----

// A stable group of one dynamic member; returns its id.
static inline const char *bed_stable(struct bed *bed, const char *group, struct arena *arena,
                                     struct joining j) {
    struct ask join, sync;
    j.group = group;
    const char *id = join_dynamic(bed, &join, arena, j);
    bed_wait(bed, (JOIN_DELAY_MS + 10) * MS);
    expect(&join, ERR_NONE, join.out.join.error_code);
    sync_start(bed, &sync,
               (struct syncing){
                   group, id, .generation = join.out.join.generation_id, .type = j.type,
                   .protocol = arena_cstring(arena, join.out.join.protocol_name), .members = {id}});
    expect(&sync, ERR_NONE, sync.out.sync.error_code);
    ask_free(&join);
    ask_free(&sync);
    assert_string_equal(bed_state(bed, group), "Stable");
    return id;
}
