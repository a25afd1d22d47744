// A member's offsets: committed when they were dealt with, asked for when a partition comes.
#include "base/memory.h"
#include "client/group_private.h"

// ---- Commit ----

void group_note_positions(struct group_consumer *g) {
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        int64_t position, end;
        if (!o->is_reading) continue;
        if (!consumer_position(g->reader, o->id.topic, o->id.partition, &position, &end)) continue;
        if (position >= 0) o->dealt_with = position;
    }
}

static enum err commit_verdict(struct coordinator_call *call) {
    const struct offset_commit_response *r = call->call.response;
    for (int32_t t = 0; t < r->topics_count; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_count; p++) {
            int16_t code = r->topics[t].partitions[p].error_code;
            if (code != 0) return err_of_wire(code);
        }
    }
    return ERR_NONE;
}

static void commit_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, commit);
    g->commit_busy = false;
    client_call_release(&call->call);
    if (result == ERR_NONE) {
        for (int32_t t = 0; t < g->commit_request.topics_count; t++) {
            const struct offset_commit_request_topic *topic = &g->commit_request.topics[t];
            for (int32_t i = 0; i < g->owned_count; i++) {
                if (slice_equal(g->owned[i].id.topic, topic->name) &&
                    g->owned[i].id.partition == topic->partitions[0].partition_index) {
                    g->owned[i].committed = topic->partitions[0].committed_offset;
                }
            }
        }
    }
    void (*done)(void *, enum err) = g->commit_done;
    void (*after)(struct group_consumer *) = g->after_commit;
    g->commit_done = NULL;
    g->after_commit = NULL;
    if (done != NULL) done(g->commit_context, result);
    if (after != NULL) after(g);
}

// Before version 10 topics go by name, which is what we know; each partition is a row of its own.
static void fill_commit(struct group_consumer *g) {
    arena_reset(&g->commit_arena);
    struct offset_commit_request *r = &g->commit_request;
    codec_init(&offset_commit_request_codec, r);
    r->group_id = g->options.group;
    r->generation_id_or_member_epoch = g->generation;
    r->member_id = arena_copy(&g->commit_arena, g->member_id);
    r->topics = offset_commit_request_topic_new(&g->commit_arena, MAX(g->owned_count, 1));
    for (int32_t i = 0; i < g->owned_count; i++) {
        const struct owned_partition *o = &g->owned[i];
        if (o->dealt_with < 0 || o->dealt_with == o->committed) continue;
        struct offset_commit_request_topic *t = &r->topics[r->topics_count++];
        t->name = arena_copy(&g->commit_arena, o->id.topic);
        t->partitions = offset_commit_request_partition_new(&g->commit_arena, 1);
        t->partitions_count = 1;
        t->partitions[0].partition_index = o->id.partition;
        t->partitions[0].committed_offset = o->dealt_with;
        t->partitions[0].committed_metadata = SLICE_EMPTY;
    }
}

static void commit_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, commit);
    if (call->version >= 7) g->commit_request.group_instance_id = g->options.instance_id;
}

bool group_commit_start(struct group_consumer *g, void (*after)(struct group_consumer *g)) {
    if (g->commit_busy) {
        g->after_commit = after;
        return true;
    }
    if (g->generation < 0) return false;
    fill_commit(g);
    if (g->commit_request.topics_count == 0) return false;
    g->commit_busy = true;
    g->after_commit = after;
    g->commit = (struct coordinator_call){
        .call = {.api = API_OFFSET_COMMIT,
                 .version_min = 2,
                 .version_max = 9,
                 .message = &g->commit_request,
                 .prepare = commit_prepare},
        .verdict = commit_verdict,
        .done = commit_done,
    };
    coordinator_call_start(&g->coordinator, &g->commit);
    return true;
}

enum err group_consumer_commit(struct group_consumer *g,
                               void (*done)(void *context, enum err result), void *context) {
    if (g->commit_busy) return ERR_BUSY;
    group_note_positions(g);
    g->commit_done = done;
    g->commit_context = context;
    if (group_commit_start(g, NULL)) return ERR_NONE;
    g->commit_done = NULL;
    return ERR_NOT_FOUND;
}

// ---- Fetch ----

static struct owned_partition *find_owned(struct group_consumer *g, struct slice topic,
                                          int32_t partition) {
    for (int32_t i = 0; i < g->owned_count; i++) {
        struct owned_partition *o = &g->owned[i];
        if (o->id.partition == partition && slice_equal(o->id.topic, topic)) return o;
    }
    return NULL;
}

static void begin_reading(struct group_consumer *g, struct owned_partition *o, int64_t committed) {
    int64_t offset = committed >= 0 ? committed : g->options.reset;
    if (offset == 0 && committed < 0) {
        group_fail(g, ERR_OFFSET_OUT_OF_RANGE, "a partition has no committed offset");
        return;
    }
    enum err e = consumer_assign(g->reader, o->id.topic, o->id.partition, offset);
    if (e != ERR_NONE) {
        group_fail(g, e, "a committed offset makes no sense");
        return;
    }
    o->is_reading = true;
    o->committed = committed;
    o->dealt_with = -1;
}

static void take_offset(struct group_consumer *g, struct slice topic, int32_t partition,
                        int64_t offset) {
    struct owned_partition *o = find_owned(g, topic, partition);
    if (o != NULL && !o->is_reading) begin_reading(g, o, offset);
}

// The first error of the answer, whatever its version's shape.
static enum err fetch_verdict(struct coordinator_call *call) {
    const struct offset_fetch_response *r = call->call.response;
    if (r->error_code != 0) return err_of_wire(r->error_code);
    for (int32_t t = 0; t < r->topics_count; t++) {
        for (int32_t p = 0; p < r->topics[t].partitions_count; p++) {
            int16_t code = r->topics[t].partitions[p].error_code;
            if (code != 0) return err_of_wire(code);
        }
    }
    for (int32_t g = 0; g < r->groups_count; g++) {
        if (r->groups[g].error_code != 0) return err_of_wire(r->groups[g].error_code);
    }
    return ERR_NONE;
}

static void fetch_done(struct coordinator_call *call, enum err result) {
    struct group_consumer *g = container_of(call, struct group_consumer, fetch);
    g->fetch_busy = false;
    if (result == ERR_NONE && g->state != GROUP_LEAVING) {
        const struct offset_fetch_response *r = call->call.response;
        for (int32_t t = 0; t < r->topics_count; t++) {
            for (int32_t p = 0; p < r->topics[t].partitions_count; p++) {
                take_offset(g, r->topics[t].name, r->topics[t].partitions[p].partition_index,
                            r->topics[t].partitions[p].committed_offset);
            }
        }
        for (int32_t i = 0; i < r->groups_count; i++) {
            for (int32_t t = 0; t < r->groups[i].topics_count; t++) {
                const struct offset_fetch_response_group_topic *topic = &r->groups[i].topics[t];
                for (int32_t p = 0; p < topic->partitions_count; p++) {
                    take_offset(g, topic->name, topic->partitions[p].partition_index,
                                topic->partitions[p].committed_offset);
                }
            }
        }
    }
    client_call_release(&call->call);
    if (result == ERR_CANCELLED || g->state == GROUP_LEAVING) return;
    if (result != ERR_NONE) {
        group_fail(g, result, "the committed offsets cannot be read");
        return;
    }
    // Partitions that came meanwhile.
    group_fetch_offsets(g);
    group_wake(g);
}

static void fetch_prepare(struct client_call *call) {
    struct coordinator_call *c = container_of(call, struct coordinator_call, call);
    struct group_consumer *g = container_of(c, struct group_consumer, fetch);
    struct offset_fetch_request *r = &g->fetch_request;
    codec_init(&offset_fetch_request_codec, r);
    arena_reset(&g->fetch_arena);
    struct arena *arena = &g->fetch_arena;
    int32_t count = 0;
    struct offset_fetch_request_topic *topics =
        offset_fetch_request_topic_new(arena, g->owned_count);
    struct offset_fetch_request_group_topic *group_topics =
        offset_fetch_request_group_topic_new(arena, g->owned_count);
    for (int32_t i = 0; i < g->owned_count; i++) {
        if (g->owned[i].is_reading) continue;
        int32_t *index = arena_alloc(arena, sizeof *index);
        *index = g->owned[i].id.partition;
        struct slice name = arena_copy(arena, g->owned[i].id.topic);
        topics[count].name = group_topics[count].name = name;
        topics[count].partition_indexes = group_topics[count].partition_indexes = index;
        topics[count].partition_indexes_count = group_topics[count].partition_indexes_count = 1;
        count++;
    }
    if (call->version >= 8) {
        r->groups = offset_fetch_request_group_new(arena, 1);
        r->groups_count = 1;
        r->groups[0].group_id = g->options.group;
        r->groups[0].topics = group_topics;
        r->groups[0].topics_count = count;
    } else {
        r->group_id = g->options.group;
        r->topics = topics;
        r->topics_count = count;
    }
    if (call->version >= 7) r->require_stable = g->options.consumer.read_committed;
}

void group_fetch_offsets(struct group_consumer *g) {
    bool any = false;
    for (int32_t i = 0; i < g->owned_count; i++)
        any |= !g->owned[i].is_reading;
    if (!any || g->fetch_busy) return;
    g->fetch_busy = true;
    g->fetch = (struct coordinator_call){
        .call = {.api = API_OFFSET_FETCH,
                 .version_min = 1,
                 .version_max = 9,
                 .message = &g->fetch_request,
                 .prepare = fetch_prepare},
        .verdict = fetch_verdict,
        .done = fetch_done,
    };
    coordinator_call_start(&g->coordinator, &g->fetch);
}
