// From a complete frame to its handler, and from the handler's response to the wire.
//
// What cannot be answered closes the connection, as in Kafka: an unknown API, one that this
// listener does not serve, a version outside the range, a body that does not decode. The one
// exception is ApiVersions: a version that we do not know is answered in version 0 with
// UNSUPPORTED_VERSION and the range of ApiVersions itself (KIP-511), so that the client can ask
// again.
#include "api/call.h"

#include "api/error_response.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "gen/rec/header.h"

enum {
    HEADER_MIN = 8,
    // What the decoded form of a request may take: generous for every honest one (a topic name of
    // one byte becomes a struct of 60), and no more than a quarter of the reactor's memory.
    DECODED_PER_BYTE = 32,
    DECODED_MIN = 64 * 1024,
};

// ---- Refusals ----

// The client id of a header that is not decoded any further; empty when it is not there.
static struct slice peek_client_id(struct slice bytes) {
    struct reader in = reader_of(bytes);
    reader_bytes(&in, HEADER_MIN);
    int16_t size = reader_i16(&in);
    struct slice id = size > 0 ? reader_bytes(&in, (size_t)size) : SLICE_EMPTY;
    return in.failed ? SLICE_EMPTY : id;
}

static void refuse(struct net_request *request, int16_t key, int16_t version, const char *what) {
    struct message why;
    message_init(&why);
    struct slice client = peek_client_id(request->bytes);
    const struct api_info *api = api_info_of(key);
    if (api == NULL) {
        message_set(&why, "client \"%.*s\" sent API key %d version %d: %s",
                    (int)MIN(client.size, (size_t)128), (const char *)client.data, key, version,
                    what);
    } else {
        message_set(&why, "client \"%.*s\" sent %s (key %d) version %d: %s",
                    (int)MIN(client.size, (size_t)128), (const char *)client.data, api->name, key,
                    version, what);
    }
    net_fail(request, why.text);
}

// ---- Dispatch ----

// These read, or write to partitions only, so those that follow on the connection may begin before
// they are answered. All others run alone: a client that sends CreateTopics and Metadata in one
// breath sees its topic, as with Kafka. A commit takes effect when it begins and whoever sees it
// waits for it too (runtime/), so commits that follow each other share a write and a sync.
static bool api_may_overlap(int16_t key) {
    switch (key) {
        case API_PRODUCE:
        case API_FETCH:
        case API_LIST_OFFSETS:
        case API_METADATA:
        case API_API_VERSIONS:
        case API_OFFSET_FOR_LEADER_EPOCH:
        case API_OFFSET_COMMIT:
            return true;
        default:
            return false;
    }
}

static bool listener_serves(const struct net_listener *listener, const struct api_info *api) {
    uint8_t bit = listener->is_controller ? API_LISTENER_CONTROLLER : API_LISTENER_BROKER;
    return (api->listeners & bit) != 0;
}

static struct api_call *call_new(struct net_request *request, const struct api_info *api,
                                 int16_t version) {
    struct api_call *call = arena_zalloc(&request->arena, 1, sizeof *call);
    call->node = net_context(request->net);
    call->net = request;
    call->api = api;
    call->version = version;
    call->arena = &request->arena;
    call->response = arena_alloc(&request->arena, codec_size(api->response));
    codec_init(api->response, call->response);
    request->user = call;
    arena_init(&call->away);
    return call;
}

static void call_abandoned(struct net_request *request) {
    struct api_call *call = request->user;
    if (call->abandoned != NULL) call->abandoned(call);
}

// The header's fields; its body follows in `in`.
static enum err decode_header(struct api_call *call, struct reader *in) {
    struct request_header header;
    enum err e =
        codec_decode(&request_header_codec, api_request_header_version(call->api, call->version),
                     in, call->arena, DECODED_MIN, &header);
    if (e != ERR_NONE) return e;
    call->correlation_id = header.correlation_id;
    call->client_id = header.client_id;
    return ERR_NONE;
}

static enum err decode_body(struct api_call *call, struct reader *in) {
    size_t frame = call->net->bytes.size;
    size_t max = MAX((size_t)DECODED_MIN, frame * DECODED_PER_BYTE);
    max = MIN(max, MAX((size_t)DECODED_MIN, net_budget(call->net->net)->max / 4));
    call->request = arena_alloc(call->arena, codec_size(call->api->request));
    enum err e =
        codec_decode(call->api->request, call->version, in, call->arena, max, call->request);
    net_request_charge(call->net, call->arena->total);
    return e;
}

// KIP-511: the body of an unknown version is not looked at.
static void answer_unknown_api_versions(struct net_request *request, const struct api_info *api) {
    struct api_call *call = call_new(request, api, 0);
    call->correlation_id = load_i32(request->bytes.data + 4);
    call->client_id = SLICE_NULL;
    struct api_versions_response *response = call->response;
    response->error_code = ERR_UNSUPPORTED_VERSION;
    response->api_keys = api_versions_response_api_key_new(call->arena, 1);
    response->api_keys_count = 1;
    response->api_keys[0].api_key = api->key;
    response->api_keys[0].min_version = api->advertised_min;
    response->api_keys[0].max_version = api->advertised_max;
    api_reply(call);
}

void api_dispatch(struct net_request *request) {
    if (request->bytes.size < HEADER_MIN) {
        net_fail(request, "a frame shorter than a request header");
        return;
    }
    int16_t key = load_i16(request->bytes.data);
    int16_t version = load_i16(request->bytes.data + 2);
    const struct api_info *api = api_info_of(key);
    api_handler *handler = api_handler_of(key);
    if (api == NULL || handler == NULL || !listener_serves(request->listener, api)) {
        refuse(request, key, version, "this listener does not serve it");
        return;
    }
    // A version that is not advertised is not stable yet: it is refused as Kafka refuses it.
    if (version < api->version_min || version > MIN(api->version_max, api->advertised_max)) {
        if (key == API_API_VERSIONS) {
            answer_unknown_api_versions(request, api);
        } else {
            refuse(request, key, version, "the version is not supported");
        }
        return;
    }
    struct api_call *call = call_new(request, api, version);
    request->abandoned = call_abandoned;
    struct reader in = reader_of(request->bytes);
    enum err e = decode_header(call, &in);
    if (e == ERR_NONE) e = decode_body(call, &in);
    if (e != ERR_NONE) {
        refuse(request, key, version,
               e == ERR_LIMIT ? "it is too large decoded" : "it is malformed");
        return;
    }
    request->barrier = !api_may_overlap(key);
    handler(call);
}

// ---- Ends ----

void api_reply(struct api_call *call) {
    struct chain out;
    net_reply_begin(&out);
    struct response_header header;
    codec_init(&response_header_codec, &header);
    header.correlation_id = call->correlation_id;
    struct message error;
    message_init(&error);
    enum err e =
        codec_encode(&response_header_codec, api_response_header_version(call->api, call->version),
                     &header, &out, &error);
    if (e == ERR_NONE) {
        e = codec_encode(call->api->response, call->version, call->response, &out, &error);
    }
    arena_deinit(&call->away);
    if (e != ERR_NONE) {
        chain_deinit(&out);
        struct message why;
        message_set(&why, "the %s response does not encode in version %d: %s", call->api->name,
                    call->version, error.text);
        net_fail(call->net, why.text);
        return;
    }
    net_reply(call->net, &out);
}

void api_reply_error(struct api_call *call, enum err error, const struct message *text) {
    struct slice sentence = text == NULL ? SLICE_NULL : message_slice(text);
    if (slice_is_null(sentence)) sentence = slice_cstring(err_text(error));
    codec_init(call->api->response, call->response);
    if (!error_response_fill(call, err_wire(error), sentence)) {
        api_close(call, "the response has no place for an error");
        return;
    }
    api_reply(call);
}

void api_reply_nothing(struct api_call *call) {
    arena_deinit(&call->away);
    net_reply_nothing(call->net);
}

void api_close(struct api_call *call, const char *why) {
    arena_deinit(&call->away);
    net_fail(call->net, why);
}
