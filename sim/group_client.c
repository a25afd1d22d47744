#include "sim/group_client.h"

#include "base/assert.h"

#define MS UINT64_C(1000000)

enum { FETCH_BY_ID = 10, COMMIT_BY_ID = 10, REQUEST_MS = 800 };
enum { PACE_MS = 60, PACE_MAX_MS = 400 };

// ---- Places ----

static const struct place_topic *topic_of(struct clients *clients, struct uuid id) {
    for (int32_t i = 0; i < clients->place_topic_count; i++) {
        if (uuid_equal(clients->places[i].id, id)) return &clients->places[i];
    }
    int32_t index = clients->place_topic_count;
    int32_t first = index == 0 ? 0 : clients->partition_count + (index - 1) * PLACES_PER_TOPIC;
    if (index == PLACE_TOPICS_MAX || first + PLACES_PER_TOPIC > PLACES_MAX) return NULL;
    clients->places[index] = (struct place_topic){.id = id, .first = first};
    clients->place_topic_count++;
    return &clients->places[index];
}

int32_t place_of(struct clients *clients, struct uuid topic_id, int32_t partition) {
    const struct place_topic *topic = topic_of(clients, topic_id);
    int32_t count = topic == &clients->places[0] ? clients->partition_count : PLACES_PER_TOPIC;
    if (topic == NULL || partition < 0 || partition >= count) return -1;
    return topic->first + partition;
}

int32_t places_in_topic(const struct clients *clients, int32_t topic, uint64_t places,
                        int32_t *partitions) {
    int32_t first = clients->places[topic].first;
    int32_t size = topic == 0 ? clients->partition_count : PLACES_PER_TOPIC;
    int32_t count = 0;
    for (int32_t i = 0; i < size; i++) {
        if (places >> (first + i) & 1) partitions[count++] = i;
    }
    return count;
}

// ---- Life ----

void group_client_init(struct group_client *c, const struct group_client_options *options) {
    c->env = options->env;
    c->clients = options->clients;
    c->groups = options->groups;
    c->who = options->who;
    c->number = options->number;
    c->group = options->group;
    c->pace_ns = MIN((uint64_t)MAX(options->member_count / 4, 1) * PACE_MS, PACE_MAX_MS) * MS;
    arena_init(&c->arena);
    struct peer_options peer = peer_options_default();
    peer.host = SLICE_LITERAL("broker");
    peer.port = 9092;
    for (size_t i = 0; i < COUNT_OF(c->peers); i++)
        c->peers[i] = peer_new(c->env, &peer);
    env_timer_init(&c->timer, options->go_on);
    group_client_wait(c, group_client_below(c, 300 * MS));
}

uint64_t group_client_below(struct group_client *c, uint64_t bound) {
    return env_random(c->env) % bound;
}

void group_client_wait(struct group_client *c, uint64_t delay_ns) {
    env_timer_start(c->env, &c->timer, env_now_ns(c->env) + delay_ns);
}

void group_client_release(struct group_client *c) {
    peer_request_release(&c->request);
    arena_reset(&c->arena);
}

// ---- Requests ----

void group_client_ask(struct group_client *c, enum api_key api, void *message, int16_t version_min,
                      int16_t version_max, uint64_t timeout_ms, group_client_done *done) {
    c->sent_ns = env_now_ns(c->env);
    c->request = (struct peer_request){.api = api,
                                       .version_min = version_min,
                                       .version_max = version_max,
                                       .message = message,
                                       .deadline_ns = c->sent_ns + timeout_ms * MS,
                                       .done = done};
    peer_send(c->peers[group_client_below(c, 4) == 0], &c->request);
}

void group_client_find(struct group_client *c, group_client_done *done) {
    struct find_coordinator_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&find_coordinator_request_codec, r);
    r->key = c->group;
    group_client_ask(c, API_FIND_COORDINATOR, r, 1, 3, REQUEST_MS, done);
}

static void fetch_by_name(struct group_client *c, group_client_done *done) {
    struct offset_fetch_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&offset_fetch_request_codec, r);
    r->group_id = c->group;
    r->topics_count = 1;
    r->topics = offset_fetch_request_topic_new(&c->arena, 1);
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partition_indexes = arena_zalloc(&c->arena, PLACES_MAX, sizeof(int32_t));
    r->topics[0].partition_indexes_count =
        places_in_topic(c->clients, 0, c->unfetched, r->topics[0].partition_indexes);
    group_client_ask(c, API_OFFSET_FETCH, r, 1, 7, REQUEST_MS, done);
}

void group_client_fetch(struct group_client *c, bool by_id, group_client_done *done) {
    for (int32_t i = 0; i < PLACES_MAX; i++) {
        if (c->unfetched >> i & 1) c->floors[i] = group_ledger_offset(c->groups, i);
    }
    if (!by_id) {
        fetch_by_name(c, done);
        return;
    }
    struct offset_fetch_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&offset_fetch_request_codec, r);
    r->groups = offset_fetch_request_group_new(&c->arena, 1);
    r->groups_count = 1;
    r->groups[0].group_id = c->group;
    r->groups[0].topics = offset_fetch_request_group_topic_new(&c->arena, PLACE_TOPICS_MAX);
    r->groups[0].topics_count = 0;
    for (int32_t i = 0; i < c->clients->place_topic_count; i++) {
        struct offset_fetch_request_group_topic *t =
            &r->groups[0].topics[r->groups[0].topics_count];
        t->topic_id = c->clients->places[i].id;
        t->partition_indexes = arena_zalloc(&c->arena, PLACES_MAX, sizeof(int32_t));
        t->partition_indexes_count =
            places_in_topic(c->clients, i, c->unfetched, t->partition_indexes);
        if (t->partition_indexes_count > 0) r->groups[0].topics_count++;
    }
    group_client_ask(c, API_OFFSET_FETCH, r, FETCH_BY_ID, FETCH_BY_ID, REQUEST_MS, done);
}

static void commit_topic(struct group_client *c, int32_t topic,
                         struct offset_commit_request_topic *t) {
    int32_t partitions[PLACES_MAX];
    t->name = SLICE_LITERAL(CLIENT_TOPIC);
    t->topic_id = c->clients->places[topic].id;
    t->partitions = offset_commit_request_partition_new(&c->arena, PLACES_MAX);
    t->partitions_count = places_in_topic(c->clients, topic, c->owned, partitions);
    for (int32_t i = 0; i < t->partitions_count; i++) {
        int32_t place = c->clients->places[topic].first + partitions[i];
        c->positions[place] += 1 + (int64_t)group_client_below(c, 5);
        group_ledger_committing(c->groups, place, c->positions[place]);
        t->partitions[i].partition_index = partitions[i];
        t->partitions[i].committed_offset = c->positions[place];
        t->partitions[i].committed_metadata = SLICE_EMPTY;
    }
}

void group_client_commit(struct group_client *c, bool by_id, group_client_done *done) {
    struct offset_commit_request *r = arena_zalloc(&c->arena, 1, sizeof *r);
    codec_init(&offset_commit_request_codec, r);
    r->group_id = c->group;
    r->generation_id_or_member_epoch = c->epoch;
    r->member_id = slice_cstring(c->id);
    r->topics = offset_commit_request_topic_new(&c->arena, PLACE_TOPICS_MAX);
    r->topics_count = 0;
    int32_t topics = by_id ? c->clients->place_topic_count : 1;
    for (int32_t i = 0; i < topics; i++) {
        commit_topic(c, i, &r->topics[r->topics_count]);
        if (r->topics[r->topics_count].partitions_count > 0) r->topics_count++;
    }
    group_client_ask(c, API_OFFSET_COMMIT, r, by_id ? COMMIT_BY_ID : 1, by_id ? COMMIT_BY_ID : 9,
                     REQUEST_MS, done);
}

// ---- Answers ----

// Only topics that come and go may be unknown, and only to those who name them by id.
static bool topic_went(const struct group_client *c, struct uuid id, enum err err) {
    return err == ERR_UNKNOWN_TOPIC_ID && !uuid_equal(id, c->clients->places[0].id);
}

static enum err fetched_offset(struct group_client *c, int32_t place, int64_t offset,
                               enum err err) {
    if (place < 0) return ERR_CORRUPT;
    uint64_t bit = UINT64_C(1) << place;
    if (err == ERR_NONE) {
        group_ledger_fetched(c->groups, place, offset, c->floors[place]);
        c->positions[place] = offset;
    }
    c->unfetched &= ~bit;
    return ERR_NONE;
}

enum err group_client_fetched(struct group_client *c,
                              const struct offset_fetch_response *response) {
    enum err err = err_of_wire(response->error_code);
    for (int32_t i = 0; err == ERR_NONE && i < response->topics_count; i++) {
        for (int32_t k = 0; err == ERR_NONE && k < response->topics[i].partitions_count; k++) {
            const struct offset_fetch_response_partition *p = &response->topics[i].partitions[k];
            err = err_of_wire(p->error_code);
            bool there =
                p->partition_index >= 0 && p->partition_index < c->clients->partition_count;
            if (err == ERR_NONE)
                err = fetched_offset(c, there ? p->partition_index : -1, p->committed_offset, err);
        }
    }
    if (err != ERR_NONE || response->groups_count == 0) return err;
    const struct offset_fetch_response_group *group = &response->groups[0];
    err = err_of_wire(group->error_code);
    for (int32_t i = 0; err == ERR_NONE && i < group->topics_count; i++) {
        const struct offset_fetch_response_group_topic *t = &group->topics[i];
        for (int32_t k = 0; err == ERR_NONE && k < t->partitions_count; k++) {
            enum err own = err_of_wire(t->partitions[k].error_code);
            int32_t place = place_of(c->clients, t->topic_id, t->partitions[k].partition_index);
            if (own != ERR_NONE && !topic_went(c, t->topic_id, own)) {
                err = own;
            } else {
                err = fetched_offset(c, place, t->partitions[k].committed_offset, own);
            }
        }
    }
    return err;
}

enum err group_client_committed(struct group_client *c,
                                const struct offset_commit_response *response) {
    enum err err = response->topics_count == 0 ? ERR_CORRUPT : ERR_NONE;
    for (int32_t i = 0; i < response->topics_count; i++) {
        const struct offset_commit_response_topic *t = &response->topics[i];
        bool by_id = !uuid_is_zero(t->topic_id);
        for (int32_t k = 0; k < t->partitions_count; k++) {
            enum err own = err_of_wire(t->partitions[k].error_code);
            int32_t place = t->partitions[k].partition_index;
            if (by_id) place = place_of(c->clients, t->topic_id, place);
            if (place < 0 || place >= PLACES_MAX) {
                err = ERR_CORRUPT;
            } else if (own == ERR_NONE) {
                group_ledger_committed(c->groups, place, c->positions[place], c->epoch,
                                       env_now_ns(c->env));
            } else if (!by_id || !topic_went(c, t->topic_id, own)) {
                err = own;
            }
        }
    }
    return err;
}

void group_client_doubt_commit(struct group_client *c) {
    for (int32_t i = 0; i < PLACES_MAX; i++) {
        if (c->owned >> i & 1)
            group_ledger_doubted(c->groups, i, c->positions[i], c->epoch, env_now_ns(c->env));
    }
}
