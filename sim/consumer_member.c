// Members of a group of the consumer protocol (KIP-848), over the protocol itself: one heartbeat
// joins, tells what the member holds and hears what it should hold. It gives up what is taken from
// it before it says so, and commits for what it holds. It misbehaves as member.c does.
#include <stdio.h>

#include "base/memory.h"
#include "sim/group_client.h"

#define MS         UINT64_C(1000000)
#define GROUP_NAME SLICE_LITERAL("sharers")

enum {
    REBALANCE_MS = 3000,
    REQUEST_MS = 800,
    NAME_SIZE = 32,
    MOODS = 4,
    EPOCH_JOIN = 0,
    EPOCH_LEAVE = -1
};

enum step { STEP_FIND, STEP_BEAT, STEP_LEAVE, STEP_FETCH, STEP_COMMIT };

// What a member may subscribe to. Member 0 always reads everything.
enum subscription { READS_RECORDS, READS_ALL_BY_PATTERN, READS_ALL_BY_NAME, SUBSCRIPTION_COUNT };

struct consumer_member {
    struct group_client c;  // epoch: EPOCH_JOIN while it is no member
    enum step step;
    bool says_all;  // with the next heartbeat
    enum subscription reads;
    int32_t floor;  // of the heartbeat under way
};

static uint64_t below(struct consumer_member *m, uint64_t bound) {
    return group_client_below(&m->c, bound);
}

static void next(struct consumer_member *m, enum step step, uint64_t delay_ns) {
    m->step = step;
    group_client_wait(&m->c, delay_ns);
}

static void consumer_done(struct peer_request *request, enum err result);

static void forget_membership(struct consumer_member *m) {
    m->c.epoch = EPOCH_JOIN;
    m->c.owned = m->c.unfetched = 0;
    group_ledger_gone(m->c.groups, m->c.number);
}

static void new_identity(struct consumer_member *m) {
    forget_membership(m);
    uuid_format(env_random_uuid(m->c.env), m->c.id);
}

// ---- Requests ----

static void subscribe(struct consumer_member *m, struct consumer_group_heartbeat_request *r) {
    r->rebalance_timeout_ms = REBALANCE_MS;
    r->subscribed_topic_names = arena_zalloc(&m->c.arena, PLACE_TOPICS_MAX, sizeof(struct slice));
    r->subscribed_topic_names_count = 0;
    if (m->reads == READS_ALL_BY_PATTERN) {
        r->subscribed_topic_regex = SLICE_LITERAL("(records|shifting-.*)");
        return;
    }
    r->subscribed_topic_regex = SLICE_EMPTY;  // no longer by pattern
    r->subscribed_topic_names[r->subscribed_topic_names_count++] = SLICE_LITERAL(CLIENT_TOPIC);
    for (int32_t i = 0; m->reads == READS_ALL_BY_NAME && i + 1 < PLACE_TOPICS_MAX; i++) {
        char *name = arena_alloc(&m->c.arena, NAME_SIZE);
        snprintf(name, NAME_SIZE, SHIFTING_TOPIC, i);
        r->subscribed_topic_names[r->subscribed_topic_names_count++] = slice_cstring(name);
    }
}

static void hold(struct consumer_member *m, struct consumer_group_heartbeat_request *r) {
    const struct clients *clients = m->c.clients;
    r->topic_partitions =
        consumer_group_heartbeat_request_topic_partition_new(&m->c.arena, PLACE_TOPICS_MAX);
    r->topic_partitions_count = 0;
    for (int32_t i = 0; i < clients->place_topic_count; i++) {
        struct consumer_group_heartbeat_request_topic_partition *t =
            &r->topic_partitions[r->topic_partitions_count];
        t->topic_id = clients->places[i].id;
        t->partitions = arena_zalloc(&m->c.arena, PLACES_MAX, sizeof(int32_t));
        t->partitions_count = places_in_topic(clients, i, m->c.owned, t->partitions);
        if (t->partitions_count > 0) r->topic_partitions_count++;
    }
}

static void beat(struct consumer_member *m, int32_t epoch) {
    struct consumer_group_heartbeat_request *r = arena_zalloc(&m->c.arena, 1, sizeof *r);
    codec_init(&consumer_group_heartbeat_request_codec, r);
    r->group_id = GROUP_NAME;
    r->member_id = slice_cstring(m->c.id);
    r->member_epoch = epoch;
    // Everything is said when joining, and after a failure: only then the assignment is told again.
    if (epoch == EPOCH_JOIN || m->says_all) subscribe(m, r);
    hold(m, r);
    if (epoch <= 0) r->topic_partitions_count = 0;
    m->floor = epoch == EPOCH_JOIN ? group_ledger_generation(m->c.groups) : 0;
    group_ledger_keeps(m->c.groups, m->c.number, epoch == EPOCH_LEAVE ? 0 : m->c.owned);
    group_client_ask(&m->c, API_CONSUMER_GROUP_HEARTBEAT, r, 0, 1, REQUEST_MS, consumer_done);
}

// ---- Answers ----

static void refused(struct consumer_member *m, enum err err) {
    switch (err) {
        case ERR_UNKNOWN_MEMBER_ID:
        case ERR_FENCED_MEMBER_EPOCH:
        case ERR_GROUP_ID_NOT_FOUND:  // its last member was given up, and it had no offsets
            forget_membership(m);     // comes back under the same id, as Java's client does
            next(m, STEP_BEAT, 0);
            break;
        case ERR_STALE_MEMBER_EPOCH:
            next(m, STEP_BEAT, 0);
            break;
        default:
            if (m->step == STEP_COMMIT) group_client_doubt_commit(&m->c);
            if (!err_retriable(err) && err != ERR_COORDINATOR_NOT_AVAILABLE) {
                ledger_violate(m->c.clients->ledger, "consumer member %d: step %d answers %s",
                               m->c.number, (int)m->step, err_name(err));
            }
            next(m, m->step, 50 * MS + below(m, 100 * MS));
            break;
    }
}

static void work_on(struct consumer_member *m) {
    if (m->c.unfetched != 0) {
        next(m, STEP_FETCH, 0);
        return;
    }
    if (m->c.clients->is_closing) {
        next(m, STEP_BEAT, m->c.pace_ns);
        return;
    }
    uint64_t mood = below(m, 200);
    if (m->c.number == 0) mood += MOODS;  // one always behaves
    if (mood == 0) {
        next(m, STEP_LEAVE, 0);
    } else if (mood == 1) {  // crash: the coordinator hears nothing
        new_identity(m);
        next(m, STEP_BEAT, below(m, 3000 * MS));
    } else if (mood == 2) {  // silence, then on with what was
        enum step then = m->c.owned != 0 && below(m, 2) == 0 ? STEP_COMMIT : STEP_BEAT;
        next(m, then, below(m, 2 * CONSUMER_SESSION_MS) * MS);
    } else if (mood == 3) {
        m->reads = (enum subscription)below(m, SUBSCRIPTION_COUNT);
        m->says_all = true;
        next(m, STEP_BEAT, 0);
    } else {
        next(m, m->c.owned != 0 && mood % 3 == 0 ? STEP_COMMIT : STEP_BEAT, below(m, m->c.pace_ns));
    }
}

static void take_assignment(struct consumer_member *m,
                            const struct consumer_group_heartbeat_response_assignment *a) {
    uint64_t given = 0;
    for (int32_t i = 0; i < a->topic_partitions_count; i++) {
        for (int32_t k = 0; k < a->topic_partitions[i].partitions_count; k++) {
            int32_t place = place_of(m->c.clients, a->topic_partitions[i].topic_id,
                                     a->topic_partitions[i].partitions[k]);
            if (place < 0) {
                ledger_violate(m->c.clients->ledger, "an assignment of partition %d of a topic",
                               a->topic_partitions[i].partitions[k]);
            } else {
                given |= UINT64_C(1) << place;
            }
        }
    }
    // What is taken away is given up here and said with the next heartbeat; until then it is ours
    // in the coordinator's eyes.
    group_ledger_given(m->c.groups, m->c.number, given | m->c.owned, env_now_ns(m->c.env),
                       CONSUMER_SESSION_MS * MS);
    m->c.unfetched = (m->c.unfetched & given) | (given & ~m->c.owned);
    m->c.owned = given;
}

static void heard(struct consumer_member *m,
                  const struct consumer_group_heartbeat_response *response) {
    enum err err = err_of_wire(response->error_code);
    if (err != ERR_NONE) {
        refused(m, err);
        return;
    }
    m->c.epoch = response->member_epoch;
    m->says_all = false;
    group_ledger_heard(m->c.groups, m->c.number, m->c.epoch, m->floor, m->c.sent_ns);
    uint64_t before = m->c.owned;
    if (response->assignment != NULL) take_assignment(m, response->assignment);
    if ((before & ~m->c.owned) != 0) {
        next(m, STEP_BEAT, below(m, 20 * MS));  // say what was given up
    } else {
        work_on(m);
    }
}

static void fetched(struct consumer_member *m, const struct offset_fetch_response *response) {
    enum err err = group_client_fetched(&m->c, response);
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        work_on(m);
    }
}

static void committed(struct consumer_member *m, const struct offset_commit_response *response) {
    enum err err = group_client_committed(&m->c, response);
    if (err != ERR_NONE) {
        refused(m, err);
    } else {
        work_on(m);
    }
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
    struct consumer_member *m = container_of(request, struct consumer_member, c.request);
    if (result == ERR_NONE) {
        answered(m, request->response);
    } else if (result == ERR_CORRUPT || result == ERR_UNSUPPORTED_VERSION) {
        ledger_violate(m->c.clients->ledger, "consumer member %d: step %d: %s", m->c.number,
                       (int)m->step, err_name(result));
    } else {  // what became of it is not known: once more
        if (m->step == STEP_COMMIT) group_client_doubt_commit(&m->c);
        if (m->step == STEP_BEAT) group_ledger_doubts_hold(m->c.groups, m->c.number, m->c.owned);
        m->says_all = true;
        next(m, m->step, 20 * MS + below(m, 100 * MS));
    }
    group_client_release(&m->c);
}

// ---- Life ----

static void consumer_go_on(struct env_timer *timer) {
    struct consumer_member *m = container_of(timer, struct consumer_member, c.timer);
    bool settles = m->c.clients->is_closing && !m->c.clients->consumers_are_settled &&
                   group_ledger_is_settled(m->c.groups, m->c.clients->places_there);
    if (settles) {
        m->c.clients->consumers_are_settled = true;
        clients_rest(m->c.clients);
    }
    switch (m->step) {
        case STEP_FIND:
            group_client_find(&m->c, consumer_done);
            break;
        case STEP_BEAT:
            beat(m, m->c.epoch);
            break;
        case STEP_LEAVE:
            beat(m, EPOCH_LEAVE);
            break;
        case STEP_FETCH:
            if (m->c.unfetched != 0) {
                group_client_fetch(&m->c, true, consumer_done);
            } else {
                work_on(m);
            }
            break;
        case STEP_COMMIT:
            if (m->c.owned != 0 && m->c.unfetched == 0) {
                group_client_commit(&m->c, true, consumer_done);
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
        struct group_client_options options = {.env = env,
                                               .clients = clients,
                                               .groups = groups,
                                               .who = "consumer member",
                                               .group = GROUP_NAME,
                                               .number = i,
                                               .member_count = count,
                                               .go_on = consumer_go_on};
        m->step = STEP_FIND;
        m->reads = READS_ALL_BY_PATTERN;
        group_client_init(&m->c, &options);
        new_identity(m);
    }
}
