// Groups and transactions behind the blocking façade. The caller's side remembers how far it is
// with every partition; the reactor is told when the caller comes back for more, commits or aborts,
// which are also the only moments at which partitions may be taken away.
#include <stdio.h>

#include "base/memory.h"
#include "client/taccola_private.h"

// ---- How far the caller is ----

void taccola_note(struct taccola *t, const struct taccola_record *record) {
    struct position *p = NULL;
    for (int32_t i = 0; i < t->position_count && p == NULL; i++) {
        struct position *one = &t->positions[i];
        bool same = one->partition == record->partition && strcmp(one->topic, record->topic) == 0;
        if (same) p = one;
    }
    if (p == NULL) {
        t->positions = memory_realloc(t->positions, (size_t)t->position_count + 1, sizeof *p);
        p = &t->positions[t->position_count++];
        *p = (struct position){.partition = record->partition, .first = -1};
        snprintf(p->topic, sizeof p->topic, "%s", record->topic);
    }
    p->next = record->offset + 1;
    p->is_new = true;
    if (p->first < 0) p->first = record->offset;
}

static void forget_positions(struct taccola *t) {
    t->position_count = 0;
}

// What was received and not handed out is fetched again.
static void drop_received(struct taccola *t) {
    t->received.next = t->received.count = 0;
}

// What was handed out since the last time counts now. After a loss it does not: the partitions may
// be others' by now, who are further.
static void mark_new(struct taccola *t) {
    for (int32_t i = 0; i < t->position_count; i++) {
        struct position *p = &t->positions[i];
        if (p->is_new && !t->is_lost) {
            group_consumer_mark(t->group, slice_cstring(p->topic), p->partition, p->next);
        }
        p->is_new = false;
    }
}

void taccola_dealt_with(struct taccola *t) {
    if (t->group == NULL) return;
    mark_new(t);
    t->is_lost = false;
    if (t->is_yielding) {
        t->is_yielding = false;
        group_consumer_yield(t->group);
    }
}

// ---- The group ----

// Nobody is asked while the caller waits for records: it has dealt with all of them.
static void revoking(void *context) {
    struct taccola *t = context;
    t->is_yielding = true;
    if (t->waiting != NULL && t->waiting->is_receiving) taccola_dealt_with(t);
}

// The caller's positions are not looked at: it may be changing them. A transaction that has read
// anything is over then.
static void revoked(void *context, const struct topic_partition *partitions, int32_t count,
                    bool lost) {
    struct taccola *t = context;
    (void)partitions;
    (void)count;
    if (t->in_transaction) t->is_spoilt = true;
    if (lost) t->is_lost = true;
}

static void run_subscribe(struct command *c) {
    struct taccola *t = c->t;
    enum err err;
    if (t->group == NULL) {
        struct group_consumer_options o = t->group_options;
        o.topics = c->topics;
        o.topic_count = c->topic_count;
        o.revoking = revoking;
        o.revoked = revoked;
        o.context = t;
        err = group_consumer_new(t->reading, &o, &t->group, &c->error);
    } else {
        err = group_consumer_subscribe(t->group, c->topics, c->topic_count, &c->error);
    }
    taccola_end(c, err);
}

int taccola_subscribe(struct taccola *t, const char *const *topics, size_t count) {
    struct arena arena;
    arena_init(&arena);
    struct slice *names = arena_zalloc(&arena, MAX(count, (size_t)1), sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = slice_cstring(topics[i]);
    struct command c = {.run = run_subscribe, .topics = names, .topic_count = (int32_t)count};
    int result = taccola_run(t, &c);
    arena_deinit(&arena);
    return result;
}

static void offsets_committed(void *context, enum err result) {
    taccola_end(context, result);
}

static void run_commit_offsets(struct command *c) {
    struct taccola *t = c->t;
    if (t->group == NULL) {
        message_set(&c->error, "there is no subscription");
        taccola_end(c, ERR_INVALID);
        return;
    }
    mark_new(t);
    enum err err = group_consumer_commit(t->group, offsets_committed, c);
    if (err != ERR_NONE) taccola_end(c, err == ERR_NOT_FOUND ? ERR_NONE : err);
}

int taccola_commit_offsets(struct taccola *t) {
    struct command c = {.run = run_commit_offsets};
    return taccola_run(t, &c);
}

// The command may have ended by its deadline.
static void left(void *context) {
    struct taccola *t = context;
    if (t->waiting != NULL) taccola_end(t->waiting, ERR_NONE);
}

static void run_leave(struct command *c) {
    taccola_start_deadline(c);
    taccola_dealt_with(c->t);
    group_consumer_close(c->t->group, left, c->t);
}

// Commits what was dealt with and leaves, so that the others need not wait for the session's end. A
// broker that is away is not waited for longer than the deadline; what comes later is not heard.
void taccola_leave(struct taccola *t) {
    const uint64_t patience_ns = 5000000000U;
    struct command c = {.run = run_leave, .timeout_ns = patience_ns};
    (void)taccola_run(t, &c);
}

// ---- Transactions ----

static void begun(struct command *c) {
    enum err err = producer_begin(c->t->producer, &c->error);
    c->t->in_transaction = err == ERR_NONE;
    c->t->is_spoilt = false;
    taccola_end(c, err);
}

static void initialized(void *context, enum err result, const struct message *text) {
    struct command *c = context;
    if (result != ERR_NONE) {
        c->error = *text;
        taccola_end(c, result);
        return;
    }
    c->t->has_producer_id = true;
    begun(c);
}

static void run_begin(struct command *c) {
    if (c->t->has_producer_id) {
        begun(c);
    } else {
        producer_init(c->t->producer, initialized, c);
    }
}

int taccola_begin(struct taccola *t) {
    for (int32_t i = 0; i < t->position_count; i++)
        t->positions[i].first = -1;
    struct command c = {.run = run_begin};
    return taccola_run(t, &c);
}

static void ended(void *context, enum err result, const struct message *text) {
    struct command *c = context;
    if (result != ERR_NONE) c->error = *text;
    if (result == ERR_NONE) {
        c->t->in_transaction = false;
        c->t->send_error = ERR_NONE;
        message_init(&c->t->send_error_text);
    }
    taccola_end(c, result);
}

static void offsets_sent(void *context, enum err result, const struct message *text) {
    struct command *c = context;
    if (result == ERR_NONE) {
        producer_commit(c->t->producer, ended, c);
        return;
    }
    c->error = *text;
    taccola_end(c, result);
}

// The offsets of what was received since the transaction began.
static void commit_when_sent(struct command *c) {
    struct taccola *t = c->t;
    if (!list_is_empty(&t->backlog)) return;
    c->again = NULL;
    if (t->is_spoilt) {
        message_set(&c->error,
                    "partitions that this transaction has read are another member's now");
        taccola_end(c, ERR_REBALANCE_IN_PROGRESS);
        return;
    }
    if (t->group == NULL) {
        producer_commit(t->producer, ended, c);
        return;
    }
    size_t size = (size_t)MAX(t->position_count, 1);
    struct group_offset *offsets = arena_zalloc(&c->arena, size, sizeof *offsets);
    int32_t count = 0;
    for (int32_t i = 0; i < t->position_count; i++) {
        const struct position *p = &t->positions[i];
        if (p->first < 0) continue;
        offsets[count++] = (struct group_offset){
            {slice_cstring(p->topic), p->partition}, p->next, -1, SLICE_EMPTY};
    }
    struct group_identity identity = group_consumer_identity(t->group);
    producer_send_offsets(t->producer, offsets, count, &identity, offsets_sent, c);
}

int taccola_commit(struct taccola *t) {
    struct command c = {.run = commit_when_sent, .again = commit_when_sent};
    int result = taccola_run(t, &c);
    if (result == 0) {
        for (int32_t i = 0; i < t->position_count; i++)
            t->positions[i].first = -1;
    }
    return result;
}

// Behind the records that go back: those that were handed out, and those that were not yet.
static void go_back(struct taccola *t) {
    for (int32_t i = 0; i < t->received.count; i++) {
        const struct taccola_record *r = &t->received.records[i];
        if (i >= t->received.next) taccola_note(t, r);
    }
    for (int32_t i = 0; i < t->position_count; i++) {
        const struct position *p = &t->positions[i];
        if (p->first < 0) continue;
        struct slice topic = slice_cstring(p->topic);
        // One that is another's now needs no seeking.
        if (t->group != NULL) {
            (void)!group_consumer_seek(t->group, topic, p->partition, p->first);
        } else {
            (void)!consumer_assign(t->consumer, topic, p->partition, p->first);
        }
    }
}

static void aborted(void *context, enum err result, const struct message *text) {
    struct command *c = context;
    if (result == ERR_NONE) go_back(c->t);
    ended(c, result, text);
}

static void abort_when_sent(struct command *c) {
    if (!list_is_empty(&c->t->backlog)) return;
    c->again = NULL;
    producer_abort(c->t->producer, aborted, c);
}

int taccola_abort(struct taccola *t) {
    struct command c = {.run = abort_when_sent, .again = abort_when_sent};
    int result = taccola_run(t, &c);
    if (result == 0) {
        drop_received(t);
        forget_positions(t);
    }
    return result;
}
