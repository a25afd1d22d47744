// States of a peer:
//
//   IDLE ──request──▶ CONNECTING ──connected──▶ ASKING ──ApiVersions──▶ READY
//    ▲                    │                        │                      │
//    └────────────────────┴── failure, idleness ───┴──────────────────────┘
//
// Requests wait in `waiting` until the peer is READY; then they are encoded, written and stand in
// `sent` until their reply comes. A failure ends every request in both lists, so that the caller
// decides what is tried again: only he knows whether that is safe. After a failure the peer stays
// IDLE with its requests waiting until the backoff is over.
#include "net/peer.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "net/filter.h"
#include "wire/codec.h"

enum peer_state { PEER_IDLE, PEER_CONNECTING, PEER_ASKING, PEER_READY };

enum { API_COUNT = 128, ASK_VERSION = 4, FRAME_FIRST = 64 * 1024 };

struct version_range {
    int16_t min, max;
    bool known;
};

struct peer {
    struct env *env;
    struct peer_options options;
    enum peer_state state;
    struct tcp *tcp;  // while CONNECTING; then owned by `filter`
    struct filter *filter;
    struct tcp_handler handler;
    struct chain output;
    struct env_task flush;  // writes the output at the end of the pass
    struct env_task fail;   // ends everything after an error met inside a call of the owner
    enum err fail_reason;
    struct env_timer
        timer;  // the nearest of connect timeout, backoff, idleness and the requests' deadlines
    struct list waiting;  // of peer_request
    struct list sent;
    size_t request_count;
    struct heap deadlines;
    int32_t next_correlation_id;
    struct version_range ranges[API_COUNT];
    int16_t transaction_version;

    // The reply that is arriving.
    uint8_t size_bytes[4];
    size_t size_got;
    struct buffer *frame;
    size_t frame_size;

    uint64_t state_since_ns;
    uint64_t active_ns;       // when something was last sent or received
    uint64_t retry_ns;        // no connection before this time
    uint64_t backoff_ns;      // the next one
    struct peer_request ask;  // our own ApiVersions
    struct api_versions_request ask_message;
    struct message error;
};

struct peer_options peer_options_default(void) {
    return (struct peer_options){.connect_timeout_ns = 10000000000U,
                                 .idle_ns = 540000000000U,
                                 .backoff_ns = 50000000U,
                                 .backoff_max_ns = 1000000000U,
                                 .response_bytes_max = 256U << 20};
}

static void connect_now(struct peer *p);
static void ask_versions(struct peer *p, int16_t version);
static void send_waiting(struct peer *p);

static void set_state(struct peer *p, enum peer_state state) {
    p->state = state;
    p->state_since_ns = p->active_ns = env_now_ns(p->env);
}

// Starts the timer for the nearest event; stops it when there is none.
static void update_timer(struct peer *p) {
    uint64_t at = UINT64_MAX;
    if (heap_first(&p->deadlines) != NULL) at = heap_first(&p->deadlines)->key;
    if (p->state == PEER_IDLE && !list_is_empty(&p->waiting)) at = MIN(at, p->retry_ns);
    if (p->state == PEER_CONNECTING || p->state == PEER_ASKING) {
        at = MIN(at, p->state_since_ns + p->options.connect_timeout_ns);
    }
    if (p->state == PEER_READY && p->options.idle_ns > 0 && p->request_count == 0) {
        at = MIN(at, p->active_ns + p->options.idle_ns);
    }
    if (at == UINT64_MAX) {
        env_timer_stop(p->env, &p->timer);
    } else {
        env_timer_start(p->env, &p->timer, at);
    }
}

// ---- Ending requests ----

static void unlink_request(struct peer *p, struct peer_request *r) {
    list_remove(&r->link);
    if (heap_contains(&r->timeout)) heap_remove(&p->deadlines, &r->timeout);
    p->request_count--;
}

// A request whose caller gave up while it was on the wire is replaced by a stand-in, which keeps
// its place in the order of replies.
static void finish(struct peer *p, struct peer_request *r, enum err result) {
    unlink_request(p, r);
    if (r->cancelled) {
        memory_free(r);
    } else {
        r->done(r, result);
    }
}

void peer_request_release(struct peer_request *r) {
    arena_deinit(&r->arena);
    buffer_unref(r->frame);
    r->frame = NULL;
    r->response = NULL;
}

static void drop_connection(struct peer *p) {
    if (p->filter != NULL) {
        filter_free(p->filter);
    } else if (p->tcp != NULL) {
        tcp_close(p->tcp);
    }
    p->filter = NULL;
    p->tcp = NULL;
    chain_deinit(&p->output);
    chain_init(&p->output);
    buffer_unref(p->frame);
    p->frame = NULL;
    p->size_got = 0;
    env_defer_cancel(p->env, &p->flush);
    env_defer_cancel(p->env, &p->fail);
    memset(p->ranges, 0, sizeof p->ranges);
}

static void end_all(struct peer *p, enum err reason) {
    // Callbacks may submit again: take the lists away first.
    struct list ending;
    list_init(&ending);
    for (struct list *l; (l = list_pop(&p->sent)) != NULL;)
        list_append(&ending, l);
    for (struct list *l; (l = list_pop(&p->waiting)) != NULL;)
        list_append(&ending, l);
    while (!list_is_empty(&ending)) {
        finish(p, container_of(ending.next, struct peer_request, link), reason);
    }
}

static void fail_now(struct peer *p, enum err reason) {
    message_set(&p->error, "%.*s:%d: %s", SLICE_PRINT(p->options.host), p->options.port,
                err_text(reason));
    drop_connection(p);
    set_state(p, PEER_IDLE);
    p->retry_ns = env_now_ns(p->env) + p->backoff_ns;
    p->backoff_ns = MIN(p->backoff_ns * 2, p->options.backoff_max_ns);
    end_all(p, reason);
    update_timer(p);
}

static void run_fail(struct env_task *task) {
    struct peer *p = container_of(task, struct peer, fail);
    fail_now(p, p->fail_reason);
}

static void fail_later(struct peer *p, enum err reason) {
    p->fail_reason = reason;
    env_defer(p->env, &p->fail);
}

// ---- Sending ----

static void write_header(struct peer *p, struct peer_request *r, const struct api_info *api,
                         struct chain *out) {
    chain_u16(out, (uint16_t)r->api);
    chain_u16(out, (uint16_t)r->version);
    chain_u32(out, (uint32_t)r->correlation_id);
    struct slice id = p->options.client_id;
    chain_u16(out, slice_is_null(id) ? UINT16_MAX : (uint16_t)id.size);
    chain_append(out, id.data, id.size);
    if (r->version >= api->flexible_from) chain_u8(out, 0);  // no tagged fields
}

static enum err choose_version(const struct peer *p, struct peer_request *r) {
    const struct api_info *api = api_info_of((int16_t)r->api);
    if (r == &p->ask) return ERR_NONE;
    const struct version_range *theirs = &p->ranges[r->api];
    if (!theirs->known) {
        message_set(&r->error, "The node %.*s:%d does not support %s", SLICE_PRINT(p->options.host),
                    p->options.port, api->name);
        return ERR_UNSUPPORTED_VERSION;
    }
    int16_t max = MIN(MIN(r->version_max, api->version_max), theirs->max);
    int16_t min = MAX(MAX(r->version_min, api->version_min), theirs->min);
    if (max < min) {
        message_set(&r->error,
                    "The node %.*s:%d supports versions %d to %d of %s, this client needs %d to %d",
                    SLICE_PRINT(p->options.host), p->options.port, theirs->min, theirs->max,
                    api->name, MAX(r->version_min, api->version_min),
                    MIN(r->version_max, api->version_max));
        return ERR_UNSUPPORTED_VERSION;
    }
    r->version = max;
    return ERR_NONE;
}

// Encodes the request behind the output.
static enum err encode(struct peer *p, struct peer_request *r) {
    enum err err = choose_version(p, r);
    if (err != ERR_NONE) return err;
    if (r->prepare != NULL) r->prepare(r);
    const struct api_info *api = api_info_of((int16_t)r->api);
    r->correlation_id = p->next_correlation_id++;
    struct chain body;
    chain_init(&body);
    write_header(p, r, api, &body);
    err = codec_encode(api->request, r->version, r->message, &body, &r->error);
    if (err == ERR_NONE && body.size > INT32_MAX) err = ERR_LIMIT;
    if (err == ERR_NONE) {
        chain_u32(&p->output, (uint32_t)body.size);
        chain_move(&p->output, &body);
    }
    chain_deinit(&body);
    return err;
}

static void flush(struct env_task *task) {
    struct peer *p = container_of(task, struct peer, flush);
    if (p->filter == NULL) return;
    enum err err = p->filter->type->send(p->filter, &p->output);
    if (err != ERR_NONE && err != ERR_WOULD_BLOCK) {
        fail_now(p, err);
        return;
    }
    // Requests without a reply are done when their bytes went to the socket.
    while (p->output.size == 0 && !list_is_empty(&p->sent)) {
        struct peer_request *r = container_of(p->sent.next, struct peer_request, link);
        if (!r->no_response) break;
        finish(p, r, ERR_NONE);
    }
    update_timer(p);
}

static void send_one(struct peer *p, struct peer_request *r) {
    enum err err = encode(p, r);
    if (err != ERR_NONE) {
        finish(p, r, err);
        return;
    }
    list_remove(&r->link);
    list_append(&p->sent, &r->link);
    p->active_ns = env_now_ns(p->env);
    env_defer(p->env, &p->flush);
}

static void send_waiting(struct peer *p) {
    while (p->state == PEER_READY && !list_is_empty(&p->waiting)) {
        send_one(p, container_of(p->waiting.next, struct peer_request, link));
    }
    update_timer(p);
}

static void run_flush(struct env_task *task) {
    struct peer *p = container_of(task, struct peer, flush);
    if (p->state == PEER_READY) send_waiting(p);
    flush(task);
}

// ---- Receiving ----

static void versions_done(struct peer_request *r, enum err result) {
    struct peer *p = container_of(r, struct peer, ask);
    if (result != ERR_NONE) {
        peer_request_release(r);  // the failure that ended this one ends the others too
        return;
    }
    const struct api_versions_response *answer = r->response;
    enum err err = err_of_wire(answer->error_code);
    for (int32_t i = 0; i < answer->api_keys_count; i++) {
        int16_t key = answer->api_keys[i].api_key;
        if (key < 0 || key >= API_COUNT) continue;
        p->ranges[key] = (struct version_range){answer->api_keys[i].min_version,
                                                answer->api_keys[i].max_version, true};
    }
    p->transaction_version = 0;
    for (int32_t i = 0; i < answer->finalized_features_count; i++) {
        if (slice_equal_cstring(answer->finalized_features[i].name, "transaction.version"))
            p->transaction_version = answer->finalized_features[i].max_version_level;
    }
    int16_t theirs = p->ranges[API_API_VERSIONS].max;
    bool older = err == ERR_UNSUPPORTED_VERSION && r->version > 0 && theirs < r->version;
    peer_request_release(r);
    if (older) {
        ask_versions(p, p->ranges[API_API_VERSIONS].known ? MAX(theirs, (int16_t)0) : 0);
    } else if (err != ERR_NONE) {
        fail_later(p, err);
    } else {
        set_state(p, PEER_READY);
        p->backoff_ns = p->options.backoff_ns;
        message_init(&p->error);
        send_waiting(p);
    }
}

static void ask_versions(struct peer *p, int16_t version) {
    set_state(p, PEER_ASKING);
    codec_init(&api_versions_request_codec, &p->ask_message);
    p->ask_message.client_software_name = SLICE_LITERAL("taccola");
    p->ask_message.client_software_version = SLICE_LITERAL(TACCOLA_VERSION);
    p->ask = (struct peer_request){.api = API_API_VERSIONS,
                                   .version = version,
                                   .message = &p->ask_message,
                                   .done = versions_done};
    struct peer_request *r = &p->ask;
    r->peer = p;
    heap_node_init(&r->timeout);
    list_init(&r->link);
    p->request_count++;
    send_one(p, r);
}

// Decodes the reply in r->frame. An ApiVersions reply with error 35 is of version 0 whatever was
// asked (KIP-511).
static enum err decode_reply(struct peer_request *r, struct slice bytes) {
    const struct api_info *api = api_info_of((int16_t)r->api);
    struct reader in = reader_of(bytes);
    reader_i32(&in);  // correlation id
    int16_t version = r->version;
    if (r->api == API_API_VERSIONS) {
        if (reader_left(&in) >= 2 && load_i16(in.next) == ERR_UNSUPPORTED_VERSION) version = 0;
    } else if (version >= api->flexible_from) {
        for (uint32_t tags = reader_uvarint(&in); tags > 0 && !in.failed; tags--) {
            reader_uvarint(&in);
            reader_bytes(&in, reader_uvarint(&in));
        }
        if (in.failed) return ERR_CORRUPT;
    }
    r->response = arena_zalloc(&r->arena, 1, codec_size(api->response));
    codec_init(api->response, r->response);
    return codec_decode(api->response, version, &in, &r->arena, 0, r->response);
}

// Takes the frame.
static enum err handle_frame(struct peer *p, struct buffer *frame) {
    enum err err = ERR_CORRUPT;
    if (frame->size < 4 || list_is_empty(&p->sent)) goto out;
    struct peer_request *r = container_of(p->sent.next, struct peer_request, link);
    if (r->no_response || load_i32(frame->data) != r->correlation_id) goto out;
    err = ERR_NONE;
    if (!r->cancelled) {
        r->frame = buffer_ref(frame);
        err = decode_reply(r, slice_of(frame->data, frame->size));
    }
    finish(p, r, err);
out:
    buffer_unref(frame);
    return err;
}

// The buffer of a reply begins small and grows as bytes arrive, so a lying length costs nothing.
static void grow_frame(struct peer *p) {
    struct buffer *old = p->frame;
    size_t capacity = old == NULL ? MIN(p->frame_size, (size_t)FRAME_FIRST)
                                  : MIN(p->frame_size, old->capacity * 2);
    p->frame = buffer_new(capacity);
    if (old != NULL) {
        memcpy(p->frame->data, old->data, old->size);
        p->frame->size = old->size;
        buffer_unref(old);
    }
}

static enum err receive_some(struct peer *p) {
    size_t got;
    if (p->size_got < sizeof p->size_bytes) {
        enum err err = p->filter->type->receive(p->filter, p->size_bytes + p->size_got,
                                                sizeof p->size_bytes - p->size_got, &got);
        if (err != ERR_NONE) return err;
        p->size_got += got;
        if (p->size_got < sizeof p->size_bytes) return ERR_NONE;
        int32_t size = load_i32(p->size_bytes);
        if (size < 4 || (uint32_t)size > p->options.response_bytes_max) return ERR_CORRUPT;
        p->frame_size = (size_t)size;
        grow_frame(p);
    }
    if (p->frame->size == p->frame->capacity) grow_frame(p);
    enum err err = p->filter->type->receive(p->filter, p->frame->data + p->frame->size,
                                            p->frame->capacity - p->frame->size, &got);
    if (err != ERR_NONE) return err;
    p->frame->size += got;
    if (p->frame->size < p->frame_size) return ERR_NONE;
    struct buffer *frame = p->frame;
    p->frame = NULL;
    p->size_got = 0;
    return handle_frame(p, frame);
}

static void readable(struct tcp_handler *handler) {
    struct peer *p = container_of(handler, struct peer, handler);
    p->active_ns = env_now_ns(p->env);
    enum err err = ERR_NONE;
    // A callback may have dropped the connection or freed nothing else: the filter tells.
    struct filter *filter = p->filter;
    while (err == ERR_NONE && p->filter == filter && filter != NULL)
        err = receive_some(p);
    if (p->filter != filter || err == ERR_WOULD_BLOCK || err == ERR_NONE) {
        update_timer(p);
        return;
    }
    fail_now(p, err == ERR_EOF ? ERR_CLOSED : err);
}

static void writable(struct tcp_handler *handler) {
    struct peer *p = container_of(handler, struct peer, handler);
    env_defer(p->env, &p->flush);
}

// ---- Connecting ----

static void connected(struct tcp_handler *handler, enum err result) {
    struct peer *p = container_of(handler, struct peer, handler);
    if (result != ERR_NONE) {
        fail_now(p, result);
        return;
    }
    p->filter = filter_tcp_new(p->tcp);
    ask_versions(p, ASK_VERSION);
    update_timer(p);
}

static void connect_now(struct peer *p) {
    set_state(p, PEER_CONNECTING);
    p->tcp = tcp_connect(p->env, p->options.host, p->options.port, &p->handler);
    update_timer(p);
}

static void fire(struct env_timer *timer) {
    struct peer *p = container_of(timer, struct peer, timer);
    uint64_t now = env_now_ns(p->env);
    for (struct heap_node *n; (n = heap_first(&p->deadlines)) != NULL && n->key <= now;) {
        struct peer_request *r = container_of(n, struct peer_request, timeout);
        bool on_the_wire = r->correlation_id >= 0;
        if (on_the_wire) {
            // The reply may still come, and the order must hold: give the connection up, as Kafka's
            // clients do.
            fail_now(p, ERR_TIMEOUT);
            return;
        }
        finish(p, r, ERR_TIMEOUT);
    }
    bool opening = p->state == PEER_CONNECTING || p->state == PEER_ASKING;
    if (opening && now >= p->state_since_ns + p->options.connect_timeout_ns) {
        fail_now(p, ERR_TIMEOUT);
    } else if (p->state == PEER_IDLE && !list_is_empty(&p->waiting) && now >= p->retry_ns) {
        connect_now(p);
    } else if (p->state == PEER_READY && p->request_count == 0 && p->options.idle_ns > 0 &&
               now >= p->active_ns + p->options.idle_ns) {
        drop_connection(p);
        set_state(p, PEER_IDLE);
    }
    update_timer(p);
}

// ---- The owner's calls ----

struct peer *peer_new(struct env *env, const struct peer_options *options) {
    struct peer *p = memory_zalloc(1, sizeof *p);
    p->env = env;
    p->options = *options;
    struct slice host = options->host, id = options->client_id;
    p->options.host.data = memcpy(memory_alloc(host.size), host.data, host.size);
    if (!slice_is_null(id)) {
        p->options.client_id.data = memcpy(memory_alloc(id.size), id.data, id.size);
    }
    p->backoff_ns = options->backoff_ns;
    p->handler = (struct tcp_handler){connected, readable, writable};
    chain_init(&p->output);
    env_task_init(&p->flush, run_flush);
    env_task_init(&p->fail, run_fail);
    env_timer_init(&p->timer, fire);
    list_init(&p->waiting);
    list_init(&p->sent);
    heap_init(&p->deadlines);
    message_init(&p->error);
    set_state(p, PEER_IDLE);
    return p;
}

void peer_free(struct peer *p) {
    if (p == NULL) return;
    drop_connection(p);
    end_all(p, ERR_CANCELLED);
    env_timer_stop(p->env, &p->timer);
    heap_deinit(&p->deadlines);
    chain_deinit(&p->output);
    memory_free((void *)(uintptr_t)p->options.host.data);
    memory_free((void *)(uintptr_t)p->options.client_id.data);
    memory_free(p);
}

void peer_send(struct peer *p, struct peer_request *r) {
    assert((int)r->api >= 0 && (int)r->api < API_COUNT);
    r->peer = p;
    r->correlation_id = -1;
    r->cancelled = false;
    r->frame = NULL;
    r->response = NULL;
    arena_init(&r->arena);
    message_init(&r->error);
    heap_node_init(&r->timeout);
    list_init(&r->link);
    list_append(&p->waiting, &r->link);
    p->request_count++;
    if (r->deadline_ns > 0) heap_insert(&p->deadlines, &r->timeout, r->deadline_ns);
    if (p->state == PEER_IDLE && env_now_ns(p->env) >= p->retry_ns) {
        connect_now(p);
    } else if (p->state == PEER_READY) {
        env_defer(p->env, &p->flush);
    }
    update_timer(p);
}

void peer_cancel(struct peer_request *r) {
    struct peer *p = r->peer;
    bool on_the_wire = r->correlation_id >= 0;
    if (on_the_wire) {
        struct peer_request *stand_in = memory_zalloc(1, sizeof *stand_in);
        stand_in->correlation_id = r->correlation_id;
        stand_in->no_response = r->no_response;
        stand_in->cancelled = true;
        heap_node_init(&stand_in->timeout);
        list_append(&r->link, &stand_in->link);  // before r
        p->request_count++;
    }
    finish(p, r, ERR_CANCELLED);
}

int16_t peer_transaction_version(const struct peer *p) {
    return p->transaction_version;
}

bool peer_api_range(const struct peer *p, enum api_key api, int16_t *min, int16_t *max) {
    if (!p->ranges[api].known) return false;
    *min = p->ranges[api].min;
    *max = p->ranges[api].max;
    return true;
}

const char *peer_error(const struct peer *p) {
    return p->error.text;
}

size_t peer_request_count(const struct peer *p) {
    return p->request_count;
}
