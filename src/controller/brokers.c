// The life of brokers and controllers as the metadata log knows it (KIP-631, 841, 919):
// registration, heartbeats with fencing and controlled shutdown, unregistration.
//
// A broker's epoch is the offset of the first record of its registration. It begins fenced, is
// unfenced by a heartbeat once it has replayed its own registration, and is fenced when it asks for
// it, stops, or is silent for broker.session.timeout.ms. This node's own broker needs no session:
// both end together. A process that comes with a directory of the one before it is its successor
// and is taken at once.
#include "base/memory.h"
#include "controller/leadership.h"
#include "controller/partition_change.h"
#include "controller/repeats.h"

// ---- Sessions ----

static struct session *find_session(const struct controller_state *state, int32_t broker_id) {
    for (int32_t i = 0; i < state->session_count; i++) {
        if (state->sessions[i].broker_id == broker_id) return &state->sessions[i];
    }
    return NULL;
}

void session_touch(struct controller_state *state, int32_t broker_id, int64_t broker_epoch) {
    if (broker_id == state->node_id) return;
    struct session *session = find_session(state, broker_id);
    if (session == NULL) {
        if (state->session_count == state->session_capacity) {
            state->session_capacity = MAX(8, state->session_capacity * 2);
            state->sessions = memory_realloc(state->sessions, (size_t)state->session_capacity,
                                             sizeof *state->sessions);
        }
        session = &state->sessions[state->session_count++];
    }
    *session = (struct session){broker_id, broker_epoch, env_now_ns(state->env)};
}

static uint64_t session_timeout_ns(const struct controller_state *state) {
    return (uint64_t)config_int(state->config, BROKER_BROKER_SESSION_TIMEOUT_MS) * 1000000;
}

bool session_is_valid(const struct controller_state *state, int32_t broker_id,
                      int64_t broker_epoch) {
    if (broker_id == state->node_id) return true;
    const struct session *session = find_session(state, broker_id);
    return session != NULL && session->broker_epoch == broker_epoch &&
           session->contact_ns + session_timeout_ns(state) > env_now_ns(state->env);
}

void sessions_begin(struct controller_state *state) {
    state->session_count = 0;
    const struct broker_image *broker = image_broker_after(state->image, -1);
    for (; broker != NULL; broker = image_broker_after(state->image, broker->id)) {
        if (!broker->fenced) session_touch(state, broker->id, broker->epoch);
    }
}

uint64_t rule_fence_silent_brokers(struct decision *decision) {
    struct controller_state *state = decision->state;
    uint64_t next = 0;
    const struct broker_image *broker = image_broker_after(state->image, -1);
    for (; broker != NULL; broker = image_broker_after(state->image, broker->id)) {
        if (broker->fenced || broker->id == state->node_id) continue;
        const struct session *session = find_session(state, broker->id);
        if (session_is_valid(state, broker->id, broker->epoch)) {
            uint64_t end = session->contact_ns + session_timeout_ns(state);
            next = next == 0 ? end : MIN(next, end);
            continue;
        }
        log_info(env_logger(state->env), "controller",
                 "Fencing broker %d at epoch %lld because its session has timed out.", broker->id,
                 (long long)broker->epoch);
        decide_fenced(decision, broker);
    }
    return next;
}

// ---- Registration ----

static bool shares_directory(const struct broker_image *broker,
                             const struct broker_registration_request *in) {
    for (int32_t i = 0; i < in->log_dirs_count; i++) {
        if (uuid_is_among(in->log_dirs[i], broker->directories, broker->directory_count)) {
            return true;
        }
    }
    return false;
}

static enum err check_directories(const struct decision *decision,
                                  const struct broker_registration_request *in) {
    if (!metadata_version_has_directories(decision->metadata_version)) return ERR_NONE;
    struct arena *arena = decision->result->arena;
    if (in->log_dirs_count <= 0) {
        message_set(decision->error, "No directories specified in request");
        return ERR_INVALID_REGISTRATION;
    }
    struct slice *keys = arena_zalloc(arena, (size_t)in->log_dirs_count, sizeof *keys);
    for (int32_t i = 0; i < in->log_dirs_count; i++) {
        if (uuid_is_reserved(in->log_dirs[i])) {
            message_set(decision->error, "Reserved directory ID in request");
            return ERR_INVALID_REGISTRATION;
        }
        keys[i] = slice_of(in->log_dirs[i].bytes, sizeof in->log_dirs[i].bytes);
    }
    const enum repeat *repeats =
        repeats_find(keys, in->log_dirs_count, env_random(decision->state->env), arena);
    for (int32_t i = 0; i < in->log_dirs_count; i++) {
        if (repeats[i] != REPEAT_LATER) continue;
        message_set(decision->error, "Duplicate directory ID in request");
        return ERR_INVALID_REGISTRATION;
    }
    const struct broker_image *other = image_broker_after(decision->image, -1);
    for (; other != NULL; other = image_broker_after(decision->image, other->id)) {
        if (other->id == in->broker_id || !shares_directory(other, in)) continue;
        message_set(decision->error, "Broker %d is already registered with one of the directories",
                    other->id);
        return ERR_INVALID_REGISTRATION;
    }
    return ERR_NONE;
}

static enum err check_feature(const struct decision *decision, struct slice name, int16_t min,
                              int16_t max, int16_t finalized) {
    if (finalized >= min && finalized <= max) return ERR_NONE;
    message_set(decision->error,
                "Unable to register because the broker does not support finalized version %d of "
                "%.*s. The broker wants a version between %d and %d, inclusive.",
                finalized, SLICE_PRINT(name), min, max);
    return ERR_UNSUPPORTED_VERSION;
}

static int16_t finalized_level(const struct decision *decision, struct slice name) {
    if (slice_equal_cstring(name, feature_row(FEATURE_KRAFT_VERSION)->name)) {
        return decision->state->kraft_version;
    }
    return image_feature(decision->image, name);
}

static bool names_feature(const struct broker_registration_request *in, const char *name) {
    for (int32_t i = 0; i < in->features_count; i++) {
        if (slice_equal_cstring(in->features[i].name, name)) return true;
    }
    return false;
}

static enum err check_features(const struct decision *decision,
                               const struct broker_registration_request *in) {
    for (int32_t i = 0; i < in->features_count; i++) {
        const struct broker_registration_request_feature *feature = &in->features[i];
        enum err err =
            check_feature(decision, feature->name, feature->min_supported_version,
                          feature->max_supported_version, finalized_level(decision, feature->name));
        if (err != ERR_NONE) return err;
    }
    if (!names_feature(in, feature_row(FEATURE_METADATA_VERSION)->name)) {
        message_set(decision->error, "Request features do not contain 'metadata.version'");
        return ERR_INVALID_REGISTRATION;
    }
    for (size_t i = 0; i < FEATURE_COUNT; i++) {
        const char *name = feature_row((enum feature_id)i)->name;
        int16_t finalized = finalized_level(decision, slice_cstring(name));
        if (finalized == 0 || names_feature(in, name)) continue;
        enum err err = check_feature(decision, slice_cstring(name), 0, 0, finalized);
        if (err != ERR_NONE) return err;
    }
    return ERR_NONE;
}

static enum err check_registration(const struct decision *decision,
                                   const struct broker_registration_request *in,
                                   const struct broker_image *existing, bool same_incarnation) {
    if (!slice_equal(in->cluster_id, decision->state->cluster_id)) {
        message_set(decision->error, "Expected cluster ID %.*s, but got cluster ID %.*s",
                    SLICE_PRINT(decision->state->cluster_id), SLICE_PRINT(in->cluster_id));
        return ERR_INCONSISTENT_CLUSTER_ID;
    }
    if (existing != NULL && !same_incarnation && !existing->fenced &&
        !shares_directory(existing, in) && existing->directory_count > 0 &&
        session_is_valid(decision->state, existing->id, existing->epoch)) {
        message_set(decision->error,
                    "Another broker is registered with that broker id. If the broker was recently "
                    "restarted this should self-resolve once the heartbeat manager expires the "
                    "broker's session.");
        return ERR_DUPLICATE_BROKER_REGISTRATION;
    }
    if (in->is_migrating_zk_broker) {
        message_set(decision->error, "Controller does not support registering ZK brokers.");
        return ERR_BROKER_ID_NOT_REGISTERED;
    }
    enum err err = check_directories(decision, in);
    return err != ERR_NONE ? err : check_features(decision, in);
}

static void fill_registration(const struct decision *decision,
                              const struct broker_registration_request *in,
                              struct register_broker_record *r) {
    struct arena *arena = decision->result->arena;
    r->broker_id = in->broker_id;
    r->incarnation_id = in->incarnation_id;
    r->rack = in->rack;
    r->end_points = register_broker_record_end_point_new(arena, in->listeners_count);
    r->end_points_count = in->listeners_count;
    for (int32_t i = 0; i < in->listeners_count; i++) {
        const struct broker_registration_request_listener *from = &in->listeners[i];
        r->end_points[i] = (struct register_broker_record_end_point){
            from->name, from->host, from->port, from->security_protocol, {0}};
    }
    r->features = register_broker_record_feature_new(arena, in->features_count);
    r->features_count = in->features_count;
    for (int32_t i = 0; i < in->features_count; i++) {
        const struct broker_registration_request_feature *from = &in->features[i];
        r->features[i] = (struct register_broker_record_feature){
            from->name, from->min_supported_version, from->max_supported_version, {0}};
    }
    if (metadata_version_has_directories(decision->metadata_version)) {
        r->log_dirs = in->log_dirs;
        r->log_dirs_count = in->log_dirs_count;
    }
}

enum err rule_broker_registration(struct decision *decision, const void *request, void *response) {
    const struct broker_registration_request *in = request;
    struct broker_registration_response *out = response;
    const struct broker_image *existing = image_broker(decision->image, in->broker_id);
    bool same_incarnation =
        existing != NULL && uuid_equal(existing->incarnation_id, in->incarnation_id);
    enum err err = check_registration(decision, in, existing, same_incarnation);
    if (err != ERR_NONE) return err;
    struct metadata_record record =
        decision_record(decision, METADATA_REGISTER_BROKER,
                        register_broker_record_version(decision->metadata_version));
    struct register_broker_record *r = record.message;
    fill_registration(decision, in, r);
    if (same_incarnation) {
        r->fenced = existing->fenced;
        r->in_controlled_shutdown = existing->in_controlled_shutdown;
        r->broker_epoch = existing->epoch;
    } else {
        bool clean = decision->api_version >= 3 && existing != NULL &&
                     existing->epoch == in->previous_broker_epoch;
        decide_restarted(decision, in->broker_id, clean, in->log_dirs, in->log_dirs_count);
        r->broker_epoch = decision->result->next_offset;
    }
    decision_add(decision, &record);
    session_touch(decision->state, in->broker_id, r->broker_epoch);
    out->broker_epoch = r->broker_epoch;
    return ERR_NONE;
}

// ---- Heartbeat ----

enum broker_state { BROKER_FENCED, BROKER_UNFENCED, BROKER_SHUTTING_DOWN, BROKER_MAY_STOP };

static enum broker_state current_state(const struct broker_image *broker) {
    if (broker->in_controlled_shutdown) return BROKER_SHUTTING_DOWN;
    return broker->fenced ? BROKER_FENCED : BROKER_UNFENCED;
}

// With Kafka a stopping broker also waits until all others have seen that it leads nothing; here it
// may stop once nothing is led that somebody else could lead.
static enum broker_state next_state(const struct decision *decision,
                                    const struct broker_image *broker,
                                    const struct broker_heartbeat_request *in) {
    switch (current_state(broker)) {
        case BROKER_FENCED:
            if (in->want_shut_down) return BROKER_MAY_STOP;
            if (in->want_fence) return BROKER_FENCED;
            return in->current_metadata_offset >= broker->epoch ? BROKER_UNFENCED : BROKER_FENCED;
        case BROKER_UNFENCED:
            if (in->want_shut_down) {
                return !in->want_fence && leads_movable_partitions(decision, broker->id)
                           ? BROKER_SHUTTING_DOWN
                           : BROKER_MAY_STOP;
            }
            return in->want_fence ? BROKER_FENCED : BROKER_UNFENCED;
        default:
            return leads_movable_partitions(decision, broker->id) ? BROKER_SHUTTING_DOWN
                                                                  : BROKER_MAY_STOP;
    }
}

static void change_state(struct decision *decision, const struct broker_image *broker,
                         enum broker_state next) {
    if (next == current_state(broker)) return;
    if (next == BROKER_UNFENCED) {
        decide_unfenced(decision, broker);
    } else if (next == BROKER_SHUTTING_DOWN) {
        decide_controlled_shutdown(decision, broker);
    } else if (!broker->fenced) {
        if (next == BROKER_MAY_STOP && !broker->in_controlled_shutdown) {
            decide_controlled_shutdown(decision, broker);
        }
        decide_fenced(decision, broker);
    }
}

static struct broker_registration_change_record *directories_record(
    const struct decision *decision, const struct broker_image *broker, int16_t version,
    struct metadata_record *record) {
    *record = decision_record(decision, METADATA_BROKER_REGISTRATION_CHANGE, version);
    struct broker_registration_change_record *r = record->message;
    r->broker_id = broker->id;
    r->broker_epoch = broker->epoch;
    return r;
}

static void take_directories_offline(struct decision *decision, const struct broker_image *broker,
                                     const struct broker_heartbeat_request *in) {
    struct arena *arena = decision->result->arena;
    struct uuid *online = arena_zalloc(arena, (size_t)broker->directory_count, sizeof *online);
    struct uuid *offline = arena_zalloc(arena, (size_t)broker->directory_count, sizeof *offline);
    int32_t online_count = 0;
    int32_t offline_count = 0;
    for (int32_t i = 0; i < broker->directory_count; i++) {
        if (uuid_is_among(broker->directories[i], in->offline_log_dirs,
                          in->offline_log_dirs_count)) {
            offline[offline_count++] = broker->directories[i];
        } else {
            online[online_count++] = broker->directories[i];
        }
    }
    if (offline_count == 0) return;
    decide_directories_offline(decision, broker->id, offline, offline_count);
    struct metadata_record record;
    struct broker_registration_change_record *r = directories_record(decision, broker, 2, &record);
    r->log_dirs = online;
    r->log_dirs_count = online_count;
    decision_add(decision, &record);
}

static void cordon_directories(struct decision *decision, const struct broker_image *broker,
                               const struct broker_heartbeat_request *in) {
    if (in->cordoned_log_dirs_count < 0) return;
    bool changed = broker->cordoned_count != in->cordoned_log_dirs_count;
    for (int32_t i = 0; !changed && i < in->cordoned_log_dirs_count; i++) {
        changed = !uuid_is_among(in->cordoned_log_dirs[i], broker->cordoned_directories,
                                 broker->cordoned_count);
    }
    if (!changed) return;
    struct metadata_record record;
    struct broker_registration_change_record *r = directories_record(decision, broker, 3, &record);
    r->cordoned_log_dirs = in->cordoned_log_dirs;
    r->cordoned_log_dirs_count = in->cordoned_log_dirs_count;
    decision_add(decision, &record);
}

enum err rule_broker_heartbeat(struct decision *decision, const void *request, void *response) {
    const struct broker_heartbeat_request *in = request;
    struct broker_heartbeat_response *out = response;
    enum err err = decision_check_broker_epoch(decision, in->broker_id, in->broker_epoch);
    if (err != ERR_NONE) return err;
    const struct broker_image *broker = image_broker(decision->image, in->broker_id);
    enum broker_state next = next_state(decision, broker, in);
    // Cordoned directories are said before partitions are placed on them.
    if (metadata_version_has_cordoned_directories(decision->metadata_version)) {
        cordon_directories(decision, broker, in);
    }
    change_state(decision, broker, next);
    if (metadata_version_has_directories(decision->metadata_version)) {
        take_directories_offline(decision, broker, in);
    }
    session_touch(decision->state, broker->id, broker->epoch);
    out->is_caught_up = in->current_metadata_offset >= broker->epoch;
    out->is_fenced = next == BROKER_FENCED || next == BROKER_MAY_STOP;
    out->should_shut_down = next == BROKER_MAY_STOP;
    return ERR_NONE;
}

// ---- Unregistration, controllers ----

enum err rule_unregister_broker(struct decision *decision, const void *request, void *response) {
    const struct unregister_broker_request *in = request;
    (void)response;
    const struct broker_image *broker = image_broker(decision->image, in->broker_id);
    if (broker == NULL) {
        message_set(decision->error, "Broker ID %d is not currently registered", in->broker_id);
        return ERR_BROKER_ID_NOT_REGISTERED;
    }
    // Kafka would let it go, and leave a broker that runs but is not there.
    if (broker->id == decision->state->node_id && !broker->fenced) {
        message_set(decision->error, "Broker %d is running on this node: it cannot be unregistered",
                    broker->id);
        return ERR_INVALID_REQUEST;
    }
    decision->bounded = true;
    decide_gone(decision, broker->id);
    struct metadata_record record = decision_record(decision, METADATA_UNREGISTER_BROKER, 0);
    struct unregister_broker_record *r = record.message;
    r->broker_id = broker->id;
    r->broker_epoch = broker->epoch;
    decision_add(decision, &record);
    return decision_check_size(decision);
}

enum err rule_controller_registration(struct decision *decision, const void *request,
                                      void *response) {
    const struct controller_registration_request *in = request;
    (void)response;
    if (!metadata_version_has_controller_registration(decision->metadata_version)) {
        message_set(decision->error,
                    "The current MetadataVersion is too old to support controller registrations.");
        return ERR_UNSUPPORTED_VERSION;
    }
    struct arena *arena = decision->result->arena;
    struct metadata_record record = decision_record(decision, METADATA_REGISTER_CONTROLLER, 0);
    struct register_controller_record *r = record.message;
    r->controller_id = in->controller_id;
    r->incarnation_id = in->incarnation_id;
    r->end_points = register_controller_record_end_point_new(arena, in->listeners_count);
    r->end_points_count = in->listeners_count;
    for (int32_t i = 0; i < in->listeners_count; i++) {
        const struct controller_registration_request_listener *from = &in->listeners[i];
        r->end_points[i] = (struct register_controller_record_end_point){
            from->name, from->host, from->port, from->security_protocol, {0}};
    }
    r->features = register_controller_record_feature_new(arena, in->features_count);
    r->features_count = in->features_count;
    for (int32_t i = 0; i < in->features_count; i++) {
        const struct controller_registration_request_feature *from = &in->features[i];
        r->features[i] = (struct register_controller_record_feature){
            from->name, from->min_supported_version, from->max_supported_version, {0}};
    }
    decision_add(decision, &record);
    return ERR_NONE;
}

enum err rule_unregister_controller(struct decision *decision, const void *request,
                                    void *response) {
    const struct unregister_controller_request *in = request;
    (void)response;
    if (!metadata_version_has_controller_unregistration(decision->metadata_version)) {
        message_set(decision->error,
                    "The current MetadataVersion is too old to support controller unregistration.");
        return ERR_UNSUPPORTED_VERSION;
    }
    if (image_controller(decision->image, in->controller_id) == NULL) {
        message_set(decision->error, "Controller ID %d is not currently registered.",
                    in->controller_id);
        return ERR_CONTROLLER_ID_NOT_REGISTERED;
    }
    struct metadata_record record = decision_record(decision, METADATA_UNREGISTER_CONTROLLER, 0);
    ((struct unregister_controller_record *)record.message)->controller_id = in->controller_id;
    decision_add(decision, &record);
    return ERR_NONE;
}
