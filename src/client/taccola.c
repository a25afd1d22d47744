// The blocking façade. The client lives on a reactor that runs on a thread of its own; the caller's
// thread talks to it by messages only:
//
//   - a command runs on the reactor and the caller waits for its end (struct command);
//   - a record to send is copied into a message that is not waited for, so that sending is cheap;
//   now and then a command waits until the buffer
//     has room again;
//   - records received are copied over many at a time, and handed out one by one.
#include "base/assert.h"
#include "base/memory.h"
#include "client/taccola_private.h"

enum { SYNC_BYTES = 256 * 1024, FETCH_RECORDS = 1000, FETCH_BYTES = 1 << 20 };

struct sending {
    struct env_message message;
    struct list link;
    struct taccola *t;
    struct producer_record record;
    struct record_header *headers;
    uint8_t bytes[];
};

// ---- Commands ----

static void deliver(struct env_message *message) {
    struct command *c = container_of(message, struct command, message);
    c->t->waiting = c;
    c->run(c);
}

void taccola_end(struct command *c, enum err result) {
    struct taccola *t = c->t;
    t->waiting = NULL;
    env_timer_stop(t->env, &t->deadline);
    c->result = result;
    env_event_set(t->event);
}

int taccola_run(struct taccola *t, struct command *c) {
    c->t = t;
    c->message.deliver = deliver;
    message_init(&c->error);
    arena_init(&c->arena);
    env_post(t->env, &c->message);
    env_event_wait(t->event, UINT64_MAX);
    if (c->result != ERR_NONE) {
        message_set(&t->error, "%s",
                    c->error.text[0] != '\0' ? c->error.text : err_text(c->result));
    }
    arena_deinit(&c->arena);
    return (int)c->result;
}

void taccola_wake(void *context) {
    struct taccola *t = context;
    if (t->waiting != NULL && t->waiting->again != NULL) t->waiting->again(t->waiting);
}

static void metadata_changed(struct client_listener *listener) {
    taccola_wake(container_of(listener, struct taccola, listener));
}

static void deadline_passed(struct env_timer *timer) {
    struct taccola *t = container_of(timer, struct taccola, deadline);
    if (t->waiting != NULL) taccola_end(t->waiting, ERR_TIMEOUT);
}

void taccola_start_deadline(struct command *c) {
    env_timer_start(c->t->env, &c->t->deadline, env_now_ns(c->t->env) + c->timeout_ns);
}

static uint64_t ns_of(int64_t ms) {
    if (ms < 0) return 0;
    return (uint64_t)MIN(ms, (int64_t)86400000 * 365) * 1000000U;
}

const char *taccola_error_text(const struct taccola *t) {
    return t->error.text;
}

// ---- Sending ----

static void sent(struct producer_record *record, enum err result) {
    struct sending *s = container_of(record, struct sending, record);
    struct taccola *t = s->t;
    if (result != ERR_NONE && t->send_error == ERR_NONE) {
        t->send_error = result;
        message_set(&t->send_error_text, "%s",
                    record->error != NULL && record->error->text[0] != '\0' ? record->error->text
                                                                            : err_text(result));
    }
    memory_free(s->headers);
    memory_free(s);
    taccola_wake(t);
}

static bool hand_over(struct sending *s) {
    enum err err = producer_send(s->t->producer, &s->record);
    if (err == ERR_WOULD_BLOCK) return false;
    if (err != ERR_NONE) sent(&s->record, err);
    return true;
}

static void deliver_record(struct env_message *message) {
    struct sending *s = container_of(message, struct sending, message);
    bool first = list_is_empty(&s->t->backlog);
    if (!first || !hand_over(s)) list_append(&s->t->backlog, &s->link);
}

static void room_again(void *context) {
    struct taccola *t = context;
    while (!list_is_empty(&t->backlog)) {
        struct sending *s = container_of(t->backlog.next, struct sending, link);
        list_remove(&s->link);
        if (!hand_over(s)) {
            list_prepend(&t->backlog, &s->link);
            return;
        }
    }
    taccola_wake(t);
}

static void wait_for_room(struct command *c) {
    if (list_is_empty(&c->t->backlog)) taccola_end(c, ERR_NONE);
}

static void wait_for_pending(struct command *c) {
    struct taccola *t = c->t;
    if (!list_is_empty(&t->backlog) || producer_pending(t->producer) > 0) return;
    c->error = t->send_error_text;
    taccola_end(c, t->send_error);
    t->send_error = ERR_NONE;
    message_init(&t->send_error_text);
}

static void run_flush(struct command *c) {
    taccola_start_deadline(c);
    producer_flush(c->t->producer);
    wait_for_pending(c);
}

static uint8_t *put(uint8_t *at, struct slice *to, const void *data, size_t size) {
    if (data == NULL) {
        *to = SLICE_NULL;
        return at;
    }
    memcpy(at, data, size);
    *to = slice_of(at, size);
    return at + size;
}

int taccola_send_to(struct taccola *t, int32_t partition, const struct taccola_record *r) {
    if (r->topic == NULL || r->topic[0] == '\0') {
        message_set(&t->error, "a record needs a topic");
        return ERR_INVALID;
    }
    size_t size = strlen(r->topic) + r->key_size + r->value_size + 3;
    for (size_t i = 0; i < r->header_count; i++) {
        size += strlen(r->headers[i].name) + r->headers[i].value_size + 2;
    }
    struct sending *s = memory_zalloc(1, sizeof *s + size);
    s->t = t;
    s->message.deliver = deliver_record;
    list_init(&s->link);
    s->headers = memory_zalloc(r->header_count, sizeof *s->headers);
    uint8_t *at = put(s->bytes, &s->record.topic, r->topic, strlen(r->topic));
    at = put(at, &s->record.key, r->key, r->key_size);
    at = put(at, &s->record.value, r->value, r->value_size);
    for (size_t i = 0; i < r->header_count; i++) {
        at = put(at, &s->headers[i].key, r->headers[i].name, strlen(r->headers[i].name));
        at = put(at, &s->headers[i].value, r->headers[i].value, r->headers[i].value_size);
    }
    s->record.headers = s->headers;
    s->record.header_count = (int32_t)r->header_count;
    s->record.partition = partition;
    s->record.timestamp = r->timestamp > 0 ? r->timestamp : -1;
    s->record.done = sent;
    env_post(t->env, &s->message);
    t->unsynced += size;
    if (t->unsynced < SYNC_BYTES) return 0;
    t->unsynced = 0;
    struct command c = {.run = wait_for_room, .again = wait_for_room};
    return taccola_run(t, &c);
}

int taccola_send(struct taccola *t, const struct taccola_record *r) {
    return taccola_send_to(t, -1, r);
}

int taccola_flush(struct taccola *t, int64_t timeout_ms) {
    struct command c = {
        .run = run_flush, .again = wait_for_pending, .timeout_ns = ns_of(timeout_ms)};
    return taccola_run(t, &c);
}

// ---- Reading ----

static void assign_known(struct command *c) {
    const struct client_topic *meta = c->meta;
    if (!meta->known) return;
    if (meta->error != ERR_NONE && !err_retriable(meta->error)) {
        taccola_end(c, meta->error);
        return;
    }
    if (meta->partition_count == 0) {
        client_refresh(c->t->client);
        return;
    }
    enum err err = ERR_NONE;
    for (int32_t i = 0; i < meta->partition_count && err == ERR_NONE; i++) {
        if (c->partition < 0 || c->partition == i) {
            err = consumer_assign(c->t->consumer, c->topic, i, c->offset);
        }
    }
    if (c->partition >= meta->partition_count) err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
    taccola_end(c, err);
}

static void run_assign(struct command *c) {
    c->timeout_ns = client_get_options(c->t->client)->call_timeout_ns;
    taccola_start_deadline(c);
    c->meta = client_topic_want(c->t->client, c->topic);
    assign_known(c);
}

int taccola_assign(struct taccola *t, const char *topic, int32_t partition, int64_t offset) {
    struct command c = {.run = run_assign,
                        .again = assign_known,
                        .topic = slice_cstring(topic),
                        .partition = partition,
                        .offset = offset};
    return taccola_run(t, &c);
}

static const void *copy_bytes(struct arena *arena, struct slice s) {
    return slice_is_null(s) ? NULL : arena_copy(arena, s).data;
}

static void copy_record(struct received *to, const struct consumer_record *from) {
    struct arena *arena = &to->arena;
    struct taccola_header *headers =
        arena_zalloc(arena, (size_t)from->record.header_count, sizeof *headers);
    for (int32_t i = 0; i < from->record.header_count; i++) {
        headers[i].name = arena_cstring(arena, from->record.headers[i].key);
        headers[i].value = copy_bytes(arena, from->record.headers[i].value);
        headers[i].value_size = from->record.headers[i].value.size;
    }
    to->records[to->count++] = (struct taccola_record){
        .topic = arena_cstring(arena, from->topic),
        .partition = from->partition,
        .offset = from->record.offset,
        .timestamp = from->record.timestamp,
        .key = copy_bytes(arena, from->record.key),
        .key_size = from->record.key.size,
        .value = copy_bytes(arena, from->record.value),
        .value_size = from->record.value.size,
        .headers = headers,
        .header_count = (size_t)from->record.header_count,
    };
}

static void receive(struct command *c) {
    struct taccola *t = c->t;
    struct received *r = &t->received;
    struct consumer_record record;
    enum err err = ERR_NONE;
    while (r->count < FETCH_RECORDS && r->arena.total < FETCH_BYTES) {
        err = t->group != NULL ? group_consumer_next(t->group, &record, &c->error)
                               : consumer_next(t->consumer, &record, &c->error);
        if (err != ERR_NONE) break;
        copy_record(r, &record);
    }
    // The group calls once for each time it was asked to.
    if (t->group != NULL && err == ERR_WOULD_BLOCK)
        group_consumer_on_ready(t->group, taccola_wake, t);
    // An error comes with the next call, after the records before it.
    if (r->count > 0 || err != ERR_WOULD_BLOCK) taccola_end(c, r->count > 0 ? ERR_NONE : err);
}

static void run_receive(struct command *c) {
    taccola_start_deadline(c);
    taccola_dealt_with(c->t);
    receive(c);
}

int taccola_next(struct taccola *t, struct taccola_record *record, int64_t timeout_ms) {
    struct received *r = &t->received;
    if (r->next == r->count) {
        arena_reset(&r->arena);
        r->records = arena_zalloc(&r->arena, FETCH_RECORDS, sizeof *r->records);
        r->next = r->count = 0;
        struct command c = {.run = run_receive,
                            .again = receive,
                            .timeout_ns = ns_of(timeout_ms),
                            .is_receiving = true};
        int failed = taccola_run(t, &c);
        if (failed == ERR_TIMEOUT) return TACCOLA_NOTHING;
        if (failed != 0) return failed;
    }
    *record = r->records[r->next++];
    taccola_note(t, record);
    return 0;
}

// ---- Administration ----

static void admin_done(struct client_call *call, enum err result) {
    struct command *c = container_of(call, struct command, call);
    if (result != ERR_NONE && c->error.text[0] == '\0') c->error = call->error;
    client_call_release(call);
    taccola_end(c, result);
}

static enum err created(struct client_call *call) {
    struct command *c = container_of(call, struct command, call);
    const struct create_topics_response *m = call->response;
    if (m->topics_count != 1) return ERR_CORRUPT;
    if (m->topics[0].error_message.size > 0) {
        message_set(&c->error, "%.*s", SLICE_PRINT(m->topics[0].error_message));
    }
    return err_of_wire(m->topics[0].error_code);
}

static void run_create(struct command *c) {
    struct create_topics_request *m = &c->request.create;
    codec_init(&create_topics_request_codec, m);
    m->topics_count = 1;
    m->topics = create_topics_request_topic_new(&c->arena, 1);
    m->topics[0].name = c->topic;
    m->topics[0].num_partitions = c->partition;
    m->topics[0].replication_factor = c->replication_factor;
    c->call = (struct client_call){.api = API_CREATE_TOPICS,
                                   .version_min = 4,
                                   .version_max = INT16_MAX,
                                   .message = m,
                                   .verdict = created,
                                   .done = admin_done};
    client_call_start(c->t->client, &c->call);
}

int taccola_create_topic(struct taccola *t, const char *topic, int32_t partitions,
                         int16_t replication_factor) {
    struct command c = {.run = run_create,
                        .topic = slice_cstring(topic),
                        .partition = partitions,
                        .replication_factor = replication_factor};
    return taccola_run(t, &c);
}

static enum err deleted(struct client_call *call) {
    const struct delete_topics_response *m = call->response;
    return m->responses_count == 1 ? err_of_wire(m->responses[0].error_code) : ERR_CORRUPT;
}

static void run_delete(struct command *c) {
    struct delete_topics_request *m = &c->request.delete;
    codec_init(&delete_topics_request_codec, m);
    m->topic_names_count = 1;
    m->topic_names = &c->topic;
    c->call = (struct client_call){.api = API_DELETE_TOPICS,
                                   .version_min = 1,
                                   .version_max = 5,
                                   .message = m,
                                   .verdict = deleted,
                                   .done = admin_done};
    client_call_start(c->t->client, &c->call);
}

int taccola_delete_topic(struct taccola *t, const char *topic) {
    struct command c = {.run = run_delete, .topic = slice_cstring(topic)};
    return taccola_run(t, &c);
}

// ---- Opening ----

// On the caller's thread, before the reactor runs.
static enum err make_parts(struct taccola *t, const struct settings *s, struct message *error) {
    enum err err = client_new(t->env, &s->client, &t->client, error);
    if (err != ERR_NONE) return err;
    t->listener.changed = metadata_changed;
    list_init(&t->listener.link);
    client_listen(t->client, &t->listener);
    err = client_new(t->env, &s->client, &t->reading, error);
    if (err != ERR_NONE) return err;
    t->consumer = consumer_new(t->reading, &s->consumer);
    consumer_on_ready(t->consumer, taccola_wake, t);
    err = producer_new(t->client, &s->producer, &t->producer, error);
    if (err != ERR_NONE) return err;
    producer_on_ready(t->producer, room_again, t);
    t->is_transactional = !slice_is_null(s->producer.transactional_id);
    t->group_options = s->group;
    t->group_options.consumer = s->consumer;
    t->group_options.reset = s->consumer.reset;
    if (t->is_transactional) t->group_options.auto_commit = false;
    // The settings go; what the options point to stays.
    struct slice group = s->group.group, instance = s->group.instance_id;
    t->group_text = memory_zalloc(group.size + instance.size + 1, 1);
    memcpy(t->group_text, group.data == NULL ? (const uint8_t *)"" : group.data, group.size);
    t->group_options.group = slice_of(t->group_text, group.size);
    if (slice_is_null(instance)) return ERR_NONE;
    memcpy(t->group_text + group.size, instance.data, instance.size);
    t->group_options.instance_id = slice_of(t->group_text + group.size, instance.size);
    return ERR_NONE;
}

struct taccola *taccola_open_with(const char *bootstrap_servers, const char *settings,
                                  char *error) {
    struct taccola *t = memory_zalloc(1, sizeof *t);
    struct message why;
    struct arena arena;
    struct settings s;
    message_init(&why);
    arena_init(&arena);
    message_init(&t->error);
    message_init(&t->send_error_text);
    list_init(&t->backlog);
    arena_init(&t->received.arena);
    env_timer_init(&t->deadline, deadline_passed);
    t->event = env_event_new();
    t->posix = env_posix_new(&(struct env_posix_options){.reactors = 1, .log_level = LOG_ERROR});
    t->env = env_posix_reactor(t->posix, 0);
    enum err err = taccola_parse_settings(&s, settings, &arena, &why);
    s.client.bootstrap = slice_cstring(bootstrap_servers);
    if (err == ERR_NONE) err = make_parts(t, &s, &why);
    arena_deinit(&arena);
    if (err == ERR_NONE) {
        t->thread = env_foreign_start(t->posix);
        return t;
    }
    if (error != NULL) memcpy(error, why.text, sizeof why.text);
    taccola_close(t);
    return NULL;
}

struct taccola *taccola_open(const char *bootstrap_servers, char *error) {
    return taccola_open_with(bootstrap_servers, NULL, error);
}

void taccola_close(struct taccola *t) {
    if (t == NULL) return;
    if (t->thread != NULL && t->group != NULL) taccola_leave(t);
    if (t->thread != NULL) {
        env_posix_stop(t->posix);
        env_foreign_join(t->thread);
    }
    t->waiting = NULL;
    producer_free(t->producer);
    consumer_free(t->consumer);
    group_consumer_free(t->group);
    while (!list_is_empty(&t->backlog)) {
        struct sending *s = container_of(t->backlog.next, struct sending, link);
        list_remove(&s->link);
        memory_free(s->headers);
        memory_free(s);
    }
    client_free(t->reading);
    client_free(t->client);
    env_timer_stop(t->env, &t->deadline);
    env_posix_free(t->posix);
    env_event_free(t->event);
    arena_deinit(&t->received.arena);
    memory_free(t->group_text);
    memory_free(t->positions);
    memory_free(t);
}
