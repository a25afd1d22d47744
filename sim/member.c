// Members of a group of the classic protocol, over the protocol itself: they join, one of them
// assigns, they fetch offsets and commit higher ones. Now and then one misbehaves: it leaves,
// crashes and comes back as somebody new, or falls silent beyond its session and then goes on as if
// nothing had happened, committing for a generation that is long past.
#include <stdio.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "net/peer.h"
#include "sim/clients.h"
#include "sim/group_ledger.h"

#define MS         UINT64_C(1000000)
#define GROUP_NAME SLICE_LITERAL("workers")

enum { SESSION_MS = 1500, REBALANCE_MS = 2500, MEMBER_ID_MAX = 128, ASSIGNMENT_SIZE = 8 };

enum step { STEP_FIND, STEP_JOIN, STEP_SYNC, STEP_FETCH, STEP_COMMIT, STEP_HEARTBEAT, STEP_LEAVE };

struct member {
    struct env *env;
    struct clients *clients;
    struct group_ledger *groups;
    int32_t number;
    int32_t identity;  // in the ledger, of the member id
    struct peer *peer;
    struct env_timer timer;
    struct peer_request request;
    struct arena arena;  // of the request under way
    enum step step;      // to be done next, or under way
    char id[MEMBER_ID_MAX];
    int32_t generation;
    int32_t floor;                   // of the join or heartbeat under way
    struct sync_group_request sync;  // with the assignments, when this member leads
    struct arena sync_arena;
    uint64_t owned;
    int64_t positions[64];
    int64_t floors[64];  // of the fetch under way
    bool is_last;        // only fetches all offsets once
};

static uint64_t below(struct member *m, uint64_t bound) {
    return env_random(m->env) % bound;
}

static void next(struct member *m, enum step step, uint64_t delay_ns) {
    m->step = step;
    env_timer_start(m->env, &m->timer, env_now_ns(m->env) + delay_ns);
}

static void member_done(struct peer_request *request, enum err result);

static void ask(struct member *m, enum api_key api, void *message, int16_t version_max,
                uint64_t timeout_ms) {
    m->request = (struct peer_request){.api = api,
                                       .version_min = 1,
                                       .version_max = version_max,
                                       .message = message,
                                       .deadline_ns = env_now_ns(m->env) + timeout_ms * MS,
                                       .done = member_done};
    peer_send(m->peer, &m->request);
}

static void forget_membership(struct member *m) {
    m->id[0] = '\0';
    m->generation = -1;
    m->owned = 0;
    group_ledger_gone(m->groups, m->number);
}

// ---- Requests ----

static void find(struct member *m) {
    struct find_coordinator_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&find_coordinator_request_codec, r);
    r->key = GROUP_NAME;
    ask(m, API_FIND_COORDINATOR, r, 3, 800);
}

static void join(struct member *m) {
    struct join_group_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&join_group_request_codec, r);
    r->group_id = GROUP_NAME;
    r->session_timeout_ms = SESSION_MS;
    r->rebalance_timeout_ms = REBALANCE_MS;
    r->member_id = slice_cstring(m->id);
    r->protocol_type = SLICE_LITERAL("consumer");
    r->protocols = join_group_request_protocol_new(&m->arena, 1);
    r->protocols_count = 1;
    r->protocols[0].name = SLICE_LITERAL("range");
    // ConsumerProtocolSubscription v0: version, topics, no user data.
    static const uint8_t subscription[] = {0,   0,   0,   0,   0,   1,   0,   7,   'r', 'e',
                                           'c', 'o', 'r', 'd', 's', 255, 255, 255, 255};
    r->protocols[0].metadata = slice_of(subscription, sizeof subscription);
    m->floor = group_ledger_generation(m->groups);
    ask(m, API_JOIN_GROUP, r, 9, REBALANCE_MS + 3000);
}

static void sync_group(struct member *m) {
    m->sync.group_id = GROUP_NAME;
    m->sync.generation_id = m->generation;
    m->sync.member_id = slice_cstring(m->id);
    ask(m, API_SYNC_GROUP, &m->sync, 4, REBALANCE_MS + 1000);
}

static void fetch(struct member *m) {
    struct offset_fetch_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&offset_fetch_request_codec, r);
    r->group_id = GROUP_NAME;
    r->topics_count = 1;
    r->topics = offset_fetch_request_topic_new(&m->arena, 1);
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partition_indexes = arena_zalloc(&m->arena, 64, sizeof(int32_t));
    for (int32_t i = 0; i < m->clients->partition_count; i++) {
        if ((m->owned >> i & 1) == 0) continue;
        r->topics[0].partition_indexes[r->topics[0].partition_indexes_count++] = i;
        m->floors[i] = group_ledger_offset(m->groups, i);
    }
    ask(m, API_OFFSET_FETCH, r, 7, 800);
}

static void commit(struct member *m) {
    struct offset_commit_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&offset_commit_request_codec, r);
    r->group_id = GROUP_NAME;
    r->generation_id_or_member_epoch = m->generation;
    r->member_id = slice_cstring(m->id);
    r->topics_count = 1;
    r->topics = offset_commit_request_topic_new(&m->arena, 1);
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partitions = offset_commit_request_partition_new(&m->arena, 64);
    for (int32_t i = 0; i < m->clients->partition_count; i++) {
        if ((m->owned >> i & 1) == 0) continue;
        m->positions[i] += 1 + (int64_t)below(m, 5);
        group_ledger_committing(m->groups, i, m->positions[i]);
        struct offset_commit_request_partition *p =
            &r->topics[0].partitions[r->topics[0].partitions_count++];
        p->partition_index = i;
        p->committed_offset = m->positions[i];
        p->committed_metadata = SLICE_EMPTY;
    }
    ask(m, API_OFFSET_COMMIT, r, 9, 800);
}

static void heartbeat(struct member *m) {
    struct heartbeat_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&heartbeat_request_codec, r);
    r->group_id = GROUP_NAME;
    r->generation_id = m->generation;
    r->member_id = slice_cstring(m->id);
    m->floor = group_ledger_generation(m->groups);
    ask(m, API_HEARTBEAT, r, 4, 800);
}

static void leave(struct member *m) {
    struct leave_group_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&leave_group_request_codec, r);
    r->group_id = GROUP_NAME;
    r->member_id = slice_cstring(m->id);
    ask(m, API_LEAVE_GROUP, r, 2, 800);
}

// ---- Answers ----

// What every step does with an error of the coordinator.
static void refused(struct member *m, enum err err) {
    switch (err) {
        case ERR_UNKNOWN_MEMBER_ID:
        case ERR_FENCED_INSTANCE_ID:
            forget_membership(m);
            next(m, STEP_JOIN, 0);
            break;
        case ERR_ILLEGAL_GENERATION:
        case ERR_REBALANCE_IN_PROGRESS:
            group_ledger_gone(m->groups, m->number);
            next(m, STEP_JOIN, 0);
            break;
        default:
            if (!err_retriable(err) && err != ERR_COORDINATOR_NOT_AVAILABLE) {
                ledger_violate(m->clients->ledger, "member %d: step %d answers %s", m->number,
                               (int)m->step, err_name(err));
            }
            next(m, m->step == STEP_LEAVE ? STEP_JOIN : m->step, 50 * MS + below(m, 100 * MS));
            break;
    }
}

// As leader: partition i goes to member i modulo their number.
static void assign(struct member *m, const struct join_group_response *joined) {
    arena_reset(&m->sync_arena);
    int32_t count = joined->members_count;
    m->sync.assignments = sync_group_request_assignment_new(&m->sync_arena, count);
    m->sync.assignments_count = count;
    for (int32_t i = 0; i < count; i++) {
        uint64_t owned = 0;
        for (int32_t p = i; p < m->clients->partition_count; p += count)
            owned |= UINT64_C(1) << p;
        uint8_t *bytes = arena_alloc(&m->sync_arena, ASSIGNMENT_SIZE);
        store_u64(bytes, owned);
        m->sync.assignments[i].member_id = arena_copy(&m->sync_arena, joined->members[i].member_id);
        m->sync.assignments[i].assignment = slice_of(bytes, ASSIGNMENT_SIZE);
    }
}

static void take_id(struct member *m, struct slice id) {
    if (slice_equal_cstring(id, m->id)) return;
    snprintf(m->id, sizeof m->id, "%.*s", SLICE_PRINT(id));
    m->identity = group_ledger_identity(m->groups, m->number);
}

static void joined(struct member *m, const struct join_group_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err == ERR_MEMBER_ID_REQUIRED) {
        take_id(m, response->member_id);
        next(m, STEP_JOIN, 0);
        return;
    }
    if (err != ERR_NONE) {
        refused(m, err);
        return;
    }
    take_id(m, response->member_id);
    m->generation = response->generation_id;
    group_ledger_joined(m->groups, m->generation, m->floor);
    codec_init(&sync_group_request_codec, &m->sync);
    if (slice_equal(response->leader, response->member_id)) assign(m, response);
    next(m, STEP_SYNC, below(m, 5 * MS));
}

static void synced(struct member *m, const struct sync_group_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE) {
        refused(m, err);
        return;
    }
    m->owned =
        response->assignment.size == ASSIGNMENT_SIZE ? load_u64(response->assignment.data) : 0;
    group_ledger_assigned(m->groups, m->identity, m->generation, m->owned);
    next(m, m->owned != 0 ? STEP_FETCH : STEP_HEARTBEAT, 0);
}

static void work_on(struct member *m) {
    if (m->clients->is_closing) {
        next(m, STEP_HEARTBEAT, 100 * MS);
        return;
    }
    bool steady = m->number == 0;  // one that always behaves, so that the group is never empty
    uint64_t mood = steady ? 1000 : below(m, 200);
    if (mood == 0) {
        next(m, STEP_LEAVE, 0);
    } else if (mood == 1) {  // crash: the coordinator hears nothing
        forget_membership(m);
        next(m, STEP_JOIN, below(m, 3000 * MS));
    } else if (mood == 2 && m->owned != 0) {  // silence, then on with what was
        next(m, below(m, 2) == 0 ? STEP_COMMIT : STEP_HEARTBEAT, below(m, 2 * SESSION_MS) * MS);
    } else {
        next(m, m->owned != 0 && mood % 3 != 0 ? STEP_COMMIT : STEP_HEARTBEAT, below(m, 60 * MS));
    }
}

static void fetched(struct member *m, const struct offset_fetch_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE || response->topics_count != 1) {
        refused(m, err == ERR_NONE ? ERR_CORRUPT : err);
        return;
    }
    for (int32_t i = 0; i < response->topics[0].partitions_count; i++) {
        const struct offset_fetch_response_partition *p = &response->topics[0].partitions[i];
        if (p->error_code != 0 || p->partition_index < 0 ||
            p->partition_index >= m->clients->partition_count) {
            refused(m, err_of_wire(p->error_code));
            return;
        }
        group_ledger_fetched(m->groups, p->partition_index, p->committed_offset,
                             m->floors[p->partition_index]);
        m->positions[p->partition_index] = p->committed_offset;
    }
    if (m->is_last) {
        m->clients->last_read_done = true;
    } else {
        work_on(m);
    }
}

static void committed(struct member *m, const struct offset_commit_response *response) {
    const struct offset_commit_response_topic *t =
        response->topics_count == 1 ? &response->topics[0] : NULL;
    enum err err = t == NULL || t->partitions_count == 0 ? ERR_CORRUPT
                                                         : err_of_wire(t->partitions[0].error_code);
    if (err != ERR_NONE) {
        refused(m, err);
        return;
    }
    for (int32_t i = 0; i < t->partitions_count; i++) {
        int32_t partition = t->partitions[i].partition_index;
        if (t->partitions[i].error_code == 0)
            group_ledger_committed(m->groups, partition, m->positions[partition]);
    }
    work_on(m);
}

static void heard(struct member *m, const struct heartbeat_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        group_ledger_alive(m->groups, m->generation, m->floor);
        work_on(m);
    }
}

static void left(struct member *m) {
    forget_membership(m);
    next(m, STEP_JOIN, below(m, 2000 * MS));
}

static void answered(struct member *m, const void *response) {
    const struct find_coordinator_response *found = response;
    switch (m->step) {
        case STEP_FIND:
            if (found->error_code != 0) {
                refused(m, err_of_wire(found->error_code));
            } else {
                next(m, m->is_last ? STEP_FETCH : STEP_JOIN, 0);
            }
            break;
        case STEP_JOIN:
            joined(m, response);
            break;
        case STEP_SYNC:
            synced(m, response);
            break;
        case STEP_FETCH:
            fetched(m, response);
            break;
        case STEP_COMMIT:
            committed(m, response);
            break;
        case STEP_HEARTBEAT:
            heard(m, response);
            break;
        case STEP_LEAVE:
            left(m);
            break;
    }
}

static void member_done(struct peer_request *request, enum err result) {
    struct member *m = container_of(request, struct member, request);
    if (result == ERR_NONE) {
        answered(m, request->response);
    } else if (result == ERR_CORRUPT || result == ERR_UNSUPPORTED_VERSION) {
        ledger_violate(m->clients->ledger, "member %d: step %d: %s", m->number, (int)m->step,
                       err_name(result));
    } else {
        // No answer. A join may have happened all the same: it is sent again.
        next(m, m->step, 20 * MS + below(m, 100 * MS));
    }
    peer_request_release(request);
    arena_reset(&m->arena);
}

// ---- Life ----

static void member_go_on(struct env_timer *timer) {
    struct member *m = container_of(timer, struct member, timer);
    if (m->clients->is_closing && !m->clients->group_is_settled &&
        group_ledger_is_settled(m->groups)) {
        m->clients->group_is_settled = true;
        clients_rest(m->clients);
    }
    switch (m->step) {
        case STEP_FIND:
            find(m);
            break;
        case STEP_JOIN:
            join(m);
            break;
        case STEP_SYNC:
            sync_group(m);
            break;
        case STEP_FETCH:
            fetch(m);
            break;
        case STEP_COMMIT:
            commit(m);
            break;
        case STEP_HEARTBEAT:
            heartbeat(m);
            break;
        case STEP_LEAVE:
            leave(m);
            break;
    }
}

static struct member *member_new(struct env *env, struct clients *clients,
                                 struct group_ledger *groups, int32_t number) {
    struct member *m = memory_zalloc(1, sizeof *m);
    m->env = env;
    m->clients = clients;
    m->groups = groups;
    m->number = number;
    m->generation = -1;
    arena_init(&m->arena);
    arena_init(&m->sync_arena);
    codec_init(&sync_group_request_codec, &m->sync);
    struct peer_options options = peer_options_default();
    options.host = SLICE_LITERAL("broker");
    options.port = 9092;
    m->peer = peer_new(env, &options);
    env_timer_init(&m->timer, member_go_on);
    next(m, STEP_FIND, below(m, 300 * MS));
    return m;
}

void members_start(struct env *env, struct clients *clients, struct group_ledger *groups,
                   int32_t count) {
    if (count > 0) clients->busy++;  // the group as a whole
    for (int32_t i = 0; i < count; i++)
        member_new(env, clients, groups, i);
}

void last_offsets_start(struct env *env, struct clients *clients, struct group_ledger *groups) {
    struct member *m = member_new(env, clients, groups, 0);
    m->is_last = true;
    m->owned = (UINT64_C(1) << clients->partition_count) - 1;
}
