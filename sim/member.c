// Members of a group of the classic protocol, over the protocol itself: they join, one of them
// assigns, they fetch offsets and commit higher ones. Now and then one misbehaves: it leaves,
// crashes and comes back as somebody new, or falls silent beyond its session and then goes on as if
// nothing had happened, committing for a generation that is long past.
#include <stdio.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "sim/group_client.h"

#define MS         UINT64_C(1000000)
#define GROUP_NAME SLICE_LITERAL("workers")

enum { SESSION_MS = 1500, REBALANCE_MS = 2500, REQUEST_MS = 800, ASSIGNMENT_SIZE = 8, MOODS = 4 };

enum step { STEP_FIND, STEP_JOIN, STEP_SYNC, STEP_FETCH, STEP_COMMIT, STEP_HEARTBEAT, STEP_LEAVE };

struct member {
    struct group_client c;
    int32_t identity;                // in the ledger, of the member id
    enum step step;                  // to be done next, or under way
    int32_t floor;                   // of the join or heartbeat under way
    bool reads_more;                 // another subscription than the others'
    struct sync_group_request sync;  // with the assignments, when this member leads
    struct arena sync_arena;
    bool is_last;  // only fetches all offsets once
};

static uint64_t below(struct member *m, uint64_t bound) {
    return group_client_below(&m->c, bound);
}

static void next(struct member *m, enum step step, uint64_t delay_ns) {
    m->step = step;
    group_client_wait(&m->c, delay_ns);
}

static void member_done(struct peer_request *request, enum err result);

static void forget_membership(struct member *m) {
    m->c.id[0] = '\0';
    m->c.epoch = -1;
    m->c.owned = 0;
    group_ledger_gone(m->c.groups, m->c.number);
}

// ---- Requests ----

static void join(struct member *m) {
    struct join_group_request *r = arena_zalloc(&m->c.arena, 1, sizeof *r);
    codec_init(&join_group_request_codec, r);
    r->group_id = GROUP_NAME;
    r->session_timeout_ms = SESSION_MS;
    r->rebalance_timeout_ms = REBALANCE_MS;
    r->member_id = slice_cstring(m->c.id);
    r->protocol_type = SLICE_LITERAL("consumer");
    r->protocols = join_group_request_protocol_new(&m->c.arena, 1);
    r->protocols_count = 1;
    r->protocols[0].name = SLICE_LITERAL("range");
    // ConsumerProtocolSubscription v0: version, topics, no user data.
    static const uint8_t usual[] = {0,   0,   0,   0,   0,   1,   0,   7,   'r', 'e',
                                    'c', 'o', 'r', 'd', 's', 255, 255, 255, 255};
    static const uint8_t more[] = {0,   0,   0,   0,   0, 2, 0,   7,   'r', 'e', 'c',
                                   'o', 'r', 'd', 's', 0, 1, 'x', 255, 255, 255, 255};
    r->protocols[0].metadata =
        m->reads_more ? slice_of(more, sizeof more) : slice_of(usual, sizeof usual);
    m->floor = group_ledger_generation(m->c.groups);
    group_client_ask(&m->c, API_JOIN_GROUP, r, 1, 9, REBALANCE_MS + 3000, member_done);
}

static void sync_group(struct member *m) {
    m->sync.group_id = GROUP_NAME;
    m->sync.generation_id = m->c.epoch;
    m->sync.member_id = slice_cstring(m->c.id);
    group_client_ask(&m->c, API_SYNC_GROUP, &m->sync, 1, 4, REBALANCE_MS + 1000, member_done);
}

static void heartbeat(struct member *m) {
    struct heartbeat_request *r = arena_zalloc(&m->c.arena, 1, sizeof *r);
    codec_init(&heartbeat_request_codec, r);
    r->group_id = GROUP_NAME;
    r->generation_id = m->c.epoch;
    r->member_id = slice_cstring(m->c.id);
    m->floor = group_ledger_generation(m->c.groups);
    group_client_ask(&m->c, API_HEARTBEAT, r, 1, 4, REQUEST_MS, member_done);
}

static void leave(struct member *m) {
    struct leave_group_request *r = arena_zalloc(&m->c.arena, 1, sizeof *r);
    codec_init(&leave_group_request_codec, r);
    r->group_id = GROUP_NAME;
    r->member_id = slice_cstring(m->c.id);
    group_client_ask(&m->c, API_LEAVE_GROUP, r, 1, 2, REQUEST_MS, member_done);
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
            group_ledger_gone(m->c.groups, m->c.number);
            next(m, STEP_JOIN, 0);
            break;
        default:
            if (m->step == STEP_COMMIT) group_client_doubt_commit(&m->c);
            if (!err_retriable(err) && err != ERR_COORDINATOR_NOT_AVAILABLE) {
                ledger_violate(m->c.clients->ledger, "member %d: step %d answers %s", m->c.number,
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
        for (int32_t p = i; p < m->c.clients->partition_count; p += count)
            owned |= UINT64_C(1) << p;
        uint8_t *bytes = arena_alloc(&m->sync_arena, ASSIGNMENT_SIZE);
        store_u64(bytes, owned);
        m->sync.assignments[i].member_id = arena_copy(&m->sync_arena, joined->members[i].member_id);
        m->sync.assignments[i].assignment = slice_of(bytes, ASSIGNMENT_SIZE);
    }
}

static void take_id(struct member *m, struct slice id) {
    if (slice_equal_cstring(id, m->c.id)) return;
    snprintf(m->c.id, sizeof m->c.id, "%.*s", SLICE_PRINT(id));
    m->identity = group_ledger_identity(m->c.groups, m->c.number);
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
    m->c.epoch = response->generation_id;
    group_ledger_joined(m->c.groups, m->c.epoch, m->floor);
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
    m->c.owned =
        response->assignment.size == ASSIGNMENT_SIZE ? load_u64(response->assignment.data) : 0;
    m->c.unfetched = m->c.owned;
    group_ledger_assigned(m->c.groups, m->identity, m->c.epoch, m->c.owned);
    next(m, m->c.owned != 0 ? STEP_FETCH : STEP_HEARTBEAT, 0);
}

static void work_on(struct member *m) {
    if (m->c.clients->is_closing) {
        next(m, STEP_HEARTBEAT, m->c.pace_ns);
        return;
    }
    uint64_t mood = below(m, 200);
    if (m->c.number == 0) mood += MOODS;  // one always behaves, so that the group is never empty
    if (mood == 0) {
        next(m, STEP_LEAVE, 0);
    } else if (mood == 1) {  // crash: the coordinator hears nothing
        forget_membership(m);
        next(m, STEP_JOIN, below(m, 3000 * MS));
    } else if (mood == 2 && m->c.owned != 0) {  // silence, then on with what was
        next(m, below(m, 2) == 0 ? STEP_COMMIT : STEP_HEARTBEAT, below(m, 2 * SESSION_MS) * MS);
    } else if (mood == 3) {  // subscribes to something else, which it says by joining again
        m->reads_more = !m->reads_more;
        next(m, STEP_JOIN, 0);
    } else {
        next(m, m->c.owned != 0 && mood % 3 != 0 ? STEP_COMMIT : STEP_HEARTBEAT,
             below(m, m->c.pace_ns));
    }
}

static void fetched(struct member *m, const struct offset_fetch_response *response) {
    enum err err = group_client_fetched(&m->c, response);
    if (err != ERR_NONE) {
        refused(m, err);
    } else if (m->is_last) {
        m->c.clients->last_read_done = true;
    } else {
        work_on(m);
    }
}

static void committed(struct member *m, const struct offset_commit_response *response) {
    enum err err = group_client_committed(&m->c, response);
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        work_on(m);
    }
}

static void heard(struct member *m, const struct heartbeat_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        group_ledger_alive(m->c.groups, m->c.epoch, m->floor);
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
    struct member *m = container_of(request, struct member, c.request);
    if (result == ERR_NONE) {
        answered(m, request->response);
    } else if (result == ERR_CORRUPT || result == ERR_UNSUPPORTED_VERSION) {
        ledger_violate(m->c.clients->ledger, "member %d: step %d: %s", m->c.number, (int)m->step,
                       err_name(result));
    } else {
        // No answer. A join may have happened all the same: it is sent again.
        if (m->step == STEP_COMMIT) group_client_doubt_commit(&m->c);
        next(m, m->step, 20 * MS + below(m, 100 * MS));
    }
    group_client_release(&m->c);
}

// ---- Life ----

static void member_go_on(struct env_timer *timer) {
    struct member *m = container_of(timer, struct member, c.timer);
    if (m->c.clients->is_closing && !m->c.clients->group_is_settled &&
        group_ledger_is_settled(m->c.groups, m->c.clients->records_places)) {
        m->c.clients->group_is_settled = true;
        clients_rest(m->c.clients);
    }
    switch (m->step) {
        case STEP_FIND:
            group_client_find(&m->c, member_done);
            break;
        case STEP_JOIN:
            join(m);
            break;
        case STEP_SYNC:
            sync_group(m);
            break;
        case STEP_FETCH:
            group_client_fetch(&m->c, false, member_done);
            break;
        case STEP_COMMIT:
            group_client_commit(&m->c, false, member_done);
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
                                 struct group_ledger *groups, int32_t number, int32_t count) {
    struct member *m = memory_zalloc(1, sizeof *m);
    struct group_client_options options = {.env = env,
                                           .clients = clients,
                                           .groups = groups,
                                           .who = "member",
                                           .group = GROUP_NAME,
                                           .number = number,
                                           .member_count = count,
                                           .go_on = member_go_on};
    m->c.epoch = -1;
    m->step = STEP_FIND;
    arena_init(&m->sync_arena);
    codec_init(&sync_group_request_codec, &m->sync);
    group_client_init(&m->c, &options);
    return m;
}

void members_start(struct env *env, struct clients *clients, struct group_ledger *groups,
                   int32_t count) {
    if (count > 0) clients->busy++;  // the group as a whole
    for (int32_t i = 0; i < count; i++)
        member_new(env, clients, groups, i, count);
}

void last_offsets_start(struct env *env, struct clients *clients, struct group_ledger *groups) {
    struct member *m = member_new(env, clients, groups, 0, 1);
    m->is_last = true;
    m->c.owned = m->c.unfetched = (UINT64_C(1) << clients->partition_count) - 1;
}
