#include "raft/voters.h"

#define VOTERS_MAX 1000  // far above any quorum; bounds what a lying record may allocate

const struct raft_voter *raft_voters_find(const struct raft_voters *voters, int32_t id) {
    for (int32_t i = 0; i < voters->count; i++)
        if (voters->voters[i].id == id) return &voters->voters[i];
    return NULL;
}

struct raft_voters raft_voters_copy(const struct raft_voters *voters, struct arena *arena) {
    struct raft_voter *copies =
        arena_zalloc(arena, (size_t)voters->count, sizeof(struct raft_voter));
    for (int32_t i = 0; i < voters->count; i++) {
        const struct raft_voter *voter = &voters->voters[i];
        struct raft_endpoint *endpoints =
            arena_zalloc(arena, (size_t)voter->endpoint_count, sizeof(struct raft_endpoint));
        for (int32_t k = 0; k < voter->endpoint_count; k++) {
            endpoints[k].listener = arena_copy(arena, voter->endpoints[k].listener);
            endpoints[k].host = arena_copy(arena, voter->endpoints[k].host);
            endpoints[k].port = voter->endpoints[k].port;
        }
        copies[i] = *voter;
        copies[i].endpoints = endpoints;
    }
    return (struct raft_voters){copies, voters->count};
}

static bool voter_equal(const struct raft_voter *a, const struct raft_voter *b) {
    if (a->id != b->id || !uuid_equal(a->directory_id, b->directory_id)) return false;
    if (a->kraft_version_min != b->kraft_version_min) return false;
    if (a->kraft_version_max != b->kraft_version_max) return false;
    if (a->endpoint_count != b->endpoint_count) return false;
    for (int32_t i = 0; i < a->endpoint_count; i++) {
        const struct raft_endpoint *left = &a->endpoints[i], *right = &b->endpoints[i];
        if (!slice_equal(left->listener, right->listener)) return false;
        if (!slice_equal(left->host, right->host) || left->port != right->port) return false;
    }
    return true;
}

bool raft_voters_equal(const struct raft_voters *a, const struct raft_voters *b) {
    if (a->count != b->count) return false;
    for (int32_t i = 0; i < a->count; i++)
        if (!voter_equal(&a->voters[i], &b->voters[i])) return false;
    return true;
}

// ---- Text forms ----

struct voter_list {
    struct raft_voter *voters;
    int32_t count;
};

// Keeps the order of ids, which is also the order in Kafka's records. False when the id is there.
static bool insert_voter(struct voter_list *list, struct raft_voter voter) {
    int32_t at = 0;
    while (at < list->count && list->voters[at].id < voter.id)
        at++;
    if (at < list->count && list->voters[at].id == voter.id) return false;
    memmove(&list->voters[at + 1], &list->voters[at],
            (size_t)(list->count - at) * sizeof(struct raft_voter));
    list->voters[at] = voter;
    list->count++;
    return true;
}

static struct raft_voter make_voter(int32_t id, struct slice listener, struct slice host,
                                    int64_t port, struct uuid directory_id, struct arena *arena) {
    struct raft_endpoint *endpoint = arena_zalloc(arena, 1, sizeof(struct raft_endpoint));
    endpoint->listener = arena_copy(arena, listener);
    endpoint->host = arena_copy(arena, host);
    endpoint->port = (uint16_t)port;
    return (struct raft_voter){.id = id,
                               .directory_id = directory_id,
                               .endpoints = endpoint,
                               .endpoint_count = 1,
                               .kraft_version_min = 0,
                               .kraft_version_max = 1};
}

static size_t count_entries(struct slice text) {
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == ',';
    return count;
}

// The next entry of a comma-separated list, trimmed; false at the end.
static bool next_entry(struct slice *rest, struct slice *entry) {
    if (slice_is_null(*rest)) return false;
    struct slice right;
    if (!slice_split(*rest, ',', entry, &right)) {
        *entry = *rest;
        right = SLICE_NULL;
    }
    *entry = slice_trim(*entry);
    *rest = right;
    return true;
}

// "host:rest" or "[v6]:rest". False when there is no colon behind the host.
static bool split_host(struct slice text, struct slice *host, struct slice *rest) {
    struct slice tail;
    if (text.size > 0 && text.data[0] == '[') {
        struct slice inner = slice_sub(text, 1, text.size - 1);
        if (!slice_split(inner, ']', host, &tail)) return false;
        if (tail.size == 0 || tail.data[0] != ':') return false;
        *rest = slice_sub(tail, 1, tail.size - 1);
        return true;
    }
    return slice_split(text, ':', host, rest);
}

struct raft_voters raft_voters_of_config(const struct config *config, struct slice listener,
                                         struct arena *arena) {
    size_t capacity = (size_t)config_voter_count(config);
    struct voter_list list = {arena_zalloc(arena, capacity, sizeof(struct raft_voter)), 0};
    for (int32_t i = 0; i < config_voter_count(config); i++) {
        const struct config_voter *voter = config_voter_at(config, i);
        struct raft_voter made =
            make_voter(voter->id, listener, voter->host, voter->port, UUID_ZERO, arena);
        // Of an id that is named twice the last entry counts, as in Kafka's map.
        if (insert_voter(&list, made)) continue;
        for (int32_t k = 0; k < list.count; k++)
            if (list.voters[k].id == made.id) list.voters[k] = made;
    }
    return (struct raft_voters){list.voters, list.count};
}

static enum err refuse(struct message *error, const char *sentence) {
    message_set(error, "%s", sentence);
    return ERR_INVALID;
}

static enum err parse_initial_entry(struct slice entry, struct slice listener, struct arena *arena,
                                    struct voter_list *list, struct message *error) {
    struct slice id_text, rest, host, port_text, directory;
    int64_t id, port;
    struct uuid directory_id;
    if (!slice_split(entry, '@', &id_text, &rest))
        return refuse(error, "No @ found in dynamic voter string.");
    if (id_text.size == 0) return refuse(error, "Invalid @ at beginning of dynamic voter string.");
    if (!slice_parse_int64(id_text, &id) || id > INT32_MAX || id < INT32_MIN)
        return refuse(error, "Failed to parse node id in dynamic voter string.");
    if (id < 0) {
        message_set(error, "Invalid negative node id %lld in dynamic voter string.", (long long)id);
        return ERR_INVALID;
    }
    if (rest.size == 0) return refuse(error, "No hostname found after node id.");
    if (!split_host(rest, &host, &rest))
        return refuse(error, "No colon following hostname could be found.");
    if (!slice_split(rest, ':', &port_text, &directory))
        return refuse(error, "No colon following port could be found.");
    if (!slice_parse_int64(port_text, &port))
        return refuse(error, "Failed to parse port in dynamic voter string.");
    if (port < 0 || port > UINT16_MAX) {
        message_set(error, "Invalid port %lld in dynamic voter string.", (long long)port);
        return ERR_INVALID;
    }
    if (!uuid_parse(directory, &directory_id))
        return refuse(error, "Failed to parse directory ID in dynamic voter string.");
    if (!insert_voter(list, make_voter((int32_t)id, listener, host, port, directory_id, arena))) {
        message_set(error, "Node id %lld was specified more than once.", (long long)id);
        return ERR_INVALID;
    }
    return ERR_NONE;
}

enum err raft_voters_parse_initial(struct slice text, struct slice listener, struct arena *arena,
                                   struct raft_voters *voters, struct message *error) {
    size_t capacity = count_entries(text);
    if (capacity > VOTERS_MAX) {
        message_set(error, "more than %d voters", VOTERS_MAX);
        return ERR_LIMIT;
    }
    struct voter_list list = {arena_zalloc(arena, capacity, sizeof(struct raft_voter)), 0};
    struct slice rest = slice_trim(text), entry;
    while (next_entry(&rest, &entry)) {
        if (entry.size == 0) continue;
        enum err err = parse_initial_entry(entry, listener, arena, &list, error);
        if (err != ERR_NONE) return err;
    }
    if (list.count == 0) return refuse(error, "No voters given.");
    *voters = (struct raft_voters){list.voters, list.count};
    return ERR_NONE;
}
