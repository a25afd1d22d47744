// Members of a group of the consumer protocol (KIP-848), over the protocol itself: one heartbeat
// joins, tells what the member holds and hears what it should hold. It gives up what is taken from
// it before it says so, and commits for what it holds. It misbehaves as member.c does.
#include <stdio.h>

#include "base/arena.h"
#include "base/memory.h"
#include "net/peer.h"
#include "sim/clients.h"
#include "sim/group_ledger.h"

#define MS         UINT64_C(1000000)
#define GROUP_NAME SLICE_LITERAL("sharers")

enum { REBALANCE_MS = 3000, PARTITIONS_MAX = 32, EPOCH_JOIN = 0, EPOCH_LEAVE = -1 };

enum step { STEP_FIND, STEP_BEAT, STEP_LEAVE, STEP_FETCH, STEP_COMMIT };

struct consumer_member {
    struct env *env;
    struct clients *clients;
    struct group_ledger *groups;
    int32_t number;
    struct peer *peer;
    struct env_timer timer;
    struct peer_request request;
    struct arena arena;  // of the request under way
    enum step step;
    uint64_t sent_ns;
    char id[UUID_TEXT_SIZE];
    int32_t epoch;         // EPOCH_JOIN: no member yet
    bool says_all;         // with the next heartbeat
    struct uuid topic_id;  // known from the first assignment
    uint64_t owned;
    uint64_t unfetched;  // of these the committed offset is not known yet
    int64_t positions[PARTITIONS_MAX];
    int64_t floors[PARTITIONS_MAX];
};

static uint64_t below(struct consumer_member *m, uint64_t bound) {
    return env_random(m->env) % bound;
}

static void next(struct consumer_member *m, enum step step, uint64_t delay_ns) {
    m->step = step;
    env_timer_start(m->env, &m->timer, env_now_ns(m->env) + delay_ns);
}

static void consumer_done(struct peer_request *request, enum err result);

static void ask(struct consumer_member *m, enum api_key api, void *message, int16_t version_max) {
    m->sent_ns = env_now_ns(m->env);
    m->request = (struct peer_request){.api = api,
                                       .version_min = 0,
                                       .version_max = version_max,
                                       .message = message,
                                       .deadline_ns = m->sent_ns + 800 * MS,
                                       .done = consumer_done};
    peer_send(m->peer, &m->request);
}

static void forget_membership(struct consumer_member *m) {
    m->epoch = EPOCH_JOIN;
    m->owned = m->unfetched = 0;
    group_ledger_gone(m->groups, m->number);
}

static void new_identity(struct consumer_member *m) {
    forget_membership(m);
    uuid_format(env_random_uuid(m->env), m->id);
}

// ---- Requests ----

static void find(struct consumer_member *m) {
    struct find_coordinator_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&find_coordinator_request_codec, r);
    r->key = GROUP_NAME;
    ask(m, API_FIND_COORDINATOR, r, 3);
}

static void beat(struct consumer_member *m, int32_t epoch) {
    struct consumer_group_heartbeat_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    static struct slice topics[] = {SLICE_LITERAL(CLIENT_TOPIC)};
    codec_init(&consumer_group_heartbeat_request_codec, r);
    r->group_id = GROUP_NAME;
    r->member_id = slice_cstring(m->id);
    r->member_epoch = epoch;
    // Everything is said when joining, and after a failure: only then the assignment is told again.
    if (epoch == EPOCH_JOIN || m->says_all) {
        r->rebalance_timeout_ms = REBALANCE_MS;
        r->subscribed_topic_names = topics;
        r->subscribed_topic_names_count = 1;
    }
    bool holds = epoch > 0 && m->owned != 0;
    r->topic_partitions_count = holds ? 1 : 0;
    r->topic_partitions = consumer_group_heartbeat_request_topic_partition_new(&m->arena, 1);
    if (holds) {
        r->topic_partitions->topic_id = m->topic_id;
        r->topic_partitions->partitions = arena_zalloc(&m->arena, PARTITIONS_MAX, sizeof(int32_t));
        for (int32_t i = 0; i < m->clients->partition_count; i++) {
            if (m->owned >> i & 1)
                r->topic_partitions->partitions[r->topic_partitions->partitions_count++] = i;
        }
    }
    group_ledger_keeps(m->groups, m->number, epoch == EPOCH_LEAVE ? 0 : m->owned);
    ask(m, API_CONSUMER_GROUP_HEARTBEAT, r, 1);
}

static void fetch(struct consumer_member *m) {
    struct offset_fetch_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&offset_fetch_request_codec, r);
    r->group_id = GROUP_NAME;
    r->topics_count = 1;
    r->topics = offset_fetch_request_topic_new(&m->arena, 1);
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partition_indexes = arena_zalloc(&m->arena, PARTITIONS_MAX, sizeof(int32_t));
    for (int32_t i = 0; i < m->clients->partition_count; i++) {
        if ((m->unfetched >> i & 1) == 0) continue;
        r->topics[0].partition_indexes[r->topics[0].partition_indexes_count++] = i;
        m->floors[i] = group_ledger_offset(m->groups, i);
    }
    ask(m, API_OFFSET_FETCH, r, 7);
}

static void commit(struct consumer_member *m) {
    struct offset_commit_request *r = arena_zalloc(&m->arena, 1, sizeof *r);
    codec_init(&offset_commit_request_codec, r);
    r->group_id = GROUP_NAME;
    r->generation_id_or_member_epoch = m->epoch;
    r->member_id = slice_cstring(m->id);
    r->topics_count = 1;
    r->topics = offset_commit_request_topic_new(&m->arena, 1);
    r->topics[0].name = SLICE_LITERAL(CLIENT_TOPIC);
    r->topics[0].partitions = offset_commit_request_partition_new(&m->arena, PARTITIONS_MAX);
    r->topics[0].partitions_count = 0;
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
    ask(m, API_OFFSET_COMMIT, r, 9);
}

// ---- Answers ----

static void refused(struct consumer_member *m, enum err err) {
    switch (err) {
        case ERR_UNKNOWN_MEMBER_ID:
        case ERR_FENCED_MEMBER_EPOCH:
            forget_membership(m);  // comes back under the same id, as Java's client does
            next(m, STEP_BEAT, 0);
            break;
        case ERR_STALE_MEMBER_EPOCH:
            next(m, STEP_BEAT, 0);
            break;
        default:
            if (!err_retriable(err) && err != ERR_COORDINATOR_NOT_AVAILABLE) {
                ledger_violate(m->clients->ledger, "consumer member %d: step %d answers %s",
                               m->number, (int)m->step, err_name(err));
            }
            next(m, m->step, 50 * MS + below(m, 100 * MS));
            break;
    }
}

static void work_on(struct consumer_member *m) {
    if (m->unfetched != 0) {
        next(m, STEP_FETCH, 0);
        return;
    }
    if (m->clients->is_closing) {
        next(m, STEP_BEAT, 100 * MS);
        return;
    }
    uint64_t mood = m->number == 0 ? 1000 : below(m, 200);  // one always behaves
    if (mood == 0) {
        next(m, STEP_LEAVE, 0);
    } else if (mood == 1) {  // crash: the coordinator hears nothing
        new_identity(m);
        next(m, STEP_BEAT, below(m, 3000 * MS));
    } else if (mood == 2) {  // silence, then on with what was
        enum step then = m->owned != 0 && below(m, 2) == 0 ? STEP_COMMIT : STEP_BEAT;
        next(m, then, below(m, 2 * CONSUMER_SESSION_MS) * MS);
    } else {
        next(m, m->owned != 0 && mood % 3 == 0 ? STEP_COMMIT : STEP_BEAT, below(m, 60 * MS));
    }
}

static void take_assignment(struct consumer_member *m,
                            const struct consumer_group_heartbeat_response_assignment *a) {
    uint64_t given = 0;
    for (int32_t i = 0; i < a->topic_partitions_count; i++) {
        m->topic_id = a->topic_partitions[i].topic_id;
        for (int32_t k = 0; k < a->topic_partitions[i].partitions_count; k++) {
            int32_t p = a->topic_partitions[i].partitions[k];
            if (p >= 0 && p < m->clients->partition_count) given |= UINT64_C(1) << p;
        }
    }
    // What is taken away is given up here and said with the next heartbeat; until then it is ours
    // in the coordinator's eyes.
    group_ledger_given(m->groups, m->number, given | m->owned, env_now_ns(m->env),
                       CONSUMER_SESSION_MS * MS);
    m->unfetched = (m->unfetched & given) | (given & ~m->owned);
    m->owned = given;
}

static void heard(struct consumer_member *m,
                  const struct consumer_group_heartbeat_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE) {
        refused(m, err);
        return;
    }
    m->epoch = response->member_epoch;
    m->says_all = false;
    group_ledger_heard(m->groups, m->number, m->epoch, m->sent_ns);
    uint64_t before = m->owned;
    if (response->assignment != NULL) take_assignment(m, response->assignment);
    if ((before & ~m->owned) != 0) {
        next(m, STEP_BEAT, below(m, 20 * MS));  // say what was given up
    } else {
        work_on(m);
    }
}

static void fetched(struct consumer_member *m, const struct offset_fetch_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err == ERR_NONE && response->topics_count != 1) err = ERR_CORRUPT;
    for (int32_t i = 0; err == ERR_NONE && i < response->topics[0].partitions_count; i++) {
        const struct offset_fetch_response_partition *p = &response->topics[0].partitions[i];
        err = err_of_wire(p->error_code);
        if (err != ERR_NONE || p->partition_index < 0 || p->partition_index >= PARTITIONS_MAX)
            continue;
        group_ledger_fetched(m->groups, p->partition_index, p->committed_offset,
                             m->floors[p->partition_index]);
        m->positions[p->partition_index] = p->committed_offset;
        m->unfetched &= ~(UINT64_C(1) << p->partition_index);
    }
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        work_on(m);
    }
}

static void committed(struct consumer_member *m, const struct offset_commit_response *response) {
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

static void answered(struct consumer_member *m, const void *response) {
    const struct find_coordinator_response *found = response;
    switch (m->step) {
        case STEP_FIND:
            if (found->error_code != 0) {
                refused(m, err_of_wire(found->error_code));
            } else {
                next(m, STEP_BEAT, 0);
            }
            break;
        case STEP_BEAT:
            heard(m, response);
            break;
        case STEP_FETCH:
            fetched(m, response);
            break;
        case STEP_COMMIT:
            committed(m, response);
            break;
        case STEP_LEAVE:
            new_identity(m);
            next(m, STEP_BEAT, below(m, 2000 * MS));
            break;
    }
}

static void consumer_done(struct peer_request *request, enum err result) {
    struct consumer_member *m = container_of(request, struct consumer_member, request);
    if (result == ERR_NONE) {
        answered(m, request->response);
    } else if (result == ERR_CORRUPT || result == ERR_UNSUPPORTED_VERSION) {
        ledger_violate(m->clients->ledger, "consumer member %d: step %d: %s", m->number,
                       (int)m->step, err_name(result));
    } else {  // what became of it is not known: once more
        m->says_all = true;
        next(m, m->step, 20 * MS + below(m, 100 * MS));
    }
    peer_request_release(request);
    arena_reset(&m->arena);
}

// ---- Life ----

static void consumer_go_on(struct env_timer *timer) {
    struct consumer_member *m = container_of(timer, struct consumer_member, timer);
    bool settles = m->clients->is_closing && !m->clients->consumers_are_settled &&
                   group_ledger_is_settled(m->groups);
    if (settles) {
        m->clients->consumers_are_settled = true;
        clients_rest(m->clients);
    }
    switch (m->step) {
        case STEP_FIND:
            find(m);
            break;
        case STEP_BEAT:
            beat(m, m->epoch);
            break;
        case STEP_LEAVE:
            beat(m, EPOCH_LEAVE);
            break;
        case STEP_FETCH:
            if (m->unfetched != 0) {
                fetch(m);
            } else {
                work_on(m);
            }
            break;
        case STEP_COMMIT:
            if (m->owned != 0 && m->unfetched == 0) {
                commit(m);
            } else {
                work_on(m);
            }
            break;
    }
}

void consumer_members_start(struct env *env, struct clients *clients, struct group_ledger *groups,
                            int32_t count) {
    if (count > 0) clients->busy++;  // the group as a whole
    for (int32_t i = 0; i < count; i++) {
        struct consumer_member *m = memory_zalloc(1, sizeof *m);
        m->env = env;
        m->clients = clients;
        m->groups = groups;
        m->number = i;
        arena_init(&m->arena);
        new_identity(m);
        struct peer_options options = peer_options_default();
        options.host = SLICE_LITERAL("broker");
        options.port = 9092;
        m->peer = peer_new(env, &options);
        env_timer_init(&m->timer, consumer_go_on);
        next(m, STEP_FIND, below(m, 300 * MS));
    }
}
