#include "broker/broker.h"

#include "api/call.h"
#include "base/memory.h"
#include "broker/parts.h"
#include "api/fetch_session.h"
#include "api/producer_ids.h"
#include "api/marker_sender.h"
#include "group/group.h"

// ---- Settings of the parts ----

// A quarter of what the process may use, unless taccola.memory.max says otherwise; the page cache
// gets the rest.
static size_t reactor_memory_max(const struct broker *broker) {
    enum { SHARE = 4 };
    const uint64_t least = 64ull << 20;
    int64_t configured = config_long(broker->options.config, BROKER_TACCOLA_MEMORY_MAX);
    uint64_t total =
        configured > 0 ? (uint64_t)configured : MAX(env_memory_total(broker->env) / SHARE, least);
    return (size_t)(total / (uint64_t)broker->reactor_count);
}

static struct net_limits net_limits_of(const struct config *config) {
    struct net_limits limits = net_limits_default();
    int64_t idle_ms = config_long(config, BROKER_CONNECTIONS_MAX_IDLE_MS);
    limits.request_bytes_max = config_int(config, BROKER_SOCKET_REQUEST_MAX_BYTES);
    limits.idle_ns = idle_ms < 0 ? 0 : (uint64_t)MAX(idle_ms, 1) * 1000 * 1000;
    return limits;
}

static void identity_init(struct broker *broker) {
    const struct config *config = broker->options.config;
    struct node_identity *identity = &broker->identity;
    identity->node_id = config_node_id(config);
    identity->rack = config_string(config, BROKER_BROKER_RACK);
    identity->incarnation_id = env_random_uuid(broker->env);
    identity->is_broker = config_is_broker(config);
    identity->is_controller = config_is_controller(config);
}

// ---- Reactors ----

static void reactors_init(struct broker *broker) {
    size_t count = (size_t)broker->reactor_count;
    broker->reactors = arena_zalloc(&broker->arena, count, sizeof *broker->reactors);
    broker->nodes = arena_zalloc(&broker->arena, count, sizeof *broker->nodes);
    broker->nets = arena_zalloc(&broker->arena, count, sizeof *broker->nets);
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        struct node *node = &reactor->node;
        broker->nodes[i] = node;
        reactor->broker = broker;
        reactor->config = config_copy(broker->options.config);
        broker_replica_host_init(reactor);
        node->env = env_reactor(broker->env, (uint32_t)i);
        node->reactor = i;
        node->reactor_count = broker->reactor_count;
        node->reactors = broker->nodes;
        node->identity = &broker->identity;
        node->config = reactor->config;
        node->broker_epoch = -1;
        struct net_options options = {
            .env = node->env,
            .limits = net_limits_of(broker->options.config),
            .memory_max = reactor_memory_max(broker),
            .context = node,
            .request = api_dispatch,
        };
        node->net = broker->nets[i] = net_new(&options);
    }
}

static void replicas_init(struct broker *broker) {
    broker->checkpoints = offset_checkpoints_new(broker->env, broker->reactor_count,
                                                 broker->directories, broker->directory_count);
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        struct replica_options options = {
            .env = reactor->node.env,
            .host = &reactor->replica_host,
            .reactor = i,
            .reactor_count = broker->reactor_count,
            .node_id = broker->identity.node_id,
            .directories = broker->directories,
            .directory_count = broker->directory_count,
            .checkpoints = broker->checkpoints,
        };
        reactor->node.replicas = replica_manager_new(&options);
        int32_t slots =
            config_int(broker->options.config, BROKER_MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS);
        int32_t share = (slots + broker->reactor_count - 1) / broker->reactor_count;
        reactor->node.fetch_sessions = fetch_sessions_new(reactor->node.env, share);
        reactor->node.producer_ids = producer_ids_new();
        reactor->node.groups = group_coordinator_new(reactor->node.env, reactor->node.replicas,
                                                     broker->identity.node_id);
        reactor->node.transactions =
            transaction_coordinator_new(reactor->node.env, reactor->node.replicas,
                                        broker->identity.node_id, marker_sender(&reactor->node));
    }
}

// ---- The metadata log and the controller ----

static struct raft_voters static_voters(struct broker *broker) {
    struct slice listener = SLICE_NULL;
    for (int32_t i = broker->listener_count - 1; i >= 0; i--) {
        if (broker->listeners[i].is_controller) listener = broker->listeners[i].name;
    }
    return raft_voters_of_config(broker->options.config, listener, &broker->arena);
}

static enum err controller_init(struct broker *broker, struct message *error) {
    const struct config *config = broker->options.config;
    struct raft_endpoint *endpoints =
        arena_zalloc(&broker->arena, (size_t)broker->listener_count, sizeof *endpoints);
    int32_t endpoint_count = 0;
    for (int32_t i = 0; i < broker->listener_count; i++) {
        const struct net_listener *l = &broker->listeners[i];
        if (!l->is_controller) continue;
        endpoints[endpoint_count++] =
            (struct raft_endpoint){l->name, l->advertised_host, l->advertised_port};
    }
    struct raft_options options = {
        .directory = broker->metadata_directory,
        .endpoints = endpoints,
        .endpoint_count = endpoint_count,
        .snapshot_bytes =
            config_long(config, BROKER_METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS),
        .snapshot_ms = config_long(config, BROKER_METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS),
        .segment_bytes = config_int(config, BROKER_METADATA_LOG_SEGMENT_BYTES),
        .segment_ms = config_long(config, BROKER_METADATA_LOG_SEGMENT_MS),
        .retention_bytes = config_long(config, BROKER_METADATA_MAX_RETENTION_BYTES),
        .retention_ms = config_long(config, BROKER_METADATA_MAX_RETENTION_MS),
    };
    options.static_voters = static_voters(broker);
    enum err e = raft_open(broker->env, &options, &broker->raft, error);
    if (e != ERR_NONE) return e;
    broker->host.publish = broker_publish;
    broker->host.active = broker_active;
    broker->host.failed = broker_metadata_failed;
    struct controller_options controller_options = {config, broker->identity.cluster_id};
    broker->controller =
        controller_new(broker->env, &controller_options, broker->raft, &broker->host);
    broker->nodes[0]->controller = broker->controller;
    broker->nodes[0]->raft = broker->raft;
    return ERR_NONE;
}

// ---- Life ----

static enum err check_roles(const struct config *config, struct message *error) {
    if (config_is_controller(config)) return ERR_NONE;
    message_set(error,
                "process.roles=broker needs controllers elsewhere, which is not possible yet: use "
                "process.roles=broker,controller");
    return ERR_INVALID_CONFIG;
}

enum err broker_new(const struct broker_options *options, struct broker **broker,
                    struct message *error) {
    enum err e = check_roles(options->config, error);
    if (e != ERR_NONE) return e;
    struct broker *b = memory_zalloc(1, sizeof *b);
    b->options = *options;
    b->env = options->env;
    b->logger = env_logger(b->env);
    b->start_ns = env_clock_ns(b->env);
    b->reactor_count = (int32_t)env_reactor_count(b->env);
    arena_init(&b->arena);
    b->assignments = broker_assignments_new(b);
    broker_lifecycle_init(b);
    identity_init(b);
    reactors_init(b);
    e = broker_open_directories(b, error);
    if (e == ERR_NONE) e = broker_bind(b, error);
    if (e == ERR_NONE) e = controller_init(b, error);
    if (e != ERR_NONE) {
        broker_free(b);
        return e;
    }
    if (b->identity.is_broker) replicas_init(b);
    *broker = b;
    return ERR_NONE;
}

void broker_start(struct broker *broker) {
    broker->state = BROKER_LOADING;
    controller_start(broker->controller);
}

void broker_free(struct broker *broker) {
    broker_close_listeners(broker);
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        transaction_coordinator_free(reactor->node.transactions);
        group_coordinator_free(reactor->node.groups);
        if (reactor->node.replicas != NULL) replica_manager_free(reactor->node.replicas);
    }
    if (broker->checkpoints != NULL) offset_checkpoints_free(broker->checkpoints);
    if (broker->controller != NULL) controller_free(broker->controller);
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        net_discard(broker->reactors[i].node.net);
        fetch_sessions_free(broker->reactors[i].node.fetch_sessions);
        producer_ids_free(broker->reactors[i].node.producer_ids);
        config_free(broker->reactors[i].config);
        config_free(broker->reactors[i].next_config);
    }
    if (broker->quota != NULL) net_quota_free(broker->quota);
    broker_assignments_free(broker->assignments);
    broker_forget_images(broker);
    broker_close_directories(broker);
    arena_deinit(&broker->call_arena);
    arena_deinit(&broker->arena);
    memory_free(broker);
}

int32_t broker_listener_count(const struct broker *broker) {
    return broker->listener_count;
}

const struct net_listener *broker_listener(const struct broker *broker, int32_t index) {
    return &broker->listeners[index];
}

struct node *broker_node(struct broker *broker, int32_t reactor) {
    return broker->nodes[reactor];
}
