// UpdateFeatures (KIP-584) and the records with which a new leader begins.
#include "controller/state.h"

#define MIN_ISR "min.insync.replicas"

enum upgrade_type { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static void add_feature_level(struct decision *decision, struct slice name, int16_t level) {
    struct metadata_record record = decision_record(decision, METADATA_FEATURE_LEVEL, 0);
    struct feature_level_record *r = record.message;
    r->name = name;
    r->feature_level = level;
    decision_add(decision, &record);
}

static void add_config(struct decision *decision, struct slice resource, struct slice value) {
    struct metadata_record record = decision_record(decision, METADATA_CONFIG, 0);
    struct config_record *r = record.message;
    r->resource_type = CONFIG_RESOURCE_BROKER;
    r->resource_name = resource;
    r->name = SLICE_LITERAL(MIN_ISR);
    r->value = value;
    decision_add(decision, &record);
}

static struct slice static_min_isr(const struct decision *decision) {
    return arena_format(decision->result->arena, "%d",
                        config_int(decision->state->config, BROKER_MIN_INSYNC_REPLICAS));
}

// ---- What all nodes can do ----

static bool supports(const char *who, int32_t id, int16_t level, int16_t min, int16_t max,
                     struct message *why) {
    if (level >= min && level <= max) return true;
    if (max == 0) {
        message_set(why, "%s %d does not support this feature.", who, id);
    } else if (min == max) {
        message_set(why, "%s %d only supports versions %d", who, id, min);
    } else {
        message_set(why, "%s %d only supports versions %d-%d", who, id, min, max);
    }
    return false;
}

static bool range_supports(const char *who, int32_t id, const struct feature_range *features,
                           int32_t count, struct slice name, int16_t level, struct message *why) {
    for (int32_t i = 0; i < count; i++) {
        if (slice_equal(features[i].name, name)) {
            return supports(who, id, level, features[i].min, features[i].max, why);
        }
    }
    return supports(who, id, level, 0, 0, why);
}

static bool all_support(const struct decision *decision, struct slice name, int16_t level,
                        struct message *why) {
    int32_t own = decision->state->node_id;
    enum feature_id id;
    const struct feature_row *row = feature_find(name, &id);
    bool known = row != NULL;
    if (!supports("Local controller", own, level, known ? row->min : 0, known ? row->max : 0,
                  why)) {
        return false;
    }
    const struct broker_image *broker = image_broker_after(decision->image, -1);
    for (; broker != NULL; broker = image_broker_after(decision->image, broker->id)) {
        if (!range_supports("Broker", broker->id, broker->features, broker->feature_count, name,
                            level, why)) {
            return false;
        }
    }
    if (!metadata_version_has_controller_registration(decision->metadata_version)) return true;
    const struct controller_image *controller = image_controller_after(decision->image, -1);
    for (; controller != NULL;
         controller = image_controller_after(decision->image, controller->id)) {
        if (controller->id != own &&
            !range_supports("Controller", controller->id, controller->features,
                            controller->feature_count, name, level, why)) {
            return false;
        }
    }
    return true;
}

// ---- One feature ----

struct proposed {
    const struct decision *decision;
    const struct update_features_request *request;
};

static int16_t current_level(const struct decision *decision, struct slice name) {
    if (slice_equal_cstring(name, feature_row(FEATURE_KRAFT_VERSION)->name)) {
        return decision->state->kraft_version;
    }
    return image_feature(decision->image, name);
}

// The level that a feature has when all of the request is done.
static int16_t proposed_level(void *context, enum feature_id id) {
    const struct proposed *proposed = context;
    struct slice name = slice_cstring(feature_row(id)->name);
    for (int32_t i = proposed->request->feature_updates_count; i-- > 0;) {
        if (slice_equal(proposed->request->feature_updates[i].feature, name)) {
            return proposed->request->feature_updates[i].max_version_level;
        }
    }
    return image_feature(proposed->decision->image, name);
}

static enum err refuse(struct message *error, struct slice name, int16_t level, const char *why) {
    message_set(error, "Invalid update version %d for feature %.*s. %s", level, SLICE_PRINT(name),
                why);
    return ERR_INVALID_UPDATE_VERSION;
}

static enum err update_metadata_version(struct decision *decision, struct slice name, int16_t level,
                                        int8_t upgrade_type, struct message *error) {
    if (metadata_version_row(level) == NULL) {
        message_set(error, "Invalid metadata.version %d. Valid versions are from %d to %d.", level,
                    METADATA_VERSION_MIN, METADATA_VERSION_MAX);
        return ERR_INVALID_UPDATE_VERSION;
    }
    if (level < decision->metadata_version &&
        metadata_version_changed_between(level, decision->metadata_version)) {
        message_set(error, "Unsupported metadata.version downgrade from %d to %d. %s",
                    decision->metadata_version, level,
                    upgrade_type == UNSAFE_DOWNGRADE
                        ? "Unsafe metadata downgrade is not supported in this version."
                        : "Refusing to perform the requested downgrade because it might delete "
                          "metadata information.");
        return ERR_INVALID_UPDATE_VERSION;
    }
    add_feature_level(decision, name, level);
    return ERR_NONE;
}

static enum err update_kraft_version(struct decision *decision, struct slice name, int16_t level,
                                     int8_t upgrade_type, struct message *error) {
    if (level == decision->state->kraft_version) {
        if (upgrade_type == UPGRADE) {
            struct metadata_record record = decision_record(decision, METADATA_NO_OP, 0);
            decision_add(decision, &record);
        }
        return ERR_NONE;
    }
    if (level > decision->state->kraft_version) {
        return refuse(error, name, level,
                      "The quorum cannot be made dynamic by this version of Taccola.");
    }
    return refuse(error, name, level, "Can't downgrade the version of this feature.");
}

static enum err update_feature(struct decision *decision, const struct update_features_request *in,
                               const struct update_features_request_feature_update *update,
                               struct message *error) {
    struct slice name = update->feature;
    int16_t level = update->max_version_level;
    int8_t type = update->upgrade_type;
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE) {
        return refuse(error, name, level,
                      "The controller does not support the given upgrade type.");
    }
    if (level < 0) return refuse(error, name, level, "A feature version cannot be less than 0.");
    struct message why;
    message_init(&why);
    if (!all_support(decision, name, level, &why)) return refuse(error, name, level, why.text);
    int16_t current = current_level(decision, name);
    if (level < current && type == UPGRADE) {
        return refuse(
            error, name, level,
            "Can't downgrade the version of this feature without setting the upgrade type "
            "to either safe or unsafe downgrade.");
    }
    if (level > current && type != UPGRADE) {
        return refuse(error, name, level, "Can't downgrade to a newer version.");
    }
    enum feature_id id;
    if (feature_find(name, &id) == NULL) {  // level 0 of something unknown
        message_set(&why, "Feature %.*s not found.", SLICE_PRINT(name));
        return refuse(error, name, level, why.text);
    }
    if (id == FEATURE_METADATA_VERSION) {
        return update_metadata_version(decision, name, level, type, error);
    }
    if (id == FEATURE_KRAFT_VERSION) {
        return update_kraft_version(decision, name, level, type, error);
    }
    struct proposed proposed = {decision, in};
    if (feature_validate(id, level, proposed_level, &proposed, &why) != ERR_NONE) {
        return refuse(error, name, level, why.text);
    }
    add_feature_level(decision, name, level);
    return ERR_NONE;
}

// ELR needs one min.insync.replicas for the cluster: brokers' own ones go, the static one becomes
// the cluster's.
static void add_elr_safety(struct decision *decision) {
    struct slice value;
    struct slice key = SLICE_LITERAL(MIN_ISR);
    if (!image_config(decision->image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, key, &value)) {
        add_config(decision, SLICE_EMPTY, static_min_isr(decision));
    }
    struct slice broker = SLICE_NULL;
    while (image_config_resource_after(decision->image, CONFIG_RESOURCE_BROKER, broker, &broker)) {
        if (broker.size == 0) continue;
        if (!image_config(decision->image, CONFIG_RESOURCE_BROKER, broker, key, &value)) continue;
        add_config(decision, arena_copy(decision->result->arena, broker), SLICE_NULL);
    }
}

enum err rule_update_features(struct decision *decision, const void *request, void *response) {
    const struct update_features_request *in = request;
    struct update_features_response *out = response;
    struct message error;
    message_init(&error);
    out->error_message = SLICE_NULL;
    decision->bounded = true;
    decision->result->atomic = true;
    struct slice elr = slice_cstring(feature_row(FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION)->name);
    for (int32_t i = 0; i < in->feature_updates_count; i++) {
        if (slice_equal(in->feature_updates[i].feature, elr) &&
            in->feature_updates[i].max_version_level > 0) {
            add_elr_safety(decision);
        }
    }
    for (int32_t i = 0; i < in->feature_updates_count; i++) {
        enum err err = update_feature(decision, in, &in->feature_updates[i], &error);
        if (err == ERR_NONE) continue;
        decision_truncate(decision, 0);
        out->error_code = err_wire(err);
        out->error_message = arena_format(decision->arena,
                                          "The update failed for all features since the following "
                                          "feature had an error: %s",
                                          error.text);
        return ERR_NONE;
    }
    if (decision->api_version <= 1) {
        out->results =
            update_features_response_result_new(decision->arena, in->feature_updates_count);
        out->results_count = in->feature_updates_count;
        for (int32_t i = 0; i < out->results_count; i++) {
            out->results[i].feature = in->feature_updates[i].feature;
            out->results[i].error_message = slice_cstring(err_text(ERR_NONE));
        }
    }
    if (in->validate_only) decision_truncate(decision, 0);
    return decision_check_size(decision);
}

// ---- Activation ----

static void add_transaction_record(struct decision *decision, enum metadata_record_type type) {
    struct metadata_record record = decision_record(decision, type, 0);
    if (type == METADATA_BEGIN_TRANSACTION) {
        ((struct begin_transaction_record *)record.message)->name =
            SLICE_LITERAL("Bootstrap records");
    } else if (type == METADATA_ABORT_TRANSACTION) {
        ((struct abort_transaction_record *)record.message)->reason =
            SLICE_LITERAL("Controller failover");
    }
    decision_add(decision, &record);
}

static enum err decode_bootstrap(const struct decision *decision, const struct slice *bootstrap,
                                 int32_t count, struct metadata_record *records,
                                 int16_t *metadata_version, int16_t *elr) {
    for (int32_t i = 0; i < count; i++) {
        enum err err = metadata_record_decode(bootstrap[i], decision->result->arena, &records[i],
                                              decision->error);
        if (err != ERR_NONE) return err;
        if (records[i].type != METADATA_FEATURE_LEVEL) continue;
        const struct feature_level_record *level = records[i].message;
        enum feature_id id;
        if (feature_find(level->name, &id) == NULL) continue;
        if (id == FEATURE_METADATA_VERSION) *metadata_version = level->feature_level;
        if (id == FEATURE_ELIGIBLE_LEADER_REPLICAS_VERSION) *elr = level->feature_level;
    }
    if (*metadata_version != 0) return ERR_NONE;
    message_set(
        decision->error,
        "the metadata log is empty and there are no bootstrap records: format the directory");
    return ERR_INVALID;
}

// As one transaction where the level has them: a crash in between is then seen and undone by the
// next leader.
static enum err begin_log(struct decision *decision, const struct slice *bootstrap, int32_t count) {
    struct metadata_record *records =
        arena_zalloc(decision->result->arena, (size_t)count, sizeof *records);
    int16_t version = 0;
    int16_t elr = 0;
    enum err err = decode_bootstrap(decision, bootstrap, count, records, &version, &elr);
    if (err != ERR_NONE) return err;
    bool transaction = metadata_version_has_transactions(version);
    decision->result->atomic = !transaction;
    if (image_transaction_offset(decision->image) >= 0) {
        add_transaction_record(decision, METADATA_ABORT_TRANSACTION);
    }
    if (transaction) add_transaction_record(decision, METADATA_BEGIN_TRANSACTION);
    for (int32_t i = 0; i < count; i++)
        decision_add(decision, &records[i]);
    if (elr > 0) add_config(decision, SLICE_EMPTY, static_min_isr(decision));
    if (transaction) add_transaction_record(decision, METADATA_END_TRANSACTION);
    return ERR_NONE;
}

enum err rule_activate(struct decision *decision, const struct slice *bootstrap, int32_t count) {
    const struct image *stable = image_stable(decision->state->image);
    if (image_metadata_version(stable) == 0) return begin_log(decision, bootstrap, count);
    decision->result->atomic = true;
    if (image_transaction_offset(decision->image) >= 0) {
        add_transaction_record(decision, METADATA_ABORT_TRANSACTION);
    }
    return ERR_NONE;
}
