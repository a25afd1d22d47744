// The life of a node as the cluster sees it, and its stop.
//
// Start: the controller is active → ControllerRegistration → BrokerRegistration (with the epoch of
// the last clean stop, KIP-966) → BrokerHeartbeat that asks to be unfenced → the image that shows
// this broker alive is published on every reactor → clients are served. The calls go to the
// controller of this process, without a socket or a timer.
//
// Stop: BrokerHeartbeat that asks for the controlled shutdown, again until the controller says that
// it is done and the broker is fenced → no more connections → partitions flushed and closed →
// checkpoints and the clean-shutdown files → the metadata log closed, with a snapshot.
#include <stdio.h>

#include "broker/parts.h"
#include "group/group.h"
#include "transaction/coordinator.h"
#include "metadata/features.h"

enum { SHUTDOWN_TRIES_MAX = 10 };

// A stop that takes longer is given up: the next start recovers, as after a crash.
#define STOP_NS_MAX (60ull * 1000 * 1000 * 1000)

// ---- Calls to the controller ----

static void call_controller(struct broker *broker, enum api_key api, const void *request,
                            void (*done)(struct controller_call *call, enum err result)) {
    const struct api_info *info = api_info_of((int16_t)api);
    struct controller_call *call = &broker->call;
    *call = (struct controller_call){
        .api = api,
        .version = info->version_max,
        .request = request,
        .arena = &broker->call_arena,
        .response = arena_alloc(&broker->call_arena, codec_size(info->response)),
        .done = done,
    };
    codec_init(info->response, call->response);
    controller_call(broker->controller, call);
}

static void *new_request(struct broker *broker, const struct codec_struct *codec) {
    arena_reset(&broker->call_arena);
    void *request = arena_alloc(&broker->call_arena, codec_size(codec));
    codec_init(codec, request);
    return request;
}

static struct broker *broker_of_call(struct controller_call *call) {
    return container_of(call, struct broker, call);
}

// ---- Start ----

static void open_net(struct env_message *message) {
    net_open(container_of(message, struct broker_reactor, open)->node.net);
}

static void serve(struct broker *broker) {
    broker->state = BROKER_RUNNING;
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        reactor->open.deliver = open_net;
        env_post(reactor->node.env, &reactor->open);
    }
    uint64_t took_ns = env_clock_ns(broker->env) - broker->start_ns;
    log_info(broker->logger, "broker", "node %d of cluster %.*s serves after %llu ms",
             broker->identity.node_id, SLICE_PRINT(broker->identity.cluster_id),
             (unsigned long long)(took_ns / 1000000));
    broker->options.started(broker->options.context);
    broker_assignments_send(broker);
    if (broker->stop_wanted) broker_stop(broker);
}

static void unfenced(struct controller_call *call, enum err result) {
    struct broker *broker = broker_of_call(call);
    const struct broker_heartbeat_response *response = call->response;
    if (broker->state != BROKER_UNFENCING) return;
    if (result == ERR_NONE) result = err_of_wire(response->error_code);
    if (result != ERR_NONE) {
        broker_fail(broker, result, "the controller refused the broker's heartbeat");
        return;
    }
    if (response->is_fenced) {
        broker_fail(broker, ERR_BROKER_NOT_AVAILABLE, "the controller keeps the broker fenced");
        return;
    }
    serve(broker);
}

static void unfence(struct broker *broker) {
    broker->state = BROKER_UNFENCING;
    struct broker_heartbeat_request *request = new_request(broker, &broker_heartbeat_request_codec);
    request->broker_id = broker->identity.node_id;
    request->broker_epoch = broker->epoch;
    request->current_metadata_offset = image_offset(controller_image(broker->controller));
    // KIP-1066: an empty list says that none is cordoned; it is written from level 30 on.
    request->cordoned_log_dirs_count = 0;
    call_controller(broker, API_BROKER_HEARTBEAT, request, unfenced);
}

static void registered(struct controller_call *call, enum err result) {
    struct broker *broker = broker_of_call(call);
    const struct broker_registration_response *response = call->response;
    if (broker->state != BROKER_REGISTERING) return;
    if (result == ERR_NONE) result = err_of_wire(response->error_code);
    if (result != ERR_NONE) {
        broker_fail(broker, result, "the controller refused the broker's registration");
        return;
    }
    broker->epoch = response->broker_epoch;
    unfence(broker);
}

// Fills an array of {name, min, max}; the two registrations have the same rows as different
// structs.
#define ADD_FEATURES(request, type)                                                   \
    do {                                                                              \
        (request)->features = type##_feature_new(&broker->call_arena, FEATURE_COUNT); \
        (request)->features_count = FEATURE_COUNT;                                    \
        for (int i = 0; i < FEATURE_COUNT; i++) {                                     \
            const struct feature_row *row = feature_row((enum feature_id)i);          \
            (request)->features[i].name = slice_cstring(row->name);                   \
            (request)->features[i].min_supported_version = row->min;                  \
            (request)->features[i].max_supported_version = row->max;                  \
        }                                                                             \
    } while (0)

// The same for the listeners of one kind.
#define ADD_LISTENERS(request, type, controllers)                                                \
    do {                                                                                         \
        (request)->listeners = type##_listener_new(&broker->call_arena, broker->listener_count); \
        for (int32_t i = 0; i < broker->listener_count; i++) {                                   \
            const struct net_listener *from = &broker->listeners[i];                             \
            if (from->is_controller != (controllers)) continue;                                  \
            int32_t n = (request)->listeners_count++;                                            \
            (request)->listeners[n].name = from->name;                                           \
            (request)->listeners[n].host = from->advertised_host;                                \
            (request)->listeners[n].port = from->advertised_port;                                \
            (request)->listeners[n].security_protocol = from->security_protocol;                 \
        }                                                                                        \
    } while (0)

static void add_directories(struct broker *broker, struct broker_registration_request *request) {
    request->log_dirs = arena_zalloc(&broker->call_arena, (size_t)broker->directory_count,
                                     sizeof *request->log_dirs);
    request->log_dirs_count = broker->directory_count;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        request->log_dirs[i] = log_directory_meta(broker->directories[i])->directory_id;
    }
}

static void register_broker(struct broker *broker) {
    struct broker_registration_request *request =
        new_request(broker, &broker_registration_request_codec);
    request->broker_id = broker->identity.node_id;
    request->cluster_id = broker->identity.cluster_id;
    request->incarnation_id = broker->identity.incarnation_id;
    request->rack = broker->identity.rack;
    request->previous_broker_epoch = broker->previous_epoch;
    ADD_LISTENERS(request, broker_registration_request, false);
    ADD_FEATURES(request, broker_registration_request);
    add_directories(broker, request);
    call_controller(broker, API_BROKER_REGISTRATION, request, registered);
}

static void controller_registered(struct controller_call *call, enum err result) {
    struct broker *broker = broker_of_call(call);
    const struct controller_registration_response *response = call->response;
    if (broker->state != BROKER_REGISTERING) return;
    if (result == ERR_NONE) result = err_of_wire(response->error_code);
    // KIP-919: a cluster below metadata.version 15 keeps no controllers.
    if (result != ERR_NONE && result != ERR_UNSUPPORTED_VERSION) {
        broker_fail(broker, result, "the controller's own registration was refused");
        return;
    }
    if (broker->identity.is_broker) {
        register_broker(broker);
    } else {
        serve(broker);
    }
}

void broker_active(struct controller_host *host, UNUSED int32_t epoch) {
    struct broker *broker = container_of(host, struct broker, host);
    if (broker->state != BROKER_LOADING) return;
    broker->state = BROKER_REGISTERING;
    struct controller_registration_request *request =
        new_request(broker, &controller_registration_request_codec);
    request->controller_id = broker->identity.node_id;
    request->incarnation_id = broker->identity.incarnation_id;
    ADD_LISTENERS(request, controller_registration_request, true);
    ADD_FEATURES(request, controller_registration_request);
    call_controller(broker, API_CONTROLLER_REGISTRATION, request, controller_registered);
}

// ---- Failure ----

static void report_stopped(struct env_task *task) {
    struct broker *broker = container_of(task, struct broker, stopped);
    broker->options.stopped(broker->options.context, broker->result);
}

static void stop_finished(struct broker *broker, enum err result) {
    if (broker->state == BROKER_STOPPED) return;
    broker->state = BROKER_STOPPED;
    broker->result = result;
    env_timer_stop(broker->env, &broker->stop_timer);
    env_defer(broker->env, &broker->stopped);
}

void broker_fail(struct broker *broker, enum err error, const char *sentence) {
    if (broker->state == BROKER_STOPPED) return;
    log_error(broker->logger, "broker", "%s (%s); the node stops", sentence, err_text(error));
    stop_finished(broker, error);
}

void broker_metadata_failed(struct controller_host *host, enum err error, struct slice sentence) {
    char text[MESSAGE_MAX];
    snprintf(text, sizeof text, "%.*s", SLICE_PRINT(sentence));
    broker_fail(container_of(host, struct broker, host), error, text);
}

// ---- Stop: each step begins the next when it is done on every reactor ----

static void stop_step_done(struct env_message *message);

// Runs `step` on every reactor; `next` follows on reactor 0 when all have called stop_reactor_done.
static void stop_everywhere(struct broker *broker, void (*step)(struct env_message *message),
                            void (*next)(struct broker *broker)) {
    broker->parts_left = broker->reactor_count;
    broker->stop_next = next;
    for (int32_t i = 0; i < broker->reactor_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        reactor->stopping.deliver = step;
        env_post(reactor->node.env, &reactor->stopping);
    }
}

static void stop_reactor_done(struct broker_reactor *reactor) {
    reactor->stopping.deliver = stop_step_done;
    env_post(reactor->broker->env, &reactor->stopping);
}

static void stop_step_done(struct env_message *message) {
    struct broker *broker = container_of(message, struct broker_reactor, stopping)->broker;
    if (--broker->parts_left == 0) broker->stop_next(broker);
}

static void controller_stopped(void *context) {
    stop_finished(context, ERR_NONE);
}

static void stop_controller(struct broker *broker) {
    controller_stop(broker->controller, controller_stopped, broker);
}

static void checkpoints_finished(void *context, enum err result) {
    struct broker *broker = context;
    if (result != ERR_NONE) {
        log_warn(broker->logger, "broker", "the last checkpoints could not be written: %s",
                 err_text(result));
    }
    stop_controller(broker);
}

static void stop_checkpoints(struct broker *broker) {
    if (broker->checkpoints == NULL) {
        stop_controller(broker);
        return;
    }
    offset_checkpoints_finish(broker->checkpoints, true, broker->epoch, checkpoints_finished,
                              broker);
}

static void replicas_stopped(struct replica_stop *stop) {
    stop_reactor_done(container_of(stop, struct broker_reactor, stop));
}

static void stop_replicas_here(struct env_message *message) {
    struct broker_reactor *reactor = container_of(message, struct broker_reactor, stopping);
    if (reactor->node.replicas == NULL) {
        stop_reactor_done(reactor);
        return;
    }
    reactor->stop.done = replicas_stopped;
    replica_manager_stop(reactor->node.replicas, &reactor->stop);
}

static void stop_replicas(struct broker *broker) {
    stop_everywhere(broker, stop_replicas_here, stop_checkpoints);
}

static void net_freed(void *context) {
    struct broker_reactor *reactor = context;
    reactor->node.net = NULL;
    stop_reactor_done(reactor);
}

static void stop_net_here(struct env_message *message) {
    struct broker_reactor *reactor = container_of(message, struct broker_reactor, stopping);
    net_free(reactor->node.net, net_freed, reactor);
}

static void stop_nets(struct broker *broker) {
    stop_everywhere(broker, stop_net_here, stop_replicas);
}

static void groups_stopped(void *context) {
    stop_reactor_done(context);
}

static void stop_groups_here(struct env_message *message) {
    struct broker_reactor *reactor = container_of(message, struct broker_reactor, stopping);
    if (reactor->node.groups == NULL) {
        stop_reactor_done(reactor);
        return;
    }
    group_coordinator_stop(reactor->node.groups, groups_stopped, reactor);
}

// Members that wait for a rebalance are told before their connections go.
static void stop_groups(struct broker *broker) {
    stop_everywhere(broker, stop_groups_here, stop_nets);
}

static void transactions_stopped(void *context) {
    stop_reactor_done(context);
}

static void stop_transactions_here(struct env_message *message) {
    struct broker_reactor *reactor = container_of(message, struct broker_reactor, stopping);
    if (reactor->node.transactions == NULL) {
        stop_reactor_done(reactor);
        return;
    }
    transaction_coordinator_stop(reactor->node.transactions, transactions_stopped, reactor);
}

// Before the groups: markers may be on their way to them.
static void stop_coordinators(struct broker *broker) {
    broker_close_listeners(broker);
    stop_everywhere(broker, stop_transactions_here, stop_groups);
}

static void ask_for_shutdown(struct broker *broker);

static void shutdown_answered(struct controller_call *call, enum err result) {
    struct broker *broker = broker_of_call(call);
    const struct broker_heartbeat_response *response = call->response;
    if (broker->state != BROKER_STOPPING) return;
    if (result == ERR_NONE) result = err_of_wire(response->error_code);
    if (result != ERR_NONE) {
        log_warn(broker->logger, "broker", "controlled shutdown failed: %s", err_text(result));
        stop_coordinators(broker);
    } else if (response->should_shut_down || broker->shutdown_tries >= SHUTDOWN_TRIES_MAX) {
        stop_coordinators(broker);
    } else {
        ask_for_shutdown(broker);
    }
}

static void ask_for_shutdown(struct broker *broker) {
    broker->shutdown_tries++;
    struct broker_heartbeat_request *request = new_request(broker, &broker_heartbeat_request_codec);
    request->broker_id = broker->identity.node_id;
    request->broker_epoch = broker->epoch;
    request->current_metadata_offset = image_offset(controller_image(broker->controller));
    request->want_shut_down = true;
    call_controller(broker, API_BROKER_HEARTBEAT, request, shutdown_answered);
}

static void stop_takes_too_long(struct env_timer *timer) {
    broker_fail(container_of(timer, struct broker, stop_timer), ERR_TIMEOUT,
                "the stop does not come to its end");
}

void broker_stop(struct broker *broker) {
    // A node that is still starting goes on until it serves: to stop half of it would be a second
    // way to stop.
    broker->stop_wanted = true;
    if (broker->state != BROKER_RUNNING) return;
    broker->state = BROKER_STOPPING;
    log_info(broker->logger, "broker", "stopping");
    env_timer_start(broker->env, &broker->stop_timer, env_now_ns(broker->env) + STOP_NS_MAX);
    if (broker->identity.is_broker) {
        ask_for_shutdown(broker);
    } else {
        stop_coordinators(broker);
    }
}

void broker_lifecycle_init(struct broker *broker) {
    broker->epoch = -1;
    arena_init(&broker->call_arena);
    env_task_init(&broker->stopped, report_stopped);
    env_timer_init(&broker->stop_timer, stop_takes_too_long);
}
