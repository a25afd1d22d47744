// An administrator who changes the finalised transaction.version while producers work: KIP-890's
// protocol comes and goes under them.
#include "base/arena.h"
#include "base/memory.h"
#include "client/client.h"
#include "sim/clients.h"
#include "wire/codec.h"

#define MS UINT64_C(1000000)

enum { SAFE_DOWNGRADE = 2, LEVEL_MAX = 2 };

struct changer {
    struct env *env;
    struct clients *clients;
    struct client *client;
    struct env_timer timer;
    struct client_call call;
    struct arena arena;
    struct update_features_request request;
    int16_t level;
    bool once;
};

static void changed(struct client_call *call, enum err result) {
    struct changer *c = container_of(call, struct changer, call);
    const struct update_features_response *response = call->response;
    bool is_set = result == ERR_NONE && response->error_code == 0;
    client_call_release(call);
    arena_reset(&c->arena);
    if (is_set && c->once) {
        c->clients->topic_exists = true;
        return;
    }
    if (is_set) c->level = c->level == LEVEL_MAX ? 1 : LEVEL_MAX;
    env_timer_start(c->env, &c->timer,
                    env_now_ns(c->env) + (is_set ? 500 + env_random(c->env) % 2000 : 50) * MS);
}

static void change(struct env_timer *timer) {
    struct changer *c = container_of(timer, struct changer, timer);
    if (c->clients->is_closing) {
        clients_rest(c->clients);
        return;
    }
    codec_init(&update_features_request_codec, &c->request);
    c->request.feature_updates_count = 1;
    c->request.feature_updates = update_features_request_feature_update_new(&c->arena, 1);
    c->request.feature_updates[0].feature = SLICE_LITERAL("transaction.version");
    c->request.feature_updates[0].max_version_level = c->level;
    c->request.feature_updates[0].upgrade_type = c->level == LEVEL_MAX ? 1 : SAFE_DOWNGRADE;
    c->call = (struct client_call){.target = CLIENT_ANY,
                                   .api = API_UPDATE_FEATURES,
                                   .version_min = 1,
                                   .version_max = INT16_MAX,
                                   .message = &c->request,
                                   .done = changed};
    client_call_start(c->client, &c->call);
}

void transaction_version_start(struct env *env, struct clients *clients, bool once) {
    struct changer *c = memory_zalloc(1, sizeof *c);
    struct client_options options = client_options_default();
    options.bootstrap = SLICE_LITERAL(CLUSTER_BOOTSTRAP);
    options.request_timeout_ns = 800 * MS;
    struct message error;
    c->env = env;
    c->clients = clients;
    c->once = once;
    c->level = 1;
    arena_init(&c->arena);
    if (!once) clients->busy++;
    env_timer_init(&c->timer, change);
    if (client_new(env, &options, &c->client, &error) != ERR_NONE) {
        ledger_violate(clients->ledger, "no client: %s", error.text);
        return;
    }
    env_timer_start(env, &c->timer, env_now_ns(env));
}
